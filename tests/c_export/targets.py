"""The compilers and the processors on which exported C is tried: one row for each."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

WARNINGS = [
    "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Werror",
]  # fmt: skip
C, CXX = "-std=c99", "-std=c++17"


@dataclass(frozen=True)
class Target:
    """How C becomes a program, and how the program runs."""

    processor: str
    compiler: str
    options: str
    standard: str = C
    link: str = "-lm"
    emulator: str = ""
    in_slice: bool = False  # among those of which CI tries a part

    @property
    def name(self) -> str:
        return f"{self.processor}, {self.compiler} {self.standard} {self.options}"

    @property
    def missing(self) -> list[str]:
        """The programs that this machine has not got."""
        needed = [self.compiler, *self.emulator.split()[:1]]
        return [program for program in needed if shutil.which(program) is None]

    def compile(self, source: str, warn: bool) -> list[str]:
        """The command that makes an object of a file; `warn` for those that deltaloop wrote."""
        language = ["-x", "c++"] if self.standard == CXX else []
        checks = WARNINGS if warn else []
        options = [*self.options.split(), "-ffp-contract=off"]
        return [self.compiler, *language, self.standard, *checks, *options, "-c", source]

    def linked(self, objects: list[str], program: str) -> list[str]:
        return [self.compiler, *self.options.split(), *objects, "-o", program, *self.link.split()]

    def run(self, program: str) -> list[str]:
        return [*self.emulator.split(), program]


def linux(processor: str, triple: str, options: str, in_slice: bool = False) -> Target:
    """A program for Linux on another processor."""
    emulator = f"qemu-{processor}"
    return Target(processor, f"{triple}-gcc", options, C, "-static -lm", emulator, in_slice)


def board(processor: str, machine: str, cpu: str, options: str, in_slice: bool = False) -> Target:
    """A program without an operating system, on a board, which prints through its debugger."""
    link = f"--oslib=semihost --crt0=hosted -L{HERE} -T{HERE / 'mps2.ld'}"
    semihosting = "-semihosting-config enable=on,target=native"
    emulator = f"qemu-system-arm -M {machine} -nographic {semihosting} -kernel"
    sections = "-ffunction-sections -fdata-sections"
    options = f"--specs=picolibc.specs -mthumb {cpu} {options} {sections}"
    return Target(processor, "arm-none-eabi-gcc", options, C, link, emulator, in_slice)


# Arm's boards, as QEMU has them; the M4F has an FPU for float, the M7 for double too.
BOARDS = [
    ("Cortex-M3", "mps2-an385", "-mcpu=cortex-m3 -mfloat-abi=soft"),
    ("Cortex-M4F", "mps2-an386", "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard"),
    ("Cortex-M7", "mps2-an500", "-mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard"),
]

TARGETS = [
    Target("x86-64", "gcc", "-O0"),
    Target("x86-64", "gcc", "-O2", in_slice=True),
    Target("x86-64", "gcc", "-O3 -march=native", in_slice=True),
    Target("x86-64", "gcc", "-O2 -DDELTALOOP_SOFT_FMA -DDELTALOOP_SOFT_SUMS", in_slice=True),
    Target("x86-64", "gcc", "-O2 -DDELTALOOP_NO_DISPATCH"),
    Target("x86-64", "g++", "-O2", CXX, in_slice=True),
    Target("x86-64", "clang", "-O0"),
    Target("x86-64", "clang", "-O2"),
    Target("x86-64", "clang", "-O3 -march=native", in_slice=True),
    Target("x86-64", "clang++", "-O2", CXX),
    *(
        linux(processor, f"{processor}-linux-gnu", f"{level}{further}", level == "-O2")
        # By tradition GCC computes floats in double on s390x if it is to follow the standard.
        for processor, further in (
            ("aarch64", ""),
            ("riscv64", ""),
            ("s390x", " -fexcess-precision=fast"),
        )
        for level in ("-O0", "-O2", "-O3")
    ),
    *(
        board(processor, machine, cpu, level, level == "-Os")
        for processor, machine, cpu in BOARDS
        for level in ("-Os", "-O2")
    ),
]

# Of every installation of cppcheck; `unusedFunction` would ask the file to call itself.
CPPCHECK = [
    "cppcheck", "--quiet", "--std=c99", "--enable=warning,style,performance,portability",
    "--inconclusive", "--error-exitcode=1", "--suppress=missingIncludeSystem",
    "--suppress=variableScope",  # variables are declared where a function begins
    "--suppress=knownConditionTrueFalse",  # one text for all sizes: loops of one turn too
]  # fmt: skip
