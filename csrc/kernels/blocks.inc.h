/* blocks.inc.h - large matrix products: blocks that fit the caches, around the tiles.
 *
 * From the outside in: blocks of columns (n_step), blocks of the inner sum (k_step), blocks of rows
 * (m_step), groups of panels of B, tiles of MR rows, the panels of a group. The chain of a sum runs through
 * the blocks of the inner sum by way of C, so the sizes of the blocks change no bit. What the caches hold
 * meanwhile, and so how large the blocks are, is said at block_sizes().
 *
 * Between two tiles a few rows of the next group of panels of B are packed. So the FMA units work while memory is waited for. Where
 * there is one block of rows only, two groups of B take turns; else all panels are kept for the others. */
#ifndef MLP_BLOCKS_INC_H
#define MLP_BLOCKS_INC_H

#include "kernels/caches.h"
#include "kernels/pack.inc.h"
#include "kernels/tile.inc.h"

/* Columns of B that are packed at a time: four lines of each row, or two tiles. Rows of B that are far
 * apart are read a line at a time else, which took 10 % of the product (Zen 4, AVX2). */
#define GROUP (VL < 8 ? (size_t)32 : 2 * NR)
/* Terms before the end of a tile at which it asks for what its end and the next tile need of C: at least
 * 600 cycles, so that memory has answered by then, and the lines are not yet gone from the L1 cache. */
#define AHEAD ((size_t)96)
/* So many rows of a gradient are one block of the inner sum if there is an update: see struct
 * mlp_epilogue. */
#define UPDATE_TERMS ((size_t)256)

/* So many elements of C, 128 KB, are near, unless its rows are far apart. */
#define NEAR ((size_t)16384)

struct block_sizes {
    size_t terms; /* at most, of an inner sum */
    size_t a;     /* doubles of a block of A, about */
    size_t b;     /* doubles of the panels of B that are kept for several blocks of A */
};

/* The model of the caches.
 *
 * The rows of A of a tile are read once for each panel of a group, and should stay in the L1 cache
 * beside what streams through it (panels of B from the L2 cache, 8 to 11 bytes a cycle): they get half of
 * it. More terms than 384 gain nothing, as C is a small part of the traffic by then, and fewer than 128
 * cost much. A block of A is read once for each group and should stay in the L2 cache beside two groups
 * of B, C and what is fetched: it gets 9/16 of it (with 1 MB and 256 terms, 288 rows), 1.5 MB at
 * most. The panels that
 * are kept for several blocks of A stream from the L3 cache or memory, once for each block of rows; so
 * their size is bound by what a thread's scratch may be, 2 MB, and by half of the L3 cache. */
static struct block_sizes block_sizes(int update)
{
    const struct mlp_caches *c = &mlp_caches;
    struct block_sizes s;
    const size_t terms = c->l1 / 2 / sizeof(double) / MR / 64 * 64;
    s.terms = terms < 128 ? 128 : at_most(terms, 256);
    if (c->terms != 0)
        s.terms = multiple(c->terms, 8);
    else if (update && s.terms < UPDATE_TERMS)
        s.terms = UPDATE_TERMS;
    s.a = c->a != 0 ? c->a : at_most(c->l2 / 16 * 9, (size_t)3 << 19) / sizeof(double);
    s.b = c->b != 0 ? c->b : at_most(c->l3 / 2, (size_t)2 << 20) / sizeof(double);
    return s;
}

/* Rows of a block of A. */
static size_t block_rows(const struct block_sizes *s, size_t m, size_t k_step)
{
    const size_t most = s->a / k_step / MR * MR;
    return block_length(m, most < MR ? MR : most, MR);
}

/* Columns of a block of B that is kept. */
static size_t block_columns(const struct block_sizes *s, size_t n, size_t k_step)
{
    const size_t most = s->b / k_step / GROUP * GROUP;
    return block_length(n, most < 2 * GROUP ? 2 * GROUP : most, GROUP);
}

/* Doubles of scratch of blocked() for matrices of up to m, n, k. */
static size_t blocked_size(size_t m, size_t n, size_t k, int packs_a)
{
    const struct block_sizes s = block_sizes(1);
    const size_t kc = at_most(k, s.terms), all = multiple(n, NR) * kc, groups = 2 * GROUP * kc;
    const int keep = m + MR > s.a / kc;
    const size_t a = packs_a ? at_most(multiple(m, MR) * kc, s.a + MR * kc) : 0;
    return a + at_most(all, keep ? s.b + groups : groups);
}

/* The lines of a tile of C. */
INLINE void fetch_tile(const double *c, ptrdiff_t row)
{
    UNROLL
    for (size_t r = 0; r < MR; r++) {
        const double *cr = c + (ptrdiff_t)r * row;
        v_prefetch(cr);
        if (NR > 8)
            v_prefetch(cr + 8);
        v_prefetch(cr + NR - 1);
    }
}

/* A whole tile which, AHEAD of its end, asks for the lines of the tiles at `start` and `end` unless they
 * are NULL. `packed` is a constant after inlining: both operands are packed panels, whose strides are
 * constants then. With AVX2 that saves a load and an addition of the 26 operations of a term: up to 2 %
 * of a product, and 4 to 10 % while the other thread of the core is busy (Zen 4). */
INLINE void whole_tile(const int packed, size_t k, const struct layout *layout, const double *a,
                       const double *b, const double *c0, double *c, double *w, const double *start,
                       const double *end)
{
    struct layout s = *layout;
    const size_t before = k > AHEAD ? k - AHEAD : 0;
    v_f64 acc[2 * MR];
    if (packed) {
        s.a_row = 1;
        s.a_col = MR;
        s.b_row = NR;
    }
    load_tile(MR, 2, 0, VL, &s, c0, acc);
    add_terms(MR, 2, 0, VL, before, &s, a, b, acc);
    if (start)
        fetch_tile(start, s.c0_row);
    if (end)
        fetch_tile(end, w ? s.w_row : s.c_row);
    add_terms(MR, 2, 0, VL, k - before, &s, a + (ptrdiff_t)before * s.a_col,
              b + (ptrdiff_t)before * s.b_row, acc);
    store_tile(MR, 2, 0, VL, &s, acc, c, w);
}

APART void far_tile(size_t k, const struct layout *s, const double *a, const double *b,
                    const double *c0, double *c, double *w, const double *start, const double *end)
{
    whole_tile(0, k, s, a, b, c0, c, w, start, end);
}

APART void packed_tile(size_t k, const struct layout *s, const double *a, const double *b,
                       const double *c0, double *c, double *w, const double *start,
                       const double *end)
{
    whole_tile(1, k, s, a, b, c0, c, w, start, end);
}

/* Tiles of the last rows, less than MR. */
APART void low_tile(size_t m, size_t n, size_t k, const struct layout *s, const double *a,
                    const double *b, const double *c0, double *c, double *w)
{
    const size_t nv = n > VL ? 2 : 1, last = n - (nv - 1) * VL;
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
}

/* C (m, n) <- C0 + A B for n at most GROUP: LOOP 1, tiles of rows, each for all panels. After each tile
 * some rows of `next` are packed, which may have nothing left. With `fetch` tiles ask for their lines of C. Tiles are left out where i + diagonal, for their first
 * row i, is beyond their last column. */
APART void group(size_t m, size_t n, size_t k, const struct layout *layout, int fetch,
                 ptrdiff_t diagonal, const double *a, const double *b, const double *c0, double *c,
                 double *w, struct packing *next)
{
    struct layout s = *layout;
    const double *const right = c0 ? c0 + GROUP : NULL;
    const ptrdiff_t c0_tile = MR * s.c0_row;
    const int packed = s.a_row == 1 && s.a_col == MR;
    for (size_t i = 0; i < m; i += MR) {
        const size_t mr = at_most(m - i, MR);
        for (size_t j = 0; j < n; j += NR) {
            const size_t nr = at_most(n - j, NR);
            const double *bj = b + j * k, *c0j = c0 ? c0 + j : NULL, *start = NULL;
            double *wj = w ? w + j : NULL;
            if ((ptrdiff_t)i + diagonal >= (ptrdiff_t)(j + nr))
                continue;
            s.b_row = nr > VL ? NR : VL;
            if (fetch && mr == MR && nr == NR) {
                if (c0 && s.c0_row)
                    start = j + NR < n ? c0j + NR : i + MR < m ? c0 + c0_tile : right;
                (packed ? packed_tile : far_tile)(k, &s, a, bj, c0j, c + j, wj, start,
                                                  w       ? wj
                                                  : start ? NULL
                                                          : c + j);
            } else if (mr == MR) {
                tile_row(MR, nr > VL ? 2 : 1, nr > VL ? nr - VL : nr, k, &s, a, bj, c0j, c + j, wj);
            } else {
                low_tile(mr, nr, k, &s, a, bj, c0j, c + j, wj);
            }
            if (unpacked(next))
                pack_rows(next);
        }
        a += s.a_tile;
        c0 = c0 ? c0 + c0_tile : NULL;
        c += MR * s.c_row;
        w = w ? w + MR * s.w_row : NULL;
    }
    pack_rest(next);
}

/* The product with packed panels of B, and of A with packs_a. With `upper` tiles that lie below the
 * diagonal of C are left out. */
APART void blocked(size_t m, size_t n, size_t k, int packs_a, int upper,
                   const struct layout *layout, const double *a, const double *b, ptrdiff_t b_col,
                   const double *c0, double *c, double *w, double *panel)
{
    const struct block_sizes sizes = block_sizes(w != NULL);
    const size_t k_step = block_length(k, sizes.terms, 8);
    const size_t m_step = block_rows(&sizes, m, k_step);
    const int keep = m > m_step;
    const size_t n_step = keep ? block_columns(&sizes, n, k_step) : n;
    const ptrdiff_t a_row = layout->a_row, a_col = layout->a_col, b_row = layout->b_row;
    double *const a_panels = panel;
    double *const b_panels = panel + (packs_a ? multiple(m_step, MR) * k_step : 0);
    const int b_far = b_row >= FAR || b_col >= FAR;
    /* LOOP 5: blocks of columns. */
    for (size_t jc = 0; jc < n; jc += n_step) {
        const size_t nc = at_most(n - jc, n_step);
        /* LOOP 4: blocks of the inner sum, which goes on from the C of the block before. */
        for (size_t p = 0; p < k; p += k_step) {
            const size_t kc = at_most(k - p, k_step);
            const double *from = p == 0 ? c0 : c;
            double *to = p + kc == k ? w : NULL;
            const double *bp = b + (ptrdiff_t)p * b_row + (ptrdiff_t)jc * b_col;
            struct layout s = *layout;
            s.c0_row = p == 0 ? s.c0_row : s.c_row;
            /* What is near is in a cache anyway, and short tiles have no time to ask. */
            const int fetch = s.c_row >= FAR || s.w_row >= FAR || (kc > AHEAD && m * n > NEAR);
            if (packs_a) {
                s.a_row = 1;
                s.a_col = MR;
                s.a_tile = (ptrdiff_t)(MR * kc);
            }
            /* LOOP 3: blocks of rows. */
            for (size_t i = 0; i < m; i += m_step) {
                const size_t mc = at_most(m - i, m_step), tiles = (mc + MR - 1) / MR;
                const size_t j0 = !upper || i < jc ? 0 : (i - jc) / GROUP * GROUP;
                struct packing next = {.b_row = b_row, .b_col = b_col};
                const double *ai = a + (ptrdiff_t)i * a_row + (ptrdiff_t)p * a_col;
                if (upper && i >= jc + nc)
                    continue; /* all of it is below the diagonal */
                if (packs_a) {
                    pack_a(mc, kc, ai, a_row, a_col, a_panels);
                    ai = a_panels;
                }
                if (i == 0) {
                    next.k = next.step = kc;
                    next.columns = at_most(nc, GROUP);
                    next.b = bp;
                    next.panels = b_panels;
                    pack_rest(&next);
                    next.fetch = b_far;
                }
                /* LOOP 2: groups of panels. */
                for (size_t j = j0, x = 0; j < nc; j += GROUP, x ^= 1) {
                    const size_t gc = at_most(nc - j, GROUP), right = j + gc;
                    const double *current = b_panels + (keep ? j : x * GROUP) * kc;
                    if (i == 0 && right < nc) {
                        next.first = next.row = 0;
                        next.columns = at_most(nc - right, GROUP);
                        next.b = bp + (ptrdiff_t)right * b_col;
                        next.panels = b_panels + (keep ? right : (x ^ 1) * GROUP) * kc;
                        next.step = packing_step(&next, tiles * (GROUP / NR));
                    }
                    const ptrdiff_t at = (ptrdiff_t)(jc + j);
                    group(mc, gc, kc, &s, fetch, upper ? (ptrdiff_t)i - at : -(ptrdiff_t)mc, ai,
                          current, from ? from + (ptrdiff_t)i * s.c0_row + at : NULL,
                          c + (ptrdiff_t)i * s.c_row + at,
                          to ? to + (ptrdiff_t)i * s.w_row + at : NULL, &next);
                }
            }
        }
    }
}

#endif
