"""Training over several processes or machines, with the bits of one process.

``fit`` is for MPI (mpi4py): every rank calls it with its own part of the instances. Sums over
instances are made of chains over global row numbers and added up in one fixed tree. So neither the
number of ranks nor the sizes of their parts nor threads change a bit. See ``docs/clusters.md``.
"""

from __future__ import annotations

import typing as _typing

if _typing.TYPE_CHECKING:
    from deltaloop.distributed._mpi.fit import fit as fit

# What each name is imported from, and what has to be installed for it.
_LATER = {"fit": ("_mpi.fit", "mpi4py", "pip install mpi4py mpich")}

__all__ = ["fit"]


if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import an engine when it is asked for."""
        import importlib

        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, package, how = _LATER[name]
        try:
            found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        except ImportError as error:
            if (error.name or "").partition(".")[0] != package:
                raise
            raise ImportError(f"deltaloop.distributed.{name} needs {package}: {how}") from error
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
