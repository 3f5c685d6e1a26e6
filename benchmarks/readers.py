"""Readers of CSV files: what each makes of files as people write them, its speed and its size.

`python benchmarks/readers.py` writes the table of docs/understand/tables-measured.md. A reader has
a case right if the names are, and each column has the numbers, dates, gaps and text that its owner
meant. It needs duckdb and clevercsv beside what the benchmarks need; what is not installed is left
out.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import re
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).parent.parent / "docs" / "understand" / "tables-measured.md"
Columns = dict[str, list[Any]]
D = datetime.date


def _rows(header: str, *rows: str, end: str = "\n") -> bytes:
    return end.join([header, *rows, ""]).encode()


# What there is in a file, and what its owner meant.
CASES: dict[str, tuple[bytes, Columns]] = {
    "commas and points": (_rows("a,b", "1,2.5", "3,4.5"), {"a": [1, 3], "b": [2.5, 4.5]}),
    "semicolons, decimal commas, BOM": (
        b"\xef\xbb\xbf" + _rows("Fläche;Preis", "12,5;1.234,50", "7,25;950,00", end="\r\n"),
        {"Fläche": [12.5, 7.25], "Preis": [1234.5, 950]},
    ),
    "tabs, decimal commas": (
        _rows("a\tb", "1,5\t2,5", "3,5\t4,5"),
        {"a": [1.5, 3.5], "b": [2.5, 4.5]},
    ),
    "thousands in quotes": (
        _rows("a,b", '"1,234.50",1', '"12.00",2'),
        {"a": [1234.5, 12], "b": [1, 2]},
    ),
    "currency, percent": (_rows("a,b", "$5,10%", "$7.50,12%"), {"a": [5, 7.5], "b": [10, 12]}),
    "n/a in 300 ages": (
        _rows("age,b", *[f"{'n/a' if i == 17 else 20 + i % 50},{i}" for i in range(300)]),
        {"age": [None if i == 17 else 20 + i % 50 for i in range(300)], "b": list(range(300))},
    ),
    "- in 300 ages": (
        _rows("age,b", *[f"{'-' if i == 17 else 20 + i % 50},{i}" for i in range(300)]),
        {"age": [None if i == 17 else 20 + i % 50 for i in range(300)], "b": list(range(300))},
    ),
    "dates as 2024-02-03": (
        _rows("d,b", "2024-02-03,1", "2024-02-28,2"),
        {"d": [D(2024, 2, 3), D(2024, 2, 28)], "b": [1, 2]},
    ),
    "dates as 03.02.2024": (
        _rows("d;b", "03.02.2024;1", "28.02.2024;2"),
        {"d": [D(2024, 2, 3), D(2024, 2, 28)], "b": [1, 2]},
    ),
    "dates as 02/28/2024": (
        _rows("d,b", "02/03/2024,1", "02/28/2024,2"),
        {"d": [D(2024, 2, 3), D(2024, 2, 28)], "b": [1, 2]},
    ),
    "a date that is none": (
        _rows("d,b", *[f"2024-02-{i:02d},{i}" for i in range(1, 31)]),
        {"d": [D(2024, 2, i) if i < 30 else None for i in range(1, 31)], "b": list(range(1, 31))},
    ),
    "a name broken inside quotes": (
        _rows('"a, of\nb; c",d', "1,2", "3,4"),
        {"a, of\nb; c": [1, 3], "d": [2, 4]},
    ),
    "commas inside quotes": (
        _rows("a;b", '"x, y, z";"u, v"', '"s, t, r";"q, p"'),
        {"a": ["x, y, z", "s, t, r"], "b": ["u, v", "q, p"]},
    ),
    "a stray quote": (_rows("a,b", '1,5" pipe', "2,x"), {"a": [1, 2], "b": ['5" pipe', "x"]}),
    "one column, decimal commas": (_rows("a", "1,5", "2,5"), {"a": [1.5, 2.5]}),
    "an index without a name": (_rows(",a", "0,5", "1,6"), {"*": [0, 1], "a": [5, 6]}),
    "a short line": (_rows("a,b,c", "1,2,3", "4,5"), {"a": [1, 4], "b": [2, 5], "c": [3, None]}),
    "a long line": (_rows("a,b", "1,2", "3,4,5"), {}),  # an error, not another table
}


def by_deltaloop(path: str) -> Columns:
    """As `deltaloop train` reads it: in the form of tabular's values."""
    from deltaloop.cli import _table_files
    from deltaloop.tabular import _frames, _reading
    from deltaloop.tabular._options import Options

    frame = _frames.frame(_table_files.read(path))
    columns = {name: _frames.column(frame[name]) for name in frame.columns}
    options = Options(untyped=frozenset(columns))
    found: Columns = {}
    for name, values in _reading.of_table(columns, [], options).columns.items():
        numbers = values.text if values.text is not None else values.numbers
        assert numbers is not None
        found[name] = [
            datetime.datetime(1970, 1, 1) + datetime.timedelta(item)
            if values.form == "date" and item == item
            else item
            for item in numbers
        ]
    return found


def by_polars(path: str) -> Columns:
    import polars as pl

    return pl.read_csv(path, try_parse_dates=True).to_dict(as_series=False)


def by_duckdb(path: str) -> Columns:
    import duckdb

    with duckdb.connect() as database:
        result = database.execute("SELECT * FROM read_csv(?)", [path])
        names = [column[0] for column in result.description]
        rows = result.fetchall()
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def by_pyarrow(path: str) -> Columns:
    from pyarrow import csv as arrow

    return arrow.read_csv(path).to_pydict()


def by_pandas(path: str) -> Columns:
    import pandas as pd

    frame = pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
    return {name: frame[name].tolist() for name in frame.columns}


def by_clevercsv(path: str) -> Columns:
    """Its dialect, with polars' types."""
    import clevercsv
    import polars as pl

    text = Path(path).read_text(encoding="utf-8-sig")
    rows = clevercsv.wrappers.read_table(path, encoding="utf-8-sig")
    del text
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return pl.read_csv(stream.getvalue().encode(), try_parse_dates=True).to_dict(as_series=False)


READERS: dict[str, tuple[Callable[[str], Columns], tuple[str, ...]]] = {
    "deltaloop (polars)": (by_deltaloop, ("polars", "polars-runtime-32", "narwhals")),
    "polars alone": (by_polars, ("polars", "polars-runtime-32")),
    "DuckDB": (by_duckdb, ("duckdb",)),
    "pyarrow": (by_pyarrow, ("pyarrow",)),
    "pandas, sep=None": (by_pandas, ("pandas", "python-dateutil", "six")),
    "clevercsv, polars": (by_clevercsv, ("clevercsv", "polars", "polars-runtime-32")),
}


def same(item: Any, meant: Any) -> bool:
    """Whether a value is what its owner meant; dates at midnight are dates."""
    if meant is None or item is None:
        return (item is None or item != item) and meant is None
    if isinstance(meant, datetime.date):
        if isinstance(item, datetime.datetime):
            item = item.date()
        return type(item) is datetime.date and item == meant
    if isinstance(meant, str):
        return isinstance(item, str) and item == meant
    number = isinstance(item, int | float) and not isinstance(item, bool)
    return number and math.isclose(item, meant)


def right(read: Callable[[str], Columns], content: bytes, meant: Columns, folder: str) -> bool:
    """Whether a reader finds what is meant; where nothing is, whether it refuses the file."""
    path = Path(folder) / "table.csv"
    path.write_bytes(content)
    try:
        found = read(str(path))
    except Exception:  # each library has kinds of its own
        return not meant
    if not meant or len(found) != len(meant):
        return False
    named = all(a == b or b == "*" for a, b in zip(found, meant, strict=True))
    return named and all(
        len(items) == len(expected) and all(map(same, items, expected))
        for items, expected in zip(found.values(), meant.values(), strict=True)
    )


def large(path: Path, german: bool) -> None:
    """Write 200,000 rows of 30 columns."""
    import polars as pl

    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"c{i}": (rng.normal(size=200_000) * 1000).round(2) for i in range(30)})
    text = frame.write_csv(separator=";" if german else ",")
    path.write_text(text.replace(".", ",") if german else text)


SPEED: dict[str, Callable[[str], Any]] = {
    "deltaloop (polars)": lambda path: __import__(
        "deltaloop.cli._table_files", fromlist=["read"]
    ).read(path),
    "polars alone": lambda path: __import__("polars").read_csv(path),
    "DuckDB": lambda path: (
        __import__("duckdb").connect().execute("SELECT * FROM read_csv(?)", [path]).fetchnumpy()
    ),
    "pyarrow": lambda path: __import__("pyarrow.csv", fromlist=["read_csv"]).read_csv(path),
    "pandas": lambda path: __import__("pandas").read_csv(path),
}


def seconds(read: Callable[[str], Any], path: str) -> float:
    """Return the median of three readings after a first one."""
    times = []
    for _ in range(4):
        began = time.perf_counter()
        read(path)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[1]


def megabytes(packages: tuple[str, ...]) -> str:
    total = 0
    for name in packages:
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            continue
        total += sum(file.locate().stat().st_size for file in files if file.locate().is_file())  # type: ignore[union-attr]
    return f"{total / 1e6:.0f} MB"


def table(times: bool) -> str:
    there = {}
    for name, (read, packages) in READERS.items():
        try:
            metadata.version(packages[0])
        except metadata.PackageNotFoundError:
            continue
        there[name] = (read, packages)
    lines = ["|  | " + " | ".join(there) + " |", "| --- |" + " :-: |" * len(there)]
    with tempfile.TemporaryDirectory() as folder:
        for case, (content, meant) in CASES.items():
            marks = [
                "yes" if right(read, content, meant, folder) else "-" for read, _ in there.values()
            ]
            lines.append(f"| {case} | " + " | ".join(marks) + " |")
        if times:  # each reader after the others, in one process
            path = Path(folder) / "large.csv"
            large(path, german=False)
            shown = [
                f"{seconds(SPEED[name], str(path)):.2f} s" if name in SPEED else ""
                for name in there
            ]
            lines.append("| 200,000 x 30 numbers | " + " | ".join(shown) + " |")
    sizes = [megabytes(packages) for _, packages in there.values()]
    lines.append("| installed size | " + " | ".join(sizes) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    text = DOCS.read_text()
    found = f"<!-- readers -->\n{table(times=True)}\n<!-- readers end -->"
    if "<!-- readers -->" in text:
        pattern = r"<!-- readers -->.*?<!-- readers end -->"
        DOCS.write_text(re.sub(pattern, lambda _: found, text, flags=re.DOTALL))
    print(found)
