"""Networks with a scaling against those without one, on arrays that NumPy scaled: bit for bit.

The oracle is the definition: train on ``(X - offset) / scale``, and undo it on what comes out.
"""

from __future__ import annotations

import copy
import math
import pickle
import re
import warnings
from fractions import Fraction

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import scaling as _scaling
from deltaloop._fit import run
from tests.helpers.capsules import rows_function
from tests.helpers.networks import refuses

# Raw years are what the twins without a scaling are warned of.
pytestmark = pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")

N = 60


def data(n=N, m_in=3, m_out=1, seed=0):
    """Years, parts per million and thousands."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.0, 1.0, (n, m_in)) * np.geomspace(1e-5, 1e4, m_in) + 1900.0
    W = rng.normal(size=(m_in, m_out))
    Y = 3000.0 + 500.0 * np.tanh((X - X.mean(0)) / X.std(0) @ W)
    return X, Y


def scaled(scaling, X, Y=None):
    """The data as the layers are to see them."""
    x = (np.asarray(X, dtype=float) - scaling.input_offset) / scaling.input_scale
    if Y is None:
        return x
    return x, (np.asarray(Y, dtype=float) - scaling.output_offset) / scaling.output_scale


def unscaled(scaling, a):
    """The outputs as the caller is to see them."""
    return a * scaling.output_scale + scaling.output_offset


def made(layers=(3, 6, 1), activation="tanh", output="identity", **options):
    return dl.Network(layers, activation=activation, output=output, seed=3, **options)


def fitted(kind="standard", X=None, Y=None, **options):
    """A network with a scaling, and its twin without one on the scaled data."""
    if X is None:
        X, Y = data()
    net, twin = made(), made()
    result = net.fit(X, Y, scale=kind, **options)
    expected = twin.fit(*scaled(net.scaling, X, Y), **options)
    return net, twin, result, expected


def same(result, expected):
    """Whether two fits did the same."""
    assert result.cost == expected.cost
    assert result.stop_reason == expected.stop_reason
    for name in ("cost", "validation_cost", "learning_rate", "gradient_norm"):
        ours, theirs = getattr(result.history, name), getattr(expected.history, name)
        np.testing.assert_array_equal(ours, theirs)
    for name, array in expected.state.items():
        np.testing.assert_array_equal(result.state[name], array)


# ---- fits ----

SOLVERS = {
    "chosen": {},
    "descent": {"solver": dl.GradientDescent(0.001, momentum=0.5)},
    "online": {"solver": dl.GradientDescent(0.01, batch_size=1, shuffle=True)},
    "batches": {"solver": dl.Adam(0.01, batch_size=7, shuffle=True)},
    "rprop": {"solver": dl.Rprop()},
    "quickprop": {"solver": dl.Quickprop()},
    "lm": {"solver": dl.LevenbergMarquardt(), "l2": 1e-4},
    "bayes": {"solver": dl.BayesianRegularization()},
    "lbfgs": {"solver": dl.LBFGS()},
    "scg": {"solver": dl.ScaledConjugateGradient()},
    "chain": {"solver": [dl.Adam(0.01), dl.LBFGS()]},
    "dropout": {"solver": dl.Adam(0.01, batch_size=16), "dropout": 0.3},
}


@pytest.mark.parametrize("kind", ["standard", "minmax"])
@pytest.mark.parametrize("name", SOLVERS)
def test_fit_is_that_of_arrays_scaled_by_hand(name, kind):
    net, twin, result, expected = fitted(kind, max_epochs=12, **SOLVERS[name])
    same(result, expected)
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    X, Y = data()
    x, y = scaled(net.scaling, X, Y)
    np.testing.assert_array_equal(net.predict(X), unscaled(net.scaling, twin.predict(x)))
    l2 = result.l2
    assert net.cost(X, Y, l2=l2) == twin.cost(x, y, l2=l2) == result.cost
    assert repr(net.scaling) == f"Scaling(kind={kind!r}, inputs=3, outputs=1)"


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("chunk", [0, 7])
def test_many_rows_chunks_and_threads(n_threads, chunk):
    X, Y = data(5000, 20, 2)
    net, twin = made((20, 30, 2)), made((20, 30, 2))
    for one in (net, twin):
        one._chunk_rows, one._grain = chunk, 1000.0
    options = {"solver": dl.GradientDescent(1e-5), "max_epochs": 3, "n_threads": n_threads}
    result = net.fit(X, Y, scale="standard", **options)
    same(result, twin.fit(*scaled(net.scaling, X, Y), **options))
    x = scaled(net.scaling, X)
    expected = unscaled(net.scaling, twin.predict(x))
    np.testing.assert_array_equal(net.predict(X, n_threads=n_threads), expected)


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a.astype(np.float32),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1][::-1],
        lambda a: a.round().astype(np.int32),
        lambda a: a.astype(">f8"),
        lambda a: a.tolist(),
    ],
)
def test_any_array(form):
    X, Y = data()
    X = form(X * np.array([1e5, 1.0, 1.0]))
    net, _twin, result, expected = fitted(X=X, Y=Y, solver=dl.Rprop(), max_epochs=5)
    same(result, expected)
    one = X[0] if isinstance(X, list) else np.asarray(X)[0]
    np.testing.assert_array_equal(net.predict(one), net.predict(X)[0])


LOSSES = [
    ({"loss": "squared_error", "output": "tanh"}, "values"),
    ({"loss": "squared_error", "output": "sigmoid"}, "values"),
    ({"loss": "squared_error", "output": "relu"}, "values"),
    ({"loss": "squared_error", "output": "elu"}, "values"),
    ({"loss": "absolute_error", "output": "identity"}, "values"),
    ({"loss": dl.Huber(0.1), "output": "leaky_relu"}, "values"),
    ({"loss": dl.Quantile(0.2), "output": "identity"}, "values"),
    ({"loss": "poisson", "output": "exp"}, "counts"),
    ({"loss": "cross_entropy", "output": "sigmoid"}, "probabilities"),
    ({"loss": "binary_cross_entropy", "output": "sigmoid"}, "probabilities"),
    ({"loss": "cross_entropy", "output": "softmax"}, "labels"),
    ({"loss": "squared_error", "output": "softmax"}, "labels"),
]


@pytest.mark.parametrize("kind", ["standard", "minmax"])
@pytest.mark.parametrize(("options", "targets"), LOSSES)
def test_losses(options, targets, kind):
    m = 1 if options["loss"] == "cross_entropy" and targets != "labels" else 3
    X, Y = data(m_out=m)
    if targets == "counts":
        Y = np.floor(Y / 1000)
    elif targets == "probabilities":
        Y = (Y > 3000).astype(float)
    elif targets == "labels":
        Y = Y.argmax(axis=1)
    net = made((3, 4, m), **options)
    result = net.fit(X, Y, scale=kind, solver=dl.LBFGS(), max_epochs=5)
    s = net.scaling
    assert s.scales_outputs == (targets == "values")
    twin = made((3, 4, m), **options)
    y = Y if targets == "labels" else scaled(s, X, Y)[1]
    same(result, twin.fit(scaled(s, X), y, solver=dl.LBFGS(), max_epochs=5))
    np.testing.assert_array_equal(net.predict(X), unscaled(s, twin.predict(scaled(s, X))))
    if targets == "values":
        low, high = y.min(0), y.max(0)
        if net.output in ("tanh", "sigmoid"):  # the range of the outputs
            np.testing.assert_allclose(low, -1 if net.output == "tanh" else 0, atol=1e-14)
            np.testing.assert_allclose(high, 1, atol=1e-14)
        elif net.output in ("relu", "elu"):  # divided alone: 0 stays 0
            assert not s.output_offset.any()
        elif kind == "standard":
            np.testing.assert_allclose(y.mean(0), 0, atol=1e-13)
            np.testing.assert_allclose(y.std(0), 1)
        else:
            np.testing.assert_allclose([low, high], [[-1] * m, [1] * m], atol=1e-14)


def test_only_rows_that_are_trained_on():
    X, Y = data()
    X[:5] *= 1000.0
    net = made()
    net.fit(X[5:], Y[5:], scale="standard", max_epochs=2, validation=(X[:5], Y[:5]))
    expected = net.scaling
    s = np.ones(N)
    s[:5] = 0.0
    s[5:10] = 7.0
    weighted = made()
    weighted.fit(X, Y, scale="standard", sample_weight=s, max_epochs=2)
    assert weighted.scaling == expected


@pytest.mark.parametrize("copied", [0, 1 << 30])
def test_a_part_set_aside(copied, monkeypatch):
    """Its rows are copied, or read by their numbers."""
    monkeypatch.setattr(run, "COPIED", copied)
    X, Y = data()
    options = {"solver": dl.Rprop(), "max_epochs": 8, "validation": 0.25, "patience": 3}
    net = made()
    result = net.fit(X, Y, scale="standard", **options)
    twin = made()
    same(result, twin.fit(*scaled(net.scaling, X, Y), **options))
    whole = made()
    whole.fit(X, Y, scale="standard", max_epochs=1)
    assert whole.scaling != net.scaling
    assert result.n_validation == 15


def test_weights_and_penalties():
    X, Y = data()
    s = np.random.default_rng(5).uniform(0, 2, N)
    options = {"sample_weight": s, "l1": 1e-3, "l2": 1e-3, "solver": dl.LBFGS(), "max_epochs": 6}
    _net, _twin, result, expected = fitted(X=X, Y=Y, **options)
    same(result, expected)


def test_skips_of_the_first_layer():
    X, Y = data()
    nets = [dl.Network([3, 3, 3, 1], activation="tanh", output="identity", residual=True, seed=1)
            for _ in range(2)]  # fmt: skip
    options = {"solver": dl.Rprop(), "max_epochs": 5}
    result = nets[0].fit(X, Y, scale="minmax", **options)
    s = nets[0].scaling
    same(result, nets[1].fit(*scaled(s, X, Y), **options))
    np.testing.assert_array_equal(
        nets[0].predict(X[0]), unscaled(s, nets[1].predict(scaled(s, X[0])))
    )


def test_the_smallest_networks():
    """Whole epochs in one kernel."""
    X, Y = np.array([[0.0, 1900.0], [0.0, 2000.0], [1.0, 1900.0], [1.0, 2000.0]]), [5, 9, 9, 5]
    net, twin = dl.Network([2, 2, 1], seed=0), dl.Network([2, 2, 1], seed=0)
    options = {"solver": dl.GradientDescent(1.0), "max_epochs": 500}
    result = net.fit(X, Y, scale="standard", **options)
    x, y = scaled(net.scaling, X, np.reshape(Y, (4, 1)))
    assert set(y.ravel()) == {0.0, 1.0}
    same(result, twin.fit(x, y, **options))


# ---- what is asked of a network with a scaling ----


@pytest.fixture(scope="module")
def pair():
    """A network with a scaling, its twin without one, and the data in both units."""
    X, Y = data(m_out=2)
    net = made((3, 6, 2))
    net.fit(X, Y, scale="standard", max_epochs=5)
    twin = made((3, 6, 2))
    twin.parameters = net.parameters
    return net, twin, (X, Y), scaled(net.scaling, X, Y)


def test_gradients(pair):
    net, twin, (X, Y), (x, y) = pair
    cost, gradient = net.gradient(X, Y, l2=0.1)
    assert cost == twin.gradient(x, y, l2=0.1)[0]
    np.testing.assert_array_equal(gradient, twin.gradient(x, y, l2=0.1)[1])
    assert net.check_gradient(X[:5], Y[:5]).error < 1e-6
    inputs = twin.input_gradient(x, y) / net.scaling.input_scale
    np.testing.assert_array_equal(net.input_gradient(X, Y), inputs)


def test_jacobians(pair):
    net, twin, (X, _), (x, _) = pair
    s = net.scaling
    by_parameters = twin.jacobian(x) * s.output_scale[:, None]
    np.testing.assert_array_equal(net.jacobian(X), by_parameters)
    by_inputs = twin.jacobian(x, wrt="inputs") * s.output_scale[:, None] / s.input_scale
    np.testing.assert_array_equal(net.jacobian(X, wrt="inputs"), by_inputs)
    h = 1e-3 * s.input_scale[1]
    step = np.array([0.0, h, 0.0])
    difference = (net.predict(X + step) - net.predict(X - step)) / (2 * h)
    np.testing.assert_allclose(by_inputs[:, :, 1], difference, rtol=1e-4, atol=1e-3)


def test_activations_end_with_predictions(pair):
    net, twin, (X, _), (x, _) = pair
    hidden, outputs = net.activations(X)
    np.testing.assert_array_equal(hidden, twin.activations(x)[0])
    np.testing.assert_array_equal(outputs, net.predict(X))


def test_classes_are_those_of_the_users_units():
    rng = np.random.default_rng(0)
    X = rng.normal(1000.0, 300.0, (80, 2))
    labels = (X[:, 0] > 900).astype(int) + (X[:, 1] > 1400)
    Y = np.eye(3)[labels]
    net = made((2, 8, 3))
    net.fit(X, Y, scale="standard", max_epochs=50)
    np.testing.assert_array_equal(net.classify(X), net.predict(X).argmax(axis=1))
    one = made((2, 4, 1))
    one.fit(X, X[:, 0] - 1000.0, scale="minmax", max_epochs=50)
    np.testing.assert_array_equal(one.classify(X), one.predict(X)[:, 0] > 0)


@pytest.mark.parametrize("layers", [(3, 6, 2), (300, 5, 2), (3, 300, 2), (300, 300, 2)])
@pytest.mark.parametrize("n", [1, 5])
def test_predictors_and_capsules_follow(layers, n):
    """One made before the scaling was set knows it too."""
    net, twin = made(layers), made(layers)
    early = net.predictor(n)
    capsule = early.capsule()
    function = rows_function(capsule)
    rng = np.random.default_rng(1)
    X = rng.normal(50.0, 9.0, (n, layers[0]))
    net.scaling = dl.Scaling(
        rng.normal(size=layers[0]), rng.uniform(1, 9, layers[0]), [1.0, -2.0], [3.0, 4.0]
    )
    expected = unscaled(net.scaling, twin.predict(scaled(net.scaling, X)))
    late = net.predictor(n)
    for predictor in (early, late):
        predictor.x[:] = X.reshape(predictor.x.shape)
        np.testing.assert_array_equal(predictor().reshape(expected.shape), expected)
    np.testing.assert_array_equal(function(X, expected.shape), expected)
    np.testing.assert_array_equal(net.predict(X[0]), expected[0])
    net.scaling = None
    np.testing.assert_array_equal(early().reshape(expected.shape), twin.predict(X))


def test_trainer_takes_the_users_units():
    X, Y = data()
    net, twin = made(), made()
    net.fit(X, Y, scale="standard", max_epochs=1)
    twin.parameters = net.parameters
    x, y = scaled(net.scaling, X, Y)
    trainer, expected = (one.trainer(dl.Adam(0.01)) for one in (net, twin))
    for i in range(0, 20, 4):
        assert trainer.step(X[i], Y[i]) == expected.step(x[i], y[i])
        assert trainer.step(X[i : i + 4], Y[i : i + 4]) == expected.step(x[i : i + 4], y[i : i + 4])
        assert trainer.step(X[i], float(Y[i, 0])) == expected.step(x[i], float(y[i, 0]))
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    fresh = made()
    resumed = fresh.trainer(dl.Adam(0.01), resume=trainer.state)
    assert fresh.scaling == net.scaling
    assert resumed.step(X[:3], Y[:3]) == trainer.step(X[:3], Y[:3])
    plain = fresh.trainer(dl.Adam(0.01), resume=expected.state)
    assert fresh.scaling is None
    assert plain.step(x[:3], y[:3]) == expected.step(x[:3], y[:3])


# ---- fits one after the other ----


def test_without_scale_the_networks_own_is_kept():
    X, Y = data()
    net, _, _, _ = fitted(max_epochs=3, solver=dl.Rprop())
    before = net.scaling
    net.fit(X * 2, Y, max_epochs=2)
    assert net.scaling is before
    net.fit(X * 2, Y, scale="standard", max_epochs=1)
    np.testing.assert_array_equal(net.scaling.input_offset, 2 * before.input_offset)
    net.scaling = None
    net.fit(X / X.max(0), Y / Y.max(), max_epochs=1)
    assert net.scaling is None


@pytest.mark.parametrize("again", [None, "standard"])
@pytest.mark.parametrize("options", [{}, {"validation": 0.3}, {"solver": [dl.Adam(), dl.LBFGS()]}])
def test_resume_has_the_scaling_of_its_state(options, again):
    X, Y = data()
    options = {"solver": dl.Adam(0.01)} | options
    chained = isinstance(options["solver"], list)
    most = ([4, 4], [4, 9]) if chained else (5, 13)
    net, part, rest = made(), made(), made()
    net.fit(X, Y, scale="standard", max_epochs=most[1], **options)
    first = part.fit(X, Y, scale="standard", max_epochs=most[0], **options)
    rest.fit(X, Y, scale=again, resume=first.state, max_epochs=most[1], **options)
    assert rest.scaling == net.scaling
    np.testing.assert_array_equal(rest.parameters, net.parameters)
    # The state of a fit without a scaling takes it away.
    plain = made()
    second = plain.fit(X, Y, max_epochs=most[0], **options)
    rest.fit(X, Y, resume=second.state, max_epochs=most[1], **options)
    assert rest.scaling is None


def test_resume_of_another_kind():
    X, Y = data()
    net = made()
    state = net.fit(X, Y, scale="standard", solver=dl.Rprop(), max_epochs=2).state
    plain = made().fit(X, Y, solver=dl.Rprop(), max_epochs=2).state
    for one, scale in ((state, "minmax"), (plain, "standard")):
        with refuses(ValueError, "scale must be that of resume", net=net):
            net.fit(X, Y, scale=scale, solver=dl.Rprop(), resume=one, max_epochs=4)
    broken = [
        (("scaling", np.array(9)), "must be below 3"),
        (("scaling", np.array(1.5)), "must be an integer"),
        (("input_scale", np.zeros(3)), "must be above 0"),
        (("input_scale", np.ones(4)), "must have one shape"),
        (("output_offset", np.full(1, np.nan)), "must be finite"),
    ]
    for (name, value), message in broken:
        with refuses(TypeError if "integer" in message else ValueError, message, net=net):
            resume = {**state, name: value}
            net.fit(X, Y, solver=dl.Rprop(), resume=resume, max_epochs=4)
    missing = {name: value for name, value in state.items() if name != "input_offset"}
    with refuses(ValueError, "no 'input_offset'", net=net):
        net.fit(X, Y, solver=dl.Rprop(), resume=missing, max_epochs=4)


def test_a_fit_that_fails_leaves_the_scaling():
    X, Y = data()
    net = made()
    state = net.fit(X, Y, scale="standard", solver=dl.Rprop(), max_epochs=2).state
    with refuses(ValueError, "'delta'", net=net):
        wrong = {name: value for name, value in state.items() if name != "delta"}
        net.fit(X * 3, Y, solver=dl.Rprop(), max_epochs=5, resume=wrong)
    with refuses(ValueError, "scale must be", net=net):
        net.fit(X, Y, scale="robust")
    bad = X.copy()
    bad[7, 2] = np.nan
    with refuses(ValueError, "column 2 of X", net=net):
        net.fit(bad, Y, scale="minmax", check_finite=False)

    class Stop(Exception):
        pass

    def stop(info):
        assert info.network.scaling.kind == "minmax"
        raise Stop

    with pytest.raises(Stop):
        net.fit(X, Y, scale="minmax", callback=stop)
    assert net.scaling.kind == "minmax"  # the parameters are its own by now


def test_scaling_is_not_set_during_a_fit():
    X, Y = data()
    net = made()

    def set_it(info):
        with pytest.raises(RuntimeError, match="being trained"):
            info.network.scaling = None

    net.fit(X, Y, scale="standard", max_epochs=2, callback=set_it)
    assert net.scaling is not None


# ---- numbers ----


def exact(column, weights=None):
    """Mean and standard deviation in fractions."""
    values = [Fraction(float(v)) for v in column]
    if weights is not None:
        values = [v for v, s in zip(values, weights, strict=True) if s > 0]
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    scale = 2**2400  # of a whole number that has all digits of the root
    root = Fraction(math.isqrt(variance.numerator * scale // variance.denominator), 2**1200)
    return float(mean), float(root)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-20, 1.0, 1e10, 1e200, 1e305])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e8])
def test_means_and_deviations(scale, offset):
    rng = np.random.default_rng(8)
    X = (rng.normal(size=(101, 2)) + min(offset, 1e305 / scale)) * scale
    s = rng.uniform(size=101) > 0.3
    net = dl.Network([2, 1], activation="identity", seed=0)
    found = _scaling.measure("standard", net, X, X[:, :1], False, s.astype(float))
    for j in range(2):
        mean, deviation = exact(X[:, j], s)
        tiny = 5e-324
        assert abs(found.input_offset[j] - mean) <= max(abs(mean) * 2**-52, tiny)
        assert abs(found.input_scale[j] - deviation) <= max(deviation * 2**-50, tiny)
    np.testing.assert_array_equal(found.output_scale, found.input_scale[:1])
    minmax = _scaling.measure("minmax", net, X, X[:, :1], False, None)
    x = scaled(minmax, X)
    if scale > 1e-300:
        # The middle is rounded to a float, as large as the offset is.
        rounding = 1e-14 + 2**-52 * offset
        np.testing.assert_allclose([x.min(0), x.max(0)], [[-1, -1], [1, 1]], rtol=rounding)


def test_slices_change_no_bit(monkeypatch):
    X, Y = data(1000, 7)
    net = made((7, 1))
    rows = np.random.default_rng(0).permutation(1000)[:700].astype(np.uintp)
    whole = [_scaling.measure(k, net, X, Y, False, None) for k in _scaling.KINDS]
    some = [_scaling.measure(k, net, X[rows], Y[rows], False, None) for k in _scaling.KINDS]
    monkeypatch.setattr(_scaling, "SLICE", 50)
    assert [_scaling.measure(k, net, X, Y, False, None) for k in _scaling.KINDS] == whole
    assert [_scaling.measure(k, net, X, Y, False, None, rows) for k in _scaling.KINDS] == some


@pytest.mark.parametrize("kind", _scaling.KINDS)
@pytest.mark.parametrize("output", ["identity", "tanh", "sigmoid", "relu"])
def test_constant_columns(kind, output):
    X, Y = data()
    X[:, 1] = 0.1
    Y[:] = 7.0
    net = made(output=output)
    net.fit(X, Y, scale=kind, max_epochs=2)
    s = net.scaling
    assert s.input_scale[1] == s.output_scale[0] == 1.0
    assert not scaled(s, X)[:, 1].any()
    expected = {"identity": 0.0, "tanh": 0.0, "sigmoid": 0.5, "relu": 7.0}[output]
    assert (scaled(s, X, Y)[1] == expected).all()


def test_columns_that_have_no_scale():
    kind = "standard"
    net = dl.Network([1, 1], activation="identity", seed=0)
    X = np.reshape([1.7e308, 1.6e308, 1.5e308], (-1, 1))
    with refuses(ValueError, "column 0 of X", net=net):
        net.fit(X, np.arange(len(X)), scale=kind)
    with refuses(ValueError, "column 0 of Y", net=net):
        net.fit(np.arange(len(X)).reshape(-1, 1), X, scale=kind)


# ---- warnings ----


@pytest.mark.parametrize("kind", _scaling.KINDS)
@pytest.mark.parametrize("output", ["identity", "tanh", "sigmoid", "relu"])
def test_scaled_data_need_no_warning(output, kind):
    X, Y = data(200)
    net = made(output=output)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = net.fit(X, Y, scale=kind)
    assert 1 - ((net.predict(X) - Y) ** 2).sum() / ((Y - Y.mean()) ** 2).sum() > 0.99
    assert "scale" not in result.message


def test_warnings_of_a_scaled_network_name_its_scaling():
    X, Y = data()
    plain, net = made(output="tanh"), made(output="tanh")
    with pytest.warns(dl.ConvergenceWarning, match=r"range, as fit\(\.\.\., scale='minmax'\) does"):
        plain.fit(X, Y, max_epochs=2)
    net.fit(X, Y, scale="minmax", max_epochs=2)
    with pytest.warns(dl.ConvergenceWarning, match="Y as net.scaling scales it goes from"):
        net.fit(X, 2 * Y, max_epochs=2)
    with pytest.warns(dl.ConvergenceWarning, match="see whether net.scaling suits these data"):
        net.fit(X, Y, solver=dl.Rprop(), tol=1e9)


# ---- copies and files ----


@pytest.fixture
def net():
    X, Y = data(m_out=2)
    net = made((3, 6, 2), "gelu")
    net.fit(X, Y, scale="standard", max_epochs=3)
    return net


X = data()[0]


@pytest.mark.parametrize(
    "copied",
    [
        lambda net: net.copy(),
        copy.copy,
        copy.deepcopy,
        *(lambda net, p=p: pickle.loads(pickle.dumps(net, p)) for p in range(2, 6)),
    ],
)
def test_copies(net, copied):
    twin = copied(net)
    assert twin.scaling == net.scaling
    assert repr(twin) == repr(net)
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    twin.scaling = None
    assert net.scaling is not None
    assert (twin.predict(X) != net.predict(X)).all()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("kind", ["standard", "minmax", "given"])
def test_saved(tmp_path, kind, residual):
    X, Y = data(m_out=2)
    net = made((3, 6, 6, 2), residual=residual)
    net.fit(X, Y, scale="standard", max_epochs=2)
    net.scaling = dl.Scaling(*net.scaling.arrays, kind=kind)
    path = tmp_path / "net.safetensors"
    net.save(path)
    twin = dl.load(path)
    assert twin.scaling == net.scaling
    assert repr(twin) == repr(net)
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    content = path.read_bytes()
    assert b'"version":"3"' in content
    twin.save(path)
    assert path.read_bytes() == content
    plain = content.replace(kind.encode(), b"x" * len(kind))
    path.write_bytes(plain)
    with pytest.raises(ValueError, match="expected scaling to be one of standard, minmax, given"):
        dl.load(path)
    at = content.rindex(net.scaling.output_scale.tobytes())
    path.write_bytes(content[:at] + np.array([-1.0]).tobytes() + content[at + 8 :])
    with pytest.raises(ValueError, match="output_scale must be above 0"):
        dl.load(path)


def test_shown(net):
    assert "scaling='standard'" in repr(net)
    assert "scaling standard" in net._repr_html_()
    net.scaling = None
    assert "scaling" not in repr(net) + net._repr_html_()


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_scikit_learn(loss):
    pytest.importorskip("sklearn")
    X, Y = data()
    Y = Y if loss == "squared_error" else (Y > 3000).astype(float)
    net = made((3, 6, 1), output="identity" if loss == "squared_error" else None, loss=loss)
    net.fit(X, Y, scale="standard", max_epochs=3)
    estimator = net.to_sklearn()
    found = estimator.predict(X) if loss == "squared_error" else estimator.predict_proba(X)[:, 1]
    # The offset is 1e8 times the scale of the first column, whose folding so loses eight digits.
    np.testing.assert_allclose(found, net.predict(X)[:, 0], rtol=1e-6)


def test_scikit_learn_has_no_scaled_tanh():
    pytest.importorskip("sklearn")
    X, Y = data()
    net = made(output="tanh")
    net.fit(X, Y, scale="minmax", max_epochs=2)
    with pytest.raises(ValueError, match="no scaling of outputs"):
        net.to_sklearn()
    net.scaling = dl.Scaling(np.zeros(3), np.full(3, 1e-310), [0.0], [1.0])
    with pytest.raises(ValueError, match="overflows the weights"):
        net.to_sklearn()


@pytest.mark.parametrize("output", ["identity", "tanh"])
def test_pytorch(output):
    torch = pytest.importorskip("torch")
    X, Y = data()
    net = made(output=output)
    net.fit(X, Y, scale="minmax", max_epochs=3)
    module = net.to_torch()
    outputs = module(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(outputs, net.predict(X), rtol=1e-12)
    assert len(list(module.parameters())) == 4
    twin = dl.from_torch(module, seed=0)
    np.testing.assert_array_equal(twin.predict(X), net.predict(X))
    assert twin.loss == "squared_error"
    scale, *layers, unscale = module
    for wrong in (
        [*layers, scale],
        [scale, scale, *layers],
        [unscale, *layers],
        [*layers, unscale, unscale],
        [*layers, unscale, torch.nn.Tanh()],
        [*layers, unscale, layers[0]],
    ):
        with pytest.raises(ValueError, match=r"^module\.\d"):
            dl.from_torch(torch.nn.Sequential(*wrong))


# ---- the object ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [0.0], [0.0], [1.0]), "input_scale must be above 0, got 0.0 at index 0"),
        (([0.0], [1.0], [0.0], [-1.0]), "output_scale must be above 0, got -1.0 at index 0"),
        (([0.0], [1.0], [math.inf], [1.0]), "output_offset holds inf"),
        (([0.0, 1.0], [1.0], [0.0], [1.0]), "input_offset and input_scale must have one shape"),
        ((0.0, [1.0], [0.0], [1.0]), "input_offset must have one dimension"),
        (([], [], [0.0], [1.0]), "input_offset must have one dimension"),
        (([0.0], ["a"], [0.0], [1.0]), "input_scale must hold real numbers"),
        (([0.0], [1.0], [0.0], [1.0], "robust"), "kind must be"),
    ],
)
def test_wrong_scalings(arguments, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        dl.Scaling(*arguments)


def test_wrong_network():
    net = made()
    with refuses(TypeError, "scaling must be a deltaloop.Scaling or None", net=net):
        net.scaling = "standard"
    with refuses(ValueError, "of 3 inputs and 1 outputs, got one of 2 and 1", net=net):
        net.scaling = dl.Scaling([0, 0], [1, 1], [0], [1])
    classes = made((3, 2), output=None, loss="cross_entropy")
    with refuses(ValueError, "whose targets have no units", net=classes):
        classes.scaling = dl.Scaling([0] * 3, [1] * 3, [0, 0], [1, 2])
    classes.scaling = dl.Scaling([0] * 3, [2] * 3, [0, 0], [1, 1])


def test_object():
    arrays = [np.array([1.0, 2.0]), np.array([3, 4]), [0.0], [1.0]]
    scaling = dl.Scaling(*arrays)
    arrays[0][0] = 9.0
    assert scaling.input_offset.tolist() == [1.0, 2.0]
    assert scaling.kind == "given"
    with pytest.raises(ValueError, match="read-only"):
        scaling.input_scale[0] = 1.0
    same = dl.Scaling([1, 2], [3, 4], [-0.0], [1])
    assert scaling == same
    assert hash(scaling) == hash(same)
    assert scaling != dl.Scaling([1, 2], [3, 4], [0], [1], "minmax")
    assert scaling != 3
    assert copy.deepcopy(scaling) == pickle.loads(pickle.dumps(scaling)) == scaling
    assert not pickle.loads(pickle.dumps(scaling)).input_scale.flags.writeable


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_values_that_are_not_finite_are_named(kind, bad):
    X, Y = data()
    wrong = X.copy()
    wrong[5, 1] = bad
    net, options = made(), {"scale": kind, "check_finite": False, "max_epochs": 1}
    with refuses(ValueError, "column 1 of X holds NaN or infinity", net=net):
        net.fit(wrong, Y, **options)
    with refuses(ValueError, "column 0 of Y holds NaN or infinity", net=net):
        net.fit(X, np.where(np.arange(N)[:, None] == 7, bad, Y), **options)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
@pytest.mark.parametrize("value", [0.1, -3.0, 1e300, 1e-300])
@pytest.mark.parametrize(("ulps", "constant"), [(0, True), (1, True), (8, True), (9, False)])
def test_what_rounding_leaves_is_a_constant(kind, value, ulps, constant):
    X, Y = data()
    X[:, 0], X[3, 0] = value, value + ulps * np.spacing(np.abs(value))
    net = made()
    net.fit(X, Y, scale=kind, solver=dl.Rprop(), max_epochs=1)
    assert (net.scaling.input_scale[0] == 1.0) == constant


def test_tables_scale_no_rounding():
    from deltaloop._scaling import Scaling

    X = np.full((9, 2), 0.1)
    X[4] = np.nextafter(0.1, 1), 0.11
    scale = Scaling.of(X, "X", constant=math.inf).scale
    assert scale[0] == math.inf
    assert scale[1] == pytest.approx(X[:, 1].std())
