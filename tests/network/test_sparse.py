"""Sparse instances have the bits of the same rows with their zeros, whatever is asked."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

import deltaloop as dl

sparse = pytest.importorskip("scipy.sparse")

# Rows, inputs, hidden units, share of values that are not 0.
SHAPES = [
    (1, 5, 3, 0.5), (7, 40, 1, 0.1), (50, 300, 100, 0.02), (33, 64, 65, 0.2),
    (200, 1000, 7, 0.01), (9, 3, 130, 0.0), (300, 2000, 40, 0.1),
]  # fmt: skip
SOLVERS = [
    dl.Adam(0.01, batch_size=5),
    dl.GradientDescent(0.01),
    dl.GradientDescent(0.01, batch_size=1),
    dl.GradientDescent(0.001, momentum=0.5, batch_size=4, clip_norm=1.0),
    dl.LBFGS(),
    dl.Rprop(),
]


def matrix(n, m, density, seed=0):
    """A CSR array with empty rows and columns, and a stored zero where it stores anything."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, m)) * (rng.random((n, m)) < density)
    X[::5] = 0.0
    X[:, ::7] = 0.0
    X = sparse.csr_array(X)
    X.data[:1] = 0.0
    return X


def problem(n, m, hidden, density, classes):
    rng = np.random.default_rng(1)
    X = matrix(n, m, density)
    if classes:
        net = dl.Network(
            [m, hidden, 3], activation="relu", output="softmax", loss="cross_entropy", seed=1
        )
        return net, X, rng.integers(0, 3, n)
    return (
        dl.Network([m, hidden, 2], activation="tanh", output="identity", seed=1),
        X,
        rng.normal(size=(n, 2)),
    )


def assert_bits(a, b):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_asked_without_training(shape, classes):
    net, X, Y = problem(*shape, classes)
    D = X.toarray()
    assert_bits(net.predict(X), net.predict(D))
    assert_bits(net.classify(X), net.classify(D))
    for a, b in zip(net.activations(X), net.activations(D), strict=True):
        assert_bits(a, b)
    s = np.linspace(0.5, 2.0, len(D))
    for threads in (1, 2):
        for grain in (0, 1):  # 1: however little there is for each
            net._grain = grain
            options = {"l2": 0.1, "sample_weight": s, "n_threads": threads}
            for a, b in zip(
                net.gradient(X, Y, **options), net.gradient(D, Y, **options), strict=True
            ):
                assert_bits(a, b)
    net._grain = 0
    assert_bits(net.jacobian(X[:2]), net.jacobian(D[:2]))
    assert_bits(net.input_gradient(X, Y), net.input_gradient(D, Y))


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
@pytest.mark.parametrize("shape", SHAPES[:6])
def test_fits(shape, solver):
    net, X, Y = problem(*shape, shape[1] % 2 == 0)
    n = X.shape[0]
    if solver.batch_size is not None and solver.batch_size > n:
        pytest.skip("fewer rows than a batch has")
    options = {"solver": solver, "max_epochs": 3, "l2": 0.01, "seed": 3}
    if n > 20:
        options |= {"validation": 0.2, "patience": 2}
    fits = []
    for data, threads in ((X, 1), (X, 2), (X.toarray(), 1)):
        copy = net.copy()
        copy._grain = 1
        fits.append((copy, copy.fit(data, Y, n_threads=threads, **options)))
    for copy, result in fits[:2]:
        assert_bits(copy.parameters, fits[2][0].parameters)
        for name in ("cost", "gradient_norm", "validation_cost"):
            assert_bits(getattr(result.history, name), getattr(fits[2][1].history, name))
        assert result.stop_reason == fits[2][1].stop_reason


def test_many_short_rows_in_ranges():
    """Small networks add 64 ranges of a large batch up, each with lists of its own."""
    rng = np.random.default_rng(2)
    X, Y = matrix(6000, 30, 0.1), rng.normal(size=(6000, 1))
    net = dl.Network([30, 6, 1], seed=0)
    for a, b in zip(net.gradient(X, Y), net.gradient(X.toarray(), Y), strict=True):
        assert_bits(a, b)
    a, b = net.copy(), net.copy()
    a.fit(X, Y, solver=dl.GradientDescent(1e-4), max_epochs=2, validation=(X[:50], Y[:50]))
    b.fit(
        X.toarray(), Y, solver=dl.GradientDescent(1e-4), max_epochs=2, validation=(X[:50], Y[:50])
    )
    assert_bits(a.parameters, b.parameters)


def test_more_terms_than_a_chunk_has_room_for():
    net = dl.Network([1500, 9, 1], activation="tanh", seed=0)
    X, Y = matrix(400, 1500, 0.9), np.linspace(-1.0, 1.0, 400)
    assert X.nnz > 2**18
    for a, b in zip(net.gradient(X, Y), net.gradient(X.toarray(), Y), strict=True):
        assert_bits(a, b)


def test_residual_layers_and_dropout():
    net = dl.Network([12, 12, 12, 2], activation="gelu", residual=True, seed=0)
    X, Y = matrix(60, 12, 0.3), np.ones((60, 2))
    options = {"solver": dl.Adam(batch_size=16), "max_epochs": 3, "dropout": 0.3, "seed": 1}
    a, b = net.copy(), net.copy()
    a.fit(X, Y, **options)
    b.fit(X.toarray(), Y, **options)
    assert_bits(a.parameters, b.parameters)
    assert_bits(a.predict(X), b.predict(X.toarray()))


@pytest.mark.parametrize("solver", [dl.LevenbergMarquardt(), dl.BayesianRegularization(), None])
def test_solvers_that_read_whole_rows(solver):
    net, X, Y = dl.Network([20, 4, 1], seed=0), matrix(60, 20, 0.3), np.linspace(0.0, 1.0, 60)
    a, b = net.copy(), net.copy()
    results = [
        copy.fit(data, Y, solver=solver, max_epochs=4) for copy, data in ((a, X), (b, X.toarray()))
    ]
    assert_bits(a.parameters, b.parameters)
    assert results[0].message == results[1].message


def test_trainers():
    net, X, Y = problem(50, 300, 100, 0.02, True)
    a, b = net.copy(), net.copy()
    steps, others = a.trainer(dl.Adam(0.01)), b.trainer(dl.Adam(0.01))
    dense = X.toarray()
    for rows in (slice(0, 5), slice(5, 50), slice(9, 10)):
        assert steps.step(X[rows], Y[rows]) == others.step(dense[rows], Y[rows])
        assert steps.step(dense[rows], Y[rows]) == others.step(dense[rows], Y[rows])
    assert_bits(a.parameters, b.parameters)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite_show_in_all_rows(value):
    net, X, _ = problem(50, 300, 100, 0.02, False)
    net.weights[0][280, 3] = value
    dense = net.predict(X.toarray())
    assert np.isnan(dense).all()
    np.testing.assert_array_equal(net.predict(X), dense)


def test_sums_that_are_minus_zero():
    """A term 0 w turns -0 into +0 unless w is negative: left out it must not show."""
    w = np.array([[-1.0, 1.0, -1.0]] * 4)
    net = dl.Network.from_weights([w], [[-0.0, -0.0, 1.0]], activation="identity")
    X = sparse.csr_array(np.array([[0.0] * 4, [5e-324, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]))
    net.weights[0][0] *= 0.25
    assert_bits(net.predict(X), net.predict(X.toarray()))
    assert np.signbit(net.predict(X)[0, 0])


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.bool_])
def test_types_and_forms(dtype, index):
    net = dl.Network([30, 5, 1], seed=0)
    X = matrix(20, 30, 0.2)
    X = sparse.csr_array((X.data.astype(dtype), X.indices.astype(index), X.indptr.astype(index)),
                         shape=X.shape)  # fmt: skip
    for form in (X, sparse.csr_matrix(X), X.tocsc(), X.tocoo(), X.tolil(), X[::-1][::-1]):
        assert_bits(net.predict(form), net.predict(X.toarray()))
    like = SimpleNamespace(
        data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape, toarray=X.toarray
    )
    like.tocsr = lambda: like
    assert_bits(net.predict(like), net.predict(X.toarray()))


def test_columns_that_are_not_sorted_or_there_twice():
    data = np.array([1.0, 2.0, 3.0, 1e16, 1.0, -1e16, 4.0])
    indices, indptr = np.array([4, 0, 4, 2, 2, 2, 1]), np.array([0, 3, 3, 7])
    X = sparse.csr_array((data, indices, indptr), shape=(3, 5))
    before = [part.copy() for part in (X.data, X.indices, X.indptr)]
    net = dl.Network([5, 3, 2], seed=0)
    Y = np.ones((3, 2))
    assert_bits(net.predict(X), net.predict(X.toarray()))
    assert_bits(net.gradient(X, Y)[1], net.gradient(X.toarray(), Y)[1])
    for part, kept in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(part, kept)


def test_no_rows_at_all():
    net = dl.Network([5, 3, 2], seed=0)
    X = sparse.csr_array((0, 5))
    assert net.predict(X).shape == (0, 2)
    with pytest.raises(ValueError, match="X is empty"):
        net.fit(X, np.ones((0, 2)))


def test_values_that_are_not_finite():
    net = dl.Network([5, 3, 1], seed=0)
    X = matrix(30, 5, 0.5)
    X.data[7] = np.nan
    row = int(np.searchsorted(X.indptr, 7, "right")) - 1
    message = f"X holds nan at row {row}, column {X.indices[7]}"
    for call in (lambda: net.fit(X, np.ones(30)), lambda: net.cost(X, np.ones(30)),
                 lambda: net.classify(X)):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
    np.testing.assert_array_equal(net.predict(X), net.predict(X.toarray()))


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("indices", 5, r"X.indices holds column 5 in row 0; the columns are 0..4"),
        ("indices", -1, r"X.indices holds column -1 in row 0"),
        ("indptr", 99, r"X.indptr must ascend from 0 to the \d+ terms, got 0, 99 at row 0"),
        ("indptr", -3, r"X.indptr must ascend"),
    ],
)
def test_matrices_that_are_broken(part, value, message):
    X = matrix(6, 5, 0.9, seed=3)[1:3]
    getattr(X, part)[1 if part == "indptr" else 0] = value
    like = SimpleNamespace(
        data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape, toarray=None
    )
    like.tocsr = lambda: like
    for index in (np.int32, np.int64):
        like.indices = X.indices.astype(index)
        with pytest.raises(ValueError, match=message):
            dl.Network([5, 3, 1], seed=0).predict(like)


@pytest.mark.parametrize(
    ("index", "value"), [(np.uint32, 2**31 + 1), (np.int64, 2**40), (np.int64, -(2**40))]
)
def test_columns_that_are_no_int32_are_named_as_they_are(index, value):
    X = matrix(6, 5, 0.9, seed=3)
    X.indices = X.indices.astype(index)
    X.indices[X.indptr[2]] = value
    with pytest.raises(ValueError, match=rf"X.indices holds column {value} in row 2;"):
        dl.Network([5, 3, 1], seed=0).predict(X)


@pytest.mark.parametrize("index", [np.uint8, np.int32, np.uint32, np.int64])
def test_terms_that_no_row_has_do_not_matter(index):
    X = matrix(6, 5, 0.9, seed=3)
    net = dl.Network([5, 3, 1], seed=0)
    expected = net.predict(X)
    X.indices = np.append(X.indices, [99, 7]).astype(index)
    X.data = np.append(X.data, [np.nan, 1.0])
    assert_bits(net.predict(X), expected)
    net.fit(X, np.ones(6), solver=dl.Rprop(), max_epochs=1)


def test_values_that_are_not_aligned():
    X = matrix(6, 5, 0.9, seed=3)
    net = dl.Network([5, 3, 1], seed=0)
    expected = net.predict(X)
    X.data = np.frombuffer(b"0" + X.data.tobytes(), offset=1)
    assert not X.data.flags.aligned
    assert_bits(net.predict(X), expected)


def test_what_is_refused():
    net, X = dl.Network([5, 3, 1], seed=0), matrix(10, 5, 0.5)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 5\)"):
        net.predict(matrix(3, 4, 0.5))
    with pytest.raises(TypeError, match="X must hold real numbers, got dtype complex128"):
        net.predict(X.astype(complex))
    with pytest.raises(TypeError, match=r"use Y.toarray\(\)"):
        net.fit(X, X[:, :1])
    with pytest.raises(ValueError, match="scale='standard' takes 0 to other values"):
        net.fit(X, np.ones(10), scale="standard")
    net.fit(X.toarray(), np.linspace(0, 1, 10), scale="standard", max_epochs=1, solver=dl.Rprop())
    with pytest.raises(ValueError, match=r"X is sparse and the network's scaling"):
        net.predict(X)


def test_a_scaling_by_factors_alone():
    net, X = dl.Network([5, 3, 1], output="identity", seed=0), matrix(10, 5, 0.5)
    net.scaling = dl.scaling.Scaling(np.zeros(5), np.array([1.0, 3.0, 0.1, 7.0, 9.0]),
                                     np.array([2.0]), np.array([3.0]))  # fmt: skip
    Y = np.linspace(0.0, 1.0, 10)
    assert_bits(net.predict(X), net.predict(X.toarray()))
    assert_bits(net.gradient(X, Y)[1], net.gradient(X.toarray(), Y)[1])
    a, b = net.copy(), net.copy()
    a.fit(X, Y, solver=dl.Adam(batch_size=3), max_epochs=3)
    b.fit(X.toarray(), Y, solver=dl.Adam(batch_size=3), max_epochs=3)
    assert_bits(a.parameters, b.parameters)


def test_memory_stays_small():
    """100 rows of 200,000 inputs would be 160 MB."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((100, 200_000), density=1e-4, rng=rng, format="csr")
    net = dl.Network([200_000, 2, 1], seed=0)
    tracemalloc.start()
    net.fit(X, np.ones(100), solver=dl.Adam(batch_size=10), max_epochs=1, validation=0.1)
    net.predict(X)
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()
