"""Fifty epochs of gradient descent beside reference.py, the parameters compared after each."""

from __future__ import annotations

import pytest

import deltaloop as dl
from deltaloop.reference import Reference
from tests.helpers.cases import make_case, permutations
from tests.helpers.compare import relative_error

N_EPOCHS = 50
SEED = 11

# layers, hidden activations, output, loss, n
NETS = {
    "textbook": ((2, 2, 1), "sigmoid", "sigmoid", "squared_error", 4),
    "regression": ((3, 7, 2), "tanh", "identity", "squared_error", 23),
    "classes": ((5, 9, 4), "relu", "softmax", "cross_entropy", 23),
    "two classes": ((4, 6, 1), "tanh", "sigmoid", "cross_entropy", 23),
    "tags": ((4, 5, 3), "sigmoid", "sigmoid", "binary_cross_entropy", 23),
    "deep": ((3, 5, 4, 6, 2), ("tanh", "relu", "sigmoid"), "tanh", "squared_error", 23),
    "softmax, squared": ((3, 5, 4), "tanh", "softmax", "squared_error", 23),
    "wide": ((20, 45, 33, 3), "relu", "identity", "squared_error", 23),
    "one layer": ((6, 1), (), "identity", "squared_error", 23),
}
METHODS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}
BATCHES = {  # 3 and 10 divide neither 4 nor 23
    "full": {},
    "batches of 3": {"batch_size": 3},
    "batches of 10 in order": {"batch_size": 10, "shuffle": False},
    "online": {"batch_size": 1},
}


def case_of(name):
    layers, activation, output, loss, n = NETS[name]
    return make_case(layers, activation, output, loss, n=n, seed=5)


def check(net, reference, X, Y, learning_rate, batch_size=None, shuffle=True, **method):
    """Fit both and compare parameters after every epoch to 1e-12, and costs to 1e-11.

    A cost depends on all parameters: it differs by 1.6e-12 with another BLAS under the reference.
    """
    seen = []
    solver = dl.GradientDescent(learning_rate, batch_size=batch_size, shuffle=shuffle, **method)
    result = net.fit(
        X,
        Y,
        solver=solver,
        max_epochs=N_EPOCHS,
        tol=0,
        seed=SEED,
        callback=lambda info: seen.append((info.cost, info.network.parameters.copy())),
    )
    assert result.epochs == len(seen) == N_EPOCHS
    orders = permutations(len(X), SEED) if batch_size and shuffle else None
    epochs = reference.epochs(
        X, Y, learning_rate, batch_size=batch_size, permutations=orders, **method
    )
    start = reference.parameters.copy()
    for (cost, parameters), (reference_cost, expected) in zip(seen, epochs, strict=False):
        assert relative_error(parameters, expected) < 1e-12
        assert cost == pytest.approx(reference_cost, rel=1e-11)
    assert relative_error(net.parameters, start) > 1e-3
    assert result.cost_history.tolist() == [cost for cost, _ in seen]


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETS)
def test_fifty_epochs(name, method, batches):
    case, options = case_of(name), dict(BATCHES[batches])
    if "batch_size" in options:
        options["batch_size"] = min(options["batch_size"], len(case.X))
    check(
        case.network(),
        case.reference(),
        case.X,
        case.Y,
        learning_rate=0.005,  # stable for all of them: an unstable fit would magnify every rounding
        **METHODS[method],
        **options,
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_size", [None, 4999, 1000, 4096])
def test_many_instances(method, batch_size):
    """A full batch from 4,096 instances on is summed in 64 ranges; a mini-batch as one chain."""
    case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=4999, seed=5)
    check(
        case.network(),
        case.reference(),
        case.X,
        case.Y,
        learning_rate=2e-5,
        batch_size=batch_size,
        **METHODS[method],
    )


@pytest.mark.parametrize("init", ["uniform", "he_uniform", "glorot_uniform", "lecun_uniform"])
def test_from_the_seed_alone(init):
    """The initial weights, then the permutations of the epochs, are words of one stream."""
    case = case_of("regression")
    net = dl.Network([3, 7, 2], activation="tanh", init=init, seed=8)
    position = net.n_parameters if init == "uniform" else sum(w.size for w in net.weights)
    reference, n = Reference.of(net), len(case.X)
    solver = dl.GradientDescent(0.01, batch_size=4)
    for first, count in ((0, 2), (2, 1), (3, 4)):
        net.fit(case.X, case.Y, solver=solver, max_epochs=count, tol=0)
        orders = permutations(n, 8, position + first * (n - 1))
        epochs = reference.epochs(case.X, case.Y, 0.01, batch_size=4, permutations=orders)
        for _ in range(count):
            next(epochs)
        assert relative_error(net.parameters, reference.parameters) < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_trainer_keeps_the_state(method):
    """Steps of a trainer are those of a fit over the same batches, the velocity kept."""
    case = case_of("deep")
    net, reference = case.network(), case.reference()
    trainer = net.trainer(dl.GradientDescent(0.02, **METHODS[method]))
    assert trainer.network is net
    epochs = reference.epochs(case.X, case.Y, 0.02, batch_size=1, **METHODS[method])
    for _ in range(5):
        cost = sum(trainer.step(x, y) for x, y in zip(case.X, case.Y, strict=True))
        reference_cost, parameters = next(epochs)
        assert cost == pytest.approx(reference_cost, rel=1e-12)
        assert relative_error(net.parameters, parameters) < 1e-12
    for rows in (slice(0, 5), slice(5, 6), slice(6, 23)):
        before = net.cost(case.X[rows], case.Y[rows])
        assert trainer.step(case.X[rows], case.Y[rows]) == before
