/* Single rows and predictors: the bits of mlp_predict, narrow and wide, deep and shallow; no
 * allocation in a call; nothing read or written beyond the arrays; the network may go before its
 * predictor; memory that runs out leaves nothing behind. Long predictions ask whether to go on. */
#include "allocations.h"
#include "check.h"

#include "mlp.h"

#include <fenv.h>

enum { MAX_LAYERS = 5, MAX_ROWS = 300 };

/* L and m^(0)..m^(L). Layers of 256 units are the widest for which rows stay on the stack; 300
 * inputs and 257 units take products in two blocks. */
static const size_t SHAPES[][2 + MAX_LAYERS] = {
    {1, 1, 1},         {1, 5, 3},          {2, 2, 2, 1},     {3, 5, 13, 9, 3},
    {2, 300, 256, 7},  {2, 3, 257, 1},     {2, 2, 3, 257},   {3, 4, 300, 257, 2},
    {2, 257, 17, 256}, {4, 1, 9, 1, 8, 1}, {2, 64, 128, 10},
};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

static const size_t ROWS[] = {1, 2, 40, MAX_ROWS};

static struct mlp_network *network(const struct mlp_kernels *k, const size_t *shape,
                                   double **parameters)
{
    const enum mlp_activation g[] = {MLP_TANH, MLP_SIGMOID, MLP_RELU, MLP_SIGMOID};
    struct mlp_network *net = NULL;
    CHECK(mlp_network_new(&net, k, shape[0], shape + 1, g, MLP_SQUARED_ERROR) == MLP_OK);
    const size_t P = mlp_network_n_parameters(net);
    *parameters = malloc(P * sizeof **parameters);
    fill(P, *parameters);
    mlp_network_set_parameters(net, *parameters);
    return net;
}

static void test_bits(const struct mlp_kernels *k, const size_t *shape, size_t n)
{
    const size_t m0 = shape[1], mL = shape[1 + shape[0]];
    double *parameters;
    struct mlp_network *net = network(k, shape, &parameters);
    void *bases[2];
    size_t sizes[2];
    double *x = guarded(n * m0, &bases[0], &sizes[0]), *y = guarded(n * mL, &bases[1], &sizes[1]);
    double *expected = malloc(n * mL * sizeof *expected), *row = malloc(mL * sizeof *row);
    fill(n * m0, x);
    const struct mlp_matrix X = matrix(x, m0);

    struct mlp_predictor *p = NULL;
    CHECK(mlp_predictor_new(&p, net, n, &sizes) == MLP_OK);
    CHECK(mlp_predictor_owner(p) == &sizes);
    for (int time = 0; time < 3; time++) {
        CHECK(mlp_predict(net, &X, n, 0, 1, expected) == MLP_OK);
        for (size_t i = 0; i < n; i++) {
            CHECK(mlp_predict_row(net, x + i * m0, row) == MLP_OK);
            CHECK(same_bits(mL, row, expected + i * mL));
        }
        memset(y, 0xff, n * mL * sizeof *y);
        const long before = allocations;
        mlp_predictor_call(x, y, p);
        CHECK(allocations == before);
        CHECK(same_bits(n * mL, y, expected));
        parameters[0] += 0.5; /* they are read live */
        x[0] = -x[0];
    }

    /* Without its network, and under another rounding mode, which stays the caller's. */
    CHECK(mlp_predict(net, &X, n, 0, 1, expected) == MLP_OK);
    mlp_network_free(net);
    const int mode = fegetround();
    const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (size_t r = 0; r < 3; r++) {
        fesetround(modes[r]);
        mlp_predictor_call(x, y, p);
        const double scalar = n == 1 && mL == 1 ? mlp_predictor_scalar((int)m0, x, p) : expected[0];
        const int after = fegetround();
        fesetround(mode);
        CHECK(after == modes[r]);
        CHECK(same_bits(n * mL, y, expected));
        CHECK(same_bits(1, &scalar, expected));
    }
    if (n == 1 && mL == 1) {
        CHECK(isnan(mlp_predictor_scalar((int)m0 + 1, x, p)));
        CHECK(isnan(mlp_predictor_scalar((int)m0 - 1, x, p)));
        CHECK(isnan(mlp_predictor_scalar(-1, x, p)));
    }
    mlp_predictor_free(p);
    free(parameters);
    free(expected);
    free(row);
    release(bases[0], sizes[0]);
    release(bases[1], sizes[1]);
}

/* With its first, second, ... allocation refused, until it gets through. */
static void test_memory(const struct mlp_kernels *k, const size_t *shape, size_t n)
{
    double *parameters;
    struct mlp_network *net = network(k, shape, &parameters);
    enum mlp_status status = MLP_NO_MEMORY;
    long refused = 0;
    for (; status != MLP_OK && refused < 100; refused++) {
        struct mlp_predictor *p = NULL;
        allowed = refused;
        status = mlp_predictor_new(&p, net, n, NULL);
        allowed = -1;
        CHECK(status == MLP_OK || (status == MLP_NO_MEMORY && p == NULL));
        mlp_predictor_free(p);
    }
    CHECK(refused > 1 && refused < 100);
    mlp_network_free(net);
    free(parameters);
}

static int asked, answer;
static int whether(void)
{
    asked++;
    CHECK(fegetround() == FE_UPWARD);
    return answer;
}

/* Of more and more rows, until it takes so long that it asks: whether to go on, with the caller's
 * floating-point state, which it has at the end as well. */
static void test_poll(size_t n_threads)
{
    static const size_t shape[] = {2, 50, 500, 3};
    double *parameters;
    struct mlp_network *net = network(mlp_isa_best(), shape, &parameters);
    int stopped = 0;
    for (size_t n = 2000; !stopped && n < 2000000; n *= 4) {
        double *x = malloc(n * 50 * sizeof *x), *y = malloc(n * 3 * sizeof *y);
        double *expected = malloc(n * 3 * sizeof *expected);
        fill(n * 50, x);
        const struct mlp_matrix X = matrix(x, 50);
        mlp_network_set_poll(net, NULL);
        CHECK(mlp_predict(net, &X, n, 0, n_threads, expected) == MLP_OK);
        mlp_network_set_poll(net, whether);
        fesetround(FE_UPWARD);
        answer = 0;
        CHECK(mlp_predict(net, &X, n, 0, n_threads, y) == MLP_OK);
        CHECK(same_bits(n * 3, y, expected));
        CHECK(fegetround() == FE_UPWARD);
        const int before = asked;
        answer = 1;
        const enum mlp_status status = mlp_predict(net, &X, n, 0, n_threads, y);
        stopped = asked > before;
        CHECK(asked - before <= 1);
        CHECK(status == (stopped ? MLP_STOPPED : MLP_OK));
        CHECK(fegetround() == FE_UPWARD);
        fesetround(FE_TONEAREST);
        free(x);
        free(y);
        free(expected);
    }
    CHECK(stopped);
    mlp_network_free(net);
    free(parameters);
}

int main(void)
{
    test_poll(1);
    test_poll(2);
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        for (size_t s = 0; s < N_SHAPES; s++) {
            for (size_t r = 0; r < sizeof ROWS / sizeof ROWS[0]; r++) {
                test_bits(k, SHAPES[s], ROWS[r]);
                test_memory(k, SHAPES[s], ROWS[r]);
            }
        }
    }
    return report("test_predict");
}
