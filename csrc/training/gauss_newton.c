/* gauss_newton.c - see gauss_newton.h.
 *
 * The sweep goes over the instances chunk by chunk: forward; for each output k a backward pass with
 * delta^(L) = da_k/dz gives rows of J; A += J^T J and g += J^T e. */
#include "training/gauss_newton.h"

#include "network/layers.h"
#include "network/memory.h"
#include "network/rows.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Rows of a chunk of J: as many terms as the product takes in one block of its inner sum on every
 * ISA. With many parameters, A is large and passes through memory once for each chunk. */
#define CHUNK_ROWS ((size_t)128)
#define LARGE_CHUNK_ROWS ((size_t)256)
#define LARGE ((size_t)1024)

/* What a saturated output's a or a (1 - a) is taken to be, at least: its root is divided by. */
#define MIN_CURVATURE DBL_EPSILON

/* ---- memory ---- */

static void cut_all(struct mlp_gauss_newton *m, const struct mlp_fit *fit, struct mlp_cutter *c)
{
    const size_t P = m->P, m_out = mlp_n_outputs(fit->net), N = m->s.order, row = m->s.row;
    const size_t nodes = fit->options.elsewhere != NULL ? 1 : m->chains > 1 ? MLP_SWEEP_NODES : 0;
    m->j = mlp_cut(c, m->chunk * m_out, m->j_row);
    m->e = mlp_cut(c, m->dual ? m->R : m->chunk, m->dual ? 1 : m_out);
    m->a = mlp_cut(c, N, row);
    m->u = mlp_cut(c, N, row);
    m->inverse = mlp_cut(c, fit->options.levenberg.bayesian ? N : 0, row);
    m->jt = mlp_cut(c, m->dual ? P : 0, row);
    m->gradient = mlp_cut(c, P, 1);
    m->d2 = mlp_cut(c, P, 1);
    m->step = mlp_cut(c, P, 1);
    m->parameters = mlp_cut(c, P, 1);
    m->work = mlp_cut(c, P > N ? P : N, 1);
    if (fit->options.levenberg.geodesic) {
        m->end_parameters[0] = mlp_cut(c, P, 1);
        m->end_parameters[1] = mlp_cut(c, P, 1);
    }
    m->sums = mlp_cut(c, nodes, m->node);
    m->s.negated = mlp_cut(c, mlp_symmetric_negated(N), 1);
    m->s.panels = mlp_cut(c, fit->space.n_threads, m->s.panel);
}

/* Errors of instances whose weight is not 0, and whose targets are there: what the data count for. */
static double observed(const struct mlp_fit *fit)
{
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t m = mlp_n_outputs(fit->net);
    const int gaps = fit->y.kind == MLP_GAPS;
    if (fit->options.elsewhere != NULL)
        return fit->options.elsewhere->observed;
    if (fit->pass.weights == NULL && !gaps)
        return (double)fit->n * (double)m;
    size_t count = 0;
    for (size_t i = 0, rows; i < fit->n; i += rows) {
        rows = fit->n - i < arena->rows ? fit->n - i : arena->rows;
        const size_t place = mlp_rows_at(&fit->x, i, &rows);
        if (rows == 0)
            break;
        const double *y = gaps ? mlp_rows(&fit->y, NULL, place, rows, arena->y) : NULL, *s = NULL;
        if (fit->pass.weights != NULL)
            s = mlp_rows(fit->pass.weights, NULL, place, rows, arena->s);
        for (size_t k = 0; k < rows * m; k++)
            count += (s == NULL || s[k / m] > 0.0) && !(gaps && isnan(y[k]));
    }
    return (double)count;
}

enum mlp_status mlp_gauss_newton_new(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_network *net = fit->net;
    const size_t P = net->n_parameters, m_out = mlp_n_outputs(net);
    m->P = P;
    if (!mlp_size_multiply(fit->n, m_out, &m->R))
        return MLP_TOO_LARGE;
    m->observed = observed(fit);
    m->dual = m->R < P && fit->options.problem.l2 == 0.0;
    m->chains = m->dual ? 1 : mlp_gauss_newton_chains(fit->n);
    m->node = mlp_gauss_newton_node(P);
    if (m->node == 0)
        return MLP_TOO_LARGE;
    m->j_row = mlp_symmetric_row(P < SIZE_MAX - 7 ? P + 7 : 0);
    m->s = (struct mlp_symmetric){.net = net, .team = &fit->team, .order = m->dual ? m->R : P};
    m->s.row = mlp_symmetric_row(m->s.order);
    const size_t most = (P < LARGE ? CHUNK_ROWS : LARGE_CHUNK_ROWS) / m_out;
    const size_t rows = fit->space.arenas[0].rows;
    m->chunk = most == 0 ? 1 : most < rows ? most : rows;
    const size_t terms = m->dual ? P : m->chunk * m_out;
    m->s.panel = mlp_symmetric_panel(net->kernels, m->s.order, terms, m->s.row + m->j_row);
    struct mlp_cutter cutter = {0};
    cut_all(m, fit, &cutter);
    const enum mlp_status status = mlp_cutter_allocate(&cutter, &m->memory);
    if (status != MLP_OK)
        return status;
    cut_all(m, fit, &cutter);
    memset(m->d2, 0, P * sizeof(double));
    return MLP_OK;
}

/* ---- the sweep: J, A and the gradient ---- */

/* delta (rows, m) <- row k of S^T for each instance, e_k <- the error that belongs to it. */
static void output_rows(const struct mlp_network *net, size_t rows, size_t k, const double *a,
                        const double *derivable, const double *y, double *delta, double *e)
{
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const size_t m = last->m_out;
    if (net->loss == MLP_SQUARED_ERROR) {
        for (size_t i = k; i < rows * m; i += m)
            e[i] = a[i] - y[i];
        mlp_output_deltas(net, rows, k, a, derivable, delta);
        return;
    }
    memset(delta, 0, rows * m * sizeof *delta);
    for (size_t i = 0; i < rows * m; i += m) {
        const double a_k = a[i + k], h = last->g == MLP_SIGMOID ? a_k * (1.0 - a_k) : a_k;
        const double root = sqrt(h > MIN_CURVATURE ? h : MIN_CURVATURE);
        e[i + k] = (a_k - y[i + k]) / root;
        for (size_t j = 0; j < m && last->g == MLP_SOFTMAX; j++)
            delta[i + j] = -root * a[i + j];
        delta[i + k] += root;
    }
}

/* The rows' errors e_k, and delta^(L), times the roots of their weights: 0 for 0, whatever they are. */
static void weigh(size_t rows, size_t m, size_t k, const double *s, double *delta, double *e)
{
    for (size_t i = 0; i < rows; i++) {
        const double root = sqrt(s[i]);
        e[i * m + k] = root > 0.0 ? root * e[i * m + k] : 0.0;
        for (size_t j = 0; j < m; j++)
            delta[i * m + j] = root > 0.0 ? root * delta[i * m + j] : 0.0;
    }
}

/* e_k, and delta^(L), of rows whose target k is missing: 0. */
static void leave_out(size_t rows, size_t m, size_t k, const double *y, double *delta, double *e)
{
    for (size_t i = 0; i < rows; i++) {
        if (!isnan(y[i * m + k]))
            continue;
        e[i * m + k] = 0.0;
        memset(delta + i * m, 0, m * sizeof *delta);
    }
}

int mlp_sweep_share(const struct mlp_sweep *sweep, size_t thread, size_t part,
                    struct mlp_share *share)
{
    const struct mlp_fit *fit = sweep->fit;
    const struct mlp_network *net = fit->net;
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t last = net->n_layers - 1, m_out = mlp_n_outputs(net);
    const size_t first = mlp_part(sweep->rows, sweep->parts, part), row = sweep->place + first;
    const size_t rows = mlp_part(sweep->rows, sweep->parts, part + 1) - first;
    if (rows == 0)
        return 0;
    *share = (struct mlp_share){
        .first = first,
        .rows = rows,
        .x = mlp_rows(&fit->x, NULL, row, rows, arena->x + first * mlp_n_inputs(net)),
        .a = arena->a[last] + first * m_out,
        .delta = arena->delta[last] + first * m_out,
        .panel = fit->space.arenas[thread].panel};
    if (fit->pass.weights != NULL)
        share->weights = mlp_rows(fit->pass.weights, NULL, row, rows, arena->s + first);
    return 1;
}

struct mlp_sweep mlp_sweep_run(struct mlp_fit *fit, const struct mlp_gauss_newton *m, size_t most,
                               double work, mlp_task task)
{
    const size_t left = m->end - m->row;
    size_t rows = left < most ? left : most;
    const size_t place = mlp_rows_at(&fit->x, m->row, &rows);
    const size_t parts = mlp_team_size(&fit->team, fit->net->grain, (double)rows * work);
    struct mlp_sweep sweep = {fit, m, place, rows, parts};
    mlp_team_run(&fit->team, parts, parts, task, &sweep);
    return sweep;
}

static void sweep_task(void *context, size_t thread, size_t part)
{
    const struct mlp_sweep *c = context;
    const struct mlp_gauss_newton *m = c->m;
    const struct mlp_network *net = c->fit->net;
    const struct mlp_arena *arena = &c->fit->space.arenas[0];
    const struct mlp_shape shape = mlp_shape_of(net);
    const size_t m_out = mlp_n_outputs(net);
    struct mlp_share s;
    if (!mlp_sweep_share(c, thread, part, &s))
        return;
    const size_t first = s.first, rows = s.rows;
    const double *y = mlp_rows(&c->fit->y, NULL, c->place + first, rows, arena->y + first * m_out);
    double *e = m->e + (m->dual ? m->row + first : first) * m_out;
    mlp_forward(net, first, rows, s.x, arena->a, s.a, s.panel, 1);
    const double *derivable = mlp_output_activate(net, rows, s.a, arena->terms + first * m_out);
    for (size_t k = 0; k < m_out; k++) {
        output_rows(net, rows, k, s.a, derivable, y, s.delta, e);
        if (s.weights != NULL)
            weigh(rows, m_out, k, s.weights, s.delta, e);
        if (c->fit->y.kind == MLP_GAPS)
            leave_out(rows, m_out, k, y, s.delta, e);
        mlp_deltas(net, net->n_layers - 1, 0, first, rows, arena->a, arena->delta, s.panel);
        net->kernels->jacobian(&shape, first, rows, s.x, arena->a, arena->delta,
                               m->j + (first * m_out + k) * m->j_row, m_out * m->j_row);
    }
}

/* J^T's columns of this chunk. */
static void transpose(const struct mlp_gauss_newton *m, size_t first, size_t rows)
{
    const size_t tile = 8;
    for (size_t p0 = 0; p0 < m->P; p0 += tile) {
        const size_t p1 = p0 + tile < m->P ? p0 + tile : m->P;
        for (size_t r = 0; r < rows; r++) {
            for (size_t p = p0; p < p1; p++)
                m->jt[p * m->s.row + first + r] = m->j[r * m->j_row + p];
        }
    }
}

void mlp_gauss_newton_scale(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_kernels *k = fit->net->kernels;
    const int diagonal = fit->options.levenberg.diagonal;
    m->largest = 0.0;
    fit->work -= m->dual ? 4.0 * (double)m->R * (double)m->P : (double)m->P;
    for (size_t p = 0; p < m->P; p++) {
        const double norm2 =
            m->dual ? k->sum_squares(m->R, m->jt + p * m->s.row) : m->a[p * m->s.row + p];
        double d2 = 1.0;
        if (diagonal) {
            d2 = norm2 > m->d2[p] ? norm2 : m->d2[p];
            if (d2 == 0.0)
                d2 = 1.0;
        }
        m->d2[p] = d2;
        m->largest = norm2 / d2 > m->largest ? norm2 / d2 : m->largest;
        if (m->dual && diagonal) {
            const double r = 1.0 / sqrt(d2);
            for (size_t i = 0; i < m->R; i++)
                m->jt[p * m->s.row + i] *= r;
        }
    }
}

void mlp_gauss_newton_penalise(const struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_penalty penalty = {0.0, fit->options.problem.l2};
    if (!mlp_penalises(&penalty))
        return;
    mlp_penalise(fit->net, &penalty, 0, m->P, m->gradient);
    for (size_t l = 0; l < fit->net->n_layers; l++) {
        const struct mlp_layer *layer = &fit->net->layers[l];
        const size_t end = layer->offset + layer->m_in * layer->m_out;
        for (size_t p = layer->offset; p < end; p++)
            m->a[p * m->s.row + p] += penalty.l2;
    }
}

int mlp_gauss_newton_sweep(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_network *net = fit->net;
    const size_t m_out = mlp_n_outputs(net);
    const double P = (double)m->P;
    const double per_row = MLP_ACTIVATION * (double)net->units + P * (1.0 + 2.0 * (double)m_out);
    const struct mlp_sweep c = mlp_sweep_run(fit, m, m->chunk, per_row, sweep_task);
    if (c.rows == 0) {
        fit->work = -HUGE_VAL; /* nobody goes on with it */
        return 0;
    }
    const int first = m->fresh;
    const size_t r0 = m->dual ? m->row * m_out : 0, rows = c.rows * m_out;
    net->kernels->product(1, m->P, rows, m->e + r0, 0, 1, m->j, (ptrdiff_t)m->j_row, 1,
                          first ? NULL : m->gradient, 0, m->gradient, 0, NULL, m->s.panels);
    fit->work -= (double)c.rows * per_row + (double)rows * P;
    m->row += c.rows;
    if (m->dual) {
        transpose(m, r0, rows);
        fit->work -= 4.0 * (double)rows * P;
    }
    m->terms = m->dual ? m->P : rows;
    m->first = m->dual || first;
    m->gram = 0;
    m->fresh = 0;
    return m->row == fit->n;
}

int mlp_gauss_newton_gram(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const double *x = m->dual ? m->jt : m->j;
    const size_t N = m->s.order, from = m->gram;
    m->gram = mlp_gram(&m->s, m->terms, x, m->dual ? m->s.row : m->j_row, m->first, m->a, from,
                       MLP_PORTION / MLP_PRODUCT);
    fit->work -= MLP_PRODUCT * (double)m->terms * 0.5 * (double)(2 * N - from - m->gram) *
                 (double)(m->gram - from);
    return m->gram == N;
}

/* ---- the tree of chains ---- */

/* As of passes: with fewer instances the chains would be short. */
#define CHAINS_MIN_ROWS 4096

size_t mlp_gauss_newton_chains(size_t n) { return n >= CHAINS_MIN_ROWS ? MLP_SWEEP_CHAINS : 1; }

size_t mlp_gauss_newton_node(size_t n_parameters)
{
    size_t square;
    if (!mlp_size_multiply(n_parameters, n_parameters, &square) ||
        !mlp_size_add(square / 2, 2 * n_parameters, &square))
        return 0;
    return n_parameters + n_parameters * (n_parameters + 1) / 2;
}

void mlp_gauss_newton_chain(struct mlp_gauss_newton *m, size_t chain, size_t row, size_t end)
{
    m->chain = chain;
    m->row = row;
    m->end = end;
    m->fresh = 1;
}

void mlp_gauss_newton_begin(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    m->n_nodes = 0;
    mlp_gauss_newton_chain(m, 0, 0, mlp_part(fit->n, m->chains, 1));
}

void mlp_gauss_newton_pack(const struct mlp_gauss_newton *m, double *node)
{
    memcpy(node, m->gradient, m->P * sizeof *node);
    node += m->P;
    for (size_t p = 0; p < m->P; p++, node += m->P - p + 1)
        memcpy(node, m->a + p * m->s.row + p, (m->P - p) * sizeof *node);
}

void mlp_gauss_newton_unpack(struct mlp_gauss_newton *m, const double *node)
{
    memcpy(m->gradient, node, m->P * sizeof *node);
    node += m->P;
    for (size_t p = 0; p < m->P; p++, node += m->P - p + 1)
        memcpy(m->a + p * m->s.row + p, node, (m->P - p) * sizeof *node);
}

void mlp_gauss_newton_push(const struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    size_t last = m->n_nodes++;
    mlp_gauss_newton_pack(m, m->sums + last * m->node);
    m->nodes[last].begin = m->chain;
    m->nodes[last].count = 1;
    for (; last > 0; last--) {
        const size_t count = m->nodes[last].count, begin = m->nodes[last - 1].begin;
        if (m->nodes[last - 1].count != count || begin % (2 * count) != 0)
            return;
        fit->net->kernels->add(m->node, m->sums + last * m->node, m->sums + (last - 1) * m->node);
        m->nodes[last - 1].count = 2 * count;
        m->n_nodes = last;
    }
}

int mlp_gauss_newton_next(struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    if (m->chains == 1)
        return 1;
    mlp_gauss_newton_push(fit, m);
    fit->work -= 2.0 * (double)m->node;
    if (m->row < fit->n) {
        mlp_gauss_newton_chain(m, m->chain + 1, m->row, mlp_part(fit->n, m->chains, m->chain + 2));
        return 0;
    }
    mlp_gauss_newton_unpack(m, m->sums);
    return 1;
}

/* ---- the system ---- */

void mlp_gauss_newton_assemble(struct mlp_gauss_newton *m, double beta, double damping)
{
    const size_t N = m->s.order;
    for (size_t p = 0; p < N; p++) {
        const double *a = m->a + p * m->s.row;
        double *u = m->u + p * m->s.row;
        for (size_t j = p; j < N; j++)
            u[j] = beta * a[j];
        u[p] += m->dual ? damping : damping * m->d2[p];
    }
    m->factored = 0;
}

void mlp_gauss_newton_system(const struct mlp_fit *fit, const struct mlp_gauss_newton *m,
                             double *rhs, double *out)
{
    mlp_solve_lower(&m->s, m->u, rhs);
    mlp_solve_upper(&m->s, m->u, rhs);
    for (size_t p = 0; p < m->P; p++) {
        const double *row = m->jt + (m->dual ? p * m->s.row : 0);
        out[p] = m->dual ? -mlp_dot(fit->net->kernels, m->R, row, rhs) / sqrt(m->d2[p]) : -rhs[p];
    }
}

void mlp_gauss_newton_solve(const struct mlp_fit *fit, struct mlp_gauss_newton *m)
{
    const struct mlp_kernels *k = fit->net->kernels;
    const double *w = fit->net->parameters;
    /* With `dual`: -(alpha / c) w - beta J^T (beta K + c I)^-1 (e - (alpha / c) J w), c = alpha + mu */
    const double shrink = m->dual && m->alpha > 0.0 ? m->alpha / (m->mu + m->alpha) : 0.0;
    if (!m->dual) {
        for (size_t p = 0; p < m->P; p++)
            m->step[p] = m->beta * m->gradient[p] + m->alpha * w[p];
        mlp_gauss_newton_system(fit, m, m->step, m->step);
        return;
    }
    memcpy(m->work, m->e, m->R * sizeof(double));
    if (shrink != 0.0) {
        for (size_t p = 0; p < m->P; p++)
            m->step[p] = -shrink * w[p];
        k->product(1, m->R, m->P, m->step, 0, 1, m->jt, (ptrdiff_t)m->s.row, 1, m->work, 0, m->work,
                   0, NULL, m->s.panels);
    }
    mlp_gauss_newton_system(fit, m, m->work, m->step);
    for (size_t p = 0; p < m->P; p++)
        m->step[p] = m->beta * m->step[p] - shrink * w[p];
}

double mlp_gauss_newton_length2(const struct mlp_fit *fit, const struct mlp_gauss_newton *m,
                                const double *s)
{
    double sum = 0.0;
    if (!fit->options.levenberg.diagonal)
        return fit->net->kernels->sum_squares(m->P, s);
    for (size_t p = 0; p < m->P; p++)
        sum += m->d2[p] * s[p] * s[p];
    return sum;
}

double mlp_gauss_newton_decrease(const struct mlp_fit *fit, const struct mlp_gauss_newton *m)
{
    return 0.5 * (m->mu * mlp_gauss_newton_length2(fit, m, m->step) -
                  mlp_dot(fit->net->kernels, m->P, m->step, m->gradient));
}
