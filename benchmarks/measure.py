"""Times every cell with every contender, after showing that they computed the same.

`python benchmarks/measure.py [--threads N] [--cells NAME,...] [--turns N] [--json FILE]`. In each
of several turns the contenders of a cell run one after the other, so that what disturbs the machine
for a while disturbs one turn. A time is the median of a contender's best turn: noise only adds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from dataclasses import asdict
from itertools import repeat
from pathlib import Path

import environment

# Seconds that a contender is timed for in one turn, and that it waits before: another's threads may
# still spin, OpenBLAS's for some 20 ms after their last product.
PER_TURN = 0.05
PAUSE = 0.03

# Two implementations differ by rounding, which some hundred steps of training amplify.
TOLERANCE = 1e-10
# Parameters that moved by less would hide a contender that does not train.
MOVED = 1e-3


# ---- the same results ----


def distance(a, b) -> float:
    """Largest difference, relative to the largest value."""
    import numpy as np

    a, b = a.ravel(), b.ravel()
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


def expected(task, moved: float = MOVED):
    """What every contender has to compute."""
    import cells
    import registry

    oracle = registry.Reference(1)
    cell = task.cell
    if cell.kind in (cells.LATENCY, cells.FORWARD, cells.BOUND):
        return oracle.array(oracle.predict(task)())
    if cell.kind == cells.STEP:
        task = cells.Task(cell, task.X[None], task.Y[None], task.start)
    result = oracle.array(oracle.train(task)(cell.checked)).copy()
    assert distance(result, task.start) > moved, f"{cell.name}: the parameters hardly move"
    return result


def prepare(contender, task):
    """A function of no arguments that computes what is compared, and one that is timed.

    The second takes a number of epochs, or of calls where there are none.
    """
    import cells

    cell = task.cell
    contender.use()
    if cell.kind == cells.TRAIN:
        run = contender.train(task)
        return (lambda: contender.array(run(cell.checked))), run
    if cell.kind == cells.STEP:
        call, net = contender.step(task)

        def checked():
            for _ in range(cell.checked):
                call()
            return net.parameters.copy()
    else:
        call = contender.predict(task)

        def checked():
            return contender.array(call())

    def timed(n: int) -> None:
        for _ in repeat(None, n):
            call()

    return checked, timed


# ---- the clock ----


def seconds(run, n: int) -> float:
    start = time.perf_counter()
    run(n)
    return time.perf_counter() - start


def calibrate(least: int, run) -> int:
    """How many epochs or calls one timing covers: a fifth of a turn, or more."""
    n = least
    took = seconds(run, n)
    while took < PER_TURN / 20 and n < 1 << 20:
        n *= 4
        took = seconds(run, n)
    return max(least, int(n * PER_TURN / 5 / took))


def turn(run, n: int) -> tuple[float, float]:
    """Median seconds of one epoch or call, and how many processors were busy meanwhile."""
    time.sleep(PAUSE)
    times = [seconds(run, n)]  # wakes up caches and threads
    if times[0] < 4 * PER_TURN:
        times.clear()
    cpu, wall = time.process_time(), time.perf_counter()
    while len(times) < 1 or sum(times) < PER_TURN:
        times.append(seconds(run, n))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return sorted(times)[(len(times) - 1) // 2] / n, cpu / wall if wall > PER_TURN / 5 else 0.0


def measure_cell(
    cell, contenders, turns: int, moved: float = MOVED
) -> dict[str, dict[str, object]]:
    """By the contenders' labels: the seconds of one unit, and how far each was off."""
    import cells

    task = cells.task(cell)
    right = expected(task, moved)
    runs, found = {}, {}
    for contender in contenders:
        if not contender.suits(cell):
            continue
        checked, run = prepare(contender, task)
        difference = distance(checked(), right)
        if not difference <= TOLERANCE:
            raise SystemExit(f"{cell.name}: {contender.label} differs by {difference:.1e}")
        # The end of a fit costs deltaloop alone.
        runs[contender] = run, calibrate(1 if contender.peer else cell.timed, run)
        found[contender.label] = {
            "name": contender.name,
            "threads": contender.threads,
            "peer": contender.peer,
            "difference": difference,
            "seconds": float("inf"),
        }
    gc.collect()
    gc.disable()
    for _ in range(turns):
        for contender, (run, n) in runs.items():
            contender.use()
            took, busy = turn(run, n)
            entry = found[contender.label]
            if took / cell.steps < entry["seconds"]:
                entry |= {"seconds": took / cell.steps, "busy": busy}
    gc.enable()
    return found


# ---- the command ----


def report(cell, found: dict[str, dict[str, object]], floor: float | None, spent: float) -> str:
    import floors

    own = found["deltaloop"]["seconds"]
    lines = [
        f"{cell.name}, {cell.unit}: {floors.flop(cell) / own / 1e9:.3g} GFLOP/s"
        + (f", {100 * floor / own:.0f} % of the floor, {floor * 1e6:.3f} us" if floor else "")
        + f" ({spent:.0f} s)"
    ]
    for label, entry in sorted(found.items(), key=lambda item: item[1]["seconds"]):
        took = entry["seconds"]
        busy = f"{entry['busy']:.1f} CPUs busy" if entry["busy"] else ""
        lines.append(f"    {label:30} {took * 1e6:13.3f} us {took / own:8.2f}x  {busy}")
    return "\n".join(lines)


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=environment.cpus(), help="for everybody")
    parser.add_argument("--cells", default="", help="beginnings of names, with commas")
    parser.add_argument("--contenders", default="", help="parts of their names, with commas")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(given)


def main() -> None:
    given = arguments(None)
    # Libraries read their number of threads once, when they are loaded.
    os.environ.update(environment.threads(given.threads))
    import cells
    import floors
    import machine
    import memory
    import registry

    chosen = [c for c in cells.CELLS if c.name.startswith(tuple(given.cells.split(",")))]
    held = "DELTALOOP_ISA" in os.environ
    names = given.contenders.lower().split(",")
    everybody = [
        c
        for c in registry.contenders(given.threads)
        if not c.peer or any(name in c.label.lower() for name in names)
    ]
    present = [c for c in everybody if c.present() and (c.held or not held)]
    absent = {c.name: "not installed" for c in everybody if not c.present()}
    absent |= {c.name: "cannot be held to AVX2" for c in everybody if held and not c.held}
    description = machine.describe(given.threads)
    description["absent"] = ", ".join(f"{k} ({v})" for k, v in absent.items()) or "none"
    rates = machine.rates(given.threads)
    if rates:
        description["at best"] = "; ".join(machine.lines(rates))
    print("\n".join(f"{name}: {text}" for name, text in description.items()))
    # glibc hands large blocks back to the system, and gets them again page by page, until it has
    # freed one of up to 32 MB: NumPy's temporaries gain up to 1.5x by it.
    bytearray(31 << 20)
    results = {}
    for cell in chosen:
        start = time.perf_counter()
        found = measure_cell(cell, present, given.turns)
        floor = floors.floor(cell, rates) if rates else None
        results[cell.name] = {"contenders": found, "floor": floor}
        print(report(cell, found, floor, time.perf_counter() - start), flush=True)
    if given.json:
        result = {
            "machine": description,
            "rates": asdict(rates) if rates else None,
            "cells": results,
            "memory": memory.measure_all(),
        }
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
