"""The commands on tables: `TabularModel` with the command line's arguments, and what it tells."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import deltaloop as dl
from deltaloop.cli import _pictures, _predictions, _table_files
from deltaloop.cli._outcome import as_flags, told_later, train_text, trouble
from deltaloop.cli._progress import Progress
from deltaloop.cli._reports import (
    fit_report,
    flat,
    print_predictions,
    score_label,
    score_name,
    to_json,
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
from deltaloop.tabular import TabularModel, _applied, _frames, _streams
from deltaloop.tabular._columns import Column
from deltaloop.tabular._description import check_size
from deltaloop.tabular._kinds import KINDS, listed
from deltaloop.tabular._options import Options
from deltaloop.tabular._target import Target
from deltaloop.tabular._training import Prepared
from deltaloop.tabular._values import Notation

__all__ = ["READING", "columns_text", "description", "history", "predict", "train"]


# The options on how text is read, as `TabularModel` calls them.
READING = ("decimal", "thousands", "dates", "missing", "text", "keep")


def _read(
    args: argparse.Namespace,
    path: str,
    options: Options,
    text: Sequence[str] = (),
    told: dict[str, str] | None = None,
    entries: dict[str, Any] | None = None,
) -> Any:
    return _table_files.read(
        path,
        text,
        options=options,
        separator=args.separator,
        encoding=args.encoding,
        told=told,
        entries=entries,
    )


def train(args: argparse.Namespace) -> None:
    with Progress() as progress:
        report, data, n_rows = _trained(args, progress)
    report["times"] = progress.times
    if args.json:
        say(to_json(report))
        return
    more = {}
    if report["ignored"]:
        reasons = [f"{name} ({reason})" for name, reason in report["ignored"].items()]
        more["left out"] = ", ".join(reasons)
    say(train_text(report, _data_text(data, n_rows), more, args.verbose))


def _trained(args: argparse.Namespace, progress: Progress) -> tuple[dict[str, Any], Prepared, int]:
    """Read, train, save and draw; return the report, what was prepared, and the file's rows."""
    progress.stage("reading")
    options = Options.of({name: getattr(args, name) for name in READING if getattr(args, name)})
    told: dict[str, str] = {}
    rows = _rows(args)
    frame: Any = None if rows is not None else _read(args, args.data, options, told=told)
    names = list(frame.columns) if rows is None else rows.names
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
    if rows is None:
        check_patience(args)
    progress.stage("preparing")
    try:
        untyped = frozenset(() if _table_files.has_types(args.data) else names)
        model._reading = replace(options, untyped=untyped, flags=True)
        if rows is not None:
            note(f"deltaloop: {args.data} has {rows.n:,} rows, which are read in blocks")
        given = frame if rows is None else args.data
        data = model._prepare(given, target, args.drop, args.memory)
        missing = [line for name, line in told.items() if name not in args.drop]
        data = replace(data, notices=(*missing, *data.notices))
        for notice in () if args.json else data.notices:
            note(f"deltaloop: {notice}")
        check_class_weight(args, args.data, data.target.classes)
        if args.output_model is not None:
            check_size(data.table, data.target)
        arguments = fit_arguments(args, data.n_train, args.data) | fit_options(args)
        with told_later():
            model._train(data, arguments | {"progress": progress})
    except KeyboardInterrupt as interrupt:
        save_so_far(args, interrupt, partial(_save, model, data, interrupt, args.output_model))
        raise
    except (TypeError, ValueError) as error:
        raise ValueError(f"{args.data}: {as_flags(str(error))}") from error
    assert model.network is not None
    assert model.result is not None
    assert model.report is not None
    report = {
        "task": model.task,
        "data": args.data,
        **fit_report(model.network, model.result),
        **model.report,
        "warnings": trouble(model.result) + model.report["warnings"],
        "notices": list(model.notices),
        "isa": dl.runtime()["isa"],
        "classes": None if data.target.classes is None else list(data.target.classes),
        "model": args.output_model,
    }
    if args.json and _pictures.shows_importance(len(data.test), len(data.table.columns)):
        found = model._importance(model.network, data.X[data.test], data.y[data.test])
        each = zip(*found, strict=True)
        report["importance"] = {name: {"mean": a, "std": b} for name, a, b in each}
    if args.output_model is not None:
        model.save(args.output_model)
    if args.plot is not None:
        progress.stage("drawing")
        X, y = data.X[data.test], data.y[data.test]
        known, columns = data.target, data.table.inputs
        picture = (X, y, known.classes, known.names, columns)
        _pictures.draw(args.plot, model.result, model.network, *picture)
    return report, data, frame.height if rows is None else rows.n


def _rows(args: argparse.Namespace) -> _streams.Rows | None:
    """Return the rows of Parquet files that are too large to be read whole, or None."""
    endings = (".parquet", ".pq")
    folder = os.path.isdir(args.data)
    if folder and not any(name.endswith(endings) for name in os.listdir(args.data)):
        return None
    if not folder and not (os.path.exists(args.data) and args.data.endswith(endings)):
        return None
    try:
        rows = _streams.open_rows(args.data)
    except (ValueError, ModuleNotFoundError) as error:
        if args.memory is not None or folder:
            raise ValueError(f"{args.data}: {error}") from error
        return None  # whoever reads it whole has a message, or needs no pyarrow
    small = rows is None or _streams.whole(rows, args.memory or _streams.MEMORY)
    return None if small and not folder else rows


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
    names = " and ".join(data.target.names)
    classes = data.target.classes
    what = f"{len(classes)} classes" if classes is not None else "a number"
    what = what if len(data.target.names) == 1 else "numbers"
    columns = data.table.columns
    plural = "s" if len(columns) != 1 else ""
    return (
        f"{n:,} rows; predicts {names} ({what}) from {len(columns)} column{plural}: "
        f"{_kinds(columns)}"
    )


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
    entries: dict[str, Any] = {}
    frame = _read(args, args.file, Options(), text, entries=entries)
    probabilities = None
    try:
        predictions = model.predict(frame)
        report = {
            "task": model.task,
            "model": args.model,
            "n": len(predictions),
            "target": model.target,
            "predictions": predictions.tolist(),
        }
        if args.probabilities:
            probabilities = model.predict_proba(frame)
            report |= {"classes": target.classes, "probabilities": probabilities.tolist()}
        report["learned_from"] = _predictions.seen(model, frame)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{args.file}: {as_flags(str(error))}") from error
    if set(target.names) <= set(frame.columns):
        report |= _score(model, target, frame)
    taken = None if args.only_predictions or args.output is None else frame.columns
    columns = _predictions.columns_of(
        target.names, predictions, target.classes, probabilities, taken
    )
    if args.output is not None and taken is None:
        _table_files.write(args.output, columns)
    elif args.output is not None:
        written = type(frame)(list(entries.values())) if entries else None
        typed = _table_files.has_types(args.output)
        _table_files.write(args.output, _predictions.beside(frame, written, columns, typed))
    print_predictions(args, report, columns if args.probabilities else None)
    if report["learned_from"] is not None and not args.json:
        note(f"deltaloop: {_predictions.seen_text(report['learned_from'])}")


def _score(model: TabularModel, target: Target, frame: Any) -> dict[str, Any]:
    """Return what a report says of the rows with a target; a note if there is no score."""
    try:
        found = _frames.frame(frame)
        y, rows = target.encode(target.read({name: found[name] for name in target.names}))
        score = model.score(frame)
    except (TypeError, ValueError) as error:
        note(f"deltaloop: no {score_label(target.task)}: {error}")
        return {}
    more = _predictions.measures(model, frame, y, rows)
    return {"n_with_target": len(rows), score_name(target.task): score, **more}


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
        "training": model.report,
        "metadata": model.metadata,
    }


def history(report: Mapping[str, Any]) -> dict[str, str]:
    """Return what a model predicts, and when and on what it was trained, where its file says so."""
    target, classes = report["target"], report["classes"]
    names = [target] if isinstance(target, str) else target
    what = f"{len(classes)} classes: {listed(classes)}" if classes else "a number"
    what = what if len(names) == 1 else "numbers"
    rows = {"predicts": f"{' and '.join(names)} ({what})"}
    training = report["training"] or {}
    if {"date", "version", "n_train", "n_test"} <= set(training):
        left = training.get("n_without_target")
        rows["trained"] = (
            f"on {training['date']} by deltaloop {training['version']}, from "
            f"{training['n_train']:,} rows; {training['n_test']:,} were held out"
            + (f", {left:,} had no target" if left else "")
        )
    if training.get("options"):
        rows["options"] = flat(training["options"])
    if training.get("ignored"):
        reasons = [f"{name} ({reason})" for name, reason in training["ignored"].items()]
        rows["left out"] = ", ".join(reasons)
    rows |= {f"note: {key}": text for key, text in report["metadata"].items()}
    return rows


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
