"""
A fast stand-in for a slow simulation, with its derivatives
===========================================================

This story is for those whose simulation takes too long to be called a thousand
times. A network learns how far a ball flies, from 400 simulated throws. Then its
derivatives find the best angle for every speed.
"""

# %%
# The simulation
# --------------
# A ball flies with the drag of the air. The program takes many small steps in time until
# the ball lands.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl


def distance(throws, dt=0.002, drag=0.01):
    """Return how far (m) balls fly that leave at (angle in degrees, speed in m/s)."""
    angle, speed = np.radians(throws[:, 0]), throws[:, 1]
    x = y = np.zeros(len(throws))
    vx, vy = speed * np.cos(angle), speed * np.sin(angle)
    while (y >= 0).any():
        flying = y >= 0
        pace = np.hypot(vx, vy)
        x, y = x + flying * dt * vx, y + flying * dt * vy
        vx, vy = vx - dt * drag * pace * vx, vy - dt * (9.81 + drag * pace * vy)
    return x + np.where(vy < 0, y * vx / -vy, 0.0)


# %%
# The stand-in
# ------------
# ``scale="standard"`` lets the network take degrees and metres as they are.

rng = np.random.default_rng(0)
throws = rng.uniform([20, 10], [65, 50], size=(400, 2))
net = dl.Network([2, 12, 1], activation="tanh", output="identity", seed=0)
options = {"solver": dl.LevenbergMarquardt(), "scale": "standard", "max_epochs": 200}
net.fit(throws, distance(throws), **options)

new = rng.uniform([25, 15], [60, 45], size=(100, 2))
error = np.abs(net.predict(new)[:, 0] - distance(new))
slope = net.jacobian(new, wrt="inputs")[:, 0, 0]
by_steps = (distance(new + np.array([1, 0])) - distance(new - np.array([1, 0]))) / 2
print(f"largest error of the distance: {error.max():.2f} m")
print(f"largest error of the slope: {np.abs(slope - by_steps).max():.3f} m/degree")

# %%
# The best angle
# --------------
# At the best angle the derivative of the distance by the angle is 0. Without drag this
# would be 45 degrees at every speed.

angles, speeds = np.linspace(20, 65, 181), np.linspace(12, 48, 73)
grid = np.stack(np.meshgrid(angles, speeds), axis=-1).reshape(-1, 2)
metres = net.predict(grid).reshape(73, 181)
slopes = net.jacobian(grid, wrt="inputs")[:, 0, 0].reshape(73, 181)

figure, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
shown = ax.contourf(angles, speeds, metres, levels=14, cmap="viridis")
ax.contour(angles, speeds, slopes, levels=[0.0], colors="white", linewidths=3)
ax.axvline(45, color="white", linestyle=":")
ax.set(xlabel="angle, degrees", ylabel="speed, m/s")
ax.set_title("White: the angle with the longest flight; dots: 45 degrees")
figure.colorbar(shown, label="distance, m")
plt.show()

# %%
# What to take away
# -----------------
# ``jacobian(X, wrt="inputs")`` gives exact derivatives in your units, though nobody gave
# the network a derivative. :doc:`../howto/derivatives` lists all derivatives that there are.

best = angles[np.abs(slopes).argmin(axis=1)]
assert error.max() < 0.5
assert best[-1] < best[0] < 45
