"""A table's model as an ONNX graph: an input for each column, then what `Column.encode` does."""

from __future__ import annotations

import os

import numpy as np

from deltaloop._files.paths import naming, path_name
from deltaloop._onnx import write as _onnx
from deltaloop._onnx.activations import FLOAT64
from deltaloop.network import Network
from deltaloop.tabular import _description
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._kinds import KINDS
from deltaloop.tabular._target import Target

# What stands for a missing category: ONNX has no missing strings.
MISSING = ""


def write(
    network: Network,
    table: Table,
    target: Target,
    path: str | os.PathLike[str],
    new_is_missing: bool,
) -> None:
    """Write a model, in which a new category is missing or refused: see `Travels.to_onnx`."""
    name = path_name(path)
    onnx = _onnx.library()
    frozen = network._frozen()
    with naming(name):
        _onnx.check(frozen)
    writer = _onnx.Writer(onnx)
    inputs = [
        writer.info(
            column.name,
            ["n", 1],
            onnx.TensorProto.STRING if KINDS[column.kind].text else onnx.TensorProto.DOUBLE,
        )
        for column in table.columns
    ]
    writer.taken = {column.name for column in table.columns}
    parts = []
    for number, column in enumerate(table.columns, start=1):
        writer.place = f"column{number}/"
        if KINDS[column.kind].text:
            parts.append(_category(writer, column, new_is_missing))
        else:
            parts.append(_number(writer, column))
    writer.place = "table/"
    value = _onnx.layers_of(writer, frozen, writer.node("Concat", *parts, axis=1))
    if target.classes is None:
        outputs = _onnx.of_values(writer, frozen.layers[-1])
    else:
        outputs = _onnx.of_classes(writer, value, target.classes, frozen.layers[-1])
    entries = {f"{_onnx.PREFIX}table": _description.to_text(table, target)}
    _onnx.save(writer.model(inputs, outputs, entries), name)


def _number(writer: _onnx.Writer, column: Column) -> str:
    """Write the mean for NaN, and whether it was one."""
    absent = writer.node("IsNaN", column.name)
    (mean,) = column.means
    value = writer.node("Where", absent, writer.constant(mean), column.name)
    if not column.missing:
        return value
    return writer.node("Concat", value, writer.node("Cast", absent, to=FLOAT64), axis=1)


def _category(writer: _onnx.Writer, column: Column, new_is_missing: bool) -> str:
    """Write one input for each category, and the row of what is missing."""
    categories = list(column.categories)
    rows = np.eye(len(categories), column.n_inputs)
    absent = np.zeros((1, column.n_inputs))
    absent[0, : len(column.means)] = column.means
    absent[0, -1] += column.missing
    if new_is_missing or MISSING not in categories:
        rows = np.vstack([rows, absent])
    if not new_is_missing and MISSING not in categories:
        categories.append(MISSING)
    # It refuses a string that is not among them, or gives zeros.
    one_hot = writer.node(
        "OneHotEncoder",
        column.name,
        domain=_onnx.ML,
        cats_strings=categories,
        zeros=int(new_is_missing),
    )
    shape = writer.array(f"{writer.place}shape", np.array([-1, len(categories)], dtype=np.int64))
    value = writer.node("Cast", writer.node("Reshape", one_hot, shape), to=FLOAT64)
    if new_is_missing:
        ones = writer.array(f"{writer.place}ones", np.ones((len(categories), 1)))
        new = writer.node("Sub", writer.constant(1.0), writer.node("MatMul", value, ones))
        value = writer.node("Concat", value, new, axis=1)
    if rows.shape[0] == rows.shape[1] and (rows == np.eye(len(rows))).all():
        return value
    return writer.node("MatMul", value, writer.array(f"{writer.place}rows", rows))
