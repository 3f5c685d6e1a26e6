"""scikit-learn's own tests of its perceptrons, run on ours: its module sees our classes."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network as _module

from deltaloop import sklearn as _ours

_theirs = _module.MLPClassifier, _module.MLPRegressor
try:
    _module.MLPClassifier, _module.MLPRegressor = _ours.MLPClassifier, _ours.MLPRegressor
    from sklearn.neural_network.tests import test_mlp as _tests
    from sklearn.neural_network.tests.test_mlp import *  # noqa: F403
finally:
    _module.MLPClassifier, _module.MLPRegressor = _theirs

pytestmark = pytest.mark.filterwarnings("ignore")

# They step through private methods.
del test_fit, test_gradient  # noqa: F821


@pytest.fixture
def global_random_seed():
    return 42


def test_it_was_ours():
    assert _tests.MLPClassifier is _ours.MLPClassifier
    assert sum(name.startswith("test_") for name in globals()) > 35
