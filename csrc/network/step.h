/* step.h - the memory of a solver of first order, and its step. */
#ifndef MLP_STEP_H
#define MLP_STEP_H

#include "network/network.h"

/* The memory of a solver of first order, and its step. */
struct mlp_step {
    int plain; /* w <- w - rate g and nothing else: what a product can do with its result */
    int raw_epsilon;
    double rate;  /* alpha in this epoch */
    double scale; /* of the gradient: 1, or of a mean 1 / sum s */
    struct mlp_descent options;
    double *gradient; /* (P,) */
    double *velocity; /* (P,), NULL without momentum */
    struct mlp_adam adam;
    struct mlp_adam_step next; /* of Adam */
    double *m, *v;             /* (P,), NULL but for Adam */
    double powers[2], steps;   /* beta1^t, beta2^t, t */
    struct mlp_schedule schedule;
    double plateau[2]; /* the lowest cost, and the epochs in a row that did not lower it */
    double clip_norm, clip_value;
};
/* Parameters begin .. begin + n - 1 take the step. (descent.c) */
void mlp_step_take(const struct mlp_step *step, const struct mlp_network *net, size_t begin,
                   size_t n);

#endif
