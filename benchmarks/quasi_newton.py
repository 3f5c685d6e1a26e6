"""L-BFGS and scaled conjugate gradients on sinc, beside other libraries' L-BFGS.

y = sin(10 x) / (10 x), 1,000 points in [-1, 1], a network 1-20-1 (tanh, identity), starts by
Nguyen and Widrow. Two tables in Markdown: the time of an iteration, and the expected time to a
mean squared error, which is the time of all runs over the number that reached it.

    python benchmarks/quasi_newton.py [--only NAME] [--starts 10] [--seconds 5]

Every contender starts from the same parameters; that all see the same cost there is checked. One
that is not installed is skipped by name. Each has a process of its own: NumPy's times depend on
what malloc has done before. It runs with one thread and, for the time of an iteration, with two:
the better counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
from environment import cpus

import deltaloop as dl
from deltaloop.reference import Reference

N, HIDDEN = 1000, 20
X = np.linspace(-1, 1, N).reshape(-1, 1)
Y = np.sinc(10 * X / np.pi)
GOALS = (1e-4, 1e-6, 1e-8)


class Done(Exception):
    """Raised out of a library's loop."""


class Clock:
    """What an objective notes: the time at which each goal was reached first, and when to stop."""

    def __init__(self, iterations: float, seconds: float) -> None:
        self.iterations, self.seconds = iterations, seconds
        self.reached: dict[float, float] = {}
        self.evaluations = 0
        self.done = 0
        self.first = math.nan
        self.began = time.perf_counter()

    def evaluated(self, cost: float) -> None:
        now = time.perf_counter() - self.began
        self.evaluations += 1
        if self.evaluations == 1:
            self.first = cost
        for goal in GOALS:
            if 2 * cost / N <= goal:
                self.reached.setdefault(goal, now)
        if GOALS[-1] in self.reached or now >= self.seconds:
            raise Done

    def iterated(self) -> None:
        self.done += 1
        if self.done >= self.iterations:
            raise Done


def nguyen_widrow(seed: int) -> np.ndarray:
    """Parameters of 1-20-1 in deltaloop's order: hidden tanh units spread over [-1, 1]."""
    rng = np.random.default_rng(seed)
    beta = 0.7 * HIDDEN
    w = beta * rng.choice([-1.0, 1.0], HIDDEN)
    return np.concatenate([w, rng.uniform(-beta, beta, HIDDEN), rng.uniform(-0.5, 0.5, HIDDEN + 1)])


def numpy_objective(w: np.ndarray) -> tuple[float, np.ndarray]:
    """C and its gradient, written for speed."""
    w1, b1, w2, b2 = np.split(w, (HIDDEN, 2 * HIDDEN, 3 * HIDDEN))
    h = np.tanh(X * w1 + b1)
    e = h @ w2
    e += b2
    e -= Y[:, 0]
    delta = np.multiply.outer(e, w2)
    delta *= 1 - h * h
    g = np.concatenate([X[:, 0] @ delta, delta.sum(axis=0), e @ h, [e.sum()]])
    return 0.5 * float(e @ e), g


# ---- the contenders: each runs from start until the clock raises Done, or it gives up ----


class Deltaloop:
    module = "deltaloop"

    def __init__(self, name, solver):
        self.name, self.solver = name, solver

    def run(self, start, clock, threads):
        """Without callbacks, so a goal takes a run of its own, to which its time belongs."""
        goals = GOALS if math.isinf(clock.iterations) else (None,)
        for goal in goals:
            net = dl.Network([1, HIDDEN, 1], activation="tanh", output="identity", seed=0)
            net.parameters[:] = start
            began = time.perf_counter()
            result = net.fit(
                X,
                Y,
                solver=self.solver,
                tol=0,
                goal=None if goal is None else goal * N / 2,
                max_epochs=2**62 if goal else clock.iterations,
                max_time=clock.seconds,
                n_threads=threads,
            )
            clock.first, clock.done = result.initial_cost, result.epochs
            if result.stop_reason == "goal":
                clock.reached[goal] = time.perf_counter() - began
            elif goal is not None:
                break


def reference_objective():
    """The same from reference.py, which is written to be read."""
    sizes = (1, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,)
    shapes = [np.zeros(size) for size in sizes]
    net = Reference(shapes[::2], shapes[1::2], ("tanh",), "identity", "squared_error")

    def objective(w):
        net.parameters[:] = w
        return net.gradient(X, Y)

    return objective


class SciPy:
    module = "scipy"

    def __init__(self, name, gradient):
        self.name, self.gradient = name, gradient

    def run(self, start, clock, threads):
        from scipy.optimize import minimize

        def objective(w):
            cost, g = self.gradient(w)
            clock.evaluated(cost)
            return cost, g

        unlimited = {"maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0, "maxcor": 10}
        minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=lambda w: clock.iterated(),
            options=unlimited,
        )


class ScikitLearn:
    name, module = 'scikit-learn MLPRegressor(solver="lbfgs")', "sklearn"

    def run(self, start, clock, threads):
        from sklearn.neural_network import MLPRegressor

        w1, b1, w2, b2 = np.split(start, (HIDDEN, 2 * HIDDEN, 3 * HIDDEN))
        model = MLPRegressor(
            hidden_layer_sizes=(HIDDEN,),
            activation="tanh",
            solver="lbfgs",
            alpha=0.0,
            tol=0.0,
            max_iter=1,
        )
        model.fit(X, Y[:, 0])
        model.coefs_ = [w1.reshape(1, -1).copy(), w2.reshape(-1, 1).copy()]
        model.intercepts_ = [b1.copy(), b2.copy()]
        model.warm_start, model.max_iter = True, int(min(clock.iterations, 10**9))
        model.max_fun = 10**9
        evaluate = model._loss_grad_lbfgs

        def watched(*arguments, **options):
            loss, g = evaluate(*arguments, **options)
            clock.evaluated(loss * N)
            return loss, g

        model._loss_grad_lbfgs = watched
        clock.began = time.perf_counter()
        model.fit(X, Y[:, 0])
        clock.done = model.n_iter_


class Torch:
    name, module = "PyTorch LBFGS, strong Wolfe", "torch"

    def run(self, start, clock, threads):
        import torch

        torch.set_num_threads(threads)
        net = torch.nn.Sequential(
            torch.nn.Linear(1, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1)
        ).double()
        w1, b1, w2, b2 = np.split(start, (HIDDEN, 2 * HIDDEN, 3 * HIDDEN))
        with torch.no_grad():
            for p, value in zip(net.parameters(), (w1, b1, w2, b2), strict=True):
                p.copy_(torch.from_numpy(value).reshape(p.shape))
        x, y = torch.from_numpy(X), torch.from_numpy(Y)
        solver = torch.optim.LBFGS(
            net.parameters(),
            max_iter=int(min(clock.iterations, 10**9)),
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

        clock.began = time.perf_counter()
        solver.step(closure)
        clock.done = next(iter(solver.state.values()))["n_iter"]


CONTENDERS = [
    Deltaloop("deltaloop LBFGS()", dl.LBFGS()),
    Deltaloop("deltaloop LBFGS(30)", dl.LBFGS(30)),
    Deltaloop("deltaloop ScaledConjugateGradient()", dl.ScaledConjugateGradient()),
    SciPy("SciPy L-BFGS-B, NumPy gradient", numpy_objective),
    SciPy("SciPy L-BFGS-B, reference.py's gradient", reference_objective()),
    ScikitLearn(),
    Torch(),
]


def run(contender, seed: int, iterations: float, seconds: float, threads: int) -> Clock:
    """One run, with so many threads for BLAS too where threadpoolctl is there."""
    clock = Clock(iterations, seconds)
    start = nguyen_widrow(seed)
    limits = None
    if importlib.util.find_spec("threadpoolctl") is not None:
        from threadpoolctl import threadpool_limits

        limits = threadpool_limits(threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clock.began = time.perf_counter()
            contender.run(start, clock, threads)
    except Done:
        pass
    finally:
        clock.seconds = time.perf_counter() - clock.began
        if limits is not None:
            limits.restore_original_limits()
    expected = numpy_objective(start)[0]
    if not abs(clock.first - expected) <= 1e-12 * expected:
        raise SystemExit(f"{contender.name}: starts at C = {clock.first}, not {expected}")
    return clock


def iteration(contender, iterations: int, repeats: int) -> tuple[float, float]:
    """Seconds an iteration, median and best of some runs from different starts."""
    times = []
    for threads in range(1, min(2, cpus()) + 1):
        clocks = [run(contender, s % 3, iterations, 60.0, threads) for s in range(repeats)]
        times.append([clock.seconds / clock.done for clock in clocks])
    return min(statistics.median(t) for t in times), min(map(min, times))


def expected_times(contender, starts: int, seconds: float) -> list[str]:
    """For each goal the expected time, and how many of the starts reached it."""
    clocks = [run(contender, 100 + s, math.inf, seconds, 1) for s in range(starts)]
    row = []
    for goal in GOALS:
        reached = [c.reached[goal] for c in clocks if goal in c.reached]
        spent = sum(reached) + seconds * (starts - len(reached))
        text = "never" if not reached else f"{spent / len(reached):.3g} s"
        row.append(f"{text} ({len(reached)} of {starts})")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="contenders whose name contains this")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a run at most")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--table", choices=["iteration", "goal", "both"], default="both")
    parser.add_argument("--row", help="of this contender alone: what the script asks itself for")
    options = parser.parse_args()
    if options.row is not None:
        (contender,) = [c for c in CONTENDERS if c.name == options.row]
        if options.table == "iteration":
            cells = [
                f"{1e6 * t:.3g} µs"
                for t in iteration(contender, options.iterations, options.repeats)
            ]
        else:
            cells = expected_times(contender, options.starts, options.seconds)
        print(f"| {contender.name} | {' | '.join(cells)} |")
        return
    gradient = dl.Network([1, HIDDEN, 1], activation="tanh", output="identity", seed=0)
    gradient.parameters[:] = nguyen_widrow(0)
    np.testing.assert_allclose(
        numpy_objective(nguyen_widrow(0))[1], gradient.gradient(X, Y)[1], rtol=1e-9, atol=1e-9
    )
    contenders = [c for c in CONTENDERS if options.only.lower() in c.name.lower()]
    for contender in contenders:
        if importlib.util.find_spec(contender.module) is None:
            print(f"skipped, not installed: {contender.name}")
    contenders = [c for c in contenders if importlib.util.find_spec(c.module) is not None]
    heads = {
        "iteration": "| one iteration | median | best |\n| --- | --: | --: |",
        "goal": f"| expected time to an MSE of | {' | '.join(f'{goal:g}' for goal in GOALS)} |\n"
        "| --- | --: | --: | --: |",
    }
    for table in heads if options.table == "both" else (options.table,):
        print(f"\n{heads[table]}", flush=True)
        for contender in contenders:
            again = [sys.executable, __file__, *sys.argv[1:]]
            subprocess.run([*again, "--table", table, "--row", contender.name], check=True)


if __name__ == "__main__":
    main()
