"""The scaling of a network: what stands between its users' units and its layers.

Layers see ``(x - offset) / scale``, and what they give is multiplied by a scale and shifted. The
core computes that where it reads an array (``csrc/network/scaling.c``); here is the object that
tells of it, and how it follows from data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _losses, _scalars
from deltaloop._activations import ACTIVATIONS
from deltaloop._arguments import arrays as _arrays

Floats = NDArray[np.float64]

# What `fit` can be asked for; and what else a scaling may say of itself.
KINDS = ("standard", "minmax")
GIVEN = "given"
ARRAYS = ("input_offset", "input_scale", "output_offset", "output_scale")

# Elements between two looks at signals: at most 50 ms, of single columns.
SLICE = 1 << 21

# A range of so many distances between neighbouring floats, at the largest magnitude, is none.
CONSTANT_ULPS = 8


@dataclass(frozen=True, eq=False, repr=False)
class Scaling:
    """How a network scales what it takes and what it gives.

    Its layers see ``(x - input_offset) / input_scale``, and their outputs a become
    ``a * output_scale + output_offset``, each of these operations rounded once. Targets are scaled
    as ``(y - output_offset) / output_scale``. ``Network.fit(..., scale="standard")`` makes one.

    Parameters
    ----------
    input_offset, input_scale : array_like, shape (m0,)
        Finite, and scales above 0.
    output_offset, output_scale : array_like, shape (mL,)
        The same of the outputs: 0 and 1 for outputs that are not scaled.
    kind : str, default "given"
        Where it comes from: ``"standard"``, ``"minmax"`` or ``"given"``. It changes nothing.

    Attributes
    ----------
    input_offset, input_scale, output_offset, output_scale : ndarray of float64
        Read-only.
    kind : str

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or value.

    Examples
    --------
    >>> import deltaloop as dl
    >>> X, Y = [[1900.0], [1950.0], [2000.0]], [10.0, 20.0, 40.0]
    >>> net = dl.Network([1, 3, 1], activation="tanh", output="identity", seed=0)
    >>> result = net.fit(X, Y, scale="minmax", goal=1e-6)
    >>> net.scaling
    Scaling(kind='minmax', inputs=1, outputs=1)
    >>> net.scaling.input_offset, net.scaling.input_scale
    (array([1950.]), array([50.]))

    Other networks can have the same:

    >>> other = dl.Network([1, 1], activation="identity", seed=0)
    >>> other.scaling = net.scaling
    """

    input_offset: Floats
    input_scale: Floats
    output_offset: Floats
    output_scale: Floats
    kind: str = GIVEN

    def __post_init__(self) -> None:
        _scalars.choice("kind", self.kind, (*KINDS, GIVEN))
        for name in ARRAYS:
            given = _arrays.numbers(name, getattr(self, name))
            if given.ndim != 1 or given.size == 0:
                raise ValueError(f"{name} must have one dimension, got shape {given.shape}")
            _arrays.finite(name, given)
            array = np.array(given, dtype=np.float64) + 0.0  # -0 becomes 0
            if name.endswith("scale") and not (array > 0).all():
                i = int(np.argmin(array > 0))
                raise ValueError(f"{name} must be above 0, got {array[i]} at index {i}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        for side in ("input", "output"):
            offset, scale = getattr(self, f"{side}_offset"), getattr(self, f"{side}_scale")
            if offset.shape != scale.shape:
                raise ValueError(
                    f"{side}_offset and {side}_scale must have one shape, got {offset.shape} and "
                    f"{scale.shape}"
                )

    @property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The four arrays, in the order of the parameters."""
        return self.input_offset, self.input_scale, self.output_offset, self.output_scale

    @property
    def scales_inputs(self) -> bool:
        """Whether inputs are changed at all."""
        return bool(self.input_offset.any() or (self.input_scale != 1).any())

    @property
    def scales_outputs(self) -> bool:
        """Whether outputs are changed at all."""
        return bool(self.output_offset.any() or (self.output_scale != 1).any())

    def __eq__(self, other: object) -> bool:
        """Whether all arrays and the kind are the same."""
        if not isinstance(other, Scaling):
            return NotImplemented
        return self.kind == other.kind and all(map(np.array_equal, self.arrays, other.arrays))

    def __hash__(self) -> int:
        return hash((self.kind, *(array.tobytes() for array in self.arrays)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Scaling, (*self.arrays, self.kind)

    def __repr__(self) -> str:
        sizes = f"inputs={self.input_scale.size}, outputs={self.output_scale.size}"
        return f"Scaling(kind={self.kind!r}, {sizes})"


def check(scaling: object, network: _core.Core, name: str = "scaling") -> Scaling | None:
    """Return what may be the scaling of a network, or None for none."""
    if scaling is None:
        return None
    if not isinstance(scaling, Scaling):
        raise TypeError(f"{name} must be a deltaloop.Scaling or None, got {scaling!r}")
    sizes = scaling.input_scale.size, scaling.output_scale.size
    layers = network.layers
    if sizes != (layers[0], layers[-1]):
        raise ValueError(
            f"{name} must be of {layers[0]} inputs and {layers[-1]} outputs, got one of "
            f"{sizes[0]} and {sizes[1]}"
        )
    if scaling.scales_outputs and not scales_targets(network):
        raise ValueError(
            f"{name} must have outputs with offsets of 0 and scales of 1 for "
            f"loss={str(network.loss)!r} and output={network.output!r}, whose targets have no units"
        )
    return scaling


def put(network: _core.Core, scaling: Scaling | None) -> None:
    """Give a network this scaling, which `check` has seen, or none."""
    network._set_scaling(scaling, *(() if scaling is None else scaling.arrays))


def check_kind(scale: object) -> str | None:
    """Return what `fit` was asked for."""
    if scale is not None and not isinstance(scale, str):
        raise TypeError(f"scale must be 'standard', 'minmax' or None, got {_scalars.shown(scale)}")
    return None if scale is None else _scalars.choice("scale", scale, KINDS)


# ---- from data ----


def measure(
    kind: str,
    network: _core.Core,
    x: NDArray[Any],
    y: NDArray[Any],
    labels: bool,
    weights: Floats | None,
    rows: NDArray[np.uintp] | None = None,
    *,
    missing: bool = False,
) -> Scaling:
    """Return the scaling of this kind that follows from instances and their targets.

    Each counts once whose weight is above 0. With `rows` they are these of x and y alone, and the
    weights are theirs. With `missing` targets that are NaN do not count. ValueError for values that
    have none.
    """
    offset, scale = _columns(_INPUTS[kind], "X", x, weights, rows)
    m = network.layers[-1]
    zeros, ones = np.zeros(m), np.ones(m)
    if labels or not scales_targets(network):
        return Scaling(offset, scale, zeros, ones, kind)
    low, high = ACTIVATIONS[network.output].range
    if math.isfinite(low) and math.isfinite(high):
        of: Of = _to_range(low, high)
    elif math.isfinite(low) or math.isfinite(high):
        of = _DIVIDED[kind]
    else:
        of = _INPUTS[kind]
    return Scaling(offset, scale, *_columns(of, "Y", y, weights, rows, missing), kind)


def scales_targets(network: _core.Core) -> bool:
    """Whether targets of the network's loss and outputs can be scaled: plain numbers."""
    values = _losses.targets(network.loss) == "values"
    return values and network.output not in ("softmax", "step")


@dataclass(frozen=True)
class _Column:
    """What is known of the columns of an array, each attribute (m,)."""

    low: Floats
    high: Floats
    mean: Floats
    deviation: Floats

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which columns hold one value, see `is_constant`."""
        return is_constant(self.low, self.high)


Of = Callable[[_Column], tuple[Floats, Floats]]


def _standard(c: _Column) -> tuple[Floats, Floats]:
    return c.mean, c.deviation


def _to_range(low: float, high: float) -> Of:
    """Take the least and the largest value to `low` and `high`, and a constant to the middle."""

    def of(c: _Column) -> tuple[Floats, Floats]:
        scale = c.high / (high - low) - c.low / (high - low)
        offset = c.low - low * scale
        return np.where(c.constant, c.low - (low + high) / 2, offset), scale

    return of


_INPUTS: dict[str, Of] = {"standard": _standard, "minmax": _to_range(-1.0, 1.0)}
# Outputs that are bounded on one side alone, by 0 or near it: 0 stays 0.
_DIVIDED: dict[str, Of] = {
    "standard": lambda c: (np.zeros_like(c.low), c.deviation),
    "minmax": lambda c: (np.zeros_like(c.low), np.maximum(np.abs(c.low), np.abs(c.high))),
}


def _columns(
    of: Of,
    what: str,
    values: NDArray[Any],
    weights: Floats | None,
    rows: NDArray[np.uintp] | None,
    missing: bool = False,
) -> tuple[Floats, Floats]:
    """Return offsets and scales; that of a constant column is 1."""
    column = (_measured_apart if missing else _measured)(values, weights, rows)
    with np.errstate(all="ignore"):
        offset, scale = of(column)
        scale = np.where(column.constant, 1.0, scale)
        usable = np.isfinite(offset) & np.isfinite(scale) & (scale > 0)
    usable &= np.isfinite(column.low) & np.isfinite(column.high) & ~np.isnan(column.mean)
    if not usable.all():
        j = int(np.argmin(usable))
        known = isinstance(values, np.ndarray)
        if known and not missing and not _is_finite(values[:, j], weights, rows):
            raise ValueError(
                f"scale needs finite values, column {j} of {what} holds NaN or infinity"
            )
        raise ValueError(
            f"scale needs finite values that are neither too large nor too small to be scaled, got "
            f"{column.low[j]} to {column.high[j]} in column {j} of {what}"
        )
    return offset, scale


def is_constant(low: Floats, high: Floats) -> NDArray[np.bool_]:
    """Whether columns of these ranges hold one value each, but for what rounding has left.

    Divided by so small a range the noise of a sum, as 0.1 + 0.2 beside 0.3, would be an input.
    """
    with np.errstate(all="ignore"):
        same = high - low <= CONSTANT_ULPS * np.spacing(np.maximum(np.abs(low), np.abs(high)))
    return np.asarray(same | (low == high))


def _is_finite(
    values: NDArray[Any], weights: Floats | None, rows: NDArray[np.uintp] | None
) -> bool:
    """Whether all values (n,) that count are finite."""
    counted = values if rows is None else values[rows]
    return bool(np.isfinite(counted if weights is None else counted[weights > 0]).all())


def _measured(
    values: NDArray[Any], weights: Floats | None, rows: NDArray[np.uintp] | None
) -> _Column:
    """Return what is known of the columns, from two passes in one order of summation."""
    m = values.shape[1]
    sums = _empty_sums(m)
    n = 0
    for part, s in _slices(values, weights, rows):
        n += _core.add_columns(part, s, sums, None)
    low, high = sums[0].copy(), sums[1].copy()
    with np.errstate(all="ignore"):
        mean = np.where(low == high, low, (sums[2] + sums[3]) / n)
        # By a power of two near the largest distance no square overflows, and it rounds nothing.
        reach = np.maximum(high - mean, mean - low)
        usable = np.isfinite(reach) & (reach > 0)
        exponent = np.clip(np.frexp(np.where(usable, reach, 1.0))[1], -1000, 1000)
        shift = np.stack([np.where(np.isfinite(mean), mean, 0.0), np.ldexp(1.0, -exponent)])
        sums = _empty_sums(m)
        for part, s in _slices(values, weights, rows):
            _core.add_columns(part, s, sums, shift)
        # What the mean's own rounding leaves is taken out.
        rest = (sums[2] + sums[3]) / n
        variance = np.maximum((sums[4] + sums[5]) / n - rest * rest, 0.0)
        deviation = np.ldexp(np.sqrt(variance), exponent)
    return _Column(low, high, mean, deviation)


def _measured_apart(
    values: NDArray[Any], weights: Floats | None, rows: NDArray[np.uintp] | None
) -> _Column:
    """Return the same of values that are not NaN; of a column without any what 0 alone gives."""
    nothing = _Column(*np.zeros((4, 1)))
    columns = []
    for j in range(values.shape[1]):
        column = values[:, j : j + 1] if rows is None else values[rows, j : j + 1]
        there = ~np.isnan(column[:, 0])
        counts = there.astype(np.float64) if weights is None else np.where(there, weights, 0.0)
        columns.append(_measured(column, counts, None) if counts.any() else nothing)
    names = ("low", "high", "mean", "deviation")
    return _Column(*(np.concatenate([getattr(c, name) for c in columns]) for name in names))


def _empty_sums(m: int) -> Floats:
    sums = np.zeros((6, m))
    sums[0], sums[1] = math.inf, -math.inf
    return sums


def _slices(
    values: NDArray[Any], weights: Floats | None, rows: NDArray[np.uintp] | None
) -> Iterator[tuple[NDArray[Any], Floats | None]]:
    """Yield the instances in parts, so that signals are served between two."""
    if not isinstance(values, np.ndarray):  # read block by block
        yield from values.parts(weights is not None)
        return
    n = values.shape[0] if rows is None else len(rows)
    count = max(SLICE // values.shape[1], 1)
    for i in range(0, n, count):
        part = values[i : i + count] if rows is None else values[rows[i : i + count]]
        yield part, None if weights is None else weights[i : i + count]
