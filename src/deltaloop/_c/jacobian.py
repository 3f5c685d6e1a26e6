"""Derivatives of the outputs by the inputs: ``NAME_jacobian``.

One way back for each output, by constant weights that are transposed once more, so that the sums
are chains side by side there too: the file has every weight twice.
"""

from __future__ import annotations

from deltaloop._c import backward
from deltaloop._c import layers as _layers
from deltaloop._c.backward import Room
from deltaloop._c.layers import Place, Plain
from deltaloop._c.texts import Names, paragraphs

DECLARED = """
#define @@JACOBIAN_WORKSPACE {workspace} /* numbers that @jacobian needs to work with */

/* dydx (@@OUTPUTS, @@INPUTS), row by row: the derivative of each output by each input, at x */
void @jacobian(const REAL *x, REAL *dydx, REAL *workspace);
"""

PARAMETERS = "const REAL *x, REAL *dydx, REAL *workspace"

_HEAD = f"@@INLINE void @derivatives(@@FIRST {PARAMETERS})"


def constants(names: Names, plain: Plain) -> str:
    """Return the transposed weights, and zeros to begin sums with."""
    zeros = f"static const REAL @zeros[{_layers.COLUMNS}] = {{0}};"
    parts = [
        _layers.weights(names, f"t{l}", layer.w.T) for l, layer in enumerate(plain.layers, start=1)
    ]
    return names.fill(paragraphs(zeros, *parts))


def workspace(plain: Plain) -> int:
    """Return how many numbers the function needs to work with."""
    return Room.of(plain, "workspace").size


def derivatives(plain: Plain, places: list[Place]) -> str:
    """Return the function's template."""
    room, number = Room.of(plain, "workspace"), len(plain.layers)
    m0, m = plain.sizes[0], plain.sizes[-1]
    body = backward.feedforward(plain, room, places)
    back = _outputs(plain, room)
    delta, before = "delta", "before"
    for l in range(number, 1, -1):
        layer, previous = plain.layers[l - 1], plain.layers[l - 2]
        carried = "carried" if layer.skip else ""
        e = "carried" if previous.skip else before
        back += _layers.transposed(l, layer, delta, carried, e)
        back += backward.hidden(previous, l - 1, room.kept[l - 2], e, before)
        delta, before = before, delta
    first = plain.layers[0]
    carried = "carried" if first.skip else ""
    back += _layers.transposed(1, first, delta, carried, "dydx", offset=f"k * {m0}")
    back += _unscaled(plain)
    loop = "\n".join(f"    {line}" if line else "" for line in back.rstrip("\n").split("\n"))
    return "\n".join(
        [
            _HEAD,
            "{",
            *room.lines,
            "    size_t i, k;",
            body.rstrip("\n"),
            f"    for (k = 0; k < {m}; k++) {{",
            loop,
            "    }",
            "}",
        ]
    )


def _outputs(plain: Plain, room: Room) -> str:
    """Return what makes delta of output k."""
    last, l, m = plain.layers[-1], len(plain.layers), plain.sizes[-1]
    unit = "(i == k ? 1.0~ : 0.0~)"
    if last.activation == "softmax":
        term = f"a{l}[k] * @@DIFF({unit}, a{l}[i])"
    else:
        term = backward.times_derivative(last, l, room.kept[-1], unit)
    return f"    for (i = 0; i < {m}; i++) {{\n        delta[i] = {term};\n    }}\n"


def _unscaled(plain: Plain) -> str:
    """Return what brings row k into the caller's units."""
    body = ""
    place = f"dydx[k * {plain.sizes[0]} + i]"
    if plain.outputs is not None:
        body += f"        {place} *= @output_scale[k];\n"
    if plain.inputs is not None:
        body += f"        {place} /= @input_scale[i];\n"
    return body and f"    for (i = 0; i < {plain.sizes[0]}; i++) {{\n{body}    }}\n"
