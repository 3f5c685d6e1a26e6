"""J^T J of Levenberg and Marquardt's method, on one core: percent of the multiply-adds at best.

    python benchmarks/gram.py

gram.c does it, linked to a build of the core.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path


def main() -> None:
    """J^T J on one core, by gram.c and machine.c."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        configure = ["cmake", "-S", root, "-B", folder, "-DDELTALOOP_C_TESTS=OFF"]
        subprocess.run(configure, **quiet)
        subprocess.run(["cmake", "--build", folder], **quiet)
        program = f"{folder}/gram"
        sources = [root / "benchmarks" / file for file in ("gram.c", "machine.c")]
        compiler = [os.environ.get("CC", "cc"), "-O2", "-ffp-contract=fast", "-I", root / "csrc"]
        libraries = [f"{folder}/libdeltaloop_core.a", "-lm", "-lpthread"]
        subprocess.run([*compiler, *sources, *libraries, "-o", program], check=True)
        out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    print("| ISA | parameters | J^T J, µs | GFLOP/s | of the peak |")
    print("| --- | --: | --: | --: | --: |")
    for line in out.splitlines():
        isa, N, us, rate, share = line.split()
        print(f"| {isa} | {N} | {float(us):.1f} | {float(rate):.1f} | {float(share):.0f} % |")


if __name__ == "__main__":
    main()
