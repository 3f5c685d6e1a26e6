"""What both estimators are: a network with scikit-learn's interface."""

from __future__ import annotations

import inspect
import os
from operator import is_
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from deltaloop import _core
from deltaloop._fit.run import exclusive
from deltaloop.network import Network
from deltaloop.sklearn import _blocks, _settings
from deltaloop.sklearn._document import page_address
from deltaloop.sklearn._optimizer import DivergedError, Optimizer
from deltaloop.sklearn._rows import Array, Rows
from deltaloop.sklearn._training import Training

if TYPE_CHECKING:
    from deltaloop.sklearn._settings import Settings

Floats = NDArray[np.float64]

_FLOAT64 = np.dtype(np.float64)
# What a pickle does without.
_REMADE = ("_views", "coefs_", "intercepts_", "_settings")


def is_stochastic(estimator: Perceptron) -> bool:
    """Whether partial_fit is there; otherwise an AttributeError that says why not."""
    if estimator.solver in _settings.STOCHASTIC:
        return True
    raise AttributeError(
        f"partial_fit is there with the solvers {' and '.join(_settings.STOCHASTIC)} alone, "
        f"got {estimator.solver!r}"
    )


class Perceptron(Training):
    """Fitting, the parameters as scikit-learn shows them, and the outputs of the network.

    The network is ``network_``; ``coefs_`` and ``intercepts_`` are views of its parameters, or
    copies of them in float32 where the model was fitted to float32. What a caller puts in their
    place is copied in before it is next used.
    """

    n_features_in_: int

    _doc_link_module = "deltaloop"

    @property
    def _doc_link_template(self) -> str:
        """What scikit-learn's HTML of an estimator links to: nothing where there is no address."""
        return page_address()

    def __init__(self, **parameters: Any) -> None:
        for name, value in parameters.items():
            setattr(self, name, value)

    # ---- what the two differ in ----

    def _targets(self, y: Array, incremental: bool) -> tuple[Array, bool, int]:
        """Return y as C reads it, whether it holds classes (n,), and the number of outputs."""
        raise NotImplementedError

    def _numeric_targets(self) -> bool:
        return False

    def _weights_of(self, y: Array, weights: Floats | None, incremental: bool) -> Floats | None:
        """Return the weights of instances with the targets y: those given, and the classes'."""
        return weights

    # ---- the parameters ----

    def _ready(self) -> Network:
        """Return the network, with the parameters that are shown. NotFittedError without one."""
        network: Network | None = self.__dict__.get("network_")
        if network is None:
            check_is_fitted(self)
            raise AssertionError
        shown, views = [*self.coefs_, *self.intercepts_], self._views
        if len(shown) != len(views) or not all(map(is_, shown, views)):
            self._adopt()
        return network

    def _adopt(self) -> None:
        """Copy the parameters in that a caller has put in the place of the network's."""
        shown = [*self.coefs_, *self.intercepts_]
        names = [f"coefs_[{i}]" for i in range(len(self.coefs_))]
        names += [f"intercepts_[{i}]" for i in range(len(self.intercepts_))]
        if len(shown) != len(self._views):
            raise ValueError(
                f"coefs_ and intercepts_ must hold {len(self._views)} arrays, got {len(shown)}"
            )
        exact = [*self.network_.weights, *self.network_.biases]  # of float32 ones, too
        arrays = [
            own if array is view else np.asarray(array, dtype=np.float64)
            for array, view, own in zip(shown, self._views, exact, strict=True)
        ]
        for name, array, view in zip(names, arrays, self._views, strict=True):
            if array.shape != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {array.shape}")
        L = len(self.coefs_)
        parts = [part for layer in zip(arrays[:L], arrays[L:], strict=True) for part in layer]
        self.network_._assign(np.concatenate([part.ravel() for part in parts]))
        self._link()

    def __getstate__(self) -> dict[str, Any]:
        if "network_" not in self.__dict__:
            return dict(super().__getstate__())
        self._ready()
        with exclusive(self.network_):
            state = dict(super().__getstate__())
            # All of one moment: the arrays of the state are copies already, and neither the network
            # nor a run can be copied while it runs.
            state["network_"] = self.network_._frozen()
            state["_optimizer"] = self._optimizer and self._optimizer.plain()
        if "_dtype" in state:
            state["_dtype"] = state["_dtype"].name
        return {k: v for k, v in state.items() if k not in _REMADE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_dtype" in self.__dict__:
            self._dtype = np.dtype(self._dtype)
            if self._dtype not in (np.float32, np.float64):
                raise ValueError(f"_dtype must be float32 or float64, got {self._dtype}")
        kept: Any = self.__dict__.get("_optimizer")
        if isinstance(kept, dict):  # pickles of 0.1.0 hold the object
            self._optimizer = Optimizer.of_plain(kept)
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if name != "self" and name not in self.__dict__:  # of a version that had it not
                self.__dict__[name] = parameter.default
        if "network_" in self.__dict__:
            self._link()

    # ---- prediction ----

    def _outputs(self, X: Any) -> tuple[Array, np.dtype[Any]]:
        """Return a^(L), (n, mL), of instances that scikit-learn's rules allow.

        In float64, with the type that a prediction has: float32 of a model fitted to float32 for
        instances that are no wider, as in a product of the two.
        """
        network = self._ready()
        if self._is_plain(X, network):
            return network.predict(X), _FLOAT64
        kind = _blocks.find_instances(X)
        if kind is not None:
            return _blocks.outputs(self, kind, X)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return self._predict_blocks(X), np.result_type(X.dtype, self._dtype)

    # ---- arrays that need no conversion and no message ----

    def _is_plain(self, X: Any, network: Network) -> bool:
        """Whether scikit-learn's checks would return these instances as they are.

        They take a thousand times as long as a prediction of a small network.
        """
        if "feature_names_in_" in self.__dict__:
            return False
        return network._reads_rows(X) or (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype == _FLOAT64
            and X.shape[1] == network.layers[0]
            and X.shape[0] > 0
            and _core.is_direct(X)
            and _core.find_nonfinite(X) is None
        )

    def _plain_targets(self, y: Any, n: int) -> tuple[Array, bool, int] | None:
        """Return what `_targets` makes of n targets that the checks would return as they are.

        None for any others, for those that give a reason to warn, and in case of doubt.
        """
        return None

    # ---- fitting ----

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances. Sparse ones become dense block by block with the solvers sgd and adam, and
            all at once with the others. Or data that are read in blocks, as ``Network.fit`` takes
            them, by sgd or adam: y is then the name of a column, or None for blocks (X, y), and
            shuffle is within blocks. Classes are found in a first pass; they may be texts.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances, at least 0; 1 each by default.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an array is not as it should be, or training diverged.
        """
        kind = _blocks.find(X, y)
        if kind is not None:
            fitted: Self = _blocks.fit(self, kind, X, y, sample_weight)
            return fitted
        return self._fit(X, y, sample_weight, False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        if "network_" in self.__dict__ and (incremental or bool(self.warm_start)):
            return self._go_on(X, y, sample_weight, False, incremental)
        before = dict(self.__dict__)
        try:
            return self._go_on(X, y, sample_weight, True, incremental)
        except BaseException:  # the model that there was is left as it was
            self.__dict__ = before
            raise

    def _go_on(self, X: Any, y: Any, sample_weight: Any, first: bool, incremental: bool) -> Self:
        settings = _settings.known(self)
        if incremental and settings.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        weights, plain = None, None
        if incremental and not first and sample_weight is None and self._is_plain(X, self._ready()):
            plain = self._plain_targets(y, X.shape[0])
        if plain is None:
            X, y = validate_data(
                self,
                X,
                y,
                accept_sparse=["csr", "csc"],
                multi_output=True,
                y_numeric=self._numeric_targets(),
                dtype=(np.float64, np.float32),
                reset=first,
            )
        if sample_weight is not None:
            weights = np.asarray(_check_sample_weight(sample_weight, X), dtype=np.float64)
            if weights.min() < 0:
                raise ValueError(f"sample_weight must be at least 0, got {weights.min()}")
        if first:
            self._dtype = X.dtype
            self.__dict__.pop("_input_names", None)
        targets, labels, n_outputs = plain or self._targets(y, incremental)
        weights = self._weights_of(y, weights, incremental)
        rows = Rows(X, targets, labels, weights)
        self._network_for(settings, [X.shape[1], *settings.hidden, n_outputs], first)
        return self._fit_rows(settings, rows, incremental)

    def _network_for(self, settings: Settings, layers: list[int], first: bool) -> None:
        """Make the network, or see to it that there is the right one."""
        if first:
            self._begin(settings, layers)
        elif list(self._ready().layers) != layers:
            raise ValueError(
                "warm_start and partial_fit need the layers of the previous call, "
                f"{list(self.network_.layers)}, got {layers}"
            )
        elif (
            self.network_.activation != settings.activation
            or self.network_.loss != (self._loss(settings)[0])
        ):
            self._make_network(settings, layers, self.network_.parameters)

    def _fit_rows(self, settings: Settings, rows: Rows, incremental: bool) -> Self:
        with exclusive(self.network_):
            try:
                self._train(settings, rows, incremental)
            except DivergedError:
                raise ValueError(
                    "Solver produced non-finite parameter weights. The input data may contain "
                    "large values and need to be preprocessed; a smaller learning_rate_init may "
                    "help too."
                ) from None
            finally:
                if self._dtype != np.float64:
                    self._link()  # what is shown are copies
        return self

    def _c_note(self) -> str:
        """Return what the top of a C file says of the outputs."""
        return ""

    def to_c(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "model",
        dtype: str = "float64",
        arithmetic: str | None = None,
        header: bool = False,
        jacobian: bool = False,
        casadi: bool = False,
    ) -> None:
        """Write the model as one file of C: see ``deltaloop.Network.to_c``.

        The outputs are probabilities of a classifier's classes, as the top of the file says, or a
        regressor's values.

        Parameters
        ----------
        path : str or os.PathLike
            The file.
        name : str, default "model"
            What the functions' names begin with.
        dtype, arithmetic, header, jacobian, casadi
            As for ``deltaloop.Network.to_c``.

        Raises
        ------
        TypeError, ValueError, OSError
            As there.
        """
        from deltaloop._c import write as _c  # which few need

        asked = _c.options(
            name=name,
            dtype=dtype,
            arithmetic=arithmetic,
            header=header,
            jacobian=jacobian,
            casadi=casadi,
        )
        network = self._ready()._frozen()
        _c.write(network, path, asked, note=self._c_note())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
