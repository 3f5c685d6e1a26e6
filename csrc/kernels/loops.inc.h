/* loops.inc.h - loops over the elements of arrays, a vector at a time. */
#ifndef MLP_LOOPS_INC_H
#define MLP_LOOPS_INC_H

#include "kernels/simd.h"

#include <stddef.h>

static size_t at_most(size_t n, size_t most) { return n < most ? n : most; }

/* y_i <- f(x_i); a tail goes through a masked vector, so an element's bits do not depend on its
 * place. */
INLINE void map(size_t n, const double *x, double *y, v_f64 (*f)(v_f64))
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, f(v_load(x + i)));
    if (i < n)
        v_store_n(y + i, n - i, f(v_load_n(x + i, n - i)));
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
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, f(v_load(x + i), v_load(y + i)));
    if (i < n)
        v_store_n(y + i, n - i, f(v_load_n(x + i, n - i), v_load_n(y + i, n - i)));
}

/* z_i <- f(z_i, &d_i) */
INLINE void map_keep(size_t n, double *z, double *d, v_f64 (*f)(v_f64, v_f64 *))
{
    v_f64 di;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        v_store(z + i, f(v_load(z + i), &di));
        v_store(d + i, di);
    }
    if (i < n) {
        v_store_n(z + i, n - i, f(v_load_n(z + i, n - i), &di));
        v_store_n(d + i, n - i, di);
    }
}

#endif
