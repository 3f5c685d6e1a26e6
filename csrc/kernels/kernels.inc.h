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
#include "kernels/kernels.h"

#include <math.h>

#include "kernels/simd.h"

#include "kernels/math.inc.h"

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

/* NaN stays NaN in relu and step, so that it is seen. */
INLINE v_f64 relu(v_f64 z) { return v_select(v_lt(z, v_set(0.0)), v_set(0.0), z); }
INLINE v_f64 step(v_f64 z)
{
    const v_f64 a = v_select(v_lt(v_set(0.0), z), v_set(1.0), v_set(0.0));
    return v_select(v_eq(z, z), a, z);
}

INLINE v_f64 leaky_relu(v_f64 z) { return v_select(v_lt(z, v_set(0.0)), v_set(0.01) * z, z); }
INLINE v_f64 elu(v_f64 z) { return v_select(v_lt(z, v_set(0.0)), v_expm1_negative(z), z); }
INLINE v_f64 silu(v_f64 z)
{
    v_f64 d;
    return v_silu(z, &d);
}
INLINE v_f64 gelu(v_f64 z)
{
    v_f64 d;
    return v_gelu(z, &d);
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
        map_halves(n, z, z, sigmoid_parts, sigmoid_of_parts);
        break;
    case MLP_TANH:
        map_halves(n, z, z, tanh_parts, tanh_of_parts);
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
    case MLP_LEAKY_RELU:
        map(n, z, z, leaky_relu);
        break;
    case MLP_ELU:
        map(n, z, z, elu);
        break;
    case MLP_SOFTPLUS:
        map(n, z, z, v_softplus);
        break;
    case MLP_SILU:
        map(n, z, z, silu);
        break;
    case MLP_GELU:
        map(n, z, z, gelu);
        break;
    case MLP_EXPONENTIAL:
        map(n, z, z, v_exp);
        break;
    case MLP_IDENTITY:
    default:
        break;
    }
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

/* delta g'(z) from a: a (1 - a), (1 - a) (1 + a), a > 0; of the others a > 0 and 0.01 elsewhere, a > 0
 * and exp(z) = a + 1 elsewhere, 1 - exp(-a), a. */
INLINE v_f64 sigmoid_delta(v_f64 a, v_f64 delta) { return delta * (a * (v_set(1.0) - a)); }
INLINE v_f64 tanh_delta(v_f64 a, v_f64 delta)
{
    return delta * ((v_set(1.0) - a) * (v_set(1.0) + a));
}
INLINE v_f64 relu_delta(v_f64 a, v_f64 delta)
{
    return v_select(v_lt(v_set(0.0), a), delta, v_set(0.0));
}

INLINE v_f64 leaky_relu_delta(v_f64 a, v_f64 delta)
{
    return v_select(v_lt(v_set(0.0), a), delta, v_set(0.01) * delta);
}
INLINE v_f64 elu_delta(v_f64 a, v_f64 delta)
{
    return v_select(v_lt(v_set(0.0), a), delta, delta * (a + v_set(1.0)));
}
INLINE v_f64 softplus_delta(v_f64 a, v_f64 delta) { return delta * -v_expm1_negative(a); }
INLINE v_f64 product_delta(v_f64 d, v_f64 delta) { return delta * d; }

/* Each activation's derivative, as LOOP takes it; the others' is 1. */
#define EACH_DERIVATIVE(LOOP)                                                                      \
    case MLP_SIGMOID:                                                                              \
        LOOP(sigmoid_delta);                                                                       \
        break;                                                                                     \
    case MLP_TANH:                                                                                 \
        LOOP(tanh_delta);                                                                          \
        break;                                                                                     \
    case MLP_RELU:                                                                                 \
        LOOP(relu_delta);                                                                          \
        break;                                                                                     \
    case MLP_LEAKY_RELU:                                                                           \
        LOOP(leaky_relu_delta);                                                                    \
        break;                                                                                     \
    case MLP_ELU:                                                                                  \
        LOOP(elu_delta);                                                                           \
        break;                                                                                     \
    case MLP_SOFTPLUS:                                                                             \
        LOOP(softplus_delta);                                                                      \
        break;                                                                                     \
    case MLP_SILU:                                                                                 \
    case MLP_GELU:                                                                                 \
    case MLP_EXPONENTIAL:                                                                          \
        LOOP(product_delta);                                                                       \
        break

static void multiply_derivative(enum mlp_activation g, size_t n, const double *a, double *delta)
{
#define LOOP(f) map2(n, a, delta, f)
    switch (g) {
        EACH_DERIVATIVE(LOOP);
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    case MLP_STEP:
    default:
        break;
    }
#undef LOOP
}

/* One row of single_delta() and what f makes of it. */
INLINE void single_row(size_t m, double delta, const double *w, const double *a, double *out,
                       v_f64 (*f)(v_f64, v_f64))
{
    const v_f64 d = v_set(delta), zero = v_set(0.0);
    size_t j = 0;
    for (; j + VL <= m; j += VL)
        v_store(out + j, f(v_load(a + j), v_fma(d, v_load(w + j), zero)));
    if (j < m) {
        const size_t r = m - j;
        v_store_n(out + j, r, f(v_load_n(a + j, r), v_fma(d, v_load_n(w + j, r), zero)));
    }
}

INLINE v_f64 unchanged_delta(v_f64 a, v_f64 delta)
{
    (void)a;
    return delta;
}

static void single_delta(enum mlp_activation g, size_t rows, size_t m, const double *delta,
                         const double *w, const double *a, double *out)
{
#define LOOP(f)                                                                                    \
    for (size_t i = 0; i < rows; i++)                                                              \
    single_row(m, delta[i], w, a + i * m, out + i * m, f)
    switch (g) {
        EACH_DERIVATIVE(LOOP);
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    case MLP_STEP:
    default:
        LOOP(unchanged_delta);
        break;
    }
#undef LOOP
}

static void activate_keep(enum mlp_activation g, size_t n, double *z, double *d)
{
    if (g == MLP_SILU) {
        map_keep(n, z, d, v_silu);
    } else if (g == MLP_GELU) {
        map_keep(n, z, d, v_gelu);
    } else {
        activate(g, n, 1, z);
        for (size_t i = 0; i < n; i++)
            d[i] = 1.0;
        multiply_derivative(g, n, z, d);
    }
}

#include "kernels/output.inc.h"

/* ---- sums over instances and over parameters ---- */

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

static void descend(size_t n, double alpha, const double *g, double *w)
{
    const v_f64 a = v_set(-alpha);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(w + i, v_fma(a, v_load(g + i), v_load(w + i)));
    if (i < n)
        v_store_n(w + i, n - i, v_fma(a, v_load_n(g + i, n - i), v_load_n(w + i, n - i)));
}

#include "kernels/product.inc.h"

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

/* The new m and v; returns the new w. */
INLINE v_f64 adam_step(const struct mlp_adam_step *o, v_f64 gradient, v_f64 *m, v_f64 *v, v_f64 w)
{
    const v_f64 g = v_set(o->scale) * gradient;
    *m = v_fma(v_set(o->beta1), *m, v_set(1.0 - o->beta1) * g);
    *v = v_fma(v_set(o->beta2), *v, v_set(1.0 - o->beta2) * g * g);
    const v_f64 d = v_fma(v_set(o->root), v_sqrt(*v), v_set(o->epsilon));
    return v_fma(v_set(o->keep), w, -(v_set(o->rate) * *m / d));
}

static void adam(size_t n, const struct mlp_adam_step *o, const double *g, double *m, double *v,
                 double *w)
{
    const struct mlp_adam_step step = *o; /* the stores below cannot change a copy */
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        v_f64 mi = v_load(m + i), vi = v_load(v + i);
        v_store(w + i, adam_step(&step, v_load(g + i), &mi, &vi, v_load(w + i)));
        v_store(m + i, mi);
        v_store(v + i, vi);
    }
    if (i < n) {
        const size_t r = n - i;
        v_f64 mi = v_load_n(m + i, r), vi = v_load_n(v + i, r);
        v_store_n(w + i, r, adam_step(&step, v_load_n(g + i, r), &mi, &vi, v_load_n(w + i, r)));
        v_store_n(m + i, r, mi);
        v_store_n(v + i, r, vi);
    }
}

/* The new p and delta; returns the new w. Signs are compared, since p g may underflow. */
INLINE v_f64 rprop_step(const struct mlp_rprop_step *o, v_f64 g, v_f64 *p, v_f64 *delta, v_f64 w)
{
    const v_f64 zero = v_set(0.0);
    const v_i64 up = v_lt(zero, g), down = v_lt(g, zero);
    const v_i64 was_up = v_lt(zero, *p), was_down = v_lt(*p, zero);
    const v_i64 same = (up & was_up) | (down & was_down);
    const v_i64 opposite = (up & was_down) | (down & was_up);
    const v_f64 old = *delta;
    const v_f64 grown = v_at_most(v_set(o->eta_plus) * old, o->delta_max);
    const v_f64 shrunk = v_at_least(v_set(o->eta_minus) * old, o->delta_min);
    *delta = v_select(same, grown, v_select(opposite, shrunk, old));
    /* What w is reduced by: with the sign of g, or of p backwards, or 0. */
    const v_f64 back = o->back ? v_select(was_up, -old, old) : zero;
    const v_f64 ahead = v_select(up, *delta, v_select(down, -*delta, zero));
    *p = v_select(opposite, zero, g);
    return w - v_select(opposite, back, ahead);
}

static void rprop(size_t n, const struct mlp_rprop_step *o, const double *g, double *p,
                  double *delta, double *w)
{
    const struct mlp_rprop_step step = *o;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        v_f64 pi = v_load(p + i), di = v_load(delta + i);
        v_store(w + i, rprop_step(&step, v_load(g + i), &pi, &di, v_load(w + i)));
        v_store(p + i, pi);
        v_store(delta + i, di);
    }
    if (i < n) {
        const size_t r = n - i;
        v_f64 pi = v_load_n(p + i, r), di = v_load_n(delta + i, r);
        v_store_n(w + i, r, rprop_step(&step, v_load_n(g + i, r), &pi, &di, v_load_n(w + i, r)));
        v_store_n(p + i, r, pi);
        v_store_n(delta + i, r, di);
    }
}

INLINE v_f64 clipped(double scale, double limit, v_f64 g)
{
    return v_at_least(v_at_most(v_set(scale) * g, limit), -limit);
}

static void clip(size_t n, double scale, double limit, double *g)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(g + i, clipped(scale, limit, v_load(g + i)));
    if (i < n)
        v_store_n(g + i, n - i, clipped(scale, limit, v_load_n(g + i, n - i)));
}

INLINE v_f64 sum(v_f64 x, v_f64 y) { return x + y; }
static void add(size_t n, const double *y, double *x) { map2(n, y, x, sum); }
static void multiply(size_t n, const double *y, double *x) { map2(n, y, x, product_delta); }

static void weigh(size_t rows, size_t m, const double *s, double *delta, double *c)
{
    for (size_t i = 0; i < rows; i++, delta += m) {
        if (s[i] == 0.0) {
            memset(delta, 0, m * sizeof *delta);
            c[i] = 0.0;
            continue;
        }
        for (size_t j = 0; j < m; j++)
            delta[j] *= s[i];
        c[i] *= s[i];
    }
}

INLINE v_f64 penalised(double l1, double l2, v_f64 w, v_f64 g)
{
    const v_f64 zero = v_set(0.0);
    const v_f64 slope =
        v_select(v_lt(zero, w), v_set(l1), v_select(v_lt(w, zero), v_set(-l1), zero));
    return g + v_fma(v_set(l2), w, slope);
}

static void penalise(size_t n, double l1, double l2, const double *w, double *g)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(g + i, penalised(l1, l2, v_load(w + i), v_load(g + i)));
    if (i < n)
        v_store_n(g + i, n - i, penalised(l1, l2, v_load_n(w + i, n - i), v_load_n(g + i, n - i)));
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

INLINE v_f64 silu_derivative(v_f64 z)
{
    v_f64 d;
    (void)v_silu(z, &d);
    return d;
}
INLINE v_f64 gelu_derivative(v_f64 z)
{
    v_f64 d;
    (void)v_gelu(z, &d);
    return d;
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
    case MLP_EXPM1_NEGATIVE:
        map(n, x, y, v_expm1_negative);
        break;
    case MLP_SOFTPLUS_FUNCTION:
        map(n, x, y, v_softplus);
        break;
    case MLP_SILU_FUNCTION:
        map(n, x, y, silu);
        break;
    case MLP_SILU_DERIVATIVE:
        map(n, x, y, silu_derivative);
        break;
    case MLP_GELU_FUNCTION:
        map(n, x, y, gelu);
        break;
    case MLP_GELU_DERIVATIVE:
        map(n, x, y, gelu_derivative);
        break;
    case MLP_LOG1P_EXP:
    default:
        map(n, x, y, v_log1p_exp);
        break;
    }
}

#include "kernels/online.inc.h"

#include "kernels/jacobian.inc.h"

const struct mlp_kernels KERNELS = {
    .name = ISA_NAME,
    .panel_size = panel_size,
    .product = product,
    .gram = gram,
    .activate = activate,
    .activate_keep = activate_keep,
    .multiply_derivative = multiply_derivative,
    .single_delta = single_delta,
    .output = output,
    .accumulate = accumulate,
    .descend = descend,
    .descend_momentum = descend_momentum,
    .add = add,
    .multiply = multiply,
    .penalise = penalise,
    .weigh = weigh,
    .sum_squares = sum_squares,
    .sum_sizes = sum_sizes,
    .dot = dot,
    .combine = combine,
    .curvature = curvature,
    .all_finite = all_finite,
    .online = online,
    .epochs = epochs,
    .vector_math = vector_math,
    .jacobian = jacobian,
    .eliminate = eliminate,
    .adam = adam,
    .rprop = rprop,
    .clip = clip,
};
