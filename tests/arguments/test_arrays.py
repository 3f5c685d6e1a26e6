"""Arrays: what is refused, in which words, and leaves no trace; what is accepted, in any form."""

from __future__ import annotations

import decimal
import fractions
import itertools
import re

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.arrays import awkward, fingerprint
from tests.helpers.cases import make_case, xor_data
from tests.helpers.compare import bits
from tests.helpers.networks import refuses, trained
from tests.helpers.processes import run_python

X, Y = xor_data()
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


@pytest.mark.parametrize("take", ["fit", "blocks"])
def test_frames_with_types_that_know_missing_values(take):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [0, 0, 1, 1], "b": [0.0, 1.0, 0.0, 1.0]})
    frame = frame.astype({"a": "Int64", "b": "Float64"})
    target = pd.Series([False, True, True, False], dtype="boolean")

    def fitted(x, y):
        net = dl.Network((2, 3, 1), seed=0)
        data = (x, y) if take == "fit" else ([(x, y)], None)
        net.fit(*data, solver=GD, max_epochs=1)
        return net.parameters.tobytes()

    assert fitted(frame, target) == fitted(frame.astype(float).to_numpy(), target.astype(float))
    where = "X" if take == "fit" else r"block 0 of X \(row 0 on\)"
    frame.loc[2, "a"] = pd.NA
    with pytest.raises(ValueError, match=f"{where} holds nan at row 2, column 0"):
        fitted(frame, target)
    target[1] = pd.NA
    with pytest.raises(ValueError, match=r"Y.* holds nan at row 1"):
        fitted(X, target)
    with pytest.raises(TypeError, match="must hold real numbers"):
        fitted(frame.astype("object"), target)


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
    """They are taken as X, with the parameters that the same rows with their zeros leave."""
    sparse = pytest.importorskip("scipy.sparse")
    dense = trained()
    CALLS[method](dense, np.asarray(X, dtype=np.float64), Y)
    for kind in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        net, x = trained(), kind(X)
        CALLS[method](net, x, Y)
        np.testing.assert_array_equal(net.parameters, dense.parameters)
        np.testing.assert_array_equal(x.toarray(), X)


@pytest.mark.parametrize("method", TAKE_Y)
def test_sparse_targets(method):
    sparse = pytest.importorskip("scipy.sparse")
    net, name = trained(), named(method, "Y")
    y = sparse.csr_matrix(Y)
    with refuses(
        TypeError, f"{name} must hold real numbers, got", f"use {name}.toarray()", net=net
    ):
        CALLS[method](net, X, y)


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
