"""No fit ends as if it were well when it is not: warnings, messages, and no false alarms."""

import warnings

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from deltaloop._arguments.problem import Problem
from deltaloop._arguments.seeds import stream
from deltaloop.tabular import TabularModel
from tests.helpers.processes import run_python

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (100, 3))
Y = np.sin(X[:, 0])
XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0, 1.0, 0.0])
GD, LM, BR = dl.GradientDescent, dl.LevenbergMarquardt, dl.BayesianRegularization
SCG = dl.ScaledConjugateGradient


def network(activation="tanh", output="identity", layers=(3, 8, 1), seed=1, **options):
    return dl.Network(layers, activation=activation, output=output, seed=seed, **options)


def fit(net, x=X, y=Y, **options):
    """The result, and what was warned of, in turn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = net.fit(x, y, **options)
    assert all(w.category is dl.ConvergenceWarning for w in caught)
    assert all(w.filename == __file__ for w in caught)
    return result, [str(w.message) for w in caught]


def quiet(net, x=X, y=Y, **options):
    result, said = fit(net, x, y, **options)
    assert said == []
    assert " But " not in result.message
    return result


def ends_badly(pattern, net, x=X, y=Y, **options):
    with pytest.warns(dl.ConvergenceWarning, match=pattern):
        result = net.fit(x, y, **options)
    assert not result.converged
    return result


# ---- the end ----


@pytest.mark.parametrize("solver", [dl.LBFGS(), LM(), LM(min_gradient=0), SCG(), GD(0.01), BR()])
def test_dead_units(solver):
    net = network("relu")
    net.biases[0][:] = -1e3
    result = ends_badly("layer 1 are saturated", net, solver=solver, max_epochs=300)
    assert "try another seed" in result.message
    assert result.cost > 10


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "elu", "silu", "gelu"])
def test_any_layer_of_any_activation(activation):
    net = network(["tanh", activation], layers=(3, 5, 4, 1))
    net.biases[1][:] = -300.0
    ends_badly("layer 2 are saturated", net, solver=dl.Rprop(), max_epochs=5)


def test_one_unit_or_one_instance_that_learns_is_enough():
    net = network("relu")
    net.biases[0][1:] = -1e3
    quiet(net, solver=dl.Rprop(), max_epochs=5)
    net.biases[0][0] = 0.0
    net.weights[0][:, 0] = [1e3, 0, 0]
    x = np.full_like(X, -1.0)
    x[-1] = 1.0
    net.fit(x, Y, solver=dl.Rprop(), max_epochs=1)


UNSCALED = X * [30, 2e4, 1] + [1960, 5e4, 0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("solver", [None, dl.LBFGS(), dl.Adam(batch_size=32)])
def test_columns_out_of_scale(solver, activation, seed):
    """Years and salaries: what is left of the cost is said to come from them."""
    classes = (X[:, 0] + X[:, 1] > 0).astype(int)
    for column in (0, 1):
        x = X.copy()
        x[:, column] = UNSCALED[:, column]
        net = network(activation, None, (3, 10, 1), seed, loss="cross_entropy")
        said = fit(net, x, classes, solver=solver, max_epochs=100)[1]
        assert said == [] or "scale='standard'" in said[0]
        assert said or (net.classify(x) == classes).mean() > 0.85
    net = network(activation, None, (3, 10, 1), seed, loss="cross_entropy")
    assert quiet(net, UNSCALED, classes, solver=solver, scale="standard").cost < 40


def test_targets_out_of_scale():
    ends_badly(
        "column 1 of X goes from", network(), X * [1, 1e4, 1], solver=GD(0.001), max_epochs=9
    )
    ends_badly("and Y goes from 199", network(), X, 200 + Y, solver=GD(1e-4), max_epochs=3)
    quiet(network(), X, Y, solver=GD(0.001), max_epochs=9)
    quiet(network(), np.round(X + 1), Y, solver=GD(0.001), max_epochs=9)


def test_targets_whose_squares_vanish():
    result = ends_badly("varies, but by so little", network(), X, 1e-300 * Y, solver=dl.LBFGS())
    assert "scale='standard'" in result.message
    assert quiet(network(), X, 1e-300 * Y, solver=dl.LBFGS(), scale="standard").converged


def test_hidden_units_at_their_limits_may_be_the_best_there_is():
    rng = np.random.default_rng(0)
    x = np.repeat([-1.0, 1.0], 150)[:, None] + 0.1 * rng.normal(size=(300, 1))
    y = np.sign(x) * np.where(rng.random((300, 1)) < 0.1, -1, 1)
    for solver in (dl.LBFGS(), LM(), dl.Rprop()):
        quiet(network(output="tanh", layers=(1, 1, 1)), x, y, solver=solver)


def test_one_class_is_learned():
    for loss, m, classes in (("cross_entropy", 3, np.ones(100, int)), ("cross_entropy", 1, 0 * Y)):
        net = dl.Network([3, 8, m], activation="tanh", loss=loss, seed=0)
        assert quiet(net, X, classes, solver=dl.LBFGS()).converged


def test_steps_that_are_far_too_long():
    classes = (Y > 0) * 1.0
    net = network("sigmoid", "sigmoid")
    result = ends_badly("layer 2 are saturated", net, y=classes, solver=GD(1000.0), max_epochs=500)
    assert result.stop_reason == "converged"
    assert result.cost > 1


@pytest.mark.parametrize("seed", range(8))
def test_quickprop_with_a_large_growth(seed):
    """Whatever ends high either says so, or has used up its epochs."""
    net = dl.Network([2, 2, 1], seed=seed)
    result, said = fit(net, *XOR, solver=dl.Quickprop(epsilon=50.0, mu=4.0), max_epochs=200)
    if result.cost > 0.3:
        assert said or result.stop_reason == "max_epochs"
    assert result.converged == (result.stop_reason == "converged" and not said)


def test_constant_predictions():
    net = network()
    result = ends_badly(
        "predicts the same for all instances", net, solver=dl.LBFGS(), l2=1e4, max_epochs=50
    )
    assert np.ptp(net.predict(X)) < 1e-4
    assert "weaker penalty" in result.message


def test_bayesian_regularisation_names_a_start_that_helps():
    """Its penalty cannot be made weaker; with other weights to begin with it finds the curve."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 100)).reshape(-1, 1)
    y = np.cos(12 * x) + rng.normal(scale=0.1, size=x.shape)
    options = {"activation": "tanh", "output": "identity", "seed": 0}
    solver = dl.BayesianRegularization()
    net = dl.Network([1, 15, 1], **options)
    with pytest.warns(dl.ConvergenceWarning, match="init='nguyen_widrow' or fewer units"):
        net.fit(x, y, solver=solver, max_epochs=300)
    net = dl.Network([1, 15, 1], init="nguyen_widrow", **options)
    net.fit(x, y, solver=solver, max_epochs=300)
    assert np.sqrt(np.mean((net.predict(x) - np.cos(12 * x)) ** 2)) < 0.1


def test_nothing_to_learn():
    """Noise alone: the penalty that rows held out choose leaves a constant."""
    rng = np.random.default_rng(0)
    net = dl.Network([4, 20, 1], activation="tanh", output="identity", seed=0)
    with pytest.warns(dl.ConvergenceWarning, match="X says little about Y"):
        result = net.fit(rng.normal(size=(150, 4)), rng.normal(size=150))
    assert result.l2 == 100.0
    assert "weaker penalty" not in result.message


def test_constant_targets_or_inputs_are_no_fault():
    for solver in (dl.LBFGS(), GD(1e-3), LM()):
        quiet(network(), y=np.ones(100), solver=solver, max_epochs=50)
        quiet(network(), x=np.ones_like(X), solver=solver, max_epochs=50)
        quiet(network(), x=X[:1], y=Y[:1], solver=solver, max_epochs=50)


def test_instances_without_weight_do_not_count():
    y = np.ones(100)
    y[0] = 1e9
    weights = np.ones(100)
    weights[0] = 0.0
    quiet(network(), y=y, solver=dl.LBFGS(), sample_weight=weights, max_epochs=50)


@pytest.mark.parametrize("rule", ["nielsen", "fixed", "trust_region"])
def test_no_epoch(rule):
    x, y = X * 100 + 1900, 1e6 * X[:, 0]
    solver = LM(damping_rule=rule, max_damping=1e-30)
    net = network("relu", seed=0)
    before = net.parameters.copy()
    result = ends_badly("no step that lowers the cost in the first epoch", net, x, y, solver=solver)
    assert (result.epochs, result.stop_reason) == (0, "max_damping")
    assert (net.parameters == before).all()


def test_a_cost_that_rises():
    x = X * 10
    result = ends_badly(
        "cost has not fallen: .* before .* smaller learning_rate", network("relu"), x, solver=GD(1),
        max_epochs=2, tol=0,
    )  # fmt: skip
    assert result.cost >= result.initial_cost


def test_nothing_learned():
    """Raw inputs and targets far from 0: the costs of two epochs are the same, and high."""
    x, y = X + 1e4, Y + 1e6
    ends = []
    for solver in (dl.Rprop(), SCG(), dl.LBFGS()):
        net = network("relu")
        result, said = fit(net, x, y, solver=solver, max_epochs=500)
        explained = 1 - np.sum((net.predict(x)[:, 0] - y) ** 2) / np.sum((y - y.mean()) ** 2)
        if explained < 1e-3 and result.stop_reason != "max_epochs":
            ends.append(result.stop_reason)
            assert said
            assert not result.converged
    assert "converged" in ends


# ---- the scale ----


@pytest.mark.parametrize(
    ("output", "y"),
    [("tanh", 10 * X[:, 0]), ("sigmoid", 10 * X[:, 0]), ("relu", X[:, 0]), ("softplus", X[:, 0]),
     ("exp", X[:, 0]), ("elu", 9 * X[:, 0]), ("silu", X[:, 0]), ("mish", X[:, 0])],
)  # fmt: skip
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", dl.Huber(), dl.Quantile(0.3)])
def test_targets_outside_of_the_range(output, y, loss):
    net = network(output=output, loss=loss)
    result, said = fit(net, y=y, solver=dl.Rprop(), max_epochs=3)
    assert said[0].startswith("Y goes from ")
    assert f"but {output} outputs only from" in said[0]
    assert "output='identity'" in said[0]
    assert not result.converged


def test_that_does_not_converge():
    result, said = fit(network(output="sigmoid"), y=10 * X[:, 0], solver=dl.LBFGS())
    assert (result.stop_reason, result.converged) == ("converged", False)
    assert len(said) == 1
    assert said[0] in result.message


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "relu", "identity", "leaky_relu"])
def test_targets_within_the_range(output):
    quiet(network(output=output), y=(X[:, 0] + 1) / 2, solver=dl.LBFGS(), max_epochs=20)
    quiet(network(output=output), y=(X[:, 0] > 0) * 1, solver=dl.LBFGS(), max_epochs=20)


@pytest.mark.parametrize("solver", [None, dl.LBFGS(), GD(1e-3), dl.Rprop(), SCG()])
def test_targets_that_tol_cannot_tell_apart(solver):
    net = network()
    result, said = fit(net, y=1e-6 * Y, solver=solver)
    assert "tol=1e-08 is not below the cost of predicting the mean of Y" in said[0]
    assert not result.converged
    # Scaled, all is well.
    assert quiet(network(), y=Y / Y.std(), solver=None).converged


def test_a_goal_that_means_nothing():
    result, said = fit(network(), y=1e-4 * Y, solver=dl.LBFGS(), goal=1e-3)
    assert "goal=0.001 is far above the cost of predicting the mean of Y" in said[0]
    assert (result.stop_reason, result.converged) == ("goal", False)
    quiet(network(), solver=dl.LBFGS(), goal=np.inf)  # meant


def test_a_gradient_that_is_never_large():
    ends_badly(
        "min_gradient is coarse", network(), y=1e-5 * Y, solver=dl.LBFGS(min_gradient=1e-3), tol=0
    )


# ---- what is well ----


def test_messages():
    assert (
        quiet(network(), solver=dl.LBFGS(), goal=1e-2).message == "The cost is at most goal=0.01."
    )
    assert quiet(network(), solver=GD(1e-3), max_epochs=3).message == "All epochs are done."
    assert "tol=0.001" in quiet(network(), solver=dl.LBFGS(), tol=1e-3).message
    asked = quiet(network(), solver=GD(1e-3), callback=lambda info: True)
    assert asked.message == "The callback asked for the end."
    late = quiet(network(), solver=GD(1e-3), max_time=1e-9)
    assert late.message == "The time of max_time is over."
    patient = quiet(network(), solver=dl.LBFGS(), validation=0.3, patience=1, tol=0)
    assert patient.message == "The validation cost has not fallen in 1 epochs."
    own = quiet(network(), solver=dl.LBFGS(min_gradient=0.1), tol=0)
    assert own.message == "The norm of the gradient is at most min_gradient."
    with pytest.warns(dl.DivergenceWarning) as caught:
        result = network("relu").fit(X * 1e3, Y, solver=GD(1.0))
    assert result.message == str(caught[0].message)


@pytest.mark.parametrize("kind", [dl.LBFGS, SCG, LM, BR])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_network_at_its_optimum(kind, activation):
    """Fitted again, or resumed, until rounding leaves no step."""
    x = X[:40]
    noise = np.random.default_rng(1).normal(scale=0.1, size=40)
    for y in (Y[:40], Y[:40] + noise):
        net = network(activation, layers=(3, 2, 1))
        solver = kind(min_gradient=0)
        first = quiet(net, x, y, solver=solver, tol=0, max_epochs=3000)
        quiet(net.copy(), x, y, solver=solver, tol=0, max_epochs=500)
        if first.epochs < 3000:
            quiet(net, x, y, solver=solver, tol=0, max_epochs=4000, resume=first.state)


def test_single_epochs_are_steps():
    net, state = network(), None
    for epoch in range(1, 6):
        state = quiet(net, solver=dl.Rprop(), max_epochs=epoch, tol=0, resume=state).state
    for _ in range(5):
        quiet(net, solver=GD(1e-3), max_epochs=1)


@pytest.mark.parametrize("seed", range(5))
def test_problems_that_go_well(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 3))
    y = x[:, 0] - x[:, 1] ** 2 + rng.normal(scale=0.3, size=200)
    classes = (y > 0).astype(int)
    for solver in (None, dl.LBFGS(), SCG(), dl.Rprop(), dl.Adam(0.01)):
        for activation in ("tanh", "relu", "sigmoid"):
            quiet(network(activation, seed=seed), x, y, solver=solver, max_epochs=50)
            net = network(activation, None, (3, 6, 2), seed, loss="cross_entropy")
            quiet(net, x, classes, solver=solver, max_epochs=50)


def test_what_is_measured():
    """The cost of predicting the mean, against the network that does: with weights, any loss."""
    rng = np.random.default_rng(3)
    n = 37
    weights = rng.random(n)
    values = rng.normal(size=(n, 3))
    for loss, output, y in [
        ("squared_error", "identity", values),
        ("absolute_error", "tanh", values),
        (dl.Huber(0.5), "identity", values),
        (dl.Quantile(0.2), "sigmoid", values),
        ("cross_entropy", "softmax", np.exp(values) / np.exp(values).sum(1, keepdims=True)),
        ("cross_entropy", "softmax", np.eye(3)[rng.integers(3, size=n)]),
        ("binary_cross_entropy", "sigmoid", rng.random((n, 3))),
        ("poisson", "exp", rng.poisson(2.0, size=(n, 3)) * 1.0),
    ]:
        net = dl.Network([2, 3], output=output, loss=loss, seed=0)
        run = _core.Fit(
            net, np.zeros((n, 2)), y, labels=False, solver=dl.Rprop(), problem=Problem(weights),
            stream=stream(0), tol=0.0, goal=-np.inf, n_threads=1, most=1,
        )  # fmt: skip
        lowest, highest, least, mean = run.targets(True)
        assert (lowest, highest) == (y.min(), y.max())
        plain = isinstance(loss, str) and "entropy" not in loss and loss != "poisson"
        flat = dl.Network([1, 3], output="identity", loss=loss) if plain else None
        if not isinstance(loss, str):
            flat = dl.Network([1, 3], output="identity", loss=loss)
        if flat is None:
            flat = dl.Network([1, 3], output=output, loss=loss)
        flat.parameters = np.zeros(6)
        average = (weights[:, None] * y).sum(0) / weights.sum()
        link = {"softmax": np.log, "exp": np.log, "sigmoid": lambda p: np.log(p / (1 - p))}
        pair = flat.output != "identity"
        flat.biases[0][:] = link[output](average) if pair else average
        x = np.zeros((n, 1))
        assert mean == pytest.approx(flat.cost(x, y, sample_weight=weights), rel=1e-9)
        if not pair:
            assert least == 0
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            of_itself = {
                "cross_entropy": -np.nan_to_num(y * np.log(y)),
                "binary_cross_entropy": -y * np.log(y) - (1 - y) * np.log(1 - y),
                "poisson": y - np.nan_to_num(y * np.log(y)),
            }[loss].sum(1)
        assert least == pytest.approx((weights * of_itself).sum(), rel=1e-9, abs=1e-12)


def measured(y, weights=None, loss="squared_error", scaling=None):
    """A run over these targets, (n, m), and what `targets` says of them."""
    net = dl.Network([2, y.shape[1]], output="identity", loss=loss, seed=0)
    net.scaling = scaling
    x = np.broadcast_to(np.zeros(2), (len(y), 2))
    run = _core.Fit(
        net, x, y, labels=False, solver=dl.Rprop(), problem=Problem(weights), stream=stream(0),
        tol=0.0, goal=-np.inf, n_threads=1, most=1,
    )  # fmt: skip
    return run, run.targets(True)


def test_extremes_are_those_of_a_sample():
    """At most 1,000 rows are looked at, spread evenly, however many there are."""
    y = RNG.normal(size=(25_000, 1))
    rows = np.arange(1000) * 25
    y[rows[500]], y[rows[600]] = 7.0, -8.0
    y[rows[500] + 1], y[rows[600] + 1] = 99.0, -99.0  # between those
    assert measured(y)[1][:2] == (-8.0, 7.0)
    many = np.broadcast_to(np.array([3.0]), (2**33, 1))
    assert measured(many)[1][:2] == (3.0, 3.0)


def test_extremes_of_instances_without_weight_do_not_count():
    y, weights = np.tanh(Y), np.ones(100)
    y[7], y[8] = 999.0, -999.0
    weights[7:9] = 0.0
    others = np.delete(y, [7, 8])
    assert measured(y[:, None], weights)[1][:2] == (others.min(), others.max())
    quiet(network(output="tanh"), y=y, sample_weight=weights, solver=dl.LBFGS(), max_epochs=20)


def test_targets_whose_squares_are_0():
    """They vary, but C of predicting their means is 0: `vanishing` says so."""
    y = RNG.normal(size=(50, 2))
    for targets, weights, vanishing in [
        (1e-300 * y, None, True),
        (1e-300 * y + [[0.0, 5e-300]], None, True),
        (y, None, False),
        (np.full((50, 2), 1e-300), None, False),
        (np.tile([1e-300, 2e-300], (50, 1)), None, False),  # constant columns
        (np.ones((50, 2)), None, False),
        (1e-300 * y, np.eye(50)[3], False),  # one instance counts
    ]:
        assert measured(targets, weights)[0].vanishing == vanishing
    assert not measured(1e-300 * y, loss="absolute_error")[0].vanishing
    # A scaling in which they are all alike, and one in which they are not.
    for offset, scale, vanishing in [(2.0**63, 1.0, True), (0.0, 1e200, True), (0.0, 2.0, False)]:
        scaling = dl.Scaling([0.0, 0.0], [1.0, 1.0], [offset] * 2, [scale] * 2)
        assert measured(y, scaling=scaling)[0].vanishing == vanishing


def test_public_and_in_tables_and_on_the_command_line(tmp_path):
    pytest.importorskip("narwhals")
    assert issubclass(dl.ConvergenceWarning, RuntimeWarning)
    x = RNG.uniform(-1, 1, (60, 2))
    frame = {"a": x[:, 0], "b": x[:, 1], "y": np.arange(60.0)}
    model = TabularModel(seed=0)
    with pytest.warns(dl.ConvergenceWarning, match="predicts the same") as caught:
        model.fit(frame, "y", l2=1e6, solver=dl.LBFGS())
    assert caught[0].filename == __file__
    path = tmp_path / "data.npz"
    np.savez(path, X=x, y=np.arange(60.0))
    code = (
        "import sys; sys.stderr = sys.stdout; from deltaloop.cli import main; "
        f"sys.exit(main(['train', {str(path)!r}, '--l2', '1e6', '--solver', 'lbfgs']))"
    )
    assert "predicts the same for every row" in run_python(code)
