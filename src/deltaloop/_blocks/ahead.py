"""What a thread makes ahead of its use, a few at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from deltaloop._blocks.block import Block, Source

# Seconds between two looks whether the thread is still there, or is to end.
TICK = 0.5
# Seconds for which the end of a thread is waited for, which may be within a long read.
PATIENCE = 10.0


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

    def get(self) -> Any:
        """Return the next item, or raise what making it has raised; StopIteration at the end."""
        if self._over:
            raise StopIteration
        if self._held:
            self._room.release()
        while True:
            try:
                there, item = self._items.get(timeout=TICK)
                break
            except queue.Empty:
                if not self._thread.is_alive() and self._items.empty():
                    raise RuntimeError("the thread that reads blocks has ended") from None
        if there:
            self._held = True
            return item
        self._over = True
        raise StopIteration if item is None else item

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._room.release()
        if self._thread is not threading.current_thread():
            self._thread.join(PATIENCE)


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
    finally:
        ahead.close()
