/* The line search on functions of one variable: the steps it takes satisfy the strong Wolfe conditions,
 * functions that are infinite somewhere included, and it ends when there is none to be had. */
#include "check.h"

#include "training/wolfe.h"

struct function {
    double (*f)(double alpha, double *slope);
    double slope; /* at 0 */
};

static double parabola(double a, double *slope)
{
    *slope = 2.0 * (a - 3.0);
    return (a - 3.0) * (a - 3.0) - 9.0;
}
static double barrier(double a, double *slope) /* infinite from 1 on */
{
    *slope = -2.0 + 1.0 / (1.0 - a);
    return a < 1.0 ? -2.0 * a - log(1.0 - a) : INFINITY;
}
static double waves(double a, double *slope)
{
    *slope = -1.0 + 0.1 * a + 3.0 * sin(7.0 * a) / 7.0;
    return -a + 0.05 * a * a + 3.0 * (1.0 - cos(7.0 * a)) / 49.0;
}
static double steep(double a, double *slope)
{
    *slope = 4.0 * (a - 1e-4) * (a - 1e-4) * (a - 1e-4) * 1e14;
    return ((a - 1e-4) * (a - 1e-4) * (a - 1e-4) * (a - 1e-4) - 1e-16) * 1e14;
}
static double falling(double a, double *slope) /* no minimum */
{
    *slope = -exp(-a * 1e-9);
    return (exp(-a * 1e-9) - 1.0) * 1e9;
}
static double rising(double a, double *slope) /* which its derivative at 0 denies */
{
    *slope = 1.0;
    return a;
}

/* Evaluations that were made, or 0 when the search failed. */
static size_t search(const struct function *function, double c1, double c2, double first,
                     size_t most, struct mlp_wolfe *s)
{
    enum mlp_wolfe_verdict verdict = MLP_WOLFE_TRY;
    size_t count = 0;
    mlp_wolfe_start(s, c1, c2, most, function->slope, first);
    while (verdict == MLP_WOLFE_TRY) {
        double slope = 0.0;
        CHECK(s->alpha > 0.0 && isfinite(s->alpha) && count < most);
        const double f = function->f(s->alpha, &slope);
        verdict = mlp_wolfe_judge(s, f, isfinite(f) ? slope : 0.0);
        count++;
    }
    return verdict == MLP_WOLFE_FAILED ? 0 : count;
}

static void test_conditions(void)
{
    static const struct function functions[] = {
        {parabola, -6.0}, {barrier, -1.0}, {waves, -1.0}, {steep, -400.0}};
    static const double constants[][2] = {{1e-4, 0.9}, {1e-3, 0.1}, {0.1, 0.2}, {1e-4, 1e-3}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
            for (int power = -9; power <= 6; power++) {
                const struct function *function = &functions[i];
                const double c1 = constants[c][0], c2 = constants[c][1];
                struct mlp_wolfe s;
                double slope;
                CHECK(search(function, c1, c2, pow(10.0, power), 60, &s) > 0);
                const double f = function->f(s.alpha, &slope);
                CHECK(f <= c1 * s.alpha * function->slope);
                CHECK(fabs(slope) <= -c2 * function->slope);
            }
        }
    }
}

static void test_ends(void)
{
    const struct function endless = {falling, -1.0}, wrong = {rising, -1.0},
                          good = {parabola, -6.0};
    const struct function narrow = {waves, -1.0};
    struct mlp_wolfe s;
    double slope;
    for (size_t most = 1; most <= 12; most++) {
        /* The longest step is the best one. */
        CHECK(search(&endless, 1e-4, 0.1, 1e-3, most, &s) == most);
        CHECK(falling(s.alpha, &slope) < -1e-3 * pow(2.0, (double)most - 2.0));
        CHECK(search(&wrong, 1e-4, 0.9, 1.0, most, &s) == 0);
        /* A step that decreases f is the best one where no step can meet the second condition. */
        if (search(&narrow, 1e-4, 2e-4, 1.0, most, &s) > 0)
            CHECK(waves(s.alpha, &slope) <= 1e-4 * s.alpha * -1.0);
    }
    /* The bracket shrinks to two neighbours. */
    CHECK(search(&wrong, 1e-4, 0.9, 1.0, 100000, &s) == 0);
    CHECK(search(&good, 1e-4, 0.9, 3.0, 1, &s) == 1 && s.alpha == 3.0);
}

int main(void)
{
    test_conditions();
    test_ends();
    return report("test_wolfe");
}
