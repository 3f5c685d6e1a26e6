/* lists.inc.h - products whose A is given as lists of the terms that are not 0: rows of a CSR matrix, and of
 * its transpose.
 *
 * A tile is one row of C, up to WIDE vectors in registers; each term takes a row of B from where it lies. As
 * in sparse.inc.h the bits are those of the chain of all terms: a term 0 b changes nothing unless the sum is
 * -0 or b is not finite, and where one of these is found the terms between those of the list are computed,
 * too. A 0 in a list is +0, whatever its sign, as it is where it is left out. */
#ifndef MLP_LISTS_INC_H
#define MLP_LISTS_INC_H

#include "kernels/sparse.inc.h"

/* Terms ahead of the one at work whose rows of B are asked for. Nobody foresees where these are: 2,000 rows
 * with 100 terms of 20,000 x 100: 9.0 ms, and 11.3 without (AVX-512, Zen 4, one core). */
#define LISTS_AHEAD ((size_t)4)
#if defined(__GNUC__) || defined(__clang__)
#define LISTS_PREFETCH(p) __builtin_prefetch(p)
#else
#define LISTS_PREFETCH(p) (void)(p)
#endif

/* A row of A: its terms, of `k` columns. */
struct list {
    const double *values;
    const uint32_t *places;
    size_t count, k;
};

/* acc <- acc + a row of A times nv vectors of B, by the terms of the list. */
INLINE void list_terms(const size_t nv, const int edge, size_t last, const struct list *l,
                       const double *b, size_t b_row, v_f64 *acc)
{
    for (size_t t = 0; t < l->count; t++) {
        const double *bt = b + (size_t)l->places[t] * b_row;
        const v_f64 av = v_set(l->values[t] + 0.0); /* a -0 is +0 */
        if (t + LISTS_AHEAD < l->count) {
            const double *next = b + (size_t)l->places[t + LISTS_AHEAD] * b_row;
            UNROLL
            for (size_t v = 0; v < nv; v += 8 / VL)
                LISTS_PREFETCH(next + v * VL);
        }
        UNROLL
        for (size_t v = 0; v < nv; v++) {
            const v_f64 bv =
                edge && v + 1 == nv ? v_load_n(bt + v * VL, last) : v_load(bt + v * VL);
            acc[v] = v_fma(av, bv, acc[v]);
        }
    }
}

/* The same by all terms. */
APART void all_terms(size_t n, const struct list *l, const double *b, size_t b_row,
                     const double *c0, double *c)
{
    for (size_t j = 0; j < n; j += VL) {
        const size_t last = at_most(n - j, VL);
        v_f64 acc = c0 ? v_load_n(c0 + j, last) : v_set(0.0);
        for (size_t p = 0, t = 0; p < l->k; p++) {
            double a = 0.0;
            if (t < l->count && l->places[t] == p)
                a += l->values[t++];
            acc = v_fma(v_set(a), v_load_n(b + p * b_row + j, last), acc);
        }
        v_store_n(c + j, last, acc);
    }
}

/* nv vectors of a row of C. nv and edge are constants after inlining. */
INLINE void list_row(const size_t nv, const int edge, size_t last, const struct list *l,
                     const double *b, size_t b_row, const double *c0, double *c)
{
    const struct layout s = {0};
    v_f64 acc[WIDE];
    load_tile(1, nv, edge, last, &s, c0, acc);
    list_terms(nv, edge, last, l, b, b_row, acc);
    v_i64 minus_zero = v_set_bits(0);
    UNROLL
    for (size_t v = 0; v < nv; v++)
        minus_zero |= v_eq(acc[v], v_set(0.0)) & v_bits(acc[v]); /* the sign */
    if (v_any(minus_zero))
        all_terms((nv - 1) * VL + last, l, b, b_row, c0, c);
    else
        store_tile(1, nv, edge, last, &s, acc, c, NULL);
}

static void lists(size_t m, size_t n, size_t k, const int64_t *starts, const double *values,
                  const uint32_t *places, const double *b, size_t b_row, int finite,
                  const double *c0, size_t c0_row, double *c, size_t c_row)
{
    for (size_t i = 0; i < m; i++, c0 = c0 ? c0 + c0_row : NULL, c += c_row) {
        const struct list l = {values + starts[i], places + starts[i],
                               (size_t)(starts[i + 1] - starts[i]), k};
        if (!finite) {
            all_terms(n, &l, b, b_row, c0, c);
            continue;
        }
        for (size_t j = 0; j < n; j += SPARSE_WIDTH) {
            const size_t nr = at_most(n - j, SPARSE_WIDTH);
            const size_t nv = (nr - 1) / VL + 1, last = (nr - 1) % VL + 1;
#define ROW(nv, edge)                                                                              \
    list_row(nv, edge, last, &l, b + j, b_row, c0 ? c0 + j : NULL, c + j);                         \
    break
            switch (last == VL && nv == WIDE ? 0 : nv) {
            case 0:
                ROW(WIDE, 0);
            case 1:
                ROW(1, 1);
            case 2:
                ROW(2, 1);
            case 3:
                ROW(3, 1);
            case 4:
                ROW(4, 1);
            case 5:
                ROW(5, 1);
            case 6:
                ROW(6, 1);
            case 7:
                ROW(7, 1);
            case 8:
                ROW(8, 1);
            default:
                break;
            }
#undef ROW
        }
    }
}

#endif
