/* lbfgs.c - the limited-memory BFGS method: Liu and Nocedal, On the limited memory BFGS method for
 * large scale optimization, Mathematical Programming 45 (1989); Algorithms 7.4 and 7.5 of Nocedal and
 * Wright, Numerical Optimization, 2nd edition (2006).
 *
 * The recursion is bound by memory: with each sum taken in the pass over the vectors that prepares
 * it, one of its 2 m steps reads three vectors and writes one, 32 bytes a parameter. */
#include "network/memory.h"
#include "training/methods.h"
#include "training/state.h"
#include "training/vectors.h"
#include "training/wolfe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A pair is kept only if s.y is more than rounding beside y.y. */
#define LEAST_CURVATURE 0x1p-52

enum phase { BEGIN, RECUR, SEARCH };

struct lbfgs {
    size_t P, slots;           /* slots = memory + 1: the pairs, and the direction */
    struct mlp_network *trial; /* the network at w */
    double *block;
    double *w;           /* (P,) a trial point; x_k itself is in the network */
    double *g, *g_trial; /* (P,) the gradients at x_k and at w */
    double *s, *y;       /* (slots, P) a ring: s_k = x_(k+1) - x_k and y_k = g_(k+1) - g_k */
    double *rho;         /* (slots,) 1 / s_k.y_k */
    double *coefficient; /* (slots,) rho_k s_k.q of the recursion's first half */
    double position[3];  /* for the state: newest slot, pairs, gamma (describe, resume) */
    size_t pairs, next;  /* how many there are; the slot of the direction and of the next pair */
    double gamma;        /* s.y / y.y of the newest pair */
    double gg;           /* g.g */
    enum phase phase;
    int passing; /* a pass is under way */
    int settled; /* it evaluates a step that is taken in any case */
    size_t step; /* of the recursion */
    double sum;  /* what the recursion's last step has summed up */
    struct mlp_wolfe search;
};

static size_t slot(const struct lbfgs *d, size_t age)
{
    return (d->next + d->slots - 1 - age) % d->slots;
}
static double *s_of(const struct lbfgs *d, size_t age) { return d->s + slot(d, age) * d->P; }
static double *y_of(const struct lbfgs *d, size_t age) { return d->y + slot(d, age) * d->P; }
static double *direction(const struct lbfgs *d) { return d->s + d->next * d->P; }

static void lbfgs_free(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    if (d == NULL)
        return;
    mlp_network_free(d->trial);
    mlp_release(d->block);
    free(d);
}

static void cut_all(struct lbfgs *d, struct mlp_cutter *c)
{
    d->w = mlp_cut(c, d->P, 1);
    d->g = mlp_cut(c, d->P, 1);
    d->g_trial = mlp_cut(c, d->P, 1);
    d->rho = mlp_cut(c, d->slots, 1);
    d->coefficient = mlp_cut(c, d->slots, 1);
    d->s = mlp_cut(c, d->slots, d->P);
    d->y = mlp_cut(c, d->slots, d->P);
}

static enum mlp_status lbfgs_start(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory = calloc(1, sizeof *d);
    if (d == NULL)
        return MLP_NO_MEMORY;
    d->P = fit->net->n_parameters;
    if (!mlp_size_add(fit->options.lbfgs.memory, 1, &d->slots))
        return MLP_TOO_LARGE;
    struct mlp_cutter cutter = {0};
    cut_all(d, &cutter);
    const enum mlp_status status = mlp_cutter_allocate(&cutter, &d->block);
    if (status != MLP_OK)
        return status;
    cut_all(d, &cutter);
    memset(d->rho, 0, d->slots * sizeof *d->rho);
    memset(d->s, 0, d->slots * d->P * sizeof *d->s);
    memset(d->y, 0, d->slots * d->P * sizeof *d->y);
    d->trial = mlp_network_twin(fit->net, d->w);
    if (d->trial == NULL)
        return MLP_NO_MEMORY;
    fit->pass.gradient = d->g_trial;
    return MLP_OK;
}

/* What was evaluated becomes the gradient at x_k. */
static void take_gradient(struct mlp_fit *fit, double gg)
{
    struct lbfgs *d = fit->memory;
    double *g = d->g;
    d->g = fit->gradient = d->g_trial;
    fit->evaluated = 1;
    d->g_trial = fit->pass.gradient = g;
    d->gg = gg;
}

/* A portion of the pass at w, or of the first one; 1 when it is complete. */
static int evaluate(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    fit->pass.net = d->phase == BEGIN ? fit->net : d->trial;
    return mlp_fit_pass(fit, &d->passing);
}

static enum mlp_event begin(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    if (!evaluate(fit))
        return MLP_PAUSED;
    take_gradient(fit, mlp_vector_dot(fit, d->g_trial, d->g_trial));
    if (d->pairs > 0) /* of a fit that is resumed */
        d->sum = mlp_vector_dot(fit, s_of(d, 0), d->g);
    d->phase = RECUR;
    const enum mlp_event event = mlp_fit_begin(fit);
    if (event == MLP_PAUSED && sqrt(d->gg) <= fit->options.lbfgs.min_gradient)
        return mlp_fit_stop(fit, "min_gradient");
    return event;
}

/* One step of the two-loop recursion r <- H g, in place: first r <- r - rho (s.r) y from the newest
 * pair to the oldest, then r <- gamma r, then r <- r + (rho (s.r) - rho (y.r)) s from the oldest to
 * the newest. Each step's sum is the next one's; the last one's is g.r. */
static void recur(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    const size_t m = d->pairs, last = 2 * m - 1;
    double *r = direction(d);
    if (d->step < m) {
        const size_t age = d->step;
        const double a = d->coefficient[age] = d->rho[slot(d, age)] * d->sum;
        d->sum = mlp_vector_combine(fit, 1.0, age == 0 ? d->g : r, -a, y_of(d, age),
                                    age + 1 < m ? s_of(d, age + 1) : y_of(d, age), r);
    } else {
        const size_t age = last - d->step;
        const double scale = d->step == m ? d->gamma : 1.0;
        const double b = d->rho[slot(d, age)] * (scale * d->sum);
        d->sum = mlp_vector_combine(fit, scale, r, d->coefficient[age] - b, s_of(d, age),
                                    age > 0 ? y_of(d, age - 1) : d->g, r);
    }
    d->step++;
}

/* The first step of a search is 1, or, along the gradient, of length 1. */
static void start_search(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    const struct mlp_lbfgs *o = &fit->options.lbfgs;
    mlp_wolfe_start(&d->search, o->c1, o->c2, o->max_evaluations, -d->sum,
                    d->pairs ? 1.0 : 1.0 / sqrt(d->gg));
    d->phase = SEARCH;
}

/* w <- x_k - alpha r */
static void try_step(struct mlp_fit *fit)
{
    const struct lbfgs *d = fit->memory;
    mlp_vector_combine(fit, 1.0, fit->net->parameters, -d->search.alpha, direction(d), NULL, d->w);
}

/* Where the pairs give no direction of descent, or no step along theirs, they are forgotten; along
 * the gradient itself there is then none either. */
static enum mlp_event forget(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    if (d->pairs == 0)
        return mlp_fit_stop(fit, "line_search");
    d->pairs = 0;
    d->step = 0;
    d->phase = RECUR;
    return MLP_PAUSED;
}

static enum mlp_event find_direction(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    const double enough = fit->work - MLP_PORTION;
    if (d->pairs == 0) {
        mlp_vector_copy(fit, d->g, direction(d));
        d->sum = d->gg;
    }
    while (d->step < 2 * d->pairs) {
        recur(fit);
        if (d->step < 2 * d->pairs && fit->work < enough)
            return MLP_PAUSED;
    }
    if (!(d->sum > 0.0 && isfinite(d->sum)))
        return forget(fit);
    start_search(fit);
    try_step(fit);
    return MLP_PAUSED;
}

/* The step that was evaluated last is taken: an epoch. */
static enum mlp_event accept(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    double sums[4];
    fit->previous = fit->cost;
    mlp_vector_copy(fit, d->w, fit->net->parameters);
    mlp_vector_curvature(fit, -d->search.alpha, d->g_trial, d->g, direction(d),
                         d->y + d->next * d->P, sums);
    take_gradient(fit, sums[2]);
    if (sums[0] > LEAST_CURVATURE * sums[1] && isfinite(1.0 / sums[0])) {
        d->rho[d->next] = 1.0 / sums[0];
        d->gamma = sums[0] / sums[1];
        d->next = (d->next + 1) % d->slots;
        d->pairs += d->pairs + 1 < d->slots;
        d->sum = sums[3];
    } else if (d->pairs > 0) {
        d->sum = mlp_vector_dot(fit, s_of(d, 0), d->g);
    }
    d->step = 0;
    d->phase = RECUR;
    const enum mlp_event event = mlp_fit_epoch(fit, fit->pass.cost, 1);
    if (event == MLP_EPOCH && sqrt(d->gg) <= fit->options.lbfgs.min_gradient)
        return mlp_fit_stop(fit, "min_gradient");
    return event;
}

static enum mlp_event search(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    if (!evaluate(fit))
        return MLP_PAUSED;
    if (d->settled) {
        d->settled = 0;
        return accept(fit);
    }
    double f = mlp_pair_difference(fit->pass.cost, fit->cost), slope = 0.0;
    if (!isfinite(fit->pass.cost.high) || !mlp_vector_finite(fit, d->w))
        f = INFINITY;
    else
        slope = -mlp_vector_dot(fit, d->g_trial, direction(d));
    if (!isfinite(slope))
        f = INFINITY;
    switch (mlp_wolfe_judge(&d->search, f, slope)) {
    case MLP_WOLFE_DONE:
        return accept(fit);
    case MLP_WOLFE_FAILED:
        return forget(fit);
    case MLP_WOLFE_BEST:
        d->settled = 1;
        break;
    case MLP_WOLFE_TRY:
    default:
        break;
    }
    try_step(fit);
    return MLP_PAUSED;
}

static enum mlp_event lbfgs_advance(struct mlp_fit *fit)
{
    const struct lbfgs *d = fit->memory;
    if (d->phase == BEGIN)
        return begin(fit);
    if (d->phase == RECUR) {
        const enum mlp_event event = find_direction(fit);
        if (d->phase != SEARCH)
            return event;
    }
    return search(fit);
}

static void lbfgs_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct lbfgs *d = fit->memory;
    d->position[0] = (double)slot(d, 0);
    d->position[1] = (double)d->pairs;
    d->position[2] = d->gamma;
    mlp_remember(report, "s", d->s, d->slots * d->P);
    mlp_remember(report, "y", d->y, d->slots * d->P);
    mlp_remember(report, "rho", d->rho, d->slots);
    mlp_remember(report, "pairs", d->position, sizeof d->position / sizeof *d->position);
}

static const char *lbfgs_resume(struct mlp_fit *fit)
{
    struct lbfgs *d = fit->memory;
    const double newest = d->position[0], pairs = d->position[1];
    if (!(newest >= 0.0 && newest < (double)d->slots && newest == floor(newest)) ||
        !(pairs >= 0.0 && pairs < (double)d->slots && pairs == floor(pairs)))
        return "pairs";
    if (!(d->position[2] >= 0.0)) /* or H would not be positive definite */
        return "pairs";
    if (!mlp_not_negative(d->rho, d->slots))
        return "rho";
    d->next = ((size_t)newest + 1) % d->slots;
    d->pairs = (size_t)pairs;
    d->gamma = d->position[2];
    return NULL;
}

const struct mlp_method mlp_lbfgs_method = {
    .start = lbfgs_start,
    .free = lbfgs_free,
    .advance = lbfgs_advance,
    .describe = lbfgs_describe,
    .resume = lbfgs_resume,
};
