/* The trainer from outside: gradients and learning rates of the caller's own, and targets that are missing.
 * Steps are compared with those of another trainer, whose bits they must have. */
#include "allocations.h"
#include "check.h"

enum { M0 = 3, ML = 2, P = (M0 + 1) * 5 + (5 + 1) * ML, N = 40 };

static double x[N * M0], y[N * ML];

static struct mlp_network *network(double *at, const struct mlp_kernels *k, enum mlp_activation g,
                                   enum mlp_loss loss)
{
    const size_t layers[] = {M0, 5, ML};
    const enum mlp_activation gs[] = {MLP_TANH, g};
    struct mlp_network *net;
    CHECK(mlp_network_new(&net, k, 2, layers, gs, loss) == MLP_OK);
    mlp_network_set_parameters(net, at);
    mlp_network_set_tuning(net, 7, 1.0); /* several chunks a batch, and threads at once */
    return net;
}

static struct mlp_fit_options options(enum mlp_solver solver)
{
    struct mlp_fit_options o = {.solver = solver,
                                .descent = {0.01, 0.5, 1},
                                .adam = {0.01, 0.9, 0.999, 1e-8, 0.1, 0},
                                .problem = {NULL, 0.01, 0.1, NULL},
                                .clip_norm = 0.5};
    o.schedule = (struct mlp_schedule){.kind = MLP_STEPWISE, .factor = 0.5, .epochs = 2};
    return o;
}

/* mlp_trainer_apply() is what mlp_trainer_step() does with the gradient, and allocates nothing; a guard page
 * follows the gradient. */
static void test_apply(const struct mlp_kernels *k, enum mlp_solver solver)
{
    double a[P], b[P], cost, again;
    void *base;
    size_t size;
    double *gradient = guarded(P, &base, &size);
    const struct mlp_fit_options o = options(solver);
    fill(P, a);
    memcpy(b, a, sizeof a);
    struct mlp_network *net = network(a, k, MLP_IDENTITY, MLP_SQUARED_ERROR);
    struct mlp_network *twin = network(b, k, MLP_IDENTITY, MLP_SQUARED_ERROR);
    struct mlp_trainer *one, *two;
    CHECK(mlp_trainer_new(&one, net, &o, 2) == MLP_OK &&
          mlp_trainer_new(&two, twin, &o, 1) == MLP_OK);
    const struct mlp_matrix X = matrix(x, M0), Y = matrix(y, ML);
    for (int step = 0; step < 5; step++) {
        CHECK(mlp_trainer_rate(one) == 0.01 * pow(0.5, step / 2));
        CHECK(cost_of(net, &X, &Y, N, 1, &cost, gradient) == MLP_OK);
        allowed = 0;
        mlp_trainer_apply(one, gradient);
        allowed = -1;
        CHECK(mlp_trainer_step(two, &X, &Y, NULL, N, &again) == MLP_OK);
        CHECK(same_bits(P, a, b) && again > cost && mlp_trainer_rate(one) == mlp_trainer_rate(two));
    }
    /* A rate that is set ends the schedule. */
    mlp_trainer_set_rate(one, 0.0);
    for (int step = 0; step < 3; step++)
        mlp_trainer_apply(one, gradient);
    CHECK(mlp_trainer_rate(one) == 0.0);
    if (solver == MLP_ADAM)
        CHECK(same_bits(P, a, b));
    mlp_trainer_free(one);
    mlp_trainer_free(two);
    mlp_network_free(net);
    mlp_network_free(twin);
    release(base, size);
}

/* Targets that are missing are those of weight 0: all of an instance's, for every loss. */
static void test_gaps(const struct mlp_kernels *k, enum mlp_activation g, enum mlp_loss loss)
{
    double a[P], s[N], t[N * ML], gappy[N * ML], c, d, first[P], second[P];
    fill(P, a);
    struct mlp_network *net = network(a, k, g, loss);
    for (size_t i = 0; i < N; i++) {
        s[i] = i % 3 == 0 ? 0.0 : 1.0;
        for (size_t j = 0; j < ML; j++) {
            t[i * ML + j] = loss == MLP_SQUARED_ERROR ? y[i * ML + j] : j == i % 2;
            gappy[i * ML + j] = s[i] == 0.0 ? (double)NAN : t[i * ML + j];
        }
    }
    struct mlp_matrix X = matrix(x, M0), Y = matrix(t, ML), S = matrix(s, 1), G = matrix(gappy, ML);
    G.kind = MLP_GAPS;
    const struct mlp_problem weighted = {.weights = &S}, plain = {.weights = NULL};
    CHECK(mlp_objective(net, &weighted, &X, &Y, N, 2, &c, first) == MLP_OK);
    CHECK(mlp_objective(net, &plain, &X, &G, N, 2, &d, second) == MLP_OK);
    CHECK(c == d && same_bits(P, first, second));
    /* Of a single instance, where one call of a kernel would take the step. */
    double before[P];
    memcpy(before, a, sizeof a);
    struct mlp_fit_options o = {.descent = {0.1, 0.0, 0}};
    struct mlp_trainer *trainer;
    CHECK(mlp_trainer_new(&trainer, net, &o, 1) == MLP_OK);
    CHECK(mlp_trainer_step(trainer, &X, &G, NULL, 1, &c) == MLP_OK && c == 0.0);
    CHECK(same_bits(P, a, before));
    mlp_trainer_free(trainer);
    mlp_network_free(net);
}

/* The caller's derivatives by the outputs, with weights of either sign: rows of the Jacobian, summed. */
static void test_slopes(const struct mlp_kernels *k, enum mlp_activation g)
{
    static double j[N * ML * P];
    double a[P], s[N], cost = 1.0, gradient[P], scaling[MLP_SCALING(M0, ML)] = {0.0, 1.0};
    fill(P, a);
    fill(N, s);
    struct mlp_network *net = network(a, k, g, MLP_SQUARED_ERROR);
    for (size_t i = 2; i < sizeof scaling / sizeof *scaling; i++)
        scaling[i] = 1.5 + 0.25 * (double)i;
    mlp_network_set_scaling(net, scaling);
    struct mlp_matrix X = matrix(x, M0), E = matrix(y, ML), S = matrix(s, 1);
    E.kind = MLP_SLOPES;
    const struct mlp_problem problem = {.weights = &S};
    CHECK(mlp_objective(net, &problem, &X, &E, N, 2, &cost, gradient) == MLP_OK && cost == 0.0);
    CHECK(mlp_jacobian(net, &X, N, 0, j) == MLP_OK);
    for (size_t p = 0; p < P; p++) {
        double sum = 0.0;
        for (size_t i = 0; i < N * ML; i++)
            sum += s[i / ML] * y[i] * j[i * P + p];
        CHECK(fabs(gradient[p] - sum) <= 1e-12 * (1.0 + fabs(sum)));
    }
    mlp_network_free(net);
}

int main(void)
{
    fill(N * M0, x);
    fill(N * ML, y);
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        test_apply(k, MLP_GRADIENT_DESCENT);
        test_apply(k, MLP_ADAM);
        test_gaps(k, MLP_IDENTITY, MLP_SQUARED_ERROR);
        test_gaps(k, MLP_SOFTMAX, MLP_SQUARED_ERROR);
        test_gaps(k, MLP_SOFTMAX, MLP_CROSS_ENTROPY);
        test_gaps(k, MLP_SIGMOID, MLP_BINARY_CROSS_ENTROPY);
        test_gaps(k, MLP_EXPONENTIAL, MLP_POISSON);
        test_slopes(k, MLP_IDENTITY);
        test_slopes(k, MLP_GELU);
        test_slopes(k, MLP_SOFTMAX);
    }
    return report("test_trainer");
}
