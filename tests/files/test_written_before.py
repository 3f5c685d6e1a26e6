"""What earlier versions wrote loads, and predicts the same bits."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl

OLD = Path(__file__).parent / "data" / "0.1.0"
EXPECTED = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
TABLE = {
    "size": [1.5, 2.5, None, 4.0, 5.0, 6.5, 7.0, 8.0, 9.0, 10.0] * 3,
    "kind": ["a", "b", "a", None, "c", "a", "b", "b", "c", "a"] * 3,
}
needs_fma = pytest.mark.skipif(
    dl.runtime()["isa"] == "base", reason="machines without FMA have bits of their own"
)


needs_numpy_2 = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 2 pickled the arrays"
)


def floats(name: str) -> np.ndarray:
    return np.array([float.fromhex(text) for text in EXPECTED[name]])


X = floats("x").reshape(12, 3)


def unpickled(name: str) -> object:
    with warnings.catch_warnings():
        # scikit-learn's own parts of an estimator were of another version.
        warnings.filterwarnings("ignore", "Trying to unpickle estimator")
        return pickle.loads((OLD / f"{name}.pickle").read_bytes())


def assert_bits(values: np.ndarray, name: str) -> None:
    np.testing.assert_array_equal(np.asarray(values).ravel(), floats(name))


@needs_fma
@needs_numpy_2
def test_pickled_network():
    network = unpickled("network")
    assert isinstance(network, dl.Network)
    assert network.loss == dl.Huber(0.5)
    assert network.residual
    assert_bits(network.predict(X), "network")


@needs_fma
def test_saved_network():
    assert_bits(dl.load(OLD / "network.safetensors").predict(X), "network")


@needs_fma
def test_onnx_network():
    pytest.importorskip("onnx")
    assert_bits(dl.from_onnx(OLD / "network.onnx").predict(X), "network")


@needs_numpy_2
def test_pickled_result():
    result = unpickled("result")
    assert isinstance(result, dl.FitResult)
    assert_bits(result.cost_history, "result")
    assert sorted(result.state) == EXPECTED["state"]


def test_pickled_gradient_check():
    check = unpickled("check")
    assert type(check) is dl.GradientCheck
    assert type(check).__module__ == "deltaloop.checks"


def test_pickled_solvers_losses_schedules_and_inits():
    assert [repr(value) for value in unpickled("objects")] == EXPECTED["objects"]


@needs_fma
@pytest.mark.parametrize("kind", [pytest.param("pickle", marks=needs_numpy_2), "file"])
def test_table(kind):
    pytest.importorskip("narwhals")
    from deltaloop.tabular import TabularModel

    model = unpickled("table") if kind == "pickle" else TabularModel.load(OLD / "table.safetensors")
    assert model.predict(TABLE).tolist() == EXPECTED["labels"]
    assert_bits(model.predict_proba(TABLE), "table")


@needs_fma
@needs_numpy_2
@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_estimators(name):
    pytest.importorskip("sklearn", minversion="1.8")
    estimator = unpickled(name)
    predict = estimator.predict_proba if name == "classifier" else estimator.predict
    assert_bits(predict(X), name)
