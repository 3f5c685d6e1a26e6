"""The command line as functions: run it, read its report, or see it fail. Files for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.samples import blobs


@pytest.fixture
def run(capsys):
    """Run the command line in this process; returns status, output and messages."""

    def run(*argv: object) -> tuple[int, str, str]:
        from deltaloop.cli import main

        try:
            status = main([str(arg) for arg in argv])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def report(run):
    """Run a command with --json that must succeed; returns its one object."""

    def report(*argv: object) -> dict:
        status, out, err = run(*argv, "--json")
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=pytest.fail)

    return report


@pytest.fixture
def fails(run):
    """Run a command that must fail with status 1 and one line; returns that line."""

    def fails(*argv: object) -> str:
        status, out, err = run(*argv)
        assert (status, out) == (1, "")
        assert err.startswith("deltaloop: ")
        assert err.count("\n") == 1
        return err.removeprefix("deltaloop: ").rstrip("\n")

    return fails


@pytest.fixture
def npz(tmp_path):
    def npz(name: str = "data", **arrays: object) -> Path:
        path = tmp_path / f"{name}.npz"
        np.savez(path, **arrays)
        return path

    return npz


@pytest.fixture
def model(report, npz, tmp_path):
    """A model of three classes and the file it was trained on."""
    X, y = blobs()
    path, data = tmp_path / "model.safetensors", npz("training", X=X, y=y)
    report("train", data, "--output-model", path)
    return path, data
