"""Predictions of the rows of a cluster, where these rows are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import numpy as np

from deltaloop import _core
from deltaloop.distributed._dask import given as _given
from deltaloop.distributed._dask.blocks import array_of
from deltaloop.distributed._dask.cluster import Cluster
from deltaloop.network import Network


def dask_predict(client: Any, net: Network, X: Any) -> Any:
    """Predict the rows of a Dask collection, block by block where these are.

    Parameters
    ----------
    client : dask.distributed.Client or None
        A synchronous client. None is the current one.
    net : Network
        What predicts. Its parameters are copied now.
    X : Dask array or dataframe, or list of delayed blocks
        Instances (n, m0), in blocks of whole rows.

    Returns
    -------
    Dask array, dataframe or series, or list of delayed blocks
        Predictions, (n, mL) or of a dataframe with one output (n,), in the blocks of X; a
        dataframe's index stays. Nothing is computed before its ``compute()`` or ``persist()``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as it should be; of a block when it is computed.

    Examples
    --------
    >>> import dask.array as da, deltaloop as dl
    >>> from dask.distributed import Client, LocalCluster
    >>> from deltaloop.distributed import dask_predict
    >>> net = dl.Network([3, 4, 2], seed=0)
    >>> X = da.zeros((1000, 3), chunks=(400, 3))
    >>> cluster = LocalCluster(n_workers=2, processes=False, dashboard_address=":0")
    >>> with Client(cluster) as client:
    ...     A = dask_predict(client, net, X)
    ...     A.chunks, A.compute().shape
    (((400, 400, 200), (2,)), (1000, 2))
    >>> cluster.close()
    """
    if not isinstance(net, _core.Core):
        raise TypeError(f"net must be a deltaloop.Network, got {type(net).__name__}")
    Cluster.of(client, 60.0)
    m = net.layers[-1]
    width = _given.columns_of(X)
    if width is not None and width != net.layers[0]:
        raise ValueError(f"X must have shape (n, {net.layers[0]}), got {width} columns")
    return by_blocks(outputs, net._frozen(), X, (m,), np.dtype(np.float64))


def outputs(network: Network, x: Any) -> Any:
    """Return the outputs of the rows of a block."""
    return network.predict(array_of(x))


def by_blocks(
    function: Callable[[Any, Any], Any],
    model: Any,
    X: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Any:
    """Return what a function of the model and the rows of a block gives, for all blocks.

    `shape` and `dtype` are those of a row's result.
    """
    held = dask.delayed(model, pure=False)
    if isinstance(X, list | tuple):
        call = dask.delayed(_on_rows, pure=False)
        return [call(block, function, held, shape, dtype) for block in X]
    _given.check("X", X)
    if hasattr(X, "chunks"):
        _given.check_chunks("X", X)
        kwargs: dict[str, Any] = {"chunks": (X.chunks[0], *((size,) for size in shape))}
        if not shape:
            kwargs["drop_axis"] = 1
        return X.map_blocks(
            _on_rows,
            function,
            held,
            row_shape=shape,
            row_dtype=dtype,
            dtype=dtype,
            meta=np.empty((0,) * (1 + len(shape)), dtype),
            **kwargs,
        )
    import pandas as pd  # type: ignore[import-untyped]

    meta: Any = pd.Series([], dtype=dtype)
    if shape and shape[0] > 1:
        meta = pd.DataFrame({j: pd.Series([], dtype=dtype) for j in range(shape[0])})
    return X.map_partitions(_on_frame, function, held, shape, dtype, meta=meta)


def _on_rows(
    block: Any,
    function: Callable[[Any, Any], Any],
    model: Any,
    row_shape: tuple[int, ...],
    row_dtype: np.dtype[Any],
) -> Any:
    """Return the results of a block, which may have no rows."""
    if block.shape[0] == 0:
        return np.empty((0, *row_shape), row_dtype)
    return function(model, block)


def _on_frame(block: Any, *call: Any) -> Any:
    """Return the results of a table as a table with its index."""
    import pandas as pd

    found = _on_rows(block, *call)
    if found.ndim == 1 or found.shape[1] == 1:
        return pd.Series(found.reshape(-1), index=block.index)
    return pd.DataFrame(found, index=block.index)
