"""The estimators say when training has ended badly, as scikit-learn's ConvergenceWarning."""

import warnings

import numpy as np
import pytest

import deltaloop as dl

pytest.importorskip("sklearn")

from sklearn.exceptions import ConvergenceWarning

from deltaloop.sklearn import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (200, 3))
Y = np.sin(3 * X[:, 0])
DEAD = {"activation": "relu", "random_state": 0, "max_iter": 500, "n_iter_no_change": 3}


def test_dead_units():
    # Inputs so large that the first steps kill all units.
    for solver in ("adam", "sgd", "lbfgs", "lm", "rprop"):
        if solver in ("lbfgs", "lm"):
            model = MLPRegressor(hidden_layer_sizes=(3,), solver=solver, warm_start=True, **DEAD)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(X, Y)
            model.intercepts_[0][:] = -1e3
        else:
            rate = {"learning_rate_init": 100.0} if solver != "rprop" else {}
            model = MLPRegressor(hidden_layer_sizes=(3,), solver=solver, **rate, **DEAD)
            model.warm_start = True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.set_params(max_iter=1, learning_rate_init=1e-3).fit(X, Y)
            model.intercepts_[0][:] = -1e3
            model.set_params(max_iter=500)
        with pytest.warns(ConvergenceWarning, match="layer 1 are saturated") as caught:
            model.fit(X, Y)
        assert [w.filename for w in caught if "saturated" in str(w.message)] == [__file__]


def test_no_step():
    solver = dl.LevenbergMarquardt(max_damping=1e-30)
    x, y = X * 100 + 1900, 1e6 * X[:, 0]
    model = MLPRegressor(hidden_layer_sizes=(5,), solver=solver, random_state=0)
    with pytest.warns(ConvergenceWarning, match="no step that lowers the cost"):
        model.fit(x, y)
    assert model.n_iter_ == 0


def test_targets_that_tol_cannot_tell_apart():
    with pytest.warns(ConvergenceWarning, match="is coarse for a cost"):
        MLPRegressor(random_state=0, learning_rate_init=1e-5).fit(X, 1e-6 * Y)


@pytest.mark.parametrize("solver", ["lbfgs", "lm", "adam", "rprop"])
def test_what_goes_well_is_quiet(solver):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {"random_state": 0, "max_iter": 3000, "solver": solver, "activation": "tanh"}
        MLPRegressor(hidden_layer_sizes=(5,), tol=1e-3, **options).fit(X, Y)
        if solver != "lm":
            MLPClassifier(hidden_layer_sizes=(5,), tol=1e-3, **options).fit(X, Y > 0)


@pytest.mark.parametrize("seed", range(3))
def test_years_and_thousands(seed):
    x = RNG.uniform([20, 1900], [200, 2020], (500, 2))
    y = 3000 * x[:, 0] + 500 * (x[:, 1] - 1900)
    model = MLPRegressor(hidden_layer_sizes=(10,), solver="lm", random_state=seed, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert model.fit(x, y).score(x, y) > 0.98


@pytest.mark.parametrize("n", [300, 1500])
@pytest.mark.parametrize(("solver", "alpha"), [("lm", 1.0), ("scg", 1.0), ("lbfgs", 0.3)])
def test_an_optimum_with_a_penalty_is_quiet(solver, alpha, n):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=n)
    options = {"activation": "tanh", "max_iter": 5000, "random_state": 0}
    model = MLPRegressor(hidden_layer_sizes=(5,), solver=solver, alpha=alpha, tol=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y)


@pytest.mark.parametrize("method", ["fit", "through a class of the user's"])
def test_warnings_point_at_the_caller(method):
    class Own(MLPRegressor):
        pass

    kind = MLPRegressor if method == "fit" else Own
    for options in (
        {"max_iter": 1},
        {"max_iter": 1, "solver": "lm"},
        {"solver": "lbfgs", "max_fun": 1},
        {"batch_size": 500, "max_iter": 1},
        {"learning_rate_init": 1e300, "solver": "sgd", "early_stopping": True},
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind(hidden_layer_sizes=(3,), random_state=0, **options).fit(X, Y)
        assert caught, options
        assert {w.filename for w in caught} == {__file__}, options
