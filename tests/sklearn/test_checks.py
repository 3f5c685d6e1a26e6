"""scikit-learn's checks of estimators, run on ours."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from deltaloop.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks(
    [
        MLPClassifier(),
        MLPRegressor(),
        MLPClassifier(solver="sgd", learning_rate="adaptive"),
        MLPClassifier(solver="lbfgs", alpha=0.1),
        MLPRegressor(solver="lm", activation="tanh", hidden_layer_sizes=(5,), max_iter=50),
        MLPRegressor(solver="rprop", activation=["silu"], n_threads=1, max_iter=50),
    ]
)
def test_estimators(estimator, check):
    check(estimator)
