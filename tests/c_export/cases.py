"""Random networks, and rows of all magnitudes, on which exported C is compared with deltaloop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import deltaloop as dl
from deltaloop import _activations

# The losses with the outputs that they ask for; "" is any activation.
LOSSES = {
    "squared_error": "", "absolute_error": "", "huber": "", "quantile": "",
    "cross_entropy": "softmax", "binary_cross_entropy": "sigmoid", "poisson": "exp",
}  # fmt: skip
SPECIAL = (
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2e-308,
    1e-310,
    1e308,
    -1e308,
    1e20,
    700.0,
    -745.0,
    np.inf,
    -np.inf,
)


@dataclass
class Case:
    """A network, and how it is trained on: a solver, or None."""

    name: str
    network: dl.Network
    solver: dl.solvers.Solver | None = None
    steps: int = 0


def network(number: int, trainable: bool = False) -> dl.Network:
    """The network of this number: 1 to 5 layers, each activation in turn, some scaled."""
    if number == 0:
        return near_one()
    rng = np.random.default_rng([17, number])
    names = _activations.TRAINABLE if trainable else _activations.HIDDEN
    depth = 1 + number % 5
    layers = [int(m) for m in rng.integers(1, 8, depth + 1)]
    activation = [names[(number + 5 * l) % len(names)] for l in range(depth - 1)]
    loss = str(rng.choice(list(LOSSES)))
    output = LOSSES[loss] or str(rng.choice(names))
    if output == "softmax" and layers[-1] == 1:
        layers[-1] = 3
    residual = depth > 1 and number % 3 == 0
    if residual:
        layers[1] = layers[0]
    options = {
        "activation": activation or "identity",
        "output": output,
        "loss": loss,
        "residual": residual,
    }
    net = dl.Network(layers, seed=number, init="glorot_uniform", **options)
    # From small weights to those that saturate every unit.
    net.parameters *= 10.0 ** rng.uniform(-1.0, 0.3 if trainable else 2.0)
    if number % 4 == 1:
        inputs, outputs = rng.uniform(0.5, 20.0, layers[0]), rng.uniform(0.5, 20.0, layers[-1])
        if output != "identity":  # outputs of other units have no units of measure
            net.scaling = dl.Scaling(inputs - 5, inputs, 0 * outputs, 0 * outputs + 1)
        else:
            net.scaling = dl.Scaling(inputs - 5, inputs, outputs - 5, outputs)
    return net


def near_one() -> dl.Network:
    """Outputs of 1e-10 to 2e-10: libgcc's 1 - a for 32-bit Arm is wrong for half of such a."""
    net = dl.Network([1, 3], output="sigmoid")
    net.weights[0][:] = [[0.1, 0.2, -0.1]]
    net.biases[0][:] = [-22.4, -22.5, -22.6]
    return net


def rows(inputs: int, count: int = 100) -> np.ndarray:
    """Rows for so many inputs, (count, inputs): numbers of all magnitudes, and special ones."""
    rng = np.random.default_rng([29, inputs])
    x = rng.standard_normal((count, inputs))
    x[count // 4 : count // 2] *= 10.0 ** rng.uniform(-320, 308, (count // 2 - count // 4, inputs))
    special = x[count // 2 : 3 * count // 4]
    special[:] = np.where(
        rng.random(special.shape) < 0.5, rng.choice(SPECIAL, special.shape), special
    )
    x[: min(count, len(SPECIAL))] = np.array(SPECIAL[:count])[:, None]
    return x


def targets(net: dl.Network, count: int) -> np.ndarray:
    """Targets that the network's loss takes, (count, outputs)."""
    rng = np.random.default_rng([31, net.layers[-1]])
    k = net.layers[-1]
    if net.output == "softmax":
        return np.eye(k)[rng.integers(0, k, count)]
    if LOSSES.get(str(net.loss)) == "sigmoid" or net.output == "sigmoid":
        return rng.integers(0, 2, (count, k)).astype(float)
    if net.loss == "poisson":
        return rng.integers(0, 5, (count, k)).astype(float)
    return rng.standard_normal((count, k))


SOLVERS = {
    "sgd": lambda: dl.GradientDescent(0.01),
    "momentum": lambda: dl.GradientDescent(0.005, momentum=0.9),
    "adam": lambda: dl.Adam(),
}


def training(number: int, steps: int = 1000) -> Case:
    """A network that is trained on, one row a step, with each of the solvers in turn."""
    solver = list(SOLVERS)[number % len(SOLVERS)]
    return Case(f"t{number}", network(number, trainable=True), SOLVERS[solver](), steps)
