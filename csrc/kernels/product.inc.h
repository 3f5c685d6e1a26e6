/* product.inc.h - matrix products: the loops around tile().
 *
 * Which loops suit a product: blocks that fit the caches (blocks.inc.h), lists of what is not 0
 * (sparse.inc.h), or here one panel of columns at a time, one row, one column, one term. */
#ifndef MLP_PRODUCT_INC_H
#define MLP_PRODUCT_INC_H

#include "kernels/blocks.inc.h"
#include "kernels/caches.h"
#include "kernels/kernels.h"
#include "kernels/narrow.inc.h"
#include "kernels/pack.inc.h"
#include "kernels/sparse.inc.h"
#include "kernels/tile.inc.h"
#include "kernels/updates.inc.h"

/* Columns of C from which packing A pays (measured): where its strides are short; where they are FAR,
 * so that each panel of B fetches A anew; where they are ALIASED besides. Packing from 64 columns on
 * took 784-128-10 10 to 14 % longer, and never packing 2048-128-10 6 % (AVX2). */
#define A_COLUMNS 512
#define A_COLUMNS_FAR (20 * NR)
#define A_COLUMNS_ALIASED (12 * NR)
/* A tile that reads A across its rows (x^T in x^T delta) takes a line from each of them, which no
 * prefetcher foresees. Where the rows of a block span A_SPAN, 256 KB, those lines do not stay in the L1
 * cache for the tile below, and packing pays from fewer columns on: 784 x 128 from 200 rows takes 2.2
 * misses a term of a tile as A lies and 1.0 packed, 37 and 45 GFLOP/s (Zen 3, AVX2; huge pages change
 * neither). Packing takes some 4 cycles a term and a panel of B 6: with 4 panels it lost up to 5 %, with
 * 8 it won 4 to 30 %, and with fewer terms than ACROSS_TERMS it lost up to 15 %. AVX-512, whose tiles
 * are a whole line wide, was not measured: 12 panels there. */
#define A_COLUMNS_ACROSS ((VL > 4 ? 12 : 8) * NR)
#define A_SPAN ((size_t)32768)
#define ACROSS_TERMS 64
#define ACROSS_TERMS_MOST 256
/* Rows so far apart compete for the same lines of an L1 cache: a multiple of 4 KB. */
#define ALIASED(stride) ((stride) >= 512 && (stride) % 512 == 0)
/* Rows of C from which packing a panel of B pays for rows that are contiguous already: below, the
 * panel would be read fewer than four times after it was written. */
#define B_ROWS (4 * MR)
/* Terms that a single row takes at a time where it is longer than a tile: so many rows of B are read
 * about as they lie. */
#define ROW_TERMS 8

/* The tile below the one at c. */
INLINE void prefetch_tile(const double *c, ptrdiff_t c_row)
{
    for (size_t r = MR; r < 2 * MR; r++) {
        for (size_t j = 0; j < NR; j += 8)
            v_prefetch(c + (ptrdiff_t)r * c_row + j);
    }
}

/* C (m, n) <- C0 + A (m, k) B for any m, n at most NR: tiles of rows. */
APART void strip(size_t m, size_t n, size_t k, const struct layout *s, const double *a,
                 const double *b, const double *c0, double *c, double *w)
{
    const size_t nv = n > VL ? 2 : 1, last = n - (nv - 1) * VL;
    for (; m >= MR; m -= MR) {
        if (m >= 2 * MR) {
            if (w && s->w_row >= FAR)
                prefetch_tile(w, s->w_row);
            if (c0 && s->c0_row >= FAR)
                prefetch_tile(c0, s->c0_row);
        }
        tile_row(MR, nv, last, k, s, a, b, c0, c, w);
        a += s->a_tile;
        c0 = c0 ? c0 + MR * s->c0_row : NULL;
        c += MR * s->c_row;
        w = w ? w + MR * s->w_row : NULL;
    }
    low_tile(m, n, k, s, a, b, c0, c, w);
}

/* c (rows,) <- c0 + A (VL groups, k) b: lanes run over the rows, of which only `rows` exist; A is
 * transposed in registers. groups is a constant after inlining. */
INLINE void lanes(const size_t groups, size_t rows, size_t k, const double *a, ptrdiff_t a_row,
                  const double *b, ptrdiff_t b_row, const double *c0, ptrdiff_t c0_row, double *c)
{
    v_f64 acc[4];
    UNROLL
    for (size_t g = 0; g < groups; g++) {
        acc[g] = v_set(c0 ? *c0 : 0.0);
        if (c0 && c0_row)
            acc[g] = rows < VL ? v_load_n(c0, rows) : v_load(c0 + g * VL);
    }
    for (size_t p = 0; p < k; p += VL) {
        const size_t terms = at_most(k - p, VL);
        UNROLL
        for (size_t g = 0; g < groups; g++) {
            v_f64 x[VL];
            UNROLL
            for (size_t i = 0; i < VL; i++) {
                const double *ai = a + (ptrdiff_t)(g * VL + i) * a_row + p;
                x[i] = i >= rows ? v_set(0.0) : terms == VL ? v_load(ai) : v_load_n(ai, terms);
            }
            v_transpose(x);
            UNROLL
            for (size_t i = 0; i < VL; i++) {
                if (i < terms)
                    acc[g] = v_fma(v_set(b[(ptrdiff_t)(p + i) * b_row]), x[i], acc[g]);
            }
        }
    }
    UNROLL
    for (size_t g = 0; g < groups; g++) {
        if (rows < VL)
            v_store_n(c, rows, acc[g]);
        else
            v_store(c + g * VL, acc[g]);
    }
}

/* c (m,) <- c0 + A (m, k) b for rows of A that are contiguous; c0_row is 0 or 1. */
APART void one_column(size_t m, size_t k, const double *a, ptrdiff_t a_row, const double *b,
                      ptrdiff_t b_row, const double *c0, ptrdiff_t c0_row, double *c)
{
    while (m > 0) {
        const size_t rows = m >= 4 * VL ? 4 * VL : at_most(m, VL);
        if (rows == 4 * VL)
            lanes(4, VL, k, a, a_row, b, b_row, c0, c0_row, c);
        else if (rows == VL)
            lanes(1, VL, k, a, a_row, b, b_row, c0, c0_row, c);
        else
            lanes(1, rows, k, a, a_row, b, b_row, c0, c0_row, c);
        a += (ptrdiff_t)rows * a_row;
        c0 = c0 ? c0 + (ptrdiff_t)rows * c0_row : NULL;
        c += rows;
        m -= rows;
    }
}

/* Some columns of outer(): nv vectors, the last one with `last` columns. nv and edge are constants after
 * inlining. */
INLINE void outer_columns(const size_t nv, const int edge, size_t last, size_t m, const double *a,
                          ptrdiff_t a_row, const double *b, const double *c0, double *c,
                          ptrdiff_t c_row)
{
    v_f64 bv[4], cv[4];
    UNROLL
    for (size_t v = 0; v < nv; v++) {
        const int masked = edge && v + 1 == nv;
        bv[v] = masked ? v_load_n(b + v * VL, last) : v_load(b + v * VL);
        cv[v] = v_set(0.0);
        if (c0)
            cv[v] = masked ? v_load_n(c0 + v * VL, last) : v_load(c0 + v * VL);
    }
    for (size_t i = 0; i < m; i++, a += a_row, c += c_row) {
        const v_f64 av = v_set(*a);
        UNROLL
        for (size_t v = 0; v < nv; v++) {
            const v_f64 t = v_fma(av, bv[v], cv[v]);
            if (edge && v + 1 == nv)
                v_store_n(c + v * VL, last, t);
            else
                v_store(c + v * VL, t);
        }
    }
}

/* C (m, n) <- c0 + a b, the product for k = 1 with one row c0, or none, for all: it is bound by its
 * stores, and tiles would only be in their way. */
APART void outer(size_t m, size_t n, const double *a, ptrdiff_t a_row, const double *b,
                 const double *c0, double *c, ptrdiff_t c_row)
{
    for (size_t j = 0; j < n; j += 4 * VL) {
        const size_t left = at_most(n - j, 4 * VL), last = (left - 1) % VL + 1;
        const double *c0j = c0 ? c0 + j : NULL;
#define COLUMNS(nv)                                                                                \
    case nv:                                                                                       \
        if (last == VL)                                                                            \
            outer_columns(nv, 0, VL, m, a, a_row, b + j, c0j, c + j, c_row);                       \
        else                                                                                       \
            outer_columns(nv, 1, last, m, a, a_row, b + j, c0j, c + j, c_row);                     \
        break
        switch ((left - 1) / VL + 1) {
            COLUMNS(1);
            COLUMNS(2);
            COLUMNS(3);
            COLUMNS(4);
        default:
            break;
        }
#undef COLUMNS
    }
}

/* Terms up to which a panel of B takes at most half of an L1 cache, beside a tile's rows of A: then one
 * panel at a time is packed. */
static size_t panel_terms(void) { return mlp_caches.l1 / (2 * NR * sizeof(double)); }

static size_t panel_size(size_t m, size_t n, size_t k, size_t stride)
{
    const int packs_a =
        m >= MR &&
        (n >= A_COLUMNS || (n >= A_COLUMNS_ACROSS && (stride >= FAR || k * stride >= A_SPAN)));
    const size_t one = at_most(k, panel_terms()) * NR, many = blocked_size(m, n, k, packs_a);
    const size_t dense = m == 1 ? 0 : one > many ? one : many;
    const size_t lists = may_be_sparse(m, n, k) ? sparse_size(m, k) : 0;
    return dense > lists ? dense : lists;
}

/* The product in one block, A as it lies, panels of B packed one at a time or as they lie (panel is
 * NULL). */
INLINE void simple(size_t m, size_t n, size_t k, struct layout *s, const double *a, const double *b,
                   ptrdiff_t b_col, const double *c0, double *c, double *w, double *panel)
{
    const ptrdiff_t b_row = s->b_row;
    for (size_t j = 0; j < n; j += NR) {
        const size_t nr = at_most(n - j, NR);
        const double *bj = b + (ptrdiff_t)j * b_col, *c0j = c0 ? c0 + j : NULL;
        double *wj = w ? w + j : NULL;
        if (panel) {
            s->b_row = pack_columns(k, nr, bj, b_row, b_col, panel);
            bj = panel;
        }
        strip(m, nr, k, s, a, bj, c0j, c + j, wj);
    }
}

/* The product for m = 1, B as it lies. Nothing is set up beside the tile: a row of the smallest networks is
 * some ten cycles of work. */
APART void one_row(size_t n, size_t k, const double *a, ptrdiff_t a_col, const double *b,
                   ptrdiff_t b_row, const double *c0, double *c)
{
    const struct layout s = {.a_col = a_col, .b_row = b_row};
    if (n <= WIDE * VL) {
        whole_row(n, k, &s, a, b, c0, c, NULL);
        return;
    }
    const size_t step = k > panel_terms() || n >= FAR || b_row >= FAR ? ROW_TERMS : k;
    for (size_t p = 0; p < k; p += step, c0 = c) {
        const double *ap = a + (ptrdiff_t)p * a_col, *bp = b + (ptrdiff_t)p * b_row;
        for (size_t j = 0; j < n; j += WIDE * VL)
            whole_row(at_most(n - j, WIDE * VL), at_most(k - p, step), &s, ap, bp + j,
                      c0 ? c0 + j : NULL, c + j, NULL);
    }
}

static void product(size_t m, size_t n, size_t k, const double *a, ptrdiff_t a_row, ptrdiff_t a_col,
                    const double *b, ptrdiff_t b_row, ptrdiff_t b_col, const double *c0,
                    ptrdiff_t c0_row, double *c, ptrdiff_t c_row, const struct mlp_epilogue *e,
                    double *panel)
{
    if (n == 1 && a_col == 1 && m > 1 && c_row == 1 && c0_row <= 1 && !e) {
        one_column(m, k, a, a_row, b, b_row, c0, c0_row, c);
        return;
    }
    if (m == 1) {
        if (b_col == 1)
            one_row(n, k, a, a_col, b, b_row, c0, c);
        else
            one_column(n, k, b, b_col, a, a_col, c0, 1, c);
        if (e)
            update_rows(1, n, c, 0, e, e->w);
        return;
    }
    if (k == 1 && m > 1 && b_col == 1 && !e && (!c0 || c0_row == 0)) {
        outer(m, n, a, a_row, b, c0, c, c_row);
        return;
    }
    const int far = n >= FAR || a_row >= FAR || a_col >= FAR || b_row >= FAR || b_col >= FAR;
    const int across = m >= B_ROWS && n >= A_COLUMNS_ACROSS && k >= ACROSS_TERMS &&
                       at_most(k, ACROSS_TERMS_MOST) * (size_t)a_col >= A_SPAN;
    const int packs_b = b_col != 1 || (m >= B_ROWS && (n > NR || b_row > NR));
    struct layout s = {a_row, a_col, MR * a_row, b_row, c0_row, c_row, 0, 0.0, 1, NULL};
    double *w = NULL;
    if (e) {
        w = e->w;
        s.w_row = e->w_row;
        s.alpha = e->alpha;
        s.store = e->store;
        s.e = e->adam || e->v ? e : NULL;
    }
    if (!far && b_col == 1 && m >= MR && n > 1 && n <= VL + 4) {
        const size_t rows = narrow(m, n, k, &s, a, b, c0, c, w);
        m -= rows;
        if (m == 0)
            return;
        a += (ptrdiff_t)rows * a_row;
        c0 = c0 ? c0 + (ptrdiff_t)rows * c0_row : NULL;
        c += (ptrdiff_t)rows * c_row;
        w = w ? w + (ptrdiff_t)rows * s.w_row : NULL;
    }
    if (may_be_sparse(m, n, k) && (a_row == 1 || a_col == 1) &&
        is_sparse(m, n, k, a, a_row, a_col)) {
        sparse(m, n, k, &s, a, b, b_col, c0, c, w, panel);
    } else if (!far && !across && k <= panel_terms()) {
        simple(m, n, k, &s, a, b, b_col, c0, c, w, packs_b ? panel : NULL);
    } else {
        const int aliased = ALIASED(a_row) || ALIASED(a_col);
        const int packs_a = across || n >= A_COLUMNS || (far && n >= A_COLUMNS_FAR) ||
                            (aliased && n >= A_COLUMNS_ALIASED);
        blocked(m, n, k, m >= MR && packs_a, 0, &s, a, b, b_col, c0, c, w, panel);
    }
}

static void gram(size_t m, size_t n, size_t k, const double *x, ptrdiff_t x_row, const double *c0,
                 double *c, ptrdiff_t c_row, double *panel)
{
    struct layout s = {1, x_row, MR, x_row, c_row, c_row, 0, 0.0, 1, NULL};
    if (m == 1)
        one_row(n, k, x, x_row, x, x_row, c0, c);
    else /* A is packed where panel_size() leaves room for it: its columns are used often */
        blocked(m, n, k, m >= MR && n >= A_COLUMNS_ALIASED, 1, &s, x, x, 1, c0, c, NULL, panel);
}

#endif
