"""Every kernel has a row in a C test beside this one: it is checked, and timed, on each ISA."""

import re

from tests.helpers.objects import CSRC, ROOT


def test_every_kernel_has_a_row():
    header = (CSRC / "kernels" / "kernels.h").read_text(encoding="utf-8")
    table = re.search(r"^struct mlp_kernels \{$.*?^\};$", header, re.MULTILINE | re.DOTALL)
    kernels = set(re.findall(r"\(\*(\w+)\)\(", table[0]))
    tests = (ROOT / "tests" / "kernels").glob("test_*.c")
    rows = re.compile(r'^    \{"(\w+)", (?:time_\w+|NULL), \{test_', re.MULTILINE)
    found = {name for path in tests for name in rows.findall(path.read_text(encoding="utf-8"))}
    assert len(kernels) > 20
    assert kernels == found
