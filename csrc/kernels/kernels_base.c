/* kernels_base.c - the baseline: what every processor of the architecture has, two doubles a vector
 * (one where the compiler has no vector extensions). No FMA, so a class of results of its own on
 * x86-64. */
#if defined(__GNUC__) || defined(__clang__)
#define VL 2
#else
#define VL 1
#endif
/* 4 x 2 accumulators, 2 of B, 1 of A and the product before its addition: 12 of 16 registers. */
#define MR 4
#define WIDE 8
#define FIRST 4
#define KERNELS mlp_kernels_base
#define ISA_NAME "base"
#include "kernels/kernels.inc.h"
