"""What is running: the kernels' variant and the versions."""

from __future__ import annotations

import platform

import numpy as np

from deltaloop import _core


def runtime() -> dict[str, object]:
    """Tell the instruction set in use and the versions.

    Returns
    -------
    dict
        ``version``; ``isa``, the variant of the kernels in use; ``isas``, those that this machine
        executes, best first; ``threads``, the number of threads a call uses; ``compiler``,
        ``python``, ``numpy`` and ``platform``.

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
        "threads": 1,
        "compiler": _core.COMPILER,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
