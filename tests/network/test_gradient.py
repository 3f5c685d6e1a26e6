"""Cost, prediction and gradient against mpmath, reference.py and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deltaloop as dl
from tests.helpers.cases import HIDDEN, PAIRS, make_case
from tests.helpers.compare import relative_error
from tests.helpers.gradients import check_gradient, small_cases
from tests.helpers.oracle import Oracle, mp

# Layers of a network of each depth, without the last; odd, and below the width of any vector.
LAYERS = {
    1: (3,),
    2: (3, 5),
    3: (2, 5, 3),
    4: (4, 3, 7, 2),
    5: (3, 2, 5, 3, 4),
    6: (1, 3, 5, 2, 4, 3),
}

every_pair = pytest.mark.parametrize(("loss", "output", "m"), PAIRS)
every_case = small_cases(LAYERS)


@every_case
def test_small_networks(depth, hidden, loss, output, m):
    """Against mpmath and reference.py to 1e-12 and central differences to 1e-7, all in norm."""
    case = make_case((*LAYERS[depth], m), hidden, output, loss, n=5, seed=depth)
    exact = check_gradient(case, by_differences=1e-7)
    assert np.linalg.norm(exact[: case.weights[0].size]) > 1e-9


@every_pair
@pytest.mark.parametrize("hidden", HIDDEN)
def test_wide_networks(hidden, loss, output, m):
    """Layers wider than any tile, and a number of instances that no vector divides."""
    case = make_case((37, 70, 33, m if m == 1 else 19), hidden, output, loss, n=67, seed=1)
    check_against_reference(case)


@every_pair
def test_wide_network_against_mpmath(loss, output, m):
    case = make_case((9, 41, 18, m), "tanh", output, loss, n=3, seed=1)
    cost, gradient = case.network().gradient(case.X, case.Y)
    exact_cost, exact_gradient = Oracle(case.reference()).gradient(case.X, case.Y)
    assert cost == pytest.approx(exact_cost, rel=1e-13)
    assert relative_error(gradient, exact_gradient) < 1e-12


@every_pair
def test_many_instances(loss, output, m):
    """From 4,096 instances on, 64 ranges are summed apart."""
    for n in (4095, 4096, 4097, 6007):
        case = make_case((3, 7, m), "sigmoid", output, loss, n=n, seed=1)
        check_against_reference(case)


@pytest.mark.parametrize("m_out", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 64, 65])
def test_every_edge_of_a_tile(m_out):
    for m_in, n in [(1, 1), (5, 2), (16, 7), (3, 64), (130, 9)]:
        case = make_case((m_in, m_out, 3), "tanh", "identity", "squared_error", n=n, seed=m_out)
        check_against_reference(case)


def check_against_reference(case):
    net, reference = case.network(), case.reference()
    cost, gradient = net.gradient(case.X, case.Y)
    reference_cost, reference_gradient = reference.gradient(case.X, case.Y)
    assert reference_cost == pytest.approx(cost, rel=1e-12)
    assert net.cost(case.X, case.Y) == cost
    assert relative_error(gradient, reference_gradient) < 1e-12
    a, reference_a = net.activations(case.X), reference.activations(case.X)
    assert len(a) == len(reference_a)
    for a_l, reference_a_l in zip(a, reference_a, strict=True):
        assert relative_error(a_l, reference_a_l) < 1e-12
    assert (net.predict(case.X) == a[-1]).all()


@given(
    pair=st.sampled_from(PAIRS),
    hidden=st.lists(st.tuples(st.integers(1, 40), st.sampled_from(HIDDEN)), max_size=4),
    m_in=st.integers(1, 40),
    m_out=st.integers(2, 20),
    n=st.integers(1, 90),
    seed=st.integers(0, 2**32),
)
def test_any_shape(pair, hidden, m_in, m_out, n, seed):
    """Any layers, an activation of its own for each, any pair: the reference within 1e-12."""
    loss, output, m = pair
    layers = (m_in, *(width for width, _ in hidden), 1 if m == 1 else m_out)
    case = make_case(layers, [name for _, name in hidden], output, loss, n=n, seed=seed)
    check_against_reference(case)


@given(n=st.integers(1, 40), widths=st.lists(st.integers(1, 20), min_size=2, max_size=4))
def test_gradient_of_a_sum_is_the_sum_of_gradients(n, widths):
    """Costs and gradients are sums over instances, never means."""
    case = make_case(widths, "tanh", "identity", "squared_error", n=n, seed=n)
    net = case.network()
    cost, gradient = net.gradient(case.X, case.Y)
    parts = [net.gradient(x, y) for x, y in zip(case.X, case.Y, strict=True)]
    assert sum(part[0] for part in parts) == pytest.approx(cost, rel=1e-13)
    assert relative_error(gradient, sum(part[1] for part in parts)) < 1e-12


@pytest.mark.parametrize("z", [-800.0, -300.0, -40.0, -1.0, 1.0, 40.0, 300.0, 800.0])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_saturated_cross_entropies(z, y):
    """delta = a - y, never through log(0) or 0/0, however large |z|."""
    for loss in ("cross_entropy", "binary_cross_entropy"):
        net = dl.Network.from_weights([[[2.0]]], [[z - 2.0]], output="sigmoid", loss=loss)
        exact_cost, exact_gradient = exactly(net, np.ones((1, 1)), np.full((1, 1), y))
        cost, gradient = net.gradient([[1.0]], [[y]])
        assert cost == pytest.approx(exact_cost, rel=1e-14)
        np.testing.assert_allclose(gradient, exact_gradient, rtol=1e-14, atol=2e-16)
    net = dl.Network.from_weights(
        [[[2.0, 1.0]]], [[z - 2.0, -1.0]], output="softmax", loss="cross_entropy"
    )
    X, Y = np.ones((1, 1)), np.array([[y, 1 - y]])
    exact_cost, exact_gradient = exactly(net, X, Y)
    cost, gradient = net.gradient(X, Y)
    assert cost == pytest.approx(exact_cost, rel=1e-14, abs=2e-16)
    np.testing.assert_allclose(gradient, exact_gradient, rtol=1e-14, atol=2e-16)


def exactly(net, X, Y):
    """With the digits that 1 - a needs where a = 1 - exp(-800)."""
    with mp.workdps(400):
        return Oracle(net).gradient(X, Y)


@every_pair
def test_single_unit_is_its_own_network(loss, output, m):
    """Depth 1 with one input: dC/dw = delta x and dC/db = delta."""
    case = make_case((1, m), (), output, loss, n=1, seed=9)
    gradient = case.network().gradient(case.X, case.Y)[1]
    np.testing.assert_allclose(gradient[:m], gradient[m:] * case.X[0, 0], rtol=1e-15)


@pytest.mark.parametrize(
    ("activation", "output"), [("step", "identity"), ("tanh", "step"), ("step", "step")]
)
def test_step_has_a_cost_but_no_gradient(activation, output):
    net = dl.Network([2, 3, 1], activation=activation, output=output, seed=0)
    X, Y = np.ones((4, 2)), np.zeros((4, 1))
    assert net.cost(X, Y) == 0.5 * (net.predict(X) ** 2).sum()
    for call in (
        lambda: net.gradient(X, Y),
        lambda: net.fit(X, Y, solver=dl.GradientDescent(0.1)),
        lambda: net.trainer(dl.GradientDescent(0.1)),
    ):
        with pytest.raises(ValueError, match=r"step.*derivative"):
            call()
