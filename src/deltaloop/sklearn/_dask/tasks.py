"""What a worker does with a block, for an estimator: its shape, its targets, its sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy
from sklearn.preprocessing import LabelBinarizer

from deltaloop._arguments import arrays as _arrays
from deltaloop.distributed._dask import blocks as _blocks
from deltaloop.distributed._dask.blocks import Block
from deltaloop.sklearn._rows import Array


class Shape(NamedTuple):
    """What has to be known of a block before there is a network."""

    n: int
    width: int
    dtype: np.dtype[Any]
    columns: tuple[Any, ...] | None
    y_shape: tuple[int, ...]
    classes: Array | None
    error: Exception | None = None


def shape_of(with_classes: bool, x: Any, y: Any = None, weights: Any = None) -> Shape:
    """Return the shape of a block, and the classes that it has."""
    try:
        if y is None:
            x, y, _ = _blocks.unpacked(x)
        columns = tuple(x.columns) if hasattr(x, "columns") else None
        x, y = _blocks.array_of(x), np.asarray(_blocks.array_of(y))
        if getattr(x, "ndim", None) != 2:
            raise ValueError(f"X must have two dimensions, got {type(x).__name__}")
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
        found = np.unique(y) if with_classes and y.ndim == 1 else None
        return Shape(x.shape[0], x.shape[1], np.dtype(x.dtype), columns, y.shape[1:], found)
    except (TypeError, ValueError) as error:
        return Shape(0, 0, np.dtype(float), None, (), None, error)


class OfClasses(NamedTuple):
    """What makes targets of labels, as ``MLPClassifier`` does."""

    binarizer: LabelBinarizer

    def __call__(self, y: Any) -> Array:
        y = np.asarray(y)
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
        if self.binarizer.y_type_ == "multiclass":
            numbers: Array = np.searchsorted(self.binarizer.classes_, y).astype(np.int64)
            return numbers
        columns: Array = self.binarizer.transform(y).astype(bool)
        return columns


class OfValues(NamedTuple):
    """What makes targets of values, as ``MLPRegressor`` does."""

    counts: bool

    def __call__(self, y: Any) -> Array:
        given = np.asarray(y)
        if given.dtype.kind == "O":
            given = given.astype(np.float64)
        values = _arrays.numbers("y", given if given.ndim == 2 else given.reshape(-1, 1))
        if self.counts:
            _arrays.not_negative(values, "y")
        return values


def add_weights(before: Array, block: Block) -> Array:
    """Return the sum of the weights of each class with those of one more block, in its order."""
    y = block.y if block.labels else block.y[:, 0]
    after = before.copy()
    assert block.weights is not None
    np.add.at(after, y.astype(np.intp), block.weights)
    return after


def weights_of(block: Block) -> Any:
    """Return the weights of a block."""
    return block.weights


def poisson_terms(block: Block) -> Array:
    """Return y log y - y, what the Poisson deviance has beside the cost."""
    y = block.y.astype(np.float64)
    terms: Array = (xlogy(y, y) - y).sum(axis=1)
    return terms


def right_of(model: Any, x: Any, y: Any, weights: Any = None) -> Array:
    """Return the weight of the rows that a classifier gets right, and of all."""
    y = np.asarray(_blocks.array_of(y))
    if len(y) == 0:
        return np.zeros(2)
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    right = model.predict(x) == y
    right = right.all(axis=1) if right.ndim == 2 else right
    s = _weights(weights, len(y))[:, 0]
    return np.array([s[right].sum(), s.sum()])


def moments_of(model: Any, x: Any, y: Any, weights: Any = None) -> Array:
    """Return sums (3, mL) over rows: of s, of s y and of s (y - a)^2."""
    y = _table(y)
    if len(y) == 0:
        return np.zeros((3, y.shape[1]))
    s, a = _weights(weights, len(y)), model.predict(x).reshape(y.shape)
    return np.stack([(s * part).sum(axis=0) for part in (np.ones_like(y), y, (y - a) ** 2)])


def spread_of(mean: Array, y: Any, weights: Any = None) -> Array:
    """Return the sum (mL,) of s (y - mean)^2."""
    y = _table(y)
    spread: Array = (_weights(weights, len(y)) * (y - mean) ** 2).sum(axis=0)
    return spread


def _table(y: Any) -> Array:
    y = np.asarray(_blocks.array_of(y), dtype=np.float64)
    table: Array = y if y.ndim == 2 else y[:, np.newaxis]
    return table


def _weights(weights: Any, n: int) -> Array:
    """Return weights as a column, 1 each by default."""
    s = np.ones(n) if weights is None else np.asarray(_blocks.array_of(weights), np.float64)
    return s.reshape(n, 1)


def same(value: Any) -> Any:
    """Return the value: what holds it on a worker."""
    return value


def predictions(model: Any, x: Any) -> Any:
    """Return what a model predicts for a block."""
    return model.predict(x)


def probabilities(model: Any, x: Any) -> Any:
    """Return the probabilities of the classes for a block."""
    return model.predict_proba(x)
