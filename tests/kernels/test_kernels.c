/* Every kernel of every variant against a plain scalar loop: bit for bit where the order of the sums
 * is promised, with guard pages behind all arrays, over random shapes around the tiles' edges. */
#include "check.h"

#include "kernels/kernels.h"

/* One step of a sum as the variant does it. */
static double multiply_add(const struct mlp_kernels *k, double a, double b, double c)
{
    return strcmp(k->name, "base") == 0 ? a * b + c : fma(a, b, c);
}

struct array {
    double *p;
    void *base;
    size_t size;
};

static struct array array(size_t n)
{
    struct array a;
    a.p = guarded(n, &a.base, &a.size);
    fill(n, a.p);
    return a;
}

/* What a product is asked for: C0 is nothing, one row for all or C itself; every row is `apart`
 * longer than it need be; w <- w - alpha C, with C stored or not. */
enum start { NOTHING, ROW, SELF };
enum update { PLAIN, STORED, DISCARDED };

/* Whether the numbers are the same, bit for bit unless they are NaN. */
static int same_numbers(size_t n, const double *a, const double *b)
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

static void put_zeros(struct zeros zeros, struct array a, size_t a_size, struct array b,
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

/* One product against the scalar chain, with guard pages behind all arrays. */
static void check_product(const struct mlp_kernels *k, size_t m, size_t n, size_t inner,
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
    double *expected = malloc(size * sizeof *expected), *updated = malloc(size * sizeof *updated);
    const size_t a_row = a_transposed ? 1 : a_long, a_col = a_transposed ? a_long : 1;
    const size_t b_row = b_transposed ? 1 : b_long, b_col = b_transposed ? b_long : 1;
    put_zeros(zeros, a, a_size, b, b_size, start == ROW ? c0 : c, start == ROW ? n : size);
    memcpy(expected, c.p, size * sizeof *expected); /* what lies between the rows stays */
    memcpy(updated, w.p, size * sizeof *updated);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double *e = &expected[i * c_row + j], *u = &updated[i * c_row + j];
            double s = start == NOTHING ? 0.0 : start == ROW ? c0.p[j] : *e;
            for (size_t p = 0; p < inner; p++)
                s = multiply_add(k, a.p[i * a_row + p * a_col], b.p[p * b_row + j * b_col], s);
            *e = s;
            *u = multiply_add(k, -0.375, s, *u);
        }
    }
    const double *from = start == NOTHING ? NULL : start == ROW ? c0.p : c.p;
    const struct mlp_epilogue e = {w.p, (ptrdiff_t)c_row, 0.375, update == STORED};
    panel.p++; /* ends where its memory ends */
    k->product(m, n, inner, a.p, (ptrdiff_t)a_row, (ptrdiff_t)a_col, b.p, (ptrdiff_t)b_row,
               (ptrdiff_t)b_col, from, start == ROW ? 0 : (ptrdiff_t)c_row, c.p, (ptrdiff_t)c_row,
               update == PLAIN ? NULL : &e, panel.p);
    CHECK(update == DISCARDED || same_numbers(size, c.p, expected));
    CHECK(update == PLAIN || same_numbers(size, w.p, updated));
    free(expected);
    free(updated);
    release(a.base, a.size);
    release(b.base, b.size);
    release(c.base, c.size);
    release(c0.base, c0.size);
    release(w.base, w.size);
    release(panel.base, panel.size);
}

static void test_product(const struct mlp_kernels *k)
{
    static const size_t sizes[] = {1,  2,  3,  4,  5,  6,  7,   8,   9,   11, 12,
                                   13, 15, 16, 17, 23, 24, 25,  31,  32,  33, 47,
                                   48, 49, 63, 64, 65, 97, 130, 256, 257, 300};
    const size_t n_sizes = sizeof sizes / sizeof *sizes;
    for (int trial = 0; trial < 1500; trial++) {
        const size_t limit = trial % 3 ? 20 : n_sizes;
        const size_t m = sizes[random_bits() % limit], n = sizes[random_bits() % limit];
        const size_t inner = sizes[random_bits() % n_sizes];
        check_product(k, m, n, inner, (int)(random_bits() % 2), (int)(random_bits() % 2),
                      (enum start)(random_bits() % 3), random_bits() % 2 ? 0 : random_bits() % 9,
                      (enum update)(random_bits() % 3), (struct zeros){0});
    }
}

/* Around the limits of every block: 128, 256 or 512 terms; columns and strides of 512; 64 columns;
 * four tiles of rows; blocks of A of 65536 elements, which are 512, 256 or 128 rows and more where
 * the terms are fewer; what decides whether A is packed that is read across its rows: 64 terms, 32768
 * elements from the first to the last, 32, 64 or 192 columns. */
static void test_product_blocks(const struct mlp_kernels *k)
{
    static const size_t shapes[][3] = {
        {1, 70, 383},    {1, 70, 513},   {2, 33, 127},   {15, 17, 129},   {16, 64, 769},
        {17, 63, 512},   {23, 65, 511},  {24, 64, 513},  {25, 511, 128},  {31, 512, 129},
        {32, 513, 64},   {33, 528, 256}, {63, 1, 513},   {65, 2, 1025},   {127, 17, 512},
        {128, 64, 512},  {129, 66, 513}, {255, 17, 256}, {256, 64, 256},  {257, 65, 257},
        {258, 64, 385},  {373, 64, 300}, {512, 64, 128}, {513, 65, 129},  {700, 70, 100},
        {511, 64, 9},    {1, 600, 20},   {31, 70, 257},  {512, 65, 63},   {512, 193, 64},
        {256, 31, 128},  {256, 32, 128}, {256, 63, 128}, {256, 64, 127},  {256, 191, 128},
        {258, 192, 128}, {15, 192, 300}, {33, 200, 300}, {131, 192, 256},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t *s = shapes[i];
        for (int layout = 0; layout < 4; layout++) {
            const size_t apart = random_bits() % 3 == 0 ? 512 : random_bits() % 3;
            check_product(k, s[0], s[1], s[2], layout % 2, layout / 2,
                          (enum start)((i + (size_t)layout) % 3), apart,
                          (enum update)(random_bits() % 3), (struct zeros){0});
        }
    }
}

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

/* Rows of a Gram matrix against the scalar chain; what is right of them stays. */
static void check_gram(const struct mlp_kernels *k, size_t m, size_t n, size_t inner, size_t apart,
                       int first)
{
    const size_t x_row = n + apart, c_row = n + apart, size = c_row * (m - 1) + n;
    struct array x = array(x_row * (inner - 1) + n), c = array(size);
    struct array panel = array(k->panel_size(m, n, inner, 512) + 1);
    double *before = malloc(size * sizeof *before);
    memcpy(before, c.p, size * sizeof *before);
    k->gram(m, n, inner, x.p, (ptrdiff_t)x_row, first ? NULL : c.p, c.p, (ptrdiff_t)c_row,
            panel.p + 1);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = i; j < n; j++) {
            double s = first ? 0.0 : before[i * c_row + j];
            for (size_t p = 0; p < inner; p++)
                s = multiply_add(k, x.p[p * x_row + i], x.p[p * x_row + j], s);
            CHECK(same_bits(1, &s, &c.p[i * c_row + j]));
        }
        CHECK(i + 1 == m || same_bits(apart, &before[i * c_row + n], &c.p[i * c_row + n]));
    }
    free(before);
    release(x.base, x.size);
    release(c.base, c.size);
    release(panel.base, panel.size);
}

/* Few rows and many, more than a block of A and of the inner sum; panels of A from 48, 96 or 192
 * columns on. */
static void test_gram(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 200; trial++) {
        const size_t n = random_size(trial % 4 ? 70 : 300), inner = random_size(60);
        check_gram(k, trial % 9 ? random_size(n) : 1, n, inner, random_size(9) - 1, trial % 3 == 0);
    }
    check_gram(k, 50, 200, 300, 320, 0);
    check_gram(k, 262, 267, 256, 0, 1);
}

static double plain(enum mlp_activation g, double z)
{
    switch (g) {
    case MLP_SIGMOID:
        return 1.0 / (1.0 + exp(-z));
    case MLP_TANH:
        return tanh(z);
    case MLP_RELU:
        return z > 0.0 ? z : 0.0;
    case MLP_STEP:
        return z > 0.0;
    case MLP_LEAKY_RELU:
        return z < 0.0 ? 0.01 * z : z;
    case MLP_ELU:
        return z < 0.0 ? expm1(z) : z;
    case MLP_SOFTPLUS:
        return (z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z)));
    case MLP_SILU:
        return z / (1.0 + exp(-z));
    case MLP_GELU:
        return 0.5 * z * erfc(-z / sqrt(2.0));
    case MLP_EXPONENTIAL:
        return exp(z);
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    default:
        return z;
    }
}

static double plain_derivative(enum mlp_activation g, double a)
{
    switch (g) {
    case MLP_SIGMOID:
        return a * (1.0 - a);
    case MLP_TANH:
        return (1.0 - a) * (1.0 + a);
    case MLP_RELU:
        return a > 0.0;
    case MLP_LEAKY_RELU:
        return a > 0.0 ? 1.0 : 0.01;
    case MLP_ELU:
        return a > 0.0 ? 1.0 : a + 1.0;
    case MLP_SOFTPLUS:
        return -expm1(-a);
    case MLP_EXPONENTIAL:
    case MLP_SILU: /* of these two a is g' itself */
    case MLP_GELU:
        return a;
    case MLP_IDENTITY:
    case MLP_SOFTMAX:
    case MLP_STEP:
    default:
        return 1.0;
    }
}

static void test_activations(const struct mlp_kernels *k)
{
    static const enum mlp_activation all[] = {
        MLP_IDENTITY, MLP_SIGMOID,  MLP_TANH, MLP_RELU, MLP_STEP,       MLP_LEAKY_RELU,
        MLP_ELU,      MLP_SOFTPLUS, MLP_SILU, MLP_GELU, MLP_EXPONENTIAL};
    for (size_t g = 0; g < sizeof all / sizeof *all; g++) {
        for (size_t n = 1; n <= 37; n++) {
            struct array z = array(n), delta = array(n);
            double before[37], old[37];
            for (size_t i = 0; i < n; i++)
                z.p[i] *= 8.0;
            memcpy(before, z.p, n * sizeof *before);
            memcpy(old, delta.p, n * sizeof *old);
            k->activate(all[g], 1, n, z.p);
            for (size_t i = 0; i < n; i++) {
                const double expected = plain(all[g], before[i]);
                /* erfc magnifies the rounding of its argument, and libm has errors of its own. */
                const double square = before[i] * before[i];
                const double limit = all[g] <= MLP_STEP ? 0x1p-51 : 0x1p-50 * (1.0 + square);
                CHECK(fabs(z.p[i] - expected) <= limit * fabs(expected));
            }
            k->multiply_derivative(all[g], n, z.p, delta.p);
            for (size_t i = 0; i < n && all[g] != MLP_STEP; i++) {
                const double expected = old[i] * plain_derivative(all[g], z.p[i]);
                CHECK(fabs(delta.p[i] - expected) <= 6e-16 * fabs(expected));
            }
            if (all[g] != MLP_STEP) {
                struct array kept = array(n), d = array(n);
                memcpy(kept.p, before, n * sizeof *before);
                k->activate_keep(all[g], n, kept.p, d.p);
                CHECK(same_bits(n, kept.p, z.p));
                for (size_t i = 0; i < n && !mlp_keeps_derivative(all[g]); i++) {
                    const double slope = plain_derivative(all[g], z.p[i]);
                    CHECK(fabs(d.p[i] - slope) <= 6e-16 * slope);
                }
                for (size_t i = 0; i < n && mlp_keeps_derivative(all[g]); i++) {
                    const double h = 0x1p-17, x = before[i];
                    const double slope = (plain(all[g], x + h) - plain(all[g], x - h)) / (2.0 * h);
                    CHECK(fabs(d.p[i] - slope) <= 1e-9);
                }
                release(kept.base, kept.size);
                release(d.base, d.size);
            }
            /* An element's bits do not depend on its place. */
            double one = before[n - 1];
            k->activate(all[g], 1, 1, &one);
            CHECK(same_bits(1, &one, &z.p[n - 1]));
            release(z.base, z.size);
            release(delta.base, delta.size);
        }
    }
    double z[3] = {(double)NAN, INFINITY, -INFINITY};
    k->activate(MLP_RELU, 1, 3, z);
    CHECK(isnan(z[0]) && z[1] == INFINITY && z[2] == 0.0);
    double s[3] = {(double)NAN, INFINITY, -INFINITY};
    k->activate(MLP_STEP, 1, 3, s);
    CHECK(isnan(s[0]) && s[1] == 1.0 && s[2] == 0.0);
}

/* Neither does it depend on how many elements there are, around the blocks of those in two halves. */
static void test_long_activations(const struct mlp_kernels *k)
{
    static const enum mlp_activation all[] = {MLP_SIGMOID, MLP_TANH, MLP_SOFTPLUS};
    static const size_t sizes[] = {127, 128, 129, 131, 255, 261};
    for (size_t g = 0; g < sizeof all / sizeof *all; g++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const size_t n = sizes[s];
            struct array z = array(n);
            double before[261];
            for (size_t i = 0; i < n; i++)
                before[i] = z.p[i] *= 8.0;
            k->activate(all[g], 1, n, z.p);
            for (size_t i = 0; i < n; i++) {
                k->activate(all[g], 1, 1, &before[i]);
                CHECK(same_bits(1, &before[i], &z.p[i]));
            }
            release(z.base, z.size);
        }
    }
}

/* delta through a layer of one unit: the bits of a product from 0, then multiply_derivative(). */
static void test_single_delta(const struct mlp_kernels *k)
{
    for (int g = MLP_SIGMOID; g <= MLP_EXPONENTIAL; g++) {
        for (int trial = 0; trial < 30; trial++) {
            const size_t rows = random_size(9), m = random_size(37), n = rows * m;
            struct array delta = array(rows), w = array(m), a = array(n), out = array(n);
            double expected[9 * 37];
            if (trial % 3 == 0) /* -0 + 0 */
                delta.p[0] = -0.0;
            for (size_t i = 0; i < n; i++)
                expected[i] = multiply_add(k, delta.p[i / m], w.p[i % m], 0.0);
            k->multiply_derivative((enum mlp_activation)g, n, a.p, expected);
            k->single_delta((enum mlp_activation)g, rows, m, delta.p, w.p, a.p, out.p);
            CHECK(same_bits(n, expected, out.p));
            release(delta.base, delta.size);
            release(w.base, w.size);
            release(a.base, a.size);
            release(out.base, out.size);
        }
    }
}

/* Cost and delta of each pair of loss and output against the formulas. */
static void test_output(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 300; trial++) {
        const size_t rows = random_size(20), m = 1 + random_size(19), n = rows * m;
        const int softmax = trial % 2, entropy = trial / 2 % 2;
        const enum mlp_loss loss = !entropy  ? MLP_SQUARED_ERROR
                                   : softmax ? MLP_CROSS_ENTROPY
                                             : MLP_BINARY_CROSS_ENTROPY;
        struct array z = array(n), y = array(n), delta = array(n), terms = array(n),
                     c = array(rows);
        double *a = malloc(n * sizeof *a);
        for (size_t i = 0; i < rows; i++) {
            double total = 0.0, sum = 0.0;
            for (size_t j = 0; j < m; j++) {
                y.p[i * m + j] = fabs(y.p[i * m + j]);
                total += y.p[i * m + j];
                sum += exp(z.p[i * m + j]);
            }
            for (size_t j = 0; j < m; j++) {
                if (softmax && entropy)
                    y.p[i * m + j] /= total;
                a[i * m + j] =
                    softmax ? exp(z.p[i * m + j]) / sum : plain(MLP_SIGMOID, z.p[i * m + j]);
            }
        }
        k->output(loss, 0.0, softmax ? MLP_SOFTMAX : MLP_SIGMOID, rows, m, z.p, y.p, delta.p,
                  terms.p, c.p);
        for (size_t i = 0; i < rows; i++) {
            const double *ai = a + i * m, *yi = y.p + i * m;
            double cost = 0.0, inner = 0.0;
            for (size_t j = 0; j < m; j++) {
                if (!entropy)
                    cost += 0.5 * (yi[j] - ai[j]) * (yi[j] - ai[j]);
                else if (softmax)
                    cost -= yi[j] * log(ai[j]);
                else
                    cost -= yi[j] * log(ai[j]) + (1.0 - yi[j]) * log(1.0 - ai[j]);
                inner += ai[j] * (ai[j] - yi[j]);
            }
            CHECK(fabs(c.p[i] - cost) <= 1e-14 * (double)m);
            for (size_t j = 0; j < m; j++) {
                const double e = ai[j] - yi[j];
                const double expected = entropy   ? e
                                        : softmax ? ai[j] * (e - inner)
                                                  : e * ai[j] * (1.0 - ai[j]);
                CHECK(fabs(delta.p[i * m + j] - expected) <= 1e-15);
                CHECK(fabs(z.p[i * m + j] - ai[j]) <= 1e-15);
            }
        }
        free(a);
        release(z.base, z.size);
        release(y.base, y.size);
        release(delta.base, delta.size);
        release(terms.base, terms.size);
        release(c.base, c.size);
    }
}

/* The losses of a - y with any output: cost, and delta = dC/da g'(z). */
static void test_losses(const struct mlp_kernels *k)
{
    static const enum mlp_loss losses[] = {MLP_SQUARED_ERROR, MLP_ABSOLUTE_ERROR, MLP_HUBER,
                                           MLP_QUANTILE};
    for (int trial = 0; trial < 1000; trial++) {
        const size_t rows = random_size(20), m = 1 + random_size(19) % (trial % 3 ? 19 : 1);
        const size_t n = rows * m;
        const enum mlp_loss loss = losses[trial % 4];
        const enum mlp_activation all[] = {MLP_IDENTITY, MLP_SIGMOID,   MLP_TANH, MLP_RELU,
                                           MLP_ELU,      MLP_SOFTPLUS,  MLP_SILU, MLP_GELU,
                                           MLP_STEP,     MLP_LEAKY_RELU};
        const enum mlp_activation g = all[random_bits() % 10];
        const double p = 0.375;
        struct array z = array(n), y = array(n), delta = array(n), terms = array(n);
        struct array c = array(rows), a = array(n), d = array(n);
        memcpy(a.p, z.p, n * sizeof(double));
        if (mlp_keeps_derivative(g)) {
            k->activate_keep(g, n, a.p, d.p);
        } else {
            k->activate(g, rows, m, a.p);
            for (size_t i = 0; i < n; i++)
                d.p[i] = 1.0;
            k->multiply_derivative(g, n, a.p, d.p);
        }
        y.p[0] = a.p[0]; /* where slopes jump */
        k->output(loss, p, g, rows, m, z.p, y.p, delta.p, terms.p, c.p);
        CHECK(same_bits(n, z.p, a.p));
        for (size_t i = 0; i < rows; i++) {
            double cost = 0.0;
            for (size_t j = 0; j < m; j++) {
                const double e = a.p[i * m + j] - y.p[i * m + j], w = fabs(e);
                const double sign = e > 0.0 ? 1.0 : e < 0.0 ? -1.0 : 0.0;
                double term = 0.5 * e * e, slope = e;
                if (loss == MLP_ABSOLUTE_ERROR) {
                    term = w;
                    slope = sign;
                } else if (loss == MLP_HUBER && w > p) {
                    term = p * (w - 0.5 * p);
                    slope = p * sign;
                } else if (loss == MLP_QUANTILE) {
                    slope = e > 0.0 ? 1.0 - p : p * sign;
                    term = slope * e;
                }
                cost = j ? cost + term : term;
                const double expected = slope * d.p[i * m + j];
                CHECK(fabs(delta.p[i * m + j] - expected) <= 6e-16 * fabs(expected));
            }
            CHECK(c.p[i] == cost); /* bit for bit, in ascending order */
        }
        release(z.base, z.size);
        release(y.base, y.size);
        release(delta.base, delta.size);
        release(terms.base, terms.size);
        release(c.base, c.size);
        release(a.base, a.size);
        release(d.base, d.size);
    }
}

/* The order of every sum and update, written out. */
static void test_vectors(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n), y = array(n), w = array(n), v = array(n);
        double lanes[8] = {0};
        for (size_t i = 0; i < n; i++)
            lanes[i % 8] = multiply_add(k, x.p[i], x.p[i], lanes[i % 8]);
        const double squares = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
                               ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        CHECK(k->sum_squares(n, x.p) == squares);

        double w1[67], v1[67], w2[67];
        for (size_t i = 0; i < n; i++) {
            const double t = 0.125 * x.p[i];
            w1[i] = multiply_add(k, -0.125, x.p[i], w.p[i]);
            v1[i] = multiply_add(k, 0.9, v.p[i], -t);
            w2[i] = w1[i] + multiply_add(k, 0.9, v1[i], -t);
        }
        k->descend(n, 0.125, x.p, w.p);
        CHECK(same_bits(n, w.p, w1));
        k->descend_momentum(n, 0.125, 0.9, 1, x.p, v.p, w.p);
        CHECK(same_bits(n, w.p, w2) && same_bits(n, v.p, v1));
        for (size_t i = 0; i < n; i++) {
            v1[i] = multiply_add(k, 0.9, v.p[i], -(0.125 * x.p[i]));
            w2[i] = w.p[i] + v1[i];
        }
        k->descend_momentum(n, 0.125, 0.9, 0, x.p, v.p, w.p);
        CHECK(same_bits(n, w.p, w2) && same_bits(n, v.p, v1));
        for (size_t i = 0; i < n; i++)
            w2[i] = x.p[i] + y.p[i];
        k->add(n, y.p, x.p);
        CHECK(same_bits(n, x.p, w2));

        CHECK(k->all_finite(n, x.p));
        const double bad[] = {(double)NAN, INFINITY, -INFINITY};
        for (size_t b = 0; b < 3; b++) {
            const size_t place = random_bits() % n;
            const double old = x.p[place];
            x.p[place] = bad[b];
            CHECK(!k->all_finite(n, x.p));
            x.p[place] = old;
        }
        release(x.base, x.size);
        release(y.base, y.size);
        release(w.base, w.size);
        release(v.base, v.size);
    }
}

/* The weights of instances, the penalty's slope and the sum of sizes. */
static void test_objective(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n), y = array(n);
        double lanes[8] = {0}, product[67], slope[67];
        for (size_t i = 0; i < n; i++) {
            if (random_bits() % 7 == 0)
                x.p[i] = random_bits() % 2 ? 0.0 : -0.0;
            lanes[i % 8] += fabs(x.p[i]);
        }
        CHECK(k->sum_sizes(n, x.p) == ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
                                          ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7])));
        static const double strengths[][2] = {{0.3, 0.7}, {0.3, 0.0}, {0.0, 0.7}};
        for (size_t s = 0; s < 3; s++) {
            const double l1 = strengths[s][0], l2 = strengths[s][1];
            for (size_t i = 0; i < n; i++) {
                const double w = x.p[i], sign = w > 0.0 ? l1 : w < 0.0 ? -l1 : 0.0;
                slope[i] = y.p[i] + multiply_add(k, l2, w, sign);
            }
            k->penalise(n, l1, l2, x.p, y.p);
            CHECK(same_bits(n, y.p, slope));
        }
        for (size_t i = 0; i < n; i++)
            product[i] = x.p[i] * y.p[i];
        k->multiply(n, y.p, x.p);
        CHECK(same_bits(n, x.p, product));
        release(x.base, x.size);
        release(y.base, y.size);
    }
    for (size_t rows = 1; rows <= 20; rows++) {
        const size_t m = random_size(20), n = rows * m;
        struct array s = array(rows), delta = array(n), c = array(rows);
        double deltas[400], costs[20];
        for (size_t i = 0; i < rows; i++) {
            s.p[i] = random_bits() % 3 == 0 ? 0.0 : fabs(s.p[i]);
            costs[i] = c.p[i] * s.p[i];
            for (size_t j = 0; j < m; j++)
                deltas[i * m + j] = delta.p[i * m + j] * s.p[i];
            if (s.p[i] == 0.0) { /* whatever they are */
                costs[i] = 0.0;
                c.p[i] = (double)NAN;
                for (size_t j = 0; j < m; j++) {
                    deltas[i * m + j] = 0.0;
                    delta.p[i * m + j] = j % 2 ? INFINITY : (double)NAN;
                }
            }
        }
        k->weigh(rows, m, s.p, delta.p, c.p);
        CHECK(same_bits(n, delta.p, deltas) && same_bits(rows, c.p, costs));
        release(s.base, s.size);
        release(delta.base, delta.size);
        release(c.base, c.size);
    }
}

/* Numbers of every size, and zeros. */
static void fill_widely(size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] =
            random_bits() % 5 == 0
                ? 0.0
                : ldexp(random_value(), random_bits() % 3 ? 0 : (int)(random_bits() % 800) - 700);
    }
}

/* Adam, Rprop and clipping, one parameter after another. */
static void test_steps(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array g = array(n), p = array(n), v = array(n), w = array(n);
        double p1[67], v1[67], w1[67];
        const struct mlp_adam_step adam = {
            0.9, 0.999, 1e-8, 0.01, 3.0, n % 2 ? 1.0 : 0.875, n % 3 ? 1.0 : 0.3};
        fill_widely(n, g.p);
        for (size_t i = 0; i < n; i++) {
            v.p[i] = fabs(v.p[i]);
            const double gi = adam.scale * g.p[i];
            p1[i] = multiply_add(k, 0.9, p.p[i], (1.0 - 0.9) * gi);
            v1[i] = multiply_add(k, 0.999, v.p[i], (1.0 - 0.999) * gi * gi);
            const double d = multiply_add(k, 3.0, sqrt(v1[i]), 1e-8);
            w1[i] = multiply_add(k, adam.keep, w.p[i], -(0.01 * p1[i] / d));
        }
        k->adam(n, &adam, g.p, p.p, v.p, w.p);
        CHECK(same_bits(n, p.p, p1) && same_bits(n, v.p, v1) && same_bits(n, w.p, w1));

        for (int back = 0; back < 2; back++) {
            const struct mlp_rprop_step rprop = {1.2, 0.5, 0.25, 0.75, back};
            fill_widely(n, g.p);
            fill_widely(n, p.p);
            for (size_t i = 0; i < n; i++) {
                const int sign = (g.p[i] > 0) - (g.p[i] < 0), was = (p.p[i] > 0) - (p.p[i] < 0);
                const double old = v.p[i] = 0.25 + 0.5 * fabs(random_value());
                v1[i] = old;
                w1[i] = w.p[i];
                p1[i] = g.p[i];
                if (sign * was < 0) {
                    v1[i] = fmax(0.5 * old, 0.25);
                    w1[i] += back ? was * old : 0.0;
                    p1[i] = 0.0;
                } else {
                    if (sign * was > 0)
                        v1[i] = fmin(1.2 * old, 0.75);
                    w1[i] -= sign * v1[i];
                }
            }
            k->rprop(n, &rprop, g.p, p.p, v.p, w.p);
            CHECK(same_bits(n, p.p, p1) && same_bits(n, v.p, v1) && same_bits(n, w.p, w1));
        }

        for (size_t i = 0; i < n; i++)
            w1[i] = fmax(fmin(0.75 * g.p[i], 0.25), -0.25);
        k->clip(n, 0.75, 0.25, g.p);
        CHECK(same_bits(n, g.p, w1));
        for (size_t i = 0; i < n; i++)
            w1[i] = 0.3 * g.p[i];
        k->clip(n, 0.3, INFINITY, g.p);
        CHECK(same_bits(n, g.p, w1));
        release(g.base, g.size);
        release(p.base, p.size);
        release(v.base, v.size);
        release(w.base, w.size);
    }
}

/* sum of x_i y_i as the kernels add it */
static double plain_dot(const struct mlp_kernels *k, size_t n, const double *x, const double *y)
{
    double lanes[8] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % 8] = multiply_add(k, x[i], y[i], lanes[i % 8]);
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* The kernels of the quasi-Newton methods, also with the result in place of an operand. */
static void test_directions(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n), y = array(n), z = array(n), out = array(n);
        double expected[67], s[67], t[67], sums[4];
        CHECK(k->dot(n, x.p, y.p) == plain_dot(k, n, x.p, y.p));

        for (size_t i = 0; i < n; i++)
            expected[i] = multiply_add(k, -0.7, y.p[i], 0.3 * x.p[i]);
        const double sum = plain_dot(k, n, expected, z.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, y.p, z.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));
        memset(out.p, 0, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, y.p, NULL, out.p) == 0.0);
        CHECK(same_bits(n, out.p, expected));
        memcpy(out.p, x.p, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, out.p, -0.7, y.p, z.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));
        memcpy(out.p, y.p, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, out.p, z.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));
        memcpy(out.p, z.p, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, y.p, out.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));

        for (size_t i = 0; i < n; i++) {
            s[i] = -0.3 * z.p[i];
            t[i] = x.p[i] - y.p[i];
        }
        k->curvature(n, -0.3, x.p, y.p, z.p, out.p, sums);
        CHECK(same_bits(n, z.p, s) && same_bits(n, out.p, t));
        CHECK(sums[0] == plain_dot(k, n, s, t) && sums[1] == plain_dot(k, n, t, t));
        CHECK(sums[2] == plain_dot(k, n, x.p, x.p) && sums[3] == plain_dot(k, n, s, x.p));
        release(x.base, x.size);
        release(y.base, y.size);
        release(z.base, z.size);
        release(out.base, out.size);
    }
}

/* In 8 lanes with the rounding errors kept: cut anywhere, the same bits, exact to the last place. */
static void test_accumulate(const struct mlp_kernels *k)
{
    enum { N = 1000 };
    static double c[N];
    double whole[16] = {0}, parts[16] = {0};
    long double exact = 0.0L;
    for (size_t i = 0; i < N; i++) {
        c[i] = ldexp(fabs(random_value()), (int)(random_bits() % 60) - 30);
        exact += c[i];
    }
    k->accumulate(N, 0, c, whole);
    for (size_t i = 0; i < N;) {
        const size_t left = N - i,
                     r = random_size(50) < left ? random_size(left < 50 ? left : 50) : left;
        k->accumulate(r, i, c + i, parts);
        i += r;
    }
    CHECK(same_bits(16, whole, parts));
    long double sum = 0.0L;
    for (size_t i = 0; i < 16; i++)
        sum += whole[i];
    CHECK(fabsl(sum - exact) <= 1e-16L * exact);
}

int main(void)
{
    size_t tested = 0;
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k)) {
            printf("%s: this machine cannot execute it\n", mlp_isa_name(k));
            continue;
        }
        printf("%s\n", mlp_isa_name(k));
        test_product(k);
        test_product_blocks(k);
        test_product_zeros(k);
        test_gram(k);
        test_activations(k);
        test_long_activations(k);
        test_single_delta(k);
        test_output(k);
        test_losses(k);
        test_vectors(k);
        test_objective(k);
        test_steps(k);
        test_directions(k);
        test_accumulate(k);
        tested++;
    }
    CHECK(tested > 0 && mlp_isa_supported(mlp_isa_best()));
    return report("test_kernels");
}
