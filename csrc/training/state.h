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

/* Whether x (n,) are at least 0, as no other numbers are where a training has left them. */
static inline int mlp_not_negative(const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= 0.0))
            return 0;
    }
    return 1;
}

#endif
