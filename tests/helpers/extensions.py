"""Extensions that a test compiles itself."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import deltaloop as dl


def build(name: str, text: str, folder: Path, suffix: str = ".pyx") -> None:
    """Compile a Cython or C source to a module in this folder; skips where that cannot be."""
    linker = shlex.split(sysconfig.get_config_var("LDSHARED") or "")
    if not linker or shutil.which(linker[0]) is None:
        pytest.skip("no C compiler for extensions")
    source = folder / f"{name}{suffix}"
    source.write_text(text, encoding="utf-8")
    if suffix == ".pyx":
        pytest.importorskip("Cython")
        packages = str(Path(dl.get_include()).parents[1])
        cython = [sys.executable, "-m", "cython", "-3", "-Werror", "-I", packages, str(source)]
        subprocess.run(cython, check=True, capture_output=True)
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = [f"-I{sysconfig.get_path('include')}", f"-I{dl.get_include()}"]
    command = [*linker, "-fPIC", "-O1", *include, str(source.with_suffix(".c"))]
    subprocess.run([*command, "-o", str(target)], check=True, capture_output=True)
