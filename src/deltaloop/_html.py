"""Networks and results as small tables of HTML, for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import Any

from deltaloop import _core, _scalars
from deltaloop._arguments import layers as _layers

# Of deeper networks so many layers are shown at each end.
ENDS = 8


def table(network: _core.Core) -> str:
    """Return the layers with units, activations and parameters, and what the network was made with.

    Colours and fonts are the page's own, so that it can be read on light and on dark ones.
    """
    sizes = network.layers
    last = len(sizes) - 1
    skips = _layers.skips(sizes) if network.residual else ()
    rows = [("inputs", f"{sizes[0]:,}", "", "")]
    for l, activation in enumerate((*network.activation, network.output), start=1):
        name = "outputs" if l == last else f"hidden {l}"
        activation += f" + {rows[-1][0]}" if l in skips else ""
        parameters = (sizes[l - 1] + 1) * sizes[l]
        rows.append((name, f"{sizes[l]:,}", activation, f"{parameters:,}"))
    if len(rows) > 2 * ENDS + 1:
        between = f"{len(rows) - 2 * ENDS:,} more layers"
        rows[ENDS:-ENDS] = [(between, "\N{HORIZONTAL ELLIPSIS}", "", "\N{HORIZONTAL ELLIPSIS}")]
    facts = [f"loss {network.loss}"]
    if network.residual:
        facts.append("residual")
    if network._scaling is not None:
        facts.append(f"scaling {network._scaling.kind}")
    if network.init is not None:
        facts.append(f"init {network.init}")
    facts.append(f"seed {_scalars.shown(network.seed)}")
    return page(
        type(network).__name__,
        ", ".join(facts),
        ("layer", "units", "activation", "parameters"),
        rows,
        ("total", "", "", f"{network.n_parameters:,}"),
        right=(1, 3),
    )


def result(found: Any) -> str:
    """Return what a fit did: each stage, or each solver, and how it ended."""
    facts = [f"{found.stop_reason}, cost {found.cost:.6g}"]
    if math.isfinite(found.initial_cost):
        facts[0] += f" from {found.initial_cost:.6g}"
    facts.append(f"{found.n_instances:,} instances")
    if found.n_validation:
        facts.append(f"validation cost {found.validation_cost:.6g} of {found.n_validation:,} more")
    rows = [
        (
            repr(stage.solver),
            f"{stage.epochs:,}",
            stage.stop_reason,
            f"{stage.cost:.6g}",
            f"{stage.seconds:.3g} s",
        )
        for stage in found.stages
    ]
    total = ("total", f"{found.epochs:,}", found.stop_reason, f"{found.cost:.6g}")
    return page(
        type(found).__name__,
        ", ".join(facts),
        ("solver", "epochs", "ended by", "cost", "time"),
        rows,
        (*total, f"{found.seconds:.3g} s"),
        right=(1, 3, 4),
        below=found.message,
    )


def page(
    name: str,
    facts: str,
    head: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    foot: tuple[str, ...] | None = None,
    right: tuple[int, ...] = (2,),
    below: str = "",
) -> str:
    """Return a table under its name and facts; the columns `right` are numbers."""
    caption = f"<b>{escape(name)}</b>: {escape(facts)}"
    body = "".join(_row("td", row, right) for row in rows)
    end = "" if foot is None else f"<tfoot>{_row('th', foot, right)}</tfoot>"
    return (
        '<table class="deltaloop">'
        f'<caption style="text-align: left; color: inherit">{caption}</caption>'
        f"<thead>{_row('th', head, right)}</thead><tbody>{body}</tbody>{end}</table>"
        + (f"<p>{escape(below)}</p>" if below else "")
    )


def _row(tag: str, cells: tuple[str, ...], right: tuple[int, ...]) -> str:
    """Return a row: names to the left, numbers to the right."""
    sides = ["right" if i in right else "left" for i in range(len(cells))]
    parts = [
        f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    ]
    return f"<tr>{''.join(parts)}</tr>"
