"""Second-order solvers: expected time to a solution, solver by solver.

    python benchmarks/second_order.py [--table sinc|problems|iteration|product] [--only SOLVER]
        [--starts N]

`sinc` is y = sin(10 x) / (10 x) at 1,000 points of [-1, 1] with a 1-20-1 network, tanh and
identity, to several mean squared errors; `problems` are small ones of the kinds that MathWorks
compares its training functions on. All solvers begin at the same Nguyen-Widrow starts and use one
thread. The expected time to a goal is the time of all starts, until they reach it or give up,
divided by the number of those that reach it. Each deltaloop cell is a fit of its own; SciPy's are
read off its evaluations, and need SciPy. `iteration` is the time of one on sinc, `product` that of
J^T J by gram.c, which is linked to a build of the core.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

import deltaloop as dl

MAX_ITERATIONS = 1000
SCIPY = "SciPy least_squares, MINPACK"


@dataclass
class Problem:
    layers: tuple[int, ...]
    X: np.ndarray
    Y: np.ndarray
    goals: tuple[float, ...]  # mean squared errors


def sinc():
    X = np.linspace(-1.0, 1.0, 1000).reshape(-1, 1)
    return Problem((1, 20, 1), X, np.sinc(10 * X / np.pi), (1e-4, 1e-6, 1e-8, 1e-10))


def sine():
    X = np.linspace(-1.0, 1.0, 41).reshape(-1, 1)
    return Problem((1, 5, 1), X, np.sin(np.pi * X), (0.002,))


def parity(bits, *hidden):
    X = np.array(list(itertools.product((-1.0, 1.0), repeat=bits)))
    return Problem((bits, *hidden, 1), X, X.prod(axis=1, keepdims=True), (0.001,))


def engine():
    """Two smooth functions of two inputs, as many rows as the engine data has."""
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (1199, 2))
    u, v = X.T
    Y = np.stack([np.tanh(3 * u) * (1 - v * v), np.exp(-4 * u * u) * v], axis=1)
    return Problem((2, 30, 2), X, Y, (1e-6,))


def spirals():
    t = np.linspace(0.5, 6 * np.pi, 97)
    arm = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / (6 * np.pi)
    Y = np.repeat([1.0, -1.0], len(t)).reshape(-1, 1)
    return Problem((2, 20, 10, 1), np.concatenate([arm, -arm]), Y, (0.01,))


PROBLEMS = {
    "sine 1-5-1": sine(),
    "parity 3-10-10-1": parity(3, 10, 10),
    "parity 5-10-1": parity(5, 10),
    "parity 8-20-1": parity(8, 20),
    "two functions 2-30-2": engine(),
    "two spirals 2-20-10-1": spirals(),
}

RULES = {"Nielsen": "nielsen", "trust region": "trust_region", "fixed": "fixed"}
SCALINGS = {"D = I": "identity", "diagonal": "diagonal"}
SOLVERS = {
    f"{rule}, {scaling}{', geodesic' if geodesic else ''}": dl.LevenbergMarquardt(
        damping_rule=RULES[rule], scaling=SCALINGS[scaling], geodesic=geodesic, min_gradient=0
    )
    for geodesic in (False, True)
    for scaling in SCALINGS
    for rule in RULES
}


def nguyen_widrow(layers, seed):
    """A network whose hidden units divide [-1, 1]^m among them.

    Nguyen and Widrow, "Improving the learning speed of 2-layer neural networks by choosing initial
    values of the adaptive weights", IJCNN 1990: directions at random, length 0.7 H^(1/m), biases
    uniform in [-length, length].
    """
    rng = np.random.default_rng(seed)
    net = dl.Network(layers, activation="tanh", output="identity", seed=seed)
    for w, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
        length = 0.7 * w.shape[1] ** (1 / w.shape[0])
        direction = rng.uniform(-1.0, 1.0, w.shape)
        w[:] = length * direction / np.linalg.norm(direction, axis=0)
        b[:] = rng.uniform(-length, length, b.shape)
    net.weights[-1][:] = rng.uniform(-0.5, 0.5, net.weights[-1].shape)
    net.biases[-1][:] = rng.uniform(-0.5, 0.5, net.biases[-1].shape)
    return net


def run_deltaloop(solver, problem, seed):
    """(seconds, iterations, reached) for each goal."""
    rows = []
    for goal in problem.goals:
        net = nguyen_widrow(problem.layers, seed)
        result = net.fit(
            problem.X,
            problem.Y,
            solver=solver,
            goal=0.5 * problem.Y.size * goal,
            tol=0,
            max_epochs=MAX_ITERATIONS,
            n_threads=1,
        )
        rows.append((result.seconds, result.epochs, result.stop_reason == "goal"))
    return rows


class Reached(Exception):
    pass


def run_scipy(least_squares, problem, seed):
    """The same of a 1-H-1 network for SciPy's LMDER, with a Jacobian written by hand."""
    net = nguyen_widrow(problem.layers, seed)
    x, y, h = problem.X[:, 0], problem.Y[:, 0], problem.layers[1]
    jacobian = np.empty((len(x), 3 * h + 1))
    jacobian[:, -1] = 1.0
    seen, counts = [], [0, 0]
    began = time.perf_counter()

    def residuals(p):
        counts[0] += 1
        e = np.tanh(np.outer(x, p[:h]) + p[h : 2 * h]) @ p[2 * h : -1] + p[-1] - y
        seen.append((time.perf_counter() - began, counts[1], float(e @ e) / len(x)))
        if seen[-1][2] <= problem.goals[-1] or counts[0] >= MAX_ITERATIONS:
            raise Reached
        return e

    def derivative(p):
        counts[1] += 1
        a = np.tanh(np.outer(x, p[:h]) + p[h : 2 * h])
        d = (1.0 - a * a) * p[2 * h : -1]
        jacobian[:, :h] = d * x[:, None]
        jacobian[:, h : 2 * h] = d
        jacobian[:, 2 * h : -1] = a
        return jacobian

    options = dict.fromkeys(("ftol", "xtol", "gtol"), 2.3e-16)
    with contextlib.suppress(Reached):
        least_squares(
            residuals,
            net.parameters,
            derivative,
            method="lm",
            x_scale="jac",
            max_nfev=MAX_ITERATIONS,
            **options,
        )
    rows = []
    for goal in problem.goals:
        hits = [entry for entry in seen if entry[2] <= goal]
        seconds, iterations, _ = hits[0] if hits else seen[-1]
        rows.append((seconds, iterations, bool(hits)))
    return rows


def cells(runs):
    """For each goal: expected time, median iterations of the successes, their number."""
    texts = []
    for column in zip(*runs, strict=True):
        reached = [c for c in column if c[2]]
        if not reached:
            texts.append("never")
            continue
        ms = 1e3 * sum(c[0] for c in column) / len(reached)
        share = "" if len(reached) == len(runs) else f" ({len(reached)} of {len(runs)})"
        texts.append(f"{ms:.3g} ms, {statistics.median(c[1] for c in reached):.0f}{share}")
    return texts


def measured(run, problem, starts):
    run(problem, 0)
    return cells([run(problem, seed) for seed in range(starts)])


def iteration(starts):
    """Processor time of an iteration: of 100 of them on sinc, from each of some starts."""
    times = []
    for seed in range(starts):
        net, problem = nguyen_widrow((1, 20, 1), seed), sinc()
        solver = dl.LevenbergMarquardt(min_gradient=0)
        before = time.thread_time()
        result = net.fit(problem.X, problem.Y, solver=solver, tol=0, max_epochs=100, n_threads=1)
        times.append(1e3 * (time.thread_time() - before) / result.epochs)
    print("| one iteration, ms | median | best |\n| --- | --: | --: |")
    print(f"| 1-20-1, 1,000 points | {statistics.median(times):.3f} | {min(times):.3f} |")


def product():
    """J^T J on one core, by gram.c and machine.c."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        configure = ["cmake", "-S", root, "-B", folder, "-DDELTALOOP_C_TESTS=OFF"]
        subprocess.run(configure, **quiet)
        subprocess.run(["cmake", "--build", folder], **quiet)
        program = f"{folder}/gram"
        sources = [root / "benchmarks" / file for file in ("gram.c", "machine.c")]
        compiler = [os.environ.get("CC", "cc"), "-O2", "-ffp-contract=fast", "-I", root / "csrc"]
        libraries = [f"{folder}/libdeltaloop_core.a", "-lm", "-lpthread"]
        subprocess.run([*compiler, *sources, *libraries, "-o", program], check=True)
        out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    print("| ISA | parameters | J^T J, µs | GFLOP/s | of the peak |")
    print("| --- | --: | --: | --: | --: |")
    for line in out.splitlines():
        isa, N, us, rate, share = line.split()
        print(f"| {isa} | {N} | {float(us):.1f} | {float(rate):.1f} | {float(share):.0f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = ["sinc", "problems", "iteration", "product"]
    parser.add_argument("--table", choices=tables, default="sinc")
    parser.add_argument("--starts", type=int, help="100 of sinc, 30 of each problem")
    parser.add_argument("--only", metavar="SOLVER", help="the row of this name")
    args = parser.parse_args()
    if args.table == "iteration":
        iteration(args.starts or 30)
        return
    if args.table == "product":
        product()
        return
    if args.table == "sinc":
        problems, starts = [sinc()], args.starts or 100
        heads = [f"{goal:g}" for goal in problems[0].goals]
    else:
        problems, starts = list(PROBLEMS.values()), args.starts or 30
        heads = list(PROBLEMS)
    runs = {
        name: lambda problem, seed, solver=solver: run_deltaloop(solver, problem, seed)
        for name, solver in SOLVERS.items()
    }
    if args.table == "sinc":
        try:
            from scipy.optimize import least_squares
        except ImportError:
            print(f"{SCIPY}: skipped, SciPy is not installed")
        else:
            runs[SCIPY] = lambda problem, seed: run_scipy(least_squares, problem, seed)
    print("| solver | " + " | ".join(heads) + " |")
    print("| --- |" + " --- |" * len(heads))
    for name, run in runs.items():
        if args.only in (None, name):
            row = [text for problem in problems for text in measured(run, problem, starts)]
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
