"""Which solver ``fit`` takes where none is given; docs/training.md has the measurements."""

from __future__ import annotations

from deltaloop import _core
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
