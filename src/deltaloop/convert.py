"""Networks from other libraries' models, and their way there: ONNX, scikit-learn and PyTorch.

Parameters travel bit for bit. What a model does not say, such as the loss it was trained with, is
chosen by its outputs unless it is given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from deltaloop import losses
from deltaloop._arguments.layers import SKLEARN_HIDDEN, SKLEARN_NAMES
from deltaloop._files import description as _files
from deltaloop._losses import LOSSES
from deltaloop.losses import Loss

if TYPE_CHECKING:
    from deltaloop.network import Network

__all__ = ["from_onnx", "from_sklearn", "from_torch"]


def from_onnx(
    path: str | os.PathLike[str],
    *,
    loss: Loss | None = None,
    seed: int | np.random.Generator | None = None,
) -> Network:
    """Read a network from an ONNX file.

    The graph must be a chain of layers: Gemm, or MatMul and Add, and activations that `Network`
    has, as one operator or composed as ``Network.to_onnx`` and the exporters of PyTorch and
    scikit-learn do; skip connections as of ``Network(residual=True)``. Identity, Flatten, Dropout
    and casts between floats are passed over. Of a classifier's outputs the probabilities are taken.

    Parameters
    ----------
    path : str or os.PathLike
        The file to read. It may come from an untrusted source; no other file is read.
    loss : str, Huber or Quantile, optional
        By default that of the network which ``to_onnx`` wrote; for other files by the output's
        activation: ``"cross_entropy"`` for softmax and one sigmoid unit, ``"binary_cross_entropy"``
        for several, ``"poisson"`` for exp, else ``"squared_error"``. Linear outputs get the
        activation of a loss that needs one, such as softmax of ``"cross_entropy"``.
    seed : int, numpy.random.Generator or None
        As for ``Network.from_weights``; by default that of the network which ``to_onnx`` wrote.

    Returns
    -------
    Network
        With the file's parameters, float32 ones widened, and zeros for biases that are not there.
        From a file of ``Network.to_onnx`` the same network, bit for bit.

    Raises
    ------
    ImportError
        Without onnx: ``pip install 'deltaloop[onnx]'``.
    TypeError, ValueError
        If the file is damaged, or its graph is no such chain; the message names the node.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import deltaloop as dl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "net.onnx")
    >>> dl.Network([2, 3, 1], activation="gelu", seed=7).to_onnx(path)
    >>> dl.from_onnx(path)
    Network([2, 3, 1], activation='gelu', output='identity', loss='squared_error', seed=7)
    """
    from deltaloop._onnx import read as _onnx_reading

    return _onnx_reading.read(path, loss, seed)


def from_sklearn(
    estimator: Any,
    *,
    loss: Loss | None = None,
    seed: int | np.random.Generator | None = None,
) -> Network:
    """Make a network of a fitted multilayer perceptron of scikit-learn.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted, of ``sklearn.neural_network``, or anything with the attributes ``coefs_``,
        ``intercepts_``, ``activation`` and ``out_activation_``.
    loss : str, Huber or Quantile, optional
        By default the estimator's: a cross-entropy for classifiers, ``"binary_cross_entropy"`` for
        several labels.
    seed : int, numpy.random.Generator or None
        As for ``Network.from_weights``.

    Returns
    -------
    Network
        With the same parameters, copied. ``predict`` gives what ``predict_proba`` does (of two
        classes the second's probability), or ``predict`` of a regressor.

    Raises
    ------
    TypeError, ValueError
        If the estimator is no fitted perceptron, or `loss` does not fit its outputs.

    Examples
    --------
    >>> import deltaloop as dl
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> estimator = MLPClassifier((5,), solver="lbfgs", random_state=0).fit(X, y)
    >>> net = dl.from_sklearn(estimator, seed=0)
    >>> net
    Network([2, 5, 1], activation='relu', output='sigmoid', loss='cross_entropy', seed=0)
    >>> bool((net.classify(X) == estimator.predict(X)).all())
    True
    """
    names = ("activation", "coefs_", "intercepts_", "out_activation_")
    missing = [name for name in names if not hasattr(estimator, name)]
    if "activation" in missing:
        raise TypeError(
            "estimator must be an MLPClassifier or MLPRegressor, "
            f"got {type(estimator).__name__} without {', '.join(missing)}"
        )
    if missing:
        raise ValueError(f"estimator must be fitted, got one without {', '.join(missing)}")
    ours = {theirs: name for name, theirs in SKLEARN_NAMES.items()}
    given, n_hidden = estimator.activation, len(estimator.coefs_) - 1
    hidden = [given] * n_hidden if isinstance(given, str) else list(given)
    activations = [ours.get(name, name) for name in (*hidden, estimator.out_activation_)]
    if loss is None:
        said = getattr(estimator, "loss", None)
        known = isinstance(said, losses.Huber | losses.Quantile) or said in losses.NAMES
        loss = said if known else None  # "log_loss" says no more than the outputs do
    residual = bool(getattr(estimator, "residual", False))
    return made(estimator.coefs_, estimator.intercepts_, activations, residual, loss, seed)


def to_sklearn(network: Network, classes: ArrayLike | None) -> Any:
    """Make a fitted estimator of scikit-learn; see `Network.to_sklearn`."""
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
    except ImportError:
        raise ImportError("to_sklearn needs scikit-learn: pip install scikit-learn") from None
    activation, output = _sklearn_activations(network)
    name, n_outputs = losses.parts(network.loss)[0], network.layers[-1]
    weights, biases = [w.copy() for w in network.weights], [b.copy() for b in network.biases]
    if name == "cross_entropy" and n_outputs == 2:
        # scikit-learn has one output for two classes: softmax_2 = sigmoid(z_2 - z_1).
        output, n_outputs = "logistic", 1
        weights[-1], biases[-1] = np.diff(weights[-1]), np.diff(biases[-1])
    classifier = name in ("cross_entropy", "binary_cross_entropy")
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
        if name == "poisson":
            options["loss"] = "poisson"
        estimator = MLPRegressor(**options, random_state=0)
        estimator.partial_fit(x, np.zeros((2, n_outputs) if n_outputs > 1 else 2))
    estimator.set_params(random_state=None)
    estimator.coefs_, estimator.intercepts_, estimator.out_activation_ = weights, biases, output
    estimator.n_iter_ = estimator.t_ = 0
    estimator.loss_, estimator.best_loss_, estimator.loss_curve_ = np.nan, np.inf, []
    for kept in ("_optimizer", "_best_coefs", "_best_intercepts"):
        vars(estimator).pop(kept, None)
    return estimator


def _sklearn_activations(network: Network) -> tuple[str, str]:
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
        shown = _files.short(str(labels.tolist()))
        raise ValueError(f"classes must be in ascending order, each once, got {shown}")
    return labels


def from_torch(
    module: Any,
    *,
    loss: Loss | None = None,
    seed: int | np.random.Generator | None = None,
) -> Network:
    """Make a network of a ``torch.nn.Sequential`` of linear layers and activations.

    Parameters
    ----------
    module : torch.nn.Sequential
        Of ``Linear``; the activations ``Sigmoid``, ``Tanh``, ``ReLU``, ``LeakyReLU(0.01)``,
        ``ELU``, ``Softplus``, ``SiLU``, ``GELU``, and ``Softmax`` last; ``Dropout``, ``Identity``
        and ``Flatten``, which are passed over; and what ``Network.to_torch`` makes. A
        ``Sequential`` in it is as its parts in their place.
    loss : str, Huber or Quantile, optional
        By default as for `from_onnx`. PyTorch leaves softmax and the sigmoid to the loss: linear
        outputs get them with ``loss="cross_entropy"`` or ``"binary_cross_entropy"``.
    seed : int, numpy.random.Generator or None
        As for ``Network.from_weights``.

    Returns
    -------
    Network
        With the same parameters, those of other types widened to float64, and zeros for biases that
        are not there.

    Raises
    ------
    ImportError
        Without PyTorch.
    TypeError, ValueError
        If the module is none, or has what a network cannot have: other parts, forward hooks, a
        ``forward`` of its own, parametrizations, weights that are not dense real numbers. The
        message has the dotted name of the part, ``module.1.0``.

    Examples
    --------
    >>> import deltaloop as dl, torch
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 3)
    ... )
    >>> dl.from_torch(module, loss="cross_entropy", seed=0)
    Network([4, 8, 3], activation='relu', output='softmax', loss='cross_entropy', seed=0)
    """
    weights, biases, activations, residual = _torch("from_torch").layers(module)
    return made(weights, biases, activations, residual, loss, seed)


def to_torch(network: Network) -> Any:
    """Make a module of PyTorch; see `Network.to_torch`."""
    return _torch("to_torch").to_torch(network)


def _torch(what: str) -> Any:
    try:
        from deltaloop import torch
    except ImportError:
        raise ImportError(f"{what} needs PyTorch: pip install torch") from None
    return torch


def made(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    residual: bool,
    loss: Loss | None,
    seed: int | np.random.Generator | None,
) -> Network:
    """Make a network of L weights, biases and activations, and the loss or the one that suits."""
    from deltaloop.network import Network

    output: str | None = activations[-1]
    if loss is None:
        loss = _loss(activations[-1], len(np.asarray(biases[-1])))
    elif output == "identity" and losses.parts(losses.check(loss))[0] not in losses.REGRESSION:
        output = None  # what the loss calls for
    return Network.from_weights(
        weights,
        biases,
        activation=list(activations[:-1]),
        output=output,
        loss=loss,
        residual=residual,
        seed=seed,
    )


def _loss(output: str, n_outputs: int) -> str:
    """Return the first loss that has this output by default."""
    several = n_outputs > 1
    fits = (row.name for row in LOSSES.values() if row.default and row.default[several] == output)
    return next(fits, "squared_error")
