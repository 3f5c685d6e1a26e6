# ruff: noqa: E402
"""scikit-learn's tools take a TabularModel as they take their own estimators."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")
pytest.importorskip("narwhals")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from deltaloop import Network
from deltaloop.tabular import TabularModel, _training

QUICK = {"l2": 0.01, "max_epochs": 20}
RANDOM = np.random.default_rng(5)
N = 120
X = pd.DataFrame(
    {
        "area": RANDOM.uniform(20, 150, N).round(1),
        "town": RANDOM.choice(["Ulm", "Bonn", "Kiel"], N),
        "built": [None if i % 9 == 0 else 1900 + i for i in range(N)],
    }
)
PRICE = pd.Series(
    9.5 * X["area"] + 200 * (X["town"] == "Bonn") + RANDOM.normal(size=N), name="rent"
)
LARGE = pd.Series(np.where(X["area"] > 85, "large", "small"), name="size")


def model(**options):
    return TabularModel(hidden=8, test_fraction=0, **options)


class TestParameters:
    def test_clone(self):
        hidden = [5, 4]
        made = TabularModel(hidden=hidden, task="regression", seed=3, activation="relu")
        again = clone(made)
        assert again.get_params() == made.get_params()
        assert again is not made
        assert list(made.get_params()) == sorted(made.get_params())
        assert made.get_params()["hidden"] is hidden

    def test_clone_forgets_the_fit(self):
        fitted = model().fit(X, PRICE, **QUICK)
        assert fitted.task == "regression"
        assert fitted.get_params()["task"] is None
        again = clone(fitted)
        assert again.network is None
        assert again.task is None

    def test_set_params(self):
        made = TabularModel()
        assert made.set_params(hidden=7, seed=2) is made
        assert made.fit(X, PRICE, **QUICK).network.layers[1] % 7 == 0
        with pytest.raises(ValueError, match="Invalid parameter 'width' for estimator Tabular"):
            made.set_params(width=3)
        with pytest.raises(ValueError, match="test_fraction must be in"):
            made.set_params(seed=9, test_fraction=1.5)
        assert made.get_params()["seed"] == 2

    def test_repr_names_what_was_changed(self):
        assert repr(TabularModel()) == "TabularModel()"
        assert repr(TabularModel(hidden=5, seed=0)) == "TabularModel(hidden=5)"

    def test_survive_pickle(self):
        fitted = model(task="regression").fit(X, PRICE, **QUICK)
        again = pickle.loads(pickle.dumps(fitted))
        assert again.get_params() == fitted.get_params()
        assert again.feature_names_in_.tolist() == ["area", "town", "built"]
        assert again.predict(X).tobytes() == fitted.predict(X).tobytes()


class TestTags:
    def test_by_the_task(self):
        assert is_classifier(TabularModel(task="classification"))
        assert is_regressor(TabularModel(task="regression"))
        assert get_tags(TabularModel()).estimator_type is None
        tags = get_tags(TabularModel())
        assert tags.input_tags.allow_nan
        assert tags.target_tags.required

    def test_by_what_was_found_out(self):
        assert is_classifier(model().fit(X, LARGE, **QUICK))
        assert is_regressor(model().fit(X, PRICE, **QUICK))

    def test_is_fitted(self):
        made = model()
        with pytest.raises(NotFittedError):
            check_is_fitted(made)
        for name in ("classes_", "feature_names_in_", "n_features_in_"):
            assert not hasattr(made, name)
        made.fit(X, LARGE, **QUICK)
        check_is_fitted(made)
        assert made.classes_.tolist() == ["large", "small"]
        assert made.n_features_in_ == 3
        assert not hasattr(model().fit(X, PRICE, **QUICK), "classes_")


class TestTools:
    def test_cross_val_score(self):
        scores = cross_val_score(model(), X, PRICE, cv=3, params={"l2": 0.01})
        assert scores.min() > 0.9
        scores = cross_val_score(
            model(task="classification"), X, LARGE, cv=3, scoring="roc_auc", params=QUICK
        )
        assert scores.min() > 0.9

    def test_scores_are_those_of_fits_by_hand(self):
        cut = np.arange(N) % 3 == 0
        split = [(np.flatnonzero(~cut), np.flatnonzero(cut))]
        scores = cross_val_score(model(), X, PRICE, cv=split, params=QUICK)
        by_hand = model().fit(X[~cut].assign(rent=PRICE[~cut]), "rent", **QUICK)
        assert scores[0] == by_hand.score(X[cut], PRICE[cut])

    def test_cross_val_predict(self):
        shown = cross_val_predict(
            model(task="classification"), X, LARGE, cv=3, method="predict_proba", params=QUICK
        )
        assert shown.shape == (N, 2)
        assert shown.sum(axis=1) == pytest.approx(1)

    def test_categories_that_one_fold_alone_has(self):
        towns = X.assign(town=["Rome", *X["town"][1:]])
        split = [(np.arange(1, N), np.arange(20))]
        with pytest.raises(ValueError, match="got 'Rome'"):
            cross_val_score(model(), towns, PRICE, cv=split, params=QUICK, error_score="raise")
        made = model(new_categories="missing")
        score = cross_val_score(made, towns, PRICE, cv=split, params=QUICK)
        fitted = made.fit(towns[1:], PRICE[1:], **QUICK)
        missing = towns[:20].assign(town=[None, *towns["town"][1:20]])
        assert score[0] == fitted.score(missing, PRICE[:20])

    def test_grid_search(self):
        search = GridSearchCV(
            model(), {"hidden": [2, 6], "activation": ["tanh", "relu"]}, cv=2, n_jobs=2
        )
        search.fit(X, PRICE, **QUICK)
        assert set(search.best_params_) == {"hidden", "activation"}
        assert search.best_estimator_.get_params()["hidden"] == search.best_params_["hidden"]
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_last_step_of_a_pipeline(self):
        columns = ColumnTransformer(
            [
                ("numbers", StandardScaler(), ["area", "built"]),
                ("town", OneHotEncoder(sparse_output=True), ["town"]),
            ],
            sparse_threshold=1.0,
            verbose_feature_names_out=True,
        )
        pipeline = make_pipeline(columns, model(task="regression"))
        pipeline.fit(X, PRICE, tabularmodel__l2=0.01)
        assert pipeline.score(X, PRICE) > 0.95
        assert pipeline[-1].feature_names_in_.tolist() == [f"x{i}" for i in range(5)]
        columns.set_params(sparse_threshold=0)
        columns.transformers[1][1].set_params(sparse_output=False)
        columns.set_output(transform="pandas")
        pipeline.fit(X, PRICE, tabularmodel__l2=0.01)
        assert "town__town_Bonn" in pipeline[-1].feature_names_in_
        searched = GridSearchCV(pipeline, {"tabularmodel__hidden": [3, 4]}, cv=2)
        assert searched.fit(X, PRICE, tabularmodel__l2=0.01).best_score_ > 0.5

    def test_permutation_importance(self):
        fitted = model().fit(X, PRICE, l2=0.01)
        found = permutation_importance(fitted, X, PRICE, n_repeats=2, random_state=0)
        assert found.importances_mean.argmax() == 0

    def test_html(self):
        made = model().fit(X, PRICE, **QUICK)
        shown = made._repr_html_()
        for text in ("rent", "regression", "area", "town", "Kiel", "number"):
            assert text in shown
        assert "TabularModel" in estimator_html_repr(make_pipeline(made))
        odd = pd.DataFrame({"<b>": X["area"]})
        assert "&lt;b&gt;" in model().fit(odd, PRICE, **QUICK)._repr_html_()


class TestTargets:
    def test_a_series_and_a_name_are_the_same(self):
        by_name = model().fit(X.assign(rent=PRICE), "rent", **QUICK)
        for y in (PRICE, list(PRICE), PRICE.to_numpy(), PRICE.to_numpy()[:, None]):
            found = model().fit(X, y, **QUICK)
            assert found.predict(X).tobytes() == by_name.predict(X).tobytes()
            assert found.target == ("rent" if y is PRICE else "y")

    def test_labels(self):
        for y in (LARGE, list(LARGE), LARGE.to_numpy(), LARGE.astype("category")):
            assert model().fit(X, y, **QUICK).classes.tolist() == ["large", "small"]

    def test_several(self):
        both = np.column_stack([PRICE, -PRICE])
        found = model().fit(X, both, **QUICK)
        assert found.target == ["y0", "y1"]
        named = model().fit(X, pd.DataFrame(both, columns=["a", "b"]), **QUICK)
        assert named.target == ["a", "b"]
        assert named.predict(X).tobytes() == found.predict(X).tobytes()
        assert found.score(X, both) == named.score(X, both)

    def test_names_that_are_taken(self):
        with pytest.raises(ValueError, match=r"has a column 'rent', as the target is called"):
            model().fit(X.assign(rent=PRICE), PRICE, **QUICK)
        assert model().fit(X.assign(y=1.0 * X["area"]), list(PRICE), **QUICK).target == "y_"

    def test_lists_of_names_stay_names(self):
        frame = X.assign(rent=PRICE, other=-PRICE)
        assert model().fit(frame, ["rent", "other"], **QUICK).target == ["rent", "other"]
        two = pd.DataFrame({"a": [1.0, 2.0] * 9, "b": [1.0, 3.0] * 9, "c": [2.0, 4.0] * 9})
        assert model().fit(two, pd.Index(["a", "b"]), **QUICK).target == ["a", "b"]
        with pytest.raises(ValueError, match="there is no column 'price'"):
            model().fit(frame, ["price"])

    def test_of_another_length(self):
        with pytest.raises(ValueError, match="frame has 120 rows, y has 119; they must be as many"):
            model().fit(X, PRICE[1:])
        with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
            model().fit(X, None)

    def test_missing_values_are_left_out(self):
        y = PRICE.copy()
        y[:7] = np.nan
        assert model().fit(X, y, **QUICK).report["n_without_target"] == 7


def test_skewed_targets_are_named():
    """A tenth of the rows: 12 of 1,000 each, beside 108 of 1, is 99 % of the sum."""
    amounts = np.where(np.arange(N) % 10 == 0, 1000.0, 1.0)
    options = {"task": "regression"}
    told = model(**options).fit(X, pd.Series(amounts, name="cost"), **QUICK).report["warnings"]
    assert any(
        "the target 'cost' is skewed: a tenth of the rows has 99 % of its" in t for t in told
    )
    for y, more in ((-amounts, {}), (amounts, {"loss": "absolute_error"}), (PRICE, {})):
        told = model(**options, **more).fit(X, y, **QUICK).report["warnings"]
        assert not any("skewed" in text for text in told)


def test_mini_batches_make_so_many_updates():
    """10,000 of 64 rows, of tables that L-BFGS does not learn."""
    network = Network([1, 64, 1], activation="tanh", output="identity")
    assert _training._epochs(network, 3000, {}) == {}
    assert _training._epochs(network, 4000, {}) == {"max_epochs": 159}  # of 63 updates
    assert _training._epochs(network, 100, {"dropout": 0.5}) == {"max_epochs": 5000}
    assert _training._epochs(network, 64_000, {}) == {"max_epochs": 50}  # as Network.fit


class TestArrays:
    def test_are_columns_without_names(self):
        array = X[["area", "built"]].to_numpy(dtype=float)
        found = model().fit(array, PRICE, **QUICK)
        named = model().fit({"x0": array[:, 0], "x1": array[:, 1]}, PRICE, **QUICK)
        assert found.predict(array).tobytes() == named.predict(array).tobytes()
        with pytest.raises(ValueError, match="X has 1 features, but TabularModel is expecting 2"):
            found.predict(array[:, :1])

    def test_of_text(self):
        found = model().fit(X[["town", "area"]].to_numpy(), PRICE, **QUICK)
        assert [column.kind for column in found.columns] == ["category", "number"]

    def test_need_no_library_of_frames(self):
        """Arrays of numbers are read as they are."""
        code = (
            "import sys, numpy as np\n"
            "for name in ('pandas', 'polars', 'pyarrow', 'sklearn'): sys.modules[name] = None\n"
            "from deltaloop.tabular import TabularModel\n"
            "x = np.arange(60.0)[:, None]\n"
            "model = TabularModel(hidden=3).fit(x, x[:, 0] * 2, l2=0.1, max_epochs=5)\n"
            "model.get_params(), repr(model), model._repr_html_(), model.score(x, x[:, 0])\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


# What of scikit-learn's checks cannot hold, and why.
FAIL = {
    "check_no_attributes_set_in_init": "`network`, `report` and so on are None before a fit",
    "check_dont_overwrite_parameters": "they have no underscore at the end",
    "check_fit_score_takes_y": "the second argument is called target: it may be a name",
    "check_do_not_raise_errors_in_init_or_set_params": "wrong values are refused at once",
    "check_classifier_data_not_an_array": "names of columns must be text, pandas' 0 is none",
    "check_regressor_data_not_an_array": "names of columns must be text, pandas' 0 is none",
    "check_supervised_y_2d": "a target of shape (n, 1) is taken without a warning",
    "check_fit2d_1sample": "the message speaks of rows and of one class",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_checks_of_scikit_learn(task):
    made = TabularModel(task=task, hidden=3, test_fraction=0)
    found = check_estimator(made, on_fail=None, expected_failed_checks=FAIL, on_skip=None)
    failed = {each["check_name"]: each["exception"] for each in found if each["status"] == "failed"}
    assert not failed
