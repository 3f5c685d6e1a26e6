"""The curve of a training; matplotlib is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from deltaloop.results import FitResult

# Costs that differ by this factor are easier to read on a logarithmic axis.
LOG_FROM = 30.0


def plot(result: FitResult, ax: Any) -> Any:
    """Draw the costs; see ``FitResult.plot``.

    The two curves differ by their dashes as well, so that they can be told apart without colours.
    """
    try:
        from matplotlib.axes import Axes
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ImportError("plot needs matplotlib: pip install 'deltaloop[plot]'") from None
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    elif not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}")
    # A fit that was resumed goes on after the epochs of the state.
    before = int(result.state["epochs"]) - result.epochs
    epochs = before + np.arange(result.epochs + 1)
    watched = result.best_epoch is not None
    costs = np.concatenate([[result.initial_cost], result.cost_history])
    costs = costs / (result.n_instances if watched else 1)
    if np.isnan(costs[0]):
        epochs, costs = epochs[1:], costs[1:]
    ax.plot(epochs, costs, marker="o" if costs.size == 1 else None, label="training")
    if result.best_epoch is not None:
        others = result.history.validation_cost / result.n_validation
        at = before + np.arange(1, others.size + 1)
        ax.plot(at, others, "--", marker="o" if others.size == 1 else None, label="validation")
        best = result.best_epoch - before - 1
        if best >= 0:
            label = f"lowest, epoch {result.best_epoch:,}"
            ax.plot(at[best], others[best], "o", color="black", markersize=7, label=label)
        ax.legend()
        costs = np.concatenate([costs, others[np.isfinite(others)]])
    if costs.size and costs.min() > 0 and costs.max() >= LOG_FROM * costs.min():
        ax.set_yscale("log")
    for stage in np.cumsum([stage.epochs for stage in result.stages])[:-1]:
        ax.axvline(before + stage, color="gray", linewidth=0.8, linestyle=":")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(f"cost C, {'per instance' if watched else 'sum over instances'}")
    ax.set_title(f"{result.stop_reason} after {result.epochs:,} epochs: C = {result.cost:.4g}")
    return ax
