"""The estimators on Dask's collections: those for arrays, bit by bit."""

from __future__ import annotations

import gc
import pickle

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import dask.array as da
import distributed
import pandas as pd
from sklearn.base import clone

from deltaloop.distributed import DaskMLPClassifier, DaskMLPRegressor
from deltaloop.sklearn import MLPClassifier, MLPRegressor

N = 5001
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 4))
NUMBERS = np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.4])
NAMES = np.array(["low", "middle", "high"])[NUMBERS]
BINARY = NUMBERS > 1
LABELS = (X[:, :3] > 0).astype(int)
VALUES = np.sin(2 * X[:, 0]) * X[:, 1]
COUNTS = np.exp(VALUES).round()
W = RNG.uniform(0, 2, N)
SIZES = (2000, 0, 3001)

# What Dask leaves to the garbage collector at its end is none of ours.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::ResourceWarning",
)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected
    gc.collect()


def blocks(array):
    return None if array is None else da.from_array(array, chunks=(SIZES, *array.shape[1:]))


def alike(model, there, X, y, weights=None):
    assert there.network_.parameters.tobytes() == model.network_.parameters.tobytes()
    assert there.loss_curve_ == model.loss_curve_
    assert there.n_iter_ == model.n_iter_
    found = there.predict(blocks(X)).compute()
    assert (found == model.predict(X)).all()
    assert found.dtype == model.predict(X).dtype
    score = there.score(blocks(X), blocks(y), blocks(weights))
    assert score == pytest.approx(model.score(X, y, weights), abs=1e-6)


@pytest.mark.parametrize("weights", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("y", "options"),
    [
        (NAMES, {"solver": "lbfgs"}),
        (BINARY, {"solver": "lbfgs", "class_weight": "balanced"}),
        (NUMBERS, {"solver": "adam"}),
        (NUMBERS, {"solver": "sgd", "learning_rate": "adaptive", "shuffle": False}),
    ],
)
def test_classifiers(client, y, options, weights):
    options = {"hidden_layer_sizes": (7,), "max_iter": 4, "random_state": 1, **options}
    model = MLPClassifier(**options).fit(X, y, weights)
    there = DaskMLPClassifier(**options, client=client)
    assert there.fit(blocks(X), blocks(y), blocks(weights)) is there
    alike(model, there, X, y, weights)
    probabilities = there.predict_proba(blocks(X)).compute()
    assert probabilities.tobytes() == model.predict_proba(X).tobytes()
    assert (there.classes_ == model.classes_).all()


@pytest.mark.parametrize("weights", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("y", "options"),
    [
        (VALUES, {"solver": "lm", "alpha": 0}),
        (np.stack([VALUES, COUNTS], axis=1), {"solver": "lbfgs"}),
        (VALUES, {"solver": "adam"}),
        (VALUES, {"solver": "br"}),
        (COUNTS, {"solver": "lbfgs", "loss": "poisson"}),
    ],
)
def test_regressors(client, y, options, weights):
    options = {"hidden_layer_sizes": (7,), "max_iter": 4, "random_state": 1, **options}
    model = MLPRegressor(**options).fit(X, y, weights)
    there = DaskMLPRegressor(**options, client=client)
    there.fit(blocks(X), blocks(y), blocks(weights))
    alike(model, there, X, y, weights)


def test_several_labels_at_a_time(client):
    options = {"solver": "lbfgs", "max_iter": 3, "random_state": 1}
    model = MLPClassifier((5,), **options).fit(X, LABELS)
    there = DaskMLPClassifier((5,), **options, client=client).fit(blocks(X), blocks(LABELS))
    alike(model, there, X, LABELS)


def test_few_rows_and_warm_starts(client):
    options = {"max_iter": 3, "random_state": 1, "warm_start": True}
    for n in (1000, N):
        sizes = (400, n - 400)
        model = MLPRegressor(hidden_layer_sizes=(5,), **options)
        there = DaskMLPRegressor(hidden_layer_sizes=(5,), **options, client=client)
        for _ in range(2):
            model.fit(X[:n], VALUES[:n])
            there.fit(
                da.from_array(X[:n], chunks=(sizes, 4)), da.from_array(VALUES[:n], chunks=(sizes,))
            )
        assert there.network_.parameters.tobytes() == model.network_.parameters.tobytes()


def test_tables_and_their_names(client):
    dd = pytest.importorskip("dask.dataframe")
    table = pd.DataFrame(X, columns=list("abcd"))
    given = dd.from_pandas(table, npartitions=3)
    y = dd.from_pandas(pd.Series(NAMES, dtype=object), npartitions=3)
    options = {"solver": "lbfgs", "max_iter": 3, "random_state": 1}
    there = DaskMLPClassifier((5,), **options, client=client).fit(given, y)
    model = MLPClassifier((5,), **options).fit(table, NAMES)
    assert there.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert there.network_.parameters.tobytes() == model.network_.parameters.tobytes()
    found = there.predict(given).compute()
    assert (found.to_numpy() == model.predict(table)).all()
    assert there.predict_proba(given).compute().shape == (N, 3)


def test_models_travel_without_their_client(client):
    there = DaskMLPRegressor(
        hidden_layer_sizes=(5,), solver="lbfgs", max_iter=3, random_state=1, client=client
    )
    there.fit(blocks(X), blocks(VALUES))
    local = there.local()
    assert type(local) is MLPRegressor
    expected = local.predict(X).tobytes()
    again = pickle.loads(pickle.dumps(there))
    assert again.client is None
    assert again.predict(blocks(X)).compute().tobytes() == expected
    assert pickle.loads(pickle.dumps(local)).predict(X).tobytes() == expected
    assert clone(there).get_params()["max_iter"] == 3


def test_what_is_wrong(client):
    with pytest.raises(ValueError, match="early_stopping=True sets rows aside"):
        DaskMLPRegressor(early_stopping=True, client=client).fit(blocks(X), blocks(VALUES))
    with pytest.raises(TypeError, match="X must be a Dask array"):
        DaskMLPRegressor(client=client).fit(X, VALUES)
    with pytest.raises(ValueError, match="class_weight names 'none', which is no class"):
        DaskMLPClassifier(client=client, class_weight={"none": 2.0}).fit(blocks(X), blocks(NAMES))
    broken = X.copy()
    broken[4000, 2] = np.inf
    with pytest.raises(ValueError, match=r"block 2 \(rows 2000 to 5000.*row 2000, column 2"):
        DaskMLPRegressor(client=client).fit(blocks(broken), blocks(VALUES))
