"""Pictures: what is drawn, read from the artists; that it can be read; what does not change."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.pictures import (
    CORNERS,
    entries,
    matplotlib,
    nothing_else_changes,
    pyplot,
    rendered,
    xor,
)
from tests.helpers.processes import run_python

Figure = matplotlib.figure.Figure
__all__ = ["nothing_else_changes"]


def fitted(solver=None, **limits):
    net = dl.Network([1, 6, 1], activation="tanh", output="identity", seed=0)
    x = np.linspace(-1, 1, 20).reshape(-1, 1)
    return net.fit(x, x**2, solver=solver or dl.LBFGS(), tol=0, **limits)


DRAW = {
    "learning_curve": lambda ax=None: dl.plot.learning_curve(fitted(max_epochs=3), ax),
    "FitResult.plot": lambda ax=None: fitted(max_epochs=3).plot(ax),
    "diagram": lambda ax=None: dl.plot.diagram(xor(), ax),
    "predicted_against_true": lambda ax=None: dl.plot.predicted_against_true([1, 2], [1, 3], ax),
    "residuals": lambda ax=None: dl.plot.residuals([1, 2], [1, 3], ax),
    "confusion_matrix": lambda ax=None: dl.plot.confusion_matrix([0, 1], [1, 1], ax=ax),
    "calibration": lambda ax=None: dl.plot.calibration([0, 1, 1], [0.2, 0.6, 0.9], ax),
    "importance": lambda ax=None: dl.plot.importance(["a", "b"], [0.5, 0.1], ax=ax),
    "decision_regions": lambda ax=None: dl.plot.decision_regions(
        xor(), CORNERS, [0, 1, 1, 0], ax, resolution=20
    ),
}
every_picture = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


# ---- all of them ----


@every_picture
def test_draws_on_the_axes_given(draw):
    """A figure that pyplot does not know serves as well, and pyplot makes none."""
    left, right = Figure().subplots(1, 2)
    assert draw(right) is right
    assert right.has_data()
    assert not left.has_data()
    assert pyplot.get_fignums() == []


@every_picture
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_makes_a_figure_that_can_be_saved(draw, kind):
    ax = draw()
    assert len(pyplot.get_fignums()) == 1
    ax.figure.savefig(buffer := io.BytesIO(), format=kind)
    assert buffer.tell() > 1000


@every_picture
@pytest.mark.parametrize("ax", ["ax", 0, Figure(), matplotlib.axes.Axes])
def test_refuses_what_is_no_axes(draw, ax):
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got "):
        draw(ax)
    assert pyplot.get_fignums() == []


@every_picture
def test_fits_a_third_of_a_page(draw):
    figure = pyplot.figure(figsize=(3.3, 2.6), layout="constrained")
    ax = draw(figure.subplots())
    box = figure.get_tightbbox(rendered(ax))  # of all that is drawn, in inches
    assert -0.01 <= box.x0 < box.x1 <= 3.31
    assert -0.01 <= box.y0 < box.y1 <= 2.61
    for text in [*ax.texts, *ax.get_xticklabels(), ax.title, ax.xaxis.label, ax.yaxis.label]:
        assert text.get_fontsize() >= 6, text


MISSING = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
import deltaloop as dl
net = dl.Network([2, 1], seed=0)
result = net.fit([[0, 1]], [1], max_epochs=1)
X = [[0, 1], [1, 0]]
for draw in (
    result.plot,
    lambda: dl.plot.learning_curve(result),
    lambda: dl.plot.diagram(net),
    lambda: dl.plot.predicted_against_true([1], [1]),
    lambda: dl.plot.residuals([1], [1]),
    lambda: dl.plot.confusion_matrix([1], [1]),
    lambda: dl.plot.decision_regions(net, X),
):
    try:
        draw()
    except ImportError as error:
        print(error)
"""


def test_names_what_is_missing():
    lines = run_python(MISSING).splitlines()
    assert lines == ["plot needs matplotlib: pip install 'deltaloop[plot]'"] * 7


def test_matplotlib_is_imported_only_when_something_is_drawn():
    names = run_python("import sys, deltaloop; deltaloop.plot.diagram; print(*sys.modules)").split()
    assert "deltaloop.plot" in names
    assert "matplotlib" not in names


# ---- learning curves ----


def test_plot_draws_the_costs(tmp_path):
    result = fitted(goal=1e-5, max_epochs=300)
    ax = result.plot()
    (line,) = ax.get_lines()
    assert line.get_xdata().tolist() == list(range(result.epochs + 1))
    assert line.get_ydata().tolist() == [result.initial_cost, *result.cost_history]
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "epoch"
    assert "cost" in ax.get_ylabel()
    n = f"{result.epochs:,}"
    assert ax.get_title() == f"stopped after {n} epochs, the cost reached its goal"
    ax.figure.savefig(tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 1000


def test_plot_on_axes():
    figure, (left, right) = pyplot.subplots(1, 2)
    full = fitted(dl.GradientDescent(1e-4), max_epochs=20)
    batches = fitted(dl.GradientDescent(1e-4, batch_size=2), max_epochs=20)
    assert full.plot(ax=left) is left
    assert batches.plot(right) is right
    assert left.get_yscale() == "linear"
    assert left.get_lines()[0].get_xdata()[0] == 0
    assert right.get_lines()[0].get_xdata().tolist() == list(range(1, 21))
    assert len(pyplot.get_fignums()) == 1
    assert left.figure is figure
    with pytest.raises(TypeError, match="ax must be"):
        full.plot(ax=figure)


def test_plot_of_a_validation():
    """Two curves that differ without their colours, and the lowest point of the second."""
    result = fitted(validation=0.25, patience=5, max_epochs=300)
    assert result.stop_reason == "patience"
    ax = result.plot()
    training, others, best = ax.get_lines()
    n, n_validation = result.n_instances, result.n_validation
    costs = [result.initial_cost, *result.cost_history]
    assert training.get_ydata().tolist() == [cost / n for cost in costs]
    assert others.get_xdata().tolist() == list(range(1, result.epochs + 1))
    expected = (result.history.validation_cost / n_validation).tolist()
    assert others.get_ydata().tolist() == expected
    assert training.get_linestyle() != others.get_linestyle()
    assert best.get_xdata().tolist() == [result.best_epoch]
    assert best.get_ydata().tolist() == [result.validation_cost / n_validation]
    assert "per instance" in ax.get_ylabel()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation", f"lowest, epoch {result.best_epoch} (kept)"]
    assert re.search(r"no better for \d+ epochs?$", ax.get_title())
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize(("scale", "axis"), [(1.0, "linear"), (1e-3, "log")])
def test_plot_takes_its_axis_from_both_curves(scale, axis):
    """A validation on targets that are nearly met is much lower than the training."""
    net = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="identity")
    x = np.array([[1.0], [2.0]])
    options = {"solver": dl.GradientDescent(1e-12), "tol": 0, "max_epochs": 2}
    ax = net.fit(x, x + 1.0, validation=(x, x + scale), **options).plot()
    assert ax.get_yscale() == axis
    assert len(ax.get_lines()) == 3


def test_plot_of_a_fit_that_goes_on():
    net = dl.Network([2, 3, 1], seed=0)
    options = {"solver": dl.GradientDescent(0.1), "tol": 0, "validation": ([[0.5, 0.5]], [0.3])}
    X, Y = [[0, 0], [1, 1]], [0.2, 0.7]
    state = net.fit(X, Y, max_epochs=10, **options).state
    for most in (12, 40):  # the lowest validation cost may be one of before
        result = net.fit(X, Y, max_epochs=most, resume=state, **options)
        curves = result.plot().lines
        assert curves[0].get_xdata().tolist() == list(range(10, most + 1))
        assert curves[1].get_xdata().tolist() == list(range(11, most + 1))
        assert len(curves) == (3 if result.best_epoch > 10 else 2)


def test_plot_without_epochs():
    result = fitted(goal=100.0)
    assert result.epochs == 0
    (line,) = result.plot().get_lines()
    assert line.get_ydata().tolist() == [result.initial_cost]
    assert line.get_marker() == "o"


def test_plot_tells_the_loss_and_its_unit():
    X, y = [[0.0], [1.0], [2.0]], [0, 1, 1]
    for loss, text in (
        ("binary_cross_entropy", "binary cross entropy"),
        (dl.Huber(2), "huber(2.0)"),
    ):
        result = dl.Network([1, 1], loss=loss, seed=0).fit(X, y, max_epochs=2)
        assert result.loss == result.loss
        assert result.plot().get_ylabel() == f"cost (sum over instances)\n{text}"


def test_plot_of_stages():
    result = fitted([dl.Rprop(), dl.LBFGS(), dl.LevenbergMarquardt()], max_epochs=[5, 7, 3])
    ax = result.plot()
    borders = ax.get_lines()[1:]
    assert [line.get_xdata()[0] for line in borders] == [5, 12]
    assert entries(ax) == ["training", "epoch 5: LBFGS", "epoch 12: LevenbergMarquardt"]


def test_plot_says_what_was_not_kept():
    """Without patience the last parameters stay, whatever the validation says."""
    X = np.linspace(-1, 1, 9).reshape(-1, 1)
    net = dl.Network([1, 1], activation="identity", seed=0)
    options = {"solver": dl.GradientDescent(0.05), "tol": 0, "max_epochs": 50}
    result = net.fit(X, 2 * X, validation=([[1.0]], [net.predict([1.0])[0]]), **options)
    assert result.best_epoch == 1
    assert entries(result.plot())[2] == "lowest, epoch 1"


def test_plot_of_a_fit_that_diverged():
    net = dl.Network([1, 1], activation="identity", seed=0)
    with pytest.warns(dl.DivergenceWarning):
        result = net.fit([[1.0], [2.0]], [1.0, 2.0], solver=dl.GradientDescent(10.0), tol=0)
    ax = result.plot()
    assert ax.get_title().endswith("the cost became infinite")
    rendered(ax)


@pytest.mark.parametrize("result", [None, "result", [1.0, 0.5], dl.FitResult, object()])
def test_learning_curve_refuses_what_has_none(result):
    with pytest.raises(TypeError, match="result must be a FitResult or a fitted estimator"):
        dl.plot.learning_curve(result)
