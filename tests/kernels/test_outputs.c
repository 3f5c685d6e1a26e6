/* The outputs: costs and deltas of every loss against the formulas, and the weights of instances. */
#include "harness.h"
#include "plain.h"

/* Cost and delta of each pair of loss and output against the formulas. */
static void test_output(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 300; trial++) {
        const size_t rows = random_size(20), m = 1 + random_size(19), n = rows * m;
        const int softmax = trial % 2, entropy = trial / 2 % 2;
        const enum mlp_loss loss = !entropy  ? MLP_SQUARED_ERROR
                                   : softmax ? MLP_CROSS_ENTROPY
                                             : MLP_BINARY_CROSS_ENTROPY;
        struct array z = array(n), y = array(n), delta = array(n), terms = array(n),
                     c = array(rows);
        double *a = malloc(n * sizeof *a);
        for (size_t i = 0; i < rows; i++) {
            double total = 0.0, sum = 0.0;
            for (size_t j = 0; j < m; j++) {
                y.p[i * m + j] = fabs(y.p[i * m + j]);
                total += y.p[i * m + j];
                sum += exp(z.p[i * m + j]);
            }
            for (size_t j = 0; j < m; j++) {
                if (softmax && entropy)
                    y.p[i * m + j] /= total;
                a[i * m + j] =
                    softmax ? exp(z.p[i * m + j]) / sum : plain(MLP_SIGMOID, z.p[i * m + j]);
            }
        }
        k->output(loss, 0.0, softmax ? MLP_SOFTMAX : MLP_SIGMOID, rows, m, z.p, y.p, delta.p,
                  terms.p, c.p);
        for (size_t i = 0; i < rows; i++) {
            const double *ai = a + i * m, *yi = y.p + i * m;
            double cost = 0.0, inner = 0.0;
            for (size_t j = 0; j < m; j++) {
                if (!entropy)
                    cost += 0.5 * (yi[j] - ai[j]) * (yi[j] - ai[j]);
                else if (softmax)
                    cost -= yi[j] * log(ai[j]);
                else
                    cost -= yi[j] * log(ai[j]) + (1.0 - yi[j]) * log(1.0 - ai[j]);
                inner += ai[j] * (ai[j] - yi[j]);
            }
            CHECK(fabs(c.p[i] - cost) <= 1e-14 * (double)m);
            for (size_t j = 0; j < m; j++) {
                const double e = ai[j] - yi[j];
                const double expected = entropy   ? e
                                        : softmax ? ai[j] * (e - inner)
                                                  : e * ai[j] * (1.0 - ai[j]);
                CHECK(fabs(delta.p[i * m + j] - expected) <= 1e-15);
                CHECK(fabs(z.p[i * m + j] - ai[j]) <= 1e-15);
            }
        }
        free(a);
        release(z.base, z.size);
        release(y.base, y.size);
        release(delta.base, delta.size);
        release(terms.base, terms.size);
        release(c.base, c.size);
    }
}

/* Small costs keep their digits, against long double: of a class whose logit is far above the others. */
static void test_small_costs(const struct mlp_kernels *k)
{
    for (int trial = 0; trial < 2000; trial++) {
        const size_t rows = random_size(90), m = 1 + random_size(12), n = rows * m;
        const int soft = trial % 3 == 2;
        const double gap = 700.0 * fabs((double)(random_bits() % 1000)) / 1000.0;
        struct array z = array(n), y = array(n), delta = array(n), terms = array(n);
        struct array c = array(rows);
        long double expected[100];
        for (size_t i = 0; i < rows; i++) {
            const size_t top = random_bits() % m;
            double *zi = z.p + i * m, *yi = y.p + i * m;
            zi[top] = zi[top == 0 ? 1 : 0] + gap;
            long double max = zi[0], others = 0.0L, cost = 0.0L;
            size_t of_max = 0;
            for (size_t j = 1; j < m; j++) {
                of_max = zi[j] > max ? j : of_max;
                max = zi[of_max];
            }
            for (size_t j = 0; j < m; j++) {
                yi[j] = j == top ? 1.0 : 0.0;
                others += j == of_max ? 0.0L : expl(zi[j] - max);
            }
            if (soft) {
                yi[top] = 0.75;
                yi[(top + 1) % m] += 0.25;
            }
            for (size_t j = 0; j < m; j++)
                cost += yi[j] * (log1pl(others) - (zi[j] - max));
            expected[i] = cost;
        }
        k->output(MLP_CROSS_ENTROPY, 0.0, MLP_SOFTMAX, rows, m, z.p, y.p, delta.p, terms.p, c.p);
        for (size_t i = 0; i < rows;
             i++) /* a difference of logits is rounded, which exp makes as much */
            CHECK(fabsl(c.p[i] - expected[i]) <=
                  expected[i] * (8e-16L + 1.3e-16L * (long double)(gap + 2.0 * (double)m)));
        release(z.base, z.size);
        release(y.base, y.size);
        release(delta.base, delta.size);
        release(terms.base, terms.size);
        release(c.base, c.size);
    }
    double z[] = {0.0, 0.0, 50.0}, y[] = {0.0, 0.0, 1.0}, delta[3], terms[3], c;
    k->output(MLP_CROSS_ENTROPY, 0.0, MLP_SOFTMAX, 1, 3, z, y, delta, terms, &c);
    CHECK(fabs(c - 0x1.d257d547e083fp-72) <= 1e-36);
    double single = 50.0, one = 1.0;
    for (int pair = 0; pair < 2; pair++) { /* the same of one sigmoid unit, from either side */
        single = pair ? -50.0 : 50.0;
        one = pair ? 0.0 : 1.0;
        k->output(MLP_BINARY_CROSS_ENTROPY, 0.0, MLP_SIGMOID, 1, 1, &single, &one, delta, terms,
                  &c);
        CHECK(fabs(c - 0.5 * 0x1.d257d547e083fp-72) <= 1e-36);
    }
}

/* The losses of a - y with any output: cost, and delta = dC/da g'(z). */
static void test_losses(const struct mlp_kernels *k)
{
    static const enum mlp_loss losses[] = {MLP_SQUARED_ERROR, MLP_ABSOLUTE_ERROR, MLP_HUBER,
                                           MLP_QUANTILE};
    for (int trial = 0; trial < 1000; trial++) {
        const size_t rows = random_size(20), m = 1 + random_size(19) % (trial % 3 ? 19 : 1);
        const size_t n = rows * m;
        const enum mlp_loss loss = losses[trial % 4];
        const enum mlp_activation all[] = {MLP_IDENTITY, MLP_SIGMOID,    MLP_TANH, MLP_RELU,
                                           MLP_ELU,      MLP_SOFTPLUS,   MLP_SILU, MLP_GELU,
                                           MLP_STEP,     MLP_LEAKY_RELU, MLP_MISH};
        const enum mlp_activation g = all[random_bits() % 11];
        const double p = 0.375;
        struct array z = array(n), y = array(n), delta = array(n), terms = array(n);
        struct array c = array(rows), a = array(n), d = array(n);
        memcpy(a.p, z.p, n * sizeof(double));
        if (mlp_keeps_derivative(g)) {
            k->activate_keep(g, n, a.p, d.p);
        } else {
            k->activate(g, rows, m, a.p);
            for (size_t i = 0; i < n; i++)
                d.p[i] = 1.0;
            k->multiply_derivative(g, n, a.p, d.p);
        }
        y.p[0] = a.p[0]; /* where slopes jump */
        k->output(loss, p, g, rows, m, z.p, y.p, delta.p, terms.p, c.p);
        CHECK(same_bits(n, z.p, a.p));
        for (size_t i = 0; i < rows; i++) {
            double cost = 0.0;
            for (size_t j = 0; j < m; j++) {
                const double e = a.p[i * m + j] - y.p[i * m + j], w = fabs(e);
                const double sign = e > 0.0 ? 1.0 : e < 0.0 ? -1.0 : 0.0;
                double term = 0.5 * e * e, slope = e;
                if (loss == MLP_ABSOLUTE_ERROR) {
                    term = w;
                    slope = sign;
                } else if (loss == MLP_HUBER && w > p) {
                    term = p * (w - 0.5 * p);
                    slope = p * sign;
                } else if (loss == MLP_QUANTILE) {
                    slope = e > 0.0 ? 1.0 - p : p * sign;
                    term = slope * e;
                }
                cost = j ? cost + term : term;
                const double expected = slope * d.p[i * m + j];
                CHECK(fabs(delta.p[i * m + j] - expected) <= 6e-16 * fabs(expected));
            }
            CHECK(c.p[i] == cost); /* bit for bit, in ascending order */
        }
        release(z.base, z.size);
        release(y.base, y.size);
        release(delta.base, delta.size);
        release(terms.base, terms.size);
        release(c.base, c.size);
        release(a.base, a.size);
        release(d.base, d.size);
    }
}

/* Softmax's Jacobian times e, against its elements a_j ((j == k) - a_k). */
static void test_softmax_delta(const struct mlp_kernels *k)
{
    for (size_t rows = 1; rows <= 20; rows++) {
        const size_t m = random_size(20), n = rows * m;
        struct array a = array(n), delta = array(n);
        double e[400];
        memcpy(e, delta.p, n * sizeof *e);
        k->activate(MLP_SOFTMAX, rows, m, a.p);
        k->softmax_delta(rows, m, a.p, delta.p);
        for (size_t i = 0; i < rows; i++) {
            const double *ai = a.p + i * m, *ei = e + i * m;
            for (size_t j = 0; j < m; j++) {
                double expected = 0.0, size = 0.0;
                for (size_t p = 0; p < m; p++) {
                    expected += ai[j] * ((j == p ? 1.0 : 0.0) - ai[p]) * ei[p];
                    size += ai[j] * ((j == p ? 1.0 : 0.0) + ai[p]) * fabs(ei[p]);
                }
                CHECK(fabs(delta.p[i * m + j] - expected) <= 1e-14 * size);
            }
        }
        release(a.base, a.size);
        release(delta.base, delta.size);
    }
}

/* The weights of instances; one that weighs nothing counts for nothing, whatever it is. */
static void test_weigh(const struct mlp_kernels *k)
{
    for (size_t rows = 1; rows <= 20; rows++) {
        const size_t m = random_size(20), n = rows * m;
        struct array s = array(rows), delta = array(n), c = array(rows);
        double deltas[400], costs[20];
        for (size_t i = 0; i < rows; i++) {
            s.p[i] = random_bits() % 3 == 0 ? 0.0 : fabs(s.p[i]);
            costs[i] = c.p[i] * s.p[i];
            for (size_t j = 0; j < m; j++)
                deltas[i * m + j] = delta.p[i * m + j] * s.p[i];
            if (s.p[i] == 0.0) { /* whatever they are */
                costs[i] = 0.0;
                c.p[i] = (double)NAN;
                for (size_t j = 0; j < m; j++) {
                    deltas[i * m + j] = 0.0;
                    delta.p[i * m + j] = j % 2 ? INFINITY : (double)NAN;
                }
            }
        }
        k->weigh(rows, m, s.p, delta.p, c.p);
        CHECK(same_bits(n, delta.p, deltas) && same_bits(rows, c.p, costs));
        release(s.base, s.size);
        release(delta.base, delta.size);
        release(c.base, c.size);
    }
}

static void time_output(const struct mlp_kernels *k)
{
    static const struct {
        const char *label;
        enum mlp_loss loss;
        enum mlp_activation g;
    } cases[] = {
        {"squared error, identity", MLP_SQUARED_ERROR, MLP_IDENTITY},
        {"squared error, sigmoid", MLP_SQUARED_ERROR, MLP_SIGMOID},
        {"binary, sigmoid", MLP_BINARY_CROSS_ENTROPY, MLP_SIGMOID},
        {"cross entropy, softmax", MLP_CROSS_ENTROPY, MLP_SOFTMAX},
        {"absolute, identity", MLP_ABSOLUTE_ERROR, MLP_IDENTITY},
        {"huber, identity", MLP_HUBER, MLP_IDENTITY},
        {"quantile, identity", MLP_QUANTILE, MLP_IDENTITY},
        {"poisson, exponential", MLP_POISSON, MLP_EXPONENTIAL},
    };
    const size_t rows = 100, m = 10, n = rows * m;
    struct array from = room(n), z = room(n), y = room(n), delta = room(n), terms = room(n);
    struct array c = room(rows);
    for (size_t i = 0; i < n; i++)
        y.p[i] = fabs(y.p[i]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        TIME_AFTER(
            cases[i].label, n, memcpy(z.p, from.p, n * sizeof *z.p),
            k->output(cases[i].loss, 0.375, cases[i].g, rows, m, z.p, y.p, delta.p, terms.p, c.p));
    release(from.base, from.size);
    release(z.base, z.size);
    release(y.base, y.size);
    release(delta.base, delta.size);
    release(terms.base, terms.size);
    release(c.base, c.size);
}

static void time_softmax_delta(const struct mlp_kernels *k)
{
    const size_t rows = 100, m = 10, n = rows * m;
    struct array a = room(n), from = room(n), delta = room(n);
    k->activate(MLP_SOFTMAX, rows, m, a.p);
    TIME_AFTER("100 x 10", n, memcpy(delta.p, from.p, n * sizeof *delta.p),
               k->softmax_delta(rows, m, a.p, delta.p));
    release(a.base, a.size);
    release(from.base, from.size);
    release(delta.base, delta.size);
}

static void time_weigh(const struct mlp_kernels *k)
{
    const size_t rows = 100, m = 10;
    struct array s = room(rows), delta = room(rows * m), c = room(rows);
    for (size_t i = 0; i < rows; i++)
        s.p[i] = 1.0;
    TIME("100 x 10", rows * m, k->weigh(rows, m, s.p, delta.p, c.p));
    release(s.base, s.size);
    release(delta.base, delta.size);
    release(c.base, c.size);
}

static const struct row ROWS[] = {
    {"output", time_output, {test_output, test_losses, test_small_costs}},
    {"softmax_delta", time_softmax_delta, {test_softmax_delta}},
    {"weigh", time_weigh, {test_weigh}},
};

int main(int argc, char **argv)
{
    return run_rows("test_outputs", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
