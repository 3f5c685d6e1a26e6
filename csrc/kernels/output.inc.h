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
#include "kernels/math.inc.h"

#include <string.h>

/* The activations that apply() and derive() know. */
INLINE int is_plain(enum mlp_activation g)
{
    return g == MLP_IDENTITY || g == MLP_SIGMOID || g == MLP_TANH || g == MLP_RELU;
}

/* g(z), as activate */
INLINE v_f64 apply(enum mlp_activation g, v_f64 z)
{
    return g == MLP_SIGMOID ? v_sigmoid(z)
           : g == MLP_TANH  ? v_tanh(z)
           : g == MLP_RELU  ? relu(z)
                            : z;
}

/* delta g'(z) from a, as multiply_derivative */
INLINE v_f64 derive(enum mlp_activation g, v_f64 a, v_f64 delta)
{
    return g == MLP_SIGMOID ? sigmoid_delta(a, delta)
           : g == MLP_TANH  ? tanh_delta(a, delta)
           : g == MLP_RELU  ? relu_delta(a, delta)
                            : delta;
}

INLINE v_f64 difference(v_f64 y, v_f64 a) { return a - y; }
INLINE v_f64 half_square(v_f64 e) { return v_set(0.5) * e * e; }
/* -y log a - (1 - y) log(1 - a) = max(z, 0) - y z + log(1 + exp(-|z|)) for a = sigmoid(z) */
INLINE v_f64 binary_cost(v_f64 z, v_f64 y)
{
    const v_f64 positive = v_select(v_lt(z, v_set(0.0)), v_set(0.0), z);
    return v_fma(-y, z, positive) + v_log1p_exp(z);
}

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

/* delta_j <- a_j (e_j - sum_k a_k e_k), softmax's Jacobian times e = dC/da, row by row. */
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

/* c_i <- sum_j y_ij (log sum_k exp(z_ik) - z_ij), terms <- z - max, z <- a. */
static void softmax_cross_entropy(size_t rows, size_t m, double *z, const double *y, double *terms,
                                  double *c)
{
    for (size_t i = 0; i < rows; i++) {
        double *zi = z + i * m, *t = terms + i * m;
        double max = zi[0];
        for (size_t j = 1; j < m; j++)
            max = zi[j] > max || zi[j] != zi[j] ? zi[j] : max;
        for (size_t j = 0; j < m; j++)
            t[j] = zi[j] - max;
    }
    map(rows * m, terms, z, v_exp);
    for (size_t i = 0; i < rows; i++) {
        double *zi = z + i * m;
        double s = 0.0;
        for (size_t j = 0; j < m; j++)
            s += zi[j];
        c[i] = s;
        for (size_t j = 0; j < m; j++)
            zi[j] /= s;
    }
    map(rows, c, c, v_log);
    for (size_t i = 0; i < rows; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < m; j++) {
            if (y[i * m + j] != 0.0) /* not 0 times infinity */
                sum += y[i * m + j] * (c[i] - terms[i * m + j]);
        }
        c[i] = sum;
    }
}

/* ---- one pass ---- */

/* The pairs of one pass, by the loss; of the squared error also by g. */
INLINE v_f64 fused(const enum mlp_loss loss, const enum mlp_activation g, v_f64 *z, v_f64 y,
                   v_f64 *delta)
{
    const v_f64 a = loss == MLP_POISSON         ? v_exp(*z)
                    : loss == MLP_SQUARED_ERROR ? apply(g, *z)
                                                : v_sigmoid(*z);
    const v_f64 e = a - y;
    const v_f64 term = loss == MLP_POISSON         ? v_fma(-y, *z, a)
                       : loss == MLP_SQUARED_ERROR ? half_square(e)
                                                   : binary_cost(*z, y);
    *delta = loss == MLP_SQUARED_ERROR ? derive(g, a, e) : e;
    *z = a;
    return term;
}

INLINE void fused_pass(const enum mlp_loss loss, const enum mlp_activation g, size_t n, double *z,
                       const double *y, double *delta, double *terms)
{
    v_f64 zi, di;
    BY_VECTORS(n, {
        zi = LOAD(z);
        STORE(terms, fused(loss, g, &zi, LOAD(y), &di));
        STORE(z, zi);
        STORE(delta, di);
    });
}

/* ---- any loss of a - y ---- */

/* A loss's parameter as its two forms need it: d, or the slopes for a > y and for a < y. */
struct slopes {
    double d, above, below;
};

/* The cost of e = a - y, and *slope = dC/da. */
INLINE v_f64 loss_of(const enum mlp_loss loss, struct slopes p, v_f64 e, v_f64 *slope)
{
    const v_f64 zero = v_set(0.0);
    if (loss == MLP_SQUARED_ERROR) {
        *slope = e;
        return half_square(e);
    }
    if (loss == MLP_HUBER) { /* w (w - w/2) up to d, then d (w - d/2), w = |e| */
        const v_f64 w = v_abs(e), part = v_at_most(w, p.d);
        *slope = v_select(v_lt(e, zero), -part, part);
        return part * (w - v_set(0.5) * part);
    }
    const v_i64 above = v_lt(zero, e);
    *slope = v_select(above, v_set(p.above), v_select(v_lt(e, zero), v_set(-p.below), zero));
    return v_select(above, v_set(p.above), v_set(p.below)) * v_abs(e);
}

/* terms <- the costs; delta <- dC/da, times what is there with `times`. */
INLINE void loss_pass(const enum mlp_loss loss, const int times, struct slopes p, size_t n,
                      const double *a, const double *y, double *delta, double *terms)
{
    v_f64 slope;
    BY_VECTORS(n, {
        STORE(terms, loss_of(loss, p, LOAD(a) - LOAD(y), &slope));
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
    if (loss == MLP_SQUARED_ERROR && times)
        loss_pass(MLP_SQUARED_ERROR, 1, p, n, z, y, delta, terms);
    else if (loss == MLP_SQUARED_ERROR)
        loss_pass(MLP_SQUARED_ERROR, 0, p, n, z, y, delta, terms);
    else if (loss == MLP_HUBER && times)
        loss_pass(MLP_HUBER, 1, p, n, z, y, delta, terms);
    else if (loss == MLP_HUBER)
        loss_pass(MLP_HUBER, 0, p, n, z, y, delta, terms);
    else if (times)
        loss_pass(MLP_QUANTILE, 1, p, n, z, y, delta, terms);
    else
        loss_pass(MLP_QUANTILE, 0, p, n, z, y, delta, terms);
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
    if (loss == MLP_CROSS_ENTROPY || loss == MLP_BINARY_CROSS_ENTROPY)
        fused_pass(MLP_BINARY_CROSS_ENTROPY, MLP_SIGMOID, n, z, y, delta, terms);
    else if (loss == MLP_POISSON)
        fused_pass(MLP_POISSON, MLP_EXPONENTIAL, n, z, y, delta, terms);
    else if (loss != MLP_SQUARED_ERROR || !is_plain(g))
        any_loss(loss, parameter, g, rows, m, z, y, delta, terms);
    else if (g == MLP_SIGMOID)
        fused_pass(MLP_SQUARED_ERROR, MLP_SIGMOID, n, z, y, delta, terms);
    else if (g == MLP_TANH)
        fused_pass(MLP_SQUARED_ERROR, MLP_TANH, n, z, y, delta, terms);
    else if (g == MLP_RELU)
        fused_pass(MLP_SQUARED_ERROR, MLP_RELU, n, z, y, delta, terms);
    else
        fused_pass(MLP_SQUARED_ERROR, MLP_IDENTITY, n, z, y, delta, terms);
    if (m > 1)
        row_sums(rows, m, terms, c);
}

#endif
