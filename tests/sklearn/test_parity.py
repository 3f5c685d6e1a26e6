"""deltaloop's estimators against scikit-learn's own: with the same random state the same results.

Both draw the initial weights, the rows for early stopping and the order of rows in the same way, so
their loss curves and weights differ by rounding alone.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning

from deltaloop import sklearn as ours

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.*will be clipped", "ignore:.*clipped"
)

TOLERANCE = 1e-10
RNG = np.random.default_rng(20)

N = 430  # two batches of 200 and one of 30
X = RNG.standard_normal((N, 7))
CURVE = np.sin(X[:, 0]) + 0.3 * X[:, 1] * X[:, 2] + 0.1 * RNG.standard_normal(N)
TARGETS = {
    "binary": np.where(CURVE > 0, "yes", "no"),
    "multiclass": np.digitize(CURVE, [-0.7, 0.0, 0.7]) * 3 - 4,
    "multilabel": (np.column_stack([CURVE, X[:, 3], X[:, 4] - CURVE]) > 0).astype(int),
    "regression": CURVE,
    "poisson": RNG.poisson(np.exp(CURVE)).astype(float),
}
WEIGHTS = RNG.uniform(0.0, 2.0, N)
WEIGHTS[RNG.choice(N, 30, replace=False)] = 0.0


def pair(task, **parameters):
    """Return scikit-learn's estimator for a task and ours."""
    name = "MLPRegressor" if task in ("regression", "poisson") else "MLPClassifier"
    if task == "poisson":
        parameters["loss"] = "poisson"
    parameters = {"random_state": 5, "max_iter": 15, **parameters}
    return getattr(theirs, name)(**parameters), getattr(ours, name)(**parameters)


def assert_same(a, b, tolerance=TOLERANCE):
    assert a.n_iter_ == b.n_iter_
    assert a.t_ == b.t_
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=0, atol=tolerance)
    assert abs(a.loss_ - b.loss_) <= tolerance
    for one, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(a, name) == getattr(b, name)
    for name in ("best_loss_", "best_validation_score_"):
        one, other = getattr(a, name), getattr(b, name)
        assert (one is None) == (other is None)
        assert one is None or abs(one - other) <= tolerance
    assert (a.validation_scores_ is None) == (b.validation_scores_ is None)
    if a.validation_scores_ is not None:
        np.testing.assert_allclose(a.validation_scores_, b.validation_scores_, atol=tolerance)


@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_activations(task, solver, activation):
    a, b = pair(task, solver=solver, activation=activation, hidden_layer_sizes=(9, 5))
    a.fit(X, TARGETS[task])
    b.fit(X, TARGETS[task])
    assert_same(a, b)
    np.testing.assert_array_equal(a.predict(X[:50]).shape, b.predict(X[:50]).shape)
    if hasattr(a, "classes_"):
        np.testing.assert_array_equal(a.classes_, b.classes_)
        np.testing.assert_array_equal(a.predict(X), b.predict(X))
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-9)
        np.testing.assert_allclose(a.predict_log_proba(X), b.predict_log_proba(X), atol=1e-7)
    else:
        np.testing.assert_allclose(a.predict(X), b.predict(X), atol=1e-9)
    assert abs(a.score(X, TARGETS[task]) - b.score(X, TARGETS[task])) < 1e-9


VARIATIONS = [
    {"hidden_layer_sizes": (), "activation": "logistic"},
    {"batch_size": 1, "max_iter": 2},
    {"batch_size": 7},
    {"batch_size": N},
    {"batch_size": 10 * N},
    {"shuffle": False},
    {"shuffle": False, "batch_size": 64},
    {"alpha": 0.0},
    {"alpha": 3.0},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": 4},
    {"hidden_layer_sizes": [3, 8, 2]},
    {"max_iter": 60, "tol": 0.05, "n_iter_no_change": 2, "learning_rate_init": 0.01},
    {"early_stopping": True, "max_iter": 40, "n_iter_no_change": 3, "learning_rate_init": 0.01},
    {"early_stopping": True, "validation_fraction": 0.37, "shuffle": False},
    {"random_state": 123456},
]
SGD = [
    {"momentum": 0.0},
    {"momentum": 0.0, "nesterovs_momentum": False},
    {"momentum": 0.5, "nesterovs_momentum": False},
    {"momentum": 1.0, "learning_rate_init": 1e-4},
    {"learning_rate": "invscaling", "learning_rate_init": 0.3, "power_t": 0.3},
    {
        "learning_rate": "adaptive",
        "learning_rate_init": 0.2,
        "tol": 0.03,
        "n_iter_no_change": 1,
        "max_iter": 80,
    },
]
ADAM = [
    {"beta_1": 0.0},
    {"beta_1": 0.5, "beta_2": 0.9},
    {"epsilon": 0.1},
    {"learning_rate_init": 0.02},
]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("solver", "variation"),
    [("adam", v) for v in VARIATIONS + ADAM] + [("sgd", v) for v in VARIATIONS + SGD],
    ids=str,
)
def test_parameters(solver, variation, weighted):
    for task in ("multiclass", "regression"):
        a, b = pair(task, **{"solver": solver, "hidden_layer_sizes": (6,), **variation})
        weights = WEIGHTS if weighted else None
        if weighted and variation.get("batch_size") == 1:
            weights = WEIGHTS + 0.1  # a batch without weight: see test_sklearn_estimators
        a.fit(X, TARGETS[task], sample_weight=weights)
        b.fit(X, TARGETS[task], sample_weight=weights)
        assert_same(a, b)


@pytest.mark.parametrize("weighted", [False, True])
def test_poisson_loss(weighted):
    a, b = pair("poisson", early_stopping=True, batch_size=33)
    a.fit(X, TARGETS["poisson"], sample_weight=WEIGHTS if weighted else None)
    b.fit(X, TARGETS["poisson"], sample_weight=WEIGHTS if weighted else None)
    assert_same(a, b)


def test_random_state_that_is_an_object_is_left_where_theirs_is():
    one, other = np.random.RandomState(3), np.random.RandomState(3)
    a, b = pair("multiclass", early_stopping=True)
    a.set_params(random_state=one).fit(X, TARGETS["multiclass"])
    b.set_params(random_state=other).fit(X, TARGETS["multiclass"])
    assert_same(a, b)
    assert one.randint(10**9) == other.randint(10**9)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit(solver):
    """With a random state that is an object; with a number scikit-learn repeats its permutation."""
    for task in ("binary", "multiclass", "multilabel", "regression"):
        one, other = np.random.RandomState(3), np.random.RandomState(3)
        a, b = pair(task, solver=solver, learning_rate="invscaling", batch_size=50)
        a.set_params(random_state=one)
        b.set_params(random_state=other)
        classes = {
            "binary": {"classes": ["no", "yes"]},
            "multiclass": {"classes": np.unique(TARGETS["multiclass"])},
            "multilabel": {"classes": [0, 1, 2]},
        }.get(task, {})
        for begin, end in [(0, 200), (200, 230), (230, 231), (231, N), (0, N)]:
            rows = slice(begin, end)
            a.partial_fit(X[rows], TARGETS[task][rows], sample_weight=1 + WEIGHTS[rows], **classes)
            b.partial_fit(X[rows], TARGETS[task][rows], sample_weight=1 + WEIGHTS[rows], **classes)
            assert_same(a, b)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_after_fit_keeps_the_moments(solver):
    one, other = np.random.RandomState(3), np.random.RandomState(3)
    a, b = pair("regression", solver=solver)
    for estimator, state in ((a, one), (b, other)):
        estimator.set_params(random_state=state).fit(X, CURVE)
        estimator.partial_fit(X, CURVE)
    assert_same(a, b)


def test_weights_that_a_caller_has_put_in():
    """The same initial weights, whatever they are."""
    for solver in ("adam", "sgd"):
        a, b = pair("multiclass", solver=solver, warm_start=True, max_iter=1)
        a.fit(X, TARGETS["multiclass"])
        b.fit(X, TARGETS["multiclass"])
        rng = np.random.default_rng(1)
        coefs = [0.3 * rng.standard_normal(w.shape) for w in a.coefs_]
        intercepts = [0.3 * rng.standard_normal(w.shape) for w in a.intercepts_]
        for estimator in (a, b):
            estimator.coefs_ = [w.copy() for w in coefs]
            estimator.intercepts_ = [w.copy() for w in intercepts]
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-12)
        for estimator in (a, b):
            del estimator._optimizer  # scikit-learn's next fit makes a new one; ours would keep it
            estimator._optimizer = None
            estimator.set_params(max_iter=10, shuffle=False).fit(X, TARGETS["multiclass"])
        assert_same(a, b)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse(form, solver):
    dense = X * (np.abs(X) > 0.8)
    a, b = pair("multiclass", solver=solver, early_stopping=solver == "adam")
    a.fit(form(dense), TARGETS["multiclass"])
    b.fit(form(dense), TARGETS["multiclass"])
    if solver != "lbfgs":
        assert_same(a, b)
    c = pair("multiclass", solver=solver, early_stopping=solver == "adam")[1]
    c.fit(dense, TARGETS["multiclass"])
    np.testing.assert_array_equal(c.coefs_[0], b.coefs_[0])
    np.testing.assert_array_equal(b.predict_proba(form(dense)), b.predict_proba(dense))


def test_sparse_and_dense_rows_take_turns():
    """Both have the same bits, with weights, and in calls of partial_fit after each other."""
    dense = X * (np.abs(X) > 0.8)
    fits = []
    plain, csr = np.asarray, sparse.csr_matrix
    for forms in ((plain, plain), (csr, plain), (plain, csr), (sparse.csc_array, csr)):
        model = pair("multiclass", batch_size=64)[1]
        model.fit(forms[0](dense), TARGETS["multiclass"], sample_weight=WEIGHTS)
        for form in (*forms, *forms):
            model.partial_fit(form(dense[:100]), TARGETS["multiclass"][:100])
        fits.append((model.network_.parameters.copy(), model.loss_))
        np.testing.assert_array_equal(model.predict(sparse.csc_matrix(dense)), model.predict(dense))
    for parameters, loss in fits[1:]:
        np.testing.assert_array_equal(parameters, fits[0][0])
        assert loss == fits[0][1]


def test_float32_and_other_orders():
    a, b = pair("regression")
    b.fit(X.astype(np.float32).astype(np.float64), CURVE)
    for data in (X.astype(np.float32), np.asfortranarray(X.astype(np.float32))):
        c = pair("regression")[1].fit(data, CURVE)
        np.testing.assert_array_equal(b.coefs_[0], c.network_.weights[0])
    a.fit(X, CURVE)
    c = pair("regression")[1].fit(np.asfortranarray(X), CURVE)
    assert_same(a, c)


def test_multioutput_weights_agree_and_the_loss_is_the_sum_over_outputs():
    """scikit-learn's loss is divided by the number of outputs, but its gradient is not (#8349)."""
    Y = np.column_stack([CURVE, X[:, 3] ** 2, X[:, 4]])
    for solver in ("adam", "sgd"):
        a, b = pair("regression", solver=solver, alpha=0.0, tol=0.0)
        a.fit(X, Y)
        b.fit(X, Y)
        np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=TOLERANCE)
        np.testing.assert_allclose(3 * np.array(a.loss_curve_), b.loss_curve_, atol=TOLERANCE)


@pytest.mark.parametrize(("loss", "times"), [("squared_error", 3), ("poisson", 1)])
def test_the_penalty_is_not_times_the_number_of_outputs(loss, times):
    """The data's part of the loss is; of Poisson's loss scikit-learn takes the sum as well."""
    Y = np.column_stack([CURVE, X[:, 3] ** 2, X[:, 4]]) ** 2
    n, alpha = len(X), 3.0
    a, b = pair("regression", loss=loss, alpha=alpha, tol=0.0, max_iter=1, batch_size=n)
    a.fit(X, Y)
    b.fit(X, Y)
    start = clone(b).set_params(learning_rate_init=1e-300).fit(X, Y)
    penalty = alpha / 2 * sum((w**2).sum() for w in start.coefs_) / n
    assert penalty > 0.01
    theirs_alone, ours_alone = a.loss_curve_[0] - penalty, b.loss_curve_[0] - penalty
    np.testing.assert_allclose(times * theirs_alone, ours_alone, rtol=1e-12)


def test_lbfgs_ends_where_theirs_does():
    """Two line searches, one objective: the same minimum, and a gradient as small."""
    rng = np.random.default_rng(4)
    features, y = make_classification(300, 6, n_informative=4, random_state=2)
    for seed in range(3):
        parameters = {
            "hidden_layer_sizes": (),
            "solver": "lbfgs",
            "alpha": 1.0,
            "random_state": seed,
            "max_iter": 500,
            "tol": 1e-6,
        }
        weights = rng.uniform(0.5, 2, 300)
        a = theirs.MLPClassifier(**parameters).fit(features, y, sample_weight=weights)
        b = ours.MLPClassifier(**parameters).fit(features, y, sample_weight=weights)
        assert abs(a.loss_ - b.loss_) < 1e-8
        np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=1e-4)
        # The gradient that the loss has where it ended, by the network's own formula.
        total = weights.sum()
        _, gradient = b.network_.gradient(features, y.astype(float), sample_weight=weights, l2=1.0)
        assert np.abs(gradient).max() / total <= 1e-4  # the decrease of the loss may end it first
        assert b.network_.cost(
            features, y.astype(float), sample_weight=weights, l2=1.0
        ) / total == pytest.approx(b.loss_, rel=1e-12)


def test_lbfgs_limits():
    b = ours.MLPClassifier((5,), solver="lbfgs", max_iter=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        b.fit(X, TARGETS["binary"])
    assert b.n_iter_ == 3
    b = ours.MLPClassifier((5,), solver="lbfgs", max_fun=4, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_fun"):
        b.fit(X, TARGETS["binary"])
    assert b.n_iter_ <= 4


def test_multilabel_that_sklearn_makes():
    features, y = make_multilabel_classification(250, 8, n_classes=4, random_state=0)
    a, b = (
        module.MLPClassifier(random_state=1, max_iter=10).fit(features, y)
        for module in (theirs, ours)
    )
    assert_same(a, b)
    np.testing.assert_array_equal(a.predict(features), b.predict(features))
    c = ours.MLPClassifier(random_state=1, max_iter=10).fit(features, sparse.csr_matrix(y))
    assert sparse.issparse(c.predict(features))
    np.testing.assert_array_equal(c.predict(features).toarray(), b.predict(features))
