"""Adam, AdamW, Rprop, schedules and clipping against steps computed one number at a time.

The oracle takes its gradients from ``Network.gradient`` and does everything else in Python floats,
with the FMAs where C has them: parameters and states agree bit for bit.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core, schedules
from deltaloop._fit import run
from deltaloop.cli import main
from tests.helpers.cases import make_case, permutations, xor_data
from tests.helpers.compare import relative_error
from tests.helpers.oracle import mp

N = 23
SEED = 11


def fma(a, b, c):
    """a b + c as the ISA in use computes it."""
    if _core.isa() == "base":
        return a * b + c
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def norm(g):
    """Euclidean norm in 8 lanes."""
    s = [0.0] * 8
    for i, x in enumerate(g):
        s[i % 8] = fma(x, x, s[i % 8])
    return math.sqrt(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))


def clipped(solver, g, length):
    if solver.clip_value is not None:
        return [min(max(x, -solver.clip_value), solver.clip_value) for x in g]
    if solver.clip_norm is not None and length > solver.clip_norm:
        scale = solver.clip_norm / length
        return [scale * x for x in g]
    return g


class ByHand:
    """A solver's steps on a network of its own."""

    def __init__(self, net, solver):
        self.net, self.solver = net, solver
        P = net.n_parameters
        self.m, self.v, self.powers, self.steps = [0.0] * P, [0.0] * P, [1.0, 1.0], 0
        self.norm = math.nan

    def step(self, X, Y, rate):
        g = self.net.gradient(X, Y)[1].tolist()
        self.norm = norm(g)
        w, g = self.net.parameters.tolist(), clipped(self.solver, g, self.norm)
        update = self.adam if isinstance(self.solver, dl.Adam) else self.descent
        self.net.parameters = update(w, g, rate)
        self.steps += 1

    def adam(self, w, g, rate):
        s = self.solver
        self.powers = [self.powers[0] * s.beta1, self.powers[1] * s.beta2]
        rate_t, root = rate / (1 - self.powers[0]), 1 / math.sqrt(1 - self.powers[1])
        keep = 1 - rate * getattr(s, "weight_decay", 0.0)
        self.m = [fma(s.beta1, m, (1 - s.beta1) * x) for m, x in zip(self.m, g, strict=True)]
        self.v = [fma(s.beta2, v, (1 - s.beta2) * x * x) for v, x in zip(self.v, g, strict=True)]
        return [
            fma(keep, x, -(rate_t * m / fma(root, math.sqrt(v), s.epsilon)))
            for x, m, v in zip(w, self.m, self.v, strict=True)
        ]

    def descent(self, w, g, rate):
        mu = self.solver.momentum
        if mu == 0:
            return [fma(-rate, x, y) for x, y in zip(g, w, strict=True)]
        t = [rate * x for x in g]
        self.v = [fma(mu, v, -x) for v, x in zip(self.v, t, strict=True)]
        if self.solver.nesterov:
            return [y + fma(mu, v, -x) for y, v, x in zip(w, self.v, t, strict=True)]
        return [y + v for y, v in zip(w, self.v, strict=True)]


def case_of(loss="squared_error", n=N):
    if loss == "squared_error":
        return make_case((3, 5, 2), "tanh", "identity", loss, n=n, seed=5)
    return make_case((4, 6, 3), "relu", "softmax", loss, n=n, seed=5)


def batches(solver, n, seed):
    """The rows of each step, epoch by epoch."""
    if solver.batch_size is None:
        while True:
            yield [slice(None)]
    orders = permutations(n, seed)
    while True:
        order = next(orders) if solver.shuffle else np.arange(n)
        yield [order[i : i + solver.batch_size] for i in range(0, n, solver.batch_size)]


def check_by_hand(case, solver, epochs, rates=None):
    """Fit, do the same by hand, and compare every bit."""
    net, hand = case.network(), ByHand(case.network(), solver)
    result = net.fit(case.X, case.Y, solver=solver, max_epochs=epochs, tol=0, seed=SEED)
    assert result.epochs == epochs
    all_rows = batches(solver, len(case.X), SEED)
    for epoch in range(epochs):
        rate = solver.learning_rate if rates is None else rates[epoch]
        for rows in next(all_rows):
            hand.step(case.X[rows], case.Y[rows], rate)
    assert np.array_equal(net.parameters, hand.net.parameters)
    assert not np.array_equal(net.parameters, case.network().parameters)
    if isinstance(solver, dl.Adam):
        assert np.array_equal(result.state["m"], hand.m)
        assert np.array_equal(result.state["v"], hand.v)
        assert result.state["powers"].tolist() == hand.powers
        assert result.state["steps"].tolist() == [hand.steps]
    elif solver.momentum:
        assert np.array_equal(result.state["velocity"], hand.v)
    assert result.gradient_norm == hand.norm  # the last one evaluated: before the last step
    return result


BATCHES = {
    "full": {},
    "batches of 5": {"batch_size": 5},
    "in order": {"batch_size": 10, "shuffle": False},
    "online": {"batch_size": 1},
}


def epochs_of(options):
    """Enough for a dozen steps and a second permutation; exact FMAs are slow."""
    return 12 if options == "full" else 2


ADAMS = {
    "default": lambda **o: dl.Adam(**o),
    "fast": lambda **o: dl.Adam(0.1, beta1=0.5, beta2=0.7, epsilon=1e-3, **o),
    "no memory": lambda **o: dl.Adam(0.01, beta1=0.0, beta2=0.0, **o),
    "decay": lambda **o: dl.AdamW(0.05, weight_decay=0.5, **o),
    "clip_norm": lambda **o: dl.Adam(0.01, clip_norm=1.5, **o),
    "clip_value": lambda **o: dl.AdamW(0.01, clip_value=0.1, **o),
}


class TestAdam:
    @pytest.mark.parametrize("options", BATCHES)
    @pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
    @pytest.mark.parametrize("method", ADAMS)
    def test_by_hand(self, method, loss, options):
        check_by_hand(case_of(loss), ADAMS[method](**BATCHES[options]), epochs_of(options))

    def test_from_the_papers(self):
        """The formulas as printed, in NumPy: AdamW and, without decay, Adam."""
        for weight_decay in (0.0, 0.02):
            case = case_of()
            net, other = case.network(), case.network()
            m = v = 0.0
            for t in range(1, 41):
                g = other.gradient(case.X, case.Y)[1]
                m = 0.9 * m + 0.1 * g
                v = 0.999 * v + 0.001 * g**2
                m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
                w = other.parameters
                other.parameters = w - 0.01 * (m_hat / (np.sqrt(v_hat) + 1e-8) + weight_decay * w)
            solver = dl.AdamW(0.01, weight_decay=weight_decay)
            net.fit(case.X, case.Y, solver=solver, max_epochs=40, tol=0)
            assert relative_error(net.parameters, other.parameters) < 1e-12

    @pytest.mark.parametrize("batch_size", [None, 5])
    def test_no_decay_gives_the_bits_of_adam(self, batch_size):
        case, seen = case_of(), []
        solvers = dl.Adam(batch_size=batch_size), dl.AdamW(weight_decay=0.0, batch_size=batch_size)
        for solver in solvers:
            net = case.network()
            net.fit(case.X, case.Y, solver=solver, max_epochs=9, tol=0, seed=1)
            seen.append(net.parameters.copy())
        assert np.array_equal(*seen)

    def test_decay_reaches_the_biases(self):
        """Without a gradient the decay is all there is."""
        net = dl.Network.from_weights([[[1.0]], [[0.0]]], [[2.0], [0.0]], activation="tanh")
        net.fit([[0.0]], [0.0], solver=dl.AdamW(0.1, weight_decay=0.5), max_epochs=1, tol=0)
        assert net.parameters.tolist() == [0.95, 1.9, 0.0, 0.0]

    def test_sums_and_epsilon(self):
        """epsilon is compared with a sum: that of the mean's gradient is n times smaller."""
        case = case_of()
        net, twice = case.network(), case.network()
        net.fit(case.X, case.Y, solver=dl.Adam(0.01, epsilon=0.5), max_epochs=20, tol=0)
        X, Y = np.concatenate([case.X] * 2), np.concatenate([case.Y] * 2)
        twice.fit(X, Y, solver=dl.Adam(0.01, epsilon=1.0), max_epochs=20, tol=0)
        assert relative_error(twice.parameters, net.parameters) < 1e-12

    def test_many_instances(self):
        """From 4,096 instances on a full batch has 64 ranges."""
        case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=4999, seed=5)
        check_by_hand(case, dl.Adam(0.01), epochs=3)
        check_by_hand(case, dl.AdamW(0.01, batch_size=4500, clip_norm=1.0), epochs=2)


DESCENTS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}
CLIPS = {
    "none": {},
    "often": {"clip_norm": 0.5},
    "sometimes": {"clip_norm": 6.0},
    "never": {"clip_norm": 1e6},
    "value": {"clip_value": 0.3},
}


class TestClipping:
    @pytest.mark.parametrize("options", BATCHES)
    @pytest.mark.parametrize("method", DESCENTS)
    @pytest.mark.parametrize("clip", CLIPS)
    def test_by_hand(self, clip, method, options):
        solver = dl.GradientDescent(0.01, **DESCENTS[method], **CLIPS[clip], **BATCHES[options])
        check_by_hand(case_of(), solver, epochs_of(options))

    @pytest.mark.parametrize("method", DESCENTS)
    @pytest.mark.parametrize("batch_size", [None, 1, 5])
    def test_a_limit_that_is_never_reached_changes_no_bit(self, method, batch_size):
        case, seen = case_of(), []
        for clip in ({}, {"clip_norm": 1e6}, {"clip_value": 1e6}):
            net = case.network()
            solver = dl.GradientDescent(0.01, batch_size=batch_size, **DESCENTS[method], **clip)
            result = net.fit(case.X, case.Y, solver=solver, max_epochs=9, tol=0, seed=1)
            seen.append((net.parameters.tobytes(), result.gradient_norm, result.cost))
        assert seen[0] == seen[1] == seen[2]


def rprop_by_hand(net, solver, X, Y, epochs):
    """iRPROP- and iRPROP+ as in the paper's pseudocode; (delta, how often each case came up)."""
    P, sign = net.n_parameters, lambda x: (x > 0) - (x < 0)
    delta, previous, change = [solver.delta_0] * P, [0.0] * P, [0.0] * P
    last, cases = math.inf, {"same": 0, "opposite": 0, "back": 0, "neither": 0}
    for _ in range(epochs):
        cost, g = net.gradient(X, Y)
        g, w = g.tolist(), net.parameters.tolist()
        for i in range(P):
            product = sign(g[i]) * sign(previous[i])
            if product > 0:
                cases["same"] += 1
                delta[i] = min(delta[i] * solver.eta_plus, solver.delta_max)
                change[i] = -sign(g[i]) * delta[i]
                w[i] += change[i]
            elif product < 0:
                cases["opposite"] += 1
                delta[i] = max(delta[i] * solver.eta_minus, solver.delta_min)
                if solver.variant == "plus" and cost > last:
                    cases["back"] += 1
                    w[i] -= change[i]
                g[i] = 0.0
            else:
                cases["neither"] += 1
                change[i] = -sign(g[i]) * delta[i]
                w[i] += change[i]
        net.parameters, previous, last = w, g, cost
    return delta, previous, cases


class TestRprop:
    @pytest.mark.parametrize("variant", ["plus", "minus"])
    @pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"eta_plus": 1.5, "eta_minus": 0.3, "delta_0": 0.02},
            {"delta_0": 0.05, "delta_min": 0.04, "delta_max": 0.07},
        ],
    )
    def test_by_hand(self, options, loss, variant):
        case, solver = case_of(loss), dl.Rprop(variant=variant, **options)
        net, other = case.network(), case.network()
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=60, tol=0)
        delta, previous, cases = rprop_by_hand(other, solver, case.X, case.Y, 60)
        assert np.array_equal(net.parameters, other.parameters)
        assert np.array_equal(result.state["delta"], delta)
        assert np.array_equal(result.state["previous_gradient"], previous)
        assert result.state["previous_cost"][0] == result.cost_history[-2]
        assert min(cases["same"], cases["opposite"], cases["neither"]) > 20
        if variant == "minus":
            assert cases["back"] == 0
        elif "delta_min" in options:
            assert cases["back"] > 20
        assert result.cost == net.cost(case.X, case.Y) < 0.85 * result.initial_cost

    def test_no_move_after_a_change_of_sign(self):
        """C = (w - 1)^2 / 2 from 0.5, in steps of 0.4, 0.48, 0.24, ..."""
        net = dl.Network.from_weights([[[0.5]]], [[0.0]], activation="identity")
        seen = []
        net.fit(
            [[1.0], [-1.0]],  # the bias has no gradient
            [1.0, -1.0],
            solver=dl.Rprop(delta_0=0.4, variant="minus"),
            max_epochs=4,
            tol=0,
            callback=lambda info: seen.append(float(info.network.parameters[0])),
        )
        assert seen == pytest.approx([0.9, 1.38, 1.38, 1.14])

    def test_high_precision(self):
        """No floor under the step sizes stops it far from the minimum."""
        X = np.linspace(-1, 1, 11).reshape(-1, 1)
        for variant in ("plus", "minus"):
            net = dl.Network([1, 1], activation="identity", seed=0)
            net.fit(X, 3 * X - 1, solver=dl.Rprop(variant=variant), max_epochs=2000, tol=0)
            assert net.cost(X, 3 * X - 1) < 1e-25

    def test_tiny_gradients_have_signs(self):
        """Their products would underflow to 0."""
        net = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="identity")
        result = net.fit([[1e-170]], [1.5], solver=dl.Rprop(delta_0=0.1), max_epochs=3, tol=0)
        assert result.state["delta"][0] == 0.1 * 1.2 * 1.2

    def test_no_solver_of_a_trainer(self):
        net = dl.Network([2, 1], seed=0)
        with pytest.raises(ValueError, match="solver must be one that improves"):
            net.trainer(dl.Rprop())

    def test_divergence_names_its_option(self):
        net = dl.Network.from_weights([[[1e154]]], [[0.0]], activation="identity")
        solver = dl.Rprop(delta_0=1e300, delta_max=1e300)
        with pytest.warns(dl.DivergenceWarning, match="Try a smaller delta_max"):
            result = net.fit([[1.0]], [0.0], solver=solver, max_epochs=5)
        assert result.stop_reason == "diverged"
        assert net.parameters.tolist() == [1e154, 0.0]
        assert set(result.state) == {"epochs", "key", "position"}


SCHEDULES = {
    "inverse": schedules.InverseScaling(0.3),
    "inverse, 1": schedules.InverseScaling(0.3, power=1.0),
    "inverse, 0.1": schedules.InverseScaling(2.0, power=0.1),
    "step": schedules.Step(0.3, epochs=7),
    "step, 1": schedules.Step(0.3, epochs=1, gamma=0.95),
    "exponential": schedules.Exponential(0.3, 0.9),
    "rising": schedules.Exponential(1e-6, 1.3),
    "cosine": schedules.Cosine(0.3, epochs=40),
    "cosine, warm": schedules.Cosine(0.3, epochs=31, warmup=6, minimum=0.01),
    "cosine, short": schedules.Cosine(0.3, epochs=1),
    "cosine, warm only": schedules.Cosine(0.3, epochs=10, warmup=9),
}


def closed_formula(s, e):
    """alpha_e in 50 digits."""
    alpha = mp.mpf(s.learning_rate)
    match s:
        case schedules.InverseScaling():
            return alpha / mp.mpf(e) ** mp.mpf(s.power)
        case schedules.Step():
            return alpha * mp.mpf(s.gamma) ** ((e - 1) // s.epochs)
        case schedules.Exponential():
            return alpha * mp.mpf(s.gamma) ** (e - 1)
        case schedules.Cosine():
            if e <= s.warmup:
                return alpha * e / (s.warmup + 1)
            if e > s.epochs:
                return mp.mpf(s.minimum)
            t = mp.mpf(e - 1 - s.warmup) / (s.epochs - s.warmup)
            return s.minimum + (alpha - s.minimum) * (1 + mp.cos(mp.pi * t)) / 2
    raise AssertionError(s)


def rates_of(schedule, epochs):
    """The rates that fits of 1, 2, ... epochs end with."""
    rates = []
    for e in range(1, epochs + 1):
        net = dl.Network([1, 1], activation="identity", seed=0)
        solver = dl.GradientDescent(schedule)
        # The target is met: nothing moves and nothing diverges.
        result = net.fit([[1.0]], net.predict([[1.0]]), solver=solver, max_epochs=e, tol=0)
        rates.append(float(result.state["learning_rate"][0]))
    return rates


def adaptive(schedule, costs):
    """A plateau's rates, from the costs of the epochs."""
    rates, best, bad = [schedule.learning_rate], math.inf, 0
    for cost in costs:
        rate = rates[-1]
        if cost < best - schedule.threshold * abs(best) or best == math.inf:
            best, bad = cost, 0
        else:
            bad += 1
            if bad > schedule.patience:
                rate, bad = max(rate * schedule.factor, schedule.minimum), 0
        rates.append(rate)
    return rates


class TestSchedules:
    @pytest.mark.parametrize("name", SCHEDULES)
    def test_closed_formula(self, name):
        """Exact to a few units of the last place."""
        s = SCHEDULES[name]
        rates = rates_of(s, 50)
        for e, rate in enumerate(rates, 1):
            exact = closed_formula(s, e)
            scale = s.learning_rate if isinstance(s, schedules.Cosine) else exact
            assert abs(rate - exact) <= 50 * 2.0**-53 * scale
        first = s.learning_rate / (getattr(s, "warmup", 0) + 1)
        assert rates[0] == pytest.approx(first, rel=1e-15)

    def test_a_long_cosine(self):
        """The quarter waves meet, and the last rate is small but not 0."""
        s = schedules.Cosine(1.0, epochs=4096)
        for e in (1, 2, 1000, 2048, 2049, 2050, 3000, 4095, 4096, 4097):
            net = dl.Network([1, 1], activation="identity", seed=0)
            Y = net.predict([[1.0]])
            result = net.fit([[1.0]], Y, solver=dl.GradientDescent(s), max_epochs=e, tol=0)
            rate, exact = result.state["learning_rate"][0], closed_formula(s, e)
            assert abs(rate - exact) <= 4e-16 * exact if e <= 4096 else rate == 0

    @pytest.mark.parametrize("options", BATCHES)
    @pytest.mark.parametrize("name", ["inverse", "step", "cosine, warm"])
    @pytest.mark.parametrize("method", ["plain", "nesterov", "Adam", "AdamW", "clip"])
    def test_by_hand(self, method, name, options):
        s = dataclasses.replace(SCHEDULES[name], learning_rate=0.02)
        epochs, options = 9 if options != "online" else 3, BATCHES[options]
        rates = rates_of(s, epochs)
        solver = {
            "plain": lambda: dl.GradientDescent(s, **options),
            "nesterov": lambda: dl.GradientDescent(s, momentum=0.9, nesterov=True, **options),
            "Adam": lambda: dl.Adam(s, **options),
            "AdamW": lambda: dl.AdamW(s, **options),
            "clip": lambda: dl.GradientDescent(s, clip_norm=1.0, **options),
        }[method]()
        result = check_by_hand(case_of(), solver, epochs, rates)
        assert result.state["learning_rate"].tolist() == rates[-1:]

    def test_the_smallest_networks(self):
        """2-2-1, whose epochs and steps have a kernel of their own at a constant rate."""
        X, Y = xor_data()
        s = schedules.Exponential(2.0, 0.9)
        for options in (
            {},
            {"batch_size": 1},
            {"clip_norm": 0.01},
            {"clip_norm": 0.01, "batch_size": 1},
        ):
            solver = dl.GradientDescent(s, **options)
            net, hand = dl.Network([2, 2, 1], seed=1), ByHand(dl.Network([2, 2, 1], seed=1), solver)
            net.fit(X, Y, solver=solver, max_epochs=30, tol=0, seed=SEED)
            rows_of, rates = batches(solver, 4, SEED), rates_of(s, 30)
            for rate in rates:
                for rows in next(rows_of):
                    hand.step(X[rows], Y[rows], rate)
            assert np.array_equal(net.parameters, hand.net.parameters)

    @pytest.mark.parametrize("batch_size", [None, 5])
    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_plateau(self, batch_size, momentum):
        case = case_of()
        s = schedules.Plateau(0.03, factor=0.5, patience=2, threshold=0.05, minimum=0.004)
        solver = dl.GradientDescent(s, momentum=momentum, batch_size=batch_size)
        net, hand = case.network(), ByHand(case.network(), solver)
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=60, tol=0, seed=SEED)
        rates = adaptive(s, result.cost_history[:-1])
        assert len(set(rates)) == 4
        rows_of = batches(solver, N, SEED)
        for rate in rates:
            for rows in next(rows_of):
                hand.step(case.X[rows], case.Y[rows], rate)
        assert np.array_equal(net.parameters, hand.net.parameters)
        assert result.state["learning_rate"].tolist() == rates[-1:]
        best, bad = result.state["plateau"]
        assert best >= result.cost_history[:-1].min()
        assert 0 <= bad <= 2

    def test_a_constant_rate_is_no_part_of_the_state(self):
        case = case_of()
        result = case.network().fit(case.X, case.Y, solver=dl.Adam(), max_epochs=1)
        common = {"parameters", "epochs", "key", "position", "cost"}
        assert set(result.state) == common | {"m", "v", "powers", "steps"}

    def test_no_plateau_for_a_trainer(self):
        net = dl.Network([2, 1], seed=0)
        for solver in (dl.GradientDescent, dl.Adam, dl.AdamW):
            assert net.trainer(solver(schedules.Exponential(0.1, 0.9))).learning_rate == 0.1
            with pytest.raises(ValueError, match="must have a number or another schedule"):
                net.trainer(solver(schedules.Plateau(0.1)))


SOLVERS = {
    "plain": dl.GradientDescent(0.01),
    "clip": dl.GradientDescent(0.01, momentum=0.9, clip_norm=0.5),
    "clip_value": dl.GradientDescent(0.01, clip_value=0.1),
    "nesterov": dl.GradientDescent(0.01, momentum=0.9, nesterov=True),
    "adam": dl.Adam(0.01),
    "adamw, clip": dl.AdamW(0.01, weight_decay=0.1, clip_norm=0.5),
    "cosine": dl.Adam(schedules.Cosine(0.01, epochs=5, warmup=2)),
    "plateau": dl.AdamW(schedules.Plateau(0.1, patience=0, threshold=0.5)),
    "rprop": dl.Rprop(),
    "rprop-": dl.Rprop(variant="minus"),
    "quickprop": dl.Quickprop(),
}
SHAPES = {  # layers, n, batch_size
    "small": ((3, 5, 2), 23, 5),
    "wide": ((20, 45, 70, 3), 90, 32),
    "columns": ((64, 75, 10), 40, 20),
    "column": ((300, 1), 40, 9),
    "ranges": ((3, 5, 2), 4999, 4500),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SOLVERS)
def test_threads_and_chunks(name, shape):
    """The same bits for any number of threads, chunk and slicing."""
    layers, n, batch_size = SHAPES[shape]
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=3)
    solvers = [SOLVERS[name]]
    if "batches" in solvers[0]._takes:
        solvers.append(dataclasses.replace(solvers[0], batch_size=batch_size))
    for solver in solvers:
        seen = set()
        for threads, chunk in ((1, 0), (1, 7), (2, 0), (3, 64), (7, 16)):
            net = case.network()
            net._chunk_rows = chunk
            if threads > 1:
                net._grain = 1.0
            result = net.fit(
                case.X, case.Y, solver=solver, max_epochs=5, tol=0, seed=1, n_threads=threads
            )
            arrays = [net.parameters, result.cost_history, *map(result.state.get, result.state)]
            numbers = [result.cost, result.gradient_norm]
            seen.add((*(a.tobytes() for a in arrays), *numbers))
        assert len(seen) == 1


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("batch_size", [None, 5])
def test_slices(name, batch_size, monkeypatch):
    """Where Python looks after signals and callbacks changes no bit."""
    solver, case, seen = SOLVERS[name], case_of(), set()
    if batch_size is not None and "batches" not in solver._takes:
        return
    if batch_size is not None:
        solver = dataclasses.replace(solver, batch_size=batch_size)
    for work, callback in ((1e6, None), (1.0, None), (1e6, lambda info: None)):
        monkeypatch.setattr(run, "FIRST_WORK", work)
        monkeypatch.setattr(run, "adapted", lambda work, seconds: work)
        net = case.network()
        result = net.fit(
            case.X, case.Y, solver=solver, max_epochs=7, tol=0, seed=1, callback=callback
        )
        arrays = [net.parameters, result.cost_history, *map(result.state.get, result.state)]
        seen.add(tuple(a.tobytes() for a in arrays))
    assert len(seen) == 1


TRAINED = ["plain", "clip", "clip_value", "adam", "adamw, clip"]


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_trainer_takes_the_steps_of_a_fit(name, loss, batch_size):
    case, solver = case_of(loss), SOLVERS[name]
    net, trained = case.network(), case.network()
    trainer = trained.trainer(solver)
    in_order = dataclasses.replace(solver, batch_size=batch_size, shuffle=False)
    result = net.fit(case.X, case.Y, solver=in_order, max_epochs=3, tol=0)
    for epoch in range(3):
        cost = math.fsum(
            trainer.step(case.X[i : i + batch_size], case.Y[i : i + batch_size])
            for i in range(0, N, batch_size)
        )
        assert cost == pytest.approx(result.cost_history[epoch], rel=1e-14)
    assert np.array_equal(net.parameters, trained.parameters)


@pytest.mark.parametrize("name", TRAINED)
def test_a_trainer_takes_no_step_along_infinity(name):
    """Its state stays too: the next step is the first one."""
    case, solver = case_of(), SOLVERS[name]
    net, other = case.network(), case.network()
    trainer = net.trainer(solver)
    assert trainer.step(np.full((2, 3), 1.0), np.full((2, 2), 1e200)) == math.inf
    assert np.array_equal(net.parameters, other.parameters)
    trainer.step(case.X, case.Y)
    other.trainer(solver).step(case.X, case.Y)
    assert np.array_equal(net.parameters, other.parameters)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("solver", [dl.GradientDescent(1e200), dl.Adam(1e200)])
def test_divergence(solver, batch_size):
    case = case_of()
    net, solver = case.network(), dataclasses.replace(solver, batch_size=batch_size)
    with pytest.warns(dl.DivergenceWarning, match="Try a smaller learning_rate"):
        result = net.fit(case.X, case.Y, solver=solver, max_epochs=5, tol=0)
    assert result.stop_reason == "diverged"
    assert math.isnan(result.gradient_norm)
    assert set(result.state) == {"epochs", "key", "position"}
    assert np.isfinite(net.parameters).all()


BAD = [
    (dl.Adam, {"learning_rate": 0.0}, "learning_rate"),
    (dl.Adam, {"learning_rate": math.inf}, "learning_rate"),
    (dl.Adam, {"learning_rate": "0.1"}, "learning_rate"),
    (dl.Adam, {"learning_rate": schedules.Step}, "learning_rate"),
    (dl.Adam, {"beta1": 1.0}, "beta1"),
    (dl.Adam, {"beta1": -0.1}, "beta1"),
    (dl.Adam, {"beta2": 1}, "beta2"),
    (dl.Adam, {"beta2": math.nan}, "beta2"),
    (dl.Adam, {"beta2": None}, "beta2"),
    (dl.Adam, {"epsilon": 0}, "epsilon"),
    (dl.Adam, {"epsilon": math.inf}, "epsilon"),
    (dl.Adam, {"batch_size": 0}, "batch_size"),
    (dl.Adam, {"batch_size": 1.5}, "batch_size"),
    (dl.Adam, {"shuffle": 1}, "shuffle"),
    (dl.Adam, {"clip_norm": 0}, "clip_norm"),
    (dl.Adam, {"clip_norm": math.inf}, "clip_norm"),
    (dl.Adam, {"clip_norm": True}, "clip_norm"),
    (dl.Adam, {"clip_value": -1}, "clip_value"),
    (dl.Adam, {"clip_norm": 1, "clip_value": 1}, "only one of clip_norm and clip_value"),
    (dl.AdamW, {"weight_decay": -0.1}, "weight_decay"),
    (dl.AdamW, {"weight_decay": math.inf}, "weight_decay"),
    (dl.AdamW, {"learning_rate": 0.1, "weight_decay": 10.1}, "weight_decay"),
    (
        dl.AdamW,
        {"learning_rate": schedules.Step(0.1, epochs=1), "weight_decay": 11},
        "weight_decay",
    ),
    (dl.GradientDescent, {"learning_rate": 0.1, "clip_norm": math.nan}, "clip_norm"),
    (dl.GradientDescent, {"learning_rate": 0.1, "clip_value": "1"}, "clip_value"),
    (dl.Rprop, {"eta_plus": 1.0}, "eta_plus"),
    (dl.Rprop, {"eta_plus": math.inf}, "eta_plus"),
    (dl.Rprop, {"eta_minus": 0.0}, "eta_minus"),
    (dl.Rprop, {"eta_minus": 1.0}, "eta_minus"),
    (dl.Rprop, {"delta_0": 0.0}, "delta_0"),
    (dl.Rprop, {"delta_min": -1.0}, "delta_min"),
    (dl.Rprop, {"delta_min": 0.2}, "delta_min must be at most delta_0"),
    (dl.Rprop, {"delta_max": 0.05}, "delta_max must be at least delta_0"),
    (dl.Rprop, {"delta_max": math.inf}, "delta_max"),
    (dl.Rprop, {"variant": "+"}, "variant"),
    (dl.Rprop, {"variant": 1}, "variant"),
    (schedules.InverseScaling, {"learning_rate": 0}, "learning_rate"),
    (schedules.InverseScaling, {"learning_rate": 0.1, "power": 0}, "power"),
    (schedules.Step, {"learning_rate": 0.1, "epochs": 0}, "epochs"),
    (schedules.Step, {"learning_rate": 0.1, "epochs": 2.5}, "epochs"),
    (schedules.Step, {"learning_rate": 0.1, "epochs": 2**70}, "epochs"),
    (schedules.Step, {"learning_rate": 0.1, "epochs": 1, "gamma": 0}, "gamma"),
    (schedules.Exponential, {"learning_rate": 0.1, "gamma": -1}, "gamma"),
    (schedules.Exponential, {"learning_rate": math.nan, "gamma": 0.9}, "learning_rate"),
    (schedules.Cosine, {"learning_rate": 0.1, "epochs": 0}, "epochs"),
    (schedules.Cosine, {"learning_rate": 0.1, "epochs": 5, "warmup": 5}, "warmup"),
    (schedules.Cosine, {"learning_rate": 0.1, "epochs": 5, "warmup": -1}, "warmup"),
    (schedules.Cosine, {"learning_rate": 0.1, "epochs": 5, "minimum": 0.1}, "minimum"),
    (schedules.Plateau, {"learning_rate": 0.1, "factor": 1.0}, "factor"),
    (schedules.Plateau, {"learning_rate": 0.1, "patience": -1}, "patience"),
    (schedules.Plateau, {"learning_rate": 0.1, "threshold": 1.0}, "threshold"),
    (schedules.Plateau, {"learning_rate": 0.1, "minimum": -0.1}, "minimum"),
    (schedules.Plateau, {"learning_rate": True}, "learning_rate"),
]


@pytest.mark.parametrize(("kind", "options", "message"), BAD)
def test_bad_options(kind, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        kind(**options)


def test_a_batch_larger_than_the_data():
    case = case_of()
    net = case.network()
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="batch_size must be at most the number of instances, 23"):
        net.fit(case.X, case.Y, solver=dl.Adam(batch_size=24))
    assert np.array_equal(net.parameters, before)


GIVEN = [
    *SOLVERS.values(),
    dl.AdamW(),
    dl.Rprop(eta_plus=1.3, eta_minus=0.4, delta_0=0.2, delta_min=0.1, delta_max=1.0),
    *SCHEDULES.values(),
    schedules.Plateau(0.1),
]


@pytest.mark.parametrize("given", GIVEN, ids=repr)
def test_objects(given):
    """Immutable values that print as what made them."""
    names = {**vars(dl), **vars(schedules)}
    assert eval(repr(given), names) == given
    assert pickle.loads(pickle.dumps(given)) == given == copy.deepcopy(given)
    assert hash(given) == hash(copy.copy(given))
    with pytest.raises(dataclasses.FrozenInstanceError):
        given.learning_rate = 1.0


def test_integers_become_floats():
    assert dl.Adam(1, beta1=0, clip_norm=2) == dl.Adam(1.0, beta1=0.0, clip_norm=2.0)
    assert type(dl.Adam(1).learning_rate) is float
    assert type(schedules.Step(1, epochs=np.int64(3)).epochs) is int


class TestTorch:
    """Whole trajectories of torch.optim, where it is installed; its gradients are double sums."""

    def run(self, make, solver, steps=60):
        torch = pytest.importorskip("torch")
        case = case_of()
        net = case.network()
        net.fit(case.X, case.Y, solver=solver, max_epochs=steps, tol=0)
        w = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in case.weights]
        b = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in case.biases]
        X, Y = torch.tensor(case.X), torch.tensor(case.Y)
        optimiser = make(torch, [*w, *b])
        scheduler = None
        if isinstance(optimiser, tuple):
            optimiser, scheduler = optimiser
        for _ in range(steps):
            optimiser.zero_grad()
            cost = ((torch.tanh(X @ w[0] + b[0]) @ w[1] + b[1] - Y) ** 2).sum() / 2
            cost.backward()
            optimiser.step()
            if scheduler is not None:
                scheduler.step()
        flat = np.concatenate(
            [t.detach().numpy().ravel() for p in zip(w, b, strict=True) for t in p]
        )
        assert relative_error(net.parameters, flat) < 1e-9

    def test_adam(self):
        self.run(lambda torch, p: torch.optim.Adam(p, lr=0.01), dl.Adam(0.01))

    def test_adamw(self):
        self.run(
            lambda torch, p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
            dl.AdamW(0.01, weight_decay=0.1),
        )

    def test_rprop(self):
        """PyTorch's is iRPROP-."""
        self.run(
            lambda torch, p: torch.optim.Rprop(p, lr=0.1, step_sizes=(0.0, 50.0)),
            dl.Rprop(variant="minus"),
        )

    def test_cosine(self):
        def make(torch, p):
            sgd = torch.optim.SGD(p, lr=0.01)
            return sgd, torch.optim.lr_scheduler.CosineAnnealingLR(sgd, 60, eta_min=0.001)

        self.run(make, dl.GradientDescent(schedules.Cosine(0.01, epochs=60, minimum=0.001)))


class TestCommandLine:
    def run(self, capsys, *argv):
        try:
            status = main(["train", "digits", "--epochs", "3", *argv])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    @pytest.mark.parametrize(
        ("argv", "solver"),
        [
            (["--solver", "gd"], dl.GradientDescent(0.05 / 32, momentum=0.9, batch_size=32)),
            (["--solver", "adam"], dl.Adam(batch_size=32)),
            (
                ["--solver", "adamw", "--learning-rate", "0.01", "--batch-size", "7"],
                dl.AdamW(0.01, batch_size=7),
            ),
            (["--solver", "rprop"], dl.Rprop()),
        ],
    )
    def test_solver(self, argv, solver, capsys):
        status, out, err = self.run(capsys, *argv, "--json")
        assert (status, err) == (0, "")
        result = json.loads(out)
        assert result["solver"] == {"name": type(solver).__name__, **dataclasses.asdict(solver)}
        assert result["epochs"] == 3
        status, out, err = self.run(capsys, *argv, "--verbose")
        assert (status, err) == (0, "")
        assert re.search(rf"^solver   {type(solver).__name__}\b", out, re.MULTILINE)

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (
                ["--solver", "rprop", "--learning-rate", "1"],
                "--learning-rate: --solver rprop has none",
            ),
            (["--solver", "rprop", "--batch-size", "8"], "--batch-size: --solver rprop has none"),
            (["--solver", "adam", "--momentum", "0.5"], "--momentum: --solver adam has none"),
            (
                ["--solver", "adamw", "--batch-size", "9999"],
                "--batch-size: expected at most the 1438",
            ),
            (["--solver", "sgd"], "--solver: expected gd, adam"),
        ],
    )
    def test_wrong_arguments(self, argv, message, capsys):
        status, out, err = self.run(capsys, *argv)
        assert (status, out) == (2, "")
        assert message in err


def test_a_network_that_has_met_other_solvers_is_trained_as_a_new_one():
    rng = np.random.default_rng(0)
    X, Y = rng.random((8, 3)), rng.random((8, 2))
    plain = dl.GradientDescent(0.1)
    solvers = [
        plain,
        dl.GradientDescent(0.1, momentum=0.5),
        plain,
        plain,
        dl.GradientDescent(schedules.Exponential(0.1, 0.5)),
        plain,
        dl.Adam(0.01, batch_size=4, shuffle=False),
        plain,
    ]
    used = dl.Network([3, 4, 2], seed=0)
    for solver in solvers:
        fresh = dl.Network.from_weights(used.weights, used.biases)
        for net in (used, fresh):
            net.fit(X, Y, solver=solver, max_epochs=3, tol=0)
        np.testing.assert_array_equal(used.parameters, fresh.parameters)
