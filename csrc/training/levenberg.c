/* levenberg.c - Levenberg and Marquardt's method, and Bayesian regularisation on top of it.
 *
 * One iteration: a sweep over the instances gives A = J^T J and the gradient (gauss_newton.c), then Cholesky
 * factors of A + mu D^2 (symmetric.c) until a step is found that the rule accepts, whose cost is a pass like
 * any other. mu follows a rule of its own here, or a trust region (trust_region.c); the step may be corrected
 * (geodesic.c). */
#include "network/memory.h"
#include "training/gauss_newton.h"
#include "training/geodesic.h"
#include "training/methods.h"
#include "training/state.h"
#include "training/trust_region.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* mu stays representable, whatever the number of successes. */
#define MIN_DAMPING 1e-20

/* The gain ratio from which a step in a trust region is taken, after the LMDER of MINPACK. */
#define MIN_RATIO 1e-4

static void levenberg_free(struct mlp_fit *fit)
{
    struct mlp_gauss_newton *m = fit->memory;
    if (m == NULL)
        return;
    mlp_network_free(m->trial);
    mlp_network_free(m->ends[0]);
    mlp_network_free(m->ends[1]);
    mlp_release(m->memory);
    free(m);
}

static enum mlp_status levenberg_start(struct mlp_fit *fit)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    struct mlp_gauss_newton *m = fit->memory = calloc(1, sizeof *m);
    if (m == NULL)
        return MLP_NO_MEMORY;
    const enum mlp_status status = mlp_gauss_newton_new(fit, m);
    if (status != MLP_OK)
        return status;
    m->trial = mlp_network_twin(fit->net, m->parameters);
    if (m->trial == NULL)
        return MLP_NO_MEMORY;
    for (int end = 0; end < 2 && o->geodesic; end++) {
        m->ends[end] = mlp_network_twin(fit->net, m->end_parameters[end]);
        if (m->ends[end] == NULL)
            return MLP_NO_MEMORY;
    }
    m->mu = o->damping;
    m->nu = 2.0;
    m->beta = 1.0;
    m->gamma = (double)m->P;
    fit->pass.gradient = NULL;
    fit->gradient = m->gradient;
    return MLP_OK;
}

/* The alpha that gamma is estimated with first. With alpha = 0 gamma is P, whatever the data determine. The
 * first alpha is then so large that the weights of a network that has learned little yet fall to 0, and stay
 * there: of 15 starts at exp(-x) cos(5x), 100 rows, 1-10-1, 13 ended at the mean, and 5 with 0.01. Of noise
 * alone all 15 end there with both. */
#define FIRST_ALPHA 0.01

/* F = beta E_D + alpha E_W of a cost and parameters; E_D = 2 C. */
static double objective(const struct mlp_fit *fit, const struct mlp_gauss_newton *m, double cost,
                        const double *w)
{
    return m->beta * 2.0 * cost + m->alpha * fit->net->kernels->sum_squares(m->P, w);
}

/* alpha, beta and gamma of MacKay's evidence, from J at the present parameters. With H = 2 beta A + 2
 * alpha I: gamma = P - 2 alpha tr H^-1. While alpha is 0, FIRST_ALPHA and R / (2 E_D) are in their places, so
 * that a factor of all weights or targets changes nothing. */
static void evidence(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const double E_D = 2.0 * fit->cost.high, R = m->observed;
    const double E_W = fit->net->kernels->sum_squares(m->P, fit->net->parameters);
    const double N = (double)m->s.order;
    double spent;
    const int first = !(m->alpha > 0.0);
    const double alpha = first ? FIRST_ALPHA : m->alpha;
    const double beta = first && E_D > 0.0 ? R / (2.0 * E_D) : m->beta;
    mlp_gauss_newton_assemble(m, beta, alpha);
    if (mlp_cholesky(&m->s, m->u, 0, HUGE_VAL, &spent) != m->s.order)
        return; /* what was last estimated holds */
    fit->work -= MLP_PRODUCT * (spent + N * N * N / 6.0);
    m->gamma = N - alpha * mlp_inverse_trace(&m->s, m->u, m->inverse);
    m->gamma = m->gamma > 0.0 ? m->gamma : 0.0;
    if (E_W > 0.0)
        m->alpha = m->gamma / (2.0 * E_W);
    if (E_D > 0.0 && R > m->gamma)
        m->beta = (R - m->gamma) / (2.0 * E_D);
}

/* The sweep is complete: whether the gradient is small enough to stop, and what the iteration needs
 * before its first factor. */
static enum mlp_event begin(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    const struct mlp_kernels *k = fit->net->kernels;
    const double *w = fit->net->parameters;
    fit->evaluated = 1;
    if (o->bayesian) {
        if (fit->epochs > 0)
            evidence(fit, m);
        m->objective = objective(fit, m, fit->cost.high, w);
        for (size_t p = 0; p < m->P; p++)
            m->work[p] = 2.0 * (m->beta * m->gradient[p] + m->alpha * w[p]);
    }
    if (sqrt(k->sum_squares(m->P, o->bayesian ? m->work : m->gradient)) <= o->min_gradient)
        return mlp_fit_stop(fit, "min_gradient");
    if (o->rule == MLP_NIELSEN && fit->epochs == 0 && m->largest > 0.0)
        m->mu = o->damping * m->largest;
    if (o->rule == MLP_TRUST_REGION)
        mlp_trust_region_start(fit, m);
    mlp_gauss_newton_assemble(m, m->beta, m->mu + m->alpha);
    m->stage = FACTOR;
    return MLP_PAUSED;
}

/* The largest mu that is tried: `max_damping` times the scale of A's diagonal, at least 1. Where mu is far
 * above that scale the step is -g / mu, which reduces any smooth cost before mu is 1e10 times it; an absolute
 * bound would be below the scale itself where inputs are in the thousands. It is the present J's: a new one
 * has its own, and a resumed fit the same. */
static double most_damping(const struct mlp_fit *fit, const struct mlp_gauss_newton *m)
{
    const double scale = m->beta * m->largest;
    /* No mu is above infinity, and there would be no end. */
    return fmin(fit->options.levenberg.max_damping * (scale > 1.0 ? scale : 1.0), DBL_MAX);
}

/* The step did not reduce the cost, or there is none: more damping. */
static enum mlp_event reject(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    if (o->rule == MLP_FIXED)
        m->mu *= o->increase;
    if (o->rule == MLP_NIELSEN) {
        m->mu *= m->nu;
        m->nu *= 2.0;
    }
    if (!(m->mu <= most_damping(fit, m)))
        return mlp_fit_stop(fit, "max_damping");
    mlp_gauss_newton_assemble(m, m->beta, m->mu + m->alpha);
    m->stage = FACTOR;
    return MLP_PAUSED;
}

/* The parameters that the step leads to: their cost is next. */
static enum mlp_event arrive(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const double *w = fit->net->parameters;
    int moved = 0;
    for (size_t p = 0; p < m->P; p++) {
        m->parameters[p] = w[p] + m->step[p];
        moved |= m->parameters[p] != w[p];
    }
    if (!moved)
        return mlp_fit_stop(fit, "min_step");
    if (!fit->net->kernels->all_finite(m->P, m->parameters))
        return reject(fit, m);
    m->stage = TRIAL;
    return MLP_PAUSED;
}

/* The factor is complete: the step. */
static enum mlp_event propose(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    mlp_gauss_newton_solve(fit, m);
    fit->work -= 4.0 * (double)m->s.order * (double)(m->dual ? m->s.order + m->P : m->s.order);
    if (fit->options.levenberg.rule == MLP_TRUST_REGION && !mlp_trust_region_next(fit, m)) {
        mlp_gauss_newton_assemble(m, m->beta, m->mu + m->alpha);
        return MLP_PAUSED;
    }
    m->predicted = mlp_gauss_newton_decrease(fit, m);
    m->size = sqrt(mlp_gauss_newton_length2(fit, m, m->step));
    if (fit->options.levenberg.geodesic) {
        m->stage = ACCELERATE;
        m->row = 0;
        m->end = fit->n;
        return MLP_PAUSED;
    }
    return arrive(fit, m);
}

/* The trial's cost is known. */
static enum mlp_event judge(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    const double cost = fit->pass.cost.high;
    const double gained = o->bayesian ? m->objective - objective(fit, m, cost, m->parameters)
                                      : mlp_pair_difference(fit->cost, fit->pass.cost);
    const double ratio = gained / m->predicted;
    const double least = o->rule == MLP_TRUST_REGION ? MIN_RATIO : 0.0;
    const int better = isfinite(cost) && gained > 0.0 && (o->bayesian || ratio >= least);
    if (o->rule == MLP_TRUST_REGION) /* rounding can make a bad step look predicted */
        mlp_trust_region_resize(fit, m, better ? ratio : fmin(ratio, 0.0), gained);
    if (!better) {
        if (o->rule == MLP_TRUST_REGION) {
            if (m->radius <=
                DBL_EPSILON * sqrt(mlp_gauss_newton_length2(fit, m, fit->net->parameters)))
                return mlp_fit_stop(fit, "min_step");
            mlp_trust_region_start(fit, m);
        }
        return reject(fit, m);
    }
    if (o->rule == MLP_FIXED)
        m->mu = m->mu * o->decrease > MIN_DAMPING ? m->mu * o->decrease : MIN_DAMPING;
    if (o->rule == MLP_NIELSEN) {
        const double t = 2.0 * ratio - 1.0, f = 1.0 - t * t * t;
        m->mu *= f > 1.0 / 3.0 ? f : 1.0 / 3.0;
        if (m->mu < MIN_DAMPING)
            m->mu = MIN_DAMPING;
        m->nu = 2.0;
    }
    mlp_fit_keep(fit);
    memcpy(fit->net->parameters, m->parameters, m->P * sizeof(double));
    m->stage = SWEEP;
    mlp_gauss_newton_begin(fit, m);
    return mlp_fit_epoch(fit, fit->pass.cost, 1);
}

/* The sums of the sweep come from elsewhere, at once. */
static enum mlp_event sweep_elsewhere(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_elsewhere *e = fit->options.elsewhere;
    const struct mlp_request request = {
        .kind = MLP_SUM_JACOBIAN, .parameters = fit->net->parameters, .n = fit->n};
    if (!e->sum(e->context, &request, NULL, m->sums)) {
        fit->work = -HUGE_VAL;
        return MLP_PAUSED;
    }
    fit->work -= MLP_PORTION;
    mlp_gauss_newton_unpack(m, m->sums);
    mlp_gauss_newton_penalise(fit, m);
    mlp_gauss_newton_scale(fit, m);
    return begin(fit, m);
}

static enum mlp_event levenberg_advance(struct mlp_fit *fit)
{
    struct mlp_gauss_newton *m = fit->memory;
    double spent;
    switch (m->stage) {
    case FIRST:
        if (!mlp_fit_pass(fit, &m->passing))
            return MLP_PAUSED;
        fit->pass.net = m->trial; /* from now on */
        m->stage = SWEEP;
        mlp_gauss_newton_begin(fit, m);
        return mlp_fit_begin(fit);
    case SWEEP:
        if (fit->options.elsewhere != NULL)
            return sweep_elsewhere(fit, m);
        if (mlp_gauss_newton_sweep(fit, m) && m->dual)
            mlp_gauss_newton_scale(fit, m);
        m->stage = !m->dual || m->row == fit->n ? GRAM : SWEEP;
        return MLP_PAUSED;
    case GRAM:
        if (!mlp_gauss_newton_gram(fit, m))
            return MLP_PAUSED;
        m->stage = SWEEP;
        if (m->row < m->end || !mlp_gauss_newton_next(fit, m))
            return MLP_PAUSED;
        if (!m->dual) {
            mlp_gauss_newton_penalise(fit, m);
            mlp_gauss_newton_scale(fit, m);
        }
        return begin(fit, m);
    case FACTOR:
        m->factored = mlp_cholesky(&m->s, m->u, m->factored, MLP_PORTION, &spent);
        fit->work -= MLP_PRODUCT * spent;
        if (m->factored < m->s.order)
            return MLP_PAUSED;
        if (m->factored == m->s.order)
            return propose(fit, m);
        if (fit->options.levenberg.rule == MLP_TRUST_REGION)
            mlp_trust_region_singular(m);
        return reject(fit, m);
    case ACCELERATE:
        if (!mlp_geodesic_accelerate(fit, m))
            return MLP_PAUSED;
        mlp_geodesic_correct(fit, m);
        return arrive(fit, m);
    case TRIAL:
    default:
        return mlp_fit_pass(fit, &m->passing) ? judge(fit, m) : MLP_PAUSED;
    }
}

static void levenberg_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct mlp_gauss_newton *m = fit->memory;
    const struct mlp_levenberg *o = &fit->options.levenberg;
    mlp_remember(report, "damping", &m->mu, 1);
    if (o->rule == MLP_NIELSEN)
        mlp_remember(report, "growth", &m->nu, 1);
    if (o->rule == MLP_TRUST_REGION)
        mlp_remember(report, "radius", &m->radius, 1);
    if (o->diagonal)
        mlp_remember(report, "scale", m->d2, m->P);
    if (o->bayesian) {
        mlp_remember(report, "alpha", &m->alpha, 1);
        mlp_remember(report, "beta", &m->beta, 1);
        mlp_remember(report, "gamma", &m->gamma, 1);
    }
}

/* With a damping or a growth that no such fit has, a step that fails is tried again for ever. */
static const char *levenberg_resume(struct mlp_fit *fit)
{
    const struct mlp_gauss_newton *m = fit->memory;
    const struct mlp_levenberg *o = &fit->options.levenberg;
    const enum mlp_damping rule = o->rule;
    if (o->diagonal && !mlp_not_negative(m->d2, m->P))
        return "scale";
    if (o->bayesian && !(m->alpha >= 0.0))
        return "alpha";
    if (o->bayesian && !(m->beta > 0.0))
        return "beta";
    if (!(m->mu > 0.0 || (m->mu == 0.0 && rule != MLP_FIXED)))
        return "damping";
    if (rule == MLP_NIELSEN && !(m->nu > 1.0))
        return "growth";
    return rule == MLP_TRUST_REGION && !(m->radius >= 0.0) ? "radius" : NULL;
}

const struct mlp_method mlp_levenberg_method = {
    .start = levenberg_start,
    .free = levenberg_free,
    .advance = levenberg_advance,
    .describe = levenberg_describe,
    .resume = levenberg_resume,
    .reads_rows = 1,
};
