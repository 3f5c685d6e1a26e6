"""Networks of scikit-learn's pipelines: what scales becomes the network's scaling."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPRegressor as Theirs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

import deltaloop as dl
from deltaloop.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(6)
X = RNG.standard_normal((80, 4)) * [1.0, 20.0, 1e-3, 1.0] + [5.0, -300.0, 0.0, 0.0]
X[:, 3] = 7.0  # constant, which scalers leave as it is
CURVE = 100 + 30 * np.sin(X[:, 0]) + X[:, 1]
SCALERS = {
    "standard": [StandardScaler()],
    "without mean": [StandardScaler(with_mean=False)],
    "without std": [StandardScaler(with_std=False), MaxAbsScaler()],
    "minmax": [MinMaxScaler((-1, 2))],
    "maxabs": [MaxAbsScaler()],
    "robust": [RobustScaler()],
    "robust, one half": [RobustScaler(with_scaling=False), StandardScaler()],
    "three": [MinMaxScaler(), "passthrough", StandardScaler(), RobustScaler(with_centering=False)],
    "none": ["passthrough"],
}


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("kind", [Theirs, MLPRegressor])
def test_scalers_become_the_scaling(name, kind):
    last = kind(hidden_layer_sizes=(5,), max_iter=20, random_state=0)
    model = make_pipeline(*SCALERS[name], last).fit(X, CURVE)
    network = dl.from_sklearn(model)
    np.testing.assert_allclose(network.predict(X)[:, 0], model.predict(X), rtol=1e-10)


def test_standardised_inputs_keep_their_bits():
    model = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=20, random_state=0))
    model.fit(X, CURVE > 100)
    network = dl.from_sklearn(model)
    np.testing.assert_array_equal(network.predict(X)[:, 0], model.predict_proba(X)[:, 1])
    assert network.loss == "cross_entropy"


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("y", [CURVE, np.column_stack([CURVE, X[:, 0]])], ids=["one", "two"])
def test_scaled_targets(y, outside):
    last = MLPRegressor(hidden_layer_sizes=(5,), max_iter=20, random_state=0)
    if outside:
        inner = make_pipeline(StandardScaler(), last)
        model = TransformedTargetRegressor(inner, transformer=StandardScaler())
    else:
        inner = TransformedTargetRegressor(last, transformer=MinMaxScaler())
        model = make_pipeline(StandardScaler(), inner)
    model.fit(X, y)
    network = dl.from_sklearn(model)
    np.testing.assert_allclose(network.predict(X).reshape(y.shape), model.predict(X), rtol=1e-10)


@pytest.mark.parametrize(
    ("steps", "error", "says"),
    [
        ([PolynomialFeatures()], TypeError, "step 'polynomialfeatures': expected StandardScaler"),
        ([MinMaxScaler(clip=True)], ValueError, "clip=True"),
    ],
)
def test_other_steps_are_refused(steps, error, says):
    model = make_pipeline(*steps, MLPRegressor(hidden_layer_sizes=(2,), max_iter=2)).fit(X, CURVE)
    with pytest.raises(error, match=says):
        dl.from_sklearn(model)


def test_without_a_fit():
    with pytest.raises(ValueError, match="step 'standardscaler': StandardScaler must be fitted"):
        dl.from_sklearn(make_pipeline(StandardScaler(), MLPRegressor()))
    with pytest.raises(ValueError, match="transformer_"):
        dl.from_sklearn(TransformedTargetRegressor(MLPRegressor()))
