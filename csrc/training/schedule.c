/* schedule.c - the learning rate of an epoch, by products, sums and quotients and the library's own
 * log and exp: the same bits everywhere. */
#include "training/schedule.h"

#include <math.h>

/* x^n by squaring */
static double power(double x, size_t n)
{
    double y = 1.0;
    for (; n > 0; n /= 2) {
        if (n & 1)
            y *= x;
        x *= x;
    }
    return y;
}

/* sin(x)^2, 0 <= x <= pi/4: Taylor's series, whose first term left out, x^17 / 17!, is less than
 * 2^-53 sin(x). */
static double sine_squared(double x)
{
    static const double divisors[] = {14.0 * 15.0, 12.0 * 13.0, 10.0 * 11.0, 8.0 * 9.0,
                                      6.0 * 7.0,   4.0 * 5.0,   2.0 * 3.0};
    const double x2 = x * x;
    double y = 1.0;
    for (size_t i = 0; i < sizeof divisors / sizeof *divisors; i++)
        y = 1.0 - x2 / divisors[i] * y;
    return x2 * y * y;
}

/* (1 + cos(pi i / n)) / 2, i <= n */
static double half_wave(size_t i, size_t n)
{
    const double half_pi = 0x1.921fb54442d18p+0;
    const size_t left = n - i;
    if (i < left)
        return 1.0 - sine_squared(half_pi * (double)i / (double)n);
    return sine_squared(half_pi * (double)left / (double)n);
}

/* alpha / e^power */
static double inverse_scaling(const struct mlp_kernels *kernels, double alpha, double power,
                              size_t e)
{
    double x = (double)e;
    kernels->vector_math(MLP_LOG, 1, &x, &x);
    x *= -power;
    kernels->vector_math(MLP_EXP, 1, &x, &x);
    return alpha * x;
}

static double plateau_rate(const struct mlp_schedule *s, double alpha, double cost,
                           double plateau[2])
{
    if (cost < plateau[0] - s->threshold * fabs(plateau[0]) || isinf(plateau[0])) {
        plateau[0] = cost;
        plateau[1] = 0.0;
        return alpha;
    }
    plateau[1] += 1.0;
    if (plateau[1] <= (double)s->epochs)
        return alpha;
    plateau[1] = 0.0;
    const double lower = alpha * s->factor;
    return lower > s->minimum ? lower : s->minimum;
}

double mlp_schedule_rate(const struct mlp_schedule *schedule, const struct mlp_kernels *kernels,
                         double alpha, size_t epoch, double cost, double plateau[2])
{
    const struct mlp_schedule *s = schedule;
    switch (s->kind) {
    case MLP_INVERSE_SCALING:
        return inverse_scaling(kernels, alpha, s->power, epoch);
    case MLP_STEPWISE:
        return alpha * power(s->factor, (epoch - 1) / s->epochs);
    case MLP_COSINE:
        if (epoch <= s->warmup)
            return alpha * (double)epoch / ((double)s->warmup + 1.0);
        if (epoch > s->epochs)
            return s->minimum;
        return s->minimum +
               (alpha - s->minimum) * half_wave(epoch - 1 - s->warmup, s->epochs - s->warmup);
    case MLP_PLATEAU:
        return epoch > 1 ? plateau_rate(s, alpha, cost, plateau) : alpha;
    case MLP_CONSTANT:
    default:
        return alpha;
    }
}
