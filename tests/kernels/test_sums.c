/* The sums over vectors: the same bits as in the order that kernels.h promises. */
#include "harness.h"

/* What 8 lanes come to. */
static double sum_of(const double lanes[8])
{
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* sum of x_i y_i as the kernels add it */
static double plain_dot(const struct mlp_kernels *k, size_t n, const double *x, const double *y)
{
    double lanes[8] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i % 8] = multiply_add(k, x[i], y[i], lanes[i % 8]);
    return sum_of(lanes);
}

/* Of squares and of sizes, zeros of both signs among them. */
static void test_sums(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n);
        double lanes[8] = {0};
        CHECK(k->sum_squares(n, x.p) == plain_dot(k, n, x.p, x.p));
        for (size_t i = 0; i < n; i++) {
            if (random_bits() % 7 == 0)
                x.p[i] = random_bits() % 2 ? 0.0 : -0.0;
            lanes[i % 8] += fabs(x.p[i]);
        }
        CHECK(k->sum_sizes(n, x.p) == sum_of(lanes));
        release(x.base, x.size);
    }
}

static void test_all_finite(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n);
        CHECK(k->all_finite(n, x.p));
        const double bad[] = {(double)NAN, INFINITY, -INFINITY};
        for (size_t b = 0; b < 3; b++) {
            const size_t place = random_bits() % n;
            const double old = x.p[place];
            x.p[place] = bad[b];
            CHECK(!k->all_finite(n, x.p));
            x.p[place] = old;
        }
        release(x.base, x.size);
    }
}

/* The kernels of the quasi-Newton methods, also with the result in place of an operand. */
static void test_directions(const struct mlp_kernels *k)
{
    for (size_t n = 1; n <= 67; n++) {
        struct array x = array(n), y = array(n), z = array(n), out = array(n);
        double expected[67], s[67], t[67], sums[4];
        CHECK(k->dot(n, x.p, y.p) == plain_dot(k, n, x.p, y.p));

        for (size_t i = 0; i < n; i++)
            expected[i] = multiply_add(k, -0.7, y.p[i], 0.3 * x.p[i]);
        const double sum = plain_dot(k, n, expected, z.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, y.p, z.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));
        memset(out.p, 0, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, y.p, NULL, out.p) == 0.0);
        CHECK(same_bits(n, out.p, expected));
        memcpy(out.p, x.p, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, out.p, -0.7, y.p, z.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));
        memcpy(out.p, y.p, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, out.p, z.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));
        memcpy(out.p, z.p, n * sizeof *out.p);
        CHECK(k->combine(n, 0.3, x.p, -0.7, y.p, out.p, out.p) == sum);
        CHECK(same_bits(n, out.p, expected));

        for (size_t i = 0; i < n; i++) {
            s[i] = -0.3 * z.p[i];
            t[i] = x.p[i] - y.p[i];
        }
        k->curvature(n, -0.3, x.p, y.p, z.p, out.p, sums);
        CHECK(same_bits(n, z.p, s) && same_bits(n, out.p, t));
        CHECK(sums[0] == plain_dot(k, n, s, t) && sums[1] == plain_dot(k, n, t, t));
        CHECK(sums[2] == plain_dot(k, n, x.p, x.p) && sums[3] == plain_dot(k, n, s, x.p));
        release(x.base, x.size);
        release(y.base, y.size);
        release(z.base, z.size);
        release(out.base, out.size);
    }
}

/* In 8 lanes with the rounding errors kept: cut anywhere, the same bits, exact to the last place. */
static void test_accumulate(const struct mlp_kernels *k)
{
    enum { N = 1000 };
    static double c[N];
    double whole[16] = {0}, parts[16] = {0};
    long double exact = 0.0L;
    for (size_t i = 0; i < N; i++) {
        c[i] = ldexp(fabs(random_value()), (int)(random_bits() % 60) - 30);
        exact += c[i];
    }
    k->accumulate(N, 0, c, whole);
    for (size_t i = 0; i < N;) {
        const size_t left = N - i,
                     r = random_size(50) < left ? random_size(left < 50 ? left : 50) : left;
        k->accumulate(r, i, c + i, parts);
        i += r;
    }
    CHECK(same_bits(16, whole, parts));
    long double sum = 0.0L;
    for (size_t i = 0; i < 16; i++)
        sum += whole[i];
    CHECK(fabsl(sum - exact) <= 1e-16L * exact);
}

enum { LENGTH = 1000 };
static const char LABEL[] = "1000";

static void time_sum_squares(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH);
    TIME(LABEL, LENGTH, k->sum_squares(LENGTH, x.p));
    release(x.base, x.size);
}

static void time_sum_sizes(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH);
    TIME(LABEL, LENGTH, k->sum_sizes(LENGTH, x.p));
    release(x.base, x.size);
}

static void time_all_finite(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH);
    TIME(LABEL, LENGTH, k->all_finite(LENGTH, x.p));
    release(x.base, x.size);
}

static void time_dot(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH), y = room(LENGTH);
    TIME(LABEL, LENGTH, k->dot(LENGTH, x.p, y.p));
    release(x.base, x.size);
    release(y.base, y.size);
}

static void time_combine(const struct mlp_kernels *k)
{
    struct array x = room(LENGTH), y = room(LENGTH), z = room(LENGTH), out = room(LENGTH);
    TIME("1000, with a sum", LENGTH, k->combine(LENGTH, 0.3, x.p, -0.7, y.p, z.p, out.p));
    TIME("1000, without", LENGTH, k->combine(LENGTH, 0.3, x.p, -0.7, y.p, NULL, out.p));
    release(x.base, x.size);
    release(y.base, y.size);
    release(z.base, z.size);
    release(out.base, out.size);
}

static void time_curvature(const struct mlp_kernels *k)
{
    struct array g = room(LENGTH), g0 = room(LENGTH), s = room(LENGTH), y = room(LENGTH);
    double sums[4];
    TIME(LABEL, LENGTH, k->curvature(LENGTH, -1.0, g.p, g0.p, s.p, y.p, sums));
    release(g.base, g.size);
    release(g0.base, g0.size);
    release(s.base, s.size);
    release(y.base, y.size);
}

static void time_accumulate(const struct mlp_kernels *k)
{
    struct array c = room(LENGTH);
    double sum[16] = {0};
    TIME(LABEL, LENGTH, k->accumulate(LENGTH, 0, c.p, sum));
    release(c.base, c.size);
}

static const struct row ROWS[] = {
    {"sum_squares", time_sum_squares, {test_sums}},
    {"sum_sizes", time_sum_sizes, {test_sums}},
    {"all_finite", time_all_finite, {test_all_finite}},
    {"dot", time_dot, {test_directions}},
    {"combine", time_combine, {test_directions}},
    {"curvature", time_curvature, {test_directions}},
    {"accumulate", time_accumulate, {test_accumulate}},
};

int main(int argc, char **argv)
{
    return run_rows("test_sums", ROWS, sizeof ROWS / sizeof *ROWS, argc, argv);
}
