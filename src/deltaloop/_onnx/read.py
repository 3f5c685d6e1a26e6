"""ONNX files read: the layers of the graph as plain arrays, and what the writer noted beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._arguments import layers as _layers
from deltaloop._files.description import Description, describe
from deltaloop._files.paths import short
from deltaloop._onnx.graph import Graph, Units
from deltaloop._onnx.protobuf import metadata, read_model
from deltaloop._onnx.write import PREFIX, library
from deltaloop.scaling import Scaling

# Of opsets before this one operators have other attributes.
MIN_OPSET = 7


class Found(NamedTuple):
    """A chain of layers, first to last, and what `Network.to_onnx` noted beside it, if it did."""

    weights: list[NDArray[Any]]
    biases: list[NDArray[Any]]
    activations: list[str]
    residual: bool
    scaling: Scaling | None
    noted: Description | None


def read(name: str) -> Found:
    """Read the layers of a file. ValueError if it holds no such chain, OSError, ImportError."""
    onnx = library()
    model = read_model(onnx, name)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("", opsets.get("ai.onnx", 0)) < MIN_OPSET:
        raise ValueError(f"expected an ONNX model of opset {MIN_OPSET} or newer")
    for function in model.functions:
        if function.domain in ("", "ai.onnx", "ai.onnx.ml"):
            shown = short(function.name)
            raise ValueError(f"expected the operators of ONNX, found {shown} with another meaning")
    layers = _chain(Graph(onnx, model.graph).result())
    return _found(layers, metadata(model, PREFIX))


def _chain(units: Units) -> list[Units]:
    """Return the layers, first to last."""
    layers: list[Units] = []
    while units.sum is not None:
        layers.append(units)
        units = units.sum.below
    return layers[::-1]


def _found(layers: list[Units], entries: dict[str, str]) -> Found:
    weights, biases = [], []
    for units in layers:
        assert units.sum is not None
        w, b = units.sum.weights, units.sum.biases
        weights.append(w)
        biases.append(np.zeros(w.shape[1]) if b is None else b)
    sizes = _layers.join(weights, biases)[0]
    activations = [units.activation for units in layers]
    residual = _layers.is_residual(sizes, [units.residual for units in layers])
    if not entries:
        return Found(weights, biases, activations, residual, None, None)
    noted = describe(entries)
    found = (sizes, tuple(activations[:-1]), activations[-1], residual)
    if found != (noted.layers, noted.activation, noted.output, noted.residual):
        raise ValueError(
            "expected the graph that the model's metadata describes, layers "
            f"{short(str(list(noted.layers)))}, found another, of layers "
            f"{short(str(list(sizes)))}: a model that was changed should not keep the "
            f"entries {PREFIX}* of its metadata_props"
        )
    return Found(weights, biases, activations, residual, None, noted)
