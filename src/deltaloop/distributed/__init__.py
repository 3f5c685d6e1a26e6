"""Training over several processes or machines, with the bits of one process.

``fit`` is for MPI (mpi4py): every rank calls it with its own part of the instances. ``dask_fit``,
``dask_predict``, ``DaskMLPClassifier`` and ``DaskMLPRegressor`` are for Dask: they take arrays,
dataframes and delayed blocks that the workers of a cluster hold. Sums over instances are made of
chains over global row numbers and added up in one fixed tree. So neither the number of ranks or
workers nor the sizes of their parts nor threads change a bit. See ``docs/reference/clusters.md``.
"""

from __future__ import annotations

import typing as _typing

if _typing.TYPE_CHECKING:
    from deltaloop.distributed._dask.fit import dask_fit as dask_fit
    from deltaloop.distributed._dask.predict import dask_predict as dask_predict
    from deltaloop.distributed._mpi.fit import fit as fit
    from deltaloop.sklearn._dask import DaskMLPClassifier as DaskMLPClassifier
    from deltaloop.sklearn._dask import DaskMLPRegressor as DaskMLPRegressor

_DASK = (("dask", "distributed"), "pip install 'deltaloop[dask]'")
# What each name is imported from, what has to be installed for it, and how.
_LATER = {
    "fit": ("._mpi.fit", ("mpi4py",), "pip install mpi4py mpich"),
    "dask_fit": ("._dask.fit", *_DASK),
    "dask_predict": ("._dask.predict", *_DASK),
    "DaskMLPClassifier": ("..sklearn._dask", *_DASK),
    "DaskMLPRegressor": ("..sklearn._dask", *_DASK),
}

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor", "dask_fit", "dask_predict", "fit"]


if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import an engine when it is asked for."""
        import importlib

        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, packages, how = _LATER[name]
        try:
            found = getattr(importlib.import_module(module, __name__), name)
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in packages:
                raise
            raise ImportError(
                f"deltaloop.distributed.{name} needs {packages[-1]}: {how}"
            ) from error
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
