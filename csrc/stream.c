/* stream.c - feedforward, delta and gradient of one chunk of instances after another.
 *
 * A chunk's activations stay in the cache, and memory does not grow with n. Sums over instances run
 * through the gradient buffer from chunk to chunk, so the size of a chunk changes no bit. */
#include "internal.h"

#include <math.h>
#include <string.h>

struct mlp_pair mlp_pair_add(struct mlp_pair a, struct mlp_pair b)
{
    const double s = a.high + b.high, t = s - a.high;
    const double error = (a.high - (s - t)) + (b.high - t);
    return (struct mlp_pair){s, a.low + b.low + error};
}

double mlp_pair_difference(struct mlp_pair a, struct mlp_pair b)
{
    return (a.high - b.high) + (a.low - b.low);
}

static const double *bias(const struct mlp_network *net, const struct mlp_layer *layer)
{
    return net->parameters + layer->offset + layer->m_in * layer->m_out;
}

/* z^(l) <- b^(l) + a^(l-1) w^(l) and a^(l) <- g(z^(l)) in place, l = 1..L, for `rows` instances;
 * a[l-1] (rows, m^(l)). The last layer is left as z^(L) when linear. */
static void forward(const struct mlp_network *net, size_t rows, const double *x, double *const *a,
                    double *panel, int linear)
{
    const double *previous = x;
    for (size_t l = 0; l < net->n_layers; l++) {
        const struct mlp_layer *layer = &net->layers[l];
        const size_t m_in = layer->m_in, m_out = layer->m_out;
        net->kernels->product(rows, m_out, m_in, previous, (ptrdiff_t)m_in, 1,
                              net->parameters + layer->offset, (ptrdiff_t)m_out, 1,
                              bias(net, layer), 0, a[l], (ptrdiff_t)m_out, panel);
        if (!linear || l + 1 < net->n_layers)
            net->kernels->activate(layer->g, rows, m_out, a[l]);
        previous = a[l];
    }
}

/* dC/dw^(l) <- C0 + a^(l-1)T delta^(l) and dC/db^(l) <- C0 + sum_i delta^(l)_i, where C0 is what
 * the chunks before left there, or 0 for the first. */
static void gradient_of_layer(const struct mlp_network *net, const struct mlp_layer *layer,
                              size_t rows, const double *a, const double *delta, int first,
                              double *gradient, double *panel)
{
    static const double one = 1.0;
    const size_t m_in = layer->m_in, m_out = layer->m_out;
    double *dw = gradient + layer->offset, *db = dw + m_in * m_out;
    if (m_out == 1) /* one column: its transpose is a row, which fills vectors */
        net->kernels->product(1, m_in, rows, delta, 0, 1, a, (ptrdiff_t)m_in, 1, first ? NULL : dw,
                              0, dw, 0, panel);
    else
        net->kernels->product(m_in, m_out, rows, a, 1, (ptrdiff_t)m_in, delta, (ptrdiff_t)m_out, 1,
                              first ? NULL : dw, (ptrdiff_t)m_out, dw, (ptrdiff_t)m_out, panel);
    net->kernels->product(1, m_out, rows, &one, 0, 0, delta, (ptrdiff_t)m_out, 1, first ? NULL : db,
                          0, db, 0, panel);
}

/* From delta^(L) in arena->delta[0]: the gradient of every layer, and
 * delta^(l-1) <- (delta^(l) w^(l)T) * g'(z^(l-1)) on the way down. */
static void backward(const struct mlp_network *net, const struct mlp_arena *arena, size_t rows,
                     const double *x, int first, double *gradient)
{
    double *delta = arena->delta[0], *next = arena->delta[1];
    for (size_t l = net->n_layers; l-- > 0;) {
        const struct mlp_layer *layer = &net->layers[l];
        const size_t m_in = layer->m_in, m_out = layer->m_out;
        gradient_of_layer(net, layer, rows, l ? arena->a[l - 1] : x, delta, first, gradient,
                          arena->panel);
        if (l == 0)
            break;
        net->kernels->product(rows, m_in, m_out, delta, (ptrdiff_t)m_out, 1,
                              net->parameters + layer->offset, 1, (ptrdiff_t)m_out, NULL, 0, next,
                              (ptrdiff_t)m_in, arena->panel);
        net->kernels->multiply_derivative(net->layers[l - 1].g, rows * m_in, arena->a[l - 1], next);
        double *t = delta;
        delta = next;
        next = t;
    }
}

/* ---- a pass over a batch ---- */

/* Ranges only where their gradients fit in 4 MB, a part of the last-level cache, and are long
 * enough (64 rows) for adding them up to be cheap. */
#define RANGES_BYTES ((size_t)4 << 20)
#define RANGES_MIN_ROWS 4096

size_t mlp_n_ranges(const struct mlp_network *net, size_t n)
{
    const size_t largest = RANGES_BYTES / (MLP_RANGES * sizeof(double));
    return n >= RANGES_MIN_ROWS && net->n_parameters <= largest ? MLP_RANGES : 1;
}

/* The first row of a range: multiples of 8, as even as that allows. */
static size_t range_start(const struct mlp_pass *pass, size_t range)
{
    const size_t eights = pass->n / 8 + (pass->n % 8 != 0);
    const size_t start =
        8 * (eights / pass->n_ranges * range + eights % pass->n_ranges * range / pass->n_ranges);
    return start < pass->n ? start : pass->n;
}

void mlp_pass_start(struct mlp_pass *pass, const size_t *order, size_t begin, size_t n)
{
    pass->order = order;
    pass->begin = begin;
    pass->n = n;
    pass->n_ranges = mlp_n_ranges(pass->net, n);
    pass->range = 0;
    pass->row = 0;
    memset(pass->sum, 0, sizeof pass->sum);
}

/* The 8 lanes of a range's cost as one pair: ((0+4)+(2+6))+((1+5)+(3+7)). */
static struct mlp_pair lanes(const double sum[16])
{
    struct mlp_pair p[8];
    for (size_t i = 0; i < 8; i++)
        p[i] = (struct mlp_pair){sum[i], sum[i + 8]};
    for (size_t i = 0; i < 4; i++)
        p[i] = mlp_pair_add(p[i], p[i + 4]);
    return mlp_pair_add(mlp_pair_add(p[0], p[2]), mlp_pair_add(p[1], p[3]));
}

/* Adds the ranges up in a binary tree: neighbours, then neighbours of neighbours. */
static void finish(struct mlp_pass *pass)
{
    const size_t P = pass->net->n_parameters;
    for (size_t stride = 1; stride < pass->n_ranges; stride *= 2) {
        for (size_t r = 0; r + stride < pass->n_ranges; r += 2 * stride) {
            pass->costs[r] = mlp_pair_add(pass->costs[r], pass->costs[r + stride]);
            if (pass->gradient != NULL)
                pass->net->kernels->add(P, pass->partial + (r + stride) * P, pass->partial + r * P);
        }
    }
    if (pass->gradient != NULL && pass->n_ranges > 1)
        memcpy(pass->gradient, pass->partial, P * sizeof(double));
    pass->cost = pass->costs[0];
    if (!isfinite(pass->cost.high)) { /* the errors of an overflow are NaN; the cost is infinite */
        pass->cost.low = 0.0;
        return;
    }
    /* Normalise, so that the high part is the rounded cost. */
    const double high = pass->cost.high + pass->cost.low;
    pass->cost.low -= high - pass->cost.high;
    pass->cost.high = high;
}

int mlp_pass_advance(struct mlp_pass *pass)
{
    const struct mlp_network *net = pass->net;
    const struct mlp_arena *arena = pass->arena;
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const size_t start = range_start(pass, pass->range), end = range_start(pass, pass->range + 1);
    const size_t left = end - pass->row, rows = left < arena->rows ? left : arena->rows;
    const int first = pass->row == start;

    const double *x = mlp_rows(pass->x, pass->order, pass->begin + pass->row, rows, arena->x);
    const double *y = mlp_rows(pass->y, pass->order, pass->begin + pass->row, rows, arena->y);
    forward(net, rows, x, arena->a, arena->panel, 1);
    net->kernels->output(net->loss, last->g, rows, last->m_out, arena->a[net->n_layers - 1], y,
                         arena->delta[0], arena->terms, arena->c);
    net->kernels->accumulate(rows, pass->row - start, arena->c, pass->sum);
    if (pass->gradient != NULL) {
        double *gradient =
            pass->n_ranges > 1 ? pass->partial + pass->range * net->n_parameters : pass->gradient;
        backward(net, arena, rows, x, first, gradient);
    }
    pass->row += rows;
    if (pass->row < end)
        return 0;
    pass->costs[pass->range++] = lanes(pass->sum);
    memset(pass->sum, 0, sizeof pass->sum);
    if (pass->range < pass->n_ranges)
        return 0;
    finish(pass);
    return 1;
}

/* ---- one call of the public surface ---- */

enum mlp_status mlp_predict(const struct mlp_network *network, const struct mlp_matrix *x, size_t n,
                            int linear, double *out)
{
    struct mlp_arena arena;
    const enum mlp_status status = mlp_arena_new(&arena, network, n);
    if (status != MLP_OK)
        return status;
    const uint64_t saved = mlp_fp_enter();
    const size_t m = mlp_n_outputs(network);
    for (size_t i = 0; i < n; i += arena.rows) {
        const size_t rows = n - i < arena.rows ? n - i : arena.rows;
        arena.a[network->n_layers - 1] = out + i * m;
        forward(network, rows, mlp_rows(x, NULL, i, rows, arena.x), arena.a, arena.panel, linear);
    }
    mlp_fp_leave(saved);
    mlp_arena_free(&arena);
    return MLP_OK;
}

enum mlp_status mlp_activations(const struct mlp_network *network, const struct mlp_matrix *x,
                                size_t n, double *const *a)
{
    struct mlp_arena arena;
    const enum mlp_status status = mlp_arena_new(&arena, network, n);
    if (status != MLP_OK)
        return status;
    const uint64_t saved = mlp_fp_enter();
    for (size_t i = 0; i < n; i += arena.rows) {
        const size_t rows = n - i < arena.rows ? n - i : arena.rows;
        for (size_t l = 0; l < network->n_layers; l++)
            arena.a[l] = a[l] + i * network->layers[l].m_out;
        forward(network, rows, mlp_rows(x, NULL, i, rows, arena.x), arena.a, arena.panel, 0);
    }
    mlp_fp_leave(saved);
    mlp_arena_free(&arena);
    return MLP_OK;
}

enum mlp_status mlp_cost(const struct mlp_network *network, const struct mlp_matrix *x,
                         const struct mlp_matrix *y, size_t n, double *cost, double *gradient)
{
    struct mlp_arena arena;
    struct mlp_pass pass = {.net = network, .arena = &arena, .x = x, .y = y, .gradient = gradient};
    const size_t n_ranges = mlp_n_ranges(network, n);
    enum mlp_status status = mlp_arena_new(&arena, network, n);
    if (status != MLP_OK)
        return status;
    if (gradient != NULL && n_ranges > 1) {
        pass.partial = mlp_allocate(n_ranges * network->n_parameters);
        if (pass.partial == NULL) {
            mlp_arena_free(&arena);
            return MLP_NO_MEMORY;
        }
    }
    const uint64_t saved = mlp_fp_enter();
    mlp_pass_start(&pass, NULL, 0, n);
    while (!mlp_pass_advance(&pass)) {
    }
    *cost = pass.cost.high;
    mlp_fp_leave(saved);
    mlp_release(pass.partial);
    mlp_arena_free(&arena);
    return MLP_OK;
}
