"""Learning where the network runs: ``NAME_step``, one update on one instance.

The state is one array: the learning rate, what a solver counts, the parameters in the order of
``Network.parameters``, what the solver remembers of each of them, and room to work in. A layer's
weights take their step once the error of the layer before has been computed with them as they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deltaloop import solvers
from deltaloop._c import backward, costs, forward
from deltaloop._c import layers as _layers
from deltaloop._c.backward import Room
from deltaloop._c.layers import Plain
from deltaloop._c.texts import Names, paragraphs
from deltaloop.solvers import Adam, AdamW, GradientDescent, Schedule

# What names stand for.
NAMED: dict[str, GradientDescent | Adam] = {
    "sgd": GradientDescent(0.01),
    "momentum": GradientDescent(0.01, momentum=0.9),
    "adam": Adam(),
}

_DECLARED = """
#define @@STATE {state} /* numbers of the state of training */
#define @@PARAMETERS {parameters}

/* Begins: the state has the exported weights, and the learning rate {rate:g} in state[0], which may
 * be set to another at any time. */
void @init(REAL *state);
/* One update on one instance by {solver}; returns the cost before it. If that is not finite,
 * nothing is changed. */
REAL @step(REAL *state, const REAL *x, const REAL *y);
/* As @predict, with the state's weights. */
void @predict_state(const REAL *state, const REAL *x, REAL *y, REAL *workspace);
/* The parameters (@@PARAMETERS), in the order of deltaloop's Network.parameters. */
void @parameters(const REAL *state, REAL *parameters);
"""

_INIT = """
void @init(REAL *state)
{{
    size_t i;
    for (i = 0; i < @@STATE; i++) {{
        state[i] = 0.0~;
    }}
    state[0] = {rate};
{powers}    for (i = 0; i < @@PARAMETERS; i++) {{
        state[{start} + i] = @start[i];
    }}
}}

void @parameters(const REAL *state, REAL *parameters)
{{
    size_t i;
    for (i = 0; i < @@PARAMETERS; i++) {{
        parameters[i] = state[{start} + i];
    }}
}}
"""

_UPDATE = """
/* m parameters from number `at` on take their step: their gradient is a delta. */
@@INLINE void @update(@@FIRST size_t m, REAL a, const REAL *delta, REAL *state, size_t at)
{{
    size_t j;
    REAL *const w = &state[{start} + at];
{declared}
    for (j = 0; j < m; j++) {{
        const REAL g = @@FMA(a, delta[j], 0.0~);
{steps}
    }}
}}
"""

_SGD = ("    const REAL rate = state[0];", "w[j] = @@FMA(-rate, g, w[j]);")
_MOMENTUM = (
    "    const REAL rate = state[0];\n    REAL *const v = &state[{second} + at];",
    "const REAL t = rate * g;\nv[j] = @@FMA({mu}, v[j], -t);\nw[j] = @@SUM(w[j], {added});",
)
_ADAM = (
    "    const REAL rate = state[3], root = state[4], keep = state[5];\n"
    "    REAL *const v1 = &state[{second} + at], *const v2 = &state[{third} + at];",
    "v1[j] = @@FMA({beta1}, v1[j], {rest1} * g);\n"
    "v2[j] = @@FMA({beta2}, v2[j], {rest2} * g * g);\n"
    "w[j] = @@FMA(keep, w[j], -(rate * v1[j] / @@FMA(root, {sqrt}(v2[j]), {epsilon})));",
)

_PREPARE = """
    second = {sqrt}(@@DIFF(1.0~, state[2] * {beta2}));
    state[3] = state[0] / @@DIFF(1.0~, state[1] * {beta1});
    state[4] = 1.0~ / second;
    state[5] = @@DIFF(1.0~, state[0] * {decay});
"""
_COUNT = """
    state[1] *= {beta1};
    state[2] *= {beta2};
"""


def solver_of(train: object) -> GradientDescent | Adam:
    """Return the solver that `train` names or is. TypeError or ValueError if C has none such."""
    if isinstance(train, str):
        if train not in NAMED:
            raise ValueError(
                f"train must be {', '.join(map(repr, NAMED))} or a solver, got {train!r}"
            )
        return NAMED[train]
    if not isinstance(train, solvers.Solver):
        raise TypeError(f"train must be a str or a solver, got {type(train).__name__}")
    if not isinstance(train, GradientDescent | Adam):
        raise ValueError(
            "train must be GradientDescent, Adam or AdamW, which step on single instances, got "
            f"{train!r}"
        )
    if isinstance(train.learning_rate, Schedule):
        raise ValueError(
            "train must have a number as its learning_rate, not a schedule: set state[0] before "
            f"a step in C; got {train!r}"
        )
    for name in ("clip_norm", "clip_value"):
        if getattr(train, name) is not None:
            raise ValueError(f"train must have {name}=None: C clips nothing; got {train!r}")
    return train


class Layout:
    """Where things are in the state."""

    def __init__(self, plain: Plain, solver: GradientDescent | Adam) -> None:
        n = sum((layer.m_in + 1) * layer.m_out for layer in plain.layers)
        copies = 2 if isinstance(solver, Adam) else int(solver.momentum > 0)
        self.parameters = n
        self.start = 6 if isinstance(solver, Adam) else 1
        self.second, self.third = self.start + n, self.start + 2 * n
        self.room = self.start + (1 + copies) * n
        self.size = self.room + Room.of(plain, "state", self.room, costs.needs_before(plain)).size


def declared(plain: Plain, solver: GradientDescent | Adam) -> str:
    """Return macros and prototypes."""
    layout = Layout(plain, solver)
    return _DECLARED.format(
        state=layout.size,
        parameters=layout.parameters,
        rate=solver.learning_rate,
        solver=type(solver).__name__,
    )


def constants(names: Names, plain: Plain) -> str:
    """Return the weights that training starts with, in the order of ``Network.parameters``."""
    parts = [part for layer in plain.layers for part in (layer.w.ravel(), layer.b)]
    return names.fill(names.array("@start", np.concatenate(parts)))


def _numbers(names: Names, solver: GradientDescent | Adam, layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {"start": layout.start, "second": layout.second, "third": layout.third}
    found["sqrt"] = "sqrt" if names.dtype == "float64" else "sqrtf"
    if isinstance(solver, Adam):
        found |= {
            "beta1": names.number(solver.beta1),
            "rest1": names.number(1.0 - solver.beta1),
            "beta2": names.number(solver.beta2),
            "rest2": names.number(1.0 - solver.beta2),
            "epsilon": names.number(solver.epsilon),
            "decay": names.number(solver.weight_decay if isinstance(solver, AdamW) else 0.0),
        }
    else:
        mu = names.number(solver.momentum)
        found |= {"mu": mu, "added": f"@@FMA({mu}, v[j], -t)" if solver.nesterov else "v[j]"}
    return found


def step(names: Names, plain: Plain, solver: GradientDescent | Adam) -> str:
    """Return the template of one step: the update of some parameters, and all of it."""
    layout = Layout(plain, solver)
    numbers = _numbers(names, solver, layout)
    adam = isinstance(solver, Adam)
    if isinstance(solver, Adam):
        declared_, steps = _ADAM
    else:
        declared_, steps = _MOMENTUM if solver.momentum > 0 else _SGD
    update = _UPDATE.format(
        start=layout.start,
        declared=declared_.format(**numbers),
        steps="\n".join(f"        {line}" for line in steps.format(**numbers).split("\n")),
    )
    room = Room.of(plain, "state", layout.room, costs.needs_before(plain))
    places = _layers.parameters(plain, "w")
    body = backward.feedforward(plain, room, places, linear=costs.is_linear(plain))
    variables, cost = costs.text(names, plain, room)
    body += cost
    body += "    if (!@finite(cost)) {\n        return cost;\n    }\n"
    body += _PREPARE.format(**numbers).strip("\n") + "\n" if adam else ""
    body += _back(plain, room, places)
    body += _COUNT.format(**numbers).strip("\n") + "\n" if adam else ""
    lines = [
        "@@INLINE REAL @one_step(@@FIRST REAL *state, const REAL *x, const REAL *y)",
        "{",
        f"    const REAL *const w = &state[{layout.start}];",
        *room.lines,
        variables.rstrip("\n"),
    ]
    if adam:
        lines.append("    REAL second;")
    lines.append("    size_t i, k;" if len(plain.layers) > 1 else "    size_t i;")
    return paragraphs(update, "\n".join([*lines, body.rstrip("\n"), "    return cost;", "}"]))


def _back(plain: Plain, room: Room, places: list[_layers.Place]) -> str:
    body = ""
    delta, before = "delta", "before"
    for l in range(len(plain.layers), 0, -1):
        layer, place = plain.layers[l - 1], places[l - 1]
        x = f"a{l - 1}" if l > 1 else room.x
        if l > 1:
            previous = plain.layers[l - 2]
            e = "carried" if previous.skip else before
            start = "carried[k]" if layer.skip else "0.0~"
            row = f"{place.at} + k * {layer.m_out}"
            body += (
                f"    for (k = 0; k < {layer.m_in}; k++) {{\n"
                f"        REAL e_k = {start};\n"
                f"        for (i = 0; i < {layer.m_out}; i++) {{\n"
                f"            e_k = @@FMA({delta}[i], w[{row} + i], e_k);\n"
                "        }\n"
                f"        {e}[k] = e_k;\n"
                "    }\n"
            )
            body += backward.hidden(previous, l - 1, room.kept[l - 2], e, before)
        body += (
            f"    for (i = 0; i < {layer.m_in}; i++) {{\n"
            f"        @update(@@HANDED_ON {layer.m_out}, {x}[i], {delta}, state, "
            f"{place.at} + i * {layer.m_out});\n"
            "    }\n"
            f"    @update(@@HANDED_ON {layer.m_out}, 1.0~, {delta}, state, {place.bias_at});\n"
        )
        delta, before = before, delta
    return body


def predict(names: Names, plain: Plain, solver: GradientDescent | Adam) -> str:
    """Return the template of predictions with the state's weights."""
    start = Layout(plain, solver).start
    places = [
        place._replace(at=place.at + start, bias_at=place.bias_at + start)
        for place in _layers.parameters(plain, "state")
    ]
    head = (
        "@@INLINE void @network_of(@@FIRST const REAL *state, const REAL *x, REAL *y, "
        "REAL *workspace)"
    )
    return forward.predict(names, plain, head, places)


def functions(names: Names, plain: Plain, solver: GradientDescent | Adam) -> str:
    """Return the functions that take no FMA."""
    layout = Layout(plain, solver)
    powers = "    state[1] = 1.0~;\n    state[2] = 1.0~;\n" if isinstance(solver, Adam) else ""
    rate = solver.learning_rate
    assert not isinstance(rate, Schedule)
    return names.fill(_INIT.format(rate=names.number(rate), powers=powers, start=layout.start))
