"""Models of tables: from the columns of a frame to a trained network, and back to labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deltaloop import _names, _scalars
from deltaloop._files.model import Notes
from deltaloop._scaling import Floats
from deltaloop.inits import Init
from deltaloop.losses import Loss
from deltaloop.network import Network, _read
from deltaloop.results import EpochInfo, FitResult
from deltaloop.solvers import Solver
from deltaloop.tabular import _estimator, _frames, _given, _storing, _streams, _training
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._fingerprints import Fingerprints
from deltaloop.tabular._importance import Importance, importance, some_rows
from deltaloop.tabular._options import Options
from deltaloop.tabular._storing import METADATA
from deltaloop.tabular._target import Target
from deltaloop.tabular._travel import Travels

__all__ = ["METADATA", "Column", "TabularModel"]


class TabularModel(Travels, _estimator.Estimator):
    """A network for a table: encodes its columns, trains, and predicts raw rows.

    Numbers, booleans, dates and durations are inputs, standardised; text and categories one input a
    value; what is missing is replaced by a mean, with an input that says so. The rules:
    docs/reference/tables.md. Frames are those of pandas, polars, pyarrow and DuckDB, what has an
    Arrow stream or ``__dataframe__``, dicts of columns, and arrays. scikit-learn takes a model as
    an estimator. Needs narwhals: ``pip install 'deltaloop[tabular]'``.

    Parameters
    ----------
    task : {"classification", "regression"}, optional
        By default found out from the target: text, booleans and whole numbers with at most 20
        different values and 5 rows of each on average are classes, other numbers values.
    hidden : int or sequence of int, default (64,)
        Units of the hidden layers.
    activation : str or sequence of str, default "tanh"
    loss : str, Huber or Quantile, optional
        ``"cross_entropy"`` for classes; for values ``"squared_error"``, by default, or one of the
        other losses of `Network` for values.
    residual : bool, default False
    init : str or Uniform, optional
        These are as for `Network`.
    test_fraction : float, default 0.2
        Part of the rows that is held out to measure the model, of each class in proportion; from 0
        to below 1.
    seed : int, default 0
        Of the rows held out, the initial weights and the order of the rows. The same table and
        seed give the same bits.
    new_categories : {"error", "missing"}, default "error"
        What a category is in rows to predict that no row of the fit had. A file does not keep it.
    reading : dict, optional
        How text is read, where its entries leave it open: ``decimal`` and ``thousands``, signs in
        numbers; ``dates``, ``"day-first"`` or ``"month-first"``; ``missing``, entries that say that
        there is no value; ``text``, columns that stay text; ``keep``, columns that seem to number
        the rows, but count. docs/reference/tables.md has the rules.

    Attributes
    ----------
    task : str or None
    target : str, list of str or None
        The column or columns that are predicted.
    classes : ndarray or None
        The sorted labels of a classification.
    columns : tuple of Column
        Those that the model takes, with ``name``, ``kind``, ``categories`` and so on.
    ignored : dict of str to str
        Columns that the last fit found to say nothing, and why.
    notices : tuple of str
        What the last fit decided about the text of the columns.
    network : Network or None
        It takes encoded columns, unscaled: the scaling is part of its weights.
    result : FitResult or None
        What the last fit did, in scaled units; None for a model that was loaded.
    report : dict or None
        What the last fit measured; docs/reference/tables.md lists it. A file keeps all but the
        times.
    metadata : dict of str to str
        What ``save(metadata=)`` wrote beside a model that was loaded; `save` writes it again.
    train_rows, test_rows : ndarray of int or None
        Numbers of the frame's rows that the last fit learned from and held out.

    Raises
    ------
    TypeError, ValueError
        If `task`, `test_fraction` or `seed` is none of the above.

    Examples
    --------
    >>> from deltaloop.tabular import TabularModel
    >>> houses = {
    ...     "rooms": [2, 3, 3, 4, 5, 5, 6, 7, 2, 4] * 5,
    ...     "town": ["Ulm", "Bonn", "Bonn", "Ulm", None, "Ulm", "Bonn", "Bonn", "Ulm", None] * 5,
    ...     "price": [1.9, 3.2, 3.1, 4.1, 5.5, 5.2, 6.9, 8.1, 2.2, 4.4] * 5,
    ... }
    >>> model = TabularModel().fit(houses, "price")
    >>> model
    TabularModel(target='price', task='regression', columns=2, layers=[4, 64, 1])
    >>> bool(model.report["r2"] > 0.9)
    True
    >>> model.predict({"rooms": [3], "town": ["Bonn"]}).shape
    (1,)
    >>> model.predict({"rooms": [3], "town": ["Rome"]})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: column 'town', row 0: expected one of the categories 'Bonn', 'Ulm', got 'Rome'; ...
    """

    # What a fit has made, beside the parameters.
    _OWN = (
        "network", "ignored", "notices", "result", "report", "train_rows", "test_rows", "metadata",
    )  # fmt: skip

    @_names.named
    def __init__(
        self,
        *,
        task: str | None = None,
        hidden: int | Sequence[int] = (64,),
        activation: str | Sequence[str] = "tanh",
        loss: Loss | None = None,
        residual: bool = False,
        init: Init | None = None,
        test_fraction: float = 0.2,
        seed: int = 0,
        new_categories: str = "error",
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        given = locals()
        self._parameters = {name: given[name] for name in self._defaults()}
        _estimator.check(self._parameters)
        self._reading = Options.of({} if reading is None else reading)
        self._table: Table | None = None
        self._target: Target | None = None
        self.network: Network | None = None
        self.ignored: dict[str, str] = {}
        self.notices: tuple[str, ...] = ()
        self.result: FitResult | None = None
        self.report: dict[str, Any] | None = None
        self.train_rows: NDArray[np.intp] | None = None
        self.test_rows: NDArray[np.intp] | None = None
        self.metadata: dict[str, str] = {}
        self._fingerprints: Fingerprints | None = None
        self._seen: tuple[str, ...] | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        TabularModel.__init__(self)  # has what a version before had not
        if "_asked" in state:
            self._parameters |= _estimator.of_before(state)
        super().__setstate__(state)

    @property
    def target(self) -> str | list[str] | None:
        """The column or columns that are predicted, None before a fit."""
        if self._target is None:
            return None
        return self._target.names[0] if self._target.single else list(self._target.names)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that the model takes; empty before a fit."""
        return () if self._table is None else self._table.columns

    def __repr__(self) -> str:
        if self.network is None:
            return f"TabularModel({self._changed()})"
        return (
            f"TabularModel(target={self.target!r}, task={self.task!r}, "
            f"columns={len(self.columns)}, layers={list(self.network.layers)})"
        )

    @_names.named
    def fit(
        self,
        frame: Any,
        target: Any,
        *,
        drop: str | Iterable[str] = (),
        solver: Solver | Sequence[Solver] | None = None,
        max_epochs: int | Sequence[int] | None = None,
        tol: float | None = None,
        goal: float | None = None,
        max_time: float | None = None,
        callback: Callable[[EpochInfo], object] | None = None,
        callback_every: int = 1,
        class_weight: Mapping[Any, float] | str | None = None,
        l1: float = 0.0,
        l2: float | None = None,
        dropout: float | Sequence[float] = 0.0,
        validation: float | None = None,
        patience: int | None = None,
        resume: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        progress: bool = False,
        n_threads: int | None = None,
        memory: int | str | None = None,
    ) -> Self:
        """Learn to predict a column of a table from its other columns.

        Rows that have no target are left out. Without `solver` the solver and the strength of the
        penalty, `l2`, are chosen as ``Network.fit`` chooses them, by rows held back;
        ``result.choice`` says what was chosen and why.

        Parameters
        ----------
        frame : table, dict of columns, or array of shape (n, columns)
            Of an array the columns are called ``x0``, ``x1`` and so on. Or the path of a Parquet
            file or of a folder of them, a pyarrow Dataset or a polars LazyFrame: one that is large
            beside `memory` is read in blocks, again and again. Its columns are then learned in two
            passes, and the rows held out are a sample (docs/reference/large-data.md).
        target : str, list of str, or one value a row
            The column to predict; several, for a regression of several values. Or the values
            themselves, as a series, list, array (n,) or (n, k), or a frame of several.
        drop : str or iterable of str, optional
            Columns to leave out.
        solver, max_epochs, goal, max_time, callback, callback_every, l1, dropout
            As for `Network.fit`.
        tol : float, optional
            As for `Network.fit`, by default 1e-8.
        class_weight : mapping of labels to float, or "balanced", optional
            As for `Network.fit`, by label.
        l2 : float, optional
            Strength of the penalty. By default it is chosen, or 0 beside `solver`, `l1`, `dropout`,
            `goal` or `patience`.
        validation : float, optional
            As for `Network.fit`: a fraction of the training rows.
        patience, checkpoint, checkpoint_every, progress, n_threads
            As for `Network.fit`.
        resume : path, optional
            A file that `checkpoint` has written, of a fit to the same table with the same options.
        memory : int or str, optional
            Bytes that a table that is read in blocks may take, such as ``"1GB"``, the default.

        Returns
        -------
        TabularModel
            The model itself.

        Warns
        -----
        UserWarning
            If something had to be decided to read text, or text is ignored because it has too many
            different values to be a category.

        Raises
        ------
        TypeError, ValueError
            If frame, target or options are not as above, a number is infinite, no column or too
            few rows are left, or training diverges. The model then stays as it was.
        ImportError
            Without narwhals: ``pip install 'deltaloop[tabular]'``.

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": range(100), "even": [x % 20 < 10 for x in range(100)]}
        >>> model = TabularModel(seed=1).fit(frame, "even")
        >>> model.task, model.report["n_test"]
        ('classification', 20)
        """
        options = {name: given for name, given in locals().items() if name in _training.OPTIONS}
        if validation is not None:
            _scalars.real("validation", validation)
        data = self._prepare(frame, target, drop, memory)
        _training.warn(data)
        return self._train(data, options)

    def _prepare(
        self, frame: object, target: object, drop: object, memory: object = None
    ) -> _training.Prepared:
        own = self._parameters
        fraction = float(own["test_fraction"])
        most = _scalars.size("memory", memory) if memory is not None else _streams.MEMORY
        rows = _streams.open_rows(frame)
        if rows is not None and not _streams.whole(rows, most):
            return _streams.prepare_rows(
                rows, target, drop, own["task"], fraction, own["seed"], self._reading, most
            )
        if rows is not None:
            frame = _streams.read_whole(rows)
        return _training.prepare(
            frame, target, drop, own["task"], fraction, own["seed"], self._reading
        )

    def _train(self, data: _training.Prepared, options: dict[str, Any]) -> Self:
        """Train on what was prepared; nothing changes if that fails."""
        own = self._parameters
        network = _training.make_network(data, own, own["seed"])
        result, report = _training.train(data, network, own["seed"], options)
        report |= _training.remarks(data, {**own, "drop": list(data.dropped), **options})
        self._take(data, network, result, report)
        return self

    def _take(
        self,
        data: _training.Prepared,
        network: Network,
        result: FitResult,
        report: dict[str, Any] | None,
    ) -> None:
        """Become the model of a network that was trained on what was prepared."""
        # At once: a signal between them, or another thread, would see a part of two models.
        self.__dict__.update(
            result=result,
            report=report,
            network=network,
            _table=data.table,
            _target=data.target,
            notices=data.notices,
            ignored={name: ignored.reason for name, ignored in data.ignored.items()},
            metadata={},
            _fingerprints=data.fingerprints(),
            _seen=data.seen,
            train_rows=data.numbers[0],
            test_rows=data.numbers[1],
        )

    def predict(self, frame: Any) -> NDArray[Any]:
        """Predict the target of each row.

        Parameters
        ----------
        frame : pandas, polars or pyarrow table, or dict of columns
            With the columns of the model, in any order; others do not matter.

        Returns
        -------
        ndarray
            Labels, shape (n,); values of float64, (n,), or (n, k) of a list of k targets.

        Raises
        ------
        TypeError
            If a column is of another type than it was in training.
        ValueError
            If columns are absent, a category is new or a number is infinite, or before a fit.

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": range(100), "even": [x % 20 < 10 for x in range(100)]}
        >>> model = TabularModel().fit(frame, "even", l2=0.001)
        >>> model.predict({"x": [5, 15, None]}).dtype
        dtype('bool')
        """
        network, X = self._encoded(_frames.frame(frame))
        outputs = network.predict(X) if self.task == "regression" else network.classify(X)
        return self._fitted()[2].decode(np.asarray(outputs))

    @_estimator.ForClasses
    def predict_proba(self, frame: Any) -> NDArray[np.float64]:
        """Predict the probability of each class.

        Parameters
        ----------
        frame
            As for `predict`.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            In the order of ``classes``.

        Raises
        ------
        TypeError, ValueError
            As for `predict`; ValueError if the model predicts values.

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": range(100), "even": [x % 20 < 10 for x in range(100)]}
        >>> TabularModel().fit(frame, "even").predict_proba({"x": [5, 15]}).shape
        (2, 2)
        """
        network, X = self._encoded(_frames.frame(frame))
        return network.predict(X)

    def score(self, frame: Any, y: Any = None) -> float:
        """Return the accuracy of classes, or R^2 of values, as the mean over several targets.

        Parameters
        ----------
        frame
            As for `predict`.
        y : array_like or series, shape (n,) or (n, k), optional
            The true values; by default those of the target's columns in `frame`. Rows without one
            do not count.

        Returns
        -------
        float
            NaN for R^2 of a single row, which has no variance.

        Raises
        ------
        TypeError, ValueError
            As for `predict`, and if the target is absent, of another type or has no values.

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": range(100), "even": [x % 20 < 10 for x in range(100)]}
        >>> model = TabularModel(test_fraction=0).fit(frame, "even", l2=0.001)
        >>> model.score(frame) == model.score({"x": range(100)}, frame["even"])
        True
        """
        return _training.score(*self._measured(frame, y))

    def _measured(self, frame: Any, y: Any) -> tuple[Network, Floats, NDArray[Any]]:
        """Return the network, and inputs and targets of the rows that have a target."""
        target = self._fitted()[2]
        found = _frames.frame(frame)
        if y is None:
            columns = _given.columns_of(found, "target", list(target.names))
            truth = target.read({name: found[name] for name in columns})
        else:
            truth = target.read(_given.values_of(target.names, y, len(found)))
        numbers, rows = target.encode(truth)
        if not len(rows):
            raise ValueError("there is no row with a target to measure the model on")
        network, X = self._encoded(found)
        return network, X[rows], numbers

    def permutation_importance(
        self, frame: Any, y: Any = None, *, n_repeats: int = 5, seed: int = 0
    ) -> Importance:
        """Return how much each column matters: how much `score` falls where it is shuffled.

        Shuffled values say nothing about their rows. Columns that tell the same share what they
        tell, so that each alone seems to matter little. Give rows that the model has not learned:
        rows that it has learned show what it relies on, not what helps on other rows.

        Parameters
        ----------
        frame, y
            As for `score`. Of more than 2,000 rows so many are drawn.
        n_repeats : int, default 5
            How often each column is shuffled.
        seed : int, default 0
            Of the shuffles.

        Returns
        -------
        Importance
            ``names``, ``mean`` and ``std``, in the order of ``columns``:
            ``dl.plot.importance(*found)`` draws it.

        Raises
        ------
        TypeError, ValueError
            As for `score`, and if n_repeats is below 1.

        References
        ----------
        Breiman, "Random forests", Machine Learning 45 (2001).

        Examples
        --------
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {
        ...     "x": range(100),
        ...     "nothing": [7 * x % 13 for x in range(100)],
        ...     "y": [2 * x for x in range(100)],
        ... }
        >>> model = TabularModel(seed=1).fit(frame, "y", l2=0.1)
        >>> held_out = {name: [frame[name][i] for i in model.test_rows] for name in frame}
        >>> found = model.permutation_importance(held_out)
        >>> found.names, bool(found.mean[0] > 1), bool(abs(found.mean[1]) < 0.1)
        (('x', 'nothing'), True, True)
        """
        repeats = _scalars.integer("n_repeats", n_repeats, at_least=1)
        number = _scalars.integer("seed", seed, at_least=0)
        return self._importance(*self._measured(frame, y), repeats, number)

    def _importance(
        self, network: Network, X: Floats, y: NDArray[Any], repeats: int = 5, seed: int = 0
    ) -> Importance:
        """Return the importance of the columns, of encoded rows and their targets."""
        groups = self._fitted()[1].inputs
        rows = some_rows(len(X), seed)
        X, y = X[rows], y[rows]

        def score(inputs: Floats, rows: NDArray[np.intp]) -> float:
            return _training.score(network, inputs, y[rows])

        mean, std = importance(score, X, list(groups.values()), seed, repeats)
        return Importance(tuple(groups), mean, std)

    def save(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        """Write the model to a safetensors file, completely or not at all.

        It holds the network and, as metadata, the columns' names, kinds, categories and means, the
        report and fingerprints of rows; no rows. `load` reads it; ``dl.load`` reads the network
        alone, and warns.

        Parameters
        ----------
        path : str or os.PathLike
            The file, by convention ``.safetensors``; an existing one is replaced.
        metadata : mapping of str to str, optional
            Notes of your own, by default those that the model was loaded with; not under the keys
            ``"table"`` and ``"training"``, which the model needs.

        Raises
        ------
        TypeError, ValueError, OSError
            As for `Network.save`; ValueError before a fit.

        Examples
        --------
        >>> import os, tempfile
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": range(100), "y": [0.5 * x for x in range(100)]}
        >>> path = os.path.join(tempfile.mkdtemp(), "line.safetensors")
        >>> TabularModel().fit(frame, "y").save(path)
        >>> TabularModel.load(path)
        TabularModel(target='y', task='regression', columns=1, layers=[1, 64, 1])
        """
        _storing.save(self, path, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or os.PathLike
            It may come from an untrusted source: nothing in it is executed, and all of it is
            checked.

        Returns
        -------
        TabularModel
            It predicts the same bits. `result`, the times of `report` and the numbers of rows are
            not in the file; a file of version 0.1.0 has no report.

        Raises
        ------
        TypeError
            `path` is neither a str nor an os.PathLike of one.
        ValueError
            The file is no model of a table, is damaged, or is of a newer version.
        OSError
            The file cannot be read.

        Examples
        --------
        See `save`.
        """
        return cls._of(*_read(path))

    @classmethod
    def _of(cls, network: Network, notes: Notes) -> Self:
        """Make the model of what was read from a file."""
        model = cls(
            hidden=network.layers[1:-1],
            activation=network.activation,
            loss=network.loss,
            residual=network.residual,
        )
        model.__dict__.update(_storing.parts(network, notes))
        return model

    def _fitted(self) -> tuple[Network, Table, Target]:
        now = self.__dict__.copy()  # all of one fit, where another thread ends one meanwhile
        network, table, target = now["network"], now["_table"], now["_target"]
        if network is None:
            raise _estimator.not_fitted()
        return network, table, target

    def _encoded(self, frame: Any) -> tuple[Network, Floats]:
        """Return the network and the encoded rows of a narwhals frame."""
        network, table, _ = self._fitted()
        if isinstance(frame, _frames.Array):
            frame.check(self.n_features_in_)
        values = table.read(frame)
        if self._parameters["new_categories"] == "missing":
            values = table.without_new(values)
        return network, table.encode(values)
