"""What a contender is: the class that every one derives from, and the one of those that use BLAS.

A contender has a name for the table, the module it needs, the threads it computes with, and:

`use()`: set its number of threads, as far as that is a matter of the process;
`suits(cell)`: whether it can do the same work;
`predict(task)`: a function of no arguments that returns a^(L);
`train(task)`: a function of a number of epochs that starts from `task.start` each time and returns
the parameters;
`array(result)`: what these return as one NumPy array, parameters flat, (P,), in deltaloop's order.

What a contender imports, it imports inside them, so that one that is not installed is only skipped.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import cells
import numpy as np
from cells import Cell, Floats, Task


class Contender:
    name: str
    module: str
    peer = True  # one of those that deltaloop is measured against
    held = True  # environment.AVX2 keeps it from using more

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def label(self) -> str:
        return f"{self.name}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def present(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def suits(self, cell: Cell) -> bool:
        return cell.kind in (cells.LATENCY, cells.FORWARD, cells.TRAIN)

    def use(self) -> None:
        pass

    def predict(self, task: Task) -> Callable[[], object]:
        raise NotImplementedError

    def train(self, task: Task) -> Callable[[int], object]:
        raise NotImplementedError

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
