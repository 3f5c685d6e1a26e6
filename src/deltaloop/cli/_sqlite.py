"""Tables of SQLite databases, as polars frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

__all__ = ["read"]


def read(content: bytes, table: str | None) -> Any:
    """Return a table or a view of a database; without a name, its only one. ValueError if none."""
    try:
        import sqlite3
    except ImportError:
        raise ImportError(
            "reading SQLite databases needs Python's module sqlite3, without which this Python was "
            "built: take another Python, or give the table as a CSV file"
        ) from None
    connection = sqlite3.connect(":memory:")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        _load(connection, content)
        found = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite_%' ORDER BY name"
            )
        ]
        listed = ", ".join(found) or "none"
        if table is None:
            if len(found) != 1:
                raise ValueError(
                    f"has the tables {listed}; name one after the file, as in "
                    f"data.db#{found[0] if found else 'table'}"
                )
            table = found[0]
        if table not in found:
            raise ValueError(f"has no table {table!r}; its tables are {listed}")
        rows = connection.execute(f'SELECT * FROM "{table.replace(chr(34), chr(34) * 2)}"')
        names = [column[0] for column in rows.description]
        return _frame(names, rows.fetchall())
    except sqlite3.Error as error:
        raise ValueError(f"cannot be read as an SQLite database: {error}") from error
    finally:
        connection.close()


def _load(connection: sqlite3.Connection, content: bytes) -> None:
    """Take the bytes of a file as the database. ValueError if it is damaged."""
    try:
        connection.deserialize(_readable(content))
    except MemoryError as error:  # what it raises for half a header
        raise ValueError("is damaged, or no SQLite database") from error


def _readable(content: bytes) -> bytes:
    """Return a database that needs no log beside it: a copy of one in WAL mode cannot be opened."""
    if content[18:20] == b"\x02\x02":
        return content[:18] + b"\x01\x01" + content[20:]
    return content


def _frame(names: list[str], rows: list[tuple[Any, ...]]) -> Any:
    """Make a frame of rows; a column of several types is text, of which the values decide."""
    import polars as pl

    columns = []
    for name, values in zip(
        names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True
    ):
        kinds = {type(value) for value in values if value is not None}
        if bytes in kinds:
            raise ValueError(f"column {name!r} holds bytes; leave it out by a view without it")
        if kinds <= {int}:
            columns.append(pl.Series(name, list(values), pl.Int64))
        elif kinds <= {int, float}:
            columns.append(pl.Series(name, [_float(value) for value in values], pl.Float64))
        else:
            texts = [None if value is None else str(value) for value in values]
            columns.append(pl.Series(name, texts, pl.String))
    return pl.DataFrame(columns)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
