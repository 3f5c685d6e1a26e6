"""What the pictures share: where they are drawn, and how groups of points differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    return float(np.clip(70.0 / np.sqrt(n), 2.0, 6.0))


def extent(ax: Axes) -> tuple[float, float]:
    """Return about how many points wide and high the axes are.

    Where a layout engine will make room for labels, the margins that it takes away are included.
    """
    box, figure = ax.get_window_extent(), ax.figure
    width, height = box.width, box.height
    if figure.get_layout_engine() is not None:
        width /= figure.subplotpars.right - figure.subplotpars.left
        height /= figure.subplotpars.top - figure.subplotpars.bottom
    scale = 72.0 / figure.dpi
    return min(width, figure.bbox.width) * scale, min(height, figure.bbox.height) * scale


def title(ax: Axes, text: str) -> None:
    """Write a title, with a new line after its comma where it would be too wide."""
    letter = 5.8  # points a letter, at medium size
    if letter * len(text) > 0.75 * extent(ax)[0]:
        text = text.replace(", ", ",\n", 1)
    ax.set_title(text, fontsize="medium")


def shorten(name: object, longest: int = LONGEST) -> str:
    """Return a name as text of one line, cut in the middle where it is too long for a picture."""
    text = " ".join(str(name).split())
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (longest - half - 1) :]}"


def legend(ax: Axes, n: int, **options: Any) -> None:
    """Draw a small legend beside n points, if they are few enough to look for room.

    Names stand as they are, dollar signs included.
    """
    options = {"loc": "best" if n <= 2000 else "upper right", "fontsize": "small", **options}
    drawn = ax.legend(title_fontsize="small", **options)
    for text in drawn.get_texts():
        text.set_parse_math(False)
