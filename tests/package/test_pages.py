"""The pages of docs/ say what the tables of the package say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
# Without what a build of the site makes.
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.parent.name not in ("auto_gallery", "project"))


@pytest.fixture(scope="module")
def derive():
    spec = importlib.util.spec_from_file_location("derive", DOCS / "derive.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_tables_are_those_of_the_package(page, derive):
    text = page.read_text(encoding="utf-8")
    assert text == derive.derived(text), "run: python docs/derive.py"


def test_every_table_stands_on_a_page(derive):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {match[2] for match in derive.TABLE.finditer(text)} == set(derive.TABLES)
