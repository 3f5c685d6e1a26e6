"""Windows over the rows of a source, which a thread fills while C works on the one before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._blocks.ahead import HURRY, Ahead
from deltaloop._blocks.block import Array, Source
from deltaloop._blocks.survey import Survey, weights_of

# Bytes of all windows, where nobody says otherwise.
MEMORY = 2**28
# Windows: C has one, and one is filled.
WINDOWS = 2
# Bytes of a window at least, where the rows suffice: less often asked for, less often waited for.
LEAST = 2**25
# The ranges of a pass over many rows, each of which a thread takes: MLP_RANGES.
RANGES = 64


def rows_of(n: int, row: int, threads: int, unit: int, memory: int) -> int:
    """Return the rows of a window, of so many bytes each.

    All of them where they fit, so that they are read once. Otherwise whole ranges for all threads
    where these fit, as then each takes its own; `unit` rows belong together.
    """
    most = max(1, memory // row)
    if n <= most:
        return n
    most = max(1, most // WINDOWS)
    least = max(1, LEAST // row)
    if unit > 1:
        return min(n, max(1, min(max(least // unit, 1), most // unit)) * unit)
    group = (-(-n // RANGES) + 8) * threads
    rows = -(-least // group) * group if group <= most else least
    return min(rows, most)


class Windows:
    """What `_core.Blocks` reads from: see there for `read`."""

    def __init__(
        self,
        source: Source,
        found: Survey,
        *,
        m0: int,
        weights: NDArray[np.float64] | None,
        by_class: NDArray[np.float64] | None,
        threads: int,
        unit: int,
        memory: int | None,
        name: str = "X",
    ) -> None:
        self.source, self.n, self.labels, self.name = source, found.n, found.labels, name
        self.given, self.by_class = weights, by_class
        weighted = found.weighted or by_class is not None
        width = int(np.prod(found.y_shape, dtype=np.int64))
        row = m0 * found.x_type.itemsize + width * found.y_type.itemsize + 8 * weighted
        self.rows = rows_of(self.n, row, threads, unit, memory or MEMORY)
        self.count = 1 if self.rows == self.n else WINDOWS
        places = self.rows * self.count
        self.x = np.empty((places, m0), found.x_type)
        self.y = np.empty((places, *found.y_shape), found.y_type)
        self.weights = np.empty(places) if weighted else None
        self.blocks = _core.Blocks(self.read, self.n, self.x, self.y, self.weights)
        self.ahead: Ahead | None = None
        self.end = 0
        self.loaded = False
        self.limit = math.inf  # seconds that a row is waited for

    def read(self, row: int) -> tuple[int, int, int]:
        """Make a row lie in memory: the first and the end of those that do, and their place."""
        if self.loaded:
            return 0, self.n, 0
        if self.ahead is not None and row == 0 and self.end not in (0, self.n):
            self.close()  # the pass before was given up
        if self.ahead is None:
            self.ahead = Ahead(self.passes, self.count)
            self.end = 0
        first, end, at = self.ahead.get(self.limit)
        self.end = end
        if self.count == 1:
            self.close()
            self.loaded = True
        return first, end, at

    def hurry(self) -> None:
        """Let `read` raise a TimeoutError where rows do not come soon."""
        self.limit = HURRY

    def passes(self) -> Iterator[tuple[int, int, int]]:
        """Fill windows in their order, over and over."""
        slot = 0
        while True:
            first = filled = 0
            for number, block in enumerate(self.source.blocks()):
                done = 0
                if first + filled + block.rows > self.n:
                    raise self.changed(f"has more than these in block {number}")
                weights = weights_of(block, self.given, first + filled)
                while done < block.rows:
                    take = min(block.rows - done, self.rows - filled)
                    at = slot * self.rows + filled
                    self.put(block, weights, done, done + take, at)
                    done += take
                    filled += take
                    if filled == self.rows:
                        yield first, first + filled, slot * self.rows
                        slot = (slot + 1) % self.count
                        first += filled
                        filled = 0
            if first + filled != self.n:
                raise self.changed(f"has {first + filled} this time")
            if filled:
                yield first, first + filled, slot * self.rows
                slot = (slot + 1) % self.count

    def changed(self, how: str) -> ValueError:
        """Return the error for a source that gives other rows than before."""
        return ValueError(
            f"{self.name}, {self.source.called}, gave {self.n} rows in its first pass and {how}; "
            "it is read several times, and must give the same rows each time: a stream or a "
            "generator that can be read once is no such thing"
        )

    def put(self, block: Any, weights: Array | None, begin: int, end: int, at: int) -> None:
        """Write rows of a block to their place."""
        rows = slice(at, at + end - begin)
        block.put(begin, end, self.x[rows])
        y = block.y[begin:end]
        if not self.labels:
            y = y.reshape(end - begin, -1)
        self.y[rows] = y
        if self.weights is None:
            return
        if self.by_class is None:
            assert weights is not None
            self.weights[rows] = weights[begin:end]
            return
        s = self.by_class[y.reshape(-1).astype(np.intp)]
        self.weights[rows] = s if weights is None else weights[begin:end] * s

    def close(self, error: BaseException | type[BaseException] | None = None) -> None:
        """End the reading thread; `error` is what ends the caller."""
        if self.ahead is not None:
            self.ahead.close(error)
            self.ahead = None
