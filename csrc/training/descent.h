/* descent.h - gradient descent and Adam: what the fit's method and the trainer share.
 *
 * Both make a step from their options and clip the gradient before it. */
#ifndef MLP_DESCENT_H
#define MLP_DESCENT_H

#include "network/step.h"

/* A step with the fit's or trainer's options. */
enum mlp_status mlp_descent_step(struct mlp_step *step, const struct mlp_network *net,
                                 const struct mlp_fit_options *options);

/* How large a gradient may be; 0: as large as it is. */
struct mlp_clipping {
    double norm, value; /* its Euclidean norm, and the size of each element */
};
/* Whether it is clipped, so that no part of the step can be taken before all of it is there. */
static inline int mlp_clips(const struct mlp_clipping *clipping)
{
    return clipping->norm > 0.0 || clipping->value > 0.0;
}
/* Clips the gradient (P,); returns its norm before. */
double mlp_clip(const struct mlp_clipping *clipping, const struct mlp_network *net,
                double *gradient);

#endif
