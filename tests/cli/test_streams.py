"""The standard output and error, closed, full or of another encoding; where outputs may go."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.tabular import TabularModel

pytest.importorskip("narwhals")
pytest.importorskip("polars")
pytest.importorskip("matplotlib")
pytest.importorskip("onnx")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table with a class that only Unicode has, and models of it and of arrays."""
    folder = tmp_path_factory.mktemp("streams")
    rows = {"x": [0.0, 1.0] * 20, "t": ["Köln", "≈"] * 20}
    (folder / "table.csv").write_text("x,t\n" + "0,Köln\n1,≈\n" * 20)
    TabularModel(hidden=2).fit(rows, "t", l2=0.001).save(folder / "table")
    dl.Network([2, 1], seed=0).save(folder / "arrays")
    np.savez(folder / "X.npz", X=np.zeros((3, 2)))
    return folder


@pytest.fixture
def shell(folder):
    """Run the command line in a shell; returns status, output and messages."""

    def shell(line, **environment):
        command = f"{sys.executable} -m deltaloop {line}"
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
        )
        assert b"Traceback" not in done.stderr
        assert b"Exception" not in done.stderr
        encoding = environment.get("PYTHONIOENCODING", "utf-8")
        return done.returncode, done.stdout, done.stderr.decode(encoding)

    return shell


@pytest.fixture
def speak(folder, monkeypatch):
    """Run the command line in this process, to streams as Python makes them."""

    def speak(*argv, encoding="utf-8", out=True, err=True):
        from deltaloop.cli import main

        written = [io.BytesIO(), io.BytesIO()]
        streams = [
            io.TextIOWrapper(raw, encoding, write_through=True) if is_open else None
            for raw, is_open in zip(written, (out, err), strict=True)
        ]
        monkeypatch.chdir(folder)
        with monkeypatch.context() as within:
            within.setattr(sys, "stdout", streams[0])
            within.setattr(sys, "stderr", streams[1])
            status = main(argv)
        return status, written[0].getvalue(), written[1].getvalue().decode(encoding)

    return speak


QUICK = "train table.csv --target t --hidden 2 --l2 0.1 --epochs 30"
CLOSED = "deltaloop: standard output: Bad file descriptor\n"


@pytest.mark.parametrize("command", ["predict arrays X.npz", QUICK, "info", "info arrays"])
def test_a_closed_output(speak, folder, command):
    more = ["--output-model", "made"] * command.startswith("train")
    assert speak(*command.split(), *more, out=False) == (1, b"", CLOSED)
    assert not (folder / "made").exists()


def test_a_closed_output_of_a_process(shell):
    assert shell("info >&-") == (1, b"", CLOSED)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_output(shell):
    message = "deltaloop: standard output: No space left on device\n"
    assert shell("predict arrays X.npz >/dev/full") == (1, b"", message)


def test_an_output_that_only_reads(shell):
    assert shell("info 1</dev/null") == (1, b"", CLOSED)


def test_what_prints_nothing_needs_no_output(speak, folder):
    status, _, _ = speak("predict", "table", "table.csv", "--output", "out.csv", out=False)
    assert status == 0
    (folder / "out.csv").unlink()


def test_closed_messages(speak, shell):
    """They do not end up in the output."""
    expected = 0, ("Köln\n≈\n" * 20).encode(), ""
    assert speak("predict", "table", "table.csv", err=False) == expected
    assert speak("predict", "none", "table.csv", err=False) == (1, b"", "")
    assert shell("predict none table.csv 2>&-") == (1, b"", "")


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", b"K\\xf6ln\n\\u2248\n"),
        ("cp1252", b"K\xf6ln\n\\u2248\n"),
        ("utf-8", "Köln\n≈\n".encode()),
    ],
)
def test_what_an_encoding_cannot_say_is_escaped(speak, encoding, expected):
    status, out, err = speak("predict", "table", "table.csv", encoding=encoding)
    assert (status, out) == (0, expected * 20)
    assert err.startswith("accuracy ")
    _, out, _ = speak("predict", "table", "table.csv", "--json", encoding=encoding)
    assert set(json.loads(out)["predictions"]) == {"Köln", "≈"}
    status, out, err = speak("info", "table", encoding=encoding)
    assert (status, err) == (0, "")
    assert expected.splitlines()[0] in out


def test_an_encoding_of_a_process(shell):
    status, out, _ = shell("predict table table.csv", PYTHONIOENCODING="cp1252")
    assert (status, out) == (0, b"K\xf6ln\n\\u2248\n" * 20)


def test_a_name_that_is_not_unicode(speak, folder):
    name = os.fsdecode(b"m\xff")
    (folder / name).write_bytes((folder / "arrays").read_bytes())
    status, out, err = speak("info", name)
    assert (status, err) == (0, "")
    assert rb"m\udcff" in out


class TestOutputs:
    @pytest.mark.parametrize("flag", ["--output-model", "--plot"])
    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("folder.png", "expected the name of a file, got 'folder.png'"),
            ("none/m.png", "there is no directory 'none'"),
            ("link.png", "cannot write to 'link.png': No such file or directory"),
            ("loop.png", "cannot write to 'loop.png': Too many levels of symbolic links"),
            ("table.csv/m.png", "there is no directory 'table.csv'"),
            ("n" * 300 + ".png", "cannot write to 'nnn"),
            ("pipe.png", "pipe.png: expected a regular file or a new name, found something else"),
        ],
    )
    def test_they_are_tried_before_training(self, run, folder, monkeypatch, flag, path, message):
        from deltaloop.cli import _table_files

        pytest.importorskip("matplotlib")
        monkeypatch.chdir(folder)
        monkeypatch.setattr(_table_files, "read", None)
        for name, make in {
            "folder.png": os.mkdir,
            "pipe.png": os.mkfifo,
            "link.png": lambda name: os.symlink("none/such", name),
            "loop.png": lambda name: os.symlink(name, name),
        }.items():
            if not os.path.lexists(name):
                make(name)
        before = sorted(os.listdir())
        status, out, err = run("train", "table.csv", "--target", "t", flag, path)
        assert (status, out) == (2, "")
        assert f"argument {flag}: " in err
        assert message in err
        assert sorted(os.listdir()) == before

    def test_they_are_not_what_is_read(self, run, folder, monkeypatch):
        monkeypatch.chdir(folder)
        os.link("table.csv", "same.csv")
        for argv, message in (
            (("train", "table.csv", "--output-model", "./table.csv"), "file than the data"),
            (("predict", "table", "table.csv", "--output", "same.csv"), "file than the rows"),
            (
                ("train", "digits", "--output-model", "a.png", "--plot", f"{folder}/a.png"),
                "argument --plot: expected another file than --output-model, 'a.png'",
            ),
        ):
            status, _, err = run(*argv)
            assert status == 2
            assert message in err
        os.unlink("same.csv")

    @pytest.mark.slow
    def test_devices(self, speak, shell):
        pytest.importorskip("matplotlib")
        null = "/dev/null"
        status, out, err = speak(*QUICK.split(), "--output-model", null, "--plot", null)
        assert (status, err) == (0, "")
        assert b"model  /dev/null\n" in out
        status, out, _ = shell("predict table table.csv --output /dev/stdout --only-predictions")
        assert (status, out) == (
            0,
            "t\nKöln\n≈\n".encode() + "Köln\n≈\n".encode() * 19,
        )

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    @pytest.mark.parametrize("flag", ["--output-model", "--plot"])
    def test_a_device_that_is_full(self, speak, flag):
        pytest.importorskip("matplotlib")
        status, _, err = speak(*QUICK.split(), flag, "/dev/full")
        assert (status, err) == (1, "deltaloop: /dev/full: No space left on device\n")

    @pytest.mark.parametrize("suffix", ["csv", "parquet", "png", "safetensors", "onnx"])
    def test_they_are_whole_or_as_they_were(self, run, folder, monkeypatch, suffix):
        monkeypatch.chdir(folder)
        path = folder / f"out.{suffix}"
        path.write_bytes(b"before")
        before = sorted(os.listdir())

        def fsync(descriptor):
            assert path.read_bytes() == b"before"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fsync)
        if suffix == "onnx":
            pytest.importorskip("onnx")
            with pytest.raises(OSError, match="No space left") as caught:
                dl.Network([2, 1], seed=0).to_onnx(path)
            assert caught.value.filename == str(path)
        else:
            pytest.importorskip("matplotlib")
            argv = {
                "png": [*QUICK.split(), "--plot", path],
                "safetensors": [*QUICK.split(), "--output-model", path],
            }.get(suffix, ["predict", "table", "table.csv", "--output", path])
            status, _, err = run(*argv)
            assert status == 1
            assert err.endswith(f"deltaloop: {path}: No space left on device\n")
        assert path.read_bytes() == b"before"
        assert sorted(os.listdir()) == before
