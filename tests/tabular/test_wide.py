"""Tables of very many columns: the work grows with their number, not with its square.

The limit of the CPU's time is generous. With a search of all names for each name, each of these
tests took from 30 s to minutes.
"""

from __future__ import annotations

import time
from contextlib import contextmanager

import numpy as np
import pytest

from deltaloop._files.paths import twice
from deltaloop.cli import _csv, _table_files
from deltaloop.plot import _classes
from deltaloop.tabular import _description, _given, _training
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._target import Target

pytest.importorskip("narwhals")
pytest.importorskip("polars")

N = 60_000
NAMES = [f"c{i}" for i in range(N)]


@contextmanager
def little_work(seconds=12.0):
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


class Name(str):
    """Counts how often it is compared or hashed."""

    __slots__ = ()
    work = 0

    def __eq__(self, other):
        Name.work += 1
        return str.__eq__(self, other)

    def __hash__(self):
        Name.work += 1
        return str.__hash__(self)


class Frame:
    """A frame that has only names, and counts how often it is asked for them."""

    def __init__(self, names):
        self.names, self.asked = names, 0

    @property
    def columns(self):
        self.asked += 1
        return list(self.names)


@pytest.mark.parametrize(
    ("names", "again"),
    [([], None), ("ab", None), ("abcb", "b"), ("abba", "b"), ([1, 1.0], 1.0), ("a" * 9, "a")],
)
def test_twice(names, again):
    assert twice(names) == again


@pytest.mark.parametrize("last", [[], ["c0"], ["c59999"]])
def test_each_name_is_looked_at_once(last):
    names = [Name(name) for name in [*NAMES, *last]]
    Name.work = 0
    assert twice(names) == (last[0] if last else None)
    assert Name.work < 5 * N


def test_names_of_a_text_file():
    rows = b"\n" + b"1," * (N - 1) + b"2\n"
    with little_work():
        frame = _csv.read(",".join(NAMES).encode() + rows, None)
        assert frame.columns == NAMES
        with pytest.raises(ValueError, match="names the column 'c7' twice"):
            _csv.read(",".join([*NAMES[1:], "c7"]).encode() + rows, None)


@pytest.mark.slow
def test_types_of_a_text_file(tmp_path):
    """A fourth as many: polars takes a while for each."""
    path = tmp_path / "wide.csv"
    values = ["1", "2.5", "x", "2020-01-01"] * (N // 16)
    path.write_text(",".join(NAMES[: N // 4]) + "\n" + ",".join(values) + "\n")
    frame = _table_files.read(str(path), NAMES[: N // 8])
    assert [str(dtype) for dtype in frame.dtypes[:4]] == ["String"] * 4
    assert [str(dtype) for dtype in frame.dtypes[-4:]] == ["Int64", "Float64", "String", "Date"]


def test_columns_that_are_named():
    frame = Frame(NAMES)
    with little_work():
        assert _given.columns_of(frame, "drop", NAMES[::2]) == NAMES[::2]
        with pytest.raises(ValueError, match="names the column 'c7' twice"):
            _given.columns_of(frame, "drop", [*NAMES, "c7"])
        with pytest.raises(ValueError, match="there is no column 'd'"):
            _given.columns_of(frame, "drop", [*NAMES, "d"])
    assert frame.asked == 3


def test_a_name_that_is_long():
    """Names are compared by their letters, each with each."""
    names = ["ab" * 50_000 + str(i) for i in range(20)]
    with little_work():
        assert _given.closest("ba" * 50_000, names).startswith("the columns are 'abab")
        assert _given.closest("AB" * 50_000 + "7", names).startswith("did you mean 'abab")


def test_columns_that_are_absent():
    table = Table(tuple(Column(f"d{i}", "number", False, (), (0.0,)) for i in range(N)))
    frame = Frame(NAMES)
    with little_work(), pytest.raises(ValueError, match=r"no column 'd0', 'd1', .* more, which"):
        table.read(frame)
    assert frame.asked == 1


def test_descriptions():
    columns = (Column("x", "number", False, (), (0.0,)),)
    many = Target(tuple(NAMES), False, None)
    with little_work():
        text = _description.to_text(Table(columns), many)
        assert _description.of_text(text) == (Table(columns), many)
        text = text.replace('"c0"', '"c59999"', 1)
        with pytest.raises(ValueError, match="expected each column once, found 'c59999' twice"):
            _description.of_text(text)


def test_weights_of_classes():
    target = Target(("t",), True, tuple(NAMES))
    with little_work():
        weights = _training._class_weight(dict.fromkeys(NAMES, 2.0), target)
    assert weights == dict.fromkeys(range(N), 2.0)


def test_labels_of_a_picture():
    with little_work():
        known, names = _classes.named(range(N), np.arange(N))
    assert known == list(range(N))
    assert names[-1] == "59999"
