"""
Two spirals
===========

This story is for those who ask how large a network must be. Two spirals wind around
each other three times. Four networks of growing size try to tell them apart.
"""

# %%
# The data
# --------
# Each spiral has 97 points. The points of one spiral are of class 0, those of the other
# of class 1.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

k = np.arange(97)
turn, radius = np.pi * k / 16, 6.5 * (104 - k) / 104
arm = np.column_stack([radius * np.sin(turn), radius * np.cos(turn)])
X, y = np.concatenate([arm, -arm]), np.repeat([0, 1], 97)

# %%
# Four networks
# -------------
# All networks have tanh units and the same solver, scaled conjugate gradients, which
# needs no learning rate. The small penalty ``l2`` keeps the weights from growing without
# an end.

options = {"max_epochs": 3000, "scale": "standard", "l2": 1e-3}
networks = {}
for hidden in ([4], [12], [30], [20, 10]):
    net = dl.Network([2, *hidden, 1], activation="tanh", loss="cross_entropy", seed=0)
    net.fit(X, y, solver=dl.ScaledConjugateGradient(), **options)
    name = " and ".join(map(str, hidden)) + " hidden units"
    networks[name] = net

# %%
# What they answer
# ----------------
# The colour is the probability of class 1.

axis = np.linspace(-7, 7, 160)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
figure, panels = plt.subplots(2, 2, figsize=(6.4, 6.0), layout="constrained")
figure.suptitle("With more units the border follows the spirals")
right = {}
for ax, (name, net) in zip(panels.flat, networks.items(), strict=True):
    right[name] = (net.classify(X) == y).mean()
    probability = net.predict(grid).reshape(160, 160)
    shown = ax.pcolormesh(axis, axis, probability, cmap="RdYlBu_r", vmin=0, vmax=1)
    for label, colour, marker in ((0, "white", "o"), (1, "black", "s")):
        ax.plot(*X[y == label].T, marker, color=colour, markersize=3, markeredgecolor="black")
    ax.set(title=f"{name}\n{right[name]:.0%} of the points right", aspect="equal")
    ax.set(xlabel="x", ylabel="y")
figure.colorbar(shown, ax=panels, label="probability of class 1 (squares)", shrink=0.6)
plt.show()

# %%
# What to take away
# -----------------
# Four units can bend the border only a few times. With 30 units, or with two layers, the
# border follows all three turns. Try a small network first, and make it larger while it
# misses the points: :doc:`../howto/choose-the-network`.

assert right["4 hidden units"] < 0.8
assert right["20 and 10 hidden units"] > 0.95
