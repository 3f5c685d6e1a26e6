"""Second-order solvers: expected time to an accuracy, solver by solver.

    python benchmarks/second_order.py [--starts 100] [--json FILE]

The problem is sinc, y = sin(10 x) / (10 x) at 1,000 points of [-1, 1], with a 1-20-1 network, tanh
and identity. All solvers begin at the same Nguyen-Widrow starts and use one thread. The expected
time to a goal is the time of all starts, until they reach it or give up, divided by the number of
those that reach it. Each deltaloop row is one fit for each goal; SciPy's are read off its
evaluations.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

import deltaloop as dl

GOALS = (1e-4, 1e-6, 1e-8, 1e-10)
HIDDEN = 20
MAX_ITERATIONS = 1000

X = np.linspace(-1.0, 1.0, 1000).reshape(-1, 1)
Y = np.sinc(10 * X / np.pi)


def nguyen_widrow(seed):
    """A network whose hidden units cover [-1, 1] evenly in the mean.

    Nguyen and Widrow, "Improving the learning speed of 2-layer neural networks by choosing initial
    values of the adaptive weights", IJCNN 1990: directions at random, length 0.7 H^(1/m), biases
    uniform in [-length, length].
    """
    rng = np.random.default_rng(seed)
    net = dl.Network([1, HIDDEN, 1], activation="tanh", output="identity", seed=seed)
    length = 0.7 * HIDDEN
    net.weights[0][:] = length * rng.choice([-1.0, 1.0], size=(1, HIDDEN))
    net.biases[0][:] = rng.uniform(-length, length, size=HIDDEN)
    net.weights[1][:] = rng.uniform(-0.5, 0.5, size=(HIDDEN, 1))
    net.biases[1][:] = rng.uniform(-0.5, 0.5, size=1)
    return net


LM = dl.LevenbergMarquardt
SOLVERS = {
    "trust region": LM(min_gradient=0),
    "trust region, geodesic": LM(min_gradient=0, geodesic=True),
    "trust region, D = I": LM(min_gradient=0, scaling="identity"),
    "Nielsen": LM(min_gradient=0, damping_rule="nielsen"),
    "Nielsen, D = I": LM(min_gradient=0, damping_rule="nielsen", scaling="identity"),
    "fixed, Marquardt's D": LM(min_gradient=0, damping_rule="fixed"),
    "fixed, D = I (trainlm)": LM(min_gradient=0, damping_rule="fixed", scaling="identity"),
    "fixed, D = I, geodesic": LM(
        min_gradient=0, damping_rule="fixed", scaling="identity", geodesic=True
    ),
}


def run_deltaloop(solver, seed):
    """(seconds, iterations, reached) for each goal."""
    rows = []
    for goal in GOALS:
        net = nguyen_widrow(seed)
        result = net.fit(
            X,
            Y,
            solver=solver,
            goal=0.5 * len(X) * goal,
            tol=0,
            max_epochs=MAX_ITERATIONS,
            n_threads=1,
        )
        rows.append((result.seconds, result.epochs, result.stop_reason == "goal"))
    return rows


class Reached(Exception):
    pass


def run_scipy(least_squares, seed):
    """The same for SciPy's wrapper of MINPACK's LMDER, with a Jacobian written by hand."""
    net = nguyen_widrow(seed)
    x, y, h = X[:, 0], Y[:, 0], HIDDEN
    jacobian = np.empty((len(x), 3 * h + 1))
    jacobian[:, -1] = 1.0
    seen, counts = [], [0, 0]
    began = time.perf_counter()

    def residuals(p):
        counts[0] += 1
        e = np.tanh(np.outer(x, p[:h]) + p[h : 2 * h]) @ p[2 * h : -1] + p[-1] - y
        seen.append((time.perf_counter() - began, counts[1], float(e @ e) / len(x)))
        if seen[-1][2] <= GOALS[-1] or counts[0] >= MAX_ITERATIONS:
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
    for goal in GOALS:
        hits = [entry for entry in seen if entry[2] <= goal]
        seconds, iterations, _ = hits[0] if hits else seen[-1]
        rows.append((seconds, iterations, bool(hits)))
    return rows


def summary(runs):
    """Per goal: successes, median iterations of those, expected seconds."""
    cells = []
    for goal in range(len(GOALS)):
        column = [run[goal] for run in runs]
        reached = [c for c in column if c[2]]
        cells.append(
            {
                "mse": GOALS[goal],
                "reached": len(reached),
                "iterations": statistics.median(c[1] for c in reached) if reached else None,
                "seconds": sum(c[0] for c in column) / len(reached) if reached else None,
            }
        )
    return cells


def row(name, cells, starts):
    parts = []
    for cell in cells:
        if cell["seconds"] is None:
            parts.append("never")
        else:
            share = "" if cell["reached"] == starts else f" ({cell['reached']} of {starts})"
            parts.append(f"{1e3 * cell['seconds']:.2f} ms, {cell['iterations']:.0f}{share}")
    return f"| {name} | " + " | ".join(parts) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", help="the row of this name")
    args = parser.parse_args()
    table = {}
    print("| solver | " + " | ".join(f"{goal:g}" for goal in GOALS) + " |")
    print("| --- |" + " --- |" * len(GOALS))
    for name, solver in SOLVERS.items():
        if args.only is None or args.only == name:
            run_deltaloop(solver, 0)
            runs = [run_deltaloop(solver, seed) for seed in range(args.starts)]
            table[name] = summary(runs)
            print(row(name, table[name], args.starts), flush=True)
    name = "SciPy least_squares, MINPACK"
    try:
        from scipy.optimize import least_squares
    except ImportError:
        print(f"{name}: skipped, SciPy is not installed")
    else:
        if args.only is None or args.only == name:
            run_scipy(least_squares, 0)
            table[name] = summary([run_scipy(least_squares, s) for s in range(args.starts)])
            print(row(name, table[name], args.starts))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"runtime": dl.runtime(), "starts": args.starts, "table": table}, file)


if __name__ == "__main__":
    main()
