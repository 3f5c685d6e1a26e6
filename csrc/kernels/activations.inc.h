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

/* What gives g'(z) besides, as functions of one result: f_value and f_derivative. */
#define ONE_RESULT(activation, f)                                                                  \
    INLINE v_f64 f##_value(v_f64 z)                                                                \
    {                                                                                              \
        v_f64 d;                                                                                   \
        return f(z, &d);                                                                           \
    }                                                                                              \
    INLINE v_f64 f##_derivative(v_f64 z)                                                           \
    {                                                                                              \
        v_f64 d;                                                                                   \
        (void)f(z, &d);                                                                            \
        return d;                                                                                  \
    }
MLP_DERIVED_FROM_Z(ONE_RESULT)
#undef ONE_RESULT

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

/* A row of the tables as a case of a switch, which has no default: the compiler warns of a missing row. */
#define CASE(activation, statement)                                                                \
    case activation:                                                                               \
        statement;                                                                                 \
        break;

static void activate(enum mlp_activation g, size_t rows, size_t m, double *z)
{
    const size_t n = rows * m;
#define NOTHING (void)n
#define MAP(f) map(n, z, z, f)
#define HALVES(f) map_halves(n, z, z, f##_parts, f##_of_parts)
#define ROWS(f) f(rows, m, z)
#define FROM_A(activation, g, delta) CASE(activation, g)
#define FROM_Z(activation, f) CASE(activation, MAP(f##_value))
    switch (g) {
        MLP_DERIVED_FROM_A(FROM_A)
        MLP_DERIVED_FROM_Z(FROM_Z)
    }
#undef FROM_Z
#undef FROM_A
#undef ROWS
#undef HALVES
#undef MAP
#undef NOTHING
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

/* A switch over g: FROM(f) and return, or UNCHANGED and on. */
#define FROM_A(activation, g, delta)                                                               \
    case activation:                                                                               \
        delta;
#define LABEL(activation, f) case activation:
#define EACH_DERIVATIVE                                                                            \
    switch (g) {                                                                                   \
        MLP_DERIVED_FROM_A(FROM_A)                                                                 \
        MLP_DERIVED_FROM_Z(LABEL)                                                                  \
        FROM(product_delta);                                                                       \
    }
#define UNCHANGED break

static void multiply_derivative(enum mlp_activation g, size_t n, const double *a, double *delta)
{
#define FROM(f)                                                                                    \
    map2(n, a, delta, f);                                                                          \
    return
    EACH_DERIVATIVE;
#undef FROM
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
#define ROWS(f)                                                                                    \
    for (size_t i = 0; i < rows; i++)                                                              \
    single_row(m, delta[i], w, a + i * m, out + i * m, f)
#define FROM(f)                                                                                    \
    ROWS(f);                                                                                       \
    return
    EACH_DERIVATIVE;
    ROWS(unchanged_delta);
#undef FROM
#undef ROWS
}
#undef UNCHANGED
#undef EACH_DERIVATIVE
#undef LABEL
#undef FROM_A

static void activate_keep(enum mlp_activation g, size_t n, double *z, double *d)
{
#define FROM_Z(activation, f)                                                                      \
    case activation:                                                                               \
        map_keep(n, z, d, f);                                                                      \
        return;
    switch (g) {
        MLP_DERIVED_FROM_Z(FROM_Z)
    default:
        break;
    }
#undef FROM_Z
    activate(g, n, 1, z);
    for (size_t i = 0; i < n; i++)
        d[i] = 1.0;
    multiply_derivative(g, n, z, d);
}

static void vector_math(enum mlp_function f, size_t n, const double *x, double *y)
{
#define NAMED(function, f) CASE(function, map(n, x, y, f))
    switch (f) {
        MLP_NAMED_FUNCTIONS(NAMED)
    }
#undef NAMED
}
#undef CASE

#endif
