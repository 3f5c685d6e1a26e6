/* step.c - the step of gradient descent, with momentum or without, and of Adam.
 *
 * A part of the parameters takes its step by mlp_step_take, on any thread; what all parts share is made
 * before, by mlp_step_prepare. */
#include "network/step.h"

#include "network/memory.h"

#include <math.h>
#include <string.h>

static void cut_all(struct mlp_step *step, size_t P, int momentum, int adam, struct mlp_cutter *c)
{
    step->gradient = mlp_cut(c, P, 1);
    step->velocity = momentum ? mlp_cut(c, P, 1) : NULL;
    step->m = adam ? mlp_cut(c, P, 1) : NULL;
    step->v = adam ? mlp_cut(c, P, 1) : NULL;
}

enum mlp_status mlp_step_new(struct mlp_step *step, const struct mlp_network *net,
                             const struct mlp_descent *descent, const struct mlp_adam *adam)
{
    const int momentum = adam == NULL && descent->momentum > 0;
    const size_t P = net->n_parameters;
    *step = (struct mlp_step){.plain = adam == NULL && !momentum,
                              .rate = adam != NULL ? adam->learning_rate : descent->learning_rate,
                              .scale = 1.0,
                              .options = *descent,
                              .powers = {1.0, 1.0}};
    if (adam != NULL)
        step->adam = *adam;
    struct mlp_cutter cutter = {0};
    cut_all(step, P, momentum, adam != NULL, &cutter);
    const enum mlp_status status = mlp_cutter_allocate(&cutter, &step->block);
    if (status != MLP_OK)
        return status;
    cut_all(step, P, momentum, adam != NULL, &cutter);
    if (momentum)
        memset(step->velocity, 0, P * sizeof(double));
    if (adam != NULL) {
        memset(step->m, 0, P * sizeof(double));
        memset(step->v, 0, P * sizeof(double));
    }
    return MLP_OK;
}

void mlp_step_free(struct mlp_step *step)
{
    mlp_release(step->block);
    step->block = NULL;
}

void mlp_step_prepare(struct mlp_step *step)
{
    const struct mlp_adam *o = &step->adam;
    if (step->m == NULL)
        return;
    const double rate = step->rate / (1.0 - step->powers[0] * o->beta1);
    const double second = sqrt(1.0 - step->powers[1] * o->beta2);
    step->next = (struct mlp_adam_step){
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .rate = o->raw_epsilon ? rate * second : rate,
        .root = o->raw_epsilon ? 1.0 : 1.0 / second,
        .keep = 1.0 - step->rate * o->weight_decay,
        .scale = step->scale,
    };
}

void mlp_step_take(const struct mlp_step *step, const struct mlp_network *net, size_t begin,
                   size_t n)
{
    const struct mlp_descent *o = &step->options;
    const double rate = step->rate * step->scale;
    if (step->plain)
        net->kernels->descend(n, rate, step->gradient + begin, net->parameters + begin);
    else if (step->m != NULL)
        net->kernels->adam(n, &step->next, step->gradient + begin, step->m + begin, step->v + begin,
                           net->parameters + begin);
    else
        net->kernels->descend_momentum(n, rate, o->momentum, o->nesterov, step->gradient + begin,
                                       step->velocity + begin, net->parameters + begin);
}

struct mlp_epilogue mlp_step_epilogue(const struct mlp_step *step, const struct mlp_network *net,
                                      size_t begin, size_t row, int store)
{
    const int adam = step->m != NULL;
    double *v = adam ? step->v : step->velocity;
    return (struct mlp_epilogue){
        .w = net->parameters + begin,
        .w_row = (ptrdiff_t)row,
        .alpha = step->rate * step->scale,
        .store = store,
        .mu = step->options.momentum,
        .nesterov = step->options.nesterov,
        .m = adam ? step->m + begin : NULL,
        .v = v == NULL ? NULL : v + begin,
        .adam = adam ? &step->next : NULL,
    };
}

struct step_context {
    const struct mlp_step *step;
    const struct mlp_network *net;
    size_t parts;
};
static void step_task(void *context, size_t thread, size_t part)
{
    const struct step_context *c = context;
    const size_t P = c->net->n_parameters, begin = mlp_part(P, c->parts, part);
    (void)thread;
    mlp_step_take(c->step, c->net, begin, mlp_part(P, c->parts, part + 1) - begin);
}

/* Multiply-adds that Adam's step of one parameter is worth: 0.37 ns from the cache with AVX-512, 0.74
 * ns with AVX2, where a product does one in 0.02 to 0.04 ns. */
#define ADAM_WORK 20.0

void mlp_step_take_all(const struct mlp_step *step, const struct mlp_network *net,
                       const struct mlp_team *team)
{
    const double work = (step->m != NULL ? ADAM_WORK : 1.0) * (double)net->n_parameters;
    struct step_context c = {step, net, mlp_team_size(team, net->grain, work)};
    mlp_team_run(team, c.parts, c.parts, step_task, &c);
}

void mlp_step_count(struct mlp_step *step)
{
    step->powers[0] *= step->adam.beta1;
    step->powers[1] *= step->adam.beta2;
    step->steps += 1.0;
}

size_t mlp_step_describe(struct mlp_step *step, size_t P, int counted, struct mlp_array *arrays)
{
    size_t n = 0;
    if (step->velocity != NULL)
        arrays[n++] = (struct mlp_array){"velocity", step->velocity, P};
    if (step->m != NULL) {
        arrays[n++] = (struct mlp_array){"m", step->m, P};
        arrays[n++] = (struct mlp_array){"v", step->v, P};
        arrays[n++] = (struct mlp_array){"powers", step->powers, 2};
    }
    if (counted)
        arrays[n++] = (struct mlp_array){"steps", &step->steps, 1};
    return n;
}

/* A mean of squares is not negative, with a power of 1 or more Adam would divide by 0 or less, and from 2^53
 * on steps cannot be counted. */
const char *mlp_step_refused(const struct mlp_step *step, size_t P)
{
    for (size_t j = 0; j < P && step->m != NULL; j++) {
        if (!(step->v[j] >= 0.0))
            return "v";
    }
    for (int i = 0; i < 2; i++) {
        if (!(step->powers[i] >= 0.0 && step->powers[i] <= 1.0))
            return "powers";
    }
    return step->steps >= 0.0 && step->steps < 0x1p53 && step->steps == floor(step->steps)
               ? NULL
               : "steps";
}
