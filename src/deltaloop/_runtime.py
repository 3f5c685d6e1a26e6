"""What is running: the kernels' variant, the threads and the versions."""

from __future__ import annotations

import platform

import numpy as np

from deltaloop import _core, _threads


def runtime() -> dict[str, object]:
    """Tell the instruction set and the threads in use, and the versions.

    Returns
    -------
    dict
        ``version``; ``isa``, the variant of the kernels in use; ``isas``, those that this machine
        executes, best first; ``threads``, the most that a call uses with ``n_threads=None``: the
        CPUs that the process may run on, its control group's share of them, or
        ``OMP_NUM_THREADS``, whichever is least; ``compiler``, ``python``, ``numpy`` and
        ``platform``.

    Raises
    ------
    ValueError
        If the environment variable ``DELTALOOP_ISA`` names a variant that is unknown or that this
        machine cannot execute.

    Examples
    --------
    >>> import deltaloop as dl
    >>> info = dl.runtime()
    >>> info["isa"] in info["isas"]
    True
    """
    return {
        "version": _core.__version__,
        "isa": _core.isa(),
        "isas": list(_core.ISAS),
        "threads": _threads.limit(),
        "compiler": _core.COMPILER,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
