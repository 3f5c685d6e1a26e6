"""The objects of csrc never print or end the process; the extension exports its module alone."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deltaloop import _core

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "csrc").rglob("*.c"))
KERNELS = [path for path in SOURCES if path.name.startswith("kernels_")]
OPTIONS = [
    "-std=c11",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    f"-I{ROOT / 'csrc'}",
]

FORBIDDEN = re.compile(
    r"""(__)?v?(|f|d|s|sn|as)printf(_chk)?   # formatted output
    | f?puts(_unlocked)? | put(c|char)(_unlocked)? | fputc | fwrite | write | perror
    | stdout | stderr
    | abort | _?exit | _Exit | quick_exit | raise | longjmp
    | __assert\w*                            # a failed assert() prints and aborts
    """,
    re.VERBOSE,
)


def _compiler() -> str:
    name = os.environ.get("CC", "cc").split()[0]
    if shutil.which(name) is None:
        pytest.skip(f"no C compiler named {name}")
    return name


def _isa_options() -> dict[str, tuple[str, list[str]]]:
    """The machine and the options of each kernels_<isa>.c, from the lines of CMakeLists.txt."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^deltaloop_add_isa\((\w+)\s+(\w+)([^)]*)\)", text, re.MULTILINE)
    return {f"kernels_{isa}.c": (machine, options.split()) for machine, isa, options in lines}


def _symbols(path: Path, *options: str) -> set[str]:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm")
    done = subprocess.run([nm, *options, str(path)], check=True, capture_output=True, text=True)
    return {line.split()[-1].partition("@")[0] for line in done.stdout.splitlines() if line}


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object compiled from one source of csrc, once for all tests of it."""
    source: Path = request.param
    machine, options = _isa_options().get(source.name, (platform.machine(), []))
    if machine != platform.machine():
        pytest.skip(f"{source.name} is for {machine}")
    target = tmp_path_factory.mktemp("built") / "object.o"
    command = [_compiler(), *OPTIONS, *options, "-c", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


needs_gnu_tools = pytest.mark.skipif(
    sys.platform != "linux", reason="the options of cc and nm are those of ELF systems"
)
each_source = pytest.mark.parametrize("built", SOURCES, ids=lambda p: p.name, indirect=True)


@needs_gnu_tools
@each_source
def test_object_never_prints_or_ends_the_process(built):
    undefined = _symbols(built, "--undefined-only")
    assert not {name for name in undefined if FORBIDDEN.fullmatch(name)}


@needs_gnu_tools
@each_source
def test_object_defines_nothing_outside_its_prefix(built):
    defined = _symbols(built, "--defined-only", "--extern-only")
    assert not {name for name in defined if not name.startswith("mlp_")}


@needs_gnu_tools
@pytest.mark.parametrize("built", KERNELS, ids=lambda p: p.name, indirect=True)
def test_kernels_define_their_table_alone(built):
    # Code compiled for an ISA is then reached through the table only, after the check.
    assert len(_symbols(built, "--defined-only", "--extern-only")) == 1


@pytest.mark.parametrize("name", ["printf", "__vfprintf_chk", "puts", "stderr", "_exit", "abort"])
def test_pattern_knows_what_is_forbidden(name):
    assert FORBIDDEN.fullmatch(name)


@pytest.mark.parametrize("name", ["malloc", "memcpy", "fesetround", "mlp_exit", "__stack_chk_fail"])
def test_pattern_knows_what_is_allowed(name):
    assert not FORBIDDEN.fullmatch(name)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the dynamic symbols of an ELF file")
def test_extension_exports_one_symbol():
    exported = _symbols(Path(_core.__file__), "--dynamic", "--defined-only")
    made_by_linker = {"_init", "_fini", "_edata", "_end", "__bss_start"}
    assert exported - made_by_linker == {"PyInit__core"}
