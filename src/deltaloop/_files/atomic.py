"""Files written completely or not at all: beside the old one, which a rename then replaces.

Devices and the process's own streams, such as /dev/null and /dev/stdout, are written directly.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from deltaloop._files import temporary
from deltaloop._files.paths import check_regular

__all__ = ["check", "is_direct", "is_same", "replacement", "write_bytes", "writing"]

_STREAM = re.compile(
    r"/dev/(?:(stdout)|(stderr)|(stdin)|fd/([0-9]{1,9}))|/proc/self/fd/([0-9]{1,9})"
)


def write_bytes(name: str, content: bytes | memoryview) -> None:
    """Write a file, completely or not at all; errors name it."""
    with writing(name), replacement(name) as file:
        file.write(content)


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Name errors after the file that was asked for, not the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise OSError(f"{name}: {error}") from error
        raise OSError(error.errno, error.strerror, name) from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def check(name: str) -> None:
    """Try whether a file could be written, and leave all as it was. Errors name it."""
    with writing(name):
        if is_direct(name):
            _direct(name).close()
        else:
            temporary.discard(_created(name)[2])


@contextmanager
def replacement(name: str, durable: bool = False) -> Iterator[IO[bytes]]:
    """Yield a new file that becomes `name` if the block succeeds.

    It lies in the same directory, so that the final rename cannot cross file systems. Links are
    followed: it is what they point to that is replaced. If it is `durable`, the rename is on the
    disk at the end, too: after a power failure the name is that of the new file.
    """
    if is_direct(name):
        with _direct(name) as file:
            yield file
        return
    temporary.remove_leftovers(os.path.dirname(os.path.realpath(name)))
    target, mode, file = _created(name)
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        if mode is not None:
            os.chmod(file.name, stat.S_IMODE(mode))
        if sys.platform == "win32":  # which renames no file that is open
            file.close()
        os.replace(file.name, target)
        file.close()
        if durable:
            _sync(os.path.dirname(target))
    except BaseException:
        temporary.discard(file)
        raise


def _sync(directory: str) -> None:
    """Write a directory to the disk, where directories can be opened for that."""
    if sys.platform == "win32":
        return
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:  # file systems that know no such thing
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)


def is_same(name: str, other: str) -> bool:
    """Whether two names are those of one file, which may be there or not. Never of a device."""
    if is_direct(name):
        return False
    try:
        return os.path.samefile(name, other)
    except OSError:
        return os.path.realpath(name) == os.path.realpath(other)


def is_direct(name: str) -> bool:
    """Whether a name is that of a device or of one of the process's own streams."""
    if _STREAM.fullmatch(name):
        return os.name == "posix"
    try:
        return stat.S_ISCHR(os.stat(name).st_mode)
    except OSError:
        return False


def _direct(name: str) -> IO[bytes]:
    """Open a device, or a stream where it is: what is written comes after what was written."""
    found = _STREAM.fullmatch(name)
    if found is None:
        return open(name, "wb", opener=lambda path, _: os.open(path, _DEVICE))
    number = 1 if found[1] else 2 if found[2] else int(found[4] or found[5] or 0)
    if number == 0:  # a redirected one is a file that was given to be read
        raise ValueError("expected a file to write to, found the standard input")
    stream = {1: sys.stdout, 2: sys.stderr}.get(number)
    if stream is not None:
        stream.flush()
    return os.fdopen(os.dup(number), "wb")


_DEVICE = os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def _created(name: str) -> tuple[str, int | None, IO[bytes]]:
    """Return what is to be replaced, its permissions, None if there is nothing, and a new file.

    A rename would replace a directory's contents, a device or a write-protected file without
    asking, hence the errors.
    """
    target = os.path.realpath(name)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        if not os.path.basename(name):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name) from None
        return target, None, temporary.create(os.path.dirname(target), private=False)
    check_regular(target, mode, "expected a regular file or a new name, found something else there")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    return target, mode, temporary.create(os.path.dirname(target), private=True)
