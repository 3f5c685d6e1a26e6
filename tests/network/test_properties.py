"""What holds for every network and every batch, over random layers, activations and losses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import deltaloop as dl
from deltaloop.reference import Reference
from tests.helpers.cases import HIDDEN
from tests.helpers.compare import bits, relative_error, same

# Widths around the multiples of what vectors and tiles hold come as often as all others together.
EDGES = sorted({m + d for m in (2, 4, 6, 8, 12, 16, 24, 32, 36) for d in (-1, 0, 1)})
WIDTHS = st.one_of(st.integers(1, 40), st.sampled_from(EDGES))
BATCHES = st.one_of(st.integers(1, 100), st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 64]))
PAIRS = (
    ("squared_error", "sigmoid"),
    ("squared_error", "tanh"),
    ("squared_error", "relu"),
    ("squared_error", "identity"),
    ("squared_error", "softmax"),
    ("cross_entropy", "softmax"),
    ("cross_entropy", "sigmoid"),
    ("binary_cross_entropy", "sigmoid"),
)
FEW = settings(deadline=None, max_examples=100)


class Problem(tuple):
    """(network, X, Y), shown in a line."""

    def __repr__(self):
        net, X, _ = self
        return f"{net!r} with {len(X)} instances"


@st.composite
def problems(draw, hidden=HIDDEN, pairs=PAIRS):
    """A network and data: z of the order of 1 in every layer, so that no unit is saturated."""
    layers = draw(st.lists(WIDTHS, min_size=2, max_size=7))
    loss, output = draw(st.sampled_from(pairs))
    if output == "softmax":
        layers[-1] += layers[-1] == 1
    elif loss == "cross_entropy":
        layers[-1] = 1
    names = draw(st.lists(st.sampled_from(hidden), min_size=len(layers) - 2, max_size=6))
    n = draw(BATCHES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = [
        rng.normal(0, 1.3 / np.sqrt(m_in), (m_in, m_out))
        for m_in, m_out in itertools.pairwise(layers)
    ]
    net = dl.Network.from_weights(
        weights,
        [rng.uniform(-0.3, 0.5, m) for m in layers[1:]],
        activation=names[: len(layers) - 2],
        output=output,
        loss=loss,
        seed=1,
    )
    X = rng.normal(size=(n, layers[0]))
    Y = rng.uniform(0.05, 1, (n, layers[-1]))
    if output == "softmax":
        Y /= Y.sum(axis=1, keepdims=True)
    return Problem((net, X, Y))


def gradient_scale(net, X, Y):
    """The norm that a sum over instances is rounded relative to: that of its terms."""
    return sum(np.linalg.norm(net.gradient(x, y)[1]) for x, y in zip(X, Y, strict=True))


@FEW
@given(problems(hidden=(*HIDDEN, "step"), pairs=(*PAIRS, ("squared_error", "step"))))
def test_a_batch_is_its_rows(problem):
    net, X, _ = problem
    out, layered = net.predict(X), net.activations(X)
    predictor = net.predictor(len(X))
    predictor.x[...] = X if len(X) > 1 else X[0]
    assert same(predictor().reshape(out.shape), out)
    assert same(layered[-1], out)
    assert same(net.predict(X[::-1]), out[::-1])
    half = len(X) // 2
    assert same(np.concatenate([net.predict(X[:half]), net.predict(X[half:])]), out)
    classes = net.classify(X)
    for i, x in enumerate(X):
        assert same(net.predict(x), out[i])
        assert all(same(a, b[i]) for a, b in zip(net.activations(x), layered, strict=True))
        assert np.all(net.classify(x) == classes[i])


@FEW
@given(problems())
def test_against_the_reference(problem):
    net, X, Y = problem
    reference = Reference.of(net)
    for a, b in zip(net.activations(X), reference.activations(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    C, g = net.gradient(X, Y)
    C_reference, g_reference = reference.gradient(X, Y)
    assert net.cost(X, Y) == C
    assert abs(C - C_reference) <= 1e-12 * abs(C_reference)
    # The sum may cancel, its terms do not.
    assert np.linalg.norm(g - g_reference) <= 1e-12 * gradient_scale(net, X, Y)


@FEW
@given(problems())
def test_relative_error_of_one_gradient(problem):
    """Of one instance nothing cancels between instances."""
    net, X, Y = problem
    g = net.gradient(X[:1], Y[:1])[1]
    g_reference = Reference.of(net).gradient(X[:1], Y[:1])[1]
    assert relative_error(g, g_reference) <= 1e-12


@FEW
@given(problems(), st.integers(0, 2**32))
def test_hidden_units_may_be_permuted(problem, seed):
    """Only the order of a sum changes."""
    net, X, Y = problem
    rng = np.random.default_rng(seed)
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    for l in range(len(weights) - 1):
        order = rng.permutation(len(biases[l]))
        weights[l], biases[l] = weights[l][:, order], biases[l][order]
        weights[l + 1] = weights[l + 1][order]
    other = dl.Network.from_weights(
        weights, biases, activation=net.activation, output=net.output, loss=net.loss
    )
    np.testing.assert_allclose(other.predict(X), net.predict(X), rtol=1e-10, atol=1e-12)
    assert other.cost(X, Y) == pytest.approx(net.cost(X, Y), rel=1e-11)


@FEW
@given(problems(), st.data())
def test_gradient_of_a_batch_is_the_sum(problem, data):
    net, X, Y = problem
    k = data.draw(st.integers(1, len(X)))
    C, g = net.gradient(X, Y)
    parts = [net.gradient(X[i : i + k], Y[i : i + k]) for i in range(0, len(X), k)]
    assert abs(C - sum(part[0] for part in parts)) <= 1e-12 * abs(C)
    difference = np.linalg.norm(g - sum(part[1] for part in parts))
    assert difference <= 1e-12 * gradient_scale(net, X, Y)


def everything(net, X, Y):
    """Results of one network, in a row."""
    net = net.copy()
    yield from net.activations(X)
    yield net.predict(X)
    yield np.array(net.cost(X, Y))
    yield net.gradient(X, Y)[1]
    net.trainer(dl.GradientDescent(1e-3 / len(X), momentum=0.5)).step(X, Y)
    yield net.parameters.copy()
    for batch_size in (None, (len(X) + 1) // 2):
        solver = dl.GradientDescent(1e-3 / len(X), momentum=0.5, batch_size=batch_size)
        result = net.fit(X, Y, solver=solver, max_epochs=2, tol=0, seed=1)
        yield net.parameters.copy()
        yield result.cost_history


@FEW
@given(problems(), st.integers(1, 40))
def test_chunks_change_no_bit(problem, rows):
    net, X, Y = problem
    expected = [bits(a).tolist() for a in everything(net, X, Y)]
    for chunk in (rows, 1, 10**6):
        twin = net.copy()
        twin._chunk_rows = chunk
        twin.copy = lambda twin=twin: twin
        assert [bits(a).tolist() for a in everything(twin, X, Y)] == expected


@FEW
@given(
    problems(),
    st.sampled_from([{}, {"momentum": 0.7}, {"momentum": 0.7, "nesterov": True}]),
    st.integers(1, 6),
)
def test_a_batch_of_all_is_the_full_batch(problem, options, epochs):
    """After the same number of steps, to the bit; so is a step of a trainer."""
    net, X, Y = problem
    full, batch, stepped = net.copy(), net.copy(), net.copy()
    result = full.fit(
        X,
        Y,
        solver=dl.GradientDescent(1e-3 / len(X), **options),
        max_epochs=epochs,
        tol=0,
        goal=None,
    )
    solver = dl.GradientDescent(1e-3 / len(X), batch_size=len(X), shuffle=False, **options)
    batched = batch.fit(X, Y, solver=solver, max_epochs=epochs, tol=0)
    trainer = stepped.trainer(dl.GradientDescent(1e-3 / len(X), **options))
    costs = [trainer.step(X, Y) for _ in range(epochs)]
    assert result.epochs == batched.epochs == epochs
    assert same(full.parameters, batch.parameters)
    assert same(full.parameters, stepped.parameters)
    assert [result.initial_cost, *result.cost_history[:-1]] == batched.cost_history.tolist()
    assert batched.cost_history.tolist() == costs
    assert result.cost == batched.cost


@FEW
@given(problems(pairs=[pair for pair in PAIRS if pair[1] == "softmax"]), st.data())
def test_classes_are_one_hot_rows(problem, data):
    net, X, _ = problem
    m = net.layers[-1]
    classes = data.draw(st.lists(st.integers(0, m - 1), min_size=len(X), max_size=len(X)))
    one_hot = np.eye(m)[classes]
    assert net.cost(X, classes) == net.cost(X, one_hot)
    assert same(net.gradient(X, classes)[1], net.gradient(X, one_hot)[1])
    solver = dl.GradientDescent(1e-3 / len(X), batch_size=(len(X) + 1) // 2)
    nets = net.copy(), net.copy()
    for twin, y in zip(nets, (classes, one_hot), strict=True):
        twin.fit(X, y, solver=solver, max_epochs=2, tol=0, seed=1)
    assert same(nets[0].parameters, nets[1].parameters)


@FEW
@given(problems())
def test_softmax_is_a_distribution_and_costs_are_positive(problem):
    net, X, Y = problem
    a = net.predict(X)
    assert net.cost(X, Y) >= 0
    if net.output in ("sigmoid", "softmax"):
        assert (a >= 0).all()
        assert (a <= 1).all()
    if net.output == "softmax":
        np.testing.assert_allclose(a.sum(axis=1), 1.0, rtol=1e-14)
        assert (a.argmax(axis=1) == net.classify(X)).all()


@FEW
@given(problems())
def test_a_small_step_goes_down(problem):
    net, X, Y = problem
    C, g = net.gradient(X, Y)
    norm = np.linalg.norm(g)
    if norm == 0:
        return
    rate = 1e-6 / norm**2
    net.trainer(dl.GradientDescent(rate)).step(X, Y)
    assert net.cost(X, Y) <= C + 1e-13 * C


@FEW
@given(problems())
def test_results_do_not_depend_on_the_object(problem):
    """Copies and a network built from the views give the same bits in everything."""
    net, X, Y = problem
    expected = [bits(a).tolist() for a in everything(net, X, Y)]
    rebuilt = dl.Network.from_weights(
        net.weights, net.biases, activation=net.activation, output=net.output, loss=net.loss
    )
    for other in (net.copy(), rebuilt):
        assert [bits(a).tolist() for a in everything(other, X, Y)] == expected


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-(2**70), 2**70), max_size=6),
    st.integers(-(2**70), 2**70),
)
@example([2**40, 2**40], 0)
@example([2**32, 2**31, 1], 0)
def test_sizes_are_refused_or_right(layers, seed):
    """Whatever the integers: a network of these layers, or an error that says why not.

    Sizes between what is quick and what no address space holds are left out.
    """
    if layers and min(layers) >= 1 and sum(a * b for a, b in itertools.pairwise(layers)) < 2**46:
        layers = [m % 50 + 1 for m in layers]
    if len(layers) >= 2 and min(layers) >= 1 and max(layers) <= 50 and seed >= 0:
        net = dl.Network(layers, seed=seed)
        assert net.layers == tuple(layers)
        assert net.seed == seed
    else:
        with pytest.raises((ValueError, MemoryError), match=r"layers|seed"):
            dl.Network(layers, seed=seed)
