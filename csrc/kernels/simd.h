/* simd.h - the vector vocabulary of the kernels, about 20 names: simd_vector.h, what an instruction set does
 * better (simd_avx2.h, ...), and for the rest simd_generic.h.
 *
 * Included by a kernels_*.c that has defined VL, doubles per vector. A v_f64 takes + - * /
 * directly; a mask is a v_i64 of all ones or all zeros. v_fma is one rounding where the ISA has FMA
 * and two where it has not: machines without FMA are a class of their own. Everything else gives
 * the same bits everywhere. */
#ifndef MLP_SIMD_H
#define MLP_SIMD_H

#include "kernels/simd_vector.h"

/* v_at_least, v_at_most: limit where x is beyond it, otherwise x, also NaN
 * v_scale: (1 + s) 2^k, the sum and then the product rounded, from t = k + ROUNDER; |s| < 1/2 or
 *     NaN, |k| <= 1080
 * v_sqrt: correctly rounded
 * v_any: whether the sign bit of any lane is set; a mask has it where it is true
 * v_nonzero: of AVX2 alone, with HAS_NONZERO
 * v_transpose: x[i][j] <- x[j][i]
 * v_zip: a_0, b_0, a_1, b_1, .. into low and high; v_unzip: those of a and b, one after the other, with even
 *     numbers into even, with odd ones into odd
 * v_load_n, v_store_n: the first n elements, 0 < n <= VL; the others read as 0, are not touched.
 * v_two, v_four: of AVX-512 alone, with HAS_SHORT: a vector's first two or four lanes, two_of and four_of, and
 *     for them fma, load and store; with `edge` of the first n elements, else of all. */
#if defined(__FMA__) && VL == 4
#include "kernels/simd_avx2.h"
#elif defined(__AVX512F__) && VL == 8
#include "kernels/simd_avx512.h"
#elif defined(SIMD_NEON)
#include "kernels/simd_neon.h"
#elif defined(__SSE2__) && VL == 2
#include "kernels/simd_sse2.h"
#endif
#include "kernels/simd_generic.h"

#endif
