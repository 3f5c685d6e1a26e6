"""The commands behind the command line: each takes the parsed arguments and prints its result.

What is wrong with data, files or training raises ValueError or OSError, which name the file;
`args.usage_error` ends the program where it takes the data to see that an argument is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deltaloop as dl
from deltaloop import _datafiles, _files
from deltaloop._datafiles import Data, Label
from deltaloop._scaling import Scaling, fit, r2, split
from deltaloop._solver_arguments import fit_arguments
from deltaloop.datasets import load_digits
from deltaloop.losses import Loss
from deltaloop.schedules import Schedule
from deltaloop.solvers import Solver

__all__ = ["info", "predict", "train"]


def train(args: argparse.Namespace) -> None:
    _check_output(args)
    data = _datafiles.digits() if args.data == "digits" else _datafiles.training(args.data)
    rows, held_out = split(len(data.X), args.test_fraction, args.seed)
    if len(rows) < 2:
        raise ValueError(
            f"{data.name}: {len(data.X)} rows are too few to train on some and hold out "
            f"{args.test_fraction:g} of them"
        )
    arguments = fit_arguments(args, len(rows), data.name)
    network = _network(data, args, _loss(data, args))
    result = _fit(network, data, rows, arguments | _problem(args, data))
    report = {
        "task": data.task,
        "data": data.name,
        "n_train": len(rows),
        "n_test": len(held_out),
        **_description(network),
        "solver": _solver_report(result.solver),
        "epochs": result.epochs,
        "cost": result.cost,
        "seconds": result.seconds,
        "stop_reason": result.stop_reason,
        **_stages_report(result),
        _score_name(data.task): _score(network, data, held_out),
        "isa": dl.runtime()["isa"],
        "version": dl.__version__,
        "classes": data.classes,
        "model": args.output_model,
    }
    if args.output_model is not None:
        network.save(args.output_model, metadata=_metadata(data))
    print(_json(report) if args.json else _train_text(data, report))


def _check_output(args: argparse.Namespace) -> None:
    """Refuse a file that could not be saved, before time is spent on training."""
    path = args.output_model
    if path is None:
        return
    directory = os.path.dirname(path) or "."
    if path == "" or os.path.isdir(path):
        args.usage_error(f"argument --output-model: expected the name of a file, got {path!r}")
    if not os.path.isdir(directory):
        args.usage_error(f"argument --output-model: there is no directory {directory!r}")
    if not os.access(directory, os.W_OK):
        args.usage_error(f"argument --output-model: cannot write to directory {directory!r}")


def _loss(data: Data, args: argparse.Namespace) -> Loss:
    """Return the loss that was asked for, if it goes with the data, or the usual one."""
    usual = "squared_error" if data.classes is None else "cross_entropy"
    name: str = args.loss or usual
    if (name == "cross_entropy") != (data.classes is not None):
        kind = "values (floats in y)" if data.classes is None else "classes (no floats in y)"
        args.usage_error(f"argument --loss: {name} does not go with {kind}, which {data.name} has")
    value = args.loss_parameter
    if name == "poisson" and data.y.min() < 0:
        raise ValueError(f"{data.name}: y holds {data.y.min()}; counts for poisson are at least 0")
    if value is None:
        return name
    if name not in ("huber", "quantile") or (name == "quantile" and value >= 1):
        expected = "a number below 1 for quantile" if name == "quantile" else "huber or quantile"
        args.usage_error(f"argument --loss-parameter: expected {expected}, got {value:g}")
    return dl.Huber(value) if name == "huber" else dl.Quantile(value)


def _network(data: Data, args: argparse.Namespace, loss: Loss) -> dl.Network:
    m_in = data.X.shape[1]
    m_out = data.y.shape[1] if data.classes is None else len(data.classes)
    if args.residual and args.hidden[:1] == (m_in,):
        args.usage_error(
            f"argument --residual: the first hidden layer must not be as wide as the {m_in} inputs "
            f"of {data.name}, which would skip it as they are: a model contains their scaling"
        )
    return dl.Network(
        [m_in, *args.hidden, m_out],
        activation=args.activation,
        output="identity" if data.classes is None and loss != "poisson" else None,
        loss=loss,
        residual=args.residual,
        init=args.init,
        seed=args.seed,
    )


def _problem(args: argparse.Namespace, data: Data) -> dict[str, Any]:
    """Return the arguments of `Network.fit` that say what is minimised, and when to stop."""
    if args.class_weight is not None and data.classes is None:
        args.usage_error(f"argument --class-weight: {data.name} has values, not classes")
    if args.patience is not None and args.validation is None:
        args.usage_error("argument --patience: it needs --validation")
    dropout = args.dropout[0] if len(args.dropout) == 1 else args.dropout
    names = ("l1", "l2", "class_weight", "validation", "patience", "tol", "goal", "max_time")
    return {name: getattr(args, name) for name in names} | {
        "dropout": dropout,
        "n_threads": args.threads,
    }


def _fit(
    network: dl.Network,
    data: Data,
    rows: NDArray[np.intp],
    arguments: dict[str, Any],
) -> dl.FitResult:
    """Train on scaled columns and fold the scaling into the network."""
    X, y = data.X[rows], data.y[rows]
    # A constant input teaches nothing. Scaled by infinity it is 0 in training, and folding turns
    # its weights, which are still the random ones, into 0.
    inputs = data.scaling or Scaling.of(X, f"X in {data.name}", constant=math.inf)
    outputs = Scaling.of(y, f"y in {data.name}") if network.output == "identity" else None
    return fit(network, X, y, inputs, outputs, arguments | _progress())


def _progress() -> dict[str, bool]:
    return {"progress": find_spec("tqdm") is not None}


def _score(network: dl.Network, data: Data, rows: NDArray[np.intp]) -> float:
    X, y = data.X[rows], data.y[rows]
    if data.classes is None:
        return r2(y, network.predict(X))
    return float(np.mean(network.classify(X) == y))


def _score_name(task: str) -> str:
    return "accuracy" if task == "classification" else "r2"


def _score_label(task: str) -> str:
    return "accuracy" if task == "classification" else "R^2"


def _score_text(score: float, rows: str) -> str:
    return f"{score:.4f} on {rows}" if math.isfinite(score) else f"undefined on {rows}"


def _metadata(data: Data) -> dict[str, str]:
    entries = {"task": data.task}
    if data.classes is not None:
        entries["classes"] = json.dumps(data.classes)
    return entries


def _description(network: dl.Network) -> dict[str, Any]:
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


def _layers_text(description: Mapping[str, Any]) -> str:
    sizes = "-".join(map(str, description["layers"]))
    names = ", ".join([*dict.fromkeys(description["activation"]), description["output"]])
    kind = ", residual" if description["residual"] else ""
    return f"{sizes} ({names}{kind}), {description['n_parameters']} parameters"


def _train_text(data: Data, report: Mapping[str, Any]) -> str:
    n, m = data.X.shape
    target = (
        f"{data.y.shape[1]} output{'s' * (data.y.shape[1] > 1)}"
        if data.classes is None
        else f"{len(data.classes)} classes"
    )
    units = ", in standardised units" if report["output"] == "identity" else ""
    rows = {
        "data": f"{data.name}: {n} rows, {m} inputs, {target}",
        "rows": f"{report['n_train']} to train on, {report['n_test']} held out",
        "layers": _layers_text(report),
        "solver": _solver_text(report["solver"]),
        "seed": report["seed"],
        "epochs": f"{report['epochs']}, stopped by {report['stop_reason']}",
        "cost": f"{report['cost']:.6g} ({report['loss']}, sum over the training rows{units})",
        **_validation_text(report),
        "seconds": f"{report['seconds']:.2f} ({report['isa']})",
        _score_label(data.task): _score_text(report[_score_name(data.task)], "the held-out rows"),
        "model": report["model"] or "not saved; --output-model PATH saves it",
    }
    return _table(rows)


def _validation_text(report: Mapping[str, Any]) -> dict[str, str]:
    if "best_epoch" not in report:
        return {}
    cost, epoch = report["validation_cost"], report["best_epoch"]
    return {"validation": f"{cost:.6g}; lowest after epoch {epoch}"}


def _solver_report(solver: Solver | tuple[Solver, ...]) -> Any:
    """Return the name and the options of a solver, or of each one in a chain."""
    if isinstance(solver, tuple):
        return [_solver_report(part) for part in solver]
    return {"name": type(solver).__name__, **_options(solver)}


def _stages_report(result: dl.FitResult) -> dict[str, Any]:
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


def _solver_text(solver: Any) -> str:
    if isinstance(solver, list):
        return "; then ".join(map(_solver_text, solver))
    shown = ("learning_rate", "momentum", "batch_size", "weight_decay")
    options = [
        f"{key.replace('_', ' ')} {_option_text(solver[key])}" for key in shown if key in solver
    ]
    return ", ".join([solver["name"], *options])


def _option_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['learning_rate']:g} ({value['name']})"
    return "none" if value is None else f"{value:g}"


def _table(rows: Mapping[str, Any]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _json(value: Mapping[str, Any]) -> str:
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


def predict(args: argparse.Namespace) -> None:
    network = dl.load(args.model)
    classes = _classes(args.model, network)
    task = _task(network, classes)
    if args.file == "digits":
        arrays = dict(zip("Xy", load_digits(), strict=True))
    else:
        arrays = _datafiles.read(args.file, ["X"], ["y"])
    X = _datafiles.inputs(args.file, arrays["X"])
    if X.shape[1] != network.layers[0]:
        raise ValueError(
            f"{args.file}: X has {X.shape[1]} columns, the model takes {network.layers[0]} inputs"
        )
    outputs = np.asarray(network.predict(X) if task == "regression" else network.classify(X))
    predictions = outputs.tolist() if classes is None else [classes[i] for i in outputs]
    report = {"task": task, "model": args.model, "n": len(X), "predictions": predictions}
    if "y" in arrays:
        report[_score_name(task)] = _file_score(args.file, arrays["y"], outputs, task, classes)
    if args.json:
        print(_json(report))
        return
    for prediction in predictions:
        print(*prediction if isinstance(prediction, list) else [prediction])
    if "y" in arrays:
        text = _score_text(report[_score_name(task)], f"{len(X)} rows")
        print(f"{_score_label(task)} {text}", file=sys.stderr)


def _task(network: dl.Network, classes: Sequence[Label] | None) -> str:
    entropy = network.loss in ("cross_entropy", "binary_cross_entropy")
    return "classification" if entropy or classes is not None else "regression"


def _classes(path: str, network: dl.Network) -> list[Label] | None:
    """Return the labels that the model file gives to the classes, None if it gives none."""
    text = _files.read_metadata(path).get("classes")
    if text is None:
        return None
    m_out = network.layers[-1]
    if network.loss == "binary_cross_entropy" and m_out > 1:
        return None  # independent outputs are no classes
    n_classes = 2 if m_out == 1 else m_out
    try:
        classes = json.loads(text)
    except (ValueError, RecursionError):
        classes = None
    if not (
        isinstance(classes, list)
        and len(classes) == n_classes
        and all(isinstance(label, Label) for label in classes)
    ):
        raise ValueError(
            f"{path}: expected metadata classes to be a JSON list of {n_classes} labels"
        )
    return classes


def _file_score(
    path: str,
    y: NDArray[Any],
    outputs: NDArray[Any],
    task: str,
    classes: Sequence[Label] | None,
) -> float:
    n = len(outputs)
    if task == "regression":
        targets = _datafiles.values(path, y, n)
        if targets.shape != outputs.shape:
            raise ValueError(
                f"{path}: y has {targets.shape[1]} columns, the model gives {outputs.shape[1]}"
            )
        return r2(targets, outputs)
    if classes is None:
        if y.shape != outputs.shape:
            raise ValueError(f"{path}: y must have shape {outputs.shape}, got {y.shape}")
        return float(np.mean((y == outputs).reshape(n, -1).all(axis=1)))
    labels = _datafiles.labels(path, y, n)
    if isinstance(classes[0], str) != (labels.dtype.kind == "U"):
        raise ValueError(
            f"{path}: y has dtype {y.dtype}, the model's classes are like {classes[0]!r}"
        )
    return float(
        np.mean([classes[i] == label for i, label in zip(outputs, labels.tolist(), strict=True)])
    )


def info(args: argparse.Namespace) -> None:
    report = dl.runtime() if args.model is None else _model_report(args.model)
    print(_json(report) if args.json else _table({key: _flat(report[key]) for key in report}))


def _model_report(path: str) -> dict[str, Any]:
    network = dl.load(path)
    return {
        "model": path,
        "bytes": os.path.getsize(path),
        **_description(network),
        "metadata": _files.read_metadata(path),
    }


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
