"""Residual networks: a^(l) = g(z^(l)) + a^(l-1) where layer l is as wide as layer l - 1."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import struct

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import initial_parameters, skips
from tests.helpers.capsules import SCALAR, rows_function, scalar_function
from tests.helpers.cases import HIDDEN, MORE_HIDDEN, MORE_PAIRS, NORMAL, PAIRS, UNIFORM, make_case
from tests.helpers.compare import relative_error, same
from tests.helpers.files import refused, saved_state, with_metadata
from tests.helpers.networks import refuses, variants
from tests.helpers.objectives import check_dropout
from tests.helpers.oracle import Oracle, mp

# Layers, and those that are skipped: chains that change their width, layer 1 from the inputs, one.
SHAPES = {
    (3, 3, 2): (1,),
    (2, 5, 5, 1): (2,),
    (4, 4, 4, 4, 2): (1, 2, 3),
    (3, 6, 6, 2, 2, 2, 3): (2, 4, 5),
    (5, 5, 3, 3, 7, 7, 7, 2): (1, 3, 5, 6),
    (2, 3, 3, 3): (2,),  # outputs are never skipped
    (1, 1, 1): (1,),
    (3, 1, 1, 1, 2): (2, 3),  # of layers with one unit
    (9, 17, 17, 40, 40, 8, 8, 3): (2, 4, 6),
}
NAMES = ("tanh", "silu", "sigmoid", "softplus", "gelu", "identity")
every_shape = pytest.mark.parametrize("layers", SHAPES, ids=str)


def residual_case(layers, n=7, seed=3, activation=None, output="identity", loss="squared_error"):
    names = activation or [NAMES[l % len(NAMES)] for l in range(len(layers) - 2)]
    return make_case(layers, names, output, loss, n=n, seed=seed, residual=True)


# ---- predictions ----


@every_shape
def test_predictions(layers):
    """Against mpmath, and all the ways to the same bits."""
    case = residual_case(layers)
    net, exact, X = case.network(), Oracle(case.network()), case.X
    assert net.residual
    assert skips(layers) == SHAPES[layers] == case.reference().skips
    a = net.activations(X)
    for l, a_l in enumerate(a, 1):
        exact_a = [[float(v) for v in exact.forward(x)[1][l]] for x in X[:2]]
        assert relative_error(a_l[:2], exact_a) < 1e-13
    for a_l, expected in zip(a, case.reference().activations(X), strict=True):
        assert relative_error(a_l, expected) < 1e-13
    check_ways(net, X)


def check_ways(net, X):
    a = net.predict(X)
    assert same(net.activations(X)[-1], a)
    assert all(same(net.predict(x), a_i) for x, a_i in zip(X, a, strict=True))
    out = np.full(a.shape, np.nan)
    net.predict(X, out=out)
    assert same(out, a)
    for n in (1, len(X)):
        predictor = net.predictor(n)
        predictor.x[:] = X[:n].reshape(predictor.x.shape)
        predictor()
        assert same(predictor.y.reshape(n, -1), a[:n])
    for other, threads in variants(net):
        assert same(other.predict(X, n_threads=threads), a)
        assert same(other.predict(np.asfortranarray(X), n_threads=threads), a)


@pytest.mark.parametrize("activation", [*HIDDEN, *MORE_HIDDEN, "step"])
def test_every_activation(activation):
    case = residual_case((3, 6, 6, 6, 2), 9, activation=activation)
    case.weights = [0.3 * w for w in case.weights]  # what exp adds up to stays finite
    net = case.network()
    assert relative_error(net.predict(case.X), Oracle(net).predict(case.X)) < 1e-13
    check_ways(net, case.X)
    if activation == "step":
        with pytest.raises(ValueError, match="no useful derivative"):
            net.gradient(case.X, case.Y)
        return
    check_gradients(case, n_exact=2)


def test_wide_layers():
    """Whose columns threads share: m_in m_out > rows (m_in + m_out)."""
    case = residual_case((130, 130, 130, 70, 70, 3), n=5, activation="tanh")
    check_ways(case.network(), case.X)
    check_gradients(case, n_exact=0)


@pytest.mark.parametrize("layers", [(1, 1, 1), (5, 5, 5, 1), (3, 300, 300, 1)], ids=str)
def test_capsules(layers):
    net, X = residual_case(layers).network(), residual_case(layers).X
    rows, scalar = net.predictor(len(X)).capsule(), net.predictor().capsule(SCALAR)
    assert same(rows_function(rows)(X, (len(X), 1)), net.predict(X))
    assert [scalar_function(scalar)(x) for x in X] == net.predict(X).ravel().tolist()


# ---- derivatives ----


def check_gradients(case, n_exact):
    net, X, Y = case.network(), case.X, case.Y
    s = np.linspace(0.5, 2, len(X))
    problem = {"sample_weight": s, "l1": 0.1, "l2": 0.2}
    if n_exact:
        exact = Oracle(net).gradient(X[:n_exact], Y[:n_exact])
        cost, gradient = net.gradient(X[:n_exact], Y[:n_exact])
        assert cost == pytest.approx(exact[0], rel=1e-13)
        assert relative_error(gradient, exact[1]) < 1e-12
    expected = case.reference().gradient(X, Y, **problem)
    results = []
    for other, threads in variants(net):
        cost, gradient = other.gradient(X, Y, **problem, n_threads=threads)
        inputs = other.input_gradient(X, Y, n_threads=threads)
        results.append(np.concatenate([[cost], gradient, inputs.ravel()]))
    assert all(same(result, results[0]) for result in results[1:])
    assert cost == pytest.approx(expected[0], rel=1e-12)
    assert relative_error(gradient, expected[1]) < 1e-12
    # delta^(0) of each instance from J by the inputs, which is checked below
    if case.loss == "squared_error" and case.output == "identity":
        J = net.jacobian(X, wrt="inputs")
        by_outputs = np.einsum("ik,ikj->ij", net.predict(X) - Y, J)
        assert relative_error(inputs, by_outputs) < 1e-12


@every_shape
def test_gradients(layers):
    check_gradients(residual_case(layers, n=60), n_exact=1 if max(layers) > 10 else 3)


@pytest.mark.parametrize("n", [255, 257, 4095, 4096, 5000])
def test_gradients_of_many_instances(n):
    check_gradients(residual_case((3, 8, 8, 2, 2, 9, 9, 1), n=n), n_exact=0)


@pytest.mark.parametrize(("loss", "output", "m"), [*PAIRS, *MORE_PAIRS[::4]])
def test_every_loss(loss, output, m):
    case = residual_case((2, 3, 3, m), 3, activation="tanh", output=output, loss=loss)
    check_gradients(case, n_exact=3)


def test_skips_over_different_widths_do_not_meet():
    """Threads pass through a narrow chain while others are in a wide one: no row is another's."""
    case = residual_case((5, 3, 3, 3, 64, 64, 64, 2, 2, 1), n=250, activation="tanh")
    net = case.network()
    net._grain = 1.0
    expected = net.gradient(case.X, case.Y, n_threads=1)[1]
    for threads in itertools.islice(itertools.cycle((2, 3, 7)), 60):
        assert same(net.gradient(case.X, case.Y, n_threads=threads)[1], expected)


def derivative(net, X, k, by_inputs):
    """da^(L)/dp_k, or /dx_k, by complex steps."""
    h, p, x = 1e-30, net.parameters.astype(complex), X.astype(complex)
    if by_inputs:
        x[:, k] += h * 1j
    else:
        p[k] += h * 1j
    a, at, last = x, 0, len(net.layers) - 1
    for l, name in enumerate((*net.activation, net.output), 1):
        m0, m1 = net.layers[l - 1 : l + 1]
        z = a @ p[at : at + m0 * m1].reshape(m0, m1) + p[at + m0 * m1 : at + m0 * m1 + m1]
        g = {"tanh": np.tanh, "identity": lambda z: z, "silu": lambda z: z / (1 + np.exp(-z))}
        a = g[name](z) + (a if m0 == m1 and l < last else 0.0)
        at += (m0 + 1) * m1
    return a.imag / h


@every_shape
def test_jacobians(layers):
    """By complex steps, which are exact to rounding."""
    case = residual_case(layers, activation="silu")
    net, X = case.network(), case.X
    J = net.jacobian(X)
    for k in range(0, net.n_parameters, 1 + net.n_parameters // 40):
        assert relative_error(J[:, :, k], derivative(net, X, k, False)) < 1e-12
    J = net.jacobian(X, wrt="inputs")
    for k in range(layers[0]):
        assert relative_error(J[:, :, k], derivative(net, X, k, True)) < 1e-12


# ---- training ----


@pytest.mark.parametrize("batch_size", [None, 1, 10])
@pytest.mark.parametrize("layers", [(3, 3, 1), (2, 2, 1), (2, 5, 5, 5, 2), (4, 20, 20, 3)], ids=str)
def test_descent(layers, batch_size):
    """Beside reference.py: the fast paths of single instances and tiny networks stay out of it."""
    case = residual_case(layers, n=8 if layers == (2, 2, 1) else 23)
    batch_size = batch_size and min(batch_size, len(case.X))
    epochs = case.reference().epochs(case.X, case.Y, 0.003, batch_size=batch_size)
    results = []
    for net, threads in variants(case.network()):
        solver = dl.GradientDescent(0.003, batch_size=batch_size, shuffle=False)
        if batch_size is None:
            solver = dl.GradientDescent(0.003)
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=5, tol=0, n_threads=threads)
        results.append(net.parameters)
        assert result.cost == net.cost(case.X, case.Y)
    assert all(same(result, results[0]) for result in results)
    for _ in range(5):
        cost, expected = next(epochs)
    assert relative_error(results[0], expected) < 1e-12
    assert result.cost_history[-1] == pytest.approx(cost, rel=1e-12)


def test_trainer():
    case = residual_case((3, 6, 6, 2), n=9)
    net, reference = case.network(), case.reference()
    trainer = net.trainer(dl.GradientDescent(0.01))
    for rows in (slice(0, 1), slice(1, 9), slice(3, 4)):
        cost, g = reference.gradient(case.X[rows], case.Y[rows])
        reference.parameters -= 0.01 * g
        assert trainer.step(case.X[rows], case.Y[rows]) == pytest.approx(cost, rel=1e-12)
        assert relative_error(net.parameters, reference.parameters) < 1e-12


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("n", [40, 4])
def test_levenberg_marquardt(n, l2):
    """Its step from the Jacobian of complex steps: (A + mu I) s = -g; of 4 in the dual form."""
    case = residual_case((3, 3, 5, 5, 2), n=n, activation="silu")
    net, X, Y = case.network(), case.X, case.Y
    s = np.linspace(0, 2, n)
    problem = {"sample_weight": s, "l2": l2}
    P = net.n_parameters
    J = np.stack([derivative(net, X, k, False) for k in range(P)], axis=-1).reshape(-1, P)
    roots = np.repeat(np.sqrt(s), 2)
    J *= roots[:, None]
    e = roots * (net.predict(X) - Y).ravel()
    penalised = l2 * np.array([float(w) for w in Oracle(net).are_weights()])
    A, g = J.T @ J + np.diag(penalised), J.T @ e + penalised * net.parameters
    step = -np.linalg.solve(A + 10.0 * np.eye(P), g)
    expected = net.parameters + step
    solver = dl.LevenbergMarquardt(damping_rule="fixed", scaling="identity", damping=10.0)
    result = net.fit(X, Y, solver=solver, max_epochs=1, tol=0, **problem)
    assert result.gradient_norm == pytest.approx(np.linalg.norm(g), rel=1e-11)
    assert relative_error(net.parameters, expected) < 1e-11
    assert result.cost == net.cost(X, Y, **problem)
    results = []
    for rule in ({}, {"geodesic": True}, {"damping_rule": "trust_region"}):
        for other, threads in itertools.islice(variants(case.network()), 0, 6, 2):
            solver = dl.LevenbergMarquardt(**rule)
            fit = other.fit(X, Y, solver=solver, max_epochs=4, tol=0, n_threads=threads, **problem)
            results.append(other.parameters)
            assert fit.cost < fit.initial_cost
        assert same(results[-1], results[-2])
        assert same(results[-1], results[-3])


@pytest.mark.parametrize(
    "solver",
    [dl.LBFGS(), dl.ScaledConjugateGradient(), dl.Rprop(), dl.Adam(), dl.BayesianRegularization()],
)
def test_solvers(solver):
    case = residual_case((3, 5, 5, 5, 2), n=30, activation="tanh")
    fitted = []
    for net, threads in itertools.islice(variants(case.network()), 0, 6, 2):
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=20, tol=0, n_threads=threads)
        assert result.cost < 0.9 * result.initial_cost
        fitted.append(net.parameters)
    assert same(fitted[0], fitted[1])
    assert same(fitted[0], fitted[2])


def test_dropout():
    """g(z) is thinned, and what skips it is not."""
    net = dl.Network.from_weights(
        [np.eye(8), np.ones((8, 1))], [np.zeros(8), [0.0]], activation="identity", residual=True
    )
    solver = dl.GradientDescent(1e-30)
    x, y = np.ones((1, 8)), [[0.0]]
    result = net.fit(x, y, solver=solver, max_epochs=1, tol=0, seed=1, dropout=0.5)
    # a = 8 from the skips and 2 from each unit that stays
    a = np.sqrt(2 * result.initial_cost)
    assert a in {8.0 + 2.0 * k for k in range(9)}
    assert result.cost == 0.5 * 16.0**2
    case = residual_case((4, 4, 9, 9, 9, 2), n=21)
    for batch_size in (None, 8):
        check_dropout(case, [0.3, 0.5, 0.0, 0.2], batch_size)


# ---- depth ----


def deep(width=4, activation="tanh", **options):
    names = {"activation": activation, "output": "identity"}
    return dl.Network([3, *[width] * 151, 2], **names, seed=1, **options)


def test_gradient_of_152_layers():
    net = deep(residual=True)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    assert len(net.weights) == 152
    indices = np.unique(np.linspace(0, net.n_parameters - 1, 60).astype(int))
    assert net.check_gradient(X, Y, indices=indices).error < 1e-6

    # The same in 50 digits, by central differences, whose error is of the order of h^2.
    gradient, exact, h = net.gradient(X[:1], Y[:1])[1], Oracle(net), mp.mpf("1e-15")
    for k in (0, 13, net.n_parameters // 2, net.n_parameters - 1):
        p, sides = exact.parameters[k], []
        for exact.parameters[k] in (p + h, p - h):
            sides.append(exact.exact_cost(X[:1], Y[:1]))
        exact.parameters[k] = p
        assert gradient[k] == pytest.approx(float((sides[0] - sides[1]) / (2 * h)), rel=1e-11)


def test_152_layers_learn():
    """Where as many without skips do not."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(40, 3))
    Y = np.column_stack([np.sin(2 * X[:, 0]) * X[:, 1], X[:, 2] ** 2])
    constant = 0.5 * ((Y - Y.mean(axis=0)) ** 2).sum()  # the cost of the best constant
    for activation in ("relu", "tanh"):
        net = deep(8, activation, residual=True)
        result = net.fit(X, Y, solver=dl.LBFGS(), max_epochs=100, tol=0)
        assert result.cost < 0.3 * constant
        plain = deep(8, activation)
        result = plain.fit(X, Y, solver=dl.LBFGS(), max_epochs=100, tol=0)
        assert result.cost > 0.7 * constant


# ---- initial parameters ----


@every_shape
@pytest.mark.parametrize(
    "init", [*UNIFORM, *NORMAL, "nguyen_widrow", dl.Uniform(-0.1, 0.2)], ids=str
)
def test_initial_parameters(layers, init):
    """He, glorot and lecun divide the weights of a layer that is skipped by the number of skips."""
    net = dl.Network(layers, init=init, residual=True, seed=5, activation="tanh")
    np.testing.assert_allclose(
        net.parameters, initial_parameters(layers, str(init), 5, residual=True), rtol=1e-14
    )
    plain = dl.Network(layers, init=init, seed=5, activation="tanh")
    scaled = init != "uniform" and init in UNIFORM + NORMAL
    for l, (w, v) in enumerate(zip(net.weights, plain.weights, strict=True), 1):
        n = len(SHAPES[layers]) if scaled and l in SHAPES[layers] else 1
        np.testing.assert_allclose(w * n, v, rtol=1e-14)
    assert net._position == plain._position


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "leaky_relu"])
def test_activations_keep_their_size(activation):
    X = np.random.default_rng(0).normal(size=(50, 32))
    for depth in (8, 152):
        net = dl.Network([32, *[32] * depth, 1], activation=activation, residual=True, seed=0)
        a = net.activations(X)[-2]
        assert 0.7 < np.sqrt((a**2).mean()) < 2.8


# ---- files and copies ----


def made(**options):
    options = {"activation": "tanh", "residual": True, "seed": 5, **options}
    return dl.Network([2, 3, 3, 1], **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def content(path):
    made().save(path, metadata={"note": "a"})
    return path.read_bytes()


def test_copies(path):
    net = made(loss=dl.Huber(0.25))
    net.fit(np.ones((4, 2)), np.ones(4), solver=dl.GradientDescent(0.1, batch_size=2), max_epochs=2)
    net.save(path)
    for twin in (
        dl.load(path),
        net.copy(),
        copy.copy(net),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        dl.Network.from_weights(
            net.weights, net.biases, activation="tanh", residual=True, output=net.output
        ),
    ):
        assert twin.residual is True
        assert same(twin.predict([0.5, -1.0]), net.predict([0.5, -1.0]))
        assert not np.shares_memory(twin.parameters, net.parameters)
        if twin.init is not None:
            assert saved_state(twin) == saved_state(net)
    plain = net.copy()
    assert dl.Network.from_weights(net.weights, net.biases).residual is False
    with pytest.raises(AttributeError):
        plain.residual = False


def test_representation():
    assert "residual=True" in repr(made())
    assert "residual" not in repr(made(residual=False))
    assert made(residual=np.True_).residual is True


def header_of(content):
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"]


def test_file_versions(path, content):
    header = header_of(content)
    assert (header["version"], header["residual"]) == ("2", "true")
    made(residual=False).save(path)
    header = header_of(path.read_bytes())
    assert header["version"] == "1"
    assert "residual" not in header


# What version 1 has always been: the file of this network without skips.
VERSION_1 = (
    b'\xc8\x01\x00\x00\x00\x00\x00\x00{"__metadata__":{"activation":"[\\"tanh\\"]",'
    b'"format":"deltaloop","init":"\\"uniform\\"","layers":"[2, 1, 1]",'
    b'"loss":"squared_error","output":"tanh","position":"5","seed":"5","user.note":"a",'
    b'"version":"1"},"biases.1":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},'
    b'"biases.2":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},'
    b'"weights.1":{"dtype":"F64","shape":[2,1],"data_offsets":[16,32]},'
    b'"weights.2":{"dtype":"F64","shape":[1,1],"data_offsets":[32,40]}}'
)
PARAMETERS = [0.5, -2.0, 0.25, 8.0, -1.0]  # w^(1), b^(1), w^(2), b^(2)


def test_version_1_byte_for_byte(path):
    net = dl.Network([2, 1, 1], activation="tanh", init="uniform", seed=5)
    net.parameters = PARAMETERS
    net.save(path, metadata={"note": "a"})
    (length,) = struct.unpack("<Q", VERSION_1[:8])
    content = VERSION_1[: 8 + length].ljust(8 + length) + struct.pack(
        "<5d", *(PARAMETERS[k] for k in (2, 4, 0, 1, 3))
    )
    assert path.read_bytes() == content
    assert saved_state(dl.load(write(path, content))) == saved_state(net)


def test_hostile_entries(path, content):
    for value in ("false", "True", "1", "", "null", "[1]", "true ", "x" * 700):
        words = "expected residual to be true, found"
        refused(path, with_metadata(content, residual=value), words)
    refused(path, with_metadata(content, residual=None), "residual")
    refused(path, with_metadata(content, version="1"), "residual")
    words = "residual=True needs a hidden layer as wide as the layer before it"
    header = with_metadata(content, layers="[2, 3, 4, 1]")
    refused(path, header)
    dl.Network([2, 3, 1], seed=0).save(path)
    flat = path.read_bytes()
    refused(path, with_metadata(flat, version="2", residual="true"), words)
    refused(path, with_metadata(flat, version="2"), "residual")
    refused(path, with_metadata(flat, residual="true"), "residual")
    assert dl.load(write(path, content)).residual


def write(path, content):
    path.write_bytes(content)
    return path


def test_the_command_line_reads_it(path, content, capsys):
    from deltaloop.cli import main

    assert main(["info", "--json", str(write(path, content))]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == [2, 3, 3, 1]


# ---- what is refused ----


def test_layers_without_a_skip():
    generator = np.random.default_rng(1)
    for layers in ([2, 3, 1], [2, 2], [3, 4, 5, 5], [2, 1]):
        with refuses(ValueError, "residual=True needs a hidden layer as wide", watched=[generator]):
            dl.Network(layers, residual=True, seed=generator)
    for value in (1, 0, "yes", None, 1.0, [True], np.array([True])):
        words = "residual must be True or False, got"
        with refuses(TypeError, words, watched=[generator]):
            dl.Network([2, 2, 1], residual=value, seed=generator)
        with refuses(TypeError, words, watched=[generator]):
            dl.Network.from_weights(
                [np.eye(2), np.ones((2, 1))], [[0, 0], [0]], residual=value, seed=generator
            )
    with refuses(ValueError, "residual=True needs a hidden layer as wide"):
        dl.Network.from_weights([np.ones((1, 2))], [[0, 0]], residual=True)
