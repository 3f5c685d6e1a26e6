"""
A rare class that must not be missed
====================================

This story is for those whose classes differ much in size, as with defects, fraud or
diseases. One part in 25 is faulty. The same network is trained without and with
weights for the classes.
"""

# %%
# The data
# --------
# Two measurements of 2,000 parts. The values of the faulty parts overlap with those of
# the others, so no network gets all of them right.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

rng = np.random.default_rng(0)
faulty = (np.arange(2000) % 25 == 0).astype(int)
centre = np.where(faulty[:, np.newaxis], [12.0, 0.66], [10.0, 0.5])
X = centre + rng.normal(scale=[1.0, 0.08], size=(2000, 2))
train = rng.permutation(2000) < 1000

# %%
# Two fits
# --------
# ``class_weight="balanced"`` gives both classes the same weight in the cost: here a
# faulty part counts as much as 24 good parts.

networks = {}
for name, weight in (("no weights", None), ("balanced weights", "balanced")):
    net = dl.Network([2, 8, 1], activation="tanh", loss="cross_entropy", seed=0)
    options = {"solver": dl.LBFGS(), "l2": 3.0, "scale": "standard"}
    net.fit(X[train], faulty[train], class_weight=weight, **options)
    networks[name] = net

# %%
# What is found, and what is a false alarm
# ----------------------------------------
# Recall is the share of the faulty parts that the network finds. Precision is the share
# of the alarms that are right. The picture has both, for 1,000
# other parts.

figure, panels = plt.subplots(2, 1, figsize=(6.0, 7.6), layout="constrained", sharex=True)
recall = {}
for ax, (name, net) in zip(panels, networks.items(), strict=True):
    alarm, true = net.classify(X[~train]) == 1, faulty[~train] == 1
    recall[name] = (alarm & true).sum() / true.sum()
    precision = (alarm & true).sum() / alarm.sum()
    dl.plot.decision_regions(net, X[~train], faulty[~train], ax=ax)
    ax.set(title=f"{name}: recall {recall[name]:.0%}, precision {precision:.0%}")
    ax.set(xlabel="length, mm", ylabel="thickness, mm")
    ax.get_legend().set_title("faulty")
plt.show()

# %%
# What to take away
# -----------------
# Accuracy hides the rare class: a network that never gives an alarm is right for 96 % of
# the parts. Weights move the border. More faulty parts are found, and there are more
# false alarms. What an error costs tells which you want. :doc:`../howto/weights`
# explains the weights.

assert recall["no weights"] < 0.8
assert recall["balanced weights"] > recall["no weights"] + 0.1
