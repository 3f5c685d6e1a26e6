"""Environments of their own for opponents that cannot share one with the others.

`python benchmarks/environments.py NAME` makes one in .benchmarks/NAME, where `measure.py` finds it.
`measure.py --python NAME=PATH` takes another interpreter instead. The libraries of these
environments run in processes of their own (remote.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Environment:
    packages: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)  # variables of its processes
    about: str = ""


# Since 0.4.32 JAX runs small loops on the CPU by a runtime that takes longer for each operation.
# 0.6.2 is the newest release that still has the old one.
ENVIRONMENTS = {
    "jax-0.6": Environment(
        ("jax==0.6.2", "jaxlib==0.6.2", "numpy", "scipy"),
        {"XLA_FLAGS": "--xla_cpu_use_thunk_runtime=false"},
        "jax 0.6.2 with --xla_cpu_use_thunk_runtime=false",
    ),
    # Writers of C. keras2c 2.0 needs the old pydantic, and brings TensorFlow.
    "c-export": Environment(
        ("emx-onnx-cgen==1.4.0", "emlearn==0.23.2", "keras2c==2.0", "casadi==3.8.2", "pydantic<2"),
        about="emx-onnx-cgen 1.4.0, emlearn 0.23.2, keras2c 2.0, CasADi 3.8.2",
    ),
}

# Interpreters that were named on the command line.
chosen: dict[str, str] = {}


def interpreter(name: str) -> str | None:
    """Path of the Python of an environment; None where it has not been made."""
    if not name:
        return sys.executable
    if name in chosen:
        return chosen[name]
    folder = ROOT / ".benchmarks" / name
    path = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return str(path) if path.exists() else None


def choose(given: str) -> None:
    """Take the interpreter of NAME=PATH."""
    name, equals, path = given.partition("=")
    if not equals or name not in ENVIRONMENTS:
        raise SystemExit(f"--python must be NAME=PATH, with one of {', '.join(ENVIRONMENTS)}")
    if not Path(path).exists():
        raise SystemExit(f"--python {name}: there is no {path}")
    chosen[name] = path


def make(name: str) -> None:
    folder = ROOT / ".benchmarks" / name
    venv.create(folder, with_pip=True, clear=True)
    command = [interpreter(name), "-m", "pip", "install", "-q", *ENVIRONMENTS[name].packages]
    subprocess.run(command, check=True)


def main(names: list[str]) -> None:
    unknown = set(names) - set(ENVIRONMENTS)
    if unknown or not names:
        raise SystemExit(f"name one of these: {', '.join(ENVIRONMENTS)}")
    for name in names:
        make(name)


if __name__ == "__main__":
    main(sys.argv[1:])
