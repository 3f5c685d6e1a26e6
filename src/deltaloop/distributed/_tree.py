"""The tree of sums over global row numbers, and who has which rows: the same for every engine.

A sum over n instances is made of chains, each over the next rows; how many there are follows from
n and the network alone. Complete chains are added up in a binary tree: neighbours, then neighbours
of neighbours. A node is (first chain, number of chains), a power of two of them from a multiple of
that number on. So whoever has the rows of a node can add them up by himself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core

Row = NDArray[np.float64]
Node = tuple[int, int]

# With fewer rows a sum is one chain, which no two can share: all of them get all rows.
LEAST_ROWS = 4096
# The warnings of a fit look at so many instances, and targets, at most.
SAMPLE_ROWS, SAMPLE_TARGETS = 1000, 10_000


def bounds(core: _core.Core, kind: str, n: int) -> tuple[int, ...]:
    """Return where the chains of a sum over n rows begin, and n."""
    return _core.chain_bounds(core, kind, n)


def nodes(first: int, end: int) -> list[Node]:
    """Return chains first .. end - 1 as the fewest nodes."""
    result = []
    while first < end:
        count = 1
        while first % (2 * count) == 0 and first + 2 * count <= end:
            count *= 2
        result.append((first, count))
        first += count
    return result


def owned(bounds: Sequence[int], begin: int, end: int) -> tuple[int, int]:
    """Return the chains (first, end) that begin in rows begin .. end - 1: those of their owner."""
    starts = bounds[:-1]
    return bisect_left(starts, begin), bisect_left(starts, end)


def merge(core: _core.Core, kind: str, parts: Iterable[tuple[Node, Row]]) -> list[tuple[Node, Row]]:
    """Add up neighbours in the tree as far as they are there; the rows given are written to.

    Whatever order the parts come in, each sum has the same two terms.
    """
    stack: list[tuple[Node, Row]] = []
    for node, row in sorted(parts, key=lambda part: part[0]):
        stack.append((node, row))
        while len(stack) > 1:
            (first, count), left = stack[-2]
            (after, same), right = stack[-1]
            if count != same or first + count != after or first % (2 * count):
                break
            _core.add_nodes(core, kind, right, left)
            stack[-2:] = [((first, 2 * count), left)]
    return stack


def total(core: _core.Core, kind: str, n: int, parts: Iterable[tuple[Node, Row]]) -> Row:
    """Return the node of all chains; ValueError where some are missing."""
    merged = merge(core, kind, parts)
    chains = len(bounds(core, kind, n)) - 1
    if [node for node, _ in merged] != [(0, chains)]:
        have = ", ".join(f"{first} to {first + count - 1}" for (first, count), _ in merged)
        raise ValueError(f"the sums of all {chains} chains are needed, got those of {have}")
    return merged[0][1]


def sample_rows(n: int, n_outputs: int) -> NDArray[np.intp]:
    """Return the rows of n that the warnings of a fit look at, as in ``csrc/training/survey.c``."""
    k = min(n, max(min(SAMPLE_TARGETS // n_outputs, SAMPLE_ROWS), 1))
    i = np.arange(k)
    return i * (n // k) + i * (n % k) // k


@dataclass(frozen=True)
class Shards:
    """Who has which of the rows: number `rank` has rows offsets[rank] .. offsets[rank + 1] - 1."""

    offsets: tuple[int, ...]

    @classmethod
    def of(cls, counts: Iterable[int]) -> Shards:
        """Return the shards of so many rows each, in their order."""
        return cls((0, *accumulate(counts)))

    @property
    def n(self) -> int:
        """Rows in all."""
        return self.offsets[-1]

    def span(self, rank: int) -> tuple[int, int]:
        """Return where a shard begins and ends."""
        return self.offsets[rank], self.offsets[rank + 1]

    def owners(self, rows: NDArray[Any]) -> NDArray[np.intp]:
        """Return who has these rows."""
        return np.searchsorted(np.asarray(self.offsets[1:]), rows, side="right")

    def tail(self, bounds: Sequence[int], rank: int) -> tuple[int, int]:
        """Return the rows after a shard's that complete its last chain: (begin, end)."""
        begin, end = self.span(rank)
        first, last = owned(bounds, begin, end)
        return end, max(bounds[last], end) if last > first else end
