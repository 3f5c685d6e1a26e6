"""When a fit ends, what it reports, and in which state it leaves the network."""

from __future__ import annotations

import itertools
import json
import math
import signal
import sys
import warnings

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import make_case, permutations, xor_data
from tests.helpers.compare import bits
from tests.helpers.processes import run_python

X, Y = xor_data()
GD = dl.GradientDescent(0.5)
BATCHES = dl.GradientDescent(0.5, batch_size=3)


def xor(seed=0):
    return dl.Network([2, 2, 1], seed=seed)


def large(n):
    """A case on either side of the 4,096 instances from which sums are cut in ranges."""
    return make_case((3, 5, 2), "tanh", "identity", "squared_error", n=n, seed=1)


def check_record(net, X, Y, result, full_batch):
    """The fields of a result, as they are defined, to the bit."""
    history = result.cost_history
    assert history.dtype == np.float64
    assert history.shape == (result.epochs,)
    well = " But " not in result.message
    assert result.converged == (result.stop_reason in ("converged", "goal") and well)
    assert result.cost == net.cost(X, Y)
    assert result.seconds >= 0
    assert all(isinstance(value, np.ndarray) for value in result.state.values())
    if full_batch:
        assert result.cost == (history[-1] if result.epochs else result.initial_cost)
        gradient = net.gradient(X, Y)[1]
        if result.stop_reason != "max_epochs":  # after which nobody steps any more
            assert result.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-13)
    else:
        assert math.isnan(result.initial_cost)


def first_small_change(costs, tol):
    """The first index e with |C_e - C_(e-1)| < tol."""
    return next(e for e in range(1, len(costs)) if abs(costs[e] - costs[e - 1]) < tol)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6, 1e-8])
def test_full_batch_converges_at_the_first_small_change(tol):
    """C_0 counts: epoch 1 is compared with the cost before it."""
    net = xor()
    C_0 = net.cost(X, Y)
    result = net.fit(X, Y, solver=GD, tol=tol, max_epochs=500_000)
    assert result.stop_reason == "converged"
    assert result.initial_cost == C_0
    check_record(net, X, Y, result, full_batch=True)
    assert first_small_change([C_0, *result.cost_history], tol) == result.epochs


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
def test_mini_batches_converge_at_the_first_small_change(tol):
    """The sums of epochs are compared from epoch 2 on."""
    case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=17, seed=1)
    net = case.network(seed=0)
    solver = dl.GradientDescent(0.02, batch_size=5, shuffle=False)
    result = net.fit(case.X, case.Y, solver=solver, tol=tol, max_epochs=500_000)
    assert result.stop_reason == "converged"
    check_record(net, case.X, case.Y, result, full_batch=False)
    assert first_small_change(list(result.cost_history), tol) == result.epochs - 1


@pytest.mark.parametrize("n", [40, 4095, 4096, 5000])
def test_costs_are_those_of_cost(n):
    """Every entry of the history is C after its epoch, to the bit, and not only the last."""
    case = large(n)
    net, costs = case.network(seed=0), []
    solver = dl.GradientDescent(0.1 / n)
    result = net.fit(
        case.X,
        case.Y,
        solver=solver,
        tol=0,
        max_epochs=5,
        callback=lambda info: costs.append(info.network.cost(case.X, case.Y)),
    )
    assert result.cost_history.tolist() == costs
    assert result.initial_cost == case.network().cost(case.X, case.Y)
    assert result.stop_reason == "max_epochs"
    check_record(net, case.X, case.Y, result, full_batch=True)


@pytest.mark.parametrize("n", [40, 4096])
def test_mini_batch_history_is_the_sum_of_costs_before_the_steps(n):
    case = large(n)
    net, other = case.network(), case.network()
    solver = dl.GradientDescent(1e-3, batch_size=7, shuffle=False)
    result = net.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=2)
    trainer = other.trainer(dl.GradientDescent(1e-3))
    for entry in result.cost_history:
        steps = [trainer.step(case.X[i : i + 7], case.Y[i : i + 7]) for i in range(0, n, 7)]
        assert entry == pytest.approx(math.fsum(steps), rel=1e-14)
    assert (bits(net.parameters) == bits(other.parameters)).all()
    check_record(net, case.X, case.Y, result, full_batch=False)


@pytest.mark.parametrize("solver", [GD, BATCHES], ids=["full", "batches"])
def test_tol_zero_never_converges(solver):
    """Not even where nothing moves: all weights zero and every target already met."""
    net = dl.Network.from_weights([np.zeros((2, 1))], [[0.0]], activation="identity")
    result = net.fit(X, np.zeros(4), solver=solver, tol=0, max_epochs=25)
    assert (result.stop_reason, result.epochs) == ("max_epochs", 25)
    assert not result.converged
    assert result.cost == 0
    check_record(net, X, np.zeros(4), result, full_batch=solver.batch_size is None)


@pytest.mark.parametrize("solver", [GD, BATCHES], ids=["full", "batches"])
def test_nothing_moves_and_any_tol_converges(solver):
    net = dl.Network.from_weights([np.zeros((2, 1))], [[0.0]], activation="identity")
    result = net.fit(X, np.zeros(4), solver=solver, tol=5e-324)
    assert result.stop_reason == "converged"
    assert result.epochs == (1 if solver.batch_size is None else 2)


@pytest.mark.parametrize("solver", [GD, BATCHES], ids=["full", "batches"])
def test_saturated_network_converges_with_a_high_cost(solver):
    """All outputs are 1 to the last bit where 0 is wanted, and a (1 - a) is 0."""
    net = dl.Network.from_weights([np.ones((2, 2)), [[30.0], [30.0]]], [[1.0, 1.0], [0.0]])
    before = net.parameters.copy()
    result = net.fit(X, np.zeros(4), solver=solver)
    assert result.stop_reason == "converged"
    assert result.converged
    assert result.cost == 2
    assert (net.parameters == before).all()


def test_goal():
    """The fit ends at the first cost at most the goal, which itself counts."""
    full = xor().fit(X, Y, solver=GD, tol=0, max_epochs=3000)
    for goal in (full.cost_history[1999], np.nextafter(full.cost_history[1999], 1)):
        net = xor()
        result = net.fit(X, Y, solver=GD, tol=0, goal=goal)
        assert (result.stop_reason, result.epochs) == ("goal", 2000)
        assert result.converged
        assert (result.cost_history == full.cost_history[:2000]).all()
        check_record(net, X, Y, result, full_batch=True)
    result = xor().fit(X, Y, solver=GD, tol=0, goal=np.nextafter(full.cost_history[1999], 0))
    assert result.epochs == 2001


def test_goal_met_at_the_start():
    net = xor()
    before, C_0 = net.parameters.copy(), net.cost(X, Y)
    result = net.fit(X, Y, solver=GD, goal=C_0, callback=lambda info: pytest.fail("was called"))
    assert (result.stop_reason, result.epochs, result.cost) == ("goal", 0, C_0)
    assert result.cost_history.size == 0
    assert (net.parameters == before).all()
    check_record(net, X, Y, result, full_batch=True)


def test_goal_of_mini_batches_is_on_the_sum_of_an_epoch():
    full = xor().fit(X, Y, solver=BATCHES, tol=0, max_epochs=50, seed=3)
    goal = full.cost_history.min()
    net = xor()
    result = net.fit(X, Y, solver=BATCHES, tol=0, goal=goal, seed=3)
    assert result.stop_reason == "goal"
    assert result.epochs == 1 + np.flatnonzero(full.cost_history <= goal)[0]
    check_record(net, X, Y, result, full_batch=False)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_max_time(batch_size):
    net = xor()
    solver = dl.GradientDescent(1e-3, batch_size=batch_size)
    result = net.fit(X, Y, solver=solver, tol=0, max_epochs=10**12, max_time=0.1)
    assert result.stop_reason == "max_time"
    assert not result.converged
    assert 0.1 <= result.seconds < 30
    check_record(net, X, Y, result, full_batch=batch_size is None)


def test_max_time_shorter_than_an_epoch():
    """What was begun becomes a whole epoch, so that the record stays that of whole epochs."""
    case = make_case((10, 40, 1), "tanh", "identity", "squared_error", n=20_000, seed=1)
    net = case.network()
    result = net.fit(
        case.X, case.Y, solver=dl.GradientDescent(1e-6), tol=0, max_epochs=10**6, max_time=1e-6
    )
    assert result.stop_reason == "max_time"
    assert result.seconds < 30
    check_record(net, case.X, case.Y, result, full_batch=True)


def test_the_order_of_the_reasons():
    """Several fire after the same epoch: converged, goal, callback, max_epochs, max_time."""
    C_0, C_1 = xor().cost(X, Y), xor().fit(X, Y, solver=GD, max_epochs=1, tol=0).cost
    assert C_1 < C_0
    everything = {
        "tol": 1.0,
        "goal": C_1,
        "callback": lambda info: True,
        "max_epochs": 1,
        "max_time": 1e-9,
    }
    for reason, without in [
        ("converged", {}),
        ("goal", {"tol": 0}),
        ("callback", {"goal": None}),
        ("max_epochs", {"callback": None}),
        ("max_time", {"max_epochs": 10**7}),
    ]:
        everything.update(without)
        result = xor().fit(X, Y, solver=GD, **everything)
        assert result.stop_reason == reason
        assert result.epochs == 1 or reason == "max_time"


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("every", [1, 3, 7])
def test_callbacks(every, batch_size):
    """They run after exactly every k-th epoch, see its cost and parameters, and change no bit."""
    solver = dl.GradientDescent(0.5, batch_size=batch_size)
    net, seen = xor(), []

    def callback(info):
        seen.append((info.epoch, info.cost, info.seconds, info.network.parameters.copy()))
        assert info.network is net

    result = net.fit(
        X, Y, solver=solver, tol=0, max_epochs=20, seed=1, callback=callback, callback_every=every
    )
    assert [epoch for epoch, *_ in seen] == list(range(every, 21, every))
    assert [cost for _, cost, *_ in seen] == result.cost_history[every - 1 :: every].tolist()
    seconds = [s for _, _, s, _ in seen]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[-1] <= result.seconds
    for epoch, _, _, parameters in seen:
        alone = xor()
        alone.fit(X, Y, solver=solver, tol=0, max_epochs=epoch, seed=1)
        assert (bits(alone.parameters) == bits(parameters)).all()
    alone = xor()
    alone.fit(X, Y, solver=solver, tol=0, max_epochs=20, seed=1)
    assert (bits(alone.parameters) == bits(net.parameters)).all()


@pytest.mark.parametrize("solver", [GD, BATCHES], ids=["full", "batches"])
def test_callback_stops(solver):
    net = xor()
    result = net.fit(X, Y, solver=solver, tol=0, callback=lambda info: info.epoch == 13)
    assert (result.stop_reason, result.epochs, result.converged) == ("callback", 13, False)
    check_record(net, X, Y, result, full_batch=solver is GD)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("solver", [GD, BATCHES], ids=["full", "batches"])
def test_exceptions_of_a_callback_propagate(solver, error):
    """The network keeps the parameters of the epoch, and trains on."""
    net, at = xor(), []

    def callback(info):
        if info.epoch == 5:
            at.append(info.network.parameters.copy())
            raise error("from the callback")

    with pytest.raises(error, match="from the callback"):
        net.fit(X, Y, solver=solver, tol=0, seed=0, callback=callback)
    assert (net.parameters == at[0]).all()
    assert net.fit(X, Y, solver=solver, tol=0, max_epochs=2).epochs == 2


def diverging(solver, **arguments):
    """Fit until it diverges; return the network, the result and a network for another fit."""
    case = make_case((3, 2), (), "identity", "squared_error", n=10, seed=1)
    net = case.network()
    with pytest.warns(dl.DivergenceWarning):
        result = net.fit(
            case.X, case.Y, solver=solver, tol=0, max_epochs=100_000, seed=2, **arguments
        )
    return case, net, result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"batch_size": 3},
        {"batch_size": 1, "momentum": 0.5},
    ],
    ids=str,
)
def test_divergence(options):
    """The epoch that ends in Inf or NaN is undone, and is neither counted nor in the history."""
    solver = dl.GradientDescent(50.0, **options)
    case, net, result = diverging(solver)
    assert result.stop_reason == "diverged"
    assert not result.converged
    assert result.epochs > 3
    assert np.isfinite(net.parameters).all()
    assert np.isfinite(result.cost_history).all()
    other = case.network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", dl.ConvergenceWarning)
        again = other.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=result.epochs, seed=2)
    assert "the cost has not fallen" in again.message
    assert again.stop_reason == "max_epochs"
    assert (bits(net.parameters) == bits(other.parameters)).all()
    assert (again.cost_history == result.cost_history).all()
    for name in ("epochs", "key", "position"):
        assert (result.state[name] == again.state[name]).all()
    assert result.cost_history[-1] > 1e100
    assert result.cost == net.cost(case.X, case.Y)
    if solver.batch_size is None:
        assert result.cost == result.cost_history[-1]


def test_divergence_is_the_first_cost_that_is_not_finite():
    """reference.py, in the same epochs, first overflows in the epoch that was undone."""
    case, _, result = diverging(dl.GradientDescent(50.0))
    with np.errstate(all="ignore"):
        finite = itertools.takewhile(
            lambda epoch: np.isfinite(epoch[0]) and np.isfinite(epoch[1]).all(),
            case.reference().epochs(case.X, case.Y, 50.0),
        )
        assert result.epochs == len(list(finite))


@pytest.mark.parametrize("batch_size", [None, 4])
def test_divergence_in_the_first_epoch(batch_size):
    case = make_case((3, 2), (), "identity", "squared_error", n=10, seed=1)
    net = case.network()
    with pytest.warns(dl.DivergenceWarning):
        result = net.fit(case.X, case.Y, solver=dl.GradientDescent(1e300, batch_size=batch_size))
    assert (result.stop_reason, result.epochs) == ("diverged", 0)
    assert result.cost_history.size == 0
    assert (net.parameters == case.network().parameters).all()
    assert result.cost == net.cost(case.X, case.Y)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_divergence_leaves_the_stream_at_the_epoch_start(batch_size):
    net = dl.Network([3, 2], activation="identity", seed=1)
    case = make_case((3, 2), (), "identity", "squared_error", n=10, seed=1)
    position, state = net._position, np.random.SeedSequence(1).generate_state(2, np.uint64)
    assert position > 0
    with pytest.warns(dl.DivergenceWarning):
        result = net.fit(case.X, case.Y, solver=dl.GradientDescent(1e300, batch_size=batch_size))
    assert net._position == position == result.state["position"]
    assert (result.state["key"] == state).all()


def test_divergence_wins_over_everything():
    """NaN never counts as converged, nor Inf as a goal that is met."""
    _, _, result = diverging(
        dl.GradientDescent(50.0), goal=0.0, callback=lambda info: not np.isfinite(info.cost)
    )
    assert result.stop_reason == "diverged"


def test_divergence_warning_is_a_runtime_warning():
    assert issubclass(dl.DivergenceWarning, RuntimeWarning)


INTERRUPTED = """
import json, os, signal, sys, threading, time
import numpy as np
import deltaloop as dl
from tests.helpers.cases import make_case

layers, n, batch_size = json.loads(sys.argv[1])
case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
net = case.network(seed=0)
solver = dl.GradientDescent(1e-6, batch_size=batch_size)
sent = []

def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Timer(0.4, interrupt).start()
try:
    net.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=10**7, seed=4)
except KeyboardInterrupt:
    delay = time.perf_counter() - sent[0]
else:
    raise SystemExit("fit returned")
assert np.isfinite(net.parameters).all()
assert np.isfinite(net.predict(case.X[:5])).all()
interrupted = net.parameters.copy()
again = net.fit(case.X[:100], case.Y[:100], solver=dl.GradientDescent(1e-6), max_epochs=3, tol=0)
assert again.epochs == 3
print(json.dumps({"delay": delay, "parameters": interrupted.view(np.uint64).tolist()}))
"""


def interrupted(layers, n, batch_size, record_property):
    """Interrupt a fit after 0.4 s; check the delay and return the case and the parameters' bits."""
    out = json.loads(run_python(INTERRUPTED, json.dumps([layers, n, batch_size])))
    record_property("seconds to KeyboardInterrupt", round(out["delay"], 4))
    # 0.1 s are promised; the rest is for a machine that other processes share.
    assert out["delay"] < 3.0
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
    return case, tuple(out["parameters"])


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="os.kill cannot send SIGINT")


@pytest.mark.slow
@needs_signals
def test_interrupt_of_a_full_batch(record_property):
    """The parameters are those after some whole number of epochs."""
    case, parameters = interrupted([8, 40, 1], 2000, None, record_property)
    found = []

    def callback(info):
        found.append(tuple(bits(info.network.parameters).tolist()) == parameters)
        return found[-1]

    solver = dl.GradientDescent(1e-6)
    case.network(seed=0).fit(
        case.X, case.Y, solver=solver, tol=0, max_epochs=100_000, max_time=30, callback=callback
    )
    assert found[-1]
    assert len(found) > 1


@pytest.mark.slow
@needs_signals
def test_interrupt_within_an_epoch_of_a_full_batch(record_property):
    """An epoch of seconds is left in its middle: the parameters are still the first ones."""
    case, parameters = interrupted([16, 200, 200, 1], 150_000, None, record_property)
    net, after = case.network(), [tuple(bits(case.network().parameters).tolist())]
    if parameters not in after:  # a fast machine completes an epoch or two
        net.fit(
            case.X,
            case.Y,
            solver=dl.GradientDescent(1e-6),
            tol=0,
            max_epochs=3,
            callback=lambda info: after.append(tuple(bits(info.network.parameters).tolist())),
        )
    assert parameters in after


@pytest.mark.slow
@needs_signals
def test_interrupt_of_mini_batches(record_property):
    """The parameters are those after some whole number of steps."""
    case, parameters = interrupted([8, 40, 1], 4000, 64, record_property)
    net, parameters = case.network(), np.array(parameters, dtype=np.uint64)
    trainer = net.trainer(dl.GradientDescent(1e-6))
    for order in itertools.islice(permutations(4000, 4), 20_000):
        for i in range(0, 4000, 64):
            trainer.step(case.X[order[i : i + 64]], case.Y[order[i : i + 64]])
            if (bits(net.parameters) == parameters).all():
                return
    pytest.fail("no number of steps gives these parameters")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
def test_other_signals_are_served_and_training_goes_on():
    """A handler that returns neither ends nor changes the fit."""
    case = make_case((8, 40, 1), "tanh", "identity", "squared_error", n=2000, seed=1)
    plain, disturbed, calls = case.network(), case.network(), []
    solver = dl.GradientDescent(1e-6)
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        timed = disturbed.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=10**6, max_time=0.3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls
    plain.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=timed.epochs)
    assert (bits(plain.parameters) == bits(disturbed.parameters)).all()


# ---- the last epoch of max_epochs evaluates the cost alone ----

FIRST_ORDER = [
    GD,
    dl.GradientDescent(0.1, momentum=0.5),
    dl.GradientDescent(0.5, clip_norm=0.01),
    dl.Adam(0.01),
    dl.Rprop(),
    dl.Quickprop(0.1),
]


@pytest.mark.parametrize("layers", [(2, 2, 1), (2, 30, 1)])
@pytest.mark.parametrize("solver", FIRST_ORDER, ids=repr)
def test_last_epoch_without_a_gradient(solver, layers):
    """Costs, parameters and what goes on from there are those of a fit that goes further."""
    nets, fits = [], []
    for most in (3, 6):
        nets.append(dl.Network(layers, seed=1))
        fits.append(nets[-1].fit(X, Y, solver=solver, tol=0, max_epochs=most))
    short, long = fits
    assert short.cost_history.tolist() == long.cost_history[:3].tolist()
    assert short.cost == nets[0].cost(X, Y) == short.cost_history[-1]
    norms, further = short.history.gradient_norm, long.history.gradient_norm
    assert norms[:2].tolist() == further[:2].tolist()
    assert norms[2] == norms[1] == short.gradient_norm != further[2]
    rest = nets[0].fit(X, Y, solver=solver, tol=0, max_epochs=6, resume=short.state)
    assert rest.cost_history.tolist() == long.cost_history[3:].tolist()
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    assert rest.gradient_norm == long.gradient_norm
