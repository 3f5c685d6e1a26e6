"""A network as a diagram of units and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _inputs, _layers
from deltaloop.plot import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deltaloop.network import Network

# In units of the distance between two circles of a layer.
RADIUS = 0.32
# Width over height of the whole, and the least distance between two layers.
SHAPE, NEAREST = 1.3, 2.2
# In points: the line of the largest weight or bias, and the outline of a unit.
WIDEST, OUTLINE = 3.0, 0.7
# Dark and solid, light and dashed: to be told apart in grey too.
POSITIVE, NEGATIVE, NEUTRAL = "#08306b", "#e08214", "0.45"
DASHES = (0, (2.5, 1.2))


def diagram(
    network: Network,
    ax: Axes | None = None,
    *,
    max_units: int = 12,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Axes:
    """Draw a network: a circle for each unit, a line for each weight.

    The width of a line is the size of its weight, relative to the largest that is drawn; positive
    weights are dark and solid, negative ones light and dashed. Rings around the units tell their
    biases in the same way. Under each layer stand the true number of its units and the activation;
    an ellipsis stands for units that are left out. Arcs are the skip connections of residual
    networks.

    Parameters
    ----------
    network : Network
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.
    max_units : int, default 12
        Circles of a layer at most, at least 1. Of larger layers the first and the last are drawn.
    inputs, outputs : sequence of str, optional
        A name for each input and output. By default x and y with their column, from 0.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError, ValueError
        If an argument is of the wrong type, there is not a name for each input or output, or a
        parameter is not finite.

    Examples
    --------
    >>> import deltaloop as dl
    >>> ax = dl.plot.diagram(dl.Network([2, 3, 1], seed=0), inputs=["width", "height"])
    >>> len(ax.patches)  # units
    6
    """
    if not isinstance(network, _core.Core):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    most = _inputs.integer("max_units", max_units, at_least=1)
    sizes = network.layers
    names = {
        0: _names("inputs", inputs, sizes[0], "x"),
        len(sizes) - 1: _names("outputs", outputs, sizes[-1], "y"),
    }
    _inputs.finite("network.parameters", network.parameters)
    axes = _axes.axes(ax)
    layers = _place(sizes, most)
    pairs = list(pairwise(layers))
    parts = [
        (w[np.ix_(before.units, layer.units)], b[layer.units])
        for w, b, (before, layer) in zip(network.weights, network.biases, pairs, strict=True)
    ]
    largest = max(float(np.abs(part).max()) for pair in parts for part in pair)
    per_size = WIDEST / (largest or 1.0)
    for (w, _), (before, layer) in zip(parts, pairs, strict=True):
        _lines(axes, w * per_size, before, layer)
    for l, layer in enumerate(layers):
        rings = None if l == 0 else parts[l - 1][1] * per_size
        _units(axes, layer, rings, sizes[l])
        _label(axes, layer, names.get(l), left=l == 0)
    _captions(axes, network, layers)
    skips = _layers.skips(sizes) if network.residual else ()
    _skips(axes, layers, skips)
    _legend(axes, largest, bool(skips))
    height = max(layer.height for layer in layers)
    axes.set_xlim(-2 * RADIUS, layers[-1].x + 2 * RADIUS)
    axes.set_ylim(-height - 2 * RADIUS, height + (0.9 if skips else 2 * RADIUS))
    axes.set_aspect("equal")
    axes.set_axis_off()
    return axes


@dataclass(frozen=True)
class _Layer:
    """Where a layer is drawn: the units shown, their heights, that of its end, of an ellipsis."""

    x: float
    units: NDArray[np.intp]
    y: NDArray[np.float64]
    height: float
    gap: float | None


def _place(sizes: tuple[int, ...], most: int) -> list[_Layer]:
    slots = [min(m, most) + (m > most) for m in sizes]
    distance = max(NEAREST, SHAPE * max(slots) / (len(sizes) - 1))
    layers = []
    for l, (m, n) in enumerate(zip(sizes, slots, strict=True)):
        heights = (n - 1) / 2 - np.arange(n, dtype=np.float64)
        units, gap = np.arange(m), None
        if m > most:
            first = (most + 1) // 2
            units = np.concatenate([units[:first], units[m - (most - first) :]])
            gap = float(heights[first])
            heights = np.delete(heights, first)
        layers.append(_Layer(l * distance, units, heights, (n - 1) / 2, gap))
    return layers


def _lines(ax: Axes, w: NDArray[np.float64], before: _Layer, layer: _Layer) -> None:
    """Draw the weights between two layers, (from, to), as lines of these signed widths."""
    from matplotlib.collections import LineCollection

    i, j = np.indices(w.shape).reshape(2, -1)
    widths = w.ravel()
    ends = [np.column_stack([np.full(i.size, before.x), before.y[i]])]
    ends.append(np.column_stack([np.full(j.size, layer.x), layer.y[j]]))
    segments = np.stack(ends, axis=1)
    for sign, colour, style in ((-1, NEGATIVE, DASHES), (1, POSITIVE, "solid")):
        chosen = np.flatnonzero(sign * widths > 0)
        chosen = chosen[np.argsort(np.abs(widths[chosen]), kind="stable")]
        lines = LineCollection(
            list(segments[chosen]),
            linewidths=np.abs(widths[chosen]),
            colors=colour,
            linestyles=[style],
            zorder=1,
        )
        ax.add_collection(lines, autolim=False)


def _units(ax: Axes, layer: _Layer, rings: NDArray[np.float64] | None, m: int) -> None:
    """Draw the units of a layer, with rings of these signed widths where there are biases."""
    from matplotlib.patches import Circle

    widths = np.zeros(layer.units.size) if rings is None else rings
    for y, width in zip(layer.y, widths, strict=True):
        colour = POSITIVE if width > 0 else NEGATIVE if width < 0 else NEUTRAL
        circle = Circle(
            (layer.x, float(y)),
            RADIUS,
            facecolor="white" if rings is not None else "0.85",
            edgecolor=colour,
            linestyle=DASHES if width < 0 else "solid",
            linewidth=max(abs(float(width)), OUTLINE),
            zorder=2,
        )
        ax.add_patch(circle)
    if layer.gap is not None:
        dots = layer.gap + np.array([-0.22, 0.0, 0.22])
        ax.plot([layer.x] * 3, dots, ".", color="black", markersize=3, zorder=2)


def _label(ax: Axes, layer: _Layer, names: list[str] | None, *, left: bool) -> None:
    """Write the names of inputs left of them, of outputs right of them."""
    if names is None:
        return
    side = -1 if left else 1
    for unit, y in zip(layer.units, layer.y, strict=True):
        ax.annotate(
            _axes.shorten(names[unit]),
            (layer.x + side * RADIUS, float(y)),
            (side * 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
            annotation_clip=False,
            parse_math=False,
        )


def _captions(ax: Axes, network: Network, layers: list[_Layer]) -> None:
    """Write under each layer how many units it has, and their activation."""
    bottom = -max(layer.height for layer in layers) - RADIUS
    activations = ["", *network.activation, network.output]
    last = len(layers) - 1
    for l, (layer, m, activation) in enumerate(
        zip(layers, network.layers, activations, strict=True)
    ):
        kind = "input" if l == 0 else "output" if l == last else "unit"
        ax.annotate(
            f"{m:,} {kind}{'' if m == 1 else 's'}\n{activation}".rstrip(),
            (layer.x, bottom),
            (0, -5),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize="small",
            annotation_clip=False,
        )


def _skips(ax: Axes, layers: list[_Layer], skips: tuple[int, ...]) -> None:
    """Draw an arc over each layer whose activation is added to that of the one before."""
    for l in skips:
        top = layers[l].height + RADIUS + 0.05
        arrow = {
            "arrowstyle": "-|>",
            "connectionstyle": "arc3,rad=-0.25",
            "color": NEUTRAL,
            "linewidth": 1.2,
            "shrinkA": 0.0,
            "shrinkB": 0.0,
        }
        ax.annotate("", (layers[l].x, top), (layers[l - 1].x, top), arrowprops=arrow)


def _legend(ax: Axes, largest: float, skips: bool) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=POSITIVE, linewidth=2, label="positive"),
        Line2D([], [], color=NEGATIVE, linewidth=2, linestyle=DASHES, label="negative"),
    ]
    if skips:
        handles.append(Line2D([], [], color=NEUTRAL, linewidth=1.2, label="skip"))
    ax.legend(
        handles=handles,
        title=f"lines: weights, rings: biases, up to {largest:.3g}",
        fontsize="small",
        title_fontsize="small",
        ncols=len(handles),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        frameon=False,
    )


def _names(argument: str, names: Any, m: int, letter: str) -> list[str]:
    """Return a name for each of m inputs or outputs."""
    if names is None:
        return [f"{letter}{j}" for j in range(m)]
    if isinstance(names, str | bytes) or not hasattr(names, "__iter__"):
        raise TypeError(f"{argument} must be a list of {m} names, got {names!r}")
    result = [str(name) for name in names]
    if len(result) != m:
        raise ValueError(f"{argument} must hold {m} names, got {len(result)}")
    return result
