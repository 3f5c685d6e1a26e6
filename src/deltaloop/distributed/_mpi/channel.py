"""Messages between the ranks of an MPI communicator: buffers, and waits that have an end.

Every exchange carries how its sender fares. So one that fails, or is interrupted, tells the others
where they wait for it anyway, and all leave the fit at the same point.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# What a rank says of itself with every exchange.
WELL, FAILED, INTERRUPTED = 0, 1, 2
# Bytes before each section: how its sender fares, and the seconds that he has been at it.
HEADER = 16
# A wait looks all the time for so many seconds, then every so many, and from time to time whether a
# rank has left.
EAGER, PAUSE, LOOK = 2e-4, 5e-5, 5e-3
# Between two looks so many seconds count at most: a program that was stopped has not waited.
STANDSTILL = 1.0
# At the end of a program that some ranks have left a fit of, each has so many seconds to say why.
GRACE = 3.0
# The tags: a rank has left the fit; it ends; what is handed on from rank to rank.
LEFT, ENDS, CHAIN = 1, 3, 2
# Bytes of a notice, with the reason, at most.
NOTICE = 2000


class Link:
    """The duplicate of a communicator, and who has left the fit that it carries messages of."""

    def __init__(self, given: MPI.Intracomm, comm: MPI.Intracomm) -> None:
        self.given, self.comm = given, comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        # Ranks that have left, after so many exchanges, and why.
        self.left: dict[int, tuple[int, str]] = {}
        self.own: int | None = None  # after how many this rank has
        self.sent: list[Any] = []

    def hear(self) -> None:
        """Note which ranks have left."""
        status = MPI.Status()
        while self.comm.Iprobe(MPI.ANY_SOURCE, LEFT, status):
            notice = np.empty(status.Get_count(MPI.BYTE), np.uint8)
            self.comm.Recv([notice, MPI.BYTE], status.Get_source(), LEFT)
            text = bytes(notice[8:]).decode(errors="replace")
            self.left[status.Get_source()] = int(notice[:8].view(np.int64)[0]), text

    def leave(self, count: int, why: str) -> None:
        """Tell the others that this rank does not go on, and why; it does not wait for them.

        The next fit makes another duplicate. At the end of the program it turns out whether all
        have left at the same point.
        """
        if self.own is not None:
            return
        self.own = count
        text = why.encode(errors="replace")[: NOTICE - 8]
        notice = np.frombuffer(np.int64(count).tobytes() + text, np.uint8)
        self.tell(LEFT, notice)
        if self.given.Get_attr(_KEY) is self:
            self.given.Delete_attr(_KEY)
        atexit.register(self.end)

    def tell(self, tag: int, notice: Bytes) -> None:
        """Send to all others; messages as short as these do not wait to be received."""
        for rank in range(self.size):
            if rank != self.rank:
                self.sent.append(self.comm.Isend([notice, MPI.BYTE], rank, tag))

    def end(self) -> None:
        """End MPI, where messages are under way that nobody will receive: it cannot end well."""
        if MPI.Is_finalized():
            return

        end = time.perf_counter() + GRACE

        def all_left() -> bool:
            self.hear()
            return len(self.left) == self.size - 1 and bool(MPI.Request.Testall(self.sent))

        if until(all_left, end) and all(count == self.own for count, _ in self.left.values()):
            return  # all by the same error: nothing is under way
        self.tell(ENDS, np.empty(0, np.uint8))
        ended: set[int] = set()

        def all_ended() -> bool:
            status = MPI.Status()
            while self.comm.Iprobe(MPI.ANY_SOURCE, ENDS, status):
                self.comm.Recv([np.empty(0, np.uint8), MPI.BYTE], status.Get_source(), ENDS)
                ended.add(status.Get_source())
            return bool(len(ended) == self.size - 1)

        until(all_ended, end)  # else the first one would end the others before they have spoken
        self.comm.Abort(1)


def until(done: Callable[[], bool], end: float) -> bool:
    """Look again and again until it is done, or that time has come; whether it is done."""
    while not done():
        if time.perf_counter() >= end:
            return False
        time.sleep(PAUSE)
    return True


class Channel:
    """The ranks of a communicator, of which a duplicate carries the messages."""

    def __init__(self, comm: MPI.Intracomm, limit: float) -> None:
        self.limit = limit
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.began = time.perf_counter()
        self.interrupted = False
        self.count = 0  # of exchanges
        self.link: Link | None = None  # until there is one
        self.link = self.duplicate(comm)
        self.comm = self.link.comm

    def duplicate(self, comm: MPI.Intracomm) -> Link:
        """Return the duplicate that belongs to a communicator, made once."""
        kept = comm.Get_attr(_KEY)
        if isinstance(kept, Link):
            kept.hear()
            if not kept.left:
                return kept
            kept.leave(self.count, next(iter(kept.left.values()))[1])
        made, request = comm.Idup()
        try:
            self.exchange(request, "all ranks call fit")
        except BaseException:  # the others cannot be told
            atexit.register(comm.Abort, 1)
            raise
        link = Link(comm, made)
        comm.Set_attr(_KEY, link)
        return link

    def wait(self, request: MPI.Request, what: str) -> None:
        """Wait for a request; TimeoutError after the limit, RuntimeError where a rank has left."""
        if request.Test():
            return
        began = looked = last = time.perf_counter()
        waited = 0.0
        while not request.Test():
            now = time.perf_counter()
            waited += min(now - last, STANDSTILL)
            last = now
            if now - began > EAGER:
                time.sleep(PAUSE)
            elif hasattr(os, "sched_yield"):  # ranks may be more than processors
                os.sched_yield()
            if now - looked > LOOK:
                looked = now
                self.look()
            if waited > self.limit:
                raise TimeoutError(
                    f"rank {self.rank} of {self.size} has waited {self.limit:g} s until {what}: "
                    "another rank has ended, stands still or does not take part; every rank must "
                    "call fit. timeout= sets another limit"
                )

    def exchange(self, request: MPI.Request, what: str) -> None:
        """Wait for a request that all ranks take part in."""
        self.count += 1
        self.wait(request, what)

    def look(self) -> None:
        """Raise if a rank has left that this exchange needs."""
        if self.link is None:
            return
        self.link.hear()
        for count, why in self.link.left.values():
            if count < self.count:  # else it has done its part before
                self.link.leave(self.count, why)
                raise RankError(why)

    def leave(self, error: BaseException) -> None:
        """Tell the others that this rank ends by an error of its own."""
        if self.link is not None and self.size > 1:
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
            self.link.leave(self.count, f"rank {self.rank} of {self.size}: {text}")

    # ---- exchanges, each with a header from every rank ----

    def header(self, section: Bytes, status: int) -> None:
        """Write how this rank fares in front of what it sends."""
        if status == WELL and self.interrupted:
            status = INTERRUPTED
        section[:HEADER].view(np.float64)[:] = status, time.perf_counter() - self.began

    def gather(
        self, mine: Bytes, sizes: Sequence[int], what: str, status: int = WELL
    ) -> list[Bytes]:
        """Return what every rank sends to all, `sizes` bytes with their headers."""
        self.header(mine, status)
        if self.size == 1:
            sections = [mine]
        else:
            starts = np.concatenate([[0], np.cumsum(sizes)])
            buffer = np.empty(int(starts[-1]), np.uint8)
            receive = [buffer, list(sizes), starts[:-1].tolist(), MPI.BYTE]
            self.exchange(self.comm.Iallgatherv([mine, MPI.BYTE], receive), what)
            sections = [buffer[a:b] for a, b in pairwise(starts)]
        self.judge(sections, status)
        return [section[HEADER:] for section in sections]

    def deliver(
        self, mine: list[Bytes], sizes: Sequence[int], what: str, status: int = WELL
    ) -> list[Bytes]:
        """Return what every rank sends to this one, `sizes` bytes with their headers."""
        for section in mine:
            self.header(section, status)
        if self.size == 1:
            sections = mine
        else:
            counts = [section.size for section in mine]
            starts = np.concatenate([[0], np.cumsum(sizes)])
            buffer = np.empty(int(starts[-1]), np.uint8)
            send = [np.concatenate(mine), counts, np.cumsum([0, *counts[:-1]]).tolist(), MPI.BYTE]
            receive = [buffer, list(sizes), starts[:-1].tolist(), MPI.BYTE]
            self.exchange(self.comm.Ialltoallv(send, receive), what)
            sections = [buffer[a:b] for a, b in pairwise(starts)]
        self.judge(sections, status)
        return [section[HEADER:] for section in sections]

    def hand_on(self, message: Bytes, to: int, status: int = WELL) -> None:
        """Send to one rank."""
        self.header(message, status)
        self.wait(self.comm.Isend([message, MPI.BYTE], to, CHAIN), f"rank {to} goes on")

    def take_over(self, size: int, source: int) -> tuple[Bytes, int]:
        """Return what one rank has handed on, and how it fares."""
        message = np.empty(size, np.uint8)
        self.wait(self.comm.Irecv([message, MPI.BYTE], source, CHAIN), f"rank {source} is done")
        return message[HEADER:], int(message[:HEADER].view(np.float64)[0])

    def judge(self, sections: list[Bytes], status: int) -> None:
        """Raise where a rank has failed or was interrupted; `status` is this rank's own."""
        fare = [int(section[:HEADER].view(np.float64)[0]) for section in sections]
        if not any(fare):
            return
        if FAILED in fare:
            if status == FAILED:
                return  # it has its own error to raise, after `explain`
            raise shared(RankError(self.explain("")))
        which = fare.index(INTERRUPTED)
        what = f"rank {which} of {self.size} was interrupted, and all with it"
        raise shared(KeyboardInterrupt(what))

    def explain(self, error: str) -> str:
        """Tell the others why this rank has failed, or hear it."""
        texts = self.texts(error)
        return "; ".join(f"rank {i} of {self.size}: {text}" for i, text in enumerate(texts) if text)

    def texts(self, text: str) -> list[str]:
        """Return the texts of all ranks."""
        mine = np.frombuffer(text.encode(), np.uint8)
        sizes = np.empty(self.size, np.int64)
        if self.size == 1:
            return [text]
        size = np.array([mine.size], np.int64)
        self.exchange(self.comm.Iallgather(size, sizes), "all ranks have spoken")
        starts = np.concatenate([[0], np.cumsum(sizes)])
        buffer = np.empty(int(starts[-1]), np.uint8)
        receive = [buffer, sizes.tolist(), starts[:-1].tolist(), MPI.BYTE]
        self.exchange(self.comm.Iallgatherv([mine, MPI.BYTE], receive), "all ranks have spoken")
        return [bytes(buffer[a:b]).decode() for a, b in pairwise(starts)]

    def tell(self, known: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what all ranks know, once, before the first exchange."""
        return [json.loads(text) for text in self.texts(json.dumps(known))]

    def clock(self) -> float:
        """Return rank 0's seconds; an exchange."""
        mine = np.empty(HEADER, np.uint8)
        if self.size == 1:
            self.header(mine, WELL)
            self.judge([mine], WELL)
            return float(mine.view(np.float64)[1])
        buffer = np.empty(HEADER * self.size, np.uint8)
        self.header(mine, WELL)
        self.exchange(self.comm.Iallgather([mine, MPI.BYTE], [buffer, MPI.BYTE]), "all ranks go on")
        self.judge(list(buffer.reshape(self.size, HEADER)), WELL)
        return float(buffer[:HEADER].view(np.float64)[1])

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take interrupts (Ctrl-C) for all ranks: they raise with the next exchange, everywhere."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:
            yield
            return

        def note(*_: object) -> None:
            if self.interrupted:  # for the second time: at once, whatever the others do
                raise KeyboardInterrupt
            self.interrupted = True

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class RankError(RuntimeError):
    """What the other ranks raise where one has failed."""


def shared(error: BaseException) -> BaseException:
    """Mark an error that all ranks raise, or have heard of."""
    error._shared = True  # type: ignore[attr-defined]
    return error


def _free(comm: MPI.Comm, key: int, kept: Link) -> None:
    """Forget the duplicate with its communicator; to free it all ranks would have to wait."""


_KEY = MPI.Comm.Create_keyval(delete_fn=_free)
