"""numba by hand as a contender: the loops that one would write for one network, on one thread.

Each network gets a program of its own, in which its sizes are numbers, as in a script: the
functions below write its lines. `loops` are plain loops over one row after the other; `dot` takes
numpy.dot, so BLAS, for the products of a batch; fastmath changes the loops alone.
"""

from __future__ import annotations

from itertools import pairwise

import cells
import numpy as np
from cells import Cell, Task
from contender import Blas, Contender

# Row by row, without blocks: of no interest where one unit has more multiply-adds.
LOOPS_UP_TO = 5_000_000

UNITS = {
    "sigmoid": "1.0 / (1.0 + exp(-{0}))",
    "relu": "max({0}, 0.0)",
    "tanh": "tanh({0})",
    "identity": "{0}",
}
SLOPES = {
    "sigmoid": " * {0} * (1.0 - {0})",
    "relu": " * ({0} > 0.0)",
    "tanh": " * (1.0 - {0} * {0})",
    "identity": "",
    "softmax": "",
}


def names(letter: str, cell: Cell, first: int = 1) -> str:
    return ", ".join(f"{letter}{l}" for l in range(first, len(cell.layers)))


def unpacked(cell: Cell, *letters: str) -> list[str]:
    """Arrays from tuples of them."""
    return [f"{names(letter, cell)}, = {letter}" for letter in letters]


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def unit_of(cell: Cell, l: int) -> str:
    return cell.output if l == len(cell.layers) - 1 else cell.activation


def softmax(z: str, k: int) -> list[str]:
    return [
        f"top, total = {z}.max(), 0.0",
        f"for j in range({k}):",
        f"    {z}[j] = exp({z}[j] - top)",
        f"    total += {z}[j]",
        f"for j in range({k}):",
        f"    {z}[j] /= total",
    ]


# ---- one row after the other ----


def forward_row(cell: Cell) -> list[str]:
    lines = []
    for l, (m, k) in enumerate(pairwise(cell.layers), 1):
        unit = unit_of(cell, l)
        lines += [f"for j in range({k}):", f"    a{l}[j] = b{l}[j]"]
        lines += [f"for i in range({m}):", f"    for j in range({k}):"]
        lines += [f"        a{l}[j] += a{l - 1}[i] * w{l}[i, j]"]
        if unit == "softmax":
            lines += softmax(f"a{l}", k)
        elif unit != "identity":
            lines += [f"for j in range({k}):"]
            lines += [f"    a{l}[j] = {UNITS[unit].format(f'a{l}[j]')}"]
    return lines


def backward_row(cell: Cell, at_once: bool) -> list[str]:
    """Steps of gradient descent at once, or sums of the gradient."""
    L = len(cell.layers) - 1
    target = "-= rate *" if at_once else "+="
    w, b = ("w", "b") if at_once else ("g", "h")
    slope = SLOPES[cell.output].format(f"a{L}[j]")
    lines = [f"for j in range({cell.layers[-1]}):", f"    d{L}[j] = (a{L}[j] - y[j]){slope}"]
    for l in range(L, 0, -1):
        m, k = cell.layers[l - 1], cell.layers[l]
        if l > 1:
            slope = SLOPES[cell.activation].format(f"a{l - 1}[i]")
            lines += [f"for i in range({m}):", "    s = 0.0", f"    for j in range({k}):"]
            lines += [f"        s += w{l}[i, j] * d{l}[j]", f"    d{l - 1}[i] = s{slope}"]
        lines += [f"for i in range({m}):", f"    for j in range({k}):"]
        lines += [f"        {w}{l}[i, j] {target} a{l - 1}[i] * d{l}[j]"]
        lines += [f"for j in range({k}):", f"    {b}{l}[j] {target} d{l}[j]"]
    return lines


def gradient_rows(cell: Cell) -> list[str]:
    """The gradient's sums over the rows of a batch, from 0."""
    lines = [f"{g}{l}[:] = 0.0" for l in range(1, len(cell.layers)) for g in ("g", "h")]
    lines += ["for r in range(start, end):", "    a0, y = X[r], Y[r]"]
    return lines + indented(forward_row(cell) + backward_row(cell, at_once=False))


# ---- batches by numpy.dot ----


def forward_batch(cell: Cell) -> list[str]:
    lines = []
    for l, k in enumerate(cell.layers[1:], 1):
        unit, z = unit_of(cell, l), f"a{l}[i, j] + b{l}[j]"
        lines += [f"dot(a{l - 1}, w{l}, a{l})", f"for i in range(len(a{l})):"]
        if unit == "softmax":
            lines += [f"    z = a{l}[i]", f"    for j in range({k}):", f"        z[j] += b{l}[j]"]
            lines += indented(softmax("z", k))
        else:
            lines += [f"    for j in range({k}):", f"        z = {z}"]
            lines += [f"        a{l}[i, j] = {UNITS[unit].format('z')}"]
    return lines


def gradient_batch(cell: Cell) -> list[str]:
    L = len(cell.layers) - 1
    lines = ["a0, y = X[start:end], Y[start:end]", *forward_batch(cell)]
    for l in range(L, 0, -1):
        slope = SLOPES[unit_of(cell, l)].format(f"a{l}[i, j]")
        if l < L:
            lines += [f"dot(d{l + 1}, w{l + 1}.T, d{l})"]
        value = f"(a{l}[i, j] - y[i, j])" if l == L else f"d{l}[i, j]"
        lines += [f"h{l}[:] = 0.0", f"for i in range(len(d{l})):"]
        lines += [f"    for j in range({cell.layers[l]}):"]
        lines += [f"        d = {value}{slope}", f"        d{l}[i, j] = d", f"        h{l}[j] += d"]
    for l in range(1, L + 1):
        lines += [f"dot(a{l - 1}.T, d{l}, g{l})"]
    return lines


# ---- programs ----


def update(cell: Cell) -> list[str]:
    lines = []
    if cell.adam:
        lines += ["p[0] *= beta1", "p[1] *= beta2"]
        lines += ["first = rate / (1.0 - p[0])", "second = 1.0 / sqrt(1.0 - p[1])"]
    for l, (m, k) in enumerate(pairwise(cell.layers), 1):
        for w, g, at, loops in (
            ("w", "g", "i, j", [f"for i in range({m}):", f"    for j in range({k}):"]),
            ("b", "h", "j", [f"for j in range({k}):"]),
        ):
            inner = [f"{w}{l}[{at}] -= rate * {g}{l}[{at}]"]
            if cell.adam:
                mean, square = (f"{letter}{w}{l}[{at}]" for letter in "mv")
                inner = [
                    f"d = {g}{l}[{at}]",
                    f"m = beta1 * {mean} + (1.0 - beta1) * d",
                    f"v = beta2 * {square} + (1.0 - beta2) * d * d",
                    f"{mean}, {square} = m, v",
                    f"{w}{l}[{at}] -= first * m / (sqrt(v) * second + epsilon)",
                ]
            lines += loops + ["    " * len(loops) + line for line in inner]
    return lines


def prediction(cell: Cell, dots: bool) -> list[str]:
    """The source of `predict`, whose weights are those of the surrounding scope."""
    L, n = len(cell.layers) - 1, cell.unit_rows
    shape = f"({n}, {{}})" if dots else "{}"
    lines = ["def predict(X):"] if cell.kind != cells.BOUND else ["def predict(X, out):"]
    lines += [
        f"    a{l} = empty({shape.format(k)})" for l, k in enumerate(cell.layers) if 0 < l < L
    ]
    if cell.kind != cells.BOUND:
        lines += [
            f"    out = empty(({n}, {cell.layers[-1]}))"
            if n > 1 or dots or rows_in(cell)
            else f"    out = empty({cell.layers[-1]})"
        ]
    if dots:
        lines += indented(["a0 = X", f"a{L} = out", *forward_batch(cell)])
    elif rows_in(cell):
        lines += ["    for r in range(len(X)):"]
        lines += indented(indented(["a0 = X[r]", f"a{L} = out[r]", *forward_row(cell)]))
    else:
        lines += indented(["a0 = X", f"a{L} = out", *forward_row(cell)])
    return [*lines, "    return out"]


def rows_in(cell: Cell) -> bool:
    """Whether what is predicted has rows, and is not one of them."""
    return cell.kind == cells.FORWARD


def program(cell: Cell, dots: bool) -> str:
    """The source of `train`: epochs of steps."""
    state = ["w", "b", "g", "h"] + (["mw", "vw", "mb", "vb"] if cell.adam else [])
    lines = []
    single = cell.unit_rows == 1 and not cell.adam
    lines += [f"def train(X, Y, epochs, batch, rate, p, a, d, {', '.join(state)}):"]
    lines += indented(unpacked(cell, "a", "d", *state))
    lines += ["    for _ in range(epochs):"]
    if single and not dots:
        body = ["for r in range(len(X)):", "    a0, y = X[r], Y[r]"]
        body += indented(forward_row(cell) + backward_row(cell, at_once=True))
    else:
        body = ["for start in range(0, len(X), batch):", "    end = start + batch"]
        body += indented((gradient_batch if dots else gradient_rows)(cell) + update(cell))
    lines += indented(indented(body))
    return "\n".join(lines) + "\n"


class Numba(Contender):
    name = "numba"
    module = "numba"
    kinds = (
        cells.LATENCY,
        cells.BOUND,
        cells.FORWARD,
        cells.TRAIN,
        cells.STEP,
    )
    dots = False
    fastmath = False

    @property
    def variant(self) -> str:
        return ("dot" if self.dots else "loops") + (", fastmath" if self.fastmath else "")

    def suits(self, cell: Cell) -> bool:
        work = cell.unit_rows * sum(m * k for m, k in pairwise(cell.layers))
        fits = cell.unit_rows > 1 if self.dots else work <= LOOPS_UP_TO
        return fits and super().suits(cell)

    def compiled(self, source: str, name: str, **arrays):
        import math

        import numba

        scope = {"exp": math.exp, "tanh": math.tanh, "sqrt": math.sqrt}
        scope |= {"dot": np.dot, "empty": np.empty}
        scope |= {"beta1": cells.BETA1, "beta2": cells.BETA2, "epsilon": cells.EPSILON}
        exec(source, scope | arrays, found := {})
        # Its scope is what a function of a script would have around it.
        return numba.njit(fastmath=self.fastmath, error_model="numpy")(found[name])

    def arrays(self, cell: Cell):
        """One array a layer, of a row or of a batch."""
        rows = () if not self.dots else (cell.unit_rows,)
        return tuple(np.empty((*rows, m)) for m in cell.layers[1:])

    def predict(self, task: Task):
        cell, X = task.cell, task.X
        weights, biases = task.weights()
        frozen = {f"w{l}": w for l, w in enumerate(weights, 1)}
        frozen |= {f"b{l}": b for l, b in enumerate(biases, 1)}
        source = "\n".join(prediction(cell, self.dots))
        f = self.compiled(source, "predict", **frozen)
        if cell.kind == cells.BOUND:
            out = np.empty(cell.layers[-1])
            return lambda: f(X, out)
        return lambda: f(X)

    def state(self, task: Task):
        """Weights, biases, their gradients and moments."""
        w, b = map(tuple, task.weights())
        zeros = [tuple(map(np.zeros_like, v)) for v in (w, b) * (3 if task.cell.adam else 1)]
        if not task.cell.adam:
            return w, b, *zeros
        gw, gb, mw, mb, vw, vb = zeros
        return w, b, gw, gb, mw, vw, mb, vb

    def train(self, task: Task):
        cell = task.cell
        f = self.compiled(program(cell, self.dots), "train")
        a, d = self.arrays(cell), self.arrays(cell)
        batch = cell.batch or cell.rows

        def run(epochs: int):
            state = self.state(task)
            powers = np.ones(2)
            f(task.X, task.Y, epochs, batch, cell.learning_rate, powers, a, d, *state)
            return state[:2]

        return run

    def step(self, task: Task):
        cell = task.cell
        f = self.compiled(program(cell, self.dots), "train")
        a, d, state, powers = self.arrays(cell), self.arrays(cell), self.state(task), np.ones(2)
        x, y = task.X[None], task.Y[None]
        call = lambda: f(x, y, 1, 1, cell.learning_rate, powers, a, d, *state)  # noqa: E731
        return call, lambda: cells.flat(*state[:2])

    def array(self, result):
        return cells.flat(*result) if isinstance(result, tuple) else result


class NumbaFast(Numba):
    fastmath = True


class NumbaDot(Numba, Blas):
    """BLAS has threads, the loops have none."""

    dots = True

    def present(self) -> bool:
        import importlib.util

        # numba takes the BLAS of SciPy.
        return super().present() and importlib.util.find_spec("scipy") is not None
