"""
Noise, and how much of it a network should learn
================================================

This story is for those who have few and noisy measurements. A network with many units
can follow every measurement, noise included. Bayesian regularisation finds out by
itself how smooth the curve should be.
"""

# %%
# The data
# --------
# 60 measurements of a smooth curve. The noise has a standard deviation of 0.2.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-1, 1, 60)).reshape(-1, 1)
noise = 0.2


def truth(x):
    """Return the curve without noise."""
    return np.sin(4 * x)


y = truth(x) + rng.normal(scale=noise, size=x.shape)

# %%
# Two fits of the same network
# ----------------------------
# Levenberg-Marquardt lowers the error on the 60 points as far as it can. Bayesian
# regularisation adds a penalty for large weights, and estimates its strength, the noise,
# and the number of parameters that the data determine. The start ``nguyen_widrow`` spreads
# the units over the inputs: from other starts this solver may find nothing but a constant.

options = {"activation": "tanh", "output": "identity", "init": "nguyen_widrow", "seed": 0}
plain = dl.Network([1, 15, 1], **options)
plain.fit(x, y, solver=dl.LevenbergMarquardt(), max_epochs=300)
smooth = dl.Network([1, 15, 1], **options)
result = smooth.fit(x, y, solver=dl.BayesianRegularization(), max_epochs=300)
estimate = np.sqrt(0.5 / result.state["beta"].item())
used = result.state["gamma"].item()
print(f"noise: {estimate:.2f} estimated, {noise} true")
print(f"parameters in use: {used:.1f} of {smooth.n_parameters}")

# %%
# What they draw
# --------------

fine = np.linspace(-1, 1, 400).reshape(-1, 1)
figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
ax.plot(x, y, "ko", markersize=4, label="60 measurements")
ax.plot(fine, truth(fine), color="0.5", linewidth=4, alpha=0.5, label="the curve without noise")
ax.plot(fine, plain.predict(fine), "--", color="#D55E00", label="Levenberg-Marquardt")
ax.plot(fine, smooth.predict(fine), color="#0072B2", label="Bayesian regularisation")
ax.set(xlabel="x", ylabel="y", ylim=(-1.8, 2.1))
ax.set_title("One fit learns the noise, the other does not")
ax.legend(fontsize="small", loc="upper left")
plt.show()

# %%
# What to take away
# -----------------
# With noise, a low error on the points that you have is not the aim. Bayesian
# regularisation needs no points held out and no strength to choose. This
# solver suits small networks and the squared error. :doc:`../understand/solvers` explains
# how the solver works.

errors = [np.sqrt(np.mean((net.predict(fine) - truth(fine)) ** 2)) for net in (plain, smooth)]
print(f"error against the true curve: {errors[0]:.2f} without, {errors[1]:.2f} with")
assert errors[1] < 0.5 * errors[0]
assert 0.12 < estimate < 0.3
assert used < 15
