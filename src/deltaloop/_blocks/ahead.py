"""What a thread makes ahead of its use, a few at a time."""

from __future__ import annotations

import atexit
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from deltaloop._blocks.block import Block, Source

# Seconds between two looks whether the thread is still there, or is to end.
TICK = 0.5
# Seconds for which the end of a thread is waited for, which may be within a long read: one that
# nothing hurries, and one where the caller is to end at once.
PATIENCE = 10.0
HURRY = 0.3

# Threads that were still within a read when their time was over. They end after it.
_left: set[threading.Thread] = set()


class Ahead:
    """The items of an iterator, which a thread makes while the caller works on the one before.

    There are `room` of them at a time, the one that the caller has included. They are his until he
    asks for the next one.
    """

    def __init__(self, make: Callable[[], Iterator[Any]], room: int = 2) -> None:
        self._make, self._held, self._over = make, False, False
        self._items: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._room = threading.Semaphore(room)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deltaloop-reader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        items = None
        try:
            items = self._make()
            while not self._stop.is_set():
                if not self._room.acquire(timeout=TICK):
                    continue
                if self._stop.is_set():
                    break
                self._items.put((True, next(items)))
        except StopIteration:
            self._items.put((False, None))
        except BaseException as error:  # it is the caller's
            self._items.put((False, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def get(self, limit: float = math.inf) -> Any:
        """Return the next item, or raise what making it has raised; StopIteration at the end.

        TimeoutError if it takes more than so many seconds.
        """
        if self._over:
            raise StopIteration
        if self._held:
            self._room.release()
            self._held = False
        while True:
            try:
                there, item = self._items.get(timeout=min(TICK, limit))
                break
            except queue.Empty:
                if limit < TICK:
                    raise TimeoutError(f"no rows have come for {limit} s") from None
                if not self._thread.is_alive() and self._items.empty():
                    raise RuntimeError("the thread that reads blocks has ended") from None
        if there:
            self._held = True
            return item
        self._over = True
        raise StopIteration if item is None else item

    def close(self, error: BaseException | type[BaseException] | None = None) -> None:
        """End the thread; `error` is what ends the caller.

        Where that is an interrupt, a read that is under way is left to end by itself.
        """
        self._stop.set()
        self._room.release()
        if self._thread is threading.current_thread():
            return
        kind = error if isinstance(error, type) else type(error)
        hurried = issubclass(kind, BaseException) and not issubclass(kind, Exception)
        self._thread.join(HURRY if hurried else PATIENCE)
        if self._thread.is_alive():
            _left.difference_update([thread for thread in _left if not thread.is_alive()])
            _left.add(self._thread)


@atexit.register
def _await_left() -> None:
    """Give threads that were left a last moment: one that runs while Python ends may crash it."""
    end = time.perf_counter() + HURRY
    for thread in _left:
        thread.join(max(0.0, end - time.perf_counter()))


def each(source: Source) -> Iterator[Block]:
    """Yield the blocks of a source, which a thread reads ahead if they keep."""
    if not source.keeps:
        yield from source.blocks()
        return
    ahead = Ahead(source.blocks)
    try:
        while True:
            try:
                item = ahead.get()
            except StopIteration:
                return
            yield item
    except BaseException as error:
        ahead.close(error)
        raise
    finally:
        ahead.close()
