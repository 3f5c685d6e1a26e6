"""Mutations that keep the form of a file, so that they reach what is behind its first checks."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

Bytes = Callable[[bytes, int], bytes]  # what changes bytes without knowing them

_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53, 2**63 - 1, 2**63, 10**30, 0.5, -0.0, 1e308,
    1e-320, float("nan"), float("inf"), "", "0", "1", "x", "\ud800", "\x00", "é", "a" * 300, [], {},
    [[]], [1, 2], ["a", "b"], "number", "category", "date", "duration", "text", "identity",
    "softmax", "sigmoid", "cross_entropy", "huber(0.5)", "quantile(0.1)", "uniform(-1.0,1.0)",
    "true", "F64", "F32", "[2, 3, 1]",
]  # fmt: skip


class Pairs(list):
    """A JSON object, whose keys may come twice."""


def _dump(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(str(k))}:{_dump(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return json.dumps(value)


def _places(value: Any, found: list[Any]) -> None:
    """List the containers in a value, itself among them."""
    if isinstance(value, list):
        found.append(value)
        for item in value:
            _places(item[1] if isinstance(value, Pairs) else item, found)


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{" and value and rng.random() < 0.8:
        return json_text(rng, value)
    kind = rng.randrange(6)
    if kind == 0 and isinstance(value, int | float) and not isinstance(value, bool):
        return value + rng.choice([-2, -1, 1, 2, 0.5])
    if kind == 1 and isinstance(value, str) and value:
        place = rng.randrange(len(value))
        return (
            value[:place]
            + rng.choice(["", "0", "\u2028", "\ud800", "a", "\\"])
            + value[place + 1 :]
        )
    if kind == 2:
        return [value]
    if kind == 3 and isinstance(value, Pairs) is False and isinstance(value, list):
        return Pairs((str(i), item) for i, item in enumerate(value))
    return rng.choice(_VALUES)


def json_text(rng: random.Random, text: str) -> str:
    """Change some values, keys or places of a JSON text; one that is none stays as it is."""
    try:
        return _json_text(rng, [json.loads(text, object_pairs_hook=Pairs)])
    except (ValueError, RecursionError):
        return text


def _json_text(rng: random.Random, whole: list[Any]) -> str:
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        places: list[Any] = []
        _places(whole, places)
        place = rng.choice(places)
        if not place:
            place.append(("x", 1) if isinstance(place, Pairs) else rng.choice(_VALUES))
            continue
        i, j = rng.randrange(len(place)), rng.randrange(len(place))
        action = rng.randrange(8)
        if action == 0 and place is not whole:
            del place[i]
        elif action == 1 and place is not whole:
            place.insert(j, place[i])
        elif action == 2:
            place[i], place[j] = place[j], place[i]
        elif isinstance(place, Pairs):
            key, value = place[i]
            if action == 3:
                place[i] = (_changed(rng, key), value)
            elif action == 4:
                place[i] = (key, place[j][1])
            else:
                place[i] = (key, _changed(rng, value))
        else:
            place[i] = _changed(rng, place[i])
    return _dump(whole[0])


def description(data: bytes, rng: random.Random, raw: Bytes, most: int) -> bytes:
    if rng.random() < 0.3:
        return raw(data, most)
    return json_text(rng, data.decode(errors="replace")).encode()


def safetensors(data: bytes, rng: random.Random, raw: Bytes, most: int) -> bytes:
    """Change the header and put the length before it that it has then; or any bytes."""
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.15 or length > len(data) - 8:
        return raw(data, most)
    header, tensors = data[8 : 8 + length], data[8 + length :]
    kind = rng.random()
    if kind < 0.6:
        header = json_text(rng, header.decode(errors="replace")).encode()
    elif kind < 0.85:
        header = raw(header, most)
    else:
        tensors = raw(tensors, most) if tensors else b""
    return struct.pack("<Q", len(header)) + header + tensors


def _messages(message: Any, found: list[Any]) -> None:
    found.append(message)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                _messages(item, found)


def _scalar(rng: random.Random, field: Any, old: Any) -> Any:
    from google.protobuf.descriptor import FieldDescriptor as F

    if field.cpp_type in (F.CPPTYPE_INT32, F.CPPTYPE_INT64, F.CPPTYPE_UINT64, F.CPPTYPE_UINT32):
        least = 0 if field.cpp_type in (F.CPPTYPE_UINT64, F.CPPTYPE_UINT32) else -1
        return max(least, rng.choice([0, 1, 2, 3, 7, 11, -1, 10, 16, old + 1, old - 1, 2**31 - 1]))
    if field.cpp_type == F.CPPTYPE_ENUM:
        return rng.choice(list(field.enum_type.values_by_number))
    if field.cpp_type in (F.CPPTYPE_FLOAT, F.CPPTYPE_DOUBLE):
        return rng.choice([0.0, 1.0, -1.0, 0.5, 2.0, 1e30, float("nan"), float("inf"), old + 1.0])
    if field.type == F.TYPE_BYTES:
        place = rng.randrange(len(old) + 1)
        return rng.choice(
            [
                b"",
                old[:-1],
                old + old[:8],
                old[:place] + bytes([rng.randrange(256)]) + old[place + 1 :],
            ]
        )
    return rng.choice(
        [
            "",
            "x",
            "axis",
            "alpha",
            "Gemm",
            "Add",
            "Relu",
            "MatMul",
            "Identity",
            "Flatten",
            "Mul",
            "Sub",
            "Div",
            "Reshape",
            "Squeeze",
            "BatchNormalization",
            "Scaler",
            "ai.onnx.ml",
            old + "1",
        ]
    )


def onnx(data: bytes, rng: random.Random, raw: Bytes, most: int) -> bytes:
    """Change fields of the messages, take out, repeat or exchange some; or any bytes."""
    import onnx as library
    from google.protobuf.message import DecodeError, EncodeError

    if rng.random() < 0.15:
        return raw(data, most)
    model = library.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return raw(data, most)
    for _ in range(rng.choice([1, 1, 2, 4])):
        found: list[Any] = []
        _messages(model, found)
        message = rng.choice(found)
        fields = [field for field, _ in message.ListFields()] or list(message.DESCRIPTOR.fields)
        field = rng.choice(fields if rng.random() < 0.8 else list(message.DESCRIPTOR.fields))
        try:
            _change_field(rng, message, field, found)
        except (ValueError, TypeError, AttributeError, OverflowError):
            continue
    try:
        return model.SerializeToString()
    except (EncodeError, ValueError):
        return data


def _change_field(rng: random.Random, message: Any, field: Any, found: list[Any]) -> None:
    name = field.name
    if field.is_repeated:
        items = getattr(message, name)
        action = rng.randrange(5)
        if action == 0 and items:
            del items[rng.randrange(len(items))]
        elif action == 1 and items and field.message_type is not None:
            items.append(_copy(rng.choice(list(items))))
        elif action == 2 and len(items) > 1 and field.message_type is None:
            i, j = rng.randrange(len(items)), rng.randrange(len(items))
            items[i], items[j] = items[j], items[i]
        elif field.message_type is not None:
            alike = [m for m in found if m.DESCRIPTOR is field.message_type]
            items.append(
                _copy(rng.choice(alike)) if alike else field.message_type._concrete_class()
            )
        elif items and rng.random() < 0.7:
            i = rng.randrange(len(items))
            items[i] = _scalar(rng, field, items[i])
        else:
            items.append(_scalar(rng, field, field.default_value or _zero(field)))
    elif field.message_type is not None:
        alike = [m for m in found if m.DESCRIPTOR is field.message_type]
        if rng.random() < 0.3 or not alike:
            message.ClearField(name)
        else:
            getattr(message, name).CopyFrom(_copy(rng.choice(alike)))
    elif rng.random() < 0.15:
        message.ClearField(name)
    else:
        setattr(message, name, _scalar(rng, field, getattr(message, name)))


def _copy(message: Any) -> Any:
    """A message apart: one that is copied into itself would end the process."""
    return type(message).FromString(message.SerializeToString())


def _zero(field: Any) -> Any:
    from google.protobuf.descriptor import FieldDescriptor as F

    if field.type == F.TYPE_BYTES:
        return b""
    return "" if field.cpp_type == F.CPPTYPE_STRING else 0


def text(data: bytes, rng: random.Random, raw: Bytes, most: int) -> bytes:
    """Exchange, repeat or take out lines and entries; or any bytes."""
    if rng.random() < 0.5 or not data:
        return raw(data, most)
    mark = rng.choice([b"\n", b",", b";", b'"', b"\t"])
    parts = data.split(mark)
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    action = rng.randrange(5)
    if action == 0:
        parts[i], parts[j] = parts[j], parts[i]
    elif action == 1:
        parts.insert(i, parts[j])
    elif action == 2:
        del parts[i]
    elif action == 3:
        parts[i] = rng.choice(
            [
                b"",
                b'""',
                b'"',
                b" ",
                b"NaN",
                b"1e400",
                b"2020-02-30",
                b"\xff",
                b"true",
                b"99999999999999999999",
                b"\r",
                b'"a\n b"',
                b'a"b',
                b"\xef\xbb\xbf",
                b"0x10",
            ]
        )
    else:
        parts[i] = raw(parts[i], most) if parts[i] else b"0"
    return mark.join(parts)


def plain(data: bytes, rng: random.Random, raw: Bytes, most: int) -> bytes:
    return raw(data, most)


MUTATIONS: dict[str, Callable[[bytes, random.Random, Bytes, int], bytes]] = {
    "network_file": safetensors,
    "checkpoint_file": safetensors,
    "table_file": safetensors,
    "onnx_file": onnx,
    "onnx_runtime": onnx,
    "table_description": description,
    "csv_file": text,
    "numpy_file": plain,
}


def bytes_changed(rng: random.Random) -> Bytes:
    """What changes bytes where no fuzzer does it."""

    def change(data: bytes, most: int) -> bytes:
        found = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            place = rng.randrange(len(found) + 1)
            action = rng.randrange(3)
            if action == 0:
                found[place : place + 1] = bytes([rng.randrange(256)])
            elif action == 1:
                del found[place : place + rng.choice([1, 1, 4, 64])]
            else:
                found[place:place] = found[place : place + 8] or b"0"
        return bytes(found[:most])

    return change
