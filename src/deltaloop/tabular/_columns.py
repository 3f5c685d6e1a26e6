"""The columns of a table together: how they become the inputs of a network.

A number (or a date, or a duration) is one input, and a second one, 1 where it is missing, if any
training row had it missing. A category is one input for each of its values, in sorted order, 1
where the row has it, and one more for missing ones under the same condition. What is missing
although no training row had it missing gets the means of the training rows. All that is known of
one kind of column is its class in _kinds.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats, Scaling
from deltaloop.tabular import _applied, _frames
from deltaloop.tabular._kinds import Column, Ignored, listed
from deltaloop.tabular._values import Values

__all__ = ["Column", "Table"]


@dataclass(frozen=True)
class Table:
    """The columns that a model takes."""

    columns: tuple[Column, ...]

    @classmethod
    def of(
        cls, columns: Sequence[Values], rows: NDArray[np.intp]
    ) -> tuple[Table, dict[str, Ignored]]:
        """Describe columns by their training rows; also which ones say nothing, and why."""
        found, ignored = [], {}
        for values in columns:
            column = Column.of(values, rows)
            if isinstance(column, Column):
                found.append(column)
            else:
                ignored[values.name] = column
        return cls(tuple(found)), ignored

    @property
    def n_inputs(self) -> int:
        """Inputs of the network."""
        return sum(column.n_inputs for column in self.columns)

    def encode(self, columns: Mapping[str, Values]) -> Floats:
        """Return the inputs of all rows, (n, n_inputs)."""
        return np.hstack([column.encode(columns[column.name]) for column in self.columns])

    def read(self, frame: Any) -> dict[str, Values]:
        """Read the model's columns of a narwhals frame. ValueError if some are absent."""
        there = frame.columns  # which some libraries make anew each time
        names = set(there)
        absent = [column.name for column in self.columns if column.name not in names]
        if absent:
            raise ValueError(
                f"there is no column {listed(absent)}, which the model needs; the "
                f"columns are {listed(there)}"
            )
        return {
            column.name: _applied.apply(
                _frames.column(frame[column.name]),
                column.kind,
                column.notation,
                column.categories,
            )
            for column in self.columns
        }

    def scaling(self, inputs: Floats) -> Scaling:
        """Return how the inputs of the training rows are scaled."""
        ends = np.cumsum([column.n_inputs for column in self.columns])
        parts = [
            column.scaling(inputs[:, end - column.n_inputs : end])
            for column, end in zip(self.columns, ends.tolist(), strict=True)
        ]
        return Scaling(
            np.concatenate([part.mean for part in parts]),
            np.concatenate([part.scale for part in parts]),
        )
