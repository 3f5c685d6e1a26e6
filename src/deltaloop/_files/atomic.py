"""Files written completely or not at all: beside the old one, which a rename then replaces."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from safetensors import SafetensorError

from deltaloop._files.paths import check_regular


def write_bytes(name: str, content: bytes) -> None:
    """Write a file, completely or not at all; errors name it."""
    with writing(name), replacement(name) as temporary, open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Name errors after the file that was asked for, not the temporary one."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{name}: {error}") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


@contextmanager
def replacement(name: str) -> Iterator[str]:
    """Yield the name of a new file beside `name` that becomes `name` if the block succeeds.

    It lies in the same directory, so that the final rename cannot cross file systems. Links are
    followed: it is what they point to that is replaced.
    """
    target = os.path.realpath(name)
    mode = _existing_mode(target)
    temporary = os.path.join(os.path.dirname(target), f".deltaloop-{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    try:
        # safetensors (0.8.0) replaces the file by one that nobody else may read.
        mode = os.stat(temporary).st_mode if mode is None else mode
        yield temporary
        os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _existing_mode(target: str) -> int | None:
    """Return the permissions of the file to be replaced, None if there is none.

    A rename would replace a directory's contents, a device or a write-protected file without
    asking, hence the errors.
    """
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    check_regular(target, mode, "expected a regular file or a new name, found something else there")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    return mode
