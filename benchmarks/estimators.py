"""deltaloop.sklearn beside scikit-learn's perceptrons: the table of docs/reference/scikit-learn.md.

    python benchmarks/estimators.py [CELL ...]

Both sides have the same parameters, data and random state, and must have done the same number of
epochs with the same loss before anything is timed. They take turns, as often as the repeats say,
with the libraries' own number of threads and with one; the table has the medians.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import machine
import numpy as np
import sklearn
import table
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import deltaloop.sklearn

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "scikit-learn.md"
MARKER = "<!-- estimators table -->"
MODULES = {"deltaloop": deltaloop.sklearn, "scikit-learn": neural_network}
# Seconds before each run: OpenBLAS's threads look for work for a while after a call, and would take
# a processor from whoever comes next.
PAUSE = 0.5
# How far losses may be apart, in parts of them.
SAME = 1e-6


class Cell(NamedTuple):
    """What is timed: a function of a module and of n_threads that returns something to run."""

    about: str
    make: Callable[[Any, int | None], Callable[[], Any]]
    quality: Callable[[Any], tuple[float, ...]]
    repeats: int
    calls: int = 1
    required: float = 3.0


def images(noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """10,000 images of 28 x 28 pixels: digits enlarged, moved by up to four pixels, with noise."""
    rng = np.random.default_rng(0)
    X, y = load_digits(return_X_y=True)
    rows = rng.integers(0, len(X), 10_000)
    small = X[rows].reshape(-1, 8, 8) / 16
    big = np.kron(small, np.ones((1, 3, 3)))
    canvas = np.zeros((10_000, 28, 28))
    for i, (down, right) in enumerate(rng.integers(0, 5, (10_000, 2))):
        canvas[i, down : down + 24, right : right + 24] = big[i]
    canvas += noise * rng.standard_normal(canvas.shape)
    return canvas.reshape(10_000, 784), y[rows]


def clean_images() -> tuple[np.ndarray, np.ndarray]:
    """The same without noise: as in MNIST most pixels are 0, 63 % here and 81 % there."""
    return images(noise=0.0)


def curve() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((100_000, 10))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.standard_normal(len(X))


def cancer() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def sparse_rows(n: int, m: int, density: float) -> tuple[Any, np.ndarray]:
    """A CSR matrix, and a class that a few of its columns tell."""
    X = sparse.random_array((n, m), density=density, rng=np.random.default_rng(0), format="csr")
    return X, np.asarray(X[:, ::9].sum(axis=1) > X[:, 1::9].sum(axis=1)).ravel().astype(int)


def words() -> tuple[Any, np.ndarray]:
    return sparse_rows(2_000, 20_000, 0.005)


def baskets() -> tuple[Any, np.ndarray]:
    return sparse_rows(5_000, 2_000, 0.02)


def estimator(module: Any, name: str, n_threads: int | None, **parameters: Any) -> Any:
    if module is deltaloop.sklearn:
        parameters["n_threads"] = n_threads
    return getattr(module, name)(random_state=0, **parameters)


def fit(data: Callable[[], Any], name: str, **parameters: Any) -> Any:
    def make(module: Any, n_threads: int | None) -> Callable[[], Any]:
        X, y = data()
        return lambda: estimator(module, name, n_threads, **parameters).fit(X, y)

    return make


def one_row(data: Callable[[], Any], name: str, method: str = "predict") -> Any:
    def make(module: Any, n_threads: int | None) -> Callable[[], Any]:
        X, y = data()
        model = estimator(module, name, n_threads, max_iter=5).fit(X, y)
        row = X[:1].copy()
        return lambda: getattr(model, method)(row)

    return make


def all_rows(data: Callable[[], Any], name: str) -> Any:
    def make(module: Any, n_threads: int | None) -> Callable[[], Any]:
        X, y = data()
        model = estimator(module, name, n_threads, max_iter=3).fit(X, y)
        return lambda: model.predict_proba(X)

    return make


def grid(module: Any, n_threads: int | None) -> Callable[[], Any]:
    X, y = digits()
    model = estimator(module, "MLPClassifier", n_threads, max_iter=40)
    settings = {"hidden_layer_sizes": [(50,), (100,)], "alpha": [1e-4, 1e-2], "tol": [1e-4, 1e-3]}
    return lambda: GridSearchCV(model, settings, cv=3).fit(X, y)


def of_fit(model: Any) -> tuple[float, ...]:
    return (model.n_iter_, model.loss_)


def of_row(values: Any) -> tuple[float, ...]:
    return tuple(np.ravel(values).astype(float))


def of_grid(search: Any) -> tuple[float, ...]:
    return tuple(search.cv_results_["mean_test_score"])


CELLS = {
    "digits": Cell("fit, digits, default parameters", fit(digits, "MLPClassifier"), of_fit, 3),
    "cancer": Cell(
        "fit, breast cancer, default parameters", fit(cancer, "MLPClassifier"), of_fit, 5
    ),
    "cancer-lbfgs": Cell(
        "fit, breast cancer, lbfgs, 20 iterations",
        fit(cancer, "MLPClassifier", solver="lbfgs", max_iter=20),
        lambda model: (model.n_iter_,),
        5,
    ),
    "regression": Cell(
        "fit, 100,000 x 10, (32,), 10 epochs",
        fit(curve, "MLPRegressor", hidden_layer_sizes=(32,), max_iter=10),
        of_fit,
        3,
    ),
    "images": Cell(
        "fit, 10,000 x 784, (128,), 10 epochs",
        fit(clean_images, "MLPClassifier", hidden_layer_sizes=(128,), max_iter=10),
        of_fit,
        7,
    ),
    "noisy-images": Cell(
        "the same, no pixel 0",
        fit(images, "MLPClassifier", hidden_layer_sizes=(128,), max_iter=10),
        of_fit,
        7,
    ),
    "row-class": Cell(
        "predict, one row, classes of digits", one_row(digits, "MLPClassifier"), of_row, 7, 500, 20
    ),
    "row-value": Cell(
        "predict, one row, a value", one_row(curve, "MLPRegressor"), of_row, 7, 500, 20
    ),
    "grid": Cell("GridSearchCV, 8 settings, 3 folds, digits, 40 epochs", grid, of_grid, 3),
}


for _name, _data, _about in (
    ("words", words, "2,000 x 20,000, 0.5 % not 0"),
    ("baskets", baskets, "5,000 x 2,000, 2 % not 0"),
):
    CELLS[_name] = Cell(
        f"fit, {_about}, (100,), 5 epochs",
        fit(_data, "MLPClassifier", max_iter=5),
        of_fit,
        7,
        1,
        1.5,
    )
    CELLS[f"{_name}-predict"] = Cell(
        f"predict, {_about}", all_rows(_data, "MLPClassifier"), of_row, 7, 5, 1.5
    )


def seconds(run: Callable[[], Any], calls: int) -> float:
    time.sleep(PAUSE)
    began = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - began) / calls


def measure(cell: Cell, threads: int | None) -> dict[str, float]:
    """Median seconds of each side, which take turns."""
    with threadpool_limits(threads):
        runs = {name: cell.make(module, threads) for name, module in MODULES.items()}
        found = [np.array(cell.quality(run())) for run in runs.values()]
        if not np.allclose(*found, rtol=SAME, atol=0):
            raise SystemExit(f"{cell.about}: {found[0]} and {found[1]} are not the same")
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(cell.repeats):
            for name, run in runs.items():
                times[name].append(seconds(run, cell.calls))
    return {name: statistics.median(values) for name, values in times.items()}


def row(cell: Cell) -> list[str]:
    texts = [cell.about]
    for threads in (None, 1):
        found = measure(cell, threads)
        gain = found["scikit-learn"] / found["deltaloop"]
        texts += [
            table.duration(found["deltaloop"]),
            table.duration(found["scikit-learn"]),
            table.bold([table.ratio(gain)], gain < cell.required)[0],
        ]
    print(" | ".join(texts), flush=True)
    return texts


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    rows = [row(CELLS[name]) for name in names or CELLS]
    header = ["", "deltaloop", "scikit-learn", "times", "one thread", "scikit-learn", "times"]
    text = table.table(header, rows)
    print(text)
    if not names:
        about = machine.describe(machine.environment.cpus())
        shown = ("machine", "deltaloop", "its instruction set", "NumPy", "Python")
        about = {"scikit-learn": sklearn.__version__} | {key: about[key] for key in shown}
        lines = "\n".join(table.parted(key, value) for key, value in about.items())
        table.insert(PAGE, f"{text}\n\n{lines}", MARKER)


if __name__ == "__main__":
    main(sys.argv[1:])
