"""What a fit to blocks refuses, with the block and the row, and what happens on errors."""

from __future__ import annotations

import _thread
import importlib
import threading

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._blocks import ahead, windows
from tests.helpers.processes import run_python

X = np.random.default_rng(0).normal(size=(300, 2))
Y = X[:, :1] + 0.1
CLASSES = (X[:, 0] > 0).astype(int)


def blocks(x=X, y=Y, *rest):
    """Return three blocks."""
    return [tuple(array[begin : begin + 100] for array in (x, y, *rest)) for begin in (0, 100, 200)]


def network(output="identity"):
    return dl.Network([2, 3, 2 if output == "softmax" else 1], output=output, seed=0)


def changed(array, row, value):
    result = np.array(array)
    result[row] = value
    return result


CASES = [
    (blocks(changed(X, 142, np.nan)), {}, r"block 1 of X \(row 100 on\) holds nan at row 42, colu"),
    (blocks(X, changed(Y, 299, np.inf)), {}, r"block 2 of Y \(row 200 on\) holds inf at row 99"),
    (blocks(X[:, :1]), {}, r"block 0 of X \(row 0 on\) must have 2 columns.*got 1"),
    (blocks(X, np.column_stack([Y, Y])), {}, r"block 0 of Y \(row 0 on\) must have shape"),
    (blocks(X, Y, -np.ones(300)), {}, r"block 0 of sample_weight \(row 0 on\) holds -1.0 at row 0"),
    (blocks(X, Y, np.zeros(300)), {}, "sample_weight holds nothing but zeros"),
    ([*blocks(), (X, Y, Y[:, 0] ** 2)], {}, r"block 3 of X \(row 300 on\) has weights"),
    ([(X, Y[:7])], {}, "block 0 of X has 300 instances but its Y has 7"),
    ([(X, Y, Y, Y)], {}, r"block 0 of X must be \(X, Y\)"),
    ([(X,)], {}, r"block 0 of X \(row 0 on\) has no targets; give \(X, Y\)"),
    ([(X[0], Y)], {}, r"block 0 of X must have shape \(rows, m0\)"),
    ([], {}, "X is empty: it has no instances"),
    ([(X[:0], Y[:0])], {}, "X is empty: it has no instances"),
    (blocks(), {"validation": 0.1}, r"validation=0.1 sets rows aside at random.*iterable of \(X"),
    (blocks(), {"patience": 3}, "patience needs validation"),
    (blocks(), {"solver": dl.Adam(batch_size=9)}, r"Adam\(shuffle=True\) draws rows from everyw"),
    (blocks(), {"sample_weight": np.ones(7)}, r"block 0 of sample_weight .*must have shape"),
    (blocks(), {"sample_weight": np.ones(301)}, r"sample_weight must have shape \(300,\)"),
    (blocks(), {"class_weight": "balanced"}, "class_weight needs targets that are classes"),
    (blocks(), {"scale": "minmax", "missing_targets": "skip"}, "go together only where X lies in"),
    (blocks(), {"solver": dl.Adam(batch_size=301, shuffle=False)}, "batch_size must be at most"),
    ((block for block in blocks()), {}, "can be read only once"),
]


@pytest.mark.parametrize(("data", "options", "message"), CASES, ids=[c[2] for c in CASES])
def test_refusals(data, options, message):
    net = network()
    before, threads = net.parameters.tobytes(), threading.active_count()
    with pytest.raises(ValueError, match=message):
        net.fit(data, None, **{"solver": dl.LBFGS(), **options})
    assert net.parameters.tobytes() == before
    assert threading.active_count() == threads


def test_types_that_are_refused():
    net = network()
    with pytest.raises(TypeError, match="sample_weight must be an array"):
        net.fit(blocks(), None, solver=dl.LBFGS(), sample_weight="w")
    with pytest.raises(TypeError, match="block 0 of X must hold real numbers"):
        net.fit([(np.array([["a", "b"]]), [1.0])], None, solver=dl.LBFGS())
    with pytest.raises(TypeError, match=r"X must be an array, or the path .*'a.csv'; read the f"):
        net.fit("a.csv", "y", solver=dl.LBFGS())
    soft = network("softmax")
    mixed = [(X, CLASSES), (X, np.eye(2)[CLASSES])]
    with pytest.raises(
        ValueError, match=r"block 1 of Y \(row 300 on\) holds values, and those bef"
    ):
        soft.fit(mixed, None, solver=dl.LBFGS())
    with pytest.raises(ValueError, match=r"block 0 of Y \(row 0 on\) holds class 1000 at row 5"):
        soft.fit([(X, changed(CLASSES, 5, 1000))], None, solver=dl.LBFGS())


class Changing:
    """Other blocks in each pass."""

    def __init__(self, *passes):
        self.passes, self.number = passes, 0

    def __iter__(self):
        self.number += 1
        given = self.passes[min(self.number, len(self.passes)) - 1]
        for block in given:
            if isinstance(block, Exception):
                raise block
            yield block


@pytest.mark.parametrize(
    ("later", "kind", "message"),
    [
        (blocks()[:2], ValueError, "gave 300 rows in its first pass and has 200 this time"),
        ([*blocks(), *blocks()], ValueError, "gave 300 rows in its first pass and has more"),
        ([blocks()[0], OSError("gone")], OSError, "gone"),
    ],
)
def test_sources_that_change(later, kind, message, monkeypatch):
    monkeypatch.setattr(windows, "MEMORY", 2000)
    monkeypatch.setattr(windows, "LEAST", 100)
    for solver in (dl.LBFGS(), dl.LevenbergMarquardt(), dl.Adam(batch_size=7, shuffle=False)):
        threads = threading.active_count()
        with pytest.raises(kind, match=message):
            network().fit(Changing(blocks(), blocks(), later), None, solver=solver, tol=0.0)
        assert threading.active_count() == threads
    with pytest.raises(kind, match=message):
        network().cost(Changing(blocks(), later), None)
    with pytest.raises(kind, match=message):
        network().fit(
            blocks(), None, solver=dl.Rprop(), validation=(Changing(blocks(), later), None)
        )


def test_an_interrupt_keeps_what_there_is(monkeypatch):
    monkeypatch.setattr(windows, "MEMORY", 2000)
    monkeypatch.setattr(windows, "LEAST", 100)
    given = Changing(blocks(), blocks(), blocks(), [*blocks()[:1], KeyboardInterrupt()])

    class Stops(Changing):
        def __iter__(self):
            for block in super().__iter__():
                if isinstance(block, BaseException):
                    raise block
                yield block

    net = network()
    with pytest.raises(KeyboardInterrupt) as info:
        net.fit(Stops(*given.passes), None, solver=dl.Rprop(), tol=0.0)
    assert info.value.result.stop_reason == "interrupted"
    assert info.value.result.epochs >= 1


def test_a_network_can_be_trained_again_after_an_error():
    net = network()
    with pytest.raises(ValueError, match="nan"):
        net.fit(blocks(changed(X, 3, np.nan)), None, solver=dl.LBFGS())
    assert net.fit(blocks(), None, solver=dl.LBFGS(), max_epochs=3).epochs == 3


class Stalling:
    """Blocks; the second pass stands still after the first block until it is told to go on."""

    def __init__(self):
        self.passes, self.stalls, self.go_on = 0, threading.Event(), threading.Event()

    def __iter__(self):
        self.passes += 1
        for i, block in enumerate(blocks()):
            if self.passes > 1 and i:
                self.stalls.set()
                self.go_on.wait(60)
            yield block


@pytest.mark.parametrize("checkpoint", [False, True])
def test_an_interrupt_does_not_wait_for_a_read(checkpoint, monkeypatch, tmp_path):
    """The reading thread is left to itself, and ends when its read is over."""
    monkeypatch.setattr(windows, "MEMORY", 2000)
    monkeypatch.setattr(windows, "LEAST", 100)
    monkeypatch.setattr(ahead, "PATIENCE", 100.0)
    data, net, threads = Stalling(), network(), threading.active_count()

    def interrupt():
        data.stalls.wait(60)
        _thread.interrupt_main()

    sender = threading.Thread(target=interrupt)
    sender.start()
    options = {"checkpoint": tmp_path / "run"} if checkpoint else {}
    with pytest.raises(KeyboardInterrupt):
        net.fit(data, None, solver=dl.LBFGS(), **options)
    sender.join()
    assert not data.go_on.is_set()
    readers = [t for t in threading.enumerate() if t.name == "deltaloop-reader"]
    assert len(readers) == 1
    data.go_on.set()
    readers[0].join(60)
    assert threading.active_count() == threads


STALLED = """
import sys, threading, time, _thread
import numpy as np
import deltaloop as dl

class Stalling:
    passes = 0

    def __iter__(self):
        self.passes += 1
        yield np.zeros((8, 2)), np.arange(8.0)
        if self.passes > 1:
            threading.Timer(0.1, _thread.interrupt_main).start()
            time.sleep(1000)
        yield np.zeros((8, 2)), np.arange(8.0)

try:
    dl.Network((2, 3, 1), seed=0).fit(Stalling(), None, solver=dl.LBFGS(), max_epochs=3)
except KeyboardInterrupt:
    print("interrupted", [t.name for t in threading.enumerate()])
"""


def test_python_ends_while_a_read_stands_still():
    assert run_python(STALLED) == "interrupted ['MainThread', 'deltaloop-reader']\n"


def make_blocks():
    yield X, Y


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (("a.csv", "y"), r"X must be an array, or the path of a Parquet .*'a.csv'; read the file"),
        ((make_blocks, None), r"got the function make_blocks; .*__iter__ calls it.*list\(make_blo"),
        (("frame", "y"), r"Y must hold the targets .* got the name 'y'; .*drop\(columns=\['y'\]\)"),
        (("frame", ["y"]), r"got the names 'y'; give the columns: .*table\[\['y'\]\]\)"),
    ],
)
def test_what_is_no_data(data, message):
    """The message says what came and what to do: of a network, its cost, and an estimator."""
    if data[0] == "frame":
        pd = pytest.importorskip("pandas")
        data = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y[:, 0]}), data[1]
    net = network()
    with pytest.raises(TypeError, match=message):
        net.fit(*data, solver=dl.LBFGS())
    with pytest.raises(TypeError, match=message):
        net.cost(*data)
    validation = message.replace("X must", r"validation\[0\] must").replace(
        "Y must", r"validation\[1\] must"
    )
    with pytest.raises(TypeError, match=validation):
        net.fit(blocks(), None, solver=dl.LBFGS(), validation=data)
    pytest.importorskip("sklearn")
    estimators = importlib.import_module("deltaloop.sklearn")
    for estimator in (estimators.MLPRegressor(), estimators.MLPClassifier()):
        with pytest.raises(TypeError, match=message.replace("Y must", "y must")):
            estimator.fit(*data)


def test_a_folder_without_files(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="is a folder without Parquet files"):
        network().fit(tmp_path, "y", solver=dl.LBFGS())
