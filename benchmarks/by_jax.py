"""JAX as a contender, in float64: jit, grad and lax.scan, all epochs in one call.

It is given its own arrays and returns them, and does not sum up the cost. Its time of compiling is
not counted. The number of threads is the process's; an option for a single function
(`xla_cpu_multi_thread_eigen`) changes neither the threads nor the time.
"""

from __future__ import annotations

from itertools import pairwise

import cells
import numpy as np
from cells import Cell, Floats, Task
from contender import Contender


class Jax(Contender):
    name = "JAX"
    module = "jax"
    kinds = (*Contender.kinds, cells.STEP, *cells.SECOND_ORDER)
    unroll = 1  # steps that one iteration of the loop makes

    def parts(self, task: Task):
        import jax

        jax.config.update("jax_enable_x64", True)
        pairs = zip(*task.weights(), strict=True)
        return [(jax.numpy.asarray(w), jax.numpy.asarray(b)) for w, b in pairs]

    def functions(self, task: Task):
        """z^(L) and a^(L), of the parameters and rows, and C, of parameters, rows and targets."""
        import jax

        jax.config.update("jax_enable_x64", True)
        cell = task.cell
        unit = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu, "tanh": jax.numpy.tanh}

        def outputs(parameters, x):
            last = len(parameters) - 1
            for l, (w, b) in enumerate(parameters):
                x = x @ w + b
                if l < last:
                    x = unit[cell.activation](x)
            return x

        def network(parameters, x):
            z = outputs(parameters, x)
            if cell.output == "sigmoid":
                return jax.nn.sigmoid(z)
            return jax.nn.softmax(z) if cell.classifies else z

        def cost(parameters, x, y):
            if cell.classifies:
                return -(y * jax.nn.log_softmax(outputs(parameters, x))).sum()
            return 0.5 * ((network(parameters, x) - y) ** 2).sum()

        return outputs, network, cost

    def predict(self, task: Task):
        import jax

        parameters, x = self.parts(task), jax.numpy.asarray(task.X)
        f = jax.jit(self.functions(task)[1])
        return lambda: f(parameters, x).block_until_ready()

    def estimate(self, task: Task):
        import jax

        parameters, X = self.parts(task), task.X
        outputs, network, _ = self.functions(task)
        if task.cell.classifies:
            f = jax.jit(lambda p, x: outputs(p, x).argmax(axis=1))
        else:
            f = jax.jit(network)
        return lambda: np.asarray(f(parameters, X))

    def stepping(self, task: Task):
        """What a step starts from, and the step: of the state and (x, y), to the next state."""
        import jax

        cell, start, cost = task.cell, self.parts(task), self.functions(task)[2]
        gradient = jax.grad(cost)
        if not cell.adam:

            def descend(parameters, xy):
                g = gradient(parameters, *xy)
                move = lambda w, g: w - cell.learning_rate * g  # noqa: E731
                return jax.tree.map(move, parameters, g), None

            return start, descend

        def step(state, xy):
            parameters, m, v, p1, p2 = state
            g = gradient(parameters, *xy)
            p1, p2 = p1 * cells.BETA1, p2 * cells.BETA2
            m = jax.tree.map(lambda m, g: cells.BETA1 * m + (1.0 - cells.BETA1) * g, m, g)
            v = jax.tree.map(lambda v, g: cells.BETA2 * v + (1.0 - cells.BETA2) * g * g, v, g)
            rate, root = cell.learning_rate / (1.0 - p1), 1.0 / jax.numpy.sqrt(1.0 - p2)
            parameters = jax.tree.map(
                lambda w, m, v: w - rate * m / (jax.numpy.sqrt(v) * root + cells.EPSILON),
                *(parameters, m, v),
            )
            return (parameters, m, v, p1, p2), None

        zero = jax.tree.map(jax.numpy.zeros_like, start)
        one = jax.numpy.asarray(1.0)
        return (start, zero, zero, one, one), step

    def train(self, task: Task):
        import jax
        from jax import lax

        cell = task.cell
        start, step = self.stepping(task)
        X, Y = jax.numpy.asarray(task.X), jax.numpy.asarray(task.Y)
        if cell.batch == 1:
            batches = X, Y
        elif cell.batch:
            batches = tuple(v.reshape(cell.steps, cell.batch, -1) for v in (X, Y))
        else:
            batches = X[None], Y[None]

        def epoch(_, carry):
            state, batches = carry
            if cell.batch is None:
                return step(state, (batches[0][0], batches[1][0]))[0], batches
            return lax.scan(step, state, batches, unroll=self.unroll)[0], batches

        def fit(state, batches, epochs):
            return lax.fori_loop(0, epochs, epoch, (state, batches))[0]

        f = jax.jit(fit)
        pick = (lambda state: state[0]) if cell.adam else (lambda state: state)
        return lambda epochs: pick(jax.block_until_ready(f(start, batches, epochs)))

    def step(self, task: Task):
        """A call of a jitted step, whose parameters are written over."""
        import jax

        start, step = self.stepping(task)
        f = jax.jit(lambda state, x, y: step(state, (x, y))[0], donate_argnums=0)
        state, x, y = start, task.X, task.Y

        def call() -> None:
            nonlocal state
            state = jax.block_until_ready(f(state, x, y))

        return call, lambda: self.array(state)

    def flat_parameters(self, task: Task):
        """From (P,) to the layers, inside of jit."""

        def layers(w):
            found, at = [], 0
            sizes = task.cell.layers
            for m, k in pairwise(sizes):
                end = at + m * k
                found.append((w[at:end].reshape(m, k), w[end : end + k]))
                at = end + k
            return found

        return layers

    def gradient(self, task: Task):
        import jax

        cost, layers = self.functions(task)[2], self.flat_parameters(task)
        X, Y = jax.numpy.asarray(task.X), jax.numpy.asarray(task.Y)
        f = jax.jit(jax.value_and_grad(lambda w: cost(layers(w), X, Y)))

        def value(w: Floats) -> tuple[float, Floats]:
            C, g = f(w)
            return float(C), np.asarray(g)

        return value

    def cost(self, task: Task):
        import jax

        cost, layers = self.functions(task)[2], self.flat_parameters(task)
        X, Y = jax.numpy.asarray(task.X), jax.numpy.asarray(task.Y)
        f = jax.jit(lambda w: cost(layers(w), X, Y))
        return lambda w: float(f(w))

    def normal_equations(self, task: Task):
        import jax

        network, layers = self.functions(task)[1], self.flat_parameters(task)
        X, Y = jax.numpy.asarray(task.X), jax.numpy.asarray(task.Y)

        @jax.jit
        def f(w):
            # The outputs of a row are one: its gradient is a row of J.
            one = jax.value_and_grad(lambda w, x: network(layers(w), x)[0])
            a, J = jax.vmap(one, (None, 0))(w, X)
            e = a - Y[:, 0]
            return J.T @ J, J.T @ e, 0.5 * e @ e

        def equations(w: Floats):
            A, g, C = f(w)
            return np.asarray(A), np.asarray(g), float(C)

        return equations

    def array(self, result) -> Floats:
        if isinstance(result, list):
            return cells.flat(*zip(*result, strict=True))
        return np.asarray(result)


class JaxUnrolled(Jax):
    """Four steps an iteration: 4-64-64-2 online takes 0.6 times as long, and no batch gains."""

    variant = "unrolled"
    unroll = 4

    def suits(self, cell: Cell) -> bool:
        return cell.kind == cells.TRAIN and cell.batch == 1
