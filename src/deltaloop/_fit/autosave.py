"""The file of a fit that may be killed: when it is written, and how a fit goes on from it.

It is written where nothing but named arrays is needed to go on: at the end of an epoch, and between
two mini-batches of one. A fit that goes on from a file has the bits of one that never stopped, and
its result is that of the whole run.
"""

from __future__ import annotations

import errno
import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop._files import atomic
from deltaloop._files import state as _files
from deltaloop._files.description import entries_of
from deltaloop._files.paths import path_name
from deltaloop._fit import checkpoint as _checkpoint
from deltaloop._fit import state as _state
from deltaloop._fit.frames import callers
from deltaloop._fit.stages import FIRST_WORK, adapted
from deltaloop.results import CheckpointWarning, Stage

if TYPE_CHECKING:
    from deltaloop._fit.stages import Course

__all__ = ["Autosave", "Prior", "prepare"]

# At most so much of the time goes into writing: of a network whose file takes long to write it is
# written less often.
SHARE = 0.02
# Seconds that a signal waits for the next place where the file can be written.
GRACE = 5.0
# What must be the same of a network that goes on.
NETWORK = ("layers", "activation", "output", "loss", "residual")
# Why a fit may have ended that has more to do with the same arguments, or with other limits.
UNFINISHED = ("", "max_epochs", "max_time", "callback")


class Autosave:
    """Writes the file of one fit, and warns once if that fails."""

    def __init__(self, path: str, every: float) -> None:
        self.path, self.every = path, every
        self.due = -math.inf  # when it is written next, by ``time.perf_counter``
        self.warned = False
        self.began = 0.0  # the stage
        # Whether epochs take longer than a signal waits, with nothing to write between them: then
        # the end of the last one.
        self.long = False
        self.kept: tuple[_core.Report, NDArray[np.float64]] | None = None

    def begin(self, course: Course, i: int, run: _core.Fit, began: float) -> None:
        """Write the start of a fit, before its first step; of its later stages only if it is time.

        From then on the file is that of this fit and of none before it.
        """
        self.began, self.kept, self.long = began, None, False
        fresh = self.due == -math.inf
        if fresh and course.prior is not None and course.prior.same:
            self.due = time.perf_counter() + self.every  # it is this one already
        elif fresh or time.perf_counter() >= self.due:
            self.write(course, i, run)

    def look(self, course: Course, i: int, run: _core.Fit, done: int) -> None:
        """Write the file if it is time, and if there is anything to write just now.

        `done` epochs were completed since the last look.
        """
        if done:
            self.long = course.solvers[i].batch_size is None and run.last[4] > GRACE
        if time.perf_counter() >= self.due:
            if run.event == "epoch" or run.row:
                self.write(course, i, run)
        elif run.event == "epoch" and self.long:
            self.kept = run.report(), run.history

    @property
    def waits(self) -> bool:
        """Whether the fit is to stop for it, at the next epoch's end or between mini-batches."""
        return self.long or time.perf_counter() >= self.due

    def write(
        self,
        course: Course,
        i: int,
        run: _core.Fit,
        reason: str = "",
        kept: tuple[_core.Report, NDArray[np.float64]] | None = None,
    ) -> bool:
        """Write what a fit is now, in its stage i, or what it was; whether it is written."""
        began = time.perf_counter()
        self.due = math.inf  # a signal while it is written writes it anew
        try:
            report, history = kept or (run.report(), run.history)
            _files.write(self.path, _run(course, i, report, history, began - self.began, reason))
        except (OSError, MemoryError) as error:
            if not self.warned:
                self.warned = True
                course.warn(self.failure(error), CheckpointWarning, stacklevel=callers())
            return False
        finally:
            now = time.perf_counter()
            self.due = now + max(self.every, (now - began) / SHARE)
        return True

    def failure(self, error: Exception) -> str:
        """Say that the file could not be written, and what becomes of the fit."""
        why = str(error) or "not enough memory"
        if isinstance(error, OSError) and error.strerror is not None:
            why = f"{self.path}: {error.strerror}"
        return (
            f"the checkpoint could not be written: {why}. The fit goes on, and tries again every "
            f"{self.every:g} s; a file that is there already stays as it was"
        )

    def last(
        self,
        course: Course,
        i: int,
        run: _core.Fit,
        report: _core.Report | None,
        error: BaseException,
    ) -> None:
        """Write the file of a fit that a signal ends in its stage i, at most some seconds later.

        `report` is what C said when the training was over, if it was. The exception is told what
        was written.
        """
        end, epochs, work = time.perf_counter() + GRACE, run.report().epochs, FIRST_WORK
        kept = None
        # Those whose sums a step would need may have ended too.
        ended = course.elsewhere is not None and course.elsewhere.ends
        for source in course.sources:
            source.windows.hurry()
        while report is None and run.event == "paused" and not run.row:
            before = time.perf_counter()
            if ended or before >= end:
                kept = self.kept
                break
            try:
                run.run(epochs + 1, work, True)
            except TimeoutError:  # rows do not come
                ended = True
            except BaseException as again:
                if again is not error:  # it came while rows were waited for, which are lost
                    raise
                ended = True
            work = adapted(work, time.perf_counter() - before)
        else:
            kept = report or run.report(), run.history
        reason = run.event or ""
        if run.event is None and course.prior is not None:
            reason = course.prior.over(course, i)
        reason = "" if reason in ("paused", "epoch") else reason
        if kept is None or reason == "diverged":
            return
        if reason == "own":
            reason = kept[0].reason or ""
        with suppress(Warning):
            if self.write(course, i, run, reason, kept):
                at = sum(part.shape[1] for part in course.with_history(kept[1]))
                error.checkpoint = self.path, at  # type: ignore[attr-defined]


def _run(
    course: Course,
    i: int,
    report: _core.Report,
    history: NDArray[np.float64],
    seconds: float,
    reason: str,
) -> _files.Run:
    """Return what the file says of a fit in its stage i."""
    epochs = np.concatenate(course.with_history(history), axis=1)
    prior, initial = course.prior, course.initial_cost
    if not course.stages and (prior is None or not prior.history.shape[1]):
        initial = report.initial_cost
    if prior is not None and prior.goes_on(course):
        seconds += prior.run.seconds
    return _files.Run(
        dict(_checkpoint.state_of(course, i, report, epochs.shape[1])),
        epochs,
        initial,
        tuple(
            _files.Stage(stage.epochs, stage.stop_reason, stage.cost, stage.seconds)
            for stage in course.stages
        ),
        seconds,
        reason,
        rules_of(course, i),
        described(course.network),
        (course.n, course.watch.n),
        None if course.choice is None else course.choice.why,
    )


def rules_of(course: Course, i: int) -> str:
    """Return the rules by which a stage may end, beside the limits of a call."""
    rules = course.tolerance, course.goal, course.watch.patience, course.solvers[i]
    return repr(rules)


def described(network: _core.Core) -> dict[str, Any]:
    """Return what a network is like, beside its parameters."""
    entries = entries_of(network)
    return {name: entries[name] for name in NETWORK if name in entries}


class Prior:
    """A run that goes on, as a file had it."""

    def __init__(self, path: str, run: _files.Run, same: bool) -> None:
        self.path, self.run, self.same = path, run, same  # same: it is the file to write

    @property
    def history(self) -> NDArray[np.float64]:
        """Of all epochs so far, (5, epochs)."""
        return self.run.history

    def check(self, course: Course) -> None:
        """Refuse a file that is of another network, or of another number of rows."""
        own, run = described(course.network), self.run
        for name in NETWORK:
            if own.get(name) != run.network.get(name):
                raise ValueError(
                    f"resume={self.path!r} is of a network with {name} {run.network.get(name)}, "
                    f"this one has {own.get(name)}: make the network that the run began with"
                )
        held = course.watch.held or course.watch.n
        learned = course.n - course.watch.held
        if run.instances != (learned, held):
            raise ValueError(
                f"resume={self.path!r} is of a fit to {run.instances[0]} instances with "
                f"{run.instances[1]} for validation, got {learned} and {held}: give the same data "
                "and the same validation"
            )

    def go_on(self, course: Course, resumed: _state.Resumed) -> None:
        """Take over what there was. ValueError for a file whose parts do not go together."""
        run = self.run
        epochs = sum(stage.epochs for stage in run.stages) + resumed.stage_epochs
        if not len(run.stages) == resumed.stage or not (
            run.history.shape[1] == resumed.epochs == epochs
        ):
            raise ValueError(f"{self.path}: expected a checkpoint, found one that is damaged")
        course.initial_cost = run.initial_cost
        course.stages += [
            Stage(course.solvers[i], stage.epochs, stage.stop_reason, stage.cost, stage.seconds)
            for i, stage in enumerate(run.stages)
        ]

    def goes_on(self, course: Course) -> bool:
        """Whether the stage under way is the one that the file is of."""
        return len(self.run.stages) == len(course.stages)

    def over(self, course: Course, i: int) -> str:
        """Return why that stage is over by rules that are still the same; nothing if it is not."""
        run = self.run
        if not self.goes_on(course) or run.reason in UNFINISHED or run.rules != rules_of(course, i):
            return ""
        return run.reason


def prepare(course: Course, checkpoint: object, every: object, resume: object) -> object:
    """Read and write what a fit is asked to; the state to go on from, None to begin.

    It begins where the file to write is the one to read, and is not there yet.
    """
    course.autosave = writer = check(checkpoint, every)
    if not isinstance(resume, str | os.PathLike):
        return resume
    name = _path("resume", resume)
    same = writer is not None and atomic.is_same(name, writer.path)
    if same and not os.path.lexists(name):
        return None
    course.prior = Prior(name, _files.read(name), same)
    return course.prior.run.state


def check(path: object, every: object) -> Autosave | None:
    """Return what writes the file of a fit, None if none is asked for.

    ValueError where a file of another kind is there, which the first writing would replace.
    """
    seconds = _scalars.real("checkpoint_every", every)
    if not seconds >= 0:
        raise ValueError(f"checkpoint_every must be seconds of at least 0, got {every!r}")
    if path is None:
        return None
    name = _path("checkpoint", path)
    if atomic.is_direct(name):
        raise ValueError(f"checkpoint must be the name of a file, got the device {name!r}")
    target = os.path.realpath(name)
    if os.path.isdir(target) or not os.path.basename(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(
            errno.ENOENT, "checkpoint is to be in a folder that does not exist", name
        )
    try:
        _files.check_free(name)
    except ValueError as error:
        raise ValueError(f"checkpoint={error}") from None
    return Autosave(name, seconds)


def _path(argument: str, path: object) -> str:
    try:
        return path_name(path)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("path", argument, 1)) from None
