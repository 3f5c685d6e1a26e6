"""Networks as C by the tools of others.

This file runs where these tools are installed (environments.py, "c-export").
`python benchmarks/c_peers.py FOLDER` reads FOLDER/network.npz (weights w1, b1, ... and the
activation of each layer) and writes NAME.c for each tool, a file with a function `run_NAME(x, y)`
of one row. What a tool cannot do, or is not here, is said in FOLDER/NAME.missing.

onnx2c and the C part of keras2c are on no package registry. Their folders are given by ONNX2C (the
program) and KERAS2C (the sources' folder `include`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

RUN = """void run_{name}(const {real} *x, {real} *y);
void run_{name}(const {real} *x, {real} *y)
{{
{body}
}}
"""


class Given:
    """The network: weights (m^(l-1), m^(l)), biases and the names of the activations."""

    def __init__(self, folder: Path):
        with np.load(folder / "network.npz") as file:
            self.activations = [str(name) for name in file["activations"]]
            n = len(self.activations)
            self.weights = [file[f"w{i}"] for i in range(1, n + 1)]
            self.biases = [file[f"b{i}"] for i in range(1, n + 1)]
        self.layers = [len(self.weights[0]), *(len(b) for b in self.biases)]


def onnx_file(net: Given, path: Path) -> None:
    """One row through Gemm and the activations, in float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    operators = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "softmax": "Softmax"}
    nodes, constants, before = [], [], "X"
    for i, (w, b, activation) in enumerate(
        zip(net.weights, net.biases, net.activations, strict=True), 1
    ):
        constants.append(numpy_helper.from_array(w.astype(np.float32), f"w{i}"))
        constants.append(numpy_helper.from_array(b.astype(np.float32), f"b{i}"))
        last = i == len(net.weights)
        plain = activation == "identity"
        after = "Y" if last and plain else f"z{i}"
        nodes.append(helper.make_node("Gemm", [before, f"w{i}", f"b{i}"], [after]))
        if not plain:
            after = "Y" if last else f"a{i}"
            nodes.append(helper.make_node(operators[activation], [f"z{i}"], [after]))
        before = after
    shape = {"X": [1, net.layers[0]], "Y": [1, net.layers[-1]]}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape[name]) for name in "XY")
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def wrapped(name: str, source: str, body: str, real: str = "float") -> str:
    return f"{source}\n{RUN.format(name=name, real=real, body=body)}"


def emx(net: Given, folder: Path) -> str:
    onnx_file(net, folder / "network.onnx")
    target = folder / "emx_network.c"
    command = [sys.executable, "-m", "emx_onnx_cgen", "compile", "--model-name", "emx_network",
               "--large-weight-threshold", "0", "--large-temp-threshold", "0",
               "network.onnx", target.name]  # fmt: skip
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    call = f"    emx_network((const float (*)[{net.layers[0]}])x, (float (*)[{net.layers[-1]}])y);"
    return wrapped("emx", target.read_text(), call)


def onnx2c(net: Given, folder: Path) -> str:
    onnx_file(net, folder / "network.onnx")
    done = subprocess.run(
        [os.environ["ONNX2C"], "network.onnx"],
        check=True,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    call = f"    entry((const float (*)[{net.layers[0]}])x, (float (*)[{net.layers[-1]}])y);"
    return wrapped("onnx2c", done.stdout, call)


def emlearn_layers(net: Given) -> list[str]:
    return ["logistic" if name == "sigmoid" else name for name in net.activations]


def emlearn(net: Given, folder: Path) -> str:
    """Its "loadable" form: 0.23.2 cannot write its "inline" one ("invalid literal for int()").

    It writes weights with six decimals.
    """
    import emlearn.net

    source = emlearn.net.c_generate_net_loadable(
        emlearn_layers(net), [w.astype(np.float32) for w in net.weights],
        [b.astype(np.float32) for b in net.biases], prefix="emlearn_network",
    )  # fmt: skip
    (folder / "emlearn_include.txt").write_text(str(Path(emlearn.__file__).parent))
    m, k = net.layers[0], net.layers[-1]
    call = f"""    (void)eml_net_infer(&emlearn_network, x, {m});
    for (int i = 0; i < {k}; i++) y[i] = emlearn_network.activations2[i];"""
    return wrapped("emlearn", source, call)


def keras2c(net: Given, folder: Path) -> str:
    from keras2c import keras2c_main
    from tensorflow import keras

    include = Path(os.environ["KERAS2C"])
    layers = [keras.layers.Input((net.layers[0],))]
    layers += [
        keras.layers.Dense(m, activation="linear" if name == "identity" else name)
        for m, name in zip(net.layers[1:], net.activations, strict=True)
    ]
    model = keras.Sequential(layers)
    model.set_weights([p for pair in zip(net.weights, net.biases, strict=True) for p in pair])
    here = Path.cwd()
    os.chdir(folder)
    try:
        keras2c_main.k2c(model, "keras2c_network", malloc=False, num_tests=1, verbose=False)
    finally:
        os.chdir(here)
    (folder / "keras2c_include.txt").write_text(str(include.parent))
    source = (folder / "keras2c_network.c").read_text()
    m, k = net.layers[0], net.layers[-1]
    call = f"""    k2c_tensor in = {{(float *)x, 1, {m}, {{{m}, 1, 1, 1, 1}}}};
    k2c_tensor out = {{y, 1, {k}, {{{k}, 1, 1, 1, 1}}}};
    keras2c_network(&in, &out);"""
    parts = "\n".join(f'#include "{include}/{p}.c"' for p in
                      ("k2c_activations", "k2c_core_layers", "k2c_helper_functions"))  # fmt: skip
    return wrapped("keras2c", f"{parts}\n{source}", call)


def casadi(net: Given, folder: Path) -> str:
    """Its C in float64: written out operation by operation where the network is small."""
    import casadi

    small = sum(w.size for w in net.weights) <= 10_000
    kind = casadi.SX if small else casadi.MX

    def softmax(z):
        e = casadi.exp(z - casadi.mmax(z))
        return e / casadi.sum2(e)

    functions = {
        "tanh": casadi.tanh,
        "identity": lambda z: z,
        "relu": lambda z: casadi.fmax(z, 0),
        "sigmoid": lambda z: 1 / (1 + casadi.exp(-z)),
        "softmax": softmax,
    }
    x = kind.sym("x", net.layers[0])
    a = x.T
    for w, b, name in zip(net.weights, net.biases, net.activations, strict=True):
        a = functions[name](casadi.mtimes(a, casadi.DM(w)) + casadi.DM(b).T)
    f = casadi.Function("casadi_network", [x], [a])
    generator = casadi.CodeGenerator("casadi_network", {"with_header": False})
    generator.add(f)
    source = Path(generator.generate(f"{folder}/")).read_text()
    body = f"""    const double *arguments[{f.sz_arg()}] = {{x}};
    double *results[{f.sz_res()}] = {{y}};
    static casadi_int iw[{f.sz_iw() + 1}];
    static double w[{f.sz_w() + 1}];
    (void)casadi_network(arguments, results, iw, w, 0);"""
    return wrapped("casadi", source, body, "double")


TOOLS = {"emx": emx, "onnx2c": onnx2c, "emlearn": emlearn, "keras2c": keras2c, "casadi": casadi}


def main(folder: Path) -> None:
    net = Given(folder)
    for name, tool in TOOLS.items():
        try:
            (folder / f"{name}.c").write_text(tool(net, folder))
        except (
            Exception
        ) as error:  # whatever a tool of others raises: the table says that it failed
            (folder / f"{name}.missing").write_text(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
