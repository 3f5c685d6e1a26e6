"""
A value function: how a weak car gets up a hill
===============================================

This story is for those who learn reinforcement learning or dynamic programming. A car
is too weak to climb a hill, so it must swing back first. A network learns how far each
state is from the goal.
"""

# %%
# The car
# -------
# The state is the position and the velocity. The engine pushes left, right, or not at
# all. The task is known as "mountain car". A decision holds for five steps of time.

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

pushes = (-1, 0, 1)


def move(state, push):
    """Return the state five steps later, and whether the goal at position 0.5 is reached."""
    position, velocity, over = state[..., 0], state[..., 1], state[..., 0] >= 0.5
    for _ in range(5):
        v = np.clip(velocity + 0.001 * push - 0.0025 * np.cos(3 * position), -0.07, 0.07)
        p = np.maximum(position + v, -1.2)
        v = np.where(p == -1.2, 0.0, v)
        position, velocity = np.where(over, position, p), np.where(over, velocity, v)
        over = over | (position >= 0.5)
    return np.stack([position, velocity], axis=-1), over


# %%
# Fitted value iteration
# ----------------------
# V is the number of decisions to the goal, where later ones count a little less. V of a
# state is 1 for the next decision, plus V of the best state after it. The network is
# fitted to the right side of this equation again and again, until both sides agree.


def after(states):
    """Return V of the states after each push, shape (3, n)."""
    moved = [move(states, push) for push in pushes]
    return np.array([np.where(over, 0.0, net.predict(state)[:, 0]) for state, over in moved])


rng = np.random.default_rng(0)
states = rng.uniform([-1.2, -0.07], [0.5, 0.07], size=(1500, 2))
net = dl.Network([2, 15, 15, 1], activation="tanh", output="identity", seed=0)
net.scaling = dl.Scaling([-0.35, 0.0], [0.5, 0.04], [10.0], [7.0])
targets = np.ones(1500)
for _ in range(40):
    net.fit(states, targets, solver=dl.LevenbergMarquardt(), max_epochs=5)
    targets = 1 + 0.97 * np.maximum(after(states).min(axis=0), 0.0)

# %%
# The way up
# ----------
# The car starts at rest in the valley. The car always takes the push with the
# least V.

path, over = [np.array([[-0.5, 0.0]])], False
while not over and len(path) < 60:
    state, over = move(path[-1], pushes[after(path[-1]).argmin()])
    path.append(state)
axes = np.linspace(-1.2, 0.5, 120), np.linspace(-0.07, 0.07, 120)
grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
figure, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
shown = ax.contourf(*axes, net.predict(grid).reshape(120, 120), levels=12, cmap="viridis_r")
ax.plot(*np.concatenate(path).T, "o-", color="white", markeredgecolor="black", label="the car")
ax.set(xlim=(-1.2, 0.58), xlabel="position (valley: -0.52, goal: 0.5)", ylabel="velocity, per step")
ax.set_title(f"The car swings back, then reaches the goal: {len(path) - 1} decisions")
figure.colorbar(shown, label="V, decisions to the goal")
ax.legend(loc="lower right")
plt.show()

# %%
# What to take away
# -----------------
# ``fit`` goes on from the weights that the network has, so each round takes only five
# epochs. :doc:`../reference/reinforcement-learning` learns without a model of the car.

assert len(path) <= 30  # without the goal it would be 60
