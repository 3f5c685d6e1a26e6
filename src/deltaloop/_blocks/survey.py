"""The first pass over a source: every row is checked and counted before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _losses
from deltaloop._arguments import arrays as _arrays
from deltaloop._blocks.ahead import each
from deltaloop._blocks.block import Array, Block, Source

# Rows of the sample that warnings are made from, at most, and the numbers in it.
SAMPLE = 2048
SAMPLE_NUMBERS = 2**22


@dataclass
class Survey:
    """What is known of a source after the pass."""

    n: int = 0
    x_type: Any = None
    y_type: Any = None
    y_shape: tuple[int, ...] = ()  # of a row's targets
    labels: bool = False  # they are classes
    missing: bool = False  # some are NaN
    weighted: bool = False  # its blocks have weights, and the largest:
    largest: float = 0.0
    there: bool = False  # a target that is not NaN
    counts: NDArray[np.intp] | None = None  # of the classes, if they are asked for
    sample: list[tuple[Any, ...]] = field(default_factory=list)  # rows (row, x, y, weight)


class _Sample:
    """Rows that are spread evenly, however many there will be: every 2^k-th."""

    def __init__(self, columns: int) -> None:
        self.most = max(16, min(SAMPLE, SAMPLE_NUMBERS // max(columns, 1)))
        self.step = 1
        self.rows: list[int] = []
        self.parts: list[tuple[Any, ...]] = []

    def add(self, first: int, *arrays: Array | None) -> None:
        """Take rows of a block whose first one has this number."""
        rows = len(arrays[0]) if arrays[0] is not None else 0
        begin = -first % self.step
        while begin < rows:
            room = self.most - len(self.rows)
            picked = np.arange(begin, rows, self.step)[:room]
            self.rows += [first + int(i) for i in picked]
            self.parts += [
                tuple(None if a is None else a[i].copy() for a in arrays) for i in picked
            ]
            if len(picked) < room:
                return
            begin = int(picked[-1]) + self.step if len(picked) else begin
            self.step *= 2
            kept = [k for k, row in enumerate(self.rows) if row % self.step == 0]
            self.rows = [self.rows[k] for k in kept]
            self.parts = [self.parts[k] for k in kept]
            begin += -(first + begin) % self.step

    def arrays(self) -> list[Array | None]:
        """Return the rows as arrays."""
        return [
            None if part[0] is None else np.stack(part) for part in zip(*self.parts, strict=True)
        ]


def place(name: str, block: int, first: int) -> str:
    """Return what messages call a block."""
    return f"block {block} of {name} (row {first} on)"


def weights_of(block: Block, given: NDArray[np.float64] | None, first: int) -> NDArray[Any] | None:
    """Return the weights of a block, its own or those of all rows."""
    if given is None:
        return block.weights
    return given[first : first + block.rows]


def survey(
    source: Source,
    network: _core.Core,
    *,
    name: str,
    y_name: str,
    weights: NDArray[np.float64] | None,
    skip: bool,
    check_finite: bool,
    classes: bool,
) -> Survey:
    """Check all rows; see `Survey`. `weights` are those of all rows where they lie in memory."""
    found = Survey()
    m0, m = network.layers[0], network.layers[-1]
    sample = _Sample(m0 + m)
    for i, block in enumerate(each(source)):
        where = place(name, i, found.n)
        x = instances(block, m0, where, check_finite=check_finite, names=source.names)
        if block.y is None:
            raise ValueError(
                f"{where} has no targets; "
                + (
                    f"name their column: {y_name}='...'"
                    if source.names
                    else "give (X, Y) as each block"
                )
            )
        y, labels = targets(
            network, block.y, len(x), place(y_name, i, found.n), where, skip, check_finite, found
        )
        if found.n and labels != found.labels:
            raise ValueError(
                f"{place(y_name, i, found.n)} holds {'classes' if labels else 'values'}, and "
                f"those before it hold {'classes' if found.labels else 'values'}"
            )
        s = weights_of(block, weights, found.n)
        if s is not None:
            s = s.astype(np.float64, copy=False)
            check_weights(s, len(x), i, found)
        if found.n and (s is not None) != found.weighted:
            raise ValueError(
                f"{where} has {'' if s is not None else 'no '}weights, and those before it "
                f"{'have none' if s is not None else 'have'}"
            )
        found.labels, found.weighted = labels, s is not None
        if classes:
            count(found, y, labels, m)
        types = [block.dtype] if found.x_type is None else [found.x_type, block.dtype]
        found.x_type = np.result_type(*types)
        types = [y.dtype] if found.y_type is None else [found.y_type, y.dtype]
        found.y_type = np.result_type(*types)
        found.y_shape = y.shape[1:]
        sample.add(found.n, x, y, s)
        found.n += len(x)
    if found.n == 0:
        raise ValueError(f"{name} is empty: it has no instances")
    if weights is not None and len(weights) != found.n:
        raise ValueError(
            f"sample_weight must have shape ({found.n},), a weight for each instance, got "
            f"{weights.shape}"
        )
    if found.weighted and found.largest == 0:
        raise ValueError(
            "sample_weight holds nothing but zeros; one weight at least must be positive"
        )
    if found.missing and not found.there:
        raise ValueError(f"{y_name} holds nothing but NaN; one target at least must be there")
    found.sample = [tuple(sample.arrays())]
    return found


def instances(block: Block, m0: int, where: str, *, check_finite: bool, names: Any = ()) -> Array:
    """Return the instances of a block as an array, checked."""
    if block.columns != m0:
        listed = ": " + ", ".join(list(names)[:20]) if names else ""
        raise ValueError(
            f"{where} must have {m0} columns, one for each input, got {block.columns}{listed}"
        )
    x = block.x
    if not isinstance(x, np.ndarray):
        x = np.empty((block.rows, m0), block.dtype)
        block.put(0, block.rows, x)
    bad = _core.find_nonfinite(x) if check_finite else None
    if bad is not None:
        row, column = bad
        called = f"column {column}" + (f", {names[column]!r}" if names else "")
        raise ValueError(
            f"{where} holds {x[bad]} at row {row}, {called}; every value must be finite"
        )
    return x


def targets(
    network: _core.Core,
    given: Array,
    n: int,
    y_name: str,
    name: str,
    skip: bool,
    check_finite: bool,
    found: Survey,
) -> tuple[Array, bool]:
    """Return the targets of a block, and whether they are classes, checked."""
    y, labels = _arrays.targets(network, given, n, False, y_name, name)
    there = None
    if skip and y.dtype.kind == "f":
        there = ~np.isnan(y)
        found.missing |= not there.all()
        found.there |= bool(there.any())
        if network.output == "softmax":
            partly = there.any(axis=1) & ~there.all(axis=1)
            if partly.any():
                raise ValueError(
                    f"{y_name} has some of the targets of row {int(np.argmax(partly))} and misses "
                    "others; the outputs of a softmax belong together"
                )
    checked = y
    if there is not None and not there.all():
        filled = 1.0 / network.layers[-1] if network.output == "softmax" else 0.0
        checked = np.where(there, y, filled)
    if check_finite:
        _arrays.finite(y_name, checked)
    kind = _losses.targets(network.loss)
    if kind == "probabilities" and not labels:
        _arrays.probabilities(network, checked, y_name)
    elif kind == "counts":
        _arrays.not_negative(checked, y_name)
    return y, labels


def check_weights(s: Array, rows: int, block: int, found: Survey) -> None:
    """Refuse weights that are none."""
    where = place("sample_weight", block, found.n)
    if s.shape != (rows,):
        raise ValueError(f"{where} must have shape ({rows},), got {s.shape}")
    _arrays.finite(where, s)
    i = int(s.argmin())
    if s[i] < 0:
        raise ValueError(f"{where} holds {s[i]} at row {i}; weights are at least 0")
    found.largest = max(found.largest, float(s.max()))


def count(found: Survey, y: Array, labels: bool, m: int) -> None:
    """Count the classes of a block."""
    flat = y if labels else y[:, 0] if y.shape[1] == 1 else None
    if flat is None or not (labels or np.isin(flat, (0, 1)).all()):
        raise ValueError(
            "class_weight needs targets that are classes: integers with a softmax output, or 0 and "
            "1 with cross_entropy and one output"
        )
    counted = np.bincount(flat.astype(np.intp), minlength=max(m, 2))
    found.counts = counted if found.counts is None else found.counts + counted
