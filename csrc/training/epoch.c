/* epoch.c - what every method does with its fit: passes, and the start and the end of an epoch.
 *
 * The rules of tol and of the goal are here, and what happens where numbers are not finite. */
#include "training/epoch.h"

#include "network/dropout.h"

#include <math.h>
#include <string.h>

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
    fit->kept = 1;
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
    fit->kept = 0;
    if (comparable && fabs(mlp_pair_difference(cost, fit->previous)) < fit->options.tol)
        return MLP_CONVERGED;
    return cost.high <= fit->options.goal ? MLP_GOAL : MLP_EPOCH;
}

double mlp_fit_gradient_norm(const struct mlp_fit *fit)
{
    if (!fit->evaluated)
        return (double)NAN;
    if (fit->bare)
        return fit->last_norm.high;
    if (fit->gradient == NULL)
        return fit->norm == NULL ? (double)NAN : *fit->norm;
    return sqrt(fit->net->kernels->sum_squares(fit->net->n_parameters, fit->gradient));
}

/* A portion of a pass of C alone. */
static int bare_pass(struct mlp_fit *fit, int *under_way)
{
    double *gradient = fit->pass.gradient;
    fit->pass.gradient = NULL;
    const int complete = mlp_fit_pass(fit, under_way);
    fit->pass.gradient = gradient;
    return complete;
}

/* The pass that evaluates C after epoch e is the one whose gradient epoch e + 1 steps along, so the
 * step is taken when the next epoch begins. After the last epoch nobody steps. */
enum mlp_event mlp_full_advance(struct mlp_fit *fit, struct mlp_full *full,
                                void (*step)(struct mlp_fit *fit))
{
    if (!full->in_pass && full->stepped && !full->entered) {
        mlp_fit_keep(fit);
        step(fit);
        if (!fit->net->kernels->all_finite(fit->net->n_parameters, fit->net->parameters))
            return mlp_fit_diverge(fit);
    }
    if (!full->in_pass && full->stepped && fit->epochs + 1 == fit->options.most)
        fit->bare = 1;
    if (full->entered)
        fit->initial_cost = fit->cost.high;
    full->entered = 0;
    if (!(fit->bare ? bare_pass : mlp_fit_pass)(fit, &full->in_pass))
        return MLP_PAUSED;
    fit->evaluated = 1;
    if (!full->stepped) {
        full->stepped = 1;
        fit->last_norm.high = mlp_fit_gradient_norm(fit);
        return mlp_fit_begin(fit);
    }
    if (!isfinite(fit->pass.cost.high))
        return mlp_fit_diverge(fit);
    return mlp_fit_epoch(fit, fit->pass.cost, 1);
}

size_t mlp_full_row(struct mlp_fit *fit, const struct mlp_full *full, struct mlp_pair **norm)
{
    *norm = &fit->last_norm;
    return full->entered || (full->in_pass && full->stepped) ? fit->n : 0;
}

int mlp_full_enter(const struct mlp_fit *fit, struct mlp_full *full, size_t row)
{
    if (row != fit->n)
        return 0;
    full->stepped = full->entered = 1;
    return 1;
}
