"""Tables in Arrow's memory: datasets and files of Parquet, and streams of other libraries."""

from __future__ import annotations

import os
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


def _pyarrow(what: str) -> Any:
    """Return pyarrow with its datasets."""
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.dataset  # type: ignore[import-untyped]
    except ImportError as error:
        raise ModuleNotFoundError(
            f"reading {what} needs pyarrow: pip install pyarrow", name=error.name
        ) from None
    return pyarrow


def numbers(pa: Any, name: str, column: Any) -> Array:
    """Return a column as numbers; what is null becomes NaN."""
    kind, types = column.type, pa.types
    if types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif types.is_decimal(kind) or types.is_null(kind):
        column = column.cast(pa.float64())
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        raise not_numbers(name, kind)
    array: Array = np.asarray(column.to_numpy(zero_copy_only=False))
    return array.astype(np.float64) if array.dtype == np.float16 else array


def classes(pa: Any, name: str, column: Any) -> Array:
    """Return a column as classes: its texts, or numbers."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind, types = column.type, pa.types
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    values = column.to_numpy(zero_copy_only=False) if texts else numbers(pa, name, column)
    return labels(f"column {name!r} of X", values)


def scanned(dataset: Any, columns: list[str], rows: int) -> Iterator[Any]:
    """Read a dataset's record batches of at most so many rows, with as little memory as it can.

    Arrow's own scanner reads ahead, by as much as the one who takes the batches is slower: of files
    of Parquet that have these columns as they are, row groups are read when they are asked for.
    """
    pa = _pyarrow("a dataset")
    options = {"batch_size": rows, "batch_readahead": 1, "fragment_readahead": 1}
    parquet = isinstance(getattr(dataset, "format", None), pa.dataset.ParquetFileFormat)
    if not parquet or getattr(dataset, "_scan_options", None):
        yield from dataset.to_batches(columns=columns, **options)
        return
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    types = {name: dataset.schema.field(name).type for name in columns}
    for fragment in dataset.get_fragments():
        there = {field.name: field.type for field in fragment.physical_schema}
        if any(there.get(name) != kind for name, kind in types.items()):
            yield from fragment.to_batches(schema=dataset.schema, columns=columns, **options)
            continue
        with fragment.open() as file:
            opened = pq.ParquetFile(file, pre_buffer=False)
            yield from opened.iter_batches(batch_size=rows, columns=columns, use_threads=False)


def files(pa: Any, path: str) -> Any:
    """Return a file of Parquet, or a folder of them, as a dataset of the columns of all.

    Their types may differ: a column has one that holds all of its numbers.
    """
    try:
        dataset = pa.dataset.dataset(path, format="parquet")
        parts = {part.path: part.physical_schema for part in dataset.get_fragments()}
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path!r} cannot be read as Parquet: {error}") from None
    if not parts:
        raise ValueError(f"{path!r} is a folder without Parquet files")
    names = dict.fromkeys(name for schema in parts.values() for name in schema.names)
    for file, schema in parts.items():
        for name in names.keys() - set(schema.names):
            raise ValueError(
                f"{file!r} has no column {name!r}, which another file of {path!r} has; give them "
                "the same columns, or a pyarrow Dataset with a schema"
            )
    if len(parts) < 2:
        return dataset
    try:
        schema = pa.unify_schemas(list(parts.values()), promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the files of {path!r} do not go together: {error}") from None
    return pa.dataset.dataset(path, format="parquet", schema=schema)


class _Batches(Source):
    """Record batches, whose columns have names."""

    columns: Columns

    def __init__(self, schema: Any, Y: object, sample_weight: object) -> None:
        self.columns = pick(schema.names, Y, sample_weight, self.called)
        self.names = self.columns.x
        self.targets = bool(self.columns.y)
        self.weights = self.columns.weight is not None
        self.rows = max(1024, BLOCK // (8 * len(self.columns.all)))

    def batches(self) -> Iterator[Any]:
        """Read the record batches in their order."""
        raise NotImplementedError

    def blocks(self) -> Iterator[Block]:
        pa = _pyarrow(self.called)
        for batch in self.batches():

            def get(name: str, batch: Any = batch) -> Array:
                read = classes if self.is_class(name) else numbers
                return read(pa, name, batch.column(name))

            if batch.num_rows:
                yield of_columns(self.columns, get)


class Dataset(_Batches):
    """A dataset, or files that are one."""

    called = "a pyarrow Dataset"

    def __init__(self, dataset: Any, Y: object, sample_weight: object) -> None:
        self.dataset = dataset
        super().__init__(dataset.schema, Y, sample_weight)

    def batches(self) -> Iterator[Any]:
        yield from scanned(self.dataset, self.columns.all, self.rows)


class Files(Dataset):
    """A file of Parquet, or a folder of them."""

    called = "Parquet files"

    def __init__(self, path: Any, Y: object, sample_weight: object) -> None:
        pa = _pyarrow("Parquet files")
        path = os.fspath(path)
        if not os.path.exists(path):
            raise FileNotFoundError(f"X is no file and no folder: {path!r}")
        super().__init__(files(pa, path), Y, sample_weight)


class Stream(_Batches):
    """What gives a stream of record batches, each time it is asked for one."""

    called = "an Arrow stream"

    def __init__(self, given: Any, Y: object, sample_weight: object) -> None:
        self.given = given
        self.pyarrow = _pyarrow("an Arrow stream")
        self.once = isinstance(given, self.pyarrow.RecordBatchReader)
        reader = given if self.once else self._reader()
        super().__init__(reader.schema, Y, sample_weight)

    def _reader(self) -> Any:
        return self.pyarrow.RecordBatchReader.from_stream(self.given)

    def batches(self) -> Iterator[Any]:
        reader = self.given if self.once else self._reader()
        for batch in reader:
            for begin in range(0, batch.num_rows, self.rows):
                yield batch.slice(begin, self.rows)
