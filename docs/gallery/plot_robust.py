"""
Outliers, and a loss that does not follow them
==============================================

This story is for those whose measurements are now and then quite wrong. The squared
error follows such values, as it counts an error of ten a hundred times. The Huber loss
counts large errors only by their size.
"""

# %%
# The data
# --------
# 120 readings of a sensor over a day. A tenth of the readings come from a loose contact.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

rng = np.random.default_rng(0)
hours = np.linspace(0, 24, 120).reshape(-1, 1)
truth = 15 + 8 * np.sin((hours - 9) * np.pi / 12)
celsius = truth + rng.normal(scale=0.5, size=truth.shape)
loose = rng.choice(120, size=12, replace=False)
celsius[loose] += rng.uniform(15, 30, size=(12, 1))

# %%
# Two losses
# ----------
# Everything else is the same: layers, start, solver and penalty. The targets are scaled,
# and so is the ``delta`` of the Huber loss: beyond it an error counts by its size.

curves = {}
for name, loss in (("squared error", "squared_error"), ("Huber", dl.Huber(0.1))):
    net = dl.Network([1, 10, 1], activation="tanh", output="identity", loss=loss, seed=0)
    net.fit(hours, celsius, solver=dl.LBFGS(), l2=0.03, scale="standard", max_epochs=500)
    curves[name] = net.predict(hours)

figure, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
ax.plot(hours, celsius, "k.", markersize=4, label="readings")
ax.plot(hours, truth, color="0.5", linewidth=5, alpha=0.5, label="true temperature")
ax.plot(hours, curves["squared error"], "--", color="#D55E00", label="squared error")
ax.plot(hours, curves["Huber"], color="#0072B2", label="Huber")
ax.set(xlabel="hour of the day", ylabel="temperature, °C", xticks=range(0, 25, 4))
ax.set_title("The Huber loss does not follow the outliers")
figure.legend(loc="outside lower center", ncols=4)
plt.show()

# %%
# What to take away
# -----------------
# Change the loss before you delete data by hand. ``absolute_error`` and ``Quantile`` do
# not follow outliers either: :doc:`../reference/activations-and-losses`.

off = {name: np.sqrt(np.mean((curve - truth) ** 2)) for name, curve in curves.items()}
for name, value in off.items():
    print(f"{name:13s} {value:.2f} °C off")
assert off["Huber"] < 0.4 * off["squared error"]
