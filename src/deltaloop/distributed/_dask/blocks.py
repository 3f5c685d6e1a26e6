"""What a worker does: blocks of rows made ready for the core, and sums over pieces of them.

Everything here is a pure function of its arguments. A block lives on the worker that has its rows,
as the result of a task, so that Dask makes it again if that worker is lost. `work` is sent to the
workers that have blocks, with the parameters; it holds no state between two calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import problem as _problem
from deltaloop.distributed import _tree
from deltaloop.distributed._dask.plan import Piece
from deltaloop.network import Network

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Form(NamedTuple):
    """What a network is without its parameters.

    Its size does not grow with the network's, so that it travels with each request.
    """

    layers: tuple[int, ...]
    activation: tuple[str, ...]
    output: str
    loss: Any
    residual: bool
    scaling: Any

    @classmethod
    def of(cls, network: Network) -> Form:
        """Return the form of a network."""
        return cls(
            tuple(network.layers),
            tuple(network.activation),
            network.output,
            network.loss,
            network.residual,
            network.scaling,
        )

    def network(self, parameters: Floats | None = None) -> Network:
        """Return a network of this form with these parameters (P,), all 0 by default."""
        if parameters is None:
            parameters = np.zeros(sum((a + 1) * b for a, b in pairwise(self.layers)))
        return Network._restore(
            self.layers,
            self.activation,
            self.output,
            self.loss,
            self.residual,
            None,
            0,
            0,
            parameters,
            self.scaling,
        )


class Options(NamedTuple):
    """How rows become a block: the arguments of a fit that concern rows."""

    check_finite: bool = True
    skip: bool = False  # targets that are missing
    names: tuple[str, str, str] = ("X", "Y", "sample_weight")
    targets: Callable[[Any], Any] | None = None  # what makes targets of an array of Y


@dataclass
class Block:
    """Rows as the core reads them, or why they cannot be read.

    Attributes
    ----------
    x : ndarray of shape (k, m0) or Csr
    y : ndarray of shape (k, mL), or of shape (k,) of classes
    labels : bool
        Whether y holds classes.
    weights : ndarray of shape (k,) or None
    missing : bool
        Whether targets are missing.
    columns : tuple or None
        The names of the inputs, where the rows were a table.
    error : Exception or None
        What is wrong with these rows.
    n : int
        k.
    """

    x: Any = None
    y: Any = None
    labels: bool = False
    weights: Floats | None = None
    missing: bool = False
    columns: tuple[Any, ...] | None = None
    error: Exception | None = None
    n: int = 0

    def __sizeof__(self) -> int:
        """Return the bytes that Dask weighs a move against."""
        arrays = (self.x, self.y, self.weights)
        return 200 + sum(int(getattr(array, "nbytes", 0)) for array in arrays)


class Facts(NamedTuple):
    """What the client has to know of a block."""

    n: int
    error: Exception | None
    width: int
    dtype: str
    labels: bool
    missing: bool
    weighted: bool
    positive: bool  # whether a weight is
    observed: float  # targets that are there, in rows of positive weight
    classes: Array | None  # instances of each class, where targets are classes
    columns: tuple[Any, ...] | None
    version: str


# ---- rows become blocks ----


def array_of(part: Any) -> Any:
    """Return rows of a table as an array, and anything else as it is.

    What nullable columns do not have becomes NaN.
    """
    if isinstance(part, np.ndarray) or not hasattr(part, "to_numpy"):
        return part
    dtypes = list(part.dtypes) if getattr(part, "ndim", 1) == 2 else [part.dtype]
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "" for dtype in dtypes}
    if kinds <= set("iuf") or kinds == {"b"} or kinds & set("OSUmMc"):
        return part.to_numpy()
    try:
        return part.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return part.to_numpy()


def make(form: Form, options: Options, x: Any, y: Any = None, weights: Any = None) -> Block:
    """Return a block of rows: a task. What is wrong with them is in the block.

    Without y, x is a tuple of what there is.
    """
    block = Block()
    try:
        if y is None:
            x, y, weights = unpacked(x)
        names = getattr(x, "columns", None)
        block.columns = None if names is None else tuple(names)
        x, y, weights = array_of(x), array_of(y), array_of(weights)
        if options.targets is not None and len(y):
            y = options.targets(y)
        _fill(block, form.network(), options, x, y, weights)
    except (TypeError, ValueError) as error:
        block.error = error
    return block


def unpacked(pair: Any) -> tuple[Any, Any, Any]:
    """Return rows, targets and weights of a block that holds them all."""
    if not isinstance(pair, tuple | list) or not 2 <= len(pair) <= 3:
        kind = type(pair).__name__
        raise TypeError(
            f"without Y each block of X must be a tuple (X, Y) or (X, Y, weights), got {kind}"
        )
    return pair[0], pair[1], pair[2] if len(pair) == 3 else None


def _fill(block: Block, network: Network, options: Options, x: Any, y: Any, weights: Any) -> None:
    x_name, y_name, s_name = options.names
    if getattr(x, "ndim", None) != 2:
        shape = getattr(x, "shape", None)
        what = type(x).__name__ if shape is None else f"shape {shape}"
        raise ValueError(f"{x_name} must have two dimensions, (n, {network.layers[0]}), got {what}")
    block.n = int(x.shape[0])
    if len(y) != block.n:
        raise ValueError(
            f"{x_name} has {block.n} instances but {y_name} has {len(y)}; the blocks of both must "
            "have the same rows"
        )
    if weights is not None and len(weights) != block.n:
        raise ValueError(
            f"{x_name} has {block.n} instances but {s_name} has {len(weights)}; the blocks of both "
            "must have the same rows"
        )
    if block.n == 0:
        return
    block.x, block.y, block.labels, block.missing = _gaps.batch(
        network, x, y, x_name, y_name, skip=options.skip, check_finite=options.check_finite
    )
    if weights is not None:
        block.weights = _weights(weights, block.n, s_name)


def _weights(given: Any, n: int, name: str) -> Floats:
    """Return weights of a block, which may all be 0: those of other blocks may not."""
    array = _arrays.numbers(name, given)
    if array.shape == (n, 1):
        array = array[:, 0]
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), got {array.shape}")
    result = np.ascontiguousarray(array, dtype=np.float64)
    _arrays.finite(name, result)
    if (result < 0).any():
        raise ValueError(f"{name} holds {result.min()}; weights are at least 0")
    return result


def facts(form: Form, block: Block) -> Facts:
    """Return what the client has to know: a task."""
    if block.error is not None or block.n == 0:
        return Facts(
            block.n,
            block.error,
            0,
            "",
            False,
            False,
            False,
            False,
            0.0,
            None,
            None,
            _core.__version__,
        )
    y, m = block.y, form.layers[-1]
    classes = None
    if block.labels:
        classes = np.bincount(y.astype(np.intp), minlength=max(m, 2))
    elif m == 1 and form.loss == "cross_entropy" and np.isin(y, (0, 1)).all():
        classes = np.bincount(y[:, 0].astype(np.intp), minlength=2)
    counted = np.ones(block.n, bool) if block.weights is None else block.weights > 0
    observed = int(counted.sum()) * m
    if block.missing:
        observed = int((~np.isnan(y))[counted].sum())
    return Facts(
        block.n,
        None,
        block.x.shape[1],
        str(y.dtype),
        block.labels,
        block.missing,
        block.weights is not None,
        bool(counted.any()),
        float(observed),
        classes,
        block.columns,
        _core.__version__,
    )


def weighed(of_classes: Floats, block: Block) -> Block:
    """Return a block whose weights are multiplied by those of its classes: a task."""
    if block.n == 0:
        return block
    y = block.y if block.labels else block.y[:, 0]
    s = of_classes[y.astype(np.intp)]
    with np.errstate(over="ignore", under="ignore"):
        return replace(block, weights=s if block.weights is None else s * block.weights)


# ---- requests ----


class Request(NamedTuple):
    """A sum over rows, at some parameters.

    Attributes
    ----------
    form : Form
    kind : str
        As for ``_core.Sums.evaluate``.
    parameters : ndarray of shape (P,)
    masks : tuple or None
    dropout : ndarray or None
    gaps : bool
        Whether targets are missing anywhere.
    n : int
        Rows of the sum, on all workers.
    n_threads : int or None
        Of each worker; None: as many as Dask gives it.
    """

    form: Form
    kind: str
    parameters: Floats
    masks: Any
    dropout: Floats | None
    gaps: bool
    n: int
    n_threads: int | None = None


class Part(NamedTuple):
    """One run of a wave, for the worker that has its blocks."""

    number: int
    pieces: list[Piece]
    chain: Floats | None
    is_continued: bool


class Sums(NamedTuple):
    """What a worker answers: subtrees of the tree of sums, and chains that others go on with."""

    places: list[tuple[int, int]]
    nodes: Floats | None
    chains: dict[int, Floats]


def problem_of(request: Request, labels: bool, weights: Floats | None) -> _problem.Problem:
    """Return the problem of rows with these weights; the core adds the penalty to the whole."""
    problem = _problem.Problem(weights=weights, dropout=request.dropout)
    return problem._replace(targets=_core.GAPS) if request.gaps and not labels else problem


def sums(
    request: Request, parts: Sequence[Part], blocks: Mapping[int, Block], n_threads: int
) -> Sums:
    """Return the sums over the runs of a worker."""
    network = request.form.network(request.parameters)

    def one(part: Part, threads: int) -> tuple[list[Any], Floats | None]:
        found: list[Any] = []
        chain = part.chain
        for each in part.pieces:
            block = blocks[each.block]
            rows = slice(each.start, each.stop)
            weights = None if block.weights is None else block.weights[rows]
            piece = _core.Piece(
                network,
                block.x[rows],
                block.y[rows],
                labels=block.labels,
                problem=problem_of(request, block.labels, weights),
                n=request.n,
                begin=each.begin,
                n_threads=threads,
            )
            nodes, chain = piece.evaluate(request.kind, request.parameters, chain, request.masks)
            found.extend(zip(piece.nodes(request.kind)[0], nodes, strict=True))
        return found, chain

    # Of many short runs each thread takes whole ones.
    if n_threads > 1 and len(parts) >= 2 * n_threads:
        with ThreadPoolExecutor(n_threads) as pool:
            results = list(pool.map(lambda part: one(part, 1), parts))
    else:
        results = [one(part, n_threads) for part in parts]
    found = [each for nodes, _ in results for each in nodes]
    merged = _tree.merge(network, request.kind, found)
    chains = {
        part.number: chain
        for part, (_, chain) in zip(parts, results, strict=True)
        if part.is_continued and chain is not None
    }
    nodes = np.stack([row for _, row in merged]) if merged else None
    return Sums([place for place, _ in merged], nodes, chains)


def take(
    wanted: Mapping[int, NDArray[np.uintp]], blocks: Mapping[int, Block], n_threads: int
) -> dict[int, tuple[Any, Any, Any]]:
    """Return rows of blocks, with their targets and weights."""
    result = {}
    for i, rows in wanted.items():
        block = blocks[i]
        weights = None if block.weights is None else block.weights[rows]
        result[i] = block.x[rows], block.y[rows], weights
    return result


# ---- the call ----


class Call(NamedTuple):
    """What is asked of workers at a time.

    Attributes
    ----------
    function : callable
        ``function(*arguments, of the worker, blocks, n_threads)``.
    arguments : tuple
        The same for all workers.
    jobs : dict
        What each worker is to do, by its address.
    keys : dict
        The keys of the blocks that each worker needs, by its address and their number.
    n_threads : int or None
        None: as many as Dask gives the worker.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    jobs: dict[str, Any]
    keys: dict[str, dict[int, Any]]
    n_threads: int | None


class Missing(NamedTuple):
    """Blocks that a worker was asked for and has not, or no more."""

    blocks: list[int]


class Failed(NamedTuple):
    """What the function raised."""

    error: BaseException


async def work(call: Call, dask_worker: Any = None) -> Any:
    """Do a worker's part of a call, on one of the threads that Dask runs tasks on."""
    address = dask_worker.address
    if address not in call.jobs:
        address = dask_worker.contact_address
    keys = call.keys[address]
    missing = [i for i, key in keys.items() if key not in dask_worker.data]
    if missing:
        return Missing(missing)
    blocks = {i: dask_worker.data[key] for i, key in keys.items()}
    n_threads = _scalars.threads(call.n_threads or dask_worker.state.nthreads)
    arguments = (*call.arguments, call.jobs[address], blocks, n_threads)
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(
            dask_worker.executors["default"], call.function, *arguments
        )
    except Exception as error:  # is the caller's, who has to tell it from a lost connection
        return Failed(error)
