"""Layers: which activations go together, their defaults, and how parameters lie in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, _scalars
from deltaloop._activations import ACTIVATIONS, HIDDEN
from deltaloop._arguments import arrays as _arrays
from deltaloop._losses import LOSSES

# Output activations that a loss can be computed from.
OUTPUTS = {row.name: row.outputs or tuple(ACTIVATIONS) for row in LOSSES.values()}

# What scikit-learn has, in its order, which is the core's: our names and its own.
SKLEARN_NAMES = {
    name: theirs for name in _core.ACTIVATIONS if (theirs := ACTIVATIONS[name].sklearn) is not None
}
SKLEARN_HIDDEN = tuple(name for name in SKLEARN_NAMES if ACTIVATIONS[name].sklearn_hidden)


def sizes(layers: object) -> tuple[int, ...]:
    """Return the layers' sizes (m^(0), ..., m^(L)): at least two, each at least 1."""
    if not _scalars.is_list(layers) or (isinstance(layers, np.ndarray) and layers.ndim != 1):
        raise TypeError(f"layers must be a list of integers such as [2, 2, 1], got {layers!r}")
    result = tuple(
        _scalars.integer(f"layers[{l}]", units, at_least=1) for l, units in enumerate(layers)
    )
    if len(result) < 2:
        raise ValueError(
            f"layers must name at least two layers, the inputs and the outputs, got {list(result)}"
        )
    return result


def hidden_activations(activation: object, n_hidden: int) -> tuple[str, ...]:
    """Return one name per hidden layer, from one name or a list of them."""
    if isinstance(activation, str):
        name = _scalars.choice("activation", activation, HIDDEN)
        return (name,) * n_hidden
    if not isinstance(activation, Sequence) or isinstance(activation, bytes):
        raise TypeError(
            "activation must be a name or a list with one name per hidden layer, "
            f"got {type(activation).__name__}"
        )
    names = tuple(activation)
    if len(names) != n_hidden:
        raise ValueError(
            f"activation must name one function per hidden layer, {n_hidden}, got {len(names)}"
        )
    return tuple(_scalars.choice(f"activation[{l}]", name, HIDDEN) for l, name in enumerate(names))


def output_activation(output: object, activation: object, loss: str, n_outputs: int) -> str:
    """Return the output's activation: as asked for, or what suits loss and activation."""
    if output is None:
        defaults = LOSSES[loss].default
        if defaults is not None:
            name = defaults[n_outputs > 1]
        else:
            row = ACTIVATIONS.get(activation) if isinstance(activation, str) else None
            name = row.name if row is not None and row.stays else "identity"
    else:
        name = _scalars.choice("output", output, tuple(_core.ACTIVATIONS))
    if name not in OUTPUTS[loss]:
        raise ValueError(
            f"output must be one of {', '.join(OUTPUTS[loss])} for loss={loss!r}, got {name!r}"
        )
    if name == "softmax" and n_outputs == 1:
        raise ValueError("output='softmax' needs at least two output units, got 1")
    if loss == "cross_entropy" and name == "sigmoid" and n_outputs > 1:
        raise ValueError(
            f"loss='cross_entropy' with output='sigmoid' needs one output unit, got {n_outputs}; "
            "for independent outputs use loss='binary_cross_entropy', for classes output='softmax'"
        )
    return name


def skips(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the hidden layers l that a residual network skips: those as wide as layer l - 1."""
    return tuple(l for l in range(1, len(sizes) - 1) if sizes[l] == sizes[l - 1])


def is_residual(sizes: Sequence[int], skipped: Sequence[bool]) -> bool:
    """Whether all layers are skipped that can be. ValueError if some are and others not."""
    found = tuple(l for l, skip in enumerate(skipped, start=1) if skip)
    expected = skips(sizes)
    if found and found != expected:
        raise ValueError(
            "expected skip connections around all hidden layers as wide as the layer before them, "
            f"{list(expected)}, or none, found them around {list(found)}"
        )
    return bool(found)


def default_init(hidden: tuple[str, ...], output: str) -> str:
    """Return the initialisation that suits the hidden units (the outputs when there are none)."""
    inits = {ACTIVATIONS[name].init for name in hidden or (output,)}
    if inits == {"uniform"}:
        return "uniform"
    return "he_uniform" if "he_uniform" in inits else "glorot_uniform"


def views(
    layers: tuple[int, ...], parameters: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float64], ...], tuple[NDArray[np.float64], ...]]:
    """Return w^(1..L) and b^(1..L) as views of the parameters."""
    weights, biases, begin = [], [], 0
    for m_in, m_out in pairwise(layers):
        end = begin + m_in * m_out
        weights.append(parameters[begin:end].reshape(m_in, m_out))
        biases.append(parameters[end : end + m_out])
        begin = end + m_out
    return tuple(weights), tuple(biases)


def join(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike]
) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return the layers' sizes and the parameters (P,) of w^(1..L) and b^(1..L), validated."""
    for name, value in (("weights", weights), ("biases", biases)):
        if not _scalars.is_list(value):
            raise TypeError(f"{name} must be a list of arrays, got {type(value).__name__}")
    weights, biases = list(weights), list(biases)
    if len(weights) == 0 or len(weights) != len(biases):
        raise ValueError(
            "weights and biases must hold one array per layer, "
            f"got {len(weights)} and {len(biases)}"
        )
    w = [_arrays.numbers(f"weights[{l}]", value) for l, value in enumerate(weights)]
    b = [_arrays.numbers(f"biases[{l}]", value) for l, value in enumerate(biases)]
    for l, (wl, bl) in enumerate(zip(w, b, strict=True)):
        if wl.ndim != 2 or 0 in wl.shape:
            raise ValueError(
                f"weights[{l}] must have two dimensions, none of them 0, got shape {wl.shape}"
            )
        if l and wl.shape[0] != w[l - 1].shape[1]:
            raise ValueError(
                f"weights[{l}] must have {w[l - 1].shape[1]} rows, the columns of "
                f"weights[{l - 1}], got shape {wl.shape}"
            )
        if bl.shape != (wl.shape[1],):
            raise ValueError(f"biases[{l}] must have shape ({wl.shape[1]},), got {bl.shape}")
        _arrays.finite(f"weights[{l}]", wl)
        _arrays.finite(f"biases[{l}]", bl)
    parameters = np.concatenate(
        [part for wl, bl in zip(w, b, strict=True) for part in (wl.ravel(), bl)],
        dtype=np.float64,
    )
    sizes = (w[0].shape[0], *(wl.shape[1] for wl in w))
    return sizes, parameters
