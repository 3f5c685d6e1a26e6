/* dropout.h - which units a training step drops: random masks.
 *
 * They are a function of the stream's key and of positions alone: any thread can make any part of one. */
#ifndef MLP_DROPOUT_H
#define MLP_DROPOUT_H

#include "network/network.h"

/* Words of the stream that the masks of one instance take. */
size_t mlp_mask_words(const struct mlp_network *net);
/* Takes those of n instances from the stream, from a multiple of 4 on: where they start. */
struct mlp_stream mlp_masks_take(const struct mlp_network *net, struct mlp_stream *stream,
                                 size_t n);
/* mask (c1 - c0,) <- 0 where a unit is dropped, else 1 / (1 - drop), of units c0 .. c1 - 1 of
 * layers[l], c0 a multiple of 8, in instance `row` of a batch whose masks start at that position, a
 * multiple of 4. */
void mlp_random_mask(const struct mlp_network *net, const struct mlp_stream *masks, size_t l,
                     size_t row, size_t c0, size_t c1, double *mask);

#endif
