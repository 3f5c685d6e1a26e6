/* activations.inc.h - g and what delta is multiplied by, g', for each activation; and the functions that the
 * tests and the schedules call by name. */
#ifndef MLP_ACTIVATIONS_INC_H
#define MLP_ACTIVATIONS_INC_H

#include "kernels/kernels.h"
#include "kernels/loops.inc.h"
#include "kernels/math.inc.h"

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
        BY_VECTORS(m, STORE(z, v_exp(LOAD(z) - v_set(max))));
        double s = 0.0;
        for (size_t j = 0; j < m; j++)
            s += z[j];
        for (size_t j = 0; j < m; j++)
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
    BY_VECTORS(m, STORE(out, f(LOAD(a), v_fma(d, LOAD(w), zero))));
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

#endif
