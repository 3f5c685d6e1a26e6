"""Models of tables: which task it is, how columns are encoded, what is refused, files."""

from __future__ import annotations

import datetime
import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import deltaloop as dl
from deltaloop.tabular import TabularModel, _description
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._target import Target
from tests.helpers.files import metadata_of
from tests.helpers.processes import run_python

pl = pytest.importorskip("polars")
pytest.importorskip("narwhals")

DAY = datetime.date(2026, 1, 1)
QUICK = {"solver": dl.LBFGS(), "max_epochs": 5}


def table(n: int = 120, seed: int = 0) -> dict[str, list]:
    """Columns of every kind, some with gaps, and targets that depend on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 10, n)
    town = rng.choice(["Ulm", "Bonn", "Aachen"], n).tolist()
    days = rng.integers(0, 1000, n).tolist()
    value = x / 10 + 3 * np.array([t == "Ulm" for t in town]) + np.array(days) / 300
    return {
        "x": [None if i % 9 == 4 else float(v) for i, v in enumerate(x)],
        "town": [None if i % 11 == 3 else t for i, t in enumerate(town)],
        "since": [DAY + datetime.timedelta(days=d) for d in days],
        "took": [datetime.timedelta(hours=float(h)) for h in rng.integers(1, 99, n)],
        "member": rng.choice([True, False], n).tolist(),
        "kind": ["high" if v > np.median(value) else "low" for v in value],
        "value": value.tolist(),
    }


def frame(**columns: object):
    return pl.DataFrame(columns, strict=False)


@pytest.fixture(scope="module")
def model():
    return TabularModel(seed=2).fit(table(), "kind", drop="value")


class TestTask:
    @pytest.mark.parametrize(
        ("values", "task", "classes"),
        [
            (["a", "b"] * 20, "classification", ["a", "b"]),
            ([True, False] * 20, "classification", [False, True]),
            ([3, -1] * 20, "classification", [-1, 3]),
            ([3.0, -1.0] * 20, "classification", [-1, 3]),
            (list(range(20)) * 5, "classification", list(range(20))),
            (list(range(21)) * 5, "regression", None),
            (list(range(10)) * 4, "regression", None),
            ([0.5, 1.0] * 20, "regression", None),
            ([0.1 * i for i in range(40)], "regression", None),
            ([1, 2, None, 2] * 10, "classification", [1, 2]),
        ],
    )
    def test_is_found_out(self, values, task, classes):
        x = np.arange(len(values)) % 7 * 1.0
        model = TabularModel().fit(frame(x=x, y=values), "y", **QUICK)
        assert model.task == task
        found = model.classes
        assert (found if found is None else found.tolist()) == classes

    def test_can_be_told(self):
        data = frame(x=np.arange(40.0), y=[0, 1] * 20)
        model = TabularModel(task="regression").fit(data, "y", **QUICK)
        assert model.predict(data).dtype == np.float64
        data = frame(x=np.arange(40.0), y=list(range(10)) * 4)
        model = TabularModel(task="classification").fit(data, "y", **QUICK)
        assert model.classes.tolist() == list(range(10))
        assert model.predict(data).dtype == np.int64

    def test_enums_and_categoricals_are_classes(self):
        for dtype in (pl.Categorical, pl.Enum(["z", "a"])):
            y = pl.Series(["z", "a"] * 20).cast(dtype)
            model = TabularModel().fit(frame(x=np.arange(40.0), y=y), "y", **QUICK)
            assert model.classes.tolist() == ["a", "z"]

    @pytest.mark.parametrize(
        ("values", "task", "error", "message"),
        [
            (["a"] * 40, None, ValueError, "column 'y' has the class 'a' alone, two are needed"),
            ([None] * 40, None, ValueError, "column 'y' has no values"),
            ([DAY] * 40, None, TypeError, r"column 'y' has dates \(Date\); expected numbers"),
            ([str(i) for i in range(40)], None, ValueError, "40 rows, all of them numbers as"),
            (["a", "b"] * 20, "regression", TypeError, "'y', row 0: expected numbers, got 'a'"),
            ([1.0, 0.5] * 20, "classification", ValueError, "'y', row 1: classes are .* got 0.5"),
            ([1, 2**53] * 20, "classification", ValueError, r"must be below 2\*\*53"),
            ([1.5, math.inf] * 20, None, ValueError, "'y', row 1: holds inf"),
        ],
    )
    def test_impossible_targets(self, values, task, error, message):
        with pytest.raises(error, match=message):
            TabularModel(task=task).fit(frame(x=np.arange(40.0), y=values), "y")


class TestEncoding:
    def test_every_kind(self):
        data = table()
        model = TabularModel(hidden=()).fit(data, "value", drop="kind", l2=1.0)
        found = [(c.name, c.kind, c.missing, c.categories) for c in model.columns]
        assert found == [
            ("x", "number", True, ()),
            ("town", "category", True, ("Aachen", "Bonn", "Ulm")),
            ("since", "date", False, ()),
            ("took", "duration", False, ()),
            ("member", "number", False, ()),
        ]
        rows = model.train_rows
        x = np.array([np.nan if v is None else v for v in data["x"]])
        mean = np.nanmean(x[rows])
        assert model.columns[0].means == pytest.approx((mean,))
        epoch = datetime.date(1970, 1, 1)
        inputs = np.column_stack(
            [
                np.where(np.isnan(x), mean, x),
                np.isnan(x),
                *([t == name for t in data["town"]] for name in ("Aachen", "Bonn", "Ulm", None)),
                [(d - epoch).days for d in data["since"]],
                [d / datetime.timedelta(days=1) for d in data["took"]],
                data["member"],
            ]
        ).astype(float)
        assert model.network.layers == (9, 1)
        np.testing.assert_array_equal(model.predict(data), model.network.predict(inputs)[:, 0])

    def test_training_is_that_of_the_network(self):
        data = table()
        options = {"solver": dl.Adam(batch_size=16), "max_epochs": 7, "l2": 0.5, "validation": 0.2}
        model = TabularModel(hidden=[5], seed=3).fit(
            {name: data[name] for name in ("since", "took", "value")}, "value", **options
        )
        epoch = datetime.date(1970, 1, 1)
        X = np.column_stack(
            [
                [float((d - epoch).days) for d in data["since"]],
                [d / datetime.timedelta(days=1) for d in data["took"]],
            ]
        )[model.train_rows]
        y = np.array(data["value"])[model.train_rows].reshape(-1, 1)
        net = dl.Network([2, 5, 1], activation="tanh", output="identity", seed=3)
        scaled = [(v - v.mean(axis=0)) / v.std(axis=0) for v in (X, y)]
        assert net.fit(*scaled, **options).cost == model.result.cost

    def test_gaps_that_training_did_not_have(self):
        data = frame(x=np.arange(50.0), c=["a", "a", "b", "c", "b"] * 10, y=np.arange(50.0) ** 2)
        model = TabularModel().fit(data, "y", **QUICK)
        x, c = model.columns
        assert (x.missing, c.missing, c.n_inputs) == (False, False, 3)
        shares = np.array(
            [np.mean([data["c"][int(i)] == v for i in model.train_rows]) for v in "abc"]
        )
        assert c.means == pytest.approx(shares)
        found = model.predict(frame(x=[None, 7.0, None], c=["b", None, None]))
        inputs = [[*x.means, 0, 1, 0], [7, *c.means], [*x.means, *c.means]]
        np.testing.assert_array_equal(found, model.network.predict(inputs)[:, 0])

    def test_columns_that_say_nothing(self):
        n = 200
        data = frame(
            one=[1] * n,
            none=[None] * n,
            name=[f"n{i}" for i in range(n)],
            many=[f"m{i % 101}" for i in range(n)],
            hundred=[f"m{i % 100}" for i in range(n)],
            only=["a"] * n,
            gap=[None if i % 2 else 5.0 for i in range(n)],
            remarks=[None if i % 4 else f"r{i}" for i in range(n)],
            y=np.arange(n) * 0.5,
        )
        with pytest.warns(UserWarning, match="is ignored") as warned:
            model = TabularModel().fit(data, "y", **QUICK)
        assert [column.name for column in model.columns] == ["hundred", "gap"]
        assert model.ignored == {
            "one": "constant",
            "none": "constant",
            "name": "text with 200 different values",
            "many": "text with 101 different values",
            "remarks": "text with 50 different values",  # in 50 rows, and in a quarter of all
            "only": "constant",
        }
        assert len(warned) == 3
        assert "column 'name' is ignored: text with 200 different values" in str(warned[0].message)
        assert warned[0].filename == __file__

    def test_a_category_that_only_held_out_rows_have(self):
        rows = TabularModel().fit(frame(x=np.arange(50.0), y=np.arange(50.0) / 3), "y", **QUICK)
        c = ["a", "b"] * 25
        c[int(rows.test_rows[0])] = "rare"
        data = frame(x=np.arange(50.0), c=c, y=np.arange(50.0) / 3)
        model = TabularModel().fit(data, "y", **QUICK)
        assert model.columns[1].categories == ("a", "b", "rare")
        # Nobody learned what it means, so it means nothing: the weights of its input are 0.
        assert not model.network.weights[0][3].any()

    def test_held_out_rows_teach_nothing(self):
        data = frame(**table())
        first = TabularModel().fit(data, "value", drop=["kind"])
        out = pl.Series(np.isin(np.arange(120), first.test_rows))
        changed = data.with_columns(
            pl.when(out).then(pl.col("x") * -3).otherwise(pl.col("x")).alias("x"),
            pl.when(out).then(0.0).otherwise(pl.col("value")).alias("value"),
        )
        second = TabularModel().fit(changed, "value", drop=["kind"])
        assert first.network.parameters.tobytes() == second.network.parameters.tobytes()
        assert first.report["r2"] != second.report["r2"]

    def test_large_and_small_numbers(self):
        x = np.linspace(-1, 1, 60)
        for scale in (1e-100, 1e100):
            model = TabularModel().fit(frame(x=x * scale, y=3 * x * scale), "y")
            assert model.report["r2"] > 0.99
        with pytest.raises(ValueError, match="column 'x' is too large"):
            TabularModel().fit(frame(x=[1e308, 1.7e308] * 30, y=x), "y")


class TestRows:
    def test_classes_are_held_out_in_proportion(self):
        y = ["a"] * 80 + ["b"] * 15 + ["c"] * 4 + ["d"]
        model = TabularModel(seed=5).fit(frame(x=np.arange(100.0), y=y), "y", **QUICK)
        held = [y[i] for i in model.test_rows]
        assert [held.count(name) for name in "abcd"] == [16, 3, 1, 0]
        assert sorted([*model.train_rows, *model.test_rows]) == list(range(100))
        assert (model.report["n_train"], model.report["n_test"]) == (80, 20)

    def test_rows_without_a_target(self):
        data = table()
        full = frame(**data).drop("kind")
        holes = [None if i in (0, 7, 8) else v for i, v in enumerate(data["value"])]
        model = TabularModel().fit(full.with_columns(value=pl.Series(holes)), "value", **QUICK)
        assert model.report["n_without_target"] == 3
        assert not {0, 7, 8} & {*model.train_rows.tolist(), *model.test_rows.tolist()}
        rest = full.filter(pl.Series(holes).is_not_null())
        other = TabularModel().fit(rest, "value", **QUICK)
        assert model.network.parameters.tobytes() == other.network.parameters.tobytes()

    @pytest.mark.parametrize("fraction", [0.5, 0.1])
    def test_fraction(self, fraction):
        data = frame(x=np.arange(50.0), y=np.arange(50) * 0.5)
        model = TabularModel(test_fraction=fraction).fit(data, "y", **QUICK)
        assert model.report["n_test"] == 50 * fraction

    def test_no_rows_held_out(self):
        data = frame(x=np.arange(50.0), y=np.arange(50) * 0.5)
        model = TabularModel(test_fraction=0).fit(data, "y", **QUICK)
        assert (model.report["n_train"], model.report["r2"]) == (50, None)
        assert model.test_rows.size == 0

    def test_report_is_the_score_of_the_rows_held_out(self):
        for target in ("kind", "value"):
            data = frame(**table())
            model = TabularModel().fit(data, target)
            score = model.report["accuracy" if target == "kind" else "r2"]
            assert model.score(data[model.test_rows.tolist()]) == score > 0.7

    @pytest.mark.parametrize("n", [0, 1, 2, 3])
    def test_too_few(self, n):
        data = frame(x=np.arange(1.0 * n), y=np.arange(n) * 0.5)
        with pytest.raises(ValueError, match=r"too few|no values"):
            TabularModel().fit(data, "y")


class TestPrediction:
    def test_classes_and_probabilities(self, model):
        data = table(seed=1)
        shares = model.predict_proba(data)
        assert shares.shape == (120, 2)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        labels = model.classes[shares.argmax(axis=1)]
        assert model.predict(data).tolist() == labels.tolist()
        assert model.score(data) == np.mean(labels == data["kind"])

    def test_order_and_other_columns_do_not_matter(self, model):
        data = frame(**table(seed=1))
        expected = model.predict(data)
        turned = data.select(reversed(data.columns)).drop("kind", "value").with_columns(z=1)
        assert model.predict(turned).tolist() == expected.tolist()
        for row in (0, 17, 119):
            assert model.predict(data[row : row + 1]).tolist() == [expected[row]]
        assert model.predict(data[:0]).shape == (0,)

    @pytest.mark.parametrize(
        ("column", "values", "error", "message"),
        [
            ("town", ["Ulm", "Rome"], ValueError, "'town', row 1: expected one of .* got 'Rome'"),
            ("town", [1, 2], TypeError, "'town', row 0: expected text, as in training, got Int64"),
            ("x", ["1.5", "tall"], TypeError, "'x', row 1: expected numbers, .* got 'tall'"),
            ("x", [None, "2,5"], TypeError, "'x', row 1: expected numbers, .* got '2,5'"),
            ("x", [1.0, math.inf], ValueError, "'x', row 1: holds inf; numbers must be finite"),
            ("x", [DAY, DAY], TypeError, "'x', row 0: expected numbers, as in training, got Date"),
            ("since", [1, 2], TypeError, "'since', row 0: expected dates, as in training"),
            ("x", [[1], [2]], TypeError, r"'x', row 0: expected a number, .* got \[1\] \(list\)"),
        ],
    )
    def test_wrong_values(self, model, column, values, error, message):
        data = frame(**table())[:2].with_columns(pl.Series(column, values))
        with pytest.raises(error, match=message):
            model.predict(data)

    def test_absent_columns(self, model):
        message = "no column 'x', 'took', which the model needs; the columns are 'town', 'since'"
        with pytest.raises(ValueError, match=message):
            model.predict(frame(**table()).drop("x", "took"))

    def test_other_types_that_are_as_good(self, model):
        data = frame(**table())
        same = data.with_columns(
            pl.col("town").cast(pl.Categorical),
            pl.col("since").cast(pl.Datetime("ms")),
            pl.col("member").cast(pl.Int8),
            pl.col("x").cast(pl.Decimal(20, 15)),
        )
        assert model.predict(same).tolist() == model.predict(data).tolist()
        nothing = data.with_columns(x=pl.lit(None), town=pl.lit(None))
        assert len(model.predict(nothing)) == 120

    def test_score_of_given_values(self, model):
        data = table()
        x = {name: data[name] for name in data if name != "kind"}
        score = model.score(data)
        assert model.score(x, data["kind"]) == model.score(x, np.array(data["kind"])) == score
        assert model.score(x, pl.Series(data["kind"])) == score
        gaps = [None if i % 2 else v for i, v in enumerate(data["kind"])]
        assert model.score(x, gaps) == model.score(frame(**data)[::2])
        assert model.score(x, ["neither"] * 120) == 0
        for y, message in (
            (data["kind"][:5], "frame has 120 rows, y has 5"),
            ([None] * 120, "no row with a target"),
        ):
            with pytest.raises(ValueError, match=message):
                model.score(x, y)
        with pytest.raises(TypeError, match="expected text, like the model's class 'high', got"):
            model.score(x, range(120))
        with pytest.raises(ValueError, match="target: there is no column 'kind'; did you mean"):
            model.score(x | {"Kind": data["kind"]})

    def test_several_targets(self):
        data = table()
        data["twice"] = [2 * v + 100 for v in data["value"]]
        model = TabularModel().fit(data, ["value", "twice"], drop="kind")
        assert (model.task, model.target) == ("regression", ["value", "twice"])
        found = model.predict(data)
        assert found.shape == (120, 2)
        truth = np.column_stack([data["value"], data["twice"]])
        parts = 1 - ((truth - found) ** 2).sum(axis=0) / ((truth - truth.mean(axis=0)) ** 2).sum(
            axis=0
        )
        assert model.score(data) == pytest.approx(parts.mean())
        assert model.score(data, truth) == model.score(data)
        assert model.score(data, {"twice": truth[:, 1], "value": truth[:, 0]}) == model.score(data)
        with pytest.raises(ValueError, match="y must have 2 targets, as the model, got 1"):
            model.score(data, data["value"])
        with pytest.raises(ValueError, match="this model predicts values"):
            model.predict_proba(data)
        assert TabularModel().fit(data, ["value"], **QUICK).predict(data).shape == (120, 1)


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"task": "ranking"}, ValueError, "task must be one of classification, regression"),
            ({"test_fraction": 1}, ValueError, r"test_fraction must be in \[0, 1\), got 1"),
            ({"test_fraction": "a"}, TypeError, "test_fraction must be a real number"),
            ({"seed": -1}, ValueError, "seed must be at least 0"),
            ({"seed": None}, TypeError, "seed must be an integer"),
        ],
    )
    def test_of_the_model(self, options, error, message):
        with pytest.raises(error, match=message):
            TabularModel(**options)

    @pytest.mark.parametrize(
        ("target", "options", "error", "message"),
        [
            ("Value", {}, ValueError, "no column 'Value'; did you mean 'value'"),
            ("vaule", {}, ValueError, "no column 'vaule'; did you mean 'value'"),
            ("q", {}, ValueError, "no column 'q'; the columns are 'x', 'town'"),
            ([], {}, ValueError, "target must name a column, got none"),
            (
                3,
                {},
                TypeError,
                "target must be a name or a list of .*, or one value a row, got 3",
            ),
            (
                [3],
                {},
                TypeError,
                "target must be a name or a list of .*, or one value a row, got 3",
            ),
            (["value", "value"], {}, ValueError, "target names the column 'value' twice"),
            ("value", {"drop": "value"}, ValueError, "drop names the target column 'value'"),
            ("value", {"drop": ["z"]}, ValueError, "drop: there is no column 'z'"),
            ("value", {"epochs": 3}, TypeError, "fit does not take 'epochs': write max_epochs=3"),
            ("value", {"sample_weight": [1]}, TypeError, "fit does not take 'sample_weight'"),
            ("value", {"validation": ([1], [2])}, TypeError, "validation must be a real number"),
            ("value", {"patience": 3}, ValueError, "patience"),
            ("kind", {"class_weight": {"mid": 2.0}}, ValueError, "class_weight has 'mid', the"),
            ("value", {"class_weight": "balanced"}, ValueError, "class_weight"),
            (
                "value",
                {"solver": dl.GradientDescent(1e3), "drop": ["kind"]},
                ValueError,
                "training diverged in epoch .*: try a learning rate below 1000",
            ),
        ],
    )
    def test_of_fit(self, target, options, error, message):
        model = TabularModel()
        with pytest.raises(error, match=message):
            model.fit(table(), target, **options)
        assert (model.network, model.target, model.report) == (None, None, None)

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            (np.zeros(3), ValueError, "Expected 2D array, got 1D array"),
            (None, TypeError, "frame must be a table of pandas, .* got builtins.NoneType"),
            (pl.LazyFrame({"x": [1], "y": [1]}), ValueError, "1 row is too few to train on"),
            ({"x": [1, 2], "y": [1]}, ValueError, "column 'y' has 1 rows, 'x' has 2"),
            ({"x": 3, "y": [1]}, TypeError, "column 'x' must be a list or an array"),
            ({"x": "ab", "y": [1, 2]}, TypeError, "column 'x' must be a list or an array"),
            ({3: [1]}, TypeError, "names of columns must be text, got 3"),
            (
                {"x": [1, "a"], "y": [1, 2]},
                ValueError,
                "column 'x' cannot be read as values of one",
            ),
            ({}, ValueError, "no column 'y'; the columns are none"),
            ({"y": [0.5] * 30}, ValueError, "no column is left to learn from"),
            ({"x": [1] * 30, "y": [0.5] * 30}, ValueError, "learn from: 'x' is constant"),
            ({"x": [[1, 2]] * 30, "y": [0.5] * 30}, TypeError, r"'x', row 0: .* \(list\)"),
        ],
    )
    def test_what_is_no_table(self, data, error, message):
        with pytest.raises(error, match=message):
            TabularModel().fit(data, "y")

    def test_before_a_fit(self):
        model = TabularModel(task="regression")
        assert repr(model) == "TabularModel(task='regression')"
        assert (model.columns, model.classes, model.task) == ((), None, "regression")
        for call in (model.predict, model.predict_proba, model.score):
            with pytest.raises(ValueError, match="has not been fitted"):
                call({"x": [1]})
        with pytest.raises(ValueError, match="has not been fitted"):
            model.save("never")

    def test_a_failed_fit_changes_nothing(self):
        model = TabularModel().fit(table(), "value", drop="kind", **QUICK)
        before = model.predict(table()).tolist(), model.report
        with pytest.raises(ValueError, match="diverged"):
            model.fit(table(), "value", drop="kind", solver=dl.GradientDescent(1e9))
        assert (model.predict(table()).tolist(), model.report) == before

    def test_class_weight_by_label(self):
        y = ["a"] * 90 + ["b"] * 30
        x = np.concatenate(
            [np.random.default_rng(0).normal(m, 1, n) for m, n in ((0, 90), (2, 30))]
        )
        found = [
            TabularModel()
            .fit(frame(x=x, y=y), "y", l2=1.0, class_weight=weight)
            .predict(frame(x=x))
            for weight in (None, {"b": 4.0}, {"b": 0.25, "a": 1})
        ]
        shares = [np.mean(labels == "b") for labels in found]
        assert shares[1] > shares[0] > shares[2]

    @pytest.mark.parametrize("loss", ["absolute_error", dl.Huber(0.5), "poisson"])
    def test_losses(self, loss):
        data = frame(x=np.linspace(-1, 1, 200), y=np.exp(np.linspace(-1, 1, 200)))
        model = TabularModel(loss=loss, hidden=8).fit(data, "y")
        assert model.network.loss == loss
        assert model.report["r2"] > 0.9

    def test_residual(self):
        data = frame(a=np.arange(50.0), b=np.arange(50.0) % 7, y=np.arange(50) * 0.5)
        with pytest.raises(ValueError, match="must not be as wide as the 2 inputs"):
            TabularModel(hidden=[2, 2], residual=True).fit(data, "y")
        assert TabularModel(hidden=[4, 4], residual=True).fit(data, "y").report["r2"] > 0.9


class TestStrength:
    def test_strong_where_there_is_noise_and_weak_where_there_is_none(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, (300, 4))
        smooth = np.sin(3 * x[:, 0]) + x[:, 1]
        for noise, least, most in ((0.0, 0.0, 0.1), (3.0, 10.0, 100.0)):
            data = frame(
                y=smooth + rng.normal(0, noise, 300), **dict(zip("abcd", x.T, strict=True))
            )
            model = TabularModel().fit(data, "y")
            assert least <= model.report["l2"] <= most
            assert "rows held out" in model.result.choice
            assert model.result.l2 == model.report["l2"]

    def test_many_rows(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, 4000)
        y = np.where(x + rng.normal(0, 0.3, 4000) > 0, "up", "down")
        model = TabularModel(hidden=4).fit(frame(x=x, y=y), "y")
        assert isinstance(model.result.solver, dl.Adam)
        assert model.report["accuracy"] > 0.75

    def test_weak_where_strong_ones_are_all_alike(self):
        """Nothing that penalises strongly learns parity, so the costs of these say nothing."""
        rng = np.random.default_rng(0)
        bits = rng.integers(0, 2, (300, 4))
        columns = dict(zip("abcd", (bits + rng.normal(0, 0.1, bits.shape)).T, strict=True))
        odd = np.where(bits.sum(axis=1) % 2, "odd", "even")
        assert TabularModel(hidden=16).fit(frame(y=odd, **columns), "y").report["accuracy"] > 0.9


class TestFiles:
    def test_round_trip(self, model, tmp_path):
        path = tmp_path / "m"
        model.save(path)
        loaded = TabularModel.load(path)
        assert repr(loaded) == repr(model)
        assert loaded.columns == model.columns
        assert loaded.classes.tolist() == ["high", "low"]
        assert (loaded.result, loaded.train_rows) == (None, None)
        times = ("seconds", "times")
        assert loaded.report == {k: v for k, v in model.report.items() if k not in times}
        data = table(seed=3)
        assert loaded.predict(data).tolist() == model.predict(data).tolist()
        assert loaded.predict_proba(data).tobytes() == model.predict_proba(data).tobytes()
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == path.read_bytes()

    def test_the_network_alone_is_read_with_a_warning(self, model, tmp_path):
        path = tmp_path / "m"
        model.save(path)
        inputs = model.network.layers[0]
        text = f"m: holds a model of a table.* whose {inputs} inputs are.*TabularModel.load reads"
        with pytest.warns(UserWarning, match=text) as told:
            network = dl.load(path)
        assert told[0].filename == __file__
        assert network.parameters.tobytes() == model.network.parameters.tobytes()
        network.save(tmp_path / "net", metadata={"table": "of measurements", "training": "{}"})
        dl.load(tmp_path / "net")  # a note of the user's own
        assert TabularModel.load(path).network.layers == network.layers

    def test_same_bytes_in_another_process(self, tmp_path):
        program = (
            "import sys, polars; from deltaloop.tabular import TabularModel\n"
            "frame = polars.read_parquet(sys.argv[1])\n"
            "TabularModel(seed=4).fit(frame, 'kind', drop='value').save(sys.argv[2])"
        )
        data, names = tmp_path / "data.parquet", ("here", "there")
        frame(**table()).write_parquet(data)
        TabularModel(seed=4).fit(frame(**table()), "kind", drop="value").save(tmp_path / names[0])
        run_python(program, data, tmp_path / names[1])
        assert (tmp_path / names[0]).read_bytes() == (tmp_path / names[1]).read_bytes()

    def test_a_network_alone_is_no_table(self, tmp_path):
        dl.Network([2, 1], seed=0).save(tmp_path / "net")
        with pytest.raises(ValueError, match=r"net: holds a network, but no table"):
            TabularModel.load(tmp_path / "net")
        with pytest.raises(FileNotFoundError):
            TabularModel.load(tmp_path / "none")
        with pytest.raises(TypeError, match="path must be a str"):
            TabularModel.load(3)

    @pytest.mark.parametrize(
        ("place", "value", "message"),
        [
            ((), [], "expected the table's description to be an object"),
            (("version",), 3, "found '3': it was written by a newer deltaloop"),
            (("version",), 0, "expected version 1"),
            (("version",), True, "expected version 1"),
            (("version",), "1", "expected version 1"),
            (("more",), 1, "an object of version, target, classes, columns"),
            (("target",), 3, "expected names of columns"),
            (("target",), [], "expected names of columns"),
            (("target",), ["kind", "x"], "expected one target of a classification"),
            (("target",), ["a", "a"], "expected each column once, found 'a' twice"),
            (("target",), "x", "expected each column once, found 'x' twice"),
            (("classes",), ["low", "high"], "expected classes to be a sorted list"),
            (("classes",), ["high"], "expected classes to be a sorted list"),
            (("classes",), ["high", "high"], "expected classes to be a sorted list"),
            (("classes",), [0, True], "expected classes to be a sorted list"),
            (("classes",), [0, 2**60], "expected classes to be a sorted list"),
            (("classes",), [0.0, 1.0], "expected classes to be a sorted list"),
            (("classes",), {"a": 1, "b": 2}, "expected classes to be a sorted list"),
            (("classes",), ["a", "b", "c"], "a network of 3 outputs for the target, found 2"),
            (("classes",), None, "a network of 1 outputs for the target, found 2"),
            (("columns",), [], "expected columns to be a list of one or more"),
            (("columns",), {}, "expected columns to be a list of one or more"),
            (("columns", 0), 5, "expected a column to be an object of name"),
            (("columns", 0, "name"), 5, "expected the name of a column, found '5'"),
            (("columns", 0, "name"), "town", "expected each column once, found 'town' twice"),
            (("columns", 0, "kind"), "image", "column 'x': expected a kind that is known"),
            (("columns", 0, "kind"), ["number"], "column 'x': expected a kind that is known"),
            (("columns", 0, "kind"), "category", "column 'x': expected sorted categories"),
            (("columns", 0, "missing"), 1, "column 'x': expected missing to be true or false"),
            (("columns", 0, "missing"), False, "a network of 8 inputs for the table, found 9"),
            (("columns", 0, "means"), [], "expected means to be 1 finite numbers"),
            (("columns", 0, "means"), [1], "expected means to be 1 finite numbers"),
            (("columns", 0, "means"), ["1.0"], "expected means to be 1 finite numbers"),
            (("columns", 0, "means"), [math.nan], "description to be JSON, found (NaN|Infinity)"),
            (("columns", 0, "means"), [math.inf], "description to be JSON, found (NaN|Infinity)"),
            (("columns", 0, "categories"), ["a"], "column 'x': expected no categories"),
            (("columns", 1, "categories"), [], "column 'town': expected sorted categories"),
            (("columns", 1, "categories"), "abc", "column 'town': expected sorted categories"),
            (("columns", 1, "categories"), ["b", "a"], "column 'town': expected sorted"),
            (("columns", 1, "categories"), ["a", "a"], "column 'town': expected sorted"),
            (("columns", 1, "categories"), [1, 2, 3], "column 'town': expected sorted"),
            (("columns", 1, "means"), [0.5], "expected means to be 0 finite numbers"),
            (("columns", 1, "missing"), False, "expected means to be 3 finite numbers"),
        ],
    )
    def test_hostile_descriptions(self, model, tmp_path, place, value, message):
        path = tmp_path / "m"
        model.save(path)
        description = json.loads(metadata_of(path)["table"])
        inside = description
        for key in place[:-1]:
            inside = inside[key]
        if place:
            inside[place[-1]] = value
        else:
            description = value
        model.network.save(path, metadata={"table": json.dumps(description)})
        with pytest.raises(ValueError, match=message) as caught:
            TabularModel.load(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value)) < len(str(path)) + 300

    @pytest.mark.parametrize(
        "text",
        [
            *("", "{", "[" * 50_000, "1e999", "NaN", '"x"', "null", "\0", "{}, {}"),
            '{"version": ' + "9" * 5000 + "}",
            '{"version": 1, "version": 1, "target": "t", "classes": null, "columns": []}',
            *('{"version": "\\uD800"}', '{"\\udfff": 1}', '["\\ud83d\\u0020\\ude00"]'),
        ],
    )
    def test_hostile_text(self, model, tmp_path, text):
        path = tmp_path / "m"
        model.network.save(path, metadata={"table": text})
        with pytest.raises(ValueError, match="m: expected"):
            TabularModel.load(path)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                '{"version"',
                '{"classes": 1, "version"',
                "each key of the table's .* 'classes' twice",
            ),
            ('"name": "x"', '"name": "y", "name": "x"', "each key of the table's .* 'name' twice"),
            ('"name": "x"', '"name": "\\ud800"', "found half of a character"),
            ('"name": "x"', r'"name": "\\\ud800"', "found half of a character"),
            ('"means": [', '"means": [{}' + ", {}" * 70_000 + ",", "at most 131072 values"),
        ],
    )
    def test_text_that_readers_read_differently(self, model, tmp_path, old, new, message):
        path = tmp_path / "m"
        model.save(path)
        text = metadata_of(path)["table"]
        assert old in text
        model.network.save(path, metadata={"table": text.replace(old, new, 1)})
        with pytest.raises(ValueError, match=message):
            TabularModel.load(path)

    def test_whole_characters(self, model, tmp_path):
        """Two halves of one make it, and after a backslash the letters mean themselves."""
        path = tmp_path / "m"
        model.save(path)
        text = metadata_of(path)["table"].replace('"x"', r'"\ud83d\ude00 \\ud800"', 1)
        model.network.save(path, metadata={"table": text})
        assert TabularModel.load(path).columns[0].name == "\U0001f600 \\ud800"

    def test_networks_that_do_not_fit(self, model, tmp_path):
        path = tmp_path / "m"
        model.save(path)
        metadata = metadata_of(path)
        dl.Network([9, 2], activation="identity", seed=0).save(path, metadata=metadata)
        with pytest.raises(ValueError, match="expected a network for classes, found the output id"):
            TabularModel.load(path)

    @pytest.mark.slow
    @hypothesis.given(
        st.lists(st.text(max_size=5), min_size=2, max_size=6, unique=True),
        st.floats(-1e300, 1e300),
        st.booleans(),
    )
    def test_text_of_any_description(self, names, mean, missing):
        labels = tuple(sorted(names))
        means = () if missing else (1 / len(labels),) * len(labels)
        columns = (
            Column("a" + names[0], "number", missing, (), (mean,)),
            Column("b" + names[0], "category", missing, labels, means),
        )
        both = Table(columns), Target((names[1],), True, labels)
        hypothesis.assume(names[1] not in {column.name for column in columns})
        text = _description.to_text(*both)
        assert _description.of_text(text) == both


@hypothesis.settings(max_examples=25)
@hypothesis.given(st.data())
def test_any_frame_is_learned_or_refused_by_name(data):
    """Whatever the columns hold, a model predicts its own rows, or an error names a column."""
    n = data.draw(st.integers(6, 25))
    kinds = [
        st.floats(allow_nan=True, allow_infinity=False, width=32),
        st.integers(-3, 3),
        st.booleans(),
        st.text(max_size=2),
        st.dates(),
        st.timedeltas(),
    ]
    columns = {
        f"c{i}": data.draw(st.lists(st.none() | kind, min_size=n, max_size=n))
        for i, kind in enumerate(
            data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
        )
    }
    columns["y"] = data.draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n))
    try:
        model = TabularModel(hidden=3).fit(columns, "y", **QUICK)
    except (ValueError, UserWarning) as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "column" in refused or "rows" in refused
        return
    found = model.predict(columns)
    assert set(found) <= {"a", "b"}
    assert model.predict(frame(**columns)[::-1]).tolist() == found[::-1].tolist()


class TestNaN:
    """NaN is missing like None, whatever the other values are."""

    @pytest.mark.parametrize(
        "nan", [[math.nan], np.array([np.nan]), np.array([np.nan], object), pl.Series([math.nan])]
    )
    @pytest.mark.parametrize("name", ["x", "town", "since", "took", "member"])
    def test_alone(self, model, nan, name):
        row = {key: values[:1] for key, values in table().items()}
        expected = model.predict_proba(row | {name: [None]})
        assert model.predict_proba(row | {name: nan}).tobytes() == expected.tobytes()

    @pytest.mark.parametrize("kind", [list, lambda values: np.array(values, object)])
    def test_among_text(self, model, kind):
        rows = {key: values[:3] for key, values in table().items()}
        expected = model.predict_proba(rows | {"town": ["Ulm", None, "Bonn"]})
        found = model.predict_proba(rows | {"town": kind(["Ulm", math.nan, "Bonn"])})
        assert found.tobytes() == expected.tobytes()

    def test_alone_in_a_target(self):
        with pytest.raises(ValueError, match="target column 'y' has no values"):
            TabularModel().fit({"x": [1.0, 2.0] * 9, "y": [math.nan] * 18}, "y")


class TestNumbersThatAreText:
    """What is said where an entry keeps a column from being numbers."""

    def test_ignored(self):
        text = [None, None, *map(str, range(40))]
        text[20:30] = [f"b{i}" for i in range(10)]
        y = [None, *np.arange(41) * 0.5]
        why = "text with 40 different values, most of them numbers, but row 20 holds 'b0'"
        with pytest.warns(
            UserWarning, match=f"column 'a' is ignored: {why}; a category has at most"
        ):
            model = TabularModel().fit({"a": text, "b": [1.0, 2.0, 4.0] * 14, "y": y}, "y", **QUICK)
        assert model.ignored == {"a": why}

    def test_target(self):
        data = {"x": range(40), "y": [None, *map(str, range(38)), "TBD"]}
        message = "38 of 39 entries are numbers, but not 'TBD' \\(row 39\\). reading={'missing': "
        for task in (None, "regression"):
            with pytest.raises(ValueError, match=message):
                TabularModel(task=task).fit(data, "y")
        data["y"][20:30] = [f"b{i}" for i in range(10)]
        message = "39 classes in 39 rows, most of them numbers, but row 20 holds 'b0'; too few"
        with pytest.raises(ValueError, match=message):
            TabularModel().fit(data, "y")
        with pytest.raises(TypeError, match="'y', row 20: expected numbers, got 'b0'"):
            TabularModel(task="regression").fit(data, "y")
        names = {"x": range(40), "y": [f"flat {i}" for i in range(40)]}
        with pytest.raises(ValueError, match="40 classes in 40 rows, as 'flat 0' in row 0; too"):
            TabularModel().fit(names, "y")
