"""Writes the tables of speed into README.md and docs/performance.md, and prints them.

`python benchmarks/table.py` measures first: once with every library as it is, and once with all of
them held to AVX2 where the processor has more. `python benchmarks/table.py FILE...` takes the files
of `python -m pytest benchmarks --benchmark-json FILE` instead. No row is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- speed table -->", "<!-- end -->"


# ---- measuring ----


def benchmark(path: Path, settings: dict[str, str]) -> dict[str, str]:
    """Run the benchmarks in a fresh process, without what this shell may have set."""
    foreign = environment.settings(os.environ)
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    pytest = [sys.executable, "-m", "pytest", "-q", "benchmarks", "--benchmark-quiet"]
    command = [*pytest, f"--benchmark-json={path}"]
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
    # OpenBLAS calls its AVX2 kernels Haswell's, and takes them for Zen too.
    settings = {"DELTALOOP_ISA": "avx2", "OPENBLAS_CORETYPE": "Zen"}
    benchmark(avx2, settings | {"NPY_DISABLE_CPU_FEATURES": " ".join(beyond)})
    return [native, avx2]


# ---- reading ----


@dataclass
class Run:
    """One JSON file: seconds per unit, the median of the best turn (noise only adds)."""

    seconds: dict[str, dict[str, float]]  # by the cell's label, then by contender
    machine: dict[str, str]
    memory: dict[str, dict[str, float]]  # by contender

    @classmethod
    def read(cls, path: Path) -> Run:
        data = json.loads(path.read_text(encoding="utf-8"))
        turns: dict[str, dict[str, list[float]]] = {}
        for result in data["benchmarks"]:
            info = result["extra_info"]
            times = turns.setdefault(info["cell"], {}).setdefault(info["contender"], [])
            times.append(result["stats"]["median"] / info["units"])
        best = {
            label: {name: min(times) for name, times in row.items()} for label, row in turns.items()
        }
        return cls(best, data["machine_info"]["benchmark"], data["memory"])

    @property
    def isa(self) -> str:
        """The instruction set that all were held to, or nothing."""
        return (
            ""
            if self.machine["settings"] == "none"
            else self.machine["its instruction set"].split()[0].upper()
        )

    @property
    def opponents(self) -> list[str]:
        return [name for name in next(iter(self.seconds.values())) if name != "deltaloop"]


# ---- writing ----


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{seconds * scale:#.3g} {unit}".replace(". ", " ")
    return f"{seconds:.3g} s"


def ratio(value: float) -> str:
    """How many times as long; bold where deltaloop loses."""
    if value < 1.0:
        return f"**{value:.2f}x**"
    return f"{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def table(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["--:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def short(runs: list[Run]) -> str:
    """For each run the time of deltaloop, and how many times as long the others took."""
    header, rows = ["time of one"], [[label] for label in runs[0].seconds]
    for run in runs:
        prefix = f"{run.isa}: " if run.isa else ""
        header += [prefix + name for name in ("deltaloop", *run.opponents)]
        for row in rows:
            times = run.seconds[row[0]]
            row.append(duration(times["deltaloop"]))
            row += [ratio(times[name] / times["deltaloop"]) for name in run.opponents]
    return table(header, rows)


def full(run: Run) -> str:
    """Every time of one run, and what it depends on."""
    rows = []
    for label, times in run.seconds.items():
        own = times["deltaloop"]
        others = [f"{duration(times[name])} ({ratio(times[name] / own)})" for name in run.opponents]
        rows.append([label, duration(own), *others])
    title = f"All held to {run.isa}" if run.isa else "Each library as it is"
    lines = "\n".join(f"- {name}: {text}" for name, text in run.machine.items())
    body = table(["time of one", "deltaloop", *run.opponents], rows)
    return f"### {title}\n{lines}\n\n{body}"


def notes(runs: list[Run]) -> str:
    machine = runs[0].machine
    lost = any(
        times[name] < times["deltaloop"]
        for run in runs
        for times in run.seconds.values()
        for name in run.opponents
    )
    return (
        f"{machine['machine']}, threads: {machine['threads']}; deltaloop {machine['deltaloop']}, "
        f"{machine['its instruction set'].split()[0]}; NumPy {machine['NumPy']}; Python "
        f"{machine['Python']}. "
        + ("Bold: deltaloop loses. " if lost else "deltaloop loses none of these rows. ")
    )


def memory(run: Run) -> str:
    beside = {name: (m["peak"] - m["data"]) / 1e6 for name, m in run.memory.items()}
    figures = ", ".join(f"{name} {megabytes:.3g} MB" for name, megabytes in beside.items())
    return (
        "Peak memory of a full-batch epoch on 1,000,000 rows, 10-32-1, beside the "
        f"{run.memory['deltaloop']['data'] / 1e6:.0f} MB of data: {figures}."
    )


def insert(path: Path, text: str) -> None:
    """Put text between the markers of a file."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{path.name} lacks the markers {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main(arguments: list[str]) -> None:
    runs = [Run.read(path) for path in (map(Path, arguments) if arguments else measure())]
    summary = f"{short(runs)}\n\n{notes(runs)}{memory(runs[0])}"
    everything = "\n\n".join([*map(full, runs), memory(runs[0])])
    insert(ROOT / "README.md", summary)
    insert(ROOT / "docs" / "performance.md", everything)
    print(summary, everything, sep="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
