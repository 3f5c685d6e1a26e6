/* vectors.c - sums and updates of vectors (P,) on the pass's team: memory is what bounds them. */
#include "training/vectors.h"

#include <string.h>

/* Elements of a block: 256 KB of each operand, which one thread streams through in about 10 us. */
#define BLOCK ((size_t)1 << 15)

enum operation { DOT, COMBINE, CURVATURE, FINITE, COPY };

struct vector_job {
    const struct mlp_network *net;
    enum operation operation;
    size_t parts;
    double a, b;
    const double *x, *y, *z;
    double *out, *second;
    double sums[MLP_RANGES][4];
};

static void vector_task(void *context, size_t thread, size_t part)
{
    struct vector_job *j = context;
    const struct mlp_kernels *k = j->net->kernels;
    const size_t P = j->net->n_parameters, i = mlp_part(P, j->parts, part);
    const size_t n = mlp_part(P, j->parts, part + 1) - i;
    double *sums = j->sums[part];
    (void)thread;
    switch (j->operation) {
    case DOT:
        sums[0] = k->dot(n, j->x + i, j->y + i);
        break;
    case COMBINE:
        sums[0] = k->combine(n, j->a, j->x + i, j->b, j->y + i, j->z == NULL ? NULL : j->z + i,
                             j->out + i);
        break;
    case CURVATURE:
        k->curvature(n, j->a, j->x + i, j->y + i, j->out + i, j->second + i, sums);
        break;
    case FINITE:
        sums[0] = k->all_finite(n, j->x + i) ? 0.0 : 1.0;
        break;
    case COPY:
    default:
        memcpy(j->out + i, j->x + i, n * sizeof *j->out);
        break;
    }
}

/* Runs the job, which moves about `streams` vectors, and leaves the totals in j->sums[0]. */
static void run(struct mlp_fit *fit, struct vector_job *j, size_t n_sums, double streams)
{
    const size_t P = fit->net->n_parameters, blocks = P / BLOCK + (P % BLOCK != 0);
    const double work = streams * (double)P;
    j->net = fit->net;
    j->parts = blocks < MLP_RANGES ? blocks : MLP_RANGES;
    mlp_team_run(fit->pass.team, mlp_team_size(fit->pass.team, fit->net->grain, work), j->parts,
                 vector_task, j);
    MLP_TREE (j->parts, to, from) {
        for (size_t s = 0; s < n_sums; s++)
            j->sums[to][s] += j->sums[from][s];
    }
    fit->work -= work;
}

double mlp_vector_dot(struct mlp_fit *fit, const double *x, const double *y)
{
    struct vector_job j = {.operation = DOT, .x = x, .y = y};
    run(fit, &j, 1, 2.0);
    return j.sums[0][0];
}

double mlp_vector_combine(struct mlp_fit *fit, double a, const double *x, double b, const double *y,
                          const double *z, double *out)
{
    struct vector_job j = {
        .operation = COMBINE, .a = a, .b = b, .x = x, .y = y, .z = z, .out = out};
    run(fit, &j, 1, z == NULL ? 3.0 : 4.0);
    return j.sums[0][0];
}

void mlp_vector_curvature(struct mlp_fit *fit, double a, const double *g, const double *g0,
                          double *s, double *y, double sums[4])
{
    struct vector_job j = {.operation = CURVATURE, .a = a, .x = g, .y = g0, .out = s, .second = y};
    run(fit, &j, 4, 5.0);
    memcpy(sums, j.sums[0], sizeof j.sums[0]);
}

int mlp_vector_finite(struct mlp_fit *fit, const double *x)
{
    struct vector_job j = {.operation = FINITE, .x = x};
    run(fit, &j, 1, 1.0);
    return j.sums[0][0] == 0.0;
}

void mlp_vector_copy(struct mlp_fit *fit, const double *x, double *out)
{
    struct vector_job j = {.operation = COPY, .x = x, .out = out};
    run(fit, &j, 0, 2.0);
}
