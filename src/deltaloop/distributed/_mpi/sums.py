"""What a rank adds up of a sum over the rows of all ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deltaloop import _core
from deltaloop.distributed import _tree
from deltaloop.distributed._mpi.channel import FAILED, HEADER, INTERRUPTED, WELL, shared
from deltaloop.distributed._mpi.rows import Data

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem


class Sums:
    """What this rank adds up of a sum over rows: chains that begin in its part, or all its rows."""

    def __init__(self, data: Data, kind: str, problem: Problem, threads: int) -> None:
        self.data, self.kind, self.core, self.channel = data, kind, data.net, data.channel
        rank, size = self.channel.rank, self.channel.size
        self.bounds = _tree.bounds(self.core, kind, data.n)
        self.relays = len(self.bounds) == 2
        self.width = _core.node_size(self.core, kind)
        begin, end = data.span
        spans = [data.shards.span(r) for r in range(size)]
        self.pieces: list[_core.Piece] = []
        self.nodes = [_tree.nodes(*_tree.owned(self.bounds, *span)) for span in spans]
        self.sizes = [HEADER + 8 * self.width * len(nodes) for nodes in self.nodes]

        def piece(x: Any, y: Any, s: Any, at: int) -> None:
            self.pieces.append(
                _core.Piece(
                    self.core,
                    x,
                    y,
                    labels=data.labels,
                    problem=problem._replace(weights=s),
                    n=data.n,
                    begin=at,
                    n_threads=threads,
                )
            )

        if self.relays:
            if end > begin:
                piece(data.x, data.y, data.weights, begin)
            return
        first, last = _tree.owned(self.bounds, begin, end)
        if last > first:
            at = self.bounds[first]
            own = slice(at - begin, None)
            s = None if data.weights is None else data.weights[own]
            piece(data.x[own], data.y[own], s, at)
        tails = [data.shards.tail(self.bounds, r) for r in range(size)]
        if any(b > a for a, b in tails):
            x, y, s = data.deliver([np.arange(a, b) for a, b in tails])
            if len(x):
                piece(x, y, s, tails[rank][0])

    def add_up(self, request: _core.Request) -> list[tuple[_tree.Node, _tree.Row]]:
        """Return the nodes of this rank's chains."""
        parts: list[tuple[_tree.Node, _tree.Row]] = []
        chain = None
        for piece in self.pieces:
            rows, chain = piece.evaluate(self.kind, request.parameters, chain, request.masks)
            parts += zip(piece.nodes(self.kind)[0], rows, strict=True)
        return _tree.merge(self.core, self.kind, parts) if len(self.pieces) > 1 else parts

    def total(self, request: _core.Request) -> _tree.Row:
        """Return the node of all chains; an exchange."""
        if self.relays:
            return self.relay(request)
        rank = self.channel.rank
        mine = np.zeros(self.sizes[rank], np.uint8)
        status, error = WELL, None
        try:
            rows = mine[HEADER:].view(np.float64).reshape(-1, self.width)
            for i, (_, row) in enumerate(self.add_up(request)):
                rows[i] = row
        except KeyboardInterrupt:
            status = INTERRUPTED
        except BaseException as raised:
            status, error = FAILED, raised
        sections = self.channel.gather(mine, self.sizes, "all ranks have added up", status)
        if error is not None:
            self.channel.explain(f"{type(error).__name__}: {error}")
            raise shared(error)
        parts: list[tuple[_tree.Node, _tree.Row]] = []
        for nodes, section in zip(self.nodes, sections, strict=True):
            rows = section.view(np.float64).reshape(-1, self.width)
            parts += zip(nodes, rows, strict=True)
        return _tree.total(self.core, self.kind, self.data.n, parts)

    def relay(self, request: _core.Request) -> _tree.Row:
        """Return the only chain, which one rank after the other goes on with."""
        channel, shards = self.channel, self.data.shards
        channel.count += 1  # those that hand on and those that wait are at one exchange
        having = [r for r in range(channel.size) if shards.span(r)[1] > shards.span(r)[0]]
        size = HEADER + 8 * _core.chain_size(self.core, self.kind)
        mine = np.zeros(HEADER + 8 * self.width, np.uint8)
        status, error = WELL, None
        if channel.rank in having:
            i = having.index(channel.rank)
            chain = None
            if i > 0:
                before, status = channel.take_over(size, having[i - 1])
                chain = before.view(np.float64)
            after = np.zeros(size, np.uint8)
            if status == WELL:
                try:
                    rows, chain = self.pieces[0].evaluate(
                        self.kind, request.parameters, chain, request.masks
                    )
                    if chain is None:
                        mine[HEADER:].view(np.float64)[:] = rows[0]
                    else:
                        after[HEADER:].view(np.float64)[:] = chain
                except KeyboardInterrupt:
                    status = INTERRUPTED
                except BaseException as raised:
                    status, error = FAILED, raised
            if i + 1 < len(having):
                channel.hand_on(after, having[i + 1], status)
        last = having[-1]
        sizes = [HEADER + 8 * self.width * (r == last) for r in range(channel.size)]
        own = FAILED if error is not None else INTERRUPTED if status == INTERRUPTED else WELL
        sections = channel.gather(
            mine[: sizes[channel.rank]], sizes, "the last rank has added up", own
        )
        if error is not None:
            channel.explain(f"{type(error).__name__}: {error}")
            raise shared(error)
        return sections[last].view(np.float64)
