/* random.h - what the core itself draws, beside the functions of mlp.h: the order of a batch's rows.
 *
 * It can be drawn in portions, between which signals are looked after. */
#ifndef MLP_RANDOM_H
#define MLP_RANDOM_H

#include "mlp.h"

/* order (n,) <- 0 .. n - 1 */
static inline void mlp_identity(size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
}

#endif
