"""What both estimators are: a network with scikit-learn's interface."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from deltaloop import _core
from deltaloop._arguments import arrays as _arrays
from deltaloop._fit.run import exclusive
from deltaloop.network import Network
from deltaloop.sklearn import _settings
from deltaloop.sklearn._optimizer import DivergedError, FullBatch, Optimizer
from deltaloop.sklearn._rows import Rows, dense_blocks

if TYPE_CHECKING:
    from deltaloop.losses import Loss
    from deltaloop.sklearn._settings import Settings

Array = NDArray[Any]

# Instances times parameters up to which a call of partial_fit has one thread: to wake another takes
# 0.1 to 0.2 ms, as long as all of its work.
SHORT_WORK = 1e6


def is_stochastic(estimator: Perceptron) -> bool:
    """Whether partial_fit is there; otherwise an AttributeError that says why not."""
    if estimator.solver in _settings.STOCHASTIC:
        return True
    raise AttributeError(
        f"partial_fit is there with the solvers {' and '.join(_settings.STOCHASTIC)} alone, "
        f"got {estimator.solver!r}"
    )


class Perceptron(BaseEstimator):
    """Fitting, the parameters as scikit-learn shows them, and the outputs of the network.

    The network is ``network_``; ``coefs_`` and ``intercepts_`` are views of its parameters. What a
    caller puts in their place is copied in before it is next used.
    """

    coefs_: list[Array]
    intercepts_: list[Array]
    network_: Network
    n_features_in_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_loss_: float | None
    best_validation_score_: float | None

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
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_threads = n_threads

    # ---- what the two differ in ----

    def _targets(self, y: Array, incremental: bool) -> tuple[Array, bool, int]:
        """Return y as C reads it, whether it holds classes (n,), and the number of outputs."""
        raise NotImplementedError

    def _loss(self, settings: Settings) -> tuple[Loss, str]:
        """Return deltaloop's loss and the activation of the outputs."""
        raise NotImplementedError

    def _score_of(self, a: Array, rows: Rows) -> float:
        """Return the score of finite outputs a^(L) for rows."""
        raise NotImplementedError

    def _left_out(self, rows: Rows) -> Array | None:
        """Return (n,), what each instance's loss has that the network's cost leaves out, if any."""
        return None

    def _numeric_targets(self) -> bool:
        return False

    # ---- the parameters ----

    def _link(self) -> None:
        """Show the network's parameters."""
        weights, biases = self.network_.weights, self.network_.biases
        self._views = [*weights, *biases]
        self.coefs_ = list(weights)
        self.intercepts_ = list(biases)

    def _ready(self) -> Network:
        """Return the network, with the parameters that are shown. NotFittedError without one."""
        network: Network | None = self.__dict__.get("network_")
        if network is None:
            check_is_fitted(self)
            raise AssertionError
        i = 0
        views = self._views
        for shown in (self.coefs_, self.intercepts_):
            for array in shown:
                if i >= len(views) or array is not views[i]:
                    self._adopt()
                    return network
                i += 1
        if i < len(views):
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
        arrays = [np.asarray(array, dtype=np.float64) for array in shown]
        for name, array, view in zip(names, arrays, self._views, strict=True):
            if array.shape != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {array.shape}")
        for array, view in zip(arrays, self._views, strict=True):
            view[:] = array
        self._link()

    def __getstate__(self) -> dict[str, Any]:
        if "network_" not in self.__dict__:
            return dict(super().__getstate__())
        self._ready()
        with exclusive(self.network_):
            state = dict(super().__getstate__())
            # The arrays of the state are copies already, and a run cannot be copied while it runs.
            state["_optimizer"] = copy.copy(self._optimizer)
        return {k: v for k, v in state.items() if k not in ("_views", "coefs_", "intercepts_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in self.__dict__:
            self._link()

    # ---- prediction ----

    def _outputs(self, X: Any) -> Array:
        """Return a^(L), (n, mL), of instances that scikit-learn's rules allow."""
        network = self._ready()
        if (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype == np.float64
            and X.shape[1] == network.layers[0]
            and X.shape[0] > 0
            and "feature_names_in_" not in self.__dict__
            and _core.is_direct(X)
            and _core.find_nonfinite(X) is None
        ):
            return network.predict(X)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return self._predict_blocks(X)

    def _predict_blocks(self, X: Any) -> Array:
        """Return a^(L) of valid instances, dense or sparse."""
        predict = self.network_.predict
        parts = [predict(_arrays.numbers("X", block)) for block in dense_blocks(X)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _validation_score(self, rows: Rows) -> float:
        a = self._predict_blocks(rows.X)
        return self._score_of(a, rows) if np.isfinite(a).all() else float("nan")

    # ---- fitting ----

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Instances. Sparse ones become dense block by block with the solvers sgd and adam, and
            all at once with the others.
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
        return self._fit(X, y, sample_weight, False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Self:
        if "network_" in self.__dict__ and (incremental or bool(self.warm_start)):
            return self._go_on(X, y, sample_weight, False, incremental)
        before = dict(self.__dict__)
        try:
            return self._go_on(X, y, sample_weight, True, incremental)
        except BaseException:  # the model that there was is left as it was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _go_on(self, X: Any, y: Any, sample_weight: Any, first: bool, incremental: bool) -> Self:
        settings = _settings.check(self)
        if incremental and settings.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
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
        weights = None
        if sample_weight is not None:
            weights = np.asarray(_check_sample_weight(sample_weight, X), dtype=np.float64)
            if weights.min() < 0:
                raise ValueError(f"sample_weight must be at least 0, got {weights.min()}")
        targets, labels, n_outputs = self._targets(y, incremental)
        rows = Rows(X, targets, labels, weights)
        layers = [X.shape[1], *settings.hidden, n_outputs]
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
        with exclusive(self.network_):
            try:
                self._train(settings, rows, incremental)
            except DivergedError:
                raise ValueError(
                    "Solver produced non-finite parameter weights. The input data may contain "
                    "large values and need to be preprocessed; a smaller learning_rate_init may "
                    "help too."
                ) from None
        return self

    def _begin(self, settings: Settings, layers: list[int]) -> None:
        """Make a network with scikit-learn's initial parameters and reset what is known of it."""
        self._random_state = check_random_state(self.random_state)
        factor = 2.0 if settings.logistic else 6.0
        parts = []
        for fan_in, fan_out in pairwise(layers):
            bound = np.sqrt(factor / (fan_in + fan_out))
            parts.append(self._random_state.uniform(-bound, bound, (fan_in, fan_out)).ravel())
            parts.append(self._random_state.uniform(-bound, bound, fan_out))
        self._make_network(settings, layers, np.concatenate(parts))
        self.n_layers_ = len(layers)
        self.n_outputs_ = layers[-1]
        self.t_ = 0
        self.loss_curve_ = []
        self._no_improvement_count = 0
        self._optimizer: Optimizer | None = None
        early = settings.early_stopping and settings.method != "lbfgs"
        self.validation_scores_ = [] if early else None
        self.best_validation_score_ = -np.inf if early else None
        self.best_loss_ = None if early else np.inf
        self._best_parameters = self.network_.parameters.copy() if early else None
        self._split_state: Any = None
        self._order: NDArray[np.uintp] | None = None

    def _make_network(self, settings: Settings, layers: list[int], parameters: Array) -> None:
        loss, output = self._loss(settings)
        seed = self.random_state
        self.network_ = Network._restore(
            layers,
            settings.activation,
            output,
            loss,
            False,
            None,
            int(seed) if isinstance(seed, int | np.integer) else 0,
            0,
            parameters,
        )
        self._link()
        self.out_activation_ = _settings.OUT_ACTIVATIONS.get(output, output)

    def _train(self, settings: Settings, rows: Rows, incremental: bool) -> None:
        held: Rows | None = None
        if settings.early_stopping and settings.method != "lbfgs":
            if self._best_parameters is None:
                self.validation_scores_, self.best_validation_score_ = [], -np.inf
                self.best_loss_, self._best_parameters = None, self.network_.parameters.copy()
            rows, held = self._set_aside(settings, rows)
        elif self.best_loss_ is None:
            self.best_loss_, self._best_parameters = np.inf, None
        rows.X = rows.X if not isinstance(rows.X, np.ndarray) else _arrays.numbers("X", rows.X)
        if settings.solver is not None:
            self._optimizer = None
            self._train_full_batch(settings, rows, held)
        else:
            if settings.batch_size is not None and settings.batch_size > rows.n:
                warnings.warn(
                    f"batch_size={settings.batch_size} is larger than the number of rows, "
                    f"{rows.n}, and will be clipped",
                    stacklevel=4,
                )
            self._train_stochastic(settings, rows, held, incremental)
        if held is not None and self._best_parameters is not None:
            self.network_.parameters = self._best_parameters

    def _set_aside(self, settings: Settings, rows: Rows) -> tuple[Rows, Rows]:
        """Return the rows to train on and those that tell when to stop.

        With warm_start the same rows are set aside again.
        """
        random_state = self._random_state
        if self._split_state is None:
            self._split_state = random_state.get_state()
        else:
            random_state = np.random.RandomState()
            random_state.set_state(self._split_state)
        binary = hasattr(self, "classes_") and self.n_outputs_ == 1
        train, held = train_test_split(
            np.arange(rows.n),
            random_state=random_state,
            test_size=settings.validation_fraction,
            stratify=rows.y if binary else None,
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return rows[train], rows[held]

    def _train_stochastic(
        self, settings: Settings, rows: Rows, held: Rows | None, incremental: bool
    ) -> None:
        if self._optimizer is None or self._optimizer.settings.method != settings.method:
            self._optimizer = Optimizer(settings)
        optimizer, random_state = self._optimizer, self._random_state
        if incremental and rows.n * self.network_.n_parameters < SHORT_WORK:
            settings = replace(settings, n_threads=1)
        optimizer.open(self.network_, settings, rows)
        batch_size = settings.batch(rows.n)
        order = self._order
        if incremental or order is None or len(order) != rows.n:
            order = np.arange(rows.n, dtype=np.uintp)
        several = batch_size < rows.n
        left_out = self._left_out(rows)
        self.n_iter_ = 0
        try:
            while self.n_iter_ < settings.max_iter:
                if settings.shuffle:
                    # Of this permutation's permutation, as scikit-learn's shuffle draws it.
                    places = np.arange(rows.n)
                    random_state.shuffle(places)
                    order = order[places]
                sequence = order if settings.shuffle and several else None
                loss = optimizer.epoch(rows, sequence)
                if left_out is not None:
                    loss += rows.epoch_mean(left_out, sequence, batch_size)
                self._count(settings, loss, rows.n, held)
                optimizer.epoch_ends(self.t_)
                if self._no_improvement_count > settings.n_iter_no_change:
                    if optimizer.stalls(self._stalled(settings)):
                        break
                    self._no_improvement_count = 0
                if incremental:
                    break
                if self.n_iter_ == settings.max_iter:
                    self._warn_unconverged(settings)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        except DivergedError:
            self._optimizer = None
            if held is None:
                raise
            self._note_divergence()
        finally:
            optimizer.close(rows)
        self._order = order if settings.warm_start else None

    def _train_full_batch(self, settings: Settings, rows: Rows, held: Rows | None) -> None:
        seed = 0
        if settings.solver is not None and settings.solver.shuffle:
            seed = int(self._random_state.randint(2**31))
        run = FullBatch(self.network_, settings, rows, seed)
        left_out = self._left_out(rows)
        shift = 0.0 if left_out is None else rows.epoch_mean(left_out, None, rows.n)
        self.n_iter_ = 0
        try:
            while self.n_iter_ < settings.max_iter:
                loss = run.epoch()
                if loss is not None:
                    self._count(settings, loss + shift, rows.n, held)
                if run.stopped:
                    break
                if settings.method != "lbfgs" and (
                    self._no_improvement_count > settings.n_iter_no_change
                ):
                    if settings.verbose:
                        print(self._stalled(settings) + " Stopping.")
                    break
                if self.n_iter_ == settings.max_iter:
                    self._warn_unconverged(settings)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        except DivergedError:
            if held is None:
                raise
            self._note_divergence()
        if run.stopped == "max_fun":
            warnings.warn(
                f"lbfgs made the {settings.max_fun} evaluations that max_fun allows and has not "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )
        if self.n_iter_ == 0:
            self.loss_ = run.loss + shift

    def _count(self, settings: Settings, loss: float, n: int, held: Rows | None) -> None:
        """Another epoch is complete: note it, and whether it was an improvement."""
        self.n_iter_ += 1
        self.t_ += n
        self.loss_ = loss
        self.loss_curve_.append(loss)
        if settings.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
        if held is None:
            best = self.best_loss_
            assert best is not None
            worse = loss > best - settings.tol
            self.best_loss_ = min(best, loss)
        else:
            score, best = self._validation_score(held), self.best_validation_score_
            assert best is not None
            assert self.validation_scores_ is not None
            self.validation_scores_.append(score)
            if settings.verbose:
                print(f"Validation score: {score:f}")
            worse = score < best + settings.tol
            if score > best:
                self.best_validation_score_ = score
                self._best_parameters = self.network_.parameters.copy()
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0

    def _note_divergence(self) -> None:
        """With rows set aside the best parameters will do: what came after them is NaN."""
        assert self.validation_scores_ is not None
        self.n_iter_ += 1
        self.loss_ = np.nan
        self.loss_curve_.append(np.nan)
        self.validation_scores_.append(np.nan)
        warnings.warn(
            f"Training diverged in epoch {self.n_iter_}; the parameters with the best validation "
            "score are kept. A smaller learning_rate_init may help.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _stalled(self, settings: Settings) -> str:
        what = "Validation score" if settings.early_stopping else "Training loss"
        return (
            f"{what} did not improve more than tol={settings.tol:f} for "
            f"{settings.n_iter_no_change} consecutive epochs."
        )

    def _warn_unconverged(self, settings: Settings) -> None:
        warnings.warn(
            f"The solver {self.solver} made the {settings.max_iter} iterations that max_iter "
            "allows and has not converged yet.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
