/* A fit that stops after any epoch and goes on in a new one, from the arrays that describe it alone, is
 * the fit that never stopped; the same of a trainer. Arrays of another fit change nothing. */
#include "check.h"

#include "mlp.h"

enum { N = 30, EPOCHS = 8, M0 = 3, ML = 2, P = (M0 + 1) * 7 + (7 + 1) * ML, MOST = 4096 };

static double parameters[P], start[P], x[N * M0], y[N * ML];
static struct mlp_matrix X, Y;
static struct mlp_network *net;

static const struct mlp_levenberg LEVENBERG = {
    .damping = 1e-3, .decrease = 0.1, .increase = 10.0, .max_damping = 1e10};
static const struct mlp_rprop RPROP = {1.2, 0.5, 0.1, 0.0, 50.0, 1};

/* Every solver, and every option that decides which arrays there are. */
static size_t all_options(struct mlp_fit_options *o)
{
    const struct mlp_fit_options some[] = {
        {.descent = {0.01, 0.0, 0}},
        {.descent = {0.01, 0.9, 1}, .batch_size = 7, .shuffle = 1},
        {.descent = {0.01, 0.0, 0}, .batch_size = 1, .shuffle = 1},
        {.descent = {0.05, 0.5, 0},
         .schedule = {.kind = MLP_PLATEAU, .factor = 0.5, .threshold = 0.1, .epochs = 1}},
        {.solver = MLP_ADAM,
         .adam = {0.01, 0.9, 0.999, 1e-8, 0.01, 0},
         .batch_size = 4,
         .shuffle = 1,
         .schedule = {.kind = MLP_COSINE, .minimum = 1e-4, .epochs = 6, .warmup = 2}},
        {.solver = MLP_RPROP, .rprop = RPROP},
        {.solver = MLP_QUICKPROP, .quickprop = {0.01, 1.75, 1e-4}},
        {.solver = MLP_LBFGS, .lbfgs = {3, 20, 1e-4, 0.9, 0.0}},
        {.solver = MLP_LBFGS, .lbfgs = {20, 20, 1e-4, 0.9, 0.0}},
        {.solver = MLP_SCG, .scg = {5e-5, 5e-7, 0.0}},
    };
    size_t n = sizeof some / sizeof *some;
    memcpy(o, some, sizeof some);
    for (int i = 0; i < 8; i++) {
        struct mlp_levenberg l = LEVENBERG;
        l.rule = i < 6 ? (enum mlp_damping)(i % 3) : MLP_FIXED;
        l.damping = l.rule == MLP_TRUST_REGION ? 0.5 : l.damping;
        l.diagonal = i >= 3 && i < 6;
        l.geodesic = i == 6;
        l.bayesian = i == 7;
        o[n++] = (struct mlp_fit_options){.solver = MLP_LEVENBERG_MARQUARDT, .levenberg = l};
    }
    for (size_t i = 0; i < n; i++) {
        o[i].goal = -INFINITY;
        o[i].n_threads = 1 + i % 3;
        o[i].stream = (struct mlp_stream){{i, 1}, 5};
    }
    return n;
}

static struct mlp_fit *fit_new(const struct mlp_fit_options *o, size_t n)
{
    struct mlp_fit *fit;
    CHECK(mlp_fit_new(&fit, net, &X, &Y, n, o) == MLP_OK);
    return fit;
}

/* Up to epoch `until`, in portions of so much work. */
static void run(struct mlp_fit *fit, size_t until, double work, double *history)
{
    struct mlp_fit_report r;
    size_t recorded;
    for (mlp_fit_describe(fit, &r); r.epochs < until; mlp_fit_describe(fit, &r)) {
        const struct mlp_history h = costs_only(history);
        const enum mlp_event event = mlp_fit_run(fit, until, work, EPOCHS, &h, &recorded);
        CHECK(event == MLP_PAUSED || event == MLP_EPOCH);
        history += recorded;
    }
}

/* Copies of the arrays, in `memory` (MOST,); how many there are. */
static size_t save(const struct mlp_array *arrays, size_t n, struct mlp_array *saved,
                   double *memory)
{
    for (size_t i = 0; i < n; i++) {
        saved[i] = (struct mlp_array){arrays[i].name, memory, arrays[i].n};
        memcpy(memory, arrays[i].data, arrays[i].n * sizeof(double));
        memory += arrays[i].n;
    }
    return n;
}

static int same_arrays(const struct mlp_array *a, const struct mlp_array *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].n != b[i].n ||
            !same_bits(a[i].n, a[i].data, b[i].data))
            return 0;
    }
    return 1;
}

static void test_fits(const struct mlp_fit_options *o, size_t n)
{
    static double memory[MOST], first[MOST];
    double whole[EPOCHS], parts[EPOCHS];
    struct mlp_array saved[MLP_MAX_ARRAYS], half[MLP_MAX_ARRAYS];
    struct mlp_fit_report r;
    memcpy(parameters, start, sizeof start);
    struct mlp_fit *fit = fit_new(o, n);
    run(fit, EPOCHS, 1e300, whole);
    mlp_fit_describe(fit, &r);
    const size_t n_arrays = save(r.arrays, r.n_arrays, saved, memory);
    const uint64_t position = mlp_fit_position(fit);
    const double norm = r.gradient_norm;
    mlp_fit_free(fit);
    for (size_t k = 1; k < EPOCHS; k++) {
        memcpy(parameters, start, sizeof start);
        fit = fit_new(o, n);
        run(fit, k, 1.0, parts);
        mlp_fit_describe(fit, &r);
        save(r.arrays, r.n_arrays, half, first);
        struct mlp_fit_options rest = *o;
        rest.stream = r.stream;
        mlp_fit_free(fit);
        fill(P, parameters);
        fit = fit_new(&rest, n);
        CHECK(mlp_fit_resume(fit, half, r.n_arrays, k) == NULL);
        mlp_fit_describe(fit, &r);
        CHECK(r.epochs == k && same_arrays(r.arrays, half, r.n_arrays));
        run(fit, EPOCHS, 1e300, parts + k);
        mlp_fit_describe(fit, &r);
        CHECK(r.epochs == EPOCHS && r.n_arrays == n_arrays);
        CHECK(same_arrays(r.arrays, saved, n_arrays) && same_bits(EPOCHS, whole, parts));
        CHECK(mlp_fit_position(fit) == position && r.gradient_norm == norm);
        mlp_fit_free(fit);
    }
}

/* The same from between any two mini-batches of any epoch, the first one included. */
static void test_within(const struct mlp_fit_options *o, size_t n)
{
    static double memory[MOST], first[MOST];
    double whole[EPOCHS], parts[EPOCHS];
    struct mlp_array saved[MLP_MAX_ARRAYS], half[MLP_MAX_ARRAYS];
    struct mlp_fit_report r;
    size_t places = 0;
    if (o->batch_size == 0) {
        struct mlp_fit *none = fit_new(o, n);
        CHECK(mlp_fit_row(none) == 0 && !mlp_fit_enter(none, 1, 0));
        mlp_fit_free(none);
        return;
    }
    memcpy(parameters, start, sizeof start);
    struct mlp_fit *fit = fit_new(o, n);
    run(fit, EPOCHS, 1e300, whole);
    mlp_fit_describe(fit, &r);
    const size_t n_arrays = save(r.arrays, r.n_arrays, saved, memory);
    const uint64_t position = mlp_fit_position(fit);
    mlp_fit_free(fit);
    for (size_t calls = 1;; calls++) {
        const int seek = o->batch_size > 1 && calls % 2 == 0; /* single rows: many in a portion */
        memcpy(parameters, start, sizeof start);
        fit = fit_new(o, n);
        size_t recorded, done = 0;
        for (size_t i = 0; i < calls && done < EPOCHS; i++, done += recorded) {
            const struct mlp_history h = costs_only(parts + done);
            mlp_fit_seek(fit, seek);
            mlp_fit_run(fit, EPOCHS, seek ? 1e300 : 1.0, EPOCHS, &h, &recorded);
            CHECK(!seek || done + recorded == EPOCHS || mlp_fit_row(fit) > 0);
        }
        mlp_fit_describe(fit, &r);
        CHECK(r.row == mlp_fit_row(fit) && r.row < n);
        const size_t row = r.row, n_half = save(r.arrays, r.n_arrays, half, first);
        struct mlp_fit_options rest = *o;
        rest.stream = r.stream;
        const uint64_t epoch_position = r.epoch_position;
        mlp_fit_free(fit);
        if (done == EPOCHS)
            break;
        if (row == 0)
            continue;
        places++;
        fill(P, parameters);
        fit = fit_new(&rest, n);
        CHECK(!mlp_fit_enter(fit, 0, epoch_position) && !mlp_fit_enter(fit, n, epoch_position));
        CHECK(!mlp_fit_enter(fit, row, rest.stream.position + 1));
        CHECK(mlp_fit_enter(fit, row, epoch_position));
        CHECK(mlp_fit_resume(fit, half, n_half - 1, done) != NULL);
        CHECK(mlp_fit_resume(fit, half, n_half, done) == NULL && mlp_fit_row(fit) == row);
        run(fit, EPOCHS, 1e300, parts + done);
        mlp_fit_describe(fit, &r);
        CHECK(r.epochs == EPOCHS && r.row == 0 && r.n_arrays == n_arrays);
        CHECK(same_arrays(r.arrays, saved, n_arrays) && same_bits(EPOCHS, whole, parts));
        CHECK(mlp_fit_position(fit) == position);
        mlp_fit_free(fit);
    }
    CHECK(places >= EPOCHS);
}

/* Each array in turn is missing or has another size; what L-BFGS keeps of its ring is impossible. */
static void test_refusals(const struct mlp_fit_options *o)
{
    static double memory[MOST], before[P];
    static const double wrong[] = {-1.0, 0.5, 1e300, (double)INFINITY, (double)NAN};
    struct mlp_array saved[MLP_MAX_ARRAYS];
    struct mlp_fit_report r;
    struct mlp_fit *fit = fit_new(o, N);
    mlp_fit_describe(fit, &r);
    const size_t n = save(r.arrays, r.n_arrays, saved, memory);
    fill(P, saved[0].data);
    memcpy(before, parameters, sizeof before);
    for (size_t i = 0; i < n; i++) {
        const struct mlp_array own = saved[i];
        saved[i].n++;
        CHECK(mlp_fit_resume(fit, saved, n, 1) == r.arrays[i].name);
        saved[i] = saved[n - 1];
        const char *name = mlp_fit_resume(fit, saved, n - 1, 1);
        CHECK(name != NULL && strcmp(name, own.name) == 0);
        saved[i] = own;
    }
    for (size_t i = 0; i < n && o->solver == MLP_LBFGS; i++) {
        for (size_t j = 0; j < 10 && strcmp(saved[i].name, "pairs") == 0; j++) {
            const double own = saved[i].data[j % 2];
            saved[i].data[j % 2] = wrong[j / 2];
            const char *name = mlp_fit_resume(fit, saved, n, 1);
            CHECK(name != NULL && strcmp(name, "pairs") == 0);
            saved[i].data[j % 2] = own;
        }
    }
    CHECK(same_bits(P, parameters, before));
    mlp_fit_free(fit);
}

static void test_trainers(const struct mlp_fit_options *o)
{
    static double memory[MOST], end[P];
    struct mlp_array arrays[MLP_MAX_ARRAYS], saved[MLP_MAX_ARRAYS];
    struct mlp_trainer *trainer;
    double cost;
    size_t n = 0;
    for (size_t k = 0; k <= EPOCHS; k++) {
        memcpy(parameters, start, sizeof start);
        CHECK(mlp_trainer_new(&trainer, net, o, 1) == MLP_OK);
        for (size_t i = 0; i < EPOCHS; i++) {
            if (i == k) {
                n = save(arrays, mlp_trainer_describe(trainer, arrays), saved, memory);
                mlp_trainer_free(trainer);
                fill(P, parameters);
                CHECK(mlp_trainer_new(&trainer, net, o, 1) == MLP_OK);
                CHECK(mlp_trainer_resume(trainer, saved, n - 1) == saved[n - 1].name);
                CHECK(mlp_trainer_resume(trainer, saved, n) == NULL);
            }
            CHECK(mlp_trainer_step(trainer, &X, &Y, NULL, 1 + i % 2, &cost) == MLP_OK);
        }
        n = mlp_trainer_describe(trainer, arrays);
        for (size_t i = 0; i < n; i++)
            CHECK(strcmp(arrays[i].name, "steps") != 0 || arrays[i].data[0] == EPOCHS);
        if (k == 0)
            memcpy(end, parameters, sizeof end);
        CHECK(same_bits(P, parameters, end));
        mlp_trainer_free(trainer);
    }
}

int main(void)
{
    static const size_t layers[] = {M0, 7, ML};
    static const enum mlp_activation g[] = {MLP_TANH, MLP_IDENTITY};
    static const size_t ns[] = {N, 12}; /* more and fewer residuals than parameters */
    struct mlp_fit_options o[32];
    const size_t n = all_options(o);
    fill(P, start);
    fill(N * M0, x);
    fill(N * ML, y);
    X = matrix(x, M0);
    Y = matrix(y, ML);
    CHECK(mlp_network_new(&net, mlp_isa_best(), 2, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    CHECK(mlp_network_n_parameters(net) == P);
    mlp_network_set_parameters(net, parameters);
    mlp_network_set_tuning(net, 5, 1.0);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
            test_fits(&o[i], ns[j]);
        test_refusals(&o[i]);
        test_within(&o[i], N);
        if (o[i].solver <= MLP_ADAM && o[i].schedule.kind == MLP_CONSTANT)
            test_trainers(&o[i]);
    }
    mlp_network_free(net);
    return report("test_resume");
}
