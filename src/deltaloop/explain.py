"""One instance on its way through a network: the numbers of backpropagation, layer by layer.

Nothing is computed here that training computes otherwise: all numbers come from the core.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import layers as _layers

if TYPE_CHECKING:
    from deltaloop.network import Network

__all__ = ["Explanation", "LayerExplanation"]

Floats = NDArray[np.float64]

# Units and inputs of a layer that a table shows; of more it shows the first ones.
SHOWN = 12


@dataclass(frozen=True, eq=False)
class LayerExplanation:
    """One layer, l = 1..L, for one instance.

    Attributes
    ----------
    layer : int
        l.
    activation : str
        g, by its name.
    z, a : ndarray, shape (m^(l),)
        z^(l) = b^(l) + a^(l-1) w^(l), and a^(l) = g(z^(l)), with a^(l-1) added where it is skipped.
    slope : ndarray, shape (m^(l),)
        g'(z^(l)). Of softmax, whose derivative is a matrix, its diagonal a (1 - a).
    delta : ndarray, shape (m^(l),)
        dC/dz^(l).
    dC_dw : ndarray, shape (m^(l-1), m^(l))
        a^(l-1)T delta^(l).
    dC_db : ndarray, shape (m^(l),)
        delta^(l).

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
    >>> layer = net.explain([3.0], [5.0]).layers[0]
    >>> layer.z, layer.delta, layer.dC_dw
    (array([7.]), array([2.]), array([[6.]]))
    """

    layer: int
    activation: str
    z: Floats
    a: Floats
    slope: Floats
    delta: Floats
    dC_dw: Floats
    dC_db: Floats


@dataclass(frozen=True, eq=False)
class Explanation:
    """What `Network.explain` returns; shown as a table, in a notebook as HTML.

    Attributes
    ----------
    x : ndarray, shape (m0,)
        The instance, as the layers see it.
    y : ndarray, shape (mL,)
        The targets, likewise.
    cost : float
        C of this instance.
    layers : tuple of LayerExplanation
        Of layer 1 to L.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
    >>> explanation = net.explain([3.0], [5.0])
    >>> explanation.cost, len(explanation.layers)
    (2.0, 1)
    """

    x: Floats
    y: Floats
    cost: float
    layers: tuple[LayerExplanation, ...]

    def __repr__(self) -> str:
        lines = [f"x = {_vector(self.x)}", f"y = {_vector(self.y)}"]
        for layer in self.layers:
            head, rows, note = _table(layer)
            lines += ["", f"layer {layer.layer}, {layer.activation}", *_text([head, *rows])]
            lines += [note] if note else []
        return "\n".join([*lines, "", f"C = {_number(self.cost)}"])

    def _repr_html_(self) -> str:
        parts = [f"<p>x = {_vector(self.x)}<br>y = {_vector(self.y)}</p>"]
        for layer in self.layers:
            head, rows, note = _table(layer)
            cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
            body = "".join(
                "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            caption = f"layer {layer.layer}, {html.escape(layer.activation)}"
            parts.append(
                f"<table><caption>{caption}</caption><thead><tr>{cells}</tr></thead>"
                f"<tbody>{body}</tbody></table>"
            )
            parts += [f"<p>{html.escape(note)}</p>"] if note else []
        return "".join([*parts, f"<p>C = {_number(self.cost)}</p>"])


def explain(network: Network, x: ArrayLike, y: ArrayLike) -> Explanation:
    """Return the numbers of one instance; the arguments are those of ``Network.explain``."""
    given = _arrays.plain("y", y)
    rows, targets, labels = _arrays.batch(network, _arrays.numbers("x", x), given, "x", "y")
    if rows.shape[0] != 1:
        raise ValueError(f"x must be one instance, got {rows.shape[0]}; take a row of it")
    net, scaling = network._frozen(), network.scaling
    instance = np.array(rows, dtype=np.float64)
    if labels:
        wanted = np.zeros((1, net.layers[-1]))
        wanted[0, int(targets[0])] = 1.0
    else:
        wanted = np.array(targets, dtype=np.float64)
    if scaling is not None:
        net.scaling = None
        instance = (instance - scaling.input_offset) / scaling.input_scale
        if not labels:
            wanted = (wanted - scaling.output_offset) / scaling.output_scale
    cost, gradient = net.gradient(instance, targets if labels else wanted)
    dw, db = _layers.views(net.layers, gradient)
    activations = net.activations(instance)
    layers = []
    before = instance
    for l, a in enumerate(activations):
        name = net.activation[l] if l < len(net.activation) else net.output
        z = _linear(net, l, before)
        # For one instance dC/db is delta: the sum over instances has one term.
        parts = (a[0], _slope(net, name, z, a), db[l], dw[l], db[l])
        layers.append(LayerExplanation(l + 1, name, z[0], *parts))
        before = a
    return Explanation(instance[0], wanted[0], cost, tuple(layers))


def _linear(net: Network, l: int, previous: Floats) -> Floats:
    """Return z (1, m) of a layer: what it alone predicts without its activation, bit for bit."""
    w, b = net.weights[l], net.biases[l]
    return type(net).from_weights([w], [b], activation="identity").predict(previous)


def _slope(net: Network, name: str, z: Floats, a: Floats) -> Floats:
    """Return g'(z), from the derivative of a network of one unit by its input."""
    if name == "softmax":
        diagonal: Floats = a[0] * (1.0 - a[0])
        return diagonal
    unit = type(net).from_weights([[[1.0]]], [[0.0]], activation=name, output=name)
    return unit.jacobian(z.reshape(-1, 1), wrt="inputs").reshape(-1)


def _table(layer: LayerExplanation) -> tuple[list[str], list[list[str]], str]:
    """Return the head, the rows and a note of a layer's table: one row a unit."""
    m_in, m = layer.dC_dw.shape
    inputs = range(min(m_in, SHOWN))
    head = ["j", "z", "a", "g'(z)", "delta", "dC/db", *(f"dC/dw[{i}, j]" for i in inputs)]
    rows = []
    for j in range(min(m, SHOWN)):
        columns = (layer.z, layer.a, layer.slope, layer.delta, layer.dC_db)
        weights = (layer.dC_dw[i, j] for i in inputs)
        rows.append([str(j), *(_number(c[j]) for c in columns), *map(_number, weights)])
    return head, rows, " and ".join(_left_out(m, m_in))


def _left_out(m: int, m_in: int) -> Iterator[str]:
    if m > SHOWN:
        yield f"{m - SHOWN} more units"
    if m_in > SHOWN:
        yield f"{m_in - SHOWN} more columns of dC/dw"


def _text(rows: list[list[str]]) -> list[str]:
    """Return the lines of a table, columns to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _number(value: float) -> str:
    return f"{float(value):.5g}"


def _vector(values: Floats) -> str:
    more = f", ... ({len(values)})" if len(values) > SHOWN else ""
    return "(" + ", ".join(map(_number, values[:SHOWN])) + more + ")"
