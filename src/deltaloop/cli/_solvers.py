"""What the command line says of a fit: solvers as it names them, what is minimised, when to stop.

The solvers are --solver, --option, --schedule and their shortcuts; all else has the names that
`Network.fit` gives it.
"""

from __future__ import annotations

import argparse
from dataclasses import MISSING, fields
from typing import Any

from deltaloop._losses import WITH_PARAMETER
from deltaloop.schedules import SCHEDULES, Schedule
from deltaloop.solvers import SOLVERS, Solver

__all__ = [
    "AUTO",
    "BATCH_SIZE",
    "EPOCHS",
    "MOMENTUM",
    "RATE_PER_INSTANCE",
    "SCHEDULES",
    "SOLVERS",
    "check_class_weight",
    "check_loss_parameter",
    "check_patience",
    "fit_arguments",
    "fit_options",
]

# Defaults for data nobody has seen yet. With 64 tanh units, momentum 0.9 and a rate of 0.05 an
# instance, none of 17 data sets diverged (20 to 2,000 rows, 1 to 784 inputs, heavy-tailed and
# noisy ones, both tasks); with relu at that rate two did, with tanh at 0.2 five.
RATE_PER_INSTANCE = 0.05
BATCH_SIZE = 32
MOMENTUM = 0.9
EPOCHS = 100

# What --solver calls `fit` without a solver.
AUTO = "auto"


def fit_arguments(args: argparse.Namespace, n: int, name: str) -> dict[str, Any]:
    """Return ``solver`` and ``max_epochs`` of `Network.fit`, to train on n rows of the data `name`.

    What is wrong with them ends the program by ``args.usage_error``.
    """
    if args.solver == [AUTO]:
        for flag in ("option", "schedule", "learning_rate", "momentum", "batch_size"):
            if getattr(args, flag):
                args.usage_error(f"argument --{flag.replace('_', '-')}: --solver {AUTO} has none")
        if args.epochs is not None and len(args.epochs) > 1:
            args.usage_error(f"argument --epochs: --solver {AUTO} takes one number")
        return {"solver": None, "max_epochs": args.epochs and args.epochs[0]}
    epochs = args.epochs or [EPOCHS]
    if len(epochs) == 1:
        epochs = epochs * len(args.solver)
    if len(epochs) != len(args.solver):
        args.usage_error(
            "argument --epochs: expected one number, or one for each solver, "
            f"{len(args.solver)}, got {len(epochs)}"
        )
    chain = _solvers(args, epochs, n, name)
    if len(chain) == 1:
        return {"solver": chain[0], "max_epochs": epochs[0]}
    return {"solver": chain, "max_epochs": epochs}


def fit_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the other arguments of `Network.fit`: what is minimised, and when to stop."""
    names = ["l1", "l2", "class_weight", "validation", "patience", "tol", "goal", "max_time"]
    names += ["checkpoint", "checkpoint_every", "resume"]
    return {name: getattr(args, name) for name in names} | {
        "dropout": args.dropout[0] if len(args.dropout) == 1 else args.dropout,
        "n_threads": args.threads,
    }


def check_class_weight(args: argparse.Namespace, name: str, classes: object) -> None:
    """Refuse weights of classes for data that have none."""
    if args.class_weight is not None and classes is None:
        args.usage_error(f"argument --class-weight: {name} has values, not classes")


def check_loss_parameter(args: argparse.Namespace) -> None:
    """Refuse a parameter for a loss that has none."""
    if args.loss not in WITH_PARAMETER:
        args.usage_error(
            f"argument --loss-parameter: expected {' or '.join(WITH_PARAMETER)}, "
            f"got {args.loss_parameter:g}"
        )


def check_patience(args: argparse.Namespace) -> None:
    """Refuse patience with nothing to watch."""
    if args.patience is not None and args.validation is None:
        args.usage_error("argument --patience: it needs --validation")


def _solvers(args: argparse.Namespace, epochs: list[int], n: int, name: str) -> list[Solver]:
    kinds = [SOLVERS[part] for part in args.solver]
    known = {field for kind in kinds for field in _names(kind)}
    options = dict(args.option)
    for option in ("learning_rate", "momentum", "batch_size"):
        value = getattr(args, option)
        if value is not None and option in options:
            args.usage_error(f"argument --option: {option} is given twice")
        if value is not None:
            _check_known(args, f"--{option.replace('_', '-')}", option, known)
            options[option] = value
    for option in options:
        _check_known(args, "--option", option, known)
    if args.batch_size is not None and args.batch_size > n:
        args.usage_error(
            f"argument --batch-size: expected at most the {n} training rows of {name}, "
            f"got {args.batch_size}"
        )
    if args.schedule is not None and "learning_rate" not in known:
        args.usage_error(f"argument --schedule: --solver {','.join(args.solver)} has no rates")
    return [
        _solver(args, kind, options, n, limit) for kind, limit in zip(kinds, epochs, strict=True)
    ]


def _names(kind: type[Solver]) -> list[str]:
    return [field.name for field in fields(kind)]  # type: ignore[arg-type]


def _needed(kind: type[Solver | Schedule]) -> set[str]:
    """Return the parameters that have no default."""
    return {field.name for field in fields(kind) if field.default is MISSING}  # type: ignore[arg-type]


def _check_known(args: argparse.Namespace, flag: str, option: str, known: set[str]) -> None:
    if option not in known:
        what = "none" if flag != "--option" else f"no {option}"
        args.usage_error(f"argument {flag}: --solver {','.join(args.solver)} has {what}")


def _solver(
    args: argparse.Namespace, kind: type[Solver], given: dict[str, Any], n: int, epochs: int
) -> Solver:
    """Return one solver, with the options that it has and the command line's own defaults."""
    options = {option: value for option, value in given.items() if option in _names(kind)}
    if "batch_size" in _names(kind):
        batch_size = options.setdefault("batch_size", min(BATCH_SIZE, n))
        if "learning_rate" in _needed(kind):
            size = batch_size if isinstance(batch_size, int) and batch_size > 0 else n
            options.setdefault("learning_rate", RATE_PER_INSTANCE / size)
            if "momentum" in _names(kind):
                options.setdefault("momentum", MOMENTUM)
    try:
        if args.schedule is not None and "learning_rate" in _names(kind):
            rate = options.get("learning_rate", getattr(kind, "learning_rate", None))
            options["learning_rate"] = _schedule(args, rate, epochs)
        return kind(**options)
    except (TypeError, ValueError) as error:
        args.usage_error(f"argument --option: {error}")
        raise AssertionError from error  # usage_error does not return


def _schedule(args: argparse.Namespace, rate: Any, epochs: int) -> Schedule:
    """Return the schedule, which a cosine ends with the last epoch."""
    name, options = args.schedule
    if name == "cosine":
        options = {"epochs": epochs, **options}
    kind = SCHEDULES[name]
    known = {field.name: field.default is MISSING for field in fields(kind)}
    del known["learning_rate"]
    for option in options:
        if option not in known:
            args.usage_error(f"argument --schedule: {name} has no {option}")
    for option, needed in known.items():
        if needed and option not in options:
            args.usage_error(f"argument --schedule: {name} needs {option}: {name},{option}=VALUE")
    try:
        return kind(rate, **options)
    except (TypeError, ValueError) as error:
        args.usage_error(f"argument --schedule: {error}")
        raise AssertionError from error  # usage_error does not return
