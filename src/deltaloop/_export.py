"""Networks as models of other libraries: scikit-learn's perceptrons and PyTorch's modules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, losses
from deltaloop._arguments import layers as _layers
from deltaloop._arguments.layers import SKLEARN_HIDDEN, SKLEARN_NAMES
from deltaloop._files.paths import short
from deltaloop._losses import LOSSES
from deltaloop.scaling import Scaling

Floats = NDArray[np.float64]


def to_sklearn(network: _core.Core, classes: ArrayLike | None) -> Any:
    """Make a fitted estimator of scikit-learn; see `Network.to_sklearn`."""
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
    except ImportError:
        raise ImportError("to_sklearn needs scikit-learn: pip install scikit-learn") from None
    activation, output = _sklearn_activations(network)
    name, n_outputs = losses._parts(network.loss)[0], network.layers[-1]
    views = _layers.views(network.layers, network._parameters)
    weights, biases = ([view.copy() for view in part] for part in views)
    if network._scaling is not None:
        _fold(network, network._scaling, weights, biases)
    if name == "cross_entropy" and n_outputs == 2:
        # scikit-learn has one output for two classes: softmax_2 = sigmoid(z_2 - z_1).
        output, n_outputs = "logistic", 1
        weights[-1], biases[-1] = np.diff(weights[-1]), np.diff(biases[-1])
    classifier = LOSSES[name].targets == "probabilities"
    options: dict[str, Any] = {"hidden_layer_sizes": network.layers[1:-1], "activation": activation}
    # One step on two instances makes the estimator whole, whatever it keeps to itself; what the
    # step did is then replaced.
    x = np.zeros((2, network.layers[0]))
    if classifier:
        labels = _classes(classes, name, n_outputs)
        estimator = MLPClassifier(**options, random_state=0)
        several = name == "binary_cross_entropy" and n_outputs > 1
        y = np.array([[0], [1]]).repeat(n_outputs, axis=1) if several else labels[:2]
        estimator.partial_fit(x, y, classes=labels)
    elif classes is not None:
        raise ValueError(f"classes must be None for loss={str(network.loss)!r}, which has none")
    else:
        theirs = LOSSES[name].sklearn
        if theirs is not None:
            options["loss"] = theirs
        estimator = MLPRegressor(**options, random_state=0)
        estimator.partial_fit(x, np.zeros((2, n_outputs) if n_outputs > 1 else 2))
    estimator.set_params(random_state=None)
    estimator.coefs_, estimator.intercepts_, estimator.out_activation_ = weights, biases, output
    estimator.n_iter_ = estimator.t_ = 0
    estimator.loss_, estimator.best_loss_, estimator.loss_curve_ = np.nan, np.inf, []
    for kept in ("_optimizer", "_best_coefs", "_best_intercepts"):
        vars(estimator).pop(kept, None)
    return estimator


def _fold(
    network: _core.Core, scaling: Scaling, weights: list[Floats], biases: list[Floats]
) -> None:
    """Make parameters take and give what the network does, which has this scaling.

    The first layer takes (x - offset) / scale as x w / scale + b - the sum of offset w / scale; the
    last gives a scale + offset, which linear outputs have in their columns and biases. Results
    differ by rounding. ValueError for other outputs, or if a parameter overflows.
    """
    if scaling.scales_outputs and network.output != "identity":
        raise ValueError(
            f"scikit-learn has no scaling of outputs, and that of this network's, which are "
            f"{network.output}, is no part of any weights; use a pipeline of scikit-learn with its "
            "scalers, and a network with scaling=None"
        )
    with np.errstate(all="ignore"):
        weights[0] /= scaling.input_scale[:, np.newaxis]
        biases[0] -= (scaling.input_offset[:, np.newaxis] * weights[0]).sum(axis=0)
        weights[-1] *= scaling.output_scale
        biases[-1] *= scaling.output_scale
        biases[-1] += scaling.output_offset
    if not all(np.isfinite(part).all() for part in (*weights, *biases)):
        raise ValueError("the network's scaling overflows the weights; bring the data nearer to 1")


def _sklearn_activations(network: _core.Core) -> tuple[str, str]:
    """Return the activations of hidden layers and outputs by scikit-learn's names."""
    hidden = sorted(set(network.activation)) or ["relu"]
    if len(hidden) > 1:
        raise ValueError(
            "scikit-learn has one activation for all hidden layers, this network has "
            f"{', '.join(hidden)}"
        )
    for what, name, known in (
        ("hidden layers", hidden[0], SKLEARN_HIDDEN),
        ("outputs", network.output, tuple(SKLEARN_NAMES)),
    ):
        if name not in known:
            raise ValueError(
                f"scikit-learn has {', '.join(known)} for {what}, this network has {name}"
            )
    if network.residual:
        raise ValueError("scikit-learn has no residual networks")
    return SKLEARN_NAMES[hidden[0]], SKLEARN_NAMES[network.output]


def _classes(classes: ArrayLike | None, loss: str, n_outputs: int) -> Any:
    """Return the labels of a classifier, in ascending order as scikit-learn keeps them."""
    if loss == "binary_cross_entropy" and n_outputs > 1:
        if classes is not None:
            raise ValueError("classes must be None for independent outputs, which are numbered")
        return np.arange(n_outputs)
    expected = max(n_outputs, 2)
    labels = np.arange(expected) if classes is None else np.asarray(classes)
    if labels.shape != (expected,):
        raise ValueError(f"classes must name {expected} classes, got shape {labels.shape}")
    try:
        ascending = bool((labels[:-1] < labels[1:]).all())
    except TypeError:
        raise TypeError("classes must be labels of one kind that have an order") from None
    if not ascending:
        shown = short(str(labels.tolist()))
        raise ValueError(f"classes must be in ascending order, each once, got {shown}")
    return labels


def to_torch(network: _core.Core) -> Any:
    """Make a module of PyTorch; see `Network.to_torch`."""
    return torch_module("to_torch").to_torch(network)


def torch_module(what: str) -> Any:
    """Return the module `deltaloop.torch`. ImportError with the way to get PyTorch."""
    try:
        from deltaloop import torch
    except ImportError:
        raise ImportError(f"{what} needs PyTorch: pip install torch") from None
    return torch
