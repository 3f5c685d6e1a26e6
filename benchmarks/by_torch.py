"""PyTorch as contenders, in float64: as a module, by hand in place, and by hand and compiled.

They are given their own arrays and return them, and none sums up the cost, except where autograd
needs it: their best case.
"""

from __future__ import annotations

import cells
import numpy as np
from cells import Cell, Floats, Task
from contender import Contender


def tensor(array: Floats):
    import torch

    return torch.from_numpy(array.copy())


def batches_of(task: Task):
    X, Y = tensor(task.X), tensor(task.Y)
    batch = task.cell.batch or task.cell.rows
    return list(zip(X.split(batch), Y.split(batch), strict=True))


class Torch(Contender):
    module = "torch"

    def use(self) -> None:
        import torch

        torch.set_num_threads(self.threads)

    def array(self, result) -> Floats:
        if isinstance(result, tuple):
            return cells.flat(*([v.detach().numpy() for v in part] for part in result))
        return result.numpy()

    def function(self, task: Task):
        """a^(L) of a tensor."""
        raise NotImplementedError

    def predict(self, task: Task):
        f, x = self.function(task), tensor(task.X)
        return lambda: f(x)

    def estimate(self, task: Task):
        import torch

        f, x = self.function(task), task.X.copy()
        if task.cell.classifies:
            return lambda: f(torch.from_numpy(x)).argmax(1).numpy()
        return lambda: f(torch.from_numpy(x)).numpy()


class TorchModule(Torch):
    """nn.Module, autograd and torch.optim: SGD, Adam in one kernel, LBFGS."""

    name = "PyTorch nn.Module"
    kinds = (*Contender.kinds, cells.LBFGS)

    def module_of(self, task: Task):
        from torch import nn

        units = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
        weights, biases = task.weights()
        layers = []
        for w, b in zip(weights, biases, strict=True):
            linear = nn.Linear(*w.shape, dtype=tensor(w).dtype)
            linear.weight.data = tensor(np.ascontiguousarray(w.T))
            linear.bias.data = tensor(b)
            layers += [linear, units[task.cell.activation]()]
        # The loss takes what softmax would; an identity is left out as well.
        if task.cell.output == "sigmoid":
            layers[-1] = nn.Sigmoid()
        else:
            layers.pop()
        return nn.Sequential(*layers)

    def function(self, task: Task):
        import torch

        module = self.module_of(task)

        def run(x):
            with torch.inference_mode():
                return module(x)

        return run

    def loss(self, cell: Cell):
        import torch

        if cell.classifies:
            return torch.nn.CrossEntropyLoss(reduction="sum")
        squares = torch.nn.MSELoss(reduction="sum")
        # Gradient descent takes the cost's 1/2 with its rate.
        return (lambda a, y: 0.5 * squares(a, y)) if cell.adam else squares

    def optimizer(self, cell: Cell, module):
        import torch

        if cell.adam:
            betas = cells.BETA1, cells.BETA2
            return torch.optim.Adam(
                module.parameters(), cell.learning_rate, betas, cells.EPSILON, fused=True
            )
        return torch.optim.SGD(module.parameters(), lr=cell.learning_rate / 2)

    @staticmethod
    def parts(module):
        linear = module[::2]
        return [layer.weight.T for layer in linear], [layer.bias for layer in linear]

    def train(self, task: Task):
        cell, batches, loss = task.cell, batches_of(task), self.loss(task.cell)
        if cell.classifies:
            # Classes by their numbers, as PyTorch prefers them.
            batches = [(x, y.argmax(1)) for x, y in batches]

        def run(epochs: int):
            module = self.module_of(task)
            optimizer = self.optimizer(cell, module)
            for _ in range(epochs):
                for x, y in batches:
                    optimizer.zero_grad()
                    loss(module(x), y).backward()
                    optimizer.step()
            return self.parts(module)

        return run

    def gradient(self, task: Task):
        import torch

        x, y = tensor(task.X), tensor(task.Y)

        def value(parameters: Floats):
            module = self.module_of(cells.Task(task.cell, task.X, task.Y, parameters))
            cost = 0.5 * torch.nn.functional.mse_loss(module(x), y, reduction="sum")
            cost.backward()
            linear = module[::2]
            g = [layer.weight.grad.T for layer in linear], [layer.bias.grad for layer in linear]
            return cost.item(), self.array(g)

        return value

    def minimise(self, task: Task):
        import torch

        x, y = tensor(task.X), tensor(task.Y)

        def run():
            module = self.module_of(task)
            optimizer = torch.optim.LBFGS(
                module.parameters(),
                max_iter=task.cell.timed,
                max_eval=10 * task.cell.timed,
                tolerance_grad=0.0,
                tolerance_change=0.0,
                history_size=10,
                line_search_fn="strong_wolfe",
            )

            def closure():
                optimizer.zero_grad()
                cost = 0.5 * torch.nn.functional.mse_loss(module(x), y, reduction="sum")
                cost.backward()
                return cost

            optimizer.step(closure)
            done = next(iter(optimizer.state.values()))["n_iter"]
            if done != task.cell.timed:
                raise SystemExit(f"torch.optim.LBFGS ends after {done} iterations")
            return self.parts(module)

        return run


class TorchTensors(Torch):
    """The formulas by hand, into tensors that are allocated once, for one size of batch."""

    name = "PyTorch by hand"

    def parts(self, task: Task):
        weights, biases = task.weights()
        return [tensor(w) for w in weights], [tensor(b) for b in biases]

    def function(self, task: Task):
        import torch

        cell = task.cell
        last = len(cell.layers) - 2
        units = [getattr(torch, f"{cell.activation}_")] * last
        units.append(torch.sigmoid_ if cell.output == "sigmoid" else None)
        layers = list(zip(*self.parts(task), units, strict=True))
        single = task.X.ndim == 1
        product = (lambda b, a, w: torch.addmv(b, w.T, a)) if single else torch.addmm

        def run(a):
            with torch.inference_mode():
                for w, b, unit in layers:
                    a = product(b, a, w)
                    if unit is not None:
                        unit(a)
                return a

        return run

    def train(self, task: Task):
        import torch

        cell, batches = task.cell, batches_of(task)
        batch, dtype = cell.batch or cell.rows, batches[0][0].dtype
        a = [torch.empty(batch, m, dtype=dtype) for m in cell.layers[1:]]
        delta = [torch.empty_like(v) for v in a]
        slope = [torch.empty_like(v) for v in a]
        last = len(cell.layers) - 2
        relu = torch.ops.aten.threshold_backward.grad_input
        outputs = {"sigmoid": torch.sigmoid_, "softmax": lambda z: torch.softmax(z, 1, out=z)}
        units = [getattr(torch, f"{cell.activation}_")] * last
        units.append(outputs.get(cell.output, lambda z: z))

        def times_slope(l: int) -> None:
            """delta^(l) becomes that of z^(l); of softmax and identity it is."""
            if (cell.output if l == last else cell.activation) == "sigmoid":
                # g' = a - a^2
                torch.addcmul(a[l], a[l], a[l], value=-1.0, out=slope[l])
                delta[l].mul_(slope[l])
            elif l < last:
                relu(delta[l], a[l], 0.0, grad_input=delta[l])

        def run(epochs: int):
            with torch.inference_mode():
                weights, biases = self.parts(task)
                transposed = [w.T for w in weights]
                update = (adam if cell.adam else descent)(cell, weights, biases)
                for _ in range(epochs):
                    for x, y in batches:
                        below = x
                        for w, b, v, unit in zip(weights, biases, a, units, strict=True):
                            unit(torch.addmm(b, below, w, out=v))
                            below = v
                        torch.sub(below, y, out=delta[last])
                        for l in range(last, -1, -1):
                            times_slope(l)
                            if l > 0:
                                torch.mm(delta[l], transposed[l], out=delta[l - 1])
                            update(l, a[l - 1] if l > 0 else x, delta[l])
                return weights, biases

        return run


def descent(cell: Cell, weights, biases):
    """The step in the product that makes the gradient."""
    rate = -cell.learning_rate

    def update(l: int, below, delta) -> None:
        weights[l].addmm_(below.T, delta, alpha=rate)
        biases[l].add_(delta.sum(0), alpha=rate)

    return update


def adam(cell: Cell, weights, biases):
    """PyTorch's kernel of Adam, over all parameters at once after the last gradient."""
    import torch

    parameters = [*weights, *biases]
    n = len(weights)
    g, m, v = ([torch.zeros_like(p) for p in parameters] for _ in range(3))
    steps = [torch.zeros((), dtype=torch.float32) for _ in parameters]

    def update(l: int, below, delta) -> None:
        torch.mm(below.T, delta, out=g[l])
        torch.sum(delta, 0, out=g[n + l])
        if l == 0:
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                parameters,
                g,
                m,
                v,
                [],
                steps,
                lr=cell.learning_rate,
                beta1=cells.BETA1,
                beta2=cells.BETA2,
                weight_decay=0.0,
                eps=cells.EPSILON,
                amsgrad=False,
                maximize=False,
            )

    return update


class TorchCompile(TorchTensors):
    """The same formulas in functions that torch.compile makes a program of; a step is a call."""

    name = "torch.compile"

    def present(self) -> bool:
        import shutil

        return super().present() and shutil.which("g++") is not None

    @staticmethod
    def compiled(f):
        import torch

        # Without it every call checks and counts its arguments in Python.
        options = {"cpp_wrapper": True}
        return torch.compile(f, fullgraph=True, dynamic=False, options=options)

    @staticmethod
    def forward(cell: Cell, weights, biases, a):
        """[a^(0), ..., a^(L)]."""
        import torch

        found, last = [a], len(weights) - 1
        for l, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = torch.addmm(b, a, w) if a.ndim == 2 else torch.addmv(b, w.T, a)
            kind = cell.activation if l < last else cell.output
            a = z if kind == "identity" else torch.softmax(z, 1) if kind == "softmax" else None
            if a is None:
                a = getattr(torch, kind)(z)
            found.append(a)
        return found

    def function(self, task: Task):
        import torch

        cell, (weights, biases) = task.cell, self.parts(task)

        def f(x, weights, biases):
            return self.forward(cell, weights, biases, x)[-1]

        torch.compiler.reset()
        compiled = self.compiled(f)

        def run(x):
            with torch.no_grad():
                return compiled(x, weights, biases)

        return run

    def train(self, task: Task):
        import torch

        cell, batches = task.cell, batches_of(task)
        last = len(cell.layers) - 2

        def gradients(weights, biases, x, y):
            a = self.forward(cell, weights, biases, x)
            delta, dw, db = a[-1] - y, [], []
            for l in range(last, -1, -1):
                kind = cell.activation if l < last else cell.output
                if kind == "sigmoid":
                    delta = delta * (a[l + 1] * (1.0 - a[l + 1]))
                elif kind == "relu":
                    delta = torch.where(a[l + 1] > 0.0, delta, 0.0)
                dw.insert(0, a[l].T @ delta)
                db.insert(0, delta.sum(0))
                if l > 0:
                    delta = delta @ weights[l].T
            return [*dw, *db]

        # Programs that write over their arguments came out wrong by inductor of 2.13: the product
        # with the transposed weights was made after their step. So a step returns new tensors.
        def descend(weights, biases, x, y):
            found = gradients(weights, biases, x, y)
            moved = [
                p - cell.learning_rate * g for p, g in zip([*weights, *biases], found, strict=True)
            ]
            return moved[: last + 1], moved[last + 1 :]

        def adam_step(weights, biases, m, v, powers, x, y):
            powers = powers * decay
            rate, second = cell.learning_rate / (1.0 - powers[0]), (1.0 - powers[1]).sqrt()
            found, moved = gradients(weights, biases, x, y), []
            m = [cells.BETA1 * a + (1.0 - cells.BETA1) * g for a, g in zip(m, found, strict=True)]
            v = [
                cells.BETA2 * a + (1.0 - cells.BETA2) * g * g for a, g in zip(v, found, strict=True)
            ]
            for p, mean, square in zip([*weights, *biases], m, v, strict=True):
                moved.append(p - rate * mean / (square.sqrt() / second + cells.EPSILON))
            return moved[: last + 1], moved[last + 1 :], m, v, powers

        decay = tensor(np.array([cells.BETA1, cells.BETA2]))
        torch.compiler.reset()
        step = self.compiled(adam_step if cell.adam else descend)

        def run(epochs: int):
            with torch.no_grad():
                state = self.parts(task)
                if cell.adam:
                    m, v = ([torch.zeros_like(p) for part in state for p in part] for _ in range(2))
                    state = *state, m, v, torch.ones_like(decay)
                for _ in range(epochs):
                    for x, y in batches:
                        state = step(*state, x, y)
                return tuple(state[:2])

        return run
