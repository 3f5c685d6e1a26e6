"""A table's model as HTML, for notebooks: what it predicts, how well, and from which columns."""

from __future__ import annotations

from typing import Any

from deltaloop import _html
from deltaloop.tabular._kinds import listed

# Of a category so many values are shown.
VALUES = 5


def table(model: Any) -> str:
    """Return the columns with their kinds, and what the last fit measured."""
    name = type(model).__name__
    if model.network is None:
        return _html.page(name, "not fitted", ("column", "kind", "inputs", "values"), [])
    facts = [f"predicts {model.target!r}", str(model.task), f"layers {list(model.network.layers)}"]
    for key, called in (("accuracy", "accuracy"), ("r2", "R^2")):
        measured = (model.report or {}).get(key)
        if measured is not None:
            facts.append(f"{called} {measured:.4g} on {model.report['n_test']:,} rows held out")
    rows = [
        (column.name, column.kind, f"{column.n_inputs:,}", _values(column))
        for column in model.columns
    ]
    rows += [(name, "ignored", "0", why) for name, why in model.ignored.items()]
    return _html.page(name, ", ".join(facts), ("column", "kind", "inputs", "values"), rows)


def _values(column: Any) -> str:
    if column.categories:
        shown = listed(column.categories, VALUES)
    else:
        shown = f"mean {column.means[0]:.4g}"
    return f"{shown}, some missing" if column.missing else shown
