"""Options of networks, solvers and calls: what is refused, in which words, and leaves no trace."""

from __future__ import annotations

import decimal
import fractions

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import xor_data
from tests.helpers.networks import refuses, state, trained

X, Y = xor_data()
GD = dl.GradientDescent(0.5)
NAN, INF = float("nan"), float("inf")


# ---- constructor ----

BAD_LAYERS = {
    "a number": (5, TypeError, "layers must be a list of integers", "got 5"),
    "None": (None, TypeError, "layers must be a list of integers", "got None"),
    "a string": ("2, 1", TypeError, "layers must be a list of integers", "got '2, 1'"),
    "bytes": (b"\2\1", TypeError, "layers must be a list of integers", "got b'"),
    "a set": ({2, 1}, TypeError, "layers must be a list of integers", "got {1, 2}"),
    "a dict": ({2: 3, 1: 1}, TypeError, "layers must be a list of integers", "got {2: 3, 1: 1}"),
    "a generator": ((m for m in [2, 1]), TypeError, "layers must be a list", "got <generator"),
    "a matrix": (np.array([[2, 1]]), TypeError, "layers must be a list of integers", "array([[2"),
    "an array of nothing": (np.array(2), TypeError, "layers must be a list", "got array(2)"),
    "a network": (dl.Network, TypeError, "layers must be a list of integers", "Network"),
    "nothing": ([], ValueError, "layers must name at least two layers", "got []"),
    "one layer": ([2], ValueError, "layers must name at least two layers", "got [2]"),
    "no outputs": ([2, 0], ValueError, "layers[1] must be at least 1, got 0"),
    "no inputs": ([0, 2], ValueError, "layers[0] must be at least 1, got 0"),
    "a hidden layer of nothing": ([2, 0, 1], ValueError, "layers[1] must be at least 1, got 0"),
    "negative": ([2, -3, 1], ValueError, "layers[1] must be at least 1, got -3"),
    "very negative": ([2, -(2**64) + 1], ValueError, "layers[1] must be at least 1, got -184467"),
    "a float": ([2.0, 1], TypeError, "layers[0] must be an integer, got 2.0"),
    "floats": (np.array([2.0, 1.0]), TypeError, "layers[0] must be an integer, got", "2.0"),
    "a bool": ([2, True], TypeError, "layers[1] must be an integer, got True"),
    "bools": (np.array([True, True]), TypeError, "layers[0] must be an integer, got", "True"),
    "strings": (["2", "1"], TypeError, "layers[0] must be an integer, got '2'"),
    "None inside": ([2, None, 1], TypeError, "layers[1] must be an integer, got None"),
    "nested": ([[2, 2, 1]], TypeError, "layers[0] must be an integer, got [2, 2, 1]"),
    "complex": ([2, 1 + 0j], TypeError, "layers[1] must be an integer, got (1+0j)"),
    "times": ([np.timedelta64(2, "s"), 1], TypeError, "layers[0] must be an integer, got"),
    "product overflows": ([2**40, 2**40], ValueError, "layers are too large", "1099511627776"),
    "size_t overflows": ([2**64, 1], ValueError, "layers are too large", "18446744073709551616"),
    "ssize_t overflows": ([2**63, 2], ValueError, "layers are too large", "9223372036854775808"),
    "enormous": ([10**30, 1], ValueError, "layers are too large", "1" + 30 * "0"),
    "bytes overflow": ([2**31, 2**31], ValueError, "layers are too large", "2147483648"),
    "wraps to small": ([2**32, 2**32, 1], ValueError, "layers are too large", "4294967296"),
    "sum overflows": ([1, 2**60, 1], ValueError, "layers are too large", "1152921504606846976"),
    "too much memory": ([2**23, 2**23], MemoryError, "memory", "8388608"),
}


@pytest.mark.parametrize("what", BAD_LAYERS)
def test_layers_that_are_refused(what):
    layers, error, *words = BAD_LAYERS[what]
    generator = np.random.default_rng(1)
    with refuses(error, *words, watched=[layers, generator]):
        dl.Network(layers, seed=generator)


@pytest.mark.parametrize(
    "layers",
    [(2, 3, 1), range(2, 0, -1), np.array([2, 3, 1], np.uint8), [np.int64(2), np.int8(1)]],
)
def test_layers_that_are_accepted(layers):
    net = dl.Network(layers, seed=1)
    assert net.layers == tuple(int(m) for m in layers)
    assert all(type(m) is int for m in net.layers)


INITS = (
    "uniform, he_uniform, he_normal, glorot_uniform, glorot_normal, lecun_uniform, lecun_normal, "
    "nguyen_widrow"
)
HIDDEN = "sigmoid, tanh, relu, identity, step, leaky_relu, elu, softplus, silu, gelu, exp, mish"
BAD_OPTIONS = [
    ({"activation": "foo"}, ValueError, f"activation must be one of {HIDDEN}, got 'foo'"),
    ({"activation": "ReLU"}, ValueError, "activation must be one of", "got 'ReLU'"),
    ({"activation": "tanh "}, ValueError, "activation must be one of", "got 'tanh '"),
    ({"activation": ""}, ValueError, "activation must be one of", "got ''"),
    ({"activation": "softmax"}, ValueError, f"activation must be one of {HIDDEN}, got 'softmax'"),
    ({"activation": ["tanh", "foo"]}, ValueError, "activation[1] must be one of", "got 'foo'"),
    ({"activation": ["softmax", "tanh"]}, ValueError, "activation[0] must be one of", "'softmax'"),
    ({"activation": ["tanh"]}, ValueError, "activation", "one", "per hidden layer, 2, got 1"),
    ({"activation": ["tanh"] * 3}, ValueError, "activation", "per hidden layer, 2, got 3"),
    ({"activation": []}, ValueError, "activation", "per hidden layer, 2, got 0"),
    ({"activation": ["tanh", None]}, TypeError, "activation[1] must be a string, got NoneType"),
    ({"activation": None}, TypeError, "activation must be a name or a list", "got NoneType"),
    ({"activation": 3}, TypeError, "activation must be a name or a list", "got int"),
    ({"activation": np.tanh}, TypeError, "activation must be a name or a list", "got ufunc"),
    ({"activation": {"tanh"}}, TypeError, "activation must be a name or a list", "got set"),
    ({"activation": {1: "tanh"}}, TypeError, "activation must be a name or a list", "got dict"),
    ({"activation": b"tanh"}, TypeError, "activation must be a name or a list", "got bytes"),
    ({"output": "foo"}, ValueError, "output must be one of", "softmax", "got 'foo'"),
    ({"output": ""}, ValueError, "output must be one of", "got ''"),
    ({"output": 3}, TypeError, "output must be a string, got int"),
    ({"output": ["tanh"]}, TypeError, "output must be a string, got list"),
    ({"loss": "mse"}, ValueError, "loss must be one of squared_error, cross_entropy", "got 'mse'"),
    ({"loss": "SQUARED_ERROR"}, ValueError, "loss must be one of", "got 'SQUARED_ERROR'"),
    ({"loss": None}, TypeError, "loss must be a string, got NoneType"),
    ({"loss": ("squared_error",)}, TypeError, "loss must be a string, got tuple"),
    ({"init": "xavier"}, ValueError, f"init must be one of {INITS}, got 'xavier'"),
    ({"init": ""}, ValueError, "init must be one of", "got ''"),
    ({"init": 0}, TypeError, "init must be a string, got int"),
    ({"init": np.zeros(3)}, TypeError, "init must be a string, got ndarray"),
    ({"loss": dl.Huber}, TypeError, "loss must be", "Huber()", "got a class"),
    ({"loss": ("quantile", 0.9)}, TypeError, "loss must be a string, got tuple"),
    ({"loss": "quantile(0.9)"}, ValueError, "loss must be one of", "got 'quantile(0.9)'"),
    ({"loss": "poisson", "output": "softplus"}, ValueError, "output must be one of exp for loss="),
    ({"init": ("uniform", 0.1)}, TypeError, "init must be a string, got tuple"),
    ({"init": dl.Uniform}, TypeError, "init must be a string, got type"),
]


@pytest.mark.parametrize("case", BAD_OPTIONS, ids=lambda case: str(case[0]))
def test_options_that_are_refused(case):
    options, error, *words = case
    generator = np.random.default_rng(1)
    with refuses(error, *words, watched=[options, generator]):
        dl.Network([2, 3, 3, 3], seed=generator, **options)
    if "init" not in options:
        w, b = [np.ones((2, 3)), np.eye(3), np.eye(3)], [np.zeros(3)] * 3
        with refuses(error, *words, watched=[options, generator, w, b]):
            dl.Network.from_weights(w, b, seed=generator, **options)


ANY = ("sigmoid", "tanh", "relu", "identity", "softmax", "step")
ANY = (*ANY, "leaky_relu", "elu", "softplus", "silu", "gelu", "exp", "mish")
PAIRS = {
    "squared_error": ANY,
    "absolute_error": ANY,
    "huber": ANY,
    "quantile": ANY,
    "cross_entropy": ("softmax", "sigmoid"),
    "binary_cross_entropy": ("sigmoid",),
    "poisson": ("exp",),
}


@pytest.mark.parametrize("loss", PAIRS)
@pytest.mark.parametrize("output", PAIRS["squared_error"])
@pytest.mark.parametrize("m", [1, 2, 5])
def test_pairs_of_loss_and_output(loss, output, m):
    words = None
    if output not in PAIRS[loss]:
        words = ["output", *PAIRS[loss], loss, f"got '{output}'"]
    elif output == "softmax" and m == 1:
        words = ["softmax", "at least two output units, got 1"]
    elif (loss, output) == ("cross_entropy", "sigmoid") and m > 1:
        words = ["cross_entropy", "sigmoid", f"one output unit, got {m}", "binary_cross_entropy"]
    if words is None:
        net = dl.Network([2, 3, m], output=output, loss=loss, seed=0)
        assert (net.output, net.loss) == (output, loss)
    else:
        with refuses(ValueError, *words):
            dl.Network([2, 3, m], output=output, loss=loss, seed=0)


@pytest.mark.parametrize(
    ("make", "values", "error", "words"),
    [
        (dl.Huber, (0,), ValueError, "delta must be positive and finite, got 0"),
        (dl.Huber, (-1.0,), ValueError, "delta must be positive and finite, got -1.0"),
        (dl.Huber, (np.inf,), ValueError, "delta must be positive and finite, got inf"),
        (dl.Huber, (np.nan,), ValueError, "delta must be positive and finite, got nan"),
        (dl.Huber, ("1",), TypeError, "delta must be a real number, got '1'"),
        (dl.Quantile, (0,), ValueError, "tau must be between 0 and 1, got 0"),
        (dl.Quantile, (1,), ValueError, "tau must be between 0 and 1, got 1"),
        (dl.Quantile, (np.nan,), ValueError, "tau must be between 0 and 1, got nan"),
        (dl.Quantile, (None,), TypeError, "tau must be a real number, got None"),
        (dl.Uniform, (1, 1), ValueError, "low must be less than high, got 1 and 1"),
        (dl.Uniform, (1, -1), ValueError, "low must be less than high, got 1 and -1"),
        (dl.Uniform, (np.nan, 1), ValueError, "low must be less than high, got nan and 1"),
        (dl.Uniform, (-np.inf, 1), ValueError, ("low, high", "finite, got -inf and 1")),
        (dl.Uniform, (-1e308, 1e308), ValueError, ("low, high", "got -1e+308 and 1e+308")),
        (dl.Uniform, (True, 2), TypeError, "low must be a real number, got True"),
        (dl.Uniform, (0, "2"), TypeError, "high must be a real number, got '2'"),
    ],
    ids=str,
)
def test_objects_that_are_refused(make, values, error, words):
    with refuses(error, *(words if isinstance(words, tuple) else (words,))):
        make(*values)


def test_objects_are_immutable_values():
    for make, values in ((dl.Huber, (2,)), (dl.Quantile, (0.25,)), (dl.Uniform, (0, 3))):
        one = make(*values)
        assert one == make(*map(np.float64, values))
        assert hash(one) == hash(make(*values))
        assert one != make(*(v / 3 + 0.1 for v in values))
        with pytest.raises(AttributeError):
            one.delta = 1.0
    assert repr(dl.Huber(2)) == "Huber(delta=2.0)"
    assert (dl.Huber(), dl.Quantile()) == (dl.Huber(1.0), dl.Quantile(0.5))


@pytest.mark.parametrize("bad", [-1.0, -1e-300])
def test_poisson_takes_counts(bad):
    net = dl.Network([2, 3, 2], loss="poisson", seed=0)
    Y = np.arange(8.0).reshape(4, 2)
    assert np.isfinite(net.cost(np.eye(4)[:, :2], Y))
    Y[2, 1] = bad
    words = f"Y holds {bad} at row 2, column 1; targets of poisson are counts, at least 0"
    with refuses(ValueError, words, net=net, watched=[Y]):
        net.fit(np.eye(4)[:, :2], Y, solver=GD)
    with refuses(ValueError, words.replace("Y", "y", 1), net=net, watched=[Y]):
        net.trainer(GD).step(np.eye(4)[:, :2], Y)


BAD_SEEDS = [
    (-1, ValueError, "seed must be at least 0, got -1"),
    (np.int64(-5), ValueError, "seed must be at least 0, got -5"),
    (1.0, TypeError, "seed must be an integer", "Generator", "None, got float"),
    (np.float64(1), TypeError, "seed must be an integer", "got float64"),
    ("1", TypeError, "seed must be an integer", "got str"),
    (b"1", TypeError, "seed must be an integer", "got bytes"),
    (True, TypeError, "seed must be an integer", "got bool"),
    (np.True_, TypeError, "seed must be an integer", "got bool"),
    ([1, 2], TypeError, "seed must be an integer", "got list"),
    (np.array([1]), TypeError, "seed must be an integer", "got ndarray"),
    (1j, TypeError, "seed must be an integer", "got complex"),
    (np.timedelta64(1, "s"), TypeError, "seed must be an integer", "got timedelta64"),
    (np.random.RandomState(0), TypeError, "seed must be an integer", "got RandomState"),
    (np.random.PCG64(0), TypeError, "seed must be an integer", "got PCG64"),
    (np.random.SeedSequence(0), TypeError, "seed must be an integer", "got SeedSequence"),
    (np.random, TypeError, "seed must be an integer", "got module"),
]


@pytest.mark.parametrize("case", BAD_SEEDS, ids=lambda case: type(case[0]).__name__)
def test_seeds_that_are_refused(case):
    seed, error, *words = case
    net = trained()
    with refuses(error, *words):
        dl.Network([2, 1], seed=seed)
    with refuses(error, *words):
        dl.Network.from_weights([np.ones((2, 1))], [[0.0]], seed=seed)
    for solver in (GD, dl.GradientDescent(0.5, batch_size=2)):
        with refuses(error, *words, net=net, watched=[X, Y]):
            net.fit(X, Y, solver=solver, seed=seed)


# ---- from_weights ----

ONES = np.ones((2, 3))
BAD_WEIGHTS = {
    "None": (None, [[0]], TypeError, "weights must be a list of arrays, got NoneType"),
    "a string": ("abc", [[0]], TypeError, "weights must be a list of arrays, got str"),
    "a generator": ((w for w in [ONES]), [[0]], TypeError, "weights must be a list", "generator"),
    "a number": (1.0, [[0]], TypeError, "weights must be a list of arrays, got float"),
    "an array of nothing": (np.array(1.0), [[0]], TypeError, "weights must be a list of arrays"),
    "a dict": ({0: ONES}, [np.zeros(3)], TypeError, "weights must be a list of arrays, got dict"),
    "a set": ({1.0}, [np.zeros(3)], TypeError, "weights must be a list of arrays, got set"),
    "biases are None": ([ONES], None, TypeError, "biases must be a list of arrays, got NoneType"),
    "biases are a number": ([ONES], 0.0, TypeError, "biases must be a list of arrays, got float"),
    "nothing": ([], [], ValueError, "weights and biases", "one array per layer, got 0 and 0"),
    "too few biases": ([ONES], [], ValueError, "one array per layer, got 1 and 0"),
    "too many biases": ([ONES], [[0] * 3] * 2, ValueError, "one array per layer, got 1 and 2"),
    "one matrix": (ONES, [[0] * 3] * 2, ValueError, "weights[0] must have two dimensions", "(3,)"),
    "a vector": ([np.ones(3)], [[0] * 3], ValueError, "weights[0]", "two dimensions", "(3,)"),
    "three dimensions": ([ONES[None]], [[0] * 3], ValueError, "weights[0]", "got shape (1, 2, 3)"),
    "no rows": ([np.ones((0, 3))], [[0] * 3], ValueError, "weights[0]", "none", "(0, 3)"),
    "no columns": ([np.ones((2, 0))], [[]], ValueError, "weights[0]", "none", "(2, 0)"),
    "do not chain": ([ONES, ONES], [[0] * 3] * 2, ValueError, "weights[1] must have 3 rows"),
    "transposed": ([ONES.T], [[0] * 3], ValueError, "biases[0] must have shape (2,), got (3,)"),
    "short bias": ([ONES], [[0, 0]], ValueError, "biases[0] must have shape (3,), got (2,)"),
    "row of biases": ([ONES], [[[0] * 3]], ValueError, "biases[0]", "got (1, 3)"),
    "scalar bias": ([ONES], [0.0], ValueError, "biases[0] must have shape (3,), got ()"),
    "column of biases": ([ONES], [np.zeros((3, 1))], ValueError, "biases[0]", "got (3, 1)"),
    "ragged": ([[[1, 2], [3]]], [[0] * 3], ValueError, "weights[0] is not a rectangular array"),
    "complex": ([ONES + 0j], [[0] * 3], TypeError, "weights[0] must hold real numbers", "complex"),
    "strings": ([ONES], [["a"] * 3], TypeError, "biases[0] must hold real numbers", "<U1"),
    "None inside": ([ONES, None], [[0] * 3] * 2, TypeError, "weights[1]", "NoneType"),
    "masked": ([np.ma.masked_all((2, 3))], [[0] * 3], ValueError, "weights[0] has masked values"),
    "NaN": ([ONES * [1, NAN, 1]], [[0] * 3], ValueError, "weights[0] holds nan at row 0, column 1"),
    "infinite": ([ONES], [[0, 0, -INF]], ValueError, "biases[0] holds -inf", "2"),
    "NaN in float32": (
        [ONES, np.full((3, 1), NAN, np.float32)],
        [[0] * 3, [0]],
        ValueError,
        "weights[1] holds nan at row 0, column 0",
    ),
}


@pytest.mark.parametrize("what", BAD_WEIGHTS)
def test_weights_that_are_refused(what):
    weights, biases, error, *words = BAD_WEIGHTS[what]
    generator = np.random.default_rng(1)
    with refuses(error, *words, watched=[weights, biases, generator]):
        dl.Network.from_weights(weights, biases, seed=generator)


# ---- assigning parameters ----

BAD_PARAMETERS = {
    "short": (np.zeros(12), ValueError, "parameters must have shape (13,), got (12,)"),
    "long": (np.zeros(14), ValueError, "parameters must have shape (13,), got (14,)"),
    "a scalar": (0.0, ValueError, "parameters must have shape (13,), got ()"),
    "one": ([0.0], ValueError, "parameters must have shape (13,), got (1,)"),
    "a row": (np.zeros((1, 13)), ValueError, "parameters must have shape (13,), got (1, 13)"),
    "a column": (np.zeros((13, 1)), ValueError, "parameters must have shape (13,), got (13, 1)"),
    "None": (None, TypeError, "parameters must hold real numbers", "NoneType"),
    "complex": (np.zeros(13, complex), TypeError, "parameters must hold real numbers", "complex"),
    "strings": (["0"] * 13, TypeError, "parameters must hold real numbers", "<U1"),
    "ragged": ([[0], [1, 2]], ValueError, "parameters is not a rectangular array"),
    "NaN at the end": ([0.0] * 12 + [NAN], ValueError, "parameters holds nan", "12"),
    "infinite": ([INF] + [0.0] * 12, ValueError, "parameters holds inf", "0"),
    "masked": (np.ma.masked_all(13), ValueError, "parameters has masked values"),
}


@pytest.mark.parametrize("what", BAD_PARAMETERS)
def test_parameters_that_are_refused(what):
    values, error, *words = BAD_PARAMETERS[what]
    net = trained()
    with refuses(error, *words, net=net, watched=[values]):
        net.parameters = values


def test_the_place_of_a_parameter_is_its_index():
    """A vector has no rows and columns."""
    net = trained()
    with refuses(ValueError, "parameters holds nan at index 7;", net=net):
        net.parameters = [0.0] * 7 + [NAN] + [0.0] * 5
    with refuses(ValueError, "biases[0] holds inf at index 1;"):
        dl.Network.from_weights([np.ones((2, 3))], [[0.0, INF, 0.0]])


@pytest.mark.parametrize(
    "name",
    ["layers", "activation", "output", "loss", "init", "seed", "n_parameters", "weights", "biases"],
)
def test_attributes_are_read_only(name):
    net = trained()
    before = getattr(net, name)
    with refuses(AttributeError, name, net=net):
        setattr(net, name, before)
    with refuses(AttributeError, name, net=net):
        delattr(net, name)
    with refuses(AttributeError, "parameters", net=net):
        del net.parameters


# ---- solvers ----

BAD_SOLVERS = [
    ({"learning_rate": 0}, ValueError, "learning_rate must be positive and finite, got 0"),
    ({"learning_rate": -0.1}, ValueError, "learning_rate must be positive and finite, got -0.1"),
    ({"learning_rate": NAN}, ValueError, "learning_rate must be positive and finite, got nan"),
    ({"learning_rate": INF}, ValueError, "learning_rate must be positive and finite, got inf"),
    ({"learning_rate": 10**400}, ValueError, "learning_rate is too large for a float"),
    ({"learning_rate": "0.1"}, TypeError, "learning_rate must be a real number, got '0.1'"),
    ({"learning_rate": None}, TypeError, "learning_rate must be a real number, got None"),
    ({"learning_rate": True}, TypeError, "learning_rate must be a real number, got True"),
    ({"learning_rate": np.True_}, TypeError, "learning_rate must be a real number, got", "True"),
    ({"learning_rate": 1j}, TypeError, "learning_rate must be a real number, got 1j"),
    ({"learning_rate": np.complex128(1)}, TypeError, "learning_rate must be a real number", "1+0j"),
    ({"learning_rate": np.array(1j)}, TypeError, "learning_rate must be a real number, got array"),
    ({"learning_rate": [0.1]}, TypeError, "learning_rate must be a real number, got [0.1]"),
    ({"learning_rate": np.array([0.1])}, TypeError, "learning_rate must be a real number", "0.1"),
    ({"learning_rate": decimal.Decimal(1)}, TypeError, "learning_rate must be a real", "Decimal"),
    ({"learning_rate": np.timedelta64(1, "s")}, TypeError, "learning_rate must be a real number"),
    ({"learning_rate": np.datetime64("2000")}, TypeError, "learning_rate must be a real number"),
    ({"learning_rate": np.array(1, "m8[s]")}, TypeError, "learning_rate must be a real number"),
    ({"learning_rate": np.ma.masked}, TypeError, "learning_rate must be a real number, got masked"),
    ({"learning_rate": np.ma.array(0.5, mask=True)}, TypeError, "learning_rate must be a real"),
    ({"learning_rate": lambda epoch: 0.1}, TypeError, "learning_rate must be a real number"),
    ({"momentum": 1}, ValueError, "momentum must be in [0, 1), got 1"),
    ({"momentum": 1.5}, ValueError, "momentum must be in [0, 1), got 1.5"),
    ({"momentum": -1e-9}, ValueError, "momentum must be in [0, 1), got -1e-09"),
    ({"momentum": NAN}, ValueError, "momentum must be in [0, 1), got nan"),
    ({"momentum": "0.9"}, TypeError, "momentum must be a real number, got '0.9'"),
    ({"momentum": None}, TypeError, "momentum must be a real number, got None"),
    ({"momentum": False}, TypeError, "momentum must be a real number, got False"),
    ({"momentum": np.ma.masked}, TypeError, "momentum must be a real number, got masked"),
    ({"momentum": np.timedelta64(0, "s")}, TypeError, "momentum must be a real number"),
    ({"nesterov": True}, ValueError, "nesterov=True needs momentum > 0, got momentum=0"),
    ({"nesterov": 1}, TypeError, "nesterov must be True or False, got 1"),
    ({"nesterov": None}, TypeError, "nesterov must be True or False, got None"),
    ({"nesterov": "no"}, TypeError, "nesterov must be True or False, got 'no'"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    ({"batch_size": -1}, ValueError, "batch_size must be at least 1, got -1"),
    ({"batch_size": 2.0}, TypeError, "batch_size must be an integer, got 2.0"),
    ({"batch_size": True}, TypeError, "batch_size must be an integer, got True"),
    ({"batch_size": "auto"}, TypeError, "batch_size must be an integer, got 'auto'"),
    ({"batch_size": np.array([2])}, TypeError, "batch_size must be an integer, got array"),
    ({"batch_size": np.timedelta64(2, "s")}, TypeError, "batch_size must be an integer, got"),
    ({"batch_size": np.ma.array(2, mask=True)}, TypeError, "batch_size must be an integer, got"),
    ({"shuffle": 0}, TypeError, "shuffle must be True or False, got 0"),
    ({"shuffle": None}, TypeError, "shuffle must be True or False, got None"),
    ({"eta": 0.1}, TypeError, "eta"),
]


@pytest.mark.parametrize("case", BAD_SOLVERS, ids=lambda case: str(case[0])[:40])
def test_solver_options_that_are_refused(case):
    options, error, *words = case
    with refuses(error, *words):
        dl.GradientDescent(**{"learning_rate": 0.1, **options})


def test_solver_needs_a_rate_and_takes_nothing_else_by_position():
    with refuses(TypeError, "learning_rate"):
        dl.GradientDescent()
    with refuses(TypeError, "positional"):
        dl.GradientDescent(0.1, 0.9)


@pytest.mark.parametrize(
    "value",
    [1, np.float32(0.5), np.int8(2), np.array(0.5), np.uint64(3), fractions.Fraction(1, 2), 5e-324],
)
def test_rates_that_are_accepted(value):
    solver = dl.GradientDescent(value)
    assert type(solver.learning_rate) is float
    assert solver.learning_rate == value
    assert type(dl.GradientDescent(1, momentum=np.float32(0.5)).momentum) is float
    assert type(dl.GradientDescent(1, batch_size=np.int8(5)).batch_size) is int
    assert dl.GradientDescent(1, shuffle=np.False_).shuffle is False


NO_SOLVERS = [
    (dl.GradientDescent, "got <class", "create it: GradientDescent(...)"),
    ("sgd", "got 'sgd'"),
    (0.1, "got 0.1"),
    ({"learning_rate": 0.1}, "got {'learning_rate': 0.1}"),
    (int, "got <class 'int'>"),
]


@pytest.mark.parametrize("case", NO_SOLVERS, ids=lambda case: str(case[0]))
def test_what_is_no_solver(case):
    solver, *words = case
    net = trained()
    for call in (lambda: net.fit(X, Y, solver=solver), lambda: net.trainer(solver)):
        with refuses(
            TypeError, "solver must be a solver object", "GradientDescent", *words, net=net
        ):
            call()


def test_solver_is_asked_for():
    net = trained()
    with refuses(TypeError, "positional", net=net):
        net.fit(X, Y, GD)
    with refuses(TypeError, "solver", net=net):
        net.trainer()
    with refuses(TypeError, "solver must be a solver object", "got None", net=net):
        net.trainer(None)


# ---- fit ----

BAD_FITS = [
    ({"max_epochs": 0}, ValueError, "max_epochs must be at least 1, got 0"),
    ({"max_epochs": -5}, ValueError, "max_epochs must be at least 1, got -5"),
    ({"max_epochs": 1e4}, TypeError, "max_epochs must be an integer, got 10000.0"),
    ({"max_epochs": True}, TypeError, "max_epochs must be an integer, got True"),
    ({"max_epochs": "9"}, TypeError, "max_epochs must be an integer, got '9'"),
    ({"max_epochs": INF}, TypeError, "max_epochs must be an integer, got inf"),
    ({"tol": -1e-9}, ValueError, "tol must be a number of at least 0, got -1e-09"),
    ({"tol": NAN}, ValueError, "tol must be a number of at least 0, got nan"),
    ({"tol": None}, TypeError, "tol must be a real number, got None"),
    ({"tol": "small"}, TypeError, "tol must be a real number, got 'small'"),
    ({"tol": False}, TypeError, "tol must be a real number, got False"),
    ({"tol": np.ma.masked}, TypeError, "tol must be a real number, got masked"),
    ({"goal": NAN}, ValueError, "goal must be a number or None, got nan"),
    ({"goal": "low"}, TypeError, "goal must be a real number, got 'low'"),
    ({"goal": 1j}, TypeError, "goal must be a real number, got 1j"),
    ({"goal": [0.1]}, TypeError, "goal must be a real number, got [0.1]"),
    ({"max_time": 0}, ValueError, "max_time must be positive seconds or None, got 0"),
    ({"max_time": -1.5}, ValueError, "max_time must be positive seconds or None, got -1.5"),
    ({"max_time": NAN}, ValueError, "max_time must be positive seconds or None, got nan"),
    ({"max_time": "1s"}, TypeError, "max_time must be a real number, got '1s'"),
    ({"max_time": True}, TypeError, "max_time must be a real number, got True"),
    ({"max_time": np.timedelta64(5, "s")}, TypeError, "max_time must be a real number, got"),
    ({"callback": 3}, TypeError, "callback must be callable or None, got int"),
    ({"callback": "print"}, TypeError, "callback must be callable or None, got str"),
    ({"callback": [print]}, TypeError, "callback must be callable or None, got list"),
    ({"callback_every": 0}, ValueError, "callback_every must be at least 1, got 0"),
    ({"callback_every": 1.5}, TypeError, "callback_every must be an integer, got 1.5"),
    ({"callback_every": None}, TypeError, "callback_every must be an integer, got None"),
    ({"progress": 1}, TypeError, "progress must be True or False, got 1"),
    ({"progress": "yes"}, TypeError, "progress must be True or False, got 'yes'"),
    ({"check_finite": None}, TypeError, "check_finite must be True or False, got None"),
    ({"check_finite": 0}, TypeError, "check_finite must be True or False, got 0"),
    (
        {"solver": dl.GradientDescent(1, batch_size=5)},
        ValueError,
        "batch_size must be at most",
        "4, got 5",
    ),
    (
        {"solver": dl.GradientDescent(1, batch_size=2**70)},
        ValueError,
        "batch_size must be at most",
        "4, got 11805916",
    ),
    ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
    ({"patience": 5}, ValueError, "patience needs validation, got patience=5"),
    ({"patience": 0, "validation": 0.5}, ValueError, "patience must be at least 1, got 0"),
    ({"patience": 2.0, "validation": 0.5}, TypeError, "patience must be an integer, got 2.0"),
    ({"patience": True, "validation": 0.5}, TypeError, "patience must be an integer, got True"),
    ({"validation": 0}, ValueError, "validation must be a fraction in (0, 1), got 0"),
    ({"validation": 1.0}, ValueError, "validation must be a fraction in (0, 1), got 1.0"),
    ({"validation": -0.5}, ValueError, "validation must be a fraction in (0, 1), got -0.5"),
    ({"validation": NAN}, ValueError, "validation must be a fraction in (0, 1), got nan"),
    ({"validation": 0.1}, ValueError, "validation=0.1 of 4 instances leaves 0 for validation"),
    ({"validation": 0.9}, ValueError, "validation=0.9 of 4 instances", "0 for training"),
    ({"validation": True}, TypeError, "validation must be a tuple (X, Y)", "fraction", "got bool"),
    ({"validation": "0.5"}, TypeError, "validation must be a tuple (X, Y)", "fraction", "got str"),
    ({"validation": X}, TypeError, "validation must be a tuple (X, Y)", "got ndarray"),
    ({"validation": (X,)}, ValueError, "validation must be a tuple (X, Y)", "got 1 element"),
    (
        {"validation": (X, Y, Y, Y)},
        ValueError,
        "validation must be a tuple (X, Y)",
        "got 4 elements",
    ),
    ({"validation": (X, Y, [1, 2])}, ValueError, "validation[2] must have shape (4,)", "(2,)"),
    ({"validation": (X, Y, [1, 2, -3, 4])}, ValueError, "validation[2] holds -3.0 at index 2"),
    ({"validation": (X[:, :1], Y)}, ValueError, "validation[0] must have shape (n, 2)"),
    ({"validation": (X, np.zeros((4, 2)))}, ValueError, "validation[1] must have shape (n, 1)"),
    ({"validation": (X, Y[:3])}, ValueError, "validation[0] has 4", "validation[1] has 3"),
    ({"validation": (X[:0], Y[:0])}, ValueError, "validation[0] is empty"),
    ({"validation": ([["a", "b"]], [1])}, TypeError, "validation[0] must hold real numbers"),
    ({"validation": ([[NAN, 1]], [1])}, ValueError, "validation[0] holds nan at row 0, column 0"),
    ({"validation": (X, [[0], [1], [INF], [0]])}, ValueError, "validation[1] holds inf at row 2"),
    (
        {"solver": dl.GradientDescent(1, batch_size=4), "validation": 0.25},
        ValueError,
        "batch_size must be at most",
        "3, got 4",
    ),
]


@pytest.mark.parametrize("case", BAD_FITS, ids=lambda case: str(case[0])[:40])
def test_arguments_of_fit_that_are_refused(case):
    options, error, *words = case
    net, generator = trained(), np.random.default_rng(1)
    with refuses(error, *words, net=net, watched=[X, Y, generator]):
        net.fit(X, Y, **{"solver": GD, "max_epochs": 1, "seed": generator, **options})


def test_arguments_of_fit_at_their_ends():
    net = trained()
    fit = net.copy().fit(
        X,
        Y,
        solver=dl.GradientDescent(0.1, batch_size=4),
        max_epochs=2**80,
        callback_every=2**80,
        callback=print,
        tol=INF,
        goal=-INF,
        max_time=INF,
    )
    assert (fit.stop_reason, fit.epochs) == ("converged", 2)
    assert net.copy().fit(X, Y, solver=GD, goal=INF).stop_reason == "goal"
    assert net.copy().fit(X, Y, solver=GD, goal=np.array(9), max_time=10**6).stop_reason == "goal"


def test_trainer_takes_no_batch_size():
    net = trained()
    with refuses(ValueError, "batch_size=None for a trainer", "got batch_size=2", net=net):
        net.trainer(dl.GradientDescent(0.1, batch_size=2))


@pytest.mark.parametrize(
    "options",
    [{"activation": "step"}, {"output": "step"}, {"activation": ["tanh", "step"]}],
    ids=str,
)
def test_step_units_have_no_gradient(options):
    net = trained((2, 3, 3, 1), **options)
    assert net.cost(X, Y) >= 0
    for call in (
        lambda: net.gradient(X, Y),
        lambda: net.fit(X, Y, solver=GD),
        lambda: net.fit(X, Y, solver=dl.GradientDescent(0.1, batch_size=1)),
        lambda: net.trainer(GD),
    ):
        with refuses(ValueError, "step units", "no useful derivative", net=net, watched=[X, Y]):
            call()


def test_more_memory_than_there_is():
    """Sizes that only the allocation can refuse; the arrays here take none."""
    net, n = trained((2, 1)), 2**45
    x, y = np.broadcast_to(np.zeros(2), (n, 2)), np.broadcast_to(0.0, (n, 1))
    solver = dl.GradientDescent(0.1, batch_size=1)
    for call in (
        lambda: net.predict(x),
        lambda: net.activations(x),
        lambda: net.fit(x, y, solver=solver, check_finite=False, max_epochs=1),
        lambda: net.predictor(n),
    ):
        before = state(net)
        with pytest.raises(MemoryError):
            call()
        assert state(net) == before


BAD_N = [
    (0, ValueError, "n must be at least 1, got 0"),
    (-1, ValueError, "n must be at least 1, got -1"),
    (2.0, TypeError, "n must be an integer, got 2.0"),
    (True, TypeError, "n must be an integer, got True"),
    ("2", TypeError, "n must be an integer, got '2'"),
    (None, TypeError, "n must be an integer, got None"),
    ([2], TypeError, "n must be an integer, got [2]"),
    (2**60, ValueError, "n is too large: 1152921504606846976"),
    (2**100, ValueError, "n is too large: 1267650600228229401496703205376"),
]


@pytest.mark.parametrize("case", BAD_N, ids=lambda case: str(case[0]))
def test_predictors_that_are_refused(case):
    n, error, *words = case
    net = trained()
    with refuses(error, *words, net=net):
        net.predictor(n)


HUGE = 10**5000  # more digits than Python writes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: dl.Network([1, 1], seed=-HUGE), "seed must be at least 0, got a negative int"),
        (lambda net: dl.Network([1, -HUGE]), r"layers\[1\] must be at least 1, got a negative int"),
        (lambda net: dl.Adam(learning_rate=HUGE), "learning_rate is too large for a float: an int"),
        (lambda net: dl.Adam(batch_size=-HUGE), "batch_size must be at least 1, got a negative in"),
        (lambda net: dl.Huber(-HUGE), "delta is too large for a float: a negative integer"),
        (lambda net: net.predictor(HUGE), "n is too large: an integer of thousands of digits rows"),
        (lambda net: net.predict([[1.0]], n_threads=-HUGE), "n_threads must be at least 1, got"),
        (lambda net: net.fit([[1.0]], [[1.0]], max_epochs=-HUGE), "max_epochs must be at least 1"),
        (lambda net: net.fit([[1.0]], [[1.0]], l2=HUGE), "l2 is too large for a float"),
    ],
)
def test_numbers_of_too_many_digits(call, message):
    with pytest.raises(ValueError, match=message):
        call(dl.Network([1, 1], seed=0))


def test_a_seed_of_too_many_digits():
    network = dl.Network([1, 1], seed=HUGE)
    assert repr(network).endswith(f"seed={HUGE:#x})")
    assert "seed an integer of thousands of digits" in network._repr_html_()
