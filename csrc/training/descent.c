/* descent.c - gradient descent and Adam: epochs of a full batch, of mini-batches or of single instances,
 * at the learning rate that a schedule gives each of them. */
#include "training/descent.h"

#include "network/memory.h"
#include "network/online.h"
#include "network/random.h"
#include "network/rows.h"
#include "network/scaling.h"
#include "training/methods.h"
#include "training/schedule.h"

#include <math.h>
#include <stdlib.h>

enum mlp_status mlp_descent_step(struct mlp_step *step, const struct mlp_network *net,
                                 const struct mlp_fit_options *options)
{
    return mlp_step_new(step, net, &options->descent,
                        options->solver == MLP_ADAM ? &options->adam : NULL);
}

double mlp_clip(const struct mlp_clipping *clipping, const struct mlp_network *net,
                double *gradient)
{
    const size_t P = net->n_parameters;
    const double norm = sqrt(net->kernels->sum_squares(P, gradient));
    if (clipping->value > 0.0)
        net->kernels->clip(P, 1.0, clipping->value, gradient);
    else if (norm > clipping->norm)
        net->kernels->clip(P, clipping->norm / norm, HUGE_VAL, gradient);
    return norm;
}

/* Whether C is the plain sum of the instances' losses, which is all that online() and epochs() know. */
static int is_plain_sum(const struct mlp_problem *problem)
{
    return problem->weights == NULL && problem->l1 == 0.0 && problem->l2 == 0.0 &&
           problem->dropout == NULL;
}

/* Instances of mini-batches as the epoch takes them: the fit's own in the epoch's order, or those of elsewhere
 * that are at hand. */
struct source {
    const struct mlp_matrix *x, *y, *weights;
    const size_t *order;
    size_t begin; /* where the current batch begins in it */
    size_t rows;  /* how many there are from there on */
};

struct descent {
    struct mlp_step step;
    struct mlp_schedule schedule;
    double plateau[2]; /* the lowest cost, and the epochs in a row that did not lower it */
    struct mlp_clipping clipping;
    struct mlp_full full; /* of a full batch; the others are of mini-batches */
    size_t *
        drawn; /* (n,) the epoch's permutation, with shuffle; where rows come in blocks, of places */
    size_t unshuffled;        /* entries of it that are still to be drawn */
    uint64_t key[2];          /* of the epoch's stream, with MLP_SHUFFLE_BLOCKS */
    struct mlp_blocks blocks; /* the caller's, whose rows are then shuffled as they come */
    struct mlp_blocks *given;
    size_t shuffled;     /* rows that are shuffled among each other */
    const size_t *order; /* the epoch's, or NULL */
    int in_epoch, in_batch;
    size_t batch; /* first row of the current batch */
    struct mlp_matrix x, y,
        weights; /* instances from elsewhere: the epoch's rows `at` .. at + rows - 1 */
    size_t at, rows;
    struct mlp_pair sum;
    double norm; /* of the last gradient before it was clipped */
};

static void descent_free(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (d == NULL)
        return;
    mlp_step_free(&d->step);
    free(d->drawn);
    free(d);
}

/* The caller's next rows, in the epoch's order. */
static int next_shuffled(void *context, size_t row)
{
    struct descent *d = context;
    struct mlp_blocks *b = d->given;
    if ((row < b->first || row >= b->end) && b->next(b->context, row) != 0)
        return 1;
    d->blocks.first = b->first;
    d->blocks.end = b->end;
    d->blocks.at = b->at;
    mlp_random_blocks(d->key, d->shuffled, b->first, b->at, b->end - b->first, d->drawn + b->at);
    return 0;
}

/* Begins the permutation of an epoch. */
static void start_shuffle(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (fit->options.shuffle == MLP_SHUFFLE_BLOCKS)
        mlp_random_key(&fit->options.stream, d->key);
    if (d->given != NULL) {
        d->blocks.first = d->blocks.end = 0; /* those in memory have another order now */
        return;
    }
    mlp_identity(fit->n, d->drawn);
    d->unshuffled = fit->n;
}

/* Entries of a permutation that are drawn at a time: less than 10 ms, even out of cache. */
#define SHUFFLE ((size_t)1 << 17)

/* A portion of it. */
static void shuffle(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    fit->work -= 10.0 * (double)SHUFFLE;
    if (fit->options.shuffle == MLP_SHUFFLE) {
        d->unshuffled = mlp_random_shuffle(&fit->options.stream, d->unshuffled, SHUFFLE, d->drawn);
        return;
    }
    const size_t size = d->shuffled, row = fit->n - d->unshuffled;
    size_t rows = size < SHUFFLE ? SHUFFLE / size * size : size;
    rows = rows < d->unshuffled ? rows : d->unshuffled;
    mlp_random_blocks(d->key, size, row, row, rows, d->drawn + row);
    d->unshuffled -= rows;
}

static enum mlp_status descent_start(struct mlp_fit *fit)
{
    const struct mlp_fit_options *o = &fit->options;
    struct descent *d = fit->memory = calloc(1, sizeof *d);
    if (d == NULL)
        return MLP_NO_MEMORY;
    d->schedule = o->schedule;
    d->plateau[0] = HUGE_VAL;
    d->clipping = (struct mlp_clipping){o->clip_norm, o->clip_value};
    const enum mlp_status status = mlp_descent_step(&d->step, fit->net, o);
    if (status != MLP_OK)
        return status;
    if (o->batch_size && o->shuffle) {
        size_t bytes;
        const size_t places = fit->x.blocks == NULL ? fit->n : fit->x.blocks->places;
        if (!mlp_size_multiply(places, sizeof *d->drawn, &bytes))
            return MLP_TOO_LARGE;
        d->drawn = malloc(bytes);
        if (d->drawn == NULL)
            return MLP_NO_MEMORY;
        d->shuffled = MLP_SHUFFLED(mlp_n_inputs(fit->net));
        if (fit->x.blocks != NULL) {
            d->given = fit->x.blocks;
            d->blocks = (struct mlp_blocks){.next = next_shuffled, .context = d};
            fit->x.blocks = &d->blocks;
        }
    }
    fit->pass.gradient = d->step.gradient;
    fit->pass.step = o->batch_size && !mlp_clips(&d->clipping) ? &d->step : NULL;
    fit->gradient = o->batch_size && mlp_clips(&d->clipping) ? NULL : d->step.gradient;
    fit->norm = &d->norm;
    fit->rate = &d->step.rate;
    d->norm = NAN;
    return MLP_OK;
}

/* The learning rate of the epoch that begins. */
static void set_rate(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    struct mlp_step *s = &d->step;
    if (d->schedule.kind == MLP_CONSTANT)
        return;
    const int adam = s->m != NULL, plateau = d->schedule.kind == MLP_PLATEAU;
    const double own = adam ? s->adam.learning_rate : s->options.learning_rate;
    s->rate = mlp_schedule_rate(&d->schedule, fit->net->kernels, plateau ? s->rate : own,
                                fit->epochs + 1, fit->cost.high, d->plateau);
}

/* The step along a gradient that no part of it was taken along yet. */
static void take_step(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (mlp_clips(&d->clipping))
        d->norm = mlp_clip(&d->clipping, fit->net, d->step.gradient);
    mlp_step_prepare(&d->step);
    mlp_step_take_all(&d->step, fit->net, fit->pass.team);
    mlp_step_count(&d->step);
}

static void full_step(struct mlp_fit *fit)
{
    set_rate(fit);
    take_step(fit);
}

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

/* Where the next `rows` instances are; 0 where they do not come, and there is no work left. */
static int find(struct mlp_fit *fit, size_t rows, struct source *source)
{
    struct descent *d = fit->memory;
    const struct mlp_elsewhere *e = fit->options.elsewhere;
    const struct mlp_matrix *weights = fit->options.problem.weights;
    if (e == NULL || mlp_n_ranges(fit->net, rows) > 1) {
        *source = (struct source){&fit->x,  &fit->y,  fit->pass.weights,
                                  d->order, d->batch, fit->n - d->batch};
        return 1;
    }
    if (d->batch < d->at || d->batch + rows > d->at + d->rows) {
        struct mlp_matrix x = {0}, y = {0};
        d->rows = 0;
        if (!e->rows(e->context, d->order, d->batch, rows, &x, &y, &d->weights, &d->rows)) {
            fit->work = -HUGE_VAL;
            return 0;
        }
        d->at = d->batch;
        d->x = *mlp_inputs(fit->net, &x, &d->x);
        d->y = *mlp_targets(fit->net, &y, &d->y);
    }
    *source = (struct source){&d->x,
                              &d->y,
                              weights == NULL ? NULL : &d->weights,
                              NULL,
                              d->batch - d->at,
                              d->at + d->rows - d->batch};
    return 1;
}

/* Steps on single instances in one call of a kernel; returns their number. */
static size_t online_steps(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    if (fit->options.batch_size != 1 || !d->step.plain || fit->pass.step == NULL ||
        !is_plain_sum(&fit->options.problem))
        return 0;
    const double work = 3.0 * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    struct source from;
    if (!find(fit, 1, &from))
        return 0;
    size_t most = affordable(fit, work, from.rows);
    const size_t place = mlp_rows_at(from.x, from.begin, &most);
    if (most == 0)
        return 0; /* the pass will say so */
    const size_t steps = mlp_online(fit->net, &fit->space.arenas[0], from.x, from.y, from.order,
                                    place, most, d->step.rate, d->step.gradient, &d->sum);
    fit->work -= (double)steps * work;
    d->batch += steps;
    fit->evaluated |= steps > 0;
    return steps;
}

/* 1 / sum s over the next n rows, or 0 where these are all 0. */
static double inverse_weight(const struct source *from, size_t n)
{
    if (from->weights == NULL)
        return 1.0 / (double)n;
    double sum = 0.0, buffer[256];
    for (size_t i = 0, rows; i < n; i += rows) {
        rows = n - i < 256 ? n - i : 256;
        const double *s = mlp_rows(from->weights, from->order, from->begin + i, rows, buffer);
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
        if (d->drawn != NULL)
            start_shuffle(fit);
        d->batch = 0;
        d->rows = 0; /* those of the last epoch */
        d->sum = (struct mlp_pair){0.0, 0.0};
        d->in_epoch = 1;
        d->in_batch = 0;
    }
    if (d->unshuffled > 1) {
        shuffle(fit);
        return MLP_PAUSED;
    }
    if (!d->in_batch && online_steps(fit) > 0)
        return d->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
    if (!d->in_batch) {
        const size_t left = fit->n - d->batch, size = fit->options.batch_size;
        const size_t rows = left < size ? left : size;
        struct source from;
        if (!find(fit, rows, &from))
            return MLP_PAUSED;
        fit->pass.elsewhere = from.x == &fit->x ? fit->options.elsewhere : NULL;
        fit->pass.x = from.x;
        fit->pass.y = from.y;
        fit->pass.weights = from.weights;
        if (fit->options.mean)
            d->step.scale = inverse_weight(&from, rows);
        mlp_step_prepare(&d->step);
        mlp_fit_batch(fit, from.order, from.begin, rows);
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
        mlp_step_count(&d->step);
    d->in_batch = 0;
    d->batch += fit->pass.n;
    return d->batch < fit->n ? MLP_PAUSED : finish_epoch(fit);
}

/* Full-batch epochs of a tiny network in one call of a kernel, but for the last one of the fit; 1 when
 * there were any. */
static int small_epochs(struct mlp_fit *fit)
{
    struct descent *d = fit->memory;
    const size_t most = fit->options.most;
    const size_t until = most > 0 && most <= fit->until ? most - 1 : fit->until;
    if (fit->x.blocks != NULL || d->full.in_pass || d->full.entered || !d->full.stepped ||
        !d->step.plain || mlp_clips(&d->clipping) || d->schedule.kind != MLP_CONSTANT ||
        !is_plain_sum(&fit->options.problem) || fit->epochs >= until || fit->validation.n > 0)
        return 0;
    const double work = 3.0 * (double)fit->n * (double)fit->net->n_parameters + ONLINE_OVERHEAD;
    const size_t left = until - fit->epochs, room = fit->capacity - fit->recorded;
    const struct mlp_rules rules = {affordable(fit, work, left < room ? left : room),
                                    fit->options.tol, fit->options.goal};
    double *norm = fit->history.norm + fit->recorded;
    const size_t epochs =
        mlp_epochs(fit->net, &fit->space.arenas[0], &fit->x, &fit->y, fit->n, d->step.rate, &rules,
                   d->step.gradient, &fit->cost, fit->history.cost + fit->recorded, norm);
    for (size_t i = 0; i < epochs; i++)
        norm[i] = sqrt(norm[i]);
    fit->work -= (double)epochs * work;
    if (epochs > 0)
        fit->last_norm.high = norm[epochs - 1];
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
    fit->x = *mlp_inputs(fit->net, x, &fit->x);
    fit->y = *mlp_targets(fit->net, y, &fit->y);
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
    report->n_arrays += mlp_step_describe(&d->step, fit->net->n_parameters, d->step.m != NULL,
                                          report->arrays + report->n_arrays);
    if (d->schedule.kind != MLP_CONSTANT)
        mlp_remember(report, "learning_rate", &d->step.rate, 1);
    if (d->schedule.kind == MLP_PLATEAU)
        mlp_remember(report, "plateau", d->plateau, 2);
}

static const char *descent_resume(struct mlp_fit *fit)
{
    const struct descent *d = fit->memory;
    if (d->schedule.kind != MLP_CONSTANT && !(d->step.rate >= 0.0))
        return "learning_rate";
    if (d->schedule.kind == MLP_PLATEAU && !(d->plateau[1] >= 0.0))
        return "plateau";
    return mlp_step_refused(&d->step, fit->net->n_parameters);
}

/* Rows that come in blocks, or are shuffled in blocks, have no place to go on at but an epoch's start. */
static int has_places(const struct mlp_fit *fit)
{
    return fit->options.shuffle != MLP_SHUFFLE_BLOCKS && fit->x.blocks == NULL;
}

static size_t descent_row(struct mlp_fit *fit, struct mlp_pair **sum)
{
    struct descent *d = fit->memory;
    if (fit->options.batch_size == 0)
        return mlp_full_row(fit, &d->full, sum);
    *sum = &d->sum;
    return has_places(fit) && d->in_epoch && !d->in_batch && d->unshuffled <= 1 ? d->batch : 0;
}

/* The order of the epoch is drawn again, from where the stream was at its start. */
static int descent_enter(struct mlp_fit *fit, size_t row)
{
    struct descent *d = fit->memory;
    const uint64_t position = fit->options.stream.position;
    const int drops = fit->options.problem.dropout != NULL; /* which draws on within the epoch */
    if (fit->options.batch_size == 0)
        return mlp_full_enter(fit, &d->full, row);
    if (!has_places(fit) || row == fit->n || row % fit->options.batch_size != 0)
        return 0;
    if (d->drawn == NULL && !drops && fit->start_stream.position != position)
        return 0; /* it was another order */
    d->order = fit->options.order;
    if (d->drawn != NULL) {
        struct mlp_stream stream = fit->start_stream;
        mlp_identity(fit->n, d->drawn);
        for (size_t left = fit->n; left > 1;)
            left = mlp_random_shuffle(&stream, left, SHUFFLE, d->drawn);
        if (drops ? stream.position > position : stream.position != position)
            return 0;
        d->order = d->drawn;
    }
    d->batch = row;
    d->in_epoch = 1;
    return 1;
}

#define METHOD                                                                                     \
    {.start = descent_start,                                                                       \
     .free = descent_free,                                                                         \
     .advance = descent_advance,                                                                   \
     .describe = descent_describe,                                                                 \
     .resume = descent_resume,                                                                     \
     .row = descent_row,                                                                           \
     .enter = descent_enter}
const struct mlp_method mlp_descent_method = METHOD, mlp_adam_method = METHOD;
