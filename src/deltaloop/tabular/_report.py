"""What a training reports: its measures, those of the simplest guess, a sentence, and warnings.

The simplest guess, the baseline, knows the training rows' target and no column: it always says the
commonest class, with the classes' shares as probabilities, or the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scores import CLASSES, VALUES, measured, precision_recall, r2
from deltaloop.tabular._values import numeric

__all__ = ["measure", "number", "percent", "warnings_of"]

# Beyond it figures of a fifth of the rows say something.
FEW_ROWS = 50
# A class that has so many times the rows of another one.
IMBALANCED = 10.0
# With two classes, so much of all rows.
MOST_OF_TWO = 0.8
# A difference of so many standard errors is none of chance.
CLEAR = 2.0
# Whole numbers with at most so many values may be the names of classes, and with at least so many
# that follow each other be amounts.
FEW_VALUES, LIKE_AMOUNTS = 20, 5


def measure(
    learned: NDArray[Any],
    y: NDArray[Any],
    outputs: NDArray[Any],
    guess: NDArray[np.intp] | None,
    classes: Sequence[Any] | None,
    names: Sequence[str],
    weighted: bool = False,
) -> dict[str, Any]:
    """Return what rows that were held out say of a model, beside the baseline.

    `learned` is the target of the training rows, y that of the rows held out, `outputs` what the
    model says of these: class numbers (n,), probabilities (n, k) and the class numbers `guess`
    (n,); or values (n, k) of the targets `names`. Without rows every measure is None. Where the
    classes were `weighted`, the verdict lets each class count the same.
    """
    if classes is None:
        return _values(learned, y, outputs, names)
    assert guess is not None
    k = len(classes)
    shares = np.bincount(learned, minlength=k) / len(learned)
    common = int(np.argmax(shares))
    same, always = np.broadcast_to(shares, (len(y), k)), np.full(len(y), common)
    found = {
        "metrics": measured(CLASSES, y, outputs, guess),
        "baseline": {"guess": classes[common], **measured(CLASSES, y, same, always)},
        "per_class": _per_class(y, guess, classes),
    }
    counts = np.bincount(y, minlength=k)
    each = len(y) / (np.count_nonzero(counts) * counts[y]) if weighted else np.ones(len(y))
    return found | {"verdict": _class_verdict(found, y == guess, y == common, each)}


def _per_class(
    y: NDArray[np.intp], guess: NDArray[np.intp], classes: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return precision, recall and rows of each class."""
    both = precision_recall(y, guess, len(classes))
    precision, recall = ([None if math.isnan(x) else float(x) for x in part] for part in both)
    rows = np.bincount(y, minlength=len(classes)).tolist()
    parts = zip(classes, precision, recall, rows, strict=True)
    return [{"class": c, "precision": p, "recall": r, "rows": n} for c, p, r, n in parts]


def _values(
    learned: NDArray[Any], y: NDArray[Any], outputs: NDArray[Any], names: Sequence[str]
) -> dict[str, Any]:
    targets: list[dict[str, Any]] = []
    for j, name in enumerate(names):
        mean = float(learned[:, j].mean())
        base = np.full(len(y), mean)
        own = measured(VALUES, y[:, j], outputs[:, j])
        targets.append(
            {
                "target": name,
                "metrics": own,
                "baseline": {"guess": mean, **measured(VALUES, y[:, j], base)},
            }
        )
        clear = _clear_part((y[:, j] - mean) ** 2, (y[:, j] - outputs[:, j]) ** 2)
        targets[-1]["verdict"] = _value_verdict(targets[-1], name, clear)
    if len(names) == 1:
        return {key: targets[0][key] for key in ("metrics", "baseline", "verdict")}
    # Errors in different units have no mean.
    whole = r2(y, outputs)
    simplest = r2(y, np.broadcast_to(learned.mean(axis=0), y.shape))
    return {
        "metrics": {"r2": whole if math.isfinite(whole) else None},
        "baseline": {"guess": None, "r2": simplest if math.isfinite(simplest) else None},
        "verdict": " ".join(target["verdict"] for target in targets),
        "per_target": targets,
    }


def _clear(gain: NDArray[np.float64]) -> float:
    """Return the mean gain of rows over the baseline, in standard errors; infinity if all gain."""
    n = len(gain)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = float(gain.mean()) if n else 0.0, float(gain.std(ddof=1)) if n > 1 else 0.0
    if mean <= 0.0 or not math.isfinite(mean):
        return -math.inf
    if spread == 0.0:
        return math.inf if n > 1 else 0.0
    return mean / spread * math.sqrt(n)


def _clear_part(base: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """Return the part by which errors are below those of the baseline, in standard errors.

    The standard error is that of the jackknife, which leaves out each row in turn: where the
    errors are uneven and the model is good for all rows, the part hardly changes. It changes where
    it hangs on one row.
    """
    n = len(base)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        part = 1.0 - own.sum() / base.sum()
        left = 1.0 - (own.sum() - own) / (base.sum() - base)
        error = math.sqrt((n - 1) / n) * np.linalg.norm(left - left.mean()) if n else math.inf
    if not part > 0.0 or n < 2 or not math.isfinite(error):
        return 0.0 if part > 0.0 else -math.inf
    return math.inf if error == 0.0 else float(part / error)


def _class_verdict(
    found: dict[str, Any], right: NDArray[Any], base: NDArray[Any], each: NDArray[Any]
) -> str:
    """Return in a sentence how good a classification is; `each` is the weight of a row."""
    n = len(right)
    if not n:
        return "Not measured: no rows were held out."
    guess = f"always guessing {found['baseline']['guess']!r}"
    own, other = percent(float((each * right).mean())), percent(float((each * base).mean()))
    clear = _clear(each * (right.astype(float) - base))
    rows = "of the rows held out"
    if np.ptp(each) > 0.0:
        rows += ", where each class counts the same"
    if clear >= CLEAR:
        return f"Right for {own} {rows}; {guess} is right for {other}."
    if clear > 0.0:
        return (
            f"Perhaps no better than {guess}: right for {own} {rows}, instead of "
            f"{other}, a difference that may be chance with {rows_text(n)}."
        )
    ranks = found["metrics"]["roc_auc"]
    known = ranks is not None and ranks > 0.7
    also = f" Its probabilities do tell rows apart, though: ROC AUC {ranks:.2f}." if known else ""
    return f"No better than {guess}: right for {own} {rows}, that for {other}.{also}"


def _value_verdict(found: dict[str, Any], name: str, clear: float) -> str:
    """Return in a sentence how good the predictions of a target are."""
    own, base = found["metrics"], found["baseline"]
    if own["mae"] is None:
        return "Not measured: no rows were held out."
    guess = f"always guessing the mean, {number(base['guess'])}"
    off = f"off by {number(own['mae'])} on average, {guess}, by {number(base['mae'])}"
    if own["r2"] is None:
        return f"Not measured: one row is too few. There it is {off}."
    if clear <= 0.0 or own["r2"] <= 0.0:
        return (
            f"No better than {guess}: {name} is off by {number(own['mae'])} on average, with the "
            f"mean by {number(base['mae'])}."
        )
    explained = f"explains {percent(own['r2'])} of the variation of {name}: {off}."
    if clear < CLEAR:
        return f"Perhaps no better than the mean, as rows are few or uneven: it {explained}"
    return f"The model {explained}"


def percent(part: float) -> str:
    """Return a part as a percentage of three digits; 100 % is all, and 0 % none."""
    text = f"{100.0 * part:.3g}"
    if text == "100" and part < 1.0:
        text = f"{math.floor(100_000.0 * part) / 1000.0:g}"
    return f"{text} %"


def number(value: float | None) -> str:
    """Return a number as people read it: four digits, large ones whole, with no exponent."""
    if value is None:
        return "not defined"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def rows_text(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


def warnings_of(
    y: NDArray[Any],
    classes: Sequence[Any] | None,
    names: Sequence[str],
    asked: str | None,
    weighted: bool,
) -> list[str]:
    """Return what somebody should know before believing the figures.

    y is the target of all rows: class numbers (n,) or values (n, k). `asked` is the task that was
    asked for, if it was; `weighted` whether classes were given weights.
    """
    found = []
    n = len(y)
    if n < FEW_ROWS:
        found.append(f"{rows_text(n)} are few: another split of them may give quite other figures")
    if classes is None:
        found += _like_classes(y, names) if asked is None else []
        return found
    counts = np.bincount(y, minlength=len(classes))
    most, least = int(np.argmax(counts)), int(np.argmin(counts))
    uneven = counts[most] >= IMBALANCED * counts[least]
    if uneven or (len(classes) == 2 and counts[most] >= MOST_OF_TWO * n):
        text = (
            f"the classes are imbalanced: {classes[most]!r} has {counts[most]:,} of {n:,} rows, "
            f"{classes[least]!r} {counts[least]:,}; the accuracy says little, look at the balanced "
            "accuracy and at each class"
        )
        advice = "; class_weight='balanced' makes all classes count the same"
        found.append(text + advice * (not weighted))
    found += _like_values(classes, names[0]) if asked is None else []
    return found


def _like_classes(y: NDArray[Any], names: Sequence[str]) -> list[str]:
    """Name targets that are predicted as numbers and look like names of classes."""
    if len(names) > 1:
        return []
    values, n = np.unique(y[:, 0]), len(y)
    whole = bool((values == np.round(values)).all())
    few = len(values) <= FEW_VALUES and 2 * len(values) <= n
    # Amounts follow each other; codes of classes have gaps, and many rows each.
    codes = len(values) <= 3 * FEW_VALUES and 10 * len(values) <= n
    gaps = len(values) > 2 and np.ptp(values) > 3 * len(values)
    if not whole or not (few or (codes and gaps)):
        return []
    return [
        f"{names[0]!r} is predicted as a number, and has only {len(values)} different values; if "
        "they are names of classes, give task='classification'"
    ]


def _like_values(classes: Sequence[Any], name: str) -> list[str]:
    """Name targets that are predicted as classes and look like numbers."""
    if isinstance(classes[0], str):
        n = sum(map(numeric, classes))
        if 2 * n <= len(classes):
            return []
        odd = next((label for label in classes if not numeric(label)), None)
        cause = "are numbers as text" if odd is None else f"look like numbers, but {odd!r} does not"
        return [
            f"{name!r} is predicted as {len(classes)} classes of text, most of which {cause}; if "
            "they are amounts, mend these entries"
        ]
    if isinstance(classes[0], bool) or len(classes) < LIKE_AMOUNTS:
        return []
    if classes[-1] - classes[0] >= 2 * len(classes):
        return []
    return [
        f"{name!r} holds the whole numbers {classes[0]} to {classes[-1]}, and is predicted as "
        f"{len(classes)} classes, which have no order; if they are amounts, give task='regression'"
    ]
