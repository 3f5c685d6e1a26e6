"""class_weight: a weight of a class is that weight of each of its instances."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils.class_weight import compute_sample_weight

from deltaloop.sklearn import MLPClassifier
from tests.helpers.compare import same_bytes

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, NUMBERS = load_iris(return_X_y=True)
X, NUMBERS = X[:110], NUMBERS[:110]  # 50, 50 and 10
Y = np.array(["setosa", "versicolor", "virginica"])[NUMBERS]
SEVERAL = np.column_stack([NUMBERS == 0, NUMBERS > 0]).astype(int)
GIVEN = np.random.default_rng(0).uniform(0.5, 2.0, len(X))


def quick(**options):
    return MLPClassifier((4,), max_iter=5, random_state=0, **options)


def same_model(a, b):
    return same_bytes(a.network_.parameters, b.network_.parameters)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "lm"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(
    "weights", ["balanced", {"setosa": 2.0, "virginica": 0.25}, {"versicolor": 0.0}], ids=str
)
def test_they_are_weights_of_instances(solver, early_stopping, weights):
    options = {"solver": solver, "early_stopping": early_stopping}
    s = {"setosa": 1.0, "versicolor": 1.0, "virginica": 1.0}
    s |= {"setosa": 110 / 150, "versicolor": 110 / 150, "virginica": 110 / 30}
    if weights != "balanced":
        s = {name: weights.get(name, 1.0) for name in s}
    expected = quick(**options).fit(X, Y, [s[label] for label in Y])
    assert same_model(quick(class_weight=weights, **options).fit(X, Y), expected)


def test_they_multiply_the_weights_given():
    weights = {"setosa": 2.0, "virginica": 0.5}
    s = np.array([weights.get(label, 1.0) for label in Y])
    model = quick(class_weight=weights).fit(X, Y, GIVEN)
    assert same_model(model, quick().fit(X, Y, s * GIVEN))
    # "balanced" counts weights, so that a weight of 2 is two rows
    twice = np.concatenate([np.arange(110), np.flatnonzero(NUMBERS == 2)])
    s = 1.0 + (NUMBERS == 2)
    model = quick(class_weight="balanced", solver="lbfgs").fit(X, Y, s)
    repeated = quick(class_weight="balanced", solver="lbfgs").fit(X[twice], Y[twice])
    np.testing.assert_allclose(model.coefs_[0], repeated.coefs_[0], atol=1e-8)


@pytest.mark.parametrize("weights", ["balanced", [{0: 1.0, 1: 3.0}, {0: 0.5, 1: 1.0}]], ids=str)
def test_several_labels(weights):
    expected = quick().fit(X, SEVERAL, compute_sample_weight(weights, SEVERAL))
    assert same_model(quick(class_weight=weights).fit(X, SEVERAL), expected)


def test_a_small_class_is_found_more_often():
    plain = MLPClassifier((4,), random_state=0, solver="lbfgs", alpha=10.0)
    balanced = clone(plain).set_params(class_weight="balanced")
    small = NUMBERS == 2

    def found(model):
        return (model.fit(X, Y).predict(X[small]) == "virginica").mean()

    assert found(balanced) > found(plain)


def test_partial_fit():
    """By name alone, and a batch need not have all classes."""
    weights = {"setosa": 2.0, "virginica": 0.25}
    a, b = quick(class_weight=weights), quick()
    for rows in (slice(0, 50), slice(40, 110)):
        s = [weights.get(label, 1.0) for label in Y[rows]]
        a.partial_fit(X[rows], Y[rows], classes=np.unique(Y))
        b.partial_fit(X[rows], Y[rows], s, classes=np.unique(Y))
    assert same_model(a, b)
    with pytest.raises(ValueError, match="class_weight 'balanced' needs all rows"):
        quick(class_weight="balanced").partial_fit(X, Y, classes=np.unique(Y))


def test_it_travels():
    model = quick(class_weight={"setosa": 2.0}).fit(X, Y)
    assert pickle.loads(pickle.dumps(model)).class_weight == {"setosa": 2.0}
    assert clone(model).get_params()["class_weight"] == {"setosa": 2.0}
    state = model.__getstate__()
    del state["class_weight"]  # of a version that had it not
    old = MLPClassifier.__new__(MLPClassifier)
    old.__setstate__(state)
    assert old.get_params()["class_weight"] is None


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        ("even", ValueError, "class_weight must be a dict .* got 'even'"),
        (3, TypeError, "class_weight must be a dict .* got int"),
        ([1.0, 2.0, 3.0], TypeError, "class_weight must be a dict .* got list"),
        ({"rose": 1.0}, ValueError, r"class_weight names 'rose', .* \['setosa', "),
        ({"setosa": "1"}, TypeError, r"class_weight\['setosa'\] must be a real number"),
        ({"setosa": -1.0}, ValueError, "class_weight must be finite and at least 0"),
        ({"setosa": np.inf}, ValueError, "class_weight must be finite and at least 0"),
        (dict.fromkeys(np.unique(Y).tolist(), 0), ValueError, "class_weight leaves no instance"),
    ],
    ids=str,
)
def test_refused(weights, error, match):
    model = quick().fit(X, Y)
    before = model.network_.parameters.copy()
    with pytest.raises(error, match=match):
        model.set_params(class_weight=weights).fit(X, Y)
    assert same_bytes(model.network_.parameters, before)


@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_a_class_without_a_row_has_a_weight_too(weight):
    model = quick().partial_fit(X, Y, classes=np.unique(Y))
    before = model.network_.parameters.copy()
    model.set_params(class_weight={"setosa": weight})
    with pytest.raises(ValueError, match="class_weight must be finite and at least 0"):
        model.partial_fit(X[60:], Y[60:])  # none of which is one
    assert same_bytes(model.network_.parameters, before)


def test_a_list_holds_dicts():
    with pytest.raises(TypeError, match=r"class_weight must be a dict .* got int in its list"):
        quick(class_weight=[1, 2]).fit(X, SEVERAL)
