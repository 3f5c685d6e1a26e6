"""Files of another kind than expected: what a message says that they are."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._files import signatures
from tests.cli.conftest import fails, run

pytest.importorskip("narwhals")
pytest.importorskip("polars")
pytest.importorskip("onnx")

__all__ = ["fails", "run"]  # fixtures


@pytest.fixture
def files(tmp_path):
    """One file of each kind, all of the same numbers."""
    network = dl.Network([2, 3, 1], seed=0)
    network.save(tmp_path / "m.safetensors")
    network.to_onnx(tmp_path / "m.onnx")
    np.savez(tmp_path / "m.npz", X=np.zeros((9, 2)), y=np.zeros(9))
    text = "a,b,y\n" + "0,1,2\n" * 300
    (tmp_path / "m.csv").write_text(text)
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


def test_readers_say_what_they_found(files):
    pytest.importorskip("onnx")
    for reader, name, message in (
        (dl.load, "m.onnx", "model file .*found an ONNX model; deltaloop.from_onnx reads it$"),
        (dl.load, "m.csv", "model file .*found text"),
        (dl.load, "m.npz", "model file .*found a zip archive"),
        (dl.from_onnx, "m.safetensors", "an ONNX file, found a safetensors file; deltaloop.load"),
        (dl.from_onnx, "m.csv", "an ONNX file, found text"),
        (dl.from_onnx, "m.npz", "an ONNX file, found a zip archive"),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected .*{message}"):
            reader(files / name)


def test_the_command_line_says_what_it_found(files, fails):
    pytest.importorskip("polars")
    path = str(files / "m.csv")
    line = fails("predict", path, files / "m.safetensors")
    assert line.startswith(f"{path}: expected a model file (safetensors), found text")
    assert line.endswith("is MODEL the first argument?")
    path = str(files / "m.csv.gz")
    assert "has the class 2 alone" in fails("train", path, "--target", "y")  # it was read
    os.rename(path, files / "m.gz")
    path = str(files / "m.gz")
    packed = f"{path}: is compressed; expected a name that tells what is in it, as in data.csv.gz"
    assert fails("train", path, "--target", "y") == packed
    assert fails("predict", files / "m.safetensors", path) == packed
    line = fails("train", files / "m.safetensors")
    assert line.endswith("expected a NumPy .npz or .npy file, found a safetensors file")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"a,b\n1,2\n", signatures.TEXT),
        (b"\xef\xbb\xbfa;b\r\n", signatures.TEXT),
        ("Größe\t1\n".encode() * 100, signatures.TEXT),  # the 1000th byte cuts a character
        (b"\n \n", None),
        (b"\xff,1", None),
        (b"\x08\x0a\x12\x03abc", signatures.ONNX),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}", None),
        (b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": 1}', signatures.SAFETENSORS),
    ],
)
def test_kinds(content, kind):
    assert signatures.found(content) == kind
