"""The rounding modes that a caller may have set."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

import pytest

MODES = {  # the values of <fenv.h>: upward, downward, toward zero
    "x86_64": (0x800, 0x400, 0xC00),
    "AMD64": (0x800, 0x400, 0xC00),
    "aarch64": (0x400000, 0x800000, 0xC00000),
    "arm64": (0x400000, 0x800000, 0xC00000),
}


def libm_and_modes():
    """The library with fegetround and fesetround, and the three modes but the default."""
    modes = MODES.get(platform.machine())
    name = ctypes.util.find_library("m")
    if modes is None or name is None:
        pytest.skip("no libm whose rounding modes are known")
    return ctypes.CDLL(name), modes
