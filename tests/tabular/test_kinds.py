"""The table of kinds of columns, and that a new kind is one class: two are defined here."""

from __future__ import annotations

import datetime
import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.cli import _tables
from deltaloop.tabular import TabularModel
from deltaloop.tabular._columns import Column
from deltaloop.tabular._kinds import CONSTANT, KINDS, Category, Ignored, Kind
from tests.helpers.files import metadata_of

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
nw = pytest.importorskip("narwhals")

N = 60
QUICK = {"solver": dl.LBFGS(), "max_epochs": 5, "l2": 1.0}
Y = [0.5 * i for i in range(N)]
ENTRIES: dict[str, list[Any]] = {
    "number": [1.5, 2.0, -3.0],
    "category": ["a", "b", "c"],
    "date": [datetime.date(year, 2, 3) for year in (2026, 1950, 2000)],
    "duration": [datetime.timedelta(hours=h) for h in (1, 30, -5)],
}


class TimeOfDay(Kind):
    """Times of day: the cosine and the sine of the angle of an hour hand that turns once a day."""

    name = form = "time of day"
    item = "a time"
    expected = plural = "times of day"
    standardised = False

    def takes(self, dtype):
        return isinstance(dtype, nw.Time)

    def accepts(self, item):
        return isinstance(item, datetime.time)

    def convert(self, item):
        return item.hour / 24 + item.minute / 1440

    def of(self, values, rows):
        if np.unique(values.numbers[rows]).size < 2:
            return CONSTANT
        found = Column(values.name, self.name, bool(values.missing[rows].any()))
        inputs = np.empty((len(values), 2))
        self.fill(found, values, inputs)
        means = np.nanmean(inputs[rows], axis=0)
        return Column(found.name, found.kind, found.missing, means=tuple(means.tolist()))

    def width(self, column):
        return 2

    def fill(self, column, values, inputs):
        angle = 2 * np.pi * values.numbers
        inputs[:, 0], inputs[:, 1] = np.cos(angle), np.sin(angle)


class Letters(Category):
    """Text of too many values for a category: how often it has each letter."""

    name = "letters"
    plural = "columns of letters"
    standardised = True

    def of(self, values, rows):
        texts = [values.text[row] or "" for row in rows]
        letters = tuple(sorted(set("".join(texts))))
        if len(letters) > 26:
            return Ignored(f"text of {len(letters)} letters", "write fewer")
        found = Column(values.name, self.name, bool(values.missing[rows].any()), letters)
        if found.missing:
            return found
        means = found.encode(values)[rows].mean(axis=0)
        return Column(found.name, found.kind, False, letters, tuple(means.tolist()))

    def fill(self, column, values, inputs):
        for row, text in enumerate(values.text):
            inputs[row] = [(text or "").count(letter) for letter in column.categories]


TIMES = [datetime.time(i * 7 % 24, i % 60) for i in range(N)]
WORDS = [chr(97 + i % 7) * (1 + i // 7) for i in range(N)]
ANGLE = 2 * np.pi * np.array([time.hour / 24 + time.minute / 1440 for time in TIMES])
NEW: dict[str, tuple[type[Kind], list[Any], np.ndarray]] = {
    "time of day": (TimeOfDay, TIMES, np.column_stack([np.cos(ANGLE), np.sin(ANGLE)])),
    "letters": (
        Letters,
        WORDS,
        np.array([[word.count(letter) for letter in "abcdefg"] for word in WORDS], float),
    ),
}


@pytest.fixture(params=NEW)
def new(request, monkeypatch):
    """A kind that is in the table for one test: its name, entries and what they become."""
    kind, entries, inputs = NEW[request.param]
    monkeypatch.setitem(KINDS, kind.name, kind())
    return request.param, entries, inputs


class TestTable:
    @pytest.mark.parametrize("name", KINDS)
    def test_rows(self, name):
        kind = KINDS[name]
        assert kind.name == name
        assert all([kind.form, kind.item, kind.expected, kind.plural, kind.columns, kind.inputs])
        assert type(kind).__doc__

    @pytest.mark.parametrize("name", KINDS)
    def test_is_in_the_rules_of_the_docs(self, name):
        page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tables.md"
        row = f"| {KINDS[name].columns} | {KINDS[name].inputs} |"
        assert row in page.read_text(encoding="utf-8").splitlines()

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize("gaps", [False, True])
    @pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, dict])
    def test_from_a_frame_to_a_file(self, name, gaps, make, tmp_path):
        entries = ENTRIES[name] * (N // 3)
        if gaps:
            entries = [None if i % 5 == 2 else entry for i, entry in enumerate(entries)]
        data = {"c": entries, "y": Y}
        frame = pl.DataFrame(data, strict=False) if make is pl.DataFrame else make(data)
        model = TabularModel().fit(frame, "y", **QUICK)
        (column,) = model.columns
        assert (column.name, column.kind, column.missing) == ("c", name, gaps)
        assert column.n_inputs == KINDS[name].width(column) + gaps == model.network.layers[0]
        model.save(tmp_path / "m")
        loaded = TabularModel.load(tmp_path / "m")
        assert loaded.columns == model.columns
        assert loaded.predict(frame).tobytes() == model.predict(frame).tobytes()

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize("other", KINDS)
    def test_entries_of_another_kind(self, name, other):
        data = {"c": ENTRIES[name] * (N // 3), "y": Y}
        model = TabularModel().fit(data, "y", **QUICK)
        for wrong in (ENTRIES[other], pd.Series(ENTRIES[other], dtype=object)):
            if KINDS[other].form == KINDS[name].form:
                assert len(model.predict({"c": wrong})) == 3
            else:
                message = f"'c', row 0: expected {KINDS[name].expected}, as in training, got "
                with pytest.raises(TypeError, match=message):
                    model.predict({"c": wrong})
        mixed = pd.DataFrame({"c": pd.Series([*ENTRIES[name], *ENTRIES[other]], dtype=object)})
        if KINDS[other].form != KINDS[name].form:
            message = f"'c', row 3: expected {KINDS[name].item}, as in row 0, got "
            with pytest.raises(TypeError, match=message):
                model.predict(mixed)

    @pytest.mark.parametrize("name", KINDS)
    def test_targets(self, name):
        data = {"c": ENTRIES[name] * (N // 3), "y": Y}
        if KINDS[name].target:
            assert TabularModel().fit(data, "c", **QUICK).target == "c"
            return
        with pytest.raises(TypeError, match=f"target column 'c' has {KINDS[name].plural} "):
            TabularModel().fit(data, "c")

    @pytest.mark.parametrize("name", KINDS)
    def test_hostile_means(self, name):
        kind = KINDS[name]
        categories = ["a", "b"] if kind.text else []
        for means in (None, 1.5, "ab", [math.nan] * 2, [1, 1], [0.5] * 5):
            with pytest.raises(ValueError, match=r"column 'c': expected means to be . finite"):
                kind.of_json("c", False, categories, means)
        for wrong in (None, "a", [1], {"a": 1}, ["b", "a"], [] if kind.text else ["a"]):
            with pytest.raises(ValueError, match=r"column 'c': expected .* categories, found"):
                kind.of_json("c", False, wrong, [0.5])


class TestNewKind:
    """The recipe of CONTRIBUTING.md: a class and its row do, nothing else is changed."""

    @pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, dict])
    def test_works_end_to_end(self, new, make, tmp_path):
        name, entries, inputs = new
        frame = make({"c": entries, "y": Y})
        model = TabularModel(seed=1).fit(frame, "y", **QUICK)
        (column,) = model.columns
        assert (column.kind, column.missing, column.n_inputs) == (name, False, inputs.shape[1])
        expected = model.network.predict(inputs)[:, 0]
        np.testing.assert_array_equal(model.predict(frame), expected)
        np.testing.assert_allclose(column.means, inputs[model.train_rows].mean(axis=0))
        assert model.predict({"c": [None]}) == model.network.predict([column.means])[:, 0]

        model.save(tmp_path / "m")
        for same in (TabularModel.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
            assert same.columns == model.columns
            assert same.predict(frame).tobytes() == expected.tobytes()

    def test_has_an_input_for_gaps(self, new):
        _, entries, inputs = new
        gaps = np.arange(N) % 5 == 2
        entries = [None if gap else entry for gap, entry in zip(gaps, entries, strict=True)]
        frame = pl.DataFrame({"c": entries, "y": Y})
        model = TabularModel().fit(frame, "y", **QUICK)
        (column,) = model.columns
        assert column.missing
        inputs = np.where(gaps[:, None], column.means or 0.0, inputs)
        expected = model.network.predict(np.column_stack([inputs, gaps]))[:, 0]
        np.testing.assert_array_equal(model.predict(frame), expected)

    def test_messages(self, new):
        name, entries, _ = new
        kind = KINDS[name]
        model = TabularModel().fit({"c": entries, "y": Y}, "y", **QUICK)
        message = f"'c', row 0: expected {kind.expected}, as in training, got Int64"
        with pytest.raises(TypeError, match=message):
            model.predict({"c": [1, 2]})
        with pytest.raises(TypeError, match=r"expected a number, text, .* or .*, got \[1\]"):
            model.predict({"c": [[1]]})
        assert _tables._kinds(model.columns) == f"1 {name}"
        assert _tables._kinds(model.columns * 2) == f"2 {kind.plural}"

    def test_hostile_files(self, new, tmp_path, monkeypatch):
        name, entries, inputs = new
        path = tmp_path / "m"
        model = TabularModel().fit({"c": entries, "y": Y}, "y", **QUICK)
        model.save(path)
        description = json.loads(metadata_of(path)["table"])
        description["columns"][0]["means"] = [0.5]
        model.network.save(tmp_path / "bad", metadata={"table": json.dumps(description)})
        message = f"column 'c': expected means to be {inputs.shape[1]} finite numbers"
        with pytest.raises(ValueError, match=message):
            TabularModel.load(tmp_path / "bad")
        monkeypatch.delitem(KINDS, name)
        with pytest.raises(ValueError, match=f"a kind that is known, found '{name}'"):
            TabularModel.load(path)

    def test_target_and_what_it_refuses(self, monkeypatch):
        for kind in (TimeOfDay, Letters):
            monkeypatch.setitem(KINDS, kind.name, kind())
        with pytest.raises(TypeError, match="target column 't' has times of day"):
            TabularModel().fit({"t": TIMES, "y": Y}, "t")
        many = [f"{i} {chr(97 + i % 26)}" for i in range(N)]
        with pytest.warns(
            UserWarning, match="'c' is ignored: text with 60 .*; a category has at most"
        ):
            model = TabularModel().fit({"c": many, "t": TIMES, "y": Y}, "y", **QUICK)
        assert [column.kind for column in model.columns] == ["time of day"]
