/* tiny.inc.h - many steps and epochs of a network that fits into registers, 2-2-1, in one call.
 *
 * As in online.inc.h, only steps after which training certainly goes on are taken here. */
#ifndef MLP_TINY_INC_H
#define MLP_TINY_INC_H

#include "kernels/kernels.h"
#include "kernels/output.inc.h"
#include "kernels/sums.inc.h"

#include <math.h>
#include <string.h>

/* One element of a gradient that a single instance gives, and the step along it. */
INLINE v_f64 descended(double alpha, v_f64 a, v_f64 delta, v_f64 w)
{
    return v_fma(v_set(-alpha), v_fma(a, delta, v_set(0.0)), w);
}

INLINE int is_finite(double x) { return x - x == 0.0; }

#define M0 2
#define M1 2
#define TINY_P (M1 * (M0 + 2) + 1)

static int tiny(const struct mlp_shape *shape)
{
    const struct mlp_layer *layer = shape->layers;
    return VL >= M1 && shape->n_layers == 2 && shape->loss == MLP_SQUARED_ERROR &&
           layer[0].m_in == M0 && layer[0].m_out == M1 && layer[1].m_out == 1 &&
           is_plain(layer[0].g) && is_plain(layer[1].g);
}

/* Lane j is hidden unit j; what belongs to the output is the same in every lane. */
static size_t tiny_online(const struct mlp_shape *shape, double alpha, size_t n, const double *x,
                          const double *y, const size_t *order, double *parameters,
                          double *gradient, struct mlp_pair *cost)
{
    const enum mlp_activation g1 = shape->layers[0].g, g2 = shape->layers[1].g;
    const v_f64 zero = v_set(0.0), one = v_set(1.0);
    v_f64 w1[M0 + 1], w2 = v_load_n(parameters + M1 * (M0 + 1), M1);
    v_f64 b2 = v_set(parameters[TINY_P - 1]), h = zero, d1 = zero, d2 = zero;
    const double *xi = x;
    size_t i = 0;
    UNROLL
    for (size_t k = 0; k <= M0; k++)
        w1[k] = v_load_n(parameters + k * M1, M1);
    for (; i < n; i++) {
        const size_t row = order ? order[i] : i;
        const double *xr = x + row * M0;
        v_f64 z = w1[M0];
        UNROLL
        for (size_t k = 0; k < M0; k++)
            z = v_fma(v_set(xr[k]), w1[k], z);
        const v_f64 a1 = apply_next(g1, z);
        z = b2;
        UNROLL
        for (size_t j = 0; j < M1; j++)
            z = v_fma(v_set(v_lane(a1, j)), v_set(v_lane(w2, j)), z);
        const v_f64 a2 = apply_next(g2, z), e = a2 - v_set(y[row]);
        const struct mlp_pair c = {v_lane(half_square(e), 0), 0.0};
        const struct mlp_pair sum = mlp_pair_add(*cost, c);
        if (!is_finite(sum.high))
            break;
        *cost = sum;
        xi = xr;
        h = a1;
        d2 = derive(g2, a2, e);
        d1 = derive(g1, h, v_fma(d2, w2, zero));
        UNROLL
        for (size_t k = 0; k < M0; k++)
            w1[k] = descended(alpha, v_set(xi[k]), d1, w1[k]);
        w1[M0] = descended(alpha, one, d1, w1[M0]);
        w2 = descended(alpha, h, d2, w2);
        b2 = descended(alpha, one, d2, b2);
    }
    if (i == 0)
        return 0;
    UNROLL
    for (size_t k = 0; k <= M0; k++)
        v_store_n(parameters + k * M1, M1, w1[k]);
    v_store_n(parameters + M1 * (M0 + 1), M1, w2);
    parameters[TINY_P - 1] = v_lane(b2, 0);
    if (gradient != NULL) {
        for (size_t k = 0; k <= M0; k++)
            v_store_n(gradient + k * M1, M1, v_fma(k < M0 ? v_set(xi[k]) : one, d1, zero));
        v_store_n(gradient + M1 * (M0 + 1), M1, v_fma(h, d2, zero));
        gradient[TINY_P - 1] = v_lane(v_fma(one, d2, zero), 0);
    }
    return i;
}

#if VL >= 4
/* Vectors of the parameters without b^(2), in memory order. */
#define TINY_V ((TINY_P - 1 + VL - 1) / VL)
/* A lane whose delta is that of the output. */
#define TINY_OUTPUT (M1 * (M0 + 1))

/* From w = the parameters, n <= VL instances, one a lane: g <- the gradient, g[TINY_V] in lane
 * TINY_OUTPUT mod VL; returns the instances' costs, where lanes from n on mean nothing. Lane p of
 * a and delta is their factor of parameter p once they are transposed. */
INLINE v_f64 tiny_pass(enum mlp_activation g1, enum mlp_activation g2, size_t n, const double *w,
                       const v_f64 *x, v_f64 y, v_f64 *g)
{
    const v_f64 zero = v_set(0.0), one = v_set(1.0);
    const double *w2 = w + M1 * (M0 + 1);
    v_f64 h[M1], d1[M1], a[TINY_V * VL], delta[TINY_V * VL];
    v_f64 z = v_set(w2[M1]);
    UNROLL
    for (size_t j = 0; j < M1; j++) {
        h[j] = v_set(w[M0 * M1 + j]);
        UNROLL
        for (size_t k = 0; k < M0; k++)
            h[j] = v_fma(x[k], v_set(w[k * M1 + j]), h[j]);
        h[j] = apply_next(g1, h[j]);
    }
    UNROLL
    for (size_t j = 0; j < M1; j++)
        z = v_fma(h[j], v_set(w2[j]), z);
    z = apply_next(g2, z);
    const v_f64 e = z - y, d2 = derive(g2, z, e);
    UNROLL
    for (size_t j = 0; j < M1; j++)
        d1[j] = derive(g1, h[j], v_fma(d2, v_set(w2[j]), zero));
    UNROLL
    for (size_t p = 0; p < TINY_V * VL; p++) {
        const size_t k = p / M1;
        a[p] = k < M0 ? x[k] : k == M0 ? one : h[p % M1];
        delta[p] = k <= M0 ? d1[p % M1] : d2;
    }
    UNROLL
    for (size_t v = 0; v <= TINY_V; v++)
        g[v] = zero;
    UNROLL
    for (size_t v = 0; v < TINY_V; v++) {
        v_transpose(a + v * VL);
        v_transpose(delta + v * VL);
    }
    UNROLL
    for (size_t i = 0; i < VL; i++) {
        if (i < n) {
            UNROLL
            for (size_t v = 0; v < TINY_V; v++)
                g[v] = v_fma(a[v * VL + i], delta[v * VL + i], g[v]);
            g[TINY_V] = v_fma(one, delta[TINY_OUTPUT / VL * VL + i], g[TINY_V]);
        }
    }
    return half_square(e);
}

/* sum_squares() of a gradient that lies as tiny_pass leaves it. Whole vectors hold 8 elements. */
INLINE double tiny_squares(const v_f64 *g)
{
    const v_f64 last = v_set(v_lane(g[TINY_V], TINY_OUTPUT % VL));
    v_f64 acc[LANES];
    UNROLL
    for (size_t v = 0; v < LANES; v++)
        acc[v] = v_fma(g[v], g[v], v_set(0.0));
    double s[8];
    UNROLL
    for (size_t v = 0; v < LANES; v++)
        v_store(s + v * VL, acc[v]);
    s[0] = v_lane(v_fma(last, last, acc[0]), 0);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static size_t epochs(const struct mlp_shape *shape, double alpha, size_t n, const double *x,
                     const double *y, const struct mlp_rules *rules, double *parameters,
                     double *gradient, struct mlp_pair *cost, double *costs, double *squares)
{
    if (!tiny(shape) || n > VL)
        return 0;
#if VL > 4
    /* Four rows fill a vector of AVX2, and its transposes are shorter: XOR takes 12 % less. */
    if (n <= 4)
        return mlp_kernels_avx2.epochs(shape, alpha, n, x, y, rules, parameters, gradient, cost,
                                       costs, squares);
#endif
    const enum mlp_activation g1 = shape->layers[0].g, g2 = shape->layers[1].g;
    const v_f64 step = v_set(-alpha);
    double t[(TINY_V + 1) * VL] = {0}, s[(TINY_V + 1) * VL] = {0}, sum[16] = {0};
    v_f64 xt[M0], yt, w[TINY_V + 1], g[TINY_V + 1];
    for (size_t k = 0; k <= M0; k++) {
        double lanes[VL];
        for (size_t i = 0; i < VL; i++)
            lanes[i] = k == M0 ? y[i < n ? i : 0] : x[(i < n ? i : 0) * M0 + k];
        if (k < M0)
            xt[k] = v_load(lanes);
        else
            yt = v_load(lanes);
    }
    memcpy(t, parameters, (TINY_P - 1) * sizeof *t);
    memcpy(s, gradient, (TINY_P - 1) * sizeof *s);
    for (size_t v = 0; v < TINY_V; v++) {
        w[v] = v_load(t + v * VL);
        g[v] = v_load(s + v * VL);
    }
    w[TINY_V] = v_set(parameters[TINY_P - 1]);
    g[TINY_V] = v_set(gradient[TINY_P - 1]);
    size_t epoch = 0;
    for (; epoch < rules->epochs; epoch++) {
        v_f64 w_next[TINY_V + 1], g_next[TINY_V + 1], lost = v_set(0.0);
        UNROLL
        for (size_t v = 0; v <= TINY_V; v++) {
            w_next[v] = v_fma(step, g[v], w[v]);
            lost += w_next[v] - w_next[v];
        }
        UNROLL
        for (size_t v = 0; v < TINY_V; v++)
            v_store(t + v * VL, w_next[v]);
        t[TINY_P - 1] = v_lane(w_next[TINY_V], TINY_OUTPUT % VL);
        v_store(sum, tiny_pass(g1, g2, n, t, xt, yt, g_next));
        v_store(s, lost);
        for (size_t i = n; i < VL; i++)
            sum[i] = 0.0;
        const struct mlp_pair c = mlp_pair_normalise(mlp_pair_lanes(sum));
        double all = c.high - c.high;
        for (size_t i = 0; i < VL; i++)
            all += s[i];
        if (all != 0.0 || c.high <= rules->goal || fabs(mlp_pair_difference(c, *cost)) < rules->tol)
            break;
        UNROLL
        for (size_t v = 0; v <= TINY_V; v++) {
            w[v] = w_next[v];
            g[v] = g_next[v];
        }
        *cost = c;
        costs[epoch] = c.high;
        squares[epoch] = tiny_squares(g);
    }
    if (epoch == 0)
        return 0;
    UNROLL
    for (size_t v = 0; v < TINY_V; v++) {
        v_store(t + v * VL, w[v]);
        v_store(s + v * VL, g[v]);
    }
    memcpy(parameters, t, (TINY_P - 1) * sizeof *t);
    memcpy(gradient, s, (TINY_P - 1) * sizeof *s);
    parameters[TINY_P - 1] = v_lane(w[TINY_V], TINY_OUTPUT % VL);
    gradient[TINY_P - 1] = v_lane(g[TINY_V], TINY_OUTPUT % VL);
    return epoch;
}
#else
/* The four rows of XOR do not fit into a vector of this length. */
static size_t epochs(const struct mlp_shape *shape, double alpha, size_t n, const double *x,
                     const double *y, const struct mlp_rules *rules, double *parameters,
                     double *gradient, struct mlp_pair *cost, double *costs, double *squares)
{
    (void)shape, (void)alpha, (void)n, (void)x, (void)y, (void)rules;
    (void)parameters, (void)gradient, (void)cost, (void)costs, (void)squares;
    return 0;
}
#endif

#endif
