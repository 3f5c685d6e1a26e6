"""Text files of tables, CSV and the like, as polars frames whose columns are all text.

The names and the separator are read here, by whole records, and the rows by polars; what polars
cannot read, Python's csv module reads, or says which line is wrong.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from deltaloop._files import signatures
from deltaloop._files.paths import twice

__all__ = ["SEPARATORS", "read"]

SEPARATORS = ",;\t|"
# What a file begins with tells the encoding, the longest first.
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_BLANK = re.compile(rb"\n(?: *\r?\n| +\r?\Z)")
# What is quoted, to keep it, or a line that holds nothing.
_QUOTED_OR_BLANK = re.compile(rb'("[^"]*")|^ *\r?(?:\n|\Z)', re.MULTILINE)
# What Excel reads, and some programs write, before the names.
_TOLD = re.compile(rb'"?sep=([,;\t|])"?(?=\r?\n)', re.IGNORECASE)
# The separator is that of so many records, at most, in so many lines.
_RECORDS, _LINES = 200, 2000
_DECIMAL = re.compile(r"\s*[-+]?\d+,\d+\s*")


def read(content: bytes, separator: str | None, encoding: str | None = None) -> Any:
    """Return the rows of a text file, whose first record has the names.

    Without a separator it is the one that splits the records as it splits the names. Blank lines
    are left out, unless there is one column alone, of which they are entries. A column without a
    name has the one that pandas gives it, unless it is empty. ValueError if it cannot be read.
    """
    import polars as pl

    content = _utf8(content, encoding)
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    if not content.strip(b"\r\n"):
        raise ValueError("is empty; expected a first line with names of columns")
    told = _TOLD.match(content)
    if told is not None:  # its line stays, so that lines are counted as in the file
        content = content[told.end() :]
        separator = separator or told[1].decode()
    separator = separator or _separator(content)
    stream = io.BytesIO(content)
    first = next(entries for _, entries in _records(stream, separator) if entries)
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(first)]
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
    except pl.exceptions.PolarsError:
        frame = _slowly(content, separator, len(names))
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    empty = [
        name
        for place, name in enumerate(names)
        if not first[place].strip() and frame[name].is_null().all()
    ]
    return frame.drop(empty) if len(empty) < len(names) else frame


def _utf8(content: bytes, encoding: str | None) -> bytes:
    """Return the text in UTF-8. ValueError unless it is text, without null characters."""
    found = next((name for start, name in _BOMS if content.startswith(start)), None)
    encoding = found or encoding
    if encoding is not None:
        try:
            content = content.decode(encoding).encode()
        except LookupError:
            raise ValueError(f"there is no encoding {encoding!r}; utf-8 and cp1252 are") from None
        except UnicodeError as error:
            raise ValueError(f"expected text in {encoding}: {error}") from error
    try:
        content.decode()
        position, what = content.find(b"\0"), "holds a null character"
    except UnicodeDecodeError as error:
        position, what = error.start, "is not; --encoding cp1252 reads what Excel saves in the West"
    if position >= 0:
        kind = signatures.found(content, text=False)
        if kind is not None:
            raise ValueError(f"expected UTF-8 text, found {kind}")
        line = content.count(b"\n", 0, position) + 1
        raise ValueError(f"expected UTF-8 text, line {line} {what}")
    return content


def _separator(content: bytes) -> str:
    """Return the separator by which the first records have as many entries as there are names."""
    best, score = ",", (0.0, 1)
    single = True
    for separator in SEPARATORS:
        records = _sample(content, separator)
        if not records:
            continue
        n = len(records[0])
        # A comma in an entry alone may be that of a number.
        single &= n == 1 and all(
            len(entries) == 1 or (separator == "," and _DECIMAL.fullmatch(",".join(entries)))
            for entries in records
        )
        share = sum(len(entries) == n for entries in records) / len(records)
        if n > 1 and (share, n) > score:
            best, score = separator, (share, n)
    return ";" if single else best


def _sample(content: bytes, separator: str) -> list[list[str]]:
    """Return the first records that are not blank, as far as they can be read."""
    found: list[list[str]] = []
    lines = (line.decode() for line in islice(io.BytesIO(content), _LINES))
    try:
        for entries in csv.reader(lines, delimiter=separator):
            if any(entry.strip() for entry in entries) or len(entries) > 1:
                found.append(entries)
            if len(found) == _RECORDS:
                break
    except csv.Error:
        pass
    return found


def _records(
    stream: io.BytesIO, separator: str, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield entries, and the number of the line that they end in; they may hold line breaks."""
    reader = csv.reader((line.decode() for line in stream), delimiter=separator, strict=strict)
    start = 1
    try:
        for entries in reader:
            yield reader.line_num, entries
            start = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise ValueError(f"line {start} has a quotation mark that is never closed") from error
        if "expected after" in str(error):
            raise ValueError(
                f"line {reader.line_num} has a quotation mark inside a quoted entry; two of them "
                "stand for one there"
            ) from error
        raise ValueError(f"line {reader.line_num} cannot be read: {error}") from error


def _slowly(content: bytes, separator: str, n: int) -> Any:
    """Read rows that polars cannot read. ValueError names the line that is wrong."""
    import polars as pl

    rows: list[list[str | None]] = []
    began = False
    for line, entries in _records(io.BytesIO(content), separator, strict=True):
        if len(entries) > n:
            raise ValueError(
                f"line {line} has {len(entries)} entries, the first line has {n} "
                f"name{'s' * (n > 1)}; expected as many entries a line as there are names, with "
                f"{separator!r} between them"
            )
        # Two quotation marks are an entry; nothing, or spaces, are a blank line.
        blank = not entries or (len(entries) == 1 and entries[0] and not entries[0].strip(" "))
        if not began or (n > 1 and blank):
            began = began or bool(entries)
            continue
        filled: list[str | None] = [entry or None for entry in entries]
        rows.append(filled + [None] * (n - len(filled)))
    return pl.DataFrame(rows, schema=dict.fromkeys(map(str, range(n)), pl.String), orient="row")
