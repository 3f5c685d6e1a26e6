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
    """Classes as numbers."""
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


def sources(folder, columns):
    """Return the same table in each form that is read in blocks."""
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    dataset, pq = pytest.importorskip("pyarrow.dataset"), pytest.importorskip("pyarrow.parquet")
    table = pa.table(columns)
    pq.write_table(table, folder / "t.parquet", row_group_size=900)
    y = pa.array(columns["y"])
    encoded = pa.table({**columns, "y": y.dictionary_encode() if y.type == pa.string() else y})
    return {
        "path": str(folder / "t.parquet"),
        "folder": folder,
        "dataset": dataset.dataset(folder),
        "lazy": pl.DataFrame(columns).lazy(),
        "dictionary": dataset.dataset(encoded),
    }


@pytest.mark.filterwarnings("ignore:The solver adam made the 3 iterations")
@pytest.mark.parametrize("form", ["path", "folder", "dataset", "lazy", "dictionary", "blocks"])
def test_classes_that_are_texts(form, tmp_path):
    """The classes are those of the first pass; predictions are those of the rows in memory."""
    columns = {"a": X[:, 0], "y": LABELS, "b": X[:, 1], "c": X[:, 2], "w": WEIGHTS}
    if form == "blocks":
        given = tuple(blocks(X, LABELS.astype(object), WEIGHTS)), None
        frame, target, weight = *given, None
    else:
        frame, target, weight = sources(tmp_path, columns)[form], "y", "w"
    model = classifier((5,), max_iter=3).fit(frame, target, weight)
    assert model.classes_.tolist() == ["down", "up"]
    whole = classifier((5,), max_iter=3)
    passes = blocks(X, LABELS, WEIGHTS) if form == "blocks" else [(X, LABELS, WEIGHTS)]
    for _ in range(3):
        for part in passes:
            whole.partial_fit(*part, classes=["down", "up"])
    if form != "path":  # whose row groups are smaller blocks
        assert model.network_.parameters.tobytes() == whole.network_.parameters.tobytes()
    assert model.predict(frame).tolist() == model.predict(X).tolist()
    for name in ("predict_proba", "predict_log_proba"):
        ask = getattr(model, name)
        assert ask(frame).tobytes() == ask(X).tobytes()
    assert model.score(frame, target, weight) == model.score(X, LABELS, WEIGHTS)
    if form != "blocks":
        assert model.score(frame, target) == model.score(X, LABELS)


@pytest.mark.filterwarnings("ignore:The solver adam made the 3 iterations")
def test_values_of_data_in_blocks(tmp_path):
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y}
    others = {"c": X[:, 2], "note": LABELS, "y": Y, "b": X[:, 1], "a": X[:, 0]}
    for form, data in sources(tmp_path, columns).items():
        model = regressor((5,), max_iter=3).fit(data, "y")
        assert model.predict(data).tobytes() == model.predict(X).tobytes(), form
        assert model.score(data, "y") == model.score(X, Y)
    (tmp_path / "others").mkdir()
    for data in sources(tmp_path / "others", others).values():  # by name, in any order
        assert model.predict(data).tobytes() == model.predict(X).tobytes()
    single = model.__class__(hidden_layer_sizes=(3,), max_iter=3, random_state=0)
    single.fit(blocks(X.astype(np.float32), Y), None)
    predicted = single.predict(blocks(X.astype(np.float32)))
    assert predicted.dtype == np.float32
    assert predicted.tobytes() == single.predict(X.astype(np.float32)).tobytes()
    assert single.predict(blocks(X)).dtype == np.float64


def test_predictions_that_are_refused(tmp_path):
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y}
    path = sources(tmp_path, columns)["path"]
    model = regressor((4,))
    with pytest.raises(ValueError, match="not fitted"):
        model.predict(path)
    with pytest.raises(ValueError, match="not fitted"):
        model.score(path, "y")
    model.partial_fit(path, "y")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(
        pytest.importorskip("pyarrow").table({"a": Y, "y": Y}), tmp_path / "less.parquet"
    )
    with pytest.raises(ValueError, match="has no column 'b', which the model was fitted to"):
        model.predict(tmp_path / "less.parquet")
    with pytest.raises(ValueError, match=r"block 0 of X \(row 0 on\) must have 3 columns"):
        model.predict(blocks(X[:, :2]))
    holes = X.copy()
    holes[1500, 1] = np.nan
    with pytest.raises(ValueError, match=r"block 2 of X \(row 1400 on\) holds nan at row 100"):
        model.predict(blocks(holes))


@pytest.mark.parametrize("gap", [None, np.nan])
def test_a_class_that_is_missing(gap, tmp_path):
    labels = LABELS.astype(object)
    labels[1500] = gap
    with pytest.raises(ValueError, match=r"block 2 of Y has no class in row 100"):
        classifier((3,)).fit(blocks(X, labels), None)
    labels[1500] = None
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": labels}
    with pytest.raises(ValueError, match=r"column 'y' of X has no class in row"):
        classifier((3,)).fit(sources(tmp_path, columns)["path"], "y")


def test_frames_with_types_that_know_missing_values():
    pd = pytest.importorskip("pandas")
    whole = np.round(4 * X).astype(int)
    frame = pd.DataFrame(whole, columns=["a", "b", "c"]).astype(
        {"a": "Int64", "b": "Float32", "c": "Int8"}
    )
    true = pd.Series(codes(LABELS)).astype("Int64")
    text = pd.Series(LABELS).astype("string")
    model = classifier((3,)).partial_fit(blocks(whole, LABELS), None, classes=["down", "up"])
    other = classifier((3,)).partial_fit(blocks(frame, text), None, classes=["down", "up"])
    assert other.network_.parameters.tobytes() == model.network_.parameters.tobytes()
    assert other.predict(blocks(frame)).tolist() == model.predict(whole).tolist()
    numbered = classifier((3,)).partial_fit(blocks(frame, true), None, classes=[0, 1])
    assert numbered.network_.parameters.tobytes() == model.network_.parameters.tobytes()
    frame.loc[1500, "b"] = pd.NA
    with pytest.raises(ValueError, match=r"block 2 of X \(row 1400 on\) holds nan at row 100"):
        classifier((3,)).partial_fit(blocks(frame, text), None, classes=["down", "up"])
    text[1500] = pd.NA
    with pytest.raises(ValueError, match=r"block 2 of Y has no class in row 100"):
        classifier((3,)).partial_fit(blocks(whole, text), None, classes=["down", "up"])
