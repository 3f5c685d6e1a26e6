"""Arrays of instances and targets: what a user can get wrong, and the sentence that says so.

Arrays leave here as the C core takes them: two-dimensional, of a type that C reads in place
(anything else is converted to float64), checked. Nothing is written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _losses
from deltaloop._arguments import sparse as _sparse

Array = NDArray[Any]

# How far the targets of one instance may be from summing to 1, for cross-entropy with softmax:
# probabilities that were computed in single precision pass.
SUM_TOLERANCE = 1e-6
# Elements that NumPy looks at in one call: some milliseconds, after which Python serves signals.
BLOCK = 2**21


def blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """Yield some rows after the others, each with the number of its first row."""
    n = array.shape[0] if array.ndim else 1
    if array.size <= BLOCK:
        yield 0, array
        return
    rows = max(1, BLOCK * n // array.size)
    for begin in range(0, n, rows):
        yield begin, array[begin : begin + rows]


def converted(array: Array, dtype: Any) -> Array:
    """Return a copy of another type; what a float64 cannot hold becomes infinite or 0."""
    with np.errstate(all="ignore"):
        if array.size <= BLOCK:
            return array.astype(dtype)
        result = np.empty(array.shape, dtype)
        for begin, part in blocks(array):
            result[begin : begin + part.shape[0]] = part
        return result


def numbers(name: str, values: object) -> Array:
    """Return real numbers as an array that C can read; other real types become float64."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise ValueError(f"{name} has masked values; fill or drop them first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        if "setting an array element" not in str(error):  # the object's own error
            raise
        raise ValueError(f"{name} is not a rectangular array: {error}") from None
    if array.dtype.kind == "O":
        array = nullable(values, array)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype} "
            f"({type(values).__name__}){_remedy(name, values, array)}"
        )
    if _core.is_direct(array):
        return array
    kind = array.dtype.newbyteorder("=") if array.dtype.kind in "biu" else np.float64
    return converted(array, kind)


def nullable(values: Any, array: Array) -> Array:
    """Return what pandas holds in types that know missing values as numbers, these as NaN.

    Anything else is `array`, which NumPy makes of it.
    """
    types = getattr(values, "dtypes", None)  # of a frame's columns, or of a series
    if types is None or type(values).__module__.partition(".")[0] != "pandas":
        return array
    each = list(types) if hasattr(types, "__iter__") and array.ndim == 2 else [types]
    if any(getattr(kind, "kind", "O") not in "biuf" for kind in each):
        return array
    gaps = np.asarray(values.isna()).any()
    own = [getattr(kind, "numpy_dtype", kind) for kind in each]
    dtype = np.dtype(np.float64) if gaps else np.result_type(*own)
    result: Array = values.to_numpy(dtype=dtype, **({"na_value": np.nan} if gaps else {}))
    return result


def _remedy(name: str, values: object, array: Array) -> str:
    """Return what a message says to do with values that are no real numbers."""
    if isinstance(values, str):
        return ", which is no array" if name != "Y" else ", and X has no columns with names"
    if hasattr(values, "toarray"):
        return f"; use {name}.toarray()"
    text = array.dtype.kind in "US" or (
        array.dtype.kind == "O" and array.size and isinstance(array.flat[0], str)
    )
    if text and name in ("Y", "y", "validation[1]"):
        return (
            f"; number the classes: classes, Y = numpy.unique({name}, return_inverse=True), or use "
            "deltaloop.sklearn"
        )
    if text or (array.dtype.kind == "O" and array.ndim):
        made = isinstance(values, np.ndarray) or hasattr(values, "astype")
        remedy = f"{name}.astype(float)" if made else f"numpy.array({name}, dtype=float)"
        if hasattr(values, "columns"):
            remedy += ", or deltaloop.tabular.TabularModel, which takes columns of text"
        return f"; try {remedy}"
    return ""


def plain(name: str, values: object) -> object:
    """Return what is no array yet as one, and None as it is: from then on it runs no code.

    A call makes all of its arguments plain before it checks the first one.
    """
    return values if values is None or type(values) is np.ndarray else numbers(name, values)


def rows(name: str, X: object) -> Array | _core.Csr:
    """Return instances as an array that C can read, or where they are sparse as CSR rows."""
    if type(X) is _core.Csr:
        return X
    return _sparse.rows(name, X) if _sparse.is_sparse(X) else numbers(name, X)


def instances(X: object, n_inputs: int, name: str = "X") -> tuple[Any, bool]:
    """Return X as (n, m0), an array or Csr, and whether it was a single instance (m0,)."""
    array = rows(name, X)
    if not isinstance(array, _core.Csr) and array.ndim == 1:
        if array.shape[0] != n_inputs:
            hint = ""
            if n_inputs == 1:
                hint = f"; for {array.shape[0]} instances of one input pass {name}.reshape(-1, 1)"
            raise ValueError(
                f"{name} of one dimension is one instance of {n_inputs} "
                f"input{'s' if n_inputs > 1 else ''}, got shape {array.shape}{hint}"
            )
        return array.reshape(1, n_inputs), True
    if array.ndim != 2 or array.shape[1] != n_inputs:
        raise ValueError(
            f"{name} must have shape (n, {n_inputs}) or ({n_inputs},), got {array.shape}"
        )
    return array, False


def finite(name: str, array: Array | _core.Csr) -> None:
    """Refuse NaN and infinities, saying where the first one is."""
    if isinstance(array, _core.Csr):
        _sparse.finite(name, array)
        return
    table = array if array.ndim == 2 else array.reshape(-1, 1)
    place = _core.find_nonfinite(table)
    if place is not None:
        row, column = place
        where = f"row {row}, column {column}" if array.ndim == 2 else f"index {row}"
        raise ValueError(f"{name} holds {table[place]} at {where}; every value must be finite")


def targets(
    network: _core.Core, Y: object, n: int, single: bool, name: str, other: str
) -> tuple[Array, bool]:
    """Return Y as (n, mL), or as class indices (n,) with True, checked for the network's loss."""
    m = network.layers[-1]
    array = numbers(name, Y)
    softmax = network.output == "softmax"
    shape = array.shape
    if softmax and array.ndim == (0 if single else 1) and array.dtype.kind in "biu":
        array = array.reshape(-1)
        count(array, n, name, other)
        classes(array, m, name)
        return array, True
    if single:
        if shape == (m,) or (shape == () and m == 1) or shape == (1, m):
            return array.reshape(1, m), False
        expected = f"shape ({m},)" + (" or be a scalar" if m == 1 else "")
        also = f", or be a class 0..{m - 1}" if softmax else ""
        raise ValueError(f"{name} must have {expected}{also} for one instance, got shape {shape}")
    if array.ndim == 1 and m == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != m:
        if softmax:
            raise ValueError(
                f"{name} must hold integer classes (n,) or have shape (n, {m}), "
                f"got shape {shape} of dtype {array.dtype}"
            )
        also = " or (n,)" if m == 1 else ""
        raise ValueError(f"{name} must have shape (n, {m}){also}, got {shape}")
    count(array, n, name, other)
    return array, False


def count(array: Array, n: int, name: str, other: str) -> None:
    """Check that there is a target for each instance."""
    if array.shape[0] != n:
        raise ValueError(f"{other} has {n} instances but {name} has {array.shape[0]}")


def classes(labels: Array, m: int, name: str) -> None:
    """Check that class indices are those of a layer of m units."""
    if labels.dtype.kind == "b" or labels.size == 0:
        return
    for begin, part in blocks(labels):
        for row in (int(part.argmin()), int(part.argmax())):
            if not 0 <= part[row] < m:
                raise ValueError(
                    f"{name} holds class {part[row]} at row {begin + row}; "
                    f"the output layer has the classes 0..{m - 1}"
                )


def probabilities(network: _core.Core, array: Array, name: str) -> None:
    """Check targets that a cross-entropy reads as probabilities."""
    for begin, part in blocks(array):
        for place in (part.argmin(), part.argmax()):
            row, column = divmod(int(place), part.shape[1])
            if not 0 <= part[row, column] <= 1:
                raise ValueError(
                    f"{name} holds {part[row, column]} at row {begin + row}, column {column}; "
                    f"targets of {network.loss} are probabilities in [0, 1]"
                )
    if network.output == "softmax":
        for begin, part in blocks(array):
            sums = part.sum(axis=1, dtype=np.float64)
            row = int(np.abs(sums - 1.0).argmax())
            if abs(sums[row] - 1.0) > SUM_TOLERANCE:
                raise ValueError(
                    f"{name} sums to {sums[row]} at row {begin + row}; with softmax the targets "
                    "of one instance are probabilities that sum to 1"
                )


def not_negative(array: Array, name: str) -> None:
    """Check targets that the Poisson loss reads as counts."""
    for begin, part in blocks(array):
        row, column = divmod(int(part.argmin()), part.shape[1])
        if not part[row, column] >= 0:
            raise ValueError(
                f"{name} holds {part[row, column]} at row {begin + row}, column {column}; targets "
                "of poisson are counts, at least 0"
            )


def differentiable(network: _core.Core) -> None:
    """Refuse a gradient of step units."""
    if "step" in (*network.activation, network.output):
        raise ValueError(
            "a network with step units has no useful derivative: it predicts, but it cannot be "
            "trained and has no gradient"
        )


def batch(
    network: _core.Core,
    X: object,
    Y: object,
    x_name: str = "X",
    y_name: str = "Y",
    *,
    check_finite: bool = True,
    gradient: bool = True,
) -> tuple[Any, Array, bool]:
    """Return instances (n, m0), an array or Csr, their targets, whether those are classes."""
    if network._reads(X, Y, check_finite):
        return X, cast(Array, Y), False
    if gradient:
        differentiable(network)
    x, single = instances(X, network.layers[0], x_name)
    if x.shape[0] == 0:
        raise ValueError(f"{x_name} is empty: it has no instances")
    y, labels = targets(network, Y, x.shape[0], single, y_name, x_name)
    if check_finite:
        finite(x_name, x)
        finite(y_name, y)
    kind = _losses.targets(network.loss)
    if kind == "probabilities" and not labels:
        probabilities(network, y, y_name)
    elif kind == "counts":
        not_negative(y, y_name)
    return x, y, labels


# ---- the slow path of predict ----


def output(network: _core.Core, out: object, shape: tuple[int, ...], x: Array | _core.Csr) -> Array:
    """Check an array that the caller gave for the result."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a float64 array, got {type(out).__name__}")
    out = np.asarray(out)  # of a subclass its base, on the same memory
    if out.dtype != np.float64:
        raise TypeError(f"out must be a float64 array, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.carray:
        raise ValueError("out must be C-contiguous, aligned and writeable")
    read = x.values if isinstance(x, _core.Csr) else x
    if np.may_share_memory(out, read) or np.may_share_memory(out, network._parameters):
        raise ValueError("out must not share memory with X or with the parameters")
    return out
