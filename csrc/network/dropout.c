/* dropout.c - the masks of units that are dropped, from the words of a stream.
 *
 * What a unit takes of the stream follows from its place alone, so that any thread can make any part of a
 * mask, and a resumed fit the one that it had. */
#include "network/dropout.h"

#include "network/philox.h"

size_t mlp_mask_words(const struct mlp_network *net)
{
    size_t words = 0;
    for (size_t l = 0; l < net->n_layers; l++)
        words += net->layers[l].drop > 0.0 ? mlp_padded(net->layers[l].m_out) / 2 : 0;
    return words;
}

struct mlp_stream mlp_masks_take(const struct mlp_network *net, struct mlp_stream *stream, size_t n)
{
    struct mlp_stream masks = *stream;
    masks.position = (masks.position + 3) & ~(uint64_t)3;
    stream->position = masks.position + (uint64_t)n * mlp_mask_words(net);
    return masks;
}

/* An instance takes mlp_mask_words() words: of each layer that drops units, in their order, one block
 * for every 8 units begun, in which unit j mod 8 has the low (even j) or the high half (odd j) of word
 * (j mod 8) / 2. It is dropped if that half is less than drop 2^32, rounded. */
void mlp_random_mask(const struct mlp_network *net, const struct mlp_stream *masks, size_t l,
                     size_t row, size_t c0, size_t c1, double *mask)
{
    const double drop = net->layers[l].drop, keep = 1.0 / (1.0 - drop);
    const uint64_t limit = (uint64_t)(drop * 0x1p32 + 0.5);
    uint64_t first = masks->position + (uint64_t)row * mlp_mask_words(net) + c0 / 2;
    for (size_t k = 0; k < l; k++)
        first += net->layers[k].drop > 0.0 ? mlp_padded(net->layers[k].m_out) / 2 : 0;
    for (size_t j = 0; j < c1 - c0; j += 8) {
        const size_t n = c1 - c0 - j < 8 ? c1 - c0 - j : 8;
        uint64_t block[4];
        mlp_philox(masks->key, first / 4 + j / 8 + 1, block);
        for (size_t k = 0; k < n; k++)
            mask[j + k] = (block[k / 2] >> (k % 2 * 32) & 0xffffffff) < limit ? 0.0 : keep;
    }
}
