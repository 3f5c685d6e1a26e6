"""dC/dX, and the gradient check for users."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import HIDDEN, PAIRS, make_case
from tests.helpers.compare import bits

every_pair = pytest.mark.parametrize(("loss", "output", "m"), PAIRS)


def input_differences(net, X, Y, h=6e-6):
    """dC/dX by central differences."""
    X, estimate = X.copy(), np.empty_like(X)
    for place in np.ndindex(X.shape):
        x = X[place]
        X[place] = x + h
        above = net.cost(X, Y)
        X[place] = x - h
        estimate[place] = (above - net.cost(X, Y)) / (2 * h)
        X[place] = x
    return estimate


# ---- input_gradient ----


@every_pair
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("layers", [(3,), (3, 5), (7, 4, 9)])
def test_input_gradient_against_differences(loss, output, m, hidden, layers):
    if len(layers) == 1 and hidden != HIDDEN[0]:
        pytest.skip("there are no hidden units")
    case = make_case((*layers, m), hidden, output, loss, n=6, seed=len(layers))
    net = case.network()
    gradient = net.input_gradient(case.X, case.Y)
    assert gradient.dtype == np.float64
    assert gradient.shape == case.X.shape
    expected = input_differences(net, case.X, case.Y)
    assert np.linalg.norm(gradient - expected) < 1e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize("n", [1, 40, 3000])
@pytest.mark.parametrize("layers", [(3, 5, 2), (40, 70, 33, 19)])
def test_input_gradient_does_not_depend_on_the_batch(layers, n):
    """Row by row, any chunk, any number of threads: the same bits."""
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
    net = case.network()
    whole = net.input_gradient(case.X, case.Y)
    for threads, chunk in itertools.product((1, 2, 3, 7), (0, 8, 100)):
        net._chunk_rows = chunk
        net._grain = 1.0
        got = net.input_gradient(case.X, case.Y, n_threads=threads)
        assert (bits(got) == bits(whole)).all()
    for i in range(0, n, 97):
        alone = net.input_gradient(case.X[i], case.Y[i])
        assert alone.shape == (layers[0],)
        assert (bits(alone) == bits(whole[i])).all()
        assert (bits(net.input_gradient(case.X[i:], case.Y[i:])) == bits(whole[i:])).all()


def test_input_gradient_of_classes_and_strides():
    case = make_case((4, 6, 3), "tanh", "softmax", "cross_entropy", n=11, seed=2)
    net, labels = case.network(), np.arange(11) % 3
    expected = net.input_gradient(case.X, np.eye(3)[labels])
    assert (net.input_gradient(case.X, labels) == expected).all()
    assert (net.input_gradient(np.asfortranarray(case.X), labels.astype(np.int8)) == expected).all()
    single = net.input_gradient(case.X[0].tolist(), 0)
    assert (single == expected[0]).all()


def test_input_gradient_of_an_identity_is_the_residual_times_the_weights():
    w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    net = dl.Network.from_weights([w], [[0.5, -0.5]], activation="identity")
    X, Y = np.array([[1.0, 0.0, 2.0]]), np.array([[1.0, 1.0]])
    assert (net.input_gradient(X, Y) == (X @ w + [0.5, -0.5] - Y) @ w.T).all()


def test_input_gradient_refuses():
    net = dl.Network([2, 3, 1], seed=0)
    for X, Y, name in [([[1.0]], [1.0], "X"), ([[1.0, 2.0]], [1.0, 2.0], "Y"), ([], [], "X")]:
        with pytest.raises(ValueError, match=name):
            net.input_gradient(X, Y)
    with pytest.raises(ValueError, match="finite"):
        net.input_gradient([[np.nan, 1.0]], [1.0])
    with pytest.raises(ValueError, match="n_threads"):
        net.input_gradient([[0.0, 1.0]], [1.0], n_threads=0)
    step = dl.Network([2, 3, 1], activation="step", seed=0)
    with pytest.raises(ValueError, match="step"):
        step.input_gradient([[0.0, 1.0]], [1.0])


# ---- check_gradient ----


@every_pair
@pytest.mark.parametrize("hidden", HIDDEN)
def test_gradients_pass_the_check(loss, output, m, hidden):
    case = make_case((4, 6, 5, m), hidden, output, loss, n=7, seed=3)
    net = case.network()
    before = net.parameters.copy()
    check = net.check_gradient(case.X, case.Y)
    assert 0 <= check.error < 1e-6
    assert (bits(net.parameters) == bits(before)).all()
    k = check.index
    assert check.gradient == net.gradient(case.X, case.Y)[1][k]
    assert check.difference == pytest.approx(check.gradient, rel=1e-3, abs=1e-6)
    names = {"weights": net.weights, "biases": net.biases}
    value = net.parameters[k]
    net.parameters[k] = 123.0  # what `where` names must be that parameter
    assert eval(check.where, {}, {**names, "weights": net.weights, "biases": net.biases}) == 123.0
    net.parameters[k] = value


@pytest.mark.parametrize("wrong", [0, 7, 20])
def test_a_wrong_gradient_is_found(wrong, monkeypatch):
    case = make_case((2, 5, 3), "tanh", "identity", "squared_error", n=5, seed=1)
    net = case.network()

    class Wrong(dl.Network):
        def _cost(self, x, y, labels, with_gradient, n_threads, problem):
            cost, gradient = super()._cost(x, y, labels, with_gradient, n_threads, problem)
            if gradient is not None:
                gradient[wrong] *= 1.01
            return cost, gradient

    bad = Wrong._restore(*net._state())
    check = bad.check_gradient(case.X, case.Y)
    assert check.index == wrong
    assert 1e-3 < check.error < 0.011
    others = np.delete(np.arange(net.n_parameters), wrong)
    assert bad.check_gradient(case.X, case.Y, indices=others).error < 1e-6


def test_where_and_indices():
    net = dl.Network([2, 3, 1], seed=0)
    places = {
        0: "weights[0][0, 0]",
        5: "weights[0][1, 2]",
        6: "biases[0][0]",
        9: "weights[1][0, 0]",
        12: "biases[1][0]",
    }
    for index, where in places.items():
        check = net.check_gradient([0.5, -1.0], 1.0, indices=[index])
        assert (check.index, check.where) == (index, where)
    for indices in ([], [13], [-1], [0.5], 3, [[0]], ["a"]):
        with pytest.raises((TypeError, ValueError), match="indices"):
            net.check_gradient([0.5, -1.0], 1.0, indices=indices)


def test_gradient_of_zero_and_kink():
    """Nothing to compare; and a relu at its kink, where the difference is wrong."""
    net = dl.Network.from_weights([[[0.0]]], [[0.0]], activation="identity")
    assert net.check_gradient([1.0], 0.0).error < 1e-4
    zero = dl.Network.from_weights([[[0.0]], [[0.0]]], [[-1.0], [0.0]], activation="relu")
    check = zero.check_gradient([[1.0]], [0.0], indices=[0])
    assert (check.error, check.gradient, check.difference) == (0.0, 0.0, 0.0)
    kink = dl.Network.from_weights([[[1.0]], [[1.0]]], [[0.0], [0.0]], activation="relu")
    assert kink.check_gradient([[0.0]], [1.0], indices=[1]).error > 0.4


def test_check_is_a_value():
    check = dl.Network([2, 1], seed=0).check_gradient([0.5, -1.0], 1.0)
    assert "error=" in repr(check)
    with pytest.raises(FrozenInstanceError):
        check.error = 0.0
