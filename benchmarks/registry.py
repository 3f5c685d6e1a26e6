"""The contenders: every benchmark takes them from here, so that none can be mislabelled.

contender.py says what one is. A library that may be faster on one thread, or written in another
way, takes part more than once; its best time counts.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

import by_casadi
import by_jax
import by_numba
import by_torch
import cells
import fann
import frameworks
import numpy as np
import second_order
from cells import Cell, Floats, Task
from contender import Blas, Contender
from remote import Remote


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

        cell = task.cell
        net = dl.Network(
            cell.layers, activation=cell.activation, output=cell.output, loss=cell.loss, seed=0
        )
        net.parameters = task.start
        return net

    def predict(self, task: Task):
        net, X = self.network(task), task.X
        if task.cell.kind == cells.BOUND:
            predictor = net.predictor()
            predictor.x[:] = X
            return predictor
        return lambda: net.predict(X)

    def estimate(self, task: Task):
        from deltaloop import sklearn

        return frameworks.estimator(sklearn, task)

    def train(self, task: Task):
        import deltaloop as dl

        net, cell = self.network(task), task.cell
        options = {"batch_size": cell.batch, "shuffle": False}
        if cell.adam:
            options |= {"beta1": cells.BETA1, "beta2": cells.BETA2, "epsilon": cells.EPSILON}
        solver = (dl.Adam if cell.adam else dl.GradientDescent)(cell.learning_rate, **options)

        def run(epochs: int):
            net.parameters = task.start
            net.fit(task.X, task.Y, solver=solver, max_epochs=epochs, tol=0.0)
            return net.parameters

        return run

    def step(self, task: Task):
        """`trainer.step(x, y)`."""
        import deltaloop as dl

        net, x, y = self.network(task), task.X, task.Y
        trainer = net.trainer(dl.GradientDescent(task.cell.learning_rate))
        return (lambda: trainer.step(x, y)), net.parameters.copy

    def gradient(self, task: Task):
        net = self.network(task)

        def value(parameters: Floats) -> tuple[float, Floats]:
            net.parameters = parameters
            return net.gradient(task.X, task.Y)

        return value

    def fits(self, task: Task, solver):
        net, iterations = self.network(task), task.cell.timed

        def run():
            net.parameters = task.start
            result = net.fit(task.X, task.Y, solver=solver, max_epochs=iterations, tol=0.0)
            if result.epochs != iterations:
                raise SystemExit(f"{task.cell.name}: the fit ends after {result.epochs} epochs")
            return net.parameters

        return run

    def minimise(self, task: Task):
        import deltaloop as dl

        return self.fits(task, dl.LBFGS(second_order.MEMORY, min_gradient=0.0))

    def levenberg(self, task: Task):
        import deltaloop as dl

        return self.fits(task, dl.LevenbergMarquardt(min_gradient=0.0))


class Reference(Blas):
    name = "reference.py"
    module = "deltaloop.reference"

    def network(self, task: Task):
        from deltaloop import reference

        cell = task.cell
        return reference.Reference(*task.weights(), cell.activation, cell.output, cell.loss)

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

        return self.adam(task) if cell.adam else run

    def adam(self, task: Task):
        """Steps of Adam over the reference's gradients, as in the paper."""
        net, cell = self.network(task), task.cell

        def run(epochs: int):
            net.parameters = task.start
            m, v, t = np.zeros_like(task.start), np.zeros_like(task.start), 0
            for _ in range(epochs):
                for i in range(0, cell.rows, cell.batch):
                    rows = slice(i, i + cell.batch)
                    g = net.gradient(task.X[rows], task.Y[rows])[1]
                    t += 1
                    m = cells.BETA1 * m + (1.0 - cells.BETA1) * g
                    v = cells.BETA2 * v + (1.0 - cells.BETA2) * g * g
                    mean, square = m / (1.0 - cells.BETA1**t), v / (1.0 - cells.BETA2**t)
                    change = cell.learning_rate * mean / (np.sqrt(square) + cells.EPSILON)
                    net.parameters -= change
            return net.parameters

        return run

    def gradient(self, task: Task):
        net = self.network(task)

        def value(parameters: Floats) -> tuple[float, Floats]:
            net.parameters = parameters
            return net.gradient(task.X, task.Y)

        return value


class NumpyScript(Blas):
    name = "NumPy script"
    module = "numpy"
    kinds = (*Contender.kinds, cells.BOUND, cells.STEP, *cells.SECOND_ORDER)

    @staticmethod
    def units(cell: Cell):
        import numpy_script

        found = {"tanh": np.tanh}
        for name in ("sigmoid", "relu", "identity", "softmax"):
            found[name] = getattr(numpy_script, name)
        return found[cell.activation], found[cell.output]

    def predict(self, task: Task):
        import numpy_script

        X, (weights, biases), units = task.X, task.weights(), self.units(task.cell)
        return lambda: numpy_script.predict(X, weights, biases, *units)

    @staticmethod
    def update(cell: Cell):
        import numpy_script

        if cell.adam:
            numbers = cells.BETA1, cells.BETA2, cells.EPSILON
            return numpy_script.Adam(cell.learning_rate, *numbers)
        return numpy_script.GradientDescent(cell.learning_rate)

    def train(self, task: Task):
        import numpy_script

        cell, units = task.cell, self.units(task.cell)

        def run(epochs: int):
            w, b = task.weights()
            rows = cell.batch or cell.rows
            numpy_script.train(task.X, task.Y, w, b, self.update(cell), epochs, rows, *units)
            return w, b

        return run

    def step(self, task: Task):
        import numpy_script

        w, b = task.weights()
        x, y, update, units = (
            task.X[None],
            task.Y[None],
            self.update(task.cell),
            self.units(task.cell),
        )
        return (
            lambda: numpy_script.train(x, y, w, b, update, 1, 1, *units),
            lambda: cells.flat(w, b),
        )

    def gradient(self, task: Task):
        import numpy_script

        units = self.units(task.cell)

        def value(parameters: Floats) -> tuple[float, Floats]:
            w, b = cells.Task(task.cell, task.X, task.Y, parameters).weights()
            cost, *found = numpy_script.gradients(task.X, task.Y, w, b, *units)
            _, dw, db = zip(*found[::-1], strict=True)
            return float(cost), cells.flat(dw, db)

        return value

    def cost(self, task: Task):
        import numpy_script

        units = self.units(task.cell)

        def value(parameters: Floats) -> float:
            w, b = cells.Task(task.cell, task.X, task.Y, parameters).weights()
            e = numpy_script.predict(task.X, w, b, *units) - task.Y
            return 0.5 * float(np.vdot(e, e))

        return value

    def errors(self, task: Task):
        """A function of (P,): the errors (n,) and J (n, P)."""
        import numpy_script

        hidden, _ = self.units(task.cell)

        def value(parameters: Floats) -> tuple[Floats, Floats]:
            w, b = cells.Task(task.cell, task.X, task.Y, parameters).weights()
            outputs, J = numpy_script.jacobian(task.X, w, b, hidden)
            return (outputs - task.Y)[:, 0], J

        return value

    def normal_equations(self, task: Task):
        errors = self.errors(task)

        def equations(parameters: Floats):
            e, J = errors(parameters)
            return J.T @ J, J.T @ e, 0.5 * float(e @ e)

        return equations

    def array(self, result) -> Floats:
        return cells.flat(*result) if isinstance(result, tuple) else result


class SciPy(NumpyScript):
    """MINPACK over the errors and the Jacobian of the NumPy script."""

    name = "SciPy MINPACK"
    module = "scipy"
    kinds = (cells.LM,)

    def levenberg(self, task: Task):
        errors, cell = self.errors(task), task.cell
        last: list = [None, None]

        def residuals(w: Floats) -> Floats:
            last[:] = w.copy(), errors(w)
            return last[1][0]

        def jacobian(w: Floats) -> Floats:
            # LMDER asks for the Jacobian where it has just asked for the errors, as a rule.
            return last[1][1] if np.array_equal(last[0], w) else errors(w)[1]

        return second_order.minpack(residuals, jacobian, task.start, cell.timed)


def contenders(threads: int) -> list[Contender]:
    """All of them, installed or not: deltaloop first, those with several threads before one."""
    Blas.all_threads = threads
    counts = sorted({threads, 1}, reverse=True)
    several = (
        Reference,
        NumpyScript,
        SciPy,
        by_torch.TorchModule,
        by_torch.TorchTensors,
        by_torch.TorchCompile,
        frameworks.ScikitLearn,
        frameworks.OnnxRuntime,
        by_numba.NumbaDot,
    )
    peers = [contender(n) for contender in several for n in counts]
    # The threads of JAX are those of its process.
    old = [Remote(by_jax.Jax, n, "jax-0.6", "JAX 0.6.2") for n in counts]
    jax = [by_jax.Jax(threads), *(Remote(by_jax.Jax, n) for n in counts if n != threads)]
    # One row at a time has no work for more threads.
    online = [
        Remote(by_jax.JaxUnrolled, 1),
        Remote(by_jax.JaxUnrolled, 1, "jax-0.6", "JAX 0.6.2"),
    ]
    single = [by_numba.Numba(1), by_numba.NumbaFast(1), by_casadi.Casadi(1), fann.Fann(1)]
    return [Deltaloop(threads), *peers, *jax, *old, *online, *single]
