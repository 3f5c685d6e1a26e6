"""A network in NumPy whose parameters may be complex, and its derivatives by complex steps."""

from __future__ import annotations

import numpy as np


def activate(name, z):
    match name:
        case "tanh":
            return np.tanh(z)
        case "sigmoid":
            return 1 / (1 + np.exp(-z))
        case "identity":
            return z
        case "silu":
            return z / (1 + np.exp(-z))
        case "exp":
            return np.exp(z)
        case "softmax":
            e = np.exp(z - z.real.max(axis=1, keepdims=True))
            return e / e.sum(axis=1, keepdims=True)
    raise AssertionError(name)


def outputs(net, p, X, linear=False):
    """a^(L), or z^(L), (n, m^(L)), of parameters that may be complex."""
    a, at = X, 0
    for l, name in enumerate((*net.activation, net.output)):
        m0, m1 = net.layers[l : l + 2]
        w = p[at : at + m0 * m1].reshape(m0, m1)
        at += m0 * m1
        z = a @ w + p[at : at + m1]
        at += m1
        a = z if linear and l == len(net.layers) - 2 else activate(name, z)
    return a


def derivatives(net, p, X, linear):
    """d(outputs)/dp (n, m^(L), P), by complex steps, which are exact to rounding."""
    columns = []
    for k in range(len(p)):
        q = p.astype(complex)
        q[k] += 1e-30j
        columns.append(outputs(net, q, X, linear).imag / 1e-30)
    return np.stack(columns, axis=-1)
