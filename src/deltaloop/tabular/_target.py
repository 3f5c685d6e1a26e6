"""The column that a table's model predicts: classes or values, and which of both it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats
from deltaloop.tabular import _applied, _frames
from deltaloop.tabular._kinds import no_target
from deltaloop.tabular._values import Notation, Values, kept, not_a_number, numbers_as_text, where

__all__ = ["Label", "Target"]

Label = int | str | bool

# Whole numbers are classes if there are few of them, and several rows of each.
MAX_WHOLE_CLASSES = 20
ROWS_PER_CLASS = 5
# Beyond it a float64 does not hold every whole number.
MAX_WHOLE = 2**53


@dataclass(frozen=True)
class Target:
    """The columns to predict: one by its name alone, or several; sorted classes, or None.

    Classes are always of one, however it was given: their predictions are (n,).
    `notations` say how the text of each of them is read; empty where that is as usual.
    """

    names: tuple[str, ...]
    single: bool
    classes: tuple[Label, ...] | None
    notations: tuple[Notation | None, ...] = ()

    @property
    def task(self) -> str:
        return "regression" if self.classes is None else "classification"

    @property
    def n_outputs(self) -> int:
        return len(self.names) if self.classes is None else len(self.classes)

    @classmethod
    def of(cls, columns: Sequence[Values], single: bool, task: str | None) -> Target:
        """Describe the target of the training table. TypeError or ValueError if it cannot be."""
        declared = [values.notation is not None and values.notation.items for values in columns]
        columns = [_of_items(values) for values in columns]
        for values in columns:
            if values.missing.all():
                raise ValueError(f"target column {values.name!r} has no values")
            refused = no_target(values)
            if refused is not None:
                raise TypeError(
                    f"target column {values.name!r} has {refused.plural} ({values.dtype}); "
                    "expected numbers, text or booleans"
                )
        if task is None:
            task = "regression" if len(columns) > 1 else _found_out(columns[0])
            task = "classification" if declared == ["int"] else task
        names = tuple(values.name for values in columns)
        known = tuple(kept(values.notation) for values in columns)
        notations = known if any(known) else ()
        if task == "regression":
            for values in columns:
                _check_numbers(values)
            return cls(names, single, None, notations)
        if len(columns) > 1:
            raise ValueError(f"a classification has one target, got {len(columns)}: {list(names)}")
        return cls(names, True, _classes(columns[0]), notations)

    def typed(self, columns: Mapping[str, Values]) -> dict[str, Values]:
        """Return the target's columns; categories that are whole numbers or booleans as such."""
        return {name: _of_items(columns[name]) for name in self.names}

    def read(self, columns: Mapping[str, Any]) -> dict[str, Values]:
        """Read the target's columns, narwhals series, as those of training were read."""
        kind = "category" if self.classes and isinstance(self.classes[0], str) else "number"
        notations = self.notations or (None,) * len(self.names)
        return {
            name: _applied.apply(
                _of_items(_frames.column(columns[name])),
                kind,
                notation,
                [label for label in self.classes or () if isinstance(label, str)],
                target=True,
            )
            for name, notation in zip(self.names, notations, strict=True)
        }

    def encode(self, columns: Mapping[str, Values]) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Return y of the rows that have a target, and these rows.

        y holds class numbers (n,), -1 for what is no class of the model, or values (n, k).
        """
        chosen = [columns[name] for name in self.names]
        rows = np.flatnonzero(~np.any([values.missing for values in chosen], axis=0))
        if self.classes is None:
            return np.column_stack([_check_numbers(values)[rows] for values in chosen]), rows
        values = chosen[0]
        if isinstance(self.classes[0], str) != (values.text is not None) and len(rows):
            expected = "text" if isinstance(self.classes[0], str) else "numbers"
            raise TypeError(
                f"target column {values.name!r}: expected {expected}, like the model's class "
                f"{self.classes[0]!r}, got {values.dtype}"
            )
        number = {label: i for i, label in enumerate(self.classes)}
        items: list[Any] = values.numbers.tolist() if values.text is None else values.text  # type: ignore[union-attr]
        return np.array([number.get(items[i], -1) for i in rows], dtype=np.int64), rows

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return labels (n,) of class numbers; values (n,) of a single target, or (n, k)."""
        if self.classes is not None:
            labels: NDArray[Any] = np.array(self.classes)[outputs]
            return labels
        return outputs[:, 0] if self.single else outputs


def _of_items(values: Values) -> Values:
    """Return categories that are whole numbers or booleans as such; others as they are."""
    items = "" if values.notation is None else values.notation.items
    if values.text is None or items not in ("int", "bool"):
        return values
    found = [
        np.nan if text is None else float(text == "True" if items == "bool" else text)
        for text in values.text
    ]
    return replace(
        values, form="number", numbers=np.array(found), text=None, boolean=items == "bool"
    )


def _found_out(values: Values) -> str:
    if values.text is not None or values.boolean:
        return "classification"
    known = _known(values)
    n_values = np.unique(known).size
    few = n_values <= MAX_WHOLE_CLASSES and ROWS_PER_CLASS * n_values <= known.size
    return "classification" if few and _fraction(values) is None else "regression"


def _known(values: Values) -> Floats:
    assert values.numbers is not None
    return values.numbers[~values.missing]


def _fraction(values: Values) -> int | None:
    """Return the first row whose number is not whole."""
    assert values.numbers is not None
    with np.errstate(invalid="ignore"):
        broken = (values.numbers != np.round(values.numbers)) & ~values.missing
    return int(np.argmax(broken)) if broken.any() else None


def _check_numbers(values: Values) -> Floats:
    """Return the numbers of a target. TypeError if it has none."""
    if values.numbers is None or no_target(values) is not None:
        row = not_a_number(values)
        got = repr(values.text[row]) if values.text is not None else values.dtype
        raise TypeError(f"target {where(values.name, row)}: expected numbers, got {got}")
    return values.numbers


def _classes(values: Values) -> tuple[Label, ...]:
    name, n = values.name, len(values) - int(values.missing.sum())
    if values.text is not None:
        classes: list[Any] = sorted({text for text in values.text if text is not None})
    elif values.boolean:
        classes = [bool(number) for number in np.unique(_known(values))]
    else:
        row = _fraction(values)
        if row is not None and values.numbers is not None:
            raise ValueError(
                f"target {where(name, row)}: classes are text, booleans or whole numbers, got "
                f"{values.numbers[row]}, so it is continuous; task='regression' predicts values"
            )
        if np.abs(_known(values)).max() >= MAX_WHOLE:
            raise ValueError(f"target column {name!r}: classes as numbers must be below 2**53")
        classes = [int(number) for number in np.unique(_known(values))]
    if len(classes) < 2:
        raise ValueError(
            f"target column {name!r} has the class {classes[0]!r} alone, two are needed"
        )
    if 2 * len(classes) > n:
        hint = "; task='regression' predicts values"
        found = ""
        if values.text is not None:
            row = not_a_number(values)
            hint = ""
            found = numbers_as_text(values) or f", as {values.text[row]!r} in row {row}"
        raise ValueError(
            f"target column {name!r} has {len(classes)} classes in {n} rows{found}; too few rows "
            f"to learn them{hint}"
        )
    return tuple(classes)
