"""The curve of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop.losses import Huber, Quantile
from deltaloop.plot import _axes
from deltaloop.results import stopped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deltaloop.results import FitResult

# matplotlib makes no logarithmic axis up to 1e300; such costs are those of a diverging fit.
LARGEST = 1e200
# Costs that differ by this factor are easier to read on a logarithmic axis.
LOG_FROM = 30.0


def learning_curve(result: Any, ax: Axes | None = None) -> Axes:
    """Draw the cost after each epoch of a fit, and what its validation said.

    Of a `FitResult` the costs of training, with the initial one at epoch 0 where it is known. With
    validation its costs too, dashed, and a point where they were lowest, which is the stopping
    point whose parameters were kept if the legend says so; both curves are then divided by the
    number of their instances. Dotted lines stand where another solver went on.

    Of an estimator ``loss_curve_`` and, dashed on an axis of their own, ``validation_scores_`` with
    a point where they were highest, which is the epoch whose parameters an estimator with early
    stopping keeps.

    Parameters
    ----------
    result : FitResult or estimator
        What ``Network.fit`` returned, or a fitted estimator with ``loss_curve_`` such as
        scikit-learn's MLPClassifier and MLPRegressor.
    ax : matplotlib.axes.Axes, optional
        What to draw on; by default a new figure of pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        With a logarithmic axis of costs where these are positive and differ by a factor of 30.

    Raises
    ------
    ImportError
        Without matplotlib: ``pip install 'deltaloop[plot]'``.
    TypeError
        If `result` or `ax` is something else.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> result = net.fit([[1.0]], [2.0], solver=dl.GradientDescent(0.25), goal=1e-6)
    >>> ax = dl.plot.learning_curve(result)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('epoch', 'log')
    """
    known = not isinstance(result, type)
    if known and hasattr(result, "cost_history"):  # a FitResult, which can draw itself by this
        axes = _axes.axes(ax)
        _draw_fit(result, axes)
    elif known and getattr(result, "loss_curve_", None) is not None:
        axes = _axes.axes(ax)
        _draw_estimator(result, axes)
    else:
        raise TypeError(
            "result must be a FitResult or a fitted estimator with loss_curve_, "
            f"got {type(result).__name__}"
        )
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    return axes


def _draw_fit(result: FitResult, ax: Axes) -> None:
    # A fit that was resumed goes on after the epochs of the state.
    before = int(result.state["epochs"]) - result.epochs
    epochs = before + np.arange(result.epochs + 1)
    watched = result.best_epoch is not None
    costs = np.concatenate([[result.initial_cost], result.cost_history])
    costs = costs / (result.n_instances if watched else 1)
    if np.isnan(costs[0]):
        epochs, costs = epochs[1:], costs[1:]
    _curve(ax, epochs, costs, label="training")
    if result.best_epoch is not None:
        others = result.history.validation_cost / result.n_validation
        _curve(ax, before + np.arange(1, others.size + 1), others, "--", label="validation")
        best = result.best_epoch - before - 1
        if best >= 0:
            kept = result.validation_cost == result.history.validation_cost[best]
            label = f"lowest, epoch {result.best_epoch:,}" + (" (kept)" if kept else "")
            ax.plot(result.best_epoch, others[best], "o", color="black", label=label)
        costs = np.concatenate([costs, others])
    _scale(ax, costs)
    border = before
    for stage, following in zip(result.stages, result.stages[1:], strict=False):
        border += stage.epochs
        label = f"epoch {border:,}: {type(following.solver).__name__}"
        ax.axvline(border, color="gray", linewidth=1.2, linestyle=":", label=label)
    if len(ax.get_legend_handles_labels()[1]) > 1:
        _axes.legend(ax, costs.size)
    loss = str(result.loss).replace("_", " ")
    ax.set_ylabel(f"cost {'per instance' if watched else '(sum over instances)'}\n{loss}")
    plural = "" if result.epochs == 1 else "s"
    why = stopped(result).replace("round", "epoch")
    _axes.title(ax, f"stopped after {result.epochs:,} epoch{plural}, {why}")


def _draw_estimator(estimator: Any, ax: Axes) -> None:
    losses = np.asarray(estimator.loss_curve_, np.float64)
    epochs = np.arange(1, losses.size + 1)
    curves = _curve(ax, epochs, losses, label="training loss")
    _scale(ax, losses)
    scores = getattr(estimator, "validation_scores_", None)
    if scores is not None and len(scores):
        values = np.asarray(scores, np.float64)
        name = "accuracy" if hasattr(estimator, "classes_") else "R\N{SUPERSCRIPT TWO}"
        other = ax.twinx()
        epochs = np.arange(1, values.size + 1)
        curves += _curve(other, epochs, values, "--", color="C1", label=f"validation {name}")
        if np.isfinite(values).any():
            best = int(np.nanargmax(values))
            label = f"highest, epoch {best + 1:,}"
            curves += other.plot(best + 1, values[best], "o", color="black", label=label)
        other.set_ylabel(f"validation {name}")
        _axes.legend(other, values.size, handles=curves, loc="center right")
    loss = getattr(estimator, "loss", None)
    known = isinstance(loss, str | Huber | Quantile)
    also = "\n" + str(loss).replace("_", " ") if known else ""
    ax.set_ylabel(f"loss (mean over instances){also}")
    _axes.title(ax, f"{type(estimator).__name__}, {losses.size:,} epochs")


def _curve(ax: Axes, x: NDArray[Any], y: NDArray[Any], *style: str, **options: Any) -> list[Any]:
    """Draw a curve, or the single point that it has."""
    y = np.where(np.abs(y) < LARGEST, y, np.nan)
    return ax.plot(x, y, *style, marker="o" if y.size == 1 else None, **options)


def _scale(ax: Axes, costs: NDArray[Any]) -> None:
    """Make the axis logarithmic where the costs ask for it."""
    costs = costs[np.abs(costs) < LARGEST]
    if costs.size and costs.min() > 0 and costs.max() >= LOG_FROM * costs.min():
        ax.set_yscale("log")
