"""Fitted perceptrons of scikit-learn, there and back."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

import deltaloop as dl

THEIRS = {"sigmoid": "logistic"}
HIDDEN = ["identity", "sigmoid", "tanh", "relu"]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def same_parameters(network, estimator):
    for ours, theirs in (
        (network.weights, estimator.coefs_),
        (network.biases, estimator.intercepts_),
    ):
        for one, other in zip(ours, theirs, strict=True):
            assert one.tobytes() == np.ascontiguousarray(other, dtype=np.float64).tobytes()


def data(n=40, m0=5):
    rng = np.random.default_rng()
    return rng, rng.normal(size=(n, m0))


def two_columns(p):
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p


class TestFromSklearn:
    @pytest.mark.parametrize("hidden", [(), (7,), (4, 6)])
    @pytest.mark.parametrize("activation", HIDDEN)
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_classifiers(self, n_classes, activation, hidden):
        rng, X = data()
        y = rng.choice(["a", "b", "c"][:n_classes], size=len(X))
        options = {"activation": THEIRS.get(activation, activation), "max_iter": 2}
        estimator = MLPClassifier(hidden, **options).fit(X, y)
        network = dl.from_sklearn(estimator, seed=3)
        same_parameters(network, estimator)
        assert network.activation == (activation,) * len(hidden)
        assert (network.loss, network.seed) == ("cross_entropy", 3)
        assert network.output == ("sigmoid" if n_classes == 2 else "softmax")
        probabilities = two_columns(network.predict(X))
        np.testing.assert_allclose(probabilities, estimator.predict_proba(X), rtol=0, atol=1e-12)
        assert estimator.classes_[network.classify(X)].tolist() == estimator.predict(X).tolist()

    def test_several_labels(self):
        rng, X = data()
        estimator = MLPClassifier((4,), max_iter=2).fit(X, rng.integers(0, 2, size=(len(X), 3)))
        network = dl.from_sklearn(estimator)
        same_parameters(network, estimator)
        assert (network.output, network.loss) == ("sigmoid", "binary_cross_entropy")
        np.testing.assert_array_equal(network.classify(X), estimator.predict(X))

    @pytest.mark.parametrize("n_outputs", [1, 3])
    @pytest.mark.parametrize("loss", ["squared_error", "poisson"])
    def test_regressors(self, loss, n_outputs):
        rng, X = data()
        y = rng.poisson(3, size=(len(X), n_outputs)).astype(float)
        estimator = MLPRegressor(loss=loss, hidden_layer_sizes=(4,), max_iter=2)
        estimator.fit(X, y[:, 0] if n_outputs == 1 else y)
        network = dl.from_sklearn(estimator)
        same_parameters(network, estimator)
        assert network.loss == loss
        expected = estimator.predict(X).reshape(-1, n_outputs)
        np.testing.assert_allclose(network.predict(X), expected, rtol=1e-12, atol=1e-12)

    def test_float32(self):
        _, X = data()
        estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2)
        estimator.fit(X.astype(np.float32), X[:, 0].astype(np.float32))
        assert estimator.coefs_[0].dtype == np.float32
        same_parameters(dl.from_sklearn(estimator), estimator)

    def test_what_looks_like_one(self):
        class Estimator:
            coefs_ = (np.ones((2, 2)), np.ones((2, 1)))
            intercepts_ = (np.zeros(2), np.zeros(1))
            activation = ("gelu",)
            out_activation_ = "identity"
            loss = dl.Huber(0.5)
            residual = True

        network = dl.from_sklearn(Estimator())
        assert (network.activation, network.loss, network.residual) == (
            ("gelu",),
            dl.Huber(0.5),
            True,
        )

    def test_parameters_are_copies(self):
        _, X = data()
        estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, X[:, 0])
        before = estimator.coefs_[0].copy()
        dl.from_sklearn(estimator).parameters[:] = 0
        np.testing.assert_array_equal(estimator.coefs_[0], before)

    def test_loss_can_be_given(self):
        _, X = data()
        estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, X[:, 0])
        assert dl.from_sklearn(estimator, loss="absolute_error").loss == "absolute_error"
        classifier = MLPClassifier((4,), max_iter=2).fit(X, X[:, 0] > 0)
        with pytest.raises(ValueError, match="output must be one of exp for loss='poisson'"):
            dl.from_sklearn(classifier, loss="poisson")

    def test_wrong_arguments(self):
        for other in (3, None, LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])):
            with pytest.raises(TypeError, match="must be an MLPClassifier or MLPRegressor, got"):
                dl.from_sklearn(other)
        with pytest.raises(ValueError, match="estimator must be fitted, got one without coefs_, i"):
            dl.from_sklearn(MLPClassifier())


class TestToSklearn:
    @pytest.mark.parametrize("hidden", [[], [7], [4, 6]])
    @pytest.mark.parametrize("activation", HIDDEN)
    @pytest.mark.parametrize(
        ("n_outputs", "classes"),
        [
            (1, None),
            (1, ["no", "yes"]),
            (1, [False, True]),
            (3, None),
            (3, ["a", "b", "c"]),
            (3, [-1.0, 0.0, 2.0]),
            (3, np.array(["x", "yy", "z"], dtype=object)),
        ],
    )
    def test_classifiers(self, n_outputs, classes, activation, hidden):
        rng, X = data()
        network = dl.Network(
            [5, *hidden, n_outputs], activation=activation, loss="cross_entropy", seed=rng
        )
        estimator = network.to_sklearn(classes)
        assert type(estimator) is MLPClassifier
        same_parameters(network, estimator)
        labels = np.arange(max(n_outputs, 2)) if classes is None else np.asarray(classes)
        assert estimator.classes_.tolist() == labels.tolist()
        found = estimator.predict_proba(X)
        np.testing.assert_allclose(found, two_columns(network.predict(X)), rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.exp(estimator.predict_log_proba(X)), found, atol=1e-12)
        predicted = estimator.predict(X)
        assert predicted.tolist() == labels[network.classify(X)].tolist()
        assert predicted.dtype.kind == labels.dtype.kind or labels.dtype == object
        assert estimator.score(X, predicted) == 1.0
        back = dl.from_sklearn(estimator, seed=network.seed)
        assert repr(back) == repr(network)
        assert back.parameters.tobytes() == network.parameters.tobytes()

    def test_two_softmax_units(self):
        """They become the one output that scikit-learn has for two classes."""
        rng, X = data()
        network = dl.Network([5, 4, 2], activation="tanh", loss="cross_entropy", seed=rng)
        estimator = network.to_sklearn(["no", "yes"])
        assert (estimator.n_outputs_, estimator.out_activation_) == (1, "logistic")
        probabilities = network.predict(X)
        np.testing.assert_allclose(estimator.predict_proba(X), probabilities, rtol=0, atol=1e-12)
        expected = np.array(["no", "yes"])[network.classify(X)]
        assert estimator.predict(X).tolist() == expected.tolist()
        estimator.partial_fit(X, expected)
        assert dl.from_sklearn(network.to_sklearn()).layers == (5, 4, 1)

    def test_several_labels(self):
        rng, X = data()
        network = dl.Network([5, 4, 3], loss="binary_cross_entropy", seed=rng)
        estimator = network.to_sklearn()
        np.testing.assert_array_equal(estimator.predict(X), network.classify(X))
        np.testing.assert_allclose(estimator.predict_proba(X), network.predict(X), atol=1e-12)
        assert estimator.score(X, network.classify(X)) == 1.0
        estimator.partial_fit(X, network.classify(X))

    @pytest.mark.parametrize("n_outputs", [1, 3])
    @pytest.mark.parametrize(
        ("loss", "output"),
        [
            ("squared_error", "identity"),
            ("squared_error", "sigmoid"),
            ("absolute_error", "tanh"),
            (dl.Huber(), "relu"),
            (dl.Quantile(0.3), "exp"),
            ("poisson", "exp"),
        ],
    )
    def test_regressors(self, loss, output, n_outputs):
        rng, X = data()
        network = dl.Network(
            [5, 6, n_outputs], activation="tanh", output=output, loss=loss, seed=rng
        )
        estimator = network.to_sklearn()
        assert type(estimator) is MLPRegressor
        assert estimator.loss == ("poisson" if loss == "poisson" else "squared_error")
        same_parameters(network, estimator)
        predicted = estimator.predict(X)
        assert predicted.shape == ((len(X),) if n_outputs == 1 else (len(X), 3))
        expected = network.predict(X).reshape(predicted.shape)
        np.testing.assert_allclose(predicted, expected, rtol=1e-12, atol=1e-12)
        assert estimator.score(X, predicted) == 1.0
        back = dl.from_sklearn(estimator, loss=loss, seed=network.seed)
        assert repr(back) == repr(network)

    def test_everything_that_a_fit_leaves_is_there(self):
        rng, X = data()
        network = dl.Network([5, 4, 3], activation="relu", loss="cross_entropy", seed=rng)
        estimator, y = network.to_sklearn(), rng.integers(0, 3, size=len(X))
        fitted = MLPClassifier((4,), max_iter=1).fit(X, y)
        public = {name for name in vars(fitted) if name.endswith("_") and name[0] != "_"}
        assert public <= set(vars(estimator))
        for name in ("n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
            assert getattr(estimator, name) == getattr(fitted, name)
        assert (estimator.n_iter_, estimator.t_, estimator.loss_curve_) == (0, 0, [])
        assert estimator.best_loss_ == np.inf
        assert repr(estimator) == "MLPClassifier(hidden_layer_sizes=(4,))"
        assert estimator._repr_html_()
        assert not hasattr(clone(estimator), "coefs_")
        again = pickle.loads(pickle.dumps(estimator))
        np.testing.assert_array_equal(again.predict(X), estimator.predict(X))

    def test_it_trains_on(self):
        """partial_fit begins with our parameters, and Adam and its step count anew."""
        rng, X = data(n=30)
        y = rng.choice(["a", "b", "c"], size=len(X))
        network = dl.Network([5, 4, 3], activation="tanh", loss="cross_entropy", seed=rng)
        before = network.parameters.copy()
        estimator = network.to_sklearn(["a", "b", "c"])
        estimator.set_params(alpha=0, shuffle=False).partial_fit(X, y)
        assert (estimator.t_, estimator.n_iter_, len(estimator.loss_curve_)) == (30, 1, 1)
        np.testing.assert_array_equal(network.parameters, before)
        codes = np.searchsorted(["a", "b", "c"], y)
        assert estimator.loss_ == pytest.approx(network.cost(X, codes) / len(X), rel=1e-10)
        gradient = network.gradient(X, codes)[1] / len(X)
        moved = dl.from_sklearn(estimator).parameters - before
        epsilon = 1e-8 / np.sqrt(1 - 0.999)  # scikit-learn adds it before the bias is corrected
        np.testing.assert_allclose(moved, -0.001 * gradient / (abs(gradient) + epsilon), atol=1e-9)
        with pytest.raises(ValueError, match="is not the same as on last call"):
            estimator.partial_fit(X, y, classes=["a", "b"])

    def test_warm_start_goes_on(self):
        rng, X = data()
        network = dl.Network([5, 4, 1], activation="tanh", output="identity", seed=rng)
        y = network.predict(X)[:, 0]
        for options in ({"solver": "lbfgs"}, {"early_stopping": True, "max_iter": 3}):
            estimator = network.to_sklearn().set_params(alpha=0, warm_start=True, **options)
            if "early_stopping" not in options:
                estimator.fit(X, y)
                assert estimator.loss_ < 1e-12
            estimator.set_params(warm_start=False).fit(X, y)

    def test_numpys_random_numbers_are_left_alone(self):
        np.random.seed(0)  # noqa: NPY002
        before = np.random.get_state()[1].tolist()  # noqa: NPY002
        estimator = dl.Network([5, 4, 1], activation="tanh", seed=0).to_sklearn()
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
        assert estimator.random_state is None

    def test_huge_inputs_and_layers(self):
        network = dl.Network([3000, 500, 3], activation="relu", loss="cross_entropy", seed=0)
        estimator = network.to_sklearn()
        same_parameters(network, estimator)

    @pytest.mark.parametrize(
        ("settings", "match"),
        [
            (
                {"activation": "gelu"},
                "has identity, sigmoid, tanh, relu for hidden layers, .* gelu",
            ),
            ({"activation": "exp", "output": "exp"}, "for hidden layers, this network has exp"),
            ({"activation": ["tanh", "relu"]}, "one activation for all hidden .* has relu, tanh"),
            ({"activation": "tanh", "output": "elu"}, "exp for outputs, this network has elu"),
            ({"activation": "step"}, "for hidden layers, this network has step"),
            ({"activation": "tanh", "residual": True}, "scikit-learn has no residual networks"),
        ],
        ids=str,
    )
    def test_networks_that_scikit_learn_has_not(self, settings, match):
        with pytest.raises(ValueError, match=match):
            dl.Network([3, 4, 4, 2], **settings, seed=0).to_sklearn()

    @pytest.mark.parametrize(
        ("classes", "error", "match"),
        [
            ([1, 2], ValueError, "classes must name 3 classes, got shape"),
            ([[1, 2, 3]], ValueError, "classes must name 3 classes, got shape"),
            ([1, 3, 2], ValueError, r"in ascending order, each once, got '\[1, 3, 2\]'"),
            (["a", "a", "b"], ValueError, "in ascending order, each once"),
            ([0.0, np.nan, 1.0], ValueError, "in ascending order, each once"),
            (np.array([1, "a", None], dtype=object), TypeError, "labels of one kind that have an"),
            (["x" * 100, "y", "z" * 100, "w"], ValueError, "must name 3 classes"),
        ],
    )
    def test_classes(self, classes, error, match):
        network = dl.Network([3, 4, 3], activation="tanh", loss="cross_entropy", seed=0)
        with pytest.raises(error, match=match):
            network.to_sklearn(classes)

    def test_classes_where_there_are_none(self):
        with pytest.raises(ValueError, match="classes must be None for loss='squared_error'"):
            dl.Network([3, 2], activation="tanh", seed=0).to_sklearn([0, 1])
        with pytest.raises(ValueError, match="classes must be None for independent outputs"):
            dl.Network([3, 2], loss="binary_cross_entropy", seed=0).to_sklearn([0, 1])

    def test_without_scikit_learn(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
        with pytest.raises(ImportError, match="to_sklearn needs scikit-learn: pip install"):
            dl.Network([3, 2], activation="tanh", seed=0).to_sklearn()
