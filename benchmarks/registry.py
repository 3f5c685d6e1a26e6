"""The contenders: every benchmark takes them from here, so that none can be mislabelled.

A contender has a name for the table, the module it needs, the threads it computes with, and:

`use()`: set its number of threads, as far as that is a matter of the process;
`suits(cell)`: whether it can do the same work;
`predict(task)`: a function of no arguments that returns a^(L);
`train(task)`: a function of a number of epochs that starts from `task.start` each time and returns
the parameters;
`array(result)`: what these return as one NumPy array, parameters flat, (P,), in deltaloop's order.

What a contender imports, it imports inside them, so that one that is not installed is only skipped.
A library that may be faster on one thread takes part twice; its better time counts.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable
from itertools import islice

import cells
import numpy as np
from cells import Cell, Floats, Task


class Contender:
    name: str
    module: str
    peer = True  # one of those that deltaloop is measured against
    held = True  # environment.AVX2 keeps it from using more

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def label(self) -> str:
        return f"{self.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def present(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def suits(self, cell: Cell) -> bool:
        return cell.kind in (cells.LATENCY, cells.FORWARD, cells.TRAIN)

    def use(self) -> None:
        pass

    def predict(self, task: Task) -> Callable[[], object]:
        raise NotImplementedError

    def train(self, task: Task) -> Callable[[int], object]:
        raise NotImplementedError

    def array(self, result) -> Floats:
        return np.array(result)


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


class Blas(Contender):
    """Computes in NumPy, whose BLAS takes another number of threads through threadpoolctl."""

    all_threads = 0  # those it has without being told

    def present(self) -> bool:
        told = importlib.util.find_spec("threadpoolctl") is not None
        return super().present() and (told or self.threads == Blas.all_threads)

    def use(self) -> None:
        if importlib.util.find_spec("threadpoolctl") is not None:
            import threadpoolctl

            threadpoolctl.threadpool_limits(self.threads, user_api="blas")


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
    import fann
    import frameworks

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
