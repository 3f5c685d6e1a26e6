"""The rule that chooses a solver: its branches, and where they meet."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import deltaloop as dl
from deltaloop import _choice
from deltaloop._choice import choose
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


def test_fewer_errors_than_parameters():
    """R^2 P + R^3 / 3."""
    net = network([4, 8000, 1])
    P = net.n_parameters
    assert 40**2 * P + 40**3 / 3 <= 1e8 < 50**2 * P + 50**3 / 3
    assert isinstance(choose(net, 40)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 50)[0], dl.LBFGS)


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
    assert isinstance(choose(net, 100, l2=0.1)[0], dl.LevenbergMarquardt)
    assert isinstance(choose(net, 100, l1=0.1)[0], dl.LBFGS)
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


def test_examples_of_the_page():
    page = Path(__file__).resolve().parents[1] / "docs" / "training.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried > 10) == (0, True)
