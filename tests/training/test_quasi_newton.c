/* LBFGS, scaled conjugate gradients and the gradient of the inputs: a fit in slices is the fit, its
 * parameters between slices are those of a complete epoch and never a trial point, and any allocation
 * may fail and leaves everything as it was. */
#include "allocations.h"
#include "check.h"

#include "mlp.h"

enum { N = 5000, EPOCHS = 6, M0 = 5, ML = 3 };

struct problem {
    struct mlp_network *net;
    size_t P;
    double *parameters, *start, *x, *y;
    struct mlp_matrix X, Y;
};

static struct problem problem(const struct mlp_kernels *k)
{
    static const size_t layers[] = {M0, 13, 9, ML};
    static const enum mlp_activation g[] = {MLP_TANH, MLP_SIGMOID, MLP_IDENTITY};
    struct problem p;
    CHECK(mlp_network_new(&p.net, k, 3, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    p.P = mlp_network_n_parameters(p.net);
    p.parameters = malloc(p.P * sizeof(double));
    p.start = malloc(p.P * sizeof(double));
    p.x = malloc(N * M0 * sizeof(double));
    p.y = malloc(N * ML * sizeof(double));
    fill(p.P, p.parameters);
    fill(N * M0, p.x);
    fill(N * ML, p.y);
    memcpy(p.start, p.parameters, p.P * sizeof(double));
    mlp_network_set_parameters(p.net, p.parameters);
    p.X = matrix(p.x, M0);
    p.Y = matrix(p.y, ML);
    return p;
}

static void problem_free(struct problem *p)
{
    mlp_network_free(p->net);
    free(p->parameters);
    free(p->start);
    free(p->x);
    free(p->y);
}

static struct mlp_fit_options options(enum mlp_solver solver)
{
    return (struct mlp_fit_options){
        .solver = solver,
        .lbfgs = {3, 20, 1e-4, 0.9, 0.0},
        .scg = {5e-5, 5e-7, 0.0},
        .goal = -INFINITY,
        .n_threads = 1,
    };
}

/* In slices of the given work; parameters after each epoch in path (EPOCHS + 1, P), which `first`
 * fills in and later runs are held to. */
static void run(struct problem *p, enum mlp_solver solver, size_t n, double work, int first,
                double *path, double *history)
{
    const struct mlp_fit_options o = options(solver);
    struct mlp_fit *fit;
    size_t done = 0, recorded;
    memcpy(p->parameters, p->start, p->P * sizeof(double));
    if (first)
        memcpy(path, p->start, p->P * sizeof(double));
    CHECK(mlp_fit_new(&fit, p->net, &p->X, &p->Y, n, &o) == MLP_OK);
    while (done < EPOCHS) {
        const struct mlp_history costs = costs_only(history + done);
        const enum mlp_event event = mlp_fit_run(fit, done + 1, work, 1, &costs, &recorded);
        CHECK(event == MLP_PAUSED || event == MLP_EPOCH);
        done += recorded;
        if (first && recorded)
            memcpy(path + done * p->P, p->parameters, p->P * sizeof(double));
        CHECK(same_bits(p->P, p->parameters, path + done * p->P));
    }
    struct mlp_fit_report report;
    mlp_fit_describe(fit, &report);
    CHECK(report.epochs == EPOCHS && report.cost == history[EPOCHS - 1]);
    double cost, finished, none;
    CHECK(cost_of(p->net, &p->X, &p->Y, n, 1, &cost, NULL) == MLP_OK && cost == report.cost);
    while (!mlp_fit_finish(fit, work, &finished, &none)) {
    }
    CHECK(finished == cost && isnan(none));
    mlp_fit_free(fit);
}

static void test_slices(const struct mlp_kernels *k)
{
    static const size_t ns[] = {10, 300, N};
    struct problem p = problem(k);
    double *path = malloc((EPOCHS + 1) * p.P * sizeof *path), whole[EPOCHS], sliced[EPOCHS];
    for (enum mlp_solver solver = MLP_LBFGS; solver <= MLP_SCG; solver++) {
        for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
            mlp_network_set_tuning(p.net, 0, 0.0);
            run(&p, solver, ns[i], 1e300, 1, path, whole);
            mlp_network_set_tuning(p.net, 64, 0.0);
            run(&p, solver, ns[i], 1.0, 0, path, sliced);
            CHECK(same_bits(EPOCHS, whole, sliced));
        }
    }
    free(path);
    problem_free(&p);
}

/* Each call with its first, second, ... allocation refused, until it gets through. */
static void test_memory(const struct mlp_kernels *k)
{
    struct problem p = problem(k);
    double *gradient = malloc(N * M0 * sizeof *gradient);
    const struct mlp_fit_options lbfgs = options(MLP_LBFGS), scg = options(MLP_SCG);
    for (int call = 0; call < 3; call++) {
        enum mlp_status status = MLP_NO_MEMORY;
        long refused = 0;
        for (; status != MLP_OK && refused < 100; refused++) {
            struct mlp_fit *fit = NULL;
            allowed = refused;
            if (call == 2)
                status = mlp_input_gradient(p.net, &p.X, &p.Y, NULL, N, 1, gradient);
            else
                status = mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, call ? &scg : &lbfgs);
            allowed = -1;
            CHECK(status == MLP_OK || (status == MLP_NO_MEMORY && fit == NULL));
            CHECK(same_bits(p.P, p.start, p.parameters));
            mlp_fit_free(fit);
        }
        CHECK(refused > 1 && refused < 100);
    }
    static const size_t memories[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 1000};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        struct mlp_fit *fit = NULL;
        struct mlp_fit_options o = lbfgs;
        o.lbfgs.memory = memories[i];
        CHECK(mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &o) == MLP_TOO_LARGE && fit == NULL);
    }
    free(gradient);
    problem_free(&p);
}

/* A single instance at a time, many at once, in threads: the same bits. */
static void test_input_gradient(const struct mlp_kernels *k)
{
    struct problem p = problem(k);
    double *whole = malloc(N * M0 * sizeof *whole), *other = malloc(N * M0 * sizeof *other);
    CHECK(mlp_input_gradient(p.net, &p.X, &p.Y, NULL, N, 1, whole) == MLP_OK);
    for (size_t threads = 1; threads < 8; threads++) {
        mlp_network_set_tuning(p.net, 10 * threads, 1.0);
        CHECK(mlp_input_gradient(p.net, &p.X, &p.Y, NULL, N, threads, other) == MLP_OK);
        CHECK(same_bits(N * M0, whole, other));
    }
    for (size_t i = 0; i < N; i += 97) {
        const struct mlp_matrix x = matrix(p.x + i * M0, M0), y = matrix(p.y + i * ML, ML);
        CHECK(mlp_input_gradient(p.net, &x, &y, NULL, 1, 1, other) == MLP_OK);
        CHECK(same_bits(M0, whole + i * M0, other));
    }
    free(whole);
    free(other);
    problem_free(&p);
}

int main(void)
{
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        test_slices(k);
        test_memory(k);
        test_input_gradient(k);
    }
    return report("test_quasi_newton");
}
