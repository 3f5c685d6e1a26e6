/* kernels_neon.c - 64-bit Arm: two doubles a vector, and an FMA on every processor. */
#define VL 2
#define SIMD_NEON 1
/* 8 x 2 accumulators and 2 of B: 18 of 32 registers; 16 chains cover 4 FMA units x latency 4. */
#define MR 8
/* 8 chains at least for one row. */
#define WIDE 8
#define FIRST 8
#define KERNELS mlp_kernels_neon
#define ISA_NAME "neon"
#include "kernels/kernels.inc.h"
