/* Symmetric matrices of the second-order solvers against plain scalar loops: X^T X bit for bit, the
 * factor and what it solves to rounding, the same bits for every number of threads. */
#include "check.h"

#include "network/memory.h"
#include "training/symmetric.h"

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
    }
    return report("test_cholesky");
}
