/* piece.c - partial sums: what some of the instances come to, as chains and as nodes of the tree in which they are
 * added up.
 *
 * Sums of costs and gradients are a pass like any other (pass.h) that ends with its ranges; J^T J is a sweep of
 * Levenberg and Marquardt's method (gauss_newton.h), by a fit that takes no step. */
#include "network/lists.h"
#include "network/memory.h"
#include "network/scaling.h"
#include "training/gauss_newton.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Doubles of a chain's cost, and of a node's. */
#define LANES ((size_t)16)
#define PAIR ((size_t)2)

struct mlp_piece {
    struct mlp_network *net;      /* the caller's, at parameters of its own */
    struct mlp_network *dropping; /* the same with dropout, if there is any */
    double *parameters;           /* (P,) and behind them, of a single chain, the gradient (P,) */
    struct mlp_workspace space;
    struct mlp_team team;
    size_t n_threads;
    struct mlp_matrix x, y, inputs, targets, weights;
    int weighted;
    size_t n, begin, rows; /* instances begin .. begin + rows - 1 of n */
    enum mlp_sum kind;     /* of the sum that is under way */
    struct mlp_pass pass;
    struct mlp_fit *fit; /* for J^T J, once it is asked for; its nodes: */
    double *sums;
};

size_t mlp_chains(const struct mlp_network *network, enum mlp_sum kind, size_t n)
{
    return kind == MLP_SUM_JACOBIAN ? mlp_gauss_newton_chains(n) : mlp_n_ranges(network, n);
}

size_t mlp_chain_begin(size_t n, size_t chains, size_t chain) { return mlp_part(n, chains, chain); }

static size_t size_of(const struct mlp_network *network, enum mlp_sum kind, size_t cost)
{
    if (kind == MLP_SUM_JACOBIAN)
        return mlp_gauss_newton_node(network->n_parameters);
    return cost + (kind == MLP_SUM_GRADIENT ? network->n_parameters : 0);
}

size_t mlp_chain_size(const struct mlp_network *network, enum mlp_sum kind)
{
    return size_of(network, kind, LANES);
}

size_t mlp_node_size(const struct mlp_network *network, enum mlp_sum kind)
{
    return size_of(network, kind, PAIR);
}

void mlp_node_add(const struct mlp_network *network, enum mlp_sum kind, const double *from,
                  double *to)
{
    const size_t cost = kind == MLP_SUM_JACOBIAN ? 0 : PAIR;
    const uint64_t saved = mlp_fp_enter();
    if (cost > 0) {
        const struct mlp_pair sum =
            mlp_pair_add((struct mlp_pair){to[0], to[1]}, (struct mlp_pair){from[0], from[1]});
        to[0] = sum.high;
        to[1] = sum.low;
    }
    network->kernels->add(mlp_node_size(network, kind) - cost, from + cost, to + cost);
    mlp_fp_leave(saved);
}

void mlp_piece_free(struct mlp_piece *piece)
{
    if (piece == NULL)
        return;
    mlp_fit_free(piece->fit);
    mlp_release(piece->sums);
    mlp_workspace_free(&piece->space);
    mlp_network_free(piece->net);
    mlp_network_free(piece->dropping);
    mlp_release(piece->parameters);
    free(piece);
}

static enum mlp_status allocate(struct mlp_piece *p, const struct mlp_network *network,
                                const struct mlp_problem *problem)
{
    const size_t P = network->n_parameters;
    size_t doubles;
    if (!mlp_size_multiply(P, 2, &doubles))
        return MLP_TOO_LARGE;
    p->parameters = mlp_allocate(doubles);
    if (p->parameters == NULL)
        return MLP_NO_MEMORY;
    p->net = mlp_network_twin(network, p->parameters);
    if (p->net == NULL)
        return MLP_NO_MEMORY;
    if (problem->dropout != NULL) {
        p->dropping = mlp_network_twin(p->net, p->parameters);
        if (p->dropping == NULL)
            return MLP_NO_MEMORY;
        mlp_network_set_dropout(p->dropping, problem->dropout);
    }
    return mlp_workspace_new(&p->space, p->dropping != NULL ? p->dropping : p->net, p->n_threads,
                             p->n, p->n, 1, mlp_lists_room(&p->x, p->rows));
}

enum mlp_status mlp_piece_new(struct mlp_piece **piece, const struct mlp_network *network,
                              const struct mlp_problem *problem, const struct mlp_matrix *x,
                              const struct mlp_matrix *y, size_t n, size_t begin, size_t rows,
                              size_t n_threads)
{
    struct mlp_piece *p = calloc(1, sizeof *p);
    if (p == NULL)
        return MLP_NO_MEMORY;
    p->x = *x;
    p->y = *y;
    p->n_threads = n_threads < MLP_MAX_THREADS ? n_threads : MLP_MAX_THREADS;
    p->n = n;
    p->begin = begin;
    p->rows = rows;
    p->weighted = problem->weights != NULL;
    if (p->weighted)
        p->weights = *problem->weights;
    const enum mlp_status status = allocate(p, network, problem);
    if (status != MLP_OK) {
        mlp_piece_free(p);
        return status;
    }
    p->inputs = *mlp_inputs(p->net, &p->x, &p->inputs);
    p->targets = *mlp_targets(p->net, &p->y, &p->targets);
    *piece = p;
    return MLP_OK;
}

/* ---- which chains ---- */

/* Chains first .. last - 1 have a part in the piece; of these the last one may be incomplete. */
struct span {
    size_t chains, first, last;
    int open;
};

static struct span span_of(const struct mlp_piece *p, enum mlp_sum kind)
{
    struct span s = {.chains = mlp_chains(p->net, kind, p->n)};
    while (mlp_part(p->n, s.chains, s.first + 1) <= p->begin)
        s.first++;
    s.last = s.first + 1;
    while (mlp_part(p->n, s.chains, s.last) < p->begin + p->rows)
        s.last++;
    s.open = mlp_part(p->n, s.chains, s.last) > p->begin + p->rows;
    return s;
}

size_t mlp_piece_nodes(const struct mlp_piece *piece, enum mlp_sum kind,
                       size_t begin[MLP_MAX_NODES], size_t count[MLP_MAX_NODES], int *open)
{
    const struct span s = span_of(piece, kind);
    const size_t end = s.last - (size_t)s.open;
    size_t n = 0;
    *open = s.open;
    for (size_t chain = s.first; chain < end; chain += count[n++]) {
        begin[n] = chain;
        count[n] = 1;
        while (chain % (2 * count[n]) == 0 && chain + 2 * count[n] <= end)
            count[n] *= 2;
    }
    return n;
}

/* ---- J^T J ---- */

/* A fit that takes no step. Its penalty, which is added nowhere, keeps it from storing J^T where the piece, but
 * not the whole, has fewer residuals than there are parameters. */
static enum mlp_status prepare_jacobian(struct mlp_piece *p)
{
    const struct mlp_fit_options options = {
        .problem = {.weights = p->weighted ? &p->weights : NULL, .l2 = 1.0},
        .n_threads = p->n_threads,
        .solver = MLP_LEVENBERG_MARQUARDT};
    const size_t node = mlp_gauss_newton_node(p->net->n_parameters);
    size_t doubles;
    if (p->fit != NULL)
        return MLP_OK;
    if (node == 0 || !mlp_size_multiply(node, MLP_SWEEP_NODES, &doubles))
        return MLP_TOO_LARGE;
    p->sums = mlp_allocate(doubles);
    if (p->sums == NULL)
        return MLP_NO_MEMORY;
    return mlp_fit_new(&p->fit, p->net, &p->x, &p->y, p->rows, &options);
}

/* Chain number `chain` of the sweep, as far as the piece has it. */
static void begin_chain(const struct mlp_piece *p, struct mlp_gauss_newton *m, size_t chain)
{
    const size_t chains = mlp_gauss_newton_chains(p->n);
    const size_t start = mlp_part(p->n, chains, chain), end = mlp_part(p->n, chains, chain + 1);
    const size_t from = start > p->begin ? start - p->begin : 0;
    mlp_gauss_newton_chain(m, chain, from, end - p->begin < p->rows ? end - p->begin : p->rows);
}

static void start_jacobian(struct mlp_piece *p, const double *chain)
{
    struct mlp_gauss_newton *m = p->fit->memory;
    m->sums = p->sums;
    m->n_nodes = 0;
    m->stage = SWEEP;
    begin_chain(p, m, span_of(p, MLP_SUM_JACOBIAN).first);
    if (chain != NULL) {
        mlp_gauss_newton_unpack(m, chain);
        m->fresh = 0;
    }
}

static int advance_jacobian(struct mlp_piece *p, double work)
{
    struct mlp_fit *fit = p->fit;
    struct mlp_gauss_newton *m = fit->memory;
    const struct span span = span_of(p, MLP_SUM_JACOBIAN);
    int complete = 0;
    mlp_team_open(&fit->team, p->n_threads);
    fit->work = work;
    while (!complete && fit->work > 0.0) {
        if (m->stage == SWEEP) {
            mlp_gauss_newton_sweep(fit, m);
            m->stage = GRAM;
        } else if (mlp_gauss_newton_gram(fit, m)) {
            m->stage = SWEEP;
            if (m->row < m->end)
                continue;
            complete = m->row == p->rows;
            if (complete && span.open)
                continue; /* it stays where it is */
            mlp_gauss_newton_push(fit, m);
            if (!complete)
                begin_chain(p, m, m->chain + 1);
        }
    }
    mlp_team_close(&fit->team);
    return complete;
}

/* ---- C and its gradient ---- */

/* The gradient of chain number `chain`. */
static double *gradient_of(const struct mlp_piece *p, size_t chain)
{
    const size_t P = p->net->n_parameters;
    return p->pass.n_ranges > 1 ? p->space.partial + chain * P : p->parameters + P;
}

static void start_pass(struct mlp_piece *p, const struct mlp_stream *masks, const double *chain)
{
    const int with_gradient = p->kind == MLP_SUM_GRADIENT;
    p->pass =
        (struct mlp_pass){.net = masks != NULL && p->dropping != NULL ? p->dropping : p->net,
                          .space = &p->space,
                          .team = &p->team,
                          .x = &p->inputs,
                          .y = &p->targets,
                          .weights = p->weighted ? &p->weights : NULL,
                          .gradient = with_gradient ? p->parameters + p->net->n_parameters : NULL,
                          .keep = 1};
    if (masks != NULL)
        p->pass.masks = *masks;
    mlp_pass_piece(&p->pass, p->begin, p->rows, p->n);
    if (chain == NULL)
        return;
    const size_t first = p->pass.first;
    memcpy(p->pass.ranges[first].sum, chain, LANES * sizeof *chain);
    if (with_gradient)
        memcpy(gradient_of(p, first), chain + LANES, p->net->n_parameters * sizeof *chain);
}

/* Parts of the parameters: adds up the gradients of complete chains below each node, in its place. */
struct tree_context {
    const struct mlp_piece *piece;
    size_t first, end, parts;
};
static void tree_task(void *context, size_t thread, size_t part)
{
    const struct tree_context *c = context;
    const struct mlp_network *net = c->piece->net;
    const size_t P = net->n_parameters, from = mlp_part(P, c->parts, part);
    const size_t n = mlp_part(P, c->parts, part + 1) - from;
    (void)thread;
    for (size_t stride = 1; 2 * stride <= c->end - c->first; stride *= 2) {
        for (size_t to = 0; to + 2 * stride <= c->end; to += 2 * stride) {
            if (to >= c->first)
                net->kernels->add(n, gradient_of(c->piece, to + stride) + from,
                                  gradient_of(c->piece, to) + from);
        }
    }
}

/* All chains are as far as they go: the complete ones become nodes. */
static void finish_pass(struct mlp_piece *p)
{
    const struct span s = span_of(p, p->kind);
    const size_t P = p->net->n_parameters;
    struct tree_context c = {p, s.first, s.last - (size_t)s.open, 1};
    struct mlp_range *ranges = p->pass.ranges;
    if (s.chains == 1)
        ranges[0].cost = mlp_pair_lanes(ranges[0].sum);
    for (size_t stride = 1; 2 * stride <= c.end - c.first; stride *= 2) {
        for (size_t to = 0; to + 2 * stride <= c.end; to += 2 * stride) {
            if (to >= c.first)
                ranges[to].cost = mlp_pair_add(ranges[to].cost, ranges[to + stride].cost);
        }
    }
    if (p->kind != MLP_SUM_GRADIENT || s.chains == 1)
        return;
    c.parts = mlp_team_size(&p->team, p->net->grain, (double)(c.end - c.first) * (double)P);
    mlp_team_run(&p->team, c.parts, c.parts, tree_task, &c);
}

static int advance_pass(struct mlp_piece *p, double work)
{
    int complete = 0;
    mlp_team_open(&p->team, p->n_threads);
    while (!complete && work > 0.0) {
        complete = mlp_pass_advance(&p->pass);
        work -= p->pass.work;
    }
    if (complete)
        finish_pass(p);
    mlp_team_close(&p->team);
    return complete;
}

/* ---- any of them ---- */

enum mlp_status mlp_piece_start(struct mlp_piece *piece, enum mlp_sum kind,
                                const double *parameters, const struct mlp_stream *masks,
                                const double *chain)
{
    const enum mlp_status status = kind == MLP_SUM_JACOBIAN ? prepare_jacobian(piece) : MLP_OK;
    if (status != MLP_OK)
        return status;
    piece->kind = kind;
    memcpy(piece->parameters, parameters, piece->net->n_parameters * sizeof *parameters);
    if (kind == MLP_SUM_JACOBIAN)
        start_jacobian(piece, chain);
    else
        start_pass(piece, masks, chain);
    return MLP_OK;
}

int mlp_piece_advance(struct mlp_piece *piece, double work)
{
    const uint64_t saved = mlp_fp_enter();
    const int complete =
        (piece->kind == MLP_SUM_JACOBIAN ? advance_jacobian : advance_pass)(piece, work);
    mlp_fp_leave(saved);
    return complete;
}

void mlp_piece_read(const struct mlp_piece *piece, double *nodes, double *chain)
{
    const size_t P = piece->net->n_parameters;
    size_t begin[MLP_MAX_NODES], count[MLP_MAX_NODES];
    int open;
    const size_t n = mlp_piece_nodes(piece, piece->kind, begin, count, &open);
    if (piece->kind == MLP_SUM_JACOBIAN) {
        const struct mlp_gauss_newton *m = piece->fit->memory;
        if (nodes != NULL)
            memcpy(nodes, m->sums, n * m->node * sizeof *nodes);
        if (chain != NULL && open)
            mlp_gauss_newton_pack(m, chain);
        return;
    }
    const int with_gradient = piece->kind == MLP_SUM_GRADIENT;
    for (size_t i = 0; i < n && nodes != NULL; i++, nodes += PAIR + (with_gradient ? P : 0)) {
        nodes[0] = piece->pass.ranges[begin[i]].cost.high;
        nodes[1] = piece->pass.ranges[begin[i]].cost.low;
        if (with_gradient)
            memcpy(nodes + PAIR, gradient_of(piece, begin[i]), P * sizeof *nodes);
    }
    if (chain == NULL || !open)
        return;
    const size_t last = piece->pass.last - 1;
    memcpy(chain, piece->pass.ranges[last].sum, LANES * sizeof *chain);
    if (with_gradient)
        memcpy(chain + LANES, gradient_of(piece, last), P * sizeof *chain);
}
