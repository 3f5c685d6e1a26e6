/* descent.c - gradient descent: the step, one step on a given batch (the trainer), and epochs of a
 * full batch, of mini-batches or of single instances (the fit's method). */
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the step ---- */

/* The gradient and the velocity in one block. */
static enum mlp_status step_new(struct mlp_step *step, const struct mlp_network *net,
                                const struct mlp_descent *options)
{
    const size_t P = net->n_parameters, buffers = options->momentum > 0.0 ? 2 : 1;
    size_t n;
    step->options = *options;
    if (!mlp_size_multiply(P, buffers, &n))
        return MLP_TOO_LARGE;
    step->gradient = mlp_allocate(n);
    if (step->gradient == NULL)
        return MLP_NO_MEMORY;
    step->velocity = NULL;
    if (buffers == 2) {
        step->velocity = step->gradient + P;
        memset(step->velocity, 0, P * sizeof(double));
    }
    return MLP_OK;
}

void mlp_step_take(const struct mlp_step *step, const struct mlp_network *net, size_t begin,
                   size_t n)
{
    const struct mlp_descent *o = &step->options;
    if (step->velocity == NULL)
        net->kernels->descend(n, o->learning_rate, step->gradient + begin, net->parameters + begin);
    else
        net->kernels->descend_momentum(n, o->learning_rate, o->momentum, o->nesterov,
                                       step->gradient + begin, step->velocity + begin,
                                       net->parameters + begin);
}

struct step_context {
    const struct mlp_step *step;
    const struct mlp_network *net;
    size_t parts;
};
static void step_task(void *context, size_t thread, size_t part)
{
    const struct step_context *c = context;
    const size_t P = c->net->n_parameters, begin = mlp_part(P, c->parts, part);
    (void)thread;
    mlp_step_take(c->step, c->net, begin, mlp_part(P, c->parts, part + 1) - begin);
}

/* All parameters take the step. */
static void step_all(const struct mlp_step *step, const struct mlp_network *net,
                     const struct mlp_team *team)
{
    struct step_context c = {step, net, mlp_team_size(team, net, (double)net->n_parameters)};
    mlp_team_run(team, c.parts, c.parts, step_task, &c);
}

/* ---- the trainer ---- */

struct mlp_trainer {
    struct mlp_network *net;
    size_t n_threads;
    struct mlp_step step;
    struct mlp_workspace space; /* for batches of up to `largest` */
    size_t largest;
};

enum mlp_status mlp_trainer_new(struct mlp_trainer **trainer, struct mlp_network *network,
                                const struct mlp_descent *descent, size_t n_threads)
{
    struct mlp_trainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return MLP_NO_MEMORY;
    t->net = network;
    t->n_threads = n_threads;
    const enum mlp_status status = step_new(&t->step, network, descent);
    if (status != MLP_OK) {
        free(t);
        return status;
    }
    *trainer = t;
    return MLP_OK;
}

void mlp_trainer_free(struct mlp_trainer *trainer)
{
    if (trainer == NULL)
        return;
    mlp_workspace_free(&trainer->space);
    mlp_release(trainer->step.gradient);
    free(trainer);
}

enum mlp_status mlp_trainer_step(struct mlp_trainer *trainer, const struct mlp_matrix *x,
                                 const struct mlp_matrix *y, size_t n, double *cost)
{
    const struct mlp_network *net = trainer->net;
    if (n > trainer->largest) {
        struct mlp_workspace space;
        const enum mlp_status status = mlp_workspace_new(&space, net, trainer->n_threads, n, n, 1);
        if (status != MLP_OK)
            return status;
        mlp_workspace_free(&trainer->space);
        trainer->space = space;
        trainer->largest = n;
    }
    struct mlp_team team = {.n_threads = 1};
    struct mlp_pass pass = {.net = net,
                            .space = &trainer->space,
                            .team = &team,
                            .x = x,
                            .y = y,
                            .gradient = trainer->step.gradient,
                            .step = &trainer->step};
    struct mlp_pair sum = {0.0, 0.0};
    const uint64_t saved = mlp_fp_enter();
    if (n == 1 && trainer->step.velocity == NULL &&
        mlp_online(net, &trainer->space.arenas[0], x, y, NULL, 0, 1,
                   trainer->step.options.learning_rate, NULL, &sum)) {
        *cost = sum.high;
        mlp_fp_leave(saved);
        return MLP_OK;
    }
    if (3.0 * (double)n * (double)net->n_parameters >= 2.0 * net->grain)
        mlp_team_open(&team, trainer->n_threads);
    mlp_pass_start(&pass, NULL, 0, n);
    while (!mlp_pass_advance(&pass)) {
    }
    *cost = pass.cost.high;
    mlp_fp_leave(saved);
    mlp_team_close(&team);
    return MLP_OK;
}

/* ---- the fit's method ---- */

struct descent {
    struct mlp_step step;
    size_t *order;     /* (n,) the epoch's permutation, or NULL */
    size_t unshuffled; /* entries of order that are still to be drawn */
    int in_epoch;      /* mini-batches: an epoch is under way; full batch: a pass is */
    int stepped;       /* full batch: the pass evaluates what a step of this fit led to */
    size_t batch;      /* mini-batches: first row of the current batch */
    struct mlp_pair sum;
};

static void descent_free(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (d == NULL)
        return;
    mlp_release(d->step.gradient);
    free(d->order);
    free(d);
}

static enum mlp_status descent_start(struct mlp_fit *fit)
{
    const struct mlp_fit_options *o = &fit->options;
    struct descent *d = fit->memory = calloc(1, sizeof *d);
    if (d == NULL)
        return MLP_NO_MEMORY;
    const enum mlp_status status = step_new(&d->step, fit->net, &o->descent);
    if (status != MLP_OK)
        return status;
    if (o->batch_size && o->shuffle) {
        size_t bytes;
        if (!mlp_size_multiply(fit->n, sizeof *d->order, &bytes))
            return MLP_TOO_LARGE;
        d->order = malloc(bytes);
        if (d->order == NULL)
            return MLP_NO_MEMORY;
    }
    fit->gradient = fit->pass.gradient = d->step.gradient;
    fit->pass.step = o->batch_size ? &d->step : NULL;
    return MLP_OK;
}

/* One chunk of a full batch. The pass that evaluates C after epoch e is the one whose gradient
 * epoch e + 1 steps along, so the step is taken when the next epoch begins. */
static enum mlp_event advance_full(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (!d->in_epoch) {
        if (d->stepped) {
            mlp_fit_keep(fit);
            step_all(&d->step, fit->net, fit->pass.team);
        }
        mlp_pass_start(&fit->pass, NULL, 0, fit->n);
        d->in_epoch = 1;
    }
    const int complete = mlp_pass_advance(&fit->pass);
    fit->work -= fit->pass.work;
    if (!complete)
        return MLP_PAUSED;
    d->in_epoch = 0;
    fit->evaluated = 1;
    if (!d->stepped) { /* C_0 */
        d->stepped = 1;
        fit->cost = fit->pass.cost;
        fit->initial_cost = fit->cost.high;
        if (!mlp_fit_healthy(fit, fit->cost)) {
            fit->diverged = 1;
            return MLP_DIVERGED;
        }
        return fit->cost.high <= fit->options.goal ? MLP_GOAL : MLP_PAUSED;
    }
    if (!mlp_fit_healthy(fit, fit->pass.cost))
        return mlp_fit_diverge(fit);
    return mlp_fit_epoch(fit, fit->pass.cost, 1);
}

/* Entries of a permutation that are drawn at a time: less than 10 ms, even out of cache. */
#define SHUFFLE ((size_t)1 << 17)

/* What a step that online() takes costs, in multiply-adds, beside its work on the instance. */
#define ONLINE_OVERHEAD 300.0

/* After the last mini-batch of an epoch; the first one has nothing to compare with. */
static enum mlp_event finish_epoch(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (!mlp_fit_healthy(fit, d->sum))
        return mlp_fit_diverge(fit);
    d->in_epoch = 0;
    return mlp_fit_epoch(fit, mlp_pair_normalise(d->sum), fit->epochs > 0);
}

/* How many units of so much work the rest of this call is good for, at most n. */
static size_t affordable(const struct mlp_fit *fit, double work, size_t n)
{
    const double most = fit->work / work + 1.0;
    return most < (double)n ? (size_t)most : n;
}

/* Steps on single instances in one call of a kernel; returns their number. */
static size_t online_steps(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (fit->options.batch_size != 1 || d->step.velocity != NULL)
        return 0;
    const double work = 3.0 * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t steps = mlp_online(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, d->order,
                                    d->batch, affordable(fit, work, fit->n - d->batch),
                                    d->step.options.learning_rate, d->step.gradient, &d->sum);
    fit->work -= (double)steps * work;
    d->batch += steps;
    fit->evaluated |= steps > 0;
    return steps;
}

/* One chunk of a mini-batch, and the step when it was the batch's last; or part of the shuffle. */
static enum mlp_event advance_batches(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (!d->in_epoch) {
        mlp_fit_keep(fit);
        if (d->order) {
            mlp_identity(fit->n, d->order);
            d->unshuffled = fit->n;
        }
        d->batch = 0;
        d->sum = (struct mlp_pair){0.0, 0.0};
        d->in_epoch = 1;
        d->stepped = 1;
    }
    if (d->unshuffled > 1) {
        d->unshuffled = mlp_random_shuffle(&fit->options.stream, d->unshuffled, SHUFFLE, d->order);
        fit->work -= 10.0 * (double)SHUFFLE;
        return MLP_PAUSED;
    }
    if (d->stepped && online_steps(fit) > 0)
        return d->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
    if (d->stepped) {
        const size_t left = fit->n - d->batch, size = fit->options.batch_size;
        mlp_pass_start(&fit->pass, d->order, d->batch, left < size ? left : size);
        fit->pass.keep = left <= size; /* for its norm */
        d->stepped = 0;
    }
    const int complete = mlp_pass_advance(&fit->pass);
    fit->work -= fit->pass.work;
    if (!complete)
        return MLP_PAUSED;
    fit->evaluated = 1;
    d->sum = mlp_pair_add(d->sum, fit->pass.cost);
    if (!isfinite(d->sum.high))
        return mlp_fit_diverge(fit);
    d->stepped = 1;
    d->batch += fit->pass.n;
    return d->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
}

/* Full-batch epochs of a tiny network in one call of a kernel; 1 when there were any. */
static int small_epochs(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (d->in_epoch || !d->stepped || d->step.velocity != NULL || fit->epochs >= fit->until)
        return 0;
    const double work = 3.0 * (double)fit->n * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t left = fit->until - fit->epochs, room = fit->capacity - fit->recorded;
    const struct mlp_rules rules = {affordable(fit, work, left < room ? left : room),
                                    fit->options.tol, fit->options.goal};
    const size_t epochs = mlp_epochs(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, fit->n,
                                     d->step.options.learning_rate, &rules, d->step.gradient,
                                     &fit->cost, fit->history + fit->recorded);
    fit->work -= (double)epochs * work;
    fit->epochs += epochs;
    fit->recorded += epochs;
    return epochs > 0;
}

static enum mlp_event descent_advance(struct mlp_fit *fit)
{
    if (fit->options.batch_size)
        return advance_batches(fit);
    return small_epochs(fit) ? MLP_EPOCH : advance_full(fit);
}

static void descent_describe(const struct mlp_fit *fit, struct mlp_fit_report *report)
{
    const struct descent *d = fit->memory;
    if (d->step.velocity != NULL)
        report->arrays[report->n_arrays++] =
            (struct mlp_array){"velocity", d->step.velocity, fit->net->n_parameters};
}

const struct mlp_method mlp_descent_method = {
    .start = descent_start,
    .free = descent_free,
    .advance = descent_advance,
    .describe = descent_describe,
};
