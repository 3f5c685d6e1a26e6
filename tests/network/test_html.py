"""Networks as tables of HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

import deltaloop as dl


def rows(network):
    """The cells of each row; the table must be well-formed, as XML and as HTML."""
    text = network._repr_html_()
    tree = ElementTree.fromstring(text)

    class Balanced(HTMLParser):
        open: tuple[str, ...] = ()

        def handle_starttag(self, tag, attrs):
            self.open += (tag,)

        def handle_endtag(self, tag):
            assert self.open[-1] == tag
            self.open = self.open[:-1]

    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == ()
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def caption(network):
    tree = ElementTree.fromstring(network._repr_html_())
    return "".join(tree.find("caption").itertext())


def test_table_of_a_network():
    net = dl.Network([784, 32, 10], activation="relu", loss="cross_entropy", seed=7)
    assert rows(net) == [
        ["layer", "units", "activation", "parameters"],
        ["inputs", "784", "", ""],
        ["hidden 1", "32", "relu", "25,120"],
        ["outputs", "10", "softmax", "330"],
        ["total", "", "", "25,450"],
    ]
    assert caption(net) == "Network: loss cross_entropy, init he_uniform, seed 7"


def test_table_of_a_single_layer_from_weights():
    net = dl.Network.from_weights([[[1.0], [2.0]]], [[0.0]], loss=dl.Huber(0.5), seed=1)
    assert [row[0] for row in rows(net)] == ["layer", "inputs", "outputs", "total"]
    assert caption(net) == "Network: loss huber(0.5), seed 1"


def test_table_marks_skips():
    net = dl.Network([4, 4, 6, 6, 2], activation="tanh", residual=True, seed=0)
    activations = [row[2] for row in rows(net)]
    assert activations[2:5] == ["tanh + inputs", "tanh", "tanh + hidden 2"]
    assert "residual" in caption(net)


@pytest.mark.parametrize("hidden", [15, 16, 150])
def test_table_of_a_deep_network(hidden):
    """The sizes of all layers add up to the total, or some are left out and it says how many."""
    net = dl.Network([3, *[4] * hidden, 2], seed=0)
    table = rows(net)
    assert len(table) <= 2 + 17
    assert table[-1][3] == f"{net.n_parameters:,}"
    if hidden == 15:
        parts = [int(row[3].replace(",", "")) for row in table[2:-1]]
        assert sum(parts) == net.n_parameters
    else:
        assert table[9][0] == f"{hidden + 2 - 16} more layers"
        assert table[10][0] == f"hidden {hidden - 6}"


def test_table_is_escaped_and_brings_nothing_else():
    cls = type("<script>alert('&')</script>", (dl.Network,), {})
    net = cls([1, 1], seed=0)
    text = net._repr_html_()
    assert caption(net).startswith("<script>alert('&')</script>: ")
    for word in ("<script", "<style", "http", "src=", "onclick", "background"):
        assert word not in text.lower()
    # The colours are the page's.
    assert "#" not in text.replace("&#x27;", "")
