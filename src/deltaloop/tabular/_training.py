"""Training on a table, step by step: prepare its columns, make the network, train, measure."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars, _scaling, _scores, _splits
from deltaloop._fit import choice as _choice
from deltaloop._fit.frames import callers
from deltaloop._fit.progress import Stages
from deltaloop._losses import LOSSES, of_task
from deltaloop._scaling import Floats, Scaling
from deltaloop.losses import _parts as parts
from deltaloop.network import Network
from deltaloop.results import FitResult, stopped
from deltaloop.tabular import _frames, _identifiers, _provenance, _reading, _report
from deltaloop.tabular._columns import Table
from deltaloop.tabular._fingerprints import Fingerprints
from deltaloop.tabular._given import columns_of, target_of
from deltaloop.tabular._kinds import Ignored, listed
from deltaloop.tabular._options import Options
from deltaloop.tabular._skew import skewed
from deltaloop.tabular._target import Target
from deltaloop.tabular._values import numbers_as_text

__all__ = [
    "OPTIONS",
    "Prepared",
    "make_network",
    "measure",
    "prepare",
    "remarks",
    "score",
    "train",
    "warn",
]

# Updates by mini-batches at least, where nobody gives epochs or a solver: tables of a few thousand
# rows gain from four times those that `Network.fit` takes (benchmarks/tables.py; R^2 of Computers
# 0.893 instead of 0.886), and more bring nothing.
UPDATES = 10_000

# What `Network.fit` takes and a table's model hands on.
OPTIONS = (
    "solver",
    "max_epochs",
    "tol",
    "goal",
    "max_time",
    "callback",
    "callback_every",
    "class_weight",
    "l1",
    "l2",
    "dropout",
    "validation",
    "patience",
    "resume",
    "checkpoint",
    "checkpoint_every",
    "progress",
    "n_threads",
)


@dataclass(frozen=True)
class Prepared:
    """A table that is ready for training.

    X (n, inputs) and y are those of the rows that have a target, whose numbers in the frame are
    `rows`; `train` and `test` are numbers of rows of X.
    """

    table: Table
    target: Target
    ignored: dict[str, Ignored]
    X: Floats
    y: NDArray[Any]
    rows: NDArray[np.intp]
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    n_without_target: int
    dropped: tuple[str, ...]
    seen: tuple[str, ...]
    notices: tuple[str, ...] = ()

    @property
    def n_train(self) -> int:
        """Rows to train on."""
        return len(self.train)

    @property
    def numbers(self) -> tuple[NDArray[np.intp] | None, NDArray[np.intp] | None]:
        """The numbers of the rows to train on in the frame, and those to test on."""
        return self.rows[self.train], self.rows[self.test]

    def fingerprints(self) -> Fingerprints | None:
        """Return the fingerprints of the rows to train on, by which they are known again."""
        return Fingerprints.of(self.X[self.train], self.X[self.test])

    def to_train(self, network: Network) -> tuple[Any, Any, Scaling, Scaling | None]:
        """Return inputs and targets to train on, and how they are scaled."""
        X, y = self.X[self.train], self.y[self.train]
        outputs = Scaling.of(y, _called(self.target)) if network.output == "identity" else None
        return X, y, self.table.scaling(X), outputs

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a fit as it takes them."""
        return options


def prepare(
    frame: object,
    target: object,
    drop: object,
    task: str | None,
    fraction: float,
    seed: int,
    options: Options | None = None,
    held: NDArray[np.bool_] | None = None,
) -> Prepared:
    """Read the columns of a frame, split its rows and encode them.

    `held` says which rows of the frame are to be tested on, where they are chosen already.
    """
    found = _frames.frame(frame)
    given = target_of(found, target)
    names, single = list(given.columns), given.single
    dropped = columns_of(found, "drop", [drop] if isinstance(drop, str) else drop)
    without = set(dropped)
    both = [name for name in names if name in without]
    if both:
        raise ValueError(f"drop names the target column {both[0]!r}")
    options = options or Options()
    for name, listed_there in (("text", options.text), ("keep", options.keep)):
        columns_of(found, name, listed_there)
    without.update(names)
    others = [name for name in found.columns if name not in without]
    read = _reading.of_table(
        given.columns | {name: _frames.column(found[name]) for name in others}, names, options
    )
    columns, notices = read.columns, list(read.notices)
    known = Target.of([columns[name] for name in names], single, task)
    columns |= known.typed(columns)
    y, rows = known.encode(columns)
    n, unused = len(rows), len(found) - len(rows)
    if held is not None:
        train, test = np.flatnonzero(~held[rows]), np.flatnonzero(held[rows])
    elif fraction == 0.0:
        train, test = _splits.shuffled(n, seed, 1), np.empty(0, dtype=np.intp)
    elif known.classes is None:
        train, test = _splits.split(n, fraction, seed)
    else:
        train, test = _splits.split_classes(y, fraction, seed)
    if len(train) < 2 or (fraction > 0.0 and not len(test)):
        verb = "has" if n == 1 else "have"
        what = f" that {verb} a {'target' if single else 'value of each target'}" if unused else ""
        raise _splits.too_few(n, fraction, what)
    whole = {name: columns[name] for name in others}
    ids = _identifiers.found(whole, options.keep)
    notices += [
        f"column {name!r} {why}, and is left out; {options.option('keep', name)} keeps it"
        for name, why in ids.items()
    ]
    inputs = [values.take(rows) for name, values in whole.items() if name not in ids]
    table, ignored = Table.of(inputs, train)
    for name, why in ignored.items():
        if why.advice:
            hint = numbers_as_text(whole[name])
            ignored[name] = replace(why, reason=why.reason + hint)
    ignored = {name: Ignored(why) for name, why in ids.items()} | ignored
    if not table.columns:
        reasons = "; ".join(f"{name!r} is {why.reason}" for name, why in ignored.items())
        raise ValueError(f"no column is left to learn from{': ' if reasons else ''}{reasons}")
    X = table.encode({values.name: values for values in inputs})
    seen, told = tuple(others), tuple(notices)
    return Prepared(
        table, known, ignored, X, y, rows, train, test, unused, tuple(dropped), seen, told
    )


def make_network(data: Prepared, options: Mapping[str, Any], seed: int) -> Network:
    """Make the network that `options` and the table ask for."""
    hidden, loss = options["hidden"], options["loss"]
    widths = list(hidden) if _scalars.is_list(hidden) else [hidden]
    allowed = of_task("regression" if data.target.classes is None else "classification")
    usual = allowed[0]
    name = parts(usual if loss is None else loss)[0]
    if name not in allowed:
        what = "values" if data.target.classes is None else "classes"
        raise ValueError(
            f"loss {name} does not go with {what}, which {_called(data.target)} has; expected "
            f"{', '.join(allowed)}"
        )
    if LOSSES[name].targets == "counts" and data.y.min() < 0:
        raise ValueError(
            f"{_called(data.target)} holds {data.y.min():g}; counts for {name} are at least 0"
        )
    if options["residual"] and widths[:1] == [data.table.n_inputs]:
        raise ValueError(
            f"residual: the first hidden layer must not be as wide as the {data.table.n_inputs} "
            "inputs, which would skip it as they are: a model contains their scaling"
        )
    return Network(
        [data.table.n_inputs, *widths, data.target.n_outputs],
        activation=options["activation"],
        output=None if LOSSES[name].default else "identity",
        loss=usual if loss is None else loss,
        residual=options["residual"],
        init=options["init"],
        seed=seed,
    )


def train(
    data: Prepared, network: Network, seed: int, options: Mapping[str, Any]
) -> tuple[FitResult, dict[str, Any]]:
    """Train a network and measure it; what was found."""
    began = time.perf_counter()
    options = {name: value for name, value in options.items() if value is not None}
    if "class_weight" in options:
        options["class_weight"] = _class_weight(options["class_weight"], data.target)
    options = data.check(options)
    X, y, inputs, outputs = data.to_train(network)
    if "solver" not in options and "max_epochs" not in options:
        options |= _epochs(network, data.n_train, options)
    stages = options.get("progress")
    if not isinstance(stages, Stages):
        stages = Stages()
        if not options.get("progress"):
            options["progress"] = stages
    result = _scaling.fit(network, X, y, inputs, outputs, options)
    stages.stage("measuring")
    found = {
        "task": data.target.task,
        "target": data.target.names[0] if data.target.single else list(data.target.names),
        "n_train": data.n_train,
        "n_test": len(data.test),
        "n_without_target": data.n_without_target,
        "epochs": result.epochs,
        "cost": result.cost,
        "l2": result.l2,
        "seconds": time.perf_counter() - began,
        "stop_reason": result.stop_reason,
        "stopped": stopped(result),
        "date": _provenance.today(),
        "version": _core.__version__,
    }
    try:
        found |= measure(network, data, options.get("class_weight") is not None)
    except KeyboardInterrupt as interrupt:
        interrupt.result, interrupt.network = result, network  # type: ignore[attr-defined]
        raise
    stages.end()
    return result, found | {"times": stages.times}


def _epochs(network: Network, n: int, options: Mapping[str, Any]) -> dict[str, int]:
    """Return the epochs that make enough updates, where n rows are learned by mini-batches."""
    dropout = bool(np.any(options.get("dropout", 0.0)))
    l1, l2 = (float(options.get(name, 0.0) or 0.0) for name in ("l1", "l2"))
    solver, usual = _choice.choose(network, n, l1=l1, l2=l2, dropout=dropout)
    if solver.batch_size is None:
        return {}
    return {"max_epochs": max(usual, -(-UPDATES // -(-n // solver.batch_size)))}


def measure(network: Network, data: Prepared, weighted: bool) -> dict[str, Any]:
    """Return what the rows held out say of a network, beside the simplest guess."""
    X, y, classes = data.X[data.test], data.y[data.test], data.target.classes
    shape = (0, data.target.n_outputs)
    outputs = network.predict(X) if len(X) else np.empty(shape)
    guess = None
    if classes is not None:
        guess = np.asarray(network.classify(X)) if len(X) else np.empty(0, np.intp)
    learned, names = data.y[data.train], data.target.names
    found = _report.measure(learned, y, outputs, guess, classes, names, weighted)
    name = "r2" if classes is None else "accuracy"
    return {name: found["metrics"][name], **found}


def remarks(data: Prepared, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report says of the table and of the options that were given."""
    classes, names = data.target.classes, data.target.names
    weighted = given.get("class_weight") is not None
    told = _report.warnings_of(data.y, classes, names, given["task"], weighted)
    if classes is None and given["loss"] is None:
        told += skewed(data.y, names)
    return {
        "warnings": told,
        "ignored": {name: ignored.reason for name, ignored in data.ignored.items()},
        "options": _provenance.options(given),
    }


def score(network: Network, X: Floats, y: NDArray[Any]) -> float:
    """Return R^2 of values (n, k), or the share of right class numbers (n,)."""
    if y.ndim == 2:
        return _scores.r2(y, network.predict(X))
    return float(np.mean(network.classify(X) == y))


def warn(data: Prepared) -> None:
    """Tell how text was read, and which columns are ignored though they hold something."""
    if data.notices:
        warnings.warn("\n".join(data.notices), stacklevel=callers())
    for name, ignored in data.ignored.items():
        if ignored.advice:
            warnings.warn(
                f"column {name!r} is ignored: {ignored.reason}; {ignored.advice}; "
                f"drop=[{name!r}] says so without this warning",
                stacklevel=callers(),
            )


def _called(target: Target) -> str:
    return f"target column{'s' * (len(target.names) > 1)} {', '.join(map(repr, target.names))}"


def _class_weight(given: object, target: Target) -> object:
    """Return class numbers in place of labels."""
    if not isinstance(given, Mapping) or target.classes is None:
        return given
    number = {label: i for i, label in enumerate(target.classes)}
    for label in given:
        if label not in number:
            raise ValueError(
                f"class_weight has {label!r}, the classes are {listed(target.classes)}"
            )
    return {number[label]: weight for label, weight in given.items()}
