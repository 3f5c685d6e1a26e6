"""The confusion matrix of a classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop.plot import _axes, _classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Smaller counts, in points, could not be read: then there is only the shade of the cells.
SMALLEST = 3.5
# The usual size of names and counts in points, and how wide a letter is in parts of that.
SIZE, WIDTH = 9.0, 0.62
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
        Without counts of 0 beyond 10 classes, and with the shades alone where counts would be too
        small to be read.

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
    side = min(max(4.8, 1.8 + 0.3 * k), 15.0)
    axes = _axes.axes(ax, (1.1 * side, side))
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(parts, cmap="Blues", vmin=0.0, vmax=1.0)
    _write(axes, counts, parts, _label(axes, names))
    right, n = int(np.trace(counts)), true.size
    _axes.title(axes, f"accuracy {right / n:.4g} ({right:,} of {n:,})")
    return axes


def _counts(true: NDArray[Any], predicted: NDArray[Any], known: list[Any]) -> NDArray[np.intp]:
    """Return how often each pair of classes occurs, (k, k)."""
    k = len(known)
    index = {value: i for i, value in enumerate(known)}
    rows = np.array([index[value] for value in true.tolist()])
    columns = np.array([index[value] for value in predicted.tolist()])
    return np.bincount(rows * k + columns, minlength=k * k).reshape(k, k)


def _label(ax: Axes, names: list[str]) -> float:
    """Name rows and columns, long names on their sides; return about how wide a cell is, in points.

    Where there are many classes names are small, and then there is not one for each.
    """
    k, side = len(names), min(_axes.extent(ax))
    size = max(min(SIZE, 0.75 * side / k), SMALLEST)
    step = int(np.ceil(1.25 * size / (side / k)))
    # Names may take a quarter of the picture.
    longest = max(int(0.25 * side / (WIDTH * size)), 6)
    shown = [_axes.shorten(name, min(longest, _axes.LONGEST)) for name in names[::step]]
    length = max(map(len, shown)) * WIDTH * size
    cell = (side - length - 40.0) / k  # 40 for the names of the axes and the title
    options: dict[str, Any] = {"fontsize": size, "parse_math": False}
    ax.set_xticks(range(0, k, step), shown, rotation=90 if length > cell else 0, **options)
    ax.set_yticks(range(0, k, step), shown, **options)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return cell


def _write(ax: Axes, counts: NDArray[np.intp], parts: NDArray[np.float64], cell: float) -> None:
    """Write the counts into the cells, if there is room."""
    k = len(counts)
    size = min(SIZE, 0.7 * cell, 0.95 * cell / (WIDTH * len(f"{counts.max():,}")))
    if size < SMALLEST:
        return
    for i, j in np.ndindex(counts.shape):
        if counts[i, j] or k <= MOST_ZEROS:
            colour = "white" if parts[i, j] > 0.5 else "black"
            ax.text(
                j, i, f"{counts[i, j]:,}", ha="center", va="center", color=colour, fontsize=size
            )
