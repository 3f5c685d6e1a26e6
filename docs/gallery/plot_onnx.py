"""
To ONNX and back
================

This story is for those who train in one program and predict in another. A network goes
into an ONNX file, ONNX Runtime predicts with it, and the file becomes a network again.
"""

# %%
# A network
# ---------
# The network tells the species of a penguin from the length of its bill and of its
# flipper, in millimetres. The scaling becomes part of the network.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime

import deltaloop as dl
from deltaloop.datasets import load_penguins

table = load_penguins()
X = np.array([table["bill_length_mm"], table["flipper_length_mm"]], dtype=float).T
known = ~np.isnan(X).any(axis=1)
names, y = np.unique(table["species"], return_inverse=True)
X, y = X[known], y[known]
net = dl.Network([2, 8, 3], activation="tanh", loss="cross_entropy", seed=0)
result = net.fit(X, y, solver=dl.LBFGS(), l2=0.3, scale="standard")
print(f"{(net.classify(X) == y).mean():.1%} of the penguins are right")

# %%
# The file
# --------

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "penguins.onnx"
    net.to_onnx(path)
    session = onnxruntime.InferenceSession(path)
    back = dl.from_onnx(path)
    print(f"{path.name}: {path.stat().st_size} bytes, returns {session.get_outputs()[0].name}")
assert back.parameters.tobytes() == net.parameters.tobytes()
assert back.predict(X).tobytes() == net.predict(X).tobytes()

# %%
# What ONNX Runtime answers
# -------------------------
# The colours are the species that ONNX Runtime answers. The black lines are the borders
# of deltaloop's answers. The two agree.

axes = np.linspace(30, 62, 200), np.linspace(168, 235, 200)
grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
by_onnx = session.run(None, {session.get_inputs()[0].name: grid})[0]
by_deltaloop = net.predict(grid)
difference = np.abs(by_onnx - by_deltaloop).max()

figure, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
colours = plt.get_cmap("Blues")([0.1, 0.35, 0.6])
shown = by_onnx.argmax(axis=1).reshape(200, 200)
ax.contourf(*axes, shown, levels=[-0.5, 0.5, 1.5, 2.5], colors=colours)
for k, (name, marker) in enumerate(zip(names, "os^", strict=True)):
    mine = (by_deltaloop.argmax(axis=1) == k).reshape(200, 200)
    ax.contour(*axes, mine, levels=[0.5], colors="black", linewidths=1)
    ax.plot(*X[y == k].T, "k" + marker, markersize=4, markerfacecolor=colours[k], label=name)
ax.set(xlabel="length of the bill, mm", ylabel="length of the flipper, mm")
ax.set_title(f"ONNX Runtime and deltaloop agree: probabilities differ by {difference:.0e}")
ax.legend(loc="lower right")
plt.show()

# %%
# What to take away
# -----------------
# A network that goes to ONNX and comes back has the same bits. Another program rounds
# differently, so its probabilities differ in the last digits.
# :doc:`../howto/export` shows the other programs, and :doc:`../reference/interchange` what is
# refused.

assert difference < 1e-12
