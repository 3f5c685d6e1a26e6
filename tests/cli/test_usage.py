"""The command line: wrong arguments, help, and what becomes of the process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import deltaloop as dl

COMMAND = [sys.executable, "-m", "deltaloop"]


class TestUsage:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            ((), "the following arguments are required: COMMAND"),
            (("walk",), "argument COMMAND: invalid choice: 'walk'"),
            (("train",), "the following arguments are required: DATA"),
            (("train", "digits", "--walk"), "unrecognized arguments: --walk"),
            (("train", "digits", "--hidden", "8,x"), "argument --hidden: expected sizes from 1"),
            (("train", "digits", "--hidden", "8,,8"), "argument --hidden: expected sizes from 1"),
            (("train", "digits", "--hidden", "0"), "argument --hidden: expected sizes .* got '0'"),
            (("train", "digits", "--hidden=-3"), "argument --hidden: expected sizes .* got '-3'"),
            (("train", "digits", "--hidden", "1.5"), "argument --hidden: expected sizes"),
            (("train", "digits", "--activation", "gel"), "argument --activation: invalid choice"),
            (("train", "digits", "--activation", "step"), "argument --activation: invalid choice"),
            (("train", "digits", "--loss", "mse"), "argument --loss: invalid choice"),
            (
                ("train", "digits", "--loss", "huber"),
                "argument --loss: huber does not go with classes .* which digits has",
            ),
            (
                ("train", "digits", "--loss-parameter", "0.5"),
                "argument --loss-parameter: expected huber or quantile, got 0.5",
            ),
            (("train", "digits", "--loss-parameter", "0"), "argument --loss-parameter: expected"),
            (("train", "digits", "--epochs", "0"), "argument --epochs: expected a whole number"),
            (("train", "digits", "--epochs", "many"), "argument --epochs: .* got 'many'"),
            (("train", "digits", "--epochs", "1e3"), "argument --epochs: expected a whole number"),
            (("train", "digits", "--solver", "newton"), "argument --solver: expected gd, adam"),
            (
                ("train", "digits", "--solver", "scg", "--learning-rate", "1"),
                "argument --learning-rate: --solver scg has none",
            ),
            (
                ("train", "digits", "--solver", "lbfgs", "--momentum", "0"),
                "argument --momentum: --solver lbfgs has none",
            ),
            (
                ("train", "digits", "--solver", "lbfgs", "--batch-size", "8"),
                "argument --batch-size: --solver lbfgs has none",
            ),
            (("train", "digits", "--learning-rate", "0"), "argument --learning-rate: expected"),
            (("train", "digits", "--learning-rate=-1"), "argument --learning-rate: expected"),
            (("train", "digits", "--learning-rate", "inf"), "argument --learning-rate: expected"),
            (("train", "digits", "--learning-rate", "nan"), "argument --learning-rate: expected"),
            (("train", "digits", "--learning-rate", "x"), "argument --learning-rate: .* got 'x'"),
            (("train", "digits", "--momentum", "1"), "argument --momentum: expected a number from"),
            (("train", "digits", "--momentum=-0.1"), "argument --momentum: expected a number from"),
            (("train", "digits", "--momentum", "nan"), "argument --momentum: expected a number"),
            (("train", "digits", "--solver", "gd,x"), "argument --solver: .* got 'gd,x'"),
            (("train", "digits", "--solver", "gd,auto"), "argument --solver: .* got 'gd,auto'"),
            (("train", "digits", "--solver", "auto", "-o", "memory=3"), "argument --option"),
            (("train", "digits", "--epochs", "3,4"), "argument --epochs: expected one number"),
            (("train", "digits", "-o", "memory"), "argument --option/-o: expected NAME=VALUE"),
            (("train", "digits", "-o", "memory=3"), "argument --option: --solver gd has no memory"),
            (
                ("train", "digits", "--solver", "lm", "-o", "damping_rule=x"),
                "argument --option: damping_rule must be one of",
            ),
            (("train", "digits", "--schedule", "x"), "argument --schedule: expected .* got 'x'"),
            (("train", "digits", "--schedule", "step"), "argument --schedule: step needs epochs"),
            (
                ("train", "digits", "--schedule", "step,epochs=3,x=1"),
                "argument --schedule: step has no x",
            ),
            (
                ("train", "digits", "--schedule", "step,epochs=0"),
                "argument --schedule: epochs must be at least 1",
            ),
            (
                ("train", "digits", "--solver", "lm", "--schedule", "cosine"),
                "argument --schedule: --solver lm has no rates",
            ),
            (("train", "digits", "--l1", "-1"), "argument --l1: expected a finite number from 0"),
            (("train", "digits", "--l2", "nan"), "argument --l2: expected a finite number from 0"),
            (("train", "digits", "--dropout", "1"), "argument --dropout: expected a number from 0"),
            (("train", "digits", "--patience", "3"), "argument --patience: it needs --validation"),
            (("train", "digits", "--validation", "1"), "argument --validation: expected a number"),
            (("train", "digits", "--class-weight", "x"), "argument --class-weight: invalid choice"),
            (("train", "digits", "--residual"), "argument --residual: the first hidden layer"),
            (("train", "digits", "--threads", "0"), "argument --threads: expected a whole number"),
            (("train", "digits", "--init", "x"), "argument --init: invalid choice"),
            (("train", "digits", "--batch-size", "0"), "argument --batch-size: expected a whole"),
            (("train", "digits", "--solver", "x"), "argument --solver: .* got 'x'"),
            (
                ("train", "digits", "--solver", "lm", "--learning-rate", "1"),
                "argument --learning-rate: --solver lm has none",
            ),
            (
                ("train", "digits", "--solver", "br", "--batch-size", "8"),
                "argument --batch-size: --solver br has none",
            ),
            (
                ("train", "digits", "--batch-size", "1439"),
                "--batch-size: expected at most the 1438 training rows of digits, got 1439",
            ),
            (("train", "digits", "--test-fraction", "-1"), "argument --test-fraction: expected a"),
            (("train", "digits", "--test-fraction", "1"), "argument --test-fraction: expected a"),
            (("train", "digits", "--test-fraction", "nan"), "argument --test-fraction: expected"),
            (("train", "digits", "--seed=-1"), "argument --seed: expected a whole number from 0"),
            (("train", "digits", "--seed", "x"), "argument --seed: expected a whole number from 0"),
            (("train", "digits", "--output-model", ""), "argument --output-model: expected the"),
            (("train", "digits", "--output-model", "."), "argument --output-model: expected the"),
            (
                ("train", "digits", "--output-model", "no/such/model"),
                "argument --output-model: there is no directory 'no/such'",
            ),
            (
                ("train", "digits", "--output-model", "/dev/stdin"),
                "argument --output-model: /dev/stdin: expected a file to write to, found the stand",
            ),
            *(
                (
                    ("train", "digits", "--output-model", f"new.{end}"),
                    f"argument --output-model: expected a name such as .*, got 'new.{end}'",
                )
                for end in ("csv", "TSV", "txt", "parquet", "csv.gz", "npz", "npy", "onnx")
            ),
            (("predict",), "the following arguments are required: MODEL, FILE"),
            (("predict", "model"), "the following arguments are required: FILE"),
        ],
    )
    def test_wrong_arguments(self, run, argv, message):
        status, out, err = run(*argv)
        assert (status, out) == (2, "")
        assert err.startswith("usage: deltaloop")
        assert re.search(message, err)

    def test_version(self, run):
        assert run("--version") == (0, f"deltaloop {dl.__version__}\n", "")

    @pytest.mark.parametrize("command", ["", "train", "predict", "info"])
    def test_help(self, run, command, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        status, out, err = run(*command.split(), "--help")
        assert (status, err) == (0, "")
        assert out.startswith(f"usage: deltaloop {command}".rstrip())
        assert max(map(len, out.splitlines())) <= 80

    def test_help_names_every_default(self, run, monkeypatch):
        monkeypatch.setenv("COLUMNS", "400")
        out = run("train", "--help")[1]
        for option, default in {
            "--hidden": "64",
            "--activation": "tanh",
            "--solver": "gd; auto for tables",
            "--epochs": "100",
            "--learning-rate": "0.05 / batch size",
            "--momentum": "0.9",
            "--batch-size": "32, or all training rows where they are fewer",
            "--test-fraction": "0.2",
            "--seed": "0",
        }.items():
            text = re.search(rf"^  {option} ((?!\n  -).)*", out, re.MULTILINE | re.DOTALL)
            assert f"({default})" in text[0]


class TestProcess:
    def test_module(self):
        result = subprocess.run(
            [*COMMAND, "train", "digits", "--epochs", "2", "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(result.stdout)["epochs"] == 2
        assert result.stderr == ""

    def test_errors_are_one_line(self, tmp_path):
        result = subprocess.run(
            [*COMMAND, "train", tmp_path / "missing.npz"], capture_output=True, text=True
        )
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert "Traceback" not in result.stderr

    @pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("data", ["digits", pytest.param("table.csv", marks=pytest.mark.slow)])
    def test_signal_while_training(self, tmp_path, number, data):
        """The model so far is saved, with its scaling, and standard error says so."""
        model = tmp_path / "model"
        if data != "digits":
            pytest.importorskip("polars")
            pytest.importorskip("narwhals")
            data = str(tmp_path / data)
            lines = [f"{x / 10},{'yes' if x < 80 else 'no'}" for x in range(200)]
            Path(data).write_text("\n".join(["x,y", *lines]))
        argv = ["train", data, "--epochs", "100000000", "--solver", "gd", "--l2", "0.001"]
        argv += ["--tol", "0", "--output-model", str(model)]
        argv += [] if data == "digits" else ["--target", "y"]
        # During the imports, which the marker ends, Python itself would print a traceback.
        code = (
            "import sys\nimport deltaloop as dl\nfrom deltaloop.cli import main\n"
            "fit = dl.Network.fit\n"
            "def say(info):\n    if info.epoch == 20:\n        print('ready', flush=True)\n"
            "dl.Network.fit = lambda *a, **k: fit(*a, callback=say, **k)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}sys.exit(main({argv!r}))"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        what, status = ("interrupted", 130) if number == signal.SIGINT else ("terminated", 143)
        assert (process.returncode, out) == (status, "")
        first, second = err.splitlines()
        found = re.fullmatch(
            r"deltaloop: the model so far, of (\d+) epochs, is saved in (.*)", first
        )
        assert found is not None
        assert int(found[1]) >= 20
        assert (found[2], second) == (str(model), f"deltaloop: {what}")
        result = subprocess.run([*COMMAND, "predict", model, data, "--json"], capture_output=True)
        assert json.loads(result.stdout)["accuracy"] > 0.5

    def test_a_signal_before_training_saves_nothing(self, run, monkeypatch, tmp_path):
        def interrupt(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(dl.Network, "fit", interrupt)
        model = tmp_path / "model"
        end = run("train", "digits", "--output-model", model)
        assert end == (130, "", "deltaloop: interrupted\n")
        assert not list(tmp_path.iterdir())

    def test_a_model_so_far_that_cannot_be_saved(self, run, monkeypatch, tmp_path):
        fit = dl.Network.fit

        def interrupt(info):
            raise KeyboardInterrupt

        def refuse(*args, **kwargs):
            raise OSError("no room")

        monkeypatch.setattr(dl.Network, "fit", lambda *a, **k: fit(*a, callback=interrupt, **k))
        monkeypatch.setattr(dl.Network, "save", refuse)
        status, out, err = run("train", "digits", "--output-model", tmp_path / "model")
        assert (status, out) == (130, "")
        assert err == "deltaloop: the model so far is not saved: no room\ndeltaloop: interrupted\n"

    @pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals")
    def test_signals_are_as_they_were_after_a_command(self, run):
        before = signal.getsignal(signal.SIGTERM)
        assert run("info")[0] == 0
        assert signal.getsignal(signal.SIGTERM) is before

    @pytest.mark.skipif(os.name != "posix", reason="closed pipes fail in other ways elsewhere")
    def test_reader_that_goes_away(self, model):
        path, data = model
        process = subprocess.Popen(
            [*COMMAND, "predict", path, data], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=120) == 1
        assert b"Traceback" not in err
        assert b"Exception" not in err

    def test_trains_without_tqdm(self):
        code = (
            "import sys\n"
            "sys.modules['tqdm'] = None\n"
            "from deltaloop.cli import main\n"
            "sys.exit(main(['train', 'digits', '--epochs', '2']))\n"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.skipif(os.name != "posix", reason="needs pseudo-terminals")
    def test_progress_bar_on_a_terminal(self):
        pytest.importorskip("tqdm")
        import pty
        import termios

        leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 80))
        process = subprocess.Popen(
            [*COMMAND, "train", "digits", "--json"], stdout=subprocess.PIPE, stderr=follower
        )
        os.close(follower)
        out = process.stdout.read()
        process.stdout.close()
        assert process.wait(timeout=120) == 0
        shown = os.read(leader, 1 << 16).decode()
        os.close(leader)
        for part in ("reading", "training", "measuring", "100%"):
            assert part in shown
        assert json.loads(out)["epochs"] == 100

    def test_interrupt_while_training(self, run, monkeypatch):
        def interrupt(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(dl.Network, "fit", interrupt)
        assert run("train", "digits") == (130, "", "deltaloop: interrupted\n")

    def test_out_of_memory(self, run, monkeypatch):
        def exhaust(*args, **kwargs):
            raise MemoryError

        monkeypatch.setattr(dl.Network, "fit", exhaust)
        assert run("train", "digits") == (1, "", "deltaloop: not enough memory\n")
