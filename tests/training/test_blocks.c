/* Fits, and costs, of rows of which a few lie in memory at a time: the bits of those that all do, whatever the
 * windows, threads and chunks. */
#include "check.h"

#include "mlp.h"

enum { M0 = 3, ML = 2, P = (M0 + 1) * 7 + (7 + 1) * ML, N = 4400, EPOCHS = 3 };

static double x[N * M0], y[N * ML], s[N];

/* Windows of random sizes in a ring of two; after `fail` of them there is none. */
struct ring {
    struct mlp_blocks blocks;
    size_t most, unit, fail, asked;
    double *x, *y, *s;
    int slot;
};

static int next(void *context, size_t row)
{
    struct ring *r = context;
    struct mlp_blocks *b = &r->blocks;
    CHECK(row == 0 || row == b->end);
    if (++r->asked > r->fail)
        return 1;
    /* What lay there is gone. */
    for (size_t i = 0; i < r->blocks.places * M0; i++)
        r->x[i] = (double)NAN;
    size_t rows = r->unit * random_size(r->most / r->unit);
    rows = rows < N - row ? rows : N - row;
    r->slot = !r->slot;
    b->first = row;
    b->end = row + rows;
    b->at = r->slot ? r->most : 0;
    memcpy(r->x + b->at * M0, x + row * M0, rows * M0 * sizeof *x);
    memcpy(r->y + b->at * ML, y + row * ML, rows * ML * sizeof *y);
    memcpy(r->s + b->at, s + row, rows * sizeof *s);
    return 0;
}

static struct ring ring(size_t most, size_t unit)
{
    struct ring r = {.most = most, .unit = unit, .fail = SIZE_MAX};
    r.x = malloc(2 * most * M0 * sizeof *x);
    r.y = malloc(2 * most * ML * sizeof *y);
    r.s = malloc(2 * most * sizeof *s);
    CHECK(r.x != NULL && r.y != NULL && r.s != NULL);
    r.blocks = (struct mlp_blocks){.next = next, .places = 2 * most};
    return r;
}

static void ring_free(struct ring *r)
{
    free(r->x);
    free(r->y);
    free(r->s);
}

static struct mlp_network *network(double *parameters)
{
    const size_t layers[] = {M0, 7, ML};
    const enum mlp_activation g[] = {MLP_TANH, MLP_IDENTITY};
    struct mlp_network *net;
    CHECK(mlp_network_new(&net, mlp_isa_best(), 2, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    for (size_t j = 0; j < P; j++)
        parameters[j] = sin((double)j);
    mlp_network_set_parameters(net, parameters);
    mlp_network_set_tuning(net, 37, 1.0); /* several chunks, and threads at once */
    return net;
}

/* Trains for some epochs; the cost at the end, NaN where the rows have ended before. */
static double train(struct mlp_network *net, const struct mlp_fit_options *options, struct ring *r)
{
    struct mlp_matrix X = matrix(x, M0), Y = matrix(y, ML), S = matrix(s, 1);
    struct mlp_fit_options o = *options;
    if (r != NULL) {
        X = matrix(r->x, M0);
        Y = matrix(r->y, ML);
        S = matrix(r->s, 1);
        r->blocks.context = r;
        X.blocks = &r->blocks;
    }
    o.problem.weights = &S;
    struct mlp_fit *fit;
    CHECK(mlp_fit_new(&fit, net, &X, &Y, N, &o) == MLP_OK);
    double costs[EPOCHS], cost = (double)NAN, validation;
    const struct mlp_history history = costs_only(costs);
    size_t recorded, epochs = 0;
    enum mlp_event event = MLP_PAUSED;
    while (epochs < EPOCHS && (event == MLP_PAUSED || event == MLP_EPOCH)) {
        event = mlp_fit_run(fit, EPOCHS, 1e5, EPOCHS - epochs, &history, &recorded);
        epochs += recorded;
        if (r != NULL && r->asked > r->fail) {
            CHECK(event == MLP_PAUSED);
            mlp_fit_free(fit);
            return (double)NAN;
        }
    }
    while (!mlp_fit_finish(fit, 1e5, &cost, &validation))
        ;
    mlp_fit_free(fit);
    return cost;
}

static struct mlp_fit_options options(enum mlp_solver solver, size_t batch, int shuffle)
{
    struct mlp_fit_options o = {.solver = solver,
                                .goal = -HUGE_VAL,
                                .n_threads = 3,
                                .batch_size = batch,
                                .shuffle = shuffle,
                                .most = EPOCHS};
    o.descent.learning_rate = 1e-4;
    static const char *const names[] = {"learning_rate", "beta1", "beta2", "epsilon"};
    static const double values[] = {1e-3, 0.9, 0.999, 1e-8};
    for (size_t i = 0; i < 4 && solver == MLP_ADAM; i++)
        mlp_option_set(&o, names[i], values[i]);
    if (solver == MLP_QUICKPROP)
        mlp_option_set(&o, "mu", 1.75);
    if (solver == MLP_LEVENBERG_MARQUARDT) {
        mlp_option_set(&o, "damping", 1e-3);
        mlp_option_set(&o, "increase", 10.0);
        mlp_option_set(&o, "decrease", 0.1);
        mlp_option_set(&o, "max_damping", 1e10);
        mlp_option_set(&o, "geodesic", 1.0);
    }
    return o;
}

int main(void)
{
    static double parameters[P], expected[P];
    struct mlp_network *net = network(parameters);
    fill(N * M0, x);
    for (size_t i = 0; i < N; i++) {
        s[i] = fabs(random_value());
        for (size_t k = 0; k < ML; k++)
            y[i * ML + k] = x[i * M0] * x[i * M0 + 1 + k];
    }
    const struct mlp_fit_options all[] = {options(MLP_GRADIENT_DESCENT, 0, 0),
                                          options(MLP_ADAM, 0, 0),
                                          options(MLP_QUICKPROP, 0, 0),
                                          options(MLP_LEVENBERG_MARQUARDT, 0, 0),
                                          options(MLP_ADAM, 64, MLP_IN_ORDER),
                                          options(MLP_ADAM, 4200, MLP_IN_ORDER),
                                          options(MLP_GRADIENT_DESCENT, 1, 0),
                                          options(MLP_ADAM, 64, MLP_SHUFFLE_BLOCKS),
                                          options(MLP_GRADIENT_DESCENT, 1, MLP_SHUFFLE_BLOCKS)};
    static const size_t most[] = {1, 100, 1500, N};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        mlp_network_free(net);
        net = network(parameters);
        const double cost = train(net, &all[i], NULL);
        memcpy(expected, parameters, sizeof parameters);
        CHECK(isfinite(cost));
        for (size_t k = 0; k < sizeof most / sizeof *most; k++) {
            const int whole = all[i].shuffle == MLP_SHUFFLE_BLOCKS; /* a block has more rows */
            struct ring r = ring(whole ? N : most[k], whole ? N : 1);
            mlp_network_free(net);
            net = network(parameters);
            const double other = train(net, &all[i], &r);
            CHECK(same_bits(1, &cost, &other) && same_bits(P, parameters, expected));
            CHECK(r.asked >= (whole ? 1 : N / most[k]));
            /* The rows end early: nobody hangs, and memory is freed. */
            r.fail = r.asked / 2;
            r.asked = 0;
            r.blocks.first = r.blocks.end = 0;
            mlp_network_free(net);
            net = network(parameters);
            if (r.fail > 0)
                CHECK(isnan(train(net, &all[i], &r)));
            ring_free(&r);
        }
    }
    /* Permutations: each block's own, whatever is drawn with it. */
    uint64_t key[2] = {1, 2};
    size_t order[50], part[50];
    mlp_random_blocks(key, 8, 0, 0, 50, order);
    for (size_t first = 0; first < 50; first += 16) {
        mlp_random_blocks(key, 8, first, 7, 50 - first < 16 ? 50 - first : 16, part);
        for (size_t i = first; i < first + 16 && i < 50; i++) {
            CHECK(order[i] / 8 == i / 8);
            CHECK(part[i - first] - 7 == order[i] - first);
        }
    }
    mlp_network_free(net);
    return report("blocks");
}
