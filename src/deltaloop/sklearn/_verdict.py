"""Whether the estimators have ended well: the rules of ``Network.fit``, by a sample of rows."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deltaloop import _core
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._fit import verdict
from deltaloop._fit.run import callers
from deltaloop.network import Network
from deltaloop.sklearn._rows import Rows
from deltaloop.sklearn._settings import Settings
from deltaloop.solvers import Rprop, Solver

# At most so many rows are looked at.
SAMPLE = 1000


def warn(
    network: Network, settings: Settings, rows: Rows, losses: list[float], epochs: int, reason: str
) -> None:
    """Warn where training ended badly, for a reason of the solver's own or "converged".

    `losses` are those of all epochs so far, of which `epochs` are this call's.
    """
    solver: Solver = Rprop() if settings.solver is None else settings.solver
    # The gradient of a sample is no zero where that of all rows is.
    most = rows.n if reason in solver._emergencies and rows.elsewhere is None else SAMPLE
    chosen = np.arange(0, rows.n, max(1, -(-rows.n // most)))
    sample = rows[chosen]
    if sample.total_weight == 0:
        return
    x = sample.X
    l2 = _penalty(settings, rows) * sample.total_weight if "l2" in solver._takes else 0.0
    problem = _problem.penalised(0.0, l2)._replace(weights=sample.weights)
    threads = settings.n_threads if most > SAMPLE else 1
    cost, gradient = network._cost(x, sample.y, sample.labels, True, threads, problem)
    run = _core.Fit(
        network,
        x,
        sample.y,
        labels=sample.labels,
        solver=Rprop(),
        problem=problem,
        stream=_seeds.stream(0),
        tol=0.0,
        goal=-np.inf,
        n_threads=1,
        most=1,
    )
    before = losses[-2] / losses[-1] if len(losses) > 1 and losses[-1] > 0 else 1.0
    assert gradient is not None
    end = verdict.End(
        solver,
        reason,
        epochs,
        epochs,
        np.nan,
        cost * before,
        cost,
        float(np.linalg.norm(gradient)),
    )
    tol = settings.tol * sample.total_weight
    wrong = verdict.trouble(network, run, verdict.ask(network, run), end, tol, -np.inf)
    if wrong:
        wrong = wrong.replace(verdict.SCALE, "scale X and y")
        warnings.warn(
            f"{verdict.message(end, tol, -np.inf, 0)} But {wrong}.",
            ConvergenceWarning,
            stacklevel=callers("deltaloop", "sklearn"),
        )


def _penalty(settings: Settings, rows: Rows) -> float:
    """Return the l2 of a row: alpha is that of the sum over all rows, or over those of a batch."""
    n = rows.n if settings.solver is not None else settings.batch(rows.n)
    return settings.alpha / rows.total_weight * (rows.n / n)
