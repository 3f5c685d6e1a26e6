/* vectors.h - what the methods of full batches share: sums and updates of vectors (P,) on the
 * pass's team.
 *
 * A sum's order is a function of P alone: up to MLP_RANGES blocks, each in the kernels' 8 lanes, added
 * in a binary tree. */
#ifndef MLP_VECTORS_H
#define MLP_VECTORS_H

#include "training/epoch.h"

/* The kernels of these names on all P elements, in threads where they pay. Cannot fail. */
double mlp_vector_dot(struct mlp_fit *fit, const double *x, const double *y);
double mlp_vector_combine(struct mlp_fit *fit, double a, const double *x, double b, const double *y,
                          const double *z, double *out);
void mlp_vector_curvature(struct mlp_fit *fit, double a, const double *g, const double *g0,
                          double *s, double *y, double sums[4]);
int mlp_vector_finite(struct mlp_fit *fit, const double *x);
/* out <- x */
void mlp_vector_copy(struct mlp_fit *fit, const double *x, double *out);

#endif
