"""One thread for every contender, and what ran where: in the header and in the JSON."""

from __future__ import annotations

import os
import sys

import environment
import pytest

# Libraries read their number of threads once, when they are loaded.
one_thread = dict.fromkeys(environment.THREAD_VARIABLES, environment.THREADS)
if "numpy" in sys.modules and not one_thread.items() <= os.environ.items():
    raise pytest.UsageError("NumPy was loaded before its threads were set: run benchmarks alone")
os.environ.update(one_thread)

# glibc hands large blocks back to the system, and gets them again page by page, until it has freed
# one of up to 32 MB. NumPy's temporaries gain up to 1.5x by it, so do it before anything is timed:
# the order of the cells then does not matter, and the opponents run at their best.
bytearray(31 << 20)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--turns", type=int, default=5, help="how often all cells are timed")


def pytest_report_header() -> list[str]:
    import machine

    return [f"{name}: {text}" for name, text in machine.describe().items()]


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    import machine

    machine_info["benchmark"] = machine.describe()


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict) -> None:
    import memory
    from registry import CONTENDERS, present

    output_json["memory"] = {c.name: memory.measure(c.name) for c in CONTENDERS if present(c)}
