"""The rule that chooses a solver: its branches, and where they meet."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._fit import choice as _choice
from deltaloop._fit.choice import choose
from deltaloop.schedules import Cosine


def network(layers, loss="squared_error"):
    output = "identity" if loss in ("squared_error", "huber") else None
    return dl.Network(layers, activation="tanh", output=output, loss=loss, seed=0)


def test_small_least_squares():
    solver, epochs = choose(network([1, 20, 1]), 1000)
    assert (solver, epochs) == (dl.LevenbergMarquardt(), 300)


def test_levenberg_to_the_last_row():
    """R P^2 + P^3 / 3 <= 1e8 with P = 61: R <= 26,854.4."""
    net = network([1, 20, 1])
    assert net.n_parameters == 61
    assert 26854 * 61**2 + 61**3 / 3 <= 1e8 < 26855 * 61**2 + 61**3 / 3
    assert isinstance(choose(net, 26854)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 26855)[0], dl.Adam)


def test_each_output_is_an_error():
    """Two outputs: R = 2 n, P = 152, so R <= 4,277.6 and n <= 2,138."""
    net = network([2, 30, 2])
    assert net.n_parameters == 152
    assert isinstance(choose(net, 2138)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 2139)[0], dl.LBFGS)


def test_errors_for_each_parameter():
    """P = 61: with 488 errors or a penalty, with 122, with fewer; two outputs make two a row."""
    net = network([1, 20, 1])
    assert isinstance(choose(net, 488)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 5, l2=0.1)[0], dl.LevenbergMarquardt)
    assert choose(net, 487) == choose(net, 122) == (dl.BayesianRegularization(), 300)
    assert isinstance(choose(net, 121)[0], dl.LBFGS)
    assert isinstance(choose(network([1, 15, 2]), 248)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(network([1, 15, 2]), 247)[0], dl.BayesianRegularization)
    net = dl.Network([1, 20, 1], activation="tanh", seed=0)  # its outputs are tanh too
    assert isinstance(choose(net, 487)[0], dl.LBFGS)


def test_few_rows_of_a_wide_network_with_a_penalty():
    """Levenberg and Marquardt's system is then that of the parameters, too large here."""
    assert isinstance(choose(network([3, 200, 200, 1]), 30, l2=0.1)[0], dl.LBFGS)


def test_noise_is_not_learned():
    rng = np.random.default_rng(0)
    X, test = rng.uniform(-1, 1, (200, 3)), rng.uniform(-1, 1, (500, 3))
    net = dl.Network([3, 64, 1], activation="tanh", output="identity", seed=0)
    net.fit(X, np.sin(X[:, 0]) + 0.1 * rng.normal(size=200))
    errors = net.predict(test)[:, 0] - np.sin(test[:, 0])
    assert np.mean(errors**2) < 0.05 * np.var(np.sin(test[:, 0]))


@pytest.mark.parametrize("loss", ["cross_entropy", "poisson", "huber"])
def test_other_losses(loss):
    assert choose(network([4, 5, 1], loss=loss), 100) == (dl.LBFGS(), 500)


def test_rows_of_a_full_batch():
    net = network([4, 5, 3], loss="cross_entropy")
    assert isinstance(choose(net, 3000)[0], dl.LBFGS)
    assert choose(net, 3001) == (dl.Adam(Cosine(0.01, epochs=50), batch_size=64), 50)


def test_work_of_a_full_batch():
    """n P <= 1e8 with P = 100,101."""
    net = network([999, 100, 1], loss="cross_entropy")
    assert net.n_parameters == 100_101
    assert isinstance(choose(net, 998)[0], dl.LBFGS)
    assert isinstance(choose(net, 999)[0], dl.Adam)


def test_penalties_and_dropout():
    net = network([1, 20, 1])
    assert isinstance(choose(net, 1000, l2=0.1)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 1000, l1=0.1)[0], dl.LBFGS)
    assert isinstance(choose(net, 100, dropout=0.1)[0], dl.Adam)
    assert isinstance(choose(network([1, 20, 1], "cross_entropy"), 100, dropout=0.1)[0], dl.Adam)


@pytest.mark.parametrize(
    ("n", "batch", "epochs"),
    [(1, 1, 2000), (63, 63, 2000), (64, 64, 2000), (65, 64, 1000), (2560, 64, 50), (10**6, 64, 50)],
)
def test_enough_steps(n, batch, epochs):
    """50 epochs, or 2,000 steps where that is more; the schedule ends with them."""
    solver, most = choose(network([4, 5, 3], loss="cross_entropy"), n, dropout=0.5)
    assert (solver.batch_size, most, solver.learning_rate) == (
        batch,
        epochs,
        Cosine(0.01, epochs=epochs),
    )


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_what_is_chosen_trains(loss, dropout):
    net = network([2, 6, 1], loss=loss)
    X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    solver, epochs = choose(net, len(X), dropout=dropout)
    assert net.fit(X, Y, solver=solver, max_epochs=epochs).cost < 0.05


def test_operations():
    """Of one iteration: 1,000 rows of a 61 x 61 matrix and a third of its cube."""
    assert _choice.least_squares_work(network([1, 20, 1]), 1000) == 61**2 * 1000 + 61**3 / 3


def test_fit_without_a_solver():
    """It is the fit with what the rule chooses, and says so; a number of epochs is kept to."""
    rng = np.random.default_rng(0)
    for layers, loss, n, options in (
        ([2, 4, 1], "squared_error", 30, {}),
        ([2, 4, 1], "squared_error", 30, {"l1": 0.1}),
        ([2, 8, 3], "cross_entropy", 200, {"l2": 0.1, "max_epochs": 7}),
        ([2, 8, 3], "cross_entropy", 200, {"dropout": 0.2, "max_epochs": 7}),
        ([2, 8, 3], "cross_entropy", 200, {"validation": 0.9, "max_epochs": 7}),
    ):
        X, Y = rng.normal(size=(n, 2)), rng.integers(0, layers[-1], n)
        nets = [dl.Network(layers, activation="tanh", loss=loss, seed=0) for _ in range(2)]
        result = nets[0].fit(X, Y, **options)
        most = options.pop("max_epochs", None)
        rows = n - round(n * options.get("validation", 0))
        rule = {key: value for key, value in options.items() if key != "validation"}
        rule["dropout"] = "dropout" in rule
        solver, epochs = choose(nets[1], rows, max_epochs=most, **rule)
        again = nets[1].fit(X, Y, solver=solver, max_epochs=epochs, **options)
        assert result.solver == solver
        assert result.epochs == again.epochs <= (most or epochs)
        assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
