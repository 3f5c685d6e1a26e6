"""Writes the tables of speed into README.md and docs/performance.md, and prints them.

`python benchmarks/table.py` measures first: once with every library as it is, and once with all of
them held to AVX2 where the processor has more. `python benchmarks/table.py FILE...` takes the files
of `python benchmarks/measure.py --json FILE` instead. No row is left out.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cells
import environment
import floors

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- speed table -->", "<!-- end -->"

CELLS = {cell.name: cell for cell in cells.CELLS}


# ---- measuring ----


def benchmark(path: Path, settings: dict[str, str]) -> dict[str, str]:
    """Measure in a fresh process, without what this shell may have set."""
    foreign = environment.settings(os.environ)
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    command = [sys.executable, "benchmarks/measure.py", f"--json={path}"]
    subprocess.run(command, cwd=ROOT, env=kept | settings, check=True)
    return Run.read(path).machine


def measure() -> list[Path]:
    storage = ROOT / ".benchmarks"
    storage.mkdir(exist_ok=True)
    native, avx2 = storage / "native.json", storage / "avx2.json"
    machine = benchmark(native, {})
    beyond = [
        name
        for name in machine["its instruction sets"].split()
        if name == "X86_V4" or "512" in name
    ]
    chosen, *available = machine["its instruction set"].replace(" of ", " ").split()
    if "avx2" not in available or not (beyond or chosen != "avx2"):
        return [native]
    benchmark(avx2, environment.AVX2 | {"NPY_DISABLE_CPU_FEATURES": " ".join(beyond)})
    return [native, avx2]


# ---- reading ----


@dataclass
class Row:
    """A cell with its times, those of each peer on the number of threads that suits it best."""

    cell: cells.Cell
    own: float
    peers: dict[str, tuple[float, int]]  # by name: seconds and threads
    floor: float | None

    @property
    def best(self) -> str | None:
        """The peer that took the least time."""
        return min(self.peers, key=self.peers.__getitem__) if self.peers else None

    @property
    def gain(self) -> float | None:
        """How many times as long the best peer took."""
        return self.peers[self.best][0] / self.own if self.best else None

    @property
    def required(self) -> str:
        """What was asked for, and whether it was missed."""
        if self.cell.target:
            missed = self.own > self.cell.target
            return f"{duration(self.cell.target)}{', missed' if missed else ''}"
        if not self.cell.minimum:
            return ""
        missed = self.gain is not None and self.gain < self.cell.minimum
        return f"{self.cell.minimum:g}x{', missed' if missed else ''}"

    @property
    def of_floor(self) -> str:
        return f"{100 * self.floor / self.own:.0f} %" if self.floor else ""


@dataclass
class Run:
    """One JSON file of measure.py."""

    machine: dict[str, str]
    cells: dict[str, dict]
    memory: dict[str, dict[str, float]]  # by contender

    @classmethod
    def read(cls, path: Path) -> Run:
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["machine"], data["cells"], data["memory"])

    @property
    def rows(self) -> list[Row]:
        rows = []
        for name, result in self.cells.items():
            peers: dict[str, tuple[float, int]] = {}
            for entry in result["contenders"].values():
                if entry["peer"]:
                    took = entry["seconds"], entry["threads"]
                    peers[entry["name"]] = min(took, peers.get(entry["name"], took))
            own = result["contenders"]["deltaloop"]["seconds"]
            rows.append(Row(CELLS[name], own, peers, result["floor"]))
        return rows

    @property
    def mean(self) -> float | None:
        """Geometric mean of the gains."""
        logs = [math.log(row.gain) for row in self.rows if row.gain]
        return math.exp(sum(logs) / len(logs)) if logs else None

    @property
    def isa(self) -> str:
        """The instruction set that all were held to, or nothing."""
        return (
            ""
            if self.machine["settings"] == "none"
            else self.machine["its instruction set"].split()[0].upper()
        )


# ---- writing ----


def digits(value: float) -> str:
    """Three of them."""
    return f"{value:#.3g}".rstrip(".") if value < 999.5 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{digits(seconds * scale)} {unit}"
    return f"{seconds:.3g} s"


def ratio(value: float) -> str:
    """How many times as long."""
    if value < 1.0:
        return f"{value:.2f}x"
    return f"{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def table(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["--:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def bold(row: list[str], lost: bool) -> list[str]:
    return [f"**{text}**" if lost and text else text for text in row]


def summary(row: Row) -> list[str]:
    gain = f"{ratio(row.gain)} {row.best}" if row.gain else ""
    lost = row.gain is not None and row.gain < 1.0
    return bold([duration(row.own), gain, row.required, row.of_floor], lost)


def words(cell: cells.Cell) -> str:
    """What one unit of a cell is, for readers who do not know the cells' names."""
    network = f"network {cells.dashed(cell.layers)}"
    if cell.kind == cells.LATENCY:
        return f"one prediction, {network}"
    if cell.kind == cells.FORWARD:
        return f"{cell.rows:,} predictions in one call, {network}"
    if cell.kind == cells.STEP:
        return f"one call of `trainer.step` with one row, {network}"
    if cell.kind == cells.BOUND:
        return f"one call of a predictor, {network}"
    if cell.batch is None:
        return f"one epoch on {cell.rows:,} rows, {network}"
    rows = "one row" if cell.batch == 1 else f"{cell.batch:,} rows"
    return f"one step on {rows}, {network}"


def short(runs: list[Run]) -> str:
    """Time of deltaloop, how long the best peer took, what was asked for, and the floor."""
    header, lines = ["what is timed"], {row.cell.name: [words(row.cell)] for row in runs[0].rows}
    for run in runs:
        prefix = f"{run.isa}: " if run.isa else ""
        columns = ("deltaloop", "best peer took", "required", "of the floor")
        # What is required is asked of each library as it is.
        shown = 2 if run.isa else 4
        header += [prefix + column for column in columns[:shown]]
        found = {row.cell.name: summary(row)[:shown] for row in run.rows}
        for name, line in lines.items():
            line += found.get(name, [""] * shown)
    # The name by which measure.py and docs/performance.md know the row comes last.
    return table([*header, "cell"], [[*line, f"`{name}`"] for name, line in lines.items()])


def itemised(name: str, text: str) -> str:
    """An entry of a list, with a list of its own where it has several parts."""
    first, *rest = text.split("; ")
    return "\n  - ".join([f"- {name}:", first, *rest]) if rest else f"- {name}: {text}"


def parted(name: str, text: str) -> str:
    """An entry of a list, whose parts stand behind commas."""
    return itemised(name, text.replace(", ", "; "))


def full(run: Run) -> str:
    """Every time of one run, and what it depends on."""
    rows = run.rows
    peers = list(dict.fromkeys(name for row in rows for name in row.peers))
    lines = []
    for row in rows:
        cell, best = row.cell, row.best
        line = [f"{cell.name}: {cell.unit}", duration(row.own)]
        line += [digits(floors.flop(cell) / row.own / 1e9), row.required]
        line += [duration(row.floor), row.of_floor] if row.floor else ["", ""]
        for name in peers:
            took, threads = row.peers.get(name, (None, 0))
            if took is None:
                line.append("")
                continue
            text = f"{duration(took)} ({ratio(took / row.own)}, {threads})"
            lost = took < row.own
            line.append(f"**{text}**" if lost else f"*{text}*" if name == best else text)
        lines.append(line)
    header = ["one unit", "deltaloop", "GFLOP/s", "required", "floor", "of the floor", *peers]
    title = f"All held to {run.isa}" if run.isa else "Each library as it is"
    notes = "\n".join(itemised(name, text) for name, text in run.machine.items())
    mean = f"\n\nGeometric mean over the best peers: {run.mean:.1f}x." if run.mean else ""
    return f"### {title}\n{notes}\n\n{table(header, lines)}{mean}"


def notes(runs: list[Run]) -> str:
    machine = runs[0].machine
    lost = [
        f"{row.cell.name}{f' ({run.isa})' if run.isa else ''}"
        for run in runs
        for row in run.rows
        if row.gain and row.gain < 1.0
    ]
    means = ", ".join(
        f"{run.mean:.1f}x{f' with {run.isa}' if run.isa else ''}" for run in runs if run.mean
    )
    entries = [
        f"Bold: deltaloop loses {len(lost)} rows." if lost else "deltaloop loses no row.",
        *([f"Geometric mean over the best peers: {means}."] if means else []),
        f"Machine: {machine['machine']}.",
        f"Threads: {machine['threads']}.",
    ]
    lists = [
        parted("deltaloop", f"{machine['deltaloop']}, {machine['its instruction set'].split()[0]}"),
        parted("NumPy", machine["NumPy"]),
        parted("Others", f"{machine['others']}, Python {machine['Python']}"),
    ]
    return "\n".join([*(f"- {entry}" for entry in entries), *lists])


def memory(run: Run) -> str:
    lines = [
        [name, f"{(each['peak'] - each['data']) / 1e6:.3g} MB"] for name, each in run.memory.items()
    ]
    return (
        "Peak memory of one full-batch epoch on 1,000,000 rows, network 10-32-1. The data, "
        f"{run.memory['deltaloop']['data'] / 1e6:.0f} MB, are not counted.\n\n"
        + table(["", "peak memory"], lines)
    )


def insert(path: Path, text: str, marker: str = BEGIN) -> None:
    """Put text between the markers of a file."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(marker)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{path.name} lacks the markers {marker} and {END}")
    path.write_text(f"{before}{marker}\n{text}\n{END}{after}", encoding="utf-8")


def main(arguments: list[str]) -> None:
    runs = [Run.read(path) for path in (map(Path, arguments) if arguments else measure())]
    brief = f"{short(runs)}\n\n{notes(runs)}\n\n{memory(runs[0])}"
    everything = "\n\n".join([*map(full, runs), memory(runs[0])])
    insert(ROOT / "README.md", brief)
    insert(ROOT / "docs" / "performance.md", everything)
    print(brief, everything, sep="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
