"""The corpus: what each target begins with, made by the library itself or written down here.

Files that once were accepted, crashed or took long stand here as well. Nothing generated is kept:
all of it is made in a second.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import deltaloop as dl
from deltaloop._files import state
from deltaloop.tabular import TabularModel, _description
from tests.fuzz.targets import checkpoint_fit
from tests.helpers.files import assembled, parts, with_metadata, with_tensor


def _saved(maker: object, method: str = "save", suffix: str = ".safetensors") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "seed" + suffix)
        getattr(maker, method)(path)
        with open(path, "rb") as file:
            return file.read()


def networks() -> Iterator[dl.Network]:
    """Small networks, of every form that a file can have."""
    yield dl.Network([2, 3, 1], seed=1)
    yield dl.Network([3, 3, 3, 2], activation="relu", loss="cross_entropy", residual=True, seed=2)
    yield dl.Network([2, 2, 1], activation=["gelu"], output="identity", loss=dl.Huber(0.5), seed=3)
    yield dl.Network(
        [1, 2, 2], activation="elu", loss="poisson", init=dl.Uniform(-1.0, 2.0), seed=4
    )
    yield dl.Network([2, 2], loss="binary_cross_entropy", seed=5)
    yield dl.Network([2, 2, 2, 1], activation=["softplus", "silu"], loss="cross_entropy", seed=6)


def tables() -> Iterator[TabularModel]:
    """Models of tables with columns of every kind."""
    rng = np.random.default_rng(0)
    n = 24
    x = rng.normal(size=n)
    frame = {
        "x": x.tolist(),
        "n": [None, *range(n - 1)],
        "c": ["a", "b", None, "é"] * (n // 4),
        "d": [datetime.date(2020, 1, 1 + i) for i in range(n)],
        "t": [bool(i % 2) for i in range(n)],
        "y": (2 * x).tolist(),
        "z": (1 - x).tolist(),
        "k": [["u", "v", "w"][i % 3] for i in range(n)],
    }
    yield TabularModel(hidden=2, seed=0).fit(frame, "y", drop=["z", "k"], max_epochs=2)
    yield TabularModel(hidden=2, seed=0).fit(frame, ["y", "z"], drop="k", max_epochs=2)
    yield TabularModel(hidden=2, seed=0).fit(frame, "k", drop=["y", "z"], max_epochs=2)
    yield TabularModel(hidden=2, seed=0).fit(frame, "t", drop=["y", "z"], max_epochs=2)


def network_file() -> Iterator[bytes]:
    for net in networks():
        yield _saved(net)
    content = _saved(dl.Network([2, 3, 1], seed=1))
    header, data = parts(content)
    yield content[:-8]
    yield with_metadata(content, layers="[2, 3, 3, 1]")
    yield with_metadata(content, layers=f"[{2**63 - 1}, 1]")
    yield with_metadata(content, loss="huber(0)")
    yield with_metadata(content, seed="9" * 640)
    yield with_tensor(content, "weights.1", dtype="F32")
    text = json.dumps(header)
    yield assembled(
        text.replace('"__metadata__"', '"__metadata__": {}, "__metadata__"', 1).encode(), data
    )
    yield assembled(text.replace("sigmoid", "\\ud800", 1).encode(), data)
    yield assembled(b"[" * 2000, b"")
    yield assembled(header | {"a": {"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}}, data)


def checkpoint_file() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.safetensors")
        checkpoint_fit(path, checkpoint=path)
        content = Path(path).read_bytes()
        yield content
        run = state.read(path)
        within = {"epoch_row": np.array(6), "epoch_position": run.state["position"] - np.uint64(9)}
        within |= {name: np.zeros(2) for name in ("epoch_previous", "epoch_sum")}
        within |= {"epoch_start": run.state["parameters"]}
        state.write(path, run._replace(state=run.state | within, reason=""))
        yield Path(path).read_bytes()
        checkpoint_fit(path, checkpoint=path, validation=0.3, patience=2)
        yield Path(path).read_bytes()
    yield content[:-8]
    yield with_metadata(content, reason='"converged"')
    yield with_metadata(content, stages='["goal"]')
    yield with_metadata(content, instances=f"[{2**70}, 0]")
    yield with_tensor(content, "state.epochs", dtype="F64")


def table_file() -> Iterator[bytes]:
    for model in tables():
        yield _saved(model)
    yield _saved(dl.Network([2, 3, 1], seed=1))


def _column(name: str, **other: object) -> dict[str, object]:
    return {
        "name": name,
        "kind": "number",
        "missing": False,
        "categories": [],
        "means": [0.0],
    } | other


def _described(**other: object) -> bytes:
    found = {"version": 1, "target": "y", "classes": None, "columns": [_column("x")]}
    return json.dumps(found | other).encode()


def table_description() -> Iterator[bytes]:
    for model in tables():
        yield _description.to_text(*model._fitted()[1:]).encode()
    yield _described()
    yield _described(target=["y", "z"])
    yield _described(classes=["a", "b"])
    yield _described(classes=[False, True])
    yield _described(classes=[-(2**53), 2**53])
    yield _described(columns=[_column("x"), _column("x")])
    yield _described(columns=[_column(str(i)) for i in range(40)] + [_column("3")])
    yield _described(columns=[_column("x", kind="category", categories=["a", "a"], means=[])])
    yield _described(
        columns=[_column("x", kind="category", categories=["b", "a"], means=[0.5, 0.5])]
    )
    yield _described(columns=[_column("x", means=[1e999])])
    yield _described(columns=[_column("\ud800")])
    yield _described(target="\udfff")
    yield _described().replace(b'"version"', b'"version": 1, "version"')
    yield _described().replace(b'"name"', b'"name": "z", "name"')
    yield b"[" * 3000


def onnx_file() -> Iterator[bytes]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    for net in networks():
        yield _saved(net, "to_onnx", ".onnx")

    def graph(*nodes: onnx.NodeProto, opset: int = 17, ml: bool = False, **arrays: object) -> bytes:
        shape = [None, 2]
        made = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
        )
        opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid("ai.onnx.ml", 3)] * ml
        return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()

    w, b = np.array([[1.0, 2.0], [3.0, 4.0]], "f4"), np.array([0.5, -0.5], "f4")
    node = helper.make_node
    gemm = node("Gemm", ["x", "w", "b"], ["y"], alpha=2.0, beta=0.5, transB=1)
    yield graph(gemm, w=w, b=b)
    for wrong in ([2.0, 3.0], [2], "2", 2):  # attributes of a wrong type were taken
        yield graph(node("Gemm", ["x", "w", "b"], ["y"], alpha=wrong), w=w, b=b)
    twice = onnx.ModelProto.FromString(graph(gemm, w=w, b=b))
    twice.graph.node[0].attribute.append(helper.make_attribute("alpha", 3.0))
    yield twice.SerializeToString()
    yield graph(node("MatMul", ["x", "w"], ["z"]), node("Add", ["z", "b"], ["y"]), w=w, b=b)
    yield graph(
        node("Flatten", ["x"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["z"]),
        node("Relu", ["z"], ["r"]),
        node("Identity", ["r"], ["i"]),
        node("MatMul", ["i", "w"], ["y"]),
        w=w,
        b=b,
    )
    yield graph(
        node("Reshape", ["x", "shape"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["z"]),
        node("Softmax", ["z"], ["y"], axis=-1),
        w=w,
        b=b,
        shape=np.array([-1, 2]),
    )
    # A shape of so many dimensions without a byte: as lists it took all memory.
    for op in ("Reshape", "Squeeze"):
        yield graph(
            node(op, ["x", "shape"], ["f"]),
            node("Gemm", ["f", "w", "b"], ["y"]),
            w=w,
            b=b,
            shape=np.zeros((2**20, 2**20, 0), np.int64),
        )
    yield graph(
        node("Sub", ["x", "b"], ["s"]),
        node("Div", ["s", "b"], ["t"]),
        node("Gemm", ["t", "w", "b"], ["z"]),
        node("Sigmoid", ["z"], ["y"]),
        w=w,
        b=b,
    )
    yield graph(
        node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=[1.0, 2.0], scale=[0.5, 2.0]),
        node("Gemm", ["s", "w", "b"], ["y"]),
        ml=True,
        w=w,
        b=b,
    )
    yield graph(
        node("Gemm", ["x", "w", "b"], ["z"]),
        node("BatchNormalization", ["z", "c", "b", "b", "c"], ["n"], epsilon=1e-5),
        node("Gemm", ["n", "w", "b"], ["y"]),
        w=w,
        b=b,
        c=np.array([1.0, 2.0], "f4"),
    )
    yield graph(gemm, w=w.astype("f2"), b=b.astype("f2"))
    yield graph(
        node("Cast", ["x"], ["f"], to=TensorProto.DOUBLE),
        node("Transpose", ["w"], ["v"], perm=[1, 0]),
        node("Gemm", ["f", "v"], ["z"]),
        node("LeakyRelu", ["z"], ["y"], alpha=0.01),
        w=w.astype("f8"),
    )


def csv_file() -> Iterator[bytes]:
    yield b"x,y\n1,2\n3,4\n"
    yield b"x;y;z\n1,5;a;2020-01-01\n2,5;b;2020-01-02\n"
    yield b'a\tb\n"1\t2"\t"x""y"\n\n3\t4\n'
    yield b'\xef\xbb\xbfname,value\r\n"a\nb",1\r\nNA,\r\n'
    yield b"x\n1\n\n2\n"
    yield b"x,x\n1,2\n"
    yield b"x,y\n1,2,3\n"
    yield b'x,y\n"1,2\n'
    yield b"t,d\ntrue,2020-01-01T00:00:00\nFalse,2021-01-01\n"
    yield b"x|y\r1|2\r"
    yield "é,ü\n1e400,-inf\n9223372036854775808,0x10\n".encode()
    yield "x,y\n1,2\n".encode("utf-16")
    yield "Fläche;Preis;Seit\n12,5;1.234,50 €;03.02.2024\n7;950,00 €;28.02.2024\n".encode()
    yield b'a,b,c\n(12),10 %,03/02/2024 1:30 PM\n-,5%,28/02/2024\n"1,234",n/a,31/02/2024\n'
    yield b"x,y\n1,2\n\0"
    yield b"\n\n,\n,\n"
    yield b't,d\nt,d\n""\n'
    yield b"a,b\n1,2,"  # more entries than names, of which the last was left out
    yield b'\nab;\n" "'  # a quoted space is an entry


def _npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def numpy_file() -> Iterator[bytes]:
    X = np.arange(8.0).reshape(4, 2)
    yield _npz(X=X, y=np.arange(4.0))
    yield _npz(X=X.astype("f4"), y=np.array([0, 1, 0, 1]))
    yield _npz(X=X, y=np.array(["a", "b", "a", "b"]))
    yield _npz(X=X, y=np.array([b"a", b"\xff", b"a", b"b"]))
    stream = io.BytesIO()
    np.save(stream, X)
    yield stream.getvalue()
    # more than there is memory, a message of 900 characters, and one of two lines
    yield _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (57777777777777776,), }")
    yield _npy("{'descr': '<f4', 'shape': (1,)," + "x" * 900)
    yield _npz(**{"X\n": X, "y" * 900: X})


SEEDS = {
    "network_file": network_file,
    "checkpoint_file": checkpoint_file,
    "table_file": table_file,
    "table_description": table_description,
    "onnx_file": onnx_file,
    "onnx_runtime": onnx_file,
    "csv_file": csv_file,
    "numpy_file": numpy_file,
}
