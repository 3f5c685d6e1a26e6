"""scikit-learn and ONNX Runtime as contenders, in float64."""

from __future__ import annotations

import cells
import numpy as np
from cells import Floats, Task
from contender import Blas, Contender


def estimator(module, task: Task):
    """The perceptron of a module of scikit-learn's interface, given the parameters: its predict."""
    cell = task.cell
    layers, X = cell.layers, task.X.reshape(-1, cell.layers[0])
    name = "MLPClassifier" if cell.classifies else "MLPRegressor"
    activation = {"sigmoid": "logistic"}.get(cell.activation, cell.activation)
    net = getattr(module, name)(hidden_layer_sizes=layers[1:-1], activation=activation, max_iter=1)
    zeros = np.zeros((2, layers[0]))
    if cell.classifies:
        net.partial_fit(zeros, np.arange(2), classes=np.arange(layers[-1]))
    else:
        net.partial_fit(zeros, np.zeros((2, layers[-1])).squeeze())
    net.coefs_, net.intercepts_ = task.weights()
    if cell.output == "sigmoid":
        net.out_activation_ = "logistic"
    if cell.kind == cells.ESTIMATE and layers[-1] == 1:
        return lambda: net.predict(X)[:, None]
    return lambda: net.predict(X)


class ScikitLearn(Blas):
    """`predict` alone, given the parameters: its training averages over the batch, so that it does
    not do the same work.
    """

    name = "scikit-learn"
    module = "sklearn"

    kinds = (cells.LATENCY, cells.FORWARD, cells.ESTIMATE)

    def predict(self, task: Task):
        from sklearn import neural_network

        return estimator(neural_network, task)

    estimate = predict

    def array(self, result) -> Floats:
        return result


class OnnxRuntime(Contender):
    """Gemm nodes and one for each activation; prediction only."""

    name = "ONNX Runtime"
    module = "onnxruntime"
    held = False

    def present(self) -> bool:
        from importlib.util import find_spec

        return super().present() and find_spec("onnx") is not None

    kinds = (cells.LATENCY, cells.FORWARD, cells.ESTIMATE)

    def predict(self, task: Task):
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        layers = task.cell.layers
        names = {name: name.capitalize() for name in ("sigmoid", "softmax", "identity")}
        names["relu"] = "Relu"
        nodes, initializers, last = [], [], "x"
        for l, (w, b) in enumerate(zip(*task.weights(), strict=True), 1):
            initializers += [numpy_helper.from_array(v, f"{k}{l}") for k, v in (("w", w), ("b", b))]
            nodes.append(helper.make_node("Gemm", [last, f"w{l}", f"b{l}"], [f"z{l}"]))
            last, unit = f"a{l}", names[task.cell.activation]
            if l == len(layers) - 1:
                last, unit = "y", names[task.cell.output]
            nodes.append(helper.make_node(unit, [f"z{l}"], [last]))
        double = TensorProto.DOUBLE
        ends = [
            [helper.make_tensor_value_info(name, double, ["n", m])]
            for name, m in (("x", layers[0]), ("y", layers[-1]))
        ]
        graph = helper.make_graph(nodes, "network", *ends, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": task.X.reshape(-1, layers[0])}
        return lambda: session.run(["y"], feed)[0]

    def array(self, result) -> Floats:
        return result
