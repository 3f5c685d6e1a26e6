"""New files that have no name of their own yet, and the removal of those that nobody finished.

Whoever writes such a file holds a lock on it (flock), which ends with the process however that
ends. What nobody holds is left over from a process that was killed, and the next writer in the
folder removes it.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import stat
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import IO

if sys.platform != "win32":
    import fcntl

__all__ = ["create", "discard", "remove_leftovers"]

_NAME = re.compile(r"\.deltaloop-([0-9a-f]{8})-[0-9a-f]{16}\.tmp")

# How old what nobody seems to hold must be where the lock says nothing: it was made on another
# machine, whose locks may not be seen here, or there are no such locks.
_OLD_SECONDS = 86_400.0

_ATTEMPTS = 100


def create(directory: str, private: bool) -> IO[bytes]:
    """Make a new file in a directory and lock it. If it is private, only its owner may read it."""
    for _ in range(_ATTEMPTS):
        name = f".deltaloop-{_machine()}-{os.urandom(8).hex()}.tmp"
        path = os.path.join(directory, name)
        file = open(path, "xb", opener=_opener(mode=0o600 if private else 0o666))  # noqa: SIM115
        # Another writer may take it for left over until it is locked, and remove it.
        if _lock(file) is not False and os.path.lexists(path):
            return file
        discard(file)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), directory)


def discard(file: IO[bytes]) -> None:
    """Remove a file that `create` made."""
    if sys.platform == "win32":  # which removes no file that is open
        with suppress(OSError):
            file.close()
    with suppress(OSError):
        os.unlink(file.name)
    with suppress(OSError):  # what could not be written
        file.close()


def remove_leftovers(directory: str) -> None:
    """Remove the files in a directory that killed processes have left, as far as that can be."""
    with suppress(OSError):
        for name in os.listdir(directory or "."):
            found = _NAME.fullmatch(name)
            if found is not None:
                with suppress(OSError):
                    _remove(os.path.join(directory, name), found[1] == _machine())


def _remove(path: str, here: bool) -> None:
    """Remove a file that nobody holds, made on this machine, or else old."""
    if sys.platform == "win32":
        if _is_old(os.lstat(path)):
            os.unlink(path)  # PermissionError where somebody has it open
        return
    # The name may be a trap: a link, or a named pipe.
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    with open(
        path, "r+b", buffering=0, opener=lambda path, more: os.open(path, more | flags)
    ) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return
        free = _lock(file)
        if free is False or not ((free and here) or _is_old(status)):
            return
        # It may have become the new file of its writer before the lock was free.
        if os.path.samestat(status, os.lstat(path)):
            os.unlink(path)


def _opener(more: int = 0, mode: int = 0) -> Callable[[str, int], int]:
    """Return what opens files for `open`, with more flags or with permissions of new files."""
    return lambda path, flags: os.open(path, flags | more, mode)


def _is_old(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > _OLD_SECONDS


def _lock(file: IO[bytes]) -> bool | None:
    """Lock a file for as long as it is open. False if another has it, None if locks are unknown."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES) else None
    return True


def _machine() -> str:
    """Return eight digits for this machine's name: locks may be those of one machine alone."""
    return f"{zlib.crc32(platform.node().encode(errors='surrogateescape')):08x}"
