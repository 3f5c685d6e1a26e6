"""Networks as ONNX files: in float64, of common operators, with the weights in the file itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deltaloop import _core
from deltaloop._arguments import layers as _layers
from deltaloop._files.atomic import write_bytes
from deltaloop._files.description import entries_of
from deltaloop._files.header import check_finite
from deltaloop._files.paths import naming, path_name
from deltaloop._onnx.activations import FLOAT64, FORMS, Form

# Operators and file format of 2022: ONNX Runtime 1.12 reads them, and nothing newer is needed.
OPSET = 17
IR_VERSION = 8
# The operators of traditional machine learning, those of tables: of the same year.
ML, ML_OPSET = "ai.onnx.ml", 3

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
        check(network)
    writer = Writer(onnx)
    inputs = [writer.info("X", ["n", network.layers[0]])]
    value = layers_of(writer, network, "X")
    if multilabel:
        outputs = _of_labels(writer, value, network.layers[-1])
    elif classes is not None:
        outputs = of_classes(writer, value, classes, network.layers[-1])
    else:
        outputs = of_values(writer, network.layers[-1])
    entries = {PREFIX + key: text for key, text in sorted(entries_of(network).items())}
    save(writer.model(inputs, outputs, entries), name)


def save(model: Any, name: str) -> None:
    """Check a ModelProto and write it, completely or not at all."""
    content = model.SerializeToString()
    library().checker.check_model(content, full_check=True)
    write_bytes(name, content)


def check(network: _core.Core) -> None:
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


class Writer:
    """Collects nodes and initializers; values are their names."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.taken: set[str] = set()  # names of inputs
        self.place = ""  # a prefix for names

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator; `domain` is one of its attributes where it is not ONNX's own."""
        name = self.free(f"{self.place}{op}_{len(self.nodes)}")
        make = self.onnx.helper.make_node
        self.nodes.append(make(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, number: float) -> str:
        return self.array(repr(number), np.array(number))

    def array(self, name: str, values: Any) -> str:
        name = self.free(name)
        if name not in self.initializers:
            self.initializers[name] = self.onnx.numpy_helper.from_array(values, name)
        return name

    def free(self, name: str) -> str:
        """Return a name that no input has."""
        while name in self.taken:
            name += "_"
        return name

    def renamed(self, output: str) -> str:
        """Give the value of the last node another name."""
        self.nodes[-1].output[0] = self.free(output)
        return str(self.nodes[-1].output[0])

    def info(self, name: str, shape: list[object], kind: int = FLOAT64) -> Any:
        """Describe an input or an output."""
        return self.onnx.helper.make_tensor_value_info(name, kind, shape)

    def model(self, inputs: list[Any], outputs: list[Any], entries: Mapping[str, str]) -> Any:
        """Return the ModelProto of all that was collected, with entries of the metadata."""
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, "deltaloop", inputs, outputs, list(self.initializers.values())
        )
        imports = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            imports.append(helper.make_opsetid(ML, ML_OPSET))
        model = helper.make_model(
            graph,
            opset_imports=imports,
            ir_version=IR_VERSION,
            producer_name="deltaloop",
            producer_version=_core.__version__,
        )
        helper.set_model_props(model, dict(entries))
        return model


def of_values(writer: Writer, n_outputs: int) -> list[Any]:
    """Make the value of the last node the output ``Y``."""
    return [writer.info(writer.renamed("Y"), ["n", n_outputs])]


def of_classes(writer: Writer, value: str, classes: Sequence[object], n_outputs: int) -> list[Any]:
    """Make the outputs ``label`` and ``probabilities`` of the network's, the last node's value."""
    labels = labels_of(classes, n_outputs)
    if n_outputs == 1:
        rest = writer.node("Sub", writer.constant(1.0), value)
        writer.node("Concat", rest, value, axis=1)
    value = writer.renamed("probabilities")
    best = writer.node("ArgMax", value, axis=1, keepdims=0)
    tensor = writer.array("classes", labels)
    writer.node("Gather", tensor, best, axis=0)
    kind = writer.initializers[tensor].data_type
    label = writer.info(writer.renamed("label"), ["n"], kind)
    return [label, writer.info(value, ["n", len(labels)])]


def _of_labels(writer: Writer, value: str, n_outputs: int) -> list[Any]:
    """Make the same outputs of several labels at a time."""
    int64 = writer.onnx.TensorProto.INT64
    value = writer.renamed("probabilities")
    above = writer.node("Greater", value, writer.constant(0.5))
    writer.node("Cast", above, to=int64)
    label = writer.info(writer.renamed("label"), ["n", n_outputs], int64)
    return [label, writer.info(value, ["n", n_outputs])]


def _form(activation: str, l: int) -> Form:
    """Return what writes the activation of layer l. ValueError if there is nothing."""
    forms = FORMS[activation]
    if not forms:
        raise ValueError(
            f"an ONNX file needs operators for each activation, and the {activation} units of "
            f"layer {l} have none; give their row in deltaloop/_activations.py onnx=Operator(...), "
            "or compose them in deltaloop/_onnx/activations.py"
        )
    return forms[0]


def layers_of(writer: Any, network: _core.Core, a: str) -> str:
    """Write the network of the value `a`, and return that of its outputs.

    The formula is a^(l) = g(a^(l-1) w^(l) + b^(l)) [+ a^(l-1)] for l = 1..L, between the
    scalings. Of a writer only ``place``, ``node``, ``array`` and ``constant`` are used.
    """
    skips = _layers.skips(network.layers) if network.residual else ()
    activations = (*network.activation, network.output)
    views = _layers.views(network.layers, network._parameters)
    layers = zip(*views, activations, strict=True)
    scaling = network._scaling
    if scaling is not None and scaling.scales_inputs:
        writer.place = "scaling/"
        a = writer.node("Sub", a, writer.array("input_offset", scaling.input_offset))
        a = writer.node("Div", a, writer.array("input_scale", scaling.input_scale))
    for l, (w, b, activation) in enumerate(layers, start=1):
        writer.place = f"layer{l}/"
        weights, biases = writer.array(f"weights.{l}", w), writer.array(f"biases.{l}", b)
        z = writer.node("Gemm", a, weights, biases)
        g = _form(activation, l)(writer, z)
        a = writer.node("Add", g, a) if l in skips else g
    if scaling is not None and scaling.scales_outputs:
        writer.place = "scaling/"
        a = writer.node("Mul", a, writer.array("output_scale", scaling.output_scale))
        a = writer.node("Add", a, writer.array("output_offset", scaling.output_offset))
    writer.place = ""
    return a


def labels_of(classes: Sequence[object], n_outputs: int) -> Any:
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
