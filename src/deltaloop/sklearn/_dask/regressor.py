"""The regressor on a cluster."""

from __future__ import annotations

from typing import Any

import numpy as np

from deltaloop._losses import targets as kind_of_targets
from deltaloop.sklearn._dask.estimator import OnCluster, RowsElsewhere, shared
from deltaloop.sklearn._dask.tasks import (
    OfValues,
    Shape,
    moments_of,
    poisson_terms,
    predictions,
    spread_of,
)
from deltaloop.sklearn._regressor import MLPRegressor
from deltaloop.sklearn._rows import Array, Rows


@shared
class DaskMLPRegressor(OnCluster, MLPRegressor):
    """``deltaloop.sklearn.MLPRegressor`` on the rows that the workers of a Dask cluster hold.

    ``fit`` gives the parameters that ``MLPRegressor.fit`` gives with the same rows in one array,
    bit by bit. Predictions are Dask's collections, in the blocks of the instances.

    Parameters
    ----------
    {cluster}
    **parameters
        Those of ``deltaloop.sklearn.MLPRegressor``, but for ``early_stopping``, which must be
        False.

    Attributes
    ----------
    network_ : deltaloop.Network
        The network; and all other attributes of ``MLPRegressor``.

    See Also
    --------
    deltaloop.distributed.dask_fit : The same for networks, with more to set.

    Examples
    --------
    >>> import dask.array as da
    >>> from dask.distributed import Client, LocalCluster
    >>> from deltaloop.distributed import DaskMLPRegressor
    >>> cluster = LocalCluster(n_workers=2, processes=False, dashboard_address=":0")
    >>> X = da.random.default_rng(0).normal(size=(5000, 2), chunks=(2000, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> with Client(cluster) as client:
    ...     model = DaskMLPRegressor(
    ...         hidden_layer_sizes=(10,), solver="lbfgs", tol=0.01, random_state=0, client=client
    ...     )
    ...     bool(model.fit(X, y).score(X, y) > 0.9)
    True
    >>> cluster.close()
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
        client: Any = None,
        timeout: float = 60.0,
    ) -> None:
        parameters = dict(locals())
        del parameters["self"]
        self.__dict__.update(parameters)

    def _targets_of(self, shapes: list[Shape]) -> tuple[Any, int]:
        columns = shapes[0].y_shape
        return OfValues(kind_of_targets(self.loss) == "counts"), columns[0] if columns else 1

    def _left_out(self, rows: Rows) -> Array | None:
        if not isinstance(rows, RowsElsewhere) or self.network_.loss != "poisson":
            return super()._left_out(rows)
        training = rows.elsewhere.training
        asked = [training.cluster.client.submit(poisson_terms, each) for each in training.futures]
        return np.concatenate(training.cluster.gather(asked, "reading y"))

    def predict(self, X: Any) -> Any:
        """Return values for instances, as a Dask collection.

        Parameters
        ----------
        X : Dask array or dataframe, or list of delayed blocks
            Instances of shape (n_samples, n_features).

        Returns
        -------
        Dask array, series or dataframe, or list of delayed blocks
            As ``MLPRegressor.predict`` returns, in the blocks of X.
        """
        self._ready()
        shape = (self.n_outputs_,) if self.n_outputs_ > 1 else ()
        return self._on_blocks(predictions, X, shape, self._dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2, the mean of those of the outputs, computed where the rows are.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        float
            With another order of summation than scikit-learn's: the last digits may differ.
        """
        self._ready()
        n, total, rest = self._sum_on_blocks(moments_of, self.local(), X, y, sample_weight)
        spread = self._sum_on_blocks(spread_of, total / n, y, sample_weight, None)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(spread > 0, 1.0 - rest / spread, np.where(rest > 0, 0.0, 1.0))
        return float(share.mean())
