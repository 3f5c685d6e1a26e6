"""What the pictures share: where they are drawn, and how groups of points differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

MARKERS = "os^DvPX<>*"
# Names longer than this are cut in the middle.
LONGEST = 24


def axes(ax: object, size: tuple[float, float] | None = None) -> Axes:
    """Return `ax` if it is one, or those of a new figure of `size` inches."""
    try:
        from matplotlib.axes import Axes
    except ImportError:
        raise ImportError("plot needs matplotlib: pip install 'deltaloop[plot]'") from None
    if ax is None:
        from matplotlib import pyplot

        return pyplot.subplots(layout="constrained", figsize=size)[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}")
    return ax


def shades(n: int, lightest: float = 0.85) -> list[Any]:
    """Return n colours from dark to light, so that they differ in grey as well."""
    from matplotlib import colormaps

    return [colormaps["viridis"](at) for at in np.linspace(0.0, lightest, n)]


def marker_size(n: int) -> float:
    """Return the size in points of each of n markers: small where there are many."""
    return float(np.clip(30.0 / np.sqrt(max(n, 1)), 2.0, 6.0))


def shorten(name: object) -> str:
    """Return a name as text of one line that is not too long for a picture."""
    text = " ".join(str(name).split())
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - half + 1 :]}"


def literal(legend: Legend) -> None:
    """Show the names of a legend as they are, dollar signs included."""
    for text in legend.get_texts():
        text.set_parse_math(False)
