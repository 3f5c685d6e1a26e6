/* predict.c - predictions that cost little beside their arithmetic: one instance through a stack
 * buffer, and the predictor, which allocates once and is called as a plain function pointer. */
#include "network/arena.h"
#include "network/evaluate.h"
#include "network/layers.h"
#include "network/memory.h"
#include "network/scaling.h"

#include <math.h>
#include <stdlib.h>

/* Units of the widest layer up to which one instance's activations live on the stack: 4 KB, a page.
 * Beyond, a row takes so long (32 K multiply-adds and more) that memory costs under 1 %. */
#define ROW_WIDTH 256

static int is_small(const struct mlp_network *net) { return net->max_width <= ROW_WIDTH; }

/* y <- a^(L) of one instance of a small network: a^(l) in two halves of a buffer that take turns. One
 * row needs no panel. Where more than ROW_WIDTH inputs are scaled, `wide` (m^(0),) is for them. Cannot
 * fail. */
static void predict_row(const struct mlp_network *net, const double *x, double *y, double *wide)
{
    double a[2][ROW_WIDTH];
    const uint64_t saved = mlp_fp_enter();
    const double *previous = x;
    if (mlp_scales_inputs(net)) {
        double *own = mlp_n_inputs(net) > ROW_WIDTH ? wide : a[1]; /* free until layer 2 */
        mlp_scale_row(net, x, own);
        previous = own;
    }
    for (size_t l = 0; l < net->n_layers; l++) {
        double *z = l + 1 < net->n_layers ? a[l % 2] : y;
        mlp_layer_forward(net, l, 1, previous, 0, net->layers[l].m_out, z, NULL, NULL, 0);
        mlp_layer_skip(net, l, 1, previous, 0, net->layers[l].m_out, z);
        previous = z;
    }
    if (mlp_scales_outputs(net))
        mlp_unscale_outputs(net, 1, y);
    mlp_fp_leave(saved);
}

static struct mlp_matrix rows_of(const struct mlp_network *net, const double *x)
{
    const size_t m = mlp_n_inputs(net), size = sizeof(double);
    return (struct mlp_matrix){.data = (const char *)x,
                               .row_stride = (ptrdiff_t)(m * size),
                               .column_stride = (ptrdiff_t)size,
                               .columns = m,
                               .dtype = MLP_FLOAT64};
}

enum mlp_status mlp_predict_row(const struct mlp_network *network, const double *x, double *out)
{
    if (is_small(network) && (!mlp_scales_inputs(network) || mlp_n_inputs(network) <= ROW_WIDTH)) {
        predict_row(network, x, out, NULL);
        return MLP_OK;
    }
    const struct mlp_matrix matrix = rows_of(network, x);
    return mlp_predict(network, &matrix, 1, 0, 1, out);
}

struct mlp_predictor {
    struct mlp_network *net; /* a copy, which shares the parameters */
    size_t n;
    struct mlp_arena arena; /* empty where predict_row does */
    double *wide;           /* of predict_row */
    void *owner;
};

enum mlp_status mlp_predictor_new(struct mlp_predictor **predictor,
                                  const struct mlp_network *network, size_t n, void *owner)
{
    struct mlp_predictor *p = calloc(1, sizeof *p);
    struct mlp_network *net = mlp_network_twin(network, network->parameters);
    enum mlp_status status = p != NULL && net != NULL ? MLP_OK : MLP_NO_MEMORY;
    if (status == MLP_OK) {
        p->net = net;
        p->n = n;
        p->owner = owner;
        if (n > 1 || !is_small(net))
            status =
                mlp_arenas_new(&p->arena, 1, net, MLP_FORWARD, mlp_chunk_rows(net, 0, 1, n), 0, 0);
        else if (mlp_n_inputs(net) > ROW_WIDTH &&
                 (p->wide = mlp_allocate(mlp_n_inputs(net))) == NULL)
            status = MLP_NO_MEMORY;
    }
    if (status != MLP_OK) {
        free(net);
        free(p);
        return status;
    }
    *predictor = p;
    return MLP_OK;
}

void mlp_predictor_free(struct mlp_predictor *predictor)
{
    if (predictor != NULL) {
        mlp_arenas_free(&predictor->arena);
        mlp_release(predictor->wide);
        mlp_network_free(predictor->net);
        free(predictor);
    }
}

void *mlp_predictor_owner(const struct mlp_predictor *predictor) { return predictor->owner; }

void mlp_predictor_call(const double *x, double *y, void *predictor)
{
    struct mlp_predictor *p = predictor;
    if (p->arena.block == NULL) {
        predict_row(p->net, x, y, p->wide);
    } else {
        const struct mlp_matrix matrix = rows_of(p->net, x);
        struct mlp_matrix own;
        const uint64_t saved = mlp_fp_enter();
        mlp_predict_in(&p->arena, p->net, mlp_inputs(p->net, &matrix, &own), 0, p->n, 0, y);
        mlp_fp_leave(saved);
    }
}

double mlp_predictor_scalar(int count, double *x, void *predictor)
{
    const struct mlp_predictor *p = predictor;
    double y = NAN;
    if (count >= 0 && (size_t)count == mlp_n_inputs(p->net))
        mlp_predictor_call(x, &y, predictor);
    return y;
}
