"""What a file is that is not what was expected, told by its first bytes."""

from __future__ import annotations

import codecs

__all__ = ["ONNX", "SAFETENSORS", "found"]

ONNX = "an ONNX model"
SAFETENSORS = "a safetensors file"
TEXT = "text, as in a CSV file"

_KINDS = (
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a zip archive (.zip, .xlsx, .npz and the like)"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (.xls and the like)"),
    (b"%PDF-", "a PDF file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xfe\x00\x00", "text in UTF-32"),
    (b"\x00\x00\xfe\xff", "text in UTF-32"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    *((bytes([0x80, protocol]), "a Python pickle") for protocol in range(2, 6)),
    # The version of the format, then the key of any other field that comes early.
    *((bytes([0x08, version, key]), ONNX) for version in range(1, 32) for key in b'\x12\x1a"(2:B'),
)

# Of text in UTF-16 without a mark at its start, this part of every other byte is 0 at least.
_ZEROS = 0.6
_LOOKED_AT = 1000


def found(content: bytes, *, text: bool = True) -> str | None:
    """Return what some bytes are the beginning of, None if that is unknown.

    Without `text`, readable text is unknown, too.
    """
    for start, kind in _KINDS:
        if content.startswith(start):
            return kind
    if content[5:10] == b'\0\0\0{"':  # the length of a header, then the header
        return SAFETENSORS
    sample = content[:_LOOKED_AT]
    for first in (0, 1):
        zeros, others = sample[first::2], sample[1 - first :: 2]
        if zeros.count(0) > _ZEROS * len(zeros) and others.count(0) < 0.1 * len(others):
            return "text in UTF-16"
    return TEXT if text and _is_text(sample) else None


def _is_text(sample: bytes) -> bool:
    """Whether some bytes are UTF-8 that can be read; the last character may be cut."""
    try:
        characters = codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    words = "".join(characters.removeprefix("\ufeff").split())
    return words != "" and words.isprintable()
