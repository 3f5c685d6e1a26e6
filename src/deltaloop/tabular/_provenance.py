"""What a model was trained on, as JSON for its file: the report of the training, fingerprints.

As all that comes from a file it is checked before anybody believes it. Times are left out, so that
the same table, seed and day give the same file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from deltaloop._files import strict_json
from deltaloop._files.header import MAX_HEADER_BYTES
from deltaloop._files.paths import short
from deltaloop.tabular._fingerprints import Fingerprints

__all__ = ["METADATA", "TIMES", "of_text", "options", "plain", "room_beside", "to_text", "today"]

# The entry of a file's metadata.
METADATA = "training"
VERSION = 1
# What a report holds and a file does not: they differ from run to run.
TIMES = ("seconds", "times")
# What is left out where a header would be too long, in this order.
LONG = ("per_class", "per_target", "options", "ignored", "warnings")
# Options that say nothing about the result of a fit, and what others are where they do nothing.
SILENT = (
    "callback",
    "callback_every",
    "progress",
    "n_threads",
    "new_categories",
    "resume",
    "checkpoint",
    "checkpoint_every",
)
OFF: dict[str, Any] = {"l1": 0.0, "dropout": 0.0, "residual": False, "drop": []}
MAX_PARTS = MAX_HEADER_BYTES // 4


def today() -> str:
    """Return the date (UTC) as ISO 8601 has it; that of SOURCE_DATE_EPOCH, where it is set."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(given), UTC) if given.isdecimal() else datetime.now(UTC)
    return now.date().isoformat()


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for: options that are not None, no watchers, nothing that is off.

    How many threads there may be changes nothing in the model.
    """
    return {
        name: plain(value)
        for name, value in given.items()
        if name not in SILENT and value is not None and (name not in OFF or value != OFF[name])
    }


def to_text(report: Mapping[str, Any], rows: Fingerprints | None, room: int) -> str | None:
    """Return a text of at most `room` bytes in a header; None if there is no room for any."""
    kept = {name: value for name, value in report.items() if name not in TIMES}
    found: dict[str, Any] = {"version": VERSION, "report": plain(kept)}
    if rows is not None:
        found |= {"rows": rows.text(), "all_rows": rows.all, "usual": rows.usual}
    for name in ("", *LONG):
        found["report"].pop(name, None)
        text = json.dumps(found, allow_nan=False, ensure_ascii=False)
        if len(json.dumps(text, ensure_ascii=False).encode()) <= room:
            return text
    return None


def room_beside(texts: Mapping[str, str]) -> int:
    """Return how many bytes a header has left beside these entries and what a network needs."""
    taken = len(json.dumps(dict(texts), ensure_ascii=False).encode())
    return (MAX_HEADER_BYTES - taken) // 2


def of_text(text: str) -> tuple[dict[str, Any], Fingerprints | None]:
    """Read a report and fingerprints. ValueError if anything in them is unexpected."""
    found = strict_json.parse(text, "the report of the training", MAX_PARTS)
    version = found.get("version") if isinstance(found, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError(
            f"expected version {VERSION} of the report of the training, found {short(str(version))}"
        )
    report = found.get("report")
    if not isinstance(report, dict):
        raise ValueError("expected the report of the training to be an object")
    for name, fits in CHECKS.items():
        if name in report and not fits(report[name]):
            raise ValueError(
                f"the report of the training: unexpected {name}, {short(str(report[name]))}"
            )
    rows, everything, usual = found.get("rows"), found.get("all_rows"), found.get("usual")
    if rows is None:
        return report, None
    if not (isinstance(rows, str) and type(everything) is bool and _part(usual)):
        raise ValueError("expected fingerprints of rows to be base64, with all_rows and usual")
    assert usual is not None
    return report, Fingerprints.of_text(rows, everything, float(usual))


def plain(value: Any) -> Any:
    """Return what JSON can say of a value: numbers that it lacks become None, objects their text.

    Keys become text.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return repr(value)


def _part(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _count(value: object) -> bool:
    return type(value) is int and value >= 0


def _text(value: object) -> bool:
    return isinstance(value, str)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _label(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _measures(value: object) -> bool:
    return isinstance(value, dict) and all(map(_label, value.values()))


def _list_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _target_of_several(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"target", "metrics", "baseline", "verdict"}
        and _text(value["target"])
        and _text(value["verdict"])
        and _measures(value["metrics"])
        and _measures(value["baseline"])
    )


def _class(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"class", "precision", "recall", "rows"}
        and (all(map(_label, value.values())) and _count(value["rows"]))
    )


# What of a report is shown, and what it must be.
CHECKS: dict[str, Callable[[object], bool]] = {
    "task": _text,
    "target": lambda value: _text(value) or _texts(value),
    "n_train": _count,
    "n_test": _count,
    "n_without_target": _count,
    "epochs": _count,
    "stop_reason": _text,
    "stopped": _text,
    "date": _text,
    "version": _text,
    "verdict": _text,
    "warnings": _texts,
    "metrics": _measures,
    "baseline": _measures,
    "per_class": _list_of(_class),
    "per_target": _list_of(_target_of_several),
    "options": lambda value: isinstance(value, dict),
    "ignored": lambda value: isinstance(value, dict) and all(map(_text, value.values())),
}
