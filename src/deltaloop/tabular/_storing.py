"""A table's model in a file: what is written, and what is made of what was read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from deltaloop._files.description import TABLE
from deltaloop._files.model import Notes
from deltaloop.network import Network
from deltaloop.tabular import _description, _provenance
from deltaloop.tabular._columns import Table
from deltaloop.tabular._fingerprints import Fingerprints
from deltaloop.tabular._target import Target

__all__ = ["METADATA", "parts", "save"]

# The entry of a file's metadata that describes the table.
METADATA = TABLE
OURS = (METADATA, _provenance.METADATA)


class Model(Protocol):
    """The part of `TabularModel` that is written."""

    report: dict[str, Any] | None
    metadata: dict[str, str]
    _fingerprints: Fingerprints | None

    def _fitted(self) -> tuple[Network, Table, Target]:
        """Return what a fit has made."""


def save(model: Model, path: str | os.PathLike[str], metadata: Mapping[str, str] | None) -> None:
    """Write a model; see `TabularModel.save`."""
    network, table, target = model._fitted()
    own = model.metadata if metadata is None else metadata
    if not isinstance(own, Mapping):
        raise TypeError(f"metadata must be a mapping, got {type(own).__name__}")
    for key in OURS:
        if key in own:
            raise ValueError(f"metadata has the key {key!r}, which the model itself needs")
    entries = {**own, METADATA: _description.to_text(table, target)}
    if model.report is not None:
        room = _provenance.room_beside(entries)
        rows = model._fingerprints
        text = _provenance.to_text(model.report, rows, room)
        if text is not None:
            entries[_provenance.METADATA] = text
    network.save(path, metadata=entries)


def parts(network: Network, notes: Notes) -> dict[str, Any]:
    """Return the attributes of a model that was read. ValueError names the file."""
    name, text = notes.name, notes.user.get(METADATA)
    if text is None:
        raise ValueError(f"{name}: holds a network, but no table; deltaloop.load reads it")
    report: dict[str, Any] | None = None
    rows = None
    try:
        table, target = _description.of_text(text)
        _description.check_network(table, target, network)
        training = notes.user.get(_provenance.METADATA)
        if training is not None:
            report, rows = _provenance.of_text(training)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return {
        "network": network,
        "_table": table,
        "_target": target,
        "report": report,
        "ignored": {} if report is None else report.get("ignored", {}),
        "metadata": {key: text for key, text in notes.user.items() if key not in OURS},
        "_fingerprints": rows,
    }
