/* loops.inc.h - loops over the elements of arrays, a vector at a time. */
#ifndef MLP_LOOPS_INC_H
#define MLP_LOOPS_INC_H

#include "kernels/simd.h"

#include <stddef.h>

static size_t at_most(size_t n, size_t most) { return n < most ? n : most; }

/* Does the statements for each vector of n elements, whole ones and then the rest: there LOAD(p) is p's
 * vector, and STORE(p, x) sets it. The rest goes through a masked vector, so an element's bits do not depend
 * on its place. A macro, as its two copies of the statements are to be the same code as if they had been
 * written out. */
#define BY_VECTORS(n, ...)                                                                         \
    do {                                                                                           \
        size_t i_ = 0;                                                                             \
        for (; i_ + VL <= (n); i_ += VL) {                                                         \
            const size_t left_ = VL;                                                               \
            const int whole_ = 1;                                                                  \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
        if (i_ < (n)) {                                                                            \
            const size_t left_ = (n) - i_;                                                         \
            const int whole_ = 0;                                                                  \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)
#define LOAD(p) load_part((p) + i_, whole_, left_)
#define STORE(p, x) store_part((p) + i_, whole_, left_, x)

INLINE v_f64 load_part(const double *p, const int whole, size_t n)
{
    return whole ? v_load(p) : v_load_n(p, n);
}
INLINE void store_part(double *p, const int whole, size_t n, v_f64 x)
{
    if (whole)
        v_store(p, x);
    else
        v_store_n(p, n, x);
}

/* y_i <- f(x_i) */
INLINE void map(size_t n, const double *x, double *y, v_f64 (*f)(v_f64))
{
    BY_VECTORS(n, STORE(y, f(LOAD(x))));
}

/* The same for a function in two halves, one after the other for STAGE elements. A vector of tanh is
 * 48 operations in a chain of about 80 cycles, and Zen 3 seems to hold some 140 of them under way: three
 * vectors, but six halves. ns an element there: 1.64, in halves 1.39, two vectors side by side 1.61; in
 * halves of 32 elements 1.7. */
#define STAGE ((size_t)128)
INLINE void map_halves(size_t n, const double *x, double *y,
                       v_f64 (*first)(v_f64, v_f64 *, v_f64 *),
                       v_f64 (*second)(v_f64, v_f64, v_f64, v_f64))
{
    double r[STAGE], t[STAGE], rest[STAGE];
    v_f64 ti, resti;
    for (size_t begin = 0, size; begin + VL <= n; begin += size) {
        size = n - begin < STAGE ? (n - begin) / VL * VL : STAGE;
        for (size_t i = 0; i < size; i += VL) {
            v_store(r + i, first(v_load(x + begin + i), &ti, &resti));
            v_store(t + i, ti);
            v_store(rest + i, resti);
        }
        for (size_t i = 0; i < size; i += VL)
            v_store(y + begin + i,
                    second(v_load(x + begin + i), v_load(r + i), v_load(t + i), v_load(rest + i)));
    }
    if (n % VL) {
        const size_t i = n / VL * VL;
        const v_f64 xi = v_load_n(x + i, n - i), ri = first(xi, &ti, &resti);
        v_store_n(y + i, n - i, second(xi, ri, ti, resti));
    }
}

/* y_i <- f(x_i, y_i) */
INLINE void map2(size_t n, const double *x, double *y, v_f64 (*f)(v_f64, v_f64))
{
    BY_VECTORS(n, STORE(y, f(LOAD(x), LOAD(y))));
}

/* z_i <- f(z_i, &d_i) */
INLINE void map_keep(size_t n, double *z, double *d, v_f64 (*f)(v_f64, v_f64 *))
{
    v_f64 di;
    BY_VECTORS(n, {
        STORE(z, f(LOAD(z), &di));
        STORE(d, di);
    });
}

#endif
