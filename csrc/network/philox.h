/* philox.h - Philox4x64-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011): four random words from a key and a counter, in the order in which NumPy's bit
 * generator of that name gives them. */
#ifndef MLP_PHILOX_H
#define MLP_PHILOX_H

#include <stdint.h>

/* The high word of a b, and its low word. */
static inline uint64_t mlp_multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
#if defined(__SIZEOF_INT128__)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0;
    const uint64_t middle = (p00 >> 32) + (uint32_t)p01 + (uint32_t)p10;
    *low = a * b;
    return a1 * b1 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
#endif
}

/* The four words of one block. */
static inline void mlp_philox(const uint64_t key[2], uint64_t counter, uint64_t out[4])
{
    uint64_t x0 = counter, x1 = 0, x2 = 0, x3 = 0, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t low0, low2;
        const uint64_t high0 = mlp_multiply_high(0xd2e7470ee14c6c93, x0, &low0);
        const uint64_t high2 = mlp_multiply_high(0xca5a826395121157, x2, &low2);
        x0 = high2 ^ x1 ^ k0;
        x1 = low2;
        x2 = high0 ^ x3 ^ k1;
        x3 = low0;
        k0 += 0x9e3779b97f4a7c15;
        k1 += 0xbb67ae8584caa73b;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

#endif
