/* geodesic.h - the second-order correction of a step: geodesic acceleration, after Transtrum and Sethna.
 *
 * It is made after the step and before its cost is known. */
#ifndef MLP_GEODESIC_H
#define MLP_GEODESIC_H

#include "training/gauss_newton.h"

/* One chunk of J^T times the second difference of the outputs along the step; 1 when it is complete. */
int mlp_geodesic_accelerate(struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* Then the correction, which is added to the step if it is small. */
void mlp_geodesic_correct(const struct mlp_fit *fit, struct mlp_gauss_newton *m);

#endif
