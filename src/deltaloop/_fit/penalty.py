"""How strongly weights are penalised where nobody says: as suits rows that are held out.

Data are noisy, and a network that fits every row learns the noise. The strength is the number that
decides how much, and no single one suits all: of the tasks in benchmarks/choice_tasks.py the best
ones are 100 (targets that are nothing but noise) to 0.001 and none (functions without any).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments import layers as _layers
from deltaloop._arguments import seeds as _seeds

Rows = NDArray[np.intp]
# The cost of rows held out less the least one of their targets, of a network that has learned other
# rows with a strength.
Trial = Callable[["Part", float], float]

# From strong to weak.
STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.01, 0.001)
# Where trials take long.
FEW_STRENGTHS = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)
# No penalty must take such a part off the cost of rows held out: the function has no noise to speak
# of.
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


class Found(NamedTuple):
    """What a search has found: the strength, all that were tried, and how it ended."""

    l2: float
    tried: tuple[float, ...]  # 0 stands for none
    cost: float  # of the rows held out with that strength, the mean of the parts
    late: bool = False  # time was over
    closest: bool = False  # none, with the solver that gets closest


def search(
    parts: Sequence[Part],
    trial: Trial,
    strengths: Sequence[float] = STRENGTHS,
    late: Callable[[], bool] = lambda: False,
    closest: Callable[[Part], float] | None = None,
) -> Found:
    """Return the strength that suits all rows held out, and all that were tried.

    It is the strongest one whose mean cost is above the lowest by no more than a standard error of
    the difference. None, whose solver may be slower than that of the others, is tried at last, on
    the parts of the first cut: on the others where it does well on the first one. A trial of none
    that is NaN does not count: it has not learned its own rows. `closest` is the trial of none with
    a solver that gets closer than the usual one, and so does worse where there is noise: it is
    taken where it does best. `late` ends the search: what did
    best so far, or `USUAL` where costs still fell. A cost that is not finite is worse than any;
    where there is no other, nothing can be judged, and no strength is taken.
    """
    best, chosen, worse = math.inf, strengths[0], 0
    costs: dict[float, list[float]] = {}
    for l2 in strengths:
        costs[l2] = [trial(part, l2) for part in parts]
        cost = mean(costs[l2])
        if cost < best:
            best, chosen = cost, l2
        worse = 0 if cost <= best + MARGIN * abs(best) < math.inf else worse + 1
        if worse == 2 or late():
            break
    tried = tuple(costs)
    if best == math.inf:
        return Found(0.0, tried, best)
    if late():
        return Found(min(chosen, USUAL) if chosen == tried[-1] else chosen, tried, best, True)
    close = None if closest is None else without(parts, closest, costs[chosen])
    bare = without(parts, lambda part: trial(part, 0.0), costs[chosen])
    if close is not None and (bare is None or lower(close, bare)):
        return Found(0.0, (*tried, 0.0), mean([*close.values()]), closest=True)
    if bare is not None:
        return Found(0.0, (*tried, 0.0), mean([*bare.values()]))
    chosen = next(l2 for l2 in costs if alike(costs[l2], costs[chosen]))
    return Found(chosen, (*tried, 0.0), mean(costs[chosen]))


def without(
    parts: Sequence[Part], trial: Callable[[Part], float], lowest: Sequence[float]
) -> dict[int, float] | None:
    """Return the costs of trials without a penalty, by the numbers of the parts of the first cut.

    None where they do not halve the lowest ones with a penalty, on the first part or on all.
    """
    bare: dict[int, float] = {}
    first = range(min(len(parts), PARTS))
    for number in first:
        cost = trial(parts[number])
        if not math.isnan(cost):  # else a bad start, which says nothing
            bare[number] = cost
        # A part may lack a class, and so say that there is none.
        if len(bare) == 1 and not halves(bare, lowest):
            return None
    return bare if 2 * len(bare) > len(first) and halves(bare, lowest) else None


def lower(some: dict[int, float], others: dict[int, float]) -> bool:
    """Whether the first costs are the lower ones, on the parts that both have."""
    shared = some.keys() & others.keys()
    return sum(some[number] for number in shared) <= sum(others[number] for number in shared)


def mean(costs: Sequence[float]) -> float:
    """Return the mean of costs; infinity if one is infinite or NaN."""
    total = sum(costs) / len(costs)
    return total if math.isfinite(total) else math.inf


def halves(bare: dict[int, float], costs: Sequence[float]) -> bool:
    """Whether no penalty takes enough off the cost of the parts of these numbers."""
    lowest = mean([costs[number] for number in bare])
    return mean([*bare.values()]) < lowest - GAIN * abs(lowest)


def alike(costs: Sequence[float], lowest: Sequence[float]) -> bool:
    """Whether costs of parts are above the lowest ones by no more than one standard error."""
    if costs is lowest:
        return True
    if len(costs) == 1 or not math.isfinite(mean(costs)):
        return False
    # In units of the largest one, whose square may be beyond any number.
    unit = max(map(abs, (*costs, *lowest))) or 1.0
    more = [a / unit - b / unit for a, b in zip(costs, lowest, strict=True)]
    average = mean(more)
    spread = math.sqrt(sum((value - average) ** 2 for value in more) / (len(more) - 1))
    # Cutting the same rows anew tells little more.
    return average <= spread / math.sqrt(min(len(more), PARTS))


def parts_of(
    network: _core.Core,
    y: NDArray[Any],
    rows: Rows | None,
    stream: _core.Stream,
    n_parts: int,
) -> list[Part]:
    """Return the parts of a search, from a stream; the rows are those that count, None all.

    Each has about the same classes, combinations of labels, or values of a single target.
    """
    parts: list[Part] = []
    kept = sample(len(y) if rows is None else len(rows), stream)
    if rows is not None:
        kept = rows[kept]
    cuts = n_cuts(len(kept), n_parts)
    for _ in range(cuts):
        for part, held in folds(y, kept, stream):
            if len(parts) < cuts * n_parts:
                parts.append(Part(part, held, start(network, stream)))
    return parts


def n_cuts(n: int, n_parts: int) -> int:
    """Return how often n rows are cut into parts."""
    return 1 if n_parts < PARTS else min(CUTS, -(-JUDGED // n))


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
    keys = y[order].reshape(n, -1).T
    # Of several targets, labels that are 0 or 1: in the order of the same classes as numbers.
    if len(keys) == 1:
        order = order[np.argsort(keys[0], kind="stable")]
    elif np.isin(keys, (0, 1)).all():
        order = order[np.lexsort(-keys[::-1])]
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
