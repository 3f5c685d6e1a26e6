"""Networks as ONNX files: in float64, of common operators, with the weights in the file itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltaloop import _core
from deltaloop._arguments import layers as _layers
from deltaloop._files.atomic import write_bytes
from deltaloop._files.description import entries_of
from deltaloop._files.header import check_finite
from deltaloop._files.paths import naming, path_name
from deltaloop._onnx.activations import FLOAT64, FORMS

# Operators and file format of 2022: ONNX Runtime 1.12 reads them, and nothing newer is needed.
OPSET = 17
IR_VERSION = 8

# A protobuf message of 2 GiB cannot be written; what is not a weight takes far less than 16 MiB.
MAX_WEIGHT_BYTES = 2**31 - 2**24

# Of the keys in metadata_props that say what a graph cannot.
PREFIX = "deltaloop."


def library() -> Any:
    """Return the module onnx. ImportError with the way to get it."""
    try:
        import onnx
    except ImportError:
        raise ImportError("ONNX files need onnx: pip install 'deltaloop[onnx]'") from None
    return onnx


def write(
    network: _core.Core,
    path: str | os.PathLike[str],
    *,
    classes: Sequence[object] | None = None,
    multilabel: bool = False,
) -> None:
    """Write a network to an ONNX file, completely or not at all.

    The input is ``X``, float64 (n, m^(0)). Without `classes` and `multilabel` there is one output,
    ``Y``, float64 (n, m^(L)). With them there are two, as in the files of sklearn-onnx.

    Parameters
    ----------
    network : Network
    path : str or os.PathLike
    classes : sequence of int, float, bool or str, optional
        The class of each output, or two of them where there is one output, a probability of the
        second. Output ``label`` (n,) is the likeliest class, int64, or string, or double for floats
        that are not whole; ``probabilities`` is float64 (n, classes).
    multilabel : bool, default False
        Output ``label``, int64 (n, m^(L)), is 1 where ``probabilities``, float64 (n, m^(L)), are
        above 1/2.

    Raises
    ------
    ImportError
        Without onnx.
    TypeError, ValueError
        If a parameter is not finite, the file would be larger than 2 GB, the classes do not fit,
        or `path` names something else than a file.
    OSError
        If the file cannot be written.
    """
    name = path_name(path)
    onnx = library()
    with naming(name):
        _check(network)
    content = _model(onnx, network, classes, multilabel).SerializeToString()
    onnx.checker.check_model(content, full_check=True)
    write_bytes(name, content)


def _check(network: _core.Core) -> None:
    size = 8 * network.n_parameters
    if size > MAX_WEIGHT_BYTES:
        raise ValueError(
            f"expected parameters of at most {MAX_WEIGHT_BYTES} bytes, as many as an ONNX file "
            f"can hold, found {size}"
        )
    views = _layers.views(network.layers, network._parameters)
    for number, (w, b) in enumerate(zip(*views, strict=True), start=1):
        check_finite(f"weights.{number}", w)
        check_finite(f"biases.{number}", b)


class _Writer:
    """Collects nodes and initializers; values are their names."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.place = ""  # a prefix for names

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{self.place}{op}_{len(self.nodes)}"
        make = self.onnx.helper.make_node
        self.nodes.append(make(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, number: float) -> str:
        return self.array(repr(number), np.array(number))

    def array(self, name: str, values: Any) -> str:
        if name not in self.initializers:
            self.initializers[name] = self.onnx.numpy_helper.from_array(values, name)
        return name

    def renamed(self, output: str) -> str:
        """Give the value of the last node another name."""
        self.nodes[-1].output[0] = output
        return output


def _model(
    onnx: Any, network: _core.Core, classes: Sequence[object] | None, multilabel: bool
) -> Any:
    helper = onnx.helper
    writer = _Writer(onnx)
    value, n_outputs = _layers_of(writer, network), network.layers[-1]

    def info(name: str, shape: list[object], kind: int = FLOAT64) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    if multilabel:
        value = writer.renamed("probabilities")
        above = writer.node("Greater", value, writer.constant(0.5))
        writer.node("Cast", above, to=onnx.TensorProto.INT64)
        label = info(writer.renamed("label"), ["n", n_outputs], onnx.TensorProto.INT64)
        outputs = [label, info(value, ["n", n_outputs])]
    elif classes is not None:
        labels = _labels(classes, n_outputs)
        if n_outputs == 1:
            rest = writer.node("Sub", writer.constant(1.0), value)
            writer.node("Concat", rest, value, axis=1)
        value = writer.renamed("probabilities")
        best = writer.node("ArgMax", value, axis=1, keepdims=0)
        tensor = writer.array("classes", labels)
        writer.node("Gather", tensor, best, axis=0)
        kind = writer.initializers["classes"].data_type
        label = info(writer.renamed("label"), ["n"], kind)
        outputs = [label, info(value, ["n", len(labels)])]
    else:
        outputs = [info(writer.renamed("Y"), ["n", n_outputs])]
    graph = helper.make_graph(
        writer.nodes,
        "deltaloop",
        [info("X", ["n", network.layers[0]])],
        outputs,
        list(writer.initializers.values()),
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="deltaloop",
        producer_version=_core.__version__,
    )
    entries = sorted(entries_of(network).items())
    helper.set_model_props(model, {PREFIX + key: value for key, value in entries})
    return model


def _layers_of(writer: _Writer, network: _core.Core) -> str:
    """Write a^(l) = g(a^(l-1) w^(l) + b^(l)) [+ a^(l-1)] for l = 1..L, between the scalings."""
    skips = _layers.skips(network.layers) if network.residual else ()
    activations = (*network.activation, network.output)
    views = _layers.views(network.layers, network._parameters)
    layers = zip(*views, activations, strict=True)
    scaling = network._scaling
    a = "X"
    if scaling is not None and scaling.scales_inputs:
        writer.place = "scaling/"
        a = writer.node("Sub", a, writer.array("input_offset", scaling.input_offset))
        a = writer.node("Div", a, writer.array("input_scale", scaling.input_scale))
    for l, (w, b, activation) in enumerate(layers, start=1):
        writer.place = f"layer{l}/"
        weights, biases = writer.array(f"weights.{l}", w), writer.array(f"biases.{l}", b)
        z = writer.node("Gemm", a, weights, biases)
        g = FORMS[activation][0](writer, z)
        a = writer.node("Add", g, a) if l in skips else g
    if scaling is not None and scaling.scales_outputs:
        writer.place = "scaling/"
        a = writer.node("Mul", a, writer.array("output_scale", scaling.output_scale))
        a = writer.node("Add", a, writer.array("output_offset", scaling.output_offset))
    writer.place = ""
    return a


def _labels(classes: Sequence[object], n_outputs: int) -> Any:
    """Return the classes as an array of a type that ONNX has."""
    labels = np.asarray(classes)
    expected = max(n_outputs, 2)
    if labels.shape != (expected,):
        raise ValueError(
            f"classes must name {expected} classes, got an array of shape {labels.shape}"
        )
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels).all() and (labels == np.trunc(labels)).all()
        return labels.astype(np.int64 if whole and abs(labels).max() < 2**53 else np.float64)
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if all(isinstance(label, str) for label in labels.tolist()):
        return labels.astype(object)
    raise TypeError(f"classes must be integers, floats, booleans or strings, got {labels.dtype}")
