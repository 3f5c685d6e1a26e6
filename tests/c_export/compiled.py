"""C files made by ``to_c``, compiled by the system's compiler and called through ctypes."""

import ctypes
import itertools
import re
import shutil
import subprocess

import numpy as np
import pytest

STRICT = [
    "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wdouble-promotion",
    "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror",
]  # fmt: skip
CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_cc = pytest.mark.skipif(CC is None, reason="there is no C compiler")


_NUMBERS = itertools.count()


class Compiled:
    """The functions of one file; arrays of its type in, arrays out."""

    def __init__(self, path, *flags, name="net", compiler=CC):
        path = path.resolve()
        library = path.with_suffix(f".{next(_NUMBERS)}.so")  # a name is loaded once
        command = [compiler, *STRICT, "-ffp-contract=off", "-shared", "-fPIC", *(flags or ("-O2",))]
        done = subprocess.run(
            [*command, str(path), "-o", str(library), "-lm"],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        self.name, self.library = name, ctypes.CDLL(str(library))
        source = path.read_text()
        header = path.with_suffix(".h")
        if header.exists():
            source = header.read_text() + source
        macros = re.findall(rf"#define {name.upper()}_(\w+) (\d+)", source)
        self.macros = {macro: int(value) for macro, value in macros}
        self.real = np.float32 if f"void {name}_predict(const float" in source else np.float64

    def _call(self, function, *arrays, returns=None):
        call = getattr(self.library, f"{self.name}_{function}")
        call.restype = returns
        return call(*(ctypes.c_void_p(array.ctypes.data) for array in arrays))

    def predict(self, X, state=None):
        workspace = np.full(self.macros["WORKSPACE"], np.nan, self.real)
        results = np.empty((len(X), self.macros["OUTPUTS"]), self.real)
        for x, y in zip(np.ascontiguousarray(X, self.real), results, strict=True):
            if state is None:
                self._call("predict", x, y, workspace)
            else:
                self._call("predict_state", state, x, y, workspace)
        return results

    def jacobian(self, X):
        workspace = np.full(self.macros["JACOBIAN_WORKSPACE"], np.nan, self.real)
        results = np.empty((len(X), self.macros["OUTPUTS"], self.macros["INPUTS"]), self.real)
        for x, j in zip(np.ascontiguousarray(X, self.real), results, strict=True):
            self._call("jacobian", x, j, workspace)
        return results

    def self_test(self):
        return self._call("self_test", returns=ctypes.c_int)

    def state(self):
        state = np.full(self.macros["STATE"], np.nan, self.real)
        self._call("init", state)
        return state

    def step(self, state, x, y):
        kind = ctypes.c_float if self.real is np.float32 else ctypes.c_double
        x, y = (np.ascontiguousarray(part, self.real) for part in (x, y))
        return self._call("step", state, x, y, returns=kind)

    def parameters(self, state):
        found = np.empty(self.macros["PARAMETERS"], self.real)
        self._call("parameters", state, found)
        return found


def same(a, b):
    """Whether two arrays have the same bytes, where one NaN is like another."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    gone = np.isnan(a)
    return bool((gone == np.isnan(b)).all()) and a[~gone].tobytes() == b[~gone].tobytes()
