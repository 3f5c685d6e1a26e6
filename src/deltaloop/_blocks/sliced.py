"""Arrays that are read by slices of rows: of zarr, HDF5 and memory-mapped files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from deltaloop._blocks.block import BLOCK, Array, Block, Source, plain


class Sliced(Source):
    """An array X with targets of its rows, each of which is read by slices."""

    called = "an array that is read by slices"
    targets = True

    def __init__(self, X: Any, Y: Any, sample_weight: object) -> None:
        if isinstance(sample_weight, str):
            raise TypeError(
                f"sample_weight must be an array (n,) where X is {self.called}, got the name "
                f"{sample_weight!r}"
            )
        if isinstance(Y, str):
            raise TypeError(f"Y must be an array where X is {self.called}, got the name {Y!r}")
        if len(X.shape) != 2:
            raise ValueError(f"X must have shape (n, m0), got {tuple(X.shape)}")
        self.x = X
        self.y = Y if Y is None or hasattr(Y, "shape") else np.asarray(Y)
        self.targets = Y is not None
        if self.y is not None and self.y.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} instances but Y has {self.y.shape[0]}")
        row = max(1, X.shape[1] * np.dtype(X.dtype).itemsize)
        rows = max(1, BLOCK // row)
        # Whole chunks, where there are some: each is then read and decompressed once.
        chunk = (getattr(X, "chunks", None) or (1,))[0]
        self.rows = max(1, rows // chunk) * chunk

    def blocks(self) -> Iterator[Block]:
        for begin in range(0, self.x.shape[0], self.rows):
            end = min(begin + self.rows, self.x.shape[0])
            y = None if self.y is None else self.target("Y", self.y[begin:end])
            yield Block(plain("X", self.x[begin:end]), y)
            for array in (self.x, self.y):
                forget(array, begin, end)


class Zarr(Sliced):
    """An array of zarr."""

    called = "a zarr array"


class HDF5(Sliced):
    """A dataset of h5py."""

    called = "an HDF5 dataset"


class Mapped(Sliced):
    """An array whose memory is a file."""

    called = "a memory-mapped array"


def forget(array: object, begin: int, end: int) -> None:
    """Give the pages of rows that have been read back to the system, of a file that is mapped.

    Its page cache keeps them as long as it has room. Pages of a mapping that is private may hold
    what is in no file.
    """
    memory = getattr(array, "_mmap", None)
    if not isinstance(array, np.memmap) or memory is None or not hasattr(memory, "madvise"):
        return
    if array.mode not in ("r", "r+", "w+") or not array.flags.c_contiguous:
        return
    whole: Array = np.frombuffer(memory, dtype=np.uint8)
    start = array.ctypes.data - whole.ctypes.data
    row = array.strides[0]
    first = -(-(start + begin * row) // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (start + end * row) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        memory.madvise(mmap.MADV_DONTNEED, first, last - first)
