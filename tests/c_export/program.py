"""Writes C programs that compare exported networks with deltaloop, and print the first difference.

`python -m tests.c_export.program FOLDER ...` writes one folder for each program: a C file for each
network, ``table.c`` with the rows and the expected bits, and the driver, ``proof.c``. It runs in a
process of its own because DELTALOOP_ISA, which decides on the class of results, is read at import.
"""

from __future__ import annotations

import argparse
import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import deltaloop as dl
from tests.c_export import cases

HERE = Path(__file__).parent
DRIVER = ("proof.c", "proof.h")


def integers(array: np.ndarray) -> str:
    """The bits of an array of floats as C integers, eight a line."""
    bits = np.ascontiguousarray(array).reshape(-1)
    if bits.dtype == np.float64:
        words = [f"UINT64_C(0x{int(w):x})" for w in bits.view(np.uint64)]
    else:
        words = [f"0x{int(w):x}U" for w in bits.view(np.uint32)]
    lines = [", ".join(words[i : i + 8]) for i in range(0, len(words), 8)]
    return ",\n    ".join(lines or ["0"])


def macro(source: str, name: str) -> int:
    """The value of a macro of an exported file."""
    found = re.search(rf"^#define {name} (\d+)", source, re.M)
    if found is None:
        raise LookupError(f"{name} is not in the file")
    return int(found.group(1))


class Table:
    """The text of table.c, as it grows."""

    def __init__(self) -> None:
        self.arrays: dict[str, str] = {}
        self.prototypes: list[str] = []
        self.rows: dict[str, list[str]] = {"network64": [], "training64": [], "network32": []}
        self.room = {"workspace": 1, "given": 1, "got": 1}

    def declare(self, *prototypes: str) -> None:
        self.prototypes += [f"{prototype};\n" for prototype in prototypes]

    def array(self, name: str, values: np.ndarray) -> str:
        """The name of an array with these bits, which is written once."""
        kind = "uint64_t" if values.dtype == np.float64 else "uint32_t"
        text = f"static const {kind} {name}[] = {{\n    {integers(values)}}};\n"
        self.arrays.setdefault(name, text)
        return name

    def needs(self, **room: int) -> None:
        for name, n in room.items():
            self.room[name] = max(self.room[name], n)

    def row(self, kind: str, name: str, *fields: object) -> None:
        self.rows[kind].append(f'{{"{name}", {", ".join(map(str, fields))}}}')

    def text(self) -> str:
        heads = ['#include "proof.h"\n\n#include <stddef.h>\n']
        # The functions are C's, also where the file is compiled as C++.
        opened = '#ifdef __cplusplus\nextern "C" {\n#endif\n'
        closed = "#ifdef __cplusplus\n}\n#endif\n"
        parts = [*heads, opened, *self.prototypes, closed, *self.arrays.values()]
        for kind, rows in self.rows.items():
            plural = f"{kind[:-2]}s{kind[-2:]}"
            lines = ",\n    ".join(rows or ["{0}"])  # C has no empty arrays
            parts.append(f"const struct {kind} {plural}[] = {{\n    {lines}}};\n")
            parts.append(f"const int count_{plural} = {len(rows)};\n")
        for size, real in (("64", "double"), ("32", "float")):
            parts += [f"{real} {name}{size}[{n}];\n" for name, n in self.room.items()]
        return "".join(parts)


@dataclass
class Sizes:
    """How much of everything, and which class of results."""

    rows: int
    steps: int
    arithmetic: str


def add_network(table: Table, folder: Path, number: int, size: Sizes) -> None:
    """One network in float64, with its Jacobian where it has one."""
    net, name = cases.network(number), f"n{number}"
    m, k = net.layers[0], net.layers[-1]
    derives = "step" not in (*net.activation, net.output)
    file = folder / f"{name}.c"
    net.to_c(file, name=name, jacobian=derives, arithmetic=size.arithmetic)
    source = file.read_text()
    x = cases.rows(m, size.rows)
    table.declare(
        f"void {name}_predict(const double *x, double *y, double *workspace)",
        f"int {name}_self_test(void)",
    )
    workspace, jacobian, derive = macro(source, f"{name.upper()}_WORKSPACE"), "NULL", "NULL"
    if derives:
        derive = f"{name}_jacobian"
        table.declare(f"void {derive}(const double *x, double *jacobian, double *workspace)")
        jacobian = table.array(f"{name}_derivatives", net.jacobian(x, wrt="inputs"))
        workspace = max(workspace, macro(source, f"{name.upper()}_JACOBIAN_WORKSPACE"))
    table.needs(workspace=workspace, given=m, got=k * m + k)
    arrays = table.array(f"rows_{m}", x), table.array(f"{name}_y", net.predict(x)), jacobian
    functions = f"{name}_predict", derive, f"{name}_self_test"
    table.row("network64", name, size.rows, m, k, *arrays, *functions, workspace)


def add_training(table: Table, folder: Path, number: int, size: Sizes) -> None:
    """One network that learns on, a row a step."""
    case = cases.training(number, size.steps)
    net, name = case.network, case.name
    m, k = net.layers[0], net.layers[-1]
    file = folder / f"{name}.c"
    net.to_c(file, name=name, train=case.solver, arithmetic=size.arithmetic)
    state = macro(file.read_text(), f"{name.upper()}_STATE")
    rows = 50
    x = np.random.default_rng([37, number]).standard_normal((rows, m))
    y = cases.targets(net, rows)
    trainer = net.trainer(case.solver)
    costs = np.array([trainer.step(x[i % rows], y[i % rows]) for i in range(size.steps)])
    table.declare(
        f"void {name}_init(double *state)",
        f"double {name}_step(double *state, const double *x, const double *y)",
        f"void {name}_parameters(const double *state, double *parameters)",
    )
    table.needs(workspace=state, given=m + k, got=net.n_parameters)
    given = {"x": x, "y": y, "costs": costs, "end": net.parameters}
    arrays = [table.array(f"{name}_{what}", values) for what, values in given.items()]
    functions = f"{name}_init", f"{name}_step", f"{name}_parameters"
    title = f"{name} ({type(case.solver).__name__})"
    counts = size.steps, rows, m, k, net.n_parameters
    table.row("training64", title, *counts, *arrays, *functions, state)


def add_float32(table: Table, folder: Path, number: int, size: Sizes) -> None:
    """One network in float32: what its file computes here, compiled without optimisation."""
    net, name = cases.network(number), f"f{number}"
    m, k = net.layers[0], net.layers[-1]
    file, library = folder / f"{name}.c", folder / f"{name}.so"
    net.to_c(file, name=name, dtype="float32", arithmetic=size.arithmetic)
    workspace = macro(file.read_text(), f"{name.upper()}_WORKSPACE")
    x = cases.rows(m, size.rows).astype(np.float32)
    command = ["gcc", "-std=c99", "-O0", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([*command, file.name, "-o", library.name, "-lm"], cwd=folder, check=True)
    predict = getattr(ctypes.CDLL(str(library)), f"{name}_predict")
    y, room = np.empty((size.rows, k), np.float32), np.empty(workspace, np.float32)
    for given, got in zip(x, y, strict=True):
        predict(*(ctypes.c_void_p(array.ctypes.data) for array in (given, got, room)))
    library.unlink()
    table.declare(
        f"void {name}_predict(const float *x, float *y, float *workspace)",
        f"int {name}_self_test(void)",
    )
    table.needs(workspace=workspace, given=m, got=k)
    arrays = table.array(f"narrow_{m}", x), table.array(f"{name}_y", y)
    functions = f"{name}_predict", f"{name}_self_test"
    table.row("network32", name, size.rows, m, k, *arrays, *functions, workspace)


def write(folder: Path, networks: range, trainings: range, floats: range, size: Sizes) -> None:
    """One program."""
    folder.mkdir(parents=True)
    table = Table()
    with np.errstate(all="ignore"):
        for number in networks:
            add_network(table, folder, number, size)
        for number in trainings:
            add_training(table, folder, number, size)
        for number in floats:
            add_float32(table, folder, number, size)
    (folder / "table.c").write_text(table.text())
    for name in DRIVER:
        shutil.copy(HERE / name, folder)


def parts(n: int, size: int) -> list[range]:
    return [range(i, min(i + size, n)) for i in range(0, n, size)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arithmetic", default="fma")
    defaults = {"networks": 200, "trainings": 12, "floats": 50, "rows": 100, "steps": 1000}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--size", type=int, default=25, help="networks of one program")
    given = parser.parse_args()
    size = Sizes(given.rows, given.steps, given.arithmetic)
    isa = dl.runtime()["isa"]
    if (isa == "base") != (given.arithmetic == "base"):
        raise SystemExit(f"{given.arithmetic}: this process computes with ISA {isa}")
    blocks = [parts(n, given.size) for n in (given.networks, given.trainings, given.floats)]
    for i in range(max(map(len, blocks))):
        ranges = [block[i] if i < len(block) else range(0) for block in blocks]
        write(given.folder / f"program{i}", *ranges, size)


if __name__ == "__main__":
    main()
