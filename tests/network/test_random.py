"""Same seed, same bits: random numbers by their rules, and results that depend on nothing else."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import ctypes.util
import hashlib
import math
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deltaloop as dl
from deltaloop._arguments import seeds
from deltaloop.reference import initial_parameters
from tests.helpers.cases import HIDDEN, NORMAL, PAIRS, UNIFORM, make_case, permutations
from tests.helpers.compare import bits, same
from tests.helpers.processes import run_python
from tests.helpers.rounding import libm_and_modes

SEEDS = (0, 1, 12345, 2**64 + 5, 2**200 + 7)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("init", [*UNIFORM, "nguyen_widrow"])
@pytest.mark.parametrize("layers", [[2, 2, 1], [1, 1], [7, 13, 5, 3]], ids=str)
def test_uniform_inits_to_the_bit(layers, init, seed):
    net = dl.Network(layers, init=init, seed=seed)
    assert net.seed == seed
    assert net.init == init
    assert same(net.parameters, initial_parameters(layers, init, seed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("low", "high"), [(-0.1, 0.1), (0, 3), (-1, 1), (-1e-300, 1e300), (5, 5.1)]
)
def test_any_uniform_range_to_the_bit(low, high, seed):
    init = dl.Uniform(low, high)
    net = dl.Network([7, 13, 5, 3], init=init, seed=seed)
    assert net.init == init
    assert same(net.parameters, initial_parameters([7, 13, 5, 3], str(init), seed))
    assert low <= net.parameters.min() < net.parameters.max() <= high
    u = (net.parameters - low) / (high - low)
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * u.size)
    if (low, high) == (-1, 1):
        assert same(net.parameters, dl.Network([7, 13, 5, 3], init="uniform", seed=seed).parameters)


@pytest.mark.parametrize("layers", [(1, 20, 1), (3, 400, 300, 2), (50, 1, 7, 3)], ids=str)
def test_nguyen_widrow(layers):
    """Each hidden unit's weights have the length 0.7 m^(l)^(1/m^(l-1)), in any direction."""
    net = dl.Network(layers, activation="tanh", init="nguyen_widrow", seed=3)
    assert net.init == "nguyen_widrow"
    for w, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
        m_in, m_out = w.shape
        beta = 0.7 * m_out ** (1 / m_in)
        np.testing.assert_allclose(np.linalg.norm(w, axis=0), beta, rtol=1e-14)
        assert np.abs(b).max() <= beta
        if m_out >= 300:
            assert b.std() == pytest.approx(beta / np.sqrt(3), rel=0.1)
            assert (np.abs(w.mean(axis=1)) < 4 * beta / np.sqrt(m_in * m_out)).all()
            assert abs(np.corrcoef(b, w[0])[0, 1]) < 4 / np.sqrt(m_out)
    for last in (net.weights[-1], net.biases[-1]):
        assert np.abs(last).max() <= 0.5
    single = dl.Network([3, 2], init="nguyen_widrow", seed=3).parameters
    assert same(single, initial_parameters([3, 2], "uniform(-0.5,0.5)", 3))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("init", NORMAL)
@pytest.mark.parametrize("layers", [[2, 2, 1], [1, 1], [7, 13, 5, 3], [40, 61, 2]], ids=str)
def test_normal_inits(layers, init, seed):
    """Odd matrices drop a number at their end. The core's own log may differ in its last bits."""
    got = dl.Network(layers, init=init, seed=seed).parameters
    np.testing.assert_allclose(got, initial_parameters(layers, init, seed), rtol=1e-15, atol=0)


def test_default_inits():
    for activation, output, init in [
        ("sigmoid", None, "uniform"),
        ("step", None, "uniform"),
        ("relu", None, "he_uniform"),
        ("tanh", None, "glorot_uniform"),
        ("identity", None, "glorot_uniform"),
        (["sigmoid", "relu"], None, "he_uniform"),
        (["sigmoid", "tanh"], None, "glorot_uniform"),
        (["sigmoid", "step"], None, "uniform"),
    ]:
        net = dl.Network([2, 3, 4, 1], activation=activation, output=output, seed=6)
        assert net.init == init
        assert same(net.parameters, initial_parameters([2, 3, 4, 1], init, 6))


def test_no_seed_draws_one_and_shows_it():
    a, b = dl.Network([3, 4, 2]), dl.Network([3, 4, 2])
    assert a.seed != b.seed
    assert isinstance(a.seed, int)
    assert max(a.seed, b.seed) > 2**64
    assert same(a.parameters, dl.Network([3, 4, 2], seed=a.seed).parameters)


def test_a_generator_gives_one_word():
    words = np.random.PCG64(5).random_raw(3).tolist()
    generator = np.random.Generator(np.random.PCG64(5))
    nets = [dl.Network([3, 4, 2], seed=generator) for _ in range(2)]
    assert [net.seed for net in nets] == words[:2]
    assert same(nets[1].parameters, initial_parameters([3, 4, 2], "uniform", words[1]))
    X, Y, solver = np.eye(3), np.eye(3)[:, :2], dl.GradientDescent(0.1, batch_size=1)
    nets[1].fit(X, Y, solver=solver, max_epochs=3, seed=generator)
    other = dl.Network([3, 4, 2], seed=words[1])
    other.fit(X, Y, solver=solver, max_epochs=3, seed=words[2])
    assert same(nets[1].parameters, other.parameters)


CASE = ((5, 9, 4), "tanh", "softmax", "cross_entropy", 53)
BATCHES = dl.GradientDescent(0.05, batch_size=8)


def fitted(net, case, epochs, seed=None, solver=BATCHES):
    net.fit(case.X, case.Y, solver=solver, max_epochs=epochs, tol=0, seed=seed)
    return net.parameters.copy()


def test_fit_without_a_seed_continues_the_stream():
    case = make_case(*CASE, seed=1)
    at_once = fitted(case.network(seed=4), case, 5)
    net = case.network(seed=4)
    fitted(net, case, 2)
    assert same(fitted(net, case, 3), at_once)
    assert not same(fitted(case.network(seed=5), case, 5), at_once)


def test_fit_with_a_seed_leaves_the_stream_alone():
    case = make_case(*CASE, seed=1)
    net = case.network(seed=4)
    fitted(net, case, 2, seed=9)
    net.parameters = case.network().parameters
    assert same(fitted(net, case, 3), fitted(case.network(seed=4), case, 3))
    # of a network from weights nothing was drawn, so its stream is that of its seed, too
    assert same(
        fitted(case.network(seed=1), case, 3, seed=4), fitted(case.network(seed=4), case, 3)
    )


def test_full_batches_and_batches_in_order_draw_nothing():
    case = make_case(*CASE, seed=1)
    net = case.network(seed=4)
    fitted(net, case, 2, solver=dl.GradientDescent(0.01))
    fitted(net, case, 2, solver=dl.GradientDescent(0.01, batch_size=8, shuffle=False))
    net.parameters = case.network().parameters
    assert same(fitted(net, case, 3), fitted(case.network(seed=4), case, 3))


def test_copies_continue_the_stream():
    case = make_case(*CASE, seed=1)
    net = case.network(seed=4)
    fitted(net, case, 2)
    copies = [net.copy(), copy.copy(net), copy.deepcopy(net)]
    expected = fitted(net, case, 2)
    for other in copies:
        assert same(fitted(other, case, 2), expected)


@pytest.mark.parametrize("n", [0, 1, 2, 2**17, 2**17 + 1, 2**17 + 2, 300_000])
def test_permutations_in_portions(n):
    """What is drawn between looks at signals joins to the permutation that the rule gives."""
    stream = seeds.stream(6)
    order = stream.permutation(n)
    assert np.array_equal(order, next(permutations(n, 6)) if n > 1 else np.arange(n))
    assert stream.position == max(n - 1, 0)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("batch_size", [1, 8, 53])
def test_mini_batches_are_steps_over_permutations(batch_size, options):
    """To the bit: the order is the rule's, and a batch is a step of a trainer over its rows."""
    case = make_case(*CASE, seed=1)
    net, other = case.network(), case.network()
    solver = dl.GradientDescent(0.02, batch_size=batch_size, **options)
    fitted(net, case, 3, seed=6, solver=solver)
    trainer = other.trainer(dl.GradientDescent(0.02, **options))
    orders = permutations(53, 6)
    for _ in range(3):
        order = next(orders)
        for i in range(0, 53, batch_size):
            rows = order[i : i + batch_size]
            trainer.step(case.X[rows], case.Y[rows])
    assert same(net.parameters, other.parameters)


HASHED = """
import hashlib
import numpy as np
import deltaloop as dl
from tests.helpers.cases import make_case

digest = hashlib.sha256()
for layers, n, batch_size in (([5, 9, 4], 53, 8), ([20, 40, 3], 5000, None), ([2, 2, 1], 4, 1)):
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
    for init in ("uniform", "he_normal"):
        net = dl.Network(layers, activation="tanh", init=init, seed=8)
        solver = dl.GradientDescent(0.01 / n, momentum=0.9, batch_size=batch_size)
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=4, tol=0)
        digest.update(net.parameters.tobytes())
        digest.update(result.cost_history.tobytes())
        digest.update(net.predict(case.X).tobytes())
"""


def test_same_bits_twice_and_in_other_processes():
    here = []
    for _ in range(2):
        names = {}
        exec(HASHED, names)
        here.append(names["digest"].hexdigest())
    assert here[0] == here[1]
    elsewhere = [run_python(HASHED + "print(digest.hexdigest())").strip() for _ in range(2)]
    assert elsewhere == here


CHUNKS = (1, 3, 7, 64, 1000)
NETS = [
    ((2, 2, 1), "sigmoid", "sigmoid", "squared_error"),
    ((5, 9, 4), "relu", "softmax", "cross_entropy"),
    ((3, 33, 18, 1), "tanh", "sigmoid", "cross_entropy"),
    ((40, 70, 7), ("tanh",), "sigmoid", "binary_cross_entropy"),
]


@pytest.mark.parametrize("n", [1, 5, 1500, 4999])
@pytest.mark.parametrize("net", NETS, ids=lambda net: "-".join(map(str, net[0])))
def test_chunks_change_no_bit(net, n):
    """Sums over instances are carried from one chunk of them to the next."""
    case = make_case(*net, n=n, seed=2)
    solvers = [
        dl.GradientDescent(0.1 / n, momentum=0.9),
        dl.GradientDescent(1e-3, batch_size=min(n, 100)),
    ]

    def results(chunk_rows):
        net = case.network(seed=0)
        net._chunk_rows = chunk_rows
        assert net._chunk_rows == chunk_rows
        yield net.predict(case.X)
        yield from net.activations(case.X)
        yield np.array(net.cost(case.X, case.Y))
        cost, gradient = net.gradient(case.X, case.Y)
        yield np.array(cost)
        yield gradient
        for solver in solvers:
            result = net.fit(case.X, case.Y, solver=solver, max_epochs=2, tol=0)
            yield net.parameters.copy()
            yield result.cost_history
            yield np.array([result.cost, result.gradient_norm])

    automatic = list(results(0))
    for chunk_rows in CHUNKS:
        for got, expected in zip(results(chunk_rows), automatic, strict=True):
            assert same(got, expected)


@pytest.mark.parametrize("loss_output", PAIRS, ids=lambda pair: "-".join(pair[:2]))
@pytest.mark.parametrize("hidden", [*HIDDEN, "step"])
@pytest.mark.parametrize("layers", [(1, 1), (3, 5), (7, 17, 24), (70, 33, 130)], ids=str)
def test_a_batch_is_its_rows(layers, hidden, loss_output):
    """predict(X)[i] == predict(X[i]) bit for bit, for batches of any length."""
    loss, output, m = loss_output
    case = make_case((*layers, m), "tanh", output, loss, n=1, seed=3)
    case.activation = (hidden,) * len(case.activation)
    net = case.network()
    X = np.random.default_rng(0).normal(size=(71, layers[0]))
    rows = np.array([net.predict(x) for x in X])
    assert rows.shape == (71, m)
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 71):
        assert same(net.predict(X[:n]), rows[:n])
        assert same(net.predict(X[71 - n :]), rows[71 - n :])
        assert same(net.activations(X[:n])[-1], rows[:n])
    out = np.empty((71, m))
    assert net.predict(X, out=out) is out
    assert same(out, rows)
    for n in (1, 6):
        predictor = net.predictor(n=n)
        predictor.x[:] = X[0] if n == 1 else X[:n]
        assert same(np.reshape(predictor(), (n, m)), rows[:n])


@given(
    layers=st.lists(st.integers(1, 70), min_size=2, max_size=4),
    hidden=st.sampled_from([*HIDDEN, "step"]),
    output=st.sampled_from([*HIDDEN, "step", "softmax"]),
    n=st.integers(1, 90),
    seed=st.integers(0, 1000),
)
def test_a_batch_is_its_rows_for_any_shape(layers, hidden, output, n, seed):
    net = dl.Network(layers, activation=hidden, output=output, seed=seed)
    X = np.random.default_rng(seed).normal(scale=3, size=(n, layers[0]))
    assert same(net.predict(X), np.array([net.predict(x) for x in X]))


def test_z_starts_at_the_bias_and_adds_in_ascending_order():
    """1 + 2^-53 + 2^-53 is 1 from the left and 1 + 2^-52 from the right."""
    h = 2.0**-53
    for width in (1, 2, 5, 16, 33, 130):
        net = dl.Network.from_weights(
            [np.ones((3, width))], [np.zeros(width)], activation="identity"
        )
        for n in (1, 2, 8, 33, 100):
            net.biases[0][:] = 1.0
            assert (net.predict(np.tile([h, h, h], (n, 1))) == 1).all()
            net.biases[0][:] = 0.0
            assert (net.predict(np.tile([1.0, h, h], (n, 1))) == 1).all()
            assert (net.predict(np.tile([h, h, 1.0], (n, 1))) == 1 + 2 * h).all()


def test_results_do_not_depend_on_alignment_or_layout():
    case = make_case(*CASE[:4], n=101, seed=1)
    net = case.network()
    expected = net.predict(case.X), net.gradient(case.X, case.Y)[1]
    for offset in range(1, 8):
        memory = np.empty(case.X.size + offset)
        X = memory[offset:].reshape(case.X.shape)
        X[:] = case.X
        assert same(net.predict(X), expected[0])
        assert same(net.gradient(X, np.asfortranarray(case.Y))[1], expected[1])


def everything(case):
    """Bits of predictions, costs, gradients, inits and fits."""
    net = case.network(seed=0)
    solver = dl.GradientDescent(0.01)
    batches = dl.GradientDescent(0.01, momentum=0.9, batch_size=7)
    parts = [net.predict(case.X), net.predict(case.X[0]), *net.activations(case.X)]
    cost, gradient = net.gradient(case.X, case.Y)
    parts += [np.array([cost, net.cost(case.X, case.Y)]), gradient]
    parts += [dl.Network([5, 4, 2], init=init, seed=1).parameters for init in UNIFORM + NORMAL]
    for method in (batches, solver):
        result = net.fit(case.X, case.Y, solver=method, max_epochs=3, tol=0)
        scalars = [result.cost, result.initial_cost, result.gradient_norm]
        parts += [net.parameters, result.cost_history, np.array(scalars)]
    step = net.trainer(solver).step(case.X[:3], case.Y[:3])
    predictor = net.predictor()
    predictor.x[:] = case.X[0]
    parts += [net.parameters, np.array(step), predictor()]
    return [bits(part).tolist() for part in parts]


def awkward_cases():
    """Ordinary numbers, and ones whose products and results are subnormal."""
    case = make_case(*CASE[:4], n=40, seed=1)
    yield case
    tiny = make_case((5, 9, 4), "tanh", "identity", "squared_error", n=40, seed=1)
    tiny.X = tiny.X * 1e-308
    tiny.biases = [b * 1e-310 for b in tiny.biases]
    tiny.Y = tiny.Y * 1e-309
    yield tiny
    saturated = make_case((5, 9, 4), "sigmoid", "sigmoid", "squared_error", n=40, seed=1)
    saturated.biases[1] = np.array([-709.0, -720.0, -740.0, 2.0])
    yield saturated


@pytest.mark.parametrize("direction", [0, 1, 2], ids=["upward", "downward", "toward zero"])
def test_rounding_mode_of_the_caller(direction):
    """It changes no bit, and it is the caller's again afterwards."""
    libm, modes = libm_and_modes()
    nearest = libm.fegetround()
    one, tiny = np.float64(1), np.float64(1e-20)
    for case in awkward_cases():
        expected = everything(case)
        try:
            assert libm.fesetround(modes[direction]) == 0
            effective = one + tiny > one or one - tiny < one
            got = everything(case)
            after = libm.fegetround()
        finally:
            libm.fesetround(nearest)
        assert effective
        assert got == expected
        assert after == modes[direction]


CONTROL = """
#include <stdint.h>
#if defined(__x86_64__) || defined(__i386__)
uint64_t get_control(void) { return __builtin_ia32_stmxcsr(); }
void set_control(uint64_t value) { __builtin_ia32_ldmxcsr((unsigned)value); }
#elif defined(__aarch64__)
uint64_t get_control(void) { uint64_t v; __asm__ volatile("mrs %0, fpcr" : "=r"(v)); return v; }
void set_control(uint64_t v) { __asm__ volatile("msr fpcr, %0" : : "r"(v)); }
#else
#error unknown processor
#endif
"""


@pytest.fixture(scope="module")
def control_register(tmp_path_factory):
    """A library that reads and writes the register that holds FTZ and DAZ."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform == "win32":
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("control")
    (folder / "control.c").write_text(CONTROL)
    command = [compiler, "-shared", "-fPIC", "-o", "control.so", "control.c"]
    if subprocess.run(command, cwd=folder, capture_output=True).returncode:
        pytest.skip("the control register of this processor is not known")
    library = ctypes.CDLL(str(folder / "control.so"))
    library.get_control.restype = ctypes.c_uint64
    library.set_control.argtypes = [ctypes.c_uint64]
    return library


@contextlib.contextmanager
def control(register, value):
    before = register.get_control()
    register.set_control(before | value)
    try:
        yield
    finally:
        register.set_control(before)


def test_subnormals_whatever_the_caller_does_with_them(control_register):
    """FTZ and DAZ of the caller change no bit, and are the caller's again afterwards."""
    flush = 1 << 24 if platform.machine() in ("aarch64", "arm64") else 0x8040
    half_of_the_smallest_normal = np.array([2.0**-1022])
    for case in awkward_cases():
        expected = everything(case)
        with control(control_register, flush):
            effective = (half_of_the_smallest_normal * 0.5)[0] == 0
            got = everything(case)
            after = control_register.get_control()
        assert effective
        assert got == expected
        assert after & flush == flush


def test_awkward_cases_are_subnormal():
    """Without subnormal results the two tests above would prove little."""
    _, tiny, saturated = awkward_cases()
    for case in (tiny, saturated):
        a = np.abs(case.network().predict(case.X))
        assert ((a > 0) & (a < 2.0**-1022)).any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_row(value):
    """The other rows keep their bits."""
    for net in (dl.Network([5, 9, 4], seed=0), dl.Network([40, 70, 7], activation="tanh", seed=0)):
        X = np.random.default_rng(0).normal(size=(37, net.layers[0]))
        expected = net.predict(X)
        for row in (0, 5, 36):
            broken = X.copy()
            broken[row, 2] = value
            got = net.predict(broken)
            others = np.arange(37) != row
            assert same(got[others], expected[others])
            assert math.isfinite(value) or not same(got[row], expected[row])
            if math.isnan(value):
                assert np.isnan(got[row]).all()


def test_hash_of_the_stream():
    """Recorded once: the rules of the random numbers never change."""
    digest = hashlib.sha256()
    for init in UNIFORM:
        digest.update(dl.Network([3, 5, 2], init=init, seed=42).parameters.astype("<f8").tobytes())
    assert digest.hexdigest() == "6bbcb7f55bd5f9cc1819a2c401292d4e709bbbdca21d67ce92165e1a6980384f"
