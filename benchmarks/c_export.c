/* Single rows through networks as C, by several tools, in turns of one process. See c_export.py, which writes
   contenders.inc: a line for each, ROW(name, float) or ROW(name, double).

   c_export ROWS INPUTS OUTPUTS TURNS: reads the rows' doubles from stdin, prints for each contender its outputs, and
   then for each turn the nanoseconds of a call. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROW(name, real) void run_##name(const real *x, real *y);
#include "contenders.inc"
#undef ROW

typedef void (*run_float)(const float *, float *);
typedef void (*run_double)(const double *, double *);

struct contender {
    const char *name;
    size_t size;
    void (*run)(void);
};

static const struct contender contenders[] = {
#define ROW(name, real) {#name, sizeof(real), (void (*)(void))run_##name},
#include "contenders.inc"
};

enum { COUNT = sizeof contenders / sizeof contenders[0], LONGEST = 10 * 1000 * 1000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* `calls` calls, over the rows again and again; the nanoseconds of all. */
static double timed(const struct contender *c, const double *x, double *y, int rows, int m, int k,
                    long calls)
{
    double begin = now();
    if (c->size == sizeof(float)) {
        run_float run = (run_float)c->run;
        const float *xs = (const float *)(const void *)(x + (size_t)rows * (size_t)m);
        float *ys = (float *)(void *)y;
        for (long i = 0, row = 0; i < calls; i++, row = row + 1 < rows ? row + 1 : 0)
            run(xs + row * m, ys + row * k);
    } else {
        run_double run = (run_double)c->run;
        for (long i = 0, row = 0; i < calls; i++, row = row + 1 < rows ? row + 1 : 0)
            run(x + row * m, y + row * k);
    }
    return now() - begin;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int rows = atoi(argv[1]), m = atoi(argv[2]), k = atoi(argv[3]), turns = atoi(argv[4]);
    size_t n = (size_t)rows * (size_t)m;
    /* The doubles, and behind them the same rows as floats. */
    double *x = aligned_alloc(64, (2 * n * sizeof *x + 63) / 64 * 64);
    double *y = aligned_alloc(64, ((size_t)(rows * k) * sizeof *y + 63) / 64 * 64);
    if (x == NULL || y == NULL || fread(x, sizeof *x, n, stdin) != n)
        return 2;
    float *narrow = (float *)(void *)(x + n);
    for (size_t i = 0; i < n; i++)
        narrow[i] = (float)x[i];

    long calls[COUNT];
    for (int c = 0; c < COUNT; c++) {
        timed(&contenders[c], x, y, rows, m, k, rows);
        printf("outputs %s", contenders[c].name);
        for (int i = 0; i < rows * k; i++) {
            double value =
                contenders[c].size == sizeof(float) ? (double)((float *)(void *)y)[i] : y[i];
            printf(" %.17g", value);
        }
        printf("\n");
        calls[c] = rows;
        while (timed(&contenders[c], x, y, rows, m, k, calls[c]) < LONGEST / 2)
            calls[c] *= 2;
    }
    for (int turn = 0; turn < turns; turn++)
        for (int i = 0; i < COUNT; i++) {
            int c = (i + turn) % COUNT;
            double time = timed(&contenders[c], x, y, rows, m, k, calls[c]);
            printf("time %s %.3f\n", contenders[c].name, time / (double)calls[c]);
        }
    return 0;
}
