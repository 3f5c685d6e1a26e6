"""
What the hidden units of a digit reader see
===========================================

This story is for those who want to look into a network. A network learns to read
handwritten digits of 8 by 8 pixels. The pictures show the weights of its hidden units
as images, and the digits that it reads wrongly.
"""

# %%
# The training
# ------------
# The 1,797 digits ship with deltaloop. Every fifth digit is held out for the test. The
# penalty ``l2`` keeps weights small that nothing asks for, which makes the images calm.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl
from deltaloop.datasets import load_digits

X, y = load_digits()
X = X / 16
test = np.arange(len(X)) % 5 == 0
net = dl.Network([64, 16, 10], activation="tanh", loss="cross_entropy", seed=0)
net.fit(X[~test], y[~test], solver=dl.LBFGS(), l2=1.0, max_epochs=300)
read = net.classify(X[test])
accuracy = (read == y[test]).mean()
print(f"{accuracy:.1%} of {test.sum()} new digits are right")
assert accuracy > 0.94

# %%
# The weights as images
# ---------------------
# Each hidden unit has 64 weights, one for each pixel. Ink on a red pixel drives the unit
# up. Ink on a blue pixel drives the unit down.

weights = net.weights[0].T.reshape(16, 8, 8)
limit = np.abs(weights).max()
figure, panels = plt.subplots(4, 4, figsize=(6.0, 6.2), layout="constrained")
figure.suptitle("The weights of 16 hidden units")
for j, (ax, image) in enumerate(zip(panels.flat, weights, strict=True)):
    shown = ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[], title=f"unit {j}")
figure.colorbar(shown, ax=panels, label="weight", shrink=0.7)
plt.show()

# %%
# The digits that are read wrongly
# --------------------------------
# Several of these digits are hard to read for people, too.

wrong = np.flatnonzero(read != y[test])[:10]
figure, panels = plt.subplots(2, 5, figsize=(6.4, 3.4), layout="constrained")
figure.suptitle("Digits that the network reads wrongly")
for ax in panels.flat:
    ax.axis("off")
for ax, i in zip(panels.flat, wrong, strict=False):
    ax.imshow(X[test][i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y[test][i]}, read as {read[i]}", fontsize="small")
plt.show()

# %%
# What to take away
# -----------------
# ``net.weights`` are plain NumPy arrays, so you can look at everything that a network has
# learned. :doc:`../reference/plots` shows the other pictures, such as confusion matrices.
