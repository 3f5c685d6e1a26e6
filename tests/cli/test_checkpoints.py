"""`deltaloop train` with --checkpoint and --resume: killed by signals, it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._files import state as files

# Says that the twentieth epoch is over; then signals find a fit under way.
CODE = """
import sys
import deltaloop as dl
from deltaloop.cli import main
fit = dl.Network.fit
def say(info):
    if info.epoch == 20:
        print("ready", flush=True)
dl.Network.fit = lambda *a, **k: fit(*a, callback=say, **k)
"""
EXTRA = 5


@pytest.fixture(params=["digits", "arrays", "table"])
def data(request, tmp_path):
    """Arguments that name data of each kind."""
    if request.param == "digits":
        return ["digits", "--hidden", "8"]
    rng = np.random.default_rng(2)
    X = rng.normal(size=(120, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=120)
    if request.param == "arrays":
        path = tmp_path / "data.npz"
        np.savez(path, X=X, y=y)
        return [str(path), "--validation", "0.2", "--batch-size", "7"]
    pytest.importorskip("polars")
    pytest.importorskip("narwhals")
    path = tmp_path / "data.csv"
    lines = [
        ",".join(map(repr, map(float, (*row, value)))) for row, value in zip(X, y, strict=True)
    ]
    path.write_text("\n".join(["a,b,c,y", *lines]))
    return [str(path), "--target", "y", "--solver", "adam,lbfgs", "--patience", "100000000",
            "--validation", "0.2"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_then_resume(data, number, run, tmp_path):
    path, model, whole = (str(tmp_path / name) for name in ("run", "model", "whole"))
    kept = ["--checkpoint", path]
    argv = ["train", *data, "--tol", "0", "--epochs"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{CODE}sys.exit(main({[*argv, '100000000', *kept]!r}))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (143 if number == signal.SIGTERM else 130, "")
    epochs = int(files.read(path).state["epochs"])
    assert epochs >= 20
    assert err.splitlines()[0] == (
        f"deltaloop: --resume {path} goes on with the training, after {epochs} epochs"
    )
    more = str(epochs + EXTRA)
    if "adam,lbfgs" in data:
        more += ",3"
    assert run(*argv, more, *kept, "--resume", path, "--output-model", model)[0] == 0
    assert run(*argv, more, "--output-model", whole)[0] == 0
    assert same_model(model, whole)


def same_model(path, other):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*holds a model of a table")  # of tables, too
        nets = [dl.load(path), dl.load(other)]
    return nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def test_the_same_command_begins_goes_on_and_finds_that_all_is_done(data, run, tmp_path):
    path = str(tmp_path / "run")
    argv = ["train", *data, "--epochs", "4", "--json", "--checkpoint", path, "--resume", path]
    reports = []
    for _ in range(3):
        status, out, err = run(*argv)
        assert (status, err) == (0, "")
        reports.append(untimed(out))
    assert reports[0] == reports[1] == reports[2]
    assert '"epochs": 4' in reports[0] or '"epochs": 8' in reports[0]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def untimed(text):
    """A report without how long it took."""
    import json

    report = json.loads(text)
    for name in ("times", "seconds", "date"):
        report.pop(name, None)
    for stage in report.get("stages", ()):
        del stage["seconds"]
    return json.dumps(report)


def test_mistakes(run, fails, tmp_path):
    path = str(tmp_path / "run")
    assert "No such file" in fails("train", "digits", "--resume", path)
    assert run("train", "digits", "--hidden", "4", "--epochs", "2", "--checkpoint", path)[0] == 0
    found = fails("train", "digits", "--hidden", "5", "--epochs", "2", "--resume", path)
    assert "layers [64, 4, 10], this one has [64, 5, 10]" in found
    for name in ("--output-model", "--plot"):
        other = f"{path}.png"
        status, _, err = run("train", "digits", "--checkpoint", other, name, other)
        assert status == 2
        assert "argument --checkpoint: expected another file than" in err
    status, _, err = run("train", "digits", "--checkpoint", str(tmp_path / "none" / "run"))
    assert status == 2
    assert "there is no directory" in err
    status, _, err = run("train", "digits", "--checkpoint-every", "-1")
    assert status == 2
    assert "a finite number from 0" in err
    model = str(tmp_path / "model")
    assert run("train", "digits", "--epochs", "1", "--output-model", model)[0] == 0
    assert "expected a checkpoint" in fails("train", "digits", "--resume", model)
    status, _, err = run("train", "digits", "--checkpoint", model)
    assert status == 2
    assert f"argument --checkpoint: {model!r} is there already, and it is a model" in err
    assert run("info", model)[0] == 0
    assert "checkpoint of a fit" in fails("predict", path, "digits")


def test_what_cannot_be_written_is_said_once(run, monkeypatch, tmp_path):
    from deltaloop._files import atomic

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    path = str(tmp_path / "run")
    argv = ["--epochs", "4", "--hidden", "4", "--checkpoint", path, "--checkpoint-every", "0"]
    status, out, err = run("train", "digits", *argv)
    assert status == 0
    assert out
    assert err.count("\n") == 1
    assert err.startswith(f"deltaloop: the checkpoint could not be written: {path}: No space left")
    assert os.listdir(tmp_path) == []
