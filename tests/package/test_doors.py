"""The tables of the pages of docs/doors name what there is.

Each piece of code in a column "deltaloop" or "instead" is an expression. Its names exist, its calls
have such arguments, and what is made of numbers and strings alone is made.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing
from pathlib import Path

import pytest

import deltaloop as dl
from deltaloop import _activations, _losses, inits, scaling
from deltaloop.cli import _parser

DOORS = Path(__file__).resolve().parents[2] / "docs" / "doors"
PAGES = sorted(path.stem for path in DOORS.glob("*.md") if path.stem != "index")

# What the names at the beginning of an expression stand for on these pages.
ROOTS: dict[str, object] = {
    "dl": dl,
    "net": dl.Network,
    "result": dl.FitResult,
    "trainer": dl.Trainer,
    "info": dl.EpochInfo,
}
WORDS = {row.name for row in (*_activations.ROWS, *_losses.ROWS)} | set(inits.NAMES)
WORDS |= set(scaling.KINDS) | {"max_epochs", "diverged", "goal"}
# Keywords whose strings are one of the words above.
NAMING = {"activation", "output", "loss", "init", "scale"}


def read(page: str) -> str:
    return (DOORS / f"{page}.md").read_text(encoding="utf-8")


def cells(text: str, heading: str) -> list[str]:
    """The cells of all tables under this heading of a column."""
    found, column = [], None
    for line in text.splitlines():
        if not line.startswith("|"):
            column = None
            continue
        row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if column is None:
            column = row.index(heading) if heading in row else -1
        elif column >= 0 and not set(row[column]) <= set("-: "):
            found.append(row[column])
    return found


def spans(page: str) -> list[str]:
    """The pieces of code of the columns that tell what deltaloop has."""
    text = read(page)
    return [
        span
        for heading in ("deltaloop", "instead")
        for cell in cells(text, heading)
        for span in re.findall(r"`([^`]+)`", cell)
    ]


def member(owner: object, name: str) -> object:
    """The attribute of this name, also of a data class that has no default for it."""
    if (owner, name) == (dl.EpochInfo, "network"):
        return dl.Network
    if name in getattr(owner, "__dataclass_fields__", {}):
        return typing.Any
    return getattr(owner, name)


def value(node: ast.expr) -> object:
    """What an expression of a table stands for; AttributeError or TypeError if there is no such."""
    if isinstance(node, ast.Name):
        return ROOTS.get(node.id, typing.Any)
    if isinstance(node, ast.Attribute):
        owner = value(node.value)
        return typing.Any if owner is typing.Any else member(owner, node.attr)
    if isinstance(node, ast.Call):
        called = value(node.func)
        assert called is not typing.Any, f"{ast.unparse(node.func)} is not known"
        arguments = [value(argument) for argument in node.args]
        keywords = {}
        for keyword in node.keywords:
            assert keyword.arg, "no ** in a table"
            keywords[keyword.arg] = value(keyword.value)
            if keyword.arg in NAMING and isinstance(keyword.value, ast.Constant):
                assert keyword.value.value in WORDS, keyword.value.value
        method = isinstance(node.func, ast.Attribute) and inspect.isclass(value(node.func.value))
        if method and not inspect.ismethod(called):
            arguments.insert(0, typing.Any)
        inspect.signature(typing.cast(typing.Any, called)).bind(*arguments, **keywords)
        if called is dl.Network.trainer:
            return dl.Trainer
        if literal(node) and not method:
            return eval(compile(ast.Expression(node), "table", "eval"), {"dl": dl})
        return typing.Any
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            value(child)
    return typing.Any


def commands() -> list[str]:
    """The commands of `deltaloop`."""
    actions = _parser._parser()._actions
    return [name for action in actions for name in action.choices or () if action.dest != "help"]


def literal(node: ast.Call) -> bool:
    """Whether a call has numbers, strings and calls of `dl` alone, and so can be made."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names == {"dl"} and not {"load", "from_onnx", "plot"} & {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
    }


@pytest.mark.parametrize("page", PAGES)
def test_tables_name_what_there_is(page):
    found = spans(page)
    assert len(found) > 20
    wrong = []
    for span in found:
        try:
            if re.fullmatch(r"deltaloop(\.\w+)+", span):
                module, _, name = span.rpartition(".")
                getattr(importlib.import_module(module), name)
                continue
            if re.fullmatch(r"deltaloop \w+", span):
                assert span.split()[1] in commands()
                continue
            if re.match(r"\w+ = net\.|result = ", span):
                span = span.partition(" = ")[2]
            tree = ast.parse(span, mode="eval").body
            if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
                assert tree.value in WORDS, f"{tree.value} is no name"
            else:
                value(tree)
        except Exception as error:
            wrong.append(f"{span}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
