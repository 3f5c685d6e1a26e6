/* vectors.h - what the methods of full batches share: sums and updates of vectors (P,) on the
 * pass's team, and a network at a trial point.
 *
 * A sum's order is a function of P alone: up to MLP_RANGES blocks, each in the kernels' 8 lanes, added
 * in a binary tree. */
#ifndef MLP_VECTORS_H
#define MLP_VECTORS_H

#include "fit.h"

/* The kernels of these names on all P elements, in threads where they pay. Cannot fail. */
double mlp_vector_dot(struct mlp_fit *fit, const double *x, const double *y);
double mlp_vector_combine(struct mlp_fit *fit, double a, const double *x, double b, const double *y,
                          const double *z, double *out);
void mlp_vector_curvature(struct mlp_fit *fit, double a, const double *g, const double *g0,
                          double *s, double *y, double sums[4]);
int mlp_vector_finite(struct mlp_fit *fit, const double *x);
/* out <- x */
void mlp_vector_copy(struct mlp_fit *fit, const double *x, double *out);

/* A copy of the network with other parameters, for mlp_network_free; NULL when there is no memory. */
struct mlp_network *mlp_network_twin(const struct mlp_network *net, double *parameters);

/* Ends the first pass, which has evaluated C_0: MLP_PAUSED when training can begin. */
enum mlp_event mlp_fit_begin(struct mlp_fit *fit);

#endif
