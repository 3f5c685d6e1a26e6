"""Weights, penalties, dropout, residual networks, validation and chains in one fit.

One that stops and goes on gives the bits of one that never stopped.
"""

import numpy as np
import pytest

import deltaloop as dl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.sin(X.sum(axis=1, keepdims=True)) + 0.1 * RNG.normal(size=(60, 1))
S = RNG.uniform(size=60)

ADAM = dl.Adam(0.01, batch_size=8)
FITS = {
    "full batch, dropout": (dl.GradientDescent(0.002, momentum=0.5), 12, {"dropout": 0.2}),
    "mini-batches, everything": (
        dl.GradientDescent(0.002, momentum=0.5, batch_size=7),
        12,
        {
            "dropout": [0.2, 0.0],
            "l1": 0.01,
            "l2": 0.1,
            "validation": 0.2,
            "patience": 100,
            "sample_weight": S,
        },
    ),
    "patience": (ADAM, 40, {"validation": 0.3, "patience": 3}),
    "Levenberg-Marquardt": (
        dl.LevenbergMarquardt(),
        12,
        {"sample_weight": S, "l2": 0.1, "validation": 0.25},
    ),
    "chain, patience": (
        [ADAM, dl.LevenbergMarquardt()],
        [12, 14],
        {"validation": 0.3, "patience": 50},
    ),
    "chain, validation": ([ADAM, dl.LBFGS()], 10, {"validation": (X, Y, S)}),
}


def network(seed=3):
    return dl.Network([3, 9, 9, 1], activation="tanh", residual=True, seed=seed)


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_stops_and_goes_on(name):
    solver, most, options = FITS[name]
    options = {"solver": solver, "max_epochs": most, "tol": 0, **options}
    whole = network()
    result = whole.fit(X, Y, **options)
    if "patience" in options:
        costs = result.history.validation_cost
        assert result.validation_cost == costs.min() == costs[result.best_epoch - 1]
    for k in (1, 2, 7, result.epochs - 1):
        first = network().fit(X, Y, callback=lambda info, k=k: info.epoch >= k, **options)
        assert first.epochs == k
        other = network(seed=8)
        rest = other.fit(X, Y, resume=first.state, **options)
        assert other.parameters.tobytes() == whole.parameters.tobytes()
        assert (rest.cost, rest.best_epoch) == (result.cost, result.best_epoch)
        for series in ("cost", "validation_cost", "learning_rate", "gradient_norm"):
            expected = getattr(result.history, series)[k:]
            assert np.array_equal(getattr(rest.history, series), expected, equal_nan=True), series
        assert rest.state.keys() == result.state.keys()
        for entry, value in result.state.items():
            assert np.array_equal(rest.state[entry], value, equal_nan=True), entry


def test_a_trainer_with_dropout_goes_on():
    solver, options = dl.Adam(), {"dropout": 0.3, "l2": 0.1}
    nets = [dl.Network([3, 9, 1], activation="tanh", seed=1) for _ in range(2)]
    trainer = nets[0].trainer(solver, **options)
    for i in range(5):
        trainer.step(X[i : i + 9], Y[i : i + 9])
    twin = nets[1].trainer(solver, resume=trainer.state, **options)
    for _ in range(3):
        assert trainer.step(X[9:20], Y[9:20]) == twin.step(X[9:20], Y[9:20])
    assert nets[0]._position == nets[1]._position
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def test_the_state_of_a_split_needs_the_split():
    options = {"solver": ADAM, "max_epochs": 5}
    state = network().fit(X, Y, validation=0.3, **options).state
    with pytest.raises(ValueError, match="resume has 'split'"):
        network().fit(X, Y, resume=state, **{**options, "max_epochs": 9})
    del state["split"]
    with pytest.raises(ValueError, match="resume has no 'split'"):
        network().fit(X, Y, resume=state, validation=0.3, **{**options, "max_epochs": 9})
