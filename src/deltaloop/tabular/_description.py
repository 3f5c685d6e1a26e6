"""A table's description as JSON, for a model's file: what it takes and what it predicts.

Files may come from anywhere: everything is checked before anything is built from it, and what is
wrong ends in a ValueError. The length of the text is limited by that of a file's header.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from deltaloop._files import strict_json
from deltaloop._files.header import MAX_HEADER_BYTES
from deltaloop._files.paths import short, twice
from deltaloop.network import Network
from deltaloop.tabular import _applied
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._kinds import KINDS
from deltaloop.tabular._target import MAX_WHOLE, Label, Target
from deltaloop.tabular._values import Notation

__all__ = ["check_network", "check_size", "of_found", "of_text", "to_text"]

# Version 2 has notations; version 1 is written where there are none.
VERSION = 2

# A category takes 8 bytes of a header with its quotation marks, and counts twice, with its comma.
MAX_PARTS = MAX_HEADER_BYTES // 4


def to_text(table: Table, target: Target) -> str:
    """Return the description; the same one gives the same text."""
    notations = [_applied.to_json(notation) for notation in target.notations]
    description: dict[str, Any] = {
        "version": VERSION,
        "target": target.names[0] if target.single else list(target.names),
        "classes": None if target.classes is None else list(target.classes),
        "columns": [_to_json(column) for column in table.columns],
    }
    if notations:
        description["notations"] = notations
    if not notations and not any("notation" in column for column in description["columns"]):
        description["version"] = 1  # which the first version can read
    return json.dumps(description, allow_nan=False, ensure_ascii=False)


def _to_json(column: Column) -> dict[str, Any]:
    found = asdict(column)
    if column.notation is None:
        del found["notation"]
    else:
        found["notation"] = _applied.to_json(column.notation)
    return found


def check_size(table: Table, target: Target) -> None:
    """ValueError if the description is too long for the header of a file, whatever the network."""
    length = len(json.dumps(to_text(table, target), ensure_ascii=False).encode())
    if length > MAX_HEADER_BYTES:
        raise ValueError(
            f"expected a header of at most {MAX_HEADER_BYTES} bytes, the columns, their categories "
            f"and the classes alone take {length}"
        )


def of_text(text: str) -> tuple[Table, Target]:
    """Read a description. ValueError if anything about it is unexpected."""
    return of_found(strict_json.parse(text, "the table's description", MAX_PARTS))


def of_found(found: object) -> tuple[Table, Target]:
    """Read a description from the objects that its JSON stands for, of any size."""
    version = found.get("version") if isinstance(found, dict) else None
    if type(version) is int and version > VERSION:
        raise ValueError(
            f"expected version {VERSION} of the table's description, found {short(str(version))}: "
            "it was written by a newer deltaloop, which is needed to read it"
        )
    _check_keys(
        "the table's description", found, ("version", "target", "classes", "columns"), "notations"
    )
    assert isinstance(found, dict)
    if type(version) is not int or version < 1:
        raise ValueError(
            f"expected version 1 to {VERSION} of the table's description, found "
            f"{short(str(version))}"
        )
    target = _target(found["target"], found["classes"], found.get("notations"))
    columns = found["columns"]
    if not (isinstance(columns, list) and columns):
        raise ValueError("expected columns to be a list of one or more")
    table = Table(tuple(_column(column) for column in columns))
    _names([column.name for column in table.columns] + list(target.names))
    return table, target


def check_network(table: Table, target: Target, network: Network) -> None:
    """ValueError unless the network takes what the table gives, and gives what it predicts."""
    layers = network.layers
    if layers[0] != table.n_inputs:
        raise ValueError(
            f"expected a network of {table.n_inputs} inputs for the table, found {layers[0]}"
        )
    if layers[-1] != target.n_outputs:
        raise ValueError(
            f"expected a network of {target.n_outputs} outputs for the target, found {layers[-1]}"
        )
    if (network.output == "softmax") != (target.classes is not None):
        what = "values" if target.classes is None else "classes"
        raise ValueError(f"expected a network for {what}, found the output {network.output}")


def _check_keys(what: str, found: object, expected: tuple[str, ...], optional: str) -> None:
    if not (isinstance(found, dict) and set(found) - {optional} == set(expected)):
        raise ValueError(f"expected {what} to be an object of {', '.join(expected)}")


def _names(names: object) -> tuple[str, ...]:
    """Return names of columns, each of them once."""
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        again = twice(names)
        if again is None:
            return tuple(names)
        raise ValueError(f"expected each column once, found {short(again)} twice")
    raise ValueError(f"expected names of columns, found {short(str(names))}")


def _target(names: object, classes: object, given: object) -> Target:
    single = isinstance(names, str)
    known = _names([names] if single else names)
    notations: tuple[Notation | None, ...] = ()
    if given is not None:
        if not (isinstance(given, list) and len(given) == len(known) and any(given)):
            raise ValueError("expected notations to be a list with one for each target")
        notations = tuple(
            None if item is None else _applied.of_json(f"target {short(name)}", item)
            for name, item in zip(known, given, strict=True)
        )
    if classes is None:
        return Target(known, single, None, notations)
    labels = _labels(classes)
    if len(known) > 1:
        raise ValueError("expected one target of a classification")
    return Target(known, True, labels, notations)


def _labels(classes: object) -> tuple[Label, ...]:
    """Return classes: two or more of one type, sorted, each of them once."""
    if isinstance(classes, list) and len(classes) >= 2:
        for kind in (str, bool, int):
            if all(type(label) is kind for label in classes):
                small = kind is not int or -MAX_WHOLE < classes[0] <= classes[-1] < MAX_WHOLE
                if small and all(a < b for a, b in pairwise(classes)):
                    return tuple(classes)
    raise ValueError(
        "expected classes to be a sorted list of two or more texts, booleans or whole numbers, "
        f"found {short(str(classes))}"
    )


def _column(found: object) -> Column:
    _check_keys("a column", found, ("name", "kind", "missing", "categories", "means"), "notation")
    assert isinstance(found, dict)
    name, kind, missing = found["name"], found["kind"], found["missing"]
    if not isinstance(name, str):
        raise ValueError(f"expected the name of a column, found {short(str(name))}")
    where = f"column {short(name)}"
    if not (isinstance(kind, str) and kind in KINDS):
        raise ValueError(f"{where}: expected a kind that is known, found {short(str(kind))}")
    if type(missing) is not bool:
        raise ValueError(f"{where}: expected missing to be true or false")
    column = KINDS[kind].of_json(name, missing, found["categories"], found["means"])
    if "notation" not in found:
        return column
    return replace(column, notation=_applied.of_json(where, found["notation"]))
