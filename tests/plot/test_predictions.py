"""Predicted against true values, residuals and confusion matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.pictures import (
    entries,
    grey,
    nothing_else_changes,
    points,
    pyplot,
    rendered,
    texts,
)

__all__ = ["nothing_else_changes"]

# ---- predictions ----


def scores(true, predicted):
    error = true - predicted
    return 1 - (error**2).sum() / ((true - true.mean()) ** 2).sum(), np.sqrt((error**2).mean())


@pytest.mark.parametrize("shape", [(50,), (50, 1), (1, 50)])
def test_predictions_of_one_output(shape):
    rng = np.random.default_rng(11)
    true = rng.normal(-5.0, 3.0, 50)
    predicted = true + rng.normal(0.0, 1.0, 50)
    if shape == (1, 50):  # lists, and the column that a network predicts
        arguments = true.tolist(), predicted.reshape(-1, 1)
    else:
        arguments = true.reshape(shape), predicted.reshape(shape)
    title = "R² = {:.4g}, RMSE = {:.4g}".format(*scores(true, predicted))
    ax = dl.plot.predicted_against_true(*arguments)
    (dots,) = points(ax)
    assert dots.get_xdata().tolist() == true.tolist()
    assert dots.get_ydata().tolist() == predicted.tolist()
    assert ax.get_title() == title
    assert ax.get_aspect() == 1.0
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[0] < min(true.min(), predicted.min())
    (diagonal,) = (line for line in ax.lines if line is not dots)
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == list(ax.get_xlim())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true value", "predicted value")

    ax = dl.plot.residuals(*arguments)
    (dots,) = points(ax)
    assert dots.get_xdata().tolist() == predicted.tolist()
    assert dots.get_ydata().tolist() == (true - predicted).tolist()
    assert ax.get_title() == title
    low, high = ax.get_ylim()
    assert low == -high
    assert high > np.abs(true - predicted).max()


@pytest.mark.parametrize("draw", [dl.plot.predicted_against_true, dl.plot.residuals])
def test_predictions_of_several_outputs(draw):
    rng = np.random.default_rng(12)
    true = rng.normal(size=(40, 8))
    predicted = true + rng.normal(size=(40, 8)) * np.arange(1, 9)
    ax = draw(true, predicted)
    groups = points(ax)
    assert len({line.get_marker() for line in groups}) == 8
    shades = [grey(line.get_color()) for line in groups]
    assert (np.diff(shades) > 0.02).all()
    expected = [
        "{}: R² = {:.3g}, RMSE = {:.3g}".format(j, *scores(true[:, j], predicted[:, j]))
        for j in range(8)
    ]
    assert entries(ax) == expected
    column = groups[5].get_ydata()
    assert (
        column.tolist()
        == (
            predicted[:, 5] if draw is dl.plot.predicted_against_true else (true - predicted)[:, 5]
        ).tolist()
    )


def test_predictions_of_many_outputs_are_drawn_alike():
    rng = np.random.default_rng(13)
    true, predicted = rng.normal(size=(2, 30, 9))
    ax = dl.plot.predicted_against_true(true, predicted)
    (dots,) = points(ax)
    assert dots.get_xdata().tolist() == true.ravel().tolist()
    mean = np.mean([scores(true[:, j], predicted[:, j])[0] for j in range(9)])
    rmse = scores(true, predicted)[1]
    assert ax.get_title() == f"9 outputs: mean R² = {mean:.4g}, RMSE = {rmse:.4g}"
    assert ax.get_legend() is None


@pytest.mark.parametrize("value", [0.0, 3.0, -1e6, 1e-300, 1e300])
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("draw", [dl.plot.predicted_against_true, dl.plot.residuals])
def test_predictions_that_are_constant(draw, n, value):
    ax = draw(np.full(n, value), np.full(n, value))
    assert ax.get_title() == ("RMSE = 0" if n == 1 else "R² = 1, RMSE = 0")
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert low < high
    rendered(ax)


@pytest.mark.parametrize(
    ("true", "predicted", "error", "message"),
    [
        ([1, 2], [1, 2, 3], ValueError, r"same shape, got \(2,\) and \(3,\)"),
        ([[1, 2]], [1, 2], ValueError, r"same shape, got \(1, 2\) and \(2,\)"),
        ([], [], ValueError, "y_true is empty"),
        ([1.0], [np.nan], ValueError, "y_pred holds nan at index 0"),
        ([[1.0, np.inf]], [[1, 1]], ValueError, "y_true holds inf at row 0, column 1"),
        (1.0, [1.0], ValueError, r"y_true must have shape \(n,\) or \(n, k\), got \(\)"),
        ([1.0], np.ones((1, 1, 1)), ValueError, "y_pred must have shape"),
        (["a"], [1.0], TypeError, "y_true must hold real numbers"),
        ([1.0], [1j], TypeError, "y_pred must hold real numbers"),
        ([1.0], [[1.0], [1.0, 2.0]], ValueError, "y_pred is not a rectangular array"),
    ],
)
@pytest.mark.parametrize("draw", [dl.plot.predicted_against_true, dl.plot.residuals])
def test_predictions_refused(draw, true, predicted, error, message):
    with pytest.raises(error, match=message):
        draw(true, predicted)
    assert pyplot.get_fignums() == []


# ---- confusion matrices ----


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize("kind", ["int", "negative", "str", "object", "bool", "float", "column"])
def test_confusion_matrix_counts(kind):
    rng = np.random.default_rng(21)
    names = {
        "int": np.arange(4),
        "negative": np.array([-7, 0, 3, 10**12]),
        "str": np.array(["ant", "bee", "cat", "dog"]),
        "object": np.array(["ant", "bee", "cat", "dog"], dtype=object),
        "bool": np.array([False, True]),
        "float": np.array([0.0, 1.0, 2.0, 5.0]),
        "column": np.arange(4),
    }[kind]
    true, predicted = names[rng.integers(0, len(names), (2, 60))]
    shape = (-1, 1) if kind == "column" else (-1,)
    ax = dl.plot.confusion_matrix(true.reshape(shape), predicted.reshape(shape))
    counts = np.array([[sum((true == t) & (predicted == p)) for p in names] for t in names])
    assert texts(ax) == [str(count) for count in counts.ravel()]
    places = [text.get_position() for text in ax.texts]
    assert places == [(j, i) for i, j in np.ndindex(counts.shape)]  # rows are true classes
    shares = np.asarray(ax.images[0].get_array())
    assert shares == pytest.approx(counts / counts.sum(axis=1, keepdims=True))
    right = sum(true == predicted)
    assert ax.get_title() == f"accuracy {right / 60:.4g} ({right} of 60)"
    whole = names.astype(int) if kind == "float" else names
    assert ticks(ax.xaxis) == ticks(ax.yaxis) == [str(name) for name in whole]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true class", "predicted class")


def test_confusion_matrix_labels():
    true, predicted = [0, 1, 1, 2], [0, 1, 2, 2]
    ax = dl.plot.confusion_matrix(true, predicted, labels=["a", "b", "c", "never seen"])
    assert ticks(ax.yaxis) == ["a", "b", "c", "never seen"]
    assert texts(ax)[4:8] == ["0", "1", "1", "0"]
    ax = dl.plot.confusion_matrix(true, predicted, labels=np.array([2, 1, 0]))
    assert ticks(ax.yaxis) == ["2", "1", "0"]
    assert texts(ax) == ["1", "0", "0", "1", "1", "0", "0", "0", "1"]
    ax = dl.plot.confusion_matrix(["b", "a"], ["b", "b"], labels=("b", "a"))
    assert texts(ax) == ["1", "0", "1", "0"]


def test_confusion_matrix_labels_are_literal():
    ax = dl.plot.confusion_matrix([0, 1], [0, 1], labels=["$1", "$$ _ ^"])
    rendered(ax)
    assert ticks(ax.xaxis) == ["$1", "$$ _ ^"]


@pytest.mark.parametrize("k", [1, 2, 5, 11, 20, 30])
@pytest.mark.parametrize("long", [False, True])
def test_confusion_matrix_can_be_read(k, long):
    """Each count lies in its cell, and no label on another."""
    rng = np.random.default_rng(k)
    true, predicted = rng.integers(0, k, (2, 3000))
    names = [f"class {j} of the longer names" if long else str(j) for j in range(k)]
    ax = dl.plot.confusion_matrix(true, predicted, labels=names)
    renderer = rendered(ax)
    assert ax.texts
    for text in ax.texts:
        j, i = text.get_position()
        x0, y0 = ax.transData.transform((j - 0.5, i + 0.5))
        x1, y1 = ax.transData.transform((j + 0.5, i - 0.5))
        box = text.get_window_extent(renderer)
        assert x0 <= box.x0 <= box.x1 <= x1
        assert y0 <= box.y0 <= box.y1 <= y1
        assert text.get_fontsize() >= 5
    for axis in (ax.xaxis, ax.yaxis):
        boxes = [label.get_window_extent(renderer) for label in axis.get_ticklabels()]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_confusion_matrix_of_many_classes():
    """Counts that could not be read are left out, and so are names."""
    true = np.arange(500)
    ax = dl.plot.confusion_matrix(true, true[::-1])
    assert texts(ax) == []
    assert 20 < len(ticks(ax.xaxis)) < 500
    assert max(ax.figure.get_size_inches()) < 20
    assert ticks(ax.yaxis)[1] == str(ax.get_yticks()[1])


def test_confusion_matrix_of_a_class_that_is_never_true():
    shares = np.asarray(dl.plot.confusion_matrix([0, 0], [0, 1]).images[0].get_array())
    assert shares.tolist() == [[0.5, 0.5], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("true", "predicted", "labels", "error", "message"),
    [
        ([0, 1], [0], None, ValueError, r"same shape, got \(2,\) and \(1,\)"),
        ([], [], None, ValueError, "y_true is empty"),
        ([[0, 1]], [0], None, ValueError, r"y_true must have shape \(n,\), got \(1, 2\)"),
        (0, [0], None, ValueError, r"y_true must have shape \(n,\), got \(\)"),
        ([0.5], [0], None, ValueError, "y_true must hold classes.*got 0.5 at index 0"),
        ([0], [np.nan], None, ValueError, "y_pred holds nan at index 0"),
        ([0], [1e30], None, ValueError, "y_pred must hold classes"),
        ([0], [1j], None, TypeError, "y_pred must hold classes"),
        ([0], [None], None, TypeError, "y_pred must hold classes.*dtype object"),
        ([0], ["a"], None, TypeError, "classes of one kind, got 0 and 'a'"),
        ([0, 2], [0, 1], ["a", "b"], ValueError, "labels must name every class.*; 2 is missing"),
        (["a"], ["c"], ["a", "b"], ValueError, "labels must name every class.*'c' is missing"),
        ([0], [1], [0, 1, 1], ValueError, "labels must name each class once"),
        ([0], [1], "ab", TypeError, "labels must be a list of classes, got 'ab'"),
        ([0], [1], 2, TypeError, "labels must be a list of classes, got 2"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_confusion_matrix_refuses(true, predicted, labels, error, message):
    with pytest.raises(error, match=message):
        dl.plot.confusion_matrix(true, predicted, labels=labels)
    assert pyplot.get_fignums() == []


def test_large_errors_are_told_as_people_write_numbers():
    true = np.array([400_000.0, 200_000.0, 350_000.0])
    ax = dl.plot.predicted_against_true(true, true - 48_716.7)
    assert ax.get_title().endswith(", RMSE = 48,717")
