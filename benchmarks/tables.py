"""The table of docs/tables.md: TabularModel with its defaults against scikit-learn's MLP.

    python benchmarks/tables.py [TABLE ...]

takes the tables that ship with scikit-learn, or those named, each with 40 seeds, other ones than
those with which TabularModel's defaults were chosen on these tables. For each seed a
fifth of the rows is held out, the same rows on both sides, of each class in proportion.
scikit-learn's MLPClassifier and MLPRegressor, in a pipeline after a StandardScaler, have their
defaults, once with 200 epochs at most, which is one of them, and once with 2,000, within which all
but the regressors of values as they are converge; values are as they are, or standardised. The best
of these variants, by its mean over all seeds, is the one to compare with. One process with one
thread; about ten minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import environment

# Before any library is loaded.
os.environ.update(environment.threads(1))

import numpy as np
import sklearn
import table
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import deltaloop as dl
from deltaloop.tabular import TabularModel

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tables.md"
TABLES: dict[str, Callable] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
    "linnerud": datasets.load_linnerud,
}
SEEDS = range(100, 140)
EPOCHS = (200, 2000)


def variants(task: str) -> dict[str, Callable]:
    """By name, functions from a seed to an estimator of scikit-learn."""
    if task == "classification":
        return {
            f"{most:,} epochs": lambda seed, most=most: make_pipeline(
                StandardScaler(), MLPClassifier(max_iter=most, random_state=seed)
            )
            for most in EPOCHS
        }

    def regressor(seed: int, most: int, scaled: bool) -> object:
        last = MLPRegressor(max_iter=most, random_state=seed)
        if scaled:
            last = TransformedTargetRegressor(last, transformer=StandardScaler())
        return make_pipeline(StandardScaler(), last)

    return {
        f"{most:,} epochs, values {'standardised' if scaled else 'as they are'}": (
            lambda seed, most=most, scaled=scaled: regressor(seed, most, scaled)
        )
        for most in EPOCHS
        for scaled in (False, True)
    }


def measured(name: str) -> dict:
    """Scores and seconds of all seeds: ours, and those of each variant."""
    data = TABLES[name](as_frame=True)
    frame, y = data.frame, data.target
    target = list(y.columns) if y.ndim == 2 else y.name
    X = data.data.to_numpy()
    ours: list[tuple[float, float]] = []
    theirs: dict[str, list[tuple[float, float]]] = {}
    for seed in SEEDS:
        model = TabularModel(seed=seed)
        began = time.perf_counter()
        model.fit(frame, target, n_threads=1)
        seconds = time.perf_counter() - began
        score = model.report["accuracy" if model.task == "classification" else "r2"]
        ours.append((score, seconds))
        train, test = model.train_rows, model.test_rows
        for variant, make in variants(model.task).items():
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                estimator = make(seed).fit(X[train], y.to_numpy()[train])
            seconds = time.perf_counter() - began
            score = estimator.score(X[test], y.to_numpy()[test])
            theirs.setdefault(variant, []).append((score, seconds))
    best = max(theirs, key=lambda variant: statistics.mean(s for s, _ in theirs[variant]))
    return {
        "shape": X.shape,
        "of": f"{len(np.unique(y))} classes" if model.task == "classification" else "values",
        "what": "accuracy" if model.task == "classification" else "R^2",
        "ours": ours,
        "theirs": theirs[best],
        "variant": best,
    }


def text(found: dict[str, dict]) -> str:
    lines = []
    for name, each in found.items():
        cells = []
        for side in ("ours", "theirs"):
            scores, seconds = zip(*each[side], strict=True)
            error = statistics.stdev(scores) / len(scores) ** 0.5
            cells.append((statistics.mean(scores), error, sum(seconds)))
        gains = [a[0] - b[0] for a, b in zip(each["ours"], each["theirs"], strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5
        (a, a_error, a_time), (b, b_error, b_time) = cells
        rows, columns = each["shape"]
        lines.append(
            [
                f"{name}: {rows:,} x {columns}, {each['of']}",
                each["what"],
                f"{a:.4f} ± {a_error:.4f}",
                f"{b:.4f} ± {b_error:.4f}",
                f"{statistics.mean(gains):+.4f} ± {error:.4f}",
                table.duration(a_time),
                table.duration(b_time),
                each["variant"],
            ]
        )
    header = ["", "", "deltaloop", "scikit-learn", "difference", "time", "its time", "its variant"]
    runtime = dl.runtime()
    return (
        f"{table.table(header, lines)}\n\n"
        f"- scores: means over {len(SEEDS)} seeds, and the standard errors of these means\n"
        f"- times: of all {len(SEEDS)} fits, with one thread\n"
        f"- deltaloop: {runtime['version']}, {runtime['isa']}\n"
        f"- scikit-learn: {sklearn.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # Without any, argparse looks for the empty list in choices.
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE")
    names = parser.parse_args().tables or list(TABLES)
    found = {}
    for name in names:
        found[name] = measured(name)
        print(text({name: found[name]}).splitlines()[2], flush=True)
    if names == list(TABLES):
        table.insert(PAGE, text(found), "<!-- tables -->")


if __name__ == "__main__":
    main()
