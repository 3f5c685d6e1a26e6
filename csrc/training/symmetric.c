/* symmetric.c - see symmetric.h. */
#include "training/symmetric.h"

#include <math.h>
#include <string.h>

/* From this distance of rows on, the product packs its panels in any case. */
#define FAR ((size_t)512)

/* From this order on X^T X is computed by gram(), which packs panels and leaves out what lies below
 * the diagonal; before, by products of a few rows each, from the diagonal on, that take X as it lies.
 * Zen 3, AVX2, 128 rows of X, percent of the FMA peak as counted by the upper triangle: N = 64, 200,
 * 256 and 500 take 72, 81, 83 and 82 with gram() and 75, 85, 82 and 63 with products. */
#define GRAM_ORDER ((size_t)256)
#define FEW_ROWS ((size_t)16)

/* Rows that one call computes: many share each panel that is packed, but fewer where threads are to
 * share the work. With 96 rows N = 500 and 1000 take 2 and 5 % longer on one thread. */
static size_t gram_rows(size_t order, size_t threads)
{
    return order < GRAM_ORDER ? FEW_ROWS : threads > 1 ? 96 : 192;
}

/* Rows of the factor that one product brings up to date: few where the triangular solve within a
 * block would be most of the work. For N = 300, 500 and 1000 16 rows take 121, 527 and 4450 us, 32
 * rows 141, 541 and 4020, 64 rows 173, 605 and 4120. */
static size_t block_rows(size_t order) { return order < FAR ? 16 : 32; }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t mlp_symmetric_row(size_t n)
{
    if (n > SIZE_MAX - 32)
        return 0;
    const size_t row = mlp_padded(n);
    return row / 8 % 2 ? row : row + 8;
}

size_t mlp_symmetric_panel(const struct mlp_kernels *kernels, size_t order, size_t k, size_t row)
{
    return mlp_padded(kernels->panel_size(gram_rows(order, 1), order, k > order ? k : order,
                                          row > FAR ? row : FAR));
}

size_t mlp_symmetric_negated(size_t order) { return order * block_rows(order) + order; }

double mlp_dot(const struct mlp_kernels *kernels, size_t n, const double *x, const double *y)
{
    double sum;
    kernels->product(1, 1, n, x, 0, 1, y, 1, 1, NULL, 0, &sum, 0, NULL, NULL);
    return sum;
}

/* ---- X^T X ---- */

struct gram_context {
    const struct mlp_symmetric *s;
    size_t k, x_row, from, rows;
    const double *x;
    int first;
    double *a;
};

static void gram_task(void *context, size_t thread, size_t part)
{
    const struct gram_context *c = context;
    const struct mlp_symmetric *s = c->s;
    const struct mlp_kernels *k = s->net->kernels;
    const size_t i = c->from + part * c->rows, n = s->order - i, rows = smaller(n, c->rows);
    const ptrdiff_t row = (ptrdiff_t)s->row, x_row = (ptrdiff_t)c->x_row;
    double *a = c->a + i * s->row + i, *panel = s->panels + thread * s->panel;
    const double *x = c->x + i, *a0 = c->first ? NULL : a;
    if (s->order < GRAM_ORDER)
        k->product(rows, n, c->k, x, 1, x_row, x, x_row, 1, a0, row, a, row, NULL, panel);
    else
        k->gram(rows, n, c->k, x, x_row, a0, a, row, panel);
}

size_t mlp_gram(const struct mlp_symmetric *s, size_t k, const double *x, size_t x_row, int first,
                double *a, size_t from, double work)
{
    const double left = (double)(s->order - from), all = 0.5 * left * left * (double)k;
    const size_t threads = mlp_team_size(s->team, s->net->grain, all < work ? all : work);
    const size_t rows = gram_rows(s->order, threads);
    struct gram_context c = {s, k, x_row, from, rows, x, first, a};
    size_t parts = 0;
    double spent = 0.0;
    for (; from < s->order && spent < work; from += rows, parts++)
        spent += (double)rows * (double)(s->order - from) * (double)k;
    mlp_team_run(s->team, threads, parts, gram_task, &c);
    return smaller(from, s->order);
}

/* ---- the factor ---- */

/* negated (first, rows) <- minus what lies above rows first .. first + rows - 1 of the diagonal. */
static void negate(const struct mlp_symmetric *s, const double *u, size_t first, size_t rows)
{
    for (size_t q = 0; q < first; q++) {
        for (size_t r = 0; r < rows; r++)
            s->negated[q * rows + r] = -u[q * s->row + first + r];
    }
}

struct cholesky_context {
    const struct mlp_symmetric *s;
    double *u;
    size_t first, rows, parts;
};

/* Columns begin .. end - 1 of a block of rows <- what the rows above leave of them. */
static void update(const struct cholesky_context *c, size_t begin, size_t end, double *panel)
{
    const struct mlp_symmetric *s = c->s;
    double *x = c->u + c->first * s->row + begin;
    if (c->first > 0 && end > begin)
        s->net->kernels->product(c->rows, end - begin, c->first, s->negated, 1, (ptrdiff_t)c->rows,
                                 c->u + begin, (ptrdiff_t)s->row, 1, x, (ptrdiff_t)s->row, x,
                                 (ptrdiff_t)s->row, NULL, panel);
}

/* A share of the columns right of the diagonal block, which is complete. */
static void columns_task(void *context, size_t thread, size_t part)
{
    const struct cholesky_context *c = context;
    const struct mlp_symmetric *s = c->s;
    const size_t start = c->first + c->rows, n = s->order - start;
    const size_t begin = start + mlp_part(n, c->parts, part);
    const size_t end = start + mlp_part(n, c->parts, part + 1);
    if (end == begin)
        return;
    update(c, begin, end, s->panels + thread * s->panel);
    s->net->kernels->eliminate(c->rows, end - begin, c->u + c->first * s->row + c->first,
                               c->u + c->first * s->row + begin, s->row);
}

/* The factor of the diagonal block u (n, n); 0 when a pivot is not positive and finite. */
static int factor(size_t n, double *u, size_t row)
{
    for (size_t p = 0; p < n; p++) {
        double *up = u + p * row;
        if (!(up[p] > 0.0) || !isfinite(up[p]))
            return 0;
        up[p] = sqrt(up[p]);
        const double r = 1.0 / up[p];
        for (size_t j = p + 1; j < n; j++)
            up[j] *= r;
        for (size_t q = p + 1; q < n; q++) {
            double *uq = u + q * row;
            const double f = up[q];
            for (size_t j = q; j < n; j++)
                uq[j] -= f * up[j];
        }
    }
    return 1;
}

size_t mlp_cholesky(const struct mlp_symmetric *s, double *u, size_t from, double work,
                    double *spent)
{
    const size_t N = s->order, block = block_rows(N);
    *spent = 0.0;
    while (from < N && *spent < work) {
        struct cholesky_context c = {s, u, from, smaller(N - from, block), 1};
        const size_t right = N - from - c.rows;
        negate(s, u, from, c.rows);
        update(&c, from, from + c.rows, s->panels);
        if (!factor(c.rows, u + from * s->row + from, s->row))
            return N + 1;
        const double terms = (double)from + (double)c.rows;
        const double cost = (double)right * (double)c.rows * terms;
        c.parts = mlp_team_size(s->team, s->net->grain, cost);
        mlp_team_run(s->team, c.parts, c.parts, columns_task, &c);
        *spent += cost + (double)c.rows * (double)c.rows * terms;
        from += c.rows;
    }
    return from;
}

/* ---- systems ---- */

void mlp_solve_lower(const struct mlp_symmetric *s, const double *u, double *x)
{
    for (size_t p = 0; p < s->order; p++) {
        const double *up = u + p * s->row;
        x[p] /= up[p];
        if (p + 1 < s->order)
            s->net->kernels->descend(s->order - p - 1, x[p], up + p + 1, x + p + 1);
    }
}

void mlp_solve_upper(const struct mlp_symmetric *s, const double *u, double *x)
{
    const size_t N = s->order, block = 16;
    double *minus = s->negated; /* (N,) -x */
    for (size_t end = N; end > 0;) {
        const size_t rows = end % block ? end % block : block, first = end - rows;
        /* x_p <- x_p - sum_{q >= end} u_pq x_q */
        if (end < N)
            s->net->kernels->product(rows, 1, N - end, u + first * s->row + end, (ptrdiff_t)s->row,
                                     1, minus + end, 1, 1, x + first, 1, x + first, 1, NULL,
                                     s->panels);
        for (size_t p = end; p-- > first;) {
            const double *up = u + p * s->row;
            double sum = x[p];
            for (size_t q = p + 1; q < end; q++)
                sum -= up[q] * x[q];
            x[p] = sum / up[p];
            minus[p] = -x[p];
        }
        end = first;
    }
}

double mlp_inverse_trace(const struct mlp_symmetric *s, const double *u, double *v)
{
    /* V = U^-T, lower triangular, a block of rows at a time: V_b <- U_bb^-T (I - U_0b^T V_0). */
    const size_t N = s->order, block = 16;
    const struct mlp_kernels *k = s->net->kernels;
    double trace = 0.0;
    for (size_t first = 0; first < N; first += block) {
        const size_t rows = smaller(N - first, block), columns = first + rows;
        double *x = v + first * s->row;
        for (size_t p = 0; p < rows; p++) {
            memset(x + p * s->row, 0, columns * sizeof *x);
            x[p * s->row + first + p] = 1.0;
        }
        if (first > 0) {
            negate(s, u, first, rows);
            k->product(rows, first, first, s->negated, 1, (ptrdiff_t)rows, v, (ptrdiff_t)s->row, 1,
                       x, (ptrdiff_t)s->row, x, (ptrdiff_t)s->row, NULL, s->panels);
        }
        k->eliminate(rows, columns, u + first * s->row + first, x, s->row);
        for (size_t p = 0; p < rows; p++) {
            trace += k->sum_squares(first + p + 1, x + p * s->row);
            /* What later blocks multiply has to be 0 above the diagonal. */
            memset(x + p * s->row + columns, 0, (N - columns) * sizeof *x);
        }
    }
    return trace;
}
