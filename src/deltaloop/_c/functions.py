"""The functions that a file needs: those that its text names, and what they need themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deltaloop._c import arithmetic, functions32, functions64
from deltaloop._c.texts import Names, paragraphs

# What arithmetic.fma needs.
_BITS = ("bits", "real")

# Those whose derivative is a result of its own, which feedforward keeps.
KEPT = ("silu", "gelu", "mish")

# Those that forward.py and jacobian.py write by themselves.
_BY_HAND = ("identity", "softmax")


def check(activations: Iterable[str], dtype: str, derivatives: bool) -> None:
    """Raise ValueError if one of the activations of layers 1, 2, ... is not written in C."""
    known = _known(dtype)
    for l, name in enumerate(activations, start=1):
        if name in _BY_HAND:
            continue
        slope = f"{name}_both" if name in KEPT else f"{name}_delta"
        for function in (name, slope) if derivatives else (name,):
            if function not in known:
                raise ValueError(
                    f"a C file needs a function for each activation, and the {name} units of "
                    f"layer {l} have no {function} in {dtype}; write it in "
                    f"deltaloop/_c/functions{dtype[-2:]}.py"
                )


def _known(dtype: str) -> dict[str, str]:
    """Return the functions of a type by their names."""
    return functions64.FUNCTIONS if dtype == "float64" else functions32.FUNCTIONS


def needed(names: Names, text: str) -> str:
    """Return the functions that a text names, before it those they need; see `Names.fill`."""
    known = _known(names.dtype)
    found: set[str] = set()
    todo = list(_named(known, text))
    while todo:
        name = todo.pop()
        found.add(name)
        todo += _named(known, known[name]) - found
    bits = [names.fill(known[name]) for name in _BITS if name in found or names.split]
    if not found.intersection(_BITS) and names.split:
        bits = [arithmetic.in_software(names, paragraphs(*bits))]
    rest = _ordered(known, found - set(_BITS))
    return paragraphs(*bits, arithmetic.fma(names), *(names.fill(known[name]) for name in rest))


def _ordered(known: dict[str, str], found: Iterable[str]) -> list[str]:
    """Return functions behind those that they need."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for other in sorted(_named(known, known[name]) - {name}):
                visit(other)
            order.append(name)

    for name in known:
        if name in found:
            visit(name)
    return [name for name in order if name not in _BITS]


def _named(known: dict[str, str], text: str) -> set[str]:
    return {name for name in re.findall(r"(?<![@\w])@(\w+)\(", text) if name in known}
