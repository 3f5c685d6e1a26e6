"""LBFGS and ScaledConjugateGradient against the same methods in NumPy, and what a fit promises."""

from __future__ import annotations

import itertools
import json
import math
import signal
import sys
import warnings

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import make_case
from tests.helpers.compare import bits
from tests.helpers.processes import run_python

SOLVERS = [dl.LBFGS(), dl.LBFGS(memory=3), dl.ScaledConjugateGradient()]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=repr)
both = pytest.mark.parametrize("solver", SOLVERS[1:], ids=repr)


def sinc(n=1000):
    x = np.linspace(-1, 1, n).reshape(-1, 1)
    return x, np.sinc(10 * x / np.pi)


def case_of(name):
    """(network, X, Y) of a small problem."""
    if name == "sinc":
        return dl.Network([1, 20, 1], activation="tanh", output="identity", seed=0), *sinc()
    if name == "classes":
        case = make_case((4, 7, 5, 3), ("tanh", "sigmoid"), "softmax", "cross_entropy", 60, 3)
    elif name == "ranges":
        case = make_case((3, 5, 2), "tanh", "identity", "squared_error", 5000, 1)
    else:
        case = make_case((3, 6, 2), "sigmoid", "sigmoid", "binary_cross_entropy", 40, 2)
    return case.network(seed=0), case.X, case.Y


every_problem = pytest.mark.parametrize("problem", ["sinc", "classes", "ranges", "binary"])


def objective(net, X, Y):
    """C and its gradient as a function of the parameters."""
    other = net.copy()

    def evaluate(w):
        other.parameters[:] = w
        return other.gradient(X, Y)

    return evaluate


def iterates(net, X, Y, solver, epochs):
    """The parameters after each epoch, and the result."""
    found = []
    result = net.fit(
        X,
        Y,
        solver=solver,
        tol=0,
        max_epochs=epochs,
        callback=lambda info: found.append(info.network.parameters.copy()),
    )
    return found, result


# ---- L-BFGS in NumPy ----


def cubic_minimum(a, fa, ga, b, fb, gb):
    """The minimum of the cubic with these values and slopes at a and b, or NaN."""
    d1 = ga + gb - 3 * (fa - fb) / (a - b)
    square = d1**2 - ga * gb
    if square < 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b - a)
    denominator = gb - ga + 2 * d2
    return b - (b - a) * (gb + d2 - d1) / denominator if denominator else math.nan


def zoom(phi, lo, hi, f0, g0, c1, c2):
    """Algorithm 3.6 on points (alpha, f, slope)."""
    while True:
        width = hi[0] - lo[0]
        ends = sorted((lo[0] + 0.1 * width, hi[0] - 0.1 * width))
        alpha = cubic_minimum(*lo, *hi) if math.isfinite(hi[1]) else ends[0 if width > 0 else 1]
        alpha = lo[0] + width / 2 if math.isnan(alpha) else min(max(alpha, ends[0]), ends[1])
        f, g = phi(alpha)
        if not (f <= f0 + c1 * alpha * g0 and f < lo[1]):
            hi = (alpha, f, g)
            continue
        if abs(g) <= -c2 * g0:
            return alpha
        if g * (hi[0] - lo[0]) >= 0:
            hi = lo
        lo = (alpha, f, g)


def wolfe(phi, f0, g0, alpha, c1, c2):
    """Algorithm 3.5: a step that satisfies the strong Wolfe conditions."""
    previous = (0.0, f0, g0)
    for i in itertools.count():
        f, g = phi(alpha)
        point = (alpha, f, g)
        if not (f <= f0 + c1 * alpha * g0) or (i > 0 and f >= previous[1]):
            return zoom(phi, previous, point, f0, g0, c1, c2)
        if abs(g) <= -c2 * g0:
            return alpha
        if g >= 0:
            return zoom(phi, point, previous, f0, g0, c1, c2)
        step = alpha - previous[0]
        longer = cubic_minimum(*previous, *point)
        if not longer > alpha:
            longer = math.inf
        previous, alpha = point, min(max(longer, alpha + 1.1 * step), alpha + 4 * step)
    raise AssertionError


def lbfgs(evaluate, w, epochs, memory, c1, c2):
    """Iterates by the two-loop recursion, as the textbook has it."""
    pairs = []
    C, g = evaluate(w)
    for _ in range(epochs):
        q, alphas = g.copy(), []
        for s, y in reversed(pairs):
            alphas.append(s @ q / (y @ s))
            q -= alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            q *= s @ y / (y @ y)
        for s, y in pairs:
            q += (alphas.pop() - y @ q / (y @ s)) * s
        d = -q

        def phi(alpha, w=w, d=d):
            with np.errstate(all="ignore"):
                f, gradient = evaluate(w + alpha * d)
                slope = float(gradient @ d)
            return (f, slope) if math.isfinite(f + slope) else (math.inf, 0.0)

        first = 1.0 if pairs else 1 / np.linalg.norm(g)
        alpha = wolfe(phi, C, float(g @ d), first, c1, c2)
        new_C, new_g = evaluate(w + alpha * d)
        pairs = [*pairs, (alpha * d, new_g - g)][-memory:]
        w, C, g = w + alpha * d, new_C, new_g
        yield w, C


@every_problem
@pytest.mark.parametrize(
    "solver", [dl.LBFGS(), dl.LBFGS(3), dl.LBFGS(1, c1=1e-3, c2=0.1)], ids=repr
)
def test_first_ten_iterates_of_lbfgs(problem, solver):
    net, X, Y = case_of(problem)
    evaluate, w = objective(net, X, Y), net.parameters.copy()
    found, result = iterates(net, X, Y, solver, 10)
    expected = list(lbfgs(evaluate, w, 10, solver.memory, solver.c1, solver.c2))
    assert len(found) == 10
    for parameters, cost, (w, C) in zip(found, result.cost_history, expected, strict=True):
        assert np.linalg.norm(parameters - w) <= 1e-10 * np.linalg.norm(w)
        assert cost == pytest.approx(C, rel=1e-10)


# ---- scaled conjugate gradients in NumPy ----


def scg(evaluate, w, epochs, sigma, lam):
    """Iterates by the nine steps of the paper."""
    bar, k, success = 0.0, 0, True
    E, g = evaluate(w)
    r = -g
    p = r.copy()
    while k < epochs:
        pp = p @ p
        if success:
            sigma_k = sigma / math.sqrt(pp)
            delta = p @ ((evaluate(w + sigma_k * p)[1] - g) / sigma_k)
        delta += (lam - bar) * pp
        if delta <= 0:
            bar = 2 * (lam - delta / pp)
            delta = -delta + lam * pp
            lam = bar
        mu = p @ r
        alpha = mu / delta
        E_new, g_new = evaluate(w + alpha * p)
        Delta = 2 * delta * (E - E_new) / mu**2
        success = Delta >= 0
        if success:
            w, E, g, bar, k = w + alpha * p, E_new, g_new, 0.0, k + 1
            r_new = -g
            beta = 0.0 if k % len(w) == 0 else (r_new @ r_new - r_new @ r) / mu
            p, r = r_new + beta * p, r_new
            old_pp = pp
            yield w, E
        else:
            bar, old_pp = lam, pp
        if Delta >= 0.75:
            lam /= 4
        if Delta < 0.25:
            lam += delta * (1 - Delta) / old_pp


@every_problem
def test_first_iterates_of_scg(problem):
    """The curvature is a difference of gradients: it has 5 digits less than they have."""
    net, X, Y = case_of(problem)
    evaluate, w = objective(net, X, Y), net.parameters.copy()
    solver = dl.ScaledConjugateGradient()
    found, result = iterates(net, X, Y, solver, 10)
    expected = list(scg(evaluate, w, 10, solver.sigma, solver.lambda_))
    for parameters, cost, (w, C) in zip(found, result.cost_history, expected, strict=True):
        assert np.linalg.norm(parameters - w) <= 1e-7 * np.linalg.norm(w)
        assert cost == pytest.approx(C, rel=1e-7)


# ---- linear least squares, where the answer is known ----


def least_squares(m, n=50, seed=0):
    """A network without hidden units, data for it and the best parameters."""
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, m)), rng.normal(size=(n, 1))
    best = np.linalg.lstsq(np.c_[X, np.ones(n)], Y, rcond=None)[0].ravel()
    return dl.Network([m, 1], activation="identity", seed=seed), X, Y, best


@every_solver
def test_least_squares(solver):
    net, X, Y, best = least_squares(8)
    result = net.fit(X, Y, solver=solver, tol=0, max_epochs=200)
    assert np.abs(net.parameters - best).max() < 1e-9
    assert result.stop_reason in ("min_gradient", "line_search", "max_lambda", "max_epochs")


def test_scg_takes_one_step_for_each_parameter():
    """With the curvature measured far enough away to be exact, as it is on a parabola."""
    for m in range(1, 8):
        net, X, Y, best = least_squares(m)
        solver = dl.ScaledConjugateGradient(sigma=1.0, lambda_=1e-30)
        result = net.fit(X, Y, solver=solver, tol=0, max_epochs=m + 1)
        assert result.epochs <= m + 1
        assert np.abs(net.parameters - best).max() < 1e-12


# ---- what every fit promises ----


@both
@every_problem
def test_same_bits_for_any_threads_and_chunk(problem, solver):
    expected = None
    for threads, chunk in itertools.product((1, 2, 3, 7), (0, 8, 100)):
        net, X, Y = case_of(problem)
        net._chunk_rows = chunk
        if threads > 1:
            net._grain = 1.0
        result = net.fit(X, Y, solver=solver, tol=0, max_epochs=15, n_threads=threads)
        got = bits(np.concatenate([net.parameters, result.cost_history, [result.gradient_norm]]))
        expected = got if expected is None else expected
        assert (got == expected).all()


@both
def test_same_bits_for_any_threads_with_blocks(solver):
    """More than 32,768 parameters: sums in blocks, which threads share."""
    case = make_case((90, 400, 6), "tanh", "identity", "squared_error", n=30, seed=4)
    expected = None
    for threads in (1, 2, 3, 7):
        net = case.network()
        net._grain = 1.0
        assert net.n_parameters > 32768
        result = net.fit(case.X, case.Y, solver=solver, tol=0, max_epochs=8, n_threads=threads)
        got = bits(np.concatenate([net.parameters, result.cost_history]))
        expected = got if expected is None else expected
        assert (got == expected).all()
    found, _ = iterates(case.network(), case.X, case.Y, dl.LBFGS(3), 8)
    first, evaluate = case.network().parameters, objective(case.network(), case.X, case.Y)
    for got, (w, _) in zip(found, lbfgs(evaluate, first, 8, 3, 1e-4, 0.9), strict=True):
        assert np.linalg.norm(got - w) <= 1e-10 * np.linalg.norm(w)


@pytest.mark.slow
def test_recursion_over_a_million_parameters():
    """So many that the recursion itself is cut into portions."""
    case = make_case((1200, 1000, 2), "tanh", "identity", "squared_error", n=4, seed=5)
    nets = [case.network(), case.network()]
    for threads, net in enumerate(nets, 1):
        result = net.fit(case.X, case.Y, solver=dl.LBFGS(6), tol=0, max_epochs=9, n_threads=threads)
        assert (np.diff(result.cost_history) < 0).all()
    assert (bits(nets[0].parameters) == bits(nets[1].parameters)).all()
    first, evaluate = case.network().parameters, objective(case.network(), case.X, case.Y)
    *_, (w, _) = lbfgs(evaluate, first, 9, 6, 1e-4, 0.9)
    assert np.linalg.norm(nets[0].parameters - w) <= 1e-9 * np.linalg.norm(w)


def check_record(net, X, Y, result):
    """The fields of a result, as they are defined, to the bit."""
    history = result.cost_history
    assert history.shape == (result.epochs,)
    assert result.cost == net.cost(X, Y) == [result.initial_cost, *history][-1]
    assert result.converged == (result.stop_reason in ("converged", "goal"))
    gradient = net.gradient(X, Y)[1]
    assert result.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    assert all(isinstance(value, np.ndarray) for value in result.state.values())


@both
@every_problem
def test_costs_are_those_of_cost_and_fall(problem, solver):
    net, X, Y = case_of(problem)
    costs, C_0 = [], net.cost(X, Y)
    result = net.fit(
        X,
        Y,
        solver=solver,
        tol=0,
        max_epochs=30,
        callback=lambda info: costs.append(info.network.cost(X, Y)),
    )
    assert result.initial_cost == C_0
    assert result.cost_history.tolist() == costs
    assert (np.diff([C_0, *costs]) <= 0).all()
    assert (result.stop_reason, result.epochs) == ("max_epochs", 30)
    check_record(net, X, Y, result)


@both
def test_converged_and_goal(solver):
    net, X, Y = case_of("sinc")
    full, C_0 = net.copy().fit(X, Y, solver=solver, tol=0, max_epochs=60), net.cost(X, Y)
    costs = [C_0, *full.cost_history]
    tol = abs(costs[21] - costs[20]) * 1.0000001
    first = next(e for e in range(1, 61) if abs(costs[e] - costs[e - 1]) < tol)
    other = net.copy()
    result = other.fit(X, Y, solver=solver, tol=tol)
    assert (result.stop_reason, result.epochs) == ("converged", first)
    check_record(other, X, Y, result)
    other = net.copy()
    result = other.fit(X, Y, solver=solver, tol=0, goal=costs[40])
    assert (result.stop_reason, result.epochs) == ("goal", 40)
    check_record(other, X, Y, result)
    result = net.fit(X, Y, solver=solver, goal=C_0)
    assert (result.stop_reason, result.epochs) == ("goal", 0)


@both
def test_max_time_and_callback(solver):
    net, X, Y = case_of("sinc")
    result = net.fit(X, Y, solver=solver, tol=0, max_epochs=10**9, max_time=0.1)
    assert result.stop_reason in ("max_time", "line_search", "max_lambda")
    assert result.seconds < 30
    check_record(net, X, Y, result)
    net, X, Y = case_of("sinc")
    seen = []
    result = net.fit(
        X,
        Y,
        solver=solver,
        tol=0,
        callback=lambda info: seen.append(info.epoch) or info.epoch == 14,
        callback_every=7,
    )
    assert (result.stop_reason, result.epochs, seen) == ("callback", 14, [7, 14])
    check_record(net, X, Y, result)


@both
def test_min_gradient(solver):
    net, X, Y, _ = least_squares(4)
    solver = type(solver)(min_gradient=1e-3)
    result = net.fit(X, Y, solver=solver, tol=0)
    assert (result.stop_reason, result.converged) == ("min_gradient", False)
    assert 0 < result.gradient_norm <= 1e-3
    check_record(net, X, Y, result)
    again = net.fit(X, Y, solver=solver, tol=0)
    assert (again.stop_reason, again.epochs) == ("min_gradient", 0)


@both
def test_saturated_network_has_no_gradient(solver):
    net = dl.Network.from_weights([np.ones((2, 2)), [[30.0], [30.0]]], [[1.0, 1.0], [0.0]])
    before = net.parameters.copy()
    solver = type(solver)(min_gradient=0.0)
    result = net.fit(np.ones((4, 2)), np.zeros(4), solver=solver)
    assert (result.stop_reason, result.epochs) == ("min_gradient", 0)
    assert (net.parameters == before).all()


@both
def test_ends_where_rounding_does(solver):
    """No tolerance, no gradient small enough: the solver's own reason, at the best parameters."""
    net, X, Y, best = least_squares(3)
    result = net.fit(X, Y, solver=type(solver)(min_gradient=0.0), tol=0, max_epochs=10_000)
    reasons = ("line_search",) if isinstance(solver, dl.LBFGS) else ("max_lambda",)
    assert result.stop_reason in (*reasons, "min_gradient")
    assert np.abs(net.parameters - best).max() < 1e-6
    assert result.cost == result.cost_history.min()
    check_record(net, X, Y, result)


def test_line_search_takes_the_best_step_when_its_evaluations_are_used_up():
    """One evaluation allows only steps that are good at once; some directions have none."""
    net, X, Y = case_of("sinc")
    solver = dl.LBFGS(max_evaluations=1, c2=0.0002)
    result = net.fit(X, Y, solver=solver, tol=0, max_epochs=50)
    assert result.stop_reason in ("max_epochs", "line_search")
    assert (np.diff([result.initial_cost, *result.cost_history]) <= 0).all()
    check_record(net, X, Y, result)
    for evaluations in (2, 3, 4):
        net, X, Y = case_of("sinc")
        solver = dl.LBFGS(max_evaluations=evaluations, c1=1e-9, c2=1e-8)
        result = net.fit(X, Y, solver=solver, tol=0, max_epochs=50)
        assert (np.diff([result.initial_cost, *result.cost_history]) < 0).all()
        check_record(net, X, Y, result)


@both
def test_trial_steps_into_infinity_are_shortened(solver):
    """A step of length 1 overflows; so does one to where lambda alone leads."""
    X, Y = np.full((10, 1), 1e154), np.zeros((10, 1))
    net = dl.Network.from_weights([[[1e-164]]], [[0.0]], activation="identity")
    saturated = dl.Network.from_weights([[[-800.0]]], [[0.0]], loss="cross_entropy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = net.fit(X, Y, solver=solver, tol=0, max_epochs=50)
        C_0 = saturated.cost([[1.0]], [1])
        if isinstance(solver, dl.ScaledConjugateGradient):
            solver = dl.ScaledConjugateGradient(lambda_=1e-310)
        far = saturated.fit([[1.0]], [1], solver=solver, tol=0, max_epochs=50)
    assert result.stop_reason in ("line_search", "max_lambda")
    assert math.isfinite(result.cost)
    assert result.cost == net.cost(X, Y) <= 5.1e-20
    assert np.isfinite(net.parameters).all()
    assert far.stop_reason == "min_gradient"
    assert far.cost < 1e-9 < C_0
    assert np.isfinite(saturated.parameters).all()


@both
def test_divergence_before_the_first_step(solver):
    net = dl.Network.from_weights([[[1e200]]], [[0.0]], activation="identity")
    with pytest.warns(dl.DivergenceWarning, match="before the first step"):
        result = net.fit([[1.0]], [0.0], solver=solver)
    assert (result.stop_reason, result.epochs) == ("diverged", 0)
    assert net.parameters.tolist() == [1e200, 0.0]


def test_state_of_lbfgs():
    """The pairs that the recursion works with, as plain arrays."""
    net, X, Y = case_of("binary")
    P, found = net.n_parameters, [net.parameters.copy()]
    result = net.fit(
        X,
        Y,
        solver=dl.LBFGS(memory=3),
        tol=0,
        max_epochs=5,
        callback=lambda info: found.append(info.network.parameters.copy()),
    )
    s, y = (result.state[name].reshape(4, P) for name in ("s", "y"))
    newest, pairs, gamma = result.state["pairs"]
    assert pairs == 3
    for age in range(3):
        slot = int(newest - age) % 4
        step = found[-1 - age] - found[-2 - age]
        change = np.subtract(*(objective(net, X, Y)(found[i - age])[1] for i in (-1, -2)))
        assert s[slot] == pytest.approx(step, rel=1e-9, abs=1e-14)
        assert (y[slot] == change).all()
        assert result.state["rho"][slot] == pytest.approx(1 / (s[slot] @ y[slot]), rel=1e-12)
    slot = int(newest)
    assert gamma == pytest.approx(s[slot] @ y[slot] / (y[slot] @ y[slot]), rel=1e-12)


def test_state_of_scg():
    net, X, Y = case_of("binary")
    result = net.fit(X, Y, solver=dl.ScaledConjugateGradient(), tol=0, max_epochs=5)
    assert result.state["direction"].shape == (net.n_parameters,)
    assert result.state["lambda"][1] == 5


INTERRUPTED = """
import json, os, signal, sys, threading, time
import numpy as np
import deltaloop as dl
from tests.helpers.cases import make_case

name, layers, n = json.loads(sys.argv[1])
case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
net = case.network(seed=0)
sent = []

def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Timer(0.4, interrupt).start()
try:
    net.fit(case.X, case.Y, solver=getattr(dl, name)(min_gradient=0), tol=0, max_epochs=10**7)
except KeyboardInterrupt:
    delay = time.perf_counter() - sent[0]
else:
    raise SystemExit("fit returned")
again = net.copy().fit(case.X[:100], case.Y[:100], solver=dl.LBFGS(), max_epochs=3, tol=0)
assert again.epochs == 3
print(json.dumps({"delay": delay, "parameters": net.parameters.view(np.uint64).tolist()}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill cannot send SIGINT")
@pytest.mark.parametrize("name", ["LBFGS", "ScaledConjugateGradient"])
@pytest.mark.parametrize(("layers", "n"), [([8, 40, 1], 2000), ([16, 100, 100, 1], 50_000)])
def test_interrupt(name, layers, n, record_property):
    """The parameters are those after some whole number of epochs, never a trial step."""
    out = json.loads(run_python(INTERRUPTED, json.dumps([name, layers, n])))
    record_property("seconds to KeyboardInterrupt", round(out["delay"], 4))
    assert out["delay"] < 3.0
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
    net, parameters, found = case.network(seed=0), tuple(out["parameters"]), []
    found.append(tuple(bits(net.parameters).tolist()) == parameters)

    def callback(info):
        found.append(tuple(bits(info.network.parameters).tolist()) == parameters)
        return found[-1]

    if not found[-1]:
        solver = getattr(dl, name)(min_gradient=0)
        limits = {"tol": 0, "max_epochs": 10**5, "max_time": 30}
        net.fit(case.X, case.Y, solver=solver, callback=callback, **limits)
    assert found[-1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
@both
def test_other_signals_change_nothing(solver):
    net, X, Y = case_of("ranges")
    plain, calls = net.copy(), []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        timed = net.fit(X, Y, solver=solver, tol=0, max_epochs=10**6, max_time=0.3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls
    plain.fit(X, Y, solver=solver, tol=0, max_epochs=timed.epochs)
    assert (bits(plain.parameters) == bits(net.parameters)).all()


# ---- options ----


@pytest.mark.parametrize(
    ("solver", "arguments", "error", "message"),
    [
        (dl.LBFGS, {"memory": 0}, ValueError, "memory"),
        (dl.LBFGS, {"memory": 2.5}, TypeError, "memory"),
        (dl.LBFGS, {"memory": None}, TypeError, "memory"),
        (dl.LBFGS, {"c1": 0.0}, ValueError, "c1"),
        (dl.LBFGS, {"c1": 0.9}, ValueError, "c1 < c2"),
        (dl.LBFGS, {"c2": 1.0}, ValueError, "c2"),
        (dl.LBFGS, {"c2": math.nan}, ValueError, "c2"),
        (dl.LBFGS, {"c1": "small"}, TypeError, "c1"),
        (dl.LBFGS, {"max_evaluations": 0}, ValueError, "max_evaluations"),
        (dl.LBFGS, {"min_gradient": -1.0}, ValueError, "min_gradient"),
        (dl.LBFGS, {"min_gradient": math.inf}, ValueError, "min_gradient"),
        (dl.ScaledConjugateGradient, {"sigma": 0.0}, ValueError, "sigma"),
        (dl.ScaledConjugateGradient, {"sigma": math.nan}, ValueError, "sigma"),
        (dl.ScaledConjugateGradient, {"lambda_": -1e-7}, ValueError, "lambda_"),
        (dl.ScaledConjugateGradient, {"lambda_": math.inf}, ValueError, "lambda_"),
        (dl.ScaledConjugateGradient, {"min_gradient": "0"}, TypeError, "min_gradient"),
    ],
)
def test_bad_options(solver, arguments, error, message):
    with pytest.raises(error, match=message):
        solver(**arguments)


def test_solvers_are_immutable_and_print_what_was_set():
    assert repr(dl.LBFGS()) == "LBFGS()"
    assert repr(dl.LBFGS(5, c2=0.5)) == "LBFGS(memory=5, c2=0.5)"
    assert repr(dl.ScaledConjugateGradient(sigma=1e-4)) == "ScaledConjugateGradient(sigma=0.0001)"
    for solver in SOLVERS:
        assert solver == type(solver)(**{k: getattr(solver, k) for k in vars(solver)})
        with pytest.raises(AttributeError):
            solver.min_gradient = 1.0


@both
def test_trainer_refuses_them(solver):
    net = dl.Network([2, 2, 1], seed=0)
    with pytest.raises(ValueError, match=r"step by step.*got " + type(solver).__name__):
        net.trainer(solver)


@both
def test_refused_fits_leave_the_network_alone(solver):
    net, X, Y = case_of("binary")
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="Y"):
        net.fit(X, Y[:-1], solver=solver)
    with pytest.raises(ValueError, match="step"):
        dl.Network([2, 2, 1], activation="step").fit([[0.0, 1.0]], [1.0], solver=solver)
    assert (net.parameters == before).all()


def test_memory_that_does_not_exist():
    net, X, Y = case_of("binary")
    before = net.parameters.copy()
    for memory in (10**30, 2**58, 2**45):
        with pytest.raises((ValueError, MemoryError), match=r"too large|memory"):
            net.fit(X, Y, solver=dl.LBFGS(memory))
    assert (net.parameters == before).all()
