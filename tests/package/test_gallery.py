"""The scripts of docs/gallery are well formed, and run."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
GALLERY = DOCS / "gallery"
SCRIPTS = sorted(GALLERY.glob("*.py"))
HEADER = GALLERY / "GALLERY_HEADER.rst"
# The packages beside deltaloop and NumPy that a script may need: those of the extra `docs`.
NEEDED = {"matplotlib", "onnxruntime", "polars", "sklearn"}
LINK = re.compile(r":doc:`(?:[^`<]*<)?([^`<>]+)>?`")

pytestmark = pytest.mark.skipif(not GALLERY.is_dir(), reason="the sources are not here")
each = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def test_there_are_stories_and_the_header_lists_each():
    listed = re.findall(r":doc:`(plot_\w+)`", HEADER.read_text(encoding="utf-8"))
    assert len(SCRIPTS) >= 15
    assert sorted(listed) == [path.stem for path in SCRIPTS]


@each
def test_a_story_is_well_formed(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    title, rule, blank, *rest = ast.get_docstring(tree).splitlines()
    assert path.name.startswith("plot_")
    assert set(rule) == {"="}
    assert len(rule) == len(title)
    assert blank == ""
    assert " ".join(rest).startswith("This story is for those ")
    assert 30 <= len(text.splitlines()) <= 90
    # Cells of text, each with a heading or a sentence, and the last one tells what to take away.
    cells = [cell.lstrip("# ").split("\n", 1)[0] for cell in text.split("\n# %%\n")[1:]]
    assert len(cells) >= 3
    assert all(cells)
    assert cells[-1] == "What to take away"


@each
def test_a_story_asserts_what_it_tells_and_leads_on(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    end = text.split("What to take away")[1]
    assert LINK.search(end), "the last cell links to the page that goes on"
    for name in LINK.findall(text):
        page = GALLERY / name
        assert any(page.with_name(page.name + end).is_file() for end in (".md", ".rst", ".py")), (
            name
        )


@each
def test_a_story_has_pictures_with_titles_and_labels(path):
    text = path.read_text(encoding="utf-8")
    # sphinx-gallery takes the title of a figure as the text for those who do not see it.
    assert re.search(r"suptitle\(|set_title\(|title=", text)
    assert re.search(r"imshow|xlabel=|plot\(\)|xticklabels", text)
    assert re.search(r"seed|random_state|from_weights", text)


@each
def test_a_story_needs_what_the_site_has(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names - set(sys.stdlib_module_names) - {"numpy", "deltaloop"} <= NEEDED


# Runs each script as a program would be, all in one process, since imports take most of the time.
RUN = """
import runpy, sys, warnings
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
for path in sys.argv[1:]:
    print(path, flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runpy.run_path(path, run_name="__main__")
    assert pyplot.get_fignums(), "no picture"
    pyplot.close("all")
"""


@pytest.mark.slow
def test_the_stories_are_true(tmp_path):
    for name in NEEDED:
        pytest.importorskip(name)
    environment = dict(os.environ)
    environment.pop("DISPLAY", None)  # without one, plt.show() says nothing
    done = subprocess.run(
        [sys.executable, "-c", RUN, *SCRIPTS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
