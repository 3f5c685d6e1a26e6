"""What a model's file keeps of its training, and which rows it knows again."""

from __future__ import annotations

import json
import pickle
import struct

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.tabular import TabularModel, _provenance, _storing
from deltaloop.tabular._fingerprints import KEPT, Fingerprints

pytest.importorskip("narwhals")

TIMES = ("seconds", "times")


def table(n=100, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return {"x": x, "const": np.ones(n), "kind": np.where(x > 0, "high", "low"), "y": 3 * x}


@pytest.fixture
def model():
    return TabularModel(hidden=4, seed=2).fit(table(), "kind", drop="y", l2=0.01)


def raw(path):
    """Return the metadata that a file holds of the training."""
    length = int.from_bytes(path.read_bytes()[:8], "little")
    entries = json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]
    return json.loads(entries["user.training"])


class TestFile:
    def test_report_survives(self, model, tmp_path):
        path = tmp_path / "m"
        model.save(path)
        loaded = TabularModel.load(path)
        assert loaded.report == {k: v for k, v in model.report.items() if k not in TIMES}
        assert loaded.report["options"] == {
            "hidden": 4,
            "activation": "tanh",
            "test_fraction": 0.2,
            "seed": 2,
            "drop": ["y"],
            "l2": 0.01,
        }
        assert loaded.report["ignored"] == loaded.ignored == {"const": "constant"}
        assert loaded.report["version"] == dl.__version__
        assert loaded.report["per_class"][0]["class"] == "high"
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == path.read_bytes()

    def test_the_date_is_that_of_the_training(self, monkeypatch, tmp_path):
        contents = []
        for seconds in ("0", "86400", "0"):
            monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
            model = TabularModel(hidden=2).fit(table(), "y", drop="kind", l2=0.01)
            assert model.report["date"] == f"1970-01-0{1 + int(seconds) // 86400}"
            monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
            model.save(tmp_path / "m")
            contents.append((tmp_path / "m").read_bytes())
        assert contents[0] == contents[2] != contents[1]

    def test_pickles_keep_all_of_it(self, model, tmp_path):
        copy = pickle.loads(pickle.dumps(model))
        assert copy.report == model.report
        model.save(tmp_path / "m", metadata={"author": "Ada"})
        copy = pickle.loads(pickle.dumps(TabularModel.load(tmp_path / "m")))
        copy.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()

    def test_metadata(self, model, tmp_path):
        path = tmp_path / "m"
        model.save(path, metadata={"author": "Ada", "data": "towns, 2026"})
        loaded = TabularModel.load(path)
        assert loaded.metadata == {"author": "Ada", "data": "towns, 2026"}
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == path.read_bytes()
        loaded.save(path, metadata={})
        assert TabularModel.load(path).metadata == {}
        assert model.metadata == {}
        assert loaded.fit(table(), "kind", drop="y", l2=0.01).metadata == {}

    @pytest.mark.parametrize("key", ["table", "training"])
    def test_keys_of_its_own(self, model, tmp_path, key):
        with pytest.raises(ValueError, match=f"metadata has the key '{key}', which the model"):
            model.save(tmp_path / "m", metadata={key: ""})
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize("metadata", [[], "x", {"a": 1}, {1: "a"}])
    def test_wrong_metadata(self, model, tmp_path, metadata):
        with pytest.raises(TypeError, match="metadata"):
            model.save(tmp_path / "m", metadata=metadata)

    def test_without_a_report(self, model, tmp_path):
        """As files of version 0.1.0 are."""
        network, table_, target = model._fitted()
        text = _storing._description.to_text(table_, target)
        network.save(tmp_path / "m", metadata={"table": text})
        loaded = TabularModel.load(tmp_path / "m")
        assert (loaded.report, loaded._fingerprints, loaded.ignored) == (None, None, {})
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()

    def test_no_room(self, model, tmp_path, monkeypatch):
        """What is long goes first; a model with no room for any of it is saved without it."""
        path = tmp_path / "m"
        model.save(path)
        whole = len(json.dumps(json.dumps(raw(path))))
        monkeypatch.setattr(_provenance, "room_beside", lambda texts: whole - 10)
        model.save(path)
        found = TabularModel.load(path)
        assert "per_class" not in found.report
        assert found.report["metrics"] == model.report["metrics"]
        monkeypatch.setattr(_provenance, "room_beside", lambda texts: 100)
        model.save(path)
        assert TabularModel.load(path).report is None

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("", "expected the report of the training to be JSON"),
            ("[]", "expected version 1 of the report"),
            ('{"version": true}', "expected version 1 of the report"),
            ('{"version": 1}', "expected the report of the training to be an object"),
            ('{"version": 1, "report": []}', "expected the report of the training to be an object"),
            ('{"version": 1, "report": {"n_train": -1}}', "unexpected n_train, '-1'"),
            ('{"version": 1, "report": {"metrics": {"r2": []}}}', "unexpected metrics"),
            ('{"version": 1, "report": {"per_class": [1]}}', "unexpected per_class"),
            ('{"version": 1, "report": {"per_target": [{}]}}', "unexpected per_target"),
            ('{"version": 1, "report": {"warnings": [1]}}', "unexpected warnings"),
            ('{"version": 1, "report": {}, "rows": 1}', "expected fingerprints of rows to be base"),
            (
                '{"version": 1, "report": {}, "rows": "x", "all_rows": true, "usual": 0}',
                "expected fingerprints of 1 to 1024 rows",
            ),
            (
                '{"version": 1, "report": {}, "rows": "AAAA", "all_rows": true, "usual": 0}',
                "expected fingerprints of 1 to 1024 rows",
            ),
            (
                '{"version": 1, "report": {}, "rows": "AAAAAAAAAAAAAAAAAAAAAA==", '
                '"all_rows": true, "usual": 0}',
                "expected fingerprints of rows to be ascending",
            ),
        ],
    )
    def test_damaged(self, model, tmp_path, change, message):
        network, table_, target = model._fitted()
        text = _storing._description.to_text(table_, target)
        network.save(tmp_path / "m", metadata={"table": text, "training": change})
        with pytest.raises(ValueError, match=message) as error:
            TabularModel.load(tmp_path / "m")
        assert str(error.value).startswith(str(tmp_path / "m"))


class TestFingerprints:
    def test_all_rows(self):
        X = np.random.default_rng(0).normal(size=(300, 4))
        known = Fingerprints.of(X[:200], X[200:])
        assert (known.all, known.usual, len(known.kept)) == (True, 1 / 102, 200)
        assert known.seen(X[200:]) is None
        assert known.seen(X[:200]) == 1.0
        assert known.seen(X) == pytest.approx(2 / 3)
        assert known.seen(X[199:]) is None
        assert known.seen(X[190:]) == pytest.approx(10 / 110)
        assert known.seen(X[:1]) == 1.0
        assert known.seen(X[:0]) is None

    def test_a_sample(self):
        X = np.random.default_rng(0).normal(size=(20_000, 2))
        known = Fingerprints.of(X[:10_000], X[10_000:15_000])
        assert (known.all, len(known.kept)) == (False, KEPT)
        assert known.seen(X[:10_000]) == 1.0
        assert known.seen(X[5000:15_000]) == pytest.approx(0.5, abs=0.06)
        assert known.seen(X[15_000:]) is None
        assert Fingerprints.of(X[:10_000][::-1], X[:0]).text() == known.text()

    def test_rows_that_recur(self):
        """With two columns of few values new rows equal old ones: that says nothing."""
        rng = np.random.default_rng(0)
        X = rng.integers(0, 12, (500, 2)).astype(float)
        known = Fingerprints.of(X[:400], X[400:])
        assert 0.5 < known.usual < 1
        assert known.seen(rng.integers(0, 12, (200, 2)).astype(float)) is None
        assert known.seen(X[:400]) == 1.0

    def test_zeros_of_either_sign(self):
        known = Fingerprints.of(np.array([[0.0, 1.0]]), np.full((20, 2), 7.0))
        assert known.seen(np.array([[-0.0, 1.0]])) == 1.0
        assert known.seen(np.array([[1.0, 0.0]])) is None

    def test_text(self):
        known = Fingerprints.of(np.arange(20.0).reshape(10, 2), np.empty((0, 2)))
        again = Fingerprints.of_text(known.text(), known.all, known.usual)
        np.testing.assert_array_equal(again.kept, known.kept)

    def test_the_same_everywhere(self):
        """Files carry them from machine to machine; in whole numbers of Python."""
        rows = [(1.0, -2.5), (0.0, 3.0), (1e300, -1e-300)]
        known = Fingerprints.of(np.array(rows), np.empty((0, 2)))
        assert known.kept.tolist() == sorted(map(fingerprint, rows))


def fingerprint(row):
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15
    found = golden
    for value in row:
        z = ((found + golden) & mask) ^ struct.unpack("<Q", struct.pack("<d", value))[0]
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        found = z ^ (z >> 31)
    return found
