"""The multilayer perceptron in plain NumPy: what the compiled core has to compute.

Written to be read beside the formulas, in their letters: X (n, m^(0)), Y (n, m^(L)), z^(l), a^(l)
and delta^(l) (n, m^(l)), w^(l) (m^(l-1), m^(l)), b^(l) (m^(l),). It shares no code with the core
and never imports it, which makes it the oracle of the tests and the opponent of the benchmarks;
whole arrays stay in memory, and sums are added in whatever order NumPy chooses.

It is long for one file, and one file for the same reason: the formulas, the steps and the random
numbers that they draw can be read from top to bottom, and nothing else.
"""

from __future__ import annotations

import decimal
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from deltaloop.network import Network

__all__ = [
    "Reference",
    "initial_parameters",
    "mask",
    "nguyen_widrow",
    "permutation",
    "raw_words",
    "skips",
    "uniform",
]

Floats = NDArray[np.float64]


class Reference:
    """A multilayer perceptron in plain NumPy.

    Parameters
    ----------
    weights : sequence of array_like
        w^(1), ..., w^(L); w^(l) has shape (m^(l-1), m^(l)). Copied.
    biases : sequence of array_like
        b^(1), ..., b^(L); b^(l) has shape (m^(l),). Copied.
    activation : str or sequence of str
        Of the hidden layers, one name or one each: ``"sigmoid"``, ``"tanh"``, ``"relu"``,
        ``"leaky_relu"``, ``"elu"``, ``"softplus"``, ``"silu"``, ``"gelu"``, ``"exp"``,
        ``"mish"``, ``"identity"`` or ``"step"``.
    output : str
        Activation of the last layer: one of these or ``"softmax"``.
    loss : str
        ``"squared_error"``, ``"absolute_error"``, ``"huber"``, ``"quantile"``,
        ``"cross_entropy"``, ``"binary_cross_entropy"`` or ``"poisson"``.
    loss_parameter : float, optional
        delta of the Huber loss (1), or tau of the quantile's (0.5).
    residual : bool
        Whether hidden layers as wide as the layer before them are skipped.

    Attributes
    ----------
    weights, biases : tuple of ndarray
        Views into `parameters`.

    Examples
    --------
    XOR(x) = AND(OR(x), NAND(x)), composed of threshold units:

    >>> from deltaloop.reference import Reference
    >>> net = Reference(
    ...     weights=[[[1, -1], [1, -1]], [[1], [1]]],
    ...     biases=[[-0.5, 1.5], [-1.5]],
    ...     activation="step",
    ...     output="step",
    ...     loss="squared_error",
    ... )
    >>> net.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        activation: str | Sequence[str],
        output: str,
        loss: str,
        loss_parameter: float | None = None,
        residual: bool = False,
    ) -> None:
        w = [np.asarray(w_l, dtype=np.float64) for w_l in weights]
        b = [np.asarray(b_l, dtype=np.float64) for b_l in biases]
        n_hidden = len(w) - 1
        self.layers = (w[0].shape[0], *(w_l.shape[1] for w_l in w))
        self.activation = (activation,) * n_hidden if isinstance(activation, str) else activation
        self.output = output
        self.loss = loss
        self.skips = skips(self.layers) if residual else ()
        self.loss_parameter = {"huber": 1.0, "quantile": 0.5}.get(loss)
        if loss_parameter is not None:
            self.loss_parameter = loss_parameter
        pairs = zip(w, b, strict=True)
        self._parameters: Floats = np.concatenate([v.ravel() for pair in pairs for v in pair])
        self.weights, self.biases = self._views(self._parameters)

    @classmethod
    def of(cls, network: Network) -> Reference:
        """Make a reference network with the parameters (copied) of a `deltaloop.Network`."""
        name = str(network.loss).partition("(")[0]
        parameter = getattr(network.loss, "delta", getattr(network.loss, "tau", None))
        return cls(
            network.weights,
            network.biases,
            network.activation,
            network.output,
            name,
            parameter,
            network.residual,
        )

    @property
    def parameters(self) -> Floats:
        """All parameters, (P,): for l = 1..L, w^(l) row by row, then b^(l). Assigning copies in."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        self._parameters[:] = values

    def predict(self, X: ArrayLike) -> Floats:
        """Return a^(L), (n, m^(L)), of the instances X (n, m^(0)); one (m^(0),) gives (m^(L),)."""
        return self.activations(X)[-1]

    def activations(self, X: ArrayLike) -> list[Floats]:
        """Return [a^(1), ..., a^(L)], each (n, m^(l)), or (m^(l),) for one instance."""
        return self._forward(np.asarray(X, dtype=np.float64))[1][1:]

    def cost(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> float:
        """Return the cost C = sum_i s_i loss_i + l1 sum abs(w) + l2/2 sum w^2.

        Parameters
        ----------
        X : array_like, (n, m^(0)) or (m^(0),)
            Instances, or one.
        Y : array_like, (n, m^(L)), (n,) or integer (n,)
            Targets; (n,) where m^(L) = 1, classes where the output is softmax. One instance has
            (m^(L),) or a scalar.
        sample_weight : array_like (n,), optional
            s; 1 by default.
        l1, l2 : float
            Of all weights, not the biases.

        Returns
        -------
        float
        """
        X, Y = self._arrays(X, Y)
        z, a = self._forward(X)[:2]
        s = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
        return float(np.dot(s, self._loss(z[-1], a[-1], Y)[0])) + self._penalty(l1, l2)

    def gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> tuple[float, Floats]:
        """Return C and its gradient (P,), laid out as `parameters`; the arguments of `cost`.

        Raises
        ------
        ValueError
            If a layer is of step units.
        """
        if "step" in (*self.activation, self.output):
            raise ValueError("a step has no useful derivative")
        return self._gradient(*self._arrays(X, Y), sample_weight, l1, l2)

    def epochs(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        batch_size: int | None = None,
        permutations: Iterable[NDArray[np.intp]] | None = None,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        masks: Callable[[int], list[Floats]] | None = None,
    ) -> Iterator[tuple[float, Floats]]:
        """Train by gradient descent, one epoch for each value taken from the generator.

        Parameters
        ----------
        X, Y : array_like
            As for `cost`.
        learning_rate : float
            alpha.
        momentum : float
            mu: v <- mu v - alpha g; w <- w + v.
        nesterov : bool
            w <- w + mu v - alpha g instead, with the new v.
        batch_size : int, optional
            Instances in a step; all of them by default. The last batch may be smaller.
        permutations : iterable of ndarray, optional
            The order of the instances in each epoch of mini-batches; as given by default.
        sample_weight, l1, l2
            As for `cost`; a mini-batch carries its part of the penalty, by its instances.
        masks : callable, optional
            Called with the number of instances before each gradient; returns for each hidden layer
            what its g(z) (n, m^(l)) is multiplied by: see `mask`.

        Yields
        ------
        cost : float
            C after the epoch; with mini-batches, the sum of the batches' costs before their steps.
        parameters : ndarray, (P,)
            A copy.
        """
        X, Y = self._arrays(X, Y)
        n = len(X)
        v = np.zeros_like(self._parameters)
        s = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)

        def gradient(rows: Any) -> tuple[float, Floats]:
            part = len(X[rows]) / n
            drop = None if masks is None else masks(len(X[rows]))
            weights = None if s is None else s[rows]
            return self._gradient(X[rows], Y[rows], weights, part * l1, part * l2, drop)

        def step(g: Floats) -> None:
            nonlocal v
            g *= -learning_rate
            if momentum:
                v *= momentum
                v += g
                g = momentum * v + g if nesterov else v
            self._parameters += g

        if batch_size is None:
            cost, g = gradient(slice(None))
            while True:
                step(g)
                cost, g = gradient(slice(None))
                yield cost, self._parameters.copy()
        for order in permutations if permutations is not None else itertools.repeat(None):
            cost = 0.0
            for i in range(0, n, batch_size):
                rows = slice(i, i + batch_size) if order is None else order[i : i + batch_size]
                batch_cost, g = gradient(rows)
                cost += batch_cost
                step(g)
            yield cost, self._parameters.copy()

    def _forward(
        self, X: Floats, masks: list[Floats] | None = None
    ) -> tuple[list[Floats], list[Floats], list[Floats]]:
        """Return z^(1..L), [a^(0), a^(1), ..., a^(L)], where a^(0) = X, and g(z^(1..L)).

        Of a layer whose derivative is taken from a, z^(l) is an empty array, but for the last.
        """
        a, zs, gs = [X], [], []
        layers = zip(self.weights, self.biases, (*self.activation, self.output), strict=True)
        for l, (w, b, g) in enumerate(layers, start=1):
            z = a[-1] @ w  # z^(l) = a^(l-1) w^(l) + b^(l), (n, m^(l))
            z += b
            gs.append(_activate(g, z))
            a_l = gs[-1]
            if masks is not None and l < len(self.layers) - 1:
                a_l = masks[l - 1] * a_l
            if l in self.skips:
                a_l = a_l + a[-1]  # a^(l) = g(z^(l)) + a^(l-1)
            a.append(a_l)
            keep = g in ("silu", "gelu", "mish") or len(a) == len(self.layers)
            zs.append(z if keep else np.empty(0))
        return zs, a, gs

    def _penalty(self, l1: float, l2: float) -> float:
        """Return l1 sum abs(w) + l2/2 sum w^2."""
        return float(sum(l1 * np.abs(w).sum() + 0.5 * l2 * np.vdot(w, w) for w in self.weights))

    def _loss(self, z: Floats, a: Floats, Y: Floats) -> tuple[Floats, Floats]:
        """Return the instances' losses (n,) and dC/da (n, m^(L)) from z^(L) and a^(L).

        For the cross-entropies and Poisson it is dC/dz = a - y.
        """
        d = a - Y
        if self.loss == "squared_error":
            return 0.5 * np.einsum("ij,ij->i", d, d), d  # 1/2 sum_j (y_ij - a_ij)^2
        elif self.loss == "absolute_error":
            C, d = np.abs(d), np.sign(d)
        elif self.loss == "huber":  # e^2 / 2, and delta (|e| - delta / 2) for |e| > delta
            delta = self.loss_parameter
            assert delta is not None
            e = np.abs(d)
            C = np.where(e <= delta, 0.5 * np.minimum(e, delta) ** 2, delta * (e - delta / 2))
            d = np.clip(d, -delta, delta)
        elif self.loss == "quantile":  # tau (y - a), and (1 - tau) (a - y) for a > y
            tau = self.loss_parameter
            assert tau is not None
            C = np.maximum(-tau * d, (1 - tau) * d)
            d = np.where(d > 0, 1 - tau, np.where(d < 0, -tau, 0.0))
        elif self.loss == "poisson":
            C = a - Y * z  # exp z_ij - y_ij z_ij
        elif self.output == "softmax":
            # -sum_j y_ij log a_ij = sum_j y_ij (log sum_k exp z_ik - z_ij), z_i less its max;
            # the sum is 1 and those of the others, which may be too small to change it
            top = z.argmax(axis=-1)[..., np.newaxis]
            z = z - np.take_along_axis(z, top, axis=-1)
            others = np.exp(z)
            np.put_along_axis(others, top, 0.0, axis=-1)
            C = Y * (np.log1p(others.sum(axis=-1, keepdims=True)) - z)
        else:
            # -y log a - (1 - y) log(1 - a) = log(1 + exp z_ij) - y_ij z_ij
            C = np.maximum(z, 0.0) - Y * z + np.log1p(np.exp(-np.abs(z)))
        return C.sum(axis=-1), d

    def _gradient(
        self,
        X: Floats,
        Y: Floats,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        masks: list[Floats] | None = None,
    ) -> tuple[float, Floats]:
        z, a, g = self._forward(X, masks)
        losses, delta = self._loss(z[-1], a[-1], Y)
        if sample_weight is None:
            C = float(losses.sum())
        else:
            s = np.asarray(sample_weight, dtype=np.float64)
            C = float(np.dot(s, losses))
            delta *= s[:, np.newaxis]
        if self.loss not in ("cross_entropy", "binary_cross_entropy", "poisson"):
            _times_derivative(self.output, delta, a[-1], z[-1])
        gradient = np.empty_like(self._parameters)
        dw, db = self._views(gradient)
        e = delta
        for l in range(len(dw), 0, -1):
            np.matmul(a[l - 1].T, delta, out=dw[l - 1])  # dC/dw_j'j = sum_i a^(l-1)_ij' delta_ij
            delta.sum(axis=0, out=db[l - 1])  # dC/db_j = sum_i delta_ij
            if l > 1:  # delta^(l-1) = e^(l-1) * g'(z^(l-1)), e = delta^(l) w^(l)T (n, m^(l-1))
                above = delta @ self.weights[l - 1].T
                e = above + e if l in self.skips else above
                delta = e if masks is None else e * masks[l - 2]
                delta = delta.copy() if l - 1 in self.skips else delta
                _times_derivative(self.activation[l - 2], delta, g[l - 2], z[l - 2])
        if l1 or l2:
            C += self._penalty(l1, l2)
            for dw_l, w in zip(dw, self.weights, strict=True):
                dw_l += l1 * np.sign(w) + l2 * w
        return C, gradient

    def _views(self, flat: Floats) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """Return the views of a buffer (P,) as w^(1..L) and b^(1..L)."""
        w, b, at = [], [], 0
        for m_in, m_out in itertools.pairwise(self.layers):
            w.append(flat[at : at + m_in * m_out].reshape(m_in, m_out))
            at += m_in * m_out
            b.append(flat[at : at + m_out])
            at += m_out
        return tuple(w), tuple(b)

    def _arrays(self, X: ArrayLike, Y: ArrayLike) -> tuple[Floats, Floats]:
        """Return X (n, m^(0)) and Y (n, m^(L)), classes as rows of the unit matrix."""
        X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y)
        m = self.layers[-1]
        if self.output == "softmax" and Y.dtype.kind in "iu" and Y.ndim < X.ndim:
            Y = np.eye(m)[Y]
        return np.atleast_2d(X), np.asarray(Y, dtype=np.float64).reshape(-1, m)


def _activate(name: str, z: Floats) -> Floats:
    """Return g(z); the array z survives where the loss or the derivative is taken from z."""
    if name == "leaky_relu":
        return np.where(z < 0.0, 0.01 * z, z)
    if name == "elu":
        return np.where(z < 0.0, np.expm1(np.minimum(z, 0.0)), z)
    if name == "softplus":  # log(1 + exp z)
        return np.logaddexp(0.0, z)
    if name == "silu":
        a: Floats = z * _activate("sigmoid", z)
        return a
    if name == "gelu":
        a = z * _normal_distribution(z)
        return a
    if name == "mish":
        a = z * np.tanh(_activate("softplus", z))
        return a
    if name == "exp":
        with np.errstate(over="ignore"):
            a = np.exp(z)
        return a
    if name == "sigmoid":  # 1 / (1 + exp(-z))
        e: Floats = np.negative(z)
        with np.errstate(over="ignore"):
            np.exp(e, out=e)
        e += 1.0
        np.reciprocal(e, out=e)
        return e
    if name == "tanh":
        return np.tanh(z, out=z)
    if name == "relu":
        return np.maximum(z, 0.0, out=z)
    if name == "identity":
        return z
    if name == "softmax":  # exp z_ij / sum_j' exp z_ij'
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        e /= e.sum(axis=-1, keepdims=True)
        return e
    if name == "step":
        return (z > 0.0).astype(np.float64)
    raise ValueError(f"unknown activation {name!r}")


def _normal_distribution(z: Floats) -> Floats:
    """Return Phi(z), the distribution function of the standard normal distribution."""
    values = [0.5 * math.erfc(-z_ij / math.sqrt(2.0)) for z_ij in z.ravel().tolist()]
    return np.array(values).reshape(z.shape)


def _times_derivative(name: str, d: Floats, a: Floats, z: Floats) -> None:
    """Multiply d by da/dz, in place; the derivative is written in a = g(z) if it can be."""
    if name == "leaky_relu":
        d *= np.where(a > 0.0, 1.0, 0.01)
    elif name == "elu":  # exp z = a + 1 below 0
        d *= np.where(a > 0.0, 1.0, a + 1.0)
    elif name == "softplus":  # 1 / (1 + exp(-z)) = 1 - exp(-a)
        d *= -np.expm1(-a)
    elif name == "silu":
        s = _activate("sigmoid", z)
        d *= s * (1.0 + z * _activate("sigmoid", -z))
    elif name == "gelu":
        with np.errstate(over="ignore"):
            density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        d *= _normal_distribution(z) + z * density
    elif name == "mish":
        t = np.tanh(_activate("softplus", z))
        d *= t + z * (1.0 - t * t) * _activate("sigmoid", z)
    elif name == "exp":
        d *= a
    elif name == "sigmoid":
        d *= a * (1.0 - a)
    elif name == "tanh":
        d *= 1.0 - a * a
    elif name == "relu":
        d *= a > 0.0
    elif name == "softmax":  # da_k/dz_j = a_k ([j = k] - a_j)
        d -= (d * a).sum(axis=-1, keepdims=True)
        d *= a


def raw_words(seed: int, position: int, count: int) -> NDArray[np.uint64]:
    """Return words position, ..., position + count - 1 of the stream of a seed.

    The stream is that of ``numpy.random.Philox(seed)``, which makes four 64-bit words a counter.

    Examples
    --------
    >>> from deltaloop.reference import raw_words
    >>> raw_words(7, 0, 10)[6:].tolist() == raw_words(7, 6, 4).tolist()
    True
    """
    blocks, skip = divmod(position, 4)
    bits = np.random.Philox(seed)
    bits.advance(blocks)
    words: NDArray[np.uint64] = bits.random_raw(skip + count)
    return words[skip:]


def uniform(words: NDArray[np.uint64], limit: float) -> Floats:
    """Return one number of Unif[-limit, limit) for each word: limit (2u - 1), u its top 53 bits."""
    u = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return limit * (2.0 * u - 1.0)


def _normal(bits: np.random.Philox, size: int) -> list[float]:
    """Return `size` standard normal numbers by Marsaglia's polar method, two words a trial.

    G. Marsaglia, T. A. Bray, A convenient method for generating normal variables, SIAM Review 6
    (1964). The second number of the last trial is dropped where `size` is odd.
    """
    numbers: list[float] = []
    while len(numbers) < size:
        x, y = uniform(bits.random_raw(2), 1.0).tolist()
        s = x * x + y * y
        if 0.0 < s < 1.0:
            f = math.sqrt(-2.0 * math.log(s) / s)
            numbers += [x * f, y * f]
    return numbers[:size]


def skips(layers: Sequence[int]) -> tuple[int, ...]:
    """Return the hidden layers l that a residual network skips: those as wide as layer l - 1.

    Examples
    --------
    >>> from deltaloop.reference import skips
    >>> skips([4, 4, 3, 3, 3])
    (1, 3)
    """
    return tuple(l for l in range(1, len(layers) - 1) if layers[l] == layers[l - 1])


def mask(
    seed: int, position: int, n: int, layers: Sequence[int], dropout: Sequence[float]
) -> tuple[list[Floats], int]:
    """Return what each hidden layer's g(z) (n, m^(l)) is multiplied by, and the next position.

    A unit that is dropped gives 0, one that stays 1 / (1 - p). The words begin at the next multiple
    of 4. An instance takes, of each layer with p > 0 in turn, 4 words for every 8 units begun; unit
    j has the low (even j) or the high half (odd j) of its word number j // 2, and is dropped if
    that is less than p 2^32, rounded.

    Examples
    --------
    >>> from deltaloop.reference import mask
    >>> masks, position = mask(0, 5, 2, [3, 4, 1], [0.5])
    >>> masks[0].shape, position
    ((2, 4), 16)
    """
    begin = (position + 3) // 4 * 4
    sizes = [4 * -(-m // 8) if p > 0 else 0 for m, p in zip(layers[1:-1], dropout, strict=True)]
    words = raw_words(seed, begin, n * sum(sizes)).reshape(n, sum(sizes))
    masks, at = [], 0
    for m, p, size in zip(layers[1:-1], dropout, sizes, strict=True):
        halves = words[:, at : at + size, np.newaxis] >> np.array([0, 32], dtype=np.uint64)
        halves = (halves & np.uint64(2**32 - 1)).reshape(n, 2 * size)[:, :m]
        keep = np.where(halves < math.floor(p * 2**32 + 0.5), 0.0, 1.0 / (1.0 - p))
        masks.append(keep if p > 0 else np.ones((n, m)))
        at += size
    return masks, begin + words.size


def initial_parameters(
    layers: Sequence[int], init: str, seed: int, residual: bool = False
) -> Floats:
    """Return the parameters (P,) that a network of these layers, init and seed starts from.

    Drawn in the order of the layout. ``"uniform"``: weights and biases from Unif[-1, 1];
    ``"uniform(low,high)"``, which is ``str(deltaloop.Uniform(low, high))``: from Unif[low, high].
    ``"nguyen_widrow"``: see `nguyen_widrow`; the last layer from Unif[-1/2, 1/2]. The others:
    biases 0, weights of variance 2 / m^(l-1) (he), 2 / (m^(l-1) + m^(l)) (glorot) or
    1 / m^(l-1) (lecun), ``_uniform`` or ``_normal``; in the layers that a residual network skips,
    divided by the square of their number.

    Examples
    --------
    >>> from deltaloop.reference import initial_parameters
    >>> initial_parameters([2, 1], "uniform", seed=0).shape
    (3,)
    """
    bits = np.random.Philox(seed)
    parts: list[ArrayLike] = []
    low, high = -0.5, 0.5
    if init.startswith("uniform("):
        low, high = (float(text) for text in init[len("uniform(") : -1].split(","))
    for l, (m_in, m_out) in enumerate(itertools.pairwise(layers), start=1):
        last = init == "nguyen_widrow" and l == len(layers) - 1
        if init.startswith("uniform(") or last:
            words = bits.random_raw((m_in + 1) * m_out)
            u = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
            parts.append(low + (high - low) * u)
            continue
        if init == "nguyen_widrow":
            parts.append(nguyen_widrow(bits.random_raw((m_in + 1) * m_out), m_in, m_out))
            continue
        if init == "uniform":
            parts.append(uniform(bits.random_raw((m_in + 1) * m_out), 1.0))
            continue
        scale, distribution = init.split("_")
        k, m = {"he": (2, m_in), "glorot": (2, m_in + m_out), "lecun": (1, m_in)}[scale]
        if residual and l in skips(layers):
            m *= len(skips(layers)) ** 2
        if distribution == "normal":  # of variance k / m
            parts.append(math.sqrt(k / m) * np.array(_normal(bits, m_in * m_out)))
        else:  # Unif[-r, r] has the variance r^2 / 3
            parts.append(uniform(bits.random_raw(m_in * m_out), math.sqrt(3 * k / m)))
        parts.append(np.zeros(m_out))
    return np.concatenate(parts)


def nguyen_widrow(words: NDArray[np.uint64], m_in: int, m_out: int) -> Floats:
    """Return w (m_in, m_out) and b (m_out,) of a hidden layer, one word each, in one array.

    v from Unif[-1, 1]; ``w_j'j = beta v_j'j / |v_j|`` with ``beta = 0.7 m_out^(1/m_in)`` and
    ``|v_j|^2 = sum_j' v_j'j^2`` over ascending j'; b from Unif[-beta, beta]. For inputs in
    [-1, 1].

    D. Nguyen, B. Widrow, Improving the learning speed of 2-layer neural networks by choosing
    initial values of the adaptive weights, IJCNN (1990).
    """
    v = uniform(words[: m_in * m_out], 1.0).reshape(m_in, m_out)
    # In so many digits that it is rounded once, as pow may not.
    with decimal.localcontext(prec=50):
        root = decimal.Decimal(m_out) ** (1 / decimal.Decimal(m_in))
        beta = float(root * decimal.Decimal("0.7"))
    squares = np.zeros(m_out)
    for row in v:
        squares += row * row
    w = v * (beta / np.sqrt(squares))
    return np.concatenate([w.ravel(), uniform(words[m_in * m_out :], beta)])


def permutation(words: Iterable[Any], n: int) -> NDArray[np.intp]:
    """Return the permutation of 0..n-1 that n - 1 words give.

    Fisher and Yates, from the end: for i = n-1..1 exchange p_i, p_j; j = floor(word (i+1) / 2^64).

    Examples
    --------
    >>> from deltaloop.reference import permutation
    >>> permutation([0, 2**63, 2**64 - 1], 4).tolist()
    [3, 2, 1, 0]
    """
    p = list(range(n))
    for i, word in zip(range(n - 1, 0, -1), words, strict=True):
        j = int(word) * (i + 1) >> 64
        p[i], p[j] = p[j], p[i]
    return np.array(p)
