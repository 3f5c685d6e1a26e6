"""What the proof found on other processors, tried here."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import deltaloop as dl
from tests.c_export.targets import WARNINGS, C


@pytest.mark.parametrize("activation", ["step", "relu", "identity", "tanh"])
def test_no_function_is_left_over_where_there_are_no_vectors(activation, tmp_path):
    """Of a file in float32, for processors that take one number at a time."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here")
    net = dl.Network([2, 3, 1], activation=activation, output="identity", seed=0)
    net.to_c(tmp_path / "net.c", dtype="float32")
    command = ["gcc", C, *WARNINGS, "-O1", "-U__SSE2__", "-U__ARM_NEON", "-c", "net.c"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=600)


def test_the_rules_of_misra_that_the_page_names(tmp_path):
    """No others are reported, of a file with the exact FMA and of one in float32 that learns."""
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not here")
    net = dl.Network([2, 3, 1], activation="mish", output="identity", seed=0)
    net.to_c(tmp_path / "net.c", jacobian=True, header=True, arithmetic="fma")
    net.to_c(tmp_path / "small.c", name="small", dtype="float32", train=dl.Adam(0.01))
    command = ["cppcheck", "--quiet", "--std=c99", "--addon=misra", "-DDELTALOOP_SOFT_FMA"]
    command.append("-DDELTALOOP_SOFT_SUMS")
    told = subprocess.run(
        [*command, "net.c", "small.c"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    ).stderr
    found = set(re.findall(r"misra-c2012-([\d.]+)", told))
    if not found:
        pytest.skip("the add-on is not here")
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "embedded.md"
    section = page.read_text("utf-8").split("## MISRA C:2012")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\d., ]+) \|", section, re.M)
    assert found <= set(", ".join(rows).split(", "))
