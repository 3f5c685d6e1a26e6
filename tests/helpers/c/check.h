/* check.h - what the C tests share: a check that counts, random numbers, and buffers that end at a
 * page which must not be touched. */
#ifndef CHECK_H
#define CHECK_H

/* For mmap's MAP_ANONYMOUS; include this header first. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include "mlp.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
        }                                                                                          \
    } while (0)

/* xorshift64*: only a source of test data. */
static uint64_t state = 88172645463325252u;
static inline uint64_t random_bits(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717u;
}
static inline double random_value(void) { return (double)(random_bits() >> 11) * 0x1p-52 - 1.0; }
static inline size_t random_size(size_t most) { return 1 + (size_t)(random_bits() % most); }
static inline void fill(size_t n, double *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = random_value();
}

static inline int same_bits(size_t n, const double *x, const double *y)
{
    return memcmp(x, y, n * sizeof *x) == 0;
}

/* One step of a sum as the kernels of a variant do it. */
static inline double multiply_add(const struct mlp_kernels *k, double a, double b, double c)
{
    return strcmp(mlp_isa_name(k), "base") == 0 ? a * b + c : fma(a, b, c);
}

/* Rows of doubles without gaps. */
static inline struct mlp_matrix matrix(const double *data, size_t columns)
{
    const ptrdiff_t size = (ptrdiff_t)sizeof(double);
    return (struct mlp_matrix){(const char *)data,
                               (ptrdiff_t)columns * size,
                               size,
                               columns,
                               MLP_FLOAT64,
                               0,
                               NULL,
                               NULL,
                               NULL,
                               NULL,
                               NULL,
                               NULL};
}

/* mlp_objective() of instances that count alike, without penalties. */
static inline enum mlp_status cost_of(const struct mlp_network *network, const struct mlp_matrix *x,
                                      const struct mlp_matrix *y, size_t n, size_t n_threads,
                                      double *cost, double *gradient)
{
    const struct mlp_problem problem = {NULL, 0.0, 0.0, NULL};
    return mlp_objective(network, &problem, x, y, n, n_threads, cost, gradient);
}

/* Records the costs of up to 512 epochs there, and the rest where nobody looks. */
static inline struct mlp_history costs_only(double *cost)
{
    static double rest[512];
    return (struct mlp_history){cost, rest, rest, rest, rest};
}

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
/* n doubles whose end is the end of the readable memory: an access behind them faults. */
static inline double *guarded(size_t n, void **base, size_t *size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = (n * sizeof(double) + page - 1) / page * page;
    *size = bytes + page;
    char *p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + bytes, page, PROT_NONE) != 0) {
        fprintf(stderr, "no guarded memory\n");
        exit(2);
    }
    *base = p;
    return (double *)(void *)(p + bytes) - n;
}
static inline void release(void *base, size_t size) { munmap(base, size); }
#else
static inline double *guarded(size_t n, void **base, size_t *size)
{
    *size = n;
    *base = malloc(n * sizeof(double) + 1);
    return *base;
}
static inline void release(void *base, size_t size)
{
    (void)size;
    free(base);
}
#endif

static inline int report(const char *name)
{
    printf("%s: %s\n", name, failures ? "FAILED" : "passed");
    return failures != 0;
}

#endif
