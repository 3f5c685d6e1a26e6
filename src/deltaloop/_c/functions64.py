"""The activations in float64: csrc/kernels/math.inc.h and activations.inc.h as scalars.

Operation by operation the same, so that the results are the same bits; what the functions are, and
why, is said there. Only those that a file needs are written.
"""

from __future__ import annotations

# exp(u (x + x_low)) = 2^k (1 + u (r + rest)): see exp_parts_of_sum. The powers of u are exact.
_PARTS = """
@@INLINE double @exp_parts_{name}(@@FIRST double x{low_argument}, double *t, double *rest)
{{
    double k, r, low, z, z2, z4, c01, c23, c45, c67, c89;
    *t = @@FMA(x, {u_log2e}, 0x1.8p52);
    k = *t - 0x1.8p52;
    r = @@FMA(k, {ln2_high}, x);
    low = {low};
    z = @@DIFF(r, low);
    z2 = z * z;
    z4 = z2 * z2;
    c01 = @@FMA({c1}, z, {c0});
    c23 = @@FMA({c3}, z, {c2});
    c45 = @@FMA({c5}, z, {c4});
    c67 = @@FMA({c7}, z, {c6});
    c89 = @@FMA({c9}, z, {c8});
    c01 = @@FMA(c23, z2, c01);
    c45 = @@FMA(c67, z2, c45);
    *rest = @@FMA(z2, @@FMA(@@FMA(c89, z4, c45), z4, c01), -low);
    return r;
}}
"""
_COEFFICIENTS = (
    "0x1.0000000000005p-1", "0x1.5555555555559p-3", "0x1.55555555520fbp-5", "0x1.111111110f651p-7",
    "0x1.6c16c17f34d6bp-10", "0x1.a01a01b0054d2p-13", "0x1.a019a68ef67cbp-16",
    "0x1.71ddf80b7b60ep-19", "0x1.28a2a1994d999p-22", "0x1.af5f30fb3a132p-26",
)  # fmt: skip


def _parts(name: str, u: float, low: bool = False) -> str:
    """Return exp_parts for a power of two u."""
    hexes = {f"c{i}": float.fromhex(c) * u ** (i + 1) for i, c in enumerate(_COEFFICIENTS)}
    hexes["u_log2e"] = u * float.fromhex("0x1.71547652b82fep+0")
    hexes["ln2_high"] = -float.fromhex("0x1.62e42fee00000p-1") / u
    ln2_low = (float.fromhex("0x1.a39ef35793c76p-33") / u).hex()
    return _PARTS.format(
        name=name,
        low_argument=", double x_low" if low else "",
        low=f"@@DIFF(k * {ln2_low}, x_low)" if low else f"k * {ln2_low}",
        **{key: value.hex() for key, value in hexes.items()},
    )


FUNCTIONS = {
    "bits": """
static uint64_t @bits(double x)
{
    uint64_t u;
    (void)memcpy(&u, &x, sizeof u);
    return u;
}
""",
    "real": """
static double @real(uint64_t u)
{
    double x;
    (void)memcpy(&x, &u, sizeof x);
    return x;
}
""",
    "finite": """
static int @finite(double x)
{
    return x - x == 0.0;
}
""",
    "times_power": """
/* x 2^k, by its exponent, from t = k + 1.5 2^52 */
@@INLINE double @times_power(double x, double t)
{
    return @real(@bits(x) + (@bits(t) << 52));
}
""",
    "absolute": """
@@INLINE double @absolute(double x)
{
    return @real(@bits(x) & 0x7fffffffffffffffu);
}
""",
    "minus_abs": """
@@INLINE double @minus_abs(double x)
{
    return @real(@bits(x) | 0x8000000000000000u);
}
""",
    # NaN stays NaN
    "at_least": """
@@INLINE double @at_least(double x, double limit)
{
    return x < limit ? limit : x;
}
""",
    "at_most": """
@@INLINE double @at_most(double x, double limit)
{
    return limit < x ? limit : x;
}
""",
    "exp_parts_1": _parts("1", 1.0),
    "exp_parts_m1": _parts("m1", -1.0),
    "exp_parts_2": _parts("2", 2.0),
    "exp_parts_mhalf": _parts("mhalf", -0.5, low=True),
    "scale": """
/* (1 + s) 2^k, also where that is subnormal */
@@INLINE double @scale(@@FIRST double s, double t)
{
    const uint64_t one = @bits(1.0), k = @bits(t) << 52;
    const uint64_t h = ((uint64_t)64 << 52) - ((k >> 63) << 59);
    const double factor = @real(one + (k - h));
    return @@FMA(factor, s, factor) * @real(one + h);
}
""",
    "exp": """
@@INLINE double @exp(@@FIRST double x)
{
    double t, rest;
    const double r = @exp_parts_1(@@HANDED_ON @at_least(@at_most(x, 710.0), -746.0), &t, &rest);
    return @scale(@@HANDED_ON @@SUM(r, rest), t);
}
""",
    "exp_negative": """
/* exp(-|x|) */
@@INLINE double @exp_negative(@@FIRST double x)
{
    double t, rest, factor;
    const double r = @exp_parts_1(@@HANDED_ON @at_least(@minus_abs(x), -746.0), &t, &rest);
    factor = @times_power(0x1p64, t);
    return @@FMA(factor, @@SUM(r, rest), factor) * 0x1p-64;
}
""",
    "log_sum": """
/* k + log(1 + f), k = k_high + k_low */
@@INLINE double @log_sum(@@FIRST double f, double k_high, double k_low)
{
    const double s = f / @@SUM(2.0, f), z = s * s, z2 = z * z;
    const double c01 = @@FMA(0x1.99999999952e2p-2, z, 0x1.5555555555558p-1);
    const double c23 = @@FMA(0x1.c71c62e57c3c4p-3, z, 0x1.2492492df14bcp-2);
    const double c45 = @@FMA(0x1.39fe604146b74p-3, z, 0x1.7462b4ac441afp-3);
    const double high = @@FMA(@@FMA(0x1.2b584c6b42d60p-3, z2, c45), z2, c23);
    const double R = z * @@FMA(high, z2, c01), half = 0.5 * f * f;
    return @@SUM(k_high, @@DIFF(f, @@DIFF(half, @@FMA(s, @@SUM(half, R), k_low))));
}
""",
    "log": """
/* of x >= 1, infinity or NaN */
@@INLINE double @log(@@FIRST double x)
{
    const uint64_t bias = (uint64_t)1024 << 52, sqrt_half = 0x3fe6a09e667f3bcdu;
    const uint64_t k = ((@bits(x) + (bias - sqrt_half)) >> 52) - 1024u;
    const double f = @real(@bits(x) - (k << 52)) - 1.0;
    const double kf = @real(k + @bits(0x1.8p52)) - 0x1.8p52 + 0.0;
    const double y = @log_sum(@@HANDED_ON f, kf * 0x1.62e42fee00000p-1, kf * 0x1.a39ef35793c76p-33);
    return @finite(x) ? y : x;
}
""",
    "log1p_exp": """
/* log(1 + exp(-|x|)) */
@@INLINE double @log1p_exp(@@FIRST double x)
{
    const double t = @exp_negative(@@HANDED_ON x);
    const int above = 0x1.a827999fcef32p-2 < t ? 1 : 0;
    const double half = 0.5 * t, f = @@DIFF(half, 0.5), f_low = @@DIFF(half, @@SUM(f, 0.5));
    const double k_low = @@FMA(1.37, f_low, 0x1.a39ef35793c76p-33);
    return @log_sum(@@HANDED_ON above ? f : t, above ? 0x1.62e42fee00000p-1 : 0.0,
                    above ? k_low : 0.0);
}
""",
    "sigmoid": """
@@INLINE double @sigmoid(@@FIRST double x)
{
    double t, rest, scale, n;
    const double r = @exp_parts_m1(@@HANDED_ON @at_least(@at_most(x, 40.0), -746.0), &t, &rest);
    scale = @times_power(0x1p-60, t);
    n = @real(@bits(0x1p-60) - (t == 0x1.8p52 + 53.0 ? 1u : 0u));
    return n / @@FMA(-scale, @@SUM(r, rest), 0x1p-60 + scale);
}
""",
    "tanh": """
@@INLINE double @tanh(@@FIRST double x)
{
    double t, rest, s, scale, n0, n, d0, d, n_low, d_low, inverse, quotient, y;
    const double r = @exp_parts_2(@@HANDED_ON @at_least(@minus_abs(x), -20.0), &t, &rest);
    s = @@SUM(r, rest);
    scale = @times_power(2.0, t);
    n0 = @@FMA(scale, -0.5, 1.0);
    n = @@FMA(-scale, s, n0);
    d0 = @@FMA(scale, 0.5, 1.0);
    d = @@FMA(scale, s, d0);
    n_low = @@FMA(-scale, rest, @@FMA(-scale, r, @@DIFF(n0, n)));
    d_low = @@FMA(scale, s, @@DIFF(d0, d));
    inverse = @@FMA(-0.5, d, 1.457);
    quotient = n / d;
    y = @@FMA(@@FMA(-quotient, d_low, n_low), inverse, quotient);
    return @real(@bits(y) | (@bits(x) & 0x8000000000000000u));
}
""",
    "expm1_negative": """
/* exp(-|x|) - 1 */
@@INLINE double @expm1_negative(@@FIRST double x)
{
    double t, rest, scale;
    const double r = @exp_parts_1(@@HANDED_ON @at_least(@minus_abs(x), -40.0), &t, &rest);
    scale = @times_power(1.0, t);
    return @@FMA(scale, @@SUM(r, rest), @@DIFF(scale, 1.0));
}
""",
    "relu": """
@@INLINE double @relu(double z)
{
    return z < 0.0 ? 0.0 : z;
}
""",
    "step": """
@@INLINE double @step(double z)
{
    const double a = 0.0 < z ? 1.0 : 0.0;
    return z == z ? a : z;
}
""",
    "leaky_relu": """
@@INLINE double @leaky_relu(double z)
{
    return z < 0.0 ? 0.01 * z : z;
}
""",
    "elu": """
@@INLINE double @elu(@@FIRST double z)
{
    const double below = @expm1_negative(@@HANDED_ON z);
    return z < 0.0 ? below : z;
}
""",
    "softplus": """
@@INLINE double @softplus(@@FIRST double x)
{
    return (x < 0.0 ? 0.0 : x) + @log1p_exp(@@HANDED_ON x);
}
""",
    "silu_both": """
@@INLINE double @silu_both(@@FIRST double x, double *derivative)
{
    double t, rest, s, one, scale, sum, small, d;
    const double below = @at_least(x, -760.0), z = @at_most(below, 45.0);
    const double r = @exp_parts_m1(@@HANDED_ON z, &t, &rest);
    s = @@SUM(r, rest);
    one = x < -600.0 ? 0x1p-100 : 1.0;
    scale = @times_power(one, t);
    sum = one + scale;
    small = @@DIFF(one, @@DIFF(sum, scale));
    d = @@SUM(sum, @@FMA(-scale, s, small));
    *derivative = one * @@FMA(z, @@FMA(-scale, s, scale) / d, 1.0) / d;
    return below * one / d;
}
""",
    "mish_both": """
@@INLINE double @mish_both(@@FIRST double x, double *derivative)
{
    double t, rest, s, scale, back, power, E, n, D, q, s_left, sum, W, factor, y, inverse, w, R;
    double slope_left;
    const double below = @at_least(x, -760.0), z = @at_most(below, 45.0);
    const double r = @exp_parts_1(@@HANDED_ON z, &t, &rest);
    const int left = z < -0.69;
    s = @@SUM(r, rest);
    scale = @times_power(left ? 0x1p128 : 1.0, t);
    back = left ? 0x1p-128 : 1.0;
    power = scale * back;
    E = @@FMA(power, s, power);
    n = @@FMA(-E, E, @@FMA(-2.0, E, 2.0));
    D = @@DIFF(4.0, n);
    q = (left ? @@FMA(E, E, E) : n) / D;
    s_left = left ? s : 0.0;
    sum = @@SUM(1.0, s_left);
    W = @@FMA(-q, sum, s_left);
    factor = left ? scale : 0.5;
    y = below * factor;
    inverse = 2.0 / D;
    w = E * inverse;
    R = @@FMA(factor, W, factor);
    slope_left = @@FMA(factor * sum * w, @@FMA(-0.5, w, -0.5), R);
    *derivative = @@FMA(z, left ? slope_left : w * (w + inverse), R) * back;
    return @@FMA(y, W, y) * back;
}
""",
    "normal_tail": """
/* exp(t^2/2) Phi(-t), Phi the normal distribution, as the sum of two */
@@INLINE double @normal_tail(@@FIRST double t, double *low)
{
    const double d = t + 4.0, part = @@DIFF(d, t);
    const double d_low = @@SUM(@@DIFF(t, @@DIFF(d, part)), @@DIFF(4.0, part));
    const double inverse = 1.0 / d, e = @@FMA(-inverse, d_low, @@FMA(-inverse, d, 1.0));
    const double q = @@FMA(-8.0, inverse, 1.0), q2 = q * q, q4 = q2 * q2, q8 = q4 * q4;
    const double q16 = q8 * q8;
    const double c3 = @@FMA(@@FMA(-0x1.c81719d5abebbp-9, q, -0x1.ee27610478a13p-8), q2,
                            @@FMA(0x1.eec4cc3e4d76dp-5, q, -0x1.7dff2bff683bbp-3));
    const double c7 = @@FMA(@@FMA(-0x1.001eb96cb8942p-19, q, -0x1.e4a42522fcc5ap-13), q2,
                            @@FMA(0x1.17a4ae7257d24p-13, q, 0x1.ab825fbfb5191p-10));
    const double c11 = @@FMA(@@FMA(-0x1.51f5bba023cd9p-21, q, -0x1.8d4a85c3ba0f8p-18), q2,
                             @@FMA(0x1.80b857d2a3a45p-21, q, 0x1.26d093bf25658p-15));
    const double c15 = @@FMA(@@FMA(-0x1.6d10fc41fd79fp-24, q, -0x1.4ca3bb1417e88p-23), q2,
                             @@FMA(0x1.2375ec7bd2692p-22, q, 0x1.123119f636ac5p-20));
    const double c19 = @@FMA(@@FMA(-0x1.509a40dedfb86p-29, q, 0x1.fa491ded53c7fp-30), q2,
                             @@FMA(0x1.4c8a71d0048c8p-26, q, 0x1.c986a25d6286bp-27));
    const double high = @@FMA(@@FMA(-0x1.7d4d457a1155cp-31, q4, c19), q16,
                              @@FMA(c15, q4, c11) * q8);
    const double S = @@FMA(q, @@SUM(high, @@FMA(c7, q4, c3)), 0x1.8c6dbf2cfc2b1p-2);
    const double R = @@FMA(q, S, -0x1.373e3a893c28ap-1), rest = q * R;
    const double P = @@SUM(0x1.82b4bb8c94dcep-1, rest), f = inverse * P;
    const double R_low = @@FMA(q, S, @@DIFF(-0x1.373e3a893c28ap-1, R));
    const double rest_low = @@SUM(@@FMA(q, R, -rest), -0x1.9ad8cb65779a9p-56);
    const double P_low = @@SUM(@@FMA(q, R_low, rest_low),
                               @@DIFF(rest, @@DIFF(P, 0x1.82b4bb8c94dcep-1)));
    const double slope = @@FMA(-t, f, 0x1.9884533d43651p-2);
    const double q_low = @@FMA(-8.0, inverse, @@DIFF(1.0, q));
    const double off = @@FMA(q_low * 0.125, @@FMA(-d, slope, f), e * slope);
    *low = @@FMA(off, d, @@FMA(inverse, P_low, @@FMA(inverse, P, -f)));
    return f;
}
""",
    "gelu_both": """
@@INLINE double @gelu_both(@@FIRST double x, double *derivative)
{
    double k, rest, f_low, high, low, r, sum, s, scale, v, v_low, s_low, rounding, w, m, h;
    const double t = @at_most(@absolute(x), 39.0);
    const double f = @normal_tail(@@HANDED_ON t, &f_low);
    high = @real(@bits(t) & 0xfffffffff8000000u);
    low = @@DIFF(t, high);
    r = @exp_parts_mhalf(@@HANDED_ON high * high, low * (t + high), &k, &rest);
    sum = @@SUM(r, rest);
    s = -0.5 * sum;
    scale = @times_power(0x1p128, k);
    v = t * f;
    v_low = @@FMA(t, f_low, @@FMA(t, f, -v));
    s_low = -0.5 * @@DIFF(rest, @@DIFF(sum, r));
    rounding = @@FMA(v, s_low, @@FMA(v_low, s, v_low));
    w = @@SUM(v, @@FMA(v, s, rounding)) * scale * 0x1p-128;
    m = @@SUM(@@FMA(-t, 0x1.9884533d43651p-2, f), f_low);
    h = @@FMA(m, s, m) * scale * 0x1p-128;
    *derivative = x < 0.0 ? h : @@DIFF(1.0, h);
    return x < 0.0 ? -w : @@DIFF(x, w);
}
""",
    "sigmoid_delta": """
@@INLINE double @sigmoid_delta(double a, double delta)
{
    return delta * (a * @@DIFF(1.0, a));
}
""",
    "tanh_delta": """
@@INLINE double @tanh_delta(double a, double delta)
{
    return delta * (@@DIFF(1.0, a) * @@SUM(1.0, a));
}
""",
    "relu_delta": """
@@INLINE double @relu_delta(double a, double delta)
{
    return 0.0 < a ? delta : 0.0;
}
""",
    "leaky_relu_delta": """
@@INLINE double @leaky_relu_delta(double a, double delta)
{
    return 0.0 < a ? delta : 0.01 * delta;
}
""",
    "elu_delta": """
@@INLINE double @elu_delta(double a, double delta)
{
    return 0.0 < a ? delta : delta * @@SUM(a, 1.0);
}
""",
    "softplus_delta": """
@@INLINE double @softplus_delta(@@FIRST double a, double delta)
{
    return delta * -@expm1_negative(@@HANDED_ON a);
}
""",
    "exp_delta": """
@@INLINE double @exp_delta(double a, double delta)
{
    return delta * a;
}
""",
}
for _name in ("silu", "gelu", "mish"):
    FUNCTIONS[_name] = f"""
@@INLINE double @{_name}(@@FIRST double z)
{{
    double derivative;
    return @{_name}_both(@@HANDED_ON z, &derivative);
}}
"""
