"""Writes the tables of speed into docs/understand/performance.md and the README, and prints them.

`python benchmarks/table.py` measures first what .benchmarks/native.json does not hold; `--avx2`
measures once more with all libraries held to AVX2, where the processor has more, and prints that
table. `python benchmarks/table.py FILE...` takes the files of `python benchmarks/measure.py --json
FILE` instead, which may have been measured in parts. Each processor has a table of its own, between
markers with its name; only that of the processor that was measured is replaced. No row is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cells
import environment
import floors
import machine

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- speed table -->", "<!-- end -->"

CELLS = {cell.name: cell for cell in cells.CELLS}

# What users feel most, with the words of the README.
FELT = {
    "classifier-64-128-10-x1": "`MLPClassifier.predict` of one row, 64-128-10",
    "lat-4-64-64-2": "`Network.predict` of one row, 4-64-64-2",
    "adam-64-128-10-b32": "a step of Adam on 32 rows, 64-128-10 with relu and softmax",
    "adam-784-128-10-b128": "a step of Adam on 128 rows, 784-128-10 with relu and softmax",
    "lm-10-20-1": "an iteration of Levenberg-Marquardt on 1,000 rows, 10-20-1",
}


# ---- measuring ----


def benchmark(path: Path, settings: dict[str, str]) -> dict[str, str]:
    """Measure in a fresh process, without what this shell may have set."""
    foreign = environment.settings(os.environ)
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    command = [sys.executable, "benchmarks/measure.py", f"--json={path}"]
    subprocess.run(command, cwd=ROOT, env=kept | settings, check=True)
    return Run.read(path).machine


def measure(both: bool) -> list[Path]:
    storage = ROOT / ".benchmarks"
    storage.mkdir(exist_ok=True)
    native, avx2 = storage / "native.json", storage / "avx2.json"
    described = benchmark(native, {})
    beyond = [
        name
        for name in described["its instruction sets"].split()
        if name == "X86_V4" or "512" in name
    ]
    chosen, *available = described["its instruction set"].replace(" of ", " ").split()
    if not both or "avx2" not in available or not (beyond or chosen != "avx2"):
        return [native]
    benchmark(avx2, environment.AVX2 | {"NPY_DISABLE_CPU_FEATURES": " ".join(beyond)})
    return [native, avx2]


# ---- reading ----


@dataclass
class Row:
    """A cell with its times, those of each peer on the number of threads that suits it best."""

    cell: cells.Cell
    own: float
    peers: dict[str, tuple[float, int, str]]  # by name: seconds, threads and variant
    floor: float | None
    cores: bool = True  # whether the CPUs were cores of their own

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
    memory: dict[str, dict[str, float]] | None  # by contender
    about: str = ""  # the processor

    @classmethod
    def read(cls, path: Path) -> Run:
        data = json.loads(path.read_text(encoding="utf-8"))
        about = re.search(r"\((.+)\),", data["machine"]["machine"])
        name = about[1] if about else data["machine"]["machine"].split(",")[0]
        described = dict(data["machine"])
        if data.get("rates"):
            described["at best"] = "; ".join(machine.lines(machine.Rates(**data["rates"])))
        return cls(described, data["cells"], data["memory"], name)

    @property
    def rows(self) -> list[Row]:
        rows = []
        for name, result in self.cells.items():
            peers: dict[str, tuple[float, int, str]] = {}
            for entry in result["contenders"].values():
                if entry["peer"]:
                    took = entry["seconds"], entry["threads"], entry["variant"]
                    peers[entry["name"]] = min(took, peers.get(entry["name"], took))
            own = result["contenders"]["deltaloop"]
            cores = all(entry["cores"] for entry in result["contenders"].values())
            rows.append(Row(CELLS[name], own["seconds"], peers, result["floor"], cores))
        order = list(CELLS)
        return sorted(rows, key=lambda row: order.index(row.cell.name))

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


def against(row: Row) -> str:
    """How the best peer did beside deltaloop."""
    if not row.gain:
        return "no peer has it"
    if row.gain < 1.0:
        return f"{row.best} is faster, with {duration(row.peers[row.best][0])}"
    if row.gain < 1.1:
        return f"the best peer, {row.best}, takes {duration(row.peers[row.best][0])}"
    return f"the best peer, {row.best}, takes {row.gain:.1f} times as long"


def short(run: Run) -> str:
    """The mean and what users feel most, in words."""
    rows = {row.cell.name: row for row in run.rows}
    gains = {name: row.gain for name, row in rows.items() if row.gain}
    lost = [name for name, gain in gains.items() if gain < 1.0]
    parts = []
    if run.mean:
        parts.append(
            f"On {run.about}, the best peer of each of {len(gains)} cells takes "
            f"{run.mean:.1f} times as long as deltaloop, by the geometric mean.\n"
            + (f"In {len(lost)} of them a peer is faster." if lost else "No peer is faster.")
        )
    felt = [
        f"- {words}: {duration(rows[name].own)}; {against(rows[name])}"
        for name, words in FELT.items()
        if name in rows
    ]
    return "\n\n".join([*parts, "\n".join(felt)] if felt else parts)


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
        mark = "" if row.cores else " (not on cores)"
        line = [f"{cell.name}: {cell.unit}{mark}", duration(row.own)]
        line += [f"{ratio(row.gain)} {best}" if best else ""]
        line = bold(line, row.gain is not None and row.gain < 1.0)
        line += [digits(floors.flop(cell) / row.own / 1e9), row.required]
        line += [duration(row.floor), row.of_floor] if row.floor else ["", ""]
        for name in peers:
            took, threads, variant = row.peers.get(name, (None, 0, ""))
            if took is None:
                line.append("")
                continue
            of = f"{threads}, {variant}" if variant else threads
            text = f"{duration(took)} ({ratio(took / row.own)}, {of})"
            lost = took < row.own
            line.append(f"**{text}**" if lost else f"*{text}*" if name == best else text)
        lines.append(line)
    header = ["one unit", "deltaloop", "best peer", "GFLOP/s", "required", "floor", "of the floor"]
    title = f"All held to {run.isa}" if run.isa else "Each library as it is"
    notes = "\n".join(itemised(name, text) for name, text in run.machine.items())
    parts = [f"### {title}\n{notes}", table([*header, *peers], lines)]
    if run.mean:
        lost = sum(1 for row in rows if row.gain and row.gain < 1.0)
        parts.append(
            f"Geometric mean over the best peers: {run.mean:.2f}x. Cells that are lost: {lost}."
        )
    if not all(row.cores for row in rows):
        parts.append("Not on cores: the CPUs were threads of one core in most of the turns.")
    if run.memory:
        parts.append(memory(run))
    return "\n\n".join(parts)


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


def marker(about: str) -> str:
    return f"<!-- speed table: {about} -->"


def section(page: str, about: str) -> str:
    """The page with a place for the table of a processor, behind the last one if it had none."""
    if marker(about) in page:
        return page
    at = page.rindex("<!-- speed table: ")
    at = page.index(END, at) + len(END)
    return f"{page[:at]}\n\n## {about}\n{marker(about)}\n{END}{page[at:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="of measure.py --json")
    parser.add_argument("--avx2", action="store_true", help="measure all held to AVX2, too")
    parser.add_argument("--print", action="store_true", help="write no page")
    given = parser.parse_args()
    runs = [Run.read(path) for path in given.files or measure(given.avx2)]
    native = next((run for run in runs if not run.isa), None)
    if native and not given.print:
        page = ROOT / "docs" / "understand" / "performance.md"
        page.write_text(section(page.read_text(encoding="utf-8"), native.about), encoding="utf-8")
        insert(page, full(native), marker(native.about))
        insert(ROOT / "README.md", short(native))
    print("\n\n".join([*(short(run) for run in runs), *map(full, runs)]))


if __name__ == "__main__":
    main()
