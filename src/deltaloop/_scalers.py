"""scikit-learn's scalers around an estimator, as the scaling of a network.

They are known by their names and what they have learned: scikit-learn itself is not imported.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deltaloop.scaling import Scaling


class Affine(NamedTuple):
    """(x - offset) / scale; numbers, or one for each column."""

    offset: Any = 0.0
    scale: Any = 1.0

    def then(self, other: Affine) -> Affine:
        """Return both, this one first."""
        return Affine(self.offset + self.scale * other.offset, self.scale * other.scale)


class Unwrapped(NamedTuple):
    """An estimator without what stood around it, and that as scalings of inputs and outputs."""

    estimator: Any
    inputs: Affine | None
    outputs: Affine | None

    def scaling(self, n_inputs: int, n_outputs: int) -> Scaling | None:
        """Return the scaling of a network of these sizes, None without any."""
        if self.inputs is None and self.outputs is None:
            return None
        a, b, c, d = (
            np.broadcast_to(np.asarray(part, dtype=np.float64), (n,))
            for affine, n in ((self.inputs, n_inputs), (self.outputs, n_outputs))
            for part in affine or Affine()
        )
        return Scaling(a, b, c, d)


def unwrap(estimator: Any) -> Unwrapped:
    """Take pipelines and scaled targets apart. TypeError or ValueError for what is not affine."""
    inputs = outputs = None
    while True:
        kind = type(estimator).__name__
        if kind == "Pipeline":
            *steps, (_, estimator) = estimator.steps
            for name, step in steps:
                affine = _affine(step, f"step {name!r}")
                inputs = affine if inputs is None else inputs.then(affine)
        elif kind == "TransformedTargetRegressor":
            affine = _affine(_fitted(estimator, "transformer_", "the estimator"), "the target")
            outputs = affine if outputs is None else outputs.then(affine)
            estimator = estimator.regressor_
        else:
            return Unwrapped(estimator, inputs, outputs)


def _affine(step: Any, where: str) -> Affine:
    """Return what a fitted transformer does to each column."""
    kind = type(step).__name__
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return Affine()
    if getattr(step, "clip", False):
        raise ValueError(f"{where}: {kind}(clip=True) is no scaling of a network; expected no clip")
    if kind == "StandardScaler":
        scale = _fitted(step, "scale_", where)
        return Affine(step.mean_ if step.with_mean else 0.0, 1.0 if scale is None else scale)
    if kind == "RobustScaler":
        scale, center = _fitted(step, "scale_", where), step.center_
        return Affine(0.0 if center is None else center, 1.0 if scale is None else scale)
    if kind == "MaxAbsScaler":
        return Affine(0.0, _fitted(step, "scale_", where))
    if kind == "MinMaxScaler":
        scale = 1.0 / _fitted(step, "scale_", where)
        return Affine(step.data_min_ - step.feature_range[0] * scale, scale)
    raise TypeError(
        f"{where}: expected StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or "
        f"'passthrough', which become the network's scaling, got {kind}; skl2onnx converts other "
        "pipelines, after deltaloop.sklearn.register_skl2onnx()"
    )


def _fitted(step: Any, name: str, where: str) -> Any:
    if not hasattr(step, name):
        raise ValueError(f"{where}: {type(step).__name__} must be fitted, got one without {name}")
    return getattr(step, name)
