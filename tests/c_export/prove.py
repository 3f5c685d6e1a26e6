"""Proves that exported C computes the bits that deltaloop computes.

`python -m tests.c_export.prove` makes 200 random networks, trainings of 1,000 steps and networks in
float32, compiles them by each compiler of targets.py, and runs them on each processor, emulated
where this machine has another. It prints a row for each, the rows of the table in
docs/reference/embedded.md, and ends with status 1 if one was different. `--slice` takes a part, in
less than two minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.c_export.targets import CPPCHECK, TARGETS, Target

DRIVER = ("proof.c", "table.c")
# `base`: the second class of results, of processors without FMA instructions; on fewer targets.
CLASSES = ("fma", "base")
SECONDS = 1800  # for one command, on a machine that does other things too
SLICE = [
    "--networks=12", "--trainings=3", "--floats=6", "--rows=52", "--steps=100", "--size=12",
]  # fmt: skip


class Failure(Exception):
    """A command that failed, with what it printed."""


def done(command: list[str], folder: Path) -> str:
    ended = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if ended.returncode != 0:
        raise Failure(f"{' '.join(command)}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.stdout + ended.stderr  # QEMU prints on stderr what a board says by its debugger


def build(target: Target, folder: Path, workers: ThreadPoolExecutor) -> str:
    """Compile and link the program of this folder; its name."""
    made = folder / f"build-{TARGETS.index(target)}"
    made.mkdir(exist_ok=True)
    commands = [
        [*target.compile(str(source), source.name not in DRIVER), "-o", f"{source.stem}.o"]
        for source in sorted(folder.glob("*.c"))
    ]
    list(workers.map(lambda command: done(command, made), commands))
    objects = sorted(path.name for path in made.glob("*.o"))
    done(target.linked(objects, "proof.elf"), made)
    return str(made / "proof.elf")


def tried(target: Target, folders: list[Path], workers: ThreadPoolExecutor) -> str:
    """What the programs of these folders found on a target: how much was equal, of all."""
    programs = [build(target, folder, workers) for folder in folders]
    found = list(workers.map(lambda program: done(target.run(program), folders[0]), programs))
    numbers = [
        [int(word) for word in re.findall(r"\d+", text.replace("float32", ""))] for text in found
    ]
    networks, trainings, floats, count = (sum(column) for column in zip(*numbers, strict=True))
    for folder in folders:
        shutil.rmtree(folder / f"build-{TARGETS.index(target)}")
    return f"{networks} | {trainings} | {floats} | {count:,}"


def write(folder: Path, arithmetic: str, size: list[str]) -> list[Path]:
    """The programs with the results of one class; none if this processor cannot compute them."""
    environment = dict(os.environ)
    environment.pop("DELTALOOP_ISA", None)
    if arithmetic == "base":
        environment["DELTALOOP_ISA"] = "base"
    command = [
        sys.executable,
        "-m",
        "tests.c_export.program",
        str(folder),
        "--arithmetic",
        arithmetic,
        *size,
    ]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if ended.returncode != 0:
        raise Failure(ended.stdout[-2000:] + ended.stderr[-2000:])
    return sorted(folder.iterdir())


def has_fma() -> bool:
    command = [sys.executable, "-c", "import deltaloop; print(deltaloop.runtime()['isa'])"]
    environment = {name: value for name, value in os.environ.items() if name != "DELTALOOP_ISA"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout.strip() != "base"


def proven(
    target: Target, arithmetic: str, folders: list[Path], workers: ThreadPoolExecutor
) -> bool:
    """Print the row of a target; False if there was a difference."""
    command = f"`{target.compiler} {target.standard} {shown(target)}`"
    title = f"| {target.processor} | {command} | {arithmetic}"
    if target.missing:
        print(f"skip {target.name}: {', '.join(target.missing)} not found here", flush=True)
        return True
    begin = time.monotonic()
    try:
        result = tried(target, folders, workers)
    except (Failure, subprocess.TimeoutExpired) as error:
        print(f"{title} | FAILED\n{error}", flush=True)
        return False
    print(f"{title} | {result} |", flush=True)
    print(f"{time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
    return True


def shown(target: Target) -> str:
    """Its options without those of every board."""
    left_out = ("--specs=picolibc.specs", "-mthumb", "-ffunction-sections", "-fdata-sections")
    return " ".join(option for option in target.options.split() if option not in left_out)


def checked(folders: list[Path], few: int) -> bool:
    """Whether cppcheck is content with the exported files."""
    if shutil.which("cppcheck") is None:
        print("skip cppcheck: not found here")
        return True
    # It reads a file once for each way through its #if lines, and takes seconds: some of each kind.
    kinds = [sorted(folder.glob(f"{kind}*.c"))[:few] for folder in folders for kind in "ntf"]
    sources = [str(path) for kind in kinds for path in kind if path.name not in DRIVER]
    try:
        done([*CPPCHECK, *sources], folders[0])
    except Failure as error:
        print(f"cppcheck: FAILED\n{error}")
        return False
    print(f"cppcheck: nothing to say about {len(sources)} files", flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slice", action="store_true", help="a part, in less than two minutes")
    parser.add_argument("--every", action="store_true", help="with --slice: on every target")
    parser.add_argument("--target", default="", help="those with one of these in their names: A,B")
    parser.add_argument("--keep", type=Path, help="a new folder in which the programs stay")
    given = parser.parse_args()
    size = SLICE if given.slice else []
    folder = given.keep or Path(tempfile.mkdtemp(prefix="c-export-"))
    targets = [
        t
        for t in TARGETS
        if any(part in t.name for part in given.target.split(","))
        and (t.in_slice or given.every or not given.slice)
    ]
    good = True
    try:
        for arithmetic in CLASSES:
            if arithmetic == "fma" and not has_fma():
                print("skip fma: this processor has no FMA instructions")
                continue
            folders = write(folder / arithmetic, arithmetic, size)
            with ThreadPoolExecutor(os.cpu_count()) as workers:
                good &= checked(folders[:1], 1 if given.slice else 25)
                for target in targets:
                    if arithmetic == "fma" or target.in_slice:
                        good &= proven(target, arithmetic, folders, workers)
    finally:
        if given.keep is None:
            shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
