"""The estimators among scikit-learn's tools, where they differ from its own, and what users get
wrong."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.helpers.processes import run_python

pytest.importorskip("sklearn")

import joblib
import sklearn
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.inspection import DecisionBoundaryDisplay, partial_dependence, permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    LearningCurveDisplay,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import deltaloop as dl
from deltaloop.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def quick(cls=MLPClassifier, **parameters):
    return cls(**{"hidden_layer_sizes": (8,), "max_iter": 30, "random_state": 0, **parameters})


# ---- among scikit-learn's tools ----


def test_pipeline_and_cross_validation():
    model = make_pipeline(StandardScaler(), quick(learning_rate_init=0.01))
    assert cross_val_score(model, *CANCER, cv=3).mean() > 0.95
    assert cross_val_predict(model, *IRIS, method="predict_proba").shape == (150, 3)
    result = cross_validate(model, *IRIS, cv=3, scoring=["accuracy", "neg_log_loss"])
    assert result["test_accuracy"].mean() > 0.8


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_finds_what_it_finds_with_theirs(n_jobs):
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (8, 4)], "solver": ["adam", "sgd"]}
    results = []
    for estimator in (theirs.MLPClassifier(max_iter=20, random_state=0), quick(max_iter=20)):
        search = GridSearchCV(estimator, grid, cv=2, n_jobs=n_jobs).fit(*IRIS)
        results.append(search.cv_results_["mean_test_score"])
    np.testing.assert_allclose(results[0], results[1], atol=1e-12)


def test_searches_over_our_own_values():
    grid = {"solver": ["rprop", "scg", "lm", dl.LevenbergMarquardt()], "activation": ["gelu"]}
    search = GridSearchCV(quick(MLPRegressor), grid, cv=2, error_score="raise").fit(*DIABETES)
    assert len(search.cv_results_["mean_test_score"]) == 4
    RandomizedSearchCV(quick(), {"alpha": [0.1, 1.0]}, n_iter=2, cv=2, error_score="raise").fit(
        *IRIS
    )


def test_meta_estimators():
    calibrated = CalibratedClassifierCV(quick(), cv=2).fit(*IRIS)
    assert calibrated.predict_proba(IRIS[0]).shape == (150, 3)
    several = OneVsRestClassifier(quick()).fit(*IRIS)
    assert several.score(*IRIS) > 0.5
    scaled = TransformedTargetRegressor(
        quick(MLPRegressor, learning_rate_init=0.02, max_iter=200), transformer=StandardScaler()
    )
    assert make_pipeline(StandardScaler(), scaled).fit(*DIABETES).score(*DIABETES) > 0.4
    selected = SelectFromModel(
        quick(), importance_getter=lambda e: np.abs(e.coefs_[0]).sum(axis=1)
    ).fit(*IRIS)
    assert 0 < selected.transform(IRIS[0]).shape[1] < 4


def test_inspection():
    model = quick(solver="lbfgs", max_iter=100).fit(*IRIS)
    importance = permutation_importance(model, *IRIS, n_repeats=3, random_state=0)
    assert importance.importances_mean.argmax() in (2, 3)
    assert partial_dependence(model, IRIS[0], [2])["average"].shape[0] == 3
    pytest.importorskip("matplotlib").use("Agg")
    flat = quick(solver="lbfgs").fit(IRIS[0][:, 2:], IRIS[1])
    display = DecisionBoundaryDisplay.from_estimator(flat, IRIS[0][:, 2:])
    assert display.response.shape[:2] == (100, 100)
    LearningCurveDisplay.from_estimator(quick(), *IRIS, cv=2)


def test_pandas_and_polars():
    names = ["a", "b", "c", "d"]
    expected = quick().fit(*IRIS).predict_proba(IRIS[0])
    frames = []
    for library in ("pandas", "polars"):
        module = pytest.importorskip(library)
        if library == "pandas":
            frame, labels = module.DataFrame(IRIS[0], columns=names), module.Series(IRIS[1])
        else:
            frame, labels = module.DataFrame(IRIS[0], schema=names), module.Series(IRIS[1])
        model = quick().fit(frame, labels)
        frames.append(frame)
        if library == "polars" and sklearn.__version__ < "1.9":
            np.testing.assert_array_equal(model.predict_proba(frame), expected)
            continue  # it reads the values alone
        assert model.feature_names_in_.tolist() == names
        np.testing.assert_array_equal(model.predict_proba(frame), expected)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.predict(IRIS[0])
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame[["b", "a", "c", "d"]])
    columns = make_column_transformer((OneHotEncoder(), ["d"]), remainder="passthrough")
    assert make_pipeline(columns, quick()).fit(frames[0], IRIS[1]).score(frames[0], IRIS[1]) > 0.3


def test_metadata_routing():
    weights = np.random.default_rng(0).uniform(0, 2, 150)
    with sklearn.config_context(enable_metadata_routing=True):
        model = quick().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_validate(model, *IRIS, params={"sample_weight": weights}, cv=3)
        assert len(scores["test_score"]) == 3
        assert quick().set_partial_fit_request(classes=True, sample_weight=True) is not None
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            cross_validate(quick(), *IRIS, params={"sample_weight": weights}, error_score="raise")


def test_clone_parameters_and_html():
    model = quick(MLPRegressor, loss=dl.Huber(0.5), solver=dl.Rprop()).fit(*DIABETES)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "network_")
    assert "MLPRegressor" in model._repr_html_()
    assert "loss=" in repr(model)
    assert MLPClassifier().get_params().keys() - theirs.MLPClassifier().get_params().keys() == {
        "n_threads",
        "class_weight",
    }
    for ours, other in ((MLPClassifier, theirs.MLPClassifier), (MLPRegressor, theirs.MLPRegressor)):
        expected = other().get_params()
        assert {name: ours().get_params()[name] for name in expected} == expected
        methods = {n for n in dir(other) if not n.startswith("_")}
        assert methods <= set(dir(ours))


@pytest.mark.parametrize("how", ["pickle", "joblib", "deepcopy"])
def test_copies_go_on_with_the_same_bits(how, tmp_path):
    model = quick().partial_fit(*IRIS, classes=[0, 1, 2])
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(model))
    elif how == "deepcopy":
        twin = copy.deepcopy(model)
    else:
        joblib.dump(model, tmp_path / "model")
        twin = joblib.load(tmp_path / "model")
    for _ in range(3):
        model.partial_fit(*IRIS)
        twin.partial_fit(*IRIS)
    np.testing.assert_array_equal(model.network_.parameters, twin.network_.parameters)
    assert all(np.shares_memory(w, twin.network_.parameters) for w in twin.coefs_)
    np.testing.assert_array_equal(model.predict_proba(IRIS[0]), twin.predict_proba(IRIS[0]))


def test_a_pickle_holds_the_parameters_once():
    model = MLPClassifier((300, 300), max_iter=1, solver="lbfgs").fit(*IRIS)
    n = model.network_.n_parameters
    assert len(pickle.dumps(model)) < 8 * n + 20_000


def test_the_rows_are_let_go():
    """What was trained on is kept by nobody."""
    import gc
    import weakref

    class Rows(np.ndarray):
        pass

    for partial in (False, True):
        X = np.ascontiguousarray(IRIS[0]).view(Rows)
        reference = weakref.ref(X)
        model = quick()
        if partial:
            model.partial_fit(X, IRIS[1], classes=[0, 1, 2])
        else:
            model.fit(X, IRIS[1])
        del X
        gc.collect()
        assert reference() is None
        model.partial_fit(*IRIS)


def test_threads_predict_together_and_train_one_at_a_time():
    model = quick().fit(*IRIS)
    expected = model.predict_proba(IRIS[0])
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(model.predict_proba(IRIS[0])))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((result == expected).all() for result in results)
    with joblib.parallel_config(backend="threading"):
        assert cross_val_score(quick(), *IRIS, cv=2, n_jobs=2).shape == (2,)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "scg", "rprop", "lm"])
def test_no_bit_depends_on_the_threads(solver):
    X, y = load_digits(return_X_y=True)
    X, y = X[:600] / 16, y[:600]
    fits = [
        quick(solver=solver, n_threads=n, max_iter=4).fit(X, y).network_.parameters
        for n in (1, 2, 5)
    ]
    assert (fits[0] == fits[1]).all()
    assert (fits[0] == fits[2]).all()


# ---- where ours differ on purpose ----


def test_partial_fit_draws_a_new_permutation_each_time():
    """#12505: with a number as random state scikit-learn's draws the same one in each call."""
    X = np.arange(40.0).reshape(-1, 1) / 40
    y = np.sin(9 * X[:, 0])

    def orders(module):
        """Return what each call changed the weights by, with a learning rate of nearly 0."""
        model = module.MLPRegressor(
            hidden_layer_sizes=(),
            solver="sgd",
            momentum=0.0,
            batch_size=1,
            learning_rate_init=0.3,
            random_state=3,
        )
        model.partial_fit(X, y)
        changes = []
        for _ in range(2):
            model.coefs_[0][:] = 0.2
            model.intercepts_[0][:] = 0.1
            model.partial_fit(X, y)
            changes.append(model.coefs_[0][0, 0])
        return changes

    first, second = orders(theirs)
    assert first == second
    first, second = orders(dl.sklearn)
    assert first != second


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_warm_start_goes_on(solver, schedule):
    """#6091: five fits of one epoch each are one fit of five, bit for bit."""
    parameters = {
        "solver": solver,
        "learning_rate": schedule,
        "learning_rate_init": 0.05,
        "batch_size": 40,
        "tol": 0.5,
        "n_iter_no_change": 1,
        "warm_start": True,
    }
    whole = quick(**parameters, max_iter=5).fit(*IRIS)
    parts = quick(**parameters, max_iter=1)
    for _ in range(whole.n_iter_):
        parts.fit(*IRIS)
    np.testing.assert_array_equal(whole.network_.parameters, parts.network_.parameters)
    assert whole.loss_curve_ == parts.loss_curve_
    assert whole.t_ == parts.t_
    assert parts.n_iter_ == 1


def test_warm_start_takes_new_parameters_of_the_solver():
    model = quick(solver="sgd", warm_start=True, learning_rate_init=0.01, max_iter=2).fit(*IRIS)
    model.set_params(learning_rate_init=1e-9).fit(*IRIS)
    before = model.network_.parameters.copy()
    model.set_params(momentum=0.0).fit(*IRIS)
    assert np.abs(model.network_.parameters - before).max() < 1e-7
    model.set_params(solver="adam", learning_rate_init=0.01, alpha=0.3).fit(*IRIS)
    assert np.abs(model.network_.parameters - before).max() > 1e-3
    model.set_params(solver="lbfgs", max_iter=50).fit(*IRIS)
    assert model.score(*IRIS) > 0.9


def test_warm_start_with_another_activation_or_loss():
    model = quick(warm_start=True, shuffle=False).fit(*IRIS)
    other = theirs.MLPClassifier(
        **{k: v for k, v in model.get_params().items() if k not in ("n_threads", "class_weight")}
    ).fit(*IRIS)
    for estimator in (model, other):
        if estimator is model:
            model._optimizer = None  # theirs makes a new one
        estimator.set_params(activation="tanh").fit(*IRIS)
    assert model.network_.activation == ("tanh",)
    np.testing.assert_allclose(model.coefs_[0], other.coefs_[0], atol=1e-10)
    counts = quick(MLPRegressor, warm_start=True).fit(*IRIS)
    counts.set_params(loss="poisson").fit(*IRIS)
    assert counts.out_activation_ == "exp"
    assert counts.predict(IRIS[0]).min() > 0


def test_warm_start_with_early_stopping_sets_the_same_rows_aside(monkeypatch):
    seen = []
    original = MLPClassifier._validation_score
    monkeypatch.setattr(
        MLPClassifier,
        "_validation_score",
        lambda self, rows: seen.append(rows.X.copy()) or original(self, rows),
    )
    model = quick(early_stopping=True, warm_start=True, max_iter=1)
    model.fit(*IRIS)
    model.fit(*IRIS)
    np.testing.assert_array_equal(seen[0], seen[1])
    assert len(model.validation_scores_) == 2


def test_the_loss_of_several_outputs_is_what_the_gradient_is_of():
    """#8349: lbfgs can only end at a minimum where loss and gradient belong together."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((80, 3))
    Y = X @ rng.standard_normal((3, 4)) + 0.1 * rng.standard_normal((80, 4))
    model = quick(MLPRegressor, hidden_layer_sizes=(), solver="lbfgs", alpha=0.0, tol=1e-12)
    model.set_params(max_iter=500).fit(X, Y)
    A = np.column_stack([X, np.ones(80)])
    residual = np.linalg.lstsq(A, Y, rcond=None)[0]
    np.testing.assert_allclose(model.coefs_[0], residual[:3], atol=1e-6)
    assert model.loss_ == pytest.approx(0.5 * ((model.predict(X) - Y) ** 2).sum() / 80, rel=1e-9)


def test_partial_fit_is_not_there_without_its_solvers():
    for cls in (MLPClassifier, MLPRegressor):
        assert hasattr(cls(), "partial_fit")
        for solver in ("lbfgs", "lm", dl.Adam(0.1)):
            assert not hasattr(cls(solver=solver), "partial_fit")


def test_a_batch_without_weight_teaches_nothing():
    X, y = IRIS
    weights = np.zeros(150)
    weights[::3] = 1.0
    model = quick(batch_size=1, shuffle=False, solver="sgd", alpha=0.0, max_iter=2, momentum=0.0)
    model.fit(X, y, sample_weight=weights)
    only = clone(model).fit(X[::3], y[::3])
    np.testing.assert_allclose(model.coefs_[0], only.coefs_[0], atol=1e-12)
    assert np.isfinite(model.loss_)


def test_the_log_loss_is_not_cut_off():
    X = np.array([[1.0], [-1.0]])
    weights = [np.array([[100.0]])]

    def loss(module):
        model = module.MLPClassifier((), solver="sgd", learning_rate_init=1e-9, max_iter=1)
        model.set_params(warm_start=True, alpha=0.0, shuffle=False).fit(X, [0, 1])
        model.coefs_ = [w.copy() for w in weights]
        model.intercepts_ = [np.zeros(1)]
        return model.fit(X, [0, 1]).loss_

    assert loss(dl.sklearn) == pytest.approx(100.0, rel=1e-6)
    assert loss(theirs) == pytest.approx(-np.log(np.finfo(float).eps), rel=1e-3)


# ---- our own values ----


def test_our_solvers_activations_and_losses():
    X, y = StandardScaler().fit_transform(DIABETES[0]), DIABETES[1]
    y = (y - y.mean()) / y.std()
    for parameters in (
        {"solver": "lm", "activation": "tanh"},
        {"solver": "br", "activation": "sigmoid"},
        {"solver": "scg", "activation": ["softplus", "gelu"], "hidden_layer_sizes": (6, 5)},
        {"solver": dl.Adam(0.005, batch_size=32), "activation": "silu"},
        {"solver": dl.AdamW(0.005, batch_size=32, weight_decay=0.01)},
        {"solver": dl.GradientDescent(dl.schedules.Cosine(1e-4, epochs=30), momentum=0.9)},
        {"solver": "rprop", "loss": "absolute_error"},
        {"solver": "adam", "loss": "huber", "learning_rate_init": 0.01, "max_iter": 60},
        {"solver": "lbfgs", "loss": dl.Quantile(0.9)},
        {"solver": "rprop", "early_stopping": True, "max_iter": 60},
    ):
        model = quick(MLPRegressor, **parameters).fit(X, y)
        assert model.loss_curve_[-1] < model.loss_curve_[0]
        if parameters.get("loss", "") != dl.Quantile(0.9):
            assert model.score(X, y) > 0.3, parameters
        else:
            assert np.mean(model.predict(X) > y) == pytest.approx(0.9, abs=0.05)
        total = len(y)
        if isinstance(model.solver, str) and model.solver not in ("adam", "br"):
            cost = model.network_.cost(X, y, l2=model.alpha) / total
            if not model.early_stopping:
                assert model.loss_ == pytest.approx(cost, rel=1e-12)


def test_sigmoid_is_logistic():
    a = quick(activation="logistic").fit(*IRIS)
    b = quick(activation="sigmoid").fit(*IRIS)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


def test_the_network_does_what_networks_do(tmp_path):
    model = quick().fit(*IRIS)
    model.network_.save(tmp_path / "iris.safetensors")
    network = dl.load(tmp_path / "iris.safetensors")
    np.testing.assert_array_equal(network.predict(IRIS[0]), model.predict_proba(IRIS[0]))
    np.testing.assert_array_equal(network.classify(IRIS[0]), model.predict(IRIS[0]))


def test_weights_put_in_the_place_of_the_models():
    model = quick().fit(*IRIS)
    model.coefs_[0] = np.zeros_like(model.coefs_[0])
    flat = model.predict_proba(IRIS[0])
    assert (flat == flat[0]).all()
    assert model.coefs_[0].base is not None
    model.coefs_[1][:] = 0.0
    model.intercepts_ = [np.zeros(8), np.zeros(3)]
    np.testing.assert_allclose(model.predict_proba(IRIS[0]), 1 / 3)
    model.coefs_[0] = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"coefs_\[0\] must have shape \(4, 8\)"):
        model.predict(IRIS[0])
    model.coefs_ = model.coefs_[:1]
    with pytest.raises(ValueError, match="must hold 4 arrays, got 3"):
        model.predict(IRIS[0])
    model = quick().fit(*IRIS)
    del model.intercepts_[1]
    with pytest.raises(ValueError, match="must hold 4 arrays, got 3"):
        model.predict(IRIS[0])


def test_classes_of_any_kind():
    X = IRIS[0][:100]
    for labels in (["no", "yes"], [False, True], [-1.0, 2.0], [7, 70]):
        y = np.asarray(labels)[IRIS[1][:100]]
        model = quick(solver="lbfgs").fit(X, y)
        assert model.predict(X).dtype == y.dtype
        assert model.score(X, y) > 0.9
    with pytest.warns(UserWarning, match="column-vector"):
        quick().fit(X, IRIS[1][:100].reshape(-1, 1))
    one = quick().fit(X, np.ones(100))
    assert set(one.predict(X)) == {1.0}


# ---- what users get wrong ----

WRONG = [
    ({"hidden_layer_sizes": (3, 0)}, ValueError, "hidden_layer_sizes must be > 0"),
    ({"hidden_layer_sizes": 2.5}, TypeError, "hidden_layer_sizes must be an integer, got 2.5"),
    ({"hidden_layer_sizes": ("a",)}, TypeError, "hidden_layer_sizes must be an integer"),
    ({"activation": "relu6"}, ValueError, "activation must be one of identity, logistic"),
    ({"activation": "step"}, ValueError, "activation must be one of"),
    ({"activation": ["relu", "tanh"]}, ValueError, "one for each of 1 hidden layers"),
    ({"activation": 3}, TypeError, "activation must be a string"),
    ({"solver": "newton"}, ValueError, "solver must be one of sgd, adam, lbfgs"),
    ({"solver": dl.Adam}, TypeError, "solver must be one of"),
    ({"alpha": -1}, ValueError, r"alpha must be in \[0, inf\), got -1"),
    ({"alpha": "1"}, TypeError, "alpha must be a real number"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ({"batch_size": "all"}, ValueError, "batch_size must be one of auto"),
    ({"learning_rate": "cosine"}, ValueError, "learning_rate must be one of constant"),
    ({"learning_rate_init": 0}, ValueError, r"learning_rate_init must be in \(0, inf\)"),
    ({"power_t": np.nan}, ValueError, "power_t must be in"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    ({"max_iter": 2.5}, TypeError, "max_iter must be an integer"),
    ({"shuffle": "yes"}, TypeError, "shuffle must be True or False"),
    ({"random_state": "x"}, ValueError, "cannot be used to seed"),
    ({"tol": -1e-3}, ValueError, "tol must be in"),
    ({"verbose": -1}, ValueError, "verbose must be at least 0"),
    ({"momentum": 1.1}, ValueError, r"momentum must be in \[0, 1\], got 1.1"),
    ({"early_stopping": None}, TypeError, "early_stopping must be True or False"),
    (
        {"early_stopping": True, "validation_fraction": 1.5},
        ValueError,
        "validation_fraction must be in",
    ),
    ({"early_stopping": True, "validation_fraction": 0.001}, ValueError, "validation set is too"),
    ({"beta_1": -0.1}, ValueError, "beta_1 must be in"),
    ({"epsilon": 0.0}, ValueError, "epsilon must be in"),
    ({"n_iter_no_change": 1.5}, TypeError, "n_iter_no_change must be an integer"),
    ({"max_fun": 0}, ValueError, "max_fun must be at least 1"),
    ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
]


@pytest.mark.parametrize(("parameters", "error", "message"), WRONG, ids=str)
def test_wrong_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        quick(**parameters).fit(*IRIS)


def test_wrong_loss():
    with pytest.raises(ValueError, match="loss must be one of squared_error, poisson"):
        quick(MLPRegressor, loss="hinge").fit(*DIABETES)
    with pytest.raises(ValueError, match="counts, at least 0"):
        quick(MLPRegressor, loss="poisson").fit(DIABETES[0], DIABETES[1] - 200)
    with pytest.raises(ValueError, match="LevenbergMarquardt"):
        quick(MLPRegressor, loss="absolute_error", solver="lm").fit(*DIABETES)


def test_wrong_data():
    model = quick()
    with pytest.raises(NotFittedError):
        model.predict(IRIS[0])
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(IRIS[0] > 5, np.nan, IRIS[0]), IRIS[1])
    with pytest.raises(ValueError, match="sample_weight must be at least 0"):
        model.fit(*IRIS, sample_weight=-np.ones(150))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(IRIS[0], IRIS[1][:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(IRIS[0], IRIS[0][:, 0] * np.pi)
    model.fit(*IRIS)
    for wrong in (np.full((2, 4), np.inf), np.array([[np.nan] * 4])):
        with pytest.raises(ValueError, match=r"infinity|NaN"):
            model.predict(wrong)
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.predict(IRIS[0][:, :3])
    with pytest.raises(ValueError, match="1D array"):
        model.predict(IRIS[0][0])
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(IRIS[0][:0])


def test_wrong_calls_of_partial_fit_and_warm_start():
    with pytest.raises(ValueError, match="classes must be passed"):
        quick().partial_fit(*IRIS)
    model = quick().partial_fit(IRIS[0][:60], IRIS[1][:60], classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes not in `self.classes_`"):
        model.partial_fit(*IRIS)
    with pytest.raises(ValueError, match="early_stopping=True"):
        quick(early_stopping=True).partial_fit(*IRIS, classes=[0, 1, 2])
    warm = quick(warm_start=True).fit(*IRIS)
    with pytest.raises(ValueError, match="same classes"):
        warm.fit(IRIS[0][:60], IRIS[1][:60])
    before = warm.network_.parameters.copy()
    with pytest.raises(ValueError, match=r"\[4, 8, 3\], got \[4, 5, 3\]"):
        warm.set_params(hidden_layer_sizes=5).fit(*IRIS)
    np.testing.assert_array_equal(warm.network_.parameters, before)


def test_a_call_that_fails_leaves_the_model_as_it_was():
    model = quick().fit(*IRIS)
    expected = model.predict_proba(IRIS[0])
    known = dict(model.__dict__)
    letters = np.array(list("abcdefghij"))[np.arange(150) % 10]
    for parameters, X, y in (
        ({"random_state": "bad"}, IRIS[0], letters),
        ({"alpha": -1}, IRIS[0], letters),
        ({}, IRIS[0][:, :2], np.arange(149)),
        ({"early_stopping": True, "validation_fraction": 0.001}, IRIS[0], letters),
        ({"solver": "sgd", "learning_rate_init": 1e200}, 1e150 * IRIS[0][:, :2], letters),
    ):
        with pytest.raises(ValueError, match=r"."):
            model.set_params(**parameters).fit(X, y)
        model.set_params(**quick().get_params())
        assert dict(model.__dict__) == known
        np.testing.assert_array_equal(model.predict_proba(IRIS[0]), expected)
        assert model.predict(IRIS[0]).dtype == np.intp
    fresh = quick(random_state="bad")
    with pytest.raises(ValueError, match="seed"):
        fresh.fit(*IRIS)
    assert not hasattr(fresh, "classes_")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_an_exception_within_an_epoch(how):
    """Whatever breaks an epoch off, the next call begins one of its own rows."""
    code = f"""
import signal
import numpy as np
from deltaloop.sklearn import MLPRegressor
class Late(Exception): pass
def late(*_): raise Late
signal.signal(signal.SIGALRM, late)
rng = np.random.default_rng(0)
X = rng.standard_normal((60_000, 100))
y = X[:, 0]
warm = {how == "warm_start"}
model = MLPRegressor("squared_error", (200,), random_state=0, warm_start=warm, max_iter=50)
call = model.fit if warm else model.partial_fit
model.set_params(max_iter=1)
call(X[:1000], y[:1000])
model.set_params(max_iter=10**6, tol=0.0)
broken = 0
for batch_size in (200, 20_000):
    model.set_params(batch_size=batch_size)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        while True: call(X, y)
    except Late:
        broken += 1
    model.set_params(max_iter=1)
    few = rng.standard_normal((900, 100))
    call(few, few[:, 0])
    assert np.isfinite(model.network_.parameters).all()
print(broken)
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (run.stdout.strip(), run.returncode) == ("2", 0), run.stderr


def test_copying_while_it_trains():
    """One of the two goes first; the other one is told so."""
    model = quick(hidden_layer_sizes=(300,))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 60))
    model.partial_fit(X, X[:, 0] > 0, classes=[False, True])
    done, told = [], []

    def tried(call):
        try:
            done.append(call())
        except RuntimeError as error:
            told.append(str(error))

    def train():
        for _ in range(4):
            tried(lambda: model.partial_fit(X, X[:, 0] > 0))

    thread = threading.Thread(target=train)
    thread.start()
    while thread.is_alive():
        tried(lambda: pickle.loads(pickle.dumps(model)))
    thread.join()
    assert all(type(value) is MLPClassifier for value in done)
    assert all("is being trained already" in text for text in told)
    assert np.isfinite(model.network_.parameters).all()
    assert len(model.partial_fit(X, X[:, 0] > 0).loss_curve_) >= 2


def test_divergence():
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        quick(MLPRegressor, solver="sgd", learning_rate_init=1e5).fit(*DIABETES)
    model = quick(MLPRegressor, solver="sgd", learning_rate_init=1.0, early_stopping=True)
    model.set_params(activation="identity")
    X, y = DIABETES
    with pytest.warns(ConvergenceWarning, match="diverged in epoch"):
        model.fit(100 * X, y)
    assert np.isfinite(model.network_.parameters).all()
    assert np.isnan(model.validation_scores_[-1])


def test_it_says_when_it_has_not_converged():
    with pytest.warns(ConvergenceWarning, match="made the 2 iterations that max_iter allows"):
        quick(max_iter=2).fit(*IRIS)
    with pytest.warns(UserWarning, match="batch_size=500 is larger than the number of rows, 150"):
        quick(batch_size=500).fit(*IRIS)


def test_verbose(monkeypatch):
    for module in (theirs, dl.sklearn):
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        module.MLPClassifier(
            (4,),
            solver="sgd",
            learning_rate="adaptive",
            learning_rate_init=1e-5,
            max_iter=30,
            n_iter_no_change=2,
            tol=0.1,
            verbose=True,
            random_state=0,
        ).fit(*IRIS)
        if module is theirs:
            expected = out.getvalue()
    assert out.getvalue() == expected
    assert "Setting learning rate" in expected


@pytest.mark.slow
def test_interrupted_training_is_kept():
    """Ctrl-C ends a fit with a warning, as with scikit-learn, and what was learned stays."""
    code = """
import signal, sys, threading, time, warnings
import numpy as np
from deltaloop.sklearn import MLPClassifier
rng = np.random.default_rng(0)
X, y = rng.standard_normal((20_000, 50)), rng.integers(0, 3, 20_000)
timer = threading.Timer(1.0, signal.raise_signal, [signal.SIGINT])
timer.start()
model = MLPClassifier((200,), max_iter=10**6, tol=0.0, n_iter_no_change=10**9, random_state=0)
began = time.perf_counter()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    model.fit(X, y)
assert time.perf_counter() - began < 20
assert any("interrupted" in str(w.message) for w in seen), seen
assert np.isfinite(model.network_.parameters).all()
model.partial_fit(X, y)
print(model.predict(X[:1]).shape)
"""
    assert run_python(code).strip() == "(1,)"


def test_sparse_input_stays_small():
    """100,000 rows of 5,000 columns would take 4 GB at once."""
    import resource

    rng = np.random.default_rng(0)
    n, m = 20_000, 5_000
    rows = np.repeat(np.arange(n), 5)
    X = sparse.csr_matrix((np.ones(5 * n), (rows, rng.integers(0, m, 5 * n))), shape=(n, m))
    y = rng.integers(0, 2, n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = quick(max_iter=1).fit(X, y)
    model.predict(X.tocsc())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # KB


def test_a_missing_scikit_learn_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import deltaloop.sklearn"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "pip install 'deltaloop[sklearn]'" in run.stderr


def test_it_can_be_imported_without_docstrings():
    code = (
        "import deltaloop.sklearn, deltaloop.plot; print(deltaloop.sklearn.MLPClassifier.__doc__)"
    )
    run = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == "None", run.stderr


def test_importing_deltaloop_imports_no_scikit_learn():
    code = "import sys, deltaloop; print('sklearn' in sys.modules)"
    assert run_python(code, timeout=120).strip() == "False"


def test_time_is_not_lost_between_epochs():
    """An epoch of a tiny data set is left to C; a thousand of them end within seconds."""
    began = time.perf_counter()
    quick(max_iter=1000, tol=0.0, n_iter_no_change=np.inf).fit(*IRIS)
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize("data", ["values", "two classes", "three classes"])
@pytest.mark.parametrize("solver", ["adam", "rprop"])
def test_rows_set_aside_that_have_no_weight(data, solver):
    """Their score would be 0 / 0; so it is of rows to train on of which none has a weight."""
    X = IRIS[0][:40]
    y = {"values": X[:, 0], "two classes": np.arange(40) % 2, "three classes": np.arange(40) % 3}
    kind = MLPRegressor if data == "values" else MLPClassifier
    options = {"hidden_layer_sizes": (2,), "max_iter": 2, "solver": solver, "random_state": 0}
    model = kind(early_stopping=True, validation_fraction=0.2, **options)
    seen: list[str] = []
    for one in range(40):  # the only row with a weight is set aside or it is not
        weights = np.zeros(40)
        weights[one] = 1.0
        with pytest.raises(
            ValueError, match=r"early_stopping=True with validation_fraction=0\.2: all"
        ) as caught:
            model.fit(X, y[data], weights)
        seen.append(str(caught.value))
    assert sum("8 rows that are set aside have the weight 0" in text for text in seen) == 32
    assert sum("32 rows that are trained on have the weight 0" in text for text in seen) == 8


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"early_stopping": True, "validation_fraction": 1.0},
            r"validation_fraction must be in \[0, 1\), got 1.0",
        ),
        ({"validation_fraction": 1}, r"validation_fraction must be in \[0, 1\), got 1"),
        (
            {"early_stopping": True, "validation_fraction": 0.0},
            "validation_fraction=0.0 of 150 rows aside",
        ),
        (
            {"early_stopping": True, "validation_fraction": 0.999},
            "validation_fraction=0.999 of 150 rows aside",
        ),
        (
            {"early_stopping": True, "validation_fraction": 0.005},
            "validation_fraction=0.005 of 150 rows is 1",
        ),
        (
            {"solver": dl.GradientDescent(0.1, batch_size=500)},
            r"^solver=GradientDescent\(.*batch_size=500\): batch_size",
        ),
        ({"loss": "log_loss"}, "loss must be one of squared_error"),
    ],
    ids=str,
)
def test_messages_name_the_estimators_own_parameters(options, match):
    with pytest.raises(ValueError, match=match) as caught:
        MLPRegressor(**options).fit(*IRIS)
    assert "test_size" not in str(caught.value)


def test_the_penalty_has_its_name_here():
    """Solvers speak of l2, which is the estimators' alpha."""
    solver = dl.LevenbergMarquardt(max_memory=1000)
    with pytest.raises(ValueError, match=r"^solver=Lev") as caught:
        MLPRegressor(solver=solver, alpha=1.0).fit(*DIABETES)
    assert "l2" not in str(caught.value)


def test_more_iterations_than_c_counts():
    model = MLPRegressor(hidden_layer_sizes=(1,), solver="lm", max_iter=2**70)
    assert model.fit(*DIABETES).n_iter_ < 1000


def test_memory_without_a_penalty_is_named_as_alpha():
    solver = dl.LevenbergMarquardt(max_memory=10**6)
    model = MLPRegressor(hidden_layer_sizes=(60,), activation="tanh", solver=solver)
    with pytest.raises(ValueError, match=r"; without a penalty, alpha=0, they take 149952 bytes;"):
        model.fit(np.ones((3, 50)), np.arange(3.0))
