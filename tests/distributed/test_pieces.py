"""Partial sums: pieces of the rows, of any size, come to the bits of the whole."""

import itertools

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from deltaloop._arguments import problem as problems
from deltaloop.distributed import _tree

rng = np.random.default_rng(0)


def summed(net, kind, x, y, cuts, problem, *, labels=False, n_threads=1, masks=None, shuffled=True):
    """The node of all chains, from pieces that begin at these rows."""
    n, chain, parts = len(x), None, []
    for begin, end in itertools.pairwise(cuts):
        weights = None if problem.weights is None else problem.weights[begin:end]
        piece = _core.Piece(
            net,
            x[begin:end],
            y[begin:end],
            labels=labels,
            problem=problem._replace(weights=weights),
            n=n,
            begin=begin,
            n_threads=n_threads,
        )
        rows, chain = piece.evaluate(kind, net.parameters.copy(), chain, masks)
        known, is_open = piece.nodes(kind)
        assert len(known) == len(rows)
        assert is_open == (chain is not None)
        parts += zip(known, rows, strict=True)
    assert chain is None
    if shuffled:
        parts = [parts[i] for i in rng.permutation(len(parts))]
    return _tree.total(net, kind, n, parts)


CASES = [((5, 8, 1), 5000), ((5, 8, 3), 700), ((6, 200, 50, 2), 4500), ((5, 8, 1), 4096)]


@pytest.mark.parametrize(("layers", "n"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cuts", [(), (1, 2), (100, 333), (350,), (64, 65, 66, 512, 600)])
def test_costs_and_gradients(layers, n, weighted, cuts):
    net = dl.Network(layers, seed=1)
    x, y = rng.normal(size=(n, layers[0])), rng.normal(size=(n, layers[-1]))
    problem = problems.Problem(rng.random(n) if weighted else None)
    cost = net.cost(x, y, sample_weight=problem.weights)
    gradient = net.gradient(x, y, sample_weight=problem.weights)[1]
    cuts = [0, *(cut * n // 700 for cut in cuts), n]
    for threads in (1, 2):
        node = summed(net, "gradient", x, y, cuts, problem, n_threads=threads)
        assert node[0] + node[1] == cost
        assert np.array_equal(node[2:], np.ravel(gradient))
        assert np.array_equal(summed(net, "cost", x, y, cuts, problem), node[:2])


@pytest.mark.parametrize("n", [700, 4096, 5000])
@pytest.mark.parametrize("weighted", [False, True])
def test_jacobians(n, weighted):
    """J^T e and J^T J, against the Jacobian itself."""
    net = dl.Network((5, 8, 2), seed=1)
    x, y = rng.normal(size=(n, 5)), rng.normal(size=(n, 2))
    s = rng.random(n) if weighted else None
    problem = problems.Problem(s)
    nodes = [
        summed(net, "jacobian", x, y, [0, *cuts, n], problem, n_threads=threads)
        for cuts in ((), (1, 2), (100, 650), (n // 2,), (64, 65, n - 1))
        for threads in (1, 2)
    ]
    for node in nodes[1:]:
        assert node.tobytes() == nodes[0].tobytes()
    P = net.n_parameters
    root = np.ones(n) if s is None else np.sqrt(s)
    J = net.jacobian(x).reshape(2 * n, P) * root.repeat(2)[:, np.newaxis]
    e = (net.predict(x) - y).ravel() * root.repeat(2)
    np.testing.assert_allclose(nodes[0][:P], J.T @ e, rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(nodes[0][P:], (J.T @ J)[np.triu_indices(P)], rtol=1e-11, atol=1e-10)


def test_sparse_rows_and_classes():
    net = dl.Network((30, 6, 3), output="softmax", loss="cross_entropy", seed=0)
    dense = np.where(rng.random((4500, 30)) < 0.1, rng.normal(size=(4500, 30)), 0.0)
    y = rng.integers(0, 3, 4500)
    rows, places = np.nonzero(dense)
    starts = np.searchsorted(rows, np.arange(4501)).astype(np.int64)
    csr = _core.Csr(dense[rows, places], places.astype(np.int32), starts, 30)
    want = summed(net, "gradient", dense, y, [0, 4500], problems.PLAIN, labels=True)
    for cuts in ([0, 4500], [0, 10, 2000, 4500]):
        node = summed(net, "gradient", csr, y, cuts, problems.PLAIN, labels=True)
        assert node.tobytes() == want.tobytes()


def test_dropout_depends_on_the_row_alone():
    net = dl.Network((5, 16, 1), seed=1)
    x, y = rng.normal(size=(4200, 5)), rng.normal(size=(4200, 1))
    problem = problems.Problem(dropout=np.array([0.3]))
    masks = (1, 2, 400)
    want = summed(net, "gradient", x, y, [0, 4200], problem, masks=masks)
    assert not np.array_equal(want, summed(net, "gradient", x, y, [0, 4200], problem))
    node = summed(net, "gradient", x, y, [0, 77, 2100, 4200], problem, masks=masks)
    assert node.tobytes() == want.tobytes()


def test_a_chain_is_given_where_there_is_one():
    net = dl.Network((2, 3, 1), seed=0)
    x, y, w = np.ones((10, 2)), np.ones((10, 1)), net.parameters.copy()
    options = {"labels": False, "problem": problems.PLAIN, "n_threads": 1}
    second = _core.Piece(net, x, y, n=20, begin=10, **options)
    for chain in (None, np.zeros(3)):
        with pytest.raises(ValueError, match="chain"):
            second.evaluate("cost", w, chain)
    first = _core.Piece(net, x, y, n=20, begin=0, **options)
    nodes, chain = first.evaluate("cost", w)
    assert nodes.shape == (0, 2)
    with pytest.raises(ValueError, match="chain"):
        first.evaluate("cost", w, chain)
    with pytest.raises(ValueError, match="kind"):
        first.evaluate("Hessian", w)
    with pytest.raises(ValueError, match="one row and at most 5"):
        _core.Piece(net, x, y, n=15, begin=10, **options)


def test_missing_chains():
    net = dl.Network((5, 8, 1), seed=1)
    x, y = rng.normal(size=(4500, 5)), rng.normal(size=(4500, 1))
    piece = _core.Piece(
        net, x[:2000], y[:2000], labels=False, problem=problems.PLAIN, n=4500, begin=0, n_threads=1
    )
    rows, _ = piece.evaluate("cost", net.parameters.copy())
    parts = list(zip(piece.nodes("cost")[0], rows, strict=True))
    with pytest.raises(ValueError, match="of all 64 chains are needed, got those of 0 to 15, "):
        _tree.total(net, "cost", 4500, parts)


@pytest.mark.parametrize(("first", "end"), [(0, 64), (3, 17), (5, 5), (63, 64), (0, 63)])
def test_nodes_are_the_fewest(first, end):
    nodes = _tree.nodes(first, end)
    assert [c for a, n in nodes for c in range(a, a + n)] == list(range(first, end))
    for at, count in nodes:
        assert at % count == 0
        assert count & (count - 1) == 0
    assert len(nodes) <= 12


def test_shards():
    shards = _tree.Shards.of([0, 5, 0, 3, 1])
    assert shards.n == 9
    assert shards.owners(np.array([8, 0, 4, 5, 7])).tolist() == [4, 1, 1, 3, 3]
    bounds = (0, 4, 8, 9)
    assert [shards.tail(bounds, rank) for rank in range(5)] == [
        (0, 0),
        (5, 8),
        (5, 5),
        (8, 8),
        (9, 9),
    ]
    assert [_tree.owned(bounds, *shards.span(rank)) for rank in range(5)] == [
        (0, 0),
        (0, 2),
        (2, 2),
        (2, 2),
        (2, 3),
    ]


# ---- a fit whose instances are elsewhere ----


class InOnePlace:
    """All rows, as if they were elsewhere."""

    def __init__(self, net, x, y, fail_at=None):
        self.net, self.x, self.y, self.n, self.observed = net, x, y, len(x), float(y.size)
        self.asked, self.fail_at = 0, fail_at

    def sum(self, request):
        self.asked += 1
        if self.asked == self.fail_at:
            raise ConnectionError("the others are gone")
        rows = slice(request.begin, request.begin + request.n)
        if request.order is not None:
            rows = request.order
        x, y = self.x[rows], self.y[rows]
        cuts = [0, len(x) // 3, len(x)]
        net = dl.Network(self.net.layers, seed=0)
        net.parameters = request.parameters
        return summed(net, request.kind, x, y, cuts, problems.PLAIN)

    def rows(self, order, begin, n):
        end = min(begin + n + 7, self.n)
        rows = slice(begin, end) if order is None else order[begin:end]
        return self.x[rows], self.y[rows], None


def run(net, solver, x, y, elsewhere, epochs=3):
    fit = _core.Fit(
        net,
        x[:10] if elsewhere else x,
        y[:10] if elsewhere else y,
        labels=False,
        solver=solver,
        problem=problems.Problem(l2=0.01),
        stream=_core.Stream((1, 2), 0),
        tol=0.0,
        goal=-np.inf,
        n_threads=1,
        most=epochs,
        elsewhere=elsewhere,
    )
    event = "paused"
    while event in ("paused", "epoch") and fit.report().epochs < epochs:
        event, _ = fit.run(epochs, 1e6)
    while fit.finish(1e6) is None:
        pass
    return fit


@pytest.mark.parametrize(
    "solver",
    [
        dl.LBFGS(),
        dl.Adam(0.01),
        dl.Adam(0.01, batch_size=64),
        dl.Adam(0.01, batch_size=4100),
        dl.GradientDescent(1e-4, batch_size=1),
        dl.LevenbergMarquardt(),
        dl.BayesianRegularization(),
        dl.Rprop(),
        dl.ScaledConjugateGradient(),
    ],
    ids=repr,
)
def test_a_fit_whose_rows_are_elsewhere(solver):
    if isinstance(solver, dl.BayesianRegularization):
        pytest.skip("without a penalty")
    x, y = rng.normal(size=(4200, 3)), rng.normal(size=(4200, 1))
    here, there = dl.Network((3, 5, 1), seed=4), dl.Network((3, 5, 1), seed=4)
    want = run(here, solver, x, y, None)
    got = run(there, solver, x, y, InOnePlace(there, x, y))
    assert there.parameters.tobytes() == here.parameters.tobytes()
    assert got.history[:4].tobytes() == want.history[:4].tobytes()
    assert got.report().position == want.report().position


def test_what_the_other_side_raises():
    """It comes out of the fit; the fit goes on where it was when it is called again."""
    x, y = rng.normal(size=(4200, 3)), rng.normal(size=(4200, 1))
    here, there = dl.Network((3, 5, 1), seed=4), dl.Network((3, 5, 1), seed=4)
    want = run(here, dl.LBFGS(), x, y, None)
    other = InOnePlace(there, x, y, fail_at=3)
    with pytest.raises(ConnectionError, match="gone"):
        run(there, dl.LBFGS(), x, y, other)
    before = there.parameters.copy()
    assert np.isfinite(before).all()
    other.asked = 100
    there = dl.Network((3, 5, 1), seed=4)
    got = run(there, dl.LBFGS(), x, y, InOnePlace(there, x, y))
    assert got.history[0].tobytes() == want.history[0].tobytes()
