"""Links between the Markdown files of the repository lead to files and headings that are there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "check_links.py"
_spec = importlib.util.spec_from_file_location("check_links", SCRIPT)
check_links = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_links)
FILES = check_links.markdown_files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(check_links.ROOT)))
def test_links_of(path):
    assert check_links.wrong_in_markdown(path) == []


def test_wrong_links_are_found(tmp_path):
    (tmp_path / "other.md").write_text(
        "# One\n\n## `Two`, and three\n\n```sh\n# not this\n```\n# One\n"
    )
    page = tmp_path / "page.md"
    right = ["other.md", "other.md#one", "other.md#two-and-three", "other.md#one-1", "#here"]
    wrong = ["no.md", "other.md#not-this", "other.md#one-2", "#there"]
    text = "# Here\n" + "".join(f"[x]({link})\n" for link in right + wrong)
    page.write_text(f"{text}`[x](no.md)`\n\n```text\n[x](no.md)\n```\n<https://no.where>\n")
    found = [line.partition(":")[0] for line in check_links.wrong_in_markdown(page)]
    assert found == wrong


def test_faults_of_a_site_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<title>a</title><a href="b.html#x"></a><a href="c.html"></a>')
    (tmp_path / "b.html").write_text('<title></title><p id="y"></p><img src="a.html">')
    assert check_links.wrong_in_site(tmp_path) == [
        "a.html: b.html#x: there is no such anchor",
        "a.html: c.html: there is no such file",
        "b.html: it has no title",
        "b.html: the picture a.html has no text",
    ]
