/* methods.h - the table of methods: one row for each solver of mlp.h, and the file that does it. */
#ifndef MLP_METHODS_H
#define MLP_METHODS_H

#include "training/epoch.h"

#define MLP_METHODS(X)                                                                             \
    X(MLP_GRADIENT_DESCENT, descent)                                                               \
    X(MLP_ADAM, descent)                                                                           \
    X(MLP_RPROP, rprop)                                                                            \
    X(MLP_LEVENBERG_MARQUARDT, levenberg)                                                          \
    X(MLP_LBFGS, lbfgs)                                                                            \
    X(MLP_SCG, scg)

#define MLP_DECLARE(solver, method) extern const struct mlp_method mlp_##method##_method;
MLP_METHODS(MLP_DECLARE)
#undef MLP_DECLARE

#endif
