"""The problems that training is measured on: data, a network, and when it counts as solved.

Two kinds. A `Problem` is to be fitted to a mean squared error from many starts; six of them have
the shapes and goals of MathWorks' comparison of its training functions ("Choose a Multilayer Neural
Network Training Function"), whose own data are not public: which are real and which synthetic is
said at each. A `DataSet` has rows held out. What needs
scikit-learn imports it when it is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import deltaloop as dl
from deltaloop.datasets import load_digits

Floats = NDArray[np.float64]


def scaled(X: Floats) -> Floats:
    """Each column to [-1, 1]."""
    low, high = X.min(axis=0), X.max(axis=0)
    return 2 * (X - low) / (high - low) - 1


# ---- problems with a goal ----


@dataclass(frozen=True)
class Problem:
    """Tanh networks from Nguyen-Widrow starts; goals are mean squared errors over all of Y."""

    layers: tuple[int, ...]
    X: Floats
    Y: Floats
    goals: tuple[float, ...]
    about: str
    # Tuned by `training.py tune`: of gradient descent, of that with momentum 0.9, of Adam. The
    # first two are for means: they are divided by the number of rows.
    rates: tuple[float, float, float]
    output: str = "identity"
    cap: float = 0.5  # CPU seconds after which a run has failed

    def network(self, seed: int) -> dl.Network:
        return dl.Network(
            self.layers, activation="tanh", output=self.output, init="nguyen_widrow", seed=seed
        )

    def cost(self, mse: float) -> float:
        return 0.5 * self.Y.size * mse


def sinc() -> Problem:
    X = np.linspace(-1.0, 1.0, 1000).reshape(-1, 1)
    Y = np.sinc(10 * X / np.pi)
    goals = (1e-4, 1e-6, 1e-8, 1e-10)
    return Problem((1, 20, 1), X, Y, goals, "sin(10 x) / (10 x)", rates=(0.1, 0.3, 0.03))


def sine() -> Problem:
    X = np.linspace(-1.0, 1.0, 41).reshape(-1, 1)
    about = "one period of a sine"
    return Problem((1, 5, 1), X, np.sin(np.pi * X), (0.002,), about, rates=(0.3, 0.3, 0.03))


def parity(bits: int, *hidden: int, rates: tuple[float, float, float]) -> Problem:
    X = np.array(list(itertools.product((-1.0, 1.0), repeat=bits)))
    Y = X.prod(axis=1, keepdims=True)
    layers, about = (bits, *hidden, 1), "all patterns of -1 and 1, their product"
    return Problem(layers, X, Y, (0.001,), about, output="tanh", rates=rates)


def engine() -> Problem:
    """Two smooth outputs of two inputs and noise, as torque and emissions of speed and fuelling."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (1199, 2))
    u, v = X.T
    torque = np.tanh(3 * v) * (1 - 0.6 * u * u) + 0.3 * np.sin(4 * u)
    emissions = np.exp(-4 * (u - 0.3) ** 2) * v + 0.4 * np.cos(5 * v) * u
    Y = scaled(np.stack([torque, emissions], axis=1)) + rng.normal(scale=0.05, size=(1199, 2))
    about = "synthetic, noise of variance 0.0025"
    return Problem((2, 30, 2), X, Y, (0.005,), about, rates=(0.1, 0.1, 0.1))


def cancer() -> Problem:
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return Problem(
        (9, 5, 5, 2),
        scaled(X[:, :9]),
        np.eye(2)[y],
        (0.012,),
        "the first nine columns of scikit-learn's breast cancer data",
        output="sigmoid",
        rates=(10.0, 1.0, 0.01),
    )


def cholesterol() -> Problem:
    """Spectra of 21 channels with six latent bands, three smooth functions of these, noise."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(264, 6))
    channel = np.arange(21)[None, :]
    bands = np.exp(-0.5 * ((channel - np.linspace(0, 20, 6)[:, None]) / 3.0) ** 2)
    X = latent @ bands + rng.normal(scale=0.05, size=(264, 21))
    Y = np.tanh(latent @ rng.normal(scale=0.5, size=(6, 3)))
    Y += 0.3 * np.tanh(latent @ rng.normal(scale=0.7, size=(6, 3))) ** 2
    Y = scaled(Y) + rng.normal(scale=0.14, size=(264, 3))
    about = "synthetic, noise of variance 0.02"
    return Problem((21, 15, 3), scaled(X), Y, (0.027,), about, rates=(0.3, 0.3, 0.1))


def diabetes() -> Problem:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return Problem(
        (8, 15, 15, 2),
        scaled(X[:, :8]),
        np.eye(2)[(y > np.median(y)).astype(int)],
        (0.05,),
        "the first eight columns of scikit-learn's diabetes data, target above its median or not",
        output="sigmoid",
        rates=(10.0, 3.0, 0.1),
    )


def spirals() -> Problem:
    """The two spirals of Lang and Witbrock: 97 points each, three turns."""
    i = np.arange(97)
    angle, radius = i * np.pi / 16, (104 - i) / 104
    arm = np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])
    Y = np.repeat([1.0, -1.0], 97).reshape(-1, 1)
    return Problem(
        (2, 20, 10, 1),
        np.concatenate([arm, -arm]),
        Y,
        (0.01,),
        "97 points in each, three turns, targets 1 and -1",
        output="tanh",
        rates=(0.3, 0.1, 0.01),
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "SIN 1-5-1": sine,
    "ENGINE-like 2-30-2": engine,
    "CHOLESTEROL-like 21-15-3": cholesterol,
    "PARITY 3-10-10-1": lambda: parity(3, 10, 10, rates=(1.0, 1.0, 0.1)),
    "parity 4-8-1": lambda: parity(4, 8, rates=(3.0, 1.0, 0.3)),
    "parity 5-10-1": lambda: parity(5, 10, rates=(3.0, 1.0, 0.3)),
    "parity 6-12-1": lambda: parity(6, 12, rates=(3.0, 0.3, 0.1)),
    "parity 7-14-1": lambda: parity(7, 14, rates=(3.0, 1.0, 0.1)),
    "parity 8-16-1": lambda: parity(8, 16, rates=(1.0, 3.0, 0.03)),
    "CANCER 9-5-5-2": cancer,
    "DIABETES 8-15-15-2": diabetes,
    "two spirals 2-20-10-1": spirals,
}


# ---- data with rows held out ----


@dataclass(frozen=True)
class DataSet:
    """Standardised columns; a fifth of the rows is held out.

    `y` holds whole numbers for classes, or values that are standardised, too.
    """

    about: str
    X: Floats
    y: NDArray
    hidden: tuple[int, ...]
    activation: str = "tanh"

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1 if self.y.dtype.kind == "i" else 0

    def split(self) -> tuple[Floats, NDArray, Floats, NDArray]:
        """Training rows and targets, and those held out."""
        order = np.random.default_rng(0).permutation(len(self.X))
        held, rest = np.split(order, [len(order) // 5])
        X, y = self.X, self.y
        spread = X[rest].std(axis=0)
        X = (X - X[rest].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        if not self.classes:
            y = (y - y[rest].mean()) / y[rest].std()
        return X[rest], y[rest], X[held], y[held]

    def network(self, seed: int) -> dl.Network:
        outputs = self.classes if self.classes > 2 else 1
        return dl.Network(
            [self.X.shape[1], *self.hidden, outputs],
            activation=self.activation,
            output=None if self.classes else "identity",
            loss="cross_entropy" if self.classes else "squared_error",
            seed=seed,
        )

    def quality(self, net: dl.Network, X: Floats, y: NDArray) -> float:
        """The share of rows classified rightly, or of the variance explained."""
        if self.classes:
            return float((net.classify(X) == y).mean())
        return 1.0 - float(((net.predict(X)[:, 0] - y) ** 2).mean() / y.var())


def friedman(n: int = 2000, noise: float = 1.0) -> DataSet:
    """Friedman's first function: five of ten inputs count."""
    rng = np.random.default_rng(0)
    X = rng.random((n, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    y += 10 * X[:, 3] + 5 * X[:, 4] + rng.normal(scale=noise, size=n)
    return DataSet(f"{n:,} x 10, Friedman's function and noise", X, y, (20,))


def housing() -> DataSet:
    """As many rows and columns as the houses of California have, with a coast and a city."""
    rng = np.random.default_rng(0)
    n = 20_000
    income, age = rng.lognormal(1.2, 0.45, n), rng.integers(1, 53, n)
    rooms, people = rng.lognormal(1.65, 0.3, n), rng.lognormal(1.05, 0.35, n)
    bedrooms, crowd = rooms * rng.normal(0.2, 0.02, n), rng.lognormal(7, 0.7, n)
    north, east = rng.uniform(32.5, 42, n), rng.uniform(-124.3, -114.3, n)
    coast = np.abs(east + 124.3 - 1.05 * (42 - north))
    city = np.exp(-((north - 34) ** 2) - (east + 118) ** 2)
    city += np.exp(-((north - 37.7) ** 2) - (east + 122.3) ** 2)
    y = 0.4 * income / (1 + 0.1 * people) + 1.5 * city + np.exp(-coast / 1.5) + 0.004 * age
    y += 0.3 * np.sin(rooms) + 3 * bedrooms / (bedrooms + rooms) + 0.05 * np.log(crowd)
    y *= np.exp(rng.normal(scale=0.2, size=n))
    X = np.column_stack([income, age, rooms, bedrooms, crowd, people, north, east])
    return DataSet("20,000 x 8, synthetic, as house prices", X, y, (64, 32), "relu")


def categories() -> DataSet:
    from sklearn.datasets import make_classification

    X, y = make_classification(
        10_000,
        100,
        n_informative=15,
        n_redundant=15,
        n_classes=4,
        n_clusters_per_class=3,
        flip_y=0.02,
        random_state=0,
    )
    return DataSet("10,000 x 100, 4 classes, synthetic", X, y, (64,), "relu")


def digits() -> DataSet:
    return DataSet("1,797 x 64, 10 classes", *load_digits(), (32,))


DATA_SETS: dict[str, Callable[[], DataSet]] = {"houses": housing, "categories": categories}
