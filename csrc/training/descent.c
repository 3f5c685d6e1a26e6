/* descent.c - gradient descent and Adam: the step, one step on a given batch (the trainer), and
 * epochs of a full batch, of mini-batches or of single instances (the fit's method). */
#include "training/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the step ---- */

/* The gradient and what the solver remembers in one block. */
static enum mlp_status step_new(struct mlp_step *step, const struct mlp_network *net,
                                const struct mlp_fit_options *options)
{
    const int adam = options->solver == MLP_ADAM, momentum = !adam && options->descent.momentum > 0;
    const size_t P = net->n_parameters, buffers = adam ? 3 : momentum ? 2 : 1;
    size_t n;
    *step = (struct mlp_step){.plain = !adam && !momentum,
                              .rate = adam ? options->adam.learning_rate
                                           : options->descent.learning_rate,
                              .scale = 1.0,
                              .raw_epsilon = options->adam.raw_epsilon,
                              .options = options->descent,
                              .adam = options->adam,
                              .powers = {1.0, 1.0},
                              .schedule = options->schedule,
                              .plateau = {HUGE_VAL, 0.0},
                              .clip_norm = options->clip_norm,
                              .clip_value = options->clip_value};
    if (!mlp_size_multiply(P, buffers, &n))
        return MLP_TOO_LARGE;
    step->gradient = mlp_allocate(n);
    if (step->gradient == NULL)
        return MLP_NO_MEMORY;
    memset(step->gradient + P, 0, (n - P) * sizeof(double));
    if (momentum)
        step->velocity = step->gradient + P;
    if (adam) {
        step->m = step->gradient + P;
        step->v = step->m + P;
    }
    return MLP_OK;
}

/* Whether the gradient is clipped, so that no part of the step can be taken before all of it is
 * there. */
static int clips(const struct mlp_step *step)
{
    return step->clip_norm > 0.0 || step->clip_value > 0.0;
}

/* Whether C is the plain sum of the instances' losses, which is all that online() and epochs() know. */
static int is_plain_sum(const struct mlp_problem *problem)
{
    return problem->weights == NULL && problem->l1 == 0.0 && problem->l2 == 0.0 &&
           problem->dropout == NULL;
}

/* What the next step needs beside its gradient. */
static void step_prepare(struct mlp_step *step)
{
    const struct mlp_adam *o = &step->adam;
    if (step->m == NULL)
        return;
    const double rate = step->rate / (1.0 - step->powers[0] * o->beta1);
    const double second = sqrt(1.0 - step->powers[1] * o->beta2);
    step->next = (struct mlp_adam_step){
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .rate = step->raw_epsilon ? rate * second : rate,
        .root = step->raw_epsilon ? 1.0 : 1.0 / second,
        .keep = 1.0 - step->rate * o->weight_decay,
        .scale = step->scale,
    };
}

/* The step has been taken. */
static void step_count(struct mlp_step *step)
{
    step->powers[0] *= step->adam.beta1;
    step->powers[1] *= step->adam.beta2;
    step->steps += 1.0;
}

void mlp_step_take(const struct mlp_step *step, const struct mlp_network *net, size_t begin,
                   size_t n)
{
    const struct mlp_descent *o = &step->options;
    const double rate = step->rate * step->scale;
    if (step->plain)
        net->kernels->descend(n, rate, step->gradient + begin, net->parameters + begin);
    else if (step->m != NULL)
        net->kernels->adam(n, &step->next, step->gradient + begin, step->m + begin, step->v + begin,
                           net->parameters + begin);
    else
        net->kernels->descend_momentum(n, rate, o->momentum, o->nesterov, step->gradient + begin,
                                       step->velocity + begin, net->parameters + begin);
}

/* arrays <- what the step remembers, its number included if it is counted; how many these are. */
static size_t step_describe(struct mlp_step *step, size_t P, int counted, struct mlp_array *arrays)
{
    size_t n = 0;
    if (step->velocity != NULL)
        arrays[n++] = (struct mlp_array){"velocity", step->velocity, P};
    if (step->m != NULL) {
        arrays[n++] = (struct mlp_array){"m", step->m, P};
        arrays[n++] = (struct mlp_array){"v", step->v, P};
        arrays[n++] = (struct mlp_array){"powers", step->powers, 2};
    }
    if (counted)
        arrays[n++] = (struct mlp_array){"steps", &step->steps, 1};
    if (step->schedule.kind != MLP_CONSTANT)
        arrays[n++] = (struct mlp_array){"learning_rate", &step->rate, 1};
    if (step->schedule.kind == MLP_PLATEAU)
        arrays[n++] = (struct mlp_array){"plateau", step->plateau, 2};
    return n;
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

/* Multiply-adds that Adam's step of one parameter is worth: 0.37 ns from the cache with AVX-512, 0.74
 * ns with AVX2, where a product does one in 0.02 to 0.04 ns. */
#define ADAM_WORK 20.0

/* All parameters take the step. */
static void step_all(const struct mlp_step *step, const struct mlp_network *net,
                     const struct mlp_team *team)
{
    const double work = (step->m != NULL ? ADAM_WORK : 1.0) * (double)net->n_parameters;
    struct step_context c = {step, net, mlp_team_size(team, net, work)};
    mlp_team_run(team, c.parts, c.parts, step_task, &c);
}

/* Clips the gradient; returns its norm before. */
static double clip(const struct mlp_step *step, const struct mlp_network *net)
{
    const size_t P = net->n_parameters;
    const double norm = sqrt(net->kernels->sum_squares(P, step->gradient));
    if (step->clip_value > 0.0)
        net->kernels->clip(P, 1.0, step->clip_value, step->gradient);
    else if (norm > step->clip_norm)
        net->kernels->clip(P, step->clip_norm / norm, HUGE_VAL, step->gradient);
    return norm;
}

/* ---- the trainer ---- */

struct mlp_trainer {
    struct mlp_network *net; /* the caller's, or `dropping` */
    struct mlp_network *dropping;
    struct mlp_penalty penalty;
    struct mlp_stream stream;
    size_t n_threads;
    struct mlp_step step;
    struct mlp_workspace space; /* for batches of up to `largest` */
    size_t largest;
};

enum mlp_status mlp_trainer_new(struct mlp_trainer **trainer, struct mlp_network *network,
                                const struct mlp_fit_options *options, size_t n_threads)
{
    struct mlp_trainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return MLP_NO_MEMORY;
    t->net = network;
    t->n_threads = n_threads;
    t->penalty = (struct mlp_penalty){options->problem.l1, options->problem.l2};
    t->stream = options->stream;
    enum mlp_status status = MLP_OK;
    if (options->problem.dropout != NULL) {
        t->net = t->dropping = mlp_network_twin(network, network->parameters);
        if (t->dropping == NULL)
            status = MLP_NO_MEMORY;
        else
            mlp_network_set_dropout(t->dropping, options->problem.dropout);
    }
    if (status == MLP_OK)
        status = step_new(&t->step, network, options);
    if (status != MLP_OK) {
        mlp_network_free(t->dropping);
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
    mlp_network_free(trainer->dropping);
    free(trainer);
}

enum mlp_status mlp_trainer_step(struct mlp_trainer *trainer, const struct mlp_matrix *x,
                                 const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                 size_t n, double *cost)
{
    const struct mlp_network *net = trainer->net;
    struct mlp_step *step = &trainer->step;
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
                            .weights = weights,
                            .penalty = trainer->penalty,
                            .gradient = step->gradient,
                            .step = clips(step) ? NULL : step};
    struct mlp_pair sum = {0.0, 0.0};
    const uint64_t saved = mlp_fp_enter();
    if (n == 1 && step->plain && pass.step != NULL && weights == NULL &&
        !mlp_penalises(&trainer->penalty) &&
        mlp_online(net, &trainer->space.arenas[0], x, y, NULL, 0, 1, step->rate, NULL, &sum)) {
        *cost = sum.high;
        step_count(step);
        mlp_fp_leave(saved);
        return MLP_OK;
    }
    if (3.0 * (double)n * (double)net->n_parameters >= 2.0 * net->grain)
        mlp_team_open(&team, trainer->n_threads);
    step_prepare(step);
    if (trainer->dropping != NULL)
        pass.masks = mlp_masks_take(net, &trainer->stream, n);
    mlp_pass_start(&pass, NULL, 0, n);
    while (!mlp_pass_advance(&pass)) {
    }
    *cost = pass.cost.high;
    if (isfinite(*cost)) {
        if (pass.step == NULL) {
            clip(step, net);
            step_all(step, net, &team);
        }
        step_count(step);
    }
    mlp_fp_leave(saved);
    mlp_team_close(&team);
    return MLP_OK;
}

uint64_t mlp_trainer_position(const struct mlp_trainer *trainer)
{
    return trainer->stream.position;
}

void mlp_trainer_set_position(struct mlp_trainer *trainer, uint64_t position)
{
    trainer->stream.position = position;
}

size_t mlp_trainer_describe(struct mlp_trainer *trainer, struct mlp_array arrays[MLP_MAX_ARRAYS])
{
    const size_t P = trainer->net->n_parameters;
    arrays[0] = (struct mlp_array){"parameters", trainer->net->parameters, P};
    return 1 + step_describe(&trainer->step, P, 1, arrays + 1);
}

const char *mlp_trainer_resume(struct mlp_trainer *trainer, const struct mlp_array *arrays,
                               size_t n)
{
    struct mlp_array to[MLP_MAX_ARRAYS];
    const size_t n_to = mlp_trainer_describe(trainer, to);
    const char *name = mlp_arrays_missing(to, n_to, arrays, n);
    if (name == NULL)
        mlp_arrays_copy(to, n_to, arrays, n);
    return name;
}

/* ---- the fit's method ---- */

struct descent {
    struct mlp_step step;
    struct mlp_full full; /* of a full batch; the others are of mini-batches */
    size_t *drawn;        /* (n,) the epoch's permutation, with shuffle */
    size_t unshuffled;    /* entries of it that are still to be drawn */
    const size_t *order;  /* the epoch's, or NULL */
    int in_epoch, in_batch;
    size_t batch; /* first row of the current batch */
    struct mlp_pair sum;
    double norm; /* of the last gradient before it was clipped */
};

static void descent_free(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (d == NULL)
        return;
    mlp_release(d->step.gradient);
    free(d->drawn);
    free(d);
}

static enum mlp_status descent_start(struct mlp_fit *fit)
{
    const struct mlp_fit_options *o = &fit->options;
    struct descent *d = fit->memory = calloc(1, sizeof *d);
    if (d == NULL)
        return MLP_NO_MEMORY;
    const enum mlp_status status = step_new(&d->step, fit->net, o);
    if (status != MLP_OK)
        return status;
    if (o->batch_size && o->shuffle) {
        size_t bytes;
        if (!mlp_size_multiply(fit->n, sizeof *d->drawn, &bytes))
            return MLP_TOO_LARGE;
        d->drawn = malloc(bytes);
        if (d->drawn == NULL)
            return MLP_NO_MEMORY;
    }
    fit->pass.gradient = d->step.gradient;
    fit->pass.step = o->batch_size && !clips(&d->step) ? &d->step : NULL;
    fit->gradient = o->batch_size && clips(&d->step) ? NULL : d->step.gradient;
    fit->norm = &d->norm;
    fit->rate = &d->step.rate;
    d->norm = NAN;
    return MLP_OK;
}

/* The learning rate of the epoch that begins. */
static void set_rate(struct mlp_fit *fit)
{
    struct mlp_step *s = &((struct descent *)fit->memory)->step;
    if (s->schedule.kind == MLP_CONSTANT)
        return;
    const int adam = s->m != NULL, plateau = s->schedule.kind == MLP_PLATEAU;
    const double own = adam ? s->adam.learning_rate : s->options.learning_rate;
    s->rate = mlp_schedule_rate(&s->schedule, fit->net->kernels, plateau ? s->rate : own,
                                fit->epochs + 1, fit->cost.high, s->plateau);
}

/* The step along a gradient that no part of it was taken along yet. */
static void take_step(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (clips(&d->step))
        d->norm = clip(&d->step, fit->net);
    step_prepare(&d->step);
    step_all(&d->step, fit->net, fit->pass.team);
    step_count(&d->step);
}

static void full_step(struct mlp_fit *fit)
{
    set_rate(fit);
    take_step(fit);
}

/* The pass that evaluates C after epoch e is the one whose gradient epoch e + 1 steps along, so the
 * step is taken when the next epoch begins. */
enum mlp_event mlp_full_advance(struct mlp_fit *fit, struct mlp_full *full,
                                void (*step)(struct mlp_fit *fit))
{
    if (!full->in_pass && full->stepped) {
        mlp_fit_keep(fit);
        step(fit);
    }
    if (!mlp_fit_pass(fit, &full->in_pass))
        return MLP_PAUSED;
    fit->evaluated = 1;
    if (!full->stepped) {
        full->stepped = 1;
        return mlp_fit_begin(fit);
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
    if (fit->options.batch_size != 1 || !d->step.plain || fit->pass.step == NULL ||
        !is_plain_sum(&fit->options.problem))
        return 0;
    const double work = 3.0 * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t steps = mlp_online(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, d->order,
                                    d->batch, affordable(fit, work, fit->n - d->batch),
                                    d->step.rate, d->step.gradient, &d->sum);
    fit->work -= (double)steps * work;
    d->batch += steps;
    fit->evaluated |= steps > 0;
    return steps;
}

/* 1 / sum s over the next n rows, or 0 where these are all 0. */
static double inverse_weight(const struct mlp_fit *fit, size_t n)
{
    const struct descent *d = fit->memory;
    if (fit->pass.weights == NULL)
        return 1.0 / (double)n;
    double sum = 0.0, buffer[256];
    for (size_t i = 0, rows; i < n; i += rows) {
        rows = n - i < 256 ? n - i : 256;
        const double *s = mlp_rows(fit->pass.weights, d->order, d->batch + i, rows, buffer);
        for (size_t k = 0; k < rows; k++)
            sum += s[k];
    }
    return sum > 0.0 ? 1.0 / sum : 0.0;
}

/* One chunk of a mini-batch, and the step when it was the batch's last; or part of the shuffle. */
static enum mlp_event advance_batches(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (!d->in_epoch) {
        mlp_fit_keep(fit);
        set_rate(fit);
        d->order = d->drawn != NULL ? d->drawn : fit->options.order;
        if (d->drawn != NULL) {
            mlp_identity(fit->n, d->drawn);
            d->unshuffled = fit->n;
        }
        d->batch = 0;
        d->sum = (struct mlp_pair){0.0, 0.0};
        d->in_epoch = 1;
        d->in_batch = 0;
    }
    if (d->unshuffled > 1) {
        d->unshuffled = mlp_random_shuffle(&fit->options.stream, d->unshuffled, SHUFFLE, d->drawn);
        fit->work -= 10.0 * (double)SHUFFLE;
        return MLP_PAUSED;
    }
    if (!d->in_batch && online_steps(fit) > 0)
        return d->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
    if (!d->in_batch) {
        const size_t left = fit->n - d->batch, size = fit->options.batch_size;
        if (fit->options.mean)
            d->step.scale = inverse_weight(fit, left < size ? left : size);
        step_prepare(&d->step);
        mlp_fit_batch(fit, d->order, d->batch, left < size ? left : size);
        fit->pass.keep = left <= size; /* for its norm */
        d->in_batch = 1;
    }
    const int complete = mlp_pass_advance(&fit->pass);
    fit->work -= fit->pass.work;
    if (!complete)
        return MLP_PAUSED;
    fit->evaluated = 1;
    const double share = fit->options.mean ? (double)fit->pass.n * d->step.scale : 1.0;
    d->sum = mlp_pair_add(
        d->sum, (struct mlp_pair){share * fit->pass.cost.high, share * fit->pass.cost.low});
    if (!isfinite(d->sum.high))
        return mlp_fit_diverge(fit);
    if (fit->pass.step == NULL)
        take_step(fit);
    else
        step_count(&d->step);
    d->in_batch = 0;
    d->batch += fit->pass.n;
    return d->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
}

/* Full-batch epochs of a tiny network in one call of a kernel; 1 when there were any. */
static int small_epochs(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (d->full.in_pass || !d->full.stepped || !d->step.plain || clips(&d->step) ||
        d->step.schedule.kind != MLP_CONSTANT || !is_plain_sum(&fit->options.problem) ||
        fit->epochs >= fit->until || fit->validation.n > 0)
        return 0;
    const double work = 3.0 * (double)fit->n * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t left = fit->until - fit->epochs, room = fit->capacity - fit->recorded;
    const struct mlp_rules rules = {affordable(fit, work, left < room ? left : room),
                                    fit->options.tol, fit->options.goal};
    double *norm = fit->history.norm + fit->recorded;
    const size_t epochs =
        mlp_epochs(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, fit->n, d->step.rate, &rules,
                   d->step.gradient, &fit->cost, fit->history.cost + fit->recorded, norm);
    for (size_t i = 0; i < epochs; i++)
        norm[i] = sqrt(norm[i]);
    fit->work -= (double)epochs * work;
    fit->epochs += epochs;
    fit->recorded += epochs;
    return epochs > 0;
}

static enum mlp_event descent_advance(struct mlp_fit *fit)
{
    if (fit->options.batch_size)
        return advance_batches(fit);
    if (small_epochs(fit))
        return MLP_EPOCH;
    return mlp_full_advance(fit, &((struct descent *)fit->memory)->full, full_step);
}

void mlp_fit_set_rate(struct mlp_fit *fit, double rate)
{
    ((struct descent *)fit->memory)->step.rate = rate;
}

int mlp_fit_replace(struct mlp_fit *fit, const struct mlp_matrix *x, const struct mlp_matrix *y,
                    const struct mlp_matrix *weights, size_t n, const size_t *order)
{
    const struct descent *d = fit->memory;
    if (d->in_epoch)
        return 0;
    fit->x = *x;
    fit->y = *y;
    fit->n = n;
    fit->options.order = order;
    if (weights != NULL)
        fit->weights = *weights;
    fit->pass.weights = fit->options.problem.weights = weights != NULL ? &fit->weights : NULL;
    return 1;
}

static void descent_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct descent *d = fit->memory;
    report->n_arrays += step_describe(&d->step, fit->net->n_parameters, d->step.m != NULL,
                                      report->arrays + report->n_arrays);
}

const struct mlp_method mlp_descent_method = {
    .start = descent_start,
    .free = descent_free,
    .advance = descent_advance,
    .describe = descent_describe,
};
