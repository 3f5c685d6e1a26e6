/* fit.c - one call of fit: the loop over what a solver does, in slices so that the caller can look
 * after signals, and the rules that end it. */
#include "network/clock.h"
#include "network/lists.h"
#include "network/memory.h"
#include "network/scaling.h"
#include "training/methods.h"
#include "training/trial.h"
#include "training/validation.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What an epoch's test or a batch's end costs, in multiply-adds, beside its work on instances. */
#define OVERHEAD 1000.0

#define ROW(identifier, name, group, shared) [MLP_##identifier] = &mlp_##group##_method,
static const struct mlp_method *const METHODS[] = {MLP_SOLVERS(ROW)};
#undef ROW

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
    const size_t room = fit->method->reads_rows ? 0 : mlp_lists_room(&fit->x, largest);
    const enum mlp_status status =
        mlp_workspace_new(&fit->space, fit->net, o->n_threads, largest, fit->n, 1, room);
    if (status != MLP_OK)
        return status;
    fit->start = mlp_allocate(fit->net->n_parameters);
    return fit->start == NULL ? MLP_NO_MEMORY : fit->method->start(fit);
}

enum mlp_status mlp_fit_new(struct mlp_fit **fit, struct mlp_network *network,
                            const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n,
                            const struct mlp_fit_options *options)
{
    struct mlp_fit *f = malloc(sizeof *f);
    if (f == NULL)
        return MLP_NO_MEMORY;
    memset(f, 0, offsetof(struct mlp_fit, validation));
    memset(&f->validation, 0, offsetof(struct mlp_validation, pass));
    mlp_pass_clear(&f->validation.pass);
    mlp_pass_clear(&f->pass);
    f->whole = f->net = network;
    f->x = *mlp_inputs(network, x, &f->x);
    f->y = *mlp_targets(network, y, &f->y);
    f->n = n;
    f->options = *options;
    f->method = METHODS[options->solver];
    f->start_stream = options->stream;
    f->initial_cost = NAN;
    f->cost.high = NAN;
    mlp_trial_start(&f->trial);
    f->pass.net = network;
    f->pass.space = &f->space;
    f->pass.team = &f->team;
    f->pass.x = &f->x;
    f->pass.y = &f->y;
    if (options->problem.weights != NULL) {
        f->weights = *options->problem.weights;
        f->pass.weights = &f->weights;
    }
    f->pass.elsewhere = options->elsewhere;
    const enum mlp_status status = allocate(f);
    if (status != MLP_OK) {
        mlp_fit_free(f);
        return status;
    }
    *fit = f;
    return MLP_OK;
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
        h->norm[fit->recorded++] = fit->last_norm.high = mlp_fit_gradient_norm(fit);
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
        v->event = mlp_trial_advance(fit, clock);
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
    fit->team.bold = 1;
    fit->tried = fit->team;
    fit->tried.tried = 1;
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
        if (event != MLP_PAUSED || (fit->seeking && mlp_fit_row(fit) > 0))
            break;
    }
    /* Mini-batches: no later step makes such parameters finite again, and the epoch's end would say the same. */
    if (event == MLP_PAUSED && fit->options.batch_size && fit->kept &&
        !fit->net->kernels->all_finite(fit->net->n_parameters, fit->net->parameters))
        event = mlp_fit_diverge(fit);
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
        fit->pass.elsewhere = fit->options.elsewhere;
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

void mlp_fit_seek(struct mlp_fit *fit, int wanted) { fit->seeking = wanted; }
uint64_t mlp_fit_position(const struct mlp_fit *fit) { return fit->options.stream.position; }
int mlp_fit_settled(const struct mlp_fit *fit)
{
    return !isnan(fit->initial_cost) && !fit->validation.under_way;
}
