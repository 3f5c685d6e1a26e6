"""The examples of docs/reference/scikit-learn.md, and the table of its differences."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "scikit-learn.md"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_examples():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, tried > 5) == (0, True)


@pytest.mark.filterwarnings("ignore")
def test_optuna_prunes_by_the_callback_of_the_page():
    pytest.importorskip("optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 2))
    names = {"X": X, "y": np.sin(X[:, 0])}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [text for text in blocks if "optuna" in text]
    exec(block, names)
    states = [trial.state for trial in names["study"].trials]
    assert states.count(optuna.trial.TrialState.PRUNED) > 0
    assert states.count(optuna.trial.TrialState.COMPLETE) > 5


def test_issues_are_those_of_scikit_learn():
    text = PAGE.read_text(encoding="utf-8")
    links = re.findall(r"\[#(\d+)\]\(([^\s)]+)\)", text)
    assert {number for number, _ in links} == {"8349", "6091", "12505", "29504"}
    for number, link in links:
        assert link == f"https://github.com/scikit-learn/scikit-learn/issues/{number}"
