"""Threads, processes, callbacks within callbacks, and lifetimes: what could corrupt memory or bits.

What might end the process runs in one of its own.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import importlib.util
import multiprocessing
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from tests.helpers.cases import make_case, xor_data
from tests.helpers.compare import same
from tests.helpers.processes import run_python

X, Y = xor_data()
GD = dl.GradientDescent(0.5)
BUSY = "this network is being trained already"
TRAINING = "being trained in another thread.*save it, copy it or set its parameters in the callback"
INITIALISED = "initialised already"
NOT_INITIALISED = "was not initialised"


def together(*functions):
    """What the functions return when each is called in a thread, all at the same moment."""
    start = threading.Barrier(len(functions))

    def call(function):
        start.wait()
        return function()

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(call, function) for function in functions]
        return [future.result(timeout=120) for future in futures]


@pytest.fixture(autouse=True)
def short_turns():
    """Threads take turns as often as Python lets them."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


# On either side of the work from which the GIL is released.
SMALL = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=40, seed=1)
LARGE = make_case((40, 70, 30), "tanh", "softmax", "cross_entropy", n=90, seed=1)
CASES = pytest.mark.parametrize("case", [SMALL, LARGE], ids=["small", "large"])


# ---- one network, several threads that only read ----


@CASES
def test_predictions_at_once(case):
    net = case.network()
    inputs = [np.roll(case.X, k, axis=0) for k in range(6)]
    expected = [net.predict(x) for x in inputs]

    def predict(x, y):
        out = np.empty_like(y)
        predictor = net.predictor(len(x))
        predictor.x[:] = x
        for _ in range(40):
            assert same(net.predict(x), y)
            assert same(net.predict(x.astype(np.longdouble), out=out), y)
            assert same(predictor(), y)
        return True

    calls = [lambda x=x, y=y: predict(x, y) for x, y in zip(inputs, expected, strict=True)]
    assert all(together(*calls))


@CASES
def test_gradients_at_once(case):
    net = case.network()
    batches = [(case.X[k:], case.Y[k:]) for k in range(5)]
    expected = [(net.gradient(*batch), net.activations(batch[0])) for batch in batches]

    def repeat(batch, result):
        (C, g), activations = result
        for _ in range(20):
            cost, gradient = net.gradient(*batch)
            assert cost == C == net.cost(*batch)
            assert same(gradient, g)
            assert all(map(same, net.activations(batch[0]), activations))
        return True

    calls = [lambda b=b, r=r: repeat(b, r) for b, r in zip(batches, expected, strict=True)]
    assert all(together(*calls))


def test_predictions_during_training():
    """They may see parameters of several steps, but they end, and training is not disturbed."""
    net, alone = LARGE.network(seed=1), LARGE.network(seed=1)
    solver = dl.GradientDescent(0.001, momentum=0.5, batch_size=10)
    alone.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=60, tol=0)
    done = threading.Event()

    def train():
        try:
            return net.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=60, tol=0).epochs
        finally:
            done.set()

    def watch():
        while not done.is_set():
            assert np.isfinite(net.predict(LARGE.X)).all()
            assert np.isfinite(net.gradient(LARGE.X, LARGE.Y)[1]).all()
            assert len(net.classify(LARGE.X)) == 90
        return True

    assert together(train, watch, watch) == [60, True, True]
    assert same(net.parameters, alone.parameters)


# ---- one network, several threads that train ----


class Paused:
    """A fit in another thread that has stopped in its first callback."""

    def __init__(self, net):
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.result = None
        self.thread = threading.Thread(target=self.fit, args=(net,))

    def fit(self, net):
        self.result = net.fit(
            X, Y, solver=GD, max_epochs=9, tol=0, callback=self.wait, callback_every=4
        )

    def wait(self, info):
        self.reached.set()
        assert self.go_on.wait(60)

    def __enter__(self):
        self.thread.start()
        assert self.reached.wait(60)
        return self

    def __exit__(self, *error):
        self.go_on.set()
        self.thread.join(60)


def test_two_fits_at_once():
    net, alone = dl.Network([2, 3, 1], seed=1), dl.Network([2, 3, 1], seed=1)
    trainer = net.trainer(GD)
    alone.fit(X, Y, solver=GD, max_epochs=9, tol=0)
    with Paused(net) as paused:
        before, position = net.parameters.copy(), net._position
        for call in (
            lambda: net.fit(X, Y, solver=GD),
            lambda: net.fit(X, Y, solver=dl.GradientDescent(0.5, batch_size=1)),
            lambda: trainer.step(X, Y),
            lambda: net.trainer(GD).step(X.tolist(), Y.tolist()),
        ):
            with pytest.raises(RuntimeError, match=BUSY):
                call()
        with pytest.raises(RuntimeError, match=INITIALISED):
            net.__init__([2, 3, 1], seed=1)
        assert same(net.parameters, before)
        assert net._position == position
        assert same(net.predict(X), dl.Network.from_weights(net.weights, net.biases).predict(X))
    assert paused.result.epochs == 9
    assert same(net.parameters, alone.parameters)
    assert net.fit(X, Y, solver=GD, max_epochs=1).epochs == 1


@pytest.mark.slow
def test_a_network_in_training_is_neither_copied_nor_changed_from_outside(tmp_path):
    """Nothing is written, and no file; in the callback all of it is allowed."""
    pytest.importorskip("onnx")
    pytest.importorskip("sklearn")
    net, alone = dl.Network([2, 3, 1], seed=1), dl.Network([2, 3, 1], seed=1)
    alone.fit(X, Y, solver=GD, max_epochs=9, tol=0)
    path = tmp_path / "net.safetensors"
    calls = [
        lambda: net.save(path),
        net.copy,
        lambda: copy.copy(net),
        lambda: copy.deepcopy(net),
        lambda: pickle.dumps(net),
        lambda: setattr(net, "parameters", np.zeros(13)),
        lambda: net.to_sklearn(),
    ]
    for name, write in (("onnx", net.to_onnx), ("torch", lambda path: net.to_torch())):
        if importlib.util.find_spec(name):
            calls.append(lambda write=write: write(tmp_path / "net.onnx"))
    with Paused(net):
        before = net.parameters.tobytes()
        for call in calls:
            with pytest.raises(RuntimeError, match=TRAINING):
                call()
        assert net.parameters.tobytes() == before
        assert not list(tmp_path.iterdir())
        # These read the parameters where they are.
        net.predict(X), net.cost(X, Y), net.gradient(X, Y), repr(net), net._repr_html_()
    assert same(net.parameters, alone.parameters)
    done = []

    def callback(info):
        copies = [net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
        for call in calls:
            if call is not calls[5]:
                call()
        copies.append(dl.load(path))
        net.parameters = copies[0].parameters
        assert all(same(twin.parameters, net.parameters) for twin in copies)
        assert all(twin._position == net._position for twin in copies)
        done.append(info.epoch)

    net = alone.copy()
    solver = dl.GradientDescent(0.5, batch_size=2)
    net.fit(X, Y, solver=solver, max_epochs=3, tol=0, callback=callback)
    alone.fit(X, Y, solver=solver, max_epochs=3, tol=0)
    assert done == [1, 2, 3]
    assert same(net.parameters, alone.parameters)


def test_copies_at_once_beside_a_writer():
    """Each copy is of one assignment: never a part of two."""
    net = dl.Network([40, 70, 30], seed=1)
    stop = threading.Event()

    def write():
        for k in range(200):
            net.parameters = np.full(net.n_parameters, float(k))
        stop.set()
        return 0

    net.parameters = np.zeros(net.n_parameters)
    takes = [
        lambda: net.copy().parameters,
        lambda: pickle.loads(pickle.dumps(net)).parameters,
        lambda: copy.deepcopy(net).parameters,
    ]

    def whole(take):
        count = 0
        while not stop.is_set():
            parameters = take()
            assert (parameters == parameters[0]).all()
            count += 1
        return count

    counts = together(write, *[lambda take=take: whole(take) for take in takes])
    assert len(counts) == 4


def test_a_refused_fit_takes_no_word_from_a_generator():
    net, generator = dl.Network([2, 3, 1], seed=1), np.random.default_rng(1)
    before = str(generator.bit_generator.state)
    with Paused(net), pytest.raises(RuntimeError, match=BUSY):
        net.fit(X, Y, solver=GD, seed=generator)
    assert str(generator.bit_generator.state) == before


@CASES
@pytest.mark.parametrize("shared", [True, False], ids=["one trainer", "a trainer each"])
def test_steps_at_once(case, shared):
    """Each either is taken as if it were alone, or is refused."""
    net, alone = case.network(), case.network()
    solver = dl.GradientDescent(1e-3)
    trainer = net.trainer(solver)

    def steps():
        mine = trainer if shared else net.trainer(solver)
        costs = []
        for _ in range(60):
            try:
                costs.append(mine.step(case.X, case.Y))
            except RuntimeError as error:
                assert str(error).startswith(BUSY)  # noqa: PT017
        return costs

    costs = [cost for part in together(*[steps] * 4) for cost in part]
    trainer = alone.trainer(solver)
    assert sorted(costs, reverse=True) == [trainer.step(case.X, case.Y) for _ in costs]
    assert costs
    assert same(net.parameters, alone.parameters)


def test_fits_at_once():
    net, alone = LARGE.network(), LARGE.network()
    solver = dl.GradientDescent(1e-3)

    def fits():
        epochs = 0
        for _ in range(20):
            try:
                epochs += net.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=3, tol=0).epochs
            except RuntimeError as error:
                assert str(error).startswith(BUSY)  # noqa: PT017
        return epochs

    epochs = sum(together(*[fits] * 4))
    assert epochs >= 3
    alone.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=epochs, tol=0)
    assert same(net.parameters, alone.parameters)


# ---- several networks ----


def train(seed):
    """Bits of a network, trained in several ways."""
    net = dl.Network([3, 17, 2], activation="tanh", seed=seed)
    case = make_case((3, 17, 2), "tanh", "identity", "squared_error", n=60, seed=2)
    momentum = dl.GradientDescent(1e-3, momentum=0.9)
    costs = []
    for solver in (momentum, dl.GradientDescent(1e-3, batch_size=7)):
        options = {"callback": lambda info: costs.append(info.cost), "callback_every": 5}
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=40, tol=0, **options)
        costs.append(result.cost)
    trainer = net.trainer(momentum)
    costs += [trainer.step(x, y) for x, y in zip(case.X, case.Y, strict=True)]
    return net.parameters.tobytes(), costs, net.predict(case.X).tobytes()


def test_training_in_threads_is_training_in_turn():
    assert together(*[lambda s=s: train(s) for s in range(6)]) == [train(s) for s in range(6)]


def test_training_in_spawned_processes():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(train, range(2), timeout=120)) == [train(0), train(1)]


FORK = """
import multiprocessing, os, threading
import numpy as np
import deltaloop as dl
from tests.network.test_concurrency import LARGE, train

solver = dl.GradientDescent(1e-3, batch_size=9)
net = LARGE.network(seed=3)
net.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=2)
trainer, predictor = net.trainer(dl.GradientDescent(1e-3, momentum=0.5)), net.predictor(90)
trainer.step(LARGE.X, LARGE.Y)
predictor.x[:] = LARGE.X

def work(_=None):
    '''Goes on with what there is: the network, its stream, the trainer and the predictor.'''
    net.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=2, tol=0)
    trainer.step(LARGE.X, LARGE.Y)
    return net.parameters.tobytes(), predictor().tobytes(), train(5)

context = multiprocessing.get_context("fork")
with context.Pool(2, maxtasksperchild=1) as pool:
    children = pool.map(work, range(3), chunksize=1)
pool.join()
here = work()
assert all(child == here for child in children)

# from within a callback: the child may train everything but the network in training
def fork(info):
    if info.epoch != 2:
        return
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert train(5) == here[2]
            info.network.copy().fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=2)
            try:
                info.network.fit(LARGE.X, LARGE.Y, solver=solver)
            except RuntimeError:
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0

net.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=4, tol=0, callback=fork)

# from beside a fit, whose thread is not there in the child: it may train its copy
reached, go_on = threading.Event(), threading.Event()
def wait(info):
    reached.set()
    assert go_on.wait(60)

trainer = net.trainer(dl.GradientDescent(1e-3))
thread = threading.Thread(target=lambda: net.fit(
    LARGE.X, LARGE.Y, solver=solver, max_epochs=4, tol=0, n_threads=2, callback=wait))
thread.start()
assert reached.wait(60)
pid = os.fork()
if pid == 0:
    code = 1
    try:
        twin = net.copy()
        for _ in range(2):
            for one in (net, twin):
                one.fit(LARGE.X, LARGE.Y, solver=solver, max_epochs=2, tol=0, n_threads=2)
        assert net.parameters.tobytes() == twin.parameters.tobytes()
        trainer.step(LARGE.X, LARGE.Y)
        net.parameters = twin.parameters
        inner = threading.Thread(target=net.copy)
        inner.start()
        inner.join()
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(pid, 0)[1] == 0
try:
    net.copy()
    raise AssertionError
except RuntimeError:
    pass
go_on.set()
thread.join()
net.copy()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_training_in_forked_processes():
    assert run_python(FORK) == "done\n"


# ---- callbacks ----


def test_a_fit_within_the_callback_of_another_network():
    outer, alone = dl.Network([2, 3, 1], seed=1), dl.Network([2, 3, 1], seed=1)
    options = {"solver": GD, "max_epochs": 6, "tol": 0}
    inner = []

    def callback(info):
        nested = dl.Network([2, 3, 1], seed=1)
        trainer = nested.trainer(GD)
        result = nested.fit(X, Y, **options, callback=lambda i: i.network.predict(X) is None)
        trainer.step(X, Y)
        inner.append((result.cost, nested.parameters.tobytes()))

    result = outer.fit(X, Y, **options, callback=callback)
    assert result.cost == alone.fit(X, Y, **options).cost
    assert same(outer.parameters, alone.parameters)
    alone.trainer(GD).step(X, Y)
    assert inner == [(result.cost, alone.parameters.tobytes())] * 6


def test_the_same_network_within_its_callback():
    net, alone = dl.Network([2, 3, 1], seed=1), dl.Network([2, 3, 1], seed=1)
    trainer = net.trainer(GD)
    calls = [
        (lambda: net.fit(X, Y, solver=GD), BUSY),
        (lambda: net.fit(X, Y, solver=dl.GradientDescent(1, batch_size=1)), BUSY),
        (lambda: trainer.step(X, Y), BUSY),
        (lambda: trainer.step([0, 1], 1), BUSY),
        (lambda: net.trainer(GD).step(X, Y), BUSY),
        (lambda: net.__init__([2, 3, 1], seed=1), INITIALISED),
        (lambda: net.__init__([20, 30, 10], seed=1), INITIALISED),
    ]
    done = []

    def callback(info):
        for call, words in calls:
            with pytest.raises(RuntimeError, match=words):
                call()
        net.predict(X), net.gradient(X, Y), repr(net), net.predictor()()
        done.append(info.epoch)

    for solver in (GD, dl.GradientDescent(0.5, batch_size=3)):
        net.fit(X, Y, solver=solver, max_epochs=4, tol=0, callback=callback)
        alone.fit(X, Y, solver=solver, max_epochs=4, tol=0)
        assert same(net.parameters, alone.parameters)
    assert done == [1, 2, 3, 4] * 2


def test_the_network_is_free_again_after_any_end():
    """Of a fit: by an error of the callback, of the data, by divergence."""
    net = dl.Network([2, 3, 1], activation="identity", seed=1)

    def fail(info):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        net.fit(X, Y, solver=GD, callback=fail)
    with pytest.warns(dl.DivergenceWarning):
        net.fit(X, Y, solver=dl.GradientDescent(1e6))
    with pytest.raises(TypeError, match="seed"):
        net.fit(X, Y, solver=GD, seed="x")
    net.parameters = np.zeros(13)
    assert net.fit(X, Y, solver=dl.GradientDescent(0.01), max_epochs=1).epochs == 1
    assert net.trainer(GD).step(X, Y) > 0


# ---- a constructor that is called twice, or never ----


def test_second_init():
    net, alone = dl.Network([2, 3, 1], seed=1), dl.Network([2, 3, 1], seed=1)
    trainer, predictor = net.trainer(dl.GradientDescent(0.5, momentum=0.5)), net.predictor(4)
    other = alone.trainer(dl.GradientDescent(0.5, momentum=0.5))
    predictor.x[:] = X
    generator = np.random.default_rng(1)
    drawn = str(generator.bit_generator.state)
    for layers in ([2, 3, 1], [2, 1], [200, 300, 100]):
        trainer.step(X, Y)
        other.step(X, Y)
        address = net.parameters.ctypes.data
        with pytest.raises(RuntimeError, match=INITIALISED):
            net.__init__(layers, activation="tanh", seed=generator)
        assert (net.layers, net.activation, net.seed) == ((2, 3, 1), ("sigmoid",), 1)
        assert net.parameters.ctypes.data == address
        assert same(net.parameters, alone.parameters)
        assert same(predictor(), alone.predict(X))
        assert net._position == alone._position
    assert str(generator.bit_generator.state) == drawn
    with pytest.raises(RuntimeError, match=INITIALISED):
        net._configure((2, 1), "sigmoid", None, "squared_error", False)
    net = dl.Network.from_weights([np.ones((2, 1))], [[0.0]])
    with pytest.raises(RuntimeError, match=INITIALISED):
        net.__init__([2, 1])


USES = {
    **{
        name: lambda net, name=name: getattr(net, name)
        for name in (
            "layers",
            "activation",
            "output",
            "loss",
            "residual",
            "init",
            "seed",
            "n_parameters",
            "parameters",
            "weights",
            "biases",
        )
    },
    "parameters = v": lambda net: setattr(net, "parameters", np.zeros(3)),
    "predict": lambda net: net.predict(X),
    "predict a list": lambda net: net.predict(X.tolist()),
    "predict with out": lambda net: net.predict(X, out=np.zeros((4, 1))),
    "classify": lambda net: net.classify(X),
    "activations": lambda net: net.activations(X),
    "cost": lambda net: net.cost(X, Y),
    "gradient": lambda net: net.gradient(X, Y),
    "fit": lambda net: net.fit(X, Y, solver=GD),
    "trainer": lambda net: net.trainer(GD),
    "Trainer": lambda net: dl.Trainer(net, GD),
    "predictor": lambda net: net.predictor(),
    "Predictor": lambda net: dl.Predictor(net, 3),
    "copy()": lambda net: net.copy(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "repr": repr,
    "str": str,
    "chunk": lambda net: net._chunk_rows,
    "chunk = n": lambda net: setattr(net, "_chunk_rows", 3),
}


class Forgetful(dl.Network):
    def __init__(self):
        self.name = "no call of the base's __init__"


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "make",
    [lambda: dl.Network.__new__(dl.Network), lambda: dl.Network.__new__(dl.Network, 3), Forgetful],
    ids=["__new__", "__new__ with arguments", "subclass"],
)
def test_network_that_was_not_initialised(use, make):
    with pytest.raises(RuntimeError, match=NOT_INITIALISED):
        USES[use](make())


def test_saving_a_network_that_was_not_initialised(tmp_path):
    with pytest.raises(RuntimeError, match=NOT_INITIALISED):
        Forgetful().save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", ["layers", "predict", "predict a list", "Predictor", "Trainer"])
def test_core_that_was_not_initialised(use):
    for core in (_core.Core(), _core.Core(1, a=2), _core.Core.__new__(_core.Core)):
        with pytest.raises(RuntimeError, match=NOT_INITIALISED):
            USES[use](core)


@pytest.mark.parametrize(
    "options",
    [
        {"layers": [2, 0]},
        {"layers": [2**40, 2**40]},
        {"layers": [2, 1], "loss": "mse"},
        {"layers": [2, 1], "init": "zeros"},
        {"layers": [2, 1], "seed": -1},
        {"layers": [2, 1], "seed": "x"},
    ],
    ids=str,
)
def test_constructor_that_failed(options):
    """The object is as if the constructor had never been called, so it can be called again."""
    net = dl.Network.__new__(dl.Network)
    with pytest.raises((ValueError, TypeError)):
        net.__init__(**options)
    with pytest.raises(RuntimeError, match=NOT_INITIALISED):
        net.predict(X)
    net.__init__([2, 3, 1], seed=1)
    assert same(net.parameters, dl.Network([2, 3, 1], seed=1).parameters)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dl.Trainer(), "argument"),
        (lambda: dl.Trainer(None, GD), "network"),
        (lambda: dl.Trainer(3, GD), "network"),
        (lambda: dl.Trainer(dl.Network, GD), "network"),
        (lambda: dl.Trainer(dl.Network([2, 1])), "argument"),
        (lambda: dl.Trainer(dl.Network([2, 1]), None), "solver"),
        (lambda: dl.Trainer(dl.Network([2, 1]), dl.GradientDescent), "solver"),
        (lambda: dl.Predictor(), "argument"),
        (lambda: dl.Predictor(None), "network"),
        (lambda: dl.Predictor([2, 1]), "network"),
        (lambda: dl.Predictor(dl.Network([2, 1]), "2"), "n must be an integer"),
        (lambda: dl.Predictor(dl.Network([2, 1]), 1.0), "n must be an integer"),
        (lambda: _core.Fit(), "argument"),
        (lambda: _core.Stream(), "argument"),
        (lambda: _core.Core().predict(), "argument"),
    ],
)
def test_constructors_with_wrong_types(make, words):
    with pytest.raises(TypeError, match=words):
        make()


def test_calling_init_of_a_trainer_again_changes_nothing():
    net = dl.Network([2, 1], seed=0)
    trainer, predictor = net.trainer(GD), net.predictor(4)
    other = dl.Network([20, 30, 10], seed=0)
    for thing in (trainer, predictor):
        with contextlib.suppress(TypeError):
            thing.__init__(other, GD)
        assert thing.network is net
    predictor.x[:] = X
    assert same(predictor(), net.predict(X))
    assert trainer.step(X, Y) > 0


# ---- lifetimes, in processes of their own ----

DELETED = """
import gc
import numpy as np
import deltaloop as dl

class Cyclic(dl.Network):
    def __del__(self):
        self.last = self.predict(np.zeros((300, 30)))

def make(kind):
    net = kind([30, 40, 1], seed=1)
    solver = dl.GradientDescent(0.1, momentum=0.5)
    return net, net.trainer(solver), net.predictor(50), net.parameters, net.weights, solver

X, Y = np.ones((50, 30)), np.ones((50, 1))
for threshold in (700, 1):
    gc.set_threshold(threshold)
    for kind in (dl.Network, Cyclic):
        for round in range(40):
            net, trainer, predictor, parameters, weights, solver = make(kind)
            other = make(kind)[0]
            if kind is Cyclic:
                net.cycle = [net, trainer, predictor]
            del net
            gc.collect()
            junk = [np.full(2000, np.nan) for _ in range(20)]
            predictor.x[:] = X
            for _ in range(3):
                trainer.step(X, Y)
            other.fit(X, Y, solver=solver, max_epochs=3, tol=0)
            assert (other.parameters == parameters).all()
            assert (predictor() == other.predict(X)).all()
            assert trainer.network.predict(X).shape == (50, 1)
            x, y = predictor.x, predictor()
            del trainer, predictor
            gc.collect()
            assert (x == 1).all() and (y == other.predict(X)).all()
            assert (weights[1].ravel() == parameters[30 * 40 + 40 : -1]).all()
print("done")
"""


@pytest.mark.slow
def test_deleting_what_others_refer_to():
    assert run_python(DELETED) == "done\n"


INSIDE = """
import gc
import numpy as np
import deltaloop as dl

X, Y = np.ones((50, 30)), np.ones((50, 1))
solver = dl.GradientDescent(1e-3)

def fit():
    '''Everything that the fit was given is deleted in its callback.'''
    things = {"net": dl.Network([30, 40, 1], seed=1), "X": X.copy(), "Y": Y.copy()}
    def callback(info):
        things.clear()
        gc.collect()
        junk = [np.full((50, 30), np.nan) for _ in range(20)]
    return things["net"].fit(
        things["X"], things["Y"], solver=solver, max_epochs=9, tol=0, callback=callback
    ).cost

assert fit() == dl.Network([30, 40, 1], seed=1).fit(X, Y, solver=solver, max_epochs=9, tol=0).cost

def trained(epochs):
    net = dl.Network([30, 40, 1], seed=1)
    net.fit(X, Y, solver=solver, max_epochs=epochs, tol=0)
    return net

class Meddling:
    '''An array that uses the network while it is being converted for it.'''
    def __init__(self, net, values):
        self.net, self.trainer, self.values = net, net.trainer(solver), values
    def __array__(self, dtype=None, copy=None):
        self.trainer.step(X, Y)
        gc.collect()
        return self.values

net = trained(3)
net.predict(Meddling(net, X))
assert (net.parameters == trained(4).parameters).all()
net.gradient(Meddling(net, X), Meddling(net, Y))
assert (net.parameters == trained(6).parameters).all()
net.trainer(solver).step(Meddling(net, X), Meddling(net, Y))
assert (net.parameters == trained(9).parameters).all()
net.fit(Meddling(net, X), Meddling(net, Y), solver=solver, max_epochs=1, tol=0)
assert (net.parameters == trained(12).parameters).all()
print("done")
"""


def test_objects_that_meddle():
    assert run_python(INSIDE) == "done\n"


REINITIALISED = """
import numpy as np
import deltaloop as dl

X, Y = np.ones((50, 30)), np.ones((50, 1))
net = dl.Network([30, 40, 1], seed=1)
trainer = net.trainer(dl.GradientDescent(1e-3, momentum=0.5))
predictor = net.predictor(50)
parameters = net.parameters

def again(*_):
    for layers in ([1, 1], [300, 400, 10], [30, 40, 1], [2**40, 2**40], [0], None):
        for options in ({}, {"seed": "x"}, {"loss": "mse"}):
            try:
                net.__init__(layers, **options)
            except (RuntimeError, ValueError, TypeError):
                pass
            else:
                raise SystemExit("no error")
    for make in (net._configure, net._build):
        try:
            make((3, 4), (), "identity", "squared_error", False)
        except RuntimeError:
            pass

for _ in range(20):
    again()
    trainer.step(X, Y)
    predictor()
    net.fit(X, Y, solver=dl.GradientDescent(1e-3), max_epochs=3, tol=0, callback=again)
    assert (net.parameters == parameters).all() and net.layers == (30, 40, 1)
print("done")
"""


def test_second_init_with_everything_alive():
    assert run_python(REINITIALISED) == "done\n"


SHADOWED = """
import sys
import numpy as np
import deltaloop as dl

'''A subclass whose own attributes hide those of the network: wrong, but no reason to crash.'''
true, name, value, method = eval(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), sys.argv[4]
Shadow = type("Shadow", (dl.Network,), {})
net = Shadow(true, output="softmax", loss="cross_entropy", seed=0)
setattr(Shadow, name, value)
layers = net.layers
for kind in (np.array, np.ndarray.tolist):
    X, Y = kind(np.zeros((3, layers[0]))), kind(np.full((3, layers[-1]), 1 / layers[-1]))
    try:
        if method == "fit":
            net.fit(X, Y, solver=dl.GradientDescent(0.1, batch_size=2), max_epochs=2)
        elif method == "step":
            net.trainer(dl.GradientDescent(0.1)).step(X, Y)
        elif method in ("cost", "gradient"):
            getattr(net, method)(X, Y)
        elif method == "parameters":
            net.parameters = np.zeros(net.n_parameters)
        else:
            getattr(net, method)(X)
    except (ValueError, TypeError, AttributeError, RuntimeError, IndexError):
        pass
junk = [np.zeros(k) for k in range(2000)]
print("done")
"""


@pytest.mark.parametrize(
    "method", ["predict", "classify", "activations", "gradient", "fit", "step"]
)
@pytest.mark.parametrize(
    ("layers", "value"), [("(200000, 3)", "(1, 3)"), ("(2, 200000)", "(2, 2)")], ids=["in", "out"]
)
def test_subclass_that_hides_its_layers(layers, value, method):
    assert run_python(SHADOWED, layers, "layers", value, method) == "done\n"


AT_EXIT = """
import sys, threading, time
import numpy as np
import deltaloop as dl

started = threading.Event()
def work():
    net = dl.Network([200, 200, 10], seed=1)
    X, Y = np.zeros((500, 200)), np.zeros((500, 10))
    solver = dl.GradientDescent(1e-3, batch_size=50)
    net.fit(
        X, Y, solver=solver, max_epochs=10**9, tol=0,
        callback=lambda info: started.set(), callback_every=1,
    )

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
assert started.wait(60)
print("done", flush=True)
"""


def test_exit_while_daemons_train():
    assert run_python(AT_EXIT, timeout=120) == "done\n"


LEAKS = """
import gc, os, pickle
import numpy as np
import deltaloop as dl

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

X, Y = np.zeros((40, 100)), np.zeros((40, 10))
momentum, batches = dl.GradientDescent(1e-3, momentum=0.5), dl.GradientDescent(1e-3, batch_size=7)
old = dl.Network([100, 100, 10], seed=0)
trainer, predictor = old.trainer(momentum), old.predictor(40)

def fail(info):
    raise KeyError

def refused(*arguments, **options):
    try:
        old.fit(*arguments, **options)
    except (KeyError, ValueError):
        pass

def work():
    '''Each line takes at least 30 KB that it has to give back; P doubles are 89 KB.'''
    net = dl.Network([100, 100, 10], seed=0)
    net.me = net
    net.fit(X, Y, solver=momentum, max_epochs=2, callback=lambda info: None)
    old.fit(X, Y, solver=batches, max_epochs=2)
    old.trainer(momentum).step(X.astype(np.float16), Y)
    old.predictor(40)()
    trainer.step(X, Y)
    predictor()
    old.predict(X), old.predict(X.tolist()), old.classify(X), old.activations(X)
    old.cost(X, Y), old.gradient(X, Y)
    old.copy(), pickle.loads(pickle.dumps(old))
    refused(X, Y, solver=momentum, callback=fail)
    refused(X * np.nan, Y, solver=momentum)
    refused(X, Y, solver=momentum, seed=-1)
    for layers in ([2**28, 2**28], [2**59, 1]):
        try:
            dl.Network(layers)
        except (ValueError, MemoryError):
            pass
    try:
        net.__init__([100, 100, 10])
    except RuntimeError:
        pass

def grown():
    gc.collect()
    before = resident()
    for _ in range(100):
        work()
    gc.collect()
    return (resident() - before) / 2**20

for _ in range(60):
    work()
print(sorted(grown() for _ in range(7))[3])
"""


def test_a_fit_that_chooses_holds_the_network():
    """From before its trials, so that it trains the network that it has chosen for."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 20)), rng.normal(size=(2000, 1))
    net = dl.Network([20, 30, 1], activation="tanh", output="identity", seed=0)
    twin = net.copy()
    thread = threading.Thread(target=lambda: net.fit(x, y, max_epochs=3))
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not net._held and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert net._held
        assert (net.parameters == twin.parameters).all()  # in its trials
        with pytest.raises(RuntimeError, match=BUSY):
            net.fit(x, y, solver=GD, max_epochs=1)
        with pytest.raises(RuntimeError, match="training"):
            net.parameters = np.zeros(net.n_parameters)
    finally:
        thread.join()
    twin.fit(x, y, max_epochs=3)
    assert (net.parameters == twin.parameters).all()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_memory_does_not_grow(record_property, monkeypatch):
    """One buffer of one line kept by each of 100 rounds would be 3 MB or more.

    The median of seven hundreds: what the allocator keeps or returns now and then is no leak.
    """
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    growth = float(run_python(LEAKS))
    record_property("growth in MB, median of 100 rounds", growth)
    assert growth < 2
