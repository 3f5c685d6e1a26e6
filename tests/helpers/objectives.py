"""Weights of instances, penalties and dropout: a fit with all of them against reference.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import deltaloop as dl
from deltaloop.reference import mask
from tests.helpers.cases import permutations
from tests.helpers.compare import relative_error, same
from tests.helpers.networks import variants

SEED = 11
# All of them at once, so that none hides another.
PENALTIES = {"l1": 0.03, "l2": 0.2}


def problem_of(case, seed=0):
    """The arguments of an objective for this case: weights of every size, one of them 0."""
    s = np.random.default_rng(seed).exponential(size=len(case.X))
    s[len(s) // 2] = 0.0 if len(s) > 1 else 2.5
    return {"sample_weight": s, **PENALTIES}


def masks_of(layers, dropout, position=0, seed=SEED):
    """What reference.epochs takes: masks from the stream; [position] is where it has come to."""
    at = [position]

    def masks(n):
        result, at[0] = mask(seed, at[0], n, layers, dropout)
        return result

    return masks, at


def check_dropout(case, p, batch_size, rate=0.003, epochs=4):
    n, layers = len(case.X), case.network().layers
    reference = case.reference()
    masks, at = masks_of(layers, p)
    problem = problem_of(case)

    def orders():
        while True:  # the permutation's words come first, then the masks of each batch
            order = next(permutations(n, SEED, at[0]))
            at[0] += n - 1
            yield order

    epochs_of = reference.epochs(
        case.X,
        case.Y,
        rate,
        batch_size=batch_size,
        permutations=orders() if batch_size else None,
        masks=masks,
        **problem,
    )
    if batch_size is None:  # C_0 of the first mask
        first = mask(SEED, 0, n, layers, p)[0]
        initial = reference._gradient(case.X, case.Y, **problem, masks=first)[0]
    expected = [next(epochs_of) for _ in range(epochs)]
    results = []
    for net, threads in itertools.islice(variants(case.network()), 0, 6, 2):
        result = net.fit(
            case.X,
            case.Y,
            solver=dl.GradientDescent(rate, batch_size=batch_size),
            max_epochs=epochs,
            tol=0,
            seed=SEED,
            dropout=p,
            n_threads=threads,
            **problem,
        )
        position = int(result.state["position"])
        assert relative_error(net.parameters, expected[-1][1]) < 1e-12
        np.testing.assert_allclose(result.cost_history, [c for c, _ in expected], rtol=1e-12)
        # What a full batch has evaluated last is evaluated again, with its masks, when it goes on.
        assert position == at[0] - (0 if batch_size else mask(SEED, 0, n, layers, p)[1])
        assert result.cost == net.cost(case.X, case.Y, **problem)  # of the whole network
        if batch_size is None:
            assert result.initial_cost == pytest.approx(initial, rel=1e-12)
        results.append(np.append(net.parameters, result.cost_history))
    assert same(results[0], results[1])
    assert same(results[0], results[2])
