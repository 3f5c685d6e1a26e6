"""What the proof found on other processors, tried here."""

import shutil
import subprocess

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
