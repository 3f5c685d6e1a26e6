/* tile.inc.h - a tile of C that lives in registers: time is spent in tile() first of all. Around it are
 * the loops of product.inc.h and the lists of sparse.inc.h. */
#ifndef MLP_TILE_INC_H
#define MLP_TILE_INC_H

#include "kernels/kernels.h"
#include "kernels/loops.inc.h"
#include "kernels/updates.inc.h"

#include <stddef.h>

/* Columns of a tile. */
#define NR (2 * VL)

/* From this stride on, rows are too far from each other for caches and their prefetchers. */
#define FAR 512

static size_t multiple(size_t n, size_t of) { return (n + of - 1) / of * of; }

/* How the operands of a product lie: row i of A starts at a + i a_row, tile t of MR rows at
 * a + t a_tile. Where w is not NULL, w <- w - alpha C, or the step of `e` unless that is NULL. */
struct layout {
    ptrdiff_t a_row, a_col, a_tile, b_row, c0_row, c_row, w_row;
    double alpha;
    int store; /* with w: C too */
    const struct mlp_epilogue *e;
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

/* w takes its step along acc unless w is NULL, and C <- acc where it is wanted. */
INLINE void store_tile(const size_t mr, const size_t nv, const int edge, size_t last,
                       const struct layout *s, const v_f64 *acc, double *c, double *w)
{
    if (w && s->e) {
        double g[16 * VL];
        UNROLL
        for (size_t i = 0; i < mr * nv; i++)
            v_store(g + i * VL, acc[i]);
        update_rows(mr, edge ? (nv - 1) * VL + last : nv * VL, g, nv * VL, s->e, w);
        if (!s->store)
            return;
    } else if (w) {
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

/* acc += A (mr, k) B (k, n): rank-1 updates of a tile that lives in registers. */
INLINE void add_terms(const size_t mr, const size_t nv, const int edge, size_t last, size_t k,
                      const struct layout *s, const double *a, const double *b, v_f64 *acc)
{
    const ptrdiff_t a_row = s->a_row, a_col = s->a_col, b_row = s->b_row;
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
}

/* C (mr, n) <- C0 + A (mr, k) B (k, n). */
INLINE void tile(const size_t mr, const size_t nv, const int edge, size_t last, size_t k,
                 const struct layout *s, const double *a, const double *b, const double *c0,
                 double *c, double *w)
{
    v_f64 acc[16];
    load_tile(mr, nv, edge, last, s, c0, acc);
    add_terms(mr, nv, edge, last, k, s, a, b, acc);
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

/* Blocks of k or m as even as the number of blocks that are at most `most` long allows. */
static size_t block_length(size_t n, size_t most, size_t of)
{
    if (n <= most)
        return n;
    const size_t blocks = (n + most - 1) / most;
    return multiple((n + blocks - 1) / blocks, of);
}

/* One row of up to WIDE vectors, all of them at once: their chains hide each other's latency. */
INLINE void whole_row(size_t n, size_t k, const struct layout *s, const double *a, const double *b,
                      const double *c0, double *c, double *w)
{
    if (n == WIDE * VL) {
        tile(1, WIDE, 0, VL, k, s, a, b, c0, c, w);
        return;
    }
    if (n == WIDE / 2 * VL) {
        tile(1, WIDE / 2, 0, VL, k, s, a, b, c0, c, w);
        return;
    }
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

APART void short_row(size_t n, size_t k, const struct layout *s, const double *a, const double *b,
                     const double *c0, double *c, double *w)
{
    whole_row(n, k, s, a, b, c0, c, w);
}

#endif
