"""Files with the state of a fit, whole: what `resume` takes, and what the run has told so far.

A file is a safetensors file. Its tensors are the arrays of the state (``state.*``) and what the
result of the run will need (``run.*``); the rest is metadata, a checksum of all bytes among it.
Files may come from anywhere: lengths are checked before anything is allocated, and whatever is
wrong ends in a ValueError that names the file. What the arrays hold is judged by those who know the
fit. Nothing is ever executed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._files import signatures, strict_json
from deltaloop._files import tensors as _tensors
from deltaloop._files.atomic import replacement, writing
from deltaloop._files.contents import reading
from deltaloop._files.description import CHECKPOINT, FORMAT
from deltaloop._files.header import new_header, read_header
from deltaloop._files.paths import naming, short

__all__ = ["Run", "Stage", "check_free", "read", "write"]

VERSION = 1
_STATE, _RUN = "state.", "run."
# What the metadata says, as JSON each; and the arrays of the run with their numbers of axes.
_ENTRIES = ("network", "instances", "stages", "reason", "rules", "choice")
_ARRAYS = {"history": 2, "initial_cost": 0, "seconds": 0, "stages": 2}
_TYPES = {"float64": "F64", "int64": "I64", "uint64": "U64"}
_MOST_PARTS = 10_000
# The checksum is that of the file with these digits in its place.
_BLANK = "00000000"

Arrays = dict[str, NDArray[Any]]


class Stage(NamedTuple):
    """A stage that is over."""

    epochs: int
    stop_reason: str
    cost: float
    seconds: float


class Run(NamedTuple):
    """A fit at the moment when it was written."""

    state: Arrays  # what `resume` takes
    history: NDArray[np.float64]  # (5, epochs) of all epochs so far
    initial_cost: float
    stages: tuple[Stage, ...]  # those before the one that was under way
    seconds: float  # of the stage that was under way
    reason: str  # why that stage has ended, nothing if it had not
    rules: str  # by which it ended, to be compared
    network: Mapping[str, Any]  # what was trained, to be compared
    instances: tuple[int, int]  # learned from, and held out
    choice: str | None  # what the result says of the solver, where it was chosen


def write(name: str, run: Run) -> None:
    """Write a file that is there whole or not at all, and after a power failure too.

    OSError names the file, which is then as it was.
    """
    kept = np.array([(s.epochs, s.cost, s.seconds) for s in run.stages]).reshape(-1, 3)
    arrays: Arrays = {_STATE + key: value for key, value in run.state.items()}
    arrays |= {
        _RUN + "history": run.history,
        _RUN + "initial_cost": np.array(run.initial_cost),
        _RUN + "seconds": np.array(run.seconds),
        _RUN + "stages": kept,
    }
    values: dict[str, Any] = {
        "network": run.network,
        "instances": run.instances,
        "stages": [stage.stop_reason for stage in run.stages],
        "reason": run.reason,
        "rules": run.rules,
        "choice": run.choice,
    }
    entries = {"format": CHECKPOINT, "version": str(VERSION), "crc32": _BLANK}
    entries |= {key: json.dumps(value) for key, value in values.items()}
    # In files the numbers are little-endian, and larger types come first: none is misaligned.
    arrays = {key: np.asarray(arrays[key], order="C") for key in sorted(arrays)}
    shapes = {key: array.shape for key, array in arrays.items()}
    types = {key: _TYPES[array.dtype.name] for key, array in arrays.items()}
    with writing(name):
        start = new_header(entries, shapes, types)
        little = [
            array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).data
            for array in arrays.values()
        ]
        checksum = zlib.crc32(start)
        for data in little:
            checksum = zlib.crc32(data, checksum)
        with replacement(name, durable=True) as file:
            file.write(start.replace(_sum_text(_BLANK), _sum_text(f"{checksum:08x}"), 1))
            for data in little:
                file.write(data)


def _sum_text(digits: str) -> bytes:
    """Return how a header says a checksum."""
    return f'"crc32":"{digits}"'.encode()


def read(name: str) -> Run:
    """Read a file, once. ValueError if it is none of these, OSError if it cannot be read."""
    with naming(name):
        entries, tensors, _ = _tensors.read(name, _entries, _check_sum)
        return _run(tensors, entries)


def check_free(name: str) -> None:
    """Refuse a file that is there, has bytes, and is no checkpoint. ValueError says what it is."""
    try:
        with reading(name) as (file, size):
            found = "no file of deltaloop"
            if size == 0:
                return
            with suppress(ValueError):
                header = read_header(file, size)[1]
                found = _kind(_tensors.metadata(header))
                if not found:
                    return
            if found == "no file of deltaloop":
                file.seek(0)
                found = signatures.found(file.read(1000)) or found
    except FileNotFoundError:
        return
    raise ValueError(
        f"{name!r} is there already, and it is {found}: a checkpoint would overwrite it; give "
        "another name, or delete the file"
    )


def _kind(entries: dict[str, str]) -> str:
    """Return what a safetensors file is, nothing if it is a checkpoint."""
    kind = entries.get("format")
    if kind == CHECKPOINT:
        return ""
    return "a model" if kind == FORMAT else "another safetensors file"


def _check_sum(start: bytes, content: bytes) -> None:
    """Refuse a file of which a bit is not what was written."""
    where = start.find(_sum_text("")[:-1])
    digits = start[where + 9 :][:8].decode("latin-1")
    blank = start.replace(_sum_text(digits), _sum_text(_BLANK), 1)
    found = zlib.crc32(memoryview(content)[len(start) :], zlib.crc32(blank))
    if where < 0 or digits != f"{found:08x}":
        raise ValueError("expected the checksum of the file, found another: it is damaged")


def _entries(found: dict[str, str], *_: object) -> dict[str, Any]:
    """Return the metadata, parsed."""
    what = _kind(found)
    if what:
        raise ValueError(f"expected a checkpoint, which fit(checkpoint=...) writes, found {what}")
    version = found.get("version")
    if version != str(VERSION):
        raise ValueError(
            f"expected a checkpoint of version {VERSION}, found {short(str(version))}: it may have "
            "been written by a newer deltaloop, which is needed to read it"
        )
    for key in _ENTRIES:
        if key not in found:
            raise ValueError(f"expected {key} in the metadata of a checkpoint, found none")
    return {key: strict_json.parse(found[key], key, _MOST_PARTS) for key in _ENTRIES}


def _run(tensors: Arrays, entries: dict[str, Any]) -> Run:
    """Return what a file says, checked for its form."""
    for key, array in tensors.items():
        if array.dtype.name not in _TYPES:
            kinds = ", ".join(_TYPES)
            raise ValueError(f"expected {short(key)} to be of {kinds}, found {array.dtype}")
    for key, axes in _ARRAYS.items():
        array = tensors.get(_RUN + key, np.empty(0, np.intp))
        if array.dtype != np.float64 or array.ndim != axes:
            raise ValueError(f"expected {_RUN + key} to be of float64 with {axes} axes")
    history, kept = tensors[_RUN + "history"], tensors[_RUN + "stages"]
    reasons, instances = entries["stages"], entries["instances"]
    fits = (
        history.shape[0] == 5
        and isinstance(reasons, list)
        and kept.shape == (len(reasons), 3)
        and bool((kept[:, 0] >= 0).all() and (kept[:, 0] < 2**53).all())
        and all(isinstance(text, str) for text in (*reasons, entries["reason"], entries["rules"]))
        and isinstance(entries["network"], dict)
        and isinstance(instances, list)
        and len(instances) == 2
        and all(type(n) is int for n in instances)
        and isinstance(entries["choice"], str | None)
    )
    if not fits:
        raise ValueError("expected a checkpoint, found one that is damaged")
    return Run(
        {k.removeprefix(_STATE): v for k, v in tensors.items() if k.startswith(_STATE)},
        history,
        float(tensors[_RUN + "initial_cost"]),
        tuple(
            Stage(int(epochs), reason, float(cost), float(seconds))
            for reason, (epochs, cost, seconds) in zip(reasons, kept, strict=True)
        ),
        float(tensors[_RUN + "seconds"]),
        entries["reason"],
        entries["rules"],
        entries["network"],
        (instances[0], instances[1]),
        entries["choice"],
    )
