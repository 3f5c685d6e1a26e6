"""What the commands of the command line print, as text or as one JSON object."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from numpy.typing import NDArray

import deltaloop as dl
from deltaloop.cli._predictions import measures_text
from deltaloop.cli._streams import note, say
from deltaloop.cli._table_files import text_of
from deltaloop.schedules import Schedule
from deltaloop.solvers import Solver

__all__ = [
    "aligned",
    "description",
    "fit_report",
    "flat",
    "layers_text",
    "print_predictions",
    "score_label",
    "score_name",
    "score_text",
    "solver_report",
    "solver_text",
    "stages_report",
    "to_json",
    "validation_text",
]


def score_name(task: str) -> str:
    return "accuracy" if task == "classification" else "r2"


def score_label(task: str) -> str:
    return "accuracy" if task == "classification" else "R^2"


def score_text(score: float | None, rows: str) -> str:
    if score is None:
        return "none held out"
    if rows == "1 row" and math.isnan(score):
        return "of 1 row: too few rows to measure"
    return f"{score:.4f} on {rows}" if math.isfinite(score) else f"undefined on {rows}"


def description(network: dl.Network) -> dict[str, Any]:
    return {
        "layers": list(network.layers),
        "activation": list(network.activation),
        "output": network.output,
        "loss": str(network.loss),
        "residual": network.residual,
        "init": None if network.init is None else str(network.init),
        "seed": network.seed,
        "n_parameters": network.n_parameters,
    }


def fit_report(network: dl.Network, result: dl.FitResult) -> dict[str, Any]:
    """Return what there is to say about a network and its training."""
    return {
        **description(network),
        "solver": solver_report(result.solver),
        "epochs": result.epochs,
        "cost": result.cost,
        "seconds": result.seconds,
        "stop_reason": result.stop_reason,
        **({} if result.choice is None else {"l2": result.l2, "choice": result.choice}),
        **stages_report(result),
    }


def layers_text(description: Mapping[str, Any]) -> str:
    sizes = "-".join(map(str, description["layers"]))
    names = ", ".join([*dict.fromkeys(description["activation"]), description["output"]])
    kind = ", residual" if description["residual"] else ""
    return f"{sizes} ({names}{kind}), {description['n_parameters']} parameters"


def validation_text(report: Mapping[str, Any]) -> dict[str, str]:
    if "best_epoch" not in report:
        return {}
    cost, epoch = report["validation_cost"], report["best_epoch"]
    return {"validation": f"{cost:.6g}; lowest after epoch {epoch}"}


def solver_report(solver: Solver | tuple[Solver, ...]) -> Any:
    """Return the name and the options of a solver, or of each one in a chain."""
    if isinstance(solver, tuple):
        return [solver_report(part) for part in solver]
    return {"name": type(solver).__name__, **_options(solver)}


def stages_report(result: dl.FitResult) -> dict[str, Any]:
    """Return what a chain of solvers and held-back rows add to the report."""
    report: dict[str, Any] = {}
    if len(result.stages) > 1:
        report["stages"] = [
            {
                "solver": type(stage.solver).__name__,
                "epochs": stage.epochs,
                "stop_reason": stage.stop_reason,
                "cost": stage.cost,
                "seconds": stage.seconds,
            }
            for stage in result.stages
        ]
    if result.best_epoch is not None:
        report["validation_cost"] = result.validation_cost
        report["best_epoch"] = result.best_epoch
    return report


def _options(value: Any) -> dict[str, Any]:
    """Return the fields of a solver; its learning rate may be a schedule with fields of its own."""
    options = {f.name: getattr(value, f.name) for f in fields(value)}
    return {
        name: {"name": type(option).__name__, **_options(option)}
        if isinstance(option, Schedule)
        else option
        for name, option in options.items()
    }


def solver_text(solver: Any) -> str:
    if isinstance(solver, list):
        return "; then ".join(map(solver_text, solver))
    shown = ("learning_rate", "momentum", "batch_size", "weight_decay")
    options = [
        f"{key.replace('_', ' ')} {_option_text(solver[key])}" for key in shown if key in solver
    ]
    return ", ".join([solver["name"], *options])


def _option_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['learning_rate']:g} ({value['name']})"
    return "none" if value is None else f"{value:g}"


def aligned(rows: Mapping[str, Any]) -> str:
    """Return names and values in two columns; a value may have several lines."""
    width = max(map(len, rows))
    gap = "\n" + " " * (width + 2)
    return "\n".join(
        f"{name:<{width}}  {str(value).replace(chr(10), gap)}" for name, value in rows.items()
    )


def to_json(value: Mapping[str, Any]) -> str:
    """Return one JSON object; numbers that JSON lacks (NaN, infinities) become null."""
    return json.dumps(_jsonable(value), allow_nan=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def print_predictions(
    args: argparse.Namespace,
    report: Mapping[str, Any],
    columns: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Print predictions, one a line, and a score, if there is one, on the standard error.

    With `columns` the lines of a CSV file that has them, with their names above.
    """
    if args.json:
        say(to_json(report))
        return
    if args.output is None and columns is not None:
        say(text_of(columns))
    elif args.output is None:
        for prediction in report["predictions"]:
            values = prediction if isinstance(prediction, list) else [prediction]
            say(" ".join(map(str, values)))
    task = report["task"]
    if score_name(task) in report:
        n = report.get("n_with_target", report["n"])
        text = score_text(report[score_name(task)], "1 row" if n == 1 else f"{n:,} rows")
        note(f"{score_label(task)} {text}{measures_text(report)}")
