"""JSON from anywhere, read strictly: in UTF-8, of limited size, each key once, no half characters.

All that files of ours hold as JSON comes through `parse`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Never

from deltaloop._files.paths import short, twice

__all__ = ["parse"]

_PARTS = re.compile(r'\\.|["\[{,]', re.DOTALL)


def parse(text: str | bytes, what: str, most_parts: int) -> Any:
    r"""Return what a JSON text says. ValueError names `what` it should have been.

    Values and brackets are counted before they are made: of "[{},{},..." each one takes some 30
    bytes of memory for a byte of text. Readers differ on a key that is there twice, on NaN, and on
    half of a character alone, such as "\ud800", which no file can hold: all are refused.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise ValueError(f"expected {what} to be JSON in UTF-8, found other bytes") from None
    _check_parts(text, what, most_parts)

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            key = twice([key for key, _ in pairs])
            raise _RefusedError(f"expected each key of {what} once, found {short(str(key))} twice")
        return found

    def constant(name: str) -> Never:
        raise _RefusedError(f"expected {what} to be JSON, found {name}")

    # RecursionError is how the parser ends on thousands of nested brackets.
    try:
        found = json.loads(text, object_pairs_hook=members, parse_constant=constant)
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        raise ValueError(f"expected {what} to be JSON, found {short(text)}") from None
    if r"\ud" in text or r"\uD" in text:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise ValueError(
                f"expected {what} to be text, found half of a character (a lone surrogate)"
            ) from None
    return found


class _RefusedError(ValueError):
    """What JSON's parser would take."""


def _check_parts(text: str, what: str, most: int) -> None:
    """ValueError for more than so many strings, commas and brackets that open."""
    parts, quoted = 0, False
    for match in _PARTS.finditer(text):
        if match[0] == '"':
            quoted = not quoted
            parts += quoted
        elif not quoted:
            parts += 1
        if parts > most:
            raise ValueError(
                f"expected {what} to have at most {most} values and brackets, found more"
            )
