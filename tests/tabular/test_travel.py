"""Models of tables as ONNX files, as HTML and as a state of plain values."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("narwhals")

import deltaloop as dl
from deltaloop.tabular import TabularModel

RNG = np.random.default_rng(3)
N = 80


def frame(gaps, n=N):
    """Return columns of each kind, named as a graph names its own values."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)
    number, unit, flag = x.tolist(), rng.choice(["km", "m", "mile"], n).tolist(), x > 0.3
    days = np.datetime64("2024-01-01") + rng.integers(0, 400, n)
    if gaps:
        number[::7] = [None] * len(number[::7])
        unit[::9] = [None] * len(unit[::9])
    return {
        "label": number,
        "Gemm_1": unit,
        "Y": flag.tolist(),
        "a day": days.tolist(),
        "target": (3 * x + np.char.str_len(np.array([str(u) for u in unit]))).tolist(),
        "kind": np.where(x > 0, "yes", "no").tolist(),
        "level": np.digitize(x, [-0.5, 0.5]).tolist(),
    }


def feeds(table):
    """Return what a user gives ONNX Runtime for these rows."""
    epoch = np.datetime64("1970-01-01")
    return {
        "label": np.array(table["label"], dtype=np.float64).reshape(-1, 1),
        "Gemm_1": np.array([u or "" for u in table["Gemm_1"]], dtype=object).reshape(-1, 1),
        "Y": np.array(table["Y"], dtype=np.float64).reshape(-1, 1),
        "a day": (np.array(table["a day"], "M8[D]") - epoch).astype(np.float64).reshape(-1, 1),
    }


def run(path, table):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is expected, and raised
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [session.get_outputs(), session.run(None, feeds(table))]


def fitted(target, gaps):
    left_out = {"target", "kind", "level"} - {target}
    return TabularModel().fit(frame(gaps), target, drop=left_out, solver=dl.LBFGS(), max_epochs=30)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("target", ["target", "kind", "level"])
def test_onnx_of_a_whole_model(target, gaps, tmp_path):
    pytest.importorskip("onnx")
    model = fitted(target, gaps)
    model.to_onnx(tmp_path / "model.onnx")
    asked = frame(True)  # what is missing is replaced by means where training had nothing missing
    _, found = run(tmp_path / "model.onnx", asked)
    if target == "target":
        np.testing.assert_allclose(found[0][:, 0], model.predict(asked), rtol=0, atol=1e-11)
    else:
        assert (found[0] == model.predict(asked)).all()
        np.testing.assert_allclose(found[1], model.predict_proba(asked), rtol=0, atol=1e-12)


def test_onnx_refuses_a_new_category(tmp_path):
    pytest.importorskip("onnx")
    model = fitted("kind", False)
    model.to_onnx(tmp_path / "model.onnx")
    asked = frame(False)
    asked["Gemm_1"][4] = "yard"
    with pytest.raises(Exception, match="Unknown Category"):
        run(tmp_path / "model.onnx", asked)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("entry", ["", "a"])
def test_onnx_takes_a_new_category_for_missing(gaps, entry, tmp_path):
    """As predict does; an empty text may be a category."""
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    text = [entry, "b", "c", None if gaps else "b"] * 10
    model = TabularModel(new_categories="missing")
    model.fit({"text": text, "y": [1.5, 2.0, 4.0, 3.0] * 10}, "y", l2=0.001)
    model.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    asked = np.array([entry, "b", "new", "c"], dtype=object)
    (found,) = session.run(None, {"text": asked.reshape(-1, 1)})
    expected = model.predict({"text": asked.tolist()})
    assert expected[2] == model.predict({"text": [None]})[0]
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-11)


def test_onnx_names_do_not_meet_columns(tmp_path):
    pytest.importorskip("onnx")
    fitted("kind", True).to_onnx(tmp_path / "model.onnx")
    outputs, _ = run(tmp_path / "model.onnx", frame(True))
    assert [output.name for output in outputs] == ["label_", "probabilities"]


def test_onnx_where_empty_text_is_a_category(tmp_path):
    pytest.importorskip("onnx")
    table = {"text": ["", "a", "b", "a"] * 10, "y": [1.5, 2.0, 4.0, 2.0] * 10}
    model = TabularModel().fit(table, "y", l2=0.001)
    model.to_onnx(tmp_path / "model.onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    text = np.array(table["text"], dtype=object).reshape(-1, 1)
    (found,) = session.run(None, {"text": text})
    np.testing.assert_allclose(found[:, 0], model.predict(table), rtol=0, atol=1e-11)


def test_onnx_before_a_fit(tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match="has not been fitted"):
        TabularModel().to_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("make", [TabularModel, lambda: fitted("kind", True)])
def test_state_is_plain_and_comes_back(make):
    model = make()
    state = model.__getstate__()
    assert isinstance(state["table"], str | None)
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    assert again.columns == model.columns
    if model.network is not None:
        assert (again.predict(frame(True)) == model.predict(frame(True))).all()
        assert again.result.cost == model.result.cost


def test_what_was_said_about_reading_comes_back():
    model = TabularModel(reading={"decimal": ",", "missing": ["none"], "keep": "x"})
    again = pickle.loads(pickle.dumps(model))
    assert again._reading == model._reading
    old = {name: value for name, value in vars(model).items() if name != "_reading"}
    again.__setstate__(old)  # as version 0.1.0 pickled it
    assert again._reading == TabularModel()._reading


def test_state_of_another_network_is_refused():
    state = fitted("kind", True).__getstate__()
    with pytest.raises(ValueError, match="inputs for the table"):
        TabularModel().__setstate__(state | {"network": dl.Network([2, 3, 2], seed=0)})
    with pytest.raises(ValueError, match="expected a Network"):
        TabularModel().__setstate__(state | {"network": None})


def test_html():
    model = fitted("kind", True)
    model.ignored = {"<id>": "counts the rows"}
    shown = model._repr_html_()
    for part in (
        "TabularModel",
        "predicts &#x27;kind&#x27;",
        "rows held out",
        "Gemm_1",
        "&lt;id&gt;",
    ):
        assert part in shown
    assert "not fitted" in TabularModel()._repr_html_()
    result = model.result._repr_html_()
    for part in ("FitResult", "LBFGS()", model.result.stop_reason, "epochs", "<tfoot>"):
        assert part in result


@pytest.mark.parametrize("beside", [False, True])
def test_a_list_of_one_target(beside, tmp_path):
    """Classes given as a list of one name, or as a frame of one column, are read back."""
    x = [i % 7 for i in range(60)]
    kind = {"kind": ["low" if value < 3 else "high" for value in x]}
    table, target = ({"x": x}, kind) if beside else ({"x": x} | kind, ["kind"])
    model = TabularModel().fit(table, target, l2=1.0, max_epochs=5)
    assert (model.target, model.predict(table).shape) == ("kind", (60,))
    model.save(tmp_path / "kind.model")
    for again in (TabularModel.load(tmp_path / "kind.model"), pickle.loads(pickle.dumps(model))):
        assert again.target == "kind"
        assert again.predict(table).tolist() == model.predict(table).tolist()
