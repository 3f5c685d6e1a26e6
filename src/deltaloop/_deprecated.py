"""Old names of what has moved: they work for one more version, and say what to use."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def moved(
    module: str, names: Mapping[str, str], instead: Mapping[str, str]
) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module for its old names.

    `names` has for each the path of what it stands for, and `instead` what to use in its place,
    where that is public. Pickles of earlier versions hold names too, which nobody can mend: there
    is no warning for code that does not hold the name itself, as pickle does not.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        path = names[name]
        if name in sys._getframe(1).f_code.co_names:
            public = instead.get(name, f"{path}, which is private and may change")
            warnings.warn(
                f"{module}.{name} is deprecated: use {public}", DeprecationWarning, stacklevel=2
            )
        place, _, attribute = path.rpartition(".")
        return getattr(importlib.import_module(place), attribute)

    return find
