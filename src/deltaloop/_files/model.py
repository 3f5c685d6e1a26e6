"""Model files, whole: a network as tensors and a description, and back to plain arrays.

A file holds the float64 tensors `weights.1`, `biases.1`, ..., `weights.L`, `biases.L` and, as
metadata, everything else a network needs. Files may come from anywhere, so nothing in them is
believed: each length is checked before anything is allocated for it, the tensors must be
exactly those that the layers call for, and whatever is wrong ends in a ValueError that names
the file. Nothing in a file is ever executed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments import layers as _layers
from deltaloop._files import tensors as _tensors
from deltaloop._files.atomic import replacement, writing
from deltaloop._files.description import (
    TABLE,
    USER_PREFIX,
    Description,
    check_names,
    describe,
    entries_of,
)
from deltaloop._files.header import check_finite, new_header
from deltaloop._files.paths import path_name, short
from deltaloop.scaling import ARRAYS

__all__ = ["Contents", "Notes", "read", "save"]


def save(
    network: _core.Core,
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a network to a file, completely or not at all; see `Network.save`.

    Nobody else has the network, so that its parameters stay what they are when they are checked.
    The same network and metadata give the same bytes every time. An existing file is replaced in
    one step and keeps its permissions; if anything fails before that, it stays as it was.
    TypeError for wrong arguments; ValueError if a parameter is not finite, the metadata cannot be
    stored or `path` names something else than a file; OSError if the file cannot be written.
    """
    name = path_name(path)
    user = _user_entries(metadata)
    weights, biases = _layers.views(network.layers, network._parameters)
    tensors: dict[str, NDArray[np.float64]] = {}
    for number, (w, b) in enumerate(zip(weights, biases, strict=True), start=1):
        tensors[f"weights.{number}"] = w
        tensors[f"biases.{number}"] = b
    if network._scaling is not None:
        for array, values in zip(ARRAYS, network._scaling.arrays, strict=True):
            tensors[f"scaling.{array}"] = values
    with writing(name):
        for tensor, values in tensors.items():
            check_finite(tensor, values)
        # The order of the package safetensors.
        shapes = {tensor: tensors[tensor].shape for tensor in sorted(tensors)}
        start = new_header(entries_of(network) | user, shapes)
        with replacement(name) as file:
            file.write(start)
            for tensor in shapes:
                file.write(np.ascontiguousarray(tensors[tensor], "<f8").data)


class Notes(NamedTuple):
    """What a file says beside its network: the user's metadata; also its name and its bytes."""

    name: str
    user: dict[str, str]
    size: int

    @property
    def of_table(self) -> bool:
        """Whether the network is a part of a table's model; a note "table" of one's own is text."""
        return self.user.get(TABLE, "").startswith("{")


class Contents(NamedTuple):
    """What one file held when it was read: what it describes, its numbers, the rest."""

    description: Description
    parameters: NDArray[np.float64]
    notes: Notes


def read(name: str) -> Contents:
    """Read a file, once. ValueError if it is no model, OSError if it cannot be read.

    Twice the memory of the parameters is taken at most, and little before all but their values is
    known to be right.
    """
    description, tensors, size = _tensors.read(name, _described)
    return Contents(
        description, _parameters(tensors, description), Notes(name, description.user, size)
    )


def _described(entries: dict[str, str], header: dict[str, Any], data_bytes: int) -> Description:
    """Return what the metadata of a file says, checked, as are its tensors' types and shapes."""
    description = describe(entries)
    _check_tensors(header, description, data_bytes)
    return description


def _user_entries(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return the user's metadata with prefixed keys. TypeError or ValueError if not storable."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, got {type(metadata).__name__}")
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise TypeError(f"metadata keys must be str, got {key!r}")
        if not isinstance(value, str):
            raise TypeError(f"metadata[{key!r}] must be a str, got {type(value).__name__}")
        try:
            (key + value).encode()
        except UnicodeEncodeError:
            raise ValueError(f"metadata[{key!r}] has no UTF-8 encoding") from None
    return {USER_PREFIX + key: value for key, value in metadata.items()}


def _check_tensors(header: dict[str, Any], description: Description, data_bytes: int) -> None:
    """Raise a ValueError unless the tensors are those of the layers, and nothing else.

    Where in the file they are is left to safetensors.
    """
    if 8 * description.n_values != data_bytes:
        raise ValueError(
            f"expected {description.n_values} float64 values of layers "
            f"{short(str(list(description.layers)))}, found {data_bytes} bytes of tensors"
        )
    shapes = dict(description.shapes())
    check_names("tensors", frozenset(shapes), set(header))
    for name, shape in shapes.items():
        entry = header[name]
        found = entry if isinstance(entry, dict) else {}
        dtype, sizes = found.get("dtype"), found.get("shape")
        if dtype != "F64":
            raise ValueError(f"expected {name} to be F64, found {short(str(dtype))}")
        # type(), since 3.0 and true equal whole numbers.
        if not (
            isinstance(sizes, list)
            and sizes == list(shape)
            and all(type(length) is int for length in sizes)
        ):
            shown = sizes[:20] if isinstance(sizes, list) else sizes
            raise ValueError(f"expected {name} to have shape {shape}, found {short(str(shown))}")


def _parameters(tensors: dict[str, NDArray[Any]], description: Description) -> NDArray[np.float64]:
    """Return all numbers, the parameters (P,) first. Only tensors still to come are kept."""
    parameters = np.empty(description.n_values)
    start = 0
    for name, shape in description.shapes():
        values = tensors.pop(name)
        if values.dtype != np.float64 or values.shape != shape:
            raise ValueError(f"expected {name} to have shape {shape}, found {values.shape}")
        check_finite(name, values)
        parameters[start : start + values.size] = values.ravel()
        start += values.size
    return parameters
