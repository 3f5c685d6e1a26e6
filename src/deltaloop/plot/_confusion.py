"""The confusion matrix of a classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop.plot import _axes, _classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Beyond so many classes counts could not be read, and there is only the shade of the cells.
MOST_COUNTS = 40
# Up to so many classes a count of 0 is written too.
MOST_ZEROS = 10


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: Sequence[Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many instances of each class were predicted as which.

    Rows are true classes, columns predicted ones, and the diagonal is what was right. The shade of
    a cell is its part of its row, so that small classes show as well as large ones. The accuracy
    stands in the title.

    Parameters
    ----------
    y_true : array_like of int, str or bool, shape (n,)
        True classes.
    y_pred : array_like of int, str or bool, shape (n,)
        Predicted ones.
    labels : sequence of int or str, optional
        The classes in the order to be shown, among which are all that occur. Strings where the
        classes are integers are the names of the classes 0, 1, .... By default the classes that
        occur, in ascending order.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's, larger where there are many classes.

    Returns
    -------
    matplotlib.axes.Axes
        Cells without counts beyond 40 classes, and without zeros beyond 10.

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        If the arrays do not hold classes, are empty or differ in shape, `labels` misses a class or
        has one twice, or `ax` is something else.

    Examples
    --------
    >>> import deltaloop as dl
    >>> ax = dl.plot.confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], labels=["cat", "dog"])
    >>> ax.get_title()
    'accuracy 0.75 (3 of 4)'
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '0', '2']
    """
    true = _classes.classes("y_true", y_true)
    predicted = _classes.classes("y_pred", y_pred)
    if true.shape != predicted.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape, got {true.shape} and {predicted.shape}"
        )
    _classes.same_kind("y_true", true, "y_pred", predicted)
    known, names = _classes.named(labels, np.concatenate([true, predicted]))
    counts = _counts(true, predicted, known)
    k = len(names)
    side = max(4.8, 1.8 + 0.3 * k)
    axes = _axes.axes(ax, (1.1 * side, side))
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(parts, cmap="Blues", vmin=0.0, vmax=1.0)
    _label(axes, names)
    if k <= MOST_COUNTS:
        _write(axes, counts, parts)
    right, n = int(np.trace(counts)), true.size
    axes.set_title(f"accuracy {right / n:.4g} ({right:,} of {n:,})", fontsize="medium")
    return axes


def _counts(true: NDArray[Any], predicted: NDArray[Any], known: list[Any]) -> NDArray[np.intp]:
    """Return how often each pair of classes occurs, (k, k)."""
    k = len(known)
    index = {value: i for i, value in enumerate(known)}
    rows = np.array([index[value] for value in true.tolist()])
    columns = np.array([index[value] for value in predicted.tolist()])
    return np.bincount(rows * k + columns, minlength=k * k).reshape(k, k)


def _label(ax: Axes, names: list[str]) -> None:
    """Name rows and columns, with long names on their sides and small where there are many."""
    k, cell = len(names), _cell(ax, len(names))
    size = min(_points(ax), max(0.9 * cell, 4.0))
    shown = [_axes.shorten(name) for name in names]
    wide = max(map(len, shown)) * 0.62 * size > 0.9 * cell
    # The names of hundreds of classes would lie on each other.
    step = -(-k // 60)
    at = range(0, k, step)
    options: dict[str, Any] = {"fontsize": size, "parse_math": False}
    ax.set_xticks(at, shown[::step], rotation=90 if wide else 0, **options)
    ax.set_yticks(at, shown[::step], **options)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")


def _write(ax: Axes, counts: NDArray[np.intp], parts: NDArray[np.float64]) -> None:
    """Write the counts into the cells."""
    k = len(counts)
    longest = len(f"{counts.max():,}")
    cell = _cell(ax, k)
    size = min(_points(ax), 0.6 * cell, 0.85 * cell / (0.62 * longest))
    for i, j in np.ndindex(counts.shape):
        if counts[i, j] or k <= MOST_ZEROS:
            colour = "white" if parts[i, j] > 0.5 else "black"
            ax.text(
                j, i, f"{counts[i, j]:,}", ha="center", va="center", color=colour, fontsize=size
            )


def _cell(ax: Axes, k: int) -> float:
    """Return about how many points wide a cell will be."""
    box = ax.get_window_extent()
    return 0.85 * 72.0 * min(box.width, box.height) / ax.figure.dpi / k


def _points(ax: Axes) -> float:
    """Return the usual size of text."""
    return float(ax.xaxis.label.get_fontsize())
