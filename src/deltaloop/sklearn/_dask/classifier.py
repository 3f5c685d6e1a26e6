"""The classifier on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from deltaloop.distributed._dask.data import Instances
from deltaloop.sklearn._classifier import MLPClassifier
from deltaloop.sklearn._dask.estimator import OnCluster, shared
from deltaloop.sklearn._dask.tasks import (
    OfClasses,
    Shape,
    add_weights,
    predictions,
    probabilities,
    right_of,
)
from deltaloop.sklearn._rows import Array


@shared
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
        return self._on_blocks(predictions, X, shape, dtype)

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
        return self._on_blocks(probabilities, X, (max(2, self.n_outputs_),), self._dtype)

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
