"""What the tests compare with: the network in mpmath.

`Oracle` evaluates the definitions, one instance and one number at a time, with 50 digits: the
delta of the last layer is dC/da times the Jacobian da/dz for every loss, never a simplified form.
"""

from __future__ import annotations

import itertools

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.dps = 50


def g(name, z):
    """g(z) of one layer of one instance, a list."""
    match name:
        case "sigmoid":
            return [1 / (1 + mp.exp(-z_j)) for z_j in z]
        case "tanh":
            return [mp.tanh(z_j) for z_j in z]
        case "relu":
            return [z_j if z_j > 0 else mp.mpf(0) for z_j in z]
        case "identity":
            return list(z)
        case "step":
            return [mp.mpf(z_j > 0) for z_j in z]
        case "leaky_relu":
            return [z_j if z_j > 0 else mp.mpf(0.01) * z_j for z_j in z]
        case "elu":
            return [z_j if z_j > 0 else mp.exp(z_j) - 1 for z_j in z]
        case "softplus":
            return [mp.log(1 + mp.exp(z_j)) for z_j in z]
        case "silu":
            return [z_j / (1 + mp.exp(-z_j)) for z_j in z]
        case "gelu":
            return [z_j * mp.ncdf(z_j) for z_j in z]
        case "mish":
            return [z_j * mp.tanh(mp.log(1 + mp.exp(z_j))) for z_j in z]
        case "exp":
            return [mp.exp(z_j) for z_j in z]
        case "softmax":
            e = [mp.exp(z_j) for z_j in z]
            return [e_j / mp.fsum(e) for e_j in e]
    raise AssertionError(name)


def mish_derivative(z):
    t = mp.tanh(mp.log(1 + mp.exp(z)))
    return t + z * (1 - t**2) / (1 + mp.exp(-z))


def jacobian(name, z):
    """The matrix da_k/dz_j."""
    m = range(len(z))
    if name == "softmax":
        a = g(name, z)
        return [[a[k] * ((j == k) - a[j]) for j in m] for k in m]
    derivative = {
        "sigmoid": lambda z: mp.exp(-z) / (1 + mp.exp(-z)) ** 2,
        "tanh": lambda z: 1 / mp.cosh(z) ** 2,
        "relu": lambda z: mp.mpf(z > 0),
        "identity": lambda z: mp.mpf(1),
        "leaky_relu": lambda z: mp.mpf(1 if z > 0 else 0.01),
        "elu": lambda z: mp.mpf(1) if z > 0 else mp.exp(z),
        "softplus": lambda z: 1 / (1 + mp.exp(-z)),
        "silu": lambda z: 1 / (1 + mp.exp(-z)) + z * mp.exp(-z) / (1 + mp.exp(-z)) ** 2,
        "gelu": lambda z: mp.ncdf(z) + z * mp.npdf(z),
        "mish": mish_derivative,
        "exp": mp.exp,
    }[name]
    return [[derivative(z[j]) if j == k else mp.mpf(0) for j in m] for k in m]


def loss(name, output, a, y, parameter=None):
    """(C, dC/da) of one instance."""
    pairs = list(zip(a, y, strict=True))
    e = [a_j - y_j for a_j, y_j in pairs]
    if name == "absolute_error":
        return mp.fsum(map(abs, e)), [mp.sign(e_j) for e_j in e]
    if name == "huber":
        d = mp.mpf(parameter)
        C = [e_j**2 / 2 if abs(e_j) <= d else d * (abs(e_j) - d / 2) for e_j in e]
        return mp.fsum(C), [e_j if abs(e_j) <= d else d * mp.sign(e_j) for e_j in e]
    if name == "quantile":
        slopes = [mp.mpf((1 - parameter) if e_j > 0 else -parameter) for e_j in e]
        return mp.fsum(s * e_j for s, e_j in zip(slopes, e, strict=True)), slopes
    if name == "poisson":
        C = [a_j - (y_j * mp.log(a_j) if y_j else 0) for a_j, y_j in pairs]
        return mp.fsum(C), [1 - y_j / a_j for a_j, y_j in pairs]
    if name == "squared_error":
        return mp.fsum((y_j - a_j) ** 2 for a_j, y_j in pairs) / 2, [
            a_j - y_j for a_j, y_j in pairs
        ]
    if output == "softmax":
        return -mp.fsum(y_j * mp.log(a_j) for a_j, y_j in pairs), [-y_j / a_j for a_j, y_j in pairs]
    C = -mp.fsum(y_j * mp.log(a_j) + (1 - y_j) * mp.log(1 - a_j) for a_j, y_j in pairs)
    return C, [(1 - y_j) / (1 - a_j) - y_j / a_j for a_j, y_j in pairs]


def weights_of(sample_weight, X):
    """s_i of each instance."""
    values = np.ones(len(X)) if sample_weight is None else sample_weight
    return [mp.mpf(float(s_i)) for s_i in values]


class Oracle:
    """The network `net` (a Network or a Reference) in mpmath."""

    def __init__(self, net):
        self.layers = net.layers
        self.activation = (*net.activation, net.output)
        self.loss = str(net.loss).partition("(")[0]
        self.residual = bool(getattr(net, "residual", False) or getattr(net, "skips", ()))
        self.parameter = {"huber": 1.0, "quantile": 0.5}.get(self.loss)
        for source in (net.loss, net):
            for name in ("delta", "tau", "loss_parameter"):
                self.parameter = getattr(source, name, self.parameter)
        self.parameters = [mp.mpf(float(p)) for p in net.parameters]

    def layered(self):
        """[(w, b), ...], w[j'][j] from unit j' to unit j."""
        flat, result = iter(self.parameters), []
        for m_in, m_out in itertools.pairwise(self.layers):
            w = [list(itertools.islice(flat, m_out)) for _ in range(m_in)]
            result.append((w, list(itertools.islice(flat, m_out))))
        return result

    def forward(self, x):
        """([z^(1), ..., z^(L)], [a^(0), ..., a^(L)]) of one instance."""
        zs, activations = [], [[mp.mpf(float(x_j)) for x_j in x]]
        for l, ((w, b), name) in enumerate(zip(self.layered(), self.activation, strict=True), 1):
            columns = zip(*w, strict=True)
            z = [
                mp.fdot(activations[-1], column) + b_j
                for column, b_j in zip(columns, b, strict=True)
            ]
            zs.append(z)
            a = g(name, z)
            if self.skips(l):
                a = [a_j + before for a_j, before in zip(a, activations[-1], strict=True)]
            activations.append(a)
        return zs, activations

    def skips(self, l):
        """Whether a^(l) = g(z^(l)) + a^(l-1)."""
        hidden = l < len(self.layers) - 1
        return self.residual and hidden and self.layers[l] == self.layers[l - 1]

    def predict(self, X):
        return np.array([[float(a_j) for a_j in self.forward(x)[1][-1]] for x in X])

    def exact_cost(self, X, Y, sample_weight=None, l1=0.0, l2=0.0):
        rows = zip(weights_of(sample_weight, X), X, Y, strict=True)
        losses = [s_i * self.loss_of(self.forward(x)[1][-1], y)[0] for s_i, x, y in rows]
        return mp.fsum(losses) + self.penalty(l1, l2)

    def penalty(self, l1, l2):
        w = list(itertools.compress(self.parameters, self.are_weights()))
        return mp.mpf(l1) * mp.fsum(map(abs, w)) + mp.mpf(l2) / 2 * mp.fdot(w, w)

    def are_weights(self):
        """For each parameter whether it is a weight, which penalties concern, or a bias."""
        for m_in, m_out in itertools.pairwise(self.layers):
            yield from itertools.repeat(True, m_in * m_out)
            yield from itertools.repeat(False, m_out)

    def loss_of(self, a, y):
        y = [mp.mpf(t) for t in y.tolist()]
        return loss(self.loss, self.activation[-1], a, y, self.parameter)

    def cost(self, X, Y, sample_weight=None, l1=0.0, l2=0.0):
        return float(self.exact_cost(X, Y, sample_weight, l1, l2))

    def gradient(self, X, Y, sample_weight=None, l1=0.0, l2=0.0):
        """(C, gradient (P,)) from one pass backwards for each instance."""
        layered = self.layered()
        C = self.penalty(l1, l2)
        total = [
            mp.mpf(l1) * mp.sign(p) + mp.mpf(l2) * p if is_weight else mp.mpf(0)
            for p, is_weight in zip(self.parameters, self.are_weights(), strict=True)
        ]
        for s_i, x, y in zip(weights_of(sample_weight, X), X, Y, strict=True):
            z, a = self.forward(x)
            C_i, d = self.loss_of(a[-1], y)
            C += s_i * C_i
            d = [s_i * d_j for d_j in d]
            flat = []
            for l in range(len(layered), 0, -1):
                J = jacobian(self.activation[l - 1], z[l - 1])
                delta = [mp.fdot(d, column) for column in zip(*J, strict=True)]
                dw = [a_from * delta_to for a_from in a[l - 1] for delta_to in delta]
                flat = dw + delta + flat
                below = [mp.fdot(delta, row) for row in layered[l - 1][0]]
                if self.skips(l):
                    below = [d_to + d_j for d_to, d_j in zip(below, d, strict=True)]
                d = below
            total = [t + f for t, f in zip(total, flat, strict=True)]
        return float(C), np.array([float(t) for t in total])

    def gradient_by_differences(self, X, Y, h="1e-15"):
        """The gradient by central differences, whose error is of the order h^2."""
        h, gradient = mp.mpf(h), []
        for k, p in enumerate(self.parameters):
            sides = []
            for shifted in (p + h, p - h):
                self.parameters[k] = shifted
                sides.append(self.exact_cost(X, Y))
            self.parameters[k] = p
            gradient.append(float((sides[0] - sides[1]) / (2 * h)))
        return np.array(gradient)
