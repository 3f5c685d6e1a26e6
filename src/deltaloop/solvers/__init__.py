"""Solvers: small immutable objects that say how the parameters are improved."""

# Annotations of the classes are looked up here, where the classes say that they are.
from collections.abc import Mapping  # noqa: F401
from typing import ClassVar  # noqa: F401

from deltaloop import _names
from deltaloop.schedules import Schedule
from deltaloop.solvers._base import Solver
from deltaloop.solvers._first_order import Adam, AdamW, GradientDescent, Quickprop, Rprop
from deltaloop.solvers._least_squares import BayesianRegularization, LevenbergMarquardt
from deltaloop.solvers._quasi_newton import LBFGS, ScaledConjugateGradient

__all__ = [
    "LBFGS",
    "Adam",
    "AdamW",
    "BayesianRegularization",
    "GradientDescent",
    "LevenbergMarquardt",
    "Quickprop",
    "Rprop",
    "ScaledConjugateGradient",
    "Schedule",
    "Solver",
]

# By their names on the command line, in the order of its messages.
SOLVERS: dict[str, type[Solver]] = {
    kind._name: kind
    for kind in (
        GradientDescent,
        Adam,
        AdamW,
        Rprop,
        LevenbergMarquardt,
        BayesianRegularization,
        LBFGS,
        ScaledConjugateGradient,
        Quickprop,
    )
}

# Those that step along mini-batches, and those along all instances at once: in texts, where the
# ones that take most come first.
MINI_BATCH = tuple(name for name, kind in SOLVERS.items() if "batches" in kind._takes)
FULL_BATCH = tuple(
    sorted(
        (name for name in SOLVERS if name not in MINI_BATCH),
        key=lambda name: len(SOLVERS[name]._takes),
        reverse=True,
    )
)

# Pickles name this path, whatever file the classes are in.
for _kind in (Solver, *SOLVERS.values()):
    _kind.__module__ = __name__
for _kind in SOLVERS.values():
    _kind.__init__ = _names.named(_kind.__init__)  # type: ignore[method-assign]
