/* online.inc.h - gradient descent one instance a step: many steps in one call, with nothing between them.
 *
 * Only steps after which training certainly goes on are taken here. A step or an epoch that may end it
 * is left undone, for the general path to take: it computes the same bits and knows every rule. */
#ifndef MLP_ONLINE_INC_H
#define MLP_ONLINE_INC_H

#include "kernels/activations.inc.h"
#include "kernels/kernels.h"
#include "kernels/output.inc.h"
#include "kernels/product.inc.h"
#include "kernels/tiny.inc.h"
#include "kernels/updates.inc.h"

/* Columns of rows begin .. end - 1 of the first layer's w, nv vectors of them, the last with `last`
 * columns if edge: with `update` the step along x and delta; with `forward` z <- b + next w of the
 * instance that follows, in the same pass over w, which may be as large as the cache. */
INLINE void first_columns(const size_t nv, const int edge, size_t last, const int update,
                          const int forward, double alpha, size_t begin, size_t end, size_t m_out,
                          const double *x, const double *delta, double *w, double *b,
                          const double *next, double *z)
{
    v_f64 d[8], acc[8];
    UNROLL
    for (size_t v = 0; v < nv; v++) {
        const int part = edge && v + 1 == nv;
        const double *start = begin ? z : b;
        acc[v] = part ? v_load_n(start + v * VL, last) : v_load(start + v * VL);
        d[v] = acc[v];
        if (update)
            d[v] = part ? v_load_n(delta + v * VL, last) : v_load(delta + v * VL);
        if (update && begin == 0) {
            acc[v] = descended(alpha, v_set(1.0), d[v], acc[v]);
            if (part)
                v_store_n(b + v * VL, last, acc[v]);
            else
                v_store(b + v * VL, acc[v]);
        }
    }
    w += begin * m_out;
    for (size_t k = begin; k < end; k++, w += m_out) {
        UNROLL
        for (size_t v = 0; v < nv; v++) {
            const int part = edge && v + 1 == nv;
            v_f64 wv = part ? v_load_n(w + v * VL, last) : v_load(w + v * VL);
            if (update) {
                wv = descended(alpha, v_set(x[k]), d[v], wv);
                if (part)
                    v_store_n(w + v * VL, last, wv);
                else
                    v_store(w + v * VL, wv);
            }
            if (forward)
                acc[v] = v_fma(v_set(next[k]), wv, acc[v]);
        }
    }
    UNROLL
    for (size_t v = 0; forward && v < nv; v++) {
        if (edge && v + 1 == nv)
            v_store_n(z + v * VL, last, acc[v]);
        else
            v_store(z + v * VL, acc[v]);
    }
}

/* Rows that are done before the next columns, so that w is read about as it lies in memory: with all
 * rows 784-2048-10 takes twice as long on AVX2, and 784-128-10 is 3 % faster. */
#define FIRST_ROWS 16
INLINE void first_layer(const int update, const int forward, double alpha, size_t m_in,
                        size_t m_out, const double *x, const double *delta, double *w,
                        const double *next, double *z)
{
    double *b = w + m_in * m_out;
    for (size_t k = 0; k < m_in; k += FIRST_ROWS) {
        const size_t end = m_in - k < FIRST_ROWS ? m_in : k + FIRST_ROWS;
        size_t j = 0;
#define COLUMNS(nv, edge, last)                                                                    \
    first_columns(nv, edge, last, update, forward, alpha, k, end, m_out, x, delta + j, w + j,      \
                  b + j, next, z + j)
        for (; m_out - j >= FIRST * VL; j += FIRST * VL)
            COLUMNS(FIRST, 0, VL);
        for (; m_out - j >= VL; j += VL)
            COLUMNS(1, 0, VL);
        if (j < m_out)
            COLUMNS(1, 1, m_out - j);
#undef COLUMNS
    }
}

/* sum + sum_j delta_j w_j'j for a block of w of up to VL x VL, one j' a lane, and with `update` the
 * step. All of a block is read before any of it is written: a masked store holds up whatever reads
 * within a vector's length of it. */
INLINE v_f64 inner_block(const int whole, const int update, double alpha, size_t rows,
                         size_t columns, size_t m_out, const double *a, const double *delta,
                         double *w, v_f64 acc)
{
    v_f64 x[VL], d = v_set(0.0);
    UNROLL
    for (size_t r = 0; r < VL; r++) {
        if (whole)
            x[r] = v_load(w + r * m_out);
        else
            x[r] = r < rows ? v_load_n(w + r * m_out, columns) : v_set(0.0);
    }
    if (update)
        d = whole ? v_load(delta) : v_load_n(delta, columns);
    UNROLL
    for (size_t r = 0; update && r < VL; r++) {
        if (whole)
            v_store(w + r * m_out, descended(alpha, v_set(a[r]), d, x[r]));
        else if (r < rows)
            v_store_n(w + r * m_out, columns, descended(alpha, v_set(a[r]), d, x[r]));
    }
    v_transpose(x);
    UNROLL
    for (size_t j = 0; j < VL; j++) {
        if (whole || j < columns)
            acc = v_fma(v_set(delta[j]), x[j], acc);
    }
    return acc;
}

/* g (m_in + 1, m_out) <- the gradient of one layer that one instance gives. Up to a vector behind
 * it is written over, as each row does with the next. */
static void outer_product(size_t m_in, size_t m_out, const double *a, const double *delta,
                          double *g)
{
    for (size_t j = 0; j < m_out; j += VL) {
        const v_f64 d = v_load_n(delta + j, m_out - j < VL ? m_out - j : VL);
        for (size_t k = 0; k <= m_in; k++)
            v_store(g + k * m_out + j, v_fma(v_set(k < m_in ? a[k] : 1.0), d, v_set(0.0)));
    }
}

/* inner_layer() for one column or two, without transposes: lanes run over w as it lies, and over the rows. */
INLINE void inner_columns(const int two, double alpha, size_t m_in, const double *a,
                          const double *delta, double *w, double *previous)
{
    const v_f64 zero = v_set(0.0), d0 = v_set(delta[0]), d1 = v_set(delta[two ? 1 : 0]);
    v_f64 low, high;
    v_zip(d0, d1, &low, &high);
    for (size_t k = 0; k < m_in; k += VL) {
        const size_t rows = m_in - k < VL ? m_in - k : VL;
        const size_t n = two ? 2 * rows : rows; /* numbers of w */
        const int whole = rows == VL;
        const v_f64 ak = load_part(a + k, whole, rows);
        double *wk = two ? w + 2 * k : w + k;
        v_f64 first = load_part(wk, n >= VL, n), second = zero;
        if (!two) {
            v_store(previous + k, v_fma(d0, first, zero));
            store_part(wk, whole, n, descended(alpha, ak, d0, first));
            continue;
        }
        if (n > VL)
            second = load_part(wk + VL, whole, n - VL);
        v_f64 w0, w1, a_low, a_high;
        v_unzip(first, second, &w0, &w1);
        v_zip(ak, ak, &a_low, &a_high);
        v_store(previous + k, v_fma(d1, w1, v_fma(d0, w0, zero)));
        store_part(wk, n >= VL, n, descended(alpha, a_low, low, first));
        if (n > VL)
            store_part(wk + VL, whole, n - VL, descended(alpha, a_high, high, second));
    }
    const size_t m_out = two ? 2 : 1;
    for (size_t j = 0; j < m_out; j++) {
        double *b = w + m_in * m_out + j;
        v_store_n(b, 1, descended(alpha, v_set(1.0), v_set(delta[j]), v_load_n(b, 1)));
    }
}

/* inner_layer() for rows begin .. end - 1: blocks of columns one after the other, of all rows. With `lag` each
 * block of rows is a block of columns behind the one before it. */
INLINE void inner_group(const int lag, int flat, double alpha, size_t begin, size_t end,
                        size_t m_out, const double *a, const double *delta, double *w,
                        double *previous)
{
    const size_t late = lag ? (end - begin - 1) / VL * VL : 0;
    for (size_t t = 0; t < m_out + late; t += VL) {
        for (size_t i = begin; i < end; i += VL) {
            const size_t j = lag ? t - (i - begin) : t; /* wraps around before the first column */
            if (lag && j >= m_out)
                continue;
            const size_t columns = m_out - j < VL ? m_out - j : VL;
            const size_t rows = end - i < VL ? end - i : VL;
            double *wi = w + i * m_out + j;
            v_f64 p = v_load(previous + i);
            if (flat)
                p = inner_block(0, 0, alpha, rows, columns, m_out, a + i, delta + j, wi, p);
            else if (rows == VL && columns == VL)
                p = inner_block(1, 1, alpha, rows, columns, m_out, a + i, delta + j, wi, p);
            else
                p = inner_block(0, 1, alpha, rows, columns, m_out, a + i, delta + j, wi, p);
            v_store(previous + i, p);
        }
    }
}

/* previous_j' <- sum_j delta_j w_j'j, ascending j, with the w before the step; and the step. Four
 * blocks of rows take turns, so that their chains overlap, or two where rows are so long that more
 * of them, 4 KB apart, would not fit into a set of the L1 cache (64-512-512-10: half the time). The
 * last rows first: the forward pass has just read them, so that they are in the caches still. */
static void inner_layer(double alpha, size_t m_in, size_t m_out, const double *a,
                        const double *delta, double *w, double *previous, double *g)
{
    if (m_out <= 2) {
        if (m_out == 2)
            inner_columns(1, alpha, m_in, a, delta, w, previous);
        else
            inner_columns(0, alpha, m_in, a, delta, w, previous);
        return;
    }
    const int flat = m_out < VL; /* rows are less than a vector: the step takes them as one */
    for (size_t k = 0; k < m_in; k += VL)
        v_store(previous + k, v_set(0.0));
    const size_t group = (m_out < 256 ? 4 : 2) * VL;
    /* Where rows are a multiple of 1 KB apart, what a block stores has the low 12 bits of the addresses that
     * the next block of rows would load: a Zen 4 waits (AVX-512: 15 to 24 %; AVX2 gains nothing). */
    const int collide = VL > 4 && m_out % 128 == 0;
    for (size_t end = m_in, k = 0; end > 0; end = k) {
        k = (end - 1) / group * group;
        if (collide)
            inner_group(1, flat, alpha, k, end, m_out, a, delta, w, previous);
        else
            inner_group(0, flat, alpha, k, end, m_out, a, delta, w, previous);
    }
    double *b = w + m_in * m_out;
    if (flat) {
        outer_product(m_in, m_out, a, delta, g);
        descend((m_in + 1) * m_out, alpha, g, w);
    } else {
        outer_product(0, m_out, a, delta, g);
        descend(m_out, alpha, g, b);
    }
}

/* The layer's part of the gradient <- what one instance gives. */
static void gradient_of_one(const struct mlp_layer *layer, const double *a, const double *delta,
                            double *gradient)
{
    const size_t m = layer->m_out;
    double *g = gradient + layer->offset;
    for (size_t k = 0; k <= layer->m_in; k++, g += m) {
        for (size_t j = 0; j < m; j += VL) {
            const size_t r = m - j < VL ? m - j : VL;
            const v_f64 ak = v_set(k < layer->m_in ? a[k] : 1.0);
            v_store_n(g + j, r, v_fma(ak, v_load_n(delta + j, r), v_set(0.0)));
        }
    }
}

static size_t online(const struct mlp_shape *shape, double alpha, size_t n, const double *x,
                     const double *y, const size_t *order, double *parameters, double *gradient,
                     struct mlp_pair *cost, double *scratch)
{
    if (tiny(shape))
        return tiny_online(shape, alpha, n, x, y, order, parameters, gradient, cost);
    const struct mlp_layer *first = shape->layers, *last = first + shape->n_layers - 1;
    const size_t width = mlp_padded(shape->max_width), m = last->m_out;
    double *d1 = scratch, *d2 = d1 + width, *terms = d2 + width, *g = terms + mlp_padded(m);
    double *activations = g + 8 * (width + 1);
    if (n == 0)
        return 0;
    const double *xi = x + (order ? order[0] : 0) * first->m_in;
    first_layer(0, 1, alpha, first->m_in, first->m_out, xi, d1, parameters, xi, activations);
    for (size_t i = 0; i < n; i++) {
        const double *yi = y + (order ? order[i] : i) * m;
        const struct mlp_layer *layer = first;
        double *a = activations;
        struct mlp_pair c = {0.0, 0.0};
        for (; layer < last; layer++) {
            double *next = a + mlp_padded(layer->m_out);
            const double *w = parameters + layer[1].offset;
            activate(layer->g, 1, layer->m_out, a);
            product(1, layer[1].m_out, layer->m_out, a, 0, 1, w, (ptrdiff_t)layer[1].m_out, 1,
                    w + layer->m_out * layer[1].m_out, 0, next, 0, NULL, NULL);
            a = next;
        }
        output(shape->loss, shape->loss_parameter, last->g, 1, m, a, yi, d1, terms, &c.high);
        c = mlp_pair_add(*cost, c);
        if (!is_finite(c.high))
            return i;
        *cost = c;
        double *delta = d1, *previous = d2;
        for (; layer > first; layer--) {
            a -= mlp_padded(layer->m_in);
            if (i + 1 == n && gradient != NULL)
                gradient_of_one(layer, a, delta, gradient);
            inner_layer(alpha, layer->m_in, layer->m_out, a, delta, parameters + layer->offset,
                        previous, g);
            multiply_derivative(layer[-1].g, layer->m_in, a, previous);
            double *t = delta;
            delta = previous;
            previous = t;
        }
        if (i + 1 < n) {
            const double *next = x + (order ? order[i + 1] : i + 1) * first->m_in;
            first_layer(1, 1, alpha, first->m_in, first->m_out, xi, delta, parameters, next,
                        activations);
            xi = next;
        } else {
            if (gradient != NULL)
                gradient_of_one(first, xi, delta, gradient);
            first_layer(1, 0, alpha, first->m_in, first->m_out, xi, delta, parameters, xi,
                        activations);
        }
    }
    return n;
}

#endif
