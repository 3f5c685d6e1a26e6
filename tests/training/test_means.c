/* Mini-batches whose objective is their mean, in an order that is given, over rows that change: against
 * the same steps by mlp_objective, batch by batch. */
#include "check.h"

#include "mlp.h"

enum { M0 = 3, ML = 2, P = (M0 + 1) * 7 + (7 + 1) * ML, MOST = 40, BATCH = 8 };

static double parameters[P], expected[P];
static const double L2 = 0.3, RATE = 0.01;

static struct mlp_network *network(double *at)
{
    const size_t layers[] = {M0, 7, ML};
    const enum mlp_activation g[] = {MLP_TANH, MLP_IDENTITY};
    struct mlp_network *net;
    CHECK(mlp_network_new(&net, mlp_isa_best(), 2, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    mlp_network_set_parameters(net, at);
    mlp_network_set_tuning(net, 5, 1.0); /* several chunks a batch, and threads at once */
    return net;
}

/* One epoch of plain descent on `twin`, whose parameters are `expected`; returns its cost. */
static double epoch(const struct mlp_network *twin, const double *x, const double *y,
                    const double *s, const size_t *order, size_t n)
{
    double bx[BATCH * M0], by[BATCH * ML], bs[BATCH], gradient[P], total = 0.0;
    for (size_t begin = 0; begin < n; begin += BATCH) {
        const size_t rows = n - begin < BATCH ? n - begin : BATCH;
        double sum = 0.0, cost;
        for (size_t i = 0; i < rows; i++) {
            const size_t from = order != NULL ? order[begin + i] : begin + i;
            memcpy(bx + i * M0, x + from * M0, M0 * sizeof *bx);
            memcpy(by + i * ML, y + from * ML, ML * sizeof *by);
            bs[i] = s != NULL ? s[from] : 1.0;
            sum += bs[i];
        }
        if (!(sum > 0.0))
            continue;
        const struct mlp_matrix X = matrix(bx, M0), Y = matrix(by, ML), S = matrix(bs, 1);
        const struct mlp_problem problem = {.weights = &S, .l2 = L2};
        CHECK(mlp_objective(twin, &problem, &X, &Y, rows, 1, &cost, gradient) == MLP_OK);
        for (size_t j = 0; j < P; j++)
            expected[j] -= RATE * gradient[j] / sum;
        total += (double)rows * cost / sum;
    }
    return total;
}

static int close_to(size_t n, const double *a, const double *b)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(a[i] - b[i]) <= 1e-12))
            return 0;
    }
    return 1;
}

static void shuffle(size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = random_size(i) - 1, other = order[i - 1];
        order[i - 1] = order[j];
        order[j] = other;
    }
}

/* A guard page follows each array of each size. */
static void test_rows_that_change(size_t n_threads)
{
    static const size_t sizes[] = {MOST, 17, BATCH, 3, 1, 33};
    struct mlp_network *net = network(parameters), *twin = network(expected);
    struct mlp_fit *fit = NULL;
    fill(P, parameters);
    memcpy(expected, parameters, sizeof parameters);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        void *base[3];
        size_t size[3];
        double *x = guarded(n * M0, &base[0], &size[0]), *y = guarded(n * ML, &base[1], &size[1]);
        double *s = guarded(n, &base[2], &size[2]);
        size_t order[MOST];
        fill(n * M0, x);
        fill(n * ML, y);
        for (size_t i = 0; i < n; i++)
            s[i] = i < BATCH && k == 1 ? 0.0 : fabs(random_value());
        shuffle(n, order);
        if (k == 1) { /* a batch without weight */
            for (size_t i = 0; i < n; i++)
                order[i] = i;
        }
        const struct mlp_matrix X = matrix(x, M0), Y = matrix(y, ML), S = matrix(s, 1);
        const int weighted = k % 2 == 1;
        const size_t *in_order = k == 3 ? NULL : order;
        if (fit == NULL) {
            const struct mlp_fit_options o = {.descent = {RATE, 0.0, 0},
                                              .problem = {.l2 = L2},
                                              .batch_size = BATCH,
                                              .order = in_order,
                                              .mean = 1,
                                              .goal = -INFINITY,
                                              .n_threads = n_threads};
            CHECK(mlp_fit_new(&fit, net, &X, &Y, n, &o) == MLP_OK);
        } else {
            CHECK(mlp_fit_replace(fit, &X, &Y, weighted ? &S : NULL, n, in_order));
        }
        double cost[512];
        size_t recorded = 0;
        const struct mlp_history h = costs_only(cost);
        enum mlp_event event = MLP_PAUSED;
        while (event == MLP_PAUSED) { /* as little as can be at a time */
            event = mlp_fit_run(fit, k + 1, 1.0, 1, &h, &recorded);
            CHECK(event == MLP_EPOCH || !mlp_fit_replace(fit, &X, &Y, NULL, n, NULL));
        }
        CHECK(event == MLP_EPOCH && recorded == 1);
        const double wanted = epoch(twin, x, y, weighted ? s : NULL, in_order, n);
        CHECK(fabs(cost[0] - wanted) <= 1e-11);
        CHECK(close_to(P, parameters, expected));
        for (int i = 0; i < 3; i++)
            release(base[i], size[i]);
    }
    mlp_fit_free(fit);
    mlp_network_free(net);
    mlp_network_free(twin);
}

int main(void)
{
    for (size_t n_threads = 1; n_threads <= 3; n_threads++)
        test_rows_that_change(n_threads);
    return report("test_means");
}
