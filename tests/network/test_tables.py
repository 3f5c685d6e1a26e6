"""The rows of the tables of activations and losses: what they say is so."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core, losses
from deltaloop._activations import ACTIVATIONS
from deltaloop._losses import LOSSES

each_activation = pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=lambda row: row.name)
each_loss = pytest.mark.parametrize("row", LOSSES.values(), ids=lambda row: row.name)


def test_the_core_has_the_same_ones():
    assert set(ACTIVATIONS) == set(_core.ACTIVATIONS)
    assert set(LOSSES) == set(_core.LOSSES)


def unit(name: str) -> dl.Network:
    """a = g(z) of the input z."""
    return dl.Network.from_weights([[[1.0]]], [[0.0]], output=name)


@each_activation
def test_range(row):
    if row.name == "softmax":
        net = dl.Network.from_weights([[[1.0, -1.0]]], [[0.0, 0.0]], output="softmax")
    else:
        net = unit(row.name)
    z = np.concatenate([np.linspace(-40, 40, 8001), [-700.0, 700.0]]).reshape(-1, 1)
    a = net.predict(z)
    low, high = row.range
    assert low <= a.min()
    assert a.max() <= high
    for limit, found in ((low, a.min()), (high, a.max())):
        if math.isfinite(limit):
            assert abs(found - limit) < 1e-6
        else:
            assert abs(found) > 6


@each_activation
def test_derivative_is_the_one_that_the_row_tells(row):
    if not row.derivative:
        with pytest.raises(ValueError, match=f"{row.name} units has no useful derivative"):
            unit(row.name).gradient([[0.0]], [[0.0]])
        return
    assert row.of in ("a", "z")
    if not row.hidden:
        return
    net = dl.Network([1, 1, 1], activation=row.name, output="identity", seed=0)
    assert net.check_gradient([[0.3], [-0.4]], [[0.0], [1.0]]).error < 1e-7


@each_activation
def test_default_initialisation(row):
    if row.hidden:
        assert dl.Network([2, 3, 1], activation=row.name, output="identity").init == row.init
    else:
        assert dl.Network([2, 3], output=row.name).init == row.init


@each_activation
def test_outputs_of_a_regression(row):
    if row.hidden:
        output = dl.Network([2, 3, 1], activation=row.name).output
        assert output == (row.name if row.stays else "identity")


@each_activation
def test_hidden_layers_have_it_or_refuse_it(row):
    if row.hidden:
        assert dl.Network([2, 2, 1], activation=row.name).activation == (row.name,)
    else:
        with pytest.raises(ValueError, match="activation must be one of"):
            dl.Network([2, 2, 1], activation=row.name)


@each_activation
def test_names_elsewhere_are_there(row):
    if row.onnx is not None:
        defs = pytest.importorskip("onnx.defs")
        # Swish is newer than the files that are written.
        assert defs.has(row.onnx.name, "") or row.name == "silu"
    if row.torch is not None:
        pytest.importorskip("torch")
        import deltaloop.torch

        assert deltaloop.torch._make(row.torch) is not None


@each_loss
def test_outputs(row):
    for m_out in (1, 3):
        net = dl.Network([2, m_out], loss=row.name)
        if row.default is not None:
            assert net.output == row.default[m_out > 1]
    for name in ACTIVATIONS:
        if row.outputs and name not in row.outputs:
            with pytest.raises(ValueError, match="output must be one of"):
                dl.Network([2, 3], output=name, loss=row.name)


@each_loss
def test_targets(row):
    net = dl.Network([1, 1], loss=row.name, seed=0)
    allowed = {"values": -2.0, "probabilities": 0.5, "counts": 3.0}[row.targets]
    assert math.isfinite(net.cost([[1.0]], [[allowed]]))
    refused = {"values": math.nan, "probabilities": 1.5, "counts": -1.0}[row.targets]
    with pytest.raises(ValueError, match=r"^Y holds"):
        net.cost([[1.0]], [[refused]])


@each_loss
def test_parameter(row):
    assert bool(row.parameter) == (row.name in losses._CLASSES)
    if row.parameter:
        cls = {"huber": dl.Huber, "quantile": dl.Quantile}[row.name]
        assert losses._CLASSES[row.name] is cls
        if row.below == math.inf:
            assert getattr(cls(1e300), row.parameter) == 1e300
        else:
            with pytest.raises(ValueError, match=row.parameter):
                cls(row.below)
        assert getattr(cls(), row.parameter) == row.usual
        x, y = np.linspace(-2, 2, 9).reshape(-1, 1), np.zeros(9)
        costs = [
            dl.Network.from_weights([[[1.0]]], [[0.0]], output="identity", loss=loss).cost(x, y)
            for loss in (row.name, cls())
        ]
        assert costs[0] == costs[1]


@each_loss
def test_gauss_newton(row):
    net = dl.Network([1, 2, 2], activation="tanh", loss=row.name, seed=0)
    y = [[0.25, 0.75], [0.5, 0.5]]
    if row.gauss_newton:
        assert net.fit([[0.0], [1.0]], y, solver=dl.LevenbergMarquardt(), max_epochs=1).epochs == 1
    else:
        with pytest.raises(ValueError, match="LevenbergMarquardt"):
            net.fit([[0.0], [1.0]], y, solver=dl.LevenbergMarquardt(), max_epochs=1)
