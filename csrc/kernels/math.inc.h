/* math.inc.h - exp, log, sigmoid, tanh, log(1 + exp(-|x|)) and the activations made of them on
 * vectors.
 *
 * The same sequence of operations on every ISA, so the same bits wherever there is an FMA. At most
 * 2 ulp, gelu without FMA 5 (tests/kernels/test_vector_math.py measures it against mpmath); a
 * subnormal result is within one spacing of 2^-1074. NaN gives NaN; infinities and zeros give the
 * limits.
 * Constants: coefficients.py. */
#ifndef MLP_MATH_INC_H
#define MLP_MATH_INC_H

#include "kernels/simd.h"

#include <math.h>
#include <stdint.h>

#define LOG2_E 0x1.71547652b82fep+0
/* ln 2 in two parts; the first has 32 bits, so k LN2_HI is exact for every exponent k. */
#define LN2_HI 0x1.62e42fee00000p-1
#define LN2_LO 0x1.a39ef35793c76p-33

/* (exp(u r) - 1 - u r) / (u r^2), |u r| <= ln(2) / 2, for a power of two u: it moves into the
 * coefficients exactly. */
INLINE v_f64 exp_polynomial(const double u, v_f64 r)
{
    const double u2 = u * u, u4 = u2 * u2, u6 = u4 * u2, u8 = u4 * u4;
    const v_f64 r2 = r * r, r4 = r2 * r2;
    const v_f64 c01 = v_fma(v_set(u2 * 0x1.5555555555559p-3), r, v_set(u * 0x1.0000000000005p-1));
    const v_f64 c23 =
        v_fma(v_set(u4 * 0x1.111111110f651p-7), r, v_set(u * u2 * 0x1.55555555520fbp-5));
    const v_f64 c45 =
        v_fma(v_set(u6 * 0x1.a01a01b0054d2p-13), r, v_set(u * u4 * 0x1.6c16c17f34d6bp-10));
    const v_f64 c67 =
        v_fma(v_set(u8 * 0x1.71ddf80b7b60ep-19), r, v_set(u * u6 * 0x1.a019a68ef67cbp-16));
    const v_f64 c89 =
        v_fma(v_set(u8 * u2 * 0x1.af5f30fb3a132p-26), r, v_set(u * u8 * 0x1.28a2a1994d999p-22));
    const v_f64 low = v_fma(c23, r2, c01);
    const v_f64 high = v_fma(c67, r2, c45);
    return v_fma(v_fma(c89, r4, high), r4, low);
}

/* exp(u (x + x_low)) = 2^k (1 + u (r + rest)), |u r| <= ln(2) / 2: returns r, and k in t = k +
 * ROUNDER. r is exact and rest small, about u r^2 / 2, so their sum is off by its own rounding and
 * little more. */
INLINE v_f64 exp_parts_of_sum(const double u, v_f64 x, v_f64 x_low, v_f64 *t, v_f64 *rest)
{
    *t = v_fma(x, v_set(u * LOG2_E), v_set(ROUNDER));
    const v_f64 k = *t - v_set(ROUNDER);
    const v_f64 r = v_fma(k, v_set(-LN2_HI / u), x), low = k * v_set(LN2_LO / u) - x_low;
    const v_f64 reduced = r - low;
    *rest = v_fma(reduced * reduced, exp_polynomial(u, reduced), -low);
    return r;
}

/* The same for x_low = 0, which costs nothing: low - 0 is low. */
INLINE v_f64 exp_parts(const double u, v_f64 x, v_f64 *t, v_f64 *rest)
{
    return exp_parts_of_sum(u, x, v_set(0.0), t, rest);
}

/* Beyond the limits to which the functions below hold x the result is 0, 1 or infinite. */

INLINE v_f64 v_exp(v_f64 x)
{
    v_f64 t, rest;
    const v_f64 r = exp_parts(1.0, v_at_least(v_at_most(x, 710.0), -746.0), &t, &rest);
    return v_scale(r + rest, t);
}

/* exp(-|x|) */
INLINE v_f64 exp_negative(v_f64 x)
{
    v_f64 t, rest;
    const v_f64 r = exp_parts(1.0, v_at_least(v_minus_abs(x), -746.0), &t, &rest);
    /* v_scale for k <= 0 */
    const v_f64 factor = v_double(v_bits(v_set(0x1p64)) + v_exponent(t));
    return v_fma(factor, r + rest, factor) * v_set(0x1p-64);
}

/* k + log(1 + f) for |s| <= 3 - sqrt(8), s = f / (2 + f), with k = k_high + k_low:
 * log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R(s^2))), where nothing cancels. */
INLINE v_f64 log_sum(v_f64 f, v_f64 k_high, v_f64 k_low)
{
    const v_f64 s = f / (v_set(2.0) + f);
    const v_f64 z = s * s, z2 = z * z;
    const v_f64 c01 = v_fma(v_set(0x1.99999999952e2p-2), z, v_set(0x1.5555555555558p-1));
    const v_f64 c23 = v_fma(v_set(0x1.c71c62e57c3c4p-3), z, v_set(0x1.2492492df14bcp-2));
    const v_f64 c45 = v_fma(v_set(0x1.39fe604146b74p-3), z, v_set(0x1.7462b4ac441afp-3));
    const v_f64 high = v_fma(v_fma(v_set(0x1.2b584c6b42d60p-3), z2, c45), z2, c23);
    const v_f64 R = z * v_fma(high, z2, c01);
    const v_f64 half = v_set(0.5) * f * f;
    return k_high + (f - (half - v_fma(s, half + R, k_low)));
}

/* log(x) + k_extra ln 2 for normal x = 2^k (1 + f) > 0 */
INLINE v_f64 log_normal(v_f64 x, v_f64 k_extra)
{
    /* Subtracting the bits of sqrt(1/2) leaves the exponent for 1 + f in [sqrt(1/2), sqrt(2)); the
     * bias of 1024 keeps the sum positive for the logical shift. */
    const int64_t sqrt_half = 0x3fe6a09e667f3bcd, bias = (int64_t)1024 << 52;
    const v_i64 k = v_shift_right(v_bits(x) + v_set_bits(bias - sqrt_half), 52) - v_set_bits(1024);
    const v_f64 f = v_double(v_bits(x) - v_shift_left(k, 52)) - v_set(1.0);
    const v_f64 kf = v_double(k + v_bits(v_set(ROUNDER))) - v_set(ROUNDER) + k_extra;
    return log_sum(f, kf * v_set(LN2_HI), kf * v_set(LN2_LO));
}

INLINE v_f64 v_log(v_f64 x)
{
    const v_f64 zero = v_set(0.0), infinity = v_set(HUGE_VAL);
    const v_i64 subnormal = v_lt(x, v_set(0x1p-1022));
    const v_f64 scaled = v_select(subnormal, x * v_set(0x1p54), x);
    v_f64 y = log_normal(scaled, v_select(subnormal, v_set(-54.0), zero));
    y = v_select(v_eq(x, infinity), infinity, y);
    y = v_select(v_eq(x, zero), -infinity, y);
    /* Negative, or not a number: x - x + NaN keeps a NaN's payload out of the arithmetic above. */
    return v_select(v_lt(x, zero) | ~v_eq(x, x), v_set((double)NAN), y);
}

/* log(1 + t) for t = exp(-|x|) */
INLINE v_f64 v_log1p_exp(v_f64 x)
{
    const v_f64 t = exp_negative(x), zero = v_set(0.0);
    /* 1 + t = 1 + f or, above sqrt(2), 2 (1 + f). In the second case f + f_low = t / 2 - 1/2, and
     * f_low is 0 unless t < 1/2: f_low / (1 + f) = 1.37 f_low to 3 %. */
    const v_i64 above = v_lt(v_set(0x1.a827999fcef32p-2), t);
    const v_f64 half = v_set(0.5) * t, f = half - v_set(0.5), f_low = half - (f + v_set(0.5));
    const v_f64 k_low = v_fma(v_set(1.37), f_low, v_set(LN2_LO));
    return log_sum(v_select(above, f, t), v_select(above, v_set(LN2_HI), zero),
                   v_select(above, k_low, zero));
}

/* Functions below are in two halves for the loops that take one half of many elements and then the other:
 * the first, of x, is all that exp takes; the second returns the result. */

/* 1 / (1 + exp(-x)) = n / (2^-60 + 2^(k - 60) (1 - s)), where -60 keeps 2^k within range. The
 * denominator is rounded once while 2^-60 + 2^(k - 60) is exact, |k| <= 52. What that sum drops for
 * k = 53, as much as 2^-53 of it, n leaves out too; for larger k it is at most 2^-54, which makes the largest
 * error found, 1.9995 ulp at -0x1.2b70d8c7d90abp+5, k = 54. */
INLINE v_f64 sigmoid_parts(v_f64 x, v_f64 *t, v_f64 *rest)
{
    return exp_parts(-1.0, v_at_least(v_at_most(x, 40.0), -746.0), t, rest);
}
INLINE v_f64 sigmoid_of_parts(v_f64 x, v_f64 r, v_f64 t, v_f64 rest)
{
    const v_f64 one = v_set(0x1p-60);
    const v_f64 scale = v_double(v_bits(one) + v_exponent(t));
    const v_f64 n = v_double(v_bits(one) + v_eq(t, v_set(ROUNDER + 53.0)));
    (void)x;
    return n / v_fma(-scale, r + rest, one + scale);
}
INLINE v_f64 v_sigmoid(v_f64 x)
{
    v_f64 t, rest;
    const v_f64 r = sigmoid_parts(x, &t, &rest);
    return sigmoid_of_parts(x, r, t, rest);
}

/* (1 - T) / (1 + T), T = exp(-2|x|) = 2^k (1 + 2 s), and the sign of x: n / d, corrected by what the
 * roundings of n and d lost. */
INLINE v_f64 tanh_parts(v_f64 x, v_f64 *t, v_f64 *rest)
{
    return exp_parts(2.0, v_at_least(v_minus_abs(x), -20.0), t, rest);
}
INLINE v_f64 tanh_of_parts(v_f64 x, v_f64 r, v_f64 t, v_f64 rest)
{
    const v_f64 s = r + rest;
    const v_f64 scale2 = v_double(v_bits(v_set(2.0)) + v_exponent(t)); /* 2^(k + 1) */
    const v_f64 n0 = v_fma(scale2, v_set(-0.5), v_set(1.0)), n = v_fma(-scale2, s, n0);
    const v_f64 d0 = v_fma(scale2, v_set(0.5), v_set(1.0)), d = v_fma(scale2, s, d0);
    const v_f64 n_low = v_fma(-scale2, rest, v_fma(-scale2, r, n0 - n));
    const v_f64 d_low = v_fma(scale2, s, d0 - d);
    /* 1/d on [1, 2] to 4 %: enough to weigh a few rounding errors. */
    const v_f64 inverse = v_fma(v_set(-0.5), d, v_set(1.457));
    const v_f64 quotient = n / d;
    const v_f64 y = v_fma(v_fma(-quotient, d_low, n_low), inverse, quotient);
    return v_double(v_bits(y) | (v_bits(x) & v_set_bits(INT64_MIN)));
}
INLINE v_f64 v_tanh(v_f64 x)
{
    v_f64 t, rest;
    const v_f64 r = tanh_parts(x, &t, &rest);
    return tanh_of_parts(x, r, t, rest);
}

/* exp(-|x|) - 1 = 2^k (r + rest) + (2^k - 1), where nothing cancels much: k <= 0. */
INLINE v_f64 v_expm1_negative(v_f64 x)
{
    v_f64 t, rest;
    const v_f64 one = v_set(1.0);
    const v_f64 r = exp_parts(1.0, v_at_least(v_minus_abs(x), -40.0), &t, &rest);
    const v_f64 scale = v_double(v_bits(one) + v_exponent(t));
    return v_fma(scale, r + rest, scale - one);
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)) */
INLINE v_f64 v_softplus(v_f64 x)
{
    return v_select(v_lt(x, v_set(0.0)), v_set(0.0), x) + v_log1p_exp(x);
}

/* x / (1 + E), E = exp(-x) = 2^k (1 - s), and *derivative = (1 + x E / (1 + E)) / (1 + E). Both
 * fractions are reduced by 2^-100 where E may overflow; beyond -760 the results are 0, beyond 45 x
 * and 1. */
INLINE v_f64 v_silu(v_f64 x, v_f64 *derivative)
{
    v_f64 t, rest;
    const v_f64 below = v_at_least(x, -760.0), z = v_at_most(below, 45.0);
    const v_f64 r = exp_parts(-1.0, z, &t, &rest), s = r + rest;
    const v_f64 one = v_select(v_lt(x, v_set(-600.0)), v_set(0x1p-100), v_set(1.0));
    /* 1 + 2^k - 2^k s, where 2^k s is exact, and 1 + 2^k but for small from k = 53 on */
    const v_f64 scale = v_double(v_bits(one) + v_exponent(t)), sum = one + scale;
    const v_f64 small = one - (sum - scale), d = sum + v_fma(-scale, s, small);
    *derivative = one * v_fma(z, v_fma(-scale, s, scale) / d, v_set(1.0)) / d;
    return below * one / d;
}

/* x R, where R = tanh(log(1 + E)) and E = exp(x) = 2^k (1 + s); *derivative = R + x R'. With
 * D = E^2 + 2 E + 2 and n = 4 - D, R = 1 - 2 / D = (1 - q) / 2 for q = n / D. Left of -0.69, where that
 * cancels, R = E (1 - q) for q = (E^2 + E) / D < 0.24. Either is a power of two times 1 + W: beside the 1,
 * the errors of n, D and q count little. R' = w (w + 2 / D) for w = 2 E / D; on the left R' =
 * R - E (w + w^2) / 2, for the same reason. Beyond -760 the results are 0, beyond 45 x and 1. */
INLINE v_f64 v_mish(v_f64 x, v_f64 *derivative)
{
    v_f64 t, rest;
    const v_f64 one = v_set(1.0), two = v_set(2.0), minus_half = v_set(-0.5);
    const v_f64 below = v_at_least(x, -760.0), z = v_at_most(below, 45.0);
    const v_f64 r = exp_parts(1.0, z, &t, &rest), s = r + rest;
    /* On the left 2^k may be subnormal: scale is 2^128 times as much, which back ends. */
    const v_i64 left = v_lt(z, v_set(-0.69)), more = left & v_set_bits((int64_t)128 << 52);
    const v_f64 scale = v_double(v_bits(one) + v_exponent(t) + more);
    const v_f64 back = v_double(v_bits(one) - more), power = scale * back;
    const v_f64 E = v_fma(power, s, power);
    /* From -0.69 on E > 1/2, so that 2 - 2 E is exact. */
    const v_f64 n = v_fma(-E, E, v_fma(-two, E, two)), D = v_set(4.0) - n;
    const v_f64 q = v_select(left, v_fma(E, E, E), n) / D;
    const v_f64 s_left = v_double(v_bits(s) & left), sum = one + s_left;
    const v_f64 W = v_fma(-q, sum, s_left);
    const v_f64 factor = v_select(left, scale, v_set(0.5)), y = below * factor;
    const v_f64 inverse = two / D, w = E * inverse, R = v_fma(factor, W, factor);
    const v_f64 slope_left = v_fma(factor * sum * w, v_fma(minus_half, w, minus_half), R);
    *derivative = v_fma(z, v_select(left, slope_left, w * (w + inverse)), R) * back;
    return v_fma(y, W, y) * back;
}

#define INVERSE_SQRT_2_PI 0x1.9884533d43651p-2

/* f(t) = exp(t^2/2) Phi(-t) = P(q) / (t + 4), q = (t - 4) / (t + 4), for 0 <= t <= 39, as the sum of
 * what is returned and *low. With the computed 1 / (t + 4) off by a factor 1 - e, f is off by
 * e (t + 4) f'(t), and f'(t) = t f - 1 / sqrt(2 pi). */
INLINE v_f64 normal_tail(v_f64 t, v_f64 *low)
{
    const v_f64 K = v_set(4.0), one = v_set(1.0);
    const v_f64 d = t + K, part = d - t, d_low = (t - (d - part)) + (K - part);
    const v_f64 inverse = one / d, e = v_fma(-inverse, d_low, v_fma(-inverse, d, one));
    const v_f64 q = v_fma(v_set(-8.0), inverse, one), q2 = q * q, q4 = q2 * q2;
    const v_f64 q8 = q4 * q4, q16 = q8 * q8;
#define PAIR(a, b) v_fma(v_set(b), q, v_set(a))
#define FOUR(a, b, c, d) v_fma(PAIR(c, d), q2, PAIR(a, b))
    const v_f64 c3 = FOUR(-0x1.7dff2bff683bbp-3, 0x1.eec4cc3e4d76dp-5, -0x1.ee27610478a13p-8,
                          -0x1.c81719d5abebbp-9);
    const v_f64 c7 = FOUR(0x1.ab825fbfb5191p-10, 0x1.17a4ae7257d24p-13, -0x1.e4a42522fcc5ap-13,
                          -0x1.001eb96cb8942p-19);
    const v_f64 c11 = FOUR(0x1.26d093bf25658p-15, 0x1.80b857d2a3a45p-21, -0x1.8d4a85c3ba0f8p-18,
                           -0x1.51f5bba023cd9p-21);
    const v_f64 c15 = FOUR(0x1.123119f636ac5p-20, 0x1.2375ec7bd2692p-22, -0x1.4ca3bb1417e88p-23,
                           -0x1.6d10fc41fd79fp-24);
    const v_f64 c19 = FOUR(0x1.c986a25d6286bp-27, 0x1.4c8a71d0048c8p-26, 0x1.fa491ded53c7fp-30,
                           -0x1.509a40dedfb86p-29);
#undef PAIR
#undef FOUR
    const v_f64 c23 = v_set(-0x1.7d4d457a1155cp-31), c2 = v_set(0x1.8c6dbf2cfc2b1p-2);
    const v_f64 c1 = v_set(-0x1.373e3a893c28ap-1), c0 = v_set(0x1.82b4bb8c94dcep-1);
    const v_f64 c0_low = v_set(-0x1.9ad8cb65779a9p-56);
    const v_f64 high = v_fma(v_fma(c23, q4, c19), q16, v_fma(c15, q4, c11) * q8);
    const v_f64 S = v_fma(q, high + v_fma(c7, q4, c3), c2), R = v_fma(q, S, c1);
    const v_f64 rest = q * R, P = c0 + rest, f = inverse * P;
    /* What these sums round off counts where P is below 1/2. */
    const v_f64 R_low = v_fma(q, S, c1 - R), rest_low = v_fma(q, R, -rest) + c0_low;
    const v_f64 P_low = v_fma(q, R_low, rest_low) + (rest - (P - c0));
    const v_f64 slope = v_fma(-t, f, v_set(INVERSE_SQRT_2_PI));
    /* With 1 - q rounded, P is off by q_low P'(q), and f by q_low (f + (t + 4) f') (t + 4) / 8. */
    const v_f64 q_low = v_fma(v_set(-8.0), inverse, one - q);
    const v_f64 off = v_fma(q_low * v_set(0.125), v_fma(-d, slope, f), e * slope);
    *low = v_fma(off, d, v_fma(inverse, P_low, v_fma(inverse, P, -f)));
    return f;
}

/* x Phi(x), from w = |x| Phi(-|x|) and x - w for x > 0; *derivative = Phi(x) + x exp(-x^2/2) /
 * sqrt(2 pi). The square is the sum of that of |x|'s first 26 bits, which is exact, and the rest. */
INLINE v_f64 v_gelu(v_f64 x, v_f64 *derivative)
{
    v_f64 k, rest, f_low;
    const v_f64 zero = v_set(0.0), t = v_at_most(v_abs(x), 39.0), f = normal_tail(t, &f_low);
    const v_f64 high = v_double(v_bits(t) & v_set_bits(-((int64_t)1 << 27))), low = t - high;
    const v_f64 r = exp_parts_of_sum(-0.5, high * high, low * (t + high), &k, &rest);
    const v_f64 sum = r + rest, half = v_set(-0.5), s = half * sum;
    /* v_scale for -1100 <= k <= 0 */
    const v_f64 scale = v_double(v_bits(v_set(0x1p128)) + v_exponent(k)), back = v_set(0x1p-128);
    const v_f64 v = t * f, v_low = v_fma(t, f_low, v_fma(t, f, -v));
    const v_f64 s_low = half * (rest - (sum - r));
    const v_f64 rounding = v_fma(v, s_low, v_fma(v_low, s, v_low));
    const v_f64 w = (v + v_fma(v, s, rounding)) * scale * back;
    const v_f64 m = v_fma(-t, v_set(INVERSE_SQRT_2_PI), f) + f_low;
    const v_f64 h = v_fma(m, s, m) * scale * back;
    const v_i64 negative = v_lt(x, zero);
    *derivative = v_select(negative, h, v_set(1.0) - h);
    return v_select(negative, -w, x - w);
}

#endif
