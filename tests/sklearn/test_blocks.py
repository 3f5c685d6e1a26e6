"""Estimators on data that are read in blocks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from deltaloop.sklearn import MLPClassifier, MLPRegressor, _blocks

N = 3000
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
Y = X[:, 0] - X[:, 1] + 0.1 * RNG.normal(size=N)
LABELS = np.where(Y > 0, "up", "down")
WEIGHTS = RNG.random(N)


def blocks(*arrays, rows=700):
    return [tuple(a[i : i + rows] for a in arrays) for i in range(0, N, rows)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_blocks, "LEAST", 700)


def regressor(hidden, **options):
    return MLPRegressor(**{"hidden_layer_sizes": hidden, "random_state": 0, **options})


def classifier(hidden, **options):
    return MLPClassifier(**{"hidden_layer_sizes": hidden, "random_state": 0, **options})


def codes(labels):
    """Blocks hold numbers."""
    return (labels == "up").astype(int)


def test_partial_fit_is_a_pass_over_the_blocks():
    for s in (None, WEIGHTS):
        model, other = (regressor((4,)) for _ in range(2))
        arrays = (X, Y) if s is None else (X, Y, s)
        assert model.partial_fit(blocks(*arrays), None) is model
        for block in blocks(*arrays):
            other.partial_fit(*block)
        assert model.network_.parameters.tobytes() == other.network_.parameters.tobytes()
        given = regressor((4,)).partial_fit(blocks(X, Y), None, s)
        assert given.network_.parameters.tobytes() == other.network_.parameters.tobytes()
    model = classifier((4,))
    model.partial_fit(blocks(X, codes(LABELS)), None, classes=[0, 1])
    assert model.classes_.tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore:The solver adam made the 10 iterations")
def test_fit_makes_passes():
    model = regressor((8,), max_iter=40, learning_rate_init=0.01)
    model.fit(blocks(X, Y), None)
    assert model.score(X, Y) > 0.95
    assert len(model.loss_curve_) == model.n_iter_ <= 40
    assert model.loss_ == model.loss_curve_[-1] < model.loss_curve_[0]
    again = regressor((8,), max_iter=40, learning_rate_init=0.01)
    again.fit(X, Y).fit(blocks(X, Y), None)  # begins anew
    assert again.network_.parameters.tobytes() == model.network_.parameters.tobytes()
    classes = classifier((8,), max_iter=10).fit(blocks(X, codes(LABELS)), None)
    assert classes.score(X, codes(LABELS)) > 0.8


def test_tables(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y, "w": WEIGHTS})
    pq.write_table(table, tmp_path / "big.parquet")
    model, other = (regressor((4,)) for _ in range(2))
    model.partial_fit(tmp_path / "big.parquet", "y", "w")
    other.partial_fit(X, Y, WEIGHTS)
    assert model.network_.parameters.tobytes() == other.network_.parameters.tobytes()


def test_refusals():
    model = regressor((4,), max_iter=3)
    with pytest.raises(ValueError, match="solver='lbfgs' needs all rows in memory"):
        regressor((4,), solver="lbfgs").fit(blocks(X, Y), None)
    with pytest.raises(ValueError, match="early_stopping=True needs all rows in memory"):
        regressor((4,), early_stopping=True).fit(blocks(X, Y), None)
    with pytest.raises(ValueError, match="X can be read only once"):
        model.fit(iter(blocks(X, Y)), None)
    with pytest.raises(ValueError, match="X is empty"):
        model.fit([], None)
    with pytest.raises(ValueError, match="sample_weight has 3001 weights, X has 3000 rows"):
        model.fit(blocks(X, Y), None, np.ones(3001))
    holes = X.copy()
    holes[1500, 1] = np.nan
    with pytest.raises(ValueError, match=r"block 2 of X \(row 1400 on\) holds nan at row 100"):
        model.fit(blocks(holes, Y), None)
    assert not hasattr(model, "network_")
