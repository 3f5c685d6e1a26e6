"""How gradients are checked: against mpmath, reference.py and central differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.helpers.cases import HIDDEN, PAIRS
from tests.helpers.compare import relative_error
from tests.helpers.oracle import Oracle


def small_cases(depths):
    """Each depth with each activation, loss and output: parameters of a test of small networks."""
    return pytest.mark.parametrize(
        ("depth", "hidden", "loss", "output", "m"),
        [
            pytest.param(depth, hidden, *pair, id=f"{depth}-{hidden}-{pair[0]}-{pair[1]}")
            for depth, hidden, pair in itertools.product(depths, HIDDEN, PAIRS)
            if depth > 1 or hidden == HIDDEN[0]
        ],
    )


def central_differences(net, X, Y, h=6e-6):
    """The gradient to about h^2, h being near the cube root of the rounding error."""
    w, estimate = net.parameters, np.empty(net.n_parameters)
    for k, p in enumerate(w.copy()):
        sides = []
        for shifted in (p + h, p - h):
            w[k] = shifted
            sides.append(net.cost(X, Y))
        w[k] = p
        estimate[k] = (sides[0] - sides[1]) / (2 * h)
    return estimate


def check_gradient(case, by_differences=1e-6):
    """Against mpmath and reference.py to 1e-12, and against differences; all in norm."""
    X, Y, net = case.X, case.Y, case.network()
    cost, gradient = net.gradient(X, Y)
    exact = Oracle(net)
    exact_cost, exact_gradient = exact.gradient(X, Y)
    assert cost == pytest.approx(exact_cost, rel=1e-13)
    assert net.cost(X, Y) == cost
    assert relative_error(gradient, exact_gradient) < 1e-12
    assert relative_error(net.predict(X), exact.predict(X)) < 1e-13
    reference_cost, reference_gradient = case.reference().gradient(X, Y)
    assert cost == pytest.approx(reference_cost, rel=1e-13)
    assert relative_error(gradient, reference_gradient) < 1e-12
    assert relative_error(central_differences(net, X, Y), gradient) < by_differences
    return exact_gradient
