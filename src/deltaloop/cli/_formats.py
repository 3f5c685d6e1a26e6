"""The formats of table files: a row for each, with its endings, how it is read, or what to do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deltaloop._files import signatures
from deltaloop.cli import _csv, _matlab, _packed, _sqlite

__all__ = ["FORMATS", "REFUSED", "Format", "Source", "of_path", "refused", "split"]


@dataclass(frozen=True)
class Source:
    """A file to read: its bytes, the part after ``#``, and what the command line says of text."""

    content: bytes
    part: str | None = None
    separator: str | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Format:
    """A format: `read` returns a polars frame of a source, `starts` are its first bytes, if any.

    Of a format with `parts` a file may hold several tables, one of which is named after ``#``. What
    is `text` has no types: all its columns are text.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Source], Any]
    starts: tuple[bytes, ...] = ()
    parts: bool = False
    text: bool = False


def _text(source: Source) -> Any:
    return _csv.read(source.content, source.separator, source.encoding)


def _tabs(source: Source) -> Any:
    return _csv.read(source.content, source.separator or "\t", source.encoding)


def _parquet(source: Source) -> Any:
    import polars as pl

    return pl.read_parquet(io.BytesIO(source.content))


def _arrow(source: Source) -> Any:
    import polars as pl

    if source.content.startswith(b"FEA1"):
        raise ValueError("is of Feather version 1; pyarrow.feather.write_feather writes version 2")
    return pl.read_ipc(io.BytesIO(source.content))


def _avro(source: Source) -> Any:
    import polars as pl

    return pl.read_avro(io.BytesIO(source.content))


def _lines(source: Source) -> Any:
    return _objects(
        [
            json.loads(line)
            for line in source.content.decode("utf-8-sig").splitlines()
            if line.strip()
        ]
    )


def _json(source: Source) -> Any:
    """Read a list of records, or an object of columns: what pandas' to_json writes."""
    try:
        found = json.loads(source.content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        if "Extra data" in str(error):
            return _lines(source)
        raise
    if isinstance(found, dict):
        if {"columns", "data"} <= set(found) and isinstance(found["data"], list):
            found = [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]
        elif found and all(isinstance(column, list) for column in found.values()):
            found = [
                dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)
            ]
        elif found and all(isinstance(column, dict) for column in found.values()):
            rows = dict.fromkeys(key for column in found.values() for key in column)
            found = [{name: column.get(row) for name, column in found.items()} for row in rows]
        else:
            lists = [key for key, value in found.items() if isinstance(value, list)]
            if len(lists) == 1:
                found = found[lists[0]]
    return _objects(found)


def _objects(records: Any) -> Any:
    """Make a frame of records; a column of several types is text, of which the values decide."""
    import polars as pl

    if not (isinstance(records, list) and records and all(isinstance(r, dict) for r in records)):
        raise ValueError('expected a list of records, as in [{"area": 50, "rent": 500}, ...]')
    columns = []
    for name in dict.fromkeys(key for record in records for key in record):
        values = [record.get(name) for record in records]
        kinds = {type(value) for value in values if value is not None}
        if kinds & {list, dict}:
            row = next(i for i, value in enumerate(values) if isinstance(value, list | dict))
            raise ValueError(
                f"column {name!r}, row {row}: holds a list or an object, expected one value"
            )
        if len(kinds - {int, float}) and len(kinds) > 1:
            values = [
                None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values
            ]
        columns.append(pl.Series(name, values, strict=False))
    return pl.DataFrame(columns)


def _book(source: Source) -> Any:
    import polars as pl

    try:
        import fastexcel
    except ImportError:
        raise ImportError(
            "reading Excel and OpenDocument files needs fastexcel: pip install 'deltaloop[excel]'"
        ) from None
    try:
        book: Any = fastexcel.read_excel(source.content)
        names = book.sheet_names
        if source.part is not None and source.part not in names:
            raise ValueError(f"has no sheet {source.part!r}; its sheets are {', '.join(names)}")
        filled = [source.part or name for name in names if source.part or _rows(book, name)]
        if not filled:
            raise ValueError("holds no rows")
        if len(filled) > 1 and source.part is None:
            raise ValueError(
                f"has the sheets {', '.join(filled)}; name one after the file, as in "
                f"book.xlsx#{filled[0]}"
            )
        how = {"schema_sample_rows": None, "whitespace_as_null": True}
        frame = book.load_sheet(filled[0], **how).to_polars()
        # Text among dates or numbers may be lost in a column of these: such a column is text.
        gaps = {
            name: "string"
            for name, dtype in frame.schema.items()
            if dtype != pl.String and frame[name].null_count()
        }
        if gaps:
            texts = book.load_sheet(filled[0], **how, dtypes=gaps).to_polars()
            lost = [name for name in gaps if texts[name].null_count() < frame[name].null_count()]
            frame = frame.with_columns(texts[name] for name in lost)
    except fastexcel.FastExcelError as error:
        raise ValueError(f"cannot be read: {str(error).partition(chr(10))[0]}") from error
    return frame.select(
        pl.col(name)
        for name in frame.columns
        if not (name.startswith("__UNNAMED__") and frame[name].is_null().all())
    ).rename(lambda name: f"Unnamed: {name[11:]}" if name.startswith("__UNNAMED__") else name)


def _rows(book: Any, name: str) -> int:
    return int(book.load_sheet(name, n_rows=1).height)


def _database(source: Source) -> Any:
    return _sqlite.read(source.content, source.part)


def _mat(source: Source) -> Any:
    return _matlab.read(source.content, source.part)


_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
FORMATS = (
    Format("CSV", (".csv",), _text, text=True),
    Format("TSV", (".tsv", ".tab"), _tabs, text=True),
    Format("text", (".txt",), _text, text=True),
    Format("Parquet", (".parquet", ".pq"), _parquet, (b"PAR1",)),
    Format(
        "Feather", (".feather", ".arrow", ".ipc"), _arrow, (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff")
    ),
    Format("Excel", (".xlsx", ".xlsm", ".xlsb", ".xls"), _book, (_ZIP, _OLE), parts=True),
    Format("OpenDocument", (".ods",), _book, (_ZIP,), parts=True),
    Format("JSON", (".json",), _json),
    Format("JSON lines", (".ndjson", ".jsonl"), _lines),
    Format("Avro", (".avro",), _avro, (b"Obj\x01",)),
    Format(
        "SQLite", (".db", ".sqlite", ".sqlite3"), _database, (b"SQLite format 3\0",), parts=True
    ),
    Format("MATLAB", (".mat",), _mat, parts=True),
)
# What is not read, and what its owner can do.
_BY_PANDAS = "pandas.{}(...).to_parquet('data.parquet') makes a file of it that is read"
_PICKLE = "a pickle may run any program when it is read; to_parquet('data.parquet') writes data"
REFUSED = {
    ".dta": _BY_PANDAS.format("read_stata"),
    ".sav": _BY_PANDAS.format("read_spss"),
    ".sas7bdat": _BY_PANDAS.format("read_sas"),
    ".xpt": _BY_PANDAS.format("read_sas"),
    ".orc": _BY_PANDAS.format("read_orc"),
    ".h5": _BY_PANDAS.format("read_hdf"),
    ".hdf5": _BY_PANDAS.format("read_hdf"),
    ".hdf": _BY_PANDAS.format("read_hdf"),
    ".xml": _BY_PANDAS.format("read_xml"),
    ".html": _BY_PANDAS.format("read_html"),
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".rds": "write.csv(data, 'data.csv') in R writes a file that is read",
    ".rdata": "write.csv(data, 'data.csv') in R writes a file that is read",
    ".arff": "pandas.DataFrame(scipy.io.arff.loadarff(...)[0]).to_parquet('data.parquet') makes a "
    "file of it that is read",
    ".numbers": "export it as CSV or Excel",
    ".gsheet": "download it as CSV",
    ".duckdb": "COPY name TO 'data.parquet' in DuckDB writes a file that is read",
}


def split(path: str) -> tuple[str, str | None]:
    """Return a file's name, and the name after ``#`` of a table in it, if it may hold several."""
    name, mark, part = path.rpartition("#")
    if mark and name and part:
        found = _of_name(name)
        if found is not None and found.parts:
            return name, part
    return path, None


def of_path(path: str) -> Format | None:
    """Return the format that the name of a file tells; None for other names."""
    return _of_name(split(path)[0])


def _of_name(name: str) -> Format | None:
    plain = _packed.inner(name).lower()
    return next((row for row in FORMATS if plain.endswith(row.suffixes)), None)


def refused(path: str) -> str | None:
    """Return what to do with a file that is not read; None for other files."""
    plain = _packed.inner(path).lower()
    return next((what for suffix, what in REFUSED.items() if plain.endswith(suffix)), None)


def check(row: Format, content: bytes) -> None:
    """ValueError if the first bytes are those of another format."""
    if not row.starts or content.startswith(row.starts):
        return
    kind = signatures.found(content)
    if kind is not None:
        article = "an" if row.name[0] in "AEIO" else "a"
        raise ValueError(f"expected {article} {row.name} file, found {kind}")
