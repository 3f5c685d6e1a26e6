"""
Quantile bands: how far off may it be?
======================================

This story is for those who must say how sure a prediction is. Three networks learn
three quantiles of the same data. Between the outer two lie nine values out of ten.
"""

# %%
# The data
# --------
# The waiting time at a counter grows with the number of people in the queue. So does its
# spread, and the spread is larger upwards than downwards.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

rng = np.random.default_rng(0)
people = rng.uniform(0, 20, 1500).reshape(-1, 1)
minutes = 1.5 * people + rng.gamma(2.0, 0.5 + 0.15 * people)
train = np.arange(1500) < 1000

# %%
# Three networks
# --------------
# The loss ``Quantile(0.9)`` makes a network predict a value that nine out of ten
# observations stay below.

bands = {}
for tau in (0.05, 0.5, 0.95):
    net = dl.Network([1, 8, 1], activation="tanh", loss=dl.Quantile(tau), seed=0)
    solver = dl.Adam(dl.schedules.Cosine(0.02, epochs=200), batch_size=50)
    net.fit(people[train], minutes[train], solver=solver, max_epochs=200, scale="standard")
    bands[tau] = net

# %%
# The bands, and how many values they hold
# ----------------------------------------
# The share of the band is counted on 500 rows that no network has seen.

low, high = bands[0.05].predict(people[~train]), bands[0.95].predict(people[~train])
inside = (low <= minutes[~train]) & (minutes[~train] <= high)
print(f"{inside.mean():.1%} of the new values lie in the band")

line = np.linspace(0, 20, 200).reshape(-1, 1)
curves = {tau: net.predict(line)[:, 0] for tau, net in bands.items()}
figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
ax.plot(people[~train], minutes[~train], ".", color="0.45", markersize=3, label="new values")
ax.fill_between(line[:, 0], curves[0.05], curves[0.95], color="#56B4E9", alpha=0.4)
for tau, style in ((0.95, "--"), (0.5, "-"), (0.05, ":")):
    ax.plot(line, curves[tau], style, color="#0072B2", linewidth=2, label=f"quantile {tau}")
ax.set(xlabel="people in the queue", ylabel="waiting time, minutes")
ax.set_title(f"{inside.mean():.0%} of the new values lie in the band")
ax.legend()
plt.show()

# %%
# What to take away
# -----------------
# A quantile needs no assumption on the shape of the noise. The band is wide where the
# data spread, and narrow where they do not. :doc:`../howto/uncertainty` has other ways to
# tell how certain a prediction is.

assert 0.86 < inside.mean() < 0.94
assert (curves[0.05] < curves[0.5]).all()
assert (curves[0.5] < curves[0.95]).all()
