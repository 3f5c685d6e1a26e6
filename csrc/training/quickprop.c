/* quickprop.c - Quickprop on full batches (Fahlman 1988): each parameter jumps to the minimum of a parabola
 * through its last two slopes.
 *
 * A step is 0, or has the opposite sign of the slope before it: the rule keeps that, and divides by a
 * difference of slopes only where it cannot be 0. */
#include "network/memory.h"
#include "network/rows.h"
#include "training/methods.h"

#include <stdlib.h>
#include <string.h>

/* epsilon where none is given: this, divided by the number of instances, as in FANN, or by their weights. */
#define EPSILON 0.7

struct quickprop {
    struct mlp_full full;
    double *block;    /* of all arrays: */
    double *gradient; /* (P,) */
    double *previous; /* (P,) the slopes before */
    double *step;     /* (P,) the last step */
    double epsilon;
};

static void quickprop_free(struct mlp_fit *fit)
{
    struct quickprop *q = fit->memory;
    if (q == NULL)
        return;
    mlp_release(q->block);
    free(q);
}

static void cut_all(struct quickprop *q, size_t P, struct mlp_cutter *c)
{
    q->gradient = mlp_cut(c, P, 1);
    q->previous = mlp_cut(c, P, 1);
    q->step = mlp_cut(c, P, 1);
}

/* The weights of all instances, added up in their order; n without any. */
static double total_weight(const struct mlp_fit *fit)
{
    double total = 0.0, s;
    if (fit->pass.weights == NULL)
        return (double)fit->n;
    for (size_t i = 0, rows; i < fit->n; i += rows) {
        rows = fit->n - i;
        const size_t place = mlp_rows_at(&fit->x, i, &rows);
        if (rows == 0)
            break;
        for (size_t k = 0; k < rows; k++)
            total += *mlp_rows(fit->pass.weights, NULL, place + k, 1, &s);
    }
    return total;
}

static enum mlp_status quickprop_start(struct mlp_fit *fit)
{
    const size_t P = fit->net->n_parameters;
    const double given = fit->options.quickprop.epsilon;
    struct quickprop *q = fit->memory = calloc(1, sizeof *q);
    if (q == NULL)
        return MLP_NO_MEMORY;
    struct mlp_cutter cutter = {0};
    cut_all(q, P, &cutter);
    const enum mlp_status status = mlp_cutter_allocate(&cutter, &q->block);
    if (status != MLP_OK)
        return status;
    cut_all(q, P, &cutter);
    q->epsilon = given > 0.0 ? given : EPSILON / total_weight(fit);
    memset(q->previous, 0, P * sizeof *q->previous);
    memset(q->step, 0, P * sizeof *q->step);
    fit->gradient = fit->pass.gradient = q->gradient;
    return MLP_OK;
}

/* The step of one parameter whose slope is s, after a step p from where it was `before`: with all of them
 * in units of p's direction, in which p > 0 led downhill. */
static double next_step(const struct mlp_quickprop *o, double epsilon, double s, double before,
                        double p)
{
    if (p == 0.0)
        return -epsilon * s;
    const double sign = p > 0.0 ? 1.0 : -1.0, size = sign * p;
    const double now = -sign * s, then = -sign * before; /* how steep it still falls, and fell */
    const double linear = now > 0.0 ? epsilon * now : 0.0;
    const double jump = now > 0.0 && now >= o->mu / (1.0 + o->mu) * then
                            ? o->mu * size
                            : size * (now / (then - now));
    return sign * (linear + jump);
}

/* Multiply-adds that a step of one parameter is worth, which has two divisions: 5 ns, where a product
 * does one in 0.02 to 0.04 ns. */
#define QUICKPROP_WORK 150.0

struct step_context {
    struct mlp_fit *fit;
    size_t parts;
};
static void step_task(void *context, size_t thread, size_t part)
{
    const struct step_context *c = context;
    const struct quickprop *q = c->fit->memory;
    const struct mlp_quickprop *o = &c->fit->options.quickprop;
    double *const w = c->fit->net->parameters;
    const size_t P = c->fit->net->n_parameters, end = mlp_part(P, c->parts, part + 1);
    (void)thread;
    for (size_t j = mlp_part(P, c->parts, part); j < end; j++) {
        const double s = q->gradient[j] + o->decay * w[j];
        q->step[j] = next_step(o, q->epsilon, s, q->previous[j], q->step[j]);
        q->previous[j] = s;
        w[j] += q->step[j];
    }
}

static void quickprop_step(struct mlp_fit *fit)
{
    const double work = QUICKPROP_WORK * (double)fit->net->n_parameters;
    struct step_context c = {fit, mlp_team_size(fit->pass.team, fit->net->grain, work)};
    mlp_team_run(fit->pass.team, c.parts, c.parts, step_task, &c);
}

static enum mlp_event quickprop_advance(struct mlp_fit *fit)
{
    struct quickprop *q = fit->memory;
    return mlp_full_advance(fit, &q->full, quickprop_step);
}

static void quickprop_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct quickprop *q = fit->memory;
    const size_t P = fit->net->n_parameters;
    mlp_remember(report, "previous_gradient", q->previous, P);
    mlp_remember(report, "step", q->step, P);
}

static const char *quickprop_resume(struct mlp_fit *fit)
{
    const struct quickprop *q = fit->memory;
    for (size_t j = 0; j < fit->net->n_parameters; j++) {
        const double p = q->step[j], before = q->previous[j];
        if (!(p == 0.0 || (p > 0.0 && before < 0.0) || (p < 0.0 && before > 0.0)))
            return "step";
    }
    return NULL;
}

static size_t quickprop_row(struct mlp_fit *fit, struct mlp_pair **norm)
{
    const struct quickprop *q = fit->memory;
    return mlp_full_row(fit, &q->full, norm);
}

static int quickprop_enter(struct mlp_fit *fit, size_t row)
{
    struct quickprop *q = fit->memory;
    return mlp_full_enter(fit, &q->full, row);
}

const struct mlp_method mlp_quickprop_method = {
    .start = quickprop_start,
    .free = quickprop_free,
    .advance = quickprop_advance,
    .describe = quickprop_describe,
    .resume = quickprop_resume,
    .row = quickprop_row,
    .enter = quickprop_enter,
};
