/* The updates of parameters and other vectors, element after element: the same bits as the formulas. */
#include "harness.h"

/* The order of every update, written out. */
static void test_vectors(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n), y = array(n), w = array(n), v = array(n);
        double w1[67], v1[67], w2[67];
        for (size_t i = 0; i < n; i++) {
            const double t = 0.125 * x.p[i];
            w1[i] = multiply_add(k, -0.125, x.p[i], w.p[i]);
            v1[i] = multiply_add(k, 0.9, v.p[i], -t);
            w2[i] = w1[i] + multiply_add(k, 0.9, v1[i], -t);
        }
        k->descend(n, 0.125, x.p, w.p);
        CHECK(same_bits(n, w.p, w1));
        k->descend_momentum(n, 0.125, 0.9, 1, x.p, v.p, w.p);
        CHECK(same_bits(n, w.p, w2) && same_bits(n, v.p, v1));
        for (size_t i = 0; i < n; i++) {
            v1[i] = multiply_add(k, 0.9, v.p[i], -(0.125 * x.p[i]));
            w2[i] = w.p[i] + v1[i];
        }
        k->descend_momentum(n, 0.125, 0.9, 0, x.p, v.p, w.p);
        CHECK(same_bits(n, w.p, w2) && same_bits(n, v.p, v1));
        for (size_t i = 0; i < n; i++)
            w2[i] = x.p[i] + y.p[i];
        k->add(n, y.p, x.p);
        CHECK(same_bits(n, x.p, w2));
        release(x.base, x.size);
        release(y.base, y.size);
        release(w.base, w.size);
        release(v.base, v.size);
    }
}

/* The penalty's slope and the product of elements. */
static void test_objective(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n), y = array(n);
        double product[67], slope[67];
        for (size_t i = 0; i < n; i++) {
            if (random_bits() % 7 == 0)
                x.p[i] = random_bits() % 2 ? 0.0 : -0.0;
        }
        static const double strengths[][2] = {{0.3, 0.7}, {0.3, 0.0}, {0.0, 0.7}};
        for (size_t s = 0; s < 3; s++) {
            const double l1 = strengths[s][0], l2 = strengths[s][1];
            for (size_t i = 0; i < n; i++) {
                const double w = x.p[i], sign = w > 0.0 ? l1 : w < 0.0 ? -l1 : 0.0;
                slope[i] = y.p[i] + multiply_add(k, l2, w, sign);
            }
            k->penalise(n, l1, l2, x.p, y.p);
            CHECK(same_bits(n, y.p, slope));
        }
        for (size_t i = 0; i < n; i++)
            product[i] = x.p[i] * y.p[i];
        k->multiply(n, y.p, x.p);
        CHECK(same_bits(n, x.p, product));
        release(x.base, x.size);
        release(y.base, y.size);
    }
}

/* Numbers of every size, and zeros. */
static void fill_widely(size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] =
            random_bits() % 5 == 0
                ? 0.0
                : ldexp(random_value(), random_bits() % 3 ? 0 : (int)(random_bits() % 800) - 700);
    }
}

/* Adam, Rprop and clipping, one parameter after another. */
static void test_steps(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array g = array(n), p = array(n), v = array(n), w = array(n);
        double p1[67], v1[67], w1[67];
        const struct mlp_adam_step adam = {
            0.9, 0.999, 1e-8, 0.01, 3.0, n % 2 ? 1.0 : 0.875, n % 3 ? 1.0 : 0.3};
        fill_widely(n, g.p);
        for (size_t i = 0; i < n; i++) {
            v.p[i] = fabs(v.p[i]);
            const double gi = adam.scale * g.p[i];
            p1[i] = multiply_add(k, 0.9, p.p[i], (1.0 - 0.9) * gi);
            v1[i] = multiply_add(k, 0.999, v.p[i], (1.0 - 0.999) * gi * gi);
            const double d = multiply_add(k, 3.0, sqrt(v1[i]), 1e-8);
            w1[i] = multiply_add(k, adam.keep, w.p[i], -(0.01 * p1[i] / d));
        }
        k->adam(n, &adam, g.p, p.p, v.p, w.p);
        CHECK(same_bits(n, p.p, p1) && same_bits(n, v.p, v1) && same_bits(n, w.p, w1));

        for (int back = 0; back < 2; back++) {
            const struct mlp_rprop_step rprop = {1.2, 0.5, 0.25, 0.75, back};
            fill_widely(n, g.p);
            fill_widely(n, p.p);
            for (size_t i = 0; i < n; i++) {
                const int sign = (g.p[i] > 0) - (g.p[i] < 0), was = (p.p[i] > 0) - (p.p[i] < 0);
                const double old = v.p[i] = 0.25 + 0.5 * fabs(random_value());
                v1[i] = old;
                w1[i] = w.p[i];
                p1[i] = g.p[i];
                if (sign * was < 0) {
                    v1[i] = fmax(0.5 * old, 0.25);
                    w1[i] += back ? was * old : 0.0;
                    p1[i] = 0.0;
                } else {
                    if (sign * was > 0)
                        v1[i] = fmin(1.2 * old, 0.75);
                    w1[i] -= sign * v1[i];
                }
            }
            k->rprop(n, &rprop, g.p, p.p, v.p, w.p);
            CHECK(same_bits(n, p.p, p1) && same_bits(n, v.p, v1) && same_bits(n, w.p, w1));
        }

        for (size_t i = 0; i < n; i++)
            w1[i] = fmax(fmin(0.75 * g.p[i], 0.25), -0.25);
        k->clip(n, 0.75, 0.25, g.p);
        CHECK(same_bits(n, g.p, w1));
        for (size_t i = 0; i < n; i++)
            w1[i] = 0.3 * g.p[i];
        k->clip(n, 0.3, INFINITY, g.p);
        CHECK(same_bits(n, g.p, w1));
        release(g.base, g.size);
        release(p.base, p.size);
        release(v.base, v.size);
        release(w.base, w.size);
    }
}

/* Steps so small that none of the numbers grows while they are repeated. */
enum { LENGTH = 1000 };
static const char LABEL[] = "1000";

static void time_descend(const struct mlp_kernels *k)
{
    struct array g = room(LENGTH), w = room(LENGTH);
    TIME(LABEL, LENGTH, k->descend(LENGTH, 1e-9, g.p, w.p));
    release(g.base, g.size);
    release(w.base, w.size);
}

static void time_descend_momentum(const struct mlp_kernels *k)
{
    struct array g = room(LENGTH), v = room(LENGTH), w = room(LENGTH);
    TIME("1000, momentum", LENGTH, k->descend_momentum(LENGTH, 1e-9, 0.9, 0, g.p, v.p, w.p));
    TIME("1000, Nesterov", LENGTH, k->descend_momentum(LENGTH, 1e-9, 0.9, 1, g.p, v.p, w.p));
    release(g.base, g.size);
    release(v.base, v.size);
    release(w.base, w.size);
}

static void time_add(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH), y = room(LENGTH);
    TIME(LABEL, LENGTH, k->add(LENGTH, y.p, x.p));
    release(x.base, x.size);
    release(y.base, y.size);
}

static void time_multiply(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH), y = room(LENGTH);
    for (size_t i = 0; i < LENGTH; i++)
        y.p[i] = 1.0;
    TIME(LABEL, LENGTH, k->multiply(LENGTH, y.p, x.p));
    release(x.base, x.size);
    release(y.base, y.size);
}

static void time_penalise(const struct mlp_kernels *k)
{
    struct array w = room(LENGTH), g = room(LENGTH);
    TIME("1000, l1 and l2", LENGTH, k->penalise(LENGTH, 1e-9, 1e-9, w.p, g.p));
    TIME("1000, l2", LENGTH, k->penalise(LENGTH, 0.0, 1e-9, w.p, g.p));
    release(w.base, w.size);
    release(g.base, g.size);
}

static void time_adam(const struct mlp_kernels *k)
{
    const struct mlp_adam_step step = {0.9, 0.999, 1e-8, 1e-9, 1.0, 1.0, 1.0};
    struct array g = room(LENGTH), m = room(LENGTH), v = room(LENGTH), w = room(LENGTH);
    for (size_t i = 0; i < LENGTH; i++)
        v.p[i] = fabs(v.p[i]);
    TIME(LABEL, LENGTH, k->adam(LENGTH, &step, g.p, m.p, v.p, w.p));
    release(g.base, g.size);
    release(m.base, m.size);
    release(v.base, v.size);
    release(w.base, w.size);
}

static void time_rprop(const struct mlp_kernels *k)
{
    const struct mlp_rprop_step step = {1.2, 0.5, 1e-9, 1e-6, 1};
    struct array g = room(LENGTH), p = room(LENGTH), d = room(LENGTH), w = room(LENGTH);
    for (size_t i = 0; i < LENGTH; i++)
        d.p[i] = 1e-7;
    TIME(LABEL, LENGTH, k->rprop(LENGTH, &step, g.p, p.p, d.p, w.p));
    release(g.base, g.size);
    release(p.base, p.size);
    release(d.base, d.size);
    release(w.base, w.size);
}

static void time_clip(const struct mlp_kernels *k)
{
    struct array g = room(LENGTH);
    TIME(LABEL, LENGTH, k->clip(LENGTH, 1.0, 0.25, g.p));
    release(g.base, g.size);
}

static const struct row ROWS[] = {
    {"descend", time_descend, {test_vectors}},
    {"descend_momentum", time_descend_momentum, {test_vectors}},
    {"add", time_add, {test_vectors}},
    {"multiply", time_multiply, {test_objective}},
    {"penalise", time_penalise, {test_objective}},
    {"adam", time_adam, {test_steps}},
    {"rprop", time_rprop, {test_steps}},
    {"clip", time_clip, {test_steps}},
};

int main(int argc, char **argv)
{
    return run_rows("test_updates", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
