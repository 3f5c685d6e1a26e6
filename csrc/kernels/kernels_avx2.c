/* kernels_avx2.c - x86-64 with AVX2 and FMA (x86-64-v3): four doubles a vector. */
#define VL 4
/* 6 x 2 accumulators, 2 of B and 1 of A: 15 of 16 registers, and 12 chains cover 2 FMA units x
 * latency 4. */
#define MR 6
/* 8 chains for the same reason, with one row. */
#define WIDE 8
#define FIRST 4
#define KERNELS mlp_kernels_avx2
#define ISA_NAME "avx2"
#include "kernels/kernels.inc.h"
