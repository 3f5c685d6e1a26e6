"""The rows of all ranks, and how they travel where they have to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop.distributed import _tree
from deltaloop.distributed._mpi.channel import HEADER, Bytes, Channel
from deltaloop.network import Network

Rows = tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]


@dataclass
class Data:
    """The rows of all ranks: which ones are here, and of which types they are when they travel."""

    channel: Channel
    net: Network
    shards: _tree.Shards
    x: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    weighted: bool
    labels: bool
    missing: bool

    @property
    def n(self) -> int:
        """Rows of all ranks."""
        return self.shards.n

    @property
    def span(self) -> tuple[int, int]:
        """Where this rank's begin and end."""
        return self.shards.span(self.channel.rank)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row that travels."""
        columns = 1 if self.y.ndim == 1 else self.y.shape[1]
        x, y = self.x.shape[1] * self.x.itemsize, columns * self.y.itemsize
        return int(x + y) + 8 * int(self.weighted)

    def size(self, n: int) -> int:
        """Bytes of a section with so many rows."""
        columns = 1 if self.y.ndim == 1 else self.y.shape[1]
        x, y = n * self.x.shape[1] * self.x.itemsize, n * columns * self.y.itemsize
        return HEADER + whole(x) + whole(y) + 8 * n * int(self.weighted)

    def views(self, section: Bytes, n: int) -> Rows:
        """Return what a section without its header holds."""
        m = self.x.shape[1]
        x = section[: n * m * self.x.itemsize].view(self.x.dtype).reshape(n, m)
        begin = whole(x.nbytes)
        columns = 1 if self.y.ndim == 1 else self.y.shape[1]
        y = section[begin : begin + n * columns * self.y.itemsize].view(self.y.dtype)
        begin += whole(y.nbytes)
        y = y if self.y.ndim == 1 else y.reshape(n, columns)
        return x, y, section[begin : begin + 8 * n].view(np.float64) if self.weighted else None

    def section(self, rows: Any, n: int) -> Bytes:
        """Return n of this rank's rows as they travel: local numbers or a slice."""
        section = np.empty(self.size(n), np.uint8)
        if n:
            x, y, weights = self.views(section[HEADER:], n)
            x[:], y[:] = self.x[rows], self.y[rows]
            if weights is not None and self.weights is not None:
                weights[:] = self.weights[rows]
        return section

    def everywhere(self, rows: NDArray[Any]) -> Rows:
        """Return these rows on all ranks, which all ask for the same ones; an exchange."""
        owners = self.shards.owners(rows)
        counts = np.bincount(owners, minlength=self.channel.size)
        rank = self.channel.rank
        mine = self.section(rows[owners == rank] - self.span[0], int(counts[rank]))
        sizes = [self.size(int(count)) for count in counts]
        sections = self.channel.gather(mine, sizes, "rows have come")
        return self.put(sections, owners, counts)

    def deliver(self, wanted: list[NDArray[Any]]) -> Rows:
        """Return the rows that this rank wants, of those that each rank wants; an exchange."""
        rank, begin = self.channel.rank, self.span[0]
        mine, sizes = [], []
        for rows in wanted:
            owned = rows[self.shards.owners(rows) == rank]
            mine.append(self.section(owned - begin, len(owned)))
        owners = self.shards.owners(wanted[rank])
        counts = np.bincount(owners, minlength=self.channel.size)
        sizes = [self.size(int(count)) for count in counts]
        return self.put(self.channel.deliver(mine, sizes, "rows have come"), owners, counts)

    def put(self, sections: list[Bytes], owners: NDArray[Any], counts: NDArray[Any]) -> Rows:
        """Return the rows of all sections in the order in which they were asked for."""
        n = len(owners)
        x = np.empty((n, self.x.shape[1]), self.x.dtype)
        y = np.empty((n, *self.y.shape[1:]), self.y.dtype)
        weights = np.empty(n) if self.weighted else None
        for rank, section in enumerate(sections):
            count = int(counts[rank])
            if count == 0:
                continue
            at = owners == rank
            x[at], y[at], s = self.views(section, count)
            if weights is not None and s is not None:
                weights[at] = s
        return x, y, weights


def whole(n: int) -> int:
    """Return n bytes, rounded up to whole numbers of 8."""
    return -(-n // 8) * 8
