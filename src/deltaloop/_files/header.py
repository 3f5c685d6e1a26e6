"""The header of a safetensors file: JSON of limited size, each key once, in a fixed order.

A header may come from anywhere: its length is checked before it is read, and the values in it are
counted before it is parsed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deltaloop._files import signatures, strict_json
from deltaloop._files.contents import exactly

# What a file can make a reader allocate before it is known to be one of ours. safetensors (0.8.0)
# takes 100 MB of JSON; 1 MiB of it took up to 32 MB of memory: about 110 bytes for each value and
# bracket, 7 for each byte of a long string. With both limits a reader stays below 10 MB, which
# tests/files/test_memory.py measures. A layer takes 150 bytes, and 26 values and brackets: 1,500
# layers.
MAX_HEADER_BYTES = 1 << 19
MAX_HEADER_PARTS = 40_000
ALWAYS_FIT = 1500


def read_header(file: BinaryIO, size: int) -> tuple[bytes, dict[str, Any]]:
    """Return the start of a file of so many bytes, up to the tensors' data, and what it says."""
    start = file.read(8)
    if len(start) < 8:
        found = signatures.found(start) or str(len(start))
        raise ValueError(f"expected a safetensors file of more than 8 bytes, found {found}")
    length = int.from_bytes(start, "little")
    limit = min(MAX_HEADER_BYTES, size - 8)
    if not 2 <= length <= limit:
        kind = signatures.found(start + file.read(1000))
        if kind == signatures.ONNX:
            kind += "; deltaloop.from_onnx reads it"
        if kind is not None and kind != signatures.SAFETENSORS:
            raise ValueError(f"expected a model file (safetensors), found {kind}")
        raise ValueError(
            f"expected a safetensors header of 2 to {limit} bytes, found a length of {length}"
        )
    text = exactly(file, length)
    return start + text, _parsed(text)


def _parsed(text: bytes) -> dict[str, Any]:
    """Parse a header. ValueError if it takes much memory, is no object, or says a thing twice."""
    header = strict_json.parse(text, "the header", MAX_HEADER_PARTS)
    if not isinstance(header, dict):
        raise ValueError(
            f"expected a header that is a JSON object, found a {type(header).__name__}"
        )
    return header


def new_header(
    entries: Mapping[str, str],
    shapes: Mapping[str, Sequence[int]],
    types: Mapping[str, str] | None = None,
) -> bytes:
    """Return the start of a file with this metadata and these tensors, in this order.

    They are of float64, or of these types of eight bytes.

    The package safetensors would want all tensors at once, copy them three times, and write the
    metadata in an order that changes from process to process.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(entries.items()))}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 8 * math.prod(shape)
        dtype = "F64" if types is None else types[name]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-8 * (-len(text) // 8))  # so that the tensors begin at a multiple of 8
    try:
        if len(text) > MAX_HEADER_BYTES:
            raise ValueError(
                f"expected a header of at most {MAX_HEADER_BYTES} bytes, layers and metadata "
                f"take {len(text)}"
            )
        _parsed(text)
    except ValueError as error:
        if len(shapes) <= 2 * ALWAYS_FIT:
            raise
        raise ValueError(
            f"too many layers for a model file, {len(shapes) // 2} (about {ALWAYS_FIT:,} always "
            "fit); use pickle or to_onnx"
        ) from error
    return len(text).to_bytes(8, "little") + text


def check_finite(name: str, values: NDArray[np.float64]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"expected finite values in {name}, found {values[place]} at {list(place)}"
        )
