"""The objects of csrc never print or end the process; the extension exports its module alone."""

import re
import sys
from pathlib import Path

import pytest

from deltaloop import _core
from tests.helpers.objects import KERNELS, SOURCES, other_machine, symbols

FORBIDDEN = re.compile(
    r"""(__)?v?(|f|d|s|sn|as)printf(_chk)?   # formatted output
    | f?puts(_unlocked)? | put(c|char)(_unlocked)? | fputc | fwrite | write | perror
    | stdout | stderr
    | abort | _?exit | _Exit | quick_exit | raise | longjmp
    | __assert\w*                            # a failed assert() prints and aborts
    """,
    re.VERBOSE,
)


@pytest.fixture
def built(request: pytest.FixtureRequest, objects) -> Path:
    """The object compiled from one source of csrc."""
    machine = other_machine(request.param)
    if machine is not None:
        pytest.skip(f"{request.param.name} is for {machine}")
    return objects[request.param].result()


needs_gnu_tools = pytest.mark.skipif(
    sys.platform != "linux", reason="the options of cc and nm are those of ELF systems"
)
each_source = pytest.mark.parametrize("built", SOURCES, ids=lambda p: p.name, indirect=True)


@needs_gnu_tools
@each_source
def test_object_never_prints_or_ends_the_process(built):
    undefined = symbols(built, "--undefined-only")
    assert not {name for name in undefined if FORBIDDEN.fullmatch(name)}


@needs_gnu_tools
@each_source
def test_object_defines_nothing_outside_its_prefix(built):
    defined = symbols(built, "--defined-only", "--extern-only")
    assert not {name for name in defined if not name.startswith("mlp_")}


@needs_gnu_tools
@pytest.mark.parametrize("built", KERNELS, ids=lambda p: p.name, indirect=True)
def test_kernels_define_their_table_alone(built):
    # Code compiled for an ISA is then reached through the table only, after the check.
    assert len(symbols(built, "--defined-only", "--extern-only")) == 1


@pytest.mark.parametrize("name", ["printf", "__vfprintf_chk", "puts", "stderr", "_exit", "abort"])
def test_pattern_knows_what_is_forbidden(name):
    assert FORBIDDEN.fullmatch(name)


@pytest.mark.parametrize("name", ["malloc", "memcpy", "fesetround", "mlp_exit", "__stack_chk_fail"])
def test_pattern_knows_what_is_allowed(name):
    assert not FORBIDDEN.fullmatch(name)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the dynamic symbols of an ELF file")
def test_extension_exports_one_symbol():
    exported = symbols(Path(_core.__file__), "--dynamic", "--defined-only")
    made_by_linker = {"_init", "_fini", "_edata", "_end", "__bss_start"}
    assert exported - made_by_linker == {"PyInit__core"}
