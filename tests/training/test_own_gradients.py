"""Trainers that are given gradients, and learning rates that change from step to step."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._activations import TRAINABLE
from tests.helpers.compare import relative_error, same
from tests.helpers.networks import refuses

RNG = np.random.default_rng(0)
N = 30
X = RNG.normal(size=(N, 3))
Y = RNG.normal(size=(N, 2))
E = RNG.normal(size=(N, 2))
S = RNG.normal(size=N)
STEPS = {
    "gd": dl.GradientDescent(0.01),
    "momentum": dl.GradientDescent(0.01, momentum=0.5),
    "nesterov": dl.GradientDescent(0.01, momentum=0.5, nesterov=True),
    "clipped": dl.GradientDescent(0.01, clip_norm=0.1),
    "adam": dl.Adam(0.01),
    "adamw": dl.AdamW(0.01, weight_decay=0.1),
    "schedule": dl.Adam(dl.schedules.Cosine(0.01, epochs=4, warmup=1)),
}
steps = pytest.mark.parametrize("solver", STEPS.values(), ids=STEPS)


def network(output="identity", layers=(3, 4, 2), **options):
    return dl.Network(list(layers), activation="tanh", output=output, **{"seed": 0} | options)


# ---- backward ----


@pytest.mark.parametrize("output", [*TRAINABLE, "softmax"])
@pytest.mark.parametrize("weights", [None, S], ids=["plain", "signed"])
def test_backward_is_the_jacobian_times_the_derivatives(output, weights):
    net = network(output)
    gradient = net.trainer(dl.Adam()).backward(X, E, sample_weight=weights)
    e = E if weights is None else E * weights[:, np.newaxis]
    expected = np.einsum("nk,nkp->p", e, net.jacobian(X))
    assert relative_error(gradient, expected) < 1e-13


@pytest.mark.parametrize("output", ["identity", "gelu", "softmax"])
def test_backward_of_one_instance_by_differences(output):
    """C = sum_k e_k sin(a_k), of which nobody has the loss."""
    net = network(output)
    w, x = net.parameters, X[0]
    gradient = net.trainer(dl.Adam()).backward(x, E[0] * np.cos(net.predict(x)))
    for p, start in enumerate(w.copy()):
        sides = []
        for shifted in (start + 1e-6, start - 1e-6):
            w[p] = shifted
            sides.append(float(E[0] @ np.sin(net.predict(x))))
        w[p] = start
        assert gradient[p] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-8)


def test_backward_is_in_the_units_of_predict():
    net = network()
    net.fit(X * 100, Y * 1e3 + 5, scale="standard", solver=dl.LBFGS(), max_epochs=3)
    gradient = net.trainer(dl.Adam()).backward(X * 100, E, sample_weight=S)
    expected = np.einsum("n,nk,nkp->p", S, E, net.jacobian(X * 100))
    assert relative_error(gradient, expected) < 1e-13


@pytest.mark.parametrize("layers", [(3, 2), (3, 40, 2), (3, 3, 3, 2)])
def test_same_bits_on_any_number_of_threads_and_chunks(layers):
    x, e = RNG.normal(size=(6_000, 3)), RNG.normal(size=(6_000, 2))
    results = set()
    for threads, grain, chunk in [(1, 0, 0), (2, 1.0, 0), (3, 1.0, 7)]:
        net = network(layers=layers, residual=layers[1] == 3)
        net._grain, net._chunk_rows = grain, chunk
        trainer = net.trainer(dl.Adam(), n_threads=threads, l2=0.1)
        gradient = trainer.backward(x, e, sample_weight=np.sign(x[:, 0]))
        trainer.apply(gradient)
        results.add((gradient.tobytes(), net.parameters.tobytes()))
    assert len(results) == 1


def test_backward_takes_what_step_takes():
    net = network(layers=(3, 4, 1))
    trainer = net.trainer(dl.Adam())
    whole = trainer.backward(X, E[:, :1])
    assert same(trainer.backward(X, E[:, 0]), whole)
    assert same(trainer.backward(X.tolist(), E[:, :1].tolist()), whole)
    one = trainer.backward(X[0], E[0, :1])
    assert same(trainer.backward(X[0], float(E[0, 0])), one)
    assert same(trainer.backward(X[0], 1.0, sample_weight=float(E[0, 0])), one)


def test_backward_takes_sparse_rows():
    sparse = pytest.importorskip("scipy.sparse")
    trainer = network(layers=(3, 4, 1)).trainer(dl.Adam())
    whole = trainer.backward(X, E[:, :1])
    assert same(trainer.backward(sparse.csr_array(X), E[:, :1]), whole)
    total = sum(trainer.backward(x, e) for x, e in zip(X, E[:, :1], strict=True))
    assert relative_error(total, whole) < 1e-13


def test_nothing_changes_before_apply():
    net = network()
    before = net.parameters.copy()
    net.trainer(dl.Adam()).backward(X, E)
    assert same(net.parameters, before)


@pytest.mark.parametrize(
    ("x", "e", "s", "words"),
    [
        (X, E[:, :1], None, "dC_da must have shape (30, 2)"),
        (X, E.T, None, "dC_da must have shape (30, 2)"),
        (X[0], E[:2], None, "dC_da must have shape (2,)"),
        (X, E * np.nan, None, "dC_da holds nan at row 0"),
        (X * np.inf, E, None, "x holds"),
        (X[:0], E[:0], None, "x is empty"),
        (X, E, S[:2], "sample_weight must have shape (30,)"),
        (X, E, S * np.inf, "sample_weight holds"),
    ],
)
def test_what_backward_refuses(x, e, s, words):
    net = network()
    with refuses(ValueError, words, net=net):
        net.trainer(dl.Adam()).backward(x, e, sample_weight=s)


def test_backward_needs_all_units_and_derivatives():
    net = network()
    with refuses(ValueError, "without dropout", net=net):
        net.trainer(dl.Adam(), dropout=0.5).backward(X, E)


# ---- apply ----


@steps
@pytest.mark.parametrize("rows", [1, N])
def test_apply_is_the_rest_of_step(solver, rows):
    """Bit for bit, with penalty, clipping, memory and schedule."""
    net, twin = network(), network()
    options = {"l1": 0.01, "l2": 0.1} if rows == N else {}
    trainer, other = net.trainer(solver, **options), twin.trainer(solver, **options)
    for _ in range(4):
        other.step(X[:rows], Y[:rows])
        trainer.apply(net.gradient(X[:rows], Y[:rows])[1])
        assert same(net.parameters, twin.parameters)
        assert trainer.learning_rate == other.learning_rate
    assert trainer.state["steps"] == 4


def test_apply_follows_the_solver():
    net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
    g = np.array([1.0, -1.0])
    net.trainer(dl.GradientDescent(0.5), l2=0.25).apply(g)
    assert net.parameters.tolist() == [1.25, 1.5]
    assert g.tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (np.zeros(3), "gradient must have shape (2,)"),
        (np.zeros((1, 2)), "gradient must have shape (2,)"),
        ([np.nan, 0.0], "gradient holds nan at index 0"),
    ],
)
def test_what_apply_refuses(gradient, words):
    net = dl.Network([1, 1], seed=0)
    with refuses(ValueError, words, net=net):
        net.trainer(dl.Adam()).apply(gradient)


def test_one_thread_trains_at_a_time():
    net = network()
    trainer, errors = net.trainer(dl.Adam()), []

    def callback(info):
        def other():
            for call in (lambda: trainer.apply(np.zeros(net.n_parameters)), lambda: copy()):
                try:
                    call()
                except RuntimeError as error:
                    errors.append(str(error))

        def copy():
            net.copy().copy_from(net)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    net.fit(X, Y, solver=dl.LBFGS(), max_epochs=1, callback=callback)
    assert len(errors) == 2
    assert all("being trained" in error for error in errors)


# ---- learning rates ----


def test_the_learning_rate_can_be_set_between_steps():
    net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
    trainer = net.trainer(dl.GradientDescent(0.5))
    assert trainer.learning_rate == 0.5
    trainer.learning_rate = 0.25
    trainer.apply([1.0, 0.0])
    trainer.learning_rate = 0
    trainer.apply([1.0, 0.0])
    assert trainer.learning_rate == 0.0
    trainer.step([1.0], [100.0])
    assert net.parameters.tolist() == [1.75, 1.0]


@pytest.mark.parametrize("kind", [dl.GradientDescent, dl.Adam])
@pytest.mark.parametrize(
    "schedule",
    [
        dl.schedules.Exponential(0.01, 0.7),
        dl.schedules.Step(0.01, epochs=2),
        dl.schedules.InverseScaling(0.01),
        dl.schedules.Cosine(0.01, epochs=5, warmup=2),
    ],
    ids=lambda s: type(s).__name__,
)
def test_a_schedule_counts_steps(kind, schedule):
    """A full batch takes one step an epoch, at the same rates: the same bits."""
    net, twin = network(), network()
    trainer = net.trainer(kind(schedule))
    rates = []
    for _ in range(7):
        rates.append(trainer.learning_rate)
        trainer.step(X, Y)
    result = twin.fit(X, Y, solver=kind(schedule), max_epochs=7, tol=0)
    assert rates == result.history.learning_rate.tolist()
    assert relative_error(net.parameters, twin.parameters) < 1e-13
    resumed = twin.trainer(kind(schedule), resume=trainer.state)
    assert resumed.learning_rate == trainer.learning_rate


def test_a_single_instance_follows_the_schedule():
    """Also where one call of a kernel takes the step."""
    net, twin = network(), network()
    trainer, other = net.trainer(dl.GradientDescent(dl.schedules.Exponential(0.1, 0.5))), None
    for rate in (0.1, 0.05, 0.025):
        other = twin.trainer(dl.GradientDescent(rate))
        assert trainer.step(X[0], Y[0]) == other.step(X[0], Y[0])
        assert same(net.parameters, twin.parameters)


def test_a_rate_that_was_set_is_part_of_the_state():
    solver = dl.Adam(dl.schedules.Exponential(0.01, 0.5))
    net = network()
    trainer = net.trainer(solver)
    trainer.step(X, Y)
    assert "learning_rate" not in trainer.state
    trainer.learning_rate = 0.125
    trainer.step(X, Y)
    assert trainer.state["learning_rate"].tolist() == [0.125]
    twin = network(seed=5)
    other = twin.trainer(solver, resume=trainer.state)
    assert other.learning_rate == 0.125
    assert other.step(X, Y) == trainer.step(X, Y)
    assert same(net.parameters, twin.parameters)
    assert other.state.keys() == trainer.state.keys()
    wrong = trainer.state | {"learning_rate": np.array([-1.0])}
    with refuses(ValueError, "resume['learning_rate']", net=net):
        net.trainer(solver, resume=wrong)


@pytest.mark.parametrize(
    ("rate", "error"),
    [(-0.1, ValueError), (np.inf, ValueError), (np.nan, ValueError), ("0.1", TypeError)],
)
def test_rates_that_are_none(rate, error):
    net = network()
    trainer = net.trainer(dl.Adam())
    with refuses(error, "learning_rate", net=net):
        trainer.learning_rate = rate
    assert trainer.learning_rate == dl.Adam().learning_rate


def test_a_plateau_needs_epochs():
    net = network()
    with refuses(ValueError, "set trainer.learning_rate", net=net):
        net.trainer(dl.Adam(dl.schedules.Plateau(0.1)))


# ---- target networks ----


def test_copy_from_goes_a_part_of_the_way():
    net, target = network(seed=1), network(seed=2)
    before = target.parameters.copy()
    target.copy_from(net, tau=0.25)
    assert same(target.parameters, 0.75 * before + 0.25 * net.parameters)
    target.copy_from(net, tau=0)
    assert same(target.parameters, 0.75 * before + 0.25 * net.parameters)
    view = target.weights[0]
    target.copy_from(net)
    assert same(target.parameters, net.parameters)
    assert same(view, net.weights[0])
    assert target.seed == 2


def test_copy_from_takes_the_scaling_with_it():
    net, target = network(seed=1), network(seed=2)
    net.fit(X * 100, Y, scale="standard", solver=dl.LBFGS(), max_epochs=2)
    with refuses(ValueError, "the same scaling", net=target):
        target.copy_from(net, tau=0.5)
    target.copy_from(net)
    assert target.scaling == net.scaling
    assert same(target.predict(X), net.predict(X))
    target.copy_from(net, tau=0.5)


@pytest.mark.parametrize(
    ("other", "tau", "error", "words"),
    [
        (network(layers=(3, 5, 2)), 1.0, ValueError, "the same layers"),
        (network("tanh"), 1.0, ValueError, "the same output"),
        (dl.Network([3, 4, 2], activation="relu"), 1.0, ValueError, "the same activation"),
        (np.zeros(26), 1.0, TypeError, "other must be a Network"),
        (network(), 1.5, ValueError, "tau must be in [0, 1]"),
        (network(), -0.1, ValueError, "tau must be in [0, 1]"),
        (network(), np.nan, ValueError, "tau must be in [0, 1]"),
        (network(), "1", TypeError, "tau"),
    ],
)
def test_what_copy_from_refuses(other, tau, error, words):
    net = network(seed=3)
    with refuses(error, words, net=net):
        net.copy_from(other, tau)


def test_copy_from_a_network_that_is_no_number():
    net, other = network(seed=3), network()
    other.parameters[0] = np.nan
    with refuses(ValueError, "mixture", net=net):
        net.copy_from(other, 0.5)
