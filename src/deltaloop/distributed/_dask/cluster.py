"""The client of a cluster: waits that have a limit, and calls of workers that may be lost.

A wait goes on as long as workers work, however long a task takes; a worker that answers no more
Dask itself takes off its list. When none works it ends after a limit, with what is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import distributed
from distributed.core import Status

from deltaloop import _scalars
from deltaloop.distributed._dask.blocks import Call, Failed, Missing, work

Result = TypeVar("Result")

# Seconds between two looks at the cluster while something is waited for.
FIRST_LOOK, LAST_LOOK = 0.2, 2.0
# Questions in a row that a scheduler leaves unanswered before it is given up.
QUESTIONS = 4


class LostError(Exception):
    """A worker is gone, or blocks of it are: what it was asked for can be asked again."""


class Cluster:
    """A synchronous client, with the limit of all waits in seconds."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.client = client
        self.timeout = timeout

    @classmethod
    def of(cls, client: object, timeout: object) -> Cluster:
        """Return the cluster of a client, None for the current one."""
        seconds = _scalars.real("timeout", timeout)
        if not seconds > 0:
            raise ValueError(f"timeout must be above 0 seconds, got {timeout!r}")
        if client is None:
            try:
                client = distributed.get_client()
            except ValueError:
                raise ValueError(
                    "client is None and there is no current client; make one: "
                    "client = dask.distributed.Client(address)"
                ) from None
        if not isinstance(client, distributed.Client):
            raise TypeError(
                f"client must be a dask.distributed.Client, got {type(client).__name__}"
            )
        if client.status in ("closed", "closing", "newly-created"):
            raise ValueError(
                f"client is {client.status}; connect a new one: dask.distributed.Client(address)"
            )
        if client.asynchronous:
            raise TypeError(
                "client must be synchronous, got one with asynchronous=True; call this in a thread "
                "with a client of its own"
            )
        return cls(client, seconds)

    # ---- waiting ----

    def wait(self, futures: Sequence[Any], what: str) -> None:
        """Wait until tasks are done, whether or not they have failed.

        TimeoutError when no worker works for as long as the limit says, ConnectionError when the
        client is closed or the tasks were cancelled. `what` names them in a message.
        """
        patience, look = Patience(self, what), FIRST_LOOK
        while True:
            self.connected(what)
            try:
                distributed.wait(list(futures), timeout=look)
            except TimeoutError:
                patience.look(look, sum(future.done() for future in futures))
                look = min(2 * look, LAST_LOOK)
                continue
            except (asyncio.CancelledError, distributed.client.FuturesCancelledError):
                self.connected(what)
                raise ConnectionError(self.cancelled(what)) from None
            return

    def gather(self, futures: Sequence[Any], what: str) -> list[Any]:
        """Return the results of tasks; what a task raised is raised here."""
        while True:
            self.wait(futures, what)
            for future in futures:
                if future.status == "error":
                    raise self.translated(future.exception(), what)
            try:
                return list(self.client.gather(list(futures)))
            except (asyncio.CancelledError, distributed.client.FuturesCancelledError):
                self.connected(what)
                raise ConnectionError(self.cancelled(what)) from None
            except distributed.KilledWorker as error:
                raise self.translated(error, what) from None

    def holders(self, futures: Sequence[Any], what: str) -> dict[str, Any]:
        """Return the workers that have the results of tasks, by their keys."""
        try:
            return dict(self.client.who_has(list(futures)))
        except (asyncio.CancelledError, distributed.client.FuturesCancelledError):
            self.connected(what)
            raise ConnectionError(self.cancelled(what)) from None

    def connected(self, what: str) -> None:
        """Raise ConnectionError if the client is closed."""
        if self.client.status in ("closed", "closing"):
            raise ConnectionError(
                f"the client was closed, or has lost its scheduler, while {what}; connect a new "
                "one and call this again"
            )

    @staticmethod
    def cancelled(what: str) -> str:
        """Return what to say of tasks that are no more."""
        return (
            f"the cluster has dropped tasks while {what}: the client was restarted, or rows that "
            "Dask cannot make again, as those of client.scatter, were lost with a worker. Give "
            "collections that Dask can read again, and call this again"
        )

    @staticmethod
    def translated(error: BaseException, what: str) -> BaseException:
        """Return the error to raise for that of a task."""
        if isinstance(error, distributed.KilledWorker):
            return ConnectionError(
                f"workers died again and again while {what} (distributed: {error}); they may lack "
                "memory for their rows: use smaller blocks, or more workers"
            )
        if isinstance(error, ModuleNotFoundError) and "deltaloop" in str(error):
            return ModuleNotFoundError(
                f"a worker cannot import deltaloop ({error}); install the client's version on all "
                "workers"
            )
        return error

    # ---- calls of workers ----

    def call(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        jobs: dict[str, Any],
        keys: dict[str, dict[int, Any]],
        n_threads: int | None,
        what: str,
    ) -> dict[str, Any]:
        """Return what the function gives on each worker that has a job.

        LostError when a worker or one of its blocks is gone.
        """
        call = Call(function, arguments, jobs, keys, n_threads)
        self.connected(what)
        try:
            answers = self.client.sync(self._ask, call, what)
        except (OSError, asyncio.CancelledError) as error:
            self.connected(what)
            if isinstance(error, TimeoutError):
                raise
            raise LostError(str(error)) from None
        for address, answer in answers.items():
            if isinstance(answer, Failed):
                raise answer.error
            if isinstance(answer, Missing):
                raise LostError(f"{address} has no more the blocks {answer.blocks}")
            if isinstance(answer, BaseException):
                if isinstance(answer, ModuleNotFoundError):
                    raise self.translated(answer, what)
                raise LostError(f"{address}: {answer}")
        return dict(answers)

    async def _ask(self, call: Call, what: str) -> dict[str, Any]:
        """Run on the client's loop: ask, and look from time to time whether all are still there."""
        client = self.client
        task = asyncio.ensure_future(
            client.run(work, call, workers=list(call.jobs), on_error="return")
        )
        look, silent = FIRST_LOOK, 0
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=look)
                if done:
                    return dict(task.result())
                look = min(2 * look, LAST_LOOK)
                try:
                    seen = await asyncio.wait_for(
                        client.scheduler.identity(), self.timeout / QUESTIONS
                    )
                    silent = 0
                except TimeoutError:
                    silent += 1
                    if silent < QUESTIONS:  # the first may be because this process was stopped
                        continue
                    raise TimeoutError(
                        f"the scheduler {client.scheduler.address} has not answered for "
                        f"{self.timeout:g} seconds while {what}"
                    ) from None
                gone = set(call.jobs) - set(seen["workers"])
                if gone:
                    raise LostWorkersError(", ".join(sorted(gone)))
        finally:
            if not task.done():
                task.cancel()


class LostWorkersError(OSError):
    """The scheduler has taken workers off its list."""


class Patience:
    """How long no worker has worked while something was waited for."""

    def __init__(self, cluster: Cluster, what: str) -> None:
        self.cluster = cluster
        self.what = what
        self.idle = 0.0
        self.done = 0

    def look(self, seconds: float, done: int) -> None:
        """Look at the cluster after so many seconds, when so many of the tasks are done.

        TimeoutError at the limit. Seconds during which this process itself was stopped, as that of
        a computer that sleeps, count for nothing.
        """
        client, limit = self.cluster.client, self.cluster.timeout
        workers: dict[str, Any] = {}
        try:
            workers = client.sync(client.scheduler.identity)["workers"]
            busy = any(client.processing().values())
        except OSError:  # the connection: the next wait says so, if it is not back by then
            busy = False
        if (busy and workers) or done > self.done:
            self.done, self.idle = done, 0.0
            return
        self.idle += seconds
        if self.idle < limit:
            return
        address = client.scheduler.address
        if not workers:
            raise TimeoutError(
                f"the cluster at {address} has had no workers for {limit:g} seconds while "
                f"{self.what}; start workers, or give a longer timeout"
            )
        running = [w for w in workers.values() if w["status"] == Status.running.name]
        if not running:
            raise TimeoutError(
                f"all {len(workers)} workers of the cluster at {address} have been paused for "
                f"{limit:g} seconds while {self.what}: their memory is full"
            )
        raise TimeoutError(
            f"none of {len(workers)} workers of the cluster at {address} has taken a task for "
            f"{limit:g} seconds while {self.what}"
        )
