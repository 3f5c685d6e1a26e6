"""What ``import deltaloop`` imports: what prediction needs, and nothing that is slow to import."""

from __future__ import annotations

import pytest

import deltaloop as dl
from tests.helpers.processes import run_python

# Each takes a millisecond or more: what reads and writes files, draws, trains or converts.
LATER = [
    "decimal", "hashlib", "hmac", "html", "json", "pathlib", "random", "secrets", "urllib",
    "matplotlib", "onnx", "pandas", "safetensors", "scipy", "sklearn", "torch", "tqdm",
    "deltaloop._export", "deltaloop._files.model", "deltaloop._fit", "deltaloop._html",
    "deltaloop._onnx", "deltaloop.datasets", "deltaloop.plot", "deltaloop.reference",
    "deltaloop.results", "deltaloop.schedules", "deltaloop.sklearn", "deltaloop.solvers",
    "deltaloop.tabular", "deltaloop.trainer",
]  # fmt: skip


def test_import_is_lean():
    output = run_python(
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import deltaloop as dl\n"
        "dl.Network([2, 3, 1]).predict([[0.0, 1.0]])\n"
        "print(*set(sys.modules) - before)\n"
    )
    found = set(output.split())
    assert "deltaloop.network" in found
    # NumPy's random numbers, which a network begins with, bring some of the modules along.
    by_numpy = set(
        run_python(
            "import sys, numpy\n"
            "before = set(sys.modules)\n"
            "numpy.random.SeedSequence()\n"
            "print(*set(sys.modules) - before)\n"
        ).split()
    )
    assert not found & set(LATER) - by_numpy


def test_every_name_is_there_in_a_fresh_process():
    names = sorted({*dl.__all__, *dl._MODULES})
    output = run_python(
        "import warnings, deltaloop as dl\n"
        "warnings.simplefilter('ignore')\n"
        f"print(all(getattr(dl, name) is getattr(dl, name) for name in {names}))\n"
    )
    assert output.strip() == "True"


def test_names():
    later = [name for names in dl._LATER.values() for name in names]
    assert set(later) <= set(dl.__all__)
    assert {*dl.__all__, "plot", "solvers", "schedules", "datasets"} <= set(dir(dl))
    with pytest.raises(AttributeError, match="no attribute 'Adamant'"):
        _ = dl.Adamant
    assert run_python(
        "from deltaloop import *\nprint(Adam(0.5), FitResult.__name__)\n"
    ).split() == [
        "Adam(learning_rate=0.5)",
        "FitResult",
    ]
