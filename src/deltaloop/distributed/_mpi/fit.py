"""Training over the ranks of an MPI communicator.

Every rank has its own part of the rows and runs the same fit. For a sum each rank adds up the
chains that begin in its part; their nodes go to all ranks, and every rank adds these up in the same
tree. So all ranks have the same bits, those of one process, and no parameters travel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import problem as _problem
from deltaloop._fit import run as _run
from deltaloop._fit.arguments import Validation, check_solvers
from deltaloop._fit.autosave import check as check_file
from deltaloop._fit.elsewhere import Elsewhere
from deltaloop.distributed import _tree
from deltaloop.distributed._mpi.arguments import (
    agree,
    digest_of,
    going_on,
    own_threads,
    prepare,
    share,
    together,
)
from deltaloop.distributed._mpi.channel import Channel, shared
from deltaloop.distributed._mpi.rows import Data, Rows
from deltaloop.distributed._mpi.sums import Sums
from deltaloop.network import Network
from deltaloop.results import EpochInfo, FitResult
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem

# Seconds that a rank waits for the others, where it is not told how many.
LIMIT = 600.0
# Bytes of rows that travel at once to all ranks, for mini-batches that all ranks compute.
WINDOW = 2**22


def fit(
    net: Network,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    solver: Solver | Sequence[Solver],
    comm: MPI.Intracomm | None = None,
    max_epochs: int | Sequence[int] | None = None,
    tol: float = 1e-8,
    goal: float | None = None,
    max_time: float | None = None,
    callback: Callable[[EpochInfo], object] | None = None,
    callback_every: int = 1,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | str | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    missing_targets: str = "raise",
    validation: tuple[ArrayLike, ...] | None = None,
    patience: int | None = None,
    resume: Mapping[str, ArrayLike] | str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 60.0,
    progress: bool = False,
    n_threads: int | None = None,
    seed: int | None = None,
    check_finite: bool = True,
    timeout: float = LIMIT,
) -> FitResult:
    """Train a network on rows that the ranks of an MPI communicator have, each its own.

    Every rank calls it, with its rows and otherwise the same arguments. The rows count in the order
    of the ranks. All ranks then have the network and the result that ``net.fit`` gives one process
    with all rows: the same bytes, whatever the ranks, the sizes of their parts and the threads are.

    Parameters
    ----------
    net : Network
        The same on every rank, such as made with the same seed. It is trained in place.
    X, Y : array_like
        Rows of this rank and their targets, as for ``Network.fit``. A rank may have none: arrays
        with 0 rows. They stay where they are, but for those that complete a neighbour's sums and
        those of mini-batches.
    solver : a solver, or a list of them
        Any of them, but for `LevenbergMarquardt` with geodesic acceleration, and `Quickprop` with
        weights. With mini-batches of less than 4,096 rows all ranks compute every batch: the ranks
        then save memory, and no time.
    comm : mpi4py.MPI.Intracomm, optional
        By default ``MPI.COMM_WORLD``.
    max_epochs, tol, goal, l1, l2, dropout, missing_targets, patience, check_finite
        As for ``Network.fit``.
    max_time : float, optional
        Seconds as for ``Network.fit``, by the clock of rank 0.
    callback, callback_every
        As for ``Network.fit``; each rank may have another one, or none. Where one of them returns
        True, all ranks stop; where one raises, all ranks do.
    sample_weight : array_like, shape (n,), optional
        Weights of this rank's rows; on all ranks that have rows, or on none.
    class_weight : mapping or "balanced", optional
        As for ``Network.fit``, by the classes of all ranks.
    validation : (X, Y) or (X, Y, sample_weight), optional
        Rows of this rank to be judged by, on every rank: it may have 0 rows. No fraction.
    resume : mapping or path, optional
        The state to go on from, or the file of a fit that was killed; the same on every rank.
    checkpoint : path, optional
        A file that rank 0 writes while it trains, as for ``Network.fit``. It needs 4,096 rows, and
        excludes `max_time`.
    checkpoint_every : float, default 60.0
        Seconds from one writing to the next.
    progress : bool, default False
        Whether rank 0 shows a bar.
    n_threads : int, optional
        Threads of this rank. By default the processors of its machine divided by the ranks there.
    seed : int, optional
        As for ``Network.fit``.
    timeout : float, default 600
        Seconds that a rank waits for another one at most. With longer steps give more.

    Returns
    -------
    FitResult
        The same on every rank, but for its seconds.

    Raises
    ------
    TypeError, ValueError
        The arguments of this rank are wrong, or the ranks differ in what must be the same. All
        ranks raise: those whose arguments are right a RuntimeError that names the rank and its
        error.
    RuntimeError
        Another rank has failed; its error is named.
    TimeoutError
        Another rank has not answered. The program then ends with ``MPI_Abort``.
    KeyboardInterrupt
        A rank was interrupted; all ranks raise it after the same step, with ``result``.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaloop as dl
    >>> from mpi4py import MPI  # doctest: +SKIP
    >>> from deltaloop.distributed import fit  # doctest: +SKIP
    >>> comm = MPI.COMM_WORLD  # doctest: +SKIP
    >>> rng = np.random.default_rng(comm.rank)  # doctest: +SKIP
    >>> X = rng.normal(size=(10_000, 4))  # doctest: +SKIP
    >>> net = dl.Network((4, 8, 1), seed=0)  # doctest: +SKIP
    >>> result = fit(net, X, X[:, :1] ** 2, solver=dl.LBFGS(), max_epochs=50)  # doctest: +SKIP
    """
    if comm is not None and not isinstance(comm, MPI.Intracomm):
        raise TypeError(
            f"comm must be a communicator of mpi4py such as MPI.COMM_WORLD, got {comm!r:.60}"
        )
    # What is wrong with the arguments of one rank ends all: so there is a channel before a check.
    channel = Channel(MPI.COMM_WORLD if comm is None else comm, limit_of(timeout) or LIMIT)
    same: dict[str, Any] = {
        "solver": solver,
        "max_epochs": max_epochs,
        "tol": tol,
        "goal": goal,
        "max_time": max_time,
        "class_weight": class_weight,
        "l1": l1,
        "l2": l2,
        "dropout": dropout,
        "missing_targets": missing_targets,
        "patience": patience,
        "seed": seed,
        "checkpoint": checkpoint is not None,
    }
    with channel.listening():
        try:
            mine, error, threads = None, None, 0
            try:
                check_limit(timeout)
                threads = 0 if n_threads is None else _scalars.threads(n_threads)
                callback_every = _scalars.integer("callback_every", callback_every, at_least=1)
                checked = prepare(net, X, Y, sample_weight, validation, same, check_finite)
                checked.resume = going_on(resume, checkpoint)
                if channel.rank == 0:
                    check_file(checkpoint, checkpoint_every)
                checked.same["resume"] = digest_of(checked.resume)
                mine = checked
            except BaseException as wrong:
                error = wrong
            known = agree(channel, mine, error, 0 if callback is None else callback_every)
            data, other = share(channel, net, mine, known, same["class_weight"])
            how = same | {"check_finite": False, "n_threads": threads or own_threads(known)}
            how["resume"] = None if mine is None else mine.resume
            how["checkpoint_asked"] = checkpoint is not None
            how["checkpoint"] = checkpoint if channel.rank == 0 else None
            how["checkpoint_every"] = checkpoint_every
            how["callback"], how["callback_every"] = together(
                channel, known, callback, callback_every
            )
            how["progress"] = progress if channel.rank == 0 else False
            how["quiet"] = channel.rank > 0
            how["class_weight"] = None
            result = train(channel, net, data, other, how)
            channel.clock()  # all have come to the end
            return result
        except BaseException as raised:
            if not getattr(raised, "_shared", False):
                channel.leave(raised)
            raise


def limit_of(timeout: object) -> float | None:
    """Return the seconds that are waited at most, None if these are none."""
    try:
        return check_limit(timeout)
    except (TypeError, ValueError):
        return None


def check_limit(timeout: object) -> float:
    """Return the seconds that are waited at most."""
    limit = _scalars.real("timeout", timeout)
    if not limit > 0:
        raise ValueError(f"timeout must be positive seconds, got {timeout!r}")
    return limit


class Ranks(Elsewhere):
    """The rows of all ranks, for the fit that every rank runs."""

    ends = True

    def __init__(
        self, data: Data, other: Data | None, problem: Problem, threads: int, timed: bool
    ) -> None:
        super().__init__()
        self.data, self.other, self.problem, self.threads_ = data, other, problem, threads
        self.n, self.timed = data.n, timed
        self.sums: dict[tuple[str, bool], Sums] = {}
        rows = _tree.sample_rows(data.n, data.net.layers[-1])
        x, y, self.weights = data.everywhere(rows)
        self.sample = x, y, data.labels, data.missing
        self.given: Rows | None = None
        if other is not None and other.n < _tree.LEAST_ROWS:
            self.given = other.everywhere(np.arange(other.n))
        self.observed = self.count()

    def count(self) -> float:
        """Return how many targets there are, of rows whose weight is above 0."""
        y, s = self.data.y, self.data.weights
        there = np.ones((len(y), self.data.net.layers[-1]), bool)
        if self.data.missing and y.ndim == 2:
            there &= ~np.isnan(y)
        if s is not None:
            there[s == 0] = False
        counts = self.data.channel.texts(str(int(there.sum())))
        return float(sum(int(count) for count in counts))

    def sum(self, request: _core.Request) -> NDArray[np.float64]:
        """Return a sum over all rows, or over those of a mini-batch."""
        data = self.other if request.validation else self.data
        assert data is not None
        if not request.validation and (request.order is not None or request.n < self.n):
            return self.batch(request)
        key = request.kind, request.validation
        if key not in self.sums:
            self.sums[key] = Sums(data, request.kind, self.problem, self.threads_)
        return self.sums[key].total(request)

    def batch(self, request: _core.Request) -> NDArray[np.float64]:
        """Return the sum over a mini-batch: each rank has the rows of some chains sent."""
        data, size = self.data, self.data.channel.size
        order: NDArray[Any] | None = request.order
        if order is None:
            order = np.arange(request.begin, request.begin + request.n)
        bounds = _tree.bounds(data.net, request.kind, request.n)
        chains = len(bounds) - 1
        cuts = [bounds[chains * rank // size] for rank in range(size + 1)]
        x, y, s = data.deliver([order[a:b] for a, b in pairwise(cuts)])
        shards = _tree.Shards(tuple(cuts))
        part = Data(
            data.channel, data.net, shards, x, y, s, data.weighted, data.labels, data.missing
        )
        return Sums(part, request.kind, self.problem, self.threads_).total(request)

    def rows(self, order: NDArray[np.uintp] | None, begin: int, n: int) -> Rows:
        """Return rows of an epoch, on all ranks: as many batches as go into the window."""
        most = max(WINDOW // self.data.row_bytes // n, 1) * n
        end = min(begin + most, self.n)
        return self.data.everywhere(np.arange(begin, end) if order is None else order[begin:end])

    def watch(self, patience: object) -> Validation:
        """Return what the fit is judged by."""
        most = 0 if patience is None else min(int(patience), 2**53)  # type: ignore[call-overload]
        if self.other is None:
            return Validation(patience=most)
        if self.given is None:
            return Validation(patience=most, elsewhere=self.other.n)
        x, y, s = self.given
        return Validation((x, y, self.other.labels, s), 0, most)

    def elapsed(self) -> float:
        """Return rank 0's seconds where the fit's time is limited; an exchange then."""
        return self.data.channel.clock() if self.timed else super().elapsed()

    def threads(self, solver: Solver, n_threads: int) -> int:
        """Return the threads of the fit itself, which mini-batches are computed by."""
        size = solver.batch_size
        if size is None or len(_tree.bounds(self.data.net, "gradient", size)) > 2:
            return 1
        return n_threads


def train(
    channel: Channel, net: Network, data: Data, other: Data | None, how: dict[str, Any]
) -> FitResult:
    """Train on all ranks."""
    solvers = check_solvers(how["solver"])
    problem = _problem.penalised(how["l1"], how["l2"])
    problem = problem._replace(dropout=_problem.dropout(net, how["dropout"]))
    if data.missing:
        problem = problem._replace(targets=_core.GAPS)
    dual = any(
        solver._method == "levenberg_marquardt"
        and data.n * net.layers[-1] < net.n_parameters
        and problem.l2 == 0
        for solver in solvers
    )
    few = data.n < _tree.LEAST_ROWS or dual
    if how.pop("checkpoint_asked") and (few or how["max_time"] is not None):
        raise shared(
            ValueError(
                "checkpoint needs 4,096 rows, and no max_time, on several ranks; keep info.state "
                "in a callback instead"
            )
        )
    if few:
        return train_everywhere(net, data, other, how)
    engine = Ranks(data, other, problem, how["n_threads"], how["max_time"] is not None)
    return _run.fit(
        net, engine.sample[0], engine.sample[1], validation=None, elsewhere=engine, **arguments(how)
    )


def arguments(how: dict[str, Any]) -> dict[str, Any]:
    """Return what ``Network.fit`` takes beside the data."""
    return {"scale": None, "sample_weight": None, **how}


def train_everywhere(
    net: Network, data: Data, other: Data | None, how: dict[str, Any]
) -> FitResult:
    """Train on all rows on every rank."""
    x, y, s = data.everywhere(np.arange(data.n))
    validation = None
    if other is not None:
        xv, yv, sv = other.everywhere(np.arange(other.n))
        validation = (xv, yv) if sv is None else (xv, yv, sv)
    given = arguments(how) | {"sample_weight": s}
    return _run.fit(net, x, y, validation=validation, clock=data.channel.clock, **given)
