/* sparse.inc.h - products that leave out the terms whose a_ik is 0.
 *
 * Pixels, one-hot columns, counts of words and what relu lets through are 0 for the most part. A term
 * 0 b changes nothing unless the sum is -0 or b is not finite; where one of these is found all terms
 * are computed. (While b is finite a term that is left out can have turned -0 into +0 and nothing else;
 * a later term then either makes both the same or leaves -0, so that one look at the end of a block is
 * enough.) So the bits are those of the whole chain, and whether terms are left out may depend on
 * anything: here on a look at some numbers of A.
 *
 * For each block of the inner sum and of rows, the terms of A that are not 0 are listed row by row. A
 * tile is one row of C, WIDE vectors in registers; its terms each take a row of a packed panel of B. */
#ifndef MLP_SPARSE_INC_H
#define MLP_SPARSE_INC_H

#include "kernels/pack.inc.h"
#include "kernels/tile.inc.h"

#include <stdint.h>
#include <string.h>

/* A panel of B is 28 KB and fills the L1 cache: a term reads a row of it from anywhere. */
#define SPARSE_WIDTH ((size_t)WIDE * VL)
#define SPARSE_TERMS ((size_t)3584 / SPARSE_WIDTH)
/* The values that the lists of a block of rows have room for, 256 KB, and its rows at most. */
#define SPARSE_BLOCK ((size_t)32768)
#define SPARSE_ROWS_MAX ((size_t)1024)
/* Lists can pay from so many rows, columns (a whole panel) and terms on, and beyond so many multiply-adds:
 * 20 us of products, of which looking for zeros takes 1 %. */
#define SPARSE_ROWS 24
#define SPARSE_COLUMNS SPARSE_WIDTH
#define SPARSE_INNER 16
#define SPARSE_WORK ((size_t)1 << 19)
/* Lines of A that are looked at, and numbers of each at most. */
#define SPARSE_LINES 8
#define SPARSE_LOOKS 32

/* What is left of rows of A: counts[i] terms of row i from i times `most` on, each with its value and
 * with the place of its row of B in the panel. */
struct terms {
    size_t most;
    double *values;
    uint16_t *places, *counts;
};

static size_t sparse_rows(size_t m, size_t k)
{
    return at_most(m, at_most(SPARSE_BLOCK / k, SPARSE_ROWS_MAX));
}

static int may_be_sparse(size_t m, size_t n, size_t k)
{
    return m >= SPARSE_ROWS && n >= SPARSE_COLUMNS && k >= SPARSE_INNER && m > SPARSE_WORK / n / k;
}

/* Doubles of scratch: a panel of B, values, and places and counts, four to a double. */
static size_t sparse_size(size_t m, size_t k)
{
    const size_t kc = at_most(k, SPARSE_TERMS), most = at_most(m * kc, SPARSE_BLOCK);
    return SPARSE_WIDTH * kc + most + most / 4 + 1 + at_most(m, SPARSE_ROWS_MAX) / 4 + 1;
}

/* The bits of x without its sign: none for +0 and -0. */
INLINE uint64_t size_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits << 1;
}

/* Whether so few of the numbers of A that are looked at are not 0 that lists pay. With AVX2 on Zen 3 a
 * number takes up to 2.6 cycles to list and, for each tile of SPARSE_WIDTH columns, 0.6 and where it is
 * not 0 another 5.6; in a product of all terms it takes 4.7. That is a share of 0.73 - 0.46 SPARSE_WIDTH / n;
 * taken is 2/3 - SPARSE_WIDTH / 2n. */
APART int is_sparse(size_t m, size_t n, size_t k, const double *a, ptrdiff_t a_row, ptrdiff_t a_col)
{
    const size_t length = a_col == 1 ? k : m, lines = a_col == 1 ? m : k;
    const ptrdiff_t stride = a_col == 1 ? a_row : a_col;
    const size_t step = length / SPARSE_LOOKS + 1;
    size_t terms = 0, looks = 0;
    for (size_t i = 0; i < SPARSE_LINES; i++) {
        const double *line = a + (ptrdiff_t)((lines - 1) * i / (SPARSE_LINES - 1)) * stride;
        for (size_t j = i * step / SPARSE_LINES; j < length; j += step, looks++)
            terms += size_bits(line[j]) != 0;
    }
    return (double)terms * 6.0 * (double)n <=
           (double)looks * (4.0 * (double)n - 3.0 * (double)SPARSE_WIDTH);
}

/* Appends a term to a list of `count`, which is longer by one if its value is not 0. */
INLINE size_t append(double value, size_t place, size_t count, double *values, uint16_t *places)
{
    values[count] = value;
    places[count] = (uint16_t)place;
    return count + (size_bits(value) != 0);
}

/* Appends the terms of a vector, the first one's place being `place`. */
INLINE size_t append_vector(v_f64 x, size_t place, size_t count, double *values, uint16_t *places)
{
#if defined(HAS_NONZERO)
    return count + v_nonzero(x, place, SPARSE_WIDTH, values + count, places + count);
#else
    for (size_t i = 0; i < VL; i++)
        count = append(v_lane(x, i), place + i * SPARSE_WIDTH, count, values, places);
    return count;
#endif
}

/* Whether vectors that are `stride` apart are 0 altogether. */
INLINE int all_zero(const size_t vectors, const double *a, ptrdiff_t stride)
{
    v_i64 zero = v_eq(v_load(a), v_set(0.0));
    UNROLL
    for (size_t i = 1; i < vectors; i++)
        zero &= v_eq(v_load(a + (ptrdiff_t)i * stride), v_set(0.0));
    return !v_any(~zero);
}

/* The terms of rows that are contiguous. */
APART void list_rows(size_t m, size_t k, const double *a, ptrdiff_t a_row, const struct terms *t)
{
    for (size_t i = 0; i < m; i++, a += a_row) {
        double *values = t->values + i * t->most;
        uint16_t *places = t->places + i * t->most;
        size_t count = 0, p = 0;
        for (; p + 4 * VL <= k; p += 4 * VL) {
            if (all_zero(4, a + p, VL))
                continue;
            for (size_t q = p; q < p + 4 * VL; q += VL)
                count = append_vector(v_load(a + q), q * SPARSE_WIDTH, count, values, places);
        }
        for (; p + VL <= k; p += VL)
            count = append_vector(v_load(a + p), p * SPARSE_WIDTH, count, values, places);
        for (; p < k; p++)
            count = append(a[p], p * SPARSE_WIDTH, count, values, places);
        t->counts[i] = (uint16_t)count;
    }
}

/* The terms of rows whose columns are contiguous: of 32 rows at a time, whose lists stay in the L1
 * cache. */
APART void list_columns(size_t m, size_t k, const double *a, ptrdiff_t a_col, const struct terms *t)
{
    memset(t->counts, 0, m * sizeof *t->counts);
    for (size_t begin = 0; begin < m; begin += 32) {
        const size_t end = at_most(m, begin + 32), whole = begin + (end - begin) / VL * VL;
        for (size_t p = 0; p < k; p += VL) {
            const size_t columns = at_most(k - p, VL);
            const double *ap = a + (ptrdiff_t)p * a_col;
            size_t i = columns == VL ? begin : whole;
            for (; i < whole; i += VL) {
                if (all_zero(VL, ap + i, a_col))
                    continue;
                v_f64 x[VL];
                UNROLL
                for (size_t q = 0; q < VL; q++)
                    x[q] = v_load(ap + (ptrdiff_t)q * a_col + i);
                v_transpose(x);
                UNROLL
                for (size_t r = 0; r < VL; r++) {
                    const size_t at = (i + r) * t->most;
                    t->counts[i + r] = (uint16_t)append_vector(
                        x[r], p * SPARSE_WIDTH, t->counts[i + r], t->values + at, t->places + at);
                }
            }
            for (i = columns == VL ? whole : begin; i < end; i++) {
                for (size_t q = 0; q < columns; q++)
                    t->counts[i] = (uint16_t)append(
                        (ap + (ptrdiff_t)q * a_col)[i], (p + q) * SPARSE_WIDTH, t->counts[i],
                        t->values + i * t->most, t->places + i * t->most);
            }
        }
    }
}

/* Whether all of a panel's k rows of nv vectors are finite. */
INLINE int panel_finite(const size_t nv, size_t k, const double *panel)
{
    v_f64 sum[WIDE];
    UNROLL
    for (size_t v = 0; v < nv; v++)
        sum[v] = v_set(0.0);
    for (size_t p = 0; p < k; p++) {
        UNROLL
        for (size_t v = 0; v < nv; v++) {
            const v_f64 x = v_load(panel + p * SPARSE_WIDTH + v * VL);
            sum[v] += x - x; /* 0, or NaN */
        }
    }
    v_i64 finite = v_eq(sum[0], v_set(0.0));
    UNROLL
    for (size_t v = 1; v < nv; v++)
        finite &= v_eq(sum[v], v_set(0.0));
    return !v_any(~finite);
}

/* Rows of C, nv vectors wide, from `terms`, or from all terms of A where these do not have the same
 * bits. */
INLINE void sparse_rows_of(const size_t nv, const int edge, size_t last, size_t m, size_t k,
                           const struct layout *s, const double *a, const struct terms *terms,
                           const double *panel, const double *c0, double *c, double *w)
{
    const int finite = panel_finite(nv, k, panel);
    for (size_t i = 0; i < m; i++) {
        const double *values = terms->values + i * terms->most;
        const uint16_t *places = terms->places + i * terms->most;
        const size_t count = terms->counts[i];
        v_f64 acc[WIDE];
        load_tile(1, nv, edge, last, s, c0, acc);
        for (size_t t = 0; t < count; t++) {
            const double *b = panel + places[t];
            const v_f64 av = v_set(values[t]);
            UNROLL
            for (size_t v = 0; v < nv; v++)
                acc[v] = v_fma(av, v_load(b + v * VL), acc[v]);
        }
        v_i64 minus_zero = v_set_bits(0);
        UNROLL
        for (size_t v = 0; v < nv; v++)
            minus_zero |= v_eq(acc[v], v_set(0.0)) & v_bits(acc[v]); /* the sign */
        if (finite && !v_any(minus_zero))
            store_tile(1, nv, edge, last, s, acc, c, w);
        else
            short_row((nv - 1) * VL + last, k, s, a, panel, c0, c, w);
        a += s->a_row;
        c0 = c0 ? c0 + s->c0_row : NULL;
        c += s->c_row;
        w = w ? w + s->w_row : NULL;
    }
}

/* The same for any number of columns up to SPARSE_WIDTH. */
APART void sparse_strip(size_t m, size_t n, size_t k, const struct layout *s, const double *a,
                        const struct terms *terms, const double *panel, const double *c0, double *c,
                        double *w)
{
    const size_t nv = (n - 1) / VL + 1, last = (n - 1) % VL + 1;
#define ROWS(nv, edge)                                                                             \
    sparse_rows_of(nv, edge, last, m, k, s, a, terms, panel, c0, c, w);                            \
    break
    switch (last == VL && nv == WIDE ? 0 : nv) {
    case 0:
        ROWS(WIDE, 0);
    case 1:
        ROWS(1, 1);
    case 2:
        ROWS(2, 1);
    case 3:
        ROWS(3, 1);
    case 4:
        ROWS(4, 1);
    case 5:
        ROWS(5, 1);
    case 6:
        ROWS(6, 1);
    case 7:
        ROWS(7, 1);
    case 8:
        ROWS(8, 1);
    default:
        break;
    }
#undef ROWS
}

/* The product with lists of the terms of A. */
APART void sparse(size_t m, size_t n, size_t k, const struct layout *layout, const double *a,
                  const double *b, ptrdiff_t b_col, const double *c0, double *c, double *w,
                  double *panel)
{
    struct layout s = *layout;
    const ptrdiff_t b_row = s.b_row;
    const size_t k_step = block_length(k, SPARSE_TERMS, 8);
    const size_t m_step = block_length(m, sparse_rows(m, k_step), 1);
    struct terms terms = {.most = k_step, .values = panel + SPARSE_WIDTH * k_step};
    terms.places = (uint16_t *)(void *)(terms.values + m_step * k_step);
    terms.counts = terms.places + multiple(m_step * k_step, 4);
    s.b_row = (ptrdiff_t)SPARSE_WIDTH;
    for (size_t p = 0; p < k; p += k_step) {
        const size_t kc = at_most(k - p, k_step);
        const int complete = p + kc == k;
        for (size_t i = 0; i < m; i += m_step) {
            const size_t mc = at_most(m - i, m_step);
            const double *ai = a + (ptrdiff_t)i * s.a_row + (ptrdiff_t)p * s.a_col;
            if (s.a_col == 1)
                list_rows(mc, kc, ai, s.a_row, &terms);
            else
                list_columns(mc, kc, ai, s.a_col, &terms);
            for (size_t j = 0; j < n; j += SPARSE_WIDTH) {
                const size_t nr = at_most(n - j, SPARSE_WIDTH);
                /* What is right of the last column is left of the panel before: numbers that do not
                 * matter. */
                pack_panel(kc, SPARSE_WIDTH, nr, b + (ptrdiff_t)p * b_row + (ptrdiff_t)j * b_col,
                           b_row, b_col, panel);
                sparse_strip(mc, nr, kc, &s, ai, &terms, panel,
                             c0 ? c0 + (ptrdiff_t)i * s.c0_row + j : NULL,
                             c + (ptrdiff_t)i * s.c_row + j,
                             w && complete ? w + (ptrdiff_t)i * s.w_row + j : NULL);
            }
        }
        c0 = c;
        s.c0_row = s.c_row;
    }
}

#endif
