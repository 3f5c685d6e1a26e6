"""Where the C header of the package is."""

from __future__ import annotations

import os

__all__ = ["get_include"]


def get_include() -> str:
    """Return the folder of ``deltaloop.h``, for the include path of a C compiler.

    The header has the types and the names of the functions that ``Predictor.capsule`` gives.
    Cython has the same by ``from deltaloop.mlp cimport ...``.

    Returns
    -------
    str
        An absolute path.

    Examples
    --------
    >>> import os
    >>> import deltaloop as dl
    >>> os.listdir(dl.get_include())
    ['deltaloop.h']
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
