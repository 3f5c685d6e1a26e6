"""The instances of a fit, as blocks on the workers of a cluster."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop.distributed import _tree
from deltaloop.distributed._dask import blocks as _blocks
from deltaloop.distributed._dask import given as _given
from deltaloop.distributed._dask.blocks import Facts, Form, Options, Part, Request
from deltaloop.distributed._dask.cluster import Cluster, LostError
from deltaloop.distributed._dask.plan import Plan, plan_of

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Requests in a row that may fail because of lost workers.
ATTEMPTS = 20
# Plans that are kept: one for each kind of sum, and for a mini-batch or two.
PLANS = 16


class Instances:
    """Blocks of rows with their targets and weights, each on some worker.

    Attributes
    ----------
    counts : list of int
        The rows of each block; blocks without rows are left out.
    n : int
        All rows.
    facts : list of Facts
        Of each block.
    """

    def __init__(
        self,
        cluster: Cluster,
        form: Form,
        futures: Sequence[Any],
        facts: Sequence[Facts],
        n_threads: int | None,
    ) -> None:
        self.cluster = cluster
        self.form = form
        kept = [i for i, each in enumerate(facts) if each.n > 0]
        self.futures = [futures[i] for i in kept]
        self.facts = [facts[i] for i in kept]
        self.counts = [each.n for each in self.facts]
        self.first = np.concatenate([[0], np.cumsum(self.counts, dtype=np.intp)])
        self.n = int(self.first[-1])
        self.n_threads = n_threads
        self._prototype = form.network()  # for its sizes alone
        self._workers: list[str] = []
        self._plans: dict[Any, Plan] = {}
        # One object for all plans of the same bounds.
        self._bounds: dict[Any, Sequence[int]] = {}

    # ---- from what users give ----

    @classmethod
    def read(
        cls,
        cluster: Cluster,
        form: Form,
        columns: Sequence[Sequence[Any]],
        options: Options,
        n_threads: int | None,
    ) -> Self:
        """Make the blocks where their rows are, and learn what there is to know of them.

        `columns` are those of ``columns_of``. TypeError or ValueError for what cannot be trained
        on, naming the block.
        """
        tag = uuid.uuid4().hex
        made = [
            cluster.client.submit(
                _blocks.make, form, options, *block, key=f"deltaloop-block-{tag}-{i}"
            )
            for i, block in enumerate(zip(*columns, strict=True))
        ]
        return cls.known(cluster, form, made, options.names, n_threads)

    @classmethod
    def known(
        cls,
        cluster: Cluster,
        form: Form,
        made: Sequence[Any],
        names: tuple[str, str, str],
        n_threads: int | None,
    ) -> Self:
        """Learn what there is to know of blocks."""
        client = cluster.client
        asked = [client.submit(_blocks.facts, form, each, key=f"{each.key}-facts") for each in made]
        found = cluster.gather(asked, f"reading {names[0]}")
        _check(found, names)
        return cls(cluster, form, made, found, n_threads)

    def weighed(self, of_classes: Floats) -> Instances:
        """Return the same instances, weighted by their classes, too."""
        client = self.cluster.client
        made = [
            client.submit(_blocks.weighed, of_classes, each, key=f"{each.key}-weighed")
            for each in self.futures
        ]
        names = ("X", "Y", "sample_weight")
        return type(self).known(self.cluster, self.form, made, names, self.n_threads)

    @property
    def labels(self) -> bool:
        """Whether targets are classes."""
        return self.facts[0].labels

    @property
    def missing(self) -> bool:
        """Whether targets are missing."""
        return any(each.missing for each in self.facts)

    @property
    def observed(self) -> float:
        """How many targets there are, in rows of positive weight."""
        return sum(each.observed for each in self.facts)

    @property
    def classes(self) -> Array | None:
        """How many instances each class has, None where targets are no classes."""
        counts = [each.classes for each in self.facts if each.classes is not None]
        if len(counts) < len(self.facts):
            return None
        total: Array = np.sum(counts, axis=0)
        return total

    # ---- where the blocks are ----

    def locate(self) -> list[str]:
        """Return the worker that has each block, after all of them have been made again."""
        pause, waited = 0.05, 0.0
        while True:
            self.cluster.wait(self.futures, "making blocks of lost workers again")
            for future in self.futures:
                if future.status == "error":
                    raise self.cluster.translated(future.exception(), "making blocks again")
            held = self.cluster.holders(self.futures, "making blocks of lost workers again")
            found = [sorted(held.get(future.key, ())) for future in self.futures]
            if all(found):
                break
            if waited > self.cluster.timeout:
                raise TimeoutError(
                    f"{sum(not each for each in found)} blocks have been on no worker for "
                    f"{self.cluster.timeout:g} seconds"
                )
            time.sleep(pause)
            waited += pause
        # Of several workers that have a block the one that has the fewest rows so far.
        load: Counter[str] = Counter()
        workers = []
        for where, count in zip(found, self.counts, strict=True):
            best = min(where, key=lambda worker: (load[worker], worker))
            load[best] += count
            workers.append(best)
        self._workers, self._plans = workers, {}
        return workers

    def again(self, ask: Callable[[], Any]) -> Any:
        """Return what a request gives, asked again while workers are lost."""
        for attempt in range(ATTEMPTS):
            if not self._workers:
                self.locate()
            try:
                return ask()
            except LostError as error:
                lost, self._workers = error, []
                time.sleep(min(0.05 * attempt, 1.0))
        raise ConnectionError(
            f"workers or their blocks were lost in {ATTEMPTS} requests one after the other, at "
            f"last: {lost}"
        )

    def _call(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        jobs: dict[str, Any],
        used: dict[str, set[int]],
    ) -> dict[str, Any]:
        keys = {
            address: {i: self.futures[i].key for i in sorted(numbers)}
            for address, numbers in used.items()
        }
        return self.cluster.call(function, arguments, jobs, keys, self.n_threads, "training")

    # ---- sums ----

    def sum(self, request: Request, begin: int = 0) -> Floats:
        """Return the sum over request.n rows from `begin` on, the row of the tree's root."""
        bounds = self._bounds.get((request.kind == "jacobian", request.n))
        if bounds is None:
            bounds = _core.chain_bounds(self._prototype, request.kind, request.n)
            self._bounds[request.kind == "jacobian", request.n] = bounds
        root: Floats = self.again(lambda: self._sum(request, bounds, begin))
        return root

    def _sum(self, request: Request, bounds: Sequence[int], begin: int) -> Floats:
        key = request.kind == "jacobian", begin, request.n
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            plan = self._plans[key] = plan_of(self.counts, bounds, self._workers, begin)
        chains: dict[int, Floats] = {}
        nodes: list[tuple[tuple[int, int], Floats]] = []
        for wave in plan.waves:
            jobs: dict[str, Any] = {}
            used: dict[str, set[int]] = {}
            for address, numbers in wave.items():
                runs = [plan.runs[number] for number in numbers]
                jobs[address] = [
                    Part(
                        number,
                        run.pieces,
                        None if run.after is None else chains.pop(run.after),
                        run.is_continued,
                    )
                    for number, run in zip(numbers, runs, strict=True)
                ]
                used[address] = {piece.block for run in runs for piece in run.pieces}
            for answer in self._call(_blocks.sums, (request,), jobs, used).values():
                chains.update(answer.chains)
                if answer.nodes is not None:
                    # What comes from the wire may not be written to, as sums are.
                    nodes.extend(zip(answer.places, np.array(answer.nodes), strict=True))
        return _tree.total(self._prototype, request.kind, request.n, nodes)

    # ---- rows ----

    def take(self, rows: NDArray[Any]) -> tuple[Any, Any, Any]:
        """Return some rows, numbered among all, in this order, with their targets and weights."""
        result: tuple[Any, Any, Any] = self.again(lambda: self._take(rows))
        return result

    def _take(self, rows: NDArray[Any]) -> tuple[Any, Any, Any]:
        places = np.asarray(rows, dtype=np.intp)
        owner = np.searchsorted(self.first, places, side="right") - 1
        jobs: dict[str, Any] = {}
        used: dict[str, set[int]] = {}
        where: dict[int, Array] = {}
        order = np.argsort(owner, kind="stable")
        cuts = np.searchsorted(owner[order], np.arange(len(self.counts) + 1))
        for i in range(len(self.counts)):
            mine = order[cuts[i] : cuts[i + 1]]
            if len(mine):
                where[i] = mine
                address = self._workers[i]
                jobs.setdefault(address, {})[i] = (places[mine] - self.first[i]).astype(np.uintp)
                used.setdefault(address, set()).add(i)
        found: dict[int, Any] = {}
        for answer in self._call(_blocks.take, (), jobs, used).values():
            found.update(answer)
        return _joined(found, where, len(places))

    def all(self) -> tuple[Any, Any, Any]:
        """Return all rows, which must be few."""
        return self.take(np.arange(self.n, dtype=np.uintp))


def columns_of(
    cluster: Cluster, names: Sequence[str], X: Any, Y: Any, weights: Any
) -> list[list[Any]]:
    """Return the futures of the blocks of X, of Y and of weights, as far as they are given."""
    if Y is None and weights is not None:
        raise ValueError(f"without {names[1]} the blocks of {names[0]} hold the weights, too")
    columns: list[list[Any]] = []
    for name, given in zip(names, (X, Y, weights), strict=True):
        if given is None and name != names[0]:
            continue
        columns.append(_given.futures_of(cluster.client, name, given))
        if len(columns[-1]) != len(columns[0]):
            raise ValueError(
                f"{names[0]} has {len(columns[0])} blocks but {name} has {len(columns[-1])}; "
                "both must be cut at the same rows: use rechunk or repartition"
            )
    return columns


def _joined(
    found: dict[int, Any], where: dict[int, Array], n: int
) -> tuple[Array, Array, Floats | None]:
    """Return parts put into their places, in the type that holds those of all."""
    results: list[Any] = []
    for k in range(3):
        parts = {i: each[k] for i, each in found.items() if each[k] is not None}
        if not parts:
            results.append(None)
            continue
        some = next(iter(parts.values()))
        whole = np.ones((n, *some.shape[1:]), np.result_type(*{p.dtype for p in parts.values()}))
        for i, part in parts.items():
            whole[where[i]] = part
        results.append(whole)
    x, y, weights = results
    return x, y, weights


def _check(facts: Sequence[Facts], names: tuple[str, str, str]) -> None:
    """Refuse blocks that cannot be trained on, or not together."""
    x_name, y_name, s_name = names
    for each in facts:
        if each.version != _core.__version__:
            raise ValueError(
                f"a worker has deltaloop {each.version}, the client {_core.__version__}: their "
                "bits may differ; install one version on all"
            )
    first = 0
    for i, each in enumerate(facts):
        if each.error is not None:
            rows = f" (rows {first} to {first + each.n - 1} of all)" if each.n else ""
            text = f"block {i}{rows}, its rows counted from 0: {each.error}"
            raise type(each.error)(text) from None
        first += each.n
    there = [i for i, each in enumerate(facts) if each.n > 0]
    if not there:
        raise ValueError(f"{x_name} is empty: none of its {len(facts)} blocks has rows")
    one = facts[there[0]]
    for i in there:
        each = facts[i]
        if each.labels != one.labels:
            raise ValueError(
                f"{y_name} holds classes in one block and values in another: {one.dtype} in block "
                f"{there[0]}, {each.dtype} in block {i}; give all of them one type"
            )
        if each.columns is not None and one.columns is not None and each.columns != one.columns:
            raise ValueError(
                f"the columns of {x_name} differ: {list(one.columns)} in block {there[0]}, "
                f"{list(each.columns)} in block {i}"
            )
        if each.weighted != one.weighted:
            raise ValueError(
                f"block {there[0]} {'has' if one.weighted else 'has no'} {s_name}, block {i} "
                f"{'has' if each.weighted else 'has none'}; all blocks need it, or none"
            )
    if one.weighted and not any(facts[i].positive for i in there):
        raise ValueError(f"{s_name} holds nothing but zeros; one weight at least must be positive")
