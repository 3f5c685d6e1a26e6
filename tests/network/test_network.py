"""Networks: parameters as views, names, seeds, classes, predictors, trainers, what is running."""

from __future__ import annotations

import copy
import dataclasses
import gc
import itertools
import math
import os
import pickle
import sys
import weakref

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import NORMAL, UNIFORM, make_case, xor_data
from tests.helpers.compare import same
from tests.helpers.networks import Named, xor
from tests.helpers.processes import run_python

X, Y = xor_data()
GD = dl.GradientDescent(0.5)
BATCHES = dl.GradientDescent(0.5, batch_size=2)


# ---- parameters ----


def test_layout():
    """For l = 1..L the matrix, row by row, then the biases."""
    net = dl.Network([2, 3, 1], seed=0)
    assert net.n_parameters == 13
    net.parameters = np.arange(13.0)
    assert net.weights[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert net.biases[0].tolist() == [6, 7, 8]
    assert net.weights[1].tolist() == [[9], [10], [11]]
    assert net.biases[1].tolist() == [12]


@pytest.mark.parametrize("layers", [[1, 1], [2, 3, 1], [5, 4, 3, 2], [1, 7, 1, 7], [40, 33]])
def test_shapes(layers):
    net = dl.Network(layers, seed=0)
    pairs = list(itertools.pairwise(layers))
    assert net.layers == tuple(layers)
    assert net.n_parameters == sum((m_in + 1) * m_out for m_in, m_out in pairs)
    assert net.parameters.shape == (net.n_parameters,)
    assert isinstance(net.weights, tuple)
    assert isinstance(net.biases, tuple)
    assert [w.shape for w in net.weights] == pairs
    assert [b.shape for b in net.biases] == [(m,) for m in layers[1:]]
    for array in (net.parameters, *net.weights, *net.biases):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert array.flags.writeable
        assert np.shares_memory(array, net.parameters)


def test_writing_to_views_changes_the_network():
    net = xor()
    for change in (
        lambda: net.parameters.__setitem__(0, 3.0),
        lambda: net.weights[1].__setitem__((2, 0), -2.0),
        lambda: net.biases[0].fill(0.5),
        lambda: np.multiply(net.weights[0], 2.0, out=net.weights[0]),
        lambda: setattr(net, "parameters", np.arange(13.0) / 13),
    ):
        before = net.predict(X)
        twin = net.copy()
        change()
        assert not same(net.predict(X), before)
        assert same(twin.predict(X), before)
        rebuilt = dl.Network.from_weights(net.weights, net.biases)
        assert same(net.predict(X), rebuilt.predict(X))
        assert same(net.gradient(X, Y)[1], rebuilt.gradient(X, Y)[1])


def test_views_stay_views():
    """Training, assigning and prediction never move the parameters."""
    net = xor()
    parameters, w, b = net.parameters, net.weights[1], net.biases[1]
    address = parameters.ctypes.data
    net.fit(X, Y, solver=BATCHES, max_epochs=2)
    net.trainer(GD).step(X, Y)
    net.parameters = np.zeros(13)
    net.parameters += 1.5
    assert net.parameters.ctypes.data == address
    assert (parameters == 1.5).all()
    assert (w == 1.5).all()
    assert (b == 1.5).all()


def test_views_outlive_the_network():
    net = xor()
    expected = net.parameters.copy()
    parameters, w = net.parameters, net.weights[0]
    del net
    gc.collect()
    assert same(parameters, expected)
    w[:] = 7.0
    assert (parameters[:6] == 7).all()


def test_the_shape_of_a_view_is_its_own():
    net = xor()
    expected = net.predict(X)
    view = net.parameters.reshape(13, 1)
    assert view.shape == (13, 1)
    with pytest.raises(ValueError, match="own its data"):
        net.parameters.resize(100)
    net.parameters.setflags(write=False)
    assert net.parameters.shape == (13,)
    assert net.parameters.flags.writeable
    assert same(net.predict(X), expected)


def test_assigning_copies_in():
    net, values = xor(), np.arange(13.0)
    net.parameters = values
    values[:] = -1.0
    assert net.parameters.tolist() == list(range(13))
    net.parameters = net.parameters[::-1]
    assert net.parameters.tolist() == list(range(12, -1, -1))
    net.parameters = net.parameters
    assert net.parameters.tolist() == list(range(12, -1, -1))
    net.parameters = range(13)
    assert net.parameters.tolist() == list(range(13))


def test_parameters_may_be_written_beyond_the_finite():
    """Through a view everything is allowed; nothing hangs or raises, and it says what it is."""
    net = xor()
    net.parameters[-1] = np.nan
    assert np.isnan(net.predict(X)).all()
    assert math.isnan(net.cost(X, Y))
    assert np.isnan(net.gradient(X, Y)[1]).any()
    assert net.classify(X).tolist() == [0, 0, 0, 0]
    before = net.parameters.copy()
    assert math.isnan(net.trainer(GD).step(X, Y))
    assert same(net.parameters, before)
    for solver, message in ((GD, "before the first step"), (BATCHES, "in epoch 1")):
        with pytest.warns(dl.DivergenceWarning, match=message):
            result = net.fit(X, Y, solver=solver)
        assert (result.stop_reason, result.epochs, result.converged) == ("diverged", 0, False)
        assert same(net.parameters, before)


def test_from_weights_copies():
    w, b = [np.ones((2, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    net = dl.Network.from_weights(w, b, seed=5)
    w[0][:] = 9.0
    assert (net.weights[0] == 1).all()
    net.weights[1][:] = 8.0
    assert (w[1] == 1).all()
    assert (net.layers, net.init, net.seed) == ((2, 3, 1), None, 5)
    stacked = dl.Network.from_weights(np.ones((3, 2, 2)), np.zeros((3, 2)))
    assert stacked.layers == (2, 2, 2, 2)


# ---- names and defaults ----

# activation, loss, number of outputs -> output, and init, by the rules of the documentation
DEFAULTS = [
    ("sigmoid", "squared_error", 1, "sigmoid", "uniform"),
    ("tanh", "squared_error", 2, "tanh", "glorot_uniform"),
    ("step", "squared_error", 2, "step", "uniform"),
    ("relu", "squared_error", 2, "identity", "he_uniform"),
    ("identity", "squared_error", 2, "identity", "glorot_uniform"),
    (["sigmoid", "sigmoid"], "squared_error", 1, "identity", "uniform"),
    (["tanh", "tanh"], "squared_error", 1, "identity", "glorot_uniform"),
    (("step", "sigmoid"), "squared_error", 1, "identity", "uniform"),
    (["sigmoid", "tanh"], "squared_error", 1, "identity", "glorot_uniform"),
    (["tanh", "relu"], "squared_error", 1, "identity", "he_uniform"),
    ("sigmoid", "cross_entropy", 1, "sigmoid", "uniform"),
    ("sigmoid", "cross_entropy", 2, "softmax", "uniform"),
    ("tanh", "cross_entropy", 10, "softmax", "glorot_uniform"),
    ("relu", "cross_entropy", 1, "sigmoid", "he_uniform"),
    (["relu", "tanh"], "cross_entropy", 3, "softmax", "he_uniform"),
    ("relu", "binary_cross_entropy", 1, "sigmoid", "he_uniform"),
    ("identity", "binary_cross_entropy", 4, "sigmoid", "glorot_uniform"),
    (["tanh", "tanh"], "binary_cross_entropy", 4, "sigmoid", "glorot_uniform"),
    ("sigmoid", "absolute_error", 2, "sigmoid", "uniform"),
    ("tanh", "huber", 1, "tanh", "glorot_uniform"),
    ("gelu", dl.Huber(0.5), 2, "identity", "he_uniform"),
    ("silu", "quantile", 1, "identity", "he_uniform"),
    (["elu", "tanh"], dl.Quantile(0.9), 1, "identity", "he_uniform"),
    ("leaky_relu", "cross_entropy", 3, "softmax", "he_uniform"),
    ("softplus", "poisson", 1, "exp", "he_uniform"),
    ("sigmoid", "poisson", 2, "exp", "uniform"),
    ("exp", "squared_error", 2, "identity", "glorot_uniform"),
]


@pytest.mark.parametrize(("activation", "loss", "m", "output", "init"), DEFAULTS)
def test_defaults(activation, loss, m, output, init):
    net = dl.Network([3, 4, 5, m], activation=activation, loss=loss, seed=1)
    hidden = (activation,) * 2 if isinstance(activation, str) else tuple(activation)
    assert (net.activation, net.output, net.loss, net.init) == (hidden, output, loss, init)
    given = dl.Network(
        [3, 4, 5, m], activation=list(hidden), loss=loss, output=output, init=init, seed=1
    )
    assert same(given.parameters, net.parameters)
    rebuilt = dl.Network.from_weights(net.weights, net.biases, activation=activation, loss=loss)
    assert (rebuilt.activation, rebuilt.output, rebuilt.loss) == (hidden, output, loss)


@pytest.mark.parametrize(
    ("activation", "output", "init"),
    [
        ("sigmoid", "sigmoid", "uniform"),
        ("step", "step", "uniform"),
        ("tanh", "tanh", "glorot_uniform"),
        ("relu", "identity", "glorot_uniform"),
        ([], "identity", "glorot_uniform"),
    ],
)
def test_defaults_without_hidden_layers(activation, output, init):
    """Then the output's activation decides about the initial weights."""
    net = dl.Network([3, 2], activation=activation, seed=1)
    assert (net.activation, net.output, net.init) == ((), output, init)
    assert dl.Network([3, 2], output="relu", seed=1).init == "he_uniform"


@pytest.mark.parametrize("init", [*UNIFORM, *NORMAL])
def test_inits(init):
    net = dl.Network([50, 40, 30], init=init, seed=3)
    assert net.init == init
    limits = {
        "uniform": lambda m_in, m_out: 1.0,
        "he_uniform": lambda m_in, m_out: math.sqrt(6 / m_in),
        "glorot_uniform": lambda m_in, m_out: math.sqrt(6 / (m_in + m_out)),
        "lecun_uniform": lambda m_in, m_out: math.sqrt(3 / m_in),
    }
    for w, b in zip(net.weights, net.biases, strict=True):
        assert (b != 0).all() if init == "uniform" else (b == 0).all()
        if init in limits:
            limit = limits[init](*w.shape)
            assert 0.98 * limit < np.abs(w).max() <= limit
        assert len(np.unique(w)) == w.size


def test_names_are_plain_strings():
    """A name out of an array of names is the name."""
    names = np.array(["tanh", "squared_error", "identity", "uniform"])
    net = xor(activation=names[0], loss=names[1], output=names[2], init=names[3])
    plain = xor(activation="tanh", loss="squared_error", output="identity", init="uniform")
    assert repr(net) == repr(plain)
    assert all(type(n) is str for n in (*net.activation, net.output, net.loss, net.init))


def test_everything_but_the_layers_is_by_keyword():
    with pytest.raises(TypeError, match="positional"):
        dl.Network([2, 1], "tanh")
    with pytest.raises(TypeError, match="positional"):
        dl.Network.from_weights([[[1.0]]], [[0.0]], "tanh")
    with pytest.raises(TypeError, match="layers"):
        dl.Network()
    with pytest.raises(TypeError, match="hidden_layer_sizes"):
        dl.Network([2, 1], hidden_layer_sizes=3)


def test_repr():
    assert repr(xor()) == (
        "Network([2, 3, 1], activation='sigmoid', output='sigmoid', loss='squared_error', seed=4)"
    )
    net = dl.Network([2, 3, 4, 2], activation=["tanh", "relu"], loss="cross_entropy", seed=2**70)
    assert repr(net) == (
        "Network([2, 3, 4, 2], activation=['tanh', 'relu'], output='softmax', "
        "loss='cross_entropy', seed=1180591620717411303424)"
    )
    assert repr(dl.Network([2, 1], seed=0)) == (
        "Network([2, 1], output='sigmoid', loss='squared_error', seed=0)"
    )
    assert repr(dl.Network(np.array([2, 2, 1]), seed=np.int64(1))) == repr(
        dl.Network([2, 2, 1], seed=1)
    )
    again = eval(repr(net), {"Network": dl.Network})
    assert same(again.parameters, net.parameters)
    assert repr(Named([2, 1], "a", seed=0)).startswith("Named([2, 1], ")


@pytest.mark.parametrize(
    "solver",
    [
        dl.GradientDescent(0.1),
        dl.GradientDescent(1, momentum=0.5, nesterov=True),
        dl.GradientDescent(1e-300, batch_size=7, shuffle=False),
    ],
)
def test_solvers_are_values(solver):
    names = {"GradientDescent": dl.GradientDescent}
    for other in (
        eval(repr(solver), names),
        copy.copy(solver),
        copy.deepcopy(solver),
        pickle.loads(pickle.dumps(solver)),
        dataclasses.replace(solver),
    ):
        assert other == solver
        assert hash(other) == hash(solver)
    assert dataclasses.replace(solver, learning_rate=7) != solver
    for name in ("learning_rate", "momentum", "batch_size"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(solver, name, 0.5)


def test_equality_is_identity():
    net = xor()
    twin = net.copy()
    assert net == net
    assert net != twin
    assert len({net, twin, net}) == 2
    assert weakref.ref(net)() is net


# ---- seeds ----


def test_seeds():
    assert same(xor(7).parameters, xor(7).parameters)
    assert not same(xor(7).parameters, xor(8).parameters)
    for seed in (0, 7, np.int64(7), np.uint8(7), 2**64, 2**200):
        net = xor(seed)
        assert type(net.seed) is int
        assert net.seed == int(seed)
        assert same(net.parameters, xor(int(seed)).parameters)
    seeds = {xor(None).seed for _ in range(20)}
    assert len(seeds) == 20


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_a_generator_gives_one_word(kind):
    generator, other = np.random.Generator(kind(5)), np.random.Generator(kind(5))
    net = xor(generator)
    word = int(other.bit_generator.random_raw())
    assert net.seed == word
    assert generator.random() == other.random()
    net.fit(X, Y, solver=BATCHES, max_epochs=3, seed=generator)
    twin = xor(word)
    twin.fit(X, Y, solver=BATCHES, max_epochs=3, seed=int(other.bit_generator.random_raw()))
    assert same(net.parameters, twin.parameters)
    assert generator.random() == other.random()


def test_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    net = xor(None)
    net.fit(X, Y, solver=BATCHES, max_epochs=2)
    assert np.random.random() == expected  # noqa: NPY002


# ---- classes ----


def test_classes_of_one_output():
    for loss, output in (
        ("squared_error", "identity"),
        ("squared_error", "sigmoid"),
        ("squared_error", "tanh"),
        ("squared_error", "step"),
        ("cross_entropy", "sigmoid"),
        ("binary_cross_entropy", "sigmoid"),
    ):
        net = dl.Network.from_weights([[[1.0]]], [[0.0]], loss=loss, output=output)
        x = [[-1.0], [-0.0], [0.0], [5e-324], [1.0], [1e300]]
        classes = net.classify(x)
        assert classes.dtype == np.int64
        assert classes.tolist() == [0, 0, 0, 1, 1, 1]
        for row, expected in zip(x, classes, strict=True):
            assert type(net.classify(row)) is int
            assert net.classify(row) == expected


@pytest.mark.parametrize("m", [1, 2, 3])
def test_classes_of_independent_outputs(m):
    net = dl.Network.from_weights([np.eye(m)], [np.zeros(m)], loss="binary_cross_entropy")
    x = np.array([[-1.0, 2.0, 0.0], [800.0, -800.0, 40.0]])[:, :m]
    classes = net.classify(x)
    assert classes.dtype == np.int64
    expected = (x > 0).astype(int)
    assert classes.tolist() == (expected[:, 0] if m == 1 else expected).tolist()
    one = net.classify(x[0])
    assert one == expected[0, 0] if m == 1 else one.tolist() == expected[0].tolist()
    assert type(one) is (int if m == 1 else np.ndarray)


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        ("cross_entropy", "softmax"),
        ("squared_error", "softmax"),
        ("squared_error", "sigmoid"),
        ("squared_error", "tanh"),
        ("squared_error", "relu"),
        ("squared_error", "identity"),
        ("squared_error", "step"),
    ],
)
def test_classes_of_several_outputs(loss, output):
    """The largest z, also where the activations are equal; the first of equal ones."""
    net = dl.Network.from_weights([np.eye(3)], [np.zeros(3)], loss=loss, output=output)
    x = [[1, 2, 3], [3, 2, 1], [50, 60, 40], [-3, -1, -2], [800, 900, 1000], [2, 2, 1], [0, 0, 0]]
    classes = net.classify(x)
    assert classes.dtype == np.int64
    assert classes.tolist() == [2, 0, 1, 1, 2, 0, 0]
    assert [net.classify(row) for row in x] == classes.tolist()
    assert type(net.classify(x[0])) is int


# ---- predictors ----


def test_predictor_of_one_instance():
    net = xor()
    predictor = net.predictor()
    assert predictor.network is net
    assert (predictor.x.shape, predictor.y.shape) == ((2,), (1,))
    assert (predictor.x == 0).all()
    for x in X:
        predictor.x[:] = x
        y = predictor()
        assert same(y, net.predict(x))
        assert same(predictor.y, y)
        assert np.shares_memory(predictor.y, y)


@pytest.mark.parametrize("n", [2, 4, np.int64(33), 1000])
def test_predictor_of_many_instances(n):
    net, x = xor(), np.random.default_rng(0).normal(size=(n, 2))
    predictor = net.predictor(n)
    assert (predictor.x.shape, predictor.y.shape) == ((n, 2), (n, 1))
    predictor.x[:] = x
    assert same(predictor(), net.predict(x))
    assert same(predictor.x, x)
    predictor.x[0, 0] = np.nan
    assert np.isnan(predictor()).ravel().tolist() == [True] + [False] * (n - 1)


def test_predictor_follows_the_network():
    net = xor()
    predictor = net.predictor(4)
    predictor.x[:] = X
    for change in (
        lambda: net.fit(X, Y, solver=BATCHES, max_epochs=3),
        lambda: net.trainer(GD).step(X, Y),
        lambda: setattr(net, "parameters", np.arange(13.0) / 13),
        lambda: net.biases[0].fill(0.25),
    ):
        before = predictor().copy()
        change()
        assert not same(predictor(), before)
        assert same(predictor(), net.predict(X))


def test_predictors_are_independent():
    net = xor()
    a, b = net.predictor(), net.predictor()
    a.x[:] = X[1]
    b.x[:] = X[2]
    y = a().copy()
    b()
    assert same(a.y, y)
    assert not np.shares_memory(a.x, b.x)
    assert not np.shares_memory(a.x, net.parameters)


def test_buffers_of_a_predictor_stay_its_own():
    """Whatever a caller does to the arrays that it was handed."""
    predictor = xor().predictor(4)
    for array in (predictor.x, predictor.y, predictor()):
        with pytest.raises(ValueError, match="own its data"):
            array.resize((1000, 1000), refcheck=False)
    for name in ("x", "y", "network"):
        with pytest.raises(AttributeError):
            setattr(predictor, name, X)
    predictor.x.setflags(write=False)
    predictor.x[:] = X
    with pytest.raises(TypeError):
        predictor(X)


# ---- trainers ----

METHODS = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}]


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_trainer_is_steps_by_hand(options):
    case = make_case((3, 5, 2), "tanh", "softmax", "cross_entropy", n=12, seed=2)
    net = case.network()
    alpha, mu = 0.05, options.get("momentum", 0.0)
    solver = dl.GradientDescent(alpha, **options)
    trainer = net.trainer(solver)
    assert trainer.solver is solver
    assert trainer.network is net
    w, v = net.parameters.copy(), np.zeros(net.n_parameters)
    hand = case.network()
    for t in range(30):
        rows = slice(t % 3, t % 3 + 1 + t % 9)
        hand.parameters = w
        C, g = hand.gradient(case.X[rows], case.Y[rows])
        v = mu * v - alpha * g
        w = w + mu * v - alpha * g if options.get("nesterov") else w + v
        assert trainer.step(case.X[rows], case.Y[rows]) == pytest.approx(C, rel=1e-13)
        np.testing.assert_allclose(net.parameters, w, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", METHODS, ids=str)
@pytest.mark.parametrize("n", [1, 23, 5000])
def test_trainer_is_a_fit(options, n):
    """To the bit, costs included."""
    case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=n, seed=2)
    a, b = case.network(), case.network()
    solver = dl.GradientDescent(0.02 / n, **options)
    result = a.fit(case.X, case.Y, solver=solver, max_epochs=5, tol=0)
    trainer = b.trainer(solver)
    costs = [trainer.step(case.X, case.Y) for _ in range(5)]
    assert costs == [result.initial_cost, *result.cost_history[:-1]]
    assert same(a.parameters, b.parameters)


def test_step_returns_the_cost_before():
    net = xor()
    trainer = net.trainer(GD)
    for x, y in ((X, Y), (X[0], Y[0]), (X.tolist(), [0, 1, 1, 0]), ([1.0, 0.0], 1.0)):
        C = net.cost(x, y)
        cost = trainer.step(x, y)
        assert type(cost) is float
        assert cost == C


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_no_step_where_the_cost_overflows(options):
    """Neither the parameters nor the velocity change."""
    net = dl.Network([1, 1], activation="identity", seed=0)
    twin = net.copy()
    trainers = [net.trainer(dl.GradientDescent(0.1, **options)) for net in (net, twin)]
    for i in range(5):
        before = net.parameters.copy()
        assert trainers[0].step([1e200], [-1e200]) == math.inf
        assert trainers[0].step(np.array([1.0]), np.array([1e200])) == math.inf
        assert same(net.parameters, before)
        assert trainers[0].step([1.0], [float(i)]) == trainers[1].step([1.0], [float(i)])
    assert same(net.parameters, twin.parameters)


def test_two_trainers_of_one_network():
    """Each keeps a velocity of its own."""
    net = xor()
    a, b = (net.trainer(dl.GradientDescent(0.1, momentum=0.9)) for _ in range(2))
    a.step(X, Y)
    w = net.parameters.copy()
    _, g = net.gradient(X, Y)
    b.step(X, Y)
    np.testing.assert_allclose(net.parameters, w - 0.1 * g, rtol=1e-14)


# ---- what is running ----


def test_runtime():
    info = dl.runtime()
    assert info["version"] == dl.__version__
    assert info["isa"] in info["isas"]
    assert info["isas"][-1] == "base"
    assert info["numpy"] == np.__version__
    assert info["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert 1 <= info["threads"] <= os.cpu_count()
    assert info["compiler"] == info["compiler"].strip() != ""
    assert isinstance(info["platform"], str)
    info["isas"].append("mine")
    assert "mine" not in dl.runtime()["isas"]


@pytest.mark.parametrize("name", ["foo", "AVX2", "avx2,base", " base"])
def test_unknown_isa(name, monkeypatch):
    known = ", ".join(dl.runtime()["isas"])
    monkeypatch.setenv("DELTALOOP_ISA", name)
    output = run_python(
        "import deltaloop as dl\n"
        "for make in (dl.runtime, lambda: dl.Network([2, 1]), "
        "lambda: dl.Network.from_weights([[[1.0]]], [[0.0]])):\n"
        "    try:\n"
        "        print('no error:', make())\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    expected = f"DELTALOOP_ISA must be one of {known} on this machine, got {name!r}\n"
    assert output == 3 * expected


@pytest.mark.parametrize("name", [*dl.runtime()["isas"], ""])
def test_known_isa(name, monkeypatch):
    monkeypatch.setenv("DELTALOOP_ISA", name)
    output = run_python("import deltaloop as dl\nprint(dl.runtime()['isa'], dl.Network([2, 1]))")
    assert output.split()[0] == (name or output.split()[0])
