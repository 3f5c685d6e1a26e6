/* simd_sse2.h - x86-64 as it began: two doubles a vector, no FMA. */
#ifndef MLP_SIMD_SSE2_H
#define MLP_SIMD_SSE2_H

#include "kernels/simd_vector.h"

#include <emmintrin.h>

#define HAS_LIMITS
INLINE v_f64 v_at_least(v_f64 x, double limit) { return (v_f64)_mm_max_pd(v_set(limit), x); }
INLINE v_f64 v_at_most(v_f64 x, double limit) { return (v_f64)_mm_min_pd(v_set(limit), x); }
#define HAS_SQRT
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)_mm_sqrt_pd(x); }

#endif
