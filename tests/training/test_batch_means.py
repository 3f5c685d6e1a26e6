"""Mini-batches whose objective is their mean: what an estimator asks of the core, against NumPy.

The loops here are the specification: the gradient and the penalty of a batch are divided by the sum
of its weights, and Adam adds epsilon to the square root of the moment before that is corrected.
"""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds

SHAPES = [([3, 1], 17, 5), ([4, 6, 2], 50, 16), ([7, 5, 9, 3], 101, 100), ([2, 33, 1], 64, 64)]


def solver_of(kind, batch_size):
    if kind == "adam":
        return dl.Adam(
            0.01, beta1=0.8, beta2=0.95, epsilon=1e-3, batch_size=batch_size, shuffle=False
        )
    momentum = {"plain": 0.0, "momentum": 0.7, "nesterov": 0.7}[kind]
    return dl.GradientDescent(
        0.05, momentum=momentum, nesterov=kind == "nesterov", batch_size=batch_size, shuffle=False
    )


class Expected:
    """The same steps in NumPy, with the gradient that the network itself computes."""

    def __init__(self, net, kind):
        self.net, self.kind = net, kind
        self.m = np.zeros(net.n_parameters)
        self.v = np.zeros(net.n_parameters)
        self.t = 0

    def epoch(self, X, Y, weights, order, batch_size, l2, rate):
        total = 0.0
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            s = np.ones(len(rows)) if weights is None else weights[rows]
            if not s.any():
                cost, g = 0.0, np.zeros(self.net.n_parameters)
                scale = 0.0
            else:
                cost, g = self.net.gradient(X[rows], Y[rows], sample_weight=s, l2=l2)
                scale = 1 / s.sum()
            total += len(rows) * cost * scale
            self.step(g * scale, rate)
        return total

    def step(self, g, rate):
        w = self.net.parameters
        if self.kind == "plain":
            w -= rate * g
        elif self.kind != "adam":
            self.v = 0.7 * self.v - rate * g
            w += 0.7 * self.v - rate * g if self.kind == "nesterov" else self.v
        else:
            self.t += 1
            self.m = 0.8 * self.m + 0.2 * g
            self.v = 0.95 * self.v + 0.05 * g * g
            rate *= np.sqrt(1 - 0.95**self.t) / (1 - 0.8**self.t)
            w -= rate * self.m / (np.sqrt(self.v) + 1e-3)


def start(net, X, Y, kind, batch_size, weights, order, l2, n_threads=1):
    problem = _problem.penalised(0.0, l2)._replace(weights=weights)
    return _core.Fit(
        net,
        X,
        Y,
        labels=False,
        solver=solver_of(kind, batch_size),
        problem=problem,
        stream=seeds.stream(0),
        tol=0.0,
        goal=-np.inf,
        n_threads=n_threads,
        most=10,
        order=order,
        mean=True,
    )


def start_full(net, X, Y):
    return _core.Fit(
        net,
        X,
        Y,
        labels=False,
        solver=dl.LBFGS(),
        problem=_problem.Problem(),
        stream=seeds.stream(0),
        tol=0.0,
        goal=-np.inf,
        n_threads=1,
        most=50,
    )


def finish(run, until):
    while True:
        event, done = run.run(until, 1e7)
        if event != "paused":
            assert (event, done) == ("epoch", 1)
            return run.last[0]


@pytest.mark.parametrize(("layers", "n", "batch_size"), SHAPES)
@pytest.mark.parametrize("kind", ["plain", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("weighted", [False, True])
def test_epochs(layers, n, batch_size, kind, weighted):
    rng = np.random.default_rng(n)
    X, Y = rng.standard_normal((n, layers[0])), rng.standard_normal((n, layers[-1]))
    weights = None
    if weighted:
        weights = rng.uniform(0, 2, n)
        weights[: batch_size + 1] = 0.0
    net = dl.Network(layers, activation="tanh", output="identity", seed=3)
    expected = Expected(net.copy(), kind)
    order = np.arange(n, dtype=np.uintp)
    run = start(net, X, Y, kind, batch_size, weights, order, 0.1)
    rate = solver_of(kind, batch_size).learning_rate
    for epoch in range(1, 6):
        cost = finish(run, epoch)
        wanted = expected.epoch(X, Y, weights, order, batch_size, 0.1, rate)
        assert cost == pytest.approx(wanted, rel=1e-12)
        np.testing.assert_allclose(net.parameters, expected.net.parameters, rtol=0, atol=1e-12)
        rate *= 0.7
        run.set_rate(rate)
        order[:] = rng.permutation(n)


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_other_rows(kind):
    """The moments go on over rows, weights and sizes that change; a small batch is a batch."""
    rng = np.random.default_rng(8)
    net = dl.Network([3, 4, 2], activation="tanh", output="identity", seed=1)
    expected = Expected(net.copy(), kind)
    rate = solver_of(kind, 16).learning_rate
    run = None
    for epoch, n in enumerate([40, 16, 3, 1, 200], start=1):
        X, Y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
        weights = rng.uniform(0.1, 1, n) if epoch % 2 else None
        order = rng.permutation(n).astype(np.uintp) if n > 3 else None
        if run is None:
            run = start(net, X, Y, kind, 16, weights, order, 0.0)
        else:
            run.replace(X, Y, False, weights, order)
        cost = finish(run, epoch)
        rows = np.arange(n) if order is None else order
        wanted = expected.epoch(X, Y, weights, rows, 16, 0.0, rate)
        assert cost == pytest.approx(wanted, rel=1e-12)
        np.testing.assert_allclose(net.parameters, expected.net.parameters, rtol=0, atol=1e-12)
        assert run.history.shape == (5, 1)


@pytest.mark.parametrize("kind", ["plain", "adam"])
def test_no_bit_depends_on_the_threads(kind):
    rng = np.random.default_rng(9)
    X, Y = rng.standard_normal((2000, 30)), rng.standard_normal((2000, 5))
    order = rng.permutation(2000).astype(np.uintp)
    results = []
    for n_threads in (1, 2, 7):
        net = dl.Network([30, 64, 5], activation="relu", output="identity", seed=1)
        finish(start(net, X, Y, kind, 300, None, order, 0.1, n_threads), 3)
        results.append(net.parameters.copy())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_what_a_full_batch_tells():
    """Evaluations of C, and the largest element of the gradient where the parameters are."""
    rng = np.random.default_rng(10)
    X, Y = rng.standard_normal((30, 3)), rng.standard_normal((30, 2))
    net = dl.Network([3, 4, 2], activation="tanh", output="identity", seed=1)
    run = start_full(net, X, Y)
    assert run.evaluations == 0
    assert np.isnan(run.largest_gradient)
    for epoch in range(1, 10):
        finish(run, epoch)
        assert run.evaluations > epoch
        largest = np.abs(net.gradient(X, Y)[1]).max()
        assert run.largest_gradient == pytest.approx(largest, rel=1e-12)


def test_what_does_not_go():
    X, Y = np.zeros((4, 3)), np.zeros((4, 2))
    net = dl.Network([3, 2], activation="identity", seed=1)
    with pytest.raises(ValueError, match="an order of 4 rows"):
        start(net, X, Y, "plain", 2, None, np.arange(3, dtype=np.uintp), 0.0)
    with pytest.raises(ValueError, match="an order of 4 rows"):
        start(net, X, Y, "plain", 2, None, np.arange(4, dtype=np.int32), 0.0)
    run = start_full(net, X, Y)
    with pytest.raises(ValueError, match="mini-batches without shuffle"):
        run.set_rate(0.1)
    with pytest.raises(ValueError, match="mini-batches without shuffle"):
        run.replace(X, Y, False, None)
