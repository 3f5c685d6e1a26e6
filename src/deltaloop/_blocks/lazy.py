"""LazyFrames of polars, which are collected batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deltaloop._blocks.block import (
    BLOCK,
    Array,
    Block,
    Columns,
    Source,
    labels,
    not_numbers,
    of_columns,
    pick,
)


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


def classes(pl: Any, name: str, column: Any) -> Array:
    """Return a column as classes: its texts, or numbers."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return labels(f"column {name!r} of X", column.cast(pl.String).to_numpy())
    return labels(f"column {name!r} of X", numbers(pl, name, column))


class LazyFrame(Source):
    """A query that polars streams."""

    called = "a polars LazyFrame"
    columns: Columns

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

                def get(name: str, part: Any = part) -> Array:
                    read = classes if self.is_class(name) else numbers
                    return read(pl, name, part.get_column(name))

                yield of_columns(self.columns, get)
