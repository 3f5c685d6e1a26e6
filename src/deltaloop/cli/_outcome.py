"""What `deltaloop train` says of a training, plain words first, and `deltaloop info` says again."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deltaloop._files.atomic import is_direct
from deltaloop._scores import CLASSES, VALUES
from deltaloop.cli._progress import times_text
from deltaloop.cli._reports import aligned, layers_text, solver_text, validation_text
from deltaloop.cli._streams import note
from deltaloop.plot._axes import shorten
from deltaloop.results import CheckpointWarning, ConvergenceWarning, FitResult
from deltaloop.tabular._report import number, percent

__all__ = ["as_flags", "result_text", "told_later", "train_text", "trouble"]

# Of more classes the largest ones are shown.
MOST_CLASSES = 20
LONGEST = 30
# Arguments in Python, and what gives them on the command line.
FLAGS = {
    "task='regression'": "--task regression",
    "task='classification'": "--task classification",
    "resume=": "--resume ",
    "test_fraction=0": "--test-fraction 0",
    "class_weight='balanced'": "--class-weight balanced",
    "loss='absolute_error'": "--loss absolute_error",
    "new_categories='missing'": "--new-categories missing",
}


def as_flags(text: str) -> str:
    """Return a text of the library in the words of the command line."""
    for argument, flag in FLAGS.items():
        text = text.replace(argument, flag)
    return text


# What the warnings of a fit call things, and what people call them here.
WORDS = {
    "for all instances": "for every row",
    "while Y varies": "while the target varies",
    "the mean of Y": "the mean of the target",
    "epoch": "round",
}


def trouble(result: FitResult) -> list[str]:
    """Return what is wrong with the end of a fit, without the advice for those who write Python."""
    text = result.message.partition(" But ")[2]
    text = re.split(r"; |\. (?=[A-Z])", text)[0].removesuffix(".")
    for word, plain in WORDS.items():
        text = text.replace(word, plain)
    return [text] if text else []


@contextmanager
def told_later() -> Iterator[None]:
    """Keep the warnings of a fit off the screen: `trouble` says them in the report.

    That a checkpoint could not be written cannot wait.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("always", CheckpointWarning)
        shown: Any = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, CheckpointWarning):
                note(f"deltaloop: {message}")
            else:
                shown(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def train_text(
    report: Mapping[str, Any], data: str, more: Mapping[str, str], verbose: bool = False
) -> str:
    """Return a training's report as text; `data` and `more` say what its data are like."""
    held_out = f"{report['n_train']:,} to learn from, {report['n_test']:,} held out to measure"
    left = report.get("n_without_target")
    rounds = report["epochs"]
    rows = {
        "data": f"{report['data']}: {data}",
        **more,
        "rows": f"{held_out}, {left:,} without a target" if left else held_out,
        "stopped": f"after {rounds:,} round{'s' * (rounds != 1)}: {report['stopped']}",
        "times": times_text(report["times"]),
        **(_technical(report) if verbose else {}),
    }
    saved = report["model"] or "not saved; --output-model PATH saves it"
    if report["model"] and not is_direct(report["model"]):
        saved += f"; use it: deltaloop predict {report['model']} FILE"
    end = aligned({"model": saved})
    return "\n\n".join([aligned(rows), result_text(report, verbose), end])


def _technical(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what --verbose adds."""
    units = ", in standardised units" if report["output"] == "identity" else ""
    return {
        "layers": layers_text(report),
        "solver": solver_text(report["solver"]),
        **({"penalty": f"l2 {report['l2']:g}"} if report.get("l2") else {}),
        **({"choice": report["choice"]} if "choice" in report else {}),
        "seed": report["seed"],
        "epochs": f"{report['epochs']}, stopped by {report['stop_reason']}",
        "cost": f"{report['cost']:.6g} ({report['loss']}, sum over the training rows{units})",
        **validation_text(report),
        "ISA": report["isa"],
    }


def result_text(report: Mapping[str, Any], verbose: bool = False) -> str:
    """Return what was measured: the sentence, the measures beside the baseline, the warnings.

    What a report lacks is left out.
    """
    parts = [as_flags(report["verdict"])] if "verdict" in report else []
    if any(value is not None for value in report.get("metrics", {}).values()):
        targets = report.get("per_target") or [report]
        parts += [_measures(target, len(targets) > 1) for target in targets]
        if report.get("per_class"):
            parts.append(_classes(report["per_class"], verbose))
    parts += [f"Note: {as_flags(text)}." for text in report.get("warnings", ())]
    return "\n\n".join(parts)


def _measures(report: Mapping[str, Any], several: bool) -> str:
    """Return the measures of the model and of the simplest guess, with what each means."""
    own, base = report["metrics"], report.get("baseline", {})
    classes = "accuracy" in own
    guess = base.get("guess")
    name = report["target"] if isinstance(report.get("target"), str) else "the target"
    always = repr(shorten(guess, LONGEST)) if classes else f"the mean, {_shown(guess, False)}"
    lines = [["of the rows held out", "model", f"always {always}", ""]]
    for row in CLASSES if classes else VALUES:
        if row.name not in own:
            continue
        unit = f" (in the units of {shorten(name, LONGEST)})" if row.unit else ""
        part = not row.unit
        values = [_shown(found.get(row.name), part) for found in (own, base)]
        lines.append([row.label, *values, row.meaning + unit])
    title = f"{shorten(name, LONGEST)}:\n" if several else ""
    return title + table(lines, "lrrl")


def _shown(value: Any, part: bool) -> str:
    """Return a measure: one without units with three digits after the point."""
    if type(value) not in (int, float):
        return "-"
    return f"{value:.3f}" if part and abs(value) < 1000.0 else number(value)


def _classes(classes: Sequence[Mapping[str, Any]], verbose: bool) -> str:
    """Return precision, recall and rows of each class."""
    shown = list(classes)
    if len(shown) > MOST_CLASSES and not verbose:
        largest = sorted(range(len(shown)), key=lambda i: -shown[i]["rows"])[:MOST_CLASSES]
        shown = [shown[i] for i in sorted(largest)]
    lines = [["class", "precision", "recall", "rows"]]
    for row in shown:
        parts = ["-" if row[key] is None else percent(row[key]) for key in ("precision", "recall")]
        lines.append([shorten(row["class"], LONGEST), *parts, f"{row['rows']:,}"])
    left = len(classes) - len(shown)
    text = table(lines, "lrrr")
    if left:
        text += f"\nand {left:,} smaller classes, which --verbose shows"
    return (
        f"{text}\nprecision: how many of the rows predicted as the class are of it; recall: how "
        "many of its rows were found"
    )


def table(lines: Sequence[Sequence[str]], sides: str) -> str:
    """Return lines of entries as columns, each on its side: l or r."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            entry.rjust(width) if side == "r" else entry.ljust(width)
            for entry, width, side in zip(line, widths, sides, strict=True)
        ).rstrip()
        for line in lines
    )
