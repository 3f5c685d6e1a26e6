"""Predicted values against the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop._arguments import arrays as _arrays
from deltaloop._scores import r2
from deltaloop.plot import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

# More outputs are drawn alike: neither a legend nor so many markers could be read.
MOST_OUTPUTS = 8


def predicted_against_true(y_true: ArrayLike, y_pred: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw predicted against true values, and the diagonal where they are equal.

    R^2 and the root of the mean squared error (RMSE, in the unit of the values) stand in the title,
    or in the legend for each of 2 to 8 outputs. Beyond 8 all outputs are drawn alike and the title
    tells the mean R^2 and the RMSE over all.

    Parameters
    ----------
    y_true : array_like, shape (n,) or (n, k)
        True values of one output or of k.
    y_pred : array_like, shape (n,) or (n, k)
        Predicted ones.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        With both axes on the same scale.

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        If the arrays do not hold finite numbers, are empty or differ in shape, or `ax` is something
        else.

    Examples
    --------
    >>> import deltaloop as dl
    >>> ax = dl.plot.predicted_against_true([1.0, 2.0, 3.0], [1.5, 2.0, 2.5])
    >>> ax.get_title()
    'R² = 0.75, RMSE = 0.4082'
    """
    true, predicted = _columns(y_true, y_pred)
    axes = _axes.axes(ax)
    low, high = _padded(min(true.min(), predicted.min()), max(true.max(), predicted.max()))
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, linestyle="--", zorder=1)
    _points(axes, true, predicted, _scores(true, predicted))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel("true value")
    axes.set_ylabel("predicted value")
    return axes


def residuals(y_true: ArrayLike, y_pred: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw residuals, true minus predicted values, against the predicted ones, and the line of 0.

    What is systematic shows: a bend, or a spread that grows with the value. R^2 and RMSE are told
    as by `predicted_against_true`.

    Parameters
    ----------
    y_true : array_like, shape (n,) or (n, k)
        True values of one output or of k.
    y_pred : array_like, shape (n,) or (n, k)
        Predicted ones.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        With 0 in the middle of the axis of residuals.

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        As for `predicted_against_true`.

    Examples
    --------
    >>> import deltaloop as dl
    >>> ax = dl.plot.residuals([1.0, 2.0, 3.0], [1.5, 2.0, 2.5])
    >>> ax.get_ylabel()
    'residual (true - predicted)'
    """
    true, predicted = _columns(y_true, y_pred)
    axes = _axes.axes(ax)
    left = true - predicted
    axes.axhline(0.0, color="black", linewidth=0.8, linestyle="--", zorder=1)
    _points(axes, predicted, left, _scores(true, predicted))
    most = _padded(0.0, float(np.abs(left).max()))[1]
    axes.set_xlim(*_padded(float(predicted.min()), float(predicted.max())))
    axes.set_ylim(-most, most)
    axes.set_xlabel("predicted value")
    axes.set_ylabel("residual (true - predicted)")
    return axes


def _columns(y_true: object, y_pred: object) -> tuple[Floats, Floats]:
    """Return both as (n, k); a single column may come without its second dimension."""
    arrays, shapes = [], []
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        array = _arrays.numbers(name, values)
        if array.ndim not in (1, 2):
            raise ValueError(f"{name} must have shape (n,) or (n, k), got {array.shape}")
        if array.size == 0:
            raise ValueError(f"{name} is empty: it has shape {array.shape}")
        _arrays.finite(name, array)
        shapes.append(array.shape)
        arrays.append(array.astype(np.float64).reshape(array.shape[0], -1))
    true, predicted = arrays
    if true.shape != predicted.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape, got {shapes[0]} and {shapes[1]}"
        )
    return true, predicted


def _scores(true: Floats, predicted: Floats) -> list[str]:
    """Return R^2 and RMSE as text: of each output, or where there are many of all."""
    k = true.shape[1]
    groups = [[j] for j in range(k)] if k <= MOST_OUTPUTS else [list(range(k))]
    digits = 4 if len(groups) == 1 else 3
    mean = "" if k <= MOST_OUTPUTS else "mean "
    texts = []
    for group in groups:
        rmse = np.sqrt(((true[:, group] - predicted[:, group]) ** 2).mean())
        score = r2(true[:, group], predicted[:, group])
        first = f"R\N{SUPERSCRIPT TWO} = {score:.{digits}g}, " if len(true) > 1 else ""
        texts.append(f"{mean}{first}RMSE = {_figure(rmse, digits)}")
    return texts


def _figure(value: float, digits: int) -> str:
    """Return a number of some digits; a large one whole, as people read it: 48,717."""
    return f"{value:,.0f}" if 10.0**digits <= value < 1e9 else f"{value:.{digits}g}"


def _points(ax: Axes, x: Floats, y: Floats, scores: list[str]) -> None:
    """Draw a group of points for each output, and tell how good they are."""
    n, k = x.shape
    if len(scores) == 1:
        groups: list[Any] = [slice(None)]
        _axes.title(ax, scores[0] if k == 1 else f"{k} outputs: {scores[0]}")
    else:
        groups = list(range(k))
    shades = _axes.shades(len(groups))
    for j, (group, score) in enumerate(zip(groups, scores, strict=True)):
        ax.plot(
            x[:, group].ravel(),
            y[:, group].ravel(),
            linestyle="none",
            marker=_axes.MARKERS[j],
            markersize=_axes.marker_size(n),
            color=shades[j],
            alpha=0.6,
            markeredgewidth=0.0,
            label=f"{j}: {score}",
        )
    if len(groups) > 1:
        _axes.legend(ax, n * k, title="output", fontsize="x-small")


def _padded(low: float, high: float) -> tuple[float, float]:
    """Return the limits of an axis that shows values from low to high."""
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
