/* kernels_avx512.c - x86-64 with AVX-512 F, DQ, BW and VL (x86-64-v4): eight doubles a vector. */
#define VL 8
/* 8 x 2 accumulators and 2 of B: 18 of 32 registers; 16 chains cover 2 FMA units x latency 4. */
#define MR 8
/* 8 chains for the same reason, with one row. */
#define WIDE 8
#define FIRST 8
#define KERNELS mlp_kernels_avx512
#define ISA_NAME "avx512"
#include "kernels/kernels.inc.h"
