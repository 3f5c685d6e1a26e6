"""The threads that the measurements have too, set before NumPy is loaded."""

from __future__ import annotations

import os
import sys

import environment
import pytest

wanted = environment.threads(environment.cpus())
if "numpy" in sys.modules and not wanted.items() <= os.environ.items():
    raise pytest.UsageError("NumPy was loaded before its threads were set: run benchmarks alone")
os.environ.update(wanted)
