"""deltaloop: multilayer perceptrons on the CPU, fast, in float64, with the same bits on every run.

>>> import deltaloop as dl
>>> net = dl.Network([2, 2, 1], seed=1)
>>> net.predict([0.0, 1.0]).shape
(1,)
"""

from deltaloop._core import Predictor, Trainer, __version__
from deltaloop._files import load
from deltaloop.checks import GradientCheck
from deltaloop.network import Network
from deltaloop.runtime import runtime
from deltaloop.solvers import LBFGS, GradientDescent, ScaledConjugateGradient
from deltaloop.training import DivergenceWarning, EpochInfo, FitResult

__all__ = [
    "LBFGS",
    "DivergenceWarning",
    "EpochInfo",
    "FitResult",
    "GradientCheck",
    "GradientDescent",
    "Network",
    "Predictor",
    "ScaledConjugateGradient",
    "Trainer",
    "__version__",
    "load",
    "runtime",
]
