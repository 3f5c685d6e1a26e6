"""What all parts of a file use: names, numbers as C writes them, and text with places in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Numbers and names a line of the file may have, in characters.
WIDTH = 100

# What a function hands on where it may exist twice, and nothing where it may not.
_UNSPLIT = {"@@FIRST ": "", "@@HANDED_ON ": "", "@@HANDED": "", "@@ONLY": "void"}

# A line that a template marks is left out unless its word is among those wanted: `?word text`.
_MARKED = re.compile(r"^\?(\w+) ?(.*)$")


FMA, BASE = "fma", "base"
CLASSES = (FMA, BASE)

_HEX = re.compile(r"(?<![\w.])-?0x1(?:\.[0-9a-f]+)?p[+-]?\d+")


# Text that is none of a template's, between marks that no such text has.
_LITERAL = re.compile("\x02[^\x03]*\x03")


def literal(text: str) -> str:
    """Mark text that stays as it is when a template is filled in; `bare` takes the marks off."""
    return f"\x02{text}\x03"


def bare(text: str) -> str:
    """Return a finished text without marks."""
    return text.replace("\x02", "").replace("\x03", "")


class Names(NamedTuple):
    """How the file calls things, and how it computes."""

    prefix: str  # of functions, and in capitals of macros
    dtype: str = "float64"  # or float32
    arithmetic: str = FMA

    @property
    def real(self) -> str:
        return "double" if self.dtype == "float64" else "float"

    @property
    def split(self) -> bool:
        """Whether functions may exist twice, for processors with FMA and for others."""
        return self.dtype == "float64" and self.arithmetic == FMA

    def fill(self, text: str, *wanted: str) -> str:
        """Fill a template in.

        ``@`` is the prefix, ``@@`` that of macros, REAL the type, and ``~`` behind a number the
        type's suffix. Numbers in hexadecimal become decimal ones. A line that begins with ``?word``
        is kept if the word is wanted. What is marked by `literal` stays as it is.
        """
        kept = _LITERAL.findall(text)
        text = _LITERAL.sub("\x02\x03", text)
        lines = []
        for line in text.strip("\n").split("\n"):
            marked = _MARKED.match(line)
            if marked is None:
                lines.append(line)
            elif marked[1] in wanted:
                lines.append(marked[2])
        text = "\n".join(lines)
        if not self.split:
            for macro, plain in _UNSPLIT.items():
                text = text.replace(macro, plain)
        text = _HEX.sub(lambda found: self.number(float.fromhex(found[0])), text)
        text = text.replace("@@", f"{self.prefix.upper()}_").replace("@", f"{self.prefix}_")
        text = text.replace("~", "f" if self.real == "float" else "")
        text = re.sub(r"\bREAL\b", self.real, text)
        return re.sub("\x02\x03", lambda _: kept.pop(0), text)

    def number(self, value: float) -> str:
        """Return a number exactly: 17 digits, or 9 for float."""
        value = float(value)
        if not math.isfinite(value):
            if value != value:
                return "(double)NAN" if self.real == "double" else "NAN"
            return f"{'-' if value < 0 else ''}HUGE_VAL{'F' if self.real == 'float' else ''}"
        if self.real == "float":
            return f"{_pointed(format(np.float32(value), '.9g'))}f"
        return _pointed(format(float(value), ".17g"))

    def array(self, name: str, values: NDArray[np.float64]) -> str:
        """Return a constant array of numbers."""
        items = [self.number(value) for value in values.ravel().tolist()]
        return f"static const {self.real} {name}[{len(items)}] = {{\n{rows(items)}\n}};"


def _pointed(text: str) -> str:
    """Return a number's shortest text, which must not look like an integer."""
    return text if any(sign in text for sign in ".en") else f"{text}.0"


def rows(items: Iterable[str]) -> str:
    """Return items with commas between them, in lines that fit."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) + 2 > WIDTH - 4:
            lines.append(f"    {line}")
            line = ""
        line = f"{line} {item}," if line else f"{item},"
    lines.append(f"    {line}")
    return "\n".join(lines).removesuffix(",")


def paragraphs(*parts: str) -> str:
    """Join parts of a file by an empty line; those without text are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())
