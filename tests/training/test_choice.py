"""What a fit without a solver does: the rule, its branches, and the search for a penalty."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from deltaloop._arguments.problem import Problem
from deltaloop._fit import choice as _choice
from deltaloop._fit import penalty as _penalty
from deltaloop._fit import run as _run
from deltaloop._fit import trials as _trials
from deltaloop._fit.choice import choose
from deltaloop.schedules import Cosine


def network(layers, loss="squared_error"):
    output = "identity" if loss in ("squared_error", "huber") else None
    return dl.Network(layers, activation="tanh", output=output, loss=loss, seed=0)


def test_small_least_squares():
    solver, epochs = choose(network([1, 20, 1]), 1000)
    assert (solver, epochs) == (dl.LevenbergMarquardt(), 300)


def test_levenberg_to_the_last_row():
    """R P^2 + P^3 / 3 <= 1e8 with P = 61: R <= 26,854.4."""
    net = network([1, 20, 1])
    assert net.n_parameters == 61
    assert 26854 * 61**2 + 61**3 / 3 <= 1e8 < 26855 * 61**2 + 61**3 / 3
    assert isinstance(choose(net, 26854)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 26855)[0], dl.Adam)


def test_each_output_is_an_error():
    """Two outputs: R = 2 n, P = 152, so R <= 4,277.6 and n <= 2,138."""
    net = network([2, 30, 2])
    assert net.n_parameters == 152
    assert isinstance(choose(net, 2138)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 2139)[0], dl.LBFGS)


def test_errors_for_each_parameter():
    """P = 61: with 488 errors or a penalty, with 122, with fewer; two outputs make two a row."""
    net = network([1, 20, 1])
    assert isinstance(choose(net, 488)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 5, l2=0.1)[0], dl.LevenbergMarquardt)
    assert choose(net, 487) == choose(net, 122) == (dl.BayesianRegularization(), 300)
    assert isinstance(choose(net, 121)[0], dl.LBFGS)
    assert isinstance(choose(network([1, 15, 2]), 248)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(network([1, 15, 2]), 247)[0], dl.BayesianRegularization)
    net = dl.Network([1, 20, 1], activation="tanh", seed=0)  # its outputs are tanh too
    assert isinstance(choose(net, 487)[0], dl.LBFGS)


def test_few_rows_of_a_wide_network_with_a_penalty():
    """Levenberg and Marquardt's system is then that of the parameters, too large here."""
    assert isinstance(choose(network([3, 200, 200, 1]), 30, l2=0.1)[0], dl.LBFGS)


def test_noise_is_not_learned():
    rng = np.random.default_rng(0)
    X, test = rng.uniform(-1, 1, (200, 3)), rng.uniform(-1, 1, (500, 3))
    net = dl.Network([3, 64, 1], activation="tanh", output="identity", seed=0)
    net.fit(X, np.sin(X[:, 0]) + 0.1 * rng.normal(size=200))
    errors = net.predict(test)[:, 0] - np.sin(test[:, 0])
    assert np.mean(errors**2) < 0.05 * np.var(np.sin(test[:, 0]))


@pytest.mark.parametrize("loss", ["cross_entropy", "poisson", "huber"])
def test_other_losses(loss):
    assert choose(network([4, 5, 1], loss=loss), 100) == (dl.LBFGS(), 500)


def test_rows_of_a_full_batch():
    net = network([4, 5, 3], loss="cross_entropy")
    assert isinstance(choose(net, 3000)[0], dl.LBFGS)
    assert choose(net, 3001) == (dl.Adam(Cosine(0.01, epochs=50), batch_size=64), 50)


def test_work_of_a_full_batch():
    """n P <= 1e8 with P = 100,101."""
    net = network([999, 100, 1], loss="cross_entropy")
    assert net.n_parameters == 100_101
    assert isinstance(choose(net, 998)[0], dl.LBFGS)
    assert isinstance(choose(net, 999)[0], dl.Adam)


def test_penalties_and_dropout():
    net = network([1, 20, 1])
    assert isinstance(choose(net, 1000, l2=0.1)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 1000, l1=0.1)[0], dl.LBFGS)
    assert isinstance(choose(net, 100, dropout=0.1)[0], dl.Adam)
    assert isinstance(choose(network([1, 20, 1], "cross_entropy"), 100, dropout=0.1)[0], dl.Adam)


@pytest.mark.parametrize(
    ("n", "batch", "epochs"),
    [(1, 1, 2000), (63, 63, 2000), (64, 64, 2000), (65, 64, 1000), (2560, 64, 50), (10**6, 64, 50)],
)
def test_enough_steps(n, batch, epochs):
    """50 epochs, or 2,000 steps where that is more; the schedule ends with them."""
    solver, most = choose(network([4, 5, 3], loss="cross_entropy"), n, dropout=0.5)
    assert (solver.batch_size, most, solver.learning_rate) == (
        batch,
        epochs,
        Cosine(0.01, epochs=epochs),
    )


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_what_is_chosen_trains(loss, dropout):
    net = network([2, 6, 1], loss=loss)
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    solver, epochs = choose(net, len(X), dropout=dropout)
    assert net.fit(X, Y, solver=solver, max_epochs=epochs).cost < 0.05


def test_operations():
    """Of one iteration: 1,000 rows of a 61 x 61 matrix and a third of its cube."""
    assert _choice.least_squares_work(network([1, 20, 1]), 1000) == 61**2 * 1000 + 61**3 / 3


# ---- the search for a penalty ----

GRID = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)


def searched(costs, bare=np.inf, late=lambda: False, parts=1):
    """What is found where the trials have these costs, from strong to weak, and `bare` without."""
    table = dict(zip((*GRID, 0.0), (*costs, *[np.inf] * (6 - len(costs)), bare), strict=True))
    return _penalty.search(range(parts), lambda part, l2: table[l2], GRID, late)[:2]


@pytest.mark.parametrize(
    ("costs", "chosen", "n_tried"),
    [
        ((5, 3, 2, 4, 6), 1.0, 5),  # two in a row that are much worse end it
        ((5, 3, 2, 2.05, 4, 6), 1.0, 6),  # and one that is little worse does not count
        ((5.0, 5.1, 5.2, 1, 2, 3), 0.1, 6),  # nothing strong learns it
        ((1, 2, 3), 100.0, 3),
        ((np.nan, 5, np.inf, np.nan), 10.0, 4),
        ((-1, -2, -1, -0.5), 10.0, 4),  # of Poisson's loss
    ],
)
def test_strengths(costs, chosen, n_tried):
    assert searched(costs) == (chosen, (*GRID[:n_tried], 0.0))


@pytest.mark.parametrize("cost", [np.nan, np.inf])
def test_nothing_can_be_judged(cost):
    """Where all costs are infinite or NaN there is nothing to choose a penalty by."""
    assert searched((cost, cost), bare=0.0) == (0.0, GRID[:2])
    assert searched((cost, cost), late=lambda: True) == (0.0, GRID[:1])


def test_no_penalty_where_it_halves_the_cost():
    falling = (6, 5, 4, 3, 2, 1)
    assert searched(falling, bare=0.49) == (0.0, (*GRID, 0.0))
    assert searched(falling, bare=0.51) == (0.001, (*GRID, 0.0))
    assert searched(falling, bare=np.nan)[0] == 0.001
    assert searched((1, 2, 3), bare=0.4) == (0.0, (100.0, 10.0, 1.0, 0.0))
    poisson = (-1, -2, -3, -4, -5, -6)
    assert searched(poisson, bare=-5)[0] == searched(poisson, bare=-8.9)[0] == 0.001
    assert searched(poisson, bare=-9.1)[0] == 0.0


@pytest.mark.parametrize(
    ("bare", "chosen", "n_trials"),
    [
        ([0.1, 9, 0.1], 1.0, 3),  # the first part has no row of a class, the second one has
        ([0.1, 0.1, 0.1], 0.0, 3),
        ([0.4, 0.4, 0.8], 1.0, 3),  # a mean of 0.53
        ([0.4, 0.4, 0.6], 0.0, 3),  # a mean of 0.47
        ([0.6, 0.1, 0.1], 1.0, 1),  # most data have noise, and one part says so
        ([0.1, np.inf, 0.1], 1.0, 3),
        ([0.1, np.nan, 0.1], 0.0, 3),  # a bad start, which has not learned its own rows
        ([np.nan, 0.1, 0.1], 0.0, 3),
        ([np.nan, np.nan, 0.1], 1.0, 3),  # most must have learned them
        ([np.nan, 0.6, 0.1], 1.0, 2),
    ],
)
def test_no_penalty_must_suit_all_parts(bare, chosen, n_trials):
    calls = []

    def trial(part, l2):
        calls.append(l2)
        return bare[part] if l2 == 0 else {1.0: 1.0}.get(l2, 5.0)

    assert _penalty.search(range(3), trial, GRID).l2 == chosen
    assert calls.count(0.0) == n_trials


def test_one_row_of_a_class():
    """Most parts lack it, but none says that there is nothing to be penalised."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(200, 3)), np.zeros(200, dtype=int)
        y[seed] = 1
        net = dl.Network([3, 6, 1], activation="tanh", loss="cross_entropy", seed=seed)
        assert net.fit(X, y).l2 > 0
        net = dl.Network([3, 6, 1], activation="tanh", output="identity", seed=seed)
        assert net.fit(X, y).l2 > 0


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_a_trial_that_learns_its_rows_counts(loss):
    """NaN stands for a bad start; rows that are all alike are no such thing."""
    net = network([1, 2, 1], loss)
    x, y = np.zeros((50, 1)), np.zeros((50, 1))
    y[0] = y[1] = 1
    trials = _trials.Trials(_run.fit, net, x, y, Problem(), None, None, 1, None)
    rows = np.arange(50)
    assert trials.cost(_penalty.Part(rows[10:], rows[:10], None), 0.0) > 0.9
    assert np.isnan(trials.cost(_penalty.Part(rows[1:], rows[:1], None), 0.0))
    assert trials.cost(_penalty.Part(rows[1:], rows[:1], None), 1.0) > 0


def test_time_ends_the_search():
    """With what did best so far, or the usual strength where the best one may be to come."""
    assert searched((6, 5, 4, 3, 2, 1), late=lambda: True) == (1.0, (100.0,))
    for calls, costs, expected in ((4, (5, 4, 3, 2, 1), 0.1), (3, (4, 3, 3.1, 2), 10.0)):
        answers = iter([False] * (calls - 1) + [True] * 2)
        assert searched(costs, late=lambda a=answers: next(a))[0] == expected


def test_the_strongest_within_a_standard_error():
    """Costs of parts 1.2, 1.0, 0.8 and 1, 1, 0.8 above: 0.133 +- 0.067; and 0.067 +- 0.067."""
    costs = {100.0: [2, 2, 2], 10.0: [1.4, 1.1, 0.9], 1.0: [1.3, 1.1, 0.8], 0.1: [1.2, 1.0, 0.8]}
    l2 = _penalty.search(range(3), lambda part, l2: costs.get(l2, [9, 9, 9])[part], GRID).l2
    differences = np.array([0.1, 0.1, 0.0])
    assert differences.mean() <= differences.std(ddof=1) / np.sqrt(3) * 2
    assert not _penalty.alike(costs[10.0], costs[0.1])
    assert not _penalty.alike(costs[1.0], costs[0.1])
    assert _penalty.alike([1.4, 0.9, 0.8], costs[0.1])
    assert _penalty.alike([1.4e300, 0.9e300, 0.8e300], [1.2e300, 1e300, 0.8e300])
    assert not _penalty.alike([np.inf, 1, 1], costs[0.1])
    assert l2 == 0.1
    costs[1.0] = [1.4, 0.9, 0.8]
    assert _penalty.search(range(3), lambda part, l2: costs.get(l2, [9, 9, 9])[part], GRID)[0] == 1


def test_parts():
    """Each row that counts is held out once, with as many of each class; the start is new."""
    net = network([2, 4, 3], "cross_entropy")
    y, rows = np.repeat([0, 1, 2], [40, 30, 20]), np.arange(5, 85)

    def parts(key=7):
        return _penalty.parts_of(net, y, rows, _core.Stream((key, 0), 0), 5)

    cuts = -(-_penalty.JUDGED // 80)
    assert len(parts()) == 5 * cuts
    for cut in range(cuts):
        five = parts()[5 * cut : 5 * cut + 5]
        assert sorted(np.concatenate([part.held for part in five])) == rows.tolist()
        for part in five:
            assert sorted([*part.rows, *part.held]) == rows.tolist()
            assert np.ptp(np.bincount(y[part.held]) - np.array([7, 6, 3])) <= 1
            assert part.start.shape == net.parameters.shape
            assert not np.isin(part.start[part.start != 0], net.parameters).any()
    again = parts()
    assert all((a.held == b.held).all() for a, b in zip(parts(), again, strict=True))
    assert not all((a.held == b.held).all() for a, b in zip(parts(), parts(8), strict=True))
    assert len(_penalty.parts_of(net, y, rows, _core.Stream((7, 0), 0), 1)) == 1


def test_values_are_spread_over_the_parts():
    net, y = network([2, 4, 1]), np.arange(50.0).reshape(-1, 1)
    for part in _penalty.parts_of(net, y, np.arange(50), _core.Stream((1, 2), 3), 5):
        assert sorted(part.held // 5) == list(range(10))


def test_labels_are_spread_over_the_parts():
    """One-hot classes as the same numbers are, and combinations of labels."""
    net, classes = network([2, 4, 3]), np.repeat([0, 1, 2], [40, 30, 20])
    streams = [_core.Stream((7, 0), 0) for _ in range(2)]
    parts = [
        _penalty.parts_of(net, y, None, stream, 5)
        for y, stream in zip((classes, np.eye(3)[classes]), streams, strict=True)
    ]
    for a, b in zip(*parts, strict=True):
        assert (a.held == b.held).all()
        assert np.bincount(classes[a.held]).tolist() == [8, 6, 4]
    y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[np.repeat(range(4), [50, 5, 10, 15])] * 1.0
    for part in _penalty.parts_of(network([2, 4, 2]), y, None, _core.Stream((7, 0), 0), 5):
        assert np.bincount((y[part.held] @ [2, 1]).astype(int)).tolist() == [10, 1, 2, 3]


def test_many_rows_are_not_all_tried():
    net, n = network([2, 4, 1]), _penalty.MAX_ROWS + 500
    (part,) = _penalty.parts_of(net, np.zeros((n, 1)), np.arange(n), _core.Stream((1, 2), 3), 1)
    assert len(part.rows) + len(part.held) == _penalty.MAX_ROWS
    for count in (30, 10 * _penalty.MAX_ROWS, 10 * _penalty.MAX_ROWS + 1, 2**40):
        rows = _penalty.sample(count, _core.Stream((1, 2), 3))
        assert len(np.unique(rows)) == len(rows) == min(count, _penalty.MAX_ROWS)
        assert (rows.min() >= 0) & (rows.max() < count)
        assert 0.45 * count < rows.mean() < 0.55 * count


def test_given_parameters_are_where_trials_begin():
    net = dl.Network.from_weights([[[0.5]]], [[0.1]], activation="identity")
    assert _penalty.start(net, _core.Stream((1, 2), 3)) is None


@pytest.mark.parametrize(
    ("layers", "n", "parts"),
    [([10, 20, 1], 1000, 5), ([64, 32, 10], 1437, 1), ([10, 50, 5], 1700, 2), ([2, 2, 1], 3001, 1)],
)
def test_parts_by_the_work(layers, n, parts):
    """4e6 rows times parameters for all, and one with mini-batches: 241, 2410, 805, 9 parameters"""
    assert _choice.n_parts(network(layers), n) == parts


# ---- fits ----


def noisy(n=120, columns=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, columns))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + rng.normal(scale=0.5, size=n)


def test_fit_without_a_solver():
    """It is the fit with what it chose, to the bits, the position in the stream included."""
    X, y = noisy()
    labels = (y > 0).astype(int)
    for layers, loss, targets, options in (
        ([4, 8, 1], "squared_error", y, {}),
        ([4, 8, 1], "huber", y, {"max_epochs": 7, "sample_weight": np.arange(120.0)}),
        ([4, 8, 3], "cross_entropy", labels, {"class_weight": "balanced", "n_threads": 2}),
        ([4, 8, 1], "poisson", np.exp(y).round(), {"validation": 0.25, "seed": 3}),
        ([4, 8, 1], "squared_error", y, {"scale": "standard", "callback": lambda info: False}),
    ):
        nets = [network(layers, loss) for _ in range(2)]
        result = nets[0].fit(X, targets, **options)
        assert result.l2 > 0
        assert "rows held out" in result.choice
        assert f"l2={result.l2:g}" in result.choice
        options.setdefault("max_epochs", 500)
        again = nets[1].fit(X, targets, solver=result.solver, l2=result.l2, **options)
        assert again.choice is None
        assert (result.solver, result.cost) == (dl.LBFGS(), again.cost)
        assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
        assert [info.solver for info in result.stages] == [result.solver]


def test_mini_batches_are_penalised_too():
    X, y = noisy(3200)
    net = network([4, 8, 1])
    result = net.fit(X, y)
    assert isinstance(result.solver, dl.LevenbergMarquardt | dl.Adam)
    assert (result.l2 > 0) == isinstance(result.solver, dl.Adam)
    assert np.mean((net.predict(X)[:, 0] - np.sin(2 * X[:, 0]) - X[:, 1]) ** 2) < 0.02


def test_the_same_bits_on_any_number_of_threads():
    X, y = noisy(400, 6)
    found = []
    for n_threads in (1, 2, 4):
        net = network([6, 20, 1])
        result = net.fit(X, y, n_threads=n_threads)
        found.append((result.choice, net.parameters.tobytes()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"l2": 0.1}, "the penalty is given"),
        ({"l1": 0.1}, "the penalty is given"),
        ({"dropout": 0.2}, "dropout is given"),
        ({"goal": 1e-3}, "a goal is given"),
        ({"validation": 0.2, "patience": 3}, "patience sees to rows held out"),
    ],
)
def test_nothing_is_searched_for(monkeypatch, options, why):
    monkeypatch.setattr(_trials.Trials, "cost", None)
    X, y = noisy()
    net = network([4, 8, 1])
    result = net.fit(X, y, max_epochs=20, **options)
    assert result.choice.startswith(f"{type(result.solver).__name__}, ")
    assert why in result.choice
    assert result.l2 == options.get("l2", 0.0)
    penalty = {name: value for name, value in options.items() if name in ("l1", "l2")}
    assert "patience" in options or result.cost == net.cost(X, y, **penalty)


def test_few_rows_are_learned_by_heart():
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    net = network([2, 6, 1], "cross_entropy")
    result = net.fit(X, Y)
    assert "4 rows are too few to hold some out" in result.choice
    assert result.choice.startswith("LBFGS, as there are some thousand rows at most; no penalty")
    assert net.classify(X).tolist() == Y
    assert "as 1 row is too few" in network([2, 6, 1]).fit([[0, 1]], [1]).choice


def test_a_clean_function_has_no_penalty():
    """And the solver that gets closest."""
    x = np.linspace(-1, 1, 300).reshape(-1, 1)
    net = network([1, 10, 1])
    result = net.fit(x, np.sin(3 * x))
    assert (result.l2, result.solver) == (0.0, dl.LevenbergMarquardt())
    assert "without a penalty" in result.choice
    assert result.cost < 1e-4


@pytest.mark.parametrize("hidden", [10, 15])
@pytest.mark.parametrize("scale", [None, "standard"])
def test_a_clean_function_with_few_errors_for_each_parameter(hidden, scale):
    """100 errors for 31 and for 46 parameters: a penalty leaves 0.02 to 0.2."""
    x = np.linspace(0, 3, 100).reshape(-1, 1)
    y = np.exp(-x[:, 0]) * np.cos(5 * x[:, 0])
    net = dl.Network([1, hidden, 1], activation="tanh", output="identity", seed=0)
    result = net.fit(x, y, scale=scale)
    assert (result.solver, result.l2) == (dl.LevenbergMarquardt(), 0.0)
    assert np.abs(net.predict(x)[:, 0] - y).max() < 2e-3


def test_noise_is_seen_by_the_closest_solver():
    """150 errors for 51 parameters: least squares would learn the noise."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (150, 3))
    y = np.sin(2 * X[:, 0]) + 0.3 * rng.normal(size=150)
    net = dl.Network([3, 10, 1], activation="tanh", output="identity", seed=0)
    assert _choice.closest(net, 150)
    result = net.fit(X, y)
    assert (result.solver, result.l2 > 0.0) == (dl.LBFGS(), True)
    test = rng.uniform(-1, 1, (500, 3))
    assert np.mean((net.predict(test)[:, 0] - np.sin(2 * test[:, 0])) ** 2) < 0.03


def test_where_the_closest_solver_is_tried():
    """R P^2 + P^3 / 3 <= 1e8, and two to eight errors for each of P = 61 parameters."""
    assert _choice.closest(network([1, 20, 1]), 487)
    assert not _choice.closest(network([1, 20, 1]), 488)
    assert _choice.closest(network([1, 20, 1]), 122)
    assert not _choice.closest(network([1, 20, 1]), 121)
    assert not _choice.closest(network([1, 20, 1], "huber"), 100)
    assert not _choice.closest(network([20, 100, 1]), 3000)
    solver, epochs, tol = _choice.trial_of(network([1, 20, 1]), 100, 0.0, None, 100.0, True)
    assert (solver, epochs, tol) == (dl.LevenbergMarquardt(), 50, pytest.approx(1e-5))


@pytest.mark.parametrize(
    ("close", "bare", "l2", "is_closest"),
    [
        ([0.1] * 5, [9.0] * 5, 0.0, True),
        ([0.1] * 5, [0.2] * 5, 0.0, True),
        ([0.2] * 5, [0.1] * 5, 0.0, False),
        ([9.0] * 5, [0.1] * 5, 0.0, False),
        ([9.0] * 5, [9.0] * 5, 100.0, False),
        ([0.1, np.nan, 0.1, 0.1, 0.1], [0.2, 0.0, 0.2, 0.2, 0.2], 0.0, True),
        ([np.nan] * 5, [9.0] * 5, 100.0, False),
    ],
)
def test_the_better_of_two_without_a_penalty(close, bare, l2, is_closest):
    def trial(part, l2):
        return bare[part] if l2 == 0.0 else 1.0

    found = _penalty.search(range(5), trial, GRID, closest=lambda part: close[part])
    assert (found.l2, found.closest) == (l2, is_closest)


def test_a_clean_function_of_relu_units():
    """All penalties are alike there, as the trials with them end early."""
    rng = np.random.default_rng(0)
    X = np.stack([rng.uniform(20, 200, 500), rng.uniform(1900, 2020, 500)], axis=1)
    y = 3000 * X[:, 0] + 500 * (X[:, 1] - 1900)
    net = dl.Network([2, 10, 1], activation="relu", output="identity", seed=0)
    assert net.fit(X, y, scale="standard").l2 == 0
    assert abs(net.predict(X)[:, 0] - y).max() < 1


def test_rows_that_do_not_count_decide_nothing():
    """Those of weight 0, and those set aside for validation, hold what they like."""
    X, y = noisy()
    wild = y.copy()
    wild[::3] = 1e3
    weights = np.ones(120)
    weights[::3] = 0
    nets = [network([4, 8, 1]) for _ in range(2)]
    results = [net.fit(X, t, sample_weight=weights) for net, t in zip(nets, (y, wild), strict=True)]
    assert results[0].choice == results[1].choice
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()

    nets = [network([4, 8, 1]) for _ in range(2)]
    nets[0].fit(X, y, validation=0.25, seed=5)
    first = dl.Network([1, 1], seed=5)
    held = _core.Stream(*_stream_of(5)).permutation(120)[90:]
    assert first.seed == 5
    wild = y.copy()
    wild[held] = 1e3
    nets[1].fit(X, wild, validation=0.25, seed=5)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def _stream_of(seed):
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return (int(key[0]), int(key[1])), 0


def test_a_second_fit_is_not_deceived_by_the_first():
    """Trials begin anew: parameters that know the rows held out would make penalties look bad."""
    X, y = noisy()
    net = network([4, 30, 1])
    net.fit(X, y, solver=dl.LBFGS(), max_epochs=2000)
    assert net.fit(X, y).l2 >= 1


def test_what_was_chosen_goes_on(monkeypatch):
    X, y = noisy()
    nets = [network([4, 8, 1]) for _ in range(3)]
    first = nets[0].fit(X, y, max_epochs=5)
    assert first.state["l2"] == first.l2 > 0
    whole = nets[1].fit(X, y, solver=first.solver, l2=first.l2, max_epochs=12)
    monkeypatch.setattr(_trials.Trials, "cost", None)
    rest = nets[2].fit(X, y, resume=first.state, max_epochs=12)
    assert rest.choice.endswith(f", with l2={first.l2:g}, which an earlier fit chose.")
    assert (rest.epochs, rest.l2, rest.cost) == (7, first.l2, whole.cost)
    assert nets[1].parameters.tobytes() == nets[2].parameters.tobytes()
    again = nets[0].fit(X, y, resume=first.state, solver=dl.LBFGS(), max_epochs=12)
    assert (again.l2, again.cost, again.choice) == (first.l2, whole.cost, None)
    further = nets[0].fit(X, y, resume=rest.state, max_epochs=14)
    assert (further.l2, further.epochs) == (first.l2, 2)
    for wrong, error in (("much", TypeError), (np.array([1.0]), TypeError), (-1.0, ValueError)):
        before = nets[0].parameters.copy()
        with pytest.raises(error, match="resume\\['l2'\\] must be"):
            nets[0].fit(X, y, resume={**first.state, "l2": wrong}, max_epochs=12)
        assert (nets[0].parameters == before).all()


def test_ctrl_c_in_a_trial(monkeypatch):
    """The network is as it was, and free."""
    X, y = noisy()
    net = network([4, 8, 1])
    before = net.parameters.copy()

    def stop(*_, **__):
        interrupt = KeyboardInterrupt()
        interrupt.result = "of a trial"
        raise interrupt

    with monkeypatch.context() as patch:
        patch.setattr(_run, "train_stage", stop)
        with pytest.raises(KeyboardInterrupt) as caught:
            net.fit(X, y)
    assert (net.parameters == before).all()
    assert caught.value.result is None
    assert net.fit(X, y).epochs > 0


def test_trials_say_nothing():
    """What penalties of 100 lead to is no matter for a warning; nor are filters touched."""
    X, y = noisy()
    before = warnings.filters[:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert network([4, 8, 1]).fit(X, y).l2 < 100
    assert warnings.filters == before


def test_little_time():
    """Half of it at most is for the search."""
    X, y = noisy(1000, 20)
    net = network([20, 40, 1])
    result = net.fit(X, y, max_time=1e-3)
    assert (result.stop_reason, result.l2) == ("max_time", 1.0)
    assert "with l2=1, the usual one: the time for trials was over." in result.choice


def test_wrong_arguments_come_before_the_search(monkeypatch):
    monkeypatch.setattr(_trials.Trials, "cost", None)
    X, y = noisy()
    for options in ({"max_epochs": 0}, {"max_time": -1}, {"callback": 3}, {"resume": {}}):
        with pytest.raises((TypeError, ValueError)):
            network([4, 8, 1]).fit(X, y, **options)


def test_better_on_rows_held_out():
    """20 % of the labels flipped: the lowest cost learns them, a penalty does not."""
    rng = np.random.default_rng(1)
    X, test = rng.normal(size=(300, 15)), rng.normal(size=(2000, 15))
    truth = X[:, 0] + X[:, 1] > 0
    y = (truth ^ (rng.random(300) < 0.2)).astype(int)
    scores = []
    for solver in (None, dl.LBFGS()):
        net = dl.Network([15, 20, 1], activation="tanh", loss="cross_entropy", seed=0)
        net.fit(X, y, solver=solver, max_epochs=500)
        scores.append((net.classify(test) == (test[:, 0] + test[:, 1] > 0)).mean())
    assert scores[0] > scores[1] + 0.1


def all_rows(bits, low=0.0):
    """The full truth table of so many inputs."""
    table = (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1
    return np.where(table, 1.0, low)


def test_a_full_truth_table_is_learned():
    """Each row is a pattern of its own, and rows held out look like noise."""
    adder = all_rows(4)
    a, b = adder[:, 0] + 2 * adder[:, 1], adder[:, 2] + 2 * adder[:, 3]
    sums = (((a + b).astype(int)[:, None] >> np.arange(3)) & 1).astype(float)
    for X, Y, hidden, seed in (
        (all_rows(4), all_rows(4).sum(axis=1) % 2, 8, 4),
        (all_rows(5, -1.0), all_rows(5).sum(axis=1) % 2, 16, 0),
        (adder, sums, 10, 1),
        (np.eye(16), np.eye(16), 4, 5),
    ):
        m = 1 if Y.ndim == 1 else Y.shape[1]
        net = dl.Network(
            [X.shape[1], hidden, m], activation="tanh", loss="binary_cross_entropy", seed=seed
        )
        result = net.fit(X, Y)
        assert result.l2 == 0
        assert result.choice.endswith("as the rows are all the patterns there are.")
        assert (net.classify(X).reshape(Y.shape) == Y).all()


def test_patterns():
    table = all_rows(4)
    assert _choice.has_all_patterns(table[::-1], None)
    assert _choice.has_all_patterns(np.vstack([table, table]), np.arange(8, 24))
    assert not _choice.has_all_patterns(np.vstack([table, table]), None)
    assert not _choice.has_all_patterns(np.vstack([table[1:], table[3]]), None)
    assert not _choice.has_all_patterns(table + np.eye(16)[:, :4] / 2, None)
    assert not _choice.has_all_patterns(np.where(table == 1, np.nan, 0), None)
    assert not _choice.has_all_patterns(np.hstack([table[:, :3], np.ones((16, 1))]), None)
    assert _choice.has_all_patterns(3 * np.eye(20)[::-1], None)
    assert not _choice.has_all_patterns(np.eye(20)[[0, *range(19)]], None)
    assert not _choice.has_all_patterns(np.eye(20, 21), None)
    assert _choice.has_all_patterns(all_rows(12), None)
    assert not _choice.has_all_patterns(all_rows(13), None)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_strengths_are_in_units_of_the_weights(loss, factor):
    """Weights times c make C times c: l2 is then c times as large, and the network the same."""
    X, y = noisy()
    if loss == "cross_entropy":
        y = (y > 0).astype(int)
    weights = np.random.default_rng(0).integers(0, 3, 120) * 1.0
    results, nets = [], []
    for c in (1.0, factor):
        nets.append(network([4, 8, 1], loss))
        results.append(nets[-1].fit(X, y, sample_weight=c * weights))
    assert results[0].l2 > 0
    assert results[1].l2 == pytest.approx(factor * results[0].l2, rel=1e-9)
    assert f"l2={results[1].l2:g}" in results[1].choice
    assert np.abs(nets[0].predict(X) - nets[1].predict(X)).max() < 0.02


def test_weights_of_one_change_nothing():
    X, y = noisy()
    nets = [network([4, 8, 1]) for _ in range(2)]
    results = [
        net.fit(X, y, sample_weight=s) for net, s in zip(nets, (None, np.ones(120)), strict=True)
    ]
    assert (results[0].choice, results[0].l2) == (results[1].choice, results[1].l2)
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    assert _choice.unit_of(np.full(3, 1e308), None) == 1e308
    assert _choice.strength(100.0, 1e308) == np.finfo(float).max
    assert _choice.strength(0.001, 5e-324) > 0 == _choice.strength(0.0, 3.0)


def test_least_costs():
    """No output has a lower cost than the targets: the network that knows them by heart has it."""
    rng = np.random.default_rng(0)
    s = rng.uniform(0.5, 2, 8)
    counts, parts = rng.uniform(0.1, 3, (8, 1)), rng.dirichlet(np.ones(3), 8)
    for loss, output, Y, z in (
        ("poisson", "exp", counts, np.log(counts)),
        ("cross_entropy", "softmax", parts, np.log(parts)),
        ("cross_entropy", "sigmoid", parts[:, :1], np.log(parts[:, :1] / (1 - parts[:, :1]))),
        ("binary_cross_entropy", "sigmoid", parts, np.log(parts / (1 - parts))),
    ):
        net = dl.Network.from_weights([z], [np.zeros(z.shape[1])], output=output, loss=loss)
        for weights in (None, s):
            cost = net.cost(np.eye(8), Y, sample_weight=weights)
            assert _trials.least(net, Y, weights) == pytest.approx(cost, rel=1e-12)
    net = network([2, 3], "cross_entropy")
    assert _trials.least(net, np.eye(3), None) == _trials.least(net, np.array([0, 2]), None) == 0
    assert _trials.least(network([2, 1]), np.ones((3, 1)), None) == 0
    assert _trials.least(network([2, 1], "poisson"), np.zeros((3, 1)), None) == 0


def test_a_clean_mean_of_counts_has_no_penalty():
    """The least cost of Poisson's loss is not 0, and may be negative."""
    x = np.linspace(-1, 1, 200).reshape(-1, 1)
    for scale in (5.0, 30.0):
        net = network([1, 6, 1], "poisson")
        assert net.fit(x, scale * np.exp(np.sin(2 * x))).l2 == 0
    net = dl.Network([1, 6, 1], activation="tanh", loss="cross_entropy", seed=2)
    assert net.fit(x, 1 / (1 + np.exp(-np.sin(2 * x)))).l2 == 0


def test_infinite_costs():
    """NumPy does not complain of them, and the sentence does."""
    X, y = noisy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", dl.ConvergenceWarning)
        warnings.simplefilter("ignore", dl.DivergenceWarning)
        result = network([4, 8, 1]).fit(X, y * 1e155)
        assert result.l2 == 0
        assert result.choice.endswith(
            "without a penalty: no penalty could be judged: all costs of 120 rows held out are "
            "infinite or NaN; scale Y."
        )
        network([4, 8, 1]).fit(X, y * 1e153)


def test_the_strongest_penalty():
    """Its sentence says that there is little to learn only where that is so."""
    X, y = noisy(200)
    little = "so there may be little to learn from these inputs."
    net = network([4, 8, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dl.ConvergenceWarning)
        result = net.fit(X, np.random.default_rng(1).normal(size=200))
    assert result.l2 == 100
    assert result.choice.endswith(little)
    X = np.random.default_rng(0).normal(size=(2000, 3)) * 10
    y = X[:, 0] + np.random.default_rng(1).normal(scale=5, size=2000)
    result = dl.Network([3, 1], activation="identity", seed=0).fit(X, y)
    assert result.l2 == 100
    assert result.choice.endswith("No stronger one was tried.")


def test_epochs_do_not_change_the_choice():
    """A fit of a few epochs that goes on has the bits of a long one."""
    X, y = noisy()
    nets = [network([4, 8, 1]) for _ in range(2)]
    first = nets[0].fit(X, y, max_epochs=2)
    rest = nets[0].fit(X, y, resume=first.state, max_epochs=30)
    whole = nets[1].fit(X, y, max_epochs=30)
    assert first.choice == whole.choice
    assert rest.l2 == whole.l2
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    for l2 in (0.0, 1.0):
        trials = [_choice.trial_of(network([4, 8, 1]), 100, l2, most, 100.0) for most in (None, 2)]
        assert trials[0] == trials[1]
    assert _choice.trial_of(network([4, 8, 1]), 4000, 1.0, 7, 4000.0)[1] == 7


def test_rows_without_a_weight_choose_no_solver():
    """1,000 rows count, of 4,000; and the sentence says why."""
    X, y = noisy(4000)
    weights = np.zeros(4000)
    weights[:1000] = 1
    result = network([4, 8, 1]).fit(X, y, sample_weight=weights, l1=1e-3, max_epochs=2)
    assert isinstance(result.solver, dl.LBFGS)
    result = network([4, 8, 1]).fit(X, y, l1=1e-3, max_epochs=2)
    assert result.choice == (
        "Adam, as there are many rows or parameters; no penalty was searched for, as the penalty "
        "is given."
    )
    result = network([4, 8, 1]).fit(X[:50], y[:50], dropout=0.1, max_epochs=2)
    assert result.choice.startswith("Adam, as units are dropped; no penalty was searched for")


def test_trials_call_no_method_of_a_subclass():
    class Counting(dl.Network):
        def copy(self):
            raise AssertionError("copied")

        def cost(self, *_, **__):
            raise AssertionError("asked for its cost")

    X, y = noisy()
    settings = {"activation": "tanh", "output": "identity", "seed": 0}
    nets = [kind([4, 8, 1], **settings) for kind in (Counting, dl.Network)]
    choices = [net.fit(X, y).choice for net in nets]
    assert choices[0] == choices[1]
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            ((2.0, (4.0, 2.0, 0.0)), 0.5),
            "with l2=1: of the penalties 2, 1 and none, it is the strongest that does about as "
            "well as the best on 4 rows held out",
        ),
        (
            ((4.0, (4.0, 2.0, 0.0)), 1.0),
            "with l2=4: of the penalties 4, 2 and none, it is the strongest that does about as "
            "well as the best on 4 rows held out. No stronger one was tried",
        ),
        (
            ((0.0, (4.0, 2.0, 0.0)), 1.0),
            "without a penalty: the cost of 4 rows held out is then less than half of that with "
            "the best of the penalties 4, 2",
        ),
        (
            ((4.0, (4.0, 2.0), 1.0, True), 1.0),
            "with l2=4: of the penalties 4, 2, which there was time for, it does best on 4 rows "
            "held out",
        ),
        (
            ((1.0, (4.0,), 1.0, True), 3.0),
            "with l2=3, the usual one: the time for trials was over",
        ),
    ],
)
def test_sentences(found, said):
    (l2, tried, *rest), unit = found
    parts = [_penalty.Part(np.array([5]), np.array(held), None) for held in ([0, 1], [2, 3], [1])]
    found = _penalty.Found(l2, tried, *(rest or [1.0]))
    assert _choice.sentence(found, unit, parts, False) == said
