"""Extensions that a test compiles itself."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


def build(name: str, text: str, folder: Path) -> None:
    """Compile a Cython source to a module in this folder; skips the test where that cannot be."""
    pytest.importorskip("Cython")
    linker = shlex.split(sysconfig.get_config_var("LDSHARED") or "")
    if not linker or shutil.which(linker[0]) is None:
        pytest.skip("no C compiler for extensions")
    source = folder / f"{name}.pyx"
    source.write_text(text, encoding="utf-8")
    cython = [sys.executable, "-m", "cython", "-3", "-Werror", str(source)]
    subprocess.run(cython, check=True, capture_output=True)
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    command = [*linker, "-fPIC", "-O1", include, str(source.with_suffix(".c"))]
    subprocess.run([*command, "-o", str(target)], check=True, capture_output=True)
