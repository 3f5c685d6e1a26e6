"""A table's model as HTML, for notebooks: what it predicts, from which columns, how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from deltaloop.network import Network
from deltaloop.tabular._columns import Column
from deltaloop.tabular._kinds import listed

__all__ = ["fitted", "unfitted"]

# More columns than this are counted, not shown.
SHOWN = 30


def unfitted(name: str, changed: str) -> str:
    """Return the call that makes the model."""
    return f"<pre>{escape(f'{name}({changed})')}</pre>"


def fitted(
    target: str | Sequence[str],
    task: str,
    columns: Sequence[Column],
    network: Network,
    report: Mapping[str, Any] | None,
) -> str:
    """Return the target, the columns, and what the fit measured."""
    names = target if isinstance(target, str) else ", ".join(target)
    lines = [f"<b>TabularModel</b>: {task} of <b>{escape(names)}</b>"]
    if report is not None:
        lines.append(escape(_measured(report)))
    rows = [(column.name, column.kind, _values(column)) for column in columns[:SHOWN]]
    if len(columns) > SHOWN:
        rows.append((f"{len(columns) - SHOWN:,} more", "", ""))
    head = "".join(f"<th>{title}</th>" for title in ("column", "kind", "values"))
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    layers = " - ".join(map(str, network.layers))
    return (
        f"<div><p>{'<br>'.join(line for line in lines if line)}</p>{table}"
        f"<p>network: {layers}, {escape(', '.join(dict.fromkeys(network.activation)))}</p></div>"
    )


def _measured(report: Mapping[str, Any]) -> str:
    """Return how good the model is on the rows held out."""
    for key, name in (("accuracy", "accuracy"), ("r2", "R^2")):
        value = report.get(key)
        if isinstance(value, float):
            return f"{name} of {report.get('n_test', 0):,} rows held out: {value:.3f}"
    n = report.get("n_train")
    return f"learned from {n:,} rows" if isinstance(n, int) else ""


def _values(column: Column) -> str:
    found = [f"{len(column.categories)} values: {listed(column.categories)}"]
    return ", ".join(found * bool(column.categories) + ["some missing"] * column.missing)
