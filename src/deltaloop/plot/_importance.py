"""How much each column matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from deltaloop._arguments import arrays as _arrays
from deltaloop.plot import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More columns could not be read: the least important ones are left out.
MOST = 20


def importance(
    names: Sequence[object],
    loss: ArrayLike,
    error: ArrayLike | None = None,
    *,
    measure: str = "score",
    ax: Axes | None = None,
) -> Axes:
    """Draw how much worse predictions get without each column: a bar a column, longest above.

    Permutation importance is such a number: how much a score falls where the values of a column are
    shuffled, so that they say nothing. Columns that tell the same share what they tell, and each
    alone seems to matter little.

    Parameters
    ----------
    names : sequence
        The names of the columns.
    loss : array_like, shape (n,)
        What is lost without each.
    error : array_like, shape (n,), optional
        How far that may be off, drawn to each side.
    measure : str, default "score"
        What falls.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        With the 20 most important columns, where there are more.

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        If there is no column, the arrays hold no finite numbers or are not as long as `names`, or
        `ax` is something else.

    Examples
    --------
    >>> import deltaloop as dl
    >>> ax = dl.plot.importance(["area", "town"], [0.6, 0.1], measure="R²")
    >>> ax.get_xlabel()
    'how much R² falls without the column'
    """
    values = [np.zeros(len(names)) if error is None else error, loss]
    arrays = []
    for name, given in zip(("error", "loss"), values, strict=True):
        array = _arrays.numbers(name, given)
        if array.shape != (len(names),) or not len(names):
            raise ValueError(
                f"{name} must have a number for each of one or more names, got shape "
                f"{array.shape} for {len(names)} names"
            )
        _arrays.finite(name, array)
        arrays.append(array.astype(np.float64))
    errors, losses = arrays
    axes = _axes.axes(ax)
    order = np.argsort(-losses, kind="stable")[:MOST]
    at = np.arange(len(order))
    spread = errors[order] if error is not None else None
    axes.barh(at, losses[order], color=_axes.shades(2)[1], ecolor="black", capsize=2, xerr=spread)
    axes.axvline(0.0, color="black", linewidth=0.8)
    size = min(9.0, 0.75 * _axes.extent(axes)[1] / len(order))
    shown = [_axes.shorten(names[i]) for i in order]
    axes.set_yticks(at, shown, fontsize=size, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(f"how much {measure} falls without the column")
    left = len(names) - len(order)
    some = f", the first {MOST} of {len(names)}" if left else ""
    _axes.title(axes, f"importance of the columns{some}")
    return axes
