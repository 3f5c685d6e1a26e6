"""What the values of a graph are known to be: constants, sums, units, and numbers around them.

Nothing is computed here but rows as long as a layer: what is folded into weights is kept beside
them, and multiplied when the layers of the chain are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop.scaling import Scaling

Floats = NDArray[Any]


@dataclass(eq=False)
class Value:
    """An expression, of which more may be known; or something that is not looked into."""


@dataclass(eq=False)
class Constant(Value):
    """Numbers of the file."""

    values: Floats


def listed(value: Value) -> list[object] | None:
    """Return a shape or axes, its first numbers at least; None for what is none.

    A tensor can have any dimensions without a byte, and would be as many lists.
    """
    if not (isinstance(value, Constant) and value.values.ndim == 1):
        return None
    return list(value.values[:9].tolist())


@dataclass(frozen=True, eq=False)
class Affine:
    """What a chain of Add, Sub, Mul and Div does, in both forms.

    x becomes x times + plus, which is (x - offset) / scale. The numbers are scalars or rows.
    """

    times: Floats = field(default_factory=lambda: np.array(1.0))
    plus: Floats = field(default_factory=lambda: np.array(0.0))
    offset: Floats = field(default_factory=lambda: np.array(0.0))
    scale: Floats = field(default_factory=lambda: np.array(1.0))
    # Whether it is a layer of its own, whose numbers belong into the weights.
    folds: bool = False

    def then(self, op: str, given: Floats, folds: bool = False) -> Affine:
        """Return what this and one more operator do."""
        c = given.astype(np.float64)
        folds |= self.folds
        with np.errstate(all="ignore"):
            if op in ("Add", "Sub"):
                c = c if op == "Add" else -c
                shifted = self.offset - c * self.scale
                return Affine(self.times, self.plus + c, shifted, self.scale, folds)
            if op == "Mul":
                return Affine(self.times * c, self.plus * c, self.offset, self.scale / c, folds)
            return Affine(self.times / c, self.plus / c, self.offset, self.scale * c, folds)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return self.times.size + self.plus.size + self.offset.size + self.scale.size

    @property
    def shifts_alone(self) -> bool:
        """Whether there is no factor but 1."""
        return bool((self.times == 1).all())

    def as_inputs(self, width: int) -> tuple[Floats, Floats] | None:
        """Return offset and scale (width,) of inputs, None where no scaling can have them."""
        return _usable(self.offset, self.scale, width)

    def as_outputs(self, width: int) -> tuple[Floats, Floats] | None:
        """Return offset and scale (width,) of outputs, None where no scaling can have them."""
        return _usable(self.plus, self.times, width)


def _usable(offset: Floats, scale: Floats, width: int) -> tuple[Floats, Floats] | None:
    o, s = (np.broadcast_to(part.reshape(-1), (width,)).copy() for part in (offset, scale))
    return (o, s) if np.isfinite(o).all() and np.isfinite(s).all() and (s > 0).all() else None


@dataclass(eq=False)
class Units(Value):
    """Activations: of the inputs where there is no sum. What is done to them after that."""

    sum: Sum | None
    activation: str
    residual: bool = False
    width: int | None = None
    affine: Affine | None = None
    # Of inputs: how many dimensions they have if the graph says so, and numbers for each instance.
    rank: int | None = None
    size: int | None = None

    def then(self, op: str, given: Floats, folds: bool) -> Units:
        """Return the units of one more operator."""
        affine = (self.affine or Affine()).then(op, given, folds)
        return Units(
            self.sum, self.activation, self.residual, self.width, affine, self.rank, self.size
        )


@dataclass(eq=False)
class Sum(Value):
    """z = alpha a w + beta b, and what is done to it after that; w may be transposed."""

    below: Units
    weights: Floats
    biases: Floats | None
    alpha: float = 1.0
    beta: float = 1.0
    affine: Affine | None = None
    units: Units = field(init=False)  # those of the identity

    def __post_init__(self) -> None:
        self.units = Units(self, "identity", width=self.weights.shape[1])

    def then(self, op: str, given: Floats, folds: bool) -> Sum:
        """Return the sum of one more operator."""
        affine = (self.affine or Affine()).then(op, given, folds)
        return Sum(self.below, self.weights, self.biases, self.alpha, self.beta, affine)


@dataclass
class Layer:
    """A layer of the chain, its numbers multiplied out."""

    weights: Floats
    biases: Floats
    activation: str
    residual: bool


def resolve(units: Units, plain: bool) -> tuple[list[Layer], Scaling | None]:
    """Return the layers that units are the last of, first to last, and the scaling around them.

    Outputs are scaled only where their targets are `plain` numbers. ValueError where something
    stands behind the last layer that can neither be folded nor is a scaling.
    """
    chain: list[Units] = []
    while units.sum is not None:
        chain.append(units)
        units = units.sum.below
    chain.reverse()
    m_out = chain[-1].width
    inputs, outputs = units.affine, _outputs_of(chain[-1])
    assert chain[0].sum is not None
    assert m_out is not None
    m_in = chain[0].sum.weights.shape[0]
    first = None if inputs is None else inputs.as_inputs(m_in)
    last = None if outputs is None or not plain else outputs.as_outputs(m_out)
    if chain[-1].affine is not None and last is None:
        raise ValueError(
            f"expected a scale above 0 behind {chain[-1].activation} units, whose targets are "
            "plain numbers, found something else"
        )
    if first is None and inputs is not None and chain[0].residual:
        raise ValueError(
            "expected a scale above 0 of inputs that are skipped, found something else"
        )
    layers = []
    for l, one in enumerate(chain):
        assert one.sum is not None
        kept = one is chain[-1] and last is not None and one.affine is None
        before = one.sum.below.affine if l > 0 or first is None else None
        layers.append(_resolved(one, before, None if kept else one.sum.affine))
    if first is None and last is None:
        return layers, None
    zeros_ones = [(np.zeros(m), np.ones(m)) for m in (m_in, m_out)]
    return layers, Scaling(*(first or zeros_ones[0]), *(last or zeros_ones[1]))


def _outputs_of(units: Units) -> Affine | None:
    """Return what may be the scaling of outputs: what stands behind them, or linear ones' sum."""
    if units.affine is not None:
        return units.affine
    sum_ = units.sum
    linear = sum_ is not None and units.activation == "identity" and not units.residual
    found = sum_.affine if sum_ is not None and linear else None
    return None if found is None or found.folds or found.shifts_alone else found


def _resolved(units: Units, before: Affine | None, behind: Affine | None) -> Layer:
    """Multiply out what stands around a sum."""
    sum_ = units.sum
    assert sum_ is not None
    w, b = sum_.weights, sum_.biases
    m_in, m_out = w.shape
    b = np.zeros(m_out) if b is None else b
    with np.errstate(all="ignore"):
        if sum_.alpha != 1.0:
            w = w.astype(np.float64) * sum_.alpha
        if sum_.beta != 1.0:
            b = b.astype(np.float64) * sum_.beta
        if before is not None:
            row = np.broadcast_to(before.plus.reshape(-1), (m_in,))
            b = b + row @ w.astype(np.float64)
            w = w * np.broadcast_to(before.times.reshape(-1), (m_in,))[:, np.newaxis]
        if behind is not None:
            times = np.broadcast_to(behind.times.reshape(-1), (m_out,))
            w = w if behind.shifts_alone else w * times
            b = b * times + behind.plus.reshape(-1)
    return Layer(w, b, units.activation, units.residual)
