"""Pipelines with the estimators, converted by skl2onnx and run by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("pandas")

import onnxruntime
import pandas as pd
import skl2onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_multilabel_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from deltaloop.sklearn import MLPClassifier, MLPRegressor, register_skl2onnx

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

RNG = np.random.default_rng(4)
X = RNG.standard_normal((90, 3)) * [1.0, 10.0, 100.0]
CURVE = np.sin(X[:, 0]) + X[:, 1] / 10
CLASSES = {
    "strings": np.array(["low", "middle", "high"])[np.digitize(CURVE, [-0.5, 0.5])],
    "integers": np.digitize(CURVE, [-0.5, 0.5]) * 10 - 7,
    "two": np.where(CURVE > 0, "yes", "no"),
    "bools": CURVE > 0,
}


@pytest.fixture(autouse=True)
def registered():
    register_skl2onnx()


def run(converted, feeds):
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def plain(model):
    return {id(model): {"zipmap": False}}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("task", CLASSES)
def test_classifier_after_a_scaler(task, activation, dtype):
    y = CLASSES[task]
    last = MLPClassifier((6,), activation, max_iter=20, random_state=0)
    model = make_pipeline(StandardScaler(), last).fit(X, y)
    converted = skl2onnx.to_onnx(model, X[:1].astype(dtype), options=plain(model))
    label, probabilities = run(converted, {"X": X.astype(dtype)})
    assert probabilities.dtype == dtype
    atol = 1e-12 if dtype == np.float64 else 2e-6
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=atol)
    assert (label == (y.astype(int) if task == "bools" else y)).mean() == model.score(X, y)


@pytest.mark.parametrize("zipmap", [False, True])
def test_columns_of_numbers_and_categories(zipmap):
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "town": RNG.choice(["Ulm", "Bonn"], 90)})
    encoder = ColumnTransformer(
        [("n", StandardScaler(), ["a", "b"]), ("c", OneHotEncoder(), ["town"])]
    )
    last = MLPClassifier((6,), solver="lbfgs", max_iter=20, random_state=0)
    model = make_pipeline(encoder, last).fit(frame, CLASSES["strings"])
    number = FloatTensorType if zipmap else DoubleTensorType  # ONNX has no maps to float64
    kinds = {"a": number, "b": number, "town": StringTensorType}
    converted = skl2onnx.convert_sklearn(
        model,
        initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()],
        options={id(model): {"zipmap": zipmap}},
    )
    feeds = {name: frame[[name]].to_numpy() for name in frame}
    if zipmap:
        feeds = feeds | {name: feeds[name].astype(np.float32) for name in ("a", "b")}
    label, found = run(converted, feeds)
    if zipmap:
        found = [[row[name] for name in model.classes_] for row in found]
    atol = 1e-5 if zipmap else 1e-12
    np.testing.assert_allclose(found, model.predict_proba(frame), rtol=0, atol=atol)
    assert (label == model.predict(frame)).all()


@pytest.mark.parametrize("y", [CURVE, np.column_stack([CURVE, X[:, 2]])], ids=["one", "several"])
def test_regressor(y):
    last = MLPRegressor(hidden_layer_sizes=(6,), solver="lbfgs", max_iter=30, random_state=0)
    model = make_pipeline(StandardScaler(), last).fit(X, y)
    (found,) = run(skl2onnx.to_onnx(model, X[:1]), {"X": X})
    np.testing.assert_allclose(found, model.predict(X).reshape(found.shape), rtol=1e-11, atol=1e-11)


def test_several_labels():
    features, y = make_multilabel_classification(90, 3, n_classes=3, random_state=0)
    model = MLPClassifier((6,), max_iter=20, random_state=0).fit(features, y)
    converted = skl2onnx.to_onnx(model, features[:1], options=plain(model))
    label, probabilities = run(converted, {"X": features})
    np.testing.assert_array_equal(label, model.predict(features))
    np.testing.assert_allclose(probabilities, model.predict_proba(features), rtol=0, atol=1e-12)


def test_numbers_of_classes():
    model = MLPClassifier((6,), max_iter=5, random_state=0).fit(X, CLASSES["strings"])
    options = {id(model): {"zipmap": False, "nocl": True}}
    label, _ = run(skl2onnx.to_onnx(model, X[:1], options=options), {"X": X})
    assert (model.classes_[label] == model.predict(X)).all()


def test_old_opsets_are_refused():
    model = MLPClassifier((6,), max_iter=5, random_state=0).fit(X, CLASSES["two"])
    with pytest.raises(ValueError, match="target_opset must be at least 13"):
        skl2onnx.to_onnx(model, X[:1], target_opset=11)
