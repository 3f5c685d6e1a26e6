/* gram.c - prints, for each ISA with FMA and order N, the time of J^T J on one core in microseconds for
 * 128 rows of J, in GFLOP/s as counted by the upper triangle, and that in percent of what multiply-adds in
 * registers reach: ISA name, N, then these three. Built and run by gram.py, with machine.c. */
#include "network/memory.h"
#include "training/symmetric.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
double fma_avx2(ptrdiff_t n), fma_avx512(ptrdiff_t n);
#else
double fma_neon(ptrdiff_t n);
#endif

/* Processor time, in which others' programs do not count. */
static double now(void) { return (double)clock() / (double)CLOCKS_PER_SEC; }

/* Multiply-adds in registers, in FLOP a second, where they are measured. */
static double peak(const char *name)
{
    const ptrdiff_t rounds = 1 << 16;
    double best = 0.0;
    for (int trial = 0; trial < 20; trial++) {
        double flop = 0.0;
        const double t = now();
#if defined(__x86_64__)
        if (strcmp(name, "avx2") == 0 && fma_avx2(rounds) != 0.0)
            flop = 24.0 * 4.0 * (double)rounds;
        if (strcmp(name, "avx512") == 0 && fma_avx512(rounds) != 0.0)
            flop = 24.0 * 8.0 * (double)rounds;
#else
        if (strcmp(name, "neon") == 0 && fma_neon(rounds) != 0.0)
            flop = 24.0 * 2.0 * (double)rounds;
#endif
        const double rate = flop / (now() - t);
        best = rate > best ? rate : best;
    }
    return best;
}

static void measure(const struct mlp_kernels *k, size_t N, double most)
{
    const size_t rows = 128, layers[2] = {1, 1}, x_row = mlp_symmetric_row(N + 7);
    const enum mlp_activation g = MLP_IDENTITY;
    const struct mlp_team team = {.n_threads = 1};
    struct mlp_symmetric s = {.team = &team, .order = N, .row = mlp_symmetric_row(N)};
    struct mlp_network *net;
    if (mlp_network_new(&net, k, 1, layers, &g, MLP_SQUARED_ERROR) != MLP_OK)
        return;
    s.net = net;
    s.panel = mlp_symmetric_panel(k, N, rows, s.row + x_row);
    s.panels = mlp_allocate(s.panel + 1);
    double *x = mlp_allocate(rows * x_row), *a = mlp_allocate(N * s.row);
    if (s.panels != NULL && x != NULL && a != NULL) {
        const double flop = (double)N * (double)(N + 1) * (double)rows;
        const int repeats = 1 + (int)(2e7 / flop); /* shorter than a slice of the scheduler's */
        double best = 1e300;
        for (size_t i = 0; i < rows * x_row; i++)
            x[i] = 1e-3 * (double)(i % 7);
        memset(a, 0, N * s.row * sizeof *a);
        for (int trial = 0; trial < 100; trial++) {
            double t = now();
            for (int r = 0; r < repeats; r++)
                mlp_gram(&s, rows, x, x_row, 0, a, 0, 1e300);
            t = (now() - t) / repeats;
            best = t < best ? t : best;
        }
        printf("%s %zu %.2f %.2f %.1f\n", mlp_isa_name(k), N, 1e6 * best, 1e-9 * flop / best,
               100.0 * flop / best / most);
    }
    mlp_release(x);
    mlp_release(a);
    mlp_release(s.panels);
    mlp_network_free(net);
}

int main(void)
{
    static const size_t orders[] = {61, 64, 128, 200, 300, 500, 756, 1000, 2000};
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const double most = mlp_isa_supported(mlp_isa(i)) ? peak(mlp_isa_name(mlp_isa(i))) : 0.0;
        for (size_t n = 0; most > 0.0 && n < sizeof orders / sizeof *orders; n++)
            measure(mlp_isa(i), orders[n], most);
    }
    return 0;
}
