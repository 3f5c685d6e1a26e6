"""Exported C beside the C of other tools: time of a row here; size and instructions on a Cortex-M.

`python benchmarks/environments.py c-export` installs the other tools in an environment of their
own. onnx2c and the C part of keras2c are on no package registry: build them from their sources and
set ONNX2C to the program and KERAS2C to the folder `include`. What is not there is left out.

Each tool gets the same network, with weights that float32 holds. First all outputs are compared,
then each row of the table is measured in one process, turn by turn. A tool is compared with the
export in its own type. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import environments
import numpy as np

import deltaloop as dl

HERE = Path(__file__).resolve().parent
LINKER = HERE.parent / "tests" / "c_export"
TURNS = 11

# What a tool computes in. emlearn writes its weights with six decimals.
TOOLS = {
    "deltaloop32": "float", "emx": "float", "onnx2c": "float", "emlearn": "float",
    "keras2c": "float", "deltaloop64": "double", "deltaloop64base": "double", "casadi": "double",
}  # fmt: skip
TITLES = {
    "deltaloop32": "deltaloop", "emx": "emx-onnx-cgen",
    "deltaloop64": "deltaloop", "deltaloop64base": "deltaloop, class `base`", "casadi": "CasADi",
}  # fmt: skip
OWN_OPTIONS = {
    "deltaloop32": {"dtype": "float32"},
    "deltaloop64": {},
    "deltaloop64base": {"arithmetic": "base"},  # of interest where an FMA is software
}
TOLERANCE = {"float": 1e-5, "double": 1e-12}
OPTIONS = {"-O2": ["-O2"], "-O3 -march=native": ["-O3", "-march=native"]}


@dataclass(frozen=True)
class Cell:
    layers: tuple[int, ...]
    activation: str
    output: str
    rows: int  # that are taken in turn: as many as fit the first cache

    @property
    def title(self) -> str:
        return "-".join(map(str, self.layers))

    def network(self) -> dl.Network:
        loss = "cross_entropy" if self.output == "softmax" else "squared_error"
        hidden = [self.activation] * (len(self.layers) - 2)
        net = dl.Network(self.layers, activation=hidden, output=self.output, loss=loss, seed=0)
        net.parameters[:] = net.parameters.astype(np.float32)
        return net


CELLS = [
    Cell((2, 8, 1), "tanh", "identity", 64),
    Cell((4, 64, 64, 2), "tanh", "identity", 64),
    Cell((784, 128, 10), "relu", "softmax", 4),
]


@dataclass(frozen=True)
class Core:
    title: str
    options: tuple[str, ...]
    machine: str  # of QEMU, or "" where it has none with a timer


CORES = [
    Core("Cortex-M0+", ("-mcpu=cortex-m0plus", "-mfloat-abi=soft"), ""),
    Core("Cortex-M3", ("-mcpu=cortex-m3", "-mfloat-abi=soft"), "mps2-an385"),
    Core("Cortex-M4F", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), "mps2-an386"),
    Core("Cortex-M7", ("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"), "mps2-an500"),
]
ARM = [
    "arm-none-eabi-gcc", "-mthumb", "-Os", "-ffp-contract=off", "-ffunction-sections",
    "-fdata-sections", "--specs=picolibc.specs",
]  # fmt: skip
ARM_LINK = [
    "--oslib=semihost", "--crt0=hosted", f"-L{LINKER}", f"-T{LINKER / 'mps2.ld'}",
    "-Wl,--gc-sections", "-lm",
]  # fmt: skip

OWN = """#include "{name}_network.c"
void run_{name}(const {real} *x, {real} *y);
void run_{name}(const {real} *x, {real} *y)
{{
    static {real} workspace[{capitals}_WORKSPACE];
    {name}_predict(x, y, workspace);
}}
"""


def run(command: list[str], folder: Path, **options) -> subprocess.CompletedProcess:
    ended = subprocess.run(command, cwd=folder, capture_output=True, check=False, **options)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{ended.stderr!r}")
    return ended


def written(cell: Cell, folder: Path, python: str | None) -> list[str]:
    """Write the C of each tool to the folder; the names of those that could."""
    net = cell.network()
    arrays = {"activations": np.array([*net.activation, net.output])}
    for l, (w, b) in enumerate(zip(net.weights, net.biases, strict=True), 1):
        arrays |= {f"w{l}": w, f"b{l}": b}
    np.savez(folder / "network.npz", **arrays)
    for name, options in OWN_OPTIONS.items():
        net.to_c(folder / f"{name}_network.c", name=name, **options)
        text = OWN.format(name=name, real=TOOLS[name], capitals=name.upper())
        (folder / f"{name}.c").write_text(text)
    if python:
        run([python, str(HERE / "c_peers.py"), str(folder)], HERE)
    for path in sorted(folder.glob("*.missing")):
        print(f"left out: {path.stem}: {path.read_text()[:200]}", file=sys.stderr)
    return [name for name in TOOLS if (folder / f"{name}.c").exists()]


def includes(folder: Path, name: str) -> list[str]:
    """Where the headers of a tool lie, which it has told in a file."""
    told = folder / f"{name}_include.txt"
    return [f"-I{folder}", *([f"-I{told.read_text()}"] if told.exists() else [])]


def timed(cell: Cell, folder: Path, names: list[str], options: list[str]) -> dict[str, float]:
    """Nanoseconds of a row by each tool, after a comparison of all outputs with deltaloop's."""
    lines = "".join(f"ROW({name}, {TOOLS[name]})\n" for name in names)
    (folder / "contenders.inc").write_text(lines)
    for name in names:
        # -w: their warnings are theirs. -ffp-contract=off where the file asks for it: ours.
        own = ["-ffp-contract=off"] if name.startswith("deltaloop") else []
        what = [f"{name}.c", "-o", f"{name}.o"]
        run(["gcc", *options, *own, "-w", *includes(folder, name), "-c", *what], folder)
    objects = [f"{name}.o" for name in names]
    harness = str(HERE / "c_export.c")
    run(["gcc", "-O2", "-I.", harness, *objects, "-o", "timed", "-lm"], folder)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 1.0, (cell.rows, cell.layers[0])).astype(np.float32).astype(np.float64)
    sizes = [str(n) for n in (cell.rows, cell.layers[0], cell.layers[-1], TURNS)]
    text = run(["./timed", *sizes], folder, input=x.tobytes()).stdout.decode()
    expected = cell.network().predict(x).ravel()
    times: dict[str, list[float]] = {name: [] for name in names}
    for line in text.splitlines():
        kind, name, *numbers = line.split()
        if kind == "time":
            times[name].append(float(numbers[0]))
            continue
        error = float(np.abs(np.array(numbers, float) - expected).max())
        if error > TOLERANCE[TOOLS[name]]:
            raise SystemExit(f"{cell.title}: {name} is wrong by {error}")
    return {name: statistics.median(values) for name, values in times.items()}


def title(name: str) -> str:
    return TITLES.get(name, name)


def speed(given: list[Cell], python: str | None) -> None:
    kinds = [name for name in TOOLS if name in OWN_OPTIONS or python]
    heads = [
        f"{title(name)}, {'float32' if TOOLS[name] == 'float' else 'float64'}" for name in kinds
    ]
    print(f"| network | gcc | {' | '.join(heads)} |")
    print("| --- | --- |" + " ---: |" * len(kinds))
    for cell in given:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            names = written(cell, folder, python)
            for options, flags in OPTIONS.items():
                times = timed(cell, folder, names, flags)
                best = {
                    real: min((t, name) for name, t in times.items() if TOOLS[name] == real)[1]
                    for real in ("float", "double")
                }
                cells = []
                for name in kinds:
                    text = f"{times[name]:,.0f}" if name in times else "-"
                    cells.append(f"**{text}**" if name == best[TOOLS[name]] else text)
                print(f"| {cell.title} | `{options}` | {' | '.join(cells)} |", flush=True)


def on_core(cell: Cell, folder: Path, name: str, core: Core) -> dict[str, int]:
    """Bytes that the network adds to a program; its instructions and stack where QEMU runs it."""
    real, m, k = TOOLS[name], cell.layers[0], cell.layers[-1]
    flags = [*ARM, *core.options, "-w", *includes(folder, name)]
    head = f"void run_{name}(const {real} *x, {real} *y)"
    body = f"for (int i = 0; i < {k}; i++) y[i] = x[i % {m}];"
    (folder / "stub.c").write_text(f"{head};\n{head}\n{{\n    {body}\n}}\n")
    macros = [f"-DRUN=run_{name}", f"-DREAL={real}", f"-DINPUTS={m}", f"-DOUTPUTS={k}"]
    board = str(HERE / "c_export_board.c")
    sizes = []
    for source in (f"{name}.c", "stub.c"):
        run([*flags, *macros, board, source, *ARM_LINK, "-o", "sized"], folder)
        text = run(["arm-none-eabi-size", "sized"], folder).stdout.decode()
        sizes.append([int(n) for n in text.splitlines()[1].split()[:3]])
    text, data, bss = (a - b for a, b in zip(*sizes, strict=True))
    found = {"flash": text + data, "static": data + bss}
    if core.machine and shutil.which("qemu-system-arm"):
        run([*flags, *macros, "-DREPORT", board, f"{name}.c", *ARM_LINK, "-o", "run"], folder)
        machine = ["qemu-system-arm", "-M", core.machine, "-icount", "shift=0", "-nographic"]
        debugger = ["-semihosting-config", "enable=on,target=native", "-kernel", "run"]
        ended = run([*machine, *debugger], folder, stdin=subprocess.DEVNULL, timeout=60)
        told = (ended.stdout + ended.stderr).decode()  # QEMU prints a board's words on stderr
        match = re.search(r"instructions (\d+) stack (\d+)", told)
        if match is None:
            raise SystemExit(f"{name} on {core.title} did not end well: {told!r}")
        found |= {"instructions": int(match[1]), "stack": int(match[2])}
    return found


def sizes(given: list[Cell], python: str | None) -> None:
    print("| network | processor | tool | type | flash | RAM | stack | instructions |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: |")
    for cell in given:
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            names = written(cell, folder, python)
            for core in CORES:
                for name in names:
                    found = on_core(cell, folder, name, core)
                    kind = "float32" if TOOLS[name] == "float" else "float64"
                    numbers = [
                        f"{found[what]:,}" if what in found else ""
                        for what in ("flash", "static", "stack", "instructions")
                    ]
                    head = f"| {cell.title} | {core.title} | {title(name)} | {kind}"
                    print(f"{head} | {' | '.join(numbers)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "sizes"))
    parser.add_argument("--cells", default="", help="those whose title has this in it")
    parser.add_argument("--python", action="append", default=[], help="c-export=PATH")
    given = parser.parse_args()
    for choice in given.python:
        environments.choose(choice)
    python = environments.interpreter("c-export")
    if python is None:
        print("left out: the other tools; see benchmarks/environments.py", file=sys.stderr)
    cells = [cell for cell in CELLS if given.cells in cell.title]
    if given.what == "sizes":
        if not shutil.which(ARM[0]):
            raise SystemExit(f"{ARM[0]} is not here")
        sizes([cell for cell in cells if cell.layers[0] < 100], python)
    else:
        speed(cells, python)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
