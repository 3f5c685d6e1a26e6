"""Each kind of data that is read block by block: the bytes of the same rows in memory."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._blocks import kinds, windows

N = 4321
RNG = np.random.default_rng(1)
FLOATS = RNG.normal(size=(N, 2)).astype(np.float32)
WHOLE = RNG.integers(-5, 5, N)
FLAGS = RNG.random(N) < 0.5
X = np.column_stack([FLOATS, WHOLE, FLAGS])
Y = FLOATS[:, 0] * WHOLE + 0.5
W = RNG.random(N)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(windows, "MEMORY", 40_000)
    monkeypatch.setattr(windows, "LEAST", 1000)
    monkeypatch.setattr(kinds, "LARGE", 1000)


def fitted(x, y, **options):
    net = dl.Network([4, 3, 1], activation="tanh", output="identity", seed=2)
    options = {"solver": dl.LBFGS(), "max_epochs": 2} | options
    net.fit(x, y, **options)
    return net


def check(x, y, named=False):
    """Whatever reads x, the result is that of X and Y in memory."""
    net = fitted(x, y)
    assert net.parameters.tobytes() == fitted(X, Y).parameters.tobytes()
    assert net.cost(x, y) == net.cost(X, Y)
    weights = "w" if named else W
    weighted = fitted(x, y, sample_weight=weights)
    assert weighted.parameters.tobytes() == fitted(X, Y, sample_weight=W).parameters.tobytes()


def table(pa, *, weights=False):
    columns = {"a": FLOATS[:, 0], "y": Y, "b": FLOATS[:, 1], "whole": WHOLE, "flag": FLAGS}
    return pa.table(columns | ({"w": W} if weights else {}))


class TestArrow:
    @pytest.fixture
    def pa(self):
        pytest.importorskip("pyarrow.parquet")
        return pytest.importorskip("pyarrow")

    def test_parquet(self, pa, tmp_path):
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        path, folder = tmp_path / "big.parquet", tmp_path / "parts"
        pq.write_table(table(pa), path, row_group_size=1000)
        folder.mkdir()
        for i in range(3):
            pq.write_table(table(pa).slice(2000 * i, 2000), folder / f"{i}.parquet")
        expected = fitted(X, Y)
        for given in (path, str(path), folder, ds.dataset(path)):
            net = fitted(given, "y")
            assert net.parameters.tobytes() == expected.parameters.tobytes()
            assert net.cost(given, "y") == expected.cost(X, Y)
        pq.write_table(table(pa, weights=True), path)
        net = fitted(path, "y", sample_weight="w")
        assert net.parameters.tobytes() == fitted(X, Y, sample_weight=W).parameters.tobytes()
        assert net.cost(path, "y", sample_weight="w") == net.cost(X, Y, sample_weight=W)

    def test_files_of_other_types(self, pa, tmp_path):
        """A column has a type that holds the numbers of all files."""
        import pyarrow.parquet as pq

        rng = np.random.default_rng(5)
        parts = [
            {"a": rng.normal(size=50).astype(np.float32), "b": rng.integers(9, size=50)},
            {"b": rng.normal(size=50), "a": rng.normal(size=50)},
            {"a": rng.integers(9, size=50).astype(np.int32), "b": rng.normal(size=50)},
        ]
        for i, part in enumerate(parts):
            pq.write_table(pa.table(part | {"y": part["a"] * 2.0}), tmp_path / f"{i}.parquet")
        x = np.concatenate([np.column_stack([part["a"], part["b"]]) for part in parts])
        y = np.concatenate([part["a"] * 2.0 for part in parts])
        nets = [dl.Network([2, 3, 1], output="identity", seed=1) for _ in range(2)]
        nets[0].fit(tmp_path, "y", solver=dl.LBFGS(), max_epochs=3)
        nets[1].fit(x, y, solver=dl.LBFGS(), max_epochs=3)
        assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
        pq.write_table(pa.table({"a": ["x"], "b": [1.0], "y": [1.0]}), tmp_path / "3.parquet")
        with pytest.raises(ValueError, match="do not go together"):
            nets[0].fit(tmp_path, "y")
        pq.write_table(pa.table({"a": [1.0], "y": [1.0]}), tmp_path / "3.parquet")
        for missing in ("raise", "skip"):
            with pytest.raises(ValueError, match=r"3.parquet' has no column 'b', which another"):
                nets[0].fit(tmp_path, "y", missing_targets=missing)
        pq.write_table(pa.table({"a": [1.0], "b": [1.0]}), tmp_path / "3.parquet")
        with pytest.raises(ValueError, match=r"3.parquet' has no column 'y'"):
            nets[0].fit(tmp_path, "y", missing_targets="skip")

    def test_several_targets(self, pa, tmp_path):
        import pyarrow.parquet as pq

        pq.write_table(table(pa), tmp_path / "big.parquet")
        nets = [dl.Network([3, 2], output="identity", seed=1) for _ in range(2)]
        nets[0].fit(tmp_path / "big.parquet", ["y", "b"], solver=dl.LBFGS(), max_epochs=2)
        two = np.column_stack([Y, FLOATS[:, 1]])
        nets[1].fit(X[:, [0, 2, 3]], two, solver=dl.LBFGS(), max_epochs=2)
        assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()

    def test_nulls(self, pa):
        import pyarrow.dataset as ds

        gaps = [None if i % 7 == 0 else v for i, v in enumerate(Y.tolist())]
        given = ds.dataset(table(pa).set_column(1, "y", pa.array(gaps)))
        y = np.array([np.nan if v is None else v for v in gaps])
        net = fitted(given, "y", missing_targets="skip")
        expected = fitted(X, y, missing_targets="skip")
        assert net.parameters.tobytes() == expected.parameters.tobytes()
        holes = [None if i == 1234 else int(v) for i, v in enumerate(WHOLE)]
        given = ds.dataset(table(pa).set_column(3, "whole", pa.array(holes)))
        with pytest.raises(ValueError, match=r"holds nan at row 1234, column 2, 'whole'"):
            fitted(given, "y")

    def test_refusals(self, pa, tmp_path):
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        path = tmp_path / "big.parquet"
        pq.write_table(table(pa), path)
        with pytest.raises(ValueError, match="Y names no column of X: 'z'; its columns are a, y"):
            fitted(path, "z")
        with pytest.raises(ValueError, match="sample_weight names no column of X: 'z'"):
            fitted(path, "y", sample_weight="z")
        with pytest.raises(TypeError, match="Y must be the name of a column of X, which is Parq"):
            fitted(path, Y)
        with pytest.raises(ValueError, match=r"must have 4 columns.*got 5: a, y, b, whole, flag"):
            fitted(X, Y).predict(path)
        with pytest.raises(ValueError, match=r"Adam\(shuffle=True\) draws.*Parquet files"):
            fitted(path, "y", solver=dl.Adam(batch_size=10))
        text = table(pa).append_column("name", pa.array(["x"] * N))
        with pytest.raises(TypeError, match="column 'name' of X must hold real numbers, got str"):
            fitted(ds.dataset(text), "y")
        with pytest.raises(ValueError, match="a RecordBatchReader, can be read only once"):
            fitted(table(pa).to_reader(), "y")
        (tmp_path / "no.parquet").write_bytes(b"none")
        with pytest.raises(ValueError, match="cannot be read as Parquet"):
            fitted(tmp_path / "no.parquet", "y")
        with pytest.raises(FileNotFoundError, match="X is no file and no folder"):
            fitted(tmp_path / "absent.parquet", "y")

    def test_a_stream_that_is_read_once_has_predictions(self, pa):
        net = fitted(X, Y)
        rows = table(pa).drop(["y"]).to_reader(max_chunksize=999)
        assert (net.predict(rows) == net.predict(X)).all()

    def test_duckdb(self, pa):
        duckdb = pytest.importorskip("duckdb")
        arrow = table(pa)  # noqa: F841 - named in the query
        with duckdb.connect() as connection:
            relation = connection.sql("select * from arrow")
            assert fitted(relation, "y").parameters.tobytes() == fitted(X, Y).parameters.tobytes()


def test_lazy_frames():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {"a": FLOATS[:, 0], "b": FLOATS[:, 1], "whole": WHOLE, "flag": FLAGS, "y": Y, "w": W}
    ).lazy()
    if not hasattr(frame, "collect_batches"):
        pytest.skip("this polars collects no batches")
    plain = frame.drop("w")
    expected = fitted(X, Y)
    assert fitted(plain, "y").parameters.tobytes() == expected.parameters.tobytes()
    assert fitted(plain, "y").cost(plain, "y") == expected.cost(X, Y)
    assert (expected.predict(plain.drop("y")) == expected.predict(X)).all()
    weighted = fitted(frame, "y", sample_weight="w")
    assert weighted.parameters.tobytes() == fitted(X, Y, sample_weight=W).parameters.tobytes()
    with pytest.raises(TypeError, match="column 'a' of X must hold real numbers, got String"):
        fitted(plain.with_columns(a=pl.lit("x")), "y")


def test_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    x = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(500, 4), dtype="f8")
    y = zarr.create_array(tmp_path / "y.zarr", shape=Y.shape, chunks=(500,), dtype="f8")
    x[:], y[:] = X, Y
    check(x, y)
    check(x, Y)
    with pytest.raises(ValueError, match="X has 4321 instances but Y has 7"):
        fitted(x, Y[:7])


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = X, Y
        check(file["x"], file["y"])


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_maps(tmp_path, mode):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode=mode) for name in "xy")
    if mode == "c":
        x[5] = X[5]  # a page of its own, which no file has
    check(x, y)
    # What blocks do not do is done where the array lies, as for any array.
    shuffled = dl.Adam(batch_size=50)
    for options in ({"solver": shuffled}, {"validation": 0.25}, {"solver": None}):
        mapped, plain = fitted(x, y, **options), fitted(X, Y, **options)
        assert mapped.parameters.tobytes() == plain.parameters.tobytes()
    assert (fitted(X, Y).predict(x) == fitted(X, Y).predict(X)).all()


def test_every_kind_is_found_by_its_row():
    found = {kind.reader for kind in kinds.KINDS}
    assert found == {
        "Files",
        "Dataset",
        "LazyFrame",
        "Stream",
        "Zarr",
        "HDF5",
        "Mapped",
        "Iterable",
    }
    for given in (X, X.tolist(), [[0.0]], (0.0, 1.0), 3.0, None):
        assert kinds.find(given, Y) is None
        assert kinds.find_instances(given) is None
