/* product.inc.h - matrix products, included by kernels.inc.h: time is spent here, in tile() first.
 *
 * Loops around a tile of C that lives in registers: blocks of the inner sum (KC), blocks of rows
 * (A_BLOCK), panels of NR columns, tiles of MR rows. The chain of a sum runs through the blocks of
 * the inner sum by way of C. While the tiles of a block of rows use one packed panel of B, the next
 * one is packed a few rows after each tile, and the rows after those are prefetched, so that the
 * FMA units work while memory is waited for. A block of A is packed where it would not stay in the
 * L2 cache as it lies. */

#define NR (2 * VL)
/* A panel of B is 16 KB: two of them and a tile's rows of A fit in the L1 cache. With an update it
 * is twice that, so that C does not go through memory for 256 rows (AVX-512: 5 % faster). */
#define KC ((size_t)2048 / NR)
/* A block of A is 512 KB, half of an L2 cache: a batch of 256 rows needs only one. */
#define A_BLOCK ((size_t)65536)
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
/* Rows so far apart compete for the same lines of an L1 cache: a multiple of 4 KB. */
#define ALIASED(stride) ((stride) >= 512 && (stride) % 512 == 0)
/* From this stride on, rows are too far from each other for caches and their prefetchers. */
#define FAR 512
/* Rows of C from which packing a panel of B pays for rows that are contiguous already: below, the
 * panel would be read fewer than four times after it was written. */
#define B_ROWS (4 * MR)
/* Terms that a single row takes at a time where it is longer than a tile: so many rows of B are read
 * about as they lie. */
#define ROW_TERMS 8

static size_t at_most(size_t n, size_t most) { return n < most ? n : most; }
static size_t multiple(size_t n, size_t of) { return (n + of - 1) / of * of; }

/* How the operands of a product lie: row i of A starts at a + i a_row, tile t of MR rows at
 * a + t a_tile. Where w is not NULL, w <- w - alpha C. */
struct layout {
    ptrdiff_t a_row, a_col, a_tile, b_row, c0_row, c_row, w_row;
    double alpha;
    int store; /* with w: C too */
};

/* acc <- C0 (mr, n), or 0. mr, nv and edge are constants after inlining; n = nv VL, or with edge the last
 * vector has only `last` columns. */
INLINE void load_tile(const size_t mr, const size_t nv, const int edge, size_t last,
                      const struct layout *s, const double *c0, v_f64 *acc)
{
    UNROLL
    for (size_t r = 0; r < mr; r++) {
        UNROLL
        for (size_t v = 0; v < nv; v++) {
            acc[r * nv + v] = v_set(0.0);
            if (c0) {
                const double *p = c0 + (ptrdiff_t)r * s->c0_row + v * VL;
                acc[r * nv + v] = edge && v + 1 == nv ? v_load_n(p, last) : v_load(p);
            }
        }
    }
}

/* w <- w - alpha acc unless w is NULL, and C <- acc where it is wanted. */
INLINE void store_tile(const size_t mr, const size_t nv, const int edge, size_t last,
                       const struct layout *s, const v_f64 *acc, double *c, double *w)
{
    if (w) {
        const v_f64 alpha = v_set(-s->alpha);
        UNROLL
        for (size_t r = 0; r < mr; r++) {
            UNROLL
            for (size_t v = 0; v < nv; v++) {
                double *p = w + (ptrdiff_t)r * s->w_row + v * VL;
                if (edge && v + 1 == nv)
                    v_store_n(p, last, v_fma(alpha, acc[r * nv + v], v_load_n(p, last)));
                else
                    v_store(p, v_fma(alpha, acc[r * nv + v], v_load(p)));
            }
        }
        if (!s->store)
            return;
    }
    UNROLL
    for (size_t r = 0; r < mr; r++) {
        UNROLL
        for (size_t v = 0; v < nv; v++) {
            double *p = c + (ptrdiff_t)r * s->c_row + v * VL;
            if (edge && v + 1 == nv)
                v_store_n(p, last, acc[r * nv + v]);
            else
                v_store(p, acc[r * nv + v]);
        }
    }
}

/* C (mr, n) <- C0 + A (mr, k) B (k, n): rank-1 updates of a tile that lives in registers. */
INLINE void tile(const size_t mr, const size_t nv, const int edge, size_t last, size_t k,
                 const struct layout *s, const double *a, const double *b, const double *c0,
                 double *c, double *w)
{
    const ptrdiff_t a_row = s->a_row, a_col = s->a_col, b_row = s->b_row;
    v_f64 acc[16];
    load_tile(mr, nv, edge, last, s, c0, acc);
    for (size_t p = 0; p < k; p++) {
        v_f64 bv[8];
        UNROLL
        for (size_t v = 0; v < nv; v++)
            bv[v] = edge && v + 1 == nv ? v_load_n(b + v * VL, last) : v_load(b + v * VL);
        UNROLL
        for (size_t r = 0; r < mr; r++) {
            const v_f64 av = v_set(a[(ptrdiff_t)r * a_row]);
            UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[r * nv + v] = v_fma(av, bv[v], acc[r * nv + v]);
        }
        a += a_col;
        b += b_row;
    }
    store_tile(mr, nv, edge, last, s, acc, c, w);
}

/* Tiles of one height: two vectors wide or one, whole or at the right edge. */
INLINE void tile_row(const size_t mr, size_t nv, size_t last, size_t k, const struct layout *s,
                     const double *a, const double *b, const double *c0, double *c, double *w)
{
    if (last == VL && nv == 2)
        tile(mr, 2, 0, last, k, s, a, b, c0, c, w);
    else if (last == VL)
        tile(mr, 1, 0, last, k, s, a, b, c0, c, w);
    else if (nv == 2)
        tile(mr, 2, 1, last, k, s, a, b, c0, c, w);
    else
        tile(mr, 1, 1, last, k, s, a, b, c0, c, w);
}

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

/* The tile below the one at c. */
INLINE void prefetch_tile(const double *c, ptrdiff_t c_row)
{
    for (size_t r = MR; r < 2 * MR; r++) {
        for (size_t j = 0; j < NR; j += 8)
            v_prefetch(c + (ptrdiff_t)r * c_row + j);
    }
}

/* C (m, n) <- C0 + A (m, k) B for any m, n at most NR: LOOP 1, tiles of rows. After each, some rows
 * of `next` are packed unless that is NULL. */
APART void strip(size_t m, size_t n, size_t k, const struct layout *s, const double *a,
                 const double *b, const double *c0, double *c, double *w, struct packing *next)
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
        if (next && next->left)
            pack_rows(next);
        a += s->a_tile;
        c0 = c0 ? c0 + MR * s->c0_row : NULL;
        c += MR * s->c_row;
        w = w ? w + MR * s->w_row : NULL;
    }
#define TILE(mr)                                                                                   \
    case mr:                                                                                       \
        tile_row(mr, nv, last, k, s, a, b, c0, c, w);                                              \
        break
    switch (m) {
        TILE(1);
        TILE(2);
        TILE(3);
#if MR > 4
        TILE(4);
        TILE(5);
#endif
#if MR > 6
        TILE(6);
        TILE(7);
#endif
    default:
        break;
    }
#undef TILE
    while (next && next->left)
        pack_rows(next);
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

/* Blocks of k or m as even as the number of blocks that are at most `most` long allows. */
static size_t block_length(size_t n, size_t most, size_t of)
{
    if (n <= most)
        return n;
    const size_t blocks = (n + most - 1) / most;
    return multiple((n + blocks - 1) / blocks, of);
}

/* One row of up to WIDE vectors, all of them at once: their chains hide each other's latency. */
APART void short_row(size_t n, size_t k, const struct layout *s, const double *a, const double *b,
                     const double *c0, double *c, double *w)
{
    const size_t last = (n - 1) % VL + 1;
#define ROW(nv)                                                                                    \
    case nv:                                                                                       \
        tile(1, nv, 1, last, k, s, a, b, c0, c, w);                                                \
        break
    switch ((n - 1) / VL + 1) {
        ROW(1);
        ROW(2);
        ROW(3);
        ROW(4);
        ROW(5);
        ROW(6);
        ROW(7);
        ROW(8);
    default:
        break;
    }
#undef ROW
}

#include "kernels/sparse.inc.h"

static size_t panel_size(size_t m, size_t n, size_t k, size_t stride)
{
    const size_t kc = at_most(k, 2 * KC);
    const int packs_a =
        m >= MR &&
        (n >= A_COLUMNS || (n >= A_COLUMNS_ACROSS && (stride >= FAR || k * stride >= A_SPAN)));
    const size_t a = packs_a ? at_most(multiple(m, MR) * kc, A_BLOCK + 2 * MR * KC) : 0;
    const size_t dense = m == 1 ? 0 : a + 2 * NR * kc;
    const size_t lists = may_be_sparse(m, n, k) ? sparse_size(m, k) : 0;
    return dense > lists ? dense : lists;
}

/* The product in one block, A as it lies, panels of B packed one at a time or as they lie (panel is
 * NULL). */
INLINE void simple(size_t m, size_t n, size_t k, struct layout *s, const double *a, const double *b,
                   ptrdiff_t b_col, const double *c0, double *c, double *w, double *panel)
{
    const ptrdiff_t b_row = s->b_row;
    size_t nr = 0;
    for (size_t j = 0; j < n; j += nr) {
        const double *bj = b + (ptrdiff_t)j * b_col, *c0j = c0 ? c0 + j : NULL;
        double *wj = w ? w + j : NULL;
        if (m == 1 && !panel) {
            nr = at_most(n - j, WIDE * VL);
            if (nr == WIDE * VL)
                tile(1, WIDE, 0, VL, k, s, a, bj, c0j, c + j, wj);
            else if (nr == WIDE / 2 * VL)
                tile(1, WIDE / 2, 0, VL, k, s, a, bj, c0j, c + j, wj);
            else
                short_row(nr, k, s, a, bj, c0j, c + j, wj);
            continue;
        }
        nr = at_most(n - j, NR);
        if (panel) {
            s->b_row = pack_columns(k, nr, bj, b_row, b_col, panel);
            bj = panel;
        }
        strip(m, nr, k, s, a, bj, c0j, c + j, wj, NULL);
    }
}

/* The product for m = 1, B as it lies. */
APART void one_row(size_t n, size_t k, struct layout *s, const double *a, const double *b,
                   const double *c0, double *c, double *w)
{
    const size_t step = n > WIDE * VL ? ROW_TERMS : k;
    for (size_t p = 0; p < k; p += step, c0 = c)
        simple(1, n, at_most(k - p, step), s, a + (ptrdiff_t)p * s->a_col,
               b + (ptrdiff_t)p * s->b_row, 1, c0, c, k - p <= step ? w : NULL, NULL);
}

/* The product with packed panels of B, and of A with packs_a. With `upper` tiles that lie below the
 * diagonal of C are left out. */
APART void blocked(size_t m, size_t n, size_t k, int packs_a, int upper,
                   const struct layout *layout, const double *a, const double *b, ptrdiff_t b_col,
                   const double *c0, double *c, double *w, double *panel)
{
    struct layout s = *layout;
    const ptrdiff_t a_row = s.a_row, a_col = s.a_col, b_row = s.b_row;
    const size_t k_step = block_length(k, w ? 2 * KC : KC, 8);
    const size_t m_step =
        m <= A_BLOCK / (2 * KC) ? m : block_length(m, A_BLOCK / k_step / MR * MR, MR);
    double *const panels[2] = {panel, panel + NR * k_step};
    double *const a_panels = panel + 2 * NR * k_step;
    /* LOOP 4: blocks of the inner sum, which goes on from the C of the block before. */
    for (size_t p = 0; p < k; p += k_step) {
        const size_t kc = at_most(k - p, k_step);
        const int complete = p + kc == k;
        const double *bp = b + (ptrdiff_t)p * b_row;
        /* LOOP 3: blocks of rows. */
        for (size_t i = 0; i < m; i += m_step) {
            const size_t mc = at_most(m - i, m_step);
            const double *ai = a + (ptrdiff_t)i * a_row + (ptrdiff_t)p * a_col;
            if (packs_a) {
                pack_a(mc, kc, ai, a_row, a_col, a_panels);
                ai = a_panels;
                s.a_row = 1;
                s.a_col = MR;
                s.a_tile = (ptrdiff_t)(MR * kc);
            }
            const size_t j0 = upper ? i / NR * NR : 0;
            struct packing next = {.k = kc,
                                   .left = kc,
                                   .rows = kc,
                                   .columns = at_most(n - j0, NR),
                                   .b = bp + (ptrdiff_t)j0 * b_col,
                                   .b_row = b_row,
                                   .b_col = b_col,
                                   .panel = panels[0]};
            pack_rows(&next);
            if (b_row >= FAR || b_col >= FAR) {
                next.far = 1;
                next.rows = multiple((kc + mc / MR) / (mc / MR + 1), 8);
            }
            /* LOOP 2: panels of columns. */
            for (size_t j = j0, x = 0; j < n; j += NR, x ^= 1) {
                const size_t nr = at_most(n - j, NR);
                if (n - j > nr) {
                    next.left = kc;
                    next.columns = at_most(n - j - nr, NR);
                    next.b = bp + (ptrdiff_t)(j + nr) * b_col;
                    next.panel = panels[x ^ 1];
                }
                s.b_row = nr > VL ? NR : VL;
                /* Down to the last tile that the diagonal passes through. */
                const size_t rows = upper ? at_most(multiple(j + nr - i, MR), mc) : mc;
                strip(rows, nr, kc, &s, ai, panels[x], c0 ? c0 + (ptrdiff_t)i * s.c0_row + j : NULL,
                      c + (ptrdiff_t)i * s.c_row + j,
                      w && complete ? w + (ptrdiff_t)i * s.w_row + j : NULL, &next);
            }
        }
        c0 = c;
        s.c0_row = s.c_row;
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
    if (m == 1 && b_col != 1) {
        one_column(n, k, b, b_col, a, a_col, c0, 1, c);
        if (e)
            descend(n, e->alpha, c, e->w);
        return;
    }
    if (k == 1 && m > 1 && b_col == 1 && !e && (!c0 || c0_row == 0)) {
        outer(m, n, a, a_row, b, c0, c, c_row);
        return;
    }
    const int far = n >= FAR || a_row >= FAR || a_col >= FAR || b_row >= FAR || b_col >= FAR;
    const int across = m >= B_ROWS && n >= A_COLUMNS_ACROSS && k >= ACROSS_TERMS &&
                       at_most(k, KC) * (size_t)a_col >= A_SPAN;
    const int packs_b = b_col != 1 || (m >= B_ROWS && (n > NR || b_row > NR));
    struct layout s = {a_row, a_col, MR * a_row, b_row, c0_row, c_row, 0, 0.0, 1};
    double *w = NULL;
    if (e) {
        w = e->w;
        s.w_row = e->w_row;
        s.alpha = e->alpha;
        s.store = e->store;
    }
    if (may_be_sparse(m, n, k) && (a_row == 1 || a_col == 1) &&
        is_sparse(m, n, k, a, a_row, a_col)) {
        sparse(m, n, k, &s, a, b, b_col, c0, c, w, panel);
    } else if (!far && !across && k <= KC) {
        simple(m, n, k, &s, a, b, b_col, c0, c, w, packs_b ? panel : NULL);
    } else if (m == 1) {
        one_row(n, k, &s, a, b, c0, c, w);
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
    struct layout s = {1, x_row, MR, x_row, c_row, c_row, 0, 0.0, 1};
    if (m == 1)
        one_row(n, k, &s, x, x, c0, c, NULL);
    else /* A is packed where panel_size() leaves room for it: its columns are used often */
        blocked(m, n, k, m >= MR && n >= A_COLUMNS_ALIASED, 1, &s, x, x, 1, c0, c, NULL, panel);
}
