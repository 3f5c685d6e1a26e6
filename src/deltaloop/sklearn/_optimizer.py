"""What takes the steps: mini-batches as scikit-learn's sgd and adam, and deltaloop's solvers.

The steps themselves are C's (``csrc/training/descent.c``); here is what lies around an epoch.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._arguments import sparse as _sparse
from deltaloop._fit import state as _state
from deltaloop._fit.arguments import check_stage
from deltaloop._fit.run import FIRST_WORK, adapted
from deltaloop.sklearn._rows import Rows
from deltaloop.sklearn._settings import Settings
from deltaloop.solvers import Adam, GradientDescent, Solver

if TYPE_CHECKING:
    from deltaloop.network import Network

# scikit-learn's rules for L-BFGS: SciPy's default for the relative decrease of the loss.
LEAST_DECREASE = 2.220446049250313e-09
# An adaptive learning rate is divided by 5 until it is at most this.
ADAPTIVE_FACTOR, ADAPTIVE_LEAST = 5.0, 1e-6

# What an optimizer keeps beside its settings and its arrays.
_KEPT = ("learning_rate", "passes", "_batch_size", "_n_threads", "_is_sparse")


class DivergedError(Exception):
    """The loss or the parameters are not finite."""


class _Slices:
    """Calls of C that leave Python the time to look after signals."""

    def __init__(self) -> None:
        self.work = FIRST_WORK

    def epoch(self, run: _core.Fit, until: int) -> tuple[str, float | None]:
        """Run one epoch; the event that ended it, and its cost unless none was completed."""
        while True:
            before = time.perf_counter()
            event, done = run.run(until, self.work)
            if event == "diverged":
                raise DivergedError
            if event != "paused":
                return event, run.last[0] if done else None
            self.work = adapted(self.work, time.perf_counter() - before)


class Optimizer:
    """Steps of sgd or adam, whose moments and learning rate are kept from call to call.

    Its state is plain values and arrays; the C object is made anew when it is needed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.learning_rate = settings.learning_rate_init
        self.passes = 0  # calls of C: one an epoch
        self._arrays: dict[str, object] | None = None
        self._run: _core.Fit | None = None
        self._network: Network | None = None
        self._batch_size = self._n_threads = 0
        self._is_sparse = False  # the rows that it is for
        self._slices = _Slices()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what a pickle of version 0.1.0 holds."""
        self.__dict__.update(state)
        self._slices = _Slices()

    def plain(self) -> dict[str, Any]:
        """Return what is kept, as plain values and arrays."""
        arrays = self._arrays if self._run is None else self._run.report().arrays
        kept = {name: self.__dict__[name] for name in _KEPT}
        settings = {**vars(self.settings), "solver": None}
        return {**kept, "settings": settings, "arrays": None if arrays is None else dict(arrays)}

    @classmethod
    def of_plain(cls, state: dict[str, Any]) -> Optimizer:
        """Make the optimizer of what `plain` gave."""
        made = cls(Settings(**state["settings"]))
        made.__dict__.update({name: state[name] for name in _KEPT}, _arrays=state["arrays"])
        return made

    def suspend(self) -> None:
        """Keep what is remembered as arrays alone: an epoch that was broken off cannot go on."""
        run, self._run = self._run, None
        if run is not None:
            self._arrays = dict(run.report().arrays)

    def open(self, network: Network, settings: Settings, rows: Rows, n_threads: int) -> None:
        """Get ready to train these rows, by what the parameters are now."""
        old, self.settings = self.settings, settings
        if settings.learning_rate_init != old.learning_rate_init:
            self.learning_rate = settings.learning_rate_init
        batch_size = settings.batch(rows.n)
        same = (
            self._run is not None
            and rows.elsewhere is None
            and self._network is network
            and self._is_sparse == isinstance(rows.X, _core.Csr)
            and batch_size <= self._batch_size == settings.batch(self._batch_size)
            and self._n_threads == n_threads
            and (settings is old or _options(settings) == _options(old))
        )
        if not same:
            self.suspend()
            self._n_threads = n_threads
            self._batch_size = batch_size
            self._network = network
            self._is_sparse = isinstance(rows.X, _core.Csr)
            self._run = self._start(network, settings, rows)
        assert self._run is not None
        self._run.set_rate(self.learning_rate)

    def _start(self, network: Network, settings: Settings, rows: Rows) -> _core.Fit:
        run = _core.Fit(
            network,
            rows.X,
            rows.y,
            labels=rows.labels,
            solver=_solver(settings, self._batch_size),
            problem=_problem.penalised(0.0, settings.alpha),
            stream=_seeds.stream(0),
            tol=0.0,
            goal=-np.inf,
            n_threads=self._n_threads,
            most=1,
            mean=True,
            elsewhere=rows.elsewhere,
        )
        arrays = self._arrays
        if arrays is not None and _names(settings) <= set(arrays):
            kept = {name: arrays[name] for name in _names(settings)}
            own = run.report().arrays
            state = {**own, **kept, "parameters": network.parameters.copy()}
            run.resume(_state.match(state, own), self.passes)
        return run

    def epoch(self, rows: Rows, order: NDArray[np.uintp] | None) -> float:
        """Train on all rows once; the mean over them of the loss of their batches."""
        run = self._run
        assert run is not None
        try:
            run.replace(rows.X, rows.y, rows.labels, rows.weights, order)
            self.passes += 1
            cost = self._slices.epoch(run, self.passes)[1]
            assert cost is not None
        except BaseException:
            self.suspend()
            raise
        return cost / rows.n

    def close(self, rows: Rows) -> None:
        """Let go of the rows."""
        if rows.elsewhere is not None:
            self.suspend()
        if self._run is not None:
            x = _sparse.alike(np.zeros((1, rows.X.shape[1])), rows.X)
            y = np.zeros((1, *rows.y.shape[1:]), rows.y.dtype)
            self._run.replace(x, y, rows.labels, None)

    def epoch_ends(self, t: int) -> None:
        """Follow the schedule, when t rows have been seen."""
        s = self.settings
        if s.method == "sgd" and s.learning_rate == "invscaling":
            self._set_rate(s.learning_rate_init / (t + 1) ** s.power_t)

    def stalls(self, message: str) -> bool:
        """Return whether a loss that falls no more is the end; if not the learning rate is cut."""
        s = self.settings
        if s.method != "sgd" or s.learning_rate != "adaptive":
            _say(s, message + " Stopping.")
            return True
        if self.learning_rate <= ADAPTIVE_LEAST:
            _say(s, message + " Learning rate too small. Stopping.")
            return True
        self._set_rate(self.learning_rate / ADAPTIVE_FACTOR)
        _say(s, message + f" Setting learning rate to {self.learning_rate:f}")
        return False

    def _set_rate(self, rate: float) -> None:
        self.learning_rate = rate
        assert self._run is not None
        self._run.set_rate(rate)


def _say(settings: Settings, message: str) -> None:
    if settings.verbose:
        print(message)


def _options(s: Settings) -> tuple[object, ...]:
    """Return what a C object was made with."""
    return (
        s.method, s.alpha, s.momentum, s.nesterovs_momentum,
        s.beta_1, s.beta_2, s.epsilon,
    )  # fmt: skip


def _names(s: Settings) -> set[str]:
    """Return the arrays that a method remembers."""
    if s.method == "adam":
        return {"m", "v", "powers", "steps"}
    return {"velocity"} if s.momentum > 0 else set()


def _solver(s: Settings, batch_size: int) -> Solver:
    """Return sgd or adam; scikit-learn's ranges of the parameters are closed."""
    if s.method == "adam":
        solver: Solver = Adam(s.learning_rate_init, batch_size=batch_size, shuffle=False)
        values = {"beta1": s.beta_1, "beta2": s.beta_2, "epsilon": s.epsilon}
    else:
        solver = GradientDescent(s.learning_rate_init, batch_size=batch_size, shuffle=False)
        values = {"momentum": s.momentum, "nesterov": s.nesterovs_momentum and s.momentum > 0}
    for name, value in values.items():
        object.__setattr__(solver, name, value)
    return solver


class FullBatch:
    """One of deltaloop's solvers, on sums over all instances; or scikit-learn's lbfgs."""

    def __init__(self, network: Network, settings: Settings, rows: Rows, seed: int) -> None:
        solver = settings.solver
        assert solver is not None
        self._own_penalty = "l2" not in solver._takes
        alpha = 0.0 if self._own_penalty else settings.alpha
        problem = _problem.penalised(0.0, alpha)._replace(weights=rows.weights)
        try:
            check_stage(network, solver, rows.n, problem)
        except ValueError as error:  # the penalty has scikit-learn's name here
            message = re.sub(r"\bl2\b", "alpha", str(error))
            raise ValueError(f"solver={solver!r}: {message}") from None
        self.settings = settings
        self.total = rows.total_weight
        self.epochs = 0
        self.stopped = ""  # why
        self._slices = _Slices()
        self._last: float | None = None
        self._data = network, rows, problem
        self._run = _core.Fit(
            network,
            rows.X,
            rows.y,
            labels=rows.labels,
            solver=solver,
            problem=problem,
            stream=_seeds.stream(seed),
            tol=0.0,
            goal=-np.inf,
            n_threads=settings.n_threads,
            most=settings.max_iter,
            elsewhere=rows.elsewhere,
        )

    def epoch(self) -> float | None:
        """Do one iteration; the mean loss after it, None if the solver could make none."""
        event, cost = self._slices.epoch(self._run, self.epochs + 1)
        if cost is not None:
            self.epochs += 1
        if cost is not None and self._own_penalty:
            cost = self._plain_cost()
        if event == "own":
            self.stopped = self._run.report().reason or ""
        if self.settings.method == "lbfgs" and not self.stopped:
            self.stopped = self._lbfgs_rule(cost)
        return None if cost is None else cost / self.total

    @property
    def loss(self) -> float:
        """The mean loss where the parameters are."""
        cost = self._plain_cost() if self._own_penalty else float(self._run.report().cost)
        return cost / self.total

    def _plain_cost(self) -> float:
        """Evaluate the loss without the penalty that a solver estimates."""
        network, rows, problem = self._data
        return rows.cost(network, self.settings.n_threads, problem)

    def _lbfgs_rule(self, cost: float | None) -> str:
        """Return the reason to stop, if there is one."""
        s, before = self.settings, self._last
        if before is None:
            before = self._run.report().initial_cost
        self._last = cost
        if self._run.largest_gradient <= s.tol * self.total:
            return "tol"
        if cost is not None:
            size = max(abs(before), abs(cost), self.total)
            if before - cost <= LEAST_DECREASE * size:
                return "decrease"
        return "max_fun" if self._run.evaluations >= s.max_fun else ""
