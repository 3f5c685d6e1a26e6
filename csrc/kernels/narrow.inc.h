/* narrow.inc.h - tiles of one whole vector and a short one: products of 9 to 12 columns, such as those of the
 * ten digits.
 *
 * Where a vector of eight doubles takes as long as two of four, a second one with two or four columns is half
 * wasted: 10 columns take 1.5 instead of 2 cycles a term and row, 12 columns take 1.5 too. */
#ifndef MLP_NARROW_INC_H
#define MLP_NARROW_INC_H

#include "kernels/tile.inc.h"

#ifdef HAS_SHORT
/* A tile of MR rows and VL + last columns, as tile() and store_tile(): T is the type of the second vector, f its
 * words. With `edge` it has more lanes than columns. */
#define NARROW_TILE(T, f)                                                                          \
    INLINE void f##_tile(const int edge, size_t last, size_t k, const struct layout *s,            \
                         const double *a, const double *b, const double *c0, double *c, double *w) \
    {                                                                                              \
        v_f64 acc[MR];                                                                             \
        T rest[MR];                                                                                \
        UNROLL                                                                                     \
        for (size_t r = 0; r < MR; r++) {                                                          \
            const double *p = c0 ? c0 + (ptrdiff_t)r * s->c0_row : NULL;                           \
            acc[r] = p ? v_load(p) : v_set(0.0);                                                   \
            rest[r] = p ? f##_load(edge, p + VL, last) : f##_of(v_set(0.0));                       \
        }                                                                                          \
        for (size_t p = 0; p < k; p++, a += s->a_col, b += s->b_row) {                             \
            const v_f64 bv = v_load(b);                                                            \
            const T b_rest = f##_load(edge, b + VL, last);                                         \
            UNROLL                                                                                 \
            for (size_t r = 0; r < MR; r++) {                                                      \
                const v_f64 av = v_set(a[(ptrdiff_t)r * s->a_row]);                                \
                acc[r] = v_fma(av, bv, acc[r]);                                                    \
                rest[r] = f##_fma(f##_of(av), b_rest, rest[r]);                                    \
            }                                                                                      \
        }                                                                                          \
        const v_f64 step = v_set(-s->alpha);                                                       \
        if (w) {                                                                                   \
            UNROLL                                                                                 \
            for (size_t r = 0; r < MR; r++) {                                                      \
                double *p = w + (ptrdiff_t)r * s->w_row;                                           \
                v_store(p, v_fma(step, acc[r], v_load(p)));                                        \
                f##_store(edge, p + VL, last,                                                      \
                          f##_fma(f##_of(step), rest[r], f##_load(edge, p + VL, last)));           \
            }                                                                                      \
            if (!s->store)                                                                         \
                return;                                                                            \
        }                                                                                          \
        UNROLL                                                                                     \
        for (size_t r = 0; r < MR; r++) {                                                          \
            double *p = c + (ptrdiff_t)r * s->c_row;                                               \
            v_store(p, acc[r]);                                                                    \
            f##_store(edge, p + VL, last, rest[r]);                                                \
        }                                                                                          \
    }
NARROW_TILE(v_two, two)
NARROW_TILE(v_four, four)
#undef NARROW_TILE

/* Terms that a tile takes at a time: its rows of A and B are 48 KB at most. */
#define NARROW_TERMS ((size_t)256)

/* The first rows of C, as many as whole tiles take, for n columns and B as it lies; returns their number: 0 for
 * all but 9 to 12 columns. */
APART size_t narrow(size_t m, size_t n, size_t k, const struct layout *layout, const double *a,
                    const double *b, const double *c0, double *c, double *w)
{
    struct layout s = *layout;
    const size_t last = n - VL, step = block_length(k, NARROW_TERMS, 8);
    m -= m % MR;
    if (n <= VL || last > 4)
        return 0;
    for (size_t p = 0; p < k; p += step, c0 = c, s.c0_row = s.c_row) {
        const size_t terms = at_most(k - p, step);
        for (size_t i = 0; i < m; i += MR) {
            const double *ai = a + (ptrdiff_t)i * s.a_row + (ptrdiff_t)p * s.a_col,
                         *bp = b + (ptrdiff_t)p * s.b_row;
            const double *c0i = c0 ? c0 + (ptrdiff_t)i * s.c0_row : NULL;
            double *ci = c + (ptrdiff_t)i * s.c_row,
                   *wi = w && p + terms == k ? w + (ptrdiff_t)i * s.w_row : NULL;
            if (last == 2)
                two_tile(0, last, terms, &s, ai, bp, c0i, ci, wi);
            else if (last == 1)
                two_tile(1, last, terms, &s, ai, bp, c0i, ci, wi);
            else if (last == 4)
                four_tile(0, last, terms, &s, ai, bp, c0i, ci, wi);
            else
                four_tile(1, last, terms, &s, ai, bp, c0i, ci, wi);
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
