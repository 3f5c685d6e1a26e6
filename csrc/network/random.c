/* random.c - random numbers from the words of Philox: word k is word k mod 4 of the block whose counter
 * is k / 4 + 1. Counter-based, so a stream is its key and a position. */
#include "network/random.h"

#include "kernels/kernels.h"
#include "network/philox.h"

#include <math.h>

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
        mlp_philox(words->stream->key, k / 4 + 1, words->block);
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

void mlp_random_permutation(struct mlp_stream *stream, size_t n, size_t *order)
{
    mlp_identity(n, order);
    mlp_random_shuffle(stream, n, n, order);
}

void mlp_random_key(struct mlp_stream *stream, uint64_t key[2])
{
    struct words words = {stream, {0}, 0};
    key[0] = next_word(&words);
    key[1] = next_word(&words);
}

/* Block number b has words b 2^32 .. of its stream to itself. */
void mlp_random_blocks(const uint64_t key[2], size_t size, size_t first, size_t place, size_t n,
                       size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = place + i;
    for (size_t i = 0; i < n; i += size) {
        const size_t rows = n - i < size ? n - i : size;
        struct mlp_stream own = {{key[0], key[1]}, (uint64_t)((first + i) / size) << 32};
        mlp_random_shuffle(&own, rows, rows, order + i);
    }
}

size_t mlp_random_shuffle(struct mlp_stream *stream, size_t left, size_t most, size_t *order)
{
    struct words words = {stream, {0}, 0};
    for (; left > 1 && most > 0; left--, most--) {
        uint64_t low;
        const size_t j = (size_t)mlp_multiply_high(next_word(&words), (uint64_t)left, &low);
        const size_t t = order[left - 1];
        order[left - 1] = order[j];
        order[j] = t;
    }
    return left;
}
