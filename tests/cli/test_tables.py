"""The command line on tables: files, options, messages, predictions, pictures."""

from __future__ import annotations

import builtins
import bz2
import gzip
import json
import lzma
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.cli import _pictures, _table_files
from deltaloop.tabular import TabularModel

pl = pytest.importorskip("polars")
pytest.importorskip("narwhals")

QUICK = ("--solver", "lbfgs", "--epochs", 10, "--hidden", 4)
KEYS = {
    *("task", "data", "target", "n_train", "n_test", "n_without_target", "layers", "activation"),
    *("output", "loss", "init", "residual", "seed", "n_parameters", "solver", "epochs", "cost"),
    *("l2", "seconds", "stop_reason", "isa", "version", "classes", "model", "ignored"),
    *("metrics", "baseline", "verdict", "warnings", "stopped", "date", "times", "options"),
    "notices",
}


def flats(n: int = 120, seed: int = 0):
    """Flats of three towns: rents follow from area and town."""
    rng = np.random.default_rng(seed)
    area, town = rng.integers(20, 150, n), rng.choice(["Bonn", "Ulm", "Aachen"], n)
    rent = area * 9.5 + 200 * (town == "Bonn") + rng.normal(0, 10, n)
    return pl.DataFrame(
        {
            "area": [None if i % 10 == 0 else int(a) for i, a in enumerate(area)],
            "town": [None if i % 15 == 0 else str(t) for i, t in enumerate(town)],
            "built": [f"{y}-07-01" for y in rng.integers(1900, 2026, n)],
            "lift": ["true" if x else "false" for x in rng.integers(0, 2, n)],
            "dear": ["yes" if r > np.median(rent) else "no" for r in rent],
            "rent": rent,
        }
    )


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "flats.csv"
    flats().write_csv(path)
    return path


class TestTrain:
    def test_regression_json(self, report, csv):
        result = report("train", csv, "--target", "rent", "--drop", "dear")
        assert set(result) == KEYS | {"choice", "r2", "importance"}
        assert set(result["importance"]) == {"area", "town", "built", "lift"}
        most = max(result["importance"], key=lambda name: result["importance"][name]["mean"])
        assert (most, set(result["importance"][most])) == ("area", {"mean", "std"})
        assert (result["task"], result["target"]) == ("regression", "rent")
        assert (result["n_train"], result["n_test"], result["n_without_target"]) == (96, 24, 0)
        assert result["r2"] > 0.8
        assert result["layers"] == [8, 64, 1]
        assert result["solver"]["name"] == "LBFGS"
        assert (result["classes"], result["ignored"], result["model"]) == (None, {}, None)

    def test_classification_json(self, report, csv):
        result = report("train", csv, "--target", "dear", "--drop", "rent")
        assert set(result) == KEYS | {"choice", "accuracy", "per_class", "importance"}
        assert (result["task"], result["classes"]) == ("classification", ["no", "yes"])
        assert result["accuracy"] > 0.8

    def test_text(self, run, csv, report):
        frame = flats().with_columns(
            id=pl.Series([f"flat {i}" for i in range(120)]),
            rent=pl.when(pl.col("town") == "Ulm").then(None).otherwise(pl.col("rent")),
        )
        frame.write_csv(csv)
        argv = ("train", csv, "--target", "rent", "--drop", "dear")
        status, out, err = run(*argv)
        assert (status, err) == (0, "")
        found = report(*argv)
        lines = out.splitlines()
        left = found["n_without_target"]
        assert left == (frame["town"] == "Ulm").sum()
        assert re.match(
            r"times     reading \d\.\d s, preparing the columns \d\.\d s, ", lines.pop(4)
        )
        assert lines[:5] == [
            f"data      {csv}: 120 rows; predicts rent (a number) from 4 columns: 2 numbers, "
            "1 category, 1 date",
            f"left out  id (text with {120 - left} different values)",
            f"rows      {found['n_train']} to learn from, {found['n_test']} held out to measure, "
            f"{left} without a target",
            f"stopped   after {found['epochs']:,} rounds: {found['stopped']}",
            "",
        ]
        assert lines[5] == found["verdict"]
        assert lines[5].startswith("The model explains 9")
        own, base = found["metrics"], found["baseline"]
        mean = f"always the mean, {base['guess']:.4g}"
        side = len(mean)
        assert lines[7:11] == [
            f"of the rows held out  model  {mean}",
            f"R^2                   {own['r2']:.3f}  {base['r2']:>{side}.3f}  the part of the "
            "variation that is explained; 1 is best",
            f"RMSE                  {own['rmse']:>5.4g}  {base['rmse']:>{side}.4g}  how far off, "
            "where large errors count more; lower is better (in the units of rent)",
            f"MAE                   {own['mae']:>5.4g}  {base['mae']:>{side}.4g}  how far off on "
            "average; lower is better (in the units of rent)",
        ]
        assert lines[11:] == ["", "model  not saved; --output-model PATH saves it"]

    def test_verbose(self, run, csv, report):
        argv = ("train", csv, "--target", "rent", "--drop", "dear")
        found, lines = report(*argv), run(*argv, "--verbose")[1].splitlines()
        plain = run(*argv)[1].splitlines()
        assert lines[4:11] == [
            "layers   8-64-1 (tanh, identity), 641 parameters",
            "solver   LBFGS",
            f"penalty  l2 {found['l2']:g}",
            f"choice   {found['choice']}",
            "seed     0",
            f"epochs   {found['epochs']}, stopped by {found['stop_reason']}",
            f"cost     {found['cost']:.6g} (squared_error, sum over the training rows, in "
            "standardised units)",
        ]
        assert lines[11] == f"ISA      {found['isa']}"
        assert lines[12:] == plain[4:]

    def test_classes_as_text(self, run, csv, report):
        argv = ("train", csv, "--target", "dear", "--drop", "rent")
        found, lines = report(*argv), run(*argv)[1].splitlines()
        assert lines[5] == found["verdict"]
        guess = f"always {found['baseline']['guess']!r}"
        assert lines[7].split("  ") == ["of the rows held out", "model", guess]
        for line, name in zip(
            lines[8:12], ("accuracy", "balanced_accuracy", "log_loss", "roc_auc"), strict=True
        ):
            numbers = re.findall(r" (\d\.\d{3})", line)
            assert numbers == [f"{found[part][name]:.3f}" for part in ("metrics", "baseline")]
        assert lines[13].split() == ["class", "precision", "recall", "rows"]
        assert [line.split()[0] for line in lines[14:16]] == ["no", "yes"]
        assert [int(line.split()[-1]) for line in lines[14:16]] == [
            row["rows"] for row in found["per_class"]
        ]
        assert lines[16].startswith("precision: how many of the rows predicted as the class are")

    def test_notes(self, run, csv, report):
        pl.DataFrame({"x": range(30), "y": ["a"] * 27 + ["b"] * 3}).write_csv(csv)
        argv = ("train", csv, "--target", "y", *QUICK)
        lines = [line for line in run(*argv)[1].splitlines() if line.startswith("Note: ")]
        few, uneven = report(*argv)["warnings"]
        assert lines[0] == f"Note: {few}."
        assert few.startswith("30 rows are few")
        assert uneven.startswith("the classes are imbalanced: 'a' has 27 of 30 rows, 'b' 3;")
        assert lines[1].endswith("; --class-weight balanced makes all classes count the same.")

    def test_note_of_a_skewed_target(self, run, csv):
        y = [10.0 ** (i % 10) + i for i in range(80)]
        pl.DataFrame({"x": range(80), "y": y}).write_csv(csv)
        out = run("train", csv, "--target", "y", *QUICK)[1]
        assert "or take --loss absolute_error if the usual value does." in out

    def test_many_classes(self, run, csv):
        pl.DataFrame({"x": range(250), "y": [f"c{i // 10}" for i in range(250)]}).write_csv(csv)
        argv = ("train", csv, "--target", "y", *QUICK)
        text = run(*argv)[1]
        assert text.count("\nc") == 21
        assert "\nand 5 smaller classes, which --verbose shows\n" in text
        assert run(*argv, "--verbose")[1].count("\nc") >= 26

    def test_several_values_as_text(self, run, csv):
        both = ("--target", "rent", "--target", "area")
        text = run("train", csv, *both, "--drop", "dear", *QUICK)[1]
        assert "predicts rent and area (numbers) from 3 columns" in text
        for name in ("rent", "area"):
            assert re.search(rf"\n{name}:\nof the rows held out +model  always the mean, ", text)

    def test_a_fit_that_learned_nothing(self, run, report, csv):
        """It says so in the report, in words for those who write no Python."""
        argv = ("train", csv, "--target", "rent", "--target", "area", "--drop", "dear")
        text = (
            "the network predicts the same for every row, while the target varies, since the "
            "penalty that suits rows held out leaves nothing else"
        )
        assert report(*argv)["warnings"] == [text]
        status, out, err = run(*argv)
        assert (status, err) == (0, "")
        assert f"\n\nNote: {text}.\n\nmodel " in out
        assert out.count("No better than always guessing the mean, ") == 2

    def test_is_what_tabular_model_does(self, report, csv, tmp_path):
        for target, other in (("rent", "dear"), ("dear", "rent")):
            path = tmp_path / target
            result = report(
                *("train", csv, "--target", target, "--drop", other, "--seed", 5),
                *("--output-model", path),
            )
            model = TabularModel(seed=5).fit(_table_files.read(str(csv)), target, drop=other)
            model.save(tmp_path / "python")
            assert path.read_bytes() == (tmp_path / "python").read_bytes()
            for name in ("accuracy", "r2", "cost", "epochs", "l2", "n_train"):
                assert result.get(name) == model.report.get(name)

    def test_options_reach_the_fit(self, report, csv):
        result = report(
            *("train", csv, "--target", "dear", "--drop", "rent", "--hidden", "6,6", "--residual"),
            *("--activation", "relu", "--init", "he_normal", "--solver", "adam,lbfgs"),
            *("--epochs", "6,9", "--schedule", "cosine,warmup=2", "-o", "memory=4"),
            *("--batch-size", 16, "--l2", 0.3, "--class-weight", "balanced", "--validation", 0.2),
            *("--patience", 50, "--test-fraction", 0.3, "--seed", 3, "--threads", 1),
        )
        model = TabularModel(
            hidden=[6, 6],
            residual=True,
            activation="relu",
            init="he_normal",
            test_fraction=0.3,
            seed=3,
        ).fit(
            _table_files.read(str(csv)),
            "dear",
            drop="rent",
            solver=[
                dl.Adam(dl.schedules.Cosine(0.001, epochs=6, warmup=2), batch_size=16),
                dl.LBFGS(4),
            ],
            max_epochs=[6, 9],
            l2=0.3,
            class_weight="balanced",
            validation=0.2,
            patience=50,
        )
        assert result["cost"] == model.report["cost"]
        assert result["validation_cost"] == model.result.validation_cost
        assert [stage["epochs"] for stage in result["stages"]] == [6, 9]
        assert result["l2"] == 0.3

    def test_several_targets_and_drops(self, report, csv):
        argv = ("train", csv, "--target", "rent", "--target", "area", *QUICK)
        result = report(*argv, "--drop", "dear", "--drop", "built")
        assert result["target"] == ["rent", "area"]
        assert result["layers"] == [5, 4, 2]

    def test_task(self, report, csv):
        pl.DataFrame({"x": range(40), "y": [1, 2] * 20}).write_csv(csv)
        found = [
            report("train", csv, "--target", "y", *QUICK, *task)["task"]
            for task in ((), ("--task", "regression"), ("--task", "classification"))
        ]
        assert found == ["classification", "regression", "classification"]

    def test_nothing_held_out(self, run, report, csv, tmp_path):
        data = tmp_path / "data.npz"
        X = np.random.default_rng(0).normal(size=(50, 2))
        np.savez(data, X=X, y=X[:, 0])
        for argv, n in (
            (("train", csv, "--target", "rent"), 120),
            (("train", csv, "--target", "dear"), 120),
            (("train", data), 50),
        ):
            argv = (*argv, "--hidden", 4, "--epochs", 2, "--test-fraction", 0)
            result = report(*argv)
            name = "accuracy" if result["task"] == "classification" else "r2"
            assert (result["n_train"], result["n_test"], result[name]) == (n, 0, None)
            lines = run(*argv)[1].splitlines()
            assert "Not measured: no rows were held out." in lines
            assert not [line for line in lines if line.startswith("of the rows held out")]

    def test_losses(self, report, csv):
        argv = ("train", csv, "--target", "rent", "--drop", "dear", "--hidden", 4, "--loss")
        result = report(*argv, "huber", "--loss-parameter", 0.5)
        assert result["loss"] == "huber(0.5)"

    def test_same_bytes_in_another_process(self, report, csv, tmp_path):
        argv = ["train", str(csv), "--target", "dear", "--drop", "rent", "--output-model"]
        report(*argv, tmp_path / "here")
        command = [sys.executable, "-m", "deltaloop", *argv, tmp_path / "there"]
        subprocess.run(command, check=True)
        assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


class TestMessages:
    def test_no_target(self, run, csv):
        status, out, err = run("train", csv)
        assert (status, out) == (2, "")
        names = "'area', 'town', 'built', 'lift', 'dear', 'rent'"
        assert f"argument --target: expected a column of {csv}, which has {names}\n" in err

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (("--target", "Rent"), "target: there is no column 'Rent'; did you mean 'rent'?"),
            (("--target", "rnet"), "target: there is no column 'rnet'; did you mean 'rent'?"),
            (("--target", "rent", "--drop", "x"), "drop: there is no column 'x'; the columns are"),
            (("--target", "dear", "--task", "regression"), "'dear', row 0: expected numbers, got"),
            (("--target", "dear", "--loss", "huber"), "loss huber does not go with classes, which"),
            (("--target", "rent", "--loss", "cross_entropy"), "does not go with values, which"),
            (
                ("--target", "rent", "--solver", "gd", "--learning-rate", "1e6"),
                "training diverged in epoch",
            ),
            (("--target", "built"), "target column 'built' has dates"),
            (("--target", "rent", "--test-fraction", "0.99"), "120 rows are too few to train on"),
        ],
    )
    def test_of_training(self, fails, csv, argv, message):
        line = fails("train", csv, *argv)
        assert line.startswith(f"{csv}: ")
        assert message in line

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (("--task", "ranking"), "argument --task: invalid choice: 'ranking'"),
            (("--learning-rate", "1"), "argument --learning-rate: --solver auto has none"),
            (("--patience", "3"), "argument --patience: it needs --validation"),
            (("--class-weight", "balanced"), "argument --class-weight: .* has values, not classes"),
            (("--loss-parameter", "1"), "argument --loss-parameter: expected huber or quantile"),
            (("--batch-size", "97", "--solver", "adam"), "expected at most the 96 training rows"),
            (("--plot", "x.gif"), "argument --plot: expected a name that ends in .png, .svg, .pdf"),
            (("--plot", "no/such.png"), "argument --plot: there is no directory 'no'"),
            (("--output-model", "no/such"), "argument --output-model: there is no directory"),
        ],
    )
    def test_of_arguments(self, run, csv, argv, message):
        status, out, err = run("train", csv, "--target", "rent", *argv)
        assert (status, out) == (2, "")
        assert re.search(message, err)

    @pytest.mark.parametrize("argv", [("--target", "y"), ("--task", "regression"), ("--drop", "x")])
    def test_columns_of_what_has_none(self, run, argv):
        status, _, err = run("train", "digits", *argv)
        assert status == 2
        assert f"argument {argv[0]}: it is for tables (.csv, .tsv, .tab, .txt, .parquet" in err

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty; expected a first line with names of columns"),
            (b"\n\r\n", "is empty; expected a first line with names of columns"),
            (b"a,y\n", "holds no rows"),
            (b"a,y\n\n\n", "holds no rows"),
            (b"a,y\n1,2\n\n1,2,3\n", "line 4 has 3 entries, the first line has 2 names; expected"),
            (b"a,y\n1,2,", "line 2 has 3 entries, the first line has 2 names; expected"),
            (b'a,y\n"1\n",2\n1,2,3\n', "line 4 has 3 entries, the first line has 2 names; expect"),
            (b"# comment\na,y\n1,2\n", "line 2 has 2 entries, the first line has 1 name; expected"),
            (b"a,y\n1,2\n\xff,2\n", "expected UTF-8 text, line 3 is not"),
            ("größe,y\n1,2\n".encode("latin-1"), "expected UTF-8 text, line 1 is not"),
            ("a,y\n1,2\n".encode("utf-16-le"), "expected UTF-8 text, found text in UTF-16"),
            ("größe,y\n1,2\n".encode("utf-16-be"), "expected UTF-8 text, found text in UTF-16"),
            (b"a,y\n1,2\n3,\x004\n", "expected UTF-8 text, line 3 holds a null character"),
            (b"a,y\n1,2\n\0\0\0\0", "expected UTF-8 text, line 3 holds a null character"),
            (b"\0", "expected UTF-8 text, line 1 holds a null character"),
            (gzip.compress(b"a,y\n1,2\n", mtime=0), "expected UTF-8 text, found a gzip file"),
            (bz2.compress(b"a,y\n1,2\n"), "expected UTF-8 text, found a bzip2 file"),
            (lzma.compress(b"a,y\n1,2\n"), "expected UTF-8 text, found an xz file"),
            (pickle.dumps([1.5]), "expected UTF-8 text, found a Python pickle"),
            (b"PK\x03\x04\x14\0\x06\0", "expected UTF-8 text, found a zip archive (.zip, .xlsx"),
            (b"a,y,y\n1,2,3\n", "the first line names the column 'y' twice; names must differ"),
            (b"y, a ,a\n1,2,3\n", "the first line names the column 'a' twice; names must differ"),
            (b'a,y\n1,"2\n3,4\n', "line 2 has a quotation mark that is never closed"),
            (b'a,y\n1,2\n3,"4"5\n', "line 3 has a quotation mark inside a quoted entry; two of"),
        ],
    )
    @pytest.mark.parametrize("suffix", ["csv", "txt"])
    def test_of_text_files(self, fails, tmp_path, content, message, suffix):
        path = tmp_path / f"bad.{suffix}"
        path.write_bytes(content)
        line = fails("train", path, "--target", "y")
        assert line.startswith(f"{path}: ")
        assert message in line

    def test_a_panic_of_polars(self, fails, tmp_path, monkeypatch):
        """It is no Exception, and damaged files cause it."""
        path = tmp_path / "bad.parquet"
        path.write_bytes(b"PAR1")

        def read(content):
            raise pl.exceptions.PanicException("called unwrap\nnote: a backtrace")

        monkeypatch.setattr(pl, "read_parquet", read)
        line = fails("train", path, "--target", "y")
        assert line == f"{path}: damaged, it cannot be read: called unwrap"

    def test_of_packed_files(self, fails, tmp_path, model):
        packed = gzip.compress(b"a,y\n1,2\n")
        for name, expected in (
            ("data.parquet", "expected a Parquet file"),
            ("data.other", "expected a NumPy .npz or .npy file"),
        ):
            (tmp_path / name).write_bytes(packed)
            line = fails("train", tmp_path / name)
            assert line == f"{tmp_path / name}: {expected}, found a gzip file"
            (tmp_path / name).write_bytes(packed[::-1])
            assert "gzip" not in fails("train", tmp_path / name)
        (tmp_path / "model.gz").write_bytes(gzip.compress(model[0].read_bytes()))
        line = fails("predict", tmp_path / "model.gz", tmp_path / "data.csv")
        assert "expected a model file (safetensors)" in line
        assert line.endswith("found a gzip file")

    @pytest.mark.parametrize("name", ['he said "hi"', "a\nb", "a,b;c;d;e", "größe"])
    def test_names(self, report, tmp_path, name):
        path = tmp_path / "t.csv"
        pl.DataFrame({"x": range(40), name: np.arange(40) * 0.5}).write_csv(path)
        assert report("train", path, "--target", name, *QUICK)["target"] == name

    def test_flags_in_the_place_of_arguments(self, fails, csv):
        pl.DataFrame({"x": range(40), "y": np.arange(40), "z": np.arange(40) * 0.5}).write_csv(csv)
        for target in "yz":
            line = fails("train", csv, "--target", target, "--task", "classification")
            assert line.endswith("; --task regression predicts values") or "got 0.5;" in line
            assert "--task regression predicts values" in line

    def test_too_long_for_a_file(self, fails, csv, monkeypatch):
        monkeypatch.setattr(dl.Network, "fit", lambda *args, **kwargs: pytest.fail("trained"))
        towns = [f"{i} " * 1800 for i in range(100, 200)]
        pl.DataFrame({"town": towns * 3, "y": np.arange(300) * 0.5}).write_csv(csv)
        line = fails("train", csv, "--target", "y", "--output-model", csv.with_name("m"))
        assert line.startswith(f"{csv}: expected a header of at most 524288 bytes, the columns")

    def test_of_other_files(self, fails, tmp_path, csv):
        path = tmp_path / "bad.parquet"
        for content in (b"", b"PAR1", csv.read_bytes()):
            path.write_bytes(content)
            assert fails("train", path, "--target", "rent").startswith(f"{path}: ")
        missing = tmp_path / "missing.csv"
        message = f"{missing}: No such file or directory"
        assert fails("train", missing, "--target", "rent") == message
        folder = tmp_path / "folder.csv"
        folder.mkdir()
        assert fails("train", folder, "--target", "rent").startswith(f"{folder}: ")

    def test_infinite_numbers(self, fails, csv):
        text = csv.read_text().splitlines()
        cells = text[8].split(",")
        text[8] = ",".join(["inf", *cells[1:]])
        csv.write_text("\n".join(text))
        line = fails("train", csv, "--target", "rent")
        assert "column 'area', row 7: holds inf; numbers must be finite" in line

    @pytest.mark.parametrize("absent", ["polars", "narwhals"])
    def test_without_the_libraries(self, fails, csv, monkeypatch, absent):
        original = builtins.__import__

        def without(name, *args, **kwargs):
            if name.partition(".")[0] == absent:
                raise ImportError(name)
            return original(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without)
        line = fails("train", csv, "--target", "rent")
        assert f"{absent}: pip install 'deltaloop[tabular]'" in line


class TestFiles:
    def test_kinds_of_files_give_the_same_model(self, report, csv, tmp_path):
        frame = _table_files.read(str(csv))
        frame.write_parquet(tmp_path / "t.parquet")
        frame.write_csv(tmp_path / "t.tsv", separator="\t")
        frame.write_csv(tmp_path / "semicolons.csv", separator=";")
        (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + csv.read_bytes())
        spaced = csv.read_text().replace(",", " , ").replace("\n", "\r\n\r\n")
        (tmp_path / "spaced.csv").write_bytes(spaced.encode())
        names = [csv, "t.parquet", "t.tsv", "semicolons.csv", "bom.csv", "spaced.csv"]
        contents = []
        for name in names:
            out = tmp_path / "model"
            argv = ("--target", "rent", "--drop", "dear", *QUICK, "--output-model", out)
            report("train", tmp_path / name, *argv)
            contents.append(out.read_bytes())
        assert len(set(contents)) == 1

    def test_types_of_text(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text(
            "whole,number,flag,day,time,text,gaps,none\n"
            "1,1.5,true,2026-01-02,2026-01-02 03:04,a,NA,\n"
            '-2,1e3,FALSE,2026-01-03,2026-01-02T03:05:00,"b, c",5,?\n'
            "NA,N/A,NaN,nan,null,NULL,?,\n"
        )
        frame = _table_files.read(str(path))
        assert frame.schema == {
            "whole": pl.Int64,
            "number": pl.Float64,
            "flag": pl.Boolean,
            "day": pl.Date,
            "time": pl.Datetime("us", "UTC"),
            "text": pl.String,
            "gaps": pl.Int64,
            "none": frame["none"].dtype,
        }
        assert frame.height == 3
        assert frame["text"].to_list() == ["a", "b, c", None]
        assert frame["gaps"].to_list() == [None, 5, None]
        assert _table_files.read(str(path), ["whole"])["whole"].to_list() == ["1", "-2", None]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_rows_without_entries_stay(self, tmp_path, end):
        path = tmp_path / "t.csv"
        lines = ["", "a,b", "", "1,x", ",", "  ", " , NA", '"\n\n",y', "", '2,"u\n\nv"', "3", ""]
        path.write_text(end.join(lines).replace("\n", end[-1]), newline="")
        frame = _table_files.read(str(path))
        assert frame["a"].to_list() == [1, None, None, None, 2, 3]
        assert frame["b"].to_list() == ["x", None, None, "y", "u\n\nv", None]
        path.write_text(end.join(["a", "1", "", '""', "2", ""]), newline="")
        assert _table_files.read(str(path))["a"].to_list() == [1, None, None, 2]


class TestPredict:
    @pytest.fixture
    def model(self, run, csv, tmp_path):
        path = tmp_path / "model"
        argv = ("--target", "dear", "--drop", "rent", "--output-model", path)
        assert run("train", csv, *argv)[0] == 0
        return path

    def test_rows(self, run, report, model, tmp_path):
        new = tmp_path / "new.csv"
        frame = flats(seed=1).select("town", "lift", "built", "area", "rent")
        frame.write_csv(new)
        result = report("predict", model, new)
        expected = TabularModel.load(model).predict(_table_files.read(str(new))).tolist()
        assert result == {
            "task": "classification",
            "model": str(model),
            "n": 120,
            "target": "dear",
            "predictions": expected,
            "learned_from": None,
        }
        assert run("predict", model, new) == (0, "\n".join(expected) + "\n", "")

    def test_score(self, run, report, model, csv):
        frame = flats(seed=2)
        frame.write_csv(csv)
        result = report("predict", model, csv)
        right = np.mean(np.array(result["predictions"]) == frame["dear"].to_numpy())
        assert (result["accuracy"], result["n_with_target"]) == (right, 120)
        guess = result["baseline"]["guess"]
        simplest = (frame["dear"] == guess).mean()
        expected = f"accuracy {right:.4f} on 120 rows; always guessing {guess!r}: {simplest:.4f}\n"
        assert run("predict", model, csv)[2] == expected
        assert result["metrics"]["accuracy"] == right
        assert result["baseline"]["accuracy"] == simplest
        frame[:3].with_columns(dear=pl.lit(None)).write_csv(csv)
        status, out, err = run("predict", model, csv, "--json")
        assert status == 0
        assert not {"accuracy", "n_with_target"} & set(json.loads(out))
        note = "no accuracy: there is no row with a target to measure the model on"
        assert err == f"deltaloop: {note}\n"

    def test_a_row_for_each_line(self, report, fails, model, csv):
        lines = csv.read_text().splitlines()
        whole = report("predict", model, csv)["predictions"]
        csv.write_text("\n".join([*lines[:4], ",,,,,", "", *lines[4:]]))
        found = report("predict", model, csv)["predictions"]
        assert len(found) == 121
        assert found[:3] + found[4:] == whole
        csv.write_text(
            "\n".join([lines[0], ",,,,,", "", lines[1].replace("true", "?"), "x" + lines[2]])
        )
        assert "column 'area', row 2: expected numbers" in fails("predict", model, csv)

    @pytest.mark.parametrize(
        ("rent", "note"),
        [
            (["1.5", "TBD"] * 60, "target column 'rent', row 1: expected numbers, got 'TBD'"),
            ([float("nan")] * 120, "there is no row with a target to measure the model on"),
            ([[1.0]] * 120, "column 'rent', row 0: expected a number, text, a date or a dur"),
            ([float("inf")] * 120, "column 'rent', row 0: holds inf; numbers must be finite"),
        ],
    )
    def test_a_target_that_cannot_be_measured(self, run, csv, tmp_path, rent, note):
        model, path = tmp_path / "m", tmp_path / "t.parquet"
        run("train", csv, "--target", "rent", "--output-model", model, *QUICK)
        frame = _table_files.read(str(csv))
        frame.drop("rent").write_parquet(path)
        expected = run("predict", model, path)
        frame.with_columns(rent=pl.Series(rent)).write_parquet(path)
        status, out, err = run("predict", model, path)
        assert (status, out) == expected[:2]
        assert err.startswith("deltaloop: no R^2: ")
        assert note in err
        assert err.count("\n") == 2
        assert err.endswith(expected[2])  # what it says of rows that the model learned from

    def test_nan_is_no_target(self, report, csv, tmp_path):
        model, path = tmp_path / "m", tmp_path / "t.parquet"
        report("train", csv, "--target", "rent", "--output-model", model, *QUICK)
        rent = [float("nan"), None, *range(118)]
        frame = _table_files.read(str(csv)).with_columns(rent=pl.Series(rent, dtype=pl.Float64))
        frame.write_parquet(path)
        result = report("predict", model, path)
        assert result["n_with_target"] == 118
        assert result["r2"] == TabularModel.load(model).score(frame[2:])

    @pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
    def test_only_predictions(self, run, report, model, csv, tmp_path, suffix):
        out = tmp_path / f"out.{suffix}"
        status, printed, _ = run("predict", model, csv, "--output", out, "--only-predictions")
        assert (status, printed) == (0, "")
        frame = _table_files.read(str(out))
        assert frame.columns == ["dear"]
        assert frame["dear"].to_list() == report("predict", model, csv)["predictions"]

    @pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
    def test_output(self, run, report, model, csv, tmp_path, suffix):
        """The rows as they were written, ids included, and behind them what is predicted."""
        lines = csv.read_text().splitlines()
        head, first = "id," + lines[0], "007, " + lines[1]
        second = "011,NA," + lines[2].partition(",")[2]
        new, out = tmp_path / "new.csv", tmp_path / f"out.{suffix}"
        new.write_text("\n".join([head + ",predicted_dear", first + ",x", second + ",?"]))
        status, printed, _ = run("predict", model, new, "--output", out, "--probabilities")
        assert (status, printed) == (0, "")
        result = report("predict", model, new, "--probabilities")
        frame = pl.read_parquet(out) if suffix == "parquet" else None
        if frame is None:
            separator = "\t" if suffix == "tsv" else ","
            frame = pl.read_csv(out, separator=separator, infer_schema=False)
        names = ["predicted_dear", "predicted_dear_2", "probability_no", "probability_yes"]
        assert frame.columns == ["id", *lines[0].split(","), *names]
        assert frame["id"].to_list() == ["007", "011"]
        assert frame["predicted_dear_2"].to_list() == result["predictions"]
        found = frame.select(names[2:]).cast(pl.Float64).to_numpy()
        assert found.tolist() == result["probabilities"]
        if suffix == "parquet":
            assert frame.schema["rent"] == pl.Float64
            assert frame.schema["built"] == pl.Date
        else:
            assert frame["predicted_dear"].to_list() == ["x", "?"]
            assert frame["area"].to_list()[1] == "NA"

    def test_output_of_parquet(self, run, model, csv, tmp_path):
        """Types stay, in both directions."""
        frame = _table_files.read(str(csv)).with_columns(id=pl.int_range(120))
        frame.write_parquet(tmp_path / "new.parquet")
        for suffix in ("parquet", "csv"):
            out = tmp_path / f"out.{suffix}"
            assert run("predict", model, tmp_path / "new.parquet", "--output", out)[0] == 0
            found = _table_files.read(str(out)).drop("predicted_dear")
            assert found.equals(frame)

    def test_probabilities(self, run, report, model, csv):
        result = report("predict", model, csv, "--probabilities")
        assert result["classes"] == ["no", "yes"]
        expected = TabularModel.load(model).predict_proba(_table_files.read(str(csv)))
        assert result["probabilities"] == expected.tolist()
        lines = run("predict", model, csv, "--probabilities")[1].splitlines()
        assert lines[0] == "dear,probability_no,probability_yes"
        label, no, yes = lines[1].split(",")
        assert (label, [float(no), float(yes)]) == (result["predictions"][0], expected[0].tolist())
        assert len(lines) == 121

    def test_no_probabilities_of_values(self, fails, report, csv, tmp_path):
        report("train", csv, "--target", "rent", "--output-model", tmp_path / "m", *QUICK)
        line = fails("predict", tmp_path / "m", csv, "--probabilities")
        assert line == f"{csv}: predict_proba is for classes, this model predicts values"

    def test_only_predictions_needs_an_output(self, run, model, csv):
        status, out, err = run("predict", model, csv, "--only-predictions")
        assert (status, out) == (2, "")
        assert "argument --only-predictions: it needs --output" in err

    def test_rows_that_the_model_learned_from(self, run, report, model, csv):
        said = "; how well it predicts them says little about rows that are new\n"
        err = run("predict", model, csv)[2].splitlines(keepends=True)
        assert err[-1] == "deltaloop: the model learned from about 80 % of these rows" + said
        assert report("predict", model, csv)["learned_from"] == 0.8
        flats(seed=9).write_csv(csv)
        assert "learned" not in run("predict", model, csv)[2]
        assert report("predict", model, csv)["learned_from"] is None

    def test_error_of_values(self, run, report, csv, tmp_path):
        model = tmp_path / "m"
        train = report("train", csv, "--target", "rent", "--drop", "dear", "--output-model", model)
        frame = flats(seed=3)
        frame.write_csv(csv)
        result, err = report("predict", model, csv), run("predict", model, csv)[2]
        y = frame["rent"].to_numpy()
        mean = train["baseline"]["guess"]
        assert result["metrics"]["mae"] == pytest.approx(np.abs(y - result["predictions"]).mean())
        assert result["baseline"]["mae"] == pytest.approx(np.abs(y - mean).mean())
        assert err == (
            f"R^2 {result['r2']:.4f} on 120 rows; off by {result['metrics']['mae']:.4g} on "
            f"average, always guessing the mean of the training, {mean:.4g}, by "
            f"{result['baseline']['mae']:.4g}\n"
        )

    def test_output_of_a_model_of_arrays(self, run, report, tmp_path):
        model, out = tmp_path / "digits", tmp_path / "out.csv"
        report("train", "digits", "--epochs", 1, "--output-model", model)
        assert run("predict", model, "digits", "--output", out)[1] == ""
        expected = report("predict", model, "digits")["predictions"]
        assert _table_files.read(str(out))["y"].to_list() == expected
        status, _, err = run("predict", model, "digits", "--output", "out.xlsx")
        assert status == 2
        assert "argument --output: expected a name that ends in .csv, .tsv" in err

    def test_several_values(self, run, report, csv, tmp_path):
        model = tmp_path / "model"
        argv = ("--target", "rent", "--target", "area", *QUICK, "--output-model", model)
        report("train", csv, *argv)
        result = report("predict", model, csv)
        assert np.shape(result["predictions"]) == (120, 2)
        assert result["n_with_target"] == 108
        assert [float(x) for x in run("predict", model, csv)[1].split()[:2]] == result[
            "predictions"
        ][0]

    def test_numbers_where_text_was_stay_text(self, report, csv, tmp_path):
        codes = ["007", "A1", "12"] * 40
        pl.DataFrame({"code": codes, "y": ["1", "x", "2"] * 40}).write_csv(csv)
        report("train", csv, "--target", "y", "--output-model", tmp_path / "m")
        pl.DataFrame({"code": ["007", "12"], "y": ["1", "2"]}).write_csv(csv)
        result = report("predict", tmp_path / "m", csv)
        assert (result["predictions"], result["accuracy"]) == (["1", "2"], 1.0)

    def test_wrong_rows(self, fails, model, csv, tmp_path):
        frame = flats()
        for change, message in (
            (frame.with_columns(town=pl.lit("Rome")), "column 'town', row 0: expected one of the"),
            (
                frame.with_columns(area=pl.Series(["50", "60", "large"] * 40)),
                "column 'area', row 2: expected numbers, as in training, got 'large'",
            ),
            (frame.drop("area"), "there is no column 'area', which the model needs"),
        ):
            change.write_csv(csv)
            line = fails("predict", model, csv)
            assert line.startswith(f"{csv}: ")
            assert message in line
        line = fails("predict", model, tmp_path / "x.npz")
        assert "x.npz: expected a table (.csv, .tsv, .tab, .txt, .parquet, .pq, .feather" in line

    def test_new_categories(self, run, report, fails, csv, tmp_path):
        rows = tmp_path / "new.csv"
        rows.write_text("town,x\nBonn,1\nRome,1\n,1\n")
        table = tmp_path / "towns.csv"
        table.write_text("town,x,y\n" + "Bonn,1,2.5\nUlm,2,3.5\nUlm,1,3\n" * 10)
        model = tmp_path / "towns.model"
        report("train", table, "--target", "y", "--output-model", model)
        message = fails("predict", model, rows)
        assert message.endswith("got 'Rome'; --new-categories missing counts it as missing")
        found = report("predict", model, rows, "--new-categories", "missing")["predictions"]
        assert found[1] == found[2] != found[0]

    def test_a_model_of_arrays_takes_no_table(self, fails, report, csv, tmp_path):
        report("train", "digits", "--epochs", 1, "--output-model", tmp_path / "m")
        line = fails("predict", tmp_path / "m", csv)
        assert "was trained on arrays, not on the columns of a table" in line

    def test_a_damaged_description(self, fails, model, csv):
        TabularModel.load(model).network.save(model, metadata={"table": "{}"})
        for argv in (("predict", model, csv), ("info", model)):
            assert fails(*argv).startswith(f"{model}: expected the table's description")

    def test_info(self, run, report, model):
        result = report("info", model)
        assert (result["target"], result["classes"]) == ("dear", ["no", "yes"])
        assert [column["name"] for column in result["columns"]] == ["area", "town", "built", "lift"]
        training = TabularModel.load(model).report
        assert result["training"] == training
        text = run("info", model)[1]
        assert (
            "columns       'area': number, may be missing\n"
            "              'town': category 'Aachen', 'Bonn', 'Ulm', may be missing\n"
            "              'built': date\n"
            "              'lift': number\n"
        ) in text
        lines = text.splitlines()
        assert lines[:4] == [
            f"model         {model}",
            "predicts      dear (2 classes: 'no', 'yes')",
            f"trained       on {training['date']} by deltaloop {dl.__version__}, from 96 rows; 24 "
            "were held out",
            "options       hidden=[64], activation=tanh, test_fraction=0.2, seed=0, drop=['rent']",
        ]
        measured = lines[lines.index("What the training measured:") + 1 :]
        assert measured[0] == training["verdict"]
        assert f"accuracy              {training['accuracy']:.3f}" in text
        assert measured[-2].startswith("yes  ")

    def test_info_of_a_file_without_a_report(self, run, report, model):
        """As version 0.1.0 wrote them; and with notes of its owner."""
        loaded = TabularModel.load(model)
        loaded.report = None
        loaded.save(model, metadata={"author": "Ada"})
        assert report("info", model)["training"] is None
        text = run("info", model)[1]
        assert "predicts      dear (2 classes: 'no', 'yes')\n" in text
        assert "note: author  Ada\n" in text
        assert "trained" not in text
        assert "measured" not in text
        assert "learned" not in run("predict", model, model.with_name("flats.csv"))[2]


@pytest.fixture(scope="module")
def matplotlib():
    """Look for fonts before a test reads standard error: for the first time it may tell of it."""
    pytest.importorskip("matplotlib.font_manager")


@pytest.mark.usefixtures("matplotlib")
class TestPlot:
    @pytest.mark.parametrize(
        ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")]
    )
    def test_files(self, report, csv, tmp_path, suffix, start):
        path = tmp_path / f"picture.{suffix}"
        for target in ("dear", "rent"):
            report("train", csv, "--target", target, *QUICK, "--plot", path)
            assert path.read_bytes().startswith(start)
            path.unlink()

    def test_letters_that_the_font_lacks(self, run, csv, tmp_path):
        path = tmp_path / "picture.png"
        flats().rename({"area": "\N{HIRAGANA LETTER A}"}).write_csv(csv)
        status, _, err = run("train", csv, "--target", "rent", *QUICK, "--plot", path)
        assert status == 0
        assert "Glyph" not in err
        assert f"{path}: matplotlib's font lacks some letters of the names" in err

    def test_what_is_drawn(self, report, csv, tmp_path, monkeypatch):
        """Titles and labels are text in the SVG file."""
        import matplotlib as mpl

        monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
        path = tmp_path / "picture.svg"
        result = report("train", csv, "--target", "dear", *QUICK, "--plot", path)
        text = path.read_text()
        right = round(result["accuracy"] * result["n_test"])
        assert f"({right} of {result['n_test']})" in text
        assert ">no<" in text
        assert ">yes<" in text
        report("train", csv, "--target", "rent", *QUICK, "--plot", path)
        for name in ("true rent", "predicted rent"):
            assert name in path.read_text()
        both = ("--target", "rent", "--target", "area")
        report("train", csv, *both, *QUICK, "--plot", path)
        assert ">rent: R" in path.read_text()
        assert ">area: R" in path.read_text()

    @pytest.mark.parametrize("target", ["dear", "rent"])
    def test_nothing_held_out(self, report, csv, tmp_path, target):
        path = tmp_path / "picture.png"
        argv = ("train", csv, "--target", target, *QUICK, "--test-fraction", 0)
        assert report(*argv, "--plot", path)["n_test"] == 0
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_importance_and_calibration(self, report, csv, tmp_path, monkeypatch):
        import matplotlib as mpl

        monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
        path = tmp_path / "picture.svg"
        report("train", csv, "--target", "dear", "--drop", "rent", *QUICK, "--plot", path)
        text = path.read_text()
        for part in ("how much the accuracy falls without", "probability of the predicted", "town"):
            assert part in text
        report("train", csv, "--target", "rent", "--drop", "dear", *QUICK, "--plot", path)
        for part in ("how much R² falls without", "true minus predicted rent"):
            assert part in path.read_text()

    def test_many_classes(self, report, csv, tmp_path, monkeypatch):
        """At most 20 are drawn, and the accuracy is that of all."""
        import matplotlib as mpl

        monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
        path = tmp_path / "picture.svg"
        y = [f"c{i // 10}." for i in range(250)]
        pl.DataFrame({"x": range(250), "y": y}).write_csv(csv)
        found = report("train", csv, "--target", "y", *QUICK, "--plot", path)
        text = path.read_text()
        assert "6 others" in text
        assert len(set(re.findall(r">(c\d+\.)<", text))) == 19
        right = round(found["accuracy"] * 50)
        assert f"({right} of 50)" in text

    def test_arrays(self, report, tmp_path):
        path, data = tmp_path / "picture.png", tmp_path / "data.npz"
        report("train", "digits", "--epochs", 1, "--plot", path)
        digits = path.read_bytes()
        X = np.random.default_rng(0).normal(size=(50, 2))
        np.savez(data, X=X, y=X[:, 0])
        report("train", data, "--epochs", 1, "--plot", path)
        assert digits != path.read_bytes()
        np.savez(data, X=X, y=X[:, 0] > 0)
        report("train", data, "--epochs", 1, "--plot", path)

    def test_without_matplotlib_nothing_is_trained(self, fails, csv, monkeypatch):
        monkeypatch.setattr(_pictures, "find_spec", lambda name: None)
        monkeypatch.setattr(dl.Network, "fit", lambda *args, **kwargs: pytest.fail("trained"))
        for data in (csv, "digits", Path("missing.npz")):
            line = fails("train", data, "--plot", "x.png")
            assert line == "--plot needs matplotlib: pip install 'deltaloop[plot]'"


def test_json_is_one_object_without_nan(run, csv):
    pl.DataFrame({"x": np.arange(30.0), "y": np.arange(30) * 0.5}).write_csv(csv)
    out = run("train", csv, "--target", "y", "--json", *QUICK)[1]
    assert json.loads(out, parse_constant=pytest.fail)["n_test"] == 6
