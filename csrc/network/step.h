/* step.h - what a solver of first order remembers, and its step: gradient descent, with momentum, Adam.
 *
 * It lies below the layers, which take the step of each part of the parameters as its gradient is
 * completed. Which rate a step has, and what becomes of its gradient before, is the solver's affair. */
#ifndef MLP_STEP_H
#define MLP_STEP_H

#include "network/network.h"
#include "network/threads.h"

struct mlp_step {
    int plain;    /* w <- w - rate g and nothing else: what a product can do with its result */
    double rate;  /* alpha in this epoch */
    double scale; /* of the gradient: 1, or of a mean 1 / sum s */
    struct mlp_descent options;
    double *block;    /* of the arrays: */
    double *gradient; /* (P,) */
    double *velocity; /* (P,), NULL without momentum */
    struct mlp_adam adam;
    struct mlp_adam_step next; /* of Adam */
    double *m, *v;             /* (P,), NULL but for Adam */
    double powers[2], steps;   /* beta1^t, beta2^t, t */
};

/* A step before the first one: Adam's, or with adam = NULL that of gradient descent. */
enum mlp_status mlp_step_new(struct mlp_step *step, const struct mlp_network *net,
                             const struct mlp_descent *descent, const struct mlp_adam *adam);
void mlp_step_free(struct mlp_step *step);

/* What the next step needs beside its gradient; before any part of it is taken. */
void mlp_step_prepare(struct mlp_step *step);
/* Parameters begin .. begin + n - 1 take the step. */
void mlp_step_take(const struct mlp_step *step, const struct mlp_network *net, size_t begin,
                   size_t n);
/* The same as part of a product: of rows of parameters from number `begin` on, `row` apart. */
struct mlp_epilogue mlp_step_epilogue(const struct mlp_step *step, const struct mlp_network *net,
                                      size_t begin, size_t row, int store);
/* All parameters do. */
void mlp_step_take_all(const struct mlp_step *step, const struct mlp_network *net,
                       const struct mlp_team *team);
/* The step has been taken. */
void mlp_step_count(struct mlp_step *step);

/* arrays <- what it remembers, the number of steps included if `counted`; how many these are. */
size_t mlp_step_describe(struct mlp_step *step, size_t P, int counted, struct mlp_array *arrays);
/* The name of the first of them that no number of steps leaves as it is, or NULL. */
const char *mlp_step_refused(const struct mlp_step *step, size_t P);

#endif
