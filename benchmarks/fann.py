"""FANN 2.2 in double precision (Debian: libfann2) as a contender, through ctypes; one thread.

With the activation FANN_SIGMOID and steepness 1/2 a unit is 1 / (1 + exp(-z)). With the linear
error function the change of a weight is learning_rate * (y - a) a (1 - a) * input: gradient descent
on 1/2 (a - y)^2 with the same rate, where FANN keeps the rate in single precision and, in g' alone,
takes a as at least 0.01 and at most 0.99. A batch divides the rate by its rows. A neuron's weights
lie together with its bias at their end.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import lru_cache

import numpy as np
from cells import Cell, Floats, Task
from contender import Contender

SIGMOID = 3  # FANN_SIGMOID; the default is a stepwise linear approximation
INCREMENTAL, BATCH = 0, 1  # FANN_TRAIN_...
LINEAR = 0  # FANN_ERRORFUNC_LINEAR; the default is the inverse of tanh

Pointer = ctypes.POINTER(ctypes.c_double)


class Header(ctypes.Structure):
    """The beginning of struct fann, as far as the weights."""

    _fields_ = [
        ("errno_f", ctypes.c_int),
        ("error_log", ctypes.c_void_p),
        ("errstr", ctypes.c_char_p),
        ("learning_rate", ctypes.c_float),
        ("learning_momentum", ctypes.c_float),
        ("connection_rate", ctypes.c_float),
        ("network_type", ctypes.c_int),
        ("first_layer", ctypes.c_void_p),
        ("last_layer", ctypes.c_void_p),
        ("total_neurons", ctypes.c_uint),
        ("num_input", ctypes.c_uint),
        ("num_output", ctypes.c_uint),
        ("weights", Pointer),
    ]


class TrainData(ctypes.Structure):
    """struct fann_train_data."""

    _fields_ = [
        ("errno_f", ctypes.c_int),
        ("error_log", ctypes.c_void_p),
        ("errstr", ctypes.c_char_p),
        ("num_data", ctypes.c_uint),
        ("num_input", ctypes.c_uint),
        ("num_output", ctypes.c_uint),
        ("input", ctypes.POINTER(Pointer)),
        ("output", ctypes.POINTER(Pointer)),
    ]


@lru_cache
def library():
    found = ctypes.util.find_library("doublefann")
    if not found:
        return None
    fann = ctypes.CDLL(found)
    net = ctypes.POINTER(Header)
    fann.fann_create_standard_array.restype = net
    fann.fann_destroy.argtypes = [net]
    for name in ("hidden", "output"):
        getattr(fann, f"fann_set_activation_steepness_{name}").argtypes = [net, ctypes.c_double]
        getattr(fann, f"fann_set_activation_function_{name}").argtypes = [net, ctypes.c_int]
    fann.fann_set_learning_rate.argtypes = [net, ctypes.c_float]
    fann.fann_set_learning_momentum.argtypes = [net, ctypes.c_float]
    fann.fann_set_training_algorithm.argtypes = [net, ctypes.c_int]
    fann.fann_set_train_error_function.argtypes = [net, ctypes.c_int]
    fann.fann_run.argtypes = [net, ctypes.c_void_p]
    fann.fann_run.restype = Pointer
    fann.fann_train_epoch.argtypes = [net, ctypes.POINTER(TrainData)]
    fann.fann_train_epoch.restype = ctypes.c_float
    return fann


def rows_of(array: Floats):
    """Pointers to the rows of an array (n, m)."""
    start, stride = array.ctypes.data, array.strides[0]
    return (Pointer * len(array))(
        *(ctypes.cast(start + i * stride, Pointer) for i in range(len(array)))
    )


class Net:
    """A network of FANN's."""

    def __init__(self, task: Task) -> None:
        self.fann, self.layers = library(), task.cell.layers
        sizes = (ctypes.c_uint * len(self.layers))(*self.layers)
        self.at = self.fann.fann_create_standard_array(len(self.layers), sizes)
        for name in ("hidden", "output"):
            getattr(self.fann, f"fann_set_activation_function_{name}")(self.at, SIGMOID)
            getattr(self.fann, f"fann_set_activation_steepness_{name}")(self.at, 0.5)
        self.weights = np.ctypeslib.as_array(self.at.contents.weights, (len(task.start),))
        self.start = self.pack(*task.weights())
        self.weights[:] = self.start

    def __del__(self) -> None:
        self.fann.fann_destroy(self.at)

    @staticmethod
    def pack(weights, biases) -> Floats:
        return np.concatenate(
            [np.vstack([w, b]).T.ravel() for w, b in zip(weights, biases, strict=True)]
        )

    def unpack(self) -> Floats:
        parts, at = [], 0
        for m, k in zip(self.layers, self.layers[1:], strict=False):
            parts.append(self.weights[at : at + (m + 1) * k].reshape(k, m + 1).T.ravel())
            at += (m + 1) * k
        return np.concatenate(parts)


class Fann(Contender):
    name = "FANN"
    module = "ctypes"

    def present(self) -> bool:
        return library() is not None

    def suits(self, cell: Cell) -> bool:
        # It runs row by row, unit by unit: of no interest where a step is more than a few MFLOP.
        small = sum(m * k for m, k in zip(cell.layers, cell.layers[1:], strict=False)) < 200_000
        sigmoid = cell.activation == cell.output == "sigmoid"
        return small and sigmoid and super().suits(cell)

    def predict(self, task: Task):
        net = Net(task)
        run, at, m = net.fann.fann_run, net.at, task.cell.layers[-1]
        copy, size = ctypes.memmove, 8 * m

        def one(x):
            y = np.empty(m)
            copy(y.ctypes.data, run(at, x.ctypes.data), size)
            return y

        X = task.X
        if X.ndim == 1:
            return lambda: one(X) if net else None
        return lambda: np.array([one(x) for x in X]) if net else None

    def train(self, task: Task):
        net, cell = Net(task), task.cell
        fann, at = net.fann, net.at
        batch = cell.batch or cell.rows
        X, Y = task.X, task.Y
        online = batch == 1
        fann.fann_set_training_algorithm(at, INCREMENTAL if online else BATCH)
        fann.fann_set_train_error_function(at, LINEAR)
        fann.fann_set_learning_momentum(at, 0.0)
        fann.fann_set_learning_rate(at, cell.learning_rate * batch)
        steps = []
        for i in range(0, cell.rows, cell.rows if online else batch):
            x, y = (v if online else v[i : i + batch] for v in (X, Y))
            data = TrainData(0, None, None, len(x), x.shape[1], y.shape[1], rows_of(x), rows_of(y))
            steps.append(data)

        def run(epochs: int):
            net.weights[:] = net.start
            for _ in range(epochs):
                for data in steps:
                    fann.fann_train_epoch(at, data)
            return net

        return run

    def array(self, result) -> Floats:
        return result.unpack() if isinstance(result, Net) else result
