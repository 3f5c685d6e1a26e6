/* simd_avx512.h - AVX-512 F, DQ, BW and VL: eight doubles a vector. */
#ifndef MLP_SIMD_AVX512_H
#define MLP_SIMD_AVX512_H

#include "kernels/simd_vector.h"

#include <immintrin.h>

#define HAS_FMA
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c) { return (v_f64)_mm512_fmadd_pd(a, b, c); }
#define HAS_LIMITS
INLINE v_f64 v_at_least(v_f64 x, double limit) { return (v_f64)_mm512_max_pd(v_set(limit), x); }
INLINE v_f64 v_at_most(v_f64 x, double limit) { return (v_f64)_mm512_min_pd(v_set(limit), x); }
#define HAS_SQRT
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)_mm512_sqrt_pd(x); }
#define HAS_SCALE
INLINE v_f64 v_scale(v_f64 s, v_f64 t)
{
    return (v_f64)_mm512_scalef_pd(v_set(1.0) + s, t - v_set(ROUNDER));
}
#define HAS_ANY
INLINE int v_any(v_i64 mask) { return _mm512_movepi64_mask((__m512i)mask) != 0; }
#define HAS_PARTS
INLINE __mmask8 first_lanes(size_t n) { return (__mmask8)((1u << n) - 1u); }
INLINE v_f64 v_load_n(const double *p, size_t n)
{
    return (v_f64)_mm512_maskz_loadu_pd(first_lanes(n), p);
}
INLINE void v_store_n(double *p, size_t n, v_f64 v) { _mm512_mask_storeu_pd(p, first_lanes(n), v); }
#define HAS_SHORT
#define SHORT_VECTOR(T, f, bits, lanes)                                                            \
    typedef double T __attribute__((vector_size(8 * lanes)));                                      \
    INLINE T f##_of(v_f64 x) { return (T)_mm512_castpd512_pd##bits((__m512d)x); }                  \
    INLINE T f##_fma(T a, T b, T c) { return (T)MM(bits, fmadd_pd)(a, b, c); }                     \
    INLINE T f##_load(const int edge, const double *p, size_t n)                                   \
    {                                                                                              \
        if (edge)                                                                                  \
            return (T)MM(bits, maskz_loadu_pd)(first_lanes(n), p);                                 \
        return (T)MM(bits, loadu_pd)(p);                                                           \
    }                                                                                              \
    INLINE void f##_store(const int edge, double *p, size_t n, T x)                                \
    {                                                                                              \
        if (edge)                                                                                  \
            MM(bits, mask_storeu_pd)(p, first_lanes(n), x);                                        \
        else                                                                                       \
            MM(bits, storeu_pd)(p, x);                                                             \
    }
#define MM(bits, name) MM_##bits(name)
#define MM_128(name) _mm_##name
#define MM_256(name) _mm256_##name
SHORT_VECTOR(v_two, two, 128, 2)
SHORT_VECTOR(v_four, four, 256, 4)
#undef MM_256
#undef MM_128
#undef MM
#undef SHORT_VECTOR
#define HAS_TRANSPOSE
/* The even or the odd quarters of a, then of b. */
#define EVEN_QUARTERS(a, b) _mm512_shuffle_f64x2(a, b, 0x88)
#define ODD_QUARTERS(a, b) _mm512_shuffle_f64x2(a, b, 0xdd)
INLINE void v_transpose(v_f64 x[VL])
{
    __m512d t[8];
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_unpacklo_pd(x[2 * i], x[2 * i + 1]);
        t[i + 4] = _mm512_unpackhi_pd(x[2 * i], x[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 2; i++) {
        const __m512d a = EVEN_QUARTERS(t[4 * i], t[4 * i + 1]);
        const __m512d b = EVEN_QUARTERS(t[4 * i + 2], t[4 * i + 3]);
        const __m512d c = ODD_QUARTERS(t[4 * i], t[4 * i + 1]);
        const __m512d d = ODD_QUARTERS(t[4 * i + 2], t[4 * i + 3]);
        x[i] = (v_f64)EVEN_QUARTERS(a, b);
        x[i + 2] = (v_f64)EVEN_QUARTERS(c, d);
        x[i + 4] = (v_f64)ODD_QUARTERS(a, b);
        x[i + 6] = (v_f64)ODD_QUARTERS(c, d);
    }
}
#define HAS_ZIP
INLINE v_f64 lanes_of(v_f64 a, v_f64 b, __m512i places)
{
    return (v_f64)_mm512_permutex2var_pd((__m512d)a, places, (__m512d)b);
}
INLINE void v_zip(v_f64 a, v_f64 b, v_f64 *low, v_f64 *high)
{
    *low = lanes_of(a, b, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11));
    *high = lanes_of(a, b, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15));
}
INLINE void v_unzip(v_f64 a, v_f64 b, v_f64 *even, v_f64 *odd)
{
    *even = lanes_of(a, b, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14));
    *odd = lanes_of(a, b, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15));
}

#endif
