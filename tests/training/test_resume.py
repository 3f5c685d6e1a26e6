"""Training that stops, goes through a file and goes on has the bits of training that never stopped.

The truth is always the uninterrupted fit; the other half is what may not be resumed.
"""

from __future__ import annotations

import io
import itertools
import math
import warnings
from types import MappingProxyType

import numpy as np
import pytest
import safetensors.numpy

import deltaloop as dl
from deltaloop import schedules
from tests.helpers.cases import make_case, xor_data
from tests.helpers.compare import same_bytes

GD, LM = dl.GradientDescent, dl.LevenbergMarquardt
N = 9

X, Y = xor_data()


class Problem:
    """Data, and networks that all begin alike."""

    def __init__(self, layers, n, output="identity", loss="squared_error", **options):
        rng = np.random.default_rng(n)
        self.options = {"activation": "tanh", "output": output, "loss": loss, **options}
        self.layers, self.X = layers, rng.normal(size=(n, layers[0]))
        self.Y = rng.normal(size=(n, layers[-1]))
        if loss == "cross_entropy":
            self.Y = rng.integers(layers[-1], size=n)
        if loss == "poisson":
            self.Y = rng.poisson(2.0, size=(n, layers[-1]))

    def network(self, threads=1):
        net = dl.Network(self.layers, seed=3, **self.options)
        if threads > 1:  # however little there is for each
            net._chunk_rows, net._grain = 5, 1.0
        return net

    def fit(self, net, solver, epochs, threads=1, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if "tol" in options:  # a coarse one
                warnings.simplefilter("ignore", dl.ConvergenceWarning)
            return net.fit(
                self.X,
                self.Y,
                **{"solver": solver, "max_epochs": epochs, "n_threads": threads, "tol": 0}
                | options,
            )


class XOR(Problem):
    """Fits into the registers: many epochs are one call of a kernel."""

    def __init__(self):
        self.options, self.layers, self.X, self.Y = {}, [2, 2, 1], X, Y


REGRESSION = Problem((3, 6, 2), 31)
WIDE = Problem((3, 9, 2), 12)  # fewer residuals than parameters
SMALL = Problem((1, 2, 1), 20)  # 7 parameters
CLASSES = Problem((3, 5, 3), 40, "softmax", "cross_entropy")
COUNTS = Problem((2, 4, 1), 30, "exp", "poisson", init="glorot_uniform")
RANGES = Problem((2, 3, 1), 4200)  # sums are cut in ranges
BLOCKS = Problem((200, 170, 2), 10)  # and so are sums over the parameters

RATES = {
    "inverse": schedules.InverseScaling(0.02),
    "step": schedules.Step(0.02, epochs=2),
    "exponential": schedules.Exponential(0.02, 0.8),
    "cosine": schedules.Cosine(0.02, epochs=7, warmup=2),
    "plateau": schedules.Plateau(0.02, factor=0.5, patience=1, threshold=0.2),
}
CASES = {
    "gd": (REGRESSION, GD(0.01)),
    "gd momentum": (REGRESSION, GD(0.01, momentum=0.9)),
    "gd nesterov": (REGRESSION, GD(0.01, momentum=0.9, nesterov=True)),
    "gd batches": (REGRESSION, GD(0.01, batch_size=7)),
    "gd batches momentum": (REGRESSION, GD(0.01, momentum=0.5, batch_size=7)),
    "gd in order": (REGRESSION, GD(0.01, batch_size=7, shuffle=False)),
    "gd online": (REGRESSION, GD(0.01, batch_size=1)),
    "gd xor": (XOR(), GD(2.0)),
    "gd xor online": (XOR(), GD(2.0, batch_size=1)),
    "gd xor momentum": (XOR(), GD(0.5, momentum=0.9)),
    "gd ranges": (RANGES, GD(1e-4)),
    "gd clip_norm": (REGRESSION, GD(0.1, clip_norm=1.0)),
    "gd clip_value": (REGRESSION, GD(0.1, clip_value=0.5, batch_size=10, momentum=0.9)),
    "gd classes": (CLASSES, GD(0.01)),
    **{f"gd {name}": (REGRESSION, GD(rate)) for name, rate in RATES.items()},
    **{f"adam {name}": (CLASSES, dl.Adam(rate, batch_size=9)) for name, rate in RATES.items()},
    "adam": (REGRESSION, dl.Adam(0.01)),
    "adam online": (REGRESSION, dl.Adam(0.01, batch_size=1)),
    "adamw": (COUNTS, dl.AdamW(0.01, weight_decay=0.1, batch_size=8, clip_norm=1.0)),
    "rprop": (REGRESSION, dl.Rprop()),
    "rprop xor": (XOR(), dl.Rprop(delta_0=2.0)),
    "rprop minus": (CLASSES, dl.Rprop(variant="minus")),
    "quickprop": (REGRESSION, dl.Quickprop()),
    "quickprop xor": (XOR(), dl.Quickprop(2.0, decay=0.0)),
    "lbfgs": (REGRESSION, dl.LBFGS()),
    "lbfgs full ring": (REGRESSION, dl.LBFGS(2)),
    "lbfgs one pair": (CLASSES, dl.LBFGS(1)),
    "lbfgs ranges": (RANGES, dl.LBFGS(3)),
    "lbfgs blocks": (BLOCKS, dl.LBFGS(3)),
    "scg": (REGRESSION, dl.ScaledConjugateGradient()),
    "scg restarts": (SMALL, dl.ScaledConjugateGradient()),  # after epoch 7
    "scg blocks": (BLOCKS, dl.ScaledConjugateGradient()),
    **{
        f"lm {rule} {scaling} {size}": (problem, LM(damping_rule=rule, scaling=scaling))
        for rule in ("nielsen", "trust_region", "fixed")
        for scaling in ("identity", "diagonal")
        for size, problem in (("primal", REGRESSION), ("dual", WIDE))
    },
    "lm small radius": (REGRESSION, LM(damping_rule="trust_region", radius=0.1)),
    "lm geodesic": (REGRESSION, LM(geodesic=True)),
    "lm geodesic dual": (WIDE, LM(geodesic=True, scaling="diagonal", damping_rule="fixed")),
    "lm softmax": (CLASSES, LM()),
    "lm poisson": (COUNTS, LM(damping_rule="trust_region")),
    "bayes": (REGRESSION, dl.BayesianRegularization()),
    "bayes dual": (WIDE, dl.BayesianRegularization()),
}


def through_npz(state):
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    return np.load(file)


def through_safetensors(state):
    return safetensors.numpy.load(safetensors.numpy.save(dict(state)))


def in_lists(state):
    """As JSON gives it back, but for the type of the integers, which lists keep, too."""
    return MappingProxyType({name: value.tolist() for name, value in state.items()})


WAYS = itertools.cycle([dict, through_npz, through_safetensors, in_lists])


def check_end(whole, net, *parts):
    """The parts together are the whole, given as (network, result)."""
    alone, result = whole
    assert same_bytes(net.parameters, alone.parameters)
    assert net._position == alone._position
    assert sum(part.epochs for part in parts) == result.epochs
    assert same_bytes(np.concatenate([part.cost_history for part in parts]), result.cost_history)
    end = parts[-1]
    assert (end.stop_reason, end.cost) == (result.stop_reason, result.cost)
    assert same_bytes(end.gradient_norm, result.gradient_norm)
    assert list(end.state) == list(result.state)
    for name, value in result.state.items():
        assert same_bytes(end.state[name], value), name
        assert end.state[name].dtype == value.dtype
        assert end.state[name].shape == value.shape
    for before, after in itertools.pairwise(parts):
        if end.solver.batch_size is None:
            assert after.initial_cost == before.cost
        else:
            assert math.isnan(after.initial_cost)


@pytest.fixture(scope="module")
def wholes():
    """The uninterrupted fits."""
    known = {}

    def fit(name):
        if name not in known:
            problem, solver = CASES[name]
            net = problem.network()
            known[name] = net, problem.fit(net, solver, N)
            assert known[name][1].epochs == N, known[name][1].stop_reason
        return known[name]

    return fit


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_a_fit_that_stops_and_goes_on(wholes, name, threads):
    problem, solver = CASES[name]
    for k in (1, 4, 7, N - 1):
        net = problem.network(threads)
        first = problem.fit(net, solver, k, threads)
        assert (first.epochs, int(first.state["epochs"])) == (k, k)
        other = problem.network(threads)
        other.parameters = np.arange(float(other.n_parameters))
        rest = problem.fit(other, solver, N, threads, resume=next(WAYS)(first.state))
        check_end(wholes(name), other, first, rest)


@pytest.mark.parametrize("name", ["gd batches", "adam plateau", "lbfgs", "scg restarts", "bayes"])
def test_an_epoch_at_a_time(wholes, name):
    problem, solver = CASES[name]
    net, results = problem.network(), []
    for epochs in range(1, N + 1):
        resume = results[-1].state if results else None
        results.append(problem.fit(net, solver, epochs, resume=resume))
    check_end(wholes(name), net, *results)


@pytest.mark.parametrize(
    "name", ["gd", "gd online", "gd xor", "rprop", "lbfgs full ring", "lm small radius"]
)
def test_stopped_by_a_callback(wholes, name):
    """The numbers of epochs go on, and so does what `callback_every` counts."""
    problem, solver = CASES[name]
    net, seen = problem.network(), []

    def stop_at_4(info):
        seen.append(info.epoch)
        return info.epoch == 4

    first = problem.fit(net, solver, N, callback=stop_at_4, callback_every=2)
    assert first.stop_reason == "callback"
    other = problem.network()
    rest = problem.fit(other, solver, N, callback=stop_at_4, callback_every=2, resume=first.state)
    check_end(wholes(name), other, first, rest)
    assert seen == [2, 4, 6, 8]


@pytest.mark.parametrize("name", ["gd batches", "adam online", "gd xor", "rprop", "scg", "bayes"])
def test_the_rules_compare_with_the_epoch_before(name):
    """With a tol that fires in the first epoch after the interruption, and one that does not."""
    problem, solver = CASES[name]
    costs = problem.fit(problem.network(), solver, N).cost_history
    changes = np.abs(np.diff(costs))
    least = abs(costs[0] - problem.network().cost(problem.X, problem.Y))  # of the first epoch
    k = 1 + next(i for i in range(1, N - 2) if changes[i] < min(least, changes[:i].min()))
    for fires in (True, False):
        tol = changes[k - 1] * (1 + (1e-9 if fires else -1e-9))
        whole = problem.network()
        first = problem.fit(problem.network(), solver, k)
        result = problem.fit(whole, solver, N, tol=tol)
        net = problem.network()
        rest = problem.fit(net, solver, N, tol=tol, resume=first.state)
        check_end((whole, result), net, first, rest)
        assert (rest.stop_reason == "converged" and rest.epochs == 1) == fires


def test_stopped_by_its_own_rule():
    """Such a state is resumed, too: the same rule holds again, or a weaker one lets it go on."""
    solver = dl.LBFGS(min_gradient=0.5)
    net = REGRESSION.network()
    first = REGRESSION.fit(net, solver, 500)
    assert first.stop_reason == "min_gradient"
    again = REGRESSION.fit(net, solver, 500, resume=first.state)
    assert (again.stop_reason, again.epochs) == ("min_gradient", 0)
    assert same_bytes(again.state["s"], first.state["s"])
    alone = REGRESSION.network()
    longer = REGRESSION.fit(alone, dl.LBFGS(), first.epochs + 5)
    rest = REGRESSION.fit(net, dl.LBFGS(), first.epochs + 5, resume=first.state)
    check_end((alone, longer), net, first, rest)


@pytest.mark.parametrize("method", [dl.ScaledConjugateGradient, dl.LevenbergMarquardt])
def test_a_smaller_least_gradient_goes_on(method):
    """The state after "min_gradient" is that of the epoch's end."""
    net, alone = REGRESSION.network(), REGRESSION.network()
    first = REGRESSION.fit(net, method(min_gradient=1.0), 500)
    assert first.stop_reason == "min_gradient"
    longer = REGRESSION.fit(alone, method(min_gradient=0.0), first.epochs + 4)
    rest = REGRESSION.fit(net, method(min_gradient=0.0), first.epochs + 4, resume=first.state)
    check_end((alone, longer), net, first, rest)


@pytest.mark.parametrize("solver", [GD(1e-3), dl.LBFGS(), dl.ScaledConjugateGradient(), LM()])
def test_before_the_first_step(solver):
    """A goal that is met at once leaves the state of a fit that begins."""
    net = REGRESSION.network()
    first = REGRESSION.fit(net, solver, N, goal=np.inf)
    assert (first.stop_reason, first.epochs) == ("goal", 0)
    alone = REGRESSION.network()
    result = REGRESSION.fit(alone, solver, N)
    rest = REGRESSION.fit(net, solver, N, resume=first.state)
    check_end((alone, result), net, first, rest)


# ---- the stream ----


def test_the_stream_goes_on():
    """From the state's word, with its key: the network's own position follows if it is its key."""
    problem, solver = CASES["gd batches"]
    for seed in (None, 3, 8):  # 3 is the network's
        alone, net, other = (problem.network() for _ in range(3))
        before = net._position
        problem.fit(alone, solver, N, seed=seed)
        state = problem.fit(net, solver, 4, seed=seed).state
        problem.fit(other, solver, N, resume=state)
        assert same_bytes(other.parameters, alone.parameters)
        drawn = N * (31 - 1)
        assert other._position == {None: before + drawn, 3: drawn, 8: before}[seed]


def test_the_state_is_not_the_fits_memory():
    """What a state holds stays as it was when training goes on, and is not written to."""
    problem, solver = CASES["adam"]
    net = problem.network()
    state = problem.fit(net, solver, 2).state
    copy = {name: value.copy() for name, value in state.items()}
    for value in state.values():
        value.setflags(write=False)
    problem.fit(net, solver, 4, resume=state)
    assert all(same_bytes(state[name], value) for name, value in copy.items())


def test_a_state_may_hold_the_networks_own_parameters():
    """What is copied may be the place itself."""
    problem, solver = CASES["lbfgs"]
    net, alone = problem.network(), problem.network()
    whole = problem.fit(alone, solver, N)
    first = problem.fit(net, solver, 3)
    rest = problem.fit(net, solver, N, resume={**first.state, "parameters": net.parameters})
    check_end((alone, whole), net, first, rest)


def test_other_options_may_follow():
    """A state does not hold what the solver is made with: a rate can change on the way."""
    problem = REGRESSION
    net, alone = problem.network(), problem.network()
    state = problem.fit(net, GD(0.01, momentum=0.9), 3).state
    problem.fit(net, GD(0.002, momentum=0.9), 5, resume=state)
    problem.fit(alone, GD(0.01, momentum=0.9), 3)
    v = state["velocity"].copy()
    for _ in range(2):
        v = 0.9 * v - 0.002 * alone.gradient(problem.X, problem.Y)[1]
        alone.parameters += v
    np.testing.assert_allclose(net.parameters, alone.parameters, rtol=1e-12)


# ---- what may not be resumed ----


MOMENTUM, PLATEAU, RING = "gd momentum", "adam plateau", "lbfgs full ring"
NIELSEN, FIXED = "lm nielsen identity primal", "lm fixed identity primal"
STATES = (MOMENTUM, PLATEAU, RING, NIELSEN, FIXED, "scg", "lm small radius", "bayes", "adam")
STATES += ("rprop", "lm nielsen diagonal primal")


@pytest.fixture(scope="module")
def states():
    return {
        name: CASES[name][0].fit(CASES[name][0].network(), CASES[name][1], 3).state
        for name in STATES
    }


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


def with_(name, value):
    return lambda state: {**state, name: value}


def put(name, index, value):
    def change(state):
        array = state[name].copy()
        array[index] = value
        return {**state, name: array}

    return change


REFUSED = [
    (MOMENTUM, lambda state: list(state), TypeError, "resume must be a mapping.*got list"),
    (MOMENTUM, lambda state: dl.Network([1, 1]), TypeError, "resume must be a mapping.*Network$"),
    *(
        (MOMENTUM, without(name), ValueError, f"resume has no '{name}'")
        for name in ("epochs", "key", "position", "parameters", "cost", "velocity")
    ),
    (MOMENTUM, lambda state: {}, ValueError, "resume has no 'epochs'"),
    (MOMENTUM, with_("delta", np.zeros(3)), ValueError, "resume has 'delta'"),
    (MOMENTUM, with_(3, np.zeros(3)), ValueError, "resume has 3"),
    (MOMENTUM, with_("stage", np.array(0)), ValueError, "resume has 'stage'"),
    (MOMENTUM, with_("epochs", 2.0), TypeError, r"resume\['epochs'\] must be an integer"),
    (MOMENTUM, with_("epochs", True), TypeError, r"resume\['epochs'\] must be an integer"),
    (MOMENTUM, with_("epochs", "3"), TypeError, r"resume\['epochs'\] must be an integer"),
    (MOMENTUM, with_("epochs", -1), ValueError, r"resume\['epochs'\] must be in \[0, "),
    (MOMENTUM, with_("epochs", np.uint64(2**63)), ValueError, r"resume\['epochs'\] must be in"),
    (MOMENTUM, with_("epochs", [3]), ValueError, r"resume\['epochs'\] must have shape \(\)"),
    (MOMENTUM, with_("position", -1), ValueError, r"resume\['position'\] must be in \[0, "),
    (MOMENTUM, with_("position", 0.5), TypeError, r"resume\['position'\] must be an integer"),
    (MOMENTUM, with_("key", [1, 2, 3]), ValueError, r"resume\['key'\] must have shape \(2,\)"),
    (MOMENTUM, with_("key", [1, -2]), ValueError, r"resume\['key'\] must be in \[0, "),
    (MOMENTUM, with_("key", [0.5, 2]), TypeError, r"resume\['key'\] must be two integers"),
    (MOMENTUM, with_("key", None), TypeError, r"resume\['key'\] must be two integers"),
    (
        MOMENTUM,
        lambda state: {**state, "velocity": state["velocity"].astype(np.float32)},
        TypeError,
        r"resume\['velocity'\] must hold float64, got dtype float32",
    ),
    (MOMENTUM, with_("cost", [1, 0]), TypeError, r"resume\['cost'\] must hold float64"),
    (MOMENTUM, with_("cost", None), TypeError, r"resume\['cost'\] must hold float64"),
    (MOMENTUM, with_("cost", [[1.0], [1.0, 2.0]]), ValueError, r"resume\['cost'\] is not an array"),
    (MOMENTUM, with_("cost", 1.0), ValueError, r"resume\['cost'\] must have shape \(2,\)"),
    (
        MOMENTUM,
        with_("parameters", np.zeros(39)),
        ValueError,
        r"resume\['parameters'\] must have shape \(38,\), got \(39,\)",
    ),
    (
        MOMENTUM,
        with_("velocity", np.zeros((38, 1))),
        ValueError,
        r"resume\['velocity'\] must have shape \(38,\), got \(38, 1\)",
    ),
    (
        MOMENTUM,
        put("parameters", 5, math.nan),
        ValueError,
        r"resume\['parameters'\] holds nan at index 5",
    ),
    (
        MOMENTUM,
        put("velocity", 7, -math.inf),
        ValueError,
        r"resume\['velocity'\] holds -inf at index 7",
    ),
    (PLATEAU, put("plateau", 0, -math.inf), ValueError, r"resume\['plateau'\] holds -inf"),
    (PLATEAU, put("plateau", 0, math.nan), ValueError, r"resume\['plateau'\] holds nan"),
    (PLATEAU, put("powers", 1, math.inf), ValueError, r"resume\['powers'\] holds inf"),
    (RING, put("pairs", 0, 3.0), ValueError, r"resume\['pairs'\] holds values"),
    (RING, put("pairs", 0, -1.0), ValueError, r"resume\['pairs'\] holds values"),
    (RING, put("pairs", 1, 3.0), ValueError, r"resume\['pairs'\] holds values"),
    (RING, put("pairs", 1, 0.5), ValueError, r"resume\['pairs'\] holds values"),
    (RING, put("rho", 1, math.nan), ValueError, r"resume\['rho'\] holds nan at index 1"),
    # with which a step that fails would be tried again for ever
    ("scg", put("lambda", 0, 0.0), ValueError, r"resume\['lambda'\] holds values"),
    (FIXED, put("damping", 0, 0.0), ValueError, r"resume\['damping'\] holds values"),
    ("bayes", put("damping", 0, -1.0), ValueError, r"resume\['damping'\] holds values"),
    (NIELSEN, put("growth", 0, 1.0), ValueError, r"resume\['growth'\] holds values"),
    ("lm small radius", put("radius", 0, -1.0), ValueError, r"resume\['radius'\] holds values"),
    # which no step leaves
    *(
        (name, put(array, index, value), ValueError, rf"resume\['{array}'\] holds values")
        for name, array, index, value in [
            ("adam", "v", 5, -1e-9),
            ("adam", "powers", 0, 1.5),
            ("adam", "powers", 1, -0.1),
            (PLATEAU, "learning_rate", 0, -0.01),
            (PLATEAU, "plateau", 1, -1.0),
            ("rprop", "delta", 3, -0.1),
            (RING, "rho", 0, -1.0),
            (RING, "pairs", 2, -1.0),
            ("lm nielsen diagonal primal", "scale", 2, -1.0),
            ("bayes", "alpha", 0, -1.0),
            ("bayes", "beta", 0, 0.0),
        ]
    ),
]


@pytest.mark.parametrize(("name", "change", "error", "match"), REFUSED)
def test_refused(states, name, change, error, match):
    problem, solver = CASES[name]
    net = problem.network()
    before, position = net.parameters.copy(), net._position
    with pytest.raises(error, match=match):
        problem.fit(net, solver, N, resume=change(states[name]))
    assert same_bytes(net.parameters, before)
    assert net._position == position
    problem.fit(net, solver, N, resume=states[name])  # which is fine itself


@pytest.mark.parametrize(
    ("name", "solver", "match"),
    [
        ("gd momentum", GD(0.1), "resume has 'velocity'"),
        ("gd momentum", dl.Adam(), "resume has no 'm'"),
        ("adam plateau", dl.Adam(), "resume has 'learning_rate'"),
        ("lbfgs full ring", dl.LBFGS(3), r"resume\['s'\] must have shape"),
        ("lm nielsen identity primal", LM(damping_rule="fixed"), "resume has 'growth'"),
        ("lm nielsen identity primal", dl.BayesianRegularization(), "resume has no 'alpha'"),
    ],
)
def test_the_state_of_another_solver(states, name, solver, match):
    problem = CASES[name][0]
    with pytest.raises(ValueError, match=match):
        problem.fit(problem.network(), solver, N, resume=states[name])


def test_other_refusals(states):
    state, (problem, solver) = states[MOMENTUM], CASES[MOMENTUM]
    net = problem.network()
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="seed and resume"):
        problem.fit(net, solver, N, resume=state, seed=1)
    for most in (1, 3):
        with pytest.raises(ValueError, match=f"max_epochs must be above the 3 .* got {most}$"):
            problem.fit(net, solver, most, resume=state)
    with pytest.raises(ValueError, match=r"resume\['parameters'\] must have shape"):
        SMALL.fit(SMALL.network(), solver, N, resume=state)
    result = problem.fit(problem.network(), solver, 2)
    with pytest.raises(TypeError, match="got FitResult; use its attribute state"):
        problem.fit(net, solver, N, resume=result)
    assert same_bytes(net.parameters, before)


@pytest.mark.parametrize("solver", [GD(1e300), [GD(1e300), LM()]], ids=["one", "chain"])
def test_the_state_of_a_diverged_fit(solver):
    net = REGRESSION.network()
    with pytest.warns(dl.DivergenceWarning, match="in epoch 1"):
        state = net.fit(REGRESSION.X, REGRESSION.Y, solver=solver).state
    assert set(state) == {"epochs", "key", "position"}
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="resume is the state of a fit that diverged"):
        REGRESSION.fit(net, solver, N, resume=state)
    assert same_bytes(net.parameters, before)


def test_divergence_names_the_epoch_in_total(states):
    problem = CASES[MOMENTUM][0]
    net = problem.network()
    with pytest.warns(dl.DivergenceWarning, match="diverged in epoch 4"):
        result = net.fit(
            problem.X, problem.Y, solver=GD(1e300, momentum=0.9), resume=states[MOMENTUM]
        )
    assert result.epochs == 0
    assert result.state["epochs"] == 3
    assert same_bytes(net.parameters, states[MOMENTUM]["parameters"])


# ---- trainers ----


@pytest.mark.parametrize(
    "solver",
    [GD(0.05), GD(0.05, momentum=0.9, nesterov=True), GD(0.5, clip_norm=0.1), dl.AdamW(0.01)],
)
def test_a_trainer_that_stops_and_goes_on(solver):
    case = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=24, seed=1)

    def steps(trainer, i, j):
        return [
            trainer.step(case.X[n], case.Y[n]) if n % 3 else trainer.step(case.X[n:], case.Y[n:])
            for n in range(i, j)
        ]

    alone = case.network().trainer(solver)
    costs = steps(alone, 0, 20)
    assert alone.state["steps"].tolist() == [20.0]
    assert same_bytes(alone.state["parameters"], alone.network.parameters)
    for k in (0, 1, 7, 19):
        trainer = case.network().trainer(solver)
        first, state = steps(trainer, 0, k), trainer.state
        steps(trainer, k, 20)  # which the state does not follow
        other = case.network()
        other.parameters[:] = 0.0
        trainer = other.trainer(solver, resume=next(WAYS)(state))
        assert first + steps(trainer, k, 20) == costs
        assert list(trainer.state) == list(alone.state)
        assert all(same_bytes(trainer.state[name], value) for name, value in alone.state.items())


def test_a_trainers_refusals():
    net = dl.Network([2, 3, 1], seed=0)
    state = net.trainer(dl.Adam()).state
    before = net.parameters.copy()
    for change, error, match in [
        (list, TypeError, "resume must be a mapping"),
        (without("steps"), ValueError, "resume has no 'steps'"),
        (without("parameters"), ValueError, "resume has no 'parameters'"),
        (with_("velocity", np.zeros(13)), ValueError, "resume has 'velocity'"),
        (put("m", 3, math.inf), ValueError, r"resume\['m'\] holds inf at index 3"),
        (put("v", 3, -1.0), ValueError, r"resume\['v'\] holds values"),
        (put("powers", 1, 2.0), ValueError, r"resume\['powers'\] holds values"),
        (with_("steps", np.array([-1.0])), ValueError, r"resume\['steps'\] holds values"),
        (with_("steps", np.array([2.0**53])), ValueError, r"resume\['steps'\] holds values"),
        (with_("v", np.zeros(12)), ValueError, r"resume\['v'\] must have shape \(13,\)"),
        (with_("v", np.zeros(13, np.float32)), TypeError, r"resume\['v'\] must hold float64"),
    ]:
        with pytest.raises(error, match=match):
            net.trainer(dl.Adam(), resume=change(state))
    with pytest.raises(ValueError, match="resume has 'm'"):
        net.trainer(GD(0.1), resume=state)
    fitted = net.copy().fit(X, Y, solver=dl.Adam(), max_epochs=1).state
    with pytest.raises(ValueError, match="resume has 'epochs'"):
        net.trainer(dl.Adam(), resume=fitted)
    assert same_bytes(net.parameters, before)

    def busy(info):
        with pytest.raises(RuntimeError, match="being trained already"):
            _ = trainer.state
        with pytest.raises(RuntimeError, match="being trained already"):
            net.trainer(dl.Adam(), resume=state)

    trainer = net.trainer(dl.Adam())
    net.fit(X, Y, solver=dl.Adam(), max_epochs=1, callback=busy)
    assert len(trainer.state) == 5
