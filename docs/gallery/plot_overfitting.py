"""
A learning curve that turns, and the stop that mends it
=======================================================

This story is for those who ask how long to train. A network with many units learns a
few noisy rows. At first it learns what is true of new rows, too. Later it learns the
noise.
"""

# %%
# The data
# --------
# 150 rows of five inputs. The target depends on two of them, with noise. Another 1,000
# rows judge the fits at the end.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(1150, 5))
y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + rng.normal(scale=0.8, size=1150)
rows, new = slice(0, 150), slice(150, 1150)

# %%
# Two fits
# --------
# Both set 30 % of the rows aside for validation: the network does not learn from them.
# The first fit runs for 300 epochs. ``patience=30`` ends the second fit 30 epochs after the
# lowest validation cost, and gives the network the weights of that epoch.

results, errors = {}, {}
for name, patience in (("300 epochs", None), ("early stopping", 30)):
    net = dl.Network([5, 40, 1], activation="tanh", output="identity", seed=0)
    options = {"solver": dl.Adam(0.01, batch_size=15), "validation": 0.3, "max_epochs": 300}
    results[name] = net.fit(X[rows], y[rows], patience=patience, **options)
    errors[name] = np.sqrt(np.mean((net.predict(X[new])[:, 0] - y[new]) ** 2))
    print(f"{name:15s} error on new rows {errors[name]:.3f} (the noise alone is 0.8)")

# %%
# The curve
# ---------
# ``result.plot()`` draws both costs for each epoch.

stop = results["early stopping"]
ax = results["300 epochs"].plot()
ax.axvline(stop.best_epoch, color="black", linestyle=":")
ax.text(stop.best_epoch + 5, 0.08, f"early stopping keeps\nepoch {stop.best_epoch}")
ax.set_title("From some epoch on, the network learns only noise")
plt.show()

# %%
# What to take away
# -----------------
# The cost on the training rows always falls, so it cannot tell when to stop. Rows set
# aside can. :doc:`../howto/stop-early` has the other ways to end a fit.

assert stop.stop_reason == "patience"
assert errors["early stopping"] < 0.9 * errors["300 epochs"]
