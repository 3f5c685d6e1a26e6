/* The same inputs give the same bits on every machine: trained parameters, costs and predictions of a
 * dozen runs against recorded hashes, one for the variants with FMA and one for those without. */
#include "check.h"

#include "mlp.h"

/* Recorded on x86-64 (base, avx2, avx512) and, under emulation, 64-bit Arm (base, neon). */
static const uint64_t WITH_FMA = 0x3f7b25d2dd2de296;
static const uint64_t WITHOUT_FMA = 0x980f1b68fca45346;
/* The same for MORE, with the activations, losses and starts that came later. */
static const uint64_t MORE_WITH_FMA = 0x6c188397f5688092;
static const uint64_t MORE_WITHOUT_FMA = 0xc6e0fbd0ab3f9912;
/* Of FIRST_ORDER. */
static const uint64_t FIRST_ORDER_WITH_FMA = 0xf6867310e7c693a9;
static const uint64_t FIRST_ORDER_WITHOUT_FMA = 0xce0f620fedbf9d28;

/* Of MISH. */
static const uint64_t MISH_WITH_FMA = 0x798d74fa6931bcf4;
static const uint64_t MISH_WITHOUT_FMA = 0x02700ea7f8debf3b;
/* Of QUICKPROP. */
static const uint64_t QUICKPROP_WITH_FMA = 0x7bb40461a00d2f11;
static const uint64_t QUICKPROP_WITHOUT_FMA = 0xbbf4e2d8154ec228;

/* The same for the runs of the quasi-Newton methods. */
static const uint64_t QUASI_WITH_FMA = 0xaee7324e5f4d8ff3;
static const uint64_t QUASI_WITHOUT_FMA = 0xe464f2f0e6c8a583;

/* Of PROBLEMS. */
static const uint64_t PROBLEMS_WITH_FMA = 0xe8156b359f52c346;
static const uint64_t PROBLEMS_WITHOUT_FMA = 0x8fb7170db50a5d81;

static uint64_t hash;
static void add(size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++) { /* FNV-1a, the bytes from the lowest up */
        uint64_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (int byte = 0; byte < 8; byte++)
            hash = (hash ^ (bits >> 8 * byte & 255)) * 1099511628211u;
    }
}

struct run {
    size_t n_layers, layers[5], n, batch_size;
    enum mlp_activation g[4];
    enum mlp_loss loss;
    double momentum;
    int nesterov;
};

static const struct run RUNS[] = {
    {2, {2, 2, 1}, 4, 0, {MLP_SIGMOID, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.0, 0},
    {2, {2, 2, 1}, 4, 1, {MLP_SIGMOID, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.0, 0},
    {1, {5, 3}, 33, 0, {MLP_IDENTITY}, MLP_SQUARED_ERROR, 0.5, 0},
    {1, {7, 4}, 40, 9, {MLP_SOFTMAX}, MLP_CROSS_ENTROPY, 0.5, 1},
    {2, {10, 32, 1}, 5000, 0, {MLP_SIGMOID, MLP_SIGMOID}, MLP_CROSS_ENTROPY, 0.5, 1},
    {2, {10, 32, 1}, 5000, 4500, {MLP_TANH, MLP_IDENTITY}, MLP_SQUARED_ERROR, 0.0, 0},
    {3, {5, 13, 9, 3}, 97, 7, {MLP_TANH, MLP_RELU, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.5, 1},
    {3, {17, 33, 19, 10}, 97, 0, {MLP_SIGMOID, MLP_TANH, MLP_SOFTMAX}, MLP_CROSS_ENTROPY, 0, 0},
    {2, {64, 130, 10}, 97, 32, {MLP_RELU, MLP_SIGMOID}, MLP_BINARY_CROSS_ENTROPY, 0.9, 0},
    {4,
     {3, 8, 8, 8, 2},
     64,
     5,
     {MLP_RELU, MLP_TANH, MLP_RELU, MLP_SOFTMAX},
     MLP_SQUARED_ERROR,
     0,
     0},
    {2, {300, 17, 5}, 50, 50, {MLP_TANH, MLP_TANH}, MLP_SQUARED_ERROR, 0.0, 0},
    {2, {4, 520, 3}, 30, 11, {MLP_RELU, MLP_RELU}, MLP_SQUARED_ERROR, 0.9, 1},
};

static const struct run MORE[] = {
    {2, {3, 20, 1}, 60, 0, {MLP_GELU, MLP_IDENTITY}, MLP_HUBER, 0.0, 0},
    {2, {3, 20, 1}, 60, 1, {MLP_SILU, MLP_IDENTITY}, MLP_QUANTILE, 0.0, 0},
    {2, {2, 2, 1}, 8, 0, {MLP_ELU, MLP_GELU}, MLP_SQUARED_ERROR, 0.0, 0},
    {2, {2, 2, 1}, 8, 1, {MLP_SOFTPLUS, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.0, 0},
    {3, {5, 33, 17, 4}, 97, 10, {MLP_SILU, MLP_GELU, MLP_EXPONENTIAL}, MLP_POISSON, 0.5, 1},
    {3, {5, 33, 17, 4}, 97, 1, {MLP_LEAKY_RELU, MLP_ELU, MLP_SOFTPLUS}, MLP_HUBER, 0.0, 0},
    {3, {6, 13, 9, 3}, 4500, 0, {MLP_GELU, MLP_SOFTPLUS, MLP_SILU}, MLP_ABSOLUTE_ERROR, 0.5, 0},
    {3, {4, 8, 9, 3}, 50, 7, {MLP_EXPONENTIAL, MLP_TANH, MLP_SOFTMAX}, MLP_QUANTILE, 0.5, 0},
    {2, {64, 130, 10}, 97, 32, {MLP_LEAKY_RELU, MLP_ELU}, MLP_SQUARED_ERROR, 0.9, 0},
    {3, {300, 128, 40, 3}, 50, 8, {MLP_GELU, MLP_SILU, MLP_GELU}, MLP_HUBER, 0.0, 0},
};

/* Solvers, schedules and clipping, on the networks of RUNS. */
static const struct first_order {
    size_t run, batch_size;
    struct mlp_fit_options options;
} FIRST_ORDER[] = {
    {0, 0, {.solver = MLP_ADAM, .adam = {0.01, 0.9, 0.999, 1e-8, 0.0, 0}}},
    {0, 1, {.solver = MLP_ADAM, .adam = {0.01, 0.9, 0.999, 1e-8, 0.1, 0}}},
    {4, 0, {.solver = MLP_ADAM, .adam = {0.01, 0.8, 0.99, 1e-8, 0.1, 0}, .clip_norm = 3.0}},
    {8,
     32,
     {.solver = MLP_ADAM,
      .adam = {0.01, 0.9, 0.999, 1e-8, 0.0, 0},
      .schedule = {.kind = MLP_COSINE, .minimum = 1e-4, .epochs = 5, .warmup = 2}}},
    {6, 7, {.descent = {0.01, 0.9, 1}, .clip_norm = 0.5}},
    {6, 0, {.descent = {0.01, 0.0, 0}, .clip_value = 0.25}},
    {0, 0, {.descent = {0.5, 0.0, 0}, .schedule = {.kind = MLP_INVERSE_SCALING, .power = 0.7}}},
    {6,
     1,
     {.descent = {0.01, 0.0, 0}, .schedule = {.kind = MLP_STEPWISE, .factor = 0.7, .epochs = 2}}},
    {7,
     0,
     {.descent = {0.1, 0.9, 0},
      .schedule = {.kind = MLP_PLATEAU, .factor = 0.3, .threshold = 0.01}}},
    {4, 0, {.solver = MLP_RPROP, .rprop = {1.2, 0.5, 0.1, 0.0, 50.0, 1}}},
    {7, 0, {.solver = MLP_RPROP, .rprop = {1.2, 0.5, 0.1, 0.0, 50.0, 0}}},
};

/* Of the activation that came after them, in hidden layers and outputs. */
static const struct run MISH[] = {
    {2, {3, 20, 1}, 60, 7, {MLP_MISH, MLP_IDENTITY}, MLP_HUBER, 0.0, 0},
    {3, {6, 33, 9, 3}, 4500, 0, {MLP_MISH, MLP_TANH, MLP_MISH}, MLP_SQUARED_ERROR, 0.5, 0},
};

/* The runs above, full batches, by Quickprop with epsilon by default and not. */
static const struct {
    size_t run;
    struct mlp_quickprop options;
} QUICKPROP[] = {
    {0, {0.0, 1.75, 1e-4}},
    {4, {1e-4, 1.75, 0.0}},
    {7, {0.0, 1.5, 1e-3}},
};

/* Trained by LBFGS and by scaled conjugate gradients; the last has blocks of parameters. */
static const struct run QUASI[] = {
    {2, {2, 2, 1}, 4, 0, {MLP_SIGMOID, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.0, 0},
    {1, {5, 3}, 33, 0, {MLP_IDENTITY}, MLP_SQUARED_ERROR, 0.0, 0},
    {2, {10, 32, 1}, 5000, 0, {MLP_TANH, MLP_IDENTITY}, MLP_SQUARED_ERROR, 0.0, 0},
    {3, {17, 33, 19, 10}, 97, 0, {MLP_SIGMOID, MLP_TANH, MLP_SOFTMAX}, MLP_CROSS_ENTROPY, 0, 0},
    {2, {300, 125, 5}, 50, 0, {MLP_TANH, MLP_TANH}, MLP_SQUARED_ERROR, 0.0, 0},
};

/* Weights of the instances, penalties, dropout, and layers that are skipped. */
static const double DROPOUT[] = {0.25, 0.5, 0.0};
static const struct objective {
    struct run run;
    int weighted, residual;
    struct mlp_fit_options options;
} PROBLEMS[] = {
    {{2, {2, 2, 1}, 4, 1, {MLP_SIGMOID, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.0, 0},
     1,
     0,
     {.problem = {.l1 = 0.1, .l2 = 0.3}}},
    {{2, {10, 32, 1}, 5000, 0, {MLP_TANH, MLP_IDENTITY}, MLP_HUBER, 0.5, 1},
     1,
     0,
     {.problem = {.l1 = 0.1, .l2 = 0.3}}},
    {{2, {200, 170, 4}, 33, 9, {MLP_RELU, MLP_SOFTMAX}, MLP_CROSS_ENTROPY, 0.0, 0},
     1,
     0,
     {.problem = {.l2 = 0.3}}},
    {{2, {17, 33, 2}, 60, 0, {MLP_TANH, MLP_TANH}, MLP_SQUARED_ERROR, 0.0, 0},
     1,
     0,
     {.solver = MLP_LBFGS, .problem = {.l2 = 0.3}}},
    {{3, {5, 13, 9, 3}, 97, 7, {MLP_TANH, MLP_RELU, MLP_SIGMOID}, MLP_SQUARED_ERROR, 0.5, 1},
     0,
     0,
     {.problem = {.dropout = DROPOUT}}},
    {{3, {6, 13, 9, 3}, 4500, 0, {MLP_GELU, MLP_ELU, MLP_SILU}, MLP_SQUARED_ERROR, 0.0, 0},
     0,
     0,
     {.solver = MLP_ADAM,
      .adam = {0.01, 0.9, 0.999, 1e-8, 0.0, 0},
      .problem = {.dropout = DROPOUT}}},
    {{3, {20, 300, 270, 3}, 20, 5, {MLP_TANH, MLP_SILU, MLP_IDENTITY}, MLP_SQUARED_ERROR, 0, 0},
     1,
     0,
     {.problem = {.l1 = 0.1, .dropout = DROPOUT}}},
    {{4,
      {8, 8, 8, 8, 2},
      64,
      5,
      {MLP_RELU, MLP_TANH, MLP_GELU, MLP_SOFTMAX},
      MLP_SQUARED_ERROR,
      0,
      0},
     0,
     1,
     {.solver = MLP_GRADIENT_DESCENT}},
    {{4,
      {7, 3, 3, 40, 40},
      4200,
      0,
      {MLP_TANH, MLP_SILU, MLP_TANH, MLP_IDENTITY},
      MLP_SQUARED_ERROR,
      0.5,
      0},
     1,
     1,
     {.problem = {.l1 = 0.1, .l2 = 0.3, .dropout = DROPOUT}}},
    {{4,
      {70, 70, 70, 70, 5},
      12,
      0,
      {MLP_TANH, MLP_SIGMOID, MLP_SOFTPLUS, MLP_IDENTITY},
      MLP_SQUARED_ERROR,
      0.0,
      0},
     0,
     1,
     {.solver = MLP_GRADIENT_DESCENT}},
};

static void train_objective(const struct mlp_kernels *k, const struct run *run, uint64_t key,
                            size_t n_threads, struct mlp_fit_options options, int weighted,
                            int residual)
{
    const size_t n = run->n, m0 = run->layers[0], mL = run->layers[run->n_layers];
    struct mlp_network *net;
    CHECK(mlp_network_new(&net, k, run->n_layers, run->layers, run->g, run->loss) == MLP_OK);
    const size_t P = mlp_network_n_parameters(net);
    double *w = malloc(P * sizeof *w), *x = malloc(n * m0 * sizeof *x);
    double *y = malloc(n * mL * sizeof *y), *out = malloc(n * mL * sizeof *out);
    struct mlp_stream stream = {{key, 1}, 0};
    if (run >= MORE && run < MORE + sizeof MORE / sizeof *MORE) {
        mlp_random_range(&stream, -0.5, 0.25, P, w);
        mlp_random_nguyen_widrow(&stream, 0.875, m0, run->layers[1], w, w + m0 * run->layers[1]);
        if (run->loss == MLP_HUBER || run->loss == MLP_QUANTILE)
            mlp_network_set_loss_parameter(net, 0.3);
    } else {
        mlp_random_normal(&stream, k, 1.0, (double)m0, P, w);
    }
    mlp_random_uniform(&stream, 4.0, 1.0, n * m0, x);
    mlp_random_uniform(&stream, 1.0, 1.0, n * mL, y);
    for (size_t i = 0; i < n * mL; i++)
        y[i] = fabs(y[i]);
    double *s = malloc(n * sizeof *s);
    const struct mlp_matrix S = matrix(s, 1);
    if (weighted) {
        mlp_random_uniform(&stream, 4.0, 1.0, n, s);
        for (size_t i = 0; i < n; i++) /* one in two is 0 */
            s[i] = s[i] > 0.0 ? s[i] : 0.0;
        options.problem.weights = &S;
    }
    if (residual)
        CHECK(mlp_network_set_residual(net) > 0);
    mlp_network_set_parameters(net, w);
    if (n_threads > 1) /* however little there is for each */
        mlp_network_set_tuning(net, 10 * n_threads, 1.0);
    const struct mlp_matrix X = matrix(x, m0), Y = matrix(y, mL);
    options.shuffle = 1;
    options.stream = stream;
    options.goal = -INFINITY;
    options.n_threads = n_threads;
    struct mlp_fit *fit;
    struct mlp_fit_report report;
    double history[5];
    size_t recorded;
    CHECK(mlp_fit_new(&fit, net, &X, &Y, n, &options) == MLP_OK);
    const struct mlp_history costs = costs_only(history);
    mlp_fit_run(fit, 5, 1e300, 5, &costs, &recorded);
    mlp_fit_describe(fit, &report);
    CHECK(recorded == 5 && isfinite(history[4]));
    CHECK(mlp_predict(net, &X, n, 0, n_threads, out) == MLP_OK);
    add(5, history);
    add(1, &report.gradient_norm);
    add(P, w);
    add(n * mL, out);
    const int own = options.solver == MLP_ADAM || options.solver == MLP_RPROP ||
                    options.solver == MLP_QUICKPROP;
    for (size_t i = 0; i < report.n_arrays && own; i++) {
        /* The first ones are in already. */
        if (strcmp(report.arrays[i].name, "parameters") != 0 &&
            strcmp(report.arrays[i].name, "cost") != 0)
            add(report.arrays[i].n, report.arrays[i].data);
    }
    mlp_fit_free(fit);
    mlp_network_free(net);
    free(s);
    free(w);
    free(x);
    free(y);
    free(out);
}

static void train(const struct mlp_kernels *k, const struct run *run, uint64_t key,
                  size_t n_threads, struct mlp_fit_options options)
{
    train_objective(k, run, key, n_threads, options, 0, 0);
}

static struct mlp_fit_options descent(const struct run *run)
{
    return (struct mlp_fit_options){.descent = {1e-3, run->momentum, run->nesterov},
                                    .batch_size = run->batch_size};
}

static struct mlp_fit_options quasi(const struct run *run, enum mlp_solver solver)
{
    struct mlp_fit_options options = descent(run);
    options.solver = solver;
    options.lbfgs = (struct mlp_lbfgs){3, 20, 1e-4, 0.9, 0.0};
    options.scg = (struct mlp_scg){5e-5, 5e-7, 0.0};
    return options;
}

int main(void)
{
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        const int base = strcmp(mlp_isa_name(k), "base") == 0;
        static const size_t threads[] = {1, 2, 3, 7};
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof RUNS / sizeof *RUNS; r++) {
                train(k, &RUNS[r], r, threads[t], descent(&RUNS[r]));
            }
            printf("%s, %zu threads: 0x%016llx\n", mlp_isa_name(k), threads[t],
                   (unsigned long long)hash);
            CHECK(hash == (base ? WITHOUT_FMA : WITH_FMA));
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof MORE / sizeof *MORE; r++)
                train(k, &MORE[r], 100 + r, threads[t], descent(&MORE[r]));
            printf("more: 0x%016llx\n", (unsigned long long)hash);
            CHECK(hash == (base ? MORE_WITHOUT_FMA : MORE_WITH_FMA));
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof FIRST_ORDER / sizeof *FIRST_ORDER; r++) {
                struct mlp_fit_options options = FIRST_ORDER[r].options;
                options.batch_size = FIRST_ORDER[r].batch_size;
                train(k, &RUNS[FIRST_ORDER[r].run], 100 + r, threads[t], options);
            }
            printf("%s, %zu threads, first order: 0x%016llx\n", mlp_isa_name(k), threads[t],
                   (unsigned long long)hash);
            CHECK(hash == (base ? FIRST_ORDER_WITHOUT_FMA : FIRST_ORDER_WITH_FMA));
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof MISH / sizeof *MISH; r++)
                train(k, &MISH[r], 100 + r, threads[t], descent(&MISH[r]));
            printf("  mish: 0x%016llx\n", (unsigned long long)hash);
            CHECK(hash == (base ? MISH_WITHOUT_FMA : MISH_WITH_FMA));
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof QUICKPROP / sizeof *QUICKPROP; r++) {
                const struct mlp_fit_options options = {.solver = MLP_QUICKPROP,
                                                        .quickprop = QUICKPROP[r].options};
                train(k, &RUNS[QUICKPROP[r].run], 100 + r, threads[t], options);
            }
            printf("  Quickprop: 0x%016llx\n", (unsigned long long)hash);
            CHECK(hash == (base ? QUICKPROP_WITHOUT_FMA : QUICKPROP_WITH_FMA));
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof QUASI / sizeof *QUASI; r++) {
                train(k, &QUASI[r], r, threads[t], quasi(&QUASI[r], MLP_LBFGS));
                train(k, &QUASI[r], r, threads[t], quasi(&QUASI[r], MLP_SCG));
            }
            printf("  quasi-Newton: 0x%016llx\n", (unsigned long long)hash);
            CHECK(hash == (base ? QUASI_WITHOUT_FMA : QUASI_WITH_FMA));
            hash = 14695981039346656037u;
            for (size_t r = 0; r < sizeof PROBLEMS / sizeof *PROBLEMS; r++) {
                const struct objective *o = &PROBLEMS[r];
                struct mlp_fit_options options = quasi(&o->run, o->options.solver);
                options.descent.learning_rate = 1e-4;
                options.adam = o->options.adam;
                options.problem = o->options.problem;
                train_objective(k, &o->run, 100 + r, threads[t], options, o->weighted, o->residual);
            }
            printf("  objectives: 0x%016llx\n", (unsigned long long)hash);
            CHECK(hash == (base ? PROBLEMS_WITHOUT_FMA : PROBLEMS_WITH_FMA));
        }
    }
    return report("test_bits");
}
