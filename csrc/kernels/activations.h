/* activations.h - what the core knows of each activation and each function by name: one row, from which the
 * kernels' switches are made.
 *
 * A further activation is its formula in math.inc.h or activations.inc.h and a row here. */
#ifndef MLP_ACTIVATIONS_H
#define MLP_ACTIVATIONS_H

/* Those whose g'(z) is a function of a = g(z): X(activation, g, delta).
 *   g      MAP(f): f(z) of a vector; HALVES(f): the same by f_parts and f_of_parts; ROWS(f): f of whole
 *          rows; NOTHING: a = z
 *   delta  FROM(f): delta g'(z) = f(a, delta); UNCHANGED: delta, where g'(z) = 1 or where there is no such
 *          thing */
#define MLP_DERIVED_FROM_A(X)                                                                      \
    X(MLP_SIGMOID, HALVES(sigmoid), FROM(sigmoid_delta))                                           \
    X(MLP_TANH, HALVES(tanh), FROM(tanh_delta))                                                    \
    X(MLP_RELU, MAP(relu), FROM(relu_delta))                                                       \
    X(MLP_STEP, MAP(step), UNCHANGED)                                                              \
    X(MLP_SOFTMAX, ROWS(softmax), UNCHANGED)                                                       \
    X(MLP_LEAKY_RELU, MAP(leaky_relu), FROM(leaky_relu_delta))                                     \
    X(MLP_ELU, MAP(elu), FROM(elu_delta))                                                          \
    X(MLP_SOFTPLUS, MAP(v_softplus), FROM(softplus_delta))                                         \
    X(MLP_EXPONENTIAL, MAP(v_exp), FROM(product_delta))                                            \
    X(MLP_IDENTITY, NOTHING, UNCHANGED)

/* Those whose a does not tell g'(z), which feedforward computes and keeps: X(activation, f) with a =
 * f(z, &derivative). */
#define MLP_DERIVED_FROM_Z(X)                                                                      \
    X(MLP_SILU, v_silu)                                                                            \
    X(MLP_GELU, v_gelu)                                                                            \
    X(MLP_MISH, v_mish)

/* Those that cost so little, beside the identity, that one pass takes the output layer with its squared
 * error, and that the network in registers knows: X(activation, f, delta) as above. */
#define MLP_FUSED(X)                                                                               \
    X(MLP_SIGMOID, v_sigmoid, sigmoid_delta)                                                       \
    X(MLP_TANH, v_tanh, tanh_delta)                                                                \
    X(MLP_RELU, relu, relu_delta)

/* vector_math()'s: X(function, f) with y = f(x). */
#define MLP_NAMED_FUNCTIONS(X)                                                                     \
    X(MLP_EXP, v_exp)                                                                              \
    X(MLP_LOG, v_log)                                                                              \
    X(MLP_TANH_FUNCTION, v_tanh)                                                                   \
    X(MLP_SIGMOID_FUNCTION, v_sigmoid)                                                             \
    X(MLP_LOG1P_EXP, v_log1p_exp)                                                                  \
    X(MLP_EXPM1_NEGATIVE, v_expm1_negative)                                                        \
    X(MLP_SOFTPLUS_FUNCTION, v_softplus)                                                           \
    X(MLP_SILU_FUNCTION, v_silu_value)                                                             \
    X(MLP_SILU_DERIVATIVE, v_silu_derivative)                                                      \
    X(MLP_GELU_FUNCTION, v_gelu_value)                                                             \
    X(MLP_GELU_DERIVATIVE, v_gelu_derivative)                                                      \
    X(MLP_MISH_FUNCTION, v_mish_value)                                                             \
    X(MLP_MISH_DERIVATIVE, v_mish_derivative)

#endif
