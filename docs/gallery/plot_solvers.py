"""
The same function by eight solvers
==================================

This story is for those who fit a smooth function closely and ask which solver to take.
Eight solvers start from the same weights. The picture shows how the error of each
solver falls with time.
"""

# %%
# The task
# --------
# The function is sinc, sin(10 x) / (10 x), at 1,000 points without noise. The network
# has one hidden layer of 20 tanh units, so it has 61 parameters.

import time

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

x = np.linspace(-1, 1, 1000).reshape(-1, 1)
y = np.sinc(10 * x / np.pi)
solvers = {
    "gradient descent": dl.GradientDescent(3e-4, momentum=0.9),
    "Quickprop": dl.Quickprop(epsilon=1e-4),
    "Adam": dl.Adam(0.01),
    "Rprop": dl.Rprop(),
    "conjugate gradients": dl.ScaledConjugateGradient(),
    "L-BFGS": dl.LBFGS(memory=30),
    "Bayesian": dl.BayesianRegularization(),
    "Levenberg-Marquardt": dl.LevenbergMarquardt(),
}

# %%
# Eight fits
# ----------
# The goal is a mean squared error of 1e-8. C is half the sum of the squares, so the
# goal is half of that, times 1,000 points. A solver that does not get there has 3,000
# epochs. A callback notes the CPU time after each epoch.

options = {"tol": 0, "max_epochs": 3000, "n_threads": 1}
results, clocks = {}, {}
for name, solver in solvers.items():
    net = dl.Network([1, 20, 1], activation="tanh", output="identity", init="nguyen_widrow", seed=0)
    clock = clocks[name] = [time.process_time()]
    options["callback"] = lambda info, clock=clock: clock.append(time.process_time())
    results[name] = net.fit(x, y, solver=solver, goal=0.5 * 1000 * 1e-8, **options)
    error = 2 * results[name].cost / 1000
    print(f"{name:20s} {results[name].epochs:5d} epochs, mean squared error {error:.0e}")

# %%
# What the picture shows
# ----------------------

colours = ["#999999", "#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#000000", "#D55E00", "#0072B2"]
figure, ax = plt.subplots(figsize=(6.6, 5.4), layout="constrained")
for k, (name, result) in enumerate(results.items()):
    milliseconds = 1000 * np.subtract(clocks[name][1:], clocks[name][0])
    style = ("-", "--", ":", "-.")[k % 4]
    error = 2 * result.history.cost / 1000
    ax.loglog(milliseconds, error, style, color=colours[k], linewidth=2, label=name)
ax.axhline(1e-8, color="0.5", linewidth=1)
ax.set(xlabel="CPU time, milliseconds", ylabel="mean squared error")
ax.set_title("Two of eight solvers reach the grey line")
figure.legend(loc="outside lower center", ncols=3, fontsize="small")
plt.show()

# %%
# What to take away
# -----------------
# Levenberg-Marquardt and Bayesian regularisation use that the cost is a sum of squares.
# On a small network and data without noise they reach errors that the six others do not
# reach. :doc:`../howto/choose-a-solver` tells what to take for other tasks, and
# :doc:`../understand/solvers-measured` has the figures.

for name, result in results.items():
    squares = name in ("Bayesian", "Levenberg-Marquardt")
    assert (result.stop_reason == "goal" and result.epochs < 500) == squares, name
