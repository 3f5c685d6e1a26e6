"""Weights of instances and classes, l1, l2 and dropout: against mpmath, reference.py and NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import Reference, mask, raw_words
from tests.helpers.arrays import awkward
from tests.helpers.cases import MORE_PAIRS, PAIRS, make_case, permutations
from tests.helpers.compare import relative_error, same
from tests.helpers.networks import refuses, state, trained, variants
from tests.helpers.objectives import PENALTIES, SEED, check_dropout, masks_of, problem_of
from tests.helpers.oracle import Oracle

GD = dl.GradientDescent(0.01)


# ---- cost and gradient ----


@pytest.mark.parametrize(("loss", "output", "m"), [*PAIRS, *MORE_PAIRS])
def test_every_pair(loss, output, m):
    """Against mpmath: cost to 1e-13, gradients by parameters and inputs to 1e-12."""
    case = make_case((2, 3, m), "tanh", output, loss, n=3, seed=5)
    case.weights[0][1, 2] = 0.0  # where abs(w) has no derivative: 0 is promised
    net, problem = case.network(), problem_of(case)
    cost, gradient = net.gradient(case.X, case.Y, **problem)
    exact_cost, exact_gradient = Oracle(net).gradient(case.X, case.Y, **problem)
    assert cost == pytest.approx(exact_cost, rel=1e-13)
    assert relative_error(gradient, exact_gradient) < 1e-12
    assert net.cost(case.X, case.Y, **problem) == cost

    s = problem["sample_weight"]
    by_inputs = net.input_gradient(case.X, case.Y, sample_weight=s)
    assert relative_error(by_inputs, s[:, None] * net.input_gradient(case.X, case.Y)) < 1e-14


def test_oracle_against_central_differences():
    """The two gradients of the oracle, so that it is not the code's twin."""
    case = make_case((3, 3, 3, 2), "tanh", "softmax", "cross_entropy", 3, seed=1, residual=True)
    exact, problem = Oracle(case.network()), problem_of(case)
    gradient = exact.gradient(case.X, case.Y, **problem)[1]
    for k in (0, 5, 10, 15, 30):
        p, h = exact.parameters[k], 1e-12
        sides = []
        for exact.parameters[k] in (p + h, p - h):
            sides.append(exact.exact_cost(case.X, case.Y, **problem))
        exact.parameters[k] = p
        assert float((sides[0] - sides[1]) / (2 * h)) == pytest.approx(gradient[k], rel=1e-12)


@pytest.mark.parametrize("part", ["sample_weight", "l1", "l2"])
def test_each_alone(part):
    case = make_case((3, 5, 2), "silu", "identity", "squared_error", n=9, seed=2)
    net = case.network()
    problem = {part: problem_of(case)[part]}
    cost, gradient = net.gradient(case.X, case.Y, **problem)
    exact_cost, exact_gradient = Oracle(net).gradient(case.X, case.Y, **problem)
    assert cost == pytest.approx(exact_cost, rel=1e-13)
    assert relative_error(gradient, exact_gradient) < 1e-12
    assert not same(gradient, net.gradient(case.X, case.Y)[1])


# Widths around vectors and tiles; n around vectors, chunks of 256 and the 64 ranges from 4,096 on.
SHAPES = [
    *(((1, 1, 1), n) for n in (1, 8, 255, 4096, 5000)),
    *(((7, 8, 9), n) for n in (1, 7, 9, 256, 257, 4095)),
    *(((8, 9, 17, 7), n) for n in (1, 8, 255, 4096)),
    *(((40, 17, 40, 2), n) for n in (7, 257, 5000)),
    *(((129, 40, 3), n) for n in (9, 256)),
    *(((9, 129, 129, 1), n) for n in (1, 9, 257)),  # its columns are shared
]


@pytest.mark.parametrize(("layers", "n"), SHAPES, ids=str)
def test_every_shape(layers, n):
    """Against reference.py to 1e-12, and the same bits for every number of threads and chunk."""
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
    problem = problem_of(case)
    expected_cost, expected = case.reference().gradient(case.X, case.Y, **problem)
    results = []
    for net, threads in variants(case.network()):
        cost, gradient = net.gradient(case.X, case.Y, **problem, n_threads=threads)
        assert net.cost(case.X, case.Y, **problem, n_threads=threads) == cost
        results.append(gradient)
        if "sample_weight" in problem and n < 1000:
            s = problem["sample_weight"]
            results[-1] = np.append(
                gradient, net.input_gradient(case.X, case.Y, sample_weight=s, n_threads=threads)
            )
        results[-1] = np.append(results[-1], cost)
    assert cost == pytest.approx(expected_cost, rel=1e-12)
    assert relative_error(gradient, expected) < 1e-12
    assert all(same(result, results[0]) for result in results[1:])


def test_penalty_of_many_parameters():
    """Its value is added up in blocks of 32,768 parameters."""
    net = dl.Network([300, 250, 190, 3], activation="tanh", seed=1)
    X, Y = np.zeros((1, 300)), np.zeros((1, 3))
    w = np.concatenate([w.ravel() for w in net.weights])
    exact = 0.3 * math.fsum(np.abs(w)) + 0.35 * math.fsum(w * w)
    costs = {
        other.cost(X, Y, l1=0.3, l2=0.7, n_threads=threads) for other, threads in variants(net)
    }
    assert len(costs) == 1
    assert costs.pop() - net.cost(X, Y) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("n", [5, 300, 5000])
def test_ones_are_no_weights(n):
    """Bit for bit, in the cost, both gradients and every solver's fit."""
    case = make_case((4, 7, 2), "tanh", "identity", "squared_error", n=n, seed=3)
    net, ones = case.network(seed=1), np.ones(n)
    for a, b in (
        (net.gradient(case.X, case.Y), net.gradient(case.X, case.Y, sample_weight=ones)),
        (
            (0.0, net.input_gradient(case.X, case.Y)),
            (0.0, net.input_gradient(case.X, case.Y, sample_weight=ones)),
        ),
    ):
        assert a[0] == b[0]
        assert same(a[1], b[1])
    if n == 5000:
        return
    for solver in SOLVERS.values():
        a, b = net.copy(), net.copy()
        a.fit(case.X, case.Y, solver=solver, max_epochs=3, tol=0)
        b.fit(case.X, case.Y, solver=solver, max_epochs=3, tol=0, sample_weight=ones, l2=0)
        assert same(a.parameters, b.parameters), solver


def test_a_weight_of_two_is_the_row_twice():
    case = make_case((4, 7, 2), "tanh", "softmax", "cross_entropy", n=40, seed=3)
    net = case.network()
    s = np.random.default_rng(0).integers(0, 4, 40)
    X, Y = np.repeat(case.X, s, axis=0), np.repeat(case.Y, s, axis=0)
    cost, gradient = net.gradient(case.X, case.Y, sample_weight=s)
    expected_cost, expected = net.gradient(X, Y)
    assert cost == pytest.approx(expected_cost, rel=1e-14)
    assert relative_error(gradient, expected) < 1e-13


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_weight_of_zero_hides_the_worst_loss(bad):
    """NaN, an infinity, or a loss that overflows: nothing of it is left."""
    case = make_case((3, 4, 2), "tanh", "identity", "squared_error", n=300, seed=3)
    s = np.ones(300)
    s[[7, 299]] = 0.0
    rest = np.delete(np.arange(300), [7, 299])
    Y = case.Y.copy()
    Y[[7, 299]] = bad
    for solver in SOLVERS.values():
        nets = [case.network(seed=1) for _ in range(2)]
        results = [
            net.fit(
                case.X,
                targets,
                solver=solver,
                max_epochs=3,
                tol=0,
                sample_weight=s,
                check_finite=False,
            )
            for net, targets in zip(nets, (Y, case.Y), strict=True)
        ]
        assert results[0].stop_reason == "max_epochs", solver
        assert same(nets[0].parameters, nets[1].parameters), solver
        assert same(results[0].cost_history, results[1].cost_history)
    if bad == 1e200:
        cost, gradient = case.network().gradient(case.X, Y, sample_weight=s)
        expected_cost, expected = case.network().gradient(case.X[rest], Y[rest])
        assert cost == pytest.approx(expected_cost, rel=1e-14)
        assert relative_error(gradient, expected) < 1e-13


def test_weights_in_every_form(tmp_path):
    """Strided, of every type that holds them, other containers: the same bits; nothing written."""
    case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=10, seed=3)
    values = np.array([0.0, 1.0, 2.0, 0.0, 1.0, 3.0, 5.0, 1.0, 0.0, 2.0])
    net = case.network()
    expected = net.gradient(case.X, case.Y, sample_weight=values)[1]
    forms = list(awkward(values, tmp_path))
    assert len(forms) > 150
    for name, weights in forms:
        gradient = net.gradient(case.X, case.Y, sample_weight=weights)[1]
        assert same(gradient, expected), name


def test_data_that_is_converted_by_chunk():
    """Beside X of single precision, gathered by mini-batches or not."""
    case = make_case((6, 9, 2), "tanh", "identity", "squared_error", n=4500, seed=3)
    s = np.linspace(0, 2, 9000)[::-2].astype(np.float32)
    X, Y = case.X.astype(np.float32), case.Y[::-1].astype(np.float32)[::-1]
    for solver in (GD, dl.GradientDescent(1e-3, batch_size=700), dl.Adam(batch_size=999)):
        nets = [case.network() for _ in range(2)]
        for net, cast in zip(nets, (np.asarray, lambda a: np.array(a, dtype=float)), strict=True):
            net._chunk_rows = 100
            options = {"sample_weight": cast(s), "l2": 0.1, "max_epochs": 3, "seed": 1}
            net.fit(cast(X), cast(Y), solver=solver, tol=0, **options)
        assert same(nets[0].parameters, nets[1].parameters)


def test_one_instance():
    net = dl.Network([2, 3, 1], seed=0)
    x, y = [1.0, 2.0], 0.5
    assert net.cost(x, y, sample_weight=2.0) == 2 * net.cost(x, y)
    assert net.cost(x, y, sample_weight=[2]) == 2 * net.cost(x, y)
    gradient = net.input_gradient(x, y, sample_weight=np.float32(2))
    assert same(gradient, 2 * net.input_gradient(x, y))


def test_check_gradient_knows_them():
    case = make_case((3, 5, 2), "tanh", "softmax", "cross_entropy", n=9, seed=2)
    problem = problem_of(case)
    gradient = case.reference().gradient(case.X, case.Y, **problem)[1]
    for k in range(0, gradient.size, 5):
        check = case.network().check_gradient(case.X, case.Y, **problem, indices=[k])
        assert check.error < 1e-7
        assert check.gradient == pytest.approx(gradient[k], rel=1e-11)


# ---- trajectories ----

METHODS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}
BATCHES = {
    "full": {},
    "batches of 10": {"batch_size": 10},
    "in order": {"batch_size": 10, "shuffle": False},
    "online": {"batch_size": 1},
}
SOLVERS = {
    "descent": dl.GradientDescent(1e-3, momentum=0.5),
    "plain": dl.GradientDescent(1e-3),
    "batches": dl.GradientDescent(1e-3, batch_size=2),
    "online": dl.GradientDescent(1e-3, batch_size=1),
    "adam": dl.Adam(),
    "adam, batches": dl.Adam(batch_size=3),
    "rprop": dl.Rprop(),
    "quickprop": dl.Quickprop(),
    "lbfgs": dl.LBFGS(),
    "scg": dl.ScaledConjugateGradient(),
    "lm": dl.LevenbergMarquardt(),
    "lm, geodesic": dl.LevenbergMarquardt(geodesic=True),
    "bayes": dl.BayesianRegularization(),
}


def penalties_of(solver):
    return {name: value for name, value in PENALTIES.items() if name in solver._takes}


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(3, 7, 2), (2, 2, 1), (20, 45, 2)], ids=str)
def test_descent(shape, method, batches):
    """Ten epochs beside reference.py; each mini-batch with its share of the penalty."""
    case = make_case(shape, "tanh", "identity", "squared_error", n=23, seed=5)
    problem = problem_of(case)
    check_descent(case, problem, METHODS[method], BATCHES[batches])
    if method == "plain":  # which has the fast paths
        for name, value in problem.items():
            check_descent(case, {name: value}, {}, BATCHES[batches])


@pytest.mark.parametrize("batch_size", [None, 4999, 1000])
def test_descent_of_many_instances(batch_size):
    case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=4999, seed=5)
    batches = {} if batch_size is None else {"batch_size": batch_size}
    check_descent(case, problem_of(case), {"momentum": 0.5}, batches, 2e-5)


def check_descent(case, problem, method, batches, rate=0.001):
    seen = []
    net, reference = case.network(), case.reference()
    solver = dl.GradientDescent(rate, **method, **batches)
    result = net.fit(
        case.X,
        case.Y,
        solver=solver,
        max_epochs=10,
        tol=0,
        seed=SEED,
        callback=lambda info: seen.append((info.cost, info.network.parameters.copy())),
        **problem,
    )
    assert len(seen) == 10
    shuffles = "batch_size" in batches and batches.get("shuffle", True)
    orders = permutations(len(case.X), SEED) if shuffles else None
    epochs = reference.epochs(
        case.X,
        case.Y,
        rate,
        batch_size=batches.get("batch_size"),
        permutations=orders,
        **method,
        **problem,
    )
    for (cost, parameters), (reference_cost, expected) in zip(seen, epochs, strict=False):
        assert relative_error(parameters, expected) < 1e-12
        assert cost == pytest.approx(reference_cost, rel=1e-12)
    assert result.cost == net.cost(case.X, case.Y, **problem)


@pytest.mark.parametrize("batch_size", [None, 10])
def test_adam_by_hand(batch_size):
    case = make_case((3, 7, 2), "tanh", "identity", "squared_error", n=23, seed=5)
    net, by_hand, problem = case.network(), case.reference(), problem_of(case)
    solver = dl.Adam(0.01, batch_size=batch_size)
    net.fit(case.X, case.Y, solver=solver, max_epochs=4, tol=0, seed=SEED, **problem)
    m = v = 0.0
    orders, t = permutations(23, SEED), 0
    for _ in range(4):
        order = np.arange(23) if batch_size is None else next(orders)
        for i in range(0, 23, batch_size or 23):
            rows = order[i : i + (batch_size or 23)]
            g = gradient_of(by_hand, case, rows, problem)
            t += 1
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            by_hand.parameters -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert relative_error(net.parameters, by_hand.parameters) < 1e-10


def gradient_of(reference, case, rows, problem):
    """Of a mini-batch, with its share of the penalty, written apart from reference.epochs."""
    s = problem["sample_weight"]
    share = len(rows) / len(case.X)
    penalties = {"l1": problem["l1"] * share, "l2": problem["l2"] * share}
    return reference.gradient(case.X[rows], case.Y[rows], s[rows], **penalties)[1]


def test_rprop_by_hand():
    """Rprop's minus variant: sizes by the signs of successive gradients."""
    case = make_case((3, 7, 2), "tanh", "identity", "squared_error", n=23, seed=5)
    net, by_hand, problem = case.network(), case.reference(), problem_of(case)
    solver = dl.Rprop(delta_0=0.01, variant="minus")
    net.fit(case.X, case.Y, solver=solver, max_epochs=8, tol=0, **problem)
    size, before = np.full(net.n_parameters, 0.01), 0.0
    for _ in range(8):
        g = by_hand.gradient(case.X, case.Y, **problem)[1]
        turned = before * g < 0
        size = np.where(before * g > 0, 1.2 * size, np.where(turned, 0.5 * size, size))
        g[turned] = 0.0
        by_hand.parameters -= np.sign(g) * size
        before = g
    assert relative_error(net.parameters, by_hand.parameters) < 1e-10


@pytest.mark.parametrize("name", ["lbfgs", "scg", "lm", "lm, geodesic", "fixed", "trust region"])
def test_ridge_regression(name):
    """One layer, the squared error, weights and l2: the normal equations, solved by NumPy."""
    rng = np.random.default_rng(0)
    X, Y, s = rng.normal(size=(40, 5)), rng.normal(size=(40, 2)), rng.exponential(size=40)
    more = {
        "lbfgs": dl.LBFGS(min_gradient=1e-9),
        "scg": dl.ScaledConjugateGradient(min_gradient=1e-9),
        "fixed": dl.LevenbergMarquardt(damping_rule="fixed", min_gradient=1e-9),
        "trust region": dl.LevenbergMarquardt(damping_rule="trust_region", min_gradient=1e-9),
    }
    net = dl.Network([5, 2], activation="identity", seed=1)
    options = {"sample_weight": s, "l2": 3.0}
    result = net.fit(
        X,
        Y,
        solver={**SOLVERS, **more}[name],
        max_epochs=300,
        tol=0,
        **options,
    )
    A = np.column_stack([X, np.ones(40)])
    expected = np.linalg.solve(
        A.T @ (s[:, None] * A) + np.diag([3.0] * 5 + [0.0]), A.T @ (s[:, None] * Y)
    )
    assert relative_error(net.parameters, expected.ravel()) < 1e-6
    assert result.cost == net.cost(X, Y, **options)


def test_l2_is_shrinkage():
    """With no gradient of the data a step multiplies weights by 1 - alpha l2, not biases."""
    net = dl.Network([3, 4, 2], activation="tanh", output="identity", seed=1)
    net.weights[1][:] = 0.0
    net.biases[1][:] = 0.0
    start = net.parameters.copy()
    solver = dl.GradientDescent(0.125)
    net.fit(np.ones((4, 3)), np.zeros((4, 2)), solver=solver, max_epochs=2, tol=0, l2=0.5)
    after = Reference.of(net)
    net.parameters = start
    factor = (1 - 0.125 * 0.5) ** 2
    assert relative_error(after.weights[0], net.weights[0] * factor) < 1e-15
    assert same(after.biases[0], net.biases[0])


def test_l1_makes_weights_small():
    """A weight without use walks to 0 by alpha l1 a step, and stays within it."""
    net = dl.Network.from_weights([[[1.0], [0.3]]], [[0.0]], activation="identity")
    X, Y = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[1.0], [-1.0]])
    solver = dl.GradientDescent(0.25)
    net.fit(X, Y, solver=solver, max_epochs=1, tol=0, l1=0.125)
    assert net.weights[0].ravel().tolist() == [1.0 - 0.25 * 0.125, 0.3 - 0.25 * 0.125]
    net.fit(X, Y, solver=solver, max_epochs=100, tol=0, l1=0.125)
    assert abs(net.weights[0][1, 0]) <= 0.25 * 0.125
    assert net.weights[0][0, 0] == pytest.approx(1 - 0.125 / 2, abs=1e-6)


@pytest.mark.parametrize("name", SOLVERS)
def test_cost_of_the_result(name):
    """The same bits as net.cost of the same arguments, for any threads, chunks and ranges."""
    solver = SOLVERS[name]
    small = name in ("online", "bayes", "lm, geodesic")
    for n in (40,) if small else (40, 4200):
        case = make_case((3, 9, 2), "tanh", "identity", "squared_error", n=n, seed=5)
        problem = problem_of(case) | {"l1": 0.0, "l2": 0.0} | penalties_of(solver)
        parameters = []
        for net, threads in itertools.islice(variants(case.network(seed=1)), 0, 6, 2):
            result = net.fit(
                case.X, case.Y, solver=solver, max_epochs=3, tol=0, n_threads=threads, **problem
            )
            assert result.cost == net.cost(case.X, case.Y, **problem)
            if solver.batch_size is None:
                assert result.cost == result.cost_history[-1]
                start = case.network().cost(case.X, case.Y, **problem)
                assert result.initial_cost == start
            parameters.append(net.parameters)
        assert same(parameters[0], parameters[1])
        assert same(parameters[0], parameters[2])


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("batch_size", [1, 9])
def test_columns_are_shared(momentum, batch_size):
    """Wide layers and few rows: a thread penalises and steps its own columns."""
    case = make_case((70, 150, 130, 3), "tanh", "identity", "squared_error", n=9, seed=5)
    solver = dl.GradientDescent(1e-3, momentum=momentum, batch_size=batch_size)
    fitted = []
    for net, threads in variants(case.network(seed=1)):
        options = {**problem_of(case), "dropout": [0.3, 0.5], "n_threads": threads}
        net.fit(case.X, case.Y, solver=solver, max_epochs=2, tol=0, **options)
        fitted.append(net.parameters)
    assert all(same(p, fitted[0]) for p in fitted[1:])


# ---- the trainer ----


def test_trainer():
    """Each step carries the whole penalty."""
    case = make_case((3, 7, 2), "tanh", "identity", "squared_error", n=23, seed=5)
    s = problem_of(case)["sample_weight"]
    net, reference = case.network(), case.reference()
    trainer = net.trainer(dl.GradientDescent(0.01), **PENALTIES)
    for rows in (slice(0, 1), slice(1, 9), slice(9, 23), slice(3, 4)):
        X, Y = case.X[rows], case.Y[rows]
        expected = net.cost(X, Y, sample_weight=s[rows], **PENALTIES)
        cost, g = reference.gradient(X, Y, s[rows], **PENALTIES)
        reference.parameters -= 0.01 * g
        assert trainer.step(X, Y, sample_weight=s[rows]) == expected == pytest.approx(cost)
        assert relative_error(net.parameters, reference.parameters) < 1e-13
    assert trainer.step(case.X[0], case.Y[0], sample_weight=2.0) == net_cost_before(reference, case)
    assert trainer.step(case.X[0], case.Y[0]) > 0


def net_cost_before(reference, case):
    return pytest.approx(reference.cost(case.X[:1], case.Y[:1], [2.0], **PENALTIES), rel=1e-13)


# ---- weights of classes ----


def test_class_weights_of_labels():
    case = make_case((3, 5, 4), "tanh", "softmax", "cross_entropy", n=60, seed=5)
    labels = np.random.default_rng(0).choice([0, 1, 3], size=60, p=[0.6, 0.3, 0.1])
    s = np.random.default_rng(1).exponential(size=60)
    counts = np.bincount(labels, minlength=4)
    # scikit-learn's compute_class_weight("balanced"): n / (number of classes present * count)
    balanced = {k: 60 / (3 * counts[k]) for k in (0, 1, 3)}
    for given, by_class in (
        ("balanced", balanced),
        ({0: 0.5, 3: 4}, {0: 0.5, 1: 1.0, 3: 4.0}),
        ({np.int64(1): np.float32(0.25), 2: 0.0}, {0: 1.0, 1: 0.25, 3: 1.0}),
        ({}, dict.fromkeys(range(4), 1.0)),
    ):
        c = np.array([by_class[k] for k in labels])
        for dtype in (np.int64, np.uint8):
            y = labels.astype(dtype)
            fit_twice(case, y, {"class_weight": given}, {"sample_weight": c})
            both = {"class_weight": given, "sample_weight": s}
            fit_twice(case, y, both, {"sample_weight": s * c})


def test_class_weights_of_one_probability():
    case = make_case((3, 5, 1), "tanh", "sigmoid", "cross_entropy", n=60, seed=5)
    labels = (np.random.default_rng(0).random(60) < 0.2).astype(float)
    k = int(labels.sum())
    for given, (zero, one) in (
        ("balanced", (60 / (2 * (60 - k)), 60 / (2 * k))),
        ({1: 7.5}, (1.0, 7.5)),
    ):
        weights = {"sample_weight": np.where(labels == 1, one, zero)}
        for y in (labels, labels.astype(np.int32), labels.reshape(-1, 1), labels.astype(bool)):
            fit_twice(case, y, {"class_weight": given}, weights)


def fit_twice(case, y, options, expected):
    nets = [case.network() for _ in range(2)]
    for net, problem in zip(nets, (options, expected), strict=True):
        net.fit(case.X, y, solver=GD, max_epochs=3, tol=0, **problem)
    assert same(nets[0].parameters, nets[1].parameters)
    assert not same(nets[0].parameters, case.network().parameters)


# ---- dropout ----


@pytest.mark.parametrize(
    ("layers", "p"),
    [
        ((3, 7, 2), [0.5]),
        ((3, 8, 9, 1), [0.0, 0.3]),
        ((5, 17, 4, 9, 2), [0.2, 0.0, 0.7]),
        ((3, 1, 2), [0.9]),
        ((4, 300, 260, 2), [0.4, 0.1]),  # masks are made 256 units at a time
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_size", [None, 10, 1])
def test_thinned_networks(layers, p, batch_size):
    """Costs and parameters beside reference.py with the words of the stream, epoch by epoch."""
    n = 23 if max(layers) < 100 else 12
    names = ["silu", "tanh", "relu"][: len(p)]
    case = make_case(layers, names, "identity", "squared_error", n=n, seed=5)
    check_dropout(case, p, batch_size)


@pytest.mark.parametrize("batch_size", [None, 4500, 700])
def test_dropout_of_many_instances(batch_size):
    """From 4,096 instances on in 64 ranges, whose masks are still those of the instances."""
    case = make_case((3, 9, 2), "tanh", "identity", "squared_error", n=4999, seed=5)
    check_dropout(case, [0.3], batch_size, rate=2e-5, epochs=2)


def test_masks_are_words_of_the_stream():
    """Unit j of an instance has the low or high half of word j // 2; 4 words for 8 units."""
    layers, p, n = (2, 9, 3, 1), [0.25, 0.5], 3
    masks, position = mask(SEED, 6, n, layers, p)
    words = raw_words(SEED, 8, n * 12).reshape(n, 12)
    assert position == 8 + n * 12
    for l, (first, width) in enumerate(((0, 9), (8, 3))):
        for i, j in itertools.product(range(n), range(width)):
            half = int(words[i, first + j // 2]) >> 32 * (j % 2) & 0xFFFFFFFF
            kept = half / 2**32 >= p[l]
            assert masks[l][i, j] == (1 / (1 - p[l]) if kept else 0.0)


def test_activations_keep_their_mean():
    """The mean of the thinned outputs is that of the whole network, whose layers are linear."""
    m, n, p = 40, 2000, 0.3
    net = dl.Network.from_weights(
        [np.ones((1, m)), np.full((m, 1), 1 / m)], [np.zeros(m), [0.0]], activation="identity"
    )
    result = net.fit(
        np.ones((n, 1)),
        np.ones((n, 1)),
        solver=dl.GradientDescent(1e-30, batch_size=n),
        max_epochs=1,
        tol=0,
        seed=3,
        dropout=p,
    )
    # 1/2 sum (a - 1)^2, where a is the mean of m masks of variance p / (1 - p)
    assert result.cost_history[0] == pytest.approx(0.5 * n * p / (1 - p) / m, rel=0.1)
    masks = mask(3, (n - 1), n, (1, m, 1), [p])[0][0]
    assert masks.mean() == pytest.approx(1.0, abs=0.01)
    assert result.cost < 1e-25


def test_dropout_of_nothing_is_none():
    case = make_case((3, 7, 8, 2), "tanh", "identity", "squared_error", n=23, seed=5)
    nets = [case.network(seed=1) for _ in range(3)]
    solver = dl.GradientDescent(0.01, batch_size=10)
    for net, p in zip(nets, (0.0, [0.0, 0.0], np.zeros(2)), strict=True):
        net.fit(case.X, case.Y, solver=solver, max_epochs=2, tol=0, dropout=p)
        assert same(net.parameters, nets[0].parameters)
        assert net._position == 2 * 22
    for probability in (0.999999999999, 1 - 2**-53):
        net = case.network(seed=1)
        result = net.fit(case.X, case.Y, solver=GD, max_epochs=2, tol=0, dropout=probability)
        assert result.stop_reason == "max_epochs"


def test_seeds_and_the_networks_stream():
    case = make_case((3, 9, 2), "tanh", "identity", "squared_error", n=23, seed=5)

    def fitted(net, **options):
        net.fit(case.X, case.Y, solver=GD, max_epochs=2, tol=0, dropout=0.5, **options)
        return net.parameters

    assert same(fitted(case.network(), seed=3), fitted(case.network(), seed=3))
    assert not same(fitted(case.network(), seed=3), fitted(case.network(), seed=4))
    net = case.network(seed=3)
    assert same(fitted(net), fitted(case.network(), seed=3))
    # Two epochs of the full batch take three gradients.
    assert net._position == 3 * 23 * 8
    twin = net.copy()
    assert same(fitted(net), fitted(twin))
    other = case.network(seed=8)
    fitted(other, seed=3)
    assert other._position == 0
    words = np.random.default_rng(1)
    assert same(
        fitted(case.network(), seed=np.random.default_rng(1)),
        fitted(case.network(), seed=int(words.bit_generator.random_raw())),
    )


def test_trainer_with_dropout():
    """It draws from the network's stream, wherever others have left it, or from its own."""
    case = make_case((3, 9, 2), "tanh", "identity", "squared_error", n=23, seed=5)
    solver = dl.GradientDescent(0.01, momentum=0.5)
    net, reference = case.network(seed=SEED), case.reference()
    masks, at = masks_of(net.layers, [0.5])
    trainer = net.trainer(solver, dropout=0.5, l2=0.1)
    v = 0.0
    for rows in (slice(0, 5), slice(5, 6), slice(0, 23)):
        drop = masks(len(case.X[rows]))
        cost, g = reference._gradient(case.X[rows], case.Y[rows], None, 0.0, 0.1, drop)
        v = 0.5 * v - 0.01 * g
        reference.parameters += v
        assert trainer.step(case.X[rows], case.Y[rows]) == pytest.approx(cost, rel=1e-12)
        assert relative_error(net.parameters, reference.parameters) < 1e-12
        assert net._position == at[0]
    net._position = 1001
    masks, at = masks_of(net.layers, [0.5], 1001)
    expected = reference._gradient(case.X, case.Y, None, 0.0, 0.1, masks(23))[0]
    assert trainer.step(case.X, case.Y) == pytest.approx(expected, rel=1e-12)
    assert net._position == at[0] == 1004 + 23 * 8

    own = [case.network(seed=1) for _ in range(2)]
    for each in own:
        t = each.trainer(solver, dropout=[0.5], seed=7)
        for x, y in zip(case.X, case.Y, strict=True):
            t.step(x, y)
        assert each._position == 0
    assert same(own[0].parameters, own[1].parameters)


def test_divergence_with_dropout():
    """The caller's parameters are restored, not those of the thinned copy alone."""
    net = dl.Network([2, 8, 1], activation="relu", output="identity", seed=1)
    start = net.parameters.copy()
    for batch_size in (None, 2):
        solver = dl.GradientDescent(1e300, batch_size=batch_size)
        with pytest.warns(dl.DivergenceWarning):
            result = net.fit(X, Y, solver=solver, dropout=0.3, max_epochs=5)
        assert result.stop_reason == "diverged"
        assert same(net.parameters, start)
        assert result.cost == net.cost(X, Y)


def test_a_callback_sees_the_whole_network():
    net = dl.Network([2, 8, 1], seed=1)
    seen = []

    def callback(info):
        assert info.network is net
        seen.append(same(net.predict(X), net.copy().predict(X)))

    net.fit(X, Y, solver=GD, dropout=0.5, max_epochs=3, tol=0, callback=callback)
    assert seen == [True] * 3


def test_dropout_learns():
    """A noisy sine of few points: with dropout and l2 the error elsewhere is not larger."""
    rng = np.random.default_rng(0)
    X = np.linspace(-1, 1, 30).reshape(-1, 1)
    Y = np.sin(3 * X) + rng.normal(scale=0.1, size=X.shape)
    net = dl.Network([1, 40, 1], activation="tanh", output="identity", seed=0)
    result = net.fit(X, Y, solver=dl.Adam(0.01), max_epochs=1500, tol=0, dropout=0.1)
    assert result.cost < 0.1 * dl.Network([1, 40, 1], output="identity", seed=0).cost(X, Y)
    assert np.abs(net.predict(X) - np.sin(3 * X)).max() < 0.4


# ---- what is refused ----

NAN, INF = math.nan, math.inf
X, Y = np.ones((4, 2)), np.full((4, 1), 0.5)

BAD_WEIGHTS = [
    ([1, 2, 3], ValueError, "sample_weight must have shape (4,)", "got (3,)"),
    ([[1], [1], [1], [1]], ValueError, "sample_weight must have shape (4,)", "got (4, 1)"),
    (1.0, ValueError, "sample_weight must have shape (4,)", "got ()"),
    ([], ValueError, "sample_weight must have shape (4,)", "got (0,)"),
    ([1, 1, -1e-300, 1], ValueError, "sample_weight holds -1e-300 at index 2", "at least 0"),
    ([1, NAN, 1, 1], ValueError, "sample_weight holds nan at index 1", "finite"),
    ([1, 1, 1, INF], ValueError, "sample_weight holds inf at index 3", "finite"),
    ([1, 1, 1, -INF], ValueError, "sample_weight holds -inf at index 3", "finite"),
    ([0, 0, 0, 0], ValueError, "sample_weight holds nothing but zeros"),
    ([-0.0] * 4, ValueError, "sample_weight holds nothing but zeros"),
    (["1"] * 4, TypeError, "sample_weight must hold real numbers"),
    ("balanced", TypeError, "sample_weight must hold real numbers"),
    ([None] * 4, TypeError, "sample_weight must hold real numbers"),
    ([1j] * 4, TypeError, "sample_weight must hold real numbers"),
    ([[1], [1, 2]], ValueError, "sample_weight is not a rectangular array"),
    (np.ma.array([1.0] * 4, mask=[0, 1, 0, 0]), ValueError, "sample_weight has masked values"),
]
WEIGHTED = {
    "cost": lambda net, s: net.cost(X, Y, sample_weight=s),
    "gradient": lambda net, s: net.gradient(X, Y, sample_weight=s),
    "input_gradient": lambda net, s: net.input_gradient(X, Y, sample_weight=s),
    "check_gradient": lambda net, s: net.check_gradient(X, Y, sample_weight=s),
    "fit": lambda net, s: net.fit(X, Y, solver=GD, sample_weight=s),
    "fit unchecked": lambda net, s: net.fit(X, Y, solver=GD, sample_weight=s, check_finite=False),
    "step": lambda net, s: net.trainer(GD).step(X, Y, sample_weight=s),
}


@pytest.mark.parametrize("call", WEIGHTED)
def test_weights_that_are_refused(call):
    net = trained()
    for weights, error, *words in BAD_WEIGHTS:
        with refuses(error, *words, net=net, watched=[weights]):
            WEIGHTED[call](net, weights)


BAD_PENALTIES = [
    (-1e-9, ValueError, "must be finite and at least 0, got -1e-09"),
    (NAN, ValueError, "must be finite and at least 0, got nan"),
    (INF, ValueError, "must be finite and at least 0, got inf"),
    ("1", TypeError, "must be a real number, got '1'"),
    (None, TypeError, "must be a real number, got None"),
    (True, TypeError, "must be a real number, got True"),
    ([0.1], TypeError, "must be a real number, got [0.1]"),
    (1j, TypeError, "must be a real number, got 1j"),
]
PENALISED = {
    "cost": lambda net, **p: net.cost(X, Y, **p),
    "gradient": lambda net, **p: net.gradient(X, Y, **p),
    "check_gradient": lambda net, **p: net.check_gradient(X, Y, **p),
    "fit": lambda net, **p: net.fit(X, Y, solver=GD, **p),
    "trainer": lambda net, **p: net.trainer(GD, **p),
}


@pytest.mark.parametrize("call", PENALISED)
@pytest.mark.parametrize("name", ["l1", "l2"])
def test_penalties_that_are_refused(name, call):
    net = trained()
    for value, error, words in BAD_PENALTIES:
        with refuses(error, f"{name} {words}", net=net):
            PENALISED[call](net, **{name: value})


LM, BR = dl.LevenbergMarquardt(), dl.BayesianRegularization()
BAD_FITS = [
    ({"l1": 0.1, "solver": LM}, ValueError, "l1 must be 0 with the solver LevenbergMarquardt"),
    ({"l1": 0.1, "solver": BR}, ValueError, "l1 must be 0 with the solver BayesianRegularization"),
    ({"l2": 0.1, "solver": BR}, ValueError, "l2 must be 0 with the solver BayesianRegularization"),
    *(
        ({"dropout": 0.5, "solver": solver}, ValueError, "dropout needs a solver", name)
        for solver, name in (
            (dl.LBFGS(), "LBFGS"),
            (dl.ScaledConjugateGradient(), "ScaledConjugateGradient"),
            (dl.Rprop(), "Rprop"),
            (LM, "LevenbergMarquardt"),
            (BR, "BayesianRegularization"),
        )
    ),
    ({"class_weight": "balance"}, ValueError, "class_weight must be a mapping"),
    ({"class_weight": [1, 2]}, TypeError, "class_weight must be a mapping", "got list"),
    ({"class_weight": 1.0}, TypeError, "class_weight must be a mapping", "got float"),
    ({"class_weight": {2: 1.0}}, ValueError, "class_weight names class 2; the classes are 0..1"),
    ({"class_weight": {-1: 1.0}}, ValueError, "class_weight must be at least 0, got -1"),
    ({"class_weight": {0.5: 1.0}}, TypeError, "class_weight must be an integer, got 0.5"),
    ({"class_weight": {"0": 1.0}}, TypeError, "class_weight must be an integer, got '0'"),
    ({"class_weight": {True: 1.0}}, TypeError, "class_weight must be an integer, got True"),
    ({"class_weight": {0: -1}}, ValueError, "class_weight[0] must be finite and at least 0"),
    ({"class_weight": {0: NAN}}, ValueError, "class_weight[0] must be finite and at least 0"),
    ({"class_weight": {1: INF}}, ValueError, "class_weight[1] must be finite and at least 0"),
    ({"class_weight": {1: "1"}}, TypeError, "class_weight[1] must be a real number, got '1'"),
    ({"class_weight": {0: 0, 1: 0}}, ValueError, "class_weight leaves no instance"),
    (
        {"class_weight": {0: 0}, "sample_weight": [1, 0, 0, 0]},
        ValueError,
        "class_weight leaves no instance",
    ),
    (
        {"class_weight": {0: 1e-300, 1: 1e-300}, "sample_weight": [1e-300] * 4},
        ValueError,
        "class_weight leaves no instance",
    ),
    (
        {"class_weight": {0: 1e300}, "sample_weight": [1e300] * 4},
        ValueError,
        "class_weight times sample_weight is too large",
    ),
]
BAD_DROPOUTS = [
    (1.0, ValueError, "dropout must be in [0, 1), got 1.0"),
    (1, ValueError, "dropout must be in [0, 1), got 1"),
    (-0.1, ValueError, "dropout must be in [0, 1), got -0.1"),
    (NAN, ValueError, "dropout must be in [0, 1), got nan"),
    (INF, ValueError, "dropout must be in [0, 1), got inf"),
    ([0.5, 1.5], ValueError, "dropout must be in [0, 1), got [0.5, 1.5]"),
    ([0.5], ValueError, "dropout must name one probability per hidden layer, 2, got 1"),
    ([], ValueError, "dropout must name one probability per hidden layer, 2, got 0"),
    (np.zeros(3), ValueError, "dropout must name one probability per hidden layer, 2, got 3"),
    ("0.5", TypeError, "dropout must be a real number, got '0.5'"),
    (None, TypeError, "dropout must be a real number, got None"),
    (True, TypeError, "dropout must be a real number, got True"),
    ([0.5, None], TypeError, "dropout[1] must be a real number, got None"),
    ({0: 0.5}, TypeError, "dropout must be a real number, got {0: 0.5}"),
]


@pytest.mark.parametrize("case", BAD_FITS, ids=lambda case: str(case[0])[:40])
def test_arguments_of_fit_that_are_refused(case):
    options, error, *words = case
    y, generator = np.array([0.0, 1.0, 1.0, 0.0]), np.random.default_rng(1)
    loss = "squared_error" if options.get("solver") is BR else "cross_entropy"
    net = trained(loss=loss)
    with refuses(error, *words, net=net, watched=[X, y, generator, options]):
        net.fit(X, y, **{"solver": GD, "seed": generator, **options})


@pytest.mark.parametrize("call", ["fit", "trainer"])
def test_dropout_that_is_refused(call):
    net, generator = trained((2, 3, 3, 1)), np.random.default_rng(1)
    for p, error, words in BAD_DROPOUTS:
        with refuses(error, words, net=net, watched=[generator, p]):
            if call == "fit":
                net.fit(X, Y, solver=GD, dropout=p, seed=generator)
            else:
                net.trainer(GD, dropout=p, seed=generator)
    flat = trained((2, 1))
    for p, words in (
        (0.5, "dropout needs a hidden layer, got layers [2, 1]"),
        ([0.5], "dropout must name one probability per hidden layer, 0, got 1"),
    ):
        with refuses(ValueError, words, net=flat):
            flat.fit(X, Y, solver=GD, dropout=p)
    flat.fit(X, Y, solver=GD, dropout=0.0, max_epochs=1)
    flat.fit(X, Y, solver=GD, dropout=[], max_epochs=1)


def test_targets_that_are_no_classes():
    words = "class_weight needs targets that are classes"
    for options, y in (
        ({}, [0.0, 1.0, 1.0, 0.0]),
        ({"loss": "cross_entropy"}, [0.0, 0.5, 1.0, 1.0]),
        ({"loss": "binary_cross_entropy"}, [0.0, 1.0, 1.0, 0.0]),
    ):
        net = trained(**options)
        with refuses(ValueError, words, net=net):
            net.fit(X, y, solver=GD, class_weight="balanced")
    net = trained((2, 3, 3), loss="cross_entropy")
    with refuses(ValueError, words, net=net):
        net.fit(X, np.eye(3)[[0, 1, 2, 0]], solver=GD, class_weight={0: 2.0})
    with refuses(ValueError, "class_weight names class 3; the classes are 0..2", net=net):
        net.fit(X, [0, 1, 2, 0], solver=GD, class_weight={3: 1.0})


def test_a_refused_step_draws_nothing():
    net = trained()
    trainer = net.trainer(GD, dropout=0.5)
    before = state(net)
    with pytest.raises(ValueError, match="sample_weight"):
        trainer.step(X, Y, sample_weight=[1, 2])
    assert state(net) == before
    trainer.step(X, Y, sample_weight=[1, 2, 0, 1])
    assert net._position > before[2]
    with pytest.raises(TypeError, match="positional"):
        trainer.step(X, Y, [1, 2, 0, 1])
