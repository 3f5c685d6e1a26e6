"""Pictures of probabilities and of the importance of columns, read from their artists."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.pictures import nothing_else_changes, pyplot, rendered

__all__ = ["nothing_else_changes"]


class TestCalibration:
    def test_points_are_those_of_scikit_learn(self):
        calibration = pytest.importorskip("sklearn.calibration")
        rng = np.random.default_rng(0)
        p = rng.permutation(np.linspace(0.01, 0.99, 1000))
        y = rng.random(1000) < p**2
        ax = dl.plot.calibration(y, p)
        parts, means = calibration.calibration_curve(y, p, n_bins=10, strategy="quantile")
        diagonal, points = ax.get_lines()[:2]
        np.testing.assert_allclose(points.get_xdata(), means)
        np.testing.assert_allclose(points.get_ydata(), parts)
        assert diagonal.get_linestyle() == "--"
        off = np.abs(means - parts).mean()
        assert ax.get_title() == f"probabilities are off by {off:.2g} on average"

    @pytest.mark.parametrize(("n", "groups"), [(1, 1), (19, 1), (20, 2), (5000, 10)])
    def test_groups(self, n, groups):
        ax = dl.plot.calibration(np.ones(n), np.linspace(0, 1, n))
        assert len(ax.get_lines()[1].get_xdata()) == groups

    @pytest.mark.parametrize(
        ("happened", "probability", "error", "message"),
        [
            ([0, 1], [0.5], ValueError, "must have the same shape, got"),
            ([0, 2], [0.5, 0.5], ValueError, "happened must hold booleans, or 0 and 1"),
            ([0, 1], [0.5, 1.5], ValueError, r"probability must be in \[0, 1\], got 0.5 to 1.5"),
            ([0, 1], [0.5, np.nan], ValueError, "probability"),
            ([], [], ValueError, "happened is empty"),
            ([[0]], [[0.5]], ValueError, r"happened must have shape \(n,\), got \(1, 1\)"),
            (["a"], [0.5], TypeError, "happened"),
        ],
    )
    def test_refused(self, happened, probability, error, message):
        with pytest.raises(error, match=message):
            dl.plot.calibration(happened, probability)
        assert pyplot.get_fignums() == []


class TestImportance:
    def test_bars(self):
        names = [f"column {i}" for i in range(30)]
        loss = np.linspace(-0.01, 0.5, 30)
        ax = dl.plot.importance(names, loss, loss / 10, measure="the accuracy")
        shown = [text.get_text() for text in ax.get_yticklabels()]
        assert shown == names[:9:-1]
        assert [bar.get_width() for bar in ax.patches] == loss[:9:-1].tolist()
        assert ax.get_title() == "importance of the columns, the first 20 of 30"
        assert ax.get_xlabel() == "how much the accuracy falls without the column"
        rendered(ax)

    def test_names_as_they_are(self):
        ax = dl.plot.importance(["$a$", "x" * 40], [1.0, 0.5])
        first, second = (text.get_text() for text in ax.get_yticklabels())
        assert first == "$a$"
        assert len(second) == 24
        assert ax.get_title() == "importance of the columns"

    @pytest.mark.parametrize(
        ("names", "loss", "message"),
        [
            ([], [], "loss must have a number for each|error must have a number for each"),
            (["a"], [1.0, 2.0], "loss must have a number for each of one or more names"),
            (["a"], [np.inf], "loss"),
        ],
    )
    def test_refused(self, names, loss, message):
        with pytest.raises(ValueError, match=message):
            dl.plot.importance(names, loss)
