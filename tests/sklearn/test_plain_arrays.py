"""Arrays that need no conversion go past scikit-learn's checks: same results, same messages."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import DataConversionWarning

from deltaloop.sklearn import MLPClassifier, MLPRegressor

N, M = 32, 5
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, M))
NUMBERS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


WORDS = np.array(["no", "perhaps", "yes"])
CLASSES = {
    "numbers": (NUMBERS, [0, 1, 2]),
    "odd numbers": (7 * NUMBERS - 3, [-3, 4, 11]),
    "small numbers": (NUMBERS.astype(np.int8), [0, 1, 2]),
    "words": (WORDS[NUMBERS], WORDS.tolist()),
    "flags": (X[:, 0] > 0, [False, True]),
    "two": (np.array([1, 5])[(X[:, 0] > 0).astype(int)], [1, 5]),
    "weighed": (NUMBERS, [0, 1, 2]),
    "fractions": (NUMBERS.astype(float), [0.0, 1.0, 2.0]),
    "labels": ((X[:, :3] > 0).astype(int), [0, 1, 2]),
}
VALUES = {
    "values": X[:, 0].copy(),
    "integers": NUMBERS,
    "several": X[:, :2].copy(),
    "counts": NUMBERS.astype(float),
}
NAMES = [*CLASSES, *VALUES]


def case(name):
    """Return a new estimator and its targets; the classes, where it has some."""
    if name in CLASSES:
        weights = {1: 3.0} if name == "weighed" else None
        return MLPClassifier((4,), class_weight=weights, random_state=0), *CLASSES[name]
    loss = "poisson" if name == "counts" else "squared_error"
    return MLPRegressor(loss, (4,), random_state=0), VALUES[name], None


def passes(name, monkeypatch, plain):
    """Return a model after three calls; without `plain` all of its arrays go the long way."""
    model, y, classes = case(name)
    with monkeypatch.context() as patch:
        if not plain:
            patch.setattr(type(model), "_is_plain", lambda *_: False)
        for rows in (slice(None), slice(0, 20), slice(0, 32, 2)):
            given = {} if classes is None else {"classes": classes}
            model.partial_fit(X[rows], y[rows], **given)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_same_as_the_long_way(name, monkeypatch):
    short, long = (passes(name, monkeypatch, plain) for plain in (True, False))
    assert short.loss_curve_ == long.loss_curve_
    assert short.network_.parameters.tobytes() == long.network_.parameters.tobytes()
    assert short.t_ == long.t_
    assert short.predict(X).tolist() == long.predict(X).tolist()
    again = pickle.loads(pickle.dumps(short))
    assert "_settings" not in again.__dict__
    y = case(name)[1]
    assert again.partial_fit(X, y).loss_ == short.partial_fit(X, y).loss_


def outcome(model, monkeypatch, plain, *arguments, **named):
    """Return the error or the warnings of a call of partial_fit."""
    with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if not plain:
            patch.setattr(type(model), "_is_plain", lambda *_: False)
        try:
            model.partial_fit(*arguments, **named)
        except (TypeError, ValueError) as error:
            return type(error), str(error)
    return [(item.category, str(item.message)) for item in caught]


def holed(x):
    x = x.copy()
    x[3, 1] = np.nan
    return x


WRONG = {
    "columns": ("numbers", X[:, :3].copy(), NUMBERS),
    "nan": ("numbers", holed(X), NUMBERS),
    "length": ("numbers", X, NUMBERS[:5]),
    "no rows": ("numbers", X[:0], NUMBERS[:0]),
    "one row": ("numbers", X[0], NUMBERS[:1]),
    "unknown number": ("numbers", X, NUMBERS + 1),
    "unknown word": ("words", X, np.array(["maybe"] * N)),
    "words for numbers": ("numbers", X, np.array(["0"] * N)),
    "column of classes": ("numbers", X, NUMBERS.reshape(-1, 1)),
    "column of values": ("values", X, X[:, :1].copy()),
    "nan in y": ("values", X, holed(X)[:, 1].copy()),
    "negative counts": ("counts", X, -1.0 - NUMBERS),
    "length of y": ("values", X, X[:5, 0].copy()),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_same_messages(name, monkeypatch):
    kind, x, y = WRONG[name]
    found = [
        outcome(passes(kind, monkeypatch, True), monkeypatch, plain, x, y)
        for plain in (True, False)
    ]
    assert found[0] == found[1]
    assert found[0]  # each is an error or a warning
    if name.startswith("column of"):
        assert found[0][0][0] is DataConversionWarning


@pytest.mark.parametrize("n", [6, 30])
def test_as_many_classes_as_rows(n, monkeypatch):
    y, x = np.arange(n), RNG.standard_normal((n, M))
    found = []
    for plain in (True, False):
        model = MLPClassifier((4,), random_state=0).partial_fit(x, y, classes=y)
        found.append((outcome(model, monkeypatch, plain, x, y), model.loss_))
    assert found[0] == found[1]


def test_classes_of_a_later_call():
    model = passes("numbers", pytest.MonkeyPatch(), True)
    model.partial_fit(X, NUMBERS, classes=np.array([2, 1, 0]))  # in any order, as scikit-learn does
    with pytest.raises(ValueError, match="is not the same as on last call"):
        model.partial_fit(X, NUMBERS, classes=[0, 1, 3])


# ---- parameters are checked once, and again when they change ----


def rates(change):
    """Return the learning rate in use before and after a change of the model."""
    model = MLPRegressor(hidden_layer_sizes=(4,), random_state=0, solver="sgd")
    found = []
    for _ in range(2):
        model.partial_fit(X, X[:, 0].copy())
        found.append(model._optimizer.settings.learning_rate_init)
        change(model)
    return found


def test_changed_parameters_take_effect():
    assert rates(lambda model: model.set_params(learning_rate_init=0.5)) == [0.001, 0.5]
    assert rates(lambda model: setattr(model, "learning_rate_init", 0.25)) == [0.001, 0.25]
    assert rates(lambda model: model.__dict__.update(learning_rate_init=0.125)) == [0.001, 0.125]
    with pytest.raises(ValueError, match="learning_rate_init must be in"):
        rates(lambda model: model.set_params(learning_rate_init=-1.0))


def test_a_list_that_changes_is_seen():
    sizes = [4]
    model = MLPRegressor(hidden_layer_sizes=sizes, random_state=0)
    model.partial_fit(X, X[:, 0].copy())
    sizes[0] = 5
    with pytest.raises(ValueError, match="need the layers of the previous call"):
        model.partial_fit(X, X[:, 0].copy())


def test_parameters_are_not_checked_again(monkeypatch):
    model = passes("values", monkeypatch, True)

    def fail(_):
        raise AssertionError

    monkeypatch.setattr("deltaloop.sklearn._settings.check", fail)
    model.partial_fit(X, X[:, 0].copy())
