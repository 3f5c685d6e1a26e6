/* Steps on single instances and the epochs of the smallest networks, which run inside one kernel,
 * against the gradients of mlp_objective and plain steps along them: parameters, costs and norms, bit for
 * bit; and every way in which such a fit can end. */
#include "harness.h"

struct problem {
    struct mlp_network *net;
    const struct mlp_kernels *kernels;
    size_t P, n, m0, mL;
    double *parameters, *x, *y;
    void *base[3];
    size_t size[3];
    struct mlp_matrix X, Y;
};

/* Guard pages behind all arrays; rows `extra` doubles apart. */
static struct problem problem(const struct mlp_kernels *k, size_t L, const size_t *layers,
                              const enum mlp_activation *g, enum mlp_loss loss, size_t n,
                              size_t extra)
{
    struct problem p = {.kernels = k, .n = n, .m0 = layers[0], .mL = layers[L]};
    CHECK(mlp_network_new(&p.net, k, L, layers, g, loss) == MLP_OK);
    p.P = mlp_network_n_parameters(p.net);
    const size_t row = p.m0 + extra;
    p.parameters = guarded(p.P, &p.base[0], &p.size[0]);
    p.x = guarded(n * row, &p.base[1], &p.size[1]);
    p.y = guarded(n * p.mL, &p.base[2], &p.size[2]);
    fill(p.P, p.parameters);
    fill(n * row, p.x);
    fill(n * p.mL, p.y);
    for (size_t i = 0; i < n * p.mL; i++)
        p.y[i] = fabs(p.y[i]);
    mlp_network_set_parameters(p.net, p.parameters);
    p.X = matrix(p.x, row);
    p.X.columns = p.m0;
    p.Y = matrix(p.y, p.mL);
    return p;
}

static void problem_free(struct problem *p)
{
    mlp_network_free(p->net);
    for (int i = 0; i < 3; i++)
        release(p->base[i], p->size[i]);
}

static struct problem random_problem(const struct mlp_kernels *k, int tiny)
{
    static const enum mlp_activation all[] = {MLP_SIGMOID, MLP_TANH, MLP_RELU, MLP_IDENTITY};
    const size_t widest = random_bits() % 4 ? 24 : 150;
    size_t layers[5] = {2, 2, 1, 0, 0};
    enum mlp_activation g[4];
    enum mlp_loss loss = MLP_SQUARED_ERROR;
    const size_t L = tiny ? 2 : random_size(4);
    for (size_t l = 0; l < L; l++)
        g[l] = all[random_bits() % 4];
    for (size_t l = 0; !tiny && l <= L; l++)
        layers[l] = random_size(widest);
    if (!tiny && random_bits() % 2) {
        const int one = random_bits() % 2 == 0;
        g[L - 1] = one ? MLP_SIGMOID : MLP_SOFTMAX;
        loss = one                 ? MLP_BINARY_CROSS_ENTROPY
               : random_bits() % 2 ? MLP_CROSS_ENTROPY
                                   : MLP_SQUARED_ERROR;
    }
    struct problem p = problem(k, L, layers, g, loss, random_size(12), random_bits() % 4 ? 0 : 3);
    /* Sums beyond the limits of sigmoid's argument, where a layer has no gradient any more. */
    const int far = tiny && (g[0] == MLP_SIGMOID || g[0] == MLP_TANH) && random_bits() % 4 == 0;
    for (size_t i = 0; far && i < p.n * p.m0; i++)
        p.x[i] *= 200.0;
    return p;
}

static double norm(const struct problem *p, const double *g)
{
    return sqrt(p->kernels->sum_squares(p->P, g));
}

/* The step that the fit is to take, on row i; returns the cost before it. */
static double plain_step(struct problem *p, size_t i, double alpha, double *gradient)
{
    struct mlp_matrix x = p->X, y = p->Y;
    double cost;
    x.data += (ptrdiff_t)i * x.row_stride;
    y.data += (ptrdiff_t)i * y.row_stride;
    CHECK(cost_of(p->net, &x, &y, 1, 1, &cost, gradient) == MLP_OK);
    p->kernels->descend(p->P, alpha, gradient, p->parameters);
    return cost;
}

static void test_online(const struct mlp_kernels *k, int tiny)
{
    enum { EPOCHS = 3 };
    struct problem p = random_problem(k, tiny);
    const double alpha = 0.01 / (double)p.P; /* no cost of any of these networks overflows */
    const int shuffle = random_bits() % 2 == 0;
    double *start = malloc(p.P * sizeof *start), *end = malloc(p.P * sizeof *end);
    double *gradient = malloc(p.P * sizeof *gradient), expected[EPOCHS], history[EPOCHS], cost;
    size_t *order = malloc(p.n * sizeof *order), done = 0, recorded;
    struct mlp_stream stream = {{1, random_bits()}, 0};
    const struct mlp_fit_options options = {
        .descent = {alpha, 0.0, 0},
        .batch_size = 1,
        .shuffle = shuffle,
        .stream = stream,
        .goal = -INFINITY,
        .n_threads = 1,
    };
    memcpy(start, p.parameters, p.P * sizeof *start);
    for (size_t epoch = 0; epoch < EPOCHS; epoch++) {
        struct mlp_pair sum = {0.0, 0.0};
        for (size_t i = 0; i < p.n; i++)
            order[i] = i;
        if (shuffle)
            mlp_random_permutation(&stream, p.n, order);
        for (size_t i = 0; i < p.n; i++) {
            const struct mlp_pair c = {plain_step(&p, order[i], alpha, gradient), 0.0};
            sum = mlp_pair_add(sum, c);
        }
        expected[epoch] = mlp_pair_normalise(sum).high;
    }
    memcpy(end, p.parameters, p.P * sizeof *end);

    for (int sliced = 0; sliced < 2; sliced++) {
        struct mlp_fit *fit;
        struct mlp_fit_report report;
        memcpy(p.parameters, start, p.P * sizeof *start);
        CHECK(mlp_fit_new(&fit, p.net, &p.X, &p.Y, p.n, &options) == MLP_OK);
        for (done = 0; done < EPOCHS; done += recorded) {
            const struct mlp_history costs = costs_only(history + done);
            CHECK(mlp_fit_run(fit, EPOCHS, sliced ? 1.0 : 1e300, EPOCHS, &costs, &recorded) <=
                  MLP_EPOCH);
        }
        mlp_fit_describe(fit, &report);
        CHECK(same_bits(p.P, end, p.parameters) && same_bits(EPOCHS, expected, history));
        CHECK(report.epochs == EPOCHS && report.gradient_norm == norm(&p, gradient));
        mlp_fit_free(fit);
    }

    struct mlp_trainer *trainer;
    CHECK(mlp_trainer_new(&trainer, p.net, &options, 1) == MLP_OK);
    for (size_t i = 0; i < p.n; i++) {
        struct mlp_matrix x = p.X, y = p.Y;
        memcpy(p.parameters, start, p.P * sizeof *start);
        const double before = plain_step(&p, i, alpha, gradient);
        memcpy(end, p.parameters, p.P * sizeof *end);
        memcpy(p.parameters, start, p.P * sizeof *start);
        x.data += (ptrdiff_t)i * x.row_stride;
        y.data += (ptrdiff_t)i * y.row_stride;
        CHECK(mlp_trainer_step(trainer, &x, &y, NULL, 1, &cost) == MLP_OK && cost == before);
        CHECK(same_bits(p.P, end, p.parameters));
        memcpy(start, end, p.P * sizeof *start);
    }
    mlp_trainer_free(trainer);
    free(start);
    free(end);
    free(gradient);
    free(order);
    problem_free(&p);
}

struct outcome {
    enum mlp_event event;
    double cost[400], none[400], rate[400], norm[400], seconds[400], parameters[9];
    struct mlp_fit_report report;
    size_t recorded;
};

static struct outcome outcome(struct problem *p, const struct mlp_fit_options *options,
                              const double *start, size_t chunk, double work)
{
    struct outcome o = {.event = MLP_PAUSED};
    struct mlp_fit *fit;
    size_t recorded;
    memcpy(p->parameters, start, p->P * sizeof *start);
    mlp_network_set_tuning(p->net, chunk, 0.0);
    CHECK(mlp_fit_new(&fit, p->net, &p->X, &p->Y, p->n, options) == MLP_OK);
    while (o.event == MLP_PAUSED) {
        const struct mlp_history rest = {o.cost + o.recorded, o.none + o.recorded,
                                         o.rate + o.recorded, o.norm + o.recorded,
                                         o.seconds + o.recorded};
        o.event = mlp_fit_run(fit, 300, work, 400 - o.recorded, &rest, &recorded);
        o.recorded += recorded;
    }
    mlp_fit_describe(fit, &o.report);
    mlp_fit_free(fit);
    memcpy(o.parameters, p->parameters, p->P * sizeof *start);
    return o;
}

/* Whole fits of a full batch, however they end, against those whose chunks are too small for the
 * kernel. */
static void test_epochs(const struct mlp_kernels *k)
{
    struct problem p = random_problem(k, 1);
    const struct mlp_stream stream = {{1, 2}, 0};
    const double rates[] = {0.1, 0.5, 3.0, 1e100}, tols[] = {0.0, 1e-4, 1e-8};
    const double tol = tols[random_bits() % 3], goal = random_bits() % 2 ? 0.05 : -INFINITY;
    const struct mlp_fit_options options = {
        .descent = {rates[random_bits() % 4], 0.0, 0},
        .stream = stream,
        .tol = tol,
        .goal = goal,
        .n_threads = 1,
    };
    double start[9];
    memcpy(start, p.parameters, sizeof start);
    if (p.n > 1) {
        const struct outcome general = outcome(&p, &options, start, p.n - 1, 1e300);
        for (int sliced = 0; sliced < 2; sliced++) {
            const struct outcome o = outcome(&p, &options, start, 0, sliced ? 5000.0 : 1e300);
            CHECK(o.event == general.event && o.recorded == general.recorded);
            CHECK(same_bits(o.recorded, o.cost, general.cost));
            CHECK(same_bits(o.recorded, o.norm, general.norm));
            CHECK(same_bits(o.recorded, o.rate, general.rate));
            for (size_t e = 0; e < o.recorded; e++)
                CHECK(o.rate[e] == options.descent.learning_rate && o.seconds[e] >= 0.0);
            if (o.recorded > 0 && o.event != MLP_DIVERGED)
                CHECK(o.norm[o.recorded - 1] == o.report.gradient_norm);
            CHECK(same_bits(p.P, o.parameters, general.parameters));
            CHECK(o.report.epochs == general.report.epochs);
            CHECK(same_bits(1, &o.report.cost, &general.report.cost));
            CHECK(same_bits(1, &o.report.gradient_norm, &general.report.gradient_norm));
        }
    }
    problem_free(&p);
}

/* An online fit whose cost overflows ends where the epoch began. */
static void test_divergence(const struct mlp_kernels *k)
{
    for (int tiny = 0; tiny < 2; tiny++) {
        const size_t layers[] = {2, tiny ? 2 : 3, 1};
        const enum mlp_activation g[] = {MLP_IDENTITY, MLP_IDENTITY};
        struct problem p = problem(k, 2, layers, g, MLP_SQUARED_ERROR, 40, 0);
        double start[13], unused[2];
        size_t recorded;
        memcpy(start, p.parameters, p.P * sizeof *start);
        const struct mlp_fit_options options = {
            .descent = {1e6, 0.0, 0},
            .batch_size = 1,
            .stream = {{1, 2}, 0},
            .goal = -INFINITY,
            .n_threads = 1,
        };
        struct mlp_fit *fit;
        struct mlp_fit_report report;
        CHECK(mlp_fit_new(&fit, p.net, &p.X, &p.Y, p.n, &options) == MLP_OK);
        const struct mlp_history history = costs_only(unused);
        CHECK(mlp_fit_run(fit, 2, 1e300, 2, &history, &recorded) == MLP_DIVERGED && recorded == 0);
        mlp_fit_describe(fit, &report);
        CHECK(same_bits(p.P, start, p.parameters) && isnan(report.gradient_norm));
        mlp_fit_free(fit);
        problem_free(&p);
    }
}

static void test_steps(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 300; trial++)
        test_online(k, trial % 3 == 0);
}

static void test_fits(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 300; trial++)
        test_epochs(k);
}

/* A network of m0 inputs, m1 hidden units and one output; and as many doubles as any kernel asks for. */
enum { MOST_INPUTS = 10, MOST_UNITS = 32, MOST_P = (MOST_INPUTS + 2) * MOST_UNITS + 1 };
enum { SCRATCH = 64 * (MOST_UNITS + 8), INSTANCES = 100 };

/* An element is one instance. */
static void time_online(const struct mlp_kernels *k)
{
    static const struct {
        const char *label;
        size_t m0, m1;
    } cases[] = {{"2-2-1", 2, 2}, {"10-32-1", MOST_INPUTS, MOST_UNITS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t m0 = cases[i].m0, m1 = cases[i].m1;
        const struct mlp_layer layers[2] = {{m0, m1, 0, MLP_SIGMOID, 0, 0.0},
                                            {m1, 1, (m0 + 1) * m1, MLP_SIGMOID, 0, 0.0}};
        const struct mlp_shape shape = {layers, 2, m1, MLP_SQUARED_ERROR, 0.0};
        struct array x = room(INSTANCES * m0), y = room(INSTANCES), w = room((m0 + 2) * m1 + 1);
        struct array scratch = room(SCRATCH);
        struct mlp_pair cost = {0.0, 0.0};
        TIME(cases[i].label, INSTANCES,
             k->online(&shape, 1e-9, INSTANCES, x.p, y.p, NULL, w.p, NULL, &cost, scratch.p));
        release(x.base, x.size);
        release(y.base, y.size);
        release(w.base, w.size);
        release(scratch.base, scratch.size);
    }
}

/* An element is one epoch. Vectors that do not hold the four instances leave it to others. */
static void time_epochs(const struct mlp_kernels *k)
{
    enum { N = 4, EPOCHS = 100 };
    const struct mlp_layer layers[2] = {{2, 2, 0, MLP_SIGMOID, 0, 0.0},
                                        {2, 1, 6, MLP_SIGMOID, 0, 0.0}};
    const struct mlp_shape shape = {layers, 2, 2, MLP_SQUARED_ERROR, 0.0};
    const struct mlp_rules rules = {EPOCHS, 0.0, -INFINITY};
    struct array x = room(2 * N), y = room(N), w = room(9), g = room(9);
    struct mlp_pair cost = {0.0, 0.0};
    double costs[EPOCHS], squares[EPOCHS];
    if (k->epochs(&shape, 1e-9, N, x.p, y.p, &rules, w.p, g.p, &cost, costs, squares) == 0)
        not_measured("2-2-1, 4 instances");
    else
        TIME("2-2-1, 4 instances", EPOCHS,
             k->epochs(&shape, 1e-9, N, x.p, y.p, &rules, w.p, g.p, &cost, costs, squares));
    release(x.base, x.size);
    release(y.base, y.size);
    release(w.base, w.size);
    release(g.base, g.size);
}

static const struct row ROWS[] = {
    {"online", time_online, {test_steps, test_divergence}},
    {"epochs", time_epochs, {test_fits, test_divergence}},
};

int main(int argc, char **argv)
{
    return run_rows("test_online", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
