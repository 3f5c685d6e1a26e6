/* input_gradient.c - dC/dx for each instance: delta carried one layer further than training needs it,
 * chunk by chunk. Rows share no sum, so threads take ranges of them. */
#include "network/evaluate.h"
#include "network/layers.h"
#include "network/rows.h"
#include "network/scaling.h"

struct context {
    const struct mlp_network *net;
    const struct mlp_matrix *x, *y, *weights;
    double *out;
};

static void task(const void *context, const struct mlp_arena *arena, size_t begin, size_t end)
{
    const struct context *c = context;
    const struct mlp_network *net = c->net;
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const size_t m_in = mlp_n_inputs(net);
    double *z = arena->a[net->n_layers - 1];
    for (size_t i = begin, rows; i < end; i += rows) {
        rows = end - i < arena->rows ? end - i : arena->rows;
        const double *x = mlp_rows(c->x, NULL, i, rows, arena->x);
        const double *y = mlp_rows(c->y, NULL, i, rows, arena->y);
        mlp_forward(net, 0, rows, x, arena->a, z, arena->panel, 1);
        net->kernels->output(net->loss, net->loss_parameter, last->g, rows, last->m_out, z, y,
                             arena->delta[net->n_layers - 1], arena->terms, arena->c);
        if (c->weights != NULL)
            net->kernels->weigh(rows, last->m_out, mlp_rows(c->weights, NULL, i, rows, arena->s),
                                arena->delta[net->n_layers - 1], arena->c);
        mlp_deltas(net, net->n_layers - 1, 0, 0, rows, arena->a, arena->delta, arena->panel);
        mlp_input_delta(net, rows, arena->delta, c->out + i * m_in, (ptrdiff_t)m_in, arena->panel);
        mlp_unscale_gradient(net, rows, c->out + i * m_in);
    }
}

enum mlp_status mlp_input_gradient(const struct mlp_network *network, const struct mlp_matrix *x,
                                   const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                   size_t n, size_t n_threads, double *gradient)
{
    const double P = (double)network->n_parameters;
    const double work = (double)n * (2.0 * P + MLP_ACTIVATION * (double)network->units);
    struct mlp_matrix inputs, targets;
    const struct context c = {network, mlp_inputs(network, x, &inputs),
                              mlp_targets(network, y, &targets), weights, gradient};
    return mlp_run_rows(network, MLP_TRAIN, n, work, n_threads, task, &c);
}
