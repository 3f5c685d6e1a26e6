"""The cases that the tests run through: activations, losses, networks with data for them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from deltaloop._activations import TRAINABLE
from deltaloop.reference import Reference, permutation, raw_words

HIDDEN = ("sigmoid", "tanh", "relu", "identity")
MORE_HIDDEN = tuple(name for name in TRAINABLE if name not in HIDDEN)

# Every pair of a loss and an output activation that has a gradient, and a number of outputs for it.
PAIRS = (
    ("squared_error", "sigmoid", 3),
    ("squared_error", "tanh", 3),
    ("squared_error", "relu", 3),
    ("squared_error", "identity", 3),
    ("squared_error", "softmax", 3),
    ("cross_entropy", "softmax", 3),
    ("cross_entropy", "sigmoid", 1),
    ("binary_cross_entropy", "sigmoid", 2),
)
# The others. A loss with a parameter is its name and the parameter.
REGRESSION = (
    "squared_error",
    "absolute_error",
    "huber",
    ("huber", 0.3),
    "quantile",
    ("quantile", 0.8),
)
MORE_PAIRS = (
    *(
        (loss, output, 3)
        for loss in REGRESSION
        for output in (*HIDDEN, *MORE_HIDDEN, "softmax")
        if (loss, output, 3) not in PAIRS
    ),
    ("poisson", "exp", 2),
)
KINKED = ("relu", "leaky_relu")

# Initialisations by their distribution.
UNIFORM = ("uniform", "he_uniform", "glorot_uniform", "lecun_uniform")
NORMAL = ("he_normal", "glorot_normal", "lecun_normal")


@dataclass
class Case:
    """A network as constructor arguments, and data for it."""

    weights: list
    biases: list
    activation: tuple
    output: str
    loss: str | tuple
    X: np.ndarray
    Y: np.ndarray
    residual: bool = False

    def reference(self):
        named = self.loss if isinstance(self.loss, tuple) else (self.loss,)
        return Reference(
            self.weights,
            self.biases,
            self.activation,
            self.output,
            *named,
            residual=self.residual,
        )

    def network(self, seed=None):
        import deltaloop

        loss = self.loss
        if isinstance(loss, tuple):
            kinds = {"huber": deltaloop.Huber, "quantile": deltaloop.Quantile}
            loss = kinds[loss[0]](loss[1])
        return deltaloop.Network.from_weights(
            self.weights,
            self.biases,
            activation=list(self.activation),
            output=self.output,
            loss=loss,
            residual=self.residual,
            seed=seed,
        )


def make_case(layers, activation, output, loss, n, seed, residual=False):
    """A case of random weights and data in which z is of the order of 1.

    activation is one name or one per hidden layer. A relu is kept away from its kink: no z comes
    nearer to 0 than 1e-2 divided by the number of its instances and units, and some are above.
    """
    n_hidden = len(layers) - 2
    activation = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
    for attempt in itertools.count():
        rng = np.random.default_rng([seed, attempt])
        weights = [
            rng.normal(0, np.sqrt(1.5 / m_in), (m_in, m_out))
            for m_in, m_out in itertools.pairwise(layers)
        ]
        biases = [rng.uniform(-0.1, 0.4, m) for m in layers[1:]]
        X = rng.normal(size=(n, layers[0]))
        Y = targets(output, loss, n, layers, rng)
        case = Case(weights, biases, activation, output, loss, X, Y, residual)
        if not {*activation, output} & {*KINKED}:
            return case
        a = [X, *case.reference().activations(X)]
        z = [a_in @ w + b for a_in, w, b in zip(a, weights, biases, strict=False)]
        if all(
            np.abs(z_l).min() > 1e-2 / z_l.size and z_l.max() > 0
            for z_l, name in zip(z, (*activation, output), strict=True)
            if name in KINKED
        ):
            return case


def targets(output, loss, n, layers, rng):
    """Targets (n, m^(L)) for this loss, soft where it allows them."""
    Y = rng.uniform(0, 1, (n, layers[-1]))
    if loss in REGRESSION:
        return rng.normal(size=(n, layers[-1]))
    if loss == "poisson":
        return rng.poisson(1.5, (n, layers[-1])).astype(np.float64)
    if output == "softmax":
        return Y / Y.sum(axis=1, keepdims=True)
    return np.where(rng.uniform(size=Y.shape) < 0.5, Y.round(), Y)


def permutations(n, seed, position=0):
    """The orders of successive epochs: n - 1 words each."""
    for epoch in itertools.count():
        yield permutation(raw_words(seed, position + epoch * (n - 1), n - 1), n)


def xor_data():
    """The four instances of XOR, (4, 2), and their targets, (4, 1)."""
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return X, np.array([[0.0], [1.0], [1.0], [0.0]])
