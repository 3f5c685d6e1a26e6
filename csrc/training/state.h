/* state.h - arrays by their names: how a fit and a trainer are put where others were.
 *
 * First it is seen whether any is missing; then all are copied, which cannot fail. */
#ifndef MLP_STATE_H
#define MLP_STATE_H

#include "mlp.h"

/* The name of the first array `to` that no array `from` has the name and the size of, or NULL. */
const char *mlp_arrays_missing(const struct mlp_array *to, size_t n_to,
                               const struct mlp_array *from, size_t n_from);
/* Each array `to` <- the one of its name, which none misses. */
void mlp_arrays_copy(const struct mlp_array *to, size_t n_to, const struct mlp_array *from,
                     size_t n_from);
#endif
