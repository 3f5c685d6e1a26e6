"""deltaloop: multilayer perceptrons on the CPU, fast, in float64, with the same bits on every run.

>>> import deltaloop as dl
>>> net = dl.Network([2, 2, 1], seed=1)
>>> net.predict([0.0, 1.0]).shape
(1,)
"""

import typing as _typing

from deltaloop import plot as plot
from deltaloop._core import __version__
from deltaloop._fit.gradient_check import GradientCheck
from deltaloop._runtime import runtime
from deltaloop.convert import from_onnx, from_sklearn, from_torch
from deltaloop.inits import Uniform
from deltaloop.losses import Huber, Quantile
from deltaloop.network import Network, load
from deltaloop.predictor import Predictor
from deltaloop.results import (
    ConvergenceWarning,
    DivergenceWarning,
    EpochInfo,
    FitResult,
    History,
    Stage,
)
from deltaloop.scaling import Scaling
from deltaloop.solvers import (
    LBFGS,
    Adam,
    AdamW,
    BayesianRegularization,
    GradientDescent,
    LevenbergMarquardt,
    Quickprop,
    Rprop,
    ScaledConjugateGradient,
)
from deltaloop.trainer import Trainer

__all__ = [
    "LBFGS",
    "Adam",
    "AdamW",
    "BayesianRegularization",
    "ConvergenceWarning",
    "DivergenceWarning",
    "EpochInfo",
    "FitResult",
    "GradientCheck",
    "GradientDescent",
    "History",
    "Huber",
    "LevenbergMarquardt",
    "Network",
    "Predictor",
    "Quantile",
    "Quickprop",
    "Rprop",
    "ScaledConjugateGradient",
    "Scaling",
    "Stage",
    "Trainer",
    "Uniform",
    "__version__",
    "from_onnx",
    "from_sklearn",
    "from_torch",
    "load",
    "runtime",
]

if _typing.TYPE_CHECKING:
    from deltaloop import datasets as datasets
else:

    def __getattr__(name: str) -> object:
        """Import what is there only for those who ask: the data sets, and modules of old names."""
        if name not in ("datasets", "checks", "training"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return importlib.import_module(f"deltaloop.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), "datasets"})
