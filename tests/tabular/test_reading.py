"""Numbers, dates and gaps as people write them: what the entries of a column say together."""

import datetime
import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("narwhals")
pl = pytest.importorskip("polars")
pd = pytest.importorskip("pandas")

from deltaloop.tabular import TabularModel, _applied, _dates, _frames, _notations, _reading  # noqa: E402
from deltaloop.tabular._options import Options  # noqa: E402
from deltaloop.tabular._values import Notation  # noqa: E402

QUICK = {"l2": 1.0, "max_epochs": 3}
N = 40


def read(entries, *, options=None, others=None, target=False, untyped=False):
    """Read a column c as that of a training table beside others: its values and what is told."""
    columns = {"c": entries, **(others or {})}
    values = {
        name: _frames.column(_frames.series(name, column)) for name, column in columns.items()
    }
    names = frozenset(columns) if untyped else frozenset()
    options = Options(**(options or {}), untyped=names)
    found = _reading.of_table(values, ["c"] if target else [], options)
    return found.columns["c"], list(found.notices)


def days(*date):
    return (datetime.date(*date) - datetime.date(1970, 1, 1)).days


class TestNumbers:
    @pytest.mark.parametrize(
        ("entries", "numbers"),
        [
            (["1,5", "2", "-3,25"], [1.5, 2, -3.25]),
            (["1,234.50", "12", "1,000,000"], [1234.5, 12, 1e6]),
            (["1.234,50", "12,5", "1.000.000"], [1234.5, 12.5, 1e6]),
            (["1 234,50", "7", "1 000 000,0"], [1234.5, 7, 1e6]),
            (["1\N{NARROW NO-BREAK SPACE}234,5", "7,5"], [1234.5, 7.5]),
            (["1'234.50", "1\N{RIGHT SINGLE QUOTATION MARK}000"], [1234.5, 1000]),
            (["1_000", "2_000.5"], [1000, 2000.5]),
            (["12 %", "3.5%", "0"], [12, 3.5, 0]),
            (["$5", "-$1,200.50", "$-3", "7"], [5, -1200.5, -3, 7]),
            (["1.234,50 €", "5 €", "-3 €"], [1234.5, 5, -3]),
            (["EUR 5", "7.5 EUR"], [5, 7.5]),
            (["(12)", "5", "(1,234)", "0.5"], [-12, 5, -1234, 0.5]),
            (["12-", "\N{MINUS SIGN}3", "+4", "n/a"], [-12, -3, 4, math.nan]),
            (["12,34,567.00", "1,00,000.5"], [1234567, 100000.5]),  # as in India
            (["1,5e3", "2E-1"], [1500, 0.2]),
            ([".5", ",5".replace(",", "."), "5.", "-"], [0.5, 0.5, 5, math.nan]),
            (["1,234", "0,512"], [1.234, 0.512]),  # no thousand begins with 0
            (["1,234", "1,234,567"], [1234, 1234567]),
            (["1,234", "12,5"], [1.234, 12.5]),
            (["1.234.567", "1.234", "5"], [1234567, 1234, 5]),
        ],
    )
    def test_notations(self, entries, numbers):
        values, notices = read(entries * 5)
        assert values.numbers is not None, values.text
        np.testing.assert_equal(values.numbers, numbers * 5)
        assert notices
        for entry, number in zip(entries, numbers, strict=True):  # alone, as in training
            given = _frames.column(_frames.series("c", [entry]))
            assert given.text is not None
            again = _applied.apply(given, "number", values.notation)
            np.testing.assert_equal(again.numbers, [number])

    @pytest.mark.parametrize(
        "entries",
        [
            ["a", "b", "1,5"],
            ["1,2", "1,2,3", "2,3,4,5", "7,7,7,7"],  # lists
            ["192.168.0.1", "10.0.0.12"],
            ["1.2.3", "1.10.0"],  # versions
            ["$5", "€5", "£5"],  # of several currencies
            ["12:30", "13:45"],
            ["A1", "B2"],
            ["5 km", "7 km"],
            ["1-2", "3-4"],
            ["12", "13"],  # whoever has such text in a frame made it text
            ["0171 1234567", "030 12345"],
            ["(5", "6)"],
            ["--5", "5--"],
            ["1e5e5", "x"],
            ["9" * 80, "8" * 80, "7,5" + "0" * 90],
        ],
    )
    def test_what_is_text(self, entries):
        values, notices = read(entries * 5)
        assert values.text is not None
        assert notices == []

    @pytest.mark.parametrize(
        ("others", "numbers"),
        [
            ({"d": ["1,5", "2,5"]}, [1.234, 5.678]),
            ({"d": ["1.000,5", "2,5"]}, [1.234, 5.678]),
            ({"d": [1.5, 2.25]}, [1234, 5678]),
            ({"d": ["$1.50", "$2.25"]}, [1234, 5678]),
        ],
    )
    def test_other_columns_tell(self, others, numbers):
        others = {name: column * 5 for name, column in others.items()}
        assert read(["1,234", "5,678"] * 5, others=others)[0].numbers[:2].tolist() == numbers

    @pytest.mark.parametrize(
        "others", [{}, {"d": ["1,5"] * 10, "e": [1.5] * 10}, {"d": [1, 2] * 5}, {"d": ["a,b"] * 10}]
    )
    def test_what_may_be_either(self, others):
        entries = ["1,234", "5,678"] * 5
        with pytest.raises(ValueError, match="column 'c', row 0: '1,234' is ") as caught:
            read(entries, others=others)
        for part in ("1.234 with decimal ','", "1234.0 with decimal '.', thousands ','"):
            assert part in str(caught.value)
        for sign, value in ((",", 1.234), (".", 1234)):
            assert f"reading={{'decimal': {sign!r}}}" in str(caught.value)
            found, _ = read(entries, others=others, options={"decimal": sign})
            assert found.numbers[0] == value

    def test_points_in_a_file_with_decimal_commas(self):
        """No frame tells that its text has no types."""
        entries = ["1.234", "5.678"] * 5
        others = {"d": ["1,5", "2,5"] * 5}
        assert read(entries, others=others, untyped=True)[0].numbers[0] == 1234
        assert read(entries, untyped=True)[0].numbers[0] == 1.234
        assert read(entries, others=others)[0].text is not None

    def test_the_notice(self):
        _, notices = read(["1.234,50 €", "5"] * 5)
        assert notices == [
            "column 'c': '1.234,50 €' is read as 1234.5 (decimal ',', thousands '.', €)"
        ]

    def test_brackets_are_told(self):
        _, notices = read(["(5)", "7", "9"], untyped=True)
        assert notices == ["column 'c': '(5)' is read as -5 (decimal '.')"]

    def test_percent_is_in_all_entries_or_in_none(self):
        with pytest.raises(ValueError, match=r"20 of 21 entries are numbers .*but not '0.12'"):
            read(["12%", "15%"] * 10 + ["0.12"])

    def test_too_large(self):
        with pytest.raises(
            ValueError, match="column 'c', row 1: holds inf; numbers must be finite"
        ):
            read(["1,5", "1,5e999", "2,5", "3,5"])

    def test_a_large_column(self):
        """A sample tells the notations, all entries tell which: the last one alone here."""
        entries = [f"{i}.{i % 900 + 100}" for i in range(1, 900)] * 2
        values, _ = read([*entries, "1.234.567"], untyped=True)
        assert values.numbers[-1] == 1234567
        assert values.numbers[0] == 1101

    @pytest.mark.parametrize("row", _notations.NUMBERS)
    def test_rows(self, row):
        assert row.value(row.example) == (1234.5, "")


class TestMissing:
    @pytest.mark.parametrize(
        "entry", [*_notations.EVERYWHERE, *_notations.IN_NUMBERS, "N.A.", "Unknown"]
    )
    def test_one_of_300(self, entry):
        ages = [str(20 + i % 60) for i in range(300)]
        ages[17] = entry
        values, notices = read(ages, untyped=True)
        assert values.form == "number"
        assert np.flatnonzero(values.missing).tolist() == [17]
        assert notices == [f"column 'c': {entry!r} (row 17) counts as missing"]

    def test_text_has_words(self):
        values, notices = read(["none", "unknown", "-", "a", ".", "b", "N/A", "None", "?"])
        assert values.text == ["none", "unknown", "-", "a", ".", "b", None, None, None]
        assert notices == [
            "column 'c': 'N/A' (row 6), 'None' (row 7), '?' (row 8) counts as missing"
        ]
        values, _ = read(["None", "Some", "NA"] * 5, target=True)
        assert values.text[:3] == ["None", "Some", None]

    def test_what_is_not_on_the_list(self):
        entries = [str(i) for i in range(100)]
        entries[3] = entries[70] = "tba"
        with pytest.raises(ValueError, match="98 of 100 entries are numbers, but not 'tba'") as e:
            read(entries)
        assert str(e.value).endswith(
            "(2 rows, the first is 3). reading={'missing': ['tba']} counts it as missing, "
            "reading={'text': ['c']} reads the column as text"
        )
        assert read(entries, options={"missing": ("tba",)})[0].numbers[4] == 4
        assert read(entries, options={"text": ("c",)})[0].text == entries

    def test_numbers_that_say_so(self):
        """Of a column that the frame has as numbers, too."""
        frame = {"x": [1.0, 2.0, -999.0, 4.0] * 10, "y": np.arange(40) * 0.5}
        model = TabularModel(reading={"missing": ["-999"]}).fit(frame, "y", **QUICK)
        assert model.columns[0].missing
        assert model.columns[0].means == pytest.approx((7 / 3,), abs=0.3)
        expected = model.predict({"x": [None, 2.0]})
        assert (model.predict({"x": [-999.0, 2.0]}) == expected).all()
        assert (model.predict({"x": ["-999", "2"]}) == expected).all()

    def test_most_are_missing(self):
        values, _ = read(["-"] * 90 + ["1.5", "2.5"] * 5)
        assert values.numbers[-1] == 2.5
        assert values.missing.sum() == 90
        values, _ = read(["-", "n/a"] * 5)
        assert values.form == "nothing"


class TestDates:
    @pytest.mark.parametrize(
        ("entries", "first"),
        [
            (["2024-02-03", "2024-02-28"], days(2024, 2, 3)),
            (["2024-02-03 12:00", "2024-02-28T06:00:00"], days(2024, 2, 3) + 0.5),
            (["2024-02-03T12:00:00+06:00", "2024-02-28T06:00:00Z"], days(2024, 2, 3) + 0.25),
            (["2024/2/3", "2024/2/28"], days(2024, 2, 3)),
            (["3.2.2024", "28.02.2024"], days(2024, 2, 3)),
            (["03.02.24 18:00", "28.02.69 00:00"], days(2024, 2, 3) + 0.75),
            (["03/02/2024", "28/02/2024"], days(2024, 2, 3)),
            (["02/03/2024", "02/28/2024"], days(2024, 2, 3)),
            (["02/03/2024 12:00 AM", "02/28/2024 1:30 pm"], days(2024, 2, 3)),
            (["03-02-2024", "28-02-2024"], days(2024, 2, 3)),
            (["3-Feb-2024", "28 February 2024"], days(2024, 2, 3)),
            (["Feb 3, 2024", "February 28 2024"], days(2024, 2, 3)),
            (["2024-02", "2024-03"], days(2024, 2, 1)),
        ],
    )
    def test_forms(self, entries, first):
        values, _ = read([*entries, "n/a"] * 5)
        assert values.form == "date"
        assert values.numbers[0] == first
        assert np.isnan(values.numbers[2])
        given = _frames.column(_frames.series("c", entries[:1]))
        if values.notation != Notation():
            assert _applied.apply(given, "date", values.notation).numbers[0] == first

    def test_what_may_be_either(self):
        entries = ["03/04/2024", "05/06/2024"] * 5
        with pytest.raises(ValueError, match="2024-04-03 with the day first, or 2024-03-04 with"):
            read(entries)
        for order, first in (("day-first", days(2024, 4, 3)), ("month-first", days(2024, 3, 4))):
            assert read(entries, options={"dates": order})[0].numbers[0] == first
        others = {"d": ["25/12/2023"] * 10}
        assert read(entries, others=others)[0].numbers[0] == days(2024, 4, 3)
        assert read(["04/04/2024"] * 10)[0].numbers[0] == days(2024, 4, 4)

    def test_impossible_ones(self):
        entries = [f"{day:02d}.02.2024" for day in range(1, 29)]
        entries[7] = "31.02.2024"
        values, notices = read(entries)
        assert np.flatnonzero(values.missing).tolist() == [7]
        assert notices == [
            "column 'c': dates are read as dd.mm.yyyy, as '01.02.2024' in row 0",
            "column 'c': '31.02.2024' (row 7) is no date and counts as missing",
        ]
        given = _frames.column(_frames.series("c", ["01.02.2024", "31.02.2024"]))
        with pytest.raises(ValueError, match=r"'c', row 1: '31.02.2024' is no date \(dd.mm.yyyy\)"):
            _applied.apply(given, "date", values.notation)

    def test_in_frames_of_text_objects_and_dates(self):
        dates = [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)]
        y = np.arange(N) * 0.5
        frames = [
            pd.DataFrame({"d": dates, "y": y}),
            pd.DataFrame({"d": pd.to_datetime(dates), "y": y}),
            pl.DataFrame({"d": dates, "y": y}),
            pl.DataFrame({"d": dates, "y": y}).with_columns(pl.col("d").str.to_date()),
            {"d": [datetime.date.fromisoformat(date) for date in dates], "y": y},
        ]
        models = [TabularModel().fit(frame, "y", **QUICK) for frame in frames]
        assert {model.columns for model in models} == {models[0].columns}
        found = {model.predict(frame).tobytes() for model in models for frame in frames}
        assert len(found) == 1

    @pytest.mark.parametrize("form", _dates.DATES)
    def test_no_row_takes_what_is_no_date(self, form):
        for entry in ("", "2024", "1.5", "2024-02-03x", "x", "99/99/99999", "1:30"):
            assert form.value(entry) is None


class TestObjects:
    """What pandas makes of a sheet: numbers and text in one column."""

    def test_numbers_among_text(self):
        values, _ = read(pd.Series([1, 2.5, "n/a", "1,000"] * 5, dtype=object))
        np.testing.assert_equal(values.numbers, [1, 2.5, math.nan, 1000] * 5)

    def test_dates_among_text(self):
        values, _ = read(pd.Series([datetime.date(2024, 2, 3), "-"] * 5, dtype=object))
        assert values.numbers[0] == days(2024, 2, 3)


class TestModel:
    def table(self, euro):
        n = 80
        return {
            "area": [f"{20 + i % 60},{i % 10}" for i in range(n)],
            "share": [f"{i % 30} %" if i % 7 else "n/a" for i in range(n)],
            "since": [f"{1 + i % 28:02d}.{1 + i % 12:02d}.2020" for i in range(n)],
            "rent": [
                f"{1 + i % 60 // 30}.{(20 + i % 60) * 13 % 1000:03d},50{euro}" for i in range(n)
            ],
        }

    @pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame])
    @pytest.mark.parametrize("euro", ["", " €"])
    @pytest.mark.filterwarnings("ignore:.*is read as")
    def test_from_text_to_a_file(self, make, euro, tmp_path):
        data = self.table(euro)
        plain = {
            "area": [float(entry.replace(",", ".")) for entry in data["area"]],
            "share": [None if e == "n/a" else float(e[:-1]) for e in data["share"]],
            "since": [datetime.datetime.strptime(e, "%d.%m.%Y") for e in data["since"]],
            "rent": [
                float(e.removesuffix(" €").replace(".", "").replace(",", ".")) for e in data["rent"]
            ],
        }
        expected = TabularModel().fit(plain, "rent", **QUICK)
        with pytest.warns(UserWarning, match="column 'area': '79,9' is read as 79.9"):
            model = TabularModel().fit(make(data), "rent", **QUICK)
        assert model.task == "regression"
        assert len(model.notices) == 5
        assert model.report["r2"] == expected.report["r2"]
        assert model.predict(make(data)).tobytes() == expected.predict(plain).tobytes()
        assert model.predict(plain).tobytes() == expected.predict(plain).tobytes()
        assert model.score(make(data)) == model.score(plain) == expected.score(plain)
        assert model.score(plain, data["rent"]) == expected.score(plain)
        model.save(tmp_path / "m")
        loaded = TabularModel.load(tmp_path / "m")
        assert loaded.columns == model.columns
        assert loaded._target == model._target
        assert loaded.predict(make(data)).tobytes() == expected.predict(plain).tobytes()
        with pytest.raises(TypeError, match=r"'area', row 0: expected numbers, .* \(decimal ','\)"):
            loaded.predict(make({**data, "area": ["1.5"] * 80}))

    def test_files_without_notations_are_of_version_1(self, tmp_path):
        data = {"x": [1.0, 2.0] * 20, "y": np.arange(40) * 0.5}
        model = TabularModel().fit(data, "y", **QUICK)
        model.save(tmp_path / "m")
        assert b'\\"version\\": 1' in (tmp_path / "m").read_bytes()
        data["x"] = ["1,5", "2,5"] * 20
        with pytest.warns(UserWarning, match="is read as"):
            TabularModel().fit(data, "y", **QUICK).save(tmp_path / "m")
        assert b'\\"version\\": 2' in (tmp_path / "m").read_bytes()

    @pytest.mark.parametrize(
        "notation",
        [
            [], {}, 1, {"decimal": ";"}, {"decimal": ",", "thousands": ","}, {"dates": "x"},
            {"missing": [1]}, {"missing": "x"}, {"items": "list"}, {"unit": "x" * 9}, {"x": ""},
            {"decimal": 1}, {"decimal": "."}, {"decided": True},
        ],
    )  # fmt: skip
    def test_hostile_notations(self, notation):
        with pytest.raises(ValueError, match="x: expected a notation of its entries, found"):
            _applied.of_json("x", notation)

    def test_notations_as_json(self):
        for given in ({"decimal": ","}, {"missing": ["a", "b"]}, {"dates": "dd.mm.yyyy"}):
            notation = _applied.of_json("x", given)
            assert json.loads(json.dumps(_applied.to_json(notation))) == given

    @pytest.mark.parametrize(
        ("reading", "error", "message"),
        [
            ([], TypeError, "reading must be a mapping of options"),
            ({"comma": ","}, ValueError, "reading has the option 'comma'; expected decimal, thou"),
            ({"decimal": ";"}, ValueError, "decimal must be one of '.', ',', got ';'"),
            ({"decimal": ",", "thousands": ","}, ValueError, "no numbers with decimal ',' and"),
            ({"dates": "dmy"}, ValueError, "dates must be 'day-first' or 'month-first', got 'dmy'"),
            ({"missing": 5}, TypeError, "missing must be text or a list of text, got 5"),
            ({"text": [1]}, TypeError, "text must be text or a list of text"),
        ],
    )
    def test_wrong_options(self, reading, error, message):
        with pytest.raises(error, match=message):
            TabularModel(reading=reading)

    def test_columns_that_are_not_there(self):
        with pytest.raises(ValueError, match="text: there is no column 'z'"):
            TabularModel(reading={"text": "z"}).fit({"x": [1, 2] * 9, "y": [1, 2] * 9}, "y")


class TestCategoricals:
    """pandas has categories of any type, which predictions keep."""

    @pytest.mark.parametrize("labels", [[3, 1, 2], [True, False, True], ["b", "a", "b"]])
    def test_of_a_target(self, labels, tmp_path):
        y = np.array(labels * 20)
        frame = pd.DataFrame({"x": np.arange(60) % 3, "y": pd.Categorical(y)})
        model = TabularModel().fit(frame, "y", l2=0.01)
        assert model.task == "classification"
        assert model.predict(frame).dtype.kind == y.dtype.kind
        assert model.predict(frame).tolist() == y.tolist()
        assert model.score(frame) == model.score(frame.drop(columns="y"), y) == 1.0
        model.save(tmp_path / "m")
        loaded = TabularModel.load(tmp_path / "m")
        assert loaded.predict(frame).dtype == model.predict(frame).dtype
        assert loaded.score(frame) == 1.0

    def test_many_whole_numbers_are_classes(self):
        frame = pd.DataFrame({"x": np.arange(120) % 40, "y": pd.Categorical(np.arange(120) % 40)})
        assert TabularModel().fit(frame, "y", **QUICK).task == "classification"

    @pytest.mark.parametrize(
        "values", [[10, 2, 10], [True, False, True], [1.5, 2.5, 1.5], [10, None, 2]]
    )
    def test_of_an_input(self, values, tmp_path):
        frame = pd.DataFrame({"c": pd.Categorical(values * 20), "y": np.arange(60) * 0.5})
        model = TabularModel().fit(frame, "y", l2=1.0)
        assert model.columns[0].kind == "category"
        model.save(tmp_path / "m")
        for found in (model, TabularModel.load(tmp_path / "m")):
            expected = model.predict(frame)[:3].tobytes()
            for given in (values, pd.Series(values), pd.Series(pd.Categorical(values))):
                assert found.predict({"c": given}).tobytes() == expected


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("Unnamed: 0", range(N)),
            ("id", range(1, N + 1)),
            ("PassengerId", [*range(900, 900 + N)]),
            ("customer_id", [i * 7 % 41 for i in range(N)]),
            ("Nr.", range(1, N + 1)),
            ("rownames", range(1, N + 1)),
        ],
    )
    def test_are_left_out(self, name, values):
        frame = {name: list(values), "x": [1.0, 2.0] * (N // 2), "y": np.arange(N) * 0.5}
        with pytest.warns(UserWarning, match=f"column '{name}' .* and is left out; reading="):
            model = TabularModel().fit(frame, "y", **QUICK)
        assert list(model.ignored) == [name]
        model.predict({"x": [1.0]})
        kept = TabularModel(reading={"keep": [name]}).fit(frame, "y", **QUICK)
        assert [column.name for column in kept.columns] == [name, "x"]

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("x", range(N)),
            ("day", range(1, N + 1)),
            ("width", range(N)),
            ("paid", range(N)),  # ends in id
            ("grid", range(N)),
            ("id", [1, 2] * (N // 2)),
            ("id", [i + 0.5 for i in range(N)]),
            ("No", [3, *range(N - 1)]),
        ],
    )
    def test_other_columns_stay(self, name, values):
        frame = {name: list(values), "x2": [1.0, 2.0] * (N // 2), "y": np.arange(N) * 0.5}
        model = TabularModel().fit(frame, "y", **QUICK)
        assert model.ignored == {}

    def test_the_only_column_stays(self):
        frame = {"id": list(range(N)), "y": np.arange(N) * 0.5}
        assert TabularModel().fit(frame, "y", **QUICK).ignored == {}


def test_the_rules_of_the_docs():
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "tables.md").read_text()
    for row in _notations.NUMBERS:
        assert f"| {row.called} | `{row.example}` |" in page
    for form in _dates.DATES:
        assert f"| {form.name} | " in page
    for entry in (*_notations.EVERYWHERE, *_notations.ONLY_INPUTS, *_notations.IN_NUMBERS):
        assert f"`{entry}`" in page
