"""The state of a training: named plain arrays, all that it remembers; and what may be resumed.

The arrays of float64 are the solver's and come from C by name (``mlp_fit_describe`` in
``csrc/mlp.h``); what is counted, and the random stream, are integers beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop.scaling import ARRAYS, GIVEN, KINDS, Scaling
from deltaloop.scaling import check as check_scaling

if TYPE_CHECKING:
    from deltaloop import _core

Arrays = dict[str, NDArray[Any]]

# Beside what C describes: of every fit, where there are several stages, and where a fraction of the
# instances was set aside: the position of the stream before that.
COUNTS = ("epochs", "key", "position")
STAGES = ("stage", "stage_epochs")
SPLIT = ("split",)
# And how many were learned from and held out; states of 0.1.0 have no such entry.
PARTS = "parts"
# Within an epoch of mini-batches: the rows that are done, and the stream at its start.
ROW, ROW_POSITION = "epoch_row", "epoch_position"
# Where the fit chose its penalty: the strength, with which what is resumed goes on.
CHOSEN = "l2"
# Where the network is scaled: the kind, as a position in this list, and the four arrays.
SCALING = "scaling"
SCALING_KINDS = (GIVEN, *KINDS)


class Resumed(NamedTuple):
    """Where a fit that is resumed goes on."""

    epochs: int  # complete ones, of all stages
    stage: int  # the one that was under way
    stage_epochs: int  # its own
    key: tuple[int, int]
    position: int
    split: int | None  # the position before a fraction was set aside
    parts: tuple[int, ...] | None  # instances learned from and held out, where that is known
    scaling: Scaling | None
    arrays: dict[str, object]  # for the solver of that stage
    row: int = 0  # rows done of the epoch under way, and where the stream was at its start
    epoch_position: int = 0


def stream_arrays(key: tuple[int, int], position: int) -> Arrays:
    """Return the entries that say where a random stream is."""
    return {
        "key": np.array(key, dtype=np.uint64),
        "position": np.array(position, dtype=np.uint64),
    }


def stream(entries: dict[str, object]) -> tuple[tuple[int, int], int]:
    """Take the stream out of the entries of a state: its key and its position."""
    for name in ("key", "position"):
        if name not in entries:
            raise ValueError(f"resume has no {name!r}: it is not the state of such a training")
    first, second = integers("key", entries.pop("key"))
    return (first, second), integers("position", entries.pop("position"))[0]


def scaling_arrays(scaling: Scaling | None) -> Arrays:
    """Return the entries that say how the network is scaled, none where it is not."""
    if scaling is None:
        return {}
    kind = np.array(SCALING_KINDS.index(scaling.kind))
    return {SCALING: kind} | {name: getattr(scaling, name).copy() for name in ARRAYS}


def scaling(entries: dict[str, object], network: _core.Core) -> Scaling | None:
    """Take the scaling of a network out of the entries of a state; None if it has none."""
    if SCALING not in entries:
        return None
    kind = integers(SCALING, entries.pop(SCALING))[0]
    if kind >= len(SCALING_KINDS):
        raise ValueError(
            f"resume['scaling'] must be below {len(SCALING_KINDS)}, got {kind}: it may be the "
            "state of a newer deltaloop"
        )
    arrays = []
    for name in ARRAYS:
        if name not in entries:
            raise ValueError(f"resume has no {name!r}: it is not the state of a scaled network")
        arrays.append(as_array(name, entries.pop(name)))
    try:
        a, b, c, d = arrays
        return check_scaling(Scaling(a, b, c, d, SCALING_KINDS[kind]), network)
    except (TypeError, ValueError) as error:
        raise type(error)(f"resume holds no scaling of this network: {error}") from None


def pack(
    report: _core.Report,
    epochs: int,
    stage: tuple[int, int] | None,
    split: tuple[int, tuple[int, int]] | None,
    scaling: Scaling | None,
    chosen: float | None = None,
    whole: bool = True,
) -> Arrays:
    """Return the state of a fit from what C reports; `stage` is that of a chain and its epochs.

    `split` is where the stream was before a fraction was set aside, and the size of both parts;
    `chosen` the penalty, where the fit chose it.

    After divergence there is the stream, but nothing of the solver's.
    """
    state = {"epochs": np.array(epochs)} | stream_arrays(report.key, report.position)
    arrays = report.arrays if whole else {}
    if "parameters" in arrays:
        if stage is not None:
            state.update(zip(STAGES, map(np.array, stage), strict=True))
        if split is not None:
            state["split"] = np.array(split[0], dtype=np.uint64)
            state[PARTS] = np.array(split[1])
        if report.row:
            state[ROW] = np.array(report.row)
            state[ROW_POSITION] = np.array(report.epoch_position, dtype=np.uint64)
        state.update(scaling_arrays(scaling))
    state.update(arrays)
    if chosen is not None:
        state[CHOSEN] = np.array(chosen)
    return state


def chosen_l2(state: dict[str, object]) -> float | None:
    """Take the strength that the fit to be resumed had chosen; None if it had not."""
    if CHOSEN not in state:
        return None
    array = as_array(CHOSEN, state.pop(CHOSEN))
    if array.dtype.kind != "f" or array.shape != ():
        raise TypeError(f"resume[{CHOSEN!r}] must be a number, got {array!r}")
    if not 0.0 <= array < np.inf:
        raise ValueError(f"resume[{CHOSEN!r}] must be finite and at least 0, got {array}")
    return float(array)


def check(resume: object) -> dict[str, object]:
    """Return the entries of what may be a state, copied: plain names and arrays, each read once."""
    if not isinstance(resume, Mapping):
        hint = "; use its attribute state" if hasattr(resume, "state") else ""
        raise TypeError(
            "resume must be a mapping of names to arrays such as FitResult.state, "
            f"got {type(resume).__name__}{hint}"
        )
    entries: dict[str, object] = {}
    for given in resume:
        if not isinstance(given, str):
            raise ValueError(f"resume has {given!r}, which is no name of an array")
        name = str.__str__(given)  # of a subclass the string that it is
        if name in entries:
            raise ValueError(f"resume has {name!r} twice")
        entries[name] = np.array(as_array(name, resume[given]))
    return entries


def unpack(
    arrays: dict[str, object], n_stages: int | None, split: bool, network: _core.Core
) -> Resumed:
    """Return the state of a fit, or with `n_stages` of a chain, but for the solver's arrays.

    Those are checked by ``match``, when there is a fit to compare them with. `split` says whether a
    fraction of the instances was set aside.
    """
    if set(COUNTS) <= set(arrays) and not {"parameters", "cost"} & set(arrays):
        raise ValueError(
            "resume is the state of a fit that diverged, or was interrupted within an epoch, which "
            "cannot go on; train from the parameters that the network has"
        )
    names = COUNTS + (STAGES if n_stages is not None else ()) + (SPLIT if split else ())
    for name in names:
        if name not in arrays:
            raise ValueError(f"resume has no {name!r}: it is not the state of such a fit")
    key, position = stream(arrays)
    scaled = scaling(arrays, network)
    counts = {name: integers(name, arrays.pop(name))[0] for name in names if name not in COUNTS[1:]}
    epochs, before = counts["epochs"], counts.get("split")
    row = position_before = 0
    if ROW in arrays:
        if ROW_POSITION not in arrays:
            raise ValueError(f"resume has no {ROW_POSITION!r}: it is not the state of such a fit")
        row = integers(ROW, arrays.pop(ROW))[0]
        position_before = integers(ROW_POSITION, arrays.pop(ROW_POSITION))[0]
    within = (arrays, row, position_before)
    parts = tuple(integers(PARTS, arrays.pop(PARTS))) if split and PARTS in arrays else None
    if n_stages is None:
        return Resumed(epochs, 0, epochs, key, position, before, parts, scaled, *within)
    stage, stage_epochs = counts["stage"], counts["stage_epochs"]
    if stage >= n_stages:
        raise ValueError(
            f"resume['stage'] must be that of one of {n_stages} solvers, counted from 0, "
            f"got {stage}"
        )
    if stage_epochs > epochs:
        raise ValueError(
            f"resume['stage_epochs'] must be at most resume['epochs'], {epochs}, got {stage_epochs}"
        )
    return Resumed(epochs, stage, stage_epochs, key, position, before, parts, scaled, *within)


def check_parts(resumed: Resumed, learned: int, held: int) -> None:
    """Refuse a fraction that is not that of the state: it would set other instances aside."""
    if resumed.parts not in (None, (learned, held)):
        before, others = resumed.parts
        raise ValueError(
            f"resume is the state of a fit to {before} instances with {others} set aside by "
            f"validation, got {learned} and {held}: give the same data and the same fraction, or "
            "the validation as arrays"
        )


def as_array(name: str, value: object) -> NDArray[Any]:
    """Return an entry as an array of any type."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"resume[{name!r}] is not an array: {error}") from None


def integers(name: str, value: object) -> list[int]:
    """Return one integer of at least 0, or the two of a key or of parts."""
    array = as_array(name, value)
    shape = (2,) if name in ("key", PARTS) else ()
    if array.dtype.kind not in "iu":
        what = "two integers" if shape else "an integer"
        raise TypeError(f"resume[{name!r}] must be {what}, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"resume[{name!r}] must have shape {shape}, got {array.shape}")
    numbers = [int(number) for number in array.reshape(-1)]
    most = 2**64 if name in ("key", "position", "split", ROW_POSITION) else 2**63
    if not all(0 <= number < most for number in numbers):
        raise ValueError(f"resume[{name!r}] must be in [0, {most}), got {array}")
    return numbers


def match(state: dict[str, object], own: Arrays) -> Arrays:
    """Return the arrays of a state as C takes them, compared with those of what is to resume.

    They have the same names and sizes; a value may be infinite or NaN only where it is before the
    first step.
    """
    for name in own:
        if name not in state:
            raise ValueError(f"resume has no {name!r}: it is not the state of such a solver")
    result = {}
    for name, value in state.items():
        if name not in own:
            hint = "; it is the state of a fit" if name == "epochs" else ""
            raise ValueError(
                f"resume has {name!r}, which is no part of the state of this solver{hint}"
            )
        array = as_array(name, value)
        if array.dtype.kind != "f" or array.dtype.itemsize != 8:
            raise TypeError(f"resume[{name!r}] must hold float64, got dtype {array.dtype}")
        if array.shape != own[name].shape:
            raise ValueError(
                f"resume[{name!r}] must have shape {own[name].shape}, got {array.shape}"
            )
        result[name] = array = np.ascontiguousarray(array, dtype=np.float64)
        for i in np.flatnonzero(~np.isfinite(array)):
            if not np.array_equal(array[i], own[name][i], equal_nan=True):
                raise ValueError(
                    f"resume[{name!r}] holds {array[i]} at index {i}; it must be finite"
                )
    return result
