"""Ctrl-C and SIGTERM: the exit status, and the model so far."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

from deltaloop.cli._streams import note

__all__ = ["Terminated", "save_so_far", "served"]


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: it ends a command as Ctrl-C does."""


@contextmanager
def served() -> Iterator[None]:
    """Raise Terminated when SIGTERM comes, unless the program that calls has a use of its own."""
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> Never:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would end what it asks for
        raise Terminated

    try:
        signal.signal(signal.SIGTERM, terminate)
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def save_so_far(
    args: argparse.Namespace, interrupt: KeyboardInterrupt, save: Callable[[], None]
) -> None:
    """Save the model of a fit that was interrupted, where one was asked for, and say so.

    Its checkpoint is written already.
    """
    if hasattr(interrupt, "checkpoint"):
        path, epochs = interrupt.checkpoint
        after = f"{epochs} epoch{'s' if epochs != 1 else ''}"
        note(f"deltaloop: --resume {path} goes on with the training, after {after}")
    if args.output_model is None or not hasattr(interrupt, "network"):
        return
    try:
        save()
    except (OSError, ValueError) as error:
        note(f"deltaloop: the model so far is not saved: {error}")
        return
    epochs = interrupt.result.epochs  # type: ignore[attr-defined]
    note(
        f"deltaloop: the model so far, of {epochs} epoch{'s' if epochs != 1 else ''}, is saved in "
        f"{args.output_model}"
    )
