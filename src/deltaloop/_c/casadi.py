"""The functions by which CasADi, and with it acados, calls a network of a shared library.

They are CasADi's external interface: ``casadi.external("net", "./net.so")``. Matrices are dense and
lie column by column there.
"""

from __future__ import annotations

from deltaloop._c.texts import Names

DECLARED = """
/* CasADi's external functions: casadi.external("{prefix}", "./{prefix}.so") */
int {prefix}(const double **arg, double **res, long long int *iw, double *w, int mem);
int jac_{prefix}(const double **arg, double **res, long long int *iw, double *w, int mem);
{small}
"""

_SMALL = (
    ("long long int", "n_in", "void", "return {n_in};"),
    ("long long int", "n_out", "void", "return 1;"),
    ("const char *", "name_in", "long long int i", "{names}"),
    ("const char *", "name_out", "long long int i", 'return i == 0 ? "{out}" : NULL;'),
    ("const long long int *", "sparsity_in", "long long int i", "{sparsities}"),
    ("const long long int *", "sparsity_out", "long long int i", "return i == 0 ? {dense} : NULL;"),
    (
        "int",
        "work",
        "long long int *sz_arg, long long int *sz_res, long long int *sz_iw, long long int *sz_w",
        "{work}",
    ),
    ("void", "incref", "void", ""),
    ("void", "decref", "void", ""),
)

_WORK = """if (sz_arg != NULL) {{
        *sz_arg = {n_in};
    }}
    if (sz_res != NULL) {{
        *sz_res = 1;
    }}
    if (sz_iw != NULL) {{
        *sz_iw = 0;
    }}
    if (sz_w != NULL) {{
        *sz_w = {size};
    }}
    return 0;"""

_CALLS = """
/* Matrices of CasADi: rows, columns, and 1 for a dense one. */
static const long long int @dense_x[3] = {{@@INPUTS, 1, 1}};
static const long long int @dense_y[3] = {{@@OUTPUTS, 1, 1}};
static const long long int @dense_jacobian[3] = {{@@OUTPUTS, @@INPUTS, 1}};

int {prefix}(const double **arg, double **res, long long int *iw, double *w, int mem)
{{
    size_t i;
    double *const x = w;
    (void)iw;
    (void)mem;
    for (i = 0; i < @@INPUTS; i++) {{
        x[i] = arg[0] != NULL ? arg[0][i] : 0.0;
    }}
    if (res[0] != NULL) {{
        @predict(x, res[0], &w[@@INPUTS]);
    }}
    return 0;
}}

int jac_{prefix}(const double **arg, double **res, long long int *iw, double *w, int mem)
{{
    size_t i, k;
    double *const x = w, *const rows = &w[@@INPUTS];
    (void)iw;
    (void)mem;
    for (i = 0; i < @@INPUTS; i++) {{
        x[i] = arg[0] != NULL ? arg[0][i] : 0.0;
    }}
    if (res[0] != NULL) {{
        @jacobian(x, rows, &rows[@@INPUTS * @@OUTPUTS]);
        for (k = 0; k < @@OUTPUTS; k++) {{
            for (i = 0; i < @@INPUTS; i++) {{
                res[0][i * @@OUTPUTS + k] = rows[k * @@INPUTS + i];
            }}
        }}
    }}
    return 0;
}}
"""


def declared(names: Names) -> str:
    """Return the prototypes."""
    small = [
        f"{_joined(returns, f'{stem}{names.prefix}_{name}')}({parameters});"
        for stem in ("", "jac_")
        for returns, name, parameters, _ in _SMALL
    ]
    return DECLARED.format(prefix=names.prefix, small="\n".join(small))


def functions(names: Names) -> str:
    """Return the functions."""
    one = {
        "n_in": 1,
        "names": 'return i == 0 ? "x" : NULL;',
        "out": "y",
        "sparsities": "return i == 0 ? @dense_x : NULL;",
        "dense": "@dense_y",
        "work": _WORK.format(n_in=1, size="@@INPUTS + @@WORKSPACE"),
    }
    jac = {
        "n_in": 2,
        "names": 'return i == 0 ? "x" : (i == 1 ? "out_y" : NULL);',
        "out": "jac_y_x",
        "sparsities": "return i == 0 ? @dense_x : (i == 1 ? @dense_y : NULL);",
        "dense": "@dense_jacobian",
        "work": _WORK.format(n_in=2, size="@@INPUTS + @@INPUTS * @@OUTPUTS + @@JACOBIAN_WORKSPACE"),
    }
    parts = [_CALLS.format(prefix=names.prefix).strip("\n")]
    for stem, words in (("", one), ("jac_", jac)):
        for returns, name, parameters, body in _SMALL:
            head = f"{_joined(returns, f'{stem}{names.prefix}_{name}')}({parameters})"
            text = body.format(**words)
            parts.append(f"{head}\n{{\n    {text}\n}}" if text else f"{head}\n{{\n}}")
    return names.fill("\n\n".join(parts))


def _joined(returns: str, name: str) -> str:
    return f"{returns}{name}" if returns.endswith("*") else f"{returns} {name}"
