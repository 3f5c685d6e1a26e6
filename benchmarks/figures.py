"""The figures of docs/understand/solvers-measured.md, from what training.py found.

They are SVG files, with the same bytes each time.

Legible in grey: shade, dashes and marker tell the lines apart.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import goals
import methods
import numpy as np
import problems

STYLES = {
    "LM": {"color": "0.0", "linewidth": 2.2, "marker": "o"},
    "LBFGS": {"color": "0.2", "linestyle": "--", "marker": "s"},
    "LBFGS(30)": {"color": "0.5", "linestyle": "--", "marker": "D"},
    "SCG": {"color": "0.3", "linestyle": "-.", "marker": "^"},
    "Rprop": {"color": "0.5", "linestyle": ":", "marker": "v"},
    "Adam": {"color": "0.5", "linestyle": "-", "marker": "X"},
    "with momentum 0.9": {"color": "0.65", "linestyle": "-.", "marker": ">"},
    "GradientDescent": {"color": "0.65", "linestyle": ":", "marker": "<"},
    "trainlm": {"color": "0.0", "linestyle": "--", "marker": "P"},
    "Bayesian": {"color": "0.3", "linestyle": "-", "marker": "p"},
}
# As the tables of sinc call them.
SHORT = {
    methods.DEFAULT: "LM",
    "LBFGS()": "LBFGS",
    "LBFGS(30)": "LBFGS(30)",
    "ScaledConjugateGradient()": "SCG",
    "Rprop()": "Rprop",
    "Adam, full batch, cosine": "Adam",
}


def style(name: str) -> dict:
    return {"linewidth": 1.3, "markersize": 4.5} | STYLES[name]


def axes_of(width: float, height: float, columns: int = 1):
    """A figure and its axes, drawn alike everywhere."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {
        "svg.hashsalt": "deltaloop",
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
    }
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    for each in axes[0]:
        each.grid(which="major", color="0.9", linewidth=0.6)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    return figure, list(axes[0])


def seconds(axis) -> None:
    from matplotlib.ticker import EngFormatter, NullFormatter

    axis.set_major_formatter(EngFormatter("s", places=0))
    axis.set_minor_formatter(NullFormatter())


def write(figure, path: Path) -> None:
    """With two decimals and no indentation, which is half of the size."""
    from matplotlib import pyplot as plt

    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    short = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text.getvalue())
    lines = (line.strip() for line in short.splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cost_over_time(path: Path, found: dict[str, list]) -> None:
    """Medians over the starts of the lowest mean squared error so far."""
    figure, (axes,) = axes_of(6.4, 4.0)
    times = np.geomspace(1e-4, goals.CURVES, 61)
    for name, curves in found.items():
        lowest = np.full((len(curves), len(times)), np.nan)
        for line, curve in zip(lowest, curves, strict=True):
            at, mse = np.array(curve).T
            index = np.searchsorted(at, times, side="right") - 1
            best = np.minimum.accumulate(mse)
            line[index >= 0] = best[index[index >= 0]]
        shown = np.isfinite(lowest).all(axis=0)
        short = SHORT[name]
        middle = np.median(lowest[:, shown], axis=0)
        axes.plot(times[shown], middle, label=short, markevery=8, **style(short))
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="CPU time",
        ylabel="mean squared error, median of the starts",
    )
    seconds(axes.xaxis)
    axes.legend(frameon=False)
    write(figure, path)


def success(path: Path, found: dict[str, dict], names: tuple[str, ...]) -> None:
    """How many of the starts had reached the goal by when."""
    figure, panels = axes_of(8.0, 3.6, len(names))
    for axes, name in zip(panels, names, strict=True):
        for method in methods.SOLVERS:
            if method.name in ("GradientDescent", "trainlm"):
                continue
            entry = found[f"{name} | {method.name}"]
            hits = goals.column(entry, 0)
            at = sorted(hit.seconds for hit in hits if hit.reached)
            share = [100 * (i + 1) / len(hits) for i in range(len(at))]
            axes.step(
                [*at, entry["cap"]],
                [*share, share[-1] if share else 0.0],
                where="post",
                label=method.name,
                markevery=max(1, len(at) // 5),
                **style(method.name),
            )
        axes.set(xscale="log", ylim=(0, 103), xlabel="CPU time", title=name)
        seconds(axes.xaxis)
    panels[0].set_ylabel("starts that reached the goal, %")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, frameon=False, loc="outside right center", fontsize=8)
    write(figure, path)


def expected(path: Path, found: dict[str, dict]) -> None:
    """Expected times of all solvers on all problems; hollow where not all starts succeeded."""
    figure, (axes,) = axes_of(7.2, 5.4)
    axes.grid(axis="y", visible=False)
    names = list(problems.PROBLEMS)
    for k, method in enumerate(methods.SOLVERS):
        look = style(method.name) | {"linestyle": "none", "markersize": 5.5, "linewidth": 0}
        points: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for i, name in enumerate(names):
            hits = goals.column(found[f"{name} | {method.name}"], 0)
            y = i + 0.085 * (k - (len(methods.SOLVERS) - 1) / 2)
            if any(hit.reached for hit in hits):
                points[all(hit.reached for hit in hits)].append((goals.expected(hits), y))
        axes.plot(*np.array(points[True]).reshape(-1, 2).T, label=method.name, **look)
        axes.plot(*np.array(points[False]).reshape(-1, 2).T, **look, markerfacecolor="white")
    for i in range(1, len(names)):
        axes.axhline(i - 0.5, color="0.85", linewidth=0.6)
    axes.set(xscale="log", xlabel="expected CPU time to the goal", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    seconds(axes.xaxis)
    figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    write(figure, path)


def draw(directory: Path, found: dict[str, dict]) -> None:
    """Those that the tables that were measured suffice for."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("no figures: matplotlib is not installed")
        return
    if found.get("curves"):
        cost_over_time(directory / "cost-over-time.svg", found["curves"])
    if found.get("problems"):
        success(
            directory / "success.svg",
            found["problems"],
            ("CANCER 9-5-5-2", "two spirals 2-20-10-1"),
        )
        expected(directory / "expected-time.svg", found["problems"])
