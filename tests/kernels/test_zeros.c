/* Products of matrices with zeros, whose terms are left out: the same bits as if they were not, also where
 * that matters: sums that are -0, and numbers that are not finite. */
#include "products.h"

/* Terms that are left out where A has zeros: around 24 rows, 16 terms, 524288 multiply-adds and the width
 * of a tile, which is 8, 16, 32 or 64 columns; blocks of 56, 112, 224 or 448 terms, and of rows whose
 * lists have 32768 places, 1024 at most. */
static void test_product_zeros(const struct mlp_kernels *k)
{
    static const size_t shapes[][3] = {
        {24, 128, 171},  {23, 128, 190}, {24, 128, 170}, {600, 64, 15},   {520, 64, 16},
        {520, 64, 17},   {400, 31, 100}, {170, 33, 100}, {300, 32, 57},   {200, 48, 56},
        {147, 63, 57},   {80, 64, 111},  {75, 65, 112},  {40, 128, 113},  {29, 127, 224},
        {37, 129, 225},  {50, 130, 447}, {26, 96, 449},  {291, 64, 112},  {293, 64, 113},
        {586, 96, 56},   {1025, 32, 20}, {1030, 64, 32}, {147, 200, 230}, {75, 140, 900},
        {392, 128, 200}, {96, 128, 784}, {2060, 33, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t *s = shapes[i];
        for (int layout = 0; layout < 2; layout++) {
            const struct zeros zeros = {random_size(8), random_bits() % 3 == 0,
                                        random_bits() % 4 == 0};
            check_product(k, s[0], s[1], s[2], layout, (int)(random_bits() % 2),
                          (enum start)((i + (size_t)layout) % 3), random_bits() % 3,
                          (enum update)(random_bits() % 3), zeros);
        }
    }
    for (int trial = 0; trial < 60; trial++) {
        const struct zeros zeros = {1 + random_size(7), random_bits() % 2 == 0,
                                    random_bits() % 4 == 0};
        const size_t m = 40 + random_size(100), n = 24 + random_size(120);
        check_product(k, m, n, 524288 / (m * n) + random_size(60), (int)(random_bits() % 2),
                      (int)(random_bits() % 2), (enum start)(random_bits() % 3), random_bits() % 3,
                      (enum update)(random_bits() % 3), zeros);
    }
}

/* An element is one term of a sum, left out or not. */
static void time_zeros(const struct mlp_kernels *k)
{
    static const char *const labels[] = {"392 x 128 x 200, none", "392 x 128 x 200, half",
                                         "392 x 128 x 200, 7 of 8"};
    static const size_t eighths[] = {0, 4, 7};
    const size_t m = 392, n = 128, inner = 200;
    for (size_t i = 0; i < 3; i++) {
        struct array a = room(m * inner), b = room(inner * n), c = room(m * n);
        struct array panel = room(k->panel_size(m, n, inner, inner) + 1);
        put_zeros((struct zeros){eighths[i], 0, 0}, a, m * inner, b, inner * n, c, m * n);
        TIME(labels[i], m * n * inner,
             k->product(m, n, inner, a.p, (ptrdiff_t)inner, 1, b.p, (ptrdiff_t)n, 1, NULL, 0, c.p,
                        (ptrdiff_t)n, NULL, panel.p));
        release(a.base, a.size);
        release(b.base, b.size);
        release(c.base, c.size);
        release(panel.base, panel.size);
    }
}

/* The same of lists, with stored zeros among the terms, against the chain of all terms. */
static void check_lists(const struct mlp_kernels *k, size_t m, size_t n, size_t inner,
                        enum start start, size_t apart, struct zeros zeros)
{
    const size_t row = n + apart, size = row * (m - 1) + n;
    struct array a = array(m * inner), b = array(row * (inner - 1) + n), c = array(size);
    struct array c0 = array(n), values = array(m * inner);
    double *expected = malloc(size * sizeof *expected);
    int64_t *starts = malloc((m + 1) * sizeof *starts);
    uint32_t *places = malloc(m * inner * sizeof *places);
    put_zeros(zeros, a, m * inner, b, row * (inner - 1) + n, start == ROW ? c0 : c,
              start == ROW ? n : size);
    starts[0] = 0;
    for (size_t i = 0, t = 0; i < m; i++) {
        for (size_t p = 0; p < inner; p++) {
            const double x = a.p[i * inner + p] += 0.0; /* -0 is +0 */
            if (x != 0.0 || random_bits() % 8 == 0) {
                values.p[t] = x == 0.0 && random_bits() % 2 ? -0.0 : x;
                places[t++] = (uint32_t)p;
            }
        }
        starts[i + 1] = (int64_t)t;
    }
    memcpy(expected, c.p, size * sizeof *expected);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double *e = &expected[i * row + j];
            double s = start == NOTHING ? 0.0 : start == ROW ? c0.p[j] : *e;
            for (size_t p = 0; p < inner; p++)
                s = multiply_add(k, a.p[i * inner + p], b.p[p * row + j], s);
            *e = s;
        }
    }
    const double *from = start == NOTHING ? NULL : start == ROW ? c0.p : c.p;
    const int finite = k->all_finite(row * (inner - 1) + n, b.p) && random_bits() % 4;
    k->lists(m, n, inner, starts, values.p, places, b.p, row, finite, from, start == ROW ? 0 : row,
             c.p, row);
    CHECK(same_numbers(size, c.p, expected));
    free(expected);
    free(starts);
    free(places);
    release(a.base, a.size);
    release(b.base, b.size);
    release(c.base, c.size);
    release(c0.base, c0.size);
    release(values.base, values.size);
}

static void test_lists(const struct mlp_kernels *k)
{
    static const size_t widths[] = {1, 2, 3, 7, 8, 9, 15, 16, 31, 33, 63, 64, 65, 100, 128, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (int trial = 0; trial < 12; trial++) {
            const struct zeros zeros = {random_size(9) - 1, random_bits() % 3 == 0,
                                        random_bits() % 4 == 0};
            check_lists(k, random_size(20), widths[i], random_size(60), (enum start)(trial % 3),
                        random_bits() % 3, zeros);
        }
    }
}

/* An element is one term of a list. */
static void time_lists(const struct mlp_kernels *k)
{
    const size_t m = 200, n = 100, inner = 5000, count = 50;
    struct array b = room(inner * n), c = room(m * n), values = room(m * count);
    int64_t *starts = malloc((m + 1) * sizeof *starts);
    uint32_t *places = malloc(m * count * sizeof *places);
    for (size_t i = 0; i <= m; i++)
        starts[i] = (int64_t)(i * count);
    for (size_t t = 0; t < m * count; t++)
        places[t] = (uint32_t)(t % count * (inner / count) + random_size(inner / count) - 1);
    TIME("200 x 100 x 5000, 1 %", m * n * count,
         k->lists(m, n, inner, starts, values.p, places, b.p, n, 1, NULL, 0, c.p, n));
    free(starts);
    free(places);
    release(b.base, b.size);
    release(c.base, c.size);
    release(values.base, values.size);
}

static const struct row ROWS[] = {
    {"lists", time_lists, {test_lists}},
    {"product", time_zeros, {test_product_zeros}},
};

int main(int argc, char **argv)
{
    return run_rows("test_zeros", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
