/* penalty.c - the penalty's value and its gradient.
 *
 * The sum is over up to MLP_RANGES blocks of the parameters, whose number is a function of P. */
#include "network/penalty.h"

#include "network/arena.h"

/* Parameters of a block: 256 KB, which one thread streams through in about 10 us. */
#define BLOCK ((size_t)1 << 15)

/* The weights of layers[l] among parameters begin .. end - 1: how many, from *first on. */
static size_t weights_among(const struct mlp_network *net, size_t l, size_t begin, size_t end,
                            size_t *first)
{
    const struct mlp_layer *layer = &net->layers[l];
    const size_t last = layer->offset + layer->m_in * layer->m_out;
    const size_t to = end < last ? end : last;
    *first = begin > layer->offset ? begin : layer->offset;
    return to > *first ? to - *first : 0;
}

struct context {
    const struct mlp_network *net;
    const struct mlp_penalty *penalty;
    size_t parts;
    double sums[MLP_RANGES];
};

static void task(void *context, size_t thread, size_t part)
{
    struct context *c = context;
    const struct mlp_network *net = c->net;
    const size_t P = net->n_parameters, begin = mlp_part(P, c->parts, part);
    const size_t end = mlp_part(P, c->parts, part + 1);
    double sizes = 0.0, squares = 0.0;
    (void)thread;
    for (size_t l = 0; l < net->n_layers; l++) {
        size_t first;
        const size_t n = weights_among(net, l, begin, end, &first);
        if (n > 0 && c->penalty->l1 > 0.0)
            sizes += net->kernels->sum_sizes(n, net->parameters + first);
        if (n > 0 && c->penalty->l2 > 0.0)
            squares += net->kernels->sum_squares(n, net->parameters + first);
    }
    c->sums[part] = c->penalty->l1 * sizes + 0.5 * c->penalty->l2 * squares;
}

double mlp_penalty_cost(const struct mlp_network *net, const struct mlp_team *team,
                        const struct mlp_penalty *penalty)
{
    const size_t P = net->n_parameters, blocks = P / BLOCK + (P % BLOCK != 0);
    struct context c = {net, penalty, blocks < MLP_RANGES ? blocks : MLP_RANGES, {0.0}};
    mlp_team_run(team, mlp_team_size(team, net->grain, 2.0 * (double)P), c.parts, task, &c);
    MLP_TREE (c.parts, to, from)
        c.sums[to] += c.sums[from];
    return c.sums[0];
}

void mlp_penalise(const struct mlp_network *net, const struct mlp_penalty *penalty, size_t begin,
                  size_t n, double *gradient)
{
    for (size_t l = 0; l < net->n_layers; l++) {
        size_t first;
        const size_t count = weights_among(net, l, begin, begin + n, &first);
        if (count > 0)
            net->kernels->penalise(count, penalty->l1, penalty->l2, net->parameters + first,
                                   gradient + first);
    }
}
