"""ONNX files from anywhere: what is in one, read with little memory and no trust.

A protobuf message of two bytes can make an object of a hundred, so the objects of a file are
counted before it is parsed. Nothing beside the file is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files import signatures
from deltaloop._files.contents import exactly, reading
from deltaloop._files.paths import short

# Objects of a file, counted before it is parsed: they and what is made of them take up to 250 bytes
# each. A layer of gelu units, the longest form, has 370, one of relu units 25.
MAX_OBJECTS = 200_000

# FieldDescriptor's types of integers: where one takes a byte, eight take as much as an object.
_INTEGERS = (3, 4, 5, 13, 17, 18)
_TEXT = 9

# protobuf's own limits
MAX_BYTES = 2**31 - 1
MAX_DEPTH = 100

# Of a name, a description or an entry of the metadata.
MAX_TEXT_BYTES = 2**24

FLOAT16, BFLOAT16 = 10, 16
# TensorProto's types: how they lie in raw_data, and the fields where values are if not there. Those
# of two bytes are there as integers.
_TYPES = {
    1: ("<f4", "float_data"),
    7: ("<i8", "int64_data"),
    FLOAT16: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    BFLOAT16: ("<u2", "int32_data"),
}


def read_model(onnx: Any, name: str) -> Any:
    """Return the ModelProto in a file. ValueError if it is none, OSError if it cannot be read."""
    with reading(name) as (file, size):
        if not 0 < size <= MAX_BYTES:
            raise ValueError(f"expected a file of 1 to {MAX_BYTES} bytes, found {size}")
        content = exactly(file, size)
    model = onnx.ModelProto()
    try:
        count = _parse(model, content)
    except ValueError as error:
        kind = signatures.found(content)
        if kind is None or kind == signatures.ONNX:
            raise
        if kind == signatures.SAFETENSORS:
            kind += "; deltaloop.load reads it if it is a model"
        raise ValueError(f"expected an ONNX file, found {kind}") from error
    if count > MAX_OBJECTS:
        raise ValueError(f"expected an ONNX file of at most {MAX_OBJECTS} objects, found more")
    if not model.HasField("graph"):
        raise ValueError("expected an ONNX model, found none: it has no graph")
    return model


def _parse(model: Any, content: bytes) -> int:
    """Parse a ModelProto unless it has too many objects; how many there are, as `_count`."""
    from google.protobuf.message import DecodeError

    with memoryview(content) as view:
        count = _count(view, 0, len(view), model.DESCRIPTOR)
        if count <= MAX_OBJECTS:
            try:
                model.ParseFromString(view)
            except DecodeError as error:
                raise ValueError(f"damaged ONNX file: {short(str(error), 200)}") from None
    return count


def _count(view: memoryview, place: int, end: int, message: Any, depth: int = 0) -> int:
    """Return how many fields a message has, and those in it, or a number above the limit."""
    if depth > MAX_DEPTH:
        raise _damaged(f"messages in each other more than {MAX_DEPTH} deep")
    fields, count = message.fields_by_number, 0
    while place < end and count <= MAX_OBJECTS:
        key, place = _varint(view, place)
        count += 1
        wire = key & 7
        if wire == 0:
            place = _varint(view, place)[1]
        elif wire == 1:
            place += 8
        elif wire == 5:
            place += 4
        elif wire == 2:
            length, place = _varint(view, place)
            if length > end - place:
                raise _damaged("a field that is longer than what holds it")
            field = fields.get(key >> 3)
            if field is not None and field.message_type is not None:
                count += _count(view, place, place + length, field.message_type, depth + 1)
            elif field is not None and field.type in _INTEGERS:
                count += length // 8
            elif field is not None and field.type == _TEXT:
                _check_text(view, place, length)
            place += length
        else:
            raise _damaged(f"a field of wire type {wire}")
    if place > end:
        raise _damaged("a field that is longer than what holds it")
    return count


def _check_text(view: memoryview, place: int, length: int) -> None:
    """Raise a ValueError for what protobuf would return as bytes, and where a str is expected."""
    if length > MAX_TEXT_BYTES:
        raise _damaged(f"a text of {length} bytes")
    try:
        bytes(view[place : place + length]).decode()
    except UnicodeDecodeError:
        raise _damaged("a text that is not in UTF-8") from None


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return the number at a place, seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(view):
            raise _damaged("its end within a number")
        byte = view[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise _damaged("a number of more than ten bytes")


def _damaged(found: str) -> ValueError:
    return ValueError(f"expected an ONNX file, found {found}")


def array(tensor: Any) -> NDArray[Any] | None:
    """Return a tensor of floats or int64, None if it is of another type; bfloat16 as float32.

    ValueError if its values are not in the file, or not as many as its dimensions call for.
    """
    what = f"initializer {short(tensor.name)}"
    if tensor.data_location != 0 or len(tensor.external_data) > 0:
        raise ValueError(
            f"{what} is in another file, which is not read: export the model with its weights in "
            "one file, as torch.onnx.export(..., external_data=False) does"
        )
    if tensor.data_type not in _TYPES:
        return None
    shape = tuple(tensor.dims)
    if len(shape) > 64 or any(size < 0 for size in shape):
        raise ValueError(f"{what} has dimensions {short(str(list(shape)))}")
    size = 1
    for length in shape:
        size *= length
    dtype, field = _TYPES[tensor.data_type]
    raw = tensor.HasField("raw_data")
    values = tensor.raw_data if raw else getattr(tensor, field)
    item = np.dtype(dtype).itemsize if raw else 1
    if len(values) != item * size:
        found = f"{len(values)} bytes" if raw else f"{len(values)}"
        shown = short(str(list(shape)))
        raise ValueError(f"{what} of shape {shown} needs {size} values, found {found}")
    return _flat(values, dtype, raw, tensor.data_type).reshape(shape)


def _flat(values: Any, dtype: str, raw: bool, kind: int) -> NDArray[Any]:
    """Return the values of a tensor, one after the other."""
    if raw:
        flat = np.frombuffer(values, dtype)
    elif kind in (FLOAT16, BFLOAT16):
        words = np.fromiter(values, np.int64, len(values))
        if ((words < 0) | (words >= 1 << 16)).any():
            raise ValueError("expected values of two bytes, found larger ones")
        flat = words.astype("<u2").view(dtype)
    else:
        flat = np.fromiter(values, dtype, len(values))
    if kind == BFLOAT16:  # the upper half of a float32
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat


def metadata(model: Any, prefix: str) -> dict[str, str]:
    """Return the entries of metadata_props whose keys begin so, without the prefix."""
    found: dict[str, str] = {}
    for entry in model.metadata_props:
        if entry.key.startswith(prefix):
            key = entry.key.removeprefix(prefix)
            if key in found:
                raise ValueError(f"expected each key of the metadata once, found {key!r} twice")
            found[key] = entry.value
    return found
