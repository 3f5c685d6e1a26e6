/* layers.c - the formulas of backpropagation, layer by layer, for some instances of a chunk or some
 * part of the parameters: feedforward, delta and gradient. */
#include "internal.h"

static const double *weights(const struct mlp_network *net, const struct mlp_layer *layer)
{
    return net->parameters + layer->offset;
}

static const double *biases(const struct mlp_network *net, const struct mlp_layer *layer)
{
    return weights(net, layer) + layer->m_in * layer->m_out;
}

void mlp_forward(const struct mlp_network *net, size_t first, size_t rows, const double *x,
                 double *const *a, double *last, double *panel, int linear)
{
    const double *previous = x;
    for (size_t l = 0; l < net->n_layers; l++) {
        const struct mlp_layer *layer = &net->layers[l];
        const size_t m_in = layer->m_in, m_out = layer->m_out;
        double *z = l + 1 < net->n_layers ? a[l] + first * m_out : last;
        net->kernels->product(rows, m_out, m_in, previous, (ptrdiff_t)m_in, 1, weights(net, layer),
                              (ptrdiff_t)m_out, 1, biases(net, layer), 0, z, (ptrdiff_t)m_out, NULL,
                              panel);
        if (!linear || l + 1 < net->n_layers)
            net->kernels->activate(layer->g, rows, m_out, z);
        previous = z;
    }
}

void mlp_deltas(const struct mlp_network *net, size_t first, size_t rows, double *const *a,
                double *const *delta, double *panel)
{
    for (size_t l = net->n_layers - 1; l > 0; l--) {
        const struct mlp_layer *layer = &net->layers[l];
        const size_t m_in = layer->m_in, m_out = layer->m_out;
        double *next = delta[l - 1] + first * m_in;
        net->kernels->product(rows, m_in, m_out, delta[l] + first * m_out, (ptrdiff_t)m_out, 1,
                              weights(net, layer), 1, (ptrdiff_t)m_out, NULL, 0, next,
                              (ptrdiff_t)m_in, NULL, panel);
        net->kernels->multiply_derivative(net->layers[l - 1].g, rows * m_in,
                                          a[l - 1] + first * m_in, next);
    }
}

/* Rows r0 .. r1 - 1 and columns c0 .. c1 - 1 of a layer's weights, and those columns of its bias. */
struct tile {
    size_t r0, r1, c0, c1;
    int bias;
};

/* What one thread computes: a share of the rows of w, or of the columns where those are more. */
static struct tile share(const struct mlp_layer *layer, size_t parts, size_t part)
{
    const size_t m_in = layer->m_in, m_out = layer->m_out;
    if (m_out > m_in)
        return (struct tile){0, m_in, mlp_part(m_out, parts, part),
                             mlp_part(m_out, parts, part + 1), 1};
    return (struct tile){mlp_part(m_in, parts, part), mlp_part(m_in, parts, part + 1), 0, m_out,
                         part + 1 == parts};
}

static void step_tile(const struct mlp_network *net, const struct mlp_layer *layer, struct tile t,
                      const struct mlp_step *step)
{
    const size_t m_out = layer->m_out, width = t.c1 - t.c0;
    if (width == m_out) { /* contiguous, and the bias follows the last row */
        const size_t rows = t.r1 - t.r0 + (t.bias ? 1 : 0);
        mlp_step_take(step, net, layer->offset + t.r0 * m_out, rows * m_out);
        return;
    }
    for (size_t r = t.r0; r < t.r1; r++)
        mlp_step_take(step, net, layer->offset + r * m_out + t.c0, width);
    if (t.bias)
        mlp_step_take(step, net, layer->offset + layer->m_in * m_out + t.c0, width);
}

/* Terms up to which the step is taken with the product: see struct mlp_epilogue. */
#define FUSED_ROWS 256

/* The gradient of a tile, and its step unless step is NULL; the gradient may be left undefined when
 * `keep` is 0. */
static void gradient_tile(const struct mlp_network *net, const struct mlp_layer *layer,
                          struct tile t, size_t rows, const double *a, const double *delta,
                          int first, double *gradient, double *panel, const struct mlp_step *step,
                          int keep)
{
    static const double one = 1.0;
    const size_t m_in = layer->m_in, m_out = layer->m_out, width = t.c1 - t.c0;
    const ptrdiff_t row = (ptrdiff_t)m_out;
    const size_t offset = layer->offset + t.r0 * m_out + t.c0;
    double *dw = gradient + offset, *db = gradient + layer->offset + m_in * m_out + t.c0;
    if (t.r1 == t.r0 || width == 0)
        return;
    /* A product that is one chain block long takes the step before its tile leaves the registers. */
    struct mlp_epilogue fused = {net->parameters + offset, row, 0.0, keep};
    const int fuse = step != NULL && step->velocity == NULL && first && rows <= FUSED_ROWS;
    if (fuse)
        fused.alpha = step->options.learning_rate;
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
    if (step == NULL)
        return;
    if (!fuse)
        step_tile(net, layer, t, step);
    else if (t.bias)
        mlp_step_take(step, net, (size_t)(db - gradient), width);
}

void mlp_gradient_part(const struct mlp_network *net, size_t parts, size_t part, size_t rows,
                       const double *x, double *const *a, double *const *delta, int first,
                       double *gradient, double *panel, const struct mlp_step *step, int keep)
{
    for (size_t l = net->n_layers; l-- > 0;) {
        const struct mlp_layer *layer = &net->layers[l];
        const struct tile t = share(layer, parts, part);
        gradient_tile(net, layer, t, rows, l ? a[l - 1] : x, delta[l], first, gradient, panel, step,
                      keep);
    }
}
