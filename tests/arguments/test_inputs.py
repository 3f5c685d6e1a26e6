"""What is refused, in which words, and leaves no trace; and what is accepted, in whatever form."""

from __future__ import annotations

import decimal
import fractions
import itertools
import re

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.arrays import awkward, fingerprint
from tests.helpers.cases import make_case
from tests.helpers.compare import bits
from tests.helpers.networks import refuses, state, trained
from tests.helpers.processes import run_python

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
GD = dl.GradientDescent(0.5)
NAN, INF = float("nan"), float("inf")


# ---- arrays: type and shape of X ----

TAKE_X = {
    "predict": lambda net, x, y: net.predict(x),
    "predict with out": lambda net, x, y: net.predict(x, out=np.zeros((4, net.layers[-1]))),
    "classify": lambda net, x, y: net.classify(x),
    "activations": lambda net, x, y: net.activations(x),
}
TAKE_Y = {
    "cost": lambda net, x, y: net.cost(x, y),
    "gradient": lambda net, x, y: net.gradient(x, y),
    "input_gradient": lambda net, x, y: net.input_gradient(x, y),
    "check_gradient": lambda net, x, y: net.check_gradient(x, y, indices=[0]).gradient,
    "fit": lambda net, x, y: net.fit(x, y, solver=GD, max_epochs=1),
    "step": lambda net, x, y: net.trainer(GD).step(x, y),
}
CALLS = TAKE_X | TAKE_Y


def named(method, name):
    return name.lower() if method == "step" else name


class Unwilling:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not today")


def structured():
    return np.zeros(4, dtype=[("a", "f8"), ("b", "f8")])


def masked():
    return np.ma.array(X, mask=X > 0)


def nested(value, depth):
    for _ in range(depth):
        value = [value]
    return value


# name -> (what makes it, its dtype and its type as the message has them)
NOT_NUMBERS = {
    "None": (lambda: None, "object", "NoneType"),
    "object array": (lambda: X.astype(object), "object", "ndarray"),
    "None inside": (lambda: [[0, 1], [None, 1]], "object", "list"),
    "complex": (lambda: X + 0j, "complex128", "ndarray"),
    "complex list": (lambda: [[0, 1j]] * 4, "complex128", "list"),
    "string": (lambda: "0 1", "<U3", "str"),
    "bytes": (lambda: b"01", "|S2", "bytes"),
    "strings": (lambda: X.astype(str), "<U", "ndarray"),
    "numbers and strings": (lambda: [["a", 1], [0, 1]], "<U", "list"),
    "byte strings": (lambda: X.astype("S3"), "|S3", "ndarray"),
    "dates": (lambda: np.zeros((4, 2), "datetime64[s]"), "datetime64[s]", "ndarray"),
    "times": (lambda: np.zeros((4, 2), "timedelta64[ms]"), "timedelta64[ms]", "ndarray"),
    "records": (structured, "'a'", "ndarray"),
    "void": (lambda: np.zeros((4, 2), "V8"), "|V8", "ndarray"),
    "dict": (lambda: {"a": [0, 1]}, "object", "dict"),
    "set": (lambda: {0, 1}, "object", "set"),
    "generator": (lambda: (row for row in X.tolist()), "object", "generator"),
    "iterator": (lambda: iter(X.tolist()), "object", "list_iterator"),
    "function": (lambda: len, "object", "builtin_function_or_method"),
    "integers beyond 64 bits": (lambda: [[2**70, 0]] * 4, "object", "list"),
    "decimals": (lambda: [[decimal.Decimal(1)] * 2] * 4, "object", "list"),
    "fractions": (lambda: [[fractions.Fraction(1, 2)] * 2] * 4, "object", "list"),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("what", NOT_NUMBERS)
def test_x_that_is_not_numbers(method, what):
    make, *words = NOT_NUMBERS[what]
    net, x = trained(), make()
    with refuses(
        TypeError,
        f"{named(method, 'X')} must hold real numbers, got",
        *words,
        net=net,
        watched=[x, Y],
    ):
        CALLS[method](net, x, Y)


@pytest.mark.parametrize("method", TAKE_Y)
@pytest.mark.parametrize("what", NOT_NUMBERS)
def test_y_that_is_not_numbers(method, what):
    make, *words = NOT_NUMBERS[what]
    net, y = trained(), make()
    with refuses(
        TypeError,
        f"{named(method, 'Y')} must hold real numbers, got",
        *words,
        net=net,
        watched=[X, y],
    ):
        CALLS[method](net, X, y)


BAD_X = {
    "too wide": (lambda: np.zeros((4, 3)), "must have shape (n, 2) or (2,), got (4, 3)"),
    "too narrow": (lambda: np.zeros((4, 1)), "must have shape (n, 2) or (2,), got (4, 1)"),
    "transposed": (lambda: X.T, "must have shape (n, 2) or (2,), got (2, 4)"),
    "three dimensions": (lambda: X[:, None], "must have shape (n, 2) or (2,), got (4, 1, 2)"),
    "a scalar": (lambda: 3.0, "must have shape (n, 2) or (2,), got ()"),
    "no columns": (lambda: np.zeros((4, 0)), "must have shape (n, 2) or (2,), got (4, 0)"),
    "empty list": (list, "one instance of 2 inputs, got shape (0,)"),
    "empty row": (lambda: [[]], "must have shape (n, 2) or (2,), got (1, 0)"),
    "long vector": (lambda: np.zeros(3), "one instance of 2 inputs, got shape (3,)"),
    "float32": (lambda: np.zeros((4, 3), np.float32), "must have shape (n, 2) or (2,), got (4, 3)"),
    "ragged": (lambda: [[0, 1], [1], [1, 2], [0]], "is not a rectangular array"),
    "ragged arrays": (lambda: [np.zeros(2), np.zeros(3)], "is not a rectangular array"),
    "deep list": (lambda: nested([0.0, 1.0], 70), "is not a rectangular array"),
    "masked": (masked, "has masked values"),
    "all masked": (lambda: np.ma.masked_all((4, 2)), "has masked values"),
    "the masked constant": (lambda: np.ma.masked, "has masked values"),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("what", BAD_X)
def test_x_of_a_wrong_shape(method, what):
    make, message = BAD_X[what]
    net, x = trained(), make()
    with refuses(ValueError, f"{named(method, 'X')} ", message, net=net, watched=[x, Y]):
        CALLS[method](net, x, Y)


@pytest.mark.parametrize("method", CALLS)
def test_vector_for_one_input(method):
    """The one wrong shape that everybody writes: the message says how to put it right."""
    net, x, y = trained((1, 3, 1)), np.arange(4.0), np.arange(4.0)
    name = named(method, "X")
    with refuses(
        ValueError,
        f"{name} of one dimension is one instance of 1 input, got shape (4,)",
        f"pass {name}.reshape(-1, 1)",
        net=net,
        watched=[x, y],
    ):
        CALLS[method](net, x, y)


@pytest.mark.parametrize("method", CALLS)
def test_sparse_matrices(method):
    sparse = pytest.importorskip("scipy.sparse")
    net = trained()
    for kind in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        x = kind(X)
        with refuses(
            TypeError,
            f"{named(method, 'X')} must hold real numbers, got",
            kind.__name__,
            net=net,
            watched=[Y],
        ):
            CALLS[method](net, x, Y)


@pytest.mark.parametrize("method", CALLS)
def test_exceptions_of_the_callers_objects_pass_through(method):
    net = trained()
    with refuses(RuntimeError, "not today", net=net, watched=[Y]):
        CALLS[method](net, Unwilling(), Y)
    if method in TAKE_Y:
        with refuses(RuntimeError, "not today", net=net, watched=[X]):
            CALLS[method](net, X, Unwilling())


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("the device is gone")


def test_what_the_callers_objects_say_is_not_reworded():
    """Not every ValueError of a conversion is a ragged list."""
    net = trained()
    with refuses(ValueError, "the device is gone", net=net) as caught:
        net.predict(Broken())
    assert "rectangular" not in str(caught.value)


def test_error_state_of_the_caller():
    """What NumPy is told to raise on does not reach into the library."""
    net, x = trained(), X.astype(np.longdouble)
    with np.errstate(all="raise"):
        if np.finfo(np.longdouble).smallest_normal < 5e-324:
            x[1] = np.longdouble("1e-4000"), np.longdouble("-1e-4000")
            assert (bits(net.predict(x)[1]) == bits(net.predict([0.0, -0.0]))).all()
        assert np.isinf(net.cost(X * 1e308, Y * 1e308))
        net.classify(X * 1e308)
        net.gradient(X * 1e-320, Y * 1e-320)
        net.fit(X * 5e-324, Y, solver=dl.GradientDescent(1e-300), max_epochs=2)


@pytest.mark.parametrize("method", TAKE_Y)
def test_no_instances(method):
    net, name = trained(), named(method, "X")
    for x, y in itertools.product(
        (np.zeros((0, 2)), np.zeros((0, 2), np.float32), np.zeros((0, 2))[::-1]),
        (np.zeros((0, 1)), np.zeros(0), []),
    ):
        with refuses(ValueError, f"{name} is empty", net=net, watched=[x, y]):
            CALLS[method](net, x, y)


def test_no_instances_is_fine_for_predictions():
    net = trained((2, 3, 4), loss="cross_entropy")
    for x in (np.zeros((0, 2)), np.zeros((0, 2), np.int8), np.zeros((5, 2))[3:3]):
        assert net.predict(x).shape == (0, 4)
        assert net.predict(x, out=np.zeros((0, 4))).shape == (0, 4)
        assert net.classify(x).shape == (0,)
        assert net.classify(x).dtype == np.int64
        assert [a.shape for a in net.activations(x)] == [(0, 3), (0, 4)]
    assert trained().classify(np.zeros((0, 2))).shape == (0,)
    net = trained((2, 3, 4), loss="binary_cross_entropy")
    assert net.classify(np.zeros((0, 2))).shape == (0, 4)


# ---- arrays: shape of Y ----

SOFTMAX = {"loss": "cross_entropy"}
BAD_Y = {
    # options, X, Y, message
    "too wide": ({}, X, np.zeros((4, 2)), "must have shape (n, 1) or (n,), got (4, 2)"),
    "a scalar": ({}, X, 1.0, "must have shape (n, 1) or (n,), got ()"),
    "three dimensions": ({}, X, Y[None], "must have shape (n, 1) or (n,), got (1, 4, 1)"),
    "a row": ({}, X, Y.T, "must have shape (n, 1) or (n,), got (1, 4)"),
    "no columns": ({}, X, np.zeros((4, 0)), "must have shape (n, 1) or (n,), got (4, 0)"),
    "empty list": ({}, X, [], "X has 4 instances but Y has 0"),
    "one missing": ({}, X, Y[:3], "X has 4 instances but Y has 3"),
    "one missing in a vector": ({}, X, [0, 1, 1], "X has 4 instances but Y has 3"),
    "one too many": ({}, X, np.zeros(5), "X has 4 instances but Y has 5"),
    "ragged": ({}, X, [[0], [1, 2], [1], [0]], "Y is not a rectangular array"),
    "masked": ({}, X, np.ma.array(Y, mask=Y > 0), "Y has masked values"),
    "vector for one": ({}, X[0], np.zeros(2), "shape (1,) or be a scalar for one instance"),
    "matrix for one": ({}, X[0], np.zeros((2, 1)), "for one instance, got shape (2, 1)"),
    "two columns for one": ({}, X[0], np.zeros((1, 2)), "for one instance, got shape (1, 2)"),
}
BAD_Y_OF_THREE = {
    "vector": ({}, X, np.zeros(4), "must have shape (n, 3), got (4,)"),
    "labels without softmax": ({}, X, [0, 1, 2, 0], "must have shape (n, 3), got (4,)"),
    "transposed": ({}, X, np.zeros((3, 4)), "must have shape (n, 3), got (3, 4)"),
    "scalar for one": ({}, X[0], 1.0, "must have shape (3,) for one instance, got shape ()"),
    "too many labels": (SOFTMAX, X, [0, 1, 2, 0, 1], "X has 4 instances but Y has 5"),
    "column of labels": (SOFTMAX, X, [[0], [1], [2], [0]], "integer classes (n,)", "(4, 1)"),
    "float labels": (SOFTMAX, X, [0.0, 1, 2, 0], "integer classes (n,)", "(4,) of dtype float64"),
    "label too large": (SOFTMAX, X, [0, 1, 3, 0], "class 3 at row 2", "classes 0..2"),
    "label too small": (SOFTMAX, X, [0, -1, 2, 0], "class -1 at row 1", "classes 0..2"),
    "largest label": (
        SOFTMAX,
        X,
        np.array([0, 2**64 - 1, 0, 0], np.uint64),
        "18446744073709551615",
    ),
    "smallest label": (SOFTMAX, X, np.array([0, 0, -(2**63), 0]), "-9223372036854775808 at row 2"),
    "label of one": (SOFTMAX, X[0], 3, "class 3 at row 0", "classes 0..2"),
    "float label of one": (SOFTMAX, X[0], 2.0, "shape (3,)", "class 0..2", "got shape ()"),
    "list with a label of one": (SOFTMAX, X[0], [2], "shape (3,)", "class 0..2", "got shape (1,)"),
    "label with the squared error": ({"output": "softmax"}, X, [0, 1, 2, 3], "class 3 at row 3"),
}


@pytest.mark.parametrize("method", TAKE_Y)
@pytest.mark.parametrize(
    ("layers", "what"), [((2, 3, 1), w) for w in BAD_Y] + [((2, 3, 3), w) for w in BAD_Y_OF_THREE]
)
def test_y_of_a_wrong_shape(method, layers, what):
    options, x, y, *words = (BAD_Y if layers[-1] == 1 else BAD_Y_OF_THREE)[what]
    net = trained(layers, **options)
    if method == "step":
        words = [re.sub(r"\b[XY]\b", lambda name: name[0].lower(), word) for word in words]
    with refuses(ValueError, *words, net=net, watched=[x, y]):
        CALLS[method](net, x, y)


def rows(*changed):
    """Targets of four instances over three classes, one of them changed."""
    y = np.full((4, 3), 1 / 3)
    y[2] = changed
    return y


NOT_PROBABILITIES = {
    "above 1": ("cross_entropy", 3, rows(-0.0, 1.5, 0), "1.5 at row 2, column 1"),
    "below 0": ("cross_entropy", 3, rows(-0.5, 1, 0.5), "-0.5 at row 2, column 0"),
    "integers": ("cross_entropy", 3, [[0, 1, 0], [0, 0, 2], [1, 0, 0], [1, 0, 0]], "2 at row 1"),
    "sum above 1": ("cross_entropy", 3, rows(0.5, 0.5, 0.25), "sums to 1.25 at row 2"),
    "sum below 1": ("cross_entropy", 3, rows(0.5, 0.25, 0), "sums to 0.75 at row 2"),
    "zeros": ("cross_entropy", 3, rows(0, 0, 0), "sums to 0.0 at row 2"),
    "sum just off": ("cross_entropy", 3, rows(0.5, 0.5, 2e-6), "sums to 1.000002 at row 2"),
    "bool": ("cross_entropy", 3, np.ones((4, 3), bool), "sums to 3.0 at row 0"),
    "float32": ("cross_entropy", 3, rows(0.5, 0.5, 0.5).astype(np.float32), "sums to 1.5 at row 2"),
    "one output": ("cross_entropy", 1, [0, 1, 0.5, 1.25], "1.25 at row 3, column 0"),
    "minus one": ("cross_entropy", 1, [-1, 1, 1, -1], "-1 at row 0, column 0"),
    "unsigned": ("cross_entropy", 1, np.array([0, 255, 0, 1], np.uint8), "255 at row 1, column 0"),
    "independent": ("binary_cross_entropy", 3, rows(0, 1 + 2**-52, 1), "at row 2, column 1"),
    "tiny negative": ("binary_cross_entropy", 3, rows(-5e-324, 1, 1), "-5e-324 at row 2, column 0"),
    "labels": ("binary_cross_entropy", 1, [0, 1, 2, 1], "2 at row 2, column 0"),
}


@pytest.mark.parametrize("method", TAKE_Y)
@pytest.mark.parametrize("what", NOT_PROBABILITIES)
def test_targets_that_are_not_probabilities(method, what):
    loss, m, y, message = NOT_PROBABILITIES[what]
    net, name = trained((2, 3, m), loss=loss), named(method, "Y")
    with refuses(ValueError, f"{name} ", message, "probabilities", net=net, watched=[X, y]):
        CALLS[method](net, X, y)


def test_targets_that_are_probabilities():
    net = trained((2, 3, 3), loss="cross_entropy")
    net.cost(X, rows(0, 1, 0).astype(np.float32))
    net.cost(X, rows(0.5, 0.5, 9e-7))
    net.cost(X, np.eye(3, dtype=bool)[[0, 1, 2, 0]])
    net = trained((2, 3, 3), loss="binary_cross_entropy")
    net.cost(X, rows(1, 1, 1))
    net.cost(X, np.zeros((4, 3), np.uint8))


# ---- values that are not finite ----

REFUSE_NAN = {"classify": CALLS["classify"]} | TAKE_Y


def placed(value, shape, place, make):
    values = np.zeros(shape)
    values[place] = value
    return make(values)


MAKERS = {
    "float64": lambda v: v,
    "Fortran order": np.asfortranarray,
    "strided": lambda v: np.repeat(np.repeat(v, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda v: v[::-1, ::-1].copy()[::-1, ::-1],
    "float32": lambda v: v.astype(np.float32),
    "strided float32": lambda v: np.repeat(v.astype(np.float32), 2, axis=1)[:, ::2],
    "float16": lambda v: v.astype(np.float16),
    "longdouble": lambda v: v.astype(np.longdouble),
    "byte-swapped": lambda v: v.astype(v.dtype.newbyteorder()),
    "list": lambda v: v.tolist(),
}


@pytest.mark.parametrize("method", REFUSE_NAN)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_x_that_is_not_finite(method, maker, value):
    net, y = trained(), np.zeros((9, 1))
    for place in ((0, 0), (0, 1), (3, 1), (8, 1)):
        x = placed(value, (9, 2), place, MAKERS[maker])
        with refuses(
            ValueError,
            f"{named(method, 'X')} holds {value} at row {place[0]}, column {place[1]};",
            "every value must be finite",
            net=net,
            watched=[x, y],
        ):
            REFUSE_NAN[method](net, x, y)


@pytest.mark.parametrize("method", TAKE_Y)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_y_that_is_not_finite(method, maker, value):
    net, x = trained((2, 3, 2)), np.zeros((9, 2))
    for place in ((0, 0), (0, 1), (3, 1), (8, 1)):
        y = placed(value, (9, 2), place, MAKERS[maker])
        with refuses(
            ValueError,
            f"{named(method, 'Y')} holds {value} at row {place[0]}, column {place[1]};",
            "every value must be finite",
            net=net,
            watched=[x, y],
        ):
            TAKE_Y[method](net, x, y)


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_targets_of_every_loss_are_finite(loss, value):
    net = trained((2, 3, 2), loss=loss)
    y = np.full((4, 2), 0.5)
    y[1, 0] = value
    for call in TAKE_Y.values():
        with refuses(ValueError, f"olds {value} at row 1, column 0", net=net):
            call(net, X, y)


def test_the_first_place_is_named():
    """Also far inside a large array, in a vector, in one instance, and with several of them."""
    net = trained((1000, 1), activation="tanh")
    for n, row, column in ((1, 0, 0), (1, 0, 999), (5, 4, 999), (5, 2, 512), (70, 33, 511)):
        for order in "CF":
            x = np.zeros((n, 1000), order=order)
            x[row, column] = NAN
            x[row, column + 1 :] = INF
            x[row + 1 :] = INF
            with refuses(ValueError, f"X holds nan at row {row}, column {column};", net=net):
                net.classify(x)
    net = trained()
    with refuses(ValueError, "X holds inf at row 0, column 1;", net=net):
        net.cost([0.0, INF], 1.0)
    with refuses(ValueError, "Y holds nan at row 2, column 0;", net=net):
        net.cost(X, [0, 1, NAN, INF])
    with refuses(ValueError, "Y holds nan at row 0, column 0;", net=net):
        net.cost(X[0], NAN)


def test_numbers_beyond_float64_are_infinite():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is double here")
    net, x = trained(), np.full((4, 2), np.longdouble("-1e4000"))
    with refuses(ValueError, "X holds -inf at row 0, column 0", net=net, watched=[x]):
        net.cost(x, Y)


def test_the_check_can_be_switched_off():
    net = trained()
    before = net.parameters.copy()
    x = X.copy()
    x[1, 1] = NAN
    for solver in (GD, dl.GradientDescent(0.5, batch_size=1)):
        with pytest.warns(dl.DivergenceWarning):
            assert net.fit(x, Y, solver=solver, check_finite=False).stop_reason == "diverged"
        assert (bits(net.parameters) == bits(before)).all()


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
HIDDEN = "sigmoid, tanh, relu, identity, step, leaky_relu, elu, softplus, silu, gelu, exp"
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
    ({"activation": {"tanh", "relu"}}, TypeError, "activation must be a name or a list", "got set"),
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
ANY = (*ANY, "leaky_relu", "elu", "softplus", "silu", "gelu", "exp")
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


# ---- out ----


def bad_outs():
    """Yield (name, out, error, words) for four instances and two outputs."""
    yield "list", [[0.0] * 2] * 4, TypeError, ("out must be a float64 array, got list",)
    yield "bytes", bytearray(64), TypeError, ("out must be a float64 array, got bytearray",)
    for dtype in ("f4", "i8", "c16", "O", np.dtype("f8").newbyteorder()):
        out = np.zeros((4, 2), dtype)
        yield f"dtype {dtype}", out, TypeError, ("out must be a float64 array, got", str(out.dtype))
    for shape in ((4,), (4, 1), (2, 4), (3, 2), (8,), (1, 4, 2), (), (0, 2)):
        yield (
            f"shape {shape}",
            np.zeros(shape),
            ValueError,
            ("must have shape (4, 2), got", str(shape)),
        )
    order = ("out must be C-contiguous, aligned and writeable",)
    yield "Fortran", np.zeros((4, 2), order="F"), ValueError, order
    yield "strided", np.zeros((8, 2))[::2], ValueError, order
    yield "reversed", np.zeros((4, 2))[::-1], ValueError, order
    yield "columns", np.zeros((4, 3))[:, :2], ValueError, order
    yield "broadcast", np.broadcast_to(np.zeros(2), (4, 2)), ValueError, order
    out = np.zeros((4, 2))
    out.setflags(write=False)
    yield "read-only", out, ValueError, order
    out = np.zeros(65, np.uint8)[1:].view(np.float64).reshape(4, 2)
    yield "unaligned", out, ValueError, order


@pytest.mark.parametrize("case", list(bad_outs()), ids=lambda case: case[0])
def test_out_that_is_refused(case):
    _, out, error, words = case
    net = trained((2, 3, 2))
    with refuses(error, *words, net=net, watched=[X, out]):
        net.predict(X, out=out)
    with refuses(error, *words, net=net, watched=[X, out]):
        net.predict(X.tolist(), out)


def test_out_of_one_instance():
    net = trained((2, 3, 2))
    for shape in ((1, 2), (2, 1), ()):
        with refuses(ValueError, "out must have shape (2,), got", str(shape), net=net):
            net.predict(X[0], out=np.zeros(shape))
    out = np.zeros(2)
    assert net.predict(X[0], out=out) is out
    assert (bits(out) == bits(net.predict(X[0]))).all()


def test_out_that_shares_memory():
    net = dl.Network([2, 2, 2], seed=1)
    words = ("out must not share memory with X or with the parameters",)
    x = np.arange(12.0)
    pairs = [
        (x[:8].reshape(4, 2), x[:8].reshape(4, 2)),
        (x[:8].reshape(4, 2), x[4:].reshape(4, 2)),
        (x[4:].reshape(4, 2), x[:8].reshape(4, 2)),
        (x[:8].reshape(4, 2)[::-1], x[:8].reshape(4, 2)),
        (x[:8].view(np.int64).reshape(4, 2), x[:8].reshape(4, 2)),
        (x[:4].view(np.float32).reshape(4, 2), x[:8].reshape(4, 2)),
    ]
    for given, out in pairs:
        with refuses(ValueError, *words, net=net, watched=[x]):
            net.predict(given, out=out)
    for out in (net.weights[0], net.weights[1], net.parameters[8:12].reshape(2, 2)):
        with refuses(ValueError, *words, net=net):
            net.predict(X[:2], out=out)
    with refuses(ValueError, *words, net=net):
        net.predict(X[0], out=net.biases[1])


def test_x_may_be_the_parameters():
    """Reading them is no harm."""
    net = dl.Network([2, 2, 2], seed=1)
    expected = net.predict(net.weights[0].copy())
    assert (bits(net.predict(net.weights[0])) == bits(expected)).all()
    expected = net.gradient(net.weights[0].copy(), net.weights[1].copy())
    got = net.gradient(net.weights[0], net.weights[1])
    assert got[0] == expected[0]
    assert (bits(got[1]) == bits(expected[1])).all()


# ---- awkward arrays ----

SOLVERS = (
    dl.GradientDescent(0.1, momentum=0.5),
    dl.GradientDescent(0.1, batch_size=2, momentum=0.5, nesterov=True),
    dl.GradientDescent(0.1, batch_size=3, shuffle=False),
)


def learned(net, x, y, n):
    """Bits of all that can be computed from n instances and their targets."""
    twin = net.copy()
    twin._chunk_rows = net._chunk_rows
    cost, gradient = net.gradient(x, y)
    parts = [[net.cost(x, y), cost], gradient]
    parts += [twin.trainer(SOLVERS[0]).step(x, y), twin.parameters.copy()]
    for solver in SOLVERS:
        if n >= (solver.batch_size or 1):
            fit = twin.fit(x, y, solver=solver, max_epochs=2, seed=5, tol=0)
            parts += [twin.parameters.copy(), fit.cost_history, fit.cost]
    return [bits(part).tolist() for part in parts]


def predicted(net, x, shape):
    """Bits of all that can be computed from instances alone; shape is that of the outputs."""
    out = np.empty(shape)
    parts = [net.predict(x), net.predict(x, out=out), *net.activations(x), net.classify(x)]
    return [bits(part).tolist() for part in parts]


rng = np.random.default_rng(3)
VALUES = {
    "zeros and ones": rng.integers(0, 2, (5, 3)).astype(float),
    "equal rows": np.tile([1.0, 0.0, 3.0], (5, 1)),
    "eighths": rng.integers(-20, 20, (5, 3)) / 8,
    "any": rng.normal(size=(5, 3)),
    "large integers": rng.integers(-(2**62), 2**62, (5, 3)).astype(float),
    "one row": rng.integers(0, 5, (1, 3)).astype(float),
    "one column": rng.integers(0, 5, (5, 1)).astype(float),
    "one element": np.array([[1.0]]),
    "one instance": rng.integers(0, 5, 3).astype(float),
}


def network_for(m_in, m_out, **options):
    case = make_case((m_in, 4, m_out), "tanh", "sigmoid", "squared_error", n=1, seed=1)
    return dl.Network.from_weights(case.weights, case.biases, activation="tanh", **options)


def check_forms(values, folder, results):
    """results(form) is the same for every form of the values, and leaves it as it was."""
    expected = results(values.copy())
    for name, form in awkward(values, folder):
        before = fingerprint(form)
        with np.errstate(all="raise"):
            assert results(form) == expected, name
        assert fingerprint(form) == before, name


def n_rows(values):
    return len(values) if values.ndim == 2 else 1


@pytest.mark.parametrize("chunk_rows", [0, 2])
@pytest.mark.parametrize("what", VALUES)
def test_x_in_every_form(what, chunk_rows, tmp_path):
    values = VALUES[what]
    net = network_for(values.shape[-1], 2)
    net._chunk_rows = chunk_rows
    y = np.full((*values.shape[:-1], 2), 0.25)
    check_forms(
        values,
        tmp_path,
        lambda x: (predicted(net, x, y.shape), learned(net, x, y, n_rows(values))),
    )


@pytest.mark.parametrize("chunk_rows", [0, 2])
@pytest.mark.parametrize("what", VALUES)
def test_y_in_every_form(what, chunk_rows, tmp_path):
    values = VALUES[what]
    net = network_for(2, values.shape[-1])
    net._chunk_rows = chunk_rows
    x = np.full((*values.shape[:-1], 2), 0.25)
    check_forms(values, tmp_path, lambda y: learned(net, x, y, n_rows(values)))


@pytest.mark.parametrize("what", ["eighths", "zeros and ones"])
def test_y_of_one_dimension_in_every_form(what, tmp_path):
    net, x = network_for(2, 1), np.arange(10.0).reshape(5, 2) / 8
    values = VALUES[what][:, 0].copy()
    assert learned(net, x, values, 5) == learned(net, x, values.reshape(5, 1), 5)
    check_forms(values, tmp_path, lambda y: learned(net, x, y, 5))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("classes", [[3, 0, 2, 2, 1], [1, 0, 1, 1, 0]])
def test_classes_in_every_form(classes, loss, tmp_path):
    """As one-hot rows, to the bit."""
    net, x = network_for(2, 4, output="softmax", loss=loss), np.arange(10.0).reshape(5, 2) / 8
    values = np.array(classes)
    assert learned(net, x, values, 5) == learned(net, x, np.eye(4)[values], 5)
    check_forms(values, tmp_path, lambda y: learned(net, x, y, 5))


def test_targets_of_one_instance():
    x = np.array([0.5, -1.0])
    for y in ([[0.5]], [[0.5, 0.25, 1.0]]):
        net = network_for(2, len(y[0]))
        expected = learned(net, [x], y, 1)
        forms = [y, y[0], tuple(y[0]), np.array(y[0]), np.array(y, np.float32)]
        if len(y[0]) == 1:
            forms += [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), np.array(0.5, ">f4")]
        for form in forms:
            assert learned(net, x, form, 1) == expected
    net = network_for(2, 3, loss="cross_entropy")
    expected = learned(net, [x], [[0, 0, 1]], 1)
    for form in (2, np.int64(2), np.uint8(2), np.array(2), np.array(2, "<i2"), np.array(2, ">i2")):
        assert learned(net, x, form, 1) == expected


def test_empty_x_in_every_form(tmp_path):
    net = network_for(2, 3, loss="cross_entropy")
    for name, x in awkward(np.zeros((0, 2)), tmp_path):
        assert net.predict(x).shape == (0, 3), name
        assert net.classify(x).shape == (0,), name
        assert [a.shape for a in net.activations(x)] == [(0, 4), (0, 3)], name


def test_parameters_in_every_form(tmp_path):
    net = dl.Network([2, 2, 1], seed=1)
    for values in (np.arange(9.0), np.arange(9.0) / 7):
        for name, form in awkward(values, tmp_path):
            before = fingerprint(form)
            net.parameters = np.zeros(9)
            net.parameters = form
            assert (net.parameters == values).all(), name
            w = [np.asarray(form)[:4].reshape(2, 2), np.asarray(form)[6:8].reshape(2, 1)]
            b = [np.asarray(form)[4:6], np.asarray(form)[8:]]
            other = dl.Network.from_weights(w, b)
            assert (other.parameters == values).all(), name
            assert fingerprint(form) == before, name


GUARDED = """
import ctypes, mmap, sys
import numpy as np
import deltaloop as dl

libc = ctypes.CDLL(None, use_errno=True)
keep = []

def guarded(values):
    '''A copy that ends where the memory does: the next page must not be touched.'''
    page = mmap.PAGESIZE
    size = -(-max(values.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, size + page)
    keep.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(address + size), ctypes.c_size_t(page), 0) == 0
    array = np.frombuffer(memory, values.dtype, values.size, size - values.nbytes)
    array = array.reshape(values.shape)
    array[...] = values
    return array

rng = np.random.default_rng(0)
for m_in, m_out in ((1, 1), (2, 1), (3, 5), (7, 9), (13, 17), (33, 4)):
    net = dl.Network([m_in, 6, m_out], seed=1, output="softmax" if m_out > 1 else None)
    for n in (1, 2, 3, 5, 7, 9, 17, 33):
        for dtype in (np.float64, np.float32, np.int8):
            X = guarded(rng.integers(-3, 4, (n, m_in)).astype(dtype))
            Y = guarded(rng.integers(0, 4, (n, m_out)).astype(dtype))
            out = guarded(np.zeros((n, m_out)))
            net.predict(X, out=out)
            assert (out == net.predict(np.array(X))).all()
            net.predict(X[-1], out=out[-1])
            net.classify(X), net.activations(X), net.cost(X, Y), net.gradient(X, Y)
            net.trainer(dl.GradientDescent(0.1)).step(X, Y)
            net.fit(X, Y, solver=dl.GradientDescent(1e-3, batch_size=min(n, 4)), max_epochs=2)
            net.fit(X, Y, solver=dl.GradientDescent(1e-3), max_epochs=2)
            if m_out > 1:
                net.gradient(X, guarded(rng.integers(0, m_out, n)))
                net.gradient(X, guarded(rng.integers(0, m_out, n).astype(np.int8)))
print("done")
"""


def test_nothing_is_read_beyond_the_end_of_an_array():
    pytest.importorskip("resource", reason="needs mprotect")
    assert run_python(GUARDED) == "done\n"


def test_a_refusal_does_not_end_a_trainer():
    """Its velocity is kept over calls that were refused."""
    solver = dl.GradientDescent(0.1, momentum=0.9)
    nets = [trained(), trained()]
    trainers = [net.trainer(solver) for net in nets]
    for i in range(6):
        x, y = X[i % 4], Y[i % 4]
        costs = [trainer.step(x, y) for trainer in trainers]
        assert costs[0] == costs[1]
        for bad_x, bad_y, words in (
            (x * NAN, y, "x holds nan"),
            (x, [INF], "y holds inf"),
            (x[:1], y, "x of one dimension"),
            (X, Y[:3], "x has 4 instances but y has 3"),
            (X[:0], Y[:0], "x is empty"),
        ):
            with refuses(ValueError, words, net=nets[0]):
                trainers[0].step(bad_x, bad_y)
        with refuses(TypeError, "y", net=nets[0]):
            trainers[0].step(x)
    assert (bits(nets[0].parameters) == bits(nets[1].parameters)).all()
