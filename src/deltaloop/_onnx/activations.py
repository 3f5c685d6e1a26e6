"""The activations in ONNX's operators, for the writer and the reader of graphs alike.

A form composes g(z) of nodes. The writer runs it to make them; the reader runs it to see which
expression of z they would make, and so knows one it meets again. The first form of an activation is
what is written: in float64 and of operators that ONNX Runtime's CPU provider has in float64, which
leaves out Elu, Softplus, Gelu and Erf. The attribute alpha of LeakyRelu is a float32, 2e-8 off
0.01. The others are what exporters write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from deltaloop._activations import ACTIVATIONS, Activation, Operator

V = TypeVar("V")


class Graph(Protocol[V]):
    """Makes nodes of one output each: of names for the writer, of values for the reader."""

    def node(self, op: str, *inputs: V, **attributes: Any) -> V:
        """Apply an operator."""

    def constant(self, number: float) -> V:
        """Return a scalar."""


Form = Callable[[Graph[Any], Any], Any]

# TensorProto.DOUBLE and FLOAT
FLOAT64, FLOAT32 = 11, 1

# exp(t^2/2) Phi(-t) = P(q) / (t + 4), q = (t - 4) / (t + 4): the coefficients of P, lowest power
# first, which csrc/kernels/coefficients.py computes; the relative error of P is 1e-17 for t <= 39.
_TAIL = [
    float.fromhex(text)
    for text in (
        "0x1.82b4bb8c94dcep-1",
        "-0x1.373e3a893c28ap-1",
        "0x1.8c6dbf2cfc2b1p-2",
        "-0x1.7dff2bff683bbp-3",
        "0x1.eec4cc3e4d76dp-5",
        "-0x1.ee27610478a13p-8",
        "-0x1.c81719d5abebbp-9",
        "0x1.ab825fbfb5191p-10",
        "0x1.17a4ae7257d24p-13",
        "-0x1.e4a42522fcc5ap-13",
        "-0x1.001eb96cb8942p-19",
        "0x1.26d093bf25658p-15",
        "0x1.80b857d2a3a45p-21",
        "-0x1.8d4a85c3ba0f8p-18",
        "-0x1.51f5bba023cd9p-21",
        "0x1.123119f636ac5p-20",
        "0x1.2375ec7bd2692p-22",
        "-0x1.4ca3bb1417e88p-23",
        "-0x1.6d10fc41fd79fp-24",
        "0x1.c986a25d6286bp-27",
        "0x1.4c8a71d0048c8p-26",
        "0x1.fa491ded53c7fp-30",
        "-0x1.509a40dedfb86p-29",
        "-0x1.7d4d457a1155cp-31",
    )
]


@dataclass(frozen=True)
class Single:
    """The form that is one operator."""

    op: str
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, operator: Operator) -> Single:
        """Make the form of an operator, with its floats as files hold them."""
        return cls(
            operator.name,
            {
                key: _rounded(value) if isinstance(value, float) else value
                for key, value in operator.attributes.items()
            },
        )

    def __call__(self, g: Graph[V], z: V) -> V:
        return g.node(self.op, z, **self.attributes)


def _leaky_relu(g: Graph[V], z: V) -> V:
    """Compose max(z, 0.01 z)."""
    return g.node("Max", z, g.node("Mul", z, g.constant(0.01)))


def _elu(g: Graph[V], z: V) -> V:
    """Compose z for z > 0, else exp(z) - 1 = 2 t / (1 - t), t = tanh(z/2): nothing cancels."""
    t = g.node("Tanh", g.node("Mul", g.node("Min", z, g.constant(0.0)), g.constant(0.5)))
    expm1 = g.node("Div", g.node("Mul", t, g.constant(2.0)), g.node("Sub", g.constant(1.0), t))
    return g.node("Where", g.node("Greater", z, g.constant(0.0)), z, expm1)


def _softplus(g: Graph[V], z: V) -> V:
    """Compose max(z, 0) + log(1 + u), u = exp(-|z|).

    What 1 + u loses of u is made up for by the factor u / ((1 + u) - 1); where all of it is lost,
    log(1 + u) is u.
    """
    u = g.node("Exp", g.node("Neg", g.node("Abs", z)))
    sum_ = g.node("Add", u, g.constant(1.0))
    kept = g.node("Sub", sum_, g.constant(1.0))
    log1p = g.node("Mul", g.node("Log", sum_), g.node("Div", u, kept))
    some = g.node("Greater", kept, g.constant(0.0))
    return g.node("Add", g.node("Max", z, g.constant(0.0)), g.node("Where", some, log1p, u))


def _silu(g: Graph[V], z: V) -> V:
    """Compose z sigmoid(z), where the limit of -760 keeps -inf from giving NaN."""
    return g.node("Mul", g.node("Max", z, g.constant(-760.0)), g.node("Sigmoid", z))


def _gelu(g: Graph[V], z: V) -> V:
    """Compose max(z, 0) - t Phi(-t), t = |z|, where beyond 40 the product is 0.

    t Phi(-t) = t P(q) / (t + 4) exp(-t^2/2).
    """
    t = g.node("Min", g.node("Abs", z), g.constant(40.0))
    d = g.node("Add", t, g.constant(4.0))
    q = g.node("Div", g.node("Sub", t, g.constant(4.0)), d)
    p = g.constant(_TAIL[-1])
    for c in _TAIL[-2::-1]:
        p = g.node("Add", g.node("Mul", p, q), g.constant(c))
    f = g.node("Div", p, d)
    exp = g.node("Exp", g.node("Mul", g.node("Mul", t, t), g.constant(-0.5)))
    w = g.node("Mul", g.node("Mul", f, t), exp)
    return g.node("Sub", g.node("Max", z, g.constant(0.0)), w)


def _mish(g: Graph[V], z: V) -> V:
    """Compose z w / (w + 2), w = e (e + 2), e = exp(z), where all sums are of what is positive.

    From 20 on the fraction is 1; the limit of -760 keeps -inf from giving NaN.
    """
    two = g.constant(2.0)
    e = g.node("Exp", g.node("Min", z, g.constant(20.0)))
    w = g.node("Mul", e, g.node("Add", e, two))
    return g.node(
        "Mul", g.node("Max", z, g.constant(-760.0)), g.node("Div", w, g.node("Add", w, two))
    )


def _step(g: Graph[V], z: V) -> V:
    """Compose 1 if z > 0 else 0."""
    return g.node("Cast", g.node("Greater", z, g.constant(0.0)), to=FLOAT64)


def _gelu_of_erf(op: str, number: float, halved: str) -> Form:
    """Compose z/2 (1 + erf(z / sqrt(2))): with this root, and one of three values halved."""

    def half(g: Graph[V], value: V, name: str) -> V:
        return g.node("Mul", value, g.constant(0.5)) if name == halved else value

    def form(g: Graph[V], z: V) -> V:
        scaled = g.node(op, z, g.constant(number))
        sum_ = half(g, g.node("Add", g.node("Erf", scaled), g.constant(1.0)), "sum")
        return half(g, g.node("Mul", half(g, z, "z"), sum_), "product")

    return form


def _softplus_above_20(g: Graph[V], z: V) -> V:
    """Compose the softplus of PyTorch: beyond 20 it is z, 2e-9 off."""
    above = g.node("Greater", z, g.constant(20.0))
    return g.node("Where", above, z, g.node("Softplus", z))


def _rounded(number: float) -> float:
    return float(np.float32(number))


# What is written instead of an operator: ONNX Runtime has none in float64, or it is not exact.
_COMPOSED: Mapping[str, Form] = {
    "identity": lambda g, z: z,
    "step": _step,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "silu": _silu,
    "gelu": _gelu,
    "mish": _mish,
}
# What others write, beside the operator.
_OTHERS: Mapping[str, tuple[Form, ...]] = {
    "relu": (lambda g, z: g.node("Max", z, g.constant(0.0)),),
    "softplus": (_softplus_above_20,),
    "silu": (lambda g, z: g.node("Mul", z, g.node("Sigmoid", z)),),
    "gelu": tuple(
        _gelu_of_erf(op, number, halved)
        for op, root in (("Div", math.sqrt(2.0)), ("Mul", math.sqrt(0.5)))
        for number in (root, _rounded(root))
        for halved in ("z", "sum", "product")
    ),
    "mish": (lambda g, z: g.node("Mul", z, g.node("Tanh", g.node("Softplus", z))),),
}


def _forms(row: Activation) -> tuple[Form, ...]:
    """Return all forms of an activation: first the one that is written."""
    composed = _COMPOSED.get(row.name)
    return (
        *([composed] if composed else []),
        *([Single.of(row.onnx)] if row.onnx else []),
        *_OTHERS.get(row.name, ()),
    )


FORMS: Mapping[str, tuple[Form, ...]] = {name: _forms(row) for name, row in ACTIVATIONS.items()}
