"""The data that ships with the package is what it says, unchanged."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from deltaloop.datasets import load_digits, load_penguins


def test_shapes_and_types():
    X, y = load_digits()
    assert (X.shape, X.dtype) == ((1797, 64), np.float64)
    assert (y.shape, y.dtype) == ((1797,), np.int64)
    assert X.flags.c_contiguous


def test_values():
    X, y = load_digits()
    assert (X.min(), X.max()) == (0, 16)
    np.testing.assert_array_equal(X, X.astype(int))
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(y), counts)
    assert X.sum() == 561718


def test_every_value_is_that_of_the_source():
    X, y = load_digits()
    digest = hashlib.sha256(X.astype(np.uint8).tobytes() + y.astype(np.uint8).tobytes())
    assert digest.hexdigest() == (
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    )


def test_calls_share_nothing():
    X, y = load_digits()
    X[:] = -1
    y[:] = -1
    again = load_digits()
    assert again[0].min() == 0
    assert again[1].min() == 0


def test_source_and_licence_are_named():
    text = (files("deltaloop") / "data" / "README.md").read_text(encoding="utf-8")
    for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "digits.npz"):
        assert part in text


def test_penguins_are_those_of_the_source():
    content = (files("deltaloop") / "data" / "penguins.csv").read_bytes()
    assert hashlib.sha256(content).hexdigest() == (
        "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93"
    )
    text = (files("deltaloop") / "data" / "README.md").read_text(encoding="utf-8")
    for part in ("Gorman", "10.1371/journal.pone.0090081", "CC0", "penguins.csv"):
        assert part in text


def test_penguins():
    penguins = load_penguins()
    assert {len(column) for column in penguins.values()} == {344}
    counts = {name: penguins["species"].count(name) for name in ("Adelie", "Chinstrap", "Gentoo")}
    assert counts == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    assert [sum(value is None for value in column) for column in penguins.values()] == [
        *(0, 0, 2, 2, 2, 2, 11, 0)
    ]
    assert sum(mass for mass in penguins["body_mass_g"] if mass is not None) == 1437000
    penguins["year"][:] = []
    assert len(load_penguins()["year"]) == 344


def test_penguins_on_the_command_line_are_the_same(capsys, tmp_path):
    pytest.importorskip("polars")
    pytest.importorskip("narwhals")
    from deltaloop.cli import main
    from deltaloop.tabular import TabularModel

    path = tmp_path / "m"
    argv = ["penguins", "--target", "sex", "--l2", "1", "--output-model", str(path)]
    assert main(["train", *argv]) == 0
    assert "penguins: 344 rows; predicts sex (2 classes) from 7 columns" in capsys.readouterr().out
    TabularModel().fit(load_penguins(), "sex", l2=1.0).save(tmp_path / "python")
    assert path.read_bytes() == (tmp_path / "python").read_bytes()
    assert main(["predict", str(path), "penguins"]) == 0
    assert capsys.readouterr().out.count("\n") == 344
