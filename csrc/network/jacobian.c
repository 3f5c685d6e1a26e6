/* jacobian.c - derivatives of the outputs by the parameters or the inputs.
 *
 * There is one backward pass for each output, from delta^(L) = da_k/dz. */
#include "network/arena.h"
#include "network/layers.h"
#include "network/memory.h"
#include "network/rows.h"
#include "network/scaling.h"

#include <string.h>

/* Instances at a time: enough to spread the cost of a product's call. */
#define ROWS ((size_t)64)

/* What the derivatives of some instances need. */
struct context {
    const struct mlp_network *net;
    struct mlp_arena arena;
    double *rows; /* (ROWS, row) of parameters' derivatives, NULL for those by the inputs */
    size_t row;
};

static void derive(const struct context *c, size_t rows, const double *x, double *out)
{
    const struct mlp_network *net = c->net;
    const struct mlp_shape shape = mlp_shape_of(net);
    const size_t L = net->n_layers, m = mlp_n_outputs(net), P = net->n_parameters;
    const size_t m_in = mlp_n_inputs(net);
    double *const *a = c->arena.a, *const *delta = c->arena.delta;
    mlp_forward(net, 0, rows, x, a, a[L - 1], c->arena.panel, 1);
    const double *derivable = mlp_output_activate(net, rows, a[L - 1], c->arena.terms);
    for (size_t k = 0; k < m; k++) {
        mlp_output_deltas(net, rows, k, a[L - 1], derivable, delta[L - 1]);
        mlp_deltas(net, L - 1, 0, 0, rows, a, delta, c->arena.panel);
        if (c->rows == NULL) {
            mlp_input_delta(net, rows, delta, out + k * m_in, (ptrdiff_t)(m * m_in),
                            c->arena.panel);
            continue;
        }
        net->kernels->jacobian(&shape, 0, rows, x, a, delta, c->rows, c->row);
        for (size_t i = 0; i < rows; i++)
            memcpy(out + (i * m + k) * P, c->rows + i * c->row, P * sizeof *out);
    }
}

enum mlp_status mlp_jacobian(const struct mlp_network *network, const struct mlp_matrix *x,
                             size_t n, int inputs, double *out)
{
    const size_t rows = n < ROWS ? n : ROWS, m = mlp_n_outputs(network);
    const size_t columns = inputs ? mlp_n_inputs(network) : network->n_parameters;
    size_t size = 0;
    struct context c = {.net = network, .row = network->n_parameters + 7};
    if (n == 0)
        return MLP_OK;
    if (!inputs && !mlp_size_multiply(rows, c.row, &size))
        return MLP_TOO_LARGE;
    const enum mlp_status status = mlp_arenas_new(&c.arena, 1, network, MLP_TRAIN, rows, rows, 0);
    if (status != MLP_OK)
        return status;
    if (!inputs && (c.rows = mlp_allocate(size)) == NULL) {
        mlp_arenas_free(&c.arena);
        return MLP_NO_MEMORY;
    }
    struct mlp_matrix own;
    x = mlp_inputs(network, x, &own);
    const uint64_t saved = mlp_fp_enter();
    for (size_t i = 0, count; i < n; i += count) {
        count = n - i < rows ? n - i : rows;
        derive(&c, count, mlp_rows(x, NULL, i, count, c.arena.x), out + i * m * columns);
        mlp_unscale_jacobian(network, count, columns, inputs, out + i * m * columns);
    }
    mlp_fp_leave(saved);
    mlp_release(c.rows);
    mlp_arenas_free(&c.arena);
    return MLP_OK;
}
