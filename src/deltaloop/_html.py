"""A network as a small table of HTML, for notebooks."""

from __future__ import annotations

from html import escape

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
    head = _row("th", ("layer", "units", "activation", "parameters"))
    body = "".join(_row("td", row) for row in rows)
    total = _row("th", ("total", "", "", f"{network.n_parameters:,}"))
    caption = f"<b>{escape(type(network).__name__)}</b>: {escape(', '.join(facts))}"
    return (
        '<table class="deltaloop">'
        f'<caption style="text-align: left; color: inherit">{caption}</caption>'
        f"<thead>{head}</thead><tbody>{body}</tbody><tfoot>{total}</tfoot></table>"
    )


def _row(tag: str, cells: tuple[str, str, str, str]) -> str:
    """Return a row: names to the left, numbers to the right."""
    sides = ("left", "right", "left", "right")
    parts = [
        f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=True)
    ]
    return f"<tr>{''.join(parts)}</tr>"
