"""A grid search whose fits run on a Dask cluster, by joblib's back end."""

from __future__ import annotations

import numpy as np
import pytest

joblib = pytest.importorskip("joblib")
distributed = pytest.importorskip("distributed")
model_selection = pytest.importorskip("sklearn.model_selection")

import deltaloop as dl  # noqa: E402
from deltaloop.sklearn import MLPRegressor  # noqa: E402

RNG = np.random.default_rng(8)
X = RNG.normal(size=(90, 3))
Y = np.sin(X[:, 0]) + X[:, 1]


def search():
    grid = {"alpha": [1e-4, 1.0], "solver": [dl.Rprop(), "adam"]}
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=20, random_state=0)
    return model_selection.GridSearchCV(model, grid, cv=3, n_jobs=2, error_score="raise")


@pytest.mark.filterwarnings("ignore")
def test_grid_search_on_a_cluster_finds_the_same():
    expected = search().fit(X, Y)
    limits = {"timeout": "100s", "heartbeat_interval": 1000}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster, **limits),
        joblib.parallel_config(backend="dask", wait_for_workers_timeout=100),
    ):
        found = search().fit(X, Y)
    for name in ("mean_test_score", "std_test_score", "rank_test_score"):
        assert np.array_equal(found.cv_results_[name], expected.cv_results_[name])
    assert found.best_params_ == expected.best_params_
    for own, other in zip(
        found.best_estimator_.coefs_, expected.best_estimator_.coefs_, strict=True
    ):
        assert own.tobytes() == other.tobytes()
