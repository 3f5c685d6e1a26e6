/* fit.c - one call of fit: the loop over what a solver does, in slices so that the caller can look
 * after signals, and the rules that end it. */
#include "training/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What an epoch's test or a batch's end costs, in multiply-adds, beside its work on instances. */
#define OVERHEAD 1000.0

/* ---- how many threads ---- */

/* Whether a team pays for short portions depends on what no model knows: how far apart the caches
 * of its threads are, which the system may change at any time, and who else wants the processors. No
 * bit depends on it, so it is measured: now and then the other way is tried, and taken when it was
 * faster. A moment does not show what a busy processor costs in the long run, so the average over
 * the last period counts as well, for as long as it is not too old. */
#define TRIAL_SECONDS 2e-4
#define TRIAL_PORTIONS 4
/* The first millisecond, when threads wake and pages are touched, counts for neither way. */
#define COLD 1e-3
#define FIRST_WAIT 4e-3
#define SHORT_WAIT 2e-2
#define LONG_WAIT 0.8
#define MEMORY 2.0
/* Of long portions one is enough for a trial, which takes a thirtieth of the time at most. Those of more
 * multiply-adds than this are not tried: on one thread they would hold up signals. */
#define LONG_PORTION 1e-3
#define SHARE 30.0
#define TRIAL_WORK 4e8

static const struct mlp_team one_thread = {.n_threads = 1};

static void note_portion(struct mlp_trial *t, double seconds, double work)
{
    t->portions++;
    t->seconds += seconds;
    t->work += work;
    if (t->clock < COLD && t->clock + seconds >= COLD) {
        t->portions = 0;
        t->seconds = t->work = 0.0;
    }
    t->clock += seconds;
    const int few = t->portions < TRIAL_PORTIONS && t->seconds < LONG_PORTION;
    if (t->trying ? few || t->seconds < TRIAL_SECONDS : t->seconds < t->wait)
        return;
    const double rate = t->seconds / t->work;
    const int now = t->alone;
    if (!t->trying) {
        t->rate[now] = rate;
        t->until[now] = t->clock;
        t->alone = !now;
    } else {
        const int known = t->rate[now] > 0.0 && t->clock - t->until[now] < MEMORY;
        const double expected = known && t->rate[now] > rate ? t->rate[now] : rate;
        const int faster = expected < t->rate[!now];
        t->alone = faster ? now : !now;
        t->wait = faster ? SHORT_WAIT : 2.0 * t->wait < LONG_WAIT ? 2.0 * t->wait : LONG_WAIT;
        if (t->wait < SHARE * t->seconds)
            t->wait = SHARE * t->seconds;
    }
    t->trying = !t->trying;
    t->portions = 0;
    t->seconds = t->work = 0.0;
}

/* advance(), on the threads that pay; *clock is when the portion before ended, or 0. Portions without
 * work of the pass, or with too little of it for a team, count for neither way. */
static enum mlp_event advance(struct mlp_fit *fit, double *clock)
{
    fit->pass.work = 0.0;
    fit->pass.team = fit->trial.alone ? &one_thread : &fit->team;
    const enum mlp_event event = fit->method->advance(fit);
    const double work = fit->pass.work, before = *clock;
    *clock = 0.0;
    if (mlp_team_size(&fit->team, fit->net->grain, work) == 1)
        return event;
    if (work >= TRIAL_WORK || fit->pass.n_ranges > 1) {
        fit->trial = (struct mlp_trial){.wait = FIRST_WAIT};
        return event;
    }
    *clock = mlp_seconds();
    if (before > 0.0)
        note_portion(&fit->trial, *clock - before, work);
    return event;
}

/* ---- a fit ---- */

static const struct mlp_method *method_of(enum mlp_solver solver)
{
    switch (solver) {
    case MLP_LBFGS:
        return &mlp_lbfgs_method;
    case MLP_SCG:
        return &mlp_scg_method;
    case MLP_LEVENBERG_MARQUARDT:
        return &mlp_levenberg_method;
    case MLP_RPROP:
        return &mlp_rprop_method;
    case MLP_ADAM:
    case MLP_GRADIENT_DESCENT:
    default:
        return &mlp_descent_method;
    }
}

void mlp_fit_free(struct mlp_fit *fit)
{
    if (fit == NULL)
        return;
    if (fit->method->free != NULL)
        fit->method->free(fit);
    mlp_workspace_free(&fit->space);
    mlp_release(fit->start);
    mlp_network_free(fit->dropping);
    mlp_release(fit->validation.parameters);
    free(fit);
}

static enum mlp_status allocate(struct mlp_fit *fit)
{
    const struct mlp_fit_options *o = &fit->options;
    const size_t largest = o->batch_size ? o->batch_size : fit->n;
    if (o->problem.dropout != NULL) {
        fit->dropping = mlp_network_twin(fit->net, fit->net->parameters);
        if (fit->dropping == NULL)
            return MLP_NO_MEMORY;
        mlp_network_set_dropout(fit->dropping, o->problem.dropout);
        fit->pass.net = fit->net = fit->dropping;
    }
    /* The last pass takes all. */
    const enum mlp_status status =
        mlp_workspace_new(&fit->space, fit->net, o->n_threads, largest, fit->n, 1);
    if (status != MLP_OK)
        return status;
    fit->start = mlp_allocate(fit->net->n_parameters);
    return fit->start == NULL ? MLP_NO_MEMORY : fit->method->start(fit);
}

enum mlp_status mlp_fit_new(struct mlp_fit **fit, struct mlp_network *network,
                            const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n,
                            const struct mlp_fit_options *options)
{
    struct mlp_fit *f = calloc(1, sizeof *f);
    if (f == NULL)
        return MLP_NO_MEMORY;
    f->whole = f->net = network;
    f->x = *x;
    f->y = *y;
    f->n = n;
    f->options = *options;
    f->method = method_of(options->solver);
    f->start_stream = options->stream;
    f->initial_cost = NAN;
    f->cost.high = NAN;
    f->trial.wait = FIRST_WAIT;
    f->pass = (struct mlp_pass){
        .net = network, .space = &f->space, .team = &f->team, .x = &f->x, .y = &f->y};
    if (options->problem.weights != NULL) {
        f->weights = *options->problem.weights;
        f->pass.weights = &f->weights;
    }
    const enum mlp_status status = allocate(f);
    if (status != MLP_OK) {
        mlp_fit_free(f);
        return status;
    }
    *fit = f;
    return MLP_OK;
}

void mlp_fit_batch(struct mlp_fit *fit, const size_t *order, size_t begin, size_t n)
{
    const struct mlp_problem *p = &fit->options.problem;
    const double share = fit->options.mean ? 1.0 : (double)n / (double)fit->n;
    fit->pass.penalty = (struct mlp_penalty){p->l1 * share, p->l2 * share};
    if (fit->dropping != NULL)
        fit->pass.masks = mlp_masks_take(fit->net, &fit->options.stream, n);
    mlp_pass_start(&fit->pass, order, begin, n);
}

int mlp_fit_pass(struct mlp_fit *fit, int *under_way)
{
    if (!*under_way)
        mlp_fit_batch(fit, NULL, 0, fit->n);
    *under_way = !mlp_pass_advance(&fit->pass);
    fit->work -= fit->pass.work;
    fit->evaluations += !*under_way;
    return !*under_way;
}

enum mlp_event mlp_fit_begin(struct mlp_fit *fit)
{
    fit->cost = fit->pass.cost;
    fit->initial_cost = fit->cost.high;
    if (!mlp_fit_healthy(fit, fit->cost)) {
        fit->diverged = 1;
        return MLP_DIVERGED;
    }
    return fit->cost.high <= fit->options.goal ? MLP_GOAL : MLP_PAUSED;
}

void mlp_fit_keep(struct mlp_fit *fit)
{
    fit->previous = fit->cost;
    fit->start_stream = fit->options.stream;
    memcpy(fit->start, fit->net->parameters, fit->net->n_parameters * sizeof *fit->start);
}

enum mlp_event mlp_fit_diverge(struct mlp_fit *fit)
{
    memcpy(fit->net->parameters, fit->start, fit->net->n_parameters * sizeof *fit->start);
    fit->options.stream = fit->start_stream;
    fit->cost = fit->previous;
    fit->diverged = 1;
    return MLP_DIVERGED;
}

int mlp_fit_healthy(const struct mlp_fit *fit, struct mlp_pair cost)
{
    return isfinite(cost.high) &&
           fit->net->kernels->all_finite(fit->net->n_parameters, fit->net->parameters);
}

/* A difference that is NaN never counts as converged. */
enum mlp_event mlp_fit_epoch(struct mlp_fit *fit, struct mlp_pair cost, int comparable)
{
    fit->cost = cost;
    fit->epochs++;
    if (comparable && fabs(mlp_pair_difference(cost, fit->previous)) < fit->options.tol)
        return MLP_CONVERGED;
    return cost.high <= fit->options.goal ? MLP_GOAL : MLP_EPOCH;
}

/* Of the last gradient evaluated. */
static double gradient_norm(const struct mlp_fit *fit)
{
    if (!fit->evaluated)
        return (double)NAN;
    if (fit->gradient == NULL)
        return fit->norm == NULL ? (double)NAN : *fit->norm;
    return sqrt(fit->net->kernels->sum_squares(fit->net->n_parameters, fit->gradient));
}

/* `count` epochs are complete, which all but a single one have recorded their costs and norms
 * themselves; *since is the clock when the last one before them was, or when this call began. */
static void record(struct mlp_fit *fit, size_t count, int recorded, double *since)
{
    const struct mlp_history *h = &fit->history;
    const double now = mlp_seconds();
    const double seconds = (fit->elapsed + (now - *since)) / (double)count;
    const double rate = fit->rate == NULL ? (double)NAN : *fit->rate;
    const double validation = fit->validation.n > 0 ? fit->validation.cost : (double)NAN;
    if (!recorded) {
        h->cost[fit->recorded] = fit->cost.high;
        h->norm[fit->recorded++] = gradient_norm(fit);
    }
    for (size_t i = fit->recorded - count; i < fit->recorded; i++) {
        h->validation[i] = validation;
        h->rate[i] = rate;
        h->seconds[i] = seconds;
    }
    fit->elapsed = 0.0;
    *since = now;
}

/* A portion of the method's work, or of the validation that completes an epoch. */
static enum mlp_event next(struct mlp_fit *fit, double *clock, double *since)
{
    struct mlp_validation *v = &fit->validation;
    if (!v->under_way) {
        const size_t epochs = fit->epochs, known = fit->recorded;
        v->event = advance(fit, clock);
        if (fit->epochs == epochs)
            return v->event;
        if (v->n == 0) {
            record(fit, fit->epochs - epochs, fit->recorded > known, since);
            return v->event;
        }
    }
    const int complete = mlp_validation_advance(fit);
    if (*clock > 0.0) /* this was not the method's portion */
        *clock = mlp_seconds();
    if (!complete)
        return MLP_PAUSED;
    record(fit, 1, 0, since);
    return mlp_validation_judge(fit);
}

enum mlp_event mlp_fit_run(struct mlp_fit *fit, size_t until, double work, size_t capacity,
                           const struct mlp_history *history, size_t *recorded)
{
    enum mlp_event event = MLP_PAUSED;
    double clock = 0.0, since = mlp_seconds();
    const uint64_t saved = mlp_fp_enter();
    mlp_team_open(&fit->team, fit->space.n_threads);
    fit->team.measured = 1;
    fit->work = work;
    fit->until = until;
    fit->capacity = capacity;
    fit->history = *history;
    fit->recorded = 0;
    while (fit->work > 0.0) {
        event = next(fit, &clock, &since);
        fit->work -= OVERHEAD;
        if (event == MLP_EPOCH && fit->epochs < until && fit->recorded < capacity)
            event = MLP_PAUSED;
        if (event != MLP_PAUSED)
            break;
    }
    fit->elapsed += mlp_seconds() - since;
    mlp_team_close(&fit->team);
    mlp_fp_leave(saved);
    *recorded = fit->recorded;
    return event;
}

int mlp_fit_finish(struct mlp_fit *fit, double work, double *cost, double *validation)
{
    const uint64_t saved = mlp_fp_enter();
    if (fit->stage == MLP_TRAINING) {
        fit->validated = mlp_validation_finish(fit);
        fit->pass.net = fit->whole;
        fit->pass.penalty = (struct mlp_penalty){fit->options.problem.l1, fit->options.problem.l2};
        fit->pass.gradient = NULL;
        fit->pass.step = NULL;
        fit->pass.team = &fit->team;
        mlp_pass_start(&fit->pass, NULL, 0, fit->n);
        fit->stage = MLP_FINAL_COST;
    }
    mlp_team_open(&fit->team, fit->space.n_threads);
    fit->work = work;
    while (fit->stage == MLP_FINAL_COST && fit->work > 0.0) {
        if (mlp_pass_advance(&fit->pass))
            fit->stage = fit->validated ? MLP_FINISHED : MLP_FINAL_VALIDATION;
        fit->work -= fit->pass.work + OVERHEAD;
    }
    while (fit->stage == MLP_FINAL_VALIDATION && fit->work > 0.0) {
        if (mlp_validation_advance(fit))
            fit->stage = MLP_FINISHED;
        fit->work -= OVERHEAD;
    }
    mlp_team_close(&fit->team);
    mlp_fp_leave(saved);
    if (fit->stage != MLP_FINISHED)
        return 0;
    *cost = fit->pass.cost.high;
    *validation = fit->validation.n > 0 ? fit->validation.cost : (double)NAN;
    return 1;
}

size_t mlp_fit_evaluations(const struct mlp_fit *fit) { return fit->evaluations; }

double mlp_fit_largest_gradient(const struct mlp_fit *fit)
{
    double largest = 0.0;
    if (!fit->evaluated || fit->gradient == NULL)
        return (double)NAN;
    for (size_t j = 0; j < fit->net->n_parameters; j++) {
        const double size = fabs(fit->gradient[j]);
        largest = size > largest ? size : largest;
    }
    return largest;
}

uint64_t mlp_fit_position(const struct mlp_fit *fit) { return fit->options.stream.position; }
int mlp_fit_settled(const struct mlp_fit *fit)
{
    return !isnan(fit->initial_cost) && !fit->validation.under_way;
}

/* ---- the state ---- */

void mlp_fit_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    *report = (struct mlp_fit_report){.epochs = fit->epochs,
                                      .initial_cost = fit->initial_cost,
                                      .cost = fit->cost.high,
                                      .gradient_norm = (double)NAN,
                                      .validation = (double)NAN,
                                      .stream = fit->options.stream,
                                      .reason = fit->reason};
    /* What a full batch has evaluated last is evaluated again when it goes on, with the same masks. */
    if (fit->dropping != NULL && fit->options.batch_size == 0 && fit->evaluated && !fit->diverged)
        report->stream = fit->pass.masks;
    if (!fit->diverged) {
        mlp_remember(report, "parameters", fit->net->parameters, fit->net->n_parameters);
        mlp_remember(report, "cost", &fit->cost.high, 2);
        if (fit->method->describe != NULL)
            fit->method->describe(fit, report);
    }
    mlp_validation_describe(fit, report);
    if (fit->diverged)
        return;
    const uint64_t saved = mlp_fp_enter();
    report->gradient_norm = gradient_norm(fit);
    mlp_fp_leave(saved);
}

static const struct mlp_array *find(const struct mlp_array *arrays, size_t n,
                                    const struct mlp_array *like)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(arrays[i].name, like->name) == 0 && arrays[i].n == like->n)
            return arrays + i;
    }
    return NULL;
}

const char *mlp_arrays_missing(const struct mlp_array *to, size_t n_to,
                               const struct mlp_array *from, size_t n_from)
{
    for (size_t i = 0; i < n_to; i++) {
        if (find(from, n_from, to + i) == NULL)
            return to[i].name;
    }
    return NULL;
}

void mlp_arrays_copy(const struct mlp_array *to, size_t n_to, const struct mlp_array *from,
                     size_t n_from)
{
    for (size_t i = 0; i < n_to; i++) /* which may be the very place */
        memmove(to[i].data, find(from, n_from, to + i)->data, to[i].n * sizeof(double));
}

/* The parameters, the first array, come last: nothing can fail then. */
const char *mlp_fit_resume(struct mlp_fit *fit, const struct mlp_array *arrays, size_t n,
                           size_t epochs)
{
    struct mlp_fit_report to;
    mlp_fit_describe(fit, &to);
    const char *name = mlp_arrays_missing(to.arrays, to.n_arrays, arrays, n);
    if (name != NULL)
        return name;
    fit->epochs = epochs;
    mlp_arrays_copy(to.arrays + 1, to.n_arrays - 1, arrays, n);
    if (fit->method->resume != NULL)
        name = fit->method->resume(fit);
    if (name == NULL)
        mlp_arrays_copy(to.arrays, 1, arrays, n);
    return name;
}
