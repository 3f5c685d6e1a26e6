"""Several solvers one after the other: their fit is the fits by hand, and any stage is resumed."""

from __future__ import annotations

import dataclasses
import pickle
import time

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import make_case
from tests.helpers.compare import same_bytes

GD, Adam, LM = dl.GradientDescent, dl.Adam, dl.LevenbergMarquardt
CASE = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=30, seed=1)
CHAIN = [Adam(0.01, batch_size=7), GD(0.001, batch_size=4), dl.LBFGS(), LM()]
MOST = [5, 3, 4, 6]


def fit(net, solver=CHAIN, most=MOST, **options):
    return net.fit(CASE.X, CASE.Y, **{"solver": solver, "max_epochs": most, "tol": 0} | options)


def same_end(a, b):
    """Of (network, result)."""
    (a_net, a_result), (b_net, b_result) = a, b
    assert same_bytes(a_net.parameters, b_net.parameters)
    assert a_net._position == b_net._position
    assert list(a_result.state) == list(b_result.state)
    assert all(same_bytes(a_result.state[name], value) for name, value in b_result.state.items())
    assert (a_result.stop_reason, a_result.cost) == (b_result.stop_reason, b_result.cost)
    assert same_bytes(a_result.gradient_norm, b_result.gradient_norm)


def test_the_fits_by_hand():
    """All of them on one stream, each from the parameters that the one before it left."""
    net, hand = CASE.network(seed=2), CASE.network(seed=2)
    result = fit(net)
    results = [fit(hand, s, n) for s, n in zip(CHAIN, MOST, strict=True)]
    assert same_bytes(net.parameters, hand.parameters)
    assert net._position == hand._position
    assert same_bytes(result.cost_history, np.concatenate([r.cost_history for r in results]))
    assert result.solver == tuple(CHAIN)
    assert result.epochs == sum(MOST) == result.state["epochs"]
    assert (result.state["stage"], result.state["stage_epochs"]) == (3, MOST[3])
    last = results[-1]
    assert (result.stop_reason, result.cost) == ("max_epochs", last.cost)
    assert same_bytes(result.gradient_norm, last.gradient_norm)
    assert same_bytes(result.initial_cost, results[0].initial_cost)
    for name in set(last.state) - {"epochs"}:
        assert same_bytes(result.state[name], last.state[name]), name
    for stage, solver, r in zip(result.stages, CHAIN, results, strict=True):
        assert stage.solver is solver
        assert (stage.epochs, stage.stop_reason, stage.cost) == (r.epochs, r.stop_reason, r.cost)
        assert 0 < stage.seconds < result.seconds
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.stages[0].epochs = 0
    assert pickle.loads(pickle.dumps(result)).stages == result.stages


def test_a_seed_is_that_of_all_stages():
    """The second stage draws on where the first one stopped: as from its state, by hand."""
    net, hand = CASE.network(seed=2), CASE.network(seed=2)
    result = fit(net, CHAIN[:2], MOST[:2], seed=4)
    state = fit(hand, CHAIN[0], MOST[0], seed=4).state
    first = fit(CASE.network(seed=2), CHAIN[1], 1).state
    begun = {**first, **state, "epochs": 0, "cost": first["cost"]}
    names = set(first)
    rest = fit(hand, CHAIN[1], MOST[1], resume={name: begun[name] for name in names})
    assert same_bytes(net.parameters, hand.parameters)
    assert same_bytes(result.cost_history[MOST[0] :], rest.cost_history)
    assert result.state["position"] == state["position"] + MOST[1] * 29


@pytest.mark.parametrize("chain", [[LM()], (LM(),)], ids=["list", "tuple"])
def test_a_chain_of_one(chain):
    net, alone = CASE.network(seed=2), CASE.network(seed=2)
    result, single = fit(net, chain, 5), fit(alone, LM(), 5)
    assert same_bytes(net.parameters, alone.parameters)
    assert result.solver == (LM(),)
    assert single.solver == LM()
    assert set(result.state) - set(single.state) == {"stage", "stage_epochs"}


def test_one_limit_for_all():
    result = fit(CASE.network(seed=2), most=3)
    assert [stage.epochs for stage in result.stages] == [3, 3, 3, 3]
    result = fit(CASE.network(seed=2), most=np.array([1, 2, 3, 4]))
    assert [stage.epochs for stage in result.stages] == [1, 2, 3, 4]


def test_reasons_that_end_a_stage():
    """Convergence and a solver's own rule: the next stage begins."""
    chain = [GD(0.005), dl.LBFGS(min_gradient=3.0), LM()]
    result = fit(CASE.network(seed=2), chain, 400, tol=0.05)
    first, second, third = result.stages
    assert (first.stop_reason, second.stop_reason) == ("converged", "min_gradient")
    assert len(result.cost_history) == sum(stage.epochs for stage in result.stages)
    assert result.stop_reason == third.stop_reason
    assert result.cost_history[first.epochs - 1] == first.cost


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_goal_ends_the_fit(stage):
    chain, most = [CHAIN[0], dl.LBFGS(), LM()], [4, 4, 4]
    history = fit(CASE.network(seed=2), chain, most).cost_history
    k = next(k for k in range(4 * stage + 1, 12) if history[k] < history[:k].min())
    assert k < 4 * stage + 4
    result = fit(CASE.network(seed=2), chain, most, goal=history[k])
    assert (result.stop_reason, result.converged) == ("goal", True)
    assert len(result.stages) == stage + 1
    assert (result.epochs, result.state["stage"]) == (k + 1, stage)


def test_divergence_ends_the_fit():
    chain = [LM(), GD(1e200), LM()]
    net, hand = CASE.network(seed=2), CASE.network(seed=2)
    with pytest.warns(dl.DivergenceWarning, match="diverged in epoch 5.*smaller learning_rate"):
        result = fit(net, chain, 4)
    fit(hand, LM(), 4)
    assert [stage.stop_reason for stage in result.stages] == ["max_epochs", "diverged"]
    assert result.epochs == 4
    assert same_bytes(net.parameters, hand.parameters)
    assert result.cost == result.stages[0].cost


def test_callbacks_count_through_all_stages():
    seen = []
    net = CASE.network(seed=2)
    result = fit(net, callback=lambda info: seen.append((info.epoch, info.cost)), callback_every=4)
    assert [epoch for epoch, _ in seen] == [4, 8, 12, 16]
    assert all(cost == result.cost_history[epoch - 1] for epoch, cost in seen)


@pytest.mark.parametrize("last", range(1, sum(MOST) + 1))
def test_stopped_by_a_callback_and_resumed(last):
    """In any epoch of any stage, the last ones included."""
    alone, net, other = (CASE.network(seed=2) for _ in range(3))
    whole = fit(alone)
    first = fit(net, callback=lambda info: info.epoch == last)
    assert (first.epochs, first.stop_reason) == (last, "callback")
    if last == sum(MOST):
        with pytest.raises(ValueError, match="max_epochs must be above the 6 epochs"):
            fit(other, resume=first.state)
        return
    seen = []
    other.parameters[:] = 0.0
    rest = fit(other, resume=first.state, callback=lambda info: seen.append(info.epoch))
    same_end((other, rest), (alone, whole))
    assert same_bytes(np.concatenate([first.cost_history, rest.cost_history]), whole.cost_history)
    assert seen == list(range(last + 1, sum(MOST) + 1))
    assert sum(stage.epochs for stage in rest.stages) == rest.epochs == sum(MOST) - last
    if rest.stages[0].solver.batch_size is None:
        assert rest.initial_cost == first.cost


def test_stopped_in_the_epoch_that_ends_a_stage():
    """Where a stage has ended by itself the next one does not begin; it is resumed at its start."""
    chain = [GD(0.005), LM()]
    alone, net = CASE.network(seed=2), CASE.network(seed=2)
    whole = fit(alone, chain, 400, tol=0.05)
    last = whole.stages[0].epochs
    first = fit(net, chain, 400, tol=0.05, callback=lambda info: info.epoch == last)
    assert [stage.stop_reason for stage in first.stages] == ["converged", "callback"]
    assert (first.stop_reason, first.epochs) == ("callback", last)
    assert first.stages[1].epochs == 0
    assert first.cost == first.stages[0].cost == net.cost(CASE.X, CASE.Y)
    assert (first.state["stage"], first.state["stage_epochs"]) == (1, 0)
    rest = fit(net, chain, 400, tol=0.05, resume=first.state)
    same_end((net, rest), (alone, whole))


def test_a_finished_chain_goes_on():
    """With a higher limit of its last stage."""
    alone, net = CASE.network(seed=2), CASE.network(seed=2)
    whole = fit(alone, most=[5, 3, 4, 9])
    state = fit(net).state
    rest = fit(net, most=[5, 3, 4, 9], resume=state)
    same_end((net, rest), (alone, whole))
    assert [stage.epochs for stage in rest.stages] == [3]


def test_max_time_is_that_of_all_stages():
    def slow(info):
        time.sleep(0.03)

    result = fit(CASE.network(seed=2), [GD(1e-3), GD(2e-3)], [4, 1000], max_time=0.2, callback=slow)
    assert result.stop_reason == "max_time"
    assert 0.2 < result.seconds < 30
    assert result.stages[0].epochs == 4
    result = fit(CASE.network(seed=2), [GD(1e-3), LM()], [1, 9], max_time=0.01, callback=slow)
    assert [(s.epochs, s.stop_reason) for s in result.stages] == [
        (1, "max_epochs"),
        (0, "max_time"),
    ]
    assert result.cost == result.stages[0].cost


def test_refusals():
    net = CASE.network(seed=2)
    before = net.parameters.copy()
    huber = dl.Network([3, 5, 2], loss="huber", seed=0)
    state = fit(CASE.network(seed=2), callback=lambda info: True).state
    single = fit(CASE.network(seed=2), CHAIN[0], 2).state
    for error, match, call in [
        (ValueError, r"solver must be a solver, or a list .* got \[\]", lambda: fit(net, [])),
        (TypeError, r"solver\[1\] must be a solver object", lambda: fit(net, [LM(), Adam])),
        (TypeError, r"solver\[0\] must be a solver object", lambda: fit(net, [[LM()]])),
        (TypeError, "solver must be a solver object", lambda: fit(net, iter(CHAIN))),
        (ValueError, r"max_epochs .* of the 4 solvers, got \[1\]", lambda: fit(net, most=[1])),
        (ValueError, r"max_epochs\[1\] must be at least 1", lambda: fit(net, most=[1, 0, 1, 1])),
        (TypeError, r"max_epochs\[0\] must be an integer", lambda: fit(net, most=[1.0, 1, 1, 1])),
        (TypeError, r"max_epochs must be an integer, got \[5\]", lambda: fit(net, LM(), [5])),
        (ValueError, "max_epochs must be at least 1", lambda: fit(net, most=0)),
        (
            ValueError,
            r"solver\[1\], Adam\(batch_size=31\): batch_size must be at most",
            lambda: fit(net, [LM(), Adam(batch_size=31)], 3),
        ),
        (
            ValueError,
            r"solver\[1\], LevenbergMarquardt\(\): solver LevenbergMarquardt needs .* huber",
            lambda: fit(huber, [Adam(), LM()], 3),
        ),
        (ValueError, "resume has no 'stage'", lambda: fit(net, most=9, resume=single)),
        (ValueError, "resume has 'stage'", lambda: fit(net, CHAIN[0], 9, resume=state)),
        (
            ValueError,
            r"resume\['stage'\] must be that of one of 4 solvers, counted from 0, got 4",
            lambda: fit(net, resume={**state, "stage": 4}),
        ),
        (
            ValueError,
            r"resume\['stage_epochs'\] must be at most resume\['epochs'\], 1, got 2",
            lambda: fit(net, resume={**state, "stage_epochs": 2}),
        ),
        (
            TypeError,
            r"resume\['stage'\] must be an integer",
            lambda: fit(net, resume={**state, "stage": 0.0}),
        ),
        (
            ValueError,
            "resume has no 's'",
            lambda: fit(net, resume={**state, "stage": 2}),
        ),
    ]:
        with pytest.raises(error, match=match):
            call()
    assert same_bytes(net.parameters, before)
    with pytest.raises(TypeError, match="solver must be a solver object"):
        net.trainer([Adam()])


def test_the_progress_bar_counts_through_all_stages(monkeypatch):
    """From the resumed epochs on."""
    tqdm = pytest.importorskip("tqdm")
    bars = []

    class Bar:
        def __init__(self, **options):
            self.options, self.n = options, options["initial"]
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def update(self, n):
            self.n += n

        def set_postfix_str(self, text, refresh=True):
            pass

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    net = CASE.network(seed=2)
    state = fit(net, progress=True, callback=lambda info: info.epoch == 7).state
    fit(net, progress=True, resume=state)
    first, second = bars
    assert (first.options["initial"], first.options["total"], first.n) == (0, 18, 7)
    assert (second.options["initial"], second.options["total"], second.n) == (7, 18, 18)
