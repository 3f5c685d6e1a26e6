/* exp, log, tanh and what is built from them, against the C library's: within a few units in the last
 * place, and the same bits wherever an element stands. (test_vector_math.py knows the limits exactly.) */
#include "harness.h"

static const struct {
    enum mlp_function f;
    const char *name;
} FUNCTIONS[] = {
    {MLP_EXP, "exp"},
    {MLP_LOG, "log"},
    {MLP_TANH_FUNCTION, "tanh"},
    {MLP_SIGMOID_FUNCTION, "sigmoid"},
    {MLP_LOG1P_EXP, "log1p_exp"},
    {MLP_EXPM1_NEGATIVE, "expm1_negative"},
    {MLP_SOFTPLUS_FUNCTION, "softplus"},
    {MLP_SILU_FUNCTION, "silu"},
    {MLP_SILU_DERIVATIVE, "silu_derivative"},
    {MLP_GELU_FUNCTION, "gelu"},
    {MLP_GELU_DERIVATIVE, "gelu_derivative"},
    {MLP_MISH_FUNCTION, "mish"},
    {MLP_MISH_DERIVATIVE, "mish_derivative"},
};
enum { N_FUNCTIONS = sizeof FUNCTIONS / sizeof *FUNCTIONS };

/* f(x), and in `size` the sum of the sizes of what is added last: the error may be a part of that. */
static double plain(enum mlp_function f, double x, double *size)
{
    const double s = 1.0 / (1.0 + exp(-x)), phi = exp(-0.5 * x * x) / sqrt(2.0 * acos(-1.0));
    const double Phi = 0.5 * erfc(-x / sqrt(2.0)), R = tanh(log1p(exp(x)));
    double a = 0.0, b = 0.0;
    switch (f) {
    case MLP_EXP:
        a = exp(x);
        break;
    case MLP_LOG:
        a = log(x);
        break;
    case MLP_TANH_FUNCTION:
        a = tanh(x);
        break;
    case MLP_SIGMOID_FUNCTION:
        a = s;
        break;
    case MLP_LOG1P_EXP:
        a = log1p(exp(-fabs(x)));
        break;
    case MLP_EXPM1_NEGATIVE:
        a = expm1(-fabs(x));
        break;
    case MLP_SOFTPLUS_FUNCTION:
        a = fmax(x, 0.0);
        b = log1p(exp(-fabs(x)));
        break;
    case MLP_SILU_FUNCTION:
        a = x * s;
        break;
    case MLP_SILU_DERIVATIVE:
        a = s;
        b = x * s * (1.0 - s);
        break;
    case MLP_GELU_FUNCTION:
        a = x * Phi;
        break;
    case MLP_GELU_DERIVATIVE:
        a = Phi;
        b = x * phi;
        break;
    case MLP_MISH_FUNCTION:
        a = x * R;
        break;
    case MLP_MISH_DERIVATIVE:
        a = R;
        b = x * s * (1.0 - R * R);
        break;
    default:
        break;
    }
    *size = fabs(a) + fabs(b);
    return a + b;
}

static void test_functions(const struct mlp_kernels *k)
{
    for (size_t f = 0; f < N_FUNCTIONS; f++) {
        for (size_t n = 1; n <= 37; n++) {
            struct array x = array(n), y = array(n);
            for (size_t i = 0; i < n; i++)
                x.p[i] = FUNCTIONS[f].f == MLP_LOG ? fabs(x.p[i]) : 8.0 * x.p[i];
            k->vector_math(FUNCTIONS[f].f, n, x.p, y.p);
            for (size_t i = 0; i < n; i++) {
                double size, one;
                const double expected = plain(FUNCTIONS[f].f, x.p[i], &size);
                /* erfc and exp magnify the rounding of their arguments. */
                CHECK(fabs(y.p[i] - expected) <= 0x1p-50 * (1.0 + x.p[i] * x.p[i]) * size);
                k->vector_math(FUNCTIONS[f].f, 1, &x.p[i], &one);
                CHECK(same_bits(1, &one, &y.p[i]));
            }
            release(x.base, x.size);
            release(y.base, y.size);
        }
    }
}

static void time_vector_math(const struct mlp_kernels *k)
{
    enum { LENGTH = 1000 };
    struct array x = room(LENGTH), y = room(LENGTH);
    for (size_t i = 0; i < LENGTH; i++)
        x.p[i] = fabs(x.p[i]);
    for (size_t f = 0; f < N_FUNCTIONS; f++)
        TIME(FUNCTIONS[f].name, LENGTH, k->vector_math(FUNCTIONS[f].f, LENGTH, x.p, y.p));
    release(x.base, x.size);
    release(y.base, y.size);
}

static const struct row ROWS[] = {
    {"vector_math", time_vector_math, {test_functions}},
};

int main(int argc, char **argv)
{
    return run_rows("test_math", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
