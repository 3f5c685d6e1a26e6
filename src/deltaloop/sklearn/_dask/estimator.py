"""What both estimators do on a cluster, and their rows, which are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop.distributed import _tree
from deltaloop.distributed._dask.blocks import Form, Options
from deltaloop.distributed._dask.cluster import Cluster
from deltaloop.distributed._dask.data import Instances, columns_of
from deltaloop.distributed._dask.fit import OnWorkers
from deltaloop.distributed._dask.predict import by_blocks
from deltaloop.sklearn import _settings
from deltaloop.sklearn._classifier import MLPClassifier
from deltaloop.sklearn._dask.tasks import Shape, same, shape_of, weights_of
from deltaloop.sklearn._regressor import MLPRegressor
from deltaloop.sklearn._rows import Array, Rows, mean_of

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop.network import Network

NAMES = ("X", "y", "sample_weight")


class RowsElsewhere(Rows):
    """Instances on the workers of a cluster; X and y are those that the warnings look at."""

    def __init__(self, elsewhere: OnWorkers, weights: NDArray[np.float64] | None) -> None:
        x, y, labels, _ = elsewhere.sample
        super().__init__(x, y, labels, elsewhere.weights)
        self.n = elsewhere.n
        self.elsewhere = elsewhere
        self.all_weights = weights  # those of all, one number a row

    def __getitem__(self, index: Array) -> Rows:
        x, y, weights = self.elsewhere.training.take(index)
        return Rows(x, y, self.labels, weights)

    @property
    def total_weight(self) -> float:
        """Sum of the weights, of 1 each by default."""
        return float(self.n) if self.all_weights is None else float(self.all_weights.sum())

    def epoch_mean(self, values: Array, order: Array | None, batch_size: int) -> float:
        """Return the mean, by rows, of the weighted means of values (n,) in an epoch's batches."""
        return mean_of(self.all_weights, values, order, batch_size)

    def cost(self, network: Network, n_threads: int, problem: Problem) -> float:
        """Return the cost of all."""
        # It is asked for without a penalty alone.
        return float(self.elsewhere.cost(network.parameters.copy()))


class OnCluster:
    """What both estimators do on a cluster, in the place of the same methods for arrays."""

    client: Any
    timeout: float

    def _cluster(self) -> Cluster:
        return Cluster.of(self.client, self.timeout)

    def _shapes(self, cluster: Cluster, columns: Sequence[Sequence[Any]]) -> list[Shape]:
        """Return what there is to know of the blocks."""
        classes = hasattr(self, "predict_proba")
        asked = [
            cluster.client.submit(shape_of, classes, *block, pure=False)
            for block in zip(*columns, strict=True)
        ]
        found = cluster.gather(asked, "reading X")
        for i, each in enumerate(found):
            if each.error is not None:
                raise type(each.error)(f"block {i}: {each.error}")
        there = [each for each in found if each.n > 0]
        if not there:
            raise ValueError(f"X is empty: none of its {len(found)} blocks has rows")
        for i, each in enumerate(found):
            if each.n and (each.width, each.y_shape) != (there[0].width, there[0].y_shape):
                raise ValueError(
                    f"blocks differ: {there[0].width} features and targets of the shape "
                    f"{there[0].y_shape} in the first with rows, {each.width} and {each.y_shape} "
                    f"in block {i}"
                )
        return there

    def _note_features(self: Any, shape: Shape) -> None:
        self.n_features_in_ = shape.width
        self.__dict__.pop("feature_names_in_", None)
        if shape.columns is not None and all(isinstance(name, str) for name in shape.columns):
            self.feature_names_in_ = np.array(shape.columns, dtype=object)

    def _targets_of(self, shapes: list[Shape]) -> tuple[Any, int]:
        """Return what makes targets of y, and the number of outputs."""
        raise NotImplementedError

    def _class_factors(self, instances: Instances) -> Array | None:
        """Return the weight of each class, if any."""
        return None

    def fit(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model to the rows of a cluster; see ``deltaloop.distributed.dask_fit``.

        Parameters
        ----------
        X, y : Dask array, dataframe or series, or list of delayed blocks or futures
            Instances of shape (n_samples, n_features) and their targets, in blocks of whole rows.
        sample_weight : of the kinds that y may have, default=None
            Weights of the instances, at least 0; 1 each by default.

        Returns
        -------
        self
            The estimator.
        """
        cluster = self._cluster()
        settings = _settings.known(self)
        if settings.early_stopping:
            raise ValueError(
                "early_stopping=True sets rows aside, which is not done on a cluster; use "
                "deltaloop.distributed.dask_fit with validation=(X, Y)"
            )
        first = not (self.warm_start and "network_" in self.__dict__)
        before = dict(self.__dict__)
        try:
            return self._fit_cluster(cluster, settings, X, y, sample_weight, first)
        except BaseException:
            if first:  # the model that there was is left as it was
                self.__dict__ = before
            raise

    def _fit_cluster(
        self: Any, cluster: Cluster, settings: Any, X: Any, y: Any, weights: Any, first: bool
    ) -> Any:
        columns = columns_of(cluster, NAMES, X, y, weights)
        shapes = self._shapes(cluster, columns)
        if first:
            self._note_features(shapes[0])
            kinds = {each.dtype for each in shapes}
            self._dtype = np.dtype(np.float32 if kinds == {np.dtype(np.float32)} else np.float64)
        of_targets, n_outputs = self._targets_of(shapes)
        layers = [shapes[0].width, *settings.hidden, n_outputs]
        self._network_for(settings, layers, first)
        form = Form.of(self.network_)
        options = Options(names=NAMES, targets=of_targets)
        n_threads = self.n_threads
        instances = Instances.read(cluster, form, columns, options, n_threads)
        del columns
        if instances.facts[0].weighted and not any(each.positive for each in instances.facts):
            raise ValueError("sample_weight holds nothing but zeros")
        factors = self._class_factors(instances)
        if factors is not None:
            instances = instances.weighed(factors)
        all_weights = None
        if instances.n < _tree.LEAST_ROWS:
            x, targets, weights = instances.all()
            rows: Rows = Rows(x, targets, instances.labels, weights)
            return self._fit_rows(settings, rows, False)
        if instances.facts[0].weighted:
            if settings.solver is None and settings.batch(instances.n) >= _tree.LEAST_ROWS:
                raise ValueError(
                    f"batch_size must be below {_tree.LEAST_ROWS} with weights on a cluster, got "
                    f"{settings.batch_size}"
                )
            parts = [cluster.client.submit(weights_of, each) for each in instances.futures]
            all_weights = np.concatenate(cluster.gather(parts, "reading sample_weight"))
        with OnWorkers(instances, None, None) as elsewhere:
            return self._fit_rows(settings, RowsElsewhere(elsewhere, all_weights), False)

    def _on_blocks(self: Any, function: Any, X: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return what a method gives for the rows of each block."""
        dtype = np.dtype(dtype)
        if dtype.kind == "f":
            dtype = np.result_type(dtype, getattr(X, "dtype", np.float64))
        return by_blocks(function, self.local(), X, shape, dtype)

    def _sum_on_blocks(self: Any, function: Any, first: Any, X: Any, y: Any, weights: Any) -> Any:
        """Return the sum of what a function gives for the blocks of X, y and weights."""
        cluster = self._cluster()
        columns = columns_of(cluster, NAMES, X, y, weights)
        held = cluster.client.submit(same, first, pure=False)
        asked = [
            cluster.client.submit(function, held, *block, pure=False)
            for block in zip(*columns, strict=True)
        ]
        return np.sum(cluster.gather(asked, "computing a score"), axis=0)

    def local(self: Any) -> Any:
        """Return the same model for arrays in memory, without a client: to save or to serve."""
        kind = MLPClassifier if isinstance(self, MLPClassifier) else MLPRegressor
        state = self.__getstate__()
        for name in ("client", "timeout"):
            state.pop(name, None)
        made = kind.__new__(kind)
        made.__setstate__(state)
        return made

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters; a copy of the estimator has the current client."""
        names: list[str] = super()._get_param_names()  # type: ignore[misc]
        return [name for name in names if name != "client"]

    def __getstate__(self: Any) -> dict[str, Any]:
        """Return the state without the client, which is of this process."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return state | {"client": None}


_CLUSTER = """client : dask.distributed.Client or None, default=None
        A synchronous client; None is the current one. Copies and pickles leave it out.
    timeout : float, default=60.0
        Seconds after which a wait ends during which no worker works.
    n_threads : int, default=None
        Threads of each worker; None: as many as Dask gives it."""


def shared(cls: Any) -> Any:
    """Fill in what both have in common with each other and with the estimators for arrays."""
    if cls.__doc__ is not None:  # python -OO
        cls.__doc__ = cls.__doc__.replace("{cluster}", _CLUSTER)
    return cls
