"""How strongly weights are penalised where nobody says: as suits rows that are held out.

Data are noisy, and a network that fits every row learns the noise. The strength is the number that
decides how much, and no single one suits all: of the tasks in benchmarks/choice_tasks.py the best
ones are 100 (targets that are nothing but noise) to 0.001 and none (functions without any).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments import layers as _layers
from deltaloop._arguments import seeds as _seeds

Rows = NDArray[np.intp]
# The cost of rows held out, of a network that has learned other rows with a strength.
Trial = Callable[["Part", float], float]

# From strong to weak.
STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.01, 0.001)
# Where trials take long.
FEW_STRENGTHS = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)
# None must take such a part off the cost of rows held out: the function has no noise to speak of.
GAIN = 0.5
# What suits most tasks, where there is no time to see.
USUAL = 1.0
# Two strengths in a row whose cost is above the lowest one by so much of it end the search: weaker
# ones are slower to train, and worse once the noise is learned. The margin is there for functions
# such as parity, which nothing above a strength learns at all: there costs differ by 1 %.
MARGIN = 0.05
# Rows are cut into so many parts, each of which is held out in turn, or the first ones alone.
PARTS = 5
# More rows change the strength little, and cost time.
MAX_ROWS = 10_000
# As few rows say little: they are cut anew until so many have been judged, or so often.
JUDGED, CUTS = 200, 4


class Part:
    """Rows to learn from, rows held out, and the parameters that every strength begins with."""

    def __init__(self, rows: Rows, held: Rows, start: NDArray[np.float64] | None) -> None:
        self.rows, self.held, self.start = rows, held, start


def search(
    parts: Sequence[Part],
    trial: Trial,
    strengths: Sequence[float] = STRENGTHS,
    late: Callable[[], bool] = lambda: False,
) -> tuple[float, tuple[float, ...]]:
    """Return the strength that suits all rows held out, and all that were tried.

    It is the strongest one whose mean cost is above the lowest by no more than a standard error of
    the difference. None, whose solver may be slower than that of the others, is tried at last, and
    compared on the first part only. `late` ends the search: what did best so far, or `USUAL` where
    costs still fell. A cost that is not finite is worse than any.
    """
    best, chosen, worse = np.inf, strengths[0], 0
    costs: dict[float, NDArray[np.float64]] = {}
    for l2 in strengths:
        costs[l2] = np.array([trial(part, l2) for part in parts])
        cost = float(costs[l2].mean())
        if cost < best:
            best, chosen = cost, l2
        worse = 0 if cost <= best + MARGIN * abs(best) else worse + 1
        if worse == 2 or late():
            break
    tried = tuple(costs)
    if late():
        return min(chosen, USUAL) if chosen == tried[-1] else chosen, tried
    first = costs[chosen][0]
    if trial(parts[0], 0.0) < first - GAIN * abs(first):
        chosen = 0.0
    else:
        chosen = next(l2 for l2 in costs if alike(costs[l2], costs[chosen]))
    return chosen, (*tried, 0.0)


def alike(costs: NDArray[np.float64], lowest: NDArray[np.float64]) -> bool:
    """Whether costs of parts are above the lowest ones by no more than one standard error."""
    if costs is lowest:
        return True
    if len(costs) == 1 or not np.isfinite(costs).all():
        return False
    more = costs - lowest
    # Cutting the same rows anew tells little more.
    error = more.std(ddof=1) / math.sqrt(min(len(more), PARTS))
    return bool(more.mean() <= error)


def parts_of(
    network: _core.Core,
    y: NDArray[Any],
    rows: Rows | None,
    stream: _core.Stream,
    n_parts: int,
) -> list[Part]:
    """Return the parts of a search, from a stream; the rows are those that count, None all.

    Each has about the same classes, or values of a single target.
    """
    parts: list[Part] = []
    kept = sample(len(y) if rows is None else len(rows), stream)
    if rows is not None:
        kept = rows[kept]
    cuts = 1 if n_parts < PARTS else min(CUTS, -(-JUDGED // len(kept)))
    for _ in range(cuts):
        for part, held in folds(y, kept, stream):
            if len(parts) < cuts * n_parts:
                parts.append(Part(part, held, start(network, stream)))
    return parts


def sample(n: int, stream: _core.Stream) -> Rows:
    """Return MAX_ROWS of n rows, or all, in a random order; of very many without a permutation."""
    if n <= 10 * MAX_ROWS:
        return stream.permutation(n)[:MAX_ROWS].astype(np.intp)
    drawn = np.empty(2 * MAX_ROWS)
    stream.range(drawn, 0.0, 1.0)
    # A product that rounds up to n would be no row.
    numbers = np.minimum((drawn * n).astype(np.intp), n - 1)
    first = np.sort(np.unique(numbers, return_index=True)[1])
    return numbers[first[:MAX_ROWS]]


def folds(y: NDArray[Any], rows: Rows, stream: _core.Stream) -> Iterator[tuple[Rows, Rows]]:
    """Yield rows to learn from and rows to hold out, PARTS times."""
    n = len(rows)
    order = rows[stream.permutation(n).astype(np.intp)]
    key = y if y.ndim == 1 else y[:, 0] if y.shape[1] == 1 else None
    if key is not None:
        order = order[np.argsort(key[order], kind="stable")]
    # Of each PARTS neighbours every part gets one.
    part = np.empty(n, dtype=np.intp)
    part[np.lexsort((stream.permutation(n), np.arange(n) // PARTS))] = np.arange(n) % PARTS
    for number in range(PARTS):
        yield order[part != number], order[part == number]


def start(network: _core.Core, stream: _core.Stream) -> NDArray[np.float64] | None:
    """Return new parameters as the network's were drawn, or None where they were given.

    Its own may have learned the rows that are to be held out.
    """
    init = network.init
    if init is None:
        return None
    parameters = np.empty(network.n_parameters)
    skips = _layers.skips(network.layers) if network.residual else ()
    _seeds.draw_parameters(network.layers, init, stream, parameters, skips)
    return parameters
