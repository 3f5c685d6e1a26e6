/* The network through mlp.h alone: predictions and gradients do not depend on how the work is cut;
 * slices of a fit are the fit; sizes that overflow are refused; any allocation may fail and leaves
 * nothing behind. */
#include "allocations.h"
#include "check.h"

#include "mlp.h"

/* ---- a network and its data ---- */

enum { N = 4500 }; /* more than the 4096 from which a full batch is summed in ranges */

struct problem {
    struct mlp_network *net;
    double *parameters, *x, *y;
    size_t P, m0, mL;
    struct mlp_matrix X, Y;
};

static struct problem problem(const struct mlp_kernels *k, size_t L, const size_t *layers)
{
    struct problem p = {0};
    const enum mlp_activation g[] = {MLP_TANH, MLP_RELU, MLP_SIGMOID, MLP_SIGMOID};
    CHECK(mlp_network_new(&p.net, k, L, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    p.P = mlp_network_n_parameters(p.net);
    p.m0 = layers[0];
    p.mL = layers[L];
    p.parameters = malloc(p.P * sizeof(double));
    p.x = malloc(N * p.m0 * sizeof(double));
    p.y = malloc(N * p.mL * sizeof(double));
    fill(p.P, p.parameters);
    fill(N * p.m0, p.x);
    fill(N * p.mL, p.y);
    mlp_network_set_parameters(p.net, p.parameters);
    p.X = matrix(p.x, p.m0);
    p.Y = matrix(p.y, p.mL);
    return p;
}

static void problem_free(struct problem *p)
{
    mlp_network_free(p->net);
    free(p->parameters);
    free(p->x);
    free(p->y);
}

static const size_t LAYERS[] = {5, 13, 9, 3};

/* ---- tests ---- */

static void test_chunks(const struct mlp_kernels *k)
{
    struct problem p = problem(k, 3, LAYERS);
    double *g = malloc(p.P * sizeof *g), *h = malloc(p.P * sizeof *h);
    double *out = malloc(N * p.mL * sizeof *out), *row = malloc(p.mL * sizeof *row);
    const size_t ns[] = {1, 7, 100, 4095, N}, chunks[] = {1, 3, 8, 61, 1000};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
        double cost, other;
        mlp_network_set_tuning(p.net, 0, 0.0);
        CHECK(cost_of(p.net, &p.X, &p.Y, ns[i], 1, &cost, g) == MLP_OK);
        CHECK(cost_of(p.net, &p.X, &p.Y, ns[i], 1, &other, NULL) == MLP_OK && other == cost);
        for (size_t j = 0; j < sizeof chunks / sizeof *chunks; j++) {
            mlp_network_set_tuning(p.net, chunks[j], 0.0);
            CHECK(cost_of(p.net, &p.X, &p.Y, ns[i], 1, &other, h) == MLP_OK);
            CHECK(other == cost && same_bits(p.P, g, h));
        }
    }
    CHECK(mlp_predict(p.net, &p.X, N, 0, 1, out) == MLP_OK);
    for (size_t i = 0; i < N; i += 97) {
        const struct mlp_matrix one = matrix(p.x + i * p.m0, p.m0);
        CHECK(mlp_predict(p.net, &one, 1, 0, 1, row) == MLP_OK);
        CHECK(same_bits(p.mL, row, out + i * p.mL));
    }
    free(g);
    free(h);
    free(out);
    free(row);
    problem_free(&p);
}

/* Threads change no bit, however many and however little there is for each. */
static void test_threads(const struct mlp_kernels *k)
{
    static const size_t wide[] = {40, 3, 70, 1};
    const size_t ns[] = {1, 9, 33, 500, N};
    for (size_t w = 0; w < 2; w++) {
        struct problem p = problem(k, 3, w ? wide : LAYERS);
        double *g = malloc(p.P * sizeof *g), *h = malloc(p.P * sizeof *h);
        double *out = malloc(N * p.mL * sizeof *out), *other_out = malloc(N * p.mL * sizeof *out);
        for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
            const size_t n = ns[i];
            double cost, other;
            mlp_network_set_tuning(p.net, 0, 0.0);
            CHECK(cost_of(p.net, &p.X, &p.Y, n, 1, &cost, g) == MLP_OK);
            CHECK(mlp_predict(p.net, &p.X, n, 0, 1, out) == MLP_OK);
            for (size_t threads = 2; threads < 9; threads++) {
                mlp_network_set_tuning(p.net, threads % 2 ? 0 : 16, 1.0);
                CHECK(cost_of(p.net, &p.X, &p.Y, n, threads, &other, h) == MLP_OK);
                CHECK(other == cost && same_bits(p.P, g, h));
                CHECK(cost_of(p.net, &p.X, &p.Y, n, threads, &other, NULL) == MLP_OK);
                CHECK(other == cost);
                CHECK(mlp_predict(p.net, &p.X, n, 0, threads, other_out) == MLP_OK);
                CHECK(same_bits(n * p.mL, out, other_out));
            }
        }
        free(g);
        free(h);
        free(out);
        free(other_out);
        problem_free(&p);
    }
}

/* Rows of x with gaps between them: a thread's share may be a single one, which has none. */
static void test_threads_with_gaps(const struct mlp_kernels *k)
{
    struct problem p = problem(k, 3, LAYERS);
    double *wide = malloc(N * (p.m0 + 2) * sizeof *wide), *h = malloc(p.P * sizeof *h);
    double *g = malloc(p.P * sizeof *g), cost, other;
    struct mlp_matrix gaps = matrix(wide, p.m0);
    gaps.row_stride = (ptrdiff_t)((p.m0 + 2) * sizeof *wide);
    fill(N * (p.m0 + 2), wide);
    for (size_t i = 0; i < N; i++)
        memcpy(wide + i * (p.m0 + 2), p.x + i * p.m0, p.m0 * sizeof *wide);
    for (size_t n = 1; n < 40; n++) {
        CHECK(cost_of(p.net, &p.X, &p.Y, n, 1, &cost, g) == MLP_OK);
        for (size_t threads = 1; threads < 9; threads++) {
            mlp_network_set_tuning(p.net, threads % 2 ? 0 : 16, 1.0);
            CHECK(cost_of(p.net, &gaps, &p.Y, n, threads, &other, h) == MLP_OK);
            CHECK(other == cost && same_bits(p.P, g, h));
        }
    }
    free(wide);
    free(g);
    free(h);
    problem_free(&p);
}

static struct mlp_fit_options options(size_t batch_size)
{
    return (struct mlp_fit_options){
        .descent = {1e-5, 0.5, 1},
        .batch_size = batch_size,
        .shuffle = 1,
        .stream = {{1, 2}, 0},
        .goal = -INFINITY,
        .n_threads = 1,
    };
}

/* Runs a fit to its end in slices of the given work; the costs of its epochs in history. */
static void run(struct problem *p, size_t batch_size, size_t n, double work, size_t capacity,
                size_t epochs, double *history)
{
    struct mlp_fit *fit;
    const struct mlp_fit_options o = options(batch_size);
    CHECK(mlp_fit_new(&fit, p->net, &p->X, &p->Y, n, &o) == MLP_OK);
    size_t done = 0, recorded;
    while (done < epochs) {
        const struct mlp_history costs = costs_only(history + done);
        const enum mlp_event event = mlp_fit_run(fit, epochs, work, capacity, &costs, &recorded);
        CHECK(event == MLP_PAUSED || event == MLP_EPOCH);
        done += recorded;
    }
    struct mlp_fit_report report;
    mlp_fit_describe(fit, &report);
    CHECK(report.epochs == epochs && report.cost == history[epochs - 1]);
    mlp_fit_free(fit);
}

static void test_slices(const struct mlp_kernels *k)
{
    const size_t cases[][2] = {{0, 10}, {0, N}, {7, 50}, {1, 20}, {300, N}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct problem p = problem(k, 3, LAYERS);
        double *start = malloc(p.P * sizeof *start), *end = malloc(p.P * sizeof *end);
        double whole[6], sliced[6];
        memcpy(start, p.parameters, p.P * sizeof *start);
        run(&p, cases[i][0], cases[i][1], 1e300, 6, 6, whole);
        memcpy(end, p.parameters, p.P * sizeof *end);
        memcpy(p.parameters, start, p.P * sizeof *start);
        mlp_network_set_tuning(p.net, 64, 0.0);
        run(&p, cases[i][0], cases[i][1], 1.0, 1, 6, sliced);
        CHECK(same_bits(6, whole, sliced) && same_bits(p.P, p.parameters, end));
        free(start);
        free(end);
        problem_free(&p);
    }
}

static void test_sizes(const struct mlp_kernels *k)
{
    struct mlp_network *net = NULL;
    const enum mlp_activation g[] = {MLP_SIGMOID, MLP_SIGMOID};
    const size_t big = SIZE_MAX / 2;
    const size_t layers[][3] = {{big, big, 1},    {big, 1, big},
                                {1, SIZE_MAX, 1}, {1, 1, SIZE_MAX},
                                {SIZE_MAX, 1, 1}, {(size_t)1 << 31, (size_t)1 << 31, 1}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        CHECK(mlp_network_new(&net, k, 2, layers[i], g, MLP_SQUARED_ERROR) == MLP_TOO_LARGE);
        CHECK(net == NULL);
    }
}

/* Each call with its first, second, ... allocation refused, until it gets through. */
static void test_memory(const struct mlp_kernels *k)
{
    struct problem p = problem(k, 3, LAYERS);
    double *start = malloc(p.P * sizeof *start), *g = malloc(p.P * sizeof *g);
    double *out = malloc(N * p.mL * sizeof *out), cost;
    memcpy(start, p.parameters, p.P * sizeof *start);
    for (int call = 0; call < 11; call++) {
        enum mlp_status status = MLP_NO_MEMORY;
        long refused = 0;
        for (; status != MLP_OK && refused < 100; refused++) {
            struct mlp_network *net = NULL;
            struct mlp_trainer *trainer = NULL;
            struct mlp_fit *fit = NULL;
            struct mlp_fit_options full = options(0), batches = options(8);
            struct mlp_fit_options stepwise = {.descent = {1e-3, 0.5, 0},
                                               .adam = {1e-3, 0.9, 0.999, 1e-8, 0.0, 0}};
            const enum mlp_activation gs[] = {MLP_SIGMOID, MLP_SIGMOID, MLP_SIGMOID};
            static const double dropout[] = {0.5, 0.25};
            allowed = refused;
            switch (call) {
            case 0:
                status = mlp_network_new(&net, k, 3, LAYERS, gs, MLP_SQUARED_ERROR);
                break;
            case 1:
                status = mlp_predict(p.net, &p.X, N, 0, 1, out);
                break;
            case 2:
                status = cost_of(p.net, &p.X, &p.Y, N, 1, &cost, g);
                break;
            case 3:
                status = mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &full);
                break;
            case 4:
                status = mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &batches);
                break;
            case 5:
                full.solver = MLP_RPROP;
                status = mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &full);
                break;
            case 6: /* with a network of its own */
                full.problem.dropout = dropout;
                status = mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &full);
                break;
            case 7:
                batches.problem.dropout = dropout;
                status = mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &batches);
                break;
            default:
                stepwise.solver = call == 9 ? MLP_ADAM : MLP_GRADIENT_DESCENT;
                stepwise.problem.dropout = call == 10 ? dropout : NULL;
                status = mlp_trainer_new(&trainer, p.net, &stepwise, 1);
                if (status == MLP_OK) {
                    status = mlp_trainer_step(trainer, &p.X, &p.Y, NULL, N, &cost);
                    if (status == MLP_NO_MEMORY) /* and the trainer goes on once there is memory */
                        CHECK(same_bits(p.P, start, p.parameters));
                    allowed = -1;
                    CHECK(mlp_trainer_step(trainer, &p.X, &p.Y, NULL, N, &cost) == MLP_OK);
                    memcpy(p.parameters, start, p.P * sizeof *start);
                }
                break;
            }
            allowed = -1;
            CHECK(status == MLP_OK || status == MLP_NO_MEMORY);
            CHECK(same_bits(p.P, start, p.parameters));
            mlp_network_free(net);
            mlp_trainer_free(trainer);
            mlp_fit_free(fit);
        }
        CHECK(refused > 1 && refused < 100);
    }
    free(start);
    free(g);
    free(out);
    problem_free(&p);
}

/* Element types, strides and class indices give what the same float64 rows give. */
static void test_matrices(const struct mlp_kernels *k)
{
    struct problem p = problem(k, 3, LAYERS);
    enum { ROWS = 50 };
    static float narrow[ROWS][5][2];
    static double wide[ROWS][5];
    static uint8_t labels[ROWS];
    static double one_hot[ROWS][3];
    memset(one_hot, 0, sizeof one_hot);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < 5; j++) {
            narrow[i][j][0] = (float)p.x[i * 5 + j];
            wide[ROWS - 1 - i][j] = (double)narrow[i][j][0];
        }
        labels[i] = (uint8_t)(random_bits() % 3);
        one_hot[i][labels[i]] = 1.0;
    }
    /* Every other float, in rows from the last to the first. */
    const struct mlp_matrix strided = {.data = (const char *)narrow[ROWS - 1],
                                       .row_stride = -(ptrdiff_t)sizeof narrow[0],
                                       .column_stride = 2 * (ptrdiff_t)sizeof(float),
                                       .columns = 5,
                                       .dtype = MLP_FLOAT32};
    const struct mlp_matrix plain = matrix(&wide[0][0], 5), hot = matrix(&one_hot[0][0], 3);
    const struct mlp_matrix classes = {.data = (const char *)labels,
                                       .row_stride = 1,
                                       .columns = 3,
                                       .dtype = MLP_UINT8,
                                       .kind = MLP_LABELS};
    double *g = malloc(p.P * sizeof *g), *h = malloc(p.P * sizeof *h), c, d;
    CHECK(cost_of(p.net, &plain, &hot, ROWS, 1, &c, g) == MLP_OK);
    CHECK(cost_of(p.net, &strided, &classes, ROWS, 1, &d, h) == MLP_OK);
    CHECK(c == d && same_bits(p.P, g, h));

    size_t index;
    CHECK(mlp_find_nonfinite(k, &strided, ROWS, &index) == MLP_OK && index == ROWS * 5);
    narrow[ROWS - 1 - 17][3][0] = (float)INFINITY;
    CHECK(mlp_find_nonfinite(k, &strided, ROWS, &index) == MLP_OK && index == 17 * 5 + 3);
    wide[31][4] = (double)NAN;
    CHECK(mlp_find_nonfinite(k, &plain, ROWS, &index) == MLP_OK && index == 31 * 5 + 4);
    /* Of rows by number, the place among these. */
    const size_t numbers[] = {0, 30, 31, 30};
    struct mlp_matrix some = plain;
    some.rows = numbers;
    CHECK(mlp_find_nonfinite(k, &some, 2, &index) == MLP_OK && index == 2 * 5);
    CHECK(mlp_find_nonfinite(k, &some, 4, &index) == MLP_OK && index == 2 * 5 + 4);
    free(g);
    free(h);
    problem_free(&p);
}

/* CSR instances have the bits of the same rows with their zeros filled in: on one thread and on several, in
 * chunks, in a fit of mini-batches in any order. */
static void test_csr(const struct mlp_kernels *k)
{
    enum { ROWS = 200, COLUMNS = 30 };
    const size_t layers[] = {COLUMNS, 7, 3};
    struct problem p = problem(k, 2, layers);
    static double filled[ROWS][COLUMNS], values[ROWS * COLUMNS];
    static int64_t starts[ROWS + 1];
    static uint32_t places[ROWS * COLUMNS];
    static double y[ROWS * 3], out[ROWS * 3], same[ROWS * 3];
    memset(filled, 0, sizeof filled);
    size_t t = 0;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLUMNS && i % 9 != 0; j++) {
            if (random_bits() % 6 == 0) {
                filled[i][j] = values[t] = (double)random_size(100) / 50.0 - 1.0;
                places[t++] = (uint32_t)j;
            }
        }
        starts[i + 1] = (int64_t)t;
    }
    fill(ROWS * 3, y);
    const struct mlp_matrix dense = matrix(&filled[0][0], COLUMNS), targets = matrix(y, 3);
    struct mlp_matrix csr = dense;
    csr.data = (const char *)values;
    csr.starts = starts;
    csr.places = places;
    double *g = malloc(p.P * sizeof *g), *h = malloc(p.P * sizeof *h), c, d;
    for (size_t n_threads = 1; n_threads <= 3; n_threads += 2) {
        for (size_t chunk = 0; chunk <= 24; chunk += 24) {
            mlp_network_set_tuning(p.net, chunk, 1.0);
            CHECK(cost_of(p.net, &dense, &targets, ROWS, n_threads, &c, g) == MLP_OK);
            CHECK(cost_of(p.net, &csr, &targets, ROWS, n_threads, &d, h) == MLP_OK);
            CHECK(same_bits(1, &c, &d) && same_bits(p.P, g, h));
            CHECK(mlp_predict(p.net, &dense, ROWS, 0, n_threads, out) == MLP_OK);
            CHECK(mlp_predict(p.net, &csr, ROWS, 0, n_threads, same) == MLP_OK);
            CHECK(same_bits(ROWS * 3, out, same));
            /* A weight that is infinite shows in all rows. */
            const double kept = p.parameters[5];
            p.parameters[5] = HUGE_VAL;
            CHECK(mlp_predict(p.net, &dense, ROWS, 0, n_threads, out) == MLP_OK);
            CHECK(mlp_predict(p.net, &csr, ROWS, 0, n_threads, same) == MLP_OK);
            CHECK(isnan(out[0]) == isnan(same[0]) && isnan(out[8]) == isnan(same[8]));
            p.parameters[5] = kept;
        }
    }
    free(g);
    free(h);
    problem_free(&p);
}

int main(void)
{
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        test_chunks(k);
        test_threads_with_gaps(k);
        test_threads(k);
        test_slices(k);
        test_sizes(k);
        test_memory(k);
        test_matrices(k);
        test_csr(k);
    }
    return report("test_network");
}
