"""The tables and figures of docs/understand/solvers-measured.md.

    python benchmarks/training.py [TABLE ...] [--again]

measures all tables, or those named, writes them between their markers in
docs/understand/solvers-measured.md, and draws the figures into docs/img, which needs matplotlib.
Rows that .benchmarks/training.json holds already are not measured again, so that an interrupted
run goes on where it was; `--again` measures the named tables anew.

Two rows are measured at a time, each in a process of its own with one thread; times are CPU times
(see methods.py), so that the other row does not count. All tables take about a quarter of an hour
on two CPUs. Two more are only printed: `bounds`, from which those of the rule that chooses a solver
come, and `tune`, which finds the learning rates of problems.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import environment

# Before any library is loaded.
os.environ.update(environment.threads(1))

import bounds
import choice
import figures
import goals
import heldout
import machine
import table
import update

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "understand" / "solvers-measured.md"
FIGURES = ROOT / "docs" / "img"
STORED = ROOT / ".benchmarks" / "training.json"
AT_A_TIME = 2


class Table(NamedTuple):
    """Functions that measure a row each, and one that writes what they found."""

    rows: Callable[[], dict[str, Callable[[], object]]]
    text: Callable[[dict], str] | None = None
    page: bool = True  # whether it is one of docs/understand/solvers-measured.md


TABLES = {
    "sinc": Table(goals.sinc_rows, goals.sinc_text),
    "problems": Table(goals.problem_rows, goals.problem_text),
    "iteration": Table(goals.iteration_rows, goals.iteration_text),
    "curves": Table(goals.curve_rows),
    "choice": Table(choice.tuning_rows, choice.text),
    "confirmation": Table(choice.confirmation_rows, choice.text),
    "depth": Table(heldout.depth_rows, heldout.depth_text),
    "update": Table(update.rows, update.text),
    "bounds": Table(bounds.rows, bounds.text, page=False),
    "tune": Table(goals.tune_rows, goals.tune_text, page=False),
}


def stored() -> dict[str, dict]:
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def store(found: dict[str, dict]) -> None:
    """As a whole or not at all."""
    STORED.parent.mkdir(exist_ok=True)
    part = STORED.with_suffix(".part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(STORED)


def measured(name: str, row: str) -> object:
    """Measure a row in a fresh process."""
    command = [sys.executable, __file__, name, "--row", row]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{name}, {row}: failed")
    return json.loads(done.stdout)


def measure(names: list[str], again: bool) -> dict[str, dict]:
    """By table and row what was found, now or before, in the order of the tables."""
    found, here = stored(), machine.describe(1)
    if found.setdefault("machine", here) != here:
        raise SystemExit(f"{STORED} is of another machine or other versions: delete it first")
    wanted = [(name, row) for name in names for row in TABLES[name].rows()]
    if again:
        found |= {name: {} for name in names}
    missing = [(name, row) for name, row in wanted if row not in found.get(name, {})]
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        jobs = {pool.submit(measured, *both): both for both in missing}
        for job in as_completed(jobs):
            name, row = jobs[job]
            found.setdefault(name, {})[row] = job.result()
            store(found)
            print(f"{time.perf_counter() - began:5.0f} s  {name}: {row}", file=sys.stderr)
    for name in names:
        found[name] = {row: found[name][row] for row in TABLES[name].rows()}
    return found


def described(of: dict[str, str]) -> str:
    isa = of["its instruction set"].split()[0]
    lines = {
        "machine": of["machine"],
        "deltaloop": f"{of['deltaloop'].split(', ')[0]}, {isa}",
        "NumPy": of["NumPy"],
        "others": of["others"],
        "Python": of["Python"],
    }
    parts = "\n".join(table.parted(name, text) for name, text in lines.items())
    return f"One session on one machine:\n\n{parts}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # Without any, argparse looks for the empty list in choices.
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE")
    parser.add_argument("--again", action="store_true", help="do not keep what was measured")
    parser.add_argument("--row", help="of one table: measure it here, and print JSON")
    given = parser.parse_args()
    names = given.tables or [name for name, each in TABLES.items() if each.page]
    if given.row is not None:
        print(json.dumps(TABLES[names[0]].rows()[given.row]()))
        return
    found = measure(names, given.again)
    for name in names:
        text = TABLES[name].text
        if text is None:
            continue
        print(f"\n{name}\n\n{text(found[name])}")
        if TABLES[name].page:
            table.insert(PAGE, text(found[name]), f"<!-- {name} -->")
    table.insert(PAGE, described(found["machine"]), "<!-- machine -->")
    figures.draw(FIGURES, found)


if __name__ == "__main__":
    main()
