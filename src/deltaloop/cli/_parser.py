"""The command line: `deltaloop train`, `predict`, `export` and `info`.

Results go to the standard output, messages to the standard error. Exit status: 0, 1 for what is
wrong with data, files or training, 2 for wrong arguments, 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

import deltaloop as dl
from deltaloop._activations import TRAINABLE
from deltaloop._losses import ANY_OUTPUT, LOSSES, TASKS, WITH_PARAMETER, of_task
from deltaloop.cli import _arrays, _export, _streams, _types
from deltaloop.cli._signals import Terminated, served
from deltaloop.cli._solvers import (
    AUTO,
    BATCH_SIZE,
    EPOCHS,
    MOMENTUM,
    RATE_PER_INSTANCE,
    SCHEDULES,
)
from deltaloop.inits import NAMES
from deltaloop.solvers import FULL_BATCH, MINI_BATCH, SOLVERS
from deltaloop.tabular._estimator import NEW_CATEGORIES

__all__ = ["main"]

_TRAIN_DESCRIPTION = """\
Train a network on rows and measure it on rows held out.

DATA is a table, a NumPy file, or a word for data that ship with the package:
penguins, a table of 344 birds, or digits, 1,797 images of handwritten digits.

A table is a file with names of columns: CSV and other text, Parquet, Feather,
Excel, OpenDocument, JSON, SQLite or MATLAB, compressed or not; --target names
the one to predict. Text, booleans and whole numbers of few different values
are classes, other numbers values. Categories, dates and missing values in the
other columns are encoded (docs/reference/tables.md). A saved model takes raw
rows. Try:

    deltaloop train penguins --target species --output-model penguins.model
    deltaloop predict penguins.model penguins

The report says how good the model is on rows that it has not seen, beside the
simplest guess there is: always the commonest class, or the mean.

A .npz file has two arrays: X, shape (n, inputs), and y. Integers, strings or
booleans in y, shape (n,), are classes: softmax outputs, cross-entropy. Floats
in y, shape (n,) or (n, k), are values to predict: identity outputs, squared
error. Inputs (and values) are standardised by the mean and the standard
deviation of the training rows; a saved model contains that scaling, takes raw
inputs and gives raw values.
"""

_PREDICT_DESCRIPTION = """\
Print a model's prediction for each row, one a line: the class, or the values
of the outputs.

FILE is a table with the columns that the model was trained on, in any order;
others do not matter. For a model of arrays it is a NumPy .npz file with an
array X, shape (n, inputs), or a .npy file of that array alone, or the word
digits. With the target's column in the table, or an array y in the .npz file,
the accuracy or R^2 is printed on the standard error.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; `sys.argv[1:]` by default.

    Returns
    -------
    int
        The exit status: 0, 1 for what is wrong with data, files or training, 130 after Ctrl-C, 143
        after SIGTERM.

    Raises
    ------
    SystemExit
        After `--help` and `--version` (status 0) and for wrong arguments (status 2).
    """
    try:
        try:
            args = _parser().parse_args(argv)
        except SystemExit:
            _streams.flush()  # help that cannot be written is an error
            raise
        with served():
            args.run(args)
            _streams.flush()
        return 0
    except Terminated:
        return _fail("terminated", 143)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except MemoryError:
        return _fail("not enough memory", 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and error.filename == _streams.OUTPUT:
            return 1  # the reader has gone, as in `| head`
        named = error.filename is not None and error.strerror is not None
        return _fail(f"{error.filename}: {error.strerror}" if named else str(error), 1)
    except (ImportError, TypeError, ValueError) as error:
        return _fail(str(error), 1)


def _fail(message: str, status: int) -> int:
    _streams.note(f"deltaloop: {' '.join(message.split())}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deltaloop", description="Train multilayer perceptrons and predict with them."
    )
    parser.add_argument("--version", action="version", version=f"deltaloop {dl.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(_command(commands, "train", _arrays.train, "train a network", _TRAIN_DESCRIPTION))
    predict = _command(
        commands, "predict", _arrays.predict, "use a saved model", _PREDICT_DESCRIPTION
    )
    predict.add_argument("model", metavar="MODEL", help="file written by --output-model")
    predict.add_argument("file", metavar="FILE", help="a table, a .npz file with X, or a .npy file")
    _add_files(predict.add_argument)
    predict.add_argument(
        "--output",
        metavar="PATH",
        help="write the rows and, behind their columns, the predictions to a table (.csv, .tsv, "
        ".parquet) instead of printing them",
    )
    predict.add_argument(
        "--only-predictions",
        action="store_true",
        help="write the predictions to --output without the columns of FILE",
    )
    predict.add_argument(
        "--probabilities",
        action="store_true",
        help="also give the probability of each class; printed, the lines have commas and a header",
    )
    predict.add_argument(
        "--new-categories",
        choices=NEW_CATEGORIES,
        default="error",
        help="categories that the model does not know are an error, or count as missing "
        "(default: error)",
    )
    export = _command(
        commands, "export", _export.run, "write a saved model as C", _export.DESCRIPTION
    )
    _export.add(export.add_argument)
    info_text = "Describe the installation, or a model file."
    info = _command(
        commands, "info", _arrays.info, "describe the installation or a model", info_text
    )
    info.add_argument("model", nargs="?", metavar="MODEL", help="file written by --output-model")
    return parser


def _command(
    commands: Any, name: str, run: Callable[..., None], text: str, description: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run, usage_error=command.error)
    return command


def _joined(parts: Sequence[str], last: str) -> str:
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _called(name: str) -> str:
    """Return a solver's name, with what it is short for."""
    long = SOLVERS[name]._called
    return f"{name} ({long})" if long else name


def _parameter(name: str) -> str:
    """Return what the parameter of a loss is called, and its value by default."""
    row = LOSSES[name]
    units = ", in standardised units" if row.below == math.inf else ""
    return f"{row.parameter} of {name} ({row.usual:g}{units})"


def _add_files(add: Callable[..., Any]) -> None:
    """Add the options on text files, which both commands on tables have."""
    add(
        "--separator",
        type=_types.separator,
        metavar="SIGN",
        help="of a text file: what stands between entries: , ; | or tab (what fits all records)",
    )
    add("--encoding", metavar="NAME", help="of a text file: such as cp1252 or latin-1 (UTF-8)")


def _add_train(train: argparse.ArgumentParser) -> None:
    add = train.add_argument
    dropping = [name for name, kind in SOLVERS.items() if "dropout" in kind._takes]
    add(
        "data",
        metavar="DATA",
        help="a table (.csv, .xlsx, .parquet, ...), a .npz file with arrays X and y, penguins or "
        "digits",
    )
    add(
        "--target",
        action="append",
        metavar="COLUMN",
        help="of a table: the column to predict; several times for several values",
    )
    add(
        "--task",
        choices=TASKS,
        help="of a table: classification or regression (found out from the target)",
    )
    add(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="of a table: a column to leave out; may be given several times",
    )
    add(
        "--memory",
        type=_types.memory,
        metavar="SIZE",
        help="of Parquet files, or a folder of them: what rows may take, such as 500MB; those "
        "that are large beside that are read in blocks (1GB)",
    )
    add(
        "--missing",
        action="append",
        default=[],
        metavar="ENTRY",
        help="of a table: an entry that says that there is no value, besides an empty one, NA, n/a "
        "and the like; may be given several times",
    )
    add(
        "--decimal",
        choices=[".", ","],
        help="of a table: the decimal sign in numbers (what all entries of a column tell)",
    )
    add(
        "--thousands",
        choices=[",", ".", " ", "'", "_"],
        metavar="SIGN",
        help="of a table: the sign between thousands: , . ' _ or a space (what the entries tell)",
    )
    add(
        "--dates",
        choices=["day-first", "month-first"],
        help="of a table: what 03/04/2026 means (what all entries of a column tell)",
    )
    add(
        "--text",
        action="append",
        default=[],
        metavar="COLUMN",
        help="of a table: a column that stays text, though its entries look like numbers or dates; "
        "may be given several times",
    )
    add(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="of a table: a column to learn from, though it seems to number the rows; may be given "
        "several times",
    )
    _add_files(add)
    add(
        "--hidden",
        type=_types.hidden,
        default=(64,),
        metavar="SIZES",
        help="units of the hidden layers, as in 64 or 64,32; none for no hidden layer (64)",
    )
    add(
        "--activation",
        choices=TRAINABLE,
        default="tanh",
        metavar="NAME",
        help=f"of the hidden units: {_joined(TRAINABLE, 'or')} (tanh)",
    )
    add(
        "--loss",
        choices=[*of_task("regression"), *of_task("classification")],
        metavar="NAME",
        help=f"of values: {', '.join(ANY_OUTPUT)}, or poisson for counts, with exp outputs and "
        f"unscaled; of classes: {', '.join(of_task('classification'))} (the first, or this one)",
    )
    add(
        "--loss-parameter",
        type=_types.parameter,
        metavar="VALUE",
        help=", or ".join(_parameter(name) for name in WITH_PARAMETER),
    )
    add(
        "--init",
        choices=NAMES,
        metavar="NAME",
        help="of the parameters: " + ", ".join(NAMES) + " (what suits the activation)",
    )
    add(
        "--residual",
        action="store_true",
        help="hidden layers as wide as the layer before them add its activation to their own",
    )
    add(
        "--solver",
        type=_types.solvers,
        metavar="NAME",
        help=f"{_joined(MINI_BATCH, 'and')} step along mini-batches; the others along all training "
        f"rows at once: {_joined([_called(name) for name in FULL_BATCH], 'and')}; several, as in "
        f"adam,lm, take turns; {AUTO} chooses by the sizes of data and network (gd; {AUTO} for "
        "tables)",
    )
    add(
        "--epochs",
        type=_types.list_of(_types.count),
        metavar="N",
        help="passes over the training rows, at most, of the solver or of each one, as in 50,200; "
        f"without it --solver {AUTO} chooses the number too ({EPOCHS})",
    )
    add(
        "--option",
        "-o",
        type=_types.option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of the solver in Python, as in damping_rule=trust_region or "
        "clip_norm=1; may be given several times",
    )
    add(
        "--schedule",
        type=_types.schedule,
        metavar="NAME[,OPTION=VALUE]",
        help="of the learning rate, with the arguments that it has in Python: "
        + ", ".join(SCHEDULES)
        + ", as in step,epochs=30,gamma=0.5",
    )
    add(
        "--learning-rate",
        type=_types.rate,
        metavar="RATE",
        help="step along the gradient, which is a sum over the rows of a batch "
        f"({RATE_PER_INSTANCE} / batch size); with adam and adamw about the size of a step (0.001)",
    )
    add(
        "--momentum",
        type=_types.momentum,
        metavar="MU",
        help=f"part of the last step that is kept by gd, from 0 to below 1 ({MOMENTUM})",
    )
    add(
        "--batch-size",
        type=_types.count,
        metavar="N",
        help=f"rows a step of {_joined(MINI_BATCH, 'or')} ({BATCH_SIZE}, or all training rows "
        "where they are fewer)",
    )
    add(
        "--l1",
        type=_types.strength,
        default=0.0,
        metavar="X",
        help="penalty X sum |w| of the cost (0)",
    )
    add(
        "--l2",
        type=_types.strength,
        metavar="X",
        help="penalty X/2 sum w^2 (0; for tables what suits rows held back, see "
        "docs/reference/tables.md)",
    )
    add(
        "--dropout",
        type=_types.list_of(_types.probability),
        default=[0.0],
        metavar="P",
        help="probability with which units are dropped from a training step of "
        f"{_joined(dropping, 'or')}, of all hidden layers or of each: 0.2,0.5 (0)",
    )
    add(
        "--class-weight",
        choices=["balanced"],
        help="balanced: all classes count the same, however many rows they have",
    )
    add(
        "--validation",
        type=_types.fraction,
        metavar="F",
        help="part of the training rows to watch the cost on after each epoch",
    )
    add(
        "--patience",
        type=_types.count,
        metavar="N",
        help="stop when N epochs in a row have not lowered that cost, and keep the best model; "
        "needs --validation",
    )
    add(
        "--tol",
        type=_types.strength,
        metavar="X",
        help="stop when the cost changes by less than this (1e-8; for tables 1e-5 a training row, "
        "where the solver is chosen and it is L-BFGS)",
    )
    add("--goal", type=_types.strength, metavar="X", help="stop when the cost is at most this")
    add("--max-time", type=_types.rate, metavar="S", help="stop after S seconds")
    add("--threads", type=_types.count, metavar="N", help="at most so many (all CPUs)")
    add(
        "--test-fraction",
        type=_types.part,
        default=0.2,
        metavar="F",
        help="part of the rows to hold out: the last ones of a shuffle, or 0 for none (0.2)",
    )
    add(
        "--seed",
        type=_types.seed,
        default=0,
        metavar="N",
        help="of the shuffle, the initial weights and the order of the rows (0); the same seed "
        "gives the same model, bit for bit",
    )
    add(
        "--checkpoint",
        metavar="PATH",
        help="keep all that the training needs to go on in this file, should it be killed: written "
        "before the first round, from time to time, and after Ctrl-C or SIGTERM",
    )
    add(
        "--checkpoint-every",
        type=_types.strength,
        default=60.0,
        metavar="S",
        help="write it every S seconds (60)",
    )
    add(
        "--resume",
        metavar="PATH",
        help="go on from such a file, with the same arguments and the same data, to the model of a "
        "training that never stopped; if it is that of --checkpoint and there is none yet, begin",
    )
    add(
        "--output-model",
        metavar="PATH",
        help="save the model as a safetensors file; after Ctrl-C or SIGTERM the model so far",
    )
    add(
        "--verbose",
        action="store_true",
        help="also print the layers, the solver, the penalty and the cost",
    )
    add(
        "--plot",
        metavar="PATH",
        help="draw the learning curve and how held-out rows are predicted: .png, .svg or .pdf",
    )
