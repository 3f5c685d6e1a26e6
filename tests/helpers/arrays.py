"""Awkward arrays: the same values in every form that a caller may bring, and what watches them.

Where a form has gaps (strides, other columns, the bytes around an unaligned element) they hold NaN,
or the largest integer, so that whoever reads beside an element gives itself away.
"""

from __future__ import annotations

import array
import copy
import itertools
import os
import pickle
import tempfile
import warnings

import numpy as np

FLOATS = (np.float16, np.float32, np.float64, np.longdouble)
INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)


class Subclass(np.ndarray):
    """A subclass that breaks whatever is computed with it."""

    def __array_ufunc__(self, *arguments, **options):
        raise AssertionError("the library computed with the caller's subclass")

    def __array_function__(self, *arguments, **options):
        raise AssertionError("the library called NumPy with the caller's subclass")


class WithArray:
    """Not an array, but knows how to become one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


class WithInterface:
    def __init__(self, values):
        self.values = values
        self.__array_interface__ = values.__array_interface__


class Rows:
    """A sequence with the minimum of methods."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        return self.values[i]


def gap(dtype):
    """What stands beside the elements."""
    return np.iinfo(dtype).max if dtype.kind in "iu" else True if dtype.kind == "b" else np.nan


def in_gaps(values, steps):
    """The values in an array of gaps, one element in steps[k] of axis k, none of them the first."""
    shape = [step * size + 1 for size, step in zip(values.shape, steps, strict=True)]
    wide = np.full(shape, gap(values.dtype), dtype=values.dtype)
    view = wide[tuple(slice(1, None, step) for step in steps)]
    view = view[tuple(slice(size) for size in values.shape)]
    view[...] = values
    return view


def unaligned(values):
    """The values one byte off."""
    memory = np.full(values.nbytes + values.itemsize + 1, 255, dtype=np.uint8)
    start = 1 if memory.ctypes.data % values.itemsize == 0 else 2
    view = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


def in_records(values):
    """The values as the field of packed records, so strided and unaligned."""
    records = np.zeros(values.shape, dtype=[("flag", "i1"), ("value", values.dtype)])
    records["flag"] = -1
    records["value"] = values
    return records["value"]


def swapped(values):
    return values.astype(values.dtype.newbyteorder())


def frozen(values):
    values.setflags(write=False)
    return values


def layouts(values):
    """Yield (name, array): the values in this dtype wherever they may lie in memory."""
    yield "C order", values.copy()
    yield "read-only", frozen(values.copy())
    yield "read-only buffer", np.frombuffer(values.tobytes(), values.dtype).reshape(values.shape)
    yield "unaligned", unaligned(values)
    yield "in records", in_records(values)
    yield "strided", in_gaps(values, (2,) * values.ndim)
    yield "read-only, strided", frozen(in_gaps(values, (3,) * values.ndim))
    for axes in itertools.product((False, True), repeat=values.ndim):
        turn = tuple(slice(None, None, -1 if reverse else None) for reverse in axes)
        if any(axes):
            yield f"negative strides {axes}", np.ascontiguousarray(values[turn])[turn]
            yield f"negative strides, gaps {axes}", in_gaps(values[turn], (2,) * values.ndim)[turn]
    if values.ndim == 2:
        yield "Fortran order", np.asfortranarray(values)
        yield "columns of a wider array", in_gaps(values, (1, 1))
        yield "every third row", in_gaps(values, (3, 1))
        yield "every third column", in_gaps(values, (1, 3))
        yield "reversed Fortran order", np.asfortranarray(values[::-1])[::-1]
        yield "slice of three dimensions", np.stack([values, values], axis=1)[:, 1]
        if len(values) and (values == values[0]).all():
            yield "broadcast rows", np.broadcast_to(values[0].copy(), values.shape)
        if values.shape[1] and (values == values[:, :1]).all():
            yield "broadcast columns", np.broadcast_to(values[:, :1].copy(), values.shape)
    if values.dtype.itemsize > 1:
        yield "byte-swapped", swapped(values)
        yield "byte-swapped, strided", in_gaps(swapped(values), (2,) * values.ndim)
        yield "byte-swapped, unaligned", unaligned(swapped(values))


def mapped(values, folder):
    """Yield (name, array): the values in a file."""
    number, path = tempfile.mkstemp(dir=folder)
    os.close(number)
    values.tofile(path)
    for mode in "r", "c", "r+":
        yield (
            f"memory-mapped {mode}",
            np.memmap(path, dtype=values.dtype, mode=mode, shape=values.shape),
        )


def objects(values):
    """Yield (name, object): what is not a plain array."""
    yield "subclass", values.copy().view(Subclass)
    yield "strided subclass", in_gaps(values, (2,) * values.ndim).view(Subclass)
    yield "masked array without a mask", np.ma.array(values)
    yield "masked array, nothing masked", np.ma.array(values, mask=np.zeros(values.shape, bool))
    if values.ndim == 2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            yield "matrix", np.asmatrix(values)
    yield "memoryview", memoryview(values)
    yield "__array__", WithArray(values)
    yield "__array_interface__", WithInterface(in_gaps(values, (2,) * values.ndim))
    if values.size:  # a list of nothing has no second dimension
        yield "list", values.tolist()
        yield "tuple", tuple(values.tolist())
        yield "list of scalars", list(values) if values.ndim == 1 else [list(row) for row in values]
        yield "sequence", Rows(values.tolist())
        if values.ndim == 2:
            yield "list of arrays", list(values)
            yield "list of tuples", [tuple(row) for row in values.tolist()]
    if values.ndim == 1:
        yield "array.array", array.array(values.dtype.char, values.tolist())
    yield from frames(values)


def frames(values):
    """Yield (name, object): tables of other libraries, where they are installed."""
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        yield "pandas", pd.Series(values) if values.ndim == 1 else pd.DataFrame(values)
    try:
        import polars as pl
    except ImportError:
        pass
    else:
        yield "polars", pl.Series(values) if values.ndim == 1 else pl.DataFrame(values)


def holds(values, dtype):
    """Whether a dtype holds the values exactly."""
    with np.errstate(all="ignore"):
        converted = values.astype(dtype)
        return bool((converted.astype(values.dtype) == values).all())


def awkward(values, folder):
    """Yield (name, object): the values in every form, each in memory of its own.

    values is float64 or int64, of one or two dimensions. Floats come in every real dtype that
    holds them exactly, integers in every integer dtype and bool. Files go to the folder.
    """
    integers = values.dtype.kind == "i"
    for dtype in map(np.dtype, (bool, *INTEGERS, *(() if integers else FLOATS))):
        if holds(values, dtype):
            for name, form in layouts(values.astype(dtype)):
                yield f"{dtype}, {name}", form
    if values.size:
        yield from mapped(values, folder)
    yield from objects(values.copy())


def owners(value):
    """The arrays and buffers that a value is a view of, itself included."""
    while value is not None:
        yield value
        value = getattr(value, "base", None)


def fingerprint(value):
    """What is equal before and after if and only if nobody changed the value."""
    if isinstance(value, np.ndarray):
        described = value.view(np.ndarray)
        flags = str(described.flags)
        layout = described.dtype.str, described.shape, described.strides, flags
        memory = [
            owner.view(np.ndarray).tobytes()
            for owner in owners(value)
            if isinstance(owner, np.ndarray)
        ]
        if isinstance(value, np.ma.MaskedArray):
            memory.append(np.ma.getmaskarray(value).tobytes())
        return (*layout, memory)
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, WithArray | WithInterface | Rows):
        return fingerprint(value.values)
    if isinstance(value, memoryview):
        return value.tobytes()
    try:
        return pickle.dumps(copy.deepcopy(value))
    except Exception:  # what cannot be copied has nothing to be compared
        return repr(type(value))
