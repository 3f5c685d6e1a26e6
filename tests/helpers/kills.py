"""Fits that are killed at random moments and go on, until they are done: always the same bytes.

Each attempt is a process of its own, forked from this one, that runs the same call: it begins, or
goes on from the file. It is killed by SIGKILL after a random time, while it trains or writes. When
one comes to its end, what it found must be what a fit without a file finds. Run it by hand for many
kills; docs/reference/checkpoints.md has the result.

    python -m tests.helpers.kills --kills 1000
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings

import numpy as np

import deltaloop as dl
from deltaloop._fit import autosave, stages

# Seconds after which an attempt that was not killed must be over.
LIMIT = 120.0

RNG = np.random.default_rng(16)
X, Y = RNG.normal(size=(400, 5)), RNG.normal(size=(400, 2))

CASES = {
    "gd": {"solver": dl.GradientDescent(1e-4, momentum=0.9), "max_epochs": 300},
    "mini-batches": {"solver": dl.Adam(1e-3, batch_size=7), "max_epochs": 40},
    "dropout": {"solver": dl.Adam(1e-3, batch_size=32), "max_epochs": 60, "dropout": 0.2},
    "schedule": {
        "solver": dl.GradientDescent(dl.schedules.Plateau(1e-3, patience=3), batch_size=16),
        "max_epochs": 60,
    },
    "patience": {
        "solver": dl.Adam(1e-2, batch_size=32),
        "max_epochs": 400,
        "validation": 0.2,
        "patience": 40,
    },
    "rprop": {"solver": dl.Rprop(), "max_epochs": 200},
    "lbfgs": {"solver": dl.LBFGS(), "max_epochs": 150},
    "scg": {"solver": dl.ScaledConjugateGradient(), "max_epochs": 150},
    "levenberg": {"solver": dl.LevenbergMarquardt(), "max_epochs": 60},
    "bayesian": {"solver": dl.BayesianRegularization(), "max_epochs": 60},
    "chain": {
        "solver": [dl.Adam(1e-3, batch_size=16), dl.LBFGS(), dl.LevenbergMarquardt()],
        "max_epochs": [20, 60, 30],
    },
    "chosen": {"max_epochs": 80, "scale": "standard"},
}


def outcome(name: str, path: str | None) -> bytes:
    """Run the fit of a case, with a file or without one; all that it finds, as bytes."""
    warnings.simplefilter("ignore")
    net = dl.Network([5, 12, 2], activation="tanh", output="identity", seed=3)
    n = 60 if name == "chosen" else len(X)  # else most of the time were its trials
    options = CASES[name] | {"tol": 1e-7, "seed": 7, "n_threads": 1}
    if path is not None:
        options |= {"checkpoint": path, "resume": path, "checkpoint_every": 0.0}
    result = net.fit(X[:n], Y[:n], **options)
    history = result.history
    kept = [net.parameters, history.cost, history.validation_cost, history.learning_rate]
    kept += [history.gradient_norm, *(result.state[key] for key in sorted(result.state))]
    facts = result.epochs, result.stop_reason, result.cost, result.initial_cost, result.l2
    facts += result.best_epoch, result.validation_cost, result.gradient_norm, result.choice
    facts += result.message, [(s.epochs, s.stop_reason, s.cost) for s in result.stages]
    return pickle.dumps([[np.asarray(array).tobytes() for array in kept], repr(facts)])


def attempt(name: str, path: str, seconds: float | None) -> tuple[bytes | None, str]:
    """Run a case in a process, and kill it after so many seconds; what it found, or nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            found = outcome(name, path)
            with open(writing, "wb") as file:
                file.write(found)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    try:
        found, end = b"", time.monotonic() + LIMIT
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        while True:
            ready, _, _ = select.select([reading], [], [], max(end - time.monotonic(), 0.0))
            if not ready:
                os.kill(child, signal.SIGKILL)
                return None, "an attempt that was not killed did not end"
            part = os.read(reading, 1 << 16)
            if not part:
                break
            found += part
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None, ""
    return found, "" if os.WEXITSTATUS(status) == 0 else "an attempt failed"


def run(kills: int, seed: int, names: list[str] | None = None) -> dict:
    """Kill attempts so often, case after case; what was counted. AssertionError for a difference.

    Attempts live up to half the time of one that is not killed. Files are written as often as they
    can be.
    """
    rng = random.Random(seed)
    share, slice_, first = autosave.SHARE, stages.SLICE, stages.FIRST_WORK
    # Fits of a moment: many writings, between many slices.
    autosave.SHARE, stages.SLICE, stages.FIRST_WORK = 1.0, 0.0005, 1e4
    counts = {"kills": 0, "in writing": 0, "before the first file": 0, "within an epoch": 0}
    counts |= {"runs": 0, "after the end": 0}
    try:
        expected: dict[str, bytes] = {}
        longest: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.safetensors")
            while counts["kills"] < kills:
                name = (names or list(CASES))[counts["runs"] % len(names or CASES)]
                if name not in expected:
                    began = time.monotonic()
                    found, wrong = attempt(name, path, None)
                    longest[name] = 0.5 * (time.monotonic() - began)
                    assert not wrong, f"{name}: {wrong}"
                    expected[name] = outcome(name, None)
                    assert found == expected[name], f"{name}: other bytes"
                    os.unlink(path)
                counts["runs"] += 1
                while True:
                    last = counts["kills"] >= kills
                    seconds = None if last else longest[name] * rng.random()
                    found, wrong = attempt(name, path, seconds)
                    assert not wrong, f"{name}: {wrong}"
                    if found is not None:
                        assert found == expected[name], f"{name}: other bytes"
                        break
                    counts["kills"] += 1
                    left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
                    counts["in writing"] += bool(left)
                    if not os.path.exists(path):
                        counts["before the first file"] += 1
                        continue
                    kept = autosave._files.read(path)  # always whole
                    counts["within an epoch"] += "epoch_row" in kept.state
                    counts["after the end"] += kept.reason != ""
                    if left and rng.random() < 0.5:  # else the next attempt removes it
                        os.unlink(os.path.join(folder, left[0]))
                os.unlink(path)
                assert not [n for n in os.listdir(folder) if n.endswith(".tmp")]
    finally:
        autosave.SHARE, stages.SLICE, stages.FIRST_WORK = share, slice_, first
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    for key, count in run(args.kills, args.seed).items():
        print(f"{key:24}{count:6,}")
    print(f"all bytes equal; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
