/* The kernels of Levenberg-Marquardt beside the products: rows of the Jacobian matrix, and the
 * elimination with a triangle, both bit for bit. */
#include "harness.h"

/* x <- U^-T x, behind which no memory may be touched. */
static void check_eliminate(const struct mlp_kernels *k, size_t m, size_t n)
{
    void *u_base, *x_base;
    size_t u_size, x_size;
    const size_t row = (m > n ? m : n) + 3;
    double *u = guarded(row * (m - 1) + m, &u_base, &u_size);
    double *x = guarded(row * (m - 1) + n, &x_base, &x_size);
    double *e = malloc((row * (m - 1) + n) * sizeof *e);
    fill(row * (m - 1) + m, u);
    fill(row * (m - 1) + n, x);
    memcpy(e, x, (row * (m - 1) + n) * sizeof *e);
    for (size_t p = 0; p < m; p++) {
        u[p * row + p] = 1.5 + fabs(u[p * row + p]);
        for (size_t j = 0; j < n; j++) {
            for (size_t q = 0; q < p; q++)
                e[p * row + j] = multiply_add(k, -u[q * row + p], e[q * row + j], e[p * row + j]);
            e[p * row + j] *= 1.0 / u[p * row + p];
        }
    }
    k->eliminate(m, n, u, x, row);
    CHECK(same_bits(row * (m - 1) + n, x, e));
    free(e);
    release(u_base, u_size);
    release(x_base, x_size);
}

/* Rows of J for a layer (m0, m1) and one (m1, m2). */
static void check_jacobian(const struct mlp_kernels *k, size_t m0, size_t m1, size_t m2, size_t n)
{
    const struct mlp_layer layers[2] = {{m0, m1, 0, MLP_TANH, 0, 0.0},
                                        {m1, m2, m0 * m1 + m1, MLP_IDENTITY, 0, 0.0}};
    const struct mlp_shape shape = {layers, 2, m1 > m2 ? m1 : m2, MLP_SQUARED_ERROR, 0.0};
    const size_t P = m0 * m1 + m1 + m1 * m2 + m2, row = P + 7, first = 2;
    void *base[5];
    size_t size[5];
    double *x = guarded(n * m0, &base[0], &size[0]);
    double *a = guarded((first + n) * m1, &base[1], &size[1]);
    double *d1 = guarded((first + n) * m1, &base[2], &size[2]);
    double *d2 = guarded((first + n) * m2, &base[3], &size[3]);
    double *out = guarded(n * row, &base[4], &size[4]);
    fill(n * m0, x);
    fill((first + n) * m1, a);
    fill((first + n) * m1, d1);
    fill((first + n) * m2, d2);
    double *const activations[2] = {a, NULL}, *const deltas[2] = {d1, d2};
    k->jacobian(&shape, first, n, x, activations, deltas, out, row);
    for (size_t i = 0; i < n; i++) {
        const double *o = out + i * row;
        for (size_t p = 0; p <= m0; p++) {
            for (size_t j = 0; j < m1; j++, o++)
                CHECK(*o == (p < m0 ? x[i * m0 + p] : 1.0) * d1[(first + i) * m1 + j]);
        }
        for (size_t p = 0; p <= m1; p++) {
            for (size_t j = 0; j < m2; j++, o++)
                CHECK(*o == (p < m1 ? a[(first + i) * m1 + p] : 1.0) * d2[(first + i) * m2 + j]);
        }
    }
    for (int i = 0; i < 5; i++)
        release(base[i], size[i]);
}

static void test_eliminate(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 60; trial++)
        check_eliminate(k, random_size(40), random_size(150));
}

static void test_jacobian(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 60; trial++) {
        check_jacobian(k, random_size(19), random_size(19), random_size(19), random_size(5));
        check_jacobian(k, random_size(19), random_size(40), 1, random_size(5));
    }
}

/* An element is one derivative. */
static void time_jacobian(const struct mlp_kernels *k)
{
    enum { M0 = 10, M1 = 32, M2 = 4, ROWS = 64, P = (M0 + 1) * M1 + (M1 + 1) * M2 };
    const struct mlp_layer layers[2] = {{M0, M1, 0, MLP_TANH, 0, 0.0},
                                        {M1, M2, (M0 + 1) * M1, MLP_IDENTITY, 0, 0.0}};
    const struct mlp_shape shape = {layers, 2, M1, MLP_SQUARED_ERROR, 0.0};
    struct array x = room(ROWS * M0), a = room(ROWS * M1), d1 = room(ROWS * M1);
    struct array d2 = room(ROWS * M2), out = room(ROWS * (P + 7));
    double *const activations[2] = {a.p, NULL}, *const deltas[2] = {d1.p, d2.p};
    TIME("10-32-4, 64 rows", ROWS * P,
         k->jacobian(&shape, 0, ROWS, x.p, activations, deltas, out.p, P + 7));
    release(x.base, x.size);
    release(a.base, a.size);
    release(d1.base, d1.size);
    release(d2.base, d2.size);
    release(out.base, out.size);
}

/* An element is one term of a sum. */
static void time_eliminate(const struct mlp_kernels *k)
{
    const size_t m = 64, n = 128;
    struct array u = room(n * m), from = room(n * m), x = room(n * m);
    for (size_t i = 0; i < m; i++)
        u.p[i * n + i] = 64.0;
    TIME_AFTER("64 x 128", n * m * (m - 1) / 2, memcpy(x.p, from.p, n * m * sizeof *x.p),
               k->eliminate(m, n, u.p, x.p, n));
    release(u.base, u.size);
    release(from.base, from.size);
    release(x.base, x.size);
}

static const struct row ROWS[] = {
    {"jacobian", time_jacobian, {test_jacobian}},
    {"eliminate", time_eliminate, {test_eliminate}},
};

int main(int argc, char **argv)
{
    return run_rows("test_jacobian", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
