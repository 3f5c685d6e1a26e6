"""Pictures of scikit-learn's own estimators, and of frames."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import deltaloop as dl

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
from matplotlib import pyplot
from matplotlib.collections import QuadMesh
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import confusion_matrix, r2_score, root_mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers.pictures import points


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(41)
    y = np.arange(120) % 3
    return rng.normal(size=(120, 2)) + 3.0 * np.array([[0, 0], [1, 0], [0, 1]])[y], y


def fit(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_learning_curve_with_early_stopping(data, kind):
    model = fit(kind(early_stopping=True, max_iter=40, random_state=0), *data)
    ax = dl.plot.learning_curve(model)
    (losses,) = ax.lines
    assert losses.get_xdata().tolist() == list(range(1, model.n_iter_ + 1))
    assert losses.get_ydata().tolist() == model.loss_curve_
    _, other = ax.figure.axes
    scores, best = other.lines
    assert scores.get_ydata().tolist() == model.validation_scores_
    assert best.get_ydata().tolist() == [model.best_validation_score_]
    assert model.validation_scores_[best.get_xdata()[0] - 1] == model.best_validation_score_
    assert scores.get_linestyle() != losses.get_linestyle()
    name = "accuracy" if kind is MLPClassifier else "R²"
    assert other.get_ylabel() == f"validation {name}"
    assert ax.get_ylabel().endswith("log loss" if kind is MLPClassifier else "squared error")
    entries = [text.get_text() for text in other.get_legend().get_texts()]
    assert entries[:2] == ["training loss", f"validation {name}"]


def test_learning_curve_without_validation(data):
    model = fit(MLPClassifier(max_iter=5, random_state=0), *data)
    ax = dl.plot.learning_curve(model)
    assert len(ax.figure.axes) == 1
    assert ax.lines[0].get_ydata().tolist() == model.loss_curve_


def test_learning_curve_of_what_is_not_fitted():
    with pytest.raises(TypeError, match=r"fitted estimator with loss_curve_, got MLPClassifier"):
        dl.plot.learning_curve(MLPClassifier())


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(42)
    true, predicted = rng.normal(size=(2, 50))
    title = f"R² = {r2_score(true, predicted):.4g}, RMSE = "
    title += f"{root_mean_squared_error(true, predicted):.4g}"
    assert dl.plot.residuals(true, predicted).get_title() == title


def test_confusion_matrix_is_that_of_scikit_learn(data):
    X, y = data
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    predicted = fit(MLPClassifier(max_iter=5, random_state=0), X, names).predict(X)
    ax = dl.plot.confusion_matrix(names, predicted)
    counts = [int(text.get_text()) for text in ax.texts]
    assert counts == confusion_matrix(names, predicted).ravel().tolist()


@pytest.mark.parametrize("library", ["numpy", "pandas", "polars"])
def test_decision_regions_of_a_pipeline(data, library):
    """A frame's columns reach the estimator, which would warn without them, and name the axes."""
    X, y = data
    names = np.array(["a", "b", "c"])[y]
    frame, columns = X, ("x0", "x1")
    if library != "numpy":
        columns = ("width (cm)", "$ per $")
        frame = pytest.importorskip(library).DataFrame(dict(zip(columns, X.T, strict=True)))
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=20, random_state=0))
    fit(model, frame, names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = dl.plot.decision_regions(model, frame, names, resolution=25)
        ax.figure.canvas.draw()
    assert (ax.get_xlabel(), ax.get_ylabel()) == columns
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    grid = [(u, v) for v in np.linspace(y0, y1, 25) for u in np.linspace(x0, x1, 25)]
    if library != "numpy":
        grid = type(frame)(dict(zip(columns, np.transpose(grid), strict=True)))
    (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
    drawn = np.array(["a", "b", "c"])[np.asarray(mesh.get_array(), int).ravel()]
    assert (drawn == model.predict(grid)).all()
    assert [len(line.get_xdata()) for line in points(ax)] == [40, 40, 40]


def test_decision_regions_of_a_regressor(data):
    X, y = data
    model = fit(MLPRegressor(max_iter=5, random_state=0), X, y)
    ax = dl.plot.decision_regions(model, X, y, resolution=5)
    assert ax.figure.axes[1].get_ylabel() == "predicted value"


def test_decision_regions_need_two_features(data):
    X, y = data
    model = fit(MLPClassifier(max_iter=2), np.hstack([X, X]), y)
    with pytest.raises(ValueError, match=r"model must have 2 inputs.*got 4"):
        dl.plot.decision_regions(model, X, y)
