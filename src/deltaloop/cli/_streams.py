"""The standard output and error: closed, full, or of an encoding that lacks characters.

What a stream's encoding cannot say is escaped. An output that cannot be written is an OSError that
names it; messages that nobody hears are left out.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from deltaloop._files.atomic import writing

__all__ = ["OUTPUT", "check", "flush", "note", "say"]

OUTPUT = "standard output"


def check() -> None:
    """OSError if the standard output is closed."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), OUTPUT)


def say(text: str) -> None:
    """Write a line, or several, to the standard output."""
    check()
    with _output():
        sys.stdout.write(_encodable(sys.stdout, text) + "\n")


def flush() -> None:
    """Bring out what was said."""
    if sys.stdout is not None:
        with _output():
            sys.stdout.flush()


def note(text: str) -> None:
    """Write a line to the standard error, if anybody can hear it."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(_encodable(sys.stderr, text) + "\n")
            sys.stderr.flush()


@contextmanager
def _output() -> Iterator[None]:
    """Name errors, and let what is left in the buffer go nowhere instead of failing again."""
    try:
        with writing(OUTPUT):
            yield
    except OSError:
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        raise


def _encodable(stream: TextIO, text: str) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
