/* sums.inc.h - sums over instances and over parameters, in 8 lanes whatever a vector's length is, so that
 * every ISA adds in the same order. */
#ifndef MLP_SUMS_INC_H
#define MLP_SUMS_INC_H

#include "kernels/kernels.h"
#include "kernels/loops.inc.h"

/* Lanes begin .. begin + VL - 1 of eight values, whose sums are whole vectors. */
INLINE void accumulate_lanes(const double *c, double *sum)
{
    const v_f64 x = v_load(c), s = v_load(sum), t = s + x, b = t - s;
    v_store(sum + 8, v_load(sum + 8) + ((s - (t - b)) + (x - b)));
    v_store(sum, t);
}

static void accumulate(size_t rows, size_t first, const double *c, double *sum)
{
    for (size_t i = 0; i < rows;) {
        if ((first + i) % 8 == 0 && rows - i >= 8) {
            for (size_t v = 0; v < 8; v += VL)
                accumulate_lanes(c + i + v, sum + v);
            i += 8;
            continue;
        }
        double *s = sum + ((first + i) & 7);
        const double t = s[0] + c[i], b = t - s[0];
        s[8] += (s[0] - (t - b)) + (c[i] - b);
        s[0] = t;
        i++;
    }
}

/* A sum's 8 lanes, and their total in the order that is promised. */
#define LANES (8 / VL)
INLINE double total(const v_f64 acc[LANES])
{
    double s[8];
    for (size_t v = 0; v < LANES; v++)
        v_store(s + v * VL, acc[v]);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* In the loops below the tail's elements that do not exist read as 0 and add nothing to their lanes. */
static double dot(size_t n, const double *x, const double *y)
{
    v_f64 acc[LANES];
    size_t i = 0;
    UNROLL
    for (size_t v = 0; v < LANES; v++)
        acc[v] = v_set(0.0);
    for (; i + 8 <= n; i += 8) {
        UNROLL
        for (size_t v = 0; v < LANES; v++)
            acc[v] = v_fma(v_load(x + i + v * VL), v_load(y + i + v * VL), acc[v]);
    }
    UNROLL
    for (size_t v = 0; v < LANES; v++, i += VL) {
        if (i < n) {
            const size_t r = at_most(n - i, VL);
            acc[v] = v_fma(v_load_n(x + i, r), v_load_n(y + i, r), acc[v]);
        }
    }
    return total(acc);
}

static double sum_squares(size_t n, const double *x) { return dot(n, x, x); }

static double sum_sizes(size_t n, const double *x)
{
    v_f64 acc[LANES];
    size_t i = 0;
    UNROLL
    for (size_t v = 0; v < LANES; v++)
        acc[v] = v_set(0.0);
    for (; i + 8 <= n; i += 8) {
        UNROLL
        for (size_t v = 0; v < LANES; v++)
            acc[v] += v_abs(v_load(x + i + v * VL));
    }
    UNROLL
    for (size_t v = 0; v < LANES; v++, i += VL) {
        if (i < n)
            acc[v] += v_abs(v_load_n(x + i, at_most(n - i, VL)));
    }
    return total(acc);
}

/* summed is a constant after inlining. */
INLINE double combine_(const int summed, size_t n, double a, const double *x, double b,
                       const double *y, const double *z, double *out)
{
    const v_f64 av = v_set(a), bv = v_set(b);
    v_f64 acc[LANES];
    size_t i = 0;
    UNROLL
    for (size_t v = 0; v < LANES; v++)
        acc[v] = v_set(0.0);
    for (; i + 8 <= n; i += 8) {
        UNROLL
        for (size_t v = 0; v < LANES; v++) {
            const size_t k = i + v * VL;
            const v_f64 zk = summed ? v_load(z + k) : av;
            const v_f64 o = v_fma(bv, v_load(y + k), av * v_load(x + k));
            v_store(out + k, o);
            if (summed)
                acc[v] = v_fma(o, zk, acc[v]);
        }
    }
    UNROLL
    for (size_t v = 0; v < LANES; v++, i += VL) {
        if (i < n) {
            const size_t r = at_most(n - i, VL);
            const v_f64 zk = summed ? v_load_n(z + i, r) : av;
            const v_f64 o = v_fma(bv, v_load_n(y + i, r), av * v_load_n(x + i, r));
            v_store_n(out + i, r, o);
            if (summed)
                acc[v] = v_fma(o, zk, acc[v]);
        }
    }
    return summed ? total(acc) : 0.0;
}

static double combine(size_t n, double a, const double *x, double b, const double *y,
                      const double *z, double *out)
{
    return z ? combine_(1, n, a, x, b, y, z, out) : combine_(0, n, a, x, b, y, z, out);
}

/* One vector of curvature(): its new s and y, and what it adds to a lane of each sum. */
INLINE void curve(v_f64 a, v_f64 g, v_f64 g0, v_f64 *s, v_f64 *y, v_f64 acc[4])
{
    *s = a * *s;
    *y = g - g0;
    acc[0] = v_fma(*s, *y, acc[0]);
    acc[1] = v_fma(*y, *y, acc[1]);
    acc[2] = v_fma(g, g, acc[2]);
    acc[3] = v_fma(*s, g, acc[3]);
}

static void curvature(size_t n, double a, const double *g, const double *g0, double *s, double *y,
                      double sums[4])
{
    const v_f64 av = v_set(a);
    v_f64 acc[LANES][4], yk;
    size_t i = 0;
    UNROLL
    for (size_t v = 0; v < LANES; v++) {
        UNROLL
        for (size_t k = 0; k < 4; k++)
            acc[v][k] = v_set(0.0);
    }
    for (; i + 8 <= n; i += 8) {
        UNROLL
        for (size_t v = 0; v < LANES; v++) {
            const size_t k = i + v * VL;
            v_f64 sk = v_load(s + k);
            curve(av, v_load(g + k), v_load(g0 + k), &sk, &yk, acc[v]);
            v_store(s + k, sk);
            v_store(y + k, yk);
        }
    }
    UNROLL
    for (size_t v = 0; v < LANES; v++, i += VL) {
        if (i < n) {
            const size_t r = at_most(n - i, VL);
            v_f64 sk = v_load_n(s + i, r);
            curve(av, v_load_n(g + i, r), v_load_n(g0 + i, r), &sk, &yk, acc[v]);
            v_store_n(s + i, r, sk);
            v_store_n(y + i, r, yk);
        }
    }
    for (size_t k = 0; k < 4; k++) {
        v_f64 lanes[LANES];
        for (size_t v = 0; v < LANES; v++)
            lanes[v] = acc[v][k];
        sums[k] = total(lanes);
    }
}

static int all_finite(size_t n, const double *x)
{
    /* x - x is 0 unless x is infinite or NaN, and a NaN stays one in the sum. */
    v_f64 acc = v_set(0.0);
    BY_VECTORS(n, {
        const v_f64 xi = LOAD(x);
        acc += xi - xi;
    });
    double t[VL], s = 0.0;
    v_store(t, acc);
    for (size_t v = 0; v < VL; v++)
        s += t[v];
    return s == 0.0;
}

#endif
