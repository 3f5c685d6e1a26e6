"""``deltaloop train`` on Parquet files that are read in blocks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deltaloop.tabular import TabularModel, _streams

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    a = rng.normal(size=3000)
    columns = {"a": a, "b": rng.choice(["u", "v"], 3000), "y": a + rng.normal(size=3000) / 10}
    pq.write_table(pa.table(columns), tmp_path / "big.parquet")
    return tmp_path / "big.parquet"


def test_large_files_are_read_in_blocks(run, path, tmp_path, monkeypatch):
    monkeypatch.setattr(_streams, "WHOLE", 0.0)
    monkeypatch.setattr(_streams, "SAMPLE", 1000)
    saved = tmp_path / "big.model"
    arguments = ("train", path, "--target", "y", "--memory", "20MB", "--epochs", 20)
    arguments += ("--hidden", 4, "--solver", "adam", "--output-model", saved)
    status, out, err = run(*arguments, "--json")
    assert status == 0
    assert "has 3,000 rows, which are read in blocks" in err
    report = json.loads(out)
    assert report["n_train"] + report["n_test"] == 3000
    assert report["n_test"] == 200
    assert report["r2"] > 0.8
    assert TabularModel.load(saved).network.layers == (3, 4, 1)
    status, out, err = run(*arguments)
    assert status == 0
    assert "3000 rows" in out.replace(",", "")


def test_small_files_are_read_whole(run, path):
    arguments = ("train", path, "--target", "y", "--epochs", 3, "--hidden", 4, "--json")
    status, out, err = run(*arguments, "--memory", "1GB")
    assert status == 0
    assert "blocks" not in err
    assert {**json.loads(out), "seconds": 0, "times": 0} == {
        **json.loads(run(*arguments)[1]),
        "seconds": 0,
        "times": 0,
    }


@pytest.mark.parametrize("size", ["much", "5", "-1GB", "GB"])
def test_sizes_that_are_none(run, path, size):
    status, _, err = run("train", path, "--target", "y", f"--memory={size}")
    assert status == 2
    assert "argument --memory: expected" in err
