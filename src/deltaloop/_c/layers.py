"""A network's layers as the file has them: constant weights, and the loops over a layer.

The sums of a layer's units are chains side by side, up to 32 in one loop, each in a variable of its
own: compilers take them together without a change of order. The weights of such columns lie
together, in the order in which the loop reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._c.texts import Names, rows

Floats = NDArray[np.float64]

DTYPES = ("float64", "float32")

# Columns up to which the loop is short enough to be a part of its caller.
NARROW = 8

# Columns that one loop takes at most: chains enough to hide the latency of an addition, few enough
# for the registers.
COLUMNS = 32


class Layer(NamedTuple):
    """A layer a = g(x w + b), + x where it is skipped."""

    w: Floats
    b: Floats
    activation: str
    skip: bool

    @property
    def m_in(self) -> int:
        return int(self.w.shape[0])

    @property
    def m_out(self) -> int:
        return int(self.w.shape[1])


class Plain(NamedTuple):
    """A network: its layers between two scalings, (offset, scale) or None, and its loss."""

    layers: tuple[Layer, ...]
    inputs: tuple[Floats, Floats] | None
    outputs: tuple[Floats, Floats] | None
    loss: str
    parameter: float | None

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.layers[0].m_in, *(layer.m_out for layer in self.layers))


def blocks(m: int) -> list[tuple[int, int]]:
    """Return the columns that a loop takes, (first, number), as even as fours allow."""
    number = -(-m // COLUMNS)
    size = min(m, -(-m // (4 * number)) * 4)
    return [(first, min(size, m - first)) for first in range(0, m, size)]


def weights(names: Names, name: str, w: Floats) -> str:
    """Return a constant array of w (m_in, m_out), block by block."""
    parts = [w[:, first : first + size].ravel() for first, size in blocks(w.shape[1])]
    return names.array(f"@{name}", np.concatenate(parts))


_LOOP = """
/* z_i = c_i + sum of x_k w_ki, k = 0, 1, ..., n - 1, for {m} columns; rows of w are `row` apart */
{kind} void @columns{m}(@@FIRST const REAL *w, size_t row, size_t n, const REAL *x,
    const REAL *c, REAL *z)
{{
    size_t k;
    REAL {variables};
    @@HIDDEN(c)
{first}
    for (k = 0; k < n; k++) {{
        const REAL a = x[k];
        const REAL *const v = &w[k * row];
        @@CHAINS
{steps}
    }}
{stored}
}}
"""


def loop(names: Names, m: int) -> str:
    """Return the function that sums m columns."""
    text = _LOOP.format(
        m=m,
        kind="@@INLINE" if m <= NARROW else "@@WIDE",
        variables=rows([f"s{i}" for i in range(m)]).strip(),
        first="\n".join(f"    s{i} = c[{i}];" for i in range(m)),
        steps="\n".join(f"        s{i} = @@FMA(a, v[{i}], s{i});" for i in range(m)),
        stored="\n".join(f"    z[{i}] = s{i};" for i in range(m)),
    )
    return names.fill(text)


# GCC would turn the loop around, from -O3 on, and add the chains' terms one at a time; and where
# the function is a part of another it would take results to where they are used one by one.
CHAINS = """
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#define @@CHAINS __asm__ volatile("");
#else
#define @@CHAINS
#endif
#if defined(__GNUC__) && !defined(@@DISPATCH)
#define @@WIDE static __attribute__((noinline))
#else
#define @@WIDE @@INLINE
#endif
"""


class Place(NamedTuple):
    """Where a layer's weights and biases are: arrays, and where in them, by rows or blocks."""

    w: str
    b: str
    at: int = 0
    bias_at: int = 0
    in_rows: bool = False

    def product(self, layer: Layer, x: str, z: str) -> str:
        """Return calls of the loops: z (m_out,) = b + x w."""
        m_in, m_out = layer.w.shape
        lines = []
        for first, size in blocks(m_out):
            at = self.at + (first if self.in_rows else first * m_in)
            row = m_out if self.in_rows else size
            biases = _at(self.b, self.bias_at + first)
            places = [_at(self.w, at), f"{row}", f"{m_in}", x, biases, _at(z, first)]
            lines.append(f"    @columns{size}(@@HANDED_ON {', '.join(places)});")
        return "\n".join(lines) + "\n"


def constant(l: int) -> Place:
    """Return where the constant weights of layer l are."""
    return Place(f"@w{l}", f"@b{l}")


def parameters(plain: Plain, array: str) -> list[Place]:
    """Return where the layers' weights are in an array in the order of ``Network.parameters``."""
    places, at = [], 0
    for layer in plain.layers:
        size = layer.m_in * layer.m_out
        places.append(Place(array, array, at, at + size, in_rows=True))
        at += size + layer.m_out
    return places


def transposed(l: int, layer: Layer, delta: str, carried: str, e: str, offset: str = "") -> str:
    """Return calls of the loops: e (m_in,) = carried, or 0, + delta w^T, from constant weights."""
    lines = []
    for first, size in blocks(layer.m_in):
        c = _at(carried, first) if carried else "@zeros"
        to = _at(e, first) if not offset else f"&{e}[{offset}{f' + {first}' if first else ''}]"
        places = [_at(f"@t{l}", first * layer.m_out), f"{size}", f"{layer.m_out}", delta, c, to]
        lines.append(f"    @columns{size}(@@HANDED_ON {', '.join(places)});")
    return "\n".join(lines) + "\n"


def _at(name: str, first: int) -> str:
    return f"&{name}[{first}]" if first else name


def loops(names: Names, widths: Sequence[int]) -> str:
    """Return the functions for layers of these widths."""
    sizes = sorted({size for m in widths for _, size in blocks(m)})
    return "\n\n".join([names.fill(CHAINS), *(loop(names, m) for m in sizes)])
