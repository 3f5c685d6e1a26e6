/* output.inc.h - the output layer: a^(L), the cost of each instance and delta^(L).
 *
 * One pass over the layer where it is a matching pair, whose delta is a - y, or the squared error of
 * units with little to compute; else one for the activation, one for the loss, one for g'. The terms
 * of an instance's cost are added afterwards, in their order. */
#ifndef MLP_OUTPUT_INC_H
#define MLP_OUTPUT_INC_H

#include "kernels/activations.inc.h"
#include "kernels/kernels.h"
#include "kernels/loops.inc.h"
#include "kernels/losses.h"
#include "kernels/math.inc.h"

#include <string.h>

/* The activations that apply() and derive() know: the identity and those of a row. */
INLINE int is_plain(enum mlp_activation g)
{
#define OR_IS(activation, f, delta) || g == activation
    return g == MLP_IDENTITY MLP_FUSED(OR_IS);
#undef OR_IS
}

/* g(z), as activate */
INLINE v_f64 apply(enum mlp_activation g, v_f64 z)
{
#define ROW(activation, f, delta) g == activation ? f(z):
    return MLP_FUSED(ROW) z;
#undef ROW
}

/* apply(), where one result waits for the one before: without the two operations that hold sigmoid's argument to
 * its limits, unless it is beyond them. */
INLINE v_f64 apply_next(enum mlp_activation g, v_f64 z)
{
    v_f64 t, rest;
    if (g != MLP_SIGMOID || v_any(~v_lt(v_abs(z), v_set(40.0))))
        return apply(g, z);
    const v_f64 r = exp_parts(-1.0, z, &t, &rest);
    return sigmoid_of_parts(z, r, t, rest);
}

/* delta g'(z) from a, as multiply_derivative */
INLINE v_f64 derive(enum mlp_activation g, v_f64 a, v_f64 delta)
{
#define ROW(activation, f, derivative) g == activation ? derivative(a, delta):
    return MLP_FUSED(ROW) delta;
#undef ROW
}

INLINE v_f64 difference(v_f64 y, v_f64 a) { return a - y; }
INLINE v_f64 half_square(v_f64 e) { return v_set(0.5) * e * e; }

/* The costs of pairs, from z, y and a. */

/* -y log a - (1 - y) log(1 - a) = max(z, 0) - y z + log(1 + exp(-|z|)) for a = sigmoid(z) */
INLINE v_f64 binary_cost(v_f64 z, v_f64 y, v_f64 a)
{
    (void)a;
    const v_f64 positive = v_select(v_lt(z, v_set(0.0)), v_set(0.0), z);
    return v_fma(-y, z, positive) + v_log1p_exp(z);
}
/* a - y log a for a = exp(z) */
INLINE v_f64 poisson_cost(v_f64 z, v_f64 y, v_f64 a) { return v_fma(-y, z, a); }

/* c_i <- sum over ascending j of terms_ij */
static void row_sums(size_t rows, size_t m, const double *terms, double *c)
{
    for (size_t i = 0; i < rows; i++) {
        double s = terms[i * m];
        for (size_t j = 1; j < m; j++)
            s += terms[i * m + j];
        c[i] = s;
    }
}

static void softmax_delta(size_t rows, size_t m, const double *a, double *delta)
{
    for (size_t i = 0; i < rows; i++, a += m, delta += m) {
        double s = 0.0;
        for (size_t j = 0; j < m; j++)
            s += a[j] * delta[j];
        for (size_t j = 0; j < m; j++)
            delta[j] = a[j] * (delta[j] - s);
    }
}

/* Rows whose logarithms are taken together. */
#define SOFTMAX_ROWS ((size_t)64)

/* c_i <- sum_j y_ij (log sum_k exp(z_ik) - z_ij), terms <- z - max, z <- a. The logarithm is that of 1 + r,
 * where r sums the others of a largest z: a cost of 1e-20 is as exact as one of 1. */
static void softmax_cross_entropy(size_t rows, size_t m, double *z, const double *y, double *terms,
                                  double *c)
{
    for (size_t i = 0; i < rows; i++) {
        double *zi = z + i * m, *t = terms + i * m;
        double max = zi[0];
        size_t top = 0;
        for (size_t j = 1; j < m; j++) {
            const int higher = zi[j] > max || zi[j] != zi[j];
            max = higher ? zi[j] : max;
            top = higher ? j : top;
        }
        for (size_t j = 0; j < m; j++)
            t[j] = zi[j] - max;
        c[i] = (double)top;
    }
    map(rows * m, terms, z, v_exp);
    for (size_t i0 = 0, i1; i0 < rows; i0 = i1) {
        double low[SOFTMAX_ROWS];
        i1 = rows - i0 < SOFTMAX_ROWS ? rows : i0 + SOFTMAX_ROWS;
        for (size_t i = i0; i < i1; i++) {
            double *zi = z + i * m;
            const size_t top = (size_t)c[i];
            double s = 0.0, r = 0.0;
            for (size_t j = 0; j < m; j++) {
                s += zi[j];
                r += j == top ? 0.0 : zi[j];
            }
            c[i] = 1.0 + r;
            low[i - i0] = (r - (c[i] - 1.0)) / c[i]; /* what 1 + r has lost, of its logarithm */
            for (size_t j = 0; j < m; j++)
                zi[j] /= s;
        }
        map(i1 - i0, c + i0, c + i0, v_log);
        for (size_t i = i0; i < i1; i++) {
            const double log_sum = c[i] + low[i - i0];
            double sum = 0.0;
            for (size_t j = 0; j < m; j++) {
                if (y[i * m + j] != 0.0) /* not 0 times infinity */
                    sum += y[i * m + j] * (log_sum - terms[i * m + j]);
            }
            c[i] = sum;
        }
    }
}

/* ---- one pass ---- */

/* From *z and y: *z <- a, *delta <- dC/dz; returns the cost. cost_pair() of each pair, and f_square() of the
 * squared error with each activation whose f is plain. */
#define PAIR(loss, g, cost)                                                                        \
    INLINE v_f64 cost##_pair(v_f64 *z, v_f64 y, v_f64 *delta)                                      \
    {                                                                                              \
        const v_f64 a = g(*z), term = cost(*z, y, a);                                              \
        *delta = a - y;                                                                            \
        *z = a;                                                                                    \
        return term;                                                                               \
    }
MLP_LOSSES_OF_PAIRS(PAIR)
#undef PAIR
#define SQUARE(activation, f, derivative)                                                          \
    INLINE v_f64 f##_square(v_f64 *z, v_f64 y, v_f64 *delta)                                       \
    {                                                                                              \
        const v_f64 a = f(*z), e = a - y;                                                          \
        *delta = derivative(a, e);                                                                 \
        *z = a;                                                                                    \
        return half_square(e);                                                                     \
    }
MLP_FUSED(SQUARE)
#undef SQUARE
INLINE v_f64 identity_square(v_f64 *z, v_f64 y, v_f64 *delta)
{
    *delta = *z - y;
    return half_square(*delta);
}

INLINE void fused_pass(size_t n, double *z, const double *y, double *delta, double *terms,
                       v_f64 (*f)(v_f64 *, v_f64, v_f64 *))
{
    v_f64 zi, di;
    BY_VECTORS(n, {
        zi = LOAD(z);
        STORE(terms, f(&zi, LOAD(y), &di));
        STORE(z, zi);
        STORE(delta, di);
    });
}

/* The squared error of units with little to compute. */
INLINE void squared_pass(enum mlp_activation g, size_t n, double *z, const double *y, double *delta,
                         double *terms)
{
#define SQUARE(activation, f, derivative)                                                          \
    case activation:                                                                               \
        fused_pass(n, z, y, delta, terms, f##_square);                                             \
        break;
    switch (g) {
        MLP_FUSED(SQUARE)
    default:
        fused_pass(n, z, y, delta, terms, identity_square);
        break;
    }
#undef SQUARE
}

/* ---- any loss of a - y ---- */

/* A loss's parameter as its two forms need it: d, or the slopes for a > y and for a < y. */
struct slopes {
    double d, above, below;
};

/* The costs of e = a - y, and *slope = dC/da. */

INLINE v_f64 squared_error(struct slopes p, v_f64 e, v_f64 *slope)
{
    (void)p;
    *slope = e;
    return half_square(e);
}
/* w (w - w/2) up to d, then d (w - d/2), w = |e| */
INLINE v_f64 huber(struct slopes p, v_f64 e, v_f64 *slope)
{
    const v_f64 w = v_abs(e), part = v_at_most(w, p.d);
    *slope = v_select(v_lt(e, v_set(0.0)), -part, part);
    return part * (w - v_set(0.5) * part);
}
INLINE v_f64 two_slopes(struct slopes p, v_f64 e, v_f64 *slope)
{
    const v_f64 zero = v_set(0.0);
    const v_i64 above = v_lt(zero, e);
    *slope = v_select(above, v_set(p.above), v_select(v_lt(e, zero), v_set(-p.below), zero));
    return v_select(above, v_set(p.above), v_set(p.below)) * v_abs(e);
}

/* terms <- the costs; delta <- dC/da, times what is there with `times`. */
INLINE void loss_pass(const int times, struct slopes p, size_t n, const double *a, const double *y,
                      double *delta, double *terms, v_f64 (*f)(struct slopes, v_f64, v_f64 *))
{
    v_f64 slope;
    BY_VECTORS(n, {
        STORE(terms, f(p, LOAD(a) - LOAD(y), &slope));
        STORE(delta, times ? slope * LOAD(delta) : slope);
    });
}

APART void any_loss(enum mlp_loss loss, double parameter, enum mlp_activation g, size_t rows,
                    size_t m, double *z, const double *y, double *delta, double *terms)
{
    const size_t n = rows * m;
    const int times = mlp_keeps_derivative(g);
    struct slopes p = {parameter, 1.0, 1.0};
    if (times)
        activate_keep(g, n, z, delta);
    else
        activate(g, rows, m, z);
    if (loss == MLP_QUANTILE) {
        p.above = 1.0 - parameter;
        p.below = parameter;
    }
#define ROW(loss, f)                                                                               \
    case loss:                                                                                     \
        if (times)                                                                                 \
            loss_pass(1, p, n, z, y, delta, terms, f);                                             \
        else                                                                                       \
            loss_pass(0, p, n, z, y, delta, terms, f);                                             \
        break;
    switch (loss) {
        MLP_LOSSES_OF_ERRORS(ROW)
    default:
        break;
    }
#undef ROW
    if (g == MLP_SOFTMAX)
        softmax_delta(rows, m, z, delta);
    else if (!times)
        multiply_derivative(g, n, z, delta);
}

static void output(enum mlp_loss loss, double parameter, enum mlp_activation g, size_t rows,
                   size_t m, double *z, const double *y, double *delta, double *terms, double *c)
{
    const size_t n = rows * m;
    if (loss == MLP_CROSS_ENTROPY && g == MLP_SOFTMAX) {
        softmax_cross_entropy(rows, m, z, y, terms, c);
        memcpy(delta, z, n * sizeof *delta);
        map2(n, y, delta, difference);
        return;
    }
    if (m == 1)
        terms = c;
#define PAIR(loss, g, cost)                                                                        \
    case loss:                                                                                     \
        fused_pass(n, z, y, delta, terms, cost##_pair);                                            \
        break;
    switch (loss == MLP_CROSS_ENTROPY ? MLP_BINARY_CROSS_ENTROPY : loss) {
        MLP_LOSSES_OF_PAIRS(PAIR)
    default:
        if (loss == MLP_SQUARED_ERROR && is_plain(g))
            squared_pass(g, n, z, y, delta, terms);
        else
            any_loss(loss, parameter, g, rows, m, z, y, delta, terms);
        break;
    }
#undef PAIR
    if (m > 1)
        row_sums(rows, m, terms, c);
}

/* For the compiler alone, which warns of a loss without a row. The switches above have a default: with a
 * case for each loss a step on one instance of 4-64-64-2 took 2 % longer. */
INLINE int has_row(enum mlp_loss loss)
{
#define ROW(loss, ...) case loss:
    switch (loss) {
        MLP_LOSSES_OF_ERRORS(ROW)
        MLP_LOSSES_OF_PAIRS(ROW)
    case MLP_CROSS_ENTROPY:
        return 1;
    }
#undef ROW
    return 0;
}

#endif
