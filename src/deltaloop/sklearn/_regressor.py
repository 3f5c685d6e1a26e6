"""The regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import xlogy
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from deltaloop import _core
from deltaloop._arguments import arrays as _arrays
from deltaloop._losses import LOSSES, targets
from deltaloop._onnx import write as _onnx
from deltaloop.losses import _parts as parts
from deltaloop.sklearn import _blocks
from deltaloop.sklearn._document import documented
from deltaloop.sklearn._estimator import Perceptron, is_stochastic
from deltaloop.sklearn._rows import Array, Rows

if TYPE_CHECKING:
    import os

    from deltaloop.losses import Loss
    from deltaloop.sklearn._settings import Settings


@documented
class MLPRegressor(RegressorMixin, Perceptron):
    """Multilayer perceptron for regression: scikit-learn's, on deltaloop's core.

    It minimises a loss over mini-batches, or over all instances, plus a penalty, for one target or
    several.

    Parameters
    ----------
    loss : str, deltaloop.Huber or deltaloop.Quantile, default="squared_error"
        ``"squared_error"``, half the squared error, summed over the outputs; ``"poisson"``, half
        the Poisson deviance, for counts, with outputs that are exponentials; beyond
        scikit-learn's ``"absolute_error"``, ``"huber"`` and ``"quantile"``, or the last two as
        objects with their parameters.
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    MLPClassifier : For classes.
    deltaloop.Network : What it is made of, with more to set.

    Examples
    --------
    >>> import numpy as np
    >>> from deltaloop.sklearn import MLPRegressor
    >>> X = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> y = np.sin(3 * X[:, 0])
    >>> model = MLPRegressor(
    ...     hidden_layer_sizes=(10,), activation="tanh", solver="lm", alpha=0, random_state=0
    ... ).fit(X, y)
    >>> bool(model.score(X, y) > 0.9999)
    True
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        n_threads: int | None = None,
    ) -> None:
        parameters = dict(locals())
        for name in ("self", "__class__"):
            del parameters[name]
        super().__init__(**parameters)

    # ---- fitting ----

    def _numeric_targets(self) -> bool:
        return True

    def _targets(self, y: Array, incremental: bool) -> tuple[Array, bool, int]:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = _arrays.numbers("y", y if y.ndim == 2 else y.reshape(-1, 1))
        if targets(self.loss) == "counts":
            _arrays.not_negative(y, "y")
        return y, False, y.shape[1]

    def _plain_targets(self, y: Any, n: int) -> tuple[Array, bool, int] | None:
        if (
            type(y) is not np.ndarray
            or y.ndim not in (1, 2)
            or len(y) != n
            or y.dtype.kind not in "fiu"
            or (y.ndim == 2 and y.shape[1] < 2)  # of which scikit-learn warns
            or not _core.is_direct(y)
        ):
            return None
        table = y if y.ndim == 2 else y.reshape(-1, 1)
        return None if _core.find_nonfinite(table) is not None else self._targets(y, True)

    def _loss(self, settings: Settings) -> tuple[Loss, str]:
        default = LOSSES[parts(settings.loss)[0]].default
        return settings.loss, "identity" if default is None else default[0]

    def _left_out(self, rows: Rows) -> Array | None:
        """Return y log y - y of the Poisson deviance."""
        if self.network_.loss != "poisson":
            return None
        y = rows.y.astype(np.float64)
        terms: Array = (xlogy(y, y) - y).sum(axis=1)
        return terms

    def _score_of(self, a: Array, rows: Rows) -> float:
        with np.errstate(over="ignore"):
            return float(r2_score(rows.y, a, sample_weight=rows.weights))

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch of mini-batches of these instances, from where the model is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances, at least 0; 1 each by default.

        Returns
        -------
        self
            The estimator.

        Examples
        --------
        >>> from deltaloop.sklearn import MLPRegressor
        >>> model = MLPRegressor(hidden_layer_sizes=(3,), random_state=0)
        >>> model.partial_fit([[0.0], [1.0]], [1.0, 2.0]).n_iter_
        1
        """
        kind = _blocks.find(X, y)
        if kind is not None:
            fitted: Self = _blocks.partial_fit(self, kind, X, y, sample_weight)
            return fitted
        return self._fit(X, y, sample_weight, True)

    # ---- prediction ----

    def predict(self, X: Any) -> Array:
        """Values for instances.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances, or data that are read in blocks, as for ``fit``. Of a table the columns are
            taken that the model was fitted to.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Float32 if the model was fitted to float32 and X is float32, else float64.
        """
        a, dtype = self._outputs(X)
        if a.shape[1] == 1:
            a = a.ravel()
        return a if a.dtype is dtype else a.astype(dtype, copy=False)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R squared: 1 minus the squared error by that of the mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances, or data that are read in blocks, as for ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets. With data that are read in blocks as for ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances.

        Returns
        -------
        float
            At most 1.
        """
        kind = _blocks.find(X, y)
        if kind is None:
            return float(super().score(X, y, sample_weight))
        self._ready()
        true, found, weights = _blocks.scored(self, kind, X, y, sample_weight)
        return float(r2_score(true, found, sample_weight=weights))

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model as an ONNX file in float64: see ``deltaloop.Network.to_onnx``.

        Parameters
        ----------
        path : str or os.PathLike
            The file.

        Raises
        ------
        ImportError
            Without onnx: ``pip install 'deltaloop[onnx]'``.
        """
        _onnx.write(self._ready()._frozen(), path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
