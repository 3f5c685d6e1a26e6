"""The activations in float32, with operations of that type alone, and without FMA.

They are within a few units in the last place. NumPy computes the same from the same text, which
`evaluated` reads: every statement is one of Python too once types and suffixes are gone. That gives
the vectors of the file's test of itself, and how far its results are from those of float64.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

FUNCTIONS = {
    "bits": """
static uint32_t @bits(float x)
{
    uint32_t u;
    (void)memcpy(&u, &x, sizeof u);
    return u;
}
""",
    "real": """
static float @real(uint32_t u)
{
    float x;
    (void)memcpy(&x, &u, sizeof x);
    return x;
}
""",
    "finite": """
static int @finite(float x)
{
    return x - x == 0.0f;
}
""",
    "select": """
/* by bits where that lets compilers take several at a time */
static inline float @select(int condition, float a, float b)
{
#if defined(__SSE2__) || defined(__ARM_NEON)
    const uint32_t mask = 0u - (uint32_t)condition;
    return @real((@bits(a) & mask) | (@bits(b) & (mask ^ 0xffffffffu)));
#else
    (void)@real; /* not needed here */
    (void)@bits;
    return condition ? a : b;
#endif
}
""",
    "absolute": """
static inline float @absolute(float x)
{
    return @real(@bits(x) & 0x7fffffffu);
}
""",
    "signed": """
/* x >= 0 with the sign of another number */
static inline float @signed(float x, float sign)
{
    return @real(@bits(x) | (@bits(sign) & 0x80000000u));
}
""",
    "at_least": """
static inline float @at_least(float x, float limit)
{
    return @select(x < limit, limit, x);
}
""",
    "at_most": """
static inline float @at_most(float x, float limit)
{
    return @select(limit < x, limit, x);
}
""",
    "times_power": """
/* x 2^k, by its exponent, from t = k + 1.5 2^23 */
static inline float @times_power(float x, float t)
{
    return @real(@bits(x) + (@bits(t) << 23u));
}
""",
    "nearest": """
/* k + 1.5 2^23 for x = k ln 2 + r, |r| <= ln(2) / 2 */
static inline float @nearest(float x)
{
    return x * 1.44269504f + 12582912.0f;
}
""",
    "exp_rest": """
/* exp(r) - 1 for x and the k of @nearest */
static inline float @exp_rest(float x, float t)
{
    const float k = t - 12582912.0f;
    const float r = (x - k * 0.693359375f) - k * -2.12194442e-4f;
    const float c = ((1.3926392e-3f * r + 8.363346e-3f) * r + 4.1666552e-2f) * r + 0.16666576f;
    return r + r * r * (c * r + 0.5f);
}
""",
    "scale": """
/* (1 + s) 2^k, also where that is subnormal */
static inline float @scale(float s, float t)
{
    const uint32_t k = @bits(t) << 23u;
    const uint32_t h = 0x20000000u - ((k >> 31u) << 30u);
    const float factor = @real(0x3f800000u + (k - h));
    return (factor * s + factor) * @real(0x3f800000u + h);
}
""",
    "exp": """
static inline float @exp(float x)
{
    const float z = @at_least(@at_most(x, 89.0f), -105.0f);
    const float t = @nearest(z);
    return @scale(@exp_rest(z, t), t);
}
""",
    "expm1_negative": """
/* exp(-|x|) - 1 */
static inline float @expm1_negative(float x)
{
    const float z = @at_least(-@absolute(x), -20.0f);
    const float t = @nearest(z);
    const float power = @times_power(1.0f, t);
    return power * @exp_rest(z, t) + (power - 1.0f);
}
""",
    "log_sum": """
/* log(1 + f) = 2 atanh(s), s = f / (2 + f), for |s| <= 1/3 */
static inline float @log_sum(float f)
{
    const float s = f / (2.0f + f);
    const float z = s * s;
    const float c = ((0.2322433f * z + 0.21706575f) * z + 0.28592357f) * z + 0.39999706f;
    return 2.0f * s + s * z * (c * z + 0.6666667f);
}
""",
    "log": """
/* of x >= 1, infinity or NaN */
static inline float @log(float x)
{
    const uint32_t k = (@bits(x) - 0x3f3504f3u) >> 23u;
    const float f = @real(@bits(x) - (k << 23u)) - 1.0f;
    const float n = @real(0x4b400000u + k) - 12582912.0f;
    return @select(x - x == 0.0f, n * 0.693359375f + (n * -2.12194442e-4f + @log_sum(f)), x);
}
""",
    "log1p_exp": """
/* log(1 + exp(-|x|)) */
static inline float @log1p_exp(float x)
{
    return @log_sum(@exp(-@absolute(x)));
}
""",
    "sigmoid": """
static inline float @sigmoid(float x)
{
    return 1.0f / (1.0f + @exp(-x));
}
""",
    "tanh": """
static inline float @tanh(float x)
{
    const float e = @expm1_negative(x + x);
    return @signed(-e / (2.0f + e), x);
}
""",
    "relu": """
static inline float @relu(float z)
{
    return @select(z < 0.0f, 0.0f, z);
}
""",
    "step": """
static inline float @step(float z)
{
    return @select(z == z, @select(0.0f < z, 1.0f, 0.0f), z);
}
""",
    "leaky_relu": """
static inline float @leaky_relu(float z)
{
    return @select(z < 0.0f, 0.01f * z, z);
}
""",
    "elu": """
static inline float @elu(float z)
{
    return @select(z < 0.0f, @expm1_negative(z), z);
}
""",
    "softplus": """
static inline float @softplus(float x)
{
    return @select(x < 0.0f, 0.0f, x) + @log1p_exp(x);
}
""",
    "silu": """
static inline float @silu(float x)
{
    const float z = @at_least(x, -105.0f);
    return z * @sigmoid(z);
}
""",
    "silu_slope": """
static inline float @silu_slope(float x)
{
    const float z = @at_most(@at_least(x, -105.0f), 105.0f);
    const float s = @sigmoid(z);
    return s * (1.0f + z * @sigmoid(-z));
}
""",
    "mish_ratio": """
/* tanh(log(1 + exp(z))) = n / (n + 2), n = exp(z) (exp(z) + 2) */
static inline float @mish_ratio(float z)
{
    const float e = @exp(@at_most(z, 20.0f));
    const float n = e * (e + 2.0f);
    return n / (n + 2.0f);
}
""",
    "mish": """
static inline float @mish(float x)
{
    const float z = @at_least(x, -105.0f);
    return z * @mish_ratio(z);
}
""",
    "mish_slope": """
static inline float @mish_slope(float x)
{
    const float z = @at_most(@at_least(x, -105.0f), 20.0f);
    const float e = @exp(z);
    const float d = e * (e + 2.0f) + 2.0f;
    return @mish_ratio(z) + z * (4.0f * e / d) * ((e + 1.0f) / d);
}
""",
    "normal_tail": """
/* exp(t^2/2) Phi(-t) for 0 <= t <= 15, Phi the normal distribution function */
static inline float @normal_tail(float t)
{
    const float d = 1.0f / (t + 4.0f);
    const float q = 1.0f - 8.0f * d;
    const float c7 = (-1.2122947e-4f * q + 1.9883156e-4f) * q + 1.5711525e-3f;
    const float c4 = ((c7 * q + -3.5252364e-3f) * q + -7.528482e-3f) * q + 6.0406618e-2f;
    const float c1 = ((c4 * q + -0.1865228f) * q + 0.38713667f) * q + -0.6078966f;
    return d * (c1 * q + 0.75528514f);
}
""",
    "normal_density": """
/* exp(-t^2/2) for t >= 0: of t's first 12 bits, whose square is exact, and of the rest */
static inline float @normal_density(float t)
{
    const float high = @real(@bits(t) & 0xfffff000u);
    const float low = t - high;
    return @exp(-0.5f * (high * high)) * @exp(-0.5f * (low * (t + high)));
}
""",
    "gelu": """
static inline float @gelu(float x)
{
    const float t = @at_most(@absolute(x), 15.0f);
    const float w = t * @normal_tail(t) * @normal_density(t);
    return @select(x < 0.0f, -w, x - w);
}
""",
    "gelu_slope": """
static inline float @gelu_slope(float x)
{
    const float t = @at_most(@absolute(x), 15.0f);
    const float h = (@normal_tail(t) - t * 0.3989423f) * @normal_density(t);
    return @select(x < 0.0f, h, 1.0f - h);
}
""",
    "sigmoid_delta": """
static inline float @sigmoid_delta(float a, float delta)
{
    return delta * (a * (1.0f - a));
}
""",
    "tanh_delta": """
static inline float @tanh_delta(float a, float delta)
{
    return delta * ((1.0f - a) * (1.0f + a));
}
""",
    "relu_delta": """
static inline float @relu_delta(float a, float delta)
{
    return @select(0.0f < a, delta, 0.0f);
}
""",
    "leaky_relu_delta": """
static inline float @leaky_relu_delta(float a, float delta)
{
    return @select(0.0f < a, delta, 0.01f * delta);
}
""",
    "elu_delta": """
static inline float @elu_delta(float a, float delta)
{
    return @select(0.0f < a, delta, delta * (a + 1.0f));
}
""",
    "softplus_delta": """
static inline float @softplus_delta(float a, float delta)
{
    return delta * -@expm1_negative(a);
}
""",
    "exp_delta": """
static inline float @exp_delta(float a, float delta)
{
    return delta * a;
}
""",
}
for _name in ("silu", "gelu", "mish"):
    FUNCTIONS[f"{_name}_both"] = f"""
static inline float @{_name}_both(float x, float *derivative)
{{
    *derivative = @{_name}_slope(x);
    return @{_name}(x);
}}
"""

_BUILT_IN: dict[str, Callable[..., Any]] = {
    "bits": lambda x: np.asarray(x, np.float32).view(np.uint32),
    "real": lambda u: np.asarray(u, np.uint32).view(np.float32),
    "select": np.where,
    "F": np.float32,
    "U": np.uint32,
}


def _python(name: str) -> str:
    """Return a function as Python."""
    body = FUNCTIONS[name].strip()
    head = re.search(r"@(\w+)\(([^)]*)\)\n\{", body)
    assert head is not None
    arguments = re.sub(r"\b(?:float|int|uint32_t)\b ?", "", head[2])
    lines = " ".join(body[head.end() :].rstrip("}").split()).split(";")
    text = [re.sub(r"\b(?:const|float|uint32_t)\b ?", "", line).strip() for line in lines]
    code = "\n    ".join(line for line in text if line).replace("@", "")
    code = re.sub(r"\b0x([0-9a-f]+)u\b", r"U(0x\1)", code)
    code = re.sub(r"\b(\d+)u\b", r"U(\1)", code)
    code = re.sub(r"(?<![\w.])(\d+\.\d*(?:e-?\d+)?)f\b", r"F(\1)", code)
    return f"def {name}({arguments}):\n    {code}\n"


@cache
def evaluated() -> dict[str, Callable[..., Any]]:
    """Return the functions of one argument, and what they need, on arrays of float32."""
    names = [name for name in FUNCTIONS if name not in _BUILT_IN and not name.endswith("_both")]
    found = dict(_BUILT_IN)
    exec("\n".join(_python(name) for name in names), found)  # the text above alone
    return found
