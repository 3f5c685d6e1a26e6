"""The file's test of itself: eight inputs, and the outputs that belong to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._c.functions32 import evaluated
from deltaloop._c.layers import Floats, Plain
from deltaloop._c.texts import BASE, Names

VECTORS = 8

# Rows that the error of float32 is measured on, in float64.
MEASURED = 256
# Weights of a first layer up to which its centre is solved for: milliseconds.
_MOST_SOLVED = 1_000_000

_TEST = """
/* Eight inputs - of random numbers, of zeros, near the least and the largest numbers - and what
 * @predict gives for them. */
{inputs}

{outputs}

int @self_test(void)
{{
    REAL workspace[@@WORKSPACE], y[@@OUTPUTS];
    size_t i, k;
    int v;
    for (v = 0; v < {vectors}; v++) {{
        i = (size_t)v;
        @predict(&@test_x[i * @@{given}], y, workspace);
        for (k = 0; k < @@OUTPUTS; k++) {{
            const REAL expected = @test_y[i * @@OUTPUTS + k];
            if (memcmp(&y[k], &expected, sizeof expected) != 0 &&
                !(y[k] != y[k] && expected != expected)) {{
                return v + 1;
            }}
        }}
    }}
    return 0;
}}
"""


def inputs(plain: Plain, dtype: str) -> Floats:
    """Return the eight rows of inputs, in the caller's units."""
    m = plain.sizes[0]
    x = np.zeros((VECTORS, m))
    tiny, huge = (1e-308, 1e308) if dtype == "float64" else (1e-38, 1e38)
    rng = np.random.default_rng(8)
    x[:4] = likely(plain, rng.standard_normal((4, m)))
    x[5] = rng.standard_normal(m) * tiny
    x[6] = rng.uniform(-1.0, 1.0, m) * huge
    x[7] = likely(plain, 10.0 * rng.standard_normal((1, m)))
    return x.astype(np.float32).astype(np.float64) if dtype == "float32" else x


def likely(plain: Plain, scaled: Floats) -> Floats:
    """Return rows of inputs that the scaling takes to these."""
    offset, scale = _folded(plain) if plain.inputs is None else plain.inputs
    scale = np.where(np.isfinite(scale), scale, 0.0)
    return np.asarray(offset + scale * scaled, dtype=np.float64)


def _folded(plain: Plain) -> tuple[Floats, Floats]:
    """Return the scaling of inputs that the first layer's weights tell of.

    Those of tables hold one. Inputs of this spread around this centre give its units values of
    about 1, which are not all saturated.
    """
    w, b = plain.layers[0].w, plain.layers[0].b
    m = len(w)
    size = np.sqrt(np.mean(w * w, axis=1) * m)
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.where(size > 0.0, 1.0 / size, 1.0)
    if not np.isfinite(scale).all() or w.size > _MOST_SOLVED:
        return np.zeros(m), np.where(np.isfinite(scale), scale, 1.0)
    centre = np.linalg.lstsq((w * scale[:, np.newaxis]).T, -b, rcond=1e-10)[0]
    return scale * centre, scale


def isa(names: Names) -> str:
    """Return a variant of the kernels that computes like the file. ValueError if there is none."""
    if names.arithmetic == BASE:
        return BASE
    known = [name for name in (_core.isa(), *_core.ISAS) if name != BASE]
    if not known:
        raise ValueError(
            "arithmetic='fma' needs a machine with FMA, which computes the file's test vectors; "
            "this one has none: arithmetic='base' gives the results of this machine"
        )
    return known[0]


def predicted(network: _core.Core, names: Names, plain: Plain, x: Floats) -> NDArray[Any]:
    """Return what the file gives for rows x, of its type."""
    if names.dtype == "float32":
        return _predict32(plain, x)
    network._compute_as(isa(names))
    return np.asarray(network.predict(x))


def _predict32(plain: Plain, x: Floats) -> NDArray[np.float32]:
    known = evaluated()
    with np.errstate(all="ignore"):
        a = x.astype(np.float32)
        if plain.inputs is not None:
            offset, scale = (part.astype(np.float32) for part in plain.inputs)
            a = (a - offset) / scale
        for layer in plain.layers:
            w, z = layer.w.astype(np.float32), layer.b.astype(np.float32)[np.newaxis]
            for k in range(layer.m_in):
                z = a[:, k, np.newaxis] * w[k] + z
            z = _activated(known, layer.activation, z)
            a = a + z if layer.skip else z
        if plain.outputs is not None:
            offset, scale = (part.astype(np.float32) for part in plain.outputs)
            a = a * scale + offset
    return np.asarray(a, dtype=np.float32)


def _activated(known: dict[str, Any], name: str, z: Any) -> Any:
    if name == "identity":
        return z
    if name != "softmax":
        return known[name](z)
    top = z[:, 0]
    for j in range(1, z.shape[1]):
        top = np.where((z[:, j] > top) | (z[:, j] != z[:, j]), z[:, j], top)
    e = known["exp"](z - top[:, np.newaxis])
    total = np.zeros(len(z), np.float32)
    for j in range(z.shape[1]):
        total = total + e[:, j]
    return e / total[:, np.newaxis]


def error(network: _core.Core, names: Names, plain: Plain) -> float:
    """Return how far float32 is from float64, at most, on likely inputs."""
    m = plain.sizes[0]
    x = likely(plain, np.random.default_rng(9).standard_normal((MEASURED, m)))
    x = x.astype(np.float32).astype(np.float64)
    wide = np.asarray(network.predict(x))
    narrow = predicted(network, names, plain, x).astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(wide - narrow)
        off[np.isnan(narrow) & ~np.isnan(wide)] = np.inf
        return float(np.nanmax(off, initial=0.0))


def test(names: Names, x: Floats, y: NDArray[Any]) -> str:
    """Return the function NAME_self_test, for what is given and what comes out."""
    return names.fill(
        _TEST.format(
            inputs=names.array("@test_x", x),
            outputs=names.array("@test_y", y),
            vectors=VECTORS,
            given="INPUTS",
        )
    )
