"""The stages of a fit: each solver's epochs, in slices of C's, and what it leaves behind.

Between slices Python serves signals, the progress bar, the clock and, at exact epochs, the
callback.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._fit import checkpoint as _checkpoint
from deltaloop._fit import state as _state
from deltaloop._fit.arguments import NO_VALIDATION
from deltaloop.results import EpochInfo, Stage, made
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop._blocks.opened import Opened
    from deltaloop._fit.arguments import Limits, Validation
    from deltaloop._fit.choice import Choice
    from deltaloop._fit.progress import ProgressBar

# Seconds between two looks at signals, clock and progress bar.
SLICE = 0.05
# Multiply-adds of the first slice, which measures the machine: less than a millisecond.
FIRST_WORK = 1e6


def adapted(work: float, seconds: float) -> float:
    """Return the work of the next slice, after one that took so many seconds."""
    return work * min(max(SLICE / max(seconds, 1e-9), 0.1), 10.0)


def final_costs(run: _core.Fit) -> tuple[float, float]:
    """Evaluate C and its validation at the end, in slices, so that signals are served."""
    work = FIRST_WORK
    while True:
        before = time.perf_counter()
        costs = run.finish(work)
        if costs is not None:
            return costs
        work = adapted(work, time.perf_counter() - before)


class Course:
    """A fit: its arguments, validated, what follows from them, and what its stages have done."""

    def __init__(self, network: _core.Core) -> None:
        self.network = network
        self.began = time.perf_counter()
        self.watch, self.resumed = NO_VALIDATION, None
        self.epochs: list[NDArray[np.float64]] = []  # of each stage
        self.stages: list[Stage] = []

    # What few fits have stands here, and is set where it differs: an object with more than 30
    # attributes of its own is slow to make.
    # ---- the arguments ----
    warn: Callable[..., object] = staticmethod(warnings.warn)
    solvers: tuple[Solver, ...]  # none: to be chosen
    chained: bool  # a list of solvers was given
    most: tuple[int, ...] = ()  # epochs of each stage, where they are given or chosen
    seconds: float | None = None
    callback: object = None
    every: int
    sample_weight: object = None
    class_weight: object = None
    kind: str | None = None  # of the scaling to measure
    seed: object = None
    state: dict[str, object] | None = None  # to go on from
    remembered: float | None = None  # the penalty that was chosen, now or by the fit that goes on
    tolerance: float
    goal: float
    threads: int
    own_epochs: bool = False  # the fit chooses their number
    # ---- what follows from them, at last with the network held ----
    x: NDArray[Any]
    y: NDArray[Any]
    labels: bool
    missing: bool = False  # some of the targets are
    streamed: Opened | None = None  # where x and y are read from, if they are not in memory
    watch: Validation
    problem: Problem
    choice: Choice | None = None  # what was chosen where no solver was given
    limits: Limits
    resumed: _state.Resumed | None
    parts: NDArray[np.uintp] | None = None  # the rows to learn from, None for all of x
    split: int | None = None  # the position of the stream before a fraction was set aside
    bar: ProgressBar | None = None
    own: bool  # it draws from the network's stream
    # ---- what has been done ----
    epoch: int = 0  # complete ones in total
    initial_cost: float = math.nan
    validation_cost: float = math.nan  # of the last stage
    best: float = math.inf  # the lowest validation cost, and its epoch
    best_epoch: int | None = None
    asked: bool = False  # a callback has asked for the end
    trained: bool = False  # the parameters may be others than at the start

    @property
    def n(self) -> int:
        """Instances that are learned from."""
        return len(self.x) if self.parts is None else len(self.parts)

    @property
    def drops(self) -> bool:
        """Whether layers drop units."""
        return self.problem.dropout is not None

    def over(self) -> str:
        """Why the next stage has nothing to do."""
        if self.asked:
            return "callback"
        if not self.stages:
            return ""
        late = time.perf_counter() - self.began >= self.limits.max_time
        return "max_time" if late else ""


def train_stage(
    course: Course, i: int, run: _core.Fit, resumed: _state.Resumed | None
) -> _core.Report:
    """Run stage i, from a state if it is resumed; what C reports at its end."""
    began, solver, most = time.perf_counter(), course.solvers[i], course.limits.max_epochs[i]
    before, done = course.epoch, resumed.stage_epochs if resumed else 0
    start, watch, watched = before - done, course.watch, course.watch.given is not None
    if watch.given is not None:
        when = 0 if course.best_epoch is None else course.best_epoch - start
        run.validate(*watch.given, watch.rows, watch.patience, course.best, when)
    if resumed is not None:
        _state.check_parts(resumed, course.n, watch.n)
        run.resume(_state.match(resumed.arrays, run.report().arrays), done)
        course.trained = True  # its parameters are the state's
    # Nothing is left to do where the fit is over, or the state is that of the stage's last epoch.
    reason = course.over() or ("max_epochs" if done >= most else "")
    trains = not reason
    if course.own:
        course.network._position = run.position  # from now on `run` keeps it up to date
    report = None
    # The costs of its epochs are C of all instances and of the whole network.
    exact = solver.batch_size is None and course.problem.dropout is None
    try:
        if trains:
            course.trained = True
            reason = train(course, i, run, start, start + most)
        course.epochs.append(run.history)
        report = run.report()
        cost, course.validation_cost = report.cost, report.validation
        if not (trains and exact) or watch.patience or (watched and course.epoch == before):
            cost, course.validation_cost = final_costs(run)
    except KeyboardInterrupt as interrupt:
        so_far = _checkpoint.interrupted(course, i, run, report, before)
        interrupt.result = so_far  # type: ignore[attr-defined]
        raise
    except BaseException:  # of a callback
        _checkpoint.restore(course, run)
        raise
    if watched and report.best < math.inf:
        course.best, course.best_epoch = report.best, start + int(report.best_epoch)
    if not course.stages:
        known_before = trains or solver.batch_size is not None
        course.initial_cost = report.initial_cost if known_before else cost
    why = report.reason if reason == "own" else reason
    seconds = time.perf_counter() - began
    course.stages.append(
        made(
            Stage,
            {
                "solver": solver,
                "epochs": course.epoch - before,
                "stop_reason": why,
                "cost": cost,
                "seconds": seconds,
            },
        )
    )
    return report


def train(course: Course, i: int, run: _core.Fit, start: int, last: int) -> str:
    """Run slices of stage i until a rule stops; the reason.

    Epochs are numbered through all stages: `start` were complete before the stage's first one, and
    `last` is the last that it may have.
    """
    limits, solver, work = course.limits, course.solvers[i], FIRST_WORK
    every = limits.callback_every if limits.callback else last
    due = (course.epoch // every + 1) * every
    until = min(due, last)
    while True:
        before = time.perf_counter()
        event, done = run.run(until - start, work)
        now = time.perf_counter()
        if done:
            course.epoch += done
            if course.bar is not None:
                cost, validation = run.last[:2]
                seen = f"cost {cost:.6g}"
                if not math.isnan(validation):
                    seen += f", validation {validation:.6g}"
                course.bar.set_postfix_str(seen, refresh=False)
                course.bar.update(done)
        if event == "paused":
            work = adapted(work, now - before)
        stop = "" if event in ("paused", "epoch") else event
        if done and limits.callback and course.epoch == due and stop != "diverged":
            due += every
            cost, validation, rate, norm, _ = run.last
            seconds, network = now - course.began, cast(Any, course.network)
            info = EpochInfo(course.epoch, cost, seconds, network, validation, rate, norm)
            checkpoint = _checkpoint.Checkpoint(course, i, run)
            object.__setattr__(info, "_checkpoint", checkpoint)  # it is frozen for others
            answer = limits.callback(info)
            checkpoint.close()
            course.asked = isinstance(answer, bool | np.bool_) and bool(answer)
            if not stop and course.asked:
                stop = "callback"
        if not stop and event == "epoch" and course.epoch >= last:
            stop = "max_epochs"
        late = now - course.began >= limits.max_time
        if not stop and late and (event == "epoch" or (solver._anytime and run.settled)):
            stop = "max_time"
        if stop:
            return stop
        # The clock stops at the end of the epoch that is under way, unless its solver can at once.
        until = course.epoch + 1 if late else min(due, last)
        until = max(until, course.epoch + 1)
