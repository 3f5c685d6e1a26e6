/* update.c - prints nanoseconds a parameter, on one core, of Adam's update and of a loop that does
 * nothing but the same reads and writes: ISA name, P, then both. Built and run by update.py. */
#include "kernels/kernels.h"
#include "network/memory.h"

#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void traffic(size_t n, const double *restrict g, double *restrict m, double *restrict v,
                    double *restrict w)
{
    for (size_t i = 0; i < n; i++) {
        m[i] += g[i];
        v[i] += g[i];
        w[i] -= g[i];
    }
}

static void measure(const struct mlp_kernels *k, size_t P)
{
    const struct mlp_adam_step o = {0.9, 0.999, 1e-8, 1e-6, 1.0, 1.0};
    const size_t padded = mlp_padded(P), repeats = 20000000 / P + 1;
    double *g = mlp_allocate(4 * padded), adam = 1.0, bare = 1.0;
    if (g == NULL)
        return;
    for (size_t i = 0; i < 4 * padded; i++)
        g[i] = 1e-3;
    for (int trial = 0; trial < 9; trial++) {
        double t = now();
        for (size_t r = 0; r < repeats; r++)
            k->adam(P, &o, g, g + padded, g + 2 * padded, g + 3 * padded);
        t = (now() - t) / (double)repeats;
        adam = t < adam ? t : adam;
        t = now();
        for (size_t r = 0; r < repeats; r++)
            traffic(P, g, g + padded, g + 2 * padded, g + 3 * padded);
        t = (now() - t) / (double)repeats;
        bare = t < bare ? t : bare;
    }
    printf("%s %zu %.4f %.4f\n", mlp_isa_name(k), P, adam / (double)P * 1e9,
           bare / (double)P * 1e9);
    mlp_release(g);
}

int main(void)
{
    static const size_t sizes[] = {4810, 101770, 5824522}; /* 64-64-10, 784-128-10, the large one */
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        for (size_t s = 0; mlp_isa_supported(mlp_isa(i)) && s < sizeof sizes / sizeof *sizes; s++)
            measure(mlp_isa(i), sizes[s]);
    }
    return 0;
}
