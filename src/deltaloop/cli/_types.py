"""Arguments of the command line from text, and what is said about wrong ones."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from deltaloop import _scalars
from deltaloop._files import atomic, state
from deltaloop.cli._solvers import AUTO, SCHEDULES, SOLVERS

__all__ = [
    "check_checkpoint",
    "check_output",
    "count",
    "fraction",
    "hidden",
    "list_of",
    "memory",
    "momentum",
    "option",
    "parameter",
    "part",
    "probability",
    "rate",
    "schedule",
    "seed",
    "separator",
    "solvers",
    "strength",
]


def _checked(
    kind: type[int] | type[float], accepts: Callable[[Any], bool], expected: str
) -> Callable[[str], Any]:
    """Return a converter of an argument; argparse puts the argument's name before its message."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return convert


count = _checked(int, lambda value: value >= 1, "a whole number from 1")
seed = _checked(int, lambda value: value >= 0, "a whole number from 0")
rate = _checked(float, lambda value: 0 < value < math.inf, "a finite number above 0")
parameter = _checked(float, lambda value: 0 < value < math.inf, "a finite number above 0")
fraction = _checked(float, lambda value: 0 < value < 1, "a number between 0 and 1")
strength = _checked(float, lambda value: 0 <= value < math.inf, "a finite number from 0")
part = _checked(float, lambda value: 0 <= value < 1, "a number from 0 to below 1")
momentum = probability = part


def memory(text: str) -> int:
    try:
        return _scalars.size("a size", text)
    except ValueError as error:
        message = str(error).removeprefix("a size must be ")
        raise argparse.ArgumentTypeError(f"expected {message}") from None


def separator(text: str) -> str:
    found = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(found) != 1 or not found.isascii() or found.isalnum() or found in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one sign, such as ; or tab, got {text!r}")
    return found


def hidden(text: str) -> tuple[int, ...]:
    if text.strip() in ("", "none"):
        return ()
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            f"expected sizes from 1 separated by commas, or none, got {text!r}"
        )
    return sizes


def list_of(of: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a converter of values separated by commas."""
    return lambda text: [of(part) for part in text.split(",")]


def solvers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SOLVERS and names != [AUTO]:
            known = f"{', '.join(SOLVERS)}, some of them separated by commas, or {AUTO}"
            raise argparse.ArgumentTypeError(f"expected {known}, got {text!r}")
    return names


def _value(text: str) -> Any:
    """Return what a value given as text stands for: none, true, false, a number or a name."""
    known = {"none": None, "true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, _value(value)


def schedule(text: str) -> tuple[str, dict[str, Any]]:
    name, *options = text.split(",")
    if name not in SCHEDULES:
        raise argparse.ArgumentTypeError(f"expected {', '.join(SCHEDULES)}, got {name!r}")
    return name, dict(option(part) for part in options)


def check_output(
    args: argparse.Namespace,
    flag: str,
    path: str | None,
    used: Mapping[str, str | None],
    others: tuple[str, ...] = (),
    needed: bool = True,
) -> None:
    """Refuse a file that could not be written, or is in use, before time is spent on training.

    Names that end in one of `others` are those of files of another kind. One that is not `needed`
    may be written when there is time for it.
    """
    if path is None:
        return
    directory = os.path.dirname(path) or "."
    if path == "" or os.path.isdir(path):
        args.usage_error(f"argument {flag}: expected the name of a file, got {path!r}")
    if not os.path.isdir(directory):
        args.usage_error(f"argument {flag}: there is no directory {directory!r}")
    for what, other in used.items():
        if other is not None and atomic.is_same(path, other):
            args.usage_error(f"argument {flag}: expected another file than {what}, {other!r}")
    if path.lower().endswith(others):
        args.usage_error(
            f"argument {flag}: expected a name such as model.safetensors, got {path!r}"
        )
    if not needed:
        return
    try:
        atomic.check(path)
    except OSError as error:
        args.usage_error(f"argument {flag}: cannot write to {path!r}: {error.strerror or error}")
    except ValueError as error:
        args.usage_error(f"argument {flag}: {error}")


def check_checkpoint(args: argparse.Namespace) -> None:
    """Refuse to replace a file that is no checkpoint."""
    if args.checkpoint is None:
        return
    try:
        state.check_free(args.checkpoint)
    except ValueError as error:
        args.usage_error(f"argument --checkpoint: {error}")
    except OSError as error:
        args.usage_error(
            f"argument --checkpoint: cannot read {args.checkpoint!r}: {error.strerror or error}"
        )
