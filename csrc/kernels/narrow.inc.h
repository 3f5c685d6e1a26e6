/* narrow.inc.h - tiles of one whole vector and a short one, or of a short one alone: products of 9 to 12
 * columns, such as those of the ten digits, and of 2 to 4.
 *
 * Where a vector of eight doubles takes as long as two of four, a second one with two or four columns is half
 * wasted: 10 or 12 columns take 1.5 instead of 2 cycles a term and row. A step along 2 to 4 columns is faster
 * because a masked store, of a whole vector, holds up the loads of the next rows. */
#ifndef MLP_NARROW_INC_H
#define MLP_NARROW_INC_H

#include "kernels/tile.inc.h"

#ifdef HAS_SHORT
/* A tile of MR rows and VL + last columns, as tile() and store_tile(): T is the type of the second vector, f its
 * words. With `edge` it has more lanes than columns. */
#define NARROW_TILE(T, f)                                                                          \
    INLINE void f##_tile(const int whole, const int edge, size_t last, size_t k,                   \
                         const struct layout *s, const double *a, const double *b,                 \
                         const double *c0, double *c, double *w)                                   \
    {                                                                                              \
        const size_t first = whole ? VL : 0;                                                       \
        v_f64 acc[MR];                                                                             \
        T rest[MR];                                                                                \
        UNROLL                                                                                     \
        for (size_t r = 0; r < MR; r++) {                                                          \
            const double *p = c0 ? c0 + (ptrdiff_t)r * s->c0_row : NULL;                           \
            acc[r] = whole && p ? v_load(p) : v_set(0.0);                                          \
            rest[r] = p ? f##_load(edge, p + first, last) : f##_of(v_set(0.0));                    \
        }                                                                                          \
        for (size_t p = 0; p < k; p++, a += s->a_col, b += s->b_row) {                             \
            const v_f64 bv = whole ? v_load(b) : v_set(0.0);                                       \
            const T b_rest = f##_load(edge, b + first, last);                                      \
            UNROLL                                                                                 \
            for (size_t r = 0; r < MR; r++) {                                                      \
                const v_f64 av = v_set(a[(ptrdiff_t)r * s->a_row]);                                \
                if (whole)                                                                         \
                    acc[r] = v_fma(av, bv, acc[r]);                                                \
                rest[r] = f##_fma(f##_of(av), b_rest, rest[r]);                                    \
            }                                                                                      \
        }                                                                                          \
        const v_f64 step = v_set(-s->alpha);                                                       \
        if (w && s->e) {                                                                           \
            double g[MR * NR];                                                                     \
            UNROLL                                                                                 \
            for (size_t r = 0; r < MR; r++) {                                                      \
                v_store(g + r * NR, acc[r]);                                                       \
                f##_store(0, g + r * NR + first, last, rest[r]);                                   \
            }                                                                                      \
            update_rows(MR, first + last, g, NR, s->e, w);                                         \
            if (!s->store)                                                                         \
                return;                                                                            \
        } else if (w) {                                                                            \
            UNROLL                                                                                 \
            for (size_t r = 0; r < MR; r++) {                                                      \
                double *p = w + (ptrdiff_t)r * s->w_row;                                           \
                if (whole)                                                                         \
                    v_store(p, v_fma(step, acc[r], v_load(p)));                                    \
                f##_store(edge, p + first, last,                                                   \
                          f##_fma(f##_of(step), rest[r], f##_load(edge, p + first, last)));        \
            }                                                                                      \
            if (!s->store)                                                                         \
                return;                                                                            \
        }                                                                                          \
        UNROLL                                                                                     \
        for (size_t r = 0; r < MR; r++) {                                                          \
            double *p = c + (ptrdiff_t)r * s->c_row;                                               \
            if (whole)                                                                             \
                v_store(p, acc[r]);                                                                \
            f##_store(edge, p + first, last, rest[r]);                                             \
        }                                                                                          \
    }
NARROW_TILE(v_two, two)
NARROW_TILE(v_four, four)
#undef NARROW_TILE

/* Terms that a tile takes at a time: its rows of A and B are 48 KB at most. */
#define NARROW_TERMS ((size_t)256)

/* The first rows of C, as many as whole tiles take, for n columns and B as it lies; returns their number: 0 for
 * all but 2 to 4 and 9 to 12 columns. */
APART size_t narrow(size_t m, size_t n, size_t k, const struct layout *layout, const double *a,
                    const double *b, const double *c0, double *c, double *w)
{
    struct layout s = *layout;
    const int whole = n > VL;
    const size_t last = whole ? n - VL : n, step = block_length(k, NARROW_TERMS, 8);
    m -= m % MR;
    if (last > 4)
        return 0;
    for (size_t p = 0; p < k; p += step, c0 = c, s.c0_row = s.c_row) {
        const size_t terms = at_most(k - p, step);
        for (size_t i = 0; i < m; i += MR) {
            const double *ai = a + (ptrdiff_t)i * s.a_row + (ptrdiff_t)p * s.a_col;
            const double *bp = b + (ptrdiff_t)p * s.b_row,
                         *c0i = c0 ? c0 + (ptrdiff_t)i * s.c0_row : NULL;
            double *ci = c + (ptrdiff_t)i * s.c_row;
            double *wi = w && p + terms == k ? w + (ptrdiff_t)i * s.w_row : NULL;
#define TILE(whole)                                                                                \
    case whole:                                                                                    \
        if (last == 2)                                                                             \
            two_tile(whole, 0, last, terms, &s, ai, bp, c0i, ci, wi);                              \
        else if (last == 1)                                                                        \
            two_tile(whole, 1, last, terms, &s, ai, bp, c0i, ci, wi);                              \
        else if (last == 4)                                                                        \
            four_tile(whole, 0, last, terms, &s, ai, bp, c0i, ci, wi);                             \
        else                                                                                       \
            four_tile(whole, 1, last, terms, &s, ai, bp, c0i, ci, wi);                             \
        break
            switch (whole) {
                TILE(0);
                TILE(1);
            }
#undef TILE
        }
    }
    return m;
}
#else
static size_t narrow(size_t m, size_t n, size_t k, const struct layout *s, const double *a,
                     const double *b, const double *c0, double *c, double *w)
{
    (void)m, (void)n, (void)k, (void)s, (void)a, (void)b, (void)c0, (void)c, (void)w;
    return 0;
}
#endif

#endif
