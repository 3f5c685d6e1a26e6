/* penalty.h - l1 sum |w| + l2/2 sum w^2 over all weights, which biases are not.
 *
 * Its gradient is added to the data's part by part, before that part takes its step. */
#ifndef MLP_PENALTY_H
#define MLP_PENALTY_H

#include "network/network.h"
#include "network/threads.h"

struct mlp_penalty {
    double l1, l2;
};
static inline int mlp_penalises(const struct mlp_penalty *p) { return p->l1 > 0.0 || p->l2 > 0.0; }
/* Its value, by up to MLP_RANGES blocks, a function of P, added in a binary tree. */
double mlp_penalty_cost(const struct mlp_network *net, const struct mlp_team *team,
                        const struct mlp_penalty *penalty);
/* Adds its gradient to parameters begin .. begin + n - 1 of a gradient (P,). */
void mlp_penalise(const struct mlp_network *net, const struct mlp_penalty *penalty, size_t begin,
                  size_t n, double *gradient);

#endif
