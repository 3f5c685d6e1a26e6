/* The products of matrices, bit for bit: random shapes around the tiles' edges, the limits of all blocks,
 * and the rows of Gram matrices. */
#include "products.h"

#include "kernels/caches.h"

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

/* Around the limits of the blocks that usual caches give: 256 terms; columns and strides of 512; 32 and 64
 * columns; four tiles of rows; blocks of A of 36864 to 73728 elements, which are 144 rows or more; what decides whether A is packed that is read across its rows: 64 terms, 32768
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
        {258, 192, 128}, {15, 192, 300}, {33, 200, 300}, {131, 192, 256}, {8, 9, 513},
        {19, 10, 300},   {128, 10, 32},  {65, 10, 257},  {17, 11, 256},   {32, 12, 600},
        {16, 13, 257},
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

static void check_gram(const struct mlp_kernels *k, size_t m, size_t n, size_t inner, size_t apart,
                       int first);

/* The same bits whatever the sizes of the blocks are: from one tile of rows and 8 terms on, with few panels
 * kept or all; and with the sizes that follow from small caches. */
static void test_block_sizes(const struct mlp_kernels *k)
{
    const struct mlp_caches found = mlp_caches;
    for (int trial = 0; trial < 150; trial++) {
        const size_t m = random_size(130), n = random_size(300), inner = random_size(90);
        if (trial % 5 == 0) {
            mlp_caches = (struct mlp_caches){.l1 = 8 << 10, .l2 = 32 << 10, .l3 = 64 << 10};
        } else {
            mlp_caches = found;
            mlp_caches.terms = random_size(40);
            mlp_caches.a = random_size(trial % 2 ? 500 : 5000);
            mlp_caches.b = random_size(trial % 3 ? 4000 : 40000);
        }
        if (trial % 4 == 0)
            check_gram(k, m < n ? m : n, n, inner, 512, trial % 8 == 0);
        else
            check_product(k, m, n, inner, (int)(random_bits() % 2), (int)(random_bits() % 2),
                          (enum start)(random_bits() % 3), random_bits() % 2 ? 512 : 3,
                          (enum update)(random_bits() % 3), (struct zeros){0});
    }
    mlp_caches = found;
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

/* An element is one term of a sum. */
static void time_product(const struct mlp_kernels *k)
{
    static const struct {
        const char *label;
        size_t m, n, inner;
        int a_transposed, b_transposed;
    } cases[] = {
        {"1 x 64 x 64", 1, 64, 64, 0, 0},          {"8 x 10 x 16", 8, 10, 16, 0, 0},
        {"256 x 64 x 64", 256, 64, 64, 0, 0},      {"256 x 64 x 64, B^T", 256, 64, 64, 0, 1},
        {"64 x 64 x 256, A^T", 64, 64, 256, 1, 0}, {"256 x 256 x 256", 256, 256, 256, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t m = cases[i].m, n = cases[i].n, inner = cases[i].inner;
        const ptrdiff_t a_long = (ptrdiff_t)(cases[i].a_transposed ? m : inner);
        const ptrdiff_t b_long = (ptrdiff_t)(cases[i].b_transposed ? inner : n);
        struct array a = room(m * inner), b = room(inner * n), c = room(m * n), c0 = room(n);
        struct array panel = room(k->panel_size(m, n, inner, m + n + inner) + 1);
        TIME(cases[i].label, m * n * inner,
             k->product(m, n, inner, a.p, cases[i].a_transposed ? 1 : a_long,
                        cases[i].a_transposed ? a_long : 1, b.p, cases[i].b_transposed ? 1 : b_long,
                        cases[i].b_transposed ? b_long : 1, c0.p, 0, c.p, (ptrdiff_t)n, NULL,
                        panel.p));
        release(a.base, a.size);
        release(b.base, b.size);
        release(c.base, c.size);
        release(c0.base, c0.size);
        release(panel.base, panel.size);
    }
}

static void time_gram(const struct mlp_kernels *k)
{
    const size_t m = 64, n = 200, inner = 300;
    struct array x = room(inner * n), c = room(m * n);
    struct array panel = room(k->panel_size(m, n, inner, 512) + 1);
    TIME("64 x 200 x 300", (m * n - m * (m - 1) / 2) * inner,
         k->gram(m, n, inner, x.p, (ptrdiff_t)n, NULL, c.p, (ptrdiff_t)n, panel.p));
    release(x.base, x.size);
    release(c.base, c.size);
    release(panel.base, panel.size);
}

static const struct row ROWS[] = {
    {"panel_size", NULL, {test_product}}, /* asked once a fit */
    {"product", time_product, {test_product, test_product_blocks, test_block_sizes}},
    {"gram", time_gram, {test_gram}},
};

int main(int argc, char **argv)
{
    return run_rows("test_products", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
