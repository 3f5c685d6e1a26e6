"""How tests/conftest.py runs the tests: in how many processes, and which are left out."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest

FOLDER, FILE = str(Path(__file__).parent), __file__


def config(*args, xdist=True, **options):
    """What a run is given, as far as the hooks look at it."""
    given = {"numprocesses": None, "dist": "no", "tx": [], "usepdb": False, "collectonly": False}
    given |= {"slow": False, "markexpr": ""} | options
    return SimpleNamespace(
        args=list(args),
        option=SimpleNamespace(**given),
        pluginmanager=SimpleNamespace(hasplugin=lambda name: xdist),
        hook=SimpleNamespace(pytest_deselected=lambda items: None),
    )


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Leave the environment as it is."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


@pytest.mark.parametrize(
    ("given", "processes"),
    [
        (config(FOLDER), 4),
        (config(FILE, FOLDER), 4),
        (config(FILE), None),
        (config(f"{FILE}::test"), None),
        (config(FOLDER, numprocesses=0), 0),
        (config(FOLDER, numprocesses=3), 3),
        (config(FOLDER, usepdb=True), None),
        (config(FOLDER, collectonly=True), None),
        (config(FOLDER, xdist=False), None),
    ],
)
def test_processes(given, processes, monkeypatch):
    monkeypatch.setattr(conftest, "_processors", lambda: 4)
    conftest.pytest_cmdline_main(given)
    assert given.option.numprocesses == processes


def test_no_processes_of_processes_nor_on_one_processor(monkeypatch):
    worker = config(FOLDER)
    worker.workerinput = {}
    monkeypatch.setattr(conftest, "_processors", lambda: 4)
    conftest.pytest_cmdline_main(worker)
    monkeypatch.setattr(conftest, "_processors", lambda: 1)
    alone = config(FOLDER)
    conftest.pytest_cmdline_main(alone)
    assert worker.option.numprocesses is alone.option.numprocesses is None


class Item:
    def __init__(self, *marks):
        self.marks = marks

    def get_closest_marker(self, name):
        return name in self.marks


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (config(FOLDER), 1),
        (config(FILE), 1),
        (config(FOLDER, slow=True), 2),
        (config(FOLDER, markexpr="slow"), 2),  # pytest itself looks at the marks
        (config(f"{FILE}::test"), 2),
    ],
)
def test_slow_tests_are_left_out_unless_they_are_asked_for(given, left):
    items = [Item("slow"), Item("filterwarnings")]
    conftest.pytest_collection_modifyitems(given, items)
    assert len(items) == left
