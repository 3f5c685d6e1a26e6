"""The numbers of one instance: those of the slow reference, of differences, and of training."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import Reference
from tests.helpers.cases import HIDDEN, MORE_HIDDEN, MORE_PAIRS, PAIRS, make_case
from tests.helpers.compare import relative_error, same
from tests.helpers.networks import refuses


def linear_parts(reference, x):
    """z^(l), l = 1..L, by the formula."""
    a = [x, *reference.activations(x)]
    return [
        a[l] @ w + b
        for l, (w, b) in enumerate(zip(reference.weights, reference.biases, strict=True))
    ]


@pytest.mark.parametrize("hidden", [*HIDDEN, *MORE_HIDDEN])
def test_slopes_are_differences(hidden):
    """g'(z) of hidden units and of outputs, by the activations of the reference."""
    case = make_case([2, 3, 3, 2], hidden, hidden, "squared_error", 1, 1)
    explanation = case.network().explain(case.X[0], case.Y[0])
    for layer in explanation.layers:
        one = Reference([np.eye(1)], [np.zeros(1)], [], hidden, "squared_error")
        h = 1e-6
        z = layer.z[:, np.newaxis]
        expected = (one.predict(z + h) - one.predict(z - h)) / (2 * h)
        assert layer.slope == pytest.approx(expected[:, 0], abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "output", "m"), [*PAIRS, *MORE_PAIRS], ids=lambda value: str(value)
)
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_all_numbers_are_those_of_the_reference(loss, output, m, residual):
    case = make_case([3, 3, 4, m], "tanh", output, loss, 1, 1, residual)
    net, reference = case.network(), case.reference()
    x, y = case.X[0], case.Y[0]
    found = net.explain(x, y)
    cost, gradient = reference.gradient(x, y)
    dw, db = reference._views(gradient)
    assert found.cost == pytest.approx(cost, rel=1e-13)
    assert len(found.layers) == 3
    for l, layer in enumerate(found.layers):
        assert layer.layer == l + 1
        assert layer.activation == (*net.activation, net.output)[l]
        assert relative_error(layer.z, linear_parts(reference, x)[l]) < 1e-13
        assert relative_error(layer.a, reference.activations(x)[l]) < 1e-13
        assert relative_error(layer.dC_dw, dw[l]) < 1e-12
        assert relative_error(layer.dC_db, db[l]) < 1e-12
        assert relative_error(layer.delta, db[l]) < 1e-12
        # delta is dC/dz, and so dC/db: by differences of the biases.
        b = net.biases[l]
        for j, start in enumerate(b.copy()):
            sides = []
            for shifted in (start + 6e-6, start - 6e-6):
                b[j] = shifted
                sides.append(net.cost(x, y))
            b[j] = start
            assert layer.delta[j] == pytest.approx((sides[0] - sides[1]) / 1.2e-5, abs=1e-6)


def test_the_bits_are_those_of_training():
    net = dl.Network([3, 5, 2], activation="tanh", seed=0)
    x, y = [0.5, -1.0, 2.0], [0.25, 0.75]
    found = net.explain(x, y)
    cost, gradient = net.gradient(x, y, per_layer=True)
    assert found.cost == cost
    for layer, dw, db, a in zip(
        found.layers, gradient.weights, gradient.biases, net.activations(x), strict=True
    ):
        assert same(layer.dC_dw, dw)
        assert same(layer.delta, db)
        assert same(layer.a, a)
    assert same(found.layers[-1].a, net.predict(x))


def test_a_scaled_network_shows_what_its_layers_see():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 3)) * 100, rng.normal(size=(20, 2)) * 50 + 7
    net = dl.Network([3, 4, 2], activation="tanh", output="identity", seed=0)
    net.fit(X, Y, solver=dl.LBFGS(), scale="standard", max_epochs=5)
    found = net.explain(X[0], Y[0])
    s = net.scaling
    assert found.x == pytest.approx((X[0] - s.input_offset) / s.input_scale)
    assert found.y == pytest.approx((Y[0] - s.output_offset) / s.output_scale)
    assert found.cost == pytest.approx(net.cost(X[0], Y[0]), rel=1e-12)
    gradient = net.gradient(X[0], Y[0])[1]
    flat = np.concatenate([np.append(l.dC_dw, l.dC_db) for l in found.layers])
    assert flat == pytest.approx(gradient, rel=1e-12)
    assert net.scaling is s


def test_classes():
    net = dl.Network([3, 4, 3], activation="relu", loss="cross_entropy", seed=0)
    found = net.explain([0.5, -1.0, 2.0], 2)
    assert found.y.tolist() == [0.0, 0.0, 1.0]
    last = found.layers[-1]
    assert last.delta == pytest.approx(last.a - found.y)
    assert last.slope == pytest.approx(last.a * (1 - last.a))


def test_tables_say_it_all():
    net = dl.Network([2, 2, 1], seed=0)
    found = net.explain([0.0, 1.0], 1.0)
    text, html = repr(found), found._repr_html_()
    for layer in found.layers:
        for values in (layer.z, layer.a, layer.slope, layer.delta, layer.dC_dw):
            for value in values.ravel():
                assert f"{value:.5g}" in text
                assert f"<td>{value:.5g}</td>" in html
    assert "g&#x27;(z)" in html
    assert "layer 2, sigmoid" in text
    assert html.count("<table>") == html.count("</table>") == 2
    lines = text.splitlines()
    start = lines.index("layer 1, sigmoid")
    assert len({len(line) for line in lines[start + 1 : start + 4]}) == 1


def test_the_page_shows_what_is_printed(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "training.md"
    code, text = re.search(
        r"^```python\n([^`]*explain[^`]*)^```\n\n```text\n(.*?)^```",
        page.read_text("utf-8"),
        re.M | re.S,
    ).groups()
    exec(code, {})
    assert capsys.readouterr().out == text


def test_wide_layers_are_cut_in_tables_alone():
    net = dl.Network([20, 30, 1], seed=0)
    found = net.explain(np.ones(20), 1.0)
    assert found.layers[0].dC_dw.shape == (20, 30)
    text = repr(found)
    assert "18 more units and 8 more columns of dC/dw" in text
    assert "... (20)" in text
    assert "18 more units" in found._repr_html_()


def test_what_explain_refuses():
    net = dl.Network([2, 2, 1], seed=0)
    with refuses(ValueError, "x must be one instance, got 2", net=net):
        net.explain([[0.0, 1.0], [1.0, 1.0]], [1.0, 0.0])
    with refuses(ValueError, "y holds nan", net=net):
        net.explain([0.0, 1.0], np.nan)
    step = dl.Network([2, 2, 1], activation="step", seed=0)
    with refuses(ValueError, "step units", net=step):
        step.explain([0.0, 1.0], 1.0)


def test_gradients_by_layers_are_views_of_one_buffer():
    net = dl.Network([3, 4, 2], activation="tanh", seed=0)
    X, Y = np.ones((5, 3)), np.ones((5, 2)) * 0.5
    cost, flat = net.gradient(X, Y, l2=0.5)
    same_cost, layers = net.gradient(X, Y, l2=0.5, per_layer=True)
    assert cost == same_cost
    for found, like in ((layers.weights, net.weights), (layers.biases, net.biases)):
        assert [g.shape for g in found] == [w.shape for w in like]
    parts = [np.append(w, b) for w, b in zip(layers.weights, layers.biases, strict=True)]
    assert same(np.concatenate(parts), flat)
    base = {id(part.base) for part in (*layers.weights, *layers.biases)}
    assert len(base) == 1
    with refuses(TypeError, "per_layer", net=net):
        net.gradient(X, Y, per_layer="yes")
