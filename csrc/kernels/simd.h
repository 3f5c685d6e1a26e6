/* simd.h - the vector vocabulary of the kernels: one block per instruction set, about 20 names.
 *
 * Included by a kernels_*.c that has defined VL, doubles per vector. A v_f64 takes + - * /
 * directly; a mask is a v_i64 of all ones or all zeros. v_fma is one rounding where the ISA has FMA
 * and two where it has not: machines without FMA are a class of their own. Everything else gives
 * the same bits everywhere. */
#ifndef MLP_SIMD_H
#define MLP_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define INLINE static inline __attribute__((always_inline, unused))
/* A function that is kept out of its callers, so that its registers burden no short path. */
#define APART static __attribute__((noinline))
typedef double v_f64 __attribute__((vector_size(8 * VL)));
typedef int64_t v_i64 __attribute__((vector_size(8 * VL)));
#define v_lt(a, b) ((v_i64)((a) < (b)))
#define v_eq(a, b) ((v_i64)((a) == (b)))
#define v_bits(a) ((v_i64)(a))
#define v_double(a) ((v_f64)(a))
/* Logical, not arithmetic: AVX2 has no 64-bit arithmetic shift. */
typedef uint64_t v_u64 __attribute__((vector_size(8 * VL)));
#define v_shift_right(a, s) ((v_i64)((v_u64)(a) >> (s)))
#define v_shift_left(a, s) ((v_i64)((v_u64)(a) << (s)))

/* x - 0 is x for every x, so it costs nothing; 0 + x would turn -0 into 0. */
INLINE v_f64 v_set(double x)
{
    const v_f64 zero = {0};
    return x - zero;
}
INLINE v_i64 v_set_bits(int64_t x)
{
    v_i64 v = {0};
    return v + x;
}
INLINE double v_lane(v_f64 v, size_t i) { return v[i]; }
#else
/* Compilers without vector extensions: scalars under the same names (VL is 1). */
#define INLINE static __inline
#define APART static
typedef double v_f64;
typedef int64_t v_i64;
#define v_lt(a, b) (-(int64_t)((a) < (b)))
#define v_eq(a, b) (-(int64_t)((a) == (b)))
INLINE int64_t v_bits(double a)
{
    int64_t b;
    memcpy(&b, &a, sizeof b);
    return b;
}
INLINE double v_double(int64_t a)
{
    double b;
    memcpy(&b, &a, sizeof b);
    return b;
}
#define v_shift_right(a, s) ((int64_t)((uint64_t)(a) >> (s)))
#define v_shift_left(a, s) ((int64_t)((uint64_t)(a) << (s)))
INLINE v_f64 v_set(double x) { return x; }
INLINE v_i64 v_set_bits(int64_t x) { return x; }
INLINE double v_lane(v_f64 v, size_t i)
{
    (void)i;
    return v;
}
#endif

/* A loop over a tile stays in registers only when it is unrolled entirely (GCC 12 needs to be
 * told). */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/* Asks for the cache line at p, which need not exist. */
#if defined(__GNUC__) || defined(__clang__)
#define v_prefetch(p) __builtin_prefetch(p)
#else
#define v_prefetch(p) ((void)(p))
#endif

INLINE v_f64 v_load(const double *p)
{
    v_f64 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void v_store(double *p, v_f64 v) { memcpy(p, &v, sizeof v); }

/* mask ? a : b; the blends of AVX2 and AVX-512 are not faster. */
INLINE v_f64 v_select(v_i64 mask, v_f64 a, v_f64 b)
{
    return v_double((mask & v_bits(a)) | (~mask & v_bits(b)));
}
INLINE v_f64 v_abs(v_f64 a) { return v_double(v_bits(a) & v_set_bits(INT64_MAX)); }
/* -|a| */
INLINE v_f64 v_minus_abs(v_f64 a) { return v_double(v_bits(a) | v_set_bits(INT64_MIN)); }

/* 1.5 2^52: adding it rounds to an integer k, whose two's complement is then in the low bits. */
#define ROUNDER 0x1.8p52
/* What adds k to the exponent of a double when it is added to the bits, from t = k + ROUNDER: of
 * the bits of ROUNDER nothing is left. */
#define v_exponent(t) v_shift_left(v_bits(t), 52)

/* v_at_least, v_at_most: limit where x is beyond it, otherwise x, also NaN
 * v_scale: (1 + s) 2^k, the sum and then the product rounded, from t = k + ROUNDER; |s| < 1/2 or
 *     NaN, |k| <= 1080
 * v_sqrt: correctly rounded
 * v_any: whether the sign bit of any lane is set; a mask has it where it is true
 * v_nonzero: of AVX2 alone, with HAS_NONZERO
 * v_load_n, v_store_n: the first n elements, 0 < n <= VL; the others read as 0, are not touched. */
#if defined(__FMA__) && VL == 4
#include <immintrin.h>
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c) { return (v_f64)_mm256_fmadd_pd(a, b, c); }
/* The result is the second operand, NaN too, unless the first one is beyond it. */
INLINE v_f64 v_at_least(v_f64 x, double limit) { return (v_f64)_mm256_max_pd(v_set(limit), x); }
INLINE v_f64 v_at_most(v_f64 x, double limit) { return (v_f64)_mm256_min_pd(v_set(limit), x); }
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)_mm256_sqrt_pd(x); }
INLINE __m256i first_lanes(size_t n)
{
    static const int64_t lanes[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(const void *)(lanes + 4 - n));
}
#define HAS_ANY
INLINE int v_any(v_i64 mask) { return _mm256_movemask_pd((__m256d)mask) != 0; }
INLINE v_f64 v_load_n(const double *p, size_t n)
{
    return (v_f64)_mm256_maskload_pd(p, first_lanes(n));
}
INLINE void v_store_n(double *p, size_t n, v_f64 v) { _mm256_maskstore_pd(p, first_lanes(n), v); }
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
/* x[i][j] <- x[j][i] */
INLINE void v_transpose(v_f64 x[VL])
{
    const __m256d a = _mm256_unpacklo_pd(x[0], x[1]), b = _mm256_unpackhi_pd(x[0], x[1]);
    const __m256d c = _mm256_unpacklo_pd(x[2], x[3]), d = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = (v_f64)_mm256_permute2f128_pd(a, c, 0x20);
    x[1] = (v_f64)_mm256_permute2f128_pd(b, d, 0x20);
    x[2] = (v_f64)_mm256_permute2f128_pd(a, c, 0x31);
    x[3] = (v_f64)_mm256_permute2f128_pd(b, d, 0x31);
}
#elif defined(__AVX512F__) && VL == 8
#include <immintrin.h>
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c) { return (v_f64)_mm512_fmadd_pd(a, b, c); }
INLINE v_f64 v_at_least(v_f64 x, double limit) { return (v_f64)_mm512_max_pd(v_set(limit), x); }
INLINE v_f64 v_at_most(v_f64 x, double limit) { return (v_f64)_mm512_min_pd(v_set(limit), x); }
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)_mm512_sqrt_pd(x); }
INLINE v_f64 v_scale(v_f64 s, v_f64 t)
{
    return (v_f64)_mm512_scalef_pd(v_set(1.0) + s, t - v_set(ROUNDER));
}
#define HAS_SCALE
INLINE int v_any(v_i64 mask) { return _mm512_movepi64_mask((__m512i)mask) != 0; }
#define HAS_ANY
INLINE __mmask8 first_lanes(size_t n) { return (__mmask8)((1u << n) - 1u); }
INLINE v_f64 v_load_n(const double *p, size_t n)
{
    return (v_f64)_mm512_maskz_loadu_pd(first_lanes(n), p);
}
INLINE void v_store_n(double *p, size_t n, v_f64 v) { _mm512_mask_storeu_pd(p, first_lanes(n), v); }
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
#else
#if defined(SIMD_NEON)
#include <arm_neon.h>
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c)
{
    return (v_f64)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)vsqrtq_f64((float64x2_t)x); }
#define HAS_SQRT
#else
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c) { return a * b + c; }
#endif
#if defined(__SSE2__) && VL == 2
#include <emmintrin.h>
INLINE v_f64 v_at_least(v_f64 x, double limit) { return (v_f64)_mm_max_pd(v_set(limit), x); }
INLINE v_f64 v_at_most(v_f64 x, double limit) { return (v_f64)_mm_min_pd(v_set(limit), x); }
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)_mm_sqrt_pd(x); }
#define HAS_SQRT
#else
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
