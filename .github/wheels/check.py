"""Check wheels: what is in them, how large they are, and that two builds give the same bytes.

`python check.py WHEEL...`; with `--same OTHER`, that OTHER is WHEEL byte for byte.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path

LARGEST = 1_000_000  # bytes of a wheel by build.py
# GCC's kernels are larger, and nothing squeezes its wheels: 1,241,852 bytes on x86-64, Python 3.11.
LARGEST_BY_GCC = 1_250_000
PUBLIC = {"deltaloop/mlp.pxd", "deltaloop/include/deltaloop.h"}
SOURCES = {".a", ".c", ".h", ".o", ".pxd", ".pxi", ".pyx"}


def faults(wheel: Path, largest: int) -> list[str]:
    """Return what is wrong with a wheel, a line each."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        contents = {name: archive.read(name) for name in names}
    found = [f"{name} is a source" for name in names - PUBLIC if Path(name).suffix in SOURCES]
    found += [f"{name} is missing" for name in PUBLIC - names]
    modules = [name for name in names if re.fullmatch(r"deltaloop/_core\..*(so|pyd)", name)]
    if len(modules) != 1:
        found.append(f"{len(modules)} extension modules in place of one")
    boms = [name for name in names if re.search(r"\.dist-info/sboms/.*\.cdx\.json$", name)]
    if len(boms) != 1:
        found.append(f"{len(boms)} bills of materials in place of one")
    found += [
        f"{module} has a path of the machine that built it: {path.decode()}"
        for module in modules
        for path in re.findall(rb"/(?:tmp|home|root)/[\w./-]+", contents[module])[:3]
    ]
    if wheel.stat().st_size > largest:
        found.append(f"{wheel.stat().st_size} bytes, more than {largest}")
    return sorted(found)


def main() -> None:
    """Print a line for each wheel, and exit with 1 if one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument(
        "--by-gcc",
        action="store_const",
        dest="largest",
        const=LARGEST_BY_GCC,
        default=LARGEST,
        help="the wheels are not by build.py, so they may be larger",
    )
    parser.add_argument("--same", type=Path, help="another build of the one wheel given")
    args = parser.parse_args()
    failed = False
    for wheel in args.wheels:
        found = faults(wheel, args.largest)
        if args.same is not None and args.same.read_bytes() != wheel.read_bytes():
            found.append(f"{args.same} has other bytes")
        print(f"{wheel.stat().st_size:9d}  {wheel.name}", *found, sep="\n    ")
        failed = failed or bool(found)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
