"""Every activation and every loss: cost and gradient against mpmath, reference.py and differences.

The first ones are in test_gradient.py; here each of the others, with values so large
that a careless formula overflows, and a training run of each.
"""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import Reference
from tests.helpers.cases import HIDDEN, KINKED, MORE_HIDDEN, MORE_PAIRS, make_case
from tests.helpers.compare import relative_error
from tests.helpers.gradients import check_gradient
from tests.helpers.oracle import Oracle, mp

every_pair = pytest.mark.parametrize(("loss", "output", "m"), MORE_PAIRS, ids=str)
every_hidden = pytest.mark.parametrize("hidden", MORE_HIDDEN)


@every_pair
@pytest.mark.parametrize("depth", [1, 2])
def test_pairs(depth, loss, output, m):
    check_gradient(
        make_case(((3,), (3, 5))[depth - 1] + (m,), "tanh", output, loss, n=5, seed=depth)
    )


@every_hidden
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_hidden_layers(depth, hidden):
    layers = {2: (3, 5, 2), 3: (2, 5, 4, 2), 5: (3, 2, 4, 3, 4, 1)}[depth]
    case = make_case(layers, hidden, "identity", "squared_error", n=5, seed=depth)
    for w in case.weights[1:]:
        w *= 0.2 if hidden == "exp" else 1.0
    check_gradient(case)


@pytest.mark.parametrize("hidden", [*HIDDEN, *MORE_HIDDEN])
def test_next_to_a_layer_that_keeps_its_derivative(hidden):
    check_gradient(
        make_case((3, 4, 5, 3, 2), ("silu", hidden, "gelu"), "gelu", "huber", n=5, seed=1)
    )


@every_hidden
@pytest.mark.parametrize("n", [1, 67, 4097])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_wide_networks(n, hidden, n_threads):
    """Chunks, ranges and threads cut the second array of a layer too."""
    m, output = (19, "gelu") if n < 4096 else (3, "identity")
    layers = (37, 70, 33, m) if n < 4096 else (3, 9, 8, m)
    case = make_case(layers, hidden, output, ("huber", 0.3), n=n, seed=1)
    case.weights[1] *= 0.3
    net = case.network()
    net._grain = 1.0
    cost, gradient = net.gradient(case.X, case.Y, n_threads=n_threads)
    for chunk in (0, 8, 24):
        net._chunk_rows = chunk
        again = net.gradient(case.X, case.Y, n_threads=n_threads)
        assert (again[0], again[1].tobytes()) == (cost, gradient.tobytes())
    reference_cost, reference_gradient = case.reference().gradient(case.X, case.Y)
    assert cost == pytest.approx(reference_cost, rel=1e-12)
    assert relative_error(gradient, reference_gradient) < 1e-12
    a = net.activations(case.X)
    assert (net.predict(case.X) == a[-1]).all()
    rows = np.array([net.predict(x) for x in case.X[:20]])
    assert rows.tobytes() == np.ascontiguousarray(a[-1][:20]).tobytes()
    predictor = net.predictor()
    predictor.x[:] = case.X[0]
    assert (predictor() == rows[0]).all()


# ---- large values ----

LARGE = (-1e308, -1e5, -800.0, -745.2, -709.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0)


@pytest.mark.parametrize("z", LARGE)
@pytest.mark.parametrize("output", [*MORE_HIDDEN, "sigmoid", "tanh"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", dl.Quantile(0.8)])
def test_large_z(loss, output, z):
    """A finite cost is the loss of a; a and delta are as exact as doubles allow."""
    net = dl.Network.from_weights([[[0.0]]], [[z]], output=output, loss=loss)
    a, y = float(net.predict([[1.0]])[0, 0]), 0.3
    cost, gradient = net.gradient([[1.0]], [[y]])
    e = a - y
    with np.errstate(over="ignore"):
        expected = {
            "squared_error": 0.5 * np.float64(e) * e,
            "absolute_error": abs(e),
            "huber": 0.5 * e * e if abs(e) <= 1 else abs(e) - 0.5,
        }.get(str(loss), max(-0.8 * e, (1 - 0.8) * e))
    assert cost == pytest.approx(expected, rel=1e-15)
    if not np.isfinite(cost) or abs(z) > 2000:
        return
    assert np.isfinite(gradient).all()
    with mp.workdps(800):  # the digits that 1 - exp(-a) needs where a = exp(-800)
        exact_a = Oracle(net).forward([1.0])[1][-1][0]
        exact = Oracle(net).gradient(np.ones((1, 1)), np.full((1, 1), y))[1][1]
    assert a == pytest.approx(float(exact_a), rel=1e-15, abs=2.0**-1074)
    # 1 - a and a + 1, where those are the derivative, are exact to 2^-53 only.
    assert gradient[1] == pytest.approx(exact, rel=2e-15, abs=4e-16 * max(abs(e), 1))


@pytest.mark.parametrize("z", [-1e308, -800.0, -745.2, -40.0, 0.0, 40.0, 700.0])
@pytest.mark.parametrize("y", [0.0, 1.0, 7.0])
def test_large_z_poisson(z, y):
    """C = exp(z) - y z and delta = a - y: no log(0), no 0 times infinity."""
    net = dl.Network.from_weights([[[0.0]]], [[z]], loss="poisson")
    if y * abs(z) > 1e300:
        z /= 10
        net.biases[0][:] = z
    cost, gradient = net.gradient([[1.0]], [[y]])
    a = math.exp(z)
    assert cost == pytest.approx(a - y * z, rel=1e-15)
    assert gradient[1] == pytest.approx(a - y, rel=1e-15)
    reference = Reference.of(net).gradient([[1.0]], [[y]])
    assert cost == pytest.approx(reference[0], rel=1e-15)


@pytest.mark.parametrize("hidden", MORE_HIDDEN)
@pytest.mark.parametrize("z", [-1e308, -1e5, -800.0, -40.0, 40.0, 700.0, 1e5, 1e154])
def test_large_z_in_a_hidden_layer(hidden, z):
    if hidden == "exp" and z > 0:
        z = min(z, 350.0)
    net = dl.Network.from_weights(
        [[[0.0]], [[1e-3]]], [[z], [0.5]], activation=hidden, output="tanh", loss="absolute_error"
    )
    cost, gradient = net.gradient([[1.0]], [[0.25]])
    assert np.isfinite(cost)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("size", [1e160, 1e300, 4e307])
def test_large_errors(size):
    """The square overflows where the absolute value does not."""
    for loss, expected, slope in [
        ("absolute_error", size, 1.0),
        (dl.Huber(2.0), 2 * size, 2.0),
        (dl.Quantile(0.25), 0.75 * size, 0.75),
    ]:
        net = dl.Network.from_weights([[[1.0]]], [[0.0]], output="identity", loss=loss)
        cost, gradient = net.gradient([[size]], [[0.0]])
        assert cost == pytest.approx(expected, rel=1e-15)
        assert gradient[1] == slope


# ---- by hand ----


def test_losses_by_hand():
    """At, above and below the target; where the slope jumps it is 0, and Huber's joins."""
    e = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    for loss, costs, slopes in [
        ("absolute_error", np.abs(e), np.sign(e)),
        ("huber", [2.5, 0.5, 0.125, 0, 0.125, 0.5, 2.5], [-1, -1, -0.5, 0, 0.5, 1, 1]),
        (dl.Huber(2.0), [4, 0.5, 0.125, 0, 0.125, 0.5, 4], [-2, -1, -0.5, 0, 0.5, 1, 2]),
        ("quantile", np.abs(e) / 2, np.sign(e) / 2),
        (
            dl.Quantile(0.75),
            [2.25, 0.75, 0.375, 0, 0.125, 0.25, 0.75],
            [-0.75] * 3 + [0] + [0.25] * 3,
        ),
    ]:
        net = dl.Network.from_weights([[[1.0]]], [[0.0]], output="identity", loss=loss)
        for e_i, C, slope in zip(e, costs, slopes, strict=True):
            assert net.gradient([[e_i + 2.0]], [[2.0]]) == (
                C,
                pytest.approx([slope * (e_i + 2), slope]),
            )
        wide = dl.Network.from_weights([np.eye(7)], [np.zeros(7)], output="identity", loss=loss)
        assert wide.cost([e + 2.0], [np.full(7, 2.0)]) == np.sum(costs)


def test_activations_by_hand():
    z = np.array([[-2.0, -0.5, 0.0, 0.5, 2.0]])
    expected = {
        "leaky_relu": [-0.02, -0.005, 0, 0.5, 2.0],
        "elu": [math.expm1(-2), math.expm1(-0.5), 0, 0.5, 2.0],
        "softplus": [math.log(1 + math.exp(t)) for t in z[0]],
        "silu": [t / (1 + math.exp(-t)) for t in z[0]],
        "gelu": [t * (1 + math.erf(t / math.sqrt(2))) / 2 for t in z[0]],
        "exp": [math.exp(t) for t in z[0]],
        "mish": [t * math.tanh(math.log1p(math.exp(t))) for t in z[0]],
    }
    for output, a in expected.items():
        net = dl.Network.from_weights([np.eye(5)], [np.zeros(5)], activation="tanh", output=output)
        np.testing.assert_allclose(net.predict(z)[0], a, rtol=1e-15)


# ---- training, copies, files ----


@pytest.mark.parametrize("hidden", MORE_HIDDEN)
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_training_follows_the_reference(hidden, batch_size):
    """The general path where the kernel for single instances keeps no derivative, and that one."""
    case = make_case((3, 5, 4, 2), hidden, "identity", ("quantile", 0.7), n=23, seed=2)
    case.weights[1] *= 0.2
    if hidden in KINKED:
        case.loss = "squared_error"
    net, reference = case.network(), case.reference()
    solver = dl.GradientDescent(1e-3, batch_size=batch_size, shuffle=False)
    result = net.fit(case.X, case.Y, solver=solver, max_epochs=6, tol=0)
    epochs = reference.epochs(case.X, case.Y, 1e-3, batch_size=batch_size)
    costs, parameters = zip(*itertools.islice(epochs, 6), strict=True)
    np.testing.assert_allclose(result.cost_history, costs, rtol=1e-11)
    assert relative_error(net.parameters, parameters[-1]) < 1e-11
    if batch_size == 1:
        trainer = case.network().trainer(dl.GradientDescent(1e-3))
        for _ in range(6):
            for x, y in zip(case.X, case.Y, strict=True):
                trainer.step(x, y)
        assert trainer.network.parameters.tobytes() == net.parameters.tobytes()


def test_single_outputs_train_online():
    case = make_case((2, 2, 1), "gelu", "silu", "squared_error", n=4, seed=2)
    for batch_size in (None, 1):
        net, reference = case.network(), case.reference()
        solver = dl.GradientDescent(0.1, batch_size=batch_size, shuffle=False)
        net.fit(case.X, case.Y, solver=solver, max_epochs=9, tol=0)
        epochs = reference.epochs(case.X, case.Y, 0.1, batch_size=batch_size)
        *_, (_, parameters) = itertools.islice(epochs, 9)
        assert relative_error(net.parameters, parameters) < 1e-12


def test_quantiles_are_found():
    """A single bias, trained with the quantile loss, ends at that quantile of the targets."""
    Y = np.random.default_rng(0).exponential(size=(999, 1))
    for tau in (0.1, 0.5, 0.9):
        net = dl.Network.from_weights([[[0.0]]], [[0.0]], output="identity", loss=dl.Quantile(tau))
        net.fit(np.zeros_like(Y), Y, solver=dl.GradientDescent(1e-5), max_epochs=4000, tol=0)
        assert (net.biases[0][0] > Y).mean() == pytest.approx(tau, abs=0.01)


def test_poisson_fits_a_rate():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 1))
    Y = rng.poisson(np.exp(0.5 + 1.5 * X)).astype(float)
    net = dl.Network.from_weights([[[0.0]]], [[0.0]], loss="poisson")
    assert net.output == "exp"
    net.fit(X, Y, solver=dl.GradientDescent(5e-4), max_epochs=3000, tol=0)
    np.testing.assert_allclose(net.parameters, [1.5, 0.5], atol=0.1)


OPTIONS = [
    {"activation": "gelu", "loss": dl.Huber(0.1), "init": dl.Uniform(-0.1, 1 / 3)},
    {"activation": ["silu", "elu"], "loss": dl.Quantile(1e-7), "init": "nguyen_widrow"},
    {"activation": "softplus", "loss": "poisson", "init": dl.Uniform(-1e-300, 1e-5)},
    {"activation": "leaky_relu", "loss": "absolute_error", "output": "exp"},
    {"activation": "exp", "loss": "quantile", "output": "softplus"},
    {"activation": "tanh", "loss": "huber", "output": "softmax"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_copies_pickles_and_files(options, tmp_path):
    net = dl.Network([3, 4, 5, 2], seed=7, **options)
    net.save(tmp_path / "a.safetensors")
    for twin in (
        net.copy(),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        dl.load(tmp_path / "a.safetensors"),
    ):
        assert repr(twin) == repr(net)
        for name in ("layers", "activation", "output", "loss", "init", "seed"):
            assert getattr(twin, name) == getattr(net, name)
            assert type(getattr(twin, name)) is type(getattr(net, name))
        assert twin.parameters.tobytes() == net.parameters.tobytes()
        X, Y = np.ones((3, 3)), np.full((3, 2), 0.4)
        assert twin.cost(X, Y) == net.cost(X, Y)


def test_repr_tells_the_parameter():
    net = dl.Network([1, 2, 1], activation="gelu", loss=dl.Huber(0.5), seed=1)
    assert repr(net) == (
        "Network([1, 2, 1], activation='gelu', output='identity', loss=Huber(delta=0.5), seed=1)"
    )


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("loss", "huber()"),
        ("loss", "huber(0)"),
        ("loss", "huber(1e999)"),
        ("loss", "huber(1.0,2.0)"),
        ("loss", "huber(1.0"),
        ("loss", "huber(1.2.3)"),
        ("loss", "huber(nan)"),
        ("loss", "quantile(1.5)"),
        ("loss", "squared_error(1.0)"),
        ("loss", "poisson"),
        ("init", '"uniform(1.0)"'),
        ("init", '"uniform(1.0,0.0)"'),
        ("init", '"he_uniform(1.0,2.0)"'),
        ("init", "[1.0]"),
    ],
)
def test_files_that_are_refused(key, text, tmp_path):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "a.safetensors"
    net = dl.Network([2, 3, 1], loss=dl.Huber(0.5), init=dl.Uniform(-2, 2), seed=1)
    net.save(path)
    entries = {
        "format": "deltaloop",
        "version": "1",
        "layers": "[2, 3, 1]",
        "activation": '["sigmoid"]',
        "output": "sigmoid",
        "loss": "huber(0.5)",
        "init": '"uniform(-2.0,2.0)"',
        "seed": "1",
        "position": str(net._position),
    }
    tensors = load_file(path)
    save_file(tensors, path, metadata=entries)
    assert dl.load(path).init == net.init
    save_file(tensors, path, metadata={**entries, key: text})
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        dl.load(path)
