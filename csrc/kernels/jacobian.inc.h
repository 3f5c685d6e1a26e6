/* jacobian.inc.h - the loops of the second-order solvers beside the product: rows of the Jacobian
 * matrix, and the triangular solve of a few rows. */
#ifndef MLP_JACOBIAN_INC_H
#define MLP_JACOBIAN_INC_H

#include "kernels/kernels.h"
#include "kernels/loops.inc.h"

/* One instance and layer: w_j'j <- a_j' delta_j and b_j <- delta_j, by whole vectors. */
INLINE void jacobian_layer(size_t m_in, size_t m_out, const double *a, const double *delta,
                           double *out)
{
    if (m_out == 1) {
        const v_f64 d = v_set(delta[0]);
        size_t p = 0;
        for (; p + VL <= m_in; p += VL)
            v_store(out + p, v_load(a + p) * d);
        if (p < m_in)
            v_store(out + p, v_load_n(a + p, m_in - p) * d);
        v_store(out + m_in, d);
        return;
    }
    const size_t whole = m_out / VL * VL, rest = m_out - whole;
    const v_f64 last = rest ? v_load_n(delta + whole, rest) : v_set(0.0);
    for (size_t p = 0; p <= m_in; p++, out += m_out) {
        const v_f64 factor = v_set(p < m_in ? a[p] : 1.0);
        for (size_t j = 0; j < whole; j += VL)
            v_store(out + j, factor * v_load(delta + j));
        if (rest)
            v_store(out + whole, factor * last);
    }
}

static void jacobian(const struct mlp_shape *shape, size_t first, size_t rows, const double *x,
                     double *const *a, double *const *delta, double *out, size_t out_row)
{
    for (size_t i = 0; i < rows; i++, out += out_row) {
        for (size_t l = 0; l < shape->n_layers; l++) {
            const struct mlp_layer *layer = &shape->layers[l];
            const double *previous = l ? a[l - 1] + (first + i) * layer->m_in : x + i * layer->m_in;
            jacobian_layer(layer->m_in, layer->m_out, previous,
                           delta[l] + (first + i) * layer->m_out, out + layer->offset);
        }
    }
}

/* Columns that eliminate() takes at a time: with 64 rows they are 32 KB, two thirds of an L1 cache
 * of 48 KB. */
#define ELIMINATE_COLUMNS ((size_t)64)

static void eliminate(size_t m, size_t n, const double *u, double *x, size_t row)
{
    for (size_t first = 0; first < n; first += ELIMINATE_COLUMNS) {
        const size_t columns = at_most(n - first, ELIMINATE_COLUMNS);
        const size_t whole = columns / VL * VL, rest = columns - whole;
        for (size_t p = 0; p < m; p++) {
            const v_f64 r = v_set(1.0 / u[p * row + p]);
            double *xp = x + p * row + first;
            for (size_t j = 0; j < whole; j += VL)
                v_store(xp + j, v_load(xp + j) * r);
            if (rest)
                v_store_n(xp + whole, rest, v_load_n(xp + whole, rest) * r);
            for (size_t q = p + 1; q < m; q++) {
                const v_f64 factor = v_set(-u[p * row + q]);
                double *xq = x + q * row + first;
                for (size_t j = 0; j < whole; j += VL)
                    v_store(xq + j, v_fma(factor, v_load(xp + j), v_load(xq + j)));
                if (rest)
                    v_store_n(
                        xq + whole, rest,
                        v_fma(factor, v_load_n(xp + whole, rest), v_load_n(xq + whole, rest)));
            }
        }
    }
}

#endif
