"""The examples of README.md and of every page of docs/ run, and print what stands there.

A page's ```pycon blocks are doctests, and its ```python blocks are executed: from top to bottom, in
one namespace, in a folder of their own. What readers need not see stands in comments:

``<!-- needs: polars, gcc -->``
    Skips what follows where a library or program is not here: if nothing but blank lines and
    comments are between, the next block alone with its comments, otherwise the rest of the page.
``<!-- test`` ... ``-->``
    Python code that is executed at this place: files that an example reads, what must hold after
    it. ``shown["text"][-1]`` is the last block of a kind, for those that are a file.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
import shutil
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl

ROOT = Path(__file__).resolve().parents[2]
# What a build of the site makes.
MADE = ("docs/auto_gallery/", "docs/project/")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"))
    if not path.relative_to(ROOT).as_posix().startswith(MADE)
)
PART = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<kind>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=fence)[ ]*$"
    r"|^<!-- needs: (?P<needs>[^\n]*?) -->$"
    r"|^<!-- test\n(?P<test>.*?)^-->$",
    re.M | re.S,
)
# A block of another kind is not run; one of these would be by its look.
MISTAKEN = {"", "py", "python3", "pycon3", "doctest", "ipython", "{code-block} python"}
PROGRAMS = ("gcc",)  # all else are libraries, of which some bring a program of the same name
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def missing(needs: str) -> list[str]:
    """Which of these libraries and programs are not here."""
    names = [name.strip() for name in needs.split(",")]
    found = {n: shutil.which(n) if n in PROGRAMS else importlib.util.find_spec(n) for n in names}
    return [name for name in names if found[name] is None]


def groups(text: str) -> list[list[re.Match[str]]]:
    """The parts of a page; those with nothing but blank lines between them are together."""
    found: list[list[re.Match[str]]] = []
    end = -1
    for part in PART.finditer(text):
        if end < 0 or text[end : part.start()].strip():
            found.append([])
        found[-1].append(part)
        end = part.end()
    return found


class Page:
    """Runs the parts of a page, one after the other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shown: dict[str, list[str]] = {}
        self.names: dict[str, object] = {"__name__": "__main__", "shown": self.shown}
        self.ran = 0
        self.lacking: set[str] = set()

    def run(self) -> None:
        text = read(self.name)
        for group in groups(text):
            lacking: list[str] = []
            for part in group:
                line = text.count("\n", 0, part.start()) + 1
                if part["needs"]:
                    lacking += missing(part["needs"])
                elif lacking:
                    continue
                elif part["test"]:
                    self.execute(part["test"], line)
                elif part["fence"]:
                    self.block(part["kind"], textwrap.dedent(part["code"]), line)
            self.lacking |= set(lacking)
            if lacking and group[-1]["needs"]:
                return

    def block(self, kind: str, code: str, line: int) -> None:
        self.shown.setdefault(kind, []).append(code)
        if kind == "pycon":
            self.doctest(code, line)
        elif kind == "python":
            self.execute(code, line)

    def execute(self, code: str, line: int) -> None:
        exec(compile("\n" * line + code, str(ROOT / self.name), "exec"), self.names)
        self.ran += 1

    def doctest(self, code: str, line: int) -> None:
        test = doctest.DocTestParser().get_doctest(code, {}, self.name, self.name, line)
        test.globs = self.names
        told: list[str] = []
        runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
        runner.run(test, out=told.append, clear_globs=False)
        assert runner.failures == 0, "".join(told)
        self.ran += 1


# Their examples compile, start processes, or train for seconds.
SLOW = {
    "docs/doors/pytorch.md",
    "docs/howto/call-a-million-times.md",
    "docs/reference/c-interface.md",
    "docs/reference/command-line.md",
    "docs/reference/large-data.md",
    "docs/reference/reinforcement-learning.md",
    "docs/reference/scikit-learn.md",
}
WITH_EXAMPLES = [page for page in PAGES if re.search(r"```py", read(page))]


def test_slow_pages_are_there():
    assert set(WITH_EXAMPLES) >= SLOW


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else [])
        for page in WITH_EXAMPLES
    ],
)
def test_examples(name, tmp_path, monkeypatch):
    page = Page(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with np.printoptions(), warnings.catch_warnings():
        warnings.simplefilter("error", dl.ConvergenceWarning)
        page.run()
    for module, value in list(sys.modules.items()):
        if (getattr(value, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[module]
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    if page.ran == 0:
        pytest.skip(f"not here: {', '.join(sorted(page.lacking))}")


@pytest.mark.parametrize("name", PAGES)
def test_no_example_is_overlooked(name):
    """Each fence is closed and has a kind, and each prompt is in a block that is run, or text."""
    text = read(name)
    fences = [part for part in PART.finditer(text) if part["fence"]]
    assert len(re.findall(r"^ *```", PART.sub("", text), re.M)) == 0, "a fence is not closed"
    for part in fences:
        line = text.count("\n", 0, part.start()) + 1
        assert part["kind"] not in MISTAKEN, f"line {line}: name the kind, pycon, python or text"
        prompts = ">>> " in part["code"] and part["kind"] not in ("pycon", "text")
        assert not prompts, f"line {line}: name the kind, pycon or text"
    assert ">>> " not in PART.sub("", text)


@pytest.mark.parametrize("name", PAGES)
def test_each_comment_is_understood(name):
    text = re.sub(r"`[^`\n]+`", "", PART.sub("", read(name)))  # what is quoted is no comment
    for comment in re.findall(r"<!--\s*(?:needs|test)\b.*", text):
        raise AssertionError(f"{comment}: see the head of {Path(__file__).name}")
