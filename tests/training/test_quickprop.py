"""Quickprop against steps computed one number at a time, and against closed formulas.

The oracle takes its gradients from ``Network.gradient`` and does everything else in Python floats:
parameters and states agree bit for bit.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.cli import main
from tests.helpers.cases import make_case, xor_data


def by_hand(net, solver, X, Y, epochs):
    """Fahlman's rule; (steps, slopes, how often each case came up)."""
    P = net.n_parameters
    step, previous = [0.0] * P, [0.0] * P
    epsilon = 0.7 / len(X) if solver.epsilon is None else solver.epsilon
    shrink = solver.mu / (1.0 + solver.mu)
    cases = {"first": 0, "limited": 0, "jump": 0, "back": 0}
    for _ in range(epochs):
        g, w = net.gradient(X, Y)[1].tolist(), net.parameters.tolist()
        for j in range(P):
            s, p = g[j] + solver.decay * w[j], step[j]
            if p == 0:
                cases["first"] += 1
                d = -epsilon * s
            else:
                # As Fahlman has it, with slopes that point downhill.
                slope, before = (-s, -previous[j]) if p > 0 else (s, previous[j])
                d = epsilon * slope if slope > 0 else 0.0
                if slope > 0 and slope >= shrink * before:
                    cases["limited"] += 1
                    d += solver.mu * abs(p)
                else:
                    cases["jump" if slope > 0 else "back"] += 1
                    d += abs(p) * (slope / (before - slope))
                d = d if p > 0 else -d
            step[j], previous[j] = d, s
            w[j] += d
        net.parameters = w
    return step, previous, cases


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize(
    "options", [{}, {"epsilon": 0.05, "decay": 0.0}, {"mu": 1.1, "decay": 0.01}]
)
def test_by_hand(options, loss):
    output = "softmax" if loss == "cross_entropy" else "identity"
    case = make_case((4, 5, 3), "tanh", output, loss, n=23, seed=11)
    solver, net, other = dl.Quickprop(**options), case.network(), case.network()
    result = net.fit(case.X, case.Y, solver=solver, max_epochs=40, tol=0)
    step, previous, cases = by_hand(other, solver, case.X, case.Y, 40)
    assert np.array_equal(net.parameters, other.parameters)
    assert np.array_equal(result.state["step"], step)
    assert np.array_equal(result.state["previous_gradient"], previous)
    assert cases["first"] == net.n_parameters
    assert min(cases["limited"], cases["jump"], cases["back"]) > 20
    assert result.cost == net.cost(case.X, case.Y) < 0.9 * result.initial_cost


def parameters_after(solver, epochs, target=1.0):
    """The weights on the way from 0 to the minimum of C = 2 (w - target)^2 / 2."""
    net = dl.Network.from_weights([[[0.0]]], [[0.0]], activation="identity")
    seen = []
    net.fit(
        [[1.0], [-1.0]],  # the bias has no gradient
        [target, -target],
        solver=solver,
        max_epochs=epochs,
        tol=0,
        callback=lambda info: seen.append(float(info.network.parameters[0])),
    )
    return seen


def test_a_parabola_is_minimised_by_its_second_step():
    """From 0 by -epsilon s = 2 epsilon; then by p s / (s_before - s), which is what is left."""
    epsilon = 0.25
    first, second = parameters_after(dl.Quickprop(epsilon, decay=0.0, mu=100.0), 2)
    assert first == 2 * epsilon
    # What is left of the way, and the linear part as well, as the slope has kept its sign.
    assert second == pytest.approx(1.0 + epsilon * 2 * (1.0 - first), rel=1e-15)
    overshot = parameters_after(dl.Quickprop(0.75, decay=0.0), 2)
    assert overshot == pytest.approx([1.5, 1.0], rel=1e-15)


def test_steps_grow_at_most_by_mu():
    epsilon, mu = 1e-3, 1.5
    w = [0.0, *parameters_after(dl.Quickprop(epsilon, decay=0.0, mu=mu), 6)]
    steps = np.diff(w)
    slopes = [2 * (x - 1.0) for x in w[:-1]]
    for k in range(1, 6):
        assert steps[k] == pytest.approx(mu * steps[k - 1] - epsilon * slopes[k], rel=1e-12)


def test_epsilon_by_default_is_that_of_fann():
    assert parameters_after(dl.Quickprop(decay=0.0), 1) == [0.7 / 2 * 2.0]
    assert parameters_after(dl.Quickprop(0.35, decay=0.0), 1) == [0.7 / 2 * 2.0]


@pytest.mark.parametrize("w", [1e-3, 1.0, 100.0])
def test_epsilon_by_default_follows_the_weights(w):
    """Weights w for all make costs and slopes w times as large, and no step different."""
    case = make_case((4, 5, 3), "tanh", "softmax", "cross_entropy", n=23, seed=11)
    net, other = case.network(), case.network()
    solver = dl.Quickprop(decay=0.0)
    s = np.full(23, w)
    net.fit(case.X, case.Y, solver=solver, max_epochs=12, tol=0, sample_weight=s)
    other.fit(case.X, case.Y, solver=solver, max_epochs=12, tol=0)
    np.testing.assert_allclose(net.parameters, other.parameters, rtol=1e-9)


def test_decay_is_part_of_the_slopes_and_not_of_the_cost():
    net = dl.Network.from_weights([[[2.0]]], [[3.0]], activation="identity")
    result = net.fit([[0.0]], [3.0], solver=dl.Quickprop(0.5, decay=0.25), max_epochs=1)
    assert result.initial_cost == 0.0
    assert net.parameters.tolist() == [2.0 - 0.5 * 0.25 * 2.0, 3.0 - 0.5 * 0.25 * 3.0]


def test_a_slope_of_zero_stands_still():
    """No 0/0 where slopes before and now are both 0, and none after a jump that ends on one."""
    net = dl.Network.from_weights([[[2.0]]], [[0.0]], activation="identity")
    result = net.fit([[0.0]], [0.0], solver=dl.Quickprop(0.5, decay=0.0), max_epochs=4, tol=0)
    assert net.parameters.tolist() == [2.0, 0.0]
    assert result.state["step"].tolist() == [0.0, 0.0]
    w = parameters_after(dl.Quickprop(0.5, decay=0.0), 5)
    assert w == [1.0] * 5


def test_xor_from_every_start():
    X, Y = xor_data()
    for seed in range(30):
        net = dl.Network([2, 4, 1], seed=seed)
        result = net.fit(X, Y, solver=dl.Quickprop(), goal=1e-2, max_epochs=2000, tol=0)
        assert result.stop_reason == "goal", seed


def test_divergence_names_its_option():
    net = dl.Network.from_weights([[[1e100]]], [[0.0]], activation="identity")
    with pytest.warns(dl.DivergenceWarning, match="Try a smaller epsilon"):
        result = net.fit([[1.0]], [0.0], solver=dl.Quickprop(1e200), max_epochs=5)
    assert result.stop_reason == "diverged"
    assert net.parameters.tolist() == [1e100, 0.0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("side", [0, 1])
def test_a_state_that_no_fit_leaves(side, wrong):
    """A step uphill, or after a slope of 0, would divide by 0."""
    case = make_case((2, 1), (), "identity", "squared_error", n=9, seed=1)
    solver, net = dl.Quickprop(), case.network()
    state = dict(net.fit(case.X, case.Y, solver=solver, max_epochs=3, tol=0).state)
    state["step"] = state["step"].copy()
    before = net.parameters.copy()
    state["step"][side] = (
        -wrong * state["step"][side]
        if math.isnan(wrong)
        else (abs(wrong) * np.sign(state["previous_gradient"][side]))
    )
    with pytest.raises(ValueError, match="'step'"):
        net.fit(case.X, case.Y, solver=solver, max_epochs=6, resume=state)
    assert np.array_equal(net.parameters, before)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epsilon": 0.0}, "epsilon must be in"),
        ({"epsilon": math.inf}, "epsilon must be in"),
        ({"mu": 0.0}, "mu must be in"),
        ({"mu": math.nan}, "mu must be in"),
        ({"decay": -1e-4}, "decay must be in"),
        ({"decay": math.inf}, "decay must be in"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(ValueError, match=match):
        dl.Quickprop(**options)


def test_types_are_refused():
    with pytest.raises(TypeError, match="mu must be a real number"):
        dl.Quickprop(mu="1.75")
    with pytest.raises(TypeError, match="epsilon must be a real number"):
        dl.Quickprop(True)


def test_on_the_command_line(capsys):
    options = ["--solver", "quickprop", "-o", "mu=1.5", "--epochs", "60"]
    assert main(["train", "digits", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.9


def test_in_the_estimators():
    exceptions = pytest.importorskip("sklearn.exceptions")
    from deltaloop.sklearn import MLPClassifier

    X, y = dl.datasets.load_digits()
    model = MLPClassifier((20,), solver="quickprop", alpha=0, random_state=0, max_iter=60)
    with pytest.warns(exceptions.ConvergenceWarning):
        model.fit(X[:600] / 16, y[:600])
    assert model.score(X[600:] / 16, y[600:]) > 0.8
