"""Backpropagation for any number of layers, as it is written in a short NumPy script."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def relu(z):
    return np.maximum(z, 0.0)


def identity(z):
    return z


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# From a = g(z).
DERIVATIVES = {
    sigmoid: lambda a: a * (1.0 - a),
    relu: lambda a: a > 0.0,
    np.tanh: lambda a: 1.0 - a * a,
}


def predict(x, weights, biases, hidden=sigmoid, output=sigmoid):
    last = len(weights) - 1
    for l, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = (hidden if l < last else output)(x @ w + b)
    return x


def gradients(x, y, weights, biases, hidden=sigmoid, output=sigmoid):
    """The cost and, from the last layer to the first, dC/dw and dC/db."""
    a, last = [x], len(weights) - 1
    for l, (w, b) in enumerate(zip(weights, biases, strict=True)):
        a.append((hidden if l < last else output)(a[-1] @ w + b))
    delta = a[-1] - y
    cost = -np.sum(y * np.log(a[-1])) if output is softmax else 0.5 * np.sum(delta**2)
    if output is sigmoid:
        delta = delta * a[-1] * (1.0 - a[-1])
    yield cost
    for l in reversed(range(len(weights))):
        below = None
        if l > 0:
            below = (delta @ weights[l].T) * DERIVATIVES[hidden](a[l])
        yield l, a[l].T @ delta, delta.sum(axis=0)
        delta = below


class Adam:
    def __init__(self, rate, beta1, beta2, epsilon):
        self.rate, self.beta1, self.beta2, self.epsilon = rate, beta1, beta2, epsilon
        self.moments, self.t = {}, 0

    def __call__(self, key, parameter, g):
        if key not in self.moments:
            self.moments[key] = np.zeros_like(g), np.zeros_like(g)
        m, v = self.moments[key]
        m *= self.beta1
        m += (1.0 - self.beta1) * g
        v *= self.beta2
        v += (1.0 - self.beta2) * g * g
        first, second = 1.0 - self.beta1**self.t, 1.0 - self.beta2**self.t
        parameter -= self.rate / first * m / (np.sqrt(v / second) + self.epsilon)


class GradientDescent:
    def __init__(self, rate):
        self.rate, self.t = rate, 0

    def __call__(self, key, parameter, g):
        parameter -= self.rate * g


def train(X, Y, weights, biases, update, epochs, batch_size, hidden=sigmoid, output=sigmoid):
    history = []
    for _ in range(epochs):
        total = 0.0
        for i in range(0, len(X), batch_size):
            x, y = X[i : i + batch_size], Y[i : i + batch_size]
            cost, *found = gradients(x, y, weights, biases, hidden, output)
            total += cost
            update.t += 1
            for l, dw, db in found:
                update(("w", l), weights[l], dw)
                update(("b", l), biases[l], db)
        history.append(total)
    return history


def jacobian(x, weights, biases, hidden=sigmoid):
    """The outputs (n, 1) of a network without an output function, and their derivatives (n, P)."""
    a = [x]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        a.append(hidden(a[-1] @ w + b))
    outputs, delta, parts = a[-1] @ weights[-1] + biases[-1], np.ones((len(x), 1)), []
    for l in reversed(range(len(weights))):
        parts += [delta, (a[l][:, :, None] * delta[:, None, :]).reshape(len(x), -1)]
        if l > 0:
            delta = (delta @ weights[l].T) * DERIVATIVES[hidden](a[l])
    return outputs, np.concatenate(parts[::-1], axis=1)
