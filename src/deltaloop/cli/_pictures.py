"""The picture that `deltaloop train --plot FILE` writes."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import plot
from deltaloop._files.atomic import is_direct, write_bytes
from deltaloop.plot._axes import shorten
from deltaloop.results import FitResult

__all__ = ["check", "draw"]

_SUFFIXES = (".png", ".svg", ".pdf")


def check(args: argparse.Namespace) -> None:
    """Refuse what could not be drawn, before time is spent on training."""
    if not args.plot.lower().endswith(_SUFFIXES) and not is_direct(args.plot):
        expected = ", ".join(_SUFFIXES)
        args.usage_error(
            f"argument --plot: expected a name that ends in {expected}, got {args.plot!r}"
        )
    if find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib: pip install 'deltaloop[plot]'")


def draw(
    path: str,
    result: FitResult,
    y: NDArray[Any],
    predicted: NDArray[Any],
    classes: Sequence[Any] | None,
    names: Sequence[str] = (),
) -> None:
    """Write the learning curve, beside it how held-out rows are predicted.

    For class numbers y, (n,), a confusion matrix with the labels `classes`; for values, (n, k), the
    predicted ones against the true ones, and residuals; `names` are those of the values. Without
    rows held out, the learning curve alone.
    """
    from matplotlib.figure import Figure

    n = 1 if not len(y) else 2 if classes is not None else 3
    figure = Figure(figsize=(5.2 * n, 4.6), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False)[0]
    plot.learning_curve(result, ax=axes[0])
    if not len(y):
        pass
    elif classes is not None:
        labels = np.array(classes)
        plot.confusion_matrix(labels[y], labels[predicted], labels=list(classes), ax=axes[1])
    else:
        plot.predicted_against_true(y, predicted, ax=axes[1])
        plot.residuals(y, predicted, ax=axes[2])
        for ax in axes[1:]:
            _name_outputs(ax.get_legend(), names)
        if len(names) == 1:
            name = shorten(names[0])
            axes[1].set_xlabel(f"true {name}", parse_math=False)
            axes[1].set_ylabel(f"predicted {name}", parse_math=False)
            axes[2].set_xlabel(f"predicted {name}", parse_math=False)
    content = io.BytesIO()
    kind = path.lower().rpartition(".")[2]
    figure.savefig(content, dpi=150, format="png" if is_direct(path) else kind)
    write_bytes(path, content.getbuffer())


def _name_outputs(legend: Any, names: Sequence[str]) -> None:
    """Write names in the place of the numbers of outputs in a legend, if there is one."""
    if legend is not None and names:
        legend.set_title("target")
        for name, text in zip(names, legend.get_texts(), strict=False):
            text.set_text(f"{name}:{text.get_text().partition(':')[2]}")
