"""What there is of a fit that is not over: `info.state`, and `KeyboardInterrupt.result`."""

from __future__ import annotations

import itertools
import pickle
import random
import signal

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._fit import stages
from tests.helpers.compare import same

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(60, 4)), RNG.normal(size=(60, 2))
EPOCHS = 12

CASES = {
    "descent": {"solver": dl.GradientDescent(1e-3, momentum=0.5)},
    "mini-batches": {"solver": dl.GradientDescent(1e-3, batch_size=7)},
    "adam": {"solver": dl.Adam(1e-2, batch_size=16)},
    "dropout": {"solver": dl.Adam(1e-2), "dropout": 0.3},
    "rprop": {"solver": dl.Rprop()},
    "quickprop": {"solver": dl.Quickprop(1e-3)},
    "lbfgs": {"solver": dl.LBFGS()},
    "scg": {"solver": dl.ScaledConjugateGradient()},
    "levenberg": {"solver": dl.LevenbergMarquardt()},
    "bayesian": {"solver": dl.BayesianRegularization()},
    "schedule": {"solver": dl.GradientDescent(dl.schedules.Cosine(1e-3, epochs=EPOCHS))},
    "held out": {"solver": dl.Adam(1e-2, batch_size=16), "validation": 0.25, "patience": 50},
    "chain": {"solver": [dl.Adam(1e-2), dl.LBFGS()], "max_epochs": [5, EPOCHS - 5]},
    "scaled": {"solver": dl.Rprop(), "scale": "standard"},
    "penalty": {"solver": dl.Adam(1e-2, batch_size=16), "l2": 0.1},
}
STEPWISE = [name for name in CASES if name not in ("chain", "held out")]


pytestmark = pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")


def options(name, **others):
    return {"max_epochs": EPOCHS, "tol": 0.0} | CASES[name] | others


def net():
    return dl.Network([4, 6, 2], activation="tanh", output="identity", seed=3)


def equal(a, b):
    return list(a) == list(b) and all(same(np.asarray(a[k]), np.asarray(b[k])) for k in a)


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_needs_no_second_fit(name):
    """Each epoch's state is that of a fit which ends there, and goes on with the same bits."""
    states = {}
    whole = net()
    result = whole.fit(X, Y, **options(name), callback=lambda i: states.update({i.epoch: i.state}))
    assert list(states) == list(range(1, result.epochs + 1))
    assert equal(states[result.epochs], result.state)
    for epoch in {3, min(7, result.epochs - 1)}:
        if name != "chain":
            short = net().fit(X, Y, **options(name, max_epochs=epoch))
            assert equal(states[epoch], short.state)
        twin = net()
        rest = twin.fit(X, Y, **options(name), resume=states[epoch])
        assert same(twin.parameters, whole.parameters)
        assert rest.cost == result.cost
        assert equal(rest.state, result.state)


def test_a_state_is_made_when_it_is_asked_for_and_only_then():
    kept = []
    net().fit(X, Y, **options("adam"), callback=kept.append)
    with pytest.raises(RuntimeError, match="only until the callback returns"):
        kept[0].state  # noqa: B018
    copied = []
    net().fit(X, Y, **options("adam"), callback=lambda i: copied.append(pickle.dumps(i)))
    with pytest.raises(RuntimeError, match="only in the fit that made"):
        pickle.loads(copied[0]).state  # noqa: B018
    info = dl.EpochInfo(1, 0.5, 0.1, net(), 0.0, 0.0, 0.0)
    with pytest.raises(RuntimeError, match="only in the fit that made"):
        info.state  # noqa: B018


def interrupting(epoch):
    def callback(info):
        if info.epoch == epoch:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_between_epochs(name):
    """It has the result so far, which goes on with the bits of a fit that nobody interrupted."""
    network, whole = net(), net()
    with pytest.raises(KeyboardInterrupt) as caught:
        network.fit(X, Y, **options(name), callback=interrupting(7))
    result = caught.value.result
    expected = whole.fit(X, Y, **options(name))
    assert result.stop_reason == result.stages[-1].stop_reason == "interrupted"
    assert (result.epochs, result.converged, len(result.message) > 20) == (7, False, True)
    assert same(result.cost_history, expected.cost_history[:7])
    assert same(result.history.validation_cost, expected.history.validation_cost[:7])
    if "patience" not in CASES[name]:
        assert same(result.state["parameters"], network.parameters)
        assert (result.best_epoch, "last complete step" in result.message) == (None, True)
    if not np.isnan(result.cost) and name != "penalty":
        assert result.cost == network.cost(X, Y)
    network.fit(X, Y, **options(name), resume=result.state)
    assert same(network.parameters, whole.parameters)


def cut_short(seconds, call):
    """The result that a signal after so many seconds leaves of a fit.

    None if it came before the training began, or after its end.
    """
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "result", None)
    return None


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
@pytest.mark.parametrize("name", STEPWISE)
def test_an_interrupt_at_any_moment(name):
    """The state goes on with the same bits, or says that it cannot."""
    random.seed(7)
    whole, cut = net(), 0
    took = whole.fit(X, Y, **options(name, max_epochs=400)).seconds
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(12):
            network = net()
            result = cut_short(
                max(random.uniform(0, took), 1e-5),
                lambda at=network: at.fit(X, Y, **options(name, max_epochs=400)),
            )
            if result is None:
                continue
            cut += 1
            assert len(result.cost_history) == result.epochs == int(result.state["epochs"])
            if "parameters" not in result.state:
                assert np.isnan(result.cost)
                with pytest.raises(ValueError, match="interrupted within an epoch"):
                    network.fit(X, Y, **options(name), resume=result.state)
                continue
            alone, more = net(), options(name, max_epochs=result.epochs + 3)
            alone.fit(X, Y, **more)
            network.fit(X, Y, **more, resume=result.state)
            assert same(network.parameters, alone.parameters)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert cut or took < 0.01


FULL = {
    "momentum": {"solver": dl.GradientDescent(1e-5, momentum=0.5)},
    "clipped": {"solver": dl.GradientDescent(1e-3, clip_norm=1.0)},
    "plateau": {"solver": dl.GradientDescent(dl.schedules.Plateau(1e-5, patience=0))},
    "adam": {"solver": dl.Adam()},
    "adamw": {"solver": dl.AdamW(1e-2), "l1": 0.1},
    "rprop": {"solver": dl.Rprop()},
    "quickprop": {"solver": dl.Quickprop()},
    "lbfgs": {"solver": dl.LBFGS()},
    "scg": {"solver": dl.ScaledConjugateGradient()},
    "levenberg": {"solver": dl.LevenbergMarquardt()},
    "held out": {"solver": dl.Rprop(), "validation": 0.25, "patience": 9},
    "chain": {"solver": [dl.Adam(), dl.Rprop()], "max_epochs": [2, 3]},
}


@pytest.mark.parametrize("name", FULL)
def test_an_interrupt_within_a_pass_over_all_instances(name, monkeypatch):
    """After each portion: a step may have been taken whose cost is not known."""
    x, y = RNG.normal(size=(3000, 4)), RNG.normal(size=(3000, 2))
    options = {"max_epochs": 4, "tol": 0.0} | FULL[name]
    whole = net()
    expected = whole.fit(x, y, **options)
    monkeypatch.setattr(stages, "FIRST_WORK", 1.0)
    portions, within = itertools.count(), 0

    def fit(network, stop, **others):
        left = itertools.count()

        def adapted(*_):
            if next(left) == stop:
                raise KeyboardInterrupt
            return 1.0

        monkeypatch.setattr(stages, "adapted", adapted)
        return network.fit(x, y, **options | others)

    for portion in portions:
        network, twin = net(), net()
        try:
            fit(network, portion)
            break
        except KeyboardInterrupt as interrupt:
            so_far = interrupt.result
        if "parameters" not in so_far.state:
            assert so_far.epochs == 0 or name == "chain"  # before the stage's first step
            continue
        if "epoch_row" in so_far.state:
            within += 1
            assert np.isnan(so_far.cost) or "patience" in options
            assert np.isnan(so_far.validation_cost) or "patience" in options
        elif not np.isnan(so_far.cost) and not {"validation", "l1"} & set(options):
            assert so_far.cost == network.cost(x, y)
        if so_far.epochs == expected.epochs:
            continue  # all is done but the validation
        rest = fit(twin, -1, resume=so_far.state)
        assert same(twin.parameters, whole.parameters)
        assert equal(rest.state, expected.state)
        assert (rest.cost, rest.gradient_norm) == (expected.cost, expected.gradient_norm)
        for series in ("cost", "validation_cost", "learning_rate", "gradient_norm"):
            there = getattr(expected.history, series)[so_far.epochs :]
            assert same(getattr(rest.history, series)[-len(there) :], there), series
    assert portion > 8
    assert (within > 3) == (name not in ("lbfgs", "scg", "levenberg"))


@pytest.mark.parametrize("batch_size", [None, 7])
def test_an_interrupt_while_it_diverges_leaves_numbers(batch_size, monkeypatch):
    """A step to an infinite parameter ends the fit where it is seen, not at the epoch's end."""
    x, y = RNG.normal(size=(3000, 4)), RNG.normal(size=(3000, 2))
    solver = dl.GradientDescent(1.7e308, batch_size=batch_size)
    monkeypatch.setattr(stages, "FIRST_WORK", 1.0)
    monkeypatch.setattr(stages, "adapted", lambda *_: 1.0)
    network = dl.Network([4, 6, 2], activation="tanh", output="tanh", seed=3)
    before = network.parameters.copy()
    with pytest.warns(RuntimeWarning, match="diverged in epoch 1"):
        result = network.fit(x, y, solver=solver, max_epochs=3)
    assert (result.stop_reason, result.epochs) == ("diverged", 0)
    assert same(network.parameters, before)
    monkeypatch.undo()
    twin = dl.Network([4, 6, 2], activation="tanh", output="tanh", seed=3)
    with pytest.warns(RuntimeWarning, match="diverged in epoch 1"):
        assert twin.fit(x, y, solver=solver, max_epochs=3).stop_reason == "diverged"


# ---- patience ----

JUDGE = (RNG.normal(size=(30, 4)), RNG.normal(size=(30, 2)))
FITTED = {
    "mini-batches": {"solver": dl.Adam(0.02, batch_size=16)},
    "full": {"solver": dl.Adam(0.02)},
    "lbfgs": {"solver": dl.LBFGS()},
    "chain": {"solver": [dl.Adam(0.02), dl.LBFGS()], "max_epochs": [10, 400]},
    "dropout": {"solver": dl.Adam(0.02), "dropout": 0.1},
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", FITTED)
def test_with_patience_the_best_parameters_are_restored(name, error):
    """However a fit ends: by Ctrl-C or an error of a callback, too."""
    network, seen = net(), []

    def callback(info):
        seen.append((info.validation_cost, info.network.parameters.copy()))
        if info.epoch == 60:
            raise error

    arguments = {"max_epochs": 400, "tol": 0.0} | FITTED[name] | {"validation": JUDGE}
    with pytest.raises(error) as caught:
        network.fit(X, Y, **arguments, patience=300, callback=callback)
    best = int(np.argmin([cost for cost, _ in seen]))
    assert best < 59
    assert same(network.parameters, seen[best][1])
    if error is RuntimeError:
        return
    result = caught.value.result
    assert (result.epochs, result.best_epoch) == (60, best + 1)
    assert result.validation_cost == seen[best][0]
    assert "lowest validation cost" in result.message
    if name in ("full", "lbfgs"):
        assert result.cost == network.cost(X, Y)
    if name == "chain":
        assert np.isnan(result.cost) == (best < 10)
    whole = net()  # the state has the last parameters, and goes on from there
    expected = whole.fit(X, Y, **arguments, patience=300)
    rest = network.fit(X, Y, **arguments, patience=300, resume=result.state)
    assert same(network.parameters, whole.parameters)
    assert rest.best_epoch == expected.best_epoch


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
def test_an_interrupt_at_any_moment_with_patience():
    """Within an epoch, too, the network gets the parameters of the best one."""
    random.seed(8)
    arguments = {"solver": dl.Adam(0.02, batch_size=16), "max_epochs": 10**7, "tol": 0.0}
    arguments |= {"validation": JUDGE, "patience": 10**7}
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    within = 0
    try:
        for _ in range(12):
            network = net()
            seconds = random.uniform(0.01, 0.1)
            result = cut_short(seconds, lambda at=network: at.fit(X, Y, **arguments))
            if result is None or result.best_epoch is None:
                continue
            within += "parameters" not in result.state
            assert result.history.validation_cost.argmin() + 1 == result.best_epoch
            assert result.validation_cost == network.cost(*JUDGE)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert within
