"""The commands on tables: `TabularModel` with the command line's arguments, and what it tells."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

import deltaloop as dl
from deltaloop.cli import _pictures, _table_files
from deltaloop.cli._reports import (
    fit_report,
    print_predictions,
    score_label,
    score_name,
    to_json,
    train_text,
)
from deltaloop.cli._signals import save_so_far
from deltaloop.cli._solvers import (
    AUTO,
    check_class_weight,
    check_loss_parameter,
    check_patience,
    fit_arguments,
    fit_options,
)
from deltaloop.cli._streams import note, say
from deltaloop.losses import _of_text as of_text
from deltaloop.tabular import TabularModel, _applied, _frames
from deltaloop.tabular._columns import Column
from deltaloop.tabular._description import check_size
from deltaloop.tabular._kinds import KINDS, listed
from deltaloop.tabular._options import Options
from deltaloop.tabular._target import Target
from deltaloop.tabular._training import Prepared
from deltaloop.tabular._values import Notation

__all__ = ["READING", "columns_text", "description", "predict", "train"]


# The options on how text is read, as `TabularModel` calls them.
READING = ("decimal", "thousands", "dates", "missing", "text", "keep")


def _read(
    args: argparse.Namespace,
    path: str,
    options: Options,
    text: Sequence[str] = (),
    told: dict[str, str] | None = None,
) -> Any:
    return _table_files.read(
        path, text, options=options, separator=args.separator, encoding=args.encoding, told=told
    )


def train(args: argparse.Namespace) -> None:
    options = Options.of({name: getattr(args, name) for name in READING if getattr(args, name)})
    told: dict[str, str] = {}
    frame = _read(args, args.data, options, told=told)
    names = list(frame.columns)
    if not args.target:
        args.usage_error(
            f"argument --target: expected a column of {args.data}, which has {listed(names)}"
        )
    target = args.target[0] if len(args.target) == 1 else args.target
    if len(names) == 1 and target != names[0]:
        raise ValueError(
            f"{args.data}: has one column alone, {names[0]!r}; --separator says what stands "
            "between entries, as in --separator ' '"
        )
    model = TabularModel(
        task=args.task,
        hidden=args.hidden,
        activation=args.activation,
        loss=_loss(args),
        residual=args.residual,
        init=args.init,
        test_fraction=args.test_fraction,
        seed=args.seed,
    )
    args.solver = args.solver or [AUTO]
    check_patience(args)
    try:
        untyped = frozenset(() if _table_files.has_types(args.data) else names)
        model._reading = replace(options, untyped=untyped, flags=True)
        data = model._prepare(frame, target, args.drop)
        missing = [line for name, line in told.items() if name not in args.drop]
        data = replace(data, notices=(*missing, *data.notices))
        for notice in () if args.json else data.notices:
            note(f"deltaloop: {notice}")
        check_class_weight(args, args.data, data.target.classes)
        if args.output_model is not None:
            check_size(data.table, data.target)
        arguments = fit_arguments(args, len(data.train), args.data)
        model._train(data, arguments | fit_options(args))
    except KeyboardInterrupt as interrupt:
        save_so_far(args, interrupt, partial(_save, model, data, interrupt, args.output_model))
        raise
    except (TypeError, ValueError) as error:
        message = str(error).replace("task='regression'", "--task regression")
        message = message.replace("test_fraction=0", "--test-fraction 0")
        raise ValueError(f"{args.data}: {message}") from error
    assert model.network is not None
    assert model.result is not None
    assert model.report is not None
    report = {
        "task": model.task,
        "data": args.data,
        **fit_report(model.network, model.result),
        **model.report,
        "ignored": model.ignored,
        "notices": list(model.notices),
        "isa": dl.runtime()["isa"],
        "version": dl.__version__,
        "classes": None if data.target.classes is None else list(data.target.classes),
        "model": args.output_model,
    }
    if args.output_model is not None:
        model.save(args.output_model)
    if args.plot is not None:
        X, y = data.X[data.test], data.y[data.test]
        classes = data.target.classes
        guess = model.network.predict(X) if classes is None else model.network.classify(X)
        _pictures.draw(args.plot, model.result, y, np.asarray(guess), classes, data.target.names)
    if args.json:
        say(to_json(report))
        return
    more = {"inputs": f"{data.table.n_inputs}, of {_kinds(model.columns)}"}
    if model.ignored:
        reasons = [f"{name} ({reason})" for name, reason in model.ignored.items()]
        more["ignored"] = ", ".join(reasons)
    say(train_text(report, _data_text(data, frame.height), more))


def _save(model: TabularModel, data: Prepared, interrupt: Any, path: str) -> None:
    """Save the model that an interrupt has left."""
    model._take(data, interrupt.network, interrupt.result, None)
    model.save(path)


def _loss(args: argparse.Namespace) -> Any:
    if args.loss_parameter is None:
        return args.loss
    check_loss_parameter(args)
    return of_text(args.loss, (args.loss_parameter,))


def _kinds(columns: tuple[Column, ...]) -> str:
    """Return how many columns there are of each kind."""
    found = [column.kind for column in columns]
    counts = {kind: found.count(kind) for kind in dict.fromkeys(found)}
    return ", ".join(f"{n} {kind if n == 1 else KINDS[kind].plural}" for kind, n in counts.items())


def _data_text(data: Prepared, n: int) -> str:
    names = ", ".join(data.target.names)
    classes = data.target.classes
    what = f"{len(classes)} classes" if classes is not None else "values"
    return f"{n} rows, target {names} ({what})"


def predict(args: argparse.Namespace, model: TabularModel) -> None:
    target = model._fitted()[2]
    if not _table_files.is_table(args.file):
        kinds = ", ".join(_table_files.SUFFIXES)
        raise ValueError(
            f"{args.file}: expected a table ({kinds}), as {args.model} was trained on one"
        )
    text = [column.name for column in model.columns if KINDS[column.kind].text or column.notation]
    if target.notations or (target.classes is not None and isinstance(target.classes[0], str)):
        text += target.names
    frame = _read(args, args.file, Options(), text)
    try:
        predictions = model.predict(frame)
        report = {
            "task": model.task,
            "model": args.model,
            "n": len(predictions),
            "target": model.target,
            "predictions": predictions.tolist(),
        }
    except (TypeError, ValueError) as error:
        raise ValueError(f"{args.file}: {error}") from error
    if set(target.names) <= set(frame.columns):
        report |= _score(model, target, frame)
    if args.output is not None:
        columns = predictions.reshape(len(predictions), -1).T
        _table_files.write(args.output, dict(zip(target.names, columns, strict=True)))
    print_predictions(args, report)


def _score(model: TabularModel, target: Target, frame: Any) -> dict[str, Any]:
    """Return what a report says of the rows with a target; a note if there is no score."""
    try:
        found = _frames.frame(frame)
        rows = target.encode(target.read({name: found[name] for name in target.names}))[1]
        score = model.score(frame)
    except (TypeError, ValueError) as error:
        note(f"deltaloop: no {score_label(target.task)}: {error}")
        return {}
    return {"n_with_target": len(rows), score_name(target.task): score}


def description(model: TabularModel) -> dict[str, Any]:
    """Return what `deltaloop info` says about the table of a model."""
    classes = model._fitted()[2].classes
    return {
        "task": model.task,
        "target": model.target,
        "classes": None if classes is None else list(classes),
        "columns": [
            asdict(column) | {"notation": _applied.to_json(column.notation)}
            for column in model.columns
        ],
    }


def columns_text(columns: list[dict[str, Any]]) -> str:
    """Return a line for each column: its name, its kind and its categories."""
    lines = []
    for column in columns:
        values = ", ".join(map(repr, column["categories"]))
        missing = ", may be missing" if column["missing"] else ""
        notation = column["notation"]
        called = Notation(**notation).called if notation and not values else ""
        how = f", read with {called}" if called not in ("", Notation().called) else ""
        kind = f"{column['kind']}{' ' * bool(values)}"
        lines.append(f"{column['name']!r}: {kind}{values}{how}{missing}")
    return "\n".join(lines)
