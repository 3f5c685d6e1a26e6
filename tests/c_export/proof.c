/* Compares what exported networks compute with what deltaloop computed: prints the first difference, or how much was
   equal. Reads nothing, and needs of its system one way to print. */
#include "proof.h"

#include <stdio.h>
#include <string.h>

static long numbers = 0; /* compared so far */

static void take64(double *to, const uint64_t *from, long n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

static void take32(float *to, const uint32_t *from, long n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

/* Whether n numbers have the bits that were expected. A NaN is as good as another: which one comes out is the
   processor's choice. */
static int equal64(const double *got, const uint64_t *expected, long n, const char *name,
                   const char *what, int row)
{
    for (long i = 0; i < n; i++, numbers++) {
        uint64_t bits;
        double number;
        memcpy(&bits, &got[i], sizeof bits);
        memcpy(&number, &expected[i], sizeof number);
        if (bits == expected[i] || (got[i] != got[i] && number != number))
            continue;
        printf("DIFFERENT: %s, %s of row %d, number %ld: got %08lx%08lx, expected %08lx%08lx\n",
               name, what, row, i, (unsigned long)(bits >> 32), (unsigned long)(bits & 0xffffffffU),
               (unsigned long)(expected[i] >> 32), (unsigned long)(expected[i] & 0xffffffffU));
        return 0;
    }
    return 1;
}

static int equal32(const float *got, const uint32_t *expected, long n, const char *name, int row)
{
    for (long i = 0; i < n; i++, numbers++) {
        uint32_t bits;
        float number;
        memcpy(&bits, &got[i], sizeof bits);
        memcpy(&number, &expected[i], sizeof number);
        if (bits == expected[i] || (got[i] != got[i] && number != number))
            continue;
        printf("DIFFERENT: %s, output of row %d, number %ld: got %08lx, expected %08lx\n", name,
               row, i, (unsigned long)bits, (unsigned long)expected[i]);
        return 0;
    }
    return 1;
}

static int tested(int (*self_test)(void), const char *name)
{
    int vector = self_test();
    if (vector != 0)
        printf("DIFFERENT: %s, its self-test: vector %d\n", name, vector);
    return vector == 0;
}

static int check_network64(const struct network64 *net)
{
    if (!tested(net->self_test, net->name))
        return 0;
    long block = (long)net->outputs * net->inputs;
    for (int row = 0; row < net->rows; row++) {
        take64(given64, net->x + (long)row * net->inputs, net->inputs);
        net->predict(given64, got64, workspace64);
        if (!equal64(got64, net->y + (long)row * net->outputs, net->outputs, net->name, "output",
                     row))
            return 0;
        if (net->derive == NULL)
            continue;
        net->derive(given64, got64, workspace64);
        if (!equal64(got64, net->jacobian + row * block, block, net->name, "Jacobian", row))
            return 0;
    }
    return 1;
}

static int check_training64(const struct training64 *fit)
{
    double *state = workspace64;
    fit->init(state);
    for (int step = 0; step < fit->steps; step++) {
        int row = step % fit->rows;
        take64(given64, fit->x + (long)row * fit->inputs, fit->inputs);
        take64(given64 + fit->inputs, fit->y + (long)row * fit->outputs, fit->outputs);
        double cost = fit->step(state, given64, given64 + fit->inputs);
        if (!equal64(&cost, fit->costs + step, 1, fit->name, "cost", step))
            return 0;
    }
    fit->read(state, got64);
    return equal64(got64, fit->end, fit->parameters, fit->name, "parameters", fit->steps);
}

static int check_network32(const struct network32 *net)
{
    if (!tested(net->self_test, net->name))
        return 0;
    for (int row = 0; row < net->rows; row++) {
        take32(given32, net->x + (long)row * net->inputs, net->inputs);
        net->predict(given32, got32, workspace32);
        if (!equal32(got32, net->y + (long)row * net->outputs, net->outputs, net->name, row))
            return 0;
    }
    return 1;
}

int main(void)
{
    for (int i = 0; i < count_networks64; i++)
        if (!check_network64(&networks64[i]))
            return 1;
    for (int i = 0; i < count_trainings64; i++)
        if (!check_training64(&trainings64[i]))
            return 1;
    for (int i = 0; i < count_networks32; i++)
        if (!check_network32(&networks32[i]))
            return 1;
    printf("equal: %d networks, %d trainings, %d networks in float32, %ld numbers\n",
           count_networks64, count_trainings64, count_networks32, numbers);
    return 0;
}
