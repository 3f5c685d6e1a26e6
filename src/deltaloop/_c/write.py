"""Writes a network as a C file: what may be asked for, and the parts put together."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np

from deltaloop import _core, _scalars, losses
from deltaloop._arguments import layers as _layers
from deltaloop._c import arithmetic as _arithmetic
from deltaloop._c import (
    backward,
    casadi,
    costs,
    entries,
    forward,
    functions,
    jacobian,
    training,
    vectors,
)
from deltaloop._c import layers as _text_layers
from deltaloop._c.front import Front
from deltaloop._c.labels import quoted
from deltaloop._c.layers import DTYPES, Layer, Plain
from deltaloop._c.texts import BASE, CLASSES, FMA, Names, bare, paragraphs
from deltaloop._files.atomic import write_bytes
from deltaloop._files.header import check_finite
from deltaloop._files.paths import naming, path_name
from deltaloop.solvers import Adam, GradientDescent

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")
_RESERVED = frozenset(
    (
        "auto", "break", "case", "char", "const", "continue", "default",
        "do", "double", "else", "enum", "extern", "float", "for",
        "goto", "if", "inline", "int", "long", "register", "restrict",
        "return", "short", "signed", "sizeof", "static", "struct", "switch",
        "typedef", "union", "unsigned", "void", "volatile", "while", "and",
        "and_eq", "asm", "bitand", "bitor", "bool", "catch", "class",
        "compl", "concept", "delete", "dynamic_cast", "explicit", "export", "false",
        "friend", "mutable", "namespace", "new", "noexcept", "not", "nullptr",
        "operator", "or", "or_eq", "private", "protected", "public", "template",
        "this", "throw", "true", "try", "typeid", "typename", "using",
        "virtual", "wchar_t", "xor", "xor_eq", "main", "mlp",
    )
)  # fmt: skip

# Functions, types and macros of the C library: no function of a user's may be called so.
_TAKEN = frozenset(
    (
        "abort", "abs", "acos", "acosh", "asin", "asinh", "assert", "atan", "atan2",
        "atanh", "atexit", "atof", "atoi", "bcmp", "bcopy", "bzero", "calloc", "cbrt",
        "ceil", "copysign", "cos", "cosh", "div", "drem", "environ", "eof", "erf", "erfc",
        "errno", "exit", "exp", "exp10", "exp2", "expm1", "fabs", "fdim", "ffs", "finite",
        "floor", "fma", "fmax", "fmin", "fmod", "fopen", "fpclassify", "free", "frexp",
        "gamma", "getenv", "hypot", "ilogb", "index", "infinity", "int16_t", "int32_t",
        "int64_t", "int8_t", "intptr_t", "isfinite", "isinf", "isnan", "isnormal", "j0",
        "j1", "jn", "labs", "ldexp", "ldiv", "lgamma", "linux", "llabs", "llrint",
        "llround", "log", "log10", "log1p", "log2", "logb", "lrint", "lround", "malloc",
        "memccpy", "memchr", "memcmp", "memcpy", "memmove", "memset", "modf", "nan",
        "nearbyint", "nextafter", "null", "offsetof", "pow", "printf", "ptrdiff_t",
        "putenv", "puts", "qsort", "rand", "realloc", "remainder", "remove", "remquo",
        "rename", "rindex", "rint", "round", "scalb", "scalbln", "scalbn", "setenv",
        "signbit", "significand", "sin", "sincos", "sinh", "size_t", "snprintf",
        "sprintf", "sqrt", "srand", "stdin", "stdout", "stderr", "strcat", "strchr",
        "strcmp", "strcpy", "strdup", "strlen", "strncmp", "strncpy", "strstr", "strtod",
        "strtol", "system", "tan", "tanh", "tgamma", "time", "trunc", "uint16_t",
        "uint32_t", "uint64_t", "uint8_t", "uintptr_t", "unix", "y0", "y1", "yn",
    )
)  # fmt: skip

_TOP = """
/* {file} - a multilayer perceptron, {layers}: {activations}.
 *
 * Made by deltaloop {version}. This text is yours: 0BSD, see the end of this comment.
 * Arithmetic: {dtype}, class "{arithmetic}"{class_text}.
{promise}
{note} *
 * C99, or C++17. Compile it with -ffp-contract=off. No allocation, no input or output, no global
 * data that change; every function may be called by many threads at a time.
 *
 * Permission to use, copy, modify, and/or distribute this text for any purpose with or without fee
 * is hereby granted. THE TEXT IS PROVIDED "AS IS" AND THE AUTHORS DISCLAIM ALL WARRANTIES WITH
 * REGARD TO IT, INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT ARE
 * THEY LIABLE FOR ANY DAMAGES THAT RESULT FROM ITS USE. */
"""

_DECLARED = """
#define @@INPUTS {inputs}
#define @@OUTPUTS {outputs}
#define @@WORKSPACE {workspace} /* numbers that @predict needs to work with */

/* y (@@OUTPUTS) from x (@@INPUTS); the workspace (@@WORKSPACE) need not be set. */
void @predict(const REAL *x, REAL *y, REAL *workspace);

/* 0, or the number of the first of {vectors} vectors for which @predict gives wrong bytes. */
int @self_test(void);
"""

_C_PLUS_PLUS = """
#ifdef __cplusplus
extern "C" {{
#endif

{text}

#ifdef __cplusplus
}}
#endif
"""


class Options(NamedTuple):
    """What a file is to have."""

    names: Names
    header: bool = False
    jacobian: bool = False
    casadi: bool = False
    train: GradientDescent | Adam | None = None


def options(
    *,
    name: object,
    dtype: object,
    arithmetic: object,
    header: object,
    jacobian: object = False,
    casadi: object = False,
    train: object = None,
) -> Options:
    """Check the arguments. TypeError or ValueError name the one that is wrong."""
    text = _word("name", name)
    if _NAME.fullmatch(text) is None or text.lower() in _RESERVED:
        raise ValueError(
            "name must be an identifier of C, at most 48 letters, digits and underscores of which "
            f"the first is a letter, and no word of C or C++, got {text!r}"
        )
    kind = _one_of("dtype", dtype, DTYPES)
    if arithmetic is None:
        given = BASE if _core.isa() == BASE else FMA
    else:
        given = _one_of("arithmetic", arithmetic, CLASSES)
    interface = _scalars.flag("casadi", casadi)
    if interface and text.lower() in _TAKEN:
        raise ValueError(
            f"casadi=True adds a function that is called {text}, as one of the C library is; give "
            "another name"
        )
    if interface and kind != "float64":
        raise ValueError(f"casadi=True needs dtype='float64', CasADi's type, got dtype={kind!r}")
    return Options(
        Names(text, kind, given),
        _scalars.flag("header", header),
        _scalars.flag("jacobian", jacobian) or interface,
        interface,
        None if train is None else training.solver_of(train),
    )


def _word(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, got {type(value).__name__}")
    return value


def _one_of(what: str, value: object, known: tuple[str, ...]) -> str:
    text = _word(what, value)
    if text not in known:
        raise ValueError(f"{what} must be {' or '.join(map(repr, known))}, got {text!r}")
    return text


def plain_of(network: _core.Core, dtype: str) -> Plain:
    """Return a network as plain layers. ValueError if a number is none of the type."""
    skips = _layers.skips(network.layers) if network.residual else ()
    activations = (*network.activation, network.output)
    views = _layers.views(network.layers, network._parameters)
    found = []
    for l, (w, b, activation) in enumerate(zip(*views, activations, strict=True), start=1):
        for what, values in ((f"weights.{l}", w), (f"biases.{l}", b)):
            check_finite(what, values)
            _check_range(what, values, dtype)
        found.append(Layer(w, b, activation, l in skips))
    scaling, loss = network._scaling, losses._parts(network.loss)
    pairs: list[tuple[_text_layers.Floats, _text_layers.Floats] | None] = []
    for side in ("input", "output"):
        if scaling is None or not getattr(scaling, f"scales_{side}s"):
            pairs.append(None)
            continue
        pair = getattr(scaling, f"{side}_offset"), getattr(scaling, f"{side}_scale")
        _check_range(f"scaling.{side}_offset", pair[0], dtype)
        _check_range(f"scaling.{side}_scale", pair[1], dtype, positive=True)
        pairs.append(pair)
    return Plain(tuple(found), pairs[0], pairs[1], *loss)


def _check_range(
    what: str, values: _text_layers.Floats, dtype: str, positive: bool = False
) -> None:
    """Raise ValueError if a number is too large for float32, or a scale becomes 0 in it."""
    if dtype == "float64":
        return
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    wrong = np.isfinite(values) & ~np.isfinite(narrow)
    if positive:
        wrong |= narrow == 0.0
    if wrong.any():
        raise ValueError(
            f"{what} holds {float(values[wrong][0])!r}, which float32 cannot hold; use "
            "dtype='float64'"
        )


def write(
    network: _core.Core,
    path: str | os.PathLike[str],
    asked: Options,
    front: Front | None = None,
    note: str = "",
) -> None:
    """Write a network, a private copy, to a C file: see `Network.to_c`.

    `note` is said in the file's first comment; `front` is what makes the network's inputs.
    """
    name = path_name(path)
    with naming(name):
        plain = plain_of(network, asked.names.dtype)
        if asked.jacobian:
            backward.check(plain, "jacobian=True")
        if asked.train is not None:
            backward.check(plain, "train")
            _check_loss(plain)
        derivatives = asked.jacobian or asked.train is not None
        functions.check(
            (layer.activation for layer in plain.layers), asked.names.dtype, derivatives
        )
        source, header = texts(network, plain, asked, os.path.basename(name), front, note)
    write_bytes(name, source.encode("utf-8", "surrogateescape"))
    if asked.header:
        write_bytes(header_name(name), header.encode("ascii"))


def _check_loss(plain: Plain) -> None:
    """Raise ValueError for a loss that costs.py has not."""
    if plain.loss not in costs.KNOWN:
        raise ValueError(f"train has no loss={plain.loss!r} in C, only {', '.join(costs.KNOWN)}")


def header_name(name: str) -> str:
    """Return the header's file beside the source's."""
    stem, suffix = os.path.splitext(name)
    if suffix == ".h":
        raise ValueError(
            "header=True writes a .h file beside the C file, whose name must not end so"
        )
    if set('"\\\n\r') & set(os.path.basename(stem)):
        raise ValueError("header=True needs a file name that an #include can hold")
    return f"{stem if suffix else name}.h"


def texts(
    network: _core.Core,
    plain: Plain,
    asked: Options,
    file: str,
    front: Front | None = None,
    note: str = "",
) -> tuple[str, str]:
    """Return the file's text, and that of its header, if it has one."""
    names, parts = asked.names, _parts(plain, asked, front)
    top = _top(network, plain, names, file, note)
    declared = [
        _DECLARED.format(
            inputs=plain.sizes[0] if front is None else front.n_inputs,
            outputs=plain.sizes[-1],
            workspace=max(1, _workspace(plain, front)),
            vectors=vectors.VECTORS,
        ),
        "" if front is None else front.declared,
        *parts.declared,
    ]
    public = _C_PLUS_PLUS.strip("\n").format(text=names.fill(paragraphs(*declared)))
    header = ""
    if asked.header:
        guard = f"{names.prefix}_H"  # names may differ in the case of their letters alone
        header = paragraphs(top, f"#ifndef {guard}\n#define {guard}", public, "#endif") + "\n"
        public = f'#include "{os.path.basename(header_name(file))}"'
    x = vectors.inputs(plain, names.dtype)
    encoded = x
    if front is not None:
        x, encoded = front.test(x)
    test = vectors.test(names, x, vectors.predicted(network, names, plain, encoded))
    body = paragraphs(
        functions.needed(names, "\n".join(parts.templates)),
        *parts.constants,
        _text_layers.loops(names, parts.widths),
        *(names.fill(text) for text in parts.templates),
        *parts.entries,
        test,
    )
    source = paragraphs(
        top,
        "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>",
        public,
        _arithmetic.guards(names),
        _arithmetic.macros(names, body),
        body,
    )
    return bare(source) + "\n", bare(header)


def _workspace(plain: Plain, front: Front | None) -> int:
    return sum(forward.workspace(plain)) + (0 if front is None else plain.sizes[0])


class _Parts(NamedTuple):
    """What the features of a file add to it."""

    declared: list[str]  # templates of prototypes
    constants: list[str]
    widths: list[int]  # of layers that loops take
    templates: list[str]  # of functions that may use FMA
    entries: list[str]  # functions that are called from outside


def _parts(plain: Plain, asked: Options, front: Front | None) -> _Parts:
    names = asked.names
    found = _Parts([], [], list(plain.sizes[1:]), [], [])
    trained = asked.train is not None
    places = [_text_layers.constant(l) for l in range(1, len(plain.layers) + 1)]
    if trained:
        places = _text_layers.parameters(plain, "@start")
        found.constants.append(forward.scalings(names, plain))
        found.constants.append(training.constants(names, plain))
    else:
        found.constants.append(forward.constants(names, plain))
    if plain.layers[-1].activation == "softmax":
        found.templates.append(forward.SOFTMAX)
    found.templates.append(forward.predict(names, plain, forward.HEAD, places))
    predict, inner = "const REAL *x, REAL *y, REAL *workspace", "network"
    if front is not None:
        found.templates.append(front.function(names, plain))
        inner = "table"
    found.entries.append(entries.entry(names, "predict", inner, predict))
    if asked.jacobian:
        size = jacobian.workspace(plain)
        found.declared.append(jacobian.DECLARED.format(workspace=size))
        found.constants.append(jacobian.constants(names, plain))
        found.widths.extend(plain.sizes[:-1])
        found.templates.append(jacobian.derivatives(plain, places))
        found.entries.append(entries.entry(names, "jacobian", "derivatives", jacobian.PARAMETERS))
    if asked.casadi:
        found.declared.append(casadi.declared(names))
        found.entries.append(casadi.functions(names))
    if asked.train is not None:
        found.declared.append(training.declared(plain, asked.train))
        found.templates.append(training.step(names, plain, asked.train))
        found.templates.append(training.predict(names, plain, asked.train))
        found.entries.append(training.functions(names, plain, asked.train))
        step = "REAL *state, const REAL *x, const REAL *y"
        found.entries.append(entries.entry(names, "step", "one_step", step, "REAL"))
        state = f"const REAL *state, {predict}"
        found.entries.append(entries.entry(names, "predict_state", "network_of", state))
    return found


def _top(network: _core.Core, plain: Plain, names: Names, file: str, note: str) -> str:
    """Return the comment that begins the file."""
    if names.dtype == "float64":
        promise = (
            " * The results are the bytes of deltaloop's, wherever double is IEEE 754 binary64.\n"
            " * A NaN may be another NaN."
        )
        text = (
            ", with fused multiply-add"
            if names.arithmetic == FMA
            else ", without fused multiply-add"
        )
    else:
        error = vectors.error(network, names, plain)
        promise = (
            f" * The largest difference from float64 on {vectors.MEASURED} rows of likely inputs\n"
            f" * was {error:.2g}."
        )
        text = ", products and sums rounded one by one"
    activations = [layer.activation for layer in plain.layers]
    return _TOP.strip("\n").format(
        file=quoted(file)[1:-1],
        layers="-".join(map(str, plain.sizes)),
        activations=", ".join(activations),
        version=_core.__version__,
        dtype=names.dtype,
        arithmetic=names.arithmetic if names.dtype == "float64" else BASE,
        class_text=text,
        promise=promise,
        note="".join(f" * {line}\n" for line in note.splitlines()),
    )
