/* levenberg.c - Levenberg and Marquardt's method, and Bayesian regularisation on top of it.
 *
 * One iteration: a sweep over the instances, chunk by chunk (forward; for each output k a backward
 * pass with delta^(L) = da_k/dz gives rows of J; A += J^T J and g += J^T e), then Cholesky factors
 * of A + mu D^2 until a step is found that the rule accepts, whose cost is a pass like any other. So
 * J is never stored beyond a chunk. With fewer residuals R = n m^(L) than parameters J^T (P, R) is,
 * and the same routines work on K = J J^T (R, R): s = -J^T (K + mu I)^-1 e.
 *
 * For the cross-entropies J and e stand for S^T dz/dw and S^-1 (a - y), where S S^T is the Hessian of
 * the cost by z: a (1 - a), or diag(a) - a a^T with the columns sqrt(a_k) (e_k - a). Hence
 * J^T e is the gradient for every loss and J^T J the generalised Gauss-Newton matrix. */
#include "network/layers.h"
#include "network/memory.h"
#include "network/rows.h"
#include "training/methods.h"
#include "training/symmetric.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a chunk of J: as many terms as the product takes in one block of its inner sum on every
 * ISA. With many parameters, A is large and passes through memory once for each chunk. */
#define CHUNK_ROWS ((size_t)128)
#define LARGE_CHUNK_ROWS ((size_t)256)
#define LARGE ((size_t)1024)

/* Multiply-adds between two looks at the work that is left: some milliseconds. */
#define PORTION 4e7

/* What a multiply-add of a large product counts in fit->work, which is to be about as many of them
 * for the same time everywhere: they run at 60 GFLOP/s and more, backward passes of few units and
 * triangular solves at a tenth of that. */
#define PRODUCT 0.125

/* mu stays representable, whatever the number of successes. */
#define MIN_DAMPING 1e-20

/* What a saturated output's a or a (1 - a) is taken to be, at least: its root is divided by. */
#define MIN_CURVATURE DBL_EPSILON

/* Trust region, after the LMDER of MINPACK: how far ||D s|| may be from the radius, the gain ratio
 * from which a step is taken, and the most factors for one radius. */
#define RADIUS_TOLERANCE 0.1
#define MIN_RATIO 1e-4
#define MAX_SEARCH 10

/* Geodesic acceleration, after Transtrum and Sethna: the step h of the differences, and the largest
 * 2 |D a| / |D v| of a correction a to v that is trusted. */
#define GEODESIC_STEP 0.1
#define GEODESIC_MOST 0.75

enum stage { FIRST, SWEEP, GRAM, FACTOR, ACCELERATE, TRIAL };

struct levenberg {
    enum stage stage;
    int passing; /* a pass is under way */
    int dual;
    size_t R, P;
    double observed;           /* errors of instances whose weight is not 0 */
    size_t j_row;              /* doubles between rows of J */
    size_t chunk;              /* instances in a chunk of it */
    struct mlp_network *trial; /* the network with parameters of its own: `start` + step */
    struct mlp_symmetric s;
    double *memory;
    double *j;        /* (chunk m^(L), j_row) */
    double *e;        /* (R,) with `dual`, else a chunk's */
    double *jt;       /* with `dual`: J^T, D^-1 J^T once it is complete (P, s.row) */
    double *a, *u;    /* (N, s.row) the matrix, its factor */
    double *inverse;  /* (N, s.row) with Bayesian regularisation: U^-T */
    double *gradient; /* (P,) */
    double *d2;       /* (P,) D^2 */
    double *step, *parameters, *work; /* (P,), (P,), (max(P, N),) */
    double *end_parameters[2];
    struct mlp_network *ends[2]; /* with geodesic acceleration: the networks ahead and behind */
    size_t row;                  /* the sweep's next instance */
    size_t terms, gram; /* rows of J that A is to take in, the row of A where that goes on */
    int first;          /* they are the first ones */
    size_t factored;    /* rows of the factor */
    double mu, nu;
    double largest;   /* max A_pp / D_p^2 */
    double radius;    /* of the trust region; 0: not known yet */
    double low, high; /* bounds of its mu */
    int searches;     /* factors for this radius */
    double predicted; /* decrease of C by the model */
    double size;      /* ||D s|| of the step without its correction */
    double alpha, beta, gamma;
    double objective; /* F at the iteration's start */
};

/* ---- memory ---- */

static void levenberg_free(struct mlp_fit *fit)
{
    struct levenberg *m = fit->memory;
    if (m == NULL)
        return;
    mlp_network_free(m->trial);
    mlp_network_free(m->ends[0]);
    mlp_network_free(m->ends[1]);
    mlp_release(m->memory);
    free(m);
}

/* Counts, or hands out, doubles of one block. */
struct cutter {
    double *next;
    size_t total;
    int fits;
};
static double *cut(struct cutter *c, size_t rows, size_t columns)
{
    size_t n;
    double *p = c->next;
    c->fits = c->fits && mlp_size_multiply(rows, columns, &n) && n <= SIZE_MAX - 8 &&
              mlp_size_add(c->total, mlp_padded(n), &c->total);
    if (p != NULL)
        c->next += mlp_padded(n);
    return p;
}

static void cut_all(struct levenberg *m, const struct mlp_fit *fit, struct cutter *c)
{
    const size_t P = m->P, m_out = mlp_n_outputs(fit->net), N = m->s.order, row = m->s.row;
    m->j = cut(c, m->chunk * m_out, m->j_row);
    m->e = cut(c, m->dual ? m->R : m->chunk, m->dual ? 1 : m_out);
    m->a = cut(c, N, row);
    m->u = cut(c, N, row);
    m->inverse = cut(c, fit->options.levenberg.bayesian ? N : 0, row);
    m->jt = cut(c, m->dual ? P : 0, row);
    m->gradient = cut(c, P, 1);
    m->d2 = cut(c, P, 1);
    m->step = cut(c, P, 1);
    m->parameters = cut(c, P, 1);
    m->work = cut(c, P > N ? P : N, 1);
    if (fit->options.levenberg.geodesic) {
        m->end_parameters[0] = cut(c, P, 1);
        m->end_parameters[1] = cut(c, P, 1);
    }
    m->s.negated = cut(c, mlp_symmetric_negated(N), 1);
    m->s.panels = cut(c, fit->space.n_threads, m->s.panel);
}

/* Errors of instances whose weight is not 0: what the data count for. */
static double observed(const struct mlp_fit *fit)
{
    const struct mlp_arena *arena = &fit->space.arenas[0];
    size_t count = fit->pass.weights == NULL ? fit->n : 0;
    for (size_t i = 0, rows; fit->pass.weights != NULL && i < fit->n; i += rows) {
        rows = fit->n - i < arena->rows ? fit->n - i : arena->rows;
        const double *s = mlp_rows(fit->pass.weights, NULL, i, rows, arena->s);
        for (size_t k = 0; k < rows; k++)
            count += s[k] > 0.0;
    }
    return (double)count * (double)mlp_n_outputs(fit->net);
}

static enum mlp_status levenberg_start(struct mlp_fit *fit)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    const struct mlp_network *net = fit->net;
    const size_t P = net->n_parameters, m_out = mlp_n_outputs(net);
    struct levenberg *m = fit->memory = calloc(1, sizeof *m);
    if (m == NULL)
        return MLP_NO_MEMORY;
    m->P = P;
    if (!mlp_size_multiply(fit->n, m_out, &m->R))
        return MLP_TOO_LARGE;
    m->observed = observed(fit);
    m->dual = m->R < P && fit->options.problem.l2 == 0.0;
    m->j_row = mlp_symmetric_row(P < SIZE_MAX - 7 ? P + 7 : 0);
    m->s = (struct mlp_symmetric){.net = net, .team = &fit->team, .order = m->dual ? m->R : P};
    m->s.row = mlp_symmetric_row(m->s.order);
    const size_t most = (P < LARGE ? CHUNK_ROWS : LARGE_CHUNK_ROWS) / m_out;
    const size_t rows = fit->space.arenas[0].rows;
    m->chunk = most == 0 ? 1 : most < rows ? most : rows;
    const size_t terms = m->dual ? P : m->chunk * m_out;
    m->s.panel = mlp_symmetric_panel(net->kernels, m->s.order, terms, m->s.row + m->j_row);
    struct cutter count = {NULL, 0, 1};
    cut_all(m, fit, &count);
    if (!count.fits)
        return MLP_TOO_LARGE;
    m->memory = mlp_allocate(count.total);
    if (m->memory == NULL)
        return MLP_NO_MEMORY;
    struct cutter hand = {m->memory, 0, 1};
    cut_all(m, fit, &hand);
    m->trial = mlp_network_twin(net, m->parameters);
    if (m->trial == NULL)
        return MLP_NO_MEMORY;
    for (int end = 0; end < 2 && o->geodesic; end++) {
        m->ends[end] = mlp_network_twin(net, m->end_parameters[end]);
        if (m->ends[end] == NULL)
            return MLP_NO_MEMORY;
    }
    memset(m->d2, 0, P * sizeof(double));
    m->mu = o->damping;
    m->nu = 2.0;
    m->beta = 1.0;
    m->gamma = (double)P;
    fit->pass.gradient = NULL;
    fit->gradient = m->gradient;
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

/* The weights of instances m->row + first .. of the sweep, or NULL. */
static const double *weights(const struct mlp_fit *fit, const struct levenberg *m, size_t first,
                             size_t rows)
{
    if (fit->pass.weights == NULL)
        return NULL;
    return mlp_rows(fit->pass.weights, NULL, m->row + first, rows, fit->space.arenas[0].s + first);
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

struct sweep_context {
    const struct mlp_fit *fit;
    const struct levenberg *m;
    size_t rows, parts;
};

static void sweep_task(void *context, size_t thread, size_t part)
{
    const struct sweep_context *c = context;
    const struct mlp_fit *fit = c->fit;
    const struct levenberg *m = c->m;
    const struct mlp_network *net = fit->net;
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const struct mlp_shape shape = mlp_shape_of(net);
    double *panel = fit->space.arenas[thread].panel;
    const size_t first = mlp_part(c->rows, c->parts, part), m_out = last->m_out;
    const size_t rows = mlp_part(c->rows, c->parts, part + 1) - first;
    if (rows == 0)
        return;
    const double *x =
        mlp_rows(&fit->x, NULL, m->row + first, rows, arena->x + first * mlp_n_inputs(net));
    const double *y = mlp_rows(&fit->y, NULL, m->row + first, rows, arena->y + first * m_out);
    double *a = arena->a[net->n_layers - 1] + first * m_out;
    double *delta = arena->delta[net->n_layers - 1] + first * m_out;
    double *e = m->e + (m->dual ? m->row + first : first) * m_out;
    const double *s = weights(fit, m, first, rows);
    mlp_forward(net, first, rows, x, arena->a, a, panel, 1);
    const double *derivable = mlp_output_activate(net, rows, a, arena->terms + first * m_out);
    for (size_t k = 0; k < m_out; k++) {
        output_rows(net, rows, k, a, derivable, y, delta, e);
        if (s != NULL)
            weigh(rows, m_out, k, s, delta, e);
        mlp_deltas(net, net->n_layers - 1, 0, first, rows, arena->a, arena->delta, panel);
        net->kernels->jacobian(&shape, first, rows, x, arena->a, arena->delta,
                               m->j + (first * m_out + k) * m->j_row, m_out * m->j_row);
    }
}

/* J^T's columns of this chunk. */
static void transpose(const struct levenberg *m, size_t first, size_t rows)
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

/* D^2, and J's columns divided by D where J is kept. */
static void scale(struct mlp_fit *fit, struct levenberg *m)
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

/* The penalty's part of A and of the gradient. */
static void penalise(const struct mlp_fit *fit, struct levenberg *m)
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

/* One chunk; 1 when the sweep is complete. */
static int sweep(struct mlp_fit *fit, struct levenberg *m)
{
    const struct mlp_network *net = fit->net;
    const size_t left = fit->n - m->row, m_out = mlp_n_outputs(net);
    struct sweep_context c = {fit, m, left < m->chunk ? left : m->chunk, 1};
    const int first = m->row == 0, last = c.rows == left;
    const double P = (double)m->P;
    const size_t r0 = m->dual ? m->row * m_out : 0, rows = c.rows * m_out;
    const double work =
        (double)c.rows * (50.0 * (double)net->units + P * (1.0 + 2.0 * (double)m_out));
    c.parts = mlp_team_size(&fit->team, net->grain, work);
    mlp_team_run(&fit->team, c.parts, c.parts, sweep_task, &c);
    net->kernels->product(1, m->P, rows, m->e + r0, 0, 1, m->j, (ptrdiff_t)m->j_row, 1,
                          first ? NULL : m->gradient, 0, m->gradient, 0, NULL, m->s.panels);
    fit->work -= work + (double)rows * P;
    m->row += c.rows;
    if (m->dual) {
        transpose(m, r0, rows);
        fit->work -= 4.0 * (double)rows * P;
    }
    m->terms = m->dual ? m->P : rows;
    m->first = m->dual || first;
    m->gram = 0;
    return last;
}

/* A portion of A += J^T J of a chunk, or of K <- J J^T; 1 when that is complete. */
static int gram(struct mlp_fit *fit, struct levenberg *m)
{
    const double *x = m->dual ? m->jt : m->j;
    const size_t N = m->s.order, from = m->gram;
    m->gram = mlp_gram(&m->s, m->terms, x, m->dual ? m->s.row : m->j_row, m->first, m->a, from,
                       PORTION / PRODUCT);
    fit->work -= PRODUCT * (double)m->terms * 0.5 * (double)(2 * N - from - m->gram) *
                 (double)(m->gram - from);
    return m->gram == N;
}

/* ---- the system ---- */

/* u <- beta A + damping D^2, or beta K + damping I; mlp_cholesky goes on from there. */
static void assemble(struct levenberg *m, double beta, double damping)
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

/* out (P,) <- -(beta A + damping D^2)^-1 rhs; with `dual`, where rhs (R,) stands for J^T rhs, the
 * same by way of K. rhs is overwritten, and may be out without `dual`. */
static void solve_system(const struct mlp_fit *fit, const struct levenberg *m, double *rhs,
                         double *out)
{
    mlp_solve_lower(&m->s, m->u, rhs);
    mlp_solve_upper(&m->s, m->u, rhs);
    for (size_t p = 0; p < m->P; p++) {
        const double *row = m->jt + (m->dual ? p * m->s.row : 0);
        out[p] = m->dual ? -mlp_dot(fit->net->kernels, m->R, row, rhs) / sqrt(m->d2[p]) : -rhs[p];
    }
}

/* step <- that of the factor; work <- with `dual`, what J^T multiplies. */
static void solve(const struct mlp_fit *fit, struct levenberg *m)
{
    const struct mlp_kernels *k = fit->net->kernels;
    const double *w = fit->net->parameters;
    /* With `dual`: -(alpha / c) w - beta J^T (beta K + c I)^-1 (e - (alpha / c) J w), c = alpha + mu */
    const double shrink = m->dual && m->alpha > 0.0 ? m->alpha / (m->mu + m->alpha) : 0.0;
    if (!m->dual) {
        for (size_t p = 0; p < m->P; p++)
            m->step[p] = m->beta * m->gradient[p] + m->alpha * w[p];
        solve_system(fit, m, m->step, m->step);
        return;
    }
    memcpy(m->work, m->e, m->R * sizeof(double));
    if (shrink != 0.0) {
        for (size_t p = 0; p < m->P; p++)
            m->step[p] = -shrink * w[p];
        k->product(1, m->R, m->P, m->step, 0, 1, m->jt, (ptrdiff_t)m->s.row, 1, m->work, 0, m->work,
                   0, NULL, m->s.panels);
    }
    solve_system(fit, m, m->work, m->step);
    for (size_t p = 0; p < m->P; p++)
        m->step[p] = m->beta * m->step[p] - shrink * w[p];
}

/* ||D s||^2 */
static double length2(const struct mlp_fit *fit, const struct levenberg *m, const double *s)
{
    double sum = 0.0;
    if (!fit->options.levenberg.diagonal)
        return fit->net->kernels->sum_squares(m->P, s);
    for (size_t p = 0; p < m->P; p++)
        sum += m->d2[p] * s[p] * s[p];
    return sum;
}

/* The model's decrease of C: -s^T g - s^T A s / 2 = (mu ||D s||^2 - s^T g) / 2. */
static double decrease(const struct mlp_fit *fit, const struct levenberg *m)
{
    return 0.5 * (m->mu * length2(fit, m, m->step) -
                  mlp_dot(fit->net->kernels, m->P, m->step, m->gradient));
}

/* ---- the trust region ---- */

/* Bounds of mu for a new radius or a new J. */
static void search_start(const struct mlp_fit *fit, struct levenberg *m)
{
    double sum = 0.0;
    for (size_t p = 0; p < m->P; p++)
        sum += m->gradient[p] * m->gradient[p] / m->d2[p];
    const double norm = sqrt(sum);
    m->searches = 0;
    m->low = 0.0;
    if (m->radius == 0.0) { /* the first: `damping` norms of D w */
        const double size = sqrt(length2(fit, m, fit->net->parameters));
        m->radius = fit->options.levenberg.damping * (size > 0.0 ? size : 1.0);
        m->mu = 0.0;
    }
    m->high = norm / m->radius;
    if (m->mu > m->high)
        m->mu = m->high;
}

/* After a step for mu: 1 when it is the one, 0 when m->mu is to be tried. */
static int search_next(const struct mlp_fit *fit, struct levenberg *m)
{
    const double size = sqrt(length2(fit, m, m->step)), over = size - m->radius;
    m->searches++;
    if (fabs(over) <= RADIUS_TOLERANCE * m->radius || (m->mu == 0.0 && over <= 0.0) ||
        m->searches >= MAX_SEARCH)
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
    if (!(mu > m->low)) /* with low = 0: the Gauss-Newton step */
        mu = m->low;
    if (mu > m->high)
        mu = m->high;
    if (mu == m->mu)
        return 1;
    m->mu = mu;
    return 0;
}

/* A + mu D^2 has no factor in floating-point arithmetic: rounding errors of A exceed mu. */
static void search_singular(struct levenberg *m)
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

/* ---- the geodesic acceleration ---- */

/* Of some instances: work <- the second difference of a^(L) along the step, with `dual`; else
 * delta^(l) of half the sum of its products with a^(L). */
static void accelerate_task(void *context, size_t thread, size_t part)
{
    const struct sweep_context *c = context;
    const struct mlp_fit *fit = c->fit;
    const struct levenberg *m = c->m;
    const struct mlp_network *net = fit->net;
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const struct mlp_arena *arena = &fit->space.arenas[0];
    double *panel = fit->space.arenas[thread].panel;
    const size_t first = mlp_part(c->rows, c->parts, part), m_out = last->m_out;
    const size_t rows = mlp_part(c->rows, c->parts, part + 1) - first, n = rows * m_out;
    if (rows == 0)
        return;
    const double *x =
        mlp_rows(&fit->x, NULL, m->row + first, rows, arena->x + first * mlp_n_inputs(net));
    double *a = arena->a[net->n_layers - 1] + first * m_out, *back = arena->terms + first * m_out;
    double *delta = arena->delta[net->n_layers - 1] + first * m_out;
    struct mlp_network *there = m->ends[0], *opposite = m->ends[1];
    mlp_forward(there, first, rows, x, arena->a, delta, panel, 0);
    mlp_forward(opposite, first, rows, x, arena->a, back, panel, 0);
    mlp_forward(net, first, rows, x, arena->a, a, panel, 1);
    const double *derivable = mlp_output_activate(net, rows, a, arena->y + first * m_out);
    for (size_t i = 0; i < n; i++)
        delta[i] = ((delta[i] - a[i]) - (a[i] - back[i])) * (1.0 / (GEODESIC_STEP * GEODESIC_STEP));
    const double *s = weights(fit, m, first, rows);
    for (size_t i = 0; i < n && s != NULL; i++)
        delta[i] *= m->dual ? sqrt(s[i / m_out]) : s[i / m_out];
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
    mlp_deltas(net, net->n_layers - 1, 0, first, rows, arena->a, arena->delta, panel);
}

/* One chunk of J^T times the second difference; 1 when it is complete. */
static int accelerate(struct mlp_fit *fit, struct levenberg *m)
{
    const struct mlp_network *net = fit->net;
    const struct mlp_arena *arena = &fit->space.arenas[0];
    const size_t left = fit->n - m->row;
    struct sweep_context c = {fit, m, left < arena->rows ? left : arena->rows, 1};
    const double work = (double)c.rows * (150.0 * (double)net->units + 4.0 * (double)m->P);
    if (m->row == 0) {
        for (size_t p = 0; p < m->P; p++) {
            m->ends[0]->parameters[p] = net->parameters[p] + GEODESIC_STEP * m->step[p];
            m->ends[1]->parameters[p] = net->parameters[p] - GEODESIC_STEP * m->step[p];
        }
    }
    c.parts = mlp_team_size(&fit->team, net->grain, work);
    mlp_team_run(&fit->team, c.parts, c.parts, accelerate_task, &c);
    if (!m->dual)
        mlp_gradient_part(net, 1, 0, c.rows, mlp_rows(&fit->x, NULL, m->row, c.rows, arena->x),
                          arena->a, arena->delta, m->row == 0, m->work, arena->panel, NULL, NULL,
                          1);
    fit->work -= work + (double)c.rows * (double)m->P;
    m->row += c.rows;
    return c.rows == left;
}

/* ---- the iteration ---- */

/* F = beta E_D + alpha E_W of a cost and parameters; E_D = 2 C. */
static double objective(const struct mlp_fit *fit, const struct levenberg *m, double cost,
                        const double *w)
{
    return m->beta * 2.0 * cost + m->alpha * fit->net->kernels->sum_squares(m->P, w);
}

/* alpha, beta and gamma of MacKay's evidence, from J at the present parameters. With H = 2 beta A + 2
 * alpha I: gamma = P - 2 alpha tr H^-1. */
static void evidence(struct mlp_fit *fit, struct levenberg *m)
{
    const double E_D = 2.0 * fit->cost.high, R = m->observed;
    const double E_W = fit->net->kernels->sum_squares(m->P, fit->net->parameters);
    const double N = (double)m->s.order;
    double spent;
    m->gamma = N;
    if (m->alpha > 0.0) {
        assemble(m, m->beta, m->alpha);
        if (mlp_cholesky(&m->s, m->u, 0, HUGE_VAL, &spent) != m->s.order)
            return; /* what was last estimated holds */
        fit->work -= PRODUCT * (spent + N * N * N / 6.0);
        m->gamma = N - m->alpha * mlp_inverse_trace(&m->s, m->u, m->inverse);
    }
    m->gamma = m->gamma > 0.0 ? m->gamma : 0.0;
    if (E_W > 0.0)
        m->alpha = m->gamma / (2.0 * E_W);
    if (E_D > 0.0 && R > m->gamma)
        m->beta = (R - m->gamma) / (2.0 * E_D);
}

/* The sweep is complete: whether the gradient is small enough to stop, and what the iteration needs
 * before its first factor. */
static enum mlp_event begin(struct mlp_fit *fit, struct levenberg *m)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    const struct mlp_kernels *k = fit->net->kernels;
    const double *w = fit->net->parameters;
    fit->evaluated = 1;
    if (o->bayesian) {
        if (fit->epochs > 0)
            evidence(fit, m);
        m->objective = objective(fit, m, fit->cost.high, w);
        for (size_t p = 0; p < m->P; p++)
            m->work[p] = 2.0 * (m->beta * m->gradient[p] + m->alpha * w[p]);
    }
    if (sqrt(k->sum_squares(m->P, o->bayesian ? m->work : m->gradient)) <= o->min_gradient)
        return mlp_fit_stop(fit, "min_gradient");
    if (o->rule == MLP_NIELSEN && fit->epochs == 0 && m->largest > 0.0)
        m->mu = o->damping * m->largest;
    if (o->rule == MLP_TRUST_REGION)
        search_start(fit, m);
    assemble(m, m->beta, m->mu + m->alpha);
    m->stage = FACTOR;
    return MLP_PAUSED;
}

/* The step did not reduce the cost, or there is none: more damping. */
static enum mlp_event reject(struct mlp_fit *fit, struct levenberg *m)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    if (o->rule == MLP_FIXED)
        m->mu *= o->increase;
    if (o->rule == MLP_NIELSEN) {
        m->mu *= m->nu;
        m->nu *= 2.0;
    }
    if (!(m->mu <= o->max_damping))
        return mlp_fit_stop(fit, "max_damping");
    assemble(m, m->beta, m->mu + m->alpha);
    m->stage = FACTOR;
    return MLP_PAUSED;
}

/* The parameters that the step leads to: their cost is next. */
static enum mlp_event arrive(struct mlp_fit *fit, struct levenberg *m)
{
    const double *w = fit->net->parameters;
    int moved = 0;
    for (size_t p = 0; p < m->P; p++) {
        m->parameters[p] = w[p] + m->step[p];
        moved |= m->parameters[p] != w[p];
    }
    if (!moved)
        return mlp_fit_stop(fit, "min_step");
    if (!fit->net->kernels->all_finite(m->P, m->parameters))
        return reject(fit, m);
    m->stage = TRIAL;
    return MLP_PAUSED;
}

/* The factor is complete: the step. */
static enum mlp_event propose(struct mlp_fit *fit, struct levenberg *m)
{
    solve(fit, m);
    fit->work -= 4.0 * (double)m->s.order * (double)(m->dual ? m->s.order + m->P : m->s.order);
    if (fit->options.levenberg.rule == MLP_TRUST_REGION && !search_next(fit, m)) {
        assemble(m, m->beta, m->mu + m->alpha);
        return MLP_PAUSED;
    }
    m->predicted = decrease(fit, m);
    m->size = sqrt(length2(fit, m, m->step));
    if (fit->options.levenberg.geodesic) {
        m->stage = ACCELERATE;
        m->row = 0;
        return MLP_PAUSED;
    }
    return arrive(fit, m);
}

/* The step's second-order correction is known but for the system: it is added if it is small. */
static enum mlp_event correct(struct mlp_fit *fit, struct levenberg *m)
{
    double *a = m->ends[0]->parameters; /* free by now */
    solve_system(fit, m, m->work, m->dual ? a : m->work);
    if (!m->dual)
        memcpy(a, m->work, m->P * sizeof *a);
    const double size = sqrt(length2(fit, m, a));
    if (2.0 * size <= GEODESIC_MOST * m->size) {
        for (size_t p = 0; p < m->P; p++)
            m->step[p] += 0.5 * a[p];
    }
    return arrive(fit, m);
}

/* The radius after a step with this gain ratio, after LMDER. */
static void resize(const struct mlp_fit *fit, struct levenberg *m, double ratio, double gained)
{
    const double size = m->size;
    if (fit->epochs == 0 && size < m->radius)
        m->radius = size;
    if (ratio > 0.25) {
        if (m->mu == 0.0 || ratio >= 0.75) {
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

/* The trial's cost is known. */
static enum mlp_event judge(struct mlp_fit *fit, struct levenberg *m)
{
    const struct mlp_levenberg *o = &fit->options.levenberg;
    const double cost = fit->pass.cost.high;
    const double gained = o->bayesian ? m->objective - objective(fit, m, cost, m->parameters)
                                      : mlp_pair_difference(fit->cost, fit->pass.cost);
    const double ratio = gained / m->predicted;
    const double least = o->rule == MLP_TRUST_REGION ? MIN_RATIO : 0.0;
    const int better = isfinite(cost) && gained > 0.0 && (o->bayesian || ratio >= least);
    if (o->rule == MLP_TRUST_REGION) /* rounding can make a bad step look predicted */
        resize(fit, m, better ? ratio : fmin(ratio, 0.0), gained);
    if (!better) {
        if (o->rule == MLP_TRUST_REGION) {
            if (m->radius <= DBL_EPSILON * sqrt(length2(fit, m, fit->net->parameters)))
                return mlp_fit_stop(fit, "min_step");
            search_start(fit, m);
        }
        return reject(fit, m);
    }
    if (o->rule == MLP_FIXED)
        m->mu = m->mu * o->decrease > MIN_DAMPING ? m->mu * o->decrease : MIN_DAMPING;
    if (o->rule == MLP_NIELSEN) {
        const double t = 2.0 * ratio - 1.0, f = 1.0 - t * t * t;
        m->mu *= f > 1.0 / 3.0 ? f : 1.0 / 3.0;
        if (m->mu < MIN_DAMPING)
            m->mu = MIN_DAMPING;
        m->nu = 2.0;
    }
    mlp_fit_keep(fit);
    memcpy(fit->net->parameters, m->parameters, m->P * sizeof(double));
    m->stage = SWEEP;
    m->row = 0;
    return mlp_fit_epoch(fit, fit->pass.cost, 1);
}

static enum mlp_event levenberg_advance(struct mlp_fit *fit)
{
    struct levenberg *m = fit->memory;
    double spent;
    switch (m->stage) {
    case FIRST:
        if (!mlp_fit_pass(fit, &m->passing))
            return MLP_PAUSED;
        fit->pass.net = m->trial; /* from now on */
        m->stage = SWEEP;
        return mlp_fit_begin(fit);
    case SWEEP:
        if (sweep(fit, m) && m->dual)
            scale(fit, m);
        m->stage = !m->dual || m->row == fit->n ? GRAM : SWEEP;
        return MLP_PAUSED;
    case GRAM:
        if (!gram(fit, m))
            return MLP_PAUSED;
        m->stage = SWEEP;
        if (m->row < fit->n)
            return MLP_PAUSED;
        if (!m->dual) {
            penalise(fit, m);
            scale(fit, m);
        }
        return begin(fit, m);
    case FACTOR:
        m->factored = mlp_cholesky(&m->s, m->u, m->factored, PORTION, &spent);
        fit->work -= PRODUCT * spent;
        if (m->factored < m->s.order)
            return MLP_PAUSED;
        if (m->factored == m->s.order)
            return propose(fit, m);
        if (fit->options.levenberg.rule == MLP_TRUST_REGION)
            search_singular(m);
        return reject(fit, m);
    case ACCELERATE:
        return accelerate(fit, m) ? correct(fit, m) : MLP_PAUSED;
    case TRIAL:
    default:
        return mlp_fit_pass(fit, &m->passing) ? judge(fit, m) : MLP_PAUSED;
    }
}

static void levenberg_describe(struct mlp_fit *fit, struct mlp_fit_report *report)
{
    struct levenberg *m = fit->memory;
    const struct mlp_levenberg *o = &fit->options.levenberg;
    mlp_remember(report, "damping", &m->mu, 1);
    if (o->rule == MLP_NIELSEN)
        mlp_remember(report, "growth", &m->nu, 1);
    if (o->rule == MLP_TRUST_REGION)
        mlp_remember(report, "radius", &m->radius, 1);
    if (o->diagonal)
        mlp_remember(report, "scale", m->d2, m->P);
    if (o->bayesian) {
        mlp_remember(report, "alpha", &m->alpha, 1);
        mlp_remember(report, "beta", &m->beta, 1);
        mlp_remember(report, "gamma", &m->gamma, 1);
    }
}

const struct mlp_method mlp_levenberg_method = {
    .start = levenberg_start,
    .free = levenberg_free,
    .advance = levenberg_advance,
    .describe = levenberg_describe,
};
