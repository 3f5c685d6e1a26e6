"""A safetensors file, read once: its metadata and header, then its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from deltaloop._files.contents import exactly, reading
from deltaloop._files.header import read_header
from deltaloop._files.paths import short

__all__ = ["metadata", "read"]

Arrays = dict[str, NDArray[np.generic]]
T = TypeVar("T")


def read(
    name: str,
    describe: Callable[[dict[str, str], dict[str, Any], int], T],
    check: Callable[[bytes, bytes], None] | None = None,
) -> tuple[T, Arrays, int]:
    """Read a file: what `describe` says of it, its tensors, and its size.

    `describe` judges the metadata, the header without it, and the number of the bytes behind the
    header, before anything is allocated for these. `check` judges the start and all bytes.
    ValueError if the file is no safetensors file, OSError if it cannot be read.
    """
    with reading(name) as (file, size):
        start, header = read_header(file, size)
        found = describe(metadata(header), header, size - len(start))
        file.seek(0)
        content = exactly(file, size)
    if not content.startswith(start):
        raise ValueError("expected the header to stay, found another: the file changes")
    if check is not None:
        check(start, content)
    try:
        return found, load(content), size
    # safetensors may quote the header, raw and at any length, and trips over types that it has not.
    except (SafetensorError, TypeError, KeyError) as error:
        raise ValueError(f"damaged safetensors file: {short(str(error), 200)}") from error


def metadata(header: dict[str, Any]) -> dict[str, str]:
    """Take the metadata out of a header."""
    entries = header.pop("__metadata__", {})
    if not (isinstance(entries, dict) and all(isinstance(text, str) for text in entries.values())):
        raise ValueError("expected metadata to be a JSON object of texts, found something else")
    return entries
