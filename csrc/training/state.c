/* state.c - what a fit is at the end of an epoch, or at a place within one that mlp_fit_row tells of, as a
 * report with arrays, and a new fit put there.
 *
 * Arrays are found by name and size. The parameters are written last, when nothing can fail. */
#include "training/state.h"

#include "training/validation.h"

#include <math.h>
#include <string.h>

static size_t row_of(struct mlp_fit *fit, struct mlp_pair **sum)
{
    if (fit->method->row == NULL || fit->diverged || fit->validation.under_way)
        return 0;
    return fit->method->row(fit, sum);
}

size_t mlp_fit_row(struct mlp_fit *fit)
{
    struct mlp_pair *sum;
    return row_of(fit, &sum);
}

int mlp_fit_enter(struct mlp_fit *fit, size_t row, uint64_t epoch_position)
{
    if (fit->method->enter == NULL || row == 0 || row > fit->n ||
        epoch_position > fit->options.stream.position)
        return 0;
    fit->start_stream.position = epoch_position;
    fit->previous = fit->cost;
    fit->kept = 1;
    return fit->method->enter(fit, row);
}

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
    struct mlp_pair *sum;
    report->row = row_of(fit, &sum);
    if (report->row > 0) {
        report->epoch_position = fit->start_stream.position;
        mlp_remember(report, "epoch_start", fit->start, fit->net->n_parameters);
        mlp_remember(report, "epoch_previous", &fit->previous.high, 2);
        mlp_remember(report, fit->options.batch_size ? "epoch_sum" : "epoch_norm", &sum->high, 2);
    }
    const uint64_t saved = mlp_fp_enter();
    report->gradient_norm = mlp_fit_gradient_norm(fit);
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
    if (name == NULL && !mlp_validation_plausible(fit))
        name = "best";
    if (name == NULL)
        mlp_arrays_copy(to.arrays, 1, arrays, n);
    return name;
}
