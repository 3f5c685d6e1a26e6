"""Tables that do not fit in memory: how their columns are learned, and their rows trained on.

Two passes learn the columns. The first one takes a sample: rows that are spread evenly, and each
row that shows a category, a class or a gap that no row before it had. The sample is prepared as a
table in memory is, so that all that is said of columns holds here too. The second pass measures, of
all rows to train on, the means and deviations by which inputs and values are scaled. Rows to test
on are some of the evenly spread ones. Training then reads the rows again and again, in blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _splits
from deltaloop._blocks.arrow import files, scanned
from deltaloop._files.paths import twice
from deltaloop._scaling import Floats, Scaling
from deltaloop.network import Network
from deltaloop.scaling import is_constant
from deltaloop.tabular import _frames
from deltaloop.tabular._kinds import KINDS
from deltaloop.tabular._options import Options
from deltaloop.tabular._training import Prepared, prepare

__all__ = ["MEMORY", "Rows", "Streamed", "open_rows", "prepare_rows"]

# Bytes that a fit takes, where nobody says otherwise.
MEMORY = 10**9
# Rows of the sample that are spread evenly, at most.
SAMPLE = 100_000
# Different values of a column that are looked for, at most: more are no categories.
VALUES = 1000
# Parts of the memory: a table that takes less than the first is read whole; the windows that C
# works on; the sample; a batch of rows as it is read.
WHOLE, WINDOWS, SAMPLED, BATCH = 1 / 8, 1 / 4, 1 / 16, 1 / 64
# Bytes of an entry, roughly, on its way through Python.
ENTRY = 64


class Rows:
    """The rows of a dataset of Arrow's, or of a query of polars, in batches."""

    def __init__(self, names: list[str], n: int, read: Any) -> None:
        self.names, self.n, self._read = names, n, read

    def frames(self, columns: list[str], rows: int) -> Iterator[tuple[int, Any]]:
        """Yield pyarrow tables of at most so many rows, each with the number of its first row."""
        first = 0
        for table in self._read(columns, rows):
            for begin in range(0, table.num_rows, rows):
                part = table.slice(begin, rows)
                yield first, part
                first += part.num_rows
        if first != self.n:
            raise ValueError(f"the table has {first} rows now, and had {self.n}")


def open_rows(frame: object) -> Rows | None:
    """Return the rows of what can be read in batches, or None for any other table."""
    library = type(frame).__module__.partition(".")[0]
    name = type(frame).__name__
    if isinstance(frame, str | os.PathLike):
        return _of_files(os.fspath(frame))
    if library == "pyarrow" and any(c.__name__ == "Dataset" for c in type(frame).__mro__):
        return _of_dataset(frame)
    if library == "polars" and name == "LazyFrame":
        return _of_query(frame)
    return None


def _pyarrow() -> Any:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.compute  # type: ignore[import-untyped]
        import pyarrow.dataset  # type: ignore[import-untyped]
    except ImportError as error:
        raise ModuleNotFoundError(
            "reading tables in blocks needs pyarrow: pip install pyarrow", name=error.name
        ) from None
    return pyarrow


def _of_files(path: Any) -> Rows | None:
    """Return the rows of Parquet files."""
    if not isinstance(path, str) or not (path.endswith((".parquet", ".pq")) or os.path.isdir(path)):
        return None
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path!r} is no file and no folder")
    pa = _pyarrow()
    return _of_dataset(files(pa, path))


def whole(rows: Rows, memory: int) -> bool:
    """Whether a table is small enough to be read whole."""
    return rows.n * len(rows.names) * ENTRY <= WHOLE * memory


def _of_dataset(dataset: Any) -> Rows:
    pa = _pyarrow()

    def read(columns: list[str], rows: int) -> Iterator[Any]:
        for batch in scanned(dataset, columns, rows):
            yield pa.Table.from_batches([batch])

    return Rows(_once(dataset.schema.names), dataset.count_rows(), read)


def _of_query(frame: Any) -> Rows:
    _pyarrow()
    import polars as pl

    def read(columns: list[str], rows: int) -> Iterator[Any]:
        for part in frame.select(columns).collect_batches(chunk_size=rows, maintain_order=True):
            yield part.to_arrow()

    n = int(frame.select(pl.len()).collect(engine="streaming").item())
    return Rows(_once(frame.collect_schema().names()), n, read)


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"two columns are called {twice(names)!r}")
    return list(names)


@dataclass(frozen=True)
class Streamed(Prepared):
    """A table that was prepared by a sample: X, y, rows, train and test are of that.

    `blocks` are those of all rows to train on, `n` of them, and `held` the numbers of the rows to
    test on.
    """

    blocks: Blocks | None = None
    n: int = 0
    held: NDArray[np.intp] | None = None
    scalings: tuple[Scaling, Scaling | None] | None = None

    @property
    def n_train(self) -> int:
        return self.n

    @property
    def numbers(self) -> tuple[NDArray[np.intp] | None, NDArray[np.intp] | None]:
        return None, self.held

    def fingerprints(self) -> None:
        """Return none: the sample says little of all rows."""

    def to_train(self, network: Network) -> tuple[Any, Any, Scaling, Scaling | None]:
        assert self.scalings is not None
        inputs, outputs = self.scalings
        return self.blocks, None, inputs, outputs if network.output == "identity" else None

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        for name in ("validation", "patience"):
            if options.get(name) is not None:
                what = "sets rows aside" if name == "validation" else "needs rows set aside"
                raise ValueError(
                    f"{name}={options[name]!r} {what} at random, which a table that is read in "
                    "blocks does not: leave validation and patience out, or read it whole by a "
                    "larger memory"
                )
        return with_blocks(options)


class Blocks:
    """The rows to train on, in blocks (X, y), each time from the first one on."""

    def __init__(self, rows: Rows, data: Prepared, held: NDArray[np.intp], memory: int) -> None:
        self._rows, self._data, self._held = rows, data, held
        self._columns = [*(column.name for column in data.table.columns), *data.target.names]
        self._batch = _batch(memory, len(self._columns) + data.table.n_inputs // 4)
        self._scalings: tuple[Scaling, Scaling | None] | None = None
        # Of the windows, which `Network.fit` asks for.
        self._window_bytes = int(WINDOWS * memory)
        self.without_target = 0

    def scaled(self, inputs: Scaling, outputs: Scaling | None) -> Blocks:
        """Return the same rows, scaled."""
        other = object.__new__(Blocks)
        other.__dict__.update(self.__dict__)
        other._scalings = inputs, outputs
        return other

    def __iter__(self) -> Iterator[tuple[Floats, NDArray[Any]]]:
        table, target = self._data.table, self._data.target
        self.without_target = 0
        for first, part in self._rows.frames(self._columns, self._batch):
            frame = _frames.frame(part)
            y, kept = target.encode(target.read({name: frame[name] for name in target.names}))
            self.without_target += part.num_rows - len(kept)
            if target.classes is not None and (y < 0).any():
                row = first + int(kept[int(np.argmax(y < 0))])
                raise ValueError(
                    f"target column {target.names[0]!r} has a class in row {row} that no row of "
                    "the sample has"
                )
            numbers = first + kept
            places = np.searchsorted(self._held, numbers)
            places[places == len(self._held)] = 0
            learned = np.ones(len(kept), bool)
            if len(self._held):
                learned = self._held[places] != numbers
            if not learned.any():
                continue
            try:
                X = table.encode(table.read(frame))[kept[learned]]
            except (TypeError, ValueError) as error:
                raise type(error)(f"rows {first} to {first + part.num_rows - 1}: {error}") from None
            y = y[learned]
            if self._scalings is not None:
                inputs, outputs = self._scalings
                X = inputs.apply(X)
                y = y if outputs is None else outputs.apply(y)
            yield X, y


def _batch(memory: int, columns: int) -> int:
    return max(256, int(BATCH * memory) // (ENTRY * max(columns, 1)))


def prepare_rows(
    rows: Rows,
    target: object,
    drop: object,
    task: str | None,
    fraction: float,
    seed: int,
    options: Options | None,
    memory: int,
) -> Streamed:
    """Learn the columns of a table in two passes."""
    targets = [target] if isinstance(target, str) else target
    if not isinstance(targets, list | tuple) or not all(isinstance(t, str) for t in targets):
        raise TypeError(
            "target must name a column of a table that is read in blocks, or several, got "
            f"{type(target).__name__}"
        )
    dropped = [drop] if isinstance(drop, str) else list(drop or ())  # type: ignore[call-overload]
    unknown = [name for name in (*targets, *dropped) if name not in rows.names]
    if unknown:
        listed = ", ".join(rows.names[:20])
        raise ValueError(f"there is no column {unknown[0]!r}; the columns are {listed}")
    read = [name for name in rows.names if name not in dropped]
    sample, numbers, spread = take_sample(rows, read, list(targets), memory)
    held = np.zeros(len(numbers), bool)
    if fraction > 0.0:
        places = np.flatnonzero(spread)
        order = _splits.shuffled(len(places), seed, 1)
        held[places[order[len(order) - round(fraction * len(order)) :]]] = True
    names = targets[0] if isinstance(target, str) else list(targets)
    data = prepare(sample, names, (), task, fraction, seed, options, held)
    test = np.sort(numbers[data.rows[data.test]])
    blocks = Blocks(rows, data, test, memory)
    scalings, n = measure(blocks, data)
    fields = {name: getattr(data, name) for name in Prepared.__dataclass_fields__}
    fields |= {"dropped": tuple(dropped), "n_without_target": blocks.without_target}
    return Streamed(**fields, blocks=blocks, n=n, held=test, scalings=scalings)


def take_sample(
    rows: Rows, names: list[str], targets: list[str], memory: int
) -> tuple[Any, NDArray[np.intp], NDArray[np.bool_]]:
    """Return a table of some rows, their numbers, and which of them are spread evenly."""
    pa = _pyarrow()
    most = max(1000, min(SAMPLE, int(SAMPLED * memory) // (ENTRY * len(names))))
    step = max(1, -(-rows.n // most))
    seen: dict[str, set[Any]] = {name: set() for name in names}
    gaps: set[str] = set()
    parts, numbers, spread = [], [], []
    for first, part in rows.frames(names, _batch(memory, len(names))):
        even = np.arange(-first % step, part.num_rows, step)
        new = sorted(
            {
                place
                for name in names
                for place in _new(pa, part.column(name), name, name in targets, seen[name], gaps)
            }
            - set(even.tolist())
        )
        places = np.sort(np.concatenate([even, np.array(new, np.intp)]).astype(np.intp))
        if len(places):
            parts.append(part.take(pa.array(places)))
            numbers.append(first + places)
            spread.append(np.isin(places, even))
    if not parts:
        raise ValueError("the table has no rows")
    table = pa.concat_tables(parts).combine_chunks()
    return table, np.concatenate(numbers), np.concatenate(spread)


def _new(
    pa: Any, column: Any, name: str, target: bool, seen: set[Any], gaps: set[str]
) -> Iterator[int]:
    """Yield the places of a column where something is that no row before had."""
    kind, types = column.type, pa.types
    if name not in gaps:
        absent = column.is_null(nan_is_null=types.is_floating(kind))
        place = pa.compute.index(absent, True).as_py()
        if place >= 0:
            gaps.add(name)
            yield place
    if types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    text = types.is_string(column.type) or types.is_large_string(column.type)
    text = text or types.is_string_view(column.type) or types.is_boolean(column.type)
    if not (text or target) or len(seen) > VALUES:
        return
    for value in pa.compute.unique(column):
        item = value.as_py()
        if item is None or item != item or item in seen:
            continue
        seen.add(item)
        yield pa.compute.index(column, value).as_py()
        if len(seen) > VALUES:
            return


def measure(blocks: Blocks, data: Prepared) -> tuple[tuple[Scaling, Scaling | None], int]:
    """Return how the inputs and the values of all rows to train on are scaled, and their number."""
    values = data.target.classes is None
    x, y = _Moments(data.X), _Moments(data.y) if values else None
    for X, targets in blocks:
        x.add(X)
        if y is not None:
            y.add(targets)
    if x.n == 0:
        raise ValueError("no row is left to train on")
    mean, scale = x.scaling(np.inf, "the inputs")
    as_it_is = np.zeros(len(mean), bool)
    for column, part in zip(data.table.columns, data.table.inputs.values(), strict=True):
        kind = KINDS[column.kind]
        width = kind.width(column) if kind.standardised else 0
        as_it_is[part] = np.arange(part.stop - part.start) >= width
    as_it_is &= np.isfinite(scale)
    inputs = Scaling(np.where(as_it_is, 0.0, mean), np.where(as_it_is, 1.0, scale))
    outputs = None if y is None else Scaling(*y.scaling(1.0, "the target"))
    return (inputs, outputs), x.n


class _Moments:
    """Means and deviations of columns, row by row: whatever blocks they come in."""

    def __init__(self, sample: Floats) -> None:
        """Take squares of what a sample standardises, which cancel little."""
        self.n = 0
        with np.errstate(all="ignore"):
            self.centre, deviation = sample.mean(axis=0), sample.std(axis=0)
            usable = np.isfinite(deviation) & (deviation > 0)
            self.unit = np.where(usable, deviation, 1.0)
        self.centre = np.where(np.isfinite(self.centre), self.centre, 0.0)
        self.shift = np.stack([self.centre, 1.0 / self.unit])
        self.sums = np.zeros((6, sample.shape[1]))
        self.sums[0], self.sums[1] = np.inf, -np.inf

    def add(self, values: Floats) -> None:
        """Take more rows."""
        self.n += _core.add_columns(np.ascontiguousarray(values), None, self.sums, self.shift)

    def scaling(self, constant: float, what: str) -> tuple[Floats, Floats]:
        """Return means and scales; a constant column has the scale `constant`."""
        low, high, sum_, lost, square, lost_square = self.sums
        with np.errstate(all="ignore"):
            rest = (sum_ + lost) / self.n
            mean = np.where(low == high, low, self.centre + rest * self.unit)
            variance = np.maximum((square + lost_square) / self.n - rest * rest, 0.0)
            scale = np.sqrt(variance) * self.unit
        varies = ~is_constant(low, high)
        usable = np.isfinite(mean) & (~varies | (np.isfinite(scale) & (scale > 0)))
        if not usable.all():
            column = int(np.argmin(usable))
            raise ValueError(f"column {column} of {what} is too large or too small to standardise")
        return mean, np.where(varies, scale, constant)


def read_whole(rows: Rows) -> Any:
    """Return all rows as one table."""
    pa = _pyarrow()
    parts = [part for _, part in rows.frames(rows.names, max(rows.n, 1))]
    if not parts:
        raise ValueError("the table has no rows")
    return pa.concat_tables(parts)


def with_blocks(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose solvers shuffle within blocks where they would shuffle all rows."""

    def of(solver: Any) -> Any:
        if getattr(solver, "batch_size", None) is None or solver.shuffle is not True:
            return solver
        return replace(solver, shuffle="blocks")

    given = options.get("solver")
    if given is None:
        return options
    found = [of(s) for s in given] if isinstance(given, list | tuple) else of(given)
    return options | {"solver": found}
