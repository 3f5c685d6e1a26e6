"""What ``fit`` does where no solver is given, as docs/reference/training.md tells.

docs/understand/solvers-measured.md has the measurements.

A penalty is chosen by rows held out (`pick`; ``penalty.py`` has the search), and with it a solver
for any loss (`general`). Where nobody is to choose a penalty, or none is better than any, the
solver is the one that gets to the lowest cost (`choose`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments.problem import Problem
from deltaloop._fit import penalty as _penalty
from deltaloop.schedules import Cosine
from deltaloop.solvers import LBFGS, Adam, BayesianRegularization, LevenbergMarquardt, Solver

# Floating-point operations of one of Levenberg and Marquardt's iterations: 4 ms on one core, so a
# fit of all its epochs takes about a second. Beyond this bound, too, 100 iterations get further
# than L-BFGS in the same time, but in a tenth of it L-BFGS is ahead (`benchmarks/training.py
# bounds`).
LEAST_SQUARES_WORK = 1e8
LEAST_SQUARES_EPOCHS = 300
# It gets so close to the least squares that with fewer errors a parameter it learns their noise:
# of a smooth function with noise of a tenth, held out, it explains 0.67 (half an error a
# parameter), 0.73 (1), 0.974 (2), 0.992 (4) and 0.996 (8), where L-BFGS, which stops on the way,
# explains 0.976, 0.994, 0.997, 0.999 and 1.000. A penalty sees to that as well, and so does
# Bayesian regularisation, which explains 0.989, 0.996, 0.998, 0.999 and 0.999, and of the diabetes
# data (3 errors a parameter) 0.47, where least squares explain nothing; but of parity, with fewer
# than two errors a parameter, it makes noise.
ERRORS_PER_PARAMETER = 8
ERRORS_FOR_BAYES = 2

# In the time of Adam's epochs L-BFGS reaches a lower cost with up to 1,000 or 2,000 rows, Adam with
# 4,000 and more. The second bound, rows times parameters, is a sixth of the operations of an
# evaluation: some 20 ms on one core, so that a fit of all epochs takes seconds.
FULL_BATCH_ROWS = 3000
FULL_BATCH_WORK = 1e8
FULL_BATCH_EPOCHS = 500

# The largest rate that trains networks of six hidden layers; shallow ones take three times as much.
# Half the batch takes a tenth more time an epoch, twice the batch gets less far in it.
LEARNING_RATE = 0.01
BATCH = 64
# Passes over the data, or as many as make so many steps where rows are few.
MINI_BATCH_EPOCHS = 50
MINI_BATCH_STEPS = 2000

# With fewer rows that count no penalty is searched for: a truth table, such as that of XOR, is to
# be learned by heart.
FEWEST_ROWS = 10
# Up to so many rows it is seen whether they are all the patterns of two values there are.
PATTERNS = 4096
# Rows times parameters times parts that are held out in turn, at most: all five up to 8e5, one from
# 2e6 on. A strength is tried for some 10 to 200 epochs, so that a search takes half a second at
# most up to there, and about as long as the fit that follows beyond.
SEARCH_WORK = 4e6
# Epochs of a trial with full batches, and where only one part is held out.
TRIAL_EPOCHS, SHORT_EPOCHS = 200, 100
# Of the trial without a penalty where its solver is for least squares: an epoch takes longer.
BARE_EPOCHS = 50
# Below so much of the cost of predicting the mean something is learned.
CLEARLY = 0.9
# A change of the cost of a trial, by the sum of weights, that is too small to matter on other rows.
TRIAL_TOLERANCE = 1e-5
# Without a penalty L-BFGS is to show whether there is no noise at all, and so is what gets closest.
BARE_TOLERANCE = 1e-7


class Choice(NamedTuple):
    """What was chosen: with the sentence that says why."""

    solver: Solver
    max_epochs: int
    l2: float
    why: str
    chosen: float | None  # l2 where it was searched for and is not 0, now or by an earlier fit


def least_squares_work(network: _core.Core, n: int) -> float:
    """Return the floating-point operations of J^T J and of its Cholesky factor.

    R P^2 + P^3 / 3 for R = n m^(L) errors and P parameters.
    """
    P, R = float(network.n_parameters), float(n * network.layers[-1])
    return P * P * R + P**3 / 3


def errors_per_parameter(network: _core.Core, n: int) -> float:
    """Return R / P."""
    return n * network.layers[-1] / network.n_parameters


def choose(
    network: _core.Core,
    n: int,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: bool = False,
    max_epochs: int | None = None,
) -> tuple[Solver, int]:
    """Return the solver for a network and n instances, and its epochs at most.

    - `LevenbergMarquardt`: squared error, eight errors a parameter or more, or `l2`, and an
      iteration of at most 1e8 floating-point operations; it knows neither `l1` nor `dropout`
    - `BayesianRegularization`: the same with linear outputs and two to eight errors a parameter
    - `LBFGS`: up to 3,000 instances, and at most 1e8 instances times parameters; not with
      `dropout`, whose cost changes from evaluation to evaluation
    - `Adam` otherwise, with mini-batches and a rate that falls as half a cosine wave

    Parameters
    ----------
    network : Network
    n : int
        Instances, at least 1.
    l1, l2 : float
        As for ``Network.fit``.
    dropout : bool
        Whether units are dropped.
    max_epochs : int, optional
        The epochs, where they are known; the learning rate of Adam falls until the last one.

    Returns
    -------
    solver : Solver
    max_epochs : int

    Examples
    --------
    >>> import deltaloop as dl
    >>> choose(dl.Network([1, 20, 1], activation="tanh", output="identity"), 1000)
    (LevenbergMarquardt(), 300)
    """
    if not dropout:
        small = least_squares_work(network, n) <= LEAST_SQUARES_WORK
        if network.loss == "squared_error" and l1 == 0.0 and small:
            errors = errors_per_parameter(network, n)
            if l2 > 0.0 or errors >= ERRORS_PER_PARAMETER:
                return LevenbergMarquardt(), max_epochs or LEAST_SQUARES_EPOCHS
            if network.output == "identity" and errors >= ERRORS_FOR_BAYES:
                return BayesianRegularization(), max_epochs or LEAST_SQUARES_EPOCHS
    return general(network, n, dropout=dropout, max_epochs=max_epochs)


def general(
    network: _core.Core, n: int, *, dropout: bool = False, max_epochs: int | None = None
) -> tuple[Solver, int]:
    """Return L-BFGS or Adam and its epochs at most, whatever the loss; see `choose`."""
    full = n <= FULL_BATCH_ROWS and n * network.n_parameters <= FULL_BATCH_WORK
    if full and not dropout:
        return LBFGS(), max_epochs or FULL_BATCH_EPOCHS
    batch = min(BATCH, n)
    steps = -(-n // batch)
    epochs = max_epochs or max(MINI_BATCH_EPOCHS, -(-MINI_BATCH_STEPS // steps))
    return Adam(Cosine(LEARNING_RATE, epochs=epochs), batch_size=batch), epochs


def obstacle(count: int, problem: Problem, goal: float, patience: int) -> str:
    """Say why no penalty is searched for; nothing if one is. `count` rows have a weight."""
    if problem.l1 > 0.0 or problem.l2 > 0.0:
        return "the penalty is given"
    if problem.dropout is not None:
        return "dropout is given"
    if goal > -np.inf:
        return "a goal is given, a cost to reach"
    if patience:
        return "patience sees to rows held out"
    if count < FEWEST_ROWS:
        few = "1 row is" if count == 1 else f"{count} rows are"
        return f"{few} too few to hold some out"
    return ""


def has_all_patterns(x: NDArray[Any], rows: _penalty.Rows | None) -> bool:
    """Whether rows of x are a full truth table, or a one-hot row for each column.

    Each is then a pattern of its own, and those held out say nothing about the others.
    """
    n, m = len(x) if rows is None else len(rows), x.shape[1]
    if n > PATTERNS or not (n == m or (m < 64 and n == 2**m)):
        return False
    x = x if rows is None else x[rows]
    if isinstance(x, _core.Csr):
        x = x.toarray()
    if n == m and ((x != 0).sum(axis=0) == 1).all() and ((x != 0).sum(axis=1) == 1).all():
        return True
    low, high = x.min(axis=0), x.max(axis=0)
    if n != 2**m or not ((low < high) & ((x == low) | (x == high))).all():
        return False
    return len(np.unique((x == high) @ 2 ** np.arange(m))) == n


def total(weights: NDArray[np.float64]) -> float:
    """Return the sum of weights, at most the largest number."""
    with np.errstate(over="ignore"):
        return min(float(weights.sum()), sys.float_info.max)


def unit_of(weights: NDArray[np.float64] | None, rows: _penalty.Rows | None) -> float:
    """Return the mean weight, which strengths are in units of, as the cost is; rows None for all.

    To twelve digits: weights that balance classes have a mean of about 1.
    """
    if weights is None:
        return 1.0
    weights = weights if rows is None else weights[rows]
    largest = float(weights.max())
    return float(f"{largest * float((weights / largest).mean()):.12g}")


def closest(network: _core.Core, n: int) -> bool:
    """Whether Levenberg and Marquardt's method is worth a trial where `choose` takes another.

    With few errors a parameter it learns their noise. Where there is none, nothing gets closer. A
    trial shows which it is, but with fewer than two errors a parameter the fit goes further than
    the trial: of a smooth function of three inputs, 150 rows and a noise of a hundredth, it was off
    by 0.028 with 101 parameters, and by 0.009 with L-BFGS.
    """
    small = least_squares_work(network, n) <= LEAST_SQUARES_WORK
    enough = errors_per_parameter(network, n) >= ERRORS_FOR_BAYES
    least = network.loss == "squared_error" and small and enough
    return least and not isinstance(choose(network, n)[0], LevenbergMarquardt)


def n_parts(network: _core.Core, n: int) -> int:
    """Return how many parts of n rows are held out in turn: one where passes are long."""
    if n > FULL_BATCH_ROWS:
        return 1
    return max(1, min(_penalty.PARTS, int(SEARCH_WORK / (n * network.n_parameters))))


def most_trials(network: _core.Core, n: int) -> int:
    """Return how many trials a search over n rows makes at most."""
    several = n_parts(network, n)
    strengths = _penalty.STRENGTHS if several > 1 else _penalty.FEW_STRENGTHS
    parts = several * _penalty.n_cuts(n, several)
    return parts * len(strengths) + min(parts, _penalty.PARTS) * (1 + closest(network, n))


def trial_of(
    network: _core.Core,
    n: int,
    l2: float,
    max_epochs: int | None,
    weight: float,
    close: bool = False,
) -> tuple[Solver, int, float]:
    """Return the solver, epochs and tolerance for a trial on n rows of this weight in all.

    `close`: with the solver that gets closest. Only mini-batches, whose rate falls until the last
    epoch, depend on the epochs of the fit.
    """
    if close:
        return LevenbergMarquardt(), BARE_EPOCHS, BARE_TOLERANCE * weight
    solver, epochs = choose(network, n) if l2 == 0.0 else general(network, n)
    if solver.batch_size is not None:  # its schedule should come to its end, and its costs waver
        return *general(network, n, max_epochs=max_epochs), 0.0
    if l2 == 0.0 and not isinstance(solver, LBFGS):
        return solver, min(epochs, BARE_EPOCHS), TRIAL_TOLERANCE * weight
    tolerance = TRIAL_TOLERANCE if l2 > 0.0 else BARE_TOLERANCE
    most = TRIAL_EPOCHS if n_parts(network, n) > 1 else SHORT_EPOCHS
    return solver, min(epochs, most), tolerance * weight


def pick(
    network: _core.Core,
    n: int,
    y: NDArray[Any],
    rows: _penalty.Rows | None,
    problem: Problem,
    *,
    stream: _core.Stream,
    trial: _penalty.Trial,
    mean: Callable[[_penalty.Rows], float],
    late: Callable[[], bool] = lambda: False,
    reason: str = "",
    penalised: bool = False,
    max_epochs: int | None = None,
    close: Callable[[_penalty.Part], float] | None = None,
) -> Choice:
    """Return what a fit does.

    Parameters
    ----------
    network : Network
    n : int
        Instances to learn from whose weights are not 0.
    y : ndarray
        Targets, of those and others.
    rows : ndarray of int or None
        Those to learn from whose weights are not 0, as rows of y; None for all.
    problem : Problem
    stream : Stream
        What the rows held out, and the parameters of the trials, are drawn from.
    trial, late
        As for ``penalty.search``; strengths are in units of the mean weight, those of a trial not.
    mean : callable
        What a trial returns where only the mean of the targets of the rows held out is known.
    reason : str
        Why no penalty is searched for; see `obstacle`.
    penalised : bool, default False
        Whether the penalty of `problem` was chosen before, by a fit that goes on.
    max_epochs : int, optional
        The epochs, where they are known.
    close : callable, optional
        A trial without a penalty by the solver that gets closest; see `closest`.

    Returns
    -------
    Choice
    """
    dropout = problem.dropout is not None
    l2: float = problem.l2
    nearest = False
    if reason:
        goes_on = f"l2={l2:g}, which an earlier fit chose"
        why = f"with {goes_on}" if penalised else f"no penalty was searched for, as {reason}"
        separator = ", " if penalised else "; "
    else:
        several, unit = n_parts(network, n), unit_of(problem.weights, rows)
        parts = _penalty.parts_of(network, y, rows, stream, several)
        strengths = _penalty.STRENGTHS if several > 1 else _penalty.FEW_STRENGTHS
        found = _penalty.search(
            parts,
            lambda part, l2: trial(part, strength(l2, unit)),
            strengths,
            late,
            close if closest(network, n) else None,
        )
        nearest = found.closest
        l2 = strength(found.l2, unit)
        penalised = l2 > 0.0
        nothing = False
        if found.l2 == strengths[0] and not found.late:
            nothing = not found.cost < CLEARLY * _penalty.mean([mean(part.held) for part in parts])
        why, separator = sentence(found, unit, parts, nothing), ", "
    if penalised:
        solver, epochs = general(network, n, max_epochs=max_epochs)
    elif nearest:
        solver, epochs = LevenbergMarquardt(), max_epochs or LEAST_SQUARES_EPOCHS
    else:
        solver, epochs = choose(
            network, n, l1=problem.l1, l2=l2, dropout=dropout, max_epochs=max_epochs
        )
    cause = "as units are dropped" if dropout else solver._chosen_for
    why = f"{type(solver).__name__}, {cause}{separator}{why}."
    return Choice(solver, epochs, l2, why, l2 if penalised else None)


def strength(l2: float, unit: float) -> float:
    """Return a strength in units of the mean weight as l2: a number above 0, or 0 for none."""
    return min(max(l2 * unit, sys.float_info.min), sys.float_info.max) if l2 else 0.0


def sentence(found: _penalty.Found, unit: float, parts: list[_penalty.Part], nothing: bool) -> str:
    """Say which penalty was found and why; `nothing`: as good as predicting the mean."""
    tried = [value for value in found.tried if value]
    named = ", ".join(f"{strength(value, unit):g}" for value in tried)
    held = f"{len(np.unique(np.concatenate([part.held for part in parts])))} rows held out"
    penalty = f"with l2={strength(found.l2, unit):g}" if found.l2 else "without a penalty"
    if found.cost == np.inf:
        return (
            f"{penalty}: no penalty could be judged: all costs of {held} are infinite or NaN; "
            f"scale Y{' or the weights' if unit != 1.0 else ''}"
        )
    if found.late and found.l2 not in tried:
        return f"{penalty}, the usual one: the time for trials was over"
    if found.late:
        return (
            f"{penalty}: of the penalties {named}, which there was time for, it does best on {held}"
        )
    if not found.l2:
        return (
            f"{penalty}: the cost of {held} is then less than half of that with the best of the "
            f"penalties {named}"
        )
    best = (
        "the strongest that does about as well as the best on" if len(parts) > 1 else "the best for"
    )
    text = f"{penalty}: of the penalties {named} and none, it is {best} {held}"
    if found.l2 == tried[0]:
        text += (
            ". No stronger one was tried"
            if not nothing
            else ". Predicting the mean of Y is about as good, so there may be little to learn "
            "from these inputs"
        )
    return text
