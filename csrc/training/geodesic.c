/* geodesic.c - the second difference of the outputs along a step, and the step's correction by it.
 *
 * The difference comes from two networks, a little ahead of the parameters and behind. */
#include "training/geodesic.h"

#include "network/layers.h"
#include "network/rows.h"

#include <math.h>
#include <string.h>

/* The step h of the differences, and the largest 2 |D a| / |D v| of a correction a to v that is
 * trusted. */
#define GEODESIC_STEP 0.1
#define GEODESIC_MOST 0.75

/* Of some instances: work <- the second difference of a^(L) along the step, with `dual`; else
 * delta^(l) of half the sum of its products with a^(L). */
static void accelerate_task(void *context, size_t thread, size_t part)
{
    const struct mlp_sweep *c = context;
    const struct mlp_gauss_newton *m = c->m;
    const struct mlp_network *net = c->fit->net;
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const struct mlp_arena *arena = &c->fit->space.arenas[0];
    struct mlp_share share;
    if (!mlp_sweep_share(c, thread, part, &share))
        return;
    const size_t first = share.first, rows = share.rows, m_out = last->m_out, n = rows * m_out;
    const double *x = share.x, *s = share.weights;
    double *a = share.a, *delta = share.delta, *back = arena->terms + first * m_out;
    struct mlp_network *there = m->ends[0], *opposite = m->ends[1];
    mlp_forward(there, first, rows, x, arena->a, delta, share.panel, 0);
    mlp_forward(opposite, first, rows, x, arena->a, back, share.panel, 0);
    mlp_forward(net, first, rows, x, arena->a, a, share.panel, 1);
    const double *derivable = mlp_output_activate(net, rows, a, arena->y + first * m_out);
    for (size_t i = 0; i < n; i++)
        delta[i] = ((delta[i] - a[i]) - (a[i] - back[i])) * (1.0 / (GEODESIC_STEP * GEODESIC_STEP));
    for (size_t i = 0; i < n && s != NULL; i++)
        delta[i] *= m->dual ? sqrt(s[i / m_out]) : s[i / m_out];
    if (c->fit->y.kind == MLP_GAPS) { /* back is read no more */
        const double *y = mlp_rows(&c->fit->y, NULL, c->place + first, rows, back);
        for (size_t i = 0; i < n; i++)
            delta[i] = isnan(y[i]) ? 0.0 : delta[i];
    }
    if (m->dual) {
        memcpy(m->work + (m->row + first) * m_out, delta, n * sizeof *delta);
        return;
    }
    if (last->g == MLP_SOFTMAX) {
        for (size_t i = 0; i < n; i += m_out) {
            double sum = 0.0;
            for (size_t j = i; j < i + m_out; j++)
                sum += a[j] * delta[j];
            for (size_t j = i; j < i + m_out; j++)
                delta[j] = a[j] * (delta[j] - sum);
        }
    } else {
        net->kernels->multiply_derivative(last->g, n, derivable, delta);
    }
    mlp_deltas(net, net->n_layers - 1, 0, first, rows, arena->a, arena->delta, share.panel);
}

int mlp_geodesic_accelerate(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_network *net = fit->net;
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const double per_row = 3.0 * MLP_ACTIVATION * (double)net->units + 4.0 * (double)m->P;
    if (m->row == 0) {
        for (size_t p = 0; p < m->P; p++) {
            m->ends[0]->parameters[p] = net->parameters[p] + GEODESIC_STEP * m->step[p];
            m->ends[1]->parameters[p] = net->parameters[p] - GEODESIC_STEP * m->step[p];
        }
    }
    const struct mlp_sweep c = mlp_sweep_run(fit, m, arena->rows, per_row, accelerate_task);
    if (c.rows == 0) {
        fit->work = -HUGE_VAL; /* nobody goes on with it */
        return 0;
    }
    if (!m->dual)
        mlp_gradient_part(net, 1, 0, c.rows, mlp_rows(&fit->x, NULL, c.place, c.rows, arena->x),
                          NULL, arena->a, arena->delta, m->row == 0, m->work, arena->panel, NULL,
                          NULL, 1);
    fit->work -= (double)c.rows * per_row + (double)c.rows * (double)m->P;
    m->row += c.rows;
    return m->row == fit->n;
}

void mlp_geodesic_correct(const struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    double *a = m->ends[0]->parameters; /* free by now */
    mlp_gauss_newton_system(fit, m, m->work, m->dual ? a : m->work);
    if (!m->dual)
        memcpy(a, m->work, m->P * sizeof *a);
    const double size = sqrt(mlp_gauss_newton_length2(fit, m, a));
    if (2.0 * size <= GEODESIC_MOST * m->size) {
        for (size_t p = 0; p < m->P; p++)
            m->step[p] += 0.5 * a[p];
    }
}
