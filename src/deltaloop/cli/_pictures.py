"""The picture that `deltaloop train --plot FILE` writes."""

from __future__ import annotations

import argparse
import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import plot
from deltaloop._files.atomic import is_direct, write_bytes
from deltaloop._scores import r2
from deltaloop.cli._streams import note
from deltaloop.network import Network
from deltaloop.plot._axes import shorten, title
from deltaloop.results import FitResult
from deltaloop.tabular._importance import importance

__all__ = ["check", "draw"]

_SUFFIXES = (".png", ".svg", ".pdf")
# The largest confusion matrix. Fewer rows say nothing of columns; more columns are no columns of a
# table, but such as the pixels of an image.
MOST_CLASSES, FEWEST, MOST_COLUMNS = 20, 10, 200


def check(args: argparse.Namespace) -> None:
    """Refuse what could not be drawn, before time is spent on training."""
    if not args.plot.lower().endswith(_SUFFIXES) and not is_direct(args.plot):
        expected = ", ".join(_SUFFIXES)
        args.usage_error(
            f"argument --plot: expected a name that ends in {expected}, got {args.plot!r}"
        )
    if find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib: pip install 'deltaloop[plot]'")


def shows_importance(n: int, n_columns: int) -> bool:
    """Whether the importance of so many columns, on n rows held out, is worth its time."""
    return n >= FEWEST and n_columns <= MOST_COLUMNS


def draw(
    path: str,
    result: FitResult,
    network: Network,
    X: NDArray[np.float64],
    y: NDArray[Any],
    classes: Sequence[Any] | None,
    names: Sequence[str],
    columns: Mapping[str, slice],
) -> None:
    """Write the learning curve, and what the network makes of rows that were held out.

    X holds their inputs, y class numbers, (n,), with the labels `classes`, or values (n, k) of the
    targets `names`; `columns` are the inputs of each column. For classes a confusion matrix and the
    calibration, for values the predicted ones against the true ones, and residuals; for both the
    importance of the columns. Without rows held out, the learning curve alone.
    """
    from matplotlib.figure import Figure

    n = len(y)
    columns = columns if shows_importance(n, len(columns)) else {}
    panels = 1 if not n else 4 if columns else 3
    shape = (2, 2) if panels == 4 else (1, panels)
    figure = Figure(figsize=(6.0 * shape[1], 5.0 * shape[0]), layout="constrained")
    axes = figure.subplots(*shape, squeeze=False).ravel()
    plot.learning_curve(result, ax=axes[0])
    if n and classes is not None:
        _draw_classes(axes[1:], network.predict(X), np.asarray(network.classify(X)), y, classes)
    elif n:
        _draw_values(axes[1:], network.predict(X), y, names)
    if columns:
        measure = "R\N{SUPERSCRIPT TWO}" if classes is None else "the accuracy"

        def score(inputs: NDArray[np.float64], rows: NDArray[np.intp]) -> float:
            if classes is None:
                return r2(y[rows], network.predict(inputs))
            return float(np.mean(network.classify(inputs) == y[rows]))

        loss, error = importance(score, X, list(columns.values()))
        plot.importance(list(columns), loss, error, measure=measure, ax=axes[3])
    content = io.BytesIO()
    kind = path.lower().rpartition(".")[2]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure.savefig(content, dpi=150, format="png" if is_direct(path) else kind)
    lacking = [warning for warning in said if "missing from font" in str(warning.message)]
    for warning in said:
        if warning not in lacking:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if lacking:
        note(
            f"deltaloop: {path}: matplotlib's font lacks some letters of the names, which are "
            "boxes there; a file matplotlibrc with a line such as 'font.family: DejaVu Sans, "
            "Noto Sans CJK JP' names fonts that have them"
        )
    write_bytes(path, content.getbuffer())


def _draw_classes(
    axes: Any, p: NDArray[np.float64], guess: NDArray[Any], y: NDArray[Any], classes: Sequence[Any]
) -> None:
    """Draw the confusion matrix, and how often the guess was right, by its probability."""
    true, predicted, labels = _largest(y, guess, classes)
    plot.confusion_matrix(true, predicted, labels=labels, ax=axes[0])
    if len(labels) < len(classes):  # where not all on the diagonal is right
        right = int((guess == y).sum())
        title(axes[0], f"accuracy {right / len(y):.4g} ({right:,} of {len(y):,}), rare ones as one")
    if p.shape[1] == 1:
        p = np.hstack([1.0 - p, p])
    own = np.clip(p[np.arange(len(y)), guess], 0.0, 1.0)
    plot.calibration(guess == y, own, ax=axes[1])
    axes[1].set_xlabel("probability of the predicted class")
    axes[1].set_ylabel("part of these rows that is right")


def _largest(
    y: NDArray[Any], guess: NDArray[Any], classes: Sequence[Any]
) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
    """Return true and predicted labels, and all labels; of many classes the rare ones as one."""
    k = len(classes)
    if k <= MOST_CLASSES:
        labels = np.array(classes)
        return labels[y], labels[guess], list(classes)
    counts = np.bincount(y, minlength=k) + np.bincount(guess, minlength=k)
    kept = np.sort(np.argsort(-counts, kind="stable")[: MOST_CLASSES - 1])
    place = np.full(k, MOST_CLASSES - 1)
    place[kept] = np.arange(MOST_CLASSES - 1)
    names = [str(classes[i]) for i in kept]
    return place[y], place[guess], [*names, f"{k - len(kept)} others"]


def _draw_values(
    axes: Any, predicted: NDArray[np.float64], y: NDArray[Any], names: Sequence[str]
) -> None:
    plot.predicted_against_true(y, predicted, ax=axes[0])
    plot.residuals(y, predicted, ax=axes[1])
    for ax in axes[:2]:
        _name_outputs(ax.get_legend(), names)
    if len(names) == 1:
        name = shorten(names[0])
        axes[0].set_xlabel(f"true {name}", parse_math=False)
        axes[0].set_ylabel(f"predicted {name}", parse_math=False)
        axes[1].set_xlabel(f"predicted {name}", parse_math=False)
        axes[1].set_ylabel(f"true minus predicted {name}", parse_math=False)


def _name_outputs(legend: Any, names: Sequence[str]) -> None:
    """Write names in the place of the numbers of outputs in a legend, if there is one."""
    if legend is not None and names:
        legend.set_title("target")
        for name, text in zip(names, legend.get_texts(), strict=False):
            text.set_text(f"{name}:{text.get_text().partition(':')[2]}")
