"""The network: parameters, prediction, cost and gradient, training, and how it is stored.

It is one class, and most of this long file is what the class tells its users. The methods check
their arguments by ``_arguments`` and hand them to the core, to ``_fit``, or to a writer.
"""

from __future__ import annotations

import copy
import copyreg
import importlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise, zip_longest
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, _names, _scalars, inits, losses
from deltaloop import scaling as _scaling
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import layers as _layers
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._blocks import kinds as _kinds
from deltaloop._files.paths import naming, path_name
from deltaloop._losses import of_task
from deltaloop.inits import Init
from deltaloop.losses import Loss
from deltaloop.predictor import Predictor
from deltaloop.scaling import Scaling

if TYPE_CHECKING:
    from deltaloop._files import model as _model
    from deltaloop._fit.gradient_check import GradientCheck
    from deltaloop.explain import Explanation
    from deltaloop.results import EpochInfo, FitResult
    from deltaloop.solvers import Solver
    from deltaloop.trainer import Trainer


# The arguments of `_restore`, and with a subclass's "attributes" the keys of a network's state.
STATE = (
    "layers", "activation", "output", "loss", "residual", "init", "seed", "position",
    "parameters", "scaling",
)  # fmt: skip


@cache
def _module(name: str) -> ModuleType:
    """Import a module of the package when it is needed: half of all imports only predict."""
    return importlib.import_module(f"deltaloop.{name}")


class LayerGradient(NamedTuple):
    """A gradient by layers, l = 1..L, as views of one buffer: what ``gradient`` can return.

    Attributes
    ----------
    weights : tuple of ndarray
        dC/dw^(l), shapes (m^(l-1), m^(l)).
    biases : tuple of ndarray
        dC/db^(l), shapes (m^(l),).

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([2, 3, 1], seed=0)
    >>> cost, gradient = net.gradient([0.0, 1.0], 1.0, per_layer=True)
    >>> [dw.shape for dw in gradient.weights]
    [(2, 3), (3, 1)]
    """

    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]


class Network(_core.Core):
    """Multilayer perceptron, trained by backpropagation.

    Layer l computes ``a^(l) = g(a^(l-1) w^(l) + b^(l))`` with ``a^(0) = x``. All parameters lie in
    one float64 buffer: for l = 1..L the matrix w^(l), row-major (m^(l-1), m^(l)), then b^(l).

    Parameters
    ----------
    layers : sequence of int
        Units per layer, (m^(0), ..., m^(L)): inputs first, outputs last, each at least 1.
    activation : str or sequence of str, default "sigmoid"
        ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"`` (0.01 z for z < 0), ``"elu"``
        (exp(z) - 1 for z < 0), ``"softplus"`` (log(1 + exp(z))), ``"silu"`` (z sigmoid(z)),
        ``"gelu"`` (z Phi(z), Phi the normal distribution function), ``"mish"``
        (z tanh(log(1 + exp(z)))), ``"exp"``, ``"identity"`` or ``"step"`` (1 if z > 0 else 0;
        predicts, but has no gradient): one name, or one per hidden layer.
    output : str, optional
        Activation of the output layer, one of the above or ``"softmax"``. By default, with a
        single name for `activation` and the squared, absolute, Huber or quantile loss, sigmoid,
        tanh and step keep themselves and anything else gives identity; with a list, identity;
        ``"cross_entropy"`` gives softmax for two outputs or more and sigmoid for one;
        ``"binary_cross_entropy"`` gives sigmoid and ``"poisson"`` exp.
    loss : str, Huber or Quantile, default "squared_error"
        ``"squared_error"``, 1/2 sum (y - a)^2; ``"absolute_error"``, sum abs(y - a); ``"huber"``
        and ``"quantile"``, or `Huber` and `Quantile` with their parameters;
        ``"cross_entropy"``, -sum y log a over classes (softmax), or of one probability (sigmoid);
        ``"binary_cross_entropy"``, -sum y log a + (1 - y) log(1 - a) over independent outputs;
        ``"poisson"``, sum a - y log a for counts y (exp). Always a sum over instances.
    residual : bool, default False
        Skip connections: every hidden layer as wide as the layer before it, inputs included, adds
        that layer's activation to its own, ``a^(l) = g(z^(l)) + a^(l-1)``, so that networks of a
        hundred layers and more can be trained. There must be such a layer.
    init : str or Uniform, optional
        ``"uniform"`` (Unif[-1, 1], biases too) or `Uniform` with its range; ``"he_uniform"``,
        ``"he_normal"``, ``"glorot_uniform"``, ``"glorot_normal"``, ``"lecun_uniform"`` or
        ``"lecun_normal"`` (zero biases); ``"nguyen_widrow"`` (for inputs in [-1, 1]: hidden
        weights of length beta = 0.7 m^(l)^(1/m^(l-1)) for each unit, in a random direction, and
        biases from Unif[-beta, beta]; outputs from Unif[-1/2, 1/2]). By default ``"uniform"`` for
        sigmoid and step units, ``"he_uniform"`` where there are units of the relu family (relu,
        leaky_relu, elu, softplus, silu, gelu, mish) and ``"glorot_uniform"`` otherwise. In layers
        that are skipped he, glorot and lecun divide their weights by the number of skips, so that
        activations keep their size whatever the depth.
    seed : int, numpy.random.Generator or None
        Where random numbers come from: the initial parameters and, unless ``fit`` is given a seed
        of its own, the order of mini-batches and dropout. A generator gives one word; None draws
        entropy. The integer used is the attribute ``seed``.

    Attributes
    ----------
    layers, activation, output, loss, residual, init, seed, n_parameters
        What the network was made with, and P; read-only.
    parameters, weights, biases
        Views: writing to them changes the network.
    scaling
        How inputs and outputs are scaled, a `Scaling`, or None. ``fit(..., scale="standard")`` sets
        it. ``predict`` and all other methods take and give what the user has; the layers, and so
        the parameters and the cost, work with scaled numbers.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, unknown, or does not fit the others.

    Examples
    --------
    >>> import deltaloop as dl
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net = dl.Network([2, 2, 1], seed=0)
    >>> result = net.fit(X, Y, solver=dl.GradientDescent(learning_rate=2.0), max_epochs=20_000)
    >>> net.classify(X)
    array([0, 1, 1, 0])
    """

    @_names.named
    def __init__(
        self,
        layers: Sequence[int],
        *,
        activation: str | Sequence[str] = "sigmoid",
        output: str | None = None,
        loss: Loss = "squared_error",
        residual: bool = False,
        init: Init | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        sizes = _layers.sizes(layers)
        if init is not None:
            init = inits.check(init)
        _seeds.check_seed(seed)
        self._configure(sizes, activation, output, loss, residual)
        init = init or _layers.default_init(self.activation, self.output)
        number = _seeds.resolve_seed(seed)
        stream = _seeds.stream(number)
        skips = _layers.skips(sizes) if self.residual else ()
        _seeds.draw_parameters(sizes, init, stream, self._parameters, skips)
        self._set_origin(init, number, stream.position)

    def _configure(
        self,
        sizes: tuple[int, ...],
        activation: object,
        output: object,
        loss: object,
        residual: object,
    ) -> None:
        """Check the names and allocate the network."""
        skip = _scalars.flag("residual", residual)
        if skip and not _layers.skips(sizes):
            raise ValueError(
                "residual=True needs a hidden layer as wide as the layer before it, "
                f"got layers {list(sizes)}"
            )
        known = losses._check(loss)
        name, parameter = losses._parts(known)
        hidden = _layers.hidden_activations(activation, len(sizes) - 2)
        output_name = _layers.output_activation(output, activation, name, sizes[-1])
        plain = name in losses.REGRESSION and "step" not in (*hidden, output_name)
        self._build(
            sizes,
            hidden,
            output_name,
            known,
            skip,
            loss_name=name,
            loss_parameter=parameter,
            plain=plain,
        )

    @classmethod
    def from_weights(
        cls,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        *,
        activation: str | Sequence[str] = "sigmoid",
        output: str | None = None,
        loss: Loss = "squared_error",
        residual: bool = False,
        seed: int | np.random.Generator | None = None,
    ) -> Self:
        """Make a network from given parameters, which are copied.

        Parameters
        ----------
        weights : sequence of array_like
            w^(1), ..., w^(L), of shapes (m^(l-1), m^(l)): row = from, column = to.
        biases : sequence of array_like
            b^(1), ..., b^(L), of shapes (m^(l),).
        activation, output, loss, residual
            As for `Network`.
        seed : int, numpy.random.Generator or None
            For the order of mini-batches in ``fit``.

        Returns
        -------
        Network

        Raises
        ------
        TypeError, ValueError
            If the shapes do not fit each other, or a value is not finite.

        Examples
        --------
        XOR is AND(OR(x), NAND(x)), three perceptrons with weights written by hand:

        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights(
        ...     [[[1, -1], [1, -1]], [[1], [1]]], [[-0.5, 1.5], [-1.5]], activation="step"
        ... )
        >>> net.classify([[0, 0], [0, 1], [1, 0], [1, 1]])
        array([0, 1, 1, 0])
        """
        sizes, parameters = _layers.join(weights, biases)
        return cls._restore(sizes, activation, output, loss, residual, None, seed, 0, parameters)

    @classmethod
    def _restore(
        cls,
        layers: Sequence[int],
        activation: str | Sequence[str],
        output: str | None,
        loss: Loss,
        residual: bool,
        init: Init | None,
        seed: int | np.random.Generator | None,
        position: int,
        parameters: NDArray[np.float64],
        scaling: Scaling | None = None,
    ) -> Self:
        """Make a network from everything that distinguishes it.

        Validated like the constructor's arguments, but for values: a copy may hold NaN.
        """
        network = cls.__new__(cls)
        network._initialise(
            layers, activation, output, loss, residual, init, seed, position, parameters, scaling
        )
        return network

    def _initialise(
        self,
        layers: Sequence[int],
        activation: str | Sequence[str],
        output: str | None,
        loss: Loss,
        residual: bool,
        init: Init | None,
        seed: int | np.random.Generator | None,
        position: int,
        parameters: NDArray[np.float64],
        scaling: Scaling | Mapping[str, Any] | None = None,
    ) -> None:
        """Do what `_restore` says, in a network that has nothing yet."""
        sizes = _layers.sizes(layers)
        if init is not None:
            init = inits.check(init)
        words = _scalars.integer("position", position, at_least=0)
        if words >= 2**64:
            raise ValueError(f"position must be below 2**64, got {position}")
        if isinstance(scaling, Mapping):
            scaling = Scaling(**scaling)
        shape = (sum((m_in + 1) * m_out for m_in, m_out in pairwise(sizes)),)
        if np.shape(parameters) != shape:
            raise ValueError(f"parameters must have shape {shape}, got {np.shape(parameters)}")
        self._configure(sizes, activation, output, loss, residual)
        self._parameters[:] = parameters
        self._set_origin(init, _seeds.resolve_seed(seed), words)
        if scaling is not None:
            _scaling.put(self, _scaling.check(scaling, self))

    # ---- parameters ----

    @property
    def parameters(self) -> NDArray[np.float64]:
        """All parameters, (P,): a view, so writing to it changes the network.

        Assigning copies P finite numbers in. While another thread trains the network, that is a
        RuntimeError; nothing guards what is written through the views.
        """
        return self._parameters

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        array = _arrays.numbers("parameters", values)
        if array.shape != (self.n_parameters,):
            raise ValueError(
                f"parameters must have shape ({self.n_parameters},), got {array.shape}"
            )
        _arrays.finite("parameters", array)
        self._assign(np.array(array, dtype=np.float64))

    @property
    def weights(self) -> tuple[NDArray[np.float64], ...]:
        """w^(1), ..., w^(L), shapes (m^(l-1), m^(l)): views of the parameters."""
        return _layers.views(self.layers, self._parameters)[0]

    @property
    def biases(self) -> tuple[NDArray[np.float64], ...]:
        """b^(1), ..., b^(L), shapes (m^(l),): views of the parameters."""
        return _layers.views(self.layers, self._parameters)[1]

    @property
    def scaling(self) -> Scaling | None:
        """How inputs and outputs are scaled, or None.

        Assigning a `Scaling`, or None for none, leaves the parameters as they are: they then belong
        to inputs and outputs that are scaled in the new way. While the network is being trained, a
        RuntimeError.
        """
        found: Scaling | None = self._scaling
        return found

    @scaling.setter
    def scaling(self, scaling: Scaling | None) -> None:
        known = _scaling.check(scaling, self)
        with _core.Hold(self):
            _scaling.put(self, known)

    # ---- prediction: predict is in _extension/network.pxi ----

    def _predict_any(self, X: object, out: object, n_threads: object) -> NDArray[np.float64]:
        """Predict from anything that is no exact array, and into any that is one."""
        threads = 0 if n_threads is None else _scalars.threads(n_threads)
        kind = None if type(X) is np.ndarray or type(X) is list else _kinds.find_instances(X)
        if kind is not None:
            read: NDArray[np.float64] = _module("_blocks.outputs").predict(
                self, kind, X, out, threads
            )
            return read
        x, single = _arrays.instances(X, self.layers[0])
        n, m = x.shape[0], self.layers[-1]
        shape = (m,) if single else (n, m)
        if out is None:
            result = np.empty(shape)
            self._predict(x, result, False, threads)
            return result
        self._predict(x, _arrays.output(self, out, shape, x), False, threads)
        return cast(NDArray[np.float64], out)

    def classify(self, X: ArrayLike) -> NDArray[np.int64] | int:
        """Classes of instances, from the linear part z^(L) of the last layer.

        Parameters
        ----------
        X : array_like, shape (n, m0) or (m0,)
            Instances, one a row, or a single one. Every value must be finite.

        Returns
        -------
        ndarray of int64 or int
            One output: 1 where z > 0 (for a sigmoid, a > 1/2), else 0, shape (n,). Independent
            outputs (``loss="binary_cross_entropy"``): the same for each, (n, mL). Otherwise the
            index of the largest output, (n,). For a single instance the first axis is absent.
            Where the network scales its outputs, of a regression's loss, they are those that
            ``predict`` gives: linear ones count above 0, and the largest is that in these units.

        Raises
        ------
        TypeError, ValueError
            As for ``predict``, and where X is not finite.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[1.0, 0.0], [0.0, 1.0]]], [[0.0, 0.0]])
        >>> net.classify([[3.0, 1.0], [-1.0, 2.0]])
        array([0, 1])
        """
        x, single = _arrays.instances(X, self.layers[0])
        _arrays.finite("X", x)
        z = np.empty((x.shape[0], self.layers[-1]))
        scaled = self.scaling is not None and self.scaling.scales_outputs
        self._predict(x, z, not (scaled and (z.shape[1] > 1 or self.output == "identity")))
        if self.layers[-1] == 1:
            result = (z[:, 0] > 0).astype(np.int64)
        elif self.loss in of_task("labels"):
            result = (z > 0).astype(np.int64)
        else:
            result = z.argmax(axis=1).astype(np.int64, copy=False)
        if not single:
            return result
        first = result[0]
        return first if isinstance(first, np.ndarray) else int(first)

    def activations(self, X: ArrayLike) -> list[NDArray[np.float64]]:
        """Activations of every layer.

        Parameters
        ----------
        X : array_like, shape (n, m0) or (m0,)
            Instances, one a row, or a single one.

        Returns
        -------
        list of ndarray
            [a^(1), ..., a^(L)], shapes (n, m^(l)), or (m^(l),) for a single instance. The last is
            what ``predict`` gives.

        Raises
        ------
        TypeError, ValueError
            As for ``predict``.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 3, 1], seed=0)
        >>> [a.shape for a in net.activations([[0.0, 1.0], [1.0, 1.0]])]
        [(2, 3), (2, 1)]
        """
        x, single = _arrays.instances(X, self.layers[0])
        result = self._activations(x)
        return [a[0] for a in result] if single else result

    # ---- cost and gradient ----

    def cost(
        self,
        X: Any,
        Y: Any,
        *,
        sample_weight: ArrayLike | str | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        missing_targets: str = "raise",
        n_threads: int | None = None,
    ) -> float:
        """Cost C: the loss summed over the instances, never divided by their number.

        ``C = sum_i s_i loss_i + l1 sum abs(w) + l2/2 sum w^2``, where s are the weights of the
        instances and w all weights of the network, without the biases. It is what ``fit``
        minimises: where the network has a `scaling`, the loss of the scaled targets.

        Parameters
        ----------
        X : array_like, shape (n, m0) or (m0,)
            Instances, one a row, or a single one; or a sparse matrix (n, m0), as for ``predict``.
            Or data that are read block by block, as for ``fit``.
        Y : array_like, shape (n, mL)
            Targets. (n,) where mL is 1; integer classes (n,) where the output is softmax. For a
            single instance (mL,), or a scalar. The cross-entropies take probabilities in [0, 1],
            Poisson counts of at least 0.
        sample_weight : array_like, shape (n,), optional
            s, at least 0, not all of them 0. By default 1 each. For a single instance a scalar.
        l1, l2 : float, default 0.0
            Strength of the penalties, at least 0.
        missing_targets : str, default "raise"
            What NaN in Y is: ``"raise"``, an error; ``"skip"``, a target that is missing. Its
            output has no error: its part of the cost and of the gradient is 0. The others count as
            without it, for C is a sum, which nothing divides: it is PyTorch's
            ``(loss * mask).sum()``. A softmax's targets are missing all or none; classes (n,) are
            then floats, and NaN. An instance whose targets are all missing adds nothing.
        n_threads : int, optional
            As for ``predict``.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If the arrays do not fit the network or each other, are empty, not finite or, for a
            cross-entropy, not probabilities, or for Poisson negative.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
        >>> net.cost([[1.0], [2.0]], [3.0, 4.0])
        0.5
        >>> net.cost([[1.0], [2.0]], [3.0, 4.0], sample_weight=[1.0, 3.0], l2=0.5)
        2.5
        """
        threads, penalties = _scalars.threads(n_threads), _problem.penalised(l1, l2)
        kind = None if type(X) is np.ndarray else _kinds.find(X, Y)
        if kind is not None:
            read: float = _module("_blocks.outputs").cost(
                self,
                kind,
                X,
                Y,
                penalties,
                sample_weight=sample_weight,
                skip=_gaps.check(missing_targets),
                threads=threads,
            )
            return read
        s, given = _arrays.plain("sample_weight", sample_weight), _arrays.plain("Y", Y)
        x, y, labels, missing = _gaps.batch(
            self, X, given, skip=_gaps.check(missing_targets), gradient=False
        )
        problem = penalties._replace(
            weights=_problem.weights(s, x.shape[0]), targets=_core.GAPS if missing else 0
        )
        return self._cost(x, y, labels, False, threads, problem)[0]

    @overload
    def gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        missing_targets: str = "raise",
        per_layer: Literal[False] = False,
        n_threads: int | None = None,
    ) -> tuple[float, NDArray[np.float64]]: ...

    @overload
    def gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        missing_targets: str = "raise",
        per_layer: bool,
        n_threads: int | None = None,
    ) -> tuple[float, NDArray[np.float64] | LayerGradient]: ...

    def gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        missing_targets: str = "raise",
        per_layer: bool = False,
        n_threads: int | None = None,
    ) -> tuple[float, NDArray[np.float64] | LayerGradient]:
        """Cost C and its gradient with respect to all parameters, by backpropagation.

        Parameters
        ----------
        X, Y, sample_weight, l1, l2, missing_targets
            As for ``cost``. The derivative of abs(w) at 0 is taken to be 0.
        per_layer : bool, default False
            Return the gradient as views of its layers, like ``weights`` and ``biases``.
        n_threads : int, optional
            As for ``predict``.

        Returns
        -------
        cost : float
        gradient : ndarray of float64, shape (P,), or LayerGradient
            In the layout of ``parameters``; a sum over the instances. With `per_layer` a named
            tuple of ``weights``, dC/dw^(l) of shapes (m^(l-1), m^(l)), and ``biases``, dC/db^(l)
            of shapes (m^(l),), l = 1..L: views of one new buffer.

        Raises
        ------
        TypeError, ValueError
            As for ``cost``, and if the network has step units.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
        >>> net.gradient([[1.0], [2.0]], [3.0, 4.0])
        (0.5, array([2., 1.]))
        >>> cost, by_layer = net.gradient([[1.0], [2.0]], [3.0, 4.0], per_layer=True)
        >>> by_layer.weights, by_layer.biases
        ((array([[2.]]),), (array([1.]),))
        """
        threads, penalties = _scalars.threads(n_threads), _problem.penalised(l1, l2)
        s, given = _arrays.plain("sample_weight", sample_weight), _arrays.plain("Y", Y)
        split = per_layer is not False and _scalars.flag("per_layer", per_layer)
        x, y, labels, missing = _gaps.batch(self, X, given, skip=_gaps.check(missing_targets))
        problem = penalties._replace(
            weights=_problem.weights(s, x.shape[0]), targets=_core.GAPS if missing else 0
        )
        cost, gradient = self._cost(x, y, labels, True, threads, problem)
        assert gradient is not None
        if split:
            return cost, LayerGradient(*_layers.views(self.layers, gradient))
        return cost, gradient

    def jacobian(self, X: ArrayLike, *, wrt: str = "parameters") -> NDArray[np.float64]:
        """Compute the derivatives of the outputs a^(L) by the parameters or by the inputs.

        Parameters
        ----------
        X : array_like, shape (n, m0) or (m0,)
            Instances, or one.
        wrt : str, default "parameters"
            ``"parameters"`` or ``"inputs"``.

        Returns
        -------
        ndarray of float64, shape (n, mL, P) or (n, mL, m0)
            Element [i, k, p] is the derivative of output k of instance i, as ``predict`` gives it,
            with respect to ``parameters[p]``, or to ``X[i, p]``. For one instance (mL, P) or
            (mL, m0).

        Raises
        ------
        TypeError, ValueError
            If X is not of that kind, or the network has step units.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[2.0], [3.0]]], [[1.0]], activation="identity")
        >>> net.jacobian([5.0, 7.0])
        array([[5., 7., 1.]])
        >>> net.jacobian([5.0, 7.0], wrt="inputs")
        array([[2., 3.]])
        """
        inputs = _scalars.choice("wrt", wrt, ("parameters", "inputs")) == "inputs"
        _arrays.differentiable(self)
        x, single = _arrays.instances(X, self.layers[0])
        result = self._jacobian(x, inputs)
        return result[0] if single else result

    def input_gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> NDArray[np.float64]:
        """Gradient of the cost with respect to the inputs, dC/dX = delta^(1) w^(1)T.

        Parameters
        ----------
        X, Y, sample_weight : array_like
            As for ``cost``.
        n_threads : int, optional
            As for ``predict``.

        Returns
        -------
        ndarray of float64, shape (n, m0) or (m0,)
            Row i is the gradient of instance i's part of the cost with respect to ``X[i]``, the
            same bits whatever the other instances are. Where the network has a `scaling`, it is
            the derivative by what was given, not by what the layers see.

        Raises
        ------
        TypeError, ValueError
            As for ``gradient``.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
        >>> net.input_gradient([[1.0], [2.0]], [3.0, 4.0])
        array([[0.],
               [2.]])
        """
        threads = _scalars.threads(n_threads)
        s, given = _arrays.plain("sample_weight", sample_weight), _arrays.plain("Y", Y)
        array = _arrays.rows("X", X)
        x, y, labels = _arrays.batch(self, array, given)
        problem = _problem.Problem(weights=_problem.weights(s, x.shape[0]))
        gradient = self._input_gradient(x, y, labels, threads, problem)
        return gradient[0] if array.ndim == 1 else gradient

    def check_gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        indices: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> GradientCheck:
        """Compare the gradient with central differences of the cost.

        Parameters
        ----------
        X, Y, sample_weight, l1, l2
            As for ``cost``. A few instances do: each parameter takes two evaluations of the cost.
        indices : sequence of int, optional
            Which of the P parameters to check. By default all.
        n_threads : int, optional
            As for ``predict``.

        Returns
        -------
        GradientCheck
            The largest relative error, and the parameter that has it. The network is not changed.

        Raises
        ------
        TypeError, ValueError
            As for ``gradient``, or if `indices` are no positions in ``parameters``.

        Notes
        -----
        The step is ``h = 6e-6 max(1, |w_k|)``. Where the cost has a kink between w_k - h and
        w_k + h, as with relu units, the difference is wrong and not the gradient.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([3, 4, 2], activation="tanh", seed=0)
        >>> check = net.check_gradient([[0.5, 1.0, -1.0], [0.0, 2.0, 1.0]], [[0, 1], [1, 0]])
        >>> check.error < 1e-6
        True
        """
        check = _module("_fit.gradient_check").check_gradient
        found: GradientCheck = check(self, X, Y, sample_weight, l1, l2, indices, n_threads)
        return found

    def explain(self, x: ArrayLike, y: ArrayLike) -> Explanation:
        """Show how backpropagation gets from one instance to the gradient, layer by layer.

        Parameters
        ----------
        x : array_like, shape (m0,) or (1, m0)
            One instance.
        y : array_like, shape (mL,), or a scalar
            Its targets, as for ``cost``.

        Returns
        -------
        Explanation
            A table of each layer's z, a, g'(z), delta = dC/dz, dC/db and dC/dw, in text and, in a
            notebook, in HTML; its attribute ``layers`` has them as arrays. They are the numbers
            that training works with: where the network has a `scaling`, scaled ones.

        Raises
        ------
        TypeError, ValueError
            As for ``gradient``, and for more than one instance.

        Notes
        -----
        Where loss and output match, as softmax and cross-entropy do, delta^(L) is a - y: g'(z) has
        cancelled. Elsewhere delta^(L) = dC/da g'(z), and for l < L delta^(l) is the sum of
        delta^(l+1) times w^(l+1), times g'(z^(l)).

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights(
        ...     [[[1.0, -1.0]], [[0.5], [2.0]]], [[0.0, 1.0], [0.0]], activation="relu"
        ... )
        >>> net.explain([2.0], [3.0])
        x = (2)
        y = (3)
        <BLANKLINE>
        layer 1, relu
        j   z  a  g'(z)  delta  dC/db  dC/dw[0, j]
        0   2  2      1     -1     -1           -2
        1  -1  0      0      0      0            0
        <BLANKLINE>
        layer 2, identity
        j  z  a  g'(z)  delta  dC/db  dC/dw[0, j]  dC/dw[1, j]
        0  1  1      1     -2     -2           -4            0
        <BLANKLINE>
        C = 2
        """
        found: Explanation = _module("explain").explain(self, x, y)
        return found

    # ---- training ----

    @_names.named
    def fit(
        self,
        X: Any,
        Y: Any,
        *,
        solver: Solver | Sequence[Solver] | None = None,
        max_epochs: int | Sequence[int] | None = None,
        tol: float = 1e-8,
        goal: float | None = None,
        max_time: float | None = None,
        callback: Callable[[EpochInfo], object] | None = None,
        callback_every: int = 1,
        sample_weight: ArrayLike | str | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        missing_targets: str = "raise",
        validation: tuple[ArrayLike, ...] | float | None = None,
        patience: int | None = None,
        resume: Mapping[str, ArrayLike] | str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        scale: str | None = None,
        progress: bool = False,
        n_threads: int | None = None,
        seed: int | np.random.Generator | None = None,
        check_finite: bool = True,
    ) -> FitResult:
        """Train the network in place.

        Parameters
        ----------
        X, Y : array_like
            Instances and targets, as for ``cost``. Or data that are read block by block, with the
            same result, a thread reading ahead: X is the path of a Parquet file or of a folder of
            them, a pyarrow Dataset, a polars LazyFrame or an object with ``__arrow_c_stream__``,
            and Y the name of a column or a list of names; or an array of zarr or h5py with such a
            Y; or an object that can be iterated over again and again and gives ``(X, Y)`` or
            ``(X, Y, weights)``, with None as Y. Mini-batches then need ``shuffle="blocks"`` or
            False; docs/reference/large-data.md says what else is different.
        solver : a solver, such as GradientDescent, or a list of them, optional
            How the parameters are improved. Of a list each solver begins where the one before it
            ended: a stage of the fit, which ends as ``"converged"``, ``"max_epochs"``,
            ``"patience"`` or by a rule of its solver's own, while any other reason ends the fit.
            All draw from one stream. None chooses a penalty by rows held out, `l2` of 100 to 0.001
            times the mean weight or none, and a solver for it: `LBFGS` up to 3,000 instances and
            1e8 instances times parameters, else `Adam` with mini-batches and a cosine schedule.
            Without a penalty, and where none is searched for, because `l1`, `l2`, `dropout`,
            `goal`, `patience` or `resume` is given, fewer than 10 instances count or they are a
            full truth table, it is for squared errors, where J^T J takes at most 1e8 operations,
            `LevenbergMarquardt` if there are eight errors a parameter or `l2`, and
            `BayesianRegularization` if there are two and the outputs are linear.
            ``result.choice`` says what was chosen and why, ``result.solver`` and ``result.l2``
            are what it was.
        max_epochs : int or list of int, optional
            Passes over the data at most, those of the fit that is resumed included. With a list of
            solvers of each stage: one number for all, or a list of as many. By default 10,000, or
            with a solver that is chosen a number that suits it, between 50 and 2,000. Of a choice's
            trials those with mini-batches have no more of them each.
        tol : float, default 1e-8
            Stop as ``"converged"`` after the first epoch with ``|C - C_prev| < tol``. C is the sum
            over all instances: the full cost before and after the epoch, or with mini-batches
            the sums of the batches' costs in two successive epochs. 0 never converges. Below about
            4 ulp of C the difference is rounding.
        goal : float, optional
            Stop as ``"goal"`` when C <= goal.
        max_time : float, optional
            Stop as ``"max_time"`` at the end of the epoch in which so many seconds have passed, or
            at once, with the parameters of the last one, where epochs are iterations
            (Levenberg-Marquardt, Bayesian, L-BFGS and conjugate gradients). The choice of a penalty
            takes at most half of it.
        callback : callable, optional
            Called with an `EpochInfo` after every `callback_every`-th epoch; returning True stops.
            What it raises is raised by ``fit``.
        callback_every : int, default 1
            The epochs' numbers that this divides count, through all stages.
        sample_weight : array_like, shape (n,), optional
            Weights of the instances, as for ``cost``; of a table that is read block by block also
            the name of a column.
        class_weight : mapping of int to float, or "balanced", optional
            A factor for the weight of the instances of each class, 1 where none is given, for
            targets that are classes: integers, or 0 and 1 of one output with the cross-entropy.
            ``"balanced"`` gives all classes that occur the same total, that of an unweighted sum:
            n / (classes * instances of the class).
        l1, l2 : float, default 0.0
            Strength of the penalties ``l1 sum abs(w)`` and ``l2/2 sum w^2`` over all weights (not
            the biases), which are part of the cost. It is on the sum over the instances: a
            mini-batch of b of n instances carries b/n of it. With ``l1`` steps follow a
            subgradient, so weights become small and not exactly 0. Not for
            `BayesianRegularization`, which estimates the strength itself, nor ``l1`` for
            `LevenbergMarquardt`. Without a solver ``l2`` is chosen, unless either is given.
        dropout : float or sequence of float, default 0.0
            The probability in [0, 1) with which each unit of the hidden layers, or of each one in
            turn, is dropped from a training step: its activation is 0 for that instance, and those
            that remain are divided by 1 - dropout. Seeded like the order of mini-batches, with a
            new mask in each pass over a batch. The costs during training are those of the thinned
            network; ``result.cost`` is that of the whole one. For `GradientDescent` and `Adam`.
        missing_targets : str, default "raise"
            As for ``cost``, for Y and the validation's, with every loss and solver. An instance
            counts as one of n whatever it lacks: in batches, in the share of the penalty, in rows
            held out. `Levenberg-Marquardt` and its kin have an error of 0 for what is missing, with
            a row of zeros in J; `BayesianRegularization` counts the errors that there are. `scale`
            measures each column of Y by the targets that there are. Y must hold one at least, and
            so must the validation. Not together with `class_weight`.
        validation : tuple (X, Y) or (X, Y, sample_weight), or float, optional
            Instances that the network does not learn from, whose cost, without the penalty, is
            evaluated after each epoch; or a fraction in (0, 1) of X, rounded to whole instances,
            which is set aside: the last rows of a permutation from the stream of `seed`, each with
            its `sample_weight`; `class_weight` is for training alone. Alone it only watches.
        patience : int, optional
            Stop as ``"patience"`` after so many epochs in a row whose validation cost was not below
            the lowest one so far. However the fit ends, the parameters after the first epoch with
            the lowest validation cost are restored, and the result's ``cost`` is theirs.
        resume : mapping of str to array_like, or path, optional
            The ``state`` of an earlier `FitResult`, as it is or read from a file. Its parameters
            are copied into the network and training goes on with the bits of a fit that never
            stopped, given the same data, solver and layers; what the solver is made with may
            change. Not together with `seed`: the random stream is the state's, and the network's
            own goes on with it if it is the same one. Or the name of a file that `checkpoint` has
            written. Then the result is that of the whole run, from its first epoch on, `seed` may
            be the number that the run began with, and a run that is over is not trained further,
            unless `max_epochs` or the rules that ended it have changed. Where it is the file of
            `checkpoint`, too, and there is none yet, the fit begins.
        checkpoint : str or os.PathLike, optional
            A file to go on from with `resume`, should the process be killed. It is written before
            the first step, every `checkpoint_every` seconds, at the end of each stage, and on
            Ctrl-C: to a temporary file beside it, which then takes its place in one step, so that
            it is whole at any moment. With mini-batches it is written between two of them, with all
            instances at once at the end of an epoch. If it cannot be written, the fit goes on.
        checkpoint_every : float, default 60.0
            Seconds from one writing to the next; more where writing takes over 2 % of the time.
        scale : str, optional
            ``"standard"`` trains on columns of mean 0 and standard deviation 1, ``"minmax"`` on
            columns in [-1, 1]: those of X, and those of Y for the squared, absolute, Huber and
            quantile loss. Choose one where columns are far from the size of 1, such as years, or
            far from each other. What the columns need is taken from the instances that are trained
            on, of weight above 0, each counted once, and kept as `scaling`: from then on all
            methods scale what they are given, and ``predict`` gives the units of Y. The parameters
            stay as they are, and now belong to scaled numbers; so do the cost, `goal`, `tol` and a
            loss's parameter. The columns of Y go to the range of outputs that have two limits, as
            sigmoid and tanh, and where there is one, as of relu, they are divided and not shifted.
            Constant columns are divided by 1. None trains with the `scaling` that the network has,
            or without one. With `resume` the scaling is that of the state, and `scale`, if it is
            given, must be its kind.
        progress : bool, default False
            Show a progress bar on standard error if that is a terminal (needs tqdm).
        n_threads : int, optional
            As for ``predict``.
        seed : int, numpy.random.Generator or None
            For the order of mini-batches, dropout and what is set aside for validation. None
            continues the network's own stream, or that of `resume`.
        check_finite : bool, default True
            Refuse NaN and infinities in X, Y and validation. Without the check those in X and Y end
            as divergence, and a validation cost that is NaN is never the lowest.

        Returns
        -------
        FitResult

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong; the network is then as it was.
        OSError
            If the file of `resume` cannot be read, or the folder of `checkpoint` does not exist.
        KeyboardInterrupt
            On Ctrl-C, within 0.1 s, or one chunk of 256 instances where the layers are so wide
            that it takes longer. The network holds the parameters of the last complete step, or
            with `patience` those of the best epoch. What there is so far is the exception's
            attribute ``result``, a `FitResult`, in a notebook ``sys.last_value.result``. With
            `checkpoint` the file is written first, at most five seconds later. The result's
            ``state`` can be resumed, unless it was within an epoch of mini-batches or with
            `dropout`. It is absent before the first epoch begins.

        Warns
        -----
        CheckpointWarning
            Once, if the file of `checkpoint` could not be written.
        DivergenceWarning
            If cost or parameters became infinite or NaN. The parameters from the start of that
            epoch are restored, and the result says ``"diverged"``.
        ConvergenceWarning
            At the start, if targets, `tol` or `goal` do not go with the network; at the end, if the
            fit did not end well. ``FitResult.message`` says why.

        Notes
        -----
        Same data, parameters, seed and solver: same bits, with any number of threads and on every
        machine with FMA.

        Where several rules end the fit after the same epoch, the first of these is its reason:
        ``"diverged"``, ``"converged"``, ``"goal"``, the solver's own, ``"patience"``,
        ``"callback"``, ``"max_epochs"``, ``"max_time"``.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([1, 1], activation="identity", seed=0)
        >>> solver = dl.GradientDescent(learning_rate=0.1)
        >>> result = net.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], solver=solver, tol=1e-12)
        >>> result.stop_reason, [round(float(v), 4) for v in net.parameters]
        ('converged', [2.0, 1.0])

        The targets are noise, so that what is learned from some of them makes others worse:

        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X, Y = rng.normal(size=(40, 5)), rng.normal(size=40)
        >>> net = dl.Network([5, 10, 1], activation="tanh", seed=0)
        >>> solver = dl.GradientDescent(learning_rate=0.01)
        >>> result = net.fit(X, Y, solver=solver, validation=0.25, patience=20)
        >>> result.stop_reason, result.epochs - result.best_epoch
        ('patience', 20)
        >>> result.validation_cost == float(result.history.validation_cost.min())
        True

        Training that stops and goes on gives the bits of training that does not:

        >>> net, twin = dl.Network([1, 1], seed=0), dl.Network([1, 1], seed=0)
        >>> first = net.fit([[0.0], [1.0]], [0.3, 0.6], solver=dl.Adam(), max_epochs=40)
        >>> rest = twin.fit(
        ...     [[0.0], [1.0]], [0.3, 0.6], solver=dl.Adam(), max_epochs=100, resume=first.state
        ... )
        >>> rest.epochs, int(rest.state["epochs"])
        (60, 100)

        Without a solver one is chosen, with a penalty that suits the noise in the data:

        >>> x = np.linspace(-1.0, 1.0, 200).reshape(-1, 1)
        >>> net = dl.Network([1, 4, 1], activation="tanh", output="identity", seed=0)
        >>> result = net.fit(x, np.sin(3 * x) + rng.normal(scale=0.5, size=x.shape))
        >>> result.solver, result.l2
        (LBFGS(), 0.1)
        >>> net.fit(x, np.sin(3 * x), goal=0.01).solver
        LevenbergMarquardt()

        Adam for a while, then Levenberg-Marquardt:

        >>> solvers = [dl.Adam(0.01), dl.LevenbergMarquardt()]
        >>> result = net.fit([[0.0], [1.0]], [0.3, 0.6], solver=solvers, max_epochs=[50, 100])
        >>> [stage.epochs for stage in result.stages][0], result.cost < 1e-12
        (50, True)

        Years and thousands, as they are:

        >>> X, Y = [[1900.0], [1950.0], [2000.0]], [1000.0, 4000.0, 5000.0]
        >>> net = dl.Network([1, 3, 1], activation="tanh", output="identity", seed=0)
        >>> result = net.fit(X, Y, scale="standard", goal=1e-12)
        >>> net.predict([[1950.0]]).round(), net.scaling
        (array([[4000.]]), Scaling(kind='standard', inputs=1, outputs=1))
        """
        result: FitResult = _module("_fit.run").fit(
            self,
            X,
            Y,
            solver=solver,
            max_epochs=max_epochs,
            tol=tol,
            goal=goal,
            max_time=max_time,
            callback=callback,
            callback_every=callback_every,
            sample_weight=sample_weight,
            class_weight=class_weight,
            l1=l1,
            l2=l2,
            dropout=dropout,
            missing_targets=missing_targets,
            validation=validation,
            patience=patience,
            resume=resume,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            scale=scale,
            progress=progress,
            n_threads=n_threads,
            seed=seed,
            check_finite=check_finite,
        )
        return result

    @_names.named
    def trainer(
        self,
        solver: Solver,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        missing_targets: str = "raise",
        resume: Mapping[str, ArrayLike] | None = None,
        n_threads: int | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> Trainer:
        """Return a trainer: one update per call of its ``step``, the solver's state kept.

        Parameters
        ----------
        solver : a solver, such as GradientDescent
            Its ``batch_size`` must be None: each call brings its own batch. A schedule counts
            steps in the place of epochs; `Plateau` needs epochs.
        l1, l2 : float, default 0.0
            As for ``fit``. Each call's cost holds the whole penalty.
        dropout : float or sequence of float, default 0.0
            As for ``fit``.
        missing_targets : str, default "raise"
            As for ``cost``, in each call of ``step``, whose `mask` needs no such permission.
        resume : mapping of str to array_like, optional
            The ``state`` of an earlier trainer. Its parameters are copied into the network, and
            the steps go on with the bits of a trainer that never stopped.
        n_threads : int, optional
            As for ``predict``.
        seed : int, numpy.random.Generator or None
            For dropout. None continues the network's own stream.

        Returns
        -------
        Trainer

        Raises
        ------
        TypeError, ValueError
            If the solver is not one, the network has step units, or `resume` is no state of such
            a trainer; the network is then as it was.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 3, 1], seed=0)
        >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1))
        >>> cost = trainer.step([0.0, 1.0], 1.0)
        >>> trainer.step([0.0, 1.0], 1.0) < cost
        True
        """
        trainer: Trainer = _module("trainer").Trainer(
            self,
            solver,
            l1=l1,
            l2=l2,
            dropout=dropout,
            missing_targets=missing_targets,
            resume=resume,
            n_threads=n_threads,
            seed=seed,
        )
        return trainer

    def predictor(self, n: int = 1) -> Predictor:
        """Return a predictor bound to fixed buffers, for the least overhead per call.

        Parameters
        ----------
        n : int, default 1
            Instances per call.

        Returns
        -------
        Predictor
            With arrays ``x`` and ``y``; calling it fills ``y``.

        Raises
        ------
        TypeError, ValueError
            If n is not an integer of at least 1.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 3, 1], seed=0)
        >>> predictor = net.predictor()
        >>> predictor.x[:] = 0.0, 1.0
        >>> bool(predictor() == net.predict([0.0, 1.0]))
        True
        """
        return Predictor(self, n)

    # ---- copies and files ----

    def copy_from(self, other: Network, tau: float = 1.0) -> None:
        """Take the parameters of another network, or go a part of the way to them.

        ``parameters = (1 - tau) parameters + tau other.parameters``, as for the target network of
        reinforcement learning.

        Parameters
        ----------
        other : Network
            Of the same layers, activations and skips. It is not changed.
        tau : float, default 1.0
            How far to go, in [0, 1]; 1 copies all bits, and the `scaling`. With less both networks
            must have the same `scaling`.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong, the networks differ, or a mixture would hold NaN or infinities;
            this network is then as it was.
        RuntimeError
            If one of them is being trained by another thread.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 3, 1], seed=0)
        >>> target = net.copy()
        >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1))
        >>> cost = trainer.step([0.0, 1.0], 1.0)
        >>> target.copy_from(net, tau=0.01)
        >>> target.copy_from(net)
        >>> bool((target.parameters == net.parameters).all())
        True
        """
        part = _scalars.real("tau", tau)
        if not 0.0 <= part <= 1.0:
            raise ValueError(f"tau must be in [0, 1], got {tau!r}")
        if not isinstance(other, Network):
            raise TypeError(f"other must be a Network, got {type(other).__name__}")
        for name in ("layers", "activation", "output", "residual"):
            own, given = getattr(self, name), getattr(other, name)
            if own != given:
                raise ValueError(f"other must have the same {name}, {own!r}, got {given!r}")
        values, _, scaling = other._snapshot()
        if part < 1.0:
            if scaling != self._scaling:
                raise ValueError(
                    "other must have the same scaling with tau below 1: the parameters of the two "
                    "networks belong to different numbers; copy_from(other) takes its scaling too"
                )
            mine = self._snapshot()[0]
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                mine *= 1.0 - part
                values *= part
                values += mine
            _arrays.finite("the mixture of both networks' parameters", values)
        elif scaling is not self._scaling and scaling != self._scaling:
            self.scaling = scaling
        self._assign(values)

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        """Write the network to a safetensors file; `deltaloop.load` reads it back, bit for bit.

        Parameters
        ----------
        path : str or os.PathLike
            Replaced as a whole, or left as it was if writing fails.
        metadata : mapping of str to str, optional
            Notes of the caller's, kept in the file's header.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong or a parameter is not finite.
        OSError
            If the file cannot be written.
        RuntimeError
            While another thread trains the network, whose parameters are then those of no complete
            step. A callback of ``fit`` may save it.

        Examples
        --------
        >>> import deltaloop as dl, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "xor.safetensors")
        >>> net = dl.Network([2, 2, 1], seed=0)
        >>> net.save(path)
        >>> bool((dl.load(path).parameters == net.parameters).all())
        True
        """
        _module("_files.model").save(self._frozen(), path, metadata)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an ONNX file, which `deltaloop.from_onnx` reads back, bit for bit.

        The graph computes in float64, of operators that ONNX Runtime has in that type: inputs
        ``X`` (n, m^(0)), outputs ``Y`` (n, m^(L)), opset 17. All weights are in the file.

        Parameters
        ----------
        path : str or os.PathLike
            Replaced as a whole, or left as it was if writing fails.

        Raises
        ------
        ImportError
            Without onnx: ``pip install 'deltaloop[onnx]'``.
        TypeError, ValueError
            If `path` is wrong, a parameter is not finite, or there are more than 2 GB of them.
        OSError
            If the file cannot be written.
        RuntimeError
            As for ``save``.

        Examples
        --------
        >>> import deltaloop as dl, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "net.onnx")
        >>> net = dl.Network([2, 3, 1], activation="elu", seed=0)
        >>> net.to_onnx(path)
        >>> bool((dl.from_onnx(path).parameters == net.parameters).all())
        True
        """
        _module("_onnx.write").write(self._frozen(), path)

    def to_c(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "net",
        dtype: str = "float64",
        arithmetic: str | None = None,
        header: bool = False,
        jacobian: bool = False,
        casadi: bool = False,
        train: str | Solver | None = None,
    ) -> None:
        """Write the network as one file of C, which needs nothing of deltaloop.

        The text is C99, and C++17 too: no allocation, no input or output, no global data that
        change. The weights are constants, the scaling is part of it, and every function may be
        called by many threads. With ``name="net"`` it has ``net_predict(x, y, workspace)``, where
        ``NET_INPUTS``, ``NET_OUTPUTS`` and ``NET_WORKSPACE`` are the lengths of the three arrays,
        and ``net_self_test()``: 0, or the number of the first of eight vectors in the file whose
        outputs are wrong. The text is yours (0BSD).

        In float64 the results are the bytes of ``predict``, wherever a double is IEEE binary64;
        compile with ``-ffp-contract=off``. A processor without fused multiply-add for doubles
        gets the same bytes by an exact one in software. Only which NaN a NaN is may differ.

        Parameters
        ----------
        path : str or os.PathLike
            The file, by convention ``.c``; an existing one is replaced as a whole, or left as it
            was if writing fails.
        name : str, default "net"
            What the functions' names begin with, an identifier; in capitals that of the macros.
        dtype : {"float64", "float32"}, default "float64"
            ``"float32"``: weights are rounded once, and all arithmetic is of that type. How far
            the results were from float64 on likely inputs stands at the top of the file.
        arithmetic : {"fma", "base"}, optional
            Whose results they are: ``"fma"`` those of machines with fused multiply-add, ``"base"``
            those of machines without (``DELTALOOP_ISA=base``). By default those of this machine.
            float32 does without in any case.
        header : bool, default False
            Whether to write the prototypes to a ``.h`` file beside the C file.
        jacobian : bool, default False
            Adds ``net_jacobian(x, dydx, workspace)``: the bytes of ``jacobian(x, wrt="inputs")``,
            an array (``NET_OUTPUTS``, ``NET_INPUTS``), with a workspace of
            ``NET_JACOBIAN_WORKSPACE``. The weights are then in the file twice.
        casadi : bool, default False
            Adds the functions by which CasADi, and with it acados, calls the network and its
            Jacobian in a shared library: ``casadi.external("net", "./net.so")``. It needs float64
            and includes `jacobian`.
        train : {"sgd", "momentum", "adam"} or solver, optional
            Adds ``net_step(state, x, y)``: one update on one instance, the bytes of
            ``trainer.step``; it returns the cost before it. ``net_init(state)`` begins, where the
            state has ``NET_STATE`` numbers: the learning rate, which may be set at any time, and
            the weights, for ``net_predict_state`` and ``net_parameters``. The names stand for
            ``GradientDescent(0.01)``, the same with ``momentum=0.9``, and ``Adam()``; AdamW is
            possible too. For sqrt and fma some systems need ``-lm``.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong; a parameter is not finite, or none of float32; step units have
            no derivatives for `jacobian` and `train`; or C has no such solver. Nothing is written.
        OSError
            If a file cannot be written.
        RuntimeError
            As for ``save``.

        Examples
        --------
        >>> import deltaloop as dl, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.c"
        >>> net = dl.Network([2, 3, 1], activation="tanh", seed=0)
        >>> net.to_c(path, jacobian=True)
        >>> "void net_predict(const double *x, double *y, double *workspace);" in path.read_text()
        True
        """
        _c = _module("_c.write")
        asked = _c.options(
            name=name,
            dtype=dtype,
            arithmetic=arithmetic,
            header=header,
            jacobian=jacobian,
            casadi=casadi,
            train=train,
        )
        _c.write(self._frozen(), path, asked)

    def to_sklearn(self, classes: ArrayLike | None = None) -> Any:
        """Make a fitted estimator of scikit-learn that predicts the same.

        Parameters
        ----------
        classes : sequence, optional
            The labels of a classifier in ascending order, by default 0, 1, ...

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            A classifier for the cross-entropies, of several labels for independent outputs; else a
            regressor. The parameters are copied; two softmax units become one sigmoid, of the
            difference of their weights, as scikit-learn has for two classes. It trains on with
            scikit-learn's losses, which for a regressor take outputs to be linear (exp for
            Poisson): of others only the predictions are right.

        Raises
        ------
        ImportError
            Without scikit-learn.
        TypeError, ValueError
            If scikit-learn has no such network, or `classes` do not fit.
        RuntimeError
            As for ``save``.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 3, 2], activation="tanh", loss="cross_entropy", seed=0)
        >>> estimator = net.to_sklearn(classes=["no", "yes"])
        >>> estimator.predict_proba([[0.0, 1.0]]).shape
        (1, 2)
        """
        return _module("_export").to_sklearn(self._frozen(), classes)

    def to_torch(self) -> Any:
        """Make a ``torch.nn.Sequential`` in float64 that computes the same.

        Returns
        -------
        torch.nn.Sequential
            ``Linear`` layers and activations. Units of exp, steps and layers with skip connections
            are modules of `deltaloop.torch`. The parameters are copied.

        Raises
        ------
        ImportError
            Without PyTorch.
        RuntimeError
            As for ``save``.

        Examples
        --------
        >>> import deltaloop as dl
        >>> dl.Network([2, 3, 1], activation="tanh", seed=0).to_torch()
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): Tanh()
          (2): Linear(in_features=3, out_features=1, bias=True)
          (3): Tanh()
        )
        """
        return _module("_export").to_torch(self._frozen())

    def copy(self) -> Self:
        """Return an independent copy: parameters, settings and the position in the stream.

        Returns
        -------
        Network

        Raises
        ------
        RuntimeError
            As for ``save``; ``copy.copy``, ``copy.deepcopy`` and ``pickle`` too.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 2, 1], seed=0)
        >>> twin = net.copy()
        >>> twin.parameters[:] = 0.0
        >>> bool(net.parameters.any())
        True
        """
        twin = self._restore(*self._state())
        twin.__dict__.update(self.__dict__)  # what a subclass keeps
        return twin

    def _state(self) -> tuple[Any, ...]:
        """Return the arguments of ``_restore`` for a copy, all of one moment."""
        parameters, position, scaling = self._snapshot()
        return (
            self.layers,
            self.activation,
            self.output,
            self.loss,
            self.residual,
            self.init,
            self.seed,
            position,
            parameters,
            *(() if scaling is None else (scaling,)),
        )

    def _frozen(self) -> Network:
        """Return a plain copy, which no training goes on with while it is read."""
        return Network._restore(*self._state())

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = self._restore(*self._state())
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return all that distinguishes it, as plain values and arrays: the keys of STATE.

        Tools that do without pickle keep it: skops, for one.
        """
        state = dict(zip_longest(STATE, self._state()))
        if state["scaling"] is not None:
            state["scaling"] = vars(state["scaling"]).copy()
        return state | {"attributes": self.__dict__.copy()}  # what a subclass keeps

    def __setstate__(self, state: dict[str, Any]) -> None:
        if set(state) != {*STATE, "attributes"}:  # a pickle of version 0.1.0, made by `_unpickle`
            self.__dict__.update(state)
            return
        self._initialise(*map(state.get, STATE))  # type: ignore[arg-type]
        self.__dict__.update(state["attributes"])

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self),), self.__getstate__()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        hidden = self.activation
        shown: object = list(hidden)
        if len(set(hidden)) == 1:
            shown = hidden[0]
        parts = [str(list(self.layers))]
        if hidden:
            parts.append(f"activation={shown!r}")
        parts += [f"output={self.output!r}", f"loss={self.loss!r}"]
        if self.residual:
            parts.append("residual=True")
        if self._scaling is not None:
            parts.append(f"scaling={self._scaling.kind!r}")
        try:
            parts.append(f"seed={self.seed}")
        except ValueError:  # Python writes no such number in decimal digits
            parts.append(f"seed={self.seed:#x}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _repr_html_(self) -> str:
        return str(_module("_html").table(self))


def _unpickle(cls: type[Network], *state: Any) -> Network:
    """Make what a pickle of version 0.1.0 holds."""
    return cls._restore(*state)


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `Network.save` wrote.

    The file of a table's model is for ``deltaloop.tabular.TabularModel.load``: of it this reads the
    network alone, whose inputs are encoded columns, and warns.

    Parameters
    ----------
    path : str or os.PathLike
        The file to read. It may come from an untrusted source.

    Returns
    -------
    Network
        With the same parameters, seed and position in its random stream, bit for bit.

    Warns
    -----
    UserWarning
        If the file holds a model of a table.

    Raises
    ------
    TypeError
        `path` is neither a str nor an os.PathLike of one.
    ValueError
        The file is not a deltaloop model, is damaged, or is of a newer version.
    OSError
        The file cannot be read: FileNotFoundError, IsADirectoryError, PermissionError, ...

    Examples
    --------
    >>> import deltaloop as dl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> dl.Network([2, 3, 1], activation="tanh", seed=7).save(path)
    >>> dl.load(path)
    Network([2, 3, 1], activation='tanh', output='tanh', loss='squared_error', seed=7)
    """
    network, notes = _read(path)
    if notes.of_table:
        warnings.warn(
            f"{notes.name}: holds a model of a table, and this is its network alone, whose "
            f"{network.layers[0]} inputs are encoded columns, not those of the table. "
            "deltaloop.tabular.TabularModel.load reads the model, and its attribute network is "
            "this network",
            stacklevel=2,
        )
    return network


def _read(path: object) -> tuple[Network, _model.Notes]:
    """Return the network of a file that was read once, and what else it says."""
    name = path_name(path)
    with naming(name):
        description, values, notes = _module("_files.model").read(name)
        network = Network._restore(
            description.layers,
            description.activation,
            description.output,
            description.loss,
            description.residual,
            description.init,
            description.seed,
            description.position,
            values[: description.n_parameters],
            description.scaling_of(values),
        )
        return network, notes
