"""Permutation importance, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from deltaloop._scores import r2
from deltaloop.tabular import TabularModel
from deltaloop.tabular._importance import importance, some_rows


def test_as_scikit_learn():
    inspection = pytest.importorskip("sklearn.inspection")
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = X @ [2.0, 0.5, 0.0] + rng.normal(0, 0.1, 600)
    model = linear.LinearRegression().fit(X, y)
    theirs = inspection.permutation_importance(model, X, y, n_repeats=20, random_state=0)

    def score(inputs, rows):
        return r2(y[rows].reshape(-1, 1), model.predict(inputs).reshape(-1, 1))

    before = X.copy()
    mean, spread = importance(score, X, [slice(j, j + 1) for j in range(3)])
    np.testing.assert_allclose(mean, theirs.importances_mean, rtol=0.1, atol=0.01)
    assert (spread < 0.2).all()
    assert (before == X).all()
    again = importance(score, X, [slice(j, j + 1) for j in range(3)])[0]
    assert (again == mean).all()


def test_the_inputs_of_a_column_are_shuffled_together():
    """One-hot inputs stay one-hot."""
    X = np.eye(3)[np.arange(60) % 3]
    seen = []

    def score(inputs, rows):
        seen.append(inputs.sum(axis=1))
        return 0.0

    importance(score, X, [slice(0, 3)])
    assert len(seen) == 6
    assert all((sums == 1).all() for sums in seen)


def test_of_many_rows_some():
    X = np.zeros((5000, 1))
    importance(lambda inputs, rows: float(len(inputs) == len(rows) == 2000), X, [slice(0, 1)])


def of_a_table():
    """A model whose target needs one column much, one little, and one not at all."""
    pytest.importorskip("narwhals")
    rng = np.random.default_rng(0)
    x, z, nothing = rng.normal(size=(3, 300))
    town = np.array(["Bonn", "Ulm", "Trier"])[rng.integers(0, 3, 300)]
    frame = {"nothing": nothing, "town": town, "x": x, "z": z}
    frame["y"] = 2 * x + 0.3 * z + (town == "Ulm")
    return TabularModel(hidden=8, seed=1).fit(frame, "y", l2=0.01), frame


def test_of_a_model():
    model, frame = of_a_table()
    held = {name: column[model.test_rows] for name, column in frame.items()}
    found = model.permutation_importance(held)
    assert found.names == ("nothing", "town", "x", "z")
    names = [found.names[i] for i in np.argsort(-found.mean)]
    assert names == ["x", "town", "z", "nothing"]
    assert abs(found.mean[0]) < 0.02
    assert found.mean[2] > 1.0
    targets = held.pop("y")
    again = model.permutation_importance(held, targets)
    assert (again.mean == found.mean).all()
    many = model.permutation_importance(held, targets, n_repeats=20, seed=3)
    np.testing.assert_allclose(many.mean, found.mean, rtol=0.3, atol=0.02)
    with pytest.raises(ValueError, match="n_repeats must be"):
        model.permutation_importance(held, targets, n_repeats=0)
    with pytest.raises(ValueError, match="has not been fitted"):
        TabularModel().permutation_importance(held, targets)


def test_of_a_model_as_scikit_learn():
    inspection = pytest.importorskip("sklearn.inspection")
    pandas = pytest.importorskip("pandas")
    model, frame = of_a_table()
    data = pandas.DataFrame(frame)
    X, y = data.drop(columns="y"), data["y"]
    theirs = inspection.permutation_importance(model, X, y, n_repeats=10, random_state=0)
    found = model.permutation_importance(X, y, n_repeats=10)
    np.testing.assert_allclose(found.mean, theirs.importances_mean, rtol=0.15, atol=0.01)


def test_rows_of_a_large_table_are_drawn():
    rows = some_rows(5000, 0)
    assert len(rows) == len(set(rows.tolist())) == 2000
    assert (np.diff(rows) > 0).all()
    assert rows[-1] > 4900
    assert some_rows(5, 0).tolist() == [0, 1, 2, 3, 4]
