/* network.c - how the parameters lie, and what follows from the kinds of the layers.
 *
 * A network holds no memory but its own struct: the parameters are the caller's. */
#include "network/network.h"

#include "network/memory.h"

#include <stdlib.h>
#include <string.h>

/* Multiply-adds, 8 to 12 us on one thread, that are worth a barrier and the lines that another core
 * holds: where the two share a cache a step of 32 on 4-64-64-2 gains 18 % from half of that, and
 * where they do not (a barrier of 200 instead of 30 ns) it takes twice as long. */
#define GRAIN 4e5
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
    /* At least what an instance takes of an arena, whatever is set later: 4 arrays of all units, y, terms. */
    size_t size = 0;
    const size_t m = layers[n_layers];
    fits = fits && mlp_size_multiply(units, 4, &size) && mlp_size_add(size, m, &size) &&
           mlp_size_add(size, m, &size) && mlp_size_add(size, 2, &size) &&
           mlp_size_multiply(offset, sizeof(double), &bytes) && bytes <= PTRDIFF_MAX &&
           mlp_size_multiply(size, sizeof(double) * MLP_CHUNK_MAX, &bytes);
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
void mlp_network_set_scaling(struct mlp_network *network, const double *scaling)
{
    network->scaling = scaling;
}
void mlp_network_set_tuning(struct mlp_network *network, size_t chunk, double grain)
{
    network->chunk = chunk;
    network->grain = grain > 0.0 ? grain : GRAIN;
}
void mlp_network_set_poll(struct mlp_network *network, int (*poll)(void)) { network->poll = poll; }
void mlp_network_set_kernels(struct mlp_network *network, const struct mlp_kernels *kernels)
{
    network->kernels = kernels;
}
