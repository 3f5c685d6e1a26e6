/* harness.h - runs the checks of some kernels on every ISA that this machine has and, with --bench,
 * times the kernels. One row of the test's table is one kernel: its name, its timing, its checks.
 * A test of kernels is that table and `return run_rows(...)`. */
#ifndef HARNESS_H
#define HARNESS_H

#include "check.h"

#include "kernels/kernels.h"

#include <time.h>

/* ---- what the checks share ---- */

/* n random numbers with a guard page behind them. */
struct array {
    double *p;
    void *base;
    size_t size;
};

static inline struct array array(size_t n)
{
    struct array a;
    a.p = guarded(n, &a.base, &a.size);
    fill(n, a.p);
    return a;
}

/* n random numbers for timing: on a cache line, no two arrays alike in their place on a page, and with
 * room behind them, because masked loads and stores that reach into a guard page are slow. */
static inline struct array room(size_t n)
{
    static size_t count;
    struct array a;
    a.p = guarded(mlp_padded(n) + 64 + 72 * (count++ % 7), &a.base, &a.size);
    fill(n, a.p);
    return a;
}

/* ---- rows ---- */

/* The checks of a kernel, and what times it on one ISA; checks that rows share are run once. */
struct row {
    const char *name; /* as in struct mlp_kernels */
    void (*time)(const struct mlp_kernels *k);
    void (*checks[3])(const struct mlp_kernels *k);
};

/* ---- timing ----
 *
 * TIME(label, elements, call) measures a call that may be repeated on what it left behind;
 * TIME_AFTER(label, elements, prepare, call) prepares every call, and leaves that out. The number is
 * the least of several runs in three rounds, in which the ISAs take turns, so that neither another
 * process nor the clock of the processor favours one of them. */

enum { MAX_LINES = 32, MAX_ISAS = 8, ROUNDS = 3 };
static const double RUN = 2e-5, LONG_ENOUGH = 4e-3; /* seconds of one run, and of all in a round */

static struct line {
    const char *label;
    size_t elements;
    double least[MAX_ISAS]; /* seconds a call */
} lines[MAX_LINES];
static size_t n_lines, timed_isa;
static double clock_cost;

struct stopwatch {
    struct line *line;
    size_t calls, runs;
    double start, spent;
    int prepared;
};

static inline double seconds(void)
{
    struct timespec t;
#if defined(CLOCK_MONOTONIC)
    clock_gettime(CLOCK_MONOTONIC, &t);
#else
    timespec_get(&t, TIME_UTC);
#endif
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What reading the clock twice takes. */
static inline double clock_seconds(void)
{
    double least = HUGE_VAL;
    for (int i = 0; i < 1000; i++) {
        const double start = seconds();
        least = fmin(least, seconds() - start);
    }
    return least;
}

static inline struct stopwatch stopwatch(const char *label, size_t elements, int prepared)
{
    if (n_lines == MAX_LINES) {
        fprintf(stderr, "no room for %s\n", label);
        exit(2);
    }
    struct line *line = &lines[n_lines++];
    line->label = label;
    line->elements = elements;
    return (struct stopwatch){.line = line, .calls = 1, .prepared = prepared};
}

/* In the place of TIME where a variant has no such kernel. */
static inline void not_measured(const char *label) { (void)stopwatch(label, 1, 0); }

static inline int stopwatch_goes(const struct stopwatch *w)
{
    return w->runs < 5 || w->spent < LONG_ENOUGH;
}

/* Ends a run. Those that are too short to be measured warm up, and the next one is longer. */
static inline void stopwatch_stop(struct stopwatch *w)
{
    const double elapsed = seconds() - w->start, net = fmax(elapsed - clock_cost, 0.0);
    double *least = &w->line->least[timed_isa];
    w->spent += elapsed;
    if (!w->prepared && elapsed < RUN) {
        w->calls *= 2;
        return;
    }
    *least = fmin(*least, net / (double)w->calls);
    w->runs++;
}

#define TIME(label, elements, call) MEASURE(label, elements, 0, (void)0, call)
#define TIME_AFTER(label, elements, prepare, call) MEASURE(label, elements, 1, prepare, call)
#define MEASURE(label, elements, prepared, prepare, call)                                          \
    do {                                                                                           \
        struct stopwatch watch = stopwatch(label, elements, prepared);                             \
        while (stopwatch_goes(&watch)) {                                                           \
            prepare;                                                                               \
            watch.start = seconds();                                                               \
            for (size_t called = 0; called < watch.calls; called++)                                \
                call;                                                                              \
            stopwatch_stop(&watch);                                                                \
        }                                                                                          \
    } while (0)

/* ---- running them ---- */

/* The supported variants, the baseline first; returns their number. */
static inline size_t supported_isas(const struct mlp_kernels *isas[MAX_ISAS])
{
    size_t n = 0, last = 0;
    while (mlp_isa(last) != NULL)
        last++;
    for (size_t i = last; i > 0; i--) {
        if (mlp_isa_supported(mlp_isa(i - 1)) && n < MAX_ISAS)
            isas[n++] = mlp_isa(i - 1);
    }
    return n;
}

/* One line per measurement and ISA; the last column is how many times as fast as the baseline. */
static inline void time_rows(const struct row *rows, size_t n)
{
    const struct mlp_kernels *isas[MAX_ISAS];
    const size_t n_isas = supported_isas(isas);
    clock_cost = clock_seconds();
    printf("%-20s %-26s %-8s %12s %12s %8s\n", "kernel", "case", "isa", "ns/call", "ns/element",
           "speed-up");
    for (size_t r = 0; r < n; r++) {
        if (rows[r].time == NULL)
            continue;
        for (size_t l = 0; l < MAX_LINES; l++) {
            for (size_t i = 0; i < MAX_ISAS; i++)
                lines[l].least[i] = HUGE_VAL;
        }
        for (int round = 0; round < ROUNDS; round++) {
            for (timed_isa = 0; timed_isa < n_isas; timed_isa++) {
                n_lines = 0;
                rows[r].time(isas[timed_isa]);
            }
        }
        for (size_t l = 0; l < n_lines; l++) {
            for (size_t i = 0; i < n_isas; i++) {
                const double least = lines[l].least[i];
                if (least == HUGE_VAL) /* not measured */
                    continue;
                printf("%-20s %-26s %-8s %12.1f %12.4f", rows[r].name, lines[l].label,
                       isas[i]->name, 1e9 * least, 1e9 * least / (double)lines[l].elements);
                if (lines[l].least[0] < HUGE_VAL && least > 0.0)
                    printf(" %7.2fx", lines[l].least[0] / least);
                printf("\n");
            }
        }
        fflush(stdout);
    }
}

static inline int already_run(const struct row *rows, size_t r, size_t c)
{
    for (size_t i = 0; i <= r; i++) {
        for (size_t j = 0; j < (i < r ? 3 : c); j++) {
            if (rows[i].checks[j] == rows[r].checks[c])
                return 1;
        }
    }
    return 0;
}

/* The checks of all rows on each ISA; then, if asked for and all passed, their timing. */
static inline int run_rows(const char *name, const struct row *rows, size_t n, int argc,
                           char **argv)
{
    const int bench = argc == 2 && strcmp(argv[1], "--bench") == 0;
    size_t tested = 0;
    if (argc > 1 && !bench) {
        fprintf(stderr, "usage: %s [--bench]\n", name);
        return 2;
    }
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        const struct mlp_kernels *k = mlp_isa(i);
        if (!mlp_isa_supported(k)) {
            printf("%s: this machine cannot execute it\n", mlp_isa_name(k));
            continue;
        }
        printf("%s\n", mlp_isa_name(k));
        for (size_t r = 0; r < n; r++) {
            for (size_t c = 0; c < 3 && rows[r].checks[c] != NULL; c++) {
                if (!already_run(rows, r, c))
                    rows[r].checks[c](k);
            }
        }
        tested++;
    }
    CHECK(tested > 0 && mlp_isa_supported(mlp_isa_best()));
    if (bench && !failures)
        time_rows(rows, n);
    return report(name);
}

#endif
