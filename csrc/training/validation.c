/* validation.c - instances that a fit does not learn from: their cost after each epoch, the epoch
 * where it was lowest, and when it has not fallen for too long.
 *
 * It is a pass like any other, in portions between the method's, with the arenas and the threads of
 * the fit. */
#include "training/validation.h"

#include "network/memory.h"
#include "network/scaling.h"

#include <math.h>
#include <string.h>

enum mlp_status mlp_fit_validate(struct mlp_fit *fit, const struct mlp_matrix *x,
                                 const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                 size_t n, size_t patience, const double best[2])
{
    struct mlp_validation *v = &fit->validation;
    const size_t P = fit->net->n_parameters, batch = fit->options.batch_size;
    struct mlp_workspace space = {0};
    double *parameters = NULL;
    enum mlp_status status = MLP_OK;
    if (n > fit->n && x != NULL)
        status = mlp_workspace_new(&space, fit->net, fit->space.n_threads, batch ? batch : fit->n,
                                   n, 1, fit->space.arenas[0].room);
    if (status != MLP_OK)
        return status;
    if (patience > 0 && (parameters = mlp_allocate(P)) == NULL) {
        mlp_workspace_free(&space);
        return MLP_NO_MEMORY;
    }
    if (n > fit->n && x != NULL) {
        mlp_workspace_free(&fit->space);
        fit->space = space;
    }
    /* What is 0 was cleared by mlp_fit_new, and the ranges of the pass need not be. */
    v->n = n;
    v->patience = patience;
    v->cost = (double)NAN;
    v->best[MLP_BEST_COST] = best[0];
    v->best[MLP_BEST_EPOCH] = best[1];
    v->parameters = parameters;
    v->pass.net = fit->whole;
    v->pass.space = &fit->space;
    v->pass.x = &v->x;
    v->pass.y = &v->y;
    v->pass.validation = 1;
    if (x == NULL) {
        v->pass.elsewhere = fit->options.elsewhere;
    } else {
        struct mlp_matrix own;
        v->x = *mlp_inputs(fit->net, x, &own);
        v->y = *mlp_targets(fit->net, y, &own);
    }
    if (weights != NULL) {
        v->weights = *weights;
        v->pass.weights = &v->weights;
    }
    if (parameters != NULL)
        memcpy(parameters, fit->net->parameters, P * sizeof *parameters);
    return MLP_OK;
}

/* Threads by the model alone: what the method's portions have shown says nothing about this pass. */
int mlp_validation_advance(struct mlp_fit *fit)
{
    struct mlp_validation *v = &fit->validation;
    struct mlp_team team = fit->team;
    team.bold = 0;
    v->pass.team = &team;
    if (!v->under_way)
        mlp_pass_start(&v->pass, NULL, 0, v->n);
    v->under_way = !mlp_pass_advance(&v->pass);
    v->pass.team = NULL; /* it is of this call */
    fit->work -= v->pass.work;
    if (!v->under_way)
        v->cost = v->pass.cost.high;
    return !v->under_way;
}

/* A cost that is NaN is never the lowest. */
enum mlp_event mlp_validation_judge(struct mlp_fit *fit)
{
    struct mlp_validation *v = &fit->validation;
    v->best[MLP_BEST_AGE] += 1.0;
    if (v->cost < v->best[MLP_BEST_COST]) {
        v->best[MLP_BEST_COST] = v->cost;
        v->best[MLP_BEST_AGE] = 0.0;
        v->best[MLP_BEST_EPOCH] = (double)fit->epochs;
        if (v->parameters != NULL)
            memcpy(v->parameters, fit->net->parameters,
                   fit->net->n_parameters * sizeof *v->parameters);
    }
    if (v->event == MLP_EPOCH && v->patience > 0 && v->best[MLP_BEST_AGE] >= (double)v->patience)
        return MLP_PATIENCE;
    return v->event;
}

int mlp_validation_finish(struct mlp_fit *fit)
{
    struct mlp_validation *v = &fit->validation;
    const int known = v->n == 0 || (!v->under_way && !isnan(v->cost));
    v->under_way = 0;
    if (v->parameters == NULL || !(v->best[MLP_BEST_COST] < HUGE_VAL))
        return known;
    memcpy(fit->net->parameters, v->parameters, fit->net->n_parameters * sizeof *v->parameters);
    v->cost = v->best[MLP_BEST_COST];
    return 1;
}

void mlp_validation_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct mlp_validation *v = &fit->validation;
    if (v->n == 0)
        return;
    report->validation = v->cost;
    report->best[0] = v->best[MLP_BEST_COST];
    report->best[1] = v->best[MLP_BEST_EPOCH];
    if (fit->diverged)
        return;
    report->arrays[report->n_arrays++] =
        (struct mlp_array){"best", v->best, sizeof v->best / sizeof *v->best};
    if (v->parameters != NULL)
        report->arrays[report->n_arrays++] =
            (struct mlp_array){"best_parameters", v->parameters, fit->net->n_parameters};
}

int mlp_validation_plausible(const struct mlp_fit *fit)
{
    const double age = fit->validation.best[MLP_BEST_AGE];
    const double epoch = fit->validation.best[MLP_BEST_EPOCH];
    return fit->validation.n == 0 || (age >= 0.0 && age == floor(age) && epoch == floor(epoch) &&
                                      epoch <= (double)fit->epochs);
}
