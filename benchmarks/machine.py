"""What a measurement depends on: processor, threads, instruction sets, versions, who took part."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import environment
import numpy as np
from registry import CONTENDERS, present

import deltaloop as dl


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def describe() -> dict[str, str]:
    runtime = dl.runtime()
    numpy = np.show_config(mode="dicts")
    blas = numpy["Build Dependencies"]["blas"]
    settings = [f"{name}={value}" for name, value in environment.settings(os.environ).items()]
    absent = [contender.name for contender in CONTENDERS if not present(contender)]
    return {
        "machine": f"{processor()}, {os.cpu_count()} CPUs, {platform.system()}",
        "threads": os.environ.get("OMP_NUM_THREADS", "not limited"),
        "deltaloop": f"{runtime['version']}, {runtime['compiler']}",
        "its instruction set": f"{runtime['isa']} of {' '.join(runtime['isas'])}",
        "NumPy": f"{np.__version__}, {blas['name']} {blas['version']}",
        "its instruction sets": " ".join(numpy["SIMD Extensions"]["found"]) or "the baseline",
        "Python": platform.python_version(),
        "settings": " ".join(settings) or "none",
        "absent": ", ".join(absent) or "none",
    }
