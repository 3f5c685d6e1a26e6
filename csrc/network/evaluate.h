/* evaluate.h - calls that evaluate a network as it is, for other files that do.
 *
 * Threads take ranges of the instances, each with an arena of its own. */
#ifndef MLP_EVALUATE_H
#define MLP_EVALUATE_H

#include "network/arena.h"

/* task(context, arena, begin, end) for rows begin .. end - 1 of n, on as many threads as so many
 * multiply-adds are worth, each with an arena of its own. */
typedef void (*mlp_rows_task)(const void *context, const struct mlp_arena *arena, size_t begin,
                              size_t end);
enum mlp_status mlp_run_rows(const struct mlp_network *net, enum mlp_purpose purpose, size_t n,
                             double work, size_t n_threads, mlp_rows_task task,
                             const void *context);

/* Instances begin .. end - 1 of mlp_predict, x as mlp_inputs gives it, in an arena of the caller's. Calls that share one by
 * mistake may compute nonsense, but write nowhere else. Cannot fail. */
void mlp_predict_in(const struct mlp_arena *arena, const struct mlp_network *network,
                    const struct mlp_matrix *x, size_t begin, size_t end, int linear, double *out);

#endif
