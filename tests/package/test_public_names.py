"""Public names: where they are, where they were, and what says so."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import warnings

import pytest

import deltaloop as dl
from tests.helpers.processes import run_python

MOVED = {
    "checks": {
        "GradientCheck": "deltaloop.GradientCheck",
        "check_gradient": "deltaloop.Network.check_gradient",
        "place": "deltaloop._fit.gradient_check.place, which is private",
    },
    "training": {
        "fit": "deltaloop.Network.fit",
        "exclusive": "deltaloop._fit.run.exclusive, which is private",
    },
    "convert": {
        "made": "deltaloop.Network.from_weights",
        "to_sklearn": "deltaloop.Network.to_sklearn",
        "to_torch": "deltaloop.Network.to_torch",
    },
    "losses": {
        "check": "deltaloop.Network(loss=...), which checks it",
        "parts": "the loss itself, a name or an object with its parameter as an attribute",
        "of_text": "deltaloop.Huber(delta) or deltaloop.Quantile(tau)",
    },
    "tabular": {
        "METADATA": "deltaloop.tabular._model.METADATA, which is private",
        "TASKS": "deltaloop._losses.TASKS, which is private",
    },
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in MOVED.items() for name in names]
)
def test_old_name_works_and_names_the_new_one(module, name):
    program = f"from deltaloop.{module} import {name} as found"
    found: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match=" is deprecated: use ") as caught:
        exec(program, found)
    (warning,) = caught
    assert str(warning.message).startswith(f"deltaloop.{module}.{name} is deprecated: use ")
    assert MOVED[module][name] in str(warning.message)
    assert found["found"] is not None


# The package has never imported `tabular` by itself.
OF_PACKAGE = [
    (module, name) for module, names in MOVED.items() for name in names if module != "tabular"
]


@pytest.mark.parametrize(("module", "name"), OF_PACKAGE)
def test_old_name_is_found_from_the_package_alone(module, name):
    output = run_python(
        "import warnings, deltaloop as dl\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        f"    found = dl.{module}.{name}\n"
        "print(found is not None, *[warning.message for warning in caught])\n"
    )
    assert output.startswith(f"True deltaloop.{module}.{name} is deprecated: use ")
    assert MOVED[module][name] in output


def test_old_class_is_the_new_one():
    with pytest.warns(DeprecationWarning, match=r"use deltaloop\.GradientCheck"):
        from deltaloop.checks import GradientCheck
    assert GradientCheck is dl.GradientCheck


@pytest.mark.parametrize("module", MOVED)
def test_no_other_names(module):
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from deltaloop.{module} import nothing")
    with pytest.raises(AttributeError, match=rf"module 'deltaloop\.{module}' has no attribute"):
        _ = importlib.import_module(f"deltaloop.{module}").nothing


def test_solvers_give_schedules_with_a_star():
    found: dict[str, object] = {}
    exec("from deltaloop.solvers import *", found)
    assert found["Schedule"] is dl.schedules.Schedule


def test_pickles_name_old_paths_without_a_warning():
    check = dl.Network([1, 1], seed=0).check_gradient([1.0], 1.0)
    assert type(check).__module__ == "deltaloop.checks"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pickle.loads(pickle.dumps(check)) == check


def test_runtime_stays_a_function():
    output = run_python(
        "import warnings, deltaloop as dl\n"
        "before = dl.runtime\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    from deltaloop.runtime import runtime\n"
        "import deltaloop.runtime\n"
        "print(runtime is before is dl.runtime, dl.runtime()['version'] == dl.__version__)\n"
        "print(*{str(warning.message) for warning in caught})\n"
    )
    assert output == (
        "True True\n"
        "the module deltaloop.runtime is deprecated: use deltaloop.runtime, the function\n"
    )


def test_import_is_quiet_and_leaves_the_data_sets():
    output = run_python(
        "import sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "import deltaloop as dl\n"
        "print('deltaloop.datasets' in sys.modules, 'datasets' in dir(dl))\n"
        "print(dl.datasets.load_digits()[0].shape)\n"
    )
    assert output == "False True\n(1797, 64)\n"


def test_package_has_no_other_attributes():
    with pytest.raises(AttributeError, match="module 'deltaloop' has no attribute 'nothing'"):
        _ = dl.nothing


# ---- models of tables ----

FRAME = {"x": list(range(40)), "even": [x % 4 < 2 for x in range(40)]}


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("narwhals")
    pytest.importorskip("polars")
    from deltaloop.tabular import TabularModel

    return TabularModel(seed=1).fit(FRAME, "even", l2=0.01, max_epochs=3)


def test_classes_of_a_table(model):
    assert model.classes.tolist() == [False, True]
    assert model.classes_.tolist() == [False, True]  # scikit-learn's name


def test_fit_of_a_table_tells_its_options(model):
    ours = inspect.signature(type(model).fit).parameters
    theirs = inspect.signature(dl.Network.fit).parameters
    own = ("drop", "memory")
    options = [name for name, of in ours.items() if of.kind is of.KEYWORD_ONLY and name not in own]
    assert options == [name for name in theirs if name in options]
    assert {"solver", "l2", "validation", "progress"} <= set(options)
    for name in options:
        # None is what suits the table.
        assert ours[name].default in (theirs[name].default, None)


def test_plots_of_a_table_do_not_ask_for_old_names(model):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    from deltaloop.tabular import TabularModel

    frame = {"a": [0.0, 1.0, 2.0, 3.0] * 10, "b": [0.0, 1.0] * 20, "kind": ["u", "v"] * 20}
    both = TabularModel(seed=1).fit(frame, "kind", l2=0.01, max_epochs=3)
    import polars

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dl.plot.decision_regions(both, polars.DataFrame(frame)[["a", "b"]], resolution=3)
    pyplot.close("all")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("deltaloop.GradientCheck", "deltaloop._fit.gradient_check"),
        ("deltaloop.tabular.TabularModel", "deltaloop.tabular._model"),
    ],
)
def test_examples_of_classes_that_stand_elsewhere(path, code):
    """Their modules are not those that doctest looks for."""
    if "tabular" in path:
        pytest.importorskip("narwhals")
        pytest.importorskip("polars")
    place, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(place), name)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    for test in doctest.DocTestFinder().find(cls, name, module=importlib.import_module(code)):
        runner.run(test)
    assert (runner.failures, runner.tries > 1) == (0, True)
