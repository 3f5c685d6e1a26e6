"""
A controller for a pendulum, learned through the physics
========================================================

This story is for those who control machines. A network gives the torque that brings a
pendulum upright and keeps it there. The network learns from the derivatives of the
equations of motion, and not from trial and error.
"""

# %%
# The pendulum
# ------------
# The state is the angle (0 is upright) and the angular velocity. Gravity pulls with up
# to 9.81, the motor with up to 6, so the motor must swing the pendulum up.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

dt, limit = 0.05, 6.0


def seen(state):
    """Return what the network sees: sine and cosine of the angle, and the velocity."""
    return np.stack([np.sin(state[:, 0]), np.cos(state[:, 0]), state[:, 1]], axis=1)


def move(state, a):
    """Return the states after dt, with the motor at the part a of its limit."""
    speed = state[:, 1] + dt * (9.81 * np.sin(state[:, 0]) + limit * a - 0.1 * state[:, 1])
    return np.stack([state[:, 0] + dt * speed, speed], axis=1)


# %%
# Learning through time
# ---------------------
# An update runs 30 pendulums for 60 steps. The cost of a state is 1 - cos(angle), and a
# little for speed and torque. The loop back through time collects the derivatives of the
# whole cost by each torque. ``backward`` makes a gradient of them, ``apply`` takes a step.
# ``clip_norm`` limits the step, as small changes have large effects later.

steps, n = 60, 30
rng = np.random.default_rng(0)
net = dl.Network([3, 16, 1], activation="tanh", output="tanh", seed=0)
trainer = net.trainer(dl.Adam(dl.schedules.Cosine(0.02, epochs=600), clip_norm=0.1))
for _ in range(600):
    states = [rng.uniform([-np.pi, -1], [np.pi, 1], size=(n, 2))]
    for _ in range(steps):
        states.append(move(states[-1], net.predict(seen(states[-1]))[:, 0]))
    inputs = seen(np.concatenate(states[:-1]))
    a = net.predict(inputs).reshape(steps, n)
    slopes = net.jacobian(inputs, wrt="inputs").reshape(steps, n, 3)
    dC_da, by_angle, by_speed = np.empty((steps, n)), np.zeros(n), np.zeros(n)
    for t in reversed(range(steps)):
        by_angle = by_angle + np.sin(states[t + 1][:, 0])
        by_speed = by_speed + 0.04 * states[t + 1][:, 1] + dt * by_angle
        dC_da[t] = dt * limit * by_speed + 0.01 * a[t]
        sine, cosine, _ = seen(states[t]).T
        turned = slopes[t, :, 0] * cosine - slopes[t, :, 1] * sine
        by_angle = by_angle + dt * 9.81 * cosine * by_speed + turned * dC_da[t]
        by_speed = (1 - 0.1 * dt) * by_speed + slopes[t, :, 2] * dC_da[t]
    trainer.apply(trainer.backward(inputs, dC_da.reshape(-1, 1) / (steps * n)))

# %%
# From hanging to upright
# -----------------------

state = np.stack([np.linspace(-3.1, 3.1, 21), np.zeros(21)], axis=1)
angles = [state[:, 0]]
for _ in range(160):
    state = move(state, net.predict(seen(state))[:, 0])
    angles.append(state[:, 0])
turns = np.array(angles) / (2 * np.pi)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.plot(dt * np.arange(161), turns, color="#0072B2", linewidth=1, alpha=0.7)
ax.set(xlabel="time, seconds", ylabel="angle, turns (whole numbers are upright)")
ax.set(yticks=np.arange(np.rint(turns.min()), np.rint(turns.max()) + 1))
ax.grid(axis="y")
ax.set_title("21 pendulums start at rest and end upright")
plt.show()

# %%
# What to take away
# -----------------
# A loss that deltaloop does not have needs only its derivatives by the outputs.
# :doc:`../howto/derivatives` has these calls, and :doc:`../reference/embedded` puts such a
# controller on a board.

assert (np.cos(state[:, 0]) > 0.98).mean() > 0.9
