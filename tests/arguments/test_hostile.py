"""Arguments that run code while they are read: nothing of it comes between a check and its use.

Each object here changes the other arguments when it becomes a number or an array. As all arguments
become plain before the first one is checked, the checks find what was changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.processes import run_python

N = 6


class Number:
    """A number that does something when it is asked for its value."""

    def __init__(self, value, act):
        self.value, self.act = value, act

    def __index__(self):
        self.act()
        return int(self.value)


class Real(float):
    def __new__(cls, value, act):
        self = super().__new__(cls, value)
        self.act = act
        return self

    def __float__(self):
        self.act()
        return float.__add__(self, 0.0)


class Array:
    """An array that does something when it is made."""

    def __init__(self, values, act):
        self.values, self.act = values, act

    def __array__(self, dtype=None, copy=None):
        self.act()
        return np.array(self.values, dtype=dtype)


class List(Sequence):
    def __init__(self, values, act):
        self.values, self.act = values, act

    def __len__(self):
        self.act()
        return len(self.values)

    def __getitem__(self, i):
        self.act()
        return self.values[i]


class Pairs(Mapping):
    def __init__(self, values, act):
        self.values, self.act = values, act

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        self.act()
        return iter(self.values)

    def __getitem__(self, key):
        self.act()
        return self.values[key]


# What each argument may be, given what the object is to do.
NUMBERS = {
    "n_threads": lambda act: Number(2, act),
    "max_epochs": lambda act: Number(3, act),
    "callback_every": lambda act: Number(1, act),
    "patience": lambda act: Number(2, act),
    "seed": lambda act: Number(2, act),
    "l1": lambda act: Real(0.1, act),
    "l2": lambda act: Real(0.1, act),
    "tol": lambda act: Real(0.1, act),
    "goal": lambda act: Real(0.1, act),
    "max_time": lambda act: Real(9.0, act),
    "dropout": lambda act: Real(0.1, act),
    "sample_weight": lambda act: Array(np.ones(N), act),
}
FIT = {
    **NUMBERS,
    "dropout of layers": lambda act: List([0.1], act),
    "class_weight": lambda act: Pairs({0: 2.0}, act),
    "validation": lambda act: (Array(np.ones((2, 3)), act), np.array([0, 1])),
    "validation targets": lambda act: (np.ones((2, 3)), Array([0, 1], act)),
    "validation fraction": lambda act: Real(0.3, act),
    "Y": lambda act: Array(np.arange(N) % 2, act),
    "X": lambda act: Array(np.ones((N, 3)), act),
}


def net():
    return dl.Network([3, 4, 2], activation="tanh", loss="cross_entropy", seed=1)


def data():
    x = np.random.default_rng(0).normal(size=(N, 3))
    return x, np.arange(N) % 2


def call(name, method, hostile):
    """The call of a method with the argument, which poisons the others: X, or Y where it is X."""
    x, y = data()
    weights = np.ones(N)
    done = []

    def act():
        if name == "X":
            y[:] = 7
            weights[:] = -1.0
        else:
            x[0, 0] = np.nan
        done.append(True)

    argument = name.split(" ")[0]
    options = {argument: hostile(act)}
    if argument == "patience":
        options["validation"] = (np.ones((2, 3)), np.array([0, 1]))
    positional = {"X": x, "Y": y} | {k: options.pop(k) for k in ("X", "Y") if k in options}
    if method == "fit":
        options = {"solver": dl.GradientDescent(0.1), "max_epochs": 3} | options
    with pytest.raises(ValueError, match="X holds nan" if name != "X" else "Y holds class 7"):
        getattr(net(), method)(*positional.values(), **options)
    assert done


@pytest.mark.parametrize("name", FIT)
def test_fit(name):
    call(name, "fit", FIT[name])


EVALUATIONS = [
    (method, name)
    for method in ("cost", "gradient", "input_gradient", "check_gradient")
    for name in ("n_threads", "l1", "l2", "sample_weight", "X", "Y")
    if method != "input_gradient" or name not in ("l1", "l2")
]


@pytest.mark.parametrize(("method", "name"), EVALUATIONS)
def test_evaluations(method, name):
    call(name, method, FIT[name])


@pytest.mark.parametrize("name", ["X", "Y", "sample_weight"])
def test_step(name):
    x, y = data()
    weights = np.ones(N)

    def act():
        (y if name == "X" else x)[...] = 7 if name == "X" else np.nan

    given = {"X": x, "Y": y, "sample_weight": weights}
    given[name] = Array(given[name], act)
    trainer = net().trainer(dl.GradientDescent(0.1))
    with pytest.raises(ValueError, match=r"x holds nan|y holds class 7"):
        trainer.step(given["X"], given["Y"], sample_weight=given["sample_weight"])


def test_predict_with_a_number_that_reshapes():
    x, _ = data()
    calls = []

    def act():
        calls.append(1)
        x.shape = (3, N)

    with pytest.raises(ValueError, match="X must have shape"):
        net().predict(x, n_threads=Number(2, act))
    assert calls


class Long(np.ndarray):
    """An array of a subclass that lies about all of itself."""

    shape = property(lambda self: (1000, 3))
    ndim = property(lambda self: 2)
    dtype = property(lambda self: np.dtype(np.float32))

    def __len__(self):
        return 1000

    def __array__(self, *args, **kwargs):
        raise AssertionError


def test_arrays_of_subclasses():
    x, y = data()
    network = net()
    assert network.predict(x.view(Long)).tobytes() == network.predict(x).tobytes()
    assert network.cost(x.view(Long), y.view(Long)) == network.cost(x, y)
    out = np.empty((N, 2)).view(Long)
    assert network.predict(x, out=out) is out
    assert np.asarray(out).tobytes() == network.predict(x).tobytes()


# ---- what would have left memory: in a process of its own ----

NAMES = """
import numpy as np
import deltaloop as dl

class Name(str):
    '''Equal to no other one, and hashed as it likes.'''
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def encode(self, *arguments):
        raise AssertionError

net = dl.Network([2, 3, 1], seed=1)
X, Y = np.ones((4, 2)), np.ones(4)
solver = dl.GradientDescent(0.1, momentum=0.5)
state = net.fit(X, Y, solver=solver, max_epochs=2, tol=0).state
for begin in (lambda given: net.fit(X, Y, solver=solver, max_epochs=9, tol=0, resume=given),
              lambda given: net.trainer(solver, resume=given)):
    many = {Name(name): state[name] for _ in range(20) for name in state}
    try:
        begin(many)
    except ValueError as error:
        assert "twice" in str(error), error
    else:
        raise AssertionError
once = {Name(name): value for name, value in state.items()}
assert net.fit(X, Y, solver=solver, max_epochs=4, tol=0, resume=once).epochs == 2
print("done")
"""

LISTS = """
from collections.abc import Sequence
import numpy as np
import deltaloop as dl

class Lie(Sequence):
    '''Says a length that it does not have.'''

    def __init__(self, said, values):
        self.said, self.values = said, values

    def __len__(self):
        return self.said

    def __getitem__(self, i):
        return self.values[i]

def refused(call):
    try:
        call()
    except (ValueError, TypeError):
        return
    raise AssertionError

X, Y = np.ones((4, 2)), np.ones(4)
layers = [2, 3, 4, 5, 1]
refused(lambda: dl.Network(layers, activation=Lie(3, ["tanh"])))
refused(lambda: dl.Network(layers, activation=Lie(3, ["tanh"] * 9)))
assert dl.Network(Lie(99, layers), activation="tanh").layers == (2, 3, 4, 5, 1)
net = dl.Network(layers, activation="tanh", seed=1)
for solver in (dl.GradientDescent(0.1), dl.Adam()):
    refused(lambda: net.fit(X, Y, solver=solver, max_epochs=2, dropout=Lie(3, [0.5])))
    refused(lambda: net.trainer(solver, dropout=Lie(3, [0.5])).step(X, Y))
    solvers = [solver, solver]
    refused(lambda: net.fit(X, Y, solver=solvers, max_epochs=Lie(2, [1])))
refused(lambda: dl.Network.from_weights(Lie(1, [np.ones((2, 1))] * 2), [np.ones(1)]))
print("done")
"""

RESIZED = """
import numpy as np
import deltaloop as dl

def refused(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    try:
        array.resize(10**6, refcheck=False)
    except ValueError:
        return
    raise AssertionError

net = dl.Network([2, 30, 1], seed=1)
refused(net.parameters), refused(net.weights[0])
predictor = net.predictor(4)
refused(predictor.x), refused(predictor.y)
X, Y, weights = np.ones((40, 2)), np.ones((40, 1)), np.ones(40)
XV, YV = np.ones((4, 2)), np.ones((4, 1))
solver = dl.GradientDescent(0.01, batch_size=10)
seen = []

def callback(info):
    for array in (X, Y, weights, XV, YV):
        refused(array)
    X.shape, Y.shape = (2, 40), (4, 10)  # C goes by what they were
    X.shape, Y.shape = (40, 2), (40, 1)
    seen.append(info.cost)

net.fit(X, Y, solver=solver, max_epochs=3, tol=0, sample_weight=weights,
        validation=(XV, YV), callback=callback)
assert len(seen) == 3
X.resize((50, 2), refcheck=False)  # of no one's interest any more
print("done")
"""


@pytest.mark.parametrize("program", [NAMES, LISTS, RESIZED], ids=["names", "lists", "resized"])
def test_memory(program):
    assert run_python(program) == "done\n"
