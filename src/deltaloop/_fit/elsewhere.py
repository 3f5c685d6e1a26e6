"""What a fit asks of those who have its instances, where these are on several machines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._fit.arguments import Validation

if TYPE_CHECKING:
    from deltaloop.solvers import Solver


class Elsewhere:
    """The base of the engines: `n` instances that a fit does not have, and their sums.

    `observed` is the number of targets that are there, of instances whose weight is above 0;
    `sample` the instances that the warnings of a fit look at (x, y, labels, whether any targets
    are missing), checked, and `weights` (k,) theirs, or None. `ends` says that no more sums can be
    had once the fit was interrupted, as the others end with it.
    """

    ends = False

    n: int
    observed: float
    sample: tuple[NDArray[Any], NDArray[Any], bool, bool]
    weights: NDArray[np.float64] | None = None

    def __init__(self) -> None:
        self.began = time.perf_counter()

    def sum(self, request: _core.Request) -> NDArray[np.float64]:
        """Return the node of all chains. What it raises ends the fit, and comes out of it."""
        raise NotImplementedError

    def rows(
        self, order: NDArray[np.uintp] | None, begin: int, n: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
        """Return at least n rows of X and Y and their weights: instances order[begin] and so on.

        Of an epoch with mini-batches; without an order these are number begin and so on. `order`
        is to be read during the call alone.
        """
        raise NotImplementedError

    def watch(self, patience: object) -> Validation:
        """Return what the fit is judged by."""
        raise NotImplementedError

    def elapsed(self) -> float:
        """Return the seconds since the fit began, the same for all who take part."""
        return time.perf_counter() - self.began

    def threads(self, solver: Solver, n_threads: int) -> int:
        """Return the threads of the fit itself: one, where others are at work on its sums."""
        return 1
