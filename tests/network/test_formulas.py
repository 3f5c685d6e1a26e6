"""The formulas of the textbook network, written out by hand."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import Reference
from tests.helpers.compare import relative_error

XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([0.0, 1.0, 1.0, 0.0])


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


@pytest.mark.parametrize(("m", "k", "n"), [(2, 2, 4), (1, 1, 1), (3, 5, 11), (5, 20, 130)])
def test_four_closed_formulas(m, k, n):
    """The gradient of C = 1/2 sum_i (y_i - a_i)^2 with k hidden units h and one output a."""
    rng = np.random.default_rng(1)
    w1, b1, w2, b2 = rng.normal(size=(m, k)), rng.normal(size=k), rng.normal(size=k), rng.normal()
    x, y = rng.normal(size=(n, m)), rng.uniform(size=n)

    C, db2 = 0.0, 0.0
    dw1, db1, dw2 = np.zeros((m, k)), np.zeros(k), np.zeros(k)
    for i in range(n):
        h = [sigmoid(sum(x[i, p] * w1[p, j] for p in range(m)) + b1[j]) for j in range(k)]
        a = sigmoid(sum(h[j] * w2[j] for j in range(k)) + b2)
        C += (y[i] - a) ** 2 / 2
        for j in range(k):
            dw2[j] += (a - y[i]) * a * (1 - a) * h[j]
        db2 += (a - y[i]) * a * (1 - a)
        for j in range(k):
            for p in range(m):
                dw1[p, j] += (a - y[i]) * a * (1 - a) * w2[j] * h[j] * (1 - h[j]) * x[i, p]
            db1[j] += (a - y[i]) * a * (1 - a) * w2[j] * h[j] * (1 - h[j])

    net = dl.Network.from_weights([w1, w2[:, None]], [b1, [b2]])
    cost, gradient = net.gradient(x, y)
    assert cost == pytest.approx(C, rel=1e-13)
    ends = np.cumsum([m * k, k, k, 1])
    got = np.split(gradient, ends[:-1])
    for part, by_hand in zip(got, (dw1, db1, dw2, np.array([db2])), strict=True):
        assert relative_error(part, by_hand.ravel()) < 1e-12


def test_one_step_is_the_gradient_times_the_rate():
    """All layers at once, from the same gradient: w <- w - alpha dC/dw, b <- b - alpha dC/db."""
    net = dl.Network([2, 2, 1], seed=3)
    before, (_, gradient) = net.parameters.copy(), net.gradient(XOR_X, XOR_Y)
    net.fit(XOR_X, XOR_Y, solver=dl.GradientDescent(0.5), max_epochs=1, tol=0)
    np.testing.assert_allclose(net.parameters, before - 0.5 * gradient, rtol=0, atol=1e-16)


def unit(w, b):
    """One threshold unit, 1 if w.x + b > 0 else 0."""
    return dl.Network.from_weights(
        [np.reshape(w, (-1, 1))], [[b]], activation="step", output="step"
    )


def test_xor_by_composition():
    """AND(OR(x), NAND(x)), one unit after another and as one network with the same weights."""
    either, not_both, both = unit([1, 1], -0.5), unit([-1, -1], 1.5), unit([1, 1], -1.5)
    assert either.predict(XOR_X).ravel().tolist() == [0, 1, 1, 1]
    assert not_both.predict(XOR_X).ravel().tolist() == [1, 1, 1, 0]
    assert both.predict(XOR_X).ravel().tolist() == [0, 0, 0, 1]
    hidden = np.hstack([either.predict(XOR_X), not_both.predict(XOR_X)])
    assert both.predict(hidden).ravel().tolist() == XOR_Y.tolist()

    net = dl.Network.from_weights(
        [np.hstack([either.weights[0], not_both.weights[0]]), both.weights[0]],
        [np.hstack([either.biases[0], not_both.biases[0]]), both.biases[0]],
        activation="step",
    )
    assert net.layers == (2, 2, 1)
    assert net.output == "step"
    assert net.predict(XOR_X).ravel().tolist() == XOR_Y.tolist()
    assert net.classify(XOR_X).tolist() == XOR_Y.tolist()
    assert (net.activations(XOR_X)[0] == hidden).all()
    assert net.cost(XOR_X, XOR_Y) == 0
    assert net.cost(XOR_X, 1 - XOR_Y) == 2


def test_no_single_unit_computes_xor():
    """The nearest a boundary gets is three of four, whatever the weights on a grid."""
    grid = np.linspace(-2, 2, 9)
    best = max(
        (unit([w1, w2], b).predict(XOR_X).ravel() == XOR_Y).sum()
        for w1 in grid
        for w2 in grid
        for b in grid
    )
    assert best == 3


@pytest.mark.parametrize(
    ("z", "a"),
    [
        (0.0, 0),
        (-0.0, 0),
        (5e-324, 1),
        (-5e-324, 0),
        (1e308, 1),
        (-1e308, 0),
        (math.inf, 1),
        (-math.inf, 0),
    ],
)
def test_threshold_is_strict(z, a):
    """g(z) = 1 if z > 0 else 0, for predict, for classify and for a batch of any length."""
    net = unit([1.0], 0.0)
    assert net.predict([z]).tolist() == [a]
    assert net.predict(np.full((9, 1), z)).ravel().tolist() == [a] * 9
    if math.isfinite(z):
        for output in ("step", "sigmoid", "identity", "tanh"):
            net = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="tanh", output=output)
            assert net.classify([z]) == a


def test_classify_looks_at_z_where_a_is_saturated():
    """With z = 40 and z = 50 both sigmoids round to 1; the second class is the larger."""
    net = dl.Network.from_weights([np.eye(2)], [[0.0, 0.0]], activation="sigmoid")
    assert (net.predict([[40.0, 50.0]]) == 1).all()
    assert net.classify([[40.0, 50.0], [50.0, 40.0]]).tolist() == [1, 0]


def test_every_activation_by_hand():
    z = np.array([[-1.5, 0.25, 2.0]])
    expected = {
        "sigmoid": [sigmoid(t) for t in z[0]],
        "tanh": [math.tanh(t) for t in z[0]],
        "relu": [0, 0.25, 2.0],
        "identity": z[0],
        "softmax": [math.exp(t) / sum(math.exp(s) for s in z[0]) for t in z[0]],
        "step": [0, 1, 1],
    }
    for output, a in expected.items():
        net = dl.Network.from_weights([np.eye(3)], [np.zeros(3)], activation="tanh", output=output)
        np.testing.assert_allclose(net.predict(z)[0], a, rtol=1e-15)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_small_costs_keep_their_digits(n_threads):
    """Of a class whose logit is far above the others: log(1 + r) for r below an epsilon."""
    net = dl.Network([3, 3], output="softmax", loss="cross_entropy", seed=0)
    net.parameters = np.array([*np.eye(3).ravel(), 0, 0, 0])
    assert net.cost([0.0, 0.0, 50.0], 2) == pytest.approx(3.857499695927836e-22, rel=1e-15)
    gaps = np.array([0.0, 1e-3, 0.5, 3.0, 20.0, 36.0, 37.0, 50.0, 200.0, 700.0])
    X = np.c_[0 * gaps, 1 - gaps / 7, gaps]
    for i, x in enumerate(X):
        exact = [mp.mpf(float(z)) for z in x]
        for label in range(3):
            with mp.workdps(40):
                others = [mp.exp(z - exact[label]) for j, z in enumerate(exact) if j != label]
                expected = mp.log1p(mp.fsum(others))
            cost = net.cost(x, label)
            assert abs(mp.mpf(cost) - expected) <= expected * (2e-16 * float(np.ptp(x)) + 1e-15)
            # Classes, probabilities, and the reference.
            assert cost == net.cost(x, np.eye(3)[label])
            assert Reference.of(net).cost(x, label) == pytest.approx(cost, rel=1e-12)
            assert net.cost(
                X[: i + 1], np.full(i + 1, label), n_threads=n_threads
            ) == pytest.approx(sum(net.cost(row, label) for row in X[: i + 1]), rel=1e-14)


def test_small_costs_of_one_sigmoid_unit():
    for loss in ("cross_entropy", "binary_cross_entropy"):
        net = dl.Network([1, 1], output="sigmoid", loss=loss, seed=0)
        net.parameters = np.array([1.0, 0.0])
        for z in (1.0, 20.0, 37.0, 50.0, 300.0):
            for y, x in ((1.0, z), (0.0, -z)):
                assert net.cost([x], [y]) == pytest.approx(float(mp.log1p(mp.exp(-z))), rel=1e-15)
                assert Reference.of(net).cost([x], [y]) == pytest.approx(
                    net.cost([x], [y]), rel=1e-15
                )
