"""Times every cell with every contender, after showing that they computed the same.

`python benchmarks/measure.py [--threads N] [--cells NAME,...] [--contenders NAME,...] [--turns N]
[--json FILE] [--again] [--python NAME=PATH]`. In each of several turns the contenders of a cell run
one after the other, so that what disturbs the machine for a while disturbs one turn. Before and
after each turn a look finds out whether the CPUs are cores of their own (state.py). A time is the
median of the turns in which they were.

With `--json` a cell is written when it has been measured, and one that the file holds already is
not measured again: a run may be cut off and called again, or made in parts by `--cells`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import environment
import environments
import state

# Seconds between a turn and what follows: threads may still spin, OpenBLAS's for some 20 ms after
# their last product, and a look would take them for another core's.
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
    import numpy as np
    import registry

    oracle = registry.Reference(1)
    cell = task.cell
    if cell.kind in cells.SECOND_ORDER:
        cost, gradient = oracle.gradient(task)(task.start)
        return np.concatenate([[cost], gradient])
    if cell.kind == cells.ESTIMATE:
        return oracle.estimate(task)()
    if cell.kind in cells.PREDICTS:
        return oracle.array(oracle.predict(task)())
    if cell.kind == cells.STEP:
        task = cells.Task(cell, task.X[None], task.Y[None], task.start)
    result = oracle.array(oracle.train(task)(cell.checked)).copy()
    assert distance(result, task.start) > moved, f"{cell.name}: the parameters hardly move"
    return result


# ---- turns ----


@contextmanager
def alone():
    """Around the turns of a cell. Who shares the machine puts a lock in its place."""
    yield


def measure_cell(
    cell,
    contenders,
    turns: int,
    moved: float = MOVED,
    spin: state.Spin | None = None,
) -> dict[str, dict[str, object]]:
    """By the contenders' labels: their turns, and how far each was off.

    A turn is the seconds of one unit, the CPUs that were busy, and the lesser share of the looks
    before and after it, 0 where other programs were busy meanwhile. Turns that did not find as many
    cores as CPUs are taken again, as often.
    """
    import cells

    task = cells.task(cell)
    right = expected(task, moved)
    sessions, found = {}, {}
    for contender in contenders:
        if not contender.suits(cell):
            continue
        session = contender.session()
        difference = distance(session.begin(task), right)
        if not difference <= TOLERANCE:
            raise SystemExit(f"{cell.name}: {contender.label} differs by {difference:.1e}")
        sessions[contender.label] = session
        found[contender.label] = {
            "name": contender.name,
            "variant": contender.variant,
            "threads": contender.threads,
            "peer": contender.peer,
            "difference": difference,
            "turns": [],
        }
    gc.collect()
    gc.disable()
    with alone():
        counts = {}
        for label, session in sessions.items():
            # The end of a fit costs deltaloop alone; a fit of second order is one unit of timing.
            least = 1 if found[label]["peer"] or cell.kind in cells.SECOND_ORDER else cell.timed
            counts[label] = session.calibrate(least)
        time.sleep(PAUSE)
        look = spin.look() if spin else 1.0
        own = [os.getpid(), *(session.pid for session in sessions.values() if session.pid)]
        for i in range(2 * turns):
            for label, session in sessions.items():
                taken = found[label]["turns"]
                if i >= turns and good(taken) >= turns:
                    continue
                before, others = look, state.Others(own)
                took, busy = session.turn(counts[label])
                # Where others were busy, no look tells of what share.
                disturbed = spin is not None and others.many()
                time.sleep(PAUSE)
                look = spin.look() if spin else 1.0
                taken.append([took / cell.steps, busy, 0.0 if disturbed else min(before, look)])
    gc.enable()
    for session in sessions.values():
        session.end()
    for entry in found.values():
        entry |= settled(entry["turns"], turns)
    return found


def good(turns) -> int:
    return sum(state.cores(turn[2]) for turn in turns)


def settled(turns, wanted: int) -> dict[str, object]:
    """The median of the turns on cores, or of all where these are fewer than half of `wanted`."""
    chosen = [turn for turn in turns if state.cores(turn[2])]
    on_cores = 2 * len(chosen) >= wanted
    chosen = chosen if on_cores else turns
    middle = sorted(chosen)[(len(chosen) - 1) // 2]
    return {"seconds": middle[0], "busy": middle[1], "cores": on_cores}


# ---- the command ----


def report(cell, found: dict[str, dict[str, object]], floor: float | None, spent: float) -> str:
    import floors

    own = found["deltaloop"]["seconds"]
    looks = [turn[2] for entry in found.values() for turn in entry["turns"]]
    middle = sorted(looks)[len(looks) // 2]
    lines = [
        f"{cell.name}, {cell.unit}: {floors.flop(cell) / own / 1e9:.3g} GFLOP/s"
        + (f", {100 * floor / own:.0f} % of the floor, {floor * 1e6:.3f} us" if floor else "")
        + f"; CPUs: {state.words(middle)}, {sum(map(state.cores, looks))} of {len(looks)} turns on"
        f" cores ({spent:.0f} s)"
    ]
    for label, entry in sorted(found.items(), key=lambda item: item[1]["seconds"]):
        took = entry["seconds"]
        busy = f"{entry['busy']:.1f} CPUs busy" if entry["busy"] else ""
        few = "" if entry["cores"] else ", not on cores"
        lines.append(f"    {label:38} {took * 1e6:13.3f} us {took / own:8.2f}x  {busy}{few}")
    return "\n".join(lines)


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=environment.cpus(), help="for everybody")
    parser.add_argument("--cells", default="", help="beginnings of names, with commas")
    parser.add_argument("--contenders", default="", help="parts of their names, with commas")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file to write, and to go on with")
    parser.add_argument("--again", action="store_true", help="measure what it holds once more")
    parser.add_argument(
        "--python", action="append", default=[], help="NAME=PATH, see environments.py"
    )
    return parser.parse_args(given)


def read(path: Path | None, description: dict[str, str], build: str) -> dict[str, object]:
    """What a file holds of earlier parts of this run."""
    fresh = {"machine": description, "build": build, "rates": None, "cells": {}, "memory": None}
    if path is None or not path.exists():
        return fresh
    found = json.loads(path.read_text(encoding="utf-8"))
    changed = [k for k in description if found["machine"].get(k) != description[k]]
    changed += ["build"] if found["build"] != build else []
    if changed:
        raise SystemExit(f"{path} is of something else ({', '.join(changed)}): take another file")
    return found


def write(path: Path | None, result: dict[str, object]) -> None:
    """As a whole or not at all."""
    if path is not None:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(result, indent=1), encoding="utf-8")
        part.replace(path)


def run(given: argparse.Namespace) -> None:
    # Libraries read their number of threads once, when they are loaded.
    os.environ.update(environment.threads(given.threads))
    import cells
    import floors
    import machine
    import memory
    import registry

    for text in given.python:
        environments.choose(text)
    chosen = [c for c in cells.CELLS if c.name.startswith(tuple(given.cells.split(",")))]
    held = "DELTALOOP_ISA" in os.environ
    names = given.contenders.lower().split(",")
    everybody = registry.contenders(given.threads)
    wanted = [c for c in everybody if not c.peer or any(n in c.label.lower() for n in names)]
    present = [c for c in wanted if c.present() and (c.held or not held)]
    absent = {c.name: "not installed" for c in everybody if not c.present()}
    absent |= {c.name: "cannot be held to AVX2" for c in everybody if held and not c.held}
    description = machine.describe(given.threads)
    description["absent"] = ", ".join(f"{k} ({v})" for k, v in absent.items()) or "none"
    result = read(given.json, description, machine.build())
    print("\n".join(f"{name}: {text}" for name, text in description.items()))
    spin = state.Spin(given.threads)
    if result["rates"] is None or given.again:
        with alone():
            found = machine.rates(given.threads)
        result["rates"] = asdict(found) if found else None
    rates = machine.Rates(**result["rates"]) if result["rates"] else None
    if rates:
        print("\n".join(machine.lines(rates)))
    if spin.fma is not None:
        with alone():
            one, all_of_them = spin.rates()
        print(f"now {one / 1e9:.1f} GFLOP/s on one CPU, {all_of_them / 1e9:.1f} on all at once")
    # glibc hands large blocks back to the system, and gets them again page by page, until it has
    # freed one of up to 32 MB: NumPy's temporaries gain up to 1.5x by it.
    bytearray(31 << 20)
    for cell in chosen:
        if cell.name in result["cells"] and not given.again:
            continue
        start = time.perf_counter()
        found = measure_cell(cell, present, given.turns, spin=spin)
        floor = floors.floor(cell, rates) if rates else None
        result["cells"][cell.name] = {"contenders": found, "floor": floor}
        write(given.json, result)
        print(report(cell, found, floor, time.perf_counter() - start), flush=True)
    if given.json and result["memory"] is None and not given.cells:
        result["memory"] = memory.measure_all()
        write(given.json, result)


if __name__ == "__main__":
    run(arguments(None))
