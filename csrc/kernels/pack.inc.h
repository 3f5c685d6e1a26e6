/* pack.inc.h - packing: panels of A and B as the tiles read them, from matrices with any strides. */
#ifndef MLP_PACK_INC_H
#define MLP_PACK_INC_H

#include "kernels/loops.inc.h"
#include "kernels/tile.inc.h"

#include <string.h>

/* panel (k, width) <- the columns of B that exist. b_row or b_col is 1; width is a constant after
 * inlining. */
INLINE void pack_panel(size_t k, const size_t width, size_t columns, const double *b,
                       ptrdiff_t b_row, ptrdiff_t b_col, double *panel)
{
    if (b_col == 1 && columns == width) {
        for (size_t p = 0; p < k; p++, b += b_row, panel += width)
            memcpy(panel, b, width * sizeof *b);
    } else if (b_col == 1) {
        for (size_t p = 0; p < k; p++, b += b_row, panel += width) {
            for (size_t j = 0; j < columns; j += VL) {
                const size_t n = at_most(columns - j, VL);
                v_store_n(panel + j, n, v_load_n(b + j, n));
            }
        }
    } else {
        for (size_t p = 0; p < k; p += VL) {
            const size_t rows = at_most(k - p, VL);
            UNROLL
            for (size_t first = 0; first < width; first += VL) {
                v_f64 x[VL];
                UNROLL
                for (size_t j = 0; j < VL; j++) {
                    const double *bj = b + (ptrdiff_t)(first + j) * b_col + p;
                    x[j] = first + j >= columns ? v_set(0.0)
                           : rows == VL         ? v_load(bj)
                                                : v_load_n(bj, rows);
                }
                v_transpose(x);
                const size_t n = width - first < VL ? width - first : VL;
                UNROLL
                for (size_t i = 0; i < VL; i++) {
                    if (i < rows)
                        memcpy(panel + (p + i) * width + first, &x[i], n * sizeof *panel);
                }
            }
        }
    }
}

/* A panel of up to NR columns; returns its width. */
APART ptrdiff_t pack_columns(size_t k, size_t columns, const double *b, ptrdiff_t b_row,
                             ptrdiff_t b_col, double *panel)
{
    if (columns > VL)
        pack_panel(k, NR, columns, b, b_row, b_col, panel);
    else
        pack_panel(k, VL, columns, b, b_row, b_col, panel);
    return columns > VL ? NR : VL;
}

/* Rows p of all panels of A are packed before the next, so that they are read as few streams. */
APART void pack_a(size_t m, size_t k, const double *a, ptrdiff_t a_row, ptrdiff_t a_col,
                  double *panels)
{
    const size_t step = 16;
    for (size_t p = 0; p < k; p += step) {
        for (size_t i = 0; i < m; i += MR)
            pack_panel(at_most(k - p, step), MR, at_most(m - i, MR),
                       a + (ptrdiff_t)i * a_row + (ptrdiff_t)p * a_col, a_col, a_row,
                       panels + i * k + p * MR);
    }
}

/* A panel of B that is being packed: `left` of its k rows are to come, `rows` at a time. */
struct packing {
    size_t k, left, rows, columns;
    int far;
    const double *b;
    ptrdiff_t b_row, b_col;
    double *panel;
};

/* Packs the next rows, and prefetches those after them: of the panel on the right at the end. */
APART void pack_rows(struct packing *q)
{
    const size_t k = at_most(q->left, q->rows);
    q->panel += (ptrdiff_t)k * pack_columns(k, q->columns, q->b, q->b_row, q->b_col, q->panel);
    q->left -= k;
    q->b += (ptrdiff_t)k * q->b_row;
    if (!q->far)
        return;
    const double *b = q->left ? q->b : q->b - (ptrdiff_t)q->k * q->b_row + NR * q->b_col;
    if (q->b_col == 1) {
        for (size_t p = 0; p < at_most(q->rows, 32); p++) {
            for (size_t j = 0; j < NR; j += 8)
                v_prefetch(b + (ptrdiff_t)p * q->b_row + j);
        }
    } else {
        for (size_t p = 0; p < at_most(q->rows, 32); p += 8) {
            for (size_t j = 0; j < NR; j++)
                v_prefetch(b + p + (ptrdiff_t)j * q->b_col);
        }
    }
}

#endif
