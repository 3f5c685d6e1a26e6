"""Text files of tables, CSV and the like, as polars frames whose columns are all text.

The names are read here and the rows by polars; a line that is wrong is named by its number.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from deltaloop._files import signatures
from deltaloop._files.paths import twice

__all__ = ["read"]

_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(rb"\n(?: *\r?\n| +\r?\Z)")
# What is quoted, to keep it, or a line that holds nothing.
_QUOTED_OR_BLANK = re.compile(rb'("[^"]*")|^ *\r?(?:\n|\Z)', re.MULTILINE)


def read(content: bytes, separator: str | None) -> Any:
    """Return the rows of a text file, whose first line has the names.

    Without a separator it is the comma, semicolon, tab or bar that the first line has most of, out
    of quotes. Blank lines are left out, unless there is one column alone, of which they are
    entries. ValueError if the file cannot be read.
    """
    import polars as pl

    _check_text(content)
    content = content.removeprefix(_BOM)
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    if not content.strip(b"\r\n"):
        raise ValueError("is empty; expected a first line with names of columns")
    start = content.lstrip(b"\r\n").partition(b"\n")[0].decode()
    separator = separator or max(",;\t|", key=re.sub(r'"[^"]*"', "", start).count)
    stream = io.BytesIO(content)
    first = next(entries for _, entries in _lines(stream, separator) if entries)
    names = [name.strip() for name in first]
    again = twice(names)
    if again is not None:
        raise ValueError(f"the first line names the column {again!r} twice; names must differ")
    rows = content[stream.tell() :]
    # Of a last line without a line break polars leaves empty entries out that have no name.
    if rows and not rows.endswith(b"\n"):
        rows += b"\n"
    if len(names) > 1 and _BLANK.search(content, max(0, stream.tell() - 1)):
        rows = _QUOTED_OR_BLANK.sub(lambda found: found[1] or b"", rows)
    header = separator.join(map(str, range(len(names)))).encode()
    try:
        frame = pl.read_csv(header + b"\n" + rows, separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(_problem(content, separator, len(names))) from error
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _check_text(content: bytes) -> None:
    """ValueError unless it is UTF-8 without null characters, which text has none of."""
    try:
        content.decode()
        position, what = content.find(b"\0"), "holds a null character"
    except UnicodeDecodeError as error:
        position, what = error.start, "is not"
    if position >= 0:
        kind = signatures.found(content, text=False)
        if kind is not None:
            raise ValueError(f"expected UTF-8 text, found {kind}")
        line = content.count(b"\n", 0, position) + 1
        raise ValueError(f"expected UTF-8 text, line {line} {what}")


def _lines(stream: io.BytesIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield entries, and the number of the line that they end in; they may hold line breaks."""
    reader = csv.reader((line.decode() for line in stream), delimiter=separator)
    try:
        for entries in reader:
            yield reader.line_num, entries
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} cannot be read: {error}") from error


def _problem(content: bytes, separator: str, n: int) -> str:
    """Say why polars cannot read the rows."""
    for line, entries in _lines(io.BytesIO(content), separator):
        if len(entries) > n:
            return (
                f"line {line} has {len(entries)} entries, the first line has {n} "
                f"name{'s' * (n > 1)}; expected as many entries a line as there are names, with "
                f"{separator!r} between them"
            )
    return "a quotation mark is not closed, or stands inside an entry that is not quoted"
