"""The parameters of an estimator, validated: scikit-learn's, and deltaloop's as further values."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltaloop import _scalars
from deltaloop._activations import TRAINABLE
from deltaloop._arguments.layers import SKLEARN_HIDDEN, SKLEARN_NAMES
from deltaloop._losses import LOSSES, of_task
from deltaloop.losses import Loss
from deltaloop.losses import _check as check_loss
from deltaloop.solvers import LBFGS, MINI_BATCH, Solver
from deltaloop.solvers import SOLVERS as ALL

# Activations by scikit-learn's names, and scikit-learn's names of ours.
ACTIVATIONS = {theirs: ours for ours, theirs in SKLEARN_NAMES.items()}
OUT_ACTIVATIONS = SKLEARN_NAMES
# Of hidden layers: scikit-learn's first.
THEIRS = tuple(SKLEARN_NAMES[name] for name in SKLEARN_HIDDEN)
HIDDEN = (*THEIRS, *(name for name in TRAINABLE if name not in THEIRS))
# Of regressors: scikit-learn's first.
_OF_VALUES = [LOSSES[name] for name in of_task("regression")]
LOSSES_OF_VALUES = (
    *(row.name for row in _OF_VALUES if row.sklearn),
    *(row.name for row in _OF_VALUES if not row.sklearn),
)
# Of classifiers, by scikit-learn's names.
LOSSES_OF_CLASSES = {
    row.sklearn: row.name
    for row in (LOSSES[name] for name in of_task("classification"))
    if row.sklearn
}
STOCHASTIC = ("sgd", "adam")
# Solvers on all instances, by the names of the command line: scikit-learn's lbfgs, whose line
# search takes up to 20 evaluations, and the others with their defaults. Messages name them in this
# order: lbfgs, then what is after it in deltaloop's list, then what is before it.
_NAMES = [name for name in ALL if name not in MINI_BATCH]
_BEFORE, _AFTER = _NAMES[: _NAMES.index("lbfgs")], _NAMES[_NAMES.index("lbfgs") + 1 :]
FULL_BATCH: dict[str, Solver] = {
    "lbfgs": LBFGS(10, max_evaluations=20, min_gradient=0.0),
    **{name: ALL[name]() for name in (*_AFTER, *_BEFORE)},
}
SOLVERS = (*STOCHASTIC, *FULL_BATCH)
SCHEDULES = ("constant", "invscaling", "adaptive")


@dataclass(frozen=True)
class Settings:
    """One call's parameters, by scikit-learn's names; `method` is the solver's."""

    hidden: tuple[int, ...]
    activation: tuple[str, ...]
    logistic: bool  # all of them, or the one name that was given
    method: str  # one of STOCHASTIC, "lbfgs" or "own"
    solver: Solver | None  # but for STOCHASTIC
    loss: Loss
    alpha: float
    batch_size: int | None  # None: auto
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    n_threads: int  # 0: as many as pay

    def batch(self, n: int) -> int:
        """Return how many of n rows a mini-batch has."""
        return min(200 if self.batch_size is None else self.batch_size, n)


# All parameters that `check` reads, but for class_weight, which belongs to the rows.
_READ = (
    "hidden_layer_sizes", "activation", "solver", "loss", "alpha", "batch_size", "learning_rate",
    "learning_rate_init", "power_t", "max_iter", "shuffle", "tol", "verbose", "warm_start",
    "momentum", "nesterovs_momentum", "early_stopping", "validation_fraction", "beta_1", "beta_2",
    "epsilon", "n_iter_no_change", "max_fun", "n_threads",
)  # fmt: skip
_read = operator.attrgetter(*_READ)
# Types of values that stay as they are: the same object is then the same value.
_LASTING = (type(None), bool, int, float, str)


def known(estimator: object) -> Settings:
    """Return what `check` returns, which is kept while all parameters are the same objects.

    With so many parameters the check takes longer than an epoch of some rows.
    """
    e: Any = estimator
    given = _read(e)
    found = e.__dict__.get("_settings")
    if found is not None and all(map(operator.is_, given, found[0])):
        settings: Settings = found[1]
        if given[-1] is not None or settings.n_threads == _scalars.threads(None):
            return settings
    settings = check(e)
    parts = [part for value in given for part in (value if type(value) is tuple else (value,))]
    if all(type(part) in _LASTING or isinstance(part, Solver | Loss) for part in parts):
        e._settings = given, settings
    else:
        e.__dict__.pop("_settings", None)
    return settings


def check(estimator: object) -> Settings:
    """Return an estimator's parameters. TypeError or ValueError for the first that is wrong."""
    e: Any = estimator
    hidden = hidden_sizes(e.hidden_layer_sizes)
    method, solver = solver_of(e.solver)
    flag, integer = _scalars.flag, _scalars.integer
    return Settings(
        hidden=hidden,
        activation=activations(e.activation, len(hidden)),
        logistic=set(activations(e.activation, len(hidden) or 1)) == {"sigmoid"},
        method=method,
        solver=solver,
        loss=loss_of(e.loss, hasattr(e, "class_weight")),
        alpha=interval("alpha", e.alpha, 0.0),
        batch_size=batch_size(e.batch_size),
        learning_rate=_scalars.choice("learning_rate", e.learning_rate, SCHEDULES),
        learning_rate_init=interval("learning_rate_init", e.learning_rate_init, 0.0, above=True),
        power_t=interval("power_t", e.power_t, 0.0),
        max_iter=min(integer("max_iter", e.max_iter, at_least=1), 2**62),
        shuffle=flag("shuffle", e.shuffle),
        tol=interval("tol", e.tol, 0.0, math.inf),
        verbose=bool(e.verbose)
        if isinstance(e.verbose, bool | np.bool_)
        else integer("verbose", e.verbose, at_least=0) > 0,
        warm_start=flag("warm_start", e.warm_start),
        momentum=interval("momentum", e.momentum, 0.0, 1.0),
        nesterovs_momentum=flag("nesterovs_momentum", e.nesterovs_momentum),
        early_stopping=flag("early_stopping", e.early_stopping),
        validation_fraction=fraction("validation_fraction", e.validation_fraction),
        beta_1=interval("beta_1", e.beta_1, 0.0, 1.0),
        beta_2=interval("beta_2", e.beta_2, 0.0, 1.0),
        epsilon=interval("epsilon", e.epsilon, 0.0, above=True),
        n_iter_no_change=patience(e.n_iter_no_change),
        max_fun=integer("max_fun", e.max_fun, at_least=1),
        n_threads=_scalars.threads(e.n_threads),
    )


def interval(
    name: str, value: object, low: float, high: float | None = None, *, above: bool = False
) -> float:
    """Return a number in [low, high], finite without `high`; with `above` it is not low itself."""
    number = _scalars.real(name, value)
    most = math.inf if high is None else high
    inside = (low < number if above else low <= number) and number <= most
    if inside and (high is not None or math.isfinite(number)):
        return number
    start = "(" if above else "["
    end = ", inf)" if high is None else f", {high:g}]"
    raise ValueError(f"{name} must be in {start}{low:g}{end}, got {value!r}")


def fraction(name: str, value: object) -> float:
    """Return a number in [0, 1)."""
    number = _scalars.real(name, value)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must be in [0, 1), got {value!r}")
    return number


def hidden_sizes(given: object) -> tuple[int, ...]:
    """Return the units of the hidden layers, from a list of them or one number."""
    if isinstance(given, np.ndarray) and given.ndim == 1:
        given = given.tolist()
    if not _scalars.is_list(given):
        return (_scalars.integer("hidden_layer_sizes", given, at_least=1),)
    assert isinstance(given, list | tuple) or hasattr(given, "__iter__")
    for size in given:
        if _scalars.integer("hidden_layer_sizes", size, at_least=-(2**62)) <= 0:
            raise ValueError(f"hidden_layer_sizes must be > 0, got {list(given)}.")
    return tuple(int(size) for size in given)


def activations(given: object, n_hidden: int) -> tuple[str, ...]:
    """Return deltaloop's name of each hidden layer's activation."""
    if isinstance(given, list | tuple):
        if len(given) != n_hidden:
            raise ValueError(
                f"activation must be one name, or one for each of {n_hidden} hidden layers, "
                f"got {given!r}"
            )
        names = [_scalars.choice(f"activation[{l}]", name, HIDDEN) for l, name in enumerate(given)]
    else:
        names = [_scalars.choice("activation", given, HIDDEN)] * n_hidden
    return tuple(ACTIVATIONS.get(name, name) for name in names)


def solver_of(given: object) -> tuple[str, Solver | None]:
    """Return the method, and deltaloop's solver where it is one of those."""
    if isinstance(given, Solver):
        return "own", given
    if not isinstance(given, str):
        raise TypeError(
            f"solver must be one of {', '.join(SOLVERS)} or a solver object of deltaloop, "
            f"got {given!r}"
        )
    name = _scalars.choice("solver", given, SOLVERS)
    if name in STOCHASTIC:
        return name, None
    return name if name == "lbfgs" else "own", FULL_BATCH[name]


def loss_of(given: object, of_classes: bool) -> Loss:
    """Return a loss: of classes by scikit-learn's name, of values by its own or as an object."""
    if of_classes:
        return LOSSES_OF_CLASSES[_scalars.choice("loss", given, tuple(LOSSES_OF_CLASSES))]
    if isinstance(given, str):
        return _scalars.choice("loss", given, LOSSES_OF_VALUES)
    return check_loss(given)


def batch_size(given: object) -> int | None:
    """Return the rows of a mini-batch, None for auto."""
    if isinstance(given, str):
        _scalars.choice("batch_size", given, ("auto",))
        return None
    return _scalars.integer("batch_size", given, at_least=1)


def patience(given: object) -> float:
    """Return n_iter_no_change: an integer, or infinity."""
    if isinstance(given, float | np.floating) and given == math.inf:
        return math.inf
    return _scalars.integer("n_iter_no_change", given, at_least=1)
