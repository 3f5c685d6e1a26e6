"""The contenders: every benchmark takes them from here, so that none can be mislabelled.

contender.py says what one is. A library that may be faster on one thread takes part twice; its
better time counts.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

import cells
import fann
import frameworks
from cells import Cell, Floats, Task
from contender import Blas, Contender


class Deltaloop(Contender):
    """Chooses its own number of threads, at most the one given to everybody."""

    name = "deltaloop"
    module = "deltaloop"
    peer = False

    @property
    def label(self) -> str:
        return self.name

    def suits(self, cell: Cell) -> bool:
        return True

    def network(self, task: Task):
        import deltaloop as dl

        net = dl.Network(task.cell.layers, seed=0)
        net.parameters = task.start
        return net

    def predict(self, task: Task):
        net, X = self.network(task), task.X
        if task.cell.kind == cells.BOUND:
            predictor = net.predictor()
            predictor.x[:] = X
            return predictor
        return lambda: net.predict(X)

    def train(self, task: Task):
        import deltaloop as dl

        net, cell = self.network(task), task.cell
        solver = dl.GradientDescent(cell.learning_rate, batch_size=cell.batch, shuffle=False)

        def run(epochs: int):
            net.parameters = task.start
            net.fit(task.X, task.Y, solver=solver, max_epochs=epochs, tol=0.0)
            return net.parameters

        return run

    def step(self, task: Task):
        """`trainer.step(x, y)` and the network it moves."""
        import deltaloop as dl

        net, x, y = self.network(task), task.X, task.Y
        trainer = net.trainer(dl.GradientDescent(task.cell.learning_rate))
        return (lambda: trainer.step(x, y)), net


class Reference(Blas):
    name = "reference.py"
    module = "deltaloop.reference"

    def network(self, task: Task):
        from deltaloop import reference

        return reference.Reference(*task.weights(), "sigmoid", "sigmoid", "squared_error")

    def predict(self, task: Task):
        net, X = self.network(task), task.X
        return lambda: net.predict(X)

    def train(self, task: Task):
        net, cell = self.network(task), task.cell

        def run(epochs: int):
            net.parameters = task.start
            each = net.epochs(task.X, task.Y, cell.learning_rate, batch_size=cell.batch)
            deque(islice(each, epochs), maxlen=0)
            return net.parameters

        return run


class NumpyScript(Blas):
    name = "NumPy script"
    module = "numpy"

    def predict(self, task: Task):
        import numpy_script

        X, (weights, biases) = task.X, task.weights()
        return lambda: numpy_script.predict(X, weights, biases)

    def train(self, task: Task):
        import numpy_script

        cell = task.cell

        def run(epochs: int):
            w, b = task.weights()
            batch_size = cell.batch or cell.rows
            numpy_script.train(task.X, task.Y, w, b, cell.learning_rate, epochs, batch_size)
            return w, b

        return run

    def array(self, result) -> Floats:
        return cells.flat(*result) if isinstance(result, tuple) else result


def contenders(threads: int) -> list[Contender]:
    """All of them, installed or not: deltaloop first, those with several threads before one."""
    Blas.all_threads = threads
    counts = sorted({threads, 1}, reverse=True)
    several = (
        Reference,
        NumpyScript,
        frameworks.TorchModule,
        frameworks.TorchTensors,
        frameworks.ScikitLearn,
        frameworks.OnnxRuntime,
    )
    peers = [contender(n) for contender in several for n in counts]
    return [Deltaloop(threads), *peers, frameworks.Jax(threads), fann.Fann(1)]
