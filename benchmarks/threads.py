"""One thread and the library's choice, side by side, in each state of the machine.

Run `python benchmarks/threads.py [--seconds 4] [--cells WORD...] [--states quiet,busy,pinned]`.

The two virtual CPUs of a cloud machine are two cores at one moment and two threads of one core at
the next. So the state is measured before and after each pair of calls, and pairs within which it
changed are left out. In the state `busy` another process holds one CPU; in `pinned` all threads of
this process are held to one CPU, and are asked for nevertheless.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import machine
import numpy as np

import deltaloop as dl

SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"

# Rounds of multiply-adds of a look at the state: some microseconds.
ROUNDS = 2000
# Seconds between calls whose workers are to fall asleep, and the end of the names of these cells.
PAUSE, APART = 2e-3, ", apart"
TWO_CORES, ONE_CORE, CHANGING = "two cores", "one core", "changing"

Call = Callable[[int | None], object]


def cells() -> dict[str, Call]:
    """Calls by name, whose argument is the number of threads."""
    rng = np.random.default_rng(0)

    def network(*layers: int) -> tuple[dl.Network, dl.Network]:
        return dl.Network(layers, seed=0), dl.Network(layers, seed=0)

    def data(rows: int, *layers: int):
        return rng.random((rows, layers[0])), rng.random((rows, layers[-1]))

    found: dict[str, Call] = {}

    def predict(rows: int, *layers: int) -> None:
        net, _ = network(*layers)
        X, Y = data(rows, *layers)
        name = f"predict {rows} x {machine_name(layers)}"
        found[name] = lambda n: net.predict(X, Y, n_threads=n)

    def evaluate(rows: int, *layers: int) -> None:
        net, _ = network(*layers)
        X, Y = data(rows, *layers)
        name = f"{rows} x {machine_name(layers)}"
        found[f"cost {name}"] = lambda n: net.cost(X, Y, n_threads=n)
        found[f"gradient {name}"] = lambda n: net.gradient(X, Y, n_threads=n)

    def fit(what: str, solver, epochs: int, rows: int, *layers: int) -> None:
        net, start = network(*layers)
        X, Y = data(rows, *layers)

        def call(n: int | None) -> None:
            net.parameters = start.parameters
            net.fit(X, Y, solver=solver, max_epochs=epochs, tol=0, n_threads=n)

        found[f"fit {what} {machine_name(layers)}, {epochs}"] = call

    predict(2000, 64, 128, 10)
    predict(2000, 784, 128, 10)
    predict(300, 64, 128, 10)
    for rows in (60, 300, 2000):
        predict(rows, 64, 128, 10)
        name = f"predict {rows} x 64-128-10"
        found[name + APART] = found[name]
    evaluate(1797, 64, 32, 10)
    for epochs in (1, 2, 5, 20):
        fit("gd", dl.GradientDescent(2**-10), epochs, 1797, 64, 32, 10)
    for epochs in (1, 20):
        fit("b32", dl.GradientDescent(2**-6, batch_size=32), epochs, 3200, 4, 64, 64, 2)
    fit("b32", dl.GradientDescent(2**-6, batch_size=32), 1, 3200, 64, 128, 10)
    fit("b128", dl.GradientDescent(2**-9, batch_size=128), 1, 512, 784, 512, 512, 10)
    fit("LM", dl.LevenbergMarquardt(), 3, 1000, 10, 20, 1)
    fit("L-BFGS", dl.LBFGS(), 10, 1000, 10, 20, 1)
    fit("L-BFGS", dl.LBFGS(), 10, 1797, 64, 32, 10)
    return found


def machine_name(layers: tuple[int, ...]) -> str:
    return "-".join(map(str, layers))


class State:
    """How the two CPUs are: two cores, or two threads of one."""

    def __init__(self, directory: str) -> None:
        library = machine.compiled(directory)
        assert library is not None, "a C compiler is needed"
        self.sharing = getattr(library, f"sharing_{dl.runtime()['isa']}")
        self.sharing.restype = ctypes.c_double
        self.sharing.argtypes = [ctypes.c_ssize_t, ctypes.c_ssize_t]
        self.alone = min(self.sharing(ROUNDS, 0) for _ in range(50))

    def __call__(self) -> str:
        ratio = self.sharing(ROUNDS, 1) / self.alone
        return TWO_CORES if ratio < 1.2 else ONE_CORE if ratio > 1.6 else CHANGING


def timed(call: Call, threads: int | None) -> float:
    start = time.perf_counter()
    call(threads)
    return time.perf_counter() - start


def measure(
    call: Call, seconds: float, state: Callable[[], str], several: int | None, pause: float = 0.0
):
    """Times of one thread and of several, by the machine's state: {state: ([..], [..])}."""
    took: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for _ in range(3):
        call(1), call(several)
    end = time.perf_counter() + seconds
    before = state()
    turn = 0
    while time.perf_counter() < end:
        turn += 1
        pairs = []
        # Twice each, as the second one finds the caches as the first one left them.
        for threads in (1, several) if turn % 2 else (several, 1):
            call(threads)
            if pause > 0.0:
                time.sleep(pause)
            pairs.append((threads, timed(call, threads)))
        after = state()
        if before == after:
            for threads, t in pairs:
                took[after][0 if threads == 1 else 1].append(t)
        before = after
    return took


def row(name: str, took, least: int = 7) -> str:
    parts = []
    for state in sorted(took):
        one, several = took[state]
        if state == CHANGING or len(one) < least:
            continue
        a, b = statistics.median(one) * 1e6, statistics.median(several) * 1e6
        mean = statistics.fmean(several) / statistics.fmean(one)
        parts.append(f"{state}: {a:7.0f} {b:7.0f} {b / a:5.2f} (means {mean:4.2f}, {len(one)})")
    return f"{name:34s} " + " | ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each cell and state")
    parser.add_argument("--cells", nargs="*", default=[], help="words of the cells' names")
    parser.add_argument("--states", default="quiet,busy,pinned")
    options = parser.parse_args()
    chosen = {
        name: call
        for name, call in cells().items()
        if not options.cells or any(word in name for word in options.cells)
    }
    with tempfile.TemporaryDirectory() as directory:
        state = State(directory)
        print(f"us: one thread, several, ratio; {dl.__file__}")
        allowed = os.sched_getaffinity(0)

        def rows(state: Callable[[], str], several: int | None) -> None:
            for name, call in chosen.items():
                pause = PAUSE if name.endswith(APART) else 0.0
                took = measure(call, options.seconds, state, several, pause)
                print(row(name, took), flush=True)

        if "quiet" in options.states:
            rows(state, None)
        if "busy" in options.states:
            spinner = subprocess.Popen([sys.executable, "-c", SPIN, str(max(allowed))])
            try:
                time.sleep(0.2)
                rows(lambda: "busy", None)
            finally:
                spinner.kill()
                spinner.wait()
        if "pinned" in options.states:
            for call in chosen.values():
                call(2)
            for task in Path("/proc/self/task").iterdir():
                os.sched_setaffinity(int(task.name), {min(allowed)})
            rows(lambda: "pinned", 2)


if __name__ == "__main__":
    main()
