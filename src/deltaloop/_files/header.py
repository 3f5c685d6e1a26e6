"""The header of a safetensors file: JSON of limited size, each key once, in a fixed order.

A header may come from anywhere: its length is checked before it is read, and the values in it are
counted before it is parsed.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files.paths import check_regular, short

# What a file can make a reader allocate before it is known to be one of ours. safetensors (0.8.0)
# takes 100 MB of JSON; 1 MiB of it took up to 32 MB of memory: about 110 bytes for each value and
# bracket, 7 for each byte of a long string. With both limits a reader stays below 10 MB, which
# tests/files/test_memory.py measures. A layer takes 150 bytes, and 26 values and brackets: 1,500
# layers.
MAX_HEADER_BYTES = 1 << 19
MAX_HEADER_PARTS = 40_000


def check_size(name: str) -> int:
    """Return the number of bytes of tensor data, by the file's size and its header's length."""
    status = os.stat(name)
    check_regular(name, status.st_mode)
    with open(name, "rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(
                f"expected a safetensors file of more than 8 bytes, found {len(start)}"
            )
        length = int.from_bytes(start, "little")
        limit = min(MAX_HEADER_BYTES, status.st_size - 8)
        if not 2 <= length <= limit:
            raise ValueError(
                f"expected a safetensors header of 2 to {limit} bytes, found a length of {length}"
            )
        _json_header(file.read(length))
    return status.st_size - 8 - length


def _json_header(text: bytes) -> dict[str, Any]:
    """Parse a header. ValueError if it takes much memory, is no object, or says a thing twice."""
    parts, quoted = 0, False
    for match in re.finditer(rb'\\.|["\[{,]', text):
        if match[0] == b'"':
            quoted = not quoted
            parts += quoted
        elif not quoted:
            parts += 1
        if parts > MAX_HEADER_PARTS:
            raise ValueError(
                f"expected a header of at most {MAX_HEADER_PARTS} values and brackets, found more"
            )
    try:
        header = json.loads(text, object_pairs_hook=_object)
    except _DuplicateKeyError:
        raise
    except (ValueError, RecursionError):
        found = short(text[:100].decode(errors="replace"))
        raise ValueError(f"expected a header of JSON, found {found}") from None
    if not isinstance(header, dict):
        raise ValueError(
            f"expected a header that is a JSON object, found a {type(header).__name__}"
        )
    return header


class _DuplicateKeyError(ValueError):
    """A JSON object with the same key twice, of which readers take one or the other."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(
                f"expected each key of the header once, found {short(key)} twice"
            )
        found[key] = value
    return found


def sort_metadata(path: str) -> None:
    """Put the metadata of a new file in order and bring the file to the disk.

    safetensors (0.8.0 and before) writes the keys in an order that changes from process to
    process. The sorted header is the same text in another order, so it fits where the old one
    was.
    """
    with open(path, "r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(
                f"expected a header of at most {MAX_HEADER_BYTES} bytes, layers and metadata "
                f"take {length}"
            )
        header = _json_header(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise RuntimeError(f"the header grew from {length} to {len(text)} bytes")
        file.seek(8)
        file.write(text.ljust(length))
        file.flush()
        os.fsync(file.fileno())


def check_finite(name: str, values: NDArray[np.float64]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"expected finite values in {name}, found {values[place]} at {list(place)}"
        )
