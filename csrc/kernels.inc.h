/* kernels.inc.h - every hot loop of deltaloop: time is spent here, and in tile() of product.inc.h
 * first of all.
 *
 * Compiled once per instruction set by a kernels_*.c that defines
 *   VL       doubles per vector
 *   MR       rows of the product's register tile, at most 8; it is two vectors wide, one at the
 *            right edge
 *   WIDE     vectors of a tile with a single row, then half of them: chains enough to hide the
 *            latency of an FMA
 *   FIRST    vectors of a tile of online()'s first layer, whose delta and z stay in registers
 *   KERNELS  the table's name; ISA_NAME the variant's
 * What is promised of each function stands in kernels.h. */
#include "kernels.h"

#include <math.h>

#include "simd.h"

#include "vmath.inc.h"

/* ---- elementwise loops ---- */

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

/* y_i <- f(x_i, y_i) */
INLINE void map2(size_t n, const double *x, double *y, v_f64 (*f)(v_f64, v_f64))
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, f(v_load(x + i), v_load(y + i)));
    if (i < n)
        v_store_n(y + i, n - i, f(v_load_n(x + i, n - i), v_load_n(y + i, n - i)));
}

/* NaN stays NaN in relu and step, so that it is seen. */
INLINE v_f64 relu(v_f64 z) { return v_select(v_lt(z, v_set(0.0)), v_set(0.0), z); }
INLINE v_f64 step(v_f64 z)
{
    const v_f64 a = v_select(v_lt(v_set(0.0), z), v_set(1.0), v_set(0.0));
    return v_select(v_eq(z, z), a, z);
}

/* a_j <- exp(z_j - max) / s for each row, s = sum_j exp(z_j - max) a chain over ascending j. */
static void softmax(size_t rows, size_t m, double *z)
{
    for (size_t i = 0; i < rows; i++, z += m) {
        double max = z[0];
        for (size_t j = 1; j < m; j++)
            max = z[j] > max || z[j] != z[j] ? z[j] : max;
        size_t j = 0;
        for (; j + VL <= m; j += VL)
            v_store(z + j, v_exp(v_load(z + j) - v_set(max)));
        if (j < m)
            v_store_n(z + j, m - j, v_exp(v_load_n(z + j, m - j) - v_set(max)));
        double s = 0.0;
        for (j = 0; j < m; j++)
            s += z[j];
        for (j = 0; j < m; j++)
            z[j] /= s;
    }
}

static void activate(enum mlp_activation g, size_t rows, size_t m, double *z)
{
    const size_t n = rows * m;
    switch (g) {
    case MLP_SIGMOID:
        map(n, z, z, v_sigmoid);
        break;
    case MLP_TANH:
        map(n, z, z, v_tanh);
        break;
    case MLP_RELU:
        map(n, z, z, relu);
        break;
    case MLP_STEP:
        map(n, z, z, step);
        break;
    case MLP_SOFTMAX:
        softmax(rows, m, z);
        break;
    case MLP_IDENTITY:
    default:
        break;
    }
}

/* delta g'(z) from a: a (1 - a), (1 - a) (1 + a), a > 0. */
INLINE v_f64 sigmoid_delta(v_f64 a, v_f64 delta) { return delta * (a * (v_set(1.0) - a)); }
INLINE v_f64 tanh_delta(v_f64 a, v_f64 delta)
{
    return delta * ((v_set(1.0) - a) * (v_set(1.0) + a));
}
INLINE v_f64 relu_delta(v_f64 a, v_f64 delta)
{
    return v_select(v_lt(v_set(0.0), a), delta, v_set(0.0));
}

static void multiply_derivative(enum mlp_activation g, size_t n, const double *a, double *delta)
{
    switch (g) {
    case MLP_SIGMOID:
        map2(n, a, delta, sigmoid_delta);
        break;
    case MLP_TANH:
        map2(n, a, delta, tanh_delta);
        break;
    case MLP_RELU:
        map2(n, a, delta, relu_delta);
        break;
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    case MLP_STEP:
    default:
        break;
    }
}

/* ---- output layer: cost and delta^(L) ---- */

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

static void output(enum mlp_loss loss, enum mlp_activation g, size_t rows, size_t m, double *z,
                   const double *y, double *delta, double *terms, double *c)
{
    const size_t n = rows * m;
    if (loss == MLP_CROSS_ENTROPY && g == MLP_SOFTMAX) {
        softmax_cross_entropy(rows, m, z, y, terms, c);
    } else if (loss != MLP_SQUARED_ERROR) {
        memcpy(terms, y, n * sizeof *terms);
        map2(n, z, terms, binary_cost);
        row_sums(rows, m, terms, c);
        activate(g, rows, m, z);
    } else {
        activate(g, rows, m, z);
    }
    memcpy(delta, z, n * sizeof *delta);
    map2(n, y, delta, difference);
    if (loss != MLP_SQUARED_ERROR)
        return; /* the matching pairs: delta = a - y */
    map(n, delta, terms, half_square);
    row_sums(rows, m, terms, c);
    if (g == MLP_SOFTMAX)
        softmax_delta(rows, m, z, delta);
    else
        multiply_derivative(g, n, z, delta);
}

/* ---- sums over instances and over parameters ---- */

static void accumulate(size_t rows, size_t first, const double *c, double *sum)
{
    for (size_t i = 0; i < rows; i++) {
        double *s = sum + ((first + i) & 7);
        const double t = s[0] + c[i], b = t - s[0];
        s[8] += (s[0] - (t - b)) + (c[i] - b);
        s[0] = t;
    }
}

static void descend(size_t n, double alpha, const double *g, double *w)
{
    const v_f64 a = v_set(-alpha);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(w + i, v_fma(a, v_load(g + i), v_load(w + i)));
    if (i < n)
        v_store_n(w + i, n - i, v_fma(a, v_load_n(g + i, n - i), v_load_n(w + i, n - i)));
}

#include "product.inc.h"

/* v <- mu v - alpha g; returns what is added to w. */
INLINE v_f64 momentum(double alpha, double mu, int nesterov, v_f64 g, v_f64 *v)
{
    const v_f64 t = v_set(alpha) * g;
    *v = v_fma(v_set(mu), *v, -t);
    return nesterov ? v_fma(v_set(mu), *v, -t) : *v;
}

static void descend_momentum(size_t n, double alpha, double mu, int nesterov, const double *g,
                             double *v, double *w)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        v_f64 vi = v_load(v + i);
        v_store(w + i, v_load(w + i) + momentum(alpha, mu, nesterov, v_load(g + i), &vi));
        v_store(v + i, vi);
    }
    if (i < n) {
        const size_t r = n - i;
        v_f64 vi = v_load_n(v + i, r);
        v_store_n(w + i, r,
                  v_load_n(w + i, r) + momentum(alpha, mu, nesterov, v_load_n(g + i, r), &vi));
        v_store_n(v + i, r, vi);
    }
}

INLINE v_f64 sum(v_f64 x, v_f64 y) { return x + y; }
static void add(size_t n, const double *y, double *x) { map2(n, y, x, sum); }

static double sum_squares(size_t n, const double *x)
{
    double s[8] = {0};
    size_t i = 0;
    v_f64 acc[8 / VL];
    for (size_t v = 0; v < 8 / VL; v++)
        acc[v] = v_set(0.0);
    for (; i + 8 <= n; i += 8) {
        for (size_t v = 0; v < 8 / VL; v++) {
            const v_f64 xi = v_load(x + i + v * VL);
            acc[v] = v_fma(xi, xi, acc[v]);
        }
    }
    for (size_t v = 0; v < 8 / VL; v++)
        v_store(s + v * VL, acc[v]);
    if (i < n) {
        /* A zero adds nothing to the lanes beyond the tail. */
        double t[8] = {0};
        memcpy(t, x + i, (n - i) * sizeof *t);
        for (size_t v = 0; v < 8; v += VL)
            v_store(s + v, v_fma(v_load(t + v), v_load(t + v), v_load(s + v)));
    }
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
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
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        acc += v_load(x + i) - v_load(x + i);
    if (i < n) {
        const v_f64 tail = v_load_n(x + i, n - i);
        acc += tail - tail;
    }
    double t[VL], s = 0.0;
    v_store(t, acc);
    for (size_t v = 0; v < VL; v++)
        s += t[v];
    return s == 0.0;
}

static void vector_math(enum mlp_function f, size_t n, const double *x, double *y)
{
    switch (f) {
    case MLP_EXP:
        map(n, x, y, v_exp);
        break;
    case MLP_LOG:
        map(n, x, y, v_log);
        break;
    case MLP_TANH_FUNCTION:
        map(n, x, y, v_tanh);
        break;
    case MLP_SIGMOID_FUNCTION:
        map(n, x, y, v_sigmoid);
        break;
    case MLP_LOG1P_EXP:
    default:
        map(n, x, y, v_log1p_exp);
        break;
    }
}

#include "online.inc.h"

const struct mlp_kernels KERNELS = {
    .name = ISA_NAME,
    .panel_size = panel_size,
    .product = product,
    .activate = activate,
    .multiply_derivative = multiply_derivative,
    .output = output,
    .accumulate = accumulate,
    .descend = descend,
    .descend_momentum = descend_momentum,
    .add = add,
    .sum_squares = sum_squares,
    .dot = dot,
    .combine = combine,
    .curvature = curvature,
    .all_finite = all_finite,
    .online = online,
    .epochs = epochs,
    .vector_math = vector_math,
};
