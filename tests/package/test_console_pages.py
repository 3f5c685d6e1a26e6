"""docs/start and docs/howto: the commands of console blocks print what stands on the page.

The blocks of a page run in their order, in one folder. Blocks in python run before them and between
them, because they write the files that commands read.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import deltaloop as dl

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [
    page
    for part in ("start", "howto")
    for page in sorted((DOCS / part).glob("*.md"))
    if "```console" in page.read_text("utf-8")
]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.M | re.S)
# What another run, day or machine may have otherwise.
VARIABLE = re.compile(r"\b\d+\.\d s\b|\bISA +\w+|\b[\d,]+ bytes\b")
SAME = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        lines = part.split("\n")
        n = 1
        while lines[n - 1].endswith("\\"):
            n += 1
        found.append(("\n".join(lines[:n]), "\n".join(lines[n:])))
    return found


@pytest.mark.skipif(os.name == "nt", reason="the commands are those of a POSIX shell")
@pytest.mark.skipif(
    dl.runtime()["isa"] == "base", reason="the pages have the results of machines with FMA"
)
@pytest.mark.parametrize("page", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_commands_print_what_stands_there(page, tmp_path, monkeypatch):
    for library in ("polars", "narwhals", "tqdm"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "PYTHONUTF8": "1"}
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for kind, text in BLOCK.findall(page.read_text("utf-8")):
        if kind == "python":
            exec(compile(text, str(page), "exec"), names)
            continue
        for command, expected in commands(text):
            ended = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, encoding="utf-8",
                timeout=300, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            got, want = VARIABLE.sub("#", ended.stdout), VARIABLE.sub("#", expected)
            assert doctest.OutputChecker().check_output(want, got, SAME), f"{command}\n{got}"
            ran += 1
    assert ran
