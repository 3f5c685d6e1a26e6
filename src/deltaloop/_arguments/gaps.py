"""Targets that are not complete: which of them are missing, and derivatives in their place.

What is missing leaves here as NaN, which C takes for no target (``MLP_GAPS`` of ``csrc/mlp.h``).
The targets that are there are checked as those of a complete array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _losses, _scalars
from deltaloop._arguments import arrays as _arrays

Array = NDArray[Any]

# What `missing_targets` may be.
CHOICES = ("raise", "skip")


def check(missing_targets: object) -> bool:
    """Return whether NaN in targets stands for those that are missing."""
    if type(missing_targets) is str and missing_targets == "raise":
        return False
    return _scalars.choice("missing_targets", missing_targets, CHOICES) == "skip"


def batch(
    network: _core.Core,
    X: object,
    Y: object,
    x_name: str = "X",
    y_name: str = "Y",
    *,
    skip: bool,
    check_finite: bool = True,
    gradient: bool = True,
) -> tuple[Any, Array, bool, bool]:
    """Return what ``_arrays.batch`` does, and whether some targets are missing, with `skip`."""
    given = _arrays.numbers(y_name, Y) if skip else None
    if given is None or not has(given):
        x, y, labels = _arrays.batch(
            network, X, Y, x_name, y_name, check_finite=check_finite, gradient=gradient
        )
        return x, y, labels, False
    if gradient:
        _arrays.differentiable(network)
    x, single = instances(network, X, x_name)
    if network.output == "softmax" and given.ndim == (0 if single else 1):
        given = _one_hot(_whole(given, y_name), network.layers[-1], y_name)
    y, _ = _arrays.targets(network, given, x.shape[0], single, y_name, x_name)
    if check_finite:
        _arrays.finite(x_name, x)
    return x, leave_out(network, y, ~np.isnan(y), y_name, check_finite=check_finite), False, True


def masked(
    network: _core.Core, x: object, y: object, mask: object, *, skip: bool
) -> tuple[Any, Array]:
    """Return instances (n, m0) and targets (n, mL), NaN where a step's mask leaves them out."""
    _arrays.differentiable(network)
    rows, single = instances(network, x, "x")
    _arrays.finite("x", rows)
    n, m = rows.shape[0], network.layers[-1]
    given, there = _arrays.numbers("y", y), _flags(mask)
    if there.shape != given.shape:
        raise ValueError(f"mask must have the shape of y, {given.shape}, got {there.shape}")
    if network.output == "softmax" and given.ndim == (0 if single else 1):
        given, there = _masked_classes(given, there, skip=skip)
    targets, labels = _arrays.targets(network, given, n, single, "y", "x")
    there = there.reshape(n, -1)
    if labels:
        targets = _one_hot(np.where(there[:, 0], targets, -1), m, "y")
    if skip:
        there = there & ~np.isnan(targets)
    return rows, leave_out(network, targets, np.broadcast_to(there, targets.shape), "y")


def slopes(network: _core.Core, x: object, dC_da: object) -> tuple[Any, Array]:
    """Return instances (n, m0) and the derivatives (n, mL) of a cost by their outputs."""
    _arrays.differentiable(network)
    rows, single = instances(network, x, "x")
    _arrays.finite("x", rows)
    n, m = rows.shape[0], network.layers[-1]
    given = _arrays.numbers("dC_da", dC_da)
    if (single and given.shape in ((m,), (1, m))) or (m == 1 and given.shape in ((), (n,))):
        expected = single or given.shape == (n,)
        given = given.reshape(n, m) if expected else given
    if given.shape != (n, m):
        shapes = f"({m},)" if single else f"({n}, {m})"
        raise ValueError(
            f"dC_da must have shape {shapes}, a derivative for each output, got {given.shape}"
        )
    _arrays.finite("dC_da", given)
    return rows, given


def signed_weights(sample_weight: object, n: int) -> NDArray[np.float64] | None:
    """Return weights of n instances that may have either sign, or None where none are given."""
    if sample_weight is None:
        return None
    array = _arrays.numbers("sample_weight", sample_weight)
    if n == 1 and array.ndim == 0:
        array = array.reshape(1)
    if array.shape != (n,):
        raise ValueError(
            f"sample_weight must have shape ({n},), a weight for each instance, got {array.shape}"
        )
    result = np.ascontiguousarray(array, dtype=np.float64)
    _arrays.finite("sample_weight", result)
    return result


def instances(network: _core.Core, X: object, name: str) -> tuple[Any, bool]:
    """Return X as (n, m0), at least one, and whether it was a single instance."""
    x, single = _arrays.instances(X, network.layers[0], name)
    if x.shape[0] == 0:
        raise ValueError(f"{name} is empty: it has no instances")
    return x, single


def has(y: Array) -> bool:
    """Whether an array of numbers holds NaN."""
    return y.dtype.kind == "f" and any(bool(np.isnan(part).any()) for _, part in _arrays.blocks(y))


def some(y: Array, name: str) -> None:
    """Refuse targets all of which are missing."""
    if bool(np.isnan(y).all()):
        raise ValueError(f"{name} holds nothing but NaN; one target at least must be there")


def leave_out(
    network: _core.Core, y: Array, there: Array, name: str, *, check_finite: bool = True
) -> Array:
    """Return targets (n, mL) with NaN where none are, the others checked for the network's loss."""
    softmax = network.output == "softmax"
    partly = there.any(axis=1) & ~there.all(axis=1)
    if softmax and partly.any():
        row = int(np.argmax(partly))
        raise ValueError(
            f"{name} has some of the targets of row {row} and misses others; the outputs of a "
            "softmax belong together, so the targets of an instance are all there or all missing"
        )
    filled = np.where(there, y, 1.0 / network.layers[-1] if softmax else 0.0)
    if check_finite:
        _arrays.finite(name, filled)
    kind = _losses.targets(network.loss)
    if kind == "probabilities":
        _arrays.probabilities(network, filled, name)
    elif kind == "counts":
        _arrays.not_negative(filled, name)
    return np.where(there, filled, np.nan)


def _flags(mask: object) -> NDArray[np.bool_]:
    """Return a mask as an array of bool."""
    array = _arrays.numbers("mask", mask)
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        raise ValueError(
            "mask must hold True and False, or 1 and 0; use sample_weight for other weights"
        )
    return array.astype(bool)


def _masked_classes(
    given: Array, there: NDArray[np.bool_], *, skip: bool
) -> tuple[Array, NDArray[np.bool_]]:
    """Return classes that are 0 wherever they do not count, and where they count."""
    if given.dtype.kind == "f":
        nan = np.isnan(given)
        if not nan.any() or ((nan & there).any() and not skip):
            return given, there
        given = _whole(np.where(there, given, np.nan), "y").reshape(given.shape)
        there = there & ~nan
    return np.where(there, given, given.dtype.type(0)), there


def _whole(values: Array, name: str) -> Array:
    """Return classes (n,), -1 where they are NaN."""
    flat = values.reshape(-1)
    there = ~np.isnan(flat)
    labels = np.where(there, flat, -1.0)
    wrong = there & (~np.isfinite(labels) | (labels != np.trunc(labels)) | (labels < 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{name} holds {flat[row]} at row {row}; of one dimension it holds whole numbers, the "
            "classes, and NaN where there is none"
        )
    return labels.clip(-1.0, 2.0**53).astype(np.int64)


def _one_hot(labels: Array, m: int, name: str) -> Array:
    """Return the targets (n, m) of classes (n,), NaN where they are -1."""
    there = labels >= 0
    _arrays.classes(np.where(there, labels, 0), m, name)
    result = np.full((len(labels), m), np.nan)
    result[there] = 0.0
    rows = np.flatnonzero(there)
    result[rows, labels[rows].astype(np.intp)] = 1.0
    return result
