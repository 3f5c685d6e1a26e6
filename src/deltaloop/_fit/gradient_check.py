"""A gradient compared with central differences of the cost."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import layers as _layers
from deltaloop._arguments import problem as _problem

# The step h at a parameter of size 1, the cube root of 2^-52: the difference is off by about h^2,
# and by the cost's rounding, 2^-52, over h, which is as much.
STEP = 2.0 ** (-52 / 3)
# Components below this part of the largest one are compared with that part of it, as their
# differences consist of rounding.
SMALL = 1e-3


@dataclass(frozen=True)
class GradientCheck:
    """Where a gradient is furthest from the differences of the cost.

    Attributes
    ----------
    error : float
        The largest relative error: ``|g_k - d_k|`` over the largest of ``|g_k|``, ``|d_k|``
        and 1/1000 of the largest ``|g|`` and ``|d|`` among the parameters checked. About 1e-7
        or less where the gradient is right; near 1 where it is wrong.
    index : int
        The parameter k with that error, a position in ``Network.parameters``.
    where : str
        The same parameter as ``weights[l - 1][j', j]`` or ``biases[l - 1][j]``.
    gradient, difference : float
        g_k, by backpropagation, and d_k, (C(w + h e_k) - C(w - h e_k)) / (2 h).

    Examples
    --------
    >>> import deltaloop as dl
    >>> check = dl.Network([2, 3, 1], seed=0).check_gradient([0.5, -1.0], 1.0)
    >>> check.error < 1e-7
    True
    """

    error: float
    index: int
    where: str
    gradient: float
    difference: float


GradientCheck.__module__ = "deltaloop.checks"  # the path that pickles name


def indices_of(network: _core.Core, indices: object) -> NDArray[np.intp]:
    """Return the positions to check, all by default."""
    P = network.n_parameters
    if indices is None:
        return np.arange(P)
    array = np.asarray(indices)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(
            "indices must be a sequence of integers, positions in parameters, or None, "
            f"got {indices!r}"
        )
    if array.min() < 0 or array.max() >= P:
        raise ValueError(f"indices must be at least 0 and below {P}, got {indices!r}")
    return array.astype(np.intp)


def place(network: _core.Core, index: int) -> str:
    """Name a parameter."""
    numbers = np.arange(network.n_parameters, dtype=np.float64)
    for name, parts in zip(
        ("weights", "biases"), _layers.views(network.layers, numbers), strict=True
    ):
        for l, part in enumerate(parts):
            found = np.argwhere(part == index)
            if found.size:
                return f"{name}[{l}][{', '.join(map(str, found[0]))}]"
    raise AssertionError(index)


def check_gradient(
    network: _core.Core,
    X: object,
    Y: object,
    sample_weight: object,
    l1: object,
    l2: object,
    indices: object,
    n_threads: object,
) -> GradientCheck:
    """Compare; the arguments are those of ``Network.check_gradient``."""
    chosen = indices_of(network, indices)
    threads = _scalars.threads(n_threads)
    penalties = _problem.penalised(l1, l2)
    s, Y = _arrays.plain("sample_weight", sample_weight), _arrays.plain("Y", Y)
    x, y, labels = _arrays.batch(network, X, Y)
    problem = penalties._replace(weights=_problem.weights(s, x.shape[0]))
    gradient = network._cost(x, y, labels, True, threads, problem)[1]
    assert gradient is not None
    other = copy.copy(network)
    w = other._parameters
    differences = np.empty(chosen.size)

    def cost() -> float:
        return other._cost(x, y, labels, False, threads, problem)[0]

    for i, k in enumerate(chosen):
        value = w[k]
        h = STEP * max(1.0, abs(value))
        w[k] = above = value + h
        cost_above = cost()
        w[k] = below = value - h
        differences[i] = (cost_above - cost()) / (above - below)
        w[k] = value
    gradient = gradient[chosen]
    size = np.maximum(np.abs(gradient), np.abs(differences))
    error = np.abs(gradient - differences)
    scale = np.maximum(size, SMALL * size.max())
    # Nothing to compare where everything is 0; NaN is the largest error there is.
    error = np.divide(error, scale, out=np.zeros_like(error), where=scale != 0)
    worst = int(np.argmax(error))
    return GradientCheck(
        error=float(error[worst]),
        index=int(chosen[worst]),
        where=place(network, int(chosen[worst])),
        gradient=float(gradient[worst]),
        difference=float(differences[worst]),
    )
