"""float32 in, float32 out, computed in float64: what is shown is the float64 result, rounded."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

import deltaloop as dl
from deltaloop.sklearn import MLPClassifier, MLPRegressor
from tests.helpers.compare import same_bytes

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DATA = {MLPClassifier: load_iris(return_X_y=True), MLPRegressor: load_diabetes(return_X_y=True)}


def pair(kind, **options):
    """A model of float32 rows, and one of the same rows in float64."""
    X, y = DATA[kind]
    narrow = X.astype(np.float32)
    model = kind(hidden_layer_sizes=(5, 3), max_iter=20, random_state=0, **options)
    return model.fit(narrow, y), clone(model).fit(narrow.astype(np.float64), y), narrow


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_rounded_once(kind, solver):
    model, wide, X = pair(kind, solver=solver)
    assert same_bytes(model.network_.parameters, wide.network_.parameters)
    assert model.loss_curve_ == wide.loss_curve_
    for name in ("coefs_", "intercepts_"):
        for shown, exact in zip(getattr(model, name), getattr(wide, name), strict=True):
            assert shown.dtype == np.float32
            assert same_bytes(shown, exact.astype(np.float32))
    methods = ["predict"] if kind is MLPRegressor else ["predict_proba", "predict_log_proba"]
    for method in methods:
        exact = getattr(wide, method)(X.astype(np.float64))
        assert same_bytes(getattr(model, method)(X), exact.astype(np.float32))
        # the wider of the two, as in scikit-learn's products
        assert same_bytes(getattr(model, method)(X.astype(np.float64)), exact)
        assert same_bytes(getattr(wide, method)(X), exact)
        assert getattr(model, method)(X.astype(np.int64)).dtype == np.float64
    if kind is MLPClassifier:
        assert same_bytes(model.predict(X), wide.predict(X))


def test_small_probabilities_have_their_logarithms():
    """The logarithm is that of the float64 probability: in float32 it would be minus infinity."""
    X = np.array([[-1.0], [1.0]], np.float32)
    model = MLPClassifier((), max_iter=1, random_state=0).fit(X, [0, 1])
    model.coefs_ = [np.array([[200.0]])]
    logarithms = model.predict_log_proba(X)
    assert logarithms.dtype == np.float32
    np.testing.assert_allclose(logarithms[0, 1], -200.0, rtol=0.01)


def test_the_type_stays_when_training_goes_on():
    X, y = DATA[MLPRegressor]
    narrow = X.astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=(3,), random_state=0)
    model.partial_fit(narrow, y).partial_fit(X, y)
    assert model.coefs_[0].dtype == np.float32
    assert same_bytes(model.coefs_[0], model.network_.weights[0].astype(np.float32))
    # nothing is rounded between the calls
    wide = MLPRegressor(hidden_layer_sizes=(3,), random_state=0)
    wide.partial_fit(narrow.astype(np.float64), y).partial_fit(X, y)
    assert same_bytes(model.network_.parameters, wide.network_.parameters)
    warm = MLPRegressor(hidden_layer_sizes=(3,), random_state=0, warm_start=True, max_iter=2)
    assert warm.fit(X, y).fit(narrow, y).coefs_[0].dtype == np.float64
    assert warm.set_params(warm_start=False).fit(narrow, y).coefs_[0].dtype == np.float32


def test_pickles_and_files(tmp_path):
    model, _, X = pair(MLPRegressor)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.coefs_[0].dtype == np.float32
    assert same_bytes(twin.network_.parameters, model.network_.parameters)
    assert same_bytes(twin.predict(X), model.predict(X))
    model.network_.save(tmp_path / "net.safetensors")
    net = dl.load(tmp_path / "net.safetensors")
    assert same_bytes(net.predict(X).ravel().astype(np.float32), model.predict(X))
    assert same_bytes(dl.from_sklearn(model).weights[0].astype(np.float32), model.coefs_[0])


def test_what_is_put_in_their_place():
    """Rounded copies cannot be written to; arrays in their place are taken, the others stay."""
    model, _, X = pair(MLPRegressor)
    before = model.network_.weights[1].copy()
    with pytest.raises(ValueError, match="read-only"):
        model.coefs_[0][0, 0] = 1.0
    model.coefs_[0] = np.ones_like(model.coefs_[0])
    model.predict(X)
    assert (model.network_.weights[0] == 1).all()
    assert same_bytes(model.network_.weights[1], before)
    assert model.coefs_[0].dtype == np.float32


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    model, _, X = pair(MLPRegressor)
    expected = model.predict(X)
    with pytest.raises(ValueError, match="non-finite"):
        model.set_params(solver="sgd", learning_rate_init=1e308).fit(
            X.astype(np.float64), DATA[MLPRegressor][1]
        )
    assert same_bytes(model.predict(X), expected)
