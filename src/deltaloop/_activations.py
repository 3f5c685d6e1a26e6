"""The activations, a row for each: what is known of one stands here and nowhere else.

Choices, messages, the command line, the estimators, ONNX, PyTorch and the table in
docs/reference/activations-and-losses.md derive from these rows. Not here: the functions themselves
(csrc/kernels/math.inc.h), their slow twins (reference.py), and what ONNX composes of several
operators (_onnx/activations.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Operator(NamedTuple):
    """An operator of ONNX with these attributes, of which the floats are float32 in files."""

    name: str
    attributes: Mapping[str, Any] = {}


class Module(NamedTuple):
    """A class of torch.nn, or of deltaloop.torch where torch.nn has none.

    `arguments` make one. One with other attributes is the same function if they have one of the
    values in `settings`, and at least those in `least`.
    """

    name: str
    arguments: Mapping[str, Any] = {}
    settings: Mapping[str, tuple[object, ...]] = {}
    least: Mapping[str, int] = {}


class Activation(NamedTuple):
    """One activation a = g(z)."""

    name: str
    formula: str  # g(z)
    derivative: str  # g'(z), as it is computed; "" where there is none
    of: str  # what it is computed from: "a", or "z" in feedforward, which then keeps it
    range: tuple[float, float]  # the least and the largest a, or the limits of a
    init: str  # of hidden units
    # What files are read by; they are written with the composition of _onnx/activations.py instead
    # where there is one.
    onnx: Operator | None = None
    torch: Module | None = None
    sklearn: str | None = None  # scikit-learn's name
    sklearn_hidden: bool = True  # whether its hidden layers can have it, not its outputs alone
    hidden: bool = True  # whether hidden layers can have it
    stays: bool = False  # outputs of a regression have it too if the hidden layers do


ROWS = (
    Activation(
        "sigmoid",
        "1 / (1 + exp(-z))",
        "a (1 - a)",
        of="a",
        range=(0.0, 1.0),
        init="uniform",
        onnx=Operator("Sigmoid"),
        torch=Module("Sigmoid"),
        sklearn="logistic",
        stays=True,
    ),
    Activation(
        "tanh",
        "tanh(z)",
        "(1 - a) (1 + a)",
        of="a",
        range=(-1.0, 1.0),
        init="glorot_uniform",
        onnx=Operator("Tanh"),
        torch=Module("Tanh"),
        sklearn="tanh",
        stays=True,
    ),
    Activation(
        "relu",
        "z, 0 for z < 0",
        "1, 0 for z <= 0",
        of="a",
        range=(0.0, math.inf),
        init="he_uniform",
        onnx=Operator("Relu"),
        torch=Module("ReLU"),
        sklearn="relu",
    ),
    Activation(
        "identity",
        "z",
        "1",
        of="a",
        range=(-math.inf, math.inf),
        init="glorot_uniform",
        sklearn="identity",  # in ONNX and PyTorch nothing stands for it
    ),
    Activation(
        "softmax",
        "exp(z_j) / sum_k exp(z_k), outputs only",
        "a_j (e_j - sum_k a_k e_k) for e = dC/da",
        of="a",
        range=(0.0, 1.0),
        init="glorot_uniform",
        onnx=Operator("Softmax", {"axis": -1}),
        torch=Module("Softmax", {"dim": -1}, {"dim": (-1, 1, None)}),
        sklearn="softmax",
        sklearn_hidden=False,
        hidden=False,
    ),
    Activation(
        "step",
        "1 if z > 0 else 0",
        "",
        of="",
        range=(0.0, 1.0),
        init="uniform",
        torch=Module("Step"),
        stays=True,
    ),
    Activation(
        "leaky_relu",
        "z, 0.01 z for z < 0",
        "1, 0.01 for z <= 0",
        of="a",
        range=(-math.inf, math.inf),
        init="he_uniform",
        onnx=Operator("LeakyRelu", {"alpha": 0.01}),
        torch=Module("LeakyReLU", {"negative_slope": 0.01}, {"negative_slope": (0.01,)}),
    ),
    Activation(
        "elu",
        "z, exp(z) - 1 for z < 0",
        "1, a + 1 for z <= 0",
        of="a",
        range=(-1.0, math.inf),
        init="he_uniform",
        onnx=Operator("Elu", {"alpha": 1.0}),
        torch=Module("ELU", {}, {"alpha": (1.0,)}),
    ),
    Activation(
        "softplus",
        "log(1 + exp(z))",
        "1 - exp(-a), by exp(x) - 1 without loss of digits",
        of="a",
        range=(0.0, math.inf),
        init="he_uniform",
        onnx=Operator("Softplus"),
        # PyTorch's is z itself where z is above the threshold: 2e-9 off for its default of 20,
        # 4e-18 for 40.
        torch=Module("Softplus", {"threshold": 40.0}, {"beta": (1.0,)}, {"threshold": 20}),
    ),
    Activation(
        "silu",
        "z s, s = sigmoid(z)",
        "s (1 + z sigmoid(-z))",
        of="z",
        range=(-0.2784645427610738, math.inf),
        init="he_uniform",
        onnx=Operator("Swish", {"alpha": 1.0}),
        torch=Module("SiLU"),
    ),
    Activation(
        "gelu",
        "z Phi(z), Phi the normal distribution function (by erfc, not by tanh)",
        "Phi(z) + z exp(-z^2/2) / sqrt(2 pi)",
        of="z",
        range=(-0.16997120747990369, math.inf),
        init="he_uniform",
        onnx=Operator("Gelu", {"approximate": "none"}),
        torch=Module("GELU", {}, {"approximate": ("none",)}),
    ),
    Activation(
        "exp",
        "exp(z)",
        "a",
        of="a",
        range=(0.0, math.inf),
        init="glorot_uniform",
        onnx=Operator("Exp"),
        torch=Module("Exp"),
        sklearn="exp",
        sklearn_hidden=False,
    ),
    Activation(
        "mish",
        "z t, t = tanh(log(1 + exp(z)))",
        "t + z (1 - t^2) sigmoid(z)",
        of="z",
        range=(-0.30884341301725041, math.inf),
        init="he_uniform",
        onnx=Operator("Mish"),
        torch=Module("Mish"),
    ),
)

ACTIVATIONS = {row.name: row for row in ROWS}
HIDDEN = tuple(row.name for row in ROWS if row.hidden)
TRAINABLE = tuple(row.name for row in ROWS if row.hidden and row.derivative)
