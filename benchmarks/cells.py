"""The cells of the benchmark: which network, which data, and what one unit of time is.

Every network is sigmoid with the squared error, trained by plain gradient descent on rows in their
given order, so that all contenders can be held to the same parameters before they are timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deltaloop import reference
from deltaloop.datasets import load_digits

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    A run of a training cell is `epochs` epochs from the same initial parameters: enough of them for
    what surrounds the epochs (validation, the cost at the end) to be small, and a rate at which the
    parameters move but rounding differences do not grow.
    """

    name: str
    layers: tuple[int, int, int]
    rows: int
    unit: str = "call"
    batch: int | None = None  # rows a step; all of them by default
    epochs: int = 0  # 0: prediction
    learning_rate: float = 0.0

    @property
    def units(self) -> int:
        """How many units one run holds."""
        steps = -(-self.rows // self.batch) if self.batch else 1
        return max(self.epochs, 1) * steps

    @property
    def label(self) -> str:
        """The name as the table shows it."""
        return f"{self.name}, {'-'.join(map(str, self.layers))}"


XOR = (2, 2, 1)
SMALL = (64, 128, 10)
LARGE = (784, 128, 10)
WIDE = (784, 2048, 10)

CELLS = (
    *(Cell("prediction of 1 row", layers, 1) for layers in (XOR, SMALL, LARGE)),
    *(Cell("prediction of 2,000 rows", layers, 2000) for layers in (XOR, SMALL, LARGE, WIDE)),
    Cell("full-batch epoch on 4 rows (XOR)", XOR, 4, "epoch", epochs=2000, learning_rate=0.5),
    Cell(
        "full-batch epoch on 1,797 rows",
        (64, 32, 10),
        1797,
        "epoch",
        epochs=20,
        learning_rate=1e-3,
    ),
    Cell(
        "full-batch epoch on 100,000 rows",
        (10, 32, 1),
        100_000,
        "epoch",
        epochs=8,
        learning_rate=2e-5,
    ),
    Cell("step on 32 rows", SMALL, 3200, "step", batch=32, epochs=10, learning_rate=0.02),
    Cell("step on 32 rows", LARGE, 3200, "step", batch=32, epochs=10, learning_rate=0.02),
)


@dataclass(frozen=True)
class Task:
    """A cell with its arrays, which no contender may write to."""

    cell: Cell
    X: Floats  # (n, m0); one instance (m0,)
    Y: Floats  # (n, mL)
    start: Floats  # (P,): w1 row by row, b1, w2, b2

    def weights(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Copies of w1 (m0, m1), b1 (m1,), w2 (m1, m2), b2 (m2,)."""
        m0, m1, m2 = self.cell.layers
        w1, b1, w2, b2 = np.split(self.start, np.cumsum([m0 * m1, m1, m1 * m2]))
        return w1.reshape(m0, m1).copy(), b1.copy(), w2.reshape(m1, m2).copy(), b2.copy()


@lru_cache(maxsize=1)
def task(cell: Cell) -> Task:
    """Make the arrays of a cell, the same ones every time."""
    rng = np.random.default_rng(0)
    m0, _, m2 = cell.layers
    if cell.epochs and cell.layers == XOR:
        X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    elif cell.rows == 1797:
        X, y = load_digits()
        X, Y = X / 16.0, np.eye(10)[y]
    else:
        X, Y = rng.random((cell.rows, m0)), rng.random((cell.rows, m2))
    start = reference.initial_parameters(cell.layers, "glorot_uniform", seed=0)
    arrays = [np.ascontiguousarray(v, dtype=np.float64) for v in (X, Y, start)]
    if cell.rows == 1:
        arrays[0] = arrays[0][0]
    for array in arrays:
        array.flags.writeable = False
    return Task(cell, *arrays)
