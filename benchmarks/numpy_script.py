"""Backpropagation for any number of layers, as it is written in a short NumPy script."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def predict(x, weights, biases):
    for w, b in zip(weights, biases, strict=True):
        x = sigmoid(x @ w + b)
    return x


def train(X, Y, weights, biases, learning_rate, epochs, batch_size):
    history = []
    for _ in range(epochs):
        cost = 0.0
        for i in range(0, len(X), batch_size):
            a, y = [X[i : i + batch_size]], Y[i : i + batch_size]
            for w, b in zip(weights, biases, strict=True):
                a.append(sigmoid(a[-1] @ w + b))
            error = a[-1] - y
            cost += 0.5 * np.sum(error**2)
            delta = error * a[-1] * (1.0 - a[-1])
            for l in reversed(range(len(weights))):
                dw, db = a[l].T @ delta, delta.sum(axis=0)
                if l > 0:
                    delta = (delta @ weights[l].T) * a[l] * (1.0 - a[l])
                weights[l] -= learning_rate * dw
                biases[l] -= learning_rate * db
        history.append(cost)
    return history
