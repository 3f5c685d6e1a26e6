"""Tables of pandas, polars and pyarrow give the same model; tables that ship with scikit-learn."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest

from deltaloop.tabular import TabularModel

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pytest.importorskip("narwhals")

N = 90
RNG = np.random.default_rng(7)
NUMBER = [None if i % 8 == 3 else float(x) for i, x in enumerate(RNG.normal(size=N))]
COUNT = [None if i % 10 == 1 else int(x) for i, x in enumerate(RNG.integers(0, 9, N))]
FLAG = [None if i % 12 == 5 else bool(x) for i, x in enumerate(RNG.integers(0, 2, N))]
TOWN = [None if i % 9 == 2 else str(x) for i, x in enumerate(RNG.choice(["Ulm", "Bonn"], N))]
TIME = [
    None if i % 7 == 0 else datetime.datetime(2026, 1, 1) + datetime.timedelta(hours=int(h))
    for i, h in enumerate(RNG.integers(0, 9999, N))
]
TOOK = [None if i % 13 == 0 else datetime.timedelta(seconds=int(s)) for i, s in enumerate(range(N))]
PRICE = [None if i % 14 == 0 else decimal.Decimal(i * 7 % 40) / 4 for i in range(N)]
Y = [float(x) for x in RNG.normal(size=N)]
COLUMNS = {
    "number": NUMBER,
    "count": COUNT,
    "flag": FLAG,
    "town": TOWN,
    "time": TIME,
    "took": TOOK,
    "price": PRICE,
    "y": Y,
}


def pandas_nullable():
    frame = pd.DataFrame(COLUMNS)
    kinds = {"number": "Float64", "count": "Int64", "flag": "boolean", "town": "string"}
    return frame.assign(**{name: pd.array(COLUMNS[name], dtype=kinds[name]) for name in kinds})


def pandas_categorical():
    frame = pd.DataFrame(COLUMNS, index=range(N, 0, -1))
    return frame.assign(town=pd.Categorical(TOWN, categories=["Ulm", "Bonn", "never"]))


def pyarrow():
    return pytest.importorskip("pyarrow").table(COLUMNS)


FRAMES = {
    "dict": lambda: COLUMNS,
    "dict of arrays": lambda: {name: np.array(v, object) for name, v in COLUMNS.items()},
    "dict of series": lambda: {name: pd.Series(v) for name, v in COLUMNS.items()},
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas objects": lambda: pd.DataFrame(COLUMNS).astype(object),
    "pandas nullable": pandas_nullable,
    "pandas categorical": pandas_categorical,
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars float32": lambda: pl.DataFrame(COLUMNS).with_columns(pl.col("count").cast(pl.Float32)),
    "polars categorical": lambda: pl.DataFrame(COLUMNS).with_columns(
        pl.col("town").cast(pl.Categorical)
    ),
    "pyarrow": pyarrow,
}


@pytest.fixture(scope="module")
def model():
    return TabularModel(hidden=4).fit(pl.DataFrame(COLUMNS), "y", l2=1.0)


@pytest.mark.parametrize("name", FRAMES)
def test_the_same_table_gives_the_same_bits(name, model):
    frame = FRAMES[name]()
    found = TabularModel(hidden=4).fit(frame, "y", l2=1.0)
    assert found.columns == model.columns
    assert found.network.parameters.tobytes() == model.network.parameters.tobytes()
    assert found.report["r2"] == model.report["r2"]
    assert found.predict(frame).tobytes() == model.predict(pl.DataFrame(COLUMNS)).tobytes()


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("target", ["town", "flag", "count"])
def test_the_same_classes(name, target):
    frame = FRAMES[name]()
    found = TabularModel(hidden=4).fit(frame, target, l2=1.0)
    expected = sorted({value for value in COLUMNS[target] if value is not None})
    assert found.classes.tolist() == expected
    assert found.score(frame) == found.score(COLUMNS)
    assert found.report["n_without_target"] == COLUMNS[target].count(None)


def test_categories_of_other_types():
    frame = pd.DataFrame({"c": pd.Categorical([10, 2, None] * 20), "y": np.arange(60) * 0.5})
    model = TabularModel().fit(frame, "y", l2=1.0)
    assert model.columns[0].categories == ("10", "2")
    assert model.predict(frame[:3]).shape == (3,)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (["a", 1] * 20, TypeError, r"column 'x', row 1: expected text, as in row 0, got 1 \(int\)"),
        ([None, 1, "b", 2] * 10, TypeError, "'x', row 2: expected a number, as in row 1, got 'b'"),
        ([{}] * 40, TypeError, r"'x', row 0: expected a number, .* got {} \(dict\); leave the"),
        ([1.0, np.inf] * 20, ValueError, "'x', row 1: holds inf"),
    ],
)
def test_wrong_columns_of_pandas(values, error, message):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "y": np.arange(40) * 0.5})
    with pytest.raises(error, match=message):
        TabularModel().fit(frame, "y")


def test_names_of_pandas():
    with pytest.raises(ValueError, match="frame: there is more than one column 'b'; names must"):
        TabularModel().fit(pd.DataFrame(np.zeros((3, 3)), columns=["a", "b", "b"]), "a")
    with pytest.raises(TypeError, match="names of columns must be text, got 0"):
        TabularModel().fit(pd.DataFrame(np.zeros((3, 2))), "a")


def test_names_of_pyarrow():
    pa = pytest.importorskip("pyarrow")
    data = pa.table([[1.0, 2.0]] * 3, names=["a", "b", "b"])
    with pytest.raises(ValueError, match="frame: there is more than one column 'b'; names must"):
        TabularModel().fit(data, "a")


@pytest.mark.parametrize(
    ("name", "least"), [("iris", 0.9), ("wine", 0.94), ("breast_cancer", 0.94), ("diabetes", 0.3)]
)
def test_tables_of_scikit_learn(name, least):
    """What no table may fall below; docs/understand/tables-measured.md has the comparison."""
    datasets = pytest.importorskip("sklearn.datasets")
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    scores = []
    for seed in range(3):
        model = TabularModel(seed=seed).fit(frame, "target")
        assert len(model.columns) == frame.shape[1] - 1
        scores.append(model.report["r2" if name == "diabetes" else "accuracy"])
    assert np.mean(scores) >= least


def test_several_targets_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_linnerud(as_frame=True)
    model = TabularModel().fit(data.frame, list(data.target.columns))
    assert model.task == "regression"
    assert model.predict(data.data).shape == (20, 3)


class Exchanged:
    """A table that has the interchange protocol alone."""

    def __init__(self, table):
        self._table = table

    def __dataframe__(self, *args, **options):
        return self._table.__dataframe__(*args, **options)


class Streamed:
    """A table that has an Arrow stream alone."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


SIMPLE = ["number", "count", "flag", "town", "y"]


def duckdb():
    return pytest.importorskip("duckdb").from_arrow(pyarrow().select(SIMPLE))


@pytest.mark.parametrize(
    "make",
    [
        duckdb,
        lambda: Streamed(pyarrow().select(SIMPLE)),
        lambda: Streamed(pl.DataFrame(COLUMNS).select(SIMPLE)),
        lambda: Exchanged(pyarrow().select(SIMPLE)),
        lambda: pyarrow().select(SIMPLE).to_batches()[0],
        lambda: pyarrow().select(SIMPLE).to_reader(),
    ],
)
def test_tables_of_other_libraries(make):
    """Those that give an Arrow stream or the interchange protocol, by which narwhals reads them."""
    pytest.importorskip("pyarrow")
    quick = {"l2": 0.01, "max_epochs": 5}
    usual = TabularModel(hidden=3).fit({name: COLUMNS[name] for name in SIMPLE}, "y", **quick)
    model = TabularModel(hidden=3).fit(make(), "y", **quick)
    assert model.network.parameters.tobytes() == usual.network.parameters.tobytes()
    assert model.predict(make()).tobytes() == usual.predict(COLUMNS).tobytes()


@pytest.mark.parametrize(
    "make", [lambda: pl.Series("a", [1.0]), lambda: pd.Series([1.0]), lambda: pyarrow()["y"]]
)
def test_a_column_is_no_table(make):
    with pytest.raises(TypeError, match="frame must be a table of pandas"):
        TabularModel().fit(make(), "a")
