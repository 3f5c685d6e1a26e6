/* simd_neon.h - 64-bit Arm: two doubles a vector. */
#ifndef MLP_SIMD_NEON_H
#define MLP_SIMD_NEON_H

#include "kernels/simd_vector.h"

#include <arm_neon.h>

#define HAS_FMA
INLINE v_f64 v_fma(v_f64 a, v_f64 b, v_f64 c)
{
    return (v_f64)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#define HAS_SQRT
INLINE v_f64 v_sqrt(v_f64 x) { return (v_f64)vsqrtq_f64((float64x2_t)x); }

#endif
