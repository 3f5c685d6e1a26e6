"""ONNX graphs: written node by node, and run by ONNX Runtime."""

from __future__ import annotations

import onnx
import onnxruntime as ort

FLOAT = onnx.TensorProto.FLOAT


def run(path, X, names=None):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(names, {session.get_inputs()[0].name: X})


def saved(
    path, nodes, tensors, outputs=("y",), rank=2, opset=17, inputs=None, kind=FLOAT, **options
):
    """Write a graph of one input x; nodes are (operator, inputs, output, attributes).

    An operator may have its domain before it, as in ``ai.onnx.ml.Scaler``.
    """
    made = []
    for op, given, output, attributes in nodes:
        domain, _, name = op.rpartition(".")
        made.append(
            onnx.helper.make_node(
                name, list(given), [output], name=f"node_{output}", domain=domain, **attributes
            )
        )
    shape = None if rank is None else [None] * rank
    info = onnx.helper.make_tensor_value_info
    given = inputs or [info("x", kind, shape)]
    initializers = [
        value if isinstance(value, onnx.TensorProto) else onnx.numpy_helper.from_array(value, name)
        for name, value in tensors.items()
    ]
    graph = onnx.helper.make_graph(
        made, "graph", given, [info(name, kind, None) for name in outputs], initializers
    )
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    path.write_bytes(
        onnx.helper.make_model(graph, opset_imports=opsets, **options).SerializeToString()
    )
    return path
