"""What is known of each epoch, the instances that a fit does not learn from, and patience."""

from __future__ import annotations

import dataclasses
import math
import signal
import time

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import permutation, raw_words
from tests.helpers.cases import make_case, xor_data
from tests.helpers.compare import bits

X, Y = xor_data()

EPOCHS = 6
# Every solver, and gradient descent on full batches, mini-batches and single instances.
SOLVERS = {
    "full": dl.GradientDescent(0.01),
    "momentum": dl.GradientDescent(0.01, momentum=0.5),
    "mini": dl.GradientDescent(0.01, batch_size=7),
    "online": dl.GradientDescent(0.01, batch_size=1),
    "clipped": dl.GradientDescent(0.01, batch_size=7, clip_norm=0.5),
    "Adam": dl.Adam(0.01, batch_size=8),
    "Rprop": dl.Rprop(),
    "Quickprop": dl.Quickprop(),
    "LBFGS": dl.LBFGS(),
    "SCG": dl.ScaledConjugateGradient(),
    "LM": dl.LevenbergMarquardt(),
    "BR": dl.BayesianRegularization(),
}
solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def noise(n=30, others=20, seed=1):
    """A case of random targets and as random other ones, whose cost is soon at its lowest."""
    layers = (3, 6, 2)
    case = make_case(layers, "tanh", "identity", "squared_error", n=n + others, seed=seed)
    case.X, case.other_X = case.X[:n], case.X[n:]
    case.Y, case.other_Y = case.Y[:n], case.Y[n:]
    return case


def by_hand(case, solver, epochs):
    """The parameters after each epoch: fits of one, two, ... of them, without validation."""
    paths = []
    for count in range(1, epochs + 1):
        net = case.network(seed=5)
        result = net.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=count)
        assert result.epochs == count
        assert math.isnan(result.validation_cost)
        assert result.best_epoch is None
        assert np.isnan(result.history.validation_cost).all()
        paths.append(net.parameters.copy())
    return paths, result


def cost_at(case, parameters):
    """C of the other instances."""
    net = case.network()
    net.parameters = parameters
    return net.cost(case.other_X, case.other_Y)


# ---- what is known of each epoch ----


def test_history_is_a_frozen_record_of_arrays():
    net = dl.Network([2, 2, 1], seed=0)
    result = net.fit(X, Y, solver=dl.GradientDescent(0.5), max_epochs=7, tol=0)
    names = [f.name for f in dataclasses.fields(result.history)]
    assert names == ["cost", "validation_cost", "learning_rate", "gradient_norm", "seconds"]
    for name in names:
        array = getattr(result.history, name)
        assert (array.dtype, array.shape) == (np.float64, (7,))
    assert result.history.cost is result.cost_history
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.history.cost = None
    nothing = net.fit(X, Y, solver=dl.GradientDescent(0.5), goal=100.0).history
    assert [getattr(nothing, name).shape for name in names] == [(0,)] * 5


def test_history_against_the_reference():
    """Plain gradient descent: costs, norms of gradients and costs of the others."""
    case = noise()
    net = case.network()
    others = (case.other_X, case.other_Y)
    solver = dl.GradientDescent(0.01)
    result = net.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=20, validation=others)
    hand = case.reference()
    expected = []
    for _ in range(20):
        hand.parameters = hand.parameters - 0.01 * hand.gradient(case.X, case.Y)[1]
        cost, gradient = hand.gradient(case.X, case.Y)
        expected.append((cost, hand.cost(*others), np.linalg.norm(gradient)))
    expected[-1] = (*expected[-1][:2], expected[-2][2])  # no gradient after the last step
    history = result.history
    got = np.column_stack([history.cost, history.validation_cost, history.gradient_norm])
    np.testing.assert_allclose(got, expected, rtol=1e-11)
    assert (history.learning_rate == 0.01).all()


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_history_of_many_epochs_in_one_call(activation):
    """The kernel of the smallest networks records what epochs one by one do, to the bit."""
    fits, seen = [], []
    for callback in (None, seen.append):
        net = dl.Network([2, 2, 1], activation=activation, seed=3)
        solver = dl.GradientDescent(0.25)
        fits.append(net.fit(X, Y, solver=solver, tol=0, max_epochs=9000, callback=callback))
    many, single = (fit.history for fit in fits)
    assert (bits(many.gradient_norm) == bits(single.gradient_norm)).all()
    assert (bits(many.cost) == bits(single.cost)).all()
    assert (many.learning_rate == 0.25).all()
    assert [info.gradient_norm for info in seen] == many.gradient_norm.tolist()
    assert many.gradient_norm[-1] == fits[0].gradient_norm
    if dl.runtime()["isa"] in ("avx2", "avx512"):  # four rows fit into a vector: equal shares
        assert len(set(many.seconds.tolist())) < 100
    assert 0 < many.seconds.sum() <= fits[0].seconds
    assert many.gradient_norm[8999] == many.gradient_norm[8998]  # of the last epoch there is none
    for e in (0, 17, 8998):
        net = dl.Network([2, 2, 1], activation=activation, seed=3)
        net.fit(X, Y, solver=solver, tol=0, max_epochs=e + 1)
        norm = np.linalg.norm(net.gradient(X, Y)[1])
        assert many.gradient_norm[e] == pytest.approx(norm, rel=1e-12)


@solvers
def test_gradient_norms(solver):
    """Of a full batch after its epoch; of Levenberg-Marquardt before; of the last mini-batch.

    First-order solvers evaluate no gradient after the last step of a full batch.
    """
    case = noise()
    net, states = case.network(seed=5), [case.network().parameters.copy()]
    result = net.fit(
        case.X,
        case.Y,
        solver=solver,
        tol=0,
        max_epochs=EPOCHS,
        callback=lambda info: states.append(info.network.parameters.copy()),
    )
    norms = result.history.gradient_norm
    assert norms[-1] == result.gradient_norm
    assert (norms > 0).all()
    if solver.batch_size is None:
        before = isinstance(solver, dl.LevenbergMarquardt | dl.BayesianRegularization)
        if not before and not isinstance(solver, dl.LBFGS | dl.ScaledConjugateGradient):
            states[-1] = states[-2]
        for norm, parameters in zip(norms, states if before else states[1:], strict=False):
            net.parameters = parameters
            gradient = net.gradient(case.X, case.Y)[1]
            assert norm == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    else:  # the norm is what a fit of so many epochs says
        for epoch, norm in enumerate(norms, 1):
            again = case.network(seed=5).fit(case.X, case.Y, solver=solver, tol=0, max_epochs=epoch)
            assert norm == again.gradient_norm


@pytest.mark.parametrize("batch_size", [None, 4, 1])
@pytest.mark.parametrize("kind", [dl.GradientDescent, dl.Adam], ids=["descent", "Adam"])
def test_learning_rates(kind, batch_size):
    case = noise()
    seen = []
    schedule = dl.schedules.Exponential(0.01, gamma=0.5)
    result = case.network(seed=5).fit(
        case.X,
        case.Y,
        solver=kind(schedule, batch_size=batch_size),
        tol=0,
        max_epochs=5,
        callback=lambda info: seen.append(info.learning_rate),
    )
    assert result.history.learning_rate.tolist() == [0.01 * 0.5**e for e in range(5)] == seen


@solvers
def test_rates_only_of_solvers_that_have_one(solver):
    case = noise()
    rates = (
        case.network(seed=5)
        .fit(case.X, case.Y, solver=solver, max_epochs=3, tol=0)
        .history.learning_rate
    )
    assert (rates == 0.01).all() or not hasattr(solver, "learning_rate")
    assert np.isnan(rates).all() == (not hasattr(solver, "learning_rate"))


def test_seconds_are_those_of_the_epochs():
    """Neither a callback's time is counted nor what passes between slices."""
    case = noise()
    net = case.network(seed=5)
    result = net.fit(
        case.X,
        case.Y,
        solver=dl.GradientDescent(0.01, batch_size=5),
        tol=0,
        max_epochs=10,
        callback=lambda info: time.sleep(0.005),
    )
    assert (result.history.seconds > 0).all()
    assert result.history.seconds.sum() <= result.seconds - 10 * 0.005


def test_seconds_of_epochs_longer_than_a_slice():
    """An epoch of several slices has the time of all of them, and what is left is Python's."""
    case = make_case((16, 60, 1), "tanh", "identity", "squared_error", n=20_000, seed=1)
    result = case.network().fit(
        case.X, case.Y, solver=dl.GradientDescent(1e-7, batch_size=4), tol=0, max_epochs=3
    )
    assert result.history.seconds.sum() > 0.5 * result.seconds
    assert result.history.seconds.sum() <= result.seconds
    assert result.history.seconds.min() > 0.1 * result.history.seconds.max()


# ---- validation ----


@solvers
def test_validation_watches_and_changes_nothing(solver):
    """Each cost is that of the parameters after the epoch, which are those of a fit alone."""
    case = noise()
    paths, plain = by_hand(case, solver, EPOCHS)
    others, net, seen = (case.other_X, case.other_Y), case.network(seed=5), []
    result = net.fit(
        case.X,
        case.Y,
        solver=solver,
        tol=0,
        max_epochs=EPOCHS,
        validation=others,
        callback=lambda info: seen.append((info, info.network.parameters.copy())),
    )
    expected = [cost_at(case, parameters) for parameters in paths]
    assert result.history.validation_cost.tolist() == expected
    assert [info.validation_cost for info, _ in seen] == expected
    assert [info.gradient_norm for info, _ in seen] == result.history.gradient_norm.tolist()
    for (_, at), parameters in zip(seen, paths, strict=True):
        assert (bits(at) == bits(parameters)).all()
    for name in ("cost", "gradient_norm", "learning_rate"):
        got, without = getattr(result.history, name), getattr(plain.history, name)
        assert (bits(got) == bits(without)).all()
    assert (bits(net.parameters) == bits(paths[-1])).all()
    assert (result.stop_reason, result.cost) == ("max_epochs", plain.cost)
    assert result.best_epoch == 1 + int(np.argmin(expected))
    assert result.validation_cost == net.cost(*others) == expected[-1]
    age = EPOCHS - result.best_epoch
    assert result.state["best"].tolist() == [min(expected), age, result.best_epoch]
    assert "best_parameters" not in result.state
    assert result.state["position"] == plain.state["position"]


@solvers
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_validation_has_the_same_bits_with_any_number_of_threads(solver, many):
    """Also where there are many more instances to validate than to learn from."""
    case = noise(n=30, others=4500 if many else 300)
    records = []
    for threads in (1, 2, 3):
        net = case.network(seed=5)
        net._grain = 1.0
        result = net.fit(
            case.X,
            case.Y,
            solver=solver,
            tol=0,
            max_epochs=3,
            validation=(case.other_X, case.other_Y),
            n_threads=threads,
        )
        history = result.history
        parts = [history.cost, history.validation_cost, history.gradient_norm, net.parameters]
        records.append(bits(np.concatenate([*parts, [result.validation_cost]])).tolist())
        assert result.validation_cost == net.cost(case.other_X, case.other_Y, n_threads=1)
    assert records[0] == records[1] == records[2]


def test_callbacks_after_every_third_epoch_see_exactly_that_one():
    case, seen, costs = noise(), [], []

    def callback(info):
        seen.append(info)
        costs.append(cost_at(case, info.network.parameters))

    result = case.network(seed=5).fit(
        case.X,
        case.Y,
        solver=dl.GradientDescent(dl.schedules.InverseScaling(0.01), batch_size=4),
        tol=0,
        max_epochs=10,
        validation=(case.other_X, case.other_Y),
        callback=callback,
        callback_every=3,
    )
    history = result.history
    for info, e in zip(seen, (2, 5, 8), strict=True):
        assert info.epoch == e + 1
        assert info.cost == history.cost[e]
        assert info.validation_cost == history.validation_cost[e]
        assert info.learning_rate == history.learning_rate[e]
        assert info.gradient_norm == history.gradient_norm[e]
    assert [info.validation_cost for info in seen] == costs
    without = case.network(seed=5).fit(
        case.X, case.Y, solver=dl.GradientDescent(0.01), max_epochs=1, callback=seen.append
    )
    assert math.isnan(seen[-1].validation_cost)
    assert math.isnan(without.validation_cost)


def test_goal_at_the_start_is_judged_by_the_start():
    case = noise()
    result = case.network().fit(
        case.X,
        case.Y,
        solver=dl.GradientDescent(0.01),
        goal=1e9,
        validation=(case.other_X, case.other_Y),
        patience=3,
    )
    assert (result.stop_reason, result.epochs, result.best_epoch) == ("goal", 0, None)
    assert result.validation_cost == cost_at(case, case.network().parameters)
    assert result.cost == result.initial_cost


def test_validation_by_classes_and_by_one_instance():
    net = dl.Network([2, 3, 3], loss="cross_entropy", seed=0)
    labels = np.array([0, 2, 1, 1], dtype=np.uint8)
    result = net.fit(
        X, labels, solver=dl.LBFGS(), max_epochs=4, tol=0, validation=(X.astype("f4"), labels)
    )
    assert result.validation_cost == result.cost == net.cost(X, labels)
    result = net.fit(X, labels, solver=dl.LBFGS(), max_epochs=2, tol=0, validation=[X[1], 2])
    assert result.validation_cost == net.cost(X[1], 2)
    result = net.fit(X, labels, solver=dl.LBFGS(), max_epochs=2, tol=0, validation=0.25, seed=1)
    last = permutation(raw_words(1, 0, 3), 4)[-1]
    assert result.validation_cost == net.cost(X[last], labels[last])


# ---- a part of the instances ----


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("seed", [None, 7])
def test_fraction_sets_the_last_rows_of_a_shuffle_aside(batch_size, seed):
    """n - 1 words of the fit's stream, before those of the epochs."""
    case = noise(n=30)
    solver = dl.GradientDescent(0.01, batch_size=batch_size, shuffle=True)
    net = dl.Network([3, 6, 2], activation="tanh", output="identity", seed=4)
    start, position = net.parameters.copy(), net._position
    result = net.fit(
        case.X, case.Y, solver=solver, tol=0, max_epochs=3, validation=0.21, patience=50, seed=seed
    )
    words = raw_words(4, position, 29) if seed is None else raw_words(seed, 0, 29)
    order = permutation(words, 30)
    kept, held = order[:24], order[24:]  # 0.21 of 30 is 6.3
    begun = position if seed is None else 0
    drawn = 29 + (0 if batch_size is None else 3 * 23)
    assert result.state["position"] == begun + drawn
    assert net._position == position + (drawn if seed is None else 0)
    twin = dl.Network([3, 6, 2], activation="tanh", output="identity", seed=seed or 4)
    twin.parameters, twin._position = start, begun + 29
    other = twin.fit(
        case.X[kept],
        case.Y[kept],
        solver=solver,
        tol=0,
        max_epochs=3,
        validation=(case.X[held], case.Y[held]),
        patience=50,
    )
    assert result.history.cost.tolist() == other.history.cost.tolist()
    assert result.history.validation_cost.tolist() == other.history.validation_cost.tolist()
    assert (bits(net.parameters) == bits(twin.parameters)).all()
    assert result.cost == net.cost(case.X[kept], case.Y[kept])
    assert result.validation_cost == net.cost(case.X[held], case.Y[held])


@pytest.mark.parametrize(
    ("fraction", "n", "held"),
    [(0.5, 2, 1), (0.3, 2, 1), (0.74, 2, 1), (0.1, 26, 3), (0.1, 24, 2), (np.float32(0.5), 8, 4)],
)
def test_fraction_is_rounded_to_nearest(fraction, n, held):
    """The costs of single weights that only count instances: one half each."""
    net = dl.Network.from_weights([[[0.0]]], [[0.0]], activation="identity")
    result = net.fit(
        np.zeros((n, 1)),
        np.ones(n),
        solver=dl.GradientDescent(1e-30),
        tol=0,
        max_epochs=1,
        validation=fraction,
    )
    assert (result.validation_cost, result.cost) == (held / 2, (n - held) / 2)


# ---- patience ----


@solvers
@pytest.mark.parametrize("patience", [1, 3])
def test_patience(solver, patience):
    """The first run of so many epochs that lower nothing ends the fit at the lowest before it."""
    # Bayesian regularisation weighs its penalty anew in each epoch: not all data show a rise.
    case = noise(seed=8 if isinstance(solver, dl.BayesianRegularization) else 1)
    others = (case.other_X, case.other_Y)
    solver = {
        SOLVERS["full"]: dl.GradientDescent(0.2),
        SOLVERS["momentum"]: dl.GradientDescent(0.1, momentum=0.9),
        SOLVERS["mini"]: dl.GradientDescent(0.2, batch_size=7),
        SOLVERS["online"]: dl.GradientDescent(0.2, batch_size=1),
        SOLVERS["Adam"]: dl.Adam(0.1, batch_size=8),
    }.get(solver, solver)
    long, states = [], []
    case.network(seed=5).fit(
        case.X,
        case.Y,
        solver=solver,
        tol=0,
        max_epochs=60,
        callback=lambda info: states.append(info.network.parameters.copy()),
    )
    for parameters in states:
        long.append(cost_at(case, parameters))
        best = int(np.argmin(long))
        if len(long) - 1 - best >= patience:
            break
    else:
        pytest.fail("the validation cost falls too long to show anything")
    net = case.network(seed=5)
    result = net.fit(
        case.X, case.Y, solver=solver, tol=0, max_epochs=60, validation=others, patience=patience
    )
    assert (result.stop_reason, result.epochs) == ("patience", len(long))
    assert result.history.validation_cost.tolist() == long
    assert result.best_epoch == best + 1
    assert (bits(net.parameters) == bits(states[best])).all()
    assert result.cost == net.cost(case.X, case.Y)
    assert result.validation_cost == net.cost(*others) == min(long)
    assert not result.converged
    assert result.state["best"].tolist() == [min(long), patience, best + 1]
    assert (result.state["best_parameters"] == states[best]).all()


def test_equal_costs_are_no_improvement():
    """The parameters move, but never turn the unit on where it is validated: the first is best."""
    net = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="identity", output="relu")
    one = net.copy()
    options = {"solver": dl.GradientDescent(0.0625), "tol": 0}
    result = net.fit([[1.0]], [5.0], **options, validation=([[-100.0]], [1.0]), patience=4)
    assert (result.stop_reason, result.epochs, result.best_epoch) == ("patience", 5, 1)
    assert result.history.validation_cost.tolist() == [0.5] * 5
    assert len(set(result.cost_history)) == 5
    one.fit([[1.0]], [5.0], **options, max_epochs=1)
    assert (net.parameters == one.parameters).all()


@pytest.mark.parametrize("batch_size", [None, 7])
def test_whatever_ends_the_fit_the_best_is_restored(batch_size):
    """Also max_epochs, a callback and a divergence, which reports its own epoch's start."""
    case = noise()
    others = (case.other_X, case.other_Y)
    solver = dl.GradientDescent(0.2, batch_size=batch_size)
    options = {"solver": solver, "tol": 0, "validation": others, "patience": 1000}
    states, net = [], case.network(seed=5)
    result = net.fit(
        case.X,
        case.Y,
        **options,
        max_epochs=20,
        callback=lambda info: states.append(info.network.parameters.copy()),
    )
    best = int(np.argmin(result.history.validation_cost))
    assert 0 <= best < 19
    assert (result.stop_reason, result.epochs, result.best_epoch) == ("max_epochs", 20, best + 1)
    assert (bits(net.parameters) == bits(states[best])).all()
    net = case.network(seed=5)
    result = net.fit(case.X, case.Y, **options, callback=lambda info: info.epoch == best + 2)
    assert (result.stop_reason, result.epochs) == ("callback", best + 2)
    assert (bits(net.parameters) == bits(states[best])).all()
    case = make_case((3, 2), (), "identity", "squared_error", n=10, seed=1)
    for patience in (None, 10**6):
        net, states = case.network(seed=5), []
        with pytest.warns(dl.DivergenceWarning):
            result = net.fit(
                case.X,
                case.Y,
                solver=dl.GradientDescent(50.0, batch_size=batch_size),
                tol=0,
                validation=(case.X[:4], case.Y[:4]),
                patience=patience,
                callback=lambda info, states=states: states.append(info.network.parameters.copy()),
            )
        assert result.stop_reason == "diverged"
        assert result.epochs == len(states) > 3
        assert set(result.state) == {"epochs", "key", "position"}
        costs = result.history.validation_cost
        assert result.best_epoch == 1 + int(np.argmin(costs))
        end = result.best_epoch - 1 if patience else -1
        assert (bits(net.parameters) == bits(states[end])).all()
        assert result.validation_cost == costs[end] == net.cost(case.X[:4], case.Y[:4])
        assert result.cost == net.cost(case.X, case.Y)


def test_divergence_in_the_first_epoch_leaves_the_start():
    case = make_case((3, 2), (), "identity", "squared_error", n=10, seed=1)
    net = case.network()
    with pytest.warns(dl.DivergenceWarning):
        result = net.fit(
            case.X,
            case.Y,
            solver=dl.GradientDescent(1e300),
            validation=(case.X, case.Y),
            patience=1,
        )
    assert (result.epochs, result.best_epoch) == (0, None)
    assert (bits(net.parameters) == bits(case.network().parameters)).all()
    assert result.validation_cost == result.cost == net.cost(case.X, case.Y)


def test_patience_among_the_reasons():
    """It comes after the solver's own and before the callback, max_epochs and max_time."""
    net = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="identity")
    start = net.parameters.copy()

    def fit(solver, **options):
        net.parameters = start
        # Whatever is learned lowers the outputs, which is what these targets mind.
        options = {"tol": 0, "validation": ([[1.0]], [1e9]), "patience": 1, **options}
        return net.fit([[1.0]], [0.5], solver=solver, **options)

    gd = dl.GradientDescent(0.25)
    assert (fit(gd).stop_reason, fit(gd).epochs) == ("patience", 2)
    second = fit(gd).history.cost[1]
    assert fit(gd, goal=second).stop_reason == "goal"
    assert fit(gd, goal=second).best_epoch == 1
    assert fit(gd, tol=fit(gd).history.cost[0] - second + 1e-12).stop_reason == "converged"
    everything = {"callback": lambda info: info.epoch == 2, "max_epochs": 2}
    assert fit(gd, **everything).stop_reason == "patience"
    assert fit(gd, **everything, max_time=1e-9).stop_reason in ("patience", "max_time")
    assert fit(gd, **everything, patience=2).stop_reason == "callback"
    solver = dl.ScaledConjugateGradient(min_gradient=0.0)
    norms = fit(solver, patience=50, max_epochs=2).history.gradient_norm
    own = dl.ScaledConjugateGradient(min_gradient=float(norms[1]))
    assert norms[1] < norms[0]
    assert (fit(own).stop_reason, fit(own).epochs) == ("min_gradient", 2)
    assert (fit(solver, max_epochs=2).stop_reason) == "patience"
    for options in ({"solver": own}, {"solver": gd}, {"solver": gd, "goal": second}):
        result = fit(**options)
        assert result.history.validation_cost.shape == (2,)
        assert result.best_epoch == 1
        assert net.cost([[1.0]], [1e9]) == result.validation_cost


def test_not_a_number_is_never_the_best():
    case = noise()
    other = case.other_Y.copy()
    other[3, 1] = np.nan
    net = case.network()
    result = net.fit(
        case.X,
        case.Y,
        solver=dl.GradientDescent(0.01),
        tol=0,
        validation=(case.other_X, other),
        patience=4,
        check_finite=False,
    )
    assert (result.stop_reason, result.epochs, result.best_epoch) == ("patience", 4, None)
    assert math.isnan(result.validation_cost)
    assert result.cost == result.cost_history[-1] == net.cost(case.X, case.Y)


# ---- slices ----


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
def test_signals_are_served_within_a_long_validation():
    """The parameters are those of the complete epoch, whose validation is left in its middle."""

    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    case = make_case((16, 200, 200, 1), "tanh", "identity", "squared_error", n=80_000, seed=1)
    one = case.network()
    few, solver = (case.X[:10], case.Y[:10]), dl.GradientDescent(1e-6)
    one.fit(*few, solver=solver, tol=0, max_epochs=1)
    began = time.perf_counter()
    case.network().cost(case.X, case.Y, n_threads=1)
    whole = time.perf_counter() - began
    took = np.inf
    for _ in range(10):  # other processes may hold up any of them
        net = case.network()
        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, min(0.1, whole / 4))
            began = time.perf_counter()
            with pytest.raises(Stop):
                net.fit(*few, solver=solver, tol=0, validation=(case.X, case.Y), n_threads=1)
            took = min(took, time.perf_counter() - began)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert (bits(net.parameters) == bits(one.parameters)).all()
        if took < whole:
            break
    assert took < whole


def test_max_time_ends_after_the_validation():
    case = noise(others=20_000)
    result = case.network().fit(
        case.X,
        case.Y,
        solver=dl.GradientDescent(1e-6),
        tol=0,
        max_epochs=10**9,
        validation=(case.other_X, case.other_Y),
        max_time=0.05,
    )
    assert result.stop_reason == "max_time"
    assert np.isfinite(result.history.validation_cost).all()
    assert result.history.validation_cost.shape == (result.epochs,)
    assert result.seconds < 30


def test_progress_bar_tells_both_costs(monkeypatch):
    pytest.importorskip("tqdm")
    texts = []
    from tqdm import tqdm

    monkeypatch.setattr(tqdm, "set_postfix_str", lambda bar, s, refresh: texts.append(s))
    case = noise()
    others = (case.other_X, case.other_Y)
    for validation in (None, others):
        case.network().fit(
            case.X,
            case.Y,
            solver=dl.LBFGS(),
            max_epochs=2,
            tol=0,
            progress=True,
            validation=validation,
        )
    assert texts[0].startswith("cost ")
    assert "validation" not in texts[0]
    assert ", validation " in texts[-1]


def test_more_epochs_than_there_is_room_for(monkeypatch):
    """The history grows, and a short one does not keep the room of a long one."""
    solver = dl.GradientDescent(0.25)
    nets = [dl.Network([2, 2, 1], seed=3) for _ in range(2)]
    expected = nets[0].fit(X, Y, solver=solver, tol=0, max_epochs=1000).history
    monkeypatch.setattr("deltaloop._core.EPOCHS_AT_ONCE", 7)
    grown = nets[1].fit(X, Y, solver=solver, tol=0, max_epochs=1000).history
    assert (bits(grown.cost) == bits(expected.cost)).all()
    assert (bits(grown.gradient_norm) == bits(expected.gradient_norm)).all()
    monkeypatch.undo()
    short = nets[0].fit(X, Y, solver=solver, tol=0, max_epochs=10**9, goal=np.inf)
    assert short.epochs <= 1
    assert short.history.cost.base is None or short.history.cost.base.nbytes <= 2**20
