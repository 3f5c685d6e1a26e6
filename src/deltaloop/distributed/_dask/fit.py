"""Training on the blocks of a cluster, for networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import problem as _problem
from deltaloop._fit import run as _run
from deltaloop._fit.arguments import Validation, check_solvers
from deltaloop._fit.elsewhere import Elsewhere
from deltaloop.distributed import _tree
from deltaloop.distributed._dask.blocks import Form, Options, Request, problem_of
from deltaloop.distributed._dask.cluster import Cluster
from deltaloop.distributed._dask.data import Instances, columns_of
from deltaloop.network import Network
from deltaloop.results import FitResult
from deltaloop.solvers import LevenbergMarquardt, Solver

if TYPE_CHECKING:
    from types import TracebackType

    from deltaloop.results import EpochInfo

Floats = NDArray[np.float64]

# Bytes of rows that mini-batches fetch at a time.
FETCHED = 2**24


class OnWorkers(Elsewhere):
    """The instances of a fit on the workers of a cluster: what the core asks for."""

    def __init__(
        self, training: Instances, validation: Instances | None, dropout: Floats | None
    ) -> None:
        super().__init__()
        self.training = training
        self.validation = validation
        self.dropout = dropout
        self.n = training.n
        self.observed = training.observed
        x, y, self.weights = training.take(_tree.sample_rows(training.n, training.form.layers[-1]))
        self.sample = x, y, training.labels, training.missing
        self._pool: ThreadPoolExecutor | None = None
        self._next: tuple[NDArray[np.uintp], Future[Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def sum(self, request: Any) -> Floats:
        """Return the whole sum that the core asks for."""
        instances = self.training
        if request.validation:
            assert self.validation is not None
            instances = self.validation
        asked = Request(
            instances.form,
            request.kind,
            request.parameters,
            request.masks,
            None if request.validation else self.dropout,
            instances.missing,
            request.n,
            instances.n_threads,
        )
        if request.order is None:
            return instances.sum(asked, request.begin)
        return self._sum_here(asked, request.order)

    def watch(self, patience: Any) -> Validation:
        """Return what the fit is judged by."""
        n = 0 if self.validation is None else self.validation.n
        return Validation(patience=patience or 0, elsewhere=n)

    def cost(self, parameters: Floats) -> float:
        """Return the cost of all instances without a penalty."""
        form, n, n_threads = self.training.form, self.n, self.training.n_threads
        gaps = self.training.missing
        asked = Request(form, "cost", parameters, None, None, gaps, n, n_threads)
        high, low = self.training.sum(asked)
        return float(high + low)

    def _sum_here(self, request: Request, order: NDArray[np.uintp]) -> Floats:
        """Return the sum over rows of a mini-batch in an order of its own, fetched for that."""
        x, y, weights = self.training.take(order)
        network = request.form.network(request.parameters)
        piece = _core.Piece(
            network,
            x,
            y,
            labels=self.training.labels,
            problem=problem_of(request, self.training.labels, weights),
            n=request.n,
            begin=0,
            n_threads=_scalars.threads(request.n_threads),
        )
        nodes, _ = piece.evaluate(request.kind, request.parameters, None, request.masks)
        places, _ = piece.nodes(request.kind)
        return _tree.total(network, request.kind, request.n, zip(places, nodes, strict=True))

    def rows(
        self, order: NDArray[np.uintp] | None, begin: int, n: int
    ) -> tuple[Any, Any, Floats | None]:
        """Return the rows of the next mini-batches, and have those after them fetched meanwhile."""
        width = 8 * (self.training.facts[0].width + self.training.form.layers[-1] + 1)
        most = max(n, FETCHED // width)
        wanted = self._numbers(order, begin, most)
        found = self._fetched(wanted)
        after = self._numbers(order, begin + len(wanted), most)
        if len(after):
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "deltaloop-rows")
            self._next = after, self._pool.submit(self.training.take, after)
        return found

    def _numbers(self, order: NDArray[np.uintp] | None, begin: int, most: int) -> NDArray[np.uintp]:
        stop = min(begin + most, self.n)
        if order is None:
            return np.arange(begin, stop, dtype=np.uintp)
        return order[begin:stop].copy()

    def _fetched(self, wanted: NDArray[np.uintp]) -> tuple[Any, Any, Floats | None]:
        known, self._next = self._next, None
        if known is not None:
            rows, future = known
            found: tuple[Any, Any, Floats | None] = future.result()  # one call at a time
            if np.array_equal(rows, wanted):
                return found
        return self.training.take(wanted)


def dask_fit(
    client: Any,
    net: Network,
    X: Any,
    Y: Any = None,
    *,
    solver: Solver | Sequence[Solver] | None = None,
    max_epochs: int | Sequence[int] | None = None,
    tol: float = 1e-8,
    goal: float | None = None,
    max_time: float | None = None,
    callback: Callable[[EpochInfo], object] | None = None,
    callback_every: int = 1,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | str | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    missing_targets: str = "raise",
    validation: tuple[Any, ...] | None = None,
    patience: int | None = None,
    resume: Mapping[str, Any] | None = None,
    progress: bool = False,
    n_threads: int | None = None,
    seed: int | np.random.Generator | None = None,
    check_finite: bool = True,
    timeout: float = 60.0,
) -> FitResult:
    """Train a network in place on rows that the workers of a Dask cluster hold.

    The rows stay where they are: parameters travel to the workers, partial sums travel back. These
    are added up in one order, by the numbers of the rows, so that the parameters have the bytes of
    ``net.fit`` with the same rows in one array, whatever the workers, their threads and the blocks.
    A worker that is lost costs the time to make its blocks again, which Dask does, and no bit.

    Parameters
    ----------
    client : dask.distributed.Client or None
        A synchronous client. None is the current one.
    net : Network
        What is trained.
    X, Y : Dask array, dataframe or series, or list of delayed blocks or futures
        Instances (n, m0) and targets, as for ``Network.fit``, in blocks of whole rows. The blocks
        of both must be cut at the same rows; blocks may have no rows, and different types. Without
        Y each block of X is a tuple (X, Y) or (X, Y, weights). What is not computed yet is computed
        once and kept on the workers while the fit runs.
    solver : a solver, such as LBFGS, or a list of them
        As for ``Network.fit``. With mini-batches rows travel to the client.
    sample_weight : of the kinds that Y may have, optional
        Weights (n,), in the blocks of X.
    validation : tuple (X, Y) or (X, Y, weights), optional
        Of the kinds that X and Y may have.
    n_threads : int, optional
        Threads of each worker; None: as many as Dask gives it.
    timeout : float, default 60.0
        Seconds after which a wait ends during which no worker works.
    max_epochs, tol, goal, max_time, callback, callback_every, class_weight, l1, l2, dropout, \
missing_targets, patience, resume, progress, seed, check_finite
        As for ``Network.fit``. Callbacks run in this process.

    Returns
    -------
    FitResult
        As ``Network.fit`` returns.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as it should be. Of rows the message names the block.
    TimeoutError
        If no worker has worked for `timeout` seconds: there is none, or all are out of memory.
    ConnectionError
        If the client is closed, or rows that Dask cannot make again were lost with their worker.
    ImportError
        Without Dask: ``pip install 'deltaloop[dask]'``.

    Notes
    -----
    Up to 4,095 rows are fetched and trained on in this process. After any error the network has
    the parameters of its last complete step.

    Examples
    --------
    >>> import dask.array as da, deltaloop as dl
    >>> from dask.distributed import Client, LocalCluster
    >>> from deltaloop.distributed import dask_fit
    >>> cluster = LocalCluster(n_workers=2, processes=False, dashboard_address=":0")
    >>> X = da.random.default_rng(0).normal(size=(5000, 3), chunks=(2000, 3))
    >>> Y = X.prod(axis=1)
    >>> net = dl.Network([3, 20, 1], activation="tanh", output="identity", seed=0)
    >>> with Client(cluster) as client:
    ...     result = dask_fit(client, net, X, Y, solver=dl.LBFGS(), max_epochs=20)
    >>> result.n_instances
    5000
    >>> cluster.close()
    """
    options: dict[str, Any] = {
        "solver": solver,
        "max_epochs": max_epochs,
        "tol": tol,
        "goal": goal,
        "max_time": max_time,
        "callback": callback,
        "callback_every": callback_every,
        "l1": l1,
        "l2": l2,
        "dropout": dropout,
        "missing_targets": missing_targets,
        "patience": patience,
        "resume": resume,
        "progress": progress,
        "seed": seed,
        "check_finite": check_finite,
        "scale": None,
    }
    if not isinstance(net, _core.Core):
        raise TypeError(f"net must be a deltaloop.Network, got {type(net).__name__}")
    if solver is None:
        raise ValueError(
            "solver must be given where the rows are on a cluster, such as solver=deltaloop.LBFGS()"
        )
    solvers = check_solvers(solver)
    if n_threads is not None:
        n_threads = _scalars.integer("n_threads", n_threads, at_least=1)
    cluster = Cluster.of(client, timeout)
    form = Form.of(net)
    checked = Options(_scalars.flag("check_finite", check_finite), _gaps.check(missing_targets))
    rates = _problem.dropout(net, dropout)
    of_classes = _problem.plain_classes(class_weight)
    columns = columns_of(cluster, checked.names, X, Y, sample_weight)
    training = Instances.read(cluster, form, columns, checked, n_threads)
    del columns
    if of_classes is not None:
        training = by_class(training, of_classes)
    judges = None
    if validation is not None:
        judges = read_validation(cluster, form, validation, checked, n_threads)
    if is_small(net, solvers, training, l2):
        x, y, weights = training.all()
        options["validation"] = None if judges is None else of_arrays(judges.all())
        return _run.fit(
            net, x, y, sample_weight=weights, class_weight=None, n_threads=n_threads, **options
        )
    with OnWorkers(training, judges, rates) as elsewhere:
        return _run.fit(
            net,
            None,
            None,
            sample_weight=None,
            class_weight=None,
            validation=None,
            n_threads=n_threads,
            elsewhere=elsewhere,
            **options,
        )


def of_arrays(parts: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    """Return a validation as ``Network.fit`` takes it."""
    return parts[:2] if parts[2] is None else parts


def is_small(net: Network, solvers: Sequence[Solver], training: Instances, l2: float) -> bool:
    """Whether all rows are to be fetched: few, or few for the parameters of a solver."""
    if training.n < _tree.LEAST_ROWS:
        return True
    dual = training.n * net.layers[-1] < net.n_parameters and not l2
    return dual and any(isinstance(each, LevenbergMarquardt) for each in solvers)


def read_validation(
    cluster: Cluster, form: Form, given: Any, options: Options, n_threads: int | None
) -> Instances:
    """Return the instances that a fit is judged by."""
    if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
        raise ValueError(
            "validation must be (X, Y) or (X, Y, weights) of Dask's collections: a fraction of the "
            f"rows cannot be set aside on a cluster; got {type(given).__name__}"
        )
    parts = (*given, None)[:3]
    names = ("validation[0]", "validation[1]", "validation[2]")
    columns = columns_of(cluster, names, *parts)
    return Instances.read(cluster, form, columns, options._replace(names=names), n_threads)


def by_class(training: Instances, class_weight: object) -> Instances:
    """Return instances that are weighted by their classes, too."""
    if training.missing:
        raise ValueError(
            "class_weight needs all targets, got missing ones with missing_targets='skip'; give "
            "sample_weight"
        )
    counts = training.classes
    if counts is None:
        raise ValueError(
            "class_weight needs targets that are classes: integers with a softmax output, or 0 and "
            "1 with cross_entropy and one output"
        )
    return training.weighed(_problem.weights_of_classes(class_weight, counts))
