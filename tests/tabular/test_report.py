"""What a training reports: measures beside the simplest guess, the sentence, the warnings."""

from __future__ import annotations

import numpy as np
import pytest

from deltaloop.tabular import _report

metrics = pytest.importorskip("sklearn.metrics")
dummy = pytest.importorskip("sklearn.dummy")

FEW = "30 rows are few: another split of them may give quite other figures"


def of_classes(learned, y, p, classes, weighted=False):
    learned, y, p = np.array(learned), np.array(y), np.array(p, float)
    return _report.measure(learned, y, p, p.argmax(axis=1), classes, ["y"], weighted)


def of_values(learned, y, predicted, names=("y",)):
    columns = [np.array(part, float).reshape(-1, len(names)) for part in (learned, y, predicted)]
    return _report.measure(*columns, None, None, names)


class TestBaseline:
    def test_is_the_dummy_of_scikit_learn(self):
        rng = np.random.default_rng(0)
        learned, y = rng.choice(3, 80, p=[0.2, 0.5, 0.3]), rng.choice(3, 40)
        p = rng.dirichlet([1, 1, 1], 40)
        found = of_classes(learned, y, p, ["a", "b", "c"])["baseline"]
        guess = dummy.DummyClassifier(strategy="prior").fit(np.zeros((80, 1)), learned)
        X = np.zeros((40, 1))
        shares = guess.predict_proba(X)
        expected = {
            "accuracy": guess.score(X, y),
            "balanced_accuracy": 1 / 3,
            "log_loss": metrics.log_loss(y, shares, labels=[0, 1, 2]),
            "roc_auc": metrics.roc_auc_score(y, shares, multi_class="ovr"),
        }
        assert found.pop("guess") == "b"
        assert found == pytest.approx(expected, rel=1e-12)

    def test_of_values(self):
        rng = np.random.default_rng(0)
        learned, y = rng.normal(5, 2, 80), rng.normal(5, 2, 40)
        found = of_values(learned, y, y + 1)["baseline"]
        mean = np.full(40, learned.mean())
        expected = {
            "guess": learned.mean(),
            "r2": metrics.r2_score(y, mean),
            "rmse": metrics.root_mean_squared_error(y, mean),
            "mae": metrics.mean_absolute_error(y, mean),
        }
        assert found == pytest.approx(expected, rel=1e-12)

    def test_of_several_values(self):
        y = [[1, 10], [2, 30], [4, 20]]
        found = of_values(y, y, y, ["a", "b"])
        assert found["metrics"] == {"r2": 1.0}
        assert found["baseline"] == {"guess": None, "r2": pytest.approx(0.0, abs=1e-12)}
        assert [part["target"] for part in found["per_target"]] == ["a", "b"]
        assert [part["baseline"]["guess"] for part in found["per_target"]] == [
            pytest.approx(7 / 3),
            20.0,
        ]


class TestVerdict:
    def test_good_classes(self):
        y = [0, 1] * 50
        p = [[0.9, 0.1] if c == 0 else [0.2, 0.8] for c in y]
        p[0] = [0.1, 0.9]
        text = of_classes([0, 0, 1], y, p, ["no", "yes"])["verdict"]
        expected = "Right for 99 % of the rows held out; always guessing 'no' is right for 50 %."
        assert text == expected

    def test_the_commonest_class(self):
        y = [0] * 9 + [1]
        text = of_classes(y, y, [[0.9, 0.1]] * 10, ["no", "yes"])["verdict"]
        start = "No better than always guessing 'no': right for 90 % of the rows held out, that for"
        assert text == f"{start} 90 %."

    def test_weighted_classes_count_the_same(self):
        """Nine in ten are of one class: what finds the tenth is no worse than guessing it."""
        y = np.repeat([0, 1], [90, 10])
        p = np.where(np.arange(100)[:, None] % 10 < 8, [0.9, 0.1], [0.1, 0.9])  # right for 80 %
        p[y == 1] = [0.2, 0.8]
        found = of_classes(y, y, p, ["no", "yes"], weighted=True)
        assert found["metrics"]["balanced_accuracy"] == pytest.approx(0.9)
        assert found["verdict"] == (
            "Right for 90 % of the rows held out, where each class counts the same; always "
            "guessing 'no' is right for 50 %."
        )
        assert of_classes(y, y, p, ["no", "yes"])["verdict"].startswith("No better than")

    def test_ranks_without_a_better_guess(self):
        y = [0] * 18 + [1] * 2
        p = [[0.9, 0.1]] * 18 + [[0.6, 0.4]] * 2
        text = of_classes(y, y, p, ["no", "yes"])["verdict"]
        assert text.startswith("No better than always guessing 'no'")
        assert text.endswith("Its probabilities do tell rows apart, though: ROC AUC 1.00.")

    def test_by_chance(self):
        y = [0] * 6 + [1] * 4
        p = [[0.9, 0.1]] * 6 + [[0.9, 0.1]] * 3 + [[0.1, 0.9]]
        text = of_classes(y, y, p, ["no", "yes"])["verdict"]
        assert text.startswith("Perhaps no better than always guessing 'no': right for 70 % of")
        assert text.endswith("instead of 60 %, a difference that may be chance with 10 rows.")

    def test_values(self):
        y = np.arange(100.0)
        text = of_values(y, y, y + np.where(y % 2, 5, -5))["verdict"]
        start = "The model explains 97 % of the variation of y: off by 5 on average, always"
        assert text == f"{start} guessing the mean, 49.5, by 25."

    def test_no_better_than_the_mean(self):
        y = np.random.default_rng(0).normal(size=50)
        text = of_values(y, y, -y)["verdict"]
        assert text.startswith("No better than always guessing the mean, ")

    @pytest.mark.parametrize("n", [0, 1])
    def test_too_few_rows(self, n):
        text = of_values([1.0, 2.0], [1.0][:n], [2.0][:n])["verdict"]
        assert text.startswith("Not measured: ")
        p = np.full((n, 2), 0.5)
        found = of_classes([0, 1], np.zeros(n, int), p, ["a", "b"])
        assert found["verdict"]
        assert (found["metrics"]["accuracy"] is None) == (n == 0)

    def test_uneven_values(self):
        """A few large errors of the mean are no chance where the model is right for all rows."""
        rng = np.random.default_rng(1)
        y = np.exp(2 * rng.normal(size=60) + 8)
        text = of_values(y, y, 1.01 * y)["verdict"]
        assert text.startswith("The model explains 99.")

    def test_one_row_alone(self):
        rng = np.random.default_rng(2)
        y = np.append(rng.normal(size=59), 100.0)
        text = of_values(y, y, np.append(np.full(59, y.mean()), 50.0))["verdict"]
        assert text.startswith("Perhaps no better than the mean, as rows are few or uneven")

    def test_noise_is_seldom_clear(self):
        rng = np.random.default_rng(3)
        clear = 0
        for _ in range(200):
            y = np.exp(rng.normal(size=40))
            guess = y.mean() + 0.2 * rng.normal(size=40)
            clear += of_values(y, y, guess)["verdict"].startswith("The model")
        assert clear <= 10


class TestWarnings:
    def found(self, y, classes=None, asked=None, weighted=False):
        y = np.array(y) if classes is not None else np.array(y, float).reshape(-1, 1)
        return _report.warnings_of(y, classes, ["y"], asked, weighted)

    def test_few_rows(self):
        assert self.found([0, 1] * 15, ["a", "b"]) == [FEW]
        assert self.found([0, 1] * 25, ["a", "b"]) == []

    @pytest.mark.parametrize(
        ("counts", "warned"),
        [((80, 20), True), ((79, 21), False), ((50, 40, 5), True), ((50, 40, 6), False)],
    )
    def test_imbalance(self, counts, warned):
        y = np.repeat(np.arange(len(counts)), counts)
        found = self.found(y, list("abc")[: len(counts)])
        assert bool(found) == warned
        if warned:
            rare = f"{'abc'[len(counts) - 1]!r} {counts[-1]}"
            assert f"'a' has {counts[0]} of {len(y)} rows, {rare}" in found[0]
            assert found[0].endswith("class_weight='balanced' makes all classes count the same")
            weighted = self.found(y, list("abc")[: len(counts)], None, True)
            assert "class_weight" not in weighted[0]

    @pytest.mark.parametrize(
        ("values", "warned"),
        [
            (list(range(1, 21)) * 4, True),  # too few rows of each to be taken for classes
            ([*range(0, 4000, 100)] * 10, True),  # 40 codes
            (list(range(40)) * 5, False),  # ages, say
            (np.arange(80) * 0.5, False),
            (np.arange(100), False),
        ],
    )
    def test_numbers_that_look_like_classes(self, values, warned):
        n = len(np.unique(values))
        text = (
            f"'y' is predicted as a number, and has only {n} different values; if they are names "
            "of classes, give task='classification'"
        )
        assert self.found(values) == [text] * warned
        assert self.found(values, asked="regression") == []

    def test_classes_that_look_like_numbers(self):
        y = np.tile(np.arange(6), 20)
        found = self.found(y, [3, 4, 5, 6, 7, 8])
        assert found[0].startswith("'y' holds the whole numbers 3 to 8, and is predicted as 6 cla")
        assert found[0].endswith("if they are amounts, give task='regression'")
        assert self.found(y, [3, 4, 5, 6, 7, 8], "classification") == []
        assert self.found(y, [3, 40, 55, 60, 70, 85]) == []
        assert self.found(y % 3, [0, 1, 2]) == []
        found = self.found(y, ["1.5", "2", "3", "4", "5", "TBD"])
        assert "6 classes of text, most of which look like numbers, but 'TBD' does not" in found[0]


@pytest.mark.parametrize(
    ("part", "text"),
    [(1.0, "100 %"), (0.9999, "99.99 %"), (0.71234, "71.2 %"), (0.0, "0 %"), (0.05, "5 %")],
)
def test_percent(part, text):
    assert _report.percent(part) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234567.8, "1,234,568"), (12.345678, "12.35"), (1e-9, "1e-09"), (None, "not de")],
)
def test_number(value, text):
    assert _report.number(value).startswith(text)
