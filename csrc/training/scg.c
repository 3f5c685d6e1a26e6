/* scg.c - scaled conjugate gradients: Moller, A scaled conjugate gradient algorithm for fast supervised
 * learning, Neural Networks 6 (1993).
 *
 * The curvature along the direction p comes from the gradient a little further along it, and the step
 * from a model that lambda keeps positive and makes as cautious as the last steps require. The paper's
 * letters, but for g = -r, the gradient. */
#include "network/memory.h"
#include "training/methods.h"
#include "training/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond it no step moves a parameter whose size is anything like that of the gradient's. */
#define MAX_LAMBDA 1e100
/* Below it lambda is nothing beside any curvature, and must not become 0. */
#define MIN_LAMBDA 0x1p-100
/* What stands for Delta, the comparison of the decrease with the model's, where the step leads to a
 * cost that is not finite: the next one is less than a tenth of it. */
#define OVERFLOWED (-9.0)

enum phase { BEGIN, CURVE, STEP };

struct scg {
    struct mlp_network *trial; /* the network at w */
    double *block;
    double *w;           /* (P,) a trial point; x_k itself is in the network */
    double *g, *g_trial; /* (P,) the gradients at x_k and at w */
    double *p;           /* (P,) the direction */
    double state[2];     /* lambda, and steps since the direction was last -g */
    double pp, mu;       /* p.p, and -p.g */
    double lambda_bar, delta;
    double sigma, alpha; /* how far along p the trial point is, for the curvature and as a step */
    double norm;         /* |g| */
    enum phase phase;
    int passing; /* a pass is under way */
};
enum { LAMBDA, STEPS };

static void scg_free(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    if (d == NULL)
        return;
    mlp_network_free(d->trial);
    mlp_release(d->block);
    free(d);
}

static void cut_all(struct scg *d, size_t P, struct mlp_cutter *c)
{
    d->w = mlp_cut(c, P, 1);
    d->g = mlp_cut(c, P, 1);
    d->g_trial = mlp_cut(c, P, 1);
    d->p = mlp_cut(c, P, 1);
}

static enum mlp_status scg_start(struct mlp_fit *fit)
{
    const size_t P = fit->net->n_parameters;
    struct scg *d = fit->memory = calloc(1, sizeof *d);
    if (d == NULL)
        return MLP_NO_MEMORY;
    struct mlp_cutter cutter = {0};
    cut_all(d, P, &cutter);
    const enum mlp_status status = mlp_cutter_allocate(&cutter, &d->block);
    if (status != MLP_OK)
        return status;
    cut_all(d, P, &cutter);
    memset(d->p, 0, P * sizeof *d->p);
    d->trial = mlp_network_twin(fit->net, d->w);
    if (d->trial == NULL)
        return MLP_NO_MEMORY;
    d->state[LAMBDA] = fit->options.scg.lambda;
    fit->pass.gradient = d->g_trial;
    return MLP_OK;
}

/* A portion of the pass at w, or of the first one; 1 when it is complete. */
static int evaluate(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    fit->pass.net = d->phase == BEGIN ? fit->net : d->trial;
    return mlp_fit_pass(fit, &d->passing);
}

static void take_gradient(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    double *g = d->g;
    d->g = fit->gradient = d->g_trial;
    fit->evaluated = 1;
    d->g_trial = fit->pass.gradient = g;
}

/* w <- x_k + distance p */
static void move(struct mlp_fit *fit, double distance)
{
    const struct scg *d = fit->memory;
    mlp_vector_combine(fit, 1.0, fit->net->parameters, distance, d->p, NULL, d->w);
}

/* To where the curvature along p is measured. */
static void look_ahead(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    d->pp = mlp_vector_dot(fit, d->p, d->p);
    d->sigma = fit->options.scg.sigma / sqrt(d->pp);
    d->lambda_bar = 0.0;
    d->phase = CURVE;
    move(fit, d->sigma);
}

/* p <- beta p - g, or -g where C does not change along that (where it rises, alpha is negative). */
static void turn(struct mlp_fit *fit, double beta)
{
    struct scg *d = fit->memory;
    d->mu = -mlp_vector_combine(fit, -1.0, d->g, beta, d->p, d->g, d->p);
    if (!(fabs(d->mu) > 0.0)) {
        memset(d->p, 0, fit->net->n_parameters * sizeof *d->p);
        d->mu = -mlp_vector_combine(fit, -1.0, d->g, 0.0, d->p, d->g, d->p);
        d->state[STEPS] = 0.0;
    }
    look_ahead(fit);
}

/* Along the p of the fit that is resumed. */
static void go_on(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    d->mu = -mlp_vector_dot(fit, d->p, d->g);
    look_ahead(fit);
}

static enum mlp_event begin(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    if (!evaluate(fit))
        return MLP_PAUSED;
    take_gradient(fit);
    d->norm = sqrt(mlp_vector_dot(fit, d->g, d->g));
    const enum mlp_event event = mlp_fit_begin(fit);
    if (event == MLP_PAUSED && d->norm <= fit->options.scg.min_gradient)
        return mlp_fit_stop(fit, "min_gradient");
    if (fit->epochs > 0)
        go_on(fit);
    else
        turn(fit, 0.0);
    return event;
}

/* The step from the model: delta = p.H p + lambda p.p, made positive where it is not. */
static void step(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    double *lambda = &d->state[LAMBDA];
    d->delta += (*lambda - d->lambda_bar) * d->pp;
    if (!(d->delta > 0.0)) {
        d->lambda_bar = 2.0 * (*lambda - d->delta / d->pp);
        d->delta = *lambda * d->pp - d->delta;
        *lambda = d->lambda_bar;
    }
    d->alpha = d->mu / d->delta;
    d->phase = STEP;
    move(fit, d->alpha);
}

/* p.H p, from the difference of the gradients; 0, so that lambda alone decides, where it is not
 * finite. */
static enum mlp_event measure_curvature(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    if (!evaluate(fit))
        return MLP_PAUSED;
    d->delta = mlp_vector_combine(fit, 1.0, d->g_trial, -1.0, d->g, d->p, d->g_trial) / d->sigma;
    if (!isfinite(d->delta))
        d->delta = 0.0;
    step(fit);
    return MLP_PAUSED;
}

/* The step is taken: an epoch. Every P steps the direction is the gradient's again; else beta is
 * Polak and Ribiere's, with mu for |r_k|^2. */
static enum mlp_event accept(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    fit->previous = fit->cost;
    mlp_vector_copy(fit, d->w, fit->net->parameters);
    const double gg0 = mlp_vector_dot(fit, d->g_trial, d->g);
    take_gradient(fit);
    const double gg = mlp_vector_dot(fit, d->g, d->g);
    d->norm = sqrt(gg);
    d->state[STEPS] += 1.0;
    const int restart = d->state[STEPS] >= (double)fit->net->n_parameters;
    if (restart)
        d->state[STEPS] = 0.0;
    const enum mlp_event event = mlp_fit_epoch(fit, fit->pass.cost, 1);
    turn(fit, restart ? 0.0 : (gg - gg0) / d->mu);
    if (event == MLP_EPOCH && d->norm <= fit->options.scg.min_gradient)
        return mlp_fit_stop(fit, "min_gradient");
    return event;
}

static enum mlp_event judge(struct mlp_fit *fit)
{
    struct scg *d = fit->memory;
    if (!evaluate(fit))
        return MLP_PAUSED;
    double *lambda = &d->state[LAMBDA];
    const double decrease = mlp_pair_difference(fit->cost, fit->pass.cost);
    double quality = 2.0 * d->delta * decrease / (d->mu * d->mu);
    if (!isfinite(fit->pass.cost.high) || !mlp_vector_finite(fit, d->w) ||
        !mlp_vector_finite(fit, d->g_trial))
        quality = OVERFLOWED;
    const double before = *lambda;
    if (quality >= 0.75)
        *lambda = *lambda * 0.25 > MIN_LAMBDA ? *lambda * 0.25 : MIN_LAMBDA;
    if (!(quality >= 0.25))
        *lambda += d->delta * (1.0 - quality) / d->pp;
    if (!(*lambda <= MAX_LAMBDA))
        return mlp_fit_stop(fit, "max_lambda");
    if (quality >= 0.0)
        return accept(fit);
    d->lambda_bar = before;
    step(fit);
    return MLP_PAUSED;
}

static enum mlp_event scg_advance(struct mlp_fit *fit)
{
    const struct scg *d = fit->memory;
    return d->phase == BEGIN ? begin(fit) : d->phase == CURVE ? measure_curvature(fit) : judge(fit);
}

static void scg_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct scg *d = fit->memory;
    mlp_remember(report, "direction", d->p, fit->net->n_parameters);
    mlp_remember(report, "lambda", d->state, 2);
}

/* With a lambda that is not positive a step that fails is tried again for ever. */
static const char *scg_resume(struct mlp_fit *fit)
{
    const struct scg *d = fit->memory;
    return d->state[LAMBDA] > 0.0 ? NULL : "lambda";
}

const struct mlp_method mlp_scg_method = {
    .start = scg_start,
    .free = scg_free,
    .advance = scg_advance,
    .describe = scg_describe,
    .resume = scg_resume,
};
