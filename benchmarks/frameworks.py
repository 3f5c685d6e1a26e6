"""PyTorch, JAX, scikit-learn and ONNX Runtime as contenders, in float64.

PyTorch and JAX are given their own arrays and return them, and neither sums up the cost, except
where autograd needs it: their best case.
"""

from __future__ import annotations

import cells
import numpy as np
from cells import Cell, Floats, Task
from contender import Blas, Contender


def tensor(array: Floats):
    import torch

    return torch.from_numpy(array.copy())


class Torch(Contender):
    module = "torch"

    def use(self) -> None:
        import torch

        torch.set_num_threads(self.threads)

    def array(self, result) -> Floats:
        if isinstance(result, tuple):
            return cells.flat(*([v.detach().numpy() for v in part] for part in result))
        return result.numpy()


class TorchModule(Torch):
    """nn.Module, autograd and torch.optim.SGD."""

    name = "PyTorch nn.Module"

    def module_of(self, task: Task):
        from torch import nn

        weights, biases = task.weights()
        layers = []
        for w, b in zip(weights, biases, strict=True):
            linear = nn.Linear(*w.shape, dtype=tensor(w).dtype)
            linear.weight.data = tensor(np.ascontiguousarray(w.T))
            linear.bias.data = tensor(b)
            layers += [linear, nn.Sigmoid()]
        return nn.Sequential(*layers)

    def predict(self, task: Task):
        import torch

        module, x = self.module_of(task), tensor(task.X)

        def run():
            with torch.inference_mode():
                return module(x)

        return run

    def train(self, task: Task):
        import torch

        cell, X, Y = task.cell, tensor(task.X), tensor(task.Y)
        batch = cell.batch or cell.rows
        batches = list(zip(X.split(batch), Y.split(batch), strict=True))

        def run(epochs: int):
            module = self.module_of(task)
            loss = torch.nn.MSELoss(reduction="sum")
            # The loss lacks the cost's 1/2.
            optimizer = torch.optim.SGD(module.parameters(), lr=cell.learning_rate / 2)
            for _ in range(epochs):
                for x, y in batches:
                    optimizer.zero_grad()
                    loss(module(x), y).backward()
                    optimizer.step()
            linear = module[::2]
            return [layer.weight.T for layer in linear], [layer.bias for layer in linear]

        return run


class TorchTensors(Torch):
    """The formulas by hand, into tensors that are allocated once, for one size of batch."""

    name = "PyTorch by hand"

    def parts(self, task: Task):
        weights, biases = task.weights()
        return [tensor(w) for w in weights], [tensor(b) for b in biases]

    def predict(self, task: Task):
        import torch

        weights, biases = self.parts(task)
        x = tensor(task.X)
        layers = list(zip(weights, biases, strict=True))
        single = x.ndim == 1
        product = (lambda b, a, w: torch.addmv(b, w.T, a)) if single else torch.addmm

        def run():
            with torch.inference_mode():
                a = x
                for w, b in layers:
                    a = product(b, a, w).sigmoid_()
                return a

        return run

    def train(self, task: Task):
        import torch

        cell, X, Y = task.cell, tensor(task.X), tensor(task.Y)
        batch = cell.batch or cell.rows
        batches = list(zip(X.split(batch), Y.split(batch), strict=True))
        a = [torch.empty(batch, m, dtype=X.dtype) for m in cell.layers[1:]]
        delta = [torch.empty_like(v) for v in a]
        slope = [torch.empty_like(v) for v in a]
        rate = -cell.learning_rate

        def run(epochs: int):
            with torch.inference_mode():
                weights, biases = self.parts(task)
                transposed = [w.T for w in weights]
                last = len(weights) - 1
                for _ in range(epochs):
                    for x, y in batches:
                        below = x
                        for w, b, v in zip(weights, biases, a, strict=True):
                            torch.addmm(b, below, w, out=v).sigmoid_()
                            below = v
                        torch.sub(below, y, out=delta[last])
                        for l in range(last, -1, -1):
                            # g' = a - a^2
                            torch.addcmul(a[l], a[l], a[l], value=-1.0, out=slope[l])
                            delta[l].mul_(slope[l])
                            if l > 0:
                                torch.mm(delta[l], transposed[l], out=delta[l - 1])
                            below = a[l - 1] if l > 0 else x
                            weights[l].addmm_(below.T, delta[l], alpha=rate)
                            biases[l].add_(delta[l].sum(0), alpha=rate)
                return weights, biases

        return run


class Jax(Contender):
    """jit, grad and lax.scan: all epochs in one call, its time of compiling not counted.

    The number of threads is the process's; an option for a single function
    (`xla_cpu_multi_thread_eigen`) changes neither the threads nor the time.
    """

    name = "JAX"
    module = "jax"

    def parts(self, task: Task):
        import jax

        jax.config.update("jax_enable_x64", True)
        pairs = zip(*task.weights(), strict=True)
        return [(jax.numpy.asarray(w), jax.numpy.asarray(b)) for w, b in pairs]

    @staticmethod
    def network(parameters, x):
        import jax

        for w, b in parameters:
            x = jax.nn.sigmoid(x @ w + b)
        return x

    def predict(self, task: Task):
        import jax

        parameters = self.parts(task)
        x = jax.numpy.asarray(task.X)
        f = jax.jit(self.network)
        return lambda: f(parameters, x).block_until_ready()

    def train(self, task: Task):
        import jax
        from jax import lax

        cell = task.cell
        start = self.parts(task)
        X, Y = jax.numpy.asarray(task.X), jax.numpy.asarray(task.Y)
        if cell.batch == 1:
            batches = X, Y
        elif cell.batch:
            batches = (v.reshape(cell.steps, cell.batch, -1) for v in (X, Y))
        else:
            batches = X[None], Y[None]

        def cost(parameters, x, y):
            return 0.5 * ((self.network(parameters, x) - y) ** 2).sum()

        def step(parameters, xy):
            gradient = jax.grad(cost)(parameters, *xy)
            move = jax.tree.map(lambda w, g: w - cell.learning_rate * g, parameters, gradient)
            return move, None

        def epoch(_, carry):
            parameters, batches = carry
            if cell.batch is None:
                return step(parameters, (batches[0][0], batches[1][0]))[0], batches
            return lax.scan(step, parameters, batches)[0], batches

        def fit(parameters, batches, epochs):
            return lax.fori_loop(0, epochs, epoch, (parameters, batches))[0]

        f = jax.jit(fit)
        batches = tuple(batches)
        return lambda epochs: jax.block_until_ready(f(start, batches, epochs))

    def array(self, result) -> Floats:
        if isinstance(result, list):
            return cells.flat(*zip(*result, strict=True))
        return np.asarray(result)


class ScikitLearn(Blas):
    """`MLPRegressor.predict` alone, given the parameters: its training averages over the batch and
    has identity outputs, so it cannot do the same work.
    """

    name = "scikit-learn"
    module = "sklearn"

    def suits(self, cell: Cell) -> bool:
        return cell.kind in (cells.LATENCY, cells.FORWARD)

    def predict(self, task: Task):
        from sklearn.neural_network import MLPRegressor

        layers = task.cell.layers
        net = MLPRegressor(hidden_layer_sizes=layers[1:-1], activation="logistic", max_iter=1)
        net.partial_fit(np.zeros((2, layers[0])), np.zeros((2, layers[-1])).squeeze())
        net.coefs_, net.intercepts_ = task.weights()
        net.out_activation_ = "logistic"
        X = task.X.reshape(-1, layers[0])
        return lambda: net.predict(X)

    def array(self, result) -> Floats:
        return result


class OnnxRuntime(Contender):
    """Gemm and Sigmoid nodes; prediction only."""

    name = "ONNX Runtime"
    module = "onnxruntime"
    held = False

    def present(self) -> bool:
        from importlib.util import find_spec

        return super().present() and find_spec("onnx") is not None

    def suits(self, cell: Cell) -> bool:
        return cell.kind in (cells.LATENCY, cells.FORWARD)

    def predict(self, task: Task):
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        layers = task.cell.layers
        nodes, initializers, last = [], [], "x"
        for l, (w, b) in enumerate(zip(*task.weights(), strict=True), 1):
            initializers += [numpy_helper.from_array(v, f"{k}{l}") for k, v in (("w", w), ("b", b))]
            nodes.append(helper.make_node("Gemm", [last, f"w{l}", f"b{l}"], [f"z{l}"]))
            last = "y" if l == len(layers) - 1 else f"a{l}"
            nodes.append(helper.make_node("Sigmoid", [f"z{l}"], [last]))
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
