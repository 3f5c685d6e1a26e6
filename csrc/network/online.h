/* online.h - many steps in one call of a kernel.
 *
 * Both take only steps that the kernels know all about, and say how many: the rest is the pass's. */
#ifndef MLP_ONLINE_H
#define MLP_ONLINE_H

#include "network/arena.h"

/* Steps on up to n single instances, rows begin .. of x, y or order: see online(). */
size_t mlp_online(const struct mlp_network *net, const struct mlp_arena *arena,
                  const struct mlp_matrix *x, const struct mlp_matrix *y, const size_t *order,
                  size_t begin, size_t n, double alpha, double *gradient, struct mlp_pair *cost);
/* Full-batch epochs on n rows: see epochs(). */
size_t mlp_epochs(const struct mlp_network *net, const struct mlp_arena *arena,
                  const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n, double alpha,
                  const struct mlp_rules *rules, double *gradient, struct mlp_pair *cost,
                  double *costs, double *squares);

#endif
