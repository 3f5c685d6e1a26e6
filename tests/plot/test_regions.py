"""Decision regions: what the model answers, and where the points are."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.pictures import (
    CORNERS,
    collections,
    entries,
    grey,
    nothing_else_changes,
    points,
    pyplot,
    rendered,
    xor,
)

__all__ = ["nothing_else_changes"]


def mesh(ax):
    (found,) = (each for each in ax.collections if isinstance(each, collections.QuadMesh))
    return np.asarray(found.get_array())


def grid(ax, n):
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    return np.array([(x, y) for y in np.linspace(y0, y1, n) for x in np.linspace(x0, x1, n)])


def test_decision_regions_of_xor():
    net = xor()
    ax = dl.plot.decision_regions(net, CORNERS, [0, 1, 1, 0], resolution=40)
    assert mesh(ax).ravel().tolist() == net.classify(grid(ax, 40)).tolist()
    zero, one = points(ax)
    assert np.column_stack(zero.get_data()).tolist() == [[0, 0], [1, 1]]
    assert np.column_stack(one.get_data()).tolist() == [[0, 1], [1, 0]]
    assert zero.get_marker() != one.get_marker()
    assert grey(zero.get_color()) + 0.3 < grey(one.get_color())
    assert entries(ax) == ["0", "1"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x0", "x1")
    assert ax.get_xlim() == pytest.approx((-0.1, 1.1))


def test_decision_regions_have_lines_between_them():
    net = dl.Network.from_weights([[[1.0], [0.0]]], [[-0.3]], activation="step")
    ax = dl.plot.decision_regions(net, CORNERS, resolution=101)
    lines = [path for each in ax.collections for path in each.get_paths() if len(path.vertices)]
    vertical = [path.vertices for path in lines if np.ptp(path.vertices[:, 1]) > 1]
    assert any(np.abs(v[:, 0] - 0.3).max() < 0.02 for v in vertical)


@pytest.mark.parametrize("shape", ["classes", "one-hot"])
def test_decision_regions_of_several_classes(shape):
    rng = np.random.default_rng(31)
    y = np.arange(30) % 3
    X = rng.normal(size=(30, 2)) + np.array([[0, 0], [4, 0], [0, 4]])[y]
    net = dl.Network([2, 3], loss="cross_entropy", seed=0)
    net.fit(X, y, solver=dl.LBFGS(), l2=0.1)
    given = y if shape == "classes" else np.eye(3)[y]
    ax = dl.plot.decision_regions(net, X, given, resolution=30)
    assert set(mesh(ax).ravel()) == {0, 1, 2}
    for j, line in enumerate(points(ax)):
        assert np.column_stack(line.get_data()).tolist() == X[y == j].tolist()
    assert len({line.get_marker() for line in points(ax)}) == 3


def test_decision_regions_keep_their_colours_where_a_class_has_no_region():
    net = dl.Network.from_weights([[[0.0], [0.0]]], [[1.0]], activation="step")
    ax = dl.plot.decision_regions(net, CORNERS, [0, 1, 1, 0], resolution=5)
    assert set(mesh(ax).ravel()) == {1}
    assert entries(ax) == ["0", "1"]


def test_decision_regions_of_independent_outputs():
    net = dl.Network.from_weights([np.eye(2)], [[0.0, 0.0]], loss="binary_cross_entropy")
    X = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    ax = dl.plot.decision_regions(net, X, X > 0, resolution=10)
    assert entries(ax) == ["0, 0", "0, 1", "1, 0", "1, 1"]
    assert [len(line.get_xdata()) for line in points(ax)] == [1, 1, 0, 1]


def test_decision_regions_of_a_regression():
    net = dl.Network.from_weights([[[2.0], [1.0]]], [[0.0]], activation="identity")
    y = np.array([0.0, 9.0, 2.0, 3.0])
    for values in (y, y.reshape(-1, 1)):
        ax = dl.plot.decision_regions(net, CORNERS, values, resolution=20)
        (dots,) = (each for each in ax.collections if isinstance(each, collections.PathCollection))
        assert dots.get_offsets().tolist() == CORNERS.tolist()
        assert dots.get_array().tolist() == y.tolist()
        low, high = dots.get_clim()
        assert low <= -0.3 < 9.0 <= high
        bar = ax.figure.axes[1]
        assert bar.get_ylabel() == "predicted value"
    # The filled contour and the points have the same colours for the same values.
    assert ax.collections[0].get_clim() == dots.get_clim()


def test_decision_regions_of_a_constant():
    net = dl.Network.from_weights([[[0.0], [0.0]]], [[5.0]], activation="identity")
    rendered(dl.plot.decision_regions(net, CORNERS[:1], resolution=2))


def test_decision_regions_can_be_told_the_task():
    net = dl.Network([2, 1], seed=0)
    assert isinstance(points(dl.plot.decision_regions(net, CORNERS, resolution=5)), list)
    ax = dl.plot.decision_regions(net, CORNERS, task="regression", resolution=5)
    assert len(ax.figure.axes) == 2
    net = dl.Network([2, 1], activation="identity", seed=0)
    ax = dl.plot.decision_regions(net, CORNERS, [0, 1, 1, 0], task="classification", resolution=5)
    assert entries(ax) == ["0", "1"]


class Sign:
    """A model that is no network: the sign of the first input, as text."""

    def predict(self, X):
        return np.where(np.asarray(X)[:, 0] > 0.5, "plus", "minus")


def test_decision_regions_of_anything_that_predicts():
    ax = dl.plot.decision_regions(Sign(), CORNERS, ["minus", "minus", "plus", "plus"], resolution=6)
    assert entries(ax) == ["minus", "plus"]
    assert mesh(ax).tolist() == [[0, 0, 0, 1, 1, 1]] * 6


@pytest.mark.parametrize(
    ("model", "X", "y", "options", "error", "message"),
    [
        (dl.Network([3, 1], seed=0), CORNERS, None, {}, ValueError, "2 inputs.*got 3"),
        (dl.Network, CORNERS, None, {}, TypeError, "got the class Network"),
        ("net", CORNERS, None, {}, TypeError, "model must be a Network.*got str"),
        (xor(), [0.0, 1.0], None, {}, ValueError, r"X must have shape \(n, 2\), got \(2,\)"),
        (xor(), np.ones((3, 3)), None, {}, ValueError, r"X must have shape \(n, 2\), got \(3, 3\)"),
        (xor(), np.ones((0, 2)), None, {}, ValueError, "X is empty"),
        (xor(), [[0, np.inf]], None, {}, ValueError, "X holds inf at row 0, column 1"),
        (xor(), CORNERS, [0, 1], {}, ValueError, "X has 4 instances but y has 2"),
        (xor(), CORNERS, ["a"] * 4, {}, TypeError, "classes of one kind"),
        (xor(), CORNERS, [0.5] * 4, {}, ValueError, "y must hold classes"),
        (xor(), CORNERS, None, {"task": "other"}, ValueError, "task must be one of class"),
        (xor(), CORNERS, None, {"task": 1}, TypeError, "task must be a string"),
        (xor(), CORNERS, None, {"resolution": 1}, ValueError, "resolution must be at least 2"),
        (xor(), CORNERS, [1] * 3, {"task": "regression"}, ValueError, r"y must have shape \(4,\)"),
        (
            dl.Network([2, 2], seed=0), CORNERS, None, {"task": "regression"}, ValueError,
            r"the predictions of model must have shape \(90000,\)",
        ),
    ],
)  # fmt: skip
def test_decision_regions_refuse(model, X, y, options, error, message):
    with pytest.raises(error, match=message):
        dl.plot.decision_regions(model, X, y, **options)
    assert pyplot.get_fignums() == []
