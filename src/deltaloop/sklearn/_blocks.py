"""Estimators on data that are read block by block: epochs of ``partial_fit`` over the blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deltaloop._blocks import kinds as _kinds
from deltaloop._blocks.ahead import each
from deltaloop._blocks.block import Source
from deltaloop._blocks.survey import instances, place
from deltaloop.sklearn import _settings
from deltaloop.sklearn._rows import Array

# Blocks of fewer rows are put together.
LEAST = 20_000


def find(X: Any, y: Any) -> _kinds.Kind | None:
    """Return the kind of X if it is read block by block, or None."""
    if type(X) is np.ndarray or hasattr(X, "tocsr"):
        return None
    return _kinds.find(X, y, ("X", "y"))


def find_instances(X: Any) -> _kinds.Kind | None:
    """Return the kind of X, instances to predict, if it is read block by block, or None."""
    if type(X) is np.ndarray or hasattr(X, "tocsr"):
        return None
    return _kinds.find_instances(X)


class Data:
    """Blocks of a source with targets: X (rows, m0), y, and weights or None."""

    def __init__(
        self, estimator: Any, kind: _kinds.Kind, X: Any, y: Any, sample_weight: Any
    ) -> None:
        named = sample_weight if isinstance(sample_weight, str) else None
        self.source = _kinds.reader(kind, X, y, named)
        self.source.classes = hasattr(type(estimator), "predict_proba")
        self.weights = None
        if sample_weight is not None and named is None:
            self.weights = np.asarray(sample_weight)

    def __iter__(self) -> Iterator[tuple[Array, Array, Array | None]]:
        row = 0
        waiting: list[tuple[Array, Array, Array | None]] = []
        for i, block in enumerate(each(self.source)):
            where = place("X", i, row)
            x = instances(block, block.columns, where, check_finite=True, names=self.source.names)
            if block.y is None:
                raise ValueError(f"{where} has no targets")
            end = row + block.rows
            s = block.weights if self.weights is None else self.weights[row:end]
            if s is not None and len(s) != block.rows:
                raise ValueError(f"sample_weight has fewer than the {end} rows that X has so far")
            waiting.append((x, block.y, s))
            row = end
            if not self.source.keeps or sum(len(part[0]) for part in waiting) >= LEAST:
                yield _joined(waiting)
                waiting = []
        if waiting:
            yield _joined(waiting)
        if row == 0:
            raise ValueError("X is empty: it has no instances")
        if self.weights is not None and len(self.weights) != row:
            raise ValueError(f"sample_weight has {len(self.weights)} weights, X has {row} rows")


def _joined(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    x, y, s = zip(*parts, strict=True)
    return np.concatenate(x), np.concatenate(y), None if s[0] is None else np.concatenate(s)


def partial_fit(
    estimator: Any, kind: _kinds.Kind, X: Any, y: Any, sample_weight: Any, **classes: Any
) -> Any:
    """Train for one pass over the blocks."""
    data = Data(estimator, kind, X, y, sample_weight)
    for x, target, s in data:
        estimator.partial_fit(x, target, s, **classes)
        estimator._input_names = list(data.source.names)
    return estimator


def outputs(estimator: Any, kind: _kinds.Kind, X: Any) -> tuple[Array, np.dtype[Any]]:
    """Return the outputs for all rows of X, and the type that a prediction has."""
    source = _kinds.reader(kind, X, None)
    source.alone = True
    choose(estimator, source)
    parts: list[Array] = []
    types, row = [estimator._dtype], 0
    m0 = estimator._ready().layers[0]
    for i, block in enumerate(each(source)):
        where = place("X", i, row)
        x = instances(block, m0, where, check_finite=True, names=source.names)
        parts.append(estimator._predict_blocks(x))
        types.append(block.dtype)
        row += len(x)
    if not parts:
        raise ValueError("X is empty: it has no instances")
    return np.concatenate(parts), np.result_type(*types)


def choose(estimator: Any, source: Source) -> None:
    """Take the columns of a table that an estimator was fitted to, by their names."""
    own = estimator.__dict__
    names = own.get("_input_names") or own.get("feature_names_in_")
    if names is not None and len(names):
        source.choose(list(names))


def scored(
    estimator: Any, kind: _kinds.Kind, X: Any, y: Any, sample_weight: Any
) -> tuple[Array, Array, Array | None]:
    """Return the targets of all rows, the outputs for them, and their weights."""
    data = Data(estimator, kind, X, y, sample_weight)
    choose(estimator, data.source)
    targets, parts = [], []
    weights: list[Any] = []
    for x, target, s in data:
        targets.append(target.ravel() if target.ndim > 1 and target.shape[1] == 1 else target)
        parts.append(estimator.predict(x))
        weights.append(s)
    s = None if weights[0] is None else np.concatenate(weights)
    return np.concatenate(targets), np.concatenate(parts), s


def fit(estimator: Any, kind: _kinds.Kind, X: Any, y: Any, sample_weight: Any) -> Any:
    """Train for passes over the blocks until the loss falls no more, as over rows in memory."""
    settings = _settings.known(estimator)
    for name, wrong in (
        (f"solver={estimator.solver!r}", estimator.solver not in _settings.STOCHASTIC),
        ("early_stopping=True", settings.early_stopping),
    ):
        if wrong:
            raise ValueError(
                f"{name} needs all rows in memory, and X is {kind.named}, read in blocks; use sgd "
                "or adam without early_stopping, or deltaloop.Network.fit, which takes every solver"
            )
    data = Data(estimator, kind, X, y, sample_weight)
    if data.source.once:
        raise ValueError("X can be read only once, and fit reads it once an epoch")
    classes = {}
    if hasattr(type(estimator), "predict_proba"):
        classes["classes"] = _classes(data)
    before = dict(estimator.__dict__)
    try:
        if not estimator.warm_start:
            given = estimator.get_params(deep=False)
            estimator.__dict__ = {name: before[name] for name in before if name in given}
        _epochs(estimator, settings, data, classes)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the model that there was is left as it was
        estimator.__dict__ = before
        raise
    return estimator


def _classes(data: Data) -> Array:
    found: Array | None = None
    for _, y, _ in data:
        if y.ndim > 1 and y.shape[1] > 1:
            raise ValueError(
                "y must be one column of classes where X is read in blocks, got "
                f"{y.shape[1]} columns"
            )
        new = np.unique(y)
        found = new if found is None else np.union1d(found, new)
    assert found is not None
    return found


def _epochs(estimator: Any, settings: Any, data: Data, classes: dict[str, Any]) -> None:
    best, waited, curve = np.inf, 0, []
    for epoch in range(settings.max_iter):
        total, rows = 0.0, 0
        for x, y, s in data:
            y = y.ravel() if y.ndim > 1 and y.shape[1] == 1 else y
            estimator.partial_fit(x, y, s, **classes)
            estimator._input_names = list(data.source.names)
            total += len(x) * estimator.loss_
            rows += len(x)
        loss = total / rows
        curve.append(loss)
        waited = waited + 1 if loss > best - settings.tol else 0
        best = min(best, loss)
        estimator.n_iter_, estimator.loss_, estimator.loss_curve_ = epoch + 1, loss, list(curve)
        estimator.best_loss_ = best
        if waited > settings.n_iter_no_change:
            return
    estimator._warn_unconverged(settings)
