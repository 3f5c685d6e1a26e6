"""The operators of ONNX that are read, a row for each: the attributes that it may have.

An attribute that an operator does not have, that is there twice or of another type is no ONNX. A
reader that takes one or the other reads another network than the next one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deltaloop._files.paths import short
from deltaloop._onnx.activations import FORMS, Single

# AttributeProto's types, by their numbers and the fields that hold their values.
TYPES = {
    1: ("FLOAT", "f"),
    2: ("INT", "i"),
    3: ("STRING", "s"),
    4: ("TENSOR", "t"),
    5: ("GRAPH", "g"),
    6: ("FLOATS", "floats"),
    7: ("INTS", "ints"),
    8: ("STRINGS", "strings"),
    9: ("TENSORS", "tensors"),
    10: ("GRAPHS", "graphs"),
    11: ("SPARSE_TENSOR", "sparse_tensor"),
    12: ("SPARSE_TENSORS", "sparse_tensors"),
    13: ("TYPE_PROTO", "tp"),
    14: ("TYPE_PROTOS", "type_protos"),
}
_SINGULAR = ("f", "i", "s", "t", "g", "sparse_tensor", "tp")
_NUMBER = {name: number for number, (name, _) in TYPES.items()}

# The type of each attribute, of all opsets that are read.
OPERATORS: Mapping[str, Mapping[str, str]] = {
    # passed over
    "Identity": {},
    "Cast": {"to": "INT", "saturate": "INT", "round_mode": "STRING"},
    "Dropout": {"ratio": "FLOAT", "seed": "INT"},
    "Flatten": {"axis": "INT"},
    "Reshape": {"allowzero": "INT"},
    "Squeeze": {"axes": "INTS"},
    "ai.onnx.ml.ZipMap": {"classlabels_int64s": "INTS", "classlabels_strings": "STRINGS"},
    # constants
    "Constant": {
        "value": "TENSOR",
        "value_float": "FLOAT",
        "value_floats": "FLOATS",
        "value_int": "INT",
        "value_ints": "INTS",
        "value_string": "STRING",
        "value_strings": "STRINGS",
        "sparse_value": "SPARSE_TENSOR",
    },
    "Transpose": {"perm": "INTS"},
    # sums, and what is folded into them
    "MatMul": {},
    "Gemm": {"alpha": "FLOAT", "beta": "FLOAT", "transA": "INT", "transB": "INT"},
    "BatchNormalization": {
        "epsilon": "FLOAT",
        "momentum": "FLOAT",
        "spatial": "INT",
        "training_mode": "INT",
    },
    "ai.onnx.ml.Scaler": {"offset": "FLOATS", "scale": "FLOATS"},
    "Add": {},
    "Sub": {},
    "Mul": {},
    "Div": {},
    # activations, whole
    "Elu": {"alpha": "FLOAT"},
    "Exp": {},
    "Gelu": {"approximate": "STRING"},
    "LeakyRelu": {"alpha": "FLOAT"},
    "Mish": {},
    "Relu": {},
    "Sigmoid": {},
    "Softmax": {"axis": "INT"},
    "Softplus": {},
    "Swish": {"alpha": "FLOAT"},
    "Tanh": {},
    # and what they are composed of
    "Abs": {},
    "Erf": {},
    "Greater": {},
    "Log": {},
    "Max": {},
    "Min": {},
    "Neg": {},
    "Where": {},
    # classes
    "ArgMax": {"axis": "INT", "keepdims": "INT", "select_last_index": "INT"},
    "Concat": {"axis": "INT"},
    "Gather": {"axis": "INT"},
}

# Values of attributes that change nothing: where one has such a value it may as well be left out.
PLAIN: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    form.op: {key: (value,) for key, value in form.attributes.items()}
    for forms in FORMS.values()
    for form in forms
    if isinstance(form, Single)
} | {"Softmax": {"axis": (-1, 1)}, "Concat": {"axis": (1, -1)}}


def name_of(node: Any) -> str:
    """Return the operator's name, with its domain if that is not ONNX's own."""
    own = node.domain in ("", "ai.onnx")
    return node.op_type if own else f"{node.domain}.{node.op_type}"


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name, as the file has them. ValueError for wrong ones."""
    known = OPERATORS.get(name_of(node))
    found: dict[str, Any] = {}
    for entry in node.attribute:
        name = entry.name
        if name in found:
            raise ValueError(f"expected each attribute once, found {short(name)} twice")
        found[name] = entry
        if known is None:
            continue
        if name not in known:
            names = ", ".join(known) or "no attributes"
            raise ValueError(f"expected {names}, found {short(name)}")
        if entry.type != _NUMBER[known[name]] or entry.ref_attr_name:
            kind = TYPES.get(entry.type, ("nothing known",))[0]
            kind = "a reference" if entry.ref_attr_name else kind
            raise ValueError(f"expected {name} to be of type {known[name]}, found {kind}")
        for kind, field in TYPES.values():
            filled = entry.HasField(field) if field in _SINGULAR else len(getattr(entry, field)) > 0
            if filled and kind != known[name]:
                raise ValueError(f"expected {name} to hold a {known[name]}, found {kind} beside it")
    return found


def named(node: Any) -> str:
    """Name a node and its operator."""
    name = f" {short(node.name)}" if node.name else ""
    op = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"node{name} ({short(op)[1:-1]}{''.join(_shown(node))})"


def _shown(node: Any) -> Iterator[str]:
    for entry in list(node.attribute)[:3]:
        kind, name = entry.type, short(entry.name)[1:-1]
        if kind in (1, 2):  # AttributeProto.FLOAT, INT
            yield f", {name}={entry.f if kind == 1 else entry.i:g}"
        elif kind == 3:  # STRING
            yield f", {name}={short(entry.s.decode(errors='replace'))}"
