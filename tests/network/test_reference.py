"""reference.py against mpmath, finite differences and hand-made values."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest

import deltaloop.reference
from deltaloop.reference import Reference, initial_parameters, permutation, raw_words
from tests.helpers.cases import PAIRS, make_case
from tests.helpers.compare import relative_error
from tests.helpers.gradients import small_cases
from tests.helpers.oracle import Oracle

LAYERS = {1: (3,), 2: (2, 5), 3: (4, 3, 5)}

cases = small_cases(LAYERS)


@cases
def test_against_mpmath(depth, hidden, loss, output, m):
    case = make_case((*LAYERS[depth], m), hidden, output, loss, n=3, seed=depth)
    net, exact = case.reference(), Oracle(case.reference())
    assert relative_error(net.predict(case.X), exact.predict(case.X)) < 1e-14
    cost, gradient = exact.gradient(case.X, case.Y)
    assert np.linalg.norm(gradient[: len(gradient) // 2]) > 0
    got = net.gradient(case.X, case.Y)
    assert got[0] == pytest.approx(cost, rel=1e-14)
    assert relative_error(got[1], gradient) < 1e-13
    assert net.cost(case.X, case.Y) == got[0]


@cases
def test_oracle_against_differences(depth, hidden, loss, output, m):
    case = make_case((*LAYERS[depth], m), hidden, output, loss, n=2, seed=depth)
    exact = Oracle(case.reference())
    gradient = exact.gradient(case.X, case.Y)[1]
    assert relative_error(exact.gradient_by_differences(case.X, case.Y), gradient) < 1e-15


@pytest.mark.parametrize(("loss", "output", "m"), PAIRS)
def test_against_central_differences(loss, output, m):
    case = make_case((3, 4, 5, m), ("tanh", "relu"), output, loss, n=7, seed=3)
    net, h = case.reference(), 6e-6
    gradient = net.gradient(case.X, case.Y)[1]
    estimate = np.empty_like(gradient)
    for k, p in enumerate(net.parameters.copy()):
        sides = []
        for shifted in (p + h, p - h):
            net.parameters[k] = shifted
            sides.append(net.cost(case.X, case.Y))
        net.parameters[k] = p
        estimate[k] = (sides[0] - sides[1]) / (2 * h)
    assert relative_error(estimate, gradient) < 1e-7


@pytest.mark.parametrize("z", [-800.0, -40.0, 40.0, 800.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_saturated_cross_entropy(z, y):
    """Neither log(0) nor 0/0 nor a warning, however far the output is saturated."""
    for loss in ("cross_entropy", "binary_cross_entropy"):
        net = Reference([[[0.0]]], [[z]], (), "sigmoid", loss)
        cost, gradient = net.gradient([[1.0]], [[y]])
        exact = Oracle(net).cost(np.ones((1, 1)), np.full((1, 1), y)) if abs(z) < 100 else 0.0
        assert cost == pytest.approx(abs(z) if (z > 0) != y else exact, rel=1e-14)
        assert gradient[1] == pytest.approx((z > 0) - y, abs=1e-16)
    net = Reference([[[0.0, 0.0]]], [[z, 0.0]], (), "softmax", "cross_entropy")
    cost, gradient = net.gradient([[1.0]], [[y, 1 - y]])
    assert cost == pytest.approx(abs(z) if (z > 0) != y else 0.0, abs=1e-16)
    np.testing.assert_allclose(gradient[2:], [(z > 0) - y, y - (z > 0)], atol=1e-16)


def test_targets_of_every_form():
    case = make_case((3, 4), (), "softmax", "cross_entropy", n=5, seed=0)
    net, labels = case.reference(), np.array([3, 0, 1, 1, 2])
    assert net.cost(case.X, labels) == net.cost(case.X, np.eye(4)[labels])
    assert net.cost(case.X[0], 3) == net.cost(case.X[:1], labels[:1])
    case = make_case((3, 1), (), "identity", "squared_error", n=5, seed=0)
    net = case.reference()
    assert net.cost(case.X, case.Y[:, 0]) == net.cost(case.X, case.Y)
    assert net.cost(case.X[0], case.Y[0, 0]) == net.cost(case.X[:1], case.Y[:1])
    assert net.predict(case.X[0]).shape == (1,)
    assert net.predict(np.empty((0, 3))).shape == (0, 1)


def test_step_has_no_gradient():
    net = Reference([[[1.0]]], [[0.0]], (), "step", "squared_error")
    assert net.cost([[1.0], [0.0]], [[0.0], [1.0]]) == 1.0
    with pytest.raises(ValueError, match="derivative"):
        net.gradient([[1.0]], [[0.0]])


def test_two_epochs_by_hand():
    """C = (y - w x - b)^2 / 2 with x = 1, y = 2 from w = b = 0: both parameters move alike."""
    net = Reference([[[0.0]]], [[0.0]], (), "identity", "squared_error")
    plain = list(itertools.islice(net.epochs([[1.0]], [[2.0]], 0.25), 2))
    assert [cost for cost, _ in plain] == [0.5, 0.125]
    assert [p.tolist() for _, p in plain] == [[0.5, 0.5], [0.75, 0.75]]

    net.parameters = 0.0  # v = 1/2; g = -1, v = 1/4 + 1/4
    heavy = list(itertools.islice(net.epochs([[1.0]], [[2.0]], 0.25, momentum=0.5), 2))
    assert [p.tolist() for _, p in heavy] == [[0.5, 0.5], [1.0, 1.0]]

    net.parameters = 0.0  # v = 1/2, w = 1/4 + 1/2; g = -1/2, v = 1/4 + 1/8, w = 3/4 + 3/16 + 1/8
    ahead = itertools.islice(net.epochs([[1.0]], [[2.0]], 0.25, momentum=0.5, nesterov=True), 2)
    assert [p.tolist() for _, p in ahead] == [[0.75, 0.75], [1.0625, 1.0625]]


def test_mini_batches_are_steps_in_the_given_order():
    case = make_case((2, 3, 1), "tanh", "identity", "squared_error", n=7, seed=1)
    order = np.array([3, 6, 0, 1, 5, 2, 4])
    epochs = case.reference().epochs(case.X, case.Y, 0.1, batch_size=3, permutations=[order])
    cost, parameters = next(epochs)
    by_hand, total = case.reference(), 0.0
    for rows in ([3, 6, 0], [1, 5, 2], [4]):
        batch_cost, gradient = by_hand.gradient(case.X[rows], case.Y[rows])
        by_hand.parameters = by_hand.parameters - 0.1 * gradient
        total += batch_cost
    assert cost == total
    np.testing.assert_allclose(parameters, by_hand.parameters, rtol=1e-14)
    assert next(epochs, None) is None


@pytest.mark.parametrize("seed", [0, 7, 2**64 + 1, 2**130])
def test_words_are_those_of_philox(seed):
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    whole = np.random.Philox(key=key).random_raw(50)
    for position in range(20):
        assert (raw_words(seed, position, 13) == whole[position : position + 13]).all()


@pytest.mark.parametrize("scale", ["he", "glorot", "lecun"])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_moments_of_the_initial_weights(scale, distribution):
    """The fourth moment tells a normal distribution (3) from a uniform one (9/5)."""
    m_in, m_out = 180, 150
    parameters = initial_parameters([m_in, m_out], f"{scale}_{distribution}", seed=1)
    w, b = parameters[: m_in * m_out], parameters[m_in * m_out :]
    variance = {"he": 2 / m_in, "glorot": 2 / (m_in + m_out), "lecun": 1 / m_in}[scale]
    assert (b == 0).all()
    assert abs(w.mean()) < 4 * np.sqrt(variance / w.size)
    assert w.var() == pytest.approx(variance, rel=0.05)
    kurtosis = (w**4).mean() / variance**2
    assert kurtosis == pytest.approx(3 if distribution == "normal" else 9 / 5, rel=0.1)


def test_uniform_draws_biases_too():
    parameters = initial_parameters([40, 60, 5], "uniform", seed=2)
    assert np.abs(parameters).max() <= 1
    assert (parameters != 0).all()
    assert parameters.var() == pytest.approx(1 / 3, rel=0.1)
    top = (raw_words(2, 0, parameters.size) >> np.uint64(11)).tolist()
    assert parameters.tolist() == [2 * (word / 2**53) - 1 for word in top]


def test_permutations_are_uniform():
    """All 24 permutations of 4 appear; chi squared with 23 degrees stays below its 0.999 point."""
    words = raw_words(3, 0, 3 * 4800).reshape(-1, 3)
    seen = [tuple(permutation(w, 4).tolist()) for w in words]
    counts = np.array([seen.count(p) for p in itertools.permutations(range(4))])
    assert ((counts - 200.0) ** 2 / 200).sum() < 49.7
    assert permutation([], 1).tolist() == [0]


def test_examples():
    failed, tried = doctest.testmod(deltaloop.reference)
    assert failed == 0
    assert tried > 4
