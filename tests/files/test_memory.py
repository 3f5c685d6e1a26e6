"""No model file makes a reader use more than 10 MB before it is refused, or beside its own bytes.

Files whose headers are as much work for their length as we can think of are read in processes of
their own, of which the operating system tells the largest memory: what safetensors' Rust takes
counts as well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import deltaloop as dl
from deltaloop.tabular import TabularModel
from tests.helpers import memory
from tests.helpers.files import assembled, parts

LIMIT = 1 << 19  # of a header's bytes
CRAB = "\N{CRAB}"  # one such character makes every other one of a str take four bytes


def full(template: str, piece: str, limit: int = LIMIT) -> str:
    """The template with % replaced by the piece, again and again, # being its number."""
    pieces: list[str] = []
    room = limit - len(template.encode()) + 1
    if "#" not in piece:
        return template.replace("%", piece * (room // len(piece.encode())))
    while (room := room - len((text := piece.replace("#", f"{len(pieces):x}")).encode())) >= 0:
        pieces.append(text)
    return template.replace("%", "".join(pieces))


def bombs(header: str) -> dict[str, str]:
    metadata, tensor = '{"__metadata__": {', '"weights.1": '
    entry = '"#": {"dtype": "F64", "shape": [0], "data_offsets": [104, 104]}, '
    long_shape = '"x": {"dtype": "F64", "shape": [%0], "data_offsets": [104, 104]}, '

    def with_metadata(text: str) -> str:
        return header.replace(metadata, metadata + text)

    def with_tensors(text: str, of: str = header) -> str:
        return of.replace(tensor, text + tensor)

    def value(key: str, old: str, new: str) -> str:
        assert f'"{key}": "{old}"' in header
        return header.replace(f'"{key}": "{old}"', f'"{key}": "{new}"')

    activation, init = '[\\"tanh\\"]', '\\"glorot_uniform\\"'
    wide = with_metadata(f'"user.x": "{CRAB}@", ')
    return {
        "good": header,
        "long value": full(with_metadata('"user.x": "%", '), "x"),
        "long wide value": full(wide.replace("@", "%"), "x"),
        "wide characters": full(wide.replace("@", "%"), CRAB),
        "tensors": full(with_tensors("%"), entry),
        "as many tensors as are taken": full(with_tensors("%"), entry, 200_000),
        "tensors and a long value": full(
            full(with_tensors("%", wide), entry, 200_000).replace("@", "%"), "x"
        ),
        "shape": full(with_tensors(long_shape), "0,"),
        "as long a shape as is taken": full(with_tensors(long_shape), "0,", 79_000),
        "shape of a tensor": full(header.replace("[2, 3]", "[2, 3%]"), ",1", 79_000),
        "metadata": full(with_metadata("%"), '"#":"",'),
        "as much metadata as is taken": full(with_metadata("%"), '"#":"",', 116_000),
        "as many notes as are taken": full(with_metadata("%"), '"user.#":"",', 190_000),
        "metadata and a long value": full(
            full(with_metadata(f'"user.x": "{CRAB}@", %'), '"#":"",', 116_000).replace("@", "%"),
            "x",
        ),
        "deep": full("%", "["),
        "deep objects": full("%", '{"a":'),
        "layers": full(value("layers", "[2, 3, 1]", "[%1]"), "1,"),
        "as many layers as are taken": full(value("layers", "[2, 3, 1]", "[%1]"), "1,", 33_000),
        "layers and names": value("layers", "[2, 3, 1]", "[" + "1," * 8001 + "1]").replace(
            activation, "[" + ",".join(['\\"a\\"'] * 8000) + "]"
        ),
        "activations": full(value("activation", activation, "[%{}]"), "{},"),
        "as many activations as are taken": full(
            value("activation", activation, "[%{}]"), "{},", 33_000
        ),
        "init": full(value("init", init, "[%[]]"), "[],"),
        "deep init": full(value("init", init, "%"), "[", 33_000),
        "unknown entries": full(header.replace('"dtype"', '"x": [%[]], "dtype"', 1), "[],"),
        "tensor that is a list": full(with_tensors('"x": [%{}], '), "{},", 59_000),
    }


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "a good one"
    dl.Network([2, 3, 1], activation="tanh", seed=5).save(path)
    return path


def test_headers(good, tmp_path):
    header, data = parts(good.read_bytes())
    headers = bombs(json.dumps(header))
    for name, text in headers.items():
        assert len(text.encode()) <= LIMIT, name
        (tmp_path / name).write_bytes(assembled(text.encode(), data))
    notes = (
        "good",
        "long value",
        "long wide value",
        "wide characters",
        "as many notes as are taken",
    )
    found = memory.of_reading("load", good, [tmp_path / name for name in headers])
    for name, (kilobytes, message) in zip(headers, found, strict=True):
        assert kilobytes < 10_000, (name, kilobytes, message)
        if name in notes:
            assert message == "loaded"
        else:
            assert message.startswith(str(tmp_path / name)), name
            assert "expected" in message or "damaged" in message


def test_descriptions_of_tables(tmp_path):
    pytest.importorskip("narwhals")
    good = tmp_path / "a good one"
    model = TabularModel(hidden=2).fit({"x": [0, 1] * 20, "t": ["a", "b"] * 20}, "t", l2=1.0)
    model.save(good)
    text = '{"version": 1, "target": "t", "classes": null, "columns": [%]}'.replace
    texts = {
        "objects": text("%", ",".join(["{}"] * 65_000)),
        "lists": text("%", ",".join(["[]"] * 65_000)),
        "numbers": text("%", ",".join(["1.5"] * 100_000)),
        "more than are counted": text("%", ",".join(["{}"] * 150_000)),
        "deep": "[" * 400_000,
        "a long name": text("%", '"' + "x" * 400_000 + CRAB + '"'),
    }
    for name, description in texts.items():
        model.network.save(tmp_path / name, {"table": description})
    found = memory.of_reading("TabularModel", good, [tmp_path / name for name in texts])
    for name, (kilobytes, message) in zip(texts, found, strict=True):
        assert kilobytes < 10_000, (name, kilobytes, message)
        assert message.startswith(f"{tmp_path / name}: expected"), message


def test_memory_is_measured(good, tmp_path):
    network = dl.Network([1000, 1000, 1000], seed=0)
    network.save(tmp_path / "large")
    small, large = memory.of_reading("load", good, [good, tmp_path / "large"])
    assert small[0] < 5_000
    assert large[0] > 8 * network.n_parameters / 1024


def test_declared_sizes(good, tmp_path):
    """A terabyte that is not there, and one that a sparse file has, of other layers."""
    header, data = parts(good.read_bytes())
    metadata = header["__metadata__"] | {"layers": f"[2, {1 << 35}, 1]"}
    tensor = {"dtype": "F64", "shape": [2, 1 << 35], "data_offsets": [0, 1 << 39]}
    text = json.dumps({"__metadata__": metadata, "weights.1": tensor})
    paths = [tmp_path / "declared", tmp_path / "sparse"]
    paths[0].write_bytes(assembled(text.encode(), data))
    paths[1].write_bytes(assembled(text.encode(), b""))
    os.truncate(paths[1], paths[1].stat().st_size + (1 << 39))
    for path, (kilobytes, message) in zip(
        paths, memory.of_reading("load", good, paths), strict=True
    ):
        assert kilobytes < 10_000
        assert message.startswith(f"{path}: ")
        assert "bytes of tensors" in message or "damaged" in message
