"""Compressed files: what is in them, and what it is called."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

__all__ = ["SUFFIXES", "inner", "unpack"]


def _gzip(content: bytes) -> bytes:
    import gzip

    return gzip.decompress(content)


def _bz2(content: bytes) -> bytes:
    import bz2

    return bz2.decompress(content)


def _xz(content: bytes) -> bytes:
    import lzma

    return lzma.decompress(content)


def _zstd(content: bytes) -> bytes:
    """Python has it from 3.14 on; polars unpacks what it reads, here lines of text."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        unpacked: bytes = zstd.decompress(content)
        return unpacked
    except ImportError:
        import polars as pl

        lines = pl.read_csv(
            content, separator="\1", quote_char=None, has_header=False, infer_schema=False
        )
        return "\n".join(line or "" for (line,) in lines.iter_rows()).encode()


def _zip(content: bytes) -> bytes:
    """Return the one file of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if len(names) != 1:
            raise ValueError(
                f"holds {len(names)} files ({', '.join(names[:5])}); expected one table: unpack it "
                "and name the file"
            )
        return archive.read(names[0])


_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": _gzip,
    ".bz2": _bz2,
    ".xz": _xz,
    ".zst": _zstd,
    ".zip": _zip,
}
SUFFIXES = tuple(_UNPACK)


def inner(path: str) -> str:
    """Return the name without the ending that says that a file is compressed."""
    for suffix in SUFFIXES:
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def unpack(path: str, content: bytes) -> bytes:
    """Return what is in a compressed file; another file as it is. ValueError if it is damaged."""
    suffix = path[len(inner(path)) :].lower()
    if not suffix:
        return content
    try:
        return _UNPACK[suffix](content)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # each library has kinds of its own
        raise ValueError(f"cannot be unpacked: {error}") from error
