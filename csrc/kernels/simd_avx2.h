/* simd_avx2.h - AVX2 with FMA: four doubles a vector. */
#ifndef MLP_SIMD_AVX2_H
#define MLP_SIMD_AVX2_H

#include "kernels/simd_vector.h"

#include <immintrin.h>

#define HAS_FMA
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c) { return (v_f64)_mm256_fmadd_pd(a, b, c); }
#define HAS_LIMITS
/* The result is the second operand, NaN too, unless the first one is beyond it. */
INLINE v_f64 v_at_least(v_f64 x, double limit) { return (v_f64)_mm256_max_pd(v_set(limit), x); }
INLINE v_f64 v_at_most(v_f64 x, double limit) { return (v_f64)_mm256_min_pd(v_set(limit), x); }
#define HAS_SQRT
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)_mm256_sqrt_pd(x); }
#define HAS_PARTS
INLINE __m256i first_lanes(size_t n)
{
    static const int64_t lanes[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(const void *)(lanes + 4 - n));
}
INLINE v_f64 v_load_n(const double *p, size_t n)
{
    return (v_f64)_mm256_maskload_pd(p, first_lanes(n));
}
INLINE void v_store_n(double *p, size_t n, v_f64 v) { _mm256_maskstore_pd(p, first_lanes(n), v); }
#define HAS_ANY
INLINE int v_any(v_i64 mask) { return _mm256_movemask_pd((__m256d)mask) != 0; }

/* values <- the lanes of x that are not 0, in their order; places <- place + i step of lane i for each of
 * them; returns how many there are. Writes four of both. */
#define HAS_NONZERO
INLINE size_t v_nonzero(v_f64 x, size_t place, size_t step, double *values, uint16_t *places)
{
/* Four lanes as pairs of 32 bits, and as numbers of 16 bits. */
#define PAIRS(a, b, c, d) {2 * a, 2 * a + 1, 2 * b, 2 * b + 1, 2 * c, 2 * c + 1, 2 * d, 2 * d + 1}
#define NUMBERS(a, b, c, d)                                                                        \
    ((uint64_t)a | (uint64_t)b << 16 | (uint64_t)c << 32 | (uint64_t)d << 48)
/* The lanes of each mask, then any. */
#define MASKS(F)                                                                                   \
    {                                                                                              \
        F(0, 0, 0, 0), F(0, 0, 0, 0), F(1, 0, 0, 0), F(0, 1, 0, 0), F(2, 0, 0, 0), F(0, 2, 0, 0),  \
            F(1, 2, 0, 0), F(0, 1, 2, 0), F(3, 0, 0, 0), F(0, 3, 0, 0), F(1, 3, 0, 0),             \
            F(0, 1, 3, 0), F(2, 3, 0, 0), F(0, 2, 3, 0), F(1, 2, 3, 0), F(0, 1, 2, 3)              \
    }
    static const int32_t pairs[16][8] = MASKS(PAIRS);
    static const uint64_t numbers[16] = MASKS(NUMBERS);
#undef MASKS
#undef NUMBERS
#undef PAIRS
    const __m256d zero = _mm256_setzero_pd();
    const int mask = _mm256_movemask_pd(_mm256_cmp_pd((__m256d)x, zero, _CMP_NEQ_UQ));
    const __m256i order = _mm256_loadu_si256((const __m256i *)(const void *)pairs[mask]);
    const __m256i left = _mm256_permutevar8x32_epi32(_mm256_castpd_si256((__m256d)x), order);
    const uint64_t four = place * 0x0001000100010001u + numbers[mask] * step;
    _mm256_storeu_si256((__m256i *)(void *)values, left);
    memcpy(places, &four, sizeof four);
    return (size_t)__builtin_popcount((unsigned)mask);
}

#define HAS_TRANSPOSE
INLINE void v_transpose(v_f64 x[VL])
{
    const __m256d a = _mm256_unpacklo_pd(x[0], x[1]), b = _mm256_unpackhi_pd(x[0], x[1]);
    const __m256d c = _mm256_unpacklo_pd(x[2], x[3]), d = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = (v_f64)_mm256_permute2f128_pd(a, c, 0x20);
    x[1] = (v_f64)_mm256_permute2f128_pd(b, d, 0x20);
    x[2] = (v_f64)_mm256_permute2f128_pd(a, c, 0x31);
    x[3] = (v_f64)_mm256_permute2f128_pd(b, d, 0x31);
}
#define HAS_ZIP
INLINE void v_zip(v_f64 a, v_f64 b, v_f64 *low, v_f64 *high)
{
    const __m256d even = _mm256_unpacklo_pd((__m256d)a, (__m256d)b);
    const __m256d odd = _mm256_unpackhi_pd((__m256d)a, (__m256d)b);
    *low = (v_f64)_mm256_permute2f128_pd(even, odd, 0x20);
    *high = (v_f64)_mm256_permute2f128_pd(even, odd, 0x31);
}
INLINE void v_unzip(v_f64 a, v_f64 b, v_f64 *even, v_f64 *odd)
{
    const __m256d low = _mm256_permute2f128_pd((__m256d)a, (__m256d)b, 0x20);
    const __m256d high = _mm256_permute2f128_pd((__m256d)a, (__m256d)b, 0x31);
    *even = (v_f64)_mm256_unpacklo_pd(low, high);
    *odd = (v_f64)_mm256_unpackhi_pd(low, high);
}

#endif
