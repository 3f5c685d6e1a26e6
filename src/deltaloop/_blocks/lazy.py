"""LazyFrames of polars, which are collected batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deltaloop._blocks.block import BLOCK, Array, Block, Source, not_numbers, of_columns, pick


def numbers(pl: Any, name: str, column: Any) -> Array:
    """Return a column as numbers; what is null becomes NaN."""
    kind = column.dtype
    if kind == pl.Boolean:
        column = column.cast(pl.UInt8)
    elif kind.is_decimal() or kind == pl.Null:
        column = column.cast(pl.Float64)
    elif not kind.is_numeric():
        raise not_numbers(name, kind)
    array: Array = np.asarray(column.to_numpy())
    return array


class LazyFrame(Source):
    """A query that polars streams."""

    called = "a polars LazyFrame"

    def __init__(self, frame: Any, Y: object, sample_weight: object) -> None:
        self.frame = frame
        schema = frame.collect_schema()
        self.columns = pick(schema.names(), Y, sample_weight, self.called)
        self.names = self.columns.x
        self.targets = bool(self.columns.y)
        self.weights = self.columns.weight is not None
        self.rows = max(1024, BLOCK // (8 * len(self.columns.all)))
        if not hasattr(frame, "collect_batches"):
            raise ValueError(
                "X is a polars LazyFrame, which this version of polars cannot collect in batches; "
                "install a newer one, or write it by sink_parquet and give the file"
            )

    def blocks(self) -> Iterator[Block]:
        import polars as pl

        picked = self.frame.select(self.columns.all)
        for batch in picked.collect_batches(chunk_size=self.rows, maintain_order=True):
            for begin in range(0, batch.height, self.rows):
                part = batch.slice(begin, self.rows)
                yield of_columns(
                    self.columns, lambda name, b=part: numbers(pl, name, b.get_column(name))
                )
