/* evaluate.c - the calls that evaluate a network as it is: predictions, activations, C and its gradient.
 *
 * Predictions share no sum, so threads take ranges of the instances; C and its gradient are a pass. */
#include "network/evaluate.h"

#include "network/clock.h"
#include "network/layers.h"
#include "network/pass.h"
#include "network/rows.h"
#include "network/scaling.h"

#include <math.h>
#include <stdlib.h>

#if defined(__STDC_NO_ATOMICS__)
typedef int flag; /* every team is the caller alone */
#else
#include <stdatomic.h>
typedef atomic_int flag;
#endif

/* Seconds between two questions whether to go on, and the multiply-adds of a chunk at most, 60 ms of a
 * core, unless it would have fewer than CHUNK_LEAST rows. */
#define ASK_SECONDS 0.05
#define CHUNK_WORK 1.5e9
#define CHUNK_LEAST ((size_t)32)

struct rows_context {
    size_t n, parts;
    struct mlp_arena *arenas; /* (threads,) */
    mlp_rows_task task;
    const void *context;
    int (*poll)(void);
    double asked; /* mlp_seconds */
    uint64_t saved;
    flag stop;
};

static void ask(struct rows_context *c)
{
    const double now = mlp_seconds();
    if (now - c->asked < ASK_SECONDS)
        return;
    mlp_fp_leave(c->saved);
    if (c->poll())
        c->stop = 1;
    c->saved = mlp_fp_enter();
    c->asked = mlp_seconds();
}

static void some_rows(void *context, size_t thread, size_t part)
{
    struct rows_context *c = context;
    if (c->stop)
        return;
    c->task(c->context, &c->arenas[thread], mlp_part(c->n, c->parts, part),
            mlp_part(c->n, c->parts, part + 1));
    if (thread == 0 && c->poll != NULL && c->parts > 1)
        ask(c);
}

/* Rows of a part, which is a chunk. There are two of them a thread or a multiple of that, which evens out a
 * little of what the threads differ by. */
static size_t part_rows(const struct mlp_network *net, size_t room, size_t n, size_t threads)
{
    const double row_work = (double)net->n_parameters;
    const size_t turns = threads > 1 ? 2 * threads : 1;
    size_t rows = mlp_chunk_rows(net, room, 1, n);
    if ((double)rows * row_work > CHUNK_WORK && rows > CHUNK_LEAST) {
        rows = (size_t)(CHUNK_WORK / row_work);
        rows = rows < CHUNK_LEAST ? CHUNK_LEAST : rows;
    }
    if (turns == 1 && n <= rows)
        return rows;
    const size_t parts = ((n - 1) / rows / turns + 1) * turns, even = (n / parts / 8 + 1) * 8;
    return even < rows ? even : rows;
}

/* mlp_run_rows; with room > 0 of CSR instances. */
static enum mlp_status run_rows(const struct mlp_network *net, enum mlp_purpose purpose,
                                size_t room, size_t n, double work, size_t n_threads,
                                mlp_rows_task task, const void *context)
{
    struct mlp_team team = {.n_threads = 1};
    if (work >= 2.0 * net->grain)
        mlp_team_open(&team, n_threads);
    const size_t threads = mlp_team_size(&team, net->grain, work);
    struct mlp_arena alone;
    struct rows_context c = {.n = n, .arenas = &alone, .task = task, .context = context};
    const size_t rows = part_rows(net, room, n, threads), units = n / 8 + (n % 8 != 0);
    const size_t part = rows < 8 ? 1 : rows / 8;
    c.parts = n <= rows ? 1 : (units + part - 1) / part;
    enum mlp_status status = MLP_NO_MEMORY;
    if (threads == 1 || (c.arenas = calloc(threads, sizeof *c.arenas)) != NULL)
        status = mlp_arenas_new(c.arenas, threads, net, purpose, rows, rows, room);
    if (status == MLP_OK) {
        c.poll = net->poll;
        c.asked = c.poll != NULL && c.parts > 1 ? mlp_seconds() : 0.0;
        c.saved = mlp_fp_enter();
        mlp_team_run(&team, threads, c.parts, some_rows, &c);
        mlp_fp_leave(c.saved);
        mlp_arenas_free(c.arenas);
        status = c.stop ? MLP_STOPPED : MLP_OK;
    }
    if (c.arenas != &alone)
        free(c.arenas);
    mlp_team_close(&team);
    return status;
}

enum mlp_status mlp_run_rows(const struct mlp_network *net, enum mlp_purpose purpose, size_t n,
                             double work, size_t n_threads, mlp_rows_task task, const void *context)
{
    return run_rows(net, purpose, 0, n, work, n_threads, task, context);
}

void mlp_predict_in(const struct mlp_arena *arena, const struct mlp_network *network,
                    const struct mlp_matrix *x, size_t begin, size_t end, int linear, double *out)
{
    const size_t m = mlp_n_outputs(network);
    for (size_t i = begin, rows; i < end; i += rows) {
        rows = end - i < arena->rows ? end - i : arena->rows;
        mlp_forward(network, 0, rows, mlp_rows(x, NULL, i, rows, arena->x), arena->a, out + i * m,
                    arena->panel, linear);
        if (!linear)
            mlp_unscale_outputs(network, rows, out + i * m);
    }
}

struct predict_context {
    const struct mlp_network *net;
    const struct mlp_matrix *x;
    int linear;
    double *out;
    int finite; /* of CSR instances: whether w^(1) is */
};

static void predict_task(const void *context, const struct mlp_arena *arena, size_t begin,
                         size_t end)
{
    const struct predict_context *c = context;
    mlp_predict_in(arena, c->net, c->x, begin, end, c->linear, c->out);
}

static void predict_lists_task(const void *context, const struct mlp_arena *arena, size_t begin,
                               size_t end)
{
    const struct predict_context *c = context;
    const size_t m = mlp_n_outputs(c->net);
    for (size_t i = begin, rows; i < end; i += rows) {
        rows = end - i < arena->rows ? end - i : arena->rows;
        mlp_forward_lists(c->net, c->x, i, rows, c->finite, arena->a, c->out + i * m, arena->panel,
                          c->linear);
        if (!c->linear)
            mlp_unscale_outputs(c->net, rows, c->out + i * m);
    }
}

/* mlp_predict of CSR instances. */
static enum mlp_status predict_lists(const struct mlp_network *network, const struct mlp_matrix *x,
                                     size_t n, int linear, size_t n_threads, double *out)
{
    const struct mlp_layer *l = &network->layers[0];
    struct predict_context c = {network, x, linear, out, 0};
    struct mlp_team team = {.n_threads = 1};
    const double terms = (double)(x->starts[n] - x->starts[0]);
    const double rest = (double)network->n_parameters - (double)l->m_in * (double)l->m_out +
                        MLP_ACTIVATION * (double)network->units;
    if ((double)network->n_parameters >= network->grain)
        mlp_team_open(&team, n_threads);
    c.finite = mlp_lists_finite(network, &team);
    mlp_team_close(&team);
    return run_rows(network, MLP_FORWARD, 1, n, (double)n * rest + terms * (double)l->m_out,
                    n_threads, predict_lists_task, &c);
}

static double predict_work(const struct mlp_network *net, size_t n)
{
    return (double)n * ((double)net->n_parameters + MLP_ACTIVATION * (double)net->units);
}

int mlp_predict_shares(const struct mlp_network *network, size_t n)
{
    return predict_work(network, n) >= 2.0 * network->grain;
}

enum mlp_status mlp_predict(const struct mlp_network *network, const struct mlp_matrix *x, size_t n,
                            int linear, size_t n_threads, double *out)
{
    struct mlp_matrix own;
    if (mlp_is_csr(x))
        return predict_lists(network, x, n, linear, n_threads, out);
    const struct predict_context c = {network, mlp_inputs(network, x, &own), linear, out, 0};
    return mlp_run_rows(network, MLP_FORWARD, n, predict_work(network, n), n_threads, predict_task,
                        &c);
}

enum mlp_status mlp_activations(const struct mlp_network *network, const struct mlp_matrix *x,
                                size_t n, double *const *a)
{
    struct mlp_arena arena;
    struct mlp_matrix own;
    const enum mlp_status status =
        mlp_arenas_new(&arena, 1, network, MLP_FORWARD, mlp_chunk_rows(network, 0, 1, n), 0, 0);
    if (status != MLP_OK)
        return status;
    x = mlp_inputs(network, x, &own);
    const uint64_t saved = mlp_fp_enter();
    for (size_t i = 0; i < n; i += arena.rows) {
        const size_t rows = n - i < arena.rows ? n - i : arena.rows;
        for (size_t l = 0; l < network->n_layers; l++)
            arena.a[l] = a[l] + i * network->layers[l].m_out;
        mlp_forward(network, 0, rows, mlp_rows(x, NULL, i, rows, arena.x), arena.a,
                    arena.a[network->n_layers - 1], arena.panel, 0);
        mlp_unscale_outputs(network, rows, arena.a[network->n_layers - 1]);
    }
    mlp_fp_leave(saved);
    mlp_arenas_free(&arena);
    return MLP_OK;
}

struct mlp_evaluation {
    struct mlp_workspace space;
    struct mlp_team team;
    size_t n_threads;
    struct mlp_matrix inputs, targets;
    struct mlp_pass pass;
};

/* Gets ready for an evaluation whose team is open. */
static enum mlp_status start(struct mlp_evaluation *e, const struct mlp_network *network,
                             const struct mlp_problem *problem, const struct mlp_matrix *x,
                             const struct mlp_matrix *y, size_t n, double *gradient)
{
    struct mlp_pass *pass = &e->pass;
    mlp_pass_clear(pass);
    pass->net = network;
    pass->space = &e->space;
    pass->team = &e->team;
    pass->x = mlp_inputs(network, x, &e->inputs);
    pass->y = mlp_targets(network, y, &e->targets);
    pass->weights = problem->weights;
    pass->penalty = (struct mlp_penalty){problem->l1, problem->l2};
    pass->gradient = gradient;
    const enum mlp_status status = mlp_workspace_new(&e->space, network, e->n_threads, n, n,
                                                     gradient != NULL, mlp_lists_room(x, n));
    if (status == MLP_OK)
        mlp_pass_start(&e->pass, NULL, 0, n);
    return status;
}

static int advance(struct mlp_evaluation *e, double work, double *cost)
{
    const uint64_t saved = mlp_fp_enter();
    int complete = 0;
    while (!complete && work > 0.0) {
        complete = mlp_pass_advance(&e->pass);
        work -= e->pass.work;
    }
    if (complete)
        *cost = e->pass.cost.high;
    mlp_fp_leave(saved);
    return complete;
}

enum mlp_status mlp_objective(const struct mlp_network *network, const struct mlp_problem *problem,
                              const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n,
                              size_t n_threads, double *cost, double *gradient)
{
    struct mlp_evaluation e;
    mlp_team_open(&e.team, n_threads);
    e.n_threads = e.team.n_threads;
    const enum mlp_status status = start(&e, network, problem, x, y, n, gradient);
    if (status == MLP_OK) {
        advance(&e, (double)INFINITY, cost);
        mlp_workspace_free(&e.space);
    }
    mlp_team_close(&e.team);
    return status;
}

enum mlp_status mlp_evaluation_new(struct mlp_evaluation **evaluation,
                                   const struct mlp_network *network,
                                   const struct mlp_problem *problem, const struct mlp_matrix *x,
                                   const struct mlp_matrix *y, size_t n, size_t n_threads,
                                   double *gradient)
{
    struct mlp_evaluation *e = calloc(1, sizeof *e);
    if (e == NULL)
        return MLP_NO_MEMORY;
    e->n_threads = n_threads < MLP_MAX_THREADS ? n_threads : MLP_MAX_THREADS;
    const enum mlp_status status = start(e, network, problem, x, y, n, gradient);
    if (status != MLP_OK) {
        free(e);
        return status;
    }
    *evaluation = e;
    return MLP_OK;
}

int mlp_evaluation_advance(struct mlp_evaluation *evaluation, double work, double *cost)
{
    mlp_team_open(&evaluation->team, evaluation->n_threads);
    const int complete = advance(evaluation, work, cost);
    mlp_team_close(&evaluation->team);
    return complete;
}

void mlp_evaluation_free(struct mlp_evaluation *evaluation)
{
    if (evaluation == NULL)
        return;
    mlp_workspace_free(&evaluation->space);
    free(evaluation);
}
