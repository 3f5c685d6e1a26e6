"""The cells of the benchmark: which network, which data, and what one unit of time is.

Costs are sums over the rows: 1/2 sum (a - y)^2, or the cross-entropy of a softmax. Rows keep their
given order, so that all contenders can be held to the same parameters before they are timed. Adam
adds epsilon to the root of the corrected second moment of the summed gradient.

This file needs NumPy alone where a task is only read: contenders of other interpreters get theirs
through a pipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LATENCY, FORWARD, TRAIN, STEP, BOUND = "predict", "forward", "train", "step", "bound"
# Estimators of scikit-learn's kind and what stands for them; iterations of L-BFGS and of Levenberg
# and Marquardt's method.
ESTIMATE, LBFGS, LM = "estimate", "lbfgs", "lm"
PREDICTS = (LATENCY, FORWARD, BOUND, ESTIMATE)
SECOND_ORDER = (LBFGS, LM)

# What the last cost is of the first at most, after the iterations of these.
REACHED = {LBFGS: 0.05, LM: 0.02}

# Adam's numbers, the same for all.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    Learning rates are powers of two, as FANN keeps them in single precision.
    """

    name: str
    layers: tuple[int, ...]
    rows: int
    kind: str
    unit: str  # what the time is of
    batch: int | None = None  # rows a step; all of them by default
    learning_rate: float = 0.0
    checked: int = 1  # epochs after which parameters are compared
    timed: int = 1  # epochs of a timed fit at least; of second order, its iterations
    minimum: float | None = None  # speed-up over the best peer that is required
    target: float | None = None  # or seconds that may be taken
    activation: str = "sigmoid"  # of the hidden layers: sigmoid, relu or tanh
    output: str = "sigmoid"  # or identity, both with the squared error, or softmax
    adam: bool = False  # instead of gradient descent

    @property
    def loss(self) -> str:
        return "cross_entropy" if self.output == "softmax" else "squared_error"

    @property
    def classifies(self) -> bool:
        return self.output == "softmax"

    @property
    def trains(self) -> bool:
        """Whether the unit is made of epochs or iterations."""
        return self.kind in (TRAIN, *SECOND_ORDER)

    @property
    def steps(self) -> int:
        """Units in one epoch, or in one fit of second order."""
        if self.kind in SECOND_ORDER:
            return self.timed
        return -(-self.rows // self.batch) if self.batch else 1

    @property
    def unit_rows(self) -> int:
        """Rows that one unit covers."""
        return (self.batch or self.rows) if self.kind == TRAIN else self.rows


def latency(*layers: int, minimum: float) -> Cell:
    return Cell(
        f"lat-{dashed(layers)}", layers, 1, LATENCY, "predict of one instance", minimum=minimum
    )


def forward(*layers: int, minimum: float) -> Cell:
    return Cell(
        f"fwd-{dashed(layers)}", layers, 2000, FORWARD, "predict of 2,000 rows", minimum=minimum
    )


def full_batch(*layers: int, rows: int, name: str = "", **others) -> Cell:
    name = f"gd-{name or dashed(layers)}"
    return Cell(name, layers, rows, TRAIN, f"epoch of {rows:,} rows", **others)


def mini_batch(*layers: int, batch: int, **others) -> Cell:
    name = f"mb-{dashed(layers)}-b{batch}"
    return Cell(name, layers, kind=TRAIN, unit=f"step of {batch} rows", batch=batch, **others)


def online(*layers: int, **others) -> Cell:
    return Cell(f"on-{dashed(layers)}", layers, kind=TRAIN, unit="step of 1 row", batch=1, **others)


def adam(*layers: int, batch: int, rows: int, output: str) -> Cell:
    return Cell(
        f"adam-{dashed(layers)}-b{batch}",
        layers,
        rows,
        TRAIN,
        f"Adam's step of {batch} rows",
        batch=batch,
        learning_rate=2**-10,
        timed=20,
        activation="relu",
        output=output,
        adam=True,
    )


def second_order(kind: str, *layers: int, rows: int, unit: str, iterations: int) -> Cell:
    name = f"{kind}-{dashed(layers)}"
    return Cell(
        name,
        layers,
        rows,
        kind,
        f"{unit}, {rows:,} rows",
        checked=iterations,
        timed=iterations,
        activation="tanh",
        output="identity",
    )


def estimate(*layers: int, rows: int, output: str) -> Cell:
    which = "classifier" if output == "softmax" else "regressor"
    return Cell(
        f"{which}-{dashed(layers)}-x{rows}",
        layers,
        rows,
        ESTIMATE,
        f"{which}'s predict of {rows} row{'s' if rows > 1 else ''}",
        activation="relu",
        output=output,
    )


def dashed(layers: tuple[int, ...]) -> str:
    return "-".join(map(str, layers))


# A fit of deltaloop ends with the cost of all rows, a third of an epoch: twenty epochs in a timing
# keep that below 2 %, and the rates are such that rounding differences do not grow.
CELLS = (
    latency(2, 2, 1, minimum=14),
    latency(4, 64, 64, 2, minimum=10),
    latency(784, 128, 10, minimum=2),
    forward(64, 128, 10, minimum=2),
    forward(784, 2048, 2048, 10, minimum=1.4),
    full_batch(
        *(2, 2, 1), name="xor", rows=4, learning_rate=2**-1, checked=100, timed=2000, minimum=5
    ),
    full_batch(*(64, 32, 10), rows=1797, learning_rate=2**-10, checked=20, timed=20, minimum=2.5),
    full_batch(*(10, 32, 1), rows=100_000, learning_rate=2**-16, checked=8, timed=20, minimum=5),
    full_batch(
        *(784, 128, 10), rows=10_000, learning_rate=2**-13, checked=3, timed=20, minimum=1.5
    ),
    mini_batch(
        *(4, 64, 64, 2), batch=32, rows=3200, learning_rate=2**-6, checked=1, timed=20, minimum=2.5
    ),
    mini_batch(
        *(64, 128, 10), batch=32, rows=3200, learning_rate=2**-6, checked=1, timed=20, minimum=2.2
    ),
    mini_batch(
        *(784, 128, 10), batch=32, rows=1600, learning_rate=2**-6, checked=1, timed=20, minimum=2.3
    ),
    mini_batch(
        *(784, 512, 512, 10), batch=128, rows=512, learning_rate=2**-9, timed=20, minimum=1.5
    ),
    mini_batch(
        *(784, 2048, 2048, 10), batch=256, rows=512, learning_rate=2**-11, timed=20, minimum=1.15
    ),
    online(2, 2, 1, rows=1000, learning_rate=2**-3, timed=20, minimum=1.5),
    online(4, 64, 64, 2, rows=1000, learning_rate=2**-6, timed=20, minimum=4),
    online(784, 128, 10, rows=500, learning_rate=2**-6, timed=20, minimum=2),
    Cell(
        "step-4-64-64-2",
        (4, 64, 64, 2),
        1,
        STEP,
        "trainer.step(x, y)",
        learning_rate=2**-6,
        checked=100,
        target=2e-6,
    ),
    Cell("bound-2-2-1", (2, 2, 1), 1, BOUND, "predictor()", target=0.15e-6),
    adam(64, 128, 10, batch=32, rows=3200, output="softmax"),
    adam(784, 128, 10, batch=128, rows=1280, output="softmax"),
    adam(784, 512, 512, 10, batch=128, rows=512, output="softmax"),
    adam(10, 64, 1, batch=64, rows=6400, output="identity"),
    second_order(LBFGS, 10, 20, 1, rows=1000, unit="iteration of L-BFGS", iterations=100),
    second_order(LM, 10, 20, 1, rows=1000, unit="iteration of Levenberg-Marquardt", iterations=20),
    estimate(64, 128, 10, rows=1, output="softmax"),
    estimate(64, 128, 10, rows=32, output="softmax"),
    estimate(10, 64, 1, rows=1, output="identity"),
    estimate(10, 64, 1, rows=32, output="identity"),
)


@dataclass(frozen=True)
class Task:
    """A cell with its arrays, which no contender may write to."""

    cell: Cell
    X: Floats  # (n, m0); one instance (m0,)
    Y: Floats  # (n, mL); of one instance (mL,)
    start: Floats  # (P,): w1 row by row, b1, w2, b2, ...

    def weights(self) -> tuple[list[Floats], list[Floats]]:
        """Copies of w1 (m0, m1), w2 (m1, m2), ... and of b1 (m1,), b2 (m2,), ..."""
        weights, biases, at = [], [], 0
        for m, k in pairwise(self.cell.layers):
            weights.append(self.start[at : at + m * k].reshape(m, k).copy())
            biases.append(self.start[at + m * k : at + m * k + k].copy())
            at += m * k + k
        return weights, biases


def flat(weights, biases) -> Floats:
    """The parameters of all layers in deltaloop's order (P,)."""
    return np.concatenate(
        [np.asarray(v).ravel() for pair in zip(weights, biases, strict=True) for v in pair]
    )


@lru_cache(maxsize=1)
def task(cell: Cell) -> Task:
    """Make the arrays of a cell, the same ones every time."""
    from deltaloop import reference
    from deltaloop.datasets import load_digits

    rng = np.random.default_rng(0)
    m0, mL = cell.layers[0], cell.layers[-1]
    if cell.kind == TRAIN and cell.rows == 4:
        X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    elif cell.rows == 1797:
        X, y = load_digits()
        X, Y = X / 16.0, np.eye(10)[y]
    else:
        X, Y = rng.random((cell.rows, m0)), rng.random((cell.rows, mL))
    if cell.classifies:
        Y = np.eye(mL)[rng.integers(0, mL, cell.rows)]
    elif cell.output == "identity":
        # Friedman's function, to one place, and noise: something to learn for one output.
        x = X[:, :5].T
        curve = np.sin(np.pi * x[0] * x[1]) + 2 * (x[2] - 0.5) ** 2 + x[3] + x[4] / 2
        Y = curve[:, None] + 0.1 * rng.standard_normal((cell.rows, mL))
    start = reference.initial_parameters(cell.layers, "glorot_uniform", seed=0)
    arrays = [np.ascontiguousarray(v, dtype=np.float64) for v in (X, Y, start)]
    if cell.kind in (LATENCY, STEP, BOUND):
        arrays[:2] = arrays[0][0], arrays[1][0]
    for array in arrays:
        array.flags.writeable = False
    return Task(cell, *arrays)
