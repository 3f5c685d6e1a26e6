/* outputs.c - see outputs.h. */
#include "network/outputs.h"

#include "network/layers.h"
#include "network/scaling.h"

#include <math.h>
#include <string.h>

/* What is missing is taken out of one instance, if anything is. */
static void leave_out(enum mlp_activation g, size_t m, const double *y, double *delta,
                      double *terms, double *c)
{
    size_t missing = 0;
    for (size_t j = 0; j < m; j++)
        missing += isnan(y[j]) != 0;
    if (missing == 0)
        return;
    if (missing == m || g == MLP_SOFTMAX) {
        memset(delta, 0, m * sizeof *delta);
        *c = 0.0;
        return;
    }
    double sum = 0.0;
    for (size_t j = 0; j < m; j++) {
        if (isnan(y[j]))
            delta[j] = 0.0;
        else
            sum += terms[j];
    }
    *c = sum;
}

void mlp_output_gaps(const struct mlp_network *net, enum mlp_activation g, size_t rows, double *z,
                     const double *y, double *delta, double *terms, double *c)
{
    const size_t m = mlp_n_outputs(net);
    net->kernels->output(net->loss, net->loss_parameter, g, rows, m, z, y, delta, terms, c);
    for (size_t i = 0; i < rows; i++)
        leave_out(g, m, y + i * m, delta + i * m, terms + i * m, c + i);
}

static void slopes(const struct mlp_network *net, size_t rows, double *z, const double *e,
                   double *delta, double *terms, double *c)
{
    const enum mlp_activation g = net->layers[net->n_layers - 1].g;
    const size_t m = mlp_n_outputs(net);
    const double *derivable = mlp_output_activate(net, rows, z, terms);
    memcpy(delta, e, rows * m * sizeof *delta);
    if (mlp_scales_outputs(net)) {
        const double *scale = mlp_output_scaling(net) + m;
        for (size_t i = 0; i < rows * m; i++)
            delta[i] *= scale[i % m];
    }
    if (g == MLP_SOFTMAX)
        net->kernels->softmax_delta(rows, m, z, delta);
    else
        net->kernels->multiply_derivative(g, rows * m, derivable, delta);
    memset(c, 0, rows * sizeof *c);
}

void mlp_output_apart(const struct mlp_network *net, enum mlp_kind kind, size_t rows, double *z,
                      const double *y, double *delta, double *terms, double *c)
{
    if (kind == MLP_SLOPES)
        slopes(net, rows, z, y, delta, terms, c);
    else
        mlp_output_gaps(net, net->layers[net->n_layers - 1].g, rows, z, y, delta, terms, c);
}
