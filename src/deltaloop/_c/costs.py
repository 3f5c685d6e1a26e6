"""The loss of one instance: its cost, and delta of the outputs."""

from __future__ import annotations

from deltaloop._c import backward
from deltaloop._c.backward import Room
from deltaloop._c.layers import Plain
from deltaloop._c.texts import Names

# e = a - y: how the cost's term and dC/da follow from it.
_OF_ERRORS = {
    "squared_error": "term = 0.5~ * e * e;\nslope = e;",
    "huber": (
        "part = @at_most(@absolute(e), {d});\n"
        "slope = e < 0.0~ ? -part : part;\n"
        "term = part * @@DIFF(@absolute(e), 0.5~ * part);"
    ),
    "absolute_error": "",
    "quantile": "",
}
_TWO_SLOPES = (
    "slope = 0.0~ < e ? {above} : (e < 0.0~ ? -{below} : 0.0~);\nterm = {factor} * @absolute(e);"
)

# z and y: the cost's term of a loss that has an activation of its own, with a = g(z).
_OF_PAIRS = {
    "binary_cross_entropy": (
        "sigmoid",
        "@@SUM(@@FMA(-t, z, z < 0.0~ ? 0.0~ : z), @log1p_exp(@@HANDED_ON z))",
    ),
    "poisson": ("exp", "@@FMA(-t, z, a)"),
}

KNOWN = (*_OF_ERRORS, *_OF_PAIRS, "cross_entropy")

_SOFTMAX = """
    top = 0;
    max = {a}[0];
    for (i = 1; i < {m}; i++) {{
        if ({a}[i] > max || {a}[i] != {a}[i]) {{
            max = {a}[i];
            top = i;
        }}
    }}
    sum = 0.0~;
    r = 0.0~;
    for (i = 0; i < {m}; i++) {{
        before[i] = @@DIFF({a}[i], max);
        {a}[i] = @exp(@@HANDED_ON before[i]);
        sum += {a}[i];
        r += i == top ? 0.0~ : {a}[i];
    }}
    s = 1.0~ + r;
    low = @@DIFF(r, @@DIFF(s, 1.0~)) / s;
    s = @@SUM(@log(@@HANDED_ON s), low);
    cost = 0.0~;
    for (i = 0; i < {m}; i++) {{
        {a}[i] /= sum;
        if ({t} != 0.0~) {{
            cost = @@SUM(cost, {t} * @@DIFF(s, before[i]));
        }}
        delta[i] = @@DIFF({a}[i], {t});
    }}
"""

_SOFTMAX_DELTA = """
    s = 0.0~;
    for (i = 0; i < {m}; i++) {{
        s = @@SUM(s, {a}[i] * delta[i]);
    }}
    for (i = 0; i < {m}; i++) {{
        delta[i] = {a}[i] * @@DIFF(delta[i], s);
    }}
"""


def _pair(plain: Plain) -> tuple[str, str] | None:
    name = plain.loss
    if name == "cross_entropy" and plain.layers[-1].activation == "sigmoid":
        name = "binary_cross_entropy"
    return _OF_PAIRS.get(name)


def is_linear(plain: Plain) -> bool:
    """Whether the loss takes z of the outputs, and computes g itself."""
    return _pair(plain) is not None or plain.loss == "cross_entropy"


def needs_before(plain: Plain) -> bool:
    """Whether it uses the second buffer for deltas."""
    return plain.loss == "cross_entropy" and plain.layers[-1].activation == "softmax"


def text(names: Names, plain: Plain, room: Room) -> tuple[str, str]:
    """Return declarations and statements: cost and delta from the last a or z, and y."""
    l, m, last = len(plain.layers), plain.sizes[-1], plain.layers[-1]
    a = f"a{l}"
    t = "y[i]" if plain.outputs is None else "@@DIFF(y[i], @output_offset[i]) / @output_scale[i]"
    pair = _pair(plain)
    if pair is None and plain.loss == "cross_entropy":
        declared = "    REAL max, sum, r, s, low, cost;\n    size_t top;\n"
        return declared, _SOFTMAX.format(a=a, m=m, t=t).strip("\n") + "\n"
    if pair is not None:
        g, term = pair
        declared = "    REAL cost = 0.0~;\n"
        inner = [
            f"const REAL z = {a}[i], t = {t}, a = @{g}(@@HANDED_ON z);",
            f"const REAL term = {term};",
            "cost = i == 0 ? term : @@SUM(cost, term);",
            "delta[i] = @@DIFF(a, t);",
        ]
        return declared, _each(m, inner)
    declared = "    REAL e, slope, term, cost = 0.0~;\n"
    steps = _OF_ERRORS[plain.loss]
    if plain.loss == "huber":
        declared = declared.replace("term", "term, part")
        steps = steps.format(d=names.number(plain.parameter or 1.0))
    elif not steps:
        tau = plain.parameter if plain.parameter is not None else 0.5
        quantile = plain.loss == "quantile"
        above, below = (1.0 - tau, tau) if quantile else (1.0, 1.0)
        a_text, b_text = names.number(above), names.number(below)
        factor = a_text if above == below else f"(0.0~ < e ? {a_text} : {b_text})"
        steps = _TWO_SLOPES.format(above=a_text, below=b_text, factor=factor)
    softmax = last.activation == "softmax"
    delta = "slope" if softmax else backward.times_derivative(last, l, room.kept[-1], "slope")
    inner = [
        f"e = @@DIFF({a}[i], {t});",
        *steps.split("\n"),
        "cost = i == 0 ? term : @@SUM(cost, term);",
        f"delta[i] = {delta};",
    ]
    body = _each(m, inner)
    if softmax:
        declared += "    REAL s;\n"
        body += _SOFTMAX_DELTA.format(a=a, m=m).strip("\n") + "\n"
    return declared, body


def _each(m: int, lines: list[str]) -> str:
    inner = "\n".join(f"        {line}" for line in lines)
    return f"    for (i = 0; i < {m}; i++) {{\n{inner}\n    }}\n"
