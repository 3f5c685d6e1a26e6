"""What a network can learn: the promises of the textbook, measured."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl

XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("solver", "floor"),
    [
        (dl.GradientDescent(0.5), 0.7),
        (dl.GradientDescent(0.5, momentum=0.9), 0.7),
        (dl.GradientDescent(0.5, momentum=0.9, nesterov=True), 0.7),
        (dl.GradientDescent(0.5, batch_size=1), 0.7),
    ],
    ids=["plain", "momentum", "nesterov", "online"],
)
def test_xor_from_100_seeds(solver, floor, record_property):
    """The textbook's 2-2-1 network; the seeds that fail end in a local minimum of the cost."""
    n_solved = 0
    for seed in range(100):
        net = dl.Network([2, 2, 1], seed=seed)
        result = net.fit(XOR_X, XOR_Y, solver=solver, max_epochs=10_000, tol=0)
        solved = (net.classify(XOR_X) == XOR_Y).all()
        assert not solved or result.cost < 0.5
        n_solved += solved
    record_property("XOR solved, of 100 seeds", int(n_solved))
    assert n_solved >= 100 * floor


def test_sin_by_one_hidden_layer(record_property):
    """|net(x) - sin x| < 0.01 between the 40 instances, too, on one period."""
    X = np.linspace(-np.pi, np.pi, 40)[:, None]
    net = dl.Network([1, 10, 1], activation="tanh", output="identity", seed=0)
    solver = dl.GradientDescent(1e-3, momentum=0.99)
    net.fit(X, np.sin(X), solver=solver, max_epochs=50_000, tol=0)
    x = np.linspace(-np.pi, np.pi, 1001)[:, None]
    error = np.abs(net.predict(x) - np.sin(x)).max()
    record_property("largest error of sin", f"{error:.2e}")
    assert error < 0.01


@pytest.mark.slow
def test_step_function_by_two_hidden_layers(record_property):
    """A function with two jumps, 0.8 and 1.5: within 0.1 of it but for 0.02 around each jump."""

    def f(x):
        return np.where(x < -0.3, 0.2, np.where(x < 0.4, 1.0, -0.5))

    X = np.linspace(-1, 1, 101)[:, None]
    net = dl.Network([1, 10, 10, 1], activation="tanh", output="identity", seed=0)
    solver = dl.GradientDescent(1e-3, momentum=0.98)
    net.fit(X, f(X), solver=solver, max_epochs=50_000, tol=0)
    x = np.linspace(-1, 1, 2001)
    x = x[(np.abs(x + 0.3) > 0.02) & (np.abs(x - 0.4) > 0.02)][:, None]
    error = np.abs(net.predict(x) - f(x)).max()
    record_property("largest error of the step function", f"{error:.2e}")
    assert error < 0.1


def test_two_spirals_of_classes():
    """Softmax and cross-entropy in mini-batches on a boundary that is far from linear."""
    rng = np.random.default_rng(0)
    t = np.sqrt(rng.uniform(0.05, 1, 300)) * 2 * np.pi
    labels = np.arange(300) % 2
    angle = t + np.pi * labels
    X = np.column_stack([t * np.cos(angle), t * np.sin(angle)]) / 3
    net = dl.Network([2, 24, 24, 2], activation="tanh", loss="cross_entropy", seed=0)
    solver = dl.GradientDescent(0.01, momentum=0.9, batch_size=20)
    result = net.fit(X, labels, solver=solver, max_epochs=1500, tol=0)
    assert (net.classify(X) == labels).mean() > 0.99
    assert result.cost < 20


def test_value_function_of_a_random_walk(record_property):
    """TD(0), one instance at a time, on the walk whose values are 1/6, ..., 5/6.

    R. S. Sutton, A. G. Barto, Reinforcement Learning, 2nd ed. (2018), example 6.2: from the middle
    of five states one walks left or right with equal chances; only the right end gives a reward, 1.
    """
    rng = np.random.default_rng(0)
    states = np.eye(5)
    net = dl.Network.from_weights([np.full((5, 1), 0.5)], [[0.0]], activation="identity")
    for learning_rate in (0.1, 0.02, 0.005, 0.002):
        trainer = net.trainer(dl.GradientDescent(learning_rate))
        for _ in range(1500):
            s = 2
            while 0 <= s < 5:
                after = s + rng.choice((-1, 1))
                inside = 0 <= after < 5
                trainer.step(states[s], net.predict(states[after]) if inside else float(after == 5))
                s = after
    error = np.abs(net.predict(states).ravel() - np.arange(1, 6) / 6).max()
    record_property("largest error of a value", f"{error:.2e}")
    assert error < 0.03


def test_value_function_from_expected_updates_is_exact():
    """The same walk with both of a state's outcomes averaged: no noise is left."""
    states = np.eye(5)
    net = dl.Network([5, 1], activation="identity", seed=0)
    trainer = net.trainer(dl.GradientDescent(0.4))
    for _ in range(500):
        for s in range(5):
            left = net.predict(states[s - 1])[0] if s > 0 else 0.0
            right = net.predict(states[s + 1])[0] if s < 4 else 1.0
            trainer.step(states[s], (left + right) / 2)
    np.testing.assert_allclose(net.predict(states).ravel(), np.arange(1, 6) / 6, rtol=1e-12)


def test_values_stored_one_at_a_time_are_exact():
    """Online steps towards the exact values reach them to the last digits."""
    states, values = np.eye(7), np.arange(1, 8) / 8
    net = dl.Network([7, 1], activation="identity", seed=0)
    trainer = net.trainer(dl.GradientDescent(0.4))
    for _ in range(400):
        for s in range(7):
            trainer.step(states[s], values[s])
    np.testing.assert_allclose(net.predict(states).ravel(), values, rtol=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_faster_in_a_long_valley(nesterov):
    """Linear regression with a condition number of 2,500: tens of times fewer epochs."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    X = Q * [50.0, 1.0] / np.sqrt(40)
    Y = X @ [1.0, -2.0]
    epochs = []
    for options in ({}, {"momentum": 0.96, "nesterov": nesterov}):
        net = dl.Network.from_weights([np.zeros((2, 1))], [[0.0]], activation="identity")
        solver = dl.GradientDescent(0.015, **options)
        result = net.fit(X, Y, solver=solver, max_epochs=200_000, tol=0, goal=1e-12)
        assert result.stop_reason == "goal"
        epochs.append(result.epochs)
    assert epochs[1] < epochs[0] / 10


def test_linear_regression_ends_at_the_least_squares():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    net = dl.Network([3, 2], activation="identity", seed=0)
    net.fit(X, Y, solver=dl.GradientDescent(0.02), max_epochs=3000, tol=0)
    exact = np.linalg.lstsq(np.hstack([X, np.ones((30, 1))]), Y, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([net.weights[0], net.biases[0]]), exact, atol=1e-12)


def test_logistic_regression_ends_at_the_maximum_of_the_likelihood():
    """Newton's method, written here, finds the same parameters."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    Y = (X @ [1.0, -1.0] + rng.logistic(size=60) > 0).astype(float)
    net = dl.Network([2, 1], loss="cross_entropy", seed=0)
    net.fit(X, Y, solver=dl.GradientDescent(0.1), max_epochs=5000, tol=0)
    A, w = np.hstack([X, np.ones((60, 1))]), np.zeros(3)
    for _ in range(20):
        a = 1 / (1 + np.exp(-A @ w))
        w -= np.linalg.solve(A.T * (a * (1 - a)) @ A, A.T @ (a - Y))
    np.testing.assert_allclose(net.parameters, w, rtol=1e-11)
