"""Messages that say what to do about an argument of a wrong type."""

from __future__ import annotations

import re

import numpy as np
import pytest

import deltaloop as dl

X = np.zeros((4, 1))
WORDS = ["yes", "no", "yes", "no"]
CLASSES = "; number the classes: classes, Y = numpy.unique(Y, return_inverse=True), or use "


def network(**options):
    return dl.Network([1, 2], output="softmax", seed=0, **options)


@pytest.mark.parametrize(
    "labels", [WORDS, np.array(WORDS), np.array(WORDS, dtype=object), np.array(WORDS, dtype="S3")]
)
def test_labels_are_numbered(labels):
    with pytest.raises(TypeError, match=re.escape(CLASSES + "deltaloop.sklearn")):
        network().fit(X, labels)
    _classes, numbers = np.unique(labels, return_inverse=True)
    network().fit(X, numbers, max_epochs=1, solver=dl.Rprop())


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (X.astype(object), "; try X.astype(float)"),
        (X.astype(str), "; try X.astype(float)"),
        ([[None], [1.0]], "; try numpy.array(X, dtype=float)"),
        (X.astype(complex), ""),
    ],
)
def test_other_arrays(values, remedy):
    with pytest.raises(
        TypeError, match=r"X must hold real numbers, .*\)" + re.escape(remedy) + "$"
    ):
        network().predict(values)


def test_a_table_of_text():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"town": ["a", "b"]})
    remedy = "; try X.astype(float), or deltaloop.tabular.TabularModel, which takes columns of text"
    with pytest.raises(TypeError, match=re.escape(remedy) + "$"):
        network().predict(frame)


@pytest.mark.parametrize("name", ["lbfgs", "L-BFGS", "LBFGS", "l_bfgs"])
def test_names_of_solvers(name):
    with pytest.raises(TypeError, match=r"; did you mean deltaloop.LBFGS\(\)\?$"):
        network().fit(X, [0, 1, 0, 1], solver=name)


def test_every_solver_has_its_names():
    for short, kind in dl.solvers.SOLVERS.items():
        for name in (short, kind.__name__.upper()):
            with pytest.raises(TypeError, match=rf"mean deltaloop.{kind.__name__}\(\)\?$"):
                network().fit(X, [0, 1, 0, 1], solver=name)
    with pytest.raises(TypeError, match=r"got 'newton'$"):
        network().fit(X, [0, 1, 0, 1], solver="newton")


@pytest.mark.parametrize("scale", [True, 1.0, ("standard",)])
def test_scale(scale):
    message = f"scale must be 'standard', 'minmax' or None, got {scale!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        network().fit(X, [0, 1, 0, 1], scale=scale)


@pytest.mark.parametrize(
    ("option", "given", "meant"),
    [("init", "He-Uniform", "he_uniform"), ("activation", "ReLU", "relu")],
)
def test_names_that_are_spelt_otherwise(option, given, meant):
    with pytest.raises(ValueError, match=rf"got '{given}'; did you mean '{meant}'\?$"):
        network(**{option: given})
