"""
One thread or two: the same bits, another time
==============================================

This story is for those who must repeat a result exactly, and still want all processors
to work. The same network is trained with one thread and with two. A hash shows that all
bits are the same.
"""

# %%
# A hash of the weights
# ---------------------
# If one bit of one weight were different, the hash would be another one.

import hashlib
import time

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl
from deltaloop.datasets import load_digits

X, y = load_digits()
X = X / 16
hashes = set()
for n_threads in (1, 2, 3):
    net = dl.Network([64, 128, 10], activation="relu", loss="cross_entropy", seed=0)
    solver = dl.Adam(0.001, batch_size=256)
    net.fit(X, y, solver=solver, max_epochs=5, n_threads=n_threads, dropout=0.1)
    digest = hashlib.sha256(net.parameters.tobytes()).hexdigest()
    print(f"n_threads={n_threads}: {digest[:16]}...")
    hashes.add(digest)
assert len(hashes) == 1

# %%
# A row alone, and in a batch
# ---------------------------
# The prediction of a row does not depend on the rows around it, either.

together = net.predict(X)
assert all((net.predict(X[i]) == together[i]).all() for i in range(0, len(X), 50))

# %%
# The time
# --------
# The library uses a second thread only where it expects a gain: not for a few rows, and
# not while other programs keep the second processor busy. The times are those of the
# machine that built this page.

sizes = [2**k for k in range(4, 15, 2)]
rows = np.tile(X, (10, 1))
best = {1: np.full(6, np.inf), 2: np.full(6, np.inf)}
for _ in range(40):
    for n_threads, least in best.items():
        for k, size in enumerate(sizes):
            begin = time.perf_counter()
            net.predict(rows[:size], n_threads=n_threads)
            least[k] = min(least[k], (time.perf_counter() - begin) / size)

figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
ax.semilogx(sizes, 1e9 * best[1], "o-", color="#0072B2", base=2, label="n_threads=1")
ax.semilogx(sizes, 1e9 * best[2], "s--", color="#D55E00", base=2, label="n_threads=2")
ax.set(xlabel="rows in a call of predict", ylabel="time for each row, nanoseconds")
ax.set(ylim=(0, None), xticks=sizes, xticklabels=sizes)
ax.set_title("A row in network 64-128-10: least time of 40 calls")
ax.legend()
plt.show()

# %%
# What to take away
# -----------------
# Threads change the time and nothing else. So a result from a laptop can be checked bit
# by bit on a server. :doc:`../understand/same-bits` tells why the bits are the same, and
# :doc:`../howto/threads` how to limit the threads.
