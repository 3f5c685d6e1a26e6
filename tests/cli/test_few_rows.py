"""Files of one, two and three rows: what the command line says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deltaloop as dl


@pytest.fixture(params=["npz", "csv"])
def rows(request, npz, tmp_path):
    """Make a file of n rows."""

    def rows(n):
        x = np.arange(n) / 7.0
        if request.param == "npz":
            return npz(f"few{n}", X=x.reshape(-1, 1), y=2 * x)
        pytest.importorskip("polars")
        path = tmp_path / f"few{n}.csv"
        path.write_text("a,y\n" + "".join(f"{v},{2 * v}\n" for v in x))
        return path

    return rows


def options(path):
    return ["--target", "y"] if path.suffix == ".csv" else []


@pytest.mark.parametrize("fraction", ["0", "0.2"])
def test_one_row(fails, rows, fraction):
    path = rows(1)
    line = fails("train", path, "--test-fraction", fraction, *options(path))
    assert line == f"{path}: 1 row is too few to train on; there must be 2 at least"


@pytest.mark.parametrize("n", [2, 3])
def test_too_few_to_hold_some_out(fails, report, rows, n):
    path = rows(n)
    assert fails("train", path, *options(path)) == (
        f"{path}: {n} rows are too few to train on some and hold out 0.2 of them; "
        "--test-fraction 0 holds out none"
    )
    assert report("train", path, "--test-fraction", "0", *options(path))["r2"] is None


def test_one_row_has_no_variance(run, report, rows, tmp_path):
    many, one, model = rows(30), rows(1), tmp_path / "few.safetensors"
    report("train", many, "--output-model", model, *options(many))
    assert report("predict", model, one)["r2"] is None
    assert run("predict", model, one)[2] == "R^2 of 1 row: too few rows to measure\n"
    assert " on 30 rows" in run("predict", model, many)[2]


def test_tables_in_python():
    pytest.importorskip("narwhals")
    frame = {"a": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0]}
    with pytest.raises(ValueError, match=r"hold out 0.2 of them; test_fraction=0 holds out none$"):
        dl.tabular.TabularModel().fit(frame, "y")
    model = dl.tabular.TabularModel(test_fraction=0).fit(frame, "y", max_epochs=3)
    assert math.isnan(model.score({"a": [1.0], "y": [3.0]}))
