"""Threads: the same bits for any number of them, and what the pool has to survive."""

import concurrent.futures
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _threads
from tests.helpers.cases import make_case
from tests.helpers.compare import same, same_bytes
from tests.helpers.processes import run_python

THREADS = (2, 3, 7)

# Widths around the shares of threads, a batch in one chain, and one in 64 ranges.
CASES = [
    ((3, 5, 2), "tanh", "identity", "squared_error", 40),
    ((10, 32, 1), "sigmoid", "sigmoid", "squared_error", 5000),
    ((40, 70, 30), "relu", "softmax", "cross_entropy", 331),
    ((1, 1, 1), "sigmoid", "sigmoid", "binary_cross_entropy", 4096),
    ((7, 130, 1), "sigmoid", "sigmoid", "cross_entropy", 777),
    ((100, 200, 3), "tanh", "identity", "squared_error", 4500),
    ((130, 17), "tanh", "tanh", "squared_error", 9),
]


def with_network(case, grain=0.0):
    """The case with a network, whose threads are worth it however little there is for each."""
    case.net = case.network()
    case.net._grain = grain
    return case


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case[0])))
def case(request):
    layers, activation, output, loss, n = request.param
    return with_network(make_case(layers, activation, output, loss, n=n, seed=3), grain=1.0)


@pytest.mark.parametrize("n_threads", THREADS)
def test_prediction_cost_and_gradient(case, n_threads):
    net, X, Y = case.net, case.X, case.Y
    assert same(net.predict(X, n_threads=n_threads), net.predict(X, n_threads=1))
    out = np.full((len(X), net.layers[-1]), np.nan)
    assert net.predict(X[::-1], out, n_threads) is out
    assert same(out, net.predict(X[::-1], n_threads=1))
    assert net.cost(X, Y, n_threads=n_threads) == net.cost(X, Y, n_threads=1)
    cost, gradient = net.gradient(X, Y, n_threads=n_threads)
    expected = net.gradient(X, Y, n_threads=1)
    assert cost == expected[0]
    assert same(gradient, expected[1])


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("batch_size", [None, 1, 9, 40])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_training(case, n_threads, batch_size, momentum):
    if batch_size is not None and batch_size > min(len(case.X), 64):
        pytest.skip("fewer instances")
    X, Y = (case.X, case.Y) if batch_size is None else (case.X[:64], case.Y[:64])
    solver = dl.GradientDescent(
        1e-3, momentum=momentum, nesterov=momentum > 0, batch_size=batch_size
    )
    results = []
    for threads in (1, n_threads):
        net = case.net.copy()
        net._grain = 1.0
        result = net.fit(X, Y, solver=solver, max_epochs=4, tol=0, seed=1, n_threads=threads)
        results.append((net.parameters, result))
    (w, one), (v, many) = results
    assert same(w, v)
    assert not same(w, case.net.parameters)
    assert same(one.cost_history, many.cost_history)
    assert (one.cost, one.gradient_norm) == (many.cost, many.gradient_norm)


def test_trainer(case):
    solver = dl.GradientDescent(1e-3, momentum=0.5)
    nets = [case.net.copy() for _ in range(2)]
    costs = []
    for net, threads in zip(nets, (1, 3), strict=True):
        net._grain = 1.0
        trainer = net.trainer(solver, n_threads=threads)
        costs.append([trainer.step(case.X[:k], case.Y[:k]) for k in (1, 7, 40, 2, len(case.X))])
    assert costs[0] == costs[1]
    assert same(nets[0].parameters, nets[1].parameters)


# ---- the argument, and the limit without it ----


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, np.nan])
def test_wrong_numbers_of_threads(wrong):
    net = dl.Network([2, 2, 1], seed=0)
    X, Y = np.zeros((3, 2)), np.zeros((3, 1))
    error = ValueError if isinstance(wrong, int) and wrong is not True else TypeError
    before = net.parameters.copy()
    solver = dl.GradientDescent(0.1)
    for use in (
        lambda: net.predict(X, n_threads=wrong),
        lambda: net.predict(X[:0], n_threads=wrong),
        lambda: net.predict(X.tolist(), n_threads=wrong),
        lambda: net.cost(X, Y, n_threads=wrong),
        lambda: net.gradient(X, Y, n_threads=wrong),
        lambda: net.trainer(solver, n_threads=wrong),
        lambda: net.fit(X, Y, solver=solver, n_threads=wrong),
    ):
        with pytest.raises(error, match="n_threads must be"):
            use()
    assert same(net.parameters, before)


def test_any_integer_and_far_too_many():
    case = with_network(make_case((40, 70, 30), "tanh", "identity", "squared_error", n=90, seed=1))
    expected = case.net.predict(case.X, n_threads=1)
    for n_threads in (np.int64(2), 10**6, 2**70):
        assert same(case.net.predict(case.X, n_threads=n_threads), expected)
        assert case.net.cost(case.X, case.Y, n_threads=n_threads) == case.net.cost(case.X, case.Y)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("1", 1),
        ("1,4", 1),
        (" 1 ", 1),
        ("", None),
        ("0", None),
        ("-1", None),
        ("x", None),
        ("9999", None),
        ("001", 1),
        ("1" * 5000, None),
        ("0" * 5000 + "1", 1),
        ("0" * 5000, None),
        ("\N{SUPERSCRIPT TWO}", None),
        ("\udcff", None),
    ],
)
def test_omp_num_threads(monkeypatch, value, limit):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    free = dl.runtime()["threads"]
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert dl.runtime()["threads"] == (limit or free)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert dl.runtime()["threads"] == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= dl.runtime()["threads"] <= len(allowed)


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, _threads.MOST),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        (
            "4:cpu,cpuacct:/c\n1:name=systemd:/\n",
            {
                "cpu,cpuacct/c/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/c/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            "4:cpu,cpuacct:/c\n",
            {"cpu,cpuacct/c/cpu.cfs_quota_us": "-1", "cpu,cpuacct/c/cpu.cfs_period_us": "100000"},
            _threads.MOST,
        ),
        ("0::/a\n", {"a/cpu.max": "rubbish"}, _threads.MOST),
        ("0::/a\n", {}, _threads.MOST),
        ("0::/a\n", {"a/cpu.max": "9" * 5000 + " 1e-300"}, _threads.MOST),
        ("0::/a\n", {"a/cpu.max": "nan nan"}, _threads.MOST),
        ("0::/a\n", {"a/cpu.max": "\udcff 1"}, _threads.MOST),
        ("0::/\udcff:\n", {"\udcff:/cpu.max": "150000 100000"}, 2),
        ("\n0\nrubbish\n0::/a\n", {"a/cpu.max": "150000 100000"}, 2),
        (None, {}, _threads.MOST),
    ],
)
def test_quota(tmp_path, cgroup, files, expected):
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    if cgroup is not None:
        (proc / "cgroup").write_text(cgroup, "utf-8", "surrogateescape")
    for name, text in files.items():
        path = mount / Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8", "surrogateescape")
    _threads.quota.cache_clear()
    try:
        assert _threads.quota(proc, mount) == expected
    finally:
        _threads.quota.cache_clear()


# ---- the pool ----

# Large enough for threads at the ordinary grain.
LARGE = with_network(make_case((60, 150, 20), "tanh", "identity", "squared_error", n=600, seed=4))


def test_many_callers_at_once():
    expected = LARGE.net.predict(LARGE.X, n_threads=1)
    gradient = LARGE.net.gradient(LARGE.X, LARGE.Y, n_threads=1)[1]
    start = threading.Barrier(6)

    def call(number):
        start.wait()
        for _ in range(20):
            if number % 2:
                assert same(LARGE.net.predict(LARGE.X, n_threads=3), expected)
            else:
                assert same(LARGE.net.gradient(LARGE.X, LARGE.Y, n_threads=3)[1], gradient)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(call, number) for number in range(6)]:
            future.result(timeout=120)


def test_a_prediction_within_a_callback_of_a_fit_on_threads():
    net = LARGE.net.copy()
    expected = []

    def callback(info):
        expected.append(
            same(info.network.predict(LARGE.X), info.network.predict(LARGE.X, n_threads=1))
        )

    net.fit(
        LARGE.X,
        LARGE.Y,
        solver=dl.GradientDescent(1e-4),
        max_epochs=3,
        callback=callback,
        n_threads=2,
    )
    assert expected == [True] * 3


FORK = """
import multiprocessing, os, threading, warnings
import numpy as np
import deltaloop as dl

warnings.simplefilter("ignore", DeprecationWarning)  # fork() while the pool's threads exist
rng = np.random.default_rng(0)
X, Y = rng.random((500, 60)), rng.random((500, 20))

def train(n_threads):
    net = dl.Network([60, 150, 20], seed=1)
    solver = dl.GradientDescent(1e-3, batch_size=100)
    net.fit(X, Y, solver=solver, max_epochs=3, n_threads=n_threads)
    return net.parameters.tobytes()

def child(pipe):
    pipe.send(train(3))

expected = train(1)
assert train(3) == expected
stop = threading.Event()
def busy():
    while not stop.is_set():
        assert train(2) == expected
other = threading.Thread(target=busy)
other.start()
context = multiprocessing.get_context("fork")
for _ in range(10):
    receive, send = context.Pipe(False)
    process = context.Process(target=child, args=(send,))
    process.start()
    assert receive.poll(60), "the child hangs"
    assert receive.recv() == expected
    process.join(60)
    assert process.exitcode == 0
stop.set()
other.join()
assert train(3) == expected
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_while_the_pool_works():
    assert run_python(FORK).strip() == "done"


SIGNALS = """
import signal, os, threading, time
import numpy as np
import deltaloop as dl

rng = np.random.default_rng(0)
X, Y = rng.random((2000, 60)), rng.random((2000, 20))
net = dl.Network([60, 150, 20], seed=1)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    net.fit(X, Y, solver=dl.GradientDescent(1e-6), max_epochs=10**9, tol=0, n_threads=2)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT from os.kill there")
def test_interrupt_of_a_fit_on_threads():
    assert run_python(SIGNALS).strip() == "interrupted"


ONE_PROCESSOR = """
import os
from pathlib import Path
import numpy as np
import deltaloop as dl

rng = np.random.default_rng(0)
X, Y = rng.random((2000, 60)), rng.random((2000, 20))
net = dl.Network([60, 150, 20], seed=1)
expected = net.predict(X, n_threads=1), net.gradient(X, Y, n_threads=1)[1]

def check():
    for _ in range(20):
        assert np.array_equal(net.predict(X, n_threads=2), expected[0])
        assert np.array_equal(net.gradient(X, Y, n_threads=2)[1], expected[1])

check()
allowed = os.sched_getaffinity(0)
tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
for one in ({min(allowed)}, allowed, {max(allowed)}):
    for task in tasks:
        os.sched_setaffinity(task, one)
    check()
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no affinity of threads on this system")
def test_workers_that_share_the_processor_of_the_caller():
    assert run_python(ONE_PROCESSOR).strip() == "done"


def test_a_single_row_with_gaps_for_a_thread():
    """Five rows on two threads are four and one; rows of a wider array do not touch each other."""
    rng = np.random.default_rng(0)
    net = dl.Network([600, 500, 10], activation="tanh", seed=0)
    wide, Y = rng.normal(size=(5, 601)), rng.normal(size=(5, 10))
    cost, gradient = net.gradient(wide[:, :600], Y, n_threads=2)
    alone, expected = net.gradient(wide[:, :600].copy(), Y, n_threads=1)
    assert cost == alone
    assert same_bytes(gradient, expected)
