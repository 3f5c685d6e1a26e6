"""Models of tables, estimators and the command line as C files."""

import json
import re

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.cli import main
from tests.c_export.compiled import Compiled, needs_cc, same

pytest.importorskip("narwhals")


def frame(rng, missing):
    unit = rng.choice(["m", "km", "µm */ x"], 60).tolist()
    x = rng.standard_normal(60)
    if missing:
        unit[3] = unit[9] = None
        x[5] = np.nan
    y = x * 2.0 + [len(text or "") for text in unit] + 0.1 * rng.standard_normal(60)
    return {
        "unit": unit,
        "x": x.tolist(),
        "an even longer name": rng.random(60),
        "y": np.nan_to_num(y),
    }


def coded(model, table):
    """Return the rows as the file takes them."""
    columns = []
    for column in model._table.columns:
        values = table[column.name]
        if column.categories:
            known = {text: i for i, text in enumerate(column.categories)}
            columns.append([known.get(text, -1) for text in values])
        else:
            columns.append(values)
    return np.array(columns, dtype=float).T


@needs_cc
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_table(tmp_path, missing, task):
    from deltaloop.tabular import TabularModel

    rng = np.random.default_rng(1)
    table = frame(rng, missing)
    if task == "classification":
        table["y"] = ["high" if y > 2 else "low" if y < 1 else "even" for y in table["y"]]
    model = TabularModel(new_categories="missing").fit(table, "y", l2=0.01)
    model.to_c(tmp_path / "model.c", header=True)
    file = Compiled(tmp_path / "model.c", name="model")
    assert file.self_test() == 0
    rows = {name: list(values) for name, values in table.items() if name != "y"}
    rows["unit"][0], rows["x"][1], rows["x"][2] = "new", np.nan, 1e6
    y = file.predict(coded(model, rows))
    expected = model.predict(rows) if task == "regression" else model.predict_proba(rows)
    assert same(y, expected.reshape(len(y), -1))
    model.to_c(tmp_path / "small.c", dtype="float32", name="model")
    small = Compiled(tmp_path / "small.c", name="model")
    assert small.self_test() == 0
    assert abs(small.predict(coded(model, rows)) - y).max() <= 1e-5 * max(1.0, abs(y).max())


@needs_cc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_no_value_of_a_category(dtype, tmp_path):
    """As any value that the model does not know, they are missing; Python has no such numbers."""
    from deltaloop.tabular import TabularModel

    table = frame(np.random.default_rng(1), True)
    model = TabularModel(seed=0).fit(table, "y", l2=0.01)
    model.to_c(tmp_path / "model.c", name="model", dtype=dtype)
    file = Compiled(tmp_path / "model.c", name="model")
    assert file.self_test() == 0
    rows = coded(model, {name: values[20:21] for name, values in table.items()})
    at = [column.name for column in model._table.columns].index("unit")
    rows = np.repeat(rows, 9, axis=0)
    large = 1e300 if dtype == "float64" else 1e30
    rows[:, at] = [-1, 0.5, 1.999, -0.25, 3, 1e9, large, np.inf, np.nan]
    y = file.predict(rows)
    assert same(y, np.repeat(y[:1], 9, axis=0))
    rows[:, at] = 1
    assert not same(file.predict(rows), y)


@needs_cc
def test_names_in_comments_stay_as_they_are(tmp_path):
    """Names may look like what the writer's templates hold."""
    from deltaloop.tabular import TabularModel

    names = ["~x~", "REAL", "0x1.8p+1", "@@INPUTS", "@FIRST @ONLY", "?word", "\\x02", "*/ /*"]
    rng = np.random.default_rng(0)
    table = {name: rng.standard_normal(40) for name in names}
    table["kind"] = rng.choice(["~", "REAL", "-0x1p-3"], 40).tolist()
    table["REAL~"] = rng.choice(["0x1p+0", "~@"], 40).tolist()
    model = TabularModel(seed=0).fit(table, "REAL~", l2=0.01)
    for dtype in ("float32", "float64"):
        model.to_c(tmp_path / "model.c", name="model", dtype=dtype, header=True)
        assert Compiled(tmp_path / "model.c", name="model").self_test() == 0
        for text in ((tmp_path / "model.c").read_text(), (tmp_path / "model.h").read_text()):
            assert not set(text) & set("\x02\x03")
        header = (tmp_path / "model.h").read_text()
        shown = [json.dumps(name) for name in (*names, "kind", "~", "REAL", "-0x1p-3", "~@")]
        shown[names.index("*/ /*")] = r'"*\/ /\*"'
        comments = " ".join(re.findall(r"/\*.*?\*/", header, re.DOTALL))
        for name in shown:
            assert name in comments, name


def test_too_many_categories(tmp_path):
    from dataclasses import replace

    from deltaloop.tabular import TabularModel

    model = TabularModel().fit(frame(np.random.default_rng(1), False), "y", l2=0.01)
    columns = list(model._table.columns)
    columns[0] = replace(columns[0], categories=tuple(f"{i:04}" for i in range(1001)))
    model._table = replace(model._table, columns=tuple(columns))
    with pytest.raises(ValueError, match="column 'unit' is a category of 1001 values"):
        model.to_c(tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


@needs_cc
@pytest.mark.filterwarnings("ignore:The solver adam")
def test_estimators(tmp_path):
    pytest.importorskip("sklearn")
    from deltaloop.sklearn import MLPClassifier, MLPRegressor

    rng = np.random.default_rng(2)
    X = rng.standard_normal((60, 3))
    classifier = MLPClassifier(hidden_layer_sizes=(4,), max_iter=5, random_state=0).fit(
        X, X[:, 0] > 0
    )
    regressor = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0).fit(X, X[:, :2])
    for model, expected in (
        (classifier, classifier.predict_proba(X)[:, 1:]),
        (regressor, regressor.predict(X)),
    ):
        path = tmp_path / f"{type(model).__name__}.c"
        model.to_c(path, jacobian=True)
        file = Compiled(path, name="model")
        assert file.self_test() == 0
        assert same(file.predict(X), expected)
    assert "probability of" in (tmp_path / "MLPClassifier.c").read_text()


@needs_cc
def test_the_command(tmp_path, capsys):
    net = dl.Network([2, 3, 1], activation="tanh", seed=0)
    model, path = str(tmp_path / "net.model"), tmp_path / "net.c"
    net.save(model)
    options = [
        "--header",
        "--jacobian",
        "--train",
        "adam",
        "--learning-rate",
        "0.5",
        "--name",
        "arm",
    ]
    assert main(["export", model, str(path), *options, "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert set(files) == {str(path), str(tmp_path / "net.h")}
    file = Compiled(path, name="arm")
    assert file.self_test() == 0
    assert file.state()[0] == 0.5
    assert main(["export", model, str(tmp_path / "b.c"), "--dtype", "float32"]) == 0
    assert "b.c: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["export", model, str(tmp_path / "net.py")])
    assert "expected a name such as net.c" in capsys.readouterr().err


def test_the_command_refuses_what_tables_have_not(tmp_path, capsys):
    from deltaloop.tabular import TabularModel

    model = str(tmp_path / "table.model")
    TabularModel().fit(frame(np.random.default_rng(1), False), "y", l2=0.01).save(model)
    assert main(["export", model, str(tmp_path / "net.c"), "--casadi"]) == 1
    assert "have no --casadi" in capsys.readouterr().err
    assert not (tmp_path / "net.c").exists()
    assert main(["export", model, str(tmp_path / "net.c")]) == 0
