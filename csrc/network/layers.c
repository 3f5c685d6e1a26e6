/* layers.c - the formulas of a layer: feedforward, delta and gradient.
 *
 * The way to the hot loop goes from here to the kernels' product(): z = a w + b, delta w^T and a^T delta
 * are the same routine with other strides. */
#include "network/layers.h"

#include "network/threads.h"

#include <string.h>

/* Columns of w that a thread's share is worth: two vectors of 8. */
#define COLUMNS_MIN 16

static const double *weights(const struct mlp_network *net, const struct mlp_layer *layer)
{
    return net->parameters + layer->offset;
}

static const double *biases(const struct mlp_network *net, const struct mlp_layer *layer)
{
    return weights(net, layer) + layer->m_in * layer->m_out;
}

/* z (rows, width) <- g(z), rows `stride` apart; and d <- g'(z), in the same layout, unless it is
 * NULL. */
static void activate(const struct mlp_network *net, enum mlp_activation g, size_t rows,
                     size_t width, size_t stride, double *z, double *d)
{
    if (width == stride && d == NULL) {
        net->kernels->activate(g, rows, width, z);
        return;
    }
    if (width == stride) {
        net->kernels->activate_keep(g, rows * width, z, d);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        if (d == NULL)
            net->kernels->activate(g, 1, width, z + i * stride);
        else
            net->kernels->activate_keep(g, width, z + i * stride, d + i * stride);
    }
}

void mlp_layer_forward(const struct mlp_network *net, size_t l, size_t rows, const double *previous,
                       size_t c0, size_t c1, double *z, double *d, double *panel, int linear)
{
    const struct mlp_layer *layer = &net->layers[l];
    const size_t m_in = layer->m_in, m_out = layer->m_out;
    net->kernels->product(rows, c1 - c0, m_in, previous, (ptrdiff_t)m_in, 1,
                          weights(net, layer) + c0, (ptrdiff_t)m_out, 1, biases(net, layer) + c0, 0,
                          z + c0, (ptrdiff_t)m_out, NULL, panel);
    if (!linear)
        activate(net, layer->g, rows, c1 - c0, m_out, z + c0, d == NULL ? NULL : d + c0);
}

void mlp_layer_forward_lists(const struct mlp_network *net, const struct mlp_matrix *x,
                             const size_t *order, size_t begin, size_t rows, int finite, double *z,
                             double *d, int linear)
{
    const struct mlp_layer *layer = &net->layers[0];
    mlp_lists_forward(net, x, order, begin, rows, finite, z);
    if (!linear)
        activate(net, layer->g, rows, layer->m_out, layer->m_out, z, d);
}

void mlp_layer_skip(const struct mlp_network *net, size_t l, size_t rows, const double *previous,
                    size_t c0, size_t c1, double *a)
{
    const size_t m = net->layers[l].m_out;
    if (!net->layers[l].skip)
        return;
    if (c1 - c0 == m) {
        net->kernels->add(rows * m, previous, a);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        net->kernels->add(c1 - c0, previous + i * m + c0, a + i * m + c0);
}

/* mlp_forward from layers[from] on, which takes `previous`. */
static void forward_from(const struct mlp_network *net, size_t from, size_t first, size_t rows,
                         const double *previous, double *const *a, double *last, double *panel,
                         int linear)
{
    for (size_t l = from; l < net->n_layers; l++) {
        const int output = l + 1 == net->n_layers;
        const size_t m = net->layers[l].m_out;
        double *z = output ? last : a[l] + first * m;
        mlp_layer_forward(net, l, rows, previous, 0, m, z, mlp_kept(net, a, l, first), panel,
                          linear && output);
        mlp_layer_skip(net, l, rows, previous, 0, m, z);
        previous = z;
    }
}

void mlp_forward(const struct mlp_network *net, size_t first, size_t rows, const double *x,
                 double *const *a, double *last, double *panel, int linear)
{
    forward_from(net, 0, first, rows, x, a, last, panel, linear);
}

void mlp_forward_lists(const struct mlp_network *net, const struct mlp_matrix *x, size_t begin,
                       size_t rows, int finite, double *const *a, double *last, double *panel,
                       int linear)
{
    const int output = net->n_layers == 1;
    double *z = output ? last : a[0];
    mlp_layer_forward_lists(net, x, NULL, begin, rows, finite, z, mlp_kept(net, a, 0, 0),
                            linear && output);
    if (net->layers[0].skip)
        mlp_lists_skip(x, NULL, begin, rows, z);
    forward_from(net, 1, 0, rows, z, a, last, panel, linear);
}

/* delta (n,) <- delta * g'(z), from what mlp_derivable gives. */
static void multiply_derivative(const struct mlp_network *net, const struct mlp_layer *layer,
                                size_t n, const double *a, double *delta)
{
    if (mlp_layer_keeps(layer))
        net->kernels->multiply(n, a, delta);
    else
        net->kernels->multiply_derivative(layer->g, n, a, delta);
}

/* Columns c0 .. c1 - 1 of e (rows, m_in), rows `stride` apart, <- delta w^T of layers[l], + carried
 * where it is skipped. e may be carried. */
static void errors(const struct mlp_network *net, size_t l, size_t rows, const double *delta,
                   size_t c0, size_t c1, const double *carried, double *e, ptrdiff_t stride,
                   double *panel)
{
    const struct mlp_layer *layer = &net->layers[l];
    const ptrdiff_t m_out = (ptrdiff_t)layer->m_out;
    net->kernels->product(rows, c1 - c0, layer->m_out, delta, m_out, 1,
                          weights(net, layer) + c0 * layer->m_out, 1, m_out,
                          layer->skip ? carried + c0 : NULL, (ptrdiff_t)net->carried, e + c0,
                          stride, NULL, panel);
}

void mlp_layer_delta(const struct mlp_network *net, size_t l, size_t rows, const double *delta,
                     const double *a, size_t c0, size_t c1, double *previous, double *carried,
                     double *panel)
{
    const struct mlp_layer *layer = &net->layers[l], *before = &net->layers[l - 1];
    const size_t m_in = layer->m_in, width = c1 - c0;
    if (layer->m_out == 1 && width == m_in && !layer->skip && !before->skip &&
        before->drop == 0.0) {
        net->kernels->single_delta(before->g, rows, m_in, delta, weights(net, layer), a, previous);
        return;
    }
    errors(net, l, rows, delta, c0, c1, carried, before->skip ? carried : previous,
           (ptrdiff_t)(before->skip ? net->carried : m_in), panel);
    for (size_t i = 0; i < rows && before->skip; i++)
        memcpy(previous + i * m_in + c0, carried + i * net->carried + c0, width * sizeof *previous);
    if (width == m_in) {
        multiply_derivative(net, before, rows * m_in, a, previous);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        multiply_derivative(net, before, width, a + i * m_in + c0, previous + i * m_in + c0);
}

void mlp_input_delta(const struct mlp_network *net, size_t rows, double *const *delta, double *out,
                     ptrdiff_t stride, double *panel)
{
    errors(net, 0, rows, delta[0], 0, mlp_n_inputs(net), delta[net->n_layers], out, stride, panel);
}

void mlp_deltas(const struct mlp_network *net, size_t from, size_t to, size_t first, size_t rows,
                double *const *a, double *const *delta, double *panel)
{
    for (size_t l = from; l > to; l--) {
        const size_t m_in = net->layers[l].m_in;
        mlp_layer_delta(net, l, rows, delta[l] + first * net->layers[l].m_out,
                        mlp_derivable(net, a, l - 1, first), 0, m_in, delta[l - 1] + first * m_in,
                        mlp_carried(net, delta, first), panel);
    }
}

const double *mlp_output_activate(const struct mlp_network *net, size_t rows, double *z, double *d)
{
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    if (mlp_keeps_derivative(last->g)) {
        net->kernels->activate_keep(last->g, rows * last->m_out, z, d);
        return d;
    }
    net->kernels->activate(last->g, rows, last->m_out, z);
    return z;
}

void mlp_output_deltas(const struct mlp_network *net, size_t rows, size_t k, const double *a,
                       const double *derivable, double *delta)
{
    const struct mlp_layer *last = &net->layers[net->n_layers - 1];
    const size_t m = last->m_out;
    if (last->g != MLP_SOFTMAX) {
        memset(delta, 0, rows * m * sizeof *delta);
        for (size_t i = 0; i < rows; i++)
            delta[i * m + k] = 1.0;
        net->kernels->multiply_derivative(last->g, rows * m, derivable, delta);
        return;
    }
    for (size_t i = 0; i < rows; i++, a += m, delta += m) {
        for (size_t j = 0; j < m; j++)
            delta[j] = a[k] * ((j == k ? 1.0 : 0.0) - a[j]);
    }
}

int mlp_by_columns(const struct mlp_layer *layer, size_t rows, size_t parts)
{
    const double m_in = (double)layer->m_in, m_out = (double)layer->m_out;
    return parts > 1 && layer->m_out >= COLUMNS_MIN * parts &&
           m_in * m_out > (double)rows * (m_in + m_out);
}

/* Rows r0 .. r1 - 1 and columns c0 .. c1 - 1 of a layer's weights, and those columns of its bias. */
struct tile {
    size_t r0, r1, c0, c1;
    int bias;
};

/* What one thread computes: the columns that it has in its cache, else a share of the rows of w, or
 * of the columns where those are more. */
static struct tile share(const struct mlp_layer *layer, size_t rows, size_t parts, size_t part)
{
    const size_t m_in = layer->m_in, m_out = layer->m_out;
    if (m_out > m_in || mlp_by_columns(layer, rows, parts))
        return (struct tile){0, m_in, mlp_part(m_out, parts, part),
                             mlp_part(m_out, parts, part + 1), 1};
    return (struct tile){mlp_part(m_in, parts, part), mlp_part(m_in, parts, part + 1), 0, m_out,
                         part + 1 == parts};
}

/* Parameters that take the penalty's gradient and then their step: Adam's four arrays of them are 32 KB. */
#define RUN ((size_t)1024)

/* Adds the penalty's gradient to that of parameters begin .. begin + n - 1, and takes their step; either may
 * be NULL. */
static void finish_run(const struct mlp_network *net, const struct mlp_penalty *penalty,
                       const struct mlp_step *step, size_t begin, size_t n, double *gradient)
{
    for (size_t i = begin; i < begin + n; i += RUN) {
        const size_t count = begin + n - i < RUN ? begin + n - i : RUN;
        if (penalty != NULL)
            mlp_penalise(net, penalty, i, count, gradient);
        if (step != NULL)
            mlp_step_take(step, net, i, count);
    }
}

static void finish_tile(const struct mlp_network *net, const struct mlp_layer *layer, struct tile t,
                        const struct mlp_penalty *penalty, const struct mlp_step *step,
                        double *gradient)
{
    const size_t m_out = layer->m_out, width = t.c1 - t.c0;
    if (width == m_out) { /* contiguous, and the bias follows the last row */
        const size_t rows = t.r1 - t.r0 + (t.bias ? 1 : 0);
        finish_run(net, penalty, step, layer->offset + t.r0 * m_out, rows * m_out, gradient);
        return;
    }
    for (size_t r = t.r0; r < t.r1; r++)
        finish_run(net, penalty, step, layer->offset + r * m_out + t.c0, width, gradient);
    if (t.bias)
        finish_run(net, NULL, step, layer->offset + layer->m_in * m_out + t.c0, width, gradient);
}

/* Terms up to which the step is taken with the product: see struct mlp_epilogue. */
#define FUSED_ROWS 256

/* Columns c0 .. c1 - 1 of dC/db, and unless step is NULL their step. */
static void gradient_bias(const struct mlp_network *net, const struct mlp_layer *layer, size_t c0,
                          size_t c1, size_t rows, const double *delta, int first, double *gradient,
                          double *panel, const struct mlp_step *step)
{
    static const double one = 1.0;
    const size_t begin = layer->offset + layer->m_in * layer->m_out + c0;
    double *db = gradient + begin;
    net->kernels->product(1, c1 - c0, rows, &one, 0, 0, delta + c0, (ptrdiff_t)layer->m_out, 1,
                          first ? NULL : db, 0, db, 0, NULL, panel);
    if (step != NULL)
        mlp_step_take(step, net, begin, c1 - c0);
}

/* The gradient of a tile with the penalty's, and its step: see mlp_gradient_part. */
static void gradient_tile(const struct mlp_network *net, const struct mlp_layer *layer,
                          struct tile t, size_t rows, const double *a, const double *delta,
                          int first, double *gradient, double *panel,
                          const struct mlp_penalty *penalty, const struct mlp_step *step, int keep)
{
    static const double one = 1.0;
    const size_t m_in = layer->m_in, m_out = layer->m_out, width = t.c1 - t.c0;
    const ptrdiff_t row = (ptrdiff_t)m_out;
    const size_t offset = layer->offset + t.r0 * m_out + t.c0;
    double *dw = gradient + offset, *db = gradient + layer->offset + m_in * m_out + t.c0;
    if (t.r1 == t.r0 || width == 0)
        return;
    /* A product that is one chain block long takes the step before its tile leaves the registers; a step with
     * momentum or Adam's only where the tile is a part of w's columns. Whole rows take that one faster
     * afterwards (measured). */
    struct mlp_epilogue fused;
    const int fuse = step != NULL && first && rows <= FUSED_ROWS && penalty == NULL &&
                     (step->plain || width < m_out);
    if (fuse)
        fused = mlp_step_epilogue(step, net, offset, m_out, keep);
    if (m_out == 1) { /* one column: its transpose is a row, which fills vectors */
        net->kernels->product(1, t.r1 - t.r0, rows, delta, 0, 1, a + t.r0, (ptrdiff_t)m_in, 1,
                              first ? NULL : dw, 0, dw, 0, fuse ? &fused : NULL, panel);
    } else {
        net->kernels->product(t.r1 - t.r0, width, rows, a + t.r0, 1, (ptrdiff_t)m_in, delta + t.c0,
                              row, 1, first ? NULL : dw, row, dw, row, fuse ? &fused : NULL, panel);
    }
    if (t.bias)
        net->kernels->product(1, width, rows, &one, 0, 0, delta + t.c0, row, 1, first ? NULL : db,
                              0, db, 0, NULL, panel);
    if (!fuse)
        finish_tile(net, layer, t, penalty, step, gradient);
    else if (t.bias)
        mlp_step_take(step, net, (size_t)(db - gradient), width);
}

/* The same of the first layer, all columns of a tile of CSR instances: some rows of w after the others,
 * which are in the cache when they take their step. */
static void gradient_lists(const struct mlp_network *net, const struct mlp_lists *lists,
                           struct tile t, size_t part, const double *delta, int first,
                           double *gradient, double *panel, const struct mlp_penalty *penalty,
                           const struct mlp_step *step)
{
    const struct mlp_layer *layer = &net->layers[0];
    const size_t m_out = layer->m_out, rows = lists->rows;
    const size_t block = m_out < RUN ? RUN / m_out : 1;
    const int finite = net->kernels->all_finite(rows * m_out, delta);
    const int64_t *starts = mlp_lists_transpose(lists, part, t.r0, t.r1);
    for (size_t r = t.r0; r < t.r1; r += block) {
        const size_t n = t.r1 - r < block ? t.r1 - r : block;
        double *dw = gradient + layer->offset + r * m_out;
        net->kernels->lists(n, m_out, rows, starts + (r - t.r0), lists->values, lists->places,
                            delta, m_out, finite, first ? NULL : dw, m_out, dw, m_out);
        finish_run(net, penalty, step, layer->offset + r * m_out, n * m_out, gradient);
    }
    if (t.bias)
        gradient_bias(net, layer, 0, m_out, rows, delta, first, gradient, panel, step);
}

void mlp_gradient_part(const struct mlp_network *net, size_t parts, size_t part, size_t rows,
                       const double *x, const struct mlp_lists *lists, double *const *a,
                       double *const *delta, int first, double *gradient, double *panel,
                       const struct mlp_penalty *penalty, const struct mlp_step *step, int keep)
{
    for (size_t l = net->n_layers; l-- > 0;) {
        const struct mlp_layer *layer = &net->layers[l];
        if (l == 0 && lists != NULL) {
            const struct tile rows_of_w = {mlp_part(layer->m_in, parts, part),
                                           mlp_part(layer->m_in, parts, part + 1), 0, layer->m_out,
                                           part + 1 == parts};
            gradient_lists(net, lists, rows_of_w, part, delta[0], first, gradient, panel, penalty,
                           step);
            continue;
        }
        const struct tile t = share(layer, rows, parts, part);
        gradient_tile(net, layer, t, rows, l ? a[l - 1] : x, delta[l], first, gradient, panel,
                      penalty, step, keep);
    }
}
