"""The types that files of skops may hold of deltaloop's.

Each makes its objects of plain values and arrays, and checks what memory or code depends on; none
runs anything that a file says.
"""

from __future__ import annotations

from deltaloop import schedules
from deltaloop.inits import Uniform
from deltaloop.losses import Huber, Quantile
from deltaloop.network import Network
from deltaloop.results import FitResult, History, Stage
from deltaloop.sklearn._classifier import MLPClassifier
from deltaloop.sklearn._regressor import MLPRegressor
from deltaloop.solvers import SOLVERS

_KINDS: tuple[type, ...] = (
    Network,
    MLPClassifier,
    MLPRegressor,
    *SOLVERS.values(),
    *(getattr(schedules, name) for name in schedules.__all__),
    Huber,
    Quantile,
    Uniform,
    FitResult,
    History,
    Stage,
)

# For ``trusted`` of skops.io.load, and for ``skops_trusted_types`` of MLflow.
TRUSTED_TYPES: list[str] = sorted(
    {f"{kind.__module__}.{kind.__name__}" for kind in _KINDS} | {"deltaloop.tabular.TabularModel"}
)
