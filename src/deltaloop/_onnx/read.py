"""Networks from ONNX files: the layers of the graph, and what the writer noted beside it."""

from __future__ import annotations

import os

import numpy as np

from deltaloop import convert
from deltaloop._arguments import layers as _layers
from deltaloop._files import description as _files
from deltaloop._onnx.graph import Graph, Units
from deltaloop._onnx.protobuf import metadata, read_model
from deltaloop._onnx.write import PREFIX, library
from deltaloop.losses import Loss
from deltaloop.network import Network

# Of opsets before this one operators have other attributes.
MIN_OPSET = 7


def read(
    path: str | os.PathLike[str],
    loss: Loss | None,
    seed: int | np.random.Generator | None,
) -> Network:
    """Read a network; see `deltaloop.from_onnx`."""
    name = _files._path_name(path)
    onnx = library()
    with _files._naming(name):
        model = read_model(onnx, name)
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        if opsets.get("", opsets.get("ai.onnx", 0)) < MIN_OPSET:
            raise ValueError(f"expected an ONNX model of opset {MIN_OPSET} or newer")
        for function in model.functions:
            if function.domain in ("", "ai.onnx", "ai.onnx.ml"):
                shown = _files.short(function.name)
                raise ValueError(
                    f"expected the operators of ONNX, found {shown} with another meaning"
                )
        layers = _chain(Graph(onnx, model.graph).result())
        return _network(layers, metadata(model, PREFIX), loss, seed)


def _chain(units: Units) -> list[Units]:
    """Return the layers, first to last."""
    layers: list[Units] = []
    while units.sum is not None:
        layers.append(units)
        units = units.sum.below
    return layers[::-1]


def _network(
    layers: list[Units],
    entries: dict[str, str],
    loss: Loss | None,
    seed: int | np.random.Generator | None,
) -> Network:
    weights, biases = [], []
    for units in layers:
        assert units.sum is not None
        w, b = units.sum.weights, units.sum.biases
        weights.append(w)
        biases.append(np.zeros(w.shape[1]) if b is None else b)
    sizes, parameters = _layers.join(weights, biases)
    activations = [units.activation for units in layers]
    residual = _layers.is_residual(sizes, [units.residual for units in layers])
    if not entries:
        return convert.made(weights, biases, activations, residual, loss, seed)
    said = _files._describe(entries)
    found = (sizes, tuple(activations[:-1]), activations[-1], residual)
    if found != (said.layers, said.activation, said.output, said.residual):
        raise ValueError(
            "expected the graph that the model's metadata describes, layers "
            f"{_files.short(str(list(said.layers)))}, found another, of layers "
            f"{_files.short(str(list(sizes)))}: a model that was changed should not keep the "
            f"entries {PREFIX}* of its metadata_props"
        )
    return Network._restore(
        sizes,
        said.activation,
        said.output,
        said.loss if loss is None else loss,
        residual,
        said.init,
        said.seed if seed is None else seed,
        said.position if seed is None else 0,
        parameters,
    )
