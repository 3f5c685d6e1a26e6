/* wolfe.c - Algorithms 3.5 and 3.6 of Nocedal and Wright, Numerical Optimization, 2nd edition (2006):
 * steps grow until they bracket one that satisfies
 *   f(alpha) <= c1 alpha f'(0) and |f'(alpha)| <= c2 |f'(0)|,
 * and then the bracket shrinks, both by minimising the cubic through the two ends. */
#include "training/wolfe.h"

#include <math.h>

/* A step keeps a tenth of the bracket's length away from its ends, so that the bracket shrinks. */
#define MARGIN 0.1
/* A step grows by between 1.1 and 4 times the last increase: More and Thuente, ACM TOMS 20 (1994). */
#define LEAST_GROWTH 1.1
#define MOST_GROWTH 4.0

/* Where the cubic through both points has its minimum, (3.59) there; NaN when it has none. */
static double cubic_minimum(const struct mlp_wolfe_point *a, const struct mlp_wolfe_point *b)
{
    const double width = b->alpha - a->alpha;
    const double d1 = a->slope + b->slope + 3.0 * (a->f - b->f) / width;
    const double square = d1 * d1 - a->slope * b->slope;
    const double d2 = width < 0.0 ? -sqrt(square) : sqrt(square);
    return b->alpha - width * ((b->slope + d2 - d1) / (b->slope - a->slope + 2.0 * d2));
}

static double clamped(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

/* Beyond b, where C still falls. */
static double extrapolate(const struct mlp_wolfe_point *a, const struct mlp_wolfe_point *b)
{
    const double step = b->alpha - a->alpha, best = cubic_minimum(a, b);
    const double least = b->alpha + LEAST_GROWTH * step, most = b->alpha + MOST_GROWTH * step;
    return best > b->alpha ? clamped(best, least, most) : most;
}

static double interpolate(const struct mlp_wolfe_point *low, const struct mlp_wolfe_point *high)
{
    const double width = high->alpha - low->alpha, near = low->alpha + MARGIN * width;
    if (!isfinite(high->f))
        return near;
    const double far = high->alpha - MARGIN * width, best = cubic_minimum(low, high);
    if (!isfinite(best))
        return low->alpha + 0.5 * width;
    return width < 0.0 ? clamped(best, far, near) : clamped(best, near, far);
}

void mlp_wolfe_start(struct mlp_wolfe *search, double c1, double c2, size_t most, double slope,
                     double alpha)
{
    *search = (struct mlp_wolfe){
        .c1 = c1, .c2 = c2, .slope = slope, .alpha = alpha, .left = most, .low = {0.0, 0.0, slope}};
}

/* The evaluations have come to an end. */
static enum mlp_wolfe_verdict settle(struct mlp_wolfe *search, double last)
{
    if (search->low.alpha == 0.0)
        return MLP_WOLFE_FAILED;
    search->alpha = search->low.alpha;
    return search->alpha == last ? MLP_WOLFE_DONE : MLP_WOLFE_BEST;
}

enum mlp_wolfe_verdict mlp_wolfe_judge(struct mlp_wolfe *search, double f, double slope)
{
    const struct mlp_wolfe_point p = {search->alpha, f, slope}, low = search->low;
    const int worse =
        !(f <= search->c1 * p.alpha * search->slope) || (low.alpha > 0.0 && f >= low.f);
    search->left--;
    if (worse) {
        search->high = p;
        search->bracketed = 1;
    } else if (fabs(slope) <= -search->c2 * search->slope) {
        return MLP_WOLFE_DONE;
    } else {
        search->low = p;
        if (!search->bracketed && slope < 0.0) {
            search->alpha = extrapolate(&low, &p);
            return search->left > 0 ? MLP_WOLFE_TRY : MLP_WOLFE_DONE;
        }
        if (!search->bracketed || slope * (search->high.alpha - low.alpha) >= 0.0)
            search->high = low;
        search->bracketed = 1;
    }
    if (search->left == 0)
        return settle(search, p.alpha);
    search->alpha = interpolate(&search->low, &search->high);
    if (search->alpha == search->low.alpha || search->alpha == search->high.alpha)
        return settle(search, p.alpha);
    return MLP_WOLFE_TRY;
}
