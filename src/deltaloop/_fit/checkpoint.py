"""What there is to keep of a fit that is not over: its state; if interrupted, its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._fit import state as _state
from deltaloop.results import FitResult, Stage, result_of

if TYPE_CHECKING:
    from deltaloop._fit.stages import Course

INTERRUPTED = "The fit was interrupted; the network holds the parameters of {}."


class Checkpoint:
    """The state of a fit while its callback runs, for as long as that is so."""

    def __init__(self, course: Course, i: int, run: _core.Fit) -> None:
        self.source: tuple[Course, int, _core.Fit] | None = (course, i, run)

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return what ``resume`` takes."""
        if self.source is None:
            raise RuntimeError(
                "info.state is known only until the callback returns; take it there, and keep it"
            )
        course, i, run = self.source
        return state_of(course, i, run.report(), course.epoch)

    def close(self) -> None:
        """Say no more: the fit goes on."""
        self.source = None


def state_of(
    course: Course, i: int, report: _core.Report, epoch: int
) -> Mapping[str, NDArray[Any]]:
    """Return the state of a fit in its stage i, after so many epochs in total."""
    return later_state(course, i, report, epoch)()


def later_state(
    course: Course, i: int, report: _core.Report, epoch: int, whole: bool = True
) -> Callable[[], Mapping[str, NDArray[Any]]]:
    """Return what makes that state, from now on of its own alone.

    Unless it is `whole` it has nothing of the solver's: an epoch is under way.
    """
    stage = (i, report.epochs) if course.chained else None
    split = None if course.split is None else (course.split, (course.n, course.watch.n))
    chosen = None if course.remembered is None else course.problem.l2
    scaling = course.network._scaling
    return partial(_state.pack, report, epoch, stage, split, scaling, chosen, whole)


def interrupted(
    course: Course, i: int, run: _core.Fit, report: _core.Report | None, before: int
) -> FitResult:
    """Return the result so far of a fit in its stage i, before which there were so many epochs.

    The signal may have come between any two lines of the fit's: what counts is what C has noted.
    `report` is what C said when the training was over, if it was. With patience the network gets
    the parameters of the best epoch; the state keeps those that the fit goes on with.
    """
    solver, over, stages = course.solvers[i], report is not None, course.stages
    report = report or run.report()
    restored = restore(course, run)
    epochs = np.concatenate(course.with_history(run.history), axis=1)
    full = solver.batch_size is None and not course.drops
    # Within a pass over all instances a step may have been taken, whose cost is not known then.
    within = full and report.row > 0
    whole = over or not run.paused or (full and run.settled)
    start = before - (report.epochs - run.history.shape[1])
    best, best_epoch = course.best, course.best_epoch
    if course.watch.n and report.best < best:
        best, best_epoch = report.best, start + int(report.best_epoch)
    cost, validation = report.cost, report.validation if whole and not within else math.nan
    if restored:
        validation, at = best, (best_epoch or 0) - 1 - before
        cost = float(run.history[0, at]) if full and at >= 0 else math.nan
    elif within or not (full and whole):
        cost = math.nan
    stage = Stage(
        solver, run.history.shape[1], "interrupted", cost, time.perf_counter() - course.began
    )
    return result_of(
        epochs,
        later_state(course, i, report, before + run.history.shape[1], whole),
        {
            "cost": cost,
            "loss": course.network.loss,
            "initial_cost": course.initial_cost if stages else report.initial_cost,
            "epochs": epochs.shape[1],
            "n_instances": course.n,
            "n_validation": course.watch.n,
            "converged": False,
            "stop_reason": "interrupted",
            "gradient_norm": report.gradient_norm,
            "validation_cost": validation,
            "best_epoch": best_epoch,
            "seconds": time.perf_counter() - course.began,
            "solver": course.solvers if course.chained else solver,
            "stages": (*stages, stage),
            "message": INTERRUPTED.format(
                f"the epoch with the lowest validation cost, {best_epoch}"
                if restored
                else "the last complete step"
            ),
            "choice": None if course.choice is None else course.choice.why,
            "l2": course.problem.l2,
        },
    )


def restore(course: Course, run: _core.Fit) -> bool:
    """With patience give the network the parameters of the best epoch; whether there is one."""
    if not course.watch.patience:
        return False
    run.finish(0.0)  # which does this first, and so far nothing else
    return bool(min(course.best, run.report().best) < math.inf)
