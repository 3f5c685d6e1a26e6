/* trainer.c - the trainer: one step on a given batch a call.
 *
 * It is the fit without epochs, schedules and rules: what it keeps is the step and, with dropout, its
 * stream. */
#include "network/dropout.h"
#include "network/lists.h"
#include "network/online.h"
#include "network/pass.h"
#include "network/scaling.h"
#include "training/descent.h"
#include "training/schedule.h"
#include "training/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mlp_trainer {
    struct mlp_network *net; /* the caller's, or `dropping` */
    struct mlp_network *dropping;
    struct mlp_penalty penalty;
    struct mlp_stream stream;
    size_t n_threads;
    struct mlp_step step;
    struct mlp_clipping clipping;
    struct mlp_schedule schedule; /* whose epochs are steps */
    struct mlp_workspace space;   /* for batches of up to `largest` */
    size_t largest, room;         /* so many; of CSR instances */
};

enum mlp_status mlp_trainer_new(struct mlp_trainer **trainer, struct mlp_network *network,
                                const struct mlp_fit_options *options, size_t n_threads)
{
    struct mlp_trainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return MLP_NO_MEMORY;
    t->net = network;
    t->n_threads = n_threads;
    t->penalty = (struct mlp_penalty){options->problem.l1, options->problem.l2};
    t->stream = options->stream;
    t->clipping = (struct mlp_clipping){options->clip_norm, options->clip_value};
    t->schedule = options->schedule;
    enum mlp_status status = MLP_OK;
    if (options->problem.dropout != NULL) {
        t->net = t->dropping = mlp_network_twin(network, network->parameters);
        if (t->dropping == NULL)
            status = MLP_NO_MEMORY;
        else
            mlp_network_set_dropout(t->dropping, options->problem.dropout);
    }
    if (status == MLP_OK)
        status = mlp_descent_step(&t->step, network, options);
    if (status != MLP_OK) {
        mlp_network_free(t->dropping);
        free(t);
        return status;
    }
    *trainer = t;
    return MLP_OK;
}

void mlp_trainer_free(struct mlp_trainer *trainer)
{
    if (trainer == NULL)
        return;
    mlp_workspace_free(&trainer->space);
    mlp_step_free(&trainer->step);
    mlp_network_free(trainer->dropping);
    free(trainer);
}

/* The learning rate of the next step. */
static double next_rate(const struct mlp_trainer *t)
{
    const struct mlp_step *s = &t->step;
    if (t->schedule.kind == MLP_CONSTANT)
        return s->rate;
    const double own = s->m != NULL ? s->adam.learning_rate : s->options.learning_rate;
    return mlp_schedule_rate(&t->schedule, t->net->kernels, own, (size_t)s->steps + 1, 0.0, NULL);
}

/* Whether a step by so many multiply-adds is shared by threads. */
static int shares(const struct mlp_trainer *t, double work) { return work >= 2.0 * t->net->grain; }

enum mlp_status mlp_trainer_step(struct mlp_trainer *trainer, const struct mlp_matrix *x,
                                 const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                 size_t n, double *cost)
{
    const struct mlp_network *net = trainer->net;
    struct mlp_step *step = &trainer->step;
    const size_t room = mlp_lists_room(x, n);
    if (n > trainer->largest || room > trainer->room || (room == 0) != (trainer->room == 0)) {
        struct mlp_workspace space;
        const enum mlp_status status =
            mlp_workspace_new(&space, net, trainer->n_threads, n, n, 1, room);
        if (status != MLP_OK)
            return status;
        mlp_workspace_free(&trainer->space);
        trainer->space = space;
        trainer->largest = n;
        trainer->room = room;
    }
    struct mlp_matrix inputs, targets;
    x = mlp_inputs(net, x, &inputs);
    y = mlp_targets(net, y, &targets);
    struct mlp_team team = {.n_threads = 1};
    struct mlp_pass pass = {.net = net,
                            .space = &trainer->space,
                            .team = &team,
                            .x = x,
                            .y = y,
                            .weights = weights,
                            .penalty = trainer->penalty,
                            .gradient = step->gradient,
                            .step = mlp_clips(&trainer->clipping) ? NULL : step};
    struct mlp_pair sum = {0.0, 0.0};
    const uint64_t saved = mlp_fp_enter();
    if (trainer->schedule.kind != MLP_CONSTANT)
        step->rate = next_rate(trainer);
    if (n == 1 && step->plain && pass.step != NULL && weights == NULL &&
        !mlp_penalises(&trainer->penalty) &&
        mlp_online(net, &trainer->space.arenas[0], x, y, NULL, 0, 1, step->rate, NULL, &sum)) {
        *cost = sum.high;
        mlp_step_count(step);
        mlp_fp_leave(saved);
        return MLP_OK;
    }
    if (shares(trainer, 3.0 * (double)n * (double)net->n_parameters))
        mlp_team_open(&team, trainer->n_threads);
    mlp_step_prepare(step);
    if (trainer->dropping != NULL)
        pass.masks = mlp_masks_take(net, &trainer->stream, n);
    mlp_pass_start(&pass, NULL, 0, n);
    while (!mlp_pass_advance(&pass)) {
    }
    *cost = pass.cost.high;
    if (isfinite(*cost)) {
        if (pass.step == NULL) {
            mlp_clip(&trainer->clipping, net, step->gradient);
            mlp_step_take_all(step, net, &team);
        }
        mlp_step_count(step);
    }
    mlp_fp_leave(saved);
    mlp_team_close(&team);
    return MLP_OK;
}

void mlp_trainer_apply(struct mlp_trainer *trainer, const double *gradient)
{
    const struct mlp_network *net = trainer->net;
    struct mlp_step *step = &trainer->step;
    const size_t P = net->n_parameters;
    struct mlp_team team = {.n_threads = 1};
    const uint64_t saved = mlp_fp_enter();
    if (shares(trainer, (double)P))
        mlp_team_open(&team, trainer->n_threads);
    step->rate = next_rate(trainer);
    memcpy(step->gradient, gradient, P * sizeof *gradient);
    if (mlp_penalises(&trainer->penalty))
        mlp_penalise(net, &trainer->penalty, 0, P, step->gradient);
    if (mlp_clips(&trainer->clipping))
        mlp_clip(&trainer->clipping, net, step->gradient);
    mlp_step_prepare(step);
    mlp_step_take_all(step, net, &team);
    mlp_step_count(step);
    mlp_fp_leave(saved);
    mlp_team_close(&team);
}

double mlp_trainer_rate(const struct mlp_trainer *trainer)
{
    const uint64_t saved = mlp_fp_enter();
    const double rate = next_rate(trainer);
    mlp_fp_leave(saved);
    return rate;
}

void mlp_trainer_set_rate(struct mlp_trainer *trainer, double rate)
{
    trainer->schedule.kind = MLP_CONSTANT;
    trainer->step.rate = rate;
}

uint64_t mlp_trainer_position(const struct mlp_trainer *trainer)
{
    return trainer->stream.position;
}

void mlp_trainer_set_position(struct mlp_trainer *trainer, uint64_t position)
{
    trainer->stream.position = position;
}

size_t mlp_trainer_describe(struct mlp_trainer *trainer, struct mlp_array arrays[MLP_MAX_ARRAYS])
{
    const size_t P = trainer->net->n_parameters;
    arrays[0] = (struct mlp_array){"parameters", trainer->net->parameters, P};
    return 1 + mlp_step_describe(&trainer->step, P, 1, arrays + 1);
}

const char *mlp_trainer_resume(struct mlp_trainer *trainer, const struct mlp_array *arrays,
                               size_t n)
{
    struct mlp_array to[MLP_MAX_ARRAYS];
    const size_t n_to = mlp_trainer_describe(trainer, to);
    const char *name = mlp_arrays_missing(to, n_to, arrays, n);
    if (name != NULL)
        return name;
    mlp_arrays_copy(to + 1, n_to - 1, arrays, n);
    name = mlp_step_refused(&trainer->step, trainer->net->n_parameters);
    if (name == NULL) /* the parameters come last */
        mlp_arrays_copy(to, 1, arrays, n);
    return name;
}
