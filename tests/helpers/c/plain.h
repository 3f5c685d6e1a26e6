/* plain.h - the activations and their derivatives as their formulas say, with the C library's functions. */
#ifndef PLAIN_H
#define PLAIN_H

#include "check.h"

static const struct {
    enum mlp_activation g;
    const char *name;
} ACTIVATIONS[] = {
#define ROW(identifier, name) {MLP_##identifier, name},
    MLP_ACTIVATIONS(ROW)
#undef ROW
};
enum { N_ACTIVATIONS = sizeof ACTIVATIONS / sizeof *ACTIVATIONS };

static inline double plain(enum mlp_activation g, double z)
{
    switch (g) {
    case MLP_SIGMOID:
        return 1.0 / (1.0 + exp(-z));
    case MLP_TANH:
        return tanh(z);
    case MLP_RELU:
        return z > 0.0 ? z : 0.0;
    case MLP_STEP:
        return z > 0.0;
    case MLP_LEAKY_RELU:
        return z < 0.0 ? 0.01 * z : z;
    case MLP_ELU:
        return z < 0.0 ? expm1(z) : z;
    case MLP_SOFTPLUS:
        return (z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z)));
    case MLP_SILU:
        return z / (1.0 + exp(-z));
    case MLP_GELU:
        return 0.5 * z * erfc(-z / sqrt(2.0));
    case MLP_MISH:
        return z * tanh(log1p(exp(z)));
    case MLP_EXPONENTIAL:
        return exp(z);
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    default:
        return z;
    }
}

static inline double plain_derivative(enum mlp_activation g, double a)
{
    switch (g) {
    case MLP_SIGMOID:
        return a * (1.0 - a);
    case MLP_TANH:
        return (1.0 - a) * (1.0 + a);
    case MLP_RELU:
        return a > 0.0;
    case MLP_LEAKY_RELU:
        return a > 0.0 ? 1.0 : 0.01;
    case MLP_ELU:
        return a > 0.0 ? 1.0 : a + 1.0;
    case MLP_SOFTPLUS:
        return -expm1(-a);
    case MLP_EXPONENTIAL:
    case MLP_SILU: /* of these three a is g' itself */
    case MLP_GELU:
    case MLP_MISH:
        return a;
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    case MLP_STEP:
    default:
        return 1.0;
    }
}

#endif
