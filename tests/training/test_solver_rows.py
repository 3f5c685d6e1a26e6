"""The rows of the solvers: what they say is so, and everything that names solvers follows them."""

from __future__ import annotations

import pickle
import re
import typing
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core, schedules, solvers
from deltaloop.cli import _types

ROOT = Path(__file__).resolve().parents[2]
WORDS = {"batches", "weights", "l1", "l2", "dropout", "trainer"}
X = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
Y = np.sin(X.sum(axis=1))

each_solver = pytest.mark.parametrize("kind", solvers.SOLVERS.values(), ids=solvers.SOLVERS)


def made(kind, **options):
    needed = kind is dl.GradientDescent
    return kind(0.01, **options) if needed else kind(**options)


def network():
    return dl.Network([2, 3, 1], activation="tanh", output="identity", seed=0)


def train(word, kind):
    """Train with what the word says."""
    options = {
        "weights": {"sample_weight": np.linspace(0.5, 1.5, 12)},
        "l1": {"l1": 0.1},
        "l2": {"l2": 0.1},
        "dropout": {"dropout": 0.5},
    }
    if word == "batches":
        network().fit(X, Y, solver=made(kind, batch_size=5), max_epochs=2)
    elif word == "trainer":
        network().trainer(made(kind)).step(X, Y)
    else:
        network().fit(X, Y, solver=made(kind), max_epochs=2, **options[word])


@each_solver
@pytest.mark.parametrize("word", sorted(WORDS))
def test_what_a_solver_takes(word, kind):
    if word in kind._takes:
        train(word, kind)
    elif word == "batches":
        with pytest.raises(TypeError, match="batch_size"):
            train(word, kind)
    else:
        with pytest.raises(ValueError, match=kind.__name__):
            train(word, kind)


@each_solver
def test_row(kind):
    assert kind._takes <= WORDS
    assert bool(kind._no_penalty) == (not {"l1", "l2"} <= kind._takes)
    assert all(kind._stop_reasons.values())
    assert kind._smaller in {field.name for field in fields(kind)} | {"learning_rate"}


@each_solver
def test_options_are_names_and_numbers(kind):
    for value in made(kind)._options().values():
        assert isinstance(value, (int, float))
        assert np.isfinite(value)


def test_an_option_that_c_does_not_know():
    class Wrong(dl.Rprop):
        def _options(self):
            return {"learning_rate": 0.1}

    with pytest.raises(ValueError, match="rprop has no option 'learning_rate'"):
        network().fit(X, Y, solver=Wrong(), max_epochs=1)


def test_a_schedule_with_an_option_that_c_does_not_know():
    class Wrong(dl.schedules.Exponential):
        def _options(self):
            return {"gamma": 0.1}

    with pytest.raises(ValueError, match="schedules have no option 'gamma'"):
        network().fit(X, Y, solver=dl.Adam(Wrong(0.1, 0.9)), max_epochs=1)


def test_every_reason_that_c_has_is_explained():
    sources = sorted((ROOT / "csrc/training").glob("*.c"))
    if not sources:
        pytest.skip("not run from a source tree")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    explained = {reason for kind in solvers.SOLVERS.values() for reason in kind._stop_reasons}
    assert set(re.findall(r'mlp_fit_stop\(fit, "(\w+)"\)', text)) == explained


@each_solver
def test_pickles_name_the_package(kind):
    solver = made(kind)
    assert kind.__module__ == "deltaloop.solvers"
    assert typing.get_type_hints(kind).keys() >= {field.name for field in fields(kind)}
    twin = pickle.loads(pickle.dumps(solver))
    assert twin == solver
    assert type(twin) is kind


def test_command_line_has_all_solvers():
    assert list(solvers.SOLVERS) == _types.solvers(",".join(solvers.SOLVERS))
    assert set(schedules.__all__) == {kind.__name__ for kind in schedules.SCHEDULES.values()} | {
        "Schedule"
    }


def test_estimators_have_all_solvers_on_full_batches():
    pytest.importorskip("sklearn")
    from deltaloop.sklearn import _settings

    full = {name for name, kind in solvers.SOLVERS.items() if "batches" not in kind._takes}
    assert set(_settings.FULL_BATCH) == full
    assert _settings.SOLVERS == ("sgd", "adam", "lbfgs", "scg", "quickprop", "rprop", "lm", "br")


def test_exact_arrays_alone_without_the_subclass_that_knows_others():
    core = _core.Core()
    core._build((2, 1), (), "identity", "squared_error", False)
    assert core.predict(np.zeros((3, 2))).shape == (3, 1)
    with pytest.raises(TypeError, match="exact arrays"):
        core.predict([[0.0, 1.0]])
    trainer = dl.Network([2, 1], seed=0).trainer(dl.Adam())
    with pytest.raises(TypeError, match="exact arrays"):
        _core.Stepper._step_any(trainer, [0], [0], None, None)
