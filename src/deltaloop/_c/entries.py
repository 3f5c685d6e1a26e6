"""The functions that are called from outside, in front of those that may exist twice."""

from __future__ import annotations

from deltaloop._c.texts import Names

_ONCE = """
{returns} @{name}({parameters})
{{
    {back}@{inner}({arguments});
}}
"""

_TWICE = """
#if defined(@@DISPATCH)
@@TARGET @@APART {returns} @{name}_hard({parameters})
{{
    {back}@{inner}(1, {arguments});
}}

@@APART {returns} @{name}_soft({parameters})
{{
    {back}@{inner}(0, {arguments});
}}

{returns} @{name}({parameters})
{{
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {{
        {back}@{name}_hard({arguments});
    }} else {{
        {back}@{name}_soft({arguments});
    }}
}}
#else
{returns} @{name}({parameters})
{{
    {back}@{inner}({arguments});
}}
#endif
"""


def entry(names: Names, name: str, inner: str, parameters: str, returns: str = "void") -> str:
    """Return the function `name`, which is `inner` with the same parameters."""
    arguments = ", ".join(part.rsplit(" ", 1)[1].lstrip("*") for part in parameters.split(", "))
    return names.fill(
        (_TWICE if names.split else _ONCE).format(
            returns=returns,
            name=name,
            inner=inner,
            parameters=parameters,
            arguments=arguments,
            back="" if returns == "void" else "return ",
        )
    )
