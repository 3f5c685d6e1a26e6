"""What the tests of pictures share: how a picture is read, and what none may change."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl

__all__ = ["collections", "nothing_else_changes", "pyplot"]

matplotlib = pytest.importorskip("matplotlib")
from matplotlib import collections, pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_else_changes(monkeypatch):
    """No picture is shown, and neither matplotlib's settings nor NumPy's are touched."""
    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("a picture was shown"))
    before = dict(matplotlib.rcParams), matplotlib.get_backend(), np.geterr()
    yield
    assert (dict(matplotlib.rcParams), matplotlib.get_backend(), np.geterr()) == before
    pyplot.close("all")


def xor():
    """OR, NAND and AND, composed by hand."""
    return dl.Network.from_weights(
        [[[1, -1], [1, -1]], [[1], [1]]], [[-0.5, 1.5], [-1.5]], activation="step"
    )


CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def texts(ax):
    return [text.get_text() for text in ax.texts]


def entries(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def grey(colour):
    return float(np.dot(to_rgb(colour), [0.299, 0.587, 0.114]))


def rendered(ax):
    ax.figure.canvas.draw()
    return ax.figure.canvas.get_renderer()


def points(ax):
    return [line for line in ax.lines if line.get_marker() not in ("None", None, "")]
