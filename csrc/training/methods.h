/* methods.h - the methods of all solvers: that of a row of MLP_SOLVERS has the name of its group. */
#ifndef MLP_METHODS_H
#define MLP_METHODS_H

#include "training/epoch.h"

#define MLP_DECLARE(identifier, name, group, shared)                                               \
    extern const struct mlp_method mlp_##group##_method;
MLP_SOLVERS(MLP_DECLARE)
#undef MLP_DECLARE

#endif
