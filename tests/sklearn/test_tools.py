"""The tools around scikit-learn take the estimators, networks and models of tables."""

from __future__ import annotations

import importlib
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
from sklearn import clone, config_context
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import deltaloop as dl
from deltaloop.sklearn import TRUSTED_TYPES, MLPClassifier, MLPRegressor, _document

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

RNG = np.random.default_rng(8)
X = RNG.standard_normal((60, 3))
VALUES = np.sin(X[:, 0]) + X[:, 1]
CLASSES = np.where(VALUES > 0, "yes", "no")
SCHEDULED = dl.Adam(dl.schedules.Cosine(0.1, epochs=20), batch_size=7)
CLASSIFIERS = {
    "adam": MLPClassifier((4,), max_iter=5, random_state=0, warm_start=True),
    "early": MLPClassifier(
        (4,), max_iter=5, random_state=np.random.RandomState(1), early_stopping=True
    ),
    "weights": MLPClassifier((4,), solver="sgd", class_weight={"yes": 2.0}, max_iter=5),
    "lbfgs": MLPClassifier((4,), solver="lbfgs", max_iter=5, random_state=0),
}
REGRESSORS = {
    "huber": MLPRegressor(dl.Huber(2.0), (4,), solver="rprop", max_iter=5, random_state=0),
    "object": MLPRegressor(hidden_layer_sizes=(4,), solver=SCHEDULED, max_iter=5, random_state=0),
    "lm": MLPRegressor(hidden_layer_sizes=(4,), solver="lm", alpha=0, max_iter=5, random_state=0),
}


def fitted(model, dtype=np.float64):
    y = CLASSES if isinstance(model, MLPClassifier) else VALUES
    return model.fit(X.astype(dtype), y)


def through_skops(model):
    io = pytest.importorskip("skops.io")
    data = io.dumps(model)
    assert set(io.get_untrusted_types(data=data)) <= set(TRUSTED_TYPES)
    return io.loads(data, trusted=TRUSTED_TYPES)


# ---- skops ----


def test_trusted_types_are_there():
    for name in TRUSTED_TYPES:
        module, _, kind = name.rpartition(".")
        if "tabular" in module:
            pytest.importorskip("narwhals")
        assert isinstance(getattr(importlib.import_module(module), kind), type)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("model", [*CLASSIFIERS.values(), *REGRESSORS.values()])
def test_skops_keeps_estimators(model, dtype):
    model = fitted(clone(model), dtype)
    again = through_skops(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.get_params().keys() == model.get_params().keys()
    assert again.coefs_[0].dtype == dtype
    assert not set(model.__dict__) - set(again.__dict__) - {"_settings"}
    if model.warm_start:  # moments and random numbers go on
        fitted(model)
        fitted(again)
        np.testing.assert_array_equal(again.network_.parameters, model.network_.parameters)


def test_skops_keeps_an_estimator_without_a_fit():
    model = through_skops(MLPClassifier((7, 2), activation="gelu"))
    assert model.hidden_layer_sizes == (7, 2)
    assert fitted(model).n_iter_ > 0


@pytest.mark.parametrize(
    "network",
    [
        dl.Network([3, 4, 1], activation="gelu", seed=2**70),
        dl.Network([3, 3, 1], activation="tanh", residual=True, init=dl.Uniform(-0.1, 0.2), seed=1),
        dl.Network([3, 4, 1], activation="relu", loss=dl.Quantile(0.3), seed=1),
    ],
)
def test_skops_keeps_networks(network):
    network.fit(X, VALUES, scale="standard", solver=dl.Rprop(), max_epochs=3)
    again = through_skops(network)
    assert repr(again) == repr(network)
    assert again.scaling == network.scaling
    for each in (network, again):
        each.fit(X, VALUES, solver=dl.Adam(0.01, batch_size=8), max_epochs=2)
    np.testing.assert_array_equal(again.parameters, network.parameters)


def test_skops_keeps_models_of_tables():
    pytest.importorskip("narwhals")
    from deltaloop.tabular import TabularModel

    table = {"x": X[:, 0].tolist(), "town": ["Ulm", None, "Bonn"] * 20, "y": VALUES.tolist()}
    model = TabularModel().fit(table, "y", solver=dl.LBFGS(), max_epochs=10)
    again = through_skops(model)
    np.testing.assert_array_equal(again.predict(table), model.predict(table))
    assert (again.columns, again.report) == (model.columns, model.report)
    np.testing.assert_array_equal(again.result.cost_history, model.result.cost_history)


def test_skops_keeps_results():
    network = dl.Network([3, 4, 1], seed=0)
    solvers = [SCHEDULED, dl.LevenbergMarquardt()]
    result = network.fit(X, VALUES / 9, solver=solvers, max_epochs=[3, 3])
    again = through_skops(result)
    assert (again.solver, again.stages) == (result.solver, result.stages)
    assert again.state.keys() == result.state.keys()
    for name, array in result.state.items():
        np.testing.assert_array_equal(again.state[name], array)


@pytest.mark.parametrize(
    ("instance", "change"),
    [
        (dl.Huber(2.0), {"delta": -1.0}),
        (dl.Quantile(0.2), {"tau": 3.0}),
        (dl.Uniform(0.0, 1.0), {"low": 2.0}),
        (dl.Adam(0.1), {"batch_size": 0}),
        (dl.LevenbergMarquardt(), {"damping": "x"}),
        (dl.schedules.Exponential(0.1, 0.9), {"gamma": -1.0}),
        (dl.Network([2, 3, 1], seed=0), {"parameters": np.zeros(3)}),
        (dl.Network([2, 3, 1], seed=0), {"layers": (2, 0, 1)}),
        (dl.Network([2, 3, 1], seed=0), {"activation": ("what",)}),
        (MLPClassifier((2,), max_iter=2), {"_dtype": "int8"}),
    ],
)
def test_states_are_checked(instance, change):
    kind = type(instance)
    if kind is MLPClassifier:
        fitted(instance)
    state = instance.__getstate__()
    kind.__new__(kind).__setstate__(dict(state))
    with pytest.raises((TypeError, ValueError)):
        kind.__new__(kind).__setstate__(state | change)


def test_objects_come_back_from_pickles():
    for instance in (dl.Huber(2.0), dl.Uniform(0.0, 1.0), SCHEDULED, dl.LevenbergMarquardt()):
        assert pickle.loads(pickle.dumps(instance)) == instance


# ---- MLflow ----


@pytest.mark.filterwarnings("ignore::UserWarning")  # MLflow's, of its own type hints
@pytest.mark.parametrize("model", [CLASSIFIERS["adam"], REGRESSORS["object"]], ids=["c", "r"])
def test_mlflow_saves_and_loads(model, tmp_path):
    pytest.importorskip("skops")
    pytest.importorskip("mlflow")
    pd = pytest.importorskip("pandas")
    import mlflow

    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    y = CLASSES if isinstance(model, MLPClassifier) else VALUES
    pipeline = make_pipeline(StandardScaler(), model).fit(frame, y)
    signature = mlflow.models.infer_signature(frame, pipeline.predict(frame))
    path = tmp_path / "model"
    requirements = ["deltaloop"]  # found out by a process of its own otherwise, which takes long
    mlflow.sklearn.save_model(
        pipeline,
        path,
        signature=signature,
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=requirements,
    )
    again = mlflow.sklearn.load_model(str(path))
    np.testing.assert_array_equal(again.predict(frame), pipeline.predict(frame))
    served = mlflow.pyfunc.load_model(str(path))
    assert served.metadata.signature == signature
    np.testing.assert_array_equal(served.predict(frame), pipeline.predict(frame))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mlflow_saves_networks_and_models_of_tables(tmp_path):
    for name in ("skops", "mlflow", "pandas", "narwhals"):
        pytest.importorskip(name)
    import mlflow
    import pandas as pd

    from deltaloop.tabular import TabularModel

    frame = pd.DataFrame({"x": X[:, 0], "town": ["Ulm", "Bonn"] * 30})
    table = TabularModel().fit(frame.assign(y=VALUES), "y", l2=0.001)
    network = dl.Network([3, 4, 1], seed=0)
    for name, model, rows in (("table", table, frame), ("network", network, X)):
        mlflow.sklearn.save_model(
            model,
            tmp_path / name,
            signature=mlflow.models.infer_signature(rows, model.predict(rows)),
            skops_trusted_types=TRUSTED_TYPES,
            pip_requirements=["deltaloop"],
        )
        served = mlflow.pyfunc.load_model(str(tmp_path / name))
        np.testing.assert_array_equal(served.predict(rows), model.predict(rows))


# ---- joblib and Dask ----


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_backends(backend):
    model = MLPClassifier((4,), max_iter=5, random_state=0)
    alone = cross_val_score(model, X, CLASSES, cv=3)
    with joblib.parallel_backend(backend, n_jobs=2):
        together = cross_val_score(model, X, CLASSES, cv=3)
    np.testing.assert_array_equal(together, alone)


def test_dask_backend():
    distributed = pytest.importorskip("distributed")
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
    search = GridSearchCV(model, {"alpha": [0.0, 1.0], "solver": ["adam", SCHEDULED]}, cv=2)
    alone = search.fit(X, VALUES).cv_results_["mean_test_score"]
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(processes=False, **options), joblib.parallel_backend("dask"):
        together = search.fit(X, VALUES).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(together, alone)


# ---- notebooks ----


def test_html_links_to_the_page(monkeypatch):
    monkeypatch.setattr(_document, "metadata", FakeMetadata)
    _document.page_address.cache_clear()
    try:
        assert (
            MLPClassifier()._get_doc_link()
            == "https://docs.example/main/reference/scikit-learn.html"
        )
        with config_context(display="diagram"):
            assert (
                'href="https://docs.example/main/reference/scikit-learn.html"'
                in MLPClassifier()._repr_html_()
            )
    finally:
        _document.page_address.cache_clear()


def test_html_without_an_address(monkeypatch):
    monkeypatch.setattr(FakeMetadata, "entries", None)
    monkeypatch.setattr(_document, "metadata", FakeMetadata)
    _document.page_address.cache_clear()
    try:
        assert MLPRegressor()._get_doc_link() == ""
    finally:
        _document.page_address.cache_clear()


class FakeMetadata:
    entries = ("Source, https://example", "Documentation, https://docs.example/main/")

    def __init__(self, name):
        assert name == "deltaloop"

    def get_all(self, key):
        assert key == "Project-URL"
        return self.entries
