"""The arguments of ``Network.fit``, validated: solvers, limits, validation and what is resumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._fit import state as _state
from deltaloop.schedules import Plateau
from deltaloop.solvers import SOLVERS, Solver

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop.results import EpochInfo
# Epochs of a solver that was given without a number of them.
MAX_EPOCHS = 10_000
# A cost that none is below.
NO_GOAL = -math.inf


class Limits(NamedTuple):
    """When to stop, beside convergence, and whom to ask."""

    max_epochs: tuple[int, ...]  # of each stage
    max_time: float
    callback: Callable[[EpochInfo], object] | None
    callback_every: int


def check_solver(solver: object, name: str = "solver") -> Solver:
    """Return the solver if it is one."""
    if not isinstance(solver, Solver):
        hint = f"; create it: {solver.__name__}(...)" if isinstance(solver, type) else ""
        if isinstance(solver, str):
            sought = _scalars.squashed(solver)
            for short, kind in SOLVERS.items():
                if sought in (_scalars.squashed(short), _scalars.squashed(kind.__name__)):
                    hint = f"; did you mean deltaloop.{kind.__name__}()?"
        raise TypeError(
            f"{name} must be a solver object such as deltaloop.GradientDescent(learning_rate=0.1), "
            f"got {solver!r}{hint}"
        )
    return solver


def check_solvers(solver: object) -> tuple[Solver, ...]:
    """Return the solvers of all stages: of one, or of a list or tuple of them."""
    if isinstance(solver, Solver):
        return (solver,)
    if not isinstance(solver, list | tuple):
        return (check_solver(solver),)
    if not solver:
        raise ValueError(f"solver must be a solver, or a list of at least one, got {solver!r}")
    stages = tuple(solver)
    return tuple(check_solver(stage, f"solver[{i}]") for i, stage in enumerate(stages))


def check_stage(network: _core.Core, solver: Solver, n: int, problem: Problem) -> None:
    """Refuse a solver that cannot train this network on so many instances."""
    if solver.batch_size is not None and solver.batch_size > n:
        raise ValueError(
            f"batch_size must be at most the number of instances, {n}, got {solver.batch_size}"
        )
    if problem is not _problem.PLAIN:
        solver._check_problem(problem)
    solver._check(network, n, problem)


def check_stages(network: _core.Core, solvers: Sequence[Solver], n: int, problem: Problem) -> None:
    """Refuse solvers that cannot train this network on so many instances, saying which one."""
    for i, solver in enumerate(solvers):
        try:
            check_stage(network, solver, n, problem)
        except ValueError as error:
            raise ValueError(f"solver[{i}], {solver!r}: {error}") from None


def check_trainer(network: _core.Core, solver: object) -> Solver:
    """Return the solver of a trainer, if it can be one for this network."""
    method = check_solver(solver)
    if "trainer" not in method._takes:
        raise ValueError(
            "solver must be one that improves the network step by step, such as "
            f"deltaloop.GradientDescent, for a trainer, got {method!r}"
        )
    if method.batch_size is not None:
        raise ValueError(
            "solver must have batch_size=None for a trainer, which takes a batch from each call, "
            f"got batch_size={method.batch_size}"
        )
    if isinstance(getattr(method, "learning_rate", None), Plateau):
        raise ValueError(
            "solver must have a number or another schedule as its learning_rate for a trainer, as "
            "costs of single steps tell no plateau; set trainer.learning_rate where you see one, "
            f"got {method!r}"
        )
    _arrays.differentiable(network)
    return method


def check_epochs(max_epochs: object, n_stages: int, chained: bool) -> tuple[int, ...]:
    """Return the most epochs of each stage: one number for all, or with several stages a list."""
    if type(max_epochs) is int and 0 < max_epochs < 2**63:
        return (max_epochs,) * n_stages
    if max_epochs is None:
        return (MAX_EPOCHS,) * n_stages
    if not (chained and _scalars.is_list(max_epochs)):
        return (min(_scalars.integer("max_epochs", max_epochs, at_least=1), 2**63 - 1),) * n_stages
    values = list(max_epochs)
    if len(values) != n_stages:
        raise ValueError(
            f"max_epochs must be one number, or one for each of the {n_stages} solvers, "
            f"got {max_epochs!r}"
        )
    return tuple(
        min(_scalars.integer(f"max_epochs[{i}]", most, at_least=1), 2**63 - 1)
        for i, most in enumerate(values)
    )


def check_limits(
    max_epochs: tuple[int, ...], max_time: object, callback: object, callback_every: object
) -> Limits:
    """Return the limits of a fit, validated."""
    if max_time is None and callback is None and type(callback_every) is int and callback_every > 0:
        return tuple.__new__(Limits, (max_epochs, math.inf, None, callback_every))
    seconds = math.inf
    if max_time is not None:
        seconds = _scalars.real("max_time", max_time)
        if not seconds > 0:
            raise ValueError(f"max_time must be positive seconds or None, got {max_time!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None, got {type(callback).__name__}")
    return Limits(
        max_epochs,
        seconds,
        callback,
        _scalars.integer("callback_every", callback_every, at_least=1),
    )


def check_tolerance(tol: object, goal: object) -> tuple[float, float]:
    """Return tol and goal; no goal is minus infinity."""
    if goal is None and type(tol) is float and tol >= 0:
        return tol, NO_GOAL
    tolerance = _scalars.real("tol", tol)
    if not tolerance >= 0:
        raise ValueError(f"tol must be a number of at least 0, got {tol!r}")
    target = NO_GOAL if goal is None else _scalars.real("goal", goal)
    if math.isnan(target):
        raise ValueError("goal must be a number or None, got nan")
    return tolerance, target


class Validation(NamedTuple):
    """What a fit is judged by: instances of its own, or as many of X as are set aside."""

    given: tuple[NDArray[Any], NDArray[Any], bool, NDArray[np.float64] | None] | None = None
    held: int = 0
    patience: int = 0
    rows: NDArray[np.uintp] | None = None  # those of `given` that it is, None for all
    elsewhere: int = 0  # instances that are where those of the fit are

    @property
    def n(self) -> int:
        """How many instances, once they are known."""
        if self.given is None:
            return self.elsewhere
        return self.given[0].shape[0] if self.rows is None else len(self.rows)


NO_VALIDATION = Validation()


def plain_validation(validation: object) -> object:
    """Return a validation whose arrays and numbers run no code of the caller's any more."""
    if validation is None:
        return None
    if isinstance(validation, tuple | list):
        return tuple(
            _arrays.rows(f"validation[{i}]", part)
            if i == 0
            else _arrays.plain(f"validation[{i}]", part)
            for i, part in enumerate(tuple(validation))
        )
    if type(validation) in (float, int, bool):
        return validation
    try:
        return _scalars.real("validation", validation)
    except TypeError:
        return validation  # check_validation says what it may be


def check_validation(
    network: _core.Core,
    validation: object,
    patience: object,
    n: int,
    check_finite: bool,
    skip: bool = False,
) -> Validation:
    """Return the validation of a fit to n instances, and its patience (0: none), validated."""
    if validation is None and patience is None:
        return NO_VALIDATION
    most = 0
    if patience is not None:
        most = min(_scalars.integer("patience", patience, at_least=1), 2**53)
        if validation is None:
            raise ValueError(f"patience needs validation, got patience={most} without it")
    if isinstance(validation, tuple | list):
        if len(validation) not in (2, 3):
            raise ValueError(
                "validation must be a tuple (X, Y), (X, Y, sample_weight) or a fraction, got "
                f"{len(validation)} element{'s' if len(validation) != 1 else ''}"
            )
        xv, yv, labels, missing = _gaps.batch(
            network,
            validation[0],
            validation[1],
            "validation[0]",
            "validation[1]",
            skip=skip,
            check_finite=check_finite,
        )
        if missing:
            _gaps.some(yv, "validation[1]")
        sv = validation[2] if len(validation) == 3 else None
        weights = _problem.weights(sv, xv.shape[0], "validation[2]")
        return Validation((xv, yv, labels, weights), 0, most)
    try:
        fraction = _scalars.real("validation", validation)
    except TypeError:
        raise TypeError(
            "validation must be a tuple (X, Y) or (X, Y, sample_weight), a fraction in (0, 1) or "
            "None, "
            f"got {type(validation).__name__}"
        ) from None
    if not 0 < fraction < 1:
        raise ValueError(f"validation must be a fraction in (0, 1), got {validation!r}")
    held = round(fraction * n)
    if not 0 < held < n:
        raise ValueError(
            f"validation={validation!r} of {n} instance{'s' if n > 1 else ''} leaves "
            f"{held} for validation and {n - held} for training; there must be at least 1 of each"
        )
    return Validation(None, held, most)


def set_aside(
    n: int, held: int, stream: _core.Stream, split: int
) -> tuple[NDArray[np.uintp], NDArray[np.uintp]]:
    """Return the rows for validation, the last of a permutation, and those to train on.

    The permutation's words are those of the stream from `split` on; a fit that is resumed has drawn
    them already.
    """
    source = stream if stream.position == split else _core.Stream(stream.key, split)
    order = source.permutation(n)
    return order[n - held :], order[: n - held]


def check_parts(
    weights: NDArray[np.float64], held: NDArray[np.uintp], rows: NDArray[np.uintp]
) -> None:
    """Refuse weights that are 0 for all instances set aside, or for all others."""
    for part, purpose in ((held, "validation"), (rows, "training")):
        if not weights[part].any():
            raise ValueError(
                f"sample_weight is 0 for all {len(part)} instances that validation leaves for "
                f"{purpose}"
            )


def check_gaps(y: NDArray[Any], held: NDArray[np.uintp], rows: NDArray[np.uintp]) -> None:
    """Refuse targets that are missing in all instances set aside, or in all others."""
    for part, purpose in ((held, "validation"), (rows, "training")):
        if bool(np.isnan(y[part]).all()):
            raise ValueError(
                f"Y is NaN in all {len(part)} instances that validation leaves for {purpose}"
            )


def weights_of_parts(
    sample_weight: object, held: NDArray[np.uintp], rows: NDArray[np.uintp]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return the weights of the rows to learn from and of those set aside."""
    s = _problem.weights(sample_weight, len(held) + len(rows))
    if s is None:
        return None, None
    check_parts(s, held, rows)
    return s[rows], s[held]


def check_resumed(
    network: _core.Core,
    resume: dict[str, object] | None,
    seed: object,
    limits: Limits,
    chained: bool,
    split: bool,
    kind: str | None,
    whole: bool = False,
) -> _state.Resumed | None:
    """Return where a fit goes on, or None where it begins; its arrays are checked later.

    `kind` is what `scale` asks for. `whole`: the run goes on as if it never stopped, so that it may
    be over, and `seed` may be the one that it began with.
    """
    if resume is None:
        return None
    if seed is not None and not whole:
        raise ValueError("seed and resume exclude each other: a state has its own random stream")
    n_stages = len(limits.max_epochs)
    where = _state.unpack(resume, n_stages if chained else None, split, network)
    if seed is not None and (
        isinstance(seed, np.random.Generator) or _seeds.key(_seeds.resolve_seed(seed)) != where.key
    ):
        raise ValueError(
            "seed must be the number that the run to resume began with, or left out, as a state "
            f"has its own random stream; got {seed!r}"
        )
    known = None if where.scaling is None else where.scaling.kind
    if kind is not None and kind != known:
        raise ValueError(
            f"scale must be that of resume, {known!r}, or left out, got {kind!r}: a fit goes on "
            "with the scaling that it began with"
        )
    most = limits.max_epochs[where.stage]
    if where.stage == n_stages - 1 and where.stage_epochs >= most + whole:
        raise ValueError(
            f"max_epochs must be above the {where.stage_epochs} epochs that resume has completed, "
            f"which count, got {most}"
        )
    return where
