/* vmath.inc.h - exp, log, sigmoid, tanh and log(1 + exp(-|x|)) on vectors, included by
 * kernels.inc.h.
 *
 * The same sequence of operations on every ISA, so the same bits wherever there is an FMA. At most
 * 2 ulp (tests/test_vector_math.py measures it against mpmath); a subnormal result is within one
 * spacing of 2^-1074. NaN gives NaN; infinities and zeros give the limits. Constants:
 * coefficients.py. */

#define LOG2_E 0x1.71547652b82fep+0
/* ln 2 in two parts; the first has 32 bits, so k LN2_HI is exact for every exponent k. */
#define LN2_HI 0x1.62e42fee00000p-1
#define LN2_LO 0x1.a39ef35793c76p-33
/* 1.5 2^52: adding it rounds to an integer, which is then in the low bits. */
#define ROUNDER 0x1.8p52

/* (exp(r) - 1 - r) / r^2, |r| <= ln(2) / 2 */
INLINE v_f64 exp_polynomial(v_f64 r)
{
    const v_f64 r2 = r * r, r4 = r2 * r2;
    const v_f64 c01 = v_fma(v_set(0x1.5555555555556p-3), r, v_set(0x1.0000000000001p-1));
    const v_f64 c23 = v_fma(v_set(0x1.11111111109b5p-7), r, v_set(0x1.5555555553d68p-5));
    const v_f64 c45 = v_fma(v_set(0x1.a01a01a7c2f2cp-13), r, v_set(0x1.6c16c17889f3cp-10));
    const v_f64 c67 = v_fma(v_set(0x1.71de0db2eb873p-19), r, v_set(0x1.a019b914881bap-16));
    const v_f64 c89 = v_fma(v_set(0x1.af389eea54156p-26), r, v_set(0x1.28917c9f3a495p-22));
    const v_f64 low = v_fma(c23, r2, c01);
    const v_f64 high = v_fma(c67, r2, c45);
    return v_fma(v_fma(c89, r4, high), r4, low);
}

/* x = k ln 2 + r + tail with |r| <= ln(2) / 2, tail below half an ulp of r: returns r. */
INLINE v_f64 reduce(v_f64 x, v_i64 *k, v_f64 *tail)
{
    const v_f64 t = v_fma(x, v_set(LOG2_E), v_set(ROUNDER));
    const v_f64 kf = t - v_set(ROUNDER);
    const v_f64 high = v_fma(kf, v_set(-LN2_HI), x), low = kf * v_set(LN2_LO);
    const v_f64 r = high - low;
    *k = v_bits(t) - v_bits(v_set(ROUNDER));
    *tail = (high - r) - low;
    return r;
}

/* exp(x) for -746 <= x <= 710, or NaN. */
INLINE v_f64 exp_within(v_f64 x)
{
    v_i64 k;
    v_f64 tail;
    const v_f64 r = reduce(x, &k, &tail);
    const v_f64 u = v_set(1.0) + r, lost = r - (u - v_set(1.0));
    const v_f64 p = u + (lost + v_fma(r * r, exp_polynomial(r), tail));
    /* 2^k in two factors: k reaches from -1076 to 1024. The first product is exact, so a subnormal
     * result is rounded once. k + 2048 > 0 makes the logical shift an arithmetic one. */
    const v_i64 k1 = v_shift_right(k + v_set_bits(2048), 1) - v_set_bits(1024);
    const v_i64 k2 = k - k1;
    const v_f64 s1 = v_double(v_shift_left(k1 + v_set_bits(1023), 52));
    const v_f64 s2 = v_double(v_shift_left(k2 + v_set_bits(1023), 52));
    return p * s1 * s2;
}

/* Beyond the limits the result is zero or infinite anyway; NaN compares false and stays. */
INLINE v_f64 v_at_least(v_f64 x, double limit)
{
    return v_select(v_lt(x, v_set(limit)), v_set(limit), x);
}
INLINE v_f64 v_exp(v_f64 x)
{
    const v_f64 below = v_select(v_lt(v_set(710.0), x), v_set(710.0), x);
    return exp_within(v_at_least(below, -746.0));
}
/* exp(-|x|) */
INLINE v_f64 exp_negative(v_f64 x) { return exp_within(v_at_least(-v_abs(x), -746.0)); }

/* log(x) for normal x > 0. With x = 2^k (1 + f) and s = f / (2 + f),
 * log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R(s^2))): nothing cancels. */
INLINE v_f64 log_normal(v_f64 x, v_f64 k_extra)
{
    /* Subtracting the bits of sqrt(1/2) leaves the exponent for 1 + f in [sqrt(1/2), sqrt(2)); the
     * bias of 1024 keeps the sum positive for the logical shift. */
    const int64_t sqrt_half = 0x3fe6a09e667f3bcd, bias = (int64_t)1024 << 52;
    const v_i64 k = v_shift_right(v_bits(x) + v_set_bits(bias - sqrt_half), 52) - v_set_bits(1024);
    const v_f64 f = v_double(v_bits(x) - v_shift_left(k, 52)) - v_set(1.0);
    const v_f64 kf = v_double(k + v_bits(v_set(ROUNDER))) - v_set(ROUNDER) + k_extra;
    const v_f64 s = f / (v_set(2.0) + f);
    const v_f64 z = s * s, z2 = z * z;
    const v_f64 c01 = v_fma(v_set(0x1.99999999952e2p-2), z, v_set(0x1.5555555555558p-1));
    const v_f64 c23 = v_fma(v_set(0x1.c71c62e57c3c4p-3), z, v_set(0x1.2492492df14bcp-2));
    const v_f64 c45 = v_fma(v_set(0x1.39fe604146b74p-3), z, v_set(0x1.7462b4ac441afp-3));
    const v_f64 high = v_fma(v_fma(v_set(0x1.2b584c6b42d60p-3), z2, c45), z2, c23);
    const v_f64 R = z * v_fma(high, z2, c01);
    const v_f64 half = v_set(0.5) * f * f;
    const v_f64 inner = v_fma(s, half + R, kf * v_set(LN2_LO));
    return v_fma(kf, v_set(LN2_HI), f - (half - inner));
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

/* log(1 + t) for t = exp(-|x|): log(u) with u the rounded 1 + t, corrected by what the rounding
 * lost. */
INLINE v_f64 v_log1p_exp(v_f64 x)
{
    const v_f64 t = exp_negative(x);
    const v_f64 u = v_set(1.0) + t;
    return log_normal(u, v_set(0.0)) + (t - (u - v_set(1.0))) / u;
}

/* 1/u on [1, 2] to 4 %: enough to weigh a correction of a few rounding errors. */
INLINE v_f64 roughly_inverse(v_f64 u) { return v_fma(v_set(-0.5), u, v_set(1.457)); }

/* 1 / (1 + exp(-x)), from t = exp(-|x|), which cannot overflow and keeps the small tail's relative
 * accuracy: n / u with u the rounded 1 + t, corrected by what the rounding lost. */
INLINE v_f64 v_sigmoid(v_f64 x)
{
    const v_f64 t = exp_negative(x);
    const v_f64 u = v_set(1.0) + t, lost = t - (u - v_set(1.0));
    const v_f64 y = v_select(v_lt(x, v_set(0.0)), t, v_set(1.0)) / u;
    return v_fma(-(y * lost), roughly_inverse(u), y);
}

/* -E / (E + 2) with E = exp(-2|x|) - 1 = 2^k (exp(r) - 1) + (2^k - 1), and the sign of x. E is kept
 * as e plus e_low, E + 2 as d plus d_low, and their low parts correct the quotient. */
INLINE v_f64 v_tanh(v_f64 x)
{
    const v_f64 y = v_set(-2.0) * v_abs(x);
    v_i64 k;
    v_f64 tail;
    /* From -40 down tanh rounds to 1. */
    const v_f64 r = reduce(v_at_least(y, -40.0), &k, &tail);
    const v_f64 scale = v_double(v_shift_left(k + v_set_bits(1023), 52));
    const v_f64 shift = scale - v_set(1.0);
    const v_f64 first = v_fma(scale, r, shift);
    const v_f64 error = v_fma(scale, r, shift - first);
    const v_f64 rest = v_fma(scale, v_fma(r * r, exp_polynomial(r), tail), error);
    const v_f64 e = first + rest, e_low = rest - (e - first);
    const v_f64 d = e + v_set(2.0), d_low = e - (d - v_set(2.0)) + e_low;
    const v_f64 t = -e / d;
    const v_f64 corrected = v_fma(-v_fma(t, d_low, e_low), roughly_inverse(d), t);
    return v_double(v_bits(v_abs(corrected)) | (v_bits(x) & v_set_bits(INT64_MIN)));
}
