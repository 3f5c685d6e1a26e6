"""Names of arguments and attributes that are wrong: the error says what to write."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import deltaloop as dl
from deltaloop import _names
from deltaloop.solvers import SOLVERS
from deltaloop.tabular import TabularModel

X, Y = [[0.0], [1.0]], [0.0, 1.0]
LAYERS = "Network([8, 32, 2])"


def network(*args, **options):
    return dl.Network(*args or ([1, 2, 1],), **options)


def fit(*args, **options):
    return network(seed=0).fit(X, Y, *args, **options)


def model(**options):
    return TabularModel(**options)


def fit_model(**options):
    return TabularModel().fit({"x": X, "y": Y}, "y", **options)


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        (fit, {"epochs": 3}, "fit does not take 'epochs': write max_epochs=3"),
        (fit, {"max_iter": 3}, "write max_epochs=3"),
        (fit, {"lr": 0.1}, "it belongs to the solver; write fit(..., solver=deltaloop.Adam(learn"),
        (fit, {"learning_rate": 0.1}, "'learning_rate': it belongs to the solver; write fit(..., "),
        (fit, {"batch_size": 32}, "solver=deltaloop.Adam(batch_size=32))"),
        (fit, {"momentum": 0.9}, "GradientDescent(0.01, momentum=0.9)"),
        (fit, {"validation_split": 0.2}, "write validation=0.2"),
        (fit, {"validation_data": (X, Y)}, "write validation=..."),
        (fit, {"early_stopping": True}, "write validation=0.2, patience=10"),
        (fit, {"optimizer": "adam"}, "write solver=deltaloop.Adam()"),
        (fit, {"verbose": 1}, "write progress=True"),
        (fit, {"alpha": 0.1}, "write l2=0.1"),
        (fit, {"random_state": 3}, "write seed=3"),
        (fit, {"n_jobs": 2}, "write n_threads=2"),
        (fit, {"activation": "relu"}, "write Network(..., activation=...)"),
        (fit, {"hidden_layer_sizes": (32,)}, "write " + LAYERS),
        (fit, {"max_epoch": 3}, "did you mean 'max_epochs'?"),
        (fit, {"device": "cpu"}, "it takes X, Y, solver, "),
        (fit, {"epochs": 3, "alpha": 1.0}, "take 'epochs': write max_epochs=3; 'alpha': write l2="),
        (network, {"hidden_layer_sizes": (32,)}, "Network does not take 'hidden_layer_sizes': wr"),
        (network, {"units": 32}, LAYERS),
        (network, {"epochs": 3}, "it is an argument of fit; write fit(..., max_epochs=...)"),
        (network, {"lr": 3}, "it belongs to the solver; write fit(..., solver=deltaloop.Adam("),
        (network, {"random_state": 3}, "write seed=3"),
        (network, {"activations": "relu"}, "write activation=..."),
        (dl.Adam, {"lr": 0.1}, "Adam does not take 'lr': write learning_rate=0.1"),
        (dl.Adam, {"beta_1": 0.8}, "write beta1=0.8"),
        (dl.LevenbergMarquardt, {"mu": 0.1}, "write damping=0.1"),
        (dl.LBFGS, {"learning_rate": 0.1}, "it takes memory, c1, c2, "),
        (dl.LBFGS, {"epochs": 3}, "write fit(..., max_epochs=...)"),
        (model, {"hidden_layer_sizes": (8,)}, "write hidden=(32,)"),
        (model, {"epochs": 3}, "write fit(..., max_epochs=...)"),
        (fit_model, {"epochs": 3}, "fit does not take 'epochs': write max_epochs=3"),
        (fit_model, {"hidden": 3}, "write TabularModel(..., hidden=...)"),
        (fit_model, {"sample_weight": [1]}, "fit does not take 'sample_weight': "),
    ],
)
def test_arguments_from_elsewhere(call, options, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        call(**options)


def test_arguments_without_a_name():
    with pytest.raises(TypeError, match=re.escape("got 3; write Network([8, 32, 2])")):
        dl.Network(8, 32, 2)
    text = "fit takes 2 positional arguments (X, Y), got 3; the others need their names: solver"
    with pytest.raises(TypeError, match=re.escape(text)):
        fit(100)
    with pytest.raises(TypeError, match=r"needs? their names: activation=\.\.\., output=\.\.\."):
        dl.Network([1, 1], "tanh")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'layers'"):
        dl.Network()


def test_signatures_are_what_they_were():
    assert list(inspect.signature(dl.Network).parameters)[:2] == ["layers", "activation"]
    assert "max_epochs" in inspect.signature(dl.Network.fit).parameters
    for kind in SOLVERS.values():
        names = tuple(inspect.signature(kind).parameters)
        assert _names.TAKEN[f"{kind.__name__}.__init__"] == names


def test_each_of_our_names_is_one():
    ours = {name for names in _names.TAKEN.values() for name in names}
    assert set(_names.SAME) <= ours
    assert set(_names.OF_SOLVERS) | set(_names.EXAMPLES) <= ours


def test_attributes():
    pytest.importorskip("narwhals")  # of tables
    trainer = network().trainer(dl.Adam())
    fitted = TabularModel(test_fraction=0).fit({"x": range(9), "y": range(9)}, "y", l2=1.0)
    values = [
        trainer, network().predictor(), dl.Adam(), dl.Huber(), dl.Uniform(-1, 1),
        fitted.result, fitted.result.history, TabularModel(), fitted,
    ]  # fmt: skip
    for value in values:
        with pytest.raises(AttributeError, match="misspelt"):
            value.misspelt = 1
        assert not hasattr(value, "misspelt")
    with pytest.raises(AttributeError, match=r"to set; did you mean 'new_categories'\?"):
        fitted.new_categoires = "missing"
    assert vars(pickle.loads(pickle.dumps(fitted))).keys() == vars(fitted).keys()


def test_parameters_of_a_table_are_attributes():
    model = TabularModel(hidden=8)
    model.new_categories = "missing"
    model.task = "regression"
    assert (model.hidden, model.new_categories, model.task) == (8, "missing", "regression")
    assert model.get_params()["new_categories"] == "missing"
    with pytest.raises(ValueError, match="new_categories must be one of"):
        model.new_categories = "mising"
    assert copy.copy(model).new_categories == "missing"
    with pytest.raises(ValueError, match=r"did you mean 'hidden'\?"):
        model.set_params(hiden=3)


def test_subclasses_have_attributes_of_their_own():
    class Named(dl.Network):
        pass

    class NamedModel(TabularModel):
        pass

    for value in (Named([1, 1]), NamedModel()):
        value.title = "mine"
        assert copy.copy(value).title == "mine"
