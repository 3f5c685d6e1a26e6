"""Tables as their owners wrote them: each kind of file, what is odd in it, and what is said."""

import bz2
import gzip
import io
import json
import lzma
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl

pytest.importorskip("narwhals")
pytest.importorskip("tqdm")
pl = pytest.importorskip("polars")

from deltaloop.cli import _csv, _formats, _matlab, _table_files  # noqa: E402
from deltaloop.tabular import TabularModel  # noqa: E402

QUICK = ("--solver", "lbfgs", "--epochs", "3")
N = 60


def flats(n: int = N):
    """Flats, as programs write them."""
    rng = np.random.default_rng(0)
    area = rng.integers(200, 1500, n) / 10
    day = rng.integers(1, 28, n)
    month = rng.integers(1, 12, n)
    return pl.DataFrame(
        {
            "area": area,
            "town": [["Ulm", "Köln"][i % 2] for i in range(n)],
            "since": [f"20{15 + i % 5}-{month[i]:02d}-{day[i]:02d}" for i in range(n)],
            "rent": (area * 17.5 + rng.normal(0, 20, n)).round(2),
        }
    )


def german(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def export(frame) -> str:
    """Return the frame as German Excel saves it."""
    lines = ["Fläche;Ort;Seit;Miete"]
    for area, town, since, rent in frame.iter_rows():
        year, month, day = since.split("-")
        lines.append(f"{german(area, 1)};{town};{day}.{month}.{year};{german(rent, 2)}")
    return "\r\n".join([*lines, ""])


@pytest.fixture
def plain(report, tmp_path):
    """Return the R^2 that the table has, as programs write it."""
    flats().write_csv(tmp_path / "plain.csv")
    return report("train", tmp_path / "plain.csv", "--target", "rent", *QUICK)["r2"]


class TestGermanExport:
    @pytest.mark.parametrize(
        ("encoding", "options"),
        [("utf-8", ()), ("utf-8-sig", ()), ("utf-16", ()), ("cp1252", ("--encoding", "cp1252"))],
    )
    def test_is_a_regression(self, report, run, tmp_path, plain, encoding, options):
        path, model = tmp_path / "export.csv", tmp_path / "m"
        path.write_bytes(export(flats()).encode(encoding))
        argv = ("train", path, "--target", "Miete", *QUICK, *options, "--output-model", model)
        found = report(*argv)
        assert (found["task"], found["r2"]) == ("regression", plain)
        assert len(found["notices"]) == 3
        _, _, err = run(*argv)
        assert err.splitlines()[2] == (
            "deltaloop: column 'Seit': dates are read as dd.mm.yyyy, as "
            f"{path.read_text(encoding).splitlines()[1].split(';')[2]!r} in row 0"
        )
        whole = report("predict", model, path, *options)
        assert whole["n_with_target"] == N
        lines = path.read_text(encoding).splitlines()
        path.write_text("\n".join([lines[0], lines[2]]))  # one row decides nothing by itself
        assert report("predict", model, path)["predictions"] == whole["predictions"][1:2]

    def test_whole_thousands(self, tmp_path, report):
        """1.234 is 1234 in a file whose other columns have decimal commas."""
        path = tmp_path / "t.csv"
        rows = [f"{i % 9 + 1}.{i * 7 % 900 + 100};{i},5;{i % 7}" for i in range(N)]
        path.write_text("\n".join(["a;b;y", *rows]))
        found = report("train", path, "--target", "y", "--task", "regression", *QUICK)
        assert any("thousands '.'" in line for line in found["notices"])
        path.write_text(path.read_text().replace(",5", ""))
        found = report("train", path, "--target", "y", "--task", "regression", *QUICK)
        assert found["notices"] == []

    def test_another_encoding(self, fails, tmp_path):
        path = tmp_path / "t.csv"
        path.write_bytes(export(flats()).encode("cp1252"))
        line = fails("train", path, "--target", "Miete")
        assert line.endswith("line 1 is not; --encoding cp1252 reads what Excel saves in the West")
        line = fails("train", path, "--target", "Miete", "--encoding", "klingon")
        assert line.endswith("there is no encoding 'klingon'; utf-8 and cp1252 are")


class TestGaps:
    @pytest.mark.parametrize("entry", ["n/a", "-", "N/A", "unknown", "#DIV/0!", "NULL", "\\N"])
    def test_one_in_the_ages(self, report, run, tmp_path, entry):
        path, model = tmp_path / "t.csv", tmp_path / "m"
        ages = [str(20 + i % 50) for i in range(300)]
        ages[17] = entry
        path.write_text("age,y\n" + "".join(f"{age},{i * 0.5}\n" for i, age in enumerate(ages)))
        found = report("train", path, "--target", "y", *QUICK, "--output-model", model)
        assert found["notices"] == [f"column 'age': {entry!r} (row 17) counts as missing"]
        assert found["layers"][0] == 2
        assert report("predict", model, path)["n"] == 300

    def test_another_word(self, report, fails, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text(
            "age,x,y\n" + "".join(f"{'tba' if i == 7 else i},{i % 7},{i * 0.5}\n" for i in range(N))
        )
        line = fails("train", path, "--target", "y")
        assert line == (
            f"{path}: column 'age': 59 of 60 entries are numbers, but not 'tba' (row 7). "
            "--missing 'tba' counts it as missing, --text 'age' reads the column as text"
        )
        model = tmp_path / "m"
        argv = ("train", path, "--target", "y", *QUICK, "--output-model", model)
        assert report(*argv, "--missing", "tba")["layers"][0] == 3
        assert report("predict", model, path)["n"] == N
        assert "age" in report(*argv, "--text", "age")["ignored"]

    def test_in_a_target(self, report, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("x,y\n" + "".join(f"{i},{'-' if i == 3 else i * 1.5}\n" for i in range(N)))
        found = report("train", path, "--target", "y", *QUICK)
        assert (found["task"], found["n_without_target"]) == ("regression", 1)


class TestDates:
    def test_the_culprit_is_named(self, report, fails, tmp_path):
        path, model = tmp_path / "t.csv", tmp_path / "m"
        days = [f"2023-{1 + i % 12:02d}-{1 + i % 27:02d}" for i in range(N)]
        days[5] = "2023-02-30"
        path.write_text("d,y\n" + "".join(f"{day},{i * 0.5}\n" for i, day in enumerate(days)))
        found = report("train", path, "--target", "y", *QUICK, "--output-model", model)
        assert found["notices"] == [
            "column 'd': '2023-02-30' (row 5) is no date and counts as missing"
        ]
        line = fails("predict", model, path)
        assert line == f"{path}: column 'd', row 5: '2023-02-30' is no date (yyyy-mm-dd)"

    def test_options_decide(self, report, fails, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("d,y\n" + "".join(f"0{1 + i % 9}/05/2024,{i * 0.5}\n" for i in range(N)))
        line = fails("train", path, "--target", "y")
        assert line.endswith("tells which. Give --dates 'day-first' or --dates 'month-first'")
        for order, form in (("day-first", "dd/mm"), ("month-first", "mm/dd")):
            found = report("train", path, "--target", "y", *QUICK, "--dates", order)
            assert form in found["notices"][0]

    @pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%d-%b-%Y", "%Y-%m-%d %H:%M:%S"])
    def test_the_same_model_as_of_a_frame(self, report, tmp_path, form):
        pd = pytest.importorskip("pandas")
        dates = pd.date_range("2020-01-01", periods=N, freq="39h")
        frame = pd.DataFrame(
            {"d": dates.strftime(form), "x": np.arange(N) % 7 * 1.5, "y": np.arange(N) * 0.5}
        )
        frame.to_csv(tmp_path / "t.csv", index=False)
        argv = ("--target", "y", "--output-model", tmp_path / "m", *QUICK)
        report("train", tmp_path / "t.csv", *argv)
        model = TabularModel.load(tmp_path / "m")
        found = TabularModel()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.fit(pd.read_csv(tmp_path / "t.csv"), "y", solver=dl.LBFGS(), max_epochs=3)
        assert found.columns == model.columns
        assert found.predict(frame).tobytes() == model.predict(frame).tobytes()


class TestText:
    @pytest.mark.parametrize(
        ("text", "names", "row"),
        [
            ('"a, b\nc; d",y\n1,2\n3,4\n', ["a, b\nc; d", "y"], ("1", "2")),
            ('"a, b\nc, d, e";y\n"1, 2";2\n', ["a, b\nc, d, e", "y"], ("1, 2", "2")),
            ("a;b\n1,5;2,5\n3,5;4,5\n", ["a", "b"], ("1,5", "2,5")),
            ("a\tb\n1,5\t2,5\n", ["a", "b"], ("1,5", "2,5")),
            ("a|b;c\n1|2\n3|4\n", ["a", "b;c"], ("1", "2")),
            ("y\n1,5\n2,5\n", ["y"], ("1,5",)),
            ("a,b,c\n1,2,3\n4,5\n", ["a", "b", "c"], ("1", "2", "3")),
            (",a\n0,5\n1,6\n", ["Unnamed: 0", "a"], ("0", "5")),
            ("a,b,\n1,2,\n3,4,\n", ["a", "b"], ("1", "2")),
            ('a,b\n1,5" pipe\n2,x\n', ["a", "b"], ("1", '5" pipe')),
            ('a,b\n1,"5"" pipe"\n', ["a", "b"], ("1", '5" pipe')),
            ("sep=;\r\na;b,c\r\n1;2,5\r\n", ["a", "b,c"], ("1", "2,5")),
            ('"sep=,"\na,b;c\n1,2\n', ["a", "b;c"], ("1", "2")),
            ("sep=;\r\ny\r\n1,5\r\n", ["y"], ("1,5",)),
            ("sep=,y\n1,2\n", ["sep=", "y"], ("1", "2")),
        ],
    )
    def test_structure(self, text, names, row):
        frame = _csv.read(text.encode(), None)
        assert frame.columns == names
        assert frame.row(0) == row

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('a,b\n1,"2\n3,4\n', "line 2 has a quotation mark that is never closed"),
            ('a,b\n1,2\n3,"4"5\n', "line 3 has a quotation mark inside a quoted entry"),
            ("a,b\n1,2\n3,4,5\n", "line 3 has 3 entries, the first line has 2 names"),
            ("sep=;\na;b\n1;2;3\n", "line 3 has 3 entries, the first line has 2 names"),
            ("a,b\n1,\0\n", "line 2 holds a null character"),
        ],
    )
    def test_what_is_wrong_has_a_line(self, text, message):
        with pytest.raises(ValueError, match=message):
            _csv.read(text.encode(), None)

    def test_separator(self, report, run, fails, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("a:y\n" + "".join(f"{i}:{i * 0.5}\n" for i in range(N)))
        assert report("train", path, "--target", "y", "--separator", ":", *QUICK)["n_train"] == 48
        path.write_text(path.read_text().replace(":", " "))
        line = fails("train", path, "--target", "y")
        assert line.endswith(
            "has one column alone, 'a y'; --separator says what stands between "
            "entries, as in --separator ' '"
        )
        assert report("train", path, "--target", "y", "--separator", " ", *QUICK)["n_train"] == 48
        status, _, err = run("train", path, "--target", "y", "--separator", "::")
        assert status == 2
        assert "argument --separator: expected one sign, such as ; or tab, got '::'" in err

    def test_the_index_of_a_frame(self, report, tmp_path):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(flats().to_dict(as_series=False))
        frame.to_csv(tmp_path / "t.csv")
        found = report("train", tmp_path / "t.csv", "--target", "rent", *QUICK)
        assert found["ignored"] == {"Unnamed: 0": "counts the rows"}
        assert found["notices"] == [
            "column 'Unnamed: 0' counts the rows, and is left out; --keep 'Unnamed: 0' keeps it"
        ]
        kept = report(
            "train", tmp_path / "t.csv", "--target", "rent", "--keep", "Unnamed: 0", *QUICK
        )
        assert kept["ignored"] == {}


def _zip(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("t.csv", content)
        archive.writestr("__MACOSX/t.csv", b"")
    return stream.getvalue()


def _zstd(content: bytes) -> bytes:
    return pytest.importorskip("zstandard").compress(content)


class TestFormats:
    """Each of them gives the model that the CSV file gives."""

    @pytest.fixture
    def same(self, report, plain, tmp_path):
        def check(path, *, date=True, target="rent"):
            model = tmp_path / "m"
            argv = ("--target", target, *QUICK, "--output-model", model)
            found = report("train", path, *argv)
            if date:
                assert found["r2"] == plain
            assert report("predict", model, path)["n_with_target"] == N
            return found

        return check

    @pytest.mark.parametrize(
        ("suffix", "pack"),
        [
            ("gz", gzip.compress),
            ("bz2", bz2.compress),
            ("xz", lzma.compress),
            ("zst", _zstd),
            ("zip", _zip),
        ],
    )
    def test_packed(self, same, fails, tmp_path, suffix, pack):
        content = pack(flats().write_csv().encode())
        (tmp_path / f"t.csv.{suffix}").write_bytes(content)
        same(tmp_path / f"t.csv.{suffix}")
        (tmp_path / f"t.csv.{suffix}").write_bytes(content[: len(content) // 2])
        assert "cannot be unpacked" in fails("train", tmp_path / f"t.csv.{suffix}", "--target", "x")
        (tmp_path / f"t.{suffix}").write_bytes(content)
        line = fails("train", tmp_path / f"t.{suffix}", "--target", "x")
        assert line.endswith(f"expected a name that tells what is in it, as in data.csv.{suffix}")

    @pytest.mark.parametrize("dates", [False, True])
    @pytest.mark.parametrize("suffix", ["parquet", "feather", "avro"])
    def test_binary(self, same, tmp_path, suffix, dates):
        frame = flats()
        if dates:
            frame = frame.with_columns(pl.col("since").str.to_date())
        writer = {"parquet": "write_parquet", "feather": "write_ipc", "avro": "write_avro"}[suffix]
        getattr(frame, writer)(tmp_path / f"t.{suffix}")
        same(tmp_path / f"t.{suffix}")

    def test_json(self, same, fails, tmp_path):
        frame = flats()
        columns = frame.to_dict(as_series=False)
        rows = frame.to_dicts()
        for content in (
            rows,
            columns,
            {name: {str(i): v for i, v in enumerate(c)} for name, c in columns.items()},
            {"columns": frame.columns, "index": list(range(N)), "data": [*map(list, frame.rows())]},
            {"flats": rows, "source": "survey"},
        ):
            (tmp_path / "t.json").write_text(json.dumps(content))
            same(tmp_path / "t.json")
        for suffix in ("ndjson", "jsonl", "json"):
            (tmp_path / f"t.{suffix}").write_text(frame.write_ndjson())
            same(tmp_path / f"t.{suffix}")
        for content, message in (
            ("[1, 2]", "expected a list of records"),
            ("{", "Expecting property name"),
            ('[{"a": [1]}]', "column 'a', row 0: holds a list or an object"),
            ("[" * 100_000, "is nested too deeply"),
        ):
            (tmp_path / "t.json").write_text(content)
            assert message in fails("train", tmp_path / "t.json", "--target", "a")

    def test_json_with_a_gap(self, tmp_path):
        rows = [{"a": i, "b": str(i)} for i in range(9)] + [{"a": "n/a", "b": "9"}]
        (tmp_path / "t.json").write_text(json.dumps(rows))
        frame = _table_files.read(str(tmp_path / "t.json"))
        assert frame["a"].to_list() == [*map(str, range(9)), "n/a"]

    def test_sqlite(self, same, fails, tmp_path):
        sqlite3 = pytest.importorskip("sqlite3")
        path = tmp_path / "t.db"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE flats (area REAL, town TEXT, since TEXT, rent REAL)")
            database.executemany("INSERT INTO flats VALUES (?, ?, ?, ?)", flats().rows())
        same(path)
        same(f"{path}#flats")
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE notes (text TEXT)")
            database.execute('CREATE VIEW "big; flats" AS SELECT * FROM flats')
        database.close()
        line = fails("train", path, "--target", "rent")
        assert line == (
            f"{path}: has the tables big; flats, flats, notes; name one after the file, as in "
            "data.db#big; flats"
        )
        same(f"{path}#big; flats")
        assert "has no table 'x'; its tables are" in fails("train", f"{path}#x", "--target", "rent")
        path.write_bytes(path.read_bytes()[:3000])
        assert fails("train", path, "--target", "rent").startswith(f"{path}: ")

    def test_matlab(self, same, fails, tmp_path):
        scipy_io = pytest.importorskip("scipy.io")
        path, frame = tmp_path / "t.mat", flats()
        columns = {name: frame[name].to_numpy() for name in ("area", "rent")}
        columns["town"] = np.array(frame["town"].to_list(), dtype=object)
        columns["since"] = np.array(frame["since"].to_list(), dtype=object)
        columns = {name: columns[name] for name in frame.columns}
        scipy_io.savemat(path, columns)
        same(path)
        for variables, name, names in (
            ({"data": columns}, None, frame.columns),
            ({"data": columns, "n": 5}, "data", frame.columns),
            ({"X": np.ones((N, 2)), "y": np.arange(N) * 0.5}, None, ["X_1", "X_2", "y"]),
            ({"X": np.ones((N, 2)), "y": [1.0, 2.0]}, "X", ["X_1", "X_2"]),
            ({"a": np.array(["x", "yz"]), "b": [1, 2]}, None, ["a", "b"]),
        ):
            scipy_io.savemat(path, variables)
            found = _matlab._all_columns(path.read_bytes(), name)
            assert [key for key, _ in found] == names
        for variables, name, message in (
            ({"X": np.ones((N, 2)), "y": np.arange(3.0)}, None, r"X_1 \(60\), X_2 \(60\), y \(3\)"),
            ({"X": np.ones((N, 2))}, "y", "has no variable 'y'; it has X"),
            ({"X": np.ones((3, 2, 2))}, None, "variable 'X' has 3 dimensions; expected a matrix"),
            ({"X": np.ones((3, 2)) * 1j}, None, "variable 'X' has complex numbers"),
        ):
            scipy_io.savemat(path, variables)
            with pytest.raises(ValueError, match=message):
                _matlab._all_columns(path.read_bytes(), name)
        path.write_bytes(b"MATLAB 7.3 MAT-file" + b" " * 200)
        assert "is of MATLAB 7.3; save(..., '-v7')" in fails("train", path, "--target", "y")
        path.write_bytes(b"nothing" * 50)
        assert "cannot be read as a MATLAB file" in fails("train", path, "--target", "y")

    def test_a_file_that_ends_scipy(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_matlab, "_CHILD", "import os; os.abort()")
        pytest.importorskip("scipy")
        with pytest.raises(ValueError, match="is damaged: scipy cannot read it"):
            _matlab.read(b"MATLAB 5.0", None)

    def test_excel(self, same, fails, tmp_path):
        pytest.importorskip("fastexcel")
        pytest.importorskip("openpyxl")
        pd = pytest.importorskip("pandas")
        path = tmp_path / "t.xlsx"
        frame = pd.DataFrame(flats().to_dict(as_series=False))
        frame["since"] = pd.to_datetime(frame["since"])
        frame.to_excel(path, index=False)
        same(path)
        gaps = frame.astype(object)
        gaps.loc[7, "area"] = "n/a"
        gaps.loc[8, "since"] = "-"
        gaps.to_excel(path, index=False)
        assert len(same(path, date=False)["notices"]) == 2
        with pd.ExcelWriter(path) as book:
            frame.to_excel(book, sheet_name="Flats 1", index=False)
            frame[:3].to_excel(book, sheet_name="Notes")
        line = fails("train", path, "--target", "rent")
        assert line == (
            f"{path}: has the sheets Flats 1, Notes; name one after the file, as in "
            "book.xlsx#Flats 1"
        )
        same(f"{path}#Flats 1")
        assert "has no sheet 'x'; its sheets are" in fails("train", f"{path}#x", "--target", "rent")
        path.write_bytes(path.read_bytes()[:1000])
        assert "cannot be read" in fails("train", path, "--target", "rent")

    def test_opendocument(self, same, tmp_path):
        pytest.importorskip("fastexcel")
        pytest.importorskip("odf")
        pd = pytest.importorskip("pandas")
        pd.DataFrame(flats().to_dict(as_series=False)).to_excel(
            tmp_path / "t.ods", index=False, engine="odf"
        )
        same(tmp_path / "t.ods")

    def test_the_list_of_the_docs(self):
        page = (
            Path(__file__).resolve().parents[2] / "docs" / "reference" / "tables.md"
        ).read_text()
        for row in _formats.FORMATS:
            assert row.name.partition(" ")[0] in page or row.text
            assert all(f"`{suffix}`" in page for suffix in row.suffixes)

    @pytest.mark.parametrize("suffix", _formats.REFUSED)
    def test_what_is_not_read(self, fails, tmp_path, suffix):
        path = tmp_path / f"t{suffix}"
        path.write_bytes(b"x")
        line = fails("train", path, "--target", "y")
        assert line == f"{path}: files of this kind are not read; {_formats.REFUSED[suffix]}"

    @pytest.mark.parametrize("row", _formats.FORMATS, ids=lambda row: row.name)
    def test_other_files_are_refused(self, fails, tmp_path, row):
        """An ending that tells something else than the file is."""
        if row.name in ("Excel", "OpenDocument"):
            pytest.importorskip("fastexcel")
        several = (b"", b"\x89PNG\r\n\x1a\n" + bytes(99), b"SQLite format 3\0", b"PAR1" * 9)
        for content in several[: 1 if row.name == "MATLAB" else None]:
            for suffix in row.suffixes:
                path = tmp_path / f"t{suffix}"
                path.write_bytes(content)
                assert fails("train", path, "--target", "y").startswith(f"{path}: ")
