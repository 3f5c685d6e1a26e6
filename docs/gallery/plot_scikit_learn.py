"""
In the place of scikit-learn's perceptron
=========================================

This story is for those who use ``MLPClassifier`` of scikit-learn. The estimator of
deltaloop takes its place by one changed import. With the same ``random_state`` both learn
the same.
"""

# %%
# Two estimators
# --------------
# The two have the same name, the same parameters and the same methods. Here they have
# two names, so that one script can use both.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neural_network import MLPClassifier as ScikitLearn

from deltaloop.datasets import load_digits
from deltaloop.sklearn import MLPClassifier as Deltaloop

X, y = load_digits()
X = X / 16
test = np.arange(len(X)) % 5 == 0
settings = {"hidden_layer_sizes": (50,), "tol": 0.01, "random_state": 0}
fitted, seconds = {}, {}
for kind in (ScikitLearn, Deltaloop):
    begin = time.perf_counter()
    fitted[kind] = kind(**settings).fit(X[~test], y[~test])
    seconds[kind] = time.perf_counter() - begin
difference = np.subtract(fitted[ScikitLearn].loss_curve_, fitted[Deltaloop].loss_curve_)
print(f"largest difference of the loss in an epoch: {np.abs(difference).max():.0e}")
print(f"scikit-learn {seconds[ScikitLearn]:.3f} s, deltaloop {seconds[Deltaloop]:.3f} s")

# %%
# More solvers
# ------------
# The solvers of deltaloop are further values of ``solver``. Scaled conjugate gradients
# need no learning rate.

conjugate = Deltaloop(**settings | {"solver": "scg", "tol": 1e-4, "max_iter": 500})
conjugate = conjugate.fit(X[~test], y[~test])
print(f"{conjugate.score(X[test], y[test]):.1%} of the digits held out are right")

# %%
# The curves
# ----------

figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
curve = fitted[ScikitLearn].loss_curve_
ax.plot(np.arange(1, len(curve) + 1), curve, color="0.75", linewidth=7, label="scikit-learn, adam")
curve = fitted[Deltaloop].loss_curve_
ax.plot(np.arange(1, len(curve) + 1), curve, "--", color="#D55E00", label="deltaloop, adam")
curve = conjugate.loss_curve_
ax.plot(np.arange(1, len(curve) + 1), curve, color="#0072B2", label="deltaloop, scg")
ax.set(xlabel="iteration", ylabel="loss (mean over the rows)", yscale="log")
ax.set_title("The same curve, and one that scikit-learn does not have")
ax.legend()
plt.show()

# %%
# What to take away
# -----------------
# Pipelines, searches and scorers work as before. :doc:`../reference/scikit-learn` lists
# what is the same, what is more, and the few things that differ.

assert np.abs(difference).max() < 1e-6
assert (fitted[ScikitLearn].predict(X[test]) == fitted[Deltaloop].predict(X[test])).all()
assert conjugate.score(X[test], y[test]) > 0.92
