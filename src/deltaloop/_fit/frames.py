"""Whose line a warning is shown at."""

from __future__ import annotations

import sys

__all__ = ["callers"]


def callers(*packages: str) -> int:
    """Return the stacklevel of the first frame outside of this package, or of these."""
    level, frame, inside = 1, sys._getframe(1), packages or ("deltaloop",)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] in inside:
        level, frame = level + 1, frame.f_back
    return level
