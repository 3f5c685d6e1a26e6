"""Paths and what files hold, in messages: what is wrong with a file names it, and quotes little."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def path_name(path: object) -> str:
    """Return `path` as a str. TypeError unless it is a str or an os.PathLike of one."""
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"path must be a str or an os.PathLike of one, got {type(path).__name__}")
    if "\0" in name:
        raise ValueError(f"path must not hold a null character, got {name!r}")
    return name


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn every way in which a file can be wrong into a ValueError that names it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def check_regular(
    name: str, mode: int, message: str = "expected a regular file, found something else"
) -> None:
    """Refuse directories, devices and the like by the mode of a file's status."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise ValueError(message)


def twice(names: Iterable[T]) -> T | None:
    """Return the first name that is there a second time, None if there is none."""
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def short(text: str, limit: int = 60) -> str:
    """Quote what a file holds, shortened, control characters escaped."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
