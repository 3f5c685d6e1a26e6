/* arena.c - how much a chunk of instances takes, and how large chunks are.
 *
 * All arenas of a call are one block of memory. The sizes of chunks and ranges are measured; no result
 * depends on the former, and the latter is a function of n and P alone. */
#include "network/arena.h"

#include "network/memory.h"
#include "network/threads.h"

#include <stdlib.h>
#include <string.h>

/* Activations and deltas of a chunk should stay in a 1 MB L2 cache, beside the weights' panels: half
 * of it for them. */
#define CHUNK_BYTES ((size_t)512 * 1024)
/* Each chunk reads (and packs) all weights once, and adds to all of the gradient: this many instances
 * make that cheap beside the products: prediction with 784-2048-2048-10 on one thread takes 280 ms with
 * 64 of them, 229 with 128, 212 with 256 and 206 with 512. */
#define CHUNK_MIN 256
/* Layers of many thousands of units get by on fewer than CHUNK_MIN: a fit must not take more than
 * 50 MB beside the data and the parameters' copies. */
#define CHUNK_MAX_BYTES ((size_t)32 << 20)
/* Doubles per instance: x, every a and delta, what is kept of g'(z), what skips carry, y, the cost's
 * terms, their sum and the instance's weight. mlp_network_new has seen to it that MLP_CHUNK_MAX times as
 * many do not overflow. Of CSR instances x is not here. */
static size_t row_size(const struct mlp_network *net, size_t room)
{
    return (room > 0 ? 0 : mlp_n_inputs(net)) + 2 * net->units + net->second + net->carried +
           2 * mlp_n_outputs(net) + 2;
}

size_t mlp_chunk_rows(const struct mlp_network *net, size_t room, size_t n_threads, size_t n)
{
    size_t rows = net->chunk;
    if (rows == 0) {
        rows = CHUNK_BYTES / sizeof(double) / row_size(net, room);
        rows = (rows < CHUNK_MIN ? CHUNK_MIN : rows) * n_threads;
        rows = rows > MLP_CHUNK_MAX ? MLP_CHUNK_MAX : rows;
        const size_t most = CHUNK_MAX_BYTES / sizeof(double) / row_size(net, room);
        rows = rows < most ? rows : most < 8 ? 8 : most;
    }
    return rows < n ? rows : n;
}

/* Ranges only where their gradients fit in 4 MB, a part of the last-level cache, and are long
 * enough (64 rows) for adding them up to be cheap. */
#define RANGES_BYTES ((size_t)4 << 20)
#define RANGES_MIN_ROWS 4096

size_t mlp_n_ranges(const struct mlp_network *net, size_t n)
{
    const size_t largest = RANGES_BYTES / (MLP_RANGES * sizeof(double));
    return n >= RANGES_MIN_ROWS && net->n_parameters <= largest ? MLP_RANGES : 1;
}

size_t mlp_online_scratch(const struct mlp_network *net)
{
    /* Two deltas, the cost's terms, the gradient of a layer with less than 8 units, and every a. */
    const size_t width = mlp_padded(net->max_width);
    size_t n = 2 * width + mlp_padded(mlp_n_outputs(net)) + 8 * (width + 1);
    for (size_t l = 0; l < net->n_layers; l++)
        n += mlp_padded(net->layers[l].m_out);
    return n;
}

/* Doubles of panel for the products of a chunk. */
static size_t panel_size(const struct mlp_network *net, enum mlp_purpose purpose, size_t rows)
{
    size_t most = 0;
    for (size_t l = 0; l < net->n_layers; l++) {
        const size_t m_in = net->layers[l].m_in, m_out = net->layers[l].m_out;
        const size_t stride = m_in > m_out ? m_in : m_out;
        size_t sizes[3] = {net->kernels->panel_size(rows, m_out, m_in, stride), 0, 0};
        if (purpose == MLP_TRAIN) {
            sizes[1] = net->kernels->panel_size(rows, m_in, m_out, stride);
            sizes[2] = net->kernels->panel_size(stride, stride, rows, stride);
        }
        for (size_t i = 0; i < 3; i++)
            most = sizes[i] > most ? sizes[i] : most;
    }
    return most;
}

/* Places for the starts of the lists of all columns, with two more for each part. */
static size_t starts_size(const struct mlp_network *net)
{
    return mlp_n_inputs(net) + 2 * MLP_MAX_THREADS;
}

/* Doubles of an arena for `rows` instances, with so long a panel: 0 when they overflow. */
static size_t arena_size(const struct mlp_network *net, enum mlp_purpose purpose, size_t rows,
                         size_t panel, size_t room)
{
    const size_t L = net->n_layers, m0 = mlp_n_inputs(net);
    /* Each of the 3 L + 13 parts may be rounded up by 7. (A second run of arena_cut() would count them
     * exactly, and take 70 ns of a call of 500 that evaluates ten rows of 2-2-1.) */
    const size_t scratch = purpose == MLP_TRAIN ? mlp_online_scratch(net) : 0;
    const size_t per_row =
        purpose == MLP_TRAIN ? row_size(net, room) : (room > 0 ? 0 : m0) + 2 * net->max_width;
    size_t n, extra, lists = 0;
    if (room > 0 && purpose == MLP_TRAIN &&
        (!mlp_size_multiply(room, 2, &lists) || !mlp_size_add(lists, starts_size(net), &lists)))
        return 0;
    if (!mlp_size_multiply(rows, per_row, &n) || !mlp_size_multiply(3 * L + 13, 8, &extra) ||
        !mlp_size_add(extra, lists, &extra) || !mlp_size_add(extra, panel + 3 * L + 1, &extra) ||
        !mlp_size_add(extra, scratch, &extra) || !mlp_size_add(n, extra, &n))
        return 0;
    return mlp_padded(n);
}

static void arena_cut(struct mlp_arena *arena, const struct mlp_network *net,
                      enum mlp_purpose purpose, size_t rows, size_t panel, size_t room,
                      double *block)
{
    const size_t L = net->n_layers, m = mlp_n_outputs(net);
    struct mlp_cutter c = {.next = block};
    arena->rows = rows;
    arena->panel = mlp_cut(&c, panel, 1);
    arena->a = (double **)(void *)mlp_cut(&c, 2, L);
    for (size_t l = L; l < 2 * L; l++)
        arena->a[l] = NULL;
    arena->delta = (double **)(void *)mlp_cut(&c, L + 1, 1);
    arena->delta[L] = NULL;
    arena->room = room;
    if (room == 0)
        arena->x = mlp_cut(&c, rows, mlp_n_inputs(net));
    if (room > 0 && purpose == MLP_TRAIN) {
        arena->starts = (int64_t *)(void *)mlp_cut(&c, starts_size(net), 1);
        arena->values = mlp_cut(&c, room, 1);
        arena->places = (uint32_t *)(void *)mlp_cut(&c, room / 2 + 1, 1);
    }
    if (purpose == MLP_FORWARD) {
        double *even = mlp_cut(&c, rows, net->max_width), *odd = mlp_cut(&c, rows, net->max_width);
        for (size_t l = 0; l < L; l++)
            arena->a[l] = l % 2 ? odd : even;
        return;
    }
    arena->y = mlp_cut(&c, rows, m);
    arena->terms = mlp_cut(&c, rows, m);
    arena->c = mlp_cut(&c, rows, 1);
    arena->s = mlp_cut(&c, rows, 1);
    if (net->carried > 0)
        arena->delta[L] = mlp_cut(&c, rows, net->carried);
    arena->scratch = mlp_cut(&c, mlp_online_scratch(net), 1);
    for (size_t l = 0; l < L; l++) {
        arena->a[l] = mlp_cut(&c, rows, net->layers[l].m_out);
        arena->delta[l] = mlp_cut(&c, rows, net->layers[l].m_out);
        if (l + 1 < L && mlp_layer_keeps(&net->layers[l]))
            arena->a[L + l] = mlp_cut(&c, rows, net->layers[l].m_out);
    }
}

/* One block, which the C library keeps for the next call: of several it would give the last ones back
 * to the system each time (2,000 rows of 64-128-10 on two threads: 370 us instead of 230). */
enum mlp_status mlp_arenas_new(struct mlp_arena *arenas, size_t n, const struct mlp_network *net,
                               enum mlp_purpose purpose, size_t first, size_t rows, size_t room)
{
    const size_t panel = panel_size(net, purpose, rows > first ? rows : first);
    const size_t large = arena_size(net, purpose, first, panel, room);
    const size_t small = arena_size(net, purpose, rows, panel, room);
    size_t total;
    memset(arenas, 0, n * sizeof *arenas);
    if (large == 0 || small == 0 || !mlp_size_multiply(n - 1, small, &total) ||
        !mlp_size_add(total, large, &total))
        return MLP_TOO_LARGE;
    double *const block = mlp_allocate(total);
    if (block == NULL)
        return MLP_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        arena_cut(&arenas[i], net, purpose, i ? rows : first, panel, room,
                  block + (i ? large + (i - 1) * small : 0));
    arenas[0].block = block;
    return MLP_OK;
}

void mlp_arenas_free(struct mlp_arena *arenas)
{
    mlp_release(arenas->block);
    arenas->block = NULL;
}

enum mlp_status mlp_workspace_new(struct mlp_workspace *space, const struct mlp_network *net,
                                  size_t n_threads, size_t batch, size_t n, int with_gradient,
                                  size_t room)
{
    /* Threads share the chunks of a single chain, and have chunks of their own in ranges. */
    if (n_threads > MLP_MAX_THREADS)
        n_threads = MLP_MAX_THREADS;
    /* A chunk for several threads only where a batch fills it: of 784-512-512-10 it takes 12 MB, whose pages
     * cost a fit of 4 batches of 128 8 % of its time. */
    const size_t batches = mlp_chunk_rows(net, room, n_threads, batch);
    const size_t one = mlp_chunk_rows(net, room, 1, n), shared = batches > one ? batches : one;
    memset(space, 0, sizeof *space);
    space->arenas = calloc(n_threads, sizeof *space->arenas);
    if (space->arenas == NULL)
        return MLP_NO_MEMORY;
    space->n_threads = n_threads;
    enum mlp_status status = mlp_arenas_new(space->arenas, n_threads, net, MLP_TRAIN, shared,
                                            mlp_n_ranges(net, n) > 1 ? one : 0, room);
    if (status == MLP_OK && with_gradient && mlp_n_ranges(net, batch) > 1) {
        space->partial = mlp_allocate(MLP_RANGES * net->n_parameters);
        status = space->partial == NULL ? MLP_NO_MEMORY : MLP_OK;
    }
    if (status != MLP_OK)
        mlp_workspace_free(space);
    return status;
}

void mlp_workspace_free(struct mlp_workspace *space)
{
    if (space->arenas != NULL)
        mlp_arenas_free(space->arenas);
    free(space->arenas);
    mlp_release(space->partial);
    memset(space, 0, sizeof *space);
}
