"""Every measure of a report is scikit-learn's, on random predictions and on degenerate ones."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from deltaloop import _scores

metrics = pytest.importorskip("sklearn.metrics")


def classes(seed: int, k: int, n: int = 60):
    """Return class numbers, probabilities with ties, and guesses; all classes occur in y."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    p = rng.integers(1, 6, (n, k)).astype(float)
    p[np.arange(n), y] += rng.integers(0, 4, n)
    p /= p.sum(axis=1, keepdims=True)
    return y, p, p.argmax(axis=1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [2, 3, 7])
def test_classes(seed, k):
    y, p, guess = classes(seed, k)
    found = _scores.measured(_scores.CLASSES, y, p, guess)
    auc = (
        metrics.roc_auc_score(y, p[:, 1])
        if k == 2
        else metrics.roc_auc_score(y, p, multi_class="ovr")
    )
    expected = {
        "accuracy": metrics.accuracy_score(y, guess),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, guess),
        "log_loss": metrics.log_loss(y, p, labels=range(k)),
        "roc_auc": auc,
    }
    assert found == pytest.approx(expected, rel=1e-12)
    precision, recall = _scores.precision_recall(y, guess, k)
    theirs = metrics.precision_recall_fscore_support(
        y, guess, labels=range(k), zero_division=np.nan
    )
    np.testing.assert_allclose(precision, theirs[0], rtol=1e-12)
    np.testing.assert_allclose(recall, theirs[1], rtol=1e-12)
    counts = metrics.confusion_matrix(y, guess, labels=range(k))
    np.testing.assert_array_equal(_scores.confusion(y, guess, k), counts)


@pytest.mark.parametrize("seed", range(5))
def test_values(seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(3.0, 10.0 ** rng.integers(-5, 6), 40)
    predicted = y + rng.normal(0, 1, 40)
    expected = {
        "r2": metrics.r2_score(y, predicted),
        "rmse": metrics.root_mean_squared_error(y, predicted),
        "mae": metrics.mean_absolute_error(y, predicted),
    }
    assert _scores.measured(_scores.VALUES, y, predicted) == pytest.approx(expected, rel=1e-9)


def test_certain_probabilities():
    y, p = np.array([0, 1, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.log_loss(y, p)
    assert _scores.log_loss(y, p, p.argmax(axis=1)) == pytest.approx(expected, rel=1e-12)


def test_a_class_without_rows():
    """It has no recall and no curve; the others are measured without it."""
    y, guess = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1]])
    assert _scores.balanced_accuracy(y, p, guess) == 0.75
    # Of class 0: 0.6 and 0.2 against 0.1 and 0.3, three of four pairs; of class 1: three as well.
    assert _scores.roc_auc(y, p, guess) == pytest.approx(0.75)
    precision, recall = _scores.precision_recall(y, guess, 3)
    assert math.isnan(precision[2])
    assert math.isnan(recall[2])


def test_what_is_not_defined_is_none():
    nothing, p = np.empty(0, np.intp), np.empty((0, 2))
    assert set(_scores.measured(_scores.CLASSES, nothing, p, nothing).values()) == {None}
    assert set(_scores.measured(_scores.VALUES, np.empty(0), np.empty(0)).values()) == {None}
    one = _scores.measured(_scores.VALUES, np.array([1.0]), np.array([3.0]))
    assert one == {"r2": None, "rmse": 2.0, "mae": 2.0}
    y = np.array([1, 1])
    p = np.array([[0.2, 0.8], [0.4, 0.6]])
    assert _scores.measured(_scores.CLASSES, y, p, y)["roc_auc"] is None


def test_large_errors():
    y, predicted = np.array([1e200, -1e200]), np.array([-1e200, 1e200])
    assert _scores.rmse(y, predicted) == pytest.approx(2e200)
