"""
A map of handwritten digits
===========================

This story is for those who want to see data of many columns in a plane. A network learns
to reproduce images of 64 pixels through a layer of two units. The two numbers in this
layer are the place of an image on the map.
"""

# %%
# The network
# -----------
# The targets are the inputs themselves. The layer of two units in the middle is the
# narrow place, and ``activation`` names a function for each hidden layer.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl
from deltaloop.datasets import load_digits

X, y = load_digits()
X = X / 16
layers = [64, 40, 2, 40, 64]
net = dl.Network(layers, activation=["tanh", "identity", "tanh"], output="sigmoid", seed=0)
solver = dl.Adam(dl.schedules.Cosine(0.003, epochs=80), batch_size=32)
result = net.fit(X, X, solver=solver, max_epochs=80)

# %%
# The map
# -------
# ``activations`` returns the outputs of all layers. Number 0 is the first hidden
# layer, number 1 the narrow place. The digits were no part of the training: they only
# name the points.

places = net.activations(X)[1]
figure, ax = plt.subplots(figsize=(6.4, 6.0), layout="constrained")
for digit in range(10):
    of = y == digit
    colour = plt.get_cmap("viridis")(digit / 12)
    ax.scatter(*places[of].T, s=30, marker=f"${digit}$", color=colour, linewidths=0.3)
ax.set(xlabel="first unit of the narrow layer", ylabel="second unit of the narrow layer")
ax.set_title("Each sign is an image, at the place that the network gives it")
plt.show()

# %%
# Back from two numbers to an image
# ---------------------------------

figure, panels = plt.subplots(2, 6, figsize=(6.4, 2.6), layout="constrained")
figure.suptitle("Images (top), and what two numbers keep of them (bottom)")
for ax, image in zip(panels.flat, [*X[:6], *net.predict(X[:6])], strict=True):
    ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
plt.show()

# %%
# What to take away
# -----------------
# Images of the same digit lie together, though no one told the network what a digit is.
# Two numbers keep the rough shape of an image, and lose its details.
# :doc:`../reference/fitting` tells how to train deep networks.

kept = 1 - np.sum((net.predict(X) - X) ** 2) / np.sum((X - X.mean(axis=0)) ** 2)
nearest = np.array([np.argsort(((places - p) ** 2).sum(axis=1))[1] for p in places])
same = (y[nearest] == y).mean()
print(f"{kept:.0%} of the variation is kept")
print(f"for {same:.0%} of the images, the nearest other image on the map is the same digit")
assert kept > 0.35
assert same > 0.5
