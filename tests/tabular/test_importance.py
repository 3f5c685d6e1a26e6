"""Permutation importance, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from deltaloop._scores import r2
from deltaloop.tabular._importance import importance


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
