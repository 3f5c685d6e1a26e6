"""
One step along a gradient, with all its numbers
===============================================

This story is for those who learn backpropagation, or teach it. The drawing
has a network of five units, with the numbers of one instance in it. Then the script
takes one step along the gradient.
"""

# %%
# The numbers
# -----------
# ``explain`` sends one instance forward through the network, and its error backward.
# z is the weighted sum of a unit, a = g(z) its activation, and delta the derivative of
# the cost C by z. All numbers are those that the training uses, bit by bit.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

weights = [[[1.0, -1.0], [0.5, 2.0]], [[1.5], [-2.0]]]
biases = [[0.0, -0.5], [0.2]]
net = dl.Network.from_weights(weights, biases, activation="sigmoid")
x, y = np.array([1.0, 0.5]), 1.0
told = net.explain(x, y)
print(told)

# %%
# The drawing
# -----------
# Forward, a line carries an activation times a weight. Backward, a line carries a delta
# to the left. The gradient of a weight is the activation at the left end of its line,
# times the delta at the right end.

places = [[(0, 1), (0, 0)], [(1, 1), (1, 0)], [(2, 0.5)]]
a = [told.x, *(layer.a for layer in told.layers)]
figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 7.6), layout="constrained")
figure.get_layout_engine().set(h_pad=0.15)
top.set_title("forward: a in the circles, weights on the lines")
bottom.set_title("backward: delta in the circles, dC/dw on the lines")
for ax, forward in ((top, True), (bottom, False)):
    for l, layer in enumerate(told.layers):
        values = net.weights[l] if forward else layer.dC_dw
        for i, (x0, y0) in enumerate(places[l]):
            for j, (x1, y1) in enumerate(places[l + 1]):
                at = 0.3 if y0 != y1 else 0.5
                ax.plot([x0, x1], [y0, y1], color="0.6", linewidth=1.5, zorder=1)
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
                where = (x0 + at * (x1 - x0), y0 + at * (y1 - y0))
                ax.text(*where, f"{values[i, j]:.3g}", ha="center", va="center", bbox=box)
    for l, column in enumerate(places):
        inside = a[l] if forward else [np.nan] * 2 if l == 0 else told.layers[l - 1].delta
        for place, value in zip(column, inside, strict=True):
            colour = "#0072B2" if forward else "#D55E00"
            ax.scatter(*place, s=2600, color="white", edgecolor=colour, linewidth=2, zorder=2)
            text = "" if np.isnan(value) else f"{value:.3f}"
            ax.text(*place, text, ha="center", va="center", zorder=3)
    ax.set(xlim=(-0.35, 2.35), ylim=(-0.35, 1.35), xticks=[0, 1, 2], yticks=[])
    ax.set_xticklabels(["inputs x", "hidden layer", f"output, target {y:g}"])
    ax.spines[:].set_visible(False)
plt.show()

# %%
# One step
# --------
# A step subtracts the learning rate times the gradient from each weight. The cost falls.

assert np.allclose(told.layers[1].dC_dw, np.outer(told.layers[0].a, told.layers[1].delta))
trainer = net.trainer(dl.GradientDescent(learning_rate=1.0))
before = trainer.step(x, y)
print(f"cost before the step {before:.4f}, after the step {net.cost(x, y):.4f}")
assert before == told.cost
assert net.cost(x, y) < before

# %%
# What to take away
# -----------------
# Backpropagation is a handful of products. ``explain`` shows them for any network, and
# ``check_gradient`` tests them. :doc:`../start/textbook` derives each of the formulas.
