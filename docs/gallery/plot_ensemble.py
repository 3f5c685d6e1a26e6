"""
An ensemble says where it does not know
=======================================

This story is for those who want a warning where a model leaves its data. Twenty networks
learn the same measurements from different starts. Where they disagree, none of them
knows.
"""

# %%
# The data
# --------
# The power of a small wind turbine at different wind speeds. Between 8 and 11 m/s nobody
# has measured.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

rng = np.random.default_rng(0)
wind = np.sort(np.concatenate([rng.uniform(3, 8, 60), rng.uniform(11, 15, 40)]))
power = 250 / (1 + np.exp(-(wind - 8.5))) + rng.normal(scale=6.0, size=100)

# %%
# Twenty networks
# ---------------
# Each network starts from its own seed and learns rows that are drawn with replacement,
# as in a bootstrap. ``seed=k`` makes each network the same in every run.

grid = np.linspace(2, 17, 300).reshape(-1, 1)
answers = []
for k in range(20):
    rows = rng.integers(100, size=100)
    net = dl.Network([1, 20, 1], activation="tanh", output="identity", seed=k)
    options = {"solver": dl.LBFGS(), "l2": 1e-3, "scale": "standard", "max_epochs": 500}
    net.fit(wind[rows].reshape(-1, 1), power[rows], **options)
    answers.append(net.predict(grid)[:, 0])
mean, spread = np.mean(answers, axis=0), np.std(answers, axis=0)

# %%
# The mean and the spread
# -----------------------

figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
ax.plot(wind, power, "k.", markersize=4, label="measurements")
ax.plot(grid, mean, color="#0072B2", linewidth=2, label="mean of 20 networks")
low, high = mean - 2 * spread, mean + 2 * spread
ax.fill_between(grid[:, 0], low, high, color="#56B4E9", alpha=0.4, label="two deviations of them")
ax.axvspan(8, 11, color="0.85", zorder=0)
ax.text(9.5, -28, "no data", ha="center", color="0.3")
ax.set(xlabel="wind speed, m/s", ylabel="power, kW", ylim=(-45, 360), xlim=(2, 17))
ax.set_title("The networks disagree where there are no data")
ax.legend(loc="upper left", fontsize="small")
plt.show()

# %%
# What to take away
# -----------------
# The spread of an ensemble is small where there are data, and large where there are none.
# The spread says nothing about the noise of a single measurement: for that there are
# :doc:`quantiles <plot_quantiles>`. :doc:`../howto/ensembles` tells how to save and use an
# ensemble.

gap = (grid[:, 0] > 8.5) & (grid[:, 0] < 10.5)
known = (grid[:, 0] > 4) & (grid[:, 0] < 7)
inside, outside = spread[gap].mean(), spread[known].mean()
print(f"spread in the gap {inside:.1f} kW, among the data {outside:.1f} kW")
assert inside > 2 * outside
