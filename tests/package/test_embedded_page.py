"""docs/reference/embedded.md, section by section: its commands print what stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deltaloop as dl

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "embedded.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
# What the next version of a file may have otherwise.
VARIABLE = re.compile(r"[\d,]+ bytes")


def section(title: str) -> str:
    text = PAGE.read_text("utf-8")
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    parts = re.split(r"^\$ ", block, flags=re.M)[1:]
    found = []
    for part in parts:
        lines = part.split("\n")
        n = 1
        while lines[n - 1].endswith("\\"):
            n += 1
        found.append(("\n".join(lines[:n]), "\n".join(lines[n:])))
    return found


@pytest.mark.slow
def test_from_csv_to_board(tmp_path):
    """Files are written as they stand, commands run in their order, in one folder."""
    for library in ("polars", "narwhals"):
        pytest.importorskip(library)
    for program in ("arm-none-eabi-gcc", "qemu-system-arm", "gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    board = ["arm-none-eabi-gcc", "--specs=picolibc.specs", "-E", "-x", "c", os.devnull]
    if subprocess.run(board, capture_output=True, timeout=600).returncode != 0:
        pytest.skip("picolibc is not here")
    if dl.runtime()["isa"] == "base":
        pytest.skip("the page has the results of machines with FMA")
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    ran = 0
    for kind, text in BLOCK.findall(section("From a CSV file to a Cortex-M")):
        if kind in ("c", "ld"):
            name = re.match(r"/\* ([\w.]+)", text)
            assert name is not None, text
            (tmp_path / name[1]).write_text(text)
            continue
        if kind == "sh":  # what is installed
            continue
        assert kind == "console"
        for command, expected in commands(text):
            ended = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, text=True, timeout=600,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert ended.returncode == 0, f"{command}\n{ended.stdout}"
            told, wanted = (
                VARIABLE.sub("", printed).split() for printed in (ended.stdout, expected)
            )
            assert told == wanted, command
            ran += 1
    assert ran > 5
