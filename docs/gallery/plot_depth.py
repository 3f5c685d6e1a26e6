"""
Deep networks, with skip connections and without
================================================

This story is for those who wonder why deep networks need skip connections. Networks of
2 to 64 hidden layers learn the digits, each with skips and without.
"""

# %%
# The data
# --------
# The 1,797 digits that ship with deltaloop. Every fifth digit is held out.

import warnings

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl
from deltaloop.datasets import load_digits

X, y = load_digits()
X = X / 16
test = np.arange(len(X)) % 5 == 0

# %%
# Twelve networks
# ---------------
# With ``residual=True`` a layer adds what came in to what goes out. So the gradient has
# a way past every layer. All networks have 16 units in each hidden layer, and ten epochs.
# A fit that ends badly gives a ``ConvergenceWarning``, which the script counts.

depths = [2, 4, 8, 16, 32, 64]
right, bad = {True: [], False: []}, {True: 0, False: 0}
for residual in right:
    for depth in depths:
        layers = [64, *[16] * depth, 10]
        options = {"activation": "relu", "loss": "cross_entropy", "residual": residual}
        net = dl.Network(layers, seed=0, **options)
        solver = dl.Adam(dl.schedules.Cosine(0.005, epochs=10, warmup=1), batch_size=32)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            net.fit(X[~test], y[~test], solver=solver, max_epochs=10)
        bad[residual] += len(caught)
        right[residual].append((net.classify(X[test]) == y[test]).mean())

print(f"fits that ended badly: {bad[True]} with skips, {bad[False]} without")

# %%
# What they learn
# ---------------

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.semilogx(depths, right[True], "o-", color="#0072B2", base=2, label="with skips")
ax.semilogx(depths, right[False], "s--", color="#D55E00", base=2, label="without skips")
ax.axhline(0.1, color="0.5", linewidth=1)
ax.text(2, 0.12, "guessing", color="0.4")
ax.set(xlabel="hidden layers", ylabel="share of new digits that are right", ylim=(0, 1.02))
ax.set(xticks=depths, xticklabels=depths, title="Without skips, deeper networks learn less")
ax.legend(loc="center left")
plt.show()

# %%
# What to take away
# -----------------
# With skips, deep networks learn as well as shallow ones. On these digits depth brings
# nothing, so begin with one or two layers. :doc:`../reference/fitting` tells which layers
# get a skip.

assert min(right[True]) > 0.85
assert right[False][-1] < 0.5
assert bad[True] == 0
assert bad[False] > 0
