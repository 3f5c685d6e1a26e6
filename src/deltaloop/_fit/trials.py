"""Trials: fits of copies of a network to some of the rows, judged by the others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _losses
from deltaloop import scaling as _scaling
from deltaloop._arguments.problem import Problem
from deltaloop._fit import choice as _choice
from deltaloop._fit.penalty import Part, Rows
from deltaloop._fit.progress import PENALTY, ProgressBar, Stages, progress_bar
from deltaloop.results import FitResult
from deltaloop.solvers import LBFGS

# The part of `max_time` that trials may take.
SHARE = 0.5


class Trials:
    """The trials of a fit: `train` is ``fit`` itself, the rest its arguments, validated."""

    def __init__(
        self,
        train: Callable[..., FitResult],
        network: _core.Core,
        x: NDArray[Any],
        y: NDArray[Any],
        problem: Problem,
        max_epochs: int | None,
        scale: str | None,
        n_threads: int,
        max_time: Any,
    ) -> None:
        self.train, self.network, self.x, self.y = train, network, x, y
        self.problem, self.weights, self.max_epochs = problem, problem.weights, max_epochs
        self.scale, self.n_threads = scale, n_threads
        self.scaling: _scaling.Scaling | None = None
        self.show: bool | Stages = False
        self.bar: ProgressBar | None = None
        self.end = np.inf if max_time is None else time.perf_counter() + SHARE * float(max_time)

    def choose(
        self,
        learned: NDArray[np.uintp] | None,
        state: dict[str, object] | None,
        remembered: float | None,
        goal: float,
        patience: int,
        stream: _core.Stream,
    ) -> _choice.Choice:
        """Return what the fit does; `learned` are the rows that it learns from, None all.

        `state` is what it goes on from, `remembered` the strength that was chosen then.
        """
        try:
            return self._choose(learned, state, remembered, goal, patience, stream)
        except KeyboardInterrupt as stop:
            stop.result = None  # type: ignore[attr-defined]  # that of a trial says nothing
            raise

    def _choose(
        self,
        learned: NDArray[np.uintp] | None,
        state: dict[str, object] | None,
        remembered: float | None,
        goal: float,
        patience: int,
        stream: _core.Stream,
    ) -> _choice.Choice:
        rows = None if learned is None else learned.astype(np.intp)
        if self.weights is not None:
            weights = self.weights if rows is None else self.weights[rows]
            counting = np.flatnonzero(weights > 0)
            rows = counting if rows is None else rows[counting]
        if self.problem.targets:  # rows without any target say nothing
            there = ~np.isnan(self.y if rows is None else self.y[rows]).all(axis=1)
            counting = np.flatnonzero(there)
            rows = counting if rows is None else rows[counting]
        count = len(self.y) if rows is None else len(rows)
        why = "" if state is None else "an earlier fit goes on"
        why = why or _choice.obstacle(count, self.problem, goal, patience)
        if not why and _choice.has_all_patterns(self.x, rows):
            why = "the rows are all the patterns there are"
        if self.scale is not None and not why:
            # That of the fit itself, for all trials.
            these = None if rows is None else rows.astype(np.uintp)
            labels = self.y.ndim == 1
            missing = self.problem.targets != 0
            self.scaling = _scaling.measure(
                self.scale, self.network, self.x, self.y, labels, None, these, missing=missing
            )
        most = 0 if why else _choice.most_trials(self.network, count)
        with progress_bar(self.show if most else False, most, 0, "trial", PENALTY) as self.bar:
            return _choice.pick(
                self.network,
                count,
                self.y,
                rows,
                self.problem,
                stream=stream,
                trial=self.cost,
                mean=self.mean,
                late=self.late,
                reason=why,
                penalised=remembered is not None,
                max_epochs=self.max_epochs,
                close=lambda part: self.cost(part, 0.0, close=True),
            )

    def late(self) -> bool:
        """Whether the time for trials is used up."""
        return time.perf_counter() >= self.end

    def cost(self, part: Part, l2: float, close: bool = False) -> float:
        """Return the cost of the rows held out; the network itself stays as it is.

        `close`: with the solver that gets closest, where there is no penalty.

        NaN without a penalty where even the rows that were learned cost as much as their mean.
        """
        copy = cast(Any, self.network)._frozen()  # none of a subclass, which may do other things
        if part.start is not None:
            copy._parameters[:] = part.start
        if self.scaling is not None:
            copy.scaling = self.scaling
        n = len(part.rows)
        learned = None if self.weights is None else self.weights[part.rows]
        total = float(n) if learned is None else _choice.total(learned)
        solver, epochs, tol = _choice.trial_of(self.network, n, l2, self.max_epochs, total, close)
        left = None if self.end == np.inf else max(self.end - time.perf_counter(), 1e-3)
        result = self.train(
            copy,
            self.x[part.rows],
            self.y[part.rows],
            solver=solver,
            max_epochs=epochs,
            tol=tol,
            goal=None,
            max_time=left,
            callback=None,
            callback_every=1,
            sample_weight=learned,
            class_weight=None,
            l1=0.0,
            l2=l2,
            dropout=0.0,
            validation=None,
            patience=None,
            resume=None,
            scale=None,
            progress=False,
            n_threads=self.n_threads,
            seed=0,
            check_finite=False,
            missing_targets="skip" if self.problem.targets else "raise",
            quiet=True,  # what goes wrong costs much on the rows held out
        )
        if self.bar is not None:
            self.bar.update(1)
        x, y, held = self.data(part.held)
        if not (
            np.isfinite(x.values if isinstance(x, _core.Csr) else x).all() and self._whole(y)
        ):  # with check_finite=False
            return math.inf
        if l2 == 0.0:
            own = result.cost - least(self.network, self.y[part.rows], learned)
            known = self.mean(part.rows)
            # Rows of one class, or of one value, are learned at once, and do count.
            if known > _choice.TRIAL_TOLERANCE * total and not own < _choice.CLEARLY * known:
                return math.nan
        skip = "skip" if self.problem.targets else "raise"
        cost = float(copy.cost(x, y, sample_weight=held, missing_targets=skip))
        cost -= least(self.network, y, held)
        return cost if math.isfinite(cost) else math.inf

    def _whole(self, y: NDArray[Any]) -> bool:
        """Whether targets are finite, or missing where they may be."""
        return bool((np.isfinite(y) | (np.isnan(y) if self.problem.targets else False)).all())

    def data(self, rows: Rows) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
        """Return X, Y and the weights of rows."""
        weights = None if self.weights is None else self.weights[rows]
        return self.x[rows], self.y[rows], weights

    def mean(self, rows: Rows) -> float:
        """Return the cost of these rows if nothing but the mean of their targets is known."""
        copy = cast(Any, self.network)._frozen()
        if self.scaling is not None:
            copy.scaling = self.scaling
        x, y, weights = self.data(rows)
        run = _core.Fit(
            copy,
            x,
            y,
            labels=y.ndim == 1,
            solver=LBFGS(),
            problem=Problem(weights=weights, targets=self.problem.targets),
            stream=_core.Stream((0, 0), 0),
            tol=0.0,
            goal=-math.inf,
            n_threads=1,
            most=1,
        )
        _, _, lowest, mean = run.targets(False)
        return mean - lowest


def least(network: _core.Core, y: NDArray[Any], weights: NDArray[np.float64] | None) -> float:
    """Return the cost of outputs that are the targets: the least one that there is."""
    targets = _losses.targets(network.loss)
    if targets == "values" or y.ndim == 1:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        if targets == "counts":
            terms = y - times_log(y, y)
        elif network.output == "softmax":
            terms = -times_log(y, y / np.maximum(y.sum(axis=1, keepdims=True), 1e-300))
        else:
            terms = -times_log(y, y) - times_log(1 - y, 1 - y)
        terms[np.isnan(y)] = 0.0  # what is missing costs nothing
        rows = terms.sum(axis=1)
        return float(rows.sum() if weights is None else weights @ rows)


def times_log(y: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return y log(a), 0 where y is 0."""
    return y * np.log(np.where(y > 0, a, 1.0))
