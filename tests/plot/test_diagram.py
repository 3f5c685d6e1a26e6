"""Diagrams of networks: every unit and weight, and that they can be read."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.pictures import (
    collections,
    entries,
    grey,
    nothing_else_changes,
    pyplot,
    rendered,
    texts,
    xor,
)

__all__ = ["nothing_else_changes"]


def units(ax):
    """The circles: positions, widths of rings, and whether they are dashed."""
    found = [each for each in ax.collections if isinstance(each, collections.PathCollection)]
    return [(c.get_offsets(), np.array(c.get_linewidths()), c.get_linestyles()) for c in found]


def weights(ax):
    """The lines: (from, to), signed width."""
    drawn = {}
    for lines in ax.collections:
        if isinstance(lines, collections.LineCollection):
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
    lines = [each for each in ax.collections if isinstance(each, collections.LineCollection)]
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


@pytest.mark.parametrize("scale", [1e-320, 1e300])
def test_diagram_of_extreme_weights(scale):
    """Only the ratios matter, whatever the size."""
    net = dl.Network.from_weights([[[2 * scale], [-scale]]], [[0.0]], activation="identity")
    widths = sorted(weights(dl.plot.diagram(net)).values())
    assert widths == pytest.approx([-widths[1] / 2, widths[1]])
    assert widths[1] > 1
