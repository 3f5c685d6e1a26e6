"""The way back through the layers, which the Jacobian and training share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deltaloop._c import forward
from deltaloop._c.functions import KEPT
from deltaloop._c.layers import Layer, Place, Plain

# Derivatives whose text takes FMA.
_LONG = ("softplus",)

# Those without one: g' = 1.
_NONE = ("identity",)


def check(plain: Plain, what: str) -> None:
    """Raise ValueError if an activation has no derivative."""
    for l, layer in enumerate(plain.layers, start=1):
        if layer.activation == "step":
            raise ValueError(f"{what} needs derivatives, and the step units of layer {l} have none")


class Room(NamedTuple):
    """The buffers that a function cuts out of its workspace."""

    lines: tuple[str, ...]  # their declarations
    size: int
    x: str  # the inputs, scaled
    kept: tuple[bool, ...]  # whether feedforward keeps g'(z) of a layer

    @staticmethod
    def of(plain: Plain, array: str, start: int = 0, spare: bool = False) -> Room:
        """Cut up what begins at a place of an array; `spare`: with two buffers for deltas."""
        lines, at = [], start

        def cut(name: str, size: int) -> None:
            nonlocal at
            lines.append(f"    REAL *const {name} = {f'&{array}[{at}]' if at else array};")
            at += size

        if plain.inputs is not None:
            cut("a0", plain.sizes[0])
        kept = tuple(
            layer.activation in KEPT or (layer.skip and layer.activation not in _NONE)
            for layer in plain.layers
        )
        for l, layer in enumerate(plain.layers, start=1):
            cut(f"a{l}", layer.m_out)
            if kept[l - 1]:
                cut(f"d{l}", layer.m_out)
        cut("delta", max(plain.sizes[1:]))
        if spare or len(plain.layers) > 1:
            cut("before", max(plain.sizes[1:]))
        carried = [layer.m_out for layer in plain.layers if layer.skip]
        if carried:
            cut("carried", max(carried))
        return Room(tuple(lines), at - start, "x" if plain.inputs is None else "a0", kept)


def feedforward(plain: Plain, room: Room, places: Sequence[Place], linear: bool = False) -> str:
    """Return what computes a1, a2, ... and keeps g'; `linear` leaves the outputs' g out."""
    body = ""
    if plain.inputs is not None:
        body += forward.scaled(plain.sizes[0], "input", "a0")
    previous = room.x
    for l, (layer, place) in enumerate(zip(plain.layers, places, strict=True), start=1):
        to = f"a{l}"
        body += place.product(layer, previous, to)
        if not (linear and l == len(places)):
            body += _activated(layer, l, room.kept[l - 1])
        body += forward.skip(layer.m_out, previous, to) if layer.skip else ""
        previous = to
    return body


def _activated(layer: Layer, l: int, keeps: bool) -> str:
    if not keeps:
        return forward.activation(layer.activation, layer.m_out, f"a{l}")
    if layer.activation in KEPT:
        step = f"a{l}[i] = @{layer.activation}_both(@@HANDED_ON a{l}[i], &d{l}[i]);"
    else:
        step = None
    if step is not None:
        return f"    for (i = 0; i < {layer.m_out}; i++) {{\n        {step}\n    }}\n"
    return (
        forward.activation(layer.activation, layer.m_out, f"a{l}")
        + f"    for (i = 0; i < {layer.m_out}; i++) {{\n"
        f"        d{l}[i] = {_delta(layer.activation, f'a{l}[i]', '1.0~')};\n    }}\n"
    )


def _delta(activation: str, a: str, e: str) -> str:
    if activation in _NONE:
        return e
    handed = "@@HANDED_ON " if activation in _LONG else ""
    return f"@{activation}_delta({handed}{a}, {e})"


def times_derivative(layer: Layer, l: int, keeps: bool, e: str) -> str:
    """Return e g'(z) of unit i of layer l, for e of that unit."""
    if keeps:
        return f"{e} * d{l}[i]"
    return _delta(layer.activation, f"a{l}[i]", e)


def hidden(layer: Layer, l: int, keeps: bool, e: str, delta: str) -> str:
    """Return what makes delta of e, for hidden layer l."""
    body = ""
    if layer.activation in _NONE and e == delta:
        return body
    return (
        f"    for (i = 0; i < {layer.m_out}; i++) {{\n"
        f"        {delta}[i] = {times_derivative(layer, l, keeps, f'{e}[i]')};\n    }}\n"
    )
