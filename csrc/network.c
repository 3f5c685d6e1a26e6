/* network.c - sizes, layout and memory: how the parameters lie, and how much a chunk of instances
 * needs. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

int mlp_size_multiply(size_t a, size_t b, size_t *c)
{
    if (b != 0 && a > SIZE_MAX / b)
        return 0;
    *c = a * b;
    return 1;
}

int mlp_size_add(size_t a, size_t b, size_t *c)
{
    if (a > SIZE_MAX - b)
        return 0;
    *c = a + b;
    return 1;
}

/* The pointer that malloc returned is kept just before the block. */
double *mlp_allocate(size_t n)
{
    const size_t extra = 64 + sizeof(void *);
    size_t bytes;
    if (!mlp_size_multiply(n, sizeof(double), &bytes) || !mlp_size_add(bytes, extra, &bytes))
        return NULL;
    char *raw = malloc(bytes);
    if (raw == NULL)
        return NULL;
    char *aligned = raw + extra - (uintptr_t)(raw + extra) % 64;
    memcpy(aligned - sizeof raw, &raw, sizeof raw);
    return (double *)(void *)aligned;
}

void mlp_release(double *p)
{
    if (p != NULL) {
        char *raw;
        memcpy(&raw, (char *)p - sizeof raw, sizeof raw);
        free(raw);
    }
}

/* Activations, deltas and weights' panels of a chunk should stay in a 1 MB L2 cache: half of it for
 * them. */
#define CHUNK_BYTES ((size_t)512 * 1024)
/* Each chunk reads (and packs) all weights once; this many instances make that cheap beside the
 * products. */
#define CHUNK_MIN 128
/* More instances than this gain nothing, as the cost of a chunk's calls is spread enough. */
#define CHUNK_MAX 2048

static size_t automatic_chunk(const struct mlp_network *net)
{
    const size_t rows = CHUNK_BYTES / sizeof(double) / net->row_size;
    return rows < CHUNK_MIN ? CHUNK_MIN : rows > CHUNK_MAX ? CHUNK_MAX : rows;
}

enum mlp_status mlp_network_new(struct mlp_network **network, const struct mlp_kernels *kernels,
                                size_t n_layers, const size_t *layers,
                                const enum mlp_activation *activations, enum mlp_loss loss)
{
    size_t bytes;
    if (!mlp_size_multiply(n_layers, sizeof(struct mlp_layer), &bytes) ||
        !mlp_size_add(bytes, sizeof(struct mlp_network), &bytes))
        return MLP_TOO_LARGE;
    struct mlp_network *net = calloc(1, bytes);
    if (net == NULL)
        return MLP_NO_MEMORY;
    net->kernels = kernels;
    net->n_layers = n_layers;
    net->loss = loss;
    size_t offset = 0, units = layers[0];
    int fits = 1;
    for (size_t l = 0; fits && l < n_layers; l++) {
        struct mlp_layer *layer = &net->layers[l];
        *layer = (struct mlp_layer){layers[l], layers[l + 1], offset, activations[l]};
        size_t n;
        fits = mlp_size_multiply(layer->m_in, layer->m_out, &n) &&
               mlp_size_add(n, layer->m_out, &n) && mlp_size_add(offset, n, &offset) &&
               mlp_size_add(units, layer->m_out, &units);
        if (layer->m_out > net->max_width)
            net->max_width = layer->m_out;
    }
    /* Per instance: x, every a, two deltas, y, the cost's terms and their sum. */
    size_t size = 0;
    const size_t m = layers[n_layers];
    fits = fits && mlp_size_multiply(net->max_width, 2, &size) &&
           mlp_size_add(size, units, &size) && mlp_size_add(size, m, &size) &&
           mlp_size_add(size, m, &size) && mlp_size_add(size, 1, &size) &&
           mlp_size_multiply(offset, sizeof(double), &bytes) && bytes <= PTRDIFF_MAX &&
           mlp_size_multiply(size, sizeof(double) * CHUNK_MAX, &bytes);
    if (!fits) {
        free(net);
        return MLP_TOO_LARGE;
    }
    net->n_parameters = offset;
    net->row_size = size;
    net->chunk = automatic_chunk(net);
    *network = net;
    return MLP_OK;
}

void mlp_network_free(struct mlp_network *network) { free(network); }
size_t mlp_network_n_parameters(const struct mlp_network *network) { return network->n_parameters; }
void mlp_network_set_parameters(struct mlp_network *network, double *parameters)
{
    network->parameters = parameters;
}
void mlp_network_set_chunk(struct mlp_network *network, size_t rows)
{
    network->chunk = rows ? rows : automatic_chunk(network);
}

/* A part of n doubles, its length rounded up so that the next one starts on a cache line too. */
static double *cut(double **next, size_t n)
{
    double *p = *next;
    *next += (n + 7) & ~(size_t)7;
    return p;
}

enum mlp_status mlp_arena_new(struct mlp_arena *arena, const struct mlp_network *net, size_t rows)
{
    const size_t L = net->n_layers;
    if (rows > net->chunk)
        rows = net->chunk;
    memset(arena, 0, sizeof *arena);
    /* Each of the L + 7 parts may be rounded up by 7; the pointers a[] come last. */
    size_t n, extra;
    if (!mlp_size_multiply(rows, net->row_size, &n) || !mlp_size_multiply(L + 7, 8, &extra) ||
        !mlp_size_add(extra, net->kernels->panel_size + L, &extra) || !mlp_size_add(n, extra, &n))
        return MLP_TOO_LARGE;
    double *next = mlp_allocate(n);
    if (next == NULL)
        return MLP_NO_MEMORY;
    arena->block = next;
    arena->rows = rows;
    arena->x = cut(&next, rows * mlp_n_inputs(net));
    arena->y = cut(&next, rows * mlp_n_outputs(net));
    arena->delta[0] = cut(&next, rows * net->max_width);
    arena->delta[1] = cut(&next, rows * net->max_width);
    arena->terms = cut(&next, rows * mlp_n_outputs(net));
    arena->c = cut(&next, rows);
    arena->panel = cut(&next, net->kernels->panel_size);
    double *first = next;
    for (size_t l = 0; l < L; l++)
        cut(&next, rows * net->layers[l].m_out);
    arena->a = (double **)(void *)next;
    for (size_t l = 0; l < L; l++)
        arena->a[l] = cut(&first, rows * net->layers[l].m_out);
    return MLP_OK;
}

void mlp_arena_free(struct mlp_arena *arena)
{
    mlp_release(arena->block);
    arena->block = NULL;
}
