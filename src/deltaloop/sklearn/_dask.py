"""The estimators on the rows of a Dask cluster: ``deltaloop.distributed`` shows them.

They train as the others do, by `Training`; but the rows are elsewhere (`RowsElsewhere`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.preprocessing import LabelBinarizer

from deltaloop._arguments import arrays as _arrays
from deltaloop._losses import targets as kind_of_targets
from deltaloop.distributed import _tree
from deltaloop.distributed._dask import blocks as _blocks
from deltaloop.distributed._dask.blocks import Block, Form, Options
from deltaloop.distributed._dask.cluster import Cluster
from deltaloop.distributed._dask.data import Instances, columns_of
from deltaloop.distributed._dask.fit import OnWorkers
from deltaloop.distributed._dask.predict import by_blocks
from deltaloop.sklearn import _settings
from deltaloop.sklearn._classifier import MLPClassifier
from deltaloop.sklearn._regressor import MLPRegressor
from deltaloop.sklearn._rows import Array, Rows, mean_of

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop.network import Network

NAMES = ("X", "y", "sample_weight")


# ---- tasks ----


class Shape(NamedTuple):
    """What has to be known of a block before there is a network."""

    n: int
    width: int
    dtype: np.dtype[Any]
    columns: tuple[Any, ...] | None
    y_shape: tuple[int, ...]
    classes: Array | None
    error: Exception | None = None


def shape_of(with_classes: bool, x: Any, y: Any = None, weights: Any = None) -> Shape:
    """Return the shape of a block, and the classes that it has."""
    try:
        if y is None:
            x, y, _ = _blocks.unpacked(x)
        columns = tuple(x.columns) if hasattr(x, "columns") else None
        x, y = _blocks.array_of(x), np.asarray(_blocks.array_of(y))
        if getattr(x, "ndim", None) != 2:
            raise ValueError(f"X must have two dimensions, got {type(x).__name__}")
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
        found = np.unique(y) if with_classes and y.ndim == 1 else None
        return Shape(x.shape[0], x.shape[1], np.dtype(x.dtype), columns, y.shape[1:], found)
    except (TypeError, ValueError) as error:
        return Shape(0, 0, np.dtype(float), None, (), None, error)


class OfClasses(NamedTuple):
    """What makes targets of labels, as ``MLPClassifier`` does."""

    binarizer: LabelBinarizer

    def __call__(self, y: Any) -> Array:
        y = np.asarray(y)
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
        if self.binarizer.y_type_ == "multiclass":
            numbers: Array = np.searchsorted(self.binarizer.classes_, y).astype(np.int64)
            return numbers
        columns: Array = self.binarizer.transform(y).astype(bool)
        return columns


class OfValues(NamedTuple):
    """What makes targets of values, as ``MLPRegressor`` does."""

    counts: bool

    def __call__(self, y: Any) -> Array:
        given = np.asarray(y)
        if given.dtype.kind == "O":
            given = given.astype(np.float64)
        values = _arrays.numbers("y", given if given.ndim == 2 else given.reshape(-1, 1))
        if self.counts:
            _arrays.not_negative(values, "y")
        return values


def add_weights(before: Array, block: Block) -> Array:
    """Return the sum of the weights of each class with those of one more block, in its order."""
    y = block.y if block.labels else block.y[:, 0]
    after = before.copy()
    assert block.weights is not None
    np.add.at(after, y.astype(np.intp), block.weights)
    return after


def weights_of(block: Block) -> Any:
    """Return the weights of a block."""
    return block.weights


def poisson_terms(block: Block) -> Array:
    """Return y log y - y, what the Poisson deviance has beside the cost."""
    y = block.y.astype(np.float64)
    terms: Array = (xlogy(y, y) - y).sum(axis=1)
    return terms


def right_of(model: Any, x: Any, y: Any, weights: Any = None) -> Array:
    """Return the weight of the rows that a classifier gets right, and of all."""
    y = np.asarray(_blocks.array_of(y))
    if len(y) == 0:
        return np.zeros(2)
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    right = model.predict(x) == y
    right = right.all(axis=1) if right.ndim == 2 else right
    s = _weights(weights, len(y))[:, 0]
    return np.array([s[right].sum(), s.sum()])


def moments_of(model: Any, x: Any, y: Any, weights: Any = None) -> Array:
    """Return sums (3, mL) over rows: of s, of s y and of s (y - a)^2."""
    y = _table(y)
    if len(y) == 0:
        return np.zeros((3, y.shape[1]))
    s, a = _weights(weights, len(y)), model.predict(x).reshape(y.shape)
    return np.stack([(s * part).sum(axis=0) for part in (np.ones_like(y), y, (y - a) ** 2)])


def spread_of(mean: Array, y: Any, weights: Any = None) -> Array:
    """Return the sum (mL,) of s (y - mean)^2."""
    y = _table(y)
    spread: Array = (_weights(weights, len(y)) * (y - mean) ** 2).sum(axis=0)
    return spread


def _table(y: Any) -> Array:
    y = np.asarray(_blocks.array_of(y), dtype=np.float64)
    table: Array = y if y.ndim == 2 else y[:, np.newaxis]
    return table


def _weights(weights: Any, n: int) -> Array:
    """Return weights as a column, 1 each by default."""
    s = np.ones(n) if weights is None else np.asarray(_blocks.array_of(weights), np.float64)
    return s.reshape(n, 1)


# ---- rows ----


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


# ---- estimators ----


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
        held = cluster.client.submit(_same, first, pure=False)
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


def _same(value: Any) -> Any:
    return value


def _predictions(model: Any, x: Any) -> Any:
    return model.predict(x)


def _probabilities(model: Any, x: Any) -> Any:
    return model.predict_proba(x)


_CLUSTER = """client : dask.distributed.Client or None, default=None
        A synchronous client; None is the current one. Copies and pickles leave it out.
    timeout : float, default=60.0
        Seconds after which a wait ends during which no worker works.
    n_threads : int, default=None
        Threads of each worker; None: as many as Dask gives it."""


def _shared(cls: Any) -> Any:
    """Fill in what both have in common with each other and with the estimators for arrays."""
    if cls.__doc__ is not None:  # python -OO
        cls.__doc__ = cls.__doc__.replace("{cluster}", _CLUSTER)
    return cls


@_shared
class DaskMLPClassifier(OnCluster, MLPClassifier):
    """``deltaloop.sklearn.MLPClassifier`` on the rows that the workers of a Dask cluster hold.

    ``fit`` gives the parameters that ``MLPClassifier.fit`` gives with the same rows in one array,
    bit by bit. Predictions are Dask's collections, in the blocks of the instances.

    Parameters
    ----------
    {cluster}
    **parameters
        Those of ``deltaloop.sklearn.MLPClassifier``, but for ``early_stopping``, which must be
        False.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    network_ : deltaloop.Network
        The network; and all other attributes of ``MLPClassifier``.

    See Also
    --------
    deltaloop.distributed.dask_fit : The same for networks, with more to set.

    Examples
    --------
    >>> import dask.array as da
    >>> from dask.distributed import Client, LocalCluster
    >>> from deltaloop.distributed import DaskMLPClassifier
    >>> cluster = LocalCluster(n_workers=2, processes=False, dashboard_address=":0")
    >>> X = da.random.default_rng(0).normal(size=(5000, 2), chunks=(2000, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> with Client(cluster) as client:
    ...     model = DaskMLPClassifier((10,), solver="lbfgs", random_state=0, client=client)
    ...     bool(model.fit(X, y).score(X, y) > 0.95)
    True
    >>> cluster.close()
    """

    def __init__(
        self,
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
        class_weight: Any = None,
        client: Any = None,
        timeout: float = 60.0,
    ) -> None:
        parameters = dict(locals())
        del parameters["self"]
        self.__dict__.update(parameters)

    def _targets_of(self, shapes: list[Shape]) -> tuple[Any, int]:
        columns = shapes[0].y_shape
        if columns:  # several labels at a time
            binarizer = LabelBinarizer().fit(np.array([[0] * columns[0], [1] * columns[0]]))
        else:
            found = [each.classes for each in shapes if each.classes is not None]
            binarizer = LabelBinarizer().fit(np.unique(np.concatenate(found)))
        if self.warm_start and "classes_" in self.__dict__:
            self._check_classes(binarizer.classes_)
        self._label_binarizer, self.classes_ = binarizer, binarizer.classes_
        several = len(self.classes_) if binarizer.y_type_ in ("multiclass",) else 1
        return OfClasses(binarizer), columns[0] if columns else several

    def _class_factors(self, instances: Instances) -> Array | None:
        given, counts = self.class_weight, instances.classes
        if given is None:
            return None
        if counts is None or not isinstance(given, Mapping | str):
            raise ValueError(
                f"class_weight must be a dict of classes and weights, 'balanced' or None, and None "
                f"with several labels at a time; got {given!r}"
            )
        weights = counts.astype(np.float64)
        if instances.facts[0].weighted and isinstance(given, str):
            client, sums = instances.cluster.client, np.zeros(len(counts))
            for each in instances.futures:
                sums = client.submit(add_weights, sums, each, pure=False)
            (weights,) = instances.cluster.gather([sums], "counting classes")
        m = len(self.classes_)
        # Each class once, with the weight that all of its rows have.
        factors = self._class_weights(self.classes_, weights[:m])
        return np.concatenate([factors, np.ones(len(counts) - m)])

    def predict(self, X: Any) -> Any:
        """Return the classes of instances, as a Dask collection.

        Parameters
        ----------
        X : Dask array or dataframe, or list of delayed blocks
            Instances of shape (n_samples, n_features).

        Returns
        -------
        Dask array or series, or list of delayed blocks
            As ``MLPClassifier.predict`` returns, in the blocks of X.
        """
        self._ready()
        several = self._label_binarizer.y_type_.startswith("multilabel")
        shape = (self.n_outputs_,) if several else ()
        dtype = np.dtype(np.int64) if several else self.classes_.dtype
        return self._on_blocks(_predictions, X, shape, dtype)

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes, as a Dask collection.

        Parameters
        ----------
        X : Dask array or dataframe, or list of delayed blocks
            Instances of shape (n_samples, n_features).

        Returns
        -------
        Dask array or dataframe, or list of delayed blocks
            Of shape (n_samples, n_classes), in the blocks of X.
        """
        self._ready()
        return self._on_blocks(_probabilities, X, (max(2, self.n_outputs_),), self._dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of the rows whose class is right, computed where they are.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        float
        """
        self._ready()
        right, total = self._sum_on_blocks(right_of, self.local(), X, y, sample_weight)
        return float(right / total)


@_shared
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
        return self._on_blocks(_predictions, X, shape, self._dtype)

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
