"""The classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from deltaloop import _scalars
from deltaloop._c.labels import classes_note
from deltaloop._onnx import write as _onnx
from deltaloop.sklearn import _blocks
from deltaloop.sklearn._document import documented
from deltaloop.sklearn._estimator import Floats, Perceptron, is_stochastic
from deltaloop.sklearn._rows import Array, Rows

if TYPE_CHECKING:
    import os

    from deltaloop.losses import Loss
    from deltaloop.sklearn._settings import Settings


_FORMS = "a dict of classes and weights, 'balanced' or None, or with several labels a list of dicts"
_NOT_PARTIAL = (
    "'balanced' needs all rows, of which partial_fit sees some: name the weights, as "
    "sklearn.utils.class_weight.compute_class_weight('balanced', classes=classes, y=y) counts them"
)


def _check_weights(weights: Floats, given: object) -> None:
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise ValueError(f"class_weight must be finite and at least 0, got {given!r}")


@documented
class MLPClassifier(ClassifierMixin, Perceptron):
    """Multilayer perceptron for classification: scikit-learn's, on deltaloop's core.

    It minimises the log loss over mini-batches, or over all instances, plus a penalty. Two classes
    have one logistic output, more have a softmax, and several labels at a time an independent
    logistic output each.

    Parameters
    ----------
    {parameters}
    class_weight : dict, "balanced", list of dicts or None, default=None
        The weight of each class, by which the weights of its instances are multiplied; 1 for a
        class that is not named. ``"balanced"`` makes the classes count alike: n / (n_classes *
        n_c) for n_c instances of class c. With several labels at a time a list, with a dict of 0
        and 1 for each. ``partial_fit`` takes weights by name alone.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    {attributes}

    See Also
    --------
    MLPRegressor : For values.
    deltaloop.Network : What it is made of, with more to set.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from deltaloop.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((10,), solver="lbfgs", random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.97)
    True
    >>> model.predict_proba(X[:1]).shape
    (1, 3)
    """

    loss = "log_loss"
    classes_: Array

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
    ) -> None:
        parameters = dict(locals())
        for name in ("self", "__class__"):
            del parameters[name]
        super().__init__(**parameters)

    # ---- fitting ----

    def _targets(self, y: Array, incremental: bool) -> tuple[Array, bool, int]:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if "classes_" not in self.__dict__ or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        if self._label_binarizer.y_type_ == "multiclass":
            return np.searchsorted(self.classes_, y).astype(np.int64), True, len(self.classes_)
        columns = self._label_binarizer.transform(y).astype(bool)
        return columns, False, columns.shape[1]

    def _plain_targets(self, y: Any, n: int) -> tuple[Array, bool, int] | None:
        classes, kind = self.classes_, self._label_binarizer.y_type_
        m = len(classes)
        if (
            type(y) is not np.ndarray
            or y.shape != (n,)
            or y.dtype.kind != classes.dtype.kind
            or y.dtype.kind not in "biuU"
            or kind not in ("binary", "multiclass")
            or m < 2
            or self.warm_start
            or (n > 20 and m > round(0.5 * n))  # scikit-learn may doubt that these are classes
        ):
            return None
        index = classes.searchsorted(y)
        if not (classes.take(index, mode="clip") == y).all():
            return None
        if kind == "multiclass":
            return index.astype(np.int64, copy=False), True, m
        return index.astype(bool).reshape(-1, 1), False, 1

    def _weights_of(self, y: Array, weights: Floats | None, incremental: bool) -> Floats | None:
        given = self.class_weight
        if given is None:
            return weights
        several = self._label_binarizer.y_type_.startswith("multilabel")
        if not (isinstance(given, Mapping | str) or (several and _scalars.is_list(given))):
            raise TypeError(f"class_weight must be {_FORMS}, got {type(given).__name__}")
        if several and not isinstance(given, Mapping | str):
            for each in given:
                if not isinstance(each, Mapping):
                    kind = type(each).__name__
                    raise TypeError(f"class_weight must be {_FORMS}, got {kind} in its list")
        if isinstance(given, str) and (given != "balanced" or incremental):
            why = _NOT_PARTIAL if given == "balanced" else f"must be {_FORMS}, got {given!r}"
            raise ValueError(f"class_weight {why}")
        if several:
            columns: Any = y
            dense = columns.toarray() if sparse.issparse(columns) else columns
            s = np.asarray(compute_sample_weight(given, dense), dtype=np.float64)
        else:
            s = self._class_weights(y, weights)[np.searchsorted(self.classes_, y.ravel())]
        if weights is not None:
            with np.errstate(over="ignore", under="ignore"):
                s = s * weights
        _check_weights(s, given)
        if s.max() == 0:
            raise ValueError("class_weight leaves no instance with a positive weight")
        return s

    def _class_weights(self, y: Array, weights: Floats | None) -> Floats:
        """Return the weight of each class."""
        given, classes = self.class_weight, self.classes_.tolist()
        if isinstance(given, str):
            result: Floats = compute_class_weight(
                given, classes=self.classes_, y=y.ravel(), sample_weight=weights
            )
            return result
        unknown = [label for label in given if label not in set(classes)]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown[0]!r}, which is no class; the classes are {classes}"
            )
        result = np.array(
            [_scalars.real(f"class_weight[{c!r}]", given.get(c, 1.0)) for c in classes]
        )
        _check_weights(result, given)  # of classes without a row, too
        return result

    def _check_classes(self, found: Array) -> None:
        if self.warm_start:
            if set(found) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {found}"
                )
        elif len(np.setdiff1d(found, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {found}."
            )

    def _loss(self, settings: Settings) -> tuple[Loss, str]:
        kind = self._label_binarizer.y_type_
        if kind == "multiclass":
            return "cross_entropy", "softmax"
        return ("cross_entropy" if kind == "binary" else "binary_cross_entropy"), "sigmoid"

    def _score_of(self, a: Array, rows: Rows) -> float:
        right = a.argmax(axis=1) == rows.y if rows.labels else ((a > 0.5) == rows.y).all(axis=1)
        return float(np.average(right, weights=rows.weights))

    @available_if(is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch of mini-batches of these instances, from where the model is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their classes, or labels as columns of 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances, at least 0; 1 each by default.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see; the first call needs them, except with several
            labels at a time.

        Returns
        -------
        self
            The estimator.

        Examples
        --------
        >>> from deltaloop.sklearn import MLPClassifier
        >>> model = MLPClassifier((3,), random_state=0)
        >>> model.partial_fit([[0.0], [1.0]], ["a", "b"], classes=["a", "b"]).n_iter_
        1
        """
        kind = _blocks.find(X, y)
        if kind is not None:
            fitted: Self = _blocks.partial_fit(self, kind, X, y, sample_weight, classes=classes)
            return fitted
        if self._has(classes):
            return self._fit(X, y, sample_weight, True)
        if _check_partial_fit_first_call(self, classes):
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if several else classes)
        return self._fit(X, y, sample_weight, True)

    def _has(self, classes: Any) -> bool:
        """Whether there are classes, and these, if any are given: plainly, one after the other."""
        known = self.__dict__.get("classes_")
        if known is None or classes is None:
            return known is not None
        if type(classes) not in (list, tuple, np.ndarray) or len(classes) != len(known):
            return False
        given = np.asarray(classes)
        plain = given.shape == known.shape and given.dtype.kind == known.dtype.kind
        return plain and given.dtype.kind in "biuU" and bool((given == known).all())

    # ---- prediction ----

    def predict(self, X: Any) -> Array:
        """Classes of instances.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances, or data that are read in blocks, as for ``fit``. Of a table the columns are
            taken that the model was fitted to.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            The class with the highest probability; with several labels at a time a 1 where a
            probability is above one half.
        """
        a, _ = self._outputs(X)
        kind = self._label_binarizer.y_type_
        if kind == "multiclass":
            classes: Array = self.classes_.take(a.argmax(1))
            return classes
        if kind == "binary" and len(self.classes_) == 2:
            classes = self.classes_.take((a[:, 0] > 0.5).view(np.int8))
            return classes
        result: Array = self._label_binarizer.inverse_transform(a[:, 0] if a.shape[1] == 1 else a)
        return result

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances, or data that are read in blocks, as for ``fit``. Of a table the columns are
            taken that the model was fitted to.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``. Float32 if the model was fitted to float32 and X is
            float32, else float64.
        """
        a, dtype = self._probabilities(X)
        return a if a.dtype is dtype else a.astype(dtype, copy=False)

    def _probabilities(self, X: Any) -> tuple[Array, np.dtype[Any]]:
        """Return the probabilities of all classes in float64, and the type to show them in."""
        a, dtype = self._outputs(X)
        if a.shape[1] > 1:
            return a, dtype
        result = np.empty((len(a), 2))
        result[:, 0] = 1.0 - a[:, 0]
        result[:, 1] = a[:, 0]
        return result, dtype

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of ``predict_proba``; a probability of 0 gives minus infinity.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances, or data that are read in blocks, as for ``fit``. Of a table the columns are
            taken that the model was fitted to.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``, of the type that ``predict_proba`` has.
        """
        a, dtype = self._probabilities(X)
        with np.errstate(divide="ignore"):
            np.log(a, out=a)
        return a.astype(dtype, copy=False)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy: the share of instances whose class is right.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances, or data that are read in blocks, as for ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their classes. With data that are read in blocks as for ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the instances.

        Returns
        -------
        float
            From 0 to 1.
        """
        kind = _blocks.find(X, y)
        if kind is None:
            return float(super().score(X, y, sample_weight))
        self._ready()
        true, found, weights = _blocks.scored(self, kind, X, y, sample_weight)
        return float(accuracy_score(true, found, sample_weight=weights))

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the model as an ONNX file in float64: see ``deltaloop.Network.to_onnx``.

        Parameters
        ----------
        path : str or os.PathLike
            The file. Its graph has the outputs ``label`` and ``probabilities``.

        Raises
        ------
        ImportError
            Without onnx: ``pip install 'deltaloop[onnx]'``.
        """
        network = self._ready()._frozen()
        multilabel = self._label_binarizer.y_type_.startswith("multilabel")
        _onnx.write(network, path, classes=self.classes_.tolist(), multilabel=multilabel)

    def _c_note(self) -> str:
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return ""
        return classes_note(self.classes_.tolist(), self._ready().layers[-1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
