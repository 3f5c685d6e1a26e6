"""Which rows each worker sums up, and in what order: knows row numbers alone, no engine.

A sum over n rows is made of chains, each over the rows from one bound to the next (see
``deltaloop.distributed._tree``). A block of rows lies where it lies, so that a chain may begin in
one block and end in another; the second goes on with what the first has left. Therefore a block is
cut in two at the first bound inside of it: the head goes on with a chain, the body begins one.

Pieces that follow each other on one worker are done by it one after the other. What is left at the
end of a piece for another worker travels there, in the next wave.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

Worker = TypeVar("Worker", bound=Hashable)


class Piece(NamedTuple):
    """Rows of one block that are summed up without a break.

    Attributes
    ----------
    block : int
        The block.
    start, stop : int
        Its rows, counted from its own first one.
    begin : int
        The number of the first of them among all rows of the sum.
    """

    block: int
    start: int
    stop: int
    begin: int


@dataclass
class Run:
    """Pieces of one worker, each of which goes on with the chain of the one before.

    Attributes
    ----------
    pieces : list of Piece
        In the order of their rows.
    after : int or None
        The run whose open chain the first piece goes on with.
    is_continued : bool
        Whether another run goes on with the chain that is open at its end.
    """

    pieces: list[Piece] = field(default_factory=list)
    after: int | None = None
    is_continued: bool = False


@dataclass
class Plan:
    """All runs of a sum, and who does which of them when.

    Attributes
    ----------
    runs : list of Run
    waves : list of dict
        Of each wave the numbers of the runs of each worker. A wave needs the waves before it.
    """

    runs: list[Run]
    waves: list[dict[str, list[int]]]


def pieces_of(
    counts: Sequence[int], bounds: Sequence[int], begin: int = 0
) -> list[tuple[Piece, bool]]:
    """Return the pieces of blocks of so many rows, each with whether it goes on with a chain.

    Parameters
    ----------
    counts : sequence of int
        The rows of each block.
    bounds : sequence of int
        Where chains begin, and the number of rows of the sum at the end.
    begin : int, default 0
        The first row of the sum, among the rows of all blocks.
    """
    n, pieces, first = bounds[-1], [], 0
    for block, count in enumerate(counts):
        start, stop = max(first - begin, 0), min(first + count - begin, n)
        offset = first - begin
        first += count
        if start >= stop:
            continue
        place = bisect_right(bounds, start) - 1
        cut = start if bounds[place] == start else min(bounds[place + 1], stop)
        for a, b in ((start, cut), (cut, stop)):
            if a < b:
                pieces.append((Piece(block, a - offset, b - offset, a), a < cut))
    return pieces


def plan_of(
    counts: Sequence[int], bounds: Sequence[int], workers: Sequence[str], begin: int = 0
) -> Plan:
    """Return who sums up what, of blocks of so many rows that these workers have."""
    plan, last = Plan([], []), -1
    waves_of_runs: list[int] = []
    for piece, goes_on in pieces_of(counts, bounds, begin):
        worker = workers[piece.block]
        before = plan.runs[last] if goes_on else None
        if before is not None and workers[before.pieces[-1].block] == worker:
            before.pieces.append(piece)
            continue
        wave = 0
        run = Run([piece])
        if before is not None:
            before.is_continued = True
            run.after = last
            wave = waves_of_runs[last] + 1
        last = len(plan.runs)
        plan.runs.append(run)
        waves_of_runs.append(wave)
        while len(plan.waves) <= wave:
            plan.waves.append({})
        plan.waves[wave].setdefault(worker, []).append(last)
    return plan
