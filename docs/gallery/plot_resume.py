"""
A training that is stopped, and goes on
=======================================

This story is for those whose trainings are long, and whose machines are switched off at
times. A fit stops in the middle and goes on in another network. The end has the same
bits as a fit that was never stopped.
"""

# %%
# Three fits
# ----------
# The first fit runs for 40 epochs. The second fit stops after 15. The third fit gets the
# state of the second, and runs from epoch 15 to epoch 40. The order of the mini-batches and
# the dropout are random, so the state holds the position in the random stream, too.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl
from deltaloop.datasets import load_digits

X, y = load_digits()
X = X / 16
options = {"solver": dl.Adam(0.001, batch_size=32), "dropout": 0.2, "validation": 0.2}


def network(seed):
    """Return a new network with weights from a seed of its own."""
    return dl.Network([64, 32, 10], activation="relu", loss="cross_entropy", seed=seed)


whole = network(0)
never_stopped = whole.fit(X, y, max_epochs=40, **options)
first = network(0).fit(X, y, max_epochs=40, callback=lambda info: info.epoch == 15, **options)
print(first.message)

# %%
# The state goes through a file. A state is a dict of plain NumPy arrays.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "state.npz"
    np.savez(path, **first.state)
    state = dict(np.load(path))
resumed = network(1)
rest = resumed.fit(X, y, max_epochs=40, resume=state, **options)

# %%
# One curve
# ---------

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
epochs = np.arange(1, 41)
cost = never_stopped.history.validation_cost
ax.plot(epochs, cost, color="0.7", linewidth=7, label="never stopped")
ax.plot(epochs[:15], first.history.validation_cost, "--", color="#D55E00", label="until the stop")
ax.plot(epochs[15:], rest.history.validation_cost, color="#0072B2", label="after the stop")
ax.axvline(15, color="0.5", linestyle=":")
ax.set(xlabel="epoch", ylabel="cost of the rows held out", ylim=(0, None))
ax.set_title("Stopped after 15 epochs, gone on in another network")
ax.legend()
plt.show()

# %%
# What to take away
# -----------------
# The network that went on began from other weights: the state holds all that counts. For
# a training that may be killed at any moment, ``fit`` writes such a file by itself:
# :doc:`../howto/save-and-resume`.

assert (first.epochs, rest.epochs) == (15, 25)
assert resumed.parameters.tobytes() == whole.parameters.tobytes()
assert (rest.history.validation_cost == cost[15:]).all()
