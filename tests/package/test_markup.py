"""What the site does to the HTML of its pages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

EXTENSION = Path(__file__).resolve().parents[2] / "docs" / "_extensions" / "markup.py"


@pytest.fixture(scope="module")
def mended():
    spec = importlib.util.spec_from_file_location("markup", EXTENSION)
    markup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(markup)

    def mended(body):
        context = {"body": body}
        markup.mend(None, "page", "page.html", context, None)
        return context["body"]

    return mended


def cell(*words):
    return "<td>" + "<wbr>".join(f'<span class="pre">{word}</span>' for word in words) + "</td>"


@pytest.mark.parametrize(
    "parts",
    [
        ["--task"],
        ["0.001,"],
        ["batch_", "size=200)"],
        ["dl.Network([", "3,"],
        ["{", "classification,", "regression}"],
        ["fann_", "set_", "activation_", "function_", "hidden"],
        ["dl.schedules.", "InverseScaling(", "0.001,"],
        ["net.layers{1}.transferFcn"],
    ],
    ids=lambda parts: "".join(parts)[:12],
)
def test_code_in_a_cell_breaks_behind_its_punctuation(mended, parts):
    assert mended(cell("".join(parts))) == cell(*parts)


def test_code_outside_of_tables_stays(mended):
    body = '<p><code><span class="pre">f(a,b)</span></code></p>'
    assert mended(body) == body


def test_an_empty_corner_is_no_header(mended):
    table = '<tr><th class="head"><p></p></th><th class="head"><p>time</p></th></tr>'
    expected = '<tr><td class="head"></td><th class="head"><p>time</p></th></tr>'
    assert mended(table) == expected


def test_references_have_no_role(mended):
    first, second = '<div role="list" class="citation-list">', '<div class="citation" id="r1"'
    expected = '<div class="citation-list"><div class="citation" id="r1">'
    assert mended(f'{first}{second} role="doc-biblioentry">') == expected
