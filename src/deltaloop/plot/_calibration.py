"""Whether probabilities are what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop._arguments import arrays as _arrays
from deltaloop.plot import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As many groups at most, of so many instances at least.
GROUPS, LEAST = 10, 10


def calibration(happened: ArrayLike, probability: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw how often something happened against the probability that was predicted.

    The instances are cut into at most 10 groups of as many instances each, in the order of their
    probabilities: a point a group, at the mean of its probabilities and at the part of it that
    happened, with a standard error to each side. Points on the diagonal say that of what gets a
    probability of 70 %, 70 % happens; points below it, that the probabilities are too high.

    Parameters
    ----------
    happened : array_like of bool or of 0 and 1, shape (n,)
        Whether it happened: that a class was the true one, or that a guess was right.
    probability : array_like, shape (n,)
        What was predicted, from 0 to 1.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        If the arrays hold anything else, are empty or differ in shape, or `ax` is something else.

    Examples
    --------
    >>> import deltaloop as dl
    >>> ax = dl.plot.calibration([0, 1, 1, 1], [0.2, 0.7, 0.8, 0.9])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('predicted probability', 'part that happened')
    """
    y, p = _pair(happened, probability)
    axes = _axes.axes(ax)
    groups = np.array_split(np.argsort(p, kind="stable"), min(GROUPS, max(1, y.size // LEAST)))
    means = np.array([p[group].mean() for group in groups])
    parts = np.array([y[group].mean() for group in groups])
    sizes = np.array([group.size for group in groups])
    # Of no event in n there may well be one: Laplace's estimate keeps the errors from being 0.
    smooth = (parts * sizes + 1.0) / (sizes + 2.0)
    errors = np.sqrt(smooth * (1.0 - smooth) / sizes)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--", zorder=1)
    axes.errorbar(means, parts, yerr=errors, fmt="o-", capsize=3, color=_axes.shades(1)[0])
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("part that happened")
    off = float(np.abs(means - parts) @ sizes / y.size)
    _axes.title(axes, f"probabilities are off by {off:.2g} on average")
    return axes


def _pair(happened: object, probability: object) -> tuple[NDArray[np.float64], ...]:
    arrays = []
    for name, values in (("happened", happened), ("probability", probability)):
        if np.asarray(values).dtype == np.bool_:
            values = np.asarray(values).astype(np.float64)
        array = _arrays.numbers(name, values)
        if array.ndim != 1:
            raise ValueError(f"{name} must have shape (n,), got {array.shape}")
        if array.size == 0:
            raise ValueError(f"{name} is empty: it has shape {array.shape}")
        _arrays.finite(name, array)
        arrays.append(array.astype(np.float64))
    y, p = arrays
    if y.shape != p.shape:
        raise ValueError(
            f"happened and probability must have the same shape, got {y.shape} and {p.shape}"
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("happened must hold booleans, or 0 and 1")
    if p.min() < 0.0 or p.max() > 1.0:
        raise ValueError(f"probability must be in [0, 1], got {p.min():g} to {p.max():g}")
    return y, p
