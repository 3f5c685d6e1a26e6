/* random.c - random numbers from the words of Philox4x64-10 (Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011), in the order in which NumPy's bit
 * generator of that name gives them: word k is word k mod 4 of the block whose counter is k / 4
 * + 1. Counter-based, so a stream is its key and a position. */
#include "network/network.h"

#include <math.h>
#include <string.h>

static uint64_t multiply_high(uint64_t a, uint64_t b, uint64_t *low)
{
#if defined(__SIZEOF_INT128__)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    *low = (uint64_t)product;
    return (uint64_t)(product >> 64);
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0;
    const uint64_t middle = (p00 >> 32) + (uint32_t)p01 + (uint32_t)p10;
    *low = a * b;
    return a1 * b1 + (p01 >> 32) + (p10 >> 32) + (middle >> 32);
#endif
}

/* The four words of one block. */
static void philox(const uint64_t key[2], uint64_t counter, uint64_t out[4])
{
    uint64_t x0 = counter, x1 = 0, x2 = 0, x3 = 0, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t low0, low2;
        const uint64_t high0 = multiply_high(0xd2e7470ee14c6c93, x0, &low0);
        const uint64_t high2 = multiply_high(0xca5a826395121157, x2, &low2);
        x0 = high2 ^ x1 ^ k0;
        x1 = low2;
        x2 = high0 ^ x3 ^ k1;
        x3 = low0;
        k0 += 0x9e3779b97f4a7c15;
        k1 += 0xbb67ae8584caa73b;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

/* Words in succession, a block at a time. */
struct words {
    struct mlp_stream *stream;
    uint64_t block[4];
    int filled;
};

static uint64_t next_word(struct words *words)
{
    const uint64_t k = words->stream->position++;
    if (k % 4 == 0 || !words->filled) {
        philox(words->stream->key, k / 4 + 1, words->block);
        words->filled = 1;
    }
    return words->block[k % 4];
}

/* 2u - 1 for u = (word >> 11) 2^-53 in [0, 1). */
static double symmetric(uint64_t word) { return 2.0 * ((double)(word >> 11) * 0x1p-53) - 1.0; }

void mlp_random_uniform(struct mlp_stream *stream, double numerator, double denominator, size_t n,
                        double *out)
{
    struct words words = {stream, {0}, 0};
    const uint64_t saved = mlp_fp_enter();
    const double limit = sqrt(numerator / denominator);
    for (size_t i = 0; i < n; i++)
        out[i] = limit * symmetric(next_word(&words));
    mlp_fp_leave(saved);
}

void mlp_random_range(struct mlp_stream *stream, double low, double high, size_t n, double *out)
{
    struct words words = {stream, {0}, 0};
    const uint64_t saved = mlp_fp_enter();
    for (size_t i = 0; i < n; i++)
        out[i] = low + (high - low) * ((double)(next_word(&words) >> 11) * 0x1p-53);
    mlp_fp_leave(saved);
}

void mlp_random_nguyen_widrow(struct mlp_stream *stream, double beta, size_t m_in, size_t m_out,
                              double *w, double *b)
{
    struct words words = {stream, {0}, 0};
    const uint64_t saved = mlp_fp_enter();
    for (size_t j = 0; j < m_out; j++)
        b[j] = 0.0;
    for (size_t i = 0; i < m_in; i++) {
        for (size_t j = 0; j < m_out; j++) {
            const double v = symmetric(next_word(&words));
            w[i * m_out + j] = v;
            b[j] += v * v;
        }
    }
    for (size_t j = 0; j < m_out; j++)
        b[j] = b[j] > 0.0 ? beta / sqrt(b[j]) : 0.0;
    for (size_t i = 0; i < m_in; i++) {
        for (size_t j = 0; j < m_out; j++)
            w[i * m_out + j] *= b[j];
    }
    for (size_t j = 0; j < m_out; j++)
        b[j] = beta * symmetric(next_word(&words));
    mlp_fp_leave(saved);
}

void mlp_random_normal(struct mlp_stream *stream, const struct mlp_kernels *kernels,
                       double numerator, double denominator, size_t n, double *out)
{
    struct words words = {stream, {0}, 0};
    const uint64_t saved = mlp_fp_enter();
    const double sd = sqrt(numerator / denominator);
    for (size_t i = 0; i < n;) {
        const double x = symmetric(next_word(&words)), y = symmetric(next_word(&words));
        const double s = x * x + y * y;
        if (s >= 1.0 || s == 0.0)
            continue;
        double logarithm;
        kernels->vector_math(MLP_LOG, 1, &s, &logarithm);
        const double f = sqrt(-2.0 * logarithm / s);
        out[i++] = sd * (x * f);
        if (i < n)
            out[i++] = sd * (y * f);
    }
    mlp_fp_leave(saved);
}

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
        philox(masks->key, first / 4 + j / 8 + 1, block);
        for (size_t k = 0; k < n; k++)
            mask[j + k] = (block[k / 2] >> (k % 2 * 32) & 0xffffffff) < limit ? 0.0 : keep;
    }
}

void mlp_random_permutation(struct mlp_stream *stream, size_t n, size_t *order)
{
    mlp_identity(n, order);
    mlp_random_shuffle(stream, n, n, order);
}

size_t mlp_random_shuffle(struct mlp_stream *stream, size_t left, size_t most, size_t *order)
{
    struct words words = {stream, {0}, 0};
    for (; left > 1 && most > 0; left--, most--) {
        uint64_t low;
        const size_t j = (size_t)multiply_high(next_word(&words), (uint64_t)left, &low);
        const size_t t = order[left - 1];
        order[left - 1] = order[j];
        order[j] = t;
    }
    return left;
}
