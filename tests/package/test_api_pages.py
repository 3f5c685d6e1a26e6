"""docs/reference/api: every public name is on a page, and each page names what there is."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import deltaloop

API = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(API.glob("*.md"))}
ENTRY = re.compile(r"^\.\. (?:auto)?(\w+):: (deltaloop\.\S+)$", re.M)
NAMED = [name for text in PAGES.values() for kind, name in ENTRY.findall(text) if kind != "module"]
# The public modules beside the package itself; `cli` has a page of its own.
MODULES = (
    "datasets",
    "distributed",
    "plot",
    "reference",
    "schedules",
    "sklearn",
    "solvers",
    "tabular",
    "torch",
)


def test_each_public_module_has_its_names_on_a_page():
    here = {name.name for name in Path(deltaloop.__file__).parent.iterdir()}
    public = {name.removesuffix(".py") for name in here if name[0] not in "_."}
    of_package = {"checks", "convert", "explain", "inits", "losses", "network", "predictor"}
    of_package |= {"results", "runtime", "scaling", "trainer", "training"}
    other = {"cli", "data", "include", "mlp.pxd", "py.typed"}
    assert public - of_package - other == set(MODULES)


@pytest.mark.parametrize("module", ["", *MODULES])
def test_every_public_name_is_on_a_page(module):
    path = "deltaloop" if module == "" else f"deltaloop.{module}"
    try:
        names = importlib.import_module(path).__all__
    except ImportError as error:
        pytest.skip(str(error))
    on_top = {"Schedule": "deltaloop.schedules.Schedule"}  # which solvers hand on
    for name in names:
        paths = {f"{path}.{name}", f"deltaloop.{name}", on_top.get(name)}
        assert paths & set(NAMED), f"{path}.{name} is on no page of {API}"


def test_no_name_is_on_two_pages():
    assert len(NAMED) == len(set(NAMED))


@pytest.mark.parametrize("name", NAMED)
def test_each_name_is_there(name):
    path, _, attribute = name.rpartition(".")
    try:
        value = getattr(importlib.import_module(path), attribute)
    except ImportError as error:
        pytest.skip(str(error))
    assert inspect.getdoc(value)


def test_the_index_lists_every_page_and_name():
    index = PAGES["index"]
    for page, text in PAGES.items():
        if page != "index":
            (row,) = re.findall(rf"^\| \[[^\]]+\]\({page}\.md\) \| (.*) \|$", index, re.M)
            names = [n for kind, n in ENTRY.findall(text) if kind != "module"]
            assert row == ", ".join(f"`{n.removeprefix('deltaloop.')}`" for n in names)
            assert f"\n{page}\n" in index
