"""Models of tables that are read in blocks: their columns, rows held out, and what they predict."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _scalars
from deltaloop.tabular import TabularModel, _streams

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 6000
RNG = np.random.default_rng(0)
A = RNG.normal(size=N)
KIND = RNG.choice(["x", "y", "z"], N).astype("U4")
KIND[4321] = "rare"
HOLES = [None if i == 5001 else float(v) for i, v in enumerate(RNG.normal(size=N))]
VALUE = A + (KIND == "x") + 0.1 * RNG.normal(size=N)
LABEL = np.where(VALUE > 0.5, "high", "low")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A file that counts as large, whose sample is every sixth row."""
    monkeypatch.setattr(_streams, "WHOLE", 0.0)
    monkeypatch.setattr(_streams, "SAMPLE", 1000)
    value = [None if i % 100 == 7 else v for i, v in enumerate(VALUE.tolist())]
    columns = {"a": A, "kind": KIND, "holes": HOLES, "value": value, "label": LABEL}
    pq.write_table(pa.table(columns), tmp_path / "big.parquet", row_group_size=1500)
    return tmp_path / "big.parquet"


def test_values(path):
    model = TabularModel(hidden=5, seed=1)
    solver = dl.Adam(0.01, batch_size=100)
    model.fit(path, "value", drop=["label"], solver=solver, max_epochs=20, memory="20MB")
    report = model.report
    assert report["n_without_target"] == N // 100
    assert report["n_train"] + report["n_test"] == N - N // 100
    assert 150 < report["n_test"] < 250
    assert model.train_rows is None
    assert len(model.test_rows) == report["n_test"]
    assert (np.diff(model.test_rows) > 0).all()
    assert not {7, 4321, 5001} & set(model.test_rows.tolist())
    assert report["r2"] > 0.8
    # One row of all showed the category, and one the gap.
    columns = {column.name: column for column in model.columns}
    assert columns["kind"].categories == ("rare", "x", "y", "z")
    assert columns["holes"].missing
    assert not columns["a"].missing
    frame = {"a": A, "kind": KIND, "holes": HOLES}
    rest = np.setdiff1d(np.arange(N), model.test_rows)
    predicted = model.predict(frame)[rest]
    assert 1 - np.mean((predicted - VALUE[rest]) ** 2) / np.var(VALUE[rest]) > 0.8


def test_the_same_as_in_memory(path):
    """With all rows in the sample, the fit is that of the rows and scaling of the table."""
    model, again = (
        TabularModel(hidden=3, seed=1).fit(
            path, "label", drop="value", solver=dl.LBFGS(), max_epochs=30, memory="20MB"
        )
        for _ in range(2)
    )
    assert model.network.parameters.tobytes() == again.network.parameters.tobytes()
    assert (model.test_rows == again.test_rows).all()
    table = pq.read_table(path).drop(["value"])
    rest = np.setdiff1d(np.arange(N), model.test_rows)
    whole = TabularModel(hidden=3, seed=1, test_fraction=0.0)
    whole.fit(table.take(pa.array(rest)), "label", solver=dl.LBFGS(), max_epochs=30)
    assert model.classes_.tolist() == whole.classes_.tolist() == ["high", "low"]
    frame = {"a": A, "kind": KIND, "holes": HOLES}
    near = np.abs(model.predict_proba(frame) - whole.predict_proba(frame))
    assert near.max() < 0.05
    assert model.score(table) > 0.9


def test_datasets_queries_and_folders(path, tmp_path):
    import pyarrow.dataset as ds

    folder = tmp_path / "parts"
    folder.mkdir()
    for i in range(2):
        pq.write_table(pq.read_table(path).slice(3000 * i, 3000), folder / f"{i}.parquet")
    given = [path, str(path), folder, ds.dataset(path)]
    pl = pytest.importorskip("polars")
    if hasattr(pl.LazyFrame, "collect_batches"):
        given.append(pl.scan_parquet(path))
    results = set()
    for frame in given:
        model = TabularModel(hidden=3, seed=1)
        model.fit(frame, "label", drop="value", solver=dl.LBFGS(), max_epochs=3, memory="20MB")
        results.add(model.network.parameters.tobytes())
    assert len(results) == 1


def test_small_files_are_read_whole(path, monkeypatch):
    monkeypatch.setattr(_streams, "WHOLE", 1 / 8)
    options = {"solver": dl.LBFGS(), "max_epochs": 5}
    model = TabularModel(hidden=3, seed=1).fit(path, "label", drop="value", **options)
    other = TabularModel(hidden=3, seed=1).fit(
        pq.read_table(path), "label", drop="value", **options
    )
    assert model.network.parameters.tobytes() == other.network.parameters.tobytes()
    assert (model.train_rows == other.train_rows).all()


def test_refusals(path):
    model = TabularModel(hidden=3)
    with pytest.raises(ValueError, match="there is no column 'z'; the columns are a, kind"):
        model.fit(path, "z")
    with pytest.raises(TypeError, match="target must name a column"):
        model.fit(path, VALUE)
    with pytest.raises(ValueError, match=r"validation=0.2 sets rows aside at random"):
        model.fit(path, "label", validation=0.2)
    with pytest.raises(ValueError, match=r"patience=3 needs rows set aside .* larger memory"):
        model.fit(path, "label", patience=3)
    with pytest.raises(ValueError, match="memory must be bytes, or text such as '1GB'"):
        model.fit(path, "label", memory="much")
    with pytest.raises(ValueError, match="memory must be at least 10 MB"):
        model.fit(path, "label", memory=5)
    with pytest.raises(FileNotFoundError, match="is no file and no folder"):
        model.fit("absent.parquet", "label")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1GB", 10**9),
        ("1.5 gb", 1_500_000_000),
        ("512MiB", 2**29),
        ("20000000", 20_000_000),
        (10**8, 10**8),
    ],
)
def test_sizes(given, expected):
    assert _scalars.size("memory", given) == expected
