"""Blocks that the caller's own code gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deltaloop._blocks.block import Block, Source, plain

NAMES = ("X", "Y", "sample_weight")


class Iterable(Source):
    """Anything that can be iterated over again and again, and gives blocks each time."""

    called = "an iterable of blocks"
    keeps = False  # it may fill the same arrays again

    def __init__(self, given: Any, Y: object, sample_weight: object) -> None:
        if Y is not None:
            raise ValueError(
                "Y must be None where X is an iterable of blocks: give (X, Y) as each block"
            )
        if isinstance(sample_weight, str):
            raise TypeError(
                "sample_weight must be an array (n,) or part of each block, (X, Y, weights), where "
                f"X is {self.called}, got the name {sample_weight!r}"
            )
        self.given = given
        self.once = hasattr(given, "__next__")
        self.targets = True

    def blocks(self) -> Iterator[Block]:
        readers = plain, self.target, plain
        for i, given in enumerate(self.given):
            parts = given if isinstance(given, tuple | list) else (given,)
            if not 1 <= len(parts) <= 3:
                raise ValueError(
                    f"block {i} of X must be (X, Y) or (X, Y, weights), got {len(parts)} parts"
                )
            if self.alone:
                parts = parts[:1]
            arrays = [
                None if part is None else read(f"block {i} of {name}", part)
                for read, name, part in zip(readers, NAMES, parts, strict=False)
            ]
            x = arrays[0]
            if x is None or x.ndim != 2:
                shape = None if x is None else x.shape
                raise ValueError(f"block {i} of X must have shape (rows, m0), got {shape}")
            for name, part in zip(("Y", "sample_weight"), arrays[1:], strict=False):
                if part is not None and (part.ndim == 0 or len(part) != len(x)):
                    rows = len(part) if part.ndim else "no"
                    raise ValueError(
                        f"block {i} of X has {len(x)} instances but its {name} has {rows}"
                    )
            if len(x):
                yield Block(x, *arrays[1:])
