"""Environment variables that decide how a numerical library computes."""

from __future__ import annotations

THREADS = "1"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

PREFIXES = ("DELTALOOP_", "NPY_", "OPENBLAS_", "MKL_", "BLIS_")


def settings(environ) -> dict[str, str]:
    """What makes a library run other code than it would by itself; the threads are not listed."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(PREFIXES) and name not in THREAD_VARIABLES
    }
