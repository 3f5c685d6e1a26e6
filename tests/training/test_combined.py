"""Weights, penalties, dropout, residual networks, validation and chains in one fit.

One that stops and goes on gives the bits of one that never stopped.
"""

import numpy as np
import pytest

import deltaloop as dl
import deltaloop.reference

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.sin(X.sum(axis=1, keepdims=True)) + 0.1 * RNG.normal(size=(60, 1))
S = RNG.uniform(size=60)

ADAM = dl.Adam(0.01, batch_size=8)
FITS = {
    "full batch, dropout": (dl.GradientDescent(0.002, momentum=0.5), 12, {"dropout": 0.2}),
    "mini-batches, everything": (
        dl.GradientDescent(0.002, momentum=0.5, batch_size=7),
        12,
        {
            "dropout": [0.2, 0.0],
            "l1": 0.01,
            "l2": 0.1,
            "validation": 0.2,
            "patience": 100,
            "sample_weight": S,
        },
    ),
    "patience": (ADAM, 40, {"validation": 0.3, "patience": 3}),
    "Levenberg-Marquardt": (
        dl.LevenbergMarquardt(),
        12,
        {"sample_weight": S, "l2": 0.1, "validation": 0.25},
    ),
    "chain, patience": (
        [ADAM, dl.LevenbergMarquardt()],
        [12, 14],
        {"validation": 0.3, "patience": 50},
    ),
    "chain, dropout in full batches": (
        [dl.Adam(0.01), dl.Adam(0.02)],
        [7, 6],
        {"dropout": 0.3},
    ),
    "chain, validation": ([ADAM, dl.LBFGS()], 10, {"validation": (X, Y, S)}),
}


def network(seed=3):
    return dl.Network([3, 9, 9, 1], activation="tanh", residual=True, seed=seed)


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_stops_and_goes_on(name):
    solver, most, options = FITS[name]
    options = {"solver": solver, "max_epochs": most, "tol": 0, **options}
    whole = network()
    result = whole.fit(X, Y, **options)
    if "patience" in options:
        costs = result.history.validation_cost
        assert result.validation_cost == costs.min() == costs[result.best_epoch - 1]
    for k in (1, 2, 7, result.epochs - 1):
        first = network().fit(X, Y, callback=lambda info, k=k: info.epoch >= k, **options)
        assert first.epochs == k
        other = network(seed=8)
        rest = other.fit(X, Y, resume=first.state, **options)
        assert other.parameters.tobytes() == whole.parameters.tobytes()
        assert (rest.cost, rest.best_epoch) == (result.cost, result.best_epoch)
        for series in ("cost", "validation_cost", "learning_rate", "gradient_norm"):
            expected = getattr(result.history, series)[k:]
            assert np.array_equal(getattr(rest.history, series), expected, equal_nan=True), series
        assert rest.state.keys() == result.state.keys()
        for entry, value in result.state.items():
            assert np.array_equal(rest.state[entry], value, equal_nan=True), entry


def test_a_trainer_with_dropout_goes_on():
    solver, options = dl.Adam(), {"dropout": 0.3, "l2": 0.1}
    nets = [dl.Network([3, 9, 1], activation="tanh", seed=1) for _ in range(2)]
    trainer = nets[0].trainer(solver, **options)
    for i in range(5):
        trainer.step(X[i : i + 9], Y[i : i + 9])
    twin = nets[1].trainer(solver, resume=trainer.state, **options)
    for _ in range(3):
        assert trainer.step(X[9:20], Y[9:20]) == twin.step(X[9:20], Y[9:20])
    assert nets[0]._position == nets[1]._position
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def test_the_state_of_a_split_needs_the_split():
    options = {"solver": ADAM, "max_epochs": 5}
    state = network().fit(X, Y, validation=0.3, **options).state
    with pytest.raises(ValueError, match="resume has 'split'"):
        network().fit(X, Y, resume=state, **{**options, "max_epochs": 9})
    del state["split"]
    with pytest.raises(ValueError, match="resume has no 'split'"):
        network().fit(X, Y, resume=state, validation=0.3, **{**options, "max_epochs": 9})


def test_the_state_of_a_split_knows_its_parts():
    """With other rows or another fraction, what was learned from would be held out."""
    first, rest = ({"solver": ADAM, "max_epochs": most} for most in (5, 9))
    state = network().fit(X, Y, validation=0.3, **first).state
    n = len(X)
    held = round(0.3 * n)
    assert state["parts"].tolist() == [n - held, held]
    net = network()
    before = net.parameters.tobytes()
    for x, y, fraction in [(X[1:], Y[1:], 0.3), (X, Y, 0.5), (X, Y, 0.2)]:
        match = f"resume is the state of a fit to {n - held} instances with {held} set aside"
        with pytest.raises(ValueError, match=match):
            net.fit(x, y, resume=state, validation=fraction, **rest)
    with pytest.raises(ValueError, match=r"resume\['parts'\] must have shape \(2,\)"):
        net.fit(X, Y, resume=state | {"parts": np.array(3)}, validation=0.3, **rest)
    assert net.parameters.tobytes() == before
    whole, old = network(), network()
    whole.fit(X, Y, validation=0.3, **rest)
    net.fit(X, Y, resume=state, validation=0.3, **rest)
    del state["parts"]  # as of 0.1.0
    old.fit(X, Y, resume=state, validation=0.3, **rest)
    assert net.parameters.tobytes() == old.parameters.tobytes() == whole.parameters.tobytes()


def test_a_state_of_no_best_epoch():
    options = {"solver": ADAM, "validation": 0.3, "patience": 20}
    state = network().fit(X, Y, max_epochs=5, **options).state
    for index, value in [(1, -1.0), (1, 0.5), (2, 0.5), (2, 6.0)]:
        best = state["best"].copy()
        best[index] = value
        with pytest.raises(ValueError, match=r"resume\['best'\] holds values"):
            network().fit(X, Y, max_epochs=9, resume=state | {"best": best}, **options)


def test_a_callback_that_stops_where_a_stage_converges():
    """The next stage is never run, and its state is still one that can go on."""
    solvers, options = [dl.Adam(0.01), dl.Adam(0.02)], {"dropout": 0.3, "max_epochs": [9, 4]}
    net = network()
    first = net.fit(X, Y, solver=solvers, tol=1e9, callback=lambda info: True, **options)
    assert [stage.stop_reason for stage in first.stages] == ["converged", "callback"]
    whole = network()
    whole.fit(X, Y, solver=solvers, tol=1e9, **options)
    rest = net.fit(X, Y, solver=solvers, tol=1e9, resume=first.state, **options)
    assert net.parameters.tobytes() == whole.parameters.tobytes()
    assert rest.epochs == 1


def test_weights_of_what_is_set_aside():
    """The rows set aside bring their own weights; the classes' are those of the rows left."""
    labels = (Y[:, 0] > 0).astype(int)
    options = {"solver": ADAM, "max_epochs": 3, "seed": 5}
    nets = [dl.Network([3, 4, 2], loss="cross_entropy", seed=0) for _ in range(2)]
    order = nets[0].copy().fit(X, labels, validation=0.25, **options)
    assert (order.n_instances, order.n_validation) == (45, 15)
    p = dl.reference.permutation(dl.reference.raw_words(5, 0, 59), 60)
    rows, held = p[:45], p[45:]
    result = nets[0].fit(
        X, labels, sample_weight=S, class_weight="balanced", validation=0.25, **options
    )
    counts = np.bincount(labels[rows])
    s = S[rows] * (45 / (2 * counts))[labels[rows]]
    assert result.cost == pytest.approx(nets[0].cost(X[rows], labels[rows], sample_weight=s))
    expected = nets[0].cost(X[held], labels[held], sample_weight=S[held])
    assert result.validation_cost == pytest.approx(expected)
    for zeros, purpose in ((rows, "training"), (held, "validation")):
        weights = np.ones(60)
        weights[zeros] = 0
        before = nets[1].parameters.tobytes(), nets[1]._position
        with pytest.raises(ValueError, match=f"sample_weight is 0 for all .* for {purpose}"):
            nets[1].fit(X, labels, sample_weight=weights, validation=0.25, **options)
        assert (nets[1].parameters.tobytes(), nets[1]._position) == before


@pytest.mark.parametrize(
    "solver",
    [dl.LevenbergMarquardt(), dl.LBFGS(), dl.ScaledConjugateGradient()],
    ids=lambda solver: type(solver).__name__,
)
def test_time_ends_an_iteration(solver):
    """At once, with the last iteration's parameters, and a state that goes on."""
    rng = np.random.default_rng(1)
    inputs, targets = rng.normal(size=(20_000, 20)), rng.normal(size=20_000)
    net = dl.Network([20, 60, 1], activation="tanh", output="identity", seed=0)
    result = net.fit(inputs, targets, solver=solver, max_time=0.2, tol=0, n_threads=1)
    assert (result.stop_reason, result.epochs) == ("max_time", len(result.cost_history))
    assert result.cost == net.cost(inputs, targets)
    assert result.epochs == int(result.state["epochs"])
    last = result.cost_history[-1] if result.epochs else result.initial_cost
    assert result.cost == last
    again = net.fit(
        inputs, targets, solver=solver, max_time=0.2, tol=0, n_threads=1, resume=result.state
    )
    assert again.cost <= result.cost


def test_what_a_divergence_says_with_patience():
    net = dl.Network([3, 9, 1], activation="relu", output="identity", seed=0)
    solver = dl.GradientDescent(0.05, momentum=0.9)
    with pytest.warns(dl.DivergenceWarning, match=r"of the best epoch, \d+, were restored"):
        result = net.fit(10 * X, Y, solver=solver, validation=(10 * X, Y), patience=400)
    assert result.stop_reason == "diverged"
    assert result.validation_cost == result.history.validation_cost[result.best_epoch - 1]


def test_a_history_tells_its_length():
    result = network().fit(X, Y, solver=ADAM, max_epochs=3)
    assert repr(result.history) == "History(3 epochs)"
