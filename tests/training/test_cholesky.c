/* Symmetric matrices of the second-order solvers against plain scalar loops: X^T X bit for bit, the
 * factor and what it solves to rounding, the same bits for every number of threads, and the two
 * kernels beside the product with guard pages. */
#include "check.h"

#include "network/memory.h"
#include "training/symmetric.h"

static double multiply_add(const struct mlp_kernels *k, double a, double b, double c)
{
    return strcmp(k->name, "base") == 0 ? a * b + c : fma(a, b, c);
}

struct workspace {
    struct mlp_network *net;
    struct mlp_team team;
    struct mlp_symmetric s;
};

static struct workspace workspace(const struct mlp_kernels *k, size_t order, size_t terms,
                                  size_t n_threads)
{
    const size_t layers[2] = {1, 1};
    const enum mlp_activation g = MLP_IDENTITY;
    struct workspace w;
    CHECK(mlp_network_new(&w.net, k, 1, layers, &g, MLP_SQUARED_ERROR) == MLP_OK);
    mlp_network_set_tuning(w.net, 0, 1.0); /* threads pay */
    mlp_team_open(&w.team, n_threads);
    w.s = (struct mlp_symmetric){.net = w.net, .order = order};
    w.s.row = mlp_symmetric_row(order);
    w.s.panel = mlp_symmetric_panel(k, order, terms, w.s.row + 16);
    w.s.panels = mlp_allocate(n_threads * w.s.panel + 1);
    w.s.negated = mlp_allocate(mlp_symmetric_negated(order));
    return w;
}

static void workspace_free(struct workspace *w)
{
    mlp_team_close(&w->team);
    mlp_release(w->s.panels);
    mlp_release(w->s.negated);
    mlp_network_free(w->net);
}

/* X^T X of order N from k rows, in two portions, then the factor of it + N I and what it solves. */
static void check_matrix(const struct mlp_kernels *k, size_t N, size_t terms, size_t n_threads)
{
    struct workspace w = workspace(k, N, terms, n_threads);
    w.s.team = &w.team;
    const size_t row = w.s.row, x_row = mlp_symmetric_row(N + random_size(9) - 1);
    double *x = mlp_allocate(terms * x_row), *a = mlp_allocate(N * row);
    double *u = mlp_allocate(N * row), *v = mlp_allocate(N * row), *b = mlp_allocate(N);
    double *y = mlp_allocate(N), *full = calloc(N * N, sizeof *full);
    fill(terms * x_row, x);
    fill(N * row, a);
    fill(N * row, v);
    fill(N, b);
    const size_t first = terms / 3;
    if (first > 0)
        CHECK(mlp_gram(&w.s, first, x, x_row, 1, a, 0, HUGE_VAL) == N);
    size_t from = 0;
    while (from < N) /* a block at a time */
        from = mlp_gram(&w.s, terms - first, x + first * x_row, x_row, first == 0, a, from, 1e-300);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = i; j < N; j++) {
            double sum = 0.0;
            for (size_t r = 0; r < terms; r++)
                sum = multiply_add(k, x[r * x_row + i], x[r * x_row + j], sum);
            CHECK(same_bits(1, &sum, &a[i * row + j]));
            full[i * N + j] = full[j * N + i] = sum;
        }
        a[i * row + i] += (double)N;
        full[i * N + i] += (double)N;
    }
    memcpy(u, a, N * row * sizeof *u);
    double spent;
    from = 0;
    while (from < N)
        from = mlp_cholesky(&w.s, u, from, 1e-300, &spent);
    CHECK(from == N);
    const double size = (double)(N + terms);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = i; j < N; j++) {
            double sum = 0.0;
            for (size_t p = 0; p <= i; p++)
                sum += u[p * row + i] * u[p * row + j];
            CHECK(fabs(sum - full[i * N + j]) <= 1e-15 * size * size);
        }
    }
    memcpy(y, b, N * sizeof *y);
    mlp_solve_lower(&w.s, u, y);
    mlp_solve_upper(&w.s, u, y);
    for (size_t i = 0; i < N; i++) {
        double sum = -b[i];
        for (size_t j = 0; j < N; j++)
            sum += full[i * N + j] * y[j];
        CHECK(fabs(sum) <= 1e-14 * size);
    }
    /* The trace of the inverse, column by column. */
    double trace = 0.0;
    for (size_t i = 0; i < N; i++) {
        memset(y, 0, N * sizeof *y);
        y[i] = 1.0;
        mlp_solve_lower(&w.s, u, y);
        mlp_solve_upper(&w.s, u, y);
        trace += y[i];
    }
    CHECK(fabs(mlp_inverse_trace(&w.s, u, v) - trace) <= 1e-13 * trace);
    /* No pivot is positive from the middle on. */
    memcpy(u, a, N * row * sizeof *u);
    u[N / 2 * row + N / 2] = -1.0;
    from = 0;
    while (from < N)
        from = mlp_cholesky(&w.s, u, from, 1e-300, &spent);
    CHECK(from == N + 1);
    u[N / 2 * row + N / 2] = (double)NAN;
    CHECK(mlp_cholesky(&w.s, u, 0, HUGE_VAL, &spent) == N + 1);
    mlp_release(x);
    mlp_release(a);
    mlp_release(u);
    mlp_release(v);
    mlp_release(b);
    mlp_release(y);
    free(full);
    workspace_free(&w);
}

/* The factor's bits for 1, 2, 3 and 7 threads, and at once or block by block. */
static void check_threads(const struct mlp_kernels *k, size_t N)
{
    static const size_t threads[] = {1, 2, 3, 7};
    const size_t row = mlp_symmetric_row(N);
    double *x = mlp_allocate(N * row), *a = mlp_allocate(N * row), *u = mlp_allocate(N * row);
    fill(N * row, x);
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct workspace w = workspace(k, N, N, threads[t]);
        w.s.team = &w.team;
        double *b = t ? u : a, spent;
        memset(b, 0, N * row * sizeof *b);
        mlp_gram(&w.s, N, x, row, 1, b, 0, HUGE_VAL);
        for (size_t p = 0; p < N; p++)
            b[p * row + p] += 1.0;
        size_t from = 0;
        while (from < N)
            from = mlp_cholesky(&w.s, b, from, t % 2 ? 1.0 : HUGE_VAL, &spent);
        CHECK(from == N);
        for (size_t p = 0; p < N && t; p++)
            CHECK(same_bits(N - p, a + p * row + p, u + p * row + p));
        workspace_free(&w);
    }
    mlp_release(x);
    mlp_release(a);
    mlp_release(u);
}

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

int main(void)
{
    static const size_t orders[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 61, 64, 65, 97, 130};
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        for (size_t n = 0; n < sizeof orders / sizeof *orders; n++)
            check_matrix(k, orders[n], random_size(150), 1 + n % 3);
        check_matrix(k, 515, 40, 2);
        check_matrix(k, 260, 40, 3);
        check_threads(k, 77);
        check_threads(k, 530);
        for (int trial = 0; trial < 60; trial++) {
            check_eliminate(k, random_size(40), random_size(150));
            check_jacobian(k, random_size(19), random_size(19), random_size(19), random_size(5));
            check_jacobian(k, random_size(19), random_size(40), 1, random_size(5));
        }
    }
    return report("test_cholesky");
}
