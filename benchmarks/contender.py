"""What a contender is: the class that every one derives from, and the one of those that use BLAS.

A contender has a name for the table, the module it needs, the threads it computes with, and:

`use()`: set its number of threads, as far as that is a matter of the process;
`suits(cell)`: whether it can do the same work;
`predict(task)`: a function of no arguments that returns a^(L);
`estimate(task)`: the same for classes, or for values, from one NumPy array to another;
`train(task)`: a function of a number of epochs that starts from `task.start` each time and returns
the parameters;
`step(task)`: a function that makes one step on one row, and one that returns the parameters (P,);
`gradient(task)`: a function of parameters (P,) that returns C and its gradient (P,);
`minimise(task)`, `levenberg(task)`: a function that makes as many iterations of L-BFGS, or of
Levenberg and Marquardt's method, as `task.cell.timed` says, from `task.start` to the parameters it
returns;
`array(result)`: what these return as one NumPy array, parameters flat, (P,), in deltaloop's order.

What a contender imports, it imports inside them, so that one that is not installed is only skipped.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import cells
import numpy as np
import second_order
import timing
from cells import Cell, Floats, Task


class Contender:
    name: str
    module: str
    variant = ""  # several of one name have one column: the best of them counts
    peer = True  # one of those that deltaloop is measured against
    held = True  # environment.AVX2 keeps it from using more
    kinds: tuple[str, ...] = (cells.LATENCY, cells.FORWARD, cells.ESTIMATE, cells.TRAIN)

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def label(self) -> str:
        variant = f", {self.variant}" if self.variant else ""
        return f"{self.name}{variant}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def present(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def suits(self, cell: Cell) -> bool:
        return cell.kind in self.kinds

    def session(self):
        """What times it."""
        return timing.Session(self)

    def use(self) -> None:
        pass

    def predict(self, task: Task) -> Callable[[], object]:
        raise NotImplementedError

    def estimate(self, task: Task) -> Callable[[], Floats]:
        call, array = self.predict(task), self.array
        if task.cell.classifies:
            return lambda: array(call()).argmax(axis=1)
        return lambda: array(call())

    def train(self, task: Task) -> Callable[[int], object]:
        raise NotImplementedError

    def step(self, task: Task) -> tuple[Callable[[], object], Callable[[], Floats]]:
        raise NotImplementedError

    def gradient(self, task: Task) -> Callable[[Floats], tuple[float, Floats]]:
        raise NotImplementedError

    def normal_equations(self, task: Task) -> Callable[[Floats], tuple[Floats, Floats, float]]:
        """A function of parameters (P,) that returns J^T J (P, P), J^T e (P,) and C."""
        raise NotImplementedError

    def cost(self, task: Task) -> Callable[[Floats], float]:
        value = self.gradient(task)
        return lambda parameters: value(parameters)[0]

    def minimise(self, task: Task) -> Callable[[], Floats]:
        """SciPy's L-BFGS-B over its gradient."""
        return second_order.lbfgs(self.gradient(task), task.start, task.cell.timed)

    def levenberg(self, task: Task) -> Callable[[], Floats]:
        """A loop by hand over its normal equations and costs."""
        equations, cost = self.normal_equations(task), self.cost(task)
        return second_order.levenberg(equations, cost, task.start, task.cell.timed)

    def array(self, result) -> Floats:
        return np.array(result)


class Blas(Contender):
    """Computes in NumPy, whose BLAS takes another number of threads through threadpoolctl."""

    all_threads = 0  # those it has without being told

    def present(self) -> bool:
        told = importlib.util.find_spec("threadpoolctl") is not None
        return super().present() and (told or self.threads == Blas.all_threads)

    def use(self) -> None:
        if importlib.util.find_spec("threadpoolctl") is not None:
            import threadpoolctl

            threadpoolctl.threadpool_limits(self.threads, user_api="blas")
