"""Predictions: ``NAME_predict``."""

from __future__ import annotations

from collections.abc import Sequence

from deltaloop._c import layers as _layers
from deltaloop._c.layers import Place, Plain
from deltaloop._c.texts import Names, paragraphs

# Activations whose text takes no FMA, and so no word on it.
EXACT = ("relu", "leaky_relu", "step")

SOFTMAX = """
@@INLINE void @softmax(@@FIRST size_t m, REAL *z)
{
    size_t j;
    REAL max = z[0], s = 0.0~;
    for (j = 1; j < m; j++) {
        max = (z[j] > max || z[j] != z[j]) ? z[j] : max;
    }
    for (j = 0; j < m; j++) {
        z[j] = @exp(@@HANDED_ON @@DIFF(z[j], max));
        s += z[j];
    }
    for (j = 0; j < m; j++) {
        z[j] /= s;
    }
}
"""

_SCALED = """
    for (i = 0; i < {m}; i++) {{
        {to}[i] = @@DIFF(x[i], @{which}_offset[i]) / @{which}_scale[i];
    }}
"""
_UNSCALED = """
    @@HIDDEN(offset)
    for (i = 0; i < {m}; i++) {{
        y[i] = @@SUM(y[i] * @output_scale[i], offset[i]);
    }}
"""


def constants(names: Names, plain: Plain) -> str:
    """Return weights, biases and scalings."""
    parts = [scalings(names, plain)]
    for l, layer in enumerate(plain.layers, start=1):
        parts.append(_layers.weights(names, f"w{l}", layer.w))
        parts.append(names.array(f"@b{l}", layer.b))
    return names.fill(paragraphs(*parts))


def scalings(names: Names, plain: Plain) -> str:
    """Return the offsets and scales of inputs and outputs."""
    parts = []
    for which, scaling in (("input", plain.inputs), ("output", plain.outputs)):
        if scaling is not None:
            parts.append(names.array(f"@{which}_offset", scaling[0]))
            parts.append(names.array(f"@{which}_scale", scaling[1]))
    return names.fill(paragraphs(*parts))


def activation(name: str, m: int, z: str) -> str:
    """Return what turns z (m,) into g(z)."""
    if name == "identity":
        return ""
    if name == "softmax":
        return f"    @softmax(@@HANDED_ON {m}, {z});\n"
    handed = "" if name in EXACT else "@@HANDED_ON "
    return f"    for (i = 0; i < {m}; i++) {{\n        {z}[i] = @{name}({handed}{z}[i]);\n    }}\n"


def skip(m: int, x: str, z: str) -> str:
    """Return what adds a layer's input to its output."""
    return f"    for (i = 0; i < {m}; i++) {{\n        {z}[i] = @@SUM({x}[i], {z}[i]);\n    }}\n"


def scaled(m: int, which: str, to: str) -> str:
    """Return what scales x."""
    return _SCALED.format(m=m, which=which, to=to).strip("\n") + "\n"


def unscaled(plain: Plain) -> str:
    """Return what brings the outputs y into the caller's units, if anything."""
    text = _UNSCALED.format(m=plain.sizes[-1]).strip("\n") + "\n"
    return "" if plain.outputs is None else text


def workspace(plain: Plain) -> tuple[int, int]:
    """Return how many numbers the two buffers have that layers take turns with."""
    kept = list(plain.sizes[:-1])
    if plain.inputs is None:
        kept[0] = 0
    return max(kept[1::2], default=0), max(kept[0::2], default=0)


def predict(names: Names, plain: Plain, head: str, places: Sequence[Place]) -> str:
    """Return the function that `head` begins, with weights at these places."""
    first, second = workspace(plain)
    lines = []
    if first:
        lines.append("    REAL *const first = workspace;")
    if second:
        lines.append(f"    REAL *const second = &workspace[{first}];")
    body = ""
    previous = "x"
    if plain.inputs is not None:
        previous = "second"
        body += scaled(plain.sizes[0], "input", previous)
    for l, (layer, place) in enumerate(zip(plain.layers, places, strict=True), start=1):
        to = "y" if l == len(places) else ("first" if l % 2 else "second")
        body += place.product(layer, previous, to)
        body += activation(layer.activation, layer.m_out, to)
        body += skip(layer.m_out, previous, to) if layer.skip else ""
        previous = to
    body += unscaled(plain)
    if plain.outputs is not None:
        lines.append("    const REAL *offset = @output_offset;")
    if "for (i" in body:
        lines.append("    size_t i;")
    if not (first or second):
        lines.append("    (void)workspace;")
    return "\n".join([head, "{", *lines, body.rstrip("\n"), "}"])


HEAD = "@@INLINE void @network(@@FIRST const REAL *x, REAL *y, REAL *workspace)"
