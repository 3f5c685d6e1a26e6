/* pack.inc.h - packing: panels of A and B as the tiles read them, from matrices with any strides.
 *
 * A panel is contiguous, so that a tile reads it as one stream whatever the strides were. */
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

/* Panels of B that are packed a few rows at a time. Where the columns of B are contiguous, the same rows of
 * all panels are packed before the next ones, else one panel after the other. */
struct packing {
    size_t k, columns; /* rows of B, and its columns */
    size_t step;       /* rows at a time; of columns whose rows are contiguous, a multiple of 8 */
    int fetch;         /* asks for the rows after those that are packed */
    const double *b;
    ptrdiff_t b_row, b_col;
    double *panels;
    size_t first, row; /* what comes next: columns from `first` on, rows from `row` on */
};

INLINE int unpacked(const struct packing *q) { return q->row < q->k; }

/* So many rows are asked for at a time, at most: more would not be kept. */
#define FETCHED ((size_t)32)

/* Packs the next rows, and asks for those after them: of the panels on the right at the end. */
APART void pack_rows(struct packing *q)
{
    const size_t rows = at_most(q->k - q->row, q->step), fetched = at_most(q->step, FETCHED);
    const int across = q->b_col == 1;
    const size_t end = across ? q->columns : at_most(q->columns, q->first + NR);
    const double *b = q->b + (ptrdiff_t)q->row * q->b_row;
    size_t j = q->first;
    for (; across && j + NR <= end; j += NR)
        pack_panel(rows, NR, NR, b + j, q->b_row, 1, q->panels + j * q->k + q->row * NR);
    for (; j < end; j += NR) {
        const size_t columns = at_most(end - j, NR), width = columns > VL ? NR : VL;
        pack_columns(rows, columns, b + (ptrdiff_t)j * q->b_col, q->b_row, q->b_col,
                     q->panels + j * q->k + q->row * width);
    }
    b += (ptrdiff_t)q->first * q->b_col + (ptrdiff_t)rows * q->b_row;
    q->row += rows;
    if (q->row == q->k) {
        b += (ptrdiff_t)(end - q->first) * q->b_col - (ptrdiff_t)q->k * q->b_row;
        q->first = end;
        q->row = end < q->columns ? 0 : q->k;
    }
    if (!q->fetch)
        return;
    if (across) {
        for (size_t p = 0; p < fetched; p++) {
            for (size_t l = 0; l < q->columns; l += 8)
                v_prefetch(b + (ptrdiff_t)p * q->b_row + l);
        }
    } else {
        for (size_t p = 0; p < fetched; p += 8) {
            for (size_t l = 0; l < NR; l++)
                v_prefetch(b + p + (ptrdiff_t)l * q->b_col);
        }
    }
}

/* Rows at a time at least: a call costs some cycles. */
#define STEP_LEAST ((size_t)4)

/* Packs all that is left. */
INLINE void pack_rest(struct packing *q)
{
    while (unpacked(q))
        pack_rows(q);
}

/* The rows at a time of panels that are to be packed in so many calls. */
static size_t packing_step(const struct packing *q, size_t calls)
{
    if (q->b_col == 1)
        return (q->k + calls - 1) / calls < STEP_LEAST ? STEP_LEAST : (q->k + calls - 1) / calls;
    const size_t rows = multiple(q->columns, NR) / NR * q->k;
    return at_most(multiple((rows + calls - 1) / calls, 8), multiple(q->k, 8));
}

#endif
