"""The commands behind the command line: each takes the parsed arguments and prints its result.

What is wrong with data, files or training raises ValueError or OSError, which name the file;
`args.usage_error` ends the program where it takes the data to see that an argument is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deltaloop as dl
from deltaloop._files import strict_json
from deltaloop._files.atomic import is_direct
from deltaloop._files.header import MAX_HEADER_BYTES
from deltaloop._files.model import Notes
from deltaloop._losses import LOSSES, of_task, targets
from deltaloop._scaling import Scaling, fit
from deltaloop._scores import r2
from deltaloop._splits import shuffled, split, too_few
from deltaloop.cli import _npz, _pictures, _table_files, _tables
from deltaloop.cli._npz import Data
from deltaloop.cli._outcome import result_text, told_later, train_text, trouble
from deltaloop.cli._predictions import columns_of
from deltaloop.cli._progress import Progress
from deltaloop.cli._reports import (
    aligned,
    description,
    fit_report,
    flat,
    print_predictions,
    score_name,
    to_json,
)
from deltaloop.cli._signals import save_so_far
from deltaloop.cli._solvers import (
    check_class_weight,
    check_loss_parameter,
    check_patience,
    fit_arguments,
    fit_options,
)
from deltaloop.cli._streams import check, say
from deltaloop.cli._types import check_checkpoint, check_output
from deltaloop.datasets import load_digits
from deltaloop.losses import Loss
from deltaloop.losses import _of_text as of_text
from deltaloop.losses import _parts as parts
from deltaloop.network import _read
from deltaloop.results import stopped
from deltaloop.tabular import TabularModel
from deltaloop.tabular._report import measure, warnings_of
from deltaloop.tabular._target import Label

__all__ = ["info", "predict", "train"]


def train(args: argparse.Namespace) -> None:
    check()
    used = {"the data": args.data}
    check_output(args, "--output-model", args.output_model, used, _table_files.DATA)
    check_output(args, "--plot", args.plot, used | {"--output-model": args.output_model})
    used |= {"--output-model": args.output_model, "--plot": args.plot}
    check_output(args, "--checkpoint", args.checkpoint, used, _table_files.DATA, needed=False)
    check_checkpoint(args)
    if args.plot is not None:
        _pictures.check(args)
    _table_files.check_known(args.data)
    if _table_files.is_table(args.data):
        _tables.train(args)
        return
    for flag in ("target", "task", "drop", *_tables.READING):
        if getattr(args, flag):
            kinds = ", ".join(_table_files.SUFFIXES)
            args.usage_error(
                f"argument --{flag}: it is for tables ({kinds}), {args.data} has no named columns"
            )
    with Progress() as progress:
        report, data = _trained(args, progress)
    report["times"] = progress.times
    text = to_json(report) if args.json else train_text(report, _data_text(data), {}, args.verbose)
    say(text)


def _trained(args: argparse.Namespace, progress: Progress) -> tuple[dict[str, Any], Data]:
    """Read, train, save and draw; return the report and the data."""
    _set_defaults(args)
    progress.stage("reading")
    data = _npz.digits() if args.data == "digits" else _npz.training(args.data)
    n, fraction = len(data.X), args.test_fraction
    rows, held_out = split(n, fraction, args.seed)
    if fraction == 0.0:
        rows, held_out = shuffled(n, args.seed, 1), held_out[:0]
    if len(rows) < 2:
        message = str(too_few(n, fraction)).replace("test_fraction=0", "--test-fraction 0")
        raise ValueError(f"{data.name}: {message}")
    arguments = fit_arguments(args, len(rows), data.name)
    network = _network(data, args, _loss(data, args))
    check_class_weight(args, data.name, data.classes)
    check_patience(args)
    try:
        options = arguments | fit_options(args) | {"progress": progress}
        with told_later():
            result = _fit(network, data, rows, options)
    except KeyboardInterrupt as interrupt:
        save_so_far(args, interrupt, lambda: network.save(args.output_model, _metadata(data)))
        raise
    if args.output_model is not None:
        network.save(args.output_model, metadata=_metadata(data))
    progress.stage("measuring")
    weighted = args.class_weight is not None
    measured = _measured(network, data, rows, held_out, weighted)
    report = {
        "task": data.task,
        "data": data.name,
        "n_train": len(rows),
        "n_test": len(held_out),
        **fit_report(network, result),
        "stopped": stopped(result),
        score_name(data.task): measured["metrics"][score_name(data.task)],
        **measured,
        "warnings": trouble(result)
        + warnings_of(data.y, data.classes, _names(data), data.task, weighted),
        "isa": dl.runtime()["isa"],
        "version": dl.__version__,
        "classes": data.classes,
        "model": args.output_model,
    }
    if args.plot is not None:
        progress.stage("drawing")
        X, y = data.X[held_out], data.y[held_out]
        inputs = {f"input {j}": slice(j, j + 1) for j in range(X.shape[1])}
        _pictures.draw(args.plot, result, network, X, y, data.classes, _names(data), inputs)
    return report, data


def _set_defaults(args: argparse.Namespace) -> None:
    """Set what has another default for tables."""
    args.solver = args.solver or ["gd"]
    args.l2 = 0.0 if args.l2 is None else args.l2
    args.tol = 1e-8 if args.tol is None else args.tol


def _loss(data: Data, args: argparse.Namespace) -> Loss:
    """Return the loss that was asked for, if it goes with the data, or the usual one."""
    allowed = of_task("regression" if data.classes is None else "classification")
    name: str = args.loss or allowed[0]
    if name not in allowed:
        kind = "values (floats in y)" if data.classes is None else "classes (no floats in y)"
        args.usage_error(f"argument --loss: {name} does not go with {kind}, which {data.name} has")
    value = args.loss_parameter
    if LOSSES[name].targets == "counts" and data.y.min() < 0:
        raise ValueError(f"{data.name}: y holds {data.y.min()}; counts for {name} are at least 0")
    if value is None:
        return name
    check_loss_parameter(args)
    most = LOSSES[name].below
    if value >= most:
        args.usage_error(
            f"argument --loss-parameter: expected a number below {most:g} for {name}, got {value:g}"
        )
    return of_text(name, (value,))


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
        output=None if LOSSES[parts(loss)[0]].default else "identity",
        loss=loss,
        residual=args.residual,
        init=args.init,
        seed=args.seed,
    )


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
    return fit(network, X, y, inputs, outputs, arguments)


def _measured(
    network: dl.Network,
    data: Data,
    rows: NDArray[np.intp],
    held_out: NDArray[np.intp],
    weighted: bool,
) -> dict[str, Any]:
    """Return what the rows held out say of the network, beside the simplest guess."""
    X, y = data.X[held_out], data.y[held_out]
    outputs, guess = np.empty((0, network.layers[-1])), np.empty(0, np.intp)
    if len(X):
        outputs = network.predict(X)
        guess = guess if data.classes is None else np.asarray(network.classify(X))
    return measure(data.y[rows], y, outputs, guess, data.classes, _names(data), weighted)


def _names(data: Data) -> list[str]:
    """Return what the outputs of values are called."""
    if data.classes is not None or data.y.shape[1] == 1:
        return ["y"]
    return [f"y.{i}" for i in range(data.y.shape[1])]


def _metadata(data: Data) -> dict[str, str]:
    entries = {"task": data.task}
    if data.classes is not None:
        entries["classes"] = json.dumps(data.classes)
    return entries


def _data_text(data: Data) -> str:
    n, m = data.X.shape
    start = f"{n:,} rows, {m:,} input{'s' * (m != 1)}"
    if data.classes is not None:
        return f"{start}, {len(data.classes)} classes"
    return f"{start}, {data.y.shape[1]} output{'s' * (data.y.shape[1] > 1)}"


def predict(args: argparse.Namespace) -> None:
    check_output(args, "--output", args.output, {"the model": args.model, "the rows": args.file})
    if args.output is not None and not (
        _table_files.is_written(args.output) or is_direct(args.output)
    ):
        kinds = ", ".join(_table_files.WRITTEN)
        args.usage_error(f"argument --output: expected a name that ends in {kinds}")
    if args.only_predictions and args.output is None:
        args.usage_error("argument --only-predictions: it needs --output")
    network, notes = _model(args)
    _table_files.check_known(args.file)
    if notes.of_table:
        model = TabularModel._of(network, notes)
        _tables.predict(args, model.set_params(new_categories=args.new_categories))
        return
    if args.new_categories != "error":
        raise ValueError(f"{args.model}: was trained on arrays, which have no categories")
    if _table_files.is_table(args.file):
        raise ValueError(
            f"{args.model}: was trained on arrays, not on the columns of a table, which "
            f"{args.file} is; it takes a NumPy file with X"
        )
    classes = _classes(args.model, network, notes.user.get("classes"))
    task = _task(network, classes)
    if args.file == "digits":
        arrays = dict(zip("Xy", load_digits(), strict=True))
    else:
        arrays = _npz.read(args.file, ["X"], ["y"])
    X = _npz.inputs(args.file, arrays["X"])
    if X.shape[1] != network.layers[0]:
        raise ValueError(
            f"{args.file}: X has {X.shape[1]} columns, the model takes {network.layers[0]} inputs"
        )
    outputs = np.asarray(network.predict(X) if task == "regression" else network.classify(X))
    p = _probabilities(args, network, X, task) if args.probabilities else None
    predictions = outputs.tolist() if classes is None else [classes[i] for i in outputs]
    report = {"task": task, "model": args.model, "n": len(X), "predictions": predictions}
    if "y" in arrays:
        report[score_name(task)] = _file_score(args.file, arrays["y"], outputs, task, classes)
    labels = range(2 if network.layers[-1] == 1 else network.layers[-1])
    if p is not None:
        report |= {"classes": classes, "probabilities": p.tolist()}
    found = np.array(predictions)
    k = found[0].size
    names = ["y"] if k == 1 else [f"y.{i}" for i in range(k)]
    columns = columns_of(names, found, labels if classes is None else classes, p)
    if args.output is not None:
        _table_files.write(args.output, columns)
    print_predictions(args, report, columns if args.probabilities else None)


def _probabilities(
    args: argparse.Namespace, network: dl.Network, X: NDArray[np.float64], task: str
) -> NDArray[np.float64]:
    """Return the probability of each class, or of each independent output."""
    if task == "regression":
        raise ValueError(f"--probabilities: {args.model} predicts values, which have none")
    p = network.predict(X)
    return np.hstack([1.0 - p, p]) if p.shape[1] == 1 else p


def _model(args: argparse.Namespace) -> tuple[dl.Network, Notes]:
    """Read the model to predict with."""
    try:
        return _read(args.model)
    except ValueError as error:
        if not (_table_files.is_table(args.model) or args.model.endswith((".npz", ".npy"))):
            raise
        raise ValueError(f"{error}; is MODEL the first argument?") from error


def _task(network: dl.Network, classes: Sequence[Label] | None) -> str:
    entropy = targets(network.loss) == "probabilities"
    return "classification" if entropy or classes is not None else "regression"


def _classes(path: str, network: dl.Network, text: str | None) -> list[Label] | None:
    """Return the labels that the model file gives to the classes, None if it gives none."""
    if text is None:
        return None
    m_out = network.layers[-1]
    if network.loss in of_task("labels") and m_out > 1:
        return None  # independent outputs are no classes
    n_classes = 2 if m_out == 1 else m_out
    try:
        classes = strict_json.parse(text, "metadata classes", MAX_HEADER_BYTES)
    except ValueError:
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
        targets = _npz.values(path, y, n)
        if targets.shape != outputs.shape:
            raise ValueError(
                f"{path}: y has {targets.shape[1]} columns, the model gives {outputs.shape[1]}"
            )
        return r2(targets, outputs)
    if classes is None:
        if y.shape != outputs.shape:
            raise ValueError(f"{path}: y must have shape {outputs.shape}, got {y.shape}")
        return float(np.mean((y == outputs).reshape(n, -1).all(axis=1)))
    labels = _npz.labels(path, y, n)
    if isinstance(classes[0], str) != (labels.dtype.kind == "U"):
        raise ValueError(
            f"{path}: y has dtype {y.dtype}, the model's classes are like {classes[0]!r}"
        )
    return float(
        np.mean([classes[i] == label for i, label in zip(outputs, labels.tolist(), strict=True)])
    )


def info(args: argparse.Namespace) -> None:
    report: dict[str, Any] = {**dl.runtime()} if args.model is None else _model_report(args.model)
    if args.json:
        say(to_json(report))
        return
    training = report.get("training")
    hidden = () if "columns" not in report else ("training", "metadata", "target", "classes")
    rows = {key: flat(report[key]) for key in report if key not in hidden}
    if "columns" in report:
        columns = {"columns": _tables.columns_text(report["columns"])}
        rows = {"model": rows.pop("model"), **_tables.history(report), **columns, **rows}
        rows["columns"] = columns["columns"]
    text = aligned(rows)
    if training:
        text += "\n\nWhat the training measured:\n" + result_text({**training, "warnings": []})
    say(text)


def _model_report(path: str) -> dict[str, Any]:
    network, notes = _read(path)
    report = {"model": path, "bytes": notes.size, **description(network)}
    if notes.of_table:
        return report | _tables.description(TabularModel._of(network, notes))
    return report | {"metadata": notes.user}
