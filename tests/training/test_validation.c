/* The validation of a fit by every solver: costs of the other instances after each epoch to the bit,
 * in slices and on threads, without a trace in the training; patience, with the rules that come first;
 * what is restored; and any allocation may fail and leaves everything as it was. */
#include "allocations.h"
#include "check.h"

#include "mlp.h"

/* Training on the first ones, validation on others: few, or enough for ranges. */
enum { N = 60, FEW = 37, MANY = 4500, ALL = N + MANY, M0 = 5, ML = 3, EPOCHS = 8, MOST = 300 };

struct problem {
    struct mlp_network *net;
    size_t P;
    double parameters[MOST], start[MOST], x[ALL * M0], y[ALL * ML];
    struct mlp_matrix X, Y, XV, YV;
};

static void problem_new(struct problem *p, const struct mlp_kernels *k)
{
    static const size_t layers[] = {M0, 11, 9, ML};
    static const enum mlp_activation g[] = {MLP_TANH, MLP_SIGMOID, MLP_IDENTITY};
    CHECK(mlp_network_new(&p->net, k, 3, layers, g, MLP_SQUARED_ERROR) == MLP_OK);
    p->P = mlp_network_n_parameters(p->net);
    CHECK(p->P <= MOST);
    fill(p->P, p->start);
    fill(ALL * M0, p->x);
    fill(ALL * ML, p->y);
    mlp_network_set_parameters(p->net, p->parameters);
    p->X = matrix(p->x, M0);
    p->Y = matrix(p->y, ML);
    p->XV = matrix(p->x + N * M0, M0);
    p->YV = matrix(p->y + N * ML, ML);
}

/* Every solver, and gradient descent on full batches, mini-batches and single instances. */
enum { CASES = 8 };
static struct mlp_fit_options options(int i, size_t n_threads)
{
    static const enum mlp_solver solvers[CASES] = {MLP_GRADIENT_DESCENT,
                                                   MLP_GRADIENT_DESCENT,
                                                   MLP_GRADIENT_DESCENT,
                                                   MLP_ADAM,
                                                   MLP_RPROP,
                                                   MLP_LBFGS,
                                                   MLP_LEVENBERG_MARQUARDT,
                                                   MLP_SCG};
    static const size_t batches[CASES] = {0, 7, 1, 16};
    return (struct mlp_fit_options){
        .solver = solvers[i],
        .descent = {1e-2, 0.0, 0},
        .adam = {1e-2, 0.9, 0.999, 1e-8, 0.0, 0},
        .rprop = {1.2, 0.5, 0.1, 0.0, 50.0, 0},
        .lbfgs = {3, 20, 1e-4, 0.9, 0.0},
        .scg = {5e-5, 5e-7, 0.0},
        .levenberg = {.damping = 1e-2, .decrease = 0.1, .increase = 10.0, .max_damping = 1e10},
        .batch_size = batches[i],
        .shuffle = 1,
        .stream = {{1, 2}, 0},
        .goal = -INFINITY,
        .n_threads = n_threads,
    };
}

/* Nothing is known of the cost before the first epoch. */
static const double unknown[2] = {HUGE_VAL, 0.0};

struct record {
    enum mlp_event event;
    size_t epochs;
    double cost[EPOCHS], validation[EPOCHS], rate[EPOCHS], norm[EPOCHS], seconds[EPOCHS];
    double path[EPOCHS][MOST]; /* the parameters after each epoch, when one is recorded a call */
    struct mlp_fit *fit;       /* for mlp_fit_free */
};

/* A fit until its end or EPOCHS, `capacity` of them a call. nv = 0: without validation. */
static void run(struct record *r, struct problem *p, const struct mlp_fit_options *o, size_t nv,
                size_t patience, double work, size_t capacity)
{
    memset(r, 0, sizeof *r);
    memcpy(p->parameters, p->start, p->P * sizeof(double));
    CHECK(mlp_fit_new(&r->fit, p->net, &p->X, &p->Y, N, o) == MLP_OK);
    if (nv > 0)
        CHECK(mlp_fit_validate(r->fit, &p->XV, &p->YV, NULL, nv, patience, unknown) == MLP_OK);
    while (r->event <= MLP_EPOCH && r->epochs < EPOCHS) {
        const size_t e = r->epochs;
        const struct mlp_history rest = {r->cost + e, r->validation + e, r->rate + e, r->norm + e,
                                         r->seconds + e};
        const size_t room = EPOCHS - e < capacity ? EPOCHS - e : capacity;
        size_t recorded;
        r->event = mlp_fit_run(r->fit, EPOCHS, work, room, &rest, &recorded);
        r->epochs += recorded;
        if (recorded == 1)
            memcpy(r->path[e], p->parameters, p->P * sizeof(double));
    }
}

/* The first epoch, from 1, with the lowest of the costs; 0 where there is none. */
static size_t lowest(size_t n, const double *cost)
{
    size_t best = 0;
    for (size_t e = 0; e < n; e++) {
        if (cost[e] < (best ? cost[best - 1] : (double)INFINITY))
            best = e + 1;
    }
    return best;
}

static int is_array(const struct mlp_fit_report *r, size_t i, const char *name, size_t n,
                    const double *values)
{
    return strcmp(r->arrays[i].name, name) == 0 && r->arrays[i].n == n &&
           same_bits(n, r->arrays[i].data, values);
}

static void test_costs(const struct mlp_kernels *k)
{
    static struct problem p;
    static struct record plain, r, other;
    problem_new(&p, k);
    for (int i = 0; i < CASES; i++) {
        const struct mlp_fit_options one = options(i, 1), three = options(i, 3);
        run(&plain, &p, &one, 0, 0, 1e300, 1);
        mlp_fit_free(plain.fit);
        for (size_t nv = FEW; nv > 0; nv = nv == FEW ? MANY : 0) {
            struct mlp_fit_report report;
            mlp_network_set_tuning(p.net, 0, 0.0);
            run(&r, &p, &one, nv, 0, 1e300, 1);
            CHECK(r.epochs == EPOCHS && same_bits(EPOCHS, r.cost, plain.cost));
            CHECK(same_bits(EPOCHS, r.norm, plain.norm) && same_bits(EPOCHS, r.rate, plain.rate));
            CHECK(same_bits(EPOCHS * MOST, r.path[0], plain.path[0]));
            for (size_t e = 0; e < EPOCHS; e++) {
                double cost;
                memcpy(p.parameters, r.path[e], p.P * sizeof(double));
                CHECK(cost_of(p.net, &p.XV, &p.YV, nv, 1, &cost, NULL) == MLP_OK);
                CHECK(cost == r.validation[e] && isnan(plain.validation[e]));
                CHECK(r.seconds[e] > 0.0);
            }
            const size_t best = lowest(EPOCHS, r.validation);
            const double now[] = {r.validation[best - 1], (double)(EPOCHS - best), (double)best};
            mlp_fit_describe(r.fit, &report);
            CHECK(report.best[1] == (double)best && report.validation == r.validation[EPOCHS - 1]);
            CHECK(is_array(&report, report.n_arrays - 1, "best", 3, now));
            mlp_fit_free(r.fit);
            mlp_network_set_tuning(p.net, 8, 1.0);
            run(&other, &p, &three, nv, 0, 1.0, 3);
            CHECK(same_bits(EPOCHS, r.validation, other.validation));
            CHECK(same_bits(EPOCHS, r.cost, other.cost) && same_bits(EPOCHS, r.norm, other.norm));
            CHECK(same_bits(p.P, r.path[EPOCHS - 1], p.parameters));
            mlp_fit_free(other.fit);
        }
    }
    mlp_network_free(p.net);
}

/* The lowest cost is not the last one for targets that have nothing to do with those learned. */
static void test_patience(const struct mlp_kernels *k)
{
    static struct problem p;
    static struct record r, whole;
    size_t fired = 0;
    problem_new(&p, k);
    for (int i = 0; i < CASES; i++) {
        const struct mlp_fit_options o = options(i, 1);
        run(&whole, &p, &o, FEW, 0, 1e300, 1);
        mlp_fit_free(whole.fit);
        for (size_t patience = 1; patience < EPOCHS; patience++) {
            struct mlp_fit_report report;
            double cost, validation, expected;
            size_t epochs = 1;
            while (epochs < EPOCHS && epochs - lowest(epochs, whole.validation) < patience)
                epochs++;
            const size_t best = lowest(epochs, whole.validation);
            run(&r, &p, &o, FEW, patience, patience % 2 ? 1e300 : 1.0, 1);
            CHECK(r.epochs == epochs);
            CHECK((r.event == MLP_PATIENCE) == (epochs - best >= patience));
            fired += r.event == MLP_PATIENCE;
            mlp_fit_describe(r.fit, &report);
            CHECK(is_array(&report, report.n_arrays - 1, "best_parameters", p.P,
                           whole.path[best - 1]));
            CHECK(same_bits(p.P, p.parameters, whole.path[epochs - 1]));
            while (!mlp_fit_finish(r.fit, patience % 2 ? 1e300 : 1.0, &cost, &validation)) {
            }
            CHECK(same_bits(p.P, p.parameters, whole.path[best - 1]));
            CHECK(validation == whole.validation[best - 1]);
            CHECK(cost_of(p.net, &p.X, &p.Y, N, 1, &expected, NULL) == MLP_OK && cost == expected);
            mlp_fit_free(r.fit);
        }
        /* The rules of the epoch itself come first. */
        struct mlp_fit_options early = o;
        const size_t epochs = lowest(EPOCHS, whole.validation) + 1;
        if (epochs > EPOCHS || lowest(epochs, whole.cost) != epochs)
            continue;
        early.goal = whole.cost[epochs - 1];
        run(&r, &p, &early, FEW, 1, 1e300, 1);
        CHECK(r.event == (r.epochs == epochs ? MLP_GOAL : MLP_PATIENCE));
        CHECK(r.validation[r.epochs - 1] == whole.validation[r.epochs - 1]);
        mlp_fit_free(r.fit);
    }
    CHECK(fired > CASES);
    mlp_network_free(p.net);
}

/* A fit that ends before its first epoch is judged by its start; one that diverges, by its last epoch. */
static void test_ends(const struct mlp_kernels *k)
{
    static struct problem p;
    static struct record r;
    problem_new(&p, k);
    for (int i = 0; i < 3; i++) {
        struct mlp_fit_options o = options(i, 1);
        double cost, validation, expected;
        struct mlp_fit_report report;
        o.descent.learning_rate = 1e300;
        for (size_t patience = 0; patience < 2; patience++) {
            run(&r, &p, &o, FEW, patience, 1.0, 1);
            CHECK(r.event == MLP_DIVERGED);
            mlp_fit_describe(r.fit, &report);
            CHECK(report.n_arrays == 0);
            while (!mlp_fit_finish(r.fit, 1.0, &cost, &validation)) {
            }
            const size_t best = lowest(r.epochs, r.validation);
            CHECK(report.best[1] == (double)best);
            const double *end = p.start;
            if (r.epochs > 0)
                end = r.path[(patience ? best : r.epochs) - 1];
            CHECK(same_bits(p.P, p.parameters, end));
            CHECK(cost_of(p.net, &p.XV, &p.YV, FEW, 1, &expected, NULL) == MLP_OK);
            CHECK(validation == expected);
            mlp_fit_free(r.fit);
        }
    }
    /* NaN is never the lowest, and counts as an epoch that lowered nothing. */
    p.y[N * ML] = (double)NAN;
    const struct mlp_fit_options o = options(0, 1);
    run(&r, &p, &o, FEW, 3, 1e300, 1);
    CHECK(r.event == MLP_PATIENCE && r.epochs == 3 && isnan(r.validation[2]));
    double cost, validation;
    CHECK(mlp_fit_finish(r.fit, 1e300, &cost, &validation) && isnan(validation));
    CHECK(same_bits(p.P, p.parameters, r.path[2]));
    mlp_fit_free(r.fit);
    mlp_network_free(p.net);
}

/* Its first, second, ... allocation refused, until it gets through, and the fit is the same. */
static void test_memory(const struct mlp_kernels *k)
{
    static struct problem p;
    static struct record plain;
    problem_new(&p, k);
    const struct mlp_fit_options o = options(1, 2);
    run(&plain, &p, &o, 0, 0, 1e300, 1);
    mlp_fit_free(plain.fit);
    for (size_t nv = FEW; nv > 0; nv = nv == FEW ? MANY : 0) {
        enum mlp_status status = MLP_NO_MEMORY;
        long refused = 0;
        for (; status != MLP_OK && refused < 100; refused++) {
            struct mlp_fit *fit = NULL;
            double costs[EPOCHS];
            size_t recorded;
            memcpy(p.parameters, p.start, p.P * sizeof(double));
            CHECK(mlp_fit_new(&fit, p.net, &p.X, &p.Y, N, &o) == MLP_OK);
            allowed = refused;
            status = mlp_fit_validate(fit, &p.XV, &p.YV, NULL, nv, EPOCHS, unknown);
            allowed = -1;
            CHECK(status == MLP_OK || status == MLP_NO_MEMORY);
            const struct mlp_history history = costs_only(costs);
            mlp_fit_run(fit, EPOCHS, 1e300, EPOCHS, &history, &recorded);
            CHECK(recorded == EPOCHS && same_bits(EPOCHS, costs, plain.cost));
            mlp_fit_free(fit);
        }
        CHECK(refused > (nv == FEW ? 1 : 2) && refused < 100);
    }
    mlp_network_free(p.net);
}

int main(void)
{
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k))
            continue;
        test_costs(k);
        test_patience(k);
        test_ends(k);
        test_memory(k);
    }
    return report("test_validation");
}
