"""The clock: one contender with one cell, from the check of its results to its turns.

A turn is several timings in a row, each of so many epochs or calls that it takes about 10 ms; its
time is their median. Contenders of this interpreter have a `Session`; remote.py has the same for
those of another.
"""

from __future__ import annotations

import time
from itertools import repeat

import cells
from cells import Floats, Task

# Seconds that a contender is timed for in one turn.
PER_TURN = 0.05


def prepare(contender, task: Task):
    """A function of no arguments that computes what is compared, and one that is timed.

    The second takes a number of epochs, of calls, or of fits by a method of second order.
    """
    cell = task.cell
    contender.use()
    if cell.kind == cells.TRAIN:
        run = contender.train(task)
        return (lambda: contender.array(run(cell.checked))), run
    if cell.kind in cells.SECOND_ORDER:
        fit = contender.minimise(task) if cell.kind == cells.LBFGS else contender.levenberg(task)

        def fits(n: int) -> None:
            for _ in repeat(None, n):
                fit()

        return (lambda: second_order(contender, task, fit)), fits
    if cell.kind == cells.STEP:
        call, parameters = contender.step(task)

        def checked():
            for _ in range(cell.checked):
                call()
            return parameters()
    elif cell.kind == cells.ESTIMATE:
        call = contender.estimate(task)

        def checked():
            return call()
    else:
        call = contender.predict(task)

        def checked():
            return contender.array(call())

    def timed(n: int) -> None:
        for _ in repeat(None, n):
            call()

    return checked, timed


def second_order(contender, task: Task, fit) -> Floats:
    """The cost and the gradient (1 + P,) that it starts from, after a look at where it ends.

    Line searches and trust regions differ, so that the parameters of two of them do.
    """
    import numpy as np

    value = contender.gradient(task)
    first, gradient = value(task.start)
    found = np.concatenate([[float(first)], np.asarray(gradient).ravel()])
    last = float(value(contender.array(fit()))[0])
    if not last < cells.REACHED[task.cell.kind] * float(first):
        raise SystemExit(f"{contender.label}: C falls from {first:g} to {last:g} only")
    return found


def seconds(run, n: int) -> float:
    start = time.perf_counter()
    run(n)
    return time.perf_counter() - start


class Session:
    """A contender of this interpreter."""

    pid = 0  # of a process of its own

    def __init__(self, contender) -> None:
        self.contender = contender

    def begin(self, task: Task) -> Floats:
        """What the contender computes for a cell, which `turn` times from now on."""
        checked, self.run = prepare(self.contender, task)
        return checked()

    def calibrate(self, least: int) -> int:
        """How many epochs or calls one timing covers: a fifth of a turn, or more."""
        n = least
        took = seconds(self.run, n)
        while took < PER_TURN / 20 and n < 1 << 20:
            n *= 4
            took = seconds(self.run, n)
        return max(least, int(n * PER_TURN / 5 / took))

    def turn(self, n: int) -> tuple[float, float]:
        """Median seconds of one epoch or call, and how many processors were busy meanwhile."""
        self.contender.use()
        times = [seconds(self.run, n)]  # wakes up caches and threads
        if times[0] < 4 * PER_TURN:
            times.clear()
        cpu, wall = time.process_time(), time.perf_counter()
        while len(times) < 1 or sum(times) < PER_TURN:
            times.append(seconds(self.run, n))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        busy = cpu / wall if wall > PER_TURN / 5 else 0.0
        return sorted(times)[(len(times) - 1) // 2] / n, busy

    def end(self) -> None:
        """Let go of what the cell needed."""
        self.run = None
