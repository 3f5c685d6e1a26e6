"""What is minimised beside the network's loss: weights of instances, penalties and dropout.

C = sum_i s_i loss_i + l1 sum abs(w) + l2/2 sum w^2, over all weights w; biases are exempt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _scalars
from deltaloop._arguments import arrays as _arrays

if TYPE_CHECKING:
    from deltaloop import _core


class Problem(NamedTuple):
    """The parts, validated: weights (n,) or None, l1, l2, and dropout (L - 1,) or None.

    And what the targets are where they are not complete: ``_core.GAPS`` or ``_core.SLOPES``.
    """

    weights: NDArray[np.float64] | None = None
    l1: float = 0.0
    l2: float = 0.0
    dropout: NDArray[np.float64] | None = None
    targets: int = 0


def weights(sample_weight: object, n: int, name: str = "sample_weight") -> Any:
    """Return the weights of n instances as float64 (n,), or None where none are given."""
    if sample_weight is None:
        return None
    array = _arrays.numbers(name, sample_weight)
    if n == 1 and array.ndim == 0:
        array = array.reshape(1)
    if array.shape != (n,):
        raise ValueError(
            f"{name} must have shape ({n},), a weight for each instance, got {array.shape}"
        )
    result = np.ascontiguousarray(array, dtype=np.float64)
    _arrays.finite(name, result)
    largest = 0.0
    for begin, part in _arrays.blocks(result):
        i = int(part.argmin())
        if part[i] < 0:
            raise ValueError(f"{name} holds {part[i]} at index {begin + i}; weights are at least 0")
        largest = max(largest, float(part.max()))
    if largest == 0:
        raise ValueError(f"{name} holds nothing but zeros; one weight at least must be positive")
    return result


def balance(
    network: _core.Core, class_weight: object, y: NDArray[Any], labels: bool
) -> NDArray[np.float64] | None:
    """Return a weight for each instance by its class, or None where none are given."""
    if class_weight is None:
        return None
    m = max(network.layers[-1], 2)
    if labels:
        classes = y.astype(np.intp)
    else:
        binary = network.layers[-1] == 1 and network.loss == "cross_entropy"
        if not binary or not all(np.isin(part, (0, 1)).all() for _, part in _arrays.blocks(y)):
            raise ValueError(
                "class_weight needs targets that are classes: integers with a softmax output, or "
                "0 and 1 with cross_entropy and one output"
            )
        classes = y[:, 0].astype(np.intp)
    return of_classes(class_weight, np.bincount(classes, minlength=m))[classes]


def plain_classes(class_weight: object) -> object:
    """Return the weights of classes as a dict of numbers, and anything else as it is."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        return class_weight
    return {
        _scalars.integer("the classes of class_weight", label, at_least=0): _scalars.real(
            f"class_weight[{label}]", value
        )
        for label, value in class_weight.items()
    }


def of_classes(class_weight: object, counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return a weight for each class, of which there are `counts` instances."""
    m = len(counts)
    if isinstance(class_weight, str):
        if str.__str__(class_weight) != "balanced":
            raise ValueError(
                "class_weight must be a mapping of classes to weights, 'balanced' or None, got "
                f"{class_weight!r}"
            )
        present = np.count_nonzero(counts)
        return float(counts.sum()) / (present * np.maximum(counts, 1).astype(np.float64))
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight must be a mapping of classes to weights, 'balanced' or None, got "
            f"{type(class_weight).__name__}"
        )
    result = np.ones(m)
    for label, value in class_weight.items():
        index = _scalars.integer("the classes of class_weight", label, at_least=0)
        if index >= m:
            raise ValueError(f"class_weight names class {index}; the classes are 0..{m - 1}")
        weight = _scalars.real(f"class_weight[{index}]", value)
        if not 0 <= weight < math.inf:
            raise ValueError(f"class_weight[{index}] must be finite and at least 0, got {value!r}")
        result[index] = weight
    return result


# With nothing beside the loss.
PLAIN = Problem()


def penalised(l1: object, l2: object) -> Problem:
    """Return the problem with the penalties l1 and l2."""
    if type(l1) is float and type(l2) is float and l1 == 0.0 and l2 == 0.0:
        return PLAIN
    values = []
    for name, given in (("l1", l1), ("l2", l2)):
        value = _scalars.real(name, given)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and at least 0, got {given!r}")
        values.append(value)
    return Problem(l1=values[0], l2=values[1])


def dropout(network: _core.Core, given: object) -> NDArray[np.float64] | None:
    """Return the probability with which each hidden layer drops units, None where all are 0."""
    if type(given) is float and given == 0.0:
        return None
    n_hidden = len(network.layers) - 2
    if _scalars.is_list(given):
        values = [_scalars.real(f"dropout[{l}]", value) for l, value in enumerate(given)]
        if len(values) != n_hidden:
            raise ValueError(
                f"dropout must name one probability per hidden layer, {n_hidden}, got {len(values)}"
            )
    else:
        value = _scalars.real("dropout", given)
        values = [value] * max(n_hidden, 1)
    for value in values:
        if not 0 <= value < 1:
            raise ValueError(f"dropout must be in [0, 1), got {given!r}")
    if not any(values):
        return None
    if n_hidden == 0:
        raise ValueError(f"dropout needs a hidden layer, got layers {list(network.layers)}")
    return np.array(values)


def of(
    network: _core.Core,
    y: NDArray[Any],
    labels: bool,
    sample_weight: object = None,
    class_weight: object = None,
    l1: object = 0.0,
    l2: object = 0.0,
) -> Problem:
    """Return the problem of instances with the targets y, as ``_arrays.batch`` returned them."""
    if sample_weight is None and class_weight is None:
        return penalised(l1, l2)
    s = weights(sample_weight, y.shape[0])
    by_class = balance(network, class_weight, y, labels)
    if by_class is not None:
        with np.errstate(over="ignore", under="ignore"):
            s = by_class if s is None else s * by_class
        if s.max() == 0:
            raise ValueError("class_weight leaves no instance with a positive weight")
        if s.max() == math.inf:
            raise ValueError("class_weight times sample_weight is too large for a float")
    return penalised(l1, l2)._replace(weights=s)
