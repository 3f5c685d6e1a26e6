"""Levenberg-Marquardt and Bayesian regularisation against NumPy: steps, rules, bits, ends."""

import warnings

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._scores import r2
from deltaloop.datasets import load_digits
from tests.helpers.compare import same
from tests.helpers.complex_step import derivatives, outputs
from tests.helpers.processes import run_python

LM, BR = dl.LevenbergMarquardt, dl.BayesianRegularization

# Layers, options of the network, and a number of instances with at least as many errors as
# parameters.
CASES = [
    ([2, 5, 1], {"activation": "tanh", "output": "identity"}, 60),
    ([3, 4, 2], {"activation": "sigmoid"}, 41),
    ([3, 6, 5, 3], {"activation": "tanh", "output": "identity"}, 70),
    ([2, 4, 3, 2], {"activation": "tanh", "output": "softmax"}, 50),
    ([2, 9], {"activation": "tanh"}, 20),
    ([3, 5, 1], {"activation": "tanh", "loss": "cross_entropy"}, 50),
    ([3, 5, 4], {"activation": "tanh", "loss": "cross_entropy"}, 40),
    ([3, 4, 5, 2], {"activation": "sigmoid", "loss": "binary_cross_entropy"}, 60),
    ([3, 4, 2], {"activation": "silu", "output": "silu"}, 50),
    ([3, 4, 3, 2], {"activation": "tanh", "loss": "poisson"}, 60),
]
TRUST = {"damping_rule": "trust_region"}
DIAGONAL = {"scaling": "diagonal"}
RULES = {
    "fixed": {"damping_rule": "fixed"},
    "marquardt": {"damping_rule": "fixed", **DIAGONAL},
    "nielsen": {},
    "nielsen, diagonal": DIAGONAL,
    "trust": {**TRUST, **DIAGONAL},
    "trust, identity": TRUST,
    "geodesic": {"geodesic": True},
    "trust, geodesic": {**TRUST, **DIAGONAL, "geodesic": True},
}
names = pytest.mark.parametrize("rule", list(RULES))
cases = pytest.mark.parametrize(("layers", "options", "n"), CASES)


def problem(layers, options, n, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, layers[0]))
    m = layers[-1]
    if options.get("loss") == "cross_entropy" and m > 1:
        Y = rng.integers(m, size=n)
    elif "loss" in options:
        Y = (rng.random((n, m)) < 0.5).astype(float)
    else:
        Y = rng.random((n, m))
    return dl.Network(layers, seed=seed, **options), X, Y


def one_hot(net, Y):
    return np.eye(net.layers[-1])[Y] if Y.ndim == 1 and net.output == "softmax" else Y


# ---- an independent implementation ----


def are_weights(net):
    """1 for each parameter that is a weight, 0 for a bias."""
    parts = zip(net.weights, net.biases, strict=True)
    return np.concatenate([np.repeat([1.0, 0.0], [w.size, b.size]) for w, b in parts])


def cost(net, p, X, Y, s=1.0, l2=0.0):
    a = outputs(net, p, X)
    if net.loss == "squared_error":
        C = 0.5 * (a - Y) ** 2
    elif net.output == "softmax":
        C = -Y * np.log(a)
    elif net.loss == "poisson":
        C = a - Y * np.log(a)
    else:
        C = -(Y * np.log(a) + (1 - Y) * np.log(1 - a))
    return np.sum(s * C.sum(axis=1)) + 0.5 * l2 * np.sum(are_weights(net) * p**2)


def normal_equations(net, p, X, Y, s=1.0, l2=0.0):
    """(A, g): the (generalised) Gauss-Newton matrix and the gradient."""
    a = outputs(net, p, X)
    squared = net.loss == "squared_error"
    J = derivatives(net, p, X, linear=not squared)
    if squared:
        H = np.stack([np.eye(len(r)) for r in a])
    elif net.output == "softmax":
        H = np.stack([np.diag(r) - np.outer(r, r) for r in a])
    elif net.loss == "poisson":
        H = np.stack([np.diag(r) for r in a])
    else:
        H = np.stack([np.diag(r * (1 - r)) for r in a])
    s = np.broadcast_to(s, len(a))
    penalised = l2 * are_weights(net)
    A = np.einsum("i,ijp,ijk,ikq->pq", s, J, H, J, optimize=True) + np.diag(penalised)
    return A, np.einsum("i,ikp,ik->p", s, J, a - Y) + penalised * p


def fixed_rule(net, p, X, Y, mu, iterations, scaling="identity", **problem):
    """(parameters, costs, mu, trials) of Hagan and Menhaj's rule, or Marquardt's D."""
    costs, trials, d2 = [], 0, np.zeros(len(p))
    before = cost(net, p, X, Y, **problem)
    for _ in range(iterations):
        A, g = normal_equations(net, p, X, Y, **problem)
        d2 = np.ones(len(p)) if scaling == "identity" else np.maximum(d2, np.diag(A))
        while True:
            trials += 1
            trial = p - np.linalg.solve(A + mu * np.diag(d2), g)
            after = cost(net, trial, X, Y, **problem)
            if after < before:
                break
            mu *= 10
        mu *= 0.1
        p, before = trial, after
        costs.append(after)
    return p, costs, mu, trials


@cases
@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
def test_iterations_are_those_of_an_independent_implementation(layers, options, n, scaling):
    net, X, Y = problem(layers, options, n)
    p, costs, mu, _ = fixed_rule(net, net.parameters.copy(), X, one_hot(net, Y), 0.1, 3, scaling)
    solver = LM(damping_rule="fixed", scaling=scaling, damping=0.1, min_gradient=0)
    result = net.fit(X, Y, solver=solver, max_epochs=3, tol=0)
    assert result.epochs == 3
    assert result.stop_reason == "max_epochs"
    np.testing.assert_allclose(result.cost_history, costs, rtol=1e-8)
    np.testing.assert_allclose(net.parameters, p, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(result.state["damping"], [mu], rtol=1e-12)


@cases
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("scaling", ["identity", "diagonal"])
@pytest.mark.parametrize("few", [False, True])
def test_weights_and_l2(layers, options, n, l2, scaling, few):
    """Of fewer errors than parameters, too: in the dual form, or with l2 in the primal one."""
    net, X, Y = problem(layers, options, n)
    if few:
        n = max(1, (net.n_parameters - 1) // layers[-1] // 2)
        X, Y = X[:n], Y[:n]
    s = np.random.default_rng(0).exponential(size=n)
    s[n // 2] = 0.0 if n > 1 else 2.0
    p, costs, mu, _ = fixed_rule(
        net, net.parameters.copy(), X, one_hot(net, Y), 0.1, 3, scaling, s=s, l2=l2
    )
    solver = LM(damping_rule="fixed", scaling=scaling, damping=0.1, min_gradient=0)
    result = net.fit(X, Y, solver=solver, max_epochs=3, tol=0, sample_weight=s, l2=l2)
    np.testing.assert_allclose(result.cost_history, costs, rtol=1e-7)
    np.testing.assert_allclose(net.parameters, p, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result.state["damping"], [mu], rtol=1e-12)


@names
@cases
def test_weights_are_rows_of_j_scaled(layers, options, n, rule):
    """Every rule: of whole weights the step of the rows repeated; of l2 a lower cost each time."""
    if "geodesic" in rule and "loss" in options:
        pytest.skip("squared error only")
    net, X, Y = problem(layers, options, n)
    s = np.random.default_rng(0).integers(0, 3, n)
    one, many = net.copy(), net.copy()
    solver = LM(min_gradient=0, **RULES[rule])
    a = one.fit(X, Y, solver=solver, max_epochs=2, tol=0, sample_weight=s, l2=0.1)
    b = many.fit(
        np.repeat(X, s, axis=0), np.repeat(Y, s, axis=0), solver=solver, max_epochs=2, tol=0, l2=0.1
    )
    assert np.all(np.diff([a.initial_cost, *a.cost_history]) < 0)
    if rule.startswith("trust") and net.output == "softmax":
        return  # the biases of all outputs may move together: singular without damping
    np.testing.assert_allclose(a.cost_history, b.cost_history, rtol=1e-8)
    np.testing.assert_allclose(one.parameters, many.parameters, rtol=1e-5, atol=1e-7)


@cases
def test_gradient_norm_is_that_of_the_last_jacobian(layers, options, n):
    net, X, Y = problem(layers, options, n)
    expected = np.linalg.norm(net.gradient(X, Y)[1])
    result = net.fit(X, Y, solver=LM(), max_epochs=1, tol=0)
    assert result.gradient_norm == pytest.approx(expected, rel=1e-12)


@names
@cases
def test_cost_and_history(layers, options, n, rule):
    if "geodesic" in rule and "loss" in options:
        pytest.skip("squared error only")
    net, X, Y = problem(layers, options, n)
    start = net.cost(X, Y)
    result = net.fit(X, Y, solver=LM(**RULES[rule]), max_epochs=12, tol=0)
    assert result.initial_cost == start
    assert result.cost == net.cost(X, Y)
    assert len(result.cost_history) == result.epochs
    if result.epochs:
        assert result.cost == result.cost_history[-1]
        assert np.all(np.diff([start, *result.cost_history]) < 0)
    assert result.cost < 0.9 * start


# ---- fewer errors than parameters ----


@names
@cases
def test_dual_form(layers, options, n, rule):
    """Instances that are there twice, with half the weight, do not change the step."""
    if "geodesic" in rule and "loss" in options:
        pytest.skip("squared error only")
    net, X, Y = problem(layers, options, n)
    few = max(1, (net.n_parameters - 1) // layers[-1] // 2)
    copies = -(-net.n_parameters // (few * layers[-1]))
    X, Y = X[:few], Y[:few]
    assert few * layers[-1] < net.n_parameters <= copies * few * layers[-1]
    # J^T J and J^T e are `copies` times as large: so mu has to be, for the same step.
    options = {"min_gradient": 0, **RULES[rule]}
    many = dict(options)
    if rule == "fixed":
        options["damping"], many["damping"] = 0.1, 0.1 * copies
    dual, primal = net.copy(), net.copy()
    a = dual.fit(X, Y, solver=LM(**options), max_epochs=1, tol=0)
    b = primal.fit(
        np.tile(X, (copies, 1)),
        np.concatenate([Y] * copies),
        solver=LM(**many),
        max_epochs=1,
        tol=0,
    )
    if rule.startswith("trust"):
        # Without damping the system of many copies is singular.
        assert a.cost < a.initial_cost
        assert b.cost < b.initial_cost
        return
    np.testing.assert_allclose(a.cost * copies, b.cost, rtol=1e-5)
    np.testing.assert_allclose(dual.parameters, primal.parameters, rtol=1e-4, atol=1e-6)


def test_dual_form_interpolates():
    net, X, Y = problem([2, 20, 1], {"activation": "tanh", "output": "identity"}, 15)
    result = net.fit(X, Y, solver=LM(min_gradient=0), goal=1e-25, tol=0, max_epochs=100)
    assert result.stop_reason == "goal"


# ---- rules by hand ----


def line(slope=2.0):
    """C = 1/2 sum (w x + b - slope x)^2 for x = -1, 1: J^T J = 2 I."""
    net = dl.Network.from_weights([[[0.0]]], [[0.0]], activation="identity")
    return net, [[-1.0], [1.0]], [[-slope], [slope]]


def test_the_first_step_by_hand():
    net, X, Y = line()
    # (2 + 2) s = 4, w = 1: C falls from 4 to 1.
    solver = LM(damping_rule="fixed", scaling="identity", damping=2.0)
    result = net.fit(X, Y, solver=solver, max_epochs=1, tol=0)
    assert net.parameters == pytest.approx([1.0, 0.0])
    assert result.cost_history == pytest.approx([1.0])
    assert result.gradient_norm == 4.0
    assert result.state["damping"] == pytest.approx([0.2])


def test_marquardts_scaling_by_hand():
    net, X, Y = line()
    # (2 + 1 x 2) s = 4
    result = net.fit(
        X, Y, solver=LM(damping_rule="fixed", damping=1.0, **DIAGONAL), max_epochs=1, tol=0
    )
    assert net.parameters == pytest.approx([1.0, 0.0])
    assert result.state["scale"].tolist() == [2.0, 2.0]


def test_nielsens_rule_by_hand():
    net, X, Y = line()
    # mu = 1 x max diag = 2: as above; the model is exact, rho = 1, mu <- mu / 3.
    solver = LM(damping_rule="nielsen", scaling="identity", damping=1.0)
    result = net.fit(X, Y, solver=solver, max_epochs=1, tol=0)
    assert net.parameters == pytest.approx([1.0, 0.0])
    assert result.state["damping"] == pytest.approx([2 / 3])
    assert result.state["growth"] == [2.0]


def test_trust_region_by_hand():
    net, X, Y = line()
    # Without D: the first radius is `radius`, since D w = 0; the Gauss-Newton step is 2.
    result = net.fit(X, Y, solver=LM(radius=5.0, **TRUST), max_epochs=1, tol=0)
    assert net.parameters == pytest.approx([2.0, 0.0])
    assert result.state["damping"] == [0.0]
    assert result.state["radius"] == pytest.approx([4.0])  # twice the step
    net, X, Y = line()
    result = net.fit(X, Y, solver=LM(radius=0.5, **TRUST), max_epochs=1, tol=0)
    assert net.parameters[0] == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_rounding_does_not_decide_where_a_trust_region_with_softmax_goes(seed, few):
    # J^T J and J J^T are singular with softmax. The order of the rows only changes rounding errors.
    rng = np.random.default_rng(seed)
    n = 10 if few else 60
    X, Y = rng.normal(size=(n, 3)), rng.integers(3, size=n)
    found = []
    for order in range(4):
        rows = np.random.default_rng(order).permutation(n)
        net = dl.Network([3, 5, 3], activation="tanh", loss="cross_entropy", seed=seed)
        net.fit(X[rows], Y[rows], solver=LM(**TRUST), max_epochs=1, tol=0)
        found.append(net.parameters.copy())
    assert found[1:] == [pytest.approx(found[0], abs=1e-5)] * 3


SCALED = {rule: LM(**options) for rule, options in RULES.items()}
SCALED |= {"none": None, "trainlm": LM.trainlm(), "Bayesian regularisation": BR()}


@pytest.mark.parametrize("name", list(SCALED))
def test_inputs_and_targets_of_any_scale(name):
    # Years, and targets of thousands: J^T J is 1e9 and more, and mu has to exceed 1e10.
    rng = np.random.default_rng(0)
    X = rng.uniform([20, 1900], [200, 2020], (500, 2))
    y = 3000 * X[:, 0] + 500 * (X[:, 1] - 1900)
    for seed in (0, *range(2, 11)) if name == "none" else (0, 4, 7):  # all units of 1 die
        net = dl.Network([2, 10, 1], activation="relu", output="identity", seed=seed)
        net.fit(X, y, solver=SCALED[name], max_epochs=100)
        assert r2(y, net.predict(X)[:, 0]) > 0.988, seed


def test_trainlms_rule_accepts_and_rejects():
    """From a start where steps fail: mu and the number of trials as computed apart."""
    net = dl.Network([1, 3, 1], activation="tanh", output="identity", seed=2)
    X = np.linspace(-1, 1, 30).reshape(-1, 1)
    Y = np.sin(6 * X + 1)
    net.parameters *= 3.0
    p, costs, mu, trials = fixed_rule(net, net.parameters.copy(), X, Y, 1e-3, 8)
    assert trials > 8  # some are rejected
    result = net.fit(X, Y, solver=LM.trainlm(), max_epochs=8, tol=0)
    np.testing.assert_allclose(result.cost_history, costs, rtol=1e-6)
    np.testing.assert_allclose(result.state["damping"], [mu], rtol=1e-9)
    np.testing.assert_allclose(net.parameters, p, rtol=1e-4, atol=1e-8)


# ---- the same bits ----


@names
@pytest.mark.parametrize("n", [200, 9])
def test_threads_and_chunks_change_no_bit(rule, n):
    layers, options = [3, 12, 9, 2], {"activation": "tanh", "output": "identity"}
    results = []
    for threads, chunk in ((1, 0), (2, 0), (3, 0), (7, 0), (1, 1), (1, 13), (2, 64)):
        net, X, Y = problem(layers, options, n)
        net._grain = 1.0
        net._chunk_rows = chunk
        result = net.fit(X, Y, solver=LM(**RULES[rule]), max_epochs=6, tol=0, n_threads=threads)
        results.append((net.parameters, result.cost_history, np.array(result.gradient_norm)))
    for result in results[1:]:
        assert all(same(a, b) for a, b in zip(result, results[0], strict=True))


def test_conversion_changes_no_bit():
    net, X, Y = problem([3, 6, 2], {"activation": "tanh", "output": "identity"}, 300)
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    other = net.copy()
    net.fit(X.astype(float), Y.astype(float), solver=LM(geodesic=True), max_epochs=4, tol=0)
    other.fit(X[::-1][::-1], np.asfortranarray(Y), solver=LM(geodesic=True), max_epochs=4, tol=0)
    assert same(net.parameters, other.parameters)


SCRIPT = """
import hashlib
import numpy as np
import deltaloop as dl

digest = hashlib.sha256()
cases = [
    ([1, 20, 1], dict(activation="tanh", output="identity"), 1000),
    ([5, 30, 20, 3], dict(activation="tanh", output="identity"), 400),
    ([5, 9, 4], dict(activation="tanh", loss="cross_entropy"), 20),
]
for layers, options, n in cases:
    X = np.random.default_rng(1).normal(size=(n, layers[0]))
    Y = np.random.default_rng(2).random((n, layers[-1]))
    if "loss" in options:
        Y = Y.argmax(axis=1)
    for rule in ("trust_region", "nielsen", "fixed"):
        net = dl.Network(layers, seed=3, **options)
        net.fit(X, Y, solver=dl.LevenbergMarquardt(damping_rule=rule), max_epochs=6, tol=0)
        digest.update(net.parameters.tobytes())
    if "loss" not in options:
        net.fit(X, Y, solver=dl.BayesianRegularization(), max_epochs=6, tol=0)
        digest.update(net.parameters.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_variants_with_fma_give_the_same_bits(monkeypatch):
    digests = set()
    for isa in (name for name in dl.runtime()["isas"] if name != "base"):
        monkeypatch.setenv("DELTALOOP_ISA", isa)
        digests.add(run_python(SCRIPT, timeout=300))
    assert len(digests) <= 1


# ---- what it is for ----


@pytest.mark.parametrize("seed", range(5))
def test_sinc(seed):
    X = np.linspace(-1, 1, 1000).reshape(-1, 1)
    net = dl.Network([1, 20, 1], activation="tanh", output="identity", seed=seed)
    rng = np.random.default_rng(seed)
    net.weights[0][:] = 14 * rng.choice([-1.0, 1.0], size=(1, 20))
    net.biases[0][:] = rng.uniform(-14, 14, size=20)
    solver = LM(min_gradient=0)
    goal = 0.5 * 1000 * 1e-8
    result = net.fit(X, np.sinc(10 * X / np.pi), solver=solver, goal=goal, tol=0, max_epochs=500)
    assert result.stop_reason == "goal"


@names
def test_xor(rule):
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    solved = 0
    for seed in range(10):
        net = dl.Network([2, 3, 1], activation="tanh", seed=seed)
        result = net.fit(X, Y, solver=LM(**RULES[rule]), goal=1e-6, tol=0, max_epochs=200)
        solved += result.stop_reason == "goal"
    assert solved >= 6


@names
def test_every_fit_ends(rule):
    """Down to rounding, where a model's decrease may come out negative."""
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    for seed in range(30):
        net = dl.Network([2, 2, 1], seed=seed)
        result = net.fit(X, Y, solver=LM(**RULES[rule]), tol=0, max_epochs=200)
        assert result.cost <= result.initial_cost
        assert result.stop_reason in ("min_gradient", "min_step", "max_damping", "max_epochs")


def test_classification():
    X, Y = load_digits()
    net = dl.Network([64, 4, 10], activation="tanh", loss="cross_entropy", seed=0)
    result = net.fit(X[:500] / 16, Y[:500], solver=LM(), max_epochs=15, tol=0)
    assert result.cost < 0.1 * result.initial_cost
    assert np.mean(net.classify(X[:500] / 16) == Y[:500]) > 0.95


# ---- stop reasons ----


def test_min_gradient():
    net, X, Y = line()
    result = net.fit(X, Y, solver=LM(min_gradient=5.0), tol=0)
    assert (result.stop_reason, result.epochs, result.converged) == ("min_gradient", 0, False)
    assert net.parameters.tolist() == [0.0, 0.0]
    assert result.cost == result.initial_cost == 4.0
    net.parameters[:] = 2.0, 0.0  # the minimum
    assert net.fit(X, Y, solver=LM(min_gradient=0), tol=0).stop_reason == "min_gradient"


def test_max_damping_and_min_step():
    X = np.linspace(-1, 1, 40).reshape(-1, 1)
    Y = X**2 + 0.1 * np.sin(37 * X)
    for rule, options in RULES.items():
        net = dl.Network([1, 2, 1], activation="tanh", output="identity", seed=1)
        result = net.fit(X, Y, solver=LM(min_gradient=0, **options), tol=0, max_epochs=20_000)
        assert result.stop_reason in ("max_damping", "min_step"), rule
        assert result.cost == net.cost(X, Y)
        assert not result.converged


def test_tol_and_goal():
    net, X, Y = problem([2, 5, 1], {"activation": "tanh"}, 60)
    other = net.copy()
    result = net.fit(X, Y, solver=LM(), tol=1e-3)
    assert result.stop_reason == "converged"
    assert abs(result.cost_history[-1] - result.cost_history[-2]) < 1e-3
    result = other.fit(X, Y, solver=LM(), goal=other.cost(X, Y))
    assert (result.stop_reason, result.epochs) == ("goal", 0)


def test_a_trial_that_overflows_is_rejected():
    net = dl.Network([1, 1, 1], activation="relu", output="identity", seed=0)
    net.parameters[:] = 1e-200, 1e-200, 1e-200, 0.0
    X, Y = [[1.0], [2.0]], [[1.0], [3.0]]
    for options in RULES.values():
        other = net.copy()
        result = other.fit(X, Y, solver=LM(min_gradient=0, **options), max_epochs=30, tol=0)
        assert result.cost <= result.initial_cost
        assert np.isfinite(other.parameters).all()


def test_infinite_start_diverges():
    net, X, Y = line()
    net.parameters[0] = 1e200
    with pytest.warns(dl.DivergenceWarning):
        result = net.fit(X, Y, solver=LM())
    assert result.stop_reason == "diverged"
    assert net.parameters.tolist() == [1e200, 0.0]


def test_callback_and_progress():
    net, X, Y = problem([2, 5, 1], {"activation": "tanh"}, 60)
    seen = []
    net.fit(X, Y, solver=LM(), tol=0, max_epochs=5, callback=lambda info: seen.append(info.cost))
    assert len(seen) == 5
    other, X, Y = problem([2, 5, 1], {"activation": "tanh"}, 60)
    assert other.fit(X, Y, solver=LM(), tol=0, max_epochs=5).cost_history.tolist() == seen


# ---- Bayesian regularisation ----


def bayesian(net, X, Y, iterations, mu=5e-3, s=1.0):
    """Foresee and Hagan's steps, dense."""
    p, alpha, beta, R = net.parameters.copy(), 0.0, 1.0, Y.size
    P = len(p)
    gamma = float(P)

    def F(q):
        return beta * 2 * cost(net, q, X, Y, s) + alpha * q @ q

    for iteration in range(iterations):
        A, g = normal_equations(net, p, X, Y, s)
        if iteration > 0:
            E_D = 2 * cost(net, p, X, Y, s)
            if alpha == 0:
                alpha, beta_there = 0.01, R / (2 * E_D)
            else:
                beta_there = beta
            H = 2 * beta_there * A + 2 * alpha * np.eye(P)
            gamma = P - 2 * alpha * np.trace(np.linalg.inv(H))
            alpha = gamma / (2 * (p @ p))
            beta = (R - gamma) / (2 * E_D) if gamma < R else beta
        before = F(p)
        while True:
            trial = p - np.linalg.solve(beta * A + (alpha + mu) * np.eye(P), beta * g + alpha * p)
            if F(trial) < before:
                break
            mu *= 10
        mu *= 0.1
        p = trial
    return p, alpha, beta, gamma


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [40, 14, 6])
def test_bayesian_steps_are_those_of_an_independent_implementation(n, weighted):
    net, X, Y = problem([2, 4, 1], {"activation": "tanh", "output": "identity"}, n)
    s = np.random.default_rng(0).exponential(size=n) if weighted else None
    p, alpha, beta, gamma = bayesian(net, X, Y, 5, s=1.0 if s is None else s)
    result = net.fit(X, Y, solver=BR(), max_epochs=5, tol=0, sample_weight=s)
    assert result.epochs == 5
    np.testing.assert_allclose(net.parameters, p, rtol=1e-5, atol=1e-7)
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        np.testing.assert_allclose(result.state[name], [value], rtol=1e-5)


def test_bayesian_regularisation_does_not_overfit():
    rng = np.random.default_rng(0)
    X = np.linspace(-1, 1, 41).reshape(-1, 1)
    clean = np.sin(np.pi * X)
    Y = clean + rng.normal(scale=0.2, size=X.shape)
    net = dl.Network([1, 20, 1], activation="tanh", output="identity", seed=0)
    other = net.copy()
    result = net.fit(X, Y, solver=BR(), tol=0, max_epochs=300)
    other.fit(X, Y, solver=LM(), tol=0, max_epochs=300)
    assert 3 < result.state["gamma"] < 15
    noise = 1 / np.sqrt(2 * result.state["beta"][0])
    assert 0.12 < noise < 0.3
    error = np.mean((net.predict(X) - clean) ** 2)
    assert error < 0.5 * np.mean((other.predict(X) - clean) ** 2)
    assert result.cost == net.cost(X, Y)


def test_bayesian_regularisation_leaves_the_mean():
    """Of 15 starts that are those of networks: 4 found the sine where gamma was first P."""
    rng = np.random.default_rng(0)
    X = np.linspace(-1, 1, 60).reshape(-1, 1)
    clean = np.sin(4 * X)
    Y = clean + rng.normal(scale=0.3, size=X.shape)
    found = 0
    for seed in range(15):
        net = dl.Network([1, 10, 1], activation="tanh", output="identity", seed=seed)
        net.fit(X, Y, solver=BR(), tol=0, max_epochs=300)
        found += np.mean((net.predict(X) - clean) ** 2) < 0.1 * clean.var()
    assert found >= 14
    nothing = rng.normal(size=X.shape)
    net = dl.Network([1, 10, 1], activation="tanh", output="identity", seed=0)
    with pytest.warns(dl.ConvergenceWarning, match="nguyen_widrow"):
        result = net.fit(X, nothing, solver=BR(), tol=0, max_epochs=300)
    assert result.state["gamma"] < 1


def test_bayesian_bits():
    parameters = []
    for threads, chunk in ((1, 0), (2, 0), (3, 17), (7, 1)):
        net, X, Y = problem([3, 12, 2], {"activation": "tanh", "output": "identity"}, 150)
        net._grain, net._chunk_rows = 1.0, chunk
        net.fit(X, Y, solver=BR(), max_epochs=6, tol=0, n_threads=threads)
        parameters.append(net.parameters)
    assert all(same(p, parameters[0]) for p in parameters)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"damping": 0.0}, ValueError, "damping must be positive and finite"),
        ({"damping": "x"}, TypeError, "damping must be a real number"),
        ({"damping": np.inf}, ValueError, "damping must be positive and finite"),
        ({"damping_decrease": 1.0}, ValueError, "damping_decrease must be between 0 and 1"),
        ({"damping_increase": 1.0}, ValueError, "damping_increase must be above 1"),
        ({"max_damping": np.nan}, ValueError, "max_damping must be positive"),
        ({"min_gradient": -1.0}, ValueError, "min_gradient must be finite and at least 0"),
        ({"max_memory": 0}, ValueError, "max_memory must be at least 1"),
        ({"max_memory": 1.5}, TypeError, "max_memory must be an integer"),
    ],
)
def test_options_out_of_range(options, error, message):
    for solver in (LM, BR):
        with pytest.raises(error, match=message):
            solver(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"damping_rule": "x"}, ValueError, "damping_rule must be one of nielsen"),
        ({"damping_rule": None}, TypeError, "damping_rule must be a string"),
        ({"scaling": "x"}, ValueError, "scaling must be one of identity, diagonal"),
        ({"geodesic": 1}, TypeError, "geodesic must be True or False"),
        ({"radius": 0.0}, ValueError, "radius must be positive"),
    ],
)
def test_own_options_out_of_range(options, error, message):
    with pytest.raises(error, match=message):
        LM(**options)


def test_refused_networks_stay_as_they_were():
    net, X, Y = problem([3, 5, 4], {"activation": "tanh", "loss": "cross_entropy"}, 40)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=r"BayesianRegularization needs .* squared_error"):
        net.fit(X, Y, solver=BR())
    huber = dl.Network([3, 5, 4], loss="huber", seed=0)
    with pytest.raises(ValueError, match=r"LevenbergMarquardt needs .* poisson, got huber"):
        huber.fit(X, np.eye(4)[Y], solver=LM())
    with pytest.raises(ValueError, match="geodesic=True needs"):
        net.fit(X, Y, solver=LM(geodesic=True))
    with pytest.raises(ValueError, match=r"max_memory=1000 is too little .* 44 parameters"):
        net.fit(X, Y, solver=LM(max_memory=1000))
    with pytest.raises(ValueError, match="solver must be one that improves"):
        net.trainer(LM())
    assert same(net.parameters, before)
    step = dl.Network.from_weights([[[1.0]], [[1.0]]], [[0.0], [0.0]], activation="step")
    with pytest.raises(ValueError, match="step units"):
        step.fit([[1.0]], [[1.0]], solver=LM())


def test_a_large_network_is_refused_at_once():
    net = dl.Network([784, 1000, 10], seed=0)
    X, Y = np.zeros((3, 784)), np.zeros((3, 10))
    with pytest.raises(ValueError, match="max_memory=100000000 is too little"):
        net.fit(X, Y, solver=LM(max_memory=10**8))
    with pytest.raises(ValueError, match="max_memory=1073741824 is too little"):
        net.fit(np.zeros((10**6, 784), dtype=np.int8), np.zeros((10**6, 10)), solver=LM())


def test_l2_has_no_dual_form():
    """So that of few instances it needs the memory of P parameters, and says so."""
    net = dl.Network([50, 60, 1], activation="tanh", seed=0)
    X, Y = np.ones((3, 50)), np.zeros(3)
    solver = LM(max_memory=10**6)
    net.copy().fit(X, Y, solver=solver, max_epochs=1, sample_weight=[1, 2, 3])
    pattern = r"max_memory=1000000 .* 3121 parameters .* l2=0, they take 149952 bytes"
    with pytest.raises(ValueError, match=pattern):
        net.fit(X, Y, solver=solver, max_epochs=1, l2=1e-9)
    net.copy().fit(X, Y, solver=LM(max_memory=149952), max_epochs=1)
    with pytest.raises(ValueError, match="take matrices of 149952 bytes; LBFGS"):
        net.fit(X, Y, solver=LM(max_memory=149951), max_epochs=1)


def test_representation():
    assert repr(LM()) == "LevenbergMarquardt()"
    assert repr(BR(damping=1.0)) == "BayesianRegularization(damping=1.0)"
    assert LM() == LM(radius=100)
    assert hash(LM()) == hash(LM())


def test_bayesian_regularisation_counts_rows_with_a_weight():
    """Rows whose weight is 0 change alpha, beta and gamma no more than rows that are not there."""
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(40, 2)), rng.normal(size=40)
    s = np.ones(40)
    s[[3, 11, 12, 39]] = 0.0
    nets = [dl.Network([2, 4, 1], activation="tanh", output="identity", seed=0) for _ in range(2)]
    options = {"solver": BR(), "max_epochs": 8, "tol": 0}
    with_zeros = nets[0].fit(X, Y, sample_weight=s, **options)
    without = nets[1].fit(X[s > 0], Y[s > 0], **options)
    for name in ("alpha", "beta", "gamma", "parameters"):
        np.testing.assert_allclose(with_zeros.state[name], without.state[name], rtol=1e-9)


@pytest.mark.parametrize("solver", [LM(), LM(damping_rule="fixed"), BR()])
def test_a_jacobian_whose_square_overflows_has_an_end(solver):
    """The cost is finite, J^T J is not, and so is no damping relative to it."""
    net = dl.Network.from_weights([[[1e-3]]], [[0.0]], output="identity")
    X = np.array([[1e155], [2e155]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = net.fit(X, [0.0, 1.0], solver=solver, max_epochs=5, max_time=2.0)
    assert result.stop_reason in ("max_damping", "min_step", "diverged")
    assert np.isfinite(net.parameters).all()


@pytest.mark.parametrize("factor", [1e-3, 2.0, 100.0])
def test_bayesian_regularisation_takes_weights_as_relative(factor):
    """A common factor of all weights goes into beta: it makes no rows, and no other network."""
    rng = np.random.default_rng(0)
    X = np.linspace(-1.0, 1.0, 60).reshape(-1, 1)
    Y = np.sin(3 * X) + rng.normal(scale=0.2, size=X.shape)
    states = []
    for s in (None, np.full(60, factor)):
        net = dl.Network([1, 5, 1], activation="tanh", output="identity", seed=0)
        states.append(net.fit(X, Y, solver=BR(), tol=0, sample_weight=s, max_epochs=1000).state)
    plain, weighted = states
    for name in ("alpha", "gamma"):
        np.testing.assert_allclose(weighted[name], plain[name], rtol=1e-6)
    np.testing.assert_allclose(weighted["beta"] * factor, plain["beta"], rtol=1e-6)
