/* products.h - the check of one product against the scalar chain, for any layout, start and update. */
#ifndef PRODUCTS_H
#define PRODUCTS_H

#include "harness.h"

/* What a product is asked for: C0 is nothing, one row for all or C itself; every row is `apart`
 * longer than it need be; w takes a step along C, with C stored or not. */
enum start { NOTHING, ROW, SELF };
enum update { PLAIN, STORED, DISCARDED };

/* Whether the numbers are the same, bit for bit unless they are NaN. */
static inline int same_numbers(size_t n, const double *a, const double *b)
{
    for (size_t i = 0; i < n; i++) {
        if (!same_bits(1, a + i, b + i) && !(a[i] != a[i] && b[i] != b[i]))
            return 0;
    }
    return 1;
}

/* What A has: no zeros, some in so many of 8 places, and besides them what makes a term 0 b matter: sums
 * that are -0, in C0 or by underflow, and numbers that are not finite. */
struct zeros {
    size_t eighths;
    int minus, infinite;
};

static inline void put_zeros(struct zeros zeros, struct array a, size_t a_size, struct array b,
                             size_t b_size, struct array c, size_t c_size)
{
    for (size_t i = 0; i < a_size; i++) {
        if (random_bits() % 8 < zeros.eighths)
            a.p[i] = random_bits() % 3 ? 0.0 : -0.0;
        else if (zeros.minus)
            a.p[i] *= 0x1p-1000;
    }
    for (size_t i = 0; i < b_size && zeros.minus; i++)
        b.p[i] *= random_bits() % 4 ? 0x1p-1000 : 0x1p-60;
    for (size_t i = 0; i < c_size && zeros.minus; i++)
        c.p[i] = random_bits() % 2 ? -0.0 : 0.0;
    for (size_t i = 0; i < 4 && zeros.infinite; i++) {
        const double values[] = {HUGE_VAL, -HUGE_VAL, NAN, HUGE_VAL};
        b.p[random_size(b_size) - 1] = values[i];
        if (random_bits() % 2)
            a.p[random_size(a_size) - 1] = values[3 - i];
    }
}

/* w, m and v (rows, n), `row` apart, take the step of e along g, by the kernels' steps of whole arrays. */
static inline void take_step(const struct mlp_kernels *k, const struct mlp_epilogue *e, size_t rows,
                             size_t n, const double *g, double *m, double *v, double *w)
{
    const size_t row = (size_t)e->w_row;
    for (size_t i = 0; i < rows * row; i += row) {
        if (e->adam != NULL)
            k->adam(n, e->adam, g + i, m + i, v + i, w + i);
        else if (e->v != NULL)
            k->descend_momentum(n, e->alpha, e->mu, e->nesterov, g + i, v + i, w + i);
        else
            k->descend(n, e->alpha, g + i, w + i);
    }
}

static inline double *copy(size_t n, const double *x)
{
    return memcpy(malloc(n * sizeof *x), x, n * sizeof *x);
}

/* One product against the scalar chain, with guard pages behind all arrays. */
static inline void check_product(const struct mlp_kernels *k, size_t m, size_t n, size_t inner,
                                 int a_transposed, int b_transposed, enum start start, size_t apart,
                                 enum update update, struct zeros zeros)
{
    const size_t a_long = (a_transposed ? m : inner) + apart;
    const size_t b_long = (b_transposed ? inner : n) + apart, c_row = n + apart;
    const size_t stride = a_long > b_long ? a_long : b_long;
    /* No array is longer than its last row needs. */
    const size_t a_size = a_long * ((a_transposed ? inner : m) - 1) + a_long - apart;
    const size_t b_size = b_long * ((b_transposed ? n : inner) - 1) + b_long - apart;
    struct array a = array(a_size), b = array(b_size);
    struct array c = array(c_row * (m - 1) + n), w = array(c_row * (m - 1) + n), c0 = array(n);
    struct array panel = array(k->panel_size(m, n, inner, stride) + 1);
    const size_t size = c_row * (m - 1) + n;
    struct array m1 = array(size), v = array(size);
    const size_t a_row = a_transposed ? 1 : a_long, a_col = a_transposed ? a_long : 1;
    const size_t b_row = b_transposed ? 1 : b_long, b_col = b_transposed ? b_long : 1;
    put_zeros(zeros, a, a_size, b, b_size, start == ROW ? c0 : c, start == ROW ? n : size);
    for (size_t i = 0; i < size; i++) /* Adam's is a mean of squares */
        v.p[i] = fabs(v.p[i]);
    /* What lies between the rows stays. */
    double *expected = copy(size, c.p), *updated = copy(size, w.p);
    double *new_m = copy(size, m1.p), *new_v = copy(size, v.p);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double *e = &expected[i * c_row + j];
            double s = start == NOTHING ? 0.0 : start == ROW ? c0.p[j] : *e;
            for (size_t p = 0; p < inner; p++)
                s = multiply_add(k, a.p[i * a_row + p * a_col], b.p[p * b_row + j * b_col], s);
            *e = s;
        }
    }
    const double *from = start == NOTHING ? NULL : start == ROW ? c0.p : c.p;
    const struct mlp_adam_step adam = {0.875, 0.75, 1e-3, 0.5, 1.25, 0.99, 0.3};
    struct mlp_epilogue e = {
        .w = w.p, .w_row = (ptrdiff_t)c_row, .alpha = 0.375, .store = update == STORED};
    const int kind = (int)(random_bits() % 4);
    if (kind > 0) {
        e.mu = 0.75;
        e.nesterov = kind == 2;
        e.v = v.p;
    }
    if (kind == 3) {
        e.m = m1.p;
        e.adam = &adam;
    }
    if (update != PLAIN)
        take_step(k, &e, m, n, expected, new_m, new_v, updated);
    panel.p++; /* ends where its memory ends */
    k->product(m, n, inner, a.p, (ptrdiff_t)a_row, (ptrdiff_t)a_col, b.p, (ptrdiff_t)b_row,
               (ptrdiff_t)b_col, from, start == ROW ? 0 : (ptrdiff_t)c_row, c.p, (ptrdiff_t)c_row,
               update == PLAIN ? NULL : &e, panel.p);
    CHECK(update == DISCARDED || same_numbers(size, c.p, expected));
    CHECK(same_numbers(size, w.p, updated));
    CHECK(same_numbers(size, m1.p, new_m));
    CHECK(same_numbers(size, v.p, new_v));
    free(expected);
    free(updated);
    free(new_m);
    free(new_v);
    release(m1.base, m1.size);
    release(v.base, v.size);
    release(a.base, a.size);
    release(b.base, b.size);
    release(c.base, c.size);
    release(c0.base, c0.size);
    release(w.base, w.size);
    release(panel.base, panel.size);
}

#endif
