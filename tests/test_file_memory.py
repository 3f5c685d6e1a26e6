"""No model file makes a reader use more than 10 MB before it is refused, or beside its own bytes.

Files whose headers are as much work for their length as we can think of are read in processes of
their own, of which the operating system tells the largest memory: what safetensors' Rust takes
counts as well.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import deltaloop as dl

LIMIT = 1 << 19  # of a header's bytes
CRAB = "\N{CRAB}"  # one such character makes every other one of a str take four bytes

# Each file is read by a child of a process that has loaded a good one. The kernel forgets the peak
# when it is told to; the parent's pages are counted before and after.
READ = """
import os, sys
import deltaloop as dl

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

dl.load(sys.argv[1])
for path in sys.argv[2:]:
    sys.stdout.flush()
    if os.fork() == 0:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = peak()
        try:
            dl.load(path)
            message = "loaded"
        except ValueError as error:
            message = str(error)
        print(peak() - before, message, flush=True)
        os._exit(0)
    os.wait()
"""


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
def read(tmp_path: Path) -> Callable[[dict[str, bytes]], dict[str, tuple[int, str]]]:
    """What reading files in processes of their own took, in kB, and the message, by their names.

    The last one may be followed by a hole of so many bytes.
    """
    clear = Path("/proc/self/clear_refs")
    try:
        clear.write_text("5")
    except OSError:
        pytest.skip("needs a kernel that resets the peak of a process's memory")

    good = tmp_path / "first"
    dl.Network([2, 3, 1], activation="tanh", seed=5).save(good)

    def run(files: dict[str, bytes], *, hole: int = 0) -> dict[str, tuple[int, str]]:
        paths = [tmp_path / name for name in files]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        if hole:
            os.truncate(path, len(content) + hole)
        command = [sys.executable, "-c", READ, str(good), *map(str, paths)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = [line.split(" ", 1) for line in lines.splitlines()]
        assert len(found) == len(files)
        return {name: (int(kb), text) for name, (kb, text) in zip(files, found, strict=True)}

    return run


def test_headers(read, tmp_path):
    path = tmp_path / "good"
    dl.Network([2, 3, 1], activation="tanh", seed=5).save(path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.dumps(json.loads(content[8 : 8 + length]))
    files = {}
    for name, text in bombs(header).items():
        encoded = text.encode()
        assert len(encoded) <= LIMIT, name
        files[name] = struct.pack("<Q", len(encoded)) + encoded + content[8 + length :]
    notes = {
        "good",
        "long value",
        "long wide value",
        "wide characters",
        "as many notes as are taken",
    }
    for name, (kilobytes, message) in read(files).items():
        assert kilobytes < 10_000, (name, kilobytes, message)
        if name in notes:
            assert message == "loaded"
        else:
            assert message.startswith(str(tmp_path / name)), name
            assert "expected" in message or "damaged" in message


def test_memory_is_measured(read, tmp_path):
    network = dl.Network([1000, 1000, 1000], seed=0)
    small, large = tmp_path / "small", tmp_path / "large"
    dl.Network([1, 1], seed=0).save(small)
    network.save(large)
    found = read({"a": small.read_bytes(), "b": large.read_bytes()})
    assert found["a"][0] < 5_000
    assert found["b"][0] > 8 * network.n_parameters / 1024


def test_declared_sizes(read, tmp_path):
    """A terabyte that is not there, and one that a sparse file has, of other layers."""
    path = tmp_path / "good"
    dl.Network([2, 3, 1], activation="tanh", seed=5).save(path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["layers"] = f"[2, {1 << 35}, 1]"
    header["weights.1"] = {"dtype": "F64", "shape": [2, 1 << 35], "data_offsets": [0, 1 << 39]}
    text = json.dumps({"__metadata__": header["__metadata__"], "weights.1": header["weights.1"]})
    start = struct.pack("<Q", len(text)) + text.encode()
    found = read({"declared": start + bytes(104), "sparse": start}, hole=1 << 39)
    for name, (kilobytes, message) in found.items():
        assert kilobytes < 10_000
        assert message.startswith(str(tmp_path / name))
    assert "bytes of tensors" in found["sparse"][1]
