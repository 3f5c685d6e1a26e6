"""The training methods, deltaloop's and other libraries': every table of training takes them here.

A method runs on a problem from the start of a seed until it reaches the goals, each of them in
turn, or its CPU seconds are used up. It runs with one thread, and its time is the CPU time of its
process: what it would take on a core of its own, whoever else uses the machine.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from contender import Blas, Contender
from problems import Floats, Problem

import deltaloop as dl
from deltaloop.schedules import Cosine
from deltaloop.solvers import Solver

# A fit asks its callback so many times for the CPU seconds that it has used: the callbacks cost
# nothing then, and a fit exceeds its limit by 2 %.
ASKED = 50
# Below so many seconds a fit counts with the median of three.
SHORT = 0.01


@dataclass(frozen=True)
class Hit:
    """One goal from one start: when it was reached, or what was spent in vain."""

    seconds: float
    epochs: int
    reached: bool


class Method(Contender):
    """By one thread each."""

    most = 2**62  # iterations

    def __init__(self, name: str) -> None:
        super().__init__(1)
        self.name = name

    def suits(self, problem: Problem) -> bool:
        return True

    def warm(self, problem: Problem, cap: float) -> None:
        """A run that is not counted, before those that are."""
        self.run(problem, 0, min(cap, 0.2))

    def run(self, problem: Problem, seed: int, cap: float) -> list[Hit]:
        """For each goal of the problem."""
        raise NotImplementedError

    def iteration(self, problem: Problem, seed: int, iterations: int) -> float:
        """Seconds of one iteration, on average over so many."""
        raise NotImplementedError


# ---- deltaloop ----


class Deltaloop(Method):
    """One of its solvers; a goal is a fit of its own, so that nothing but the fit is timed."""

    module = "deltaloop"
    peer = False

    def __init__(
        self, name: str, solver: Callable[[Problem], Solver], most: int = Method.most
    ) -> None:
        super().__init__(name)
        self.solver, self.most = solver, most
        self.every = 1  # epochs between two looks at the clock

    def fit(
        self,
        problem: Problem,
        seed: int,
        watch: Callable[[float, dl.EpochInfo], bool],
        **options,
    ) -> tuple[float, dl.FitResult]:
        """CPU seconds, and the result; `watch` is told the seconds so far, and may stop it."""
        net = problem.network(seed)
        settings = {"tol": 0, "max_epochs": self.most, "n_threads": 1} | options
        solver = self.solver(problem)
        began = time.process_time()

        def callback(info: dl.EpochInfo) -> bool:
            return watch(time.process_time() - began, info)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dl.DivergenceWarning)
            result = net.fit(problem.X, problem.Y, solver=solver, callback=callback, **settings)
        return time.process_time() - began, result

    def warm(self, problem: Problem, cap: float) -> None:
        seconds, result = self.fit(problem, 0, lambda now, _: now > cap / ASKED)
        self.every = max(1, round(cap / ASKED * result.epochs / seconds))

    def run(self, problem: Problem, seed: int, cap: float) -> list[Hit]:
        hits: list[Hit] = []
        for goal in problem.goals:
            if hits and not hits[-1].reached:
                hits.append(hits[-1])
                continue

            def once(goal: float = goal) -> tuple[float, dl.FitResult]:
                options = {"goal": problem.cost(goal), "callback_every": self.every}
                return self.fit(problem, seed, lambda now, _: now > cap, **options)

            seconds, result = once()
            if seconds < SHORT:
                seconds = statistics.median([seconds, once()[0], once()[0]])
            hits.append(Hit(seconds, result.epochs, result.stop_reason == "goal"))
        return hits

    def iteration(self, problem: Problem, seed: int, iterations: int) -> float:
        options = {"max_epochs": iterations, "callback_every": iterations}
        seconds, result = self.fit(problem, seed, lambda *_: False, **options)
        return seconds / result.epochs

    def curve(self, problem: Problem, seed: int, cap: float) -> list[tuple[float, float]]:
        """CPU seconds and mean squared errors, 2 % or more apart in time."""
        points: list[tuple[float, float]] = []

        def note(now: float, info: dl.EpochInfo) -> bool:
            if not points or now > 1.02 * points[-1][0]:
                points.append((now, 2 * info.cost / problem.Y.size))
            return now > cap

        # Callbacks every 0.1 ms take 2 % of the time.
        every = max(1, round(self.every * 1e-4 * ASKED / cap))
        self.fit(problem, seed, note, callback_every=every)
        return points


def fixed(solver: Solver) -> Callable[[Problem], Solver]:
    return lambda problem: solver


def rate(index: int, problem: Problem) -> float:
    """A tuned learning rate; those of gradient descent are for means, costs here are sums."""
    value = problem.rates[index]
    return value / len(problem.X) if index < 2 else value


RULES = {"Nielsen": "nielsen", "trust region": "trust_region", "fixed": "fixed"}
SCALINGS = {"D = I": "identity", "diagonal": "diagonal"}
# Least squares gives up after so many iterations, SciPy's too.
MOST = 1000
DEFAULT = "Nielsen, D = I"

LEAST_SQUARES = [
    Deltaloop(
        f"{rule}, {scaling}{', geodesic' if geodesic else ''}",
        fixed(
            dl.LevenbergMarquardt(
                damping_rule=RULES[rule],
                scaling=SCALINGS[scaling],
                geodesic=geodesic,
                min_gradient=0,
            )
        ),
        most=MOST,
    )
    for geodesic in (False, True)
    for rule in RULES
    for scaling in SCALINGS
]

# One epoch of sinc takes about 40 us: the schedule ends when the time does.
ADAM_EPOCHS = 20_000

GRADIENTS = [
    Deltaloop("LBFGS()", fixed(dl.LBFGS())),
    Deltaloop("LBFGS(30)", fixed(dl.LBFGS(30))),
    Deltaloop("ScaledConjugateGradient()", fixed(dl.ScaledConjugateGradient())),
    Deltaloop("Rprop()", fixed(dl.Rprop())),
    Deltaloop(
        "Adam, full batch, cosine",
        lambda problem: dl.Adam(Cosine(rate(2, problem), epochs=ADAM_EPOCHS)),
        most=ADAM_EPOCHS,
    ),
]

# The columns of the table of problems.
SOLVERS = [
    Deltaloop("GradientDescent", lambda problem: dl.GradientDescent(rate(0, problem))),
    Deltaloop(
        "with momentum 0.9", lambda problem: dl.GradientDescent(rate(1, problem), momentum=0.9)
    ),
    Deltaloop("Adam", lambda problem: dl.Adam(rate(2, problem))),
    Deltaloop("Rprop", fixed(dl.Rprop())),
    Deltaloop("SCG", fixed(dl.ScaledConjugateGradient())),
    Deltaloop("LBFGS", fixed(dl.LBFGS())),
    Deltaloop("LM", fixed(dl.LevenbergMarquardt())),
    Deltaloop("trainlm", fixed(dl.LevenbergMarquardt.trainlm())),
    Deltaloop("Bayesian", fixed(dl.BayesianRegularization())),
]


# ---- peers: networks 1-H-1 with tanh, the squared error and one identity output ----


class Done(Exception):
    """Raised out of a library's loop."""


class Clock:
    """What an objective notes: when each goal was reached first, and when to stop."""

    def __init__(self, problem: Problem, cap: float, most: float) -> None:
        self.goals = [problem.cost(goal) for goal in problem.goals]
        self.cap, self.most = cap, most
        self.hits: dict[float, Hit] = {}
        self.first = math.nan
        self.iterations = 0
        self.evaluations = 0
        self.began = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self.began

    def evaluated(self, cost: float) -> None:
        now = self.seconds
        self.evaluations += 1
        if self.evaluations == 1:
            self.first = cost
        for goal in self.goals:
            if cost <= goal:
                self.hits.setdefault(goal, Hit(now, self.iterations, True))
        if self.goals[-1] in self.hits or now > self.cap:
            raise Done

    def iterated(self) -> None:
        self.iterations += 1
        if self.iterations >= self.most:
            raise Done


class Peer(Method, Blas):
    """Runs from the given parameters until the clock raises Done, or it gives up."""

    def suits(self, problem: Problem) -> bool:
        layers = problem.layers
        return len(layers) == 3 and layers[0] == layers[2] == 1 and problem.output == "identity"

    def optimise(self, problem: Problem, start: Floats, clock: Clock) -> None:
        raise NotImplementedError

    def clocked(self, problem: Problem, seed: int, cap: float, most: float) -> Clock:
        self.use()
        start = problem.network(seed).parameters.copy()
        clock = Clock(problem, cap, most)
        with warnings.catch_warnings(), contextlib.suppress(Done):
            warnings.simplefilter("ignore")
            self.optimise(problem, start, clock)
        expected = problem.network(seed).cost(problem.X, problem.Y)
        if not abs(clock.first - expected) <= 1e-12 * expected:
            raise SystemExit(f"{self.name}: starts at C = {clock.first}, not {expected}")
        return clock

    def run(self, problem: Problem, seed: int, cap: float) -> list[Hit]:
        clock = self.clocked(problem, seed, cap, self.most)
        spent = Hit(clock.seconds, clock.iterations, False)
        return [clock.hits.get(goal, spent) for goal in clock.goals]

    def iteration(self, problem: Problem, seed: int, iterations: int) -> float:
        clock = self.clocked(problem, seed, math.inf, iterations)
        return clock.seconds / clock.iterations


def parts(w: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """w1 (H,), b1 (H,), w2 (H,) and b2 (1,) of the parameters of 1-H-1."""
    h = (len(w) - 1) // 3
    return w[:h], w[h : 2 * h], w[2 * h : -1], w[-1:]


def objective(problem: Problem, w: Floats) -> tuple[float, Floats]:
    """C and its gradient in NumPy, written for speed."""
    w1, b1, w2, b2 = parts(w)
    X = problem.X
    h = np.tanh(X * w1 + b1)
    e = h @ w2
    e += b2
    e -= problem.Y[:, 0]
    delta = np.multiply.outer(e, w2)
    delta *= 1 - h * h
    g = np.concatenate([X[:, 0] @ delta, delta.sum(axis=0), e @ h, [e.sum()]])
    return 0.5 * float(e @ e), g


def residuals(problem: Problem, w: Floats) -> Floats:
    """The errors e (n,)."""
    w1, b1, w2, b2 = parts(w)
    return np.tanh(problem.X * w1 + b1) @ w2 + b2 - problem.Y[:, 0]


def jacobian(problem: Problem, w: Floats, out: Floats) -> Floats:
    """Their derivatives (n, P), into an array whose last column is 1."""
    w1, b1, w2, _ = parts(w)
    h = len(w1)
    a = np.tanh(problem.X * w1 + b1)
    d = (1.0 - a * a) * w2
    np.multiply(d, problem.X, out=out[:, :h])
    out[:, h : 2 * h] = d
    out[:, 2 * h : -1] = a
    return out


class LeastSquares(Peer):
    """MINPACK's LMDER, with its scaling by the Jacobian's columns."""

    module = "scipy"
    most = MOST

    def optimise(self, problem: Problem, start: Floats, clock: Clock) -> None:
        from scipy.optimize import least_squares

        J = np.ones((len(problem.X), len(start)))

        def errors(w):
            e = residuals(problem, w)
            clock.evaluated(0.5 * float(e @ e))
            return e

        def derivatives(w):
            clock.iterated()
            return jacobian(problem, w, J)

        least_squares(
            errors,
            start,
            derivatives,
            method="lm",
            x_scale="jac",
            max_nfev=10**9,
            **dict.fromkeys(("ftol", "xtol", "gtol"), np.finfo(float).eps),
        )


class Lbfgsb(Peer):
    module = "scipy"

    def optimise(self, problem: Problem, start: Floats, clock: Clock) -> None:
        from scipy.optimize import minimize

        def evaluate(w):
            cost, g = objective(problem, w)
            clock.evaluated(cost)
            return cost, g

        unlimited = {"maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0, "maxcor": 10}
        minimize(
            evaluate,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=lambda w: clock.iterated(),
            options=unlimited,
        )


class ScikitLearn(Peer):
    module = "sklearn"

    def optimise(self, problem: Problem, start: Floats, clock: Clock) -> None:
        from sklearn.neural_network import MLPRegressor

        w1, b1, w2, b2 = (v.copy() for v in parts(start))
        X, y = problem.X, problem.Y[:, 0]
        model = MLPRegressor(
            hidden_layer_sizes=w1.shape,
            activation="tanh",
            solver="lbfgs",
            alpha=0.0,
            tol=0.0,
            max_iter=1,
        )
        model.fit(X, y)
        model.coefs_, model.intercepts_ = [w1[None, :], w2[:, None]], [b1, b2]
        model.warm_start, model.max_iter = True, int(min(clock.most, 10**9))
        model.max_fun = 10**9
        evaluate = model._loss_grad_lbfgs

        def watched(*arguments, **options):
            loss, g = evaluate(*arguments, **options)
            clock.evaluated(loss * len(X))
            return loss, g

        model._loss_grad_lbfgs = watched
        clock.began = time.process_time()
        try:
            model.fit(X, y)
        finally:
            clock.iterations = getattr(model, "n_iter_", 0)


class Torch(Peer):
    module = "torch"

    def optimise(self, problem: Problem, start: Floats, clock: Clock) -> None:
        import torch

        torch.set_num_threads(1)
        h = problem.layers[1]
        net = torch.nn.Sequential(
            torch.nn.Linear(1, h), torch.nn.Tanh(), torch.nn.Linear(h, 1)
        ).double()
        with torch.no_grad():
            for p, value in zip(net.parameters(), parts(start), strict=True):
                p.copy_(torch.from_numpy(value).reshape(p.shape))
        x, y = torch.from_numpy(problem.X), torch.from_numpy(problem.Y)
        solver = torch.optim.LBFGS(
            net.parameters(),
            max_iter=int(min(clock.most, 10**9)),
            max_eval=10**9,
            history_size=10,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure():
            solver.zero_grad()
            cost = 0.5 * (net(x) - y).square().sum()
            cost.backward()
            clock.evaluated(cost.item())
            return cost

        clock.began = time.process_time()
        solver.step(closure)
        clock.iterations = next(iter(solver.state.values()))["n_iter"]


PEERS = [
    LeastSquares('SciPy `least_squares(method="lm")`, NumPy Jacobian'),
    Lbfgsb("SciPy `L-BFGS-B`, NumPy gradient"),
    ScikitLearn('scikit-learn `MLPRegressor(solver="lbfgs")`'),
    Torch("PyTorch `LBFGS`, strong Wolfe"),
]
