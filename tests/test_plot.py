"""Pictures: what is drawn, read from the artists; that it can be read; what does not change."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest

import deltaloop as dl

matplotlib = pytest.importorskip("matplotlib")
from matplotlib import pyplot  # noqa: E402
from matplotlib.collections import LineCollection, PathCollection, QuadMesh  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_else_changes(monkeypatch):
    """No picture is shown, and neither matplotlib's settings nor NumPy's are touched."""
    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("a picture was shown"))
    before = dict(matplotlib.rcParams), matplotlib.get_backend(), np.geterr()
    yield
    assert (dict(matplotlib.rcParams), matplotlib.get_backend(), np.geterr()) == before
    pyplot.close("all")


def fitted(solver=None, **limits):
    net = dl.Network([1, 6, 1], activation="tanh", output="identity", seed=0)
    x = np.linspace(-1, 1, 20).reshape(-1, 1)
    return net.fit(x, x**2, solver=solver or dl.LBFGS(), tol=0, **limits)


def xor():
    """OR, NAND and AND, composed by hand."""
    return dl.Network.from_weights(
        [[[1, -1], [1, -1]], [[1], [1]]], [[-0.5, 1.5], [-1.5]], activation="step"
    )


CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
DRAW = {
    "learning_curve": lambda ax=None: dl.plot.learning_curve(fitted(max_epochs=3), ax),
    "FitResult.plot": lambda ax=None: fitted(max_epochs=3).plot(ax),
    "diagram": lambda ax=None: dl.plot.diagram(xor(), ax),
    "predicted_against_true": lambda ax=None: dl.plot.predicted_against_true([1, 2], [1, 3], ax),
    "residuals": lambda ax=None: dl.plot.residuals([1, 2], [1, 3], ax),
    "confusion_matrix": lambda ax=None: dl.plot.confusion_matrix([0, 1], [1, 1], ax=ax),
    "decision_regions": lambda ax=None: dl.plot.decision_regions(
        xor(), CORNERS, [0, 1, 1, 0], ax, resolution=20
    ),
}
every_picture = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def entries(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def grey(colour):
    return float(np.dot(to_rgb(colour), [0.299, 0.587, 0.114]))


def rendered(ax):
    ax.figure.canvas.draw()
    return ax.figure.canvas.get_renderer()


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


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout


def test_names_what_is_missing():
    lines = run(MISSING).splitlines()
    assert lines == ["plot needs matplotlib: pip install 'deltaloop[plot]'"] * 7


def test_matplotlib_is_imported_only_when_something_is_drawn():
    names = run("import sys, deltaloop; deltaloop.plot.diagram; print(*sys.modules)").split()
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
    assert result.stop_reason in ax.get_title()
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
    assert "patience" in ax.get_title()
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
    assert ax.get_title().startswith("diverged")
    rendered(ax)


@pytest.mark.parametrize("result", [None, "result", [1.0, 0.5], dl.FitResult, object()])
def test_learning_curve_refuses_what_has_none(result):
    with pytest.raises(TypeError, match="result must be a FitResult or a fitted estimator"):
        dl.plot.learning_curve(result)


# ---- diagrams ----


def units(ax):
    """The circles: positions, widths of rings, and whether they are dashed."""
    found = [each for each in ax.collections if isinstance(each, PathCollection)]
    return [(c.get_offsets(), np.array(c.get_linewidths()), c.get_linestyles()) for c in found]


def weights(ax):
    """The lines: (from, to), signed width."""
    drawn = {}
    for lines in ax.collections:
        if isinstance(lines, LineCollection):
            dashed = lines.get_linestyles()[0][1] is not None
            for ends, width in zip(lines.get_segments(), lines.get_linewidths(), strict=True):
                drawn[tuple(map(tuple, ends.tolist()))] = -width if dashed else width
    return drawn


def test_diagram_draws_every_unit_and_weight():
    net = dl.Network([3, 4, 2], activation="tanh", loss="cross_entropy", seed=3)
    net.biases[0][:] = [0.5, -0.25, 0.0, 1.5]
    ax = dl.plot.diagram(net)
    layers = units(ax)
    assert [len(offsets) for offsets, _, _ in layers] == [3, 4, 2]
    drawn = weights(ax)
    assert len(drawn) == 3 * 4 + 4 * 2
    largest = max(np.abs(part).max() for part in (*net.weights, *net.biases))
    scale = max(map(abs, drawn.values())) / max(np.abs(w).max() for w in net.weights)
    for l, w in enumerate(net.weights):
        for i, j in np.ndindex(w.shape):
            ends = (tuple(layers[l][0][i].tolist()), tuple(layers[l + 1][0][j].tolist()))
            assert drawn[ends] == pytest.approx(w[i, j] * scale)
    _, rings, styles = layers[1]
    assert rings[[0, 1, 3]] == pytest.approx(np.maximum(np.abs([0.5, 0.25, 1.5]) * scale, 0.7))
    assert [style[1] is not None for style in styles] == [False, True, False, False]
    assert f"up to {largest:.3g}" in ax.get_legend().get_title().get_text()
    captions = ["3 inputs", "4 units\ntanh", "2 outputs\nsoftmax"]
    assert texts(ax) == ["x0", "x1", "x2", "y0", "y1", *captions]


def test_diagram_tells_signs_in_grey():
    ax = dl.plot.diagram(dl.Network([3, 3, 1], seed=0))
    lines = [each for each in ax.collections if isinstance(each, LineCollection)]
    shades = {}
    for each in lines:
        shades[each.get_linestyles()[0][1] is None] = grey(each.get_colors()[0][:3])
    assert shades[True] + 0.3 < shades[False] < 0.8  # solid ones dark, dashed ones visible on white
    assert entries(ax) == ["positive", "negative"]


@pytest.mark.parametrize("most", [1, 2, 5, 12])
def test_diagram_shortens_wide_layers(most):
    net = dl.Network([784, 200, 10], activation="relu", loss="cross_entropy", seed=0)
    ax = dl.plot.diagram(net, max_units=most)
    layers = units(ax)
    assert [len(offsets) for offsets, _, _ in layers] == [most, most, min(most, 10)]
    assert texts(ax)[-3:] == ["784 inputs", "200 units\nrelu", "10 outputs\nsoftmax"]
    assert sum(line.get_marker() == "." for line in ax.lines) == 2 + (most < 10)
    # The weights between the units that are left are their own.
    first, last = layers[0][0][0], layers[1][0][-1 if most > 1 else 0]
    drawn, w = weights(ax), net.weights[0]
    expected = w[0, -1 if most > 1 else 0]
    assert np.sign(drawn[tuple(first.tolist()), tuple(last.tolist())]) == np.sign(expected)
    if most > 1:
        assert texts(ax)[most - 1] == "x783"


def test_diagram_shortens_deep_networks():
    net = dl.Network([4, *[4] * 150, 2], activation="relu", residual=True, seed=0)
    ax = dl.plot.diagram(net, max_layers=6)
    assert len(units(ax)) == 6
    assert len(weights(ax)) == 2 * 16 + 16 + 8
    assert any("146 more" in text for text in texts(ax))
    assert entries(ax) == ["positive", "negative", "skip"]
    arcs = [text for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arcs) == 3  # layers 1, 2 and 150; 149's lower layer is left out


def test_diagram_names_inputs_and_outputs_as_they_are():
    names = ["$a$ in $", "a very long name of something that was measured, in metres\n"]
    ax = dl.plot.diagram(xor(), inputs=np.array(names), outputs=["x or\ty"])
    shown = texts(ax)
    assert shown[0] == names[0]
    assert not ax.texts[0].get_parse_math()
    assert len(shown[1]) == 24
    assert "\N{HORIZONTAL ELLIPSIS}" in shown[1]
    assert shown[1].startswith("a very")
    assert shown[1].endswith("metres")
    assert shown[2] == "x or y"
    rendered(ax)


@pytest.mark.parametrize("sizes", [[1, 1], [200, 1], [1, 200], [3, 200, 200, 200, 3]])
def test_diagram_texts_do_not_overlap(sizes):
    ax = dl.plot.diagram(dl.Network(sizes, activation="leaky_relu", seed=0))
    renderer = rendered(ax)
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_diagram_of_zeros():
    net = dl.Network.from_weights([np.zeros((2, 2))], [[0.0, 0.0]])
    assert weights(dl.plot.diagram(net)) == {}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"inputs": ["a"]}, ValueError, "inputs must hold 2 names, got 1"),
        ({"outputs": ["a", "b"]}, ValueError, "outputs must hold 1 names, got 2"),
        ({"inputs": "ab"}, TypeError, "inputs must be a list of 2 names, got 'ab'"),
        ({"outputs": 1}, TypeError, "outputs must be a list of 1 names, got 1"),
        ({"max_units": 0}, ValueError, "max_units must be at least 1, got 0"),
        ({"max_units": 2.0}, TypeError, "max_units must be an integer"),
        ({"max_layers": 1}, ValueError, "max_layers must be at least 2, got 1"),
    ],
)
def test_diagram_refuses(options, error, message):
    with pytest.raises(error, match=message):
        dl.plot.diagram(xor(), **options)
    assert pyplot.get_fignums() == []


def test_diagram_refuses_what_is_no_network_or_not_finite():
    with pytest.raises(TypeError, match="network must be a Network, got list"):
        dl.plot.diagram([2, 2, 1])
    net = dl.Network([2, 1], seed=0)
    net.parameters[2] = np.nan
    with pytest.raises(ValueError, match=r"network.parameters holds nan at index 2"):
        dl.plot.diagram(net)


# ---- predictions ----


def points(ax):
    return [line for line in ax.lines if line.get_marker() not in ("None", None, "")]


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
    assert ax.get_title() == "R² = 1, RMSE = 0"
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


# ---- decision regions ----


def mesh(ax):
    (found,) = (each for each in ax.collections if isinstance(each, QuadMesh))
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
        (dots,) = (each for each in ax.collections if isinstance(each, PathCollection))
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
