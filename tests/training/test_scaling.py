"""How rows are split, columns scaled and predictions scored."""

from __future__ import annotations

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from deltaloop import _scaling, _scores, _splits
from tests.helpers.samples import blobs


class TestScaling:
    def test_split(self):
        rows, held_out = _splits.split(100, 0.2, 0)
        assert (len(rows), len(held_out)) == (80, 20)
        assert sorted([*rows, *held_out]) == list(range(100))
        again = _splits.split(100, 0.2, 0)
        np.testing.assert_array_equal(again[0], rows)
        other = _splits.split(100, 0.2, 1)
        assert other[1].tolist() != held_out.tolist()

    def test_split_stays_the_same_in_future_versions(self):
        rows, held_out = _splits.split(10, 0.3, 42)
        assert rows.tolist() == [2, 5, 9, 7, 3, 6, 1]
        assert held_out.tolist() == [4, 8, 0]

    @pytest.mark.parametrize("n", range(5))
    def test_split_of_few_rows(self, n):
        rows, held_out = _splits.split(n, 0.2, 0)
        assert len(rows) == max(0, n - 2)
        assert len(held_out) == min(n, 2)

    def test_standardised_columns(self):
        X, _ = blobs()
        X = np.column_stack([X, np.full(len(X), 0.1)])
        scaling = _scaling.Scaling.of(X, "X")
        scaled = scaling.apply(X)
        np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 1, 0], atol=1e-12)
        assert scaling.scale[3] == 1

    @hypothesis.given(
        hnp.arrays(float, (7, 2), elements=st.floats(-10, 10)),
        hnp.arrays(float, (7, 2), elements=st.floats(-10, 10)),
    )
    def test_r2(self, y, predicted):
        expected = []
        for column, guess in zip(y.T, predicted.T, strict=True):
            residual = np.sum((column - guess) ** 2)
            total = np.sum((column - column.mean()) ** 2)
            if column.min() == column.max():
                expected.append(float(residual == 0))
            else:
                hypothesis.assume(total > 1e-100)
                expected.append(1 - residual / total)
        assert _scores.r2(y, predicted) == pytest.approx(np.mean(expected), rel=1e-9, abs=1e-9)

    def test_r2_of_known_values(self):
        y = np.array([[1.0], [2.0], [3.0]])
        assert _scores.r2(y, y) == 1
        assert _scores.r2(y, np.full((3, 1), 2.0)) == 0
        assert _scores.r2(y, y[::-1]) == -3
