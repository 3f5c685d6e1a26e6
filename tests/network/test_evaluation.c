/* C and its gradient in parts: the bits of mlp_objective, however small the parts are and whoever else
 * computes; and what happens where memory runs out. */
#include "check.h"

#include "allocations.h"

enum { M0 = 3, ML = 2, P = (M0 + 1) * 7 + (7 + 1) * ML, MOST = 700 };
static const size_t ROWS[] = {1, 40, MOST};
static const double WORK[] = {1.0, 1e4, 1e6, (double)INFINITY};

static double parameters[P], x[MOST * M0], y[MOST * ML], s[MOST];

static struct mlp_network *network(const struct mlp_kernels *k)
{
    const size_t layers[] = {M0, 7, ML};
    const enum mlp_activation g[] = {MLP_TANH, MLP_IDENTITY};
    struct mlp_network *net;
    CHECK(mlp_network_new(&net, k, 2, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    mlp_network_set_parameters(net, parameters);
    mlp_network_set_tuning(net, 5, 1.0); /* several chunks, and threads at once */
    return net;
}

static void test_bits(const struct mlp_network *net, size_t n, size_t n_threads, int with_gradient)
{
    const struct mlp_matrix X = matrix(x, M0), Y = matrix(y, ML), S = matrix(s, 1);
    const struct mlp_problem problem = {.weights = &S, .l1 = 0.1, .l2 = 0.3};
    double expected[P], gradient[P], cost, C = 0.0;
    double *to = with_gradient ? gradient : NULL;
    CHECK(mlp_objective(net, &problem, &X, &Y, n, 1, &cost, expected) == MLP_OK);
    for (size_t i = 0; i < sizeof WORK / sizeof WORK[0]; i++) {
        struct mlp_evaluation *e = NULL;
        size_t parts = 1;
        CHECK(mlp_evaluation_new(&e, net, &problem, &X, &Y, n, n_threads, to) == MLP_OK);
        while (!mlp_evaluation_advance(e, WORK[i], &C))
            parts++;
        CHECK(i > 0 || n < MOST || parts > 2);
        CHECK(i < 3 || parts == 1);
        CHECK(same_bits(1, &C, &cost));
        CHECK(to == NULL || same_bits(P, gradient, expected));
        mlp_evaluation_free(e);
        /* One that is given up. */
        CHECK(mlp_evaluation_new(&e, net, &problem, &X, &Y, n, n_threads, to) == MLP_OK);
        mlp_evaluation_advance(e, 1.0, &C);
        mlp_evaluation_free(e);
    }
}

static void test_memory(const struct mlp_network *net, size_t n)
{
    const struct mlp_matrix X = matrix(x, M0), Y = matrix(y, ML);
    const struct mlp_problem problem = {0};
    double gradient[P];
    enum mlp_status status = MLP_NO_MEMORY;
    long refused = 0;
    for (; status != MLP_OK && refused < 100; refused++) {
        struct mlp_evaluation *e = NULL;
        allowed = refused;
        status = mlp_evaluation_new(&e, net, &problem, &X, &Y, n, 2, gradient);
        allowed = -1;
        CHECK(status == MLP_OK || (status == MLP_NO_MEMORY && e == NULL));
        mlp_evaluation_free(e);
    }
    CHECK(refused > 1 && refused < 100);
}

int main(void)
{
    fill(P, parameters);
    fill(MOST * M0, x);
    fill(MOST * ML, y);
    for (size_t i = 0; i < MOST; i++)
        s[i] = fabs(random_value());
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        if (!mlp_isa_supported(mlp_isa(i)))
            continue;
        struct mlp_network *net = network(mlp_isa(i));
        for (size_t r = 0; r < sizeof ROWS / sizeof ROWS[0]; r++) {
            for (size_t threads = 1; threads <= 3; threads += 2) {
                test_bits(net, ROWS[r], threads, 0);
                test_bits(net, ROWS[r], threads, 1);
            }
            test_memory(net, ROWS[r]);
        }
        mlp_network_free(net);
    }
    return report("test_evaluation");
}
