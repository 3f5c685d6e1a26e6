"""dC/dX, and the gradient check for users."""

from __future__ import annotations

import itertools
import os
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from oracle import HIDDEN, PAIRS, bits, make_case

import deltaloop as dl

every_pair = pytest.mark.parametrize(("loss", "output", "m"), PAIRS)


def input_differences(net, X, Y, h=6e-6):
    """dC/dX by central differences."""
    X, estimate = X.copy(), np.empty_like(X)
    for place in np.ndindex(X.shape):
        x = X[place]
        X[place] = x + h
        above = net.cost(X, Y)
        X[place] = x - h
        estimate[place] = (above - net.cost(X, Y)) / (2 * h)
        X[place] = x
    return estimate


# ---- input_gradient ----


@every_pair
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("layers", [(3,), (3, 5), (7, 4, 9)])
def test_input_gradient_against_differences(loss, output, m, hidden, layers):
    if len(layers) == 1 and hidden != HIDDEN[0]:
        pytest.skip("there are no hidden units")
    case = make_case((*layers, m), hidden, output, loss, n=6, seed=len(layers))
    net = case.network()
    gradient = net.input_gradient(case.X, case.Y)
    assert gradient.dtype == np.float64
    assert gradient.shape == case.X.shape
    expected = input_differences(net, case.X, case.Y)
    assert np.linalg.norm(gradient - expected) < 1e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize("n", [1, 40, 3000])
@pytest.mark.parametrize("layers", [(3, 5, 2), (40, 70, 33, 19)])
def test_input_gradient_does_not_depend_on_the_batch(layers, n):
    """Row by row, any chunk, any number of threads: the same bits."""
    case = make_case(layers, "tanh", "identity", "squared_error", n=n, seed=1)
    net = case.network()
    whole = net.input_gradient(case.X, case.Y)
    for threads, chunk in itertools.product((1, 2, 3, 7), (0, 8, 100)):
        net._chunk_rows = chunk
        net._grain = 1.0
        got = net.input_gradient(case.X, case.Y, n_threads=threads)
        assert (bits(got) == bits(whole)).all()
    for i in range(0, n, 97):
        alone = net.input_gradient(case.X[i], case.Y[i])
        assert alone.shape == (layers[0],)
        assert (bits(alone) == bits(whole[i])).all()
        assert (bits(net.input_gradient(case.X[i:], case.Y[i:])) == bits(whole[i:])).all()


def test_input_gradient_of_classes_and_strides():
    case = make_case((4, 6, 3), "tanh", "softmax", "cross_entropy", n=11, seed=2)
    net, labels = case.network(), np.arange(11) % 3
    expected = net.input_gradient(case.X, np.eye(3)[labels])
    assert (net.input_gradient(case.X, labels) == expected).all()
    assert (net.input_gradient(np.asfortranarray(case.X), labels.astype(np.int8)) == expected).all()
    single = net.input_gradient(case.X[0].tolist(), 0)
    assert (single == expected[0]).all()


def test_input_gradient_of_an_identity_is_the_residual_times_the_weights():
    w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    net = dl.Network.from_weights([w], [[0.5, -0.5]], activation="identity")
    X, Y = np.array([[1.0, 0.0, 2.0]]), np.array([[1.0, 1.0]])
    assert (net.input_gradient(X, Y) == (X @ w + [0.5, -0.5] - Y) @ w.T).all()


def test_input_gradient_refuses():
    net = dl.Network([2, 3, 1], seed=0)
    for X, Y, name in [([[1.0]], [1.0], "X"), ([[1.0, 2.0]], [1.0, 2.0], "Y"), ([], [], "X")]:
        with pytest.raises(ValueError, match=name):
            net.input_gradient(X, Y)
    with pytest.raises(ValueError, match="finite"):
        net.input_gradient([[np.nan, 1.0]], [1.0])
    with pytest.raises(ValueError, match="n_threads"):
        net.input_gradient([[0.0, 1.0]], [1.0], n_threads=0)
    step = dl.Network([2, 3, 1], activation="step", seed=0)
    with pytest.raises(ValueError, match="step"):
        step.input_gradient([[0.0, 1.0]], [1.0])


# ---- check_gradient ----


@every_pair
@pytest.mark.parametrize("hidden", HIDDEN)
def test_gradients_pass_the_check(loss, output, m, hidden):
    case = make_case((4, 6, 5, m), hidden, output, loss, n=7, seed=3)
    net = case.network()
    before = net.parameters.copy()
    check = net.check_gradient(case.X, case.Y)
    assert 0 <= check.error < 1e-6
    assert (bits(net.parameters) == bits(before)).all()
    k = check.index
    assert check.gradient == net.gradient(case.X, case.Y)[1][k]
    assert check.difference == pytest.approx(check.gradient, rel=1e-3, abs=1e-6)
    names = {"weights": net.weights, "biases": net.biases}
    value = net.parameters[k]
    net.parameters[k] = 123.0  # what `where` names must be that parameter
    assert eval(check.where, {}, {**names, "weights": net.weights, "biases": net.biases}) == 123.0
    net.parameters[k] = value


@pytest.mark.parametrize("wrong", [0, 7, 20])
def test_a_wrong_gradient_is_found(wrong, monkeypatch):
    case = make_case((2, 5, 3), "tanh", "identity", "squared_error", n=5, seed=1)
    net = case.network()

    class Wrong(dl.Network):
        def _cost(self, x, y, labels, with_gradient, n_threads, problem):
            cost, gradient = super()._cost(x, y, labels, with_gradient, n_threads, problem)
            if gradient is not None:
                gradient[wrong] *= 1.01
            return cost, gradient

    bad = Wrong._restore(*net._state())
    check = bad.check_gradient(case.X, case.Y)
    assert check.index == wrong
    assert 1e-3 < check.error < 0.011
    others = np.delete(np.arange(net.n_parameters), wrong)
    assert bad.check_gradient(case.X, case.Y, indices=others).error < 1e-6


def test_where_and_indices():
    net = dl.Network([2, 3, 1], seed=0)
    places = {
        0: "weights[0][0, 0]",
        5: "weights[0][1, 2]",
        6: "biases[0][0]",
        9: "weights[1][0, 0]",
        12: "biases[1][0]",
    }
    for index, where in places.items():
        check = net.check_gradient([0.5, -1.0], 1.0, indices=[index])
        assert (check.index, check.where) == (index, where)
    for indices in ([], [13], [-1], [0.5], 3, [[0]], ["a"]):
        with pytest.raises((TypeError, ValueError), match="indices"):
            net.check_gradient([0.5, -1.0], 1.0, indices=indices)


def test_gradient_of_zero_and_kink():
    """Nothing to compare; and a relu at its kink, where the difference is wrong."""
    net = dl.Network.from_weights([[[0.0]]], [[0.0]], activation="identity")
    assert net.check_gradient([1.0], 0.0).error < 1e-4
    zero = dl.Network.from_weights([[[0.0]], [[0.0]]], [[-1.0], [0.0]], activation="relu")
    check = zero.check_gradient([[1.0]], [0.0], indices=[0])
    assert (check.error, check.gradient, check.difference) == (0.0, 0.0, 0.0)
    kink = dl.Network.from_weights([[[1.0]], [[1.0]]], [[0.0], [0.0]], activation="relu")
    assert kink.check_gradient([[0.0]], [1.0], indices=[1]).error > 0.4


def test_check_is_a_value():
    check = dl.Network([2, 1], seed=0).check_gradient([0.5, -1.0], 1.0)
    assert "error=" in repr(check)
    with pytest.raises(FrozenInstanceError):
        check.error = 0.0


# ---- plot ----


@pytest.fixture
def pyplot(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(os.environ, "MPLBACKEND", "Agg")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def fitted(solver=None, **limits):
    net = dl.Network([1, 6, 1], activation="tanh", output="identity", seed=0)
    x = np.linspace(-1, 1, 20).reshape(-1, 1)
    return net.fit(x, x**2, solver=solver or dl.LBFGS(), tol=0, **limits)


def test_plot_draws_the_costs(pyplot, tmp_path):
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


def test_plot_on_axes(pyplot):
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


def test_plot_of_a_validation(pyplot):
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
def test_plot_takes_its_axis_from_both_curves(pyplot, scale, axis):
    """A validation on targets that are nearly met is much lower than the training."""
    net = dl.Network.from_weights([[[1.0]]], [[0.0]], activation="identity")
    x = np.array([[1.0], [2.0]])
    options = {"solver": dl.GradientDescent(1e-12), "tol": 0, "max_epochs": 2}
    ax = net.fit(x, x + 1.0, validation=(x, x + scale), **options).plot()
    assert ax.get_yscale() == axis
    assert len(ax.get_lines()) == 3


def test_plot_of_a_fit_that_goes_on(pyplot):
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


def test_plot_without_epochs(pyplot):
    result = fitted(goal=100.0)
    assert result.epochs == 0
    (line,) = result.plot().get_lines()
    assert line.get_ydata().tolist() == [result.initial_cost]
    assert line.get_marker() == "o"


def test_plot_names_what_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(ImportError, match=r"deltaloop\[plot\]"):
        fitted(max_epochs=1).plot()
