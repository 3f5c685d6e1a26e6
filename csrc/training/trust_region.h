/* trust_region.h - the damping mu of a step whose length is the radius of a trust region (More 1978).
 *
 * The radius, mu and its bounds are in struct mlp_gauss_newton, which also gives the step for a mu. */
#ifndef MLP_TRUST_REGION_H
#define MLP_TRUST_REGION_H

#include "training/gauss_newton.h"

/* Bounds of mu for a new radius or a new J. */
void mlp_trust_region_start(const struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* After a step for mu: 1 when it is the one, 0 when m->mu is to be tried. */
int mlp_trust_region_next(const struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* A + mu D^2 has no factor in floating-point arithmetic: rounding errors of A exceed mu. */
void mlp_trust_region_singular(struct mlp_gauss_newton *m);
/* The radius after a step with this gain ratio, after LMDER. */
void mlp_trust_region_resize(const struct mlp_fit *fit, struct mlp_gauss_newton *m, double ratio,
                             double gained);

#endif
