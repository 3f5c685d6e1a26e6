"""
Learning from a stream whose rule changes
=========================================

This story is for those whose rows arrive one by one and are not kept. A network learns
from each row once. In the middle of the stream the rule changes, and the network
follows.
"""

# %%
# The stream
# ----------
# Each row has two numbers between -1 and 1. The target is their product. After 4,000 rows
# the sign of the target turns.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl


def stream(n, seed):
    """Yield one row and its target at a time."""
    rng = np.random.default_rng(seed)
    for t in range(n):
        x = rng.uniform(-1, 1, 2)
        sign = 1 if t < n // 2 else -1
        yield x, sign * x[0] * x[1]


# %%
# Predict, then learn
# -------------------
# The network first predicts the target, and only then learns from it. So each error is
# the error on a row that the network has not seen. No row is stored. A second network
# stops learning before the change.

n = 8000
learning, frozen = (
    dl.Network([2, 12, 1], activation="tanh", output="identity", seed=0) for _ in range(2)
)
trainers = [net.trainer(dl.GradientDescent(0.1)) for net in (learning, frozen)]
errors = np.empty((n, 2))
for t, (x, y) in enumerate(stream(n, seed=0)):
    errors[t] = abs(learning.predict(x)[0] - y), abs(frozen.predict(x)[0] - y)
    trainers[0].step(x, y)
    if t < n // 2:
        trainers[1].step(x, y)

# %%
# The errors
# ----------
# The lines are means over 200 rows.

means = errors.reshape(-1, 200, 2).mean(axis=1)
rows = 200 * np.arange(1, len(means) + 1)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.plot(rows, means[:, 1], "--", color="#D55E00", label="stops learning at row 4,000")
ax.plot(rows, means[:, 0], color="#0072B2", linewidth=2, label="goes on learning")
ax.axvline(4000, color="0.5", linestyle=":")
ax.text(3900, 0.35, "the rule changes", ha="right", color="0.3")
ax.set(xlabel="rows that have arrived", ylabel="mean absolute error", ylim=(0, None))
ax.set_title("One network follows the change, the other does not")
ax.legend(loc="upper left")
plt.show()

# %%
# What to take away
# -----------------
# ``trainer`` is for updates that you time yourself. The state of a trainer can be
# stored and resumed, and C code can take the same steps on a board. :doc:`../howto/online-learning`
# has more examples.

assert means[19, 0] < 0.05
assert means[-1, 0] < 0.1 < means[-1, 1]
