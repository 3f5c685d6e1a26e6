"""How the time grows with the number of rows, the width and the depth.

`python benchmarks/sweep.py [--directory DIRECTORY] [--threads N] [--sweeps rows,width,depth]`
prints a table of each sweep and draws it as an SVG file into the directory, .benchmarks by default.
Needs matplotlib. A contender with several numbers of threads is shown with the best of each point.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("deltaloop", "NumPy script", "PyTorch by hand", "JAX", "FANN")

# Legible in grey: shade, dashes and marker tell the lines apart.
STYLES = {
    "deltaloop": {"color": "0.0", "linewidth": 2.2, "marker": "o"},
    "NumPy script": {"color": "0.35", "linestyle": "--", "marker": "s"},
    "PyTorch by hand": {"color": "0.35", "linestyle": "-.", "marker": "^"},
    "JAX": {"color": "0.35", "linestyle": "-", "marker": "D"},
    "FANN": {"color": "0.55", "linestyle": ":", "marker": "v"},
    "floor": {"color": "0.7", "linewidth": 1.0, "linestyle": "-"},
}


def rows_sweep(cells):
    for n in (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000):
        yield n, cells.full_batch(10, 32, 1, rows=n, learning_rate=2**-20, timed=10)


def width_sweep(cells):
    for k in range(1, 12):
        w = 2**k
        # Fewer steps where one of them is long.
        rows = 32 * max(2, min(100, 2**18 // w**2))
        yield w, cells.mini_batch(w, w, w, batch=32, rows=rows, learning_rate=2**-10, timed=10)


def depth_sweep(cells):
    for hidden in (1, 2, 4, 8, 16, 32):
        layers = (64,) * (hidden + 2)
        yield hidden, cells.mini_batch(*layers, batch=32, rows=640, learning_rate=2**-10, timed=10)


SWEEPS = {
    "rows": (rows_sweep, "rows n", "epoch of 10-32-1 on n rows"),
    "width": (width_sweep, "width w", "step of w-w-w on 32 rows"),
    "depth": (depth_sweep, "hidden layers of width 64", "step on 32 rows"),
}


def measured(sweep, contenders, rates) -> dict[str, dict[int, float]]:
    """Seconds of one unit by name and size."""
    import cells
    import floors
    import measure

    found: dict[str, dict[int, float]] = {}
    for size, cell in sweep(cells):
        for entry in measure.measure_cell(cell, contenders, turns=2, moved=0.0).values():
            line = found.setdefault(entry["name"], {})
            line[size] = min(entry["seconds"], line.get(size, float("inf")))
        if rates:
            found.setdefault("floor", {})[size] = floors.floor(cell, rates)
    return found


def text(found: dict[str, dict[int, float]], axis: str) -> str:
    """Times, and in brackets how many times as long as deltaloop."""
    import table

    header = [axis, *found]
    lines = []
    for size, own in found["deltaloop"].items():
        line = [f"{size:,}"]
        for name, points in found.items():
            if size not in points:
                line.append("")
                continue
            ratio = "" if name == "deltaloop" else f" ({table.ratio(points[size] / own)})"
            line.append(table.duration(points[size]) + ratio)
        lines.append(line)
    return table.table(header, lines)


def draw(path: Path, found: dict[str, dict[int, float]], axis: str, unit: str, note: str) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import EngFormatter

    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, points in found.items():
        style = {"markersize": 4.5, "linewidth": 1.3} | STYLES[name]
        axes.plot(list(points), list(points.values()), label=name, **style)
    axes.set(xscale="log", yscale="log", xlabel=axis, ylabel=f"time of one {unit}")
    sizes = list(found["deltaloop"])
    if len(sizes) > 2 and sizes[1] == 2 * sizes[0]:
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.set_xticks([], minor=True)
    else:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(EngFormatter("s", places=0))
    axes.grid(which="major", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    axes.set_title(note, fontsize=8, loc="left", color="0.3")
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=ROOT / ".benchmarks")
    parser.add_argument("--threads", type=int, default=environment.cpus())
    parser.add_argument("--sweeps", default=",".join(SWEEPS))
    given = parser.parse_args()
    os.environ.update(environment.threads(given.threads))
    import machine
    import registry

    given.directory.mkdir(parents=True, exist_ok=True)
    everybody = [c for c in registry.contenders(given.threads) if c.name in NAMES]
    absent = {c.name for c in everybody if not c.present()}
    print("absent:", ", ".join(sorted(absent)) or "none")
    contenders = [c for c in everybody if c.present()]
    rates = machine.rates(given.threads)
    bytearray(31 << 20)  # as in measure.py
    note = f"{machine.processor()}, {machine.dl.runtime()['isa']}, {given.threads} threads"
    for name in given.sweeps.split(","):
        sweep, axis, unit = SWEEPS[name]
        found = measured(sweep, contenders, rates)
        print(f"\n{unit}\n\n{text(found, axis)}", flush=True)
        path = given.directory / f"{name}.svg"
        draw(path, found, axis, unit, note)
        print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
