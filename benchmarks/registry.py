"""The contenders: every benchmark takes them from CONTENDERS, so that none can be mislabelled.

A contender has a name for the table, the module it needs, and two methods that take a task and
return a `functools.partial` for the clock: that of `predict` returns a^(L), that of `train` starts
from `task.start` each time and returns the final parameters (P,). What a contender imports, it
imports inside them, so that one that is not installed is only skipped.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from functools import partial
from itertools import islice

import numpy as np
from cells import Task


class Deltaloop:
    name = "deltaloop"
    module = "deltaloop"

    @staticmethod
    def network(task: Task):
        import deltaloop as dl

        net = dl.Network(task.cell.layers, seed=0)
        net.parameters = task.start
        return net

    @classmethod
    def predict(cls, task: Task) -> partial:
        return partial(cls.network(task).predict, task.X)

    @classmethod
    def train(cls, task: Task) -> partial:
        import deltaloop as dl

        net, cell = cls.network(task), task.cell
        solver = dl.GradientDescent(cell.learning_rate, batch_size=cell.batch, shuffle=False)

        def run():
            net.parameters = task.start
            net.fit(task.X, task.Y, solver=solver, max_epochs=cell.epochs, tol=0.0)
            return net.parameters

        return partial(run)


class Reference:
    name = "reference.py"
    module = "deltaloop.reference"

    @staticmethod
    def network(task: Task):
        from deltaloop import reference

        w1, b1, w2, b2 = task.weights()
        return reference.Reference([w1, w2], [b1, b2], "sigmoid", "sigmoid", "squared_error")

    @classmethod
    def predict(cls, task: Task) -> partial:
        return partial(cls.network(task).predict, task.X)

    @classmethod
    def train(cls, task: Task) -> partial:
        net, cell = cls.network(task), task.cell

        def run():
            net.parameters = task.start
            epochs = net.epochs(task.X, task.Y, cell.learning_rate, batch_size=cell.batch)
            deque(islice(epochs, cell.epochs), maxlen=0)
            return net.parameters

        return partial(run)


class NumpyScript:
    name = "NumPy script"
    module = "numpy"

    @staticmethod
    def predict(task: Task) -> partial:
        import numpy_script

        return partial(numpy_script.predict, task.X, *task.weights())

    @staticmethod
    def train(task: Task) -> partial:
        import numpy_script

        cell = task.cell

        def run():
            weights = task.weights()
            batch_size = cell.batch or cell.rows
            numpy_script.train(
                task.X, task.Y, *weights, cell.learning_rate, cell.epochs, batch_size
            )
            return np.concatenate([v.ravel() for v in weights])

        return partial(run)


CONTENDERS = (Deltaloop, Reference, NumpyScript)
ORACLE = Reference


def present(contender) -> bool:
    return importlib.util.find_spec(contender.module) is not None


def prepare(contender, task: Task) -> partial:
    return contender.train(task) if task.cell.epochs else contender.predict(task)
