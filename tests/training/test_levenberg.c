/* Levenberg-Marquardt as a whole: the same bits for every ISA with FMA, number of threads, chunk and
 * length of the slices; any allocation may fail and leaves the network as it was. */
#include "allocations.h"
#include "check.h"

#include "mlp.h"

enum { N = 150, M0 = 3, M1 = 11, M2 = 4, MOST = 120, EPOCHS = 5 };

struct run {
    enum mlp_status status;
    double parameters[MOST], history[EPOCHS];
};

/* A fit from fixed data; `work` for each call of mlp_fit_run. */
static struct run run(const struct mlp_kernels *k, size_t n, struct mlp_levenberg options,
                      int softmax, size_t n_threads, size_t chunk, double work)
{
    const size_t layers[3] = {M0, M1, M2};
    const enum mlp_activation g[2] = {MLP_TANH, softmax ? MLP_SOFTMAX : MLP_IDENTITY};
    const enum mlp_loss loss = softmax ? MLP_CROSS_ENTROPY : MLP_SQUARED_ERROR;
    static double x[N * M0], y[N * M2];
    struct run result;
    memset(&result, 0, sizeof result);
    state = 12345;
    fill(N * M0, x);
    fill(N * M2, y);
    for (size_t i = 0; i < N * M2 && softmax; i++)
        y[i] = i % M2 == i / M2 % M2 ? 1.0 : 0.0;
    struct mlp_network *net = NULL;
    struct mlp_fit *fit = NULL;
    result.status = mlp_network_new(&net, k, 2, layers, g, loss);
    if (result.status != MLP_OK)
        return result;
    const size_t P = mlp_network_n_parameters(net);
    fill(P, result.parameters);
    double before[MOST];
    memcpy(before, result.parameters, sizeof before);
    mlp_network_set_parameters(net, result.parameters);
    mlp_network_set_tuning(net, chunk, 1.0);
    const struct mlp_matrix mx = matrix(x, M0), my = matrix(y, M2);
    const struct mlp_fit_options o = {.solver = MLP_LEVENBERG_MARQUARDT,
                                      .goal = -HUGE_VAL,
                                      .n_threads = n_threads,
                                      .levenberg = options};
    result.status = mlp_fit_new(&fit, net, &mx, &my, n, &o);
    allowed = -1;
    if (result.status == MLP_OK) {
        size_t recorded, done = 0;
        enum mlp_event event = MLP_PAUSED;
        while (event == MLP_PAUSED) {
            const struct mlp_history costs = costs_only(result.history + done);
            event = mlp_fit_run(fit, EPOCHS, work, EPOCHS, &costs, &recorded);
            done += recorded;
        }
        CHECK(event == MLP_EPOCH && done == EPOCHS);
        struct mlp_fit_report r;
        mlp_fit_describe(fit, &r);
        CHECK(r.cost == result.history[EPOCHS - 1] && r.cost < r.initial_cost);
        double cost;
        CHECK(cost_of(net, &mx, &my, n, 1, &cost, NULL) == MLP_OK && cost == r.cost);
    } else {
        CHECK(same_bits(P, before, result.parameters));
    }
    mlp_fit_free(fit);
    mlp_network_free(net);
    return result;
}

static int same(const struct run *a, const struct run *b)
{
    return same_bits(MOST, a->parameters, b->parameters) &&
           same_bits(EPOCHS, a->history, b->history);
}

int main(void)
{
    struct mlp_levenberg cases[6];
    for (int i = 0; i < 6; i++)
        cases[i] = (struct mlp_levenberg){.rule = (enum mlp_damping)(i % 3),
                                          .diagonal = i != 3,
                                          .geodesic = i == 2 || i == 4,
                                          .damping = i % 3 == 2 ? 100.0 : 1e-2,
                                          .decrease = 0.1,
                                          .increase = 10.0,
                                          .max_damping = 1e10};
    cases[3].bayesian = 1;
    for (int softmax = 0; softmax < 2; softmax++) {
        for (int c = 0; c < 6; c++) {
            if (softmax && (cases[c].bayesian || cases[c].geodesic))
                continue;
            /* More errors than parameters, and fewer. */
            for (size_t n = N; n > 0; n = n == N ? 15 : 0) {
                const struct mlp_kernels *best = mlp_isa_best();
                const struct run first = run(best, n, cases[c], softmax, 1, 0, HUGE_VAL);
                CHECK(first.status == MLP_OK);
                for (size_t i = 0; mlp_isa(i) != NULL; i++) {
                    if (!mlp_isa_supported(mlp_isa(i)))
                        continue;
                    const struct run r = run(mlp_isa(i), n, cases[c], softmax, 2, 0, HUGE_VAL);
                    CHECK(strcmp(mlp_isa_name(mlp_isa(i)), "base") == 0 || same(&r, &first));
                }
                const struct run threads = run(best, n, cases[c], softmax, 3, 0, 1.0);
                CHECK(same(&threads, &first));
                const struct run chunk = run(best, n, cases[c], softmax, 2, 7, 1e4);
                CHECK(same(&chunk, &first));
                enum mlp_status status = MLP_NO_MEMORY;
                for (long refused = 0; status != MLP_OK; refused++) {
                    CHECK(refused < 100);
                    allowed = refused;
                    const struct run r = run(best, n, cases[c], softmax, 1, 0, HUGE_VAL);
                    status = r.status;
                    allowed = -1;
                    CHECK(status == MLP_NO_MEMORY || refused > 3);
                    if (status == MLP_OK)
                        CHECK(same(&r, &first));
                }
            }
        }
    }
    return report("test_levenberg");
}
