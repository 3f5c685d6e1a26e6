"""Files read once: opened once, and judged by what was read, never by a second look at the name.

Beside a process that replaces the file, whoever opens a name twice may find two files. And a file
that is mapped into memory ends the process when another one cuts it. So readers take one
descriptor, ask that one what it is, and copy the bytes before they believe them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from deltaloop._files.paths import check_regular

__all__ = ["exactly", "reading"]


@contextmanager
def reading(name: str) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a regular file and its size. OSError if it cannot be opened, ValueError if it is none.

    The size is what the system says: only what `exactly` returns is known to be there. At the end
    a ValueError if somebody wrote to the file, as far as the time of its last change tells; what
    replaces it does no harm.
    """
    try:
        file = open(name, "rb", opener=_at_once)  # noqa: SIM115
    except PermissionError as error:
        if os.path.isdir(name):  # what Windows says of directories
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name) from error
        raise
    with file:
        status = os.fstat(file.fileno())
        check_regular(name, status.st_mode)
        yield file, status.st_size
        now = os.fstat(file.fileno())
        if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise ValueError("expected a file that stays as it is, found that it was just written")


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting: for a named pipe until somebody writes, for a terminal."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def exactly(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes. ValueError if they are not there."""
    content = file.read(size)
    if len(content) < size:
        raise ValueError(
            f"expected {size} bytes, found the end of the file after {len(content)}: the file was "
            "cut while it was read"
        )
    return content
