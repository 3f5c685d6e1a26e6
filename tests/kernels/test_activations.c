/* The activations and their derivatives against their formulas: within a few units in the last place, and
 * the same bits wherever an element stands. */
#include "harness.h"
#include "plain.h"

static void test_activations(const struct mlp_kernels *k)
{
    static const enum mlp_activation all[] = {MLP_ACTIVATIONS(MLP_IDENTIFIER)};
    for (size_t g = 0; g < sizeof all / sizeof *all; g++) {
        for (size_t n = 1; n <= 37 && all[g] != MLP_SOFTMAX; n++) {
            struct array z = array(n), delta = array(n);
            double before[37], old[37];
            for (size_t i = 0; i < n; i++)
                z.p[i] *= 8.0;
            memcpy(before, z.p, n * sizeof *before);
            memcpy(old, delta.p, n * sizeof *old);
            k->activate(all[g], 1, n, z.p);
            for (size_t i = 0; i < n; i++) {
                const double expected = plain(all[g], before[i]);
                /* erfc magnifies the rounding of its argument, and libm has errors of its own. */
                const double square = before[i] * before[i];
                const double limit = all[g] <= MLP_STEP ? 0x1p-51 : 0x1p-50 * (1.0 + square);
                CHECK(fabs(z.p[i] - expected) <= limit * fabs(expected));
            }
            k->multiply_derivative(all[g], n, z.p, delta.p);
            for (size_t i = 0; i < n && all[g] != MLP_STEP; i++) {
                const double expected = old[i] * plain_derivative(all[g], z.p[i]);
                CHECK(fabs(delta.p[i] - expected) <= 6e-16 * fabs(expected));
            }
            if (all[g] != MLP_STEP) {
                struct array kept = array(n), d = array(n);
                memcpy(kept.p, before, n * sizeof *before);
                k->activate_keep(all[g], n, kept.p, d.p);
                CHECK(same_bits(n, kept.p, z.p));
                for (size_t i = 0; i < n && !mlp_keeps_derivative(all[g]); i++) {
                    const double slope = plain_derivative(all[g], z.p[i]);
                    CHECK(fabs(d.p[i] - slope) <= 6e-16 * slope);
                }
                for (size_t i = 0; i < n && mlp_keeps_derivative(all[g]); i++) {
                    const double h = 0x1p-17, x = before[i];
                    const double slope = (plain(all[g], x + h) - plain(all[g], x - h)) / (2.0 * h);
                    CHECK(fabs(d.p[i] - slope) <= 1e-9);
                }
                release(kept.base, kept.size);
                release(d.base, d.size);
            }
            /* An element's bits do not depend on its place. */
            double one = before[n - 1];
            k->activate(all[g], 1, 1, &one);
            CHECK(same_bits(1, &one, &z.p[n - 1]));
            release(z.base, z.size);
            release(delta.base, delta.size);
        }
    }
    double z[3] = {(double)NAN, INFINITY, -INFINITY};
    k->activate(MLP_RELU, 1, 3, z);
    CHECK(isnan(z[0]) && z[1] == INFINITY && z[2] == 0.0);
    double s[3] = {(double)NAN, INFINITY, -INFINITY};
    k->activate(MLP_STEP, 1, 3, s);
    CHECK(isnan(s[0]) && s[1] == 1.0 && s[2] == 0.0);
}

/* Neither does it depend on how many elements there are, around the blocks of those in two halves. */
static void test_long_activations(const struct mlp_kernels *k)
{
    static const enum mlp_activation all[] = {MLP_SIGMOID, MLP_TANH, MLP_SOFTPLUS};
    static const size_t sizes[] = {127, 128, 129, 131, 255, 261};
    for (size_t g = 0; g < sizeof all / sizeof *all; g++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const size_t n = sizes[s];
            struct array z = array(n);
            double before[261];
            for (size_t i = 0; i < n; i++)
                before[i] = z.p[i] *= 8.0;
            k->activate(all[g], 1, n, z.p);
            for (size_t i = 0; i < n; i++) {
                k->activate(all[g], 1, 1, &before[i]);
                CHECK(same_bits(1, &before[i], &z.p[i]));
            }
            release(z.base, z.size);
        }
    }
}

/* delta through a layer of one unit: the bits of a product from 0, then multiply_derivative(). */
static void test_single_delta(const struct mlp_kernels *k)
{
    for (int g = MLP_SIGMOID; g <= MLP_EXPONENTIAL; g++) {
        for (int trial = 0; trial < 30; trial++) {
            const size_t rows = random_size(9), m = random_size(37), n = rows * m;
            struct array delta = array(rows), w = array(m), a = array(n), out = array(n);
            double expected[9 * 37];
            if (trial % 3 == 0) /* -0 + 0 */
                delta.p[0] = -0.0;
            for (size_t i = 0; i < n; i++)
                expected[i] = multiply_add(k, delta.p[i / m], w.p[i % m], 0.0);
            k->multiply_derivative((enum mlp_activation)g, n, a.p, expected);
            k->single_delta((enum mlp_activation)g, rows, m, delta.p, w.p, a.p, out.p);
            CHECK(same_bits(n, expected, out.p));
            release(delta.base, delta.size);
            release(w.base, w.size);
            release(a.base, a.size);
            release(out.base, out.size);
        }
    }
}

enum { LENGTH = 4000 };

/* identity does nothing, and step and softmax have no derivative of an element alone. */
static int is_timed(enum mlp_activation g, int derivative)
{
    return g != MLP_IDENTITY && !(derivative && (g == MLP_STEP || g == MLP_SOFTMAX));
}

static void time_activate(const struct mlp_kernels *k)
{
    struct array from = room(LENGTH), z = room(LENGTH);
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        const enum mlp_activation g = ACTIVATIONS[i].g;
        if (is_timed(g, 0))
            TIME_AFTER(ACTIVATIONS[i].name, LENGTH, memcpy(z.p, from.p, LENGTH * sizeof *z.p),
                       k->activate(g, LENGTH / 10, 10, z.p));
    }
    release(from.base, from.size);
    release(z.base, z.size);
}

static void time_activate_keep(const struct mlp_kernels *k)
{
    struct array from = room(LENGTH), z = room(LENGTH), d = room(LENGTH);
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        const enum mlp_activation g = ACTIVATIONS[i].g;
        if (is_timed(g, 1))
            TIME_AFTER(ACTIVATIONS[i].name, LENGTH, memcpy(z.p, from.p, LENGTH * sizeof *z.p),
                       k->activate_keep(g, LENGTH, z.p, d.p));
    }
    release(from.base, from.size);
    release(z.base, z.size);
    release(d.base, d.size);
}

static void time_multiply_derivative(const struct mlp_kernels *k)
{
    struct array from = room(LENGTH), a = room(LENGTH), delta = room(LENGTH);
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        const enum mlp_activation g = ACTIVATIONS[i].g;
        if (is_timed(g, 1))
            TIME_AFTER(ACTIVATIONS[i].name, LENGTH,
                       memcpy(delta.p, from.p, LENGTH * sizeof *from.p),
                       k->multiply_derivative(g, LENGTH, a.p, delta.p));
    }
    release(from.base, from.size);
    release(a.base, a.size);
    release(delta.base, delta.size);
}

static void time_single_delta(const struct mlp_kernels *k)
{
    const size_t rows = 100, m = 32;
    struct array delta = room(rows), w = room(m), a = room(rows * m), out = room(rows * m);
    TIME("sigmoid, 100 x 32", rows * m,
         k->single_delta(MLP_SIGMOID, rows, m, delta.p, w.p, a.p, out.p));
    release(delta.base, delta.size);
    release(w.base, w.size);
    release(a.base, a.size);
    release(out.base, out.size);
}

static const struct row ROWS[] = {
    {"activate", time_activate, {test_activations, test_long_activations}},
    {"activate_keep", time_activate_keep, {test_activations}},
    {"multiply_derivative", time_multiply_derivative, {test_activations}},
    {"single_delta", time_single_delta, {test_single_delta}},
};

int main(int argc, char **argv)
{
    return run_rows("test_activations", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
