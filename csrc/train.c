/* train.c - gradient descent: one step on a given batch (the trainer), and the epoch loop with its
 * mini-batches and stopping rules (the fit), which runs in slices so that the caller can look after
 * signals. */
#include "internal.h"

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
    struct mlp_team team = {1, NULL};
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

/* ---- the fit ---- */

struct mlp_fit {
    struct mlp_network *net;
    struct mlp_matrix x, y;
    size_t n;
    struct mlp_fit_options options;
    struct mlp_step step;
    struct mlp_workspace space;
    struct mlp_team team; /* while mlp_fit_run or mlp_fit_finish is under way */
    struct mlp_pass pass;
    double *start; /* (P,) the parameters at the epoch's start */
    size_t *order; /* (n,) the epoch's permutation, or NULL */
    size_t epochs; /* complete ones */
    int in_epoch;  /* mini-batches: an epoch is under way; full batch: a pass is */
    int stepped;   /* full batch: the pass evaluates what a step of this fit led to */
    size_t batch;  /* mini-batches: first row of the current batch */
    struct mlp_pair sum, cost, previous;
    double initial_cost;
    struct mlp_stream start_stream; /* the stream at the epoch's start */
    size_t unshuffled;              /* entries of order that are still to be drawn */
    int evaluated;                  /* the gradient holds one */
    int diverged, finishing;
    double work; /* what is left of the call's */
};

void mlp_fit_free(struct mlp_fit *fit)
{
    if (fit == NULL)
        return;
    mlp_workspace_free(&fit->space);
    mlp_release(fit->step.gradient);
    mlp_release(fit->start);
    free(fit->order);
    free(fit);
}

static enum mlp_status fit_allocate(struct mlp_fit *fit)
{
    const struct mlp_fit_options *o = &fit->options;
    const size_t largest = o->batch_size ? o->batch_size : fit->n;
    enum mlp_status status = step_new(&fit->step, fit->net, &o->descent);
    if (status == MLP_OK) /* the last pass takes all */
        status = mlp_workspace_new(&fit->space, fit->net, o->n_threads, largest, fit->n, 1);
    if (status != MLP_OK)
        return status;
    fit->start = mlp_allocate(fit->net->n_parameters);
    if (fit->start == NULL)
        return MLP_NO_MEMORY;
    if (o->batch_size && o->shuffle) {
        size_t bytes;
        if (!mlp_size_multiply(fit->n, sizeof *fit->order, &bytes))
            return MLP_TOO_LARGE;
        fit->order = malloc(bytes);
        if (fit->order == NULL)
            return MLP_NO_MEMORY;
    }
    return MLP_OK;
}

enum mlp_status mlp_fit_new(struct mlp_fit **fit, struct mlp_network *network,
                            const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n,
                            const struct mlp_fit_options *options)
{
    struct mlp_fit *f = calloc(1, sizeof *f);
    if (f == NULL)
        return MLP_NO_MEMORY;
    f->net = network;
    f->x = *x;
    f->y = *y;
    f->n = n;
    f->options = *options;
    f->start_stream = options->stream;
    f->initial_cost = NAN;
    f->cost.high = NAN;
    const enum mlp_status status = fit_allocate(f);
    if (status != MLP_OK) {
        mlp_fit_free(f);
        return status;
    }
    f->pass = (struct mlp_pass){.net = network,
                                .space = &f->space,
                                .team = &f->team,
                                .x = &f->x,
                                .y = &f->y,
                                .gradient = f->step.gradient,
                                .step = options->batch_size ? &f->step : NULL};
    *fit = f;
    return MLP_OK;
}

static void copy(const struct mlp_fit *fit, const double *from, double *to)
{
    memcpy(to, from, fit->net->n_parameters * sizeof *to);
}

static enum mlp_event diverge(struct mlp_fit *fit)
{
    copy(fit, fit->start, fit->net->parameters);
    fit->options.stream = fit->start_stream;
    fit->cost = fit->previous;
    fit->diverged = 1;
    return MLP_DIVERGED;
}

static int healthy(const struct mlp_fit *fit, struct mlp_pair cost)
{
    return isfinite(cost.high) &&
           fit->net->kernels->all_finite(fit->net->n_parameters, fit->net->parameters);
}

/* The rules after an epoch whose cost is fit->cost; the first epoch of mini-batches has nothing to
 * compare with. A difference that is NaN never counts as converged. */
static enum mlp_event test(const struct mlp_fit *fit, int comparable)
{
    if (comparable && fabs(mlp_pair_difference(fit->cost, fit->previous)) < fit->options.tol)
        return MLP_CONVERGED;
    if (fit->cost.high <= fit->options.goal)
        return MLP_GOAL;
    return MLP_EPOCH;
}

/* One chunk of a full batch. The pass that evaluates C after epoch e is the one whose gradient
 * epoch e + 1 steps along, so the step is taken when the next epoch begins. MLP_PAUSED: not at the
 * end of an epoch yet. */
static enum mlp_event advance_full(struct mlp_fit *fit)
{
    if (!fit->in_epoch) {
        if (fit->stepped) {
            fit->previous = fit->cost;
            copy(fit, fit->net->parameters, fit->start);
            step_all(&fit->step, fit->net, &fit->team);
        }
        mlp_pass_start(&fit->pass, NULL, 0, fit->n);
        fit->in_epoch = 1;
    }
    if (!mlp_pass_advance(&fit->pass))
        return MLP_PAUSED;
    fit->in_epoch = 0;
    fit->evaluated = 1;
    if (!fit->stepped) { /* C_0 */
        fit->stepped = 1;
        fit->cost = fit->pass.cost;
        fit->initial_cost = fit->cost.high;
        if (!healthy(fit, fit->cost)) {
            fit->diverged = 1;
            return MLP_DIVERGED;
        }
        return fit->cost.high <= fit->options.goal ? MLP_GOAL : MLP_PAUSED;
    }
    if (!healthy(fit, fit->pass.cost))
        return diverge(fit);
    fit->cost = fit->pass.cost;
    fit->epochs++;
    return test(fit, 1);
}

/* Entries of a permutation that are drawn at a time: less than 10 ms, even out of cache. */
#define SHUFFLE ((size_t)1 << 17)

/* What an epoch's test or a batch's end costs, in multiply-adds, beside its work on instances. */
#define OVERHEAD 1000.0
/* The same for a step that online() takes. */
#define ONLINE_OVERHEAD 300.0

/* After the last mini-batch of an epoch. */
static enum mlp_event finish_epoch(struct mlp_fit *fit)
{
    if (!healthy(fit, fit->sum))
        return diverge(fit);
    fit->cost = mlp_pair_normalise(fit->sum);
    fit->in_epoch = 0;
    fit->epochs++;
    return test(fit, fit->epochs > 1);
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
    if (fit->options.batch_size != 1 || fit->step.velocity != NULL)
        return 0;
    const double work = 3.0 * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t steps =
        mlp_online(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, fit->order, fit->batch,
                   affordable(fit, work, fit->n - fit->batch), fit->options.descent.learning_rate,
                   fit->step.gradient, &fit->sum);
    fit->work -= (double)steps * work;
    fit->batch += steps;
    fit->evaluated |= steps > 0;
    return steps;
}

/* One chunk of a mini-batch, and the step when it was the batch's last; or part of the shuffle. */
static enum mlp_event advance_batches(struct mlp_fit *fit)
{
    if (!fit->in_epoch) {
        fit->previous = fit->cost;
        copy(fit, fit->net->parameters, fit->start);
        fit->start_stream = fit->options.stream;
        if (fit->order) {
            for (size_t i = 0; i < fit->n; i++)
                fit->order[i] = i;
            fit->unshuffled = fit->n;
        }
        fit->batch = 0;
        fit->sum = (struct mlp_pair){0.0, 0.0};
        fit->in_epoch = 1;
        fit->stepped = 1;
    }
    if (fit->unshuffled > 1) {
        fit->unshuffled =
            mlp_random_shuffle(&fit->options.stream, fit->unshuffled, SHUFFLE, fit->order);
        return MLP_PAUSED;
    }
    if (fit->stepped && online_steps(fit) > 0)
        return fit->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
    if (fit->stepped) {
        const size_t left = fit->n - fit->batch, size = fit->options.batch_size;
        mlp_pass_start(&fit->pass, fit->order, fit->batch, left < size ? left : size);
        fit->pass.keep = left <= size; /* for its norm */
        fit->stepped = 0;
    }
    if (!mlp_pass_advance(&fit->pass))
        return MLP_PAUSED;
    fit->evaluated = 1;
    fit->sum = mlp_pair_add(fit->sum, fit->pass.cost);
    if (!isfinite(fit->sum.high))
        return diverge(fit);
    fit->stepped = 1;
    fit->batch += fit->pass.n;
    return fit->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
}

/* Full-batch epochs of a tiny network in one call of a kernel; 1 when there were any. */
static int small_epochs(struct mlp_fit *fit, size_t until, size_t capacity, double *history)
{
    if (fit->options.batch_size || fit->in_epoch || !fit->stepped || fit->step.velocity != NULL ||
        fit->epochs >= until)
        return 0;
    const double work = 3.0 * (double)fit->n * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t left = until - fit->epochs;
    const struct mlp_rules rules = {affordable(fit, work, left < capacity ? left : capacity),
                                    fit->options.tol, fit->options.goal};
    const size_t epochs = mlp_epochs(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, fit->n,
                                     fit->options.descent.learning_rate, &rules, fit->step.gradient,
                                     &fit->cost, history);
    fit->work -= (double)epochs * work;
    fit->epochs += epochs;
    return epochs > 0;
}

enum mlp_event mlp_fit_run(struct mlp_fit *fit, size_t until, double work, size_t capacity,
                           double *history, size_t *recorded)
{
    enum mlp_event event = MLP_PAUSED;
    const uint64_t saved = mlp_fp_enter();
    mlp_team_open(&fit->team, fit->space.n_threads);
    *recorded = 0;
    fit->work = work;
    while (fit->work > 0.0) {
        const size_t epochs = fit->epochs;
        if (small_epochs(fit, until, capacity - *recorded, history + *recorded)) {
            *recorded += fit->epochs - epochs;
            event = MLP_EPOCH;
        } else {
            fit->pass.work = 0.0;
            event = fit->options.batch_size ? advance_batches(fit) : advance_full(fit);
            if (fit->epochs > epochs)
                history[(*recorded)++] = fit->cost.high;
            fit->work -= fit->unshuffled > 1 ? 10.0 * (double)SHUFFLE : fit->pass.work + OVERHEAD;
        }
        if (event == MLP_EPOCH && fit->epochs < until && *recorded < capacity)
            event = MLP_PAUSED;
        if (event != MLP_PAUSED)
            break;
    }
    mlp_team_close(&fit->team);
    mlp_fp_leave(saved);
    return event;
}

int mlp_fit_finish(struct mlp_fit *fit, double work, double *cost)
{
    const uint64_t saved = mlp_fp_enter();
    if (!fit->finishing) {
        fit->pass.gradient = NULL;
        fit->pass.step = NULL;
        mlp_pass_start(&fit->pass, NULL, 0, fit->n);
        fit->finishing = 1;
    }
    int done = 0;
    mlp_team_open(&fit->team, fit->space.n_threads);
    while (!done && work > 0.0) {
        done = mlp_pass_advance(&fit->pass);
        work -= fit->pass.work + OVERHEAD;
    }
    mlp_team_close(&fit->team);
    if (done)
        *cost = fit->pass.cost.high;
    mlp_fp_leave(saved);
    return done;
}

uint64_t mlp_fit_position(const struct mlp_fit *fit) { return fit->options.stream.position; }

void mlp_fit_describe(const struct mlp_fit *fit, struct mlp_fit_report *report)
{
    *report = (struct mlp_fit_report){.epochs = fit->epochs,
                                      .initial_cost = fit->initial_cost,
                                      .cost = fit->cost.high,
                                      .gradient_norm = (double)NAN,
                                      .stream = fit->options.stream,
                                      .velocity = fit->diverged ? NULL : fit->step.velocity};
    if (fit->evaluated && !fit->diverged) {
        const uint64_t saved = mlp_fp_enter();
        report->gradient_norm =
            sqrt(fit->net->kernels->sum_squares(fit->net->n_parameters, fit->step.gradient));
        mlp_fp_leave(saved);
    }
}
