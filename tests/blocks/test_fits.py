"""Fits to rows that are read block by block: the bytes of the same rows in memory."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from deltaloop._arguments import seeds
from deltaloop._blocks import windows

N = 5003
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
Y = np.column_stack([X[:, 0] * X[:, 1], X[:, 2] + 0.5]).astype(np.float64)
CLASSES = (X[:, 0] > X[:, 1]).astype(np.int64) + (X[:, 2] > 0)
WEIGHTS = RNG.random(N)


class Blocks:
    """Blocks of so many rows, each time from the first one on."""

    def __init__(self, rows: int, *arrays: np.ndarray) -> None:
        self.rows, self.arrays = rows, arrays

    def __iter__(self):
        for begin in range(0, len(self.arrays[0]), self.rows):
            yield tuple(array[begin : begin + self.rows] for array in self.arrays)


@pytest.fixture(params=[4_000, 40_000, 10**9], ids=["tiny", "some", "one"])
def memory(request, monkeypatch):
    """Windows of some 35 rows, some 400 or all."""
    monkeypatch.setattr(windows, "MEMORY", request.param)
    monkeypatch.setattr(windows, "LEAST", 1000)
    return request.param


def network(output="identity", hidden=5):
    layers = [3, hidden, 3 if output == "softmax" else 2]
    return dl.Network(layers, activation="tanh", output=output, seed=3)


def same(net, other, result, expected):
    assert net.parameters.tobytes() == other.parameters.tobytes()
    assert result.cost_history.tobytes() == expected.cost_history.tobytes()
    assert result.cost == expected.cost
    assert result.stop_reason == expected.stop_reason
    assert result.n_instances == expected.n_instances == N


SOLVERS = [
    dl.GradientDescent(1e-4),
    dl.LBFGS(),
    dl.ScaledConjugateGradient(),
    dl.Rprop(),
    dl.Quickprop(),
    dl.LevenbergMarquardt(),
    dl.Adam(batch_size=64, shuffle=False),
    dl.Adam(batch_size=4500, shuffle=False, clip_norm=1.0),
    dl.GradientDescent(1e-3, batch_size=1, shuffle=False),
    [dl.Adam(batch_size=100, shuffle=False), dl.LBFGS()],
]


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_bytes_of_memory(solver, memory):
    net, other = network(), network()
    options = {"solver": solver, "max_epochs": 3, "tol": 0.0}
    result = net.fit(Blocks(701, X, Y), None, **options)
    same(net, other, result, other.fit(X, Y, **options))


def test_many_parameters(memory):
    """One chain of sums, whose chunks all threads share."""
    net, other = network(hidden=2000), network(hidden=2000)
    options = {"solver": dl.GradientDescent(1e-6), "max_epochs": 2}
    result = net.fit(Blocks(1000, X, Y), None, **options)
    same(net, other, result, other.fit(X, Y, **options))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads(threads, memory):
    net, other = network(), network()
    net._grain = other._grain = 1.0
    options = {"solver": dl.Rprop(), "max_epochs": 2}
    result = net.fit(Blocks(1000, X, Y), None, n_threads=threads, **options)
    same(net, other, result, other.fit(X, Y, n_threads=1, **options))


@pytest.mark.parametrize("batch_size", [1, 64])
def test_shuffled_blocks(batch_size, monkeypatch):
    """All of a block in another order in each epoch; N rows are one block of three inputs."""
    monkeypatch.setattr(windows, "MEMORY", 1000)
    net, other = network(), network()
    solver = dl.GradientDescent(1e-3, batch_size=batch_size, shuffle="blocks")
    options = {"solver": solver, "max_epochs": 3, "dropout": 0.25}
    result = net.fit(Blocks(999, X, Y), None, **options)
    same(net, other, result, other.fit(X, Y, **options))


def test_shuffled_wide_blocks(monkeypatch):
    """Several blocks, of 256 rows each, and windows of one or two of them."""
    wide = np.zeros((700, 20_000), np.int8)
    wide[:, :3] = (8 * X[:700]).round()
    y = wide[:, 0] - wide[:, 1] / 2.0
    results = []
    for memory in (None, 1000, 2 * 2 * 512 * 20_000):
        net = dl.Network([20_000, 1], output="identity", seed=1)
        data = (wide, y)
        if memory is not None:
            monkeypatch.setattr(windows, "MEMORY", memory)
            data = (Blocks(100, *data), None)
        solver = dl.GradientDescent(1e-6, batch_size=100, shuffle="blocks")
        net.fit(*data, solver=solver, max_epochs=2)
        results.append(net.parameters.tobytes())
    assert results[0] == results[1] == results[2]


def blockwise(stream, size, n):
    """Return the order of an epoch: NumPy's words, shuffled by Fisher and Yates within blocks."""
    key = np.random.Philox(key=np.array(stream.key, np.uint64))
    words = key.random_raw(stream.position + 2)[-2:]
    order = np.arange(n)
    for block in range(-(-n // size)):
        first = block * size
        left = min(size, n - first)
        source = np.random.Philox(key=words, counter=[block << 30, 0, 0, 0])
        drawn = source.random_raw(left)
        for word in drawn[: left - 1]:
            j = int(word) * left >> 64
            left -= 1
            order[[first + left, first + j]] = order[[first + j, first + left]]
    return order


def test_the_order_is_the_documented_one():
    assert _core.shuffled_rows(20_000) == 256
    assert _core.shuffled_rows(64) == _core.shuffled_rows(3) == 65_536
    assert _core.shuffled_rows(784) == 2**22 // 784
    n = 600
    x = np.zeros((n, 20_000))
    x[:, 0] = X[:n, 0]
    y = X[:n, 1].astype(np.float64)
    net = dl.Network([20_000, 1], output="identity", seed=5)
    twin = dl.Network([20_000, 1], output="identity", seed=5)
    order = blockwise(seeds.stream(net.seed, net._position), 256, n)
    assert sorted(order) == list(range(n))
    assert (order // 256 == np.arange(n) // 256).all()
    net.fit(x, y, solver=dl.GradientDescent(0.01, batch_size=1, shuffle="blocks"), max_epochs=1)
    plain = dl.GradientDescent(0.01, batch_size=1, shuffle=False)
    twin.fit(x[order], y[order], solver=plain, max_epochs=1)
    assert net.parameters.tobytes() == twin.parameters.tobytes()


def test_classes_weights_and_scale(memory):
    for weights in ({}, {"class_weight": "balanced"}, {"class_weight": {0: 2.0}}):
        for s in (None, WEIGHTS):
            net, other = network("softmax"), network("softmax")
            options = {"solver": dl.LBFGS(), "max_epochs": 3, "scale": "standard", **weights}
            arrays = (X, CLASSES) if s is None else (X, CLASSES, s)
            result = net.fit(Blocks(800, *arrays), None, **options)
            expected = other.fit(X, CLASSES, sample_weight=s, **options)
            same(net, other, result, expected)
            assert net.scaling == other.scaling


@pytest.mark.parametrize("solver", [dl.Quickprop(), dl.LevenbergMarquardt()], ids=repr)
def test_weights_that_are_read_before(solver, memory):
    net, other = network(), network()
    result = net.fit(Blocks(800, X, Y, WEIGHTS), None, solver=solver, max_epochs=2)
    same(net, other, result, other.fit(X, Y, sample_weight=WEIGHTS, solver=solver, max_epochs=2))


def test_weights_in_memory(memory):
    net, other = network(), network()
    options = {"solver": dl.Rprop(), "max_epochs": 2, "sample_weight": WEIGHTS}
    result = net.fit(Blocks(800, X, Y), None, **options)
    same(net, other, result, other.fit(X, Y, **options))


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_scaled_targets(scale, memory):
    net, other = network(), network()
    options = {"solver": dl.LBFGS(), "max_epochs": 2, "scale": scale}
    result = net.fit(Blocks(1001, 1000 * X + 5, Y), None, **options)
    same(net, other, result, other.fit(1000 * X + 5, Y, **options))


def test_missing_targets(memory):
    gaps = np.where(RNG.random(Y.shape) < 0.2, np.nan, Y)
    for solver in (dl.LBFGS(), dl.LevenbergMarquardt()):
        net, other = network(), network()
        options = {"solver": solver, "max_epochs": 2, "missing_targets": "skip"}
        result = net.fit(Blocks(1001, X, gaps), None, **options)
        same(net, other, result, other.fit(X, gaps, **options))
    with pytest.raises(ValueError, match=r"block \d of Y \(row \d+ on\) holds nan at row"):
        network().fit(Blocks(1001, X, gaps), None, solver=dl.LBFGS())


def test_validation(memory):
    options = {"solver": dl.Rprop(), "max_epochs": 6, "patience": 2}
    held = (X[:900] + 1, Y[:900])
    net, other, third = network(), network(), network()
    result = net.fit(Blocks(999, X, Y), None, validation=held, **options)
    expected = other.fit(X, Y, validation=held, **options)
    same(net, other, result, expected)
    streamed = third.fit(Blocks(999, X, Y), None, validation=(Blocks(100, *held), None), **options)
    same(third, other, streamed, expected)
    assert result.validation_cost == expected.validation_cost == streamed.validation_cost


def test_goes_on(memory):
    net, other = network(), network()
    solver = dl.Adam(batch_size=50, shuffle="blocks")
    first = net.fit(Blocks(999, X, Y), None, solver=solver, max_epochs=2)
    net.fit(Blocks(500, X, Y), None, solver=solver, max_epochs=4, resume=first.state)
    other.fit(X, Y, solver=solver, max_epochs=4)
    assert net.parameters.tobytes() == other.parameters.tobytes()


def test_types_of_several_blocks(memory):
    """float32, then integers: the numbers of the array that holds them all."""
    x = (8 * X).round()
    parts = [x[:100].astype(np.int8), x[100:2000], x[2000:].astype(np.float64)]
    ends = [slice(0, 100), slice(100, 2000), slice(2000, None)]
    blocks = [(part, Y[rows]) for part, rows in zip(parts, ends, strict=True)]
    net, other = network(), network()
    result = net.fit(blocks, None, solver=dl.LBFGS(), max_epochs=2)
    same(net, other, result, other.fit(x.astype(np.float64), Y, solver=dl.LBFGS(), max_epochs=2))


def test_arrays_that_are_filled_again(memory):
    class Same:
        def __iter__(self):
            x, y = np.empty((100, 3), np.float32), np.empty((100, 2))
            for begin in range(0, N, 100):
                rows = min(100, N - begin)
                x[:rows], y[:rows] = X[begin : begin + rows], Y[begin : begin + rows]
                yield x[:rows], y[:rows]
                x[:], y[:] = np.nan, np.nan

    net, other = network(), network()
    result = net.fit(Same(), None, solver=dl.LBFGS(), max_epochs=3)
    same(net, other, result, other.fit(X, Y, solver=dl.LBFGS(), max_epochs=3))
    assert (net.predict(Same()) == net.predict(X)).all()


def test_costs_and_predictions(memory):
    net = network()
    assert net.cost(Blocks(701, X, Y), None, l2=0.1) == net.cost(X, Y, l2=0.1)
    assert net.cost(Blocks(701, X, Y, WEIGHTS), None) == net.cost(X, Y, sample_weight=WEIGHTS)
    expected = net.predict(X)
    assert (net.predict(Blocks(701, X)) == expected).all()
    assert (net.predict(Blocks(701, X, Y)) == expected).all()
    out = np.empty((N, 2))
    assert net.predict(Blocks(701, X), out=out) is out
    assert (out == expected).all()
    with pytest.raises(ValueError, match=r"out has 4999 rows and X has more"):
        net.predict(Blocks(701, X), out=np.empty((4999, 2)))
    with pytest.raises(ValueError, match=r"out has 6000 rows and X has 5003"):
        net.predict(Blocks(701, X), out=np.empty((6000, 2)))


def test_solver_is_chosen_without_trials():
    net = network()
    result = net.fit(Blocks(1001, X, Y), None, max_epochs=2)
    assert "X is read block by block" in result.choice
    assert result.solver == dl.LevenbergMarquardt()
    large = network(hidden=300)
    result = large.fit(Blocks(1001, X, Y), None, max_epochs=1)
    assert result.solver.shuffle == "blocks"
