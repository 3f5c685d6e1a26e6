"""The arguments of all ranks: validated, compared, and refused by all where one is wrong."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import problem as _problem
from deltaloop._fit.arguments import check_solvers
from deltaloop.distributed import _tree
from deltaloop.distributed._mpi.channel import (
    FAILED,
    HEADER,
    INTERRUPTED,
    WELL,
    Channel,
    RankError,
    shared,
)
from deltaloop.distributed._mpi.rows import Data
from deltaloop.network import Network
from deltaloop.results import EpochInfo


@dataclass
class Mine:
    """What this rank has, validated; None in place of arrays without rows."""

    x: NDArray[Any] | None
    y: NDArray[Any] | None
    weights: NDArray[np.float64] | None
    labels: bool
    missing: bool
    others: Mine | None = None  # those of the validation
    classes: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    same: dict[str, str] = field(default_factory=dict)
    resume: Any = None  # what to go on from

    @property
    def n(self) -> int:
        """Rows."""
        return 0 if self.x is None else len(self.x)

    def about(self) -> dict[str, Any]:
        """Return what the other ranks have to know."""
        x, y = self.x, self.y
        return {
            "n": self.n,
            "x": "" if x is None else x.dtype.newbyteorder("=").str,
            "y": "" if y is None else y.dtype.newbyteorder("=").str,
            "labels": self.labels,
            "missing": self.missing,
            "weights": self.weights is not None,
        }


def prepare(
    net: Network,
    X: object,
    Y: object,
    sample_weight: object,
    validation: object,
    same: dict[str, Any],
    check_finite: bool,
) -> Mine:
    """Return what this rank has, validated as for one process."""
    _core.check_core(net)
    for solver in check_solvers(same["solver"]):
        if getattr(solver, "geodesic", False):
            raise ValueError(
                f"solver must be without geodesic acceleration on several ranks, got {solver!r}"
            )
        if solver._method == "quickprop" and sample_weight is not None:
            raise ValueError("Quickprop takes no sample_weight on several ranks; use Rprop")
    if same["seed"] is not None:
        _scalars.integer("seed", same["seed"], at_least=0)
    skip = _gaps.check(same["missing_targets"])
    mine = rows_of(net, X, Y, sample_weight, ("X", "Y", "sample_weight"), skip, check_finite)
    if same["class_weight"] is not None:
        same["class_weight"] = _problem.plain_classes(same["class_weight"])
        if mine.missing:
            raise ValueError("class_weight needs all targets; give sample_weight")
        if mine.y is not None:
            mine.classes = _problem.classes_of(net, mine.y, mine.labels)
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
            raise TypeError(
                "validation must be a tuple (X, Y) or (X, Y, sample_weight) of this rank's rows, "
                f"got {validation!r:.60}; a fraction is for one process"
            )
        names = ("validation[0]", "validation[1]", "validation[2]")
        weights = validation[2] if len(validation) == 3 else None
        mine.others = rows_of(net, validation[0], validation[1], weights, names, skip, check_finite)
    elif same["patience"] is not None:
        raise ValueError(f"patience needs validation, got patience={same['patience']} without it")
    mine.same = {name: repr(value) for name, value in same.items()}
    what = (net.layers, net.activation, net.output, net.loss, net.residual, net.scaling)
    mine.same["the network's layers"] = repr(what)
    mine.same["the network's parameters"] = digest(net.parameters)
    mine.same["the network's seed"] = repr((net.seed, net._position))
    mine.same["validation"] = repr(validation is not None)
    return mine


def digest(array: NDArray[Any]) -> str:
    """Return what tells arrays apart."""
    return hashlib.sha256(array.tobytes()).hexdigest()[:32]


def digest_of(state: object) -> str:
    """Return the same of a state, or of a file."""
    if state is None:
        return ""
    if isinstance(state, str | os.PathLike):
        return hashlib.sha256(Path(state).read_bytes()).hexdigest()[:32]
    if not isinstance(state, Mapping):
        raise TypeError(
            "resume must be a mapping of names to arrays such as FitResult.state, or a path, got "
            f"{type(state).__name__}"
        )
    return repr([(name, digest(np.asarray(state[name]))) for name in sorted(state)])


def going_on(resume: object, checkpoint: object) -> object:
    """Return what to go on from: nothing, where the file to write is that and is not there yet."""
    if isinstance(resume, str | os.PathLike) and isinstance(checkpoint, str | os.PathLike):
        begins = os.path.realpath(resume) == os.path.realpath(checkpoint)
        if begins and not os.path.lexists(resume):
            return None
    return resume


def rows_of(
    net: Network,
    X: object,
    Y: object,
    sample_weight: object,
    names: tuple[str, str, str],
    skip: bool,
    check_finite: bool,
) -> Mine:
    """Return rows of this rank, validated."""
    X, Y = _arrays.rows(names[0], X), _arrays.plain(names[1], Y)
    if isinstance(X, _core.Csr):
        raise TypeError(
            f"{names[0]} must be an array, as sparse rows do not travel; use X.toarray()"
        )
    given = _arrays.numbers(names[0], X)
    if given.ndim == 2 and len(given) == 0:
        if given.shape[1] != net.layers[0]:
            raise ValueError(
                f"{names[0]} must have {net.layers[0]} columns, one for each input, "
                f"got shape {given.shape}"
            )
        targets = len(_arrays.numbers(names[1], Y))
        if targets != 0:
            raise ValueError(f"{names[1]} must have 0 rows, as {names[0]} has, got {targets}")
        return Mine(None, None, None, False, False)
    x, y, labels, missing = _gaps.batch(
        net, X, Y, names[0], names[1], skip=skip, check_finite=check_finite
    )
    weights = None
    if sample_weight is not None:
        weights = _arrays.numbers(names[2], sample_weight)
        # Of all ranks together one must be above 0: so zeros alone pass here.
        if weights.size and not np.any(weights):
            if weights.shape != (len(x),):
                raise ValueError(f"{names[2]} must have shape ({len(x)},), got {weights.shape}")
            weights = np.zeros(len(x))
        else:
            weights = _problem.weights(weights, len(x), names[2])
    return Mine(x, y, weights, labels, missing)


def agree(
    channel: Channel,
    mine: Mine | None,
    error: BaseException | None,
    every: int,
) -> list[dict[str, Any]]:
    """Return what each rank has; raise on all where one is wrong, or they do not go together.

    Its callback is called after `every` epochs, 0 if there is none.
    """
    about: dict[str, Any] = {"error": "" if error is None else f"{type(error).__name__}: {error}"}
    if mine is not None:
        about |= mine.about() | {"same": mine.same, "host": MPI.Get_processor_name()}
        about["others"] = None if mine.others is None else mine.others.about()
        about["every"] = every
    known = channel.tell(about)
    wrong = [
        f"rank {rank} of {channel.size}: {other['error']}"
        for rank, other in enumerate(known)
        if other["error"]
    ]
    if error is not None:
        raise shared(error)
    if wrong:
        raise shared(RankError("; ".join(wrong)))
    try:
        compare(known)
    except ValueError as differ:  # on all ranks
        raise shared(differ) from None
    return known


def compare(known: list[dict[str, Any]]) -> None:
    """Refuse ranks that do not go together."""
    for name, value in known[0]["same"].items():
        for rank, other in enumerate(known):
            if other["same"].get(name) != value:
                hint = " (make it with the same seed on every rank)" if "network" in name else ""
                raise ValueError(
                    f"{name} must be the same on all ranks{hint}, got {value[:80]} on rank 0 and "
                    f"{other['same'].get(name, '')[:80]} on rank {rank}"
                )
    check_alike(known, "X", "Y")
    if known[0]["others"] is not None:
        check_alike([other["others"] for other in known], "validation[0]", "validation[1]")


def check_alike(known: list[dict[str, Any]], x_name: str, y_name: str) -> None:
    """Refuse rows that are no rows of one array."""
    there = [(rank, one) for rank, one in enumerate(known) if one["n"]]
    if not there:
        raise ValueError(
            f"{x_name} must have rows on one rank at least, got none on {len(known)} ranks"
        )
    first, one = there[0]
    for rank, other in there:
        if other["labels"] != one["labels"]:
            what = ("values", "class indices")
            raise ValueError(
                f"{y_name} must hold class indices on all ranks or on none, got "
                f"{what[one['labels']]} on rank {first} and {what[other['labels']]} on rank {rank}"
            )
        if other["weights"] != one["weights"]:
            has, not_ = (first, rank) if one["weights"] else (rank, first)
            raise ValueError(
                f"weights of the rows of {x_name} must be given on all ranks that have rows or on "
                f"none, got them on rank {has}, and none on rank {not_}"
            )


def own_threads(known: list[dict[str, Any]]) -> int:
    """Return the processors of this machine, divided by the ranks on it."""
    here = MPI.Get_processor_name()
    ranks = sum(bool(one["host"] == here) for one in known)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(int(available or 1) // ranks, 1)


def together(
    channel: Channel, known: list[dict[str, Any]], callback: Any, callback_every: int
) -> tuple[Callable[[EpochInfo], object] | None, int]:
    """Return a callback that asks the callbacks of all ranks, and after how many epochs."""
    every = 0
    for one in known:
        every = gcd(every, one["every"])
    if every == 0:
        return None, 1

    def ask(info: EpochInfo) -> bool:
        answer, status, error = False, WELL, None
        try:
            if callback is not None and info.epoch % callback_every == 0:
                given = callback(info)
                answer = isinstance(given, bool | np.bool_) and bool(given)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except BaseException as raised:
            status, error = FAILED, raised
        mine = np.zeros(HEADER + 1, np.uint8)
        mine[HEADER] = answer
        heard = channel.gather(mine, [HEADER + 1] * channel.size, "the callbacks return", status)
        if error is not None:
            channel.explain(f"{type(error).__name__} in its callback: {error}")
            raise shared(error)
        return any(bool(one[0]) for one in heard)

    return ask, every


def share(
    channel: Channel,
    net: Network,
    mine: Mine | None,
    known: list[dict[str, Any]],
    class_weight: object,
) -> tuple[Data, Data | None]:
    """Return the rows to learn from, and those to be judged by."""
    assert mine is not None
    data = data_of(channel, net, mine, known)
    other = None
    if mine.others is not None:
        other = data_of(channel, net, mine.others, [one["others"] for one in known])
    if class_weight is not None:
        balance(data, mine.classes, class_weight)
    if data.weighted:
        own = 0.0 if data.weights is None else float(data.weights.max(initial=0.0))
        largest = max(float(text) for text in channel.texts(repr(own)))
        if largest == math.inf:
            raise shared(ValueError("class_weight times sample_weight is too large for a float"))
        if largest == 0.0:
            raise shared(
                ValueError(
                    "sample_weight holds nothing but zeros on all ranks; one must be positive"
                )
            )
    return data, other


def data_of(channel: Channel, net: Network, mine: Mine, known: list[dict[str, Any]]) -> Data:
    """Return the rows of all ranks, of whose types those that travel can hold all."""
    there = [one for one in known if one["n"]]
    labels, weighted = there[0]["labels"], there[0]["weights"]
    x_type, y_type = (np.result_type(*{one[name] for one in there}) for name in ("x", "y"))
    # As C reads them: a double for each, whatever they are.
    x_type = x_type if len({one["x"] for one in there}) == 1 else np.dtype(np.float64)
    if len({one["y"] for one in there}) > 1:
        y_type = np.dtype(np.int64) if labels else np.dtype(np.float64)
    x, y = mine.x, mine.y
    if x is None or y is None:
        x = np.empty((0, net.layers[0]), x_type)
        y = np.empty((0,) if labels else (0, net.layers[-1]), y_type)
    # The types are of what travels; here rows lie as they are.
    data = Data(
        channel,
        net,
        _tree.Shards.of(one["n"] for one in known),
        x,
        y,
        mine.weights,
        weighted,
        labels,
        any(one["missing"] for one in known),
    )
    if x.dtype != x_type or y.dtype != y_type:
        data.x, data.y = x.astype(x_type), y.astype(y_type)
    return data


def balance(data: Data, classes: NDArray[np.intp], class_weight: object) -> None:
    """Give each row the weight of its class, by the classes of all ranks."""
    counts = np.bincount(classes, minlength=max(data.net.layers[-1], 2))
    of_all = np.sum([json.loads(text) for text in data.channel.texts(str(counts.tolist()))], axis=0)
    try:
        by_class = _problem.weights_of_classes(class_weight, of_all)[classes]
    except (TypeError, ValueError) as error:  # the same on all ranks
        raise shared(error) from None
    with np.errstate(over="ignore", under="ignore"):
        data.weights = by_class if data.weights is None else data.weights * by_class
    data.weighted = True
