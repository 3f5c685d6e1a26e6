"""An old path: ``deltaloop.runtime`` is a function, and stays one when this is imported."""

import sys
import warnings

from deltaloop._runtime import runtime

warnings.warn(
    "the module deltaloop.runtime is deprecated: use deltaloop.runtime, the function",
    DeprecationWarning,
    stacklevel=2,
)
vars(runtime)["runtime"] = runtime
sys.modules[__name__] = runtime  # type: ignore[assignment]
