"""deltaloop: multilayer perceptrons on the CPU, fast, in float64, with the same bits on every run.

>>> import deltaloop as dl
>>> net = dl.Network([2, 2, 1], seed=1)
>>> net.predict([0.0, 1.0]).shape
(1,)
"""

import typing as _typing

from deltaloop._core import __version__
from deltaloop._include import get_include
from deltaloop._runtime import runtime
from deltaloop.convert import from_onnx, from_sklearn, from_torch
from deltaloop.inits import Uniform
from deltaloop.losses import Huber, Quantile
from deltaloop.network import LayerGradient, Network, load
from deltaloop.predictor import Predictor
from deltaloop.scaling import Scaling

if _typing.TYPE_CHECKING:
    from deltaloop import datasets as datasets
    from deltaloop import plot as plot
    from deltaloop._fit.gradient_check import GradientCheck
    from deltaloop.explain import Explanation, LayerExplanation
    from deltaloop.results import (
        CheckpointWarning,
        ConvergenceWarning,
        DivergenceWarning,
        EpochInfo,
        FitResult,
        History,
        Stage,
    )
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
    "CheckpointWarning",
    "ConvergenceWarning",
    "DivergenceWarning",
    "EpochInfo",
    "Explanation",
    "FitResult",
    "GradientCheck",
    "GradientDescent",
    "History",
    "Huber",
    "LayerExplanation",
    "LayerGradient",
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
    "get_include",
    "load",
    "runtime",
]

# What is imported when somebody asks for it, which those who only predict never do: what trains and
# draws, the data sets, and modules of old names.
_MODULES = (
    "_export",
    "_files",
    "_fit",
    "_html",
    "_onnx",
    "checks",
    "datasets",
    "explain",
    "plot",
    "results",
    "schedules",
    "solvers",
    "trainer",
    "training",
)
_LATER = {
    "_fit.gradient_check": ("GradientCheck",),
    "explain": ("Explanation", "LayerExplanation"),
    "results": (
        "CheckpointWarning",
        "ConvergenceWarning",
        "DivergenceWarning",
        "EpochInfo",
        "FitResult",
        "History",
        "Stage",
    ),
    "solvers": (
        "LBFGS",
        "Adam",
        "AdamW",
        "BayesianRegularization",
        "GradientDescent",
        "LevenbergMarquardt",
        "Quickprop",
        "Rprop",
        "ScaledConjugateGradient",
    ),
    "trainer": ("Trainer",),
}

if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what is not there yet, once."""
        import importlib

        if name in _MODULES:
            return importlib.import_module(f"deltaloop.{name}")
        for module, names in _LATER.items():
            if name in names:
                found = getattr(importlib.import_module(f"deltaloop.{module}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    hidden = {"checks", "training"}
    public = {name for name in _MODULES if not name.startswith("_")} - hidden
    return sorted({*globals(), *public, *__all__})
