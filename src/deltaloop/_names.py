"""Names that a call or an assignment has wrong: what they mean here, and where that belongs.

Who comes from another library brings its names. Python says of a name alone that it is unexpected.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

__all__ = ["close", "instead", "named", "no_attribute"]

P = ParamSpec("P")
R = TypeVar("R")

# Our name of an argument, and what scikit-learn, Keras, PyTorch, MATLAB, R's nnet, SciPy and people
# call it.
SAME = {
    "X": "x inputs",
    "Y": "y targets",
    "target": "y Y label labels",
    "max_epochs": "epochs epoch n_epochs num_epochs nb_epoch max_iter max_iterations maxiter maxit "
    "n_iter iterations max_steps",
    "learning_rate": "lr learning_rate_init eta step_size",
    "batch_size": "batchsize minibatch_size mini_batch_size",
    "validation": "validation_split validation_data validation_fraction val_split eval_set",
    "patience": "early_stopping n_iter_no_change max_fail",
    "solver": "optimizer optimiser algorithm train_fcn",
    "l2": "alpha weight_decay decay regularization",
    "layers": "hidden_layer_sizes hidden_layers hidden_sizes hidden_size hidden units sizes size "
    "layer_sizes n_hidden neurons",
    "hidden": "hidden_layer_sizes hidden_layers hidden_sizes hidden_size layers units sizes size "
    "layer_sizes n_hidden neurons",
    "activation": "activations hidden_activation transfer_function transfer_fcn nonlinearity",
    "output": "output_activation out_activation final_activation",
    "loss": "criterion cost objective perform_fcn",
    "init": "kernel_initializer initializer weight_init init_weights",
    "seed": "random_state rng generator manual_seed",
    "n_threads": "n_jobs num_threads nthreads workers",
    "progress": "verbose trace",
    "callback": "callbacks",
    "sample_weight": "sample_weights weights",
    "dropout": "dropout_rate",
    "scale": "normalize normalise standardize standardise",
    "test_fraction": "test_size test_split",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "epsilon": "eps",
    "nesterov": "nesterovs_momentum",
    "damping": "mu lambda_",
    "memory": "history_size maxcor",
}
# What to write where the value that was given does not tell.
EXAMPLES = {
    "layers": "Network([8, 32, 2]) for 8 inputs, 32 hidden units and 2 outputs",
    "hidden": "hidden=(32,)",
    "solver": "solver=deltaloop.Adam()",
    "patience": "validation=0.2, patience=10",
    "progress": "progress=True",
}
# Arguments of solvers; most of them are those of Adam.
OF_SOLVERS = {
    "momentum": "solver=deltaloop.GradientDescent(0.01, momentum=0.9)",
    "nesterov": "solver=deltaloop.GradientDescent(0.01, momentum=0.9, nesterov=True)",
    "learning_rate": "solver=deltaloop.Adam(learning_rate=0.01)",
    "batch_size": "solver=deltaloop.Adam(batch_size=32)",
    "shuffle": "solver=deltaloop.Adam(shuffle=...)",
    "clip_norm": "solver=deltaloop.Adam(clip_norm=...)",
    "beta1": "solver=deltaloop.Adam(beta1=...)",
    "beta2": "solver=deltaloop.Adam(beta2=...)",
}
# The arguments of each function that is `named`, by its class and name.
TAKEN: dict[str, tuple[str, ...]] = {}


def named(function: Callable[P, R]) -> Callable[P, R]:
    """Make a method whose errors about names of arguments say what to write.

    Its signature stays. A call of `fit` costs 0.4 us more.
    """
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    known, most, path = frozenset(names), code.co_argcount, function.__qualname__
    TAKEN[path] = names

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if len(args) > most or not known.issuperset(kwargs):
                raise TypeError(_wrong(path, names, most - 1, args[1:], kwargs)) from None
            raise

    return checked


def _wrong(
    path: str, names: tuple[str, ...], most: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str:
    """Say what is wrong about the arguments of a call, of which at most so many have no name."""
    owner, _, method = path.rpartition(".")
    called = owner if method == "__init__" else method
    unknown = [name for name in kwargs if name not in names]
    if unknown:
        told = [f"{name!r}: {instead(name, names, owner, kwargs[name])}" for name in unknown]
        return f"{called} does not take {'; '.join(told)}"
    start = f"{called} takes {most} positional argument{'s' * (most != 1)}"
    start += f" ({', '.join(names[:most])})" if most else ""
    if most == 1 and all(isinstance(value, int) for value in args):
        return f"{start}, got {len(args)}; write {called}({list(args)})"
    others = ", ".join(f"{name}=..." for name in names[most:])
    return f"{start}, got {len(args)}; the others need their names: {others}"


def instead(name: str, names: Iterable[str], owner: str = "", value: object = None) -> str:
    """Say what to write for a name that is none of these, the arguments of a class's method."""
    names = tuple(names)
    meant = [ours for ours, theirs in SAME.items() if name in theirs.split()]
    for ours in meant:
        if ours in names:
            plain = type(value) in (int, float) and ours not in EXAMPLES
            return "write " + EXAMPLES.get(ours, f"{ours}={value!r}" if plain else f"{ours}=...")
    near = close(name, names)
    if near:
        return f"did you mean {near}?"
    for ours in (name, *meant):
        for other in (owner, "Network"):
            if ours in TAKEN.get(f"{other}.__init__", ()):
                example = f"{other}(..., {ours}=...)"
                return f"write {EXAMPLES[ours] if ours == 'layers' else example}"
            if ours in TAKEN.get(f"{other}.fit", ()):
                example = EXAMPLES.get(ours, f"{ours}=...")
                return f"it is an argument of fit; write fit(..., {example})"
        if ours in OF_SOLVERS and "solver" in TAKEN.get(f"{owner}.fit", ()):
            return f"it belongs to the solver; write fit(..., {OF_SOLVERS[ours]})"
    return f"it takes {', '.join(names)}" if names else "it takes nothing of a name"


def close(name: str, names: Iterable[str]) -> str:
    """Return the names that are written nearly so, in quotes; empty if none is."""
    import difflib

    found = difflib.get_close_matches(name[:100], list(names), n=2, cutoff=0.7)
    return " or ".join(map(repr, found))


def no_attribute(owner: object, name: str, names: Iterable[str]) -> AttributeError:
    """Return the error of setting an attribute that is none of these: nobody would read it."""
    near = close(name, names)
    hint = f"did you mean {near}?" if near else f"it has {', '.join(sorted(names))}"
    kind = type(owner).__name__
    return AttributeError(
        f"{kind} has no attribute {name!r} to set; {hint} (a subclass of {kind} may have others)"
    )
