"""Backpropagation for one hidden layer, as it is written in a short NumPy script."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def predict(x, w1, b1, w2, b2):
    return sigmoid(sigmoid(x @ w1 + b1) @ w2 + b2)


def train(X, Y, w1, b1, w2, b2, learning_rate, epochs, batch_size):
    history = []
    for _ in range(epochs):
        cost = 0.0
        for i in range(0, len(X), batch_size):
            x, y = X[i : i + batch_size], Y[i : i + batch_size]
            h = sigmoid(x @ w1 + b1)
            a = sigmoid(h @ w2 + b2)
            error = a - y
            cost += 0.5 * np.sum(error**2)
            delta2 = error * a * (1.0 - a)
            delta1 = (delta2 @ w2.T) * h * (1.0 - h)
            w2 -= learning_rate * (h.T @ delta2)
            b2 -= learning_rate * delta2.sum(axis=0)
            w1 -= learning_rate * (x.T @ delta1)
            b1 -= learning_rate * delta1.sum(axis=0)
        history.append(cost)
    return history
