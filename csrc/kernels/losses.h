/* losses.h - what the core knows of each loss: one row, from which the kernels' switches are made.
 *
 * A further loss of a - y is a function in output.inc.h and a row here. The form that Gauss-Newton methods
 * have for it, if any, is output_rows() of training/gauss_newton.c. */
#ifndef MLP_LOSSES_H
#define MLP_LOSSES_H

/* Losses of e = a - y, for any activation: X(loss, f) with the cost f(p, e, &slope) and slope = dC/da. */
#define MLP_LOSSES_OF_ERRORS(X)                                                                    \
    X(MLP_SQUARED_ERROR, squared_error)                                                            \
    X(MLP_ABSOLUTE_ERROR, two_slopes)                                                              \
    X(MLP_HUBER, huber)                                                                            \
    X(MLP_QUANTILE, two_slopes)

/* Losses of one activation, with which delta is a - y: X(loss, g, cost), a = g(z) and the cost of z and y.
 * (The cross-entropy of softmax is a function of whole rows; of one sigmoid unit it is the binary one.) */
#define MLP_LOSSES_OF_PAIRS(X)                                                                     \
    X(MLP_BINARY_CROSS_ENTROPY, v_sigmoid, binary_cost)                                            \
    X(MLP_POISSON, v_exp, poisson_cost)

#endif
