"""Derivatives of the outputs against complex steps in NumPy, and against the gradient."""

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.complex_step import derivatives

CASES = [
    ([3, 2], {"activation": "tanh"}),
    ([2, 9, 1], {"activation": "tanh", "output": "identity"}),
    ([3, 17, 5, 4], {"activation": "sigmoid"}),
    ([4, 8, 3], {"activation": "tanh", "loss": "cross_entropy"}),
    ([3, 6, 5, 2], {"activation": "silu", "output": "silu"}),
]


@pytest.mark.parametrize(("layers", "options"), CASES)
@pytest.mark.parametrize("n", [1, 5, 150])
def test_parameters(layers, options, n):
    net = dl.Network(layers, seed=1, **options)
    X = np.random.default_rng(0).normal(size=(n, layers[0]))
    J = net.jacobian(X)
    assert J.shape == (n, layers[-1], net.n_parameters)
    np.testing.assert_allclose(J, derivatives(net, net.parameters, X, False), atol=1e-13)
    assert np.array_equal(net.jacobian(X.tolist(), wrt="parameters"), J)
    assert np.array_equal(net.jacobian(X[0]), J[0])


@pytest.mark.parametrize(("layers", "options"), CASES)
@pytest.mark.parametrize("n", [1, 5, 150])
def test_inputs(layers, options, n):
    net = dl.Network(layers, seed=1, **options)
    X = np.random.default_rng(0).normal(size=(n, layers[0]))
    J = net.jacobian(X, wrt="inputs")
    assert J.shape == (n, layers[-1], layers[0])
    h = 1e-6
    for p in range(layers[0]):
        step = h * np.eye(layers[0])[p]
        difference = (net.predict(X + step) - net.predict(X - step)) / (2 * h)
        np.testing.assert_allclose(J[:, :, p], difference, atol=1e-8)
    assert np.array_equal(net.jacobian(X[-1], wrt="inputs"), J[-1])


def test_relu():
    net = dl.Network([3, 9, 2], activation="relu", output="identity", seed=0)
    X = np.random.default_rng(0).normal(size=(20, 3))
    Y = np.zeros((20, 2))
    gradient = np.einsum("ikp,ik->p", net.jacobian(X), net.predict(X))
    np.testing.assert_allclose(gradient, net.gradient(X, Y)[1], rtol=1e-12, atol=1e-13)


def test_bad_input():
    net = dl.Network([2, 3, 1], seed=0)
    with pytest.raises(ValueError, match="wrt must be one of parameters, inputs"):
        net.jacobian([[1.0, 2.0]], wrt="weights")
    with pytest.raises(ValueError, match="X must have shape"):
        net.jacobian([[1.0]])
    assert net.jacobian(np.zeros((0, 2))).shape == (0, 1, net.n_parameters)
    step = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="step")
    with pytest.raises(ValueError, match="step units"):
        step.jacobian([[1.0]])
