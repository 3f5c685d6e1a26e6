/* input_gradient.c - dC/dx for each instance: delta carried one layer further than training needs it,
 * chunk by chunk. Rows share no sum, so threads take ranges of them. */
#include "internal.h"

#include <stdlib.h>

struct context {
    const struct mlp_network *net;
    const struct mlp_matrix *x, *y;
    size_t n, parts;
    double *out;
    struct mlp_arena *arenas; /* (threads,) */
};

static void task(void *context, size_t thread, size_t part)
{
    const struct context *c = context;
    const struct mlp_network *net = c->net;
    const struct mlp_layer *first = &net->layers[0], *last = &net->layers[net->n_layers - 1];
    const struct mlp_arena *arena = &c->arenas[thread];
    const size_t end = mlp_part(c->n, c->parts, part + 1);
    double *z = arena->a[net->n_layers - 1];
    for (size_t i = mlp_part(c->n, c->parts, part), rows; i < end; i += rows) {
        rows = end - i < arena->rows ? end - i : arena->rows;
        const double *x = mlp_rows(c->x, NULL, i, rows, arena->x);
        const double *y = mlp_rows(c->y, NULL, i, rows, arena->y);
        mlp_forward(net, 0, rows, x, arena->a, z, arena->panel, 1);
        net->kernels->output(net->loss, net->loss_parameter, last->g, rows, last->m_out, z, y,
                             arena->delta[net->n_layers - 1], arena->terms, arena->c);
        mlp_deltas(net, net->n_layers - 1, 0, 0, rows, arena->a, arena->delta, arena->panel);
        /* dC/dx (rows, m^(0)) <- delta^(1) (rows, m^(1)) w^(1)T */
        net->kernels->product(rows, first->m_in, first->m_out, arena->delta[0],
                              (ptrdiff_t)first->m_out, 1, net->parameters + first->offset, 1,
                              (ptrdiff_t)first->m_out, NULL, 0, c->out + i * first->m_in,
                              (ptrdiff_t)first->m_in, NULL, arena->panel);
    }
}

enum mlp_status mlp_input_gradient(const struct mlp_network *network, const struct mlp_matrix *x,
                                   const struct mlp_matrix *y, size_t n, size_t n_threads,
                                   double *gradient)
{
    const double P = (double)network->n_parameters;
    const double work = (double)n * (2.0 * P + 50.0 * (double)network->units);
    struct mlp_team team = {.n_threads = 1};
    if (work >= 2.0 * network->grain)
        mlp_team_open(&team, n_threads);
    const size_t threads = mlp_team_size(&team, network, work);
    /* Two parts a thread even out a little of what the threads differ by. */
    struct mlp_arena alone;
    struct context c = {network, x, y, n, threads > 1 ? 2 * threads : 1, gradient, &alone};
    const size_t rows = mlp_chunk_rows(network, 1, n / c.parts + 8 < n ? n / c.parts + 8 : n);
    enum mlp_status status = MLP_NO_MEMORY;
    if (threads == 1 || (c.arenas = calloc(threads, sizeof *c.arenas)) != NULL)
        status = mlp_arenas_new(c.arenas, threads, network, MLP_TRAIN, rows, rows);
    if (status == MLP_OK) {
        const uint64_t saved = mlp_fp_enter();
        mlp_team_run(&team, threads, c.parts, task, &c);
        mlp_fp_leave(saved);
        mlp_arenas_free(c.arenas);
    }
    if (c.arenas != &alone)
        free(c.arenas);
    mlp_team_close(&team);
    return status;
}
