"""The parts of the docstrings that both estimators share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from textwrap import fill, indent
from typing import TypeVar

from deltaloop._activations import TRAINABLE
from deltaloop.sklearn._settings import THEIRS
from deltaloop.solvers import FULL_BATCH, SOLVERS

T = TypeVar("T")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'``"{name}"``' for name in names)


def _called(name: str) -> str:
    long = SOLVERS[name]._called
    return f'``"{name}"`` ({long})' if long else f'``"{name}"``'


def _paragraph(text: str, width: int) -> str:
    return fill(text, width=width, initial_indent="    ", subsequent_indent="    ")


ACTIVATION = _paragraph(
    f"Of the hidden layers: {_listed(THEIRS)}; beyond scikit-learn's "
    f"{_listed(name for name in TRAINABLE if name not in (*THEIRS, 'sigmoid'))} and "
    '``"sigmoid"``, which is the logistic function.',
    width=96,
)
# Beyond scikit-learn's.
_OWN = [_called(name) for name in FULL_BATCH if name != "lbfgs"]
SOLVER = _paragraph(
    '``"adam"`` and ``"sgd"``, on mini-batches, and ``"lbfgs"``; beyond scikit-learn\'s '
    f"{', '.join(_OWN[:-1])} and {_OWN[-1]}, or an object such as "
    "``deltaloop.LevenbergMarquardt(geodesic=True)``, whose learning rate and batches are its own "
    "and which sees sums over instances, not means.",
    width=100,
)
PARAMETERS = f"""\
hidden_layer_sizes : array-like of int, or int, default=(100,)
    Units of each hidden layer.
activation : str, or list of one for each hidden layer, default="relu"
{ACTIVATION}
solver : str or deltaloop solver, default="adam"
{SOLVER}
alpha : float, default=0.0001
    Strength of the penalty, alpha/2 sum w^2 over all weights, which is divided like the loss by the
    total weight of a batch, or of all instances. ``"br"`` finds its own penalty.
batch_size : int or "auto", default="auto"
    Rows of a mini-batch of sgd and adam; "auto" is 200, or all rows if there are fewer.
learning_rate : {{"constant", "invscaling", "adaptive"}}, default="constant"
    Of sgd: ``learning_rate_init``; that divided by (t + 1)^power_t after each epoch, with t
    instances seen so far; or divided by 5 each time when ``n_iter_no_change`` epochs in a row have
    not improved.
learning_rate_init : float, default=0.001
    The first learning rate of sgd, and that of adam.
power_t : float, default=0.5
    The exponent of "invscaling".
max_iter : int, default=200
    Epochs, or iterations of a solver on all instances, at most.
shuffle : bool, default=True
    Whether sgd and adam go through the rows in a new order each epoch.
random_state : int, RandomState instance or None, default=None
    Where the initial parameters, the order of rows and the rows for early stopping come from, as in
    scikit-learn, whose results the same number gives.
tol : float, default=1e-4
    What counts as an improvement of the loss, or of the validation score. For lbfgs the size of the
    gradient's largest element at which it stops.
verbose : bool or int, default=False
    Whether to print the loss of each epoch.
warm_start : bool, default=False
    Whether ``fit`` goes on from the parameters, the moments and the random numbers of the call
    before.
momentum : float, default=0.9
    Of sgd, in [0, 1].
nesterovs_momentum : bool, default=True
    Whether sgd takes Nesterov's form of it.
early_stopping : bool, default=False
    Whether to set rows aside, to stop when the score on them (accuracy or R^2) no longer improves,
    and to keep the parameters with the best score. lbfgs does not heed it.
validation_fraction : float, default=0.1
    The share of these rows, in [0, 1).
beta_1, beta_2 : float, default=0.9 and 0.999
    Decay of adam's moments, in [0, 1].
epsilon : float, default=1e-8
    What adam adds to the square root of its second moment.
n_iter_no_change : int or inf, default=10
    Epochs without improvement that are borne.
max_fun : int, default=15000
    Evaluations of the loss by lbfgs, at most.
n_threads : int, default=None
    Threads at most; None as many as pay. No bit of a result depends on it."""

ATTRIBUTES = """\
network_ : deltaloop.Network
    The network, whose methods save it, draw it and bind it to buffers.
coefs_, intercepts_ : list of ndarray of shape (m_in, m_out) and (m_out,)
    Weights and biases of each layer: views of the network's parameters, or of a model that was
    fitted to float32 copies in float32.
loss_ : float
    The mean loss, penalty included, of the last epoch.
loss_curve_ : list of float
    That of each epoch.
best_loss_ : float or None
    The lowest of them; None with early stopping.
validation_scores_ : list of float or None
    The score of each epoch on the rows set aside; None without early stopping.
best_validation_score_ : float or None
    The highest of them.
n_iter_ : int
    Epochs of the last call.
t_ : int
    Instances seen in all calls.
n_features_in_ : int
    Inputs.
feature_names_in_ : ndarray of strings, one for each input
    Their names, where ``X`` had names that are all strings.
n_layers_, n_outputs_ : int
    Layers, the inputs among them, and outputs.
out_activation_ : str
    The activation of the outputs: identity, exp, logistic or softmax."""


def documented(cls: type[T]) -> type[T]:
    """Fill in what both have in common."""
    if cls.__doc__ is None:  # python -OO
        return cls
    shared = {"parameters": PARAMETERS, "attributes": ATTRIBUTES}
    for name, text in shared.items():
        cls.__doc__ = cls.__doc__.replace("{" + name + "}", indent(text, "    ").lstrip())
    return cls


PAGE = "reference/scikit-learn.html"


@cache
def page_address() -> str:
    """Return the address of the page about the estimators, from the package's metadata, or ""."""
    try:
        addresses = metadata("deltaloop").get_all("Project-URL") or []
    except PackageNotFoundError:
        addresses = []
    for entry in addresses:
        label, _, address = entry.partition(", ")
        if label == "Documentation":
            return f"{address.rstrip('/')}/{PAGE}"
    return ""
