"""What users give: Dask's arrays, dataframes and delayed blocks, as one future for each block."""

from __future__ import annotations

from typing import Any

import distributed
from dask.base import is_dask_collection
from dask.delayed import Delayed

WANTED = (
    "a Dask array or dataframe, or a list of delayed blocks or futures; "
    "dask.array.from_array(array, chunks=...) makes one of an array in memory"
)


def futures_of(client: Any, name: str, given: Any) -> list[Any]:
    """Return the futures of the blocks, in the order of their rows.

    What is not computed yet is computed now, where Dask likes; what the workers hold stays there.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise ValueError(f"{name} is empty: it has no blocks")
        return [_future_of(client, f"{name}[{i}]", block) for i, block in enumerate(given)]
    check(name, given)
    check_chunks(name, given)
    if given.ndim == 0:
        raise ValueError(f"{name} must have rows, got a single value")
    held = client.persist(given)
    by_key = {future.key: future for future in distributed.futures_of(held, client=client)}
    keys, graph = _flat(held.__dask_keys__()), None
    for i, key in enumerate(keys):
        while key not in by_key:  # a dataframe calls its blocks by other names, too
            graph = dict(held.__dask_graph__()) if graph is None else graph
            key = graph[key].target
        keys[i] = key
    return [by_key[key] for key in keys]


def check(name: str, given: Any) -> None:
    """Refuse what is neither an array nor a table."""
    table = is_dask_collection(given) and not isinstance(given, Delayed)
    if not table or not hasattr(given, "ndim"):
        raise TypeError(f"{name} must be {WANTED}, got {type(given).__name__}")


def check_chunks(name: str, given: Any) -> None:
    """Refuse an array whose rows are cut."""
    chunks = getattr(given, "chunks", None)
    if chunks is not None and any(len(sizes) > 1 for sizes in chunks[1:]):
        raise ValueError(
            f"{name} has {len(chunks[1])} blocks side by side, of {chunks[1]} columns; a block "
            f"must hold whole rows: {name} = {name}.rechunk({{1: -1}})"
        )


def _flat(keys: Any) -> list[Any]:
    """Return keys that are nested in lists, one after the other."""
    if not isinstance(keys, list):
        return [keys]
    return [key for part in keys for key in _flat(part)]


def _future_of(client: Any, name: str, block: Any) -> Any:
    if isinstance(block, distributed.Future):
        return block
    if not isinstance(block, Delayed):
        raise TypeError(f"{name} must be a delayed block or a future, got {type(block).__name__}")
    return client.compute(block)


def columns_of(given: Any) -> int | None:
    """Return the number of columns, where the collection knows it."""
    shape = getattr(given, "shape", None)
    if shape is None or len(shape) != 2 or not isinstance(shape[1], int):
        return None
    return shape[1]
