/* products.c - times one product of the core on some threads; built by products.py into a library with the
 * core, and with machine.c for the peak. */
#include "kernels/caches.h"
#include "kernels/kernels.h"
#include "network/clock.h"
#include "network/memory.h"
#include "network/threads.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* z = a w + b, delta w^T, a^T delta, the same added to a gradient, and w - alpha a^T delta. */
enum layout { FORWARD, DELTA, GRADIENT, ADDED, STEP };

struct work {
    const struct mlp_kernels *kernels;
    enum layout layout;
    size_t m, n, k, threads;
    const double *a, *b;
    double *c, *panels;
    size_t panel;
};

/* Whoever shares a product has some of its rows. */
static void part_of(void *context, size_t thread, size_t part)
{
    const struct work *w = context;
    const size_t begin = mlp_part(w->m, w->threads, part),
                 end = mlp_part(w->m, w->threads, part + 1);
    const ptrdiff_t n = (ptrdiff_t)w->n, k = (ptrdiff_t)w->k, m = (ptrdiff_t)w->m;
    const int across = w->layout >= GRADIENT, transposed = w->layout == DELTA;
    double *c = w->c + begin * w->n, *panel = w->panels + part * w->panel;
    const double *a = w->a + (across ? begin : begin * w->k);
    const struct mlp_epilogue step = {c, n, 1e-9, 0};
    (void)thread;
    double *scratch = panel + w->panel - mlp_padded(w->m * w->n); /* what a step leaves in C */
    w->kernels->product(end - begin, w->n, w->k, a, across ? 1 : k, across ? m : 1, w->b,
                        transposed ? 1 : n, transposed ? k : 1,
                        w->layout == FORWARD ? w->b
                        : w->layout == ADDED ? c
                                             : NULL,
                        w->layout == ADDED ? n : 0, w->layout == STEP ? scratch : c, n,
                        w->layout == STEP ? &step : NULL, panel);
}

/* The table of an ISA that this machine has, NULL if it has not. */
static const struct mlp_kernels *find(const char *isa)
{
    for (size_t i = 0; mlp_isa(i) != NULL; i++) {
        if (strcmp(mlp_isa_name(mlp_isa(i)), isa) == 0 && mlp_isa_supported(mlp_isa(i)))
            return mlp_isa(i);
    }
    return NULL;
}

/* Seconds of one of `repeats` products; negative when there is no such ISA or no memory. */
EXPORT double product_seconds(const char *isa, int layout, size_t m, size_t n, size_t k,
                              size_t threads, size_t repeats, const double *a, const double *b,
                              double *c)
{
    struct work w = {find(isa), (enum layout)layout, m, n, k, threads, a, b, c, NULL, 0};
    struct mlp_team team;
    if (w.kernels == NULL)
        return -1.0;
    w.panel = mlp_padded(w.kernels->panel_size(m, n, k,
                                               m > n   ? m > k ? m : k
                                               : n > k ? n
                                                       : k)) +
              mlp_padded(m * n);
    w.panels = mlp_allocate(threads * w.panel + 1);
    if (w.panels == NULL)
        return -1.0;
    mlp_team_open(&team, threads);
    mlp_team_run(&team, threads, threads, part_of, &w);
    const double start = mlp_seconds();
    for (size_t r = 0; r < repeats; r++)
        mlp_team_run(&team, threads, threads, part_of, &w);
    const double took = (mlp_seconds() - start) / (double)repeats;
    mlp_team_close(&team);
    mlp_release(w.panels);
    return took;
}

/* Sets the sizes of the blocks; 0: as the model says. */
EXPORT void product_blocks(size_t terms, size_t a, size_t b)
{
    mlp_caches_find();
    mlp_caches.terms = terms;
    mlp_caches.a = a;
    mlp_caches.b = b;
}

/* sizes <- the bytes of L1, L2 and L3 that the model goes by. */
EXPORT void product_caches(size_t sizes[3])
{
    mlp_caches_find();
    sizes[0] = mlp_caches.l1;
    sizes[1] = mlp_caches.l2;
    sizes[2] = mlp_caches.l3;
}
