"""A network as a diagram of units and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import layers as _layers
from deltaloop.plot import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# In points: the largest circle, the line of the largest weight or bias, the outline of a unit, and
# how high the arcs of skip connections are.
LARGEST, WIDEST, OUTLINE, ARC = 26.0, 2.8, 0.7, 16.0
# Dark and solid, light and dashed: to be told apart in grey too.
POSITIVE, NEGATIVE, NEUTRAL = "#08306b", "#e08214", "0.45"
DASHES = (0, (2.5, 1.2))
# Captions are about so many points wide, and are turned where layers are nearer to each other;
# their letters, and those of names, are about so wide.
CAPTION, LETTER = 46.0, 5.0


def diagram(
    network: _core.Core,
    ax: Axes | None = None,
    *,
    max_units: int = 12,
    max_layers: int = 12,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Axes:
    """Draw a network: a circle for each unit, a line for each weight.

    The width of a line is the size of its weight, relative to the largest that is drawn; positive
    weights are dark and solid, negative ones light and dashed. Rings around the units tell their
    biases in the same way. Under each layer stand the true number of its units and the activation;
    an ellipsis stands for units or layers that are left out. Arcs are the skip connections of
    residual networks.

    Parameters
    ----------
    network : Network
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.
    max_units : int, default 12
        Circles of a layer at most, at least 1. Of larger layers the first and the last are drawn.
    max_layers : int, default 12
        Layers at most, inputs and outputs among them, at least 2. Of deeper networks the first and
        the last are drawn.
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
    >>> [text.get_text() for text in ax.texts][:3]
    ['width', 'height', 'y0']
    """
    if not isinstance(network, _core.Core):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    units = _scalars.integer("max_units", max_units, at_least=1)
    depth = _scalars.integer("max_layers", max_layers, at_least=2)
    sizes = network.layers
    of_inputs = _names("inputs", inputs, sizes[0], "x")
    of_outputs = _names("outputs", outputs, sizes[-1], "y")
    _arrays.finite("network.parameters", network._parameters)
    axes = _axes.axes(ax)
    layers, gap = _place(sizes, units, depth)
    room = _room(axes, layers, of_inputs, of_outputs)
    parts = _parts(network, layers)
    largest = max(float(np.abs(part).max(initial=0.0)) for pair in parts for part in pair)
    widths = [[room.widest * (part / (largest or 1.0)) for part in pair] for pair in parts]
    for (w, _), (before, layer) in zip(widths, pairwise(layers), strict=True):
        _lines(axes, w, before, layer)
    _units(axes, layers[0], None, room.size)
    for (_, b), layer in zip(widths, layers[1:], strict=True):
        _units(axes, layer, b, room.size)
    _write(axes, layers[0], room.inputs, -1, room.size)
    _write(axes, layers[-1], room.outputs, 1, room.size)
    skips = _layers.skips(sizes) if network.residual else ()
    for before, layer in pairwise(layers):
        if layer.l in skips and before.l == layer.l - 1:
            _skip(axes, before, layer, room)
    if gap is not None:
        at = gap + np.array([-0.1, 0.0, 0.1])
        axes.plot(at, np.zeros(3), ".", color="black", markersize=min(room.size / 3, 3.0))
    half = max(layer.slots for layer in layers) / 2
    axes.set_xlim(-0.25, layers[-1].x + 0.25)
    axes.set_ylim(-half, half + (2 * ARC / room.row if skips else 0.0))
    _captions(axes, network, layers, gap, turned=room.turned)
    _legend(axes, largest, bool(skips))
    axes.set_axis_off()
    return axes


@dataclass(frozen=True)
class _Layer:
    """Layer l: which units are drawn, where, in how many slots, and where an ellipsis is."""

    l: int
    x: float
    units: NDArray[np.intp]
    y: NDArray[np.float64]
    slots: int
    gap: float | None


def _shown(m: int, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp], int | None]:
    """Return which of m things are drawn, in which slots, and the slot of an ellipsis."""
    if m <= most:
        return np.arange(m), np.arange(m), None
    first = (most + 1) // 2
    shown = np.concatenate([np.arange(first), np.arange(m - (most - first), m)])
    return shown, np.delete(np.arange(most + 1), first), first


def _place(sizes: tuple[int, ...], units: int, depth: int) -> tuple[list[_Layer], int | None]:
    """Return the layers that are drawn, and where an ellipsis stands for others."""
    shown, columns, missing = _shown(len(sizes), depth)
    layers = []
    for l, x in zip(shown.tolist(), columns.tolist(), strict=True):
        chosen, slots, gap = _shown(sizes[l], units)
        n = slots.size + (gap is not None)
        middle = (n - 1) / 2
        y = middle - slots.astype(np.float64)
        layers.append(_Layer(l, x, chosen, y, n, None if gap is None else middle - gap))
    return layers, missing


@dataclass(frozen=True)
class _Room:
    """What there is room for, in points.

    Between layers and rows, for circles and lines; whether captions are turned; names as shown.
    """

    step: float
    row: float
    size: float
    widest: float
    turned: bool
    inputs: list[str]
    outputs: list[str]


def _room(ax: Axes, layers: list[_Layer], inputs: list[str], outputs: list[str]) -> _Room:
    width, height = _axes.extent(ax)
    longest = min(_axes.LONGEST, max(int(0.3 * width / LETTER), 6))
    left, right = (
        [_axes.shorten(names[unit], longest) for unit in layer.units]
        for names, layer in ((inputs, layers[0]), (outputs, layers[-1]))
    )
    taken = LETTER * (max(map(len, left)) + max(map(len, right)))
    step = (width - taken) / (layers[-1].x + 0.5)
    turned = step < CAPTION
    # 60 or 100 for the legend and the captions.
    height = max(height - (100.0 if turned else 60.0), 0.3 * height)
    row = height / max(layer.slots for layer in layers)
    size = min(0.6 * row, 0.4 * step, LARGEST)
    return _Room(step, row, size, min(WIDEST, size / 4), turned, left, right)


def _parts(
    network: _core.Core, layers: list[_Layer]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return what is drawn of w^(l) and b^(l), without weights from a layer that is left out."""
    weights, biases = _layers.views(network.layers, network._parameters)
    parts = []
    for before, layer in pairwise(layers):
        w, b = weights[layer.l - 1], biases[layer.l - 1]
        rows = before.units if before.l == layer.l - 1 else before.units[:0]
        parts.append((w[np.ix_(rows, layer.units)], b[layer.units]))
    return parts


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
        if not chosen.size:
            continue
        chosen = chosen[np.argsort(np.abs(widths[chosen]), kind="stable")]
        lines = LineCollection(
            list(segments[chosen]),
            linewidths=np.abs(widths[chosen]),
            colors=colour,
            linestyles=[style],
            zorder=1,
        )
        ax.add_collection(lines, autolim=False)


def _units(ax: Axes, layer: _Layer, rings: NDArray[np.float64] | None, size: float) -> None:
    """Draw the units of a layer, with rings of these signed widths where there are biases."""
    widths = np.zeros(layer.units.size) if rings is None else rings
    ax.scatter(
        np.full(layer.y.size, layer.x),
        layer.y,
        s=size**2,
        facecolors="0.85" if rings is None else "white",
        edgecolors=[POSITIVE if b > 0 else NEGATIVE if b < 0 else NEUTRAL for b in widths],
        linestyles=[DASHES if b < 0 else "solid" for b in widths],
        linewidths=np.maximum(np.abs(widths), OUTLINE).tolist(),
        zorder=2,
    )
    if layer.gap is not None:
        dots = layer.gap + np.array([-0.22, 0.0, 0.22])
        ax.plot([layer.x] * 3, dots, ".", color="black", markersize=min(size / 3, 3.0), zorder=2)


def _write(ax: Axes, layer: _Layer, names: list[str], side: int, size: float) -> None:
    """Write the names of inputs left of their units, of outputs right of them."""
    for name, y in zip(names, layer.y, strict=True):
        ax.annotate(
            name,
            (layer.x, float(y)),
            (side * (size / 2 + 4), 0),
            textcoords="offset points",
            ha="right" if side < 0 else "left",
            va="center",
            fontsize="small",
            annotation_clip=False,
            parse_math=False,
        )


def _captions(
    ax: Axes, network: _core.Core, layers: list[_Layer], gap: int | None, *, turned: bool
) -> None:
    """Write under each layer how many units it has, and their activation."""
    kinds = ["inputs", *["units"] * len(network.activation), "outputs"]
    activations = ["", *network.activation, network.output]
    captions = []
    for layer in layers:
        m, kind, activation = network.layers[layer.l], kinds[layer.l], activations[layer.l]
        kind = kind if m > 1 else kind[:-1]
        lines = [f"{m:,}", activation or kind] if turned else [f"{m:,} {kind}", activation]
        captions.append((layer.x, lines))
    if gap is not None:
        captions.append((gap, [f"{len(kinds) - len(layers):,} more", "layers"]))
    for x, lines in captions:
        text = (" " if turned else "\n").join(lines).rstrip()
        ax.annotate(
            text,
            (x, ax.get_ylim()[0]),
            (0, -2),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize="small",
            rotation=90 if turned else 0,
            annotation_clip=False,
        )


def _skip(ax: Axes, before: _Layer, layer: _Layer, room: _Room) -> None:
    """Draw an arc over a layer whose activation is added to that of the one before."""
    arrow = {
        "arrowstyle": "-|>",
        "connectionstyle": f"arc3,rad={-2 * ARC / room.step:.3f}",
        "color": NEUTRAL,
        "linewidth": 1.2,
        "shrinkA": room.size / 2 + 2,
        "shrinkB": room.size / 2 + 2,
    }
    ax.annotate("", (layer.x, layer.y[0]), (before.x, before.y[0]), arrowprops=arrow, zorder=3)


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
