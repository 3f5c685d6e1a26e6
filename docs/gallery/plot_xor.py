"""
XOR, while a network learns it
==============================

This story is for those who meet a multilayer perceptron for the first time. The
picture shows what a network with two hidden units answers everywhere in the plane, at
four moments of its training.
"""

# %%
# The data
# --------
# XOR is 1 where exactly one of its two inputs is 1. No straight line separates the
# ones from the zeros, so a network without a hidden layer cannot learn XOR.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([0, 1, 1, 0])

# %%
# The training
# ------------
# The network has two inputs, two hidden units and one output, all sigmoid. A callback
# sees the network after each epoch, that is, after each pass over the four rows. The
# callback keeps a copy of the network at four moments. ``goal`` ends the fit at a low cost.

net = dl.Network([2, 2, 1], seed=0)
kept = {0: net.copy()}


def watch(info):
    """Keep the network after some of the epochs."""
    if info.epoch in (50, 100):
        kept[info.epoch] = net.copy()


solver = dl.GradientDescent(learning_rate=2.0)
result = net.fit(X, y, solver=solver, goal=0.01, callback=watch)
kept[result.epochs] = net.copy()

assert result.stop_reason == "goal"
assert net.classify(X).tolist() == y.tolist()
print(result.message)

# %%
# The surface
# -----------
# The colour is the output of the network. The black line is where the output is 0.5:
# the network answers 1 on one side of the line, and 0 on the other side.

axis = np.linspace(-0.4, 1.4, 120)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
figure, panels = plt.subplots(2, 2, figsize=(6.4, 5.8), layout="constrained")
figure.suptitle("What the network answers, from the start to the goal")
for ax, (epoch, then) in zip(panels.flat, kept.items(), strict=True):
    output = then.predict(grid).reshape(120, 120)
    shown = ax.pcolormesh(axis, axis, output, cmap="RdYlBu_r", vmin=0, vmax=1)
    ax.contour(axis, axis, output, levels=[0.5], colors="black")
    for target, marker in ((0, "o"), (1, "s")):
        ax.plot(*X[y == target].T, "k" + marker, markerfacecolor="white", markersize=9)
    ax.set(title=f"epoch {epoch}, cost {then.cost(X, y):.3f}", aspect="equal")
    ax.set(xlabel="first input", ylabel="second input", xticks=[0, 1], yticks=[0, 1])
figure.colorbar(shown, ax=panels, label="output; circles want 0, squares want 1")
plt.show()

# %%
# What to take away
# -----------------
# The two hidden units bend the surface until a band of ones lies between the two
# corners of zeros. :doc:`../start/first-network` trains the next network step by step.
