/* simd_generic.h - what no instruction set's header has defined, by loops and plain arithmetic.
 *
 * What each of them does is said in simd.h; a header that does better defines HAS_.. for it. */
#ifndef MLP_SIMD_GENERIC_H
#define MLP_SIMD_GENERIC_H

#include "kernels/simd_vector.h"

#include <math.h>

#ifndef HAS_FMA
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c) { return a * b + c; }
#endif

#ifndef HAS_LIMITS
INLINE v_f64 v_at_least(v_f64 x, double limit)
{
    return v_select(v_lt(x, v_set(limit)), v_set(limit), x);
}
INLINE v_f64 v_at_most(v_f64 x, double limit)
{
    return v_select(v_lt(v_set(limit), x), v_set(limit), x);
}
#endif

#ifndef HAS_SQRT
INLINE v_f64 v_sqrt(v_f64 x)
{
    double t[VL];
    memcpy(t, &x, sizeof t);
    for (size_t i = 0; i < VL; i++)
        t[i] = sqrt(t[i]);
    memcpy(&x, t, sizeof t);
    return x;
}
#endif

#ifndef HAS_PARTS
INLINE v_f64 v_load_n(const double *p, size_t n)
{
    double t[VL];
    for (size_t i = 0; i < VL; i++)
        t[i] = i < n ? p[i] : 0.0;
    return v_load(t);
}
INLINE void v_store_n(double *p, size_t n, v_f64 v)
{
    double t[VL];
    v_store(t, v);
    for (size_t i = 0; i < VL; i++) {
        if (i < n)
            p[i] = t[i];
    }
}
#endif

#ifndef HAS_TRANSPOSE
INLINE void v_transpose(v_f64 x[VL])
{
    double t[VL][VL], u[VL][VL];
    memcpy(t, x, sizeof t);
    for (size_t i = 0; i < VL; i++) {
        for (size_t j = 0; j < VL; j++)
            u[i][j] = t[j][i];
    }
    memcpy(x, u, sizeof u);
}
#endif

#ifndef HAS_ZIP
INLINE void v_zip(v_f64 a, v_f64 b, v_f64 *low, v_f64 *high)
{
    double t[2 * VL];
    for (size_t i = 0; i < VL; i++) {
        t[2 * i] = v_lane(a, i);
        t[2 * i + 1] = v_lane(b, i);
    }
    *low = v_load(t);
    *high = v_load(t + VL);
}
INLINE void v_unzip(v_f64 a, v_f64 b, v_f64 *even, v_f64 *odd)
{
    double t[2 * VL], e[VL], o[VL];
    v_store(t, a);
    v_store(t + VL, b);
    for (size_t i = 0; i < VL; i++) {
        e[i] = t[2 * i];
        o[i] = t[2 * i + 1];
    }
    *even = v_load(e);
    *odd = v_load(o);
}
#endif

#ifndef HAS_ANY
INLINE int v_any(v_i64 mask)
{
    int64_t t[VL], any = 0;
    memcpy(t, &mask, sizeof t);
    for (size_t i = 0; i < VL; i++)
        any |= t[i];
    return any < 0;
}
#endif

#ifndef HAS_SCALE
INLINE v_f64 v_scale(v_f64 s, v_f64 t)
{
    /* 2^(k - h), h = 64 or, for k < 0, -64, is a normal number and so is its product with 1 + s,
     * rounded as the sum is; the factor 2^h rounds a subnormal result. */
    const v_i64 one = v_bits(v_set(1.0)), k = v_exponent(t);
    const v_i64 h = v_set_bits((int64_t)64 << 52) - v_shift_left(v_shift_right(k, 63), 59);
    const v_f64 factor = v_double(one + (k - h));
    return v_fma(factor, s, factor) * v_double(one + h);
}
#endif

#endif
