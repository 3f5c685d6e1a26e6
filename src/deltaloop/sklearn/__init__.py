"""scikit-learn's multilayer perceptrons, trained and evaluated by deltaloop.

``MLPClassifier`` and ``MLPRegressor`` take the place of those of ``sklearn.neural_network``: the
same parameters, methods and attributes and, with the same ``random_state``, the same results up to
rounding. Beyond that they take deltaloop's solvers, activations and losses.

``register_skl2onnx`` teaches skl2onnx to convert them, and ``TRUSTED_TYPES`` are the types that
files of skops hold.

Needs scikit-learn: ``pip install 'deltaloop[sklearn]'``.

>>> from deltaloop.sklearn import MLPClassifier
>>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]
>>> model = MLPClassifier((4,), activation="tanh", solver="lbfgs", random_state=1).fit(X, y)
>>> model.predict(X).tolist()
['no', 'yes', 'yes', 'no']
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError(
        "deltaloop.sklearn needs scikit-learn: pip install 'deltaloop[sklearn]'"
    ) from None

from deltaloop.sklearn._classifier import MLPClassifier
from deltaloop.sklearn._regressor import MLPRegressor
from deltaloop.sklearn._skl2onnx import register_skl2onnx
from deltaloop.sklearn._trusted import TRUSTED_TYPES

__all__ = ["TRUSTED_TYPES", "MLPClassifier", "MLPRegressor", "register_skl2onnx"]
