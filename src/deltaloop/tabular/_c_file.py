"""A table's model as a C file: an enum of the columns, and one of the values of each category."""

from __future__ import annotations

import os
import re

from deltaloop._c import write as _c
from deltaloop._c.front import Column as Encoded
from deltaloop._c.front import Front
from deltaloop._c.labels import classes_note, shown
from deltaloop._files.paths import naming, path_name
from deltaloop.network import Network
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._kinds import KINDS
from deltaloop.tabular._target import Target

# Values of a category, each of which is an input and an enumerator.
MAX_VALUES = 1000


def write(
    network: Network, table: Table, target: Target, path: str | os.PathLike[str], asked: _c.Options
) -> None:
    """Write a model: see `Travels.to_c`."""
    name = path_name(path)
    with naming(name):
        for column in table.columns:
            if len(column.categories) > MAX_VALUES:
                raise ValueError(
                    f"column {column.name!r} is a category of {len(column.categories)} values, "
                    f"and a C file takes {MAX_VALUES} at most"
                )
    columns = tuple(
        Encoded(column.categories, column.means, column.missing) for column in table.columns
    )
    front = Front(columns, _declared(table))
    note = "Outputs: " + ", ".join(map(shown, target.names)) if target.classes is None else ""
    if target.classes is not None:
        note = classes_note(list(target.classes), network.layers[-1])
    _c.write(network._frozen(), path, asked, front, note)


def _declared(table: Table) -> str:
    """Return the enums."""
    used = {"COLUMNS", "INPUTS", "OUTPUTS", "WORKSPACE", "VECTORS"}
    words = _identifiers([column.name for column in table.columns], "COLUMN_", used)
    lines = ["/* The inputs: columns of the table; NAN where a number is missing. */", "enum {"]
    for j, (column, word) in enumerate(zip(table.columns, words, strict=True)):
        lines.append(f"    @@COLUMN_{word} = {j}, /* {shown(column.name)}, {_kind(column)} */")
    lines += ["    @@COLUMNS = " + str(len(words)), "};"]
    for column, word in zip(table.columns, words, strict=True):
        if column.categories:
            lines += ["", f"/* Values of {shown(column.name)}; any other number is missing. */"]
            lines += ["enum {", f"    @@{word}_IS_MISSING = -1,"]
            used.add(f"{word}_IS_MISSING")
            values = _identifiers(list(column.categories), f"{word}_IS_", used)
            for i, (value, text) in enumerate(zip(values, column.categories, strict=True)):
                comma = "," if i + 1 < len(values) else ""
                lines.append(f"    @@{word}_IS_{value} = {i}{comma} /* {shown(text)} */")
            lines.append("};")
    return "\n".join(lines)


def _kind(column: Column) -> str:
    """Return what a column takes."""
    units = {"date": "days since 1970-01-01 (UTC)", "duration": "days"}
    if KINDS[column.kind].text:
        return "a category"
    return units.get(column.kind, "a number")


def _identifiers(names: list[str], start: str, used: set[str]) -> list[str]:
    """Return what identifiers with this start end in: capitals, digits and underscores.

    None of the identifiers is `used`, to which they are added.
    """
    found: list[str] = []
    for name in names:
        word = re.sub(r"[^A-Z0-9]+", "_", name.upper().replace("_MISSING", "_MISSING_"))[:40]
        word = word.strip("_") or "EMPTY"
        word = f"{word}_" if word == "MISSING" else word
        number, unique = 2, word
        while start + unique in used:
            unique = f"{word}_{number}"
            number += 1
        used.add(start + unique)
        found.append(unique)
    return found
