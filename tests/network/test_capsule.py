"""The predictor as a C function: its bits, its lifetime, its threads, and the page about it."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from tests.helpers.capsules import (
    ROWS,
    SCALAR,
    get_context,
    get_name,
    get_pointer,
    rows_function,
    scalar_function,
)
from tests.helpers.compare import same
from tests.helpers.extensions import build
from tests.helpers.processes import run_python
from tests.helpers.rounding import libm_and_modes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "c-interface.md"
# One layer and several; a layer of 256 units is the widest whose rows need no memory.
SHAPES = [(1, 1), (3, 2), (2, 2, 1), (5, 13, 9, 3), (300, 256, 7), (3, 257, 1), (64, 128, 10)]


def network(layers, seed=3):
    return dl.Network(layers, activation="tanh", output="sigmoid", seed=seed)


def instances(n, m, seed=5):
    return np.random.default_rng(seed).normal(size=(n, m))


# ---- what the functions compute ----


@pytest.mark.parametrize("layers", SHAPES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_bits_are_those_of_predict(layers, n):
    net = network(layers)
    x = instances(n, layers[0])
    predictor = net.predictor(n)
    call = rows_function(capsule := predictor.capsule())
    for _ in range(3):
        expected = net.predict(x)
        assert same(call(x, expected.shape), expected)
        predictor.x[...] = x if n > 1 else x[0]
        assert same(predictor().reshape(expected.shape), expected)
        assert same(np.array([net.predict(row) for row in x]), expected)
        x[0] *= -0.75
    assert get_name(capsule) == ROWS.encode()


@pytest.mark.parametrize("layers", [s for s in SHAPES if s[-1] == 1], ids=str)
def test_scalar_is_the_one_output(layers):
    net = network(layers)
    capsule = net.predictor().capsule(SCALAR)
    call = scalar_function(capsule)
    for x in instances(20, layers[0]):
        assert same(np.array([call(x)]), net.predict(x))
    assert get_name(capsule) == SCALAR.encode()


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_scalar_of_the_wrong_length_is_nan(count):
    call = scalar_function(capsule := network((2, 3, 1)).predictor().capsule(SCALAR))
    assert np.isnan(call(np.zeros(count)))
    assert np.isfinite(call(np.zeros(2)))
    del capsule


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_change_no_bit(chunk):
    net, x = network((5, 13, 3)), instances(50, 5)
    expected = net.predict(x)
    before = net.predictor(50).capsule()
    net._chunk_rows = chunk
    after = net.predictor(50).capsule()
    assert same(rows_function(before)(x, (50, 3)), expected)
    assert same(rows_function(after)(x, (50, 3)), expected)


@pytest.mark.parametrize("layers", [(2, 3, 1), (2, 300, 1)], ids=str)
def test_parameters_are_read_at_each_call(layers):
    net, x = network(layers), instances(4, 2)
    capsule = net.predictor(4).capsule()
    call = rows_function(capsule)
    y = net.predict(x)
    changes = [
        lambda: net.weights[0].fill(0.25),
        lambda: setattr(net, "parameters", network(layers, seed=9).parameters),
        lambda: net.fit(x, np.zeros((4, 1)), solver=dl.GradientDescent(0.5), max_epochs=3, tol=0),
        lambda: net.trainer(dl.GradientDescent(0.5)).step(x, np.ones((4, 1))),
    ]
    for change in changes:
        change()
        assert not same(net.predict(x), y)
        y = net.predict(x)
        assert same(call(x, (4, 1)), y)


def test_nan_and_infinity_stay_in_their_row():
    net, x = network((3, 5, 2)), instances(4, 3)
    x[1, 2], x[2, 0] = np.nan, np.inf
    capsule = net.predictor(4).capsule()
    assert same(rows_function(capsule)(x, (4, 2)), net.predict(x))


@pytest.mark.parametrize("layers", [(2, 3, 1), (2, 300, 1)], ids=str)
def test_rounding_mode_of_the_caller(layers):
    libm, modes = libm_and_modes()
    net, x = network(layers), instances(1, 2)[0]
    expected, y = net.predict(x), np.empty(1)
    capsule, scalar = net.predictor().capsule(), net.predictor().capsule(SCALAR)
    call, call_scalar = rows_function(capsule), scalar_function(scalar)
    nearest = libm.fegetround()
    for mode in modes:
        try:
            assert libm.fesetround(mode) == 0
            got = call(x, (1,)), np.array([call_scalar(x)]), net.predict(x), net.predict(x, out=y)
            after = libm.fegetround()
        finally:
            libm.fesetround(nearest)
        assert after == mode
        assert all(same(y, expected) for y in got)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("signature", "error", "words"),
    [
        (3, TypeError, "signature must be a string"),
        (None, TypeError, "signature must be a string"),
        (ROWS.encode(), TypeError, "signature must be a string"),
        ("", ValueError, "signature must be one of"),
        ("double (double)", ValueError, re.escape(SCALAR)),
        (ROWS.replace(" *", "*"), ValueError, re.escape(ROWS)),
        (ROWS + "\0", ValueError, "signature must be one of"),
    ],
)
def test_signatures_that_are_refused(signature, error, words):
    with pytest.raises(error, match=words):
        network((2, 1)).predictor().capsule(signature)


@pytest.mark.parametrize(
    ("layers", "n", "words"),
    [
        ((2, 3), 1, r"m\^\(L\) = 3"),
        ((2, 1), 4, "n = 4"),
        ((2, 300, 2), 2, r"n = 2 and m\^\(L\) = 2"),
    ],
)
def test_scalar_needs_one_instance_and_one_output(layers, n, words):
    predictor = network(layers).predictor(n)
    with pytest.raises(ValueError, match=words):
        predictor.capsule(SCALAR)
    assert get_name(predictor.capsule()) == ROWS.encode()


def test_arguments_of_capsule():
    predictor = network((2, 1)).predictor()
    assert get_name(predictor.capsule(signature=SCALAR)) == SCALAR.encode()
    with pytest.raises(TypeError):
        predictor.capsule(SCALAR, 2)
    with pytest.raises(TypeError):
        predictor.capsule(name=SCALAR)


@pytest.mark.parametrize(("asked", "name"), [(ROWS, SCALAR), (SCALAR, ROWS), (SCALAR, "predict")])
def test_pointer_under_another_name_is_refused(asked, name):
    capsule = network((2, 1)).predictor().capsule(asked)
    with pytest.raises(ValueError, match="incorrect name"):
        get_pointer(capsule, name.encode())


# ---- lifetimes ----

DELETED = """
import gc
import numpy as np
from tests.helpers.capsules import ROWS, SCALAR, rows_function, scalar_function
from tests.helpers.compare import same
from tests.helpers.extensions import build
from tests.network.test_capsule import network

for threshold in (700, 1):
    gc.set_threshold(threshold)
    for layers, n in [((2, 3, 1), 1), ((2, 300, 1), 1), ((30, 40, 1), 50)]:
        for round in range(20):
            net, x = network(layers), np.ones((n, layers[0]))
            expected = net.predict(x)
            predictor = net.predictor(n)
            capsules = [predictor.capsule() for _ in range(3)]
            if n == 1:
                scalar = predictor.capsule(SCALAR)
            if round % 2:
                net.cycle = net, predictor, *capsules
            del net, predictor, capsules[1]
            gc.collect()
            junk = [np.full(size, np.nan) for size in (8, 80, 800, 8000) for _ in range(20)]
            for capsule in capsules:
                assert same(rows_function(capsule)(x, (n, 1)), expected)
            if n == 1:
                assert scalar_function(scalar)(x[0]) == expected[0, 0]
print("done")
"""


@pytest.mark.slow
def test_capsules_outlive_what_made_them():
    assert run_python(DELETED) == "done\n"


class Watched(dl.Network):
    pass


def test_capsule_stored_in_its_network_keeps_nothing_alive():
    net = Watched([2, 3, 1], seed=0)
    alive = weakref.ref(net)
    net.predict_c = net.predictor().capsule()
    net.bound = net.predictor()
    del net
    gc.collect()
    assert alive() is None


def test_capsules_give_back_what_they_hold():
    net = network((2, 3, 1))
    memory = net.parameters.base
    while memory.base is not None:
        memory = memory.base
    capsules = [net.predictor().capsule() for _ in range(10)]
    del net
    gc.collect()
    assert np.isfinite(rows_function(capsules[0])(np.zeros(2), (1,)))
    alive = weakref.ref(memory)
    del memory
    gc.collect()
    assert alive() is not None
    del capsules[1:]
    gc.collect()
    assert alive() is not None
    del capsules[:]
    gc.collect()
    assert alive() is None


def test_networks_that_were_not_initialised_have_no_predictor():
    with pytest.raises(RuntimeError, match="not initialised"):
        _core.Predictor(dl.Network.__new__(dl.Network))


# ---- threads ----


@pytest.mark.parametrize("layers", [(5, 13, 3), (40, 300, 3), (40, 70, 30)], ids=str)
def test_threads_with_a_capsule_each(layers):
    """ctypes releases the GIL during each call."""
    net = network(layers)
    start = threading.Barrier(6)

    def repeat(seed):
        x = instances(9, layers[0], seed)
        expected = net.predict(x)
        one, many = net.predictor().capsule(), net.predictor(9).capsule()
        call_one, call_many = rows_function(one), rows_function(many)
        start.wait()
        for i in range(200):
            assert same(call_one(x[i % 9], (layers[-1],)), expected[i % 9])
            assert same(call_many(x, expected.shape), expected)
        return True

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(repeat, seed) for seed in range(6)]
        assert all(future.result(timeout=120) for future in futures)


SHARED = """
import sys
import threading
import numpy as np
from tests.helpers.compare import same
from tests.helpers.extensions import build
from tests.network.test_capsule import instances, network

sys.setswitchinterval(1e-6)
for layers, n in [((2, 300, 1), 1), ((3, 40, 2), 3001), ((40, 300, 3), 150)]:
    net, x = network(layers), instances(n, layers[0])
    predictor = net.predictor(n)
    predictor.x[...] = x if n > 1 else x[0]
    guards = [np.zeros(k) for k in range(1, 20000, 100)]
    def repeat():
        for _ in range(40):
            predictor()
    threads = [threading.Thread(target=repeat) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(guard.any() for guard in guards)
    assert same(predictor().reshape(-1, layers[-1]), net.predict(x))
print("done")
"""


def test_predictor_shared_by_mistake_harms_nothing_else():
    """Calls at once may leave nonsense in ``y``, but write nowhere else."""
    assert run_python(SHARED) == "done\n"


# ---- the page ----


def test_page_tells_every_signature():
    text = PAGE.read_text(encoding="utf-8")
    assert f"| `{ROWS}` |" in text
    assert f"| `{SCALAR}` |" in text


SIGNATURE_IN_C = """
cdef extern from *:
    '''
    static void of_rows(const double *x, double *y, void *c) { (void)x; (void)y; (void)c; }
    static double of_scalar(int n, double *x, void *c) { (void)n; (void)x; (void)c; return 0; }
    '''
    void of_rows(const double *x, double *y, void *c) noexcept nogil
    double of_scalar(int n, double *x, void *c) noexcept nogil

from deltaloop.mlp cimport DELTALOOP_ROWS, DELTALOOP_SCALAR, deltaloop_rows, deltaloop_scalar

cdef deltaloop_rows rows = of_rows
cdef deltaloop_scalar scalar = of_scalar

names = DELTALOOP_ROWS.decode(), DELTALOOP_SCALAR.decode()
"""


def test_header_has_the_names_and_types_of_the_capsules(tmp_path, monkeypatch):
    build("signatures", SIGNATURE_IN_C, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    from signatures import names

    assert names == _core.SIGNATURES == (ROWS, SCALAR)


def test_a_function_compiled_by_numba_takes_any_network():
    """The context alone says which one, whether it is trained meanwhile, and how many rows."""
    numba = pytest.importorskip("numba")
    first, second = network((3, 5, 2)), network((4, 300, 1))
    capsules = [first.predictor(7).capsule(), second.predictor(3).capsule()]
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    function = kind(get_pointer(capsules[0], ROWS.encode()))

    @numba.njit(nogil=True)
    def call(x, y, context):
        function(x.ctypes, y.ctypes, context)

    for net, capsule, n in zip((first, second), capsules, (7, 3), strict=True):
        x = np.random.default_rng(0).normal(size=(n, net.layers[0]))
        y = np.empty((n, net.layers[-1]))
        for _ in range(2):
            call(x, y, get_context(capsule))
            assert same(y, net.predict(x))
            net.parameters[:] *= 0.5


def test_scipy_knows_the_capsules():
    scipy = pytest.importorskip("scipy")
    integrate = pytest.importorskip("scipy.integrate")
    net = network((1, 4, 1))
    function = scipy.LowLevelCallable(net.predictor().capsule(SCALAR))
    assert function.signature == SCALAR
    expected = integrate.quad(lambda t: net.predict(np.array([t]))[0], 0, 1)
    gc.collect()  # the callable keeps the capsule alive
    assert integrate.quad(function, 0, 1) == expected
    with pytest.raises(ValueError, match="signature"):
        integrate.quad(scipy.LowLevelCallable(net.predictor().capsule()), 0, 1)
