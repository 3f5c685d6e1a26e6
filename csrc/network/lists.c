/* lists.c - CSR rows on their way through the first layer.
 *
 * A row of x is a list of terms, each of which takes a row of w. For the gradient a chunk is transposed, by
 * counting: each row of dC/dw is then made in registers and written once, so that its step can follow while
 * it is in the cache. */
#include "network/lists.h"

#include <string.h>

/* Terms of a chunk that there is room for, if a row has no more: 3 MB. */
#define ROOM ((size_t)1 << 18)

static const int64_t *row_of(const struct mlp_matrix *x, const size_t *order, size_t i)
{
    const size_t row = order == NULL ? i : order[i];
    return x->starts + (x->rows == NULL ? row : x->rows[row]);
}

static const double *values_of(const struct mlp_matrix *x)
{
    return (const double *)(const void *)x->data;
}

size_t mlp_lists_room(const struct mlp_matrix *x, size_t n)
{
    if (!mlp_is_csr(x))
        return 0;
    const size_t m = x->columns, most = m > ROOM ? m : ROOM;
    return n < most / m ? n * m : most;
}

size_t mlp_lists_fitting(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                         size_t room)
{
    size_t terms = 0;
    for (size_t i = 0; i < rows; i++) {
        const int64_t *s = row_of(x, order, begin + i);
        terms += (size_t)(s[1] - s[0]);
        if (terms > room)
            return i > 0 ? i : 1;
    }
    return rows;
}

size_t mlp_lists_terms(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows)
{
    size_t terms = 0;
    for (size_t i = 0; i < rows; i++) {
        const int64_t *s = row_of(x, order, begin + i);
        terms += (size_t)(s[1] - s[0]);
    }
    return terms;
}

struct finite_context {
    const struct mlp_network *net;
    size_t parts;
    unsigned char finite[MLP_MAX_THREADS];
};

static void finite_task(void *context, size_t thread, size_t part)
{
    struct finite_context *c = context;
    const struct mlp_layer *l = &c->net->layers[0];
    const size_t n = l->m_in * l->m_out, begin = mlp_part(n, c->parts, part);
    (void)thread;
    c->finite[part] = (unsigned char)c->net->kernels->all_finite(
        mlp_part(n, c->parts, part + 1) - begin, c->net->parameters + l->offset + begin);
}

/* Multiply-adds that a look at a weight is worth. */
#define LOOK 4.0

int mlp_lists_finite(const struct mlp_network *net, const struct mlp_team *team)
{
    struct finite_context c = {.net = net};
    c.parts = mlp_team_size(team, net->grain, LOOK * (double)net->n_parameters);
    mlp_team_run(team, c.parts, c.parts, finite_task, &c);
    int finite = 1;
    for (size_t part = 0; part < c.parts; part++)
        finite &= c.finite[part];
    return finite;
}

void mlp_lists_forward(const struct mlp_network *net, const struct mlp_matrix *x,
                       const size_t *order, size_t begin, size_t rows, int finite, double *z)
{
    const struct mlp_layer *l = &net->layers[0];
    const size_t m_in = l->m_in, m_out = l->m_out;
    const double *w = net->parameters + l->offset, *b = w + m_in * m_out;
    if (order == NULL && x->rows == NULL) {
        net->kernels->lists(rows, m_out, m_in, x->starts + begin, values_of(x), x->places, w, m_out,
                            finite, b, 0, z, m_out);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        net->kernels->lists(1, m_out, m_in, row_of(x, order, begin + i), values_of(x), x->places, w,
                            m_out, finite, b, 0, z + i * m_out, m_out);
}

void mlp_lists_skip(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                    double *a)
{
    for (size_t i = 0; i < rows; i++, a += x->columns) {
        const int64_t *s = row_of(x, order, begin + i);
        int64_t t = s[0];
        for (size_t j = 0; j < x->columns; j++) {
            const int is_term = t < s[1] && x->places[t] == j;
            a[j] += (is_term ? values_of(x)[t] : 0.0) + 0.0; /* a -0 is +0 */
            t += is_term;
        }
    }
}

/* The first term of a row, from its start on, whose column is `column` or a later one. */
static int64_t first_from(const struct mlp_matrix *x, const int64_t *s, size_t column)
{
    int64_t low = s[0], high = s[1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (x->places[middle] < column)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const int64_t *mlp_lists_transpose(const struct mlp_lists *lists, size_t part, size_t r0, size_t r1)
{
    const struct mlp_matrix *x = lists->x;
    const size_t n = r1 - r0;
    /* Of column j starts[j + 1] is first the number of terms before it, and then where its next one goes, so
     * that in the end starts[j] is where it begins. */
    int64_t *starts = lists->starts + r0 + 2 * part;
    memset(starts, 0, (n + 2) * sizeof *starts);
    int64_t base = 0;
    for (size_t i = 0; i < lists->rows; i++) {
        const int64_t *s = row_of(x, lists->order, lists->begin + i);
        int64_t t = first_from(x, s, r0);
        base += t - s[0]; /* terms of the parts before */
        for (; t < s[1] && x->places[t] < r1; t++)
            starts[x->places[t] - r0 + 2]++;
    }
    starts[0] = starts[1] = base;
    for (size_t j = 2; j < n + 2; j++)
        starts[j] += starts[j - 1];
    for (size_t i = 0; i < lists->rows; i++) {
        const int64_t *s = row_of(x, lists->order, lists->begin + i);
        for (int64_t t = first_from(x, s, r0); t < s[1] && x->places[t] < r1; t++) {
            const int64_t at = starts[x->places[t] - r0 + 1]++;
            lists->values[at] = values_of(x)[t];
            lists->places[at] = (uint32_t)i;
        }
    }
    return starts;
}
