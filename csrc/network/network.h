/* network.h - the network: how its parameters lie, and what its layers are.
 *
 * It knows neither the memory of a call (arena.h) nor threads; its formulas are in layers.h. */
#ifndef MLP_NETWORK_H
#define MLP_NETWORK_H

#include "kernels/kernels.h"
#include "mlp.h"

/* Instances that a chunk has at most: sizes of the arrays for so many do not overflow. More gain nothing,
 * as the cost of a chunk's calls is spread enough. */
#define MLP_CHUNK_MAX ((size_t)2048)

struct mlp_network {
    const struct mlp_kernels *kernels;
    double *parameters;    /* (P,), the caller's */
    size_t n_parameters;   /* P */
    size_t n_layers;       /* L */
    size_t units;          /* m^(1) + ... + m^(L) */
    size_t max_width;      /* max m^(l), l = 1..L */
    size_t chunk;          /* instances per chunk and thread; 0: mlp_chunk_rows chooses */
    double grain;          /* multiply-adds that a thread must have to itself to be worth waking */
    int (*poll)(void);     /* see mlp_network_set_poll */
    const double *scaling; /* the caller's, or NULL: see scaling.h */
    enum mlp_loss loss;
    double loss_parameter;     /* of the losses that have one */
    size_t second;             /* units of the hidden layers that keep g'(z) */
    size_t carried;            /* the widest layer that is skipped; 0: there is none */
    struct mlp_layer layers[]; /* layers[l-1] is layer l */
};

static inline size_t mlp_n_inputs(const struct mlp_network *net) { return net->layers[0].m_in; }
static inline size_t mlp_n_outputs(const struct mlp_network *net)
{
    return net->layers[net->n_layers - 1].m_out;
}

/* Hidden layers drop units from now on, with these probabilities (L - 1,). */
void mlp_network_set_dropout(struct mlp_network *network, const double *dropout);
/* A copy of the network with other parameters, for mlp_network_free; NULL when there is no memory. */
struct mlp_network *mlp_network_twin(const struct mlp_network *net, double *parameters);

/* What kernels know of the network. */
static inline struct mlp_shape mlp_shape_of(const struct mlp_network *net)
{
    return (struct mlp_shape){net->layers, net->n_layers, net->max_width, net->loss,
                              net->loss_parameter};
}

#endif
