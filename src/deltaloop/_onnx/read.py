"""ONNX files read: the layers of the graph as plain arrays, and what the writer noted beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._arguments import layers as _layers
from deltaloop._files.description import Description, describe
from deltaloop._files.paths import short
from deltaloop._onnx.graph import Graph
from deltaloop._onnx.protobuf import metadata, read_model
from deltaloop._onnx.values import Layer, resolve
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


def read(name: str, plain: bool) -> Found:
    """Read the layers of a file. ValueError if it holds no such chain, OSError, ImportError.

    `plain` says whether the outputs may be scaled as far as the loss is concerned.
    """
    onnx = library()
    model = read_model(onnx, name)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("", opsets.get("ai.onnx", 0)) < MIN_OPSET:
        raise ValueError(f"expected an ONNX model of opset {MIN_OPSET} or newer")
    for function in model.functions:
        if function.domain in ("", "ai.onnx", "ai.onnx.ml"):
            shown = short(function.name)
            raise ValueError(f"expected the operators of ONNX, found {shown} with another meaning")
    units = Graph(onnx, model.graph).result()
    entries = metadata(model, PREFIX)
    noted = describe(entries) if entries else None
    scaled = noted is not None and noted.scaling is not None
    layers, scaling = resolve(units, plain or scaled)
    found = _found(layers, scaling)
    return found if noted is None else _as_noted(found, noted)


def _found(layers: list[Layer], scaling: Scaling | None) -> Found:
    weights, biases = [layer.weights for layer in layers], [layer.biases for layer in layers]
    sizes = _layers.join(weights, biases)[0]
    activations = [layer.activation for layer in layers]
    residual = _layers.is_residual(sizes, [layer.residual for layer in layers])
    return Found(weights, biases, activations, residual, scaling, None)


def _as_noted(found: Found, noted: Description) -> Found:
    """Return what was found with what was noted, which must be of the same network."""
    sizes = (*(len(w) for w in found.weights), len(found.biases[-1]))
    names = found.activations
    described = (noted.layers, noted.activation, noted.output, noted.residual)
    scaling = found.scaling
    if noted.scaling is not None:
        a, b, c, d = scaling.arrays if scaling else _unscaled(noted.layers)
        scaling = Scaling(a, b, c, d, noted.scaling)
    if (sizes, tuple(names[:-1]), names[-1], found.residual) != described or (
        found.scaling is not None and noted.scaling is None
    ):
        raise ValueError(
            "expected the graph that the model's metadata describes, layers "
            f"{short(str(list(noted.layers)))}, found another, of layers "
            f"{short(str(list(sizes)))}: a model that was changed should not keep the "
            f"entries {PREFIX}* of its metadata_props"
        )
    return found._replace(scaling=scaling, noted=noted)


def _unscaled(layers: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Return the arrays of a scaling that changes nothing, which has no nodes."""
    return [part(m) for m in (layers[0], layers[-1]) for part in (np.zeros, np.ones)]
