"""The objects of csrc, each compiled once a session, and the symbols that they define and use."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
SOURCES = sorted(CSRC.rglob("*.c"))
KERNELS = [path for path in SOURCES if path.name.startswith("kernels_")]
OPTIONS = [
    "-std=c11",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    f"-I{CSRC}",
]


def compiler() -> str:
    name = os.environ.get("CC", "cc").split()[0]
    if shutil.which(name) is None:
        pytest.skip(f"no C compiler named {name}")
    return name


def isas() -> dict[str, tuple[str, list[str]]]:
    """The machine and the options of each ISA, from the lines of CMakeLists.txt."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^deltaloop_add_isa\((\w+)\s+(\w+)([^)]*)\)", text, re.MULTILINE)
    return {isa: (machine, options.split()) for machine, isa, options in lines}


def other_machine(source: Path) -> str | None:
    """The machine that the source is for, unless that is this one."""
    machine, _ = isas().get(source.stem.removeprefix("kernels_"), (platform.machine(), []))
    return None if machine == platform.machine() else machine


def options_of(source: Path) -> list[str]:
    own = isas().get(source.stem.removeprefix("kernels_"), ("", []))[1]
    if source.name == "dispatch.c":
        own = [
            f"-DDELTALOOP_HAVE_{isa.upper()}"
            for isa, (machine, _) in isas().items()
            if machine == platform.machine()
        ]
    return [*OPTIONS, *own]


def compile_all(folder: Path) -> dict[Path, Future[Path]]:
    """The object of each source for this machine; a result() raises if its compiler failed."""
    command = compiler()

    def compile_one(source: Path) -> Path:
        target = folder / source.relative_to(CSRC).with_suffix(".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [command, *options_of(source), "-c", str(source), "-o", str(target)], check=True
        )
        return target

    here = [source for source in SOURCES if other_machine(source) is None]
    here.sort(key=lambda source: source not in KERNELS)  # which take longest
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {source: pool.submit(compile_one, source) for source in here}


def symbols(path: Path, *options: str) -> set[str]:
    """What nm lists of an object."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm")
    done = subprocess.run([nm, *options, str(path)], check=True, capture_output=True, text=True)
    return {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines() if line}
