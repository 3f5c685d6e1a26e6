"""What `deltaloop predict` writes and says of a table: columns, measures, rows it knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scores import CLASSES, VALUES, measured
from deltaloop.tabular import TabularModel, _frames
from deltaloop.tabular._report import number, percent

__all__ = ["beside", "columns_of", "measures", "measures_text", "seen", "seen_text"]

Columns = dict[str, NDArray[Any]]


def columns_of(
    names: Sequence[str],
    predictions: NDArray[Any],
    classes: Sequence[Any] | None,
    probabilities: NDArray[Any] | None,
    taken: Collection[str] | None = None,
) -> Columns:
    """Return predictions, and probabilities if there are any, as columns with names.

    Beside the columns `taken` of the rows their names are none of these; alone predictions have
    the names of what is predicted.
    """
    found: Columns = {}

    def add(name: str, values: NDArray[Any]) -> None:
        free, n = name, 1
        while free in found or free in (taken or ()):
            n += 1
            free = f"{name}_{n}"
        found[free] = values

    columns = predictions.reshape(len(predictions), -1).T
    for name, values in zip(names, columns, strict=True):
        add(name if taken is None else f"predicted_{name}", values)
    if probabilities is not None:
        assert classes is not None
        for label, values in zip(classes, probabilities.T, strict=True):
            add(f"probability_{label}", values)
    return found


def beside(frame: Any, entries: Any, columns: Mapping[str, NDArray[Any]], typed: bool) -> Any:
    """Return a polars frame of the rows as they were written, and columns behind them.

    `frame` has types, `entries` the text that stands in the file, or None for a file with types.
    A file with types, such as Parquet, gets types, but for numbers that are written in another way
    than as numbers, such as 007.
    """
    import polars as pl

    front = frame if entries is None else entries
    if entries is not None and typed:
        front = pl.DataFrame([_kept(frame[name], entries[name]) for name in entries.columns])
    return front.with_columns(pl.Series(name, values) for name, values in columns.items())


def _kept(values: Any, entries: Any) -> Any:
    """Return a column with its type, or as text if a whole number would lose how it is written."""
    import polars as pl

    if values.dtype != pl.Int64 or entries.dtype != pl.String:
        return values
    trimmed = entries.str.strip_chars()
    same = (values.cast(pl.String) == trimmed) | values.is_null()
    return values if same.all() else entries


def measures(
    model: TabularModel, frame: Any, numbers: NDArray[Any], rows: NDArray[np.intp]
) -> dict[str, Any]:
    """Return the measures of the rows that have a target, and those of the simplest guess.

    That is the one of the training rows; a model without a report knows none. Rows of classes that
    the model does not know have no probability, so that nothing but the accuracy is measured there.
    """
    found = _frames.frame(frame)
    report = model.report or {}
    guess = report.get("baseline", {}).get("guess")
    if model.classes is None:
        if numbers.shape[1] > 1:
            return {}
        y = numbers[:, 0]
        own = measured(VALUES, y, np.asarray(model.predict(found))[rows])
        if type(guess) not in (int, float):
            return {"metrics": own}
        base = measured(VALUES, y, np.full(len(y), float(guess)))
        return {"metrics": own, "baseline": {"guess": guess, **base}}
    classes = model.classes.tolist()
    p = np.asarray(model.predict_proba(found))[rows]
    known = {label: i for i, label in enumerate(classes)}
    number_of = np.array([known[label] for label in np.asarray(model.predict(found)).tolist()])
    rows_of = CLASSES if (numbers >= 0).all() else CLASSES[:1]
    result: dict[str, Any] = {"metrics": measured(rows_of, numbers, p, number_of[rows])}
    if guess in known:
        base = measured(CLASSES[:1], numbers, p, np.full(len(rows), known[guess]))
        result["baseline"] = {"guess": guess, **base}
    return result


def measures_text(report: Mapping[str, Any]) -> str:
    """Return what stands behind the score of a prediction: the simplest guess, and the error."""
    own, base = report.get("metrics", {}), report.get("baseline", {})
    if base.get("accuracy") is not None:
        return f"; always guessing {base['guess']!r}: {base['accuracy']:.4f}"
    if own.get("mae") is None or own.get("r2") is None:
        return ""
    text = f"; off by {number(own['mae'])} on average"
    if base.get("mae") is not None:
        guess = f"always guessing the mean of the training, {number(base['guess'])}"
        text += f", {guess}, by {number(base['mae'])}"
    return text


def seen(model: TabularModel, frame: Any) -> float | None:
    """Return which part of rows the model learned from; None if that may be chance, or unknown."""
    known = model._fingerprints
    return None if known is None else known.seen(model._encoded(_frames.frame(frame))[1])


def seen_text(part: float) -> str:
    """Return a note on rows that the model learned from."""
    what = "all of these rows" if part == 1.0 else f"about {percent(part)} of these rows"
    return (
        f"the model learned from {what}; how well it predicts them says little about rows that are "
        "new"
    )
