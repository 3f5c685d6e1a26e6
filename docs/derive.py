"""Writes the tables of the pages that derive from the tables of the package.

Run ``python docs/derive.py``. A table stands between two lines, ``<!-- table NAME -->`` and
``<!-- end of table -->``; tests/package/test_pages.py holds the pages to what this script writes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from deltaloop._activations import ACTIVATIONS, Activation
from deltaloop._losses import LOSSES, Loss
from deltaloop.cli._parser import _parser
from deltaloop.solvers import SOLVERS, Solver

DOCS = Path(__file__).resolve().parent
TABLE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table -->\n)", re.S)


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out a table."""
    lines = [tuple(header), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def activations() -> str:
    """List function and derivative of each activation."""

    def derivative(row: Activation) -> str:
        if not row.derivative:
            return f"none: a network with {row.name} units predicts, but cannot be trained"
        return row.derivative + (", from z" if row.of == "z" else "")

    return markdown(
        ("name", "g(z)", "g'(z), as it is computed", "default initialisation"),
        (
            (f"`{row.name}`", row.formula, derivative(row), f"`{row.init}`")
            for row in ACTIVATIONS.values()
        ),
    )


def activations_elsewhere() -> str:
    """Name each activation as other libraries do."""
    return markdown(
        ("deltaloop", "ONNX", "PyTorch", "scikit-learn"),
        (
            (
                f"`{row.name}`",
                f"`{row.onnx.name}`" if row.onnx else "-",
                f"`{row.torch.name}`" if row.torch else "-",
                f"`{row.sklearn}`" if row.sklearn else "-",
            )
            for row in ACTIVATIONS.values()
        ),
    )


def losses() -> str:
    """List cost and outputs of each loss."""

    def names(row: Loss) -> str:
        with_parameter = f", `dl.{row.name.title().replace('_', '')}({row.parameter})`"
        return f'`"{row.name}"`' + (with_parameter if row.parameter else "")

    def cost(row: Loss) -> str:
        return row.formula + (
            f"; the name alone: {row.parameter} = {row.usual:g}" if row.parameter else ""
        )

    def outputs(row: Loss) -> str:
        if row.default is None:
            return "any"
        one, several = row.default
        return one if one == several else f"{several}, or one {one}"

    return markdown(
        ("name", "cost", "outputs"),
        ((names(row), cost(row), outputs(row)) for row in LOSSES.values()),
    )


def solvers() -> str:
    """List what each solver takes."""

    def penalty(name: str, kind: type[Solver]) -> str:
        return "yes" if name in kind._takes else f"no: {kind._no_penalty}"

    def yes(name: str, kind: type[Solver]) -> str:
        return "yes" if name in kind._takes else "no"

    return markdown(
        ("solver", "weights of instances", "`l2`", "`l1`", "`dropout`", "`trainer`"),
        (
            (
                f"`{kind.__name__}`",
                yes("weights", kind),
                penalty("l2", kind),
                penalty("l1", kind),
                yes("dropout", kind),
                yes("trainer", kind),
            )
            for kind in SOLVERS.values()
        ),
    )


def stop_reasons() -> str:
    """List the solvers' own reasons to stop; those of the same words share a line."""
    lines: dict[tuple[str, str], list[str]] = {}
    for kind in SOLVERS.values():
        for reason, meaning in kind._stop_reasons.items():
            lines.setdefault((reason, meaning), []).append(f"`{kind.__name__}`")
    return markdown(
        ("`stop_reason`", "solver", "meaning"),
        (
            (f'`"{reason}"`', ", ".join(kinds), meaning)
            for (reason, meaning), kinds in sorted(lines.items(), key=lambda line: line[0][0])
        ),
    )


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands by name."""
    (found,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def options(command: str) -> Callable[[], str]:
    """Return what lists the arguments of a command of the command line."""

    def table() -> str:
        parser = commands()[command]
        help_of = parser._get_formatter()._expand_help
        rows = []
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            value = str(action.metavar or "") or f"{{{','.join(action.choices or ())}}}"
            value = "" if value == "{}" else value
            named = [f"{name} {value}".strip() for name in action.option_strings] or [value]
            rows.append((", ".join(f"`{name}`" for name in named), cell(help_of(action))))
        return markdown(("argument", "what it is or does"), rows)

    return table


def cell(text: str) -> str:
    """Let a text stand in a cell of a table: bars are not borders, and pages are links.

    Options and a lone quote are code, so that no typography changes their signs.
    """
    page = re.sub(r"docs/reference/(\w+)\.md", r"[\1.md](\1.md)", text.replace("|", "\\|"))
    page = re.sub(r"(?<![\w`-])--[a-z][a-z-]*", r"`\g<0>`", page)
    return " ".join(page.replace(" ' ", " `'` ").split())


TABLES: dict[str, Callable[[], str]] = {
    "activations": activations,
    "activations_elsewhere": activations_elsewhere,
    "losses": losses,
    "solvers": solvers,
    "stop_reasons": stop_reasons,
    **{f"command_{name}": options(name) for name in commands()},
}


def derived(page: str) -> str:
    """Return the text of a page with its tables written anew."""
    return TABLE.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], page)


def main() -> None:
    """Write all pages."""
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(derived(text), encoding="utf-8")


if __name__ == "__main__":
    main()
