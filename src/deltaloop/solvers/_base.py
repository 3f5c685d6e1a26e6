"""What every solver is: a small immutable object, and a row of facts that all others derive from.

A solver validates its parameters when it is made. What it can take, how it may end and what it is
called elsewhere are class attributes. The checks of ``fit`` and of trainers, the command line, the
estimators and the tables of the pages read them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from deltaloop import _scalars
from deltaloop.schedules import Schedule

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop._core import Core


class Solver:
    """What all solvers have in common: full batches, unless they have a ``batch_size`` to set.

    Examples
    --------
    >>> import deltaloop as dl
    >>> isinstance(dl.GradientDescent(0.5), dl.solvers.Solver)
    True
    """

    batch_size: int | None = None
    shuffle: bool | str = False

    # ---- its row ----

    # Its name on the command line and in the estimators, and that in C: MLP_SOLVERS of csrc/mlp.h.
    _name: ClassVar[str]
    _method: ClassVar[str]
    # What that name is short for, where texts say it.
    _called: ClassVar[str] = ""
    # Of "batches", "weights" of instances, "l1", "l2", "dropout", and "trainer": updates on the
    # instances of one call. A warm start is not among them: every solver can be resumed, and so
    # takes one.
    _takes: ClassVar[frozenset[str]] = frozenset({"weights", "l1", "l2"})
    # Why it takes no further penalty.
    _no_penalty: ClassVar[str] = ""
    # What may help, beside another seed, where a penalty has left nothing but a constant.
    _less_penalty: ClassVar[str] = "a weaker penalty or more units"
    # The reasons of its own to stop, with what they mean.
    _stop_reasons: ClassVar[Mapping[str, str]] = {}
    # Those of them that mean that it found no step, which is well only where there is none to find.
    _emergencies: ClassVar[frozenset[str]] = frozenset()
    # Whether the parameters within an epoch are those of the last one, so that time can end it.
    _anytime: ClassVar[bool] = False
    # Why it is chosen where no solver is given.
    _chosen_for: ClassVar[str] = ""
    # What to reduce when training diverges.
    _smaller: ClassVar[str] = "learning_rate"

    def _options(self) -> dict[str, float | Schedule]:
        """Return its options in C, by their names there; what is not among them is 0."""
        raise NotImplementedError

    def _check(self, network: Core, n: int, problem: Problem) -> None:
        """Refuse a network, a number of instances or a problem that it cannot train."""

    def _check_problem(self, problem: Problem) -> None:
        """Refuse what it does not take."""
        if problem.dropout is None and problem.l1 == 0.0 and problem.l2 == 0.0:
            return
        name = type(self).__name__
        if problem.dropout is not None and "dropout" not in self._takes:
            raise ValueError(
                f"dropout needs a solver of gradient descent or Adam, which bear with a cost that "
                f"changes from pass to pass, got {name}"
            )
        for penalty in ("l1", "l2"):
            if getattr(problem, penalty) > 0 and penalty not in self._takes:
                raise ValueError(f"{penalty} must be 0 with the solver {name}: {self._no_penalty}")

    def __repr__(self) -> str:
        parts = []
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if f.default is dataclasses.MISSING or value != f.default:
                parts.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        _scalars.take_state(self, state)


def positive(name: str, value: object) -> float:
    """Return a positive, finite number."""
    number = _scalars.real(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return number


def least_gradient(value: object) -> float:
    """Return a norm to stop at."""
    number = _scalars.real("min_gradient", value)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"min_gradient must be finite and at least 0, got {value!r}")
    return number
