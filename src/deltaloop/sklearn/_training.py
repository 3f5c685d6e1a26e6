"""How both estimators train: in epochs, until the loss or a score falls no more.

The steps are the optimisers' (`_optimizer`); here is what scikit-learn does around them, for
mini-batches and for solvers on all instances alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from deltaloop._arguments import arrays as _arrays
from deltaloop._fit.run import callers
from deltaloop.network import Network
from deltaloop.sklearn import _settings, _verdict
from deltaloop.sklearn._optimizer import DivergedError, FullBatch, Optimizer
from deltaloop.sklearn._rows import Array, Rows

if TYPE_CHECKING:
    from deltaloop.losses import Loss
    from deltaloop.sklearn._settings import Settings

# Instances times parameters up to which a call of partial_fit has one thread: to wake another takes
# 0.1 to 0.2 ms, as long as all of its work.
SHORT_WORK = 1e6


class Training(BaseEstimator):
    """A network under training, and what is known of its epochs."""

    coefs_: list[Array]
    intercepts_: list[Array]
    network_: Network
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_loss_: float | None
    best_validation_score_: float | None

    solver: Any
    random_state: Any
    # Of what the first fit was given; models of version 0.1.0 have float64 alone.
    _dtype: np.dtype[Any] = np.dtype(np.float64)

    # ---- what the two estimators differ in ----

    def _loss(self, settings: Settings) -> tuple[Loss, str]:
        """Return deltaloop's loss and the activation of the outputs."""
        raise NotImplementedError

    def _score_of(self, a: Array, rows: Rows) -> float:
        """Return the score of finite outputs a^(L) for rows."""
        raise NotImplementedError

    def _left_out(self, rows: Rows) -> Array | None:
        """Return (n,), what each instance's loss has that the network's cost leaves out, if any."""
        return None

    # ---- the network ----

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

    def _link(self) -> None:
        """Show the network's parameters: as they are, or rounded to float32.

        What is written into the rounded ones would be lost, so that they cannot be written to.
        """
        weights, biases = self.network_.weights, self.network_.biases
        if self._dtype != np.float64:
            weights, biases = self._rounded(weights), self._rounded(biases)
        # At once: a signal between them would leave views of two networks.
        self.__dict__.update(
            _views=[*weights, *biases], coefs_=list(weights), intercepts_=list(biases)
        )

    def _rounded(self, arrays: Iterable[Array]) -> tuple[Array, ...]:
        rounded = tuple(array.astype(self._dtype) for array in arrays)
        for array in rounded:
            array.flags.writeable = False
        return rounded

    def _predict_blocks(self, X: Any) -> Array:
        """Return a^(L) of valid instances, dense or sparse."""
        return self.network_.predict(_arrays.rows("X", X))

    def _validation_score(self, rows: Rows) -> float:
        a = self._predict_blocks(rows.X)
        return self._score_of(a, rows) if np.isfinite(a).all() else float("nan")

    # ---- training ----

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

    def _train(self, settings: Settings, rows: Rows, incremental: bool) -> None:
        held: Rows | None = None
        if settings.early_stopping and settings.method != "lbfgs":
            if self._best_parameters is None:
                self.validation_scores_, self.best_validation_score_ = [], -np.inf
                self.best_loss_, self._best_parameters = None, self.network_.parameters.copy()
            rows, held = self._set_aside(settings, rows)
        elif self.best_loss_ is None:
            self.best_loss_, self._best_parameters = np.inf, None
        if settings.solver is not None:
            self._optimizer = None
            self._train_full_batch(settings, rows, held)
        else:
            if settings.batch_size is not None and settings.batch_size > rows.n:
                warnings.warn(
                    f"batch_size={settings.batch_size} is larger than the number of rows, "
                    f"{rows.n}, and will be clipped",
                    stacklevel=callers("deltaloop", "sklearn"),
                )
            self._own_reason = ""
            self._train_stochastic(settings, rows, held, incremental)
        if held is not None and self._best_parameters is not None:
            self.network_.parameters = self._best_parameters
        if not incremental and self.n_iter_ < settings.max_iter:
            reason = self._own_reason or "converged"
            _verdict.warn(self.network_, settings, rows, self.loss_curve_, self.n_iter_, reason)

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
        share = settings.validation_fraction
        try:
            train, held = train_test_split(
                np.arange(rows.n),
                random_state=random_state,
                test_size=share,
                stratify=rows.y if binary else None,
            )
        except ValueError as error:
            message = str(error).replace("test_size", "validation_fraction")
            raise ValueError(
                f"early_stopping=True cannot set validation_fraction={share} of {rows.n} rows "
                f"aside: {message}"
            ) from None
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                f"your dataset: validation_fraction={share} of {rows.n} rows is {len(held)}, at "
                "least 2 are needed."
            )
        parts = rows[train], rows[held]
        for part, use in zip(parts, ("trained on", "set aside"), strict=True):
            if part.weights is not None and part.weights.max() == 0:
                raise ValueError(
                    f"early_stopping=True with validation_fraction={share}: all {part.n} rows that "
                    f"are {use} have the weight 0; change validation_fraction or random_state, or "
                    "leave out the rows of weight 0"
                )
        return parts

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
        order: NDArray[np.uintp] = np.arange(rows.n, dtype=np.uintp)
        if not incremental and self._order is not None and len(self._order) == rows.n:
            order = self._order
        several = batch_size < rows.n
        left_out = self._left_out(rows)

        def epoch() -> bool:
            nonlocal order
            if settings.shuffle:
                # Of this permutation's permutation, as scikit-learn's shuffle draws it.
                places = np.arange(rows.n)
                random_state.shuffle(places)
                order = order[places]
            sequence = order if settings.shuffle and several else None
            try:
                loss = optimizer.epoch(rows, sequence)
            except DivergedError:
                self._optimizer = None
                raise
            if left_out is not None:
                loss += rows.epoch_mean(left_out, sequence, batch_size)
            self._count(settings, loss, rows.n, held)
            optimizer.epoch_ends(self.t_)
            if self._no_improvement_count > settings.n_iter_no_change:
                if optimizer.stalls(self._stalled(settings)):
                    return True
                self._no_improvement_count = 0
            return incremental

        try:
            self._run_epochs(settings, held, epoch)
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

        def epoch() -> bool:
            loss = run.epoch()
            if loss is not None:
                self._count(settings, loss + shift, rows.n, held)
            if run.stopped:
                return True
            stalled = self._no_improvement_count > settings.n_iter_no_change
            if settings.method == "lbfgs" or not stalled:
                return False
            if settings.verbose:
                print(self._stalled(settings) + " Stopping.")
            return True

        self._run_epochs(settings, held, epoch)
        assert settings.solver is not None
        self._own_reason = run.stopped if run.stopped in settings.solver._stop_reasons else ""
        if run.stopped == "max_fun":
            warnings.warn(
                f"lbfgs made the {settings.max_fun} evaluations that max_fun allows and has not "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=callers("deltaloop", "sklearn"),
            )
        if self.n_iter_ == 0:
            self.loss_ = run.loss + shift

    def _run_epochs(self, settings: Settings, held: Rows | None, epoch: Callable[[], bool]) -> None:
        """Do epochs, at most `max_iter`, until one says that it was the last."""
        self.n_iter_ = 0
        try:
            while self.n_iter_ < settings.max_iter:
                if epoch():
                    break
                if self.n_iter_ == settings.max_iter:
                    self._warn_unconverged(settings)
        except KeyboardInterrupt:
            warnings.warn(
                "Training interrupted by user.", stacklevel=callers("deltaloop", "sklearn")
            )
        except DivergedError:
            if held is None:
                raise
            self._note_divergence()

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
            stacklevel=callers("deltaloop", "sklearn"),
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
            stacklevel=callers("deltaloop", "sklearn"),
        )
