/* network.c - sizes, layout and memory: how the parameters lie, and how much a chunk of instances
 * needs. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* madvise */
#include <sys/mman.h>
#endif

#include "network/network.h"

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

/* From this size on Linux is asked for pages of 2 MB, which take fewer faults and less of the TLB: a
 * step of 256 on 784-2048-2048-10 in a fresh fit 10 % faster. As large as NumPy's threshold. */
#define HUGE_BYTES ((size_t)4 << 20)
#define HUGE_PAGE ((size_t)2 << 20)

/* The pointer that malloc returned is kept just before the block. */
double *mlp_allocate(size_t n)
{
    size_t bytes, total;
    if (!mlp_size_multiply(n, sizeof(double), &bytes))
        return NULL;
    const size_t line = bytes < HUGE_BYTES ? 64 : HUGE_PAGE;
    if (!mlp_size_add(bytes, line + sizeof(void *), &total))
        return NULL;
    char *raw = malloc(total);
    if (raw == NULL)
        return NULL;
    char *aligned = raw + line + sizeof raw;
    aligned -= (uintptr_t)aligned % line;
#if defined(MADV_HUGEPAGE)
    if (line == HUGE_PAGE)
        (void)madvise(aligned, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a hint */
#endif
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

/* Activations and deltas of a chunk should stay in a 1 MB L2 cache, beside the weights' panels: half
 * of it for them. */
#define CHUNK_BYTES ((size_t)512 * 1024)
/* Each chunk reads (and packs) all weights once, and adds to all of the gradient: this many instances
 * make that cheap beside the products: prediction with 784-2048-2048-10 on one thread takes 280 ms with
 * 64 of them, 229 with 128, 212 with 256 and 206 with 512. */
#define CHUNK_MIN 256
/* More instances than this gain nothing, as the cost of a chunk's calls is spread enough. */
#define CHUNK_MAX 2048
/* Layers of many thousands of units get by on fewer than CHUNK_MIN: a fit must not take more than
 * 50 MB beside the data and the parameters' copies. */
#define CHUNK_MAX_BYTES ((size_t)32 << 20)
/* Multiply-adds, 8 to 12 us on one thread, that are worth a barrier and the lines that another core
 * holds: where the two share a cache a step of 32 on 4-64-64-2 gains 18 % from half of that, and
 * where they do not (a barrier of 200 instead of 30 ns) it takes twice as long. */
#define GRAIN 4e5
/* The part of it from which a fit tries another thread. */
#define MEASURED 0.25

/* Doubles per instance: x, every a and delta, what is kept of g'(z), what skips carry, y, the cost's
 * terms, their sum and the instance's weight. mlp_network_new has seen to it that CHUNK_MAX times as
 * many do not overflow. */
static size_t row_size(const struct mlp_network *net)
{
    return mlp_n_inputs(net) + 2 * net->units + net->second + net->carried +
           2 * mlp_n_outputs(net) + 2;
}

/* What the layers' kinds imply: units that keep g'(z), and the widest layer that is skipped. */
static void note_layers(struct mlp_network *net)
{
    net->second = net->carried = 0;
    for (size_t l = 0; l + 1 < net->n_layers; l++) {
        const struct mlp_layer *layer = &net->layers[l];
        if (mlp_layer_keeps(layer))
            net->second += layer->m_out;
        if (layer->skip && layer->m_out > net->carried)
            net->carried = layer->m_out;
    }
}

size_t mlp_chunk_rows(const struct mlp_network *net, size_t n_threads, size_t n)
{
    size_t rows = net->chunk;
    if (rows == 0) {
        rows = CHUNK_BYTES / sizeof(double) / row_size(net);
        rows = (rows < CHUNK_MIN ? CHUNK_MIN : rows) * n_threads;
        rows = rows > CHUNK_MAX ? CHUNK_MAX : rows;
        const size_t most = CHUNK_MAX_BYTES / sizeof(double) / row_size(net);
        rows = rows < most ? rows : most < 8 ? 8 : most;
    }
    return rows < n ? rows : n;
}

size_t mlp_team_size(const struct mlp_team *team, const struct mlp_network *net, double work)
{
    const double n = work / (team->measured ? MEASURED * net->grain : net->grain);
    return n >= (double)team->n_threads ? team->n_threads : n < 2.0 ? 1 : (size_t)n;
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
        *layer = (struct mlp_layer){
            .m_in = layers[l], .m_out = layers[l + 1], .offset = offset, .g = activations[l]};
        size_t n;
        fits = mlp_size_multiply(layer->m_in, layer->m_out, &n) &&
               mlp_size_add(n, layer->m_out, &n) && mlp_size_add(offset, n, &offset) &&
               mlp_size_add(units, layer->m_out, &units);
        if (layer->m_out > net->max_width)
            net->max_width = layer->m_out;
    }
    /* At least what row_size computes, whatever is set later: 4 arrays of all units, y, terms. */
    size_t size = 0;
    const size_t m = layers[n_layers];
    fits = fits && mlp_size_multiply(units, 4, &size) && mlp_size_add(size, m, &size) &&
           mlp_size_add(size, m, &size) && mlp_size_add(size, 2, &size) &&
           mlp_size_multiply(offset, sizeof(double), &bytes) && bytes <= PTRDIFF_MAX &&
           mlp_size_multiply(size, sizeof(double) * CHUNK_MAX, &bytes);
    if (!fits) {
        free(net);
        return MLP_TOO_LARGE;
    }
    net->n_parameters = offset;
    net->units = units - layers[0];
    note_layers(net);
    net->grain = GRAIN;
    net->loss_parameter = loss == MLP_QUANTILE ? 0.5 : 1.0;
    *network = net;
    return MLP_OK;
}

struct mlp_network *mlp_network_twin(const struct mlp_network *net, double *parameters)
{
    const size_t bytes = sizeof *net + net->n_layers * sizeof net->layers[0];
    struct mlp_network *twin = malloc(bytes);
    if (twin == NULL)
        return NULL;
    memcpy(twin, net, bytes);
    twin->parameters = parameters;
    return twin;
}

void mlp_network_free(struct mlp_network *network) { free(network); }
size_t mlp_network_n_parameters(const struct mlp_network *network) { return network->n_parameters; }
void mlp_network_set_loss_parameter(struct mlp_network *network, double parameter)
{
    network->loss_parameter = parameter;
}
size_t mlp_network_set_residual(struct mlp_network *network)
{
    size_t n = 0;
    for (size_t l = 0; l + 1 < network->n_layers; l++) {
        struct mlp_layer *layer = &network->layers[l];
        layer->skip = layer->m_in == layer->m_out;
        n += layer->skip ? 1 : 0;
    }
    note_layers(network);
    return n;
}
void mlp_network_set_dropout(struct mlp_network *network, const double *dropout)
{
    for (size_t l = 0; l + 1 < network->n_layers; l++)
        network->layers[l].drop = dropout[l];
    note_layers(network);
}
void mlp_network_set_parameters(struct mlp_network *network, double *parameters)
{
    network->parameters = parameters;
}
void mlp_network_set_tuning(struct mlp_network *network, size_t chunk, double grain)
{
    network->chunk = chunk;
    network->grain = grain > 0.0 ? grain : GRAIN;
}

/* A part of n doubles. */
static double *cut(double **next, size_t n)
{
    double *p = *next;
    *next += mlp_padded(n);
    return p;
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

/* Doubles of an arena for `rows` instances, with so long a panel: 0 when they overflow. */
static size_t arena_size(const struct mlp_network *net, enum mlp_purpose purpose, size_t rows,
                         size_t panel)
{
    const size_t L = net->n_layers;
    /* Each of the 3 L + 10 parts may be rounded up by 7. */
    const size_t scratch = purpose == MLP_TRAIN ? mlp_online_scratch(net) : 0;
    const size_t per_row =
        purpose == MLP_TRAIN ? row_size(net) : mlp_n_inputs(net) + 2 * net->max_width;
    size_t n, extra;
    if (!mlp_size_multiply(rows, per_row, &n) || !mlp_size_multiply(3 * L + 10, 8, &extra) ||
        !mlp_size_add(extra, panel + 3 * L + 1, &extra) || !mlp_size_add(extra, scratch, &extra) ||
        !mlp_size_add(n, extra, &n))
        return 0;
    return mlp_padded(n);
}

static void arena_cut(struct mlp_arena *arena, const struct mlp_network *net,
                      enum mlp_purpose purpose, size_t rows, size_t panel, double *next)
{
    const size_t L = net->n_layers, m = mlp_n_outputs(net);
    arena->rows = rows;
    arena->panel = cut(&next, panel);
    arena->a = (double **)(void *)cut(&next, 2 * L);
    for (size_t l = L; l < 2 * L; l++)
        arena->a[l] = NULL;
    arena->delta = (double **)(void *)cut(&next, L + 1);
    arena->delta[L] = NULL;
    arena->x = cut(&next, rows * mlp_n_inputs(net));
    if (purpose == MLP_FORWARD) {
        double *const turns[2] = {cut(&next, rows * net->max_width),
                                  cut(&next, rows * net->max_width)};
        for (size_t l = 0; l < L; l++)
            arena->a[l] = turns[l % 2];
        return;
    }
    arena->y = cut(&next, rows * m);
    arena->terms = cut(&next, rows * m);
    arena->c = cut(&next, rows);
    arena->s = cut(&next, rows);
    if (net->carried > 0)
        arena->delta[L] = cut(&next, rows * net->carried);
    arena->scratch = cut(&next, mlp_online_scratch(net));
    for (size_t l = 0; l < L; l++) {
        arena->a[l] = cut(&next, rows * net->layers[l].m_out);
        arena->delta[l] = cut(&next, rows * net->layers[l].m_out);
        if (l + 1 < L && mlp_layer_keeps(&net->layers[l]))
            arena->a[L + l] = cut(&next, rows * net->layers[l].m_out);
    }
}

/* One block, which the C library keeps for the next call: of several it would give the last ones back
 * to the system each time (2,000 rows of 64-128-10 on two threads: 370 us instead of 230). */
enum mlp_status mlp_arenas_new(struct mlp_arena *arenas, size_t n, const struct mlp_network *net,
                               enum mlp_purpose purpose, size_t first, size_t rows)
{
    const size_t panel = panel_size(net, purpose, rows > first ? rows : first);
    const size_t large = arena_size(net, purpose, first, panel);
    const size_t small = arena_size(net, purpose, rows, panel);
    size_t total;
    memset(arenas, 0, n * sizeof *arenas);
    if (large == 0 || small == 0 || !mlp_size_multiply(n - 1, small, &total) ||
        !mlp_size_add(total, large, &total))
        return MLP_TOO_LARGE;
    double *const block = mlp_allocate(total);
    if (block == NULL)
        return MLP_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        arena_cut(&arenas[i], net, purpose, i ? rows : first, panel,
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
                                  size_t n_threads, size_t batch, size_t n, int with_gradient)
{
    /* Threads share the chunks of a single chain, and have chunks of their own in ranges. */
    if (n_threads > MLP_MAX_THREADS)
        n_threads = MLP_MAX_THREADS;
    const size_t own = mlp_n_ranges(net, n) > 1 ? mlp_chunk_rows(net, 1, n) : 0;
    const size_t shared = mlp_chunk_rows(net, n_threads, n);
    memset(space, 0, sizeof *space);
    space->arenas = calloc(n_threads, sizeof *space->arenas);
    if (space->arenas == NULL)
        return MLP_NO_MEMORY;
    space->n_threads = n_threads;
    enum mlp_status status = mlp_arenas_new(space->arenas, n_threads, net, MLP_TRAIN, shared, own);
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
