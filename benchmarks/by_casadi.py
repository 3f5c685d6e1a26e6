"""CasADi's generated C as a contender for single rows: compiled for this machine, called in place.

The weights are numbers of the program. Small networks are written out, one operation after the
other (SX); larger ones are products of matrices (MX). -ffast-math lets gcc make vectors of either.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path

import cells
import numpy as np
from cells import Task
from contender import Contender

# Multiply-adds that are written out; gcc takes minutes for many more.
WRITTEN_OUT = 10_000


class Casadi(Contender):
    name = "CasADi's C"
    module = "casadi"
    kinds = (cells.LATENCY, cells.BOUND)
    held = False

    def present(self) -> bool:
        return super().present() and shutil.which("gcc") is not None

    def function(self, task: Task):
        """The compiled network, as a function of CasADi's."""
        import casadi

        cell = task.cell
        small = sum(m * k for m, k in pairwise(cell.layers)) <= WRITTEN_OUT
        kind = casadi.SX if small else casadi.MX
        # A row, so that the products run along columns of the weights, as CasADi keeps them.
        x = kind.sym("x", cell.layers[0])
        a = x.T
        for w, b in zip(*task.weights(), strict=True):
            z = casadi.mtimes(a, casadi.DM(w)) + casadi.DM(b).T
            a = 1 / (1 + casadi.exp(-z))
        f = casadi.Function("network", [x], [a])
        with tempfile.TemporaryDirectory() as directory:
            generator = casadi.CodeGenerator("network", {"with_header": False})
            generator.add(f)
            source = generator.generate(f"{directory}/")
            library = Path(directory) / "network.so"
            # Linked without -ffast-math, whose start-up code would flush subnormals to zero in
            # the whole process: deltaloop then changes the mode twice a call, 93 ns became 132.
            options = ["-O3", "-march=native", "-ffast-math", "-fPIC", "-c"]
            subprocess.run(["gcc", *options, source, "-o", f"{library}.o"], check=True)
            subprocess.run(["gcc", "-shared", f"{library}.o", "-o", library, "-lm"], check=True)
            return casadi.external("network", str(library))

    def bound(self, task: Task):
        """A call without arguments, and the arrays that it reads and writes."""
        f = self.function(task)
        x, y = task.X.ravel().copy(), np.empty(task.cell.layers[-1])
        buffer, call = f.buffer()
        buffer.set_arg(0, memoryview(x))
        buffer.set_res(0, memoryview(y))
        # The buffer has pointers into them, and the call one to the function.
        self.kept = f, buffer, x, y
        return call, x, y

    def predict(self, task: Task):
        call, _, y = self.bound(task)
        if task.cell.kind == cells.BOUND:

            def run():
                call()
                return y

            return run

        def copied():
            call()
            return y.copy()

        return copied
