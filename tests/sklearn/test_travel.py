"""The estimators as ONNX files, as networks and as scikit-learn's own estimators."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import NotFittedError

import deltaloop as dl
from deltaloop.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(12)
X = RNG.standard_normal((120, 5))
CURVE = np.sin(X[:, 0]) + X[:, 1]
CLASSES = {
    "strings": np.array(["low", "middle", "high"])[np.digitize(CURVE, [-0.5, 0.5])],
    "integers": np.digitize(CURVE, [-0.5, 0.5]) * 10 - 7,
    "two": np.where(CURVE > 0, "yes", "no"),
    "bools": CURVE > 0,
}
VALUES = {
    "one": CURVE,
    "several": np.column_stack([CURVE, X[:, 2] ** 2]),
    "poisson": RNG.poisson(np.exp(0.5 * CURVE)).astype(float),
}


def run(path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: X}), strict=True))


@pytest.mark.parametrize("activation", ["relu", "gelu", ["elu", "softplus"]], ids=str)
@pytest.mark.parametrize("task", CLASSES)
def test_classifier_as_onnx(task, activation, tmp_path):
    pytest.importorskip("onnx")
    hidden = (6, 4) if isinstance(activation, list) else (6,)
    model = MLPClassifier(hidden, activation, max_iter=20, random_state=0).fit(X, CLASSES[task])
    model.to_onnx(tmp_path / "model.onnx")
    found = run(tmp_path / "model.onnx")
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=0, atol=1e-12)
    labels = model.predict(X)
    assert (found["label"] == (labels.astype(int) if task == "bools" else labels)).all()


def test_multilabel_as_onnx(tmp_path):
    pytest.importorskip("onnx")
    features, y = make_multilabel_classification(120, 5, n_classes=3, random_state=0)
    model = MLPClassifier((6,), max_iter=20, random_state=0).fit(features, y)
    model.to_onnx(tmp_path / "model.onnx")
    found = run(tmp_path / "model.onnx")
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found["label"], model.predict(X))


@pytest.mark.parametrize("task", VALUES)
def test_regressor_as_onnx(task, tmp_path):
    pytest.importorskip("onnx")
    loss = "poisson" if task == "poisson" else "squared_error"
    model = MLPRegressor(loss, (6,), max_iter=20, random_state=0).fit(X, VALUES[task])
    model.to_onnx(tmp_path / "model.onnx")
    (found,) = run(tmp_path / "model.onnx").values()
    np.testing.assert_allclose(found, model.predict(X).reshape(found.shape), rtol=0, atol=1e-12)
    again = dl.from_onnx(tmp_path / "model.onnx")
    np.testing.assert_array_equal(again.parameters, model.network_.parameters)


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_without_a_fit(cls, tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(NotFittedError):
        cls().to_onnx(tmp_path / "model.onnx")


def test_to_and_from_scikit_learn():
    for model in (
        MLPClassifier((6,), max_iter=20, random_state=0).fit(X, CLASSES["strings"]),
        MLPRegressor("poisson", (6,), max_iter=20, random_state=0).fit(X, VALUES["poisson"]),
    ):
        network = dl.from_sklearn(model)
        np.testing.assert_array_equal(network.parameters, model.network_.parameters)
        assert network.loss == model.network_.loss
    theirs = model.network_.to_sklearn()
    np.testing.assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-12)
