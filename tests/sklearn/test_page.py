"""docs/reference/scikit-learn.md: the table of its differences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "scikit-learn.md"


def test_issues_are_those_of_scikit_learn():
    text = PAGE.read_text(encoding="utf-8")
    links = re.findall(r"\[#(\d+)\]\(([^\s)]+)\)", text)
    assert {number for number, _ in links} == {"8349", "6091", "12505", "29504"}
    for number, link in links:
        assert link == f"https://github.com/scikit-learn/scikit-learn/issues/{number}"
