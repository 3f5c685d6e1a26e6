"""Networks from other libraries' models: of ONNX, scikit-learn and PyTorch; `_export` goes there.

Parameters travel bit for bit. What a model does not say, such as the loss it was trained with, is
chosen by its outputs unless it is given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from deltaloop import _scalers, losses
from deltaloop._arguments import layers as _layers
from deltaloop._arguments.layers import SKLEARN_NAMES
from deltaloop._deprecated import moved
from deltaloop._files.paths import naming, path_name
from deltaloop._losses import LOSSES
from deltaloop.losses import Loss
from deltaloop.network import Network
from deltaloop.scaling import Scaling

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
    scikit-learn do; skip connections as of ``Network(residual=True)``. Identity, Dropout, casts
    between floats, a Flatten or Reshape of the inputs and a Squeeze of the output are passed over.
    Numbers that are added to columns or multiply them (Add, Sub, Mul, Div, BatchNormalization,
    Scaler) become the network's `scaling` where they are one, and else are folded into the weights.
    Of a classifier's outputs the probabilities are taken.

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
        With the file's parameters, those of float32, float16 and bfloat16 widened, and zeros for
        biases that are not there.
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
    # Imported here, as it takes milliseconds that `import deltaloop` need not.
    from deltaloop._onnx import read as _read

    name = path_name(path)
    with naming(name):
        plain = loss is None or losses._parts(losses._check(loss))[0] in losses.REGRESSION
        found = _read.read(name, plain)
        noted = found.noted
        if noted is None:
            return _made(*found[:5], loss=loss, seed=seed)
        return Network._restore(
            noted.layers,
            noted.activation,
            noted.output,
            noted.loss if loss is None else loss,
            noted.residual,
            noted.init,
            noted.seed if seed is None else seed,
            noted.position if seed is None else 0,
            _layers.join(found.weights, found.biases)[1],
            found.scaling,
        )


def from_sklearn(
    estimator: Any,
    *,
    loss: Loss | None = None,
    seed: int | np.random.Generator | None = None,
) -> Network:
    """Make a network of a fitted multilayer perceptron of scikit-learn.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, Pipeline or TransformedTargetRegressor
        Fitted, of ``sklearn.neural_network``, or anything with the attributes ``coefs_``,
        ``intercepts_``, ``activation`` and ``out_activation_``. A pipeline may have scalers before
        it: StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, which become the network's
        `scaling`. So do scaled targets, those of a TransformedTargetRegressor.
    loss : str, Huber or Quantile, optional
        By default the estimator's: a cross-entropy for classifiers, ``"binary_cross_entropy"`` for
        several labels.
    seed : int, numpy.random.Generator or None
        As for ``Network.from_weights``.

    Returns
    -------
    Network
        With the same parameters, copied. ``predict`` gives what ``predict_proba`` does (of two
        classes the second's probability), or ``predict`` of a regressor. It takes what the
        pipeline takes.

    Raises
    ------
    TypeError, ValueError
        If the estimator is no fitted perceptron, a step of a pipeline is no such scaler, or `loss`
        does not fit the outputs.

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
    found = _scalers.unwrap(estimator)
    estimator = found.estimator
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
    parameters = estimator.coefs_, estimator.intercepts_
    scaling = found.scaling(len(estimator.coefs_[0]), len(estimator.intercepts_[-1]))
    return _made(*parameters, activations, residual, scaling, loss=loss, seed=seed)


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
        Of ``Linear``; the activations that `Network` has, ``Softmax`` last, with the settings that
        make a module the same function, as in ``LeakyReLU(0.01)``; ``Dropout``, ``Identity``
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
    from deltaloop._export import torch_module

    return _made(*torch_module("from_torch").layers(module), loss=loss, seed=seed)


def _made(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    activations: Sequence[str],
    residual: bool,
    scaling: Scaling | None,
    *,
    loss: Loss | None,
    seed: int | np.random.Generator | None,
) -> Network:
    """Make a network of L weights, biases and activations, and the loss or the one that suits."""
    output: str | None = activations[-1]
    if loss is None:
        scaled = scaling is not None and scaling.scales_outputs
        loss = _loss("identity" if scaled else activations[-1], len(np.asarray(biases[-1])))
    elif output == "identity" and losses._parts(losses._check(loss))[0] not in losses.REGRESSION:
        output = None  # what the loss calls for
    network = Network.from_weights(
        weights,
        biases,
        activation=list(activations[:-1]),
        output=output,
        loss=loss,
        residual=residual,
        seed=seed,
    )
    if scaling is not None:
        network.scaling = scaling
    return network


def _loss(output: str, n_outputs: int) -> str:
    """Return the first loss that has this output by default."""
    several = n_outputs > 1
    fits = (row.name for row in LOSSES.values() if row.default and row.default[several] == output)
    return next(fits, "squared_error")


if not TYPE_CHECKING:
    __getattr__ = moved(
        __name__,
        {
            "made": f"{__name__}._made",
            "to_sklearn": "deltaloop._export.to_sklearn",
            "to_torch": "deltaloop._export.to_torch",
        },
        {
            "made": "deltaloop.Network.from_weights",
            "to_sklearn": "deltaloop.Network.to_sklearn",
            "to_torch": "deltaloop.Network.to_torch",
        },
    )
