"""What stands before the network where its inputs are made of the columns of a table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deltaloop._c.layers import Floats, Plain
from deltaloop._c.texts import Names


class Column(NamedTuple):
    """One column: a number, or one of some categories by their places in a list."""

    categories: tuple[str, ...]  # none: a number
    means: tuple[float, ...]  # the inputs of a value that is missing
    missing: bool  # whether the last input says that it is

    @property
    def n_inputs(self) -> int:
        return max(1, len(self.categories)) + self.missing


class Front(NamedTuple):
    """The columns, and the text that tells what they are."""

    columns: tuple[Column, ...]
    declared: str

    @property
    def n_inputs(self) -> int:
        return len(self.columns)

    def encode(self, rows: Floats) -> Floats:
        """Return the network's inputs for rows of columns, as the file makes them."""
        parts = []
        for column, values in zip(self.columns, rows.T, strict=True):
            inputs = np.zeros((len(values), column.n_inputs))
            if column.categories:
                known = (values >= 0) & (values < len(column.categories))
                known &= values == np.floor(values)
                inputs[known, np.where(known, values, 0).astype(int)[known]] = 1.0
                inputs[np.ix_(~known, range(len(column.means)))] = column.means
            else:
                known = values == values
                inputs[:, 0] = np.where(known, values, column.means[0])
            if column.missing:
                inputs[~known, -1] = 1.0
            parts.append(inputs)
        return np.concatenate(parts, axis=1)

    def test(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the rows of columns of the file's test, from likely inputs, and their inputs."""
        rows = np.empty((len(x), len(self.columns)))
        at = 0
        for j, column in enumerate(self.columns):
            if column.categories:
                rows[:, j] = (np.arange(len(x)) + j) % (len(column.categories) + 1) - 1
            else:
                rows[:, j] = x[:, at]
            if not column.categories:
                rows[j % len(x), j] = np.nan
            at += column.n_inputs
        return rows, self.encode(rows)

    def function(self, names: Names, plain: Plain) -> str:
        """Return the template of the function that makes the inputs and calls the network."""
        lines = [
            "@@INLINE void @table(@@FIRST const REAL *x, REAL *y, REAL *workspace)",
            "{",
            "    REAL *const a = workspace;",
            "    size_t i;",
            f"    for (i = 0; i < {plain.sizes[0]}; i++) {{",
            "        a[i] = 0.0~;",
            "    }",
        ]
        at = 0
        for j, column in enumerate(self.columns):
            width = len(column.categories)
            if width:
                lines.append(f"    if (x[{j}] >= 0.0~ && x[{j}] < {width}.0~ &&")
                lines.append(f"        x[{j}] == (REAL)(size_t)x[{j}]) {{")
                lines.append(f"        a[{at} + (size_t)x[{j}]] = 1.0~;")
            else:
                lines.append(f"    if (x[{j}] == x[{j}]) {{")
                lines.append(f"        a[{at}] = x[{j}];")
            gone = [
                f"        a[{at + i}] = {names.number(mean)};"
                for i, mean in enumerate(column.means)
            ]
            if column.missing:
                gone.append(f"        a[{at + column.n_inputs - 1}] = 1.0~;")
            if gone:
                lines += ["    } else {", *gone]
            lines.append("    }")
            at += column.n_inputs
        lines.append(f"    @network(@@HANDED_ON a, y, &workspace[{plain.sizes[0]}]);")
        return "\n".join([*lines, "}"])
