"""Tables that narwhals does not take as they are: Arrow streams, ``__dataframe__``, matrices."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_matrix", "matrix", "native"]


def native(data: Any, backend: Callable[[], Any]) -> Any:
    """Return a table of a library that narwhals holds in memory, or what is none as it is.

    DuckDB's relations and many others give an Arrow stream, older ones ``__dataframe__``. Series
    give streams too, and stay what they are. `backend` names the library that takes the table.
    """
    import narwhals as nw

    known = nw.from_native(data, pass_through=True, allow_series=True)
    if isinstance(known, nw.DataFrame | nw.Series):
        return data
    if hasattr(data, "__arrow_c_stream__"):
        if hasattr(data, "type") and not hasattr(data, "columns"):
            return data  # an array of Arrow's
        return nw.from_arrow(data, backend=backend()).to_native()
    if hasattr(data, "__dataframe__"):
        return _exchanged(data)
    return data


def _exchanged(data: Any) -> Any:
    """Return a table by the interchange protocol that Arrow streams replace; polars has it not."""
    if find_spec("pyarrow"):
        from pyarrow import interchange  # type: ignore[import-untyped]

        return interchange.from_dataframe(data)
    if find_spec("pandas"):
        import pandas as pd  # type: ignore[import-untyped]

        return pd.api.interchange.from_dataframe(data)
    return data


def is_matrix(data: Any) -> bool:
    """Whether the data are an array, a sparse matrix or a list of rows, and no table."""
    if isinstance(data, np.ndarray | list) or hasattr(data, "toarray"):  # some are mappings
        return True
    table = ("columns", "__arrow_c_stream__", "__dataframe__", "__narwhals_dataframe__", "name")
    return hasattr(data, "__array__") and not any(hasattr(data, each) for each in table)


def matrix(data: Any) -> NDArray[Any]:
    """Return an array (n, columns); of a sparse matrix, with its zeros."""
    array: NDArray[Any] = np.asarray(data.toarray() if hasattr(data, "toarray") else data)
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array of shape {array.shape} instead. Reshape "
            "your data: one row an instance, one column a feature"
        )
    if not array.shape[1]:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    if array.dtype.kind == "c":
        raise ValueError("Complex data not supported: the columns must be real numbers or text")
    return array
