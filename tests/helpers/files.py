"""Model files: how their bytes are taken apart and put together, and how a reader refuses them."""

from __future__ import annotations

import json
import struct

import pytest

import deltaloop as dl
from deltaloop.network import _read


def saved_state(network):
    """All of a network that a file keeps."""
    return (
        network.layers,
        network.activation,
        network.output,
        network.loss,
        network.residual,
        network.init,
        network.seed,
        network._position,
        network.parameters.tobytes(),
    )


def metadata_of(path) -> dict[str, str]:
    """What the caller of save noted in a file."""
    return _read(path)[1].user


def parts(content: bytes) -> tuple[dict, bytes]:
    """Header and tensor data of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def assembled(header: object, data: bytes) -> bytes:
    """The file of this header, bytes or what becomes JSON, and this tensor data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def refused_by(load, path, match: str | None = None) -> str:
    """Load a file that must be refused; the message is one short line and begins with its name."""
    with pytest.raises(ValueError, match=match) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message


def refused(path, content: bytes, match: str | None = None) -> str:
    """Write a file that load must refuse; the message."""
    path.write_bytes(content)
    return refused_by(dl.load, path, match)


def with_metadata(content: bytes, **entries: object) -> bytes:
    """The file with entries of its metadata replaced, or removed where the value is None."""
    header, data = parts(content)
    for key, value in entries.items():
        if value is None:
            del header["__metadata__"][key]
        else:
            header["__metadata__"][key] = value
    return assembled(header, data)


def with_tensor(content: bytes, name: str, **entries: object) -> bytes:
    header, data = parts(content)
    header[name] |= entries
    return assembled(header, data)
