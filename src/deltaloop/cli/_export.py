"""`deltaloop export`: a saved model as a C file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

import deltaloop as dl
from deltaloop._c.layers import DTYPES
from deltaloop._c.texts import CLASSES
from deltaloop._c.training import NAMED
from deltaloop._c.write import header_name
from deltaloop.cli import _types
from deltaloop.cli._reports import to_json
from deltaloop.cli._streams import say
from deltaloop.network import _read
from deltaloop.tabular import TabularModel

SUFFIXES = (".c", ".cc", ".cpp", ".cxx")

DESCRIPTION = """\
Write a saved model as one file of C: its prediction, with the scaling and, for
a model of a table, the encoding of the columns. It needs nothing else, gives
the same bytes as the model does, and is yours. Try:

    deltaloop export penguins.model penguins.c --name penguins --header
"""


def add(add_argument: Callable[..., Any]) -> None:
    """Add the arguments of the command."""
    add_argument("model", metavar="MODEL", help="file written by --output-model or Network.save")
    add_argument("file", metavar="FILE", help="the C file, such as net.c")
    add_argument(
        "--name", metavar="NAME", help="what the functions' names begin with (net; model of tables)"
    )
    add_argument("--header", action="store_true", help="also write the prototypes to a .h file")
    add_argument("--dtype", choices=DTYPES, default="float64", help="of all numbers (float64)")
    add_argument(
        "--arithmetic",
        choices=CLASSES,
        help="the results of machines with fused multiply-add or of those without (of this one)",
    )
    add_argument(
        "--jacobian", action="store_true", help="add the derivatives of the outputs by the inputs"
    )
    add_argument(
        "--casadi", action="store_true", help="add the functions that CasADi and acados call"
    )
    add_argument(
        "--train", choices=list(NAMED), help="add a function that learns, one instance a call"
    )
    add_argument(
        "--learning-rate",
        type=_types.rate,
        metavar="RATE",
        help="what --train begins with (0.01, adam 0.001)",
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    if not args.file.lower().endswith(SUFFIXES):
        args.usage_error(f"argument FILE: expected a name such as net.c, got {args.file!r}")
    if args.learning_rate is not None and args.train is None:
        args.usage_error("argument --learning-rate: it needs --train")
    _types.check_output(args, "FILE", args.file, {"the model": args.model})
    if args.header:
        _types.check_output(
            args, "FILE", header_name(args.file), {"the model": args.model}
        )  # beside it
    network, notes = _read(args.model)
    options: dict[str, Any] = {
        "dtype": args.dtype,
        "arithmetic": args.arithmetic,
        "header": args.header,
    }
    if args.name is not None:
        options["name"] = args.name
    if notes.of_table:
        for flag in ("jacobian", "casadi", "train"):
            if getattr(args, flag):
                raise ValueError(
                    f"{args.model}: is a model of a table, whose columns have no --{flag}"
                )
        TabularModel._of(network, notes).to_c(args.file, **options)
    else:
        train = args.train
        if args.learning_rate is not None:
            train = _with_rate(NAMED[train], args.learning_rate)
        network.to_c(args.file, jacobian=args.jacobian, casadi=args.casadi, train=train, **options)
    files = [args.file, *([header_name(args.file)] if args.header else [])]
    sizes = {file: os.path.getsize(file) for file in files}
    if args.json:
        say(to_json({"files": sizes}))
        return
    say("\n".join(f"{file}: {size:,} bytes" for file, size in sizes.items()))


def _with_rate(solver: dl.GradientDescent | dl.Adam, rate: float) -> dl.solvers.Solver:
    """Return a solver with another learning rate."""
    if isinstance(solver, dl.Adam):
        return dl.Adam(rate)
    return dl.GradientDescent(rate, momentum=solver.momentum)
