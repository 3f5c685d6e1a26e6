"""Files that change while they are read: what is loaded is one file, whole, or refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.tabular import TabularModel

pytest.importorskip("narwhals")
pytest.importorskip("polars")
pytest.importorskip("onnx")

# Seconds after which something is wrong, on a machine that has much to do.
LIMIT = 120

# Save two models to one path in turn, until the standard input ends. Their files differ in size and
# in all that they say, so that any mixture of both is seen.
SAVER = """
import sys, threading
import deltaloop as dl
{make}
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
while True:
    for model in models:
        model.save(sys.argv[1])
        if sys.argv[2:]:
            model.to_onnx(sys.argv[2])
    print(flush=True) if not done.is_set() else sys.exit()
"""

NETWORKS = """
models = [dl.Network([3, n, 2], activation="tanh", seed=n) for n in (8, 30)]
for model in models:
    model.parameters = [float(model.layers[1])] * model.n_parameters
"""

TABLES = """
from deltaloop.tabular import TabularModel
models = [
    TabularModel(hidden=n, seed=n).fit(
        {"x": [float(i % 7) for i in range(60)], "t": list("ab" * 30)}, target, l2=1.0
    )
    for n, target in ((8, "x"), (9, "t"))
]
"""


@pytest.fixture
def beside(tmp_path):
    """Start a saver, and yield how to call a function as long as it saves."""
    started = []

    def call(make, function, least, seconds=0.6, *, done=lambda: True, onnx=False):
        """Call for some seconds, at least so often, and until it is done."""
        paths = [tmp_path / "model", *([tmp_path / "model.onnx"] if onnx else [])]
        code = SAVER.format(make=make)
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline()
        begin, n = time.monotonic(), 0
        while time.monotonic() - begin < seconds or n < least or not done():
            function(paths[-1])
            n += 1
            assert time.monotonic() - begin < LIMIT

    yield call
    for process in started:
        process.communicate()
        assert process.returncode == 0


def test_networks(beside):
    seen = set()

    def load(path):
        network = dl.load(path)
        n = network.layers[1]
        assert network.seed == n
        assert (network.parameters == float(n)).all()
        seen.add(n)

    beside(NETWORKS, load, 50, done=lambda: seen == {8, 30})


def test_tables(beside):
    seen = set()

    def load(path):
        model = TabularModel.load(path)
        assert (model.target, model.network.layers[1]) in (("x", 8), ("t", 9))
        seen.add(model.target)

    beside(TABLES, load, 50, done=lambda: seen == {"x", "t"})


def test_onnx(beside):
    pytest.importorskip("onnx")

    def load(path):
        network = dl.from_onnx(path)
        assert (network.parameters == float(network.layers[1])).all()

    beside(NETWORKS, load, 20, 0.5, onnx=True)


# Read a file again and again while it is cut in place and written anew, until both has been seen.
READER = """
import sys
import deltaloop as dl
read, whole, refused = getattr(dl, sys.argv[1]), 0, 0
while whole + refused < 20 or not (whole and refused):
    try:
        assert read(sys.argv[2]).layers == (500, 1000, 10)
        whole += 1
    except ValueError:
        refused += 1
    print(flush=True) if whole + refused == 1 else None
print(whole, refused)
"""


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be cut elsewhere")
@pytest.mark.parametrize("function", ["load", "from_onnx"])
def test_a_file_that_is_cut_while_it_is_read(function, tmp_path):
    path = tmp_path / "model"
    network = dl.Network([500, 1000, 10], seed=0)
    network.parameters = np.ones(network.n_parameters)
    if function == "load":
        network.save(path)
    else:
        pytest.importorskip("onnx")
        network.to_onnx(path)
    content = path.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", READER, function, str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "\n"
    rng = np.random.default_rng(0)
    end = time.monotonic() + LIMIT
    while process.poll() is None and time.monotonic() < end:
        os.truncate(path, int(rng.integers(len(content))))
        time.sleep(0.002)
        path.write_bytes(content)
        time.sleep(float(rng.uniform(0, 0.02)))
    whole, refused = process.communicate(timeout=LIMIT)[0].split()
    assert process.returncode == 0
    assert int(whole) > 0
    assert int(refused) > 0


@pytest.mark.parametrize("command", ["load", "TabularModel", "from_onnx", "predict", "info"])
def test_a_name_is_opened_once(command, tmp_path, capsys):
    """Whoever opens a name twice may find two files, however seldom."""
    from deltaloop.cli import main

    model, table = tmp_path / "model.onnx", tmp_path / "table.csv"
    table.write_text("x,t\n" + "1,a\n2,b\n" * 20)
    if command == "from_onnx":
        pytest.importorskip("onnx")
        dl.Network([2, 1], seed=0).to_onnx(model)
    elif command == "load":
        dl.Network([2, 1], seed=0).save(model)
    else:
        fitted = TabularModel(hidden=2).fit({"x": [1, 2] * 20, "t": ["a", "b"] * 20}, "t", l2=1.0)
        fitted.save(model)
    read = {
        "load": lambda: dl.load(model),
        "TabularModel": lambda: TabularModel.load(model),
        "from_onnx": lambda: dl.from_onnx(model),
        "predict": lambda: main(["predict", str(model), str(table)]),
        "info": lambda: main(["info", str(model)]),
    }[command]
    opened = []
    listening = [True]

    def hear(event, arguments):
        if listening and event in ("open", "mmap.__new__"):
            opened.append((str(arguments[0]), arguments[1] is None))

    def times(path):
        """How often a path was opened: `open` tells of itself, and of the os.open in it, if any."""
        return max(opened.count((str(path), within)) for within in (False, True))

    sys.addaudithook(hear)
    try:
        read()
    finally:
        listening.clear()
    assert times(model) == 1
    assert times(table) == (command == "predict")
