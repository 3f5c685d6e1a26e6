"""Targets that are missing: no cost, no gradient, and nothing else about the others."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import MORE_PAIRS, PAIRS, make_case
from tests.helpers.compare import relative_error, same
from tests.helpers.networks import refuses

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 3))
Y = RNG.normal(size=(N, 2))
GONE = RNG.random((N, 2)) < 0.4
GONE[3] = GONE[17] = True
GAPPY = np.where(GONE, np.nan, Y)
SOLVERS = {
    "gd": dl.GradientDescent(1e-3, momentum=0.5),
    "plain": dl.GradientDescent(1e-3),
    "online": dl.GradientDescent(1e-3, batch_size=1),
    "clipped": dl.GradientDescent(1e-3, batch_size=8, clip_norm=0.1),
    "adam": dl.Adam(0.01, batch_size=16),
    "quickprop": dl.Quickprop(0.01),  # by default 0.7 / sum of the weights
    "rprop": dl.Rprop(),
    "lbfgs": dl.LBFGS(),
    "scg": dl.ScaledConjugateGradient(),
    "lm": dl.LevenbergMarquardt(),
    "geodesic": dl.LevenbergMarquardt(geodesic=True),
    "bayes": dl.BayesianRegularization(),
}
solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def network(layers=(3, 4, 2), **options):
    return dl.Network(list(layers), **{"activation": "tanh", "output": "identity"} | options)


def leave_out(case, rng):
    """The case's targets with gaps, and what stands for them: nothing is wrong there."""
    gone = rng.random(case.Y.shape) < 0.4
    if case.output == "softmax":
        gone[:] = gone[:, :1]
    gone[0] = True
    return np.where(gone, np.nan, case.Y), gone


def own_costs(case, a, gone):
    """The cost of outputs that are their own targets, where targets are gone."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if case.loss == "poisson":
            terms = a - a * np.log(a)
        elif case.output == "softmax" and "entropy" in case.loss:
            terms = -a * np.log(a)
        elif "entropy" in case.loss:
            terms = -a * np.log(a) - (1 - a) * np.log(1 - a)
        else:
            return 0.0
    return terms[gone].sum()


@pytest.mark.parametrize(
    ("loss", "output", "m"), [*PAIRS, *MORE_PAIRS], ids=lambda value: str(value)
)
def test_cost_and_gradient_are_those_of_outputs_that_are_right(loss, output, m):
    """A target that is its output has no error: the reference, with such targets in the gaps."""
    case = make_case([3, 4, m], "tanh", output, loss, 20, 1)
    net, reference = case.network(), case.reference()
    given, gone = leave_out(case, np.random.default_rng(2))
    a = reference.predict(case.X)
    expected_cost, expected = reference.gradient(case.X, np.where(gone, a, case.Y))
    expected_cost -= own_costs(case, a, gone)
    cost, gradient = net.gradient(case.X, given, missing_targets="skip")
    assert cost == pytest.approx(expected_cost, rel=1e-12)
    assert net.cost(case.X, given, missing_targets="skip") == cost
    assert relative_error(gradient, expected) < 1e-12


@pytest.mark.parametrize("layers", [(3, 2), (3, 40, 2), (3, 4, 4, 2)])
def test_same_bits_on_any_number_of_threads_and_chunks(layers):
    X = RNG.normal(size=(6_000, 3))
    Y = np.where(RNG.random((6_000, 2)) < 0.5, np.nan, RNG.normal(size=(6_000, 2)))
    results = []
    for threads, grain, chunk in [(1, 0, 0), (2, 1.0, 0), (3, 1.0, 7)]:
        net = network(layers, seed=0)
        net._grain, net._chunk_rows = grain, chunk
        cost, gradient = net.gradient(X, Y, missing_targets="skip", n_threads=threads)
        trainer = net.trainer(dl.Adam(0.01), n_threads=threads)
        costs = [trainer.step(X, np.nan_to_num(Y), mask=~np.isnan(Y)) for _ in range(3)]
        results.append((cost, gradient.tobytes(), costs, net.parameters.tobytes()))
    assert results[0] == results[1] == results[2]


@solvers
def test_instances_without_targets_are_those_of_weight_0(solver):
    """Bit for bit: both add nothing to any sum, and both are counted."""
    gone = GONE[:, 0]
    s = np.where(gone, 0.0, 1.0)
    y = np.where(gone[:, np.newaxis], np.nan, Y)
    net, twin = network(seed=1), network(seed=1)
    options = {"solver": solver, "max_epochs": 8, "tol": 0, "seed": 3}
    result = net.fit(X, y, missing_targets="skip", **options)
    other = twin.fit(X, Y, sample_weight=s, **options)
    assert same(net.parameters, twin.parameters)
    assert result.cost == other.cost
    assert same(result.history.cost, other.history.cost)


@solvers
def test_complete_targets_have_the_bits_that_they_have_anyway(solver):
    net, twin = network(seed=1), network(seed=1)
    options = {"solver": solver, "max_epochs": 5, "tol": 0, "seed": 3, "validation": 0.2}
    result = net.fit(X, Y, missing_targets="skip", **options)
    other = twin.fit(X, Y, **options)
    assert same(net.parameters, twin.parameters)
    assert (result.cost, result.validation_cost) == (other.cost, other.validation_cost)
    # The kernels for the smallest networks take no gaps: what takes their place has their bits.
    given = np.vstack([np.full((1, 2), np.nan), Y])
    rows = np.vstack([np.zeros((1, 3)), X])
    cost, gradient = net.gradient(rows, given, missing_targets="skip")
    assert (cost, gradient.tobytes()) == (net.cost(X, Y), net.gradient(X, Y)[1].tobytes())


@pytest.mark.parametrize("name", ["rprop", "lbfgs", "scg", "lm", "geodesic"])
def test_linear_outputs_become_least_squares_of_the_rows_that_there_are(name):
    net = dl.Network([3, 2], activation="identity", seed=0)
    net.fit(X, GAPPY, solver=SOLVERS[name], max_epochs=2_000, tol=0, missing_targets="skip")
    ones = np.column_stack([X, np.ones(N)])
    for k in range(2):
        there = ~GONE[:, k]
        best = np.linalg.lstsq(ones[there], Y[there, k], rcond=None)[0]
        found = np.append(net.weights[0][:, k], net.biases[0][k])
        assert found == pytest.approx(best, abs=1e-5)


def test_bayesian_regularisation_counts_the_errors_that_there_are():
    """Rows without targets might as well not be there."""
    there = ~GONE.all(axis=1)
    y = np.where(GONE[:, :1] | GONE[:, 1:], np.nan, Y)
    there = ~np.isnan(y).any(axis=1)
    net, twin = network(seed=1), network(seed=1)
    options = {"solver": dl.BayesianRegularization(), "max_epochs": 30, "tol": 0}
    net.fit(X, y, missing_targets="skip", **options)
    twin.fit(X[there], Y[there], **options)
    assert net.parameters == pytest.approx(twin.parameters, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_scale_measures_the_targets_that_there_are(kind):
    y = GAPPY * [1.0, 1e3] + [5.0, -7e3]
    net = network(seed=0)
    net.fit(X, y, solver=dl.LBFGS(), max_epochs=5, scale=kind, missing_targets="skip")
    scaling = net.scaling
    low, high = np.nanmin(y, axis=0), np.nanmax(y, axis=0)
    if kind == "standard":
        assert scaling.output_offset == pytest.approx(np.nanmean(y, axis=0), rel=1e-12)
        assert scaling.output_scale == pytest.approx(np.nanstd(y, axis=0), rel=1e-12)
    else:
        assert scaling.output_offset == pytest.approx((low + high) / 2, rel=1e-12)
        assert scaling.output_scale == pytest.approx((high - low) / 2, rel=1e-12)
    # Rows by number, where parts are not copied, and an output without any target.
    y[:, 1] = np.nan
    net.fit(X, y, solver=dl.LBFGS(), max_epochs=5, scale=kind, missing_targets="skip")
    assert (net.scaling.output_offset[1], net.scaling.output_scale[1]) == (0.0, 1.0)


def test_validation_has_gaps_too():
    net = network(seed=0)
    result = net.fit(
        X, Y, solver=dl.LBFGS(), max_epochs=5, validation=(X, GAPPY), missing_targets="skip"
    )
    assert result.validation_cost == net.cost(X, GAPPY, missing_targets="skip")
    assert result.cost == net.cost(X, Y)
    result = net.fit(
        X, GAPPY, solver=dl.Adam(), max_epochs=5, validation=0.3, missing_targets="skip", patience=2
    )
    assert np.isfinite(result.validation_cost)


@pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")
@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy", "poisson"])
def test_a_solver_is_chosen_by_the_targets_that_there_are(loss):
    """Rows without any target are not searched; what is missing costs nothing."""
    y = np.sin(X @ RNG.normal(size=(3, 2)))
    output = {"squared_error": "identity", "poisson": "exp"}.get(loss, "sigmoid")
    y = y if loss == "squared_error" else (y > 0).astype(float)
    y[GONE] = np.nan
    net = network(loss=loss, output=output, seed=0)
    result = net.fit(X, y, missing_targets="skip")
    assert "held out" in result.choice
    assert result.cost == pytest.approx(net.cost(X, y, l2=result.l2, missing_targets="skip"))
    there = ~np.isnan(y)
    base = np.where(there, np.nanmean(y, axis=0), np.nan)
    assert np.nansum((net.predict(X) - y) ** 2) < np.nansum((base - y) ** 2)


def test_classes_are_floats_where_some_are_missing():
    classes = RNG.integers(0, 3, N)
    hot = np.eye(3)[classes]
    gone = GONE[:, 0]
    net = dl.Network([3, 4, 3], activation="tanh", loss="cross_entropy", seed=0)
    given = np.where(gone, np.nan, classes)
    hot[gone] = np.nan
    assert net.cost(X, given, missing_targets="skip") == net.cost(X, hot, missing_targets="skip")
    assert net.cost(X, hot, missing_targets="skip") == pytest.approx(
        net.cost(X[~gone], classes[~gone]), rel=1e-13
    )
    twin = net.copy()
    net.fit(X, given, solver=dl.Adam(), max_epochs=5, missing_targets="skip", seed=0)
    twin.fit(X, hot, solver=dl.Adam(), max_epochs=5, missing_targets="skip", seed=0)
    assert same(net.parameters, twin.parameters)
    first, second = net.trainer(dl.Adam()), twin.trainer(dl.Adam())
    assert first.step(X, classes, mask=~gone) == second.step(
        X, np.nan_to_num(hot), mask=np.repeat(~gone[:, np.newaxis], 3, axis=1)
    )
    assert same(net.parameters, twin.parameters)
    # Whatever y holds where the mask is False, as -100 that pads, and NaN of a trainer that skips.
    steps = [
        ("raise", classes, ~gone),
        ("raise", np.where(gone, -100, classes), ~gone),
        ("raise", given, ~gone),
        ("skip", given, np.ones(N)),
    ]
    trainers = [net.copy().trainer(dl.Adam(), missing_targets=name) for name, *_ in steps]
    costs = [t.step(X, y, mask=m) for t, (_, y, m) in zip(trainers, steps, strict=True)]
    assert costs == costs[:1] * 4
    for trainer in trainers:
        assert same(trainer.network.parameters, trainers[0].network.parameters)
    with refuses(ValueError, "y holds class -1", net=net):
        first.step(X, np.where(gone, -1, classes), mask=np.ones(N))
    with refuses(ValueError, "y must hold integer classes", net=net):
        first.step(X, given, mask=np.ones(N))
    assert first.step(X[0], -1, mask=False) == 0.0
    with refuses(ValueError, "Y holds 1.5 at row 0", net=net):
        net.cost(X, np.where(gone, np.nan, 1.5), missing_targets="skip")
    with refuses(ValueError, "Y holds class 3", net=net):
        net.cost(X, np.where(gone, np.nan, 3.0), missing_targets="skip")


def test_sparse_rows_dropout_resuming():
    sparse = pytest.importorskip("scipy.sparse").csr_array(np.where(X > 0.5, X, 0.0))
    net, twin = network(seed=0), network(seed=0)
    options = {
        "solver": dl.Adam(batch_size=16),
        "tol": 0,
        "dropout": 0.2,
        "missing_targets": "skip",
    }
    net.fit(sparse, GAPPY, max_epochs=6, **options)
    first = twin.fit(sparse.toarray(), GAPPY, max_epochs=3, **options)
    twin.fit(sparse.toarray(), GAPPY, max_epochs=6, resume=first.state, **options)
    assert same(net.parameters, twin.parameters)


# ---- steps ----


@pytest.mark.parametrize("rows", [1, 5, N])
@pytest.mark.parametrize("solver", [dl.GradientDescent(0.01), dl.Adam(0.01)], ids=["gd", "adam"])
def test_a_mask_leaves_out_what_nan_does(solver, rows):
    net, twin, third = network(seed=0), network(seed=0), network(seed=0)
    masked, gappy, plain = net.trainer(solver), twin.trainer(solver, missing_targets="skip"), third
    x, y, gone = X[:rows], Y[:rows], GONE[:rows].copy()
    gone[0] = False, True
    if rows == 1:
        x, y, gone = x[0], y[0], gone[0]
    trainer = plain.trainer(solver)
    for _ in range(3):
        right = np.where(gone, third.predict(x), y)
        hidden = np.where(gone, np.inf, y)  # whatever is there
        cost = masked.step(x, hidden, mask=(~gone).astype(float))
        assert gappy.step(x, np.where(gone, np.nan, y)) == cost
        assert trainer.step(x, right) == pytest.approx(cost, rel=1e-12)
    assert same(net.parameters, twin.parameters)
    assert net.parameters == pytest.approx(third.parameters, rel=1e-12)


def test_a_full_mask_and_an_empty_one():
    net, twin = network(seed=0), network(seed=0)
    trainer, other = net.trainer(dl.Adam(0.01), l2=0.1), twin.trainer(dl.Adam(0.01), l2=0.1)
    assert trainer.step(X, Y, mask=np.ones((N, 2))) == other.step(X, Y)
    assert same(net.parameters, twin.parameters)
    before = net.parameters.copy()
    penalty = 0.05 * sum((w**2).sum() for w in net.weights)
    assert trainer.step(X, Y, mask=np.zeros((N, 2))) == pytest.approx(penalty, rel=1e-12)
    assert not same(net.parameters, before)


def test_one_output_takes_what_y_takes():
    net = network((3, 1), seed=0)
    trainer = net.trainer(dl.GradientDescent(0.01))
    assert trainer.step(X, Y[:, 0], mask=~GONE[:, 0]) > 0
    assert trainer.step(X[0], 1.0, mask=False) == 0.0
    assert trainer.step(X, Y[:, 0], mask=~GONE[:, 0], sample_weight=np.full(N, 0.5)) > 0


# ---- what is refused ----


def test_nan_is_an_error_unless_it_may_be_missing():
    net = network(seed=0)
    trainer = net.trainer(dl.Adam())
    for call in (
        lambda: net.cost(X, GAPPY),
        lambda: net.gradient(X, GAPPY),
        lambda: net.fit(X, GAPPY),
        lambda: trainer.step(X, GAPPY),
        lambda: trainer.step(X, GAPPY, mask=np.ones((N, 2))),
    ):
        with refuses(ValueError, "holds nan at row", net=net):
            call()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("drop", ValueError),
        (True, TypeError),
        (None, TypeError),
        (np.array(["skip", "raise"]), TypeError),
    ],
)
def test_missing_targets_is_a_choice(given, error):
    net = network(seed=0)
    for call in (net.fit, net.cost, net.gradient):
        with refuses(error, "missing_targets must be", net=net):
            call(X, Y, missing_targets=given)
    with refuses(error, "missing_targets must be", net=net):
        net.trainer(dl.Adam(), missing_targets=given)


def test_what_no_fit_can_learn_from():
    net = network(seed=0)
    nothing = np.full((N, 2), np.nan)
    with refuses(ValueError, "Y holds nothing but NaN", net=net):
        net.fit(X, nothing, missing_targets="skip")
    with refuses(ValueError, "validation[1] holds nothing but NaN", net=net):
        net.fit(X, Y, validation=(X, nothing), missing_targets="skip")
    few = nothing.copy()
    few[0] = 1.0
    with refuses(ValueError, "Y is NaN in all", "instances that validation leaves", net=net):
        net.fit(X, few, validation=0.5, missing_targets="skip", solver=dl.Adam())
    with refuses(ValueError, "Y holds inf at row 5, column 1", net=net):
        y = GAPPY.copy()
        y[5, 1] = np.inf
        net.fit(X, y, missing_targets="skip")
    single = dl.Network([3, 1], loss="cross_entropy", seed=0)
    with refuses(ValueError, "class_weight needs all targets", net=single):
        y = np.where(GONE[:, :1], np.nan, 1.0)
        single.fit(X, y, class_weight="balanced", missing_targets="skip", solver=dl.LBFGS())
    with refuses(ValueError, "Y holds 2.0 at row 0", net=single):
        single.cost(X, np.where(GONE[:, :1], np.nan, 2.0), missing_targets="skip")


def test_a_softmax_has_all_targets_or_none():
    net = dl.Network([3, 3], loss="cross_entropy", seed=0)
    y = np.full((N, 3), 1 / 3)
    y[4, 1] = np.nan
    with refuses(ValueError, "misses others", net=net):
        net.cost(X, y, missing_targets="skip")
    trainer = net.trainer(dl.Adam())
    with refuses(ValueError, "some of the targets of row 4", net=net):
        trainer.step(X, np.full((N, 3), 1 / 3), mask=~np.isnan(y))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones(N), "mask must have the shape of y"),
        (np.ones((N, 2)) * 0.5, "use sample_weight"),
        (np.full((N, 2), np.nan), "mask must hold True and False"),
    ],
)
def test_masks_that_are_none(mask, words):
    net = network(seed=0)
    trainer = net.trainer(dl.Adam())
    with refuses(ValueError, words, net=net):
        trainer.step(X, Y, mask=mask)
