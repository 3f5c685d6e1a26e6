/* trust_region.c - the damping mu of a step whose length is the radius of a trust region.
 *
 * mu is found by Newton's method for 1 / radius - 1 / ||D s(mu)||, between bounds, after More and the LMDER
 * of MINPACK. */
#include "training/trust_region.h"

#include <float.h>
#include <math.h>

/* After the LMDER of MINPACK: how far ||D s|| may be from the radius, and the most factors for one
 * radius. */
#define RADIUS_TOLERANCE 0.1
#define MAX_SEARCH 10

/* So many times the order times the machine epsilon times the largest A_pp / D_p^2: far enough above the
 * rounding errors of A that they do not decide about the step. */
#define ABOVE_ROUNDING 1000.0

/* The least mu that is tried. A softmax's A is singular: outputs do not change when all z do by the same.
 * With mu = 0 rounding errors would decide whether there is a factor, and where the step leads. */
static double least_damping(const struct mlp_fit *fit, const struct mlp_gauss_newton *m)
{
    const struct mlp_network *net = fit->net;
    if (net->layers[net->n_layers - 1].g != MLP_SOFTMAX)
        return 0.0;
    return ABOVE_ROUNDING * DBL_EPSILON * (double)m->s.order * m->largest;
}

void mlp_trust_region_start(const struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    double sum = 0.0;
    for (size_t p = 0; p < m->P; p++)
        sum += m->gradient[p] * m->gradient[p] / m->d2[p];
    const double norm = sqrt(sum), least = least_damping(fit, m);
    m->searches = 0;
    m->low = least;
    if (m->radius == 0.0) { /* the first: `damping` norms of D w */
        const double size = sqrt(mlp_gauss_newton_length2(fit, m, fit->net->parameters));
        m->radius = fit->options.levenberg.damping * (size > 0.0 ? size : 1.0);
        m->mu = least;
    }
    m->high = norm / m->radius > least ? norm / m->radius : least;
    if (m->mu > m->high)
        m->mu = m->high;
    if (m->mu < least)
        m->mu = least;
}

int mlp_trust_region_next(const struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const double size = sqrt(mlp_gauss_newton_length2(fit, m, m->step)), over = size - m->radius;
    m->searches++;
    if (fabs(over) <= RADIUS_TOLERANCE * m->radius ||
        (m->mu <= least_damping(fit, m) && over <= 0.0) || m->searches >= MAX_SEARCH)
        return 1;
    /* Newton's step for 1 / radius - 1 / ||D s(mu)||; ||U^-T D^2 s||^2 gives the derivative. */
    double slope;
    if (m->dual) {
        double u2 = fit->net->kernels->sum_squares(m->R, m->work);
        mlp_solve_lower(&m->s, m->u, m->work);
        slope = u2 - m->mu * fit->net->kernels->sum_squares(m->R, m->work);
    } else {
        for (size_t p = 0; p < m->P; p++)
            m->work[p] = m->d2[p] * m->step[p];
        mlp_solve_lower(&m->s, m->u, m->work);
        slope = fit->net->kernels->sum_squares(m->P, m->work);
    }
    const double newton = over / m->radius * size * size / slope;
    if (over > 0.0)
        m->low = m->mu > m->low ? m->mu : m->low;
    else
        m->high = m->mu < m->high ? m->mu : m->high;
    double mu = m->mu + newton;
    if (!(mu > m->low)) /* with the least one: the Gauss-Newton step */
        mu = m->low;
    if (mu > m->high)
        mu = m->high;
    if (mu == m->mu)
        return 1;
    m->mu = mu;
    return 0;
}

void mlp_trust_region_singular(struct mlp_gauss_newton *m)
{
    const double least = DBL_EPSILON * m->largest;
    m->searches++;
    m->low = m->mu > m->low ? m->mu : m->low;
    m->mu = 10.0 * m->mu > least ? 10.0 * m->mu : least;
    if (m->low == 0.0)
        m->low = m->mu;
    if (m->mu > m->high)
        m->high = m->mu;
}

void mlp_trust_region_resize(const struct mlp_fit *fit, struct mlp_gauss_newton *m, double ratio,
                             double gained)
{
    const double size = m->size;
    if (fit->epochs == 0 && size < m->radius)
        m->radius = size;
    if (ratio > 0.25) {
        if (m->mu <= least_damping(fit, m) || ratio >= 0.75) {
            m->radius = 2.0 * size;
            m->mu *= 0.5;
        }
        return;
    }
    /* s^T g, from the model's decrease. */
    const double slope = m->mu * size * size - 2.0 * m->predicted;
    double factor = gained >= 0.0 ? 0.5 : 0.5 * slope / (slope + gained);
    if (!(factor >= 0.1)) /* also where the trial's cost is not finite */
        factor = 0.1;
    /* A slope of the wrong sign, from rounding: the radius shrinks all the same. */
    if (factor > 0.5)
        factor = 0.5;
    m->radius = factor * (m->radius < 10.0 * size ? m->radius : 10.0 * size);
    m->mu /= factor;
}
