/* simd_vector.h - vectors of VL doubles as the compiler knows them, the same for every instruction set, and
 * one double where it has none. */
#ifndef MLP_SIMD_VECTOR_H
#define MLP_SIMD_VECTOR_H

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

#endif
