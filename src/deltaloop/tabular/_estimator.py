"""What scikit-learn asks of an estimator, without scikit-learn: parameters, tags, what is fitted.

scikit-learn takes any object with these methods as an estimator. Its own classes are needed for
tags alone, which nobody but scikit-learn asks for.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from deltaloop import _names, _scalars
from deltaloop._losses import TASKS
from deltaloop.network import Network
from deltaloop.tabular._columns import Column
from deltaloop.tabular._options import Options
from deltaloop.tabular._target import Target

__all__ = ["NETWORK", "NEW_CATEGORIES", "Estimator"]

# Parameters of the network that a model makes.
NETWORK = ("hidden", "activation", "loss", "residual", "init")
NEW_CATEGORIES = ("error", "missing")


class Parameter:
    """A parameter as an attribute; to set it is to call `set_params`, which checks it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        return self if model is None else model._parameters[self._name]

    def __set__(self, model: Any, value: Any) -> None:
        model.set_params(**{self._name: value})


class Estimator:
    """The parameters of a `TabularModel`, and what scikit-learn reads of one.

    `_parameters` holds what the constructor was given, each object as it is: `clone` compares them.
    """

    _OWN: ClassVar[tuple[str, ...]]
    _parameters: dict[str, Any]
    _target: Target | None
    _seen: tuple[str, ...] | None
    network: Network | None
    _reading: Options

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Return the parameters that there are, with their defaults."""
        found = inspect.signature(cls.__init__).parameters.values()
        return {each.name: each.default for each in found if each.kind is each.KEYWORD_ONLY}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that the model takes."""
        raise NotImplementedError

    hidden = Parameter()
    activation = Parameter()
    loss = Parameter()
    residual = Parameter()
    init = Parameter()
    test_fraction = Parameter()
    seed = Parameter()
    new_categories = Parameter()
    reading = Parameter()

    @property
    def task(self) -> str | None:
        """``"classification"`` or ``"regression"``: what was asked for, or was found out."""
        asked: str | None = self._parameters["task"]
        return asked if self._target is None else self._target.task

    @task.setter
    def task(self, task: str | None) -> None:
        self.set_params(task=task)

    @property
    def classes(self) -> NDArray[Any] | None:
        """Sorted labels, (n_classes,); None for values and before a fit."""
        if self._target is None or self._target.classes is None:
            return None
        return np.array(self._target.classes)

    def __setattr__(self, name: str, value: object) -> None:
        known = name.startswith("_") or name in self._OWN or hasattr(type(self), name)
        if not known and type(self).__module__.startswith("deltaloop."):
            raise _names.no_attribute(self, name, (*self._parameters, *self._OWN))
        super().__setattr__(name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters that the model was made with, as scikit-learn asks for them.

        Parameters
        ----------
        deep : bool, default True
            Of no effect: no parameter is an estimator.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> TabularModel(hidden=32).get_params()["hidden"]
        32
        """
        return dict(sorted(self._parameters.items()))

    def set_params(self, **params: Any) -> Self:
        """Change parameters, for the next fit.

        Parameters
        ----------
        **params
            Those of the constructor.

        Returns
        -------
        TabularModel
            The model itself.

        Raises
        ------
        TypeError, ValueError
            If there is no such parameter, or a value is none of its; nothing changes then.

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> TabularModel().set_params(hidden=32)
        TabularModel(hidden=32)
        """
        unknown = [name for name in params if name not in self._parameters]
        if unknown:
            near = _names.close(unknown[0], self._parameters)
            hint = f"; did you mean {near}?" if near else ""
            raise ValueError(
                f"Invalid parameter {unknown[0]!r} for estimator {type(self).__name__}; the "
                f"parameters are {', '.join(self._parameters)}{hint}"
            )
        changed = self._parameters | params
        check(changed)
        if "reading" in params:
            self._reading = Options.of(changed["reading"] or {})
        self._parameters = changed
        return self

    def _changed(self) -> str:
        """Return the parameters that are not the defaults, as they are written in a call."""
        usual = self._defaults()
        return ", ".join(
            f"{name}={value!r}"
            for name, value in self._parameters.items()
            if value is not usual[name] and repr(value) != repr(usual[name])
        )

    # ---- what scikit-learn reads; it asks with hasattr ----

    def __sklearn_is_fitted__(self) -> bool:
        return self.network is not None

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know; a task that was found out counts after a fit."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        task = self._parameters["task"] if self._target is None else self._target.task
        kind = {"classification": "classifier", "regression": "regressor"}.get(task)
        tags = Tags(
            estimator_type=kind,
            target_tags=TargetTags(required=True, multi_output=kind != "classifier"),
            input_tags=InputTags(sparse=True, allow_nan=True, categorical=True, string=True),
        )
        if kind == "classifier":
            tags.classifier_tags = ClassifierTags()
        elif kind == "regressor":
            tags.regressor_tags = RegressorTags()
        return tags

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, as `classes`, under scikit-learn's name. AttributeError without any."""
        if self._target is None or self._target.classes is None:
            raise AttributeError("classes_ is there after a fit to classes")
        return np.array(self._target.classes)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns that a fit saw; of a model that was loaded, of those it takes."""
        if self.network is None:
            raise AttributeError("feature_names_in_ is there after a fit")
        names = self.__dict__.get("_seen")
        return np.array(names or [column.name for column in self.columns], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """How many these are."""
        if self.network is None:
            raise AttributeError("n_features_in_ is there after a fit")
        return len(self.feature_names_in_)


class NoClassesError(AttributeError, ValueError):
    """A model of values was asked for what classes have alone; scikit-learn asks with hasattr."""


def not_fitted() -> ValueError:
    """Return the error of a model without a fit: scikit-learn's own, where that is in use."""
    errors = sys.modules.get("sklearn.exceptions")
    kind = ValueError if errors is None else errors.NotFittedError
    error: ValueError = kind("this model has not been fitted; call fit first")
    return error


class ForClasses:
    """A method that only a model of classes has; see scikit-learn's ``available_if``."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        if model is None:
            return self._method
        if model.network is not None and model.task == "regression":
            raise NoClassesError(
                f"{self._method.__name__} is for classes, this model predicts values"
            )
        return MethodType(self._method, model)


def check(parameters: Mapping[str, Any]) -> None:
    """TypeError or ValueError if a parameter that is no network's or fit's is none of its values.

    Networks and fits check theirs.
    """
    if parameters["task"] is not None:
        _scalars.choice("task", parameters["task"], TASKS)
    fraction = _scalars.real("test_fraction", parameters["test_fraction"])
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"test_fraction must be in [0, 1), got {parameters['test_fraction']!r}")
    _scalars.integer("seed", parameters["seed"], at_least=0)
    _scalars.choice("new_categories", parameters["new_categories"], NEW_CATEGORIES)


def of_before(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in the state of a pickle of version 0.1.0."""
    found = {"task": state["_asked"], "test_fraction": state["_fraction"], "seed": state["_seed"]}
    return found | dict(state["_network_options"])
