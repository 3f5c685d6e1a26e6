"""Runs the fuzz targets for some time each, and tells executions and findings.

    python -m tests.fuzz.run --seconds 30
    python -m tests.fuzz.run --seconds 3600 --targets onnx_file csv_file --corpus build/corpus
    python -m tests.fuzz.run --seconds 3600 --core build/fuzz
    python -m tests.fuzz.run --replay onnx_file build/findings/onnx_file-0123abcd

The targets of the Python layer need atheris, which has no wheel for every Python. Those of the C
core are programs: configure with -DDELTALOOP_FUZZ=ON -DCMAKE_C_COMPILER=clang, build fuzz_network
and fuzz_training, and name the folder with --core.

Each finding is an input in the folder of --findings, with a text beside it that tells what
happened. The status is 1 if there is any.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PYTHON = (
    "network_file",
    "checkpoint_file",
    "table_file",
    "onnx_file",
    "table_description",
    "csv_file",
    "numpy_file",
)
SLOW = ("onnx_runtime",)
CORE = ("network", "training")
# Of an input; those of C are read to the end.
MAX_LENGTH = {"network": 160, "training": 250}
MAX_FINDINGS = 10
# Of the inputs that are printed, for logs whose files are gone.
MOST_SHOWN = 3000
LIMITS = ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the fuzz targets.")
    parser.add_argument("--seconds", type=int, default=30, help="of each target (30)")
    parser.add_argument("--targets", nargs="+", default=(), help=", ".join(PYTHON + SLOW + CORE))
    parser.add_argument(
        "--corpus", type=Path, help="a folder that keeps what is new for later runs"
    )
    parser.add_argument("--findings", type=Path, default=Path("build/findings"))
    parser.add_argument("--core", type=Path, help="the build folder of the C targets")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="run one input")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    known, rest = parser.parse_known_args()
    if known.child:
        return _child(known.child[0], Path(known.child[1]), rest)
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if known.replay:
        return _replay(*known.replay)
    targets = known.targets or (PYTHON if known.core is None else CORE)
    known.findings.mkdir(parents=True, exist_ok=True)
    total, found = 0, 0
    for name in targets:
        executions, findings, seconds = _fuzz(name, known)
        total, found = total + executions, found + len(findings)
        print(f"{name:18} {executions:10,} executions {seconds:6.0f} s  {len(findings)} findings")
        for path in findings:
            print(f"    {path}: {_told(path)}")
            content = path.read_bytes()
            if len(content) <= MOST_SHOWN:
                print(f"    {base64.b64encode(content).decode()}")
        sys.stdout.flush()
    print(f"{'in all':18} {total:10,} executions           {found} findings")
    return 1 if found else 0


def _fuzz(name: str, known: argparse.Namespace) -> tuple[int, list[Path], float]:
    """Run one target, again after each crash; executions, findings, seconds."""
    before = set(known.findings.iterdir())
    executions = 0
    with tempfile.TemporaryDirectory(prefix="deltaloop-fuzz-") as folder:
        corpus = (known.corpus or Path(folder)) / name
        corpus.mkdir(parents=True, exist_ok=True)
        for content in _seeds(name):
            (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
        start = time.monotonic()
        for runs in range(MAX_FINDINGS):
            left = known.seconds - (time.monotonic() - start)
            if left < 1:
                break
            count, log = _run(name, known, corpus, left)
            executions += count
            fresh = [p for p in set(known.findings.iterdir()) - before if p.suffix != ".txt"]
            for path in fresh:
                text = path.with_name(path.name + ".txt")
                if not text.exists():  # the process ended by it
                    text.write_text("\n".join(log.splitlines()[-80:]) + "\n")
            if count == 0 and not fresh:
                raise RuntimeError(f"{name} did not run:\n{log[-3000:]}")
            if runs == MAX_FINDINGS - 1 or not fresh:
                break
    fresh = sorted(p for p in set(known.findings.iterdir()) - before if p.suffix != ".txt")
    return executions, fresh, time.monotonic() - start


def _seeds(name: str) -> list[bytes]:
    """The inputs to begin with; those of C are bytes of any kind, which tell what to do."""
    if name in CORE:
        rng = random.Random(name)
        return [rng.randbytes(MAX_LENGTH[name]) for _ in range(64)]
    from tests.fuzz import seeds

    return list(seeds.SEEDS[name]())


def _run(name: str, known: argparse.Namespace, corpus: Path, seconds: float) -> tuple[int, str]:
    """Run the process of a target once; executions and what it printed."""
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-artifact_prefix={known.findings}/{name}-",
        f"-max_len={MAX_LENGTH.get(name, 16384)}",
        *LIMITS,
    ]
    if name in CORE:
        if known.core is None:
            raise SystemExit(f"the target {name} needs --core")
        command = [str(known.core / "tests" / "fuzz" / f"fuzz_{name}")]
    else:
        command = [sys.executable, "-m", "tests.fuzz.run", "--child", name, str(known.findings)]
    environment = os.environ | {
        "ASAN_OPTIONS": "quarantine_size_mb=16",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "POLARS_MAX_THREADS": "1",
        "SKBUILD_EDITABLE_VERBOSE": "0",
    }
    # Files in memory where the system has such a folder; a process that is ended leaves its own.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="deltaloop-fuzz-", dir=place) as folder:
        ended = subprocess.run(
            [*command, *options, str(corpus)],
            capture_output=True,
            text=True,
            errors="replace",
            env=environment | {"TMPDIR": folder},
            timeout=seconds + 300,
        )
    log = ended.stdout + ended.stderr
    counts = [int(n) for n in re.findall(r"number_of_executed_units: (\d+)", log)]
    return sum(counts), log


def _told(path: Path) -> str:
    """What a finding says of itself: its most telling line."""
    text = path.with_name(path.name + ".txt").read_text(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    for mark in ("does not hold", "runtime error", "SUMMARY", "ERROR"):
        for line in lines:
            if mark in line:
                return line.strip()[:300]
    return lines[-1].strip()[:300] if lines else "?"


def _child(name: str, findings: Path, options: list[str]) -> int:
    """The process of one target of the Python layer."""
    import atheris

    with atheris.instrument_imports(include=["deltaloop"]):
        from tests.fuzz import mutate, targets

    target = (targets.TARGETS | targets.SLOW_TARGETS)[name]
    targets.prepare()
    seen: set[str] = set()

    def one_input(content: bytes) -> None:
        text = targets.problem(target, content)
        if text is None:
            return
        where = "\n".join(_frames(text))
        if where in seen or len(seen) >= MAX_FINDINGS:
            return
        seen.add(where)
        digest = hashlib.sha256(content).hexdigest()[:16]
        (findings / f"{name}-{digest}").write_bytes(content)
        (findings / f"{name}-{digest}.txt").write_text(text, errors="backslashreplace")

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        return mutate.MUTATIONS[name](bytes(data), rng, atheris.Mutate, most)[:most]

    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutated)
    atheris.Fuzz()
    return 0


def _frames(text: str) -> Iterator[str]:
    """What tells one finding from another: the lines of code that led there, and the exception."""
    yield from re.findall(r'File "[^"]*(?:deltaloop|fuzz)[^"]*", line \d+', text)
    yield re.split(r"[:(]", text.strip().splitlines()[-1])[0]


def _replay(name: str, path: str) -> int:
    from tests.fuzz import targets

    targets.prepare()
    found = targets.problem((targets.TARGETS | targets.SLOW_TARGETS)[name], Path(path).read_bytes())
    print(found or "nothing was found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
