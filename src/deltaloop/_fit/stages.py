"""The stages of a fit: each solver's epochs, in slices of C's, and what it leaves behind.

Between slices Python serves signals, the progress bar, the clock and, at exact epochs, the
callback.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
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
    from deltaloop._fit.autosave import Autosave, Prior
    from deltaloop._fit.choice import Choice
    from deltaloop._fit.elsewhere import Elsewhere
    from deltaloop._fit.progress import ProgressBar

# Seconds between two looks at signals, clock and progress bar.
SLICE = 0.05
# Multiply-adds of the first slice, which measures the machine: less than a millisecond.
FIRST_WORK = 1e6
# Those of each slice where several processes train one network, who look up at the same moments.
SLICE_WORK = 4e7


def adapted(work: float, seconds: float) -> float:
    """Return the work of the next slice, after one that took so many seconds.

    It is never 0, with which nothing would be done: the least there is may take longer for ever.
    """
    return max(work * min(max(SLICE / max(seconds, 1e-9), 0.1), 10.0), 1.0)


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

    # Slots, whose reading takes 2 ns: a fit of a tiny network reads over a hundred of them.
    __slots__ = (
        "asked",
        "autosave",
        "bar",
        "began",
        "best",
        "best_epoch",
        "callback",
        "chained",
        "choice",
        "class_weight",
        "clock",
        "elsewhere",
        "epoch",
        "epochs",
        "every",
        "goal",
        "initial_cost",
        "kind",
        "labels",
        "limits",
        "missing",
        "most",
        "network",
        "own",
        "own_epochs",
        "parts",
        "prior",
        "problem",
        "remembered",
        "resumed",
        "sample_weight",
        "seconds",
        "seed",
        "solvers",
        "sources",
        "split",
        "stages",
        "state",
        "streamed",
        "threads",
        "tolerance",
        "trained",
        "validation_cost",
        "warn",
        "watch",
        "x",
        "y",
    )  # fmt: skip

    network: _core.Core
    began: float
    epochs: list[NDArray[np.float64]]  # of each stage
    stages: list[Stage]
    # ---- the arguments ----
    warn: Callable[..., object]
    solvers: tuple[Solver, ...]  # none: to be chosen
    chained: bool  # a list of solvers was given
    most: tuple[int, ...]  # epochs of each stage, where they are given or chosen
    seconds: float | None
    callback: object
    every: int
    sample_weight: object
    class_weight: object
    kind: str | None  # of the scaling to measure
    seed: object
    state: dict[str, object] | None  # to go on from
    autosave: Autosave | None  # what writes the file of the fit
    prior: Prior | None  # the run that goes on, of which a file has told
    remembered: float | None  # the penalty that was chosen, now or by the fit that goes on
    tolerance: float
    goal: float
    threads: int
    own_epochs: bool  # the fit chooses their number
    # ---- what follows from them, at last with the network held ----
    x: NDArray[Any]
    y: NDArray[Any]
    labels: bool
    missing: bool  # some of the targets are
    streamed: Opened | None  # where x and y are read from, if they are not in memory
    sources: tuple[Opened, ...]  # all that are, those of the validation included
    watch: Validation
    problem: Problem
    choice: Choice | None  # what was chosen where no solver was given
    limits: Limits
    resumed: _state.Resumed | None
    parts: NDArray[np.uintp] | None  # the rows to learn from, None for all of x
    split: int | None  # the position of the stream before a fraction was set aside
    bar: ProgressBar | None
    own: bool  # it draws from the network's stream
    # With several processes that train one network: the seconds since it began, the same for all.
    clock: Callable[[], float] | None
    elsewhere: Elsewhere | None  # who has the instances; then x and y are a sample of them
    # ---- what has been done ----
    epoch: int  # complete ones in total
    initial_cost: float
    validation_cost: float  # of the last stage
    best: float  # the lowest validation cost, and its epoch
    best_epoch: int | None
    asked: bool  # a callback has asked for the end
    trained: bool  # the parameters may be others than at the start

    def __init__(self, network: _core.Core) -> None:
        self.network = network
        self.began = time.perf_counter()
        self.watch, self.resumed = NO_VALIDATION, None
        self.epochs, self.stages = [], []
        self.warn = warnings.warn
        self.most = self.sources = ()
        self.seconds = self.callback = self.sample_weight = self.class_weight = None
        self.kind = self.seed = self.state = self.autosave = None
        self.prior = self.remembered = self.streamed = self.choice = None
        self.parts = self.split = self.bar = self.clock = None
        self.elsewhere = self.best_epoch = None
        self.own_epochs = self.missing = self.asked = self.trained = False
        self.epoch = 0
        self.initial_cost = self.validation_cost = math.nan
        self.best = math.inf

    @property
    def n(self) -> int:
        """Instances that are learned from."""
        if self.elsewhere is not None:
            return self.elsewhere.n
        return len(self.x) if self.parts is None else len(self.parts)

    @property
    def drops(self) -> bool:
        """Whether layers drop units."""
        return self.problem.dropout is not None

    def with_history(self, history: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the history of all epochs, in parts: this is that of the stage under way."""
        prior, over = self.prior, len(self.stages)
        if prior is None:
            return [*self.epochs[:over], history]
        return [prior.history, *self.epochs[: over - len(prior.run.stages)], history]

    def over(self) -> str:
        """Why the next stage has nothing to do."""
        if self.asked:
            return "callback"
        if not self.stages:
            return ""
        return "max_time" if self.elapsed() >= self.limits.max_time else ""

    def elapsed(self) -> float:
        """Return the seconds since the fit began, where others share it by their common clock."""
        if self.clock is not None:
            return self.clock()
        return time.perf_counter() - self.began


def train_stage(
    course: Course, i: int, run: _core.Fit, resumed: _state.Resumed | None
) -> _core.Report:
    """Run stage i, from a state if it is resumed; what C reports at its end."""
    began, solver, most = time.perf_counter(), course.solvers[i], course.limits.max_epochs[i]
    before, done = course.epoch, resumed.stage_epochs if resumed else 0
    start, watch, watched = before - done, course.watch, False
    if watch is not NO_VALIDATION and watch.n > 0:
        watched, when = True, 0 if course.best_epoch is None else course.best_epoch - start
        if watch.given is not None:
            run.validate(*watch.given, watch.rows, watch.patience, course.best, when)
        else:
            run.validate_elsewhere(watch.elsewhere, watch.patience, course.best, when)
    if resumed is not None:
        _state.check_parts(resumed, course.n, watch.n)
        if resumed.row:
            run.enter(resumed.row, resumed.epoch_position)
        run.resume(_state.match(resumed.arrays, run.report().arrays), done)
        course.trained = True  # its parameters are the state's
    # Nothing is left to do where the fit is over, or the state is that of the stage's last epoch.
    reason = course.over() or ("max_epochs" if done >= most else "")
    if course.prior is not None:
        reason = reason or course.prior.over(course, i)
    trains = not reason
    if course.own:
        course.network._position = run.position  # from now on `run` keeps it up to date
    report = None
    # The costs of its epochs are C of all instances and of the whole network.
    exact = solver.batch_size is None and course.problem.dropout is None
    try:
        if trains:
            course.trained = True
            if course.autosave is not None:
                course.autosave.begin(course, i, run, began)
            reason = train(course, i, run, start, start + most)
        course.epochs.append(run.history)
        report = run.report()
        cost, course.validation_cost = report.cost, report.validation
        if not (trains and exact) or watch.patience or (watched and course.epoch == before):
            cost, course.validation_cost = final_costs(run)
        why = report.reason if reason == "own" else reason
        if course.autosave is not None and trains and why != "diverged":
            course.autosave.write(course, i, run, str(why), (report, run.history))
    except KeyboardInterrupt as interrupt:
        if course.autosave is not None:
            with suppress(KeyboardInterrupt):  # a second one, of somebody who will not wait
                course.autosave.last(course, i, run, report, interrupt)
        so_far = _checkpoint.interrupted(course, i, run, report, before)
        interrupt.result = so_far  # type: ignore[attr-defined]
        raise
    except BaseException as error:  # of a callback, or of a handler of signals
        if course.autosave is not None and not isinstance(error, Exception):
            course.autosave.last(course, i, run, report, error)
        _checkpoint.restore(course, run)
        raise
    if watched and report.best < math.inf:
        course.best, course.best_epoch = report.best, start + int(report.best_epoch)
    if not course.stages and not (course.prior is not None and course.prior.history.shape[1]):
        known_before = trains or solver.batch_size is not None
        course.initial_cost = report.initial_cost if known_before else cost
    seconds, epochs = time.perf_counter() - began, course.epoch - before
    if course.prior is not None and course.prior.goes_on(course):
        seconds, epochs = seconds + course.prior.run.seconds, epochs + done
    course.stages.append(
        made(
            Stage,
            {
                "solver": solver,
                "epochs": epochs,
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
    limits, solver = course.limits, course.solvers[i]
    alone = course.clock is None  # else several processes are to look at the same moments
    work = FIRST_WORK if alone else SLICE_WORK
    every = limits.callback_every if limits.callback else last
    due = (course.epoch // every + 1) * every
    until, autosave, waits = min(due, last), course.autosave, False
    while True:
        before = time.perf_counter()
        event, done = run.run(until - start, work, waits)
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
        if event == "paused" and alone:
            work = adapted(work, now - before)
        stop = "" if event in ("paused", "epoch") else event
        if done and limits.callback and course.epoch == due and stop != "diverged":
            due += every
            cost, validation, rate, norm, _ = run.last
            seconds, network = course.elapsed(), cast(Any, course.network)
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
        late = (now - course.began if alone else course.elapsed()) >= limits.max_time
        if not stop and late and (event == "epoch" or (solver._anytime and run.settled)):
            stop = "max_time"
        if stop:
            return stop
        if autosave is not None:
            autosave.look(course, i, run, done)
            waits = autosave.waits
        # The clock stops at the end of the epoch that is under way, unless its solver can at once.
        until = course.epoch + 1 if late or waits else min(due, last)
        until = max(until, course.epoch + 1)
