"""Results of fits, what callbacks are told, and the progress bar."""

from __future__ import annotations

import copy
import dataclasses
import gc
import math
import os
import pickle
import subprocess
import sys
import weakref
from unittest import mock

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import xor_data
from tests.helpers.compare import same
from tests.helpers.networks import pickled, xor

X, Y = xor_data()
GD = dl.GradientDescent(0.5)
BATCHES = dl.GradientDescent(0.5, batch_size=2)


# ---- results ----


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_fields_of_a_result(momentum, batch_size):
    net = xor()
    position = net._position
    solver = dl.GradientDescent(0.1, momentum=momentum, batch_size=batch_size)
    result = net.fit(X, Y, solver=solver, max_epochs=5, tol=0)
    kinds = {
        "cost": float,
        "loss": str,
        "initial_cost": float,
        "epochs": int,
        "n_instances": int,
        "n_validation": int,
        "converged": bool,
        "stop_reason": str,
        "cost_history": np.ndarray,
        "history": dl.History,
        "gradient_norm": float,
        "validation_cost": float,
        "best_epoch": type(None),
        "seconds": float,
        "solver": dl.GradientDescent,
        "stages": tuple,
    }
    for name, kind in kinds.items():
        assert type(getattr(result, name)) is kind
    names = [f.name for f in dataclasses.fields(result)]
    assert names == [*kinds, "state", "message", "choice", "l2"]
    assert (result.epochs, result.stop_reason, result.converged) == (5, "max_epochs", False)
    assert result.cost == net.cost(X, Y)
    assert result.cost_history.shape == (5,)
    assert result.cost_history.dtype == np.float64
    assert math.isnan(result.initial_cost) == (batch_size is not None)
    assert result.gradient_norm > 0
    assert 0 < result.seconds < 60
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.cost = 0.0
    drawn = 0 if batch_size is None else 5 * 3
    assert net._position == position + drawn
    state = result.state
    common = {"parameters", "epochs", "key", "position", "cost"}
    assert set(state) == common | ({"velocity"} if momentum else set())
    assert all(type(value) is np.ndarray for value in state.values())
    assert state["epochs"] == 5
    assert same(state["parameters"], net.parameters)
    assert state["cost"].sum() == result.cost_history[-1]
    assert result.solver == solver
    assert result.stages == (dl.Stage(solver, 5, "max_epochs", result.cost, mock.ANY),)
    assert state["position"] == position + drawn
    key = np.random.SeedSequence(4).generate_state(2, np.uint64)
    assert state["key"].tolist() == key.tolist()
    if momentum:
        assert state["velocity"].shape == (13,)
        velocity = state["velocity"].copy()
        net.fit(X, Y, solver=solver, max_epochs=5, tol=0)
        assert same(state["velocity"], velocity)


def test_velocity_of_a_result():
    net = xor()
    before, (_, g) = net.parameters.copy(), net.gradient(X, Y)
    solver = dl.GradientDescent(0.1, momentum=0.9)
    result = net.fit(X, Y, solver=solver, max_epochs=1, tol=0)
    np.testing.assert_allclose(result.state["velocity"], -0.1 * g, rtol=1e-14)
    np.testing.assert_allclose(net.parameters - before, result.state["velocity"], rtol=1e-12)


def some_result(**options):
    return xor().fit(X, Y, solver=dl.GradientDescent(0.1, momentum=0.5), max_epochs=3, **options)


def test_results_are_short_to_read():
    text = repr(some_result())
    assert text.startswith("FitResult(cost=")
    assert "stop_reason='max_epochs'" in text
    assert "array" not in text
    infos = []
    some_result(callback=infos.append)
    assert repr(infos[0]).startswith("EpochInfo(epoch=1, cost=0.")
    assert "Network" not in repr(infos[0])


@pytest.mark.parametrize(
    "function",
    [copy.copy, copy.deepcopy, pickled(2), pickled(5)],
    ids=["copy", "deepcopy", "pickle 2", "pickle 5"],
)
def test_results_are_copied_and_sent(function):
    """As when several processes train and return what they found."""
    result = some_result()
    twin = function(result)
    assert type(twin) is dl.FitResult
    assert twin.cost == result.cost
    assert same(twin.cost_history, result.cost_history)
    assert set(twin.state) == set(result.state)
    assert same(twin.state["velocity"], result.state["velocity"])


def test_results_are_made_into_dicts():
    assert dataclasses.asdict(some_result())["stop_reason"] == "max_epochs"


def test_results_are_compared():
    a, b = some_result(), some_result()
    assert isinstance(a == b, bool)
    assert a == a
    assert a in [b, a]


def test_callbacks_are_told():
    net, infos = xor(), []
    result = net.fit(X, Y, solver=GD, max_epochs=6, tol=0, callback=infos.append)
    assert [info.epoch for info in infos] == [1, 2, 3, 4, 5, 6]
    assert [info.cost for info in infos] == result.cost_history.tolist()
    seconds = [info.seconds for info in infos]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= result.seconds
    assert all(info.network is net for info in infos)
    assert all(type(v) is float for info in infos for v in (info.cost, info.seconds))
    with pytest.raises(dataclasses.FrozenInstanceError):
        infos[0].epoch = 3


@pytest.mark.parametrize("value", [True, np.True_, np.float64(0) < 1])
def test_callback_that_stops(value):
    """Also with what a comparison of NumPy's numbers gives."""
    result = xor().fit(X, Y, solver=GD, max_epochs=6, tol=0, callback=lambda info: value)
    assert (result.stop_reason, result.epochs) == ("callback", 1)


@pytest.mark.parametrize("value", [None, False, np.False_, 0])
def test_callback_that_goes_on(value):
    result = xor().fit(X, Y, solver=GD, max_epochs=6, tol=0, callback=lambda info: value)
    assert (result.stop_reason, result.epochs) == ("max_epochs", 6)


# ---- the progress bar ----

PROGRESS = """
import deltaloop as dl
net = dl.Network([2, 3, 1], seed=0)
solver = dl.GradientDescent(0.5)
result = net.fit([[0, 1], [1, 1]], [1, 0], solver=solver, max_epochs=321, tol=0, progress=True)
print(result.epochs)
"""


def test_progress_is_silent_off_a_terminal():
    pytest.importorskip("tqdm")
    done = subprocess.run([sys.executable, "-c", PROGRESS], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("321\n", "", 0)


def test_progress_on_a_terminal():
    pytest.importorskip("tqdm")
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRESS], stdout=subprocess.PIPE, stderr=slave, text=True
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # Linux: the other end was closed
                break
            if not part:
                break
            shown += part
        output = process.stdout.read()
    os.close(master)
    assert (output, process.returncode) == ("321\n", 0)
    lines = shown.decode()
    assert "0/321" in lines
    assert "321/321" in lines
    assert "epoch" in lines
    assert "cost 0." in lines


def test_no_progress_unless_asked_for(capfd):
    xor().fit(X, Y, solver=GD, max_epochs=100)
    assert capfd.readouterr() == ("", "")


def test_progress_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    net, generator = xor(), np.random.default_rng(0)
    before, drawn = net.parameters.copy(), str(generator.bit_generator.state)
    with pytest.raises(ImportError, match=r"progress.*tqdm.*deltaloop\[cli\]"):
        net.fit(X, Y, solver=BATCHES, progress=True, seed=generator)
    assert same(net.parameters, before)
    assert str(generator.bit_generator.state) == drawn
    assert net.fit(X, Y, solver=GD, max_epochs=1).epochs == 1


# ---- what is made when it is read ----


def later(**options):
    net = dl.Network([2, 2, 1], seed=0)
    x, y = (
        np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
        np.array([0.0, 1.0, 1.0, 0.0]),
    )
    return (
        net,
        net.fit(x, y, **({"solver": dl.GradientDescent(0.1), "max_epochs": 3} | options)),
        x,
        y,
    )


def test_later_fields_are_those_of_the_end_of_the_fit():
    net, result, x, y = later()
    end = net.parameters.copy()
    net.fit(x, y, solver=dl.GradientDescent(0.1), max_epochs=3)
    assert (result.state["parameters"] == end).all()
    assert result.state is result.state
    assert result.history.cost is result.cost_history
    assert result.history is result.history


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))]
)
def test_copies_have_all_fields(copied):
    result = later()[1]
    twin = copied(result)
    assert set(twin.__dict__) == {field.name for field in dataclasses.fields(dl.FitResult)}
    assert twin.cost_history.tolist() == result.cost_history.tolist()
    assert twin.state["parameters"].tolist() == result.state["parameters"].tolist()


def test_a_replaced_result_has_all_fields():
    result = later()[1]
    other = dataclasses.replace(result, message="other")
    assert other.state is result.state
    assert other.history is result.history


def test_results_are_frozen():
    result = later()[1]
    for name in ("cost", "state", "history"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.stages[0].cost = 0.0


def test_later_fields_are_listed():
    names = dir(later()[1])
    assert {field.name for field in dataclasses.fields(dl.FitResult)} < set(names)
    assert not {"_series", "_state"} & set(names)


def test_a_result_without_all_fields_is_copied_as_it_is():
    old = object.__new__(dl.FitResult)
    old.__dict__.update(cost=1.0, epochs=2)
    assert copy.copy(old).__dict__ == {"cost": 1.0, "epochs": 2}


def test_a_result_without_the_fields_says_so():
    empty = object.__new__(dl.FitResult)
    with pytest.raises(AttributeError, match="'FitResult' object has no attribute 'state'"):
        _ = empty.state


def test_a_result_keeps_neither_the_data_nor_the_network():
    net, result, x, _ = later()
    kept = [weakref.ref(net), weakref.ref(x)]
    del net, x, _
    gc.collect()
    assert [ref() for ref in kept] == [None, None]
    assert result.state["parameters"].shape == (9,)
