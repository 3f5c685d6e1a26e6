"""The losses, a row for each: what is known of one stands here and nowhere else.

Choices, messages, the command line, the estimators, the default outputs and the table in
docs/reference/activations-and-losses.md derive from these rows. Not here: the functions themselves
(csrc/kernels/output.inc.h), their slow twins (reference.py), and the classes of those that have a
parameter (losses.py).
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Loss(NamedTuple):
    """One loss of an output a and its target y, or of a softmax and its targets."""

    name: str
    formula: str
    task: str  # "regression", "classification", or "labels" of independent outputs
    targets: str  # "values", "probabilities" or "counts": what y may be
    # The outputs that it goes with, () for all; and the one by default of a single unit and of
    # several, None where that follows from the hidden layers.
    outputs: tuple[str, ...] = ()
    default: tuple[str, str] | None = None
    # H of the generalised Gauss-Newton matrix sum_i J_i^T H_i J_i, "" where there is none.
    gauss_newton: str = ""
    parameter: str = ""  # its name
    usual: float | None = None  # the value that the name alone stands for
    # What it is below: 1 for a part; a parameter without that bound has the units of the targets.
    below: float = math.inf
    sklearn: str | None = None  # scikit-learn's name


ROWS = (
    Loss(
        "squared_error",
        "(a - y)^2 / 2",
        task="regression",
        targets="values",
        gauss_newton="I",
        sklearn="squared_error",
    ),
    Loss(
        "cross_entropy",
        "-sum_j y_j log a_j",
        task="classification",
        targets="probabilities",
        outputs=("softmax", "sigmoid"),
        default=("sigmoid", "softmax"),
        gauss_newton="diag(a) - a a^T, or a (1 - a)",
        sklearn="log_loss",
    ),
    Loss(
        "binary_cross_entropy",
        "-y log a - (1 - y) log(1 - a)",
        task="labels",
        targets="probabilities",
        outputs=("sigmoid",),
        default=("sigmoid", "sigmoid"),
        gauss_newton="diag(a (1 - a))",
    ),
    Loss("absolute_error", "abs(a - y)", task="regression", targets="values"),
    Loss(
        "huber",
        "(a - y)^2 / 2 up to abs(a - y) = delta, then delta (abs(a - y) - delta / 2)",
        task="regression",
        targets="values",
        parameter="delta",
        usual=1.0,
    ),
    Loss(
        "quantile",
        "tau (y - a) for y > a, (1 - tau) (a - y) elsewhere",
        task="regression",
        targets="values",
        parameter="tau",
        usual=0.5,
        below=1.0,
    ),
    Loss(
        "poisson",
        "a - y log a, for counts y >= 0",
        task="regression",
        targets="counts",
        outputs=("exp",),
        default=("exp", "exp"),
        gauss_newton="diag(a)",
        sklearn="poisson",
    ),
)

LOSSES = {row.name: row for row in ROWS}
NAMES = tuple(LOSSES)
# Those with a parameter.
WITH_PARAMETER = tuple(row.name for row in ROWS if row.parameter)
# What a user can ask for.
TASKS = ("classification", "regression")
# Losses of a - y, which go with any output and any finite target.
ANY_OUTPUT = tuple(row.name for row in ROWS if not row.outputs)


def of_task(task: str) -> tuple[str, ...]:
    """Return the losses of a task, those for any output first."""
    found = [row for row in ROWS if row.task == task]
    return tuple(row.name for row in sorted(found, key=lambda row: bool(row.outputs)))


def targets(loss: object) -> str:
    """Return what the targets of a loss may be, by its name or as an object of losses.py."""
    row = LOSSES.get(loss) if isinstance(loss, str) else None
    return "values" if row is None else row.targets
