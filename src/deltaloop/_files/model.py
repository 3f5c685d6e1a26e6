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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from deltaloop import _core
from deltaloop._arguments import layers as _layers
from deltaloop._files.atomic import replacement, writing
from deltaloop._files.description import (
    USER_PREFIX,
    Description,
    check_names,
    describe,
    entries_of,
)
from deltaloop._files.header import check_finite, check_size, sort_metadata
from deltaloop._files.paths import naming, path_name, short
from deltaloop.scaling import ARRAYS

__all__ = ["read", "read_metadata", "save"]


def save(
    network: _core.Core,
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a network to a file, completely or not at all; see `Network.save`.

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
        entries = entries_of(network) | user
        with replacement(name) as temporary:
            save_file(tensors, temporary, metadata=entries)
            sort_metadata(temporary)


def read(name: str) -> tuple[Description, NDArray[np.float64]]:
    """Return what a file says and all its numbers, the parameters (P,) first.

    ValueError if it is no model, OSError.
    """
    data_bytes = check_size(name)
    with safe_open(name, framework="numpy") as file:
        description = describe(file.metadata())
        _check_tensors(file, description, data_bytes)
        return description, _read_parameters(file, description)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that was given to `Network.save`, empty if none was.

    Fails as `load` does, but does not look at the tensors.
    """
    name = path_name(path)
    with naming(name):
        check_size(name)
        with safe_open(name, framework="numpy") as file:
            return describe(file.metadata()).user


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


def _check_tensors(file: Any, description: Description, data_bytes: int) -> None:
    """Raise a ValueError unless the tensors are those of the layers, and nothing else."""
    if 8 * description.n_values != data_bytes:
        raise ValueError(
            f"expected {description.n_values} float64 values of layers "
            f"{short(str(list(description.layers)))}, found {data_bytes} bytes of tensors"
        )
    shapes = dict(description.shapes())
    check_names("tensors", frozenset(shapes), set(file.keys()))
    for name, shape in shapes.items():
        view = file.get_slice(name)
        if view.get_dtype() != "F64":
            raise ValueError(f"expected {name} to be F64, found {view.get_dtype()}")
        if tuple(view.get_shape()) != shape:
            raise ValueError(
                f"expected {name} to have shape {shape}, found "
                f"{short(str(tuple(view.get_shape())[:20]))}"
            )


def _read_parameters(file: Any, description: Description) -> NDArray[np.float64]:
    """Return all numbers; beside them one tensor at a time is in memory."""
    parameters = np.empty(description.n_values)
    start = 0
    for name, _ in description.shapes():
        values = file.get_tensor(name)
        check_finite(name, values)
        parameters[start : start + values.size] = values.ravel()
        start += values.size
    return parameters
